"""Filling holes: the known pixels stay, what lies under the hole is not looked at, and masks that are refused."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from helpers import digits, rand, same, trains_exactly
from scipy.stats import chisquare
from torch import nn

import aigc_lessons as al
from aigc_lessons import ops
from aigc_lessons.data import draw_masks
from aigc_lessons.models.inpainting import MaskedUNet, PartialConv2d, PartialUNet
from aigc_lessons.training import Batch

ADVERSARY = {"adversarial_weight": 0.3}
MODELS = {"masked": {}, "partial": {"partial": True}, "adversarial": ADVERSARY, "both": {"partial": True, **ADVERSARY}}
KINDS = ("box", "strokes", "random")
NETWORKS = {"masked": MaskedUNet, "partial": PartialUNet}

every_model = pytest.mark.parametrize("kind", MODELS)
every_network = pytest.mark.parametrize("kind", NETWORKS)


def build(kind, channels=1, seed=0, **given):
    torch.manual_seed(seed)
    return al.models.Inpainter(channels, **{"width": 4, **MODELS[kind], **given})


# What comes back


@every_model
@pytest.mark.parametrize("hole", ["box", "strokes", "random", "half"])
@pytest.mark.parametrize("shape", [(3, 1, 16, 16), (2, 3, 29, 31), (1, 3, 33, 47)])
def test_known_pixels_come_back_bit_for_bit_and_the_rest_in_range(kind, shape, hole):
    net, x, mask = build(kind, shape[1]), rand(*shape), draw_masks(hole, shape[0], shape[2:], 0.3, seed=1)
    got = net.restore(x, mask)
    known = mask.expand(shape) == 1
    assert got.shape == shape and got.dtype == torch.float32 and not got.requires_grad
    assert torch.equal(got[known], x[known]) and (got[~known] != x[~known]).all()
    al.data.check_images(got, "test")
    with torch.no_grad():
        net.generator.up.head.weight.mul_(1e4)
    filled = net.restore(x, mask)[~known]
    assert filled.abs().max() == 1 and torch.equal(net.restore(x, mask)[known], x[known])
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(x, mask)[~known], filled)


@every_model
@pytest.mark.parametrize("size", [(16, 16), (29, 31)])
def test_what_lies_under_the_hole_is_not_looked_at(kind, size):
    net, x = build(kind, 3), rand(2, 3, *size)
    for k, hole in enumerate(("box", "strokes", "random", "half")):
        mask = draw_masks(hole, 2, size, 0.4, seed=k)
        want = net.restore(x, mask)
        for other in (rand(2, 3, *size, seed=9), torch.ones(2, 3, *size), -torch.ones(2, 3, *size)):
            assert torch.equal(net.restore(torch.where(mask == 1, x, other), mask), want)


@every_network
@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e30])
def test_the_networks_ignore_even_what_is_no_number(kind, bad):
    torch.manual_seed(0)
    net, x, mask = NETWORKS[kind](3, 4), rand(2, 3, 13, 18), draw_masks("strokes", 2, (13, 18), 0.4, seed=1)
    spoilt = torch.where(mask == 1, x, bad).requires_grad_()
    got = net(spoilt, mask)
    assert torch.equal(got, net(x, mask))
    (gradient,) = torch.autograd.grad(got.sum(), spoilt)
    assert gradient.isfinite().all() and not gradient[(mask == 0).expand_as(x)].any()
    assert (gradient[(mask == 1).expand_as(x)] != 0).float().mean() > 0.9
    changed = torch.where(mask == 1, -x, x)
    assert not torch.equal(net(changed, mask), net(x, mask))  # it does look at the rest


@every_network
def test_the_mask_matters_where_the_picture_is_0(kind):
    """A black hole and a black thing are not the same."""
    torch.manual_seed(0)
    net, x = NETWORKS[kind](1, 4), rand(1, 1, 16, 16)
    mask = draw_masks("box", 1, 16, 0.3, seed=1)
    x = x * mask
    assert not torch.equal(net(x, mask), net(x, torch.ones_like(mask)))


@every_network
@pytest.mark.parametrize("size", [(29, 31), (33, 47), (1, 5)])
def test_odd_sizes_are_padded_and_cropped_back(kind, size):
    torch.manual_seed(0)
    net, x, mask = NETWORKS[kind](2, 4), rand(2, 2, *size), torch.ones(2, 1, *size)
    mask[..., : size[0] // 2, : size[1] // 2] = 0
    h, w = (-(-s // 8) * 8 for s in size)
    repeat = lambda t: F.pad(t, (0, w - size[1], 0, h - size[0]), mode="replicate")
    torch.testing.assert_close(net(x, mask), net(repeat(x), repeat(mask))[..., : size[0], : size[1]], rtol=0, atol=0)
    assert net(x, mask).shape == x.shape


@every_model
def test_an_empty_hole_gives_the_picture_as_it_is(kind):
    net, x = build(kind), rand(3, 1, 17, 12)
    got = net.restore(x, torch.ones(3, 1, 17, 12))
    assert torch.equal(got, x) and got is not x
    got.fill_(0)
    assert x.any()  # a copy
    mask = draw_masks("box", 3, (17, 12), 0.3, seed=1)
    mask[1] = 1  # one whole picture among others
    got = net.restore(x, mask)
    assert torch.equal(got[1], x[1]) and not torch.equal(got[0], x[0]) and not torch.equal(got[2], x[2])
    assert net.restore(x[:0], mask[:0]).shape == (0, 1, 17, 12)


@every_model
@pytest.mark.parametrize("training", [True, False])
def test_restoring_leaves_the_model_and_the_pictures_as_they_were(kind, training):
    net, x, mask = build(kind).train(training), rand(3, 1, 16, 16), draw_masks("box", 3, 16, 0.3, seed=1)
    before, kept, holes, state = copy.deepcopy(net), x.clone(), mask.clone(), torch.get_rng_state()
    assert torch.equal(net.restore(x, mask), net.restore(x, mask))
    torch.testing.assert_close(net.restore(x, mask)[1:2], net.restore(x[1:2], mask[1:2]))
    assert same(before, net) and net.training is training and torch.equal(x, kept) and torch.equal(mask, holes)
    assert torch.equal(state, torch.get_rng_state())


# Networks


def test_a_partial_layer_is_the_op_a_bias_where_anything_is_known_and_relu():
    torch.manual_seed(0)
    layer, x, mask = PartialConv2d(2, 5), rand(2, 2, 9, 8), torch.zeros(2, 1, 9, 8)
    mask[0, :, 2:4, 3:5] = mask[1, :, 7, 7] = 1
    with torch.no_grad():
        layer.bias += torch.linspace(-1, 2, 5)[:, None, None]
    got, after = layer(x, mask)
    op, op_mask = ops.partial_conv2d(x, mask, layer.weight)
    torch.testing.assert_close(got, torch.where(op_mask == 1, op + layer.bias, 0).relu())
    assert torch.equal(after, op_mask) and after.sum() == 16 + 6 and not got[(after == 0).expand_as(got)].any()
    assert layer.weight.shape == (5, 2, 3, 3) and layer.weight.std() > 0.1 and layer.weight.requires_grad


def test_the_hole_shrinks_on_the_way_down_and_the_unknown_gives_nothing():
    torch.manual_seed(0)
    net, seen = PartialUNet(1, 4), []
    for layers in net.down:
        for layer in layers:
            layer.register_forward_hook(lambda module, given, result: seen.append((given[1], *result)))
    mask = torch.ones(1, 1, 32, 32)
    mask[..., 4:24, 6:26] = 0  # 20 x 20
    net(rand(1, 1, 32, 32), mask)
    holes = [(given[0, 0] == 0).sum().item() for given, _, _ in seen]
    # A layer takes a pixel off each side, a pooling keeps what is all hole: sides 20, 18 | 16 => 8, 6 | 4 => 1 by 2 (rows 5 to 8,
    # columns 6 to 9), 0 | 0, 0.
    assert holes == [400, 324, 64, 36, 2, 0, 0, 0]
    for _, x, after in seen:
        assert not x[(after == 0).expand_as(x)].any()
    assert [x.shape[1:] for _, x, _ in seen] == [
        (w, s, s) for w, s in ((4, 32), (8, 16), (16, 8), (32, 4)) for _ in (0, 1)
    ]


def test_the_masked_network_sees_an_empty_hole_and_the_mask():
    torch.manual_seed(0)
    net, seen = MaskedUNet(2, 4), []
    net.down[0].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    x, mask = rand(1, 2, 8, 8), draw_masks("box", 1, 8, 0.3, seed=1)
    net(x, mask)
    assert torch.equal(seen[0], torch.cat([x * mask, mask], 1)) and net.down[0][0].in_channels == 3


def test_each_kind_has_the_networks_it_names():
    for kind in MODELS:
        net = build(kind, 3)
        assert type(net.generator) is (PartialUNet if kind in ("partial", "both") else MaskedUNet)
        assert (net.discriminator is not None) == (kind in ("adversarial", "both"))
        assert net.optimizers().keys() == ({"generator", "discriminator"} if net.discriminator else {"generator"})
    assert net.discriminator[0].in_channels == 4  # the picture and the mask
    assert net.discriminator[0].weight.std().item() == pytest.approx(0.02, rel=0.2)
    rates = {name: o.param_groups[0]["lr"] for name, o in build("both", lr=4e-3).optimizers().items()}
    assert rates == {"generator": 4e-3, "discriminator": 2e-3}
    held = [{id(p) for p in o.param_groups[0]["params"]} for o in net.optimizers().values()]
    assert held == [{id(p) for p in module.parameters()} for module in (net.generator, net.discriminator)]


# Training


@every_model
def test_one_training_step_by_hand(kind):
    net, images = build(kind, 3, hole=(0.2, 0.4)), rand(4, 3, 16, 24)
    hand, seen = copy.deepcopy(net), []
    optimizers = {name: torch.optim.SGD(getattr(net, name).parameters(), lr=0.1) for name in net.optimizers()}
    net.generator.register_forward_pre_hook(lambda module, given: seen.append(given))
    torch.manual_seed(4)
    got = net.training_step(Batch(images, None, None), optimizers)

    ((x, mask),) = seen  # whole pictures, each turned in one of four ways, and a mask for each
    turns = [images, images.flip(-1), images.flip(-2), images.flip(-1, -2)]
    assert all(sum(torch.equal(x[i], t[i]) for t in turns) == 1 for i in range(4))
    assert mask.shape == (4, 1, 16, 24) and ((mask == 0) | (mask == 1)).all()
    filled = x * mask + hand(x, mask) * (1 - mask)
    l1 = ((filled - x).abs() * (1 - mask)).sum() / (3 * (1 - mask).sum())
    want, objective = {"l1": l1.item()}, l1
    if hand.discriminator:
        judge = lambda picture: hand.discriminator(torch.cat([picture, mask], 1))
        d_loss = F.softplus(-judge(x)).mean() + F.softplus(judge(filled.detach())).mean()
        weights = list(hand.discriminator.parameters())
        for p, gradient in zip(weights, torch.autograd.grad(d_loss, weights)):
            p.data -= 0.1 * gradient
        objective = l1 + 0.3 * F.softplus(-judge(filled)).mean()
        want["discriminator"] = d_loss.item()
    weights = list(hand.generator.parameters())
    for p, gradient in zip(weights, torch.autograd.grad(objective, weights)):
        p.data -= 0.1 * gradient
    assert {k: v.item() for k, v in got.items()} == pytest.approx(want, rel=1e-4)
    assert all(v.shape == () and not v.requires_grad for v in got.values())
    torch.testing.assert_close(net.state_dict(), hand.state_dict(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["adversarial", "both"])
def test_the_generators_backward_leaves_nothing_in_the_discriminator(kind):
    net = build(kind)
    optimizers, kept = net.optimizers(), {}
    optimizers["discriminator"].register_step_pre_hook(
        lambda *_: kept.update({p: p.grad.clone() for p in net.discriminator.parameters()})
    )
    quiet = lambda: all(p.grad is None for p in net.generator.parameters())
    optimizers["discriminator"].register_step_pre_hook(lambda *_: kept.update(quiet=quiet()))
    net.training_step(Batch(digits(8).images, None, None), optimizers)
    assert kept.pop("quiet") and all(torch.equal(p.grad, g) for p, g in kept.items())


def kind_of(mask):
    """box, strokes or random, from the shape of the hole alone: (N, 1, H, W) -> N names."""
    names = []
    for hole in mask[:, 0] == 0:
        rows, columns = hole.any(1).sum(), hole.any(0).sum()
        p, (h, w) = hole.float().mean(), hole.shape
        edges = (hole[1:] != hole[:-1]).sum() + (hole[:, 1:] != hole[:, :-1]).sum()
        by_chance = 2 * p * (1 - p) * (h * (w - 1) + w * (h - 1))  # of pixels that know nothing of each other
        names.append("box" if hole.sum() == rows * columns else "random" if edges > 0.7 * by_chance else "strokes")
    return names


def masks_of_a_step(net, n, size=(24, 24)):
    """The masks with which one training step fills n pictures."""
    seen = []
    handle = net.generator.register_forward_pre_hook(lambda module, given: seen.append(given[1]))
    net.training_step(Batch(torch.zeros(n, 1, *size), None, None), net.optimizers())
    handle.remove()
    return seen[0]


def test_each_picture_has_a_hole_of_its_own_of_any_of_three_kinds_and_of_the_sizes_asked_for():
    for kind in ("box", "strokes", "random"):
        assert set(kind_of(draw_masks(kind, 200, 24, (0.2, 0.3), seed=5))) == {kind}
    net, n = build("masked", width=1, hole=(0.2, 0.3)), 900
    torch.manual_seed(0)
    masks = masks_of_a_step(net, n)
    assert masks.shape == (n, 1, 24, 24) and ((masks == 0) | (masks == 1)).all()
    names = kind_of(masks)
    # each a third of the time
    assert chisquare([names.count(kind) for kind in ("box", "strokes", "random")]).pvalue > 1e-4
    assert (
        chisquare(
            torch.bincount(
                torch.tensor([3 * KINDS.index(a) + KINDS.index(b) for a, b in zip(names[::2], names[1::2])]),
                minlength=9,
            )
        ).pvalue
        > 1e-4
    )  # not one kind for a whole batch
    share = (1 - masks).mean((1, 2, 3))
    exact = torch.tensor([name != "box" for name in names])
    assert share[exact].min() > 0.2 - 1 / 576 and share[exact].max() < 0.3 + 1 / 576
    assert (share - 0.25).abs().max() < 0.05 + 1 / 24  # a box comes within a row or a column of it
    # Uniform on [0.2, 0.3]: the mean of 900, at most so many of which are drawn twice, has a standard deviation below 0.0013.
    assert abs(share.mean() - 0.25) < 4 * 0.0013 and share.std().item() == pytest.approx(0.1 / math.sqrt(12), rel=0.1)
    assert len(masks.flatten(1).unique(dim=0)) > 0.9 * n
    again = masks_of_a_step(net, n)
    assert (masks != again).flatten(1).any(1).float().mean() > 0.95
    left = (1 - masks).mean((0, 1, 2))  # where holes are: mirrored, so as often left as right
    assert (left - left.flip(0)).abs().max() < 0.1


def test_masks_are_drawn_once_for_a_size_and_do_not_depend_on_the_seed_of_the_run(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "aigc_lessons.models.inpainting.draw_masks",
        lambda *given, **more: calls.append(given) or draw_masks(*given, **more),
    )
    net = build("masked", width=1, hole=(0.2, 0.3))
    for _ in range(3):
        masks_of_a_step(net, 4, (8, 12))
    drawn = len(calls)
    assert 0 < drawn <= 3 and {(kind, tuple(size), hole) for kind, _, size, hole in calls} == {
        (k, (8, 12), (0.2, 0.3)) for k in KINDS
    }
    assert masks_of_a_step(net, 4, (16, 8)).shape == (4, 1, 16, 8) and len(calls) == 2 * drawn
    # A run's own seed chooses among them: two models in one state of torch's random numbers are given the same.
    runs = []
    for seed, earlier in ((1, 0), (1, 99), (2, 0)):
        other = build("masked", width=1, seed=earlier)
        torch.manual_seed(seed)
        runs.append(masks_of_a_step(other, 6))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
    assert not [k for k in net.state_dict() if "pool" in k or "mask" in k]  # no part of shipped weights


@every_model
def test_every_weight_learns_and_the_error_in_the_hole_falls(kind):
    net = build(kind, width=8, lr=3e-3)
    before = copy.deepcopy(net)
    history = al.fit(net, digits(256), steps=5 if net.discriminator else 50, batch_size=16, seed=0)
    losses = history.losses["l1"]
    assert net.discriminator or sum(losses[-10:]) < 0.85 * sum(losses[:10])  # an adversary may first make it larger
    assert history.losses.keys() == ({"l1", "discriminator"} if net.discriminator else {"l1"})
    names = dict(before.named_parameters())
    # Instance norm takes a constant away again: the bias before it is free to stay.
    assert {name for name, p in net.named_parameters() if torch.equal(p.cpu(), names[name])} <= {"discriminator.2.bias"}


@every_model
def test_the_same_seed_trains_to_the_same_weights_and_a_checkpoint_goes_on_exactly(kind, tmp_path):
    trains_exactly(lambda **more: build(kind, **more), digits(), tmp_path / "run.pt")


# What it refuses


@every_model
@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (
            torch.ones(2, 1, 8, 8),
            r"Inpainter.restore got a mask of shape \(2, 1, 8, 8\) for images of shape \(2, 1, 8, 9\)",
        ),
        (torch.ones(1, 1, 8, 9), r"mask of shape \(1, 1, 8, 9\).*mask.expand\(n, -1, -1, -1\)"),
        (torch.ones(2, 8, 9), r"mask of shape \(2, 8, 9\)"),
        (torch.full((2, 1, 8, 9), 0.5), "values other than 0 and 1"),
        (torch.full((2, 1, 8, 9), 255.0), "values other than 0 and 1"),
        (torch.zeros(2, 1, 8, 9), "mask 0 leaves no pixel known"),
        (torch.ones(2, 1, 8, 9) * torch.tensor([1.0, 0.0]).view(2, 1, 1, 1), "mask 1 leaves no pixel known"),
    ],
)
def test_masks_that_are_refused(kind, mask, says):
    with pytest.raises(ValueError, match=says):
        build(kind).restore(rand(2, 1, 8, 9), mask)


def test_pictures_that_are_refused():
    net, mask = build("masked", 3), torch.ones(2, 1, 8, 8)
    for given, error, says in (
        (rand(2, 1, 8, 8), ValueError, "This Inpainter takes pictures with 3 channels and got 1"),
        (torch.full((2, 3, 8, 8), math.nan), ValueError, "Inpainter.restore got NaN"),
        (torch.full((2, 3, 8, 8), 2.0), ValueError, r"Inpainter.restore got images from 2 to 2. Accepted: \[-1, 1\]"),
        (rand(3, 8, 8), ValueError, r"shape \(3, 8, 8\)"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), TypeError, "type torch.uint8"),
    ):
        with pytest.raises(error, match=says):
            net.restore(given, mask)
    before = copy.deepcopy(net)
    with pytest.raises(ValueError, match="This Inpainter takes pictures with 3 channels and got 1"):
        al.fit(net, digits(), steps=1)
    for points in (torch.ones(9, 3), torch.ones(9)):
        with pytest.raises(ValueError, match=r"This Inpainter takes pictures of shape \(N, 3, H, W\) and got \(\d"):
            al.fit(net, points, steps=1, batch_size=4)
    assert same(before, net)  # what was refused left no mean behind


def test_arguments_that_are_refused():
    with pytest.raises(ValueError, match=r"Inpainter\(adversarial_weight=-0.1\): accepted is a weight of at least 0"):
        build("masked", adversarial_weight=-0.1)
    for name in ("channels", "width"):
        with pytest.raises(ValueError, match=rf"Inpainter\({name}=0\): accepted is 1 or more"):
            al.models.Inpainter(**{name: 0})
    assert isinstance(build("adversarial").discriminator, nn.Sequential)
