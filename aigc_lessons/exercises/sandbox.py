"""Running a submission where it can do no harm: bubblewrap outside, limits inside, a deadline for each exercise.

What comes back is a claim: frames of tensors, read with caps, never unpickled.
"""
import os
import selectors
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch

from . import frames
from .observing import Observation

HERE = Path(__file__).parent
PARTS = ("worker.py", "frames.py", "observing.py")      # all of the course that a submission can see
START = 60.0                # seconds for Python and torch to start
TOTAL = 256_000_000         # bytes that one worker may send
LIMITS = {"DATA": 3_000_000_000, "FSIZE": 64_000_000, "NOFILE": 256, "NPROC": 64, "CORE": 0}


def command(folder):
    """bubblewrap's command line: the worker with `folder` as its job, and of this machine only Python, torch and its neighbours."""
    site = Path(torch.__file__).parents[1]
    inside = ["bwrap", "--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent", "--new-session", "--clearenv",
              "--proc", "/proc", "--dev", "/dev", "--size", "64000000", "--tmpfs", "/tmp"]
    for place in ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", sys.base_prefix):
        path = Path(place)
        if path.is_symlink():
            inside += ["--symlink", os.readlink(path), place]
        elif path.exists() and not path.is_relative_to("/usr") or place == "/usr":
            inside += ["--ro-bind", place, place]
    inside += ["--ro-bind", str(site), "/site", "--ro-bind", str(folder), "/job"]
    if (site / "aigc_lessons").exists():
        inside += ["--tmpfs", "/site/aigc_lessons"]         # an installed course would hold the answers
    for part in PARTS:
        inside += ["--ro-bind", str(HERE / part), f"/judge/{part}"]
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [*inside, "--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/tmp", "--setenv", "HOME", "/tmp", "--setenv", "PYTHONPATH", "/site",
            "--setenv", "OMP_NUM_THREADS", "1", "--setenv", "PYTHONDONTWRITEBYTECODE", "1", str(python), "/judge/worker.py", "/job"]


def unavailable():
    """Why bubblewrap cannot run here, and what to do; None if it can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed. On Debian or Ubuntu: sudo apt install bubblewrap. It exists for Linux only."
    tried = subprocess.run(["bwrap", "--unshare-user", "--unshare-all", "--disable-userns", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev",
                            "--remount-ro", "/dev", "true"],
                           capture_output=True, text=True)
    if tried.returncode == 0:
        return None
    return (f"bubblewrap cannot make a sandbox here: {tried.stderr.strip()[:300]}. It needs user namespaces. On Ubuntu 24.04 and later: "
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for bwrap; in a container: run it with --privileged.")


class Ended(Exception):
    """A worker that says no more; the message is the reason, for the learner."""


class Worker:
    """A running worker and its frames. Use it in a `with` block: at the end nothing of it is left.

    trusted: run without a sandbox, as this user, with no limits but the deadlines.
    """

    def __init__(self, folder, trusted=False):
        line = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(HERE)!r}); import worker; worker.main({str(folder)!r})"]
        self.process = subprocess.Popen(line if trusted else command(folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, start_new_session=True)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.buffer, self.total = bytearray(), 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stop in (lambda: os.killpg(self.process.pid, 9), self.process.kill):
            try:
                stop()                                      # bubblewrap takes everything inside with it
            except ProcessLookupError:
                pass
        self.process.wait()
        self.selector.close()
        self.process.stdout.close()

    def frame(self, deadline):
        """The next (record, values). Raises Ended when it does not come by the deadline, or is no frame."""
        head = frames.HEAD.unpack(self._take(frames.HEAD.size, deadline))
        if sum(head) > frames.LARGEST:
            raise Ended(f"An answer of {sum(head):,} bytes; accepted are {frames.LARGEST:,}.")
        try:
            record, values = frames.unpack(self._take(head[0], deadline), self._take(head[1], deadline))
        except ValueError:
            raise Ended("What it sent is no answer in the agreed form.") from None
        return record, values

    def _take(self, size, deadline):
        while len(self.buffer) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not self.selector.select(left):
                raise Ended("It gave no answer in time.")
            part = self.process.stdout.read(1_000_000)
            if part == b"":
                code = self.process.wait()
                raise Ended(f"Its process ended before it answered (exit code {code}): os._exit, a crash, or more memory than is allowed.")
            self.buffer += part or b""
            self.total += len(part or b"")
            if self.total > TOTAL:
                raise Ended(f"It sent more than {TOTAL:,} bytes.")
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken


def observed(record, values, n_gradients):
    """An Observation from a case's frame. Raises Ended for what is none."""
    import builtins
    if "error" in record:
        kind = getattr(builtins, str(record["error"]), Exception)
        known = isinstance(kind, type) and issubclass(kind, Exception)
        try:
            return Observation(error=(kind if known else Exception)(str(record.get("says"))[:300]))
        except Exception:                                   # some want other arguments
            return Observation(error=Exception(str(record.get("says"))[:300]))
    if len(values) != 2 or not isinstance(values[1], tuple) or len(values[1]) != n_gradients:
        raise Ended("What it sent is no answer in the agreed form.")
    if not all(g is None or isinstance(g, torch.Tensor) for g in values[1]):
        raise Ended("What it sent is no answer in the agreed form.")
    return Observation(values[0], values[1], None, bool(record.get("damaged")))


def collect(sources, tasks, folder, timeout, trusted=False):
    """Run a submission on exercises: {name: Observations, one a case; or a str, the reason why there are none}.

    Args:
        sources: the code of its cells. tasks: list of (exercise, prepared cases). folder: an empty one, for the job.
        timeout: seconds for its own statements, and for each exercise.
    Exercises after one that hangs or ends the process are run in a new worker; the first frame of a case counts.
    """
    found, left = {}, list(tasks)
    while left:
        _write_job(folder, sources, left, timeout)
        current = None
        with Worker(folder, trusted) as worker:
            try:
                record, _ = worker.frame(time.monotonic() + START)
                record, _ = worker.frame(time.monotonic() + timeout)
                defined = record.get("defined")
                if not isinstance(defined, list):
                    raise Ended("What it sent is no answer in the agreed form.")
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
                        if record.get("name") == current.name and type(case) is int and 0 <= case < len(prepared) and case not in seen:
                            seen[case] = observed(record, values, len(prepared[case].case.gradients))
                        elif record.get("begins") != current.name and case not in seen:
                            raise Ended("What it sent is no answer in the agreed form.")
                    found.setdefault(current.name, [seen.get(k) for k in range(len(prepared))])
            except Ended as reason:
                for exercise in [current] if current else [e for e, _ in left]:
                    found[exercise.name] = str(reason)
                if current is None:
                    left = []
    return found


def _write_job(folder, sources, tasks, timeout):
    import inspect
    values, described = [], []
    for exercise, prepared in tasks:
        cases = []
        for expected in prepared:
            case = expected.case
            cases.append({"at": len(values), "names": list(case.kwargs), "tracked": list(case.gradients)})
            values += [tuple(case.args), tuple(case.kwargs.values())]
        call = inspect.getsource(exercise.call) if exercise.call else None
        described.append({"name": exercise.name, "call": call, "forbidden": list(exercise.from_scratch), "cases": cases})
    limits = {**LIMITS, "CPU": int((len(tasks) + 1) * timeout + START)}
    job = {"limits": limits, "sources": sources, "names": [e.name for e, _ in tasks], "tasks": described}
    (Path(folder) / "job.frame").write_bytes(frames.pack(job, values))
