"""Discs, squares and triangles whose every attribute is known: the course's own data, drawn when asked for."""

import itertools

import torch

from .image_set import ImageSet

KINDS = ("disc", "square", "triangle")
COLOURS = {
    "red": (0.90, 0.20, 0.18),
    "green": (0.25, 0.75, 0.30),
    "blue": (0.25, 0.40, 0.95),
    "yellow": (0.95, 0.85, 0.25),
    "magenta": (0.85, 0.30, 0.85),
    "cyan": (0.30, 0.85, 0.90),
}
VARIANTS = ("plain", "outline", "striped", "day", "night")
GROUND = {
    "plain": (0.07, 0.07, 0.10),
    "outline": (0.0, 0.0, 0.0),
    "striped": (0.07, 0.07, 0.10),
    "day": (0.62, 0.80, 0.95),
    "night": (0.02, 0.03, 0.15),
}
MOONLIGHT = 0.45  # how much of a colour is left at night


def _distance(kind, x, y, r):
    """Signed distance (negative inside) to a shape at the origin; all three kinds have the area of a disc of radius r."""
    disc = (x * x + y * y).sqrt() - r
    square = torch.maximum(x.abs(), y.abs()) - 0.8862 * r  # half side sqrt(pi) / 2
    triangle = torch.maximum(y, 0.8660 * x.abs() - 0.5 * y) - 0.7776 * r  # equilateral, one corner up
    return torch.where(kind == 0, disc, torch.where(kind == 1, square, triangle))


def draw(kind, colour, x, y, radius, size=32, variant="plain"):
    """Draw one anti-aliased shape a picture.

    Args:
        kind, colour: (N,) int64, indices of KINDS and of COLOURS.
        x, y, radius: (N,) float, in [-1, 1] coordinates with y down.
        size: side in pixels. variant: one of VARIANTS.
    Returns:
        (N, 3, size, size) float32 in [-1, 1].
    """
    axis = (2 * torch.arange(size) + 1) / size - 1
    column = lambda v: v[:, None, None]
    dx, dy = axis[None, None, :] - column(x), axis[None, :, None] - column(y)
    distance = _distance(column(kind), dx, dy, column(radius)) * size / 2  # in pixels
    if variant == "outline":
        distance = distance.abs() - max(0.6, size / 48)
    cover = (0.5 - distance).clamp(0, 1)[:, None]
    paint = torch.tensor(list(COLOURS.values()))[colour][:, :, None, None]
    if variant == "outline":
        paint = torch.ones_like(paint)
    if variant == "night":
        paint = paint * MOONLIGHT
    if variant == "striped":
        stripes = (0.5 + 3 * torch.sin((dx + dy) * 16)).clamp(0, 1)[:, None]
        paint = paint * (0.35 + 0.65 * stripes)
    ground = torch.tensor(GROUND[variant])[None, :, None, None]
    return (ground + (paint - ground) * cover) * 2 - 1


PLACES = tuple(f"{a} {b}".strip() or "centre" for a in ("upper", "", "lower") for b in ("left", "", "right"))
WORDS = tuple(sorted({"a", *KINDS, *COLOURS, *" ".join(PLACES).split()}))  # all that captions are made of


def place(x, y):
    """Which of the nine PLACES a centre lies in, in [-1, 1] coordinates with y down: two tensors (N,) -> (N,) int64."""
    third = lambda v: 1 + (v > 0.15).long() - (v < -0.15).long()
    return 3 * third(y) + third(x)


def caption(kind, colour, place):
    """'a red disc, upper left', from indices of KINDS, COLOURS and PLACES."""
    return f"a {tuple(COLOURS)[colour]} {KINDS[kind]}, {PLACES[place]}"


def read_caption(text):
    """The indices (kind, colour, place) that a caption names; the inverse of `caption`.

    Raises ValueError for a text that is no caption of this form.
    """
    for kind, colour, at in itertools.product(range(len(KINDS)), range(len(COLOURS)), range(len(PLACES))):
        if caption(kind, colour, at) == text:
            return kind, colour, at
    raise ValueError(
        f"{text!r} is not the caption of a shape. Accepted: 'a COLOUR KIND, PLACE' with {', '.join(COLOURS)}; {', '.join(KINDS)}; "
        f"{', '.join(PLACES)}."
    )


def load(size=32, n=6_000, seed=0, variant="plain"):
    """n random shapes. The same seed gives the same scenes in every variant, so that variants are true pairs.

    labels: 18 classes, kind * 6 + colour. attributes: kind, colour, x, y, radius. captions: 'a red disc, upper left'.
    """
    if variant not in VARIANTS:
        raise ValueError(f"load('shapes', variant={variant!r}): accepted are {', '.join(VARIANTS)}.")
    if n < 1:
        raise ValueError(f"load('shapes', n={n}): give at least 1.")
    g = torch.Generator().manual_seed(seed)
    kind = torch.randint(len(KINDS), (n,), generator=g)
    colour = torch.randint(len(COLOURS), (n,), generator=g)
    radius = 0.20 + 0.18 * torch.rand(n, generator=g)
    room = 0.90 - 1.56 * radius  # the triangle's corner reaches 1.555 radii: it never touches the border
    x = (2 * torch.rand(n, generator=g) - 1) * room
    y = (2 * torch.rand(n, generator=g) - 1) * room
    scene = (kind, colour, x, y, radius)
    images = torch.empty(n, 3, size, size)
    for chunk in torch.arange(n).split(1_000):  # in pieces: working memory stays small
        images[chunk] = draw(*(v[chunk] for v in scene), size=size, variant=variant)
    names = [(c, k) for k in KINDS for c in COLOURS]
    labels = kind * len(COLOURS) + colour
    captions = tuple(map(caption, kind.tolist(), colour.tolist(), place(x, y).tolist()))
    return ImageSet(
        images,
        labels,
        captions,
        tuple(" ".join(c) for c in names),
        "shapes" if variant == "plain" else f"shapes-{variant}",
        "CC0 (made by this course)",
        attributes=dict(zip(("kind", "colour", "x", "y", "radius"), scene)),
    )
