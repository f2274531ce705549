"""Pictures drawn by rules after a photograph: pencil hatching and oil strokes. Lesson 45 takes their style; what a rule makes of another
photograph is then known, too.

Sources of the ideas: Winkenbach and Salesin 1994, Computer-generated pen-and-ink illustration (tone by layers of hatching); Litwinowicz
1997, Processing images and video for an impressionist effect (strokes along the edges); Hertzmann 1998, Painterly rendering (large strokes
first). The numbers were chosen by eye, for pictures of 96 to 256 pixels.
"""

import math

import torch
import torch.nn.functional as F

from .image_set import check_images
from .pixels import to_grey

HATCHING = ((50, 0.28), (-35, 0.55), (8, 0.78))  # direction in degrees, and how dark it must be for these lines
STROKES = ((9, 26, 0.030), (5, 16, 0.073), (3, 9, 0.098))  # width, length in pixels, strokes a pixel of the picture
SOBEL = ((1.0, 2.0, 1.0), (0.0, 0.0, 0.0), (-1.0, -2.0, -1.0))


def pencil(image, seed=0):
    """A pencil drawing of a picture: layers of hatching where it is dark, and lines where its edges are.

    Args: image: (1, C, H, W) in [-1, 1], C 1 or 3, H and W at least 16. Returns: (1, 3, H, W), grey.
    """
    _check_one(image, "pencil")
    g, (h, w) = torch.Generator().manual_seed(seed), image.shape[2:]
    grey = (to_grey(image) if image.shape[1] == 3 else image)[0, 0]
    ranks = grey.flatten().argsort().argsort().view(h, w) / (h * w)
    dark = _blur((1 - 0.6 * ranks - 0.2 * (grey + 1))[None], 3)[
        0
    ]  # partly by rank, so that every picture has all tones
    ink = _edges(dark)
    for degrees, least in HATCHING:
        shake, press = _smooth_noise(2, h, w, 32, g), _smooth_noise(1, h, w, 6, g)[0]
        ink = 1 - (1 - ink) * (1 - _hatching(dark, degrees, least, shake[0], press))
    paper = 0.95 + 0.015 * torch.randn(h, w, generator=g)
    return (2 * paper * (1 - 0.9 * ink) - 1).clamp(-1, 1).expand(1, 3, h, w).contiguous()


def _hatching(dark, degrees, least, shake, press, period=4.0):
    """(H, W) from 0 to 1, how much ink: parallel lines, wider where it is darker, none where it is not as dark as `least`."""
    y, x = _places(*dark.shape)
    angle = math.radians(degrees)
    across = (x * math.sin(angle) + y * math.cos(angle) + 1.2 * shake) / period  # in lines
    from_line = (0.5 - (across - across.floor() - 0.5).abs()) * period  # in pixels, from the nearest line
    width = 0.9 * ((dark - least) / (1 - least)).clamp(0, 1) + 0.25
    begins = (12 * (dark - least) + 0.3 * press).clamp(0, 1)
    return (width - from_line + 0.6).clamp(0, 1) * begins * (0.68 + 0.1 * press).clamp(0.3, 0.9)


def _edges(dark):
    down, right = (_filtered(dark, torch.tensor(SOBEL).view(3, 3) / 8), _filtered(dark, torch.tensor(SOBEL).T / 8))
    return (7 * (down.square() + right.square()).sqrt() - 0.35).clamp(0, 0.75)


def oil(image, seed=0, vivid=1.35):
    """An oil painting of a picture: strokes with bristles along its edges, large ones first, small ones where there is detail.

    Args: image: (1, 3, H, W) in [-1, 1], H and W at least 16. vivid: how much stronger its colours become. Returns: (1, 3, H, W).
    """
    _check_one(image, "oil", channels=(3,))
    g, (h, w) = torch.Generator().manual_seed(seed), image.shape[2:]
    grey = image.mean(1, keepdim=True)
    colours = (grey + vivid * (image - grey))[0]
    along = _directions(_blur(image[0], 9).mean(0), g)
    detail = (image[0] - _blur(image[0], 5)).abs().mean(0)
    canvas = 0.9 * _blur(image[0], 9)
    for width, length, density in STROKES:
        n = round(density * h * w)
        paints = _blur(colours, width // 2 * 2 + 1) if width >= 5 else colours
        places = (torch.rand(n, 2, generator=g) * torch.tensor([h, w])).long()
        if width < 5:
            places = places[detail[tuple(places.T)] > detail.quantile(0.6)]
        for top, left in places.tolist():
            _stroke(canvas, paints[:, top, left], top, left, along[top, left].item(), width, length, g)
    return canvas.clamp(-1, 1)[None]


def _directions(grey, g):
    """(H, W), for each place the angle along which the picture changes least (from its smoothed structure tensor), and where it is flat
    the angle of a slowly turning field."""
    h, w = grey.shape
    down = F.pad(grey[2:] - grey[:-2], (0, 0, 1, 1))
    right = F.pad(grey[:, 2:] - grey[:, :-2], (1, 1))
    both, difference = _blur(torch.stack([2 * right * down, right.square() - down.square()]), 15)
    field = 0.0024 * _smooth_noise(2, h, w, 40, g)
    return torch.atan2(both + field[0], difference + field[1]) / 2 + math.pi / 2


def _stroke(canvas, paint, top, left, angle, width, length, g):
    """One stroke in the middle of (top, left): bent a little, with bristles, lighter on one side. Changes `canvas` (3, H, W)."""
    tint, bend = torch.randn(4, generator=g), 0.25 * torch.randn(1, generator=g)
    phase = 2 * math.pi * torch.rand(2, generator=g)
    y0, x0 = max(0, top - length), max(0, left - length)
    part = canvas[:, y0 : top + length + 1, x0 : left + length + 1]
    y, x = _places(*part.shape[1:])
    y, x = y + y0 - top, x + x0 - left
    u = (x * math.cos(angle) + y * math.sin(angle)) / (length / 2)  # along the stroke, from -1 to 1
    v = (y * math.cos(angle) - x * math.sin(angle)) / (width / 2) + bend * u.square()  # across it
    cover = ((1 - v.abs()) * width / 2 + 0.5).clamp(0, 1) * ((1 - u.abs()) * length / 3).clamp(0, 1)
    bristles = 0.10 * torch.sin(1.3 * width * v + phase[0]) + 0.06 * torch.sin(2.3 * width * v + phase[1])
    relief = -0.275 * (v + 0.6).clamp(-0.4, 0.4)
    paint = paint + 0.16 * tint[0] + 0.07 * tint[1:]
    part.copy_(torch.lerp(part, paint[:, None, None] + bristles + relief, cover))


def _places(h, w):
    return torch.meshgrid(torch.arange(float(h)), torch.arange(float(w)), indexing="ij")


def _blur(images, side):
    """(C, H, W) -> (C, H, W): the mean over squares, the border repeated."""
    padded = F.pad(images[None], [side // 2] * 4, mode="replicate")
    return F.avg_pool2d(padded, side, stride=1)[0]


def _filtered(grey, kernel):
    return F.conv2d(F.pad(grey[None, None], [1] * 4, mode="replicate"), kernel[None, None])[0, 0]


def _smooth_noise(n, h, w, cell, g):
    """(n, H, W): random numbers on a lattice of `cell` pixels, and smooth between them."""
    lattice = torch.randn(1, n, h // cell + 2, w // cell + 2, generator=g)
    return F.interpolate(lattice, (h, w), mode="bicubic")[0]


def _check_one(image, who, channels=(1, 3)):
    check_images(image, who)
    if len(image) != 1 or image.shape[1] not in channels or min(image.shape[2:]) < 16:
        colours = " or ".join(map(str, channels))
        raise ValueError(
            f"{who} got pictures of shape {tuple(image.shape)}. Accepted: one picture, (1, {colours}, H, W), of at least 16 x 16 "
            "pixels. For one of several: images[:1]."
        )
