"""Eight generations of a model that learns from its own samples: replaced, accumulated, or with a tenth of real data kept.

    python benchmarks/own_output.py [--model vae] [--how replace] [--seeds 3]

Generation 1 learns n real digits, each later one n digits that the one before has made (`replace`), all digits there ever were
(`accumulate`), or n of which a tenth is real (`tenth`). Each generation is trained from scratch for the same number of steps. Prints
measures of 1,000 samples a generation, against the 1,000 test digits.
"""

import argparse

import torch

import aigc_lessons as al

MODELS = {
    "vae": lambda: al.models.VAE(image_shape=(1, 32, 32), latent_dim=8, width=16),
    "flow": lambda: al.models.Flow(image_shape=(1, 16, 16)),
}
SIZE = {"vae": 32, "flow": 16}


def next_data(how, real, data, new):
    """What the next generation learns from: (N, C, H, W)."""
    if how == "accumulate":
        return torch.cat([data, new])
    if how == "tenth":
        return torch.cat([real[: len(real) // 10], new[len(real) // 10 :]])
    return new


def measured(x, test, judge):
    """{name: number} of samples (1000, C, H, W). variance: of the pixels, summed, as a share of that of the test digits."""
    where = next(judge.parameters()).device
    (features, logits), (real, _) = (tuple(part.cpu() for part in judge(images.to(where))) for images in (x, test))
    total = lambda images: images.flatten(1).var(0).sum().item()
    counts = al.metrics.mode_counts(logits)
    precision, recall = al.metrics.precision_recall(real, features, 5)
    return {
        "fid": al.metrics.fid(features, real),
        "variance": total(x) / total(test),
        "modes": al.metrics.effective_modes(counts),
        "sure": counts.sum().item() / len(x),
        "precision": precision,
        "recall": recall,
    }


def run(name, how, steps, generations, seed):
    real, test = (al.data.load("digits", size=SIZE[name], split=s).images for s in ("train", "test"))
    judge = al.metrics.Judge("digits")
    data = real
    for generation in range(1, generations + 1):
        torch.manual_seed(100 * seed + generation)
        model = MODELS[name]()
        al.fit(model, data, steps=steps, seed=100 * seed + generation, progress=False)
        new = model.sample(len(real), seed=100 * seed + generation).cpu()
        row = {"generation": generation, "learnt": len(data), **measured(new[:1_000], test, judge)}
        print(name, how, seed, row, flush=True)
        data = next_data(how, real, data, new)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="vae")
    parser.add_argument("--how", choices=("replace", "accumulate", "tenth"), default="replace")
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--generations", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    for seed in range(args.seeds):
        run(args.model, args.how, args.steps, args.generations, seed)


if __name__ == "__main__":
    main()
