"""A canvas on which a mouse, a pen or a finger draws: a hole in a picture, or a drawing on white paper."""

import base64
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import torch
import traitlets

from .editor import HATCH, enlarge, narrow, one_picture
from .grids import SHARP, WIDTH, as_picture, to_pixels
from .picture import Picture, alert
from .texts import words


def canvas(image=None, alt="", on_change=None, size=(32, 32), start=None, key=None):
    """Draw on a picture, or on white paper, by mouse, pen or finger; or by arrow keys, Space and Shift.

    Undo takes the last stroke back, Clear everything; the brush has a size, and can erase. GitHub and stored notebooks show the
    picture as it was stored, and what on_change returned for it. `mask_editor` does the same with sliders alone.

    Args:
        image: (C, H, W) or (1, C, H, W) in [-1, 1], on which a hole is drawn. None: white paper of `size` (H, W), black ink.
        alt: alternative text: what is to be seen, and what on_change does. key: in a lesson, the words of its text file instead.
        on_change: called at once and after each stroke, with the mask on a picture, with the drawing on paper; returns a
            Picture, or images (C, H, W) or (N, C, H, W) in [-1, 1]. If it raises at once, so does this cell.
        start: what to begin with, (1, 1, H, W): a mask of 0 and 1, 0 where the hole is, or where there is ink. None: nothing.
    Returns:
        a Canvas, a widget.
    Raises:
        ValueError or TypeError: no alternative text; an image or a start of another kind; on_change returns anything else.

    >>> pad = canvas(cat, alt="A cat", on_change=lambda mask: model.restore(cat, mask))
    >>> pad.mask                                         # (1, 1, H, W), once something was drawn
    """
    texts = words("canvas", alt, key, "A picture to draw on")
    paper = image is None
    if paper:
        image = torch.ones(1, 1, *size)
    return Canvas(one_picture(image, "canvas"), texts, on_change, start, paper)


class Surface(anywidget.AnyWidget):
    """The part that draws; canvas.js."""

    _esm = Path(__file__).with_name("canvas.js")
    picture, alt, drawn = (traitlets.Unicode().tag(sync=True) for _ in range(3))
    size = traitlets.List().tag(sync=True)
    zoom, brush, largest = (traitlets.Int().tag(sync=True) for _ in range(3))
    hole = traitlets.Bool().tag(sync=True)


class Canvas(ipywidgets.VBox):
    """What `canvas` returns.

    Attributes:
        mask: (1, 1, H, W) float32 on the CPU, 0 where something is drawn, 1 elsewhere; a copy. It can be set.
        drawing: the same as a picture in [-1, 1]: black ink on white.
        surface, result: the part that draws, and what on_change returned, as HTML.
    """

    def __init__(self, image, texts, on_change, start, paper):
        (self.alt, self.caption), self._on_change, self._paper = texts, on_change, paper
        h, w = self._shape = tuple(image.shape[-2:])
        side, zoom = min(h, w), max(1, WIDTH // 2 // max(h, w))
        self._pixels = to_pixels(image.expand(-1, 3, -1, -1))[0]
        self.surface = Surface(
            picture="data:image/png;base64," + base64.b64encode(Picture(self._pixels, self.alt).png).decode(),
            alt=self.alt,
            drawn=_packed(torch.ones(1, 1, h, w) if start is None else self._checked(start)),
            size=[h, w],
            zoom=zoom,
            brush=max(1, side // 24) if paper else max(3, side // 8),
            largest=max(3, side // 2),
            hole=not paper,
        )
        self.result = ipywidgets.HTML()
        if on_change is not None:
            self.result.value = self._answer()
        self.surface.observe(self._changed, "drawn")
        super().__init__([self.surface, self.result])

    @property
    def mask(self):
        h, w = self._shape
        bits = np.unpackbits(np.frombuffer(base64.b64decode(self.surface.drawn), np.uint8), count=h * w)
        return 1 - torch.from_numpy(bits).view(1, 1, h, w).float()

    @mask.setter
    def mask(self, mask):
        self.surface.drawn = _packed(self._checked(mask))

    @property
    def drawing(self):
        return 2 * self.mask - 1

    def _checked(self, mask):
        shape, given = (1, 1, *self._shape), tuple(getattr(mask, "shape", ())) or type(mask).__name__
        if not isinstance(mask, torch.Tensor) or given != shape or not ((mask == 0) | (mask == 1)).all():
            raise ValueError(
                f"canvas got a mask of shape {given}. Accepted: a tensor {shape} of 0, where something is drawn, and 1. "
                "For a picture in grey levels: (image > 0).float()."
            )
        return mask

    def _changed(self, change):
        if self._on_change is None:
            return
        try:
            self.result.value = self._answer()
        except Exception as error:  # a widget's callback has no cell to raise in
            name = "drawing" if self._paper else "mask"
            self.result.value = alert(
                f"on_change({name}) raised {type(error).__name__}: {error}\n"
                f"Call it in a cell with this canvas's .{name} to see the line."
            )

    def _answer(self):
        answer = self._on_change(self.drawing if self._paper else self.mask)
        one = isinstance(answer, torch.Tensor) and (answer.ndim == 3 or len(answer) == 1)
        zoom = max(1, WIDTH // 2 // max(answer.shape[-2:])) if one else None
        return narrow(as_picture(answer, f"{self.alt} (the result)", "canvas: on_change", zoom))

    def _drawn(self):
        """The Picture as it is stored: a hole is hatched, ink is black."""
        drawn = self.mask[0, 0].numpy() == 0
        what = "ink" if self._paper else "hatched: the hole"
        scale = self.surface.zoom * SHARP
        y, x = np.indices(enlarge(drawn, scale).shape)
        filling = np.zeros(3, np.uint8) if self._paper else HATCH[(x + y) // (4 * SHARP) % 2]
        pixels = np.where(enlarge(drawn, scale)[..., None], filling, enlarge(self._pixels, scale))
        return Picture(pixels, f"{self.alt} ({what}, {drawn.sum()} of {drawn.size} pixels)", 1 / SHARP, self.caption)

    def __repr__(self):
        return f"Canvas: {self.alt}"

    def _repr_mimebundle_(self, **kwargs):
        pictures = f'<div style="display:flex;flex-wrap:wrap;gap:6px">{narrow(self._drawn())}{self.result.value}</div>'
        return {**super()._repr_mimebundle_(**kwargs), "text/plain": repr(self), "text/html": pictures}


def _packed(mask):
    """A bit a pixel, 1 where something is drawn, in base64."""
    return base64.b64encode(np.packbits(mask.detach().cpu().numpy().reshape(-1) == 0)).decode()
