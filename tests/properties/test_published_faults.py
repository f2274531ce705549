"""Every sampler of the course, and every published fault, held against cases whose answer is known.

Samples look right under most faults: of data from N(0, 1/4) a right DDPM makes samples of standard deviation .5014, and one with noise
after its last step .5015. So a sampler is asked for what must be exact. Four kinds of oracle:

- a point: if all data are one number, every sampler ends there, whatever the steps;
- a Gaussian: the map from noise to data (or, with fresh noise, the spread of what is made) is known, and so is the order of the error;
- identities of one step: which times are asked about, what the first and the last step return, that all steps together last one unit;
- two steps, or one formula, by hand.

`FAULTS` holds each published fault as code beside the same code without it. A fault must fail the oracles named there; the code without
it, and the sampler of the course, must pass the same ones.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from unittest import mock

import pytest
import torch

from aigc_lessons import diffusion, flows
from aigc_lessons.diffusion import ddim, ddpm, posterior, schedule


def randn(*shape, seed=0):
    return torch.empty(shape, dtype=torch.float64).normal_(generator=torch.Generator().manual_seed(seed))


# Data whose best denoiser and best velocity are known


@dataclass(frozen=True)
class Known:
    """The best guess of the data for x_t = a x + s noise, and the best velocity for x_t = (1 - t) x + t noise."""

    denoiser: Callable
    velocity: Callable


C = torch.tensor([0.7, -0.3, 1.0, -1.0], dtype=torch.float64)
POINT = Known(lambda x, t: C.expand_as(x), lambda x, t: (x - C) / t)


def gaussian(mean, std):
    """Data from N(mean, std^2): jointly Gaussian with what is seen, so both are regression lines."""

    def denoiser(x, t):
        a, s = schedule(t)
        return mean + a * std**2 / (a**2 * std**2 + s**2) * (x - a * mean)

    def velocity(x, t):
        variance = (1 - t) ** 2 * std**2 + t**2
        return (t - (1 - t) * std**2) / variance * (x - (1 - t) * mean) - mean

    return Known(denoiser, velocity)


TWO = Known(lambda x, t: torch.tanh(schedule(t)[0] * x / schedule(t)[1] ** 2), None)  # the data are 1 and -1


# The samplers of the course: (known, noise, steps) -> samples


def by_denoiser(sampler, **given):
    return lambda known, z, steps: sampler(known.denoiser, z, steps, **given)


def by_velocity(solver):
    return lambda known, z, steps: flows.flow_sample(known.velocity, z, steps, solver)


DDPM, DDIM, EULER, HEUN = by_denoiser(ddpm), by_denoiser(ddim), by_velocity("euler"), by_velocity("heun")
DENOISING = {
    "ddpm": (DDPM, 1.0),
    "ddim": (DDIM, 0.0),
    "ddim, eta 0.4": (by_denoiser(ddim, eta=0.4), 0.4),
    "ddim, eta 1": (by_denoiser(ddim, eta=1.0), 1.0),
}
FLOWING = {"euler": (EULER, 1), "heun": (HEUN, 2)}
ALL = {name: run for name, (run, _) in (DENOISING | FLOWING).items()}


# Oracles: each says of a sampler whether it does what it must


def ends_at_the_point(run):
    z = randn(50, 4, seed=5)
    return all((run(POINT, z, steps) - C).abs().max() < 1e-9 for steps in (1, 2, 7, 20))


def divided_by(errors, order):
    """Whether the errors fall as the steps double, by about 2 to the power of the order."""
    low, high = {1: (1.75, 2.25), 2: (3.2, 4.5)}[order]
    return all(after > 0 and low < before / after < high for before, after in pairwise(errors))


def follows_the_map(order):
    """Without fresh noise: data N(m, c^2) come from z as m + c z, with an error of that order."""
    z = torch.linspace(-2, 2, 9, dtype=torch.float64)
    error = lambda run, steps: (run(gaussian(0.3, 0.5), z, steps) - (0.3 + 0.5 * z)).abs().max().item()
    return lambda run: divided_by([error(run, steps) for steps in (20, 40, 80, 160)], order)


def spread_of(run, steps, std=0.5):
    """The standard deviation of what a sampler with fresh noise makes of data N(0, std^2), exactly: no sample is drawn.

    For such data each step is linear, so a sample is a weighted sum of its start and of all that was drawn on the way. Row i of the
    batch is 1 in the i-th of these and 0 in the others: what comes out are the weights.
    """
    draws = iter(range(1, steps + 2))
    unit = lambda *shape, **kwargs: torch.eye(steps + 2, dtype=torch.float64)[next(draws)]
    with mock.patch.object(torch, "randn", unit):
        weights = run(gaussian(0.0, std), torch.eye(steps + 2, dtype=torch.float64)[0], steps)
    return weights.square().sum().sqrt().item()


def has_the_spread(run):
    """With fresh noise: the spread comes as near to that of the data as one likes, with an error of first order."""
    return divided_by([abs(spread_of(run, steps) - 0.5) for steps in (100, 200, 400)], 1)


def ends_in_its_last_guess(run, steps=6):
    """What the denoiser says last is returned as it is, without noise, whatever it says."""
    said = []
    ends = run(Known(lambda x, t: (said.append(randn(2, 4, seed=len(said))), said[-1])[1], None), randn(2, 4), steps)
    return bool((ends - said[-1]).abs().max() < 1e-9)


def visits_every_time(run, steps=5):
    times = []
    run(Known(lambda x, t: (times.append(float(t)), torch.zeros_like(x))[1], None), randn(2, 4), steps)
    return times == pytest.approx([1, 0.8, 0.6, 0.4, 0.2], abs=2e-3)


def takes_one_unit_of_time(run):
    """Under a constant velocity v, noise z becomes z - v."""
    z, v = randn(5, 3), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    constant = Known(None, lambda x, t: v.expand_as(x))
    return all(torch.allclose(run(constant, z, steps), z - v, atol=1e-12) for steps in (1, 2, 10, 50))


def begins_at_the_noise(run):
    """A single step goes along the velocity at t = 1."""
    z, known = randn(5, 3), gaussian(0.3, 0.5)
    return torch.allclose(run(known, z, 1), z - known.velocity(z, 1.0), atol=1e-12)


def two_steps_from_two_points(eta):
    """The data are 1 and -1, from t = 1 over t = 1/2 to 0; the best guess is tanh(a x / s^2).

    At t = 1 the guess is 0 and x is noise alone, so what is kept of it and what is drawn share the variance s^2 = 1/2 of t = 1/2.
    There a = s = root(1/2), and the guess, tanh(a x / s^2), is the answer.
    """
    start, drawn = 0.4, -1.3
    half = (math.sqrt(1 - eta**2) * start + eta * drawn) / math.sqrt(2)

    def holds(run):
        with mock.patch.object(torch, "randn", lambda *shape, **kwargs: torch.full((1,), drawn, dtype=torch.float64)):
            got = run(TWO, torch.full((1,), start, dtype=torch.float64), 2).item()
        return abs(got - math.tanh(math.sqrt(2) * half)) < 1e-9

    return holds


def two_steps_along_x_t(order):
    """The velocity is x t, from 1. Euler: 1 - 1/2, then 1/2 - 1/2 * 1/4. Heun: 1 - 1/4 (1 + 1/4), and Euler's for the last step."""
    want = {1: 0.375, 2: 0.6875 - 0.6875 / 4}[order]
    known = Known(None, lambda x, t: x * t)
    return lambda run: abs(run(known, torch.ones(1, dtype=torch.float64), 2).item() - want) < 1e-12


@pytest.mark.parametrize("name", ALL)
def test_data_of_one_point_come_back_exactly(name):
    assert ends_at_the_point(ALL[name])


@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("euler", 1), ("heun", 2)])
def test_gaussian_data_are_mapped_with_an_error_of_its_order(name, order):
    assert follows_the_map(order)(ALL[name])


@pytest.mark.parametrize("name", ["ddpm", "ddim, eta 0.4", "ddim, eta 1"])
def test_with_fresh_noise_the_spread_is_right_with_an_error_of_first_order(name):
    assert has_the_spread(ALL[name])


@pytest.mark.parametrize("name", DENOISING)
def test_identities_of_one_step_of_a_denoiser(name):
    assert ends_in_its_last_guess(ALL[name]) and visits_every_time(ALL[name])


@pytest.mark.parametrize("name", FLOWING)
def test_identities_of_one_step_of_a_flow(name):
    assert takes_one_unit_of_time(ALL[name]) and begins_at_the_noise(ALL[name])


@pytest.mark.parametrize("name", DENOISING)
def test_two_steps_of_a_denoiser_by_hand(name):
    run, eta = DENOISING[name]
    assert two_steps_from_two_points(eta)(run)


@pytest.mark.parametrize("name", FLOWING)
def test_two_steps_of_a_flow_by_hand(name):
    run, order = FLOWING[name]
    assert two_steps_along_x_t(order)(run)


# Oracles of what is no sampler


def keeps_the_variance(schedule):
    """a^2 + s^2 = 1 at every time."""
    a, s = schedule(torch.linspace(0.05, 0.95, 19, dtype=torch.float64))
    return bool(((a**2 + s**2 - 1).abs() < 1e-9).all())


def ends_in_noise(schedule):
    return float(schedule(1.0)[0]) ** 2 < 1e-3


def is_the_conditioned_gaussian(posterior):
    """Given x0, x_prev and x_t are jointly Gaussian: condition the 2x2 matrix of their covariances."""
    x0, x_t = randn(5), randn(5, seed=1)
    for abar_t, abar_prev in ((0.3, 0.8), (0.9, 0.999), (1e-4, 0.02), (0.5, 1.0)):
        root = math.sqrt(abar_t / abar_prev)
        prev, cross, now = 1 - abar_prev, root * (1 - abar_prev), 1 - abar_t
        mean, variance = posterior(x0, x_t, abar_t, abar_prev)
        want = math.sqrt(abar_prev) * x0 + cross / now * (x_t - math.sqrt(abar_t) * x0)
        if not (torch.allclose(mean, want, atol=1e-12) and abs(variance - (prev - cross**2 / now)) < 1e-12):
            return False
    return True


def is_the_density(log_likelihood):
    """Data N(0, 1/4), in nats."""
    x = 0.5 * randn(2_000)
    want = torch.distributions.Normal(0.0, 0.5).log_prob(x).mean()
    return abs(log_likelihood(gaussian(0.0, 0.5).velocity, x[:, None], 50).mean() - want) < 1e-3


def keeps_labels_with_pictures(pair):
    """Pictures of four classes at four places; pair(x, labels, noise) -> the pictures and labels of a batch."""
    labels = torch.arange(64) % 4
    x, labels = pair(5.0 * labels[:, None].double() + 0.1 * randn(64, 2), labels, randn(64, 2, seed=9))
    return torch.equal((x.mean(1) / 5).round().long(), labels)


# Forms of samplers in which faults can be planted


def ancestral(noise_at=lambda k: k > 1, visits=lambda k: True):
    """DDPM as it is usually written: mean (x - beta / root(1 - abar) e) / root(alpha), variance beta; k counts down to 1."""

    def run(known, noise, steps):
        x, abar = noise, schedule(torch.linspace(0, 0.999, steps + 1, dtype=torch.float64))[0] ** 2
        for k in filter(visits, range(steps, 0, -1)):
            alpha = abar[k] / abar[k - 1]
            e = (x - abar[k].sqrt() * known.denoiser(x, 0.999 * k / steps)) / (1 - abar[k]).sqrt()
            x = (x - (1 - alpha) / (1 - abar[k]).sqrt() * e) / alpha.sqrt()
            if noise_at(k):
                x = x + (1 - alpha).sqrt() * torch.randn(x.shape, dtype=x.dtype)
        return x

    return run


def usual_sigma(abar, then, eta):
    return eta * ((1 - then) / (1 - abar) * (1 - abar / then)) ** 0.5


def clamped_rest(abar, then, sigma):
    return (1 - then - sigma**2).clamp(min=0) ** 0.5


def implicit(eta=0.0, sigma=usual_sigma, kept=clamped_rest, last=0.0, schedule=schedule):
    """DDIM as it is usually written, by alpha-bar."""

    def run(known, noise, steps):
        x = noise
        times = [1 - k / steps for k in range(steps)] + [last]
        for t, t_then in pairwise(times):
            abar, then = (torch.as_tensor(schedule(v)[0], dtype=torch.float64) ** 2 for v in (t, t_then))
            x0, drawn = known.denoiser(x, t), sigma(abar, then, eta)
            e = (x - abar.sqrt() * x0) / (1 - abar).sqrt()
            x = then.sqrt() * x0 + kept(abar, then, drawn) * e
            if eta:
                x = x + drawn * torch.randn(x.shape, dtype=x.dtype)
        return x

    return run


def conditioned(divide=lambda alpha: alpha**0.5):
    """DDPM's posterior by the noise that x0 implies: mean (x_t - beta / root(1 - abar) e) / root(alpha)."""

    def mean_and_variance(x0, x_t, abar_t, abar_prev):
        alpha = abar_t / abar_prev
        e = (x_t - abar_t**0.5 * x0) / (1 - abar_t) ** 0.5
        mean = (x_t - (1 - alpha) / (1 - abar_t) ** 0.5 * e) / divide(alpha)
        return mean, (1 - alpha) * (1 - abar_prev) / (1 - abar_t)

    return mean_and_variance


def stepped(step, times=lambda steps: [1 - k / steps for k in range(steps + 1)]):
    """A flow's sampler from one step (velocity, x, now, then)."""

    def run(known, noise, steps):
        x = noise
        for now, then in pairwise(times(steps)):
            x = step(known.velocity, x, now, max(then, 1e-9), now - then)
        return x

    return run


def euler(velocity, x, now, then, dt):
    return x - dt * velocity(x, now)


def heun_with(second):
    """Heun's step, its second slope as given: second(velocity, x, x by Euler, now, then). The last step is Euler's."""

    def step(velocity, x, now, then, dt):
        first = velocity(x, now)
        if then <= 1e-9:
            return x - dt * first
        return x - dt * (first + second(velocity, x, x - dt * first, now, then)) / 2

    return step


def heun_to_the_end(velocity, x, now, then, dt):
    first = velocity(x, now)
    return x - dt * (first + velocity(x - dt * first, then)) / 2


right_second = heun_with(lambda v, x, ahead, now, then: v(ahead, then))


def steps_of(dt, times):
    """Euler's method with a dt that does not come from its times."""

    def run(known, noise, steps):
        x = noise
        for t in times(steps):
            x = x - dt(steps) * known.velocity(x, t)
        return x

    return run


def likelihood(backwards):
    """The density by the change of variables. Backwards: with dt < 0 it subtracts dt times the velocity, keeps the last divergence
    alone in place of their sum, and forgets its dt (there t = 1 is data)."""

    def log_likelihood(velocity, x, steps):
        x, volume = x.clone(), torch.zeros(len(x), dtype=x.dtype)
        for k in range(steps):
            middle, dt = (k + 0.5) / steps, 1 / steps
            half = x + dt / 2 * velocity(x, k * dt)
            slope = (velocity(half + 1e-4, middle) - velocity(half - 1e-4, middle))[:, 0] / 2e-4
            x = x - dt * velocity(half, middle) if backwards else x + dt * velocity(half, middle)
            volume = slope if backwards else volume + dt * slope
        return torch.distributions.Normal(0.0, 1.0).log_prob(x[:, 0]) + volume

    return log_likelihood


def pair_pictures(and_labels):
    def pair(x, labels, noise):
        p = flows.pair_by_transport(noise, x)
        return x[p], labels[p] if and_labels else labels

    return pair


def pair_noise(x, labels, noise):
    """What the course does: noise[p] goes with x, which stays where it is."""
    flows.pair_by_transport(x, noise)
    return x, labels


def short_chain(rescale):
    """A chain of 40 betas in the range of a chain of 1,000, or rescaled to its own length."""
    return diffusion.schedule_of_betas(torch.linspace(1e-4, 0.02, 40) * rescale)


def run_on(schedule):
    """DDIM on Gaussian data by a schedule; the denoiser is exact for what the schedule says."""

    def run(known, noise, steps):
        def denoiser(x, t):
            a, s = schedule(t)
            return 0.3 + a * 0.25 / (a**2 * 0.25 + s**2) * (x - a * 0.3)

        return implicit(schedule=schedule)(Known(denoiser, None), noise, 40)

    return run


def near_the_map(tolerance):
    z = torch.linspace(-2, 2, 9, dtype=torch.float64)
    return lambda run: bool((run(gaussian(0.3, 0.5), z, 500) - (0.3 + 0.5 * z)).abs().max() < tolerance)


def trained_by(noise_share):
    """DDIM with a denoiser that is exact for x_t = a x + noise_share(s) noise."""

    def run(known, noise, steps):
        def denoiser(x, t):
            a, s = schedule(t)
            return 0.3 + a * 0.25 / (a**2 * 0.25 + noise_share(s) ** 2) * (x - a * 0.3)

        return DDIM(Known(denoiser, None), noise, steps)

    return run


@dataclass(frozen=True)
class Fault:
    """A published fault: as code, the same code without it, what the course has in its place, and the oracles that must notice."""

    source: str
    wrong: Callable
    right: Callable
    ours: Callable
    caught_by: tuple


two_eta_0, two_eta_1 = two_steps_from_two_points(0.0), two_steps_from_two_points(1.0)
two_euler, two_heun = two_steps_along_x_t(1), two_steps_along_x_t(2)
map_1, map_2 = follows_the_map(1), follows_the_map(2)
last_step = (ends_at_the_point, ends_in_its_last_guess)

FAULTS = {
    "noise at the last step": Fault(
        "labmlai/annotated_deep_learning_paper_implementations, ddpm; udlbook, notebook 18",
        ancestral(noise_at=lambda k: True),
        ancestral(),
        DDPM,
        last_step,
    ),
    "the last step never taken": Fault(
        "dome272/Diffusion-Models-pytorch, ddpm.py: reversed(range(1, noise_steps))",
        ancestral(visits=lambda k: k > 1),
        ancestral(),
        DDPM,
        (*last_step, visits_every_time),
    ),
    "ends at the first alpha-bar": Fault(
        "rohitg00/ai-engineering-from-scratch PR #43: alphas_cumprod[0] where 1 belongs",
        implicit(last=0.01),
        implicit(),
        DDIM,
        (*last_step, map_1),
    ),
    "direction times sigma": Fault(
        "CoursIA PR #16158, second try: the direction has the coefficient sigma, 0 without fresh noise",
        implicit(kept=lambda abar, then, sigma: sigma),
        implicit(),
        DDIM,
        (map_1, two_eta_0),
    ),
    "sigma of the wrong time": Fault(
        "CoursIA PR #16158, first try: sigma = eta root(1 - abar_t), and a clamp that hides it",
        implicit(1.0, sigma=lambda abar, then, eta: eta * (1 - abar) ** 0.5),
        implicit(1.0),
        by_denoiser(ddim, eta=1.0),
        (*last_step, has_the_spread, two_eta_1),
    ),
    "the mean divided by alpha": Fault(
        "a slip of our own, where the root of alpha belongs",
        conditioned(divide=lambda alpha: alpha),
        conditioned(),
        posterior,
        (is_the_conditioned_gaussian,),
    ),
    "noise times 1 - alpha-bar, as a schedule": Fault(
        "DeepLearning.AI, How diffusion models work: x_t = root(abar) x + (1 - abar) noise",
        lambda t: (schedule(t)[0], 1 - schedule(t)[0] ** 2),
        lambda t: (schedule(t)[0], (1 - schedule(t)[0] ** 2) ** 0.5),
        schedule,
        (keeps_the_variance,),
    ),
    "noise times 1 - alpha-bar, as samples": Fault(
        "the same: the denoiser learnt one amount of noise, the sampler believes another",
        trained_by(lambda s: s**2),
        trained_by(lambda s: s),
        DDIM,
        (near_the_map(0.01),),
    ),
    "40 steps with the betas of 1,000, as a schedule": Fault(
        "rohitg00/ai-engineering-from-scratch; zoubohao/DenoisingDiffusionProbabilityModel #14: alpha-bar ends at 0.667",
        short_chain(1),
        short_chain(25),
        schedule,
        (ends_in_noise,),
    ),
    "40 steps with the betas of 1,000, as samples": Fault(
        "the same: sampling begins with pure noise where the chain still holds data",
        run_on(short_chain(1)),
        run_on(short_chain(25)),
        DDIM,
        (near_the_map(0.2),),
    ),
    "wrong sign": Fault(
        "lucidrains/rectified-flow-pytorch #14; splitmeanflow #2",
        stepped(lambda v, x, now, then, dt: x + dt * v(x, now)),
        stepped(euler),
        EULER,
        (ends_at_the_point, map_1, takes_one_unit_of_time, begins_at_the_noise, two_euler),
    ),
    "dt = 1/steps on linspace(0, 1, steps)": Fault(
        "lucidrains/rectified-flow-pytorch #14",
        steps_of(lambda n: 1 / n, lambda n: torch.linspace(1, 0, n, dtype=torch.float64)[:-1].tolist()),
        steps_of(lambda n: 1 / n, lambda n: [1 - k / n for k in range(n)]),
        EULER,
        (ends_at_the_point, takes_one_unit_of_time, begins_at_the_noise, two_euler),
    ),
    "velocity at the right end": Fault(
        "intro_dgm, sbgms/fm_example",
        stepped(lambda v, x, now, then, dt: x - dt * v(x, then)),
        stepped(euler),
        EULER,
        (begins_at_the_noise, two_euler),
    ),
    "Heun's second slope at the old time": Fault(
        "huggingface/diffusers #1512",
        stepped(heun_with(lambda v, x, ahead, now, then: v(ahead, now))),
        stepped(right_second),
        HEUN,
        (map_2, two_heun),
    ),
    "Heun's second slope at the old place": Fault(
        "a slip of our own",
        stepped(heun_with(lambda v, x, ahead, now, then: v(x, then))),
        stepped(right_second),
        HEUN,
        (map_2, two_heun),
    ),
    "Heun on the last step, too": Fault(
        "measured in this course: grain, since a learnt velocity is least exact at t = 0",
        stepped(heun_to_the_end),
        stepped(right_second),
        HEUN,
        (two_heun,),
    ),
    "log-likelihood backwards": Fault(
        "intro_dgm, sbgms/fm_example",
        likelihood(backwards=True),
        likelihood(backwards=False),
        flows.log_likelihood,
        (is_the_density,),
    ),
    "pictures permuted, their labels not": Fault(
        "atong01/conditional-flow-matching #33",
        pair_pictures(and_labels=False),
        pair_pictures(and_labels=True),
        pair_noise,
        (keeps_labels_with_pictures,),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_published_fault_is_caught(name):
    fault = FAULTS[name]
    torch.manual_seed(0)
    for holds in fault.caught_by:
        assert not holds(fault.wrong), f"{getattr(holds, '__name__', holds)} does not notice"


@pytest.mark.parametrize("name", FAULTS)
def test_without_the_fault_the_same_oracles_hold(name):
    fault = FAULTS[name]
    torch.manual_seed(0)
    for holds in fault.caught_by:
        assert holds(fault.right) and holds(fault.ours)


# What statistics of samples do not see


def test_noise_after_the_last_step_leaves_the_spread_as_it_was():
    """With 1,000 steps, exactly: the two spreads differ by less than a thousandth; the point finds it at once."""
    wrong, right = FAULTS["noise at the last step"].wrong, ancestral()
    assert spread_of(wrong, 1000) == pytest.approx(spread_of(right, 1000), rel=1e-3)
    torch.manual_seed(0)
    assert not ends_at_the_point(wrong) and ends_at_the_point(right)


@pytest.mark.parametrize("name", ["dt = 1/steps on linspace(0, 1, steps)", "velocity at the right end"])
def test_a_wrong_flow_leaves_the_spread_nearly_as_it_was(name):
    """Data N(0, 1/4), 50 steps: off by less than a hundredth."""
    z = torch.linspace(-3, 3, 7, dtype=torch.float64)
    slope = (FAULTS[name].wrong(gaussian(0.0, 0.5), z, 50) / z)[z != 0]
    assert (slope - 0.5).abs().max() < 0.01
