"""Two domains to translate between: pairs that belong together, and sets without partners."""

from dataclasses import replace

import torch

from . import bundled, carried, shapes
from .image_set import ImageSet, check_images
from .pixels import from_bytes, resize


def shape_domains(a, b, size=32, n=3_000, seed=0, paired=True):
    """Two ImageSets of shapes in two variants.

    Args:
        a, b: variants, of data.shapes.VARIANTS: 'outline' and 'plain', say, or 'day' and 'night'.
        size: side in pixels. n: pictures in each. seed: of the scenes.
        paired: True: the i-th of A and of B are one scene, drawn twice. False: no scene is in both.
    Returns:
        (A, B).
    """
    both = shapes.load(size, n if paired else 2 * n, seed, a)
    other = shapes.load(size, n if paired else 2 * n, seed, b)
    return (both, other) if paired else (both[:n], other[n:])


def emoji_domains(size=32, split=None, group=None, mirrored=False):
    """Line drawings of emoji, in one channel, and the same emoji in colour: two ImageSets, paired picture by picture.

    Args:
        size, split, group: as of `load("emoji")`; what varies one idea is on one side of the split.
        mirrored: True: each pair stands a second time, both its pictures flipped left to right.
    Returns:
        (lines, coloured): (N, 1, size, size) and (N, 3, size, size).
    """
    lines, coloured = (carried.emoji(size, split, layer, group) for layer in ("line", "color"))
    lines = replace(lines, images=lines.images[:, :1].contiguous(), name="emoji-lines")
    return tuple(_with_mirror_images(ds) for ds in (lines, coloured)) if mirrored else (lines, coloured)


def check_drawing(drawing, size=64):
    """A line drawing as (1, 1, size, size) in [-1, 1], for a network that has learnt from `emoji_domains`.

    Args: drawing: (C, H, W) or (1, C, H, W) in [-1, 1], black lines on white; three channels must be alike.
    Raises:
        TypeError, ValueError: no picture; several; of another size; in colour; or without any line.
    """
    if isinstance(drawing, torch.Tensor) and drawing.ndim == 3:
        drawing = drawing[None]
    check_images(drawing, "check_drawing")
    n, c, h, w = drawing.shape
    if n != 1 or c not in (1, 3):
        raise ValueError(
            f"check_drawing got pictures of shape {tuple(drawing.shape)}. Accepted: one, of 1 or 3 channels. "
            "For the first of a batch: images[:1]."
        )
    if (h, w) != (size, size):
        raise ValueError(
            f"check_drawing got a drawing of {h} x {w} pixels. Accepted: {size} x {size}, the size that the network has learnt. "
            f"Draw on al.show.canvas(size=({size}, {size})), or enlarge yours so that its lines are 2 pixels wide."
        )
    if c == 3 and (spread := drawing.amax(1) - drawing.amin(1)).max() > 0.05:
        row, column = divmod(spread.flatten().argmax().item(), w)
        raise ValueError(
            f"check_drawing got a drawing with colour, at row {row}, column {column} for one. Accepted: black lines on white; the "
            "colour is what the network adds. For the lines alone: drawing.amax(1, keepdim=True)."
        )
    if not (drawing < 0).any():
        raise ValueError(
            "check_drawing got an empty drawing: no pixel is darker than a middle grey. Accepted: black lines on white. Draw at least one "
            "stroke."
        )
    return drawing[:, :1]


def _with_mirror_images(ds):
    twice = ds[torch.arange(len(ds)).repeat(2)]
    return replace(twice, images=torch.cat([ds.images, ds.images.flip(-1)]))


def texture_domains(a="grass", b="brick", size=32, n=2_000, seed=0, split="train"):
    """Two ImageSets of real textures, unpaired: n random patches of each photograph at half its size.

    Args:
        a, b: of data.bundled.TEXTURES. size: side in pixels, 8 to 64. n: patches of each; they overlap. seed: of their places.
        split: 'train' takes patches from the upper three quarters of each photograph, 'test' from the lowest quarter.
    Returns:
        (A, B), each with one class, the texture's name.
    Raises:
        ValueError: unknown texture, size, number or split.
    """
    if unknown := [t for t in (a, b) if t not in bundled.TEXTURES]:
        raise ValueError(f"texture_domains got {unknown[0]!r}. Accepted: {', '.join(bundled.TEXTURES)}.")
    if not 8 <= size <= 64 or n < 1 or split not in ("train", "test"):
        raise ValueError(
            f"texture_domains(size={size}, n={n}, split={split!r}): accepted are size 8 to 64, n of 1 or more, and "
            "split 'train' or 'test'."
        )
    return tuple(_patches(name, size, n, seed + k, split) for k, name in enumerate((a, b)))


def _patches(name, size, n, seed, split):
    from skimage import data

    picture = resize(from_bytes(getattr(data, name)())[None], 256)[0]
    region = picture[:, :192] if split == "train" else picture[:, 192:]
    images = bundled.random_patches(region, size, n, torch.Generator().manual_seed(seed))
    return ImageSet(
        images,
        torch.zeros(n, dtype=torch.int64),
        classes=(name,),
        name=f"textures-{name}",
        licence="CC0 (scikit-image)",
    )
