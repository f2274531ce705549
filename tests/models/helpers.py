"""What tests of models share."""

import torch

import aigc_lessons as al


def rand(*shape, seed=0):
    """Pictures of noise in [-1, 1]."""
    return 2 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) - 1


def digits(n=64, size=16):
    return al.data.load("digits-8x8", size=size)[:n]


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def trains_exactly(build, data, file):
    """Equal seeds train to equal weights, others do not, and a run in two parts ends where a whole one does. build(seed=0) -> model."""
    nets = []
    for seed in (5, 5, 6):
        nets.append(build())
        al.fit(nets[-1], data, steps=4, batch_size=16, seed=seed)
    assert same(nets[0], nets[1]) and not same(nets[0], nets[2])
    first, second = build(), build(seed=1)
    al.fit(first, data, steps=2, batch_size=16, seed=5, checkpoint=file)
    al.fit(second, data, steps=4, batch_size=16, seed=5, checkpoint=file)
    assert same(nets[0], second) and not same(nets[0], first)
