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
        raise ValueError(f"wilson_interval({successes}, {n}): give the number of successes and of trials, at least one trial.")
    z = 1.959964                                              # the normal distribution's 97.5 % point
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
