"""What lesson 41 compares: two networks that take off noise, networks beside block matching, and two losses for enlarging.

    python benchmarks/restoration.py noise jpeg enlarge2 enlarge4 networks [--seeds 0 1 2] [--save]

One training a line, measured on pictures that it has not seen. Parts:

networks: a plain CNN in the manner of DnCNN and a U-Net of about as many parameters, on photos with noise of 25; same steps, same batches, a
    learning rate for each from the same short search. Measured on tiles of the two test photos.
noise, jpeg: a U-Net on emoji of 32x32 with noise of 50, or saved as JPEG of quality 10, beside block matching with the settings that are
    best on training emoji. Measured on held-out emoji.
enlarge2, enlarge4: photos enlarged 2 and 4 times, by a network that learns from the absolute error, and by one that also learns how features
    are distributed. PSNR, and the distance between the distributions of random features of another seed.
"""

import argparse
import json
import sys

import torch

import aigc_lessons as al

PARTS = ("networks", "noise", "jpeg", "enlarge2", "enlarge4")
NETWORKS = {"U-Net": dict(width=12), "plain CNN": dict(width=36, layers=8)}
RATES = (5e-4, 1e-3, 2e-3)
NOISE, QUALITY = 50, 10  # of the emoji
TEXTURE_WEIGHT = 0.3


def train(model, data, steps, batch_size, seed):
    """Trained with a learning rate that falls along a cosine; returns what `fit` does."""
    schedule = al.training.cosine(steps)
    return al.fit(model, data, steps=steps, batch_size=batch_size, seed=seed, schedule=schedule, progress=False)


def photos():
    """Patches of the four training photos, and tiles of the two test photos with the number of their photo; at half size."""
    test = al.data.load("photos", size=48, split="test", shrink=2)
    return al.data.load("photos", size=32, split="train", shrink=2, n=500), test


def noise_like(images, seed):
    return torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))


def each(restored, clean):
    """PSNR of each picture, rounded for the record."""
    return [round(v, 3) for v in al.metrics.psnr_each(restored, clean).tolist()]


def networks(seeds, short=60, steps=250):
    train_set, test = photos()
    tuning = al.data.load("photos", size=48, split="train", shrink=2).images[::4]
    batch_size = 16

    def trained(kind, lr, steps, seed):
        al.seed_everything(seed)
        model = al.models.Denoiser(3, noise=(25, 25), lr=lr, squared=True, **NETWORKS[kind])
        return model, train(model, train_set, steps, batch_size, seed)

    for kind in NETWORKS:
        found = {}
        for lr in RATES:
            model, _ = trained(kind, lr, short, 100)
            noisy = al.ops.add_noise(tuning, 25, noise_like(tuning, 1))
            found[lr] = al.metrics.psnr_each(model.restore(noisy), tuning).mean().item()
        best = max(found, key=found.get)
        yield {
            "part": "rate",
            "method": kind,
            "steps": short,
            "psnr": {f"{k:g}": round(v, 3) for k, v in found.items()},
        }
        for seed in seeds:
            model, history = trained(kind, best, steps, seed)
            noisy = al.ops.add_noise(test.images, 25, noise_like(test.images, 0))
            yield {
                "part": "networks",
                "method": kind,
                "seed": seed,
                "lr": best,
                "steps": history.steps,
                "seconds": round(history.seconds, 1),
                "parameters": sum(p.numel() for p in model.network.parameters()),
                "photo": test.groups.tolist(),
                "psnr": each(model.restore(noisy), test.images),
            }


def damaged(images, part, seed=0):
    if part == "noise":
        return al.ops.add_noise(images, NOISE, noise_like(images, seed))
    return al.data.corrupt(images, "jpeg", 100 - QUALITY)


def tuned_block_matching(part, images):
    """The settings of block matching that are best on some training pictures; JPEG has no sigma, so it is a setting too."""
    given = damaged(images, part, 1)
    tried = {}
    for sigma in (NOISE,) if part == "noise" else (5, 10, 15, 20, 25):
        for threshold in (2.4, 2.7, 3.0):
            answer = al.blocks.block_matching(given, sigma, threshold=threshold).clamp(-1, 1)
            tried[sigma, threshold] = al.metrics.psnr_each(answer, images).mean().item()
    sigma, threshold = max(tried, key=tried.get)
    return dict(sigma=sigma, threshold=threshold)


def emoji(part, seeds, steps=600):
    train_set, test = (al.data.load("emoji", size=32, split=split) for split in ("train", "test"))
    given, clean = damaged(test.images, part), test.images
    if not any((row["part"], row["method"]) == (part, "block matching") for row in recorded()):
        chosen = tuned_block_matching(part, train_set.images[::40])
        matched = al.blocks.block_matching(given, **chosen).clamp(-1, 1)
        yield {"part": part, "method": "given", "psnr": each(given.clamp(-1, 1), clean)}
        yield {"part": part, "method": "block matching", "chosen": chosen, "psnr": each(matched, clean)}
    for seed in seeds:
        al.seed_everything(seed)
        noise = (NOISE, NOISE) if part == "noise" else None
        model = al.models.Denoiser(3, width=12, noise=noise, lr=4e-3, colours=False, squared=True)
        pairs = (damaged(train_set.images, part), train_set.images)
        history = train(model, train_set if noise else pairs, steps, 16, seed)
        yield {
            "part": part,
            "method": "U-Net",
            "seed": seed,
            "steps": history.steps,
            "seconds": round(history.seconds, 1),
            "psnr": each(model.restore(given), clean),
        }


def texture_distance(answer, true, seed=5):
    """How differently random features are distributed, picture by picture; the features are not those that were learnt from."""
    features = al.models.RandomFeatures(3, seed=seed)
    return [
        round(
            al.models.style.style_distance(
                features(a[None]), features(b[None]), torch.Generator().manual_seed(0), (16, 32, 32)
            ).item(),
            4,
        )
        for a, b in zip(answer, true)
    ]


def enlarge(part, seeds, steps=250):
    factor = int(part[-1])
    train_set, test = photos()
    small, clean = al.ops.downscale(test.images, factor), test.images

    def row(method, answer, **more):
        return {
            "part": part,
            "method": method,
            **more,
            "photo": test.groups.tolist(),
            "psnr": each(answer, clean),
            "texture": texture_distance(answer, clean),
        }

    yield row("bicubic", al.ops.upscale(small, factor).clamp(-1, 1))
    for seed in seeds:
        for method, weight in (("absolute error", 0.0), ("with texture", TEXTURE_WEIGHT)):
            al.seed_everything(seed)
            model = al.models.SuperResolver(3, 16, lr=2e-3, factor=factor, texture_weight=weight)
            history = train(model, train_set, steps, 8, seed)
            yield row(method, model.restore(small), seed=seed, steps=history.steps, seconds=round(history.seconds, 1))


def rows_of(part, seeds, **given):
    if part == "networks":
        return networks(seeds, **given)
    return enlarge(part, seeds, **given) if part.startswith("enlarge") else emoji(part, seeds, **given)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="of each training, in place of the part's own")
    parser.add_argument(
        "--save", action="store_true", help="into the record that lesson 41 shows; other parts' lines stay"
    )
    args = parser.parse_args()
    given = {} if args.steps is None else {"steps": args.steps}
    for part in args.parts:
        rows = []
        for row in rows_of(part, args.seeds, **given):
            rows.append(row)
            print(json.dumps(row), flush=True)
        if args.save:
            keep(rows)


def recorded():
    """The lines of the record; none before the first were kept."""
    try:
        return al.shipped.record("restoration")["rows"]
    except ValueError:
        return []


def keep(rows):
    """Enter lines into the record in the place of those of the same part, method and seed."""
    of = lambda row: (PARTS.index(row["part"].replace("rate", "networks")), row["method"], row.get("seed", -1))
    known = {of(row): row for row in [*recorded(), *rows]}
    command = f"python {sys.argv[0]} {' '.join(PARTS)} --save"
    al.shipped.save_record("restoration", command, [known[k] for k in sorted(known)])


if __name__ == "__main__":
    main()
