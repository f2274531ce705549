"""Four walks through the course in a real browser, under the smoke profile."""

import re
import time

import nbformat
import pytest

from aigc_lessons.authors.notebooks import METADATA

pytestmark = pytest.mark.e2e

# [source, width, height, spread of brightness] of every picture
PICTURES = """images => images.map(image => {
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    if (!canvas.width) return [image.src, 0, 0, 0];
    const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let n = pixels.length / 4, sum = 0, squares = 0;
    for (let i = 0; i < pixels.length; i += 4) {
        const v = (pixels[i] + pixels[i + 1] + pixels[i + 2]) / 3; sum += v; squares += v * v; }
    return [image.src, canvas.width, canvas.height, Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2))]; })"""


def test_the_first_lesson_runs(run_notebook):
    cells = run_notebook("notebooks/00_start_here.ipynb")
    pictures = cells.locator(".jp-OutputArea-output img").evaluate_all(PICTURES)
    assert pictures and all(width > 0 and height > 0 for _, width, height, _ in pictures)


def test_moving_a_slider_changes_the_picture(run_notebook):
    cells = run_notebook("notebooks/12_convolution.ipynb")
    find = cells.page.locator
    cell = cells.filter(has=find(".noUi-handle")).filter(has=find(".jp-OutputArea-output img")).last
    handle, images = cell.locator(".noUi-handle").first, cell.locator(".jp-OutputArea-output img")
    images.first.wait_for()
    before = images.evaluate_all(PICTURES)
    at_the_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
    handle.focus()
    cells.page.keyboard.press("ArrowLeft" if at_the_end else "ArrowRight")
    deadline = time.monotonic() + 30
    after = before
    while [p[0] for p in after] == [p[0] for p in before] or not all(p[1] for p in after):
        assert time.monotonic() < deadline, "the slider moved and no picture changed"
        cells.page.wait_for_timeout(100)
        after = images.evaluate_all(PICTURES)
    changed = [new for new, old in zip(after, before, strict=True) if new[0] != old[0]]
    for _, width, height, spread in changed:
        assert width >= 16 and height >= 16 and spread > 5, "a flat rectangle is no picture"


def test_untouched_exercises_are_not_attempted(run_notebook):
    cells = run_notebook("exercises/12_convolution.ipynb")
    checks = cells.filter(has_text=re.compile(r"\bcheck\("))
    assert checks.count() > 0
    for output in checks.locator(".jp-OutputArea").all():
        assert "not attempted" in output.inner_text()


def test_a_hole_is_drawn_by_keyboard_alone(run_notebook, tmp_path, monkeypatch):
    source = """
import torch, aigc_lessons as al
image = torch.linspace(-1, 1, 24 * 40).view(1, 1, 24, 40)
al.show.mask_editor(image, "A ramp", on_change=lambda mask: image * mask, start=torch.ones(1, 1, 24, 40))"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)], metadata=METADATA)
    nbformat.write(notebook, tmp_path / "editor.ipynb")
    monkeypatch.setitem(run_notebook.__globals__, "ROOT", tmp_path)  # a notebook of this test's own
    cell = run_notebook("editor.ipynb").first
    images, press = cell.locator(".jp-OutputArea-output img"), cell.page.keyboard.press

    def shows(words):
        cell.locator(f'img[alt*="{words}"]').wait_for(timeout=30_000)

    def reach(control, key="Tab"):
        for _ in range(20):
            if control.evaluate("element => element === document.activeElement"):
                return
            press(key)
        raise AssertionError(f"{key} does not reach this control")

    row, column = cell.locator(".noUi-handle").nth(0), cell.locator(".noUi-handle").nth(1)
    button = lambda name: cell.get_by_role("button", name=name, exact=True)
    shows("0 of 960 pixels, 0.0 %; brush at row 12, column 20")
    start = images.last.get_attribute("src")
    row.focus()  # from here on nothing but keys
    for key in "ArrowUp", "ArrowUp", "ArrowDown":
        press(key)
    shows("0 of 960 pixels, 0.0 %; brush at row 13, column 20")
    reach(cell.get_by_role("checkbox"))
    press("Space")
    reach(column, "Shift+Tab")
    for moved in range(1, 5):  # a brush of 3: 9 pixels, and 3 more each move
        press("ArrowRight")
        shows(f"{9 + 3 * moved} of 960")
    assert images.last.get_attribute("src") != start
    for name, pixels in ("Undo", 18), ("Erase", 12), ("Paint", 21), ("Clear", 0):
        reach(button(name), "Shift+Tab" if name in ("Erase", "Paint") else "Tab")
        press("Space")
        shows(f"the hole, {pixels} of 960")
    cell.page.wait_for_function(
        "([image, src]) => image.src === src", arg=[images.last.element_handle(), start], timeout=30_000
    )
