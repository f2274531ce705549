"""The exercises of lesson 13: cross-entropy, two optimizers, batch norm, a gradient by hand, a fault to find."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from ...losses import cross_entropy
from ...ops import adam_step, batch_norm, sgd_step
from ..engine import Case, Exercise, Mistake, Pair

# cross_entropy


def _entropy_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, logits, target):
        return Case(label, (torch.as_tensor(logits), torch.as_tensor(target)), gradients=(0,))

    def drawn(n, k, scale):
        return torch.randn(n, k, generator=g) * scale, torch.randint(k, (n,), generator=g)

    return [
        case("one row, two classes", [[1.0, 3.0]], [0]),
        case("two rows, three classes", [[1.0, 2.0, 4.0], [0.5, -1.0, 0.0]], [1, 0]),
        case("the same class in every row", [[1.0, 2.0, 4.0], [0.5, -1.0, 0.0]], [2, 2]),
        case(
            "logits of 200 and -200", [[200.0, -200.0, 0.0], [200.0, -200.0, 30.0], [-200.0, -190.0, -200.0]], [0, 1, 2]
        ),
        case("four rows, three classes", *drawn(4, 3, 2.0)),
        case("three rows, five classes", *drawn(3, 5, 1.0)),
        case(
            "large logits",
            torch.cat([drawn(5, 4, 40.0)[0], torch.tensor([[200.0, -200.0, 5.0, 0.0]])]),
            [0, 1, 2, 3, 0, 1],
        ),
    ]


def _entropy_by_shift(logits, target):
    shifted = logits - logits.max(dim=1, keepdim=True).values
    log_p = shifted - shifted.exp().sum(1, keepdim=True).log()
    return -log_p[torch.arange(len(target)), target].mean()


def _entropy_by_one_hot(logits, target):
    one_hot = F.one_hot(target, logits.shape[1]).to(logits)
    return -(one_hot * logits.log_softmax(1)).sum() / len(logits)


def _entropy_row_by_row(logits, target):
    total = 0
    for row, k in zip(logits.double(), target):
        total = total + torch.logsumexp(row - row[k], dim=0)
    return total / len(target)


def _entropy_by_logaddexp(logits, target):
    log_z = logits[:, 0]
    for column in logits.T[1:]:
        log_z = torch.logaddexp(log_z, column)
    return (log_z - (logits * F.one_hot(target, logits.shape[1])).sum(1)).mean()


def _entropy_max_not_added_back(logits, target):
    log_z = (logits - logits.amax(1, keepdim=True)).exp().sum(1).log()
    return (log_z - logits.gather(1, target[:, None])[:, 0]).mean()


def _entropy_one_against_all(logits, target):
    return F.binary_cross_entropy_with_logits(logits, F.one_hot(target, logits.shape[1]).to(logits))


ENTROPY = Exercise(
    name="cross_entropy",
    lesson=13,
    points=3,
    minutes=10,
    differentiable=True,
    docstring="""Mean negative log-probability of the right class.

logits: (N, K), any real numbers; the result and its gradient are finite at logits of 200 and -200 too.
target: (N,) int64, the right class of each row. Returns a scalar, in nats: the mean over the N rows.""",
    reference=cross_entropy,
    cases=_entropy_cases,
    from_scratch=("nll_loss_forward", "nll_loss2d_forward"),
    alternatives={
        "the library": lambda logits, target: F.cross_entropy(logits, target),
        "largest logit taken out": _entropy_by_shift,
        "a one-hot mask": _entropy_by_one_hot,
        "row by row, float64": _entropy_row_by_row,
        "logaddexp, class by class": _entropy_by_logaddexp,
    },
    mistakes=(
        Mistake(
            "sum instead of mean",
            "You add up the rows; take their mean, so that the loss does not grow with the batch.",
            lambda logits, target: cross_entropy(logits, target) * len(target),
        ),
        Mistake(
            "mean over classes too",
            "You divide by N times K; each row has one right class, so divide by N.",
            lambda logits, target: cross_entropy(logits, target) / logits.shape[1],
        ),
        Mistake(
            "one value a row",
            "You return one value for each row; take their mean.",
            lambda logits, target: F.cross_entropy(logits, target, reduction="none"),
        ),
        Mistake(
            "wrong sign",
            "Your loss is negative: it falls as the answer gets worse; put a minus in front of the log-probability.",
            lambda logits, target: -cross_entropy(logits, target),
        ),
        Mistake(
            "softmax twice",
            "You apply softmax before a function that applies it itself; give it the logits.",
            lambda logits, target: cross_entropy(logits.softmax(1), target),
        ),
        Mistake(
            "log of a softmax",
            "You take the softmax first and then its log: a probability that rounds to 0 gives infinity; "
            "compute log-probabilities in one step.",
            lambda logits, target: -logits.softmax(1).log().gather(1, target[:, None]).mean(),
        ),
        Mistake(
            "exponentials overflow",
            "Your exp(200) is infinite in float32: take the largest logit out first, as logsumexp does.",
            lambda logits, target: (logits.exp().sum(1).log() - logits.gather(1, target[:, None])[:, 0]).mean(),
        ),
        Mistake(
            "clamped probabilities",
            "You clamp the probabilities, which caps the loss and stops its gradient just where the answer is worst.",
            lambda logits, target: -logits.softmax(1).clamp(min=1e-8).log().gather(1, target[:, None]).mean(),
        ),
        Mistake(
            "largest logit not put back",
            "You took the largest logit out of the exponentials but not out of the right class's logit.",
            _entropy_max_not_added_back,
        ),
        Mistake(
            "softmax over the batch",
            "You normalise over the rows (dim=0); probabilities sum to 1 over the classes, dim=1.",
            lambda logits, target: -logits.log_softmax(0).gather(1, target[:, None]).mean(),
        ),
        Mistake(
            "every row with every target",
            "You index [:, target], which pairs every row with every target; index [torch.arange(N), target].",
            lambda logits, target: -logits.log_softmax(1)[:, target].mean(),
        ),
        Mistake(
            "no normalisation",
            "You use the logit itself as the log-probability; subtract the logsumexp of its row.",
            lambda logits, target: -logits.gather(1, target[:, None]).mean(),
        ),
        Mistake(
            "bits",
            "You use the logarithm to base 2, which gives bits; nats use the natural logarithm.",
            lambda logits, target: cross_entropy(logits, target) / np.log(2),
        ),
        Mistake(
            "one class against the rest",
            "You treat the classes as separate yes-or-no questions (a sigmoid each); exactly one is "
            "right, which is softmax.",
            _entropy_one_against_all,
        ),
        Mistake(
            "mean probability first",
            "You take the mean of the probabilities and then the log; the log comes first, row by row.",
            lambda logits, target: -logits.softmax(1).gather(1, target[:, None]).mean().log(),
        ),
    ),
    pairs=(
        Pair(
            "sum instead of mean",
            "exponentials overflow",
            lambda logits, target: (logits.exp().sum(1).log() - logits.gather(1, target[:, None])[:, 0]).sum(),
        ),
        Pair(
            "sum instead of mean",
            "log of a softmax",
            lambda logits, target: -logits.softmax(1).log().gather(1, target[:, None]).sum(),
        ),
        Pair(
            "wrong sign",
            "log of a softmax",
            lambda logits, target: logits.softmax(1).log().gather(1, target[:, None]).mean(),
        ),
        Pair("wrong sign", "sum instead of mean", lambda logits, target: -cross_entropy(logits, target) * len(target)),
        Pair(
            "softmax twice",
            "sum instead of mean",
            lambda logits, target: cross_entropy(logits.softmax(1), target) * len(target),
        ),
    ),
)


# sgd_step


def _sgd_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, parameter, gradient, velocity, lr, momentum):
        return Case(label, (*map(torch.as_tensor, (parameter, gradient, velocity)), lr, momentum))

    def drawn(*shape):
        return [torch.randn(*shape, generator=g) for _ in range(3)]

    return [
        case("one number, momentum 0.5", [1.0], [2.0], [4.0], 0.1, 0.5),
        case("the first step: the velocity is 0", [1.0, -2.0], [0.5, 3.0], [0.0, 0.0], 0.2, 0.9),
        case("momentum 0", [1.0, -2.0, 0.5], [0.5, 3.0, -1.0], [2.0, -1.0, 4.0], 0.3, 0.0),
        case("no gradient, the velocity rolls on", [1.0, -2.0], [0.0, 0.0], [3.0, -1.5], 0.5, 0.8),
        case("a matrix", *drawn(3, 4), 0.4, 0.7),
        case("a kernel of a convolution", *drawn(2, 3, 4, 5), 0.05, 0.95),
        case("learning rate above 1", *drawn(6), 2.5, 0.3),
    ]


def _sgd_by_library(parameter, gradient, velocity, lr, momentum):
    weight = torch.nn.Parameter(parameter.clone())
    weight.grad = gradient.clone()
    optimizer = torch.optim.SGD([weight], lr=lr, momentum=momentum)
    optimizer.state[weight]["momentum_buffer"] = velocity.clone()
    optimizer.step()
    return weight.detach(), momentum * velocity + gradient


def _sgd_written_into(parameter, gradient, velocity, lr, momentum):
    velocity.mul_(momentum).add_(gradient)
    parameter.sub_(lr * velocity)
    return parameter, velocity


def _sgd_lookahead(parameter, gradient, velocity, lr, momentum):
    velocity = momentum * velocity + gradient
    return parameter - lr * (gradient + momentum * velocity), velocity


SGD = Exercise(
    name="sgd_step",
    lesson=13,
    points=2,
    minutes=8,
    docstring="""One step of gradient descent with momentum.

parameter, gradient, velocity: tensors of one shape, which you do not change. lr: the learning rate. momentum: in [0, 1).
The new velocity is momentum times the old one plus the gradient; the parameter then moves by minus lr times the new velocity.
Returns (parameter, velocity), both new.""",
    reference=sgd_step,
    cases=_sgd_cases,
    alternatives={
        "the library": _sgd_by_library,
        "add with alpha": lambda parameter, gradient, velocity, lr, momentum: (
            parameter.add(velocity.mul(momentum).add(gradient), alpha=-lr),
            velocity.mul(momentum).add(gradient),
        ),
        "two parts of the step": lambda parameter, gradient, velocity, lr, momentum: (
            parameter - lr * gradient - lr * momentum * velocity,
            gradient + momentum * velocity,
        ),
        "on copies, in place, float64": lambda parameter, gradient, velocity, lr, momentum: _sgd_written_into(
            parameter.double(), gradient.double(), velocity.double(), lr, momentum
        ),
    },
    mistakes=(
        Mistake(
            "uphill",
            "You add the step; the gradient points uphill, so subtract it.",
            lambda parameter, gradient, velocity, lr, momentum: (
                parameter + lr * (momentum * velocity + gradient),
                momentum * velocity + gradient,
            ),
        ),
        Mistake(
            "the old velocity moves the parameter",
            "You move by the velocity of before; update the velocity first and move by the new one.",
            lambda parameter, gradient, velocity, lr, momentum: (
                parameter - lr * velocity,
                momentum * velocity + gradient,
            ),
        ),
        Mistake(
            "the velocity ignored",
            "You move by the gradient alone; move by the velocity, which holds the earlier gradients too.",
            lambda parameter, gradient, velocity, lr, momentum: (
                parameter - lr * gradient,
                momentum * velocity + gradient,
            ),
        ),
        Mistake(
            "the gradient weighted by 1 - momentum",
            "You weight the gradient by 1 - momentum, which makes a mean; here the whole gradient is added.",
            lambda parameter, gradient, velocity, lr, momentum: sgd_step(
                parameter, (1 - momentum) * gradient, velocity, lr, momentum
            ),
        ),
        Mistake(
            "learning rate inside the velocity",
            "You multiply the gradient by lr before it enters the velocity; lr belongs to the step of the parameter.",
            lambda parameter, gradient, velocity, lr, momentum: (
                parameter - momentum * velocity - lr * gradient,
                momentum * velocity + lr * gradient,
            ),
        ),
        Mistake(
            "looks ahead",
            "You take Nesterov's step, which adds momentum times the new velocity to the gradient; move by the velocity.",
            _sgd_lookahead,
        ),
        Mistake(
            "momentum on the gradient",
            "You multiply the gradient by the momentum; what fades is the old velocity.",
            lambda parameter, gradient, velocity, lr, momentum: sgd_step(
                parameter, momentum * gradient, velocity / max(momentum, 1e-9), lr, momentum
            ),
        ),
        Mistake(
            "the velocity never fades",
            "You add the whole old velocity; multiply it by the momentum first.",
            lambda parameter, gradient, velocity, lr, momentum: sgd_step(parameter, gradient, velocity, lr, 1.0),
        ),
        Mistake(
            "the two swapped",
            "You return the velocity first; the order is (parameter, velocity).",
            lambda parameter, gradient, velocity, lr, momentum: sgd_step(parameter, gradient, velocity, lr, momentum)[
                ::-1
            ],
        ),
        Mistake(
            "the old velocity returned",
            "You return the velocity that you were given; return the new one, for the next step.",
            lambda parameter, gradient, velocity, lr, momentum: (
                sgd_step(parameter, gradient, velocity, lr, momentum)[0],
                velocity.clone(),
            ),
        ),
        Mistake(
            "learning rate forgotten",
            "You move by the whole velocity; multiply it by lr.",
            lambda parameter, gradient, velocity, lr, momentum: sgd_step(parameter, gradient, velocity, 1.0, momentum),
        ),
    ),
    pairs=(
        Pair(
            "uphill",
            "the gradient weighted by 1 - momentum",
            lambda parameter, gradient, velocity, lr, momentum: (
                parameter + lr * (momentum * velocity + (1 - momentum) * gradient),
                momentum * velocity + (1 - momentum) * gradient,
            ),
        ),
        Pair(
            "uphill",
            "the two swapped",
            lambda parameter, gradient, velocity, lr, momentum: (
                momentum * velocity + gradient,
                parameter + lr * (momentum * velocity + gradient),
            ),
        ),
    ),
)


# adam_step


def _adam_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, parameter, gradient, m, v, step, *, lr=0.5, betas=(0.5, 0.75), eps=1e-8):
        tensors = map(torch.as_tensor, (parameter, gradient, m, v))
        return Case(label, (*tensors, step, lr, betas, eps))

    def drawn(*shape):
        parameter, gradient, m, v = (torch.randn(*shape, generator=g) for _ in range(4))
        return parameter, 2 * gradient, m, v.square() + 0.1

    return [
        case("the first step of one number", [1.0], [2.0], [0.0], [0.0], 1),
        case("the second step of two numbers", [1.0, -2.0], [3.0, 0.5], [1.0, -0.5], [4.0, 0.25], 2),
        case("the usual betas, first step", [1.0, 0.5], [5.0, -8.0], [0.0, 0.0], [0.0, 0.0], 1, betas=(0.9, 0.999)),
        case("a large eps", [0.5, -1.0], [1.0, -2.0], [0.3, 0.4], [0.5, 2.0], 3, eps=0.5),
        case("tiny gradients, large eps", [1e-3, 2e-3], [1e-3, -2e-3], [0.0, 0.0], [0.0, 0.0], 1, lr=1e-3, eps=1e-3),
        case("a matrix, step 4", *drawn(3, 4), 4),
        case("a kernel, step 7", *drawn(2, 3, 2, 2), 7, lr=0.2, betas=(0.8, 0.6)),
        case("step 1000", *drawn(5), 1000, betas=(0.9, 0.99)),
        case("no memory", *drawn(6), 3, betas=(0.0, 0.0)),
    ]


def _adam_by_library(parameter, gradient, m, v, step, lr, betas, eps):
    weight = torch.nn.Parameter(parameter.clone())
    weight.grad = gradient.clone()
    optimizer = torch.optim.Adam([weight], lr=lr, betas=betas, eps=eps, foreach=False)
    optimizer.state[weight] = {"step": torch.tensor(step - 1.0), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
    optimizer.step()
    state = optimizer.state[weight]
    return weight.detach(), state["exp_avg"], state["exp_avg_sq"]


def _adam_by_lerp(parameter, gradient, m, v, step, lr, betas, eps):
    m, v = torch.lerp(gradient, m, betas[0]), torch.lerp(gradient * gradient, v, betas[1])
    return parameter - lr * (m / (1 - betas[0] ** step)) / ((v / (1 - betas[1] ** step)) ** 0.5 + eps), m, v


def _adam_in_float64(parameter, gradient, m, v, step, lr, betas, eps):
    return adam_step(parameter.double(), gradient.double(), m.double(), v.double(), step, lr, betas, eps)


def _adam_one_rate(parameter, gradient, m, v, step, lr, betas, eps):
    """Algorithm 1 with both corrections gathered in the learning rate, and eps scaled with them."""
    m, v = m + (1 - betas[0]) * (gradient - m), v + (1 - betas[1]) * (gradient**2 - v)
    root = (1 - betas[1] ** step) ** 0.5
    rate = lr * root / (1 - betas[0] ** step)
    return parameter - rate * m / (v.sqrt() + eps * root), m, v


def _adam_wrong(
    correct_m=1, correct_v=1, root=True, eps_inside=False, sign=-1, after=0, square=True, corrected_back=False
):
    """adam_step with one thing different."""

    def step_of(parameter, gradient, m, v, step, lr, betas, eps):
        m = betas[0] * m + (1 - betas[0]) * gradient
        v = betas[1] * v + (1 - betas[1]) * (gradient**2 if square else gradient.abs())
        mean = m / (1 - betas[0] ** (step + after)) if correct_m else m
        second = v / (1 - betas[1] ** (step + after)) if correct_v else v
        below = (second + eps) ** 0.5 if eps_inside else second.sqrt() + eps if root else second + eps
        moved = parameter + sign * lr * mean / below
        return (moved, mean, second) if corrected_back else (moved, m, v)

    return step_of


ADAM = Exercise(
    name="adam_step",
    lesson=13,
    points=3,
    minutes=12,
    docstring="""One step of Adam.

parameter, gradient: tensors of one shape. m, v: running means of the gradient and of its square, of the same shape. You change none of them.
step: int, from 1. lr: the learning rate. betas: two numbers, what is kept of m and of v. eps: added after the square root is taken.
Both means are divided by 1 - beta ** step before they are used. Returns (parameter, m, v), m and v without that division.""",
    reference=adam_step,
    cases=_adam_cases,
    alternatives={
        "the library": _adam_by_library,
        "lerp": _adam_by_lerp,
        "float64": _adam_in_float64,
        "corrections in the learning rate": _adam_one_rate,
    },
    mistakes=(
        Mistake(
            "no correction",
            "You use m and v as they are; they start at 0, so divide them by 1 - beta ** step.",
            _adam_wrong(correct_m=0, correct_v=0),
        ),
        Mistake(
            "only m corrected",
            "You correct m and forget v; divide v by 1 - betas[1] ** step too.",
            _adam_wrong(correct_v=0),
        ),
        Mistake(
            "only v corrected",
            "You correct v and forget m; divide m by 1 - betas[0] ** step too.",
            _adam_wrong(correct_m=0),
        ),
        Mistake(
            "eps under the root",
            "You add eps before the square root; take the root first and then add eps.",
            _adam_wrong(eps_inside=True),
        ),
        Mistake(
            "no square root",
            "You divide by the mean square itself; divide by its square root, which has the gradient's unit.",
            _adam_wrong(root=False),
        ),
        Mistake("uphill", "You add the step; the gradient points uphill, so subtract it.", _adam_wrong(sign=1)),
        Mistake(
            "corrected moments returned",
            "You return the corrected m and v, which the next step would correct again; return them uncorrected.",
            _adam_wrong(corrected_back=True),
        ),
        Mistake(
            "step counted from 0",
            "You take the exponent step + 1, but step already starts at 1.",
            _adam_wrong(after=1),
        ),
        Mistake(
            "the gradient not squared",
            "You average the size of the gradient in v; average its square.",
            _adam_wrong(square=False),
        ),
        Mistake(
            "beta and 1 - beta swapped",
            "You keep 1 - beta of the old mean; keep beta of it and take 1 - beta of the new gradient.",
            lambda parameter, gradient, m, v, step, lr, betas, eps: (
                parameter
                - lr
                * ((1 - betas[0]) * m + betas[0] * gradient)
                / (1 - betas[0] ** step)
                / ((((1 - betas[1]) * v + betas[1] * gradient**2) / (1 - betas[1] ** step)).sqrt() + eps),
                (1 - betas[0]) * m + betas[0] * gradient,
                (1 - betas[1]) * v + betas[1] * gradient**2,
            ),
        ),
        Mistake(
            "betas exchanged",
            "You use betas[1] for the gradient and betas[0] for its square; betas[0] belongs to m.",
            lambda parameter, gradient, m, v, step, lr, betas, eps: adam_step(
                parameter, gradient, m, v, step, lr, betas[::-1], eps
            ),
        ),
        Mistake(
            "the gradient in place of its mean",
            "You move by the gradient itself; move by its running mean m, corrected.",
            lambda parameter, gradient, m, v, step, lr, betas, eps: (
                adam_step(parameter, gradient, m, v, step, lr, (0.0, betas[1]), eps)[0],
                *adam_step(parameter, gradient, m, v, step, lr, betas, eps)[1:],
            ),
        ),
        Mistake(
            "m and v swapped",
            "You return v before m; the order is (parameter, m, v).",
            lambda *args: tuple(adam_step(*args)[i] for i in (0, 2, 1)),
        ),
        Mistake(
            "the moments are not returned anew",
            "You return the m and v that you were given; return the new ones.",
            lambda parameter, gradient, m, v, step, lr, betas, eps: (
                adam_step(parameter, gradient, m, v, step, lr, betas, eps)[0],
                m.clone(),
                v.clone(),
            ),
        ),
    ),
    pairs=(
        Pair("no correction", "eps under the root", _adam_wrong(correct_m=0, correct_v=0, eps_inside=True)),
        Pair("no correction", "uphill", _adam_wrong(correct_m=0, correct_v=0, sign=1)),
        Pair("no correction", "no square root", _adam_wrong(correct_m=0, correct_v=0, root=False)),
        Pair("eps under the root", "corrected moments returned", _adam_wrong(eps_inside=True, corrected_back=True)),
    ),
)


# batch_norm


def _norm_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, x, *, momentum=0.25, eps=1e-5, training=1, plain=False):
        c = x.shape[1]
        gamma = torch.ones(c) if plain else 0.5 + torch.rand(c, generator=g)
        beta = torch.zeros(c) if plain else torch.randn(c, generator=g)
        mean, var = torch.randn(c, generator=g), 0.5 + torch.rand(c, generator=g)
        args = (x, gamma, beta, mean, var, momentum, eps, training)
        return Case(label, args, gradients=(0, 1, 2))

    def drawn(*shape):
        offset, scale = torch.randn(shape[1], generator=g), 0.5 + torch.rand(shape[1], generator=g)
        return torch.randn(*shape, generator=g) * scale[:, None, None] + offset[:, None, None]

    small = torch.tensor([1.0, 3.0, 5.0, 9.0]).view(2, 1, 1, 2)
    return [
        case("four numbers of one channel, training", small, plain=True),
        case("the same in eval mode", small, plain=True, training=0),
        case("two channels, training", drawn(2, 2, 1, 2)),
        case("three channels, eval mode", drawn(2, 3, 2, 2), training=0),
        case("a large eps", drawn(3, 2, 2, 2), eps=0.5),
        case("a large eps, eval mode", drawn(2, 2, 2, 3), eps=0.5, training=0),
        case("as many pictures as channels as rows", drawn(3, 3, 3, 3), momentum=0.1),
        case("one picture", drawn(1, 4, 3, 2), momentum=0.6),
        case("momentum 1: only this batch is remembered", drawn(4, 2, 3, 3), momentum=1.0),
        case("not square", drawn(5, 4, 2, 3), momentum=0.1),
    ]


def _norm_by_library(x, gamma, beta, running_mean, running_var, momentum, eps, training):
    mean, var = running_mean.clone(), running_var.clone()
    y = F.batch_norm(x, mean, var, gamma, beta, bool(training), momentum, eps)
    return y, mean, var


def _norm_by_columns(x, gamma, beta, running_mean, running_var, momentum, eps, training):
    """Channels last, then it is the norm of a table."""
    table = x.movedim(1, -1).reshape(-1, x.shape[1])
    mean, var = running_mean, running_var
    if training:
        mean, var = table.mean(0), table.var(0, correction=0)
        running_mean = running_mean.lerp(mean.detach(), momentum)
        running_var = running_var.lerp(table.detach().var(0), momentum)
    y = (table - mean) * (var + eps).rsqrt() * gamma + beta
    n, c, h, w = x.shape
    return y.reshape(n, h, w, c).movedim(-1, 1), running_mean, running_var


def _norm_channel_by_channel(x, gamma, beta, running_mean, running_var, momentum, eps, training):
    out, means, variances = [], [], []
    for c in range(x.shape[1]):
        channel, mean, var = x[:, c], running_mean[c], running_var[c]
        if training:
            mean = channel.mean()
            var = ((channel - mean) ** 2).mean()
            means.append(running_mean[c] * (1 - momentum) + momentum * mean.detach())
            variances.append(running_var[c] * (1 - momentum) + momentum * channel.detach().var())
        out.append(gamma[c] * (channel - mean) / torch.sqrt(var + eps) + beta[c])
    if not training:
        return torch.stack(out, 1), running_mean.clone(), running_var.clone()
    return torch.stack(out, 1), torch.stack(means), torch.stack(variances)


def _norm_in_float64(x, gamma, beta, running_mean, running_var, momentum, eps, training):
    doubles = (t.double() for t in (x, gamma, beta, running_mean, running_var))
    return batch_norm(*doubles, momentum, eps, training)


def _norm_wrong(
    dims=(0, 2, 3), correction=0, remembered=1, swapped=False, eps_outside=False, rooted=True, attached=False
):
    """batch_norm with one thing different."""

    def norm(x, gamma, beta, running_mean, running_var, momentum, eps, training):
        if not training:
            return batch_norm(x, gamma, beta, running_mean, running_var, momentum, eps, training)
        mean, var = x.mean(dims, keepdim=True), x.var(dims, correction=correction, keepdim=True)
        if not rooted:
            below = var + eps
        else:
            below = var.sqrt() + eps if eps_outside else (var + eps).sqrt()
        y = gamma[:, None, None] * (x - mean) / below + beta[:, None, None]
        source = x if attached else x.detach()
        new = source.mean((0, 2, 3)), source.var((0, 2, 3), correction=remembered)
        keep = momentum if swapped else 1 - momentum
        return y, keep * running_mean + (1 - keep) * new[0], keep * running_var + (1 - keep) * new[1]

    return norm


def _norm_always_training(x, gamma, beta, running_mean, running_var, momentum, eps, training):
    y, mean, var = batch_norm(x, gamma, beta, running_mean, running_var, momentum, eps, True)
    return (y, mean, var) if training else (y, running_mean.clone(), running_var.clone())


def _norm_remembers_in_eval(x, gamma, beta, running_mean, running_var, momentum, eps, training):
    _, mean, var = batch_norm(x, gamma, beta, running_mean, running_var, momentum, eps, True)
    return batch_norm(x, gamma, beta, running_mean, running_var, momentum, eps, training)[0], mean, var


def _norm_uses_remembered(x, gamma, beta, running_mean, running_var, momentum, eps, training):
    _, mean, var = batch_norm(x, gamma, beta, running_mean, running_var, momentum, eps, training)
    return batch_norm(x, gamma, beta, mean, var, momentum, eps, False)[0], mean, var


def _norm_statistics_detached(x, gamma, beta, running_mean, running_var, momentum, eps, training):
    if not training:
        return batch_norm(x, gamma, beta, running_mean, running_var, momentum, eps, training)
    fixed = x.detach()
    y, _, _ = batch_norm(x, gamma, beta, fixed.mean((0, 2, 3)), fixed.var((0, 2, 3), correction=0), 0.0, eps, False)
    return y, *batch_norm(fixed, gamma, beta, running_mean, running_var, momentum, eps, True)[1:]


def _norm_without_shift(x, gamma, beta, running_mean, running_var, momentum, eps, training):
    return batch_norm(x, gamma, 0 * beta, running_mean, running_var, momentum, eps, training)


def _norm_without_scale(x, gamma, beta, running_mean, running_var, momentum, eps, training):
    return batch_norm(x, 0 * gamma + 1, beta, running_mean, running_var, momentum, eps, training)


NORM = Exercise(
    name="batch_norm",
    lesson=13,
    points=4,
    minutes=20,
    differentiable=True,
    docstring="""Batch norm of pictures, in both modes.

x: (N, C, H, W). gamma, beta: (C,), scale and shift. running_mean, running_var: (C,), which you do not change. momentum: in [0, 1]. eps: added to the variance.
training true: each channel is normalised by its own mean and biased variance over N, H and W; what is remembered becomes
(1 - momentum) times the old value plus momentum times the batch's mean, and its unbiased variance (divided by the count less 1).
training false: the remembered values normalise, and come back as they were. Returns (y, running_mean, running_var); no gradient flows into the last two.""",
    reference=batch_norm,
    cases=_norm_cases,
    from_scratch=("native_batch_norm",),
    alternatives={
        "the library": _norm_by_library,
        "a table with channels as columns": _norm_by_columns,
        "channel by channel": _norm_channel_by_channel,
        "float64": _norm_in_float64,
    },
    mistakes=(
        Mistake(
            "mean over the batch only",
            "You take mean and variance over N alone, for each pixel; take them over N, H and W.",
            _norm_wrong(dims=(0,)),
        ),
        Mistake(
            "each picture by itself",
            "You normalise each picture by its own mean (that is instance norm); the mean runs over the batch too.",
            _norm_wrong(dims=(2, 3)),
        ),
        Mistake(
            "over the channels too",
            "You take one mean over everything; each channel has its own.",
            _norm_wrong(dims=(0, 1, 2, 3)),
        ),
        Mistake(
            "normalised by the unbiased variance",
            "You normalise by the unbiased variance; this batch is normalised by the biased one (correction=0).",
            _norm_wrong(correction=1),
        ),
        Mistake(
            "the biased variance remembered",
            "You remember the biased variance; remember the unbiased one, which divides by the count less 1.",
            _norm_wrong(remembered=0),
        ),
        Mistake(
            "momentum the wrong way round",
            "You keep `momentum` of the old value; momentum is the share of the new batch.",
            _norm_wrong(swapped=True),
        ),
        Mistake(
            "eps outside the root",
            "You add eps to the standard deviation; add it to the variance, under the root.",
            _norm_wrong(eps_outside=True),
        ),
        Mistake(
            "divided by the variance",
            "You divide by the variance; divide by its square root.",
            _norm_wrong(rooted=False),
        ),
        Mistake(
            "what is remembered carries a graph",
            "You let gradients flow into the running values; detach the batch's mean and variance before you remember them.",
            _norm_wrong(attached=True),
        ),
        Mistake(
            "the batch's statistics in eval mode",
            "You normalise by the batch in eval mode too; there the remembered values are used.",
            _norm_always_training,
        ),
        Mistake(
            "remembers in eval mode",
            "You update the running values in eval mode; there they stay as they are.",
            _norm_remembers_in_eval,
        ),
        Mistake(
            "normalised by what is remembered",
            "You normalise a training batch by the running values; while training, the batch's own are used.",
            _norm_uses_remembered,
        ),
        Mistake(
            "statistics without gradient",
            "You stop the gradient at the mean and the variance; both depend on x, and the gradient flows through them.",
            _norm_statistics_detached,
        ),
        Mistake("no shift", "You forget to add beta.", _norm_without_shift),
        Mistake("no scale", "You forget to multiply by gamma.", _norm_without_scale),
        Mistake(
            "nothing remembered",
            "You return the running values that you were given; while training they move towards the batch's.",
            lambda x, gamma, beta, running_mean, running_var, momentum, eps, training: (
                batch_norm(x, gamma, beta, running_mean, running_var, momentum, eps, training)[0],
                running_mean.clone(),
                running_var.clone(),
            ),
        ),
    ),
    pairs=(
        Pair("the biased variance remembered", "momentum the wrong way round", _norm_wrong(remembered=0, swapped=True)),
        Pair(
            "normalised by the unbiased variance", "eps outside the root", _norm_wrong(correction=1, eps_outside=True)
        ),
        Pair(
            "normalised by the unbiased variance",
            "momentum the wrong way round",
            _norm_wrong(correction=1, swapped=True),
        ),
        Pair("eps outside the root", "the biased variance remembered", _norm_wrong(eps_outside=True, remembered=0)),
    ),
)


# gradient_of_one_neuron: x = -3, y = 1, w = 0.4, b = 0.5, so that z = -0.7


def _sigma(z):
    return 1 / (1 + math.exp(-z))


def gradient_of_one_neuron():
    """(p - y) x, with p = sigma(w x + b)."""
    return (_sigma(-0.7) - 1) * -3


def _neuron_by_autograd():
    w = torch.tensor(0.4, requires_grad=True)
    F.softplus(-(w * -3 + 0.5)).backward()
    return w.grad.item()


def _neuron_by_differences():
    loss = lambda w: -math.log(_sigma(w * -3 + 0.5))
    return (loss(0.4 + 1e-4) - loss(0.4 - 1e-4)) / 2e-4


NEURON = Exercise(
    name="gradient_of_one_neuron",
    lesson=13,
    points=2,
    minutes=8,
    docstring="""How the loss of one neuron changes with its weight: one number, worked out by hand.

The neuron has the input x = -3, the weight w = 0.4 and the bias b = 0.5: z = w x + b, p = 1 / (1 + exp(-z)). The truth is y = 1, and
the loss is -log p, in nats. Return its derivative by w, to four decimals or more.""",
    reference=gradient_of_one_neuron,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={
        "by autograd": _neuron_by_autograd,
        "by differences": _neuron_by_differences,
        "rounded to four decimals": lambda: 2.0046,
        "from a p of four decimals": lambda: (0.3318 - 1) * -3,
    },
    mistakes=(
        Mistake(
            "the input forgotten",
            "You give the derivative by z, or by b; w was multiplied by x, so multiply by x.",
            lambda: _sigma(-0.7) - 1,
        ),
        Mistake(
            "wrong sign",
            "You took y - p, or lost the sign of x; the derivative is (p - y) x with x = -3.",
            lambda: (_sigma(-0.7) - 1) * 3,
        ),
        Mistake("as if y were 0", "You take p x, which holds for y = 0; here y = 1.", lambda: _sigma(-0.7) * -3),
        Mistake(
            "minus sign in the exponent lost",
            "You compute 1 / (1 + exp(z)), which is 1 - p; the exponent is -z.",
            lambda: (_sigma(0.7) - 1) * -3,
        ),
        Mistake("the bias forgotten", "You leave out b; z = 0.4 times -3 plus 0.5.", lambda: (_sigma(-1.2) - 1) * -3),
        Mistake(
            "the slope of p",
            "You give the derivative of p by w; the loss is -log p, so one link is missing.",
            lambda: _sigma(-0.7) * (1 - _sigma(-0.7)) * -3,
        ),
        Mistake(
            "the middle link left out",
            "You multiply -1/p by x and leave out the slope of the logistic function, p (1 - p).",
            lambda: 3 / _sigma(-0.7),
        ),
        Mistake(
            "the weight for the input",
            "You multiply by w; the derivative of w x by w is x.",
            lambda: (_sigma(-0.7) - 1) * 0.4,
        ),
        Mistake(
            "the loss itself",
            "You give the loss, -log p; asked is its derivative by w.",
            lambda: -math.log(_sigma(-0.7)),
        ),
        Mistake(
            "squared error",
            "You differentiate the squared error of p; the loss is -log p.",
            lambda: 2 * (_sigma(-0.7) - 1) * _sigma(-0.7) * (1 - _sigma(-0.7)) * -3,
        ),
    ),
)


# faulty_line_classifier

LINE = Exercise(
    name="faulty_line_classifier",
    lesson=13,
    points=2,
    minutes=8,
    docstring="""One line of this training stands in the wrong place. Return its number.

In a trial on digits the loss fell a little, then swung up and down without end: after 300 steps 10 % of the test digits were read
right, as by chance. With the line where it belongs they were 85 %. A learning rate ten times smaller only delays the swings.

 1  net.train()
 2  optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
 3  optimizer.zero_grad()
 4  for step in range(300):
 5      chosen = torch.randint(0, len(images), (64,))
 6      loss = F.cross_entropy(net(images[chosen]), labels[chosen])
 7      loss.backward()
 8      optimizer.step()
 9  net.eval()
10  with torch.no_grad():
11      right = (net(test_images).argmax(1) == test_labels).float().mean()""",
    reference=lambda: 3,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={"a tensor": lambda: torch.tensor(3), "NumPy's": lambda: np.int64(3)},
    mistakes=(
        Mistake("line 1", "You suspect train mode; that is the mode to train in.", lambda: 1),
        Mistake(
            "line 2",
            "You suspect the optimizer or its learning rate; a smaller one only delays the trouble.",
            lambda: 2,
        ),
        Mistake("line 4", "You suspect the loop itself; ask which line is missing inside of it.", lambda: 4),
        Mistake(
            "line 5", "You suspect the batches; drawn with replacement they are noisier, and nothing worse.", lambda: 5
        ),
        Mistake("line 6", "You suspect the loss; cross_entropy takes logits, and gets logits.", lambda: 6),
        Mistake(
            "line 7", "You are close: backward is in its place, but it adds to what .grad holds already.", lambda: 7
        ),
        Mistake(
            "line 8", "You suspect the step; it follows backward, as it should, and takes what .grad holds.", lambda: 8
        ),
        Mistake(
            "line 9",
            "You suspect eval mode; it comes after training, when the trouble has happened already.",
            lambda: 9,
        ),
        Mistake("line 10", "You suspect no_grad; measuring needs no gradients.", lambda: 10),
        Mistake("line 11", "You suspect the measure; the loss went wrong before it.", lambda: 11),
    ),
)

EXERCISES = (ENTROPY, SGD, ADAM, NORM, NEURON, LINE)
