"""Which learning rate does each model get? Short runs on digits, each at several rates and seeds; a table in Markdown.

    python benchmarks/learning_rates.py [model ...] [--steps 600] [--seeds 3] [--threads 1]

Measured is the FID of 1,000 samples on the digit judge's features against the 1,000 test digits (not comparable with published FID),
and of the models told a class also the share that the judge reads as it. A table row is the mean over seeds and, in brackets, the
least and the greatest. A short run says which rates learn, not how good a long run becomes.
"""

import argparse
import time

import torch

import aigc_lessons as al

GREY = (1, 32, 32)
MODELS = {
    "DCGAN": lambda lr: al.models.DCGAN(GREY, width=16, lr=lr),
    "WGAN, penalty": lambda lr: al.models.WGAN(GREY, "penalty", width=16, lr=lr),
    "CGAN": lambda lr: al.models.CGAN(GREY, 10, width=16, lr=lr),
    "ProjectionGAN": lambda lr: al.models.ProjectionGAN(GREY, 10, width=16, lr=lr),
    "VAE": lambda lr: al.models.VAE(GREY, lr=lr),
    "CVAE": lambda lr: al.models.CVAE(GREY, 10, lr=lr),
}
RATES = (2e-4, 5e-4, 1e-3, 2e-3)


def run(name, lr, steps, seed, judge, test):
    """{measure: value} after one run."""
    al.seed_everything(seed)
    train = al.data.load("digits", split="train")
    model = MODELS[name](lr)
    al.fit(model, train, steps=steps, seed=seed, progress=False)
    classes = getattr(model, "n_classes", None)
    labels = None if classes is None else torch.arange(1_000) % classes
    samples = model.sample(1_000, seed=1, labels=labels)
    measures = {"FID": al.metrics.fid(judge.embed(samples), judge.embed(test.images))}
    if classes:
        measures["accuracy"] = (judge.predict(samples).argmax(1) == labels).float().mean().item()
    return measures


def spread(values):
    """Mean, least and greatest."""
    return f"{sum(values) / len(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS), help=", ".join(MODELS))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="*", default=RATES)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    judge, test = al.shipped("classifier-digits"), al.data.load("digits", split="test")
    print(
        f"| model, {given.steps} steps | "
        + " | ".join(f"lr {rate:g}" for rate in given.rates)
        + " |\n"
        + "| --- " * (len(given.rates) + 1)
        + "|"
    )
    for name in given.models:
        cells, began = [], time.perf_counter()
        for lr in given.rates:
            runs = [run(name, lr, given.steps, seed, judge, test) for seed in range(given.seeds)]
            cells.append("; ".join(f"{key} {spread([r[key] for r in runs])}" for key in runs[0]))
        print(f"| {name} | " + " | ".join(cells) + f" | <!-- {time.perf_counter() - began:.0f} s -->", flush=True)


if __name__ == "__main__":
    main()
