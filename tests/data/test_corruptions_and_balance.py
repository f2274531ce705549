"""Pictures with a fault of a chosen strength, and weights against a bias."""

import pytest
import torch

import aigc_lessons as al
from aigc_lessons.data import CORRUPTIONS, corrupt, effective_size, reweight

LEVELS = {"noise": (10, 40, 120), "blur": (0.5, 1.5, 4), "jpeg": (30, 80, 98), "occlusion": (0.05, 0.2, 0.6)}


@pytest.fixture(scope="module")
def photos():
    return al.data.load("photos", size=48, split="test").images[:12]


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_level_0_is_the_picture_and_more_is_worse(kind, photos):
    assert torch.equal(corrupt(photos, kind, 0), photos) and corrupt(photos, kind, 0) is not photos
    errors = [al.metrics.psnr_each(corrupt(photos, kind, level), photos).mean().item() for level in LEVELS[kind]]
    assert errors[0] > errors[1] + 1 > errors[2] + 2


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(3, 1, 8, 12), (2, 3, 33, 20), (0, 3, 8, 8)])
def test_any_size_stays_in_range_and_comes_back_the_same(kind, shape):
    images = 2 * torch.rand(shape, generator=torch.Generator().manual_seed(1)) - 1
    kept = images.clone()
    made = corrupt(images, kind, LEVELS[kind][1], seed=3)
    assert made.shape == images.shape and made.dtype == torch.float32 and torch.equal(images, kept)
    if len(images):
        assert made.abs().max() <= 1 and not torch.equal(made, images)
        assert torch.equal(made, corrupt(images, kind, LEVELS[kind][1], seed=3))


def test_each_kind_does_what_it_says(photos):
    flat = torch.full((20, 3, 40, 40), 0.2)
    assert (corrupt(flat, "noise", 25) - flat).std() * 127.5 == pytest.approx(25, rel=0.03)
    assert torch.allclose(corrupt(flat, "blur", 3.0), flat, atol=1e-5)
    point = torch.full((1, 1, 41, 41), -1.0)
    point[..., 20, 20] = 1
    spread = (corrupt(point, "blur", 2.0)[0, 0] + 1) / 2
    place = torch.arange(41.0) - 20
    assert spread.sum() == pytest.approx(1, abs=1e-3) and (spread.sum(0) * place**2).sum() == pytest.approx(4, rel=0.02)
    share = (corrupt(flat, "occlusion", 0.3)[:, 0] == 0).float().mean((1, 2))
    assert (share - 0.3).abs().max() < 0.04 and (corrupt(flat, "occlusion", 0.3)[:, 0] == 0).float().std(0).max() > 0
    assert (corrupt(photos, "jpeg", 5) - photos).abs().mean() < 0.03


@pytest.mark.parametrize("kind, level", [("fog", 1), ("noise", -1), ("noise", 256), ("jpeg", 100), ("occlusion", 1.0)])
def test_other_kinds_and_levels_are_refused(kind, level):
    with pytest.raises(ValueError, match="corrupt.*accepted"):
        corrupt(torch.zeros(1, 1, 8, 8), kind, level)


@pytest.mark.parametrize("seed", range(5))
def test_weighted_shares_are_the_target(seed):
    g = torch.Generator().manual_seed(seed)
    k = 2 + seed
    labels = torch.cat([torch.arange(k), torch.randint(k, (50,), generator=g)])[torch.randperm(50 + k, generator=g)]
    target = torch.rand(k, generator=g)
    target /= target.sum()
    weights = reweight(labels, target)
    assert weights.sum() == pytest.approx(1, abs=1e-6) and (weights >= 0).all()
    assert torch.allclose(torch.zeros(k).index_add(0, labels, weights), target, atol=1e-6)
    as_it_is = torch.bincount(labels, minlength=k) / len(labels)
    assert torch.allclose(reweight(labels, as_it_is), torch.full((50 + k,), 1 / (50 + k)))
    drawn = labels[torch.multinomial(weights, 40_000, replacement=True, generator=g)]
    assert torch.allclose(torch.bincount(drawn, minlength=k) / 40_000, target, atol=0.015)


def test_nine_to_one_made_equal_leaves_36_of_100():
    labels = torch.arange(100) // 90  # 90 zeros, 10 ones
    weights = reweight(labels, [0.5, 0.5])
    assert effective_size(torch.ones(7)) == pytest.approx(7) and effective_size([0.0, 2.0]) == pytest.approx(1)
    assert effective_size(weights) == pytest.approx(1 / (0.25 / 90 + 0.25 / 10)) == pytest.approx(36)


@pytest.mark.parametrize(
    "labels, target, words",
    [
        ([0, 1], [1.2, -0.2], ["1.2", "-0.2", "none below 0"]),
        ([0, 1], [0.5, 0.6], ["sum to 1", "target / target.sum()"]),
        ([0, 1], [0.5, float("nan")], ["none below 0"]),
        ([0, 0], [0.5, 0.5], ["class 1", "no sample", "collect"]),
        ([0, 2], [0.5, 0.5], ["0 to 2", "0 to 1"]),
        ([], [1.0], ["one or more"]),
    ],
)
def test_what_reweight_refuses(labels, target, words):
    with pytest.raises(ValueError, match="reweight") as error:
        reweight(torch.tensor(labels, dtype=torch.int64), torch.tensor(target))
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize("weights", [[1.0, -0.5], [0.0, 0.0], [float("nan")]])
def test_weights_below_0_have_no_effective_size(weights):
    with pytest.raises(ValueError, match="none below 0"):
        effective_size(torch.tensor(weights))
