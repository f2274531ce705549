"""Line art to colour at 32 pixels: which loss, which patch, which bridges? The record that lesson 43 draws.

    python benchmarks/pix2pix_arms.py [--parts rates arms] [--seeds 3] [--steps 800] [--save]

One training a line, scored over the coloured part of emoji that no training has seen. All trainings share width, batch, steps, dropout and
cosine; in each part one thing differs.

    rates    each loss at three learning rates, 400 steps, one seed, scored on emoji held out of the training half. Each loss keeps the rate
             of the smallest colour error (the same effort for each).
    arms     L1, adversarial, both: at the rate found. patches: both losses, with a discriminator of 16, 34 and 70 pixels.
    skips    L1, trained with all bridges, without one of them, and without any.

The record holds the first two parts; the others take about 15 minutes more. With --save a training that the record holds already is not run again, so a run that was cut off goes on. A training takes about a minute.
"""

import argparse
import itertools
import json
import time

import torch

import aigc_lessons as al

NAME = "pix2pix_arms"
ARMS = {"l1": dict(adversarial=False), "adversarial": dict(l1_weight=0.0), "both": dict(l1_weight=10.0)}
RATES = (2.5e-4, 5e-4, 1e-3)
SKIPS = ((0, 1, 2), (1, 2), (0, 2), (0, 1), ())
RATE_STEPS = 400
DETERMINED = ("faces", "hearts", "hands")  # groups most of whose pictures have one colour


def scores(net, lines, true, labels, classes, common):
    """What one translator does to held-out line art: numbers over the coloured part, and of all pictures together."""
    drawn, where = net.translate(lines), al.metrics.coloured(true, lines)
    error = (drawn - true).abs().mean(1, keepdim=True)
    mean = lambda values, rows=slice(None): round(al.metrics.region_mean(values[rows], where[rows]).value, 4)
    row = {
        "error": mean(error),
        "saturation": mean(al.metrics.saturation(drawn)),
        "off_palette": mean(al.metrics.off_palette(drawn, common)),
    }
    judge = al.metrics.Judge("emoji")
    features = [judge(x)[0] / judge.scale for x in (drawn, true)]
    row["kernel_distance"] = round(al.metrics.kernel_distance(*features).item(), 4)
    for group in DETERMINED:
        row[group] = mean(error, labels == classes.index(group))
    return row


def train(arguments, domains, steps, seed):
    torch.manual_seed(seed)
    net = al.models.Pix2Pix(1, 3, width=12, dropout=0.5, **arguments)
    schedule = al.training.cosine(steps)
    history = al.fit(net, domains, steps=steps, batch_size=8, seed=seed, schedule=schedule, progress=False)
    if history.interrupted:
        raise KeyboardInterrupt  # half a training is no line of the record
    return net


def jobs(part, seeds, steps, rows):
    """The trainings of a part: dicts of what identifies a line, without its scores."""
    if part == "rates":
        return [dict(part=part, arm=arm, lr=lr, seed=0, steps=RATE_STEPS) for arm, lr in itertools.product(ARMS, RATES)]
    tried = [row for row in rows if row["part"] == "rates"]
    best = {arm: min((r for r in tried if r["arm"] == arm), key=lambda r: r["error"])["lr"] for arm in ARMS}
    varied = {
        "arms": [dict(arm=arm) for arm in ARMS],
        "patches": [dict(arm="both", halvings=halvings) for halvings in (2, 3)],  # 1 is in "arms"
        "skips": [dict(arm="l1", skips=list(skips)) for skips in SKIPS[1:]],  # all are in "arms"
    }[part]
    every = itertools.product(range(seeds), varied)
    return [dict(part=part, **what, lr=best[what["arm"]], seed=seed, steps=steps) for seed, what in every]


def run(job, sets):
    arguments = {key: job[key] for key in ("lr", "halvings", "skips") if key in job}
    whole, kept, validation, test, common = sets
    domains, scored = (kept, validation) if job["part"] == "rates" else (whole, test)
    began = time.monotonic()
    net = train({**ARMS[job["arm"]], **arguments}, domains, job["steps"], job["seed"])
    seconds = round(time.monotonic() - began, 1)
    lines, true = scored
    return {**job, "seconds": seconds, **scores(net, lines.images, true.images, true.labels, true.classes, common)}


def load():
    whole, test = al.data.emoji_domains(32, "train", mirrored=True), al.data.emoji_domains(32, "test")
    parts = [
        ds.split(test=0.15, seed=1) for ds in whole
    ]  # by clusters, so a picture and its mirror image are on one side
    kept, validation = (tuple(part[side] for part in parts) for side in (0, 1))
    return whole, kept, validation, test, al.metrics.emoji_palette()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["rates", "arms"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--save", action="store_true", help="keep each line in the record that lesson 43 shows")
    args = parser.parse_args()
    try:
        rows = al.shipped.record(NAME)["rows"] if args.save else []
    except ValueError:  # no record yet
        rows = []
    sets = load()
    for part in args.parts:
        for job in jobs(part, args.seeds, args.steps, rows):
            if any(job.items() <= row.items() for row in rows):
                continue
            rows.append(run(job, sets))
            print(json.dumps(rows[-1]), flush=True)
            if args.save:
                al.shipped.save_record(NAME, "python benchmarks/pix2pix_arms.py --save", rows)


if __name__ == "__main__":
    main()
