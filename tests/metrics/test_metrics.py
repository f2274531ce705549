"""Intervals keep what they promise; accuracy counts."""

import math

import pytest
import torch

from aigc_lessons.metrics import accuracy, mean_interval, wilson_interval


@pytest.mark.parametrize("n", [7, 40, 359])
def test_wilson_solves_its_own_equation(n):
    """The ends are the p at which the observed share lies 1.96 standard errors away: (share - p)^2 = z^2 p (1 - p) / n."""
    for k in range(n + 1):
        m = wilson_interval(k, n)
        assert 0 <= m.low <= m.value <= m.high <= 1 and m.value == k / n and m.n == n
        for p in (m.low, m.high):
            if 0 < p < 1:
                assert math.isclose((k / n - p) ** 2, 1.959964**2 * p * (1 - p) / n, rel_tol=1e-9, abs_tol=1e-12)
    assert wilson_interval(0, n).low == 0 and wilson_interval(n, n).high == 1


@pytest.mark.parametrize("p, n", [(0.5, 30), (0.9, 60), (0.98, 100)])
def test_wilson_covers_the_truth_about_95_times_in_100(p, n):
    """Exact: summed over the binomial distribution, not sampled."""
    covered = sum(
        math.comb(n, k) * p**k * (1 - p) ** (n - k)
        for k in range(n + 1)
        if wilson_interval(k, n).low <= p <= wilson_interval(k, n).high
    )
    assert 0.92 < covered < 0.98


@pytest.mark.parametrize("k, n", [(3, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(k, n):
    with pytest.raises(ValueError, match="trials"):
        wilson_interval(k, n)


def test_mean_interval_by_hand():
    m = mean_interval([1.0, 2.0, 3.0, 6.0])
    half = 3.182446 * math.sqrt(14 / 3) / 2  # t(0.975, 3), standard deviation, sqrt(4)
    assert (
        math.isclose(m.value, 3)
        and math.isclose(m.high, 3 + half, rel_tol=1e-6)
        and math.isclose(m.low, 3 - half, rel_tol=1e-6)
    )
    assert m.n == 4 and str(m) == f"3.000 (95 %: {3 - half:.3f} to {3 + half:.3f}, n = 4)"
    shifted = mean_interval(torch.tensor([1.0, 2.0, 3.0, 6.0]) + 10)
    assert math.isclose(shifted.high - shifted.low, m.high - m.low, rel_tol=1e-6)
    with pytest.raises(ValueError, match="at least 2"):
        mean_interval([1.0])


def test_mean_interval_covers_the_mean_of_a_normal_95_times_in_100():
    draws = torch.randn(2_000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 7
    covered = sum(m.low <= 7 <= m.high for m in map(mean_interval, draws))
    assert 1_900 - 4 * 9.75 < covered < 1_900 + 4 * 9.75  # binomial, four standard deviations


def test_accuracy_counts():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [0.0, 0.0, 1.0], [5.0, 0.0, 0.0]])
    m = accuracy(lambda x: logits, torch.zeros(4, 1, 8, 8), torch.tensor([0, 1, 1, 2]))
    assert m == wilson_interval(2, 4)


@pytest.mark.parametrize(
    "images, labels, says",
    [
        (torch.full((4, 1, 8, 8), 1.5), [0, 1, 1, 2], r"accuracy got images from 1.5 to 1.5. Accepted: \[-1, 1\]"),
        (torch.full((4, 1, 8, 8), float("nan")), [0, 1, 1, 2], "NaN or infinity in 4 of 4"),
        (torch.zeros(4, 1, 8, 8), [0, 1, 1], "4 images and 3 labels"),
        (torch.zeros(0, 1, 8, 8), [], "at least one image"),
        (torch.zeros(4, 1, 8, 8), [0, 1, 1, 3], "for 3 classes"),
        (torch.zeros(4, 1, 8, 8), [-1, 1, 1, 2], "labels from -1"),
    ],
)
def test_accuracy_refuses(images, labels, says):
    with pytest.raises(ValueError, match=says):
        accuracy(lambda x: torch.zeros(len(x), 3), images, torch.tensor(labels))
