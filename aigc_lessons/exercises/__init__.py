"""Exercises that check themselves: `al.exercises.check("conv2d", conv2d)`."""
import difflib

from . import (
    lesson_11,
    lesson_12,
    lesson_13,
    lesson_21,
    lesson_22,
    lesson_23,
    lesson_24,
    lesson_25,
    lesson_31,
    lesson_41,
    lesson_42,
    lesson_43,
    lesson_44,
    lesson_51,
)
from .engine import judge

__all__ = ["check", "get", "names"]

_LESSONS = (lesson_11, lesson_12, lesson_13, lesson_21, lesson_22, lesson_23, lesson_24, lesson_25, lesson_31, lesson_41,
            lesson_42, lesson_43, lesson_44, lesson_51)
_BANK = {exercise.name: exercise for lesson in _LESSONS for exercise in lesson.EXERCISES}


def names(lesson=None):
    """The names of all exercises, or of one lesson's (12, say), in the order of the course.

    Raises:
        ValueError: no exercise belongs to that lesson.
    """
    found = tuple(name for name, exercise in _BANK.items() if lesson in (None, exercise.lesson))
    if not found:
        lessons = ", ".join(str(number) for number in sorted({e.lesson for e in _BANK.values()}))
        raise ValueError(f"No exercise belongs to lesson {lesson!r}. Lessons with exercises: {lessons}.")
    return found


def get(name):
    """The Exercise of that name.

    Raises:
        TypeError: the name is not a string. ValueError: there is no such exercise.
    """
    if not isinstance(name, str):
        raise TypeError(f"The name of an exercise is a string; got a {type(name).__name__}. "
                        f'Write, for example, check("conv2d", conv2d). There are: {", ".join(_BANK)}.')
    if name not in _BANK:
        near = difflib.get_close_matches(name, _BANK, n=1)
        suggestion = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"There is no exercise {name!r}.{suggestion} There are: {', '.join(_BANK)}.")
    return _BANK[name]


def check(name, function, seed=0):
    """Check an answer: run it on small inputs and say what came out.

    Args:
        name: of the exercise, such as "conv2d".
        function: your answer, the function itself, without brackets.
        seed: draws the random inputs.
    Returns:
        a Result: `outcome` is "correct", "wrong", "not_attempted" or "error". A notebook cell shows its message.
    Raises:
        ValueError: unknown exercise. TypeError: `function` cannot be called.
    """
    exercise = get(name)
    if not callable(function):
        raise TypeError(f'check("{name}", ...) got a {type(function).__name__}, which cannot be called. '
                        f'Pass the function itself, without brackets: check("{name}", {name}).')
    return judge(exercise, function, seed)
