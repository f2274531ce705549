"""Flow: its network for all sizes, what it is told, its step by hand, samples and what is refused."""

import copy
import re

import pytest
import torch
from helpers import digits, trains_exactly

import aigc_lessons as al
from aigc_lessons.models.flow import FlowBlock, VelocityNet, time_features
from aigc_lessons.training import Batch

SMALL = dict(width=8, multipliers=(1, 2))


def flow(image_shape=(1, 16, 16), n_classes=10, seed=0, **given):
    torch.manual_seed(seed)
    return al.models.Flow(image_shape, n_classes, **{**SMALL, **given})


def awake(model):
    """A fresh network says 0 everywhere: give its last layers weights."""
    torch.manual_seed(1)
    with torch.no_grad():
        for net in (model.net, model.net_ema.module):
            for part in net.modules():
                if isinstance(part, torch.nn.Conv2d) and not part.weight.any():
                    part.weight.normal_(0, 0.05)
        model.net_ema.module.load_state_dict(model.net.state_dict())
    return model


# The network


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 20), (1, 28, 28), (4, 8, 8), (3, 32, 32), (3, 64, 64)])
@pytest.mark.parametrize("multipliers", [(1,), (1, 2, 2)])
def test_a_velocity_has_the_shape_of_the_picture(shape, multipliers):
    model = awake(flow(shape, 3, multipliers=multipliers))
    x = torch.randn(2, *shape)
    out = model.net(x, torch.tensor([0.1, 0.9]), torch.tensor([0, 2]))
    assert out.shape == x.shape and out.std() > 0
    assert model.sample(2, steps=1).shape == x.shape


def test_other_patches_and_wide_networks():
    net = VelocityNet(4, 48, (1, 2, 3), 1)  # as on latents: no patch, more channels than colours
    assert net(torch.randn(2, 4, 8, 8), torch.rand(2)).shape == (2, 4, 8, 8)
    assert flow((3, 16, 16), patch=4).sample(2, steps=1).shape == (2, 3, 16, 16)


def test_a_fresh_network_says_zero_and_a_fresh_block_changes_nothing():
    model, x = flow(), torch.randn(3, 1, 16, 16)
    assert not model.net(x, torch.rand(3), torch.zeros(3, dtype=torch.int64)).any()
    h = torch.randn(2, 8, 4, 4)
    assert torch.equal(FlowBlock(8, 8, 16)(h, torch.randn(2, 16)), h)


@pytest.mark.parametrize("what", ["picture", "time", "class"])
def test_the_velocity_depends_on_everything(what):
    model = awake(flow())
    x, t, y = torch.randn(1, 1, 16, 16), torch.tensor([0.3]), torch.tensor([2])
    before = model.net(x, t, y)
    after = model.net(
        x + 0.1 if what == "picture" else x, t + 0.1 if what == "time" else t, y + 1 if what == "class" else y
    )
    assert (before - after).abs().max() > 1e-4


def test_each_picture_is_by_itself():
    model = awake(flow())
    x, t, y = torch.randn(4, 1, 16, 16), torch.rand(4), torch.arange(4)
    with torch.no_grad():
        torch.testing.assert_close(model.net(x, t, y)[2:3], model.net(x[2:3], t[2:3], y[2:3]), rtol=1e-4, atol=1e-5)


def test_times_are_told_apart():
    """Waves made for 0 to 1,000 that are fed with 0 to 1 are nearly the same for all times."""
    near, far = time_features(torch.tensor([0.500, 0.501, 0.9])).sub(time_features(torch.tensor([0.5]))).norm(dim=1)[1:]
    assert near > 0.5 and far > near and time_features(torch.rand(5)).shape == (5, 64)
    assert time_features(torch.rand(50)).abs().max() <= 1


# Training


def test_a_step_is_the_printed_algorithm():
    model = awake(flow())
    ds = digits(8)
    twin = copy.deepcopy(model)
    step = {"net": torch.optim.SGD(model.net.parameters(), lr=0.1)}
    torch.manual_seed(4)
    loss = model.training_step(Batch(ds.images, ds.labels, None), step)["loss"]
    torch.manual_seed(4)
    y = torch.where(torch.rand(8) >= 0.1, ds.labels, 10)
    t = (torch.rand(1) + torch.arange(8) / 8) % 1
    noise = torch.randn_like(ds.images)
    at = t[:, None, None, None]
    by_hand = (twin.net((1 - at) * ds.images + at * noise, t, y) - (noise - ds.images)).square().mean()
    by_hand.backward()
    norm = torch.cat([p.grad.flatten() for p in twin.net.parameters()]).norm()
    assert norm > 1  # so that the gradients are shortened
    torch.testing.assert_close(loss, by_hand.detach())
    for mine, theirs in zip(model.net.parameters(), twin.net.parameters()):
        torch.testing.assert_close(mine.detach(), theirs.detach() - 0.1 * theirs.grad / norm, rtol=1e-4, atol=1e-6)


def test_classes_are_dropped_one_by_one():
    model, seen = flow(drop=0.5), []
    model.net.condition.register_forward_hook(lambda part, given, out: seen.append(given[0].clone()))
    ds = digits(16)
    for seed in range(40):
        torch.manual_seed(seed)
        model.training_step(Batch(ds.images, ds.labels, None), model.optimizers())
    lost = torch.stack(seen) == 10
    assert 0.4 < lost.float().mean() < 0.6 and lost.any(1).all() and not lost.all(1).any()
    assert torch.equal(torch.stack(seen)[~lost], ds.labels.expand(40, 16)[~lost])


@pytest.mark.parametrize("n_classes", [0, 10])
def test_training_is_repeatable_and_resumes(n_classes, tmp_path):
    trains_exactly(lambda seed=0: flow(n_classes=n_classes, seed=seed), digits(64), tmp_path / "run.pt")


def test_it_learns_two_flat_pictures():
    """Nearly white for one class, nearly black for the other."""
    images = torch.tensor([1.0, -1.0]).repeat(32)[:, None, None, None].expand(-1, 1, 8, 8).contiguous() * 0.8
    data = al.data.ImageSet(images, torch.arange(64) % 2, classes=("white", "black"))
    model = flow((1, 8, 8), 2, ema_decay=0.9)
    al.fit(model, data, steps=150, batch_size=32, progress=False)
    x = model.sample(20, labels=torch.arange(20) % 2, steps=8).mean((1, 2, 3))
    white, black = x[::2], x[1::2]
    assert white.min() > 0.2 > -0.2 > black.max() and white.mean() > 0.4 and black.mean() < -0.4


# Samples


def test_samples_are_reproducible_and_in_range():
    model = awake(flow())
    x = model.sample(5, seed=1, steps=3)
    al.data.check_images(x, "test")
    assert torch.equal(x, model.sample(5, seed=1, steps=3)) and not torch.equal(x, model.sample(5, seed=2, steps=3))
    assert not x.requires_grad and x.dtype == torch.float32


def test_samples_are_those_of_the_average_and_of_the_sampler():
    model = awake(flow())
    with torch.no_grad():
        for p in model.net.parameters():
            p.zero_()
    noise = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    y = torch.arange(4)
    with torch.no_grad():
        by_hand = al.flows.flow_sample(lambda x, t: model.net_ema(x, torch.full((4,), t), y), noise, 3, "euler").clamp(
            -1, 1
        )
    torch.testing.assert_close(model.sample(4, seed=3, steps=3, solver="euler"), by_hand)


def test_guidance_of_zero_forgets_the_class():
    model = awake(flow())
    draw = lambda labels, w: model.sample(4, labels=labels, guidance_scale=w, steps=2)
    assert torch.equal(draw(3, 0), draw(7, 0)) and not torch.equal(draw(3, 1), draw(7, 1))
    beyond = (draw(3, 1.01) - draw(3, 1)).abs().max()
    assert 0 < beyond < 0.01


def test_many_samples_are_made_in_chunks():
    model, sizes = flow(), []
    model.net_ema.module.stem.register_forward_hook(lambda part, given, out: sizes.append(len(out)))
    assert len(model.sample(600, steps=1)) == 600 and max(sizes) <= 250


# What is refused


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: flow((1, 30, 30)), "accepted are heights and widths that are multiples of 4"),
        (lambda: flow((1, 32, 32), patch=3), "patch=3"),
        (lambda: flow(drop=1.0), "drop=1.0"),
        (lambda: flow(width=0), "width=0"),
        (lambda: flow(multipliers=(1, 0)), "multipliers[1]=0"),
        (lambda: flow().sample(2, steps=0), "steps=0"),
        (lambda: flow().sample(2, labels=10), "0 to 9"),
        (lambda: flow().sample(2, guidance_scale=float("nan")), "guidance_scale=nan"),
        (lambda: flow(n_classes=0).sample(2, labels=1), "is unconditional"),
        (lambda: flow(n_classes=0).sample(2, guidance_scale=3.0), "is unconditional"),
        (lambda: flow(n_classes=0).velocity(torch.tensor([1])), "is unconditional"),
        (lambda: flow(n_classes=0).velocity(guidance_scale=3.0), "is unconditional"),
        (lambda: flow().velocity(), "give velocity(y)"),
        (lambda: al.fit(flow((1, 8, 8)), digits(), steps=1), "takes images of shape (1, 8, 8)"),
        (lambda: al.fit(flow(n_classes=4), digits(), steps=1), "this Flow has 4 classes"),
    ],
)
def test_what_cannot_be_is_refused(build, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        build()
