"""Sliders that redraw a picture, and that leave pictures behind wherever widgets cannot run."""

import io

import ipywidgets
import numpy as np
from PIL import Image

from .grids import CELL, PAPER, SHARP, WIDTH, as_picture, lay_out
from .picture import alert
from .texts import words


def explorer(draw, alt="", key=None, **sliders):
    """A picture with one slider for each argument of `draw`; the arrow keys move them too.

    GitHub and stored notebooks show a contact sheet instead: for each slider a row over some of its values, the
    others at their start. `draw` is called for it at once, so an error in it is raised by the cell that explores.

    Args:
        draw: called as draw(name=value, ...); returns a Picture, or images (C, H, W) or (N, C, H, W) in [-1, 1].
        alt: alternative text: what is to be seen, and what the sliders change. The values are added to it.
        key: in a lesson, the words of its text file instead; `draw` then needs no words of its own if it returns tensors.
        sliders: name=values, a list, tuple or range of at least two numbers or texts. The first is the start.
    Returns:
        an Explorer, a widget.
    Raises:
        ValueError or TypeError: no alternative text; no slider; too few values; `draw` returns anything else.

    >>> explorer(lambda degrees: rotate(cat, degrees), alt="A cat, turned", degrees=range(0, 181, 15))
    """
    texts = words("explorer", alt, key, f"A picture that changes with {', '.join(sliders)}")
    if not sliders:
        raise ValueError(
            "explorer got no slider. Give the values of each argument of draw, such as degrees=range(0, 181, 15)."
        )
    for name, values in sliders.items():
        if not isinstance(values, (list, tuple, range)) or len(values) < 2:
            raise ValueError(
                f"explorer got {name}={values!r}. Give a list, tuple or range of at least two values to choose from."
            )
    return Explorer(draw, texts, sliders)


class Explorer(ipywidgets.VBox):
    """What `explorer` returns.

    Attributes:
        sliders: the controls by name. screen: the picture, as HTML. sheet: the Picture left where widgets cannot run.
    """

    def __init__(self, draw, texts, sliders):
        (self.alt, self.caption), self._draw = texts, draw
        self.sheet = self._contact_sheet(sliders)
        self.sliders = {
            name: ipywidgets.SelectionSlider(
                options=[(_text(value), value) for value in values],
                description=name,
                style={"description_width": "initial"},
                layout={"width": "min(480px, 100%)"},
            )
            for name, values in sliders.items()
        }
        self.screen = ipywidgets.HTML()
        self._redraw()
        for slider in self.sliders.values():
            slider.observe(self._redraw, "value")
        super().__init__([*self.sliders.values(), self.screen])

    def _redraw(self, change=None):
        values = {name: slider.value for name, slider in self.sliders.items()}
        try:
            self.screen.value = self._picture(values).html
        except Exception as error:  # a widget's callback has no cell to raise in
            call = ", ".join(f"{name}={value!r}" for name, value in values.items())
            self.screen.value = alert(
                f"draw({call}) raised {type(error).__name__}: {error}\nCall it in a cell to see the line."
            )

    def _picture(self, values):
        drawn = as_picture(self._draw(**values), self.alt, "explorer: draw")
        now = ", ".join(f"{name} = {_text(value)}" for name, value in values.items())
        return drawn.described(f"{self.alt} ({now})", self.caption and f"{now}. {self.caption}")

    def _contact_sheet(self, sliders):
        start = {name: values[0] for name, values in sliders.items()}
        across = self._picture(start).size[0]
        small = across <= CELL[1]  # one enlarged picture: its moments, smaller, fill a line
        widest = min(across, CELL[1] // 2) if small else WIDTH // 2
        fit = max(2, WIDTH // (widest if small else across))  # in a line, and never only one
        columns = min(fit, max(map(len, sliders.values())))
        rows, labels, shown = [], [], []
        for name, values in sliders.items():
            spread = np.linspace(0, len(values) - 1, min(columns, len(values))).round().astype(int)
            picked = [values[i] for i in spread]
            blanks = [None] * (columns - len(picked))
            rows += [_thumbnail(self._picture({**start, name: value}), widest) for value in picked]
            rows += blanks
            labels += [f"{name} = {_text(value)}" for value in picked] + [""] * len(blanks)
            shown.append(f"{name} = {', '.join(map(_text, picked))}")
        box = np.max([image.shape for image in rows if image is not None], axis=0)
        cells = np.stack([_centred(image, box) for image in rows])
        sheet = lay_out(cells, f"{self.alt} ({'; '.join(shown)})", columns, 6 * SHARP, 1 / SHARP, labels)
        return sheet.described(sheet.alt, self.caption)

    def __repr__(self):
        return f"Explorer: {self.alt}"

    def _repr_mimebundle_(self, **kwargs):
        return {**super()._repr_mimebundle_(**kwargs), "text/plain": repr(self), "text/html": self.sheet.html}


def _text(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _thumbnail(picture, widest):
    """The picture as uint8 (H, W, 3), SHARP pixels for a CSS pixel, at most `widest` CSS pixels wide."""
    image = Image.open(io.BytesIO(picture.png)).convert("RGB")
    shrink = SHARP * min(1, widest / picture.size[0])
    size = tuple(max(1, round(side * shrink)) for side in picture.size)
    enlarged = size[0] >= image.width and picture.size[0] > image.width  # squares stay squares
    return np.asarray(image.resize(size, Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS))


def _centred(image, box):
    canvas = np.full(box, PAPER, np.uint8)
    if image is not None:
        (y, x), (h, w) = (box[:2] - image.shape[:2]) // 2, image.shape[:2]
        canvas[y : y + h, x : x + w] = image
    return canvas
