"""How two networks are told the class: {concatenation, conditional batch norm} x {concatenation, projection}, everything else equal.

    python benchmarks/conditioning.py --search --steps 1000 --save search.json
    python benchmarks/conditioning.py --rates search.json --seeds 0 --save seed0.json
    python benchmarks/conditioning.py --betas 0.1 1 2 --steps 1000 --save betas.json
    python benchmarks/conditioning.py --merge search.json seed0.json seed1.json seed2.json betas.json

All arms have one loss (hinge, spectral norm), one size, one batch and one number of steps. Each arm's learning rate is searched with the
same three candidates, in shorter trainings with a seed of their own; the rate with the greatest share of right classes is taken. A fifth arm, not searched,
is conditional batch norm and projection at its rate with mismatched pairs beside the fakes. --betas trains conditional VAEs of digits, one for each beta and seed.
--merge writes the record that lesson 31 shows. A training of the default size takes about 90 seconds on one core.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

import aigc_lessons as al

ARMS = {
    f"{generator} / {discriminator}": dict(generator=generator, discriminator=discriminator)
    for generator in ("concatenation", "batch norm")
    for discriminator in ("concatenation", "projection")
}
BOTH = "batch norm / projection"
MISMATCHED = f"{BOTH}, mismatched pairs"
RATES = (1e-3, 2e-3, 4e-3)
SEARCH_SEED = 100


def measured(model, name="shapes", n=1_800):
    """Shares of n pictures, the classes in turn, that are read as asked for; and their FID against the test pictures."""
    judge = al.shipped(f"classifier-{name}")
    labels = torch.arange(n) % model.n_classes
    pictures = model.sample(n, seed=1, labels=labels).cpu()
    read = judge.predict(pictures).argmax(1)
    test = al.data.load(name, size=32, split="test").images
    shares = {"class": read == labels}
    if name == "shapes":
        shares |= {"kind": read // 6 == labels // 6, "colour": read % 6 == labels % 6}
    return {k: round(v.float().mean().item(), 4) for k, v in shares.items()} | {
        "fid": round(al.metrics.fid(judge.embed(pictures), judge.embed(test)), 2)
    }


def run(arm, lr, seed, args):
    """One training, and what its pictures are: a dict of numbers."""
    mismatched = arm == MISMATCHED
    al.seed_everything(seed)
    model = al.models.ConditionalGAN(
        (3, 32, 32), 18, width=args.width, lr=lr, mismatched=mismatched, **ARMS[BOTH if mismatched else arm]
    )
    began = time.process_time()
    al.fit(
        model, al.data.load("shapes", split="train"), steps=args.steps, batch_size=args.batch, seed=seed, progress=False
    )
    row = {"arm": arm, "lr": lr, "seed": seed, "steps": args.steps, "width": args.width, "batch": args.batch}
    return row | measured(model) | {"seconds": round(time.process_time() - began, 1)}


def run_vae(beta, seed, args):
    """One conditional VAE of digits, and what its pictures are; its KL and its squared error a pixel on test digits."""
    al.seed_everything(seed)
    model = al.models.CVAE((1, 32, 32), 10, latent_dim=8, width=args.width, beta=beta)
    began = time.process_time()
    al.fit(model, al.data.load("digits", size=32, split="train"), steps=args.steps, seed=seed, progress=False)
    seconds = round(time.process_time() - began, 1)
    test = al.data.load("digits", size=32, split="test")
    with torch.no_grad():
        mu, logvar = model.cpu().encode(test.images, test.labels)
        error = (model.decode(mu, test.labels) - test.images).square().mean().item()
        kl = al.losses.kl_to_standard_normal(mu, logvar).mean().item()
    row = {"part": "betas", "beta": beta, "seed": seed, "steps": args.steps, "width": args.width}
    return row | measured(model, "digits") | {"error": round(error, 5), "kl": round(kl, 3), "seconds": seconds}


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
    parser.add_argument("--steps", type=int, default=2_500)
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--merge", nargs="+", type=Path)
    args = parser.parse_args()
    if args.merge:
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
        if args.save:
            args.save.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
