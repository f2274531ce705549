"""A flow that learns a few pictures by heart: the copy test, FID and accuracy while it trains.

    python benchmarks/memorising_flow.py [--data digits] [--n 200] [--steps 2000] [--seeds 3] [--save]

It learns n of the pictures; as many others are held back, and FID is taken against (at most) 1,000 of the rest. What belongs together,
such as variants of one emoji, stays on one side. The same seed divides in the same way. A training of 2,000 steps takes about 3 minutes
on one core.
"""

import argparse
import itertools
import sys
import time

import torch

import aigc_lessons as al

EVERY = 125
MARKS = (125, 250, 500, 1_000, 2_000, 4_000, 6_000, 8_000)


def divided(name, n, seed):
    """Training, held-out and test pictures, at random: ImageSets of n, n and at most 1,000."""
    everything = al.data.load(name)
    groups = everything.groups if everything.groups is not None else torch.arange(len(everything))
    place = torch.randperm(int(groups.max()) + 1, generator=torch.Generator().manual_seed(seed))
    order = place[groups].argsort(stable=True)  # one group after another
    first, second = order[:n], order[n:]
    second = second[~torch.isin(groups[second], groups[first])]
    rest = second[n:]
    rest = rest[~torch.isin(groups[rest], groups[second[:n]])]
    return everything[first], everything[second[:n]], everything[rest[:1_000]]


def measured(model, train, held_out, test, judge, samples=500):
    """{name: number} of a flow's samples."""
    x = model.sample(samples, seed=1).cpu()
    features, logits = (part.cpu() for part in judge(x.to(next(judge.parameters()).device)))
    rate, p = al.metrics.copy_test(x, train.images, held_out.images, 999, torch.Generator().manual_seed(0))
    distances = [al.metrics.nearest(x, part.images)[1].mean().item() for part in (train, held_out)]
    labels = torch.arange(samples) % model.n_classes
    real = judge(test.images.to(next(judge.parameters()).device))[0].cpu()
    return {
        "rate": rate,
        "p": p,
        "fid": al.metrics.fid(features, real),
        "accuracy": (logits.argmax(1) == labels).float().mean().item(),
        "to_train": distances[0],
        "to_held_out": distances[1],
    }


def run(name, n, steps, seed):
    train, held_out, test = divided(name, n, seed)
    judge = al.metrics.Judge(name)
    torch.manual_seed(seed)
    model = al.models.Flow(train.images.shape[1:], len(train.classes))

    def look(model):
        step = EVERY * next(calls)
        if step in MARKS:
            seconds = time.perf_counter() - began
            rows.append({"step": step, "seconds": seconds, **measured(model, train, held_out, test, judge)})
            print(name, n, seed, rows[-1], flush=True)
        return {}

    rows, calls, began = [], itertools.count(1), time.perf_counter()
    al.fit(model, train, steps=steps, batch_size=32, seed=seed, progress=False, measure=look, measure_every=EVERY)
    return {"data": name, "n": n, "seed": seed, "device": al.settings().device.type, "rows": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=("digits", "emoji"), default="digits")
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--save", action="store_true", help="keep the runs as the record that a lesson shows")
    args = parser.parse_args()
    runs = [run(args.data, args.n, args.steps, seed) for seed in range(args.seeds)]
    if args.save:
        al.shipped.save_record(f"memorising_{args.data}", "python " + " ".join(sys.argv), runs)


if __name__ == "__main__":
    main()
