"""Exercises in which something is trained: what is accepted, what is refused, and that nothing forged gets through."""

import base64
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load, save

import aigc_lessons as al
from aigc_lessons import data, diffusion, flows
from aigc_lessons.exercises import trained
from aigc_lessons.exercises.banks.trained import spiral
from aigc_lessons.exercises.trained import Training

NAMES = ("train_classifier", "train_vae", "train_gan", "train_denoiser", "train_straight_flow")


def brightness(model, seed):
    """A measure that takes no time: the weight itself."""
    return model.weight.mean().item() + 0.001 * (seed % 2)


TOY = Training(
    "toy", 13, "Train it.", 2, 5, lambda: torch.nn.Linear(3, 1, bias=False), "", brightness, "weight", 0.5, True
)


def toy(value):
    net = torch.nn.Linear(3, 1, bias=False)
    torch.nn.init.constant_(net.weight, value)
    return net


@pytest.mark.parametrize("value, outcome, points", [(0.75, "correct", 2), (0.25, "wrong", 0), (0.4985, "wrong", 0)])
def test_the_measure_decides(value, outcome, points):
    result = trained.check_training(TOY, toy(value))
    assert (result.outcome, result.points) == (outcome, points)
    assert f"{torch.tensor(value).half().item():.4g}" in result.message


def test_less_may_be_better():
    exercise = Training(*(*vars(TOY).values(),)[:-1], higher=False)
    assert [trained.check_training(exercise, toy(v)).outcome for v in (0.25, 0.75)] == ["correct", "wrong"]


def test_a_stub_is_not_attempted():
    def stub():
        raise NotImplementedError("toy: write your answer here")

    result = trained.check_training(TOY, stub)
    assert (result.outcome, result.code) == ("not_attempted", "empty") and TOY.docstring in result.message


def test_an_answer_may_be_a_function_that_trains():
    assert trained.check_training(TOY, lambda: toy(0.75)).outcome == "correct"
    broken = trained.check_training(TOY, lambda: 1 / 0)
    assert broken.outcome == "error" and "ZeroDivisionError" in broken.message


@pytest.mark.parametrize(
    "answer, says",
    [
        (torch.nn.Linear(4, 1, bias=False), "1 tensors differ, such as 'weight': (1, 4) where (1, 3)"),
        (torch.nn.Linear(3, 1), "such as 'bias': (1,) where nothing"),
        ({}, "absent where (1, 3)"),
        (toy(float("nan")), "infinities or NaN"),
        (toy(1e6), "infinities or NaN"),  # in half precision
        (7, "It got a int"),
        ({"weight": 7}, "It got a dict"),
    ],
)
def test_what_cannot_be_measured_is_an_error_that_says_why(answer, says):
    result = trained.check_training(TOY, answer)
    assert (result.outcome, result.points) == ("error", 0) and says in result.message


def test_a_state_and_a_model_are_the_same_answer():
    model = toy(0.75)
    assert trained.check_training(TOY, model).weights == trained.check_training(TOY, model.state_dict()).weights


def test_what_is_handed_in_is_found_in_the_notebook_and_judged_the_same():
    first, last = (trained.check_training(TOY, toy(v)) for v in (0.25, 0.75))
    markup = "".join(r._repr_mimebundle_()["text/html"] for r in (first, last))
    found = trained.handed_in(markup)
    assert found == {"toy": last.weights}
    assert trained.judge_training(TOY, found["toy"], 1).outcome == "correct"
    assert load(found["toy"])["weight"].dtype == torch.float16


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"no file",
        save({"weight": torch.ones(1, 3, dtype=torch.bool)}),
        save({"weight": torch.ones(1, 3)}) + b"x",
    ],
    ids=["empty", "text", "yes or no", "longer than it says"],
)
def test_a_forged_file_is_an_error(blob):
    markup = f'<div data-exercise="toy" data-weights="{base64.b64encode(blob).decode()}">'
    assert trained.judge_training(TOY, trained.handed_in(markup)["toy"], 0).outcome == "error"


def test_a_file_that_is_too_long_is_not_even_parsed(monkeypatch):
    monkeypatch.setattr(trained, "load", None)
    assert "accepted are 2,000,000" in trained.judge_training(TOY, bytes(trained.LARGEST + 1), 0).message


@pytest.mark.parametrize("name", NAMES)
def test_an_untrained_model_fails(name):
    exercise = al.exercises.get(name)
    al.seed_everything(0)
    result = al.exercises.check(name, exercise.build())
    assert result.outcome == "wrong" and result.points == 0
    assert len(result.weights) < trained.LARGEST / 2
    given = trained.handed_in(result._repr_mimebundle_()["text/html"])[name]
    assert trained.judge_training(exercise, given, 0).message == result.message


HALF = {  # steps, a few seconds in all
    "train_classifier": 60,
    "train_vae": 60,
    "train_gan": 12,
    "train_denoiser": 20,
    "train_straight_flow": 60,
}


def trained_for(steps, name, model, paired=True):
    if name != "train_straight_flow":
        digits = (
            data.load("digits-8x8", size=8)[:1437] if name == "train_denoiser" else data.load("digits", split="train")
        )
        al.fit(model, digits, steps=steps, progress=False)
        return
    optimizer, generator = torch.optim.Adam(model.parameters(), lr=3e-3), torch.Generator().manual_seed(0)
    for _ in range(steps):
        x, noise, t = spiral(128, generator), torch.randn(128, 2), torch.rand(128)
        if paired:
            noise = noise[flows.pair_by_transport(x, noise)]
        optimizer.zero_grad()
        flows.flow_loss(model(flows.interpolate(x, noise, t), t), x, noise).backward()
        optimizer.step()


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_stops_early_fails(name):
    """It has learnt something, by the measure, and not enough."""
    exercise = al.exercises.get(name)
    al.seed_everything(0)
    model = exercise.build()
    before = exercise.measure(model.eval(), 0)
    trained_for(HALF[name], name, model)
    result = al.exercises.check(name, model)
    assert result.outcome == "wrong" and "not there yet" in result.message
    after = exercise.measure(model.eval(), 0)
    assert (after > before) == exercise.higher


def test_two_steps_are_too_few_for_pairs_as_they_are_drawn():
    """Half the steps of an honest run and both kinds of pairs: the one reaches the target, the other is far from it."""
    exercise, distances = al.exercises.get("train_straight_flow"), {}
    for paired in (True, False):
        al.seed_everything(0)
        model = exercise.build()
        trained_for(750, "train_straight_flow", model, paired)
        distances[paired] = exercise.measure(model.eval(), 0)
    assert distances[True] < exercise.target < 4 * exercise.target < distances[False]


def test_what_guesses_must_beat_is_as_the_exercise_says():
    """The formula that knows the first 1,437 digits, whole and through windows, in the network's place."""
    exercise, known = al.exercises.get("train_denoiser"), data.load("digits-8x8", size=8)[:1437].images
    guessers = {
        "is 0.099": lambda x, a, s: diffusion.exact_denoiser(x.flatten(1), a, s, known.flatten(1)).view_as(x),
        "is 0.077": lambda x, a, s: diffusion.windowed_denoiser(x, a, s, known, 5),
    }
    for says, guess in guessers.items():
        model = SimpleNamespace(denoiser=lambda guess=guess: lambda x, t: guess(x, *map(float, diffusion.schedule(t))))
        assert f"is {exercise.measure(model, 0):.3f}" == says and says in exercise.docstring


def test_targets_lie_between_runs_that_were_measured():
    """The worst of several honest runs, and the best of several that stop too early: see the comments beside the targets."""
    measured = {
        "train_classifier": (0.961, 0.947),
        "train_vae": (52.66, 61.10),
        "train_gan": (61.13, 111.81),
        "train_denoiser": (0.0649, 0.0753),
        "train_straight_flow": (0.0566, 0.0910),
    }
    for name, (honest, half) in measured.items():
        exercise = al.exercises.get(name)
        assert exercise.reached(honest) and not exercise.reached(half)
