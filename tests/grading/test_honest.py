"""Right work earns all of its points, and the same from `check`, `grade` and the Gradescope runner: the kinds of honest.py."""

import io
import json
import re
import unicodedata
import zipfile

import bank
import honest
import pytest
from bank import LESSON

import aigc_lessons as al
from aigc_lessons import cli
from aigc_lessons.exercises import engine
from aigc_lessons.exercises.inside import loading
from aigc_lessons.grading import export, results, sandbox, submissions
from aigc_lessons.settings import COURSE

OF = {name: al.exercises.get(name).points for name in LESSON}
WRITTEN = [e for e in map(al.exercises.get, al.exercises.names()) if isinstance(e, engine.Exercise)]
CELL, TIMEOUT = 1.0, 20.0  # seconds for a cell and for an exercise in these runs


def by_check(path, capsys):
    """{exercise: points} that `aigc-lessons check` gives a file, and what it says."""
    cli.main(["check", str(path)])
    said = capsys.readouterr().out
    points = {name: int(n) for name, n in re.findall(r"^(\w+): correct\. (\d+) of", said, re.MULTILINE)}
    assert f"\n{sum(points.values())} of {sum(OF.values())} points." in said, said
    return points, said


def by_gradescope(file, folder):
    """{exercise: points} that Gradescope's runner gives a file which is handed in by its own name."""
    (folder / "submission").mkdir(parents=True)
    (folder / "submission" / file.path.split("/")[-1]).write_bytes(file.content())
    export.main(folder / "submission", folder / "results.json", "12")
    tests = json.loads((folder / "results.json").read_text())["tests"]
    return {test["name"]: test["score"] for test in tests}


def test_right_work_earns_the_same_everywhere(bubblewrap, tmp_path, monkeypatch, capsys, record_property):
    monkeypatch.setattr(cli, "CELL_SECONDS", CELL)
    monkeypatch.setattr(sandbox, "CELL", CELL / TIMEOUT)
    monkeypatch.setattr(export, "PATIENCE", TIMEOUT)
    root = tmp_path / "submissions"
    for file in honest.FILES:
        for path, content in {file.path: file.content(), **file.besides}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
    rows = results.grade(root, tmp_path / "out", lesson=12, timeout=TIMEOUT)
    lines, unlike = [], []
    for i, file in enumerate(honest.FILES):
        learner = file.path.split("/")[0] if file.learner.startswith("Eva") else file.learner
        row = next(r for r in rows if unicodedata.normalize("NFC", learner) == r["learner"] and r["exercises"])
        graded = {e["name"]: e["points"] for e in row["exercises"]}
        checked, said = by_check(root / file.path, capsys)
        scoped = by_gradescope(file, tmp_path / f"gradescope {i}")
        for name, (what, _) in file.answers.items():
            lines.append((f"{name}: {what}", checked.get(name, 0), graded[name], scoped.get(name, 0), OF[name]))
        totals = [sum(points.values()) for points in (checked, graded, scoped, OF)]
        for what in (file.kind, *(what for what, _, _ in file.cells)):
            lines.append((what, *totals))
        if not totals[0] == totals[1] == totals[2] == totals[3]:
            unlike.append(
                (file.learner, checked, graded, scoped, row["reason"], row["exercises"], row["troubles"], said)
            )
    record_property("honest", lines)
    assert not unlike, "\n\n".join(map(str, unlike))
    assert len({what for what, *_ in lines}) >= 60


# Names


@pytest.mark.parametrize(
    "path, learner, lesson",
    [
        ("Anna Meier_1234567_assignsubmission_file_/12_convolution.ipynb", "Anna Meier", 12),
        ("Anna Meier_1234567_assignsubmission_file/final.ipynb", "Anna Meier", None),
        ("Anna Meier_1234567_assignsubmission_file_12_convolution.ipynb", "Anna Meier", 12),
        ("12_convolution/Anna Meier_1234567_assignsubmission_file_/answers.ipynb", "Anna Meier", 12),
        ("meieranna_12345_67890_12_convolution.ipynb", "meieranna", 12),
        ("meieranna_LATE_12345_67890_12_convolution-1.ipynb", "meieranna", 12),
        ("Exercise 12_am12345_attempt_2026-11-13-10-12-13_answers.ipynb", "am12345", 12),
        ("Exercise 12_am12345_attempt_2026-11-13-10-12-13_12_convolution.ipynb", "am12345", 12),
        ("12345-67890 - Anna Meier - Nov 12, 2026 1012 AM/12_convolution.ipynb", "Anna Meier", 12),
        ("12345-67890 - Anna Meier - Nov 12, 2026 10:12 AM - 12_convolution.ipynb", "Anna Meier", 12),
        ("Anna Meier - 12_convolution.ipynb", "Anna Meier", 12),
        ("Anna Meier - Copy of 12_convolution.ipynb", "Anna Meier", 12),
        ("anna/Copy of 12_convolution.ipynb", "anna", 12),
        ("anna/Kopie von 12_convolution.ipynb", "anna", 12),
        ("anna/12_convolution/12_convolution.ipynb", "anna", 12),
        ("anna/12_convolution/answers.ipynb", "anna", 12),
        ("12_convolution/anna/answers.ipynb", "anna", 12),
        ("12_convolution/anna.ipynb", "anna", 12),
        ("12-convolution-submissions/12-convolution-annam/12_convolution.ipynb", "annam", 12),
        ("12-convolution-annam/answers.ipynb", "annam", 12),
        ("group 12/13_classifier.ipynb", "group 12", 13),
        ("group_11_12_convolution.ipynb", "group_11", 12),
        ("anna_2026-11-13_12_convolution.ipynb", "anna_2026-11-13", 12),
        ("anna_12_convolution_2026-11-13.ipynb", "anna", 12),
        ("anna_12_convolution_13.11.2026.ipynb", "anna", 12),
        ("anna/12_convolution_group 13.ipynb", "anna", 12),
        ("anna/lesson12.ipynb", "anna", 12),
        ("anna_hw12.py", "anna", 12),
        ("王小明_12_答案.ipynb", "王小明", 12),
        ("anna/12_convolution.ipynb.json", "anna", 12),
        ("anna/12_convolution.ipynb.txt", "anna", 12),
        ("anna/12convolution.ipynb", "anna", 12),
        ("anna/final_12.ipynb", "anna", 12),
        ("anna/.12_convolution.ipynb", "anna", 12),
        ("anna_120_x.py", "anna_120_x", None),
        (unicodedata.normalize("NFD", "Zoé/12_x.py"), "Zoé", 12),
    ],
)
def test_the_learner_and_the_lesson_are_in_what_platforms_write(tmp_path, path, learner, lesson):
    write(tmp_path, path)
    (found,) = submissions.find(tmp_path, set(submissions.WORDS))
    assert (found.learner, found.lesson, found.problem is None) == (learner, lesson, lesson is not None)


def test_the_words_are_those_of_the_notebooks():
    stems = {f"{lesson}_{words.replace(' ', '_')}" for lesson, words in submissions.WORDS.items()}
    assert stems == {path.stem for path in (COURSE / "exercises").glob("*.ipynb")}
    assert set(submissions.WORDS) == {al.exercises.get(name).lesson for name in al.exercises.names()}


def write(root, *paths, content=b"x = 1"):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def rows_of(root, lesson=None):
    """{path, with the member of a zip: "counts", "stands aside" or what is wrong with it}."""
    found = submissions.find(root, set(submissions.WORDS), lesson)
    state = lambda s: s.problem or ("counts" if s.counts else "stands aside")
    return {submissions._below(root, s): state(s) for s in found}


def test_of_copies_the_newest_counts_and_says_so(tmp_path):
    write(tmp_path, "a/12_x.ipynb", "a/12_x (1).ipynb", "a/12_x (2).ipynb", "b/12_x.ipynb", "b/12_x-Copy1.ipynb")
    write(tmp_path, "c/12_x (1).ipynb", "c/12_y.ipynb", "d/12_x (1).ipynb")
    rows = rows_of(tmp_path)
    assert [p for p, state in rows.items() if state == "counts"] == [
        "a/12_x (2).ipynb",
        "b/12_x-Copy1.ipynb",
        "d/12_x (1).ipynb",
    ]
    assert [p for p, state in rows.items() if state == "stands aside"] == [
        "a/12_x (1).ipynb",
        "a/12_x.ipynb",
        "b/12_x.ipynb",
    ]
    assert "2 files" in rows["c/12_x (1).ipynb"] and "2 files" in rows["c/12_y.ipynb"]
    newest = next(s for s in submissions.find(tmp_path, {12}) if s.path.name == "12_x (2).ipynb")
    assert newest.note == "It counts in place of a/12_x (1).ipynb, a/12_x.ipynb."


def test_with_a_lesson_a_file_that_names_it_beats_one_that_names_none(tmp_path):
    write(
        tmp_path,
        "a/12_x.ipynb",
        "a/helper.py",
        "b/final.ipynb",
        "b/helper.py",
        "c/final.ipynb",
        "d/98_x.py",
        "e/13_x.py",
    )
    assert rows_of(tmp_path, 12) == {
        "a/12_x.ipynb": "counts",
        "a/helper.py": "stands aside",
        "b/final.ipynb": "counts",
        "b/helper.py": "stands aside",
        "c/final.ipynb": "counts",
        "d/98_x.py": "counts",
    }


def test_what_systems_leave_behind_is_left_out(tmp_path):
    write(
        tmp_path,
        "a/12_x.ipynb",
        "a/._12_x.ipynb",
        "a/.ipynb_checkpoints/12_x-checkpoint.ipynb",
        "__MACOSX/a/12_x.ipynb",
    )
    write(tmp_path, "b/12_x.zip", content=honest.zipped("12_x.ipynb")([]))
    assert rows_of(tmp_path) == {"a/12_x.ipynb": "counts", "b/12_x.zip: 12_x.ipynb": "counts"}


def test_zips_are_read_or_say_why_not(tmp_path):
    def zipped(**files):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in files.items():
                file.writestr(name.replace("_IN_", "/") + ".py", content)
        return data.getvalue()

    write(tmp_path, "two/x.zip", content=zipped(**{"12_a": "x = 1", "13_a": "y = 1"}))
    write(tmp_path, "anna_12.zip", content=zipped(folder_IN_answers="z = 1"))
    write(tmp_path, "both/x.zip", content=zipped(**{"12_a": "", "12_b": ""}))
    write(tmp_path, "none/12.zip", content=zipped())
    write(tmp_path, "broken/12.zip", content=b"PK")
    write(tmp_path, "huge/12.zip", content=zipped(**{"12_a": "#" * 11_000_000}))
    found = {(s.learner, s.lesson): s for s in submissions.find(tmp_path, set(submissions.WORDS)) if s.problem is None}
    read = {key: submissions.read(s.path, s.member) for key, s in found.items() if key[0] != "huge"}
    assert read == {("two", 12): ["x = 1"], ("two", 13): ["y = 1"], ("anna", 12): ["z = 1"]}
    with pytest.raises(ValueError, match="11,000,000 bytes; accepted are"):
        submissions.read(found["huge", 12].path, found["huge", 12].member)
    rows = rows_of(tmp_path)
    assert "2 files" in rows["both/x.zip: 12_a.py"]
    assert "no notebook" in rows["none/12.zip"] and "cannot be opened" in rows["broken/12.zip"]


def test_a_deep_folder_has_a_row_and_the_others_theirs(tmp_path):
    write(tmp_path, "a/12_x.py", "z/12_x.py", "deep/" + "d/" * 60 + "12_x.py")
    rows = rows_of(tmp_path)
    assert rows.pop("a/12_x.py") == rows.pop("z/12_x.py") == "counts"
    (problem,) = rows.values()
    assert "more than 20 deep" in problem


def test_half_a_million_marks_are_searched_at_once():
    assert submissions.flags(["x = 1  # " + "e" + "\u0301\u0316" * 400_000 + "\nｏｐｅｎ('x')"]) == ["uses open"]


# Cells


def troubles(*cells, seconds=1.0):
    return [engine.of_a_cell(t) for t in loading.define(cells, seconds)[1]]


@pytest.mark.parametrize(
    "cells, said",
    [
        (["x = 1", "y = (1,\nz = 3"], "cell 2 cannot be read: '(' was never closed (line 1)."),
        (["import einops_of_nobody"], "cell 1, line 1: there is no module 'einops_of_nobody' where this is graded."),
        (["x = 1\nprint(np.pi)"], "cell 1, line 2: the name 'np' is not defined."),
        (
            ["def f(x: Tensor):\n    pass"],
            "cell 1, line 1: an annotation names 'Tensor', which is not defined; it was ignored.",
        ),
        (["import sys\n\nsys.exit()"], "cell 1, line 3: it ends the program (sys.exit, exit or quit)."),
        (
            ["x = 1", "while True:\n    pass"],
            "cell 2, line 1: it gave no answer in time and was stopped; the rest of the file counts.",
        ),
        (["def f():\n    return [][1]\n\nf()"], "cell 1, line 2: it raises IndexError."),
    ],
)
def test_what_did_not_run_is_named(cells, said):
    assert troubles(*cells) == [said]


def test_what_only_follows_is_not_named():
    """Neither from what failed before, nor from the course not being there."""
    first = "cell 1, line 1: there is no module 'nothing_here' where this is graded."
    assert troubles("import nothing_here as n\nx = n.f()", "y = x + 1", "z = y") == [first]
    alone = lambda *cells: loading.define(cells, 1.0, alone=True)
    space, found = alone(
        "import aigc_lessons as al\nds = al.data.load('digits')", "images = ds.images", "device = al.settings().device"
    )
    assert found == [] and space["device"].type == "cpu" and "images" not in space


def test_a_broken_function_costs_itself_alone():
    source = "import math\n\n@staticmethod\ndef f(x):\n    return (x\n\ndef g(x):\n    return 2\n\nif g(1):\n    y = 3\nelse:\n    y = 4\n"
    space, (trouble,) = loading.define([source], 1.0)
    assert space["g"](1) == 2 and space["y"] == 3 and "f" not in space and trouble.code == "syntax"


def test_cells_leave_the_process_as_it_was():
    import warnings

    import torch

    filters, compiled = list(warnings.filters), torch.compile
    with loading.uncompiled():
        loading.define(
            ["import torch, warnings\nwarnings.simplefilter('error')\ntorch.set_default_device('meta')"], 1.0
        )
    assert torch.get_default_device().type == "cpu" and warnings.filters == filters and torch.compile is compiled


@pytest.mark.parametrize(
    "record",
    [
        None,
        {},
        {"code": "unheard of"},
        {"code": ["raises"]},
    ],
)
def test_a_claim_without_a_known_code_is_none(record):
    assert loading.read(record) is None


def test_a_claim_shows_no_number_and_no_sentence():
    claim = {"code": "syntax", "cell": -3, "line": True, "name": "0.1234", "says": "the input is 0.1234"}
    assert loading.read(claim) == loading.Trouble("syntax")
    assert loading.read({"code": "raises", "cell": 2, "line": 7, "name": "my.Error", "says": ""}).name == "my.Error"
    code = results.Code(["import my\n"])
    assert code.checked(loading.Trouble("raises", 1, 9, "Stranger")) == loading.Trouble("raises", 1, 0, "")


# What is said


def test_check_counts_what_it_does_not_find_and_says_what_is_graded_as_wrong(tmp_path, capsys):
    write(
        tmp_path,
        "12_mine.py",
        content=b"import torch\ndef conv2d(x, weight, bias=None, stride=1, padding=0):\n    return torch.conv2d(x, weight, bias, stride, padding)\n\ndef broken(:\n    pass\n",
    )
    assert cli.main(["check", str(tmp_path / "12_mine.py")]) == 1
    said = capsys.readouterr().out
    assert "graded as wrong: you call conv2d" in said and "0 of 4 points" in said
    assert "12_mine.py, line 5 cannot be read: invalid syntax." in said
    for name in LESSON:
        assert (f"\n{name}: not found in this file" in said) == (name != "conv2d")
    assert said.endswith(f"\n0 of {sum(OF.values())} points.\n")


@pytest.mark.parametrize("name", [e.name for e in WRITTEN if e.from_scratch])
def test_a_library_call_is_seen_and_nothing_is_patched(name):
    exercise = al.exercises.get(name)
    for how, function in exercise.alternatives.items():
        result = al.exercises.check(name, function)
        assert (result.code == "library_call") == ("library" in how), how
        assert result.outcome == "correct" and result.points == (0 if "library" in how else exercise.points)


def test_an_entry_of_an_inner_vector_is_named():
    import torch

    def step(generator, discriminator, opt_g, opt_d, real, noise):
        losses = al.exercises.get("gan_step").reference(generator, discriminator, opt_g, opt_d, real, noise)
        with torch.no_grad():
            discriminator[2].weight += 9
        return losses

    result = al.exercises.check("gan_step", step)
    assert "That is the discriminator's last weight after both steps." in result.message
    for exercise in WRITTEN:
        expected = engine.prepare(exercise, 0)[0]
        if exercise.call and expected.value.ndim and (exercise.parts or isinstance(expected.answer, tuple)):
            assert all(engine._part(expected.answer, exercise.parts, i) for i in range(len(expected.value)))


REASONS = {
    "conv2d": (
        "def conv2d(image, kernel, b=None, stride=1, padding=0):\n    return image",
        "signature",
        "with bias=, which it does not take. Its first line should be: def conv2d(x, weight, bias=None, stride=1, padding=0):",
    ),
    "max_pool2d": (
        "def max_pool2d(x, kernel_size, stride):\n    from einops_of_nobody import reduce\n    return reduce(x)",
        "missing_module",
        "There is no module 'einops_of_nobody' where this is graded",
    ),
    "conv_transpose2d": (
        "import sys\ndef conv_transpose2d(x, weight, stride=1, padding=0):\n    sys.exit('done')",
        "exit",
        "It ends the program (sys.exit, exit or quit)",
    ),
}


def test_a_reason_names_the_thing(bubblewrap, tmp_path, monkeypatch):
    """And cells that cannot be stopped, or that end the process, cost themselves alone."""
    monkeypatch.setattr(loading, "DEFINES", 1.0)  # for the judge's deadlines
    stubborn = (
        "import torch, time\nwhile True:\n    try:\n        time.sleep(1000)\n    except BaseException:\n        pass"
    )
    cells = [stubborn, "import os\nos._exit(0)", *(source for source, _, _ in REASONS.values())]
    right = bank.answer("receptive_field", bank.RIGHT["receptive_field"])
    write(tmp_path, "anna/12_a.ipynb", content=bank.as_notebook([*cells, right]))
    (row,) = results.grade(tmp_path, tmp_path / "out", timeout=4.0)
    entries = {e["name"]: e for e in row["exercises"]}
    for name, (_, code, says) in REASONS.items():
        assert entries[name]["code"] == code and says in entries[name]["reason"], entries[name]
    assert entries["receptive_field"]["points"] == OF["receptive_field"], row
    assert [t.split(":")[0] for t in row["troubles"]] == ["cell 1", "cell 2"]
    assert "no answer in time" in row["troubles"][0] and "the process ended" in row["troubles"][1]
