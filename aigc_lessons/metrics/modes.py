"""Which of the things that the data holds does a generator make? Counted by a classifier, the judge."""
import torch


def mode_counts(logits, sure=0.9):
    """How many pictures the judge recognises of each class: (K,) int64.

    Args:
        logits: (N, K) of the judge. sure: probability from which on it counts as recognised. A judge is often sure of what is like
            nothing in the data, noise too, so the counts are upper bounds: show pictures, or FID, beside them.
    """
    probability, label = logits.softmax(1).max(1)
    return torch.bincount(label[probability >= sure], minlength=logits.shape[1])


def effective_modes(counts):
    """exp(entropy) of a distribution of counts (K,): K for K equally frequent classes, 1 for a single one, as a float.

    Source: Hill 1973, Diversity and evenness, order 1.
    """
    if counts.sum() == 0:
        return 0.0                                            # nothing was recognised
    p = counts.double() / counts.sum()
    return torch.exp(-torch.xlogy(p, p).sum()).item()


def pairwise_distance(images):
    """How different the pictures of a set are from each other: the root of the mean squared difference of two of its
    pictures, over all pairs and pixels, as a float. 0 if all are the same.

    Args: images: (N, C, H, W), N at least 2; compare sets of one size and range. Raises ValueError for fewer.
    """
    if len(images) < 2:
        raise ValueError(f"pairwise_distance got {len(images)} images. Accepted: at least 2.")
    return (2 * images.double().flatten(1).var(0)).mean().sqrt().item()         # E|x - y|^2 of a pair is twice the variance
