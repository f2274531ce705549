"""Line art that was coloured: how far off are the colours, where the true picture has some?"""

import torch

from ..data import check_images, emoji_domains
from .intervals import bootstrap_interval


def coloured(pictures, lines, least=0.1):
    """(N, 1, H, W) bool: where a picture differs from its line drawing, in any channel by more than `least`.

    Most of an emoji is white paper, which a copy of the line drawing has right already; errors are told over the rest.

    Args: pictures: (N, 3, H, W), lines: (N, 1 or 3, H, W), both in [-1, 1].
    """
    check_images(pictures, "coloured")
    check_images(lines, "coloured: lines")
    if pictures.shape[::2] != lines.shape[::2] or pictures.shape[3] != lines.shape[3]:
        raise ValueError(
            f"coloured got pictures of shape {tuple(pictures.shape)} and lines of {tuple(lines.shape)}. "
            "Accepted: as many lines as pictures, of one size."
        )
    return (pictures - lines).abs().amax(1, keepdim=True) > least


def saturation(pictures):
    """(N, 1, H, W): the greatest channel minus the least, 0 for grey, 2 for pure red. Args: pictures: (N, 3, H, W) in [-1, 1]."""
    return pictures.amax(1, keepdim=True) - pictures.amin(1, keepdim=True)


def palette(pictures, n, where=None):
    """(n, 3): the most frequent colours, the commonest first; levels are taken together in steps of 8 of 256.

    Args: pictures: (N, 3, H, W) in [-1, 1]. where: (N, 1, H, W) bool, the pixels that count; None: all.
    Raises ValueError if they hold fewer than n such colours.
    """
    pixels = pictures.movedim(1, -1).reshape(-1, 3)
    if where is not None:
        pixels = pixels[where.reshape(-1)]
    bins = ((pixels + 1) * 127.5).round().clamp(0, 255).long() // 8
    codes, which, counts = (bins @ torch.tensor([1024, 32, 1])).unique(return_inverse=True, return_counts=True)
    if len(codes) < n:
        raise ValueError(f"palette(n={n}): the pictures hold {len(codes)} colours. Accepted: 1 to {len(codes)}.")
    sums = torch.zeros(len(codes), 3).index_add_(0, which, pixels)
    return (sums / counts[:, None])[counts.argsort(descending=True, stable=True)[:n]]


def emoji_palette(n=20):
    """(n, 3): the most frequent colours of the coloured part of the training emoji, as they are drawn, at 64 pixels."""
    lines, pictures = (ds.images for ds in emoji_domains(64, "train"))
    return palette(pictures, n, coloured(pictures, lines))


def off_palette(pictures, colours):
    """(N, 1, H, W): mean |difference| of the channels to the nearest of the colours (K, 3). Args: pictures: (N, 3, H, W)."""
    pixels = pictures.movedim(1, -1).reshape(-1, 3)
    nearest = torch.cat([torch.cdist(part, colours, p=1).amin(1) / 3 for part in pixels.split(100_000)])
    return nearest.view(len(pictures), 1, *pictures.shape[2:])


def region_mean(values, where):
    """The mean of values (N, 1, H, W) over the pixels where `where` (N, 1, H, W) holds, as a Measure: its interval is over pictures.

    Raises ValueError if there is no such pixel.
    """
    rows = torch.stack([(values * where).flatten(1).sum(1), where.flatten(1).sum(1)], 1).double()
    if not where.any():
        raise ValueError(
            "region_mean: `where` holds nowhere, so there is nothing to take the mean of. Give other pictures."
        )
    rows = rows[rows[:, 1] > 0]  # a picture without such a pixel says nothing
    return bootstrap_interval(lambda some: some[:, 0].sum() / some[:, 1].sum(), rows)
