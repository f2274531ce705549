"""What happens to pictures on their way: noise, blur, compression, something in front of the lens."""

import io
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..ops import add_noise
from .image_set import check_images
from .masks import draw_masks
from .pixels import from_bytes, to_bytes

CORRUPTIONS = {  # kind: (largest level, what a level is)
    "noise": (255, "a standard deviation in levels of 255"),
    "blur": (16, "a standard deviation in pixels"),
    "jpeg": (99, "100 minus JPEG's quality"),
    "occlusion": (0.95, "a share of the picture that a grey box covers"),
}


def corrupt(images, kind, level, seed=0):
    """Pictures with one fault, of a strength that can be chosen.

    Args:
        images: (N, C, H, W) in [-1, 1].
        kind: 'noise' (Gaussian, an independent number for each pixel and channel; clipped to [-1, 1] afterwards), 'blur' (Gaussian),
            'jpeg' (saved and opened again) or 'occlusion' (a grey box at a random place).
        level: 0 leaves the pictures as they are, bit for bit. noise: standard deviation in levels of 255. blur: standard deviation in
            pixels. jpeg: 100 - quality, so that 90 is quality 10. occlusion: share of the picture under the box.
        seed: of the noise and of the boxes.
    Returns:
        (N, C, H, W) in [-1, 1], new.
    Raises:
        ValueError: an unknown kind, or a level below 0 or above what the kind knows.
    """
    check_images(images, "corrupt")
    if kind not in CORRUPTIONS:
        raise ValueError(f"corrupt(kind={kind!r}): accepted are {', '.join(CORRUPTIONS)}.")
    most, meaning = CORRUPTIONS[kind]
    if not 0 <= level <= most:
        raise ValueError(
            f"corrupt({kind!r}, level={level}): accepted is {meaning}, from 0 (nothing happens) to {most}."
        )
    if level == 0 or not len(images):
        return images.clone()
    if kind == "noise":
        noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)).to(images)
        return add_noise(images, level, noise).clamp(-1, 1)
    if kind == "blur":
        return _blurred(images, level)
    if kind == "jpeg":
        return _compressed(images, 100 - int(level))
    known = draw_masks("box", len(images), tuple(images.shape[2:]), level, seed).to(images)
    return images * known


def _blurred(images, sigma):
    """Convolved with a Gaussian along both axes; the border's pixels are repeated outwards."""
    reach = math.ceil(3 * sigma)
    x = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = (-(x**2) / (2 * sigma**2)).exp()
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    wide = F.pad(images, (reach, reach, reach, reach), mode="replicate")
    wide = F.conv2d(wide, kernel, groups=images.shape[1])
    return F.conv2d(wide, kernel.mT, groups=images.shape[1]).clamp(-1, 1)


def _compressed(images, quality):
    """Saved as JPEG and opened again, picture by picture."""
    pictures = []
    for pixels in to_bytes(images.cpu()):
        saved = io.BytesIO()
        Image.fromarray(pixels.movedim(0, -1).squeeze(-1).numpy()).save(saved, "JPEG", quality=quality)
        pictures.append(from_bytes(np.array(Image.open(saved))))
    return torch.stack(pictures).to(images)
