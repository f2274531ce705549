"""Images side by side, drawn pixel by pixel: grids, film strips, before and after."""

import math
from functools import cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..data.image_set import check_images, warn_if_half_range
from ..data.pixels import to_bytes
from .picture import Picture
from .texts import words

WIDTH = 640  # CSS pixels that a sheet aims to fill
PAGE = 760  # CSS pixels that a sheet of pictures may fill
CELL = (80, 192)  # CSS pixels: a cell aims at the first at least, at the second at most
LEAST = 64  # CSS pixels that a cell always has
FONT = 13  # CSS pixels
SHARP = 2  # sheets with text are drawn twice as fine, for screens that can show it
INK, PAPER = 40, 255


def grid(images, alt="", columns=None, zoom=None, labels=None, key=None):
    """Images in rows, from left to right, with a thin white gap between them.

    Args:
        images: (N, C, H, W) float in [-1, 1], on any device; C is 1 (grey) or 3 (colour).
        alt: alternative text, one sentence that says what is to be seen. key: in a lesson, the words of its text file instead.
        columns: images in a row. None: at most 8 (more if there are more than 64), rows of even length.
        zoom: CSS pixels for each pixel, a whole number. None: cells of about 80 to 192, never below 64.
        labels: N short texts or numbers, one under each image; "" for none.
    Returns:
        a Picture.
    Raises:
        TypeError or ValueError: what `check_images` refuses; no images; C not 1 or 3; no alternative text;
        a number of labels that is not N; columns or zoom below 1.
    """
    shape = tuple(getattr(images, "shape", ()))
    texts = words("grid", alt, key, f"A grid of pictures, tensor of shape {shape}")
    _check_drawable(images, "grid")
    n = len(images)
    labels = _texts(labels, n, "grid", "labels")
    if columns is None:
        rows = math.ceil(n / max(8, math.ceil(n**0.5)))
        columns = math.ceil(n / rows)
    columns = min(_whole(columns, "columns"), n)
    return _sheet(to_pixels(images), texts, columns, zoom, labels)


def as_picture(drawn, alt, who, zoom=None):
    """A Picture of what a learner's function returned: a Picture, or images (C, H, W) or (N, C, H, W) in [-1, 1].

    who: the function, for the message. Raises TypeError for anything else.
    """
    if isinstance(drawn, torch.Tensor) and drawn.ndim in (3, 4):
        drawn = grid(drawn[None] if drawn.ndim == 3 else drawn, alt, zoom=zoom)
    if not isinstance(drawn, Picture):
        what = f"{type(drawn).__name__} {tuple(getattr(drawn, 'shape', ())) or ''}".strip()
        raise TypeError(
            f"{who} returned {what}. Accepted: a Picture, or a tensor (C, H, W) or (N, C, H, W) in [-1, 1]."
        )
    return drawn


def film_strip(frames, alt="", captions=None, zoom=None, key=None):
    """Moments in time, from left to right.

    Args:
        frames: list of T images (C, H, W), or of T batches (N, C, H, W) that each become a column; all of one
            shape, float in [-1, 1]. A tensor with T first will do.
        alt: alternative text. key: in a lesson, the words of its text file instead.
        captions: T short texts or numbers under the columns, such as the step.
        zoom: as in `grid`.
    Returns:
        a Picture.
    Raises:
        TypeError or ValueError: as in `grid`; frames of different shapes; a number of captions that is not T.
    """
    texts = words("film_strip", alt, key, f"A film strip of {len(frames)} moments")
    frames = [frame[None] if getattr(frame, "ndim", 0) == 3 else frame for frame in frames]
    if not frames:
        raise ValueError("film_strip got no frames. Give a list of images (C, H, W) or of batches (N, C, H, W).")
    for frame in frames:
        _check_drawable(frame, "film_strip")
    shapes = list(dict.fromkeys(tuple(frame.shape) for frame in frames))
    if len(shapes) > 1:
        raise ValueError(f"film_strip got frames of shapes {shapes[0]} and {shapes[1]}. Give frames of one shape.")
    n, steps = len(frames[0]), len(frames)
    captions = _texts(captions, steps, "film_strip", "captions")
    labels = None if captions is None else [""] * (n - 1) * steps + captions
    pixels = np.stack([to_pixels(frame) for frame in frames], axis=1)  # (N, T, H, W[, 3]): an image a row
    return _sheet(pixels.reshape(-1, *pixels.shape[2:]), texts, steps, zoom, labels)


def before_after(before, after, alt="", titles=("Before", "After"), zoom=None, key=None):
    """Pairs: a row of images, and below it what became of each. A single pair stands side by side.

    Args:
        before, after: (N, C, H, W) float in [-1, 1], of one shape, at most 16.
        alt: alternative text. key: in a lesson, the words of its text file instead.
        titles: two short texts, the names of the rows.
        zoom: as in `grid`.
    Returns:
        a Picture.
    Raises:
        TypeError or ValueError: as in `grid`; shapes that differ; more than 16 pairs; not two titles.
    """
    texts = words("before_after", alt, key, f"Pictures before and after: {tuple(map(str, titles))}")
    for images in (before, after):
        _check_drawable(images, "before_after")
    if before.shape != after.shape:
        raise ValueError(
            f"before_after got shapes {tuple(before.shape)} and {tuple(after.shape)}. "
            "Give two batches of one shape. To set grey beside colour: grey.expand(-1, 3, -1, -1); "
            "for another size: torch.nn.functional.interpolate."
        )
    if len(before) > 16:
        raise ValueError(
            f"before_after got {len(before)} pairs, too many for one row. Give at most 16: before[:8], after[:8]."
        )
    titles = _texts(titles, 2, "before_after", "titles")
    pixels = np.concatenate([to_pixels(before), to_pixels(after)])
    if len(before) == 1:
        return _sheet(pixels, texts, 2, zoom, labels=titles)
    return _sheet(pixels, texts, len(before), zoom, heads=titles)


def to_pixels(images):
    """(N, C, H, W) in [-1, 1] to uint8, (N, H, W) for one channel and (N, H, W, 3) for three. -1 is 0, 1 is 255."""
    pixels = to_bytes(images).permute(0, 2, 3, 1).numpy()
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def _sheet(pixels, texts, columns, zoom=None, labels=None, heads=None):
    """Choose the zoom, and lay uint8 cells (N, H, W[, 3]) out: native pixels, or finer where there is text."""
    h, w = pixels.shape[1:3]
    if zoom is None:
        aim = min(max(PAGE / columns, CELL[0]), CELL[1])
        zoom = max(round(aim / max(h, w)), math.ceil(LEAST / max(h, w)))
    zoom = _whole(zoom, "zoom")
    if labels is None and heads is None:
        sheet = lay_out(pixels, texts.alt, columns, max(1, min(h, w) // 24), zoom).described(*texts)
        return sheet.at_least(min(sheet.size[0], LEAST * columns))
    pixels = pixels.repeat(zoom * SHARP, axis=1).repeat(zoom * SHARP, axis=2)
    sheet = lay_out(pixels, texts.alt, columns, 6 * SHARP, 1 / SHARP, labels, heads).described(*texts)
    return sheet.at_least(min(sheet.size[0], LEAST * columns))


def lay_out(pixels, alt, columns, gap, zoom, labels=None, heads=None):
    """A Picture of uint8 cells (N, H, W[, 3]) in rows of `columns`, `gap` pixels apart.

    `labels`, N texts, go under the cells; `heads`, one a row, to the left. Text is FONT * SHARP pixels high.
    """
    n, h, w = pixels.shape[:3]
    rows = math.ceil(n / columns)
    labels, heads = labels or [""] * n, heads or [""] * rows

    # A label wider than its image widens every column, so that none is cut off.
    left = max(_room(head)[0] for head in heads)
    cell = max(w, *(_room(label)[0] for label in labels))
    below = [max(_room(label)[1] for label in labels[r * columns : (r + 1) * columns]) for r in range(rows)]
    tops = np.concatenate([[0], np.cumsum([h + b + gap for b in below])])
    corners = [(tops[i // columns], left + i % columns * (cell + gap) + (cell - w) // 2) for i in range(n)]

    size = (tops[-1] - gap, left + columns * (cell + gap) - gap)
    canvas = np.full((*size, *pixels.shape[3:]), PAPER, np.uint8)
    for image, (y, x) in zip(pixels, corners):
        canvas[y : y + h, x : x + w] = image
    if any(labels) or any(heads):
        drawing = Image.fromarray(canvas)
        for label, (y, x) in zip(labels, corners):
            _write(drawing, label, (x + w / 2, y + h + SHARP), "ma")
        for head, y in zip(heads, tops):
            _write(drawing, head, (0, y + h / 2), "lm")
        canvas = np.asarray(drawing)
    return Picture(canvas, alt, zoom)


@cache
def _font():
    """matplotlib's DejaVu Sans: at hand wherever the course is, with Greek letters and arrows."""
    import matplotlib

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", FONT * SHARP)


def _room(words):
    """(width, height) that a text takes with its margin; (0, 0) for nothing."""
    if not words:
        return 0, 0
    right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).textbbox((0, 0), words, _font())[2:]
    return math.ceil(right) + 6 * SHARP, math.ceil(bottom) + 4 * SHARP


def _write(image, words, place, anchor):
    ink = INK if image.mode == "L" else (INK,) * 3
    ImageDraw.Draw(image).text(place, words, ink, _font(), anchor, align="center")


def _check_drawable(images, who):
    check_images(images, who)
    warn_if_half_range(images, who, stacklevel=4)
    if images.numel() == 0:
        raise ValueError(
            f"{who} got images of shape {tuple(images.shape)}: there is nothing to draw. Give at least one image."
        )
    if images.shape[1] not in (1, 3):
        raise ValueError(
            f"{who} got images of {images.shape[1]} channels, shape {tuple(images.shape)}. Accepted: "
            "1 (grey) or 3 (colour). To see channels one by one: images.flatten(0, 1)[:, None]."
        )


def _texts(values, n, who, name):
    """`n` strings, or None for None."""
    if values is None:
        return None
    if isinstance(values, str) or len(values) != n:
        raise ValueError(f'{who} got {name}={values!r}. Give {n} short texts, one for each; "" for none.')
    return [str(value) for value in (values.tolist() if isinstance(values, torch.Tensor) else values)]


def _whole(value, name):
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}={value!r}: give a whole number from 1 up, or leave it out.")
    return value
