"""Diffusion: noising, exact denoisers, single steps, and samplers held against cases whose answer is known. The oracles that every
sampler must pass, and the published faults that they notice, stand in test_published_faults.py.
"""

import math
from itertools import pairwise

import pytest
import torch

import aigc_lessons as al
from aigc_lessons.diffusion import (
    ddim,
    ddim_step,
    ddpm,
    exact_denoiser,
    noised,
    posterior,
    schedule,
    schedule_of_betas,
    windowed_denoiser,
)

PAIRS = [
    (0.3, 0.8),
    (1e-4, 0.02),
    (0.9, 0.999),
    (0.5, 1.0),
    (0.0, 0.4),
    (1e-9, 1.0),
]  # abar at a time, and at one before


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def exact(data):
    """The exact denoiser of some data (M, ...), as samplers take it."""
    flat = data.flatten(1)
    return lambda x, t: exact_denoiser(x.flatten(1), *schedule(t), flat).view_as(x)


def of_gaussian(mean, std):
    """The exact denoiser of N(mean, std^2): for jointly Gaussian x and x_t it is linear."""

    def denoiser(x, t):
        a, s = schedule(t)
        return mean + a * std**2 / (a**2 * std**2 + s**2) * (x - a * mean)

    return denoiser


# Schedules


def test_the_schedule_goes_from_data_to_noise():
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    a, s = schedule(t)
    assert (a[0], s[0]) == (1, 0) and a[-1].abs() < 1e-15 and s[-1] == 1
    torch.testing.assert_close(a**2 + s**2, torch.ones_like(t))
    assert (a.diff() < 0).all() and (s.diff() > 0).all()


def test_the_schedule_by_hand():
    a, s = schedule(torch.tensor([1 / 3, 1 / 2, 2 / 3]))
    torch.testing.assert_close(a, torch.tensor([math.sqrt(3) / 2, math.sqrt(0.5), 0.5]))
    torch.testing.assert_close(s, torch.tensor([0.5, math.sqrt(0.5), math.sqrt(3) / 2]))
    assert schedule(torch.zeros(3, 2))[0].shape == (3, 2) and schedule(0.5)[0].shape == ()


@pytest.mark.parametrize("steps", [1, 7, 1000])
def test_betas_are_what_is_lost_in_each_step(steps):
    betas = torch.rand(steps, generator=torch.Generator().manual_seed(steps), dtype=torch.float64) * 0.5 + 0.01
    of_betas = schedule_of_betas(betas)
    a, s = of_betas(torch.arange(steps + 1, dtype=torch.float64) / steps)
    assert (a[0], s[0]) == (1, 0)
    torch.testing.assert_close(1 - (a[1:] / a[:-1]) ** 2, betas)
    torch.testing.assert_close(a**2 + s**2, torch.ones_like(a))


@pytest.mark.parametrize("betas", [[0.1, 0.0], [0.1, 1.0], [float("nan")], [], [[0.1]]])
def test_betas_that_are_none_are_refused(betas):
    with pytest.raises(ValueError, match="above 0 and below 1"):
        schedule_of_betas(betas)


@pytest.mark.parametrize("shape", [(4, 1, 3, 3), (5, 2), (3,)])
def test_noised_mixes_each_item_by_its_own_time(shape):
    x, noise = randn(*shape), randn(*shape, seed=1)
    a, s = schedule(torch.linspace(0, 1, shape[0], dtype=torch.float64))
    got = noised(x, noise, a, s)
    assert got.shape == shape
    for i in range(shape[0]):
        torch.testing.assert_close(got[i], a[i] * x[i] + s[i] * noise[i])
    torch.testing.assert_close(got[0], x[0])
    torch.testing.assert_close(got[-1], noise[-1])


def test_noise_keeps_the_variance_of_data_of_variance_1():
    x, noise, (a, s) = randn(100_000), randn(100_000, seed=1), schedule(torch.full((100_000,), 0.3).double())
    assert noised(x, noise, a, s).std().item() == pytest.approx(1, abs=0.01)


# The best denoiser


@pytest.mark.parametrize(("n", "m", "d", "t"), [(1, 1, 1, 0.5), (5, 7, 3, 0.3), (4, 9, 16, 0.8), (3, 4, 2, 0.99)])
def test_the_exact_denoiser_is_the_mean_by_bayes(n, m, d, t):
    x, data, (a, s) = randn(n, d), randn(m, d, seed=1), schedule(t)
    likelihood = torch.distributions.Normal(a * data, s).log_prob(x[:, None]).sum(2).exp()  # (n, m)
    want = (likelihood / likelihood.sum(1, keepdim=True)) @ data
    torch.testing.assert_close(exact_denoiser(x, a, s, data), want)


def test_of_one_picture_the_answer_is_that_picture():
    c = randn(1, 6)
    for t in (1e-3, 0.5, 1.0):
        torch.testing.assert_close(exact_denoiser(3 * randn(5, 6, seed=1), *schedule(t), c), c.expand(5, 6))


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_of_two_opposite_points_the_answer_is_a_tanh(t):
    c, x, (a, s) = randn(1, 4), randn(6, 4, seed=1), schedule(t)
    want = c * torch.tanh(a * (x @ c.T) / s**2)
    torch.testing.assert_close(exact_denoiser(x, a, s, torch.cat([c, -c])), want)


def test_in_pure_noise_the_best_guess_is_the_mean():
    data = randn(9, 5)
    torch.testing.assert_close(exact_denoiser(randn(4, 5, seed=1), *schedule(1.0), data), data.mean(0).expand(4, 5))


def test_the_order_of_the_data_changes_nothing():
    x, data = randn(4, 5), randn(9, 5, seed=1)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    a, s = schedule(0.4)
    torch.testing.assert_close(exact_denoiser(x, a, s, data[order]), exact_denoiser(x, a, s, data))
    torch.testing.assert_close(exact_denoiser(x, a, s, data.repeat(2, 1)), exact_denoiser(x, a, s, data))


@pytest.mark.parametrize("s", [1e-3, 1e-6])
def test_nearly_without_noise_it_is_finite_and_the_nearest_picture(s):
    data = randn(20, 64, dtype=torch.float32)
    got = exact_denoiser(data[:5] + s * randn(5, 64, seed=1, dtype=torch.float32), 1.0, s, data)
    torch.testing.assert_close(got, data[:5])


def test_no_function_of_what_is_seen_has_a_smaller_squared_error():
    """The derivative of the expected error along any direction is 0: the error is orthogonal to every function of x_t."""
    data, (a, s) = randn(4, 1), schedule(0.4)
    grid = torch.linspace(-8, 8, 8001, dtype=torch.float64)[:, None]
    density = torch.distributions.Normal(a * data[:, 0], s).log_prob(grid).exp() / 4  # (grid, data): joint
    for function in (torch.ones_like(grid), grid, grid.sin(), grid.abs()):
        error = (exact_denoiser(grid, a, s, data) - data[:, 0]) * function
        assert abs((density * error).sum().item() * 0.002) < 1e-9


@pytest.mark.parametrize("t", [0.2, 0.7])
def test_the_score_is_the_way_to_the_denoisers_answer(t):
    """Tweedie: grad log p(x_t) = (a D(x_t) - x_t) / s^2."""
    data, x, (a, s) = randn(7, 3), randn(5, 3, seed=1).requires_grad_(), schedule(t)
    log_p = torch.distributions.Normal(a * data, s).log_prob(x[:, None]).sum(2).logsumexp(1)
    (score,) = torch.autograd.grad(log_p.sum(), x)
    torch.testing.assert_close((a * exact_denoiser(x, a, s, data) - x) / s**2, score)


@pytest.mark.parametrize(("channels", "side"), [(1, 4), (3, 5)])
def test_a_window_that_holds_everything_is_the_exact_denoiser(channels, side):
    data, x, (a, s) = randn(6, channels, side, side), randn(4, channels, side, side, seed=1), schedule(0.5)
    want = exact_denoiser(x.flatten(1), a, s, data.flatten(1)).view_as(x)
    torch.testing.assert_close(windowed_denoiser(x, a, s, data, 2 * side - 1), want)
    assert not torch.allclose(windowed_denoiser(x, a, s, data, 2 * side - 3), want)


@pytest.mark.parametrize("window", [1, 3, 5])
def test_a_pixel_of_a_windowed_answer_is_the_exact_answer_to_its_window(window):
    data, x, (a, s), r = randn(6, 2, 5, 4), randn(3, 2, 5, 4, seed=1), schedule(0.6), window // 2
    got = windowed_denoiser(x, a, s, data, window)
    for i, j in ((0, 0), (2, 3), (4, 1)):
        cut = (..., slice(max(0, i - r), i + r + 1), slice(max(0, j - r), j + r + 1))
        weights = torch.distributions.Normal(a * data[cut].flatten(1), s).log_prob(x[cut].flatten(1)[:, None])
        want = weights.sum(2).softmax(1) @ data[..., i, j]
        torch.testing.assert_close(got[..., i, j], want)


def test_what_lies_outside_the_window_changes_nothing():
    data, x = randn(6, 1, 7, 7), randn(1, 1, 7, 7, seed=1).requires_grad_()
    (gradient,) = torch.autograd.grad(windowed_denoiser(x, *schedule(0.5), data, 3)[0, 0, 3, 3], x)
    assert (gradient[0, 0, 2:5, 2:5] != 0).all() and gradient.count_nonzero() == 9


@pytest.mark.parametrize("window", [0, 2, -1])
def test_an_even_window_is_refused(window):
    with pytest.raises(ValueError, match="odd"):
        windowed_denoiser(randn(1, 1, 4, 4), 0.5, 0.5, randn(2, 1, 4, 4), window)


# One step


@pytest.mark.parametrize(("abar_t", "abar_prev"), PAIRS)
def test_the_posterior_is_the_joint_gaussian_of_two_steps_conditioned(abar_t, abar_prev):
    """Given x0, x_prev and x_t = root(alpha) x_prev + root(1 - alpha) noise are jointly Gaussian: condition the 2x2 matrix."""
    alpha = abar_t / abar_prev
    means = math.sqrt(abar_prev), math.sqrt(abar_t)
    prev, cross, now = 1 - abar_prev, math.sqrt(alpha) * (1 - abar_prev), 1 - abar_t
    x0, x_t = randn(5), randn(5, seed=1)
    mean, variance = posterior(x0, x_t, abar_t, abar_prev)
    torch.testing.assert_close(mean, means[0] * x0 + cross / now * (x_t - means[1] * x0))
    assert variance == pytest.approx(prev - cross**2 / now, rel=1e-9, abs=1e-15)


def test_the_posterior_by_hand():
    mean, variance = posterior(torch.tensor([2.0]), torch.tensor([1.0]), 0.25, 0.64)
    # alpha .390625; of data .8 (1 - alpha) / .75 = .65; of x_t .625 * .36 / .75 = .3
    assert mean.item() == pytest.approx(0.65 * 2 + 0.3) and variance == pytest.approx(0.36 * 0.609375 / 0.75)


@pytest.mark.parametrize(("abar_t", "abar_prev"), PAIRS)
def test_ddim_with_all_noise_drawn_anew_is_the_posterior(abar_t, abar_prev):
    now, then = ((math.sqrt(v), math.sqrt(1 - v)) for v in (abar_t, abar_prev))
    x0, x, noise = (randn(2, 3, seed=seed) for seed in range(3))
    mean, variance = posterior(x0, x, abar_t, abar_prev)
    torch.testing.assert_close(ddim_step(x, x0, now, then, 1.0, noise), mean + math.sqrt(variance) * noise)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("abar_t", "abar_prev"), PAIRS)
def test_a_step_keeps_the_variance_of_the_noise(abar_t, abar_prev, eta):
    """With x = a x0 + s e the step is a' x0 + kept e + sigma noise, and kept^2 + sigma^2 = s'^2."""
    now, then = ((math.sqrt(v), math.sqrt(1 - v)) for v in (abar_t, abar_prev))
    one, zero = torch.ones(()).double(), torch.zeros(()).double()
    step = lambda x0, e, noise: ddim_step(now[0] * x0 + now[1] * e, x0, now, then, eta, noise)
    assert step(one, zero, zero) == pytest.approx(then[0])
    assert step(zero, one, zero) ** 2 + step(zero, zero, one) ** 2 == pytest.approx(then[1] ** 2, abs=1e-12)
    assert (step(zero, zero, one) == 0) == (eta == 0 or then[1] == 0)


def test_a_step_without_fresh_noise_by_hand():
    # a .6, s .8: the noise in x is (1.4 - .6 * 1) / .8 = 1; then .8 * 1 + .6 * 1
    got = ddim_step(torch.tensor([1.4]), torch.tensor([1.0]), (0.6, 0.8), (0.8, 0.6), 0, torch.tensor([9.0]))
    torch.testing.assert_close(got, torch.tensor([1.4]))


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_step_to_time_0_returns_the_guess(eta):
    x0 = randn(3, 2)
    got = ddim_step(randn(3, 2, seed=1), x0, schedule(0.3), schedule(0.0), eta, randn(3, 2, seed=2))
    torch.testing.assert_close(got, x0)
    mean, variance = posterior(x0, randn(3, 2, seed=1), 0.4, 1.0)
    torch.testing.assert_close(mean, x0)
    assert variance == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_are_finite_from_pure_noise_on(dtype):
    """a(1) is 0 up to rounding, and may be negative."""
    now, then = schedule(torch.ones((), dtype=dtype)), schedule(torch.tensor(0.99, dtype=dtype))
    x0, x, noise = (randn(4, seed=seed, dtype=dtype) for seed in range(3))
    for eta in (0.0, 0.5, 1.0):
        got = ddim_step(x, x0, now, then, eta, noise)
        assert got.isfinite().all() and got.dtype == dtype


# Samplers. Each takes (denoiser, noise, steps, schedule=, generator=).

C = torch.tensor([0.7, -0.3, 1.0, -1.0], dtype=torch.float64)
Z = randn(500, 4, seed=5)


def stochastic(sampler):
    return lambda *given, **named: sampler(*given, generator=torch.Generator().manual_seed(3), **named)


RIGHT = {
    "DDPM": stochastic(ddpm),
    "DDIM": ddim,
    "DDIM, eta 0.5": stochastic(lambda *given, **named: ddim(*given, eta=0.5, **named)),
    "DDIM, eta 1": stochastic(lambda *given, **named: ddim(*given, eta=1.0, **named)),
}


def test_the_exact_denoiser_of_one_point_says_so_too():
    got = RIGHT["DDPM"](exact(C[None]), Z, 20)
    torch.testing.assert_close(got, C.expand(500, 4))


def test_ddim_without_fresh_noise_draws_nothing():
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    state = torch.get_rng_state()
    ddim(exact(C[None]), Z, 5, generator=generator)
    assert torch.equal(generator.get_state(), before) and torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("steps", [3, 20])
def test_ddim_with_eta_1_is_ddpm(steps):
    data = randn(6, 4, seed=2)
    torch.testing.assert_close(RIGHT["DDIM, eta 1"](exact(data), Z, steps), RIGHT["DDPM"](exact(data), Z, steps))


def test_every_sample_of_the_exact_denoiser_is_one_of_the_data_equally_often():
    data = 2 * torch.eye(4, dtype=torch.float64)
    for name in ("DDPM", "DDIM"):
        distance, nearest = torch.cdist(RIGHT[name](exact(data), randn(4000, 4), 50), data).min(1)
        assert distance.max() < 1e-6
        counts = nearest.bincount(minlength=4)
        assert (counts - 1000).abs().max() < 5 * math.sqrt(4000 * 3 / 16)


def test_the_spread_of_ddpm_is_what_its_steps_add_up_to():
    """For N(0, c^2) each step is linear: the variance after it is slope^2 times the one before, plus what is drawn."""
    c, steps = 0.5, 30
    variance = 1.0
    times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    for t, then in pairwise(times):
        (a, s), (a_then, _) = schedule(t), schedule(then)
        (slope, _), (_, drawn) = (posterior(v, torch.ones(()).double(), a**2, a_then**2) for v in _guess_of(c, a, s))
        variance = float(slope) ** 2 * variance + float(drawn)
    x = ddpm(of_gaussian(0.0, c), randn(100_000), steps, generator=torch.Generator().manual_seed(1))
    assert x.var().item() == pytest.approx(variance, rel=5 * math.sqrt(2 / 100_000))
    assert variance == pytest.approx(c**2, rel=0.2)


def _guess_of(c, a, s):
    guess = a * c**2 / (a**2 * c**2 + s**2)
    return guess, guess


def test_a_chain_of_a_thousand_betas_ends_in_the_data_too():
    of_betas = schedule_of_betas(torch.linspace(1e-4, 0.02, 1000))
    got = stochastic(ddpm)(lambda x, t: C.expand_as(x), Z, 1000, schedule=of_betas)
    assert (got - C).abs().max() < 1e-12


def test_the_loss_of_the_noise_is_the_loss_of_v_times_a_squared():
    """Of any answer v of a network, and the noise that follows from it."""
    x, noise, said, (a, s) = randn(6), randn(6, seed=1), randn(6, seed=2), schedule(0.8)
    x_t, v = a * x + s * noise, a * noise - s * x
    torch.testing.assert_close(s * x_t + a * said - noise, a * (said - v))


@pytest.mark.parametrize(("window", "copies"), [(3, 0), (5, 0), (15, 16)])
def test_a_short_sight_makes_pictures_that_are_not_in_the_data(window, copies):
    data = al.data.load("digits-8x8", size=8).images[:300]
    x = ddim(lambda x, t: windowed_denoiser(x, *schedule(t), data, window), randn(16, 1, 8, 8).float(), 10)
    distance = torch.cdist(x.flatten(1), data.flatten(1)).min(1).values
    assert (distance < 0.1).sum() == copies and x.abs().max() <= 1 + 1e-6


# Bad input


@pytest.mark.parametrize("sampler", [ddpm, ddim])
@pytest.mark.parametrize("steps", [0, -3, 2.5, True])
def test_no_steps_are_refused(sampler, steps):
    with pytest.raises(ValueError, match=rf"{sampler.__name__}\(steps={steps}.*from 1 up"):
        sampler(exact(C[None]), Z, steps)


@pytest.mark.parametrize("sampler", [ddpm, ddim])
@pytest.mark.parametrize(
    ("start", "says"), [(1.5, "times from 1.5"), (-0.1, "-0.1"), (0, "time 0 is data"), (float("nan"), "nan")]
)
def test_times_outside_are_refused(sampler, start, says):
    with pytest.raises(ValueError, match=says):
        sampler(exact(C[None]), Z, 5, start=start)


@pytest.mark.parametrize("sampler", [ddpm, ddim])
def test_a_schedule_whose_end_is_not_noise_is_refused(sampler):
    """40 steps with the betas of a chain of 1000 (rohitg00/ai-engineering-from-scratch; zoubohao/DenoisingDiffusionProbabilityModel #14)."""
    betas = torch.linspace(1e-4, 0.02, 40)
    with pytest.raises(ValueError, match=r"alpha-bar = a\^2 is 0\.667.*at most 0\.001"):
        sampler(exact(C[None]), Z, 40, schedule=schedule_of_betas(betas))
    sampler(exact(C[None]), Z, 40, schedule=schedule_of_betas(betas * 1000 / 40))  # rescaled: fine
    sampler(exact(C[None]), Z, 40, start=0.5, schedule=schedule_of_betas(betas))  # who starts from noised data may


@pytest.mark.parametrize("eta", [-0.1, 1.01, float("nan")])
def test_an_eta_that_is_none_is_refused(eta):
    with pytest.raises(ValueError, match="from 0"):
        ddim(exact(C[None]), Z, 5, eta=eta)
