"""Exercises in which something is trained. What is handed in are weights, which are measured on data drawn anew.

Checking such an exercise also hands it in: the report that stands below the cell holds the weights, so that the notebook is still all
that a learner sends. Whoever grades reads them there, and runs nothing of the learner's.
"""

import base64
import binascii
import html
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import torch
from safetensors.torch import load, save
from torch import nn

from .engine import Result, is_stub, sentence, trouble_of

LARGEST = 2_000_000  # bytes of weights, in half precision
KINDS = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)
HELD = re.compile(r'<div data-exercise="(\w+)" data-weights="([A-Za-z0-9+/=]*)"')


@dataclass(frozen=True)
class Training:
    """A task: train a network of this architecture until it reaches the target.

    Attributes:
        docstring: what the learner reads: architecture, data, target. points: for reaching it; minutes: that it takes about.
        build: () -> an untrained model. part: the submodule that is handed in, such as "decoder"; "" for all of it.
        measure: (model, seed) -> float, on data drawn with the seed. unit: what it measures, such as "accuracy".
        target: what must be reached. higher: whether more is better.
    """

    name: str
    lesson: int
    docstring: str
    points: int
    minutes: int
    build: Callable
    part: str
    measure: Callable
    unit: str
    target: float
    higher: bool

    def network(self, model):
        return model.get_submodule(self.part)

    def reached(self, value):
        return value >= self.target if self.higher else value <= self.target


@dataclass(frozen=True, repr=False)
class HandedIn(Result):
    """A Result that holds the weights it speaks of, for whoever reads the notebook."""

    name: str = ""
    weights: bytes = b""

    def _repr_mimebundle_(self, include=None, exclude=None):
        blob = base64.b64encode(self.weights).decode()
        shown = f'<div data-exercise="{self.name}" data-weights="{blob}"><pre>{html.escape(self.message)}</pre></div>'
        return {"text/plain": self.message, "text/html": shown}


def check_training(exercise, answer, seed=0):
    """Measure what was trained, and make its weights ready to be handed in: a HandedIn, or a Result that says what is amiss.

    answer: a function without arguments that trains and returns the model, or the trained model itself, or the state_dict() of the
        part that is asked for, or weights that were handed in.
    """
    if isinstance(answer, bytes):
        return judge_training(exercise, answer, seed)
    try:
        if callable(answer) and not isinstance(answer, nn.Module):
            answer = answer()
        weights = packed(exercise, answer)
    except ValueError as error:
        return _error(exercise, str(error))
    except Exception as error:  # the learner's training
        if is_stub(error, exercise):
            return not_attempted(exercise)
        return _error(
            exercise, f"The training ends with {type(error).__name__}: {error}\n  {sentence(trouble_of(error))}."
        )
    result = judge_training(exercise, weights, seed)
    given = (result.outcome, result.points, result.message)
    return HandedIn(*given, code=result.code, name=exercise.name, weights=weights)


def not_attempted(exercise):
    """The Result where nothing was handed in."""
    return Result(
        "not_attempted",
        0,
        f"{exercise.name}: not attempted yet. It is worth {exercise.points} points and takes about "
        f"{exercise.minutes} minutes.\n{textwrap.indent(exercise.docstring, '  ')}",
        code="empty",
    )


def _error(exercise, reason):
    return Result("error", 0, f"{exercise.name}: error. {reason}", code="raises")


def judge_training(exercise, weights, seed):
    """The Result of weights that were handed in, as bytes. Nothing in them is run; a forged file is an error."""
    try:
        model = loaded(exercise, weights)
    except ValueError as error:
        return _error(exercise, str(error))
    try:
        value = exercise.measure(model, seed)
    except Exception as error:  # numbers that no training gives make any of its steps fail
        kind = type(error).__name__
        return _error(exercise, f"The weights cannot be measured ({kind}). Train again, with a smaller learning rate.")
    asked = f"at {'least' if exercise.higher else 'most'} {exercise.target:g}"
    told = f"On data drawn anew: {exercise.unit} {value:.4g}; asked is {asked}."
    if exercise.reached(value):
        earned = f"{exercise.points} of {exercise.points} points."
        return Result("correct", exercise.points, f"{exercise.name}: correct. {told} {earned}", code="correct")
    hint = "Train longer, or look for what holds it back."
    return Result("wrong", 0, f"{exercise.name}: not there yet. {told} {hint}", code="wrong")


def packed(exercise, answer):
    """The weights of an answer as a safetensors file in half precision. Raises ValueError with a sentence for the learner."""
    if isinstance(answer, nn.Module):
        whole = set(answer.state_dict()) == set(exercise.build().state_dict())
        answer = (exercise.network(answer) if whole else answer).state_dict()
    if not isinstance(answer, dict) or not all(isinstance(t, torch.Tensor) for t in answer.values()):
        raise ValueError(
            f"It got a {type(answer).__name__}. Accepted: a function that trains and returns the model, the model, or its state_dict()."
        )
    plain = {k: t.detach().cpu().contiguous().clone() for k, t in answer.items()}
    weights = save({k: t.half() if t.is_floating_point() else t for k, t in plain.items()})
    loaded(exercise, weights)
    return weights


def loaded(exercise, weights):
    """The model with these weights, in eval mode. Raises ValueError where they are not of its architecture, or not finite."""
    if len(weights) > LARGEST:
        raise ValueError(f"The weights have {len(weights):,} bytes; accepted are {LARGEST:,}.")
    try:
        tensors = load(weights)
    except Exception as error:  # whatever a forged file makes the parser raise
        raise ValueError(
            f"The weights cannot be read ({type(error).__name__}). Run the check again, and save."
        ) from None
    model = exercise.build().eval()
    network = exercise.network(model)
    wanted = {k: tuple(t.shape) for k, t in network.state_dict().items()}
    got = {k: tuple(t.shape) for k, t in tensors.items()}
    if got != wanted:
        differing = sorted(k for k in wanted.keys() | got.keys() if wanted.get(k) != got.get(k))
        first = differing[0][:80]
        raise ValueError(
            f"The weights are not of the architecture asked for: {len(differing)} tensors differ, such as {first!r}: "
            f"{got.get(differing[0], 'absent')} where {wanted.get(differing[0], 'nothing')} is expected."
        )
    if not all(t.dtype in KINDS for t in tensors.values()):
        raise ValueError("The weights hold numbers of another kind. Accepted: floating point.")
    if not all(t.isfinite().all() for t in tensors.values()):
        raise ValueError(
            "The weights hold infinities or NaN: the training diverged. Train again with a smaller learning rate."
        )
    network.load_state_dict(tensors)
    return model


def handed_in(markup):
    """{exercise's name: weights as bytes} in the HTML of a notebook's outputs; the last of a name counts."""
    found = {}
    for name, blob in HELD.findall(markup):
        try:
            found[name] = base64.b64decode(blob, validate=True) if len(blob) <= 2 * LARGEST else b""
        except binascii.Error:
            found[name] = b""
    return found
