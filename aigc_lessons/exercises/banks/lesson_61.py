"""The exercises of lesson 61: the cosine schedule, noising, the exact denoiser, one step back by DDPM and by DDIM, a fault to find.

Where a mistake was published, its source stands beside it.
"""

import math

import torch
import torch.nn.functional as F

from ...diffusion import ddim_step, exact_denoiser, noised, posterior, schedule
from ..engine import Case, Exercise, Mistake

# schedule


def _schedule_cases(seed):
    g = torch.Generator().manual_seed(seed)
    return [
        Case("data, noise, and halfway", (torch.tensor([0.0, 1.0, 0.5]),)),
        Case("a third and two thirds", (torch.tensor([1 / 3, 2 / 3]),)),
        Case("near data", (0.05 * torch.rand(4, generator=g) + 0.01,)),
        Case("near noise", (1 - 0.05 * torch.rand(4, generator=g),)),
        Case("five times", (torch.rand(5, generator=g),)),
        Case("a table of times", (torch.rand(3, 4, generator=g),)),
    ]


def _by_half_angles(t):
    c = (math.pi * t.double()).cos()
    return ((1 + c) / 2).clamp(min=0).sqrt(), ((1 - c) / 2).clamp(min=0).sqrt()


def _by_complex_numbers(t):
    turned = torch.polar(torch.ones_like(t), t * torch.pi / 2)
    return turned.real, turned.imag


def _one_by_one(t):
    angles = [math.radians(90 * v) for v in t.flatten().tolist()]
    return tuple(torch.tensor([f(v) for v in angles]).reshape(t.shape) for f in (math.cos, math.sin))


def _with_parts(change):
    """Mistakes made from the right a and s."""
    return lambda t: change(*schedule(t))


SCHEDULE = Exercise(
    name="schedule",
    lesson=61,
    points=1,
    minutes=5,
    docstring="""How much data and how much noise there is at time t, by the cosine schedule: a = cos(pi t / 2), s = sin(pi t / 2).

t: tensor of any shape, in [0, 1]; 0 is data, 1 is noise. Returns (a, s), two tensors of that shape.""",
    reference=schedule,
    cases=_schedule_cases,
    alternatives={
        "half-angle formulas": _by_half_angles,
        "complex numbers": _by_complex_numbers,
        "one at a time": _one_by_one,
        "two cosines": lambda t: ((math.pi / 2 * t).cos(), (math.pi / 2 * (1 - t)).cos()),
    },
    mistakes=(
        Mistake(
            "data and noise exchanged",  # as in MIT 6.S184 and Lipman et al., where t = 1 is data
            "You give the data's share where the noise's belongs, as if t = 1 were data; here t = 0 is data.",
            _with_parts(lambda a, s: (s, a)),
        ),
        Mistake(
            "squared",  # lilianweng.github.io, issue #9: the formula of alpha-bar read as that of its root
            "You return the squares of a and s, which are alpha-bar and 1 - alpha-bar; a and s are their roots.",
            _with_parts(lambda a, s: (a**2, s**2)),
        ),
        Mistake(
            "s is 1 - a squared",  # DeepLearning.AI, How diffusion models work: (1 - abar) where its root belongs
            "You return 1 - a^2 for s and forget its root, so that a^2 + s^2 is not 1.",
            _with_parts(lambda a, s: (a, 1 - a**2)),
        ),
        Mistake(
            "s is 1 - a",
            "You let a and s add up to 1; their squares do.",
            _with_parts(lambda a, s: (a, 1 - a)),
        ),
        Mistake(
            "a straight line",
            "You go in a straight line, 1 - t and t, as lesson 63 does; here a and s are a cosine and a sine.",
            lambda t: (1 - t, t),
        ),
        Mistake("half a turn", "You turn by pi t; it is half of that.", lambda t: schedule(2 * t)),
        Mistake(
            "degrees", "You hand degrees to a cosine that takes radians.", lambda t: schedule(90 * t * 2 / math.pi)
        ),
        Mistake(
            "with the offset",  # Nichol and Dhariwal 2021 use 0.008
            "You use the offset of the paper; here it is 0, so that t = 0 is data without any noise.",
            lambda t: schedule((t + 0.008) / 1.008),
        ),
        Mistake(
            "times up to 1000",
            "You divide t by 1000; it already runs from 0 to 1.",
            lambda t: schedule(t / 1000),
        ),
        Mistake(
            "a root too many",
            "You take the root of the cosine; the cosine itself is a, and its square is alpha-bar.",
            _with_parts(lambda a, s: (a.clamp(min=0).sqrt(), (1 - a.clamp(min=0)).sqrt())),
        ),
        Mistake("a alone", "You return a alone; return (a, s).", _with_parts(lambda a, s: a)),
    ),
)


# noised


def _noised_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, x, noise, t):
        a, s = schedule(torch.as_tensor(t))
        return Case(label, (torch.as_tensor(x), torch.as_tensor(noise), a, s), gradients=(0, 1))

    def drawn(label, *shape):
        return case(
            label,
            2 * torch.randn(shape, generator=g),
            torch.randn(shape, generator=g),
            torch.rand(shape[0], generator=g),
        )

    return [
        case("one pixel", [[[[0.5]]]], [[[[-2.0]]]], [1 / 3]),
        case("data, noise and halfway", [[[[1.0]]]] * 3, [[[[-0.6]]]] * 3, [0.0, 1.0, 0.5]),
        drawn("two grey pictures", 2, 1, 3, 4),
        drawn("colour", 3, 3, 2, 5),
        drawn("as many pictures as columns", 4, 2, 3, 4),
        drawn("as many pictures as channels", 3, 3, 4, 2),
    ]


def _picture_by_picture(x, noise, a, s):
    return torch.stack([a[i] * x[i] + s[i] * noise[i] for i in range(len(x))])


def _mixed(change):
    """The right formula with other a, s, x or noise: change(x, noise, a, s)."""
    return lambda x, noise, a, s: noised(*change(x, noise, a, s))


NOISED = Exercise(
    name="noised",
    lesson=61,
    points=1,
    minutes=6,
    differentiable=True,
    docstring="""Data with noise, each picture at a time of its own: a x + s noise.

x, noise: (N, C, H, W). a, s: (N,), one number for each picture, from the schedule. Returns (N, C, H, W).""",
    reference=noised,
    cases=_noised_cases,
    alternatives={
        "new axes": lambda x, noise, a, s: a[:, None, None, None] * x + s[:, None, None, None] * noise,
        "einsum": lambda x, noise, a, s: torch.einsum("n,nchw->nchw", a, x) + torch.einsum("n,nchw->nchw", s, noise),
        "picture by picture": _picture_by_picture,
        "the batch as the last axis": lambda x, noise, a, s: (x.movedim(0, -1) * a + noise.movedim(0, -1) * s).movedim(
            -1, 0
        ),
    },
    mistakes=(
        Mistake(
            "s squared",  # DeepLearning.AI, How diffusion models work, and copies of it
            "You multiply the noise by s^2 = 1 - alpha-bar; its factor is the root of that, s itself.",
            _mixed(lambda x, noise, a, s: (x, noise, a, s**2)),
        ),
        Mistake(
            "a squared",
            "You multiply the data by a^2 = alpha-bar; their factor is a itself.",
            _mixed(lambda x, noise, a, s: (x, noise, a**2, s)),
        ),
        Mistake(
            "roots of a and s",  # huggingface/diffusion-models-class, unit 1, issue #18: where the roots are taken
            "You take the roots of a and s; they are roots already.",
            _mixed(lambda x, noise, a, s: (x, noise, a.abs().sqrt(), s.sqrt())),
        ),
        Mistake(
            "exchanged",
            "You multiply the data by s and the noise by a; it is the other way round.",
            _mixed(lambda x, noise, a, s: (x, noise, s, a)),
        ),
        Mistake(
            "one time for the batch",
            "You use the first picture's time for all; each picture has its own.",
            _mixed(lambda x, noise, a, s: (x, noise, a[:1].expand_as(a), s[:1].expand_as(s))),
        ),
        Mistake(
            "along the wrong axis",
            "You multiply with a and s as they are, which lines them up with the columns; give them the shape (N, 1, 1, 1).",
            lambda x, noise, a, s: a * x + s * noise,
        ),
        Mistake(
            "noise on top",
            "You leave the data as they are and add noise on top; they fade, too: multiply them by a.",
            _mixed(lambda x, noise, a, s: (x, noise, torch.ones_like(a), s)),
        ),
        Mistake(
            "shares that add up to 1",
            "You give the noise the factor 1 - a; its factor is s, and the squares add up to 1.",
            _mixed(lambda x, noise, a, s: (x, noise, a, 1 - a)),
        ),
        Mistake(
            "noise subtracted",
            "You subtract the noise; it is added.",
            _mixed(lambda x, noise, a, s: (x, -noise, a, s)),
        ),
        Mistake(
            "own noise",
            "You draw noise of your own; use the one that is given, since the network is to find out which it was.",
            _mixed(lambda x, noise, a, s: (x + 0 * noise, torch.randn_like(x), a, s)),
        ),
        Mistake(
            "one noise for the batch",
            "You give every picture the first picture's noise.",
            _mixed(lambda x, noise, a, s: (x, noise[:1].expand_as(noise), a, s)),
        ),
        Mistake(
            "clipped",
            "You clip the result into [-1, 1]; noisy pictures leave that range.",
            lambda x, noise, a, s: noised(x, noise, a, s).clamp(-1, 1),
        ),
    ),
)


# exact_denoiser


def _denoiser_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, x, a, s, data):
        return Case(label, (torch.as_tensor(x), a, s, torch.as_tensor(data)), gradients=(0, 3))

    def drawn(label, n, m, d, t):
        a, s = (v.item() for v in schedule(t))
        data = torch.randn(m, d, generator=g)
        near = a * data[torch.randint(0, m, (n,), generator=g)] + s * torch.randn(n, d, generator=g)
        return case(label, near, a, s, data)

    apart = torch.eye(4, 6) + 0.1 * torch.randn(4, 6, generator=g)  # at s = 1e-3 one of them wins by far
    off = 0.6 * apart[:3] + 0.02 * torch.randn(3, 6, generator=g)
    return [
        case("two numbers, 1 and -1", [[0.5], [-0.2]], 0.6, 0.8, [[1.0], [-1.0]]),
        case("one picture only", [[2.0, -1.0]], 0.6, 0.8, [[0.3, 0.7]]),
        case("three points in the plane", [[0.5, 0.5], [-1.0, 0.2]], 0.8, 0.6, [[1.0, 0.0], [0.0, 2.0], [-1.0, -1.0]]),
        drawn("much noise", 5, 4, 3, 0.85),
        drawn("half noise", 3, 7, 2, 0.5),
        drawn("some noise", 4, 5, 3, 0.4),
        drawn("many pictures", 2, 30, 4, 0.7),
        case("s = 1e-3, far from all of them", off, 1.0, 1e-3, apart),
    ]


def _by_distances(x_t, a, s, data):
    return F.softmax(-((x_t[:, None] - a * data).square().sum(2)) / (2 * s**2), 1) @ data


def _by_densities(x_t, a, s, data):
    log_p = torch.distributions.Normal(a * data, s).log_prob(x_t[:, None]).sum(2)
    return torch.einsum("nm,md->nd", (log_p - log_p.logsumexp(1, keepdim=True)).exp(), data)


def _row_by_row(x_t, a, s, data):
    rows = []
    for x in x_t.double():
        logits = torch.stack([-((x - a * d) ** 2).sum() / (2 * s * s) for d in data.double()])
        weights = (logits - logits.max()).exp()
        rows.append((weights[:, None] * data.double()).sum(0) / weights.sum())
    return torch.stack(rows)


def _by_library_distances(x_t, a, s, data):
    distances = torch.cdist(x_t.double(), a * data.double())
    return torch.softmax(-(distances**2) / 2 / s**2, dim=-1) @ data.double()


def _weighted_by(logits, data, axis=1):
    return logits.softmax(axis) @ data


def _squares(x_t, a, data):
    return (x_t[:, None] - a * data).square().sum(2)


def _without_maximum(x_t, a, s, data):
    weights = (-_squares(x_t, a, data) / (2 * s**2)).exp()
    return weights @ data / weights.sum(1, keepdim=True)


DENOISER = Exercise(
    name="exact_denoiser",
    lesson=61,
    points=3,
    minutes=20,
    differentiable=True,
    docstring="""The mean of the data given x_t = a x + s noise, if x is each row of `data` with equal probability.

x_t: (N, D). a, s: numbers, s above 0. data: (M, D). Returns (N, D): for each row of x_t the mean of the rows d of `data`,
each weighted by the density of x_t under N(a d, s^2), divided by the sum of these weights. Finite at s = 1e-3 too.""",
    reference=exact_denoiser,
    cases=_denoiser_cases,
    alternatives={
        "distances": _by_distances,
        "densities by the library": _by_densities,
        "row by row, float64": _row_by_row,
        "distances by the library, float64": _by_library_distances,
    },
    mistakes=(
        Mistake(
            "no maximum taken out",
            "You take exponentials before you divide, so that all weights underflow to 0 where there is little noise; use softmax.",
            _without_maximum,
        ),
        Mistake(
            "a forgotten",
            "You compare x_t with the data themselves; at this time they have faded to a times themselves.",
            lambda x_t, a, s, data: _weighted_by(-_squares(x_t, 1, data) / (2 * s**2), data),
        ),
        Mistake(
            "x_t divided by a",
            "You divide x_t by a and leave the variance as it is; that makes the noise s / a.",
            lambda x_t, a, s, data: _weighted_by(-_squares(x_t / a, 1, data) / (2 * s**2), data),
        ),
        Mistake(
            "s not squared",
            "You divide by 2 s; the variance of the noise is s^2.",
            lambda x_t, a, s, data: _weighted_by(-_squares(x_t, a, data) / (2 * s), data),
        ),
        Mistake(
            "half forgotten",
            "You left out the half in the exponent of the Gaussian.",
            lambda x_t, a, s, data: _weighted_by(-_squares(x_t, a, data) / s**2, data),
        ),
        Mistake(
            "sign",
            "You give the largest weight to the data that lie farthest away; the exponent of a Gaussian is negative.",
            lambda x_t, a, s, data: _weighted_by(_squares(x_t, a, data) / (2 * s**2), data),
        ),
        Mistake(
            "softmax over the batch",
            "You let the rows of x_t compete; the weights of the data add up to 1 for each x_t, so take the softmax over them.",
            lambda x_t, a, s, data: _weighted_by(-_squares(x_t, a, data) / (2 * s**2), data, 0),
        ),
        Mistake(
            "the nearest one",
            "You return the nearest of the data; return their weighted mean.",
            lambda x_t, a, s, data: data[_squares(x_t, a, data).argmin(1)] + 0 * x_t,
        ),
        Mistake(
            "mean over the pixels",
            "You average the squares over the D entries; densities of independent noise multiply, so sum them.",
            lambda x_t, a, s, data: (
                _weighted_by(-_squares(x_t, a, data) / data.shape[1] / (2 * s**2), data)
                if data.shape[1] > 1
                else _weighted_by(-_squares(x_t, a, data) / (2 * s**2), data)
            ),
        ),
        Mistake(
            "not squared",
            "You use the distance as it is; a Gaussian has its square.",
            lambda x_t, a, s, data: _weighted_by(-(_squares(x_t, a, data) + 1e-12).sqrt() / (2 * s**2), data),
        ),
        Mistake(
            "faded answer",
            "You return the mean of a times the data; the data themselves are asked for.",
            lambda x_t, a, s, data: a * exact_denoiser(x_t, a, s, data),
        ),
        Mistake(
            "the noise",
            "You return the mean of the noise; the mean of the data is asked for.",
            lambda x_t, a, s, data: (x_t - a * exact_denoiser(x_t, a, s, data)) / s,
        ),
        Mistake(
            "the score",
            "You return the gradient of log p(x_t); the mean of the data is asked for.",
            lambda x_t, a, s, data: (a * exact_denoiser(x_t, a, s, data) - x_t) / s**2,
        ),
        Mistake(
            "weights added up",
            "You add up the densities without dividing by their sum.",
            lambda x_t, a, s, data: (-_squares(x_t, a, data) / (2 * s**2)).exp() @ data,
        ),
    ),
)


# posterior


def _posterior_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, x0, x_t, abar_t, abar_prev):
        return Case(label, (torch.as_tensor(x0), torch.as_tensor(x_t), abar_t, abar_prev), gradients=(0, 1))

    def drawn(label, shape, abar_t, abar_prev):
        return case(label, torch.randn(shape, generator=g), torch.randn(shape, generator=g), abar_t, abar_prev)

    low, high = sorted((0.1 + 0.8 * torch.rand(2, generator=g)).tolist())
    return [
        case("one number", [2.0], [1.0], 0.25, 0.64),
        case("the last step: all is known", [0.7, -1.0], [0.9, -0.8], 0.8, 1.0),
        drawn("a large step", (2, 1, 2, 3), 0.1, 0.7),
        drawn("a small step", (3, 2), 0.5, 0.6),
        drawn("from pure noise", (4, 2), 0.0, 0.3),
        drawn("any step", (2, 3), low, high + 0.05),
    ]


def _of_the_joint(x0, x_t, abar_t, abar_prev):
    """Given x0, x_prev and x_t are jointly Gaussian; condition the first on the second."""
    cross = (abar_t / abar_prev) ** 0.5 * (1 - abar_prev)
    gain = cross / (1 - abar_t)
    return abar_prev**0.5 * x0 + gain * (x_t - abar_t**0.5 * x0), (1 - abar_prev) - gain * cross


def _of_two_gaussians(x0, x_t, abar_t, abar_prev):
    """Prior times likelihood, as shares of the precision; written so that nothing is divided by 1 - abar_prev."""
    alpha, wide = abar_t / abar_prev, 1 - abar_prev
    share = alpha * wide / (1 - alpha + alpha * wide)  # of the likelihood
    seen = x_t / alpha**0.5 if alpha else 0 * x_t
    return (1 - share) * abar_prev**0.5 * x0 + share * seen, wide * (1 - share)


def _posterior_in_tensors(x0, x_t, abar_t, abar_prev):
    now, before = torch.tensor(abar_t).double(), torch.tensor(abar_prev).double()
    beta = 1 - now / before
    mean = (before.sqrt() * beta * x0.double() + (1 - beta).sqrt() * (1 - before) * x_t.double()) / (1 - now)
    return mean, beta * (1 - before) / (1 - now)


def _posterior_as_ddim(x0, x_t, abar_t, abar_prev):
    """What is kept of the noise in x_t, and what is drawn anew."""
    variance = (1 - abar_prev) / (1 - abar_t) * (1 - abar_t / abar_prev)
    noise = (x_t - math.sqrt(abar_t) * x0) / math.sqrt(1 - abar_t)
    return math.sqrt(abar_prev) * x0 + math.sqrt(max(0.0, 1 - abar_prev - variance)) * noise, variance


def _posterior_with(change):
    """Mistakes in parts: change(abar_t, abar_prev) -> (factor of x0, factor of x_t, variance)."""

    def function(x0, x_t, abar_t, abar_prev):
        of_data, of_noisy, variance = change(abar_t, abar_prev)
        return of_data * x0 + of_noisy * x_t, variance

    return function


def _factors(abar_t, abar_prev, alpha=None):
    alpha = abar_t / abar_prev if alpha is None else alpha
    return (
        abar_prev**0.5 * (1 - alpha) / (1 - abar_t),
        alpha**0.5 * (1 - abar_prev) / (1 - abar_t),
        (1 - abar_prev) * (1 - alpha) / (1 - abar_t),
    )


POSTERIOR = Exercise(
    name="posterior",
    lesson=61,
    points=3,
    minutes=20,
    differentiable=True,
    docstring="""Where x was one step before x_t, if the data are x0: mean and variance of the Gaussian q(x_prev | x_t, x0).

x0, x_t: tensors of one shape. abar_t, abar_prev: numbers, a^2 at x_t and one step nearer the data, 0 <= abar_t < abar_prev <= 1.
Noise is added step by step: x_prev = root(abar_prev) x0 + root(1 - abar_prev) noise, and then x_t = root(alpha) x_prev +
root(1 - alpha) fresh noise, with alpha = abar_t / abar_prev. Returns (mean, variance): the shape of x0, and a number.""",
    reference=posterior,
    cases=_posterior_cases,
    alternatives={
        "conditioning the joint Gaussian": _of_the_joint,
        "prior times likelihood": _of_two_gaussians,
        "tensors, float64": _posterior_in_tensors,
        "as DDIM writes it": _posterior_as_ddim,
    },
    mistakes=(
        Mistake(
            "variance beta",  # labmlai annotated implementations, ddpm; udlbook notebook 18
            "You return beta = 1 - alpha as the variance; x0 is known here, which makes it smaller by (1 - abar_prev) / (1 - abar_t).",
            _posterior_with(lambda now, before: (*_factors(now, before)[:2], 1 - now / before)),
        ),
        Mistake(
            "variance divided the wrong way",  # varun-ml/diffusion-models-tutorial PR #1
            "You multiply beta by (1 - abar_t) / (1 - abar_prev); turn that fraction over.",
            _posterior_with(
                lambda now, before: (*_factors(now, before)[:2], (1 - now / before) * (1 - now) / (1 - before))
            ),
        ),
        Mistake(
            "standard deviation",
            "You return the standard deviation; the variance is asked for.",
            _posterior_with(lambda now, before: (*_factors(now, before)[:2], _factors(now, before)[2] ** 0.5)),
        ),
        Mistake(
            "log of the variance",  # tqch/ddpm-torch issue #9: the log of a variance of 0
            "You return the logarithm of the variance, which has no value at the last step, where the variance is 0.",
            _posterior_with(lambda now, before: (*_factors(now, before)[:2], math.log(_factors(now, before)[2]))),
        ),
        Mistake(
            "factors exchanged",
            "You give x0 the factor of x_t and x_t that of x0.",
            _posterior_with(
                lambda now, before: (_factors(now, before)[1], _factors(now, before)[0], _factors(now, before)[2])
            ),
        ),
        Mistake(
            "alpha-bar without its root",
            "You multiply x0 by abar_prev; its root belongs there.",
            _posterior_with(lambda now, before: (_factors(now, before)[0] * before**0.5, *_factors(now, before)[1:])),
        ),
        Mistake(
            "alpha without its root",
            "You multiply x_t by alpha; its root belongs there.",
            _posterior_with(
                lambda now, before: (
                    _factors(now, before)[0],
                    _factors(now, before)[1] * (now / before) ** 0.5,
                    _factors(now, before)[2],
                )
            ),
        ),
        Mistake(
            "alpha-bar for alpha",
            "You use abar_t as alpha; the step's own alpha is abar_t / abar_prev.",
            _posterior_with(lambda now, before: _factors(now, before, now)),
        ),
        Mistake(
            "roots of alpha forgotten throughout",
            "You use the roots of alpha-bar as if they were alpha-bar: the squares are given.",
            _posterior_with(lambda now, before: _factors(now**0.5, before**0.5)),
        ),
        Mistake(
            "times exchanged",
            "You exchange the two times: abar_t, with more noise, is the smaller one.",
            _posterior_with(lambda now, before: _factors(before, now)),
        ),
        Mistake(
            "x0 as the mean",
            "You return x0 as the mean, which holds at the last step only.",
            _posterior_with(lambda now, before: (1, 0, _factors(now, before)[2])),
        ),
        Mistake(
            "noised data as the mean",
            "You return root(abar_prev) x0 and forget what x_t says about the noise.",
            _posterior_with(lambda now, before: (before**0.5, 0, _factors(now, before)[2])),
        ),
        Mistake(
            "not divided",
            "You leave out the division by 1 - abar_t in the mean.",
            _posterior_with(
                lambda now, before: (*(v * (1 - now) for v in _factors(now, before)[:2]), _factors(now, before)[2])
            ),
        ),
        Mistake(
            "mean alone", "You return the mean alone; return (mean, variance).", lambda *given: posterior(*given)[0]
        ),
        Mistake(
            "the pair exchanged",
            "You return (variance, mean); the mean comes first.",
            lambda *given: posterior(*given)[::-1],
        ),
    ),
)


# ddim_step


def _ddim_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, x, x0, now, then, eta, noise):
        return Case(
            label, (*map(torch.as_tensor, (x, x0)), now, then, eta, torch.as_tensor(noise)), gradients=(0, 1, 5)
        )

    def drawn(label, shape, t, then, eta):
        x, x0, noise = (torch.randn(shape, generator=g) * scale for scale in (1, 2, 1))
        pairs = ((1.0, 0.0) if v == 0 else tuple(p.item() for p in schedule(v)) for v in (t, then))
        return case(label, x, x0, *pairs, eta, noise)

    later = 0.4 + 0.5 * torch.rand(1, generator=g).item()
    return [
        case("one number, nothing drawn", [1.4], [1.0], (0.6, 0.8), (0.8, 0.6), 0.0, [9.0]),
        case("one number, all noise drawn anew", [1.4], [1.0], (0.6, 0.8), (0.8, 0.6), 1.0, [-0.5]),
        drawn("to data: nothing is left of the noise", (3, 2), 0.3, 0, 1.0),
        drawn("to data, eta 0", (2, 2), 0.5, 0, 0.0),
        drawn("from pure noise", (4, 3), 1.0, 0.8, 0.5),
        drawn("pictures, eta 0", (2, 1, 3, 4), 0.7, 0.5, 0.0),
        drawn("pictures, eta 0.7", (2, 3, 2, 3), 0.8, 0.6, 0.7),
        drawn("any step, eta 1", (3, 4), later, later - 0.3, 1.0),
    ]


def _sigma(now, then, eta):
    return eta * then[1] / now[1] * math.sqrt(1 - (now[0] / then[0]) ** 2)


def _ddim_with(
    in_x=lambda x, x0, a, s: (x - a * x0) / s, kept=None, sigma=_sigma, guess=lambda x, x0: x0, noise=lambda e: e
):
    """The step with parts replaced. kept: function (now, then, eta, sigma) of what is kept of the noise in x."""
    kept = kept or (lambda now, then, eta, sigma: math.sqrt(max(0.0, then[1] ** 2 - sigma**2)))

    def function(x, x0, now, then, eta, fresh):
        width, x0 = sigma(now, then, eta), guess(x, x0)
        return then[0] * x0 + kept(now, then, eta, width) * in_x(x, x0, *now) + width * noise(fresh)

    return lambda x, x0, now, then, eta, noise: function(x, x0, now, then, eta, noise)


def _ddim_from_alpha_bars(x, x0, now, then, eta, noise):
    abar, abar_then = torch.tensor(now[0] ** 2).double(), torch.tensor(then[0] ** 2).double()
    variance = eta**2 * (1 - abar_then) / (1 - abar) * (1 - abar / abar_then)
    e = (x.double() - abar.sqrt() * x0.double()) / (1 - abar).sqrt()
    return abar_then.sqrt() * x0 + (1 - abar_then - variance).clamp(min=0).sqrt() * e + variance.sqrt() * noise


def _ddim_as_one_sum(x, x0, now, then, eta, noise):
    """The factors of x, x0 and noise."""
    sigma = _sigma(now, then, eta)
    of_x = math.sqrt(max(0.0, then[1] ** 2 - sigma**2)) / now[1]
    return torch.stack([x, x0, noise], -1) @ torch.tensor([of_x, then[0] - of_x * now[0], sigma])


def _ddim_by_beta(x, x0, now, then, eta, noise):
    """sigma^2 is eta^2 times the variance of DDPM's posterior."""
    beta = 1 - (now[0] / then[0]) ** 2
    sigma2 = eta * eta * beta * (then[1] / now[1]) ** 2
    direction = max(then[1] ** 2 - sigma2, 0) ** 0.5 * (x - now[0] * x0) / now[1]
    return then[0] * x0 + direction + sigma2**0.5 * noise


DDIM = Exercise(
    name="ddim_step",
    lesson=61,
    points=3,
    minutes=20,
    differentiable=True,
    docstring="""One step of DDIM: from x at one time to another, nearer the data, if the data are x0.

x, x0, noise: tensors of one shape. now, then: (a, s) of the two times, pairs of numbers; s of `now` is above 0.
eta: number in [0, 1]: how much of the noise is drawn anew. With e = (x - a x0) / s, the noise that x holds,
sigma = eta (s_then / s) root(1 - (a / a_then)^2), and the result is a_then x0 + root(s_then^2 - sigma^2) e + sigma noise.""",
    reference=ddim_step,
    cases=_ddim_cases,
    alternatives={
        "alpha-bars, float64": _ddim_from_alpha_bars,
        "one sum": _ddim_as_one_sum,
        "by beta": _ddim_by_beta,
    },
    mistakes=(
        Mistake(
            "direction times sigma",  # CoursIA PR #16158, second try
            "You multiply e by sigma, which is 0 for eta = 0; what is kept of it is root(s_then^2 - sigma^2).",
            _ddim_with(kept=lambda now, then, eta, sigma: sigma),
        ),
        Mistake(
            "sigma of the wrong time",  # CoursIA PR #16158, first try: a clamp hid that s_then^2 - sigma^2 was negative
            "You take eta s for sigma, more noise than there is after the step; a clamp of the root hides that it is negative.",
            _ddim_with(sigma=lambda now, then, eta: eta * now[1]),
        ),
        Mistake(
            "sigma is eta times s_then",
            "You take eta s_then for sigma, as if nothing of x's noise could be kept; the factor root(1 - (a / a_then)^2) / s is missing.",
            _ddim_with(sigma=lambda now, then, eta: eta * then[1]),
        ),
        Mistake(
            "nothing taken from the direction",  # CoursIA PR #16158
            "You keep all of e and add fresh noise on top; the squares of what is kept and of sigma add up to s_then^2.",
            _ddim_with(kept=lambda now, then, eta, sigma: then[1]),
        ),
        Mistake(
            "eta ignored",
            "You never use eta, so no noise is drawn anew.",
            lambda x, x0, now, then, eta, noise: ddim_step(x, x0, now, then, 0.0, noise),
        ),
        Mistake(
            "always eta 1",
            "You draw as much noise anew as DDPM, whatever eta says.",
            lambda x, x0, now, then, eta, noise: ddim_step(x, x0, now, then, 1.0, noise),
        ),
        Mistake(
            "fraction turned over",
            "You multiply by s / s_then in sigma; it is s_then / s, so that no noise is left at the last step.",
            _ddim_with(
                sigma=lambda now, then, eta: eta * now[1] / max(then[1], 1e-3) * math.sqrt(1 - (now[0] / then[0]) ** 2)
            ),
        ),
        Mistake(
            "alpha-bar without its square",
            "You use a / a_then in sigma without squaring it, as if a were alpha-bar.",
            _ddim_with(sigma=lambda now, then, eta: eta * then[1] / now[1] * math.sqrt(1 - now[0] / then[0])),
        ),
        Mistake(
            "variance for sigma",
            "You multiply the fresh noise by sigma squared; sigma is its standard deviation.",
            lambda x, x0, now, then, eta, noise: (
                ddim_step(x, x0, now, then, eta, 0 * noise) + _sigma(now, then, eta) ** 2 * noise
            ),
        ),
        Mistake(
            "noise in x not divided",
            "You forget to divide x - a x0 by s.",
            _ddim_with(in_x=lambda x, x0, a, s: x - a * x0),
        ),
        Mistake(
            "x0 not faded",
            "You subtract x0 from x; at this time the data have faded to a x0.",
            _ddim_with(in_x=lambda x, x0, a, s: (x - x0) / s),
        ),
        Mistake(
            "x for e",
            "You use x itself as the direction; take the data out of it first.",
            _ddim_with(in_x=lambda x, x0, a, s: x + 0 * x0),
        ),
        Mistake(
            "guess not faded",
            "You put x0 into the result as it is; after the step it has the factor a_then.",
            lambda x, x0, now, then, eta, noise: (
                ddim_step(x, x0, now, then, eta, noise) + (1 - then[0]) * x0
                if then[0] < 1
                else ddim_step(x, x0, now, then, eta, noise)
            ),
        ),
        Mistake(
            "guess clipped",
            "You clip x0 into [-1, 1]; whether a guess is clipped is decided where it is made.",
            _ddim_with(guess=lambda x, x0: x0.clamp(-1, 1)),
        ),
        Mistake(
            "own noise",
            "You draw noise of your own; use the one that is given.",
            _ddim_with(noise=lambda e: torch.randn_like(e) + 0 * e),
        ),
        Mistake(
            "to x0 at once",
            "You return x0; it is only a guess, and the step goes a part of the way.",
            lambda x, x0, now, then, eta, noise: x0 + 0 * (x + noise),
        ),
    ),
)


# faulty_line_ddpm

LINE = Exercise(
    name="faulty_line_ddpm",
    lesson=61,
    points=2,
    minutes=10,
    docstring="""One line of this sampler is wrong. Return its number.

`schedule` and `denoiser` are right. With T = 200 the spread of the samples is that of the data to half a percent, and yet all show a
faint grain: with data that are one single picture, and T = 20, each pixel of each sample is off by 0.08 or so.

 1  x = torch.randn(n, 64)
 2  for k in range(T, 0, -1):
 3      a, s = schedule(k / T)
 4      a_then, s_then = schedule((k - 1) / T)
 5      x0 = denoiser(x, k / T)
 6      alpha = (a / a_then) ** 2
 7      mean = (a_then * (1 - alpha) * x0 + alpha**0.5 * s_then**2 * x) / s**2
 8      x = mean + (1 - alpha) ** 0.5 * torch.randn_like(x)""",
    reference=lambda: 8,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={"a tensor": lambda: torch.tensor(8), "a float": lambda: 8.0},
    mistakes=(
        Mistake("line 1", "You suspect the start; at t = 1 there is nothing but noise of variance 1.", lambda: 1),
        Mistake(
            "line 2",  # what dome272/Diffusion-Models-pytorch gets wrong
            "You suspect the order of the steps; they run from T to 1, and the last one arrives at time 0.",
            lambda: 2,
        ),
        Mistake("line 3", "You suspect the time before the step; it is k / T, as for the denoiser.", lambda: 3),
        Mistake(
            "line 4",  # what rohitg00/ai-engineering-from-scratch gets wrong
            "You suspect the time after the step; for k = 1 it is 0, where a is 1 and s is 0.",
            lambda: 4,
        ),
        Mistake(
            "line 5", "You suspect the guess; it is asked for x at the time before the step, as it should.", lambda: 5
        ),
        Mistake("line 6", "You suspect alpha; it is abar_t / abar_prev, and abar is a^2.", lambda: 6),
        Mistake(
            "line 7", "You suspect the mean; for k = 1 it is x0, as it should, so ask what is added to it.", lambda: 7
        ),
    ),
)

EXERCISES = (SCHEDULE, NOISED, DENOISER, POSTERIOR, DDIM, LINE)
