"""Right work earns all of its points, and the same from `check`, `grade` and the Gradescope runner: the kinds of honest.py."""

import json
import re
import unicodedata

import honest
from bank import LESSON

import aigc_lessons as al
from aigc_lessons import cli
from aigc_lessons.grading import export, results, sandbox

OF = {name: al.exercises.get(name).points for name in LESSON}
CELL, TIMEOUT = 2.0, 20.0  # seconds for a cell and for an exercise in these runs


def by_check(path, capsys):
    """{exercise: points} that `aigc-lessons check` gives a file, and what it says."""
    cli.main(["check", str(path)])
    said = capsys.readouterr().out
    points = {name: int(n) for name, n in re.findall(r"^(\w+): correct\. (\d+) of", said, re.MULTILINE)}
    assert f"\n{sum(points.values())} of {sum(OF.values())} points." in said, said
    return points, said


def by_gradescope(file, folder):
    """{exercise: points} that Gradescope's runner gives a file which is handed in by its own name."""
    (folder / "submission").mkdir(parents=True)
    (folder / "submission" / file.path.split("/")[-1]).write_bytes(file.content())
    export.main(folder / "submission", folder / "results.json", "12")
    tests = json.loads((folder / "results.json").read_text())["tests"]
    return {test["name"]: test["score"] for test in tests}


def test_right_work_earns_the_same_everywhere(bubblewrap, tmp_path, monkeypatch, capsys, record_property):
    monkeypatch.setattr(cli, "CELL_SECONDS", CELL)
    monkeypatch.setattr(sandbox, "CELL", CELL / TIMEOUT)
    monkeypatch.setattr(export, "TIMEOUT", TIMEOUT)
    root = tmp_path / "submissions"
    for file in honest.FILES:
        for path, content in {file.path: file.content(), **file.besides}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
    rows = results.grade(root, tmp_path / "out", lesson=12, timeout=TIMEOUT)
    lines, unlike = [], []
    for i, file in enumerate(honest.FILES):
        learner = file.path.split("/")[0] if file.learner.startswith("Eva") else file.learner
        row = next(r for r in rows if unicodedata.normalize("NFC", learner) == r["learner"] and r["exercises"])
        graded = {e["name"]: e["points"] for e in row["exercises"]}
        checked, said = by_check(root / file.path, capsys)
        scoped = by_gradescope(file, tmp_path / f"gradescope {i}")
        for name, (what, _) in file.answers.items():
            lines.append((f"{name}: {what}", checked.get(name, 0), graded[name], scoped.get(name, 0), OF[name]))
        totals = [sum(points.values()) for points in (checked, graded, scoped, OF)]
        for what in (file.kind, *(what for what, _, _ in file.cells)):
            lines.append((what, *totals))
        if not totals[0] == totals[1] == totals[2] == totals[3]:
            unlike.append(
                (file.learner, checked, graded, scoped, row["reason"], row["exercises"], row["troubles"], said)
            )
    record_property("honest", lines)
    assert not unlike, "\n\n".join(map(str, unlike))
    assert len({what for what, *_ in lines}) >= 60
