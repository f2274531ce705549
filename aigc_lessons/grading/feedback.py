"""What comes of graded rows: grades.csv, grades.json, a page for each learner, and one for the class.

Whatever a submission or a file name can say is escaped: for spreadsheets and for HTML.
"""

import csv
import hashlib
import html
import io
import json
import re
import statistics
from collections import Counter

from ..files import write_atomically
from .submissions import printable, visible

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}table{border-collapse:collapse;width:100%}"
    "th,td{border:1px solid #bbb;padding:.4rem .6rem;text-align:left;vertical-align:top}th{background:#f2f2f2}"
)


def cell(text):
    """Text for a spreadsheet's cell: what would be taken for a formula gets an apostrophe in front, also behind a semicolon and
    its like, at which some spreadsheets split; no control characters, and nothing that cannot be seen."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", " ", visible(str(text)))
    text = re.sub(r"([;|\t\n][\s\"']*)(?=[=+\-@＝＋－＠])", r"\1'", text)
    begins = re.match(r"[\s\"]*[=+\-@＝＋－＠]|[\t\n]", text)
    return ("'" if begins else "") + text.replace("\t", " ")


def page_name(learner):
    """The file name of a learner's page: readable, of safe characters only, and different for different learners."""
    readable = re.sub(r"[^\w-]+", "_", visible(learner)).strip("_")[:40] or "learner"
    return f"{readable}-{hashlib.sha256(learner.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}.html"


def as_csv(rows):
    """One line a submission, with a column for each exercise."""
    exercises = list(dict.fromkeys(e["name"] for row in rows for e in row["exercises"]))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["learner", "lesson", "file", "points", "of", *exercises, "reason", "flags", "seconds"])
    for row in rows:
        points = {e["name"]: e["points"] for e in row["exercises"]}
        wrong = [f"{e['name']}: {e['reason']}" for e in row["exercises"] if e["outcome"] != "correct"]
        reasons = row["reason"] or " | ".join([*filter(None, [row.get("note")]), *wrong])
        writer.writerow(
            [
                cell(row["learner"]),
                row["lesson"] or "",
                cell(row["file"]),
                row["points"],
                row["of"],
                *(points.get(name, "") for name in exercises),
                cell(reasons),
                cell("; ".join(row["flags"])),
                row["seconds"],
            ]
        )
    return "\ufeff" + text.getvalue()  # so that spreadsheets read it as UTF-8


def _page(title, body):
    safe = html.escape(printable(title))
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{safe}</title><style>{STYLE}</style><h1>{safe}</h1>{body}</html>\n'


def _table(head, lines):
    row = lambda tag, items: "<tr>" + "".join(f"<{tag}>{html.escape(printable(i))}</{tag}>" for i in items) + "</tr>"
    return f"<table><thead>{row('th', head)}</thead><tbody>{''.join(row('td', line) for line in lines)}</tbody></table>"


def learner_page(learner, rows):
    """Points and a sentence for each exercise; no input and no right answer."""
    body = ""
    for row in rows:
        title = f"Lesson {row['lesson']}" if row["lesson"] else row["file"]
        body += f"<h2>{html.escape(printable(title))}: {row['points']} of {row['of']} points</h2>"
        body += f"<p>{html.escape(printable(row['reason']))}</p>" if row["reason"] else ""
        for line in filter(None, (row.get("note"), *row.get("troubles", ()))):
            body += f"<p>{html.escape(printable(line))}</p>"
        lines = [
            (e["name"], f"{e['points']} of {e['of']}", e["outcome"].replace("_", " "), e["reason"])
            for e in row["exercises"]
        ]
        body += _table(("exercise", "points", "outcome", "why"), lines)
    return _page(f"Feedback for {learner}", body)


def class_page(rows, trusted):
    """Points by exercise, the commonest named mistakes, time spent, and flags for a person."""
    entries = [e for row in rows for e in row["exercises"]]
    by_name = {}
    for e in entries:
        by_name.setdefault(e["name"], []).append(e)
    outcomes = ("correct", "wrong", "error", "not_attempted", "not graded")
    body = (
        "<p><strong>Graded without a sandbox (--trust): submissions ran as this user, and could change their grade.</strong></p>"
        if trusted
        else ""
    )
    body += f"<p>{len(rows)} submissions of {len({row['learner'] for row in rows})} learners.</p>"
    body += "<h2>Exercises</h2>" + _table(
        ("exercise", "mean points", "of", *(o.replace("_", " ") for o in outcomes)),
        [
            (
                name,
                f"{statistics.mean(e['points'] for e in es):.2f}",
                es[0]["of"],
                *(sum(e["outcome"] == o for e in es) for o in outcomes),
            )
            for name, es in by_name.items()
        ],
    )
    mistakes = Counter((e["name"], e["mistake"]) for e in entries if e["mistake"])
    body += "<h2>Commonest known mistakes</h2>" + _table(
        ("exercise", "mistake", "how many"), [(*key, n) for key, n in mistakes.most_common(20)]
    )
    body += "<h2>For a person to look at</h2><p>Flags decide nothing: there are honest reasons for each.</p>" + _table(
        ("learner", "lesson", "file", "flags"),
        [(r["learner"], r["lesson"] or "", r["file"], "; ".join(r["flags"])) for r in rows if r["flags"]],
    )
    body += "<h2>Not graded</h2>" + _table(
        ("learner", "file", "why"), [(r["learner"], r["file"], r["reason"]) for r in rows if r["reason"]]
    )
    slow = sorted(rows, key=lambda r: -r["seconds"])[:10]
    total = sum(r["seconds"] for r in rows)
    body += f"<h2>Time</h2><p>{total:.0f} seconds of grading in all. The slowest:</p>" + _table(
        ("learner", "lesson", "seconds"), [(r["learner"], r["lesson"] or "", r["seconds"]) for r in slow]
    )
    return _page("Class overview", body)


def write(rows, out, trusted):
    """All of it, each file whole or not at all."""
    learners = {}
    for row in rows:
        learners.setdefault(row["learner"], []).append(row)
    plain = [{k: v for k, v in row.items() if k != "fingerprint"} for row in rows]
    write_atomically(out / "grades.csv", as_csv(rows).encode("utf-8", "replace"))
    write_atomically(
        out / "grades.json", (json.dumps({"sandbox": not trusted, "rows": plain}, indent=1) + "\n").encode()
    )
    for learner, own in learners.items():
        write_atomically(out / "feedback" / page_name(learner), learner_page(learner, own).encode())
    write_atomically(out / "class.html", class_page(rows, trusted).encode())
