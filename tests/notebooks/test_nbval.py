"""Plain `pytest --nbval notebooks -n 2`, as the course sets it up, passes what is right and sees a changed number."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from aigc_lessons.authors import notebooks as tool

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
CELLS = (
    "import os\na = 6\nprint(a * 7)",
    "import ipywidgets\nslider = ipywidgets.IntSlider(value=a)\nslider",
    "from IPython.display import HTML\n"  # a picture whose bytes differ from run to run
    'HTML(f\'<img alt="noise" src="data:image/png;base64,{os.urandom(9).hex()}">\')',
    "assert os.environ['AIGC_PROFILE'] in ('smoke', 'laptop')\nslider.value",
)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in ("conftest.py", "nbval.cfg"):
        shutil.copy(NOTEBOOKS / name, folder)
    paths = [folder / "01_one.ipynb", folder / "02_two.ipynb"]
    for path in paths:
        nbformat.write(new_notebook(cells=[new_code_cell(source) for source in CELLS]), path)
    assert tool.main(["run", *map(str, paths)]) == 0
    return folder


def nbval(folder):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "notebooks", "-n", "2", "-q", "-p", "no:cacheprovider"],
        cwd=folder.parent,
        env=clean,
        capture_output=True,
        text=True,
    )


def test_it_passes_unchanged_and_sees_a_changed_number(folder):
    done = nbval(folder)
    assert done.returncode == 0 and "8 passed" in done.stdout, done.stdout[-2000:]
    path = folder / "02_two.ipynb"
    stored = path.read_text()
    assert stored.count('"42\\n"') == 1
    path.write_text(stored.replace('"42\\n"', '"43\\n"'))
    done = nbval(folder)
    assert done.returncode == 1 and "1 failed, 7 passed" in done.stdout, done.stdout[-2000:]
    assert "02_two.ipynb::Cell 0" in done.stdout
