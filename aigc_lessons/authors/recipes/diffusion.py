"""Flows: lessons 61 to 64."""

from ... import models
from ...data.carried import EMOJI_CLASSES
from .conditional import obeys
from .recipe import COLOUR, GREY, Recipe, halves


def _flow(name, shape, n_classes, steps, guidance_scale):
    """At the full profile wider, and four times as long; scored at the guidance that its lessons use."""
    return Recipe(
        models.Flow,
        dict(**shape, n_classes=n_classes),
        halves(name),
        (20, steps, 4 * steps),
        obeys(name, guidance_scale=guidance_scale),
        batch_size=32,
        cosine=True,
        full=dict(width=64),
    )


RECIPES = {
    "flow-digits": _flow("digits", GREY, 10, 5_000, 1.0),
    "flow-shapes": _flow("shapes", COLOUR, 18, 3_000, 2.0),
    "flow-emoji": _flow("emoji", COLOUR, len(EMOJI_CLASSES), 12_000, 2.0),
}
