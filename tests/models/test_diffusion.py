"""Diffusion: what its network says, its step by hand, samples by the printed sampler, and what is refused."""

import copy
import re

import pytest
import torch
from helpers import digits, trains_exactly

import aigc_lessons as al
from aigc_lessons import diffusion
from aigc_lessons.training import Batch

SAYS = ("v", "noise", "clean")
each = pytest.mark.parametrize("says", SAYS)


def build(image_shape=(1, 16, 16), says="v", seed=0, **given):
    torch.manual_seed(seed)
    return al.models.Diffusion(image_shape, says, **{"width": 8, "multipliers": (1, 2), **given})


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def awake(model):
    """A fresh network says 0 everywhere: give its last layers weights."""
    with torch.no_grad():
        for net in (model.net, model.net_ema.module):
            torch.manual_seed(1)
            for part in net.modules():
                if isinstance(part, torch.nn.Conv2d) and not part.weight.any():
                    part.weight.normal_(0, 0.05)
    return model


class Knowing(torch.nn.Module):
    """A network that says what is right for one picture, whatever it is shown."""

    def __init__(self, picture, says):
        super().__init__()
        self.picture, self.says = picture, says

    def forward(self, x, t):
        a, s = (v[:, None, None, None] for v in diffusion.schedule(t.double()))
        noise = (x - a * self.picture) / s
        return {"v": a * noise - s * self.picture, "noise": noise, "clean": self.picture.expand_as(x).double()}[
            self.says
        ]


# What it says


@each
def test_a_step_is_the_printed_algorithm(says):
    model = awake(build(says=says))
    ds, twin = digits(8), copy.deepcopy(model)
    step = {"net": torch.optim.SGD(model.net.parameters(), lr=0.1)}
    torch.manual_seed(4)
    loss = model.training_step(Batch(ds.images, None, None), step)["loss"]
    torch.manual_seed(4)
    t = (torch.rand(1) + torch.arange(8) / 8) % 1
    noise, (a, s) = torch.randn_like(ds.images), (v[:, None, None, None] for v in diffusion.schedule(t))
    target = {"v": a * noise - s * ds.images, "noise": noise, "clean": ds.images}[says]
    by_hand = (twin.net(a * ds.images + s * noise, t) - target).square().mean()
    by_hand.backward()
    torch.testing.assert_close(loss, by_hand.detach())
    for mine, theirs in zip(model.net.parameters(), twin.net.parameters()):
        torch.testing.assert_close(mine.detach(), theirs.detach() - 0.1 * theirs.grad, rtol=1e-4, atol=1e-6)


@each
@pytest.mark.parametrize("t", [0.02, 0.5, 0.97])
def test_from_a_right_answer_follow_the_data(says, t):
    model, picture = build(says=says), digits(1).images
    x = randn(3, 1, 16, 16)
    guess = model.denoiser(Knowing(picture, says))(x, t)
    torch.testing.assert_close(guess, picture.expand_as(x).double().float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_every_answer_follows_from_every_other(t):
    x, noise, (a, s) = randn(4, 3).double(), randn(4, 3, seed=1).double(), diffusion.schedule(t)
    times = a.expand(4), s.expand(4)
    x_t, v = diffusion.noised(x, noise, *times), diffusion.v_target(x, noise, *times)
    torch.testing.assert_close(diffusion.clean_from_v(x_t, v, a, s), x)
    torch.testing.assert_close(diffusion.clean_from_noise(x_t, noise, a, s), x)
    torch.testing.assert_close(s * x_t + a * v, noise)
    torch.testing.assert_close(x_t.square() + v.square(), x.square() + noise.square())  # a quarter turn


def test_an_error_in_the_noise_weighs_s_over_a():
    x_t, noise, (a, s) = randn(3, 2), randn(3, 2, seed=1), diffusion.schedule(0.9)
    off = diffusion.clean_from_noise(x_t, noise + 0.01, a, s) - diffusion.clean_from_noise(x_t, noise, a, s)
    torch.testing.assert_close(off, torch.full_like(off, -0.01 * (s / a).item()), rtol=1e-3, atol=0)


def test_answers_are_clipped_to_where_data_lie():
    model = awake(build(says="noise"))
    x = 5 * randn(2, 1, 16, 16)
    with torch.no_grad():
        assert model.denoiser()(x, 0.9).abs().max() == 1 and model.denoiser(clip=False)(x, 0.9).abs().max() > 1


# Training and samples


def test_training_is_repeatable_and_resumes(tmp_path):
    trains_exactly(lambda seed=0: build(seed=seed), digits(64), tmp_path / "run.pt")


@each
def test_its_loss_falls(says):
    """Below what the fresh network's answer, 0, costs; that differs between two sets of five steps by 3 % or so."""
    losses = al.fit(build((1, 8, 8), says), digits(64, 8), steps=60, batch_size=32, progress=False).losses["loss"]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


@each
def test_samples_are_reproducible_and_in_range(says):
    model = awake(build(says=says))
    x = model.sample(5, seed=1, steps=3)
    al.data.check_images(x, "test")
    assert x.shape == (5, 1, 16, 16) and torch.equal(x, model.sample(5, seed=1, steps=3))
    assert not torch.equal(x, model.sample(5, seed=2, steps=3)) and not x.requires_grad
    assert not torch.equal(x, model.sample(5, seed=1, steps=3, eta=1.0))


def test_samples_are_those_of_the_average_and_of_the_sampler():
    model = awake(build())
    with torch.no_grad():
        for p in model.net.parameters():
            p.zero_()
    noise = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        by_hand = diffusion.ddim(model.denoiser(model.net_ema), noise, 4).clamp(-1, 1)
    assert torch.equal(model.sample(4, seed=3, steps=4), by_hand)


@each
def test_a_network_that_knows_the_picture_draws_it(says):
    model, picture = build(says=says), digits(1).images
    model.net_ema = Knowing(picture, says)
    model.register_parameter("somewhere", torch.nn.Parameter(torch.zeros(())))
    model.net_ema.register_parameter("here", torch.nn.Parameter(torch.zeros(())))
    torch.testing.assert_close(model.sample(3, steps=5), picture.expand(3, -1, -1, -1), rtol=0, atol=1e-4)


def test_many_samples_are_made_in_chunks():
    model, sizes = build(), []
    model.net_ema.module.stem.register_forward_hook(lambda part, given, out: sizes.append(len(out)))
    assert len(model.sample(600, steps=1)) == 600 and max(sizes) <= 250


# What is refused


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (lambda: build(says="epsilon"), "accepted are 'v', 'noise', 'clean'"),
        (lambda: build((1, 30, 30)), "multiples of 4"),
        (lambda: build(patch=3), "patch=3"),
        (lambda: build(width=0), "width=0"),
        (lambda: build().sample(2, steps=0), "steps=0"),
        (lambda: build().sample(2, eta=2.0), "eta=2.0"),
        (lambda: build().sample(2, labels=1), "is unconditional"),
        (
            lambda: build().denoiser()(randn(2, 1, 16, 16), 1.2),
            "times from 1.2 to 1.2. Accepted: 0 (data) to 1 (noise)",
        ),
        (lambda: build().denoiser()(randn(2, 1, 16, 16), 500), "Step k of T is the time k / T"),
        (lambda: al.fit(build((1, 8, 8)), digits(), steps=1), "takes images of shape (1, 8, 8)"),
    ],
)
def test_what_cannot_be_is_refused(do, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        do()
