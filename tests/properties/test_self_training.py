"""What becomes of a Gaussian that learns from its own samples, and of the rate of a copier whose sources are half outside of the test."""

import math

import pytest
import torch

import aigc_lessons as al
from aigc_lessons.ops import self_train_variance


def simulated(n, generations, keep, runs=60_000):
    """Mean variance of the last of `generations` Gaussians, over many runs at once, and its standard error."""
    g = torch.Generator().manual_seed(0)
    data = torch.randn(runs, n, generator=g, dtype=torch.float64)
    for _ in range(generations):
        mean, variance = data.mean(1, keepdim=True), data.var(1, unbiased=False, keepdim=True)
        new = mean + variance.sqrt() * torch.randn(runs, n, generator=g, dtype=torch.float64)
        data = torch.cat([data, new], 1) if keep else new
    return variance.mean().item(), variance.std().item() / runs**0.5


@pytest.mark.parametrize("n, generations", [(2, 3), (5, 1), (5, 6), (12, 4)])
@pytest.mark.parametrize("keep", [False, True])
def test_the_formula_is_the_mean_of_many_runs(n, generations, keep):
    mean, error = simulated(n, generations, keep)
    assert abs(mean - self_train_variance(n, generations, keep)) < 5 * error


@pytest.mark.parametrize("n", [1, 4, 30])
def test_replaced_data_die_out_and_kept_data_do_not(n):
    assert self_train_variance(n, 0, True) == self_train_variance(n, 0, False) == 1
    assert self_train_variance(n, 1, True) == self_train_variance(n, 1, False) == pytest.approx(1 - 1 / n)
    assert self_train_variance(n, 400 * n, False) < 1e-6
    limit = math.sin(math.pi / n**0.5) / (math.pi / n**0.5)  # Euler's product of the sine
    assert self_train_variance(n, 20_000, True) == pytest.approx(limit, abs=1e-4)
    steps = [self_train_variance(n, g, True) for g in range(9)]
    assert all(a >= b >= limit - 1e-9 for a, b in zip(steps, steps[1:]))


@pytest.mark.parametrize("n, generations", [(0, 3), (-2, 3), (5, -1)])
def test_no_data_and_no_generations_are_refused(n, generations):
    with pytest.raises(ValueError, match="accepted are 1 or more"):
        self_train_variance(n, generations, True)


def test_the_rate_of_a_copier_that_is_tested_with_a_part_of_its_training_set():
    """diluted_rate, on points: 3,000 to learn from, 600 of them and 600 others in the test, 40 % of 20,000 samples are copies."""
    g = torch.Generator().manual_seed(0)
    learnt, held_out, innocent = (torch.rand(n, 2, generator=g) for n in (3_000, 600, 12_000))
    copies = learnt[torch.randint(3_000, (8_000,), generator=g)]
    chosen = learnt[torch.randperm(3_000, generator=g)[:600]]
    rate, _ = al.metrics.copy_test(torch.cat([copies, innocent]), chosen, held_out, 1, g)
    assert abs(rate - al.exercises.get("diluted_rate").reference()) < 0.02
