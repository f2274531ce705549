"""pyproject.toml, environment.yml, what is installed and what the code imports all say the same thing."""

import ast
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest brings the same under its old name
    import tomli as tomllib

from aigc_lessons.authors import datasets

ROOT = Path(__file__).resolve().parents[1]
PACKAGE_OF = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
    "IPython": "ipywidgets",
    "traitlets": "ipywidgets",
    "tomllib": "tomli",  # under Python 3.10
}  # ipywidgets requires ipython and traitlets; of the first only `display` is used
NAMED_BY_THE_OWNER = {
    "jupyterlab",
    "torch",
    "torchvision",
    "matplotlib",
    "ipywidgets",
    "nbval",
    "torch-fidelity",
    "pytest",
}

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())
FROM_CONDA = [entry for entry in CONDA["dependencies"] if isinstance(entry, str)]
(FROM_PIP,) = (entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict))


def ranges(requirements):
    """{canonical name: SpecifierSet}; specifier sets compare by meaning, not by how they are written."""
    parsed = [Requirement(line) for line in requirements]
    assert len({canonicalize_name(r.name) for r in parsed}) == len(parsed), "a package named twice"
    return {canonicalize_name(r.name): r.specifier for r in parsed}


REQUIRED = ranges(
    PROJECT["dependencies"] + [line for group in PROJECT["optional-dependencies"].values() for line in group]
)


def test_conda_and_pip_say_the_same():
    assert ranges(line for line in FROM_PIP if line != "-e .") == REQUIRED
    assert "-e ." in FROM_PIP


def test_only_python_and_pip_come_from_conda():
    python, pip = FROM_CONDA
    assert pip == "pip" and CONDA["name"] == PROJECT["name"]
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.removeprefix("python="))
    assert CONDA["channels"] == ["conda-forge", "nodefaults"]  # the pytorch channel is dead


def test_what_the_owner_named_is_there():
    assert NAMED_BY_THE_OWNER <= set(REQUIRED)


def test_ranges_are_ranges():
    """Closed above, so that a new major version cannot break the course in silence; never pinned to one version."""
    for name, specifier in REQUIRED.items():
        assert sorted(part.operator for part in specifier) == ["<", ">="], name


# tomli is for Python 3.10 alone
@pytest.mark.parametrize("name", sorted(set(REQUIRED) - ({"tomli"} if sys.version_info >= (3, 11) else set())))
def test_this_environment_is_within_the_ranges(name):
    assert REQUIRED[name].contains(version(name), prereleases=True), f"{name} {version(name)}"


def test_everything_imported_is_declared():
    runtime, everything = set(ranges(PROJECT["dependencies"])), set(REQUIRED)
    for path in (ROOT / "aigc_lessons").rglob("*.py"):
        # these serve authors and teachers
        declared = everything if path.name in ("notebooks.py", "export.py") else runtime
        if path.parent.name == "authors":  # the carried pictures are made from packages of their own
            declared = declared | set(datasets.PACKAGES)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            # alone in its sandbox
            neighbours = {p.stem for p in path.parent.glob("*.py")} if path.name == "worker.py" else set()
            for top in (
                {name.split(".")[0] for name in names} - {"aigc_lessons"} - neighbours - set(sys.stdlib_module_names)
            ):
                assert canonicalize_name(PACKAGE_OF.get(top, top)) in declared, f"{path.name} imports {top}"
