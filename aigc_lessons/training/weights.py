"""Shipped weights, made and put into models. Reading them from their files is in aigc_lessons/weights.py."""
import hashlib
import json

import torch

from .. import weights
from ..settings import device
from ..weights import manifest, read_weights
from .checkpoint import architecture, write_atomically

LIMIT = 2_000_000          # bytes a file


def load_weights(model, name):
    """Load shipped weights into `model`, in place, and return it. Nothing is changed unless all of them fit.

    Raises ValueError if the model was built with other arguments than the weights (and as `read_weights` does).
    """
    tensors = read_weights(name)
    mine = architecture(model)["shapes"]
    theirs = {k: tuple(v.shape) for k, v in tensors.items()}
    if mine != theirs:
        first = next(k for k in {**mine, **theirs} if theirs.get(k) != mine.get(k))
        record = manifest()[name]
        arguments = ", ".join(f"{k}={v!r}" for k, v in record["arguments"].items())
        raise ValueError(f"The weights {name!r} do not fit this {type(model).__name__}: {first} is {theirs.get(first)} there and "
                         f"{mine.get(first)} here. Build it as al.models.{record['model']}({arguments}), or train it: give steps=.")
    model.load_state_dict({**model.state_dict(), **tensors})            # what is not a tensor, as a buffer of pictures, stays
    return model


def shipped(name):
    """The model `name`, built as the manifest says, with its shipped weights, in eval mode. Raises as `read_weights` does."""
    from .. import models
    record = manifest()[name] if name in manifest() else read_weights(name)      # an unknown name is refused there
    return load_weights(getattr(models, record["model"])(**record["arguments"]), name).eval().to(device())


def save_weights(model, name, record):
    """Write `model`'s weights as shipped weights `name`, in half precision, and enter `record` in the manifest.

    Args:
        record: what the manifest should say beside file, bytes and sha256.
    Raises ValueError if they are larger than 2 MB.
    """
    from safetensors.torch import save
    tensors = {k: (v.half() if v.is_floating_point() else v).contiguous().cpu() for k, v in model.state_dict().items()
               if isinstance(v, torch.Tensor)}
    data = save(tensors)
    if len(data) > LIMIT:
        raise ValueError(f"The weights {name!r} take {len(data):,} bytes. Accepted: {LIMIT:,}. Build a narrower model.")
    weights.SHIPPED.mkdir(exist_ok=True)
    path = weights.SHIPPED / f"{name}.safetensors"
    known = manifest() if (weights.SHIPPED / "manifest.json").exists() else {}
    known[name] = {"file": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **record}
    write_atomically(path, data)
    write_atomically(weights.SHIPPED / "manifest.json", (json.dumps(dict(sorted(known.items())), indent=1) + "\n").encode())


def half_precision(model):
    """Round the weights as shipping them will, so that what is measured is what is shipped."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
                tensor.copy_(tensor.half())
    return model
