"""Shipped weights, read: safetensors in half precision, and a manifest that says where each came from and what it scores."""
import difflib
import hashlib
import json
from pathlib import Path

SHIPPED = Path(__file__).parent / "training" / "shipped"


def manifest():
    """{name: record}: file, sha256, model and its arguments, command, profile, seed, steps, seconds, versions, metrics."""
    return json.loads((SHIPPED / "manifest.json").read_text(encoding="utf-8"))


def read_weights(name):
    """{tensor's name: float32 tensor} of shipped weights, after their hash was checked.

    Raises:
        ValueError: unknown name, or the file's content is not what the manifest says. FileNotFoundError: no such file.
    """
    known = manifest()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        raise ValueError(f"There are no shipped weights {name!r}. " + (f"Did you mean {near[0]!r}? " if near else "") + f"Known: {', '.join(known)}.")
    path = SHIPPED / known[name]["file"]
    again = f"Restore it with `git checkout -- aigc_lessons/training/shipped`, or make it anew with `{known[name]['command']}`."
    if not path.exists():
        raise FileNotFoundError(f"The weights {name!r} should be in {path}, and that file is missing. {again}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != known[name]["sha256"]:
        raise ValueError(f"The weights {name!r} in {path} are damaged or altered: their sha256 is not the manifest's. {again}")
    from safetensors.torch import load
    return {k: v.float() if v.is_floating_point() else v for k, v in load(data).items()}
