"""The learner's own pictures: PATH/CLASS/*.jpg, PATH/train/CLASS/*.jpg, or pictures without classes directly in PATH.

Two halves: what is a picture and where it belongs (`_kind` to `_listed`), and how one file becomes pixels (`read`).
"""

import unicodedata
import warnings
from contextlib import contextmanager
from math import ceil, floor
from pathlib import Path

import torch

from .image_set import ImageSet
from .pixels import from_bytes, resize

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")  # Pillow's names
READ = set(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .gif .bmp .dib .tif .tiff .pbm .pgm .ppm .pnm .jp2 .j2k .avif".split()
)
# A camera's raw file is a TIFF whose first picture is a thumbnail: it would be read, and be the wrong picture.
RAW = set(".dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .pef .srw".split())
OTHER = RAW | set(".heic .heif .hif .jxl .svg .psd .ico .tga .pcx .eps .qoi .xcf".split())
SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
SPLITS |= dict.fromkeys(("val", "valid", "validation"), "val")

SMALLEST = 8
GREY = ("1", "L", "LA")
MODES = (*GREY, "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
GAP = 3  # a picture is averaged down to at least GAP times the wanted side; the bicubic resize does the rest
STRIP = 256  # rows that are converted at a time


# ---------------------------------------------------------------- which files are pictures


def _kind(file):
    """The format that the first bytes of a file name ("HEIC", "JPEG" ...), or None: no picture that we know."""
    try:
        with open(file, "rb") as opened:
            head = opened.read(16)
    except OSError:
        return None
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        heic = brand[:3] in (b"hei", b"hev", b"mif", b"msf")
        return "AVIF" if brand[:3] == b"avi" else "HEIC" if heic else None
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace() and head[3:4] in b"#0123456789":
        return "PPM"
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "BMP"
    if head[:4] == b"RIFF":
        return "WebP" if head[8:12] == b"WEBP" else None
    starts = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"GIF8": "GIF", b"II*\0": "TIFF", b"MM\0*": "TIFF"}
    starts |= {b"8BPS": "Photoshop", b"\0\0\0\x0cjP  ": "JPEG 2000", b"\xff\x4f\xff\x51": "JPEG 2000"}
    starts |= {b"\0\0\0\x0cJXL ": "JPEG XL", b"\xff\x0a": "JPEG XL"}
    return next((kind for start, kind in starts.items() if head.startswith(start)), None)


def _hidden(path):
    return path.name.startswith(".") or path.name == "__MACOSX"


def _broken_link(path):
    return path.is_symlink() and not path.exists()


def _looks_like_a_picture(file):
    return file.suffix.lower() in READ | OTHER or _kind(file) is not None


def _loose(folder):
    """What looks like a picture, by name or by content, directly in `folder`."""
    files = [p for p in folder.iterdir() if p.is_file() or _broken_link(p)]
    return sorted(p for p in files if not _hidden(p) and _looks_like_a_picture(p))


def _folders(folder):
    return sorted(p for p in folder.iterdir() if p.is_dir() and not _hidden(p))


def _pictures(folder, above=()):
    """What looks like a picture in `folder` and, however deep, below it."""
    above = (*above, folder.resolve())
    below = [d for d in _folders(folder) if d.resolve() not in above]  # a link may lead back up
    deeper = [file for d in below for file in _pictures(d, above)]
    return sorted(_loose(folder) + deeper)


# ---------------------------------------------------------------- where they belong


def _some(names, n=3):
    names = [str(name) for name in names]
    return ", ".join(names[:n]) + (" ..." if len(names) > n else "")


def _classes(folder):
    """{class: its files} of the folders in `folder`; names in Unicode's NFC, so that one name is one class."""
    found = {}
    for d in _folders(folder):
        found.setdefault(unicodedata.normalize("NFC", d.name), []).extend(_pictures(d))
    return found


def _splits(root):
    """{"train", "test" or "val": its folder}, or {} where PATH holds no two of them."""
    found = {SPLITS[d.name.lower()]: d for d in _folders(root) if d.name.lower() in SPLITS}
    return found if len(found) > 1 else {}


def _listed(folder, asked, union=None):
    """The files of one set.

    Args:
        folder: the folder that holds the classes, or the pictures. asked: what the user wrote, for messages.
        union: {class: files} of all parts where `folder` is one part of a split; else its own.
    Returns:
        ([(file, label)], classes); label 0 and no classes where the pictures lie in no folder.
    Raises:
        ValueError: no pictures, pictures beside classes, a single class.
    """
    classes, loose = _classes(folder), _loose(folder)
    full = [name for name, files in classes.items() if files]
    wanted = "Accepted: folders of pictures (JPEG, PNG, WebP, GIF, BMP, TIFF, PPM), one a class, or pictures without any folder."
    if not full and not loose:
        raise ValueError(f"{asked}: no pictures in {folder}. {wanted}")
    if full and loose:
        raise ValueError(
            f"{asked}: {len(loose)} pictures, such as {_some(f.name for f in loose)}, lie beside the class "
            f"folders {_some(full, 10)} in {folder}. Move them into one, or away. {wanted}"
        )
    if loose:
        return [(file, 0) for file in loose], ()
    union = union or classes
    names = sorted(union)
    if sum(map(bool, union.values())) == 1:
        only = full[0]
        inside = [name for name, files in _classes(folder / only).items() if files]
        other = f"whose folders {_some(inside)} would be the classes" if inside else "as a set without labels"
        raise ValueError(
            f"{asked}: there is one class, {only!r}, with {len(classes[only])} pictures; labels need at least two. "
            f"Add a folder for another class, or load 'folder:{folder / only}' {other}."
        )
    if empty := [name for name in names if not classes.get(name)]:
        warnings.warn(
            f"{asked}: no pictures of {len(empty)} of {len(names)} classes in {folder}: {_some(empty, 10)}. They keep their "
            "place in `classes`. If such a folder is no class, move it away.",
            stacklevel=4,
        )
    return [(file, names.index(name)) for name, files in classes.items() for file in files], tuple(names)


def _chosen(root, parts, split, asked):
    """The folder of a split, and {class: files} of all parts together, so that a label means one class in each of them."""
    there = ", ".join(f"{d.name}/" for d in parts.values())
    if split is None:
        raise ValueError(
            f"{asked}: {root} holds {there}, which are parts of one set. Say which: split='train' or split='test'; "
            f"or load one of them alone: 'folder:{next(iter(parts.values()))}'."
        )
    beside = _loose(root) + [f for d in _folders(root) if d not in parts.values() for f in _pictures(d)]
    if beside:
        raise ValueError(
            f"{asked}: {len(beside)} pictures, such as {_some(f.relative_to(root) for f in beside)}, lie beside {there} "
            "and belong to none of them. Move them into one, or away."
        )
    names = [name for name in (split, "val") if name in parts] if split == "test" else [split]
    if not names or names[0] not in parts:
        raise ValueError(
            f"{asked}, split={split!r}: {root} holds {there} and no {split}/. Name a folder so, or load one of them alone."
        )
    if "val" in parts and "test" in parts:
        val = parts["val"]
        warnings.warn(
            f"{asked}: {val.name}/ with {len(_pictures(val))} pictures is in neither split, since there is a test/. "
            f"It can be had as 'folder:{val}'.",
            stacklevel=4,
        )
    union = {}
    for d in parts.values():
        for name, files in _classes(d).items():
            union.setdefault(name, []).extend(files)
    return parts[names[0]], union


# ---------------------------------------------------------------- one file


def _open(path):
    """A file as PIL opens it, not decoded. Raises ValueError where no decoder here takes it."""
    from PIL import Image, UnidentifiedImageError

    if path.suffix.lower() in RAW:
        raise ValueError("a camera's raw file; develop it and save it as PNG or JPEG")
    Image.init()
    try:
        return Image.open(path, formats=[f for f in FORMATS if f in Image.OPEN])
    except UnidentifiedImageError:
        kind = _kind(path) or (path.suffix[1:].upper() if path.suffix.lower() in OTHER else None)
        if kind is None:
            raise ValueError("not a picture, whatever its name says") from None
        raise ValueError(
            f"{kind}, which cannot be read here, or is damaged; save it as PNG or JPEG with another program"
        ) from None


@contextmanager
def _large_is_no_attack():
    """Pillow warns from 89 megapixels on, which a good camera has; it refuses from twice that."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _plain(picture, mode):
    """A PIL picture in any of MODES in `mode`, L or RGB; transparent parts, and those of a transparent colour, become white."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture.convert(mode)
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert(mode)


def _square(picture, scale, width, height, turn, size):
    """The middle square as L or RGB; size x size if it had to be averaged, else as it is in the file.

    It is converted strip by strip: a second copy of a photograph of 100 megapixels would take 0.4 GB, as floats 1.3 GB.
    Args:
        picture: PIL's, decoded at 1 / scale of width x height.
        turn: the EXIF orientation, which says from which end the odd pixel is cut.
    """
    from PIL import Image

    side = min(width, height) / scale
    left = (width - min(width, height) + (turn in (2, 3, 7, 8))) // 2 / scale
    top = (height - min(width, height) + (turn in (3, 4, 6, 7))) // 2 / scale
    x, y, right, bottom = floor(left), floor(top), ceil(left + side), ceil(top + side)
    factor = max(1, floor(side / (GAP * size)))
    mode = "L" if picture.mode in GREY else "RGB"
    square = Image.new(mode, (ceil((right - x) / factor), ceil((bottom - y) / factor)))
    rows = factor * max(1, STRIP // factor)
    for row in range(y, bottom, rows):
        strip = picture.crop((x, row, right, min(row + rows, bottom)))
        square.paste(_plain(strip, mode).reduce(factor), (0, (row - y) // factor))
    if scale == factor == 1:
        return square
    left, top, side = (
        (left - x) / factor,
        (top - y) / factor,
        side / factor,
    )  # the last row and column may be cut pixels
    return square.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def read(path, size):
    """One file as (1, C, size, size) in [-1, 1], upright. Raises ValueError with the reason why it cannot be used."""
    import numpy as np
    from PIL import ExifTags, Image, ImageOps

    try:
        with _large_is_no_attack(), _open(path) as picture:
            if picture.mode not in MODES:
                depth = (
                    "16 or 32 bits a channel" if picture.mode.startswith(("I", "F")) else f"colour mode {picture.mode}"
                )
                raise ValueError(f"{depth}; save it as 8-bit RGB or grey")
            if min(picture.size) < SMALLEST:
                raise ValueError(f"{picture.width}x{picture.height} pixels; at least {SMALLEST}x{SMALLEST} are needed")
            full = picture.size
            least = (GAP * size, GAP * size)
            drafted = picture.draft(None, least)  # a JPEG is then decoded at 1/8, 1/4 or 1/2, not below this
            picture.load()
            scale = full[0] / drafted[1][2] if drafted else 1
            width, height = full if drafted else picture.size  # Pillow turns a TIFF upright as it loads
            turn = picture.getexif().get(ExifTags.Base.Orientation, 1)
            square = _square(picture, scale, width, height, turn, size)
        square.getexif()[ExifTags.Base.Orientation] = turn
        upright = ImageOps.exif_transpose(square)
    except (ValueError, MemoryError):
        raise
    except Image.DecompressionBombError:
        limit = f"{2 * Image.MAX_IMAGE_PIXELS / 1e6:.0f} megapixels"
        raise ValueError(
            f"more than {limit}, which Pillow refuses to open; make it smaller in another program"
        ) from None
    except Exception as error:  # a decoder raises anything on a damaged file: OSError, SyntaxError, struct.error ...
        raise ValueError(f"damaged or cut short ({error})") from None
    return resize(from_bytes(np.array(upright))[None], size)


# ---------------------------------------------------------------- the set


def load(path, size=32, split=None, skip_bad=False):
    """Pictures of a folder, upright: shrunk or enlarged so that the shorter side fits, the middle square.

    Each subfolder is a class, with all the pictures in it and below it. Pictures directly in PATH, without subfolders, make
    a set without labels. Whatever looks like a picture, by its name or by its first bytes, is used or named. Hidden
    files are not looked at; of a moving picture the first frame is taken.
    If all are grey the set has one channel; grey ones among colour ones are repeated to three, and a warning names them.

    Args:
        split: where PATH holds train/ and test/ (or val/, valid/, validation/), which of them; `classes` are those of
            all together. The test is val/ where there is no test/. Otherwise 80 : 20 by `ImageSet.split(seed=0)`.
        skip_bad: leave out the files that cannot be used, with a warning that names them, instead of raising.
    Raises:
        FileNotFoundError: PATH is no folder.
        ValueError: no pictures, a single class, pictures beside the classes, train/ and test/ without `split`, or files
            that cannot be used.
    """
    from tqdm.auto import tqdm

    root, asked = Path(path).expanduser(), f"load('folder:{path}')"
    if not root.is_dir():
        raise FileNotFoundError(
            f"{asked}: {root.resolve()} is not a folder. Give the folder that holds one folder a class."
        )
    parts = _splits(root)
    folder, union = _chosen(root, parts, split, asked) if parts else (root, None)
    listed, classes = _listed(folder, asked, union)
    pictures, labels, bad, grey = [], [], [], []
    for file, label in tqdm(listed, desc=f"reading {root.name}", delay=2):
        try:
            pictures.append(read(file, size))
        except ValueError as why:
            bad.append(f"{file.relative_to(root)}: {why}")
            continue
        labels.append(label)
        if pictures[-1].shape[1] == 1:
            grey.append(file.relative_to(root))
    if bad:
        found = f"{len(bad)} of {len(listed)} pictures in {root} cannot be used:\n  " + "\n  ".join(bad[:10])
        found += f"\n  ... and {len(bad) - 10} more" if len(bad) > 10 else ""
        if not skip_bad or not pictures:
            raise ValueError(
                f"{found}\nMend or remove them, or leave them out with load('folder:{path}', skip_bad=True)."
            )
        warnings.warn(f"Left out: {found}", stacklevel=3)
    if grey and len(grey) < len(pictures):
        warnings.warn(
            f"{len(grey)} of {len(pictures)} pictures are grey and were repeated to 3 channels: {_some(grey, 10)}",
            stacklevel=3,
        )
        pictures = [p.expand(-1, 3, -1, -1) for p in pictures]
    labels = torch.tensor(labels) if classes else None
    everything = ImageSet(torch.cat(pictures), labels, classes=classes, name=root.resolve().name, licence="your own")
    if parts or split is None:
        return everything
    return everything.split(test=0.2, seed=0)[split == "test"]
