"""Running a submission where it can do no harm: bubblewrap outside, limits inside, a deadline for each exercise.

What comes back is a claim: frames of tensors, read with caps, never unpickled.
"""

import builtins
import functools
import importlib.util
import inspect
import os
import re
import select
import selectors
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

import torch

from ..exercises.inside import frames, loading, observing
from ..exercises.inside.observing import Observation
from ..exercises.inside.scratch import LibraryCall
from .system_calls import rules

HERE = Path(__file__).parent
INSIDE = Path(frames.__file__).parent  # all of the course that a submission can see
# What can be imported beside the standard library, each by its name: torch, NumPy, safetensors and what these import
STRICT = (
    *(
        "torch",
        "torchgen",
        "functorch",
        "nvidia",
        "sympy",
        "mpmath",
        "networkx",
        "jinja2",
        "markupsafe",
        "filelock",
        "fsspec",
    ),
    *("typing_extensions", "numpy", "numpy.libs", "safetensors", "tqdm"),
)
# and, unless an answer is to be written from scratch, libraries that answers use, with what they import
WIDE = (
    *(
        "scipy",
        "scipy.libs",
        "sklearn",
        "scikit_learn.libs",
        "joblib",
        "threadpoolctl",
        "narwhals",
        "skimage",
        "imageio",
        "tifffile",
    ),
    *(
        "lazy_loader",
        "packaging",
        "PIL",
        "pillow.libs",
        "einops",
        "torchvision",
        "torchvision.libs",
        "pandas",
        "dateutil",
        "six",
        "pytz",
    ),
    *("matplotlib", "mpl_toolkits", "contourpy", "cycler", "fontTools", "kiwisolver", "pyparsing"),
)
ASKED_FOR = r"\b(scipy|sklearn|skimage|einops|torchvision|PIL|pandas)\b"  # code that may need WIDE
PACKAGES = ("site-packages", "dist-packages", "aigc_lessons")  # of other installations: empty folders lie over them
# root keeps its capabilities unless told
ALONE = ["--unshare-user", "--unshare-all", "--disable-userns", "--cap-drop", "ALL"]
START = 60.0  # seconds for Python and torch to start
LARGEST = 4_000_000  # bytes of an answer's tensors; the largest right one of all lessons has 41,000
LONGEST = 1_000_000  # bytes of its JSON, which takes many times the memory once it is read
TOTAL = 64_000_000  # bytes that one worker may send
RESTARTS = 4  # for cells that hang or end the process; then none of the others is run
CELL = 0.5  # of an exercise's time, for a cell of the learner's own
GRACE = 2.0  # seconds after which a cell that does not stop by itself is ended from outside
# bytes, files, processes and threads; AS counts from what Python and torch have mapped when the submission starts, shared memory too
LIMITS = {"DATA": 3_000_000_000, "AS": 3_000_000_000, "FSIZE": 64_000_000, "NOFILE": 256, "NPROC": 64, "CORE": 0}
# what the kernel does not hold root or a small tmpfs to, looked at from outside every WATCH seconds
MOST_THREADS, MOST_FILES, WATCH = 128, 5_000, 0.05


def libraries():
    """Folders of this machine that hold shared libraries."""
    places = [Path(p) for p in ("/usr/lib", "/usr/lib64", "/lib", "/lib64")]
    return [*places, *(Path(sys.base_prefix) / name for name in ("lib", "lib64"))]


@functools.cache
def located(name):
    """Where a package or module is that this Python would import, or such a thing as numpy.libs beside one; None if nowhere."""
    if name.endswith(".libs"):
        beside = {"scikit_learn.libs": "sklearn", "pillow.libs": "PIL"}.get(name, name.removesuffix(".libs"))
        folder = located(beside) and located(beside).parent / name
        return folder if folder and folder.is_dir() else None
    if name == "torch":
        return Path(torch.__file__).parent
    beside = Path(torch.__file__).parents[1] / name
    if beside.is_dir():
        return beside
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    return Path(next(iter(spec.submodule_search_locations), None) if spec.submodule_search_locations else spec.origin)


def mounts(wide):
    """bubblewrap's arguments for what of this machine a submission can read: the standard library, shared libraries, packages."""
    inside, base = [], {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    base |= {"installed_base": sys.base_prefix, "installed_platbase": sys.base_exec_prefix}
    standard = {Path(sysconfig.get_path(name, vars=base)) for name in ("stdlib", "platstdlib")}
    folders = []
    for folder in dict.fromkeys([*libraries(), *standard]):
        if folder.is_symlink() and str(folder) in ("/lib", "/lib64"):
            inside += ["--symlink", os.readlink(folder), str(folder)]
        elif folder.is_dir() and not any(folder.is_relative_to(other) for other in folders):
            folders.append(folder)
            inside += ["--ro-bind", str(folder), str(folder)]
    for file in (python(), Path("/etc/ld.so.cache")):
        inside += ["--ro-bind", str(file), str(file)] if file.exists() else []
    for name in (*STRICT, *(WIDE if wide else ())):
        if (place := located(name)) is not None:
            inside += ["--ro-bind", str(place), f"/site/{place.name}"]
    hidden = [
        h for folder in folders for name in PACKAGES for deep in ("", "*/", "*/*/") for h in folder.glob(deep + name)
    ]
    checkout = HERE.resolve().parents[1]
    course = checkout if (checkout / "pyproject.toml").exists() else HERE.resolve().parent
    for folder in folders:
        if course.is_relative_to(folder.resolve()):
            hidden.append(folder / course.relative_to(folder.resolve()))
    covered = []
    for place in sorted(hidden):
        if place.is_dir() and not place.is_symlink() and not any(place.is_relative_to(other) for other in covered):
            covered.append(place)
            inside += ["--tmpfs", str(place), "--remount-ro", str(place)]
    return inside


def python():
    """This Python's own program, outside of any virtual environment."""
    return Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"


def command(wide=True):
    """bubblewrap's command line: the worker, and of this machine only Python, torch and the libraries named above.

    wide: with those that an answer from scratch is to do without.
    """
    inside = [shutil.which("bwrap"), *ALONE, "--die-with-parent", "--new-session", "--clearenv"]
    inside += ["--proc", "/proc", "--dev", "/dev", "--size", "64000000", "--tmpfs", "/tmp"]
    inside += [*mounts(wide), "--ro-bind", str(INSIDE), "/judge"]
    for place in ("/", "/dev", "/proc"):  # in /proc/sys root could set the whole machine's kernel
        inside += ["--remount-ro", place]
    inside += ["--chdir", "/tmp"]
    for name, value in (
        ("HOME", "/tmp"),
        ("PYTHONPATH", "/site"),
        ("OMP_NUM_THREADS", "1"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ):
        inside += ["--setenv", name, value]
    return [*inside, str(python()), "/judge/worker.py"]


def unavailable():
    """Why bubblewrap cannot run here, and what to do; None if it can."""
    if shutil.which("bwrap") is None:
        return (
            "bubblewrap is not installed. On Debian or Ubuntu: sudo apt install bubblewrap. It exists for Linux only."
        )
    tried = subprocess.run(
        [
            "bwrap",
            *ALONE,
            "--ro-bind",
            "/",
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--remount-ro",
            "/dev",
            "--remount-ro",
            "/proc",
            "true",
        ],
        capture_output=True,
        text=True,
    )
    if tried.returncode == 0:
        return None
    return (
        f"bubblewrap cannot make a sandbox here: {tried.stderr.strip()[:300]}. It needs user namespaces. On Ubuntu 24.04 and later: "
        "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for bwrap; in a container: run it with --privileged."
    )


class Ended(Exception):
    """A worker that says no more; the message is the reason, for the learner."""


class Worker:
    """A running worker and its frames. Use it in a `with` block: at the end nothing of it is left.

    trusted: run without a sandbox, as this user, with no limits but the deadlines. stop: a threading.Event; once it is set, reading
    raises RuntimeError.
    """

    def __init__(self, wide=True, trusted=False, stop=None):
        self.stop, self.trusted = stop or threading.Event(), trusted
        quiet = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.DEVNULL,
            "start_new_session": True,
        }
        if trusted:
            line = f"import sys; sys.path.insert(0, {str(INSIDE)!r}); import worker; worker.main()"
            self.process = subprocess.Popen([sys.executable, "-I", "-c", line], **quiet)
        else:
            line = command(wide)
            with tempfile.TemporaryFile() as file:
                if filter := rules():
                    file.write(filter)
                    file.seek(0)
                    line[1:1] = ["--seccomp", str(file.fileno())]
                # no environment: a submission can read bubblewrap's own in /proc/1/environ
                self.process = subprocess.Popen(line, env={}, pass_fds=[file.fileno()], **quiet)
        for pipe in (self.process.stdin, self.process.stdout):
            os.set_blocking(pipe.fileno(), False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.buffer, self.total, self.watched = bytearray(), 0, None  # watched from the first frame on

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # bubblewrap takes everything inside with it; each is ended by itself all the same
        kills = [functools.partial(os.kill, number, signal.SIGKILL) for number in self._inside()]
        for stop in (*kills, lambda: os.killpg(self.process.pid, signal.SIGKILL), self.process.kill):
            try:
                stop()
            except ProcessLookupError:
                pass
        self.process.wait()
        self.selector.close()
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass

    def send(self, record, values, deadline):
        """A frame to the worker. Raises Ended when it is not taken by the deadline; a worker that has ended says so when it is read."""
        blob = memoryview(frames.pack(record, values))
        while blob:
            try:
                blob = blob[os.write(self.process.stdin.fileno(), blob) :]
            except BlockingIOError:
                self._wait(deadline)
                select.select([], [self.process.stdin], [], WATCH)
            except BrokenPipeError:
                return

    def frame(self, deadline):
        """The next (record, values). Raises Ended when it does not come by the deadline, or is no frame."""
        text, tensors = frames.HEAD.unpack(self._take(frames.HEAD.size, deadline))
        if text > LONGEST:
            raise Ended(f"An answer of {text:,} bytes in lists, numbers and texts; accepted are {LONGEST:,}.")
        if tensors > LARGEST:
            raise Ended(f"An answer of {tensors:,} bytes in tensors; accepted are {LARGEST:,}.")
        try:
            record, values = frames.unpack(self._take(text, deadline), self._take(tensors, deadline))
        except ValueError:
            raise Ended("What it sent is no answer in the agreed form.") from None
        if self.watched is None and not self.trusted:
            self.watched = time.monotonic()
        return record, values

    def _wait(self, deadline):
        """Seconds left. Raises Ended, or RuntimeError on request."""
        left = deadline - time.monotonic()
        if self.stop.is_set():
            raise RuntimeError("Grading was stopped.")
        if left <= 0:
            raise Ended("It gave no answer in time.")
        if self.watched is not None and time.monotonic() > self.watched + WATCH:
            self._watch()
            self.watched = time.monotonic()
        return left

    def _inside(self):
        """The processes in the sandbox, the first of them first."""
        found, waiting = [], [] if self.trusted else [self.process.pid]
        while waiting:
            number = waiting.pop()
            try:
                children = [int(n) for n in Path(f"/proc/{number}/task/{number}/children").read_text().split()]
            except OSError:  # it has ended
                continue
            found += children
            waiting += children
        return found

    def _watch(self):
        """Count the threads and the files of the last process inside, which runs the submission. Raises Ended for too many."""
        for number in self._inside()[-1:]:
            try:
                threads = len(os.listdir(f"/proc/{number}/task"))
                if threads > MOST_THREADS:
                    raise Ended(f"It started {threads} threads; accepted are {MOST_THREADS}.")
                room = os.statvfs(f"/proc/{number}/root/tmp")
            except OSError:  # it has ended
                return
            if room.f_files - room.f_ffree > MOST_FILES:
                raise Ended(f"It made {room.f_files - room.f_ffree:,} files; accepted are {MOST_FILES:,}.")

    def _take(self, size, deadline):
        while len(self.buffer) < size:
            left = self._wait(deadline)
            if not self.selector.select(min(left, WATCH)):
                continue
            part = self.process.stdout.read(1_000_000)
            if part == b"":
                try:
                    code = self.process.wait(max(left, 0))
                except subprocess.TimeoutExpired:
                    raise Ended("It gave no answer in time.") from None
                raise Ended(
                    f"Its process ended before it answered (exit code {code}): os._exit, a crash, or more memory than is allowed."
                )
            self.buffer += part or b""
            self.total += len(part or b"")
            if self.total > TOTAL:
                raise Ended(f"It sent more than {TOTAL:,} bytes.")
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken


def observed(record, values, case):
    """An Observation from a case's frame. Raises Ended for what is none.

    Whether it wrote into its input is seen here: the inputs come back with the answer, and are compared with what was sent.
    """
    if "library" in record:
        if not isinstance(record["library"], str) or not re.fullmatch(r"\w{1,60}", record["library"]):
            raise Ended("What it sent is no answer in the agreed form.")
        return Observation(error=LibraryCall(record["library"]))
    if "error" in record:
        name, says = record["error"], record.get("says")
        if not isinstance(name, str) or not isinstance(says, str):
            raise Ended("What it sent is no answer in the agreed form.")
        kind = getattr(builtins, name, Exception)
        known = isinstance(kind, type) and issubclass(kind, Exception)
        try:
            error = (kind if known else Exception)(says[:300])
        except Exception:  # some want other arguments
            error = Exception(says[:300])
        error.trouble = loading.read(record.get("trouble"))
        return Observation(error=error)
    given = sent(case)
    if len(values) != 3 or not all(isinstance(v, tuple) for v in values[1:]):
        raise Ended("What it sent is no answer in the agreed form.")
    value, gradients, inputs = values
    if len(gradients) != len(case.gradients) or len(inputs) != len(given):
        raise Ended("What it sent is no answer in the agreed form.")
    if not all(g is None or isinstance(g, torch.Tensor) for g in gradients):
        raise Ended("What it sent is no answer in the agreed form.")
    return Observation(value, gradients, None, not all(map(observing.unchanged, inputs, given)))


def sent(case):
    """A case's inputs as a worker is given them: arguments, then keyword arguments in their order."""
    args, kwargs, _ = observing.fresh(case.args, case.kwargs, (), torch.float32, track=False)
    return (*args, *kwargs.values())


class Found(dict):
    """{name of an exercise: what was found}, and what of the cells did not run, as lists of loading.Trouble: `troubles`, and `narrow`,
    what only answers from scratch met, in a worker of their own with fewer libraries.

    hung: {number of a cell that hung or ended the process: its Trouble}; times: {the same number: how often it did}; told: what each
    group of `runs` told last.
    """

    def __init__(self, values=()):
        super().__init__(values)
        self.hung, self.times, self.told = {}, {}, []

    @property
    def troubles(self):
        return [*self.hung.values(), *self._told(self.told[:1])]

    @property
    def narrow(self):
        first = self.troubles
        return [t for t in self._told(self.told[1:]) if t not in first]

    def _told(self, groups):
        return [t for told in groups for t in told if not (t.cell in self.hung and t.code == "time")]


def collect(sources, tasks, timeout, trusted=False, stop=None):
    """Run a submission on exercises: {name: Observations, one a case; or a str, the reason why there are none}.

    Args:
        sources: the code of its cells. tasks: list of (exercise, prepared cases).
        timeout: seconds for each exercise; a cell outside of the answers gets CELL of it. trusted, stop: as in Worker.
    Raises: RuntimeError: the worker did not start, which is never the submission's fault.
    A worker gets the inputs of a case when it is to answer it, and no sooner. Exercises after one that hangs or ends the process are run
    in a new worker, and cells without one that does; the first frame of a case counts.
    """
    found = Found()
    for group, wide in runs(sources, tasks):
        found.told.append([])
        while group:
            _run(sources, group, wide, timeout, trusted, stop, found)
    return found


def runs(sources, tasks):
    """[(tasks that share a worker, whether it sees the wide choice of libraries), ...]

    Answers from scratch come last, and those that may call least at the very end: what is refused stays refused. A second start costs
    seconds, so others have a worker of their own only where the code speaks of a library that they may use.
    """
    free = [task for task in tasks if not task[0].from_scratch]
    scratch = sorted(
        (t for t in tasks if t[0].from_scratch), key=lambda t: "convolution_transpose" not in t[0].from_scratch
    )
    if not scratch:
        return [(free, True)]
    if free and any(re.search(ASKED_FOR, source) for source in sources):
        return [(free, True), (scratch, False)]
    return [(free + scratch, False)]


def _run(sources, left, wide, timeout, trusted, stop, found):
    """One worker: answers into `found`, and its tasks off the list `left`, until it ends."""
    current, at = None, _Cell()
    with Worker(wide, trusted, stop) as worker:
        try:
            worker.frame(time.monotonic() + START)
        except Ended as reason:
            raise RuntimeError(f"The sandbox did not start. {reason}") from None
        try:
            worker.send(_job(sources, left, timeout, trusted, found), (), time.monotonic() + timeout)
            defined = _loaded(worker, timeout, len(sources), at, found)
            while left:
                current, prepared = left.pop(0)
                if current.name not in defined:
                    found[current.name] = "absent"
                    continue
                deadline = time.monotonic() + timeout
                worker.send(_task(current), (), deadline)
                found[current.name] = [_ask(worker, current.name, k, e.case, deadline) for k, e in enumerate(prepared)]
        except Ended as reason:
            if at.number and sum(found.times.values()) < RESTARTS:  # it was still among the cells
                found.times[at.number] = found.times.get(at.number, 0) + 1
                late = time.monotonic() >= at.deadline
                found.hung[at.number] = loading.Trouble("time" if late else "ended", at.number)
                return
            for exercise in [current] if current else [e for e, _ in left]:
                found[exercise.name] = str(reason)
            if current is None:
                left.clear()


class _Cell:
    """Which cell a worker is at, from 1; 0 before and after."""

    number, deadline = 0, 0.0


def _job(sources, tasks, timeout, trusted, found):
    """What a worker is told first: its limits, the cells and how long each may take."""
    limits = {} if trusted else {**LIMITS, "CPU": int((len(tasks) + 4) * timeout + START)}
    return {
        "limits": limits,
        "cells": list(sources),
        "seconds": timeout * CELL,
        "hung": [[cell, times] for cell, times in found.times.items()],
        "names": [exercise.name for exercise, _ in tasks],
        "scratch": any(exercise.from_scratch for exercise, _ in tasks),
    }


def _task(exercise):
    """What a worker is told of an exercise, before its cases."""
    return {
        "name": exercise.name,
        "call": inspect.getsource(exercise.call) if exercise.call else None,
        "parameters": list(inspect.signature(exercise.reference).parameters),
        "forbidden": list(exercise.from_scratch),
    }


def _loaded(worker, timeout, n_cells, at, found):
    """Follow a worker through the cells, each with its deadline: the names of the exercises that it defines."""
    seconds, last = timeout * CELL, 0
    end = time.monotonic() + loading.SHARE * seconds + timeout + GRACE
    at.deadline = time.monotonic() + timeout
    while True:
        record, _ = worker.frame(min(at.deadline, end))
        cell = record.get("cell")
        if type(cell) is int and last < cell <= n_cells:
            at.number = last = cell
            at.deadline = time.monotonic() + max(seconds, loading.DEFINES) + GRACE
            continue
        at.number = 0
        defined, told = record.get("defined"), record.get("trouble")
        if not isinstance(defined, list) or not isinstance(told, list):
            raise Ended("What it sent is no answer in the agreed form.")
        found.told[-1] = [t for t in map(loading.read, told[:20]) if t is not None and t.cell <= n_cells]
        return defined


def _ask(worker, name, number, case, deadline):
    """The Observation of one case."""
    asked = {"case": number, "names": list(case.kwargs), "tracked": list(case.gradients)}
    worker.send(asked, [tuple(case.args), tuple(case.kwargs.values())], deadline)
    while True:
        record, values = worker.frame(deadline)
        answered = record.get("case")
        if record.get("name") != name or type(answered) is not int or not 0 <= answered <= number:
            raise Ended("What it sent is no answer in the agreed form.")
        if answered == number:  # one that comes again does not count
            return observed(record, values, case)
