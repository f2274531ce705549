"""Real pictures that come inside scikit-learn and scikit-image: no network, no account."""

import torch
import torch.nn.functional as F

from .image_set import ImageSet
from .pixels import from_bytes, middle_square, resize

PHOTOS = {  # name: (library, licence); the last two are the test photos, never trained on
    "astronaut": ("skimage", "public domain (NASA)"),
    "coffee": ("skimage", "CC0 (Rachel Michetti)"),
    "rocket": ("skimage", "public domain (SpaceX)"),
    "china": ("sklearn", "CC BY 2.0 (danielbuechele)"),
    "chelsea": ("skimage", "CC0 (Stefan van der Walt)"),
    "flower": ("sklearn", "CC BY 2.0 (vultilion)"),
}
TEST_PHOTOS = ("chelsea", "flower")
TEXTURES = ("brick", "grass", "gravel")


def _cut(picture, size):
    """(C, H, W) -> (n, C, size, size): the tiles of a grid, row by row; the remainder at the right and below is left."""
    return picture.unfold(1, size, size).unfold(2, size, size).permute(1, 2, 0, 3, 4).flatten(0, 1).contiguous()


def random_patches(picture, size, n, generator):
    """(C, H, W) -> (n, C, size, size), cut at random places; they may overlap."""
    top = torch.randint(picture.shape[1] - size + 1, (n,), generator=generator).tolist()
    left = torch.randint(picture.shape[2] - size + 1, (n,), generator=generator).tolist()
    return torch.stack([picture[:, t : t + size, l : l + size] for t, l in zip(top, left)])


def digits_8x8(size=32):
    """1,797 handwritten digits of 8x8 pixels, enlarged; labels 0 to 9."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = torch.tensor(raw.images, dtype=torch.float32)[:, None] / 8 - 1  # 17 grey levels, 0 to 16
    return ImageSet(
        resize(images, size),
        torch.tensor(raw.target, dtype=torch.int64),
        classes=tuple("0123456789"),
        name="digits-8x8",
        licence="CC BY 4.0 (UCI, Alpaydin and Kaynak 1998)",
    )


def faces(size=32):
    """100 grey faces of 25x25 pixels, resized; no labels."""
    from skimage.data import lfw_subset

    images = torch.tensor(lfw_subset()[:100], dtype=torch.float32)[:, None] * 2 - 1  # the other 100 are not faces
    return ImageSet(
        resize(images, size), name="faces", licence="research use (Labeled Faces in the Wild, Huang et al. 2007)"
    )


def textures(size=32, split=None):
    """Brick, grass and gravel, grey, cut into tiles that do not overlap. The test tiles are the lowest quarter of each."""
    from skimage import data

    if size > 128:
        raise ValueError(
            f"load('textures', size={size}): the pictures are 512x512 and a quarter is kept for the test. Accepted: 8 to 128."
        )
    region = {None: slice(0, 512), "train": slice(0, 384), "test": slice(384, 512)}[split]
    tiles = [_cut(from_bytes(getattr(data, name)())[:, region], size) for name in TEXTURES]
    labels = torch.cat([torch.full((len(t),), i) for i, t in enumerate(tiles)])
    return ImageSet(torch.cat(tiles), labels, classes=TEXTURES, name="textures", licence="CC0 (scikit-image)")


def photo(name, size=None):
    """One photograph: (1, 3, H, W) in [-1, 1]; with `size`, its middle square resized to (1, 3, size, size).

    Raises ValueError for a name that is not one of PHOTOS.
    """
    if name not in PHOTOS:
        raise ValueError(f"There is no photo {name!r}. Known: {', '.join(PHOTOS)}.")
    if PHOTOS[name][0] == "skimage":
        from skimage import data

        pixels = getattr(data, name)()
    else:
        from sklearn.datasets import load_sample_image

        pixels = load_sample_image(f"{name}.jpg")
    image = from_bytes(pixels.copy())[None]
    return image if size is None else resize(middle_square(image), size)


def photos(size=32, split=None, n=None, seed=0, shrink=1):
    """Six colour photographs cut into tiles that do not overlap, or with `n` into n random patches a photo; `groups` says
    which photo a piece is from. With shrink=2 the photographs are first made half as high and wide: more detail a pixel.

    The split is by whole photo: no part of a test photo is ever in the training set.
    """
    chosen = [name for name in PHOTOS if split is None or (name in TEST_PHOTOS) == (split == "test")]
    if shrink not in (1, 2):
        raise ValueError(f"load('photos', shrink={shrink}): accepted are 1 and 2.")
    if size > 300 // shrink:
        raise ValueError(
            f"load('photos', size={size}): the smallest photo is {300 // shrink} pixels high. Accepted: 8 to {300 // shrink}. "
            "For one whole photo: al.data.photo(name)."
        )
    if n is not None and n < 1:
        raise ValueError(f"load('photos', n={n}): accepted are 1 or more patches a photo, or None for tiles.")
    g = torch.Generator().manual_seed(seed)
    pieces = []
    for name in chosen:
        picture = photo(name)
        if shrink > 1:
            picture = F.interpolate(picture, scale_factor=1 / shrink, mode="bicubic", antialias=True).clamp(-1, 1)
        pieces.append(_cut(picture[0], size) if n is None else random_patches(picture[0], size, n, g))
    groups = torch.cat([torch.full((len(p),), list(PHOTOS).index(name)) for name, p in zip(chosen, pieces)])
    return ImageSet(
        torch.cat(pieces),
        name="photos",
        groups=groups,
        licence="; ".join(f"{name}: {PHOTOS[name][1]}" for name in chosen),
    )
