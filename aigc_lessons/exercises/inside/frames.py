"""What passes between the judge and the sandbox: plain values as JSON, tensors as safetensors. Nothing is ever unpickled.

Used on both sides; torch, NumPy and safetensors alone are imported here.
"""

import json
import struct

import numpy as np
import torch
from safetensors.torch import load, save

HEAD = struct.Struct(">II")  # bytes of JSON, bytes of safetensors
DEEPEST = 5  # lists within lists
LONGEST = 1000  # bits of a whole number: what a float still holds
KINDS = 16  # names of types in one frame; each becomes a class, which takes a thousand times the memory of its name
CATALOGUE = 200_000  # bytes of the list of tensors, of which a small one takes ten times the memory of its entry; right frames need 8,000


def describe(value, tensors, depth=0):
    """A value in JSON's terms; tensors are appended to the list `tensors` and named by their place in it."""
    if isinstance(value, torch.Tensor) or isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        plain = torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value.detach().cpu()
        tensors.append(plain.as_subclass(torch.Tensor).contiguous().clone())  # safetensors refuses shared memory
        return {"tensor": len(tensors) - 1}
    if isinstance(value, (tuple, list)) and depth < DEEPEST:
        return {"list" if isinstance(value, list) else "tuple": [describe(item, tensors, depth + 1) for item in value]}
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) is int and value.bit_length() > LONGEST:
        value = float("inf")
    if value is None or type(value) in (bool, int, float, str):
        return {"plain": value}
    return {"type": type(value).__name__[:80]}


def rebuild(description, tensors, kinds, depth=0):
    """The value that was described; takes its tensors out of the list, so that none is there twice.

    Args: kinds: {name: class} of what could only be named, one class for each name, shared by the values of a frame.
    Raises ValueError for anything that `describe` does not write.
    """
    if not isinstance(description, dict) or len(description) != 1 or depth > DEEPEST + 1:
        raise ValueError("not a description of a value")
    ((kind, content),) = description.items()
    if kind == "tensor" and type(content) is int and 0 <= content < len(tensors) and tensors[content] is not None:
        tensor, tensors[content] = tensors[content], None
        return tensor
    if kind in ("list", "tuple") and isinstance(content, list):
        items = [rebuild(item, tensors, kinds, depth + 1) for item in content]
        return items if kind == "list" else tuple(items)
    if kind == "plain" and (
        content is None
        or type(content) in (bool, float, str)
        or type(content) is int
        and content.bit_length() <= LONGEST
    ):
        return content
    if kind == "type" and isinstance(content, str):
        name = content[:80] or "object"
        if name not in kinds and len(kinds) == KINDS:
            raise ValueError("too many types")
        return kinds.setdefault(name, kinds.get(name) or type(name, (), {}))()
    raise ValueError("not a description of a value")


def pack(record, values=()):
    """A frame: `record`, a dictionary of JSON's types, and described values under "values"."""
    tensors = []
    text = json.dumps({**record, "values": [describe(v, tensors) for v in values]}).encode()
    data = save({str(i): t for i, t in enumerate(tensors)})
    return HEAD.pack(len(text), len(data)) + text + data


def unpack(text, data):
    """(record, values) of a frame's two parts. Raises ValueError for anything that is not one."""
    try:
        if int.from_bytes(data[:8], "little") > CATALOGUE:
            raise ValueError("too many tensors")
        record = json.loads(text)
        named, kinds = load(data), {}
        tensors = [named[str(i)] for i in range(len(named))]
        values = [rebuild(d, tensors, kinds) for d in record.pop("values")]
        if any(t is not None for t in tensors):
            raise ValueError("a tensor without a place")
        return record, values
    except Exception as error:  # whatever a forged frame makes a parser raise
        raise ValueError(f"not a frame: {type(error).__name__}") from None
