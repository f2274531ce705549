"""Pictures to learn from: `load(name)` gives an ImageSet; `names()` says what is here and what needs a download.

datasets/README.md is the card of every source: origin, licence, size, splits, known biases.
"""

import difflib
import inspect

from . import bundled, carried, downloads, folder, shapes
from .balance import effective_size, reweight
from .corruptions import CORRUPTIONS, corrupt
from .domains import check_drawing, emoji_domains, shape_domains, texture_domains
from .image_set import ImageSet, check_images, warn_if_half_range
from .masks import draw_masks
from .nonsense import mixtures, nonsense
from .painted import oil, pencil
from .pixels import from_levels, to_levels

__all__ = [
    "CORRUPTIONS",
    "ImageSet",
    "check_drawing",
    "check_images",
    "corrupt",
    "draw_masks",
    "from_levels",
    "effective_size",
    "emoji_domains",
    "load",
    "mixtures",
    "names",
    "nonsense",
    "oil",
    "pencil",
    "photo",
    "reweight",
    "shape_domains",
    "texture_domains",
    "to_levels",
    "warn_if_half_range",
]

OFFLINE = {
    "shapes": shapes.load,
    "digits": carried.digits,
    "emoji": carried.emoji,
    "digits-8x8": bundled.digits_8x8,
    "faces": bundled.faces,
    "textures": bundled.textures,
    "photos": bundled.photos,
}
TORCHVISION = {
    "mnist": downloads.mnist,
    "fashion-mnist": downloads.fashion_mnist,
    "cifar10": downloads.cifar10,
    "celeba": downloads.celeba,
    "flowers102": downloads.flowers102,
    "oxford-pets": downloads.oxford_pets,
}
photo = bundled.photo


def names():
    """{name: how to get it} for everything that `load` knows by name."""
    ready = {name: "ready, no network needed" for name in OFFLINE}
    return {
        **ready,
        **{name: downloads.status(name) for name in TORCHVISION},
        "folder:PATH": "your own pictures, one folder a class",
    }


def load(name, size=32, split=None, **options):
    """Load a data set.

    Args:
        name: one of `names()`; 'folder:PATH' for pictures of your own, one folder a class.
        size: side of the pictures, in pixels, at least 8.
        split: 'train', 'test' or None. Sets with a split of their own (mnist, cifar10, photos, textures ...) use it, the
            others are split 80 : 20 by `ImageSet.split(seed=0)`; a folder that holds train/ and test/ uses them. None: everything, or
            'train' for torchvision's sets.
        options: what the source takes beside that. shapes: n, seed, variant. emoji: layer, group, variant. torchvision's: root,
            download; celeba also n.
            folder: skip_bad.
    Returns:
        ImageSet with images (N, C, size, size) in [-1, 1].
    Raises:
        ValueError: unknown name, size or split, or pictures that cannot be used. TypeError: an option the source lacks.
        FileNotFoundError: files that are not here and cannot be fetched; says which, from where, and where to put them.
    """
    if not isinstance(name, str):
        raise TypeError(f"load got {type(name).__name__}. Give a name: {', '.join(names())}.")
    if isinstance(size, bool) or not isinstance(size, int) or size < 8:
        raise ValueError(f"load({name!r}, size={size!r}): size is the side in pixels, a whole number of at least 8.")
    if split not in (None, "train", "test"):
        raise ValueError(f"load({name!r}, split={split!r}): accepted are 'train', 'test' and None (everything).")
    kind, _, path = name.partition(":")
    if kind == "folder":
        source = folder.load
        options = {"path": path, **options}
    elif name in OFFLINE or name in TORCHVISION:
        source = (OFFLINE | TORCHVISION)[name]
    else:
        near = difflib.get_close_matches(name.lower().replace("_", "-"), names(), 1, 0.4)
        raise ValueError(
            f"There is no data set {name!r}. "
            + (f"Did you mean {near[0]!r}? " if near else "")
            + f"Known: {', '.join(names())}."
        )
    accepted = inspect.signature(source).parameters
    if unknown := [o for o in options if o not in accepted]:
        takes = [p for p in accepted if p not in ("size", "split", "path")]
        raise TypeError(
            f"load({name!r}) has no option {', '.join(unknown)}. It takes size, split"
            f"{''.join(', ' + t for t in takes)}."
        )
    if "split" in accepted:
        return source(size=size, split=split, **options)
    everything = source(size=size, **options)
    return everything if split is None else everything.split(test=0.2, seed=0)[split == "test"]
