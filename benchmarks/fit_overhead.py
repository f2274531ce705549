"""What `fit` costs over a bare loop: the same network, data, batches, optimizer and number format, timed in turns.

    python benchmarks/fit_overhead.py [rounds]

Prints the ratio fit / bare for each round and its median. Progress display and checkpoints are on, as in a lesson.
"""

import statistics
import sys
import tempfile
import time

import torch

import aigc_lessons as al
from aigc_lessons.settings import autocast

STEPS, BATCH = 600, 64


def model():
    torch.manual_seed(0)
    return al.models.Classifier(width=16)


def bare(ds):
    net = model().to(memory_format=torch.channels_last).train()
    optimizers = net.optimizers()
    began = time.perf_counter()
    step = 0
    while step < STEPS:
        for index in torch.randperm(len(ds)).split(BATCH):
            if len(index) < BATCH or step == STEPS:
                break
            batch = al.training.Batch(
                ds.images[index].contiguous(memory_format=torch.channels_last), ds.labels[index], None
            )
            with autocast():
                net.training_step(batch, optimizers)["loss"].item()
            step += 1
    return time.perf_counter() - began


def fitted(ds):
    net = model()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        al.fit(net, ds, steps=STEPS, batch_size=BATCH, checkpoint=f"{folder}/run.pt")
        return time.perf_counter() - began


def main(rounds=7):
    ds = al.data.load("digits")
    bare(ds), fitted(ds)
    ratios = []
    for i in range(rounds):
        first, second = (bare, fitted) if i % 2 else (fitted, bare)  # whichever comes first has no advantage
        times = {first: first(ds), second: second(ds)}
        ratios.append(times[fitted] / times[bare])
        print(f"round {i + 1}: bare {times[bare]:.2f} s, fit {times[fitted]:.2f} s, ratio {ratios[-1]:.3f}", flush=True)
    print(
        f"fit / bare: median {statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}, {rounds} rounds of {STEPS} steps"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
