"""Block matching with a 3-D transform: what must hold for any picture, and that it beats non-local means."""

import math

import numpy as np
import pytest
import torch
from scipy.fft import dct

import aigc_lessons as al
from aigc_lessons.blocks import block_matching, dct_matrix, filter_group, haar_matrix, nearest_patches


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(got, want, atol=1e-5):
    torch.testing.assert_close(got, want, atol=atol, rtol=0)


# The transforms


@pytest.mark.parametrize("n", [1, 2, 3, 8, 16])
def test_the_cosine_transform_is_scipys_and_orthonormal(n):
    matrix = dct_matrix(n).double()
    close(matrix @ matrix.T, torch.eye(n).double(), 1e-6)
    x = randn(n)
    close(matrix @ x, torch.from_numpy(dct(x.numpy(), norm="ortho")), 1e-5)


@pytest.mark.parametrize("n", [1, 2, 4, 16])
def test_the_haar_transform_is_orthonormal_and_its_rows_are_mean_and_differences(n):
    matrix = haar_matrix(n)
    close(matrix @ matrix.T, torch.eye(n))
    close(matrix[0], torch.full((n,), n**-0.5))
    close(matrix[1:].sum(1), torch.zeros(n - 1))
    if n == 4:
        close(matrix[1] * 2, torch.tensor([1.0, 1, -1, -1]))
        close(matrix[2:].abs().sum(1), torch.full((2,), math.sqrt(2)))


@pytest.mark.parametrize("n", [0, 3, 12])
def test_a_haar_transform_of_another_length_is_refused(n):
    with pytest.raises(ValueError, match="powers of 2"):
        haar_matrix(n)


# A group


def parts(count, patch):
    return haar_matrix(count).double(), dct_matrix(patch).double()


def test_a_group_by_loops():
    group, (across, along) = randn(4, 3, 3), parts(4, 3)
    got, weight = filter_group(group, across, along, 0.8)
    kept, want = 0, torch.zeros(4, 3, 3).double()
    for k in range(4):
        for a in range(3):
            for b in range(3):
                wave = across[k][:, None, None] * along[a][:, None] * along[b]
                coefficient = (group * wave).sum()
                if abs(coefficient) > 0.8:
                    kept, want = kept + 1, want + coefficient * wave
    close(got, want)
    assert 1 < kept < 36 and weight.item() == pytest.approx(1 / kept)


def test_no_threshold_changes_nothing_and_a_huge_one_leaves_nothing():
    group, (across, along) = randn(5, 8, 4, 4), parts(8, 4)
    close(filter_group(group, across, along, 0)[0], group)
    got, weight = filter_group(group, across, along, 1e9)
    assert not got.any() and weight.tolist() == [1] * 5


def test_equal_flat_patches_are_one_coefficient():
    across, along = parts(4, 8)
    flat = torch.full((4, 8, 8), -0.4, dtype=torch.float64)
    got, weight = filter_group(flat, across, along, 0.1)
    close(got, flat)
    assert weight.item() == 1


def test_a_group_scales_with_its_threshold_and_groups_do_not_touch():
    group, (across, along) = randn(3, 2, 4, 5, 5), parts(4, 5)
    got, weight = filter_group(group, across, along, 0.7)
    assert got.shape == group.shape and weight.shape == (3, 2)
    scaled, same_weight = filter_group(-3 * group, across, along, 2.1)
    close(scaled, -3 * got)
    close(same_weight, weight)
    alone, one = filter_group(group[1, 0], across, along, 0.7)
    close(alone, got[1, 0])
    assert one == weight[1, 0]


def test_what_stays_of_a_group_is_a_projection():
    group, (across, along) = randn(8, 4, 4), parts(8, 4)
    once, _ = filter_group(group, across, along, 1.2)
    close(filter_group(once, across, along, 1.2)[0], once)
    assert once.square().sum() < group.square().sum()


# Which patches look alike


def test_the_nearest_patches_by_loops():
    image, (patch, stride, window, count) = randn(11, 14), (4, 3, 5, 6)
    got, row = nearest_patches(image, patch, stride, window, count), 0
    for i in range(0, 8, stride):
        for j in range(0, 11, stride):
            own, found = image[i : i + patch, j : j + patch], {}
            for u in range(max(0, i - 2), min(7, i + 2) + 1):
                for v in range(max(0, j - 2), min(10, j + 2) + 1):
                    found[u * 14 + v] = (image[u : u + patch, v : v + patch] - own).square().mean().item()
            assert got[row].tolist() == sorted(found, key=found.get)[:count]
            assert got[row, 0] == i * 14 + j
            row += 1
    assert row == len(got)


# Whole pictures


@pytest.mark.parametrize("shape", [(1, 1, 9, 10), (2, 3, 17, 24), (3, 1, 33, 12), (0, 3, 16, 16)])
def test_size_type_and_batch(shape):
    x = randn(*shape).float() / 3
    kept = x.clone()
    got = block_matching(x, 25, window=9, count=4)
    assert got.shape == x.shape and got.dtype == x.dtype and torch.equal(x, kept) and got.isfinite().all()
    for k in range(len(x)):
        close(block_matching(x[[k]], 25, window=9, count=4), got[[k]])


def test_without_noise_and_without_a_picture_nothing_changes():
    x = randn(2, 3, 20, 15)
    assert torch.equal(block_matching(x, 0), x) and block_matching(x, 0) is not x
    for value in (0.0, 0.6, -1.0):
        flat = torch.full((1, 3, 19, 26), value, dtype=torch.float64)
        close(block_matching(flat, 50), flat)


def test_it_scales_and_knows_no_sign():
    x = randn(1, 3, 24, 20) / 4
    got = block_matching(x, 25)
    close(block_matching(-x, 25), -got)
    close(block_matching(2 * x, 50), 2 * got)


def test_brightness_is_no_part_of_it():
    x = randn(1, 3, 24, 20) / 4 + 2  # so bright that no group's mean is taken for noise
    close(block_matching(x + 0.7, 25), block_matching(x, 25) + 0.7)


@pytest.mark.parametrize("turn", [lambda x: x.flip(-1), lambda x: x.flip(-2), lambda x: x.mT, lambda x: x.flip(1)])
def test_it_turns_with_its_picture_where_the_grid_does(turn):
    """The grid begins at the border and, where stride divides H - 8 and W - 8, ends there: a mirrored picture has a mirrored grid.
    Red and blue may be exchanged: only the sign of their difference changes."""
    x = randn(1, 3, 24, 32) / 4
    close(block_matching(turn(x), 25, count=8), turn(block_matching(x, 25, count=8)))


def test_it_beats_nl_means_on_held_out_photos():
    """Non-local means of scikit-image with the best of three strengths, chosen on these very pieces."""
    from skimage.restoration import denoise_nl_means

    pieces = [al.ops.downscale(al.data.photo(name)).clamp(-1, 1)[..., 20:92, 60:132] for name in ("chelsea", "flower")]
    clean = torch.cat(pieces)
    for sigma in (15, 25, 50):
        noisy = al.ops.add_noise(clean, sigma, randn(*clean.shape, seed=3).float())
        s = 2 * sigma / 255
        rival = []
        for h in (0.7, 0.9, 1.1):
            answers = [
                denoise_nl_means(x.movedim(0, -1).numpy(), 5, 5, h=h * s, sigma=s, fast_mode=False, channel_axis=-1)
                for x in noisy
            ]
            rival.append(al.metrics.psnr_each(torch.from_numpy(np.stack(answers)).movedim(-1, 1), clean).mean())
        ours = al.metrics.psnr_each(block_matching(noisy, sigma).clamp(-1, 1), clean).mean()
        assert ours > max(rival) + 0.4, (sigma, ours, rival)


@pytest.mark.parametrize(
    "given, says",
    [
        (dict(sigma=-1), "standard deviation in levels of 255, 0 or more"),
        (dict(sigma=math.nan), "0 or more"),
        (dict(sigma=25, patch=21), "at least one patch, 21 x 21"),
        (dict(sigma=25, stride=9), "stride=9.: accepted is 1 to 8"),
        (dict(sigma=25, stride=0), "accepted is 1 to 8"),
        (dict(sigma=25, window=10), "an odd window"),
        (dict(sigma=25, window=5), "there it finds 9"),
        (dict(sigma=25, count=12), "powers of 2"),
    ],
)
def test_what_block_matching_refuses(given, says):
    with pytest.raises(ValueError, match=says):
        block_matching(torch.zeros(1, 3, 20, 20), **given)
