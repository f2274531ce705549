"""The U-Net: any size in, the same size out; its bridges, its halvings, its padding."""

import pytest
import torch
from torch import nn

from aigc_lessons.models.unet import UNet, conv_block, pad_to_multiple

ODD = [(29, 31), (33, 47), (1, 1), (8, 13), (17, 16)]


def build(seed=0, **given):
    torch.manual_seed(seed)
    return UNet(**{"in_channels": 2, "out_channels": 3, "width": 4, "depth": 3, **given})


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("size", ODD)
def test_any_size_keeps_its_size_and_is_the_crop_of_the_padded_pictures_answer(size, depth):
    net, x = build(depth=depth), randn(2, 2, *size)
    got = net(x)
    assert got.shape == (2, 3, *size)
    h, w = (-(-s // 2**depth) * 2**depth for s in size)
    padded = torch.stack(
        [torch.stack([x[..., min(i, size[0] - 1), min(j, size[1] - 1)] for j in range(w)], -1) for i in range(h)], -2
    )
    torch.testing.assert_close(got, net(padded)[..., : size[0], : size[1]], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("size", "factor", "after"),
    [((29, 31), 8, (32, 32)), ((33, 47), 4, (36, 48)), ((16, 24), 8, (16, 24)), ((1, 7), 2, (2, 8))],
)
def test_padding_repeats_the_last_row_and_column_and_no_more_than_needed(size, factor, after):
    x = randn(2, 3, *size)
    padded = pad_to_multiple(x, factor)
    assert padded.shape == (2, 3, *after) and torch.equal(padded[..., : size[0], : size[1]], x)
    h, w = size
    assert (padded[..., h:, :w] == x[..., -1:, :]).all() and (padded[..., :h, w:] == x[..., :, -1:]).all()
    assert (padded[..., h:, w:] == x[..., -1:, -1:]).all()
    assert size != after or torch.equal(padded, x)


def test_sizes_that_are_multiples_are_not_padded():
    net, seen = build(), []
    net.down[0].register_forward_pre_hook(lambda module, given: seen.append(tuple(given[0].shape)))
    for size in ((16, 24), (8, 8), (29, 31), (17, 16)):
        net(randn(1, 2, *size))
    assert seen == [(1, 2, 16, 24), (1, 2, 8, 8), (1, 2, 32, 32), (1, 2, 24, 16)]


@pytest.mark.parametrize(("width", "depth"), [(4, 3), (3, 2), (5, 1)])
def test_each_halving_doubles_the_channels_and_each_bridge_is_used(width, depth):
    net, shapes = build(width=width, depth=depth), []
    for block in [*net.down, *reversed(net.up.blocks)]:
        block.register_forward_hook(lambda module, given, result: shapes.append(tuple(result.shape[1:])))
    net(randn(1, 2, 16, 24))
    down = [(width * 2**i, 16 >> i, 24 >> i) for i in range(depth + 1)]
    assert shapes == down + down[-2::-1]
    x, features = randn(1, 2, 16, 24), []
    before = net(x)
    for block in net.down:
        features.append(block(torch.max_pool2d(features[-1], 2) if features else x))
    assert torch.equal(net.up(features), before)
    for level in range(depth + 1):  # without one of them the answer is another
        without = [torch.zeros_like(f) if i == level else f for i, f in enumerate(features)]
        assert not torch.equal(net.up(without), before)


def test_the_way_down_takes_the_largest_and_the_way_up_repeats():
    net, seen = build(depth=1), {}
    net.down[0].register_forward_hook(lambda module, given, result: seen.update(top=result))
    net.down[1].register_forward_hook(lambda module, given, result: seen.update(given=given[0], low=result))
    net.up.blocks[0].register_forward_hook(lambda module, given, result: seen.update(joined=given[0]))
    net(randn(2, 2, 6, 8))
    assert torch.equal(seen["given"], seen["top"].unflatten(-1, (4, 2)).unflatten(-3, (3, 2)).amax((-1, -3)))
    below, bridge = seen["joined"].split([8, 4], 1)
    assert torch.equal(bridge, seen["top"]) and torch.equal(
        below, seen["low"].repeat_interleave(2, -1).repeat_interleave(2, -2)
    )


def test_the_answer_is_not_limited_to_any_range():
    net = build()
    with torch.no_grad():
        net.up.head.bias += torch.tensor([100.0, -100.0, 0.0])
    levels = net(randn(1, 2, 8, 8)).mean((0, 2, 3))
    assert levels[0] > 90 and levels[1] < -90


def test_a_block_is_twice_convolution_norm_and_relu():
    kinds = [type(m) for m in conv_block(2, 3, nn.BatchNorm2d)]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 2
    assert [type(m) for m in conv_block(2, 3)] == [nn.Conv2d, nn.Identity, nn.ReLU] * 2
    block = conv_block(2, 3)
    assert block(randn(1, 2, 5, 7)).shape == (1, 3, 5, 7) and (block[0].out_channels, block[3].in_channels) == (3, 3)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in build(norm=nn.BatchNorm2d).modules()) == 2 * (4 + 3)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in build().modules())


def test_every_weight_and_every_input_pixel_has_a_say():
    net, x = build(seed=1, width=8), randn(1, 2, 19, 21).requires_grad_()
    net(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
    assert (x.grad != 0).float().mean() > 0.99
