"""A number with its 95 % interval."""

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Measure:
    """value, the ends of its 95 % interval, and how many samples it rests on."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self):
        return f"{self.value:.3f} (95 %: {self.low:.3f} to {self.high:.3f}, n = {self.n})"

    __repr__ = __str__


def wilson_interval(successes, n):
    """The share of successes with Wilson's score interval, which stays inside [0, 1] and does not shrink to nothing at its ends.

    Raises ValueError unless 0 <= successes <= n and n >= 1. Source: Wilson 1927; Brown, Cai, DasGupta 2001, eq. 4.
    """
    if not 0 <= successes <= n or n < 1:
        raise ValueError(
            f"wilson_interval({successes}, {n}): give the number of successes and of trials, at least one trial."
        )
    z = 1.959964  # the normal distribution's 97.5 % point
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Measure(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), n)


def mean_interval(values):
    """The mean of independent repeats with Student's t interval.

    Args: values, at least two numbers: one for each seed, say; for a comparison on the same seeds, their differences.
    Raises ValueError for fewer than two. Source: Student 1908.
    """
    from scipy.stats import t

    x = torch.as_tensor(values, dtype=torch.float64).flatten()
    n = len(x)
    if n < 2:
        raise ValueError(f"mean_interval got {n} values. An interval needs at least 2: repeat with another seed.")
    half = t.ppf(0.975, n - 1) * x.std().item() / math.sqrt(n)
    mean = x.mean().item()
    return Measure(mean, mean - half, mean + half, n)


def about(value, drawn, n, least=-math.inf, most=math.inf):
    """A Measure whose interval is that of drawn values (R,) about their own mean, put about `value` and cut at least and most."""
    low, high = (drawn - drawn.mean()).quantile(drawn.new_tensor([0.025, 0.975])).tolist()
    return Measure(value, min(value, max(least, value + low)), max(value, min(most, value + high)), n)


def bootstrap_interval(
    statistic, *sets, value=None, least=-math.inf, most=math.inf, repeats=200, seed=0, shrink=1.0, n=None
):
    """The value of a statistic of whole sets, with an interval from drawing each set anew from itself, with replacement.

    The interval is that of the drawn values about their own mean, put about `value`. Drawing with replacement repeats pictures,
    which lifts a distance such as FID; so the drawn values say how far it scatters, but not around what.

    Args:
        statistic: function of as many tensors as there are sets -> number. sets: tensors, rows are samples, drawn independently.
        value: the statistic of the sets themselves, if it is known. least, most: what it cannot pass. repeats: how often to draw.
        shrink: factor for the spread, where `value` rests on more than `sets`; n: on how many. None: the size of the smallest set.
    Returns:
        Measure.
    Raises ValueError for an empty set. Source: Efron 1979, Bootstrap Methods.
    """
    if not sets or min(map(len, sets)) < 1:
        raise ValueError(
            f"bootstrap_interval got sets of {[len(s) for s in sets]} samples. Accepted: at least one set, none of them empty."
        )
    from tqdm.auto import trange

    g = torch.Generator().manual_seed(seed)
    value = float(statistic(*sets)) if value is None else float(value)
    draw = lambda s: s[torch.randint(len(s), (len(s),), generator=g)]
    drawn = torch.tensor(
        [float(statistic(*map(draw, sets))) for _ in trange(repeats, desc="drawing anew", delay=2, leave=False)],
        dtype=torch.float64,
    )
    return about(value, drawn * shrink, n or min(map(len, sets)), least, most)
