"""The Inception Score: does a classifier recognise each picture, and do the pictures differ?"""

import torch

from .checks import check_finite


def inception_score(probabilities):
    """exp of the mean Kullback-Leibler divergence from each picture's class probabilities to their mean.

    Args:
        probabilities: (N, K), rows that sum to 1 within 1e-3, N at least 1. Zeros are fine: 0 log 0 = 0.
    Returns:
        scalar, float64, from 1 (all rows alike) to K (each row sure of one class, all classes equally often).
    Raises ValueError for anything but probabilities.
    Source: Salimans et al. 2016, Improved Techniques for Training GANs, section 4. It does not look at real pictures.
    """
    p = probabilities.double()
    if p.ndim != 2 or len(p) < 1:
        raise ValueError(
            f"inception_score got probabilities of shape {tuple(p.shape)}. Accepted: (N, K), at least 1 row."
        )
    check_finite(p, "inception_score", "probabilities")
    if not (p >= 0).all() or not ((p.sum(1) - 1).abs() < 1e-3).all():
        raise ValueError(
            "inception_score got rows that are not probabilities: numbers of at least 0 that sum to 1. For logits: logits.softmax(1)."
        )
    mean = p.mean(0)
    divergence = (torch.xlogy(p, p) - torch.xlogy(p, mean)).sum(1)  # where the mean is 0, so is each p
    return divergence.mean().exp()
