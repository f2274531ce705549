"""The exercises of lesson 45: what two features have in common, the distance of two distributions of features, moments that are
matched, roughness, and a fault to find."""

import torch
import torch.nn.functional as F

from ...losses import gram, sliced_distance, total_variation
from ...ops import match_moments
from ..engine import Case, Exercise, Mistake

# gram


def _gram_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def drawn(label, *shape, shift=0.5):
        return Case(label, (torch.randn(shape, generator=g) + shift,), gradients=(0,))

    return [
        Case("two channels of two positions", (torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]]),), gradients=(0,)),
        drawn("one channel", 1, 1, 3, 4),
        drawn("three channels, not square", 1, 3, 4, 5),
        drawn("two pictures", 2, 4, 3, 5),
        drawn("three pictures of as many channels as positions", 3, 6, 2, 3),
        drawn("features around 0", 2, 5, 6, 4, shift=0.0),
    ]


def _gram_by_loops(features):
    n, c, h, w = features.shape
    rows = [(features[k, i] * features[k, j]).sum() / (h * w) for k in range(n) for i in range(c) for j in range(c)]
    return torch.stack(rows).view(n, c, c)


def _flat(features):
    return features.flatten(2)


def _positions(features):
    return features.shape[2] * features.shape[3]


def _mixed_gram(features):
    """One matrix of all pictures' channels."""
    rows = features.reshape(-1, _positions(features))
    return rows @ rows.T / _positions(features)


def _centred(features):
    return features - features.mean((2, 3), keepdim=True)


def _correlations(features):
    matrix = gram(features)
    scale = matrix.diagonal(dim1=1, dim2=2).sqrt()
    return matrix / scale[:, :, None] / scale[:, None]


GRAM = Exercise(
    name="gram",
    lesson=45,
    points=1,
    minutes=10,
    differentiable=True,
    docstring="""Each picture's Gram matrix: for each two channels the mean over the positions of their product.

features: (N, C, H, W). Returns (N, C, C), for each picture of the batch a matrix of its own; divided by the H W positions, and by
nothing else.""",
    reference=gram,
    cases=_gram_cases,
    alternatives={
        "einsum": lambda features: torch.einsum("nchw,ndhw->ncd", features, features) / _positions(features),
        "bmm": lambda features: torch.bmm(_flat(features), _flat(features).transpose(1, 2)).div(_positions(features)),
        "loops": _gram_by_loops,
        "mean of outer products": lambda features: (features[:, :, None] * features[:, None]).mean((3, 4)),
        "half of the root on either side": lambda features: (
            (_flat(features) / _positions(features) ** 0.5) @ (_flat(features) / _positions(features) ** 0.5).mT
        ),
        "picture by picture": lambda features: (
            torch.stack([f.flatten(1) @ f.flatten(1).T for f in features]) / _positions(features)
        ),
    },
    mistakes=(
        # rrmina/neural-style-pytorch, issue 1, and d2l's gram: view(N * C, H * W) before the product
        Mistake(
            "batch mixed",
            "You multiply the channels of all pictures with each other; each picture has a C by C matrix of its own.",
            _mixed_gram,
        ),
        Mistake(
            "summed over the batch",
            "You add up the matrices of the batch; each picture keeps its own.",
            lambda features: gram(features).sum(0),
        ),
        # Keras's example neural_style_transfer.py divides in the loss instead
        Mistake(
            "not divided",
            "You sum over the positions; divide by their number, or larger pictures have larger matrices.",
            lambda features: gram(features) * _positions(features),
        ),
        # pytorch's tutorial neural_style_tutorial.py: div(a * b * c * d)
        Mistake(
            "divided by the channels too",
            "You divide by C H W; here the mean is taken over the H W positions alone.",
            lambda features: gram(features) / features.shape[1],
        ),
        # Gatys et al. 2016, eq. 4, has 1 / (4 N^2 M^2), which belongs to the loss
        Mistake(
            "divided twice",
            "You divide by the square of the number of positions, as a loss of squared matrices does.",
            lambda features: gram(features) / _positions(features),
        ),
        Mistake(
            "unbiased",
            "You divide by H W - 1, as for a sample's covariance; divide by H W.",
            lambda features: gram(features) * (_positions(features) / max(1, _positions(features) - 1)),
        ),
        Mistake(
            "mean taken out",
            "You subtract each channel's mean, which makes it a covariance; a Gram matrix keeps the means.",
            lambda features: gram(_centred(features)),
        ),
        Mistake(
            "correlations",
            "You scale the channels to length 1; a Gram matrix keeps how strong a feature is.",
            _correlations,
        ),
        Mistake(
            "positions by positions",
            "You multiply positions with each other; sum over the positions, so that channels remain.",
            lambda features: _flat(features).mT @ _flat(features) / _positions(features),
        ),
        Mistake(
            "reshaped, not transposed",
            "You reshape as if the channels stood last; that mixes channels with positions.",
            lambda features: gram(
                features.reshape(len(features), features.shape[2], features.shape[3], -1).permute(0, 3, 1, 2)
            ),
        ),
        Mistake(
            "first picture for all",
            "You give every picture the matrix of the first one.",
            lambda features: gram(features)[:1].expand(len(features), -1, -1),
        ),
        Mistake(
            "one half only",
            "You fill the matrix above the diagonal alone; it is symmetric, and both halves are asked for.",
            lambda features: gram(features).triu(),
        ),
    ),
)


# sliced_distance


def _directions(k, channels, generator):
    return F.normalize(torch.randn(k, channels, generator=generator), dim=1)


def _well_apart(*tensors, directions, least=2e-4):
    """Whether no two values of one projection are so near each other that rounding could exchange them: then the gradients of right
    answers would differ."""
    for features in tensors:
        values = (directions.double() @ features.double().flatten(2)).sort(2).values
        if values.shape[2] > 1 and values.diff(dim=2).min() < least:
            return False
    return True


def _sliced_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def drawn(label, a, b, k, scale=1.0):
        while True:
            directions = _directions(k, a[1], g)
            x, y = torch.randn(a, generator=g), scale * torch.randn(b, generator=g) + 0.3
            if _well_apart(x, y, directions=directions):
                return Case(label, (x, y, directions), gradients=(0,))

    one = torch.tensor([[1.0]])
    line = lambda *values: torch.tensor(values)[None, None, None]
    two = torch.tensor([[[[1.0, -2.0, 0.5]], [[0.0, 3.0, 1.0]]]])
    return [
        Case("one channel, by hand", (line(3.0, 1.0), line(2.0, 5.0), one), gradients=(0,)),
        Case(
            "a little more than 1 apart", (line(2.0, 0.0), line(1.00015, 3.00015), one), gradients=(0,)
        ),  # half misses it
        Case("the same features, elsewhere", (two, two[..., [2, 0, 1]], torch.tensor([[0.6, 0.8]]))),
        drawn("three channels, two directions", (1, 3, 2, 4), (1, 3, 4, 2), 2),
        drawn("two pictures, each with its own", (2, 3, 3, 3), (2, 3, 3, 3), 4, scale=2.0),
        drawn("three pictures, one b for all", (3, 2, 2, 4), (1, 2, 2, 4), 3),
        drawn("b is larger", (1, 3, 2, 3), (1, 3, 4, 4), 3),
        drawn("b is smaller", (2, 4, 3, 4), (1, 4, 2, 3), 5, scale=0.5),
    ]


def _projected(features, directions):
    return torch.einsum("kc,nchw->nkhw", directions, features).flatten(2)


def _resized(b, positions):
    return b if b.shape[2] == positions else F.interpolate(b, positions, mode="linear")


def _compared(a, b, measure=lambda d: d.square().mean(), resize=_resized):
    """measure(difference) of two sorted projections (N, K, P) and (N or 1, K, Q)."""
    return measure(a - resize(b, a.shape[2]))


def _sliced_with(measure=lambda d: d.square().mean(), resize=_resized, sort=lambda v: v.sort(2).values):
    """The distance with another measure, another way to another size, or another order."""

    def function(a, b, directions):
        return _compared(sort(_projected(a, directions)), sort(_projected(b, directions)), measure, resize)

    return function


def _sliced_by_direction(a, b, directions):
    total = 0
    for direction in directions:
        for i in range(len(a)):
            x = (a[i] * direction[:, None, None]).sum(0).flatten().sort().values
            y = (b[i % len(b)] * direction[:, None, None]).sum(0).flatten().sort().values
            total = total + F.mse_loss(x, _resized(y[None, None], len(x))[0, 0])
    return total / len(directions) / len(a)


def _read_by_hand(b, positions):
    """Linear between the middles of b's positions, and constant beyond the first and the last."""
    q = b.shape[2]
    where = ((torch.arange(positions, dtype=torch.float64) + 0.5) * q / positions - 0.5).clamp(0, q - 1)
    low = where.floor().long().clamp(max=max(q - 2, 0))
    share = (where - low).to(b)
    return b[..., low] * (1 - share) + b[..., (low + 1).clamp(max=q - 1)] * share


def _ranked(a, b, directions):
    """Each value of a meets the value of b of its rank, without a being sorted."""
    x, y = _projected(a, directions), _resized(_projected(b, directions).sort(2).values, a[0, 0].numel())
    ranks = x.argsort(2).argsort(2)
    return (x - y.expand_as(x).gather(2, ranks)).square().mean()


def _sorted_before(a, b, directions):
    order = lambda x: directions @ x.flatten(2).sort(2).values
    return _compared(order(a), order(b))


def _b_not_sorted(a, b, directions):
    return _compared(_projected(a, directions).sort(2).values, _projected(b, directions))


def _batch_mixed(a, b, directions):
    together = lambda x: x.transpose(0, 1).flatten(1)[None, :, None]
    return sliced_distance(together(a), together(b.expand(len(a), -1, -1, -1)), directions)


def _cut(b, positions):
    return b[..., torch.arange(positions).clamp(max=b.shape[2] - 1)]


SLICED = Exercise(
    name="sliced_distance",
    lesson=45,
    points=3,
    minutes=20,
    differentiable=True,
    docstring="""The sliced Wasserstein distance, squared: how differently two pictures' features are distributed.

a: (N, C, H, W). b: (N, C, h, w), or (1, C, h, w), which then holds for every picture of a. directions: (K, C), each of length 1.
For each direction: project the C features of each position onto it, sort the values of each picture, and take the squared
differences. Where b has another number of positions, F.interpolate(sorted, positions, mode="linear") reads its sorted values at as
many positions as a has. Returns a scalar: the mean over the N pictures, the K directions and the H W positions.""",
    reference=sliced_distance,
    cases=_sliced_cases,
    alternatives={
        "direction by direction": _sliced_by_direction,
        "by ranks": _ranked,
        "both falling": lambda a, b, directions: _sliced_with(
            sort=lambda v: -(-v).sort(2).values, resize=lambda y, p: _resized(y, p)
        )(a, b, directions),
        "read by hand": _sliced_with(resize=_read_by_hand),
        "mse_loss": lambda a, b, directions: F.mse_loss(
            (x := _projected(a, directions).sort(2).values),
            _resized(_projected(b, directions).sort(2).values, x.shape[2]).expand_as(x),
        ),
    },
    mistakes=(
        Mistake(
            "not sorted",
            "You compare position with position; sort the projected values first, so that places do not count.",
            _sliced_with(sort=lambda v: v),
        ),
        Mistake(
            "sorted before projecting",
            "You sort each channel by itself and project afterwards, which tears the features of a position apart.",
            _sorted_before,
        ),
        Mistake(
            "one of them sorted",
            "You sort the values of a alone; those of b are sorted as well.",
            _b_not_sorted,
        ),
        Mistake(
            "one of them falling",
            "You sort one rising and the other falling, so the least meets the greatest.",
            lambda a, b, directions: _compared(
                _projected(a, directions).sort(2).values, _projected(b, directions).sort(2, descending=True).values
            ),
        ),
        Mistake(
            "sorted over the directions",
            "You sort over the directions; sort over the positions, each direction by itself.",
            _sliced_with(sort=lambda v: v.sort(1).values),
        ),
        Mistake(
            "absolute differences",
            "You take absolute differences; the squares are asked for.",
            _sliced_with(lambda d: d.abs().mean()),
        ),
        Mistake(
            "root at the end",
            "You take the root at the end; the squared distance is asked for, whose gradient is finite at 0.",
            _sliced_with(lambda d: d.square().mean().sqrt()),
        ),
        Mistake(
            "sum over positions",
            "You sum over the positions, so larger pictures count more; take the mean.",
            _sliced_with(lambda d: d.square().sum(2).mean()),
        ),
        Mistake(
            "sum over directions",
            "You sum over the directions; take the mean, so that their number is no weight.",
            _sliced_with(lambda d: d.square().sum(1).mean()),
        ),
        Mistake(
            "sum over pictures",
            "You sum over the pictures; take the mean over the batch.",
            _sliced_with(lambda d: d.square().mean((1, 2)).sum()),
        ),
        Mistake(
            "batch mixed",
            "You sort the values of all pictures together; each picture is sorted by itself.",
            _batch_mixed,
        ),
        Mistake(
            "means only",
            "You compare the mean of each projection; two distributions of one mean can differ in all else.",
            lambda a, b, directions: (
                (_projected(a, directions).mean(2) - _projected(b, directions).mean(2)).square().mean()
            ),
        ),
        Mistake(
            "cut to a's size",
            "You take the first sorted values of b, which are its least; read it over its whole length instead.",
            _sliced_with(resize=_cut),
        ),
        Mistake(
            "ends put on ends",
            "You read b from its very first to its very last value (align_corners=True); asked is F.interpolate as it comes.",
            _sliced_with(
                resize=lambda y, p: F.interpolate(y, p, mode="linear", align_corners=True) if y.shape[2] != p else y
            ),
        ),
        Mistake(
            "nearest value",
            "You repeat or leave out sorted values of b; read it linearly between them.",
            _sliced_with(resize=lambda y, p: F.interpolate(y, p)),
        ),
        Mistake(
            "resized before sorting",
            "You resize the projections of b before you sort them, which mixes neighbours in the picture.",
            lambda a, b, directions: _compared(
                _projected(a, directions).sort(2).values,
                _resized(_projected(b, directions), a[0, 0].numel()).sort(2).values,
            ),
        ),
    ),
)


# match_moments


def _moments_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def drawn(label, content, style, scale=2.0):
        x, y = torch.randn(content, generator=g), scale * torch.randn(style, generator=g)
        shift = torch.randn(2, 8, 1, 1, generator=g)  # channels that differ in their means
        return Case(label, (x + shift[0, : content[1]], y + shift[1, : style[1]]), gradients=(0, 1))

    flat = torch.full((1, 1, 2, 2), 0.5)
    return [
        # two positions: whatever they are, they become the style's two, so no gradient remains to compare
        Case("one channel, by hand", (torch.tensor([[[[0.0, 2.0]]]]), torch.tensor([[[[5.0, 11.0]]]]))),
        Case("a content of one value", (flat, torch.tensor([[[[1.0, 4.0], [2.0, 1.0]]]]))),
        drawn("three channels, not square", (1, 3, 4, 5), (1, 3, 4, 5)),
        drawn("two pictures, two styles", (2, 4, 3, 5), (2, 4, 3, 5)),
        drawn("three pictures, one style for all", (3, 2, 4, 4), (1, 2, 4, 4), scale=0.3),
        drawn("a style of another size", (2, 3, 4, 3), (2, 3, 2, 5), scale=5.0),
    ]


def _std(x, correction=0, dims=(2, 3)):
    return x.var(dims, correction=correction, keepdim=True).clamp(min=1e-10).sqrt()


def _mean(x, dims=(2, 3)):
    return x.mean(dims, keepdim=True)


def _matched(dims=(2, 3), correction=0):
    return lambda content, style: (
        (content - _mean(content, dims)) / _std(content, correction, dims) * _std(style, correction, dims)
        + _mean(style, dims)
    )


def _by_channel(content, style):
    rows = []
    for i in range(len(content)):
        for c in range(content.shape[1]):
            x, y = content[i, c], style[i % len(style), c]
            unit = (x - x.mean()) / (x - x.mean()).square().mean().add(1e-12).sqrt()
            rows.append(unit * (y - y.mean()).square().mean().add(1e-12).sqrt() + y.mean())
    return torch.stack(rows).view_as(content)


def _as_an_affine_map(content, style):
    scale = _std(style) / _std(content)
    return scale * content + (_mean(style) - scale * _mean(content))


def _sorted_in(content, style):
    """The distributions matched instead of two moments."""
    order = content.flatten(2).argsort(2).argsort(2)
    values = _resized(style.flatten(2).sort(2).values, content[0, 0].numel())
    return values.expand(len(content), -1, -1).gather(2, order).view_as(content)


MOMENTS = Exercise(
    name="match_moments",
    lesson=45,
    points=2,
    minutes=15,
    docstring="""Adaptive instance normalisation (AdaIN): give each channel the mean and the standard deviation that it has in the style.

content: (N, C, H, W). style: (N, C, h, w), or (1, C, h, w), which then holds for every picture; its size may differ.
Returns (N, C, H, W): for each picture and channel (content - mean of content) / std of content * std of style + mean of style. Means and
standard deviations are those over the positions, the population's (divided by their number). A channel of content that is constant
becomes the style's mean, and no NaN.""",
    reference=match_moments,
    cases=_moments_cases,
    alternatives={
        "step by step": _matched(),
        "channel by channel": _by_channel,
        "scale and shift": _as_an_affine_map,
        "instance_norm": lambda content, style: (
            F.instance_norm(content, eps=1e-10) * _std(style) + _mean(style)
            if content[0, 0].numel() > 1
            else _mean(style).expand_as(content)
        ),
        "a small eps": lambda content, style: (
            (content - _mean(content)) / (_std(content) + 1e-8) * _std(style) + _mean(style)
        ),
    },
    mistakes=(
        Mistake(
            "the two exchanged",
            "You give the style the moments of the content; it is the content that changes.",
            lambda content, style: match_moments(style, content),
        ),
        Mistake(
            "moments of the batch",
            "You take the moments over the batch as well, as batch norm does; each picture has its own.",
            _matched((0, 2, 3)),
        ),
        Mistake(
            "moments of all channels",
            "You take the moments over the channels as well; each channel has its own.",
            _matched((1, 2, 3)),
        ),
        # TensorLayer's adain_norm.py: tf.nn.moments(features, [1, 2]), right for its channels-last features
        Mistake(
            "channels-last axes",
            "You take the moments over axes 1 and 2, which are height and width only where channels stand last.",
            lambda content, style: _matched((1, 2))(content, F.interpolate(style, content.shape[2:], mode="area")),
        ),
        Mistake(
            "moments of the rows",
            "You take the moments of each row of pixels; take them over all positions.",
            lambda content, style: _matched((3,))(content, F.interpolate(style, content.shape[2:], mode="area")),
        ),
        # naoto0804/pytorch-AdaIN, function.py: var(dim=2), torch's unbiased default
        Mistake(
            "unbiased for the content",
            "You use torch's default for the content, which divides by the number of positions minus 1.",
            lambda content, style: (content - _mean(content)) / _std(content, 1) * _std(style) + _mean(style),
        ),
        Mistake(
            "unbiased for the style",
            "You use torch's default for the style, which divides by the number of positions minus 1.",
            lambda content, style: (content - _mean(content)) / _std(content) * _std(style, 1) + _mean(style),
        ),
        Mistake(
            "variance for the deviation",
            "You scale by the variances; take their roots, the standard deviations.",
            lambda content, style: (content - _mean(content)) / _std(content) ** 2 * _std(style) ** 2 + _mean(style),
        ),
        Mistake(
            "means only",
            "You move the mean and leave the standard deviation as it was.",
            lambda content, style: content - _mean(content) + _mean(style),
        ),
        Mistake(
            "deviations only",
            "You put the content's own mean back; the style's belongs there.",
            lambda content, style: (content - _mean(content)) / _std(content) * _std(style) + _mean(content),
        ),
        Mistake(
            "no mean at the end",
            "You forgot to add the style's mean.",
            lambda content, style: (content - _mean(content)) / _std(content) * _std(style),
        ),
        Mistake(
            "mean left in",
            "You scale the content before you take its mean out, so a part of it stays.",
            lambda content, style: content / _std(content) * _std(style) + _mean(style),
        ),
        Mistake(
            "the scale upside down",
            "You multiply by the content's deviation and divide by the style's; it is the other way round.",
            lambda content, style: (content - _mean(content)) * _std(content) / _std(style) + _mean(style),
        ),
        Mistake(
            "mean scaled too",
            "You add the style's mean before you multiply, so the mean is scaled as well.",
            lambda content, style: ((content - _mean(content)) / _std(content) + _mean(style)) * _std(style),
        ),
        Mistake(
            "first style for all",
            "You use the first style for every picture of the batch; each has its own where there are N.",
            lambda content, style: match_moments(content, style[:1]),
        ),
        Mistake(
            "all values matched",
            "You match the whole distribution by sorting; asked are mean and standard deviation alone.",
            _sorted_in,
        ),
    ),
)


# total_variation


def _variation_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def drawn(label, *shape, scale=1.0):
        return Case(label, (scale * torch.randn(shape, generator=g),), gradients=(0,))

    return [
        Case("four pixels, by hand", (torch.tensor([[[[0.0, 1.0], [3.0, 7.0]]]]),), gradients=(0,)),
        Case(
            "one step", (torch.tensor([[[[0.0, 0.5003], [0.0, 0.5003]]]]),), gradients=(0,)
        ),  # half precision misses it
        Case("flat colour", (torch.full((1, 3, 4, 4), 0.3),)),
        Case("a ramp to the right", (torch.arange(12.0).view(1, 1, 1, 12).expand(1, 1, 3, 12).contiguous(),)),
        drawn("one channel, not square", 1, 1, 3, 7),
        drawn("three channels", 1, 3, 6, 4),
        drawn("three pictures", 3, 2, 4, 5),
        drawn("values far from 0", 2, 3, 5, 3, scale=100.0),
    ]


def _down(x):
    return x[..., 1:, :] - x[..., :-1, :]


def _right(x):
    return x[..., 1:] - x[..., :-1]


def _by_convolution(x):
    n, c, h, w = x.shape
    flat = x.reshape(n * c, 1, h, w)
    kernel = torch.tensor([1.0, -1.0], dtype=x.dtype)
    return F.conv2d(flat, kernel.view(1, 1, 2, 1)).abs().mean() + F.conv2d(flat, kernel.view(1, 1, 1, 2)).abs().mean()


def _isotropic(x):
    down, right = _down(x)[..., :, :-1], _right(x)[..., :-1, :]
    return (down.square() + right.square() + 1e-12).sqrt().mean()


VARIATION = Exercise(
    name="total_variation",
    lesson=45,
    points=1,
    minutes=10,
    differentiable=True,
    docstring="""How rough pictures are: the mean absolute difference of neighbours, downwards plus to the right.

x: (N, C, H, W), H and W at least 2. Returns a scalar: the mean of |pixel - the pixel above it| over all such pairs of the batch, plus the
mean of |pixel - the pixel on its left| over all those pairs.""",
    reference=total_variation,
    cases=_variation_cases,
    alternatives={
        "diff": lambda x: x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean(),
        "l1_loss": lambda x: F.l1_loss(x[:, :, :-1], x[:, :, 1:]) + F.l1_loss(x[..., :-1], x[..., 1:]),
        "convolution": _by_convolution,
        "root of the square": lambda x: _down(x).norm(p=1) / _down(x).numel() + _right(x).norm(p=1) / _right(x).numel(),
        "rows and columns, unbound": lambda x: (
            torch.stack([(a - b).abs().mean() for a, b in zip(x.unbind(2), x.unbind(2)[1:])]).mean()
            + torch.stack([(a - b).abs().mean() for a, b in zip(x.unbind(3), x.unbind(3)[1:])]).mean()
        ),
    },
    mistakes=(
        Mistake(
            "squared",
            "You square the differences, which blurs edges rather than noise; take absolute values.",
            lambda x: _down(x).square().mean() + _right(x).square().mean(),
        ),
        # tf.image.total_variation sums
        Mistake(
            "summed",
            "You sum the differences; take the mean of each kind, so that the size of a picture is no weight.",
            lambda x: _down(x).abs().sum() + _right(x).abs().sum(),
        ),
        Mistake(
            "summed for each picture",
            "You sum over a picture and take the mean over the batch; the mean is taken over all pairs.",
            lambda x: (_down(x).abs().sum() + _right(x).abs().sum()) / len(x),
        ),
        Mistake(
            "divided by the pixels",
            "You divide by the number of pixels; a picture has fewer pairs of neighbours than pixels.",
            lambda x: (_down(x).abs().sum() + _right(x).abs().sum()) / x.numel(),
        ),
        # d2l's tv_loss: half of the sum of both means
        Mistake(
            "halved",
            "You take half of the sum of both means; the sum is asked for.",
            lambda x: total_variation(x) / 2,
        ),
        Mistake(
            "all pairs in one mean",
            "You take one mean over both kinds of pairs; each kind has its own, and they are added.",
            lambda x: torch.cat([_down(x).flatten(), _right(x).flatten()]).abs().mean() * 2,
        ),
        Mistake(
            "to the right only",
            "You compare neighbours in a row only; those in a column count as well.",
            lambda x: _right(x).abs().mean(),
        ),
        Mistake(
            "downwards only",
            "You compare neighbours in a column only; those in a row count as well.",
            lambda x: _down(x).abs().mean(),
        ),
        Mistake(
            "around the edge",
            "You use roll, which compares the first pixel with the last one across the edge.",
            lambda x: (x - x.roll(1, 2)).abs().mean() + (x - x.roll(1, 3)).abs().mean(),
        ),
        Mistake(
            "no absolute value",
            "You forgot the absolute value, so up and down cancel.",
            lambda x: _down(x).mean() + _right(x).mean(),
        ),
        Mistake(
            "absolute value of the mean",
            "You take the absolute value after the mean; then up and down have cancelled already.",
            lambda x: _down(x).mean().abs() + _right(x).mean().abs(),
        ),
        Mistake(
            "next but one",
            "You compare each pixel with the next but one.",
            lambda x: (
                (x[..., 2:, :] - x[..., :-2, :]).abs().sum() / max(1, x[..., 2:, :].numel())
                + (x[..., 2:] - x[..., :-2]).abs().sum() / max(1, x[..., 2:].numel())
            ),
        ),
        # Rudin, Osher and Fatemi 1992 have this form
        Mistake(
            "root of the squares",
            "You take the root of the sum of both squares, which is the other usual form; asked is the sum of absolute values.",
            _isotropic,
        ),
        Mistake(
            "channels too",
            "You compare the colours of a pixel with each other as well; neighbours are pixels.",
            lambda x: total_variation(x) + (x[:, 1:] - x[:, :-1]).abs().sum() / max(1, x[:, 1:].numel()),
        ),
    ),
)


# faulty_line_style

LINE = Exercise(
    name="faulty_line_style",
    lesson=45,
    points=2,
    minutes=10,
    docstring="""One line of this style transfer is wrong. Return its number.

It runs without complaint. The picture changes in the first step and in no other, and the loss stays where it then is, but for the random
directions.

 1  picture = content.clone().requires_grad_()
 2  optimizer = torch.optim.Adam([picture], lr=0.05)
 3  for step in range(200):
 4      found = network(picture)
 5      loss = 0
 6      for a, b in zip(found, wanted):
 7          directions = F.normalize(torch.randn(32, a.shape[1]), dim=1)
 8          loss = loss + sliced_distance(a, b, directions)
 9      optimizer.zero_grad()
10      loss.backward()
11      optimizer.step()
12      picture = picture.detach().clamp(-1, 1).requires_grad_()""",
    reference=lambda: 12,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={"a tensor": lambda: torch.tensor(12), "a float": lambda: 12.0},
    mistakes=(
        Mistake("line 1", "You suspect the start; a copy of the content that wants gradients is right.", lambda: 1),
        Mistake(
            "line 2",
            "You suspect the optimizer; it holds the picture and not the network, as it should, when it is made.",
            lambda: 2,
        ),
        Mistake(
            "line 3", "You suspect the number of steps; a picture that stands still is not mended by more.", lambda: 3
        ),
        Mistake("line 4", "You suspect the network; it gives new features for whatever it is handed.", lambda: 4),
        Mistake("line 5", "You suspect the loss's start at 0, which belongs in the loop, where it stands.", lambda: 5),
        Mistake("line 6", "You suspect the pairs; each layer of the picture meets that of the style.", lambda: 6),
        Mistake(
            "line 7", "You suspect the directions; new ones in each step are right, and they do not stop it.", lambda: 7
        ),
        Mistake("line 8", "You suspect the distance; it moves the picture well in the first step.", lambda: 8),
        Mistake("line 9", "You suspect zero_grad; it comes before backward, as it should.", lambda: 9),
        Mistake("line 10", "You suspect backward; ask instead where its gradients are kept.", lambda: 10),
        Mistake(
            "line 11",
            "You suspect the step; it moves the tensor that the optimizer holds, so ask which one that is.",
            lambda: 11,
        ),
    ),
)

EXERCISES = (GRAM, SLICED, MOMENTS, VARIATION, LINE)
