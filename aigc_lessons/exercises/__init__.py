"""Exercises that check themselves: `al.exercises.check("conv2d", conv2d)`."""

import difflib

from .banks import EXERCISES
from .engine import judge

__all__ = ["check", "get", "names"]


def names(lesson=None):
    """The names of all exercises, or of one lesson's (12, say), in the order of the course.

    Raises:
        ValueError: no exercise belongs to that lesson.
    """
    found = tuple(name for name, exercise in EXERCISES.items() if lesson in (None, exercise.lesson))
    if not found:
        lessons = ", ".join(str(number) for number in sorted({e.lesson for e in EXERCISES.values()}))
        raise ValueError(f"No exercise belongs to lesson {lesson!r}. Lessons with exercises: {lessons}.")
    return found


def get(name):
    """The Exercise of that name.

    Raises:
        TypeError: the name is not a string. ValueError: there is no such exercise.
    """
    if not isinstance(name, str):
        raise TypeError(
            f"The name of an exercise is a string; got a {type(name).__name__}. "
            f'Write, for example, check("conv2d", conv2d). There are: {", ".join(EXERCISES)}.'
        )
    if name not in EXERCISES:
        near = difflib.get_close_matches(name, EXERCISES, n=1)
        suggestion = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"There is no exercise {name!r}.{suggestion} There are: {', '.join(EXERCISES)}.")
    return EXERCISES[name]


def check(name, function, seed=0):
    """Check an answer: run it on small inputs and say what came out.

    Args:
        name: of the exercise, such as "conv2d".
        function: your answer, the function itself, without brackets.
        seed: draws the random inputs.
    Returns:
        a Result: `outcome` is "correct", "wrong", "not_attempted" or "error". A notebook cell shows its message. A library call that a
        from-scratch exercise is to do without is "correct" by its values and earns no points; `code` is then "library_call".
    Raises:
        ValueError: unknown exercise. TypeError: `function` cannot be called.
    """
    exercise = get(name)
    if not callable(function):
        raise TypeError(
            f'check("{name}", ...) got a {type(function).__name__}, which cannot be called. '
            f'Pass the function itself, without brackets: check("{name}", {name}).'
        )
    return judge(exercise, function, seed)
