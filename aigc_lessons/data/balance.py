"""Weights that make a set of pictures count as if it had been collected otherwise."""

import torch


def reweight(labels, target):
    """A weight for each sample, such that each class has the share of the whole weight that is wished for.

    Inside a class all samples weigh the same. Draw with these weights (`torch.multinomial`), or multiply each sample's loss by N
    times its weight.

    Args:
        labels: (N,) int64, classes from 0 on.
        target: (K,) floats of at least 0 that sum to 1, the share of each class; or K numbers in a list.
    Returns:
        (N,) floats of the target's type that sum to 1.
    Raises:
        ValueError: a share below 0, shares that do not sum to 1, a label that has no share, or a share above 0 for a class without any
            sample: no weight makes a sample out of nothing.
    """
    target = torch.as_tensor(target)
    target = target if target.is_floating_point() else target.float()
    if target.ndim != 1 or not target.isfinite().all() or (target < 0).any() or abs(target.sum().item() - 1) > 1e-4:
        raise ValueError(
            f"reweight got the target {target.tolist()}. Accepted: one share for each class, none below 0, which sum to 1. "
            "For numbers that do not: target / target.sum()."
        )
    if labels.ndim != 1 or labels.is_floating_point() or not len(labels):
        raise ValueError(
            f"reweight got labels of type {labels.dtype} and shape {tuple(labels.shape)}. Accepted: whole numbers (N,), one or more."
        )
    if labels.min() < 0 or labels.max() >= len(target):
        raise ValueError(
            f"reweight got labels from {labels.min()} to {labels.max()} and shares for {len(target)} classes. Accepted: 0 to {len(target) - 1}."
        )
    counts = torch.bincount(labels, minlength=len(target))
    if absent := ((counts == 0) & (target.to(counts.device) > 0)).nonzero()[:, 0].tolist():
        raise ValueError(
            f"reweight is to give class {absent[0]} a share of {target[absent[0]]:.3g}, and there is no sample of it. "
            "No weight makes one: collect some, or set its share to 0 and divide the others by their sum."
        )
    target = target.to(labels.device)
    return (target / counts.clamp(min=1))[labels]


def effective_size(weights):
    """How many equally weighted samples say as much about a mean as these weighted ones: (sum w)^2 / sum w^2, as a float.

    Args: weights: (N,), at least 0, not all 0. Raises ValueError for others. Source: Kish 1965, Survey Sampling, section 8.2.
    """
    w = torch.as_tensor(weights).double()
    if not w.isfinite().all() or (w < 0).any() or w.sum() == 0:
        raise ValueError(
            f"effective_size got {len(w)} weights from {w.min():.3g} to {w.max():.3g}. Accepted: none below 0, and not all 0."
        )
    return (w.sum() ** 2 / w.square().sum()).item()
