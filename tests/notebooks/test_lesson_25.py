"""Lesson 25's best critic, built in its cells without training: on other points than the lesson's it is what its text derives."""

from pathlib import Path

import nbformat
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment

LESSON = Path(__file__).resolve().parents[2] / "notebooks" / "25_wgan.ipynb"


@pytest.fixture(scope="module")
def cells():
    """The functions `carry` and `exact_critic`, as the lesson defines them."""
    found = {"torch": torch, "linear_sum_assignment": linear_sum_assignment}
    for cell in nbformat.read(LESSON, 4).cells:
        for name in ("carry", "exact_critic"):
            if cell.cell_type == "code" and f"def {name}(" in cell.source:
                definition = cell.source[cell.source.index(f"def {name}(") :].split("\n\n\n")[0]
                exec(definition, found)
    return found


def points(seed, n=12):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(2, n, 2, generator=g, dtype=torch.float64) * torch.tensor([[[2.0]], [[1.0]]])


@pytest.mark.parametrize("seed", range(5))
def test_its_objective_is_the_cost_of_the_cheapest_plan_and_no_slope_exceeds_1(cells, seed):
    real, fake = points(seed)
    plan, distance = cells["carry"](real, fake)
    critic = cells["exact_critic"](real, fake, plan)
    assert critic(real).mean() - critic(fake).mean() == pytest.approx(distance, abs=1e-9)
    places = 4 * torch.randn(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 100))
    rise = (critic(places)[:, None] - critic(places)).abs()
    assert (rise <= torch.cdist(places, places) + 1e-6).all()


@pytest.mark.parametrize("seed", range(5))
def test_its_gradient_has_length_1_and_points_from_each_fake_to_where_it_is_carried(cells, seed):
    real, fake = points(seed)
    plan, _ = cells["carry"](real, fake)
    critic = cells["exact_critic"](real, fake, plan)
    for t in (0.2, 0.5, 0.8):
        between = (t * real[plan] + (1 - t) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).sum(), between)
        torch.testing.assert_close(gradient, F.normalize(real[plan] - fake, dim=1), atol=1e-6, rtol=0)


def test_with_a_dearer_plan_it_is_no_best_critic(cells):
    real, fake = points(0)
    plan, distance = cells["carry"](real, fake)
    other = plan.roll(1)
    critic = cells["exact_critic"](real, fake, other)
    assert (real[other] - fake).norm(dim=1).mean() > distance + 0.1
    assert critic(real).mean() - critic(fake).mean() <= distance + 1e-9
