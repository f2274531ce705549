"""What lessons build by hand: warping, convolution, pooling, optimizers' steps, batch norm; later what conditional, mending and style
networks add.

Short versions to read and to take apart. Each agrees with torch to rounding (tests/properties/test_ops.py); none is meant to be fast.
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
    return torch.tensor([[math.cos(a), -math.sin(a), 0.0], [math.sin(a), math.cos(a), 0.0]])


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
    ys = (2 * torch.arange(h, device=image.device) + 1).to(image) / h - 1  # centres of the pixels
    xs = (2 * torch.arange(w, device=image.device) + 1).to(image) / w - 1
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    m = matrix.to(image)
    column = ((m[0, 0] * x + m[0, 1] * y + m[0, 2] + 1) * w - 1) / 2  # in pixels of the input
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
            shifted = x[:, :, a : a + stride * (h - 1) + 1 : stride, b : b + stride * (w - 1) + 1 : stride]
            out = out + torch.einsum("nchw,oc->nohw", shifted, weight[:, :, a, b])
    return out


def output_size(size, kernel_size, stride=1, padding=0, dilation=1):
    """How many windows fit along one side of a picture: the side of what a convolution or a pooling gives.

    Args: size: side of the picture. kernel_size, stride, padding, dilation: of the layer; with dilation d the kernel's pixels lie
        d apart, so that it covers d (kernel_size - 1) + 1. It must fit at least once.
    Returns: int.
    Source: Dumoulin and Visin 2016, relationship 15.
    """
    return (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1


def depthwise_conv2d(x, weight, stride=1, padding=0):
    """Convolution in which each channel is seen by a kernel of its own, and by no other.

        out[n, c, i, j] = sum over a, b of x[n, c, i * stride + a, j * stride + b] * weight[c, a, b]

    Args: x: (N, C, H, W), zero-padded by `padding` on all four sides. weight: (C, kh, kw).
    Returns: (N, C, (H + 2 * padding - kh) // stride + 1, (W + 2 * padding - kw) // stride + 1).
    Source: Howard et al. 2017, MobileNets, eq. 3.
    """
    n, c = x.shape[:2]
    each = x.flatten(0, 1)[:, None]  # (N C, 1, H, W): every channel a grey picture
    out = torch.stack([conv2d(each[k::c], weight[k][None, None], None, stride, padding)[:, 0] for k in range(c)], 1)
    return out.view(n, c, *out.shape[-2:])


def kernel_gradient(x, grad):
    """What backpropagation gives the kernels of a convolution without stride and padding.

        out[o, c, a, b] = sum over n, i, j of grad[n, o, i, j] * x[n, c, i + a, j + b]

    Args: x: (N, C, H, W), what went in. grad: (N, O, h, w), the gradient of a loss for what came out.
    Returns: (O, C, H - h + 1, W - w + 1), the gradient of that loss for the kernels.
    Source: Dumoulin and Visin 2016, section 4.1; Goodfellow et al. 2016, Deep Learning, eq. 9.11.
    """
    return conv2d(x.transpose(0, 1), grad.transpose(0, 1)).transpose(0, 1)


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
            out[:, :, a : a + stride * (h - 1) + 1 : stride, b : b + stride * (w - 1) + 1 : stride] += stamped
    return out[:, :, padding : out.shape[2] - padding, padding : out.shape[3] - padding]


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


def sgd_step(parameter, gradient, velocity, lr, momentum):
    """One step of gradient descent with momentum: the velocity gathers gradients, the parameter follows the velocity.

        velocity = momentum * velocity + gradient
        parameter = parameter - lr * velocity

    Args:
        parameter, gradient, velocity: tensors of one shape; the velocity starts at 0. None of them is changed.
        lr: learning rate, above 0. momentum: in [0, 1); 0 is plain gradient descent.
    Returns:
        (parameter, velocity), new tensors.
    Source: Polyak 1964; Sutskever et al. 2013, On the importance of initialization and momentum, eq. 1 and 2, with lr outside as in torch.
    """
    velocity = momentum * velocity + gradient
    return parameter - lr * velocity, velocity


def adam_step(parameter, gradient, m, v, step, lr, betas, eps):
    """One step of Adam: the mean gradient, divided by the root of the mean squared gradient.

    Args:
        parameter, gradient: tensors of one shape. m, v: running means of the gradient and of its square, of the same shape,
            starting at 0. None of them is changed.
        step: which step this is, from 1. lr: learning rate. betas: how much of m and of v is kept, two numbers in [0, 1).
        eps: small number, added to the root.
    Returns:
        (parameter, m, v), new tensors; m and v without the correction for their start at 0.
    Source: Kingma and Ba 2015, Adam, algorithm 1.
    """
    m = betas[0] * m + (1 - betas[0]) * gradient
    v = betas[1] * v + (1 - betas[1]) * gradient**2
    mean, square = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
    return parameter - lr * mean / (square.sqrt() + eps), m, v


def batch_norm(x, gamma, beta, running_mean, running_var, momentum, eps, training):
    """Batch normalisation: each channel to mean 0 and variance 1, then a scale and a shift that are learnt.

    Args:
        x: (N, C, H, W). gamma, beta: (C,), the scale and the shift.
        running_mean, running_var: (C,), what was remembered of earlier batches; not changed.
        momentum: share of the new batch in what is remembered. eps: small number, added to the variance.
        training: True: normalise by this batch's own mean and biased variance over N, H and W, and remember its mean and unbiased
            variance. False: normalise by what was remembered, which stays as it is.
    Returns:
        (y, running_mean, running_var): y of x's shape; what is remembered carries no gradient.
    Source: Ioffe and Szegedy 2015, Batch Normalization, algorithms 1 and 2.
    """
    mean, variance = running_mean, running_var
    if training:
        count = x.numel() // x.shape[1]
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        unbiased = variance.detach() * count / (count - 1)
        running_mean = (1 - momentum) * running_mean + momentum * mean.detach()
        running_var = (1 - momentum) * running_var + momentum * unbiased
    channels = lambda values: values[:, None, None]
    y = (x - channels(mean)) / channels(variance + eps).sqrt()
    return channels(gamma) * y + channels(beta), running_mean, running_var


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


def extragradient_step(field, point, lr):
    """One step of a game that does not circle: look where a plain step would lead, and step from here by the gradients found there.

    Args:
        field: function (P,) -> (P,), for every parameter of every player the gradient of its own player's loss.
        point: (P,), the parameters of all players. lr: number, the step size of both steps.
    Returns:
        (P,), the parameters after the step.
    Source: Korpelevich 1976; Gidel et al. 2019, A Variational Inequality Perspective on GANs, section 3.2.
    """
    ahead = point - lr * field(point)
    return point - lr * field(ahead)


# ---------------------------------------------------------------- control and image tasks (lessons 31, 41, 42 and 45)


def condition(noise, labels, n_classes):
    """Conditioning by concatenation: the label as more channels behind the input, 1 in the label's channel, 0 in the others.

    Args:
        noise: (N, D), or pictures (N, C, H, W): then each of the K new channels is constant over the picture.
        labels: (N,) int64, from 0 to n_classes - 1. n_classes: K.
    Returns:
        (N, D + K), or (N, C + K, H, W).
    Source: Mirza and Osindero 2014, Conditional Generative Adversarial Nets, figure 1.
    """
    one_hot = (labels[:, None] == torch.arange(n_classes, device=labels.device)).to(noise.dtype)
    one_hot = one_hot.view(len(noise), n_classes, *[1] * (noise.ndim - 2))
    return torch.cat([noise, one_hot.expand(-1, -1, *noise.shape[2:])], 1)


def scale_and_shift(x, labels, gamma, beta):
    """gamma * x + beta with each picture's own class's row. x: (N, C, H, W). labels: (N,) int64. gamma, beta: (K, C)."""
    return gamma[labels][:, :, None, None] * x + beta[labels][:, :, None, None]


def conditional_batch_norm(x, labels, gamma, beta, eps):
    """Batch norm over all pictures, whatever their class; then a scale and a shift of each picture's own class.

    Args:
        x: (N, C, H, W); mean and (biased) variance of each channel are taken over N, H and W.
        labels: (N,) int64. gamma, beta: (K, C), a row of scales and of shifts for each class. eps: added to the variance.
    Returns:
        (N, C, H, W).
    Source: Dumoulin et al. 2017, A Learned Representation for Artistic Style, eq. 5; de Vries et al. 2017.
    """
    return scale_and_shift(F.batch_norm(x, None, None, training=True, eps=eps), labels, gamma, beta)


def projection_logit(features, labels, embedding, weight):
    """A discriminator's answer to "is this real, and is it a picture of this class?": w . f + e_label . f.

    Args: features: (N, D). labels: (N,) int64. embedding: (K, D), a row for each class. weight: (D,). Returns: (N,).
    Source: Miyato and Koyama 2018, cGANs with Projection Discriminator, eq. 6.
    """
    return features @ weight + (features * embedding[labels]).sum(1)


def nl_means(image, patch, window, h):
    """Non-local means: each pixel becomes the weighted mean of the pixels around it whose own surroundings look like its own.

    The weight of q for p is exp(-d / h^2), d the mean squared difference of the patches around p and q.

    Args:
        image: (H, W), grey. patch, window: odd sides of the patches compared and of the square in which q is looked for, in
            pixels. h: how unlike two patches may be, in the image's units; above 0.
    Returns:
        (H, W). Beyond its border the image is reflected, the border pixel not repeated; so H and W must exceed
        patch // 2 + window // 2.
    Raises ValueError for even sides.
    Source: Buades, Coll and Morel 2005, A non-local algorithm for image denoising, section 3.
    """
    if patch % 2 == 0 or window % 2 == 0:
        raise ValueError(
            f"nl_means(patch={patch}, window={window}): accepted are odd sides, so that a pixel is the middle."
        )
    (rows, columns), reach, around = image.shape, window // 2, patch // 2
    padded = F.pad(image[None, None], [reach + around] * 4, mode="reflect")
    centre = padded[..., reach : -reach or None, reach : -reach or None]  # the image with room for its patches only
    total = weights = 0
    for dy in range(window):
        for dx in range(window):
            shifted = padded[..., dy : dy + rows + 2 * around, dx : dx + columns + 2 * around]
            # of the patch around every pixel at once
            distance = F.avg_pool2d((centre - shifted).square(), patch, stride=1)
            weight = (-distance / h**2).exp()
            total = total + weight * shifted[..., around : around + rows, around : around + columns]
            weights = weights + weight
    return (total / weights)[0, 0]


def composite(known, generated, mask):
    """The known pixels, bit for bit, where the mask is 1, and the generated ones where it is 0.

    Args: known, generated: (N, C, H, W). mask: (N, 1, H, W), 0 or 1. Returns: (N, C, H, W).
    Source: Pathak et al. 2016, Context Encoders, section 3.
    """
    return torch.where(mask.bool(), known, generated)  # not a product: a NaN under the hole would pass through it


def partial_conv2d(x, mask, weight):
    """Convolution over the known pixels only, scaled up by how many of a window's pixels are missing.

    Args:
        x: (N, C, H, W); what lies under the hole is ignored. mask: (N, 1, H, W), 1 where pixels are known.
        weight: (O, C, k, k), k odd. The size stays: k // 2 pixels are added on each side, which count as hole.
    Returns:
        output (N, O, H, W), 0 where a window holds no known pixel; new mask (N, 1, H, W), 1 where it holds any.
    Source: Liu et al. 2018, Image Inpainting for Irregular Holes Using Partial Convolutions, eqs. 1 and 2.
    """
    k = weight.shape[-1]
    known = F.conv2d(mask, mask.new_ones(1, 1, k, k), padding=k // 2)  # known pixels in each window
    output = F.conv2d(torch.where(mask.bool(), x, 0), weight, padding=k // 2)
    return output * (k * k / known.clamp(min=1)), (known > 0).to(mask.dtype)


def add_noise(images, sigma, noise):
    """images + noise of standard deviation sigma, sigma in the usual unit of 1/255 of the range. Not clipped.

    Args: images, noise: (N, C, H, W), images in [-1, 1], noise drawn from N(0, 1) by the caller.
        sigma: number, or (N, 1, 1, 1), in levels of 255. Returns: (N, C, H, W).
    """
    return images + 2 * sigma / 255 * noise  # [-1, 1] is 2 wide


def downscale(images, factor=2):
    """(N, C, H, W) -> (N, C, H / factor, W / factor), bicubic with anti-aliasing: what super-resolution undoes."""
    return F.interpolate(images, scale_factor=1 / factor, mode="bicubic", antialias=True)


def upscale(images, factor=2):
    """(N, C, H, W) -> (N, C, factor H, factor W), bicubic: what super-resolution has to beat. May leave the range a little."""
    return F.interpolate(images, scale_factor=factor, mode="bicubic")


def film(x, scale, shift):
    """Feature-wise linear modulation: every channel of every picture times its own number, plus its own number.

    Args: x: (N, C, H, W). scale, shift: (N, C); 0 and 0 change nothing. Returns: x (1 + scale) + shift.
    Source: Perez et al. 2018, FiLM: Visual Reasoning with a General Conditioning Layer, eq. 2, with 1 + scale for its gamma.
    """
    return x * (1 + scale[:, :, None, None]) + shift[:, :, None, None]


def match_moments(content, style):
    """Adaptive instance normalisation: each channel of each picture gets the mean and the standard deviation that it has in `style`.

    Args:
        content: (N, C, H, W). style: (N, C, h, w), or (1, C, h, w) for all of them; its size may differ.
    Returns:
        (N, C, H, W). Mean and population standard deviation are taken over the positions; a channel of `content` that is constant
        becomes the style's mean.
    Source: Huang and Belongie 2017, Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization, eq. 8.
    """
    moments = lambda x: (x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True))
    (mean, variance), (wanted_mean, wanted_variance) = moments(content), moments(style)
    return (content - mean) * (wanted_variance / variance.clamp(min=1e-10)).sqrt() + wanted_mean


def self_train_variance(n, generations, keep):
    """The variance to be expected of a Gaussian that is fitted again and again to samples of its own; that of the real data is 1.

    The first generation is fitted to n real numbers, mean and maximum-likelihood variance (divided by n). Each later one is fitted to n
    samples of the one before, or with `keep` to all there ever were: the n real numbers and n samples of every earlier generation.
    So generation g has 1 - 1/n times the variance of the one before it, with `keep` 1 - 1/(n g^2) times.

    Args:
        n: at least 1. generations: at least 0, which is the real data. keep: are earlier data kept?
    Returns:
        float in [0, 1].
    Raises ValueError for a smaller n or generations.
    Source: Shumailov et al. 2024, AI models collapse when trained on recursively generated data; Gerstgrasser et al. 2024, Is Model
        Collapse Inevitable?
    """
    if n < 1 or generations < 0:
        raise ValueError(
            f"self_train_variance(n={n}, generations={generations}): accepted are 1 or more numbers a generation, and 0 or more generations."
        )
    return float(math.prod(1 - 1 / (n * (g**2 if keep else 1)) for g in range(1, generations + 1)))
