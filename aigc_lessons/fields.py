"""Conditional random fields: lesson 33. What a pixel costs by itself, what it costs beside its neighbours, and the field that costs least."""

import math

import torch
import torch.nn.functional as F


def unary(image, palette, scale):
    """What each colour of a palette costs at each pixel, by that pixel alone: minus the logarithm of a Gaussian around the colour.

        out[n, l, i, j] = sum over c of (image[n, c, i, j] - palette[l, c])^2 / (2 scale^2)

    Args: image: (N, C, H, W). palette: (L, C), at least 2 colours. scale: how far a pixel strays from its colour, a standard
        deviation in the image's units, above 0.
    Returns: (N, L, H, W), 0 where a pixel has a colour of the palette, and above 0 elsewhere.
    Raises ValueError for a palette of one colour or of other channels, and for a scale that is not above 0.
    """
    if palette.ndim != 2 or palette.shape[1] != image.shape[1] or len(palette) < 2:
        raise ValueError(
            f"unary got a palette of shape {tuple(palette.shape)} for pictures of {image.shape[1]} channels. Accepted: (L, "
            f"{image.shape[1]}) with L at least 2: with a single colour there is nothing to choose. Add the ground's colour."
        )
    if not scale > 0:
        raise ValueError(f"unary(scale={scale}): accepted are numbers above 0, a standard deviation; try 0.3.")
    difference = image[:, None] - palette[None, :, :, None, None].to(image)
    return difference.square().sum(2) / (2 * scale**2)


def label_unary(labels, n_labels, right):
    """What each label costs at each pixel of a label map that is right with a given probability: -log p, 0 where nothing is said.

    Args: labels: (N, H, W) int64, from 0 to L - 1, or -1 where the map says nothing. n_labels: L, at least 2. right: the
        probability that what it says is right, above 0 and below 1; the rest is shared by the other labels.
    Returns: (N, L, H, W) float32.
    Raises ValueError for labels out of range and for probabilities of 0 and 1, whose logarithms no evidence could outweigh.
    """
    if n_labels < 2:
        raise ValueError(
            f"label_unary(n_labels={n_labels}): accepted are 2 or more; one label leaves nothing to choose."
        )
    if (
        labels.ndim != 3
        or labels.is_floating_point()
        or (labels.numel() and not -1 <= labels.min() <= labels.max() < n_labels)
    ):
        raise ValueError(
            f"label_unary got a label map of {labels.dtype} and shape {tuple(labels.shape)}. Accepted: int64 (N, H, W) with "
            f"labels from 0 to {n_labels - 1}, and -1 where nothing is said. For one map: labels[None]."
        )
    if not 0 < right < 1:
        raise ValueError(
            f"label_unary(right={right}): accepted are numbers between 0 and 1 without the ends; 1 would make every other label "
            "infinitely dear. Try 0.9."
        )
    said = labels[:, None] == torch.arange(n_labels, device=labels.device)[:, None, None]
    cost = torch.where(said, -math.log(right), -math.log((1 - right) / (n_labels - 1)))
    return torch.where(labels[:, None] < 0, 0.0, cost)


def neighbour_sum(q):
    """The sum over the pixels above, below, left and right of each, as far as they exist. (..., H, W) -> (..., H, W)."""
    padded = F.pad(q, (1, 1, 1, 1))
    return padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1] + padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]


def _check_field(who, shape, unary, weight):
    """Raises ValueError unless the weight is at least 0 and something of this shape fits the unary (N, L, H, W)."""
    if not weight >= 0:
        raise ValueError(
            f"{who}(weight={weight}): accepted are numbers from 0 on. A weight below 0 would pay neighbours for being unlike."
        )
    if tuple(shape) != tuple(unary.shape):
        raise ValueError(
            f"{who} got {tuple(shape)} beside a unary of {tuple(unary.shape)}. Accepted: the same number of labels, rows and "
            "columns. A label map of another size: F.interpolate(map[:, None].float(), size=(H, W), mode='nearest')[:, 0].long()."
        )


def potts_energy(labels, unary, weight):
    """What a labelling costs: its unaries, and `weight` for each pair of neighbours whose labels differ.

    Args: labels: (N, H, W) int64. unary: (N, L, H, W). weight: number, at least 0. Returns: (N,).
    Raises ValueError for a label map of another size, and for a weight below 0.
    Source: Potts 1952; Boykov, Veksler, Zabih 2001, Fast Approximate Energy Minimization via Graph Cuts, eq. 1.
    """
    n, _, *size = unary.shape
    _check_field("potts_energy", (*labels.shape[:1], unary.shape[1], *labels.shape[1:]), unary, weight)
    own = unary.gather(1, labels[:, None]).sum((1, 2, 3))
    unlike = (labels[:, 1:] != labels[:, :-1]).sum((1, 2)) + (labels[..., 1:] != labels[..., :-1]).sum((1, 2))
    return own + weight * unlike.to(own)


def mean_field(q, unary, weight, rounds):
    """Mean field for a Potts field on a grid: each pixel's probabilities from its unary and its neighbours' probabilities.

        q_i(l)  is replaced by  softmax over l of  weight * (sum over neighbours j of q_j(l)) - unary_i(l)

    All pixels at once, from the probabilities of the round before. A pixel has up to four neighbours; at the border, fewer.

    Args: q: (N, L, H, W), the start, which sums to 1 over L: unary.neg().softmax(1), say. unary: (N, L, H, W), costs in nats.
        weight: what a pair of unlike neighbours costs, at least 0. rounds: int, at least 0.
    Returns: (N, L, H, W), which sums to 1 over L; q itself after 0 rounds.
    Raises ValueError for a weight below 0, and where q and unary differ in shape.
    Source: Krähenbühl and Koltun 2011, Efficient Inference in Fully Connected CRFs, algorithm 1, here with four neighbours.
    """
    _check_field("mean_field", q.shape, unary, weight)
    for _ in range(rounds):
        q = (weight * neighbour_sum(q) - unary).softmax(1)
    return q


def free_energy(q, unary, weight):
    """The mean energy under independent pixels minus their entropy: KL(q || p) - log Z, so never below -log Z.

    Args: q, unary: (N, L, H, W). weight: number, at least 0. Returns: (N,), in nats.
    Raises ValueError as `mean_field`. Source: Koller and Friedman 2009, Probabilistic Graphical Models, section 11.5.
    """
    _check_field("free_energy", q.shape, unary, weight)
    alike = (q[..., 1:, :] * q[..., :-1, :]).sum((1, 2, 3)) + (q[..., 1:] * q[..., :-1]).sum((1, 2, 3))
    h, w = q.shape[-2:]
    pairs = h * (w - 1) + w * (h - 1)
    return (q * unary).sum((1, 2, 3)) + torch.special.xlogy(q, q).sum((1, 2, 3)) + weight * (pairs - alike)


def gaussian_crf(u, weights, lam):
    """The most probable values, and the mean, of a Gaussian field: the x that makes the following least.

        |x - u|^2 + lam * (sum over pairs i < j of weights[i, j] (x_i - x_j)^2)

    Its gradient is 0 where (I + lam L) x = u, with the Laplacian L = diag(row sums of weights) - weights.

    Args: u: (n,), what was observed; or (n, C), C columns with the same weights. weights: (n, n), symmetric, at least 0, with a
        zero diagonal. lam: number, at least 0.
    Returns: x, of u's shape.
    Raises ValueError for a weight or a lam below 0, and for another number of weights.
    Source: Levin, Lischinski, Weiss 2004, Colorization using Optimization; Tappen et al. 2007, Learning Gaussian CRFs.
    """
    n = len(u)
    if tuple(weights.shape) != (n, n):
        raise ValueError(
            f"gaussian_crf got weights of shape {tuple(weights.shape)} for {n} values. Accepted: ({n}, {n}), a row for each."
        )
    if not lam >= 0 or (weights < 0).any():
        raise ValueError(
            f"gaussian_crf got lam={lam} and weights down to {weights.min():.4g}. Accepted: from 0 on, both; below 0 unlike "
            "neighbours would be rewarded, and the energy need not have a least value."
        )
    laplacian = weights.sum(1).diag() - weights
    return torch.linalg.solve(torch.eye(n).to(laplacian) + lam * laplacian, u)
