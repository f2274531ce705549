"""Walks through the course in a real browser, under the smoke profile."""

import re
import time

import nbformat
import pytest

from aigc_lessons.authors.notebooks import METADATA
from aigc_lessons.settings import COURSE

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


@pytest.fixture
def run_cells(run_notebook, tmp_path, monkeypatch):
    """run_cells(source, ..., texts="") -> the code cells of a notebook of the test's own, whose words are `texts`."""

    def run(*sources, texts=""):
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=METADATA), tmp_path / "trial.ipynb")
        monkeypatch.setitem(run_notebook.__globals__, "ROOT", tmp_path)
        (run_notebook.folder / "texts").mkdir(exist_ok=True)
        (run_notebook.folder / "texts" / "99_trial.toml").write_text(texts)
        return run_notebook("trial.ipynb")

    return run


def test_a_dragged_stroke_changes_the_mask(run_cells):
    source = """
import torch, aigc_lessons as al
image = torch.linspace(-1, 1, 24 * 40).view(1, 1, 24, 40)
al.show.canvas(image, "A ramp", on_change=lambda mask: al.show.grid(image * mask, f"{int((1 - mask).sum())} pixels: " + ",".join(
    map(str, (mask[0, 0] == 0).nonzero().flatten().tolist()[:6]))))"""
    cell = run_cells(source).first
    surface, mouse, press = cell.locator("canvas"), cell.page.mouse, cell.page.keyboard.press
    surface.wait_for(timeout=30_000)
    cell.get_by_role("slider").fill("1")

    def shows(words):
        cell.locator(f'img[alt^="{words}"]').wait_for(timeout=30_000)

    def drag(start, end):
        surface.scroll_into_view_if_needed()
        box = surface.bounding_box()
        at = lambda y, x: (box["x"] + box["width"] * (x + 0.5) / 40, box["y"] + box["height"] * (y + 0.5) / 24)
        mouse.move(*at(*start))
        mouse.down()
        mouse.move(*at(*end), steps=5)
        mouse.up()

    shows("0 pixels")
    drag((3, 5), (3, 14))  # a brush of one pixel: ten in a row
    shows("10 pixels: 3,5,3,6,3,7")
    drag((20, 2), (10, 2))
    shows("21 pixels")
    cell.get_by_text("Undo").click()
    shows("10 pixels")
    cell.get_by_label("erase").check()
    drag((0, 6), (8, 6))
    shows("9 pixels: 3,5,3,7")
    cell.get_by_label("erase").uncheck()
    cell.get_by_text("Clear").click()
    shows("0 pixels")
    surface.focus()  # the same by keys: the cursor begins in the middle
    press("Space")
    shows("1 pixels: 12,20")
    press("ArrowUp")
    press("Shift+ArrowUp")
    shows("3 pixels: 10,20,11,20,12,20")


TEXTS = """
[questions.choice]
text = "Is $1 + 1$ `2`?"
options = { no = "It is not", yes = "It is" }
answer = "yes"
hints = { no = "Count your thumbs." }
reason = "Two thumbs make two."
[questions.number]
text = "How much is a half?"
number = 0.5
tolerance = 0.01
reason = "One by two."
"""
ASKING = ("import aigc_lessons as al\nal.lesson(99)", 'al.show.ask("choice")', 'al.show.ask("number")')


def test_drawing_on_lesson_43_s_canvas_changes_the_colours(run_cells):
    """By mouse and by keys; an empty page is answered by a sentence, and the next stroke by a picture again."""
    lesson = nbformat.read(COURSE / "notebooks" / "43_pix2pix.ipynb", 4).cells
    wanted = ("imports", "networks", "colour", "canvas")
    sources = [cell.source for name in wanted for cell in lesson if cell.id == name]
    assert len(sources) == len(wanted)
    cell = run_cells("import aigc_lessons as al", *sources).last
    surface, mouse, press = cell.locator("canvas"), cell.page.mouse, cell.page.keyboard.press
    result = cell.locator(".jp-OutputArea-output img").last
    result.wait_for(timeout=30_000)
    seen = [result.get_attribute("src")]

    def changes():
        """The result is another picture than any before."""
        deadline = time.monotonic() + 30
        while result.count() == 0 or result.get_attribute("src") in seen:
            assert time.monotonic() < deadline, "something was drawn and no colour changed"
            cell.page.wait_for_timeout(100)
        seen.append(result.get_attribute("src"))

    surface.scroll_into_view_if_needed()
    box = surface.bounding_box()
    mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.5 * box["height"])
    mouse.down()
    mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.55 * box["height"], steps=5)
    mouse.up()
    changes()
    surface.focus()  # from here on nothing but keys
    for key in ("ArrowUp", "Space", "Shift+ArrowUp"):
        press(key)
    changes()
    clear = cell.get_by_role("button", name="Clear", exact=True)
    clear.focus()
    press("Space")
    cell.get_by_role("alert").filter(has_text="an empty drawing").wait_for(timeout=30_000)
    surface.focus()
    press("Space")
    changes()


def test_a_question_is_answered_by_mouse(run_cells):
    cells = run_cells(*ASKING, texts=TEXTS)
    choice, number = cells.nth(1), cells.nth(2)

    def says(cell, words):
        cell.get_by_role("alert").filter(has_text=words).wait_for(timeout=30_000)

    assert "humb" not in choice.inner_text()
    choice.get_by_role("button", name="A", exact=True).click()
    says(choice, "A: Not this one. Count your thumbs.")
    choice.get_by_role("button", name="Show the answer").click()
    says(choice, "B: It is. Two thumbs make two.")
    choice.get_by_role("button", name="B", exact=True).click()
    says(choice, "B: Right. Two thumbs make two.")
    number.get_by_role("button", name="Check", exact=True).click()
    says(number, "Write a number first.")
    number.get_by_placeholder("a number").fill("0.505")
    number.get_by_role("button", name="Check", exact=True).click()
    says(number, "Right. One by two.")


def test_a_question_is_answered_by_keyboard_alone(run_cells):
    cells = run_cells(*ASKING, texts=TEXTS)
    choice, number, press = cells.nth(1), cells.nth(2), cells.page.keyboard.press
    choice.get_by_role("button", name="A", exact=True).focus()  # from here on nothing but keys
    press("Tab")
    press("Space")
    choice.get_by_role("alert").filter(has_text="B: Right. Two thumbs").wait_for(timeout=30_000)
    number.get_by_placeholder("a number").focus()
    for typed, says in (("0.6", "Too large."), ("a half", "not a number"), ("0,5", "Right. One by two.")):
        press("Control+A")
        cells.page.keyboard.type(typed)
        press("Enter")
        number.get_by_role("alert").filter(has_text=says).wait_for(timeout=30_000)


def test_a_notebook_that_is_opened_shows_questions_and_no_answers(run_notebook):
    """As it comes from the repository, before anything is run: the output of a cell tagged `answer` is collapsed."""
    cells = run_notebook("notebooks/00_start_here.ipynb", run=False)
    asking = cells.filter(has_text="al.show.ask")
    assert asking.count() == 2
    for cell in asking.all():
        output = cell.locator(".jp-OutputArea-output").last
        output.get_by_text("Question.").wait_for(timeout=30_000)
        reason = output.locator("details p")
        assert output.locator("details summary").is_visible() and not reason.is_visible()
    answering = cells.filter(has_text="al.show.before_after").filter(has=cells.page.locator(".jp-Placeholder"))
    assert answering.count() == 2 and answering.locator("img:visible").count() == 0
    output = asking.first.locator(".jp-OutputArea-output").last
    output.locator("summary").click()
    assert output.locator("details p").is_visible()
    first = cells.filter(has_text="nearest = torch")
    first.locator(".jp-Placeholder").click()
    first.locator("img").first.wait_for(timeout=10_000)


def test_a_stored_diagram_is_seen_before_anything_is_trusted(run_notebook, tmp_path, monkeypatch):
    import torch

    from aigc_lessons.show import diagram

    drawn = diagram(torch.nn.Linear(3, 2), alt="A layer from three numbers to two")
    output = nbformat.v4.new_output("execute_result", drawn._repr_mimebundle_(), execution_count=1)
    cell = nbformat.v4.new_code_cell("drawn", outputs=[output], execution_count=1)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=METADATA), tmp_path / "diagram.ipynb")
    monkeypatch.setitem(run_notebook.__globals__, "ROOT", tmp_path)
    image = run_notebook("diagram.ipynb", run=False).first.get_by_alt_text("A layer from three numbers to two")
    image.wait_for(timeout=30_000)
    assert image.evaluate("image => [image.complete, image.naturalWidth]") == [True, drawn.size[0]]
