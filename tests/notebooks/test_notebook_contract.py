"""What every notebook keeps to, so that nbval has something to compare and the files stay readable."""

import ast
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

from aigc_lessons.authors import notebooks as tool

ROOT = Path(__file__).resolve().parents[2]
LESSONS, SOLUTIONS, EXERCISES = (
    sorted((ROOT / folder).glob("*.ipynb")) for folder in ("notebooks", "solutions", "exercises")
)
UNCHECKED = {"nbval-ignore-output", "nbval-skip", "raises-exception"}
HEADINGS = ("What you will be able to do", "Before you start", "Exercises", "Summary", "References")
MAP = "00_start_here"  # the map of the course has no exercises and no references
NUMBER = r"\d+(?:\.\d+)?"


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: f"{path.parent.name}/{path.stem}")


def tags(cell):
    return set(cell.metadata.get("tags", []))


def code(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def checked(path):
    """The cells whose output nbval compares."""
    return [cell for cell in code(path) if not UNCHECKED & tags(cell)]


def prose(path):
    return [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]


def printed(cell):
    """Everything a cell left as text: streams, text/plain, HTML without the bytes of its pictures."""
    for output in cell.outputs:
        data = output.get("data", {})
        for part in (output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")):
            yield re.sub(r"base64,[A-Za-z0-9+/=]+", "", part)


class Images(HTMLParser):
    """Collects the <img> tags that have no alternative text."""

    def __init__(self, html):
        super().__init__()
        self.without_text = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag == "img" and not (dict(attributes).get("alt") or "").strip():
            self.without_text.append(self.get_starttag_text()[:80])


def test_the_lessons_exist():
    assert {"00", "11", "12", "13", "14"} <= {path.stem[:2] for path in LESSONS}
    assert {"11", "12", "13", "14"} <= {path.stem[:2] for path in SOLUTIONS}
    names = {path.name for path in LESSONS}
    assert {path.name for path in SOLUTIONS} <= names, "a solution bears the name of its lesson"


def test_numbers_are_not_used_twice():
    assert not [(a.name, b.name) for a, b in pairwise(LESSONS) if a.stem[:2] == b.stem[:2]]
    assert not [path.name for path in LESSONS if not re.fullmatch(r"\d\d_[a-z0-9_]+", path.stem)]


@each(LESSONS + SOLUTIONS + EXERCISES)
def test_valid_and_tidy(path):
    raw = path.read_text(encoding="utf-8")
    nbformat.validate(json.loads(raw))
    assert raw == tool.text(tool.tidy(tool.read(path))), f"python -m aigc_lessons.authors.notebooks tidy {path}"


@each(LESSONS + SOLUTIONS + EXERCISES)
def test_begins_with_the_setup_cell(path):
    first = code(path)[0]
    assert "setup" in tags(first)
    assert first.source == tool.setup(path), f"python -m aigc_lessons.authors.notebooks setup {path}"


@each(LESSONS + SOLUTIONS + EXERCISES)
def test_every_picture_has_alternative_text(path):
    for source in prose(path):
        assert not re.search(r"!\[\s*\]\(", source), source[:80]
        assert not Images(source).without_text
    for cell in code(path):
        for output in cell.outputs:
            data = output.get("data", {})
            bare = [kind for kind in data if kind.startswith("image/")]
            assert not bare, f"cell {cell.id} shows {bare}, without alternative text: use al.show"
            assert not Images(data.get("text/html", "")).without_text, f"cell {cell.id}"


@each(LESSONS + SOLUTIONS)
def test_ran_from_top_to_bottom(path):
    """nbval compares nothing in a cell without an execution count: stripped notebooks would pass."""
    cells = [cell for cell in code(path) if "nbval-skip" not in tags(cell)]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@each(LESSONS + SOLUTIONS)
def test_nothing_went_wrong(path):
    for cell in code(path):
        for output in cell.outputs:
            if "raises-exception" not in tags(cell):
                assert output.output_type != "error", f"cell {cell.id}: {output.ename}"
            assert output.get("name") != "stderr", f"cell {cell.id} wrote to stderr: {output.text[:200]}"
        for part in printed(cell):
            found = re.search(r"(/tmp|/root|/home|/Users|/work|\b[A-Z]:\\\w)[^\s<]*", part)
            assert not found, f"cell {cell.id} shows a path of the machine it ran on: {found[0]}"


@each(LESSONS)
def test_the_strict_comparison_compares_numbers(path):
    """At least two cells must print a number that does not already stand in their source."""

    def computed(cell):
        shown = [
            output.get("text") or output.get("data", {}).get("text/plain", "")
            for output in cell.outputs
            if "text/html" not in output.get("data", {})
        ]
        return set(re.findall(NUMBER, " ".join(shown))) - set(re.findall(NUMBER, cell.source))

    assert len([cell for cell in checked(path) if computed(cell)]) >= 2


@each(LESSONS)
def test_compared_cells_can_be_compared(path):
    for cell in checked(path):
        if "setup" in tags(cell):
            continue
        assert not re.search(r";\s*(#.*)?$", cell.source), f"cell {cell.id}: nbval ignores a closing ';'"
        for word in ("clear_output", r"\btime\.", "perf_counter", r"\btqdm", "update_display", r"interact\("):
            assert not re.search(word, cell.source), f"cell {cell.id} is compared, but uses {word}"
        for part in printed(cell):
            long = re.findall(r"(?<![\w.])\d+\.\d{5,}", part)
            assert not long, f"cell {cell.id}: round before printing: {long[:3]}"


@each(LESSONS + SOLUTIONS + EXERCISES)
def test_small(path):
    assert path.stat().st_size <= 700_000
    for cell in code(path):
        for output in cell.outputs:
            assert len(json.dumps(output)) <= 200_000, f"an output of cell {cell.id}"


@each(LESSONS + SOLUTIONS + EXERCISES)
def test_cells_are_short_python(path):
    lengths = []
    for cell in code(path)[1:]:
        tree = ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", cell.source, flags=re.M))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not any(node.names[0].name == "*" for node in imports), f"cell {cell.id}: import names, not *"
        lengths.append(len(cell.source.splitlines()))
        assert lengths[-1] <= 40, f"cell {cell.id}"
    if path in LESSONS:
        assert sum(n <= 15 for n in lengths) > len(lengths) / 2, f"lengths of cells: {sorted(lengths)}"


@each(LESSONS)
def test_says_what_it_is_for(path):
    headings = re.findall(r"^#+\s+(.*)$", "\n".join(prose(path)), flags=re.M)
    wanted = [h for h in HEADINGS if not (path.stem == MAP and h in ("Exercises", "References"))]
    missing = [h for h in wanted if not any(h in heading for heading in headings)]
    assert not missing, f"no heading {missing} among {headings}"
    (before,) = re.findall(r"^#+\s+Before you start.*\n((?:(?!#).*\n?)*)", "\n\n".join(prose(path)), flags=re.M)
    assert re.search(r"\d+ (minute|second)", before), "`Before you start` gives the measured minutes"


@each(SOLUTIONS)
def test_solutions_hold_the_exercises_of_their_lesson(path):
    from aigc_lessons import exercises

    sources = "\n".join(cell.source for cell in code(path))
    names = set(exercises.names(lesson=int(path.stem[:2])))
    assert names
    assert set(re.findall(r"\bcheck\(\s*[\"'](\w+)[\"']", sources)) == names
    assert set(re.findall(r"^(?:def|class) (\w+)", sources, flags=re.M)) >= names


@pytest.mark.parametrize(("folder", "outcome"), [("solutions", "correct"), ("exercises", "not_attempted")])
@each(SOLUTIONS)
def test_solutions_are_correct_and_exercises_not_attempted(path, folder, outcome):
    """The definitions in the notebook, run apart from it and checked."""
    from aigc_lessons import exercises

    tree = ast.parse("\n".join(cell.source for cell in code(ROOT / folder / path.name)))
    definitions = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    tree.body = [node for node in tree.body if isinstance(node, definitions)]
    answers = {}
    exec(compile(tree, path.name, "exec"), answers)
    names = exercises.names(lesson=int(path.stem[:2]))
    assert {name: exercises.check(name, answers[name]).outcome for name in names} == dict.fromkeys(names, outcome)


def test_exercises_are_up_to_date():
    assert tool.exercises(ROOT, check=True) == [], "make exercises"
    assert [path.name for path in EXERCISES] == [path.name for path in SOLUTIONS]


@each(SOLUTIONS)
def test_an_exercise_differs_from_its_solution_in_the_blanks_only(path):
    """Compared cell by cell without the tool that made it."""
    mine, theirs = nbformat.read(path, 4), nbformat.read(ROOT / "exercises" / path.name, 4)
    assert mine.metadata == theirs.metadata
    heads = [[(c.id, c.cell_type, c.metadata) for c in nb.cells] for nb in (mine, theirs)]
    assert heads[0] == heads[1]
    blanks = 0
    for solution, exercise in zip(mine.cells, theirs.cells, strict=True):
        if solution.cell_type == "code":
            assert exercise.outputs == [] and exercise.execution_count is None
        kept = re.split(r"^ +### BEGIN SOLUTION\n(?:.*\n)*? +### END SOLUTION$", solution.source, flags=re.M)
        raising = r'^ +raise NotImplementedError\("\w+: write your answer here"\)$'
        stub = re.split(raising, exercise.source, flags=re.M)
        assert kept == stub, f"cell {solution.id}"
        blanks += len(kept) - 1
    assert blanks > 0
