"""Schedules: functions of the step that every learning rate is multiplied by."""

import math

import pytest
import torch

import aigc_lessons as al


class OneNumber(torch.nn.Module):
    """Keeps the learning rates of each step."""

    def __init__(self):
        super().__init__()
        self.weight, self.rates = torch.nn.Parameter(torch.ones(3)), []

    def optimizers(self):
        groups = [{"params": [self.weight], "lr": 0.5}, {"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.02}]
        return {"first": torch.optim.SGD(groups), "second": torch.optim.Adam([self.weight], lr=0.1)}

    def training_step(self, batch, optimizers):
        self.rates.append(tuple(group["lr"] for o in optimizers.values() for group in o.param_groups))
        return {"loss": self.weight.sum().detach()}


def rates(schedule, steps, **more):
    model = OneNumber()
    al.fit(model, torch.zeros(20, 1), steps=steps, batch_size=4, schedule=schedule, **more)
    return model.rates


@pytest.mark.parametrize("steps, warmup", [(1, 0), (8, 0), (8, 3), (8, 7), (100, 10)])
def test_half_a_cosine_after_a_straight_rise(steps, warmup):
    """Written out again from the articles: the angle runs from 0 to pi over the steps that the rise leaves."""
    factor = al.training.cosine(steps, warmup=warmup)
    want = [(k + 1) / (warmup + 1) for k in range(warmup)]
    want += [
        math.cos(math.pi * k / (2 * (steps - warmup))) ** 2 for k in range(steps - warmup)
    ]  # cos^2(x / 2) = (1 + cos x) / 2
    assert [factor(k) for k in range(steps)] == pytest.approx(want, abs=1e-12)
    assert factor(warmup) == 1 and all(0 < factor(k) <= 1 for k in range(steps))
    assert [factor(k) for k in (steps, steps + 1, 10 * steps)] == pytest.approx([0, 0, 0], abs=1e-12)
    around = [factor(k) for k in range(max(warmup - 1, 0), steps + 3)]
    assert around[int(warmup > 0) :] == sorted(around[int(warmup > 0) :], reverse=True)


def test_the_default_has_no_rise():
    assert [al.training.cosine(5)(k) for k in range(7)] == [al.training.cosine(5, warmup=0)(k) for k in range(7)]


@pytest.mark.parametrize("steps, warmup", [(0, 0), (-3, 0), (8, 8), (8, 9), (8, -1)])
def test_lengths_that_are_refused(steps, warmup):
    with pytest.raises(
        ValueError,
        match=rf"cosine\({steps}, warmup={warmup}\): accepted are steps above 0, and a warmup of 0 or more that is shorter",
    ):
        al.training.cosine(steps, warmup=warmup)


def test_every_rate_of_every_optimizer_is_multiplied():
    factor = al.training.cosine(8, warmup=3)
    got = rates(factor, 8)
    assert len(got) == 8
    for k, three in enumerate(got):
        assert three == pytest.approx([factor(k) * lr for lr in (0.5, 0.02, 0.1)], rel=1e-12)
    assert rates(None, 3) == [(0.5, 0.02, 0.1)] * 3


@pytest.mark.parametrize(
    "schedule",
    [
        lambda step: 1 / (1 + step),
        lambda step: 1.5**step,
        lambda step: 1 / (8 - step),
        [1.0, 0.5, 0.25, 2.0].__getitem__,
        lambda step: math.sqrt(5 - step),
        lambda step: {0: 1, 1: 1, 2: 0, 3: 3}[step],
        lambda step: step < 2,
    ],
)
def test_any_function_is_accepted(schedule, tmp_path):
    """Those too that have no answer far beyond the run, where nobody asks them."""
    got = rates(schedule, 4, checkpoint=tmp_path / "run.pt")
    assert [r[0] for r in got] == pytest.approx([0.5 * schedule(k) for k in range(4)], rel=1e-12)


@pytest.mark.parametrize("at", [1, 3, 7])
def test_two_halves_have_exactly_the_rates_of_the_whole(tmp_path, at):
    schedule = al.training.cosine(8, warmup=3)
    whole = rates(schedule, 8)
    first = rates(schedule, at, checkpoint=tmp_path / "run.pt")
    second = rates(al.training.cosine(8, warmup=3), 8, checkpoint=tmp_path / "run.pt")
    assert len(first) == at and first + second == whole


def test_an_interrupted_run_goes_on_at_the_rate_at_which_it_stopped(tmp_path):
    def stop(model):
        raise KeyboardInterrupt

    schedule = al.training.cosine(8)
    first = rates(schedule, 8, checkpoint=tmp_path / "run.pt", measure=stop, measure_every=3)
    assert len(first) == 3 and first + rates(schedule, 8, checkpoint=tmp_path / "run.pt") == rates(schedule, 8)


def test_a_run_by_the_clock_may_have_one():
    got = []
    model = OneNumber()
    al.fit(
        model,
        torch.zeros(20, 1),
        minutes=0.002,
        batch_size=4,
        schedule=lambda step: (got.append(step), 1 / (1 + step))[1],
    )
    assert [r[0] for r in model.rates] == pytest.approx([0.5 / (1 + k) for k in range(len(model.rates))])


def test_a_schedule_matters():
    """With a rate of 0 nothing is learnt; with the usual one something is."""
    nets = []
    for schedule in (None, lambda step: 0.0, lambda step: 1.0):
        torch.manual_seed(0)
        nets.append(al.models.VAE((1, 8, 8), latent_dim=2, width=2))
        before = nets[-1].encoder[0].weight.detach().clone()
        al.fit(nets[-1], torch.rand(20, 1, 8, 8), steps=3, batch_size=4, schedule=schedule)
        assert torch.equal(nets[-1].encoder[0].weight.detach().cpu(), before) == (len(nets) == 2)
