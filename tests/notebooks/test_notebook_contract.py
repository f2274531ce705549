"""What every notebook keeps to, so that nbval has something to compare and the files stay readable."""

import ast
import contextlib
import inspect
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

from aigc_lessons.authors import notebooks as tool
from aigc_lessons.show import texts as words

ROOT = Path(__file__).resolve().parents[2]
LESSONS, SOLUTIONS, EXERCISES = (
    sorted((ROOT / folder).glob("*.ipynb")) for folder in ("notebooks", "solutions", "exercises")
)
FRAMED = [path for path in LESSONS if (path.parent / "texts" / f"{path.stem}.toml").exists()]
PRAISE = (
    "amazing astonishing beautiful best brilliant convincing convincingly excellent great impressive lovely nice nicely perfect "
    "perfectly remarkable stunning wonderful because therefore proves"  # the last three conclude, as a caption does
).split()
NO_WORDS = "click here|here|link|this|this link|this page|more|read more"
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
    assert {"00", "11", "12", "13"} <= {path.stem[:2] for path in LESSONS}
    assert {"11", "12", "13"} <= {path.stem[:2] for path in SOLUTIONS}
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
def test_solutions_are_correct_and_exercises_not_attempted(path, folder, outcome, monkeypatch):
    """The definitions in the notebook, run apart from it and checked."""
    from aigc_lessons import exercises
    from aigc_lessons.exercises.trained import Training

    monkeypatch.setenv("AIGC_PROFILE", "smoke")

    tree = ast.parse("\n".join(cell.source for cell in code(ROOT / folder / path.name)))
    definitions = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    tree.body = [node for node in tree.body if isinstance(node, definitions)]
    answers = {}
    exec(compile(tree, path.name, "exec"), answers)
    names = exercises.names(lesson=int(path.stem[:2]))
    found = {name: exercises.check(name, answers[name]).outcome for name in names}
    # A short run under the smoke profile trains, and may miss its target
    short = {n for n in names if isinstance(exercises.get(n), Training) and (found[n], outcome) == ("wrong", "correct")}
    assert {n: found[n] for n in names if n not in short} == {n: outcome for n in names if n not in short}


@each(SOLUTIONS + EXERCISES)
def test_no_weights_are_committed(path):
    assert "data-weights" not in path.read_text(encoding="utf-8") and path.stat().st_size < 60_000


def test_weights_that_were_handed_in_are_tidied_away():
    markup = {
        "text/plain": "correct",
        "text/html": '<div data-exercise="a" data-weights="AAAA"><pre>correct</pre></div>',
    }
    cell = nbformat.v4.new_code_cell("check()", outputs=[nbformat.v4.new_output("execute_result", data=markup)])
    (kept,) = tool.tidy(nbformat.v4.new_notebook(cells=[cell])).cells[0].outputs
    assert kept.data == {"text/plain": "correct"}


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


def calls(cell):
    """The calls in a code cell: (the name that is called, the node)."""
    for node in ast.walk(ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", cell.source, flags=re.M))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def literal(node):
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def asked(cell):
    """The keys of the questions that a cell asks; None for one that is no plain string."""
    found = [node for name, node in calls(cell) if name.split(".")[-1] == "ask" and name.startswith(("al.", "ask"))]
    return [literal((node.args or [keyword.value for keyword in node.keywords])[0]) for node in found]


def shown(cell):
    """The keys of the pictures that a cell shows."""
    found = [(name, keyword) for name, node in calls(cell) for keyword in node.keywords if keyword.arg == "key"]
    return [
        literal(keyword.value)
        for name, keyword in found
        if name not in ("sorted", "min", "max") and not name.endswith((".sort", ".ask"))
    ]


def key_faults(cells, lesson):
    """Keys without words, words without a key, keys in two cells, and words in code."""
    for cell in cells:
        for name, node in calls(cell):
            if name.startswith("al.show.") and not name.endswith(".ask"):
                words_in_code = any(k.arg == "alt" for k in node.keywords) or any(map(literal, node.args))
                if words_in_code:
                    yield f"cell {cell.id}: words for {name} in the code"
    for kind, keys_in, entries in (("picture", shown, lesson.pictures), ("question", asked, lesson.questions)):
        used = [(key, cell.id) for cell in cells for key in dict.fromkeys(keys_in(cell))]
        keys = [key for key, _ in used]
        yield from (f"cell {where}: {kind} key {key!r} has no words" for key, where in used if key not in entries)
        yield from (f"no cell uses the {kind} key {key!r}" for key in entries if key not in keys)
        yield from (f"the {kind} key {key!r} is in {keys.count(key)} cells" for key in entries if keys.count(key) > 1)


def word_faults(lesson):
    """Alternative text that praises or concludes, or that is no description; captions that are missing."""
    for key, entry in lesson.pictures.items():
        alt, caption = (words.one_line(entry.get(name, "")) for name in ("alt", "caption"))
        said = [word for word in re.findall(r"[a-z]+", alt.lower()) if word in PRAISE]
        if said:
            yield f"[pictures.{key}]: alt says {said}; it is to describe"
        if len(alt) < 20 or re.match(r"(an? )?(image|picture|photo) of", alt.lower()):
            yield f"[pictures.{key}]: alt is to say what is to be seen: {alt!r}"
        if not caption or caption in alt or not caption.endswith((".", "?", "!", ".)", ":")):
            yield f"[pictures.{key}]: caption is to say in a sentence what to conclude: {caption!r}"


def question_faults(nb, lesson):
    """Questions that are not followed by a collapsed answer, or whose reason stands elsewhere on the page."""
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    for cell, after in zip(code, [*code[1:], None]):
        if asked(cell):
            if after is None or not (asked(after) or "answer" in tags(after)):
                yield f"cell {cell.id} asks, and the next code cell is not tagged `answer`"
            if "answer" in tags(cell) or len(ast.parse(cell.source).body) > 1:
                yield f"cell {cell.id} asks and does something else"
            for part in printed(cell):
                if any(
                    words.as_html(lesson.questions[k]["reason"]) in part.split("<details>")[0]
                    for k in asked(cell)
                    if k in lesson.questions
                ):
                    yield f"cell {cell.id} shows the reason outside its fold-out"
        if after is not None and "answer" in tags(after) and not (asked(cell) or "answer" in tags(cell)):
            yield f"cell {after.id} answers no question"
        if "answer" in tags(cell):
            if not cell.outputs:
                yield f"cell {cell.id} is tagged `answer` and shows nothing"
            if not (cell.metadata.get("collapsed") and cell.metadata.get("jupyter", {}).get("outputs_hidden")):
                yield f"cell {cell.id} is tagged `answer` and not collapsed"
    page = words.one_line(" ".join(cell.source for cell in nb.cells))
    yield from (
        f"[questions.{k}]: its reason stands in the notebook"
        for k, q in lesson.questions.items()
        if words.one_line(q["reason"]) in page
    )


def heading_faults(sources):
    """Another number of H1 than one, and levels that are skipped."""
    text = re.sub(r"^```.*?^```", "", "\n\n".join(sources), flags=re.M | re.S)
    levels = [len(marks) for marks in re.findall(r"^(#+)\s", text, flags=re.M)]
    if levels.count(1) != 1 or levels[0] != 1:
        yield f"levels of headings {levels}: one H1, at the top"
    yield from (f"a heading of level {b} after one of level {a}" for a, b in pairwise(levels) if b > a + 1)


def link_faults(sources):
    """Links whose words do not say where they lead."""
    for source in sources:
        source = re.sub(r"`[^`]*`", "", source)
        for text in re.findall(r"(?<!!)\[([^\]]*)\]\(", source) + re.findall(r"<a [^>]*>(.*?)</a>", source):
            if re.fullmatch(NO_WORDS, text.strip().lower()) or len(re.findall(r"[A-Za-z]", text)) < 3 or "://" in text:
                yield f"the link [{text}]: its words are to say where it leads"
        bare = re.findall(r"(?<![(\"<=\w])https?://\S+", source)
        yield from (f"{address}: a link needs words, [words](address)" for address in bare)


def lesson_of(path):
    return words.read(path.parent / "texts" / f"{path.stem}.toml")


def test_text_files_belong_to_lessons():
    names = {path.stem for path in LESSONS}
    assert {path.name.split(".")[0] for path in (ROOT / "notebooks" / "texts").glob("*.toml")} <= names


@each(FRAMED)
def test_pictures_and_questions_have_their_words_beside_the_notebook(path):
    assert [*key_faults(code(path), lesson_of(path)), *word_faults(lesson_of(path))] == []


@each(FRAMED)
def test_no_answer_stands_before_its_question(path):
    assert list(question_faults(nbformat.read(path, 4), lesson_of(path))) == []


@each(FRAMED)
def test_headings_and_links_can_be_heard(path):
    assert [*heading_faults(prose(path)), *link_faults(prose(path))] == []


@each(FRAMED)
def test_code_is_at_most_100_columns_wide(path):
    wide = [(cell.id, line) for cell in code(path) for line in cell.source.splitlines() if len(line) > 100]
    assert wide == []


@each(FRAMED)
def test_pictures_are_small_files(path):
    for cell in code(path):
        for part in (output.get("data", {}).get("text/html", "") for output in cell.outputs):
            sizes = [len(data) * 3 // 4 for data in re.findall(r"base64,([A-Za-z0-9+/=]+)", part)]
            assert max(sizes, default=0) <= 40_000, f"cell {cell.id}: {sizes}"


def trial(*cells):
    """A notebook of code cells (source, tags), as the tool would store it; each has an output."""
    made = [
        nbformat.v4.new_code_cell(
            source, metadata={"tags": list(marks)}, outputs=[nbformat.v4.new_output("stream", text="1")]
        )
        for source, *marks in cells
    ]
    return tool.tidy(nbformat.v4.new_notebook(cells=made))


PICTURE = {"alt": "Four grey squares in a row", "caption": "None is white."}
QUESTION = {"text": "Why?", "number": 1, "tolerance": 0, "reason": "It counts."}
SHOW, ASK = 'al.show.grid(x, key="a")', 'al.show.ask("q")'


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ([(SHOW,), (ASK,), ("y", "answer")], None),
        ([(ASK,), (SHOW, "answer")], None),
        ([('al.show.grid(x, alt="Squares")\n' + SHOW,), (ASK,), ("y", "answer")], "words for al.show.grid"),
        ([('al.show.grid(x, "Squares")\n' + SHOW,), (ASK,), ("y", "answer")], "words for al.show.grid"),
        ([('al.show.grid(x, key="b")\n' + SHOW,), (ASK,), ("y", "answer")], "'b' has no words"),
        ([("al.show.grid(x, key=name)\n" + SHOW,), (ASK,), ("y", "answer")], "None has no words"),
        ([(ASK,), ("y", "answer")], "no cell uses the picture key 'a'"),
        ([(SHOW,), (SHOW,), (ASK,), ("y", "answer")], "in 2 cells"),
        ([(SHOW,)], "no cell uses the question key 'q'"),
        ([(SHOW,), (ASK,)], "not tagged"),
        ([(ASK,), (SHOW,), ("y", "answer")], "not tagged"),
        ([(SHOW,), (ASK + "\nprint(1)",), ("y", "answer")], "something else"),
        ([("y", "answer"), (SHOW,), (ASK,), ("y", "answer")], None),
        ([(SHOW,), ("y", "answer"), (ASK,), ("y", "answer")], "answers no question"),
        ([(SHOW,), (ASK,), ("y  # It counts.", "answer")], "reason stands in the notebook"),
    ],
)
def test_the_rules_of_keys_and_questions_bite(cells, fault):
    nb, lesson = trial(*cells), words.Texts("", {"a": PICTURE}, {"q": QUESTION})
    found = [*key_faults(nb.cells, lesson), *question_faults(nb, lesson)]
    assert (fault is None) == (found == []) and all(fault in line for line in found[:1]), found


def test_an_answer_that_is_not_collapsed_is_found():
    nb, lesson = trial((ASK,), ("y", "answer")), words.Texts("", {}, {"q": QUESTION})
    assert list(question_faults(nb, lesson)) == []
    nb.cells[1].metadata.jupyter.outputs_hidden = False
    assert ["not collapsed" in fault for fault in question_faults(nb, lesson)] == [True]
    nb.cells[1].outputs = []
    assert ["shows nothing" in fault for fault in question_faults(nb, lesson)][0]


@pytest.mark.parametrize(
    ("alt", "caption", "faults"),
    [
        ("Four grey squares in a row", "None is white.", 0),
        ("Four beautiful grey squares in a row", "None is white.", 1),
        ("Picture of four grey squares in a row", "None is white.", 1),
        ("Squares", "None is white.", 1),
        ("Four grey squares in a row", "", 1),
        ("Four grey squares in a row.", "Four grey squares in a row.", 1),
        ("The squares are grey, which proves it", "None", 2),
    ],
)
def test_the_rule_of_words_bites(alt, caption, faults):
    assert len(list(word_faults(words.Texts("", {"a": {"alt": alt, "caption": caption}}, {})))) == faults


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        ("# A\n## B\n### C\n## D", 0),
        ("# A\n```\n# no heading\n```\n## B", 0),
        ("## A\n# B", 1),
        ("# A\n# B", 1),
        ("# A\n### B", 1),
        ("[lesson 12](12.ipynb) and `[x](y)`, ![four squares](a.png)", 0),
        ("[here](12.ipynb)", 1),
        ("[12](12.ipynb)", 1),
        ("[https://a.org](https://a.org)", 2),
        ("see https://a.org", 1),
    ],
)
def test_the_rules_of_headings_and_links_bite(source, faults):
    assert len([*(heading_faults([source]) if source[0] == "#" else []), *link_faults([source])]) == faults


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "notebooks" / "00_start_here.ipynb"], ids=lambda path: path.name
)
def test_the_map_counts_each_lessons_exercises(path):
    from aigc_lessons import exercises

    rows = re.findall(r"\[(\d+)(?: exercises?)?\]\((?:\.\./)?exercises/(\d\d)_", path.read_text(encoding="utf-8"))
    assert [int(lesson) for _, lesson in rows] == sorted({exercises.get(name).lesson for name in exercises.names()})
    assert {lesson: int(n) for n, lesson in rows} == {lesson: len(exercises.names(int(lesson))) for _, lesson in rows}


def definitions(path):
    """The functions that a lesson's cells define, by name, with the imports and constants that stand beside them."""
    tree = ast.parse("\n".join(re.sub(r"^(\s*)[%!].*$", r"\1pass", cell.source, flags=re.M) for cell in code(path)))
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    constant = lambda node: isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    space = {}
    for node in tree.body:
        if isinstance(node, kept) or constant(node):
            with contextlib.suppress(
                NameError
            ):  # of a default that a cell computes: that function answers nothing by itself
                exec(compile(ast.Module([node], []), path.name, "exec"), space)
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return {name: space[name] for name in sorted(defined & space.keys())}


def takes(function, exercise):
    """Whether a function can be called with as many arguments as the exercise's reference has parameters."""
    try:
        inspect.signature(function).bind(*inspect.signature(exercise.reference).parameters)
    except TypeError:
        return False
    return True


@each([path for path in LESSONS if (path.parent / "texts" / f"{path.stem}.toml").exists() and path.stem[:2] != "00"])
def test_no_cell_of_a_lesson_answers_its_exercise(path):
    from aigc_lessons import exercises
    from aigc_lessons.exercises.engine import Exercise

    asked = [exercises.get(name) for name in exercises.names(int(path.stem[:2]))]
    asked = [e for e in asked if isinstance(e, Exercise) and inspect.signature(e.reference).parameters]
    functions = definitions(path)
    assert functions
    pairs = [(name, e.name) for name, f in functions.items() for e in asked if takes(f, e)]
    answers = [(name, asks) for name, asks in pairs if exercises.check(asks, functions[name]).outcome == "correct"]
    assert not answers
