"""A class of 100 submissions of lesson 12, by hand: python tests/grading/bench_class.py [--jobs 2]

60 right ones, 30 with known mistakes, 7 that raise or stop half-way, 3 that hang in one exercise. Prints the seconds and the judge's
largest memory, and ends with 1 if they are above 180 s or 1.5 GB on 2 cores.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import bank
from tqdm import tqdm

from aigc_lessons.grading import feedback, results

SECONDS, MEMORY = 180, 1_500_000_000

# from a right answer to one with a known mistake: what is replaced, by what
MISTAKES = {
    "conv2d": ("return out if bias is None else out + bias[:, None, None]", "return out"),
    "max_pool2d": ("amax", "amin"),
    "conv_transpose2d": ("] += stamp", "] = stamp"),
    "receptive_field": ("(kernel - 1) * step", "kernel * step"),
}
OTHER = {
    "raises": ("max_pool2d", "raise ValueError(x)"),
    "ends": ("conv2d", "import os\nos._exit(1)"),
    "hangs": ("conv_transpose2d", "while True:\n    pass"),
}


def submission(number):
    """(what it is, its notebook), by number: the same class in every run."""
    what = (
        "hangs"
        if number % 33 == 5
        else "ends"
        if number % 40 == 7
        else "raises"
        if number % 20 == 11
        else "wrong"
        if number % 3 == 1
        else "right"
    )
    bodies = dict(bank.RIGHT)
    if what == "wrong":
        for name in list(MISTAKES)[: 1 + number % 4]:
            old, new = MISTAKES[name]
            assert old in bodies[name]
            bodies[name] = bodies[name].replace(old, new)
    elif what in OTHER:
        name, body = OTHER[what]
        bodies[name] = body
    cells = [f"# learner {number}\n%matplotlib inline", "import aigc_lessons as al"]
    for name, body in bodies.items():
        cells += [bank.answer(name, body), f'al.exercises.check("{name}", {name})']
    return what, bank.as_notebook(cells)


def main(jobs):
    with tempfile.TemporaryDirectory() as folder:
        root, out = Path(folder) / "submissions", Path(folder) / "out"
        whats = {}
        for number in range(100):
            what, content = submission(number)
            learner = f"learner {number:03}"
            whats[learner] = what
            (root / learner).mkdir(parents=True)
            (root / learner / "12_convolution.ipynb").write_bytes(content)
        started = time.perf_counter()
        rows = results.grade(root, out, jobs=jobs, progress=lambda n, finished: tqdm(finished, total=n))
        feedback.write(rows, out, trusted=False)
        seconds = time.perf_counter() - started
        book = json.loads((out / "grades.json").read_text(encoding="utf-8"))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux gives kilobytes
    counts = {what: list(whats.values()).count(what) for what in sorted(set(whats.values()))}
    full = sum(row["points"] == row["of"] for row in book["rows"])
    named = sum(e["mistake"] is not None for row in book["rows"] for e in row["exercises"])
    print(f"{len(rows)} submissions, {counts}; {full} with all points, {named} mistakes named")
    print(
        f"{seconds:.0f} s with {jobs} jobs (at most {SECONDS}); the judge's memory {memory / 1e9:.2f} GB (at most {MEMORY / 1e9})"
    )
    assert full == counts["right"] and len(rows) == 100
    return seconds > SECONDS or memory > MEMORY


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=2)
    sys.exit(main(parser.parse_args().jobs))
