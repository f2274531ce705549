"""What `fit` gains over the loop that most tutorials write: the same DCGAN, data, batches and learning rate, for the same seconds.

    python benchmarks/dcgan_speed.py [seconds] [rounds]

The plain loop: a DataLoader, pictures in the usual memory order, float32, no average of the generator. One thread each. Prints for
each seed the steps a second and the FID of 2,000 samples against the 1,000 test digits on the judge's features (not comparable with
published FID): of the plain loop's generator, of the course's averaged one, which `sample` uses, and of the one it averages.
"""

import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

import aigc_lessons as al

BATCH = 64


def model(seed):
    torch.manual_seed(seed)
    return al.models.DCGAN()


def plain(ds, seconds, seed):
    """(steps, generator)"""
    net = model(seed).train()
    opt_g, opt_d = (
        torch.optim.Adam(n.parameters(), lr=net.lr, betas=net.betas) for n in (net.generator, net.discriminator)
    )
    loader = DataLoader(TensorDataset(ds.images), batch_size=BATCH, shuffle=True, drop_last=True)
    steps, began = 0, time.perf_counter()
    while True:
        for (real,) in loader:
            if time.perf_counter() - began > seconds:
                return steps, net.generator, None
            fake = net.generator(torch.randn(BATCH, net.latent_dim, 1, 1))
            real_logits, fake_logits = net.discriminator(real), net.discriminator(fake.detach())
            d_loss = F.binary_cross_entropy_with_logits(
                real_logits, torch.ones(BATCH)
            ) + F.binary_cross_entropy_with_logits(fake_logits, torch.zeros(BATCH))
            opt_d.zero_grad()
            d_loss.backward()
            opt_d.step()
            g_loss = F.binary_cross_entropy_with_logits(net.discriminator(fake), torch.ones(BATCH))
            opt_g.zero_grad()
            g_loss.backward()
            opt_g.step()
            d_loss.item(), g_loss.item()
            steps += 1


def course(ds, seconds, seed):
    net = model(seed)
    history = al.fit(net, ds, minutes=seconds / 60, batch_size=BATCH, seed=seed, progress=False)
    return history.steps, net.generator_ema, net.generator


def fid(generator, judge, real):
    """Of 2,000 samples."""
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        x = torch.cat([generator.eval()(torch.randn(500, 64, 1, 1, generator=g)) for _ in range(4)])
    return al.metrics.fid(judge.embed(x.contiguous()), real)


def main(seconds=60, rounds=3):
    ds = al.data.load("digits", size=32, split="train")
    torch.set_num_threads(1)
    judge = al.shipped("classifier-digits")
    real = judge.embed(al.data.load("digits", split="test").images)
    ratios, distances = [], []
    for seed in range(rounds):
        results = {}
        for way in (plain, course) if seed % 2 else (course, plain):  # whichever comes first has no advantage
            steps, sampled, raw = way(ds, seconds, seed)
            results[way] = steps, fid(sampled, judge, real), None if raw is None else fid(raw, judge, real)
        ratios.append(results[course][0] / results[plain][0])
        distances.append((results[plain][1], results[course][1], results[course][2]))
        print(
            f"seed {seed}: plain {results[plain][0] / seconds:.1f} steps a second, FID {distances[-1][0]:.0f}; course "
            f"{results[course][0] / seconds:.1f}, FID of the average {distances[-1][1]:.0f}, of the generator itself {distances[-1][2]:.0f}; "
            f"ratio of steps {ratios[-1]:.2f}",
            flush=True,
        )
    for name, values in zip(("plain", "course, averaged", "course, generator itself"), zip(*distances)):
        print(f"FID, {name}: mean {statistics.mean(values):.0f}, from {min(values):.0f} to {max(values):.0f}")
    print(
        f"course / plain, steps a second: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}, {rounds} rounds of {seconds} s"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
