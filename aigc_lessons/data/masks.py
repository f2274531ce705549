"""Masks of holes to fill. A mask is 1 where pixels are known and 0 in the hole."""

import torch

MASKS = ("box", "strokes", "random", "half", "empty", "full")


def draw_masks(kind, n, size, hole=0.25, seed=None):
    """n masks, each with a hole of its own.

    Args:
        kind: 'box' (a rectangle), 'strokes' (a bent brush stroke; below a share of about 0.15 it may be so thin that it falls
            apart into dots), 'random' (single pixels), 'half' (left, right, upper or lower half), 'empty' (no hole: nothing
            is missing) or 'full' (all hole: nothing is known).
        n: how many. size: side in pixels, or (H, W).
        hole: share of the pixels that is missing, in (0, 1): a number, or (low, high) to draw one for each mask. For half, empty
            and full it is ignored; a box comes within a row or a column of it.
        seed: int, or None for torch's global random state (as in a training step).
    Returns:
        (n, 1, H, W) float32 of 0 and 1, on the CPU.
    Raises:
        ValueError: unknown kind, n or size below 1, a share outside (0, 1).
    """
    h, w = (size, size) if isinstance(size, int) else size
    low, high = (hole, hole) if isinstance(hole, (int, float)) else hole
    if kind not in MASKS:
        raise ValueError(f"draw_masks({kind!r}): accepted are {', '.join(MASKS)}.")
    if n < 1 or h < 1 or w < 1:
        raise ValueError(f"draw_masks({kind!r}, n={n}, size={size}): accepted are 1 or more masks, of 1 pixel or more.")
    if not 0 < low <= high < 1:
        raise ValueError(
            f"draw_masks({kind!r}, hole={hole}): accepted is a share of the pixels between 0 and 1, such as 0.25, or "
            "(low, high). For no hole or nothing but hole ask for the kinds 'empty' and 'full'."
        )
    g = torch.default_generator if seed is None else torch.Generator().manual_seed(seed)
    y, x = torch.arange(h).view(1, h, 1), torch.arange(w).view(1, 1, w)
    share = low + (high - low) * torch.rand(n, 1, 1, generator=g)
    if kind == "empty":
        known = torch.ones(n, h, w)
    elif kind == "full":
        known = torch.zeros(n, h, w)
    elif kind == "half":
        first = (x < w // 2).expand(1, h, w), (y < h // 2).expand(1, h, w)
        sides = torch.cat([first[0], ~first[0], first[1], ~first[1]])
        known = sides[torch.randint(4, (n,), generator=g)].float()
    elif kind == "box":
        # The aspect is at most 2 and no more than lets the box fit; its place is anywhere inside.
        aspect = torch.exp2(2 * torch.rand(n, 1, 1, generator=g) - 1).clamp(share, 1 / share)
        tall = (h * (share * aspect).sqrt()).round().clamp(1, h)
        wide = (h * w * share / tall).round().clamp(1, w)
        top = (torch.rand(n, 1, 1, generator=g) * (h - tall + 1)).floor()
        left = (torch.rand(n, 1, 1, generator=g) * (w - wide + 1)).floor()
        known = 1 - ((y >= top) & (y < top + tall) & (x >= left) & (x < left + wide)).float()
    else:
        rank = torch.rand(n, h, w, generator=g) if kind == "random" else _distance_to_stroke(n, h, w, g)
        order = rank.flatten(1).argsort(1).argsort(1)  # 0 for the first pixel to go
        known = (order >= (share[:, :, 0] * h * w).round().clamp(1)).float().view(n, h, w)
    return known[:, None]


def _distance_to_stroke(n, h, w, g, segments=4):
    """Distance (n, h, w) of every pixel to a line of a few segments between random points: the nearest make the stroke."""
    points = torch.rand(n, segments + 1, 2, generator=g) * torch.tensor([h, w])
    start, step = points[:, :-1, None], points.diff(dim=1)[:, :, None]  # (n, segments, 1, 2)
    pixels = torch.cartesian_prod(torch.arange(h), torch.arange(w)) + 0.5  # (h w, 2)
    along = ((pixels - start) * step).sum(-1) / step.square().sum(-1).clamp(min=1e-9)
    nearest = start + along.clamp(0, 1)[..., None] * step
    return (pixels - nearest).norm(dim=-1).amin(1).view(n, h, w)
