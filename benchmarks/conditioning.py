"""How two networks are told the class: {concatenation, conditional batch norm} x {concatenation, projection}, everything else equal.

    python benchmarks/conditioning.py --search --steps 600 --out search.json
    python benchmarks/conditioning.py --rates search.json --seeds 0 --out seed0.json
    python benchmarks/conditioning.py --betas 0.1 1 2 --steps 600 --out betas.json
    python benchmarks/conditioning.py --merge search.json seed0.json seed1.json seed2.json betas.json --save

Digits of 16x16. All arms have one loss (hinge, spectral norm), one size, one batch and one number of steps. Each arm's learning rate is searched with the
same three candidates, in shorter trainings with a seed of their own; the rate with the greatest share of right classes is taken. A fifth arm, not searched,
is conditional batch norm and projection at its rate with mismatched pairs beside the fakes. --betas trains conditional VAEs of digits, one for each beta and seed.
--merge with --save writes the record that lesson 31 shows. A training of the default size takes about 30 seconds on one quiet core.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

import aigc_lessons as al
from aigc_lessons.data.pixels import resize

ARMS = {
    f"{generator} / {discriminator}": dict(generator=generator, discriminator=discriminator)
    for generator in ("concatenation", "batch norm")
    for discriminator in ("concatenation", "projection")
}
BOTH = "batch norm / projection"
MISMATCHED = f"{BOTH}, mismatched pairs"
RATES = (1e-3, 2e-3, 4e-3)
SEARCH_SEED = 100
SIZE = 16


def measured(model, n=2_000):
    """Share of n pictures, the classes in turn, that are read as asked for; and their FID against the test pictures, all enlarged to 32x32."""
    judge, enlarged = al.shipped("classifier-digits"), lambda pictures: resize(pictures.cpu(), 32)
    labels = torch.arange(n) % 10
    pictures = enlarged(model.sample(n, seed=1, labels=labels))
    test = enlarged(al.data.load("digits", size=SIZE, split="test").images)
    share = (judge.predict(pictures).argmax(1) == labels).float().mean().item()
    return {"class": round(share, 4), "fid": round(al.metrics.fid(judge.embed(pictures), judge.embed(test)), 2)}


def run(arm, lr, seed, args):
    """One training, and what its pictures are: a dict of numbers."""
    mismatched = arm == MISMATCHED
    al.seed_everything(seed)
    model = al.models.ConditionalGAN(
        (1, SIZE, SIZE), 10, width=args.width, lr=lr, mismatched=mismatched, **ARMS[BOTH if mismatched else arm]
    )
    began = time.process_time()
    al.fit(
        model,
        al.data.load("digits", size=SIZE, split="train"),
        steps=args.steps,
        batch_size=args.batch,
        seed=seed,
        progress=False,
    )
    row = {"arm": arm, "lr": lr, "seed": seed, "steps": args.steps, "width": args.width, "batch": args.batch}
    return row | measured(model) | {"seconds": round(time.process_time() - began, 1)}


def run_vae(beta, seed, args):
    """One conditional VAE of digits, and what its pictures are; its KL and its squared error a pixel on test digits."""
    al.seed_everything(seed)
    model = al.models.CVAE((1, SIZE, SIZE), 10, latent_dim=8, width=args.width, beta=beta)
    began = time.process_time()
    al.fit(model, al.data.load("digits", size=SIZE, split="train"), steps=args.steps, seed=seed, progress=False)
    seconds = round(time.process_time() - began, 1)
    test = al.data.load("digits", size=SIZE, split="test")
    with torch.no_grad():
        mu, logvar = model.cpu().encode(test.images, test.labels)
        error = (model.decode(mu, test.labels) - test.images).square().mean().item()
        kl = al.losses.kl_to_standard_normal(mu, logvar).mean().item()
    row = {"part": "betas", "beta": beta, "seed": seed, "steps": args.steps, "width": args.width}
    return row | measured(model) | {"error": round(error, 5), "kl": round(kl, 3), "seconds": seconds}


def best_rates(rows):
    """{arm: the rate of the search with the greatest share of right classes}; with mismatched pairs that of the same arm without."""
    best = {}
    for row in sorted(rows, key=lambda row: row["class"]):
        best[row["arm"]] = row["lr"]
    return best | {MISMATCHED: best[BOTH]}


def lines(paths):
    """All lines of these parts."""
    return [row for path in paths for row in json.loads(path.read_text())]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--arms", nargs="+", choices=(*ARMS, MISMATCHED))
    parser.add_argument("--rates", nargs="+", type=Path, help="what --search has saved")
    parser.add_argument("--betas", type=float, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--out", type=Path, help="where the lines of this part are kept")
    parser.add_argument("--merge", nargs="+", type=Path, help="parts; with --save they become the record")
    parser.add_argument("--save", action="store_true")
    args = parser.parse_args()
    if args.merge and args.save:
        al.shipped.save_record("conditioning", "python " + " ".join(sys.argv), lines(args.merge))
        return
    if args.betas:
        plan = [(run_vae, beta, seed) for seed in args.seeds for beta in args.betas]
    elif args.search:
        plan = [(run, arm, lr, SEARCH_SEED) for arm in args.arms or ARMS for lr in RATES]
    else:
        rates = best_rates(lines(args.rates))
        plan = [(run, arm, rates[arm], seed) for seed in args.seeds for arm in args.arms or (*ARMS, MISMATCHED)]
    rows = []
    for training, *given in plan:
        rows.append({"part": "search" if args.search else "seeds"} | training(*given, args))
        print(json.dumps(rows[-1]), flush=True)
        if args.out:
            args.out.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
