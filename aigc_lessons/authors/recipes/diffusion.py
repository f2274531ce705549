"""Flows: lessons 61 to 64."""

import torch

from ... import metrics, models
from ...data.carried import EMOJI_CLASSES
from ...settings import settings
from .conditional import obeys
from .recipe import COLOUR, GREY, Recipe, halves, judged


def _flow(name, shape, n_classes, steps, guidance_scale):
    """At the full profile wider, and four times as long; scored at the guidance that its lessons use."""
    return Recipe(
        models.Flow,
        dict(**shape, n_classes=n_classes),
        halves(name),
        (20, steps, 4 * steps),
        obeys(name, guidance_scale=guidance_scale),
        batch_size=32,
        cosine=True,
        full=dict(width=64),
    )


RECIPES = {
    "flow-digits": _flow("digits", GREY, 10, 5_000, 1.0),
    "flow-shapes": _flow("shapes", COLOUR, 18, 12_000, 2.0),
    "flow-emoji": _flow("emoji", COLOUR, len(EMOJI_CLASSES), 12_000, 2.0),
}


def _emoji_at_64(model, test):
    """At guidance 2, the groups in turn: share read as asked for, FID against the test pictures, and the copy test's share (lesson 52).

    The judge looks at 32x32 pixels. Few of the 1,100 training pictures are needed for a network of this size to learn them by heart.
    """
    n = min(settings(samples=(20, 100, 1_000)).samples, len(test))
    labels = torch.arange(n) % model.n_classes
    samples = model.sample(n, seed=1, labels=labels, guidance_scale=2.0, steps=settings(asked=(1, 5, 10)).asked)
    embed, train = judged("emoji"), LARGER["flow-emoji-64"].data()[0]
    rate, _ = metrics.copy_test(samples, train.images[:n], test.images[:n], 99, torch.Generator().manual_seed(0))
    read = metrics.Judge("emoji")(samples)[1].argmax(1)
    return {
        "accuracy": (read == labels).float().mean().item(),
        "fid": metrics.fid(embed(samples), embed(test.images)),
        "copies": rate,
    }


# For an accelerator alone, and not among the weights that ship: `benchmarks/full_profile.sh OUT 10 flow-emoji-64`. Sized by multiplication,
# as `python benchmarks/full_profile.py --size flow-emoji-64` prints it: 17.1 GFLOP a picture, forward and backward, times 64 pictures,
# times 20,000 steps, is 22 PFLOP, which take ten minutes at 37 TFLOP/s.
LARGER = {
    "flow-emoji-64": Recipe(
        models.Flow,
        dict(image_shape=(3, 64, 64), n_classes=len(EMOJI_CLASSES), width=16, multipliers=(1, 2, 2, 2)),
        halves("emoji", size=64),
        (2, 3_000, 20_000),
        _emoji_at_64,
        batch_size=64,
        cosine=True,
        full=dict(width=128, ema_decay=0.999, lr=5e-4),
    ),
}
