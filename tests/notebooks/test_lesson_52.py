"""What lesson 52 says of exact things: the best single answer to an outline, and how its formulas are used."""

from pathlib import Path

import nbformat
import pytest
import torch

import aigc_lessons as al

LESSON = Path(__file__).resolve().parents[2] / "notebooks" / "52_bias_and_memory.ipynb"


@pytest.fixture(scope="module")
def best_answers():
    """The function as the lesson defines it."""
    found = {"torch": torch}
    for cell in nbformat.read(LESSON, 4).cells:
        if cell.cell_type == "code" and "def best_answers(" in cell.source:
            exec(cell.source[cell.source.index("def best_answers(") :].split("\n\n\n")[0], found)
    return found["best_answers"]


@pytest.fixture(scope="module")
def five_tones():
    ds = al.data.load("emoji", variant="tones", size=16, split="test")
    assert (ds.attributes["tone"].view(-1, 5) == torch.arange(5)).all()  # the lesson reads them five by five
    return ds.images.unflatten(0, (-1, 5))


def test_outlines_do_not_show_the_tone():
    lines = al.data.load("emoji", variant="tones", size=32, layer="line").images.unflatten(0, (-1, 5))
    assert (lines - lines[:, :1]).abs().max() == 0


@pytest.mark.parametrize("shares, tone", [([0.6, 0.1, 0.1, 0.1, 0.1], 0), ([0.1, 0.1, 0.1, 0.1, 0.6], 4)])
def test_the_answer_of_least_absolute_error_is_the_majoritys_picture(best_answers, five_tones, shares, tone):
    assert torch.equal(best_answers(five_tones, torch.tensor(shares)), five_tones[:, tone])


def test_with_equal_shares_it_is_the_median_and_no_other_value_pays_less(best_answers, five_tones):
    equal = torch.full((5,), 0.2)
    answer = best_answers(five_tones, equal)
    assert torch.equal(answer, five_tones.median(1).values)
    paid = lambda c: (five_tones - c[:, None]).abs().mean(1)
    for step in (-0.3, -0.01, 0.01, 0.3):
        assert (paid(answer + step) >= paid(answer) - 1e-6).all()


def test_a_draw_by_weight_has_the_shares_that_were_wished_for():
    labels = (torch.arange(2_000) % 10 == 0).long()
    weights = al.data.reweight(labels, [0.5, 0.5])
    drawn = labels[torch.multinomial(weights, 20_000, replacement=True, generator=torch.Generator().manual_seed(0))]
    assert abs(drawn.float().mean() - 0.5) < 0.015
    assert al.data.effective_size(weights) == pytest.approx(1 / (0.25 / 1_800 + 0.25 / 200))
