"""Fréchet distance against closed forms and scipy; counting modes."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from aigc_lessons import metrics


def gaussian(d, rank=None, seed=0):
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(d, rank or d, generator=g, dtype=torch.float64)
    return torch.randn(d, generator=g, dtype=torch.float64), a @ a.T


def test_one_dimension_is_the_difference_of_means_and_of_deviations():
    for (m1, s1), (m2, s2) in (((0.0, 1.0), (3.0, 1.0)), ((1.0, 2.0), (1.0, 0.5)), ((-1.0, 0.0), (2.0, 4.0))):
        d = metrics.frechet_distance(*(torch.tensor(v) for v in ([m1], [[s1**2]], [m2], [[s2**2]])))
        assert d.item() == pytest.approx((m1 - m2) ** 2 + (s1 - s2) ** 2) and d.dtype == torch.float64


@pytest.mark.parametrize("d", [2, 5, 40])
def test_covariances_that_do_not_commute_agree_with_the_matrix_square_root(d):
    (m1, c1), (m2, c2) = gaussian(d, seed=1), gaussian(d, seed=2)
    root = scipy.linalg.sqrtm((c1 @ c2).numpy()).real
    want = (m1 - m2).square().sum().item() + np.trace(c1.numpy() + c2.numpy() - 2 * root)
    assert metrics.frechet_distance(m1, c1, m2, c2).item() == pytest.approx(want, rel=1e-8)


@pytest.mark.parametrize("rank", [1, 3])
def test_singular_covariances_are_no_trouble(rank):
    (m1, c1), (m2, c2) = gaussian(6, rank, seed=3), gaussian(6, seed=4)
    forth, back = metrics.frechet_distance(m1, c1, m2, c2), metrics.frechet_distance(m2, c2, m1, c1)
    assert forth.isfinite() and forth.item() == pytest.approx(back.item(), rel=1e-6) and forth > 0
    assert metrics.frechet_distance(m1, c1, m1, c1).item() == pytest.approx(0, abs=1e-6)


def test_it_does_not_depend_on_the_frame():
    (m1, c1), (m2, c2) = gaussian(5, seed=5), gaussian(5, seed=6)
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(7), dtype=torch.float64))[0]
    turned = metrics.frechet_distance(turn @ m1, turn @ c1 @ turn.T, turn @ m2, turn @ c2 @ turn.T)
    assert turned.item() == pytest.approx(metrics.frechet_distance(m1, c1, m2, c2).item())


def test_moments_and_fid_of_features():
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(300, 4, generator=g), torch.randn(200, 4, generator=g) * 2 + 1
    mean, cov = metrics.moments(a)
    assert np.allclose(mean, a.double().mean(0)) and np.allclose(cov, np.cov(a.double().numpy(), rowvar=False))
    assert metrics.moments(a[:, :1])[1].shape == (1, 1)
    root = scipy.linalg.sqrtm((cov @ metrics.moments(b)[1]).numpy()).real
    want = (mean - b.double().mean(0)).square().sum() + np.trace(cov + metrics.moments(b)[1]) - 2 * np.trace(root)
    assert metrics.fid(a, b) == pytest.approx(want.item(), rel=1e-6)
    assert metrics.fid(a, a) == pytest.approx(0, abs=1e-8) and metrics.fid(a, a + 3) == pytest.approx(36, rel=1e-6)
    for bad in (a[:1], a[0]):
        with pytest.raises(ValueError, match="at least 2 rows"):
            metrics.fid(bad, a)


def test_modes_are_counted_where_the_judge_is_sure():
    p = torch.tensor([[0.95, 0.03, 0.02], [0.5, 0.3, 0.2], [0.02, 0.02, 0.96], [0.01, 0.01, 0.98], [0.1, 0.89, 0.01]])
    assert metrics.mode_counts(p.log() + 5).tolist() == [1, 0, 2]
    assert metrics.mode_counts(p.log(), sure=0.8).tolist() == [1, 1, 2]
    assert metrics.mode_counts(p.log(), sure=0).tolist() == [2, 1, 2]


def test_effective_modes():
    assert metrics.effective_modes(torch.tensor([7, 7, 7, 7])) == pytest.approx(4)
    assert metrics.effective_modes(torch.tensor([0, 9, 0])) == pytest.approx(1)
    assert metrics.effective_modes(torch.tensor([3, 1])) == pytest.approx(
        math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    )
    assert metrics.effective_modes(torch.zeros(3)) == 0
