"""What `fit` gains over the loop that most tutorials write: the same DCGAN, data, batches and learning rate, for 60 seconds each.

    python benchmarks/dcgan_speed.py [seconds] [rounds]

The plain loop: a DataLoader, pictures in the usual memory order, float32, no average of the generator. Prints for each the
steps a second and the FID of 2,000 samples on the digit judge's features (not comparable with published FID), and the ratio.
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
    opt_g, opt_d = (torch.optim.Adam(n.parameters(), lr=net.lr, betas=net.betas) for n in (net.generator, net.discriminator))
    loader = DataLoader(TensorDataset(ds.images), batch_size=BATCH, shuffle=True, drop_last=True)
    steps, began = 0, time.perf_counter()
    while True:
        for real, in loader:
            if time.perf_counter() - began > seconds:
                return steps, net.generator
            fake = net.generator(torch.randn(BATCH, net.latent_dim, 1, 1))
            real_logits, fake_logits = net.discriminator(real), net.discriminator(fake.detach())
            d_loss = (F.binary_cross_entropy_with_logits(real_logits, torch.ones(BATCH))
                      + F.binary_cross_entropy_with_logits(fake_logits, torch.zeros(BATCH)))
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
    return history.steps, net.generator_ema


def fid(generator, judge, real):
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        x = torch.cat([generator.eval()(torch.randn(500, 64, 1, 1, generator=g)) for _ in range(4)])
    return al.metrics.fid(judge.embed(x.contiguous()), real)


def main(seconds=60, rounds=3):
    ds = al.data.load("digits", size=32, split="train")
    judge = al.shipped("classifier-digits")
    real = judge.embed(al.data.load("digits", size=32).images)
    ratios = []
    for seed in range(rounds):
        results = {}
        for way in (plain, course) if seed % 2 else (course, plain):             # whichever comes first has no advantage
            steps, generator = way(ds, seconds, seed)
            results[way] = steps, fid(generator, judge, real)
        ratios.append(results[course][0] / results[plain][0])
        print(f"round {seed + 1}: " + "; ".join(f"{way.__name__} {s / seconds:.1f} steps a second, FID {f:.0f}" for way, (s, f) in results.items())
              + f"; ratio {ratios[-1]:.2f}", flush=True)
    print(f"course / plain, steps a second: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}, {rounds} rounds of {seconds} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
