"""Runs one submission inside the grader's sandbox: `python worker.py`, asked on its input, answering on its output. See grading/sandbox.py.

Everything that it says is a claim of the submission's, which shares this process: the judge outside believes nothing but tensors
that are right. Only the files beside this one are there, and no right answer among them.
"""

import ast
import builtins
import linecache
import os
import resource
import sys
import types
from pathlib import Path

import frames
import observing
import scratch
import torch


def limit(limits):
    """What the kernel holds this process to: {"DATA": bytes, "CPU": seconds, ...}; "AS" is on top of what is mapped now."""
    for name, most in limits.items():
        if name == "AS":
            most += int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


def define(cells):
    """Run a submission's cells, statement by statement, in a new module: (namespace, what went wrong).

    cells: each a list of ways to read it; the first that is Python counts. A statement that fails is left out, so that a cell that
    needs the course, which is not here, spoils nothing.
    """
    module = types.ModuleType("submission")
    sys.modules["submission"] = module
    trouble = []
    for i, readings in enumerate(cells, 1):
        name, statements = f"cell {i}", []
        for source in readings:
            linecache.cache[name] = (len(source), None, source.splitlines(True), name)
            try:
                statements = ast.parse(source).body
                break
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                wrong = f"{name} cannot be read: {type(error).__name__}: {error}"
        else:
            trouble.append(wrong)
        for statement in statements:
            try:
                exec(compile(ast.Module([statement], []), name, "exec"), module.__dict__)
            except (Exception, SystemExit, KeyboardInterrupt) as error:
                trouble.append(f"{name}, line {statement.lineno}: {type(error).__name__}: {error}")
    return module.__dict__, trouble


def adapter(source):
    """The function that an exercise's `call` is, from its source."""
    if source is None:
        return None
    space = {"torch": torch}
    exec(source, space)
    return next(v for v in space.values() if isinstance(v, types.FunctionType))


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
    space, trouble = define(job["cells"])
    send(
        {
            "defined": [name for name in job["names"] if callable(space.get(name))],
            "trouble": [t[:300] for t in trouble[:5]],
        }
    )
    name = call = forbidden = None
    for record, values in questions:
        if "case" in record:
            send(*respond(space.get(name), name, call, record, values))
            continue
        name, call = record["name"], adapter(record["call"])
        if record["forbidden"] and record["forbidden"] != forbidden:
            forbidden = record["forbidden"]
            scratch.FromScratch(forbidden).for_good()


def respond(function, name, call, case, values):
    """What a function does with a case, as (record, *values) to send."""
    args, kwargs = values[0], dict(zip(case["names"], values[1]))
    seen = observing.observe(function, args, kwargs, tuple(case["tracked"]), call)
    said = {"name": name, "case": case["case"]}
    if isinstance(seen.error, scratch.LibraryCall):
        return ({**said, "library": str(seen.error)},)
    if seen.error is not None:
        kind = type(seen.error).__name__
        return ({**said, "error": kind if hasattr(builtins, kind) else "Exception", "says": str(seen.error)[:300]},)
    try:
        frames.pack({}, (seen.value, tuple(seen.gradients), seen.inputs))
    except Exception as error:  # a value that cannot be written
        return ({**said, "error": "Exception", "says": f"the value cannot be read: {type(error).__name__}"},)
    return said, seen.value, tuple(seen.gradients), seen.inputs


if __name__ == "__main__":
    main()
