"""Runs one submission inside the grader's sandbox: `python worker.py`, asked on its input, answering on its output. See grading/sandbox.py.

Everything that it says is a claim of the submission's, which shares this process: the judge outside believes nothing but tensors
that are right. Only the files beside this one are there, and no right answer among them.
"""

import builtins
import os
import resource
import types
from dataclasses import asdict
from pathlib import Path

import frames
import loading
import observing
import scratch
import torch

MOST = 20  # troubles of the cells that are told


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


def trouble_with(function, error, parameters, called, args, kwargs):
    """The loading.Trouble that an error in a call of an answer is. called: by an adapter, with what the signature names."""
    if isinstance(error, TypeError):
        unfit = loading.misfit(function, *((tuple(parameters), {}) if called else (args, kwargs)))
        if unfit is not None:
            return loading.Trouble("signature", *loading.place(error), unfit)
    return loading.of(error, *loading.place(error))


def asked(inlet):
    """Each frame that the judge sends: (record, values)."""

    def take(size):
        data = bytearray()
        while len(data) < size:
            part = os.read(inlet, size - len(data))
            if not part:
                return None
            data += part
        return bytes(data)

    while (head := take(frames.HEAD.size)) is not None:
        text, data = map(take, frames.HEAD.unpack(head))
        yield frames.unpack(text, data)


@loading.uncompiled()
def main():
    inlet, channel = os.dup(0), os.dup(1)  # what the submission reads and prints comes from and goes nowhere
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    if os.getpgrp() != os.getpid():
        os.setsid()  # a kill of the own group stays in it
    torch.set_num_threads(1)

    def send(record, *values):
        blob = memoryview(frames.pack(record, values))
        while blob:
            blob = blob[os.write(channel, blob) :]

    send({"ready": True})
    questions = asked(inlet)
    job, _ = next(questions)
    limit(job["limits"])
    if job["scratch"]:
        scratch.close_side_ways()
    hung = [tuple(pair) for pair in job["hung"]]
    space, troubles = loading.define(job["cells"], job["seconds"], lambda cell: send({"cell": cell}), hung)
    send(
        {
            "defined": [name for name in job["names"] if callable(space.get(name))],
            "trouble": [asdict(trouble) for trouble in troubles[:MOST]],
        }
    )
    task = call = forbidden = None
    for record, values in questions:
        if "case" in record:
            send(*respond(space.get(task["name"]), task, call, record, values))
            continue
        task, call = record, adapter(record["call"])
        if record["forbidden"] and record["forbidden"] != forbidden:
            forbidden = record["forbidden"]
            scratch.FromScratch(forbidden).for_good()


def respond(function, task, call, case, values):
    """What a function does with a case, as (record, *values) to send."""
    args, kwargs = values[0], dict(zip(case["names"], values[1]))
    seen = observing.observe(function, args, kwargs, tuple(case["tracked"]), call)
    said = {"name": task["name"], "case": case["case"]}
    if isinstance(seen.error, scratch.LibraryCall):
        return ({**said, "library": seen.error.operator},)
    if seen.error is not None:
        kind = type(seen.error).__name__
        trouble = trouble_with(function, seen.error, task["parameters"], call is not None, args, kwargs)
        error = {"error": kind if hasattr(builtins, kind) else "Exception", "says": str(seen.error)[:300]}
        return ({**said, **error, "trouble": asdict(trouble)},)
    try:
        frames.pack({}, (seen.value, tuple(seen.gradients), seen.inputs))
    except Exception as error:  # a value that cannot be written
        return ({**said, "error": "Exception", "says": f"the value cannot be read: {type(error).__name__}"},)
    return said, seen.value, tuple(seen.gradients), seen.inputs


if __name__ == "__main__":
    main()
