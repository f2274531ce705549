"""What lessons 13 and 14 derive: gradients of the losses, signals in deep networks, the gap between test and training error."""

import pytest
import torch
import torch.nn.functional as F

from aigc_lessons import losses, ops


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("n", "k"), [(1, 2), (3, 4), (5, 10)])
def test_gradients_of_both_losses_are_the_derived_ones(n, k):
    logits, target = (2 * randn(n, k)).requires_grad_(), torch.arange(n) % k
    p, t = logits.detach().softmax(1), F.one_hot(target, k).double()
    (got,) = torch.autograd.grad(losses.cross_entropy(logits, target), logits)
    torch.testing.assert_close(got, (p - t) / n)
    (got,) = torch.autograd.grad(losses.mse_to_one_hot(logits, target), logits)
    inner = (p - t) - (p * (p - t)).sum(1, keepdim=True)
    torch.testing.assert_close(got, 2 / (n * k) * p * inner)


def test_squared_error_lets_go_of_a_confident_error_and_cross_entropy_does_not():
    logits, target = torch.tensor([[0.0, 12.0, 0.0]], requires_grad=True), torch.tensor([0])
    (strong,) = torch.autograd.grad(losses.cross_entropy(logits, target), logits)
    (weak,) = torch.autograd.grad(losses.mse_to_one_hot(logits, target), logits)
    assert strong.abs().max() > 0.99 and weak.abs().max() < 1e-4


def test_a_layer_multiplies_the_mean_square_by_its_inputs_times_the_variance_of_its_weights():
    inputs, variance = 400, 0.01
    x, weight = 3 + randn(200, inputs), variance**0.5 * randn(inputs, 300, seed=1)
    got = (x @ weight).square().mean() / x.square().mean()
    assert got.item() == pytest.approx(inputs * variance, rel=0.1)


@pytest.mark.parametrize("degree", [1, 3, 9])
def test_the_gap_between_test_and_training_error_is_twice_the_parameters_over_the_data(degree):
    n, sigma, sets = 20, 0.3, 20_000
    x = torch.linspace(-1, 1, n, dtype=torch.float64)
    truth = torch.sin(3 * x)[:, None]
    y, new = (truth + sigma * randn(n, sets, seed=seed) for seed in (1, 2))
    powers = x[:, None] ** torch.arange(degree + 1)
    fit = powers @ torch.linalg.lstsq(powers, y).solution
    gap = (new - fit).square().mean() - (y - fit).square().mean()
    assert gap.item() == pytest.approx(2 * (degree + 1) / n * sigma**2, rel=0.05)


def test_the_mean_over_all_masks_of_dropout_is_the_input():
    x, masks = randn(4), 1 - torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(ops.dropout(x, 0.25, masks).mean(0), x)
