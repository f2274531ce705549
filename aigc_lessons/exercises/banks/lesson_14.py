"""The exercises of lesson 14: dropout, early stopping."""

import numpy as np
import torch
import torch.nn.functional as F

from ...ops import dropout
from ...training.early_stopping import early_stop
from ..engine import Case, Exercise, Mistake, Pair

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
    lesson=14,
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
    pairs=(
        Pair("mask inverted", "no scaling", lambda x, p, keep: x * (1 - keep)),
        Pair("mask inverted", "divided by p", lambda x, p, keep: x * (1 - keep) / torch.tensor(p)),
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
    lesson=14,
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
    pairs=(
        Pair("one epoch too patient", "counts from 1", lambda losses, patience: early_stop(losses, patience + 1) + 1),
        Pair("a tie counts", "counts from 1", lambda losses, patience: _stop_tie_counts(losses, patience) + 1),
    ),
)

EXERCISES = (DROPOUT, STOP)
