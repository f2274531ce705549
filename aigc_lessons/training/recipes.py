"""How each set of shipped weights is made: `aigc-lessons train NAME --save` runs the recipe of that name."""
import platform
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .. import data, metrics, models
from ..data.bundled import resize
from ..settings import profile, seed_everything, settings
from .loop import fit
from .weights import half_precision, save_weights, shipped


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


def _bound(model, test):
    log_px, kl = model.bound(test.images)
    return {"test_log_px": log_px.mean().item(), "test_kl": kl.mean().item()}


def _fid(features):
    """score: distance of 2,000 samples from the whole data, test pictures included, in the features of `features()`."""
    def score(model, test):
        extract, real = features()
        return {"fid": metrics.fid(extract(model.sample(2_000, seed=1)), extract(real.images))}
    return score


def _judge(name, size=32):
    """The judge's features of pictures of `size`, enlarged to the 32x32 that it knows, and the data at that size."""
    def features():
        judge = shipped(f"classifier-{name}")
        return lambda images: judge.embed(resize(images, 32)), data.load(name, size=size)
    return features


def _coarse_pixels():
    """For faces there is no classifier: pixels averaged over 8x8 blocks, 16 numbers a picture."""
    return lambda images: F.avg_pool2d(images, 8).flatten(1), data.load("faces", size=32)


def _halves(name, size=32):
    return lambda: tuple(data.load(name, size=size, split=s) for s in ("train", "test"))


def _mirrored_faces():
    """Too few to hold any back: 100 faces and their mirror images, and the 100 as test."""
    faces = data.load("faces", size=32)
    return data.ImageSet(torch.cat([faces.images, faces.images.flip(-1)]), name=faces.name, licence=faces.licence), faces


GREY, COLOUR = dict(image_shape=(1, 32, 32)), dict(image_shape=(3, 32, 32))

RECIPES = {
    "classifier-digits": Recipe(models.Classifier, dict(image_shape=(1, 32, 32), n_classes=10, width=16, dropout=0.5, weight_decay=0.1),
                                _halves("digits"), (20, 1_500, 1_500), _accuracy),
    "classifier-shapes": Recipe(models.Classifier, dict(**COLOUR, n_classes=18, width=16), _halves("shapes"), (20, 1_500, 1_500), _accuracy),
    "vae-digits": Recipe(models.VAE, dict(**GREY, latent_dim=16), _halves("digits"), (20, 4_000, 4_000), _bound),
    "vae-shapes": Recipe(models.VAE, dict(**COLOUR, latent_dim=16), _halves("shapes"), (20, 6_000, 6_000), _bound),
    "vae-faces": Recipe(models.VAE, dict(**GREY, latent_dim=16, beta=1.0), _mirrored_faces, (20, 3_000, 3_000), _bound),
    "dcgan-digits": Recipe(models.DCGAN, GREY, _halves("digits"), (20, 5_000, 5_000), _fid(_judge("digits"))),
    # At 32x32 a DCGAN collapsed on shapes at two learning rates; at 16x16 it trains well (see lesson 24).
    "dcgan-shapes": Recipe(models.DCGAN, dict(image_shape=(3, 16, 16), lr=1e-3), _halves("shapes", 16), (20, 5_000, 5_000), _fid(_judge("shapes", 16))),
    "wgan-shapes": Recipe(models.WGAN, dict(image_shape=(3, 16, 16), constraint="spectral", critic_steps=1, lr=1e-3), _halves("shapes", 16),
                          (20, 5_000, 5_000), _fid(_judge("shapes", 16))),
    "dcgan-faces": Recipe(models.DCGAN, GREY, _mirrored_faces, (20, 4_000, 4_000), _fid(_coarse_pixels)),
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
