"""Which of the things that the data holds does a generator make? Counted by a classifier, the judge."""

import torch

from ..data import check_images, warn_if_half_range
from .checks import check_finite
from .intervals import wilson_interval


def mode_counts(logits, sure=0.9):
    """How many pictures the judge recognises of each class: (K,) int64.

    A picture on which no probability reaches `sure` is none of the classes and is not counted. Judges know "none" as far as they
    were taught it: the course's have seen pictures of nothing (data.nonsense) and believe no class there. What neither they nor the data
    have seen may still be taken for a class, so show pictures, or FID, beside the counts.

    Args:
        logits: (N, K) of the judge. sure: probability from which on it counts as recognised.
    Raises ValueError for logits without probabilities: NaN, or infinite ones.
    Source of the training on nothing: Hendrycks et al. 2019, Deep Anomaly Detection with Outlier Exposure.
    """
    probability, label = check_finite(logits.softmax(1), "mode_counts", "logits").max(1)
    return torch.bincount(label[probability >= sure], minlength=logits.shape[1])


def confident_share(predict, images, sure=0.9):
    """The share of pictures that a judge takes for one of its classes, as a Measure with Wilson's interval.

    Near 1 on pictures like the data's, and near 0 on pictures of nothing, if the judge knows "none": try it on data.nonsense
    before you believe counts of modes or an Inception Score.

    Args:
        predict: function images -> (N, K) logits, such as `classifier.predict`. images: (N, C, H, W) in [-1, 1], at least one.
        sure: probability from which on a class is believed.
    Raises ValueError, TypeError: images or logits that cannot be judged.
    """
    warn_if_half_range(check_images(images, "confident_share"), "confident_share")
    return wilson_interval(int(mode_counts(predict(images), sure).sum()), len(images))


def effective_modes(counts):
    """exp(entropy) of a distribution of counts (K,): K for K equally frequent classes, 1 for a single one, as a float.

    Source: Hill 1973, Diversity and evenness, order 1.
    """
    if counts.sum() == 0:
        return 0.0  # nothing was recognised
    p = counts.double() / counts.sum()
    return torch.exp(-torch.xlogy(p, p).sum()).item()


def pairwise_distance(images):
    """How different the pictures of a set are from each other: the root of the mean squared difference of two of its
    pictures, over all pairs and pixels, as a float. 0 if all are the same.

    Args: images: (N, C, H, W), N at least 2; compare sets of one size and range. Raises ValueError for fewer.
    """
    if len(images) < 2:
        raise ValueError(f"pairwise_distance got {len(images)} images. Accepted: at least 2.")
    warn_if_half_range(images, "pairwise_distance")
    return (2 * images.double().flatten(1).var(0)).mean().sqrt().item()  # E|x - y|^2 of a pair is twice the variance
