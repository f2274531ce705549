"""What restores pictures and fills holes: lessons 41 and 42."""

import torch

from ... import data, metrics, models, ops
from .recipe import Recipe


def _photo_patches():
    """Patches of the training photos that may overlap; tiles of the test photos."""
    return data.load("photos", size=64, split="train", n=1_000), data.load("photos", size=64, split="test")


def _small_photos():
    """The same at half size, where a pixel holds more detail."""
    return data.load("photos", size=48, split="train", n=1_000, shrink=2), data.load(
        "photos", size=48, split="test", shrink=2
    )


def _half_the_faces():
    """80 faces and their mirror images to learn from, 20 to test on."""
    train, test = data.load("faces", size=32).split(test=0.2, seed=0)
    return data.ImageSet(torch.cat([train.images, train.images.flip(-1)]), name=train.name, licence=train.licence), test


def _denoised(model, test):
    noise = torch.randn(test.images.shape, generator=torch.Generator().manual_seed(0))
    return {
        f"psnr_at_{sigma}": metrics.psnr_each(model.restore(ops.add_noise(test.images, sigma, noise)), test.images)
        .mean()
        .item()
        for sigma in (15, 25, 50)
    }


def _enlarged(model, test):
    return {"psnr": metrics.psnr_each(model.restore(ops.downscale(test.images)), test.images).mean().item()}


def _filled(model, test):
    mask = data.draw_masks("strokes", len(test), test.images.shape[-1], hole=0.3, seed=0)
    return {"psnr_in_hole": metrics.psnr_each(model.restore(test.images, mask), test.images, 1 - mask).mean().item()}


def _inpainter(images, arguments):
    return Recipe(models.Inpainter, arguments, images, (20, 2_000, 20_000), _filled, 16, full=dict(width=48))


RECIPES = {
    "denoiser-photos": Recipe(
        models.Denoiser,
        dict(channels=3, width=24),
        _small_photos,
        (20, 30_000, 60_000),
        _denoised,
        8,
        cosine=True,
        full=dict(width=44),
    ),
    "super-resolver-photos": Recipe(
        models.SuperResolver,
        dict(channels=3, width=24),
        _small_photos,
        (20, 6_000, 40_000),
        _enlarged,
        8,
        cosine=True,
        full=dict(width=44),
    ),
    "inpainter-photos": _inpainter(_photo_patches, dict(channels=3, width=16)),
    "inpainter-partial-photos": _inpainter(_photo_patches, dict(channels=3, width=16, partial=True)),
    "inpainter-adversarial-photos": _inpainter(_photo_patches, dict(channels=3, width=16, adversarial_weight=0.02)),
    "inpainter-faces": _inpainter(_half_the_faces, dict(channels=1, width=12)),
}
