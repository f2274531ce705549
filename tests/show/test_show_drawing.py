"""canvas: the mask that a browser sends is the mask that Python reads. Strokes themselves are drawn in tests/e2e."""

import json
import re

import pytest
import torch

from aigc_lessons.show import canvas, grid


def ramp(h=8, w=12, channels=1):
    return torch.linspace(-1, 1, h * w).view(1, 1, h, w).expand(1, channels, h, w)


def hole(h=8, w=12):
    mask = torch.ones(1, 1, h, w)
    mask[..., 2, 1:4] = 0
    return mask


def test_nothing_is_drawn_at_first():
    assert torch.equal(canvas(ramp(), "A ramp").mask, torch.ones(1, 1, 8, 12))
    assert torch.equal(canvas(alt="Paper", size=(5, 7)).drawing, torch.ones(1, 1, 5, 7))


@pytest.mark.parametrize("size", [(8, 12), (5, 7), (2, 2), (64, 64)])
def test_a_mask_goes_to_the_browser_and_comes_back(size):
    mask = (torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0)) > 0.4).float()
    pad = canvas(alt="Paper", size=size)
    pad.mask = mask
    assert torch.equal(pad.mask, mask) and torch.equal(pad.drawing, 2 * mask - 1)
    again = canvas(alt="Paper", size=size)
    again.surface.set_state({"drawn": pad.surface.drawn})  # what a stroke in the browser leads to
    assert torch.equal(again.mask, mask)


def test_the_first_bit_is_the_first_pixel():
    pad = canvas(alt="Paper", size=(2, 4))
    pad.surface.drawn = "YA=="  # 0110 0000
    assert pad.mask[0, 0].tolist() == [[1, 0, 0, 1], [1, 1, 1, 1]]


def test_on_change_sees_the_mask_on_a_picture_and_the_drawing_on_paper():
    seen = []
    pad = canvas(ramp(), "A ramp", on_change=lambda mask: seen.append(mask) or ramp() * mask)
    pad.mask = hole()
    assert [mask.unique().tolist() for mask in seen] == [[1], [0, 1]] and torch.equal(seen[1], hole())
    assert pad.result.value.count("<img") == 1
    paper = canvas(alt="Paper", size=(8, 12), start=hole(), on_change=lambda drawing: seen.append(drawing) or drawing)
    assert torch.equal(seen[2], 2 * hole() - 1) and paper.result.value


def test_an_error_of_on_change_is_raised_at_once_and_shown_later():
    with pytest.raises(ZeroDivisionError):
        canvas(ramp(), "A ramp", on_change=lambda mask: 1 / 0)
    pad = canvas(ramp(), "A ramp", on_change=lambda mask: grid(mask * 2 - 1, "A mask") if mask.all() else 1 / 0)
    pad.mask = hole()
    assert "on_change(mask) raised ZeroDivisionError" in pad.result.value and 'role="alert"' in pad.result.value


@pytest.mark.parametrize("mask", [torch.zeros(1, 1, 3, 3), 0.5 * torch.ones(1, 1, 8, 12), [[1]]])
def test_other_masks_are_refused(mask):
    with pytest.raises(ValueError, match=r"Accepted: a tensor \(1, 1, 8, 12\)"):
        canvas(ramp(), "A ramp", start=mask)


def test_several_pictures_and_pictures_without_words_are_refused():
    with pytest.raises(ValueError, match="images\\[:1\\]"):
        canvas(ramp().expand(2, 1, 8, 12), "Ramps")
    with pytest.raises(ValueError, match="alternative text"):
        canvas(ramp())


def test_what_is_stored_shows_the_hole_in_words_and_pictures():
    pad = canvas(ramp(channels=3), "A ramp", on_change=lambda mask: ramp() * mask, start=hole())
    stored = pad._repr_mimebundle_()
    assert stored["text/plain"] == "Canvas: A ramp"
    alts = re.findall(r'<img alt="([^"]*)"', stored["text/html"])
    assert alts == ["A ramp (hatched: the hole, 3 of 96 pixels)", "A ramp (the result)"]
    assert json.dumps(stored) and "application/vnd.jupyter.widget-view+json" in stored
