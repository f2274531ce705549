"""The Fréchet distance between Gaussians, which FID measures between the features of two sets of pictures."""
import torch


def moments(features):
    """Mean (D,) and covariance (D, D), float64, of features (N, D). N at least 2; the covariance divides by N - 1."""
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"moments got features of shape {tuple(features.shape)}. Accepted: (N, D), at least 2 rows.")
    features = features.double()
    return features.mean(0), features.T.cov().reshape(features.shape[1], -1)


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
    return frechet_distance(*moments(generated), *moments(real)).item()
