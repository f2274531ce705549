"""The doors (doors.py), graded in the sandbox; the filter of system calls; and what must stay in reach."""

import dataclasses
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import doors
from bank import as_notebook
from test_bank import descendants  # noqa: F401

import aigc_lessons as al
from aigc_lessons.exercises import engine
from aigc_lessons.grading import results, submissions

TIMEOUT = 20.0
SEED = 5


def graded(path, kinds):
    """The entries of a file that answers each door's exercise under a name of its own: list, one a door."""
    names = [f"door_{number}" for number in range(len(kinds))]
    path.write_bytes(as_notebook([door.source(name) for door, name in zip(kinds, names)]))
    tasks = []
    for door, name in zip(kinds, names):
        exercise = al.exercises.get(door.exercise)
        tasks.append((dataclasses.replace(exercise, name=name), engine.prepare(exercise, SEED)))
    row = results.grade_one(submissions.Submission(path.stem, 12, path), tasks, TIMEOUT, trusted=False)
    assert row["reason"] == ""
    return [next(e for e in row["exercises"] if e["name"] == name) for name in names]


def test_no_door_is_open(bubblewrap, tmp_path, monkeypatch, descendants, record_property):  # noqa: F811
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(jobs))
    before, started, files = descendants(), time.monotonic(), doors.files()
    with ThreadPoolExecutor(2) as pool:
        entries = list(pool.map(graded, (tmp_path / f"{n}.ipynb" for n in itertools.count()), files))
    seconds = time.monotonic() - started
    pairs = [(door, entry) for kinds, found in zip(files, entries) for door, entry in zip(kinds, found)]
    opened = [(door.what, entry["reason"]) for door, entry in pairs if entry["points"]]
    odd = [(door.what, entry["reason"]) for door, entry in pairs if door.says not in entry["reason"]]
    unseen = [door.what for door, _ in pairs if door.flag not in " ".join(submissions.flags([door.source("f")]))]
    patience = time.monotonic() + 10  # a killed sandbox takes a moment
    while descendants() - before and time.monotonic() < patience:
        time.sleep(0.1)
    left_over, files_left = descendants() - before, list(jobs.iterdir())
    totals = [
        ("side doors of exercises from scratch", len(doors.DOORS)),
        ("ways to the reference, or past the limits", len(doors.ATTACKS)),
        ("of these open", len(opened)),
        ("processes left over", len(left_over)),
        ("files left over", len(files_left)),
        ("seconds", round(seconds)),
    ]
    record_property("doors", totals)
    assert not opened and not odd and not unseen, f"{opened}\n{odd}\n{unseen}"
    assert not left_over and not files_left
    assert len(doors.DOORS) >= 31 and len(doors.ATTACKS) >= 12
