"""What part 1 builds by hand: editing and warping, convolution, pooling, transposed convolution, receptive field.

Short versions to read and to take apart. Each agrees with torch to rounding (tests/test_ops.py); none is meant to be fast.
They work in any floating type and on any device, and gradients flow through them.
"""
import math

import torch
import torch.nn.functional as F


def flip_horizontal(image):
    """Mirror left and right.

    Args:
        image: (..., H, W), any type.
    Returns:
        the same shape; column j becomes column W - 1 - j.
    """
    return image.flip(-1)


def rotation_matrix(degrees):
    """The matrix that `warp` needs to turn a picture counter-clockwise, as seen on the screen.

    `warp` asks, for each output pixel, where in the input it comes from. So the matrix maps output to input: it turns
    points back, clockwise. Coordinates run from -1 to 1, x to the right and y down.

    Args:
        degrees: angle, a number; positive is counter-clockwise as seen.
    Returns:
        (2, 3) float32: a rotation beside a column of zeros (no shift).
    """
    a = math.radians(degrees)
    return torch.tensor([[math.cos(a), -math.sin(a), 0.0],
                         [math.sin(a), math.cos(a), 0.0]])


def warp(image, matrix):
    """Affine warp by bilinear interpolation; whatever lies outside the input is 0.

    Args:
        image: (N, C, H, W) float.
        matrix: (2, 3) float, maps an output point (x, y, 1) to an input point (x, y). Coordinates are in [-1, 1] with
            the borders at the outer edges of the border pixels (align_corners=False).
    Returns:
        (N, C, H, W).
    Source: Jaderberg et al. 2015, Spatial Transformer Networks, eq. 1 and 5.
    """
    h, w = image.shape[-2:]
    ys = (2 * torch.arange(h, device=image.device) + 1).to(image) / h - 1          # centres of the pixels
    xs = (2 * torch.arange(w, device=image.device) + 1).to(image) / w - 1
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    m = matrix.to(image)
    column = ((m[0, 0] * x + m[0, 1] * y + m[0, 2] + 1) * w - 1) / 2               # in pixels of the input
    row = ((m[1, 0] * x + m[1, 1] * y + m[1, 2] + 1) * h - 1) / 2
    top, left = row.floor(), column.floor()
    out = 0
    for i, weight_i in ((top, top + 1 - row), (top + 1, row - top)):
        for j, weight_j in ((left, left + 1 - column), (left + 1, column - left)):
            inside = (0 <= i) & (i < h) & (0 <= j) & (j < w)
            value = image[..., i.clamp(0, h - 1).long(), j.clamp(0, w - 1).long()]
            out = out + value * (weight_i * weight_j * inside)
    return out


def conv2d(x, weight, bias=None, stride=1, padding=0):
    """Cross-correlation, which every library calls convolution: the kernel slides and is not flipped.

        out[n, o, i, j] = bias[o] + sum over c, a, b of x[n, c, i * stride + a, j * stride + b] * weight[o, c, a, b]

    Args:
        x: (N, C, H, W), zero-padded by `padding` on all four sides.
        weight: (O, C, kh, kw).
        bias: (O,) or None.
    Returns:
        (N, O, (H + 2 * padding - kh) // stride + 1, (W + 2 * padding - kw) // stride + 1).
    Source: Dumoulin and Visin 2016, A guide to convolution arithmetic, relationship 6.
    """
    x = F.pad(x, (padding,) * 4)
    kh, kw = weight.shape[-2:]
    h = (x.shape[-2] - kh) // stride + 1
    w = (x.shape[-1] - kw) // stride + 1
    out = 0 if bias is None else bias[:, None, None]
    for a in range(kh):
        for b in range(kw):
            shifted = x[:, :, a:a + stride * (h - 1) + 1:stride, b:b + stride * (w - 1) + 1:stride]
            out = out + torch.einsum("nchw,oc->nohw", shifted, weight[:, :, a, b])
    return out


def _windows(x, kernel_size, stride):
    """(N, C, h, w, k, k): every window of a pooling layer."""
    return x.unfold(-2, kernel_size, stride).unfold(-2, kernel_size, stride)


def max_pool2d(x, kernel_size, stride):
    """The largest value of each window. x (N, C, H, W) -> (N, C, (H - k) // stride + 1, (W - k) // stride + 1)."""
    return _windows(x, kernel_size, stride).flatten(-2).max(-1).values


def avg_pool2d(x, kernel_size, stride):
    """The mean of each window. x (N, C, H, W) -> (N, C, (H - k) // stride + 1, (W - k) // stride + 1)."""
    return _windows(x, kernel_size, stride).mean((-2, -1))


def conv_transpose2d(x, weight, stride=1, padding=0):
    """Transposed convolution: each input pixel stamps the kernel onto the output; where stamps overlap they add up.

        out[n, o, i * stride + a - padding, j * stride + b - padding] += x[n, c, i, j] * weight[c, o, a, b]

    Args:
        x: (N, C, H, W).
        weight: (C, O, kh, kw); note that channels in come first.
        padding: how many rows and columns are cut off each side of the output.
    Returns:
        (N, O, (H - 1) * stride + kh - 2 * padding, (W - 1) * stride + kw - 2 * padding).
    Source: Dumoulin and Visin 2016, relationship 14.
    """
    n, _, h, w = x.shape
    kh, kw = weight.shape[-2:]
    out = x.new_zeros(n, weight.shape[1], (h - 1) * stride + kh, (w - 1) * stride + kw)
    for a in range(kh):
        for b in range(kw):
            stamped = torch.einsum("nchw,co->nohw", x, weight[:, :, a, b])
            out[:, :, a:a + stride * (h - 1) + 1:stride, b:b + stride * (w - 1) + 1:stride] += stamped
    return out[:, :, padding:out.shape[2] - padding, padding:out.shape[3] - padding]


def receptive_field(layers):
    """How many input pixels, along one side, one output pixel of a stack of layers can see.

        r = 1 + sum over layers of (kernel - 1) * (product of the strides of the layers before it)

    Args:
        layers: [(kernel, stride), ...] from the input to the output; convolution and pooling alike.
    Returns:
        int, 1 for no layers.
    Source: Araujo et al. 2019, Computing Receptive Fields of Convolutional Neural Networks, eq. 2.
    """
    field, jump = 1, 1
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump *= stride
    return field


def dropout(x, p, keep):
    """Inverted dropout: zero what is not kept and scale the rest, so that the mean stays what it was.

    Args:
        x: any shape.
        p: probability in [0, 1) with which an element was dropped when `keep` was drawn.
        keep: 0/1 mask that broadcasts to x; the randomness is the caller's.
    Returns:
        x * keep / (1 - p).
    Source: Srivastava et al. 2014, Dropout, section 10 (scaling at training time).
    """
    return x * keep / (1 - p)


def spectral_norm(weight, u, iterations):
    """Largest singular value of a matrix by power iteration.

    Args:
        weight: (O, I). u: (O,), any start that is not orthogonal to the answer. iterations: int, at least 1.
    Returns:
        (sigma, u): scalar, at most the true value and approaching it; and the left vector (O,) of length 1 to go on from.
        Gradients flow through sigma to `weight`, with the singular vectors held constant.
    Source: Miyato et al. 2018, Spectral Normalization for GANs, algorithm 1.
    """
    with torch.no_grad():
        for _ in range(iterations):
            v = F.normalize(weight.T @ u, dim=0)
            u = F.normalize(weight @ v, dim=0)
    return u @ weight @ v, u
