"""The rules of the house that a reader relies on, checked by reading the package's sources."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "aigc_lessons"
# From the ground up; a file imports from its own room and from those before it.
LAYERS = (
    "settings",
    "files",
    "ops",
    "blocks",
    "losses",
    "sequences",
    "fields",
    "flows",
    "diffusion",
    "editing",
    "latents",
    "data",
    "show",
    "models",
    "shipped",
    "metrics",
    "training",
    "exercises",
    "grading",
    "authors",
    "cli",
)
PROGRAMS = ("cli", "authors")  # what is run, and not imported
INSIDE = Path("exercises/inside")  # bound into the grader's sandbox, alone
SOURCES = {
    path.relative_to(PACKAGE): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))
}
each = pytest.mark.parametrize("path", SOURCES, ids=str)


def room(path):
    """The part of the package a file belongs to: "data" for data/folder.py, "ops" for ops.py."""
    return path.parts[0].removesuffix(".py")


def rooms_imported(path, tree):
    """The parts of the package that a file imports, in whatever way and wherever in the file."""
    here = ("aigc_lessons", *path.parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "aigc_lessons":
                yield parts[1] if len(parts) > 1 else "everything"


def upward(path, tree):
    return sorted(set(rooms_imported(path, tree)) - set(LAYERS[: LAYERS.index(room(path)) + 1]) - {"__version__"})


def programs_imported(path, tree):
    """The programs that a file imports, its own room left out; the command line may call what authors run."""
    allowed = {room(path), *(("authors",) if room(path) == "cli" else ())}
    return sorted(set(rooms_imported(path, tree)) & set(PROGRAMS) - allowed)


def not_in_the_sandbox(tree, neighbours):
    """What a file imports that the sandbox does not hold."""
    there = {"torch", "numpy", "safetensors", *neighbours, *sys.stdlib_module_names}
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += ["." if node.level else node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return sorted({name.split(".")[0] or "a package" for name in names} - there)


def above_a_model(path, tree):
    return sorted(set(rooms_imported(path, tree)) & {"training", "metrics", "shipped", "everything"})


def reads_environment(tree):
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv", "environb")
        or isinstance(node, ast.ImportFrom)
        and node.module == "os"
        and {alias.name for alias in node.names} & {"environ", "getenv", "environb"}
    ]


def names_a_device(tree):
    """Lines that say "cuda", "mps" or torch.cuda. A keyword cuda= of somebody else's function is not ours to name."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.split(":")[0] in ("cuda", "mps", "xpu")
        or isinstance(node, ast.Attribute)
        and node.attr in ("cuda", "mps", "xpu")
    ]


@each
def test_imports_point_down(path):
    if path != Path("__init__.py"):
        assert room(path) in LAYERS, f"a new room: give it its place in LAYERS ({', '.join(LAYERS)})"
        assert upward(path, SOURCES[path]) == []


@each
def test_nothing_imports_a_program(path):
    assert programs_imported(path, SOURCES[path]) == []


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parent == INSIDE], ids=str)
def test_the_sandbox_holds_all_that_runs_inside(path):
    neighbours = {p.stem for p in SOURCES if p.parent == INSIDE}
    assert {"worker", "frames", "observing"} <= neighbours and not_in_the_sandbox(SOURCES[path], neighbours) == []


@pytest.mark.parametrize("path", [p for p in SOURCES if room(p) == "models"], ids=str)
def test_a_model_knows_no_trainer_no_measure_and_no_weights(path):
    assert above_a_model(path, SOURCES[path]) == []


@each
def test_only_settings_reads_the_environment(path):
    # the authors' notebooks.py hands an environment to the kernels that it starts
    if path not in (Path("settings.py"), Path("authors/notebooks.py")):
        assert reads_environment(SOURCES[path]) == [], "lines; ask aigc_lessons.settings instead"


@each
def test_only_settings_names_a_device(path):
    if room(path) != "settings":
        assert names_a_device(SOURCES[path]) == [], "lines; ask aigc_lessons.settings.device() instead"


@pytest.mark.parametrize(
    ("path", "source", "found"),
    [
        ("ops.py", "from . import models", ["models"]),
        ("ops.py", "def f():\n    import aigc_lessons.cli", ["cli"]),
        ("data/folder.py", "from ..show.grids import grid", ["show"]),
        ("data/folder.py", "from .. import training", ["training"]),
        ("models/vae.py", "from aigc_lessons.metrics import judge", ["metrics"]),
        ("shipped/reading.py", "from ..training import fit", ["training"]),
        ("exercises/banks/lesson_12.py", "from ...grading import results", ["grading"]),
        ("grading/results.py", "from ..authors.recipes import RECIPES", ["authors"]),
        ("metrics/judge.py", "import aigc_lessons as al", ["everything"]),
        ("training/fit.py", "from ..models import classifier\nfrom .ema import EMA\nimport torch", []),
        ("cli.py", "from . import training, authors", []),
    ],
)
def test_the_import_rule_bites(path, source, found):
    assert upward(Path(path), ast.parse(source)) == found


def test_the_rule_of_programs_bites():
    found = [
        programs_imported(Path(path), ast.parse(source))
        for path, source in (
            ("data/folder.py", "from ..authors import datasets"),
            ("authors/results.py", "from .. import cli"),
            ("grading/export.py", "import aigc_lessons.cli"),
            ("cli.py", "from .authors.recipes import RECIPES"),
            ("authors/results.py", "from .recipes import RECIPES"),
        )
    ]
    assert found == [["authors"], ["cli"], ["cli"], [], []]


def test_the_rule_of_the_sandbox_bites():
    source = "import json, torch.nn\nfrom safetensors.torch import load\nimport frames\ndef f():\n    import scipy.stats\n    from ..engine import judge\n    import aigc_lessons"
    assert not_in_the_sandbox(ast.parse(source), {"frames"}) == ["a package", "aigc_lessons", "scipy"]
    assert not_in_the_sandbox(ast.parse(source), set()) == ["a package", "aigc_lessons", "frames", "scipy"]


def test_the_rule_of_models_bites():
    found = [
        above_a_model(Path("models/vae.py"), ast.parse(source))
        for source in (
            "from ..metrics.judge import Judge",
            "def f():\n    from .. import shipped, training",
            "import aigc_lessons as al",
            "from ..data import check_images",
        )
    ]
    assert found == [["metrics"], ["shipped", "training"], ["everything"], []]


def test_the_other_rules_bite():
    assert sorted(
        reads_environment(ast.parse("import os\nos.getenv('A')\nos.environ['A']\nfrom os import environ"))
    ) == [2, 3, 4]
    assert names_a_device(ast.parse("x.to('cuda:0')\ntorch.cuda.empty_cache()\n'a cuda build'\nf(cuda=True)")) == [1, 2]
