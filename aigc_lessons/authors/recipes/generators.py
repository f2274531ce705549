"""Unconditional generators: lessons 22, 24 and 25."""

from ... import metrics, models
from .recipe import COLOUR, GREY, Recipe, halves, judged, mirrored

SMILEYS = mirrored("emoji", group="faces")


def _bound(model, test):
    log_px, kl = model.bound(test.images)
    return {"test_log_px": log_px.mean().item(), "test_kl": kl.mean().item()}


def _fid(name):
    """score: FID of as many samples as there are test pictures, 1,000 at most, against these, on the judge's features."""

    def score(model, test):
        embed, real = judged(name), test.images[:1_000]
        return {"fid": metrics.fid(embed(model.sample(len(real), seed=1)), embed(real))}

    return score


def _coarse(model, test):
    """For faces there is no classifier: the distance of means of blocks."""
    return {
        "fid_of_blocks": metrics.fid(
            metrics.coarse_pixels(model.sample(1_000, seed=1)), metrics.coarse_pixels(test.images)
        )
    }


def _both(*scores):
    return lambda model, test: {k: v for score in scores for k, v in score(model, test).items()}


RECIPES = {
    "vae-digits": Recipe(
        models.VAE,
        dict(**GREY, latent_dim=8),
        halves("digits"),
        (20, 4_000, 20_000),
        _both(_bound, _fid("digits")),
        full=dict(width=48),
    ),
    "vae-shapes": Recipe(
        models.VAE,
        dict(**COLOUR, latent_dim=16),
        halves("shapes"),
        (20, 4_000, 20_000),
        _both(_bound, _fid("shapes")),
        full=dict(width=48),
    ),
    "vae-faces": Recipe(
        models.VAE, dict(**GREY, latent_dim=16), mirrored("faces"), (20, 3_000, 12_000), _bound, full=dict(width=48)
    ),
    "vae-smileys": Recipe(
        models.VAE,
        dict(**COLOUR, latent_dim=16, beta=2.0),
        SMILEYS,
        (20, 3_000, 12_000),
        _both(_bound, _coarse),
        full=dict(width=48),
    ),
    "dcgan-digits": Recipe(
        models.DCGAN, GREY, halves("digits"), (20, 5_000, 20_000), _fid("digits"), cosine=True, full=dict(width=64)
    ),
    # At 32x32 a DCGAN collapsed on shapes at two learning rates; at 16x16 it trains well (see lesson 24).
    "dcgan-shapes": Recipe(
        models.DCGAN,
        dict(image_shape=(3, 16, 16), lr=4e-4),
        halves("shapes", 16),
        (20, 5_000, 20_000),
        _fid("shapes"),
        cosine=True,
        full=dict(width=64),
    ),
    "dcgan-smileys": Recipe(
        models.DCGAN, dict(**COLOUR, lr=4e-4), SMILEYS, (20, 2_000, 8_000), _coarse, cosine=True, full=dict(width=64)
    ),
    "wgan-digits": Recipe(
        models.WGAN,
        dict(**GREY, width=24),
        halves("digits"),
        (20, 4_000, 20_000),
        _fid("digits"),
        cosine=True,
        full=dict(width=64, critic_steps=5),
    ),
    "wgan-shapes": Recipe(
        models.WGAN,
        dict(image_shape=(3, 16, 16), constraint="spectral", critic_steps=1),
        halves("shapes", 16),
        (20, 5_000, 20_000),
        _fid("shapes"),
        cosine=True,
        full=dict(width=64),
    ),
}
