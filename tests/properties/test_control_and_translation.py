"""The formulas that steer, mend and translate: conditioning, non-local means, holes, and the objectives of Pix2Pix and CycleGAN."""

import math

import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from scipy.stats import chi2
from torch import nn
from torch.autograd import gradcheck
from torchvision.transforms.v2 import functional as tvf

from aigc_lessons import losses, ops
from aigc_lessons.data import photo


def generator(seed):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


def some_mask(*shape, known=0.5, seed=0, dtype=torch.float64):
    return (torch.rand(*shape, generator=generator(seed)) < known).to(dtype)


def value_and_gradient(loss, *tensors):
    tensors = [t.clone().requires_grad_() for t in tensors]
    result = loss(*tensors)
    return result.detach(), *torch.autograd.grad(result, tensors, allow_unused=True)


# Telling a network the class


def test_noise_and_its_label_by_hand():
    told = ops.condition(torch.tensor([[0.5, -2.0], [3.0, 4.0]]), torch.tensor([2, 0]), 3)
    assert told.tolist() == [[0.5, -2, 0, 0, 1], [3, 4, 1, 0, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(7, 4), (7, 2, 3, 5), (1, 1, 4, 2), (0, 3)])
def test_the_label_stands_behind_the_input_as_one_hot_channels(shape, dtype):
    x, labels = randn(*shape, dtype=dtype), torch.randint(6, (shape[0],), generator=generator(1))
    told = ops.condition(x, labels, 6)
    assert told.shape == (shape[0], shape[1] + 6, *shape[2:]) and told.dtype == dtype
    assert torch.equal(told[:, : shape[1]], x)
    for i, label in enumerate(labels.tolist()):
        for k in range(6):
            assert (told[i, shape[1] + k] == (k == label)).all()  # the same all over a picture


def test_the_gradient_passes_through_the_input_alone():
    x = randn(3, 2, 4, 5).requires_grad_()
    weights = randn(3, 6, 4, 5, seed=1)
    (gradient,) = torch.autograd.grad((ops.condition(x, torch.tensor([3, 0, 1]), 4) * weights).sum(), x)
    assert torch.equal(gradient, weights[:, :2])


SHAPE, CLASSES = (6, 4, 3, 5), 3
LABELS = torch.tensor([2, 0, 1, 1, 0, 2])


def rows(seed=0):
    """gamma and beta, (K, C)."""
    return 1.5 + randn(CLASSES, SHAPE[1], seed=seed + 10), randn(CLASSES, SHAPE[1], seed=seed + 20)


@pytest.mark.parametrize("eps", [1e-5, 0.7])
@pytest.mark.parametrize("label", range(CLASSES))
def test_when_all_labels_agree_conditional_batch_norm_is_batch_norm(label, eps):
    x, (gamma, beta) = 3 + 2 * randn(*SHAPE), rows()
    norm = nn.BatchNorm2d(SHAPE[1], eps=eps).double().train()
    with torch.no_grad():
        norm.weight.copy_(gamma[label])
        norm.bias.copy_(beta[label])
    torch.testing.assert_close(ops.conditional_batch_norm(x, torch.full((6,), label), gamma, beta, eps), norm(x))


@pytest.mark.parametrize("eps", [1e-5, 0.7])
def test_statistics_are_taken_over_all_classes_together(eps):
    x, (gamma, beta) = randn(*SHAPE), rows()
    x[LABELS == 1] += 5  # classes that differ in mean and spread: statistics of a class alone would show
    x[LABELS == 2] *= 3
    got = ops.conditional_batch_norm(x, LABELS, gamma, beta, eps)
    for c in range(SHAPE[1]):
        values = x[:, c]
        mean, variance = values.mean(), values.square().mean() - values.mean() ** 2  # biased
        for i, label in enumerate(LABELS.tolist()):
            want = gamma[label, c] * (values[i] - mean) / (variance + eps).sqrt() + beta[label, c]
            torch.testing.assert_close(got[i, c], want)
    plain = ops.conditional_batch_norm(x, LABELS, torch.ones_like(gamma), torch.zeros_like(beta), 1e-12)
    torch.testing.assert_close(plain.mean((0, 2, 3)), torch.zeros(4).double())
    torch.testing.assert_close(plain.var((0, 2, 3), correction=0), torch.ones(4).double())
    assert plain[LABELS == 1].mean() > 0.5 > 0 > plain[LABELS == 0].mean()  # not centred class by class


def test_gradients_of_conditional_batch_norm_reach_the_classes_that_are_there():
    x, (gamma, beta) = randn(*SHAPE), rows()
    inputs = [t.requires_grad_() for t in (x, gamma, beta)]
    assert gradcheck(lambda x, g, b: ops.conditional_batch_norm(x, LABELS, g, b, 1e-3), inputs)
    some = torch.tensor([2, 0, 2, 2, 0, 2])
    result = ops.conditional_batch_norm(x, some, gamma, beta, 1e-3)
    to_gamma, to_beta = torch.autograd.grad((result * randn(*SHAPE, seed=7)).sum(), (gamma, beta))
    for gradient in (to_gamma, to_beta):
        assert not gradient[1].any() and gradient[0].all() and gradient[2].all()


def test_scale_and_shift_uses_each_pictures_own_row():
    x, (gamma, beta) = randn(*SHAPE), rows()
    got = ops.scale_and_shift(x, LABELS, gamma, beta)
    for i, label in enumerate(LABELS.tolist()):
        for c in range(SHAPE[1]):
            torch.testing.assert_close(got[i, c], gamma[label, c] * x[i, c] + beta[label, c])


def projection_inputs(seed=0, n=7, d=5, k=4):
    labels = torch.randint(k, (n,), generator=generator(seed + 1))
    return randn(n, d, seed=seed), labels, randn(k, d, seed=seed + 2), randn(d, seed=seed + 3)


@pytest.mark.parametrize("seed", range(5))
def test_the_projection_logit_is_a_loop_of_dot_products(seed):
    features, labels, embedding, weight = projection_inputs(seed)
    got = ops.projection_logit(features, labels, embedding, weight)
    want = [
        sum(f[j] * (weight[j] + embedding[label][j]) for j in range(5))
        for f, label in zip(features.tolist(), labels.tolist())
    ]
    assert got.shape == (7,)
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64))


def test_the_projection_logit_is_linear_in_features_and_in_the_weights():
    features, labels, embedding, weight = projection_inputs()
    other, _, embedding_2, weight_2 = projection_inputs(50)
    f = ops.projection_logit
    torch.testing.assert_close(
        f(2 * features - 3 * other, labels, embedding, weight),
        2 * f(features, labels, embedding, weight) - 3 * f(other, labels, embedding, weight),
    )
    torch.testing.assert_close(
        f(features, labels, 2 * embedding - 3 * embedding_2, 2 * weight - 3 * weight_2),
        2 * f(features, labels, embedding, weight) - 3 * f(features, labels, embedding_2, weight_2),
    )
    inputs = [t.requires_grad_() for t in (features, embedding, weight)]
    assert gradcheck(lambda x, e, w: f(x, labels, e, w), inputs)


# Non-local means


def nl_means_by_loops(image, patch, window, h):
    """Buades et al. 2005, section 3, pixel by pixel."""
    reach, around = window // 2, patch // 2
    far = reach + around
    rows, columns = image.shape
    inside = lambda i, n: -i if i < 0 else 2 * (n - 1) - i if i >= n else i  # reflected, the border pixel not repeated
    at = lambda y, x: image[inside(y, rows), inside(x, columns)].item()
    padded = [[at(y, x) for x in range(-far, columns + far)] for y in range(-far, rows + far)]
    out = torch.zeros_like(image)
    for y in range(rows):
        for x in range(columns):
            total = weights = 0.0
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    d = 0.0
                    for a in range(-around, around + 1):
                        for b in range(-around, around + 1):
                            d += (padded[y + a + far][x + b + far] - padded[y + dy + a + far][x + dx + b + far]) ** 2
                    weight = math.exp(-d / patch**2 / h**2)
                    total += weight * padded[y + dy + far][x + dx + far]
                    weights += weight
            out[y, x] = total / weights
    return out


@pytest.mark.parametrize(
    ("shape", "patch", "window", "h"),
    [((7, 9), 3, 5, 0.6), ((9, 6), 5, 3, 1.3), ((6, 8), 1, 7, 0.4), ((5, 4), 3, 3, 4.0), ((4, 6), 3, 1, 0.5)],
)
def test_nl_means_is_the_loop_over_all_pixels_windows_and_patches(shape, patch, window, h):
    image = randn(*shape)
    got = ops.nl_means(image, patch, window, h)
    assert got.shape == shape and got.dtype == torch.float64
    torch.testing.assert_close(got, nl_means_by_loops(image, patch, window, h))


@pytest.mark.parametrize(("patch", "window", "h"), [(3, 7, 0.1), (5, 5, 1.0), (1, 9, 0.01)])
def test_nl_means_leaves_a_constant_image_alone(patch, window, h):
    for level in (-1.0, 0.3, 1.0):
        image = torch.full((11, 14), level)
        torch.testing.assert_close(ops.nl_means(image, patch, window, h), image, rtol=1e-6, atol=0)


def test_nl_means_knows_no_direction_and_no_ground_level():
    image = randn(11, 14)
    run = lambda x, h=0.8: ops.nl_means(x, 3, 5, h)
    clean = run(image)
    assert (clean - image).square().mean() > 0.01
    for move in (lambda x: x.flip(0), lambda x: x.flip(1), lambda x: x.T, lambda x: -x):
        torch.testing.assert_close(run(move(image)), move(clean))
    torch.testing.assert_close(run(image + 5), clean + 5)
    torch.testing.assert_close(run(3 * image, 2.4), 3 * clean)  # h is in the image's units
    torch.testing.assert_close(run(3 * image, -2.4), 3 * clean)
    assert gradcheck(lambda x: ops.nl_means(x, 3, 3, 0.8), randn(4, 5).requires_grad_())


def test_nl_means_between_its_two_ends():
    image = randn(10, 12)
    torch.testing.assert_close(ops.nl_means(image, 3, 5, 1e-3), image)  # nothing is like anything else
    mean = F.avg_pool2d(F.pad(image[None, None], [2] * 4, mode="reflect"), 5, 1)[0, 0]
    torch.testing.assert_close(ops.nl_means(image, 3, 5, 1e5), mean)  # everything is like everything: a box filter
    changes = [(ops.nl_means(image, 3, 5, h) - image).square().mean().item() for h in (0.3, 0.6, 1.2, 2.4)]
    assert changes == sorted(changes) and changes[0] < changes[-1] / 10


@pytest.mark.parametrize("seed", range(2))
def test_nl_means_is_close_to_scikit_images(seed):
    """scikit-image weights the pixels of a patch by a Gaussian, cuts the window at the border of the picture and leaves out
    patches that are very unlike. So the two agree roughly, and away from the border only: to less than a fifth of what they
    take away. The bound still tells a wrong window, or an h that is wrong by the root of 2, from the right ones."""
    from skimage.restoration import denoise_nl_means

    clean = photo("chelsea", 96)[0, :, 20:70, 15:75].mean(0).double()
    noisy = ops.add_noise(clean, 15, randn(*clean.shape, seed=seed))
    theirs = torch.from_numpy(denoise_nl_means(noisy.numpy(), patch_size=7, patch_distance=4, h=0.15, fast_mode=False))

    def apart(ours):
        return (ours - theirs)[8:-8, 8:-8].square().mean().sqrt().item()

    assert apart(ops.nl_means(noisy, 7, 9, 0.15)) < 0.0185 and apart(noisy) > 0.09
    for window, h in ((9, 0.15 * 2**0.5), (9, 0.15 / 2**0.5), (9, 0.3), (5, 0.15), (17, 0.15), (19, 0.15)):
        assert apart(ops.nl_means(noisy, 7, window, h)) > 0.0195


# Holes


@pytest.mark.parametrize("shape", [(4, 3, 5, 7), (2, 1, 8, 3)])
def test_a_composite_is_known_bit_for_bit_and_generated_elsewhere(shape):
    known, made = randn(*shape, dtype=torch.float32), randn(*shape, seed=1, dtype=torch.float32)
    mask = some_mask(shape[0], 1, *shape[2:], dtype=torch.float32)
    got = ops.composite(known, made, mask)
    everywhere = mask.expand(shape) == 1
    assert got.shape == shape and 0.2 < everywhere.float().mean() < 0.8
    assert torch.equal(got[everywhere], known[everywhere]) and torch.equal(got[~everywhere], made[~everywhere])
    assert torch.equal(ops.composite(known, made, torch.ones_like(mask)), known)
    assert torch.equal(ops.composite(known, made, torch.zeros_like(mask)), made)
    assert torch.equal(ops.composite(known, known, mask), known)
    assert torch.equal(ops.composite(made, known, 1 - mask), got)
    assert torch.equal(ops.composite(got, made, mask), got)  # doing it again changes nothing


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_lies_under_the_hole_does_not_come_through(bad):
    known, made, mask = randn(3, 2, 4, 5), randn(3, 2, 4, 5, seed=1), some_mask(3, 1, 4, 5)
    spoilt = torch.where(mask.bool(), known, bad)
    assert torch.equal(ops.composite(spoilt, made, mask), ops.composite(known, made, mask))
    unused = torch.where(mask.bool(), bad, made)
    assert torch.equal(ops.composite(known, unused, mask), ops.composite(known, made, mask))


def test_the_gradient_of_a_composite_goes_to_the_generated_pixels_under_the_hole_only():
    mask, weights = some_mask(3, 1, 4, 5), randn(3, 2, 4, 5, seed=2)
    known, made = randn(3, 2, 4, 5), randn(3, 2, 4, 5, seed=1)
    _, to_known, to_made = value_and_gradient(lambda k, g: (ops.composite(k, g, mask) * weights).sum(), known, made)
    assert torch.equal(to_made, weights * (1 - mask)) and torch.equal(to_known, weights * mask)


@pytest.mark.parametrize(("k", "channels", "out"), [(3, 2, 4), (5, 1, 3), (1, 3, 2), (7, 2, 1)])
def test_for_a_full_mask_partial_convolution_is_convolution(k, channels, out):
    # sums without rounding
    whole = lambda *shape, seed: torch.randint(-9, 10, shape, generator=generator(seed)).double()
    x, weight, mask = (
        whole(2, channels, 9, 11, seed=1),
        whole(out, channels, k, k, seed=2),
        torch.ones(2, 1, 9, 11).double(),
    )
    got, after = ops.partial_conv2d(x, mask, weight)
    ordinary = F.conv2d(x, weight, padding=k // 2)
    assert got.shape == (2, out, 9, 11) and torch.equal(after, mask)
    edge = k // 2
    inner = (..., slice(edge, 9 - edge), slice(edge, 11 - edge))
    # 49 * (1 / 49) is not 1
    torch.testing.assert_close(got[inner], ordinary[inner], rtol=0 if k < 7 else 1e-15, atol=0)
    count = lambda i, n: min(i + edge, n - 1) - max(i - edge, 0) + 1  # how many rows of a window lie inside the picture
    scale = torch.tensor([[k * k / (count(i, 9) * count(j, 11)) for j in range(11)] for i in range(9)]).double()
    torch.testing.assert_close(got, ordinary * scale)
    assert k == 1 or scale.max() > 1.9


@pytest.mark.parametrize(("k", "seed"), [(3, 0), (3, 1), (5, 2), (1, 3)])
def test_partial_convolution_is_a_loop_over_windows(k, seed):
    n, c, o, h, w, r = 2, 3, 2, 5, 6, k // 2
    x, mask, weight = (
        randn(n, c, h, w, seed=seed),
        some_mask(n, 1, h, w, known=0.35, seed=seed),
        randn(o, c, k, k, seed=seed + 9),
    )
    got, after = ops.partial_conv2d(x, mask, weight)
    for i in range(n):
        for y in range(h):
            for z in range(w):
                total, known = torch.zeros(o).double(), 0
                for a in range(k):
                    for b in range(k):
                        p, q = y + a - r, z + b - r
                        if 0 <= p < h and 0 <= q < w and mask[i, 0, p, q]:
                            total, known = total + weight[:, :, a, b] @ x[i, :, p, q], known + 1
                torch.testing.assert_close(got[i, :, y, z], total * k * k / known if known else total)
                assert after[i, 0, y, z] == (known > 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30])
def test_partial_convolution_ignores_what_lies_under_the_hole(bad):
    x, mask, weight = randn(3, 2, 8, 9), some_mask(3, 1, 8, 9), randn(4, 2, 3, 3, seed=1)
    want = ops.partial_conv2d(x, mask, weight)
    got = ops.partial_conv2d(torch.where(mask.bool(), x, bad), mask, weight)
    assert all(torch.equal(a, b) for a, b in zip(got, want))
    spoilt = torch.where(mask.bool(), x, bad).requires_grad_()
    (gradient,) = torch.autograd.grad(ops.partial_conv2d(spoilt, mask, weight)[0].sum(), spoilt)
    assert gradient.isfinite().all() and not gradient[(mask == 0).expand_as(x)].any()
    assert gradient[(mask == 1).expand_as(x)].all()


def test_a_window_that_knows_nothing_gives_0_and_stays_a_hole():
    mask = torch.ones(1, 1, 9, 10).double()
    mask[..., 2:7, 3:9] = 0
    got, after = ops.partial_conv2d(1 + randn(1, 2, 9, 10).abs(), mask, torch.ones(3, 2, 3, 3).double())
    assert not after[..., 3:6, 4:8].any() and after.sum() == 90 - 12
    assert not got[..., 3:6, 4:8].any() and (got != 0).sum() == 3 * 78
    nothing = ops.partial_conv2d(randn(1, 2, 9, 10), torch.zeros_like(mask), randn(3, 2, 3, 3))
    assert not nothing[0].any() and not nothing[1].any()


@pytest.mark.parametrize("k", [3, 5])
def test_a_constant_picture_stays_constant_for_a_flat_kernel_and_any_mask(k):
    # a level for each channel; a weight for each pair
    levels, sides = torch.tensor([0.7, -2.0, 1.1]).double(), randn(4, 3, seed=2)
    weight = sides[:, :, None, None].expand(4, 3, k, k)
    for seed in range(60):
        mask = some_mask(2, 1, 7, 9, known=(0.03, 0.2, 0.6, 0.95)[seed % 4], seed=seed)
        got, after = ops.partial_conv2d(levels.view(1, 3, 1, 1).expand(2, 3, 7, 9), mask, weight)
        torch.testing.assert_close(got, k * k * (sides @ levels).view(1, 4, 1, 1) * after)


@pytest.mark.parametrize("known", [0.1, 0.5, 0.9])
def test_a_constant_picture_stays_constant_in_the_mean_for_any_kernel(known):
    """Any pixel is as likely to be missing as any other: the mean over masks is the constant times the kernel's sum."""
    weight = torch.arange(-2.0, 7.0).double().view(1, 1, 3, 3) / 10  # far from flat, and from symmetric
    n = 20_000
    got, after = ops.partial_conv2d(
        torch.full((n, 1, 3, 3), 0.7).double(), some_mask(n, 1, 3, 3, known=known, seed=3), weight
    )
    middle = got[:, 0, 1, 1][after[:, 0, 1, 1] == 1]
    error = (middle.std() / len(middle) ** 0.5).item()
    assert len(middle) > n / 2 and 0 < error < 0.02
    assert abs(middle.mean().item() - 0.7 * weight.sum().item()) < 4 * error


@pytest.mark.parametrize("k", [1, 3, 5])
def test_the_mask_grows_by_dilation(k):
    for seed, known in enumerate((0.02, 0.1, 0.4)):
        mask = some_mask(3, 1, 10, 13, known=known, seed=seed, dtype=torch.float32)
        _, after = ops.partial_conv2d(
            randn(3, 2, 10, 13, dtype=torch.float32), mask, randn(2, 2, k, k, dtype=torch.float32)
        )
        want = [ndimage.binary_dilation(m[0].numpy() > 0, structure=[[1] * k] * k) for m in mask]
        assert after.dtype == mask.dtype and torch.equal(
            after[:, 0] == 1, torch.stack([torch.from_numpy(w) for w in want])
        )
        assert ((after == 0) | (after == 1)).all() and (after >= mask).all()


def test_partial_convolution_passes_gradcheck():
    mask = some_mask(2, 1, 4, 5, known=0.4)
    inputs = [t.requires_grad_() for t in (randn(2, 2, 4, 5), randn(3, 2, 3, 3, seed=1))]
    assert gradcheck(lambda x, w: ops.partial_conv2d(x, mask, w)[0], inputs)


# Noise and size


@pytest.mark.parametrize("sigma", [5, 15, 25, 50])
def test_noise_has_the_deviation_asked_for_in_levels_of_255(sigma):
    images, n = 2 * torch.rand(20, 3, 32, 32, generator=generator(1)) - 1, 20 * 3 * 32 * 32
    noisy = ops.add_noise(images, sigma, randn(20, 3, 32, 32, seed=sigma, dtype=torch.float32))
    levels = ((noisy - images) * 255 / 2).double()  # as bytes count: 255 levels from -1 to 1
    low, high = (math.sqrt(chi2.ppf(p, n - 1) / (n - 1)) for p in (5e-5, 1 - 5e-5))  # 99.99 %
    assert low < levels.std().item() / sigma < high and high < 1.02
    assert abs(levels.mean().item()) < 4 * sigma / n**0.5
    assert noisy.max() > 1 and noisy.min() < -1  # not clipped


def test_noise_of_each_picture_its_own_strength():
    images, noise = randn(3, 2, 4, 5), randn(3, 2, 4, 5, seed=1)
    sigma = torch.tensor([0.0, 255.0, 51.0]).double().view(3, 1, 1, 1)
    torch.testing.assert_close(
        ops.add_noise(images, sigma, noise), images + torch.tensor([0, 2, 0.4]).double().view(3, 1, 1, 1) * noise
    )
    assert torch.equal(ops.add_noise(images, 0, noise), images)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("shape", [(2, 3, 8, 12), (1, 1, 20, 4)])
def test_sizes_change_as_torchvision_changes_them(shape, factor):
    images = randn(*shape, dtype=torch.float32)
    n, c, h, w = shape
    small, large = ops.downscale(images, factor), ops.upscale(images, factor)
    assert small.shape == (n, c, h // factor, w // factor) and large.shape == (n, c, h * factor, w * factor)
    for got, size, antialias in ((small, (h // factor, w // factor), True), (large, (h * factor, w * factor), False)):
        want = tvf.resize(images, size, tvf.InterpolationMode.BICUBIC, antialias=antialias)
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ops.downscale(images), ops.downscale(images, 2))
    torch.testing.assert_close(ops.upscale(images), ops.upscale(images, 2))


def test_what_is_finer_than_a_small_picture_can_hold_is_averaged_not_picked():
    y, x = torch.meshgrid(torch.arange(16), torch.arange(24), indexing="ij")
    board = ((-1.0) ** (x + y))[None, None]
    assert ops.downscale(board)[..., 2:-2, 2:-2].abs().max() < 0.05
    for level in (-1.0, 0.4):
        flat = torch.full((1, 2, 8, 6), level)
        torch.testing.assert_close(ops.downscale(flat), flat[..., :4, :3])
        torch.testing.assert_close(ops.upscale(flat), torch.full((1, 2, 16, 12), level))
    smooth = torch.sin(x / 5.0 + 1)[None, None] * torch.cos(y / 6.0)[None, None]
    assert (ops.upscale(ops.downscale(smooth)) - smooth)[..., 4:-4, 4:-4].abs().max() < 0.03


# Objectives


def test_masked_l1_by_hand():
    prediction = torch.tensor([1.0, -2.0, 5.0, 0.0]).view(1, 2, 1, 2)
    target = torch.tensor([0.5, 1.0, 2.0, 4.0]).view(1, 2, 1, 2)
    # channel 0: |0.5|, |-3|; channel 1: |3|, |-4|
    assert losses.masked_l1(prediction, target, torch.tensor([[[[1.0, 0.0]]]])).item() == 1.75
    assert losses.masked_l1(prediction, target, torch.tensor([[[[0.0, 1.0]]]])).item() == 3.5
    assert losses.masked_l1(prediction, target, torch.tensor([[[[1.0, 1.0]]]])).item() == 2.625


@pytest.mark.parametrize("seed", range(6))
def test_masked_l1_and_its_gradient_count_what_the_mask_counts(seed):
    prediction, target = randn(3, 2, 4, 5, seed=seed), randn(3, 2, 4, 5, seed=seed + 50)
    mask = some_mask(3, 1, 4, 5, known=(0.1, 0.5, 0.9)[seed % 3], seed=seed)
    counted = mask.expand_as(prediction) == 1
    loss = lambda p, t: losses.masked_l1(p, t, mask)
    got, to_prediction, to_target = value_and_gradient(loss, prediction, target)
    difference = (prediction - target)[counted]
    torch.testing.assert_close(got, difference.abs().sum() / (2 * mask.sum()))
    torch.testing.assert_close(to_prediction[counted], difference.sign() / (2 * mask.sum()))
    assert not to_prediction[~counted].any() and torch.equal(to_target, -to_prediction)
    spoilt = torch.where(counted, prediction, math.nan)
    for a, b in zip(value_and_gradient(loss, spoilt, target), (got, to_prediction, to_target)):
        assert torch.equal(a, b)
    full = losses.masked_l1(prediction, target, torch.ones_like(mask))
    torch.testing.assert_close(full, F.l1_loss(prediction, target))


def test_masked_l1_of_nothing_is_0_with_gradients_0():
    got, to_prediction, to_target = value_and_gradient(
        lambda p, t: losses.masked_l1(p, t, torch.zeros(2, 1, 3, 4).double()),
        randn(2, 3, 3, 4),
        randn(2, 3, 3, 4, seed=1),
    )
    assert got.item() == 0 and not to_prediction.any() and not to_target.any()


LOGITS = torch.cat([torch.linspace(-50, 50, 7), torch.linspace(-2, 3, 8)]).double()


def test_least_squares_losses_and_their_gradients():
    real, fake = LOGITS, (1.3 - LOGITS[:12] / 2).view(2, 1, 2, 3)
    got, to_real, to_fake = value_and_gradient(losses.least_squares_discriminator_loss, real, fake)
    torch.testing.assert_close(
        got, 0.5 * (F.mse_loss(real, torch.ones_like(real)) + F.mse_loss(fake, torch.zeros_like(fake)))
    )
    torch.testing.assert_close(to_real, (real - 1) / 15)
    torch.testing.assert_close(to_fake, fake / 12)
    got, to_fake = value_and_gradient(losses.least_squares_generator_loss, fake)
    torch.testing.assert_close(got, F.mse_loss(fake, torch.ones_like(fake)))
    torch.testing.assert_close(to_fake, 2 * (fake - 1) / 12)
    assert losses.least_squares_discriminator_loss(torch.ones(3), torch.zeros(5)).item() == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_best_least_squares_discriminator_is_the_share_of_the_data(seed):
    """Mao et al. 2017, eq. 5: it says p_data / (p_data + p_model), where the cross-entropy's says that after a sigmoid."""
    real, fake = (torch.randint(1, 9, (6,), generator=generator(seed + i)) for i in (0, 40))
    p, q = real / real.sum().double(), fake / fake.sum().double()
    best = losses.optimal_discriminator(p, q)
    repeats = real * fake.sum(), fake * real.sum()  # as many of the one as of the other
    value = lambda logits: losses.least_squares_discriminator_loss(*(logits.repeat_interleave(r) for r in repeats))
    top, gradient = value_and_gradient(value, best)
    torch.testing.assert_close(gradient, torch.zeros(6).double(), rtol=0, atol=1e-14)
    assert all(value(best + 0.1 * randn(6, seed=other)) > top for other in range(30))


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0, 100.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_pix2pix_generator_loss_and_its_gradients(weight, seed):
    logits, fake, target = (
        3 * randn(2, 1, 3, 4, seed=seed),
        randn(2, 3, 5, 4, seed=seed + 10),
        randn(2, 3, 5, 4, seed=seed + 20),
    )
    got, to_logits, to_fake, to_target = value_and_gradient(
        lambda *t: losses.pix2pix_generator_loss(*t, weight), logits, fake, target
    )
    adversarial = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
    torch.testing.assert_close(got, adversarial + weight * F.l1_loss(fake, target))
    torch.testing.assert_close(to_logits, -torch.sigmoid(-logits) / 24)
    torch.testing.assert_close(to_fake, weight * (fake - target).sign() / 120)
    torch.testing.assert_close(to_target, -weight * (fake - target).sign() / 120)


def test_the_pix2pix_generator_loss_by_hand():
    logits, fake, target = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 4.0, -1.0]])
    assert losses.pix2pix_generator_loss(logits, fake, target, 10.0).item() == pytest.approx(math.log(2) + 10 * 2)


@pytest.mark.parametrize("seed", range(5))
def test_the_cycle_loss_is_a_mean_difference(seed):
    x, back = randn(2, 3, 4, 5, seed=seed), randn(2, 3, 4, 5, seed=seed + 10)
    got, to_x, to_back = value_and_gradient(losses.cycle_loss, x, back)
    torch.testing.assert_close(got, F.l1_loss(back, x))
    torch.testing.assert_close(to_back, (back - x).sign() / 120)
    torch.testing.assert_close(to_x, -to_back)


def test_the_cycle_loss_is_0_for_inverse_maps_and_what_is_left_otherwise():
    x = 2 * torch.rand(4, 3, 6, 5, generator=generator(0)).double() - 1
    for there, back in (
        (lambda v: v.flip(-1), lambda v: v.flip(-1)),
        (lambda v: v.mT, lambda v: v.mT),
        (lambda v: -v, lambda v: -v),
        (lambda v: v.roll(2, -1), lambda v: v.roll(-2, -1)),
        (lambda v: v / 4, lambda v: v * 4),
    ):
        assert losses.cycle_loss(x, back(there(x))).item() == 0
    assert losses.cycle_loss(x, x + 0.25).item() == pytest.approx(0.25)
    assert losses.cycle_loss(x, -x).item() == pytest.approx(2 * x.abs().mean().item())
    assert losses.cycle_loss(torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.0, 1.0, 0.5])).item() == pytest.approx(
        4 / 3
    )


NAMES = ("fake_logits_a", "fake_logits_b", "a", "cycled_a", "b", "cycled_b", "same_a", "same_b")


def cyclegan_inputs(seed):
    """All eight, of sizes that differ where they may: two logit maps, n pictures of A and m of B."""
    shapes = ((3, 1, 2, 4), (2, 1, 3, 5), *[(2, 3, 4, 5)] * 2, *[(3, 3, 2, 6)] * 2, (2, 3, 4, 5), (3, 3, 2, 6))
    return dict(zip(NAMES, (2 * randn(*s, seed=10 * seed + i) for i, s in enumerate(shapes))))


@pytest.mark.parametrize("weights", [(10.0, 5.0), (3.0, 0.0), (0.0, 0.7), (0.0, 0.0)])
@pytest.mark.parametrize("seed", range(4))
def test_every_term_of_the_cyclegan_generator_loss_with_its_weight_and_gradient(weights, seed):
    given = cyclegan_inputs(seed)
    got, *gradients = value_and_gradient(lambda *t: losses.cyclegan_generator_loss(*t, *weights), *given.values())
    g = dict(zip(NAMES, gradients))
    cycle, identity = weights
    l1 = F.l1_loss
    to_1 = lambda logits: F.mse_loss(logits, torch.ones_like(logits))
    want = (
        to_1(given["fake_logits_a"])
        + to_1(given["fake_logits_b"])
        + cycle * l1(given["cycled_a"], given["a"])
        + cycle * l1(given["cycled_b"], given["b"])
        + identity * l1(given["same_a"], given["a"])
        + identity * l1(given["same_b"], given["b"])
    )
    torch.testing.assert_close(got, want)
    for name, n in (("fake_logits_a", 24), ("fake_logits_b", 30)):
        torch.testing.assert_close(g[name], 2 * (given[name] - 1) / n)
    for domain, n in (("a", 120), ("b", 108)):
        x, cycled, same = given[domain], given[f"cycled_{domain}"], given[f"same_{domain}"]
        torch.testing.assert_close(g[f"cycled_{domain}"], cycle * (cycled - x).sign() / n)
        torch.testing.assert_close(g[f"same_{domain}"], identity * (same - x).sign() / n)
        torch.testing.assert_close(g[domain], -(cycle * (cycled - x).sign() + identity * (same - x).sign()) / n)


@pytest.mark.parametrize("name", NAMES)
def test_no_argument_of_the_cyclegan_generator_loss_stands_in_for_another(name):
    given, other = cyclegan_inputs(1), cyclegan_inputs(2)
    changed = losses.cyclegan_generator_loss(**{**given, name: other[name]})
    assert (changed - losses.cyclegan_generator_loss(**given)).abs() > 1e-3
    perfect = {k: torch.ones_like(given[k]) for k in NAMES[:2]} | {k: given[k[-1]] for k in NAMES[2:]}
    assert losses.cyclegan_generator_loss(**perfect).item() == 0
    assert losses.cyclegan_generator_loss(**{**perfect, name: other[name]}) > 0.1


def test_the_cyclegan_generator_loss_by_hand_with_its_usual_weights():
    t = torch.tensor
    args = (t([0.0, 2.0]), t([3.0]), t([1.0, 1.0]), t([1.0, 1.5]), t([-1.0]), t([1.0]), t([0.0, 1.0]), t([-1.5]))
    # (1 + 1) / 2 + 4, then 10 (0.25 + 2), then 5 (0.5 + 0.5)
    assert losses.cyclegan_generator_loss(*args).item() == pytest.approx(5 + 22.5 + 5)
    assert losses.cyclegan_generator_loss(*args, 2.0, 0.5).item() == pytest.approx(5 + 4.5 + 0.5)


@pytest.mark.parametrize("logit", [50.0, -50.0])
def test_losses_are_finite_with_finite_gradients_far_out(logit):
    far = torch.full((2, 1, 3, 3), logit)
    x = torch.full((2, 3, 4, 4), 1.0)
    for loss, tensors in (
        (losses.least_squares_discriminator_loss, (far, -far)),
        (losses.least_squares_generator_loss, (far,)),
        (lambda z, f: losses.pix2pix_generator_loss(z, f, x, 100.0), (far, -x)),
        (lambda z, y, f: losses.cyclegan_generator_loss(z, y, x, f, -x, -f, x, f), (far, -far, -x)),
    ):
        result, *gradients = value_and_gradient(loss, *tensors)
        assert result.isfinite() and result.shape == ()
        assert all(g.isfinite().all() and g.any() for g in gradients)
    adversarial, gradient = value_and_gradient(lambda z: losses.pix2pix_generator_loss(z, x, x, 100.0), far)
    assert adversarial.item() == pytest.approx(max(0.0, -logit), abs=1e-6) and gradient.isfinite().all()
