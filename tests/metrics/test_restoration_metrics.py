"""How near a mended picture is to the true one, and how different pictures are from each other."""

import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from aigc_lessons.data import photo
from aigc_lessons.metrics import pairwise_distance, psnr, psnr_each, ssim_each


def rand(*shape, seed=0):
    return 2 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) - 1


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# PSNR


@pytest.mark.parametrize("data_range", [1.0, 2, 255.0])
@pytest.mark.parametrize("shape", [(7, 9), (3, 5, 8), (2, 3, 6, 4)])
def test_psnr_agrees_with_scikit_image(shape, data_range):
    for seed in range(5):
        x = rand(*shape, seed=seed).double()
        y = x + (0.01, 0.1, 0.5, 1.0, 3.0)[seed] * randn(*shape, seed=seed + 9).double()
        got = psnr(x, y, data_range)
        assert got.shape == () and got.item() == pytest.approx(
            peak_signal_noise_ratio(x.numpy(), y.numpy(), data_range=data_range)
        )
        assert psnr(y, x, data_range).item() == pytest.approx(got.item())


def test_psnr_by_hand_and_its_steps():
    x = torch.zeros(4, 5)
    assert psnr(x, x + 0.2, 2.0).item() == pytest.approx(20)  # 10 log10(4 / 0.04)
    for error in (0.01, 0.3, 1.5):
        halved = psnr(x, x + error / 2, 2.0) - psnr(x, x + error, 2.0)
        assert halved.item() == pytest.approx(20 * math.log10(2), abs=1e-4)
    one_off = x.clone()
    one_off[2, 3] = 2.0
    # squares are averaged, not decibels
    assert psnr(x, one_off, 2.0).item() == pytest.approx(10 * math.log10(20), abs=1e-5)
    assert psnr(x, x, 2.0) == math.inf


def test_gradients_of_psnr():
    x, y = rand(3, 4).double().requires_grad_(), rand(3, 4, seed=1).double()
    psnr(x, y, 2.0).backward()
    torch.testing.assert_close(x.grad, -20 / math.log(10) * (x - y).detach() / (x - y).detach().square().sum())


def test_psnr_of_what_cannot_be_compared():
    with pytest.raises(ValueError, match=r"psnr got \(3, 4\) and \(1, 4\). Accepted: two tensors of one shape"):
        psnr(torch.zeros(3, 4), torch.zeros(1, 4), 2.0)
    for data_range in (0, -2.0, math.nan):
        with pytest.raises(ValueError, match=rf"psnr\(data_range={data_range}\): accepted is a number above 0"):
            psnr(torch.zeros(3), torch.ones(3), data_range)


def pictures(n=4):
    x = rand(n, 3, 8, 11)
    return x, x + torch.tensor([0.05, 0.2, 0.5, 0.1])[:n].view(-1, 1, 1, 1) * randn(n, 3, 8, 11, seed=1)


def test_psnr_of_each_picture_alone():
    x, y = pictures()
    got = psnr_each(x, y)
    assert got.shape == (4,)
    for i in range(4):
        assert got[i].item() == pytest.approx(
            peak_signal_noise_ratio(x[i].numpy(), y[i].numpy(), data_range=2), rel=1e-5
        )
    assert got.argsort().tolist() == [2, 1, 3, 0]
    torch.testing.assert_close(psnr_each(x, y, torch.ones(4, 1, 8, 11)), got)


def test_psnr_inside_a_mask_counts_its_pixels_in_every_channel_and_no_others():
    x, y = pictures()
    share = torch.tensor([0.1, 0.5, 0.9, 0.3]).view(4, 1, 1, 1)
    mask = (torch.rand(4, 1, 8, 11, generator=torch.Generator().manual_seed(3)) < share).float()
    got = psnr_each(x, y, mask)
    for i in range(4):
        squares = [
            (x[i, c, h, w] - y[i, c, h, w]).item() ** 2
            for c in range(3)
            for h in range(8)
            for w in range(11)
            if mask[i, 0, h, w]
        ]
        assert len(squares) == 3 * mask[i].sum()
        assert got[i].item() == pytest.approx(10 * math.log10(4 / (sum(squares) / len(squares))), rel=1e-5)
    elsewhere = torch.where(mask.bool(), y, 100.0)
    assert torch.equal(psnr_each(x, elsewhere, mask), got)
    assert torch.equal(psnr_each(x, elsewhere, mask.bool()), got)
    assert (psnr_each(torch.where(mask.bool(), y, x), y, mask) == math.inf).all()


def test_an_empty_mask_is_named():
    x, y = pictures()
    mask = torch.ones(4, 1, 8, 11)
    mask[2] = 0
    with pytest.raises(ValueError, match="psnr_each: the mask of picture 2 holds no 1, so there is nothing to compare"):
        psnr_each(x, y, mask)


# SSIM


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_of_each_picture_is_scikit_images(channels):
    x = photo("coffee", 64)[:, :channels].unfold(2, 24, 20).unfold(3, 17, 20)[0].movedim(0, 2).flatten(0, 1)
    y = (x + 0.2 * randn(*x.shape)).clamp(-1, 1)
    got = ssim_each(x, y)
    assert got.shape == (len(x),) and len(x) > 4
    for i in range(len(x)):
        want = structural_similarity(
            x[i].movedim(0, -1).numpy(), y[i].movedim(0, -1).numpy(), channel_axis=-1, data_range=2
        )
        assert got[i].item() == pytest.approx(want, abs=1e-5)
    torch.testing.assert_close(ssim_each(x, x).double(), torch.ones(len(x)).double())
    torch.testing.assert_close(ssim_each(y, x), got)
    assert (ssim_each(x, x + 0.5 * randn(*x.shape)) < got).all()


def test_ssim_averages_formula_13_of_wang_over_all_windows():
    x, y = rand(1, 1, 9, 8).double(), rand(1, 1, 9, 8, seed=1).double()
    values = []
    for i in range(3):
        for j in range(2):  # 7 x 7 windows that lie inside
            a, b = x[0, 0, i : i + 7, j : j + 7].flatten(), y[0, 0, i : i + 7, j : j + 7].flatten()
            covariance = torch.cov(torch.stack([a, b]))
            c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
            values.append(
                (2 * a.mean() * b.mean() + c1)
                * (2 * covariance[0, 1] + c2)
                / ((a.mean() ** 2 + b.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2))
            )
    assert ssim_each(x, y).item() == pytest.approx(torch.stack(values).mean().item(), abs=1e-6)


# Distances


@pytest.mark.parametrize("shape", [(2, 1, 3, 4), (5, 3, 4, 2), (9, 2, 1, 5)])
def test_pairwise_distance_is_the_loop_over_all_pairs(shape):
    x = rand(*shape) * torch.linspace(0.1, 2, shape[0]).view(-1, 1, 1, 1)
    pairs = [(x[i] - x[j]).double().square().mean().item() for i in range(shape[0]) for j in range(i)]
    assert pairwise_distance(x) == pytest.approx(math.sqrt(sum(pairs) / len(pairs)))


def test_pairwise_distance_of_equal_and_of_two_pictures():
    x = rand(1, 3, 4, 5)
    assert pairwise_distance(x.expand(6, -1, -1, -1)) == 0
    assert pairwise_distance(torch.cat([x, x + 0.3])) == pytest.approx(0.3)
    # a shift of all is no difference
    assert pairwise_distance(torch.cat([x, x + 0.3]) + 7) == pytest.approx(0.3, rel=1e-5)
    assert isinstance(pairwise_distance(rand(3, 1, 2, 2)), float)
    assert pairwise_distance(3 * rand(6, 1, 2, 5)) == pytest.approx(3 * pairwise_distance(rand(6, 1, 2, 5)), rel=1e-5)


def test_pairwise_distance_expects_the_same_of_few_and_of_many():
    """Unbiased in the square: 4 pictures of independent pixels of variance 1 differ by 2 on average, as 1000 do."""
    squares = torch.tensor([pairwise_distance(randn(4, 1, 2, 3, seed=s)) ** 2 for s in range(400)])
    assert abs(squares.mean().item() - 2) < 4 * squares.std().item() / 20
    assert pairwise_distance(randn(1000, 1, 4, 5)) == pytest.approx(math.sqrt(2), abs=0.03)


@pytest.mark.parametrize("n", [0, 1])
def test_a_pair_takes_two(n):
    with pytest.raises(ValueError, match=f"pairwise_distance got {n} images. Accepted: at least 2"):
        pairwise_distance(torch.zeros(n, 1, 4, 4))


def test_ssim_with_the_papers_window_by_hand():
    """One window: 11x11 pixels of an 11x11 picture, weighted by a Gaussian of 1.5. scikit-image leaves the border of 5 out."""
    g = torch.Generator().manual_seed(4)
    x, y = (torch.rand(1, 1, 11, 11, generator=g, dtype=torch.float64) * 2 - 1 for _ in range(2))
    y = (x + y) / 2
    bell = (-(torch.arange(-5.0, 6).double() ** 2) / (2 * 1.5**2)).exp()
    weights = bell[:, None] * bell / (bell[:, None] * bell).sum()
    mean = lambda image: (weights * image).sum()
    mx, my = mean(x), mean(y)
    vx, vy, both = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    want = (2 * mx * my + c1) * (2 * both + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    got = ssim_each(x, y, gaussian=True)
    assert got.item() == pytest.approx(want.item(), abs=1e-6)
    assert abs(got - ssim_each(x, y)).item() > 1e-3
