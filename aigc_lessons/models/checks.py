"""What models share: what they check, so that they refuse alike, and how a network is applied to many pictures."""

from contextlib import contextmanager

import torch
from torch import nn

from ..data import check_images


def halvings(who, image_shape, smallest):
    """How often H can be halved down to `smallest`. Raises ValueError for sizes and channels that `who` cannot make."""
    c, h, w = image_shape
    sizes = [smallest * 2**i for i in range(1, 5)]
    if h != w or h not in sizes:
        raise ValueError(
            f"{who}(image_shape={tuple(image_shape)}): it makes squares of side {', '.join(map(str, sizes))}. "
            "Load the data at one of these sizes: al.data.load(name, size=32)."
        )
    if c not in (1, 3):
        raise ValueError(
            f"{who}(image_shape={tuple(image_shape)}): accepted are 1 channel (grey) or 3 (colour), not {c}."
        )
    return sizes.index(h) + 1


def check_counts(who, **counts):
    """Raises ValueError unless each of the counts is 1 or more."""
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{who}({name}={value}): accepted is 1 or more.")


def check_fits(model, images):
    """Raises ValueError unless the images have the shape that `model` was built for."""
    if tuple(images.shape[1:]) != model.image_shape:
        who = type(model).__name__
        raise ValueError(
            f"This {who} takes images of shape {model.image_shape} and got {tuple(images.shape[1:])}. "
            f"Load the data at that size, or build the {who} with image_shape=ds.images.shape[1:]."
        )


def check_unconditional(who, labels):
    if labels is not None:
        raise ValueError(f"This {who} is unconditional and takes no labels. Call sample(n) without labels=.")


def check_labels(who, labels, n, n_classes):
    """labels as (n,) int64 on the CPU: an int stands for n times that class, None for each class in turn.

    Raises TypeError for anything that is not whole numbers; ValueError for another count, or labels out of range.
    """
    if labels is None:
        return torch.arange(n) % n_classes
    labels = torch.as_tensor(labels)
    if labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex():
        raise TypeError(
            f"{who} got labels of type {labels.dtype}. Accepted: whole numbers (int64), each the index of a class."
        )
    labels = labels.long().cpu()
    if labels.ndim == 0:
        labels = labels.expand(n)
    if tuple(labels.shape) != (n,):
        raise ValueError(
            f"{who} got labels of shape {tuple(labels.shape)} for {n} pictures. Accepted: ({n},), or one number for all."
        )
    if n and not (0 <= labels.min() and labels.max() < n_classes):
        raise ValueError(
            f"{who} got labels from {labels.min()} to {labels.max()}. It knows {n_classes} classes: accepted are 0 to {n_classes - 1}."
        )
    return labels


def check_mask(who, mask, images):
    """Raises unless `mask` is (N, 1, H, W) of 0 and 1, in any type, for these images, each with at least one known pixel."""
    n, _, h, w = images.shape
    if not isinstance(mask, torch.Tensor) or tuple(mask.shape) != (n, 1, h, w):
        given = tuple(mask.shape) if isinstance(mask, torch.Tensor) else type(mask).__name__
        raise ValueError(
            f"{who} got a mask of shape {given} for images of shape {tuple(images.shape)}. "
            f"Accepted: {(n, 1, h, w)}, 1 where pixels are known. For one mask on all: mask.expand(n, -1, -1, -1)."
        )
    if not ((mask == 0) | (mask == 1)).all():
        raise ValueError(
            f"{who} got a mask with values other than 0 and 1. Accepted: 1 where pixels are known, 0 in the hole. "
            "For a mask of grey levels: (mask > 0.5).float()."
        )
    if hollow := (mask.flatten(1).sum(1) == 0).nonzero()[:, 0].tolist():
        raise ValueError(
            f"{who}: mask {hollow[0]} leaves no pixel known, so there is nothing to fill the hole from. Accepted: masks with at "
            "least one 1. To make pictures from nothing use a generator's sample()."
        )


def check_quarters(who, images):
    """Raises unless H and W can be halved twice."""
    if images.shape[-1] % 4 or images.shape[-2] % 4:
        raise ValueError(
            f"{who} got pictures of {tuple(images.shape[2:])} pixels. Accepted: height and width that are multiples of 4."
        )


def check_channels(who, images, channels, where="pictures"):
    if images.ndim != 4:
        raise ValueError(f"This {who} takes {where} of shape (N, {channels}, H, W) and got {tuple(images.shape)}.")
    if images.shape[1] != channels:
        raise ValueError(
            f"This {who} takes {where} with {channels} channels and got {images.shape[1]}. "
            "Give grey (1) or colour (3) pictures as it was built, or build it with another number of channels."
        )


def check_floats(who, images):
    """Raises unless `images` is float (N, C, H, W) and finite. Noisy pictures may leave [-1, 1]."""
    if isinstance(images, torch.Tensor) and images.is_floating_point():
        images = torch.where(images.isfinite(), images.clamp(-1, 1), images)  # infinity must not become 1
    check_images(images, who)


def pair_of(batch, who):
    """The two image tensors of a batch of two domains. Raises ValueError for one domain, or two that differ in size."""
    return check_pair(
        who, [part.images for part in batch if hasattr(part, "images")] if isinstance(batch, tuple) else []
    )


def check_pair(who, domains):
    """The two tensors (N, C, H, W) of `domains`. Raises ValueError for another number of them, or two that differ in size."""
    if len(domains) != 2:
        raise ValueError(
            f"A {who} learns from two domains. Give fit a tuple: al.fit(model, (domain_a, domain_b), ...)."
        )
    a, b = domains
    if a.shape[2:] != b.shape[2:]:
        raise ValueError(
            f"A {who} got pictures of {tuple(a.shape[2:])} and {tuple(b.shape[2:])} pixels. Load both domains at one size."
        )
    return a, b


def check_batch(model, batch):
    """(images, labels) of a batch. Raises ValueError if it has no labels, more kinds than `model` has classes, or pictures of
    another size. Reads nothing from the device if `fit` made the batch: it has counted the kinds beforehand."""
    who = type(model).__name__
    check_fits(model, batch.images)
    if batch.labels is None:
        raise ValueError(f"A {who} learns from labels and the data has none. Load a set with classes.")
    if batch.n_classes is None:
        check_labels(who, batch.labels, len(batch.images), model.n_classes)
    elif batch.n_classes > model.n_classes:
        raise ValueError(
            f"A label is {batch.n_classes - 1} and this {who} has {model.n_classes} classes: accepted are 0 to "
            f"{model.n_classes - 1}. Build it with n_classes=len(ds.classes)."
        )
    return batch.images, batch.labels


@contextmanager
def evaluating(module):
    """Eval mode inside; afterwards every part of the module is in the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield module
    finally:
        for part, training in modes:
            part.training = training


@torch.no_grad()
def in_chunks(module, function, *tensors, size=250):
    """function(*tensors) in eval mode, `size` rows at a time on the module's device; float32, where the first tensor is."""
    where = next(module.parameters()).device
    with evaluating(module):
        return torch.cat(
            [
                function(*(t.to(where) for t in chunk)).float().to(tensors[0].device)
                for chunk in zip(*(t.split(size) for t in tensors))
            ]
        )


def zero_bias(layer):
    """The layer, its bias set to 0, which `start_from` takes as a sign that it has not been trained."""
    nn.init.zeros_(layer.bias)
    return layer


def leaky_tanh(x, leak=0.1):
    """tanh(x), whose gradient never falls below `leak`: the value is exactly tanh's, the gradient 1 - tanh^2 + leak.

    A network without normalisation under an L1 loss is driven to thousands before its tanh where much of a picture lies at an end of
    the range; there tanh is flat, and nothing would bring it back.
    Source: Bengio, Léonard, Courville 2013, Estimating or Propagating Gradients, for gradients that are passed straight through.
    """
    return x.tanh() + leak * (x - x.detach())


def start_from(layer, images):
    """Let an untrained layer, whose output goes through tanh, answer with the mean picture: its bias becomes atanh of each
    channel's mean.

    Where most pixels lie exactly at an end of the range (a white ground, black around digits), a network that starts in the
    middle is driven to that end in its first steps, by steps so large that tanh is flat there and nothing is learnt any more.

    Args: layer: a convolution whose bias is still 0; a trained one is left alone. images: (N, C, H, W) in [-1, 1].
    """
    if layer.bias.any():
        return
    mean = images.mean((0, 2, 3)).clamp(-0.95, 0.95)  # a set of one colour would ask for infinity
    with torch.no_grad():
        layer.bias.copy_(mean.atanh())
