"""The exercises of lesson 31: a label behind the noise, a batch norm and a discriminator that know the class; a logit to derive, and a fault to
find."""

import math

import torch
import torch.nn.functional as F

from ...ops import condition, conditional_batch_norm, projection_logit
from ..engine import Case, Exercise, Mistake, Pair

# condition


def _condition_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, noise, labels, n_classes):
        return Case(label, (torch.as_tensor(noise), torch.as_tensor(labels), n_classes), gradients=(0,))

    def drawn(n, dimensions, n_classes):
        return torch.randn(n, dimensions, generator=g), torch.randint(n_classes, (n,), generator=g), n_classes

    return [
        case("one row, the last of three classes", [[0.5, -1.5]], [2], 3),
        case("two rows of three numbers, three classes", [[0.5, -1.0, 2.0], [3.0, 0.25, -0.5]], [1, 0], 3),
        case("three rows, four classes of which the last never occurs", [[1.0], [-2.0], [0.5]], [2, 0, 1], 4),
        case("four rows, four classes", *drawn(4, 3, 4)),
        case("five rows, seven numbers, three classes", *drawn(5, 7, 3)),
        case("six rows of one class", drawn(6, 2, 5)[0], [3] * 6, 5),
        case("more classes than numbers, numbers of about 20", 20 * drawn(3, 4, 9)[0], [8, 0, 5], 9),
        case("two classes", *drawn(7, 5, 2)),
    ]


def _one_hot(labels, n_classes):
    return torch.eye(n_classes)[labels]


def _condition_by_scatter(noise, labels, n_classes):
    return torch.cat([noise, torch.zeros(len(labels), n_classes).scatter(1, labels[:, None], 1.0)], 1)


def _condition_row_by_row(noise, labels, n_classes):
    rows = [
        torch.cat([row.double(), torch.tensor([float(k == label) for k in range(n_classes)])])
        for row, label in zip(noise, labels.tolist())
    ]
    return torch.stack(rows)


def _condition_filled_in(noise, labels, n_classes):
    out = F.pad(noise, (0, n_classes))
    out[torch.arange(len(noise)), noise.shape[1] + labels] = 1
    return out


def _condition_by_matrix(noise, labels, n_classes):
    """Both parts put in their place by a product with a wide identity matrix."""
    n, dimensions = noise.shape
    eye = torch.eye(dimensions + n_classes)
    return noise @ eye[:dimensions] + eye[dimensions + labels]


def _told(code):
    """Mistakes in what stands behind the noise: code(labels, n_classes) -> (N, ...)."""
    return lambda noise, labels, n_classes: torch.cat([noise, code(labels, n_classes).to(noise.dtype)], 1)


CONDITION = Exercise(
    name="condition",
    lesson=31,
    points=1,
    minutes=6,
    differentiable=True,
    docstring="""What a conditional generator reads: the noise, and behind it the label as a row of zeros with a single 1.

noise: (N, D), floats. labels: (N,) int64, from 0 to n_classes - 1. n_classes: K, the number of all classes, whether or not each
occurs in `labels`.
Returns (N, D + K) floats: columns 0 to D - 1 are the noise; of the other K, column D + label holds 1 and the rest hold 0.""",
    reference=condition,
    cases=_condition_cases,
    alternatives={
        "the library's one-hot": lambda noise, labels, n_classes: torch.hstack(
            [noise, F.one_hot(labels, num_classes=n_classes)]
        ),
        "rows of the identity": lambda noise, labels, n_classes: torch.cat(
            [noise, _one_hot(labels, n_classes)], dim=-1
        ),
        "compared with every class": lambda noise, labels, n_classes: torch.cat(
            [noise, (labels[:, None] == torch.arange(n_classes)).float()], 1
        ),
        "scatter": _condition_by_scatter,
        "row by row, float64": _condition_row_by_row,
        "ones filled in": _condition_filled_in,
        "a matrix product": _condition_by_matrix,
    },
    mistakes=(
        Mistake(
            "label in front",
            "You put the label before the noise; it comes behind.",
            lambda noise, labels, n_classes: torch.cat([_one_hot(labels, n_classes), noise], 1),
        ),
        Mistake(
            "label as one number",
            "You append the label's number, which calls class 2 twice class 1 and nearer to it than class 0; "
            "use a column for each class.",
            _told(lambda labels, n_classes: labels[:, None]),
        ),
        Mistake(
            "label as a fraction",
            "You append label / n_classes, a single number that orders the classes; use a column for each class.",
            _told(lambda labels, n_classes: labels[:, None] / n_classes),
        ),
        Mistake(
            "classes that occur",
            "You count the classes in this batch; the width must be that of all `n_classes`, or it changes "
            "from batch to batch.",
            _told(lambda labels, n_classes: F.one_hot(labels)),
        ),
        Mistake(
            "one class too many",
            "You make n_classes + 1 columns; labels run from 0 to n_classes - 1, so n_classes are enough.",
            _told(lambda labels, n_classes: F.one_hot(labels, n_classes + 1)),
        ),
        Mistake(
            "counted from 1",
            "You count labels from 1; label 0 belongs to the first column.",
            _told(lambda labels, n_classes: _one_hot(labels - 1, n_classes)),
        ),
        Mistake(
            "columns backwards",
            "You count the columns from the right; label 0 belongs to the first column.",
            _told(lambda labels, n_classes: _one_hot(labels, n_classes).flip(1)),
        ),
        Mistake(
            "zeros and one exchanged",
            "You mark every class but the right one; the label's column holds 1 and the others 0.",
            _told(lambda labels, n_classes: 1 - _one_hot(labels, n_classes)),
        ),
        Mistake(
            "minus one for no",
            "You write -1 for the other classes; they are 0.",
            _told(lambda labels, n_classes: 2 * _one_hot(labels, n_classes) - 1),
        ),
        Mistake(
            "ones up to the label",
            "You set every column up to the label; only the label's own column holds 1.",
            _told(lambda labels, n_classes: (torch.arange(n_classes) <= labels[:, None]).float()),
        ),
        Mistake(
            "label's number in its column",
            "You write the label's number in its column, so class 0 leaves no trace; write 1.",
            _told(lambda labels, n_classes: _one_hot(labels, n_classes) * labels[:, None]),
        ),
        Mistake(
            "first label everywhere",
            "You give every row the first label; each row has its own.",
            _told(lambda labels, n_classes: _one_hot(labels, n_classes)[:1].expand(len(labels), -1)),
        ),
        Mistake(
            "reshaped, not transposed",
            "You build one row for each class and reshape it; that shuffles the entries, so transpose it.",
            _told(
                lambda labels, n_classes: (
                    (torch.arange(n_classes)[:, None] == labels).float().reshape(len(labels), n_classes)
                )
            ),
        ),
        Mistake(
            "stacked below",
            "You join along axis 0, which adds rows; join along axis 1, which makes each row longer.",
            lambda noise, labels, n_classes: torch.cat([noise, _one_hot(labels, n_classes)], 0),
        ),
        Mistake(
            "label alone",
            "You leave out the noise, so every picture of a class would be the same.",
            lambda noise, labels, n_classes: _one_hot(labels, n_classes) + 0 * noise.sum(),
        ),
        Mistake(
            "transposed",
            "You return columns for samples; the result has a row for each sample.",
            lambda noise, labels, n_classes: condition(noise, labels, n_classes).T,
        ),
        Mistake(
            "a random code",
            "You give each class a random code, an embedding; here it is a 1 in the class's own column.",
            _told(lambda labels, n_classes: torch.randn(n_classes, n_classes)[labels]),
        ),
    ),
    pairs=(
        Pair(
            "label in front",
            "counted from 1",
            lambda noise, labels, n_classes: torch.cat([_one_hot(labels - 1, n_classes), noise], 1),
        ),
        Pair(
            "label in front",
            "minus one for no",
            lambda noise, labels, n_classes: torch.cat([2 * _one_hot(labels, n_classes) - 1, noise], 1),
        ),
        Pair(
            "one class too many",
            "counted from 1",
            _told(lambda labels, n_classes: F.one_hot(labels + 1, n_classes + 1)),
        ),
    ),
)


# conditional_batch_norm


def _norm_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, x, labels, gamma, beta, eps):
        return Case(label, (x, torch.as_tensor(labels), gamma, beta, eps), gradients=(0, 2, 3))

    def drawn(label, shape, n_classes, labels, eps, scale=1.0, mean=0.0):
        x = torch.randn(shape, generator=g) * scale + mean
        gamma, beta = torch.randn(2, n_classes, shape[1], generator=g)
        return case(label, x, labels, gamma + 1.5, beta, eps)

    def column(*rows):
        return torch.tensor(rows)

    hand = torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)
    flat = torch.tensor([[2.0, -1.0], [2.0, 1.0], [2.0, 4.0]])[:, :, None, None].expand(3, 2, 1, 2).clone()
    return [
        case("two pictures of one pixel, two classes", hand, [1, 0], column([10.0], [2.0]), column([0.5], [-1.0]), 3.0),
        case(
            "a channel that is the same everywhere",
            flat,
            [0, 1, 1],
            column([1.0, 2.0], [3.0, -1.0]),
            column([0.5, 0.0], [1.0, 4.0]),
            1e-2,
        ),
        drawn("three pictures of two channels, small deviations", (3, 2, 2, 3), 4, [3, 0, 3], 1e-2, scale=0.1),
        drawn("five pictures, three classes, each twice or once", (5, 4, 3, 2), 3, [2, 0, 1, 2, 0], 1e-5),
        drawn("values far from 0", (4, 3, 5, 2), 5, [4, 1, 1, 3], 1e-3, scale=2.0, mean=5.0),
        drawn("pictures of one pixel, a large eps", (7, 3, 1, 1), 2, [0, 1, 1, 0, 1, 1, 1], 0.5),
        drawn("one picture", (1, 2, 3, 4), 3, [1], 1e-5),
        drawn("one class for all of them", (3, 5, 2, 4), 4, [2, 2, 2], 1e-5),
    ]


def _spread(rows):
    """(N, C) -> (N, C, 1, 1)."""
    return rows[:, :, None, None]


def _normalised(x, eps, axes=(0, 2, 3), unbiased=False):
    var = x.var(axes, correction=int(unbiased), keepdim=True)
    return (x - x.mean(axes, keepdim=True)) / (var + eps).sqrt()


def _norm_by_channel(x, labels, gamma, beta, eps):
    """One channel at a time, float64."""
    channels = []
    for c in range(x.shape[1]):
        values = x[:, c].double()
        deviation = values - values.sum() / values.numel()
        values = deviation / ((deviation**2).sum() / values.numel() + eps) ** 0.5
        channels.append(torch.stack([gamma[k, c] * v + beta[k, c] for k, v in zip(labels.tolist(), values)]))
    return torch.stack(channels, 1)


def _norm_by_class(x, labels, gamma, beta, eps):
    """The usual batch norm once for each class, of which only that class's pictures are kept."""
    out = torch.zeros_like(x)
    for k in range(len(gamma)):
        out = torch.where(
            (labels == k)[:, None, None, None], F.batch_norm(x, None, None, gamma[k], beta[k], True, eps=eps), out
        )
    return out


def _norm_by_einsum(x, labels, gamma, beta, eps):
    told = torch.eye(len(gamma), dtype=x.dtype)[labels]
    return (
        torch.einsum("nk,kc,nchw->nchw", told, gamma, _normalised(x, eps))
        + torch.einsum("nk,kc->nc", told, beta)[..., None, None]
    )


def _norm_in_columns(x, labels, gamma, beta, eps):
    """Pixels as rows, channels as columns: batch norm is then a plain table's."""
    n, c, height, width = x.shape
    table = x.permute(0, 2, 3, 1).reshape(-1, c)
    table = (table - table.mean(0)) / (table.var(0, unbiased=False) + eps) ** 0.5
    rows = labels.repeat_interleave(height * width)
    return (table * gamma[rows] + beta[rows]).reshape(n, height, width, c).permute(0, 3, 1, 2)


def _norm_within_classes(x, labels, gamma, beta, eps):
    """Each class by its own mean and variance."""
    out = torch.empty_like(x)
    for k in labels.unique():
        out[labels == k] = _normalised(x[labels == k], eps)
    return _shaped(out, labels, gamma, beta)


def _shaped(x, labels, gamma, beta):
    return _spread(gamma[labels]) * x + _spread(beta[labels])


def _norm_but(normalised):
    """Mistakes in the normalisation: normalised(x, eps)."""
    return lambda x, labels, gamma, beta, eps: _shaped(normalised(x, eps), labels, gamma, beta)


def _norm_then(shaped):
    """Mistakes in what follows it: shaped(normalised x, labels, gamma, beta)."""
    return lambda x, labels, gamma, beta, eps: shaped(_normalised(x, eps), labels, gamma, beta)


def _constants(x, eps):
    """Mean and variance held constant."""
    mean, var = x.mean((0, 2, 3), keepdim=True).detach(), x.var((0, 2, 3), correction=0, keepdim=True).detach()
    return (x - mean) / (var + eps).sqrt()


NORM = Exercise(
    name="conditional_batch_norm",
    lesson=31,
    points=3,
    minutes=15,
    differentiable=True,
    docstring="""Batch norm, then a scale and a shift of each picture's own class.

x: (N, C, H, W). labels: (N,) int64, from 0 to K - 1. gamma, beta: (K, C), for each class a scale and a shift of each channel.
eps: number above 0.
Each channel is normalised by its mean and its biased variance over all pictures, whatever their class, and all pixels: subtract
the mean, divide by the root of (variance + eps). Then multiply by gamma and add beta, the row of the picture's own label.
Returns (N, C, H, W). Gradients reach x also through the mean and the variance.""",
    reference=conditional_batch_norm,
    cases=_norm_cases,
    alternatives={
        "the library's batch norm": lambda x, labels, gamma, beta, eps: _shaped(
            F.batch_norm(x, None, None, training=True, eps=eps), labels, gamma, beta
        ),
        "mean, variance, root": lambda x, labels, gamma, beta, eps: _shaped(_normalised(x, eps), labels, gamma, beta),
        "channel by channel, float64": _norm_by_channel,
        "class by class": _norm_by_class,
        "einsum": _norm_by_einsum,
        "pixels as rows of a table": _norm_in_columns,
    },
    mistakes=(
        Mistake(
            "statistics of each class",
            "You normalise each class by its own mean and variance; they are taken over all pictures, "
            "and only gamma and beta depend on the class.",
            _norm_within_classes,
        ),
        Mistake(
            "statistics of each picture",
            "You normalise each picture by itself, which is instance norm; average over the batch too.",
            _norm_but(lambda x, eps: _normalised(x, eps, (2, 3))),
        ),
        Mistake(
            "layer norm",
            "You normalise each picture over its channels, which is layer norm; each channel is normalised over the "
            "batch.",
            _norm_but(lambda x, eps: _normalised(x, eps, (1, 2, 3))),
        ),
        Mistake(
            "statistics of each pixel",
            "You take mean and variance over the batch alone; take them over rows and columns as well.",
            _norm_but(lambda x, eps: _normalised(x, eps, (0,))),
        ),
        Mistake(
            "one mean for all channels",
            "You take one mean and one variance over everything; each channel has its own.",
            _norm_but(lambda x, eps: _normalised(x, eps, (0, 1, 2, 3))),
        ),
        Mistake(
            "unbiased variance",
            "You divide the squares by the count less one, as .var() does by default; batch norm divides by the count.",
            _norm_but(lambda x, eps: _normalised(x, eps, unbiased=True)),
        ),
        Mistake(
            "eps outside the root",
            "You add eps to the standard deviation; it is added to the variance, under the root.",
            _norm_but(
                lambda x, eps: (
                    (x - x.mean((0, 2, 3), keepdim=True)) / (x.std((0, 2, 3), correction=0, keepdim=True) + eps)
                )
            ),
        ),
        Mistake(
            "eps squared",
            "You square eps before you add it; it is added to the variance as it is.",
            _norm_but(lambda x, eps: _normalised(x, eps**2)),
        ),
        Mistake(
            "no eps",
            "You leave out eps, so a channel that is the same everywhere becomes 0 / 0.",
            _norm_but(lambda x, eps: _normalised(x, 0.0)),
        ),
        Mistake(
            "divided by the variance",
            "You divide by the variance; divide by its root.",
            _norm_but(
                lambda x, eps: (
                    (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + eps)
                )
            ),
        ),
        Mistake(
            "mean not subtracted",
            "You divide by the deviation and never subtract the mean.",
            _norm_but(lambda x, eps: x / (x.var((0, 2, 3), correction=0, keepdim=True) + eps).sqrt()),
        ),
        Mistake("not normalised", "You scale and shift x as it came; normalise it first.", _norm_but(lambda x, eps: x)),
        Mistake(
            "statistics held constant",
            "Your values are right, but you cut the mean and the variance out of the graph: "
            "compute them without .detach() or torch.no_grad().",
            _norm_but(_constants),
        ),
        Mistake(
            "gamma and beta exchanged",
            "You exchanged gamma and beta: gamma multiplies, beta is added.",
            _norm_then(lambda x, labels, gamma, beta: _shaped(x, labels, beta, gamma)),
        ),
        Mistake(
            "one plus gamma",
            "You multiply by 1 + gamma, as some codes do whose gamma starts at 0; multiply by gamma.",
            _norm_then(lambda x, labels, gamma, beta: _shaped(x, labels, 1 + gamma, beta)),
        ),
        Mistake(
            "shift before the scale",
            "You add beta before you multiply by gamma; the shift comes last.",
            _norm_then(lambda x, labels, gamma, beta: _spread(gamma[labels]) * (x + _spread(beta[labels]))),
        ),
        Mistake(
            "no shift", "You leave out beta.", _norm_then(lambda x, labels, gamma, beta: _spread(gamma[labels]) * x)
        ),
        Mistake(
            "no scale", "You leave out gamma.", _norm_then(lambda x, labels, gamma, beta: x + _spread(beta[labels]))
        ),
        Mistake(
            "the first picture's class",
            "You use the first picture's label for the whole batch; each picture has its own.",
            _norm_then(lambda x, labels, gamma, beta: _shaped(x, labels[:1].expand(len(labels)), gamma, beta)),
        ),
        Mistake(
            "class 0 for all",
            "You use the first row of gamma and beta, whatever the labels say.",
            _norm_then(lambda x, labels, gamma, beta: _shaped(x, 0 * labels, gamma, beta)),
        ),
        Mistake(
            "classes averaged",
            "You average gamma and beta over the classes, so the layer no longer knows the label.",
            _norm_then(lambda x, labels, gamma, beta: gamma.mean(0)[:, None, None] * x + beta.mean(0)[:, None, None]),
        ),
        Mistake(
            "the batch's classes averaged",
            "You average gamma and beta over the batch's labels; each picture uses its own row.",
            _norm_then(
                lambda x, labels, gamma, beta: (
                    gamma[labels].mean(0)[:, None, None] * x + beta[labels].mean(0)[:, None, None]
                )
            ),
        ),
    ),
    pairs=(
        Pair(
            "unbiased variance",
            "eps outside the root",
            _norm_but(lambda x, eps: (x - x.mean((0, 2, 3), keepdim=True)) / (x.std((0, 2, 3), keepdim=True) + eps)),
        ),
        Pair(
            "statistics of each picture",
            "one plus gamma",
            lambda x, labels, gamma, beta, eps: _shaped(_normalised(x, eps, (2, 3)), labels, 1 + gamma, beta),
        ),
        Pair(
            "unbiased variance",
            "gamma and beta exchanged",
            lambda x, labels, gamma, beta, eps: _shaped(_normalised(x, eps, unbiased=True), labels, beta, gamma),
        ),
    ),
)


# projection_logit


def _logit_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, features, labels, embedding, weight):
        tensors = [torch.as_tensor(v) for v in (features, labels, embedding, weight)]
        return Case(label, tuple(tensors), gradients=(0, 2, 3))

    def drawn(label, n, dimensions, n_classes, labels, scale=1.0):
        sizes = (n, dimensions), (n_classes, dimensions), (dimensions,)
        features, embedding, weight = (torch.randn(size, generator=g) for size in sizes)
        return case(label, features * scale, labels, embedding, weight)

    return [
        case("one picture, two features, two classes", [[1.0, 2.0]], [1], [[5.0, 7.0], [3.0, -1.0]], [0.5, 0.25]),
        case("one feature", [[2.0], [-3.0]], [2, 0], [[1.0], [10.0], [-4.0]], [0.5]),
        case("features of 0", [[0.0, 0.0], [1.0, -1.0]], [0, 0], [[2.0, 5.0]], [1.0, 3.0]),
        drawn("five pictures, three features, four classes", 5, 3, 4, [2, 0, 3, 3, 1]),
        drawn("three pictures, seven features, six classes", 3, 7, 6, [5, 1, 4]),
        drawn("as many pictures as features and classes", 4, 4, 4, [1, 3, 0, 2]),
        drawn("large features, two classes", 6, 5, 2, [1, 0, 0, 1, 1, 1], scale=30.0),
        drawn("all of one class", 4, 6, 3, [1, 1, 1, 1]),
    ]


def _all_classes(features, embedding):
    """e_k . f for each picture and class, (N, K)."""
    return features @ embedding.T


def _own_class(features, labels, embedding):
    """e_label . f, (N,)."""
    return (features * embedding[labels]).sum(1)


def _logit_one_by_one(features, labels, embedding, weight):
    features, embedding, weight = features.double(), embedding.double(), weight.double()
    return torch.stack([torch.dot(weight, f) + torch.dot(embedding[k], f) for f, k in zip(features, labels.tolist())])


def _logit_by_mask(features, labels, embedding, weight):
    mine = labels[:, None] == torch.arange(len(embedding))
    return torch.where(mine, _all_classes(features, embedding + weight), 0).sum(1)


def _logit_plus(told):
    """Mistakes in the part that knows the class: w . f + told(features, labels, embedding)."""
    return lambda features, labels, embedding, weight: features @ weight + told(features, labels, embedding)


PROJECTION = Exercise(
    name="projection_logit",
    lesson=31,
    points=2,
    minutes=8,
    differentiable=True,
    docstring="""A projection discriminator's logit: how real a picture looks, plus how well its features agree with its class.

features: (N, D), what the network found in N pictures. labels: (N,) int64, from 0 to K - 1.
embedding: (K, D), a direction for each class. weight: (D,), the direction of "real" whatever the class.
Returns (N,): for each picture weight . f plus e . f, with f its features and e the row of the embedding of its label. No
bias, no sigmoid.""",
    reference=projection_logit,
    cases=_logit_cases,
    alternatives={
        "two sums": lambda features, labels, embedding, weight: (
            (features * weight).sum(1) + (features * embedding[labels]).sum(-1)
        ),
        "directions added first": lambda features, labels, embedding, weight: (
            (weight + embedding[labels]) * features
        ).sum(1),
        "all classes, then the right one": lambda features, labels, embedding, weight: (
            features @ weight + _all_classes(features, embedding).gather(1, labels[:, None])[:, 0]
        ),
        "one-hot": lambda features, labels, embedding, weight: (
            torch.einsum("nd,nk,kd->n", features, F.one_hot(labels, len(embedding)).to(features), embedding)
            + torch.mv(features, weight)
        ),
        "batched products": lambda features, labels, embedding, weight: (
            torch.bmm(features[:, None], F.embedding(labels, embedding)[:, :, None]).flatten()
            + F.linear(features, weight[None])[:, 0]
        ),
        "one by one, float64": _logit_one_by_one,
        "masked": _logit_by_mask,
    },
    mistakes=(
        Mistake(
            "class forgotten",
            "You leave out the class: add the product of the features with their label's row of the embedding.",
            lambda features, labels, embedding, weight: features @ weight + 0 * embedding.sum(),
        ),
        Mistake(
            "real forgotten",
            "You leave out the product with weight, which says how real the picture looks whatever its class.",
            lambda features, labels, embedding, weight: _own_class(features, labels, embedding) + 0 * weight.sum(),
        ),
        Mistake(
            "multiplied",
            "You multiply the two parts; add them.",
            lambda features, labels, embedding, weight: (features @ weight) * _own_class(features, labels, embedding),
        ),
        Mistake(
            "subtracted",
            "You subtract the class's part; add it.",
            _logit_plus(lambda features, labels, embedding: -_own_class(features, labels, embedding)),
        ),
        Mistake(
            "averaged",
            "You take the mean of the two parts; they are added.",
            lambda features, labels, embedding, weight: projection_logit(features, labels, embedding, weight) / 2,
        ),
        Mistake(
            "mean over the features",
            "You take the mean over the features; a scalar product is a sum.",
            lambda features, labels, embedding, weight: (
                projection_logit(features, labels, embedding, weight) / features.shape[1]
            ),
        ),
        Mistake(
            "mean in the class's part",
            "You take the mean of the products with the embedding; a scalar product is a sum.",
            _logit_plus(lambda features, labels, embedding: (features * embedding[labels]).mean(1)),
        ),
        Mistake(
            "divided by the root of D",
            "You divide by the root of the number of features, as attention does; here the product stays as it is.",
            _logit_plus(
                lambda features, labels, embedding: _own_class(features, labels, embedding) / features.shape[1] ** 0.5
            ),
        ),
        Mistake(
            "every class",
            "You add the products with every class's row; only that of the picture's label counts.",
            _logit_plus(lambda features, labels, embedding: _all_classes(features, embedding).sum(1)),
        ),
        Mistake(
            "a column for each class",
            "You return a logit for every class, as a classifier does; return that of the label alone.",
            lambda features, labels, embedding, weight: (
                (features @ weight)[:, None] + _all_classes(features, embedding)
            ),
        ),
        Mistake(
            "the best class",
            "You take the class that fits best; take the one the label names.",
            _logit_plus(lambda features, labels, embedding: _all_classes(features, embedding).amax(1)),
        ),
        Mistake(
            "log-softmax",
            "You turn the classes' products into log-probabilities, as an auxiliary classifier does; here they stay "
            "as they are.",
            _logit_plus(
                lambda features, labels, embedding: (
                    _all_classes(features, embedding).log_softmax(1).gather(1, labels[:, None])[:, 0]
                )
            ),
        ),
        Mistake(
            "every pair of pictures",
            "You multiply every picture's features with every picture's label, (N, N); only its diagonal is wanted.",
            lambda features, labels, embedding, weight: features @ embedding[labels].T + (features @ weight)[:, None],
        ),
        Mistake(
            "not summed over the features",
            "You never add up over the features; a logit is one number for each picture.",
            lambda features, labels, embedding, weight: features * (embedding[labels] + weight),
        ),
        Mistake(
            "summed over the batch",
            "You add up over the batch, axis 0; add up over the features, axis 1.",
            lambda features, labels, embedding, weight: (features * (embedding[labels] + weight)).sum(0),
        ),
        Mistake(
            "one axis too many",
            "You return (N, 1); return (N,).",
            lambda features, labels, embedding, weight: projection_logit(features, labels, embedding, weight)[:, None],
        ),
        Mistake(
            "embedding on the weight",
            "You multiply the label's row with the weight; both multiply the features.",
            lambda features, labels, embedding, weight: features @ weight + embedding[labels] @ weight,
        ),
        Mistake(
            "row added unmultiplied",
            "You add up the label's row itself, so the picture does not matter to it; multiply it with the "
            "features first.",
            _logit_plus(lambda features, labels, embedding: embedding[labels].sum(1)),
        ),
        Mistake(
            "label counted from 1",
            "You take the row before the label's: labels count from 0, as rows do.",
            _logit_plus(lambda features, labels, embedding: _own_class(features, labels - 1, embedding)),
        ),
        Mistake(
            "first label everywhere",
            "You use the first picture's label for all; each picture has its own.",
            _logit_plus(lambda features, labels, embedding: features @ embedding[labels[0]]),
        ),
        Mistake(
            "length 1",
            "You divide features and row by their lengths, which gives a cosine; the product is taken as they are.",
            _logit_plus(lambda features, labels, embedding: F.cosine_similarity(features, embedding[labels], dim=1)),
        ),
        Mistake(
            "distance",
            "You subtract the squared distance to the label's row; add the scalar product.",
            _logit_plus(lambda features, labels, embedding: -(features - embedding[labels]).square().sum(1)),
        ),
        Mistake(
            "sigmoid",
            "You apply a sigmoid; a logit is left as it is, the loss does the rest.",
            lambda features, labels, embedding, weight: projection_logit(features, labels, embedding, weight).sigmoid(),
        ),
        Mistake(
            "batch mean",
            "You average over the batch; each picture has a logit of its own.",
            lambda features, labels, embedding, weight: projection_logit(features, labels, embedding, weight).mean(),
        ),
    ),
    pairs=(
        Pair(
            "mean over the features",
            "one axis too many",
            lambda features, labels, embedding, weight: (features * (embedding[labels] + weight)).mean(1, keepdim=True),
        ),
        Pair(
            "class forgotten",
            "sigmoid",
            lambda features, labels, embedding, weight: (features @ weight + 0 * embedding.sum()).sigmoid(),
        ),
        Pair(
            "subtracted",
            "mean in the class's part",
            _logit_plus(lambda features, labels, embedding: -(features * embedding[labels]).mean(1)),
        ),
    ),
)


# logit_difference

_SHARES = math.log(0.2 / 0.5) - math.log(0.8 / 0.5)


def _logit_difference():
    """D*(0.8, 1) - D*(0.8, 0) from the four densities."""

    def log_density(x, mean):
        return -((x - mean) ** 2) / (2 * 9)  # the same constant in all four

    first = math.log(0.2) + log_density(0.8, 2.0) - math.log(0.5) - log_density(0.8, -1.0)
    return first - (math.log(0.8) + log_density(0.8, 0.0) - math.log(0.5) - log_density(0.8, 0.5))


DIFFERENCE = Exercise(
    name="logit_difference",
    lesson=31,
    points=2,
    minutes=15,
    docstring="""By how much does the best logit change when the label changes? Return D*(0.8, 1) - D*(0.8, 0), the number.

Pictures are single numbers x, and there are two classes. Of the data 80 % are of class 0, which is N(0, 9), and 20 % of class 1, which is
N(2, 9); 9 is the variance. The generator is asked for both classes equally often. Asked for class 0 it draws from N(0.5, 9), asked for class 1 from
N(-1, 9). D*(x, y) is the natural logarithm of p(x, y) / q(x, y), with p the density of the data's pairs and q that of the generated ones.""",
    reference=_logit_difference,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={
        "calculated": lambda: 2.35 / 18 + math.log(0.25),
        "a tensor": lambda: torch.tensor(2.35 / 18 - math.log(4)),
        "as a projection": lambda: (3 * 0.8 - 1.5) / 9 - (-0.5 * 0.8 + 0.125) / 9 + _SHARES,
    },
    mistakes=(
        Mistake(
            "shares forgotten",
            "You leave out how often each class occurs: a pair has the density p(y) p(x | y), and the shares of data and generator differ.",
            lambda: 2.35 / 18,
        ),
        Mistake(
            "shares upside down",
            "You divide the generator's shares by the data's; the data stand above.",
            lambda: 2.35 / 18 - _SHARES,
        ),
        Mistake(
            "variance forgotten",
            "You forget to divide the squares by the variance.",
            lambda: 2.35 / 2 + _SHARES,
        ),
        Mistake(
            "deviation for the variance",
            "You divide by twice the standard deviation; divide by twice the variance.",
            lambda: 2.35 / 6 + _SHARES,
        ),
        Mistake(
            "one half forgotten",
            "You divide the squares by the variance; a Gaussian's exponent has twice the variance below.",
            lambda: 2.35 / 9 + _SHARES,
        ),
        Mistake(
            "label 1 alone",
            "You return the logit with label 1; subtract that with label 0.",
            lambda: 1.8 / 18 + math.log(0.4),
        ),
        Mistake(
            "labels exchanged",
            "You subtract the logit of label 1 from that of label 0; it is the other way round.",
            lambda: -(2.35 / 18 + _SHARES),
        ),
        Mistake(
            "the data alone",
            "You compare the classes in the data alone; the generator's densities stand below the line.",
            lambda: -0.8 / 18 + math.log(0.25),
        ),
    ),
)


# faulty_line_cgan

LINE = Exercise(
    name="faulty_line_cgan",
    lesson=31,
    points=2,
    minutes=10,
    docstring="""One line of this training of a conditional GAN is wrong. Return its number.

It runs without complaint, and each network moves down its own loss. But imagine a generator that draws every class perfectly: this discriminator
could still tell its pairs from real ones, nine times of ten by the label alone.

 1  for step in range(1000):
 2      rows = torch.randint(0, len(images), (64,))
 3      real, labels = images[rows], classes[rows]
 4      asked = torch.randint(0, 10, (64,))
 5      fake = generator(torch.randn(64, 32), asked)
 6      d_loss = discriminator_loss(discriminator(real, labels), discriminator(fake.detach(), labels))
 7      opt_d.zero_grad()
 8      d_loss.backward()
 9      opt_d.step()
10      g_loss = generator_loss(discriminator(fake, asked))
11      opt_g.zero_grad()
12      g_loss.backward()
13      opt_g.step()""",
    reference=lambda: 6,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={"a tensor": lambda: torch.tensor(6), "a float": lambda: 6.0},
    mistakes=(
        Mistake("line 2", "You suspect how pictures are drawn; any of them may come.", lambda: 2),
        Mistake("line 3", "You suspect the real pairs; each picture keeps its own label there.", lambda: 3),
        Mistake(
            "line 4",
            "You suspect the labels that are asked for; they may be drawn, where all classes are equally frequent.",
            lambda: 4,
        ),
        Mistake(
            "line 5", "You suspect the fakes; they are made for the labels asked for, as they should be.", lambda: 5
        ),
        Mistake(
            "line 7", "You suspect zero_grad; it stands before backward, and clears what line 12 left there.", lambda: 7
        ),
        Mistake(
            "line 10",
            "You suspect the generator's loss; it judges each fake with the label that it was made for.",
            lambda: 10,
        ),
        Mistake("line 11", "You suspect the generator's zero_grad; it stands where it must.", lambda: 11),
        Mistake(
            "line 12", "You suspect backward; what it leaves in the discriminator is cleared in line 7.", lambda: 12
        ),
    ),
)

EXERCISES = (CONDITION, NORM, PROJECTION, DIFFERENCE, LINE)
