"""Questions, and the file that their words come from."""

import subprocess
import sys

import pytest
import torch

import aigc_lessons as al
from aigc_lessons.show import texts
from aigc_lessons.show.questions import judge

WORDS = r"""
[pictures.modes]
alt = '''Four
  grey squares'''
caption = 'All `four` have $\mu < 1$, **none** is white & < black'

[questions.choice]
text = "Is $x < 1$?"
options = { no = "It is not", yes = 'It is, $\mu$' }
answer = "yes"
hints = { no = "Look again." }
reason = "Every `x` is."

[questions.number]
text = "How much?"
number = -0.5
tolerance = 0.01
reason = "Half, and down."
"""
GREY = torch.zeros(4, 1, 8, 8)


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """A folder with a notebook's words, and the kernel in it; the lesson is chosen."""
    monkeypatch.setattr(texts, "_texts", texts._texts)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "97_trial.toml").write_text(WORDS)
    (tmp_path / "texts" / "97_trial.de.toml").write_text("not [ TOML")  # a translation is not read
    al.lesson(97)
    return tmp_path


@pytest.mark.parametrize("inside", [".", "notebooks", "exercises/deeper"])
def test_words_are_found_beside_the_notebook_and_from_anywhere_in_the_course(tmp_path, inside):
    home = tmp_path / ("notebooks" if inside != "." else "") / "texts"
    home.mkdir(parents=True)
    (home / "97_trial.toml").write_text(WORDS)
    (tmp_path / inside).mkdir(parents=True, exist_ok=True)
    assert texts.find(97, tmp_path / inside) == home / "97_trial.toml"
    assert texts.find(98, tmp_path / inside) is None


def test_words_are_found_in_the_checkout_from_a_folder_outside(tmp_path):
    course = texts.COURSE / "notebooks" / "texts"
    assert texts.find(0, tmp_path) == course / "00_start_here.toml"


def test_a_key_brings_both_words(lesson):
    picture = al.show.grid(GREY, key="modes")
    assert picture.alt == "Four grey squares"
    assert '<img alt="Four grey squares"' in picture.html and 'aria-hidden="true"' not in picture.html
    assert r">All <code>four</code> have $\mu &lt; 1$, <strong>none</strong> is white &amp; &lt; black<" in picture.html


def figures():
    import matplotlib.figure

    figure = matplotlib.figure.Figure()
    figure.subplots().plot([1, 2])
    yield "grid", lambda **words: al.show.grid(GREY, **words)
    yield "film_strip", lambda **words: al.show.film_strip(list(GREY), **words)
    yield "before_after", lambda **words: al.show.before_after(GREY, GREY, **words)
    yield "curve", lambda **words: al.show.curve({"loss": [2, 1]}, **words)
    yield "bars", lambda **words: al.show.bars({"loss": 2}, **words)
    yield "heatmap", lambda **words: al.show.heatmap(GREY[0, 0], **words)
    yield "figure", lambda **words: al.show.figure(figure, **words)
    yield "explorer", lambda **words: al.show.explorer(lambda i: GREY[i], i=[0, 1], **words)
    yield "mask_editor", lambda **words: al.show.mask_editor(GREY[0], **words)
    yield "canvas", lambda **words: al.show.canvas(GREY[0], **words)
    yield "diagram", lambda **words: al.show.diagram(torch.nn.Linear(1, 1), **words)


@pytest.mark.parametrize("draw", [pytest.param(draw, id=name) for name, draw in figures()])
def test_every_picture_takes_a_key_and_without_its_words_is_drawn_all_the_same(lesson, draw):
    shown = lambda **words: draw(**words)._repr_mimebundle_()["text/html"]
    with_words = shown(key="modes")
    assert 'alt="Four grey squares' in with_words and "<strong>none</strong>" in with_words
    alone = shown(key="unknown")
    assert '<img alt=""' not in alone and "(No words for 'unknown': 97_trial.toml has no such key.)" in alone
    with pytest.raises(ValueError, match="alt= for a picture of your own"):
        draw(key="modes", alt="Mine")


def test_without_a_file_a_lesson_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "_texts", texts._texts)
    monkeypatch.chdir(tmp_path)
    al.lesson(98)
    assert (
        "(No words for 'modes': texts/98_*.toml is not beside this notebook.)" in al.show.grid(GREY, key="modes").html
    )
    question = al.show.ask("choice")
    assert "No words for 'choice'" in question._repr_mimebundle_()["text/html"] and repr(question)


def test_the_first_key_of_all_says_what_to_call(tmp_path):
    code = "import torch, aigc_lessons as al; print(al.show.grid(torch.zeros(1, 1, 4, 4), key='a').html)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "call al.lesson(number) first" in done.stdout


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("[pictures", "not readable"),
        ("[pictures.a]\ncaption = 'c'", r"\[pictures.a\]: give alt"),
        ("[questions.a]\ntext = 't'\nnumber = 1\ntolerance = 0", r"\[questions.a\]: give text and reason"),
        ("[questions.a]\ntext = 't'\nreason = 'r'", "either options and answer, or number"),
        ("[questions.a]\ntext = 't'\nreason = 'r'\nnumber = 1", "give tolerance"),
        ("[questions.a]\ntext = 't'\nreason = 'r'\noptions = ['x', 'y']\nanswer = 'x'", "as a table"),
        ("[questions.a]\ntext = 't'\nreason = 'r'\noptions = {x = '1', y = '2'}\nanswer = '1'", "one of x, y"),
        ("[questions.a]\ntext='t'\nreason='r'\noptions={x='1', y='2'}\nanswer='x'\nhints={z='h'}", "no such option"),
    ],
)
def test_a_file_with_a_fault_is_named(tmp_path, words, fault):
    (tmp_path / "97_trial.toml").write_text(words)
    with pytest.raises(ValueError, match=f"97_trial.toml.*{fault}"):
        texts.read(tmp_path / "97_trial.toml")


def test_a_choice_is_judged_by_its_code(lesson):
    question = al.show.ask("choice")
    assert question.outcome is None and list(question.choices) == ["no", "yes"] and not question.verdict.value
    question.choices["no"].click()
    assert question.outcome == "wrong" and "A: Not this one. Look again." in question.verdict.value
    assert "Every" not in question.verdict.value and question.reveal.layout.display is None
    question.reveal.click()
    assert r"B: It is, $\mu$</strong>. Every <code>x</code> is." in question.verdict.value
    question.choices["yes"].click()
    assert question.outcome == "right" and question.reveal.layout.display == "none"
    assert "B: Right. Every <code>x</code> is." in question.verdict.value


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ("-0.5", "right"),
        ("−0,509", "right"),
        (" -.51 ", "right"),
        ("-5e-1", "right"),
        ("-0.52", "too_small"),
        ("-0.48", "too_large"),
        ("0.5", "too_large"),
        ("inf", "too_large"),
        ("nan", "unreadable"),
        ("a half", "unreadable"),
        ("50 %", "unreadable"),
        ("", "none"),
    ],
)
def test_a_number_is_judged_within_its_tolerance(lesson, given, outcome):
    question = al.show.ask("number")
    question.give(given)
    assert question.outcome == outcome == judge(question.entry, given)
    assert ("Half, and down" in question.verdict.value) == (outcome == "right")


def test_a_number_is_judged_when_the_box_is_left(lesson):
    question = al.show.ask("number")
    question.box.value = "3"
    assert question.outcome == "too_large"


def test_what_is_stored_folds_the_answer_in(lesson):
    stored = al.show.ask("choice")._repr_mimebundle_()
    assert stored["text/plain"] == "Question: Is $x < 1$?"
    open_part, folded = stored["text/html"].split("<details>")
    assert (
        r'<ol type="A" style="list-style-type:upper-alpha"><li>It is not</li><li>It is, $\mu$</li></ol>' in open_part
        and "Every" not in open_part
    )
    assert folded.startswith(r"<summary>The answer</summary><p><strong>B: It is, $\mu$</strong>. Every")
    number = al.show.ask("number")._repr_mimebundle_()["text/html"]
    assert "<strong>-0.5, give or take 0.01</strong>. Half, and down." in number.split("<details>")[1]
