"""grade: a fair number and a useful sentence for each submission. The bank, cases and comparison are the self-check's own;
here are only isolation (sandbox.py), fresh seeds, and books that survive a stop."""
import hashlib
import json
import secrets
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from . import get, names, sandbox, submissions
from .engine import STUB, fault, prepare, seen_in, verdict

JUDGING = threading.Lock()      # naming a mistake runs it, with torch's one random state
SOURCES = [p for p in sorted(Path(__file__).parent.glob("*.py"))]


def version():
    """Changes when the bank or the grader does, so that a second run grades anew."""
    return hashlib.sha256(b"".join(p.read_bytes() for p in SOURCES)).hexdigest()[:16]


def fingerprint(submission, timeout, seed):
    """What a grade rests on. Equal: the same grade holds."""
    data = submission.path.read_bytes() if submission.problem is None and submission.path.stat().st_size <= submissions.LARGEST else b""
    parts = (version(), str(submission.lesson), str(timeout), str(seed), submission.problem or "", hashlib.sha256(data).hexdigest())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def new_seed():
    """One that nobody knows before."""
    return secrets.randbelow(2**31)


class Lessons:
    """The prepared cases of each lesson asked for, made once a run: {lesson: list of (exercise, prepared)}."""

    def __init__(self, seed):
        self.seed, self.made = seed, {}

    def __getitem__(self, lesson):
        if lesson not in self.made:
            self.made[lesson] = [(get(name), prepare(get(name), self.seed)) for name in names(lesson)]
        return self.made[lesson]


def grade_one(submission, tasks, timeout, trusted):
    """The row of one submission: a dictionary of plain values."""
    started = time.monotonic()
    row = {"learner": submission.learner, "lesson": submission.lesson, "file": submission.path.name, "reason": "", "flags": [], "exercises": []}
    reason = submission.problem
    if reason is None:
        try:
            sources = submissions.read(submission.path)
        except (ValueError, OSError) as error:
            reason = str(error)
    if reason is not None:
        row["reason"] = reason
        row["exercises"] = [_entry(exercise, "not graded", reason) for exercise, _ in tasks]
    else:
        row["flags"] = submissions.flags(sources)
        with tempfile.TemporaryDirectory(prefix="grade-") as folder:
            found = sandbox.collect(sources, tasks, folder, timeout, trusted)
        for exercise, prepared in tasks:
            with JUDGING:
                row["exercises"].append(_judged(exercise, prepared, found[exercise.name]))
            if "library call" in row["exercises"][-1]["reason"]:
                row["flags"].append(f"{exercise.name}: {row['exercises'][-1]['reason']}")
    row["points"] = sum(e["points"] for e in row["exercises"])
    row["of"] = sum(e["of"] for e in row["exercises"])
    row["seconds"] = round(time.monotonic() - started, 2)
    return row


def _entry(exercise, outcome, reason, points=0, mistake=None):
    return {"name": exercise.name, "outcome": outcome, "points": points, "of": exercise.points, "reason": reason, "mistake": mistake}


def _judged(exercise, prepared, found):
    """One exercise's entry. Its reason names a mistake or a case, never an input."""
    if found == "absent":
        return _entry(exercise, "not_attempted", f"{exercise.name} is not defined in this file.")
    if isinstance(found, str):
        return _entry(exercise, "error", found)
    errors = [o.error for o in found if o is not None and o.error is not None]
    if any(isinstance(e, NotImplementedError) and str(e) in ("", STUB.format(name=exercise.name)) for e in errors):
        return _entry(exercise, "not_attempted", "The answer is still the empty one.")
    library = [str(e).removeprefix("library call: ") for e in errors if str(e).startswith("library call: ")]
    if library and exercise.from_scratch:
        return _entry(exercise, "wrong", f"A library call, {library[0][:60]}, does what is to be written from scratch.")
    if None in found:
        return _entry(exercise, "error", f"There is no answer to {found.count(None)} of {len(found)} cases.")
    seen = [seen_in(observation, expected) for observation, expected in zip(found, prepared)]
    result = verdict(exercise, seen, prepared)
    if result.outcome == "correct":
        return _entry(exercise, "correct", "Correct.", result.points)
    if result.mistake:
        return _entry(exercise, result.outcome, f"{result.mistake}: {result.hint}", 0, result.mistake)
    if errors:
        return _entry(exercise, "error", f"It raises {type(errors[0]).__name__} in {len(errors)} of {len(found)} cases.")
    wrong = [e.case.label.split(". The result")[0] for s, e in zip(seen, prepared) if fault(s, e, exercise.differentiable)]
    return _entry(exercise, "wrong", f"Wrong in {len(wrong)} of {len(found)} cases, such as: {wrong[0]}.")


def grade(root, out, lesson=None, jobs=2, timeout=20.0, trusted=False, seed=None, progress=lambda n, finished: finished):
    """Grade every submission below `root`, and keep each row in out/rows as soon as it stands: list of rows.

    Args:
        lesson: that one only. jobs: submissions at a time. timeout: seconds for an exercise. trusted: without a sandbox.
        seed: repeats a run; None draws a new one, and grades that stand stay.
        progress: function (how many will be graded, iterator of the finished) -> iterator, to show them.
    """
    from ..training.checkpoint import write_atomically
    root, out = Path(root), Path(out)
    lessons = {get(name).lesson for name in names()}
    found = submissions.find(root, lessons, lesson)
    books = Lessons(new_seed() if seed is None else seed)
    (out / "rows").mkdir(parents=True, exist_ok=True)
    rows, waiting = {}, []
    for submission in found:
        key = hashlib.sha256(str(submission.path.relative_to(root)).encode()).hexdigest()[:24]
        kept = out / "rows" / f"{key}.json"
        print_of = fingerprint(submission, timeout, seed)
        try:
            row = json.loads(kept.read_text(encoding="utf-8"))
            if row["fingerprint"] == print_of:
                rows[key] = row
                continue
        except (OSError, ValueError, KeyError, TypeError):
            pass
        waiting.append((submission, key, print_of))
    for lesson_number in {s.lesson for s, _, _ in waiting if s.lesson in lessons}:
        books[lesson_number]                                # prepared here, once, before threads share it
    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(grade_one, s, books[s.lesson] if s.lesson in lessons else [], timeout, trusted): (s, key, p) for s, key, p in waiting}
        try:
            for done in progress(len(running), as_completed(running)):
                submission, key, print_of = running[done]
                rows[key] = {**done.result(), "fingerprint": print_of}
                write_atomically(out / "rows" / f"{key}.json", json.dumps(rows[key]).encode())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return sorted(rows.values(), key=lambda row: (row["learner"], row["lesson"] or 0, row["file"]))
