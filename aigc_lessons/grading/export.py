"""The exercises for those who use another system: a course folder for nbgrader, an autograder for Gradescope. See TEACHING.md."""

import importlib.metadata
import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

from ..exercises import get, names
from ..exercises.inside import loading
from ..exercises.trained import Training
from ..files import write_atomically
from ..settings import COURSE
from . import sandbox, submissions
from .results import grade_one, new_seed, tasks_of

BEGIN = "### BEGIN SOLUTION"
# no weights, no pictures, but what measures weights that are handed in
COURSE_FILES = ("pyproject.toml", "README.md", "LICENSE*", "aigc_lessons/**/*.py", "aigc_lessons/**/*.json")
MEASURES = ("aigc_lessons/data/carried/digits.npz", "aigc_lessons/shipped/classifier-digits.safetensors")

NBGRADER_CONFIG = """c = get_config()
c.CourseDirectory.course_id = "aigc-lessons"
c.ClearSolutions.begin_solution_delimeter = "BEGIN SOLUTION"
c.ClearSolutions.end_solution_delimeter = "END SOLUTION"
# Two holes that nbgrader leaves open: a learner's cell may be tagged to be skipped, and a deleted test cell stays away.
c.Execute.skip_cells_with_tag = "{tag}"
c.OverwriteCells.add_missing_cells = True
"""


def nbgrader(out, tag):
    """A course folder: nbgrader_config.py, and source/NN_name/NN_name.ipynb with nbgrader's metadata, one folder a lesson.

    `nbgrader generate_assignment NN_name`, run there, makes release/. nbgrader's own autograder runs a submission and its checks in one
    process, where a submission can change its grade; let `aigc-lessons grade` decide.

    Args: out: a new or empty folder. tag: a random word, which no learner knows.
    Returns: the assignments' names.
    """
    import nbformat

    made = []
    trained = [n for n in names() if isinstance(get(n), Training)]  # nbgrader would train anew for each learner
    written = [n for n in names() if n not in trained]
    for path in sorted((COURSE / "solutions").glob("*.ipynb")):
        book = nbformat.read(path, 4)
        book.cells = _without(book.cells, trained)
        for cell in book.cells:
            source = cell.source.strip()
            cell.metadata.pop("nbgrader", None)
            if cell.cell_type != "code":
                continue
            cell.outputs, cell.execution_count = [], None
            name = next((n for n in written if f"def {n}(" in source or f"class {n}" in source), None)
            checked = next((n for n in written if source.startswith(f'al.exercises.check("{n}"')), None)
            if name and BEGIN in source:
                cell.metadata["nbgrader"] = _mark(name, solution=True)
            elif checked:  # a check prints; nbgrader gives points for cells that raise nothing
                cell.source = f'result = {source}\nprint(result)\nassert result.outcome == "correct"'
                cell.metadata["nbgrader"] = _mark(
                    f"check_{checked}", grade=True, locked=True, points=get(checked).points
                )
        folder = out / "source" / path.stem
        folder.mkdir(parents=True)
        nbformat.write(book, folder / path.name)
        made.append(path.stem)
    (out / "nbgrader_config.py").write_text(NBGRADER_CONFIG.format(tag=tag), encoding="utf-8")
    return made


def _without(cells, tasks):
    """A notebook's cells but for those of some exercises: the text, the answer and the check of each."""
    checks = tuple(f'al.exercises.check("{name}"' for name in tasks)
    last = {k for k, cell in enumerate(cells) if cell.source.startswith(checks)}
    return [cell for k, cell in enumerate(cells) if not last & {k, k + 1, k + 2}]


def _mark(grade_id, grade=False, solution=False, locked=False, points=None):
    mark = {
        "grade_id": grade_id,
        "grade": grade,
        "solution": solution,
        "locked": locked,
        "task": False,
        "schema_version": 3,
    }
    return mark if points is None else {**mark, "points": points}


# What the grader imports, and what honest answers do. Of PyTorch, the build for the CPU where its own index can be reached: PyPI's
# brings gigabytes of libraries for GPUs and takes twice the memory. A virtual environment, because the pip of Ubuntu 22.04 knows no
# --break-system-packages and that of later ones installs nothing without it.
NEEDED = ("torch", "numpy", "safetensors", "tqdm", "scipy", "scikit-learn", "scikit-image")
WAIT, PATIENCE = 540, 60.0  # seconds: of the 10 minutes of a submission, and for one exercise at most
START = 12.0  # seconds that a worker takes to start on half a processor
SETUP = """#!/usr/bin/env bash
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
apt-get update -qq
apt-get install -y -qq python3-pip python3-venv bubblewrap
python3 -m venv /autograder/venv
python=/autograder/venv/bin/python
"$python" -m pip install --no-deps --retries 2 --index-url https://download.pytorch.org/whl/cpu "{torch}" ||
  echo "No PyTorch for CPUs could be had; the one of PyPI is installed, which is larger."
"$python" -m pip install -r /autograder/source/requirements.txt
"$python" -m pip install --no-deps /autograder/source/course
"""

RUN = """#!/usr/bin/env bash
cd /
# what counts if the grader is killed: it replaces this file when it has finished
cp /autograder/source/stopped.json /autograder/results/results.json
timeout --kill-after=10 {wait} /autograder/venv/bin/python -I -m aigc_lessons.grading.export \\
  /autograder/submission /autograder/results/results.json {lesson}{trust}
exit 0
"""
STOPPED = "The grader was stopped before it had finished: too little time or memory. Nothing was graded; hand in again, or ask your teacher."


def gradescope(out, lesson, trust=False):
    """Write an autograder for one lesson: a zip with setup.sh, run_autograder and the course, without most of its weights and pictures.

    trust: grade without a sandbox where the platform lets none run; otherwise nothing is graded there, and the learner's page says so.
    """
    trains = any(isinstance(get(name), Training) for name in names(lesson))  # refuses a lesson that has no exercises
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:

        def add(name, text, mode=0o644):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            file.writestr(entry, text)

        needed = _requirements()
        add("setup.sh", SETUP.format(torch=needed[0]), 0o755)
        run = RUN.format(lesson=lesson, trust=" --trust" if trust else "", wait=WAIT)
        add("run_autograder", run, 0o755)
        add("requirements.txt", "\n".join([*needed, "einops"]) + "\n")
        add("stopped.json", json.dumps(gradescope_results(_stopped(lesson), sandboxed=True)))
        for path in sorted(p for pattern in (*COURSE_FILES, *MEASURES * trains) for p in COURSE.glob(pattern)):
            add(f"course/{path.relative_to(COURSE)}", path.read_bytes())
    Path(out).write_bytes(data.getvalue())


def _requirements():
    """Lines of NEEDED with the versions that the course was made for."""
    ranges = {re.match(r"[\w-]+", line)[0]: line for line in importlib.metadata.requires("aigc-lessons")}
    return [ranges[name] for name in NEEDED]


def _stopped(lesson):
    entry = lambda name: {"name": name, "points": 0, "of": get(name).points, "reason": "not graded"}
    return {"reason": STOPPED, "flags": [], "exercises": [entry(name) for name in names(lesson)]}


def gradescope_results(row, sandboxed):
    """A graded row as Gradescope's results.json wants it: a test an exercise, with its points and its sentence."""
    output = row["reason"] or " ".join(
        [*filter(None, [row["note"], "" if sandboxed else "Graded without a sandbox."]), *row["troubles"]]
    )
    return {
        "output": output,
        "stdout_visibility": "hidden",
        "tests": [
            {
                "name": e["name"],
                "score": e["points"],
                "max_score": e["of"],
                "output": e["reason"],
                "visibility": "visible",
            }
            for e in row["exercises"]
        ],
        "extra_data": {"flags": row["flags"]},
    }


def _not_one(found):
    """What to say where not exactly one file counts."""
    problem = next((s.problem for s in found if s.problem), None)
    return problem or f"Hand in one notebook or .py file; there are {len(found)}."


def main(folder, results, lesson, trust=None):
    """Grade the one submission in a folder and write results.json: what Gradescope runs. trust: "--trust", or nothing."""
    lesson, folder = int(lesson), Path(folder).resolve()
    tasks = tasks_of(lesson, new_seed())
    handed_in = submissions.find(folder, {lesson}, lesson, learner="learner")
    counted = [s for s in handed_in if s.counts]
    nothing = submissions.Submission("learner", lesson, folder)
    submission = counted[0] if len(counted) == 1 else replace(nothing, problem=_not_one(counted))
    no_sandbox = sandbox.unavailable()
    if no_sandbox and trust != "--trust":
        problem = "Nothing was graded: this platform lets no sandbox run. Your teacher has to decide."
        submission = replace(submission, problem=problem)
    trusted = bool(no_sandbox) and trust == "--trust"
    # each exercise may hang, in a worker of its own, after cells that took all the time that they get
    timeout = min(PATIENCE, (WAIT / len(tasks) - START) / (1 + sandbox.CELL * loading.SHARE))
    row = grade_one(submission, tasks, timeout, trusted)
    write_atomically(results, json.dumps(gradescope_results(row, not trusted)).encode())


if __name__ == "__main__":
    import sys

    main(*sys.argv[1:])
