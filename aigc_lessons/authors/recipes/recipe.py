"""What a recipe is, and what the recipes of several parts share."""
from collections.abc import Callable
from dataclasses import dataclass

from ... import data

GREY, COLOUR = dict(image_shape=(1, 32, 32)), dict(image_shape=(3, 32, 32))


@dataclass(frozen=True)
class Recipe:
    """model: class in `models`; arguments: for it; data: () -> (train, test), for translation each a pair of domains; steps: a
    profile each; score: (model, test) -> {name: number}; batch_size, cosine: of `fit`."""
    model: type
    arguments: dict
    data: Callable
    steps: tuple
    score: Callable
    batch_size: int = 64
    cosine: bool = False


def halves(name, size=32):
    return lambda: tuple(data.load(name, size=size, split=s) for s in ("train", "test"))
