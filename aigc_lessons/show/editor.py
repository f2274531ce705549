"""Draw the hole to fill: sliders move a brush over the picture, so the keyboard is enough."""

from collections import deque

import ipywidgets
import numpy as np
import torch
from scipy.ndimage import maximum_filter, minimum_filter

from .grids import SHARP, WIDTH, _check_drawable, as_picture, to_pixels
from .picture import Picture, alert
from .texts import words

HATCH = np.array([(213, 94, 0), (255, 255, 255)], np.uint8)  # of two colours, one differs from whatever lies beside it


def mask_editor(image, alt="", on_change=None, start=None, key=None):
    """A picture with a brush that draws the hole to fill, by keyboard or mouse.

    Arrow keys move the sliders row, column and brush (its diameter in pixels). While the pen is down, moving paints.
    Paint and Erase stamp the brush once, Undo takes the last change back, Clear makes everything known.
    GitHub and stored notebooks show the picture with its hole, and what on_change returned for it.

    Args:
        image: (C, H, W) or (1, C, H, W) in [-1, 1], at least 2 x 2 pixels; C is 1 (grey) or 3 (colour).
        alt: alternative text: what is to be seen, and what on_change does. The size of the hole is added to it.
        key: in a lesson, the words of its text file instead.
        on_change: called as on_change(mask), at once and after each change; returns a Picture, or images (C, H, W) or
            (N, C, H, W) in [-1, 1]. If it raises at once, so does this cell; later the editor shows the error.
        start: the mask to begin with, (1, 1, H, W) of 0 and 1. None: a stroke across the middle.
    Returns:
        a MaskEditor, a widget.
    Raises:
        ValueError or TypeError: no alternative text; an image or a mask of another kind; `on_change` returns anything else.

    >>> editor = mask_editor(cat, alt="A cat, its hole filled by the U-Net", on_change=lambda mask: model.restore(cat, mask))
    """
    texts = words("mask_editor", alt, key, "A picture with a hole to draw")
    image = one_picture(image, "mask_editor")
    return MaskEditor(image, texts, on_change, start)


def one_picture(image, who):
    """(1, C, H, W) of (C, H, W) or (1, C, H, W). Raises for anything else."""
    image = image[None] if isinstance(image, torch.Tensor) and image.ndim == 3 else image
    _check_drawable(image, who)
    if len(image) != 1 or min(image.shape[-2:]) < 2:
        raise ValueError(
            f"{who} got images of shape {tuple(image.shape)}. Accepted: one, (C, H, W) or (1, C, H, W), "
            "of at least 2 x 2 pixels. For the first of a batch: images[:1]."
        )
    return image


class MaskEditor(ipywidgets.VBox):
    """What `mask_editor` returns.

    Attributes:
        mask: (1, 1, H, W) float32 on the CPU, 1 where pixels are known, 0 in the hole; a copy. To set it is a change that Undo
            takes back; raises ValueError for another shape or other values.
        sliders, buttons: the controls by name. pen: the checkbox. screen, result: the hole and what on_change returned, as HTML.
    """

    def __init__(self, image, texts, on_change, start):
        h, w = image.shape[-2:]
        side, middle, known = min(h, w), (h // 2, w // 2), torch.ones(1, 1, h, w)
        self.alt, self.caption = texts
        self._on_change, self._mask, self._place, self._past = on_change, known, middle, deque(maxlen=200)
        self._scale = _zoom(image) * SHARP
        self._pixels = enlarge(to_pixels(image.expand(-1, 3, -1, -1))[0], self._scale)
        ranges = {
            "row": (middle[0], 0, h - 1),
            "column": (middle[1], 0, w - 1),
            "brush": (side // 8 | 1, 1, max(3, side // 2 | 1), 2),
        }  # odd: as far to one side as to the other
        self.sliders = {
            name: ipywidgets.IntSlider(*numbers, description=name, layout={"width": "min(480px, 100%)"})
            for name, numbers in ranges.items()
        }
        self.pen = ipywidgets.Checkbox(description="pen down (moving paints)", indent=False)
        edits = {
            "Paint": lambda: self._mask.masked_fill(self._under_brush(), 0),
            "Erase": lambda: self._mask.masked_fill(self._under_brush(), 1),
            "Undo": lambda: self._past.pop() if self._past else self._mask,
            "Clear": lambda: known,
        }
        self.buttons = {name: ipywidgets.Button(description=name, layout={"width": "80px"}) for name in edits}
        self.screen, self.result = ipywidgets.HTML(), ipywidgets.HTML()

        stroke = self._under_brush((middle[0], w // 4), (middle[0], w - 1 - w // 4))
        self._mask = known.masked_fill(stroke, 0) if start is None else self._checked(start)
        self._show(self._mask)
        if on_change is not None:
            self.result.value = self._answer()
        for slider in self.sliders.values():
            slider.observe(self._move, "value")
        for name, button in self.buttons.items():
            button.on_click(lambda _, name=name: self._show(edits[name](), undoable=name != "Undo"))
        wrap = {"flex_flow": "row wrap"}
        super().__init__(
            [
                *self.sliders.values(),
                self.pen,
                ipywidgets.Box([*self.buttons.values()], layout=wrap),
                ipywidgets.Box([self.screen, self.result], layout=wrap),
            ]
        )

    @property
    def mask(self):
        return self._mask.clone()

    @mask.setter
    def mask(self, mask):
        self._show(self._checked(mask))

    def _checked(self, mask):
        shape, given = tuple(self._mask.shape), tuple(getattr(mask, "shape", ())) or type(mask).__name__
        if not isinstance(mask, torch.Tensor) or given != shape:
            raise ValueError(
                f"mask_editor got a mask of shape {given}. Accepted: a tensor {shape}, 1 where pixels are known. "
                f"To make one: al.data.draw_masks('strokes', 1, {shape[2:]})."
            )
        if not ((mask == 0) | (mask == 1)).all():
            raise ValueError(
                "mask_editor got a mask with values other than 0 and 1. Accepted: 1 where pixels are known, 0 in the "
                "hole. For a mask of grey levels: (mask > 0.5).float()."
            )
        return mask.detach().to("cpu", torch.float32, copy=True)

    def _under_brush(self, *places):
        """(1, 1, H, W) bool: pixels under the brush where it is, or on its way between two places of one row or column."""
        rows, columns = zip(*places or [self._place])
        y, x = torch.arange(self._mask.shape[2])[:, None], torch.arange(self._mask.shape[3])
        squared = (y - y.clamp(min(rows), max(rows))) ** 2 + (x - x.clamp(min(columns), max(columns))) ** 2
        return (4 * squared < self.sliders["brush"].value ** 2)[None, None]

    def _move(self, change):
        before, self._place = self._place, (self.sliders["row"].value, self.sliders["column"].value)
        paints = self.pen.value and self._place != before  # another diameter alone paints nothing
        self._show(self._mask.masked_fill(self._under_brush(before, self._place), 0) if paints else self._mask)

    def _show(self, mask, undoable=True):
        """Make `mask` the present one; ask on_change about it if it is another."""
        before, self._mask = self._mask, mask
        self.screen.value = narrow(self._drawn(brush=True))
        if torch.equal(mask, before):
            return
        if undoable:
            self._past.append(before)
        if self._on_change is not None:
            try:
                self.result.value = self._answer()
            except Exception as error:  # a widget's callback has no cell to raise in
                self.result.value = alert(
                    f"on_change(mask) raised {type(error).__name__}: {error}\n"
                    "Call it in a cell with this editor's mask to see the line."
                )

    def _answer(self):
        answer = self._on_change(self.mask)
        one = isinstance(answer, torch.Tensor) and (answer.ndim == 3 or len(answer) == 1)
        return narrow(
            as_picture(
                answer, f"{self.alt} (the result)", "mask_editor: on_change", zoom=_zoom(answer) if one else None
            )
        )

    def _drawn(self, brush=False):
        """The Picture with its hole hatched, and the brush's outline if asked for."""
        hole = self._mask[0, 0].numpy() == 0
        hole_words = f"hatched: the hole, {hole.sum()} of {hole.size} pixels, {100 * hole.mean():.1f} %"
        y, x = np.indices(self._pixels.shape[:2])
        canvas = np.where(enlarge(hole, self._scale)[..., None], HATCH[(x + y) // (4 * SHARP) % 2], self._pixels)
        if brush:
            hole_words += f"; brush at row {self._place[0]}, column {self._place[1]}"
            under = enlarge(self._under_brush()[0, 0].numpy(), self._scale)
            canvas[maximum_filter(under, 7) & ~under] = 0  # dark around, light within: seen on any picture
            canvas[under & ~minimum_filter(under, 7)] = 255
        return Picture(canvas, f"{self.alt} ({hole_words})", 1 / SHARP, self.caption)

    def __repr__(self):
        return f"MaskEditor: {self.alt}"

    def _repr_mimebundle_(self, **kwargs):
        pictures = f'<div style="display:flex;flex-wrap:wrap;gap:6px">{narrow(self._drawn())}{self.result.value}</div>'
        return {**super()._repr_mimebundle_(**kwargs), "text/plain": repr(self), "text/html": pictures}


def enlarge(pixels, scale):
    """Each pixel of (H, W, ...) as a square of `scale` pixels."""
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def _zoom(images):
    """CSS pixels for each pixel, so that two images fill a line."""
    return max(1, WIDTH // 2 // max(images.shape[-2:]))


def narrow(picture):
    """Its figure, no wider than the image: a long caption would push the other figure to the next line."""
    return f'<div style="width:{picture.size[0]}px;max-width:100%">{picture.html}</div>'
