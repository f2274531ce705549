"""Flows: lessons 61 to 64."""

from ... import models
from .conditional import obeys
from .recipe import GREY, Recipe, halves

RECIPES = {
    "flow-digits": Recipe(
        models.Flow,
        dict(**GREY, n_classes=10),
        halves("digits"),
        (20, 2_500, 20_000),
        obeys("digits"),
        batch_size=32,
        cosine=True,
        full=dict(width=64),
    ),
}
