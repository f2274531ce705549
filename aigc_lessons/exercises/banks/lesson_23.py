"""The exercises of lesson 23: the optimal discriminator, the Jensen-Shannon divergence, a step that does not circle."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from ...losses import jensen_shannon, optimal_discriminator
from ...ops import extragradient_step
from ..engine import Case, Exercise, Mistake, Pair

# optimal_discriminator


def _discriminator_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=g)

    def positive(label, p_data, p_model):
        """Gradients are compared where both densities are above 0: at 0 correct answers differ in them."""
        return Case(label, (p_data, p_model), gradients=(0, 1))

    def bell(distance):
        """Density of N(0, 1)."""
        return (-distance.square() / 2).exp() / math.sqrt(2 * math.pi)

    line = torch.linspace(-2.5, 2.5, 9)
    down, across = torch.linspace(-2, 2, 5)[:, None], torch.linspace(-2, 2, 7)
    tails = torch.linspace(-46, -16, 6) + 2 * rand(2, 6)  # logarithms of two densities
    only_data, only_model = torch.tensor(
        [[1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0]]
    )
    return [
        positive("one point", torch.tensor([0.3]), torch.tensor([0.4])),
        Case("data only, model only, both", (torch.tensor([0.4, 0.0, 0.2]), torch.tensor([0.0, 0.3, 0.6]))),
        Case("a point where both are 0", (torch.tensor([0.2, 0.0]), torch.tensor([0.6, 0.0]))),
        positive("two bells on a line", bell(line - rand(1)), bell((line + rand(1)) / 1.5) / 1.5),
        positive("two bells on a plane", bell(down) * bell(across - 2 * rand(1)), bell(down + rand(1)) * bell(across)),
        positive("narrow peaks: densities above 1", 400 * rand(6) + 1, 30 * rand(6) + 1),
        Case("far tails: densities from 1e-20 to 1e-6", tuple(tails.exp())),
        Case("supports that overlap in part", (rand(3, 8) * only_data, rand(3, 8) * only_model)),
    ]


def _discriminator_by_numpy(p_data, p_model):
    p, q = p_data.numpy().astype(float), p_model.numpy().astype(float)
    return np.divide(p, p + q, out=np.full(p.shape, 0.5), where=p + q > 0)


def _discriminator_by_element(p_data, p_model):
    both = zip(p_data.flatten().tolist(), p_model.flatten().tolist())
    return torch.tensor([p / (p + q) if p + q else 0.5 for p, q in both]).reshape(p_data.shape)


def _discriminator_by_odds(p_data, p_model):
    return (1 / (1 + p_model / p_data)).nan_to_num(0.5)


def _discriminator_by_mask(p_data, p_model):
    somewhere = p_data + p_model > 0
    out = torch.full_like(p_data, 0.5)
    out[somewhere] = p_data[somewhere] / (p_data[somewhere] + p_model[somewhere])
    return out


def _nowhere(value):
    """The ratio with another value where both densities are 0."""
    return lambda p_data, p_model: torch.where(p_data + p_model == 0, value, optimal_discriminator(p_data, p_model))


def _discriminator_winner(p_data, p_model):
    return torch.where(p_data == p_model, 0.5, (p_data > p_model).to(p_data))


def _discriminator_half_at_any_zero(p_data, p_model):
    return torch.where(p_data * p_model == 0, 0.5, optimal_discriminator(p_data, p_model))


DISCRIMINATOR = Exercise(
    name="optimal_discriminator",
    lesson=23,
    points=2,
    minutes=10,
    docstring="""The discriminator that no other beats: the probability that a point is real, if half of all points are.

p_data: any shape, density of the real data at each point, at least 0. p_model: the same shape, density of the generator's.
Densities may be tiny, far out in the tails, and above 1. Returns the same shape, in [0, 1]; 0.5 where both densities are 0.""",
    reference=optimal_discriminator,
    cases=_discriminator_cases,
    alternatives={
        "where": lambda p_data, p_model: torch.where(p_data + p_model > 0, p_data / (p_data + p_model), 0.5),
        "sigmoid of the log-ratio": lambda p_data, p_model: torch.sigmoid(p_data.log() - p_model.log()).nan_to_num(0.5),
        "odds": _discriminator_by_odds,
        "a mask": _discriminator_by_mask,
        "NumPy, float64": _discriminator_by_numpy,
        "element by element": _discriminator_by_element,
    },
    mistakes=(
        Mistake(
            "NaN where both are 0",
            "You divide 0 by 0 where neither density reaches, which is NaN; the answer there is 0.5.",
            lambda p_data, p_model: p_data / (p_data + p_model),
        ),
        Mistake(
            "0 where both are 0",
            "You return 0 where both densities are 0; nothing speaks for the model there either, so 0.5.",
            _nowhere(0.0),
        ),
        Mistake(
            "1 where both are 0",
            "You return 1 where both densities are 0; nothing speaks for the data there either, so 0.5.",
            _nowhere(1.0),
        ),
        Mistake(
            "epsilon below",
            "You add an epsilon to the denominator: that gives 0 where both densities are 0, and in the "
            "tails, where both are smaller than it.",
            lambda p_data, p_model: p_data / (p_data + p_model + 1e-8),
        ),
        Mistake(
            "epsilon on both",
            "You add an epsilon to each density, which hides their ratio in the tails, where both are smaller than it.",
            lambda p_data, p_model: (p_data + 1e-8) / (p_data + p_model + 2e-8),
        ),
        Mistake(
            "0.5 in the tails",
            "You return 0.5 where the densities are merely tiny; their ratio still counts, so compare with 0.",
            lambda p_data, p_model: torch.where(p_data + p_model < 1e-8, 0.5, optimal_discriminator(p_data, p_model)),
        ),
        Mistake(
            "0.5 where one is 0",
            "You return 0.5 where one density is 0; then the other decides, and only where both are 0 is it 0.5.",
            _discriminator_half_at_any_zero,
        ),
        Mistake(
            "roles exchanged",
            "You put p_model on top: that is the probability of a fake.",
            lambda p_data, p_model: optimal_discriminator(p_model, p_data),
        ),
        Mistake(
            "density ratio",
            "You divide by p_model alone; divide by the sum of both.",
            lambda p_data, p_model: p_data / p_model,
        ),
        Mistake(
            "log of the ratio",
            "You return log(p_data / p_model), which is the logit; the probability is its sigmoid.",
            lambda p_data, p_model: (p_data / p_model).log(),
        ),
        Mistake(
            "sigmoid of the difference",
            "You take the sigmoid of p_data - p_model; it is the sigmoid of the difference of their logarithms.",
            lambda p_data, p_model: torch.sigmoid(p_data - p_model),
        ),
        Mistake(
            "sigmoid of the ratio",
            "You take the sigmoid of p_data / p_model, which is at least 0.5; take its logarithm first.",
            lambda p_data, p_model: torch.sigmoid(p_data / p_model),
        ),
        Mistake(
            "difference over sum",
            "You divide the difference by the sum, which lies in [-1, 1]; p_data alone stands on top.",
            lambda p_data, p_model: (p_data - p_model) / (p_data + p_model),
        ),
        Mistake(
            "divided by the mean",
            "You divide by the mean of both densities, which is twice too much; divide by their sum.",
            lambda p_data, p_model: 2 * optimal_discriminator(p_data, p_model),
        ),
        Mistake(
            "the larger one wins",
            "You decide for the larger density; the best discriminator says how sure it is.",
            _discriminator_winner,
        ),
        Mistake(
            "sum over all points",
            "You divide by the sum over all points; each point has its own two densities.",
            lambda p_data, p_model: p_data / (p_data + p_model).sum(),
        ),
        Mistake(
            "squares",
            "You square the densities, as if they were amplitudes; they enter as they are.",
            lambda p_data, p_model: optimal_discriminator(p_data**2, p_model**2),
        ),
    ),
    pairs=(
        Pair("roles exchanged", "NaN where both are 0", lambda p_data, p_model: p_model / (p_data + p_model)),
        Pair("roles exchanged", "epsilon below", lambda p_data, p_model: p_model / (p_data + p_model + 1e-8)),
    ),
)


# jensen_shannon


def _divergence_cases(seed):
    """No gradients: p and q sum to 1, so that a gradient is given up to a constant only, and correct answers differ in it."""
    g = torch.Generator().manual_seed(seed)

    def case(label, p, q):
        return Case(label, (torch.as_tensor(p), torch.as_tensor(q)))

    def drawn(k, peaked=1.0, p_zero=(), q_zero=()):
        p, q = peaked * torch.randn(2, k, generator=g)
        p[list(p_zero)], q[list(q_zero)] = -math.inf, -math.inf
        return p.softmax(0), q.softmax(0)

    return [
        case("no overlap", [1.0, 0.0], [0.0, 1.0]),
        case("equal", [0.25, 0.75], [0.25, 0.75]),
        case("two outcomes", [0.5, 0.5], [0.1, 0.9]),
        case("a 0 on one side", [0.5, 0.5], [1.0, 0.0]),
        case("an outcome that neither has", [0.5, 0.0, 0.5], [0.2, 0.0, 0.8]),
        case("five outcomes", *drawn(5)),
        case("nine outcomes, peaked", *drawn(9, peaked=2.0)),
        case("seven outcomes, zeros on each side and on both", *drawn(7, p_zero=(0, 3), q_zero=(3, 5, 6))),
        case("thirty outcomes", *drawn(30)),
    ]


def _kl(p, q):
    """KL(p || q) with 0 log 0 = 0."""
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum()


def _entropy(p):
    return -torch.xlogy(p, p).sum()


def _divergence_by_library(p, q):
    log_m = ((p + q) / 2).clamp(min=1e-30).log()
    return (F.kl_div(log_m, p, reduction="sum") + F.kl_div(log_m, q, reduction="sum")) / 2


def _divergence_by_numpy(p, q):
    p, q = p.numpy().astype(float), q.numpy().astype(float)
    kl = lambda r: np.sum(r[r > 0] * np.log(r[r > 0] / ((p + q) / 2)[r > 0]))
    return 0.5 * kl(p) + 0.5 * kl(q)


def _divergence_by_loop(p, q):
    total = 0.0
    for a, b in zip(p.tolist(), q.tolist()):
        for r in (a, b):
            if r > 0:
                total += r / 2 * math.log(2 * r / (a + b))
    return torch.tensor(total)


def _divergence_by_game(p, q):
    """Half of log 4 plus the value of the game that the best discriminator plays."""
    d = optimal_discriminator(p, q)
    return (math.log(4) + (torch.xlogy(p, d) + torch.xlogy(q, 1 - d)).sum()) / 2


def _divergence_where_both(p, q):
    both = (p > 0) & (q > 0)
    p, q = p[both], q[both]
    m = (p + q) / 2
    return (p * (p / m).log() + q * (q / m).log()).sum() / 2


def _divergence_from(middle):
    """The mean KL from another middle."""
    return lambda p, q: (_kl(p, middle(p, q)) + _kl(q, middle(p, q))) / 2


def _divergence_raw(p, q):
    m = (p + q) / 2
    return (p * (p / m).log() + q * (q / m).log()).sum() / 2


def _divergence_reversed(p, q):
    m = (p + q) / 2
    return (_kl(m, p) + _kl(m, q)) / 2


def _divergence_no_log(p, q):
    """F.kl_div wants a logarithm as its first argument."""
    m = (p + q) / 2
    return (F.kl_div(m, p, reduction="sum") + F.kl_div(m, q, reduction="sum")) / 2


def _divergence_each(p, q):
    m = (p + q) / 2
    return (torch.xlogy(p, p) - torch.xlogy(p, m) + torch.xlogy(q, q) - torch.xlogy(q, m)) / 2


DIVERGENCE = Exercise(
    name="jensen_shannon",
    lesson=23,
    points=3,
    minutes=15,
    docstring="""Jensen-Shannon divergence of two discrete distributions: the mean KL of both from their mean.

p: (K,), probabilities, at least 0, with sum 1. q: (K,), the same. Zeros are allowed, in one or in both: 0 log 0 = 0.
Returns a scalar, in nats, from 0 where p and q are equal to log 2 where they never overlap.""",
    reference=jensen_shannon,
    cases=_divergence_cases,
    alternatives={
        "the library": _divergence_by_library,
        "entropy of the mean minus mean of the entropies": lambda p, q: (
            _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2
        ),
        "NumPy, float64": _divergence_by_numpy,
        "outcome by outcome": _divergence_by_loop,
        "through the optimal discriminator": _divergence_by_game,
        "NaN taken for 0": lambda p, q: (
            0.5 * ((p * (2 * p / (p + q)).log()).nansum() + (q * (2 * q / (p + q)).log()).nansum())
        ),
    },
    mistakes=(
        Mistake(
            "Kullback-Leibler",
            "You computed KL(p || q), which is infinite where q is 0 and p is not; compare both with their mean.",
            _kl,
        ),
        Mistake(
            "Jeffreys",
            "You averaged KL(p || q) and KL(q || p), which is symmetric but infinite at a 0; compare each with "
            "their mean.",
            lambda p, q: (_kl(p, q) + _kl(q, p)) / 2,
        ),
        Mistake(
            "bits",
            "You use the logarithm to base 2, which gives bits; nats use the natural logarithm.",
            lambda p, q: jensen_shannon(p, q) / math.log(2),
        ),
        Mistake("no half", "You add the two KLs; take their mean.", lambda p, q: 2 * jensen_shannon(p, q)),
        Mistake(
            "one half only", "You compare only p with the mean; q counts as much.", lambda p, q: _kl(p, (p + q) / 2)
        ),
        Mistake(
            "one quarter",
            "You halve twice: the two KLs are added and halved once.",
            lambda p, q: jensen_shannon(p, q) / 2,
        ),
        Mistake(
            "NaN at zeros",
            "Your 0 * log(0) is NaN: an outcome with probability 0 adds nothing, as torch.xlogy knows.",
            _divergence_raw,
        ),
        Mistake(
            "outcomes of one side left out",
            "You leave out outcomes that one side never has; there the other side adds "
            "half its probability times log 2.",
            _divergence_where_both,
        ),
        Mistake(
            "square root",
            "You return the square root, which is the Jensen-Shannon distance; the divergence is its square.",
            lambda p, q: jensen_shannon(p, q).clamp(min=0).sqrt(),
        ),
        Mistake(
            "middle not halved",
            "You compare with p + q, which has sum 2; the mean of both is (p + q) / 2.",
            _divergence_from(lambda p, q: p + q),
        ),
        Mistake(
            "product",
            "You compare with the product p * q, which is no distribution; take the mean (p + q) / 2.",
            _divergence_from(lambda p, q: p * q),
        ),
        Mistake(
            "geometric mean",
            "You compare with the geometric mean, which is 0 wherever one of them is; take (p + q) / 2.",
            _divergence_from(lambda p, q: (p * q).sqrt()),
        ),
        Mistake(
            "reversed",
            "You computed KL(m || p) and KL(m || q); the mean m comes second, so that nothing is infinite.",
            _divergence_reversed,
        ),
        Mistake(
            "logarithm left out of kl_div",
            "You give F.kl_div the mean itself; its first argument is a logarithm.",
            _divergence_no_log,
        ),
        Mistake(
            "mean over outcomes",
            "You take the mean over the outcomes; a divergence sums over them.",
            lambda p, q: jensen_shannon(p, q) / len(p),
        ),
        Mistake("one value an outcome", "You return one value for each outcome; sum them.", _divergence_each),
        Mistake(
            "wrong sign",
            "Yours is negative, and a divergence never is: exchange what you subtract.",
            lambda p, q: -jensen_shannon(p, q),
        ),
        Mistake(
            "value of the game",
            "You return the value of the GAN's game, twice the divergence minus log 4; the divergence "
            "alone is asked for.",
            lambda p, q: 2 * jensen_shannon(p, q) - math.log(4),
        ),
        Mistake(
            "total variation",
            "You computed half the sum of |p - q|, the total variation; that has no logarithm in it.",
            lambda p, q: (p - q).abs().sum() / 2,
        ),
    ),
    pairs=(
        Pair("no half", "bits", lambda p, q: 2 * jensen_shannon(p, q) / math.log(2)),
        Pair("no half", "NaN at zeros", lambda p, q: 2 * _divergence_raw(p, q)),
        Pair("no half", "wrong sign", lambda p, q: -2 * jensen_shannon(p, q)),
    ),
)


# extragradient_step


def _step_cases(seed):
    """Games of several parameters: what turns around the balance, what is pulled to it, where the gradients grow no more."""
    g = torch.Generator().manual_seed(seed)

    def drawn(label, n, lr):
        turning = torch.randn(n, n, generator=g)
        return Case(
            label,
            (
                torch.randn(n, generator=g) * 2,
                turning - turning.T + 0.3 * torch.randn(n, n, generator=g),
                torch.randn(n, generator=g) * 0.5,
                lr,
            ),
        )

    circle = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    return [
        Case("two players of one parameter, in a circle", (torch.tensor([1.0, 0.0]), circle, torch.zeros(2), 0.5)),
        Case("the same, another step size", (torch.tensor([0.5, -2.0]), circle, torch.tensor([0.3, 0.0]), 0.2)),
        drawn("two parameters, drawn", 2, 0.7),
        drawn("five parameters", 5, 0.3),
        drawn("nine parameters, a large step", 9, 1.5),
    ]


def _step_of_a_game(function, point, turning, push, lr):
    """Call the function with the gradients of a small game as its field: turning @ parameters + push, softly limited."""
    import torch

    return function(lambda parameters: torch.tanh((turning @ parameters + push) / 3) * 3, point, lr)


def _ahead_and_back(field, point, lr):
    first = field(point)
    ahead = point - lr * first
    return ahead + lr * first - lr * field(ahead)


def _by_rounds(field, point, lr):
    seen = point
    for _ in range(2):
        seen = point - lr * field(seen)
    return seen


def _on_a_copy(field, point, lr):
    ahead = point.clone()
    ahead -= lr * field(ahead)
    after = point.clone()
    after -= lr * field(ahead)
    return after


def _parameter_by_parameter(field, point, lr):
    ahead = torch.stack([p - lr * g for p, g in zip(point, field(point))])
    return torch.stack([p - lr * g for p, g in zip(point, field(ahead))])


def _two_plain_steps(field, point, lr):
    ahead = point - lr * field(point)
    return ahead - lr * field(ahead)


def _thrice(field, point, lr):
    seen = point
    for _ in range(3):
        seen = point - lr * field(seen)
    return seen


def _half_the_players(field, point, lr):
    """The first half of the parameters looks ahead, the other stays with the first gradients."""
    plain = point - lr * field(point)
    half = len(point) // 2
    return torch.cat([extragradient_step(field, point, lr)[:half], plain[half:]])


EXTRAGRADIENT = Exercise(
    name="extragradient_step",
    lesson=23,
    points=3,
    minutes=12,
    docstring="""One extragradient step of a game: take a plain step to look ahead, then step from where you were with the gradients found there.

field: function that takes parameters (P,) and returns (P,): for every parameter the gradient of the loss of the player that owns it,
so that point - lr * field(point) is one plain gradient step of all players at once. point: (P,), the parameters of all players.
lr: number, the size of both steps. Returns (P,), the parameters after the step; point itself is left as it was.""",
    reference=extragradient_step,
    cases=_step_cases,
    call=_step_of_a_game,
    alternatives={
        "in one line": lambda field, point, lr: point - lr * field(point - lr * field(point)),
        "ahead, and the first step taken back": _ahead_and_back,
        "two rounds of a loop": _by_rounds,
        "in place, on copies": _on_a_copy,
        "parameter by parameter": _parameter_by_parameter,
        "torch.sub": lambda field, point, lr: torch.sub(
            point, field(torch.sub(point, field(point), alpha=lr)), alpha=lr
        ),
    },
    mistakes=(
        Mistake(
            "a plain step",
            "You step with the gradients of where you are; look ahead first, and use the gradients found there.",
            lambda field, point, lr: point - lr * field(point),
        ),
        Mistake(
            "two plain steps",
            "You take the second step from the point ahead; it starts where you were, only its gradients come from ahead.",
            _two_plain_steps,
        ),
        Mistake(
            "mean of both gradients",
            "You average the gradients of here and of ahead (Heun's method); only those of ahead count.",
            lambda field, point, lr: point - lr * (field(point) + field(point - lr * field(point))) / 2,
        ),
        Mistake(
            "half a step ahead",
            "You look only half a step ahead (the midpoint method); both steps have the size lr.",
            lambda field, point, lr: point - lr * field(point - lr / 2 * field(point)),
        ),
        Mistake(
            "looks back",
            "You look behind instead of ahead: the step to look with goes down the gradients as well, so subtract it.",
            lambda field, point, lr: point - lr * field(point + lr * field(point)),
        ),
        Mistake(
            "climbs",
            "You add the second step; each player descends its own loss, so subtract it.",
            lambda field, point, lr: point + lr * field(point - lr * field(point)),
        ),
        Mistake(
            "climbs twice",
            "You add both steps; the field holds gradients of losses, and losses are descended.",
            lambda field, point, lr: point + lr * field(point + lr * field(point)),
        ),
        Mistake(
            "no step size ahead",
            "You forget lr in the step that looks ahead.",
            lambda field, point, lr: point - lr * field(point - field(point)),
        ),
        Mistake(
            "no step size in the end",
            "You forget lr in the step that counts.",
            lambda field, point, lr: point - field(point - lr * field(point)),
        ),
        Mistake(
            "step size squared",
            "You multiply the last step by lr twice.",
            lambda field, point, lr: point - lr**2 * field(point - lr * field(point)),
        ),
        Mistake(
            "the change alone",
            "You return the change; the parameters after the step are asked for, so add it to point.",
            lambda field, point, lr: -lr * field(point - lr * field(point)),
        ),
        Mistake(
            "the gradients alone",
            "You return the gradients ahead; step with them.",
            lambda field, point, lr: field(point - lr * field(point)),
        ),
        Mistake(
            "from the place the step reaches",
            "You give the field the step instead of the place that it leads to: point minus lr times the gradients.",
            lambda field, point, lr: point - lr * field(-lr * field(point)),
        ),
        Mistake(
            "looks ahead twice",
            "You look ahead from ahead once more; one look is enough.",
            _thrice,
        ),
        Mistake(
            "one player looks ahead",
            "Only one of your players uses the gradients of ahead; all parameters do.",
            _half_the_players,
        ),
        Mistake(
            "extrapolated from the past",
            "You take twice the gradients ahead minus those here; the gradients of ahead are used as they are.",
            lambda field, point, lr: point - lr * (2 * field(point - lr * field(point)) - field(point)),
        ),
    ),
    pairs=(
        Pair("climbs", "no step size ahead", lambda field, point, lr: point + lr * field(point - field(point))),
        Pair(
            "no step size ahead",
            "no step size in the end",
            lambda field, point, lr: point - field(point - field(point)),
        ),
        Pair("looks back", "no step size ahead", lambda field, point, lr: point - lr * field(point + field(point))),
    ),
)

EXERCISES = (DISCRIMINATOR, DIVERGENCE, EXTRAGRADIENT)
