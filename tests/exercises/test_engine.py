"""What `check` says: the four outcomes, the reports, and what it leaves as it was."""

import dataclasses
import inspect
import random
import re
import sys

import numpy as np
import pytest
import torch

import aigc_lessons as al
from aigc_lessons import losses, ops
from aigc_lessons.exercises.engine import Case, Exercise, judge, prepare
from aigc_lessons.models.dcgan import gan_step

check = al.exercises.check


# Outcomes


def test_a_correct_answer_earns_all_points():
    result = check("conv2d", ops.conv2d)
    assert (result.outcome, result.mistake, result.hint) == ("correct", None, None)
    assert result.points == al.exercises.get("conv2d").points
    assert repr(result) == result.message == "conv2d: correct. 4 of 4 points."


def raising_stub(x, weight, bias=None, stride=1, padding=0):
    """Cross-correlation."""
    raise NotImplementedError("conv2d: write your answer here")


def docstring_stub(x, weight, bias=None, stride=1, padding=0):
    """Cross-correlation."""


def pass_stub(x, weight, bias=None, stride=1, padding=0):
    pass


def dots_stub(x, weight, bias=None, stride=1, padding=0):
    """Cross-correlation."""
    ...


@pytest.mark.parametrize("stub", (raising_stub, docstring_stub, pass_stub, dots_stub))
def test_an_untouched_stub_is_not_attempted(stub):
    result = check("conv2d", stub)
    assert (result.outcome, result.points, result.mistake) == ("not_attempted", 0, None)
    assert "conv2d(x, weight, bias=None, stride=1, padding=0)" in result.message


def test_a_constant_is_an_attempt():
    def receptive_field(layers):
        return 7

    assert check("receptive_field", receptive_field).outcome == "wrong"


def test_torch_lacking_something_is_an_error_not_an_empty_stub():
    def warp(image, matrix):
        raise NotImplementedError("Could not run 'aten::x' with arguments from the 'CPU' backend")

    assert check("warp", warp).outcome == "error"


def test_an_exception_shows_the_learners_own_line():
    def conv2d(x, weight, bias=None, stride=1, padding=0):
        kernel = weight.reshape(7, 1000)
        return torch.nn.functional.conv2d(x, kernel)

    result = check("conv2d", conv2d)
    line = conv2d.__code__.co_firstlineno + 1
    assert (result.outcome, result.points, result.mistake) == ("error", 0, None)
    assert f"line {line}: kernel = weight.reshape(7, 1000)" in result.message
    assert "RuntimeError: shape '[7, 1000]' is invalid" in result.message


def test_an_exception_inside_a_library_shows_the_line_that_called_it():
    def conv2d(x, weight, bias=None, stride=1, padding=0):
        return torch.nn.functional.pad(x, "wide")

    result = check("conv2d", conv2d)
    line = conv2d.__code__.co_firstlineno + 1
    assert f'line {line}: return torch.nn.functional.pad(x, "wide")' in result.message


def test_exit_is_an_error_and_an_interrupt_passes():
    assert check("flip_horizontal", lambda image: sys.exit(0)).outcome == "error"

    def interrupted(image):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("flip_horizontal", interrupted)


@pytest.mark.parametrize(
    "function", (lambda x: x, lambda x, weight, bias, stride, padding: x, lambda x, weight, bias=None: x)
)
def test_the_wrong_arguments_show_the_signature(function):
    result = check("conv2d", function)
    assert result.outcome == "error"
    assert "def conv2d(x, weight, bias=None, stride=1, padding=0):" in result.message


def test_bad_use_says_what_to_do():
    with pytest.raises(TypeError, match=r'without brackets: check\("warp", warp\)'):
        check("warp", torch.zeros(3))
    with pytest.raises(ValueError, match="Did you mean 'conv2d'.*flip_horizontal"):
        check("conv2", ops.conv2d)
    with pytest.raises(TypeError, match="name of an exercise is a string"):
        check(ops.conv2d, "conv2d")
    with pytest.raises(ValueError, match="Lessons with exercises: 11, 12, 13, 14"):
        al.exercises.names(99)


# Wrong answers


def test_a_known_mistake_is_named():
    def conv2d(x, weight, bias=None, stride=1, padding=0):  # written anew, not taken from the bank
        flipped = torch.flip(weight, dims=(2, 3))
        return torch.nn.functional.conv2d(x, flipped, bias, stride, padding)

    result = check("conv2d", conv2d)
    assert (result.outcome, result.mistake, result.points) == ("wrong", "flipped kernel", 0)
    assert result.hint in result.message


def test_an_unknown_mistake_shows_the_smallest_case():
    result = check(
        "conv2d", lambda x, weight, bias=None, stride=1, padding=0: 1.5 * ops.conv2d(x, weight, bias, stride, padding)
    )
    assert (result.outcome, result.mistake, result.hint) == ("wrong", None, None)
    assert "wrong in 8 of 8 cases" in result.message
    assert "x = [[[[1, 2, 3], [5, 8, 4]]]], shape (1, 1, 2, 3)" in result.message
    assert "expected [[[[5, 8], [21, 16]]]], shape (1, 1, 2, 2)" in result.message
    assert "got      [[[[7.5, 12], [31.5, 24]]]], shape (1, 1, 2, 2)" in result.message
    assert "result[0, 0, 1, 0] should be 21, and is 31.5" in result.message


def test_only_failing_cases_are_shown():
    def max_pool2d(x, kernel_size, stride):
        return ops.max_pool2d(x, kernel_size, stride) + (stride == 3 and kernel_size == 2)

    result = check("max_pool2d", max_pool2d)
    assert "wrong in 1 of 7 cases. The smallest one that fails: windows with gaps" in result.message
    assert "x = tensor of shape (2, 4, 8, 5)" in result.message


def test_a_message_is_plain_text_without_addresses_or_paths():
    class Odd:
        pass

    def odd(image):
        raise ValueError(f"got {Odd()}")

    functions = (odd, lambda image: Odd(), lambda image: image + 1 / 3, raising_stub)
    for message in (check("flip_horizontal", f).message for f in functions):
        assert not re.search(r"\x1b|0x[0-9a-f]{4}|/\w+/\w+|\d\.\d{5}", message), message


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda t: None, "the return line is missing"),
        (lambda t: t.long(), "torch.int64, where a tensor of floats is expected"),
        (lambda t: t > 0, "torch.bool, where a tensor of floats is expected"),
        (lambda t: t + 0j, "torch.complex64, where a tensor of floats is expected"),
        (lambda t: t.tolist(), "a list, where a tensor of floats is expected"),
        (lambda t: t[..., None], r"The shape should be \(2, 3\), and is \(2, 3, 1\)"),
        (lambda t: t * float("nan"), "and is nan"),
    ],
)
def test_what_cannot_be_compared_is_said(value, said):
    def rotation_matrix(degrees):
        result = ops.rotation_matrix(degrees)
        return value(result)

    result = check("rotation_matrix", rotation_matrix)
    assert result.outcome == "wrong" and re.search(said, result.message), result.message


@pytest.mark.parametrize(
    "convert", (lambda t: t.numpy(), lambda t: t.double(), lambda t: np.asfortranarray(t.double().numpy()))
)
def test_arrays_and_double_precision_are_accepted(convert):
    assert check("rotation_matrix", lambda degrees: convert(ops.rotation_matrix(degrees))).outcome == "correct"


@pytest.mark.parametrize("convert", (torch.tensor, np.int64, float, np.float64, np.array))
def test_a_whole_number_may_come_in_many_types(convert):
    assert check("receptive_field", lambda layers: convert(ops.receptive_field(layers))).outcome == "correct"


@pytest.mark.parametrize(
    "convert", (bool, np.bool_, lambda n: torch.tensor(n > 0), lambda n: [n], lambda n: torch.tensor([n]))
)
def test_a_whole_number_is_no_truth_value_and_no_list(convert):
    assert check("receptive_field", lambda layers: convert(ops.receptive_field(layers))).outcome == "wrong"


# Gradients, and what is left as it was


def test_no_gradient_is_asked_of_loops_and_numpy():
    assert check("conv2d", lambda *args, **kwargs: ops.conv2d(*args, **kwargs).detach().numpy()).outcome == "correct"


def test_a_gradient_that_exists_must_be_right():
    def conv2d(x, weight, bias=None, stride=1, padding=0):
        x = 2 * x - x.detach()
        return ops.conv2d(x, weight, bias, stride, padding)

    result = check("conv2d", conv2d)
    assert result.outcome == "wrong" and "gradient that reaches input 1" in result.message


@pytest.mark.parametrize("cut", (torch.Tensor.detach, torch.Tensor.item, lambda loss: np.float32(loss.item())))
def test_a_loss_must_carry_a_gradient(cut):
    result = check("cross_entropy", lambda logits, target: cut(losses.cross_entropy(logits, target)))
    assert (result.outcome, result.mistake) == ("wrong", "breaks the graph")


def in_place_dropout(x, p, keep):
    x *= keep
    return x / (1 - p)


def popping(layers):
    field = 1
    while layers:
        kernel, stride = layers.pop()
        field = (field - 1) * stride + kernel
    return field


@pytest.mark.parametrize(("name", "function"), [("dropout", in_place_dropout), ("receptive_field", popping)])
def test_changing_the_input_is_named(name, function):
    result = check(name, function)
    assert (result.outcome, result.mistake, result.points) == ("wrong", "changes its input", 0)


def test_the_answer_cannot_move_the_reference():
    def conv2d(x, weight, bias=None, stride=1, padding=0):
        x.zero_(), weight.zero_()
        return ops.conv2d(x, weight, None, stride, padding)

    assert check("conv2d", conv2d).outcome == "wrong"


def test_random_state_and_grad_mode_are_left_as_found():
    def meddling(image):
        torch.manual_seed(99)
        torch.rand(5)
        torch.set_grad_enabled(False)
        return image.flip(-1)

    torch.manual_seed(1)
    random.seed(1)
    before = torch.get_rng_state()
    with torch.no_grad():
        check("flip_horizontal", meddling)
        assert not torch.is_grad_enabled()
        assert check("cross_entropy", losses.cross_entropy).outcome == "correct"
    check("flip_horizontal", lambda image: image + torch.rand_like(image))
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_check_says_the_same_twice():
    def noisy(image):
        return image + torch.rand_like(image)

    assert check("flip_horizontal", noisy, seed=5).message == check("flip_horizontal", noisy, seed=5).message


# Several values


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda sigma, u: (sigma, u, u), "3 values, where 2 values are expected"),
        (lambda sigma, u: (), "0 values, where 2 values are expected"),
        (lambda sigma, u: {"sigma": sigma, "u": u}, "a dict, where 2 values are expected"),
        (lambda sigma, u: (sigma, u[None]), r"as value 2 of 2 shape \(1, 1\), where \(1,\) is expected"),
        (lambda sigma, u: (sigma[None], u), r"as value 1 of 2 shape \(1,\), where \(\) is expected"),
        (lambda sigma, u: (sigma, None), "as value 2 of 2 None"),
        (lambda sigma, u: (sigma.long(), u), "as value 1 of 2 a tensor of torch.int64"),
        (lambda sigma, u: (sigma, u.tolist()), "as value 2 of 2 a list, where a tensor of floats is expected"),
        (lambda sigma, u: (sigma, -u), r"The largest difference: result\[1\] should be -1, and is 1"),
        (lambda sigma, u: (2 * sigma - sigma.detach(), u), "gradient that reaches input 1"),
    ],
)
def test_what_is_wrong_with_one_of_several_values_is_said(change, said):
    result = check("spectral_norm", lambda weight, u, iterations: change(*ops.spectral_norm(weight, u, iterations)))
    assert (result.outcome, result.mistake) == ("wrong", None)
    assert re.search(said, result.message), result.message


@pytest.mark.parametrize("pack", (tuple, list))
@pytest.mark.parametrize("convert", (torch.clone, torch.Tensor.double))
def test_several_values_may_come_in_a_list(pack, convert):
    answer = lambda weight, u, iterations: pack(map(convert, ops.spectral_norm(weight, u, iterations)))
    assert check("spectral_norm", answer).outcome == "correct"


def test_the_gradient_of_one_of_several_values_is_asked_for():
    def cut(weight, u, iterations):
        sigma, u = ops.spectral_norm(weight, u, iterations)
        return sigma.item(), u

    result = check("spectral_norm", cut)
    assert (result.outcome, result.mistake) == ("wrong", "breaks the graph")


def statistics(x):
    return x.mean(), (x.min(), x.amax(0))


NESTED = Exercise(
    name="statistics",
    lesson=0,
    points=1,
    minutes=1,
    docstring="",
    reference=statistics,
    alternatives={},
    mistakes=(),
    cases=lambda seed: [Case("six numbers", (torch.tensor([[1.0, 2.0], [3.0, 7.0], [4.0, 5.0]]),), gradients=(0,))],
)


def test_tuples_in_tuples_are_compared_item_by_item():
    assert judge(NESTED, lambda x: [x.numpy().mean(), (x.min(), x.numpy().max(0))]).outcome == "correct"
    assert "as value 2 of 2 3 values, where 2" in judge(NESTED, lambda x: (x.mean(), (x.min(), *x.amax(0)))).message
    flat = judge(NESTED, lambda x: (x.mean(), x.min(), x.amax(0)))  # the same numbers in a row
    assert flat.outcome == "wrong" and "3 values, where 2 values are expected" in flat.message
    assert "should be 7, and is 5" in judge(NESTED, lambda x: (x.mean(), (x.min(), x[-1]))).message


# Functions that take networks


NETWORKS = [name for name in al.exercises.names() if getattr(al.exercises.get(name), "call", None)]


def test_some_exercises_take_networks():
    assert {"gan_step", "gradient_penalty"} <= set(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_built_with_torch_alone(name):
    """Its source, run apart from the course, calls the reference with the same result."""
    exercise, room = al.exercises.get(name), {}
    exec(inspect.getsource(exercise.call), room)
    apart = dataclasses.replace(exercise, call=room[exercise.call.__name__])
    for ours, theirs in zip(prepare(exercise, 0), prepare(apart, 0), strict=True):
        assert torch.equal(ours.value, theirs.value)
        assert all(map(torch.equal, ours.gradients, theirs.gradients))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "tokenize"])  # that one is given text
def test_the_reference_works_in_double_precision_and_the_answer_in_single(name):
    exercise, types = al.exercises.get(name), []

    def note(args):
        for value in args:
            weights = value.parameters() if isinstance(value, torch.nn.Module) else [value]
            types.extend(w.dtype for w in weights if isinstance(w, torch.Tensor) and w.is_floating_point())

    def answer(*args):
        note(args)
        result = exercise.reference(*args)
        if query := getattr(result, "query", None):  # a buffer, which is given its pictures later
            result.query = lambda *later: note(later) or query(*later)
        for net in result if isinstance(result, tuple) else (result,):  # a network to be built is asked later, too
            if isinstance(net, torch.nn.Module):
                net.register_forward_pre_hook(lambda module, inputs: note(inputs))
        return result

    assert judge(exercise, answer).outcome == "correct"
    assert set(types) == {torch.float32}
    types.clear()
    prepare(dataclasses.replace(exercise, reference=answer), 0)
    assert set(types) == {torch.float64}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_stub_among_networks_is_not_attempted(name):
    def stub(*args):
        raise NotImplementedError(f"{name}: write your answer here")

    result = check(name, stub)
    assert result.outcome == "not_attempted"
    assert al.exercises.get(name).signature in result.message and "function" not in al.exercises.get(name).signature


def test_the_wrong_arguments_among_networks_show_the_pinned_signature():
    for function in (lambda generator, discriminator: (0.0, 0.0), lambda a, b, c, d, e, f, g: (0.0, 0.0)):
        result = check("gan_step", function)
        assert result.outcome == "error"
        assert "def gan_step(generator, discriminator, opt_g, opt_d, real, noise):" in result.message
    assert check("gan_step", lambda g, d, og, od, x, z: (0.0, 0.0)).outcome == "wrong"  # called by position


def test_a_report_shows_what_the_networks_are_made_from():
    result = check("gan_step", lambda g, d, og, od, x, z: tuple(1.5 * v for v in gan_step(g, d, og, od, x, z)))
    assert "wrong in 5 of 5 cases" in result.message
    for line in ("generator_weight = [[0.5]], shape (1, 1)", "real = [[1]], shape (1, 1)", "lr_d = 0.5"):
        assert f"  {line}\n" in result.message


def test_an_exception_among_networks_shows_the_learners_own_line():
    def step(generator, discriminator, opt_g, opt_d, real, noise):
        return generator(noise.T.repeat(9, 1)), None

    result = check("gan_step", step)
    assert result.outcome == "error"
    assert f"line {step.__code__.co_firstlineno + 1}: return generator(noise.T.repeat(9, 1)), None" in result.message


@pytest.mark.parametrize("returned", (None, 0.5, (0.5,), (None, None), "losses"))
def test_a_step_that_returns_nothing_of_use_is_wrong(returned):
    result = check("gan_step", lambda *args: returned)
    assert result.outcome == "wrong" and re.search("as value 1 of 4 .*(None|float|1 values|str)", result.message), (
        result.message
    )


def test_networks_are_fresh_for_each_case_and_inputs_are_not_to_be_changed():
    """What an answer does to its networks stays without effect on the next case; what it does to `real` is noticed."""
    seen = []

    def step(generator, discriminator, opt_g, opt_d, real, noise):
        seen.append([p.detach().clone() for p in generator.parameters()])
        with torch.no_grad():
            for p in generator.parameters():
                p.fill_(7.0)
        real.fill_(7.0)
        return 0.0, 0.0

    assert check("gan_step", step).mistake == "changes its input"
    cases = al.exercises.get("gan_step").cases(0)
    assert len(seen) == 2 * len(cases)  # two steps on the same networks
    for (first, second), case in zip(zip(seen[::2], seen[1::2]), cases, strict=True):
        assert all(map(torch.equal, first, case.args[:2])) and all((p == 7).all() for p in second)


def test_a_penalty_without_a_graph_is_named_by_the_bank_and_not_by_the_engine():
    def forgot_create_graph(critic, real, fake, t):
        t = t.view(-1, *[1] * (real.ndim - 1))
        points = (t * real + (1 - t) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(points).sum(), points)
        return (gradient.flatten(1).norm(dim=1) - 1).square().mean()

    result = check("gradient_penalty", forgot_create_graph)
    assert (result.outcome, result.mistake) == ("wrong", "create_graph forgotten")


def test_an_answer_that_draws_among_networks_says_the_same_twice():
    def step(generator, discriminator, opt_g, opt_d, real, noise):
        return torch.rand(()).item(), 0.0

    messages = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        messages.append(check("gan_step", step).message)
        assert torch.equal(torch.get_rng_state(), before)
    assert messages[0] == messages[1]


def test_a_number_too_large_for_a_float_is_wrong_and_no_crash():
    result = al.exercises.check("receptive_field", lambda layers: 10**400)
    assert result.outcome == "wrong" and "too many digits" in result.message
