"""Captions to pictures: lesson 32."""

import itertools

import torch

from ... import data, metrics, models
from ...data.shapes import COLOURS, KINDS, PLACES, WORDS, caption
from .recipe import Recipe

NEVER_SEEN = ("blue triangle", "red square", "cyan disc")  # pairs that are left out of the training pictures


def _shapes_without_three_pairs():
    """11,000 pictures or a few less to learn from; 1,000 others, of all pairs, to test on."""
    train, test = data.load("shapes", n=13_000, seed=0), data.load("shapes", n=1_000, seed=1)
    hidden = torch.tensor([train.classes.index(pair) for pair in NEVER_SEEN])
    return train[~torch.isin(train.labels, hidden)], test


def _right(model, test):
    """Shares of pictures that show what their captions say at guidance 3, of pairs that were seen and of those that never were."""
    scores = {}
    for name, wanted, times in (("seen", False, 2), ("never_seen", True, 10)):
        pairs = [
            (k, c)
            for k, c in itertools.product(range(len(KINDS)), range(len(COLOURS)))
            if (f"{tuple(COLOURS)[c]} {KINDS[k]}" in NEVER_SEEN) == wanted
        ]
        captions = [caption(k, c, p) for k, c in pairs for p in range(len(PLACES))] * times
        images = model.sample(captions=captions, seed=1, guidance_scale=3.0, steps=5)
        right = metrics.caption_accuracy(images, captions)
        scores |= {f"{name}_{part}": share.value for part, share in right.items()}
    return scores


RECIPES = {
    "text-shapes": Recipe(
        models.TextToImage,
        dict(vocabulary=WORDS),
        _shapes_without_three_pairs,
        (20, 8_000, 20_000),
        _right,
        batch_size=32,
        cosine=True,
        full=dict(width=48),
    ),
}
