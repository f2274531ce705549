"""Shipped weights, written: in half precision, and entered in the manifest."""

import hashlib
import json

import torch

from ..files import write_atomically
from . import reading
from .reading import manifest, sampled

LIMIT = 2_000_000  # bytes a file


def save_weights(model, name, record):
    """Write what `model` makes its pictures with as shipped weights `name`, in half precision, and enter `record` in the manifest.

    Args:
        record: what the manifest should say beside file, bytes and sha256; its "keep" names networks to be written as well.
    Raises ValueError if they are larger than 2 MB.
    """
    from safetensors.torch import save

    tensors = {
        k: (v.half() if v.is_floating_point() else v).contiguous().cpu()
        for k, v in sampled(model, record.get("keep", ()), record.get("parts", ())).items()
    }
    data = save(tensors)
    if len(data) > LIMIT:
        raise ValueError(f"The weights {name!r} take {len(data):,} bytes. Accepted: {LIMIT:,}. Build a narrower model.")
    reading.SHIPPED.mkdir(exist_ok=True)
    path = reading.SHIPPED / f"{name}.safetensors"
    known = manifest() if (reading.SHIPPED / "manifest.json").exists() else {}
    known[name] = {"file": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **record}
    write_atomically(path, data)
    write_atomically(
        reading.SHIPPED / "manifest.json", (json.dumps(dict(sorted(known.items())), indent=1) + "\n").encode()
    )


def save_record(name, command, rows):
    """Write what a long measurement has found as the record `name`, which lessons read by `al.shipped.record(name)`.

    Args: command: what makes it anew. rows: list of dicts of plain numbers, strings and lists; one a line in the file.
    """
    lines = ",\n".join(json.dumps(row) for row in rows)
    text = f'{{"command": {json.dumps(command)}, "rows": [\n{lines}\n]}}\n'
    write_atomically(reading.SHIPPED / "records" / f"{name}.json", text.encode())


def half_precision(model):
    """Round the weights as shipping them will, so that what is measured is what is shipped."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
                tensor.copy_(tensor.half())
    return model
