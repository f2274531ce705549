"""The doors (doors.py), graded in the sandbox; the filter of system calls; and what must stay in reach."""

import dataclasses
import itertools
import os
import shutil
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import doors
import pytest
import torch
from bank import as_notebook
from test_bank import descendants  # noqa: F401

import aigc_lessons as al
from aigc_lessons.exercises import engine
from aigc_lessons.grading import results, sandbox, submissions, system_calls

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 20.0
SEED = 5


def graded(path, kinds, **changes):
    """The entries of a file that answers each door's exercise under a name of its own: list, one a door. changes: of the exercises."""
    names = [f"door_{number}" for number in range(len(kinds))]
    path.write_bytes(as_notebook([door.source(name) for door, name in zip(kinds, names)]))
    tasks = []
    for door, name in zip(kinds, names):
        exercise = al.exercises.get(door.exercise)
        tasks.append((dataclasses.replace(exercise, name=name, **changes), engine.prepare(exercise, SEED)))
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


def test_without_the_guard_the_doors_lead_in(bubblewrap, tmp_path):
    """So that the guard, and nothing else, is what closes them."""
    kinds, _ = doors.files()[:2]
    entries = graded(tmp_path / "a.ipynb", kinds, from_scratch=())
    shut = {d.what: e["reason"] for d, e in zip(kinds, entries) if not e["points"]}
    assert shut.keys() == {"answers computed at the top, from the inputs of its own job"}, shut  # those are never there


def test_what_is_written_from_scratch_passes(bubblewrap, tmp_path):
    entries = graded(tmp_path / "a.ipynb", doors.HONEST)
    assert [(d.what, e["reason"]) for d, e in zip(doors.HONEST, entries) if e["points"] != e["of"]] == []


# What is in reach

REACH = """
import glob, os, sys
sys.path += glob.glob({place!r} + "/*") + glob.glob({place!r} + "/*/*")
found = any("ops.py" in names and "losses.py" in names for _, _, names in os.walk("/"))
try:
    import aigc_lessons.ops as theirs
except ImportError:
    theirs = None
def receptive_field(layers):
    if theirs or found:
        return theirs.receptive_field(layers) if theirs else -1
    raise LookupError
"""


def test_a_second_installation_is_out_of_reach(bubblewrap, tmp_path, monkeypatch):
    """One beside torch and one in the base Python's folders, as on a JupyterHub, and as in Gradescope's image."""
    site = tmp_path / "venv" / "site-packages"
    base = tmp_path / "base"
    for place in (site, base / "python3.11" / "site-packages", base / "python3" / "dist-packages", base):
        shutil.copytree(ROOT / "aigc_lessons", place / "aigc_lessons", ignore=shutil.ignore_patterns("*.safetensors"))
    (site / "torch").symlink_to(Path(torch.__file__).parent)
    monkeypatch.setattr(sandbox, "located", sandbox.located.__wrapped__)
    monkeypatch.setattr(torch, "__file__", str(site / "torch" / "__init__.py"))
    places = [*sandbox.libraries(), base]
    monkeypatch.setattr(sandbox, "libraries", lambda: places)
    exercise = al.exercises.get("receptive_field")
    for wide in (False, True):
        line = sandbox.command(wide)
        assert [str(site / "torch"), "/site/torch"] in [line[k : k + 2] for k in range(len(line))] and str(base) in line
        assert str(site) not in line and site.parent.as_posix() not in line
    source = REACH.format(place=str(tmp_path)) + "\n# scipy"
    (found,) = sandbox.collect([source], [(exercise, engine.prepare(exercise, SEED))], 3 * TIMEOUT).values()
    assert {(type(o.error), str(o.error)) for o in found} == {(LookupError, "")}


def test_only_named_packages_are_mounted():
    site = Path(sysconfig.get_path("purelib"))
    for wide in (False, True):
        line = sandbox.mounts(wide)
        pairs = [line[k + 1 : k + 3] for k, word in enumerate(line) if word == "--ro-bind"]
        packages = {Path(inside).name for _, inside in pairs if inside.startswith("/site/")}
        assert {"torch", "numpy", "safetensors"} <= packages and ("scipy" in packages) == wide
        assert not packages & {"aigc_lessons", "nbgrader", "jupyterlab", "site-packages", "pip"}
        assert str(site) not in [outside for outside, _ in pairs]
        assert [outside for outside, _ in pairs if Path(outside).is_relative_to("/home")] == []


def test_libraries_are_in_reach_where_nothing_is_to_be_written_from_scratch(bubblewrap):
    """As in the check: scipy.linalg.sqrtm is a right way to a Fréchet distance. Beside answers from scratch, too."""
    root = """
import numpy as np, scipy.linalg, torch
def frechet_distance(mu1, cov1, mu2, cov2):
    a, b, c, d = (x.double().numpy() for x in (mu1, cov1, mu2, cov2))
    root = scipy.linalg.sqrtm(b @ d).real
    return torch.tensor(((a - c) ** 2).sum() + np.trace(b + d - 2 * root))
def conv2d(x, weight, bias=None, stride=1, padding=0):
    return scipy.linalg
"""
    tasks = [
        (al.exercises.get(name), engine.prepare(al.exercises.get(name), SEED))
        for name in ("conv2d", "frechet_distance")
    ]
    space = {}
    exec(root, space)
    assert al.exercises.check("frechet_distance", space["frechet_distance"]).outcome == "correct"
    found = sandbox.collect([root], tasks, TIMEOUT)
    assert results._judged(*tasks[1], found["frechet_distance"])["outcome"] == "correct"
    assert {type(o.error) for o in found["conv2d"]} == {NameError}
    assert found.troubles == [] and [(t.code, t.name) for t in found.narrow] == [("missing_module", "scipy")]


def test_a_second_start_only_for_code_that_speaks_of_a_library():
    tasks = [(al.exercises.get(name), []) for name in doors.HEADS]
    names = lambda group: [exercise.name for exercise, _ in group]
    ((together, wide),) = sandbox.runs(["import numpy, matplotlib"], tasks)
    assert (
        names(together)[:3] == ["output_size", "receptive_field", "conv_transpose2d"]
        and len(together) == len(tasks)
        and not wide
    )
    (free, first), (scratch, second) = sandbox.runs(["x = 1", "from scipy import stats"], tasks)
    assert names(free) == ["output_size", "receptive_field"] and len(scratch) == len(tasks) - 2 and first and not second
    assert sandbox.runs([], free) == [(free, True)]


# System calls


def decided(machine, number, argument=0, processor=None):
    """What the filter says to a call, step by step as the kernel reads it."""
    lines, k, held = system_calls.program(machine), 0, None
    data = {0: number, 4: processor or system_calls.PROCESSORS[machine], 16: argument}
    while True:
        code, yes, no, value = lines[k]
        if code == system_calls.GIVE:
            return value
        if code == system_calls.LOAD:
            held = data[value]
        else:
            tests = {system_calls.EQUAL: held == value, system_calls.AT_LEAST: held >= value}
            tests |= {system_calls.ABOVE: held > value, system_calls.HAS: bool(held & value)}
            k += yes if tests[code] else no
        k += 1


ALLOW, EPERM, ENOSYS = system_calls.ALLOW, system_calls.NOT_PERMITTED, system_calls.NOT_THERE
# ptrace, process_vm_*, keys, System V memory, semaphores and queues, POSIX queues, memfd, io_uring, userfaultfd, perf, bpf, sockets,
# pidfds, mounts, namespaces, modules, chroot, handles, landlock, personality
REFUSED = {
    "x86_64": [
        101,
        310,
        311,
        *range(248, 251),
        *range(29, 32),
        *range(64, 72),
        240,
        319,
        *range(425, 428),
        323,
        298,
        321,
        41,
        42,
        49,
    ]
    + [434, 438, 165, 166, 272, 308, 175, 313, 161, 304, 444, 135, 424, 432, 447, 46, 47],
    "aarch64": [
        117,
        270,
        271,
        *range(217, 220),
        *range(186, 198),
        180,
        279,
        *range(425, 428),
        282,
        241,
        280,
        198,
        200,
        203,
    ]
    + [434, 438, 40, 39, 97, 268, 105, 273, 51, 265, 444, 92, 424, 432, 447, 211, 212],
}


@pytest.mark.parametrize("machine", system_calls.PROCESSORS)
def test_calls_are_allowed_by_name_and_all_others_are_not_there(machine):
    allowed = system_calls.needed(machine)
    special = {system_calls.CLONE[machine], system_calls.SOCKETPAIR[machine], *system_calls.FORKS[machine]}
    for number in [*range(600), 0x40000000, 0x40000001, 0x40000206, 2**32 - 1]:
        wanted = ALLOW if number in allowed and number != system_calls.SOCKETPAIR[machine] else ENOSYS
        assert number in special or decided(machine, number) == wanted, number
    assert not allowed & set(REFUSED[machine])
    assert {decided(machine, number) for number in REFUSED[machine]} == {ENOSYS}
    assert decided(machine, 435) == ENOSYS
    assert {decided(machine, number) for number in system_calls.FORKS[machine]} <= {EPERM}
    clone, pair = system_calls.CLONE[machine], system_calls.SOCKETPAIR[machine]
    assert decided(machine, clone, 0x3D0F00) == ALLOW and decided(machine, clone, 0x01200011) == EPERM
    assert decided(machine, pair, 1) == ALLOW and {decided(machine, pair, n) for n in (0, 2, 16, 40)} == {EPERM}
    assert decided(machine, 0, processor=0x40000003) == EPERM  # 32 bits
    assert max(max(yes, no) for _, yes, no, _ in system_calls.program(machine)) < 256
    assert len(system_calls.program(machine)) < 4096


def test_the_filter_is_for_this_processor(monkeypatch):
    assert len(system_calls.rules()) == 8 * len(system_calls.program(os.uname().machine))
    monkeypatch.setattr(system_calls.platform, "machine", lambda: "riscv64")
    assert system_calls.rules() == b""


def test_a_worker_that_is_left_is_ended_whatever_its_first_process_does(bubblewrap):
    worker = sandbox.Worker()
    worker.frame(time.monotonic() + sandbox.START)
    inside = worker._inside()
    assert len(inside) == 2
    with worker:
        pass
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{n}").exists() and "Z" not in status(n) for n in inside) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [n for n in inside if Path(f"/proc/{n}").exists() and "Z" not in status(n)] == []


def status(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
