"""grade: a fair number and a useful sentence for each submission. The bank, cases and comparison are the self-check's own;
here are only isolation (sandbox.py), fresh seeds, and results that survive a stop."""

import builtins
import hashlib
import json
import os
import re
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from ..exercises import get, names
from ..exercises.engine import (
    BY_HAND,
    CALLS,
    fault,
    is_stub,
    of_a_cell,
    prepare,
    seen_in,
    sentence,
    trouble_of,
    verdict,
    where,
)
from ..exercises.trained import Training, judge_training
from ..files import write_atomically
from . import sandbox, submissions

FLAGS, FLAG = 40, 120  # how many flags a row has at most, and characters of each
FAILED = "The grader failed here, so a person must look, and the next run tries again:"
SHOWN = 5  # cells that did not run, in a row
JUDGING = threading.Lock()  # naming a mistake runs it, with torch's one random state
SOURCES = sorted(Path(__file__).parents[1].rglob("*.py"))


def version():
    """Changes when the course does, so that a second run grades anew."""
    return hashlib.sha256(b"".join(p.read_bytes() for p in SOURCES)).hexdigest()[:16]


def fingerprint(submission, timeout, seed):
    """What a grade rests on. Equal: the same grade holds."""
    try:
        data = b"" if submission.problem else submissions.content(submission.path, submission.member, submission.root)
    except (OSError, ValueError) as error:  # no permission, say; grade_one says so
        data = str(error).encode("utf-8", "replace")
    parts = (
        version(),
        str(submission.lesson),
        str(timeout),
        str(seed),
        submission.problem or "",
        f"{submission.member}\n{submission.note}\n{submission.counts}",
        hashlib.sha256(data).hexdigest(),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def new_seed():
    """One that nobody knows before."""
    return secrets.randbelow(2**31)


def tasks_of(lesson, seed):
    """The exercises of a lesson, each with its prepared cases; what is trained with the seed of its data."""
    exercises = [get(name) for name in names(lesson)]
    return [(e, seed if isinstance(e, Training) else prepare(e, seed)) for e in exercises]


class Lessons:
    """The prepared cases of each lesson asked for, made once a run: {lesson: list of (exercise, prepared)}."""

    def __init__(self, seed):
        self.seed, self.made = seed, {}

    def __getitem__(self, lesson):
        if lesson not in self.made:
            self.made[lesson] = tasks_of(lesson, self.seed)
        return self.made[lesson]


def _clear_parts(out):
    """Remove the half-written files that a killed run has left in OUT; those of a living process stay."""
    for part in (p for folder in (out, out / "rows", out / "feedback") for p in folder.glob(".*.part")):
        writer = part.name.removesuffix(".part").rpartition("-")[2]
        if writer.isdecimal() and not _lives(int(writer)):
            part.unlink(missing_ok=True)


def _lives(process):
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def grade_one(submission, tasks, timeout, trusted, stop=None):
    """The row of one submission: a dictionary of plain values. `stop`: an Event that ends it."""
    started = time.monotonic()
    row = {
        "learner": submission.learner,
        "lesson": submission.lesson,
        "file": submission.file,
        "reason": "",
        "code": "",
        "note": submission.note,
        "troubles": [],
        "flags": [],
        "exercises": [],
    }
    reason = submission.problem
    if reason is None:
        try:
            sources = submissions.read(submission.path, submission.member, submission.root)
        except ValueError as error:
            reason = str(error)
        except OSError as error:
            reason = f"The file cannot be read: {error.strerror}."
    if not submission.counts:
        tasks = []
    elif reason is None:
        try:
            row["flags"] = _few(submissions.flags(sources))
            written = [task for task in tasks if not isinstance(task[0], Training)]
            trained = submissions.trained(submission.path, submission.member, submission.root)
            found = sandbox.collect(sources, written, timeout, trusted, stop)
            code = Code(sources, submissions.is_script(submission.path, submission.member))
            troubles = [code.checked(t) for t in found.troubles]
            narrow = [code.checked(t) for t in found.narrow]
            shown = [of_a_cell(t, code.script) for t in troubles]
            shown += [f"For answers from scratch, {of_a_cell(t, code.script)}" for t in narrow]
            row["troubles"] = shown[:SHOWN]
            for exercise, prepared in tasks:
                if isinstance(exercise, Training):
                    with JUDGING:
                        row["exercises"].append(_measured(exercise, trained.get(exercise.name), prepared))
                    continue
                with JUDGING:
                    entry = _judged(exercise, prepared, found[exercise.name], code)
                met = [*(narrow if exercise.from_scratch else []), *troubles]
                if entry["outcome"] != "correct" and (cause := _cause(exercise, code, met)):
                    entry["reason"] += f" {cause}"
                row["exercises"].append(entry)
                if row["exercises"][-1]["code"] == "library_call":
                    row["flags"].append(f"{exercise.name}: {row['exercises'][-1]['reason']}")
        except Exception as error:  # one submission must not end the run
            row["code"] = "grader_failed"
            reason = f"{FAILED} {type(error).__name__}. {error if isinstance(error, RuntimeError) else ''}".strip()
    if reason is not None:
        row["reason"] = reason
        row["exercises"] = [_entry(exercise, "not graded", reason, code="not_graded") for exercise, _ in tasks]
    row["points"] = sum(e["points"] for e in row["exercises"])
    row["of"] = sum(e["of"] for e in row["exercises"])
    row["seconds"] = round(time.monotonic() - started, 2)
    return row


def _few(flags):
    """Flags as they are shown: a submission's names can be as many and as long as it likes."""
    more = [f"and {len(flags) - FLAGS} more"] if len(flags) > FLAGS else []
    return [flag if len(flag) <= FLAG else f"{flag[:FLAG]} ..." for flag in flags[:FLAGS]] + more


@dataclass(frozen=True)
class Code:
    """What was handed in, as text: what a sandbox says is shown only as far as it is in there."""

    sources: list
    script: bool = False

    def checked(self, trouble):
        """The Trouble without a name that neither the code nor Python knows, and without a place that is not there."""
        text = "\n".join(self.sources)
        known = (
            not trouble.name
            or trouble.name in text
            or hasattr(builtins, trouble.name)
            or trouble.code == "library_call"
        )
        line = trouble.line
        if 0 < trouble.cell <= len(self.sources) and line > self.sources[trouble.cell - 1].count("\n") + 1:
            line = 0
        return replace(trouble, name=trouble.name if known else "", line=line)


def _entry(exercise, outcome, reason, points=0, mistake=None, code=""):
    return {
        "name": exercise.name,
        "outcome": outcome,
        "code": code or outcome,
        "points": points,
        "of": exercise.points,
        "reason": reason,
        "mistake": mistake,
    }


def _cause(exercise, code, troubles):
    """What of the cell that writes an exercise did not run, as a sentence; "" if all did, or if there is none."""
    begins = re.compile(rf"\b(?:def|class)\s+{exercise.name}\b|\b{exercise.name}\s*=")
    causes = [t for t in troubles if 0 < t.cell <= len(code.sources) and begins.search(code.sources[t.cell - 1])]
    return of_a_cell(causes[0], code.script) if causes else ""


def _erred(exercise, errors, n_cases, code):
    """What to say of an answer that raises."""
    claim = trouble_of(errors[0])
    trouble = code.checked(claim)
    kind = type(errors[0]).__name__
    cases = f"{len(errors)} of {n_cases} cases"
    place = where(trouble, code.script)
    at = f", at {place}" if place else ""
    if trouble.code == "raises":
        reason = f"It raises {kind} in {cases}{at}."
    elif trouble.code == "signature":
        asked = claim.name in re.findall(r"\w+", exercise.signature)
        unknown = f" with {claim.name}=, which it does not take" if asked else ""
        reason = (
            f"It cannot be called as the exercise calls it{unknown}. Its first line should be: "
            f"def {exercise.signature}: (raises {kind} in {cases})"
        )
    else:
        text = sentence(trouble)
        reason = f"{text[0].upper()}{text[1:]} (raises {kind} in {cases}{at})."
    return _entry(exercise, "error", reason, code=trouble.code)


def _measured(exercise, weights, seed):
    """One exercise's entry where something was to be trained: its weights on data drawn with the seed."""
    if weights is None:
        missing = f"No weights of {exercise.name} stand below its check. Run that cell, save the notebook with its outputs, and hand that in."
        return _entry(exercise, "not_attempted", missing, code="not_defined")
    result = judge_training(exercise, weights, seed)
    return _entry(exercise, result.outcome, result.message.partition(": ")[2], result.points, code=result.code)


def _judged(exercise, prepared, found, code=Code([])):
    """One exercise's entry. Its reason names a mistake or a case, never an input."""
    if found == "absent":
        return _entry(exercise, "not_attempted", f"{exercise.name} is not defined in this file.", code="not_defined")
    if isinstance(found, str):
        return _entry(exercise, "error", found, code="ended")
    errors = [o.error for o in found if o is not None and o.error is not None]
    if any(is_stub(e, exercise) for e in errors):
        return _entry(exercise, "not_attempted", "The answer is still the empty one.", code="empty")
    library = next((t.name for t in map(trouble_of, errors) if t.code == "library_call"), None)
    if library:
        return _entry(
            exercise, "wrong", f"A library call, {CALLS.get(library, library)}. {BY_HAND}", code="library_call"
        )
    if None in found:
        return _entry(
            exercise, "error", f"There is no answer to {found.count(None)} of {len(found)} cases.", code="ended"
        )
    seen = [seen_in(observation, expected) for observation, expected in zip(found, prepared)]
    result = verdict(exercise, seen, prepared)
    if result.outcome == "correct":
        return _entry(exercise, "correct", "Correct.", result.points)
    if result.mistake:
        return _entry(
            exercise, result.outcome, f"{result.mistake}: {result.hint}", 0, result.mistake, code="known_mistake"
        )
    if errors:
        return _erred(exercise, errors, len(found), code)
    wrong = [
        e.case.label.split(". The result")[0] for s, e in zip(seen, prepared) if fault(s, e, exercise.differentiable)
    ]
    return _entry(exercise, "wrong", f"Wrong in {len(wrong)} of {len(found)} cases, such as: {wrong[0]}.")


def grade(
    root, out, lesson=None, jobs=2, timeout=20.0, trusted=False, seed=None, progress=lambda n, finished: finished
):
    """Grade every submission below `root`, and keep each row in out/rows as soon as it stands: list of rows.

    Args:
        lesson: that one only. jobs: submissions at a time. timeout: seconds for an exercise. trusted: without a sandbox.
        seed: repeats a run; None draws a new one, and grades that stand stay.
        progress: function (how many will be graded, iterator of the finished) -> iterator, to show them.
    """
    root, out = Path(root).resolve(), Path(out)
    lessons = {get(name).lesson for name in names()}
    found = submissions.find(root, lessons, lesson)
    prepared = Lessons(new_seed() if seed is None else seed)
    (out / "rows").mkdir(parents=True, exist_ok=True)
    _clear_parts(out)
    rows, waiting = {}, []
    for submission in found:
        member = f"\n{submission.member}".encode("utf-8", "replace") if submission.member else b""
        key = hashlib.sha256(os.fsencode(submission.path.relative_to(root)) + member).hexdigest()[:24]
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
        prepared[lesson_number]  # prepared here, once, before threads share it
    stop = threading.Event()
    with ThreadPoolExecutor(jobs) as pool:
        running = {
            pool.submit(grade_one, s, prepared[s.lesson] if s.lesson in lessons else [], timeout, trusted, stop): (
                s,
                key,
                p,
            )
            for s, key, p in waiting
        }
        try:
            for done in progress(len(running), as_completed(running)):
                submission, key, print_of = running[done]
                row = done.result()
                stands = row["code"] != "grader_failed" and fingerprint(submission, timeout, seed) == print_of
                rows[key] = {**row, "fingerprint": print_of if stands else ""}  # changed meanwhile: graded anew
                write_atomically(out / "rows" / f"{key}.json", json.dumps(rows[key]).encode())
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return sorted(rows.values(), key=lambda row: (row["learner"], row["lesson"] or 0, row["file"]))
