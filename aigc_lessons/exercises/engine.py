"""What an exercise is, and how an answer to it is judged.

The right values are computed first, in float64; only then does the learner's function run, on fresh float32 copies. It
passes if shape, values and gradients agree in every case to 1e-4 of the largest expected value.
"""

import dis
import inspect
import re
import sysconfig
import textwrap
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from .inside import loading, observing, scratch

TOLERANCE = 1e-4  # of the largest expected value
STUB = "{name}: write your answer here"  # what the NotImplementedError of an untouched stub says
SHOWN = 24  # tensors of up to this many elements are printed


@dataclass(frozen=True)
class Case:
    """One call of the function: plain data only (float32 or integer tensors, numbers, lists, None).

    `gradients` names the inputs whose gradients are compared: a position in `args` or a key of `kwargs`.
    """

    label: str
    args: tuple
    kwargs: dict = field(default_factory=dict)
    gradients: tuple = ()


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that learners give: its name, one sentence that names the cause, and the function itself."""

    name: str
    hint: str
    function: Callable | None = None


@dataclass(frozen=True)
class Pair:
    """Two mistakes of one exercise that are often made together, by their names, and the function that makes both."""

    first: str
    second: str
    function: Callable

    def among(self, mistakes):
        """It as one Mistake, which says what both are."""
        first, second = (next(m for m in mistakes if m.name == name) for name in (self.first, self.second))
        return Mistake(f"{first.name}; {second.name}", f"Two at once. {first.hint} {second.hint}", self.function)


@dataclass(frozen=True)
class Exercise:
    """A task with everything that is needed to judge an answer.

    Attributes:
        docstring: what the learner reads: shapes, reduction, units.
        points: for a correct answer; minutes: that it takes about.
        reference: the course's own function; its parameters are the pinned signature.
        cases: seed -> list of Case.
        alternatives: {how: function}, other correct ways of writing it.
        mistakes: tuple of Mistake. pairs: tuple of Pair, of these.
        differentiable: an answer through which no gradient flows is wrong.
        call: (function, *args, **kwargs) -> result, for functions that take what is no plain data: it builds networks and
            optimizers from a case's tensors and calls the function with them. It needs torch alone, and a grader's sandbox runs it.
        read: (what `call` returned, *args, **kwargs) -> what is compared in its place, for what is judged by its properties. A
            grader runs it outside of the sandbox.
        from_scratch: the ATen operators that an answer is to be written without, by name (see inside/scratch.py). The self-check
            says that the values are right, since there is something to learn from them, and that they are graded as wrong.
        parts: what the entries of a result mean that the learner's function does not return itself, but `call` or `read` makes: names,
            nested as the right answer is; a name for a tensor stands for all of it.
    """

    name: str
    lesson: int
    docstring: str
    points: int
    minutes: int
    reference: Callable
    cases: Callable
    alternatives: dict
    mistakes: tuple
    differentiable: bool = False
    call: Callable | None = None
    read: Callable | None = None
    from_scratch: tuple = ()
    parts: tuple = ()
    pairs: tuple = ()

    @property
    def known(self):
        """Every wrong answer that is known: its mistakes, then two of them at once."""
        return *self.mistakes, *(pair.among(self.mistakes) for pair in self.pairs)

    @property
    def signature(self):
        return f"{self.name}{inspect.signature(self.reference)}"


@dataclass(frozen=True, repr=False)
class Result:
    """What came of a check.

    Attributes:
        outcome: "correct", "wrong", "not_attempted" or "error".
        points: earned, all or none.
        mistake, hint: name of the known mistake that the answer equals and its sentence, or None.
        message: the whole report, plain text.
        code: what decided, a word of CODES, whatever the sentences are.
    """

    outcome: str
    points: int
    message: str
    mistake: str | None = None
    hint: str | None = None
    code: str = ""

    def __repr__(self):
        return self.message


@dataclass(frozen=True)
class Expected:
    """A case with its right answer: float64 value, gradients in the order of case.gradients.

    `answer` is what the reference returned: it says whether an int is wanted, or a tuple, whose items `value` holds in a row.
    """

    exercise: Exercise
    case: Case
    answer: object
    value: torch.Tensor
    gradients: tuple

    @property
    def whole(self):
        return isinstance(self.answer, int)


@dataclass(frozen=True)
class Seen:
    """What a function did with a case. `problem`: why its value cannot be compared at all."""

    value: torch.Tensor | None = None
    gradients: tuple = ()
    problem: str | None = None
    error: BaseException | None = None
    damaged: bool = False


class Prepared(list):
    """Expected values, and what each known mistake does with them, once that was asked for."""

    def __init__(self):
        super().__init__()
        self._shown = {}

    def shown(self, mistake):
        if mistake.name not in self._shown:
            self._shown[mistake.name] = [observe(mistake.function, e) for e in self]
        return self._shown[mistake.name]


CHANGES_INPUT = Mistake(
    "changes its input",
    "Your function writes into its own argument; work on a copy, such as x.clone(), or build a new value.",
)
NO_GRADIENT = Mistake(
    "breaks the graph",
    "Your values are right, but no gradient flows back through them: .item(), .detach(), "
    "NumPy and torch.tensor(...) cut the graph.",
)


def prepare(exercise, seed):
    """The exercise's cases for a seed, each with its right answer: Prepared, a list of Expected. No learner's code runs here."""
    with observing.on_the_cpu():
        return _prepare(exercise, seed)


def _prepare(exercise, seed):
    prepared = Prepared()
    for case in exercise.cases(seed):
        args, kwargs, leaves = observing.fresh(case.args, case.kwargs, case.gradients, torch.float64, track=True)
        answer = observing.run(exercise.reference, args, kwargs, exercise.call)
        if exercise.read:
            answer = exercise.read(answer, *args, **kwargs)
        value = observing.in_a_row(answer)
        prepared.append(
            Expected(exercise, case, answer, value.detach().double(), observing.gradients_of(value, leaves))
        )
    return prepared


def observe(function, expected):
    """Run a function on fresh copies of a case's inputs: a Seen."""
    case = expected.case
    return seen_in(
        observing.observe(function, case.args, case.kwargs, case.gradients, expected.exercise.call), expected
    )


def seen_in(observation, expected):
    """What was observed, made comparable with the right answer: a Seen."""
    if observation.error is not None:
        return Seen(error=observation.error)
    value, case, read = observation.value, expected.case, expected.exercise.read
    if read:
        try:
            value = read(value, *case.args, **case.kwargs)
        except Exception:  # a forged record may be anything
            return Seen(problem="what cannot be read")
    value, problem = _as_tensor(value, expected.answer)
    return Seen(value, observation.gradients, problem, None, observation.damaged)


def fault(seen, expected, differentiable):
    """What is wrong with what was seen, in one line; None if all is right."""
    if seen.error is not None:
        return f"It raises {type(seen.error).__name__}."
    if seen.damaged:
        return "It changes its input."
    if seen.problem:
        return f"It returns {seen.problem}."
    if seen.value.shape != expected.value.shape:
        return f"The shape should be {tuple(expected.value.shape)}, and is {tuple(seen.value.shape)}."
    if not (torch.equal(seen.value.double(), expected.value) if expected.whole else _close(seen.value, expected.value)):
        return _difference(seen.value, expected)
    for where, got, want in zip(expected.case.gradients, seen.gradients, expected.gradients):
        which = f"input {where + 1}" if isinstance(where, int) else where
        if got is None and differentiable:
            return f"The value is right, but no gradient reaches {which}."
        if got is not None and not _close(got, want):
            return (
                f"The value is right, the gradient that reaches {which} is not (that of a fixed weighted sum of the result):\n"
                f"  expected {_show(want)}\n  got      {_show(got)}"
            )
    return None


def judge(exercise, function, seed=0):
    """Run `function` on the exercise's cases and compare with the reference: a Result."""
    with observing.on_the_cpu():
        return _judge(exercise, function, prepare(exercise, seed))


def _judge(exercise, function, prepared):
    if _is_empty(function):
        return _not_attempted(exercise)
    misfit = _signature_misfit(exercise, function, prepared)
    if misfit:
        return Result(
            "error",
            0,
            f"{exercise.name}: error. Your function cannot be called as the exercise calls it: {misfit}.\n"
            f"  Its first line should be: def {exercise.signature}:",
            code="signature",
        )
    seen = []
    for expected in prepared:
        seen.append(observe(function, expected))
        error = seen[-1].error
        if is_stub(error, exercise):
            return _not_attempted(exercise)
    result = verdict(exercise, seen, prepared)
    operator = library_call(exercise, function, prepared) if result.outcome == "correct" else None
    return result if operator is None else _by_the_library(exercise, operator)


def is_stub(error, exercise):
    """Whether this is what an answer that was not begun raises."""
    return isinstance(error, NotImplementedError) and str(error) in ("", STUB.format(name=exercise.name))


class _Watching(TorchDispatchMode):
    """While it is entered, it notes the first call of an operator that an answer from scratch is to do without.

    It changes nothing of what is called. What PyTorch makes of smaller operators is seen by the name that Python calls it by.
    """

    def __init__(self, forbidden):
        super().__init__()
        self.forbidden, self.seen = forbidden, None
        self.whole = _WatchingWhole(self, scratch.composites(forbidden))

    def __enter__(self):
        self.whole.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.whole.__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name()
        if name == "aten::convolution" and args[6] and "convolution_transpose" in self.forbidden:
            self.note("convolution_transpose")
        elif not scratch.allowed(name, self.forbidden):
            self.note(scratch.word(name))
        return function(*args, **(kwargs or {}))

    def note(self, name):
        self.seen = self.seen or name


class _WatchingWhole(TorchFunctionMode):
    """Notes for `watching` what is called by one of some names."""

    def __init__(self, watching, names):
        self.watching, self.names = watching, names

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        if name in self.names:
            self.watching.note(scratch.word(name))
        return function(*args, **(kwargs or {}))


def library_call(exercise, function, prepared):
    """The operator that a from-scratch answer calls though a grade refuses it there, or None."""
    function = getattr(function, "_torchdynamo_orig_callable", function)  # what torch.compile was given
    for case in (expected.case for expected in prepared if exercise.from_scratch):
        with _Watching(exercise.from_scratch) as watching:
            observing.observe(function, case.args, case.kwargs, case.gradients, exercise.call)
        if watching.seen:
            return watching.seen
    return None


def verdict(exercise, seen, prepared):
    """What was seen in the cases, compared with what is right: a Result."""
    faults = [fault(s, expected, exercise.differentiable) for s, expected in zip(seen, prepared)]
    if not any(faults):
        return Result(
            "correct",
            exercise.points,
            f"{exercise.name}: correct. {exercise.points} of {exercise.points} points.",
            code="correct",
        )

    known = _diagnose(exercise, seen, prepared)
    named = {"mistake": known.name, "hint": known.hint} if known else {}
    raised = [(s.error, expected.case) for s, expected in zip(seen, prepared) if s.error is not None]
    if raised:
        message = _error_report(exercise, *raised[0]) + (
            f"\n  A known mistake, {known.name!r}: {known.hint}" if known else ""
        )
        return Result("error", 0, message, **named, code=trouble_of(raised[0][0]).code)
    if known:
        message = f"{exercise.name}: wrong. A known mistake, {known.name!r}:\n  {known.hint}"
        return Result("wrong", 0, message, **named, code="known_mistake")
    return Result("wrong", 0, _wrong_report(exercise, seen, prepared, faults), code="wrong")


def trouble_of(error):
    """The loading.Trouble that came with an error, or that it is."""
    return getattr(error, "trouble", None) or loading.of(error, *loading.place(error))


# Comparing


def _as_tensor(value, answer):
    """(tensor, None), or (None, problem) where a learner's return value cannot be compared with the reference's answer."""
    if value is None:
        return None, "None: the return line is missing"
    if isinstance(answer, tuple):
        if not isinstance(value, (tuple, list)) or len(value) != len(answer):
            what = f"{len(value)} values" if isinstance(value, (tuple, list)) else f"a {type(value).__name__}"
            return None, f"{what}, where {len(answer)} values are expected"
        items = [_as_tensor(*pair) for pair in zip(value, answer)]
        for i, ((item, problem), want) in enumerate(zip(items, answer), 1):
            shape = () if isinstance(want, (tuple, int, float)) else want.shape
            if problem or (not isinstance(want, tuple) and item.shape != shape):
                return None, f"as value {i} of {len(answer)} " + (
                    problem or f"shape {tuple(item.shape)}, where {tuple(shape)} is expected"
                )
        return observing.in_a_row([item for item, _ in items]), None
    if isinstance(value, np.generic):
        value = value.item()
    whole = isinstance(answer, int)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return torch.tensor(float(value), dtype=torch.float64), None
        except OverflowError:
            return None, "a number with too many digits"
    accepted = "an int" if whole else "a tensor of floats"
    try:
        tensor = torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value.detach().cpu().clone()
    except (TypeError, AttributeError):
        return None, f"a {type(value).__name__}, where {accepted} is expected"
    if tensor.dtype == torch.bool or tensor.is_complex() or not (whole or tensor.is_floating_point()):
        return None, f"a tensor of {tensor.dtype}, where {accepted} is expected"
    return tensor, None


def _is_empty(function):
    """Whether the body is nothing but a docstring, pass or `...`."""
    if not hasattr(function, "__code__"):
        return False
    code = [i for i in dis.get_instructions(function) if i.opname not in ("RESUME", "NOP")]
    return [i.opname for i in code] in (["LOAD_CONST", "RETURN_VALUE"], ["RETURN_CONST"]) and code[0].argval is None


def _signature_misfit(exercise, function, prepared):
    """Why the function cannot take the arguments of the cases, or None."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # built-in functions have none
        return None
    calls = [(expected.case.args, expected.case.kwargs) for expected in prepared]
    if exercise.call:  # which calls it with the arguments of the reference, in order
        calls = [(tuple(inspect.signature(exercise.reference).parameters), {})]
    for args, kwargs in calls:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            return str(error)
    return None


def _close(got, want):
    """Same shape, and equal to TOLERANCE of the largest finite value wanted (1 if all are 0). NaN equals NaN."""
    if got.shape != want.shape:
        return False
    got, want = got.double(), want.double()
    finite = want[want.isfinite()]
    scale = finite.abs().max().item() if finite.numel() else 0
    same = (got == want) | (got.isnan() & want.isnan()) | ((got - want).abs() <= TOLERANCE * (scale or 1))
    return bool(same.all())


def _alike(a, b):
    """Whether two functions did the same with a case. Gradients count where both have them."""
    if a.error is not None or b.error is not None:
        return type(a.error) is type(b.error)
    if a.problem or b.problem:
        return a.problem == b.problem
    return _close(a.value, b.value) and all(
        _close(g, h) for g, h in zip(a.gradients, b.gradients) if g is not None and h is not None
    )


def _diagnose(exercise, seen, prepared):
    """The known mistake that does in every case what was seen, or None."""
    if all(s.error is not None for s in seen):  # a typing error is no known mistake
        return None
    if any(s.damaged for s in seen):
        return CHANGES_INPUT
    only_gradients = not any(fault(s, e, differentiable=False) for s, e in zip(seen, prepared))
    for mistake in exercise.known:
        shown = prepared.shown(mistake)
        if only_gradients and any(g is not None for m in shown for g in m.gradients):
            continue  # its values are right and its gradients wrong: another thing
        if all(map(_alike, shown, seen)):
            return mistake
    return NO_GRADIENT if only_gradients else None  # nothing is missing but gradients


# Reporting


def _not_attempted(exercise):
    return Result(
        "not_attempted",
        0,
        f"{exercise.name}: not attempted yet. It is worth {exercise.points} points and takes about "
        f"{exercise.minutes} minutes.\n  {exercise.signature}\n{textwrap.indent(exercise.docstring, '  ')}",
        code="empty",
    )


BY_HAND = (
    "This answer is to be written from scratch: with arithmetic, indexing, sums and matrix products. "
    "The same idea in such steps earns the points."
)
# What a learner writes to get an operator that is refused
CALLS = {
    "convolution": "conv2d",
    "convolution_transpose": "conv_transpose2d",
    "max_pool2d_with_indices": "max_pool2d",
    "adaptive_max_pool2d": "adaptive_max_pool2d",
    "max_pool3d_with_indices": "max_pool3d",
    "grid_sampler_2d": "grid_sample",
    "nll_loss_forward": "cross_entropy or nll_loss",
    "nll_loss2d_forward": "cross_entropy or nll_loss",
}
SENTENCES = {
    "syntax": "cannot be read{says}",
    "missing_module": "there is no module{name} where this is graded",
    "unknown_name": "the name{name} is not defined",
    "unknown_annotation": "an annotation names{name}, which is not defined; it was ignored",
    "no_attribute": "something is asked for its attribute{name}, which it does not have",
    "course": "it uses aigc_lessons, which is not there where answers are graded: an answer stands on its own",
    "library_call": "you call{name}, a library call, where the answer is to be written from scratch",
    "signature": "the exercise calls it in another way{name}",
    "exit": "it ends the program (sys.exit, exit or quit)",
    "time": "it gave no answer in time and was stopped; the rest of the file counts",
    "ended": "the process ended there; the rest of the file counts",
    "empty": "the answer is still the empty one",
    "raises": "it raises {plain}",
}


def sentence(trouble):
    """What a loading.Trouble says to a learner, without where."""
    name = CALLS.get(trouble.name, trouble.name) if trouble.code == "library_call" else trouble.name
    quoted = f" {name}" if trouble.code == "library_call" else f" {name!r}"
    if trouble.code == "signature":
        quoted = f", with an argument {name!r} that it does not take"
    return SENTENCES[trouble.code].format(
        name=quoted if name else "", says=f": {trouble.says}" if trouble.says else "", plain=name or "an exception"
    )


def where(trouble, script=False):
    """Where in the learner's file it is: "cell 3, line 5", of a script "line 5", or ""."""
    cell = f"cell {trouble.cell}" if trouble.cell and not script else ""
    return ", ".join(filter(None, (cell, f"line {trouble.line}" if trouble.line else "")))


def of_a_cell(trouble, script=False):
    """One sentence on a cell of the learner's own that did not run, or not as a whole."""
    if trouble.code != "syntax":
        return f"{where(trouble, script) or 'one cell'}: {sentence(trouble)}."
    at = f" (line {trouble.line})" if trouble.line and not script else ""
    return f"{where(replace(trouble, line=trouble.line * script), script) or 'the code'} {sentence(trouble)}{at}."


def _by_the_library(exercise, operator):
    called = CALLS.get(operator, operator)
    message = (
        f"{exercise.name}: the values are right, but this is graded as wrong: you call {called}. {BY_HAND} "
        f"0 of {exercise.points} points in a grade."
    )
    return Result("correct", 0, message, "library call", f"You call {called}. {BY_HAND}", code="library_call")


def _error_report(exercise, error, case):
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", f"{type(error).__name__}: {error}")
    trouble = trouble_of(error)
    named = "" if trouble.code == "raises" else f"\n  In other words: {sentence(trouble)}."
    return f"{exercise.name}: error in the case {case.label!r}.\n{_own_line(error)}  {text}{named}"


def _own_line(error):
    """The last line of the learner's own that was running; '' if there is none."""
    libraries = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename).resolve()
        if not any(path.is_relative_to(folder) for folder in (*libraries, Path(__file__).resolve().parents[1])):
            return f"  line {frame.lineno}: {frame.line}\n"
    return ""


def _wrong_report(exercise, seen, prepared, faults):
    failing = [(e, s, f) for e, s, f in zip(prepared, seen, faults) if f]
    expected, got, reason = min(failing, key=lambda entry: _size(entry[0].case))
    case = expected.case
    parameters = list(inspect.signature(exercise.reference).parameters)
    if exercise.call:
        parameters = list(inspect.signature(exercise.call).parameters)[1:]
    inputs = dict(zip(parameters, case.args)) | case.kwargs
    if not inputs:  # a number was asked for, and nothing else: it is not to be told
        told = reason if got.problem else f"It returns {_show(got.value)}, which is not the answer."
        return f"{exercise.name}: wrong. {told}"
    lines = [
        f"{exercise.name}: wrong in {len(failing)} of {len(prepared)} cases. The smallest one that fails: {case.label}",
        *(f"  {name} = {_show(value)}" for name, value in inputs.items()),
        f"  expected {_show(expected.value)}",
        *([] if got.problem else [f"  got      {_show(got.value)}"]),
        f"  {reason}",
    ]
    return "\n".join(lines)


def _size(case):
    """Number of elements in a case's inputs."""
    return sum(
        v.numel() if isinstance(v, torch.Tensor) else len(v) if isinstance(v, list) else 1
        for v in (*case.args, *case.kwargs.values())
    )


def _show(value):
    """A value as text: numbers to 4 digits, tensors of more than SHOWN elements by their shape."""
    if isinstance(value, (list, tuple)):
        left, right = "[]" if isinstance(value, list) else "()"
        return left + ", ".join(map(_show, value)) + right
    if not isinstance(value, torch.Tensor):
        return f"{value:.4g}" if isinstance(value, float) else str(value)
    if value.numel() > SHOWN:
        return f"tensor of shape {tuple(value.shape)}"
    return _show(value.tolist()) + (f", shape {tuple(value.shape)}" if value.ndim else "")


def _difference(got, expected):
    """Where two tensors of one shape differ most, in one line, and what that entry is where the learner did not return it."""
    want = expected.value
    gap = (got.double() - want).abs().nan_to_num(nan=torch.inf, posinf=torch.inf)
    where = np.unravel_index(int(gap.argmax()), tuple(gap.shape))
    index = "[" + ", ".join(str(int(i)) for i in where) + "]" if want.ndim else ""
    here = tuple(int(i) for i in where)
    line = (
        f"The largest difference: result{index} should be {_show(want[here].item())}, and is {_show(got[here].item())}."
    )
    if not isinstance(expected.answer, tuple) and not expected.exercise.parts:
        return line
    return f"{line}\n  That is {_part(expected.answer, expected.exercise.parts, here[0])}."


def _part(answer, parts, index):
    """What entry `index` of an answer in a row is: by the exercise's names, or as "value 2 of 2"."""
    if not isinstance(answer, tuple):
        entries = answer.numel() if isinstance(answer, torch.Tensor) else 1
        if isinstance(parts, tuple):
            return parts[index]
        return (
            f"{parts} [{', '.join(str(int(i)) for i in np.unravel_index(index, tuple(answer.shape)))}]"
            if entries > 1
            else parts
        )
    names = parts or tuple(f"value {i} of {len(answer)}" for i in range(1, len(answer) + 1))
    for item, name in zip(answer, names):
        length = observing.in_a_row(item).numel()
        if index < length:
            inner = "" if not parts and isinstance(item, tuple) else name
            return _part(item, inner, index) if inner else f"{name}, {_part(item, (), index)}"
        index -= length
    return "beyond the answer"
