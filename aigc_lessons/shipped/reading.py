"""Shipped weights, read: safetensors in half precision, and a manifest that says where each came from and what it scores."""

import difflib
import hashlib
import json
from pathlib import Path

import torch

from .. import models
from ..settings import device

SHIPPED = Path(__file__).parent


def manifest():
    """{name: record}: file, sha256, model and its arguments, command, profile, seed, steps, seconds, versions, metrics."""
    return json.loads((SHIPPED / "manifest.json").read_text(encoding="utf-8"))


def record(name):
    """What a measurement that is too long for a lesson has found: {"command": what makes it anew, "rows": its results, a dict a run}.

    Raises ValueError for an unknown name.
    """
    path = SHIPPED / "records" / f"{name}.json"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.json")))
        raise ValueError(f"There is no record {name!r}. Known: {known}.")
    return json.loads(path.read_text(encoding="utf-8"))


def read_weights(name):
    """{tensor's name: float32 tensor} of shipped weights, after their hash was checked.

    Raises:
        ValueError: unknown name, or the file's content is not what the manifest says. FileNotFoundError: no such file.
    """
    known = manifest()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        raise ValueError(
            f"There are no shipped weights {name!r}. "
            + (f"Did you mean {near[0]!r}? " if near else "")
            + f"Known: {', '.join(known)}."
        )
    path = SHIPPED / known[name]["file"]
    again = f"Restore it with `git checkout -- aigc_lessons/shipped`, or make it anew with `{known[name]['command']}`."
    if not path.exists():
        raise FileNotFoundError(f"The weights {name!r} should be in {path}, and that file is missing. {again}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != known[name]["sha256"]:
        raise ValueError(
            f"The weights {name!r} in {path} are damaged or altered: their sha256 is not the manifest's. {again}"
        )
    from safetensors.torch import load

    return {k: v.float() if v.is_floating_point() else v for k, v in load(data).items()}


def architecture(model):
    """What a checkpoint must fit: the model's class and the shape of each of its tensors."""
    return {
        "class": type(model).__name__,
        "shapes": {k: tuple(v.shape) for k, v in model.state_dict().items() if isinstance(v, torch.Tensor)},
    }


def sampled(model, keep=(), parts=()):
    """{name: tensor} of a model's state, of what its pictures are made with: no discriminator, no critic, and no network that has
    an average. keep: names of networks that are wanted all the same; parts: of those that have a file of their own."""
    networks = {name for name, _ in model.named_children()}
    raw = {
        name for name in networks if f"{name}_ema" in networks or name.startswith(("discriminator", "critic"))
    } - set(keep) | set(parts)
    return {k: v for k, v in model.state_dict().items() if isinstance(v, torch.Tensor) and k.split(".")[0] not in raw}


def load_weights(model, name):
    """Load shipped weights into `model`, in place, and return it. Nothing is changed unless all of them fit.

    A network of which only the average is shipped becomes that average; a discriminator that is not shipped stays as it is.

    Raises ValueError if the model was built with other arguments than the weights (and as `read_weights` does).
    """
    tensors, record = read_weights(name), manifest()[name]
    mine = {k: tuple(v.shape) for k, v in sampled(model, record.get("keep", ()), record.get("parts", ())).items()}
    theirs = {k: tuple(v.shape) for k, v in tensors.items()}
    if mine != theirs:
        first = next(k for k in {**mine, **theirs} if theirs.get(k) != mine.get(k))
        arguments = ", ".join(f"{k}={v!r}" for k, v in {**record.get("parts", {}), **record["arguments"]}.items())
        raise ValueError(
            f"The weights {name!r} do not fit this {type(model).__name__}: {first} is {theirs.get(first)} there and "
            f"{mine.get(first)} here. Build it as al.models.{record['model']}({arguments}), or train it: give steps=."
        )
    model.load_state_dict({**model.state_dict(), **tensors})  # what is not shipped, or is no tensor, stays
    for child, _ in list(model.named_children()):
        average = getattr(model, f"{child}_ema", None)
        if average is not None and not any(k.startswith(f"{child}.") for k in tensors):
            getattr(model, child).load_state_dict(average.module.state_dict())
    return model


def build(name):
    """The model `name`, built as the manifest says, with its shipped weights, in eval mode. Raises as `read_weights` does."""
    return load_weights(fresh(name), name).eval().to(device())


def fresh(name):
    """The model `name` as the manifest says, untrained but for the parts that have weights of their own. Raises as `read_weights` does."""
    record = manifest()[name] if name in manifest() else read_weights(name)  # an unknown name is refused there
    parts = {argument: build(part) for argument, part in record.get("parts", {}).items()}
    return getattr(models, record["model"])(**parts, **record["arguments"])
