"""The tool that runs, tidies and generates notebooks."""

import importlib.util
import subprocess
import sys
import warnings

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from aigc_lessons.authors import notebooks as tool

SOLVED = '''\
import torch

def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    y = x + x
    return y
    ### END SOLUTION

class Buffer:
    def query(self, images):
        if images is None:
            ### BEGIN SOLUTION
            return []
            ### END SOLUTION
        return images
'''
STUB = '''\
import torch

def double(x):
    """Twice x."""
    raise NotImplementedError("double: write your answer here")

class Buffer:
    def query(self, images):
        if images is None:
            raise NotImplementedError("Buffer: write your answer here")
        return images
'''


@pytest.fixture
def notebook(tmp_path):
    def make(*sources, name="11_trial.ipynb"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), path)
        return path

    return make


def test_tidy_drops_what_changes_from_run_to_run_and_keeps_the_rest():
    view = {"text/plain": "A widget", "text/html": "<p>3</p>", tool.WIDGET: {"model_id": "17ab"}}
    outputs = [
        new_output("display_data", view, metadata={"isolated": True}),
        new_output("stream", name="stdout", text="3\n"),
    ]
    cell = new_code_cell("x = 1  \n\n", execution_count=1, outputs=outputs)
    cell.metadata = nbformat.from_dict({"execution": {"iopub": "12:00"}, "tags": ["b", "a"], "trusted": True})
    nb = new_notebook(cells=[new_markdown_cell("a break  \nhere"), cell], metadata={"widgets": {"state": {}}})
    first = tool.text(tool.tidy(nb))
    assert (cell.source, cell.metadata, cell.execution_count) == ("x = 1", {"tags": ["a", "b"]}, 1)
    assert cell.outputs[0].data == {"text/plain": "A widget", "text/html": "<p>3</p>"}
    assert cell.outputs[0].metadata == {} and cell.outputs[1].text == "3\n"
    assert nb.cells[0].source == "a break  \nhere" and set(nb.metadata) == {"kernelspec", "language_info"}
    assert tool.text(tool.tidy(nbformat.reads(first, 4))) == first


def test_cells_without_ids_get_the_same_ones_every_time():
    def old():
        nb = new_notebook(cells=[new_code_cell("1"), new_code_cell("2")])
        nb.nbformat_minor = 4
        for cell in nb.cells:
            del cell["id"]
        return tool.text(tool.tidy(nb))

    assert old() == old()


def test_run_stores_outputs_of_the_laptop_profile(notebook, monkeypatch):
    monkeypatch.delenv("AIGC_PROFILE", raising=False)
    path = notebook("import os, sys\nprint(6 * 7, os.environ['AIGC_PROFILE'], os.getcwd())", "sys.executable")
    assert tool.main(["run", str(path)]) == 0
    nb = nbformat.read(path, 4)
    assert nb.cells[0].outputs[0].text == f"42 laptop {path.parent}\n"
    assert [cell.execution_count for cell in nb.cells] == [1, 2]
    assert nb.cells[1].outputs[0].data["text/plain"] == repr(sys.executable)
    before = path.read_bytes()
    assert tool.main(["run", str(path)]) == 0 and path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_run_leaves_a_failing_notebook_alone(notebook, capsys):
    good, bad = notebook("1 + 1", name="a.ipynb"), notebook("x = 1", "x / 0", "x", name="b.ipynb")
    before = bad.read_bytes()
    assert tool.main(["run", str(bad), str(good)]) == 1
    said = capsys.readouterr().out
    assert "b.ipynb, cell 2 of 3" in said and "ZeroDivisionError: division" in said and "x / 0" in said
    assert bad.read_bytes() == before
    assert nbformat.read(good, 4).cells[0].execution_count == 1  # the others are still run


def test_run_names_a_kernel_that_died(notebook, capsys):
    path = notebook("import os\nos._exit(1)")
    before = path.read_bytes()
    assert tool.main(["run", str(path)]) == 1
    assert "the kernel died" in capsys.readouterr().out and path.read_bytes() == before


def test_check_finds_an_untidy_notebook_and_writes_nothing(notebook, capsys):
    path = notebook("x = 1   ")
    before = path.read_bytes()
    assert tool.main(["check", str(path)]) == 1
    assert "not tidy" in capsys.readouterr().out and path.read_bytes() == before
    assert tool.main(["tidy", str(path)]) == 0 and tool.main(["check", str(path)]) == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b"\xff\xfe", b'{"nbformat": 4}'])
def test_what_is_no_notebook_is_named_and_left(content, tmp_path, capsys):
    path = tmp_path / "broken.ipynb"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert tool.main(["tidy", str(path)]) == 1
    assert str(path) in capsys.readouterr().out and path.read_bytes() == content
    assert tool.main(["check", str(tmp_path / "absent.ipynb")]) == 1


def test_an_exercise_is_its_solution_with_blanks(notebook, tmp_path):
    path = notebook(SOLVED, "double(3)", name="solutions/11_trial.ipynb")
    assert tool.main(["run", str(path)]) == 0
    nb = tool.read(path)
    assert tool.exercises(tmp_path, check=True) == [tmp_path / "exercises" / "11_trial.ipynb"]
    (made,) = tool.exercises(tmp_path)
    assert tool.exercises(tmp_path, check=True) == []
    exercise = nbformat.read(made, 4)
    assert exercise.cells[0].source == STUB.rstrip() and exercise.cells[1].source == "double(3)"
    assert [cell.id for cell in exercise.cells] == [cell.id for cell in nb.cells]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in exercise.cells)
    path.unlink()
    assert tool.exercises(tmp_path, check=True) == [made]  # an exercise without a solution
    assert made.exists()


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    ### BEGIN SOLUTION\n    return 1",
        "def f():\n    return 1\n    ### END SOLUTION",
        "def f():\n    ### BEGIN SOLUTION\n    ### BEGIN SOLUTION\n    ### END SOLUTION",
        "### BEGIN SOLUTION\nx = 1\n### END SOLUTION",
    ],
)
def test_misplaced_marks_are_refused(source, notebook):
    path = notebook("1", source)
    with pytest.raises(ValueError, match="11_trial.ipynb, cell .*SOLUTION"):
        tool.exercise(path)


def test_setup_goes_first_and_into_its_own_cell(notebook):
    path = notebook("x = 1")
    assert tool.main(["setup", str(path)]) == 0 and tool.main(["setup", str(path)]) == 0
    cells = nbformat.read(path, 4).cells
    assert [cell.source for cell in cells] == [tool.SETUP, "x = 1"]
    assert cells[0].metadata.tags == ["setup"]
    assert len(tool.SETUP.splitlines()) <= 40


def run_setup(monkeypatch, absent):
    """Run the setup cell where the modules in `absent` cannot be found. Returns the commands that it ran."""
    commands, find = [], importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else find(name))
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    monkeypatch.setattr(sys, "path", list(sys.path))
    names = {}
    exec(tool.SETUP, names)
    assert names["al"].settings
    return commands


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    return tmp_path


def test_setup_does_nothing_where_the_course_is_installed(nowhere, monkeypatch):
    assert run_setup(monkeypatch, absent=()) == []


def test_setup_finds_the_checkout_above(nowhere, monkeypatch):
    (nowhere / "aigc_lessons").mkdir()
    (nowhere / "aigc_lessons" / "__init__.py").touch()
    (nowhere / "notebooks").mkdir()
    monkeypatch.chdir(nowhere / "notebooks")
    assert run_setup(monkeypatch, absent=("aigc_lessons", "torch_fidelity")) == []
    assert sys.path[0] == str(nowhere)


def test_setup_clones_on_a_hosted_machine_and_never_touches_torch(nowhere, monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    clone, install = run_setup(monkeypatch, absent=("aigc_lessons", "torch_fidelity"))
    assert clone[:2] == ["git", "clone"] and clone[-1] == str(nowhere / "aigc-lessons")
    assert install[1:] == ["-m", "pip", "install", "-q", "--no-deps", "torch_fidelity"]


def test_setup_says_what_to_do_where_there_is_no_course(nowhere, monkeypatch):
    with pytest.raises(ModuleNotFoundError, match="pip install -e"):
        run_setup(monkeypatch, absent=("aigc_lessons",))
