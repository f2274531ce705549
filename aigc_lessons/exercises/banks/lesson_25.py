"""The exercises of lesson 25: the Wasserstein critic, its gradient penalty, the hinge loss, spectral normalisation."""

import torch
import torch.nn.functional as F

from ...losses import critic_loss, discriminator_loss, gradient_penalty, hinge_discriminator_loss
from ...ops import spectral_norm
from ..engine import Case, Exercise, Mistake, Pair

# critic_loss


def _score_cases(seed):
    """Scores on both sides of 0 and of the hinge's margins; never exactly on a margin, where the hinge has no gradient."""
    g = torch.Generator().manual_seed(seed)

    def case(label, real, fake):
        return Case(label, (torch.as_tensor(real), torch.as_tensor(fake)), gradients=(0, 1))

    def drawn(*shape):
        return torch.randn(*shape, generator=g) * 2

    return [
        case("one real, one fake", [0.5], [0.25]),
        case("two real, three fakes", [2.0, -0.5], [0.5, -3.0, 4.0]),
        case("scores of 10 and -10", [10.0, -10.0, 0.5], [-10.0, 10.0]),
        case("sure and right", [3.0, 2.0, 10.0], [-2.0, -10.0]),
        case("sure and wrong", [-10.0, -2.0], [10.0, 3.0, 2.0]),
        case("five real, three fakes", drawn(5), drawn(3)),
        case("four real, seven fakes", drawn(4) + 1, drawn(7) - 1),
        case("a score for each patch of a picture", drawn(3, 1, 2, 4), drawn(2, 1, 4, 5) + 0.5),
    ]


def _mean_by_loop(scores):
    """float64, one score at a time."""
    return sum(scores.double().flatten().unbind()) / scores.numel()


def _weighted(real, fake):
    """Both mean scores in one dot product, 1 / N for each of N fakes and -1 / M for each of M real ones."""
    weights = torch.cat([torch.full((fake.numel(),), 1 / fake.numel()), torch.full((real.numel(),), -1 / real.numel())])
    return weights @ torch.cat([fake.flatten(), real.flatten()])


def _in_pairs(real_scores, fake_scores):
    """Both cut to the length of the shorter one."""
    real, fake = real_scores.flatten(), fake_scores.flatten()
    n = min(len(real), len(fake))
    return real[:n], fake[:n]


CRITIC = Exercise(
    name="critic_loss",
    lesson=25,
    points=1,
    minutes=4,
    differentiable=True,
    docstring="""What a Wasserstein critic minimises: the mean score of the fakes minus the mean score of the real ones.

real_scores, fake_scores: any shapes, which may differ: (N,) and (M,), or one score for each patch of a picture.
Scores are any real numbers. Returns a scalar in the units of the scores; it may be negative.""",
    reference=critic_loss,
    cases=_score_cases,
    alternatives={
        "sum over count": lambda real_scores, fake_scores: (
            fake_scores.sum() / fake_scores.numel() - real_scores.sum() / real_scores.numel()
        ),
        "one at a time, float64": lambda real_scores, fake_scores: (
            _mean_by_loop(fake_scores) - _mean_by_loop(real_scores)
        ),
        "a dot product": _weighted,
        "every pair": lambda real_scores, fake_scores: (fake_scores.reshape(-1, 1) - real_scores.reshape(1, -1)).mean(),
        "linear loss with labels -1 and 1": lambda real_scores, fake_scores: sum(
            (label * scores).mean() for label, scores in ((-1, real_scores), (1, fake_scores))
        ),
    },
    mistakes=(
        Mistake(
            "the critic's gain",
            "You return what the critic maximises, real minus fake; a loss is minimised, so exchange the two.",
            lambda real_scores, fake_scores: critic_loss(fake_scores, real_scores),
        ),
        Mistake(
            "sum over the batch",
            "You add up the scores; take the mean of each batch.",
            lambda real_scores, fake_scores: fake_scores.sum() - real_scores.sum(),
        ),
        Mistake(
            "one count for both",
            "You divide both sums by the number of all scores; each batch is divided by its own.",
            lambda real_scores, fake_scores: (
                (fake_scores.sum() - real_scores.sum()) / (fake_scores.numel() + real_scores.numel())
            ),
        ),
        Mistake(
            "half",
            "You take half of the difference; it is the difference itself.",
            lambda real_scores, fake_scores: critic_loss(real_scores, fake_scores) / 2,
        ),
        Mistake(
            "means added",
            "You add the two means; the real one is subtracted.",
            lambda real_scores, fake_scores: fake_scores.mean() + real_scores.mean(),
        ),
        Mistake(
            "cross-entropy",
            "You use a discriminator's cross-entropy; a critic's scores are used as they are, without any log.",
            discriminator_loss,
        ),
        Mistake(
            "sigmoid first",
            "You send the scores through a sigmoid; a critic's scores are no probabilities.",
            lambda real_scores, fake_scores: critic_loss(real_scores.sigmoid(), fake_scores.sigmoid()),
        ),
        Mistake(
            "hinge",
            "You use the hinge loss, which stops at a margin; here every score counts, however large.",
            hinge_discriminator_loss,
        ),
        Mistake(
            "scores clipped",
            "You clip the scores; weight clipping clips the critic's weights, after its step.",
            lambda real_scores, fake_scores: critic_loss(real_scores.clamp(-1, 1), fake_scores.clamp(-1, 1)),
        ),
        Mistake(
            "absolute value",
            "You take the absolute value of the difference, so a critic that has it backwards looks good.",
            lambda real_scores, fake_scores: critic_loss(real_scores, fake_scores).abs(),
        ),
        Mistake(
            "squared",
            "You square the difference; it stays as it is.",
            lambda real_scores, fake_scores: critic_loss(real_scores, fake_scores).square(),
        ),
        Mistake(
            "least squares",
            "You compare with the targets 1 and 0 by squares, as a least-squares GAN does; a critic has no targets.",
            lambda real_scores, fake_scores: (real_scores - 1).square().mean() + fake_scores.square().mean(),
        ),
        Mistake(
            "fakes only",
            "You leave out the real scores.",
            lambda real_scores, fake_scores: fake_scores.mean() + 0 * real_scores.sum(),
        ),
        Mistake(
            "real ones only",
            "You leave out the scores of the fakes.",
            lambda real_scores, fake_scores: -real_scores.mean() + 0 * fake_scores.sum(),
        ),
        Mistake(
            "cut to pairs",
            "You pair real and fake scores and drop what is left over; the two batches may differ in size.",
            lambda real_scores, fake_scores: critic_loss(*_in_pairs(real_scores, fake_scores)),
        ),
    ),
    pairs=(
        Pair(
            "the critic's gain",
            "sum over the batch",
            lambda real_scores, fake_scores: real_scores.sum() - fake_scores.sum(),
        ),
        Pair(
            "the critic's gain",
            "sigmoid first",
            lambda real_scores, fake_scores: critic_loss(fake_scores.sigmoid(), real_scores.sigmoid()),
        ),
        Pair(
            "means added", "sum over the batch", lambda real_scores, fake_scores: fake_scores.sum() + real_scores.sum()
        ),
    ),
)


# gradient_penalty


def _penalty_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, scale, shape, hidden, scores=()):
        """A critic whose weights are scaled so that scale(smallest slope, largest slope) is 1. scores: their axes after N."""
        size = torch.Size(shape[1:]).numel()
        weight, bias = torch.randn(hidden, size, generator=g) / size**0.5, torch.randn(hidden, generator=g) / 2
        last = torch.randn(hidden, *scores, generator=g)
        real, fake, t = (
            torch.randn(shape, generator=g),
            torch.randn(shape, generator=g) - 0.5,
            torch.rand(shape[0], generator=g),
        )
        slopes = _with_critic(_slopes, weight, bias, last, real, fake, t)
        last = last / scale(slopes.min().item(), slopes.max().item())
        return Case(label, (weight, bias, last, real, fake, t), gradients=(0, 1, 2))

    flat, steep, about_1 = lambda low, high: 2 * high, lambda low, high: low / 2, lambda low, high: (low * high) ** 0.5
    one = [torch.tensor(v) for v in ([[1.0]], [0.0], [1.0], [[2.0]], [[0.0]], [0.25])]
    two = [
        torch.tensor(v)
        for v in (
            [[1.0, 0.0], [0.0, 1.0]],
            [0.0, 0.0],
            [0.4, 0.6],
            [[2.0, 0.0], [0.0, 2.0]],
            [[0.0, 0.0], [0.0, -2.0]],
            [0.25, 0.75],
        )
    ]
    return [
        Case("one number, score h + h^3 / 3: at 0.5 the slope is 1.25", tuple(one), gradients=(0, 1, 2)),
        Case("two points in the plane, one flat, one steep", tuple(two), gradients=(0, 1, 2)),
        case("vectors, all slopes below 1", flat, (5, 3), 4),
        case("vectors, all slopes above 1", steep, (4, 6), 5),
        case("vectors, slopes on both sides of 1", about_1, (7, 2), 3),
        case("pictures, all slopes below 1", flat, (3, 2, 4, 5), 6),
        case("pictures, slopes on both sides of 1", about_1, (5, 3, 2, 4), 7),
        case("pictures, scores of shape (N, 1)", about_1, (4, 3, 5, 2), 6, scores=(1,)),
    ]


def _with_critic(function, hidden_weight, hidden_bias, last_weight, real, fake, t):
    """Call with the critic h + h^3 / 3, weighted by last_weight, where h = hidden_weight x + hidden_bias."""

    def critic(x):
        h = x.flatten(1) @ hidden_weight.T + hidden_bias
        return (h + h**3 / 3) @ last_weight

    return function(critic, real, fake, t)


def _points(real, fake, t):
    t = t.reshape(-1, *[1] * (real.ndim - 1))
    return (t * real + (1 - t) * fake).requires_grad_()


def _slopes(critic, real, fake, t, norm=lambda gradient: gradient.flatten(1).norm(dim=1)):
    """The norms of the critic's gradients at the points between, (N,)."""
    points = _points(real, fake, t)
    return norm(torch.autograd.grad(critic(points).sum(), points, create_graph=True)[0])


def _penalty_by_the_papers_recipe(critic, real, fake, t):
    points = torch.lerp(fake, real, t.reshape(-1, *[1] * (real.ndim - 1))).requires_grad_()
    scores = critic(points)
    gradient = torch.autograd.grad(scores, points, torch.ones_like(scores), create_graph=True, retain_graph=True)[0]
    return ((gradient.reshape(len(real), -1).square().sum(1).sqrt() - 1) ** 2).mean()


def _penalty_one_by_one(critic, real, fake, t):
    total = 0
    for x, y, s in zip(real, fake, t):
        point = (s * x + (1 - s) * y)[None].requires_grad_()
        (gradient,) = torch.autograd.grad(critic(point).squeeze(), point, create_graph=True)
        total = total + (gradient.square().sum().sqrt() - 1).square()
    return total / len(real)


def _penalty_by_vmap(critic, real, fake, t):
    """torch.func: the gradient of one point's score, mapped over the batch."""
    slope = torch.func.grad(lambda point: critic(point[None]).sum())
    gradient = torch.func.vmap(slope)(_points(real, fake, t))
    return torch.linalg.vector_norm(gradient.flatten(1), dim=1).sub(1).square().mean()


def _penalty_by_jacobian(critic, real, fake, t):
    points = _points(real, fake, t)
    jacobian = torch.autograd.functional.jacobian(lambda x: critic(x).flatten(), points, create_graph=True)
    own = torch.stack([jacobian[i, i].flatten() for i in range(len(points))])  # a point moves its own score alone
    return F.mse_loss(torch.einsum("nd,nd->n", own, own).sqrt(), torch.ones(len(points)))


def _penalty_multiplied_out(critic, real, fake, t):
    """Mean of n^2 - 2 n + 1."""
    slopes = _slopes(critic, real, fake, t)
    return slopes.square().mean() - 2 * slopes.mean() + 1


def _penalty_mean_score(critic, real, fake, t):
    points = _points(real, fake, t)
    (gradient,) = torch.autograd.grad(critic(points).mean(), points, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def _penalty_t_not_reshaped(critic, real, fake, t):
    points = (t * real + (1 - t) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def _penalty_without_graph(critic, real, fake, t):
    points = _points(real, fake, t)
    (gradient,) = torch.autograd.grad(critic(points).sum(), points)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def _channel_norm(gradient):
    return gradient.norm(dim=1)


PENALTY = Exercise(
    name="gradient_penalty",
    lesson=25,
    points=4,
    minutes=20,
    differentiable=True,
    docstring="""Mean of (|g| - 1)^2, where g is the gradient of the critic's score at a point between a real and a fake sample.

critic: function (N, ...) -> (N,) or (N, 1) scores; the score of a sample depends on that sample alone.
real, fake: (N, ...) of one shape, vectors (N, D) or pictures (N, C, H, W). t: (N,) in [0, 1], one number for each sample,
drawn by the caller; the points are t * real + (1 - t) * fake. |g| is the Euclidean norm over all elements of a sample.
Returns a scalar: the mean over the N samples, differentiable in the critic's weights (gradients of a gradient).""",
    reference=gradient_penalty,
    cases=_penalty_cases,
    call=_with_critic,
    alternatives={
        "the paper's recipe, written out": _penalty_by_the_papers_recipe,
        "one sample at a time": _penalty_one_by_one,
        "the library's vmap of grad": _penalty_by_vmap,
        "the whole Jacobian": _penalty_by_jacobian,
        "the square multiplied out": _penalty_multiplied_out,
    },
    mistakes=(
        Mistake(
            "real and fake exchanged",
            "You weight the fakes with t and the real ones with 1 - t; it is the other way round.",
            lambda critic, real, fake, t: gradient_penalty(critic, fake, real, t),
        ),
        Mistake(
            "own t",
            "You draw t yourself; use the one that is given, so that the randomness is the caller's.",
            lambda critic, real, fake, t: gradient_penalty(critic, real, fake, torch.rand(len(real))),
        ),
        Mistake(
            "t from a normal distribution",
            "You draw t from a normal distribution, which puts most points outside the segment between "
            "real and fake; use the t that is given.",
            lambda critic, real, fake, t: gradient_penalty(critic, real, fake, torch.randn(len(real))),
        ),
        Mistake(
            "one t for all",
            "You use the first t for the whole batch; each sample has its own.",
            lambda critic, real, fake, t: gradient_penalty(critic, real, fake, t[:1].expand_as(t)),
        ),
        Mistake(
            "t along the wrong axis",
            "You multiply with t as it is, which lines it up with the last axis; give it the shape (N, 1, ...), "
            "as many axes as real has.",
            _penalty_t_not_reshaped,
        ),
        Mistake(
            "at the real samples",
            "You take the gradient at the real samples; take it at the points between real and fake.",
            lambda critic, real, fake, t: gradient_penalty(critic, real, fake, torch.ones_like(t)),
        ),
        Mistake(
            "at the fakes",
            "You take the gradient at the fakes; take it at the points between real and fake.",
            lambda critic, real, fake, t: gradient_penalty(critic, real, fake, torch.zeros_like(t)),
        ),
        Mistake(
            "norm of the whole batch",
            "You take one norm over the whole batch; each sample has its own.",
            lambda critic, real, fake, t: (_slopes(critic, real, fake, t, torch.norm) - 1).square(),
        ),
        Mistake(
            "norm over the channels",
            "You take the norm over dim=1 only, which in a picture is the channels; flatten each sample first.",
            lambda critic, real, fake, t: (_slopes(critic, real, fake, t, _channel_norm) - 1).square().mean(),
        ),
        Mistake(
            "no root",
            "You compare the squared norm with 1; take the root first.",
            lambda critic, real, fake, t: (_slopes(critic, real, fake, t).square() - 1).square().mean(),
        ),
        Mistake(
            "no square",
            "You take the mean of |g| - 1, where steep and flat cancel; square each difference.",
            lambda critic, real, fake, t: (_slopes(critic, real, fake, t) - 1).mean(),
        ),
        Mistake(
            "absolute difference",
            "You take the absolute value of |g| - 1; take its square.",
            lambda critic, real, fake, t: (_slopes(critic, real, fake, t) - 1).abs().mean(),
        ),
        Mistake(
            "pulled to 0",
            "You pull the norm to 0; subtract 1 before the square.",
            lambda critic, real, fake, t: _slopes(critic, real, fake, t).square().mean(),
        ),
        Mistake(
            "one-sided",
            "You only punish norms above 1; those below are pulled up as well.",
            lambda critic, real, fake, t: F.relu(_slopes(critic, real, fake, t) - 1).square().mean(),
        ),
        Mistake(
            "mean norm first",
            "You take the mean of the norms and compare that with 1; compare each norm, then take the mean.",
            lambda critic, real, fake, t: (_slopes(critic, real, fake, t).mean() - 1).square(),
        ),
        Mistake(
            "gradient of the mean score",
            "You take the gradient of the mean score, which makes each sample's gradient N times too "
            "small; take that of the sum.",
            _penalty_mean_score,
        ),
        Mistake(
            "sum over the batch",
            "You add up the batch; take its mean.",
            lambda critic, real, fake, t: (_slopes(critic, real, fake, t) - 1).square().sum(),
        ),
        Mistake(
            "sum of absolute values",
            "You add up the absolute values of the gradient; its norm is the root of the sum of squares.",
            lambda critic, real, fake, t: (
                (_slopes(critic, real, fake, t, lambda g: g.flatten(1).abs().sum(1)) - 1).square().mean()
            ),
        ),
        Mistake(
            "create_graph forgotten",
            "You leave out create_graph=True, so no gradient of the penalty reaches the critic's weights.",
            _penalty_without_graph,
        ),
        Mistake(
            "weighted already",
            "You multiply by the penalty's weight of 10, which belongs to the critic's whole loss.",
            lambda critic, real, fake, t: 10 * gradient_penalty(critic, real, fake, t),
        ),
    ),
    pairs=(
        Pair(
            "real and fake exchanged",
            "sum over the batch",
            lambda critic, real, fake, t: (_slopes(critic, fake, real, t) - 1).square().sum(),
        ),
        Pair(
            "no root",
            "sum over the batch",
            lambda critic, real, fake, t: (_slopes(critic, real, fake, t).square() - 1).square().sum(),
        ),
        Pair(
            "pulled to 0",
            "sum over the batch",
            lambda critic, real, fake, t: _slopes(critic, real, fake, t).square().sum(),
        ),
        Pair(
            "norm over the channels",
            "sum over the batch",
            lambda critic, real, fake, t: (_slopes(critic, real, fake, t, _channel_norm) - 1).square().sum(),
        ),
    ),
)


# hinge_discriminator_loss


def _relu_by_where(x):
    return torch.where(x > 0, x, 0 * x)


def _hinge_one_by_one(real_scores, fake_scores):
    real = [1 - s for s in real_scores.double().flatten() if s < 1]
    fake = [1 + s for s in fake_scores.double().flatten() if s > -1]
    zero = 0 * real_scores.sum() + 0 * fake_scores.sum()
    return sum(real, start=zero) / real_scores.numel() + sum(fake, start=zero) / fake_scores.numel()


def _hinge_by_the_library(real_scores, fake_scores):
    """The margin loss for label 1 asks for x > 0, with a margin of 1."""
    return sum(
        F.margin_ranking_loss(scores, 0 * scores, torch.full_like(scores, label), margin=1.0)
        for scores, label in ((real_scores, 1), (fake_scores, -1))
    )


HINGE = Exercise(
    name="hinge_discriminator_loss",
    lesson=25,
    points=2,
    minutes=6,
    differentiable=True,
    docstring="""Real scores are to lie above 1 and fake ones below -1; what lies beyond its margin costs nothing and pulls no more.

real_scores, fake_scores: any shapes, which may differ: (N,) and (M,), or one score for each patch of a picture.
A real score s costs max(0, 1 - s), a fake one max(0, 1 + s).
Returns a scalar in the units of the scores, at least 0: the mean cost of the real ones plus the mean cost of the fakes.""",
    reference=hinge_discriminator_loss,
    cases=_score_cases,
    alternatives={
        "the library": _hinge_by_the_library,
        "clamp": lambda real_scores, fake_scores: (
            (1 - real_scores).clamp(min=0).mean() + (1 + fake_scores).clamp(min=0).mean()
        ),
        "as the paper writes it": lambda real_scores, fake_scores: (
            -(
                torch.minimum(0 * real_scores, real_scores - 1).mean()
                + torch.minimum(0 * fake_scores, -fake_scores - 1).mean()
            )
        ),
        "where": lambda real_scores, fake_scores: (
            _relu_by_where(1 - real_scores).mean() + _relu_by_where(1 + fake_scores).mean()
        ),
        "one at a time, float64": _hinge_one_by_one,
    },
    mistakes=(
        Mistake(
            "real and fake exchanged",
            "You push real scores down and fake ones up: a real score s costs max(0, 1 - s), a fake one max(0, 1 + s).",
            lambda real_scores, fake_scores: hinge_discriminator_loss(fake_scores, real_scores),
        ),
        Mistake(
            "no margin",
            "You let the cost begin at 0; it begins at 1 for real scores and at -1 for fake ones.",
            lambda real_scores, fake_scores: F.relu(-real_scores).mean() + F.relu(fake_scores).mean(),
        ),
        Mistake(
            "a margin of 2",
            "You use a margin of 2; it is 1.",
            lambda real_scores, fake_scores: F.relu(2 - real_scores).mean() + F.relu(2 + fake_scores).mean(),
        ),
        Mistake(
            "no hinge",
            "You leave out max(0, ...), so scores beyond their margin go on pulling.",
            lambda real_scores, fake_scores: (1 - real_scores).mean() + (1 + fake_scores).mean(),
        ),
        Mistake(
            "mean before the hinge",
            "You take the mean before max(0, ...), where one very good score hides the bad ones; the hinge comes "
            "first.",
            lambda real_scores, fake_scores: F.relu(1 - real_scores.mean()) + F.relu(1 + fake_scores.mean()),
        ),
        Mistake(
            "minimum",
            "You take the smaller of 0 and the cost; take the larger.",
            lambda real_scores, fake_scores: (
                (1 - real_scores).clamp(max=0).mean() + (1 + fake_scores).clamp(max=0).mean()
            ),
        ),
        Mistake(
            "to be maximised",
            "Your sign is that of the value the paper maximises; a loss is minimised.",
            lambda real_scores, fake_scores: -hinge_discriminator_loss(real_scores, fake_scores),
        ),
        Mistake(
            "half",
            "You take half of the sum; it is the sum of the two means.",
            lambda real_scores, fake_scores: hinge_discriminator_loss(real_scores, fake_scores) / 2,
        ),
        Mistake(
            "sum over the batch",
            "You add up the batch; take the mean over the real ones plus the mean over the fakes.",
            lambda real_scores, fake_scores: F.relu(1 - real_scores).sum() + F.relu(1 + fake_scores).sum(),
        ),
        Mistake(
            "one mean over everything",
            "You take one mean over real and fake together; each has a mean of its own, and the two are added.",
            lambda real_scores, fake_scores: torch.cat(
                [F.relu(1 - real_scores).flatten(), F.relu(1 + fake_scores).flatten()]
            ).mean(),
        ),
        Mistake(
            "squared",
            "You square the cost; it grows in a straight line.",
            lambda real_scores, fake_scores: (
                F.relu(1 - real_scores).square().mean() + F.relu(1 + fake_scores).square().mean()
            ),
        ),
        Mistake(
            "rounded off",
            "You use softplus in place of max(0, ...), so scores beyond their margin still cost something.",
            lambda real_scores, fake_scores: F.softplus(1 - real_scores).mean() + F.softplus(1 + fake_scores).mean(),
        ),
        Mistake(
            "leaky",
            "You use a leaky ReLU, as inside the network; beyond the margin the cost is 0.",
            lambda real_scores, fake_scores: (
                F.leaky_relu(1 - real_scores, 0.2).mean() + F.leaky_relu(1 + fake_scores, 0.2).mean()
            ),
        ),
        Mistake(
            "cross-entropy",
            "You use the cross-entropy of a usual discriminator; the hinge is max(0, 1 - s) and max(0, 1 + s).",
            discriminator_loss,
        ),
        Mistake("a critic's loss", "You use the Wasserstein critic's loss, which has no margin.", critic_loss),
        Mistake(
            "real ones only",
            "You leave out the fakes.",
            lambda real_scores, fake_scores: F.relu(1 - real_scores).mean() + 0 * fake_scores.sum(),
        ),
    ),
    pairs=(
        Pair(
            "real and fake exchanged",
            "half",
            lambda real_scores, fake_scores: hinge_discriminator_loss(fake_scores, real_scores) / 2,
        ),
        Pair(
            "real and fake exchanged",
            "sum over the batch",
            lambda real_scores, fake_scores: F.relu(1 + real_scores).sum() + F.relu(1 - fake_scores).sum(),
        ),
        Pair(
            "no margin",
            "half",
            lambda real_scores, fake_scores: (F.relu(-real_scores).mean() + F.relu(fake_scores).mean()) / 2,
        ),
        Pair(
            "real and fake exchanged",
            "no margin",
            lambda real_scores, fake_scores: F.relu(real_scores).mean() + F.relu(-fake_scores).mean(),
        ),
    ),
)


# spectral_norm


def _norm_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, weight, u, iterations):
        return Case(label, (torch.as_tensor(weight), torch.as_tensor(u), iterations), gradients=(0,))

    def drawn(rows, columns, iterations):
        return case(
            f"{rows}x{columns}, iterations = {iterations}",
            torch.randn(rows, columns, generator=g),
            torch.randn(rows, generator=g) * 2,
            iterations,
        )

    return [
        case("a diagonal matrix, one round", [[2.0, 0.0], [0.0, 1.0]], [1.0, 1.0], 1),
        case("one row: exact at once", [[3.0, 4.0]], [-2.0], 1),
        case("three rows, two columns, two rounds", [[1.0, 2.0], [0.0, 1.0], [-1.0, 0.0]], [1.0, 0.0, 0.0], 2),
        drawn(3, 5, 1),
        drawn(6, 4, 2),
        drawn(2, 7, 3),
        drawn(4, 4, 2),
        drawn(5, 3, 100),
    ]


def _unit(x):
    return x / x.square().sum().sqrt()


def _vectors(weight, u, iterations):
    """(u, v) after that many rounds, constants."""
    with torch.no_grad():
        for _ in range(iterations):
            v = _unit(weight.T @ u)
            u = _unit(weight @ v)
    return u, v


def _norm_detached_at_the_end(weight, u, iterations):
    for _ in range(iterations):
        v = _unit(torch.mv(weight.t(), u))
        u = _unit(torch.mv(weight, v))
    u, v = u.detach(), v.detach()
    return torch.dot(u, torch.mv(weight, v)), u


def _norm_by_length(weight, u, iterations):
    """|W v| with v constant has the value and the gradient of u W v."""
    u, v = _vectors(weight, u, iterations)
    return (weight @ v).norm(), u


def _norm_by_outer_product(weight, u, iterations):
    """In float64; the gradient is seen at a glance: it is u v^T."""
    u, v = _vectors(weight.double(), u.double(), iterations)
    return (weight * torch.outer(u, v)).sum(), u


def _norm_by_powers(weight, u, iterations):
    """All rounds at once, with powers of W W^T."""
    w = weight.detach().double()
    w = w / torch.linalg.matrix_norm(w, 2)  # so that a high power stays finite
    v = _unit(w.T @ torch.linalg.matrix_power(w @ w.T, iterations - 1) @ u.double())
    u = _unit(w @ v)
    return torch.einsum("o,oi,i->", u, weight.double(), v), u


def _norm_by_singular_vectors(weight, u, iterations):
    """Each round multiplies u's share of a singular vector by its singular value squared."""
    left, values, right = torch.linalg.svd(weight.detach().double(), full_matrices=False)
    values = values / values.max()
    v = _unit(right.T @ (values ** (2 * iterations - 1) * (left.T @ u.double())))
    u = _unit(left @ (values * (right @ v)))
    return u @ weight.double() @ v, u


def _norm_before_u_moves(weight, u, iterations):
    u_before, _ = _vectors(weight, u, iterations - 1) if iterations > 1 else (u, None)
    u, v = _vectors(weight, u, iterations)
    return u_before @ weight @ v, u


def _norm_v_not_normalised(weight, u, iterations):
    with torch.no_grad():
        for _ in range(iterations):
            v = weight.T @ u
            u = _unit(weight @ v)
    return u @ weight @ v, u


def _norm_u_not_normalised(weight, u, iterations):
    with torch.no_grad():
        for _ in range(iterations):
            v = _unit(weight.T @ u)
            u = weight @ v
    return u @ weight @ v, u


def _norm_sides_exchanged(weight, u, iterations):
    with torch.no_grad():
        for _ in range(iterations):
            v = _unit(weight @ u)
            u = _unit(weight.T @ v)
    return v @ weight @ u, u


def _norm_through_the_rounds(weight, u, iterations):
    for _ in range(iterations):
        v = _unit(weight.T @ u)
        u = _unit(weight @ v)
    return u @ weight @ v, u


def _norm_returns(change):
    """Mistakes in what is returned: change(weight, first u, sigma, u, v)."""

    def function(weight, u, iterations):
        after, v = _vectors(weight, u, iterations)
        return change(weight, u, after @ weight @ v, after, v)

    return function


SPECTRAL = Exercise(
    name="spectral_norm",
    lesson=25,
    points=3,
    minutes=12,
    differentiable=True,
    docstring="""A matrix's largest singular value, as far as a given number of rounds of power iteration finds it.

weight: (O, I), not all zeros. u: (O,), where to start; it need not have length 1. iterations: whole number, at least 1.
One round: v becomes W^T u divided by its length, then u becomes W v divided by its length, with W = weight.
Returns (sigma, u): the scalar u^T W v after the last round, and the u (O,) to go on from next time.
Gradients flow through sigma to weight with u and v held constant, and none through u.""",
    reference=spectral_norm,
    cases=_norm_cases,
    alternatives={
        "detached at the end": _norm_detached_at_the_end,
        "the length of W v": _norm_by_length,
        "an outer product, float64": _norm_by_outer_product,
        "powers of a matrix": _norm_by_powers,
        "singular vectors": _norm_by_singular_vectors,
    },
    mistakes=(
        Mistake(
            "one round only",
            "You go one round whatever `iterations` says.",
            lambda weight, u, iterations: spectral_norm(weight, u, 1),
        ),
        Mistake(
            "one round too many",
            "You go one round more than `iterations`.",
            lambda weight, u, iterations: spectral_norm(weight, u, iterations + 1),
        ),
        Mistake(
            "the exact value",
            "You return the exact largest singular value; return what this many rounds make of it, which is what "
            "makes the method cheap.",
            lambda weight, u, iterations: (
                torch.linalg.matrix_norm(weight, 2),
                spectral_norm(weight, u, iterations)[1],
            ),
        ),
        Mistake(
            "Frobenius norm",
            "You return the root of the sum of all squares, which counts every singular value and not the largest "
            "alone.",
            lambda weight, u, iterations: (weight.norm(), spectral_norm(weight, u, iterations)[1]),
        ),
        Mistake("v not normalised", "You do not divide v by its length.", _norm_v_not_normalised),
        Mistake("u not normalised", "You do not divide u by its length.", _norm_u_not_normalised),
        Mistake(
            "squared",
            "You return the largest eigenvalue of W^T W; the singular value is its root.",
            _norm_returns(lambda weight, start, sigma, u, v: (sigma.square(), u)),
        ),
        Mistake(
            "sides exchanged",
            "You multiply u by W and v by W^T, which fits square matrices only; v is W^T u and u is W v.",
            _norm_sides_exchanged,
        ),
        Mistake(
            "the u before",
            "You compute sigma with the u from before the last update; both vectors belong to the last round.",
            _norm_before_u_moves,
        ),
        Mistake(
            "the first u returned",
            "You return the u you were given, so the next call starts over; return the new one.",
            _norm_returns(lambda weight, start, sigma, u, v: (sigma, start.clone())),
        ),
        Mistake(
            "v returned",
            "You return v, of length I; return u, of length O.",
            _norm_returns(lambda weight, start, sigma, u, v: (sigma, v)),
        ),
        Mistake(
            "sigma alone",
            "You return sigma alone; return (sigma, u).",
            _norm_returns(lambda weight, start, sigma, u, v: sigma),
        ),
        Mistake(
            "the pair exchanged",
            "You return (u, sigma); sigma comes first.",
            _norm_returns(lambda weight, start, sigma, u, v: (u, sigma)),
        ),
        Mistake(
            "the divided weight",
            "You return the weight divided by sigma; return sigma itself, the layer divides.",
            _norm_returns(lambda weight, start, sigma, u, v: (weight / sigma, u)),
        ),
        Mistake(
            "own start",
            "You start from a vector of your own; start from the u that is given, so that rounds add up from call to call.",
            lambda weight, u, iterations: spectral_norm(weight, torch.randn(len(u)), iterations),
        ),
        Mistake(
            "gradient through the rounds",
            "You let gradients flow through the rounds; u and v are constants, so compute them under "
            "torch.no_grad() or detach them.",
            _norm_through_the_rounds,
        ),
    ),
    pairs=(
        Pair(
            "one round only",
            "the first u returned",
            lambda weight, u, iterations: (spectral_norm(weight, u, 1)[0], u.clone()),
        ),
        Pair(
            "squared",
            "the first u returned",
            _norm_returns(lambda weight, start, sigma, u, v: (sigma.square(), start.clone())),
        ),
    ),
)

EXERCISES = (CRITIC, PENALTY, HINGE, SPECTRAL)
