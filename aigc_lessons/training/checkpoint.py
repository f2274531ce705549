"""Checkpoints: the whole state of a run in one file, replaced in one step."""

import hashlib
from pathlib import Path

import torch

from ..files import write_atomically
from ..shipped import architecture


def fingerprint(sets):
    """A short hash of the data a run is trained on: sizes, and up to 64 items and their labels."""
    digest = hashlib.sha256()
    for ds in sets:
        some = slice(None, None, max(1, len(ds.images) // 64))
        for part in (ds.images, ds.labels):
            if part is not None:
                digest.update(
                    str(tuple(part.shape)).encode()
                    + part[some].cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
                )
    return digest.hexdigest()[:16]


def schedule_values(schedule):
    """What a schedule says at step 0 and at powers of two, {step: factor}: two that agree there are taken for one. None where it has
    no answer: one that grows, or looks its factor up, need not reach as far."""

    def value(step):
        try:
            return float(schedule(step))
        except (ArithmeticError, LookupError, ValueError):
            return None

    return None if schedule is None else {step: value(step) for step in (0, *(2**k for k in range(24)))}


def optimizer_values(optimizers):
    """The settings of each optimizer that are numbers, such as lr and betas: {"generator.lr": [of each group]}."""
    number, values = (bool, int, float, tuple), {}
    for name, optimizer in optimizers.items():
        for group in optimizer.param_groups:
            for setting in (k for k, v in group.items() if isinstance(v, number)):
                values.setdefault(f"{name}.{setting}", []).append(group[setting])
    return values


def arguments(model):
    """What else a model was built with: its numbers, words and functions by name, and its layers as they print."""
    plain = {
        k: v
        for k, v in vars(model).items()
        if not k.startswith("_") and k != "training" and isinstance(v, (bool, int, float, str, tuple))
    }
    named = {k: v.__qualname__ for k, v in vars(model).items() if not k.startswith("_") and hasattr(v, "__qualname__")}
    return {
        **plain,
        **named,
        "layers": "\n".join(f"{name}: {layer}" for name, layer in model.named_modules() if not list(layer.children())),
    }


def save(path, state):
    """Write the state of a run to `path`, atomically."""
    write_atomically(path, lambda file: torch.save(state, file))


def load(path, model, run):
    """The state saved at `path`, or None if there is no such file.

    Args:
        model: the model it must have been made for.
        run: {"arguments": {...} of the model, "seed": ..., "data": ...} that it must have been made with; what only one of the two
            names is not compared.
    Raises:
        ValueError: damaged, or of another model, or of another run.
    """
    if not Path(path).exists():
        return None
    instead = "Give another checkpoint= to begin a new run, or delete the file."
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        saved = state["architecture"], state["run"]
    except Exception as error:
        raise ValueError(
            f"{path} is not a checkpoint of this course, or it is damaged ({type(error).__name__}). {instead}"
        ) from error
    mine = architecture(model)
    if saved[0] != mine:
        theirs, ours = saved[0]["shapes"], mine["shapes"]
        first = next((k for k in {**theirs, **ours} if theirs.get(k) != ours.get(k)), None)
        what = (
            ""
            if first is None
            else f" They differ first in {first}: {theirs.get(first)} there, {ours.get(first)} here."
        )
        raise ValueError(
            f"{path} is a checkpoint of a {saved[0]['class']}; you gave a {mine['class']}.{what} "
            f"Build the model that it was made with. {instead}"
        )
    made, given = ({**r["arguments"], **{k: v for k, v in r.items() if k != "arguments"}} for r in (saved[1], run))
    if differ := [k for k in made if k in given and made[k] != given[k]]:
        raise ValueError(
            f"{path} was made with "
            + ", ".join(f"{k}={_shown(made[k], given[k])}" for k in differ)
            + "; you gave "
            + ", ".join(f"{k}={_shown(given[k], made[k])}" for k in differ)
            + f". To continue that run give the same. {instead}"
        )
    return state


def _shown(value, other):
    """The part of a value in which it differs from another one, short enough to read."""
    if isinstance(value, str) and isinstance(other, str):
        lines = [line for line in value.splitlines() if line not in other.splitlines()]
        return "; ".join(lines[:3]) or repr(value)
    if isinstance(value, dict):  # of a schedule
        differ = [f"{v} at step {k}" for k, v in value.items() if not isinstance(other, dict) or v != other.get(k)]
        return ", ".join(differ[:4]) + ", ..." * (len(differ) > 4)
    if isinstance(value, list) and len(value) == 1:  # of an optimizer with one group
        return repr(value[0])
    return repr(value)
