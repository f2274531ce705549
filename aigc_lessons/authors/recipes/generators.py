"""Generators that are told nothing: lessons 22, 24 and 25."""
import torch

from ... import data, metrics, models, shipped
from ...data.pixels import resize
from .recipe import COLOUR, GREY, Recipe, halves


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
    """For faces there is no classifier."""
    return metrics.coarse_pixels, data.load("faces", size=32)


def _mirrored_faces():
    """Too few to hold any back: 100 faces and their mirror images, and the 100 as test."""
    faces = data.load("faces", size=32)
    return data.ImageSet(torch.cat([faces.images, faces.images.flip(-1)]), name=faces.name, licence=faces.licence), faces


RECIPES = {
    "vae-digits": Recipe(models.VAE, dict(**GREY, latent_dim=16), halves("digits"), (20, 4_000, 4_000), _bound),
    "vae-shapes": Recipe(models.VAE, dict(**COLOUR, latent_dim=16), halves("shapes"), (20, 6_000, 6_000), _bound),
    "vae-faces": Recipe(models.VAE, dict(**GREY, latent_dim=16, beta=1.0), _mirrored_faces, (20, 3_000, 3_000), _bound),
    "dcgan-digits": Recipe(models.DCGAN, GREY, halves("digits"), (20, 5_000, 5_000), _fid(_judge("digits"))),
    # At 32x32 a DCGAN collapsed on shapes at two learning rates; at 16x16 it trains well (see lesson 24).
    "dcgan-shapes": Recipe(models.DCGAN, dict(image_shape=(3, 16, 16), lr=1e-3), halves("shapes", 16), (20, 5_000, 5_000), _fid(_judge("shapes", 16))),
    "wgan-shapes": Recipe(models.WGAN, dict(image_shape=(3, 16, 16), constraint="spectral", critic_steps=1, lr=1e-3), halves("shapes", 16),
                          (20, 5_000, 5_000), _fid(_judge("shapes", 16))),
    "dcgan-faces": Recipe(models.DCGAN, GREY, _mirrored_faces, (20, 4_000, 4_000), _fid(_coarse_pixels)),
}
