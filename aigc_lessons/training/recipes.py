"""How each set of shipped weights is made: `aigc-lessons train NAME --save` runs the recipe of that name."""
import platform
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .. import data, metrics, models
from ..settings import profile, seed_everything, settings
from .loop import fit
from .weights import half_precision, save_weights


@dataclass(frozen=True)
class Recipe:
    """model: class in `models`; arguments: for it; data: () -> (train, test); steps: a profile each; score: (model, test) -> {name: number}."""
    model: type
    arguments: dict
    data: Callable
    steps: tuple
    score: Callable


def _accuracy(model, test):
    return {"test_accuracy": metrics.accuracy(model.predict, test.images, test.labels).value}


RECIPES = {
    "classifier-digits": Recipe(models.Classifier, dict(image_shape=(1, 32, 32), n_classes=10, width=16, dropout=0.5, weight_decay=0.1),
                                lambda: tuple(data.load("digits", size=32, split=s) for s in ("train", "test")), (20, 1_500, 1_500), _accuracy),
}


def score(name, model):
    """The measures that the manifest records for `name`, taken anew."""
    return RECIPES[name].score(model, RECIPES[name].data()[1])


def train(name, seed=0, save=False, checkpoint=None):
    """Make the weights `name`. Returns (model, history, metrics). With `save`, they replace the shipped ones."""
    recipe = RECIPES[name]
    seed_everything(seed)
    train_set, test_set = recipe.data()
    model = recipe.model(**recipe.arguments)
    steps = settings(steps=recipe.steps).steps
    history = fit(model, train_set, steps=steps, seed=seed, checkpoint=checkpoint)
    half_precision(model)
    scores = {k: round(v, 5) for k, v in recipe.score(model, test_set).items()}
    if save and not history.interrupted:
        save_weights(model, name, {
            "model": recipe.model.__name__, "arguments": recipe.arguments, "data": train_set.name,
            "command": f"aigc-lessons train {name} --save" + (f" --seed {seed}" if seed else ""), "profile": profile(), "seed": seed,
            "steps": history.steps, "seconds": round(history.seconds, 1), "torch": torch.__version__, "python": platform.python_version(),
            "licence": f"MIT; trained on {train_set.name}: {train_set.licence}", "metrics": scores})
    return model, history, scores
