"""Exports: nbgrader makes a release of its course folder; Gradescope's zip grades on its own."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

from aigc_lessons import cli, exercises
from aigc_lessons.grading import export, sandbox
from aigc_lessons.settings import COURSE

SCRIPTS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course") / "new"
    assert cli.main(["export", "nbgrader", str(folder)]) == 0
    return folder


def test_every_lesson_lies_one_folder_down_with_its_points(course):
    for solution in (COURSE / "solutions").glob("*.ipynb"):
        book = nbformat.read(course / "source" / solution.stem / solution.name, 4)
        marks = [c.metadata["nbgrader"] for c in book.cells if "nbgrader" in c.metadata]
        lesson = int(solution.name[:2])
        names = exercises.names(lesson)
        assert [m["grade_id"] for m in marks if m["solution"]] == list(names)
        assert {m["grade_id"]: m["points"] for m in marks if m["grade"]} == {
            f"check_{n}": exercises.get(n).points for n in names
        }
        assert len({m["grade_id"] for m in marks}) == len(marks) and all(m["schema_version"] == 3 for m in marks)
        assert not any(c.get("outputs") for c in book.cells)


def test_nbgrader_makes_a_release_without_answers(course):
    environment = {**os.environ, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", "JUPYTER_PLATFORM_DIRS": "1"}
    made = subprocess.run(
        [str(SCRIPTS / "nbgrader"), "generate_assignment", "12_convolution", "--create"],
        cwd=course,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    release = course / "release" / "12_convolution" / "12_convolution.ipynb"
    text, solution = (
        release.read_text(encoding="utf-8"),
        (COURSE / "solutions" / "12_convolution.ipynb").read_text(encoding="utf-8"),
    )
    assert "BEGIN SOLUTION" in solution and "BEGIN SOLUTION" not in text and text.count("NotImplementedError") >= 4
    assert "skip_cells_with_tag" in (course / "nbgrader_config.py").read_text()


def test_nothing_is_overwritten(course, capsys):
    before = (course / "nbgrader_config.py").read_bytes()
    assert cli.main(["export", "nbgrader", str(course)]) == 1 and "not empty" in capsys.readouterr().err
    assert (course / "nbgrader_config.py").read_bytes() == before


def test_gradescopes_zip_holds_a_course_that_grades(tmp_path):
    assert cli.main(["export", "gradescope", str(tmp_path / "lesson12.zip"), "--lesson", "12"]) == 0
    with zipfile.ZipFile(tmp_path / "lesson12.zip") as file:
        modes = {entry.filename: entry.external_attr >> 16 for entry in file.infolist()}
        assert (
            modes["setup.sh"] & modes["run_autograder"] & 0o111 and "12" in file.read("run_autograder").decode().split()
        )
        assert not any(name.endswith((".safetensors", ".ipynb")) for name in modes)
        file.extractall(tmp_path / "autograder")
    (tmp_path / "submission").mkdir()
    shutil.copy(COURSE / "solutions" / "12_convolution.ipynb", tmp_path / "submission")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "aigc_lessons.grading.export",
            str(tmp_path / "submission"),
            str(tmp_path / "results.json"),
            "12",
        ],
        cwd=tmp_path / "autograder" / "course",
        check=True,
    )
    results = json.loads((tmp_path / "results.json").read_text())
    assert {t["name"]: t["score"] for t in results["tests"]} == {
        n: exercises.get(n).points for n in exercises.names(12)
    }
    assert all(t["score"] == t["max_score"] for t in results["tests"])


def test_without_a_sandbox_only_a_teacher_who_trusts_gets_grades(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "unavailable", lambda: "no sandbox here")
    (tmp_path / "12.py").write_text(
        "def receptive_field(layers):\n    f = s = 1\n    for k, t in layers:\n        f, s = f + (k - 1) * s, s * t\n    return f\n"
    )
    for trust, points, says in (
        (None, 0, "Nothing was graded"),
        ("--trust", exercises.get("receptive_field").points, "without a sandbox"),
    ):
        export.main(tmp_path, tmp_path / "results.json", "12", trust)
        results = json.loads((tmp_path / "results.json").read_text())
        assert sum(t["score"] for t in results["tests"]) == points and says in results["output"]
    for arguments, has in (([], False), (["--trust"], True)):
        assert cli.main(["export", "gradescope", str(tmp_path / "a.zip"), "--lesson", "12", *arguments]) == 0
        with zipfile.ZipFile(tmp_path / "a.zip") as file:
            assert ("--trust" in file.read("run_autograder").decode()) == has


def test_what_cannot_be_exported(tmp_path, capsys):
    assert cli.main(["export", "gradescope", str(tmp_path / "a.zip")]) == 1 and "--lesson" in capsys.readouterr().err
    assert (
        cli.main(["export", "gradescope", str(tmp_path / "a.zip"), "--lesson", "99"]) == 1
        and "Lessons with exercises" in capsys.readouterr().err
    )
    assert not (tmp_path / "a.zip").exists()
