"""Every interval of evaluate holds what it should about 95 times in 100, on fresh pairs of sets whose distribution is known."""

import pytest
import torch

from aigc_lessons import metrics
from aigc_lessons.metrics import evaluation, frechet, kernel, neighbours

FEATURES, CLASSES = 6, 4
PAIRS, MORE = 60, 120  # pairs whose intervals are asked; further pairs that tell where the measure lies on average


def network(pixels):
    """Pictures 1x8x8 whose first pixels are the features and whose next ones are the logits."""
    numbers = pixels.flatten(1).float() / 127.5 - 1
    return 3 * numbers[:, :FEATURES], 12 * numbers[:, FEATURES : FEATURES + CLASSES]


def pictures(n, shift, spread, sharpness, g):
    """n pictures whose features are normal, and whose class is drawn with unequal probabilities and read with noise."""
    images = torch.zeros(n, 1, 64)
    images[..., :FEATURES] = shift + spread * torch.randn(n, 1, FEATURES, generator=g) / 3
    labels = torch.multinomial(torch.tensor([0.4, 0.3, 0.2, 0.1]), n, True, generator=g)
    logits = 0.25 * torch.randn(n, CLASSES, generator=g)
    logits[torch.arange(n), labels] += sharpness
    images[:, 0, FEATURES : FEATURES + CLASSES] = logits
    return images.clamp(-1, 1).view(n, 1, 8, 8), labels


@pytest.fixture
def eyes(monkeypatch):
    monkeypatch.setattr(evaluation, "_eyes", lambda *given: (network, 1.0, CLASSES, None))
    monkeypatch.setattr(evaluation, "device", lambda: torch.device("cpu"))
    monkeypatch.setattr(evaluation, "has_cuda", lambda: False)


APART = dict(n=90, m=140, shift=0.25, spread=0.7, sharpness=0.2)
ALIKE = dict(n=100, m=100, shift=0.0, spread=1.0, sharpness=0.9)
MANY = dict(n=150, m=150, shift=0.15, spread=0.85, sharpness=0.5)


def few_at_a_time(monkeypatch):
    """The ways of many thousands of pictures, at 150: subsets, groups, and intervals from a part."""
    monkeypatch.setattr(kernel, "SUBSET", 50)
    monkeypatch.setattr(frechet, "MANY", 100)
    monkeypatch.setattr(frechet, "GROUPS", 50)
    monkeypatch.setattr(neighbours, "RESAMPLED", 80)
    monkeypatch.setattr(evaluation, "AMONG", 120)


def times_covered(case):
    """{measure: how many of PAIRS intervals hold the mean of all pairs' values}."""
    given = dict(case)
    n, m = given.pop("n"), given.pop("m")
    reports = []
    for seed in range(PAIRS + MORE):
        g = torch.Generator().manual_seed(seed)
        generated, labels = pictures(n, **given, g=g)
        real, _ = pictures(m, 0.0, 1.0, 0.9, g)
        reports.append(metrics.evaluate(generated, real, labels=labels, repeats=80 if seed < PAIRS else 1))
    found = {}
    for name in reports[0].measures:
        all_of_it = [getattr(report, name) for report in reports]
        mean = sum(measure.value for measure in all_of_it) / len(all_of_it)
        found[name] = sum(measure.low <= mean <= measure.high for measure in all_of_it[:PAIRS])
    return found


@pytest.mark.parametrize(
    "case, many", [(APART, False), (ALIKE, False), (MANY, True)], ids=["apart", "one distribution", "many"]
)
def test_every_interval_covers_the_mean_of_its_measure(eyes, monkeypatch, case, many):
    """At a true 95 %, fewer than 51 of 60 come once in 1,000. The mean is that of 180 pairs, whose own error is 0.07 of the spread."""
    if many:
        few_at_a_time(monkeypatch)
    covered = times_covered(case)
    assert set(covered) == {
        "fid",
        "kid",
        "inception_score",
        "precision",
        "recall",
        "density",
        "coverage",
        "modes",
        "accuracy",
    }
    assert all(0.85 * PAIRS <= count <= PAIRS for count in covered.values()), covered
