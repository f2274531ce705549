"""Generators that are told a class: lesson 31."""
import torch

from ... import models, shipped
from .recipe import COLOUR, GREY, Recipe, halves


def _told(name):
    """score: share of 1,000 samples, the classes in turn, that the judge reads as what was asked for; of shapes kind and colour apart too."""
    def score(model, test):
        labels = torch.arange(1_000) % model.n_classes
        read = shipped(f"classifier-{name}").predict(model.sample(1_000, seed=1, labels=labels)).argmax(1)
        shares = {"accuracy": read == labels}
        if name == "shapes":
            shares |= {"kind_accuracy": read // 6 == labels // 6, "colour_accuracy": read % 6 == labels % 6}
        return {k: v.float().mean().item() for k, v in shares.items()}
    return score


RECIPES = {
    "cgan-shapes": Recipe(models.CGAN, dict(**COLOUR, n_classes=18, width=24), halves("shapes"), (20, 5_000, 5_000), _told("shapes")),
    "projection-shapes": Recipe(models.ProjectionGAN, dict(**COLOUR, n_classes=18, width=32, ema_decay=0.999, lr=2e-3), halves("shapes"),
                                (20, 12_000, 12_000), _told("shapes"), 32),
    "cvae-shapes": Recipe(models.CVAE, dict(**COLOUR, n_classes=18, width=24), halves("shapes"), (20, 5_000, 5_000), _told("shapes")),
    "cgan-digits": Recipe(models.CGAN, dict(**GREY, n_classes=10, width=16), halves("digits"), (20, 3_000, 3_000), _told("digits")),
    # With mismatched pairs digits are read as asked for every time, and are less like the data: both are kept (see lesson 31).
    "projection-digits": Recipe(models.ProjectionGAN, dict(**GREY, n_classes=10, width=16, lr=1e-3, mismatched=False), halves("digits"),
                                (20, 3_000, 3_000), _told("digits")),
    "projection-mismatched-digits": Recipe(models.ProjectionGAN, dict(**GREY, n_classes=10, width=16, lr=1e-3), halves("digits"),
                                           (20, 3_000, 3_000), _told("digits")),
    "cvae-digits": Recipe(models.CVAE, dict(**GREY, n_classes=10, width=16), halves("digits"), (20, 3_000, 3_000), _told("digits")),
}
