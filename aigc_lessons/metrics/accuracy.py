"""How often a classifier is right."""

from ..data import check_images, warn_if_half_range
from .checks import check_finite
from .intervals import wilson_interval


def accuracy(predict, images, labels):
    """The share of images for which the largest logit is the label's.

    Args:
        predict: function images -> (N, K) logits, such as `classifier.predict`.
        images: (N, C, H, W) in [-1, 1], at least one. labels: (N,) int64.
    Returns:
        Measure, with Wilson's 95 % interval.
    Raises:
        ValueError, TypeError: images or labels that cannot be judged.
    """
    check_images(images, "accuracy")
    if len(images) == 0 or len(labels) != len(images):
        raise ValueError(
            f"accuracy got {len(images)} images and {len(labels)} labels. Give one label for each image, and at least one image."
        )
    warn_if_half_range(images, "accuracy")
    logits = predict(images)
    check_finite(logits.softmax(1), "accuracy", "logits")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(
            f"accuracy got labels from {labels.min()} to {labels.max()} for {logits.shape[1]} classes. Accepted: 0 to {logits.shape[1] - 1}."
        )
    right = (logits.argmax(1) == labels.to(logits.device)).sum().item()
    return wilson_interval(right, len(labels))
