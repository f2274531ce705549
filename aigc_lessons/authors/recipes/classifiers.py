"""Classifiers: lesson 13's, and the judges of what generators make."""
import torch

from ... import data, metrics, models
from .recipe import COLOUR, GREY, Recipe, halves


def _accuracy(model, test):
    return {"test_accuracy": metrics.accuracy(model.predict, test.images, test.labels).value,
            "feature_rms": model.embed(test.images).square().mean().sqrt().item()}


def _three_textures(split, n):
    sets = [data.texture_domains(t, t, n=n, split=split)[0] for t in data.bundled.TEXTURES]
    return data.ImageSet(torch.cat([ds.images for ds in sets]), torch.arange(3).repeat_interleave(n), classes=data.bundled.TEXTURES,
                         name="textures", licence=sets[0].licence)


RECIPES = {
    "classifier-digits": Recipe(models.Classifier, dict(image_shape=(1, 32, 32), n_classes=10, width=16, dropout=0.5, weight_decay=0.1),
                                halves("digits"), (20, 1_500, 1_500), _accuracy),
    "classifier-shapes": Recipe(models.Classifier, dict(**COLOUR, n_classes=18, width=16), halves("shapes"), (20, 1_500, 1_500), _accuracy),
    "classifier-textures": Recipe(models.Classifier, dict(**GREY, n_classes=3, width=16), lambda: (_three_textures("train", 2_000), _three_textures("test", 500)),
                                  (20, 600, 600), _accuracy),
}
