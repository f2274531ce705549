"""The command `aigc-lessons`: lab, doctor, train, evaluate, check, grade, export."""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import webbrowser
from pathlib import Path

import psutil

from .settings import COURSE, PROFILES, data_folder, profile

NEEDS_FREE = 1_000_000_000  # bytes: notebooks, runs and a small data set


def _fail(message):
    print(message, file=sys.stderr)
    return 1


# ---------------------------------------------------------------- lab


def lab(arguments):
    """Start JupyterLab on the first notebook."""
    start = COURSE / "notebooks" / "00_start_here.ipynb"
    if not start.exists():
        return _fail(
            f"The notebooks are not in {COURSE}. Install the course from its own folder: git clone it, then pip install -e '.[lab]' there."
        )
    if subprocess.run([sys.executable, "-c", "import jupyterlab"], capture_output=True).returncode:
        return _fail(
            f"JupyterLab is not installed for {sys.executable}. Run: {sys.executable} -m pip install -e '{COURSE}[lab]'"
        )
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={COURSE}",
        f"--LabApp.default_url=/lab/tree/{start.relative_to(COURSE).as_posix()}",
    ]  # in the printed address too
    if arguments.port:
        command.append(f"--ServerApp.port={arguments.port}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # a container; the server listens on this machine only
    try:
        webbrowser.get()
        browser = not arguments.no_browser
    except webbrowser.Error:
        browser = False
    if not browser:
        command.append("--no-browser")
        print(
            "No browser is opened from here. Open the address below, the one that begins with http://127.0.0.1 or http://localhost.",
            flush=True,
        )
    try:
        return subprocess.run(command, cwd=COURSE).returncode
    except KeyboardInterrupt:
        return 0


# ---------------------------------------------------------------- doctor


def _pair():
    """(versions or error, is it whole): torch and torchvision, tried in a process of their own, since a bad pair may crash."""
    code = (
        "import torch, torchvision; from torchvision.ops import nms; nms(torch.zeros(1, 4), torch.zeros(1), 0.5); "
        "print('torch', torch.__version__, 'with torchvision', torchvision.__version__)"
    )
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if tried.returncode == 0:
        return tried.stdout.strip(), True
    reason = (tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"])[-1]
    return (
        f"torch and torchvision do not work together: {reason}. They must come from one place. Run: "
        f"{sys.executable} -m pip install --force-reinstall torch torchvision"
    ), False


def doctor(arguments):
    """Report on this machine; 1 if anything must be fixed."""
    problems = []

    def line(what, text, well=True):
        print(f"{'ok  ' if well else 'BAD '} {what:<12} {text}")
        if not well:
            problems.append(what)

    line("Python", f"{platform.python_version()} ({sys.executable})", sys.version_info >= (3, 10))
    text, whole = _pair()
    line("torch pair", text, whole)
    if whole:
        import torch

        from .settings import device

        here = device()
        named = getattr(torch.get_device_module(here), "get_device_name", platform.machine)
        line("device", f"{here.type} ({named()}), {torch.get_num_threads()} threads")
        try:
            line("profile", profile())
        except ValueError as error:
            line("profile", str(error), False)
    memory = psutil.virtual_memory()
    line("memory", f"{memory.available / 1e9:.1f} GB available of {memory.total / 1e9:.1f} GB")
    free = shutil.disk_usage(COURSE).free
    line(
        "free disk",
        f"{free / 1e9:.1f} GB"
        if free >= NEEDS_FREE
        else f"{free / 1e9:.2f} GB; the course needs {NEEDS_FREE / 1e9:.0f} GB in {COURSE}. Free some, or move the course to another disk.",
        free >= NEEDS_FREE,
    )
    if whole:
        from . import data

        for name, state in data.names().items():
            line("data", f"{name}: {state}")
        for file in data.carried.FILES:
            try:
                content = data.carried.checked_bytes(file)
                line(
                    "carried", f"{file}: sha256 {data.carried.manifest()[file]['sha256'][:12]}, {len(content):,} bytes"
                )
            except (ValueError, OSError) as error:
                line("carried", str(error), False)
        from .shipped import manifest, read_weights

        try:
            known = manifest()
        except (OSError, json.JSONDecodeError) as error:
            known = {}
            line(
                "weights",
                f"the manifest cannot be read ({error}). Restore it with `git checkout -- aigc_lessons/shipped`.",
                False,
            )
        for name, record in known.items():
            try:
                read_weights(name)
                line("weights", f"{name}: sha256 {record['sha256'][:12]}, {record['bytes']:,} bytes")
            except (ValueError, OSError) as error:
                line("weights", str(error), False)
        print(f"     data folder  {data_folder()}")
    print(
        "All is well."
        if not problems
        else f"To fix: {', '.join(dict.fromkeys(problems))}. Each line marked BAD says how."
    )
    return 1 if problems else 0


# ---------------------------------------------------------------- train


def train(arguments):
    """Make shipped weights anew, or only show what they score."""
    from .authors.recipes import RECIPES
    from .authors.recipes import train as run

    if arguments.name not in RECIPES:
        return _fail(f"There is no recipe {arguments.name!r}. Known: {', '.join(RECIPES)}.")
    model, history, scores = run(
        arguments.name, seed=arguments.seed, save=arguments.save, checkpoint=arguments.checkpoint
    )
    print(history)
    print(", ".join(f"{k} {v}" for k, v in scores.items()))
    if arguments.save:
        print("Not saved: training was interrupted." if history.interrupted else "Saved, and entered in the manifest.")
    return 130 if history.interrupted else 0


# ---------------------------------------------------------------- evaluate


def _compared(arguments):
    """(generated, real, labels or None) that `evaluate` was asked to compare."""
    from . import data
    from .authors.results import makes_pictures, sampled, some
    from .shipped import manifest

    def load(given, size):
        if Path(given).is_dir():
            return data.load(f"folder:{given}", size=size, skip_bad=arguments.skip_bad).images
        return data.load(given, size=size).images

    name = arguments.generated
    if Path(name).is_dir():
        generated, real = load(name, arguments.size), load(arguments.data, arguments.size)
        n = min(arguments.n, len(generated), len(real))
        return some(generated, n, arguments.seed), some(real, n, arguments.seed), None
    makers = [k for k in manifest() if makes_pictures(k)]
    if name not in makers:
        raise ValueError(
            f"{name!r} is neither a folder of pictures nor a shipped generator. Known generators: {', '.join(makers)}."
        )
    real = load(arguments.data, manifest()[name]["arguments"].get("image_shape", (1, 32, 32))[-1])
    real = some(real, arguments.n, arguments.seed)
    generated, labels, _ = sampled(name, len(real), seed=arguments.seed)
    return generated, real, labels if manifest()[name]["data"] == arguments.data else None


def evaluate(arguments):
    """Compare a shipped generator, or a folder of pictures, with a data set or another folder."""
    from dataclasses import asdict

    from . import metrics
    from .files import write_atomically

    features = arguments.features or arguments.data
    if arguments.features is None and features not in metrics.judges():
        return _fail(
            f"There is no judge for {arguments.data!r}. Say what to look through: --features {'|'.join(metrics.judges())}|pixels, "
            "or --features inception --weights FILE."
        )
    out = Path(arguments.json) if arguments.json else None
    if out and not os.access(out.parent, os.W_OK):
        return _fail(
            f"--json {out}: {out.parent} is no folder that can be written to. Make it first, or give another place."
        )
    try:
        generated, real, labels = _compared(arguments)
        report = metrics.evaluate(
            generated, real, features, weights=arguments.weights, labels=labels if features == arguments.data else None
        )
    except (ValueError, TypeError, OSError) as error:
        return _fail(str(error))
    print(report)
    if out:
        record = {
            "generated": arguments.generated,
            "data": arguments.data,
            "seed": arguments.seed,
            **asdict(report),
            "note": report.note,
        }
        write_atomically(out, (json.dumps(record, indent=1) + "\n").encode())
        print(f"Written: {out}")
    return 0


# ---------------------------------------------------------------- check


CELL_SECONDS = 10.0  # for a cell of the learner's own, as in a grade


def _functions(sources, script):
    """What a file defines, and what of it did not run, in sentences. Its cells run here, in this process, as they do in a grade."""
    import contextlib
    import io

    import matplotlib

    from .exercises.engine import of_a_cell
    from .exercises.inside import loading

    matplotlib.use("Agg")  # no window waits to be closed
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        space, troubles = loading.define(sources, CELL_SECONDS, alone=True)
    return space, [of_a_cell(trouble, script) for trouble in troubles]


def _asked_for(path, space):
    """The exercises that a file is about: those of the lesson in its name, or else of the lessons that it answers."""
    from . import exercises
    from .grading import submissions

    answered = [name for name in exercises.names() if callable(space.get(name))]
    lessons = {exercises.get(name).lesson for name in exercises.names()}
    named, surely, _ = submissions.lesson_in(submissions.kind_of(path.name)[1], lessons)
    wanted = {exercises.get(name).lesson for name in answered} | ({named} if surely else set())
    return answered, [name for name in exercises.names() if exercises.get(name).lesson in wanted]


def check(arguments):
    """Check every exercise that a notebook or .py file answers; 0 if all answers are correct, and graded as such."""
    from . import exercises
    from .exercises.inside import loading
    from .grading import submissions

    path = Path(arguments.file)
    if not path.is_file() or submissions.kind_of(path.name)[0] is None:
        return _fail(
            f"check got {path}. Accepted: an exercise notebook (.ipynb) or a Python file (.py) that exists, such as exercises/12_convolution.ipynb."
        )
    try:
        member = submissions.only_member(path)
        sources = submissions.read(path, member)
    except (ValueError, OSError) as error:
        return _fail(f"{path}: {error}")
    with loading.uncompiled():
        space, troubles = _functions(sources, submissions.is_script(path, member))
        for trouble in troubles:
            print(f"{path.name}, {trouble}")
        answered, wanted = _asked_for(path, space)
        if not answered:
            return _fail(f"{path} defines none of the exercises. Known: {', '.join(exercises.names())}.")
        results = [exercises.check(name, space[name]) for name in answered]
    for name, result in zip(answered, results):
        lost = f"\n  0 of {exercises.get(name).points} points." if result.code != "correct" else ""
        print(f"{result}{lost}\n")
    for name in wanted:
        if name not in answered:
            print(f"{name}: not found in this file. It is worth {exercises.get(name).points} points.\n")
    print(f"{sum(r.points for r in results)} of {sum(exercises.get(n).points for n in wanted)} points.")
    return 0 if all(r.code == "correct" for r in results) else 1


# ---------------------------------------------------------------- grade


def grade(arguments):
    """Grade a folder of submissions, each in a sandbox; 0 if every file could be graded."""
    from tqdm.auto import tqdm

    from . import exercises
    from .grading import feedback, results, sandbox

    root, out = Path(arguments.submissions).resolve(), Path(arguments.output).resolve()
    if not root.is_dir():
        return _fail(
            f"grade got {root}, which is no folder. Give the folder that holds the submissions: LEARNER/12_name.ipynb or LEARNER_12.ipynb."
        )
    if out.is_relative_to(root):
        return _fail(
            f"The output {out} lies inside the submissions. Give a folder outside of {root}, such as -o {root.parent / 'grades'}."
        )
    lessons = sorted({exercises.get(name).lesson for name in exercises.names()})
    if arguments.lesson is not None and arguments.lesson not in lessons:
        return _fail(
            f"There is no lesson {arguments.lesson} with exercises. There are: {', '.join(map(str, lessons))}."
        )
    if arguments.jobs < 1 or arguments.timeout <= 0:
        return _fail(
            f"--jobs {arguments.jobs} --timeout {arguments.timeout:g}: accepted are 1 or more jobs, and more than 0 seconds."
        )
    try:
        (out / "rows").mkdir(parents=True, exist_ok=True)
        if not os.access(out, os.W_OK):
            raise PermissionError("no permission to write")
    except OSError as error:
        return _fail(f"The output {out} cannot be written: {error}. Give another folder with -o.")
    if not arguments.trust and (why := sandbox.unavailable()):
        return _fail(
            f"Nothing was graded. {why}\nOr run with --trust: then submissions run as you, can read and change your files, and their own grades."
        )
    if arguments.trust:
        print("--trust: no sandbox. Submissions run as you, and could change their grade.", file=sys.stderr)

    try:
        rows = results.grade(
            root,
            out,
            arguments.lesson,
            arguments.jobs,
            arguments.timeout,
            arguments.trust,
            arguments.seed,
            progress=lambda n, finished: tqdm(finished, desc="grading", unit="file", total=n),
        )
    except KeyboardInterrupt:
        _fail(f"Stopped. What was graded is kept in {out / 'rows'}; the same command goes on.")
        return 130
    if not rows:
        return _fail(
            f"There are no submissions (.ipynb or .py) in {root}"
            + (f" for lesson {arguments.lesson}" if arguments.lesson else "")
            + "."
        )
    feedback.write(rows, out, arguments.trust)
    ungraded = [row for row in rows if row["reason"]]
    print(
        f"{len(rows)} submissions, {sum(r['points'] for r in rows)} of {sum(r['of'] for r in rows)} points. See {out / 'grades.csv'} and {out / 'class.html'}."
    )
    for row in ungraded:
        print(
            f"Not graded: {feedback.printable(row['learner'])}, {feedback.printable(row['file'])}: {feedback.printable(row['reason'])}"
        )
    return 1 if ungraded else 0


# ---------------------------------------------------------------- export


def export(arguments):
    """Write the exercises as a course folder for nbgrader, or one lesson's autograder for Gradescope."""
    import secrets

    from .grading import export as writers

    out = Path(arguments.output)
    try:
        if arguments.system == "gradescope":
            if arguments.lesson is None:
                return _fail("export gradescope makes one autograder a lesson. Say which: --lesson 12.")
            out.parent.mkdir(parents=True, exist_ok=True)
            writers.gradescope(out, arguments.lesson, arguments.trust)
        else:
            if out.exists() and (not out.is_dir() or any(out.iterdir())):
                return _fail(
                    f"{out} is there and not empty. Give a new folder, so that nothing of yours is overwritten."
                )
            out.mkdir(parents=True, exist_ok=True)
            print("Assignments: " + ", ".join(writers.nbgrader(out, tag=secrets.token_hex(8))))
    except (ValueError, OSError) as error:
        return _fail(str(error))
    print(f"Written: {out}. TEACHING.md says how to go on.")
    return 0


def main(argv=None):
    parser = argparse.ArgumentParser(
        "aigc-lessons",
        description="The course's own command.",
        epilog=f"AIGC_PROFILE={'|'.join(PROFILES)} sets how large everything runs.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function):
        sub = commands.add_parser(
            function.__name__, help=function.__doc__.strip().splitlines()[0], description=function.__doc__
        )
        sub.set_defaults(run=function)
        return sub

    sub = command(lab)
    sub.add_argument("--port", type=int)
    sub.add_argument("--no-browser", action="store_true")
    command(doctor)
    sub = command(train)
    sub.add_argument("name")
    sub.add_argument("--save", action="store_true", help="replace the shipped weights")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--checkpoint", help="file that holds the run; the same command continues it")
    sub = command(evaluate)
    sub.add_argument(
        "generated", metavar="MODEL_OR_FOLDER", help="shipped weights, such as dcgan-digits, or a folder of pictures"
    )
    sub.add_argument("--data", required=True, help="a data set, such as digits, or a folder of real pictures")
    sub.add_argument("--features", help="whose: a judge's data set, inception or pixels; unset: the judge of --data")
    sub.add_argument("--weights", help="file with Inception's published weights")
    sub.add_argument("--json", metavar="OUT", help="also write the report there")
    sub.add_argument("--n", type=int, default=2_000, help="pictures on each side, if there are as many")
    sub.add_argument("--size", type=int, default=32, help="pictures of folders are cut and resized to this side")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--skip-bad", action="store_true", help="leave out pictures that cannot be read")
    sub = command(check)
    sub.add_argument("file")
    sub = command(grade)
    sub.add_argument("submissions", metavar="SUBMISSIONS", help="folder: LEARNER/12_name.ipynb, or LEARNER_12.ipynb")
    sub.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="folder for grades.csv, grades.json, class.html and feedback/",
    )
    sub.add_argument("--lesson", type=int, help="only this one; files whose name says no lesson count as of it")
    sub.add_argument("--jobs", type=int, default=2, help="submissions at a time")
    sub.add_argument("--timeout", type=float, default=20.0, help="seconds for each exercise")
    sub.add_argument("--seed", type=int, help="repeat a run; unset: other inputs in every run")
    sub.add_argument(
        "--trust", action="store_true", help="run without a sandbox; only for submissions that you have read"
    )
    sub = command(export)
    sub.add_argument("system", choices=["nbgrader", "gradescope"])
    sub.add_argument("output", metavar="OUT", help="a new folder for nbgrader, a .zip for Gradescope")
    sub.add_argument("--lesson", type=int)
    sub.add_argument("--trust", action="store_true", help="Gradescope: grade without a sandbox where none can run")
    arguments = parser.parse_args(argv)
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
