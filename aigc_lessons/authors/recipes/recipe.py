"""What a recipe is, and what the recipes of several parts share."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from ... import data, shipped
from ...data.pixels import resize
from ...settings import profile

GREY, COLOUR = dict(image_shape=(1, 32, 32)), dict(image_shape=(3, 32, 32))


@dataclass(frozen=True)
class Recipe:
    """How one set of shipped weights is made.

    Attributes:
        model: class in `models`. arguments: for it; full: what the full profile changes in them.
        data: () -> (train, test), for translation each a pair of domains.
        steps: for smoke, laptop and full. batch_size, cosine: of `fit`.
        score: (model, test) -> {name: number}.
        keep: networks that are shipped although no picture is made with them.
        augment: (train) -> the pictures that it is trained on, where they are more than those of `data`.
        parts: {argument: name of the shipped weights that it is given}, for a model that builds on a trained one.
    """

    model: type
    arguments: dict
    data: Callable
    steps: tuple
    score: Callable
    batch_size: int = 64
    cosine: bool = False
    full: dict = field(default_factory=dict)
    keep: tuple = ()
    augment: Callable = lambda train: train
    parts: dict = field(default_factory=dict)

    def chosen(self):
        """The model's arguments under the profile in force."""
        return {**self.arguments, **(self.full if profile() == "full" else {})}


def halves(name, size=32, **options):
    return lambda: tuple(data.load(name, size=size, split=s, **options) for s in ("train", "test"))


def with_mirror_images(train):
    """Training pictures and their mirror images."""
    return data.ImageSet(
        torch.cat([train.images, train.images.flip(-1)]),
        train.labels.repeat(2),
        classes=train.classes,
        name=train.name,
        licence=train.licence,
    )


def mirrored(name, **options):
    """Too few to hold any back: all pictures and their mirror images, and the pictures themselves as test."""

    def load():
        ds = data.load(name, size=32, **options)
        return data.ImageSet(torch.cat([ds.images, ds.images.flip(-1)]), name=ds.name, licence=ds.licence), ds

    return load


def judged(name):
    """function: pictures of any size -> the features of the judge for `name`, which looks at 32x32."""
    judge = shipped(f"classifier-{name}")
    return lambda images: judge.embed(resize(images, 32))
