"""The exercises of lesson 12: sizes, convolution, its gradient, depthwise, pooling, transposed convolution, receptive field."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view

from ...ops import (
    avg_pool2d,
    conv2d,
    conv_transpose2d,
    depthwise_conv2d,
    kernel_gradient,
    max_pool2d,
    output_size,
    receptive_field,
)
from ..engine import Case, Exercise, Mistake, Pair

# conv2d


def _conv_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=g)

    def case(label, x, weight, bias=None, **rest):
        given = {} if bias is None else {"bias": bias}
        return Case(label, (x, weight), given | rest, gradients=(0, 1, *given))

    tiny = torch.tensor([[[[1.0, 2.0, 3.0], [5.0, 8.0, 4.0]]]])
    return [
        case("one channel, a 1x2 kernel that is not symmetric", tiny, torch.tensor([[[[1.0, 2.0]]]])),
        case("one channel, padding 1", tiny, torch.tensor([[[[1.0, 0.0], [0.0, -2.0], [3.0, 1.0]]]]), padding=1),
        case("bias", tiny, torch.tensor([[[[1.0]]], [[[2.0]]]]), torch.tensor([10.0, -20.0])),
        case("all sizes different, the defaults", randn(4, 5, 7, 9), randn(6, 5, 2, 3)),
        case("stride 2 that does not divide", randn(2, 4, 8, 7), randn(5, 4, 3, 2), stride=2),
        case("padding 2", randn(2, 3, 5, 6), randn(4, 3, 3, 2), padding=2),
        case(
            "everything at once, values far from 0",
            randn(2, 3, 7, 8) + 3,
            randn(5, 3, 4, 2),
            randn(5) * 5,
            stride=2,
            padding=1,
        ),
        case("a kernel as large as the picture", randn(3, 4, 2, 5), randn(6, 4, 2, 5), randn(6)),
    ]


def _conv_by_unfold(x, weight, bias=None, stride=1, padding=0):
    kh, kw = weight.shape[-2:]
    h, w = ((size + 2 * padding - k) // stride + 1 for size, k in zip(x.shape[-2:], (kh, kw)))
    columns = F.unfold(x, (kh, kw), stride=stride, padding=padding)  # (N, C kh kw, h w)
    out = (weight.flatten(1) @ columns).unflatten(2, (h, w))
    return out if bias is None else out + bias[:, None, None]


def _conv_by_position(x, weight, bias=None, stride=1, padding=0):
    n, _, height, width = x.shape
    kh, kw = weight.shape[-2:]
    h, w = (height + 2 * padding - kh) // stride + 1, (width + 2 * padding - kw) // stride + 1
    padded = torch.zeros(n, x.shape[1], height + 2 * padding, width + 2 * padding)
    padded[:, :, padding : padding + height, padding : padding + width] = x
    out = torch.zeros(n, len(weight), h, w)
    for i in range(h):
        for j in range(w):
            window = padded[:, None, :, i * stride : i * stride + kh, j * stride : j * stride + kw]
            out[:, :, i, j] = (window * weight).sum((2, 3, 4))
    return out if bias is None else out + bias.reshape(1, -1, 1, 1)


def _conv_by_numpy(x, weight, bias=None, stride=1, padding=0):
    x, weight = x.numpy().astype(np.float64), weight.numpy()
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(x, weight.shape[-2:], axis=(2, 3))[:, :, ::stride, ::stride]
    out = np.einsum("nchwab,ocab->nohw", windows, weight)
    return out if bias is None else out + bias.numpy()[:, None, None]


def _conv_by_fourier(x, weight, bias=None, stride=1, padding=0):
    """Cross-correlation is a product with the conjugate spectrum."""
    x = F.pad(x, (padding,) * 4)
    size = x.shape[-2:]
    spectrum = torch.einsum("nchw,ochw->nohw", torch.fft.rfft2(x), torch.fft.rfft2(weight, s=size).conj())
    h, w = (s - k + 1 for s, k in zip(size, weight.shape[-2:]))
    out = torch.fft.irfft2(spectrum, s=size)[..., :h:stride, :w:stride]
    return out if bias is None else out + bias[:, None, None]


def _conv_padded_by(x, weight, bias, stride, padding, **how):
    return conv2d(F.pad(x, (padding,) * 4, **how), weight, bias, stride)


def _conv_one_short(x, weight, bias=None, stride=1, padding=0):
    return conv2d(x, weight, bias, stride, padding)[..., :-1, :-1]


def _conv_stride_across_only(x, weight, bias=None, stride=1, padding=0):
    return conv2d(x, weight, bias, 1, padding)[..., ::stride]


def _conv_windows_not_moved(x, weight, bias=None, stride=1, padding=0):
    full = conv2d(x, weight, bias, 1, padding)
    return full[..., : (full.shape[-2] - 1) // stride + 1, : (full.shape[-1] - 1) // stride + 1]


def _conv_bias_in_the_sum(x, weight, bias=None, stride=1, padding=0):
    return conv2d(x, weight, None if bias is None else bias * weight[0].numel(), stride, padding)


def _conv_padding_one_side(x, weight, bias=None, stride=1, padding=0):
    return conv2d(F.pad(x, (2 * padding, 0, 2 * padding, 0)), weight, bias, stride)


def _conv_padding_once(x, weight, bias=None, stride=1, padding=0):
    return conv2d(F.pad(x, (padding, 0, padding, 0)), weight, bias, stride)


CONV = Exercise(
    name="conv2d",
    lesson=12,
    points=4,
    minutes=20,
    docstring="""Cross-correlation, which every library calls convolution.

x: (N, C, H, W), padded with zeros by `padding` on all four sides. weight: (O, C, kh, kw). bias: (O,) or None.
Returns (N, O, (H + 2 * padding - kh) // stride + 1, (W + 2 * padding - kw) // stride + 1): each value is the sum of a window
of x times a kernel, over all channels in, plus the bias.""",
    reference=conv2d,
    cases=_conv_cases,
    from_scratch=("convolution",),
    alternatives={
        "the library": lambda x, weight, bias=None, stride=1, padding=0: F.conv2d(x, weight, bias, stride, padding),
        "unfold and a matrix product": _conv_by_unfold,
        "position by position": _conv_by_position,
        "NumPy, float64": _conv_by_numpy,
        "the Fourier transform": _conv_by_fourier,
    },
    mistakes=(
        Mistake(
            "flipped kernel",
            "Your kernel is flipped: this is convolution as in mathematics; layers compute cross-correlation.",
            lambda x, weight, bias=None, stride=1, padding=0: conv2d(x, weight.flip(-1, -2), bias, stride, padding),
        ),
        Mistake(
            "transposed kernel",
            "You exchanged the kernel's rows and columns: weight[..., a, b] has a for rows and b for columns.",
            lambda x, weight, bias=None, stride=1, padding=0: conv2d(x, weight.mT, bias, stride, padding),
        ),
        Mistake(
            "no bias",
            "You never add the bias.",
            lambda x, weight, bias=None, stride=1, padding=0: conv2d(x, weight, None, stride, padding),
        ),
        Mistake(
            "bias subtracted",
            "You subtract the bias; it is added.",
            lambda x, weight, bias=None, stride=1, padding=0: conv2d(
                x, weight, None if bias is None else -bias, stride, padding
            ),
        ),
        Mistake(
            "bias inside the sum",
            "You add the bias to every product of a window; it is added once for each output pixel.",
            _conv_bias_in_the_sum,
        ),
        Mistake(
            "stride ignored",
            "You ignore the stride: windows should be `stride` pixels apart.",
            lambda x, weight, bias=None, stride=1, padding=0: conv2d(x, weight, bias, 1, padding),
        ),
        Mistake(
            "stride across only",
            "You stride over columns only; the stride belongs to rows as well.",
            _conv_stride_across_only,
        ),
        Mistake(
            "stride in the size only",
            "Your output has the right size, but its windows are one pixel apart: window i starts at row i * stride.",
            _conv_windows_not_moved,
        ),
        Mistake(
            "padding ignored",
            "You ignore the padding.",
            lambda x, weight, bias=None, stride=1, padding=0: conv2d(x, weight, bias, stride),
        ),
        Mistake(
            "padding at the top left only",
            "You pad at the top and the left only; padding belongs on all four sides.",
            _conv_padding_once,
        ),
        Mistake(
            "all padding on one side",
            "You put both sides' padding at the top and the left; each side gets `padding` rows or columns.",
            _conv_padding_one_side,
        ),
        Mistake(
            "border repeated",
            "You pad by repeating the border; pad with zeros.",
            lambda x, weight, bias=None, stride=1, padding=0: _conv_padded_by(
                x, weight, bias, stride, padding, mode="replicate"
            ),
        ),
        Mistake(
            "padded with -1",
            "You pad with -1, which is black in a picture; pad with zeros.",
            lambda x, weight, bias=None, stride=1, padding=0: _conv_padded_by(
                x, weight, bias, stride, padding, value=-1.0
            ),
        ),
        Mistake(
            "one too small",
            "Your output is one row and one column too small: there are (H + 2 * padding - kh) // stride + 1 windows.",
            _conv_one_short,
        ),
        Mistake(
            "first channel only",
            "You look at the first channel of x only; the sum runs over all channels in.",
            lambda x, weight, bias=None, stride=1, padding=0: conv2d(x[:, :1], weight[:, :1], bias, stride, padding),
        ),
        Mistake(
            "mean instead of sum",
            "You take the mean of a window; a convolution sums.",
            lambda x, weight, bias=None, stride=1, padding=0: conv2d(
                x, weight / weight[0].numel(), bias, stride, padding
            ),
        ),
    ),
    pairs=(
        Pair(
            "flipped kernel",
            "padding ignored",
            lambda x, weight, bias=None, stride=1, padding=0: conv2d(x, weight.flip(-1, -2), bias, stride),
        ),
        Pair(
            "flipped kernel",
            "no bias",
            lambda x, weight, bias=None, stride=1, padding=0: conv2d(x, weight.flip(-1, -2), None, stride, padding),
        ),
        Pair(
            "stride ignored",
            "padding ignored",
            lambda x, weight, bias=None, stride=1, padding=0: conv2d(x, weight, bias),
        ),
        Pair(
            "padding ignored",
            "no bias",
            lambda x, weight, bias=None, stride=1, padding=0: conv2d(x, weight, None, stride),
        ),
        Pair(
            "padding at the top left only",
            "flipped kernel",
            lambda x, weight, bias=None, stride=1, padding=0: _conv_padding_once(
                x, weight.flip(-1, -2), bias, stride, padding
            ),
        ),
    ),
)


# max_pool2d


def _pool_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, x, kernel_size, stride):
        return Case(label, (x, kernel_size, stride), gradients=(0,))

    tiny = torch.tensor([[[[1.0, -3.0, 2.0, 5.0], [4.0, 0.0, -7.0, 3.0]]]])
    return [
        case("a 2x4 picture, windows side by side", tiny, 2, 2),
        case("negative values, overlapping windows", -1 - tiny.abs(), 2, 1),
        case("windows side by side", torch.randn(2, 3, 4, 6, generator=g), 2, 2),
        case("windows that overlap", torch.randn(2, 3, 7, 9, generator=g), 3, 2),
        case("windows with gaps", torch.randn(2, 4, 8, 5, generator=g), 2, 3),
        case("a size that the stride does not divide", torch.randn(3, 2, 5, 7, generator=g), 2, 2),
        case("negative everywhere", -torch.rand(2, 3, 5, 8, generator=g) - 0.1, 3, 3),
    ]


def _pool_by_position(x, kernel_size, stride):
    h, w = ((size - kernel_size) // stride + 1 for size in x.shape[-2:])
    out = torch.empty(*x.shape[:2], h, w)
    for i in range(h):
        for j in range(w):
            out[:, :, i, j] = x[
                :, :, i * stride : i * stride + kernel_size, j * stride : j * stride + kernel_size
            ].amax((-2, -1))
    return out


def _pool_by_shifts(x, kernel_size, stride):
    """The largest of the k * k shifted pictures."""
    h, w = (size - kernel_size + 1 for size in x.shape[-2:])
    shifts = [x[..., a : a + h : stride, b : b + w : stride] for a in range(kernel_size) for b in range(kernel_size)]
    return torch.stack(shifts).amax(0)


def _pool_by_axis(x, kernel_size, stride):
    """Rows first, then columns: the largest of the largest."""
    return x.unfold(-2, kernel_size, stride).amax(-1).unfold(-1, kernel_size, stride).amax(-1)


def _pool_by_numpy(x, kernel_size, stride):
    windows = sliding_window_view(x.numpy(), (kernel_size, kernel_size), axis=(2, 3))
    return windows[:, :, ::stride, ::stride].max((-2, -1))


def _pool_padded(x, kernel_size, stride):
    right, below = (-(size - kernel_size) % stride for size in (x.shape[-1], x.shape[-2]))
    return max_pool2d(F.pad(x, (0, right, 0, below)), kernel_size, stride)


def _pool_largest_size(x, kernel_size, stride):
    windows = x.unfold(-2, kernel_size, stride).unfold(-2, kernel_size, stride).flatten(-2)
    return windows.gather(-1, windows.abs().argmax(-1, keepdim=True))[..., 0]


POOL = Exercise(
    name="max_pool2d",
    lesson=12,
    points=3,
    minutes=10,
    docstring="""The largest value of each window, channel by channel.

x: (N, C, H, W). kernel_size: side of the square window. stride: step from window to window, down and across.
Returns (N, C, (H - kernel_size) // stride + 1, (W - kernel_size) // stride + 1); no padding, windows that do not fit are left out.""",
    reference=max_pool2d,
    cases=_pool_cases,
    from_scratch=("max_pool2d_with_indices", "adaptive_max_pool2d", "max_pool3d_with_indices"),
    alternatives={
        "the library": lambda x, kernel_size, stride: F.max_pool2d(x, kernel_size, stride),
        "position by position": _pool_by_position,
        "shifted pictures": _pool_by_shifts,
        "rows, then columns": _pool_by_axis,
        "NumPy windows": _pool_by_numpy,
    },
    mistakes=(
        Mistake("mean", "You take the mean of each window; this is average pooling.", avg_pool2d),
        Mistake(
            "smallest",
            "You take the smallest value of each window.",
            lambda x, kernel_size, stride: -max_pool2d(-x, kernel_size, stride),
        ),
        Mistake(
            "starts at zero",
            "Your running maximum starts at 0, so negative windows come out as 0; start at minus infinity.",
            lambda x, kernel_size, stride: max_pool2d(x, kernel_size, stride).clamp(min=0),
        ),
        Mistake("largest magnitude", "You compare absolute values; -7 is smaller than 3.", _pool_largest_size),
        Mistake(
            "absolute values",
            "You return absolute values; keep the sign of what is largest.",
            lambda x, kernel_size, stride: max_pool2d(x.abs(), kernel_size, stride),
        ),
        Mistake(
            "stride ignored",
            "You move the window by its own size; move it by `stride`.",
            lambda x, kernel_size, stride: max_pool2d(x, kernel_size, kernel_size),
        ),
        Mistake(
            "every position",
            "You move the window by one pixel; move it by `stride`.",
            lambda x, kernel_size, stride: max_pool2d(x, kernel_size, 1),
        ),
        Mistake(
            "window as large as the stride",
            "Your window is `stride` wide; it should be `kernel_size` wide.",
            lambda x, kernel_size, stride: max_pool2d(x, stride, stride),
        ),
        Mistake(
            "kernel and stride exchanged",
            "You exchanged kernel_size and stride.",
            lambda x, kernel_size, stride: max_pool2d(x, stride, kernel_size),
        ),
        Mistake(
            "padded with zeros",
            "You padded with zeros to fit a last window; windows that do not fit are left out.",
            _pool_padded,
        ),
        Mistake(
            "across channels",
            "You take the largest value over the channels as well; each channel is pooled on its own.",
            lambda x, kernel_size, stride: max_pool2d(x, kernel_size, stride).amax(1, keepdim=True),
        ),
        Mistake(
            "one row of the window",
            "You look at the first row of each window only; a window has kernel_size rows.",
            lambda x, kernel_size, stride: F.max_pool2d(
                x[..., : x.shape[-2] - kernel_size + 1, :], (1, kernel_size), stride
            ),
        ),
        Mistake(
            "sum",
            "You add up the window; take its largest value.",
            lambda x, kernel_size, stride: avg_pool2d(x, kernel_size, stride) * kernel_size**2,
        ),
    ),
    pairs=(
        Pair(
            "starts at zero",
            "stride ignored",
            lambda x, kernel_size, stride: max_pool2d(x, kernel_size, kernel_size).clamp(min=0),
        ),
    ),
)


# conv_transpose2d


def _transpose_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, x, weight, **rest):
        return Case(label, (x, weight), rest, gradients=(0, 1))

    def randn(*shape):
        return torch.randn(*shape, generator=g)

    row = torch.tensor([[[[1.0, 2.0]]]])
    return [
        case("two pixels, a 1x3 kernel", row, torch.tensor([[[[1.0, 2.0, 5.0]]]])),
        case(
            "two pixels, stride 2: the stamps overlap",
            row,
            torch.tensor([[[[1.0, 2.0, 5.0], [0.0, -1.0, 3.0]]]]),
            stride=2,
        ),
        case("two pixels, stride 3: a gap between the stamps", row, torch.tensor([[[[1.0, 4.0]]]]), stride=3),
        case("all sizes different, the defaults", randn(2, 3, 7, 6), randn(3, 5, 1, 4)),
        case("kernel larger than the stride", randn(2, 4, 3, 6), randn(4, 5, 3, 3), stride=2),
        case("kernel smaller than the stride", randn(2, 4, 3, 5), randn(4, 6, 2, 1), stride=3),
        case("stride 2, padding 1", randn(3, 2, 5, 6) + 2, randn(2, 5, 4, 3), stride=2, padding=1),
        case("padding 1", randn(2, 5, 3, 4), randn(5, 3, 3, 2), padding=1),
    ]


def _spread(x, stride):
    """Zeros between the pixels, stride - 1 of them."""
    out = x.new_zeros(*x.shape[:2], (x.shape[-2] - 1) * stride + 1, (x.shape[-1] - 1) * stride + 1)
    out[..., ::stride, ::stride] = x
    return out


def _crop(x, padding):
    return x[..., padding : x.shape[-2] - padding, padding : x.shape[-1] - padding]


def _full_correlation(x, weight):
    kh, kw = weight.shape[-2:]
    return F.conv2d(F.pad(x, (kw - 1, kw - 1, kh - 1, kh - 1)), weight)


def _transpose_by_convolution(x, weight, stride=1, padding=0):
    return _crop(_full_correlation(_spread(x, stride), weight.transpose(0, 1).flip(-1, -2)), padding)


def _transpose_by_fold(x, weight, stride=1, padding=0):
    size = [(s - 1) * stride + k - 2 * padding for s, k in zip(x.shape[-2:], weight.shape[-2:])]
    columns = weight.flatten(1).T @ x.flatten(2)
    return F.fold(columns, size, weight.shape[-2:], stride=stride, padding=padding)


def _transpose_by_pixels(x, weight, stride=1, padding=0):
    (n, _, h, w), (_, channels, kh, kw) = x.shape, weight.shape
    out = torch.zeros(n, channels, (h - 1) * stride + kh, (w - 1) * stride + kw)
    for i in range(h):
        for j in range(w):
            stamp = torch.einsum("nc,coab->noab", x[:, :, i, j], weight)
            out[:, :, i * stride : i * stride + kh, j * stride : j * stride + kw] += stamp
    return _crop(out, padding)


def _transpose_by_gradient(x, weight, stride=1, padding=0):
    """It is what backpropagation through a convolution computes."""
    size = [(s - 1) * stride + k - 2 * padding for s, k in zip(x.shape[-2:], weight.shape[-2:])]
    return torch.nn.grad.conv2d_input((len(x), weight.shape[1], *size), weight, x, stride=stride, padding=padding)


def _transpose_overwritten(x, weight, stride=1, padding=0):
    (n, _, h, w), (_, channels, kh, kw) = x.shape, weight.shape
    out = torch.zeros(n, channels, (h - 1) * stride + kh, (w - 1) * stride + kw)
    for i in range(h):
        for j in range(w):
            stamp = torch.einsum("nc,coab->noab", x[:, :, i, j], weight)
            out[:, :, i * stride : i * stride + kh, j * stride : j * stride + kw] = stamp
    return _crop(out, padding)


def _transpose_averaged(x, weight, stride=1, padding=0):
    count = F.conv_transpose2d(
        torch.ones_like(x[:1, :1]), torch.ones_like(weight[:1, :1]), stride=stride, padding=padding
    )
    return conv_transpose2d(x, weight, stride, padding) / count.clamp(min=1)


def _transpose_of_enlarged(x, weight, stride=1, padding=0):
    enlarged = x.repeat_interleave(stride, -1).repeat_interleave(stride, -2)
    return conv_transpose2d(
        enlarged[..., : (x.shape[-2] - 1) * stride + 1, : (x.shape[-1] - 1) * stride + 1], weight, 1, padding
    )


def _transpose_full_slots(x, weight, stride=1, padding=0):
    return F.pad(conv_transpose2d(x, weight, stride, padding), (0, stride - 1, 0, stride - 1))


TRANSPOSE = Exercise(
    name="conv_transpose2d",
    lesson=12,
    points=4,
    minutes=20,
    docstring="""Transposed convolution: each input pixel stamps the kernel onto the output; where stamps overlap they add up.

x: (N, C, H, W). weight: (C, O, kh, kw), channels in first. Pixel (i, j) stamps at row i * stride, column j * stride.
padding: how many rows and columns are cut off each side of the result.
Returns (N, O, (H - 1) * stride + kh - 2 * padding, (W - 1) * stride + kw - 2 * padding).""",
    reference=conv_transpose2d,
    cases=_transpose_cases,
    from_scratch=("convolution_transpose",),
    alternatives={
        "the library": lambda x, weight, stride=1, padding=0: F.conv_transpose2d(
            x, weight, stride=stride, padding=padding
        ),
        "zeros between, then a convolution": _transpose_by_convolution,
        "a matrix product and fold": _transpose_by_fold,
        "pixel by pixel": _transpose_by_pixels,
        "the gradient of a convolution": _transpose_by_gradient,
    },
    mistakes=(
        Mistake(
            "flipped kernel",
            "Your stamps are flipped: zeros between the pixels and a convolution need the kernel turned by 180 "
            "degrees.",
            lambda x, weight, stride=1, padding=0: conv_transpose2d(x, weight.flip(-1, -2), stride, padding),
        ),
        Mistake(
            "transposed kernel",
            "You exchanged the kernel's rows and columns.",
            lambda x, weight, stride=1, padding=0: conv_transpose2d(x, weight.mT, stride, padding),
        ),
        Mistake(
            "channels exchanged",
            "You read the weight as (O, C, kh, kw); in a transposed convolution channels in come first.",
            lambda x, weight, stride=1, padding=0: conv_transpose2d(x, weight.transpose(0, 1), stride, padding),
        ),
        Mistake(
            "overwritten",
            "Where stamps overlap, your later stamp replaces the earlier one; they add up.",
            _transpose_overwritten,
        ),
        Mistake("averaged", "Where stamps overlap you take their mean; they add up.", _transpose_averaged),
        Mistake(
            "stride ignored",
            "You ignore the stride: stamps should be `stride` pixels apart.",
            lambda x, weight, stride=1, padding=0: conv_transpose2d(x, weight, 1, padding),
        ),
        Mistake(
            "padding ignored",
            "You do not cut the border: `padding` rows and columns come off each side.",
            lambda x, weight, stride=1, padding=0: conv_transpose2d(x, weight, stride),
        ),
        Mistake(
            "padding added",
            "You add a border of `padding`; in a transposed convolution padding takes it away.",
            lambda x, weight, stride=1, padding=0: F.pad(conv_transpose2d(x, weight, stride), (padding,) * 4),
        ),
        Mistake(
            "cut at the top left only",
            "You cut the top and the left only; the padding comes off all four sides.",
            lambda x, weight, stride=1, padding=0: conv_transpose2d(x, weight, stride)[..., padding:, padding:],
        ),
        Mistake(
            "repeated instead of zeros",
            "You enlarge by repeating pixels before the convolution; between them belong zeros.",
            _transpose_of_enlarged,
        ),
        Mistake(
            "room for a whole last stride",
            "Your output is stride - 1 rows and columns too large: after the last stamp nothing follows.",
            _transpose_full_slots,
        ),
        Mistake(
            "a plain convolution",
            "You computed the convolution with that stride, which makes the picture smaller; a transposed "
            "convolution makes it larger.",
            lambda x, weight, stride=1, padding=0: conv2d(x, weight.transpose(0, 1), None, stride, padding),
        ),
        Mistake(
            "first channel only",
            "You stamp with the first channel of x only; all channels in add up.",
            lambda x, weight, stride=1, padding=0: conv_transpose2d(x[:, :1], weight[:1], stride, padding),
        ),
    ),
    pairs=(
        Pair(
            "flipped kernel",
            "padding ignored",
            lambda x, weight, stride=1, padding=0: conv_transpose2d(x, weight.flip(-1, -2), stride),
        ),
        Pair(
            "flipped kernel",
            "channels exchanged",
            lambda x, weight, stride=1, padding=0: conv_transpose2d(
                x, weight.transpose(0, 1).flip(-1, -2), stride, padding
            ),
        ),
    ),
)


# receptive_field


def _field_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def drawn(depth):
        kernels, strides = (torch.randint(1, high, (depth,), generator=g).tolist() for high in (6, 4))
        return list(zip(kernels, strides))

    return [
        Case("no layers", ([],)),
        Case("one layer", ([(3, 1)],)),
        Case("one layer with a stride", ([(4, 2)],)),
        Case("two layers", ([(3, 1), (5, 1)],)),
        Case("a stride first", ([(3, 2), (5, 1)],)),
        Case("a stride after the last kernel", ([(3, 1), (5, 3)],)),
        Case("a kernel of 1 with a stride", ([(1, 3), (3, 1)],)),
        Case("three strides", ([(3, 2), (4, 3), (5, 2)],)),
        Case("convolutions and pooling", ([(5, 1), (2, 2), (3, 1), (2, 2), (3, 1)],)),
        *(Case(f"{depth} layers drawn at random", (drawn(depth),)) for depth in (3, 4, 5)),
    ]


def _field_backwards(layers):
    """From the output pixel back: n pixels of a layer's output see (n - 1) * stride + kernel of its input."""
    field = 1
    for kernel, stride in reversed(layers):
        field = (field - 1) * stride + kernel
    return field


def _field_by_sum(layers):
    return 1 + sum((kernel - 1) * math.prod(stride for _, stride in layers[:i]) for i, (kernel, _) in enumerate(layers))


def _field_by_pixels(layers):
    """Follow the pixels that are seen, layer by layer, back to the input."""
    seen = {0}
    for kernel, stride in reversed(layers):
        seen = {i * stride + a for i in seen for a in range(kernel)}
    return max(seen) + 1


def _field_by_numpy(layers):
    kernels, strides = np.array(layers, dtype=int).reshape(-1, 2).T
    jumps = np.cumprod(np.concatenate([[1], strides]))[:-1]
    return 1 + ((kernels - 1) * jumps).sum()


def _field_with_jumps(layers, jumps):
    return 1 + sum((kernel - 1) * jump for (kernel, _), jump in zip(layers, jumps))


def _products(strides):
    """1, then the product of the first stride, of the first two ..."""
    return np.cumprod([1, *strides]).tolist()


FIELD = Exercise(
    name="receptive_field",
    lesson=12,
    points=2,
    minutes=10,
    docstring="""How many input pixels, along one side, one output pixel of a stack of layers can see.

layers: list of (kernel, stride), from the input to the output; convolution and pooling alike.
Returns an int; with no layers a pixel sees itself.""",
    reference=receptive_field,
    cases=_field_cases,
    alternatives={
        "from the output back": _field_backwards,
        "one sum": _field_by_sum,
        "following pixels": _field_by_pixels,
        "NumPy": _field_by_numpy,
    },
    mistakes=(
        Mistake(
            "strides ignored",
            "You ignore the strides: after a stride of 2, one step covers two pixels of the input.",
            lambda layers: _field_with_jumps(layers, [1] * len(layers)),
        ),
        Mistake(
            "own stride counted",
            "You count a layer's own stride for its own kernel; it only spreads the layers after it.",
            lambda layers: _field_with_jumps(layers, _products([s for _, s in layers])[1:]),
        ),
        Mistake(
            "only the stride before",
            "You count only the stride of the layer just before; all strides before it multiply.",
            lambda layers: _field_with_jumps(layers, [1, *(s for _, s in layers)]),
        ),
        Mistake(
            "strides added",
            "You add the strides up; they multiply.",
            lambda layers: _field_with_jumps(layers, [1, *np.cumsum([s for _, s in layers]).tolist()]),
        ),
        Mistake(
            "kernel instead of kernel - 1",
            "You add the whole kernel; one of its pixels was there already, so add kernel - 1.",
            lambda layers: 1 + sum(k * j for (k, _), j in zip(layers, _products([s for _, s in layers]))),
        ),
        Mistake(
            "starts at 0",
            "You start at 0; before the first layer a pixel sees itself, so start at 1.",
            lambda layers: receptive_field(layers) - 1,
        ),
        Mistake(
            "wrong order",
            "You went through the layers from the last to the first with a formula that goes forwards.",
            lambda layers: receptive_field(layers[::-1]),
        ),
        Mistake(
            "product of the strides",
            "You return the step between neighbouring output pixels; the receptive field is how wide one of them sees.",
            lambda layers: math.prod(s for _, s in layers),
        ),
        Mistake(
            "product of the kernels",
            "You multiply the kernels; each layer ADDS (kernel - 1) times the strides before it.",
            lambda layers: math.prod(k for k, _ in layers),
        ),
        Mistake(
            "sum of the kernels",
            "You add the kernels up; neighbouring windows overlap, so each layer adds kernel - 1.",
            lambda layers: sum(k for k, _ in layers),
        ),
        Mistake(
            "fails without layers",
            "You begin with the first layer's kernel, which an empty list does not have; begin with 1.",
            lambda layers: layers[0][0] + receptive_field([(1, layers[0][1]), *layers[1:]]) - 1,
        ),
    ),
    pairs=(
        Pair("strides ignored", "kernel instead of kernel - 1", lambda layers: 1 + sum(kernel for kernel, _ in layers)),
    ),
)

# output_size


def _size_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def drawn():
        kernel, stride, padding, dilation = (
            torch.randint(low, high, (), generator=g).item() for low, high in ((2, 6), (2, 5), (1, 4), (2, 4))
        )
        size = dilation * (kernel - 1) + torch.randint(3, 40, (), generator=g).item()
        return (size, kernel, stride, padding, dilation)

    return [
        Case("the defaults", (8, 3)),
        Case("a stride that divides", (9, 3), {"stride": 2}),
        Case("a last window that does not fit", (8, 3), {"stride": 2}),
        Case("padding", (10, 4), {"stride": 2, "padding": 1}),
        Case("dilation", (12, 3), {"dilation": 4}),
        Case("a stride and three windows that do not fit", (20, 5, 4, 1, 2)),
        Case("a kernel as large as the picture", (7, 7)),
        *(Case(f"size, kernel, stride, padding, dilation = {a}", a) for a in (drawn() for _ in range(5))),
    ]


def _size_by_counting(size, kernel_size, stride=1, padding=0, dilation=1):
    first, count = -padding, 0
    while first + dilation * (kernel_size - 1) < size + padding:
        first, count = first + stride, count + 1
    return count


def _size_by_range(size, kernel_size, stride=1, padding=0, dilation=1):
    return len(range(0, size + 2 * padding - dilation * (kernel_size - 1), stride))


def _size_by_torch(size, kernel_size, stride=1, padding=0, dilation=1):
    picture, kernel = torch.zeros(1, 1, size), torch.zeros(1, 1, kernel_size)
    return F.conv1d(picture, kernel, stride=stride, padding=padding, dilation=dilation).shape[-1]


def _size_with(extent, rounding=0, more=1):
    """A wrong formula: extent(kernel_size, dilation) is what the kernel covers."""

    def size_of(size, kernel_size, stride=1, padding=0, dilation=1):
        return (size + 2 * padding - extent(kernel_size, dilation) + rounding * (stride - 1)) // stride + more

    return size_of


def _covered(kernel_size, dilation):
    return dilation * (kernel_size - 1) + 1


def _size_transposed(size, kernel_size, stride=1, padding=0, dilation=1):
    return (size - 1) * stride + _covered(kernel_size, dilation) - 2 * padding


def _size_divided_first(size, kernel_size, stride=1, padding=0, dilation=1):
    return (size + 2 * padding) // stride - _covered(kernel_size, dilation) + 1


SIZE = Exercise(
    name="output_size",
    lesson=12,
    points=2,
    minutes=10,
    docstring="""How many windows fit along one side of a picture.

size: side of the picture, before padding. kernel_size, stride, padding: of the layer, as in conv2d.
dilation: how far apart two neighbouring pixels of the kernel lie; 1 is the ordinary kernel, 2 leaves one pixel between.
Returns an int; windows that do not fit are left out.""",
    reference=output_size,
    cases=_size_cases,
    alternatives={
        "counting the windows": _size_by_counting,
        "the length of a range": _size_by_range,
        "asking torch": _size_by_torch,
        "rounded down by math.floor": lambda size, kernel_size, stride=1, padding=0, dilation=1: (
            math.floor((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1
        ),
    },
    mistakes=(
        Mistake("no window at the start", "You forgot the window at the start: add 1.", _size_with(_covered, more=0)),
        Mistake(
            "rounded up",
            "You round up, and count a last window that does not fit.",
            _size_with(_covered, rounding=1),
        ),
        Mistake(
            "dilation ignored",
            "You ignore the dilation: the kernel covers dilation * (kernel_size - 1) + 1 pixels.",
            _size_with(lambda k, d: k),
        ),
        Mistake(
            "dilation times kernel",
            "Your kernel covers dilation * kernel_size pixels; after its last pixel there is no gap.",
            _size_with(lambda k, d: d * k),
        ),
        Mistake(
            "gaps of the whole dilation",
            "You put `dilation` pixels between two pixels of the kernel; it is dilation - 1.",
            _size_with(lambda k, d: k + d * (k - 1)),
        ),
        Mistake(
            "one gap",
            "You widen the kernel by one gap; it has kernel_size - 1 of them.",
            _size_with(lambda k, d: k + d - 1),
        ),
        Mistake(
            "padding once",
            "You add the padding once; it is on both sides.",
            lambda size, kernel_size, stride=1, padding=0, dilation=1: output_size(
                size + padding, kernel_size, stride, 0, dilation
            ),
        ),
        Mistake(
            "padding ignored",
            "You ignore the padding.",
            lambda size, kernel_size, stride=1, padding=0, dilation=1: output_size(
                size, kernel_size, stride, 0, dilation
            ),
        ),
        Mistake(
            "stride ignored",
            "You ignore the stride.",
            lambda size, kernel_size, stride=1, padding=0, dilation=1: output_size(
                size, kernel_size, 1, padding, dilation
            ),
        ),
        Mistake(
            "transposed",
            "You computed the size of a transposed convolution, which makes the picture larger.",
            _size_transposed,
        ),
        Mistake(
            "divided too early",
            "You divide by the stride before you take the kernel away; only the room that is left is divided.",
            _size_divided_first,
        ),
    ),
    pairs=(
        Pair(
            "padding once",
            "dilation ignored",
            lambda size, kernel_size, stride=1, padding=0, dilation=1: output_size(size + padding, kernel_size, stride),
        ),
        Pair("no window at the start", "dilation ignored", _size_with(lambda k, d: k, more=0)),
    ),
)


# depthwise_conv2d


def _depthwise_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, x, weight, **rest):
        return Case(label, (x, weight), rest, gradients=(0, 1))

    def randn(*shape):
        return torch.randn(*shape, generator=g)

    tiny = torch.tensor([[[[1.0, 2.0, 4.0]], [[3.0, 7.0, 5.0]]]])
    return [
        case("two channels of one row, kernels 1x2", tiny, torch.tensor([[[1.0, 2.0]], [[0.0, -1.0]]])),
        case("padding 1", tiny, torch.tensor([[[1.0, 3.0]], [[-2.0, 5.0]]]), padding=1),
        case("all sizes different", randn(2, 4, 7, 6), randn(4, 3, 2)),
        case("stride 2 that does not divide", randn(3, 2, 8, 7), randn(2, 3, 3), stride=2),
        case("stride and padding", randn(2, 5, 6, 9) + 2, randn(5, 2, 4), stride=2, padding=1),
        case("one channel", randn(3, 1, 5, 6), randn(1, 3, 3)),
    ]


def _depthwise_by_channel(x, weight, stride=1, padding=0):
    outs = [conv2d(x[:, c : c + 1], weight[None, c : c + 1], None, stride, padding) for c in range(len(weight))]
    return torch.cat(outs, 1)


def _depthwise_by_position(x, weight, stride=1, padding=0):
    x, (kh, kw) = F.pad(x, (padding,) * 4), weight.shape[-2:]
    h, w = (x.shape[-2] - kh) // stride + 1, (x.shape[-1] - kw) // stride + 1
    out = torch.zeros(*x.shape[:2], h, w)
    for i in range(h):
        for j in range(w):
            window = x[:, :, i * stride : i * stride + kh, j * stride : j * stride + kw]
            out[:, :, i, j] = (window * weight).sum((2, 3))
    return out


def _depthwise_by_diagonal(x, weight, stride=1, padding=0):
    """The full convolution with a weight that is 0 off the diagonal."""
    full = torch.diag_embed(weight.movedim(0, -1)).movedim((-2, -1), (0, 1))
    return conv2d(x, full, None, stride, padding)


def _depthwise_by_numpy(x, weight, stride=1, padding=0):
    x = np.pad(x.numpy().astype(np.float64), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(x, weight.shape[-2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("nchwab,cab->nchw", windows, weight.numpy())


def _depthwise_not_moved(x, weight, stride=1, padding=0):
    full = depthwise_conv2d(x, weight, 1, padding)
    return full[..., : (full.shape[-2] - 1) // stride + 1, : (full.shape[-1] - 1) // stride + 1]


def _depthwise_one_side(x, weight, stride=1, padding=0):
    return depthwise_conv2d(F.pad(x, (2 * padding, 0, 2 * padding, 0)), weight, stride)


DEPTHWISE = Exercise(
    name="depthwise_conv2d",
    lesson=12,
    points=3,
    minutes=15,
    docstring="""Convolution in which each channel has a kernel of its own: channel c out sees channel c in, and no other.

x: (N, C, H, W), padded with zeros by `padding` on all four sides. weight: (C, kh, kw). stride: down and across.
Returns (N, C, (H + 2 * padding - kh) // stride + 1, (W + 2 * padding - kw) // stride + 1).""",
    reference=depthwise_conv2d,
    cases=_depthwise_cases,
    from_scratch=("convolution",),
    alternatives={
        "the library": lambda x, weight, stride=1, padding=0: F.conv2d(
            x, weight[:, None], stride=stride, padding=padding, groups=len(weight)
        ),
        "channel by channel": _depthwise_by_channel,
        "position by position": _depthwise_by_position,
        "a diagonal of kernels": _depthwise_by_diagonal,
        "NumPy, float64": _depthwise_by_numpy,
    },
    mistakes=(
        Mistake(
            "flipped kernel",
            "Your kernels are flipped: layers compute cross-correlation.",
            lambda x, weight, stride=1, padding=0: depthwise_conv2d(x, weight.flip(-1, -2), stride, padding),
        ),
        Mistake(
            "transposed kernel",
            "You exchanged the kernels' rows and columns: weight[c, a, b] has a for rows and b for columns.",
            lambda x, weight, stride=1, padding=0: depthwise_conv2d(x, weight.mT, stride, padding),
        ),
        Mistake(
            "summed over the channels",
            "You add the channels up; here each channel stays on its own.",
            lambda x, weight, stride=1, padding=0: depthwise_conv2d(x, weight, stride, padding).sum(1, keepdim=True),
        ),
        Mistake(
            "every kernel on every channel",
            "You apply every kernel to every channel and add up; kernel c belongs to channel c alone.",
            lambda x, weight, stride=1, padding=0: conv2d(
                x, weight[:, None].expand(-1, x.shape[1], -1, -1), None, stride, padding
            ),
        ),
        Mistake(
            "first kernel for all",
            "You use the first kernel for all channels.",
            lambda x, weight, stride=1, padding=0: depthwise_conv2d(x, weight[:1].expand_as(weight), stride, padding),
        ),
        Mistake(
            "first channel for all",
            "You look at the first channel of x only; kernel c belongs to channel c.",
            lambda x, weight, stride=1, padding=0: depthwise_conv2d(x[:, :1].expand_as(x), weight, stride, padding),
        ),
        Mistake(
            "kernels in reverse order",
            "Your kernels go to the channels in reverse order: kernel c belongs to channel c.",
            lambda x, weight, stride=1, padding=0: depthwise_conv2d(x, weight.flip(0), stride, padding),
        ),
        Mistake(
            "stride ignored",
            "You ignore the stride: windows should be `stride` pixels apart.",
            lambda x, weight, stride=1, padding=0: depthwise_conv2d(x, weight, 1, padding),
        ),
        Mistake(
            "stride in the size only",
            "Your output has the right size, but its windows are one pixel apart: window i starts at row i * stride.",
            _depthwise_not_moved,
        ),
        Mistake(
            "padding ignored",
            "You ignore the padding.",
            lambda x, weight, stride=1, padding=0: depthwise_conv2d(x, weight, stride),
        ),
        Mistake(
            "all padding on one side",
            "You put both sides' padding at the top and the left; each side gets `padding` rows or columns.",
            _depthwise_one_side,
        ),
        Mistake(
            "mean instead of sum",
            "You take the mean of a window; a convolution sums.",
            lambda x, weight, stride=1, padding=0: depthwise_conv2d(x, weight / weight[0].numel(), stride, padding),
        ),
    ),
    pairs=(
        Pair(
            "flipped kernel",
            "padding ignored",
            lambda x, weight, stride=1, padding=0: depthwise_conv2d(x, weight.flip(-1, -2), stride),
        ),
        Pair(
            "summed over the channels",
            "padding ignored",
            lambda x, weight, stride=1, padding=0: depthwise_conv2d(x, weight, stride).sum(1, keepdim=True),
        ),
    ),
)


# kernel_gradient


def _kernel_gradient_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=g)

    def case(label, x, grad):
        return Case(label, (x, grad))

    row = torch.tensor([[[[1.0, 2.0, 4.0, 8.0]]]])
    return [
        case("one row, an output of 2", row, torch.tensor([[[[1.0, -3.0]]]])),
        case("one row, an output of 3", row, torch.tensor([[[[1.0, 0.0, 5.0]]]])),
        case("two pictures", randn(2, 1, 4, 5), randn(2, 1, 3, 3)),
        case("all sizes different", randn(2, 4, 7, 6) + 1, randn(2, 3, 5, 3)),
        case("a kernel of 1x1", randn(3, 2, 4, 5), randn(3, 4, 4, 5)),
        case("a kernel as large as the picture", randn(2, 3, 4, 5), randn(2, 5, 1, 1)),
    ]


def _kernel_gradient_by_autograd(x, grad):
    weight = torch.zeros(
        grad.shape[1], x.shape[1], *(a - b + 1 for a, b in zip(x.shape[2:], grad.shape[2:])), requires_grad=True
    )
    return torch.autograd.grad(F.conv2d(x, weight), weight, grad)[0]


def _kernel_gradient_by_element(x, grad):
    h, w = grad.shape[-2:]
    out = torch.zeros(grad.shape[1], x.shape[1], x.shape[-2] - h + 1, x.shape[-1] - w + 1)
    for a in range(out.shape[-2]):
        for b in range(out.shape[-1]):
            out[:, :, a, b] = torch.einsum("nohw,nchw->oc", grad, x[:, :, a : a + h, b : b + w])
    return out


def _kernel_gradient_by_window(x, grad):
    """Each output pixel pulls the kernel towards the window it has seen."""
    kh, kw = (a - b + 1 for a, b in zip(x.shape[2:], grad.shape[2:]))
    return sum(
        torch.einsum("no,ncab->ocab", grad[:, :, i, j], x[:, :, i : i + kh, j : j + kw])
        for i in range(grad.shape[-2])
        for j in range(grad.shape[-1])
    )


def _kernel_gradient_by_numpy(x, grad):
    windows = sliding_window_view(x.numpy().astype(np.float64), grad.shape[-2:], axis=(2, 3))
    return np.einsum("ncabhw,nohw->ocab", windows, grad.numpy())


KERNEL_GRADIENT = Exercise(
    name="kernel_gradient",
    lesson=12,
    points=3,
    minutes=20,
    docstring="""What `.backward()` gives the kernels of a convolution without stride and padding.

x: (N, C, H, W), what went in. grad: (N, O, h, w), the gradient of the loss for each output pixel.
Returns (O, C, H - h + 1, W - w + 1), the gradient of the loss for the kernels.""",
    reference=kernel_gradient,
    cases=_kernel_gradient_cases,
    from_scratch=("convolution", "convolution_backward"),
    alternatives={
        "the library": _kernel_gradient_by_autograd,
        "element by element": _kernel_gradient_by_element,
        "window by window": _kernel_gradient_by_window,
        "NumPy, float64": _kernel_gradient_by_numpy,
    },
    mistakes=(
        Mistake(
            "flipped",
            "Your kernels come out turned by 180 degrees: element (a, b) meets x at row i + a, column j + b.",
            lambda x, grad: kernel_gradient(x, grad).flip(-1, -2),
        ),
        Mistake(
            "gradient flipped",
            "You turn the output's gradient by 180 degrees; each of its pixels meets the window it has seen.",
            lambda x, grad: kernel_gradient(x, grad.flip(-1, -2)),
        ),
        Mistake(
            "channels exchanged",
            "You return (C, O, kh, kw); kernels are (O, C, kh, kw), channels out first.",
            lambda x, grad: kernel_gradient(x, grad).transpose(0, 1),
        ),
        Mistake(
            "mean over the pictures",
            "You take the mean over the pictures; every picture's share adds up, and a mean belongs to the loss.",
            lambda x, grad: kernel_gradient(x, grad) / len(x),
        ),
        Mistake(
            "mean over the places",
            "You take the mean over the output's pixels; the kernel is used at each of them, and the shares add up.",
            lambda x, grad: kernel_gradient(x, grad) / grad[0, 0].numel(),
        ),
        Mistake(
            "first picture only",
            "You look at the first picture only; add the shares of all.",
            lambda x, grad: kernel_gradient(x[:1], grad[:1]),
        ),
        Mistake(
            "pictures kept apart",
            "You return a gradient for each picture; they share the kernel, so their shares add up.",
            lambda x, grad: torch.stack([kernel_gradient(x[n : n + 1], grad[n : n + 1]) for n in range(len(x))]),
        ),
        Mistake(
            "first place only",
            "You count the output's first pixel only; add the shares of all places where the kernel was laid.",
            lambda x, grad: kernel_gradient(
                x[..., : x.shape[-2] - grad.shape[-2] + 1, : x.shape[-1] - grad.shape[-1] + 1], grad[..., :1, :1]
            ),
        ),
        Mistake(
            "gradient ignored",
            "You add up the windows without the gradient; each counts as much as its output pixel's gradient.",
            lambda x, grad: kernel_gradient(x, torch.ones_like(grad)),
        ),
        Mistake(
            "negative",
            "You return the step that gradient descent takes; the gradient itself has the other sign.",
            lambda x, grad: -kernel_gradient(x, grad),
        ),
        Mistake(
            "channels summed",
            "You add the channels in up; each has a layer of the kernel of its own.",
            lambda x, grad: kernel_gradient(x, grad).sum(1, keepdim=True).expand(-1, x.shape[1], -1, -1),
        ),
    ),
    pairs=(
        Pair("flipped", "mean over the pictures", lambda x, grad: kernel_gradient(x, grad).flip(-1, -2) / len(x)),
        Pair(
            "channels exchanged",
            "mean over the pictures",
            lambda x, grad: kernel_gradient(x, grad).transpose(0, 1) / len(x),
        ),
    ),
)

EXERCISES = (SIZE, CONV, DEPTHWISE, KERNEL_GRADIENT, POOL, TRANSPOSE, FIELD)
