"""The exercises of lesson 33: what a colour costs, mean field on a grid, the Gaussian field, and the weight that outvotes two pixels."""

import math

import torch
import torch.nn.functional as F

from ...fields import gaussian_crf, mean_field, neighbour_sum, unary
from ..engine import Case, Exercise, Mistake

# unary


def _unary_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def drawn(label, n, c, h, w, colours, scale):
        image = 2 * torch.rand(n, c, h, w, generator=g) - 1
        palette = 2 * torch.rand(colours, c, generator=g) - 1
        return Case(label, (image, palette, scale), gradients=(0, 1))

    one = torch.tensor([0.5, -1.0]).view(1, 1, 1, 2)
    return [
        Case("one row of two grey pixels", (one, torch.tensor([[-1.0], [1.0]]), 0.5), gradients=(0, 1)),
        Case("a scale of 2", (one, torch.tensor([[-1.0], [0.0], [1.0]]), 2.0), gradients=(0, 1)),
        drawn("grey pictures", 3, 1, 4, 5, 2, 0.7),
        drawn("colour, seven in the palette", 2, 3, 5, 3, 7, 0.35),
        drawn("as many colours as channels", 2, 3, 2, 6, 3, 1.3),
    ]


def _squares(image, palette):
    """(N, L, H, W): squared distances to the colours."""
    return (image[:, None] - palette[None, :, :, None, None]).square().sum(2)


def _unary_by_cdist(image, palette, scale):
    n, c, h, w = image.shape
    flat = image.permute(0, 2, 3, 1).reshape(-1, c)
    squares = flat.square().sum(1, keepdim=True) - 2 * flat @ palette.T + palette.square().sum(1)
    return squares.view(n, h, w, -1).permute(0, 3, 1, 2) / (2 * scale * scale)


def _unary_by_density(image, palette, scale):
    """Minus the log of a Gaussian, less its value at the colour itself."""
    q = torch.distributions.Normal(palette[None, :, :, None, None], scale)
    return (q.log_prob(q.mean) - q.log_prob(image[:, None])).sum(2)


def _unary_colour_by_colour(image, palette, scale):
    return torch.stack([0.5 * (((image - p[:, None, None]) / scale) ** 2).sum(1) for p in palette], 1)


UNARY = Exercise(
    name="unary",
    lesson=33,
    points=2,
    minutes=12,
    differentiable=True,
    docstring="""What each colour of a palette costs at each pixel: the squared distance of pixel and colour, divided by 2 scale^2.

image: (N, C, H, W). palette: (L, C), the colours. scale: standard deviation of a pixel about its colour, above 0.
Returns (N, L, H, W), in nats: minus the logarithm of a Gaussian without its constant, summed over the channels; 0 where the pixel has
the colour, large where it is unlike it.""",
    reference=unary,
    cases=_unary_cases,
    alternatives={
        "the square multiplied out": _unary_by_cdist,
        "minus a log density": _unary_by_density,
        "colour by colour": _unary_colour_by_colour,
        "einsum": lambda image, palette, scale: (
            torch.einsum(
                "nlchw,nlchw->nlhw",
                image[:, None] - palette.view(1, *palette.shape, 1, 1),
                image[:, None] - palette.view(1, *palette.shape, 1, 1),
            )
            / scale**2
            / 2
        ),
    },
    mistakes=(
        Mistake(  # sadeepj/crfasrnn_keras, issue 4: is the unary the energy, or minus the energy?
            "sign",
            "You return minus the cost, a log density; a unary is an energy, and is large where the colour does not fit.",
            lambda image, palette, scale: -_squares(image, palette) / (2 * scale**2),
        ),
        Mistake(  # sadeepj/crfasrnn_keras, issue 23: logits, probabilities or their logarithms?
            "probabilities",
            "You return probabilities, the softmax over the palette; asked are the costs themselves.",
            lambda image, palette, scale: (-_squares(image, palette) / (2 * scale**2)).softmax(1),
        ),
        Mistake(  # ascust/SEC-MXNet, issue 11: scores where minus log p is meant
            "normalised over the palette",
            "You return -log of the softmax over the palette; it differs by a number for each pixel from the cost that is asked for.",
            lambda image, palette, scale: -(-_squares(image, palette) / (2 * scale**2)).log_softmax(1),
        ),
        Mistake(
            "likelihood",
            "You return the Gaussian exp(-cost); asked is the cost, its logarithm with a minus.",
            lambda image, palette, scale: (-_squares(image, palette) / (2 * scale**2)).exp(),
        ),
        Mistake(
            "no half",
            "You left out the 2 under the fraction: a Gaussian's exponent is the square divided by 2 scale^2.",
            lambda image, palette, scale: _squares(image, palette) / scale**2,
        ),
        Mistake(
            "scale not squared",
            "You divide by 2 scale; a standard deviation enters squared.",
            lambda image, palette, scale: _squares(image, palette) / (2 * scale),
        ),
        Mistake(
            "scale forgotten",
            "You leave the scale out, so that a pixel's colour counts the same whatever the noise.",
            lambda image, palette, scale: _squares(image, palette) / 2,
        ),
        Mistake(
            "mean over channels",
            "You average over the channels; their costs add up, since their densities multiply.",
            lambda image, palette, scale: _squares(image, palette) / (2 * scale**2 * image.shape[1]),
        ),
        Mistake(
            "distance not squared",
            "You divide the distance itself; a Gaussian has its square.",
            lambda image, palette, scale: (_squares(image, palette) + 1e-12).sqrt() / (2 * scale**2),
        ),
        Mistake(
            "absolute differences",
            "You add up absolute differences; the Gaussian has squares.",
            lambda image, palette, scale: (
                (image[:, None] - palette[None, :, :, None, None]).abs().sum(2) / (2 * scale**2)
            ),
        ),
        Mistake(
            "labels last",
            "You return the labels on the last axis; they stand on the second, where an image has its channels.",
            lambda image, palette, scale: (_squares(image, palette) / (2 * scale**2)).permute(0, 2, 3, 1),
        ),
        Mistake(
            "channels first, labels last in the palette",
            "You read the palette as (C, L); each of its rows is a colour.",
            lambda image, palette, scale: (
                _squares(image, palette.reshape(palette.shape[1], -1).T.reshape(-1, palette.shape[1])) / (2 * scale**2)
            ),
        ),
        Mistake(
            "with the constant",
            "You keep the Gaussian's constant; it is the same for all labels, and the cost is 0 where the colour fits.",
            lambda image, palette, scale: (
                _squares(image, palette) / (2 * scale**2)
                + image.shape[1] * (math.log(scale) + math.log(2 * math.pi) / 2)
            ),
        ),
    ),
)


# mean_field


def _field_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def drawn(label, n, labels, h, w, weight, rounds, spread=1.0, start=False, gradients=(0, 1)):
        cost = spread * torch.randn(n, labels, h, w, generator=g)
        q = (torch.randn(n, labels, h, w, generator=g) if start else -cost).softmax(1)
        return Case(label, (q, cost, weight, rounds), gradients=gradients)

    return [
        drawn("one pixel", 1, 3, 1, 1, 0.8, 1, start=True, gradients=(1,)),
        drawn("two pixels side by side", 1, 2, 1, 2, 0.7, 1, start=True),
        drawn("no round", 2, 3, 3, 4, 0.7, 0, start=True, gradients=(0,)),
        drawn("a weight of 0", 2, 4, 3, 2, 0.0, 2, start=True),
        drawn("one round", 2, 3, 4, 5, 0.6, 1, start=True),
        drawn("two rounds, from the unary", 1, 4, 5, 3, 0.9, 2),
        drawn("five rounds", 2, 5, 4, 3, 0.4, 5, start=True),
        drawn("two labels, strong costs", 3, 2, 3, 3, 0.5, 3, spread=2.0, start=True),
    ]


def _padded_sum(q, mode="constant"):
    p = F.pad(q, (1, 1, 1, 1), mode=mode)
    return p[..., :-2, 1:-1] + p[..., 2:, 1:-1] + p[..., 1:-1, :-2] + p[..., 1:-1, 2:]


def _by_convolution(q, unary, weight, rounds):
    cross = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).to(q)
    kernel = cross.expand(q.shape[1], 1, 3, 3)
    for _ in range(rounds):
        q = torch.softmax(weight * F.conv2d(q, kernel, padding=1, groups=q.shape[1]) - unary, dim=1)
    return q


def _by_shifts(q, unary, weight, rounds):
    for _ in range(rounds):
        total = torch.zeros_like(q)
        total[..., 1:, :] += q[..., :-1, :]
        total[..., :-1, :] += q[..., 1:, :]
        total[..., 1:] += q[..., :-1]
        total[..., :-1] += q[..., 1:]
        p = (weight * total - unary).exp()
        q = p / p.sum(1, keepdim=True)
    return q


def _by_unlike_neighbours(q, unary, weight, rounds):
    """The message counts how often neighbours are unlike; per pixel that differs by a constant."""
    n, _, h, w = q.shape
    i, j = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    apart = (i.flatten()[:, None] - i.flatten()).abs() + (j.flatten()[:, None] - j.flatten()).abs()
    near = (apart == 1).to(q)
    for _ in range(rounds):
        unlike = ((1 - q).flatten(2) @ near).view_as(q)
        q = F.softmax(-unary - weight * unlike, dim=1)
    return q


def _pixel_by_pixel(q, unary, weight, rounds):
    h, w = q.shape[2:]
    for _ in range(rounds):
        rows = []
        for i in range(h):
            row = []
            for j in range(w):
                near = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
                total = sum(q[:, :, a, b] for a, b in near if 0 <= a < h and 0 <= b < w)
                row.append((weight * total - unary[:, :, i, j]).softmax(1))
            rows.append(torch.stack(row, 2))
        q = torch.stack(rows, 2)
    return q


def _with_message(message):
    """Mean field with another function of q in place of the sum over the neighbours."""

    def function(q, unary, weight, rounds):
        for _ in range(rounds):
            q = (weight * message(q) - unary).softmax(1)
        return q

    return function


def _with_update(update):
    """Mean field with another function (q, sum of the neighbours, unary, weight) -> q in each round."""

    def function(q, unary, weight, rounds):
        for _ in range(rounds):
            q = update(q, neighbour_sum(q), unary, weight)
        return q

    return function


def _one_after_the_other(q, unary, weight, rounds):
    q = q.clone()
    for _ in range(rounds):
        for i in range(q.shape[2]):
            for j in range(q.shape[3]):
                q = q.clone()
                q[:, :, i, j] = (weight * neighbour_sum(q)[:, :, i, j] - unary[:, :, i, j]).softmax(1)
    return q


def _eight(q):
    p = F.pad(q, (1, 1, 1, 1))
    h, w = q.shape[2:]
    return sum(p[..., a : a + h, b : b + w] for a in range(3) for b in range(3) if (a, b) != (1, 1))


def _not_normalised(q, unary, weight, rounds):
    for _ in range(rounds):
        q = (weight * neighbour_sum(q) - unary).exp()
    return q


FIELD = Exercise(
    name="mean_field",
    lesson=33,
    points=3,
    minutes=25,
    differentiable=True,
    docstring="""Mean field for labels on a grid: `rounds` times, each pixel's probabilities from its costs and its neighbours'.

    q_i(l) becomes the softmax over l of   weight * (sum over neighbours j of q_j(l)) - unary_i(l)

q: (N, L, H, W), where it starts; it sums to 1 over the L labels. unary: (N, L, H, W), what each label costs. weight: number, at least 0,
what two neighbours of unlike labels cost. rounds: int, at least 0. A pixel's neighbours are those above, below, left and right, as far
as they exist: fewer at the border, none from the other side. All pixels change at once, from the q of the round before.
Returns (N, L, H, W), q itself after 0 rounds.""",
    reference=mean_field,
    cases=_field_cases,
    alternatives={
        "a convolution": _by_convolution,
        "shifts, normalised by hand": _by_shifts,
        "a matrix of neighbours that counts unlike ones": _by_unlike_neighbours,
        "pixel by pixel": _pixel_by_pixel,
    },
    mistakes=(
        Mistake(  # sadeepj/crfasrnn_keras, issue 4
            "sign of the unary",
            "You add the unary; it is a cost, so a large one makes a label less probable.",
            _with_update(lambda q, near, u, w: (w * near + u).softmax(1)),
        ),
        Mistake(
            "sign of the neighbours",
            "You subtract the neighbours' probabilities, which makes neighbours unlike; like ones are the cheap ones.",
            _with_update(lambda q, near, u, w: (-w * near - u).softmax(1)),
        ),
        Mistake(
            "unary used once",
            "You take the unary in the first round alone; it belongs into each of them.",
            lambda q, unary, weight, rounds: (
                q
                if rounds == 0
                else _with_update(lambda q, near, u, w: (w * near).softmax(1))(
                    (weight * neighbour_sum(q) - unary).softmax(1), unary, weight, rounds - 1
                )
            ),
        ),
        Mistake(
            "neighbours wrap around",
            "You take the far side's pixels for neighbours at the border, as roll does; pixels at the border have fewer.",
            _with_message(lambda q: q.roll(1, 2) + q.roll(-1, 2) + q.roll(1, 3) + q.roll(-1, 3)),
        ),
        Mistake(
            "border repeated",
            "You repeat the border, so that a pixel there counts as its own neighbour; pad with zeros.",
            _with_message(lambda q: _padded_sum(q, "replicate")),
        ),
        Mistake(
            "itself included",
            "You count the pixel itself among its neighbours.",
            _with_message(lambda q: neighbour_sum(q) + q),
        ),
        Mistake(
            "edges counted twice",
            "You count each pair twice; in the message to a pixel every neighbour appears once.",
            _with_message(lambda q: 2 * neighbour_sum(q)),
        ),
        Mistake(
            "eight neighbours",
            "You take the diagonal neighbours, too; there are four: above, below, left, right.",
            _with_message(_eight),
        ),
        Mistake(
            "mean of the neighbours",
            "You average the neighbours; their messages add up, so that four outvote one.",
            _with_message(lambda q: neighbour_sum(q) / neighbour_sum(torch.ones_like(q[:1, :1])).clamp(min=1)),
        ),
        Mistake(
            "columns forgotten",
            "You sum over the pixels above and below alone; left and right count, too.",
            _with_message(lambda q: F.pad(q, (0, 0, 1, 1))[..., :-2, :] + F.pad(q, (0, 0, 1, 1))[..., 2:, :]),
        ),
        Mistake(
            "not normalised",
            "You leave out the division by the sum over the labels; probabilities sum to 1.",
            _not_normalised,
        ),
        Mistake(
            "normalised over the pixels",
            "You take the softmax over the pixels; it goes over the labels.",
            _with_update(lambda q, near, u, w: (w * near - u).flatten(2).softmax(2).view_as(q)),
        ),
        Mistake(
            "one pixel after the other",
            "You use pixels that were already updated in the same round; here all change at once.",
            _one_after_the_other,
        ),
        Mistake(
            "damped",
            "You mix the old and the new probabilities; that can stop them from blinking, and is not asked for here.",
            _with_update(lambda q, near, u, w: 0.5 * q + 0.5 * (w * near - u).softmax(1)),
        ),
        Mistake(
            "weight on the unary",
            "You multiply the unary by the weight; it belongs to the neighbours.",
            _with_update(lambda q, near, u, w: (near - w * u).softmax(1)),
        ),
        Mistake(
            "hard labels",
            "You send the neighbours' likeliest labels; their probabilities are sent, so that the unsure count less.",
            _with_message(lambda q: neighbour_sum(F.one_hot(q.argmax(1), q.shape[1]).movedim(-1, 1).to(q))),
        ),
        Mistake(
            "one round too many",
            "You do one round more than rounds says; after none, q comes back.",
            lambda q, unary, weight, rounds: mean_field(q, unary, weight, rounds + 1),
        ),
    ),
)


# gaussian_crf


def _symmetric(n, g, share=1.0):
    """Weights (n, n), at least 0, symmetric with a zero diagonal; a share of the pairs is joined."""
    w = torch.rand(n, n, generator=g) * (torch.rand(n, n, generator=g) < share)
    w = w.triu(1)
    return w + w.T


def _gaussian_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def drawn(label, n, lam, share=1.0):
        return Case(label, (torch.randn(n, generator=g) + 0.5, _symmetric(n, g, share), lam), gradients=(0,))

    pair = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    chain = 0.5 * torch.eye(5).roll(1, 0).triu(-1).tril(1)
    return [
        Case("two values joined by 1", (torch.tensor([0.0, 3.0]), pair, 0.7), gradients=(0,)),
        Case(
            "a chain of five",
            (torch.tensor([1.0, -2.0, 0.5, 4.0, 0.0]), chain + chain.T, 2.5),
            gradients=(0,),
        ),
        drawn("lam 0", 3, 0.0),
        drawn("all pairs, lam 0.6", 4, 0.6),
        drawn("half of the pairs, lam 3", 7, 3.0, 0.5),
        drawn("values without any neighbour among them", 6, 1.3, 0.2),
    ]


def _laplacian(weights):
    return weights.sum(1).diag() - weights


def _with_matrix(matrix):
    """Solves with another function (L, weights, lam) -> matrix in place of I + lam L."""
    return lambda u, weights, lam: torch.linalg.solve(matrix(_laplacian(weights), weights, lam), u)


def _identity(m):
    return torch.eye(len(m)).to(m)


def _by_eigenvectors(u, weights, lam):
    values, vectors = torch.linalg.eigh(_laplacian(weights))
    return vectors @ ((vectors.T @ u) / (1 + lam * values))


def _by_conjugate_gradients(u, weights, lam):
    a = _identity(weights).double() + lam * _laplacian(weights.double())
    x, r = torch.zeros_like(u, dtype=torch.float64), u.double()
    p = r
    for _ in range(2 * len(u)):
        if r.detach().square().sum() < 1e-24:
            break
        ap = a @ p
        step = (r @ r) / (p @ ap)
        x, new = x + step * p, r - step * ap
        p, r = new + (new @ new) / (r @ r) * p, new
    return x


def _by_jacobi(u, weights, lam):
    """Each value again and again becomes the mean that its gradient asks for."""
    x, degree = u.double(), weights.double().sum(1)
    for _ in range(600):
        x = (u.double() + lam * weights.double() @ x) / (1 + lam * degree)
    return x


def _normalised(laplacian, weights, lam):
    return _identity(weights) + lam * laplacian / weights.sum(1, keepdim=True).clamp(min=1e-6)


GAUSSIAN = Exercise(
    name="gaussian_crf",
    lesson=33,
    points=3,
    minutes=20,
    differentiable=True,
    docstring="""The x that makes  |x - u|^2 + lam * (sum over pairs i < j of weights[i, j] (x_i - x_j)^2)  least: (I + lam L) x = u.

u: (n,), what was observed. weights: (n, n), symmetric, at least 0, zero diagonal: how strongly i and j are to agree.
lam: number, at least 0. The Laplacian L = diag(row sums of weights) - weights. Returns x, (n,).""",
    reference=gaussian_crf,
    cases=_gaussian_cases,
    alternatives={
        "the inverse": lambda u, weights, lam: torch.linalg.inv(_identity(u) + lam * _laplacian(weights)) @ u,
        "eigenvectors": _by_eigenvectors,
        "Cholesky": lambda u, weights, lam: torch.cholesky_solve(
            u[:, None], torch.linalg.cholesky(torch.diag(1 + lam * weights.sum(0)) - lam * weights)
        )[:, 0],
        "conjugate gradients, float64": _by_conjugate_gradients,
        "Jacobi's iteration, float64": _by_jacobi,
    },
    mistakes=(
        Mistake(
            "weights for the Laplacian",
            "You put the weights themselves where the Laplacian belongs: diag(row sums) minus the weights.",
            _with_matrix(lambda laplacian, weights, lam: _identity(weights) + lam * weights),
        ),
        Mistake(
            "minus sign forgotten",
            "You add the weights to their row sums, which pulls neighbours apart; L has them with a minus.",
            _with_matrix(
                lambda laplacian, weights, lam: _identity(weights) + lam * (weights.sum(1).diag() + weights),
            ),
        ),
        Mistake(
            "row sums forgotten",
            "You subtract the weights and leave the row sums out, so that a constant does not stay as it is.",
            lambda u, weights, lam: torch.linalg.lstsq(_identity(weights) - lam * weights, u[:, None]).solution[:, 0],
        ),
        Mistake(
            "neighbours forgotten",
            "You keep the row sums and leave the weights out, so that each value shrinks towards 0 by itself.",
            _with_matrix(lambda laplacian, weights, lam: _identity(weights) + lam * weights.sum(1).diag()),
        ),
        Mistake(
            "edges counted twice",
            "You count each pair twice; the sum goes over pairs i < j.",
            _with_matrix(lambda laplacian, weights, lam: _identity(weights) + 2 * lam * laplacian),
        ),
        Mistake(
            "half of lam",
            "You lose a factor of 2 of one term's gradient: both squares have one, and it cancels.",
            _with_matrix(lambda laplacian, weights, lam: _identity(weights) + lam / 2 * laplacian),
        ),
        Mistake(
            "lam forgotten",
            "You leave lam out, so that the neighbours always count the same.",
            _with_matrix(lambda laplacian, weights, lam: _identity(weights) + laplacian),
        ),
        Mistake(
            "lam on the observation",
            "You multiply the identity by lam; it belongs to the Laplacian.",
            lambda u, weights, lam: torch.linalg.solve((lam + 1e-6) * _identity(weights) + _laplacian(weights), u),
        ),
        Mistake(
            "multiplied, not solved",
            "You multiply u by the matrix; x is what the matrix makes into u, so solve.",
            lambda u, weights, lam: (_identity(weights) + lam * _laplacian(weights)) @ u,
        ),
        Mistake(
            "one step of smoothing",
            "You take one step from u down the gradient; the minimum is the solution of the whole system.",
            lambda u, weights, lam: u - lam * _laplacian(weights) @ u,
        ),
        Mistake(
            "neighbours' u",
            "You average each value with its neighbours' observations once; the neighbours' x stand in the equation, not their u.",
            lambda u, weights, lam: (u + lam * weights @ u) / (1 + lam * weights.sum(1)),
        ),
        Mistake(
            "normalised Laplacian",
            "You divide the Laplacian by the row sums, which is another energy and does not keep the mean.",
            _with_matrix(_normalised),
        ),
        Mistake(
            "neighbours counted",
            "You put the number of neighbours on the diagonal; it is the sum of their weights.",
            _with_matrix(
                lambda laplacian, weights, lam: _identity(weights) + lam * ((weights > 0).sum(1).diag() - weights),
            ),
        ),
        Mistake(
            "weights squared",
            "You square the weights; the difference is squared, the weight is not.",
            _with_matrix(lambda laplacian, weights, lam: _identity(weights) + lam * _laplacian(weights**2)),
        ),
        Mistake(
            "observation forgotten on the right",
            "You put the neighbours' mean of u on the right; u itself stands there.",
            lambda u, weights, lam: torch.linalg.solve(
                _identity(weights) + lam * _laplacian(weights),
                weights @ u / weights.sum(1).clamp(min=1e-6),
            ),
        ),
    ),
)


# weight_for_a_pair: 5 labels, a tenth of the pixels drawn anew: a wrong pixel costs log(1 + 5 * 9) = log 46

COST = math.log(46)


def weight_for_a_pair():
    """Two wrong pixels side by side: 6 unlike pairs at w each against 2 costs of log 46."""
    return 2 * math.log(1 + 5 * (1 - 0.1) / 0.1) / 6


def _pair_by_search():
    """The least weight at which the constant map is no dearer, by halving an interval."""
    right, wrong = 0.9 + 0.1 / 5, 0.1 / 5
    low, high = 0.0, 10.0
    for _ in range(60):
        w = (low + high) / 2
        kept = -2 * math.log(right) + 6 * w  # the two unlike labels stay
        low, high = (w, high) if kept < -2 * math.log(wrong) else (low, w)
    return high


PAIR = Exercise(
    name="weight_for_a_pair",
    lesson=33,
    points=2,
    minutes=12,
    docstring="""The weight from which a random field removes two wrong pixels: one number, worked out by hand.

A label map has 5 labels. A tenth of its pixels, chosen at random, were drawn anew, each of the 5 labels being equally likely there; the
unaries are minus the logarithms of the resulting probabilities. Far from the border, in an area of one label, two neighbours have both
become the same wrong label. A pair of unlike neighbours (four neighbours for each pixel) costs w. From which w on is the map of least
energy the one in which both pixels have the label of their surroundings? To four decimals or more, in nats.""",
    reference=weight_for_a_pair,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={
        "by search": _pair_by_search,
        "rounded to four decimals": lambda: 1.2762,
        "a tensor": lambda: torch.tensor(46.0).log() / 3,
    },
    mistakes=(
        Mistake(
            "a single pixel",
            "You compute the weight for a single wrong pixel, four pairs against one cost; there are two pixels here.",
            lambda: COST / 4,
        ),
        Mistake(
            "one after the other",
            "You let one of the two pixels change alone, three pairs saved and one made; the map of least energy may change both.",
            lambda: COST / 2,
        ),
        Mistake("one cost", "You pay for one pixel; both leave the label that was observed.", lambda: COST / 6),
        Mistake(
            "seven pairs",
            "You count the pair between the two as unlike; they have the same label.",
            lambda: 2 * COST / 7,
        ),
        Mistake(
            "ratio of the shares",
            "You take log(0.9 / 0.1); a pixel that was drawn anew may get its own label back, and the wrong ones share the rest.",
            lambda: math.log(9) / 3,
        ),
        Mistake(
            "drawn from the four others",
            "You let a pixel that is drawn anew get one of the four other labels; all five are equally likely.",
            lambda: math.log(36) / 3,
        ),
        Mistake(
            "logarithm of the wrong label alone",
            "You take -log of the wrong label's probability; the right label's cost is to be subtracted.",
            lambda: math.log(50) / 3,
        ),
        Mistake("decimal logarithm", "You take the decimal logarithm; costs are in nats.", lambda: math.log10(46) / 3),
        Mistake("binary logarithm", "You take the binary logarithm; costs are in nats.", lambda: math.log2(46) / 3),
        Mistake(
            "all eight neighbours",
            "You count the diagonal neighbours, too; each pixel has four.",
            lambda: 2 * COST / 14,
        ),
    ),
)

EXERCISES = (UNARY, FIELD, GAUSSIAN, PAIR)
