"""Steering and editing with a flow that is already trained: lesson 62. Nothing here learns.

Time as in flows.py: t = 0 is data, t = 1 is noise, and a velocity is a function (x, t) -> the shape of x, x (N, ...), t a number.
"""

import torch

from .flows import check_steps, euler_step, flow_sample, heun_step, interpolate
from .ops import composite

# ---------------------------------------------------------------- guidance by a classifier


def classifier_guided(velocity, log_p, scale):
    """The velocity of data that are weighted by p(y | x)^scale, as far as a classifier can tell at each time: classifier guidance.

    Args:
        velocity: function (x, t), of all data. log_p: function (x, t) -> (N,), log p(y | x_t), differentiable in x.
        scale: number; 0 gives `velocity`, and 1, with an exact log_p, the velocity of the data of class y.
    Returns: function (x, t). At t = 1 it is `velocity`: pure noise says nothing about y.
    Source: Dhariwal and Nichol 2021, Diffusion Models Beat GANs on Image Synthesis, section 4; for a straight way the score is
    -(x + (1 - t) v) / t, so that v changes by -t / (1 - t) times what the score changes by.
    """

    def said(x, t):
        if t >= 1:
            return velocity(x, t)
        with torch.enable_grad():
            place = x.detach().requires_grad_()
            (uphill,) = torch.autograd.grad(log_p(place, t).sum(), place)
        return velocity(x, t) - scale * t / (1 - t) * uphill

    return said


# ---------------------------------------------------------------- SDEdit: start in the middle


def sdedit_start(x, t, noise):
    """A picture or a drawing on its way to noise, from where a flow shall make something new of it: (1 - t) x + t noise.

    Args: x, noise: (N, ...) of one shape. t: number in [0, 1]; 0 is x itself, 1 the noise, of the drawing nothing.
    Returns: the shape of x.
    Source: Meng et al. 2022, SDEdit: Guided Image Synthesis and Editing with Stochastic Differential Equations, algorithm 1.
    """
    return interpolate(x, noise, t)


def sdedit(velocity, x, t, noise, steps, solver="heun"):
    """Add noise to a picture up to time t, and follow a flow back from there.

    Args: velocity: function (x, t). x, noise: (N, ...) of one shape. t: number in [0, 1]: how much may change.
        steps, solver: as in flows.flow_sample; the steps share the way from t to 0.
    Returns: the shape of x; at t = 0 x itself, at t = 1 a sample that knows nothing of x.
    Raises ValueError: other shapes, times or steps.
    """
    _check_one_shape("sdedit", x, noise)
    _check_time("sdedit", t)
    return x.clone() if t == 0 else flow_sample(velocity, sdedit_start(x, t, noise), steps, solver, start=t)


# ---------------------------------------------------------------- inversion: which noise does a picture come from?


def invert(velocity, x, steps, solver="euler"):
    """Follow a flow the other way, from data at t = 0 to the noise at t = 1 that it would come from, in equal steps.

    Sampling from the result with as many steps leads back to x, up to an error that falls as 1 / steps (Euler).

    Args: velocity: function (x, t). x: (N, ...). steps: int, at least 1. solver: "euler" or "heun".
    Returns: the shape of x. Raises ValueError: no step, or an unknown solver.
    Source: Song et al. 2021, Denoising Diffusion Implicit Models, section 4.3.
    """
    steppers = {"euler": euler_step, "heun": heun_step}
    check_steps("invert", steps)
    if solver not in steppers:
        raise ValueError(f"invert(solver={solver!r}): accepted are 'euler' and 'heun'.")
    for k in range(steps):
        x = steppers[solver](velocity, x, k / steps, -1 / steps)
    return x


# ---------------------------------------------------------------- RePaint: fill a hole


def repaint_step(x_next, known, mask, then, noise):
    """After a step of a sampler: what is known takes its place again, with as much noise as there is at the step's end.

    Args:
        x_next: (N, C, H, W), where the step led to. known: (N, C, H, W), the picture, of which only the known pixels are looked at.
        mask: (N, 1, H, W), 1 where pixels are known, 0 in the hole. then: number in [0, 1], the time that the step led to.
        noise: (N, C, H, W).
    Returns: (N, C, H, W). At then = 0 the known pixels are those of `known`, bit for bit.
    Source: Lugmayr et al. 2022, RePaint: Inpainting using Denoising Diffusion Probabilistic Models, eq. 8.
    """
    return composite(interpolate(known, noise, then), x_next, mask)


def back_in_time(x, t, later, noise):
    """From time t to a later one by adding noise, so that the share of the data and the variance of the noise are those of `later`.

    Args: x, noise: (N, ...) of one shape. t, later: numbers, 0 <= t <= later <= 1, t below 1. Returns: the shape of x.
    Source: Lugmayr et al. 2022, eq. 1, for one step; here for straight ways.
    """
    keep = (1 - later) / (1 - t)  # of the data, so that (1 - t) keep = 1 - later
    return keep * x + max(later**2 - (keep * t) ** 2, 0) ** 0.5 * noise


@torch.no_grad()
def repaint(velocity, known, mask, noise, steps, rounds=1, generator=None):
    """Fill the hole of a picture with a flow that was never trained to fill holes.

    Args:
        velocity: function (x, t). known, noise: (N, C, H, W); what `known` holds in the hole is not looked at.
        mask: (N, 1, H, W), 1 where pixels are known. steps: of Euler, at least 1.
        rounds: how often each step is taken; before all but the first, noise is added again, so that the hole can still fit in.
        generator: draws that noise, on the CPU if that is where it is.
    Returns: (N, C, H, W), the known pixels bit for bit. With no pixel known and one round: flow_sample's "euler".
    Raises ValueError: masks or noise of another shape, masks with other values, no steps or rounds.
    Source: Lugmayr et al. 2022, algorithm 1. There the known pixels get fresh noise in each step; here they keep their line to `noise`.
    """
    _check_one_shape("repaint", known, noise)
    _check_mask("repaint", mask, known)
    check_steps("repaint", steps)
    check_steps("repaint", rounds, "rounds")
    x, where = noise, noise.device if generator is None else generator.device
    for k in range(steps, 0, -1):
        t, then = k / steps, (k - 1) / steps
        for again in reversed(range(rounds)):
            x = repaint_step(euler_step(velocity, x, t, 1 / steps), known, mask, then, noise)
            if again and k > 1:
                fresh = torch.randn(x.shape, generator=generator, device=where, dtype=x.dtype).to(x.device)
                x = back_in_time(x, then, t, fresh)
    return x


# ---------------------------------------------------------------- visual anagrams: one picture, several views


def anagram(parts):
    """The velocity of a picture that is to be one thing seen in one way, and another thing seen in another.

    Each part sees the picture through its view, says its velocity, and that is turned back; what counts is the mean of all.

    Args:
        parts: list of (velocity, view, undo): functions (x, t) -> the shape of x, x -> x and x -> x. A view has to keep lengths,
            such as a turn, a mirror or any other order of the pixels, since white noise has to stay white noise in it; undo takes it back.
    Returns: function (x, t). With one part and a view that changes nothing it is that part's velocity.
    Raises ValueError: no part; at the first call, a view that does not keep lengths, or an undo that does not lead back.
    Source: Geng et al. 2024, Visual Anagrams: Generating Multi-View Optical Illusions with Diffusion Models, section 3.
    """
    if not parts:
        raise ValueError(
            "anagram got no parts. Accepted: a list of at least one (velocity, view, undo), such as "
            "(velocity, torch.clone, torch.clone) for the picture as it is."
        )
    checked = []

    def said(x, t):
        if not checked:
            for k, (_, view, undo) in enumerate(parts):
                _check_view(k, view, undo, x)
            checked.append(True)
        return torch.stack([undo(velocity(view(x), t)) for velocity, view, undo in parts]).mean(0)

    return said


# ---------------------------------------------------------------- what is refused


def _check_view(k, view, undo, x):
    seen = view(x)
    back = undo(seen)
    scale = x.abs().max()
    if back.shape != x.shape or not (back - x).abs().max() <= 1e-4 * scale:
        raise ValueError(
            f"anagram: the undo of part {k} does not lead back: undo(view(x)) is not x. Accepted: a view and what takes it back, such "
            "as a quarter turn to the left and one to the right: torch.rot90(x, 1, (-2, -1)), torch.rot90(x, -1, (-2, -1))."
        )
    before, after = x.square().sum(), seen.square().sum()
    if not (after - before).abs() <= 1e-3 * before:
        raise ValueError(
            f"anagram: the view of part {k} changes lengths (the sum of squares goes from {before:.4g} to {after:.4g}), so noise is no "
            "longer white noise in it. Accepted: turns, mirrors, other orders of the pixels, changes of sign."
        )


def _check_time(who, t):
    if not 0 <= t <= 1:
        raise ValueError(
            f"{who}(t={t}): accepted is a time from 0 (the picture itself) to 1 (noise alone), such as 0.4."
        )


def _check_one_shape(who, x, noise):
    if x.shape != noise.shape:
        raise ValueError(
            f"{who} got pictures {tuple(x.shape)} and noise {tuple(noise.shape)}. Accepted: one shape. Draw noise by torch.randn_like(x)."
        )


def _check_mask(who, mask, images):
    n, _, h, w = images.shape
    if tuple(mask.shape) != (n, 1, h, w):
        raise ValueError(
            f"{who} got masks of shape {tuple(mask.shape)} for pictures {tuple(images.shape)}. Accepted: ({n}, 1, {h}, {w}), 1 where "
            "pixels are known, one mask for each picture. For one mask for all: mask.expand(len(images), -1, -1, -1)."
        )
    if not ((mask == 0) | (mask == 1)).all():
        raise ValueError(
            f"{who} got masks with values other than 0 and 1. Accepted: 1 where pixels are known, 0 in the hole. For grey levels: "
            "(mask > 0.5).float()."
        )
