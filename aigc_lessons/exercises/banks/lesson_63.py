"""The exercises of lesson 63: a flow's straight lines and their velocity, two solvers, pairs by transport, a fault to find and a number."""

import itertools
import math

import torch

from ...flows import euler_step, heun_step, interpolate, pair_by_transport, velocity_target
from ..engine import Case, Exercise, Mistake


def _a_number_each(t, x):
    return t.reshape(-1, *[1] * (x.ndim - 1))


# interpolate


def _interpolate_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, *shape, t=None):
        x, noise = torch.randn(shape, generator=g) - 0.5, torch.randn(shape, generator=g)
        t = torch.rand(shape[0], generator=g) if t is None else torch.tensor(t)
        return Case(label, (x, noise, t), gradients=(0, 1, 2))

    hand = [torch.tensor(v) for v in ([[[[4.0]]]], [[[[-2.0]]]], [0.25])]
    return [
        Case("one pixel, t = 0.25", tuple(hand), gradients=(0, 1, 2)),
        case("both ends of the way", 2, 1, 1, 3, t=[0.0, 1.0]),
        case("the middle, and near both ends", 3, 1, 2, 2, t=[0.5, 0.001, 0.999]),
        case("as many pictures as columns", 4, 2, 3, 4),
        case("as many pictures as rows and channels", 3, 3, 3, 2),
        case("colour pictures", 5, 3, 4, 2),
        case("many pictures", 9, 1, 2, 5),
    ]


def _each_by_itself(x, noise, t):
    return torch.stack([(1 - time) * a + time * b for a, b, time in zip(x, noise, t)])


INTERPOLATE = Exercise(
    name="interpolate",
    lesson=63,
    points=1,
    minutes=5,
    differentiable=True,
    docstring="""The pictures on their way to noise: each picture x goes to its own noise along a straight line, x at t = 0, noise at t = 1.

x, noise: (N, C, H, W). t: (N,) in [0, 1], a time for each picture. Returns (N, C, H, W), differentiable in all three.""",
    reference=interpolate,
    cases=_interpolate_cases,
    alternatives={
        "the library's lerp": lambda x, noise, t: torch.lerp(x, noise, _a_number_each(t, x).expand_as(x)),
        "from the picture, t of the way": lambda x, noise, t: x + t[:, None, None, None] * (noise - x),
        "one picture at a time": _each_by_itself,
        "an einsum for each part": lambda x, noise, t: (
            torch.einsum("n,nchw->nchw", 1 - t, x) + torch.einsum("n,nchw->nchw", t, noise)
        ),
        "from the noise, back": lambda x, noise, t: noise - (1 - _a_number_each(t, x)) * (noise - x),
    },
    mistakes=(
        # Lipman et al., MIT 6.S184 and torchcfm count so; splitmeanflow #2: teacher and student counted differently
        Mistake(
            "time runs the other way",
            "You have noise at t = 0 and data at t = 1, as many papers do; in this course t = 0 is data.",
            lambda x, noise, t: interpolate(noise, x, t),
        ),
        # torchcfm #24: a t of one number was used for the whole batch
        Mistake(
            "one t for the batch",
            "You use the first t for all pictures; each has its own.",
            lambda x, noise, t: interpolate(x, noise, t[:1].expand_as(t)),
        ),
        Mistake(
            "the mean t",
            "You take the mean of t over the batch; each picture has its own.",
            lambda x, noise, t: interpolate(x, noise, t.mean().expand_as(t)),
        ),
        Mistake(
            "t along the wrong axis",
            "You multiply by t as it is, which lines it up with the columns; give it the shape (N, 1, 1, 1).",
            lambda x, noise, t: (1 - t) * x + t * noise,
        ),
        # Ho et al. 2020: the diffusion of lesson 61
        Mistake(
            "roots of the shares",
            "You take the roots of the shares, which keeps the variance and bends the way; on a straight line the shares are 1 - t and t.",
            lambda x, noise, t: (
                _a_number_each((1 - t).clamp(min=1e-12).sqrt(), x) * x
                + _a_number_each(t.clamp(min=1e-12).sqrt(), x) * noise
            ),
        ),
        Mistake(
            "cosine and sine",
            "You go along a quarter of a circle, lesson 61's cosine schedule; a flow's way is straight.",
            lambda x, noise, t: (
                _a_number_each((t * math.pi / 2).cos(), x) * x + _a_number_each((t * math.pi / 2).sin(), x) * noise
            ),
        ),
        # Karras et al. 2022 (EDM): x + sigma noise
        Mistake(
            "the picture keeps its strength",
            "You add t times the noise to the whole picture; the picture has to fade, too, by 1 - t.",
            lambda x, noise, t: x + _a_number_each(t, x) * noise,
        ),
        Mistake(
            "the noise at full strength",
            "You add all of the noise at every t; its share is t.",
            lambda x, noise, t: (1 - _a_number_each(t, x)) * x + noise,
        ),
        # DeepLearning.AI, How diffusion models work: the variance where its root belongs
        Mistake(
            "squares of the shares",
            "You square the shares; they are 1 - t and t themselves.",
            lambda x, noise, t: _a_number_each((1 - t).square(), x) * x + _a_number_each(t.square(), x) * noise,
        ),
        Mistake(
            "the way without its start",
            "You return t times the way from picture to noise; add it to the picture.",
            lambda x, noise, t: _a_number_each(t, x) * (noise - x),
        ),
        # CellFlow PR #305: what was subtracted was not what the way began with
        Mistake(
            "from the mean picture",
            "You start every way at the mean of the batch; each picture starts at itself.",
            lambda x, noise, t: interpolate(x.mean(0, keepdim=True).expand_as(x), noise, t),
        ),
        Mistake(
            "clamped",
            "You clamp the result to [-1, 1]; noisy pictures leave the range of pictures, and have to.",
            lambda x, noise, t: interpolate(x, noise, t).clamp(-1, 1),
        ),
        Mistake(
            "a thousand steps",
            "You divide t by 1,000, as if it counted steps; t is in [0, 1] already.",
            lambda x, noise, t: interpolate(x, noise, t / 1_000),
        ),
    ),
)


# velocity_target


def _target_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, *shape, shift=0.0):
        x, noise = torch.randn(shape, generator=g) + shift, torch.randn(shape, generator=g)
        return Case(label, (x, noise), gradients=(0, 1))

    return [
        Case("one pixel", (torch.tensor([[[[4.0]]]]), torch.tensor([[[[-2.0]]]])), gradients=(0, 1)),
        Case("no noise", (torch.tensor([[[[0.5, -1.5]]]]), torch.zeros(1, 1, 1, 2)), gradients=(0, 1)),
        case("three grey pictures", 3, 1, 2, 4),
        case("bright pictures", 4, 3, 2, 2, shift=2.0),
        case("dark pictures", 5, 1, 3, 2, shift=-2.0),
    ]


def _by_forward_differentiation(x, noise):
    zero = torch.zeros(len(x))
    return torch.func.jvp(lambda t: interpolate(x, noise, t), (zero.to(x),), (torch.ones_like(zero).to(x),))[1]


TARGET = Exercise(
    name="velocity_target",
    lesson=63,
    points=1,
    minutes=4,
    differentiable=True,
    docstring="""The velocity on the straight line from a picture to its noise: how fast (1 - t) x + t noise changes as t grows.

x, noise: (N, C, H, W). Returns (N, C, H, W); it does not depend on t.""",
    reference=velocity_target,
    cases=_target_cases,
    alternatives={
        "minus the way back": lambda x, noise: -(x - noise),
        "end minus start": lambda x, noise: (
            interpolate(x, noise, torch.ones(len(x)).to(x)) - interpolate(x, noise, torch.zeros(len(x)).to(x))
        ),
        "by differentiation": _by_forward_differentiation,
        "subtracted with a weight": lambda x, noise: torch.add(noise, x, alpha=-1),
    },
    mistakes=(
        # lucidrains/rectified-flow-pytorch #14, splitmeanflow #2
        Mistake(
            "towards the picture",
            "You point from the noise to the picture; as t grows the way goes from the picture to the noise.",
            lambda x, noise: x - noise,
        ),
        Mistake(
            "the noise",
            "You return the noise, what a diffusion model of the first kind predicts; subtract the picture.",
            lambda x, noise: noise + 0 * x,
        ),
        Mistake(
            "the picture",
            "You return the picture, which is where the way begins; asked is how fast it is left.",
            lambda x, noise: x + 0 * noise,
        ),
        Mistake("a sum", "You add picture and noise; the velocity is their difference.", lambda x, noise: noise + x),
        # rolled by one: CellFlow PR #305 subtracted another tensor than the one the way began with
        Mistake(
            "another picture's noise",
            "You take the noise of the neighbour in the batch; each picture has its own.",
            lambda x, noise: noise.roll(1, 0) - x,
        ),
        Mistake(
            "from the mean picture",
            "You subtract the mean of the batch; subtract the picture itself.",
            lambda x, noise: noise - x.mean(0, keepdim=True),
        ),
        Mistake(
            "length 1",
            "You scale each velocity to length 1; a way that is longer is gone faster, since all take one unit of time.",
            lambda x, noise: (noise - x) / (noise - x).flatten(1).norm(dim=1).reshape(-1, 1, 1, 1),
        ),
        Mistake(
            "half",
            "You halve the difference, as the velocity at one half; it is the same at every t.",
            lambda x, noise: (noise - x) / 2,
        ),
        Mistake(
            "root of two",
            "You divide by the root of 2 to have variance 1; the network has to learn the velocity as it is.",
            lambda x, noise: (noise - x) / 2**0.5,
        ),
        Mistake(
            "absolute value",
            "You drop the sign; a velocity has a direction.",
            lambda x, noise: (noise - x).abs(),
        ),
        Mistake(
            "clamped",
            "You clamp to [-1, 1], the range of pictures; a velocity is none.",
            lambda x, noise: (noise - x).clamp(-1, 1),
        ),
        Mistake(
            "mean over the batch",
            "You take the mean over the pictures; each has its own velocity.",
            lambda x, noise: (noise - x).mean(0, keepdim=True).expand_as(x),
        ),
    ),
)


# euler_step, heun_step


def _step_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, t, dt, *shape):
        size = math.prod(shape[1:])
        weight = torch.randn(size, size, generator=g) / size**0.5
        return Case(label, (weight, torch.randn(shape, generator=g), t, dt), gradients=(0, 1))

    number = lambda value: torch.tensor([[value]])
    return [
        Case(
            "one number, velocity tanh(x) + x t, from 1 to 0.5", (number(1.0), number(1.0), 1.0, 0.5), gradients=(0, 1)
        ),
        Case("one number, from 0.75 to 0", (number(-0.5), number(2.0), 0.75, 0.75), gradients=(0, 1)),
        case("four points in the plane", 0.8, 0.25, 4, 2),
        case("a small step", 0.6, 0.1, 3, 5),
        case("the whole way at once", 1.0, 1.0, 5, 3),
        case("grey pictures", 0.5, 0.4, 3, 1, 2, 3),
        case("colour pictures", 0.9, 0.3, 2, 3, 2, 2),
    ]


def _with_velocity(function, weight, x, t, dt):
    """Call with the velocity tanh(weight x) + x t, which changes with place and time; weight mixes a sample's numbers."""

    def velocity(x, t):
        return (x.flatten(1) @ weight.T).tanh().view_as(x) + x * t

    return function(velocity, x, t, dt)


EULER = Exercise(
    name="euler_step",
    lesson=63,
    points=1,
    minutes=6,
    differentiable=True,
    docstring="""One step of Euler's, from time t to the earlier time t - dt, towards the data.

velocity: function (x, t) -> the shape of x, how fast x moves as t grows. x: (N, ...), at time t. t, dt: numbers, 0 < dt <= t.
Returns the shape of x: where x is at t - dt if it goes straight on.""",
    reference=euler_step,
    cases=_step_cases,
    call=_with_velocity,
    alternatives={
        "times a negative step": lambda velocity, x, t, dt: x + (-dt) * velocity(x, t),
        "from the difference of two times": lambda velocity, x, t, dt: x + ((t - dt) - t) * velocity(x, t),
        "the library's sub with a weight": lambda velocity, x, t, dt: torch.sub(x, velocity(x, t), alpha=dt),
        "one number at a time": lambda velocity, x, t, dt: torch.stack(
            [a - dt * v for a, v in zip(x.flatten(), velocity(x, t).flatten())]
        ).view_as(x),
    },
    mistakes=(
        # lucidrains/rectified-flow-pytorch #14: "i inverted the direction"
        Mistake(
            "the wrong way",
            "You add the step, which leads on towards the noise; from t to t - dt it is subtracted.",
            lambda velocity, x, t, dt: x + dt * velocity(x, t),
        ),
        # jmtomczak/intro_dgm, sbgms/fm_example
        Mistake(
            "velocity at the other end",
            "You ask for the velocity at t - dt; x is at t, so ask there.",
            lambda velocity, x, t, dt: x - dt * velocity(x, t - dt),
        ),
        Mistake(
            "velocity beyond the start",
            "You ask for the velocity at t + dt; x is at t.",
            lambda velocity, x, t, dt: x - dt * velocity(x, t + dt),
        ),
        Mistake(
            "dt forgotten",
            "You subtract the whole velocity, which is a step of length 1; multiply it by dt.",
            lambda velocity, x, t, dt: x - velocity(x, t),
        ),
        Mistake(
            "all the way",
            "You multiply by t, which goes on to time 0; this step takes dt.",
            lambda velocity, x, t, dt: x - t * velocity(x, t),
        ),
        Mistake(
            "the new time for the step",
            "You multiply by t - dt, the time where the step ends; its length is dt.",
            lambda velocity, x, t, dt: x - (t - dt) * velocity(x, t),
        ),
        Mistake(
            "root of dt",
            "You multiply by the root of dt, which is for noise that is added step by step; a velocity is multiplied by dt.",
            lambda velocity, x, t, dt: x - dt**0.5 * velocity(x, t),
        ),
        # Lipman et al., 6.S184, torchcfm: there t = 1 is data
        Mistake(
            "time from the other end",
            "You ask for the velocity at 1 - t, as if t = 1 were data; here t = 0 is data.",
            lambda velocity, x, t, dt: x - dt * velocity(x, 1 - t),
        ),
        # SiT #24, REPA #40: sinusoids made for 0 ... 1000
        Mistake(
            "time in thousandths",
            "You multiply t by 1,000 before you ask; the velocity takes t in [0, 1].",
            lambda velocity, x, t, dt: x - dt * velocity(x, 1_000 * t),
        ),
        Mistake(
            "Heun's step",
            "You take Heun's step, which asks twice; Euler's asks once.",
            heun_step,
        ),
        Mistake(
            "midpoint",
            "You ask a second time in the middle of the step; Euler's asks once, at its beginning.",
            lambda velocity, x, t, dt: x - dt * velocity(x - dt / 2 * velocity(x, t), t - dt / 2),
        ),
        Mistake(
            "a mixture with the velocity",
            "You mix x and the velocity as if it were a picture; x stays whole, and dt times the velocity is subtracted.",
            lambda velocity, x, t, dt: (1 - dt) * x - dt * velocity(x, t),
        ),
        Mistake(
            "clamped",
            "You clamp the result to [-1, 1]; on the way to a picture the values are larger.",
            lambda velocity, x, t, dt: euler_step(velocity, x, t, dt).clamp(-1, 1),
        ),
        Mistake(
            "the step alone",
            "You return the step itself; add it to x.",
            lambda velocity, x, t, dt: -dt * velocity(x, t),
        ),
    ),
)


def _two_slopes(place, time, weights=(0.5, 0.5)):
    """Heun's step with the second slope asked at place(x, first, dt) and time(t, dt)."""

    def step(velocity, x, t, dt):
        first = velocity(x, t)
        second = velocity(place(x, first, dt), time(t, dt))
        return x - dt * (weights[0] * first + weights[1] * second)

    return step


_guess, _then = lambda x, first, dt: x - dt * first, lambda t, dt: t - dt


def _two_euler_steps(velocity, x, t, dt):
    """The mean of x and of where two Euler steps of dt lead, the second with the velocity of t - dt."""
    once = x - dt * velocity(x, t)
    return (x + once - dt * velocity(once, t - dt)) / 2


HEUN = Exercise(
    name="heun_step",
    lesson=63,
    points=2,
    minutes=12,
    differentiable=True,
    docstring="""One step of Heun's, from time t to the earlier time t - dt: along the mean of two velocities, the one at x and t,
and the one at the place and time where an Euler step would end.

velocity: function (x, t) -> the shape of x. x: (N, ...), at time t. t, dt: numbers, 0 < dt <= t. Returns the shape of x.""",
    reference=heun_step,
    cases=_step_cases,
    call=_with_velocity,
    alternatives={
        "weights written out": _two_slopes(_guess, _then),
        "the mean of x and two Euler steps": _two_euler_steps,
        "Euler's step, corrected": lambda velocity, x, t, dt: (
            (guess := x - dt * velocity(x, t)) + dt / 2 * (velocity(x, t) - velocity(guess, t - dt))
        ),
        "a mean over a stack": lambda velocity, x, t, dt: (
            x - dt * torch.stack([velocity(x, t), velocity(euler_step(velocity, x, t, dt), t - dt)]).mean(0)
        ),
    },
    mistakes=(
        # diffusers #1512
        Mistake(
            "second slope at the old time",
            "You ask for the second velocity at t again; the Euler step ends at t - dt.",
            _two_slopes(_guess, lambda t, dt: t),
        ),
        Mistake(
            "second slope at the old place",
            "You ask for the second velocity at x again; the Euler step ends at x - dt * first.",
            _two_slopes(lambda x, first, dt: x, _then),
        ),
        Mistake(
            "Euler's step",
            "You go along the first velocity alone; ask again where that leads, and take the mean of the two.",
            euler_step,
        ),
        # jmtomczak/intro_dgm walks along the velocity of the right end
        Mistake(
            "the second slope alone",
            "You go along the second velocity alone; take the mean of both.",
            _two_slopes(_guess, _then, (0.0, 1.0)),
        ),
        Mistake(
            "no half",
            "You add both velocities; take their mean.",
            _two_slopes(_guess, _then, (1.0, 1.0)),
        ),
        Mistake(
            "on from the guess",
            "You go on from the end of the Euler step; the mean velocity is for the whole step, from x.",
            lambda velocity, x, t, dt: heun_step(velocity, x, t, dt) - dt * velocity(x, t),
        ),
        Mistake(
            "the wrong way",
            "You add the step, which leads on towards the noise; from t to t - dt it is subtracted.",
            lambda velocity, x, t, dt: 2 * x - heun_step(velocity, x, t, dt),
        ),
        Mistake(
            "guess in the wrong direction",
            "Your Euler step goes to x + dt * first; it goes the way that the whole step goes, to x - dt * first.",
            _two_slopes(lambda x, first, dt: x + dt * first, _then),
        ),
        Mistake(
            "second time in the wrong direction",
            "You ask for the second velocity at t + dt; the step ends at t - dt.",
            _two_slopes(_guess, lambda t, dt: t + dt),
        ),
        Mistake(
            "midpoint",
            "You go along the velocity in the middle of the step, which is another method; Heun's takes the mean of both ends.",
            lambda velocity, x, t, dt: x - dt * velocity(x - dt / 2 * velocity(x, t), t - dt / 2),
        ),
        Mistake(
            "a guess of half a step",
            "Your Euler step is half as long as the time that you ask for; both are dt.",
            _two_slopes(lambda x, first, dt: x - dt / 2 * first, _then),
        ),
        Mistake(
            "two half steps",
            "You take two Euler steps of dt / 2; Heun's takes one step along a mean velocity.",
            lambda velocity, x, t, dt: euler_step(velocity, euler_step(velocity, x, t, dt / 2), t - dt / 2, dt / 2),
        ),
        Mistake(
            "dt forgotten in the guess",
            "You guess x - first, which is a step of length 1; it is dt long.",
            _two_slopes(lambda x, first, dt: x - first, _then),
        ),
        Mistake(
            "dt forgotten",
            "You subtract the mean velocity as it is; multiply it by dt.",
            lambda velocity, x, t, dt: x - (x - heun_step(velocity, x, t, dt)) / dt,
        ),
    ),
)


# pair_by_transport


def _pair_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, *shape):
        return Case(label, (torch.randn(shape, generator=g), torch.randn(shape, generator=g)))

    points = lambda *rows: torch.tensor(rows)
    return [
        Case("one point", (points([1.0, 2.0]), points([-1.0, 0.0]))),
        # 1 + 1.0025 by squares against 4.0025 + 0; without the square 2.001 against 2.0006
        Case(
            "two points, where squares decide otherwise",
            (points([0.0, 0.0], [1.0, 0.0]), points([2.0, 0.05], [1.0, 0.0])),
        ),
        # 3.1525 + 0 by squares against 1 + 2.2525; by fourth powers 9.94 against 6.07
        Case("two points, where one long line pays", (points([0.0, 0.0], [1.0, 0.0]), points([0.95, 1.5], [1.0, 0.0]))),
        # Each point's nearest noise is the next one's: the best pairs shift all three
        Case("three numbers", (points([0.0], [1.0], [2.0]), points([1.1], [2.1], [3.1]))),
        Case(
            "seven numbers in rising order", (torch.randn(7, 1, generator=g).sort(0)[0], torch.randn(7, 1, generator=g))
        ),
        # Exchanging any two pairs of the identity makes it longer, and moving all three in a circle makes it shorter
        Case("three points in a circle", _circle()),
        case("five points in the plane", 5, 2),
        case("six points in the plane", 6, 2),
        case("seven points", 7, 4),
        case("seven points far from the noise", 7, 3),
        case("six pictures", 6, 1, 3, 2),
    ]


def _circle():
    """Three points and three pieces of noise, such that no exchange of two helps the order as it stands, and a circle does."""
    x = torch.tensor([[1.0, 0.0], [-0.5, 0.866025], [-0.5, -0.866025]])
    turned = torch.tensor(
        [[math.cos(a), math.sin(a)] for a in (4 * math.pi / 9 + k * 2 * math.pi / 3 for k in range(3))]
    )
    return x, turned


def _cost(x, noise):
    return torch.cdist(x.flatten(1).double(), noise.flatten(1).double()).square()


def _best(cost):
    """Try every permutation; the largest problems here have 5,040."""
    rows = torch.arange(len(cost))
    every = torch.tensor(list(itertools.permutations(range(len(cost)))))
    return every[cost[rows, every].sum(1).argmin()]


def _by_shortest_paths(x, noise):
    """The Hungarian method: add one sample at a time, along the cheapest chain of changes (Jonker and Volgenant 1987)."""
    cost, n = _cost(x, noise).tolist(), len(x)
    u, v, owner = [0.0] * (n + 1), [0.0] * (n + 1), [n] * (n + 1)
    for row in range(n):
        owner[n], column = row, n
        least, before, done = [math.inf] * n, [n] * n, [False] * (n + 1)
        while owner[column] != n:
            done[column] = True
            r = owner[column]
            for c in range(n):
                reduced = cost[r][c] - u[r] - v[c]
                if not done[c] and reduced < least[c]:
                    least[c], before[c] = reduced, column
            nearest = min((c for c in range(n) if not done[c]), key=lambda c: least[c])
            step = least[nearest]
            for c in range(n + 1):
                if done[c]:
                    u[owner[c]] += step
                    v[c] -= step
                elif c < n:
                    least[c] -= step
            column = nearest
        while column != n:
            owner[column], column = owner[before[column]], before[column]
    p = [0] * n
    for c in range(n):
        p[owner[c]] = c
    return torch.tensor(p)


def _by_cycles(x, noise):
    """Start from any pairs; while some circle of changes makes the total smaller, make it (Bellman and Ford)."""
    cost, n = _cost(x, noise).tolist(), len(x)
    p = list(range(n))
    while True:
        distance, before = [0.0] * n, [-1] * n
        for _ in range(n):
            last = -1
            for i, j in itertools.permutations(range(n), 2):  # i takes what j has
                changed = distance[i] + cost[i][p[j]] - cost[i][p[i]]
                if changed < distance[j] - 1e-12:
                    distance[j], before[j], last = changed, i, j
        if last < 0:
            return torch.tensor(p)
        for _ in range(n):
            last = before[last]
        circle = [last]
        while (step := before[circle[-1]]) != last:
            circle.append(step)
        circle = circle[::-1]  # each takes what the next one has
        held = [p[i] for i in circle]
        for k, i in enumerate(circle):
            p[i] = held[(k + 1) % len(circle)]


def _greedy(x, noise):
    cost, p = _cost(x, noise), []
    for row in cost:
        row = row.clone()
        row[p] = math.inf
        p.append(int(row.argmin()))
    return torch.tensor(p)


def _nearest_pair_first(x, noise):
    cost, p = _cost(x, noise), torch.zeros(len(x), dtype=torch.int64)
    for _ in range(len(x)):
        i, j = divmod(int(cost.argmin()), len(x))
        p[i] = j
        cost[i], cost[:, j] = math.inf, math.inf
    return p


def _exchanged_in_twos(x, noise):
    cost, p = _cost(x, noise), list(range(len(x)))
    better = True
    while better:
        better = False
        for i, j in itertools.combinations(range(len(p)), 2):
            if cost[i, p[j]] + cost[j, p[i]] < cost[i, p[i]] + cost[j, p[j]]:
                p[i], p[j], better = p[j], p[i], True
    return torch.tensor(p)


def _by_rank(of):
    """Sort both sides by one number each."""

    def paired(x, noise):
        p = torch.empty(len(x), dtype=torch.int64)
        p[of(x.flatten(1)).argsort()] = of(noise.flatten(1)).argsort()
        return p

    return paired


def _paired(function, x, noise):
    """Call, and return the noise in the order that the answer gives it: what the pairs are made of."""
    import torch

    return noise[torch.as_tensor(function(x, noise))]


PAIRS = Exercise(
    name="pair_by_transport",
    lesson=63,
    points=3,
    minutes=20,
    docstring="""Which noise goes with which sample, such that the total squared distance of all pairs is least.

x, noise: (N, ...) of one shape, N at most 7 here. Returns int64 p (N,), a permutation of 0 ... N - 1: noise[p[i]] goes with x[i].
It is graded with torch and NumPy alone, without SciPy; so few can be paired by trying every permutation.""",
    reference=pair_by_transport,
    cases=_pair_cases,
    call=_paired,
    parts=("the noise that goes with each sample"),
    alternatives={
        "every permutation": lambda x, noise: _best(_cost(x, noise)),
        "the Hungarian method": _by_shortest_paths,
        "circles of changes": _by_cycles,
        "the largest total product": lambda x, noise: _best(-x.flatten(1).double() @ noise.flatten(1).double().T),
    },
    mistakes=(
        Mistake(
            "greedy",
            "You give each sample in turn the nearest noise that is left, and the last ones take what remains; the total has to be least.",
            _greedy,
        ),
        Mistake(
            "nearest pair first",
            "You take the nearest pair first, then the next, and the last ones take what remains; the total has to be least.",
            _nearest_pair_first,
        ),
        Mistake(
            "nearest noise",
            "You give each sample its nearest noise, so some is used twice and some never; a permutation uses each once.",
            lambda x, noise: _cost(x, noise).argmin(1),
        ),
        # torchcfm #33, #117, #132: which side is permuted decides whose labels still fit
        Mistake(
            "the inverse",
            "You return which sample goes with which noise; asked is p such that noise[p[i]] goes with x[i].",
            lambda x, noise: pair_by_transport(noise, x),
        ),
        Mistake(
            "as drawn",
            "You leave the noise as it was drawn; look for the permutation whose total is least.",
            lambda x, noise: torch.arange(len(x)),
        ),
        Mistake(
            "longest",
            "You look for the largest total; it has to be the least.",
            lambda x, noise: _best(-_cost(x, noise)),
        ),
        Mistake(
            "distance not squared",
            "You add up distances; it is their squares that are added, and the best pairs may be others.",
            lambda x, noise: _best(_cost(x, noise).sqrt()),
        ),
        Mistake(
            "sum of absolute differences",
            "You add up absolute differences; take the squared distance.",
            lambda x, noise: _best(torch.cdist(x.flatten(1), noise.flatten(1), p=1)),
        ),
        Mistake(
            "fourth powers",
            "You square twice; the squared distance is the sum of squared differences.",
            lambda x, noise: _best(_cost(x, noise).square()),
        ),
        Mistake(
            "sorted by the first number",
            "You sort both sides by their first number, which is right on a line only; look at all of them.",
            _by_rank(lambda v: v[:, 0]),
        ),
        Mistake(
            "sorted by length",
            "You sort both sides by their distance from 0; two that are equally far from 0 may be far from each other.",
            _by_rank(lambda v: v.norm(dim=1)),
        ),
        Mistake(
            "by direction",
            "You compare directions, each side scaled to length 1; the distance depends on the lengths, too.",
            lambda x, noise: _best(-(_unit(x) @ _unit(noise).T)),
        ),
        Mistake(
            "exchanged in twos",
            "You exchange two pairs while that helps, which may stop too early: moving three in a circle can be shorter.",
            _exchanged_in_twos,
        ),
    ),
)


def _unit(v):
    v = v.flatten(1)
    return v / v.norm(dim=1, keepdim=True)


# faulty_line_flow

LINE = Exercise(
    name="faulty_line_flow",
    lesson=63,
    points=2,
    minutes=10,
    docstring="""One line of this training of a flow has the effect described here. Return its number.

The flow is told a class, and its batches are paired by transport. It runs without complaint, the loss falls, and the pictures are
good ones of all classes. But whatever class you ask for, you get any of them.

 1  for step in range(2000):
 2      chosen = torch.randint(0, len(images), (64,))
 3      x, y = images[chosen], labels[chosen]
 4      noise = torch.randn_like(x)
 5      p = pair_by_transport(noise, x)
 6      x = x[p]
 7      t = torch.rand(64)
 8      velocity = net(interpolate(x, noise, t), t, y)
 9      loss = (velocity - (noise - x)).square().mean()
10      optimizer.zero_grad()
11      loss.backward()
12      optimizer.step()""",
    reference=lambda: 6,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={"a tensor": lambda: torch.tensor(6), "a float": lambda: 6.0},
    mistakes=(
        Mistake("line 1", "You suspect the number of steps; the pictures are good, so they were enough.", lambda: 1),
        Mistake(
            "line 2", "You suspect the batches; each picture is as likely as another, and so is each class.", lambda: 2
        ),
        Mistake("line 3", "You suspect this line; after it x and y still belong together.", lambda: 3),
        Mistake("line 4", "You suspect the noise; it is drawn anew for each picture, as it should be.", lambda: 4),
        Mistake(
            "line 5",
            "You suspect pairs over all classes at once, a fault too; but p alone takes no picture from its label, so ask what is moved by it.",
            lambda: 5,
        ),
        Mistake("line 7", "You suspect the times; each picture has its own, from 0 to 1.", lambda: 7),
        Mistake(
            "line 8",
            "You suspect the network's inputs; it is given picture, time and class, as it should be.",
            lambda: 8,
        ),
        Mistake("line 9", "You suspect the target; noise minus picture is the velocity of this line.", lambda: 9),
        Mistake("line 10", "You suspect zero_grad; it comes before backward in each step, as it should.", lambda: 10),
        Mistake("line 11", "You suspect backward; the loss falls, so it reaches the network.", lambda: 11),
        Mistake("line 12", "You suspect the optimizer; the loss falls, so it moves the network.", lambda: 12),
    ),
)

# least_flow_loss

LEAST = Exercise(
    name="least_flow_loss",
    lesson=63,
    points=2,
    minutes=15,
    docstring="""The data are numbers from N(0, 1/4), the noise is from N(0, 1), and t = 1/2. Which mean squared error does the best of all
velocities have there, the mean of noise - x given the place (x + noise) / 2? Return that number.

By hand: for two Gaussians with covariance c, a and b, the mean of a given b leaves the variance Var(a) - c^2 / Var(b).""",
    reference=lambda: 0.8,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={
        "as a fraction": lambda: 4 / 5,
        "by the formula": lambda: torch.tensor(1.25 - 0.375**2 / 0.3125),
        "by what the place does not tell": lambda: 0.25 / (0.25 * 0.25 + 0.25),
    },
    mistakes=(
        Mistake(
            "zero",
            "You expect no error of the best velocity; many lines cross at one place, each with its own.",
            lambda: 0.0,
        ),
        Mistake(
            "no look at the place",
            "You give the variance of noise - x, which a velocity has to pay that does not look at the place.",
            lambda: 1.25,
        ),
        Mistake(
            "variance of the place",
            "You give the variance of (x + noise) / 2; asked is what is left of noise - x.",
            lambda: 0.3125,
        ),
        Mistake(
            "what is explained",
            "You give the part of the variance that the place explains; asked is the rest.",
            lambda: 0.45,
        ),
        Mistake(
            "standard deviation for variance",
            "You put 1/4 in as a standard deviation; it is the variance.",
            lambda: 0.0625 / (0.25 * 0.0625 + 0.25),
        ),
        Mistake("the root", "You give the root of it; asked is the mean of squares.", lambda: 0.8**0.5),
        Mistake(
            "covariance not squared",
            "You subtract the covariance divided by the variance; the covariance is squared.",
            lambda: 1.25 - 0.375 / 0.3125,
        ),
    ),
)

EXERCISES = (INTERPOLATE, TARGET, EULER, HEUN, PAIRS, LINE, LEAST)
