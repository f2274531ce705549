"""How often do honest runs reach the target of an exercise in which something is trained, and half-trained ones? A table in Markdown.

    python benchmarks/trained_exercises.py [exercise ...] [--runs 20] [--first 0] [--short]

Each run has a seed of its own for the first weights and the batches, and is measured on data drawn anew, twice. The steps are those of
the worked solutions; with --short those of a run that stops too early. One thread.
"""

import argparse
import json
import math

import torch
import torch.nn.functional as F

import aigc_lessons as al

STEPS = {"train_classifier": (1_500, 300), "train_vae": (1_000, 500), "train_gan": (1_200, 800)}  # honest, too short


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


def measured(name, seed, steps):
    """The exercise's measure of one run, on two draws of fresh data."""
    exercise = al.exercises.get(name)
    al.seed_everything(seed)
    train = al.data.load("digits", split="train")
    if name == "train_classifier":
        train = turned_and_moved(train)
    model = exercise.build()
    al.fit(model, train, steps=steps, seed=seed, progress=False)
    model = model.to("cpu").eval()
    return [exercise.measure(model, seed=draw) for draw in (1_000 + seed, 2_000 + seed)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exercises", nargs="*", default=list(STEPS), help=", ".join(STEPS))
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", action="store_true", help="a line for each run in place of the table")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in given.exercises:
        exercise, steps, values = al.exercises.get(name), STEPS[name][given.short], []
        for seed in range(given.first, given.first + given.runs):
            values.append(measured(name, seed, steps))
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
