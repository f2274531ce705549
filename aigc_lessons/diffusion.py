"""The formulas of diffusion, and its samplers: lessons 61 to 64. Ho et al. 2020, DDPM; Song et al. 2021, DDIM.

One convention for all of part 6: t = 0 is data, t = 1 is noise, and x_t = a(t) x + s(t) noise. A denoiser is a function (x_t, t) -> x,
its guess of the data; samplers take it as an argument, so that an exact one can stand in a network's place.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F

LEAST_NOISE = 1e-3  # of alpha-bar where sampling starts: what the data may still weigh in the noise's variance

# ---------------------------------------------------------------- adding noise


def schedule(t):
    """How much data and how much noise there is at time t: a = cos(pi t / 2) and s = sin(pi t / 2), so that a^2 + s^2 = 1.

    Args: t: tensor of any shape, or a number, in [0, 1]; 0 is data, 1 is noise. Returns: (a, s), each of that shape.
    Source: Nichol and Dhariwal 2021, Improved Denoising Diffusion Probabilistic Models, eq. 17, with an offset of 0.
    """
    angle = torch.as_tensor(t, dtype=None if isinstance(t, torch.Tensor) else torch.float64) * (math.pi / 2)
    return angle.cos(), angle.sin()


def schedule_of_betas(betas):
    """The schedule of a chain of len(betas) steps, each of which adds noise of variance beta: a^2 is the product of 1 - beta.

    Args: betas: (T,), from the first step on. Returns: function t -> (a, s), where t = k / T stands for the state after k steps.
    Raises ValueError for betas that are not above 0 and below 1.
    Source: Ho et al. 2020, Denoising Diffusion Probabilistic Models, eq. 4.
    """
    betas = torch.as_tensor(betas, dtype=torch.float64)
    if betas.ndim != 1 or not len(betas) or not ((betas > 0) & (betas < 1)).all():
        raise ValueError(
            f"schedule_of_betas got betas of shape {tuple(betas.shape)}. Accepted: (T,), each above 0 and below 1, such as "
            "torch.linspace(1e-4, 0.02, 1000)."
        )
    abar = torch.cat([betas.new_ones(1), (1 - betas).cumprod(0)])

    def of_betas(t):
        k = (torch.as_tensor(t, dtype=torch.float64) * len(betas)).round().long()
        return abar[k].sqrt(), (1 - abar[k]).sqrt()

    return of_betas


def noised(x, noise, a, s):
    """Data with noise, each item at a time of its own: a x + s noise.

    Args: x, noise: (N, ...) of one shape. a, s: (N,), from a schedule. Returns: the shape of x.
    Source: Ho et al. 2020, eq. 4.
    """
    shape = -1, *[1] * (x.ndim - 1)
    return a.view(shape) * x + s.view(shape) * noise


# ---------------------------------------------------------------- what a network may say


def v_target(x, noise, a, s):
    """The mixture of noise and data that x_t lacks: a noise - s x, at right angles to x_t = a x + s noise.

    Args: x, noise: (N, ...) of one shape. a, s: (N,). Returns: the shape of x.
    Source: Salimans and Ho 2022, Progressive Distillation for Fast Sampling of Diffusion Models, section 4.
    """
    return noised(noise, -x, a, s)


def clean_from_v(x_t, v, a, s):
    """The data, if `v` is right: a x_t - s v. Nothing is divided by.

    Args: x_t, v: one shape. a, s: numbers. Returns: the shape of x_t. Source: Salimans and Ho 2022, section 4.
    """
    return a * x_t - s * v


def clean_from_noise(x_t, noise, a, s):
    """The data, if `noise` is right: (x_t - s noise) / a, so that an error in the noise counts s / a times.

    Args: x_t, noise: one shape. a, s: numbers, a not 0. Returns: the shape of x_t. Source: Ho et al. 2020, eq. 15.
    """
    return (x_t - s * noise) / a


# ---------------------------------------------------------------- the best possible denoiser


def exact_denoiser(x_t, a, s, data):
    """The mean of the data given x_t, if each row of `data` is as likely as any other: no denoiser has a smaller squared error.

    Args: x_t: (N, D). a, s: numbers, s above 0. data: (M, D). Returns: (N, D), weighted means of the data.
    Source: Bayes' rule; Karras et al. 2022, Elucidating the Design Space of Diffusion-Based Generative Models, eq. 57.
    """
    # -|x_t - a d|^2 / 2 s^2, without the part that is the same for all d
    logits = (a * (x_t @ data.T) - a**2 / 2 * data.square().sum(1)) / s**2
    return logits.softmax(1) @ data


def windowed_denoiser(x_t, a, s, data, window):
    """The mean of each pixel given only the window around it, if all pictures of `data` are equally likely there.

    Each pixel asks anew which pictures fit, so that one answer may be put together from many. Beyond the border there is nothing
    to compare.

    Args: x_t: (N, C, H, W). a, s: numbers, s above 0. data: (M, C, H, W). window: odd side in pixels, at least 1; from
        2 max(H, W) - 1 on it holds the whole picture, and the answer is that of exact_denoiser.
    Returns: (N, C, H, W).
    Raises ValueError for an even window.
    Source: Kamb and Ganguli 2024, An Analytic Theory of Creativity in Convolutional Diffusion Models (the local
        machine that knows its place).
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"windowed_denoiser(window={window}): accepted is an odd number from 1 up: 3, 5, 7 ...")
    # (places, pictures, C window^2); zeros beyond the border are equal in both and weigh nothing
    seen, known = (F.unfold(x, window, padding=window // 2).permute(2, 0, 1) for x in (x_t, data))
    centres = data.flatten(2).permute(2, 0, 1)  # (places, M, C)
    guesses = [_mean_given_window(*place, a, s) for place in zip(seen, known, centres)]
    return torch.stack(guesses, 2).view(x_t.shape)


def _mean_given_window(seen, known, centres, a, s):
    """exact_denoiser in one place: (N, K) seen there, (M, K) known, (M, C) to be averaged -> (N, C)."""
    logits = (a * (seen @ known.T) - a**2 / 2 * known.square().sum(1)) / s**2
    return logits.softmax(1) @ centres


# ---------------------------------------------------------------- one step back


def posterior(x0, x_t, abar_t, abar_prev):
    """Where x was one step before x_t, if the data are x0: mean and variance of a Gaussian.

    Args: x0, x_t: one shape. abar_t, abar_prev: numbers or 0-d tensors, a^2 at x_t and one step nearer the data;
        0 <= abar_t < abar_prev <= 1.
    Returns: (mean, variance): the shape of x0, and a number. Where abar_prev is 1: x0 and 0.
    Source: Ho et al. 2020, eq. 7.
    """
    alpha = abar_t / abar_prev  # of the step between the two
    of_data = abar_prev**0.5 * (1 - alpha) / (1 - abar_t)
    of_noisy = alpha**0.5 * (1 - abar_prev) / (1 - abar_t)
    return of_data * x0 + of_noisy * x_t, (1 - abar_prev) * (1 - alpha) / (1 - abar_t)


def ddim_step(x, x0, now, then, eta, noise):
    """From x at one time to another, nearer the data, if the data are x0.

    Args: x, x0, noise: one shape. now, then: (a, s) of the two times, s of `now` above 0. eta: number in [0, 1]; with 0 the noise
        that x holds is kept, with 1 as much of it is drawn anew as in `posterior`.
    Returns: the shape of x.
    Source: Song et al. 2021, Denoising Diffusion Implicit Models, eq. 12 and 16.
    """
    (a, s), (a_then, s_then) = now, then
    in_x = (x - a * x0) / s
    # sigma^2 = (eta s_then / s)^2 (1 - (a / a_then)^2), and what is kept is the root of s_then^2 - sigma^2, written so that no
    # rounding makes it negative
    ratio = a / a_then
    sigma = eta * (s_then / s) * (1 - ratio**2) ** 0.5
    kept = s_then * (1 - eta**2 + (eta * ratio * s_then / s) ** 2) ** 0.5
    return a_then * x0 + kept * in_x + sigma * noise


# ---------------------------------------------------------------- samplers: from noise to data


def ddpm(denoiser, noise, steps, start=1.0, schedule=schedule, generator=None):
    """Back from noise to data with fresh noise in each step but the last.

    Args: denoiser: function (x_t, t) -> x, t a number. noise: (N, ...), x at time `start`. steps: how many, 1 or more.
        start: time, above 0 and at most 1. generator: draws the fresh noise; on the CPU it is moved.
        schedule: function t -> (a, s).
    Returns: the shape of `noise`. Raises ValueError for other steps, times, or a schedule whose end is not noise.
    Source: Ho et al. 2020, algorithm 2, with the variance of eq. 7.
    """
    x = noise
    for t, then in pairwise(_times("ddpm", steps, start, schedule)):
        (a, _), (a_then, _) = schedule(t), schedule(then)
        mean, variance = posterior(denoiser(x, t), x, a**2, a_then**2)
        x = mean if then == 0 else mean + variance**0.5 * _like(noise, generator)
    return x


def ddim(denoiser, noise, steps, eta=0.0, start=1.0, schedule=schedule, generator=None):
    """Back from noise to data in few steps; with eta = 0 without any further noise, so that one `noise` gives one answer.

    Args: as in `ddpm`, and eta: number in [0, 1]; at 1 it is `ddpm`.
    Returns: the shape of `noise`. Raises ValueError as `ddpm`, and for another eta.
    Source: Song et al. 2021, eq. 12.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"ddim(eta={eta}): accepted is a number from 0 (no fresh noise) to 1 (as much as DDPM).")
    x = noise
    for t, then in pairwise(_times("ddim", steps, start, schedule)):
        fresh = _like(noise, generator) if eta and then else torch.zeros_like(noise)
        x = ddim_step(x, denoiser(x, t), schedule(t), schedule(then), eta, fresh)
    return x


def _like(noise, generator):
    """As many numbers from N(0, 1), drawn on the CPU if that is where the generator is, so that one seed is one picture."""
    where = noise.device if generator is None else generator.device
    return torch.randn(noise.shape, generator=generator, device=where, dtype=noise.dtype).to(noise.device)


def _times(who, steps, start, schedule):
    """steps + 1 times from start to 0, floats."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"{who}(steps={steps!r}): accepted is a whole number from 1 up, such as 20.")
    check_times(who, start)
    if start == 0:
        raise ValueError(f"{who}(start=0): time 0 is data, so there is no noise to take away. Accepted: above 0, to 1.")
    if start == 1:
        check_end(who, schedule)
    return [start * (1 - k / steps) for k in range(steps)] + [0.0]


def check_times(who, t):
    """Raises ValueError unless all times are in [0, 1]."""
    low, high = torch.as_tensor(t).aminmax()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"{who} got times from {low:.4g} to {high:.4g}. Accepted: 0 (data) to 1 (noise). Step k of T is the time k / T."
        )


def check_end(who, schedule):
    """Raises ValueError unless the schedule ends in noise: who starts from pure noise must start where there is nothing else."""
    abar = float(schedule(1.0)[0] ** 2)
    if not abar <= LEAST_NOISE:
        raise ValueError(
            f"{who} starts from pure noise, but at the end of this schedule alpha-bar = a^2 is {abar:.3g}: so much of the variance is "
            f"still data. It should be at most {LEAST_NOISE:g}. For fewer steps T make the betas larger, as 1000 / T, or use the cosine schedule."
        )
