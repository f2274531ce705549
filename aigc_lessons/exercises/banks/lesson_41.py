"""The exercises of lesson 41: how near a restored picture is to the true one, non-local means, a group of patches that is filtered, a plain
CNN to build, and what an average gains."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn

from ...blocks import filter_group
from ...metrics import psnr
from ...models.restoration import plain_cnn
from ...ops import nl_means
from ..engine import Case, Exercise, Mistake, Pair

# psnr


def _psnr_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, x, y, data_range):
        return Case(label, (torch.as_tensor(x), torch.as_tensor(y), data_range), gradients=(0, 1))

    def drawn(label, shape, noise, data_range=2.0, low=-1.0):
        """A picture with noise; each picture of a batch has more of it than the one before."""
        x = torch.rand(shape, generator=g) * data_range + low
        stronger = torch.arange(1.0, shape[0] + 1).view(-1, *[1] * (len(shape) - 1))
        return case(label, x, x + noise * data_range * stronger * (torch.randn(shape, generator=g) + 0.3), data_range)

    same = torch.rand(2, 3, generator=g)
    return [
        case("two pixels, one wrong by 2", [1.0, 0.5], [-1.0, 0.5], 2),
        case(
            "two rows of 8-bit levels",
            [[10.0, 250.0, 3.0], [128.0, 0.0, 77.0]],
            [[12.0, 247.0, 3.0], [120.0, 5.0, 76.0]],
            255,
        ),
        case("errors larger than the range: below 0 dB", [[0.0, 1.0], [0.5, 0.25]], [[3.0, -2.0], [0.5, -1.5]], 1.0),
        Case("equal pictures", (same, same.clone(), 1.5)),
        drawn("one grey picture", (1, 1, 7, 5), 0.1),
        drawn("three colour pictures, more and more noise", (3, 3, 5, 4), 0.03),
        drawn("values from 0 to 1", (4, 6), 0.02, 1.0, 0.0),
        drawn("8-bit levels", (2, 3, 6), 0.05, 255.0, 0.0),
        drawn("faint noise", (5, 2, 3), 0.001, 3.0),
    ]


def _mse(x, y):
    return (x - y).square().mean()


def _decibels(ratio):
    return 10 * torch.log10(ratio)


def _psnr_pixel_by_pixel(x, y, data_range):
    total = torch.zeros((), dtype=torch.float64)
    for a, b in zip(x.flatten(), y.flatten()):
        total = total + (a.double() - b.double()) ** 2
    return 10 * torch.log10(data_range**2 * x.numel() / total)


def _psnr_by_numpy(x, y, data_range):
    with np.errstate(divide="ignore"):
        return 10 * np.log10(data_range**2 / np.mean((x.numpy().astype(np.float64) - y.numpy()) ** 2))


def _psnr_by_math(x, y, data_range):
    error = _mse(x, y).item()
    return math.inf if error == 0 else 20 * math.log10(data_range) - 10 * math.log10(error)


def _of_errors(value):
    """Mistakes of the kind value(x - y, data_range)."""
    return lambda x, y, data_range: value(x - y, data_range)


PSNR = Exercise(
    name="psnr",
    lesson=41,
    points=1,
    minutes=6,
    docstring="""Peak signal-to-noise ratio: how small the error between two pictures is, in decibels.

x, y: tensors of one shape, any number of axes. data_range: number above 0, the greatest minus the least possible value, such as
2 for pictures in [-1, 1], even where this picture does not use all of it.
Returns a scalar: 10 log10(data_range^2 / mean squared error), the mean taken once, over all elements of all pictures. It is
negative where the error is larger than the range, and infinite for equal pictures.""",
    reference=psnr,
    cases=_psnr_cases,
    alternatives={
        "the library's mean squared error": lambda x, y, data_range: 10 * (data_range**2 / F.mse_loss(x, y)).log10(),
        "a difference of logarithms": lambda x, y, data_range: (
            20 * math.log10(data_range) - 10 * torch.log10(_mse(x, y))
        ),
        "20 log10 of the root": lambda x, y, data_range: 20 * torch.log10(data_range / _mse(x, y).sqrt()),
        "natural logarithm": lambda x, y, data_range: 10 / math.log(10) * (data_range**2 / _mse(x, y)).log(),
        "the range divided out first": lambda x, y, data_range: (
            -10 * torch.log10(torch.mean(((x - y) / data_range) ** 2))
        ),
        "by length": lambda x, y, data_range: (
            20 * torch.log10(data_range * x.numel() ** 0.5 / torch.linalg.vector_norm(x - y))
        ),
        "pixel by pixel, float64": _psnr_pixel_by_pixel,
        "NumPy": _psnr_by_numpy,
        "plain numbers": _psnr_by_math,
    },
    mistakes=(
        Mistake(
            "range not squared",
            "You divide data_range by the squared error; square the range too.",
            _of_errors(lambda e, r: _decibels(r / e.square().mean())),
        ),
        Mistake(
            "20 for 10",
            "You multiply by 20, which belongs to the root of the ratio; for a ratio of squares it is 10.",
            _of_errors(lambda e, r: 2 * _decibels(r**2 / e.square().mean())),
        ),
        Mistake(
            "10 forgotten",
            "You return bels; ten decibels are one bel, so multiply by 10.",
            _of_errors(lambda e, r: _decibels(r**2 / e.square().mean()) / 10),
        ),
        Mistake(
            "natural logarithm",
            "You use the natural logarithm; decibels use that to base 10.",
            _of_errors(lambda e, r: 10 * (r**2 / e.square().mean()).log()),
        ),
        Mistake(
            "base 2",
            "You use the logarithm to base 2; decibels use that to base 10.",
            _of_errors(lambda e, r: 10 * (r**2 / e.square().mean()).log2()),
        ),
        Mistake(
            "no logarithm",
            "You return the ratio itself; decibels are 10 times its logarithm.",
            _of_errors(lambda e, r: r**2 / e.square().mean()),
        ),
        Mistake(
            "upside down",
            "You divide the error by the range, which changes the sign; more decibels mean a better picture.",
            _of_errors(lambda e, r: _decibels(e.square().mean() / r**2)),
        ),
        Mistake(
            "root of the error",
            "You take the root of the mean squared error but square the range; both are squares or neither.",
            _of_errors(lambda e, r: _decibels(r**2 / e.square().mean().sqrt())),
        ),
        Mistake(
            "absolute error",
            "You take the mean of |x - y|; take the mean of the squares.",
            _of_errors(lambda e, r: _decibels(r**2 / e.abs().mean().square())),
        ),
        Mistake(
            "sum of squares",
            "You add up the squares; take their mean, or a larger picture always looks worse.",
            _of_errors(lambda e, r: _decibels(r**2 / e.square().sum())),
        ),
        Mistake(
            "mean before the square",
            "You take the mean before you square, so errors up and down cancel.",
            _of_errors(lambda e, r: _decibels(r**2 / e.mean().square())),
        ),
        Mistake(
            "variance of the error",
            "You subtract the mean error first; a picture that is too bright everywhere is wrong as well.",
            _of_errors(lambda e, r: _decibels(r**2 / e.var(correction=0))),
        ),
        Mistake(
            "divided by one less",
            "You divide the sum of squares by the count less one; a mean divides by the count.",
            _of_errors(lambda e, r: _decibels(r**2 / (e.square().sum() / (e.numel() - 1)))),
        ),
        Mistake(
            "range ignored",
            "You leave out data_range, as if it were 1.",
            _of_errors(lambda e, r: _decibels(1 / e.square().mean())),
        ),
        Mistake(
            "always 255",
            "You use 255 whatever data_range says.",
            _of_errors(lambda e, r: _decibels(255**2 / e.square().mean())),
        ),
        Mistake(
            "always 2", "You use 2 whatever data_range says.", _of_errors(lambda e, r: _decibels(4 / e.square().mean()))
        ),
        Mistake(
            "half the range",
            "You use half of data_range, the largest value of a picture in [-1, 1]; the peak is the whole range.",
            _of_errors(lambda e, r: _decibels((r / 2) ** 2 / e.square().mean())),
        ),
        Mistake(
            "the picture's own range",
            "You measure the range of this picture; data_range is that of all possible ones.",
            lambda x, y, data_range: _decibels((x.max() - x.min()) ** 2 / _mse(x, y)),
        ),
        Mistake(
            "the picture's own peak",
            "You use the largest value of this picture; the peak is data_range.",
            lambda x, y, data_range: _decibels(x.max() ** 2 / _mse(x, y)),
        ),
        Mistake(
            "signal for peak",
            "You divide the picture's mean square by the error's, the plain signal-to-noise ratio; here the peak "
            "counts.",
            lambda x, y, data_range: _decibels(x.square().mean() / _mse(x, y)),
        ),
        Mistake(
            "each picture, then the mean",
            "You average the decibels of the pictures; average the squared errors of all of them, then "
            "take one logarithm.",
            lambda x, y, data_range: (
                _decibels(data_range**2 / (x - y).square().flatten(1).mean(1)).mean()
                if x.ndim > 1
                else psnr(x, y, data_range)
            ),
        ),
        Mistake(
            "one value for each picture",
            "You return a value for each picture; the mean runs over the whole batch.",
            lambda x, y, data_range: (
                _decibels(data_range**2 / (x - y).square().flatten(1).mean(1)) if x.ndim > 1 else psnr(x, y, data_range)
            ),
        ),
        Mistake(
            "an epsilon",
            "You add a small number to the error, so equal pictures come out finite and faint noise misjudged.",
            _of_errors(lambda e, r: _decibels(r**2 / (e.square().mean() + 1e-8))),
        ),
        Mistake(
            "never below 0",
            "You cut negative values off; where the error is larger than the range they are right.",
            lambda x, y, data_range: psnr(x, y, data_range).clamp(min=0),
        ),
        Mistake(
            "capped at 100",
            "You cap the result at 100 dB; equal pictures are infinitely near.",
            lambda x, y, data_range: psnr(x, y, data_range).clamp(max=100),
        ),
        Mistake(
            "data clipped",
            "You clip the pictures to [0, 1] first; the values count as they are.",
            lambda x, y, data_range: psnr(x.clamp(0, 1), y.clamp(0, 1), data_range),
        ),
    ),
    pairs=(
        Pair(
            "half the range",
            "each picture, then the mean",
            lambda x, y, data_range: (
                _decibels((data_range / 2) ** 2 / (x - y).square().flatten(1).mean(1)).mean()
                if x.ndim > 1
                else psnr(x, y, data_range / 2)
            ),
        ),
        Pair(
            "range not squared",
            "natural logarithm",
            _of_errors(lambda e, r: 10 * (r / e.square().mean()).log()),
        ),
        Pair(
            "20 for 10",
            "root of the error",
            _of_errors(lambda e, r: 2 * _decibels(r**2 / e.square().mean().sqrt())),
        ),
        Pair("half the range", "20 for 10", _of_errors(lambda e, r: 2 * _decibels((r / 2) ** 2 / e.square().mean()))),
        Pair("range ignored", "sum of squares", _of_errors(lambda e, r: _decibels(1 / e.square().sum()))),
    ),
)


# nl_means


def _means_cases(seed):
    """Every image has room for the mistakes that take a side for a radius, so that they are seen by their values."""
    g = torch.Generator().manual_seed(seed)

    def case(label, image, patch, window, h):
        return Case(label, (torch.as_tensor(image), patch, window, h), gradients=(0,))

    def randn(*shape):
        return torch.randn(shape, generator=g)

    steps = torch.arange(7.0)[:, None] // 4 + torch.arange(8.0) // 5
    return [
        case("patches of 3 pixels in windows of 3", randn(7, 9), 3, 3, 1.1),
        case(
            "a single bright pixel, patches of one pixel",
            [[0.0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
            1,
            3,
            1.0,
        ),
        case("a window of one pixel", [[1.0, 2, 3, 5], [-4, 0, 2, 1], [7, 3, -1, 6], [2, 9, 4, 8]], 1, 1, 0.5),
        case("patches of one pixel", randn(6, 5), 1, 3, 0.8),
        case("patches of 3 pixels in windows of 5", randn(7, 8), 3, 5, 0.9),
        case("patches of 5 pixels in windows of 3", randn(10, 8), 5, 3, 1.3),
        case("noisy steps, levels of about 100", 40 * steps + 60 + 10 * randn(7, 8), 3, 3, 15.0),
        case("the same value everywhere", torch.full((5, 6), 3.0), 3, 3, 0.5),
        case("h so large that all weigh the same", randn(6, 5), 3, 3, 100.0),
        case("h so small that nothing changes", randn(5, 6), 3, 3, 0.01),
    ]


def _padded(image, size, mode):
    """The image with a border of `size`; mode as in numpy.pad."""
    rows, columns = (torch.from_numpy(np.pad(np.arange(n), size, mode=mode)) for n in image.shape)
    return image[rows][:, columns]


def _patches(padded, patch):
    """(patch * patch, H, W): the patch around each pixel of an image with a border of patch // 2."""
    return F.unfold(padded[None, None], patch).view(patch * patch, *(n - patch + 1 for n in padded.shape))


def _near(patches, window):
    """(window * window, P, H, W): the patches around every pixel of each window."""
    height, width = (n - window + 1 for n in patches.shape[-2:])
    return torch.stack([patches[:, i : i + height, j : j + width] for i in range(window) for j in range(window)])


def _in_one_piece(image, patch, window, h, mode="reflect"):
    """(near, own): the patches around each window's pixels, (window * window, P, H, W), and around the pixel itself."""
    near = _near(_patches(_padded(image, window // 2 + patch // 2, mode), patch), window)
    return near, near[window * window // 2]


def _mean_square(difference):
    return difference.square().mean(1)


def _average(near, weights):
    """The patches' centres, weighted and averaged."""
    return (weights * near[:, near.shape[1] // 2]).sum(0) / weights.sum(0)


def _weighted_by(weigh, mode="reflect"):
    """Non-local means with the weights weigh(difference of the patches (Q, P, H, W), h), and a border by numpy.pad's mode."""

    def function(image, patch, window, h):
        near, own = _in_one_piece(image, patch, window, h, mode)
        return _average(near, weigh(near - own, h))

    return function


def _combined_by(combine):
    """The right weights, then combine(near, weights)."""

    def function(image, patch, window, h):
        near, own = _in_one_piece(image, patch, window, h)
        return combine(near, torch.exp(-_mean_square(near - own) / h**2))

    return function


_means = _weighted_by(lambda difference, h: torch.exp(-_mean_square(difference) / h**2))


def _bordered(mode):
    return _weighted_by(lambda difference, h: torch.exp(-_mean_square(difference) / h**2), mode)


def _means_by_softmax(image, patch, window, h):
    near, own = _in_one_piece(image, patch, window, h)
    weights = torch.softmax(-_mean_square(near - own) / h**2, 0)
    return torch.einsum("qij,qij->ij", weights, near[:, patch * patch // 2])


def _means_by_loops(image, patch, window, h, overwrite=False):
    """Pixel by pixel, float64. overwrite: a mistake, results replace pixels that others still read."""
    reach, around = window // 2, patch // 2
    border = reach + around
    padded = np.pad(image.numpy().astype(np.float64), border, mode="reflect")
    out = np.empty(image.shape)
    for i, j in np.ndindex(*out.shape):
        y, x = i + border, j + border
        own = padded[y - around : y + around + 1, x - around : x + around + 1]
        total = weights = 0.0
        for v in range(y - reach, y + reach + 1):
            for u in range(x - reach, x + reach + 1):
                other = padded[v - around : v + around + 1, u - around : u + around + 1]
                weight = math.exp(-((own - other) ** 2).mean() / h**2)
                total, weights = total + weight * padded[v, u], weights + weight
        out[i, j] = total / weights
        if overwrite:
            padded[y, x] = out[i, j]
    return out


def _means_by_windows(image, patch, window, h):
    """NumPy's windows of windows, float64."""
    padded = np.pad(image.numpy().astype(np.float64), window // 2 + patch // 2, mode="reflect")
    # (H, W, p, p, w, w)
    near = sliding_window_view(sliding_window_view(padded, (patch, patch)), (window, window), axis=(0, 1))
    own = near[..., window // 2, window // 2][..., None, None]
    weights = np.exp(-((near - own) ** 2).mean((2, 3)) / h**2)
    return (weights * near[:, :, patch // 2, patch // 2]).sum((2, 3)) / weights.sum((2, 3))


def _means_by_matrix(image, patch, window, h):
    """One row of weights over all pixels of the padded image for each pixel, most of them 0."""
    reach, (height, width) = window // 2, image.shape
    patches = _patches(_padded(image, reach + patch // 2, "reflect"), patch)
    place = torch.cartesian_prod(*(torch.arange(n) for n in patches.shape[1:]))  # (M, 2)
    own = ((place >= reach) & (place < torch.tensor([height, width]) + reach)).all(1)
    everything = patches.flatten(1).T  # (M, P)
    close = ((place[own, None] - place).abs() <= reach).all(-1)
    distance = (everything[own, None] - everything).square().mean(-1)
    weights = torch.where(close, torch.exp(-distance / h**2), 0)
    return (weights @ everything[:, patch * patch // 2] / weights.sum(1)).view(height, width)


def _means_by_shifts(image, patch, window, h):
    """The padded image shifted by each step; its differences averaged by a convolution."""
    reach, around, (height, width) = window // 2, patch // 2, image.shape
    padded, kernel = _padded(image, reach + around, "reflect"), torch.full((1, 1, patch, patch), 1 / patch**2)
    rows, columns = slice(reach + around, reach + around + height), slice(reach + around, reach + around + width)
    inner = slice(reach, reach + height), slice(reach, reach + width)
    pairs = []
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            shifted = padded.roll((-dy, -dx), (0, 1))  # what comes round the edge stays outside `inner`
            distance = F.conv2d((padded - shifted).square()[None, None], kernel)[0, 0][inner]
            pairs.append((torch.exp(-distance / h**2), shifted[rows, columns]))
    weights, values = (torch.stack(side) for side in zip(*pairs))
    return (weights * values).sum(0) / weights.sum(0)


def _means_one_short(image, patch, window, h):
    near, own = _in_one_piece(image, patch, window, h)
    keep = torch.tensor(
        [i for i in range(window * window) if (i % window < window - 1 and i // window < window - 1) or window == 1]
    )
    return _average(near[keep], torch.exp(-_mean_square(near[keep] - own) / h**2))


def _means_whole_windows_only(image, patch, window, h):
    border = window // 2 + patch // 2
    full = nl_means(image, patch, window, h)
    return full[border : full.shape[0] - border, border : full.shape[1] - border]


def _means_padded_twice(image, patch, window, h):
    near = _near(_patches(_padded(_padded(image, window // 2, "reflect"), patch // 2, "reflect"), patch), window)
    return _average(near, torch.exp(-_mean_square(near - near[window * window // 2]) / h**2))


def _means_with_whole_patches_reflected(image, patch, window, h):
    patches = _patches(_padded(image, patch // 2, "reflect"), patch)
    near = _near(torch.stack([_padded(p, window // 2, "reflect") for p in patches]), window)
    return _average(near, torch.exp(-_mean_square(near - patches) / h**2))


def _means_padded_with_zeros(image, patch, window, h):
    near = _near(_patches(F.pad(image, [window // 2 + patch // 2] * 4), patch), window)
    return _average(near, torch.exp(-_mean_square(near - near[window * window // 2]) / h**2))


def _without_the_middle(weights):
    keep = torch.ones(len(weights), 1, 1)
    keep[len(weights) // 2] = 0
    return weights * keep


def _sum_of_unlike(image, patch, window, h):
    """Two mistakes: squared differences are added up, and the weights' sum is not divided out."""
    near, own = _in_one_piece(image, patch, window, h)
    weights = torch.exp(-(near - own).square().sum(1) / h**2)
    return (weights * near[:, near.shape[1] // 2]).sum(0)


MEANS = Exercise(
    name="nl_means",
    lesson=41,
    points=5,
    minutes=30,
    docstring="""Non-local means: each pixel becomes the weighted mean of the pixels around it whose own surroundings look like its own.

image: (H, W), grey, any range. patch: odd side of the squares that are compared. window: odd side of the square, centred on the
pixel, whose pixels are averaged, itself included. h: number above 0, in the image's units.
The weight of pixel q for pixel p is exp(-d / h^2), d the mean of the squared differences between the patch around q and that
around p. The result at p is the sum of weight times pixel over its window, divided by the sum of the weights.
First reflect the image by patch // 2 + window // 2 on each side, the border pixel itself not repeated (numpy.pad's and
torch.nn.functional.pad's mode "reflect"); all patches and windows are cut from that. H and W exceed that border.
Returns (H, W).""",
    reference=nl_means,
    cases=_means_cases,
    alternatives={
        "all patches at once": _means,
        "softmax": _means_by_softmax,
        "pixel by pixel, float64": _means_by_loops,
        "NumPy windows of windows": _means_by_windows,
        "a matrix of weights": _means_by_matrix,
        "shifted images": _means_by_shifts,
    },
    mistakes=(
        Mistake(
            "sum over the patch",
            "You add up the squared differences of a patch; take their mean, or h means another thing for each "
            "size of patch.",
            _weighted_by(lambda difference, h: torch.exp(-difference.square().sum(1) / h**2)),
        ),
        Mistake(
            "h not squared",
            "You divide by h; divide by its square.",
            _weighted_by(lambda difference, h: torch.exp(-_mean_square(difference) / h)),
        ),
        Mistake(
            "twice h squared",
            "You divide by 2 h^2, as in a normal density; here it is h^2.",
            _weighted_by(lambda difference, h: torch.exp(-_mean_square(difference) / (2 * h**2))),
        ),
        Mistake(
            "multiplied by h squared",
            "You multiply the distance by h^2; divide by it, so that a larger h smooths more.",
            _weighted_by(lambda difference, h: torch.exp(-_mean_square(difference) * h**2)),
        ),
        Mistake(
            "h ignored", "You leave out h.", _weighted_by(lambda difference, h: torch.exp(-_mean_square(difference)))
        ),
        Mistake(
            "no minus",
            "You leave out the minus, so the least similar patches weigh most.",
            _weighted_by(lambda difference, h: torch.exp(_mean_square(difference) / h**2)),
        ),
        Mistake(
            "root of the distance",
            "You take the root of the mean squared difference; the exponent holds the square itself.",
            _weighted_by(lambda difference, h: torch.exp(-_mean_square(difference).sqrt() / h)),
        ),
        Mistake(
            "absolute differences",
            "You take the mean of absolute differences; square them.",
            _weighted_by(lambda difference, h: torch.exp(-difference.abs().mean(1) / h**2)),
        ),
        Mistake(
            "means compared",
            "You compare the patches' means, so a stripe equals a plain patch; compare pixel by pixel, then average.",
            _weighted_by(lambda difference, h: torch.exp(-difference.mean(1).square() / h**2)),
        ),
        Mistake(
            "rational weight",
            "You use 1 / (1 + d / h^2); the weight is exp(-d / h^2).",
            _weighted_by(lambda difference, h: 1 / (1 + _mean_square(difference) / h**2)),
        ),
        Mistake(
            "all weigh the same",
            "You give every pixel of the window the same weight, which blurs edges away.",
            _weighted_by(lambda difference, h: torch.ones_like(difference[:, 0])),
        ),
        Mistake(
            "itself left out",
            "You leave the pixel itself out of its mean; it is one of its window, with weight 1.",
            _weighted_by(lambda difference, h: _without_the_middle(torch.exp(-_mean_square(difference) / h**2))),
        ),
        Mistake(
            "not divided",
            "You return the weighted sum; divide it by the sum of the weights.",
            _combined_by(lambda near, weights: (weights * near[:, near.shape[1] // 2]).sum(0)),
        ),
        Mistake(
            "divided by the count",
            "You divide by the number of pixels in the window; divide by the sum of the weights.",
            _combined_by(lambda near, weights: (weights * near[:, near.shape[1] // 2]).mean(0)),
        ),
        Mistake(
            "corner of the patch",
            "You average the patches' top left pixels, which moves the picture; average their centres.",
            _combined_by(lambda near, weights: (weights * near[:, 0]).sum(0) / weights.sum(0)),
        ),
        Mistake(
            "mean of the patch",
            "You average the means of the patches, which blurs; average their centre pixels.",
            _combined_by(lambda near, weights: (weights * near.mean(1)).sum(0) / weights.sum(0)),
        ),
        Mistake(
            "single pixels compared",
            "You compare single pixels; compare the patches around them.",
            lambda image, patch, window, h: nl_means(image, 1, window, h),
        ),
        Mistake(
            "patch and window exchanged",
            "You exchanged patch and window: patches are compared, windows are searched.",
            lambda image, patch, window, h: nl_means(image, window, patch, h),
        ),
        Mistake(
            "window as a radius",
            "You go `window` pixels to each side; it is the whole side, so go window // 2.",
            lambda image, patch, window, h: nl_means(image, patch, 2 * window + 1, h),
        ),
        Mistake(
            "patch as a radius",
            "You cut patches that go `patch` pixels to each side; it is the whole side, so go patch // 2.",
            lambda image, patch, window, h: nl_means(image, 2 * patch + 1, window, h),
        ),
        Mistake(
            "window one short", "You stop one row and one column early: range(-r, r) leaves out r.", _means_one_short
        ),
        Mistake(
            "padded with zeros",
            "You pad with zeros, which darkens or brightens the border; reflect the image.",
            _means_padded_with_zeros,
        ),
        Mistake("border repeated", "You pad by repeating the border pixel; reflect the image.", _bordered("edge")),
        Mistake(
            "border pixel mirrored too",
            'You mirror the border pixel as well, so it stands there twice; mode "reflect" does not repeat it.',
            _bordered("symmetric"),
        ),
        Mistake(
            "round the edge",
            "You let patches and windows come round the opposite edge, as torch.roll does; reflect the image.",
            _bordered("wrap"),
        ),
        Mistake(
            "reflected twice",
            "You reflect by window // 2 and the result by patch // 2; one reflection by their sum gives other "
            "pixels outside.",
            _means_padded_twice,
        ),
        Mistake(
            "patches reflected whole",
            "You cut the patches first and reflect them as they are; beyond the border the patches are "
            "mirrored too, so reflect the image first.",
            _means_with_whole_patches_reflected,
        ),
        Mistake(
            "border cut off",
            "You return only the pixels whose windows fit; reflect the image, so that all H x W pixels have one.",
            _means_whole_windows_only,
        ),
        Mistake(
            "results read again",
            "You overwrite pixels that later ones still compare; read from the given image, write into another.",
            lambda image, patch, window, h: _means_by_loops(image, patch, window, h, overwrite=True),
        ),
        Mistake(
            "two axes too many",
            "You return the batch and channel axes that F.pad wanted; the result is (H, W).",
            lambda image, patch, window, h: nl_means(image, patch, window, h)[None, None],
        ),
    ),
    pairs=(
        Pair(
            "sum over the patch",
            "h not squared",
            _weighted_by(lambda difference, h: torch.exp(-difference.square().sum(1) / h)),
        ),
        Pair(
            "twice h squared",
            "border repeated",
            _weighted_by(lambda difference, h: torch.exp(-_mean_square(difference) / (2 * h**2)), "edge"),
        ),
        Pair(
            "sum over the patch",
            "border pixel mirrored too",
            _weighted_by(lambda difference, h: torch.exp(-difference.square().sum(1) / h**2), "symmetric"),
        ),
        Pair(
            "not divided",
            "sum over the patch",
            _sum_of_unlike,
        ),
        Pair(
            "patch and window exchanged",
            "twice h squared",
            lambda image, patch, window, h: nl_means(image, window, patch, math.sqrt(2) * h),
        ),
    ),
)


# filter_group


def _orthonormal(n, generator):
    return torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0].float().contiguous()


def _in_a_gap(coefficients, share):
    """A threshold that no coefficient comes near: in the widest gap among the middle ones."""
    sizes = coefficients.abs().flatten().sort().values
    middle = sizes[int(share * len(sizes) / 2) : int((1 + share) * len(sizes) / 2) + 2]
    widest = middle.diff().argmax()
    return ((middle[widest] + middle[widest + 1]) / 2).item()


def _group_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, *args):
        return Case(label, args)

    def drawn(label, count, patch, share, shift=0.0):
        group = torch.randn(count, patch, patch, generator=g) + shift
        across, along = _orthonormal(count, g), _orthonormal(patch, g)
        return case(label, group, across, along, _in_a_gap(_forwards(group, across, along), share))

    two = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
    sizes = torch.tensor([[[0.5, -0.75], [0.25, 2.0]], [[-0.5, 0.0], [0.625, -0.125]]])
    return [
        case("matrices that change nothing, threshold 0.5", sizes, torch.eye(2), torch.eye(2), 0.5),
        case("two patches of one pixel: 3 and 1", torch.tensor([[[3.0]], [[1.0]]]), two, torch.eye(1), 1.5),
        case("nothing is large enough", torch.randn(2, 3, 3, generator=g), two, _orthonormal(3, g), 100.0),
        case("threshold 0", torch.randn(2, 2, 2, generator=g), _orthonormal(2, g), two, 0.0),
        drawn("four patches of 3x3", 4, 3, 0.4),
        drawn("three patches of 5x5, most is faint", 3, 5, 0.8),
        drawn("five patches of 2x2, brighter", 5, 2, 0.3, shift=2.0),
        drawn("patches of 4x4, far below 0", 2, 4, 0.5, shift=-3.0),
    ]


def _forwards(group, across, along):
    return torch.einsum("kl,lij,ai,bj->kab", across, group, along, along)


def _backwards(coefficients, across, along):
    return torch.einsum("kl,kab,ai,bj->lij", across, coefficients, along, along)


def _large(coefficients, threshold):
    return coefficients.abs() > threshold


def _counted(stays, coefficients):
    return 1 / stays.sum().clamp(min=1).to(coefficients.dtype)


def _filtered(
    forwards=_forwards,
    backwards=_backwards,
    stays=_large,
    keep=lambda c, kept, threshold: c * kept,
    weigh=_counted,
):
    """The filter with one of its steps, or two, changed."""

    def function(group, across, along, threshold):
        coefficients = forwards(group, across, along)
        kept = stays(coefficients, threshold)
        answer = backwards(keep(coefficients, kept, threshold), across, along)
        return answer, weigh(kept, coefficients)

    return function


def _group_by_matmul(group, across, along, threshold):
    turned = along @ group @ along.T
    flat = across @ turned.flatten(1)
    flat = torch.where(flat.abs() <= threshold, torch.zeros_like(flat), flat)
    kept = max(int((flat != 0).sum()), 1)
    return along.T @ (across.T @ flat).view_as(group) @ along, torch.tensor(1.0 / kept)


def _group_by_waves(group, across, along, threshold):
    """Wave by wave, as the definition has it."""
    kept, answer = 0, torch.zeros_like(group)
    for k in range(len(across)):
        for a in range(len(along)):
            for b in range(len(along)):
                wave = across[k][:, None, None] * along[a][:, None] * along[b]
                coefficient = (group * wave).sum()
                if abs(coefficient) > threshold:
                    kept, answer = kept + 1, answer + coefficient * wave
    return answer, 1 / max(kept, 1)


def _group_by_one_matrix(group, across, along, threshold):
    whole = torch.kron(across, torch.kron(along, along))
    c = whole @ group.flatten()
    c = F.hardshrink(c, threshold)
    return (whole.T @ c).view_as(group), 1 / (c != 0).sum().clamp(min=1)


def _first_always(coefficients, threshold):
    stays = _large(coefficients, threshold)
    stays[0, 0, 0] = True
    return stays


FILTER = Exercise(
    name="filter_group",
    lesson=41,
    points=3,
    minutes=20,
    docstring="""A group of patches without what is faint in its 3-D transform, and how much the answer is to count.

group: (K, P, P), K patches that look alike. across: (K, K) and along: (P, P), matrices whose rows are orthonormal, so that the transpose
is the inverse. The coefficients are c[k, a, b] = sum over l, i, j of across[k, l] along[a, i] along[b, j] group[l, i, j].
threshold: number, at least 0. Coefficients whose absolute value is at most the threshold become 0, the others stay as they are; then the
transform is undone.
Returns the group (K, P, P), and a weight: 1 divided by the number of coefficients larger than the threshold, or 1 if there are none.""",
    reference=filter_group,
    cases=_group_cases,
    alternatives={
        "matrix products": _group_by_matmul,
        "wave by wave": _group_by_waves,
        "one large matrix and hardshrink": _group_by_one_matrix,
        "einsum": _filtered(),
    },
    mistakes=(
        Mistake(
            "soft threshold",
            "You make what stays smaller by the threshold as well; a hard threshold leaves it as it is.",
            _filtered(keep=lambda c, kept, threshold: c.sign() * (c.abs() - threshold).clamp(min=0)),
        ),
        Mistake(
            "no absolute value",
            "You compare the coefficients themselves with the threshold, so large negative ones are lost; compare their sizes.",
            _filtered(stays=lambda c, threshold: c > threshold),
        ),
        Mistake(
            "the faint stays",
            "You keep what is faint and drop what is large; it is the other way round.",
            _filtered(stays=lambda c, threshold: c.abs() <= threshold),
        ),
        Mistake(
            "equal stays",
            "You keep coefficients as large as the threshold; only larger ones stay.",
            _filtered(stays=lambda c, threshold: c.abs() >= threshold),
        ),
        Mistake(
            "squared coefficients",
            "You compare squares with the threshold; compare sizes.",
            _filtered(stays=lambda c, threshold: c.square() > threshold),
        ),
        Mistake(
            "first always stays",
            "You keep the first coefficient whatever its size; here it is treated as the others.",
            _filtered(stays=_first_always),
        ),
        Mistake(
            "not across",
            "You transform each patch by itself, and nothing is shared; transform across the patches too.",
            _filtered(
                lambda group, across, along: _forwards(group, torch.eye(len(across)).to(group), along),
                lambda c, across, along: _backwards(c, torch.eye(len(across)).to(c), along),
            ),
        ),
        Mistake(
            "not along",
            "You transform across the patches alone; transform both axes of each patch too.",
            _filtered(
                lambda group, across, along: _forwards(group, across, torch.eye(len(along)).to(group)),
                lambda c, across, along: _backwards(c, across, torch.eye(len(along)).to(c)),
            ),
        ),
        Mistake(
            "one axis",
            "You transform one axis of the patches; a picture has two.",
            _filtered(
                lambda group, across, along: torch.einsum("kl,lij,ai->kaj", across, group, along),
                lambda c, across, along: torch.einsum("kl,kaj,ai->lij", across, c, along),
            ),
        ),
        Mistake(
            "transposed on the way in",
            "You use the transposes on the way in and the matrices on the way back; exchange them.",
            _filtered(
                lambda group, across, along: _forwards(group, across.T, along.T),
                lambda c, across, along: _backwards(c, across.T, along.T),
            ),
        ),
        Mistake(
            "not undone",
            "You return the coefficients; transform them back.",
            _filtered(backwards=lambda c, across, along: c),
        ),
        Mistake(
            "transformed twice",
            "You transform again in place of back; the inverse of an orthonormal matrix is its transpose.",
            _filtered(backwards=_forwards),
        ),
        Mistake(
            "the number for the weight",
            "You return how many coefficients stay; the weight is 1 divided by it.",
            _filtered(weigh=lambda kept, c: kept.sum().clamp(min=1).to(c.dtype)),
        ),
        Mistake(
            "zeros counted",
            "You count the coefficients that became 0; count those that stay.",
            _filtered(weigh=lambda kept, c: 1 / (~kept).sum().clamp(min=1).to(c.dtype)),
        ),
        Mistake(
            "one too many",
            "You divide by the count plus 1; divide by the count, and by 1 where it is 0.",
            _filtered(weigh=lambda kept, c: 1 / (1 + kept.sum()).to(c.dtype)),
        ),
        Mistake(
            "infinite weight",
            "Where no coefficient stays you divide by 0; the weight is 1 there.",
            _filtered(weigh=lambda kept, c: 1 / kept.sum().to(c.dtype)),
        ),
        Mistake(
            "a weight for each patch",
            "You count for each patch; a group has one weight.",
            _filtered(weigh=lambda kept, c: 1 / kept.sum((1, 2)).clamp(min=1).to(c.dtype)),
        ),
    ),
    pairs=(
        Pair(
            "no absolute value",
            "infinite weight",
            _filtered(stays=lambda c, threshold: c > threshold, weigh=lambda kept, c: 1 / kept.sum().to(c.dtype)),
        ),
        Pair(
            "soft threshold",
            "the number for the weight",
            _filtered(
                keep=lambda c, kept, threshold: c.sign() * (c.abs() - threshold).clamp(min=0),
                weigh=lambda kept, c: kept.sum().clamp(min=1).to(c.dtype),
            ),
        ),
        Pair(
            "not across",
            "zeros counted",
            _filtered(
                lambda group, across, along: _forwards(group, torch.eye(len(across)).to(group), along),
                lambda c, across, along: _backwards(c, torch.eye(len(across)).to(c), along),
                weigh=lambda kept, c: 1 / (~kept).sum().clamp(min=1).to(c.dtype),
            ),
        ),
        Pair(
            "equal stays",
            "zeros counted",
            _filtered(
                stays=lambda c, threshold: c.abs() >= threshold,
                weigh=lambda kept, c: 1 / (~kept).sum().clamp(min=1).to(c.dtype),
            ),
        ),
    ),
)


# plain_cnn


def _cnn_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def pictures(*shape):
        return torch.randn(shape, generator=g)

    return [
        Case("colour, 4 layers, in eval mode", (3, 5, 4, pictures(2, 3, 6, 7), 0)),
        Case("grey, 3 layers, in train mode", (1, 4, 3, pictures(3, 1, 5, 8), 1)),
        Case("2 layers", (2, 3, 2, pictures(2, 2, 7, 5), 1)),
        Case("6 layers, in train mode", (3, 4, 6, pictures(2, 3, 8, 6), 1)),
        Case("the number of parameters", (3, 8, 5, None, 0)),
    ]


def _answers_by_known_weights(function, channels, width, layers, pictures, training):
    """What the network answers with weights that depend on their shapes alone; without pictures, the number of parameters."""
    import torch

    network = function(channels, width, layers)
    if pictures is None:
        return sum(p.numel() for p in network.parameters())
    network = network.to(pictures.dtype).train(bool(training))
    with torch.no_grad():
        for p in network.parameters():
            wave = torch.sin(1.7 * torch.arange(p.numel(), dtype=torch.float64) + p.shape[0]).reshape(p.shape)
            p.copy_(0.5 + 0.3 * wave if p.ndim < 2 else 2 * wave / (p.numel() / p.shape[0]) ** 0.5)
        return network(pictures)


class _CnnByName(nn.Module):
    """The plain CNN with layers by name, the last one defined first."""

    def __init__(self, channels, width, layers):
        super().__init__()
        self.last = nn.Conv2d(width, channels, 3, padding=1)
        between = range(layers - 2)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in between)
        self.middle = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in between)
        self.first = nn.Conv2d(channels, width, 3, padding=1)

    def forward(self, y):
        x = self.first(y).relu()
        for conv, norm in zip(self.middle, self.norms):
            x = F.relu(norm(conv(x)))
        return self.last(x)


class _CnnPadded(nn.Module):
    """The plain CNN with zeros put around each layer's input by hand."""

    def __init__(self, channels, width, layers):
        super().__init__()
        sizes = [channels, *[width] * (layers - 1), channels]
        ends = (0, layers - 1)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, bias=i in ends) for i, (a, b) in enumerate(zip(sizes, sizes[1:])))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(layers - 2))

    def forward(self, x):
        for i, conv in enumerate(self.convs):
            x = conv(F.pad(x, (1, 1, 1, 1)))
            if 0 < i < len(self.convs) - 1:
                x = self.norms[i - 1](x)
            if i < len(self.convs) - 1:
                x = x.relu()
        return x


class _Subtracting(nn.Module):
    def __init__(self, channels, width, layers):
        super().__init__()
        self.network = plain_cnn(channels, width, layers)

    def forward(self, y):
        return y - self.network(y)


def _cnn(
    kernel=3,
    padding=1,
    mode="zeros",
    bias=False,
    end_bias=True,
    norm=nn.BatchNorm2d,
    norm_first=False,
    norm_last=False,
    norm_after=False,
    rectify=nn.ReLU,
    end=None,
    more=0,
    out=None,
):
    """The plain CNN as a function of channels, width and layers, with one thing changed, or two."""

    def make(channels, width, layers):
        def conv(a, b, has_bias):
            return nn.Conv2d(a, b, kernel, padding=padding, padding_mode=mode, bias=has_bias)

        def normed(n):
            return [norm(n)] if norm else []

        parts = [conv(channels, width, end_bias), *(normed(width) if norm_first else []), rectify()]
        for _ in range(layers - 2 + more):
            tail = [rectify(), *normed(width)] if norm_after else [*normed(width), rectify()]
            parts += [conv(width, width, bias), *tail]
        parts.append(conv(width, out or channels, end_bias))
        return nn.Sequential(*parts, *(normed(out or channels) if norm_last else []), *([end()] if end else []))

    return make


CNN = Exercise(
    name="plain_cnn",
    lesson=41,
    points=3,
    minutes=15,
    docstring="""Build a plain CNN in the manner of DnCNN, an nn.Module: (N, channels, H, W) -> (N, channels, H, W), any H and W. It says what is
noise; nothing is subtracted yet.

channels: of the picture. width: channels between the layers. layers: the number of convolutions, at least 2. All have kernel 3, stride 1 and
1 pixel of zeros around. The first has a bias, and ReLU follows. Each of the layers - 2 in the middle has no bias, and batch norm and then ReLU
follow. The last has a bias, and nothing follows. With channels = 3, width = 64 and layers = 17 it has 558,403 parameters.""",
    reference=plain_cnn,
    cases=_cnn_cases,
    call=_answers_by_known_weights,
    alternatives={
        "layers by name, the last one first": _CnnByName,
        "zeros put around by hand": _CnnPadded,
        "Sequential, piece by piece": _cnn(),
    },
    mistakes=(
        Mistake("no norm", "You leave batch norm out; it follows each convolution in the middle.", _cnn(norm=None)),
        Mistake(
            "norm on the first layer",
            "You normalise the first layer too; only those in the middle are.",
            _cnn(norm_first=True),
        ),
        Mistake(
            "norm on the last layer",
            "You normalise the answer; then the strength of the noise can no longer be said.",
            _cnn(norm_last=True),
        ),
        Mistake(
            "norm after ReLU",
            "You normalise after ReLU; batch norm comes between the convolution and ReLU.",
            _cnn(norm_after=True),
        ),
        Mistake(
            "ReLU at the end",
            "You end in ReLU, so that noise can never be negative; nothing follows the last convolution.",
            _cnn(end=nn.ReLU),
        ),
        Mistake("tanh at the end", "You end in tanh; nothing follows the last convolution.", _cnn(end=nn.Tanh)),
        Mistake(
            "bias before the norm",
            "Your convolutions in the middle have a bias, which batch norm takes out again; switch it off there.",
            _cnn(bias=True),
        ),
        Mistake(
            "no bias anywhere",
            "You switch all biases off; the first and the last layer have one.",
            _cnn(end_bias=False),
        ),
        Mistake(
            "no padding",
            "Your convolutions have no padding, so the picture loses a border at each layer.",
            _cnn(padding=0),
        ),
        Mistake("reflected border", "You reflect at the border; asked are zeros.", _cnn(mode="reflect")),
        Mistake("kernel 5", "Your kernels have 5 pixels across; asked are 3.", _cnn(kernel=5, padding=2)),
        Mistake(
            "a layer too many",
            "You put `layers` convolutions in the middle but one; the first and the last count too, so layers - 2.",
            _cnn(more=1),
        ),
        Mistake(
            "two layers too many",
            "You put `layers` convolutions between the first and the last; those two count, so layers - 2.",
            _cnn(more=2),
        ),
        Mistake("LeakyReLU", "You use LeakyReLU; asked is ReLU.", _cnn(rectify=lambda: nn.LeakyReLU(0.2))),
        Mistake(
            "subtracted already", "You subtract the answer from the picture; return the answer itself.", _Subtracting
        ),
        Mistake("one channel out", "Your answer has one channel; it has as many as the picture.", _cnn(out=1)),
        Mistake(
            "nothing remembered",
            "Your norm remembers no mean and variance, so that in eval mode a picture still depends on its batch.",
            _cnn(norm=lambda n: nn.BatchNorm2d(n, track_running_stats=False)),
        ),
        Mistake(
            "each picture by itself",
            "You use instance norm, which normalises each picture by itself; batch norm takes the whole batch.",
            _cnn(norm=lambda n: nn.InstanceNorm2d(n, affine=True)),
        ),
    ),
    pairs=(
        Pair("bias before the norm", "norm after ReLU", _cnn(bias=True, norm_after=True)),
        Pair("norm on the first layer", "norm on the last layer", _cnn(norm_first=True, norm_last=True)),
        Pair("two layers too many", "bias before the norm", _cnn(more=2, bias=True)),
        Pair("ReLU at the end", "norm on the last layer", _cnn(end=nn.ReLU, norm_last=True)),
        Pair("no norm", "bias before the norm", _cnn(norm=None, bias=True)),
    ),
)


# averaged_psnr

ONE = 20 * math.log10(255 / 20)  # of one photo with noise of 20

AVERAGE = Exercise(
    name="averaged_psnr",
    lesson=41,
    points=2,
    minutes=10,
    docstring="""How many decibels does a mean of 16 photos have?

A camera on a tripod takes 16 photos of one scene at which nothing moves. To each pixel of each photo it adds independent noise of mean 0 and
standard deviation 20, in levels of 255; nothing is clipped. The 16 photos are averaged. Return the PSNR of that mean against the true
scene, with the expected squared error in the place of the measured one and a range of 255: a number, right to 0.003.""",
    reference=lambda: 20 * math.log10(255 / 20) + 10 * math.log10(16),
    cases=lambda seed: [Case("the answer", ())],
    alternatives={
        "from the error": lambda: 10 * math.log10(255**2 / (20**2 / 16)),
        "a fourth of the deviation": lambda: 20 * math.log10(255 / 5),
        "a tensor": lambda: 20 * torch.tensor(51.0).log10(),
        "rounded": lambda: 34.15,
    },
    mistakes=(
        Mistake("one photo", "You give the PSNR of one photo; a mean of 16 has less noise.", lambda: ONE),
        Mistake(
            "deviation divided by 16",
            "You divide the standard deviation by 16; it is the variance that falls to a sixteenth.",
            lambda: ONE + 20 * math.log10(16),
        ),
        Mistake(
            "root twice",
            "You let the variance fall by the root of 16; that is what the deviation does.",
            lambda: ONE + 10 * math.log10(4),
        ),
        Mistake(
            "noise added up",
            "You let the noise grow 16 times; a sum does, and a mean divides by 16 again.",
            lambda: ONE - 10 * math.log10(16),
        ),
        Mistake(
            "16 times the decibels",
            "You multiply the decibels by 16; they are a logarithm, so a factor becomes a summand.",
            lambda: ONE * 16,
        ),
        Mistake("16 decibels more", "You add 16; a factor of 16 is 10 log10(16) decibels.", lambda: ONE + 16),
        Mistake(
            "the range of our pictures",
            "You mix two units: 2 is the range of [-1, 1], where the noise is 40/255.",
            lambda: 10 * math.log10(2**2 * 16 / 20**2),
        ),
        Mistake(
            "natural logarithm",
            "You use the natural logarithm; decibels use that to base 10.",
            lambda: 20 * math.log(51),
        ),
        Mistake(
            "10 for 20",
            "You take 10 log10 of 255 divided by the deviation; both are squared, so it is 20.",
            lambda: 10 * math.log10(51),
        ),
    ),
)

EXERCISES = (PSNR, MEANS, FILTER, CNN, AVERAGE)
