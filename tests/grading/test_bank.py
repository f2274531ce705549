"""The bank of hostile, odd and right submissions (bank.py), graded in one run in the sandbox."""

import ctypes
import hashlib
import os
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import bank
import psutil
import pytest

import aigc_lessons as al
from aigc_lessons.grading import feedback, results

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 6.0
START = 60  # seconds that a busy machine may take to start a worker


@dataclass(frozen=True)
class World:
    port: int
    secret: str
    places: list
    targets: list


@pytest.fixture
def server():
    """(port, list of connections) of a server on this machine."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept():
            try:
                while True:
                    connections.append(listening.accept()[1])
            except OSError:
                pass

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1], connections


@pytest.fixture
def descendants():
    """A function that lists all living processes that come from this one: orphans become its children, too."""
    adopt = lambda yes: ctypes.CDLL(None).prctl(36, yes, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER

    def living():
        found = psutil.Process().children(recursive=True)
        return {p.pid for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE}

    adopt(1)
    yield living
    adopt(0)


def outside_out(folder, world):
    """What must stay as it is: everything below the test's folder but OUT, and the targets of attacks."""
    held = {
        p: hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else ""
        for p in folder.rglob("*")
        if not p.is_relative_to(folder / "out")
    }
    return held, {p for p in world.targets if Path(p).exists()}


def write(root, path, content):
    path = Path(os.fsdecode(os.fsencode(root) + b"/" + os.fsencode(path)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def links(root, outside):
    """Symbolic links and their like: {learner: a word of the reason}."""
    write(outside, "right.ipynb", bank.whole())
    (root / "link").mkdir()
    (root / "link" / "12_a.ipynb").symlink_to(outside / "right.ipynb")
    (root / "12 link to a folder").symlink_to(outside)
    (root / "neighbour").mkdir()
    (root / "neighbour" / "12_a.ipynb").symlink_to(root / "works in Jupyter" / "12_answers.ipynb")
    (root / "dangling").mkdir()
    (root / "dangling" / "12_a.py").symlink_to("nowhere")
    (root / "folder" / "12_a.ipynb").mkdir(parents=True)
    (root / "pipe").mkdir()
    os.mkfifo(root / "pipe" / "12_a.py")
    return {
        "link": "symbolic link",
        "neighbour": "symbolic link",
        "dangling": "symbolic link",
        "folder": "no file",
        "pipe": "no file",
    }


def test_nobody_earns_what_is_not_theirs(bubblewrap, tmp_path, monkeypatch, record_property, server, descendants):
    root, out, jobs = tmp_path / "submissions", tmp_path / "out", tmp_path / "jobs"
    jobs.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(jobs))
    monkeypatch.setenv("AIGC_SECRET", "a secret of the judge")
    port, connections = server
    world = World(
        port,
        "a secret of the judge",
        [str(p) for p in (root, out, ROOT)],
        [
            str(p)
            for p in (
                root / "ends" / "12_answers.ipynb",
                out / "rows" / "x.json",
                out / "stranger.csv",
                ROOT / "aigc_lessons" / "exercises" / "stranger.py",
                Path.home() / "stranger",
            )
        ],
    )
    files, odd = bank.files(world), bank.odd_files()
    for file in files:
        write(root, f"{file.learner}/12_answers.ipynb", file.content())
    for o in odd:
        write(root, o.path, o.content)
    odd_links = links(root, tmp_path / "outside")
    before = descendants(), *outside_out(tmp_path, world)

    started = time.monotonic()
    rows = results.grade(root, out, jobs=2, timeout=TIMEOUT)
    feedback.write(rows, out, trusted=False)
    seconds = time.monotonic() - started

    patience = time.monotonic() + 10  # a killed sandbox takes a moment
    while descendants() - before[0] and time.monotonic() < patience:
        time.sleep(0.1)
    left_over = descendants() - before[0]
    changed = [set(a) ^ set(b) or "contents" for a, b in zip(before[1:], outside_out(tmp_path, world)) if a != b]
    changed += [*jobs.iterdir(), *connections]

    by_path = {(row["learner"], row["file"]): row for row in rows}
    unearned, missing, marked_down, unexplained, late = [], [], [], [], []
    kinds, good = Counter(), Counter()

    def judge(group, what, entry, earns, says, flags):
        kinds[group] += 1
        bad = [unearned] if entry["points"] and (earns is False or earns is None and not flags) else []
        bad += [marked_down] if earns and entry["points"] != entry["of"] else []
        bad += [unexplained] if says not in entry["reason"] or not entry["reason"] else []
        for box in bad:
            box.append((group, what, entry["points"], entry["reason"]))
        good[group] += not bad

    for file in files:
        row = by_path.get((file.learner, "12_answers.ipynb"))
        if row is None or row["reason"]:
            missing.append((file.learner, row and row["reason"]))
            continue
        entries = {e["name"]: e for e in row["exercises"]}
        assert set(entries) == set(bank.LESSON)
        for kind in file.kinds:
            judge(kind.group, kind.what, entries.pop(kind.exercise), kind.earns, kind.says, row["flags"])
        unearned += [(file.learner, name) for name, entry in entries.items() if entry["points"]]
        late += [file.learner] if row["seconds"] > TIMEOUT * 5 + START else []
    for o in odd:
        path = Path(os.fsdecode(o.path))
        learner = path.parts[0] if len(path.parts) > 1 else path.stem.removesuffix("_12_a")
        row = by_path.get((learner, path.name))
        if row is None:
            missing.append((o.what, "no row"))
            continue
        reason = row["reason"] or " ".join(e["reason"] for e in row["exercises"])
        of = sum(al.exercises.get(name).points for name in bank.LESSON)
        judge(
            "odd files and names",
            o.what,
            {"points": row["points"], "of": of, "reason": reason},
            o.earns,
            o.says,
            row["flags"],
        )
    for learner, says in odd_links.items():
        row = next((row for row in rows if row["learner"] == learner), None)
        if row is None:
            missing.append((learner, "no row"))
            continue
        judge("odd files and names", learner, row, False, says, row["flags"])

    totals = [
        ("hostile or wrong, yet given points", len(unearned)),
        ("without a row", len(missing)),
        ("past the deadline", len(late)),
        ("right, yet marked down", len(marked_down)),
        ("without its reason", len(unexplained)),
        ("places outside OUT changed", len(changed)),
        ("processes left over", len(left_over)),
        ("seconds", round(seconds)),
    ]
    record_property("bank", ([(group, n, good[group]) for group, n in kinds.items()], totals))
    wrong = {
        "unearned": unearned,
        "missing": missing,
        "late": late,
        "marked down": marked_down,
        "without its reason": unexplained,
        "changed": changed,
        "left over": left_over,
    }
    assert not any(wrong.values()), "\n".join(f"{what}: {found}" for what, found in wrong.items() if found)
    hostile = sum(kinds.values()) - kinds["correct"]
    assert hostile >= 40 and kinds["correct"] >= 9
    assert {p.name for p in out.iterdir()} == {"rows", "grades.csv", "grades.json", "feedback", "class.html"}
    assert len(list((out / "feedback").iterdir())) == len({row["learner"] for row in rows})
    assert not any(".part" in p.name for p in out.rglob("*"))
