"""Flow matching (lessons 32 and 61 to 64): the straight way, its objective, steps along a velocity, guidance; and what lesson 63 adds: pairs
by transport, how straight a flow is, and the exact density of its samples.

Throughout t = 0 is data and t = 1 is noise, and a velocity is a function (x, t) -> the shape of x, x (N, ...), t a number: an exact
one fits as well as a network.
"""

import math

import torch


def _a_number_each(t, x):
    """(N,) -> (N, 1, ..., 1), to multiply x (N, ...) by; a plain number stays as it is."""
    return t.view(-1, *[1] * (x.ndim - 1)) if isinstance(t, torch.Tensor) and t.ndim == 1 else t


def interpolate(x, noise, t):
    """The point at time t of the straight line from a picture to noise: (1 - t) x + t noise.

    Args: x, noise: (N, ...) of one shape. t: (N,), or one number for all, in [0, 1]: 0 is the picture, 1 the noise.
    Returns: the shape of x.
    Source: Liu et al. 2023, Flow Straight and Fast (rectified flow), section 2.1; there time runs the other way.
    """
    t = _a_number_each(t, x)
    return (1 - t) * x + t * noise


def velocity_target(x, noise):
    """How fast that point moves as t grows, at every t the same: noise - x, the derivative of `interpolate` in t.

    Args: x, noise: (N, ...) of one shape. Returns: the same shape.
    Source: Liu et al. 2023, eq. 1; Lipman et al. 2023, Flow Matching for Generative Modeling, eq. 23.
    """
    return noise - x


def flow_loss(velocity, x, noise):
    """Mean squared error of a velocity that was said for the line from x to noise.

    Its least value is not 0: lines from different pictures cross, and where they do the best answer is their mean velocity.

    Args: velocity, x, noise: (N, ...) of one shape. Returns: scalar, at least 0.
    Source: Liu et al. 2023, eq. 1; Lipman et al. 2023, eq. 9.
    """
    return (velocity - velocity_target(x, noise)).square().mean()


def drop_labels(labels, keep, null):
    """Put `null`, which stands for "no condition", in the place of what is not kept.

    Args: labels: (N, ...) int64; not changed. keep: (N,), 1 or 0 for each sample. null: int. Returns: the shape of labels.
    Source: Ho and Salimans 2022, Classifier-Free Diffusion Guidance, algorithm 1.
    """
    return torch.where(keep.bool().view(-1, *[1] * (labels.ndim - 1)), labels, null)


def guided(unconditional, conditional, w):
    """Classifier-free guidance: from the unconditional prediction w times the way to the conditional one.

    Args: unconditional, conditional: predictions of one shape. w: number; 0 gives the first and 1 the second, to the bit;
        above 1 goes beyond it.
    Returns: unconditional + w (conditional - unconditional).
    Source: Ho and Salimans 2022, eq. 6, whose w counts from 0 where this one counts from 1.
    """
    return torch.lerp(unconditional, conditional, w)


def euler_step(velocity, x, t, dt):
    """One step of a flow from time t to t - dt, straight along the velocity at its beginning.

    Args: velocity: function (x, t) -> the shape of x. x: (N, ...). t, dt: numbers. Returns: the shape of x.
    """
    return x - dt * velocity(x, t)


def heun_step(velocity, x, t, dt):
    """One step of a flow from time t to t - dt, along the mean of the velocities at both ends.

    Args: as `euler_step`. Returns: the shape of x. The velocity is asked twice, the second time where an Euler step would end.
    Source: Hairer, Nørsett and Wanner 1993, Solving Ordinary Differential Equations I, section II.1.
    """
    here = velocity(x, t)
    there = velocity(x - dt * here, t - dt)
    return x - dt * (here + there) / 2


def flow_sample(velocity, noise, steps, solver="heun", start=1.0):
    """Follow a flow from noise at t = 1 to data at t = 0, in equal steps; or from where x stands at time `start`.

    With "heun" the last step is Euler's all the same: a learnt velocity is least exact at t = 0, where the noise that is asked for
    can no longer be seen.

    Args: velocity: function (x, t) -> the shape of x, t a number. noise: (N, ...). steps: int, at least 1. solver: "euler", "heun".
        start: time of `noise`, above 0 and at most 1.
    Returns: the shape of noise.
    Raises ValueError: no step, an unknown solver, or another start.
    """
    check_steps("flow_sample", steps)
    if solver not in ("euler", "heun"):
        raise ValueError(f"flow_sample(solver={solver!r}): accepted are 'euler' and 'heun'.")
    if not 0 < start <= 1:
        raise ValueError(f"flow_sample(start={start}): accepted is a time above 0 (data) and at most 1 (noise).")
    x, dt = noise, start / steps
    for i in range(steps, 0, -1):
        step = heun_step if solver == "heun" and i > 1 else euler_step
        x = step(velocity, x, start * i / steps, dt)
    return x


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
    check_steps("curvature", steps)
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
    check_steps("log_likelihood", steps)

    def both(state, t):  # how fast the place moves, and how fast the sum grows
        v, growth = divergence(velocity, state[:, :-1], t)
        return torch.cat([v, growth[:, None]], 1)

    state = torch.cat([x.detach(), torch.zeros_like(x[:, :1])], 1)
    for k in range(steps):
        state = heun_step(both, state, k / steps, -1 / steps)
    z, volume = state[:, :-1], state[:, -1]
    return -z.square().sum(1) / 2 - x.shape[1] / 2 * math.log(2 * math.pi) + volume


def check_steps(who, steps, name="steps"):
    """Raises ValueError unless steps, or what else is counted, is a whole number from 1 up."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"{who}({name}={steps!r}): accepted is a whole number of {name}, 1 or more, such as 10.")
