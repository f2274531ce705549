"""Pixels: another size, grey for colour, and between bytes of 0 to 255 and floats of -1 to 1."""

import torch
import torch.nn.functional as F


def resize(images, size):
    """(N, C, H, W) in [-1, 1] -> (N, C, size, size), bicubic, anti-aliased when shrinking."""
    shrinks = size < images.shape[-1]
    return F.interpolate(images, (size, size), mode="bicubic", antialias=shrinks).clamp(-1, 1)


def middle_square(images):
    """(..., H, W) -> (..., S, S) with S the shorter side."""
    h, w = images.shape[-2:]
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    return images[..., top : top + side, left : left + side]


def from_bytes(array):
    """uint8 (H, W), (H, W, 3) or a batch of such -> float32 in [-1, 1] with channels before height and width."""
    pixels = torch.as_tensor(array).float() / 127.5 - 1
    if pixels.shape[-1] == 3:
        return pixels.movedim(-1, -3).contiguous()
    return pixels.unsqueeze(-3)


def to_bytes(images):
    """float (N, C, H, W) in [-1, 1] -> uint8 of the same shape, on the CPU, rounded: -1 is 0, 1 is 255."""
    return images.detach().to("cpu", torch.float32).mul(127.5).add(127.5).round().clamp(0, 255).to(torch.uint8)


def to_grey(images):
    """(N, 3, H, W) -> (N, 1, H, W): the luminance, as in ITU-R BT.601; of a grey picture written three times, that picture."""
    return (images * images.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)


def is_grey(images):
    """Does each picture (N, 3, H, W) hold one channel three times, as `save_image` writes grey ones? Within a step of 8 bits."""
    return bool(((images - images[:, :1]).abs() <= 1 / 255).all())


def to_levels(images, levels):
    """float pictures in [-1, 1] -> int64 of the same shape, the nearest of `levels` grey levels: -1 is 0, 1 is levels - 1.

    Raises ValueError for fewer than 2 levels, TypeError for anything but floats.
    """
    _check_levels("to_levels", levels)
    if not images.is_floating_point():
        raise TypeError(
            f"to_levels got {images.dtype}. Accepted: float pictures in [-1, 1]; levels are what comes out."
        )
    return ((images.clamp(-1, 1) + 1) * ((levels - 1) / 2)).round().long()


def from_levels(tokens, levels):
    """Whole numbers from 0 to levels - 1 -> float32 of the same shape in [-1, 1]. Raises ValueError for fewer than 2 levels."""
    _check_levels("from_levels", levels)
    return tokens.float() * (2 / (levels - 1)) - 1


def _check_levels(who, levels):
    if levels < 2:
        raise ValueError(f"{who}(levels={levels}): accepted are 2 (black and white) or more.")
