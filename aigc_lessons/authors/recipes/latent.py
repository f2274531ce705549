"""Latents and codes: lesson 64."""

from ... import metrics, models
from ...data.carried import EMOJI_CLASSES
from ...latents import codebook_perplexity
from .conditional import obeys
from .recipe import GREY, Recipe, halves, judged, with_mirror_images


def _rebuilt(name):
    """score: how near pictures come back, by PSNR and by FID on the judge's features: no sample of what follows is better than that."""

    def score(model, test):
        real, embed = test.images[:1_000], judged(name)
        made = model.rebuild(real)
        scores = {
            "psnr": metrics.psnr_each(made, real).mean().item(),
            "rebuilt_fid": metrics.fid(embed(made), embed(real)),
        }
        if isinstance(model, models.VQ):
            scores["perplexity"] = codebook_perplexity(model.encode(real), model.entries).item()
        return scores

    return score


EMOJI_64 = halves("emoji", 64)

RECIPES = {
    "autoencoder-emoji": Recipe(
        models.Autoencoder,
        dict(image_shape=(3, 64, 64)),
        EMOJI_64,
        (20, 2_000, 20_000),
        _rebuilt("emoji"),
        batch_size=32,
        cosine=True,
        full=dict(width=64),
        augment=with_mirror_images,
    ),
    "latent-flow-emoji": Recipe(
        models.LatentFlow,
        dict(n_classes=len(EMOJI_CLASSES)),
        EMOJI_64,
        (20, 6_000, 60_000),
        obeys("emoji", guidance_scale=2.0),
        batch_size=32,
        cosine=True,
        full=dict(width=64),
        parts=dict(autoencoder="autoencoder-emoji"),
    ),
    "vq-digits": Recipe(
        models.VQ,
        dict(**GREY, width=24),
        halves("digits"),
        (20, 1_500, 10_000),
        _rebuilt("digits"),
        cosine=True,
        full=dict(width=48),
    ),
}
