"""Checkpoints: the whole state of a run in one file, replaced in one step."""
import hashlib
import os
from pathlib import Path

import torch


def write_atomically(path, data):
    """Write bytes so that at every moment `path` holds either the old content or the new, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}-{os.getpid()}.part")
    try:
        with open(partial, "wb") as file:
            file.write(data) if isinstance(data, bytes) else data(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def fingerprint(image_sets):
    """A short hash of the data a run is trained on: sizes, and up to 64 pictures and their labels."""
    digest = hashlib.sha256()
    for ds in image_sets:
        some = slice(None, None, max(1, len(ds) // 64))
        digest.update(str(tuple(ds.images.shape)).encode() + ds.images[some].cpu().contiguous().numpy().tobytes())
        if ds.labels is not None:
            digest.update(ds.labels[some].cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def architecture(model):
    """What a checkpoint must fit: the model's class and the shape of each of its tensors."""
    return {"class": type(model).__name__,
            "shapes": {k: tuple(v.shape) for k, v in model.state_dict().items() if isinstance(v, torch.Tensor)}}


def save(path, state):
    """Write the state of a run to `path`, atomically."""
    write_atomically(path, lambda file: torch.save(state, file))


def load(path, model, run):
    """The state saved at `path`, or None if there is no such file.

    Args:
        model: the model it must have been made for.
        run: {"seed": ..., "batch_size": ..., "data": ...} that it must have been made with.
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
        raise ValueError(f"{path} is not a checkpoint of this course, or it is damaged ({type(error).__name__}). {instead}") from error
    mine = architecture(model)
    if saved[0] != mine:
        theirs, ours = saved[0]["shapes"], mine["shapes"]
        first = next((k for k in {**theirs, **ours} if theirs.get(k) != ours.get(k)), None)
        what = "" if first is None else f" They differ first in {first}: {theirs.get(first)} there, {ours.get(first)} here."
        raise ValueError(f"{path} is a checkpoint of a {saved[0]['class']}; you gave a {mine['class']}.{what} "
                         f"Build the model that it was made with. {instead}")
    if differ := [k for k in run if saved[1].get(k) != run[k]]:
        raise ValueError(f"{path} was made with " + ", ".join(f"{k}={saved[1].get(k)!r}" for k in differ) + "; you gave "
                         + ", ".join(f"{k}={run[k]!r}" for k in differ) + f". To continue that run give the same. {instead}")
    return state
