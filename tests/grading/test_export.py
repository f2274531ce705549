"""Exports: nbgrader makes a release of its course folder; Gradescope's zip grades on its own."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import bank
import nbformat
import pytest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest brings the same under its old name
    import tomli as tomllib

from aigc_lessons import cli, exercises
from aigc_lessons.exercises.trained import Training
from aigc_lessons.grading import export, sandbox
from aigc_lessons.settings import COURSE

SCRIPTS = Path(sys.executable).parent
TRAINED = [name for name in exercises.names() if isinstance(exercises.get(name), Training)]
PROJECT = tomllib.loads((COURSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]


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
        names = [name for name in exercises.names(lesson) if name not in TRAINED]
        assert [m["grade_id"] for m in marks if m["solution"]] == list(names)
        assert {m["grade_id"]: m["points"] for m in marks if m["grade"]} == {
            f"check_{n}": exercises.get(n).points for n in names
        }
        assert not any(
            re.search(r"\btrain_", c.source) for c in book.cells if c.cell_type == "code" and c.id != "setup"
        )
        assert len({m["grade_id"] for m in marks}) == len(marks) and all(m["schema_version"] == 3 for m in marks)
        assert not any(c.get("outputs") for c in book.cells)


def nbgrader(course, *arguments):
    """Run nbgrader in a course's folder."""
    environment = {**os.environ, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", "JUPYTER_PLATFORM_DIRS": "1"}
    line = [str(SCRIPTS / "nbgrader"), *arguments]
    made = subprocess.run(line, cwd=course, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


@pytest.fixture(scope="module")
def release(course):
    """The released notebook of lesson 12."""
    nbgrader(course, "generate_assignment", "12_convolution", "--create")
    return course / "release" / "12_convolution" / "12_convolution.ipynb"


def test_nbgrader_makes_a_release_without_answers(course, release):
    text, solution = (
        release.read_text(encoding="utf-8"),
        (COURSE / "solutions" / "12_convolution.ipynb").read_text(encoding="utf-8"),
    )
    assert "BEGIN SOLUTION" in solution and "BEGIN SOLUTION" not in text and text.count("NotImplementedError") >= 4
    assert "skip_cells_with_tag" in (course / "nbgrader_config.py").read_text()


def test_what_nbgrader_collects_is_graded(bubblewrap, course, release, tmp_path):
    """Release, submit, autograde, feedback; then the course's own grader on nbgrader's folders, which lie one deeper."""
    book = nbformat.read(release, 4)
    for cell in book.cells:
        mark = cell.metadata.get("nbgrader", {})
        if mark.get("solution") and mark["grade_id"] != "conv2d":  # which this learner has left out
            cell.source = bank.answer(mark["grade_id"], bank.RIGHT[mark["grade_id"]])
    handed_in = course / "submitted" / "anna" / "12_convolution" / "12_convolution.ipynb"
    handed_in.parent.mkdir(parents=True)
    nbformat.write(book, handed_in)
    nbgrader(course, "autograde", "12_convolution", "--student=anna", "--create")
    nbgrader(course, "generate_feedback", "12_convolution", "--student=anna")
    assert (course / "feedback" / "anna" / "12_convolution" / "12_convolution.html").exists()
    points = {name: exercises.get(name).points for name in bank.LESSON} | {"conv2d": 0}
    cli.main(["grade", str(course / "submitted"), "-o", str(tmp_path / "out"), "--lesson", "12"])
    (row,) = json.loads((tmp_path / "out" / "grades.json").read_text(encoding="utf-8"))["rows"]
    assert row["learner"] == "anna" and {e["name"]: e["points"] for e in row["exercises"]} == points


def test_nothing_is_overwritten(course, capsys):
    before = (course / "nbgrader_config.py").read_bytes()
    assert cli.main(["export", "nbgrader", str(course)]) == 1 and "not empty" in capsys.readouterr().err
    assert (course / "nbgrader_config.py").read_bytes() == before


@pytest.fixture(scope="module")
def autograder(tmp_path_factory):
    """Gradescope's folder /autograder, with a zip unpacked as it is there: (folder, what it holds)."""
    folder = tmp_path_factory.mktemp("autograder")
    assert cli.main(["export", "gradescope", str(folder / "lesson12.zip"), "--lesson", "12"]) == 0
    with zipfile.ZipFile(folder / "lesson12.zip") as file:
        modes = {entry.filename: entry.external_attr >> 16 for entry in file.infolist()}
        file.extractall(folder / "source")
    for name in ("submission", "results"):
        (folder / name).mkdir()
    return folder, modes


def stub(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def script(autograder, name, path=""):
    """Run one of its scripts with /autograder where the folder is, and stubs first in the path."""
    text = (autograder / "source" / name).read_text().replace("/autograder/", f"{autograder}/")
    environment = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(["bash", "-c", text], env=environment, capture_output=True, text=True, cwd="/")


def test_gradescopes_zip_holds_all_that_it_needs_and_no_more(autograder):
    folder, modes = autograder
    assert modes["setup.sh"] & modes["run_autograder"] & 0o111
    assert "12" in (folder / "source" / "run_autograder").read_text().split()
    assert not any(name.endswith((".safetensors", ".ipynb")) for name in modes)
    needed = (folder / "source" / "requirements.txt").read_text().split()
    asked = {re.match(r"[\w-]+", line)[0]: line for line in PROJECT["dependencies"]}
    of = lambda line: (re.match(r"[\w-]+", line)[0], set(re.findall(r"[<>=][^,]+", line)))
    assert [of(line) for line in needed if line != "einops"] == [of(asked[name]) for name in export.NEEDED]


def test_gradescopes_zip_measures_what_was_trained_with_what_it_installs(tmp_path):
    """Where nothing is but its own files, and the other packages that the course needs are missing."""
    lesson = exercises.get("train_classifier").lesson
    assert cli.main(["export", "gradescope", str(tmp_path / "a.zip"), "--lesson", str(lesson)]) == 0
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        file.extractall(tmp_path)
    asked = {re.match(r"[\w-]+", line)[0] for line in PROJECT["dependencies"]}
    missing = [name.replace("-", "_") for name in asked - {*export.NEEDED, "pillow"}]  # scikit-image brings pillow
    assert "torchvision" in missing
    code = f"""import sys
sys.modules.update(dict.fromkeys({missing!r}))
import aigc_lessons.grading.export
from aigc_lessons.exercises.trained import judge_training, packed
task = aigc_lessons.exercises.get("train_classifier")
print(aigc_lessons.__file__, judge_training(task, packed(task, task.build()), 1).outcome)
print(len(aigc_lessons.shipped("classifier-digits").state_dict()))"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "course")}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, cwd="/", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    where, outcome, _ = ran.stdout.split()
    assert where.startswith(str(tmp_path)) and outcome == "wrong"


@pytest.mark.parametrize("reachable", [True, False])
def test_gradescopes_setup_needs_no_new_pip_and_takes_what_torch_it_can(autograder, tmp_path, reachable):
    folder, _ = autograder
    log = tmp_path / "log"
    fails = "" if reachable else 'case "$*" in *download.pytorch.org*) exit 1;; esac\n'
    python = f'#!/bin/bash\necho "python $*" >> {log}\n{fails}exit 0\n'
    stub(tmp_path / "python", python)
    stub(tmp_path / "bin" / "apt-get", f'#!/bin/bash\necho "apt-get $*" >> {log}\n')
    made = f'#!/bin/bash\necho "python3 $*" >> {log}\nmkdir -p $3/bin && cp {tmp_path}/python $3/bin/python\n'
    stub(tmp_path / "bin" / "python3", made)
    ran = script(folder, "setup.sh", tmp_path / "bin")
    assert ran.returncode == 0, ran.stderr
    lines = log.read_text().splitlines()
    assert "bubblewrap" in lines[1] and "python3-venv" in lines[1] and lines[2] == f"python3 -m venv {folder}/venv"
    cpu, rest, course = lines[3:]
    assert "--no-deps" in cpu and "download.pytorch.org/whl/cpu" in cpu and "torch" in cpu.split()[-1]
    assert rest.endswith(f"install -r {folder}/source/requirements.txt")
    assert course.endswith(f"--no-deps {folder}/source/course") and "break-system-packages" not in log.read_text()
    assert ("larger" in ran.stdout) != reachable


def test_a_grader_that_is_killed_leaves_results(autograder):
    folder, _ = autograder
    stub(folder / "venv" / "bin" / "python", "#!/bin/bash\nkill -9 $$\n")
    assert script(folder, "run_autograder").returncode == 0
    found = json.loads((folder / "results" / "results.json").read_text())
    assert "was stopped" in found["output"] and [t["name"] for t in found["tests"]] == list(exercises.names(12))
    assert sum(t["score"] for t in found["tests"]) == 0 and all(t["max_score"] > 0 for t in found["tests"])


def test_gradescopes_runner_grades_with_what_is_installed(bubblewrap, autograder):
    folder, _ = autograder
    run = f'#!/bin/bash\nprintf "%s\\n" "$PWD" "$@" > {folder}/called\nshift\ncd {COURSE}\nexec {sys.executable} "$@"\n'
    stub(folder / "venv" / "bin" / "python", run)
    shutil.copy(COURSE / "solutions" / "12_convolution.ipynb", folder / "submission" / "my work.ipynb")
    ran = script(folder, "run_autograder")
    assert ran.returncode == 0, ran.stderr
    where, *called = (folder / "called").read_text().splitlines()
    assert where == "/" and called[:3] == ["-I", "-m", "aigc_lessons.grading.export"]  # never the checkout's own files
    found = json.loads((folder / "results" / "results.json").read_text())
    assert {t["name"]: t["score"] for t in found["tests"]} == {n: exercises.get(n).points for n in exercises.names(12)}
    assert found["output"] == "" and all(t["score"] == t["max_score"] for t in found["tests"])


@pytest.mark.parametrize(
    "files, points, says",
    [
        ({"a.py": "def receptive_field(layers):\n    return 0"}, 0, ""),
        ({"12.ipynb": bank.as_notebook([]).decode()}, 0, ""),
        ({}, 0, "there are 0"),
        ({"notes.txt": "12"}, 0, "there are 0"),
        ({"12.ipynb": "{}", "12.py": ""}, 0, "There are 2 files"),
        ({"12.ipynb": "{"}, 0, "not a whole notebook"),
        ({"12.py": "\ud8ff"}, 0, "not text in UTF-8"),
        ({"__MACOSX/._12.py": "x", "12.py": bank.answer("receptive_field", bank.RIGHT["receptive_field"])}, True, ""),
    ],
)
def test_gradescopes_results_in_each_case(bubblewrap, tmp_path, files, points, says):
    for name, text in files.items():
        path = tmp_path / "submission" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
    (tmp_path / "submission").mkdir(exist_ok=True)
    export.main(tmp_path / "submission", tmp_path / "results.json", "12")
    found = json.loads((tmp_path / "results.json").read_text())
    assert [t["name"] for t in found["tests"]] == list(exercises.names(12)) and says in found["output"]
    right = exercises.get("receptive_field").points if points else 0
    assert sum(t["score"] for t in found["tests"]) == right and all(t["output"] for t in found["tests"])


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
