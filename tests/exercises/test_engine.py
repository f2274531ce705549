"""What `check` says: the four outcomes, the reports, and what it leaves as it was."""

import random
import re
import sys

import numpy as np
import pytest
import torch

import aigc_lessons as al
from aigc_lessons import losses, ops

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


@pytest.mark.parametrize("function", (lambda x: x, lambda x, weight, bias, stride, padding: x, lambda x, weight, bias=None: x))
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
    with pytest.raises(ValueError, match="Lessons with exercises: 11, 12, 13"):
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
    result = check("conv2d", lambda x, weight, bias=None, stride=1, padding=0: 1.5 * ops.conv2d(x, weight, bias, stride, padding))
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


@pytest.mark.parametrize("convert", (lambda t: t.numpy(), lambda t: t.double(), lambda t: np.asfortranarray(t.double().numpy())))
def test_arrays_and_double_precision_are_accepted(convert):
    assert check("rotation_matrix", lambda degrees: convert(ops.rotation_matrix(degrees))).outcome == "correct"


@pytest.mark.parametrize("convert", (torch.tensor, np.int64, float, np.float64, np.array))
def test_a_whole_number_may_come_in_many_types(convert):
    assert check("receptive_field", lambda layers: convert(ops.receptive_field(layers))).outcome == "correct"


@pytest.mark.parametrize("convert", (bool, np.bool_, lambda n: torch.tensor(n > 0), lambda n: [n], lambda n: torch.tensor([n])))
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
