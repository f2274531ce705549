"""A flow that learns a few digits by heart: the copy test, FID and accuracy while it trains, by the size of its training set.

    python benchmarks/memorising_flow.py [--n 200] [--steps 4000] [--seeds 3] [--save]

It learns n of the 5,000 digits; as many others are held back, and FID is taken against the 1,000 next ones. The same seed divides the
digits in the same way. A training of 4,000 steps takes about 6 minutes on one core.
"""

import argparse
import itertools
import sys
import time

import torch

import aigc_lessons as al

EVERY = 125
MARKS = (125, 250, 500, 1_000, 2_000, 4_000, 6_000, 8_000)


def divided(n, seed):
    """Training, held-out and test digits, at random: ImageSets of n, n and 1,000."""
    everything = al.data.load("digits")
    order = torch.randperm(len(everything), generator=torch.Generator().manual_seed(seed)).tolist()
    return everything[order[:n]], everything[order[n : 2 * n]], everything[order[2 * n : 2 * n + 1_000]]


def measured(model, train, held_out, test, judge, samples=500):
    """{name: number} of a flow's samples."""
    x = model.sample(samples, seed=1).cpu()
    features, logits = (part.cpu() for part in judge(x.to(next(judge.parameters()).device)))
    rate, p = al.metrics.copy_test(x, train.images, held_out.images, 999, torch.Generator().manual_seed(0))
    distances = [al.metrics.nearest(x, part.images)[1].mean().item() for part in (train, held_out)]
    labels = torch.arange(samples) % 10
    real = judge(test.images.to(next(judge.parameters()).device))[0].cpu()
    return {
        "rate": rate,
        "p": p,
        "fid": al.metrics.fid(features, real),
        "accuracy": (logits.argmax(1) == labels).float().mean().item(),
        "to_train": distances[0],
        "to_held_out": distances[1],
    }


def run(n, steps, seed):
    train, held_out, test = divided(n, seed)
    judge = al.metrics.Judge("digits")
    torch.manual_seed(seed)
    model = al.models.Flow(image_shape=(1, 32, 32), n_classes=10)

    def look(model):
        step = EVERY * next(calls)
        if step in MARKS:
            seconds = time.perf_counter() - began
            rows.append({"step": step, "seconds": seconds, **measured(model, train, held_out, test, judge)})
            print(n, seed, rows[-1], flush=True)
        return {}

    rows, calls, began = [], itertools.count(1), time.perf_counter()
    al.fit(model, train, steps=steps, batch_size=32, seed=seed, progress=False, measure=look, measure_every=EVERY)
    return {"n": n, "seed": seed, "device": al.settings().device.type, "rows": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--steps", type=int, default=4_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--save", action="store_true", help="keep the runs as the record that lesson 52 shows")
    args = parser.parse_args()
    runs = [run(args.n, args.steps, seed) for seed in range(args.seeds)]
    if args.save:
        al.shipped.save_record("memorising_flow", "python " + " ".join(sys.argv), runs)


if __name__ == "__main__":
    main()
