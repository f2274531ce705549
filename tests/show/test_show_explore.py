"""explorer: a slider changes the picture, and a contact sheet is left behind."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from aigc_lessons.show import curve, explorer


def shade(level):
    return torch.full((1, 8, 8), level)


def decode(picture):
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("L"))


def test_it_starts_at_the_first_value_and_a_slider_redraws():
    widget = explorer(shade, "A grey square", level=[-1.0, 0.2, 1.0])
    slider, before = widget.sliders["level"], widget.screen.value
    assert slider.value == -1.0 and 'alt="A grey square (level = -1)"' in before
    slider.value = 0.2
    assert 'alt="A grey square (level = 0.2)"' in widget.screen.value
    assert widget.screen.value.split("base64,")[1] != before.split("base64,")[1]
    slider.value = -1.0
    assert widget.screen.value == before


def test_draw_gets_every_slider_with_its_own_type():
    seen = []

    def draw(size, name, gain):
        seen.append((size, name, gain))
        return torch.zeros(1, 1, size, size)

    widget = explorer(draw, "A square", size=range(2, 9, 2), name=("a", "b"), gain=[0.5, 1])
    widget.sliders["name"].value = "b"
    widget.sliders["size"].index = 3
    assert seen[-1] == (8, "b", 0.5) and "size = 8, name = b, gain = 0.5" in widget.screen.value
    assert [type(child).__name__ for child in widget.children] == ["SelectionSlider"] * 3 + ["HTML"]
    assert [child.description for child in widget.children[:3]] == ["size", "name", "gain"]


def test_what_it_leaves_behind():
    widget = explorer(shade, 'A "grey" square', level=[-1.0, -0.6, 0.2, 0.6, 1.0])
    bundle = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == repr(widget) == 'Explorer: A "grey" square'
    assert 'alt="A &quot;grey&quot; square (level = -1, -0.6, 0.2, 0.6, 1)"' in bundle["text/html"]
    drawn = decode(widget.sheet)
    width = drawn.shape[1]
    assert drawn[50, [width // 10, width // 2, -width // 10]].tolist() == [0, 153, 255]  # first, middle, last


def test_the_sheet_has_a_row_for_each_slider_and_pads_what_is_shorter_or_smaller():
    widget = explorer(
        lambda size, level: torch.full((1, size, size), level), "A square", size=[300, 150], level=[-1.0, 0.0, 1.0]
    )
    drawn = decode(widget.sheet)
    assert "(size = 300, 150; level = -1, 1)" in widget.sheet.alt
    height, width = drawn.shape
    assert drawn[height // 4, width // 4] == 0 and drawn[height // 4, -width // 4] == 0
    assert drawn[10, -width // 4] == 255  # the smaller square is centred
    assert drawn[3 * height // 4, width // 4] == 0


def test_draw_may_return_a_picture():
    widget = explorer(lambda power: curve({"y": [1, 2**power]}, "a line"), "A power", power=[1, 2, 3])
    assert 'alt="A power (power = 1)"' in widget.screen.value and 'width="640"' in widget.screen.value
    assert "power = 1, 3" in widget.sheet.alt and len(widget.sheet.png) < 60_000 and widget.sheet.size[0] < 700


def test_an_exception_is_shown_and_the_next_value_recovers():
    def draw(n):
        if n == 3:
            raise ZeroDivisionError("no <such> thing")
        return shade(n / 100)

    widget = explorer(draw, "A square", n=range(1, 30))  # of which the sheet shows six, and not 3
    widget.sliders["n"].value = 3
    assert "draw(n=3) raised ZeroDivisionError: no &lt;such&gt; thing" in widget.screen.value
    assert "<img" not in widget.screen.value
    widget.sliders["n"].value = 4
    assert "(n = 4)" in widget.screen.value


def test_an_exception_at_the_start_is_raised():
    with pytest.raises(ZeroDivisionError):
        explorer(lambda n: 1 / 0, "A square", n=[1, 2])


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: explorer(shade, "x"), ValueError, "no slider"),
        (lambda: explorer(shade, level=[0.0, 1.0]), ValueError, "alternative text"),
        (lambda: explorer(shade, "x", level=0.5), ValueError, "level=0.5. Give a list"),
        (lambda: explorer(shade, "x", level=[0.5]), ValueError, "at least two"),
        (lambda: explorer(shade, "x", level="ab"), ValueError, "level='ab'"),
        (lambda: explorer(lambda n: None, "x", n=[1, 2]), TypeError, "returned NoneType"),
        (lambda: explorer(lambda n: torch.zeros(3), "x", n=[1, 2]), TypeError, r"returned Tensor \(3,\)"),
        (lambda: explorer(lambda n: torch.full((1, 4, 4), 9.0), "x", n=[1, 2]), ValueError, "from 9 to 9"),
    ],
)
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()
