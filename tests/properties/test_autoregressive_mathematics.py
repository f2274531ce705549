"""Lesson 26's functions against the library, closed forms and hand-sized cases."""

import math

import pytest
import torch
from torch import nn

from aigc_lessons import losses, sequences


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_raster_is_the_order_of_reading():
    picture = torch.arange(6).view(1, 1, 2, 3)
    assert sequences.raster(picture).tolist() == [[0, 1, 2, 3, 4, 5]]
    x = draw(4, 1, 3, 5)
    for r in range(3):
        for c in range(5):
            assert torch.equal(sequences.raster(x)[:, r * 5 + c], x[:, 0, r, c])


@pytest.mark.parametrize("shape", [(4, 3, 5, 5), (4, 5, 5), (5, 5)])
def test_raster_wants_grey_pictures(shape):
    with pytest.raises(ValueError, match=r"raster got images of shape .*Accepted: \(N, 1, H, W\), grey"):
        sequences.raster(torch.zeros(shape))


def test_shift_right_by_hand():
    assert sequences.shift_right(torch.tensor([[5, 3, 8], [1, 2, 4]]), 17).tolist() == [[17, 5, 3], [17, 1, 2]]
    assert sequences.shift_right(torch.tensor([[5]]), 0).tolist() == [[0]]
    assert sequences.shift_right(torch.tensor([[5, 3]]), 17).dtype == torch.int64


@pytest.mark.parametrize("k", [1, 3, 5, 7])
def test_masks_hold_half_of_the_weights_and_are_each_others_mirror(k):
    a, b = sequences.causal_mask(k, "A"), sequences.causal_mask(k, "B")
    assert a.sum() == k * k // 2 and b.sum() == k * k // 2 + 1
    assert torch.equal(a + b.flip(0, 1), torch.ones(k, k))


def test_a_mask_by_hand():
    assert sequences.causal_mask(3, "A").tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert sequences.causal_mask(3, "B").tolist() == [[1, 1, 1], [1, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("kind", ["A", "B"])
def test_a_masked_convolution_is_causal_in_raster_order(k, kind):
    weight = draw(1, 1, k, k).abs() + 0.1
    x = draw(1, 1, 6, 5, seed=1).requires_grad_()
    y = torch.nn.functional.conv2d(x, weight * sequences.causal_mask(k, kind), padding=k // 2).flatten()
    for i in range(30):
        (gradient,) = torch.autograd.grad(y[i], x, retain_graph=True)
        assert not gradient.flatten()[i + (kind == "B") :].any()
        assert i == 0 or gradient.flatten()[: i + (kind == "B")].any()


@pytest.mark.parametrize(
    ("k", "kind", "says"), [(4, "A", "kernel_size=4"), (0, "B", "kernel_size=0"), (3, "C", "kind='C'")]
)
def test_masks_that_are_refused(k, kind, says):
    with pytest.raises(ValueError, match=f"causal_mask\\({says}\\): accepted are"):
        sequences.causal_mask(k, kind)


@pytest.mark.parametrize(("n", "i", "h"), [(1, 1, 1), (3, 5, 2), (4, 2, 6)])
def test_the_gru_cell_is_torchs(n, i, h):
    torch.manual_seed(0)
    cell = nn.GRUCell(i, h).double()
    x, memory = draw(n, i), draw(n, h, seed=1)
    torch.testing.assert_close(
        sequences.gru_cell(x, memory, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh), cell(x, memory)
    )


def test_a_gru_step_lies_between_its_memory_and_1():
    x, h = draw(50, 3), draw(50, 4, seed=1).tanh()
    weights = [draw(12, 3, seed=2), draw(12, 4, seed=3), draw(12, seed=4), draw(12, seed=5)]
    assert sequences.gru_cell(x, h, *weights).abs().max() <= 1
    shut = [
        0 * weights[0],
        0 * weights[1],
        torch.cat([torch.zeros(4), torch.full((4,), 50.0), torch.zeros(4)]).double(),
    ]
    torch.testing.assert_close(sequences.gru_cell(x, h, *shut, 0 * weights[3]), h)  # z = 1: all is kept


@pytest.mark.parametrize("levels", [2, 4, 17, 256])
def test_bits_of_a_uniform_guess_are_the_logarithm_of_the_levels(levels):
    target = torch.arange(levels)[None]
    assert losses.bits_per_pixel(torch.zeros(1, levels, levels), target).item() == pytest.approx(math.log2(levels))


def test_bits_by_hand_and_their_bounds():
    p = torch.tensor([[[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]]])
    assert losses.bits_per_pixel(p.log(), torch.tensor([[0, 2]])).item() == pytest.approx((1 + 3) / 2)
    logits, target = 100 * draw(3, 4, 5), torch.randint(5, (3, 4))
    logits.requires_grad_()
    bits = losses.bits_per_pixel(logits, target)
    bits.backward()
    assert bits >= 0 and bits.isfinite() and logits.grad.isfinite().all()
    torch.testing.assert_close(losses.bits_per_pixel(logits + 7, target), bits)


def test_no_guess_has_fewer_bits_on_average_than_the_true_probabilities():
    p = draw(1, 1, 6).softmax(2)
    cost = lambda q: sum(p[0, 0, k] * losses.bits_per_pixel(q.log(), torch.tensor([[k]])) for k in range(6))
    entropy = -(p * p.log2()).sum()
    assert cost(p).item() == pytest.approx(entropy.item())
    assert all(cost(draw(1, 1, 6, seed=s).softmax(2)) > entropy for s in range(1, 20))
