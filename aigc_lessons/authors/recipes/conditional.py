"""Generators that are conditioned on a class: lesson 31."""

import torch

from ... import metrics, models, shipped
from ...data.carried import EMOJI_CLASSES
from ...data.pixels import resize
from .recipe import COLOUR, GREY, Recipe, halves, judged


def obeys(name, **options):
    """options: of `sample`. score: share of 1,000 samples, the classes in turn, that the judge reads as what was asked for (of shapes kind and colour
    apart too), and their FID against 1,000 test pictures."""

    def score(model, test):
        labels = torch.arange(1_000) % model.n_classes
        samples = model.sample(1_000, seed=1, labels=labels, **options)
        read = shipped(f"classifier-{name}").predict(resize(samples, 32)).argmax(1)
        shares = {"accuracy": read == labels}
        if name == "shapes":
            shares |= {"kind_accuracy": read // 6 == labels // 6, "colour_accuracy": read % 6 == labels % 6}
        embed = judged(name)
        return {k: v.float().mean().item() for k, v in shares.items()} | {
            "fid": metrics.fid(embed(samples), embed(test.images[:1_000]))
        }

    return score


def _recipe(model, name, arguments, steps, batch_size=64, cosine=True, **options):
    """At the full profile wider, and four times as long. options: of the data."""
    classes = {
        "shapes": dict(n_classes=18, **COLOUR),
        "digits": dict(n_classes=10, **GREY),
        "emoji": dict(n_classes=len(EMOJI_CLASSES), **COLOUR),
    }[name]
    return Recipe(
        model,
        {**classes, **arguments},
        halves(name, **options),
        (20, steps, 4 * steps),
        obeys(name),
        batch_size,
        cosine=cosine,
        full=dict(width=48),
    )


RECIPES = {
    "cgan-shapes": _recipe(models.CGAN, "shapes", dict(width=32, ema_decay=0.999), 16_000, 32, cosine=False),
    "projection-shapes": _recipe(
        models.ProjectionGAN, "shapes", dict(width=32, ema_decay=0.999), 12_000, 32, cosine=False
    ),
    # Trained with --seed 1, 0.963 of 5,000 are read as asked for; with seed 0 the same recipe gives 0.937, since its code has a fold
    # where two places meet: what is drawn from there is two faint shapes.
    "cvae-shapes": _recipe(models.CVAE, "shapes", dict(width=32, latent_dim=4, beta=4.0), 16_000, n=40_000),
    "cgan-digits": _recipe(models.CGAN, "digits", dict(width=24), 4_000),
    # With mismatched pairs digits are read as asked for every time, and are less like the data: both are kept (see lesson 31).
    "projection-digits": _recipe(models.ProjectionGAN, "digits", dict(width=24, mismatched=False), 5_000),
    "projection-mismatched-digits": _recipe(models.ProjectionGAN, "digits", dict(width=24), 4_000),
    "projection-emoji": _recipe(
        models.ProjectionGAN, "emoji", dict(width=32, ema_decay=0.999), 16_000, 32, cosine=False
    ),
    "cvae-digits": _recipe(models.CVAE, "digits", dict(width=24, latent_dim=8, beta=2.0), 4_000, cosine=False),
}
