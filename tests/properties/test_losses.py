"""losses against the library, closed forms, bounds and gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from aigc_lessons import losses


def drawn(n, k, scale=2.0, dtype=torch.float64, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, k, generator=g, dtype=dtype) * scale, torch.randint(k, (n,), generator=g)


# Cross-entropy


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "k"), [(1, 2), (4, 3), (3, 10), (7, 1)])
def test_cross_entropy_agrees_with_torch_in_value_and_gradient(n, k, dtype):
    logits, target = drawn(n, k, dtype=dtype)
    results = []
    for loss in (losses.cross_entropy, F.cross_entropy):
        tracked = logits.clone().requires_grad_()
        value = loss(tracked, target)
        results.append((value.detach(), *torch.autograd.grad(value, tracked)))
    torch.testing.assert_close(results[0], results[1])
    assert results[0][0].dtype == dtype and results[0][0].shape == ()


@pytest.mark.parametrize("k", [2, 5, 10])
def test_knowing_nothing_costs_log_k(k):
    assert losses.cross_entropy(torch.full((3, k), 7.0), torch.tensor([0, 1, 1])).item() == pytest.approx(math.log(k))


def test_cross_entropy_by_hand():
    # softmax([0, log 3]) = [1/4, 3/4]
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)]])
    want = (math.log(4) + math.log(4 / 3)) / 2
    assert losses.cross_entropy(logits, torch.tensor([0, 1])).item() == pytest.approx(want)


def test_adding_a_number_to_a_row_changes_nothing():
    logits, target = drawn(4, 3)
    shift = torch.tensor([[10.0], [-50.0], [0.0], [200.0]], dtype=logits.dtype)
    torch.testing.assert_close(losses.cross_entropy(logits + shift, target), losses.cross_entropy(logits, target))


@pytest.mark.parametrize("size", [50.0, 200.0])
def test_cross_entropy_is_right_at_large_logits(size):
    logits = torch.tensor([[size, -size, 0.0], [-size, size, size]], requires_grad=True)
    loss = losses.cross_entropy(logits, torch.tensor([1, 0]))
    assert loss.item() == pytest.approx((2 * size + 2 * size + math.log(2)) / 2, rel=1e-6)
    loss.backward()
    want = torch.tensor([[0.5, -0.5, 0.0], [-0.5, 0.25, 0.25]])
    torch.testing.assert_close(logits.grad, want)


def test_the_gradient_is_softmax_minus_one_hot():
    logits, target = drawn(5, 4)
    logits.requires_grad_()
    losses.cross_entropy(logits, target).backward()
    torch.testing.assert_close(logits.grad, (logits.detach().softmax(1) - F.one_hot(target, 4)) / 5)


def test_cross_entropy_is_finite_at_enormous_logits():
    logits = torch.tensor([[1e30, -1e30], [-1e4, 1e4]], requires_grad=True)
    loss = losses.cross_entropy(logits, torch.tensor([1, 0]))
    loss.backward()
    assert loss.isfinite() and torch.equal(logits.grad, torch.tensor([[0.5, -0.5], [-0.5, 0.5]]))


# Squared error to the one-hot target


def test_mse_to_one_hot_written_out():
    logits = torch.tensor([[0.0, math.log(3)], [math.log(4), 0.0]])
    # probabilities [1/4, 3/4] and [4/5, 1/5]; targets [1, 0] and [1, 0]
    want = ((3 / 4) ** 2 + (3 / 4) ** 2 + (1 / 5) ** 2 + (1 / 5) ** 2) / 4
    assert losses.mse_to_one_hot(logits, torch.tensor([0, 0])).item() == pytest.approx(want)


@pytest.mark.parametrize("k", [2, 3, 10])
def test_mse_to_one_hot_lies_between_0_and_2_over_k(k):
    sure = torch.zeros(1, k)
    sure[0, 0] = 100.0
    assert losses.mse_to_one_hot(sure, torch.tensor([0])).item() == pytest.approx(0, abs=1e-12)
    assert losses.mse_to_one_hot(sure, torch.tensor([1])).item() == pytest.approx(2 / k)
    logits, target = drawn(20, k, scale=20.0)
    assert 0 < losses.mse_to_one_hot(logits, target).item() < 2 / k


def test_only_cross_entropy_has_a_gradient_where_the_answer_is_surely_wrong():
    gradients = []
    for loss in (losses.cross_entropy, losses.mse_to_one_hot):
        logits = torch.tensor([[50.0, -50.0]], requires_grad=True)
        loss(logits, torch.tensor([1])).backward()
        assert logits.grad.isfinite().all()
        gradients.append(logits.grad.abs().max().item())
    assert gradients[0] == pytest.approx(1) and gradients[1] < 1e-6


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.mse_to_one_hot])
def test_gradients(loss):
    logits, target = drawn(4, 3)
    assert gradcheck(loss, (logits.requires_grad_(), target))
