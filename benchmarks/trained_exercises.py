"""How often do honest runs reach the target of an exercise in which something is trained, and half-trained ones? A table in Markdown.

    python benchmarks/trained_exercises.py [exercise ...] [--runs 20] [--first 0] [--short] [--as-drawn]

Each run has a seed of its own for the first weights and the batches, and is measured on data drawn anew, twice. The steps are those of
the worked solutions; with --short those of a run that stops too early; with --as-drawn the flow of the plane is trained on pairs as they
are drawn. One thread.
"""

import argparse
import json
import math

import torch
import torch.nn.functional as F

import aigc_lessons as al
from aigc_lessons.exercises.banks.trained import spiral

STEPS = {  # honest, too short
    "train_classifier": (1_500, 300),
    "train_vae": (1_000, 500),
    "train_gan": (1_200, 800),
    "train_denoiser": (400, 150),
    "train_straight_flow": (1_500, 300),
}


def turned_and_moved(train, copies=2):
    """The training digits and copies of them, turned by up to 10 degrees and moved by up to 2 of 32 pixels."""
    pictures = [train.images]
    for _ in range(copies):
        turn, dx, dy = 2 * torch.rand(3, len(train), 1) - 1
        cos, sin = torch.cos(math.radians(10) * turn), torch.sin(math.radians(10) * turn)
        matrices = torch.stack([torch.cat(row, 1) for row in ((cos, -sin, dx / 8), (sin, cos, dy / 8))], 1)
        grid = F.affine_grid(matrices, train.images.shape, align_corners=False)
        pictures.append(F.grid_sample(train.images + 1, grid, align_corners=False) - 1)
    return al.data.ImageSet(torch.cat(pictures), train.labels.repeat(copies + 1), classes=train.classes)


def fitted(name, model, steps, seed):
    """By `al.fit`, as the worked solutions do it."""
    train, given = al.data.load("digits", split="train"), {}
    if name == "train_classifier":
        train = turned_and_moved(train)
    if name == "train_denoiser":
        train, given = al.data.load("digits-8x8", size=8)[:1437], {"schedule": al.training.cosine(steps)}
    al.fit(model, train, steps=steps, seed=seed, progress=False, **given)
    return model.to("cpu").eval()


def straightened(net, steps, seed, paired=True):
    """The flow of the plane, its batches paired by transport or as drawn."""
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3, fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, al.training.cosine(steps))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        x, noise, t = spiral(128, generator), torch.randn(128, 2), torch.rand(128)
        if paired:
            noise = noise[al.flows.pair_by_transport(x, noise)]
        loss = al.flows.flow_loss(net(al.flows.interpolate(x, noise, t), t), x, noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    return net.eval()


def measured(name, seed, steps, paired=True):
    """The exercise's measure of one run, on two draws of fresh data."""
    exercise = al.exercises.get(name)
    al.seed_everything(seed)
    model = exercise.build()
    if name == "train_straight_flow":
        model = straightened(model, steps, seed, paired)
    else:
        model = fitted(name, model, steps, seed)
    return [exercise.measure(model, seed=draw) for draw in (1_000 + seed, 2_000 + seed)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exercises", nargs="*", default=list(STEPS), help=", ".join(STEPS))
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--as-drawn", action="store_true")
    parser.add_argument("--json", action="store_true", help="a line for each run in place of the table")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in given.exercises:
        exercise, steps, values = al.exercises.get(name), STEPS[name][given.short], []
        for seed in range(given.first, given.first + given.runs):
            values.append(measured(name, seed, steps, not given.as_drawn))
            if given.json:
                print(json.dumps({"name": name, "steps": steps, "seed": seed, "values": values[-1]}), flush=True)
        reached = sum(all(map(exercise.reached, v)) for v in values)
        drawn = sorted(x for v in values for x in v)
        rows.append(
            f"| {name} | {exercise.unit} {exercise.target:g} | {steps} | {drawn[0]:.3g} to {drawn[-1]:.3g} | {reached} of {len(values)} |"
        )
    if not given.json:
        print("| exercise | target | steps | least and greatest | reached |\n| --- | --- | --- | --- | --- |")
        print("\n".join(rows))


if __name__ == "__main__":
    main()
