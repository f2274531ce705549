"""Classifiers: lesson 13's, and the judges of what generators make."""

import torch
from torchvision.transforms.functional import gaussian_blur

from ... import data, metrics, models
from ...data.nonsense import mixtures, nonsense
from .recipe import COLOUR, GREY, Recipe, halves, with_mirror_images

# A judge also learns what is nothing: see Classifier(outlier_weight=).
JUDGE = dict(width=16, dropout=0.2, weight_decay=0.01, outlier_weight=0.5)


def _judge(model, test):
    """Accuracy, the size of the features, and what share of real and of senseless pictures is read with confidence."""
    share = lambda predict, images: metrics.confident_share(predict, images).value
    nothing = nonsense(2_000, model.image_shape, seed=1)
    return {
        "test_accuracy": metrics.accuracy(model.predict, test.images, test.labels).value,
        "feature_rms": model.embed(test.images).square().mean().sqrt().item(),
        "sure_of_real": share(model.predict, test.images),
        "sure_of_nonsense": share(model.predict, nothing),
        "sure_of_mixtures": share(model.predict, mixtures(test.images, test.labels, seed=1)),
    }


def _worn(train, seed=0):
    """Training pictures as they are, with faint noise, and softened.

    Generated pictures are a little grainy or soft. A judge that has seen sharp ones alone calls a red disc with noise of standard
    deviation 0.05 anything but a red disc.
    """
    generator = torch.Generator().manual_seed(seed)
    strength = 0.2 * torch.rand(len(train), 1, 1, 1, generator=generator)
    noisy = (train.images + strength * torch.randn(train.images.shape, generator=generator)).clamp(-1, 1)
    parts = torch.randperm(len(train), generator=generator).chunk(3)
    soft = torch.empty_like(train.images)
    for part, sigma in zip(parts, (0.5, 1.0, 1.5)):
        soft[part] = gaussian_blur(train.images[part], 9, sigma)
    return data.ImageSet(
        torch.cat([train.images, noisy, soft]),
        train.labels.repeat(3),
        classes=train.classes,
        name=train.name,
        licence=train.licence,
    )


def _three_textures(split, n):
    sets = [data.texture_domains(t, t, n=n, split=split)[0] for t in data.bundled.TEXTURES]
    return data.ImageSet(
        torch.cat([ds.images for ds in sets]),
        torch.arange(3).repeat_interleave(n),
        classes=data.bundled.TEXTURES,
        name="textures",
        licence=sets[0].licence,
    )


def _mirrored_emoji():
    """The training emoji and their mirror images; the test emoji as they are."""
    train, test = (data.load("emoji", size=32, split=s) for s in ("train", "test"))
    both = torch.cat([train.images, train.images.flip(-1)])
    return data.ImageSet(
        both, train.labels.repeat(2), classes=train.classes, name=train.name, licence=train.licence
    ), test


RECIPES = {
    "classifier-digits": Recipe(
        models.Classifier,
        dict(**GREY, n_classes=10, **JUDGE),
        halves("digits"),
        (20, 3_000, 12_000),
        _judge,
        cosine=True,
        full=dict(width=32),
        augment=_worn,
    ),
    "classifier-shapes": Recipe(
        models.Classifier,
        dict(**COLOUR, n_classes=18, **JUDGE),
        halves("shapes"),
        (20, 3_000, 12_000),
        _judge,
        cosine=True,
        full=dict(width=32),
        augment=_worn,
    ),
    "classifier-emoji": Recipe(
        models.Classifier,
        dict(**COLOUR, n_classes=15, **{**JUDGE, "dropout": 0.5}),
        halves("emoji"),
        (20, 2_000, 8_000),
        _judge,
        cosine=True,
        full=dict(width=32),
        augment=with_mirror_images,
    ),
    "classifier-textures": Recipe(
        models.Classifier,
        dict(**GREY, n_classes=3, **JUDGE),
        lambda: (_three_textures("train", 2_000), _three_textures("test", 500)),
        (20, 1_000, 4_000),
        _judge,
        cosine=True,
        full=dict(width=32),
    ),
}
