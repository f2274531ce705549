"""The kernel distance that KID measures between the features of two sets of pictures."""

import torch

from .checks import check_finite
from .intervals import bootstrap_interval

SUBSET = 1_000  # rows of a subset, as torch-fidelity and published tables take
SUBSETS = 100  # at most


def subsets(n, m):
    """(how many, of which size): KID's subsets for n and m features. A single one where it is everything."""
    size = min(n, m, SUBSET)
    return (1 if n == m == size else min(SUBSETS, 10 * -(-max(n, m) // size))), size


def cubic_kernel(x, y):
    """(x . y / D + 1)^3 for each pair of rows of (N, D) and (M, D): (N, M), float64. Source: Binkowski et al. 2018, eq. 4."""
    return (x.double() @ y.double().T / x.shape[1] + 1) ** 3


def unbiased_mmd(xx, yy, xy, u=None, v=None):
    """Squared maximum mean discrepancy from the kernel's values (N, N), (M, M), (N, M). No row is paired with itself.

    u (N,) and v (M,): how often each row counts; None: once. For sets drawn from these rows with replacement, N and M at a time.
    Source: Gretton et al. 2012, A Kernel Two-Sample Test, lemma 6.
    """
    n, m = xy.shape
    u = xy.new_ones(n) if u is None else u
    v = xy.new_ones(m) if v is None else v
    within_x = (u @ xx @ u - u @ xx.diag()) / (n * (n - 1))
    within_y = (v @ yy @ v - v @ yy.diag()) / (m * (m - 1))
    return within_x + within_y - 2 * (u @ xy @ v) / (n * m)


def kernel_distance(x, y):
    """KID without subsets: unbiased squared MMD with the cubic kernel between features x (N, D) and y (M, D).

    Returns: scalar, float64; 0 on average for two sets of one distribution, at any N, and so below 0 now and then.
    Raises ValueError for fewer than 2 rows, different D, or numbers that are not finite. Memory: three matrices of 8 bytes a pair.
    Source: Binkowski et al. 2018, Demystifying MMD GANs.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(
            f"kernel_distance got features of shape {tuple(x.shape)} and {tuple(y.shape)}. Accepted: (N, D) and (M, D), at least 2 rows each."
        )
    check_finite(x, "kernel_distance", "first features")
    check_finite(y, "kernel_distance", "second features")
    return unbiased_mmd(cubic_kernel(x, x), cubic_kernel(y, y), cubic_kernel(x, y))


def kernel_interval(x, y, value, repeats=200):
    """KID over subsets, `value`, with its 95 % interval: a bootstrap of at most 1,000 rows of each set, scaled to all of them.

    For a mean over S subsets of b rows out of n, the variance is that of one subset times b/n (what all n rows still scatter) and
    (1 - b/n)/S (what the choice of subsets adds); so the spread is multiplied by the root of their sum, for the set where it is
    largest. Near 0 the distance scatters like 1/n, not like its root, and the interval is too wide, not too narrow.

    Args: x (N, D), y (M, D): features, scaled. Returns: Measure; n is the smaller of N and M.
    """
    n, m = len(x), len(y)
    some = [
        t[torch.randperm(len(t), generator=torch.Generator().manual_seed(0))[:SUBSET]] if len(t) > SUBSET else t
        for t in (x, y)
    ]
    kernels = [cubic_kernel(a, b) for a, b in ((some[0], some[0]), (some[1], some[1]), some)]
    sizes = [len(t) for t in some]
    count = subsets(n, m)[0]
    shares = [size / whole for size, whole in zip(sizes, (n, m))]
    shrink = max(share + (1 - share) / count for share in shares) ** 0.5
    counts = lambda i, size: torch.bincount(i, minlength=size).double()
    return bootstrap_interval(
        lambda i, j: unbiased_mmd(*kernels, counts(i, sizes[0]), counts(j, sizes[1])),
        *map(torch.arange, sizes),
        value=value,
        repeats=repeats,
        shrink=shrink,
        n=min(n, m),
    )
