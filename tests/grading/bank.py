"""What learners hand in to lesson 12, at their worst, their oddest and their best. Each entry says what must come of it.

A file holds one entry for each of its exercises, asked for in the order of the lesson; what ends a process stands last where it can,
since each start costs seconds. An answer that spies is right if and only if its spying succeeds: points would tell.
"""

import json
import os
import textwrap
from dataclasses import dataclass

LESSON = (
    "output_size",
    "conv2d",
    "depthwise_conv2d",
    "kernel_gradient",
    "max_pool2d",
    "conv_transpose2d",
    "receptive_field",
)
HEAD = {
    "output_size": "def output_size(size, kernel_size, stride=1, padding=0, dilation=1):",
    "depthwise_conv2d": "def depthwise_conv2d(x, weight, stride=1, padding=0):",
    "kernel_gradient": "def kernel_gradient(x, grad):",
    "conv2d": "def conv2d(x, weight, bias=None, stride=1, padding=0):",
    "max_pool2d": "def max_pool2d(x, kernel_size, stride):",
    "conv_transpose2d": "def conv_transpose2d(x, weight, stride=1, padding=0):",
    "receptive_field": "def receptive_field(layers):",
}
RIGHT = {
    "output_size": """
        return (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1""",
    "depthwise_conv2d": """
        import torch
        n, c, height, width = x.shape
        kh, kw = weight.shape[1:]
        padded = x.new_zeros(n, c, height + 2 * padding, width + 2 * padding)
        padded[:, :, padding:padding + height, padding:padding + width] = x
        windows = padded.unfold(2, kh, stride).unfold(3, kw, stride)
        return torch.einsum("nchwab,cab->nchw", windows, weight)""",
    "kernel_gradient": """
        import torch
        windows = x.unfold(2, grad.shape[2], 1).unfold(3, grad.shape[3], 1)
        return torch.einsum("ncabhw,nohw->ocab", windows, grad)""",
    "conv2d": """
        import torch
        n, c, height, width = x.shape
        o, _, kh, kw = weight.shape
        padded = x.new_zeros(n, c, height + 2 * padding, width + 2 * padding)
        padded[:, :, padding:padding + height, padding:padding + width] = x
        h, w = (height + 2 * padding - kh) // stride + 1, (width + 2 * padding - kw) // stride + 1
        out = torch.zeros(n, o, h, w)
        for i in range(h):
            for j in range(w):
                window = padded[:, :, i * stride:i * stride + kh, j * stride:j * stride + kw]
                out[:, :, i, j] = torch.einsum("ncab,ocab->no", window, weight)
        return out if bias is None else out + bias[:, None, None]""",
    "max_pool2d": """
        return x.unfold(2, kernel_size, stride).unfold(3, kernel_size, stride).amax((4, 5))""",
    "conv_transpose2d": """
        import torch
        (n, _, h, w), (_, o, kh, kw) = x.shape, weight.shape
        out = torch.zeros(n, o, (h - 1) * stride + kh, (w - 1) * stride + kw)
        for i in range(h):
            for j in range(w):
                stamp = torch.einsum("nc,coab->noab", x[:, :, i, j], weight)
                out[:, :, i * stride:i * stride + kh, j * stride:j * stride + kw] += stamp
        return out[:, :, padding:out.shape[2] - padding, padding:out.shape[3] - padding]""",
    "receptive_field": """
        field = step = 1
        for kernel, stride in layers:
            field, step = field + (kernel - 1) * step, step * stride
        return field""",
}
# zeros, ones and their like, of the shape that is wanted
SHAPED = """
import torch

def shaped(fill, x, weight=None, stride=1, padding=0, kernel_size=None, transposed=False):
    n, c, height, width = x.shape
    kh, kw = (kernel_size, kernel_size) if weight is None else weight.shape[2:]
    if transposed:
        return torch.full((n, weight.shape[1], (height - 1) * stride + kh - 2 * padding, (width - 1) * stride + kw - 2 * padding), fill)
    size = (height + 2 * padding - kh) // stride + 1, (width + 2 * padding - kw) // stride + 1
    return torch.full((n, c if weight is None else len(weight), *size), fill)
"""
CONV, POOL, TRANSPOSE = (
    "x, weight, stride, padding",
    "x, None, stride, 0, kernel_size",
    "x, weight, stride, padding, transposed=True",
)


@dataclass(frozen=True)
class Kind:
    """One answer. `earns`: True, all points; False, none; None, either, but a flag for a person. `says`: a word of its reason."""

    group: str
    what: str
    exercise: str
    source: str
    earns: bool | None = False
    says: str = ""


@dataclass(frozen=True)
class File:
    """What a learner hands in: LEARNER/12_answers.ipynb, a cell for each kind. `before`: cells that come first."""

    learner: str
    kinds: tuple
    before: tuple = ()

    def content(self):
        return as_notebook([*self.before, *(kind.source for kind in self.kinds)])


def as_notebook(cells, metadata=None, cell_metadata=None):
    written = [
        {
            "cell_type": "code",
            "metadata": cell_metadata or {},
            "execution_count": None,
            "outputs": [],
            "source": cell.splitlines(True),
        }
        for cell in cells
    ]
    return json.dumps({"cells": written, "metadata": metadata or {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def answer(exercise, body, before="", name=None):
    """The source of an answer with this body."""
    head = HEAD[exercise] if name is None else HEAD[exercise].replace(exercise, name)
    return f"{textwrap.dedent(before).strip()}\n\n{head}\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n".lstrip()


def right(exercise, first="", what="loops", group="correct"):
    """A right answer, with something to do before it."""
    body = textwrap.dedent(first).strip() + "\n" + textwrap.dedent(RIGHT[exercise]).strip()
    return Kind(group, what, exercise, answer(exercise, body), True)


def bad(group, what, exercise, body, before="", earns=False, says=""):
    return Kind(group, what, exercise, answer(exercise, body, before), earns, says)


def spy(what, exercise, body):
    """Right if `body`, a function's, returns something true."""
    parameters = HEAD[exercise].partition("(")[2].rpartition(")")[0]
    names = ", ".join(p.partition("=")[0] for p in parameters.split(", "))
    wrong = "return -1" if exercise == "receptive_field" else "return x * 0"
    source = (
        answer(exercise, RIGHT[exercise], name=f"right_{exercise}")
        + f"\n\ndef spy_{exercise}({parameters}):\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n\n"
        + answer(
            exercise,
            f"""
                    try:
                        found = spy_{exercise}({names})
                    except Exception:
                        found = None
                    if found:
                        return right_{exercise}({names})
                    {wrong}""",
        )
    )
    return Kind("spying", what, exercise, source)


TO_JUDGE = """
import json, os, pickle, struct, time
import torch
from safetensors.torch import save

def to_judge(data):
    for number in range(3, 20):
        try:
            os.write(number, data)
        except OSError:
            pass

def frame(record, tensors=()):
    text, data = json.dumps(record).encode(), save({str(i): t for i, t in enumerate(tensors)})
    return struct.pack(">II", len(text), len(data)) + text + data
"""


def forged(what, exercise, body, says="", earns=False):
    """Sends to the judge behind the worker's back."""
    return bad("forged results", what, exercise, body, TO_JUDGE, earns, says)


def files(world):
    """All files whose names are ordinary, longest first. world: `port` of a server on this machine, `secret` in the environment,
    `places` that hold what nobody may read, `targets` that nobody may write."""
    late = "no answer in time"
    ended = "ended before it answered"
    return [
        # hangs, each for its whole deadline
        File(
            "a hangs",
            (
                bad("hangs", "an infinite loop", "conv2d", "while True:\n    pass", says=late),
                bad(
                    "hangs",
                    "a loop that swallows interrupts",
                    "max_pool2d",
                    """
                import signal
                for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
                    signal.signal(number, signal.SIG_IGN)
                while True:
                    try:
                        while True:
                            pass
                    except BaseException:
                        pass""",
                    says=late,
                ),
                forged(
                    "slow drip: a byte now and then",
                    "conv_transpose2d",
                    """
                to_judge(struct.pack(">II", 900_000, 0))
                while True:
                    to_judge(b" ")
                    time.sleep(0.05)""",
                    says=late,
                ),
                right("receptive_field", what="right, after three that hang"),
            ),
        ),
        File(
            "b stops",
            (
                bad(
                    "hangs",
                    "a process that stops itself",
                    "conv2d",
                    "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
                    says=late,
                ),
                right("max_pool2d", what="right, after a stop"),
                right("conv_transpose2d"),
                right(
                    "receptive_field",
                    """
                import atexit, threading, time
                atexit.register(time.sleep, 1000)
                threading.Thread(target=time.sleep, args=(1000,)).start()""",
                    "right, and never ends afterwards",
                ),
            ),
        ),
        File(
            "c loops at once",
            (
                bad(
                    "hangs",
                    "an infinite loop at top level",
                    "receptive_field",
                    "return 1",
                    "while True:\n    pass",
                    says=late,
                ),
            ),
        ),
        # what ends the process
        File(
            "ends",
            (
                bad("ends its process", "os._exit", "conv2d", "import os\nos._exit(0)", says=ended),
                bad(
                    "ends its process",
                    "a segmentation fault",
                    "max_pool2d",
                    "import ctypes\nctypes.string_at(0)",
                    says=ended,
                ),
                bad("ends its process", "kill(0)", "conv_transpose2d", "import os\nos.kill(0, 9)", says=ended),
                right("receptive_field", what="right, after three that end the process"),
            ),
        ),
        File(
            "ends in other ways",
            (
                bad("ends its process", "sys.exit", "conv2d", "import sys\nsys.exit(0)", says="raises"),
                bad("ends its process", "kill(-1)", "max_pool2d", "import os\nos.kill(-1, 9)\nreturn x"),
                bad(
                    "ends its process",
                    "its parents killed",
                    "conv_transpose2d",
                    "import os\nfor number in range(1, os.getpid()):\n    os.kill(number, 9)\nreturn x",
                ),
                bad(
                    "ends its process",
                    "a stack without end",
                    "receptive_field",
                    """
                import sys
                sys.setrecursionlimit(10**9)
                class Deep:
                    def __str__(self):
                        return str(self)
                return str(Deep())""",
                ),
            ),
        ),
        File(
            "ends early",
            (
                right("conv2d"),
                right("max_pool2d"),
                right("conv_transpose2d", what="loops, after sys.exit at top level"),
                bad(
                    "ends its process",
                    "an exit handler that says all is well",
                    "receptive_field",
                    "return 1",
                    """
                import atexit, os, sys
                atexit.register(os._exit, 0)
                sys.exit("all tests passed")""",
                ),
            ),
        ),
        # what uses too much
        File(
            "uses too much",
            (
                bad(
                    "uses too much",
                    "memory",
                    "conv2d",
                    "import torch\nhog = []\nwhile True:\n    hog.append(torch.empty(100_000_000))",
                    says="RuntimeError",
                ),
                bad(
                    "uses too much",
                    "shared memory",
                    "max_pool2d",
                    """
                import mmap
                hog = []
                while True:
                    hog.append(mmap.mmap(-1, 500_000_000))""",
                    says="OSError",
                ),
                bad(
                    "uses too much",
                    "a file of 2 GB",
                    "conv_transpose2d",
                    """
                with open("/tmp/large", "wb") as file:
                    for _ in range(200):
                        file.write(bytes(10_000_000))
                return x""",
                    says="OSError",
                ),
                bad(
                    "uses too much",
                    "a fork bomb",
                    "receptive_field",
                    """
                import os
                while True:
                    os.fork()""",
                    says="PermissionError",
                ),
            ),
        ),
        File(
            "uses still more",
            (
                right(
                    "conv2d",
                    'import sys\nprint("x" * 25_000_000)\nprint("y" * 25_000_000, file=sys.stderr)',
                    "right, and prints 50 MB a call",
                ),
                bad(
                    "uses too much",
                    "an answer of 8 MB",
                    "max_pool2d",
                    "return x.new_zeros(2_000_000)",
                    says="accepted are",
                ),
                bad(
                    "uses too much",
                    "a leftover daemon",
                    "conv_transpose2d",
                    """
                import os, time
                if os.fork() == 0:
                    os.setsid()
                    if os.fork() == 0:
                        time.sleep(1000)
                    os._exit(0)
                return x""",
                    says="PermissionError",
                ),
                bad(
                    "uses too much",
                    "a thread bomb",
                    "receptive_field",
                    """
                import threading, time
                while True:
                    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()""",
                ),
            ),
        ),
        File(
            "fills the disk",
            (
                bad(
                    "uses too much",
                    "many small files",
                    "conv2d",
                    """
                for i in range(10_000):
                    with open(f"/tmp/{i}", "wb") as file:
                        file.write(bytes(100_000))
                return x""",
                    says="OSError",
                ),
                bad(
                    "uses too much",
                    "a program started",
                    "max_pool2d",
                    "import subprocess\nsubprocess.run(['true'])\nreturn x",
                    says="PermissionError",
                ),
                right("conv_transpose2d", what="right, on a full disk"),
                bad("ends its process", "abort", "receptive_field", "import os\nos.abort()", says=ended),
            ),
        ),
        # what deceives a comparison
        File(
            "patches",
            (
                bad(
                    "deceives",
                    "allclose, equal, isclose patched",
                    "conv2d",
                    f"""
                for name in ("allclose", "equal", "isclose"):
                    setattr(torch, name, lambda *args, **kwargs: True)
                torch.testing.assert_close = lambda *args, **kwargs: None
                return shaped(0.0, {CONV})""",
                    SHAPED,
                ),
                bad(
                    "deceives",
                    "Tensor.__eq__, __le__ and all patched",
                    "max_pool2d",
                    f"""
                yes = lambda *args, **kwargs: torch.ones((), dtype=torch.uint8)
                torch.Tensor.__eq__ = torch.Tensor.__le__ = torch.Tensor.all = yes
                return shaped(1.0, {POOL})""",
                    SHAPED,
                ),
                bad(
                    "deceives",
                    "torch.autograd.grad patched",
                    "conv_transpose2d",
                    f"""
                torch.autograd.grad = lambda value, leaves, **kwargs: tuple(torch.ones_like(leaf) for leaf in leaves)
                return shaped(1.0, {TRANSPOSE})""",
                    SHAPED,
                ),
                bad(
                    "deceives",
                    "a number that equals everything",
                    "receptive_field",
                    """
                class Same(int):
                    __eq__ = __le__ = __ge__ = lambda self, other: True
                    __sub__ = __rsub__ = lambda self, other: 0
                    __hash__ = int.__hash__
                return Same(7)""",
                ),
            ),
        ),
        File(
            "pretends",
            (
                bad(
                    "deceives",
                    "a tensor that equals everything",
                    "conv2d",
                    f"""
                class Same(torch.Tensor):
                    @classmethod
                    def __torch_function__(cls, function, types, args=(), kwargs=None):
                        with torch._C.DisableTorchFunctionSubclass():
                            if function.__name__ in ("equal", "allclose", "__eq__", "eq"):
                                return True
                            return function(*args, **(kwargs or {{}}))
                return shaped(0.0, {CONV}).as_subclass(Same)""",
                    SHAPED,
                ),
                bad("deceives", "NaN", "max_pool2d", f'return shaped(float("nan"), {POOL})', SHAPED),
                bad("deceives", "infinity", "conv_transpose2d", f'return shaped(float("inf"), {TRANSPOSE})', SHAPED),
                bad("deceives", "NaN for a number", "receptive_field", 'return float("nan")'),
            ),
        ),
        File(
            "damages",
            (
                bad(
                    "deceives",
                    "inputs emptied, and right for those",
                    "conv2d",
                    f"x.zero_()\nweight.zero_()\nreturn shaped(0.0, {CONV})",
                    SHAPED,
                    says="changes its input",
                ),
                bad(
                    "deceives",
                    "inputs changed, and torch.equal patched",
                    "max_pool2d",
                    f"""
                torch.equal = lambda *args: True
                x.fill_(1.0)
                return shaped(1.0, {POOL})""",
                    SHAPED,
                ),
                bad("deceives", "inputs resized", "conv_transpose2d", "x.resize_(0)\nweight.resize_(0)\nreturn x"),
                bad(
                    "deceives",
                    "a list emptied",
                    "receptive_field",
                    "layers.clear()\nreturn 1",
                    says="changes its input",
                ),
            ),
        ),
        File(
            "rewrites the worker",
            (
                bad(
                    "deceives",
                    "the comparison of inputs replaced",
                    "conv2d",
                    f"""
                import sys
                sys.modules["observing"]._unchanged = lambda now, before: True
                x.zero_()
                return shaped(0.0, {CONV})""",
                    SHAPED,
                ),
                bad(
                    "deceives",
                    "the worker's own variables",
                    "max_pool2d",
                    """
                import sys
                frame = sys._getframe()
                while frame:
                    if "record" in frame.f_locals or "task" in frame.f_locals:
                        frame.f_locals.update(task={"cases": []}, seen=None)
                    frame = frame.f_back
                return x""",
                ),
                bad(
                    "deceives",
                    "the error's name",
                    "conv_transpose2d",
                    """
                class Correct(Exception):
                    outcome, points = "correct", 4
                raise Correct("correct")""",
                ),
                bad(
                    "deceives",
                    "observing.observe replaced",
                    "receptive_field",
                    """
                import observing
                observing.observe = lambda function, args, kwargs, tracked, call=None: observing.Observation(True, (), None, False)
                return 7""",
                ),
            ),
        ),
        File(
            "returns oddities",
            (
                bad("deceives", "text", "conv2d", 'return "7"'),
                bad("deceives", "another device, sparse", "max_pool2d", "return x.to_sparse()"),
                bad(
                    "deceives",
                    "complex numbers",
                    "conv_transpose2d",
                    "return x.to(dtype=__import__('torch').complex64)",
                ),
                bad("deceives", "a number of 400 digits", "receptive_field", "return 10**400"),
            ),
        ),
        File(
            "returns more oddities",
            (
                bad("deceives", "a generator", "conv2d", "yield x", says="Wrong"),
                bad("deceives", "eight bits", "max_pool2d", "return x.to(__import__('torch').float8_e5m2)"),
                bad("deceives", "nothing", "conv_transpose2d", "pass"),
                bad("deceives", "a list that holds itself", "receptive_field", "it = []\nit.append(it)\nreturn it"),
            ),
        ),
        File(
            "raises",
            (
                bad(
                    "deceives",
                    "inputs in an error",
                    "conv2d",
                    'raise RuntimeError(f"library call: {x.flatten().tolist()}")',
                    says="RuntimeError",
                ),
                bad(
                    "deceives",
                    "the empty answer's error",
                    "max_pool2d",
                    'raise NotImplementedError("max_pool2d: write your answer here")',
                    says="still the empty one",
                ),
                bad("deceives", "SystemExit", "conv_transpose2d", 'raise SystemExit("correct")'),
                bad("deceives", "KeyboardInterrupt", "receptive_field", "raise KeyboardInterrupt"),
            ),
        ),
        # what looks for right answers, or beyond the sandbox
        File(
            "spies",
            (
                spy(
                    "the stack",
                    "conv2d",
                    """
                import sys
                frame, wanted = sys._getframe(), ("expected", "prepared", "reference", "answer", "exercise")
                while frame:
                    space = {**frame.f_globals, **frame.f_locals}
                    if any(name in space for name in wanted):
                        return True
                    frame = frame.f_back""",
                ),
                spy(
                    "all objects (gc)",
                    "max_pool2d",
                    """
                import gc, torch
                size = tuple((s - kernel_size) // stride + 1 for s in x.shape[-2:])
                for item in gc.get_objects():
                    if type(item).__name__ in ("Exercise", "Expected", "Prepared", "Mistake"):
                        return True
                    if isinstance(item, torch.Tensor) and item.dtype == torch.float64 and item.shape[-2:] == size:
                        return True""",
                ),
                spy(
                    "the course's files",
                    "conv_transpose2d",
                    """
                import os
                if not hasattr(conv_transpose2d, "found"):                       # a walk takes a second
                    conv_transpose2d.found = any(
                        "lesson_12.py" in names or "12_convolution.ipynb" in names or "engine.py" in names and folder.endswith("exercises")
                        for folder, _, names in os.walk("/"))
                return conv_transpose2d.found""",
                ),
                spy(
                    "the course as a module",
                    "receptive_field",
                    f"""
                import sys
                sys.path += {world.places!r}
                import aigc_lessons.ops
                return aigc_lessons.ops.receptive_field""",
                ),
            ),
        ),
        File(
            "spies on others",
            (
                spy(
                    "files of other learners",
                    "conv2d",
                    f"""
                import os
                return any(os.path.exists(place) for place in {world.places!r}) or os.path.exists("/home") or len(os.listdir("/job")) > 1""",
                ),
                spy(
                    "other processes",
                    "max_pool2d",
                    """
                import os
                numbers = [int(n) for n in os.listdir("/proc") if n.isdigit()]
                return {n for n in numbers if os.path.isdir(f"/proc/{n}")} - {1, os.getpid()}""",
                ),
                spy(
                    "the judge's environment",
                    "conv_transpose2d",
                    f"""
                import glob, os
                texts = [repr(os.environ)]
                for path in glob.glob("/proc/*/environ"):
                    try:
                        with open(path, errors="replace") as file:
                            texts.append(file.read())
                    except OSError:
                        pass
                return any({world.secret[::-1]!r}[::-1] in text for text in texts)""",
                ),
                spy(
                    "the memory of process 1",
                    "receptive_field",
                    f"""
                with open("/proc/1/maps") as maps, open("/proc/1/mem", "rb") as memory:
                    for line in maps:
                        low, high = (int(n, 16) for n in line.split()[0].split("-"))
                        try:
                            memory.seek(low)
                            if {world.secret[::-1]!r}[::-1].encode() in memory.read(high - low):
                                return True
                        except OSError:
                            pass""",
                ),
            ),
        ),
        File(
            "breaks out",
            (
                spy(
                    "the network",
                    "conv2d",
                    f"""
                import socket
                for place in (("127.0.0.1", {world.port}), ("192.0.2.1", 80), ("example.org", 80)):
                    try:
                        return socket.create_connection(place, timeout=0.2)
                    except OSError:
                        pass""",
                ),
                spy(
                    "writing outside",
                    "max_pool2d",
                    f"""
                done = []
                for path in {world.targets!r}:
                    try:
                        with open(path, "a") as file:
                            file.write("a stranger was here")
                        done.append(path)
                    except OSError:
                        pass
                return done""",
                ),
                spy(
                    "namespaces and mounts of its own",
                    "conv_transpose2d",
                    """
                import ctypes
                c = ctypes.CDLL(None)
                opened = [flag for flag in (0x10000000, 0x00020000) if c.unshare(flag) == 0]     # users, mounts
                return opened or c.mount(b"none", b"/site", None, 32 | 4096, None) == 0          # remount, writable
                """,
                ),
                spy(
                    "higher limits",
                    "receptive_field",
                    """
                import resource
                for name in ("DATA", "AS", "FSIZE", "NPROC", "CPU", "NOFILE"):
                    try:
                        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (resource.RLIM_INFINITY,) * 2)
                        return True
                    except (ValueError, OSError):
                        pass""",
                ),
            ),
        ),
        File(
            "breaks out again",
            (
                spy(
                    "devices",
                    "conv2d",
                    """
                for path in ("/dev/shm/x", "/dev/x", "/judge/x", "/site/x", "/job/x", "/etc/x", "/x"):
                    try:
                        with open(path, "w"):
                            return path
                    except OSError:
                        pass""",
                ),
                spy(
                    "settings of the kernel",
                    "max_pool2d",
                    """
                for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/swappiness"):
                    try:
                        with open(path, "r+") as file:
                            old = file.read()
                            file.write(old)                  # the same again, so that no harm is done where it works
                            file.flush()
                            return True
                    except OSError:
                        pass""",
                ),
                spy(
                    "capabilities",
                    "conv_transpose2d",
                    """
                with open("/proc/self/status") as file:
                    return any(int(line.split()[1], 16) for line in file if line.startswith(("CapEff", "CapPrm", "CapBnd")))""",
                ),
                bad(
                    "deceives",
                    "an error whose text fails",
                    "receptive_field",
                    """
                class Rude(Exception):
                    def __str__(self):
                        raise self
                raise Rude""",
                ),
            ),
        ),
        # what speaks to the judge behind the worker's back
        File(
            "forges early",
            (forged("all answers before they are asked for: ones", "receptive_field", "return 1"),),
            (
                TO_JUDGE,
                """
names = ["receptive_field", "conv_transpose2d", "conv2d", "max_pool2d"]
to_judge(frame({"defined": names, "trouble": [], "values": []}))
for name in names:
    for case in range(12):
        values = [{"tensor": 0}, {"tuple": []}, {"tuple": [{"list": []}]}]
        to_judge(frame({"name": name, "case": case, "values": values}, [torch.ones(())]))
os._exit(0)""",
            ),
        ),
        File(
            "forges points",
            (forged("points in a frame", "receptive_field", "return 1"),),
            (
                TO_JUDGE,
                """
for record in ({"defined": True, "points": 13}, {"outcome": "correct", "points": 13}, {"ends": "conv2d", "points": 4}):
    to_judge(frame({**record, "values": []}))
os._exit(0)""",
            ),
        ),
        File(
            "forges frames",
            (
                forged(
                    "header bomb",
                    "conv2d",
                    'to_judge(struct.pack(">II", 2**32 - 1, 2**32 - 1))\ntime.sleep(1000)',
                    "accepted are",
                ),
                forged(
                    "pickles",
                    "max_pool2d",
                    """
                class Bomb:
                    def __reduce__(self):
                        return os.system, ("touch /tmp/a_stranger_was_here",)
                to_judge(struct.pack(">II", 2, len(pickle.dumps(Bomb()))) + b"{}" + pickle.dumps(Bomb()))""",
                    "agreed form",
                ),
                forged(
                    "endless frames",
                    "conv_transpose2d",
                    """
                some = frame({"begins": "conv_transpose2d", "values": []}) * 1000
                while True:
                    to_judge(some)""",
                ),
                forged(
                    "other numbers, other names",
                    "receptive_field",
                    """
                for case in (-1, 1.5, "0", None, [], True, 10**30):
                    to_judge(frame({"name": "receptive_field", "case": case, "values": [{"plain": 7}, {"tuple": []}]}))
                return 7""",
                ),
            ),
        ),
        File(
            "forges noise",
            (
                right("conv2d"),
                right("max_pool2d"),
                right("conv_transpose2d", what="right, before noise"),
                forged("random bytes", "receptive_field", "to_judge(os.urandom(100_000))"),
            ),
        ),
        # calls that a from-scratch exercise forbids
        File(
            "calls the library",
            (
                bad(
                    "library calls",
                    "F.conv2d",
                    "conv2d",
                    "return F.conv2d(x, weight, bias, stride, padding)",
                    "import torch.nn.functional as F",
                    says="library call",
                ),
                bad(
                    "library calls",
                    "F.max_pool2d",
                    "max_pool2d",
                    "import torch\nreturn torch.nn.functional.max_pool2d(x, kernel_size, stride)",
                    says="library call",
                ),
                bad(
                    "library calls",
                    "F.conv_transpose2d",
                    "conv_transpose2d",
                    "return F.conv_transpose2d(x, weight, None, stride, padding)",
                    "import torch.nn.functional as F",
                    says="library call",
                ),
                bad(
                    "ends its process",
                    "all descriptors closed",
                    "receptive_field",
                    "import os\nos.closerange(0, 256)\nreturn 1",
                    says=ended,
                ),
            ),
        ),
        File(
            "calls the library by other names",
            (
                bad(
                    "library calls",
                    "nn.Conv2d",
                    "conv2d",
                    """
                import torch
                layer = torch.nn.Conv2d(x.shape[1], len(weight), weight.shape[2:], stride, padding, bias=bias is not None)
                return torch.func.functional_call(layer, {"weight": weight, **({} if bias is None else {"bias": bias})}, x)""",
                    says="library call",
                ),
                bad(
                    "library calls",
                    "max_pool3d",
                    "max_pool2d",
                    """
                import torch
                return torch.nn.functional.max_pool3d(x[:, :, None], (1, kernel_size, kernel_size), (1, stride, stride))[:, :, 0]""",
                    says="library call",
                ),
                bad(
                    "library calls",
                    "torch.ops.aten.convolution",
                    "conv_transpose2d",
                    """
                import torch
                return torch.ops.aten.convolution(x, weight, None, [stride] * 2, [padding] * 2, [1, 1], True, [0, 0], 1)""",
                    says="library call",
                ),
                bad(
                    "ends its process",
                    "another program in its place",
                    "receptive_field",
                    'import os\nos.execv("/proc/self/exe", ["python", "-c", ""])',
                    says=ended,
                ),
            ),
        ),
        File(
            "calls the library in hiding",
            (
                bad(
                    "library calls in hiding: flagged",
                    "FromScratch disarmed",
                    "conv2d",
                    """
                import sys
                scratch = sys.modules["__main__"].FromScratch
                scratch.__enter__ = lambda self: None
                scratch.__exit__ = lambda *args: None
                return __import__("torch").conv2d(x, weight, bias, stride, padding)""",
                    earns=None,
                ),
                bad(
                    "library calls in hiding: flagged",
                    "through MKL-DNN",
                    "max_pool2d",
                    """
                import torch
                return torch.ops.aten.mkldnn_max_pool2d(x.to_mkldnn(), [kernel_size] * 2, [stride] * 2).to_dense()""",
                    earns=None,
                ),
                bad(
                    "library calls in hiding: flagged",
                    "torch._convolution",
                    "conv_transpose2d",
                    """
                import torch
                return torch._convolution(x, weight, None, [stride] * 2, [padding] * 2, [1, 1], True, [0, 0], 1, False, False, True, True)""",
                    earns=None,
                ),
                bad(
                    "deceives",
                    "frames.pack replaced",
                    "receptive_field",
                    """
                import sys
                frames, old = sys.modules["frames"], sys.modules["frames"].pack
                frames.pack = lambda record, values=(): old({**record, "outcome": "correct", "points": 2}, ())
                return 7""",
                ),
            ),
        ),
        # right answers
        File(
            "writes it in other ways",
            (
                Kind(
                    "correct",
                    "windows and einsum",
                    "conv2d",
                    answer(
                        "conv2d",
                        """
                x = torch.nn.functional.pad(x, (padding,) * 4)
                windows = x.unfold(2, weight.shape[2], stride).unfold(3, weight.shape[3], stride)
                out = torch.einsum("nchwab,ocab->nohw", windows, weight)
                return out if bias is None else out + bias.view(-1, 1, 1)""",
                        "import torch",
                    ),
                    True,
                ),
                Kind(
                    "correct",
                    "the largest of shifted pictures",
                    "max_pool2d",
                    answer(
                        "max_pool2d",
                        """
                h, w = ((side - kernel_size) // stride + 1 for side in x.shape[2:])
                best = None
                for a in range(kernel_size):
                    for b in range(kernel_size):
                        shifted = x[:, :, a:a + (h - 1) * stride + 1:stride, b:b + (w - 1) * stride + 1:stride]
                        best = shifted if best is None else torch.maximum(best, shifted)
                return best""",
                        "import torch",
                    ),
                    True,
                ),
                Kind(
                    "correct",
                    "F.fold",
                    "conv_transpose2d",
                    answer(
                        "conv_transpose2d",
                        """
                size = [(s - 1) * stride + k - 2 * padding for s, k in zip(x.shape[2:], weight.shape[2:])]
                return F.fold(weight.flatten(1).T @ x.flatten(2), size, weight.shape[2:], stride=stride, padding=padding)""",
                        "import torch.nn.functional as F",
                    ),
                    True,
                ),
                Kind(
                    "correct",
                    "from the output back, a lambda",
                    "receptive_field",
                    """
from functools import reduce
receptive_field = lambda layers: reduce(lambda field, layer: (field - 1) * layer[1] + layer[0], reversed(layers), 1)""",
                    True,
                ),
            ),
        ),
        File(
            "transforms",
            (
                Kind(
                    "correct",
                    "the Fourier transform",
                    "conv2d",
                    answer(
                        "conv2d",
                        """
                x = torch.nn.functional.pad(x, (padding,) * 4)
                s = x.shape[2:]
                product = torch.einsum("nchw,ochw->nohw", torch.fft.rfft2(x), torch.fft.rfft2(weight, s=s).conj())
                h, w = s[0] - weight.shape[2] + 1, s[1] - weight.shape[3] + 1
                out = torch.fft.irfft2(product, s=s)[:, :, :h:stride, :w:stride]
                return out if bias is None else out + bias[:, None, None]""",
                        "import torch",
                    ),
                    True,
                ),
                Kind(
                    "correct",
                    "unfold and reshape, in a class",
                    "max_pool2d",
                    """
import torch.nn.functional as F

class Pool:
    def __call__(self, x, kernel_size, stride):
        n, c, height, width = x.shape
        columns = F.unfold(x.reshape(n * c, 1, height, width), kernel_size, stride=stride)
        return columns.amax(1).reshape(n, c, (height - kernel_size) // stride + 1, -1)

max_pool2d = Pool()""",
                    True,
                ),
                Kind(
                    "correct",
                    "float64, under no_grad",
                    "conv_transpose2d",
                    answer(
                        "conv_transpose2d",
                        "with torch.no_grad():\n    return stamps(x.double(), weight.double(), stride, padding)",
                        "import torch\n\n"
                        + answer(
                            "conv_transpose2d",
                            RIGHT["conv_transpose2d"].replace("+ kw)", "+ kw, dtype=x.dtype)"),
                            name="stamps",
                        ),
                    ),
                    True,
                ),
                Kind(
                    "correct",
                    "a tensor for a number",
                    "receptive_field",
                    """
import functools
import torch

@functools.lru_cache
def field(layers):
    kernels, strides = torch.tensor(layers, dtype=torch.long).reshape(-1, 2).T
    return 1 + ((kernels - 1) * torch.cat([torch.ones(1, dtype=torch.long), strides.cumprod(0)])[:-1]).sum()

def receptive_field(layers):
    return field(tuple(layers))""",
                    True,
                ),
            ),
        ),
        File(
            "uses NumPy",
            (
                Kind(
                    "correct",
                    "NumPy, loops",
                    "conv2d",
                    answer(
                        "conv2d",
                        """
                x, weight = np.asarray(x), np.asarray(weight)
                x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
                (n, _, height, width), (o, _, kh, kw) = x.shape, weight.shape
                out = np.zeros((n, o, (height - kh) // stride + 1, (width - kw) // stride + 1))
                for i, j in np.ndindex(*out.shape[2:]):
                    out[:, :, i, j] = np.tensordot(x[:, :, i * stride:i * stride + kh, j * stride:j * stride + kw], weight, ((1, 2, 3), (1, 2, 3)))
                return out if bias is None else out + np.asarray(bias)[:, None, None]""",
                        "import numpy as np",
                    ),
                    True,
                ),
                Kind(
                    "correct",
                    "NumPy, windows",
                    "max_pool2d",
                    answer(
                        "max_pool2d",
                        """
                windows = np.lib.stride_tricks.sliding_window_view(x.numpy(), (kernel_size, kernel_size), (2, 3))
                return windows[:, :, ::stride, ::stride].max((4, 5))""",
                        "import numpy as np",
                    ),
                    True,
                ),
                Kind(
                    "correct",
                    "lists of numbers, and back",
                    "conv_transpose2d",
                    answer(
                        "conv_transpose2d",
                        """
                (n, c, h, w), (_, o, kh, kw) = x.shape, weight.shape
                x, weight = x.tolist(), weight.tolist()
                rows, columns = (h - 1) * stride + kh, (w - 1) * stride + kw
                out = [[[[0.0] * columns for _ in range(rows)] for _ in range(o)] for _ in range(n)]
                for m in range(n):
                    for k in range(c):
                        for i in range(h):
                            for j in range(w):
                                for p in range(o):
                                    for a in range(kh):
                                        for b in range(kw):
                                            out[m][p][i * stride + a][j * stride + b] += x[m][k][i][j] * weight[k][p][a][b]
                return torch.tensor(out)[:, :, padding:rows - padding, padding:columns - padding]""",
                        "import torch",
                    ),
                    True,
                ),
                Kind(
                    "correct",
                    "an array without axes",
                    "receptive_field",
                    answer(
                        "receptive_field",
                        """
                kernels, strides = np.array(layers, dtype=int).reshape(-1, 2).T
                return np.array(1 + ((kernels - 1) * np.cumprod([1, *strides])[:-1]).sum())""",
                        "import numpy as np",
                    ),
                    True,
                ),
            ),
        ),
        File(
            "talks",
            (
                right("conv2d", 'import warnings\nprint(x)\nwarnings.warn("deprecated")', "prints and warns"),
                right("max_pool2d", "import time\ntime.sleep(0.2)", "slow: 3 seconds"),
                right(
                    "conv_transpose2d",
                    "import random, torch\ntorch.manual_seed(random.randrange(9))\ntorch.rand(3)",
                    "seeds of its own",
                ),
                right("receptive_field", "from tqdm.auto import tqdm\nlayers = list(tqdm(layers))", "a progress bar"),
            ),
            (
                "import warnings\nwarnings.simplefilter('always')",
                "import logging\nlogging.basicConfig(level=0)\nlogging.warning('hello')",
            ),
        ),
        File(
            "sets defaults",
            (
                right("conv2d", what="default dtype float64"),
                right("max_pool2d", what="gradients off"),
                right("conv_transpose2d", what="inference mode before"),
                right("receptive_field", what="after cells that cannot be read"),
            ),
            (
                "import torch\ntorch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)\ntorch.manual_seed(1)",
                "undefined_name",
                "s = '\x00'",
                "s = '\ud800'",
                "a" + ".b" * 100_000,
                "[" * 100_000,
                "raise ValueError('a cell that fails')",
                "def broken(:",
                "assert 1 == 2, 'my own test'\nprint('not reached')",
            ),
        ),
        File(
            "works in Jupyter",
            (
                right("conv2d", what="a cell with magics"),
                right("max_pool2d", what="cells that need the course"),
                right("conv_transpose2d", what="a remainder at the start of a line"),
                right("receptive_field", what="a shell command in a block"),
            ),
            (
                "%matplotlib inline\n%load_ext autoreload\nfiles = !ls\nimport torch\ntorch.conv2d?",
                "import aigc_lessons as al\nfrom aigc_lessons.ops import conv2d as theirs",
                'al.exercises.check("conv2d", None)',
                "%%time\ntotal = 1",
                "%%bash\nls -l | grep x",
                "left = (7\n        % 4)\nassert left == 3",
                "try:\n    import nothing_of_this_name\nexcept ImportError:\n    !pip install nothing_of_this_name\nvalue = display(1)",
            ),
        ),
    ]


@dataclass(frozen=True)
class Odd:
    """A file that is odd by itself. `earns`: whether its answers get all points; `says`: a word of the row's reason."""

    what: str
    path: str | bytes
    content: bytes
    says: str
    earns: bool = False


def whole(extra=()):
    """A notebook with right answers."""
    return as_notebook([*extra, *(answer(name, RIGHT[name]) for name in LESSON)])


def script():
    """A .py file with right answers."""
    parts = [
        '"""My answers."""\nfrom __future__ import annotations',
        "if __name__ == '__main__':\n    raise SystemExit('run as a program')",
    ]
    return "\n\n".join([*parts, *(answer(name, RIGHT[name]) for name in LESSON)]).encode()


def odd_files():
    """Files whose content or name is odd."""
    wrong = [answer(name, "return 1") for name in LESSON]
    r = {"kernelspec": {"name": "ir", "language": "R"}}
    return [
        Odd("broken JSON", "broken/12_a.ipynb", whole()[:-40], "not a whole notebook"),
        Odd("empty file", "empty/12_a.ipynb", b"", "not a whole notebook"),
        Odd("JSON, but no notebook", "list/12_a.ipynb", b"[1, 2]", "not a whole notebook"),
        Odd("deep JSON", "deep/12_a.ipynb", b"[" * 1_000_000, "not a whole notebook"),
        Odd(
            "another format",
            "format/12_a.ipynb",
            json.dumps({"worksheets": [], "nbformat": 3}).encode(),
            "not a whole notebook",
        ),
        Odd(
            "source of numbers",
            "numbers/12_a.ipynb",
            b'{"cells": [{"cell_type": "code", "source": [1, 2]}]}',
            "not a whole notebook",
        ),
        Odd("another kernel", "kernel/12_a.ipynb", as_notebook(["x <- 1"], r), "language is 'R'"),
        Odd("huge notebook", "huge/12_a.ipynb", whole()[:-1] + b" " * 11_000_000 + b"}", "bytes; accepted are"),
        Odd("huge code", "long/12_a.py", b"a=1\n" * 2_400_000, "characters; accepted are"),
        Odd("UTF-16", "utf16/12_a.py", script().decode().encode("utf-16"), "not text in UTF-8"),
        Odd("Latin-1", "latin/12_a.py", "# d\xe9j\xe0 vu\n".encode("latin-1") + script(), "not text in UTF-8"),
        Odd("no lesson in its name", "nameless/answers.ipynb", whole(), "says no lesson"),
        Odd("a lesson that is not there", "lesson 98/98_answers.ipynb", whole(), "no lesson 98"),
        Odd("two files, one", "twice/12_a.ipynb", whole(), "2 files"),
        Odd("two files, the other", "twice/12_b.py", script(), "2 files"),
        Odd("no cells", "cells/12_a.ipynb", as_notebook([]), ""),
        Odd(
            "skip tags, wrong answers",
            "tags/12_a.ipynb",
            as_notebook(wrong, None, {"tags": ["skip-execution", "remove-cell"]}),
            "",
        ),
        Odd(
            "skip tags, right answers; upper case",
            "tagged/12_A.IPYNB",
            as_notebook([answer(n, RIGHT[n]) for n in LESSON], None, {"tags": ["skip-execution"]}),
            "",
            True,
        ),
        Odd(
            "a script, a mark at its start, Windows' lines",
            "windows/12_a.py",
            b"\xef\xbb\xbf" + script().replace(b"\n", b"\r\n"),
            "",
            True,
        ),
        *(
            Odd(f"named {path!r}", os.fsencode(path), b"\xff", "not text in UTF-8")
            for path in (
                "=cmd|' C calc'!A0/12_a.py",
                "+1/12_a.py",
                "-1/12_a.py",
                "@SUM(A1)_12_a.py",
                "=1+1_12_a.py",
                "a..\\..\\b/12_a.py",
                "%2e%2e%2f/12_a.py",
                "王小明/12_答案.py",
                "李四_12_a.py",
                'O\'Brien "Bo"/12_a.py',
                "two words_12_a.py",
                "<script>alert(1)/12_<b>.py",
                "a" * 200 + "/12_a.py",
                "tab\tand\x1b[2J/12_a.py",
                "line\nbreak/12_a.py",
                "caf\udce9/12_a.py",
            )
        ),
    ]
