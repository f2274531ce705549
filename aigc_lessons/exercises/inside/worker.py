"""Runs one submission inside the grader's sandbox: `python worker.py FOLDER`, with job.frame in FOLDER. See grading/sandbox.py.

Everything that it says is a claim of the submission's, which shares this process: the judge outside believes nothing but tensors
that are right. Only the files beside this one are there, and no right answer among them.
"""

import builtins
import os
import resource
import sys
import types
from dataclasses import asdict
from pathlib import Path

import frames
import loading
import observing
import torch

MOST = 20  # troubles of the cells that are told


class FromScratch:
    """While it is entered, the library's own kernels of these operators are replaced by one that refuses.

    names: of ATen operators; "convolution_transpose" stands for convolution asked to go the other way.
    """

    def __init__(self, names):
        self.names = names

    def __enter__(self):
        self.library = torch.library.Library("aten", "IMPL", "CPU")
        for name in {n.removesuffix("_transpose") for n in self.names}:
            self.library.impl(name, self._kernel(name))

    def _kernel(self, name):
        def refuse(*args, **kwargs):
            if name not in self.names and not args[6]:  # a convolution, where only transposed ones are refused
                return torch.ops.aten._convolution(*args, False, False, True, True)
            raise loading.LibraryCall(name)

        return refuse

    def __exit__(self, *_):
        self.library._destroy()


def limit(limits):
    """What the kernel holds this process to: {"DATA": bytes, "CPU": seconds, ...}; "AS" is on top of what is mapped now."""
    for name, most in limits.items():
        if name == "AS":
            most += int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


def adapter(source):
    """The function that an exercise's `call` is, from its source."""
    if source is None:
        return None
    space = {"torch": torch}
    exec(source, space)
    return next(v for v in space.values() if isinstance(v, types.FunctionType))


def trouble_with(function, error, task, args, kwargs):
    """The loading.Trouble that an error in a call of an answer is."""
    if isinstance(error, TypeError):
        names = tuple(task["parameters"])
        unfit = loading.misfit(function, *((names, {}) if task["call"] else (args, kwargs)))
        if unfit is not None:
            return loading.Trouble("signature", *loading.place(error), unfit)
    return loading.of(error, *loading.place(error))


@loading.uncompiled()
def main(folder):
    channel = os.dup(1)  # what the submission prints goes nowhere
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    if os.getpgrp() != os.getpid():
        os.setsid()  # a kill of the own group stays in it
    blob = (Path(folder) / "job.frame").read_bytes()
    text, data = frames.HEAD.unpack(blob[:8])
    job, values = frames.unpack(blob[8 : 8 + text], blob[8 + text :])
    torch.set_num_threads(1)

    def send(record, *values):
        blob = memoryview(frames.pack(record, values))
        while blob:
            blob = blob[os.write(channel, blob) :]

    send({"ready": True})
    limit(job["limits"])
    space, troubles = loading.define(
        job["cells"], job["seconds"], lambda cell: send({"cell": cell}), [tuple(pair) for pair in job["hung"]]
    )
    send(
        {
            "defined": [name for name in job["names"] if callable(space.get(name))],
            "trouble": [asdict(trouble) for trouble in troubles[:MOST]],
        }
    )
    for task in job["tasks"]:
        name, call = task["name"], adapter(task["call"])
        send({"begins": name})
        function = space.get(name)
        for k, case in enumerate(task["cases"] if callable(function) else ()):
            args, kwargs = values[case["at"]], dict(zip(case["names"], values[case["at"] + 1]))
            with FromScratch(task["forbidden"]):
                seen = observing.observe(function, args, kwargs, tuple(case["tracked"]), call)
            if seen.error is not None:
                kind = type(seen.error).__name__
                send(
                    {
                        "name": name,
                        "case": k,
                        "error": kind if hasattr(builtins, kind) else "Exception",
                        "says": str(seen.error)[:300],
                        "trouble": asdict(trouble_with(function, seen.error, task, args, kwargs)),
                    }
                )
                continue
            try:
                send({"name": name, "case": k, "damaged": seen.damaged}, seen.value, tuple(seen.gradients))
            except Exception as error:  # a value that cannot be written
                send(
                    {
                        "name": name,
                        "case": k,
                        "error": "Exception",
                        "says": f"the value cannot be read: {type(error).__name__}",
                    }
                )
        send({"ends": name})


if __name__ == "__main__":
    main(sys.argv[1])
