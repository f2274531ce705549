"""The exercises, one file a lesson."""

from . import (
    lesson_11,
    lesson_12,
    lesson_13,
    lesson_14,
    lesson_21,
    lesson_22,
    lesson_23,
    lesson_24,
    lesson_25,
    lesson_31,
    lesson_32,
    lesson_41,
    lesson_42,
    lesson_43,
    lesson_44,
    lesson_51,
    lesson_63,
    trained,
)

_LESSONS = (
    lesson_11,
    lesson_12,
    lesson_13,
    lesson_14,
    lesson_21,
    lesson_22,
    lesson_23,
    lesson_24,
    lesson_25,
    lesson_31,
    lesson_32,
    lesson_41,
    lesson_42,
    lesson_43,
    lesson_44,
    lesson_51,
    lesson_63,
    trained,
)
EXERCISES = {exercise.name: exercise for lesson in _LESSONS for exercise in lesson.EXERCISES}
