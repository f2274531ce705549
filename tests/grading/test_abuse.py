"""What a submission can do to the judge and the class (abuse.py), graded in one run of the command, in the sandbox."""

import csv
import io
import json
import re
import subprocess
import time
import unicodedata
from collections import Counter
from pathlib import Path

import abuse
import psutil
import pytest
import torch

from aigc_lessons import cli
from aigc_lessons.exercises.inside import frames
from aigc_lessons.grading import feedback, submissions

TIMEOUT, SEED = 20.0, 7
START = 60  # seconds that a busy machine may take to start a worker
GROWTH = 300  # MB that the judge may grow by


def peak(reset=False):
    """The most memory, in MB, that this process has held since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def write(root, path, content):
    path = root / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def grade(root, out):
    """The rows by learner, as the command writes them."""
    line = [str(root), "-o", str(out), "--seed", str(SEED), "--timeout", str(TIMEOUT)]
    cli.main(["grade", *line])
    rows = {}
    for row in json.loads((out / "grades.json").read_text(encoding="utf-8"))["rows"]:
        rows.setdefault(row["learner"], []).append(row)
    return rows


def without_time(rows):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    subprocess.run(["rm", "-rf", str(tmp_path)], check=True)  # shutil.rmtree cannot go as deep


def hidden(text):
    """The characters of a text that nobody sees, or that turn what is around them."""
    kinds = ("Cf", "Cc", "Co", "Cs", "Zl", "Zp")
    marks = re.findall("[\u0300-\u036f]{5,}", text)
    return {c for c in text if unicodedata.category(c) in kinds and c not in "\r\n"} | set(marks)


def formulas(text):
    """What a spreadsheet that splits at semicolons or tabs would compute."""
    return [piece for piece in re.split(r"[;\t\r\n]", text) if re.match(r"[\s\"]*[=+@＝＋＠-]", piece)]


def test_nobody_spoils_the_grades_of_others(bubblewrap, folder, monkeypatch, record_property, capsys):
    temporary = folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(submissions, "MOST", abuse.MOST)
    root, out, outside = folder / "submissions", folder / "out", folder / "outside"
    for path, content in abuse.honest().items():
        write(root, path, content)
    alone = grade(root, folder / "alone")
    assert sum(row["points"] for rows in alone.values() for row in rows) > 0

    kinds = abuse.kinds()
    for kind in kinds:
        for path, content in kind.files:
            write(root, path, content)
        if kind.make:
            kind.make(root)
    write(outside, "right/12_a.py", abuse.FIELD.encode())
    write(outside, "secret.py", abuse.FIELD.encode())
    found = submissions.find

    def find_and_swap(*arguments):
        held = found(*arguments)
        for kind in kinds:
            if kind.swap:
                kind.swap(root / kind.files[0][0], outside)
        return held

    monkeypatch.setattr(submissions, "find", find_and_swap)
    (out / "rows").mkdir(parents=True)
    (out / "rows" / f".x.json-{2**22 + 1}.part").write_bytes(b"half of a row")
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    capsys.readouterr()
    memory, started = peak(reset=True), time.monotonic()
    rows = grade(root, out)
    growth, seconds = peak() - memory, time.monotonic() - started
    patience = time.monotonic() + 10
    while (left_over := {p.pid for p in psutil.Process().children(recursive=True)} - before) and (
        time.monotonic() < patience
    ):
        time.sleep(0.1)

    wrong, missing, unearned, late = [], [], [], []
    count, good = Counter(), Counter()
    for kind in kinds:
        count[kind.group] += 1
        own = rows.get(kind.learner, [])
        text = " ".join(
            f"{r['reason']} {' '.join(e['name'] + ': ' + e['reason'] for e in r['exercises'])}" for r in own
        )
        points = sum(row["points"] for row in own)
        bad = [
            *([missing] if not own else []),
            *([unearned] if points > kind.points else []),
            *([wrong] if points < kind.points or kind.says not in text or not text.strip() else []),
            *([late] if any(row["seconds"] > TIMEOUT * 5 + START for row in own) else []),
        ]
        for box in bad:
            box.append((kind.group, kind.what, points, text[:200]))
        good[kind.group] += not bad

    shown = {"terminal": "".join(capsys.readouterr()).replace("\r", "").replace("\x1b[A", "")}
    for page in [out / "class.html", out / "grades.csv", *(out / "feedback").iterdir()]:
        shown[page.name] = page.read_text(encoding="utf-8-sig")
    unseen = {name: hidden(text) for name, text in shown.items() if hidden(text)}
    computed = formulas(shown["grades.csv"])
    spoilt = [who for who in alone if without_time(alone[who]) != without_time(rows[who])]
    changed = [*temporary.iterdir()] + [
        p for p in folder.iterdir() if p.name not in ("submissions", "out", "outside", "alone", "temporary")
    ]
    changed += [p for p in out.rglob("*") if ".part" in p.name]
    flags = max(len(" ".join(row["flags"])) for own in rows.values() for row in own)
    totals = [
        ("given points that are not theirs", len(unearned)),
        ("without a row", len(missing)),
        ("past the deadline", len(late)),
        ("without their points or reason", len(wrong)),
        ("other learners' grades that changed", len(spoilt)),
        ("places with characters that nobody sees", len(unseen)),
        ("cells that a spreadsheet would compute", len(computed)),
        ("processes left over", len(left_over)),
        ("files and folders outside OUT, or left by killed runs", len(changed)),
        ("peak memory of the judge, MB above its start", round(growth)),
        ("rows", sum(map(len, rows.values()))),
        ("seconds", round(seconds)),
    ]
    record_property("abuse", ([(group, n, good[group]) for group, n in count.items()], totals))
    trouble = {
        "unearned": unearned,
        "missing": missing,
        "late": late,
        "wrong": wrong,
        "spoilt": spoilt,
        "unseen": unseen,
        "computed": computed,
        "left over": left_over,
        "changed": changed,
    }
    assert not any(trouble.values()), "\n".join(f"{what}: {found}" for what, found in trouble.items() if found)
    assert growth < GROWTH and flags < 10_000
    assert "\\u202e" in shown["class.html"] and "\\u202e" in shown["grades.csv"] and "\\u202e" in shown["terminal"]
    lines = list(csv.reader(io.StringIO(shown["grades.csv"], newline="")))
    assert {len(line) for line in lines} == {len(lines[0])}


# One by one, without a sandbox


def unpacked(values):
    blob = frames.pack({}, values)
    text, _ = frames.HEAD.unpack(blob[:8])
    return frames.unpack(blob[8 : 8 + text], blob[8 + text :])[1]


def test_a_frame_makes_few_classes_and_few_tensors():
    named = lambda count: [type(f"T{i}", (), {})() for i in range(count)]
    some = unpacked([named(frames.KINDS) * 50])[0]
    assert [type(v).__name__ for v in some[:2]] == ["T0", "T1"] and len(set(map(type, some))) == frames.KINDS
    with pytest.raises(ValueError):
        unpacked([named(frames.KINDS + 1)])
    assert len(unpacked([torch.zeros(1) for _ in range(500)])) == 500
    with pytest.raises(ValueError):
        unpacked([torch.zeros(0) for _ in range(5000)])


def test_marks_take_no_longer_than_letters_and_hide_no_name():
    started = time.process_time()
    found = submissions.flags(["a" + abuse.MARKS * 250_000 + "\n" + "é" * 97 + " ｅｖａｌ(1)\nｅｘｅｃ('')"])
    assert found == ["uses eval", "uses exec"] and time.process_time() - started < 20


@pytest.mark.parametrize(
    "name, shown",
    [
        ("Ana", "Ana"),
        ("王小明 نيما Ü e\u0301 हिन्दी ❤", "王小明 نيما Ü e\u0301 हिन्दी ❤"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("a\u3164", "a\\u3164"),
        ("❤\ufe0f", "❤\\ufe0f"),
        ("a\U000e0041", "a\\U000e0041"),
        ("a" + "\u0301" * 6, "a" + "\u0301" * 4 + "\\u0301" * 2),
        ("\x1b[2J\n", "?[2J?"),
    ],
)
def test_what_nobody_sees_is_shown(name, shown):
    assert submissions.printable(name) == shown
    assert name.isprintable() or feedback.cell(name) != name or name == shown


@pytest.mark.parametrize("text", ["a;=1+1;b", 'a;"=1+1"', "a\t=1", "a; @x", "a\n+1", "a;\u200b=1", "a| -1"])
def test_no_formula_behind_what_a_spreadsheet_splits_at(text):
    assert not formulas(feedback.cell(text))


def test_every_file_is_found_but_those_of_tools(tmp_path):
    names = (".a/12.py", ".b_12.py", "c/.d/12.py", "e/.py", ".ipynb", "f.IPYNB")
    others = ("g/._12.py", "__MACOSX/g/12.py", "g/.ipynb_checkpoints/12.ipynb", ".git/12.py", "g/12.txt")
    for name in (*names, *others):
        write(tmp_path, name, b"")
    assert {str(path.relative_to(tmp_path)) for path, why in submissions.files(tmp_path, {12}) if not why} == set(names)


def test_a_learners_folder_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "MOST", 100)
    for i in range(99):
        write(tmp_path, f"ana/12_{i}.py", b"")
    write(tmp_path, "bo/12_a.py", b"")
    found = submissions.find(tmp_path, {12})
    assert len(found) == 100 and max(len(s.problem or "") for s in found) < 300 and found[-1].problem is None
    for i in range(3):
        write(tmp_path, f"ana/more/{i}.txt", b"")
    (only,) = [s for s in submissions.find(tmp_path, {12}) if s.problem and "more than" in s.problem]
    assert only.learner == "ana" and "more than 100 files" in only.problem
