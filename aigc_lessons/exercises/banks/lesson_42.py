"""The exercises of lesson 42: putting a mended picture together, the masked loss, partial convolution."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view

from ...losses import masked_l1
from ...ops import composite, partial_conv2d
from ..engine import Case, Exercise, Mistake


def _drawn_mask(generator, *shape):
    """0 and 1 at random places; each picture knows fewer pixels than the one before, at least one."""
    mask = torch.rand(shape, generator=generator)
    for i, picture in enumerate(mask):  # one part in i + 2 of them
        order = picture.flatten().argsort()
        picture.view(-1)[order] = (torch.arange(len(order)) < max(1, len(order) // (i + 2))).float()
    return mask


# composite


def _composite_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, known, generated, mask):
        return Case(label, tuple(map(torch.as_tensor, (known, generated, mask))), gradients=(0, 1))

    def drawn(label, *shape, scale=1.0):
        known, generated = (2 * torch.rand(2, *shape, generator=g) - 1) * scale
        return case(label, known, generated, _drawn_mask(g, shape[0], 1, *shape[2:]))

    known, generated = 2 * torch.rand(2, 2, 3, 4, 5, generator=g) - 1
    return [
        case("two pixels, the first one known", [[[[0.5, -0.25]]]], [[[[0.75, 1.0]]]], [[[[1.0, 0.0]]]]),
        drawn("one channel", 2, 1, 3, 4),
        drawn("three channels share a mask", 3, 3, 4, 5),
        drawn("five pictures, each with a mask of its own", 5, 2, 6, 3),
        drawn("values far from 0", 2, 4, 5, 7, scale=300.0),
        # the other may be left unused
        Case("everything is known", (known, generated, torch.ones(2, 1, 4, 5)), gradients=(0,)),
        Case("nothing is known", (known, generated, torch.zeros(2, 1, 4, 5)), gradients=(1,)),
    ]


def _composite_by_pixel(known, generated, mask):
    out = torch.empty_like(known)
    for n, _, i, j in mask.nonzero().tolist():
        out[n, :, i, j] = known[n, :, i, j]
    for n, _, i, j in (mask == 0).nonzero().tolist():
        out[n, :, i, j] = generated[n, :, i, j]
    return out


def _composite_by_writing(known, generated, mask):
    out, hole = known.clone(), (mask == 0).expand_as(known)
    out[hole] = generated[hole]
    return out


COMPOSITE = Exercise(
    name="composite",
    lesson=42,
    points=1,
    minutes=5,
    differentiable=True,
    docstring="""Put a mended picture together: known pixels where there are any, generated ones in the hole.

known, generated: (N, C, H, W), images in [-1, 1]. What `known` holds under the hole means nothing.
mask: (N, 1, H, W), 1 = known, 0 = hole; it holds for every channel. Returns (N, C, H, W).""",
    reference=composite,
    cases=_composite_cases,
    alternatives={
        "as printed": lambda known, generated, mask: mask * known + (1 - mask) * generated,
        "where": lambda known, generated, mask: torch.where(mask > 0.5, known, generated),
        "pixel by pixel": _composite_by_pixel,
        "a copy, then the hole": _composite_by_writing,
        "masked_fill, twice": lambda known, generated, mask: (
            known.masked_fill(mask == 0, 0) + generated.masked_fill(mask == 1, 0)
        ),
        "chosen by index": lambda known, generated, mask: torch.stack([generated, known]).gather(
            0, mask.long().expand_as(known)[None]
        )[0],
    },
    mistakes=(
        Mistake(
            "mask inverted",
            "You read the mask the wrong way round: 1 stands for known, 0 for the hole.",
            lambda known, generated, mask: composite(generated, known, mask),
        ),
        Mistake(
            "generated everywhere",
            "You return the generated picture as it is, so known pixels change too; copy them over it.",
            lambda known, generated, mask: generated + 0 * known,
        ),
        Mistake(
            "hole left empty",
            "You leave 0 in the hole, which is grey; the generated pixels belong there.",
            lambda known, generated, mask: known * mask + 0 * generated,
        ),
        Mistake(
            "generated part only",
            "You return the hole's pixels alone and 0 elsewhere; the known ones belong there.",
            lambda known, generated, mask: generated * (1 - mask) + 0 * known,
        ),
        Mistake(
            "known not masked",
            "You add `known` without masking it, so what lies under the hole shines through: multiply it by the mask.",
            lambda known, generated, mask: known + (1 - mask) * generated,
        ),
        Mistake(
            "generated not masked",
            "You add `generated` without masking it, so it changes the known pixels: multiply it by 1 - mask.",
            lambda known, generated, mask: mask * known + generated,
        ),
        Mistake(
            "plain sum",
            "You add the two pictures and never use the mask.",
            lambda known, generated, mask: known + generated,
        ),
        Mistake(
            "mean of both",
            "You take the mean of the two pictures; each pixel comes from one of them alone.",
            lambda known, generated, mask: (known + generated) / 2,
        ),
        Mistake(
            "known pixels blended",
            "You mix the generated picture into the known pixels as well; they must come back unchanged.",
            lambda known, generated, mask: mask * (known + generated) / 2 + (1 - mask) * generated,
        ),
        Mistake(
            "one mask for all",
            "You use the first picture's mask for the whole batch; each picture has its own.",
            lambda known, generated, mask: composite(known, generated, mask[:1]),
        ),
        Mistake(
            "first channel only",
            "You mend the first channel only; the mask has one channel and holds for all of them.",
            lambda known, generated, mask: torch.cat([composite(known, generated, mask)[:, :1], known[:, 1:]], 1),
        ),
        Mistake(
            "minus for the hole",
            "You subtract the generated part; the two parts are added.",
            lambda known, generated, mask: mask * known - (1 - mask) * generated,
        ),
        Mistake(
            "mask softened",
            "You blur the mask's edge, which changes known pixels beside the hole; leave it at 0 and 1.",
            lambda known, generated, mask: (lambda soft: soft * known + (1 - soft) * generated)(
                F.avg_pool2d(mask, 3, 1, 1, count_include_pad=False)
            ),
        ),
    ),
)


# masked_l1


def _l1_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, prediction, target, mask):
        return Case(label, tuple(map(torch.as_tensor, (prediction, target, mask))), gradients=(0,))

    def drawn(label, *shape, mask=None, spread=1.0):
        target = 2 * torch.rand(shape, generator=g) - 1
        prediction = target + spread * torch.randn(shape, generator=g) + 0.2
        return case(label, prediction, target, _drawn_mask(g, shape[0], 1, *shape[2:]) if mask is None else mask)

    far = drawn("", 2, 3, 4, 6)
    prediction, target, mask = far.args
    return [
        case("two pixels, the first one counted", [[[[1.0, -1.0]]]], [[[[-0.5, 1.0]]]], [[[[1.0, 0.0]]]]),
        case("one pixel of two channels", [[[[0.5]], [[-1.0]]]], [[[[0.25]], [[0.0]]]], [[[[1.0]]]]),
        drawn("one channel", 2, 1, 4, 5),
        drawn("three channels, masks of different sizes", 4, 3, 5, 3),
        drawn(
            "one picture with nothing counted, one with everything",
            2,
            3,
            3,
            5,
            mask=torch.stack([torch.zeros(1, 3, 5), torch.ones(1, 3, 5)]),
        ),
        drawn("everything counted", 3, 2, 4, 5, mask=torch.ones(3, 1, 4, 5)),
        drawn("small errors", 2, 4, 6, 3, spread=0.01),
        case("values of 1000 where nothing counts", prediction + 1000 * (1 - mask), target, mask),
        drawn("an empty mask", 2, 3, 4, 5, mask=torch.zeros(2, 1, 4, 5)),
    ]


def _l1_by_picture(prediction, target, mask):
    """float64, one picture at a time."""
    total, count = 0, 0
    for p, t, m in zip(prediction.double(), target.double(), mask[:, 0] == 1):
        total, count = total + (p - t)[:, m].abs().sum(), count + m.sum() * len(p)
    return total / max(int(count), 1)


def _l1_by_weights(prediction, target, mask):
    weights = mask.expand_as(prediction)
    return torch.einsum("nchw,nchw->", weights, (prediction - target).abs()) / (weights.sum() + 1e-8)


def _l1_chosen(prediction, target, mask):
    chosen = (prediction - target)[mask.bool().expand_as(target)]
    return chosen.abs().mean() if len(chosen) else chosen.sum()  # an empty sum is 0 and keeps its gradient


def _masked_error(prediction, target, mask, error=torch.abs):
    """(sum of the errors that count, how many there are, at least 1)."""
    return (error(prediction - target) * mask).sum(), (mask.sum() * prediction.shape[1]).clamp(min=1)


def _l1_with(error, after=lambda mean: mean):
    """The mean over what counts of another error, and what is done to it."""

    def loss(prediction, target, mask):
        total, count = _masked_error(prediction, target, mask, error)
        return after(total / count)

    return loss


def _l1_over(count):
    """The sum over what counts, divided by another count."""
    return lambda prediction, target, mask: _masked_error(prediction, target, mask)[0] / count(prediction, mask)


def _l1_mean_of_means(prediction, target, mask):
    each = ((prediction - target).abs() * mask).flatten(1).sum(1)
    return (each / (mask.flatten(1).sum(1) * prediction.shape[1]).clamp(min=1)).mean()


MASKED_L1 = Exercise(
    name="masked_l1",
    lesson=42,
    points=2,
    minutes=8,
    differentiable=True,
    docstring="""Mean absolute error over the elements that the mask lets count, all pictures and channels together.

prediction, target: (N, C, H, W). mask: (N, 1, H, W), 1 where a pixel counts, 0 where not; it holds for every channel.
Returns a scalar: the sum of |prediction - target| over what counts, divided by the number of elements (not pixels) that count.
If nothing counts it is 0, with gradients that are 0.""",
    reference=masked_l1,
    cases=_l1_cases,
    alternatives={
        "sum over count": lambda prediction, target, mask: (
            ((prediction - target).abs() * mask).sum() / max(mask.sum().item() * prediction.shape[1], 1)
        ),
        "a weighted mean, a tiny number below": _l1_by_weights,
        "chosen by index": _l1_chosen,
        "one picture at a time, float64": _l1_by_picture,
        "the library": lambda prediction, target, mask: (
            F.l1_loss(prediction * mask, target * mask, reduction="sum") / (mask.expand_as(target).sum().clamp(min=1))
        ),
    },
    mistakes=(
        Mistake(
            "mean over everything",
            "You divide by the number of all elements; divide by the number of those that count.",
            lambda prediction, target, mask: ((prediction - target).abs() * mask).mean(),
        ),
        Mistake(
            "mask ignored",
            "You never use the mask, so every pixel counts.",
            lambda prediction, target, mask: (prediction - target).abs().mean(),
        ),
        Mistake(
            "mask inverted",
            "You count the pixels where the mask is 0; those where it is 1 count.",
            lambda prediction, target, mask: masked_l1(prediction, target, 1 - mask),
        ),
        Mistake(
            "channels not counted",
            "You divide by the number of pixels; each pixel of C channels holds C elements.",
            _l1_over(lambda prediction, mask: mask.sum().clamp(min=1)),
        ),
        Mistake(
            "0 / 0",
            "You divide 0 by 0 for an empty mask, which is NaN; divide by at least 1.",
            _l1_over(lambda prediction, mask: mask.sum() * prediction.shape[1]),
        ),
        Mistake(
            "one more in the count",
            "You add 1 to the count, so every loss is a little too small; clamp the count to at least 1.",
            _l1_over(lambda prediction, mask: mask.sum() * prediction.shape[1] + 1),
        ),
        Mistake(
            "sum",
            "You return the sum; divide it by the number of elements that count.",
            _l1_over(lambda prediction, mask: 1),
        ),
        Mistake(
            "divided by the batch",
            "You divide by the number of pictures; divide by the number of elements that count.",
            _l1_over(lambda prediction, mask: len(mask)),
        ),
        Mistake(
            "mean of means",
            "You take a mean for each picture first, so a picture with few pixels weighs as much as one with many: "
            "divide once, at the end.",
            _l1_mean_of_means,
        ),
        Mistake("squared", "You square the differences; L1 takes their absolute value.", _l1_with(torch.square)),
        Mistake(
            "root of the squares",
            "You return the root of the mean square; L1 is the mean of absolute values.",
            _l1_with(torch.square, lambda mean: torch.where(mean > 0, mean, 1).sqrt() * (mean > 0)),
        ),
        Mistake(
            "signs kept",
            "You take no absolute value, so errors up and down cancel.",
            _l1_with(lambda difference: difference),
        ),
        Mistake(
            "absolute value last",
            "You take the absolute value of the mean; take it of each difference, before they are added.",
            _l1_with(lambda difference: difference, torch.abs),
        ),
        Mistake(
            "only the prediction masked",
            "You mask the prediction but not the target, so the target's own values count in the hole.",
            lambda prediction, target, mask: (
                (prediction * mask - target).abs().sum() / _masked_error(prediction, target, mask)[1]
            ),
        ),
        Mistake(
            "one mask for all",
            "You use the first picture's mask for the whole batch; each picture has its own.",
            lambda prediction, target, mask: masked_l1(prediction, target, mask[:1].expand_as(mask)),
        ),
        Mistake(
            "half",
            "You take half of the mean; it is the mean itself.",
            lambda prediction, target, mask: masked_l1(prediction, target, mask) / 2,
        ),
        Mistake(
            "smooth near 0",
            "You use the smooth (Huber) loss, which is squared near 0; take absolute values everywhere.",
            _l1_with(lambda difference: F.smooth_l1_loss(difference, torch.zeros_like(difference), reduction="none")),
        ),
    ),
)


# partial_conv2d


def _partial_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, x, mask, weight):
        return Case(label, (x, mask, weight), gradients=(0, 2))

    def drawn(label, n, channels, size, out, k, mask=None, hidden=1.0):
        """hidden: scale of what lies under the hole."""
        x, weight = torch.randn(n, channels, *size, generator=g) + 0.5, torch.randn(out, channels, k, k, generator=g)
        mask = _drawn_mask(g, n, 1, *size) if mask is None else mask
        return case(label, torch.where(mask.bool(), x, hidden * x), mask, weight)

    def block(*shape, hole):
        mask = torch.ones(shape)
        mask[..., hole[0], hole[1]] = 0
        return mask

    middle = torch.zeros(1, 1, 3, 3)
    middle[..., 1, :] = torch.tensor([1.0, 2.0, 4.0])
    return [
        case(
            "one row, the middle pixel a hole, kernel (1, 2, 4)",
            torch.tensor([[[[3.0, 9.0, 5.0]]]]),
            torch.tensor([[[[1.0, 0.0, 1.0]]]]),
            middle,
        ),
        drawn("a kernel of 1: nothing to scale", 2, 3, (4, 5), 2, 1),
        drawn(
            "a hole that no window sees across", 2, 3, (7, 8), 4, 3, block(2, 1, 7, 8, hole=(slice(1, 6), slice(2, 7)))
        ),
        drawn("a known pixel here and there, each picture its own", 3, 2, (5, 7), 4, 3),
        drawn("a kernel of 5", 2, 4, (6, 9), 3, 5, block(2, 1, 6, 9, hole=(slice(0, 4), slice(3, 9)))),
        drawn("everything is known: only the border is scaled", 2, 3, (4, 6), 5, 3, torch.ones(2, 1, 4, 6)),
        drawn("nothing is known", 2, 2, (4, 3), 3, 3, torch.zeros(2, 1, 4, 3)),
        drawn("huge numbers under the hole", 2, 3, (6, 5), 4, 3, hidden=1e20),
    ]


def _partial_by_position(x, mask, weight):
    (n, _, height, width), k = x.shape, weight.shape[-1]
    x, known = F.pad(x * mask, (k // 2,) * 4), F.pad(mask, (k // 2,) * 4)
    out, new = torch.zeros(n, len(weight), height, width), torch.zeros(n, 1, height, width)
    for s in range(n):
        for i in range(height):
            for j in range(width):
                count = known[s, 0, i : i + k, j : j + k].sum()
                if count > 0:
                    out[s, :, i, j] = (weight * x[s, :, i : i + k, j : j + k]).sum((1, 2, 3)) * k**2 / count
                    new[s, 0, i, j] = 1
    return out, new


def _partial_by_unfold(x, mask, weight):
    """The mean over a window's known pixels, times the window's size."""
    k, size = weight.shape[-1], x.shape[-2:]
    known = F.unfold(mask, k, padding=k // 2)  # (N, k k, H W)
    sums = weight.flatten(1) @ F.unfold(x * mask, k, padding=k // 2)
    share = known.mean(1, keepdim=True)
    out = torch.where(share > 0, sums / torch.where(share > 0, share, 1), 0)
    return out.unflatten(2, size), known.amax(1, keepdim=True).unflatten(2, size)


def _partial_by_pooling(x, mask, weight):
    k = weight.shape[-1]
    share = F.avg_pool2d(mask, k, 1, k // 2)  # counts the padding: part of the window that is known
    out = F.conv2d(x.masked_fill(mask == 0, 0), weight, padding="same")
    return out / (share + (share == 0)), F.max_pool2d(mask, k, 1, k // 2)


def _partial_by_channels(x, mask, weight):
    """As in the paper: the mask with as many channels as x, and a small number below the fraction."""
    k, wide = weight.shape[-1], mask.expand_as(x)
    known = F.conv2d(wide, torch.ones_like(weight), padding=k // 2)  # (N, O, H, W)
    new = known.clamp(0, 1)
    return F.conv2d(x * wide, weight, padding=k // 2) * (weight[0].numel() / (known + 1e-8)) * new, new[:, :1]


def _partial_by_numpy(x, mask, weight):
    k = weight.shape[-1]
    around = ((0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2))
    windows = [
        sliding_window_view(np.pad(a.astype(np.float64), around), (k, k), axis=(2, 3))
        for a in ((x * mask).numpy(), mask.numpy())
    ]
    known = windows[1].sum((-2, -1))
    out = np.einsum("nchwab,ocab->nohw", windows[0], weight.numpy())
    return out * k**2 / np.maximum(known, 1), (known > 0).astype(np.float32)


def _partial_with(
    masked=lambda x, mask: x * mask,
    scale=lambda known, k, x: k**2 / known.clamp(min=1),
    edge=0.0,
    new=lambda known, k, mask: (known > 0).float(),
    kernel=lambda weight: weight,
):
    """partial_conv2d with another step. edge: what the mask is padded with."""

    def function(x, mask, weight):
        k = weight.shape[-1]
        known = F.conv2d(F.pad(mask, (k // 2,) * 4, value=edge), torch.ones(1, 1, k, k).to(mask))
        out = F.conv2d(masked(x, mask), kernel(weight), padding=k // 2)
        return out * scale(known, k, x), new(known, k, mask)

    return function


def _partial_inside(known, k, x):
    """The number of a window's pixels that lie in the picture, over the known ones."""
    inside = F.conv2d(torch.ones_like(known), torch.ones(1, 1, k, k).to(known), padding=k // 2)
    return inside / known.clamp(min=1)


def _partial_unpadded(x, mask, weight):
    edge = weight.shape[-1] // 2
    return tuple(t[..., edge : t.shape[-2] - edge, edge : t.shape[-1] - edge] for t in partial_conv2d(x, mask, weight))


def _partial_nan_gradient(x, mask, weight):
    k = weight.shape[-1]
    known = F.conv2d(mask, torch.ones(1, 1, k, k).to(mask), padding=k // 2)
    out = F.conv2d(x * mask, weight, padding=k // 2)
    return torch.where(known > 0, out * (k**2 / known), 0), (known > 0).to(mask)


PARTIAL = Exercise(
    name="partial_conv2d",
    lesson=42,
    points=4,
    minutes=20,
    docstring="""Convolution that looks at known pixels only, and makes up for those that a window misses.

x: (N, C, H, W). mask: (N, 1, H, W), 1 = known, 0 = hole, for all channels. weight: (O, C, k, k), k odd; stride 1, no bias.
The size stays: k // 2 pixels are added on each side, and they count as hole. With m known pixels in a window, out of k * k, the
output is the sum of weight times the known pixels, times k * k / m, and 0 where m = 0.
Returns (output, new mask): (N, O, H, W), and (N, 1, H, W) with 1 where m > 0, else 0.
What x holds under the hole changes nothing.""",
    reference=partial_conv2d,
    cases=_partial_cases,
    alternatives={
        "position by position": _partial_by_position,
        "unfold and means": _partial_by_unfold,
        "pooling for the mask": _partial_by_pooling,
        "a mask of C channels, as in the paper": _partial_by_channels,
        "NumPy, float64": _partial_by_numpy,
    },
    mistakes=(
        Mistake(
            "not scaled",
            "You do not make up for the missing pixels: multiply by k * k / m.",
            _partial_with(scale=lambda known, k, x: 1),
        ),
        Mistake(
            "hole not masked",
            "You convolve x as it is, with what lies under the hole; multiply it by the mask first.",
            _partial_with(masked=lambda x, mask: x),
        ),
        Mistake(
            "mask inverted",
            "You read the mask the wrong way round: 1 stands for known, 0 for the hole.",
            lambda x, mask, weight: partial_conv2d(x, 1 - mask, weight),
        ),
        Mistake(
            "scaled the wrong way",
            "You multiply by m / (k * k); the fewer pixels are known, the larger the factor, k * k / m.",
            _partial_with(scale=lambda known, k, x: known / k**2),
        ),
        Mistake(
            "divided by the count only",
            "You divide by m and leave out k * k, so a full window gives less than a plain convolution.",
            _partial_with(scale=lambda known, k, x: 1 / known.clamp(min=1)),
        ),
        Mistake(
            "channels in the count",
            "You count a pixel once for each channel below the fraction but not above it; the factor is "
            "k * k / m whatever C is.",
            _partial_with(scale=lambda known, k, x: k**2 / (known * x.shape[1]).clamp(min=1)),
        ),
        Mistake(
            "one for all in the count",
            "You add 1 to m against division by 0, which changes every factor; clamp m to at least 1.",
            _partial_with(scale=lambda known, k, x: k**2 / (known + 1)),
        ),
        Mistake(
            "0 / 0",
            "You divide by 0 where a window holds no known pixel; the output is 0 there.",
            _partial_with(scale=lambda known, k, x: k**2 / known),
        ),
        Mistake(
            "NaN in the gradient",
            "You divide by 0 and choose afterwards: the value is right, but the gradient of the branch you did "
            "not choose is NaN, so clamp m before you divide.",
            _partial_nan_gradient,
        ),
        Mistake(
            "padding counts as known",
            "You pad the mask with 1; pixels beyond the border count as hole.",
            _partial_with(edge=1.0),
        ),
        Mistake(
            "smaller windows at the border",
            "You compare m with the part of the window that lies in the picture; compare it with all "
            "k * k pixels, for those beyond the border count as hole.",
            _partial_with(scale=_partial_inside),
        ),
        Mistake(
            "no padding",
            "You do not pad, so your output is smaller than the input; add k // 2 pixels on each side.",
            _partial_unpadded,
        ),
        Mistake(
            "mask stays",
            "You return the mask you were given; a window that holds any known pixel makes its place known.",
            _partial_with(new=lambda known, k, mask: mask.clone()),
        ),
        Mistake(
            "known only if all are",
            "You call a place known only if its whole window is; one known pixel is enough.",
            _partial_with(new=lambda known, k, mask: (known == k**2).float()),
        ),
        Mistake(
            "counts as the new mask",
            "You return the counts m; a mask holds 1 where m > 0 and 0 elsewhere.",
            _partial_with(new=lambda known, k, mask: known),
        ),
        Mistake(
            "shares as the new mask",
            "You return the known share of each window; a mask holds 1 where m > 0 and 0 elsewhere.",
            _partial_with(new=lambda known, k, mask: known / k**2),
        ),
        Mistake(
            "hole as the new mask",
            "You return 1 where nothing is known; the new mask has 1 where something is.",
            _partial_with(new=lambda known, k, mask: (known == 0).float()),
        ),
        Mistake(
            "a mask for each channel",
            "You return a new mask with as many channels as the output; it has one, (N, 1, H, W).",
            lambda x, mask, weight: (lambda out, new: (out, new.expand_as(out)))(*partial_conv2d(x, mask, weight)),
        ),
        Mistake(
            "output under the old hole removed",
            "You multiply the output by the old mask, so that nothing is ever mended; it is 0 only where m = 0.",
            lambda x, mask, weight: (lambda out, new: (out * mask, new))(*partial_conv2d(x, mask, weight)),
        ),
        Mistake(
            "flipped kernel",
            "Your kernel is flipped: layers compute cross-correlation, here too.",
            _partial_with(kernel=lambda weight: weight.flip(-1, -2)),
        ),
        Mistake(
            "the pair exchanged",
            "You return (new mask, output); the output comes first.",
            lambda x, mask, weight: partial_conv2d(x, mask, weight)[::-1],
        ),
        Mistake(
            "output alone",
            "You return the output alone; return (output, new mask).",
            lambda x, mask, weight: partial_conv2d(x, mask, weight)[0],
        ),
    ),
)

EXERCISES = (COMPOSITE, MASKED_L1, PARTIAL)
