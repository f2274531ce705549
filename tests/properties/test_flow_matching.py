"""Flows against what is known exactly: where they land, pairs by transport, straightness, likelihood. The oracles that every sampler must
pass, and the published faults that they notice, stand in test_published_faults.py.
"""

import itertools
import math

import pytest
import torch

from aigc_lessons import flows

SAMPLERS = {
    solver: lambda velocity, noise, steps, solver=solver: flows.flow_sample(velocity, noise, steps, solver)
    for solver in ("euler", "heun")
}


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def of_a_point(c):
    """All data are c: x = (1 - t) c + t noise says what the noise is, and noise - c is the velocity."""
    return lambda x, t: (x - c) / t


def of_a_gaussian(mean, std):
    """The mean of noise - x, given (1 - t) x + t noise, for data from N(mean, std^2)."""

    def velocity(x, t):
        variance = (1 - t) ** 2 * std**2 + t**2
        return (t - (1 - t) * std**2) / variance * (x - (1 - t) * mean) - mean

    return velocity


def of_a_mixture(means, std):
    """The same for data from a mixture of N(means[k], std^2) in one dimension, all equally likely; x (N, 1)."""

    def velocity(x, t):
        variance = (1 - t) ** 2 * std**2 + t**2
        weights = (-((x - (1 - t) * means) ** 2) / (2 * variance)).softmax(1)  # (N, K)
        return (weights * of_a_gaussian(means, std)(x, t)).sum(1, keepdim=True)

    return velocity


def test_one_euler_step_lands_on_the_mean_of_the_data():
    """At t = 1 the noise says nothing about its picture: the best velocity is noise - mean."""
    means = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64)
    landed = SAMPLERS["euler"](of_a_mixture(means, 0.1), randn(20, 1), 1)
    torch.testing.assert_close(landed, torch.full_like(landed, means.mean()))


def test_heun_on_the_last_step_keeps_half_of_its_noise():
    """Where the velocity at t = 0 is the mean over all noise, minus x, as for data with a density: grain of dt / 2."""
    c, dt, z = 0.4, 0.2, randn(1_000)
    at_the_end = lambda x, t: -x if t < 1e-12 else (x - c) / t
    x = (1 - dt) * c + dt * z
    torch.testing.assert_close(flows.heun_step(at_the_end, x, dt, dt), c + dt / 2 * z)
    torch.testing.assert_close(flows.euler_step(at_the_end, x, dt, dt), torch.full_like(z, c))


def test_following_the_mean_velocity_keeps_the_distribution():
    """A mixture of two Gaussians out of noise: shares, means and spreads, by quantiles (which order noise and data alike)."""
    means = torch.tensor([-1.0, 2.0], dtype=torch.float64)
    z = torch.special.ndtri((torch.arange(2_000, dtype=torch.float64) + 0.5) / 2_000)[:, None]
    x = SAMPLERS["heun"](of_a_mixture(means, 0.3), z, 200)[:, 0]
    cdf = torch.special.ndtr((x[:, None] - means) / 0.3).mean(1)
    assert (cdf - torch.special.ndtr(z[:, 0])).abs().max() < 1e-3


# Pairs by transport


def total(x, noise, p):
    return (x - noise[p]).square().sum().item()


@pytest.mark.parametrize("shape", [(7, 2), (6, 1, 2, 3), (7, 1), (1, 4)])
def test_transport_is_the_best_of_all_permutations(shape):
    for seed in range(3):
        x, noise = randn(*shape, seed=seed), randn(*shape, seed=seed + 50)
        best = min(total(x, noise, list(p)) for p in itertools.permutations(range(shape[0])))
        p = flows.pair_by_transport(x, noise)
        assert p.dtype == torch.int64 and sorted(p.tolist()) == list(range(shape[0]))
        assert total(x, noise, p) == pytest.approx(best)


def test_transport_on_a_line_pairs_by_rank():
    x, noise = randn(200, seed=1), randn(200, seed=2)
    p = flows.pair_by_transport(x, noise)
    assert torch.equal(noise[p].argsort(), x.argsort())


def test_transport_depends_on_neither_order_nor_place_nor_scale():
    x, noise, order = randn(30, 3, seed=1), randn(30, 3, seed=2), torch.randperm(30)
    p = flows.pair_by_transport(x, noise)
    assert torch.equal(noise[order][flows.pair_by_transport(x, noise[order])], noise[p])
    assert torch.equal(flows.pair_by_transport(x[order], noise), p[order])  # so that labels may stay with their x
    assert torch.equal(flows.pair_by_transport(3 * x + 5, noise - 2), p)


def test_transport_in_float32_on_many_pictures():
    x, noise = randn(256, 1, 8, 8, seed=1).float(), randn(256, 1, 8, 8, seed=2).float()
    p = flows.pair_by_transport(x, noise)
    assert total(x, noise, p) < total(x, noise, torch.arange(256))


@pytest.mark.parametrize("noise", [torch.zeros(4, 2), torch.zeros(3, 3), torch.full((3, 2), float("nan"))])
def test_transport_refuses_what_has_no_pairs(noise):
    with pytest.raises(ValueError, match="Accepted"):
        flows.pair_by_transport(torch.zeros(3, 2), noise)


# Straightness


def test_curvature():
    z = randn(4_000)
    assert flows.curvature(of_a_point(0.4), z, 10) < 1e-20
    std = 0.5  # x = z sigma(t), whose mean velocity is z (1 - std)
    times = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    slope = (times - (1 - times) * std**2) / ((1 - times) ** 2 * std**2 + times**2).sqrt()
    want = ((slope - (1 - std)) ** 2).mean() / (1 - std) ** 2
    assert flows.curvature(of_a_gaussian(0.0, std), z, 200) == pytest.approx(want.item(), rel=0.03)


# The likelihood


def log_normal(x, mean, std):
    return -(((x - mean) / std) ** 2) / 2 - math.log(std) - math.log(2 * math.pi) / 2


@pytest.mark.parametrize("dims", [1, 3])
def test_likelihood_of_a_gaussian(dims):
    x = 0.3 + 0.5 * randn(50, dims)
    want = log_normal(x, 0.3, 0.5).sum(1)
    errors = [(flows.log_likelihood(of_a_gaussian(0.3, 0.5), x, n) - want).abs().max().item() for n in (50, 100, 200)]
    assert errors[-1] < 1e-3 * dims and all(3.2 < a / b < 4.5 for a, b in itertools.pairwise(errors))


def test_likelihood_of_a_mixture_and_its_integral():
    means, std = torch.tensor([-1.0, 2.0], dtype=torch.float64), 0.3
    x = torch.linspace(-4, 5, 901, dtype=torch.float64)[:, None]
    said = flows.log_likelihood(of_a_mixture(means, std), x, 400).exp()
    want = log_normal(x, means, std).exp().mean(1)
    assert (said - want).abs().max() < 2e-3
    assert torch.trapezoid(said, x[:, 0]).item() == pytest.approx(1, abs=1e-3)


def test_divergence_is_the_trace_of_the_jacobian():
    weight, x = randn(3, 3, seed=5), randn(4, 3, seed=6)
    v, growth = flows.divergence(lambda x, t: torch.tanh(x @ weight) * t, x, 0.7)
    jacobian = torch.autograd.functional.jacobian(lambda x: torch.tanh(x @ weight) * 0.7, x)  # (4, 3, 4, 3)
    torch.testing.assert_close(growth, torch.stack([jacobian[i, :, i].trace() for i in range(4)]))
    torch.testing.assert_close(v, torch.tanh(x @ weight) * 0.7)


def test_a_likelihood_leaves_no_graph_behind():
    net = torch.nn.Linear(2, 2).double()
    with torch.no_grad():
        said = flows.log_likelihood(lambda x, t: net(x), randn(3, 2), 2)
    assert not said.requires_grad and net.weight.grad is None


@pytest.mark.parametrize("steps", [0, -1, 2.5, True])
def test_no_steps(steps):
    for call in (flows.curvature, flows.log_likelihood):
        with pytest.raises(ValueError, match="accepted is a whole number"):
            call(of_a_gaussian(0.0, 1.0), randn(3, 1), steps)


def test_pairs_decide_whether_one_step_is_enough():
    """Two bunches of numbers at -2 and 2, a small network, 300 steps: one Euler step from pairs as drawn ends near the mean, 0."""

    def trained(paired):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.SiLU(), torch.nn.Linear(64, 64), torch.nn.SiLU())
        net.append(torch.nn.Linear(64, 1))
        optimizer = torch.optim.Adam(net.parameters(), 5e-3)
        for _ in range(300):
            x, noise, t = (
                2 * torch.randn(64, 1).sign() + 0.1 * torch.randn(64, 1),
                torch.randn(64, 1),
                torch.rand(64),
            )
            if paired:
                noise = noise[flows.pair_by_transport(x, noise)]
            said = net(torch.cat([flows.interpolate(x, noise, t), t[:, None]], 1))
            optimizer.zero_grad()
            flows.flow_loss(said, x, noise).backward()
            optimizer.step()
        velocity = lambda x, t: net(torch.cat([x, torch.full_like(x, t)], 1))
        with torch.no_grad():
            z = torch.randn(500, 1)
            return SAMPLERS["euler"](velocity, z, 1), flows.curvature(velocity, z, 20)

    (drawn, bent), (straight, least) = trained(False), trained(True)
    assert drawn.std() < 0.6 and straight.std() > 1.5  # the data's is 2
    assert least < bent / 4
