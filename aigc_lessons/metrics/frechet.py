"""The Fréchet distance between Gaussians, which FID measures between the features of two sets of pictures."""

import torch

from .checks import check_finite
from .intervals import bootstrap_interval

ROWS = 10_000  # of which a covariance is summed at a time
GROUPS, MANY, WIDE = 200, 2_000, 256  # of more rows than MANY and up to WIDE features, groups are drawn anew, not rows


def moments(features):
    """Mean (D,) and covariance (D, D), float64, of features (N, D). N at least 2; the covariance divides by N - 1.

    Raises ValueError for another shape, or numbers that are not finite.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"moments got features of shape {tuple(features.shape)}. Accepted: (N, D), at least 2 rows.")
    check_finite(features, "moments")
    mean = features.mean(0, dtype=torch.float64)
    centred = (part.double() - mean for part in features.split(ROWS))  # in pieces: no second copy of all in 64 bits
    return mean, sum(part.T @ part for part in centred) / (len(features) - 1)


def frechet_distance(mu1, cov1, mu2, cov2):
    """Squared Fréchet (Wasserstein-2) distance of two Gaussians: |mu1 - mu2|^2 + trace(cov1 + cov2 - 2 (cov1 cov2)^(1/2)).

    Args:
        mu1, mu2: (D,). cov1, cov2: (D, D), symmetric, positive or singular.
    Returns:
        scalar, float64, at least 0 up to rounding.
    Source: Dowson and Landau 1982; Heusel et al. 2017, eq. 6.
    """
    mu1, cov1, mu2, cov2 = (t.double() for t in (mu1, cov1, mu2, cov2))
    values, vectors = torch.linalg.eigh(cov1)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    # root cov2 root has the eigenvalues of cov1 cov2 and is symmetric, so that no root is ever complex.
    shared = torch.linalg.eigvalsh(root @ cov2 @ root).clamp(min=0).sqrt().sum()
    return (mu1 - mu2).square().sum() + cov1.trace() + cov2.trace() - 2 * shared


def fid(generated, real):
    """Fréchet distance between two sets of features (N, D), as a float. Falls with quality, and with variety too.

    It depends on the network that made the features: only distances by the same network may be compared, and only the one
    called InceptionV3 gives the FID of published tables. It also grows as N shrinks: compare at the same N.

    Source: Heusel et al. 2017, GANs Trained by a Two Time-Scale Update Rule.
    """
    check_finite(generated, "fid", "generated features")
    check_finite(real, "fid", "real features")
    return frechet_distance(*moments(generated), *moments(real)).item()


def frechet_interval(generated, real, value, repeats=200):
    """`value`, the FID of features (N, D) and (M, D), with its 95 % bootstrap interval; n is the smaller of N and M.

    Rows are drawn anew from each set. Of more than 2,000 rows, 200 groups of rows are drawn in their place: their sums are
    calculated once, so that a draw costs the same at any N. (Not for more than 256 features, whose sums of products fill the memory.)
    """
    n = min(len(generated), len(real))
    if n <= MANY or real.shape[1] > WIDE:
        statistic, sets = lambda a, b: frechet_distance(*moments(a), *moments(b)), (generated, real)
    else:
        origin = real.mean(0, dtype=torch.float64)  # sums of squares about it lose no digits
        statistic, sets = _distance_of_groups, [_sums_of_groups(x.double() - origin) for x in (generated, real)]
    return bootstrap_interval(statistic, *sets, value=value, least=0.0, repeats=repeats, n=n)


def _sums_of_groups(features):
    """(N, D) -> (200, 1 + D + D^2): of each group the number of rows, their sum and the sum of their outer products."""
    return torch.stack(
        [torch.cat([x.new_tensor([len(x)]), x.sum(0), (x.T @ x).flatten()]) for x in features.tensor_split(GROUPS)]
    )


def _moments_of_groups(sums):
    total = sums.sum(0)
    d = round((len(total) - 0.75) ** 0.5 - 0.5)  # 1 + d + d^2 numbers
    n, mean = total[0], total[1 : 1 + d] / total[0]
    return mean, (total[1 + d :].view(d, d) - n * mean.outer(mean)) / (n - 1)


def _distance_of_groups(a, b):
    return frechet_distance(*_moments_of_groups(a), *_moments_of_groups(b))
