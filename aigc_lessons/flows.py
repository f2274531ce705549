"""What lesson 63 adds to the steps of a flow: pairs by transport, how straight a flow is, and the exact density of its samples.

Throughout t = 0 is data and t = 1 is noise, and a velocity is a function (x, t) -> the shape of x, x (N, ...), t a number: an exact
one fits as well as a network.
"""

import math

import torch

from .ops import euler_step, heun_step


def pair_by_transport(x, noise):
    """Which noise goes with which sample, such that all the lines together are shortest: least total squared distance.

    Args: x, noise: (N, ...) of one shape. Their order carries no meaning; labels of x stay where they are.
    Returns: int64 p (N,), a permutation: noise[p[i]] goes with x[i].
    Raises ValueError: other shapes, or values that are not finite.
    Sources: Tong et al. 2024, Improving and generalizing flow-based generative models with minibatch optimal transport; Crouse 2016,
    On implementing 2D rectangular assignment algorithms (the method of scipy's linear_sum_assignment).
    """
    from scipy.optimize import linear_sum_assignment

    if x.shape != noise.shape or x.ndim == 0:
        raise ValueError(
            f"pair_by_transport got {tuple(x.shape)} samples and {tuple(noise.shape)} noise. Accepted: two tensors (N, ...) of one shape. "
            "Draw noise by torch.randn_like(x)."
        )
    if not (x.isfinite().all() and noise.isfinite().all()):
        raise ValueError(
            "pair_by_transport got NaN or infinity. Accepted: finite values. Look at where they were made."
        )
    a, b = (v.detach().reshape(len(v), -1).double().cpu() for v in (x, noise))
    # |a - b|^2 = |a|^2 + |b|^2 - 2 a . b, and the squares are in every permutation's sum
    _, columns = linear_sum_assignment((-a @ b.T).numpy())
    return torch.from_numpy(columns).long().to(x.device)


@torch.no_grad()
def curvature(velocity, noise, steps):
    """How far a flow is from straight lines: the mean squared difference between its velocity on the way and the way's own mean
    velocity, as a share of the latter's square. 0: every way is straight, and one step of any size is exact.

    Args: velocity: function (x, t). noise: (N, ...), where the ways begin, at t = 1. steps: of Heun, at least 1.
    Returns: float, at least 0.
    Source: Liu et al. 2023, Flow Straight and Fast, section 3.1, there not divided.
    """
    _check_steps("curvature", steps)
    x, said = noise, []
    for k in range(steps, 0, -1):
        said.append(velocity(x, k / steps))
        step = heun_step if k > 1 else euler_step  # as flow_sample does
        x = step(velocity, x, k / steps, 1 / steps)
    whole = noise - x  # the way from data to noise takes one unit of time
    off = torch.stack([(v - whole).square().mean() for v in said]).mean()
    return (off / whole.square().mean()).item()


def divergence(velocity, x, t):
    """The velocity at (x, t), and how fast a small volume there grows: the sum over d of dv_d / dx_d, each sample by itself.

    Exact, one backward pass for each of the D numbers of a sample, so for few of them.

    Args: velocity: function (x, t), differentiable in x; each sample's velocity depends on that sample alone. x: (N, D). t: number.
    Returns: (N, D), (N,).
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        v = velocity(x, t)
        rows = [torch.autograd.grad(v[:, d].sum(), x, retain_graph=True)[0][:, d] for d in range(x.shape[1])]
    return v.detach(), torch.stack(rows).sum(0)


def log_likelihood(velocity, x, steps):
    """The logarithm of the density with which a flow makes x, in nats: follow x to the noise, and add up the divergence on the way.

        log p_0(x_0) = log N(x_1; 0, I) + integral over t from 0 to 1 of div v(x_t, t)

    Args: velocity: as in `divergence`. x: (N, D). steps: of Heun, at least 1.
    Returns: (N,). It is the exact density of the flow followed in small steps; the error falls as 1 / steps^2.
    Source: Chen et al. 2018, Neural Ordinary Differential Equations, theorem 1.
    """
    _check_steps("log_likelihood", steps)

    def both(state, t):  # how fast the place moves, and how fast the sum grows
        v, growth = divergence(velocity, state[:, :-1], t)
        return torch.cat([v, growth[:, None]], 1)

    state = torch.cat([x.detach(), torch.zeros_like(x[:, :1])], 1)
    for k in range(steps):
        state = heun_step(both, state, k / steps, -1 / steps)
    z, volume = state[:, :-1], state[:, -1]
    return -z.square().sum(1) / 2 - x.shape[1] / 2 * math.log(2 * math.pi) + volume


def _check_steps(who, steps):
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"{who}(steps={steps!r}): accepted is a whole number of at least 1, such as 50.")
