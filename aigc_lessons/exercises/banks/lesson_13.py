"""The exercises of lesson 13: cross-entropy, dropout, early stopping."""

import numpy as np
import torch
import torch.nn.functional as F

from ...losses import cross_entropy
from ...ops import dropout
from ...training.early_stopping import early_stop
from ..engine import Case, Exercise, Mistake

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
)


# dropout


def _dropout_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def mask(*shape, p):
        return (torch.rand(*shape, generator=g) >= p).float()

    def case(label, x, p, keep):
        return Case(label, (x, p, keep), gradients=(0,))

    return [
        case(
            "four values, one dropped, p = 0.5",
            torch.tensor([1.0, 2.0, -3.0, 4.0]),
            0.5,
            torch.tensor([1.0, 1.0, 0.0, 1.0]),
        ),
        case("p = 0, nothing dropped", torch.tensor([1.0, -2.0, 5.0]), 0.0, torch.ones(3)),
        case("p = 0.1", torch.randn(4, 5, generator=g) + 1, 0.1, mask(4, 5, p=0.1)),
        case("p = 0.8", torch.randn(3, 7, generator=g), 0.8, mask(3, 7, p=0.5)),
        case("a batch of pictures", torch.randn(2, 3, 4, 5, generator=g), 0.3, mask(2, 3, 4, 5, p=0.3)),
        case(
            "whole channels dropped",
            torch.randn(2, 3, 4, 5, generator=g),
            0.25,
            torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])[..., None, None],
        ),
    ]


DROPOUT = Exercise(
    name="dropout",
    lesson=13,
    points=2,
    minutes=5,
    differentiable=True,
    docstring="""Inverted dropout: set to zero what is not kept, and scale the rest so that the expected value stays what it was.

x: any shape. p: the probability in [0, 1) with which a value was dropped when `keep` was drawn.
keep: float mask of 0 and 1 that broadcasts to x; 1 keeps. Returns the shape of x.""",
    reference=dropout,
    cases=_dropout_cases,
    alternatives={
        "where": lambda x, p, keep: torch.where(keep > 0, x / (1 - p), torch.zeros_like(x)),
        "masked fill, then scale": lambda x, p, keep: x.masked_fill(keep == 0, 0).div(1 - p),
        "a scaled mask, float64": lambda x, p, keep: torch.einsum(
            "...,...->...", x.double(), keep.double() / (1.0 - p)
        ),
        "what is dropped taken away": lambda x, p, keep: (x - x * (1 - keep)) * (1 / (1 - p)),
    },
    mistakes=(
        Mistake(
            "no scaling",
            "You do not scale what is kept, so the mean shrinks; divide by 1 - p.",
            lambda x, p, keep: x * keep,
        ),
        Mistake(
            "scaled down",
            "You multiply by 1 - p; what is kept must grow to make up for what is dropped, so divide.",
            lambda x, p, keep: x * keep * (1 - p),
        ),
        Mistake(
            "divided by p",
            "You divide by p, the probability to drop; divide by 1 - p, the probability to keep.",
            lambda x, p, keep: x * keep / torch.tensor(p),
        ),
        Mistake(
            "mask inverted",
            "You keep what should be dropped: where `keep` is 1 the value stays.",
            lambda x, p, keep: dropout(x, p, 1 - keep),
        ),
        Mistake(
            "scaled by the mask's own mean",
            "You divide by the fraction that was kept this time; divide by 1 - p, which does not "
            "change from batch to batch.",
            lambda x, p, keep: x * keep / keep.mean(),
        ),
        Mistake("mask forgotten", "You scale, but drop nothing: multiply by `keep`.", lambda x, p, keep: x / (1 - p)),
        Mistake(
            "no dropping at all",
            "You return x itself, which is what dropout does at test time; here the mask applies.",
            lambda x, p, keep: x.clone(),
        ),
        Mistake(
            "scaled twice", "You divide by 1 - p twice; once is enough.", lambda x, p, keep: x * keep / (1 - p) ** 2
        ),
        Mistake(
            "square root",
            "You divide by the square root of 1 - p, which keeps the energy; dropout keeps the mean.",
            lambda x, p, keep: x * keep / (1 - p) ** 0.5,
        ),
        Mistake(
            "draws its own mask",
            "You draw a new mask; use the one you are given, so that the randomness is the caller's.",
            lambda x, p, keep: F.dropout(x, p),
        ),
        Mistake(
            "dropped values removed",
            "You leave dropped values out, which changes the shape; they stay in place as zeros.",
            lambda x, p, keep: x[keep.expand_as(x) > 0] / (1 - p),
        ),
        Mistake(
            "the mask alone",
            "You return the scaled mask; multiply it by x.",
            lambda x, p, keep: (x * 0 + 1) * keep / (1 - p),
        ),
    ),
)


# early_stop


def _stop_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def drawn(epochs):
        noisy = torch.linspace(1, 0, epochs) + 0.4 * torch.randn(epochs, generator=g)
        return [round(loss, 2) for loss in noisy.tolist()]

    return [
        Case("a single epoch", ([2.0], 3)),
        Case("the first epoch is the best", ([1.0, 2.0, 3.0, 4.0], 2)),
        Case("never stops", ([5.0, 4.0, 3.0, 2.0], 1)),
        Case("patience 1, and a better epoch too late", ([3.0, 2.0, 4.0, 1.0], 1)),
        Case("a tie is no improvement", ([3.0, 2.0, 2.0, 2.0, 1.0], 2)),
        Case("an improvement just in time", ([5.0, 3.0, 4.0, 6.0, 2.0, 7.0], 3)),
        Case("a better epoch just too late", ([5.0, 3.0, 4.0, 6.0, 7.0, 2.0], 3)),
        Case("a better epoch long after the stop", ([4.0, 2.0, 3.0, 5.0, 6.0, 7.0, 1.0], 2)),
        Case("falling again, but not below the best", ([6.0, 2.0, 5.0, 4.0, 3.0, 1.0], 3)),
        Case("two setbacks, patience counts anew", ([6.0, 5.0, 5.5, 4.0, 4.5, 3.0, 3.5, 2.0], 2)),
        Case("negative losses", ([-1.0, -2.0, -1.5, -3.0, -2.5, -2.0, -4.0], 2)),
        *(
            Case(f"{epochs} noisy epochs, patience {patience}", (drawn(epochs), patience))
            for epochs, patience in ((10, 2), (15, 3), (30, 4))
        ),
    ]


def _stop_by_counting(losses, patience):
    best, lowest, waited = 0, float("inf"), 0
    for epoch, loss in enumerate(losses):
        waited += 1
        if loss < lowest:
            best, lowest, waited = epoch, loss, 0
        if waited == patience:
            break
    return best


def _stop_by_jumping(losses, patience):
    """From each best epoch to the next better one within reach."""
    best = 0
    while True:
        better = [e for e in range(best + 1, min(best + patience + 1, len(losses))) if losses[e] < losses[best]]
        if not better:
            return best
        best = better[0]


def _stop_by_numpy(losses, patience):
    """Epochs that set a record; the first record that no other follows within `patience`."""
    lowest = np.minimum.accumulate(losses)
    records = np.flatnonzero(np.concatenate([[True], lowest[1:] < lowest[:-1]]))
    gaps = np.diff(np.append(records, np.iinfo(int).max))
    return records[np.argmax(gaps > patience)]


def _stop_recursively(losses, patience):
    lowest = min(losses[: patience + 1])
    if losses[0] == lowest:
        return 0
    first = next(e for e, loss in enumerate(losses) if loss < losses[0])
    return first + _stop_recursively(losses[first:], patience)


def _last_epoch(losses, patience):
    """The epoch after which training stops."""
    return min(early_stop(losses, patience) + patience, len(losses) - 1)


def _stop_tie_counts(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        if loss <= losses[best]:
            best = epoch
        elif epoch - best >= patience:
            break
    return best


def _stop_against_previous(losses, patience):
    """Improvement means better than the epoch before."""
    waited = 0
    for epoch in range(1, len(losses)):
        waited = 0 if losses[epoch] < losses[epoch - 1] else waited + 1
        if waited >= patience:
            return int(np.argmin(losses[: epoch + 1]))
    return int(np.argmin(losses))


def _stop_never_reset(losses, patience):
    best, waited = 0, 0
    for epoch, loss in enumerate(losses[1:], 1):
        if loss < losses[best]:
            best = epoch
        else:
            waited += 1
            if waited >= patience:
                break
    return best


def _stop_from_zero(losses, patience):
    """The lowest loss so far starts at 0."""
    best, lowest, waited = 0, 0.0, 0
    for epoch, loss in enumerate(losses):
        if loss < lowest:
            best, lowest, waited = epoch, loss, 0
        else:
            waited += 1
            if waited >= patience:
                break
    return best


STOP = Exercise(
    name="early_stop",
    lesson=13,
    points=3,
    minutes=10,
    docstring="""The best epoch seen by the time training stops for lack of improvement.

losses: list of validation losses, one an epoch, in order. patience: int, at least 1.
Training stops after `patience` epochs in a row without a new lowest loss; a tie is no improvement.
Returns the index of the best epoch seen until then, or in the whole list if it never stops.""",
    reference=early_stop,
    cases=_stop_cases,
    alternatives={
        "counting": _stop_by_counting,
        "jumping from best to best": _stop_by_jumping,
        "NumPy records": _stop_by_numpy,
        "recursion": _stop_recursively,
    },
    mistakes=(
        Mistake(
            "looks into the future",
            "You return the best epoch of the whole list; epochs after the stop are never seen.",
            lambda losses, patience: int(np.argmin(losses)),
        ),
        Mistake(
            "the epoch of the stop",
            "You return the epoch at which training stops; return the best one seen until then.",
            _last_epoch,
        ),
        Mistake(
            "the loss itself",
            "You return the lowest loss; return its index.",
            lambda losses, patience: losses[early_stop(losses, patience)],
        ),
        Mistake(
            "counts from 1",
            "You count epochs from 1; an index starts at 0.",
            lambda losses, patience: early_stop(losses, patience) + 1,
        ),
        Mistake("a tie counts", "You take an equal loss for an improvement; compare with <, not <=.", _stop_tie_counts),
        Mistake(
            "one epoch too patient",
            "You stop one epoch too late: after `patience` epochs without improvement, not one more.",
            lambda losses, patience: early_stop(losses, patience + 1),
        ),
        Mistake(
            "one epoch too hasty",
            "You stop one epoch too early: `patience` epochs without improvement must have passed.",
            lambda losses, patience: early_stop(losses, patience - 1) if patience > 1 else 0,
        ),
        Mistake(
            "compared with the epoch before",
            "You compare with the epoch before; compare with the best epoch so far.",
            _stop_against_previous,
        ),
        Mistake(
            "patience never restored",
            "You never set the count back to 0 after an improvement; epochs in a row are counted.",
            _stop_never_reset,
        ),
        Mistake(
            "lowest starts at 0",
            "Your lowest loss starts at 0, so no positive loss is an improvement; start at infinity.",
            _stop_from_zero,
        ),
        Mistake(
            "the largest loss",
            "You look for the largest value; the best epoch has the lowest loss.",
            lambda losses, patience: early_stop([-loss for loss in losses], patience),
        ),
        Mistake(
            "patience ignored",
            "You stop at the first epoch that is no improvement; wait for `patience` of them in a row.",
            lambda losses, patience: early_stop(losses, 1),
        ),
    ),
)

EXERCISES = (ENTROPY, DROPOUT, STOP)
