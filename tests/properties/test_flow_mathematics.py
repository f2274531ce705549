"""Flows against data whose velocity is known exactly: one point, a Gaussian, straight pairs; each step by hand; guidance."""

import pytest
import torch
from torch.autograd import gradcheck

from aigc_lessons import flows


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def gaussian_velocity(mean, std):
    """E[noise - x | x_t] for x ~ N(mean, std^2) and noise ~ N(0, 1), by conditioning the joint Gaussian."""

    def velocity(x_t, t):
        variance = (1 - t) ** 2 * std**2 + t**2
        off = (x_t - (1 - t) * mean) / variance
        return t * off - (mean + (1 - t) * std**2 * off)

    return velocity


def point_velocity(point):
    """All data is one point: x_t = (1 - t) point + t noise, so noise - point = (x_t - point) / t."""
    return lambda x, t: (x - point) / t


SOLVERS = ("euler", "heun")
solvers = pytest.mark.parametrize("solver", SOLVERS)


# The line between a picture and noise


def test_a_line_has_its_ends_and_its_velocity():
    x, noise = randn(4, 3, 2, 5), randn(4, 3, 2, 5, seed=1)
    torch.testing.assert_close(flows.interpolate(x, noise, torch.zeros(4)), x, rtol=0, atol=0)
    torch.testing.assert_close(flows.interpolate(x, noise, torch.ones(4)), noise, rtol=0, atol=0)
    t = torch.tensor([0.1, 0.4, 0.7, 1.0], dtype=torch.float64)
    for i in range(4):  # each sample has its own time, and a number stands for all
        torch.testing.assert_close(flows.interpolate(x, noise, t)[i], flows.interpolate(x, noise, t[i].item())[i])
    ahead, here = flows.interpolate(x, noise, t + 1e-6), flows.interpolate(x, noise, t)
    torch.testing.assert_close((ahead - here) / 1e-6, flows.velocity_target(x, noise), rtol=1e-6, atol=1e-6)


def test_the_line_by_hand():
    x, noise = torch.tensor([[2.0], [-1.0]]), torch.tensor([[10.0], [3.0]])
    assert flows.interpolate(x, noise, torch.tensor([0.25, 0.5])).tolist() == [[4.0], [1.0]]
    assert flows.velocity_target(x, noise).tolist() == [[8.0], [4.0]]
    assert flows.flow_loss(torch.tensor([[8.0], [7.0]]), x, noise).item() == 4.5


def test_the_loss_is_a_mean_with_the_gradient_of_one():
    velocity, x, noise = randn(3, 2), randn(3, 2, seed=1), randn(3, 2, seed=2)
    assert flows.flow_loss(noise - x, x, noise) == 0
    many = [v.repeat(5, 1) for v in (velocity, x, noise)]
    torch.testing.assert_close(flows.flow_loss(*many), flows.flow_loss(velocity, x, noise))
    assert gradcheck(flows.flow_loss, [v.requires_grad_() for v in (velocity, x, noise)])


def test_the_best_velocity_has_a_known_loss_that_is_not_zero():
    """x ~ N(0, s^2): the least mean squared error at time t is the conditional variance of noise - x."""
    s, t, n = 0.5, 0.3, 400_000
    x, noise = s * randn(n), randn(n, seed=1)
    x_t = flows.interpolate(x, noise, t)
    loss = flows.flow_loss(gaussian_velocity(0.0, s)(x_t, t), x, noise).item()
    covariance = t - (1 - t) * s**2  # of noise - x with x_t
    least = 1 + s**2 - covariance**2 / ((1 - t) ** 2 * s**2 + t**2)
    assert loss == pytest.approx(least, rel=0.01) and least > 0.5


# Steps and samplers


def test_steps_by_hand():
    """velocity(x, t) = x + 10 t from t = 0.5 by 0.25: x = 2 moves at 7; there, at t = 0.25, the velocity is 0.25 + 2.5."""
    velocity = lambda x, t: x + 10 * t
    x = torch.tensor([2.0])
    assert flows.euler_step(velocity, x, 0.5, 0.25).item() == 0.25
    assert flows.heun_step(velocity, x, 0.5, 0.25).item() == 2 - 0.25 * (7 + 2.75) / 2


def test_two_steps_by_hand():
    """Times 1 and 0.5, each velocity at the beginning of its step; Heun takes its first step by both ends, its last like Euler."""
    velocity = lambda x, t: 2 * x + t
    x = torch.tensor([1.0])  # Euler: 1 - 0.5 * 3 = -0.5, then -0.5 - 0.5 * (-1 + 0.5) = -0.25
    assert flows.flow_sample(velocity, x, 2, "euler").item() == -0.25
    # Heun: the velocity at (-0.5, 0.5) is -0.5: 1 - 0.5 * (3 - 0.5) / 2 = 0.375; then 0.375 - 0.5 * (0.75 + 0.5) = -0.25
    assert flows.flow_sample(velocity, x, 2, "heun").item() == -0.25


@solvers
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_sampler_goes_from_one_to_zero_and_counts_its_questions(solver, steps):
    asked = []

    def one(x, t):
        asked.append(t)
        return torch.ones_like(x)

    x = flows.flow_sample(one, torch.zeros(2, 3), steps, solver)
    torch.testing.assert_close(x, torch.full((2, 3), -1.0))  # all of the time from 1 to 0, once
    assert len(asked) == (steps if solver == "euler" else 2 * steps - 1)
    assert asked[0] == 1 and min(asked) == pytest.approx(1 / steps)  # never at t = 0


@solvers
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_one_point_is_found_exactly(solver, steps):
    point = randn(1, 6, seed=3)
    x = flows.flow_sample(point_velocity(point), randn(5, 6), steps, solver)
    torch.testing.assert_close(x, point.expand(5, 6), rtol=0, atol=1e-12)


@solvers
def test_straight_pairs_need_one_step(solver):
    """x = s z belongs to noise z: the line at time t is (s + t - s t) z, and its velocity (1 - s) z."""
    s, z = 0.3, randn(5, 4)
    velocity = lambda x, t: (1 - s) * x / (s + t - s * t)
    torch.testing.assert_close(flows.flow_sample(velocity, z, 1, solver), s * z)


@pytest.mark.parametrize(("solver", "low", "high"), [("euler", 1.7, 2.3), ("heun", 3.3, 4.7)])
def test_a_gaussians_flow_map_and_the_order_of_the_solvers(solver, low, high):
    """The exact map of N(0, 1) to N(m, s^2) is m + s z; twice the steps: half the error by Euler, a quarter by Heun."""
    m, s, z = 0.7, 0.5, randn(200)
    error = [
        (flows.flow_sample(gaussian_velocity(m, s), z, n, solver) - (m + s * z)).abs().max().item()
        for n in (40, 80, 160)
    ]
    assert all(low < a / b < high for a, b in zip(error, error[1:]))


@pytest.mark.parametrize("steps", [0, -1, 2.5])
def test_without_steps_there_is_no_sample(steps):
    with pytest.raises(ValueError, match=r"accepted is a whole number of steps, 1 or more"):
        flows.flow_sample(lambda x, t: x, torch.zeros(1), steps)
    with pytest.raises(ValueError, match="accepted are 'euler' and 'heun'"):
        flows.flow_sample(lambda x, t: x, torch.zeros(1), 2, "rk4")


# Guidance


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_guidance_of_zero_and_one_is_exact(dtype):
    u, c = randn(1_000).to(dtype), randn(1_000, seed=1).to(dtype)
    assert torch.equal(flows.guided(u, c, 0), u) and torch.equal(flows.guided(u, c, 1), c)
    assert torch.equal(flows.guided(c, c, 7.5), c)


@pytest.mark.parametrize("w", [-1.0, 0.4, 1.5, 3.0, 8.0])
def test_guidance_is_linear(w):
    u, c = randn(4, 3), randn(4, 3, seed=1)
    torch.testing.assert_close(flows.guided(u, c, w), u + w * (c - u))
    assert gradcheck(lambda u, c: flows.guided(u, c, w), [u.requires_grad_(), c.requires_grad_()])


@pytest.mark.parametrize("w", [0.0, 1.0, 2.0, 4.0])
def test_guidance_between_two_gaussians_of_one_width_moves_the_mean(w):
    """N(u, 1) and N(c, 1): the guided velocity is that of N(u + w (c - u), 1), at every w."""
    u, c, z = -0.5, 1.0, randn(100)
    without, told = gaussian_velocity(u, 1.0), gaussian_velocity(c, 1.0)
    x = flows.flow_sample(lambda x, t: flows.guided(without(x, t), told(x, t), w), z, 400)
    torch.testing.assert_close(x, u + w * (c - u) + z, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", [(4,), (4, 3)])
def test_each_sample_keeps_or_loses_its_own_label(shape):
    labels = torch.arange(1, 1 + torch.Size(shape).numel()).view(shape)
    before = labels.clone()
    dropped = flows.drop_labels(labels, torch.tensor([1.0, 0.0, 1.0, 0.0]), 99)
    assert torch.equal(labels, before)
    assert torch.equal(dropped[::2], labels[::2]) and (dropped[1::2] == 99).all() and dropped.dtype == torch.int64
