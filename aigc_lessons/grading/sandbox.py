"""Running a submission where it can do no harm: bubblewrap outside, limits inside, a deadline for each exercise.

What comes back is a claim: frames of tensors, read with caps, never unpickled.
"""

import builtins
import inspect
import os
import platform
import selectors
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

from ..exercises.inside import frames, loading
from ..exercises.inside.observing import Observation

HERE = Path(__file__).parent
INSIDE = Path(frames.__file__).parent  # all of the course that a submission can see
PLACES = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", sys.base_prefix)  # of this machine, read-only
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


def threads_only():
    """A seccomp filter (BPF) under which threads may start and processes may not, since RLIMIT_NPROC does not hold root.

    Returns: bytes for bwrap --seccomp; none on processors other than x86-64 and ARM64.
    """
    # its number, fork and vfork, clone
    known = {"x86_64": (0xC000003E, (57, 58), 56), "aarch64": (0xC00000B7, (), 220)}
    if platform.machine() not in known:
        return b""
    processor, forks, clone = known[platform.machine()]
    load, equal, at_least, has, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, not_permitted, not_there = 0x7FFF0000, 0x00050001, 0x00050026
    program = [
        (load, 0, 0, 4),
        (equal, 1, 0, processor),
        (give, 0, 0, not_permitted),
        # another way to number the calls
        (load, 0, 0, 0),
        (at_least, 0, 1, 0x40000000),
        (give, 0, 0, not_permitted),
        (equal, 0, 1, 435),
        (give, 0, 0, not_there),
    ]  # clone3 hides its flags; C libraries then call clone
    for fork in forks:
        program += [(equal, 0, 1, fork), (give, 0, 0, not_permitted)]
    program += [
        (equal, 1, 0, clone),
        (give, 0, 0, allow),
        # CLONE_THREAD
        (load, 0, 0, 16),
        (has, 0, 1, 0x00010000),
        (give, 0, 0, allow),
        (give, 0, 0, not_permitted),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in program)


def command(folder):
    """bubblewrap's command line: the worker with `folder` as its job, and of this machine only Python, torch and its neighbours."""
    site = Path(torch.__file__).parents[1]
    inside = [
        shutil.which("bwrap"),
        *ALONE,
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--size",
        "64000000",
        "--tmpfs",
        "/tmp",
    ]
    for place in PLACES:
        path = Path(place)
        if path.is_symlink():
            inside += ["--symlink", os.readlink(path), place]
        elif path.exists() and not path.is_relative_to("/usr") or place == "/usr":
            inside += ["--ro-bind", place, place]
    inside += ["--ro-bind", str(site), "/site", "--ro-bind", str(folder), "/job"]
    checkout = HERE.resolve().parents[1]
    course = checkout if (checkout / "pyproject.toml").exists() else HERE.resolve().parent
    for place, name in [*((p, p) for p in PLACES), (site, "/site")]:
        if course.is_relative_to(Path(place).resolve()):  # it holds the answers, so an empty folder lies over it
            name = str(Path(name) / course.relative_to(Path(place).resolve()))
            inside += ["--tmpfs", name, "--remount-ro", name]
    inside += ["--ro-bind", str(INSIDE), "/judge"]
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    for place in ("/", "/dev", "/proc"):  # in /proc/sys root could set the whole machine's kernel
        inside += ["--remount-ro", place]
    return [
        *inside,
        "--chdir",
        "/tmp",
        "--setenv",
        "HOME",
        "/tmp",
        "--setenv",
        "PYTHONPATH",
        "/site",
        "--setenv",
        "OMP_NUM_THREADS",
        "1",
        "--setenv",
        "PYTHONDONTWRITEBYTECODE",
        "1",
        str(python),
        "/judge/worker.py",
        "/job",
    ]


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

    def __init__(self, folder, trusted=False, stop=None):
        self.stop = stop or threading.Event()
        quiet = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.DEVNULL,
            "start_new_session": True,
        }
        if trusted:
            line = f"import sys; sys.path.insert(0, {str(INSIDE)!r}); import worker; worker.main({str(folder)!r})"
            self.process = subprocess.Popen([sys.executable, "-I", "-c", line], **quiet)
        else:
            line, rules = command(folder), threads_only()
            with tempfile.TemporaryFile() as file:
                if rules:
                    file.write(rules)
                    file.seek(0)
                    line[1:1] = ["--seccomp", str(file.fileno())]
                # no environment: a submission can read bubblewrap's own in /proc/1/environ
                self.process = subprocess.Popen(line, env={}, pass_fds=[file.fileno()], **quiet)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.buffer, self.total = bytearray(), 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stop in (lambda: os.killpg(self.process.pid, 9), self.process.kill):
            try:
                stop()  # bubblewrap takes everything inside with it
            except ProcessLookupError:
                pass
        self.process.wait()
        self.selector.close()
        self.process.stdout.close()

    def frame(self, deadline):
        """The next (record, values). Raises Ended when it does not come by the deadline, or is no frame."""
        head = frames.HEAD.unpack(self._take(frames.HEAD.size, deadline))
        if head[0] > LONGEST or head[1] > LARGEST:
            raise Ended(f"An answer of {sum(head):,} bytes; accepted are {LARGEST:,}.")
        try:
            record, values = frames.unpack(self._take(head[0], deadline), self._take(head[1], deadline))
        except ValueError:
            raise Ended("What it sent is no answer in the agreed form.") from None
        return record, values

    def _take(self, size, deadline):
        while len(self.buffer) < size:
            left = deadline - time.monotonic()
            if self.stop.is_set():
                raise RuntimeError("Grading was stopped.")
            if left <= 0:
                raise Ended("It gave no answer in time.")
            if not self.selector.select(min(left, 0.2)):
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


def observed(record, values, n_gradients):
    """An Observation from a case's frame. Raises Ended for what is none."""
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
    if len(values) != 2 or not isinstance(values[1], tuple) or len(values[1]) != n_gradients:
        raise Ended("What it sent is no answer in the agreed form.")
    if not all(g is None or isinstance(g, torch.Tensor) for g in values[1]):
        raise Ended("What it sent is no answer in the agreed form.")
    return Observation(values[0], values[1], None, bool(record.get("damaged")))


class Found(dict):
    """{name of an exercise: what was found}, and `troubles`: list of loading.Trouble, what of the cells did not run."""

    def __init__(self):
        super().__init__()
        self.hung, self.told = {}, []

    @property
    def troubles(self):
        return [*self.hung.values(), *(t for t in self.told if not (t.cell in self.hung and t.code == "time"))]


def collect(sources, tasks, folder, timeout, trusted=False, stop=None):
    """Run a submission on exercises: {name: Observations, one a case; or a str, the reason why there are none}.

    Args:
        sources: the code of its cells. tasks: list of (exercise, prepared cases). folder: an empty one, for the job.
        timeout: seconds for each exercise; a cell outside of the answers gets CELL of it. trusted, stop: as in Worker.
    Raises: RuntimeError: the worker did not start, which is never the submission's fault.
    Exercises after one that hangs or ends the process are run in a new worker, and cells without one that does; the first frame of a case
    counts.
    """
    found, left, hung = Found(), list(tasks), {}
    while left:
        _write_job(folder, sources, left, timeout, trusted, hung)
        current, at = None, _Cell()
        with Worker(folder, trusted, stop) as worker:
            try:
                worker.frame(time.monotonic() + START)
            except Ended as reason:
                raise RuntimeError(f"The sandbox did not start. {reason}") from None
            try:
                defined = _loaded(worker, timeout, len(sources), at, found)
                while left:
                    current, prepared = left.pop(0)
                    deadline, seen = time.monotonic() + timeout, {}
                    if current.name not in defined:
                        found[current.name] = "absent"
                    while True:
                        record, values = worker.frame(deadline)
                        if record.get("ends") == current.name:
                            break
                        case = record.get("case")
                        known = record.get("name") == current.name and type(case) is int and 0 <= case < len(prepared)
                        if known and case not in seen:
                            seen[case] = observed(record, values, len(prepared[case].case.gradients))
                        elif not known and record.get("begins") != current.name:
                            raise Ended("What it sent is no answer in the agreed form.")
                    found.setdefault(current.name, [seen.get(k) for k in range(len(prepared))])
            except Ended as reason:
                if at.number and sum(hung.values()) < RESTARTS:  # it was still among the cells
                    hung[at.number] = hung.get(at.number, 0) + 1
                    late = time.monotonic() >= at.deadline
                    found.hung[at.number] = loading.Trouble("time" if late else "ended", at.number)
                    continue
                for exercise in [current] if current else [e for e, _ in left]:
                    found[exercise.name] = str(reason)
                if current is None:
                    left = []
    return found


class _Cell:
    """Which cell a worker is at, from 1; 0 before and after."""

    number, deadline = 0, 0.0


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
        found.told = [t for t in map(loading.read, told[:20]) if t is not None and t.cell <= n_cells]
        return defined


def _write_job(folder, sources, tasks, timeout, trusted, hung):
    values, described = [], []
    for exercise, prepared in tasks:
        cases = []
        for expected in prepared:
            case = expected.case
            cases.append({"at": len(values), "names": list(case.kwargs), "tracked": list(case.gradients)})
            values += [tuple(case.args), tuple(case.kwargs.values())]
        call = inspect.getsource(exercise.call) if exercise.call else None
        parameters = list(inspect.signature(exercise.reference).parameters)
        described.append(
            {
                "name": exercise.name,
                "call": call,
                "parameters": parameters,
                "forbidden": list(exercise.from_scratch),
                "cases": cases,
            }
        )
    limits = {} if trusted else {**LIMITS, "CPU": int((len(tasks) + 4) * timeout + START)}
    names = [e.name for e, _ in tasks]
    loads = {"cells": list(sources), "seconds": timeout * CELL, "hung": [[cell, times] for cell, times in hung.items()]}
    job = {"limits": limits, **loads, "names": names, "tasks": described}
    (Path(folder) / "job.frame").write_bytes(frames.pack(job, values))
