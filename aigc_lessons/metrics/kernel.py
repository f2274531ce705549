"""The kernel distance that KID measures between the features of two sets of pictures."""


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
    Raises ValueError for fewer than 2 rows or different D.
    Source: Binkowski et al. 2018, Demystifying MMD GANs.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"kernel_distance got features of shape {tuple(x.shape)} and {tuple(y.shape)}. Accepted: (N, D) and (M, D), at least 2 rows each.")
    return unbiased_mmd(cubic_kernel(x, x), cubic_kernel(y, y), cubic_kernel(x, y))
