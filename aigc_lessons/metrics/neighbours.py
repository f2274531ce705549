"""Nearest neighbours of features: do generated pictures lie among the real ones, and real ones among the generated?"""

from dataclasses import replace

import numpy as np
import torch

from .checks import check_finite
from .intervals import Measure, about, wilson_interval

CELLS = 10_000_000  # distances held at a time: 80 MB
RESAMPLED = 2_000  # rows of a set that intervals are drawn from
NEAREST = 40  # neighbours remembered of each row; in half of the rows fewer than 5 of them are left once in ten million


def _distances(x, y):
    """Euclidean, (N, M). Not through x . y, whose rounding would put a point at a small distance from itself."""
    return torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist")


def _parts(points, balls):
    """Pieces of `points` whose distances to all balls fit in CELLS numbers."""
    return points.split(max(1, CELLS // max(1, len(balls))))


def _nearest(balls, k):
    """Distances (M, k + 1) and indices of the k + 1 nearest of `balls` to each of them, in order; the nearest of all is itself."""
    found = [_distances(part, balls).topk(k + 1, largest=False) for part in _parts(balls, balls)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def covered(points, balls, k):
    """Which of `points` (N, D) lie in the ball of at least one of `balls` (M, D): (N,) bool.

    A ball's radius is the distance from its centre to the k-th nearest other centre; its surface belongs to it.
    """
    radius = _nearest(balls, k)[0][:, k]
    return torch.cat([(_distances(part, balls) <= radius).any(1) for part in _parts(points, balls)])


def _check(who, real, generated, k, fewest_generated):
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"{who} got features of shape {tuple(real.shape)} and {tuple(generated.shape)}. Accepted: (N, D) and (M, D)."
        )
    if not 1 <= k < len(real) or len(generated) < fewest_generated:
        raise ValueError(
            f"{who}(k={k}) got {len(real)} real and {len(generated)} generated rows. Accepted: k of at least 1, and "
            + (
                "more rows than k in each."
                if fewest_generated > 1
                else "more real rows than k, and at least 1 generated."
            )
        )
    check_finite(real, who, "real features")
    check_finite(generated, who, "generated features")


def precision_recall(real, generated, k):
    """Two shares in [0, 1], as floats. Precision: generated features among the real ones. Recall: real ones among the generated.

    Args:
        real: (N, D). generated: (M, D). k: which neighbour sets a ball's radius; below N and M.
    Raises ValueError for another shape, k below 1, too few rows, or numbers that are not finite.
    Source: Kynkäänniemi et al. 2019, Improved Precision and Recall Metric for Assessing Generative Models, eq. 1 and 2.
    """
    _check("precision_recall", real, generated, k, fewest_generated=max(k, 1) + 1)
    return covered(generated, real, k).double().mean().item(), covered(real, generated, k).double().mean().item()


def density_coverage(real, generated, k):
    """Two numbers, as floats. Density: in how many real balls a generated feature lies, over k. Coverage: share of real balls that hold one.

    One real outlier has a large ball, which precision counts in full; density counts it as one ball of many. And coverage puts
    balls around the real features only, so that generated outliers cannot make it look good, as they can recall.

    Args:
        real: (N, D). generated: (M, D), at least 1 row. k: which neighbour sets a real ball's radius; below N.
    Returns:
        (density, coverage): density at least 0, about 1 for two sets of one distribution, and at most N / k; coverage in [0, 1],
        for two sets of one distribution and N = M large about 1 - 1 / 2^k.
    Raises ValueError for another shape, k below 1, too few rows, or numbers that are not finite.
    Source: Naeem et al. 2020, Reliable Fidelity and Diversity Metrics for Generative Models, eq. 3 and 4.
    """
    _check("density_coverage", real, generated, k, fewest_generated=1)
    radius = _nearest(real, k)[0][:, k]
    pairs, held = 0, torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for part in _parts(generated, real):
        inside = _distances(part, real) <= radius
        pairs += inside.sum().item()
        held |= inside.any(0)
    return pairs / (k * len(generated)), held.double().mean().item()


def neighbour_measures(real, generated, k_precision, k_density, repeats=200, seed=0):
    """precision, recall, density and coverage with 95 % intervals from half-samples without replacement.

    A share of points in balls is no binomial: balls are shared, so points come and go together, and Wilson's interval is too
    narrow. Nor may rows be drawn with replacement: one that comes twice is its own neighbour, and its ball shrinks to a point.

    How wide: half of n drawn without replacement has, for a mean, the variance (s^2 / (n/2)) (1 - 1/2) = s^2 / n about the value of
    all n, which is that of n new pictures; no factor is needed. For a measure that depends on neighbours it is larger than
    that by up to a factor of 2, because two halves share fewer pairs than rows: the interval is up to 1.4 times too wide, not too narrow.
    Where: halves have larger balls than the whole, so their mean is another number than the value (a bias); the interval is put
    about the value, with the spread of the halves about their own mean. It says how far the value scatters at this n, not what it
    would be at another. It is never narrower than Wilson's, which is what is left where all halves agree on 0 or 1.

    Of more than 2,000 rows in a set, the halves are those of 2,000; the spread is divided by the root of how many times more rows
    there are (in the set that has fewest times more). With fewer than twice k + 1 rows there are no halves, and the interval is all that can be.

    Args:
        real, generated: (N, D) and (M, D). k_precision, k_density: the neighbours for precision and recall, and for density and
            coverage. repeats: half-samples.
    Returns:
        {name: Measure}; n is M for precision and density, N for recall and coverage.
    """
    n, m = len(real), len(generated)
    _check("neighbour_measures", real, generated, max(k_precision, k_density), fewest_generated=k_precision + 1)
    g = torch.Generator().manual_seed(seed)
    some_real, some_generated = (
        x[torch.randperm(len(x), generator=g)[:RESAMPLED].to(x.device)] for x in (real, generated)
    )
    of_all, drawn = _half_samples(some_real, some_generated, k_precision, k_density, repeats, g)
    if max(n, m) > RESAMPLED:
        of_all = (*precision_recall(real, generated, k_precision), *density_coverage(real, generated, k_density))
    values = dict(zip(("precision", "recall", "density", "coverage"), of_all))
    sizes, most = (m, n, m, n), (1.0, 1.0, n / k_density, 1.0)
    if drawn is None:
        return {name: Measure(value, 0.0, top, size) for (name, value), top, size in zip(values.items(), most, sizes)}
    shrink = max(len(some_real) / n, len(some_generated) / m) ** 0.5
    measures = {
        name: about(value, drawn[:, i] * shrink, size, least=0.0, most=top)
        for i, ((name, value), size, top) in enumerate(zip(values.items(), sizes, most))
    }
    for name, measure in measures.items():
        if name != "density" or measure.value == 0:  # a density above 0 is no share
            share = wilson_interval(round(measure.value * measure.n), measure.n)
            measures[name] = replace(measure, low=min(measure.low, share.low), high=max(measure.high, share.high))
    return measures


def _half_samples(real, generated, k_precision, k_density, repeats, g):
    """Precision, recall, density and coverage of both sets, 4 floats, and of random halves of them, (repeats, 4).

    Every distance is calculated once.
    """
    from tqdm.auto import trange

    across = _distances(real, generated)  # (N, M)
    around_real, around_generated = (_nearest(x, min(NEAREST, len(x) - 1)) for x in (real, generated))
    nearer_real, nearer_generated = (
        _nearer(around_real[0], across),
        _nearer(around_generated[0], across.T),
    )  # (N, M), (M, N)
    others_real, others_generated = (around[1].cpu().numpy() for around in (around_real, around_generated))

    def shares(r, f):
        chosen = np.zeros(len(generated), bool)
        chosen[f] = True
        in_real = nearer_real[r] <= _kth_chosen(others_real, r, k_precision)
        in_generated = nearer_generated[f] <= _kth_chosen(others_generated, f, k_precision)
        dense = (nearer_real[r] <= _kth_chosen(others_real, r, k_density)) & chosen
        density = np.count_nonzero(dense) / (k_density * len(f))
        return [
            float(x) for x in (in_real.any(0)[f].mean(), in_generated.any(0)[r].mean(), density, dense.any(1).mean())
        ]

    half = lambda n: torch.randperm(n, generator=g)[: n // 2].numpy()
    of_all = shares(np.arange(len(real)), np.arange(len(generated)))
    if min(len(real), len(generated)) // 2 <= max(k_precision, k_density):
        return of_all, None
    drawn = [
        shares(half(len(real)), half(len(generated)))
        for _ in trange(repeats, desc="drawing halves", delay=2, leave=False)
    ]
    return of_all, torch.tensor(drawn, dtype=torch.float64)


def _nearer(radii, across):
    """How many of a ball's own neighbours, at radii (N, L), are nearer to it than each point, from distances (N, M): (N, M) int8.

    A ball that reaches to its neighbour number j, from 0, holds the points for which this is at most j: small whole numbers in
    place of distances. (NumPy: its comparisons of bytes are ten times as fast as torch's, and a draw is nothing else.)
    """
    return torch.searchsorted(radii, across.contiguous()).to(torch.int8).cpu().numpy()


def _kth_chosen(others, chosen, k):
    """At which place among its neighbours (N, L) each of n chosen rows has the k-th that is chosen too: (n, 1) int8."""
    there = np.zeros(len(others), bool)
    there[chosen] = True
    other = there[others[chosen]] & (others[chosen] != chosen[:, None])
    place = (other.cumsum(1) < k).sum(1).clip(max=others.shape[1] - 1)
    return place.astype(np.int8)[:, None]
