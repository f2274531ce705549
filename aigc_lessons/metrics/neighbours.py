"""Precision and recall: how many generated pictures lie among the real ones, and how many real ones among the generated."""
import torch


def _distances(x, y):
    """Euclidean, (N, M). Not through x . y, whose rounding would put a point at a small distance from itself."""
    return torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist")


def covered(points, balls, k):
    """Which of `points` (N, D) lie in the ball of at least one of `balls` (M, D): (N,) bool.

    A ball's radius is the distance from its centre to the k-th nearest other centre; its surface belongs to it.
    """
    radius = _distances(balls, balls).kthvalue(k + 1, dim=1).values                # the nearest of all is itself
    return torch.cat([(_distances(part, balls) <= radius).any(1) for part in points.split(1_000)])


def precision_recall(real, generated, k):
    """Two shares in [0, 1], as floats. Precision: generated features among the real ones. Recall: real ones among the generated.

    Args:
        real: (N, D). generated: (M, D). k: which neighbour sets a ball's radius; below N and M.
    Raises ValueError for another shape, k below 1, or too few rows.
    Source: Kynkäänniemi et al. 2019, Improved Precision and Recall Metric for Assessing Generative Models, eq. 1 and 2.
    """
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(f"precision_recall got features of shape {tuple(real.shape)} and {tuple(generated.shape)}. Accepted: (N, D) and (M, D).")
    if not 1 <= k < min(len(real), len(generated)):
        raise ValueError(f"precision_recall(k={k}) got {len(real)} real and {len(generated)} generated rows. Accepted: k of at least 1, and more rows than k in each.")
    return covered(generated, real, k).double().mean().item(), covered(real, generated, k).double().mean().item()
