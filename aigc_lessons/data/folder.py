"""The learner's own pictures: PATH/CLASS/*.jpg, or pictures without classes directly in PATH."""
import warnings
from pathlib import Path

import torch

from .image_set import ImageSet
from .pixels import from_bytes, resize

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
SMALLEST = 8
MODES = ("1", "L", "P", "RGB", "RGBA", "LA")


def _read(path):
    """One file as an upright PIL picture in mode L or RGB. Raises ValueError with the reason why it cannot be used."""
    from PIL import Image, ImageOps, UnidentifiedImageError
    try:
        with Image.open(path) as opened:
            if opened.mode not in MODES:
                depth = "16 or 32 bits a channel" if opened.mode.startswith(("I", "F")) else f"colour mode {opened.mode}"
                raise ValueError(f"{depth}; save it as 8-bit RGB or grey")
            if min(opened.size) < SMALLEST:
                raise ValueError(f"{opened.width}x{opened.height} pixels; at least {SMALLEST}x{SMALLEST} are needed")
            upright = ImageOps.exif_transpose(opened)
            if upright.mode in ("RGBA", "LA", "P"):                       # lay transparent pictures on white
                upright = upright.convert("RGBA")
                white = Image.new("RGBA", upright.size, "white")
                return Image.alpha_composite(white, upright).convert("RGB")
            return upright.convert("L" if upright.mode in ("1", "L") else "RGB")
    except UnidentifiedImageError:
        raise ValueError("not a picture, whatever its name says") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:      # SyntaxError: PIL's word for a broken PNG
        raise ValueError(f"damaged or cut short ({error})") from None


def _files(folder):
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def load(path, size=32, skip_bad=False):
    """Pictures of a folder: shrunk or enlarged so that the shorter side fits, then the middle square.

    Each subfolder that holds pictures is a class. Pictures directly in PATH, without subfolders, make a set without labels.
    If all are grey the set has one channel; grey ones among colour ones are repeated to three, and a warning names them.

    Args:
        skip_bad: leave out the files that cannot be used, with a warning that names them, instead of raising.
    Raises:
        FileNotFoundError: PATH is no folder. ValueError: no pictures, a single class, or files that cannot be used.
    """
    import numpy as np
    from tqdm.auto import tqdm
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"load('folder:{path}'): {root.resolve()} is not a folder. Give the folder that holds one folder a class.")
    classes = {d.name: _files(d) for d in sorted(root.iterdir()) if d.is_dir() and not d.name.startswith(".")}
    classes = {name: files for name, files in classes.items() if files}
    loose = _files(root)
    wanted = f"Accepted: folders of pictures ({' '.join(sorted(SUFFIXES))}), one a class, or pictures without any folder."
    if not classes and not loose:
        raise ValueError(f"load('folder:{path}'): no pictures in {root}. {wanted}")
    if classes and loose:
        raise ValueError(f"load('folder:{path}'): {len(loose)} pictures, such as {loose[0].name}, lie beside the class folders "
                         f"{', '.join(classes)}. Move them into one. {wanted}")
    if len(classes) == 1:
        (only, files), = classes.items()
        raise ValueError(f"load('folder:{path}'): there is one class, {only!r}, with {len(files)} pictures; labels need at least two. "
                         f"Add a folder for another class, or load 'folder:{root / only}' as a set without labels.")
    listed = [(f, i) for i, files in enumerate(classes.values()) for f in files] or [(f, 0) for f in loose]
    pictures, labels, bad, grey = [], [], [], []
    for file, label in tqdm(listed, desc=f"reading {root.name}", delay=2):
        try:
            picture = _read(file)
        except ValueError as why:
            bad.append(f"{file.relative_to(root)}: {why}")
            continue
        if picture.mode == "L":
            grey.append(str(file.relative_to(root)))
        pixels = from_bytes(np.array(picture))[None]
        side = min(pixels.shape[-2:])
        top, left = (pixels.shape[-2] - side) // 2, (pixels.shape[-1] - side) // 2
        pictures.append(resize(pixels[..., top:top + side, left:left + side], size))
        labels.append(label)
    if bad:
        found = f"{len(bad)} of {len(listed)} pictures in {root} cannot be used:\n  " + "\n  ".join(bad[:10])
        found += f"\n  ... and {len(bad) - 10} more" if len(bad) > 10 else ""
        if not skip_bad or not pictures:
            raise ValueError(f"{found}\nMend or remove them, or leave them out with load('folder:{path}', skip_bad=True).")
        warnings.warn(f"Left out: {found}", stacklevel=3)
    if grey and len(grey) < len(pictures):
        warnings.warn(f"{len(grey)} of {len(pictures)} pictures are grey and were repeated to 3 channels: "
                      + ", ".join(grey[:10]) + (" ..." if len(grey) > 10 else ""), stacklevel=3)
        pictures = [p.expand(-1, 3, -1, -1) for p in pictures]
    return ImageSet(torch.cat(pictures), torch.tensor(labels) if classes else None, classes=tuple(classes),
                    name=root.resolve().name, licence="your own")
