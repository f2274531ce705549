"""Gradescope's image as its public documents describe it, by hand: python tests/grading/bench_gradescope.py FOLDER [--lesson 12]

Builds an autograder below FOLDER as Gradescope does: setup.sh as root in /autograder (a folder bound there by bubblewrap), with the pip of
Ubuntu 22.04 and a stub for apt-get; then runs run_autograder on submissions of each kind, held to 768 MB and half a processor where
control groups (version 1) can be made. Prints points, seconds and the largest memory, and ends with 1 where results.json is not what it must be.
"""

import argparse
import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import bank

from aigc_lessons import exercises
from aigc_lessons.grading import export

PIP = "pip==22.0.2", "setuptools==59.6.0"  # of Ubuntu 22.04
MEMORY, PERIOD, QUOTA = 768 * 2**20, 100_000, 50_000  # bytes; microseconds of processor time in each period
KILLED, SOON = "killed judge", 3  # seconds
GROUPS = [Path("/sys/fs/cgroup") / kind / "aigc-bench" for kind in ("memory", "cpu")]
PYTHON3 = f"""#!/bin/bash
/usr/bin/python3 "$@" || exit 1
if [ "$1 $2" = "-m venv" ]; then "$3/bin/python" -m pip install -q {" ".join(PIP)}; fi
"""


def image(folder, lesson, trust, cpu_index):
    """Unpack the autograder, as Gradescope does, and put stubs in front of what an image has and this machine has not."""
    autograder, stubs = folder / "autograder", folder / "stubs"
    for path in (autograder, stubs):
        path.mkdir(parents=True)
    for name, text in (("apt-get", "#!/bin/sh\nexit 0\n"), ("python3", PYTHON3)):
        (stubs / name).write_text(text)
        (stubs / name).chmod(0o755)
    export.gradescope(folder / "autograder.zip", lesson, trust)
    shutil.unpack_archive(folder / "autograder.zip", autograder / "source")
    for name in ("setup.sh", "run_autograder"):
        shutil.copy(autograder / "source" / name, autograder / name)
        (autograder / name).chmod(stat.S_IRWXU)
    if cpu_index:
        text = (autograder / "setup.sh").read_text()
        (autograder / "setup.sh").write_text(text.replace("https://download.pytorch.org/whl/cpu", cpu_index))
    return autograder, stubs


def inside(autograder, stubs, script, groups=()):
    """Run /autograder/SCRIPT, as a member of the control groups."""
    join = "".join(f"echo $$ > {group}/cgroup.procs; " for group in groups)
    places = ["--dev-bind", "/", "/", "--bind", str(autograder), "/autograder"]
    path = f"{stubs}:/usr/bin:/bin"
    line = ["bash", "-c", f'{join} exec bwrap "$@"', "bash", *places, "--setenv", "PATH", path, f"/autograder/{script}"]
    keep = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL")}
    return subprocess.run(line, env={**keep, "PIP_CONFIG_FILE": os.devnull})


@contextlib.contextmanager
def limits():
    """Control groups of Gradescope's size; none where they cannot be made."""
    try:
        for group in GROUPS:
            group.mkdir(exist_ok=True)
        (GROUPS[0] / "memory.limit_in_bytes").write_text(str(MEMORY))
        (GROUPS[1] / "cpu.cfs_period_us").write_text(str(PERIOD))
        (GROUPS[1] / "cpu.cfs_quota_us").write_text(str(QUOTA))
    except OSError as error:
        print(f"No control groups here ({error}): no limits, and no memory is measured.")
        yield []
        return
    try:
        yield GROUPS
    finally:
        for group in GROUPS:
            with contextlib.suppress(OSError):
                group.rmdir()


def forget(folder):
    """Have the kernel forget the files that it has read, so that reading them anew counts as this group's memory."""
    for path in folder.rglob("*.so*"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cases():
    """{what: (files, points that they must get, words of the output)}"""
    answers = bank.as_notebook(["import torch", *(bank.answer(n, "return torch.zeros(2)") for n in bank.LESSON)])
    eater = bank.answer("max_pool2d", "hold = []\nwhile True:\n    hold.append(bytearray(20_000_000))")
    hungry = bank.as_notebook([eater, *(bank.answer(n, bank.RIGHT[n]) for n in bank.LESSON if n != "max_pool2d")])
    hangs = bank.as_notebook(["import torch", *(bank.answer(n, "while True: pass") for n in bank.LESSON)])
    everything = sum(exercises.get(n).points for n in bank.LESSON)
    return {
        "right": ({"my_answers.ipynb": bank.whole()}, everything, ""),
        "wrong": ({"12.ipynb": answers}, 0, ""),
        "empty notebook": ({"12.ipynb": bank.as_notebook([])}, 0, ""),
        "no file": ({}, 0, "there are 0"),
        "two files": ({"12.ipynb": bank.whole(), "12.py": bank.script()}, 0, "there are 2"),
        "takes all memory": ({"12.ipynb": hungry}, everything - exercises.get("max_pool2d").points, ""),
        "hangs everywhere": ({"12.ipynb": hangs}, 0, ""),
        KILLED: ({"12.ipynb": bank.whole()}, 0, "was stopped before"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new one, or one that an earlier run has built")
    parser.add_argument("--trust", action="store_true")
    parser.add_argument("--no-bubblewrap", action="store_true", help="as in a container that lets no sandbox run")
    parser.add_argument("--cpu-index", help="in place of PyTorch's, where that cannot be reached")
    parser.add_argument("--only", nargs="*", help="these cases")
    arguments = parser.parse_args()
    folder, started = arguments.folder.resolve(), time.monotonic()
    if not folder.exists():
        autograder, stubs = image(folder, 12, arguments.trust, arguments.cpu_index)
        built = inside(autograder, stubs, "setup.sh")
        size = subprocess.run(["du", "-sm", autograder / "venv"], capture_output=True, text=True).stdout.split()[0]
        print(f"setup.sh: exit code {built.returncode}, {time.monotonic() - started:.0f} s, {size} MB", flush=True)
        if built.returncode:
            return 1
    autograder, stubs = folder / "autograder", folder / "stubs"
    if arguments.no_bubblewrap:
        (stubs / "bwrap").write_text("#!/bin/sh\nexit 1\n")
        (stubs / "bwrap").chmod(0o755)
    else:
        (stubs / "bwrap").unlink(missing_ok=True)
    bad = []
    print(f"{'':20}{'points':>8}{'seconds':>9}{'MB':>6}")
    for what, (files, points, says) in cases().items():
        if arguments.only and what not in arguments.only:
            continue
        for name in ("submission", "results"):
            shutil.rmtree(autograder / name, ignore_errors=True)
            (autograder / name).mkdir()
        for name, content in files.items():
            (autograder / "submission" / name).write_bytes(content)
        run = (autograder / "source" / "run_autograder").read_text()
        run = run.replace(f" {export.WAIT} ", f" {SOON} ") if what == KILLED else run
        trusts = " --trust" if arguments.trust and "--trust" not in run else ""
        (autograder / "run_autograder").write_text(run.replace("results.json 12", f"results.json 12{trusts}"))
        forget(autograder / "venv")
        with limits() as groups:
            started = time.monotonic()
            inside(autograder, stubs, "run_autograder", groups)
            seconds = time.monotonic() - started
            most = int((groups[0] / "memory.max_usage_in_bytes").read_text()) / 2**20 if groups else 0
        found = json.loads((autograder / "results" / "results.json").read_text())
        got = sum(test["score"] for test in found["tests"])
        print(f"{what:20}{got:>8}{seconds:>9.1f}{most:>6.0f}  {found['output'][:90]}", flush=True)
        refused = arguments.no_bubblewrap and not arguments.trust
        if refused and what != KILLED:
            points, says = 0, "Nothing was graded"
        if got != points or says not in found["output"] or seconds > 600:
            bad.append((what, got, found))
    print(*bad, sep="\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
