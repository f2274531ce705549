"""early_stop against a literal simulation of training, on every short sequence."""

import itertools

import pytest

from aigc_lessons.training import early_stop


def simulate(losses, patience):
    best, best_epoch, waited = float("inf"), None, 0
    for epoch, loss in enumerate(losses):
        if loss < best:
            best, best_epoch, waited = loss, epoch, 0
        else:
            waited += 1
            if waited == patience:
                return best_epoch
    return best_epoch


@pytest.mark.parametrize("patience", [1, 2, 3, 7])
def test_all_sequences_of_up_to_six_epochs_with_four_levels(patience):
    for n in range(1, 7):
        for losses in itertools.product((-1.0, 0.0, 0.5, 2.0), repeat=n):
            assert early_stop(losses, patience) == simulate(losses, patience), losses


@pytest.mark.parametrize("losses, patience", [([], 1), ([1.0], 0), ([1.0], -2)])
def test_nothing_to_stop(losses, patience):
    with pytest.raises(ValueError, match="at least one loss and patience 1"):
        early_stop(losses, patience)
