"""Running an answer on a case. The self-check does it in the learner's process, the grader in a sandbox.

In the sandbox there is nothing of the course but this folder, so only torch and NumPy are imported here.
"""

import contextlib
import copy
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Observation:
    """What a function did with a case: what it returned, as it came, and the gradients of the tracked inputs (None where none
    arrives). `error`: what it raised instead. `damaged`: it wrote into its input; `inputs`: these, as they are afterwards."""

    value: object = None
    gradients: tuple = ()
    error: BaseException | None = None
    damaged: bool = False
    inputs: tuple = ()


def observe(function, args, kwargs, tracked, call=None):
    """Run a function on fresh copies of the inputs. Only KeyboardInterrupt and its like pass through.

    It runs twice: on plain tensors, as NumPy and in-place writing want them, then on tracked ones for the gradients.

    Args:
        args, kwargs: plain data; floating tensors are given as float32. tracked: the inputs whose gradients are wanted, a position
            in `args` or a key of `kwargs` each.
        call: as Exercise.call.
    """
    with on_the_cpu():
        return _observe(function, args, kwargs, tracked, call)


def _observe(function, args, kwargs, tracked, call):
    given, named, _ = fresh(args, kwargs, tracked, torch.float32, track=False)
    try:
        value = run(function, given, named, call)
    except (Exception, SystemExit) as error:
        return Observation(error=error)
    value, inputs = kept(value), kept((*given, *named.values()))
    damaged = not all(map(unchanged, inputs, fresh((*args, *kwargs.values()), {}, (), torch.float32, track=False)[0]))
    gradients = (None,) * len(tracked)
    if tracked and not damaged:
        given, named, leaves = fresh(args, kwargs, tracked, torch.float32, track=True)
        try:
            gradients = gradients_of(in_a_row(run(function, given, named, call)), leaves)
        except (Exception, SystemExit):
            pass  # works on plain tensors only, NumPy for one: no gradient
    return Observation(value, gradients, None, damaged, inputs)


@contextlib.contextmanager
def on_the_cpu():
    """New tensors lie on the CPU, as the inputs do, whatever torch.set_default_device was told; afterwards it is as it was."""
    before = torch.get_default_device()
    if before.type != "cpu":
        torch.set_default_device(None)
    try:
        yield
    finally:
        if torch.get_default_device() != before:
            torch.set_default_device(None if before.type == "cpu" else before)


def fresh(args, kwargs, tracked, dtype, track):
    """Copies (args, kwargs, leaves): floating tensors in `dtype`; leaves, those that `tracked` names, ask for gradients on request."""

    def new(value):
        if not isinstance(value, torch.Tensor):
            return copy.deepcopy(value)
        return value.to(dtype, copy=True) if value.is_floating_point() else value.clone()

    args, kwargs = [new(v) for v in args], {k: new(v) for k, v in kwargs.items()}
    leaves = [args[k] if isinstance(k, int) else kwargs[k] for k in tracked]
    if track:
        for tensor in leaves:
            tensor.requires_grad_()
    return args, kwargs, leaves


def run(function, args, kwargs, call=None):
    """Call with gradients on, and leave random state and grad mode as they were. A call that draws draws the same again."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(0)
        return call(function, *args, **kwargs) if call else function(*args, **kwargs)


def kept(value):
    """A returned value as it is now, whatever the function does later with what it returned."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(kept, value)) if type(value) in (tuple, list) else [kept(item) for item in value]
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu()
        return plain.clone() if plain.layout == torch.strided else plain.to_dense()
    return value.copy() if isinstance(value, np.ndarray) else value


def in_a_row(value):
    """The items of a tuple, of tuples too, as one vector; anything else as a tensor of its own shape."""
    if isinstance(value, (tuple, list)):
        return torch.cat([in_a_row(item).double().flatten() for item in value])
    return value if isinstance(value, torch.Tensor) else torch.as_tensor(value, dtype=torch.float64)


def gradients_of(value, leaves):
    """Gradients of a fixed random projection of `value`; None where none arrives."""
    if not leaves or not isinstance(value, torch.Tensor) or not value.requires_grad:
        return (None,) * len(leaves)
    generator = torch.Generator().manual_seed(0)
    projection = torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value)
    with torch.enable_grad():  # check may be called under no_grad
        return torch.autograd.grad((value * projection).sum(), leaves, allow_unused=True)


def unchanged(now, before):
    """Whether an input is what it was: type, shape and every entry."""
    if isinstance(before, torch.Tensor):
        same = isinstance(now, torch.Tensor) and now.dtype == before.dtype and now.shape == before.shape
        return same and torch.equal(now, before)
    if isinstance(before, (list, tuple)):
        return type(now) is type(before) and len(now) == len(before) and all(map(unchanged, now, before))
    return type(now) is type(before) and now == before
