"""The rules of the house that a reader relies on, checked by reading the package's sources."""
import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "aigc_lessons"
LAYERS = ("settings", "weights", "data", "ops", "losses", "show", "metrics", "models", "training", "exercises")     # from the ground up
DOORS = ("cli", "notebooks", "results", "authors")                              # programs: they import anything, nothing imports them
SOURCES = {path.relative_to(PACKAGE): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
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
            base = ".".join(here[:len(here) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "aigc_lessons":
                yield parts[1] if len(parts) > 1 else "everything"


def upward(path, tree):
    mine = room(path)
    known = {*LAYERS, *DOORS}
    allowed = known if mine in DOORS else set(LAYERS[:LAYERS.index(mine) + 1])
    return sorted(set(rooms_imported(path, tree)) - allowed - {"__version__"})


def reads_environment(tree):
    return [node.lineno for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb")
            or isinstance(node, ast.ImportFrom) and node.module == "os"
            and {alias.name for alias in node.names} & {"environ", "getenv", "environb"}]


def names_a_device(tree):
    """Lines that say "cuda", "mps" or torch.cuda. A keyword cuda= of somebody else's function is not ours to name."""
    return [node.lineno for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            and node.value.split(":")[0] in ("cuda", "mps", "xpu")
            or isinstance(node, ast.Attribute) and node.attr in ("cuda", "mps", "xpu")]


@each
def test_imports_point_down(path):
    if path != Path("__init__.py"):
        assert room(path) in LAYERS + DOORS, f"a new room: give it its place in LAYERS ({', '.join(LAYERS)})"
        assert upward(path, SOURCES[path]) == []


@each
def test_nothing_imports_what_only_authors_need(path):
    if room(path) != "authors":
        assert "authors" not in set(rooms_imported(path, SOURCES[path]))


@each
def test_only_settings_reads_the_environment(path):
    # notebooks.py hands an environment to the kernels that it starts
    if room(path) not in ("settings", "notebooks"):
        assert reads_environment(SOURCES[path]) == [], "lines; ask aigc_lessons.settings instead"


@each
def test_only_settings_names_a_device(path):
    if room(path) != "settings":
        assert names_a_device(SOURCES[path]) == [], "lines; ask aigc_lessons.settings.device() instead"


@pytest.mark.parametrize(("path", "source", "found"), [
    ("ops.py", "from . import models", ["models"]),
    ("ops.py", "def f():\n    import aigc_lessons.cli", ["cli"]),
    ("data/folder.py", "from ..show.grids import grid", ["show"]),
    ("data/folder.py", "from .. import training", ["training"]),
    ("metrics/judge.py", "from aigc_lessons.models import classifier", ["models"]),
    ("metrics/judge.py", "import aigc_lessons as al", ["everything"]),
    ("training/fit.py", "from ..models import classifier\nfrom .ema import EMA\nimport torch", []),
    ("cli.py", "from . import training, exercises", []),
])
def test_the_import_rule_bites(path, source, found):
    assert upward(Path(path), ast.parse(source)) == found


def test_the_other_rules_bite():
    assert sorted(reads_environment(ast.parse("import os\nos.getenv('A')\nos.environ['A']\nfrom os import environ"))) == [2, 3, 4]
    assert names_a_device(ast.parse("x.to('cuda:0')\ntorch.cuda.empty_cache()\n'a cuda build'\nf(cuda=True)")) == [1, 2]
