"""mask_editor: a brush moved by sliders draws a hole, and the pictures follow."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

import aigc_lessons as al
from aigc_lessons.data import draw_masks
from aigc_lessons.show import Picture, curve, mask_editor

H, W = 20, 36


def scene(channels=3, h=H, w=W):
    return torch.rand(1, channels, h, w, generator=torch.Generator().manual_seed(0)) * 2 - 1


def clean(**options):
    """An editor with no hole yet."""
    return mask_editor(scene(), "A scene", start=torch.ones(1, 1, H, W), **options)


def place(editor, row, column, brush):
    for name, value in (("brush", brush), ("row", row), ("column", column)):
        editor.sliders[name].value = value


def disc(row, column, brush):
    """The definition, pixel by pixel: pixels whose middle is closer than half a diameter."""
    return {(y, x) for y in range(H) for x in range(W) if (y - row) ** 2 + (x - column) ** 2 < (brush / 2) ** 2}


def hole(editor):
    return {tuple(pixel) for pixel in (editor.mask[0, 0] == 0).nonzero().tolist()}


def decode(html):
    return np.asarray(
        Image.open(io.BytesIO(base64.b64decode(re.search('base64,([^"]+)', html)[1]))).convert("RGB")
    ).astype(int)


def test_the_name_stays_a_function():
    assert al.show.mask_editor is al.show.mask_editor is mask_editor  # a module of that name would take its place


@pytest.mark.parametrize(("brush", "pixels"), [(1, 1), (3, 9), (5, 21), (7, 37), (9, 69)])
def test_paint_stamps_a_disc_as_wide_as_the_brush(brush, pixels):
    editor = clean()
    place(editor, 9, 15, brush)
    assert hole(editor) == set()  # moving alone draws nothing
    editor.buttons["Paint"].click()
    assert hole(editor) == disc(9, 15, brush) and len(hole(editor)) == pixels
    assert {x for _, x in hole(editor)} == set(range(15 - brush // 2, 16 + brush // 2))


def test_a_disc_at_the_border_is_cut_off():
    editor = clean()
    place(editor, 0, W - 1, 7)
    editor.buttons["Paint"].click()
    assert hole(editor) == disc(0, W - 1, 7) and 0 < len(hole(editor)) < 37


@pytest.mark.parametrize("jump", [False, True])
def test_the_pen_paints_along_its_way(jump):
    """One jump, as of a mouse, or a step at a time, as by arrow keys: the same hole."""
    editor = clean()
    place(editor, 4, 6, 5)
    editor.pen.value = True
    assert hole(editor) == set()
    want = set()
    for name, start, stop in (("column", 6, 25), ("row", 4, 15), ("column", 25, 19), ("row", 15, 12)):
        step = 1 if stop > start else -1
        for value in [stop] if jump else range(start + step, stop + step, step):
            editor.sliders[name].value = value
        passed = range(start, stop + step, step)
        fixed = {"row": editor.sliders["row"].value, "column": editor.sliders["column"].value}
        want |= set().union(*(disc(**{**fixed, name: value}, brush=5) for value in passed))
        assert hole(editor) == want
    editor.sliders["brush"].value = 9  # another diameter alone paints nothing
    assert hole(editor) == want
    editor.pen.value = False
    editor.sliders["column"].value = 33
    assert hole(editor) == want


def test_erase_makes_known_what_is_under_the_brush():
    editor = mask_editor(scene(), "A scene", start=torch.zeros(1, 1, H, W))
    place(editor, 7, 11, 5)
    editor.buttons["Erase"].click()
    assert hole(editor) == disc(*(7, 11, 99)) - disc(7, 11, 5)


def test_undo_takes_back_one_change_at_a_time():
    editor = clean()
    start = torch.zeros(1, 1, H, W)
    changes = [
        lambda: setattr(editor, "mask", start),
        editor.buttons["Clear"].click,
        editor.buttons["Paint"].click,
        lambda: setattr(editor.pen, "value", True),
        lambda: setattr(editor.sliders["row"], "value", 3),
        lambda: setattr(editor.sliders["row"], "value", 2),
        lambda: setattr(editor.sliders["brush"], "value", 7),
        editor.buttons["Erase"].click,
    ]
    seen = [editor.mask]
    for change in changes:
        change()
        if not torch.equal(editor.mask, seen[-1]):
            seen.append(editor.mask)
    assert len(seen) == 7  # pen and brush alone change no mask
    editor.buttons["Erase"].click()  # nothing left there to erase: nothing to undo
    for mask in seen[-2::-1]:
        editor.buttons["Undo"].click()
        assert torch.equal(editor.mask, mask)
    editor.buttons["Undo"].click()
    assert torch.equal(editor.mask, seen[0])
    assert editor.sliders["row"].value == 2  # the brush stays


def test_the_start_is_a_stroke_across_the_middle_and_clear_leaves_none():
    editor = mask_editor(scene(), "A scene")
    assert hole(editor) == set().union(*(disc(H // 2, x, 3) for x in range(W // 4, W - W // 4)))
    editor.buttons["Clear"].click()
    assert editor.mask.shape == (1, 1, H, W) and editor.mask.dtype == torch.float32 and editor.mask.all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.int64, torch.float16])
def test_a_mask_can_be_given(dtype):
    first, second = draw_masks("strokes", 2, (H, W), seed=0).split(1)
    editor = mask_editor(scene(), "A scene", start=first.to(dtype))
    assert torch.equal(editor.mask, first) and editor.mask.dtype == torch.float32
    given = second.to(dtype, copy=True)
    editor.mask = given
    given.zero_()
    assert torch.equal(editor.mask, second)
    editor.buttons["Undo"].click()
    assert torch.equal(editor.mask, first)


def test_what_is_done_to_a_mask_outside_stays_outside():
    def spoil(mask):
        mask.fill_(0.5)
        return scene()

    editor = clean(on_change=spoil)
    editor.buttons["Paint"].click()
    editor.mask.fill_(0.5)
    assert hole(editor) == disc(H // 2, W // 2, 3) and ((editor.mask == 0) | (editor.mask == 1)).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_screen_shows_picture_hole_and_brush(channels):
    image = torch.full((channels, H, W), -0.2)
    editor = mask_editor(image, "A flat scene", start=torch.ones(1, 1, H, W))
    place(editor, 5, 8, 3)
    before = decode(editor.screen.value)
    scale = before.shape[0] // H
    assert before.shape == (H * scale, W * scale, 3) and scale >= 2
    cell = lambda canvas, row, column: canvas[row * scale : (row + 1) * scale, column * scale : (column + 1) * scale]
    assert (cell(before, 15, 30) == 102).all() and (cell(before, 5, 8) == 102).all()  # (-0.2 + 1) / 2 * 255
    inside, outside = cell(before, 5, 7)[scale // 2], cell(before, 5, 6)[scale // 2]
    assert (inside[0] == 255).all() and (outside[-1] == 0).all()  # the outline: light within, dark around
    editor.buttons["Paint"].click()
    editor.sliders["row"].value, editor.sliders["column"].value = 15, 30
    after = decode(editor.screen.value)
    assert (abs(cell(after, 5, 8) - 102).max(-1) > 100).all()  # no hatched pixel looks like the picture
    assert len(np.unique(cell(after, 5, 8).reshape(-1, 3), axis=0)) == 2 and (cell(after, 5, 10) == 102).all()
    assert (
        'alt="A flat scene (hatched: the hole, 9 of 720 pixels, 1.2 %; brush at row 15, column 30)"'
        in editor.screen.value
    )


def test_on_change_sees_each_new_mask_once():
    seen = []
    editor = clean(on_change=lambda mask: seen.append(mask) or scene() * mask)
    assert len(seen) == 1
    editor.sliders["row"].value = 6  # the mask is the same
    editor.buttons["Erase"].click()
    editor.buttons["Undo"].click()
    editor.buttons["Clear"].click()
    assert len(seen) == 1
    before = editor.result.value
    editor.buttons["Paint"].click()
    assert len(seen) == 2 and torch.equal(seen[1], editor.mask) and seen[1].shape == (1, 1, H, W)
    assert 'alt="A scene (the result)"' in editor.result.value and editor.result.value != before
    editor.buttons["Undo"].click()
    assert len(seen) == 3 and seen[2].all() and editor.result.value == before


@pytest.mark.parametrize("answer", [scene(), scene()[0], scene().expand(3, -1, -1, -1), curve({"y": [1, 2]}, "a line")])
def test_on_change_may_return_images_or_a_picture(answer):
    editor = clean(on_change=lambda mask: answer)
    words = "a line" if isinstance(answer, Picture) else "A scene (the result)"
    assert f'alt="{words}"' in editor.result.value and "data:image/png" in editor.result.value


def test_an_error_is_shown_and_loses_nothing():
    def mend(mask):
        if mask.mean() < 0.95:
            raise ZeroDivisionError("no <such> thing")
        return scene()

    editor = clean(on_change=mend)
    place(editor, 9, 15, 9)
    editor.buttons["Paint"].click()
    assert (
        "on_change(mask) raised ZeroDivisionError: no &lt;such&gt; thing" in editor.result.value
        and "<img" not in editor.result.value
    )
    assert hole(editor) == disc(9, 15, 9) and "69 of 720" in editor.screen.value
    editor.buttons["Undo"].click()
    assert "<img" in editor.result.value and "raised" not in editor.result.value


def test_an_error_at_the_start_is_raised():
    with pytest.raises(ZeroDivisionError):
        clean(on_change=lambda mask: 1 / 0)


def test_what_it_leaves_behind():
    editor = mask_editor(scene(), 'A "grey" scene', on_change=lambda mask: scene() * mask)
    bundle = editor._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == repr(editor) == 'MaskEditor: A "grey" scene'
    assert re.findall('alt="(.*?)"', bundle["text/html"]) == [
        "A &quot;grey&quot; scene (hatched: the hole, 60 of 720 pixels, 8.3 %)",
        "A &quot;grey&quot; scene (the result)",
    ]
    assert bundle["text/html"].count("<figure") == 2 and len(bundle["text/html"]) < 100_000
    editor.buttons["Clear"].click()
    assert "the hole, 0 of 720 pixels, 0.0 %" in editor._repr_mimebundle_()["text/html"]
    assert clean()._repr_mimebundle_()["text/html"].count("<figure") == 1


def test_every_control_has_its_name_and_is_on_the_page():
    editor = clean()
    shown = []

    def walk(widget):
        shown.append(widget)
        for child in getattr(widget, "children", ()):
            walk(child)

    walk(editor)
    controls = [*editor.sliders.values(), editor.pen, *editor.buttons.values()]
    assert all(widget in shown for widget in [*controls, editor.screen, editor.result])
    assert (
        [slider.description for slider in editor.sliders.values()] == list(editor.sliders) == ["row", "column", "brush"]
    )
    assert (
        [button.description for button in editor.buttons.values()]
        == list(editor.buttons)
        == ["Paint", "Erase", "Undo", "Clear"]
    )
    reach = {name: (slider.min, slider.max) for name, slider in editor.sliders.items()}
    assert reach == {"row": (0, H - 1), "column": (0, W - 1), "brush": (1, 11)} and editor.sliders["brush"].step == 2


@pytest.mark.parametrize("size", [(2, 2), (2, 5), (7, 3), (400, 350)])
def test_odd_sizes(size):
    editor = mask_editor(scene(1, *size), "A scene", on_change=lambda mask: scene(1, *size))
    editor.pen.value = True
    for slider in editor.sliders.values():
        slider.value = slider.max
        slider.value = slider.min
        assert slider.min < slider.max  # a slider with one value cannot be drawn
    assert editor.mask.shape[2:] == size and "<img" in editor.screen.value


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: mask_editor(scene()), ValueError, "alternative text"),
        (lambda: mask_editor(scene().expand(2, -1, -1, -1), "x"), ValueError, r"shape \(2, 3, 20, 36\).*images\[:1\]"),
        (lambda: mask_editor(scene(1, 1, 9), "x"), ValueError, "at least 2 x 2"),
        (lambda: mask_editor(scene(2), "x"), ValueError, "2 channels"),
        (lambda: mask_editor(scene() * 3, "x"), ValueError, r"Accepted: \[-1, 1\]"),
        (lambda: mask_editor(scene().numpy(), "x"), TypeError, "ndarray"),
        (lambda: clean(on_change=lambda mask: None), TypeError, "returned NoneType"),
        (lambda: clean(on_change=lambda mask: mask[0, 0]), TypeError, r"returned Tensor \(20, 36\)"),
        (
            lambda: mask_editor(scene(), "x", start=torch.ones(1, 3, H, W)),
            ValueError,
            r"shape \(1, 3, 20, 36\). Accepted: a tensor \(1, 1, 20, 36\)",
        ),
        (lambda: mask_editor(scene(), "x", start=np.ones((1, 1, H, W))), ValueError, "Accepted: a tensor"),
        (lambda: mask_editor(scene(), "x", start="box"), ValueError, "shape str"),
        (lambda: mask_editor(scene(), "x", start=torch.full((1, 1, H, W), 0.5)), ValueError, "other than 0 and 1"),
        (
            lambda: mask_editor(scene(), "x", start=torch.full((1, 1, H, W), float("nan"))),
            ValueError,
            "other than 0 and 1",
        ),
    ],
)
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("mask", [torch.ones(1, 1, W, H), torch.ones(H, W), torch.full((1, 1, H, W), -1.0), None])
def test_a_refused_mask_changes_nothing(mask):
    editor = mask_editor(scene(), "A scene")
    before, screen = editor.mask, editor.screen.value
    with pytest.raises(ValueError, match="mask_editor got a mask"):
        editor.mask = mask
    assert torch.equal(editor.mask, before) and editor.screen.value == screen
