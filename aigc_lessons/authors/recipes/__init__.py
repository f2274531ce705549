"""How each set of shipped weights is made: `aigc-lessons train NAME --save` runs the recipe of that name."""

import platform

import torch

from ...settings import profile, seed_everything, settings
from ...shipped import build, half_precision, save_weights
from ...training import cosine, fit
from . import classifiers, conditional, diffusion, generators, latent, repair, text, translation
from .recipe import Recipe

__all__ = ["LARGER", "RECIPES", "Recipe", "score", "train"]

RECIPES = {
    name: recipe
    for part in (classifiers, generators, conditional, text, repair, translation, diffusion, latent)
    for name, recipe in part.RECIPES.items()
}
LARGER = diffusion.LARGER  # for `benchmarks/full_profile.sh`: they ship no weights


def score(name, model):
    """The measures that the manifest records for `name`, taken anew."""
    return RECIPES[name].score(model, RECIPES[name].data()[1])


def train(name, seed=0, save=False, checkpoint=None):
    """Make the weights `name`. Returns (model, history, metrics). With `save`, they replace the shipped ones."""
    recipe = RECIPES[name] if save else (RECIPES | LARGER)[name]
    seed_everything(seed)
    train_set, test_set = recipe.data()
    arguments = recipe.chosen()
    parts = {argument: build(part) for argument, part in recipe.parts.items()}
    model = recipe.model(**parts, **arguments)
    steps = settings(steps=recipe.steps).steps
    history = fit(
        model,
        recipe.augment(train_set),
        steps=steps,
        seed=seed,
        batch_size=recipe.batch_size,
        schedule=cosine(steps) if recipe.cosine else None,
        checkpoint=checkpoint,
    )
    half_precision(model)
    scores = {k: round(v, 5) for k, v in recipe.score(model, test_set).items()}
    if save and not history.interrupted:
        sets = train_set if isinstance(train_set, tuple) else (train_set,)
        names = " and ".join(dict.fromkeys(ds.name for ds in sets))
        save_weights(
            model,
            name,
            {
                "model": recipe.model.__name__,
                "arguments": arguments,
                "keep": list(recipe.keep),
                **({"parts": recipe.parts} if recipe.parts else {}),
                "data": names,
                "command": f"aigc-lessons train {name} --save" + (f" --seed {seed}" if seed else ""),
                "profile": profile(),
                "seed": seed,
                "steps": history.steps,
                "seconds": round(history.seconds, 1),
                "torch": torch.__version__,
                "python": platform.python_version(),
                "licence": f"MIT; trained on {names}: {sets[0].licence}",
                "metrics": scores,
            },
        )
    return model, history, scores
