"""The grader's parts: what is found and read, frames, pages, and runs that stop, go on and repeat."""

import base64
import contextlib
import csv
import inspect
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import bank
import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import save

import aigc_lessons as al
from aigc_lessons import cli
from aigc_lessons.exercises import engine, trained
from aigc_lessons.exercises.banks import EXERCISES
from aigc_lessons.exercises.inside import frames, loading, observing
from aigc_lessons.exercises.inside.observing import Observation
from aigc_lessons.exercises.trained import Training
from aigc_lessons.grading import feedback, results, sandbox, submissions

ROOT = Path(__file__).resolve().parents[2]
RUNS = 1_000  # of correct answers
LESSONS = {al.exercises.get(name).lesson for name in al.exercises.names()}
TASKS = [(al.exercises.get(name), engine.prepare(al.exercises.get(name), 7)) for name in bank.LESSON]
OF = sum(exercise.points for exercise, _ in TASKS)
WRITTEN = [e for e in map(al.exercises.get, al.exercises.names()) if isinstance(e, engine.Exercise)]


def put(root, *paths, content=b"x = 1"):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def nothing(tasks):
    """What is found in a file that defines no exercise."""
    return sandbox.Found((exercise.name, "absent") for exercise, _ in tasks)


@pytest.fixture
def collected(monkeypatch):
    """In place of workers, at once: nothing is defined. A list of what was asked: (sources, tasks)."""
    calls = []

    def collect(sources, tasks, timeout, trusted=False, stop=None):
        calls.append((sources, tasks))
        return nothing(tasks)

    monkeypatch.setattr(sandbox, "collect", collect)
    return calls


# Finding and reading


@pytest.mark.parametrize(
    "path, lesson, found",
    [
        ("anna/12_convolution.ipynb", None, ("anna", 12)),
        ("anna/12.py", None, ("anna", 12)),
        ("anna/deeper/12-b.IPYNB", None, ("anna", 12)),
        ("anna_12_convolution.ipynb", None, ("anna", 12)),
        ("anna b_12.py", None, ("anna b", 12)),
        ("anna-12 final.ipynb", None, ("anna", 12)),
        ("王小明_12_答案.ipynb", None, ("王小明", 12)),
        ("o'neil/12_x.ipynb", None, ("o'neil", 12)),
        ("12_convolution.ipynb", None, ("12_convolution", 12)),
        ("anna/final.ipynb", 12, ("anna", 12)),
        ("anna.py", 12, ("anna", 12)),
        ("anna_2012_x.py", 12, ("anna_2012_x", 12)),
        ("anna/120_x.py", 12, ("anna", 12)),
    ],
)
def test_the_learner_and_the_lesson_are_in_the_name(tmp_path, path, lesson, found):
    put(tmp_path, path)
    (only,) = submissions.find(tmp_path, LESSONS, lesson)
    assert (only.learner, only.lesson, only.problem) == (*found, None)


@pytest.mark.parametrize(
    "path, lesson, says",
    [
        ("anna/final.ipynb", None, "says no lesson"),
        ("anna_final.py", None, "says no lesson"),
        ("anna/120_x.py", None, "says no lesson"),
        ("anna/98_x.py", None, "There is no lesson 98"),
        ("anna_00.py", None, "There is no lesson 0 "),
    ],
)
def test_what_cannot_be_placed_is_found_with_its_problem(tmp_path, path, lesson, says):
    put(tmp_path, path)
    (only,) = submissions.find(tmp_path, LESSONS, lesson)
    assert says in only.problem


def test_other_lessons_and_other_files_are_left_out(tmp_path):
    put(
        tmp_path,
        "a/12_x.py",
        "a/13_x.py",
        "b_13.ipynb",
        "c/12_x.txt",
        "c/notes.md",
        "d/.ipynb_checkpoints/12_x.ipynb",
        ".git/12_x.py",
    )
    assert [(s.learner, s.lesson) for s in submissions.find(tmp_path, LESSONS)] == [("a", 12), ("a", 13), ("b", 13)]
    assert [(s.learner, s.lesson) for s in submissions.find(tmp_path, LESSONS, 12)] == [("a", 12)]


def test_two_files_for_one_learner_and_lesson_are_both_refused(tmp_path):
    put(tmp_path, "a/12_x.py", "a/12_y.ipynb", "a/13_x.py", "b/12_x.py", "b_12_y.py", "c/12_x.py")
    found = {str(s.path.relative_to(tmp_path)): s.problem for s in submissions.find(tmp_path, LESSONS)}
    assert all("2 files" in found[name] for name in ("a/12_x.py", "a/12_y.ipynb", "b/12_x.py", "b_12_y.py"))
    assert "12_y.ipynb" in found["a/12_x.py"] and "12_x.py" in found["a/12_y.ipynb"]
    assert found["a/13_x.py"] is None and found["c/12_x.py"] is None


def test_a_notebook_is_read_cell_by_cell(tmp_path):
    book = json.loads(bank.as_notebook(["a = 1\nb = 2", "c = 'é王'"]))
    book["cells"].insert(1, {"cell_type": "markdown", "source": ["import os"]})
    book["cells"][2]["source"] = "c = 'é王'"  # one text, as well as a list of lines
    put(tmp_path, "a.ipynb", content=b"\xef\xbb\xbf" + json.dumps(book, ensure_ascii=False).encode())
    assert submissions.read(tmp_path / "a.ipynb") == ["a = 1\nb = 2", "c = 'é王'"]


@pytest.mark.parametrize(
    "source, plain",
    [
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("%%time\nx = 1", "pass\nx = 1"),
        ("if x:\n    !pip install y\nz = 1", "if x:\n    pass\nz = 1"),
        ("files = !ls\nhere = %pwd", "pass\npass"),
        ("conv2d?\n?conv2d\nconv2d??", "pass\npass\npass"),
        ("x = (7\n  % 4)", "x = (7\n  % 4)"),
        ("x = a != b", "x = a != b"),
        ("x = 1  # why?", "x = 1  # why?"),
        ("x == y % z", "x == y % z"),
    ],
)
def test_what_only_jupyter_understands_is_left_out(source, plain):
    assert loading.without_magics(source) == plain


def test_flags_name_odd_imports_and_names():
    source = """import numpy as np, os, math
from socket import socket
import aigc_lessons as al
from  aigc_lessons.ops import conv2d
x = 1; import sys
import \\
    gc
ｏｐｅｎ("x")
from worker import FromScratch
"""
    assert submissions.flags([source, "eval('1')"]) == sorted(
        [
            "imports os",
            "imports from socket",
            "imports from aigc_lessons.ops",
            "imports sys",
            "imports gc",
            "uses open",
            "imports from worker",
            "uses eval",
        ]
    )


def test_the_courses_own_cells_are_not_flagged_and_their_words_hide_nothing():
    for path in sorted((ROOT / "exercises").glob("*.ipynb")):
        assert submissions.flags(submissions.read(path)) == []
    setup = submissions.read(ROOT / "exercises" / "12_convolution.ipynb")[0]
    assert "import os\n" in setup
    assert "imports os" in submissions.flags([setup + "\nos.remove('x')"])


def test_long_and_deep_code_is_searched_quickly():
    started = time.monotonic()
    for source in (
        "a" + ".b" * 400_000,
        "'\\" * 400_000,
        " " * 900_000,
        "import " * 130_000,
        "from a " * 130_000,
        "?" * 900_000,
        "(" * 900_000,
    ):
        submissions.flags([source])
        loading.without_magics(source)
    assert time.monotonic() - started < 30  # quadratic searches would take hours


# Frames


def parts(blob):
    text, data = frames.HEAD.unpack(blob[:8])
    assert len(blob) == 8 + text + data
    return blob[8 : 8 + text], blob[8 + text :]


def same(a, b):
    if isinstance(a, torch.Tensor):
        return (
            type(b) is torch.Tensor
            and a.dtype == b.dtype
            and a.shape == b.shape
            and bool(((a == b) | ((a != a) & (b != b))).all())
        )
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a and b != b)


def test_frames_carry_values_as_they_are():
    shared = torch.randn(3, 4)
    values = [
        torch.randn(2, 3, 5),
        torch.zeros(0, 3),
        torch.tensor(2.5),
        torch.arange(6).view(2, 3).T,
        torch.tensor([True, False]),
        torch.tensor([float("nan"), float("inf")], dtype=torch.float64),
        torch.randn(2, 2).to(torch.bfloat16),
        (shared, shared[1:], None),
        [(3, 2), (5, 1)],
        (),
        [],
        None,
        True,
        7,
        -(2**60),
        0.1,
        float("inf"),
        float("nan"),
        "文 \ud800 \x00",
    ]
    record, back = frames.unpack(*parts(frames.pack({"name": "x", "case": 3}, values)))
    assert record == {"name": "x", "case": 3}
    assert all(map(same, values, back)) and len(back) == len(values)


def test_frames_carry_what_numpy_gives():
    values = [
        np.float32(0.5),
        np.int64(3),
        np.array(2.5),
        np.arange(6.0).reshape(2, 3)[:, ::-1],
        np.array([1, 2], dtype=np.uint8),
    ]
    _, back = frames.unpack(*parts(frames.pack({}, values)))
    wanted = [
        0.5,
        3,
        torch.tensor(2.5, dtype=torch.float64),
        torch.tensor([[2.0, 1, 0], [5, 4, 3]], dtype=torch.float64),
        torch.tensor([1, 2], dtype=torch.uint8),
    ]
    assert all(map(same, wanted, back))


def test_frames_only_name_what_they_cannot_carry():
    deep = value = []
    for _ in range(50):
        value.append([])
        value = value[0]

    class Odd:
        pass

    _, (odd, text, huge, nested) = frames.unpack(*parts(frames.pack({}, [Odd(), np.array(["a"]), 10**400, deep])))
    assert (
        type(odd).__name__ == "Odd"
        and type(text).__name__ == "ndarray"
        and huge == float("inf")
        and type(nested) is list
    )


def test_a_tensor_is_described_without_what_it_pretends():
    class Same(torch.Tensor):
        def __eq__(self, other):
            return True

    _, (back,) = frames.unpack(*parts(frames.pack({}, [torch.zeros(2).as_subclass(Same)])))
    assert type(back) is torch.Tensor and not torch.equal(back, torch.ones(2))


ONE = save({"0": torch.ones(3)})


def header(**entry):
    text = json.dumps({"0": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **entry}}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(4)


@pytest.mark.parametrize(
    "text, data",
    [
        (b"", b""),
        (b"{}", save({})),
        (b"[]", save({})),
        (b"null", save({})),
        (b'{"values": 3}', save({})),
        (b'{"values": [3]}', save({})),
        (b'{"values": []', save({})),
        (b'{"values": [\xff]}', save({})),
        (b"[" * 500_000, save({})),
        (b'{"values":' * 100_000, save({})),
        (b'{"values": [{"plain": 1' + b"0" * 400 + b"}]}", save({})),
        (b'{"values": [{"plain": 1' + b"0" * 9000 + b"}]}", save({})),
        (b'{"values": [{"plain": []}]}', save({})),
        (b'{"values": [{"plain": {}}]}', save({})),
        (b'{"values": [{"type": 3}]}', save({})),
        (b'{"values": [{"list": 3}]}', save({})),
        (b'{"values": [{"list": [], "tuple": []}]}', save({})),
        (b'{"values": [{}]}', save({})),
        (
            b'{"values": [{"list":[{"list":[{"list":[{"list":[{"list":[{"list":[{"list":[{"list":[]}]}]}]}]}]}]}]}]}',
            save({}),
        ),
        (b'{"values": [{"tensor": 0}]}', save({})),
        (b'{"values": [{"tensor": -1}]}', ONE),
        (b'{"values": [{"tensor": 1}]}', ONE),
        (b'{"values": [{"tensor": true}]}', ONE),
        (b'{"values": [{"tensor": 0.0}]}', ONE),
        (b'{"values": [{"tensor": "0"}]}', ONE),
        (b'{"values": [{"tensor": 0}, {"tensor": 0}]}', ONE),
        (b'{"values": []}', ONE),
        (b'{"values": [{"tensor": 0}]}', save({"a": torch.ones(3)})),
        (b'{"values": [{"tensor": 0}]}', ONE[:-1]),
        (b'{"values": [{"tensor": 0}]}', ONE + b"x"),
        (b'{"values": [{"tensor": 0}]}', b"\x80\x04K\x01."),
        (b'{"values": [{"tensor": 0}]}', struct.pack("<Q", 2**63) + ONE[8:]),
        (b'{"values": [{"tensor": 0}]}', struct.pack("<Q", 10**9) + ONE[8:]),
        (b'{"values": [{"tensor": 0}]}', header(shape=[2**31, 2**31])),
        (b'{"values": [{"tensor": 0}]}', header(shape=[2**62, 4])),
        (b'{"values": [{"tensor": 0}]}', header(shape=[-1])),
        (b'{"values": [{"tensor": 0}]}', header(shape=[2])),
        (b'{"values": [{"tensor": 0}]}', header(dtype="object")),
        (b'{"values": [{"tensor": 0}]}', header(dtype="F128")),
        (b'{"values": [{"tensor": 0}]}', header(data_offsets=[0, 2**40])),
        (b'{"values": [{"tensor": 0}]}', header(data_offsets=[4, 0])),
    ],
)
def test_a_malformed_frame_is_refused(text, data):
    with pytest.raises(ValueError):
        frames.unpack(text, data)


def test_noise_and_damaged_frames_raise_nothing_but_value_error():
    generator = random.Random(0)
    whole = frames.pack(
        {"name": "conv2d", "case": 2, "damaged": False},
        [(torch.randn(2, 3, 4), [torch.arange(5), None, 2.5]), "text", {}],
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = 0
    for _ in range(4_000):
        text, data = map(bytearray, parts(whole))
        for _ in range(generator.choice((1, 1, 2, 8))):
            part = generator.choice((text, data))
            where = generator.randrange(len(part)) if part is data or generator.random() < 0.9 else 0
            how = generator.randrange(4)
            if how == 0:
                part[where] = generator.randrange(256)
            elif how == 1:
                del part[where : where + generator.randrange(1, 9)]
            elif how == 2:
                part[where:where] = generator.randbytes(generator.randrange(1, 9))
            else:
                part[:] = part[: where + 1] + part[where // 2 :]
        try:
            record, values = frames.unpack(bytes(text), bytes(data))
            assert isinstance(record, dict) and isinstance(values, list)
        except ValueError:
            refused += 1
    for size in range(1_000):
        with pytest.raises(ValueError):
            frames.unpack(generator.randbytes(size), generator.randbytes(1_000 - size))
    assert 2_000 < refused < 4_000  # some damage is in numbers only
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


@pytest.mark.parametrize(
    "record, values",
    [
        ({"error": ["ValueError"], "says": ""}, []),
        ({"error": "ValueError", "says": [[[]]]}, []),
        ({"error": "ValueError"}, []),
        ({"library": ["conv2d"]}, []),
        ({"library": "<b>"}, []),
        ({}, []),
        ({}, [torch.ones(1)]),
        ({}, [torch.ones(1), (None, None)]),
        ({}, [torch.ones(1), (None, None), None]),
        ({}, [torch.ones(1), (None, None), ()]),
        ({}, [torch.ones(1), (None, None), [1.0, 2.0]]),
        ({}, [torch.ones(1), [None, None], (1.0, 2.0)]),
        ({}, [torch.ones(1), (None,), (1.0, 2.0)]),
        ({}, [torch.ones(1), (None, 1.0), (1.0, 2.0)]),
        ({}, [torch.ones(1), (None, None), (1.0, 2.0), None]),
    ],
)
def test_an_answer_of_another_form_is_refused(record, values):
    case = engine.Case("two numbers", (1.0, 2.0), {}, (0, 1))
    with pytest.raises(sandbox.Ended):
        sandbox.observed(record, values, case)
    assert sandbox.observed({}, [torch.ones(1), (None, None), (1.0, 2.0)], case).damaged is False


@pytest.mark.parametrize(
    "given, returned, damaged",
    [
        (torch.ones(2), torch.ones(2), False),
        (torch.ones(2), torch.tensor([1.0, 0.0]), True),
        (torch.ones(2), torch.ones(2, 1), True),
        (torch.ones(2), torch.ones(2, dtype=torch.float64), True),
        (torch.ones(2), None, True),
        (torch.ones(2, dtype=torch.long), torch.ones(2, dtype=torch.long), False),
        ([(3, 1), (2, 2)], [(3, 1), (2, 2)], False),
        ([(3, 1), (2, 2)], [(3, 1)], True),
        ([(3, 1), (2, 2)], [[3, 1], [2, 2]], True),
        (None, None, False),
        (1, True, True),
    ],
)
def test_damage_is_seen_outside(given, returned, damaged):
    """Whatever code inside says of it."""
    case = engine.Case("one input", (given,))
    assert sandbox.observed({"damaged": False}, [1.0, (), (returned,)], case).damaged is damaged


@pytest.mark.parametrize(
    "name, kind",
    [
        ("ValueError", ValueError),
        ("NotImplementedError", NotImplementedError),
        ("UnicodeDecodeError", Exception),
        ("SystemExit", Exception),
        ("KeyboardInterrupt", Exception),
        ("exit", Exception),
        ("no such", Exception),
        ("__import__", Exception),
        ("ExceptionGroup", Exception),
    ],
)
def test_an_error_is_rebuilt_from_its_name(name, kind):
    error = sandbox.observed({"error": name, "says": "x" * 1000}, [], engine.Case("", ())).error
    assert type(error) is kind and str(error) == "x" * 300


# A worker's channel


@pytest.fixture
def channel(monkeypatch):
    """channel(code): a Worker that is a bare Python process."""

    def start(code):
        monkeypatch.setattr(sandbox, "command", lambda wide: [sys.executable, "-c", f"import os, struct, time\n{code}"])
        monkeypatch.setattr(sandbox, "rules", lambda: b"")
        return sandbox.Worker()

    return start


NOTHING = frames.pack({"ready": True})


@pytest.mark.parametrize(
    "code, says",
    [
        ("time.sleep(1000)", "no answer in time"),
        ("os.close(1)\ntime.sleep(1000)", "no answer in time"),
        (
            "os.write(1, struct.pack('>II', 900_000, 0))\nwhile True: os.write(1, b' '); time.sleep(0.01)",
            "no answer in time",
        ),
    ],
)
def test_a_deadline_holds_whatever_is_sent(channel, code, says):
    with channel(code) as worker:
        started = time.monotonic()
        with pytest.raises(sandbox.Ended, match=says):
            worker.frame(started + 1.5)
        assert 1.4 < time.monotonic() - started < 4
    assert worker.process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    "code, says",
    [
        ("os._exit(7)", "exit code 7"),
        ("os.kill(os.getpid(), 9)", "exit code -9"),
        ("os.write(1, b'\\0\\0')", "ended before it answered"),
        ("os.write(1, b'\\xff' * 8)\ntime.sleep(1000)", "4,294,967,295 bytes"),
        (
            "os.write(1, struct.pack('>II', 1_000_001, 0))\ntime.sleep(1000)",
            "1,000,001 bytes in lists, .* accepted are 1,000,000",
        ),
        (
            "os.write(1, struct.pack('>II', 0, 4_000_001))\ntime.sleep(1000)",
            "4,000,001 bytes in tensors; accepted are 4,000,000",
        ),
        ("os.write(1, bytes(8))", "agreed form"),
    ],
)
def test_what_is_no_frame_ends_the_reading(channel, code, says):
    with channel(code) as worker, pytest.raises(sandbox.Ended, match=says):
        worker.frame(time.monotonic() + 60)


def test_a_worker_may_send_only_so_much(channel, monkeypatch):
    monkeypatch.setattr(sandbox, "TOTAL", 3_000_000)
    with channel(f"while True: os.write(1, {NOTHING!r} * 1000)") as worker:
        with pytest.raises(sandbox.Ended, match="more than 3,000,000 bytes"):
            for _ in range(10**6):
                assert worker.frame(time.monotonic() + 60) == ({"ready": True}, [])
        assert worker.total < 5_000_000


def test_reading_stops_on_request(channel):
    stop = threading.Event()
    with channel("time.sleep(1000)") as worker:
        worker.stop = stop
        threading.Timer(0.3, stop.set).start()
        started = time.monotonic()
        with pytest.raises(RuntimeError, match="stopped"):
            worker.frame(started + 1000)
        assert time.monotonic() - started < 5


def test_a_sandbox_that_does_not_start_is_nobodys_zero(tmp_path, monkeypatch, collected):
    put(tmp_path / "s", "anna/12_a.py")
    monkeypatch.undo()
    monkeypatch.setattr(sandbox, "command", lambda wide: [sys.executable, "-c", "raise SystemExit(3)"])
    monkeypatch.setattr(sandbox, "rules", lambda: b"")
    (row,) = results.grade(tmp_path / "s", tmp_path / "out")
    assert "The sandbox did not start" in row["reason"] and {e["outcome"] for e in row["exercises"]} == {"not graded"}
    monkeypatch.setattr(sandbox, "collect", lambda sources, tasks, *rest: nothing(tasks))
    (row,) = results.grade(tmp_path / "s", tmp_path / "out")
    assert row["reason"] == "" and {e["outcome"] for e in row["exercises"]} == {"not_attempted"}


# Pages

HOSTILE_NAMES = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "  =1",
    "\t=1",
    "\n=1",
    "\r=1",
    "\x00=1",
    "\xa0=1",
    "＝1+1",
    "＠x",
    "=cmd|' /C calc'!A0",
]
NAMES = [
    "../../etc/passwd",
    "..",
    "",
    "/",
    "a/b",
    "a\\b",
    "CON",
    "a" * 500,
    "王" * 200,
    'O\'Brien "Bo"',
    "<script>alert(1)</script>",
    "x' onclick='y",
    "two words",
    "caf\udce9",
    "line\nbreak",
    "esc\x1b[2J",
    "&amp;",
    *HOSTILE_NAMES,
]


@pytest.mark.parametrize("text", HOSTILE_NAMES)
def test_a_cell_is_no_formula(text):
    assert feedback.cell(text).startswith("'")


@pytest.mark.parametrize("text", ["Anna", "O'Neil", "王小明", "a=b", "3", "two\nlines", ""])
def test_an_ordinary_cell_stays_as_it_is(text):
    assert feedback.cell(text) == text


def test_page_names_are_safe_and_different():
    names = [feedback.page_name(name) for name in NAMES]
    assert len(set(names)) == len(NAMES)
    for name in names:
        assert re.fullmatch(r"[\w-]+\.html", name) and len(name.encode()) < 200 and Path(name).name == name


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.text = set(), ""

    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        assert not {name for name, _ in attributes} - {"lang", "charset"}

    def handle_data(self, data):
        self.text += data


def row(learner, **more):
    entries = [
        {
            "name": "conv2d",
            "outcome": "wrong",
            "points": 0,
            "of": 4,
            "reason": f"no bias: <b>{learner}</b>",
            "mistake": "no bias",
        }
    ]
    return {
        "learner": learner,
        "lesson": 12,
        "file": f"12_{learner}.py",
        "reason": "",
        "flags": [f"imports {learner}"],
        "exercises": entries,
        "points": 0,
        "of": 4,
        "seconds": 1.5,
        "fingerprint": "x",
        **more,
    }


def test_names_become_no_markup_and_no_formula(tmp_path):
    rows = [row(name, reason=name if i % 2 else "") for i, name in enumerate(NAMES)]
    feedback.write(rows, tmp_path, trusted=False)
    pages = [tmp_path / "class.html", *(tmp_path / "feedback").iterdir()]
    assert len(pages) == 1 + len(NAMES) and set(tmp_path.iterdir()) == {
        tmp_path / n for n in ("class.html", "grades.csv", "grades.json", "feedback")
    }
    for page in pages:
        tags = Tags()
        tags.feed(page.read_text(encoding="utf-8"))
        assert tags.seen <= {
            "html",
            "meta",
            "title",
            "style",
            "h1",
            "h2",
            "p",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "strong",
        }
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", tags.text)
    page = (tmp_path / "feedback" / feedback.page_name("<script>alert(1)</script>")).read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    written = (tmp_path / "grades.csv").read_bytes()
    assert written.startswith(b"\xef\xbb\xbf")
    head, *lines = csv.reader(io.StringIO(written.decode("utf-8-sig"), newline=""))
    assert len(lines) == len(NAMES) and {len(line) for line in lines} == {len(head)} and head[5] == "conv2d"
    assert not [c for line in lines for c in line if c.lstrip()[:1] in tuple("=+-@＝＋－＠\x00") and c.strip()]
    assert "王" * 200 in {line[0] for line in lines}
    book = json.loads((tmp_path / "grades.json").read_text(encoding="utf-8"))
    assert (
        book["sandbox"] is True
        and [r["learner"] for r in book["rows"]] == NAMES
        and "fingerprint" not in book["rows"][0]
    )


def test_without_a_sandbox_the_pages_say_so(tmp_path):
    feedback.write([row("anna")], tmp_path, trusted=True)
    assert "--trust" in (tmp_path / "class.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "grades.json").read_text(encoding="utf-8"))["sandbox"] is False


def test_the_class_page_adds_up(tmp_path):
    def entry(name, points, outcome, mistake=None):
        return {"name": name, "outcome": outcome, "points": points, "of": 4, "reason": "r", "mistake": mistake}

    upside_down = entry("warp", 0, "wrong", "upside down")
    rows = [
        row("anna", exercises=[entry("conv2d", 4, "correct"), upside_down], flags=[], seconds=3.0),
        row("bo", exercises=[entry("conv2d", 0, "wrong", "no bias"), upside_down], flags=["imports os"], seconds=9.0),
    ]
    feedback.write(rows, tmp_path, trusted=False)
    tags = Tags()
    tags.feed((tmp_path / "class.html").read_text(encoding="utf-8").replace("</td>", "|"))
    assert (
        "2 submissions of 2 learners" in tags.text
        and "conv2d|2.00|4|1|1|0|0|0|" in tags.text
        and "warp|0.00|4|0|2|0|0|0|" in tags.text
    )
    assert tags.text.index("warp|upside down|2|") < tags.text.index("conv2d|no bias|1|")
    assert (
        "bo|12|12_bo.py|imports os|" in tags.text
        and "12 seconds" in tags.text
        and tags.text.index("bo|12|9.0|") < tags.text.index("anna|12|3.0|")
    )


def test_no_page_shows_an_input(tmp_path, monkeypatch):
    """Errors whose text is the input, answers that are the input, and lies about library calls."""
    given = []

    def telling(exercise, i, expected):
        given.append(expected)
        kind = {"conv2d": RuntimeError, "max_pool2d": NotImplementedError, "conv_transpose2d": ValueError}.get(
            exercise.name
        )
        says = ("library call: {}", "library call: convolution {}", "{}", "conv2d {}")[i % 4].format(expected.case.args)
        return Observation(error=kind(says)) if kind else Observation(expected.case.args[0])

    monkeypatch.setattr(
        sandbox,
        "collect",
        lambda sources, tasks, *rest: sandbox.Found(
            (exercise.name, [telling(exercise, i, expected) for i, expected in enumerate(prepared)])
            for exercise, prepared in tasks
        ),
    )
    put(tmp_path / "s", "anna/12_a.py")
    rows = results.grade(tmp_path / "s", tmp_path / "out")
    feedback.write(rows, tmp_path / "out", trusted=False)
    assert rows[0]["points"] == 0 and len(given) > 30
    written = "\n".join(path.read_text(encoding="utf-8") for path in (tmp_path / "out").rglob("*.*"))
    numbers = {
        abs(n)
        for p in given
        for a in (*p.case.args, *p.case.kwargs.values())
        if isinstance(a, torch.Tensor)
        for n in a.flatten().tolist()
    }
    drawn = {f"{n:.4f}"[:-1] for n in numbers if n != round(n)}  # to 3 digits after the point
    assert len(drawn) > 1000 and not [n for n in drawn if n in written]
    assert "tensor(" not in written and "[(" not in written


# Runs


def test_a_second_run_grades_only_what_changed(tmp_path, collected):
    root, out = tmp_path / "s", tmp_path / "out"
    for name in ("anna", "bo", "cem"):
        put(root, f"{name}/12_a.py", content=f"# {name}".encode())
    first = results.grade(root, out)
    assert sorted(sources for sources, _ in collected) == [["# anna"], ["# bo"], ["# cem"]]
    stamps = {p: p.stat().st_mtime_ns for p in (out / "rows").iterdir()}
    assert len(stamps) == 3

    collected.clear()
    assert results.grade(root, out) == first and not collected
    assert {p: p.stat().st_mtime_ns for p in (out / "rows").iterdir()} == stamps

    put(root, "bo/12_a.py", content=b"# bo again")
    put(root, "dua/12_a.py", content=b"# dua")
    assert len(results.grade(root, out)) == 4
    assert sorted(sources for sources, _ in collected) == [["# bo again"], ["# dua"]]
    assert sum(p.stat().st_mtime_ns != stamps.get(p) for p in (out / "rows").iterdir()) == 2

    collected.clear()
    shutil.rmtree(root / "anna")
    assert [r["learner"] for r in results.grade(root, out)] == ["bo", "cem", "dua"] and not collected
    for again in ({"timeout": 9.0}, {"seed": 3}):
        collected.clear()
        results.grade(root, out, **again)
        assert len(collected) == 3


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b'{"learner": "anna"}', b"\xff"])
def test_a_damaged_row_is_graded_again(tmp_path, collected, damage):
    put(tmp_path / "s", "anna/12_a.py")
    whole = results.grade(tmp_path / "s", tmp_path / "out")
    (only,) = (tmp_path / "out" / "rows").iterdir()
    only.write_bytes(damage)
    again = results.grade(tmp_path / "s", tmp_path / "out")
    assert len(collected) == 2 and [{**r, "seconds": 0} for r in again] == [{**r, "seconds": 0} for r in whole]


def test_a_change_of_the_course_grades_again(tmp_path, collected, monkeypatch):
    put(tmp_path / "s", "anna/12_a.py")
    assert {p.name for p in results.SOURCES} >= {"lesson_12.py", "engine.py", "worker.py", "ops.py", "losses.py"}
    results.grade(tmp_path / "s", tmp_path / "out")
    put(tmp_path, "more.py")
    monkeypatch.setattr(results, "SOURCES", [*results.SOURCES, tmp_path / "more.py"])
    results.grade(tmp_path / "s", tmp_path / "out")
    assert len(collected) == 2


def test_a_seed_repeats_a_run_and_without_one_every_run_differs(tmp_path, collected):
    put(tmp_path / "s", "anna/12_a.py", "bo/12_a.py")
    for i, seed in enumerate((5, 5, 6, None, None)):
        results.grade(tmp_path / "s", tmp_path / f"out{i}", seed=seed)
    inputs = [str([e.case for _, prepared in tasks for e in prepared]) for _, tasks in collected]
    assert inputs[0::2] == inputs[1::2]  # all learners of a run have the same inputs
    a, b, c, d, e = inputs[0::2]
    assert a == b and len({a, c, d, e}) == 4


def test_one_failure_of_the_judge_does_not_end_the_run(tmp_path, monkeypatch):
    def collect(sources, tasks, *rest):
        if sources == ["bad"]:
            raise ZeroDivisionError("secret numbers")
        return nothing(tasks)

    monkeypatch.setattr(sandbox, "collect", collect)
    put(tmp_path / "s", "anna/12_a.py", "cem/12_a.py")
    put(tmp_path / "s", "bo/12_a.py", content=b"bad")
    for _ in range(2):  # the second run tries again
        rows = results.grade(tmp_path / "s", tmp_path / "out")
        assert [bool(r["reason"]) for r in rows] == [False, True, False]
        assert (
            "ZeroDivisionError" in rows[1]["reason"]
            and "secret" not in json.dumps(rows)
            and rows[1]["points"] == 0
            and rows[1]["of"] == OF
        )


def test_what_only_answers_from_scratch_lack_is_said_of_them_alone(tmp_path, monkeypatch):
    lacking, both = loading.Trouble("missing_module", 1, 1, "scipy"), loading.Trouble("unknown_name", 2, 1, "np")

    def collect(sources, tasks, *rest):
        found = sandbox.Found((exercise.name, "It gave no answer in time.") for exercise, _ in tasks)
        found.told = [[both], [lacking, both]]
        return found

    monkeypatch.setattr(sandbox, "collect", collect)
    cell = "import scipy\ndef conv2d(x):\n    pass\ndef receptive_field(layers):\n    pass"
    put(tmp_path, "12_a.ipynb", content=bank.as_notebook([cell, "np"]))
    row = results.grade_one(submissions.Submission("anna", 12, tmp_path / "12_a.ipynb"), TASKS, 5.0, False)
    said = "cell 1, line 1: there is no module 'scipy' where this is graded."
    assert row["troubles"] == ["cell 2, line 1: the name 'np' is not defined.", f"For answers from scratch, {said}"]
    assert {e["name"] for e in row["exercises"] if said in e["reason"]} == {"conv2d"}


def test_a_file_that_may_not_be_read_has_its_row(tmp_path, collected, monkeypatch):
    put(tmp_path / "s", "anna/12_a.py", "bo/12_a.py")
    old = submissions.content

    def content(path, *rest):
        if "anna" in path.parts:
            raise PermissionError(13, "Permission denied")
        return old(path, *rest)

    monkeypatch.setattr(submissions, "content", content)
    anna, bo = results.grade(tmp_path / "s", tmp_path / "out")
    assert anna["reason"] == "The file cannot be read: Permission denied." and bo["reason"] == ""


def test_an_interrupt_keeps_what_is_graded_and_does_not_wait(tmp_path, monkeypatch):
    def collect(sources, tasks, timeout, trusted, stop):
        if sources == ["slow"]:
            assert stop.wait(60)
            raise RuntimeError("stopped")
        return nothing(tasks)

    def interrupted(n, finished):
        assert n == 3
        yield next(finished)
        raise KeyboardInterrupt

    monkeypatch.setattr(sandbox, "collect", collect)
    put(tmp_path / "s", "anna/12_a.py")
    put(tmp_path / "s", "bo/12_a.py", "cem/12_a.py", content=b"slow")
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        results.grade(tmp_path / "s", tmp_path / "out", progress=interrupted)
    assert time.monotonic() - started < 20
    kept = [json.loads(p.read_text())["learner"] for p in (tmp_path / "out" / "rows").iterdir()]
    assert kept == ["anna"]
    monkeypatch.setattr(sandbox, "collect", lambda sources, tasks, *rest: nothing(tasks))
    seen = []
    rows = results.grade(tmp_path / "s", tmp_path / "out", progress=lambda n, finished: seen.append(n) or finished)
    assert [r["learner"] for r in rows] == ["anna", "bo", "cem"] and seen == [2]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_loses_no_finished_grade(bubblewrap, tmp_path, how):
    root, out = tmp_path / "s", tmp_path / "out"
    put(root, "anna/12_a.ipynb", "bo/12_a.ipynb", content=b"no notebook")
    put(root, "cem/12_a.py", content=b"while True: pass")
    line = [sys.executable, "-m", "aigc_lessons.cli", "grade", str(root), "-o", str(out), "--timeout", "300"]
    run = subprocess.Popen(
        line, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    try:
        deadline = time.monotonic() + 100
        workers = []
        while len(workers) < 2 or len(list((out / "rows").glob("*.json"))) < 2:  # bubblewrap and what it runs
            assert run.poll() is None and time.monotonic() < deadline
            workers = [
                p
                for p in psutil.Process(run.pid).children(recursive=True)
                if "bwrap" in p.name() or "python" in p.name()
            ]
            time.sleep(0.1)
        run.send_signal(how)
        said = run.communicate(timeout=30)[1]
    finally:
        run.kill()
        run.wait()
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    assert run.returncode == (-9 if how == signal.SIGKILL else 130) and ("Stopped" in said) == (how == signal.SIGINT)
    stamps = {p: p.stat().st_mtime_ns for p in (out / "rows").glob("*.json")}
    assert len(stamps) == 2
    put(root, "cem/12_a.py", content=b"\xff")
    assert {path.name for path in tmp_path.iterdir()} == {"s", "out"}  # nothing in the folder for temporary files
    rows = results.grade(root, out, timeout=300.0)
    assert not list(out.rglob("*.part"))
    assert [r["learner"] for r in rows] == ["anna", "bo", "cem"]
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps and len(list((out / "rows").glob("*.json"))) == 3


# The command


def test_the_command_writes_everything(tmp_path, capsys, monkeypatch, collected):
    monkeypatch.setattr(sandbox, "unavailable", lambda: None)
    odd = ["line\nbreak\x1b[2J", "caf\udce9"]
    put(
        tmp_path / "s",
        "two words/12_a.py",
        "王小明_12.ipynb",
        'O\'Brien "Bo"/12_a.py',
        f"{odd[0]}/12_\x1b[2Ja.py",
        f"{odd[0]}/12_b.py",
        f"{odd[1]}/final.py",
        content=b"# comment",
    )
    out = tmp_path / "out of it"
    assert cli.main(["grade", str(tmp_path / "s"), "-o", str(out)]) == 1  # no notebook, two for one, no lesson
    assert {p.name for p in out.iterdir()} == {"rows", "grades.csv", "grades.json", "feedback", "class.html"}
    said = capsys.readouterr()
    assert (
        f"6 submissions, 0 of {5 * OF} points" in said.out
        and "Not graded: 王小明" in said.out
        and said.out.count("2 files") == 2
    )
    assert "caf?/12_anything.ipynb" in said.out and "\x1b" not in said.out and said.out.encode("utf-8")
    assert "grading" in said.err and "--trust" not in said.err
    assert len(list((out / "feedback").iterdir())) == 5
    for name in odd:
        shutil.rmtree(tmp_path / "s" / name)
    (tmp_path / "s" / "王小明_12.ipynb").unlink()
    assert cli.main(["grade", str(tmp_path / "s"), "-o", str(out)]) == 0


def test_bad_input_is_refused_with_what_to_do(tmp_path, capsys, monkeypatch, collected):
    monkeypatch.setattr(sandbox, "unavailable", lambda: None)
    root, out = tmp_path / "s", tmp_path / "out"
    put(root, "anna/12_a.py")
    put(tmp_path, "file", "empty/notes.txt")

    def refused(*arguments, says):
        assert cli.main(["grade", *map(str, arguments)]) == 1
        said = capsys.readouterr().err
        assert says in said and not (out / "grades.csv").exists() and not collected
        return said

    assert "LEARNER/12_name.ipynb" in refused(tmp_path / "nowhere", "-o", out, says="which is no folder")
    refused(tmp_path / "file", "-o", out, says="which is no folder")
    refused(tmp_path / "empty", "-o", out, says="There are no submissions")
    refused(root, "-o", out, "--lesson", 13, says="for lesson 13")
    refused(root, "-o", out, "--lesson", 98, says="There is no lesson 98")
    assert str(root.parent / "grades") in refused(root, "-o", root / "out", says="lies inside the submissions")
    refused(root, "-o", root, says="lies inside the submissions")
    refused(root, "-o", tmp_path / "s" / ".." / "s" / "x", says="lies inside the submissions")
    (tmp_path / "link").symlink_to(root)
    refused(root, "-o", tmp_path / "link" / "x", says="lies inside the submissions")
    refused(root, "-o", tmp_path / "file", says="cannot be written")
    refused(root, "-o", tmp_path / "file" / "x", says="cannot be written")
    refused(root, "-o", "/proc/x", says="cannot be written")
    refused(root, "-o", out, "--jobs", 0, says="1 or more jobs")
    refused(root, "-o", out, "--timeout", 0, says="more than 0 seconds")
    assert not (root / "out").exists()


@pytest.mark.parametrize(
    "fake, says",
    [
        (None, "sudo apt install bubblewrap"),
        (
            "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1",
            "No permissions to create new namespace",
        ),
    ],
)
def test_where_the_sandbox_cannot_run_nothing_is_graded(tmp_path, capsys, monkeypatch, collected, fake, says):
    (tmp_path / "bin").mkdir()
    if fake:
        put(tmp_path, "bin/bwrap", content=fake.encode())
        (tmp_path / "bin" / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    put(tmp_path / "s", "anna/12_a.py")
    assert cli.main(["grade", str(tmp_path / "s"), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert (
        "Nothing was graded" in said and says in said and "--trust" in said and (not fake or "user namespaces" in said)
    )
    assert not collected and not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


def test_trust_runs_without_a_sandbox_and_says_so(tmp_path, capsys, monkeypatch):
    """Also on an empty PATH. Besides: whoever is not in a sandbox sees what the bank's spies look for, so the spies are no straw men."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("AIGC_SECRET", "a secret of the judge")
    put(tmp_path / "s", "anna/12_a.ipynb", content=bank.whole(["import os\nassert os.getpid() == os.getpgrp()"]))
    world = SimpleNamespace(port=1, secret="a secret of the judge", places=[str(tmp_path / "s"), str(ROOT)], targets=[])
    spies = {kind.what: kind.source for file in bank.files(world) for kind in file.kinds if kind.group == "spying"}
    put(
        tmp_path / "s",
        "spy/12_a.ipynb",
        content=bank.as_notebook(
            [
                spies[what]
                for what in (
                    "files of other learners",
                    "other processes",
                    "the judge's environment",
                    "the course as a module",
                )
            ]
        ),
    )
    assert cli.main(["grade", str(tmp_path / "s"), "-o", str(tmp_path / "out"), "--trust", "--timeout", "25"]) == 0
    said = capsys.readouterr()
    assert "no sandbox" in said.err
    book = json.loads((tmp_path / "out" / "grades.json").read_text(encoding="utf-8"))
    assert book["sandbox"] is False and [(r["learner"], r["points"]) for r in book["rows"]] == [
        ("anna", OF),
        ("spy", 13),  # of the four exercises that the spies answer
    ]
    assert "--trust" in (tmp_path / "out" / "class.html").read_text(encoding="utf-8")


def test_a_course_below_a_mounted_place_is_hidden(bubblewrap, tmp_path, monkeypatch):
    """As where the course is installed next to torch, or its checkout lies below /usr."""
    places = [*sandbox.libraries(), ROOT]
    monkeypatch.setattr(sandbox, "libraries", lambda: places)
    line = sandbox.command()
    assert ["--ro-bind", str(ROOT), str(ROOT)] == line[line.index(str(ROOT)) - 1 :][:3]
    world = SimpleNamespace(port=1, secret="", places=[str(ROOT)], targets=[])
    wanted = ("the course's files", "the course as a module")
    spies = {kind.exercise: kind for file in bank.files(world) for kind in file.kinds if kind.what in wanted}
    assert set(spies) == {"conv_transpose2d", "receptive_field"}
    put(
        tmp_path,
        "12_a.ipynb",
        content=bank.as_notebook(
            [
                bank.answer(
                    "conv2d",
                    f"import os\nreturn int(os.path.isdir({str(ROOT)!r})) and (_ for _ in ()).throw(ValueError)",
                ),
                *(kind.source for kind in spies.values()),
            ]
        ),
    )
    graded = results.grade_one(submissions.Submission("anna", 12, tmp_path / "12_a.ipynb"), TASKS, 20.0, False)
    assert graded["reason"] == "" and graded["points"] == 0
    assert ["ValueError" in e["reason"] for e in graded["exercises"] if e["name"] == "conv2d"] == [True]


# What is trained

TOY = Training(
    "toy",
    12,
    "Train it.",
    5,
    1,
    lambda: torch.nn.Linear(3, 1, bias=False),
    "",
    lambda model, seed: model.weight.mean().item(),
    "weight",
    0.5,
    True,
)


@pytest.fixture
def toy(collected, monkeypatch):
    """Lesson 12 with one exercise more, in which a single number is trained: toy(outputs, path) grades a file, its entry and the row."""
    monkeypatch.setitem(EXERCISES, "toy", TOY)

    def grade(folder, outputs, path="12_a.ipynb"):
        book = json.loads(bank.as_notebook(["x = 1"]))
        book["cells"][0]["outputs"] = outputs
        put(folder, path, content=json.dumps(book).encode() if path.endswith("ipynb") else b"x = 1")
        row = results.grade_one(submissions.Submission("anna", 12, folder / path), results.tasks_of(12, 7), 5.0, False)
        assert row["reason"] == "" and row["of"] == OF + 5
        assert [[e.name for e, _ in tasks] for _, tasks in collected] == [list(bank.LESSON)]  # nothing of it runs
        return next(e for e in row["exercises"] if e["name"] == "toy")

    return grade


def shown(value):
    """The outputs of a check of a network whose weights are all `value`, as Jupyter saves them."""
    net = torch.nn.Linear(3, 1, bias=False)
    torch.nn.init.constant_(net.weight, value)
    data = trained.check_training(TOY, net)._repr_mimebundle_()
    return [{"output_type": "execute_result", "data": {k: text.splitlines(True) for k, text in data.items()}}]


def forged(blob, name="toy"):
    markup = f'<div data-exercise="{name}" data-weights="{blob if isinstance(blob, str) else base64.b64encode(blob).decode()}">'
    return [{"output_type": "display_data", "data": {"text/html": markup}}]


@pytest.mark.parametrize(
    "value, points, says", [(0.75, 5, "weight 0.75; asked is at least 0.5"), (0.25, 0, "not there")]
)
def test_weights_that_reach_the_target_earn_the_points(tmp_path, toy, value, points, says):
    entry = toy(tmp_path, shown(value))
    outcome = "correct" if points else "wrong"
    assert (entry["points"], entry["outcome"], entry["of"]) == (points, outcome, 5) and says in entry["reason"], entry


@pytest.mark.parametrize(
    "outputs, says",
    [
        (forged(b""), "cannot be read"),
        (forged(b"\x80\x04K\x01."), "cannot be read"),  # a pickle
        (forged("A"), "cannot be read"),  # no base64
        (forged(struct.pack("<Q", 2**62) + b"{}"), "cannot be read"),
        (forged(bytes(trained.LARGEST + 1)), "2,000,001 bytes; accepted are 2,000,000"),
        (forged("A" * 4_400_000), "cannot be read"),
        (forged(save({"weight": torch.full((1, 3), float("nan"))})), "infinities or NaN"),
        (forged(save({"weight": torch.full((1, 3), float("inf"))})), "infinities or NaN"),
        (forged(save({"weight": torch.ones(1, 3).to(torch.float8_e4m3fn)})), "another kind"),
        (forged(save({"weight": torch.ones(1, 3, dtype=torch.complex64)})), "another kind"),
        (forged(save({"weight": torch.ones(1, 4)})), "not of the architecture"),
        (forged(save({"weight": torch.ones(1, 3), "more": torch.ones(1)})), "not of the architecture"),
        (forged(save({"weight": torch.ones(1, 3)}), "another"), "No weights of toy"),
        (shown(0.75) + forged(b""), "cannot be read"),  # the last one counts
        ([{"output_type": "stream", "text": ["correct. 5 of 5 points."]}], "No weights of toy"),
        ([], "save the notebook with its outputs"),
        (None, "No weights of toy"),
        (7, "No weights of toy"),
        ([7, {"data": 7}, {"data": {"text/html": 7}}, {"data": {"text/html": [[], {}]}}], "No weights of toy"),
    ],
)
def test_what_is_forged_or_missing_earns_nothing_and_says_why(tmp_path, toy, outputs, says):
    entry = toy(tmp_path, outputs)
    assert entry["points"] == 0 and says in entry["reason"] and len(entry["reason"]) < 300, entry


def test_a_script_has_no_weights(tmp_path, toy):
    entry = toy(tmp_path, [], "12_a.py")
    assert entry["outcome"] == "not_attempted" and "notebook" in entry["reason"]


def test_a_measure_that_fails_costs_its_own_exercise_alone(tmp_path, toy, monkeypatch):
    monkeypatch.setitem(EXERCISES, "toy", replace(TOY, measure=lambda model, seed: 1 / 0))
    entry = toy(tmp_path, shown(0.75))
    assert entry["points"] == 0 and "cannot be measured" in entry["reason"] and "ZeroDivisionError" in entry["reason"]


# Right answers


@pytest.fixture(scope="module")
def worker():
    """worker.py, which finds its neighbours as it does in the sandbox."""
    sys.path.insert(0, str(sandbox.INSIDE))
    try:
        import worker
    finally:
        sys.path.remove(str(sandbox.INSIDE))
    return worker


def graded(worker, exercise, prepared, function):
    """The entry of an answer that goes through everything but another process."""
    found, task = [], sandbox._task(exercise)
    forbidden = exercise.from_scratch
    with worker.scratch.FromScratch(forbidden) if forbidden else contextlib.nullcontext():
        for number, expected in enumerate(prepared):
            case = expected.case
            asked = {"case": number, "names": list(case.kwargs), "tracked": list(case.gradients)}
            given = frames.unpack(*parts(frames.pack(asked, [tuple(case.args), tuple(case.kwargs.values())])))
            record, *values = worker.respond(function, task, worker.adapter(task["call"]), *given)
            found.append(sandbox.observed(*frames.unpack(*parts(frames.pack(record, values))), case))
    return results._judged(exercise, prepared, found)


def test_right_answers_are_never_refused(worker):
    """The references, and the alternatives that are no library calls where these are forbidden, on seeds of their own."""
    answers = [
        (exercise, how, function)
        for exercise in WRITTEN
        for how, function in {"the reference": exercise.reference, **exercise.alternatives}.items()
    ]
    library = {(e.name, how) for e, how, _ in answers if e.from_scratch and "library" in how}
    assert {name for name, _ in library} == {exercise.name for exercise in WRITTEN if exercise.from_scratch}
    refused, runs, seed = [], 0, 10_000
    while runs < RUNS:
        made = {}
        for exercise, how, function in answers:
            prepared = (
                made.setdefault(exercise.name, engine.prepare(exercise, seed))
                if exercise.name not in made
                else made[exercise.name]
            )
            entry = graded(worker, exercise, prepared, function)
            wanted = ("wrong", 0) if (exercise.name, how) in library else ("correct", exercise.points)
            if (
                (entry["outcome"], entry["points"]) != wanted
                or (exercise.name, how) in library
                and "library call" not in entry["reason"]
            ):
                refused.append((exercise.name, how, seed, entry["outcome"], entry["reason"]))
            runs += (exercise.name, how) not in library
        seed += 1
    assert not refused, refused
    assert runs >= RUNS


def test_from_scratch_leaves_the_library_as_it_was(worker):
    x, weight = torch.randn(2, 3, 5, 6), torch.randn(4, 3, 2, 3)
    before = torch.conv2d(x, weight)
    with worker.scratch.FromScratch(("convolution",)):
        for refused in (
            lambda: torch.conv2d(x, weight),
            lambda: torch.conv_transpose2d(x, weight.transpose(0, 1)),
            lambda: torch.nn.Conv2d(3, 4, 2)(x),
            lambda: torch.max_pool2d(x, 2),
        ):
            with pytest.raises(worker.scratch.LibraryCall):
                refused()
        torch.nn.functional.unfold(x, 2), x @ x.mT
    with worker.scratch.FromScratch(("convolution_transpose",)):
        assert torch.allclose(torch.conv2d(x, weight), before, atol=1e-5)
        with pytest.raises(worker.scratch.LibraryCall, match="conv_transpose2d"):
            torch.conv_transpose2d(x, weight.transpose(0, 1))
    assert torch.equal(torch.conv2d(x, weight), before) and torch.max_pool2d(x, 2).shape == (2, 3, 2, 3)


@pytest.mark.parametrize("forbidden", [("convolution",), ("convolution_transpose",)])
@pytest.mark.parametrize(
    "call",
    [
        lambda x, w: torch.conv2d(x, w),
        lambda x, w: torch.nn.Conv2d(3, 4, 2)(x),
        lambda x, w: torch.nn.functional.conv_transpose2d(x, w.transpose(0, 1)),
        lambda x, w: torch.convolution(x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1),
        lambda x, w: torch.convolution(x, w.mT.transpose(0, 1), None, [1, 1], [0, 0], [1, 1], True, [0, 0], 1),
        lambda x, w: torch.conv3d(x[:, :, None], w[:, :, None]),
        lambda x, w: torch.nn.functional.max_pool2d(x, 2),
        lambda x, w: torch.nn.functional.kl_div(x, x, reduction="sum"),  # made of operators that are allowed
        lambda x, w: torch.nn.functional.layer_norm(x, (6,)),
        lambda x, w: torch.nn.functional.scaled_dot_product_attention(x, x, x),
        lambda x, w: torch.nn.functional.unfold(x, 2).softmax(1),
        lambda x, w: torch.cat([x, torch.stack([x, x]).mean(0)]),  # other spaces than ATen have a "cat" too
        lambda x, w: torch.nn.functional.pad(x, (1, 1)).abs_().sort()[0][..., 1:],
        lambda x, w: torch.fft.rfft2(x).abs().sum() + torch.einsum("nchw,kcij->nkhw", x, w),
    ],
)
def test_the_self_check_sees_what_a_grade_refuses(worker, call, forbidden):
    x, w = torch.rand(2, 3, 5, 6), torch.rand(4, 3, 2, 3)
    with engine._Watching(forbidden) as watching:
        call(x, w)
    try:
        with worker.scratch.FromScratch(forbidden):
            call(x, w)
        refused = False
    except worker.scratch.LibraryCall:
        refused = True
    assert bool(watching.seen) == refused


@pytest.mark.parametrize("how", [{}, {"groups": 3}, {"dilation": 2}, {"stride": (2, 1), "padding": (0, 2)}])
def test_plain_convolution_beside_a_transposed_one(worker, how):
    g = torch.Generator().manual_seed(0)
    x, bias = torch.randn(2, 3, 7, 8, generator=g), torch.randn(6, generator=g)
    weight = torch.randn(6, 3 // how.get("groups", 1), 2, 3, generator=g)
    x.requires_grad_()
    wanted = torch.conv2d(x, weight, bias, **how)
    (gradient,) = torch.autograd.grad(wanted.square().sum(), x)
    with worker.scratch.FromScratch(("convolution_transpose",)):
        got = torch.conv2d(x, weight, bias, **how)
        assert torch.allclose(torch.autograd.grad(got.square().sum(), x)[0], gradient, atol=1e-3)
        assert torch.allclose(got, wanted, atol=1e-4)
        if not how:
            row = torch.conv1d(x.flatten(2), weight[:, :, 0])
    if not how:
        assert torch.allclose(row, torch.conv1d(x.flatten(2), weight[:, :, 0]), atol=1e-4)


@pytest.mark.parametrize("name", [e.name for e in WRITTEN if e.call])
def test_a_call_works_from_its_source_alone(worker, name):
    source = inspect.getsource(al.exercises.get(name).call)
    exercise = al.exercises.get(name)
    call = worker.adapter(source)
    assert call is not exercise.call and call.__globals__.keys() <= {"torch", "__builtins__", exercise.call.__name__}
    for expected in engine.prepare(exercise, 3):
        case = expected.case
        a, b = (
            observing.observe(exercise.reference, case.args, case.kwargs, case.gradients, c)
            for c in (call, exercise.call)
        )
        assert a.error is b.error is None and same(a.value, b.value) and same(tuple(a.gradients), tuple(b.gradients))
