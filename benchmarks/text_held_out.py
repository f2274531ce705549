"""Pairs of kind and colour that a text-to-image model never saw: how many can be left out before it fails on them?

    python benchmarks/text_held_out.py [--held 0 3 6 9 12] [--seeds 3] [--steps 4000] [--save]

One training a line: of 18 pairs, such as "blue triangle", HELD are left out of the training pictures; then captions of seen and of
never-seen pairs are drawn at guidance 3, and kind, colour and place are read off the pictures; those of seen ones also on the way. Every kind and every colour stays in the
training set, with other partners. Which pairs are left out, the first weights and the noise depend on the seed.
A training takes about 5 minutes on one core.
"""

import argparse
import itertools
import json
import sys
import time

import torch

import aigc_lessons as al
from aigc_lessons.data.shapes import COLOURS, KINDS, PLACES, WORDS, caption

MEASURE_EVERY = 400  # steps; on captions of the seen pairs


def held_pairs(n, seed):
    """n of the 18 pairs (kind, colour), spread evenly: the sets for smaller n lie inside those for larger n.

    Each row of three is a diagonal of the table of kinds and colours, so that up to 9 pairs leave every colour at least one kind and every
    kind three colours.
    """
    g = torch.Generator().manual_seed(seed)
    kinds, colours = torch.randperm(3, generator=g).tolist(), torch.randperm(6, generator=g).tolist()
    order = [(kinds[(c + shift) % 3], colours[c]) for shift in range(3) for c in range(6)]
    return set(order[:n])


def captions_of(pairs, times):
    """Captions of all these pairs at all places, each `times` times."""
    return [caption(k, c, p) for k, c in sorted(pairs) for p in range(len(PLACES))] * times


def run(held, seed, steps=4_000, minutes=None, guidance_scale=3.0):
    """One training, and what it shows: a dict of numbers."""
    al.seed_everything(seed)
    hidden = held_pairs(held, seed)
    everything = set(itertools.product(range(len(KINDS)), range(len(COLOURS))))
    ds = al.data.load("shapes", n=6_000, seed=0)
    keep = torch.tensor([divmod(label, len(COLOURS)) not in hidden for label in ds.labels.tolist()])
    model = al.models.TextToImage(WORDS)
    began = time.monotonic()
    limit = dict(steps=steps) if minutes is None else dict(minutes=minutes)
    schedule = al.training.cosine(steps, warmup=50)
    watched = captions_of(everything - hidden, 1)

    def so_far(model):
        images = model.sample(captions=watched, seed=2, guidance_scale=guidance_scale, steps=5)
        return {name: share.value for name, share in al.metrics.caption_accuracy(images, watched).items()}

    history = al.fit(
        model,
        ds[keep],
        **limit,
        batch_size=32,
        seed=seed,
        schedule=schedule,
        progress=False,
        measure=so_far,
        measure_every=MEASURE_EVERY,
    )
    row = {"held": held, "seed": seed, "steps": history.steps, "seconds": round(time.monotonic() - began, 1)}
    row["loss"] = round(sum(history.losses["loss"][-100:]) / len(history.losses["loss"][-100:]), 4)
    row["pairs"] = sorted(f"{tuple(COLOURS)[c]} {KINDS[k]}" for k, c in hidden)
    row["measure_every"] = MEASURE_EVERY
    row["learning"] = {name: [round(v, 4) for v in values] for name, values in history.measures.items()}
    for name, pairs in (("seen", everything - hidden), ("never", hidden)):
        if pairs:
            texts = captions_of(pairs, max(1, 540 // (len(pairs) * len(PLACES))))
            images = model.sample(captions=texts, seed=1, guidance_scale=guidance_scale, steps=5)
            row[name] = {k: round(m.value, 4) for k, m in al.metrics.caption_accuracy(images, texts).items()}
            row[name]["n"] = len(texts)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held", type=int, nargs="+", default=[0, 3, 6, 9, 12])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4_000)
    parser.add_argument("--save", action="store_true", help="keep all lines as the record that lesson 32 shows")
    args = parser.parse_args()
    rows = []
    for seed, held in itertools.product(range(args.seeds), args.held):
        rows.append(run(held, seed, args.steps))
        print(json.dumps(rows[-1]), flush=True)
    if args.save:
        al.shipped.save_record("text_held_out", "python " + " ".join(sys.argv), rows)


if __name__ == "__main__":
    main()
