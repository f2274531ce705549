"""Has a generator learnt its training pictures by heart? A test that no measure of quality can replace."""

import torch

from .checks import check_finite

CELLS = 10_000_000  # distances, or draws, held at a time: 80 MB


def nearest(images, pool):
    """For each picture the index of the nearest one of a pool, and its distance: int64 (N,) and float64 (N,).

    Args:
        images: (N, ...). pool: (M, ...), pictures of the same shape. The distance is Euclidean, over all pixels and channels; the first
            of several that are equally near.
    """
    found = [part.min(1) for part in _squared_distances(images, pool)]
    return torch.cat([f.indices for f in found]), torch.cat([f.values for f in found]).clamp(min=0).sqrt()


def copy_test(generated, train, held_out, permutations, generator):
    """Do generated pictures lie nearer to the training pictures than to as many others of the same kind?

    Each generated picture looks for its nearest one among both sets together; several that are equally near share it in equal parts. The
    rate is the share of generated pictures that end at a training picture: about 1/2 for a model that has learnt the distribution and
    nothing by heart, 1 for one that only copies.

    Generated pictures are not independent witnesses: many of them end at the same few pictures, so a binomial test would be sure too
    soon. Who was a training picture, however, was drawn at random. If the model does not depend on that draw, any other draw of
    as many was as likely: p is the share of draws, the true one included, whose rate is at least as large.

    Args:
        generated: (N, ...), floats. train, held_out: (M, ...) each, as many of both, from one distribution, divided at random.
        permutations: how many other draws, at least 1; p is at least 1 / (1 + permutations).
        generator: torch.Generator on the CPU for these draws.
    Returns:
        (rate, p), floats in [0, 1].
    Raises:
        ValueError: sets of unequal sizes, pictures of unequal shapes, an empty set, no permutation, or pixels that are not finite.
    Source: Fisher 1935, The Design of Experiments, section 21 (permutation); Phipson and Smyth 2010, Permutation P-values Should
        Never Be Zero (the added 1); Meehan et al. 2020, A Non-Parametric Test to Detect Data-Copying in Generative Models.
    """
    _check(generated, train, held_out, permutations)
    n = len(train)
    pool, counts = torch.cat([train, held_out]), torch.zeros(2 * n, dtype=torch.float64)
    slack = 1e-9 * (1 + pool.flatten(1).double().square().sum(1).max())  # rounding must not part what is equally near
    for squared in _squared_distances(generated, pool):
        ties = squared <= squared.amin(1, keepdim=True) + slack
        counts += (ties / ties.sum(1, keepdim=True, dtype=torch.float64)).sum(0).cpu()
    seen = counts[:n].sum()
    as_many = 0
    for part in torch.arange(permutations).split(max(1, CELLS // (2 * n))):
        drawn = torch.rand(len(part), 2 * n, generator=generator).argsort(1)[:, :n]
        as_many += (counts[drawn].sum(1) >= seen - 1e-9 * len(generated)).sum().item()
    return seen.item() / len(generated), (1 + as_many) / (1 + permutations)


def _squared_distances(x, pool):
    """Squared distances (part of N, M) in float64, a part of x at a time."""
    x, pool = x.flatten(1).double(), pool.flatten(1).double()
    lengths = pool.square().sum(1)
    for part in x.split(max(1, CELLS // len(pool))):
        yield part.square().sum(1, keepdim=True) + lengths - 2 * part @ pool.T


def _check(generated, train, held_out, permutations):
    sets = {"generated": generated, "training": train, "held-out": held_out}
    if len(train) != len(held_out):
        fewer = min(len(train), len(held_out))
        raise ValueError(
            f"copy_test got {len(train)} training and {len(held_out)} held-out pictures. Accepted: as many of both, because among more "
            "pictures a nearer one is found by chance, and 1/2 would no longer be what an innocent model scores. Hold as many back as "
            f"you train on; or take {fewer} of the larger set at random, and remember that copies of the others are then missed."
        )
    if len({tuple(x.shape[1:]) for x in sets.values()}) > 1 or min(x.ndim for x in sets.values()) < 2:
        shapes = ", ".join(f"{tuple(x.shape)} {name}" for name, x in sets.items())
        raise ValueError(f"copy_test got {shapes}. Accepted: three sets of pictures of one shape, (N, C, H, W) each.")
    if min(map(len, sets.values())) < 1 or permutations < 1:
        raise ValueError(
            f"copy_test got {len(generated)} generated and {len(train)} training pictures, and {permutations} permutations. "
            "Accepted: at least one of each; take 999 permutations if you have no other wish."
        )
    for name, x in sets.items():
        check_finite(x.flatten(1), "copy_test", f"{name} pictures")
