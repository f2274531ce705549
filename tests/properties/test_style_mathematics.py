"""Gram matrices, sliced distances, matched moments and total variation: what must hold whatever the features are."""

import math

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import wasserstein_distance
from torch.autograd import gradcheck

from aigc_lessons import losses, ops

SHAPES = [(1, 1, 1, 1), (1, 3, 4, 5), (3, 5, 2, 3), (2, 2, 7, 4)]


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def directions(k, channels, seed=9):
    return F.normalize(randn(k, channels, seed=seed), dim=1)


def shuffled(features, seed=3):
    """The same positions in another order, the features of each kept together."""
    order = torch.randperm(features[0, 0].numel(), generator=torch.Generator().manual_seed(seed))
    return features.flatten(2)[..., order].view_as(features)


# Gram matrices


def test_a_gram_matrix_by_hand():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    assert losses.gram(features).tolist() == [[[2.5, 0.5], [0.5, 5.0]]]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_gram_matrix_is_symmetric_and_nowhere_negative(shape):
    matrix = losses.gram(randn(*shape))
    assert matrix.shape == (shape[0], shape[1], shape[1])
    torch.testing.assert_close(matrix, matrix.mT)
    assert torch.linalg.eigvalsh(matrix).min() > -1e-12


@pytest.mark.parametrize("shape", SHAPES)
def test_a_gram_matrix_knows_no_places(shape):
    features = randn(*shape)
    torch.testing.assert_close(losses.gram(features), losses.gram(shuffled(features)))


def test_each_picture_has_its_own_gram_matrix_and_two_copies_side_by_side_have_that_of_one():
    features = randn(3, 4, 5, 6)
    for i in range(3):
        torch.testing.assert_close(losses.gram(features)[i], losses.gram(features[i : i + 1])[0])
    torch.testing.assert_close(losses.gram(torch.cat([features, features], 3)), losses.gram(features))


def test_the_gram_matrix_is_the_covariance_plus_the_means():
    features = randn(1, 3, 6, 7) + 0.5
    mean = features.mean((2, 3))[0]
    covariance = torch.cov(features[0].flatten(1), correction=0)
    torch.testing.assert_close(losses.gram(features)[0], covariance + mean[:, None] * mean)


def test_a_gram_matrix_takes_flat_grey_for_black_and_white():
    """The weakness that the lesson shows: a mean can be traded for a variance."""
    flat = torch.ones(1, 1, 2, 2)
    chessboard = torch.tensor([[[[1.0, -1.0], [-1.0, 1.0]]]])
    assert torch.equal(losses.gram(flat), losses.gram(chessboard))
    assert losses.sliced_distance(flat, chessboard, torch.ones(1, 1)) == 2


# The sliced distance


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("k", [1, 4])
def test_the_distance_is_0_where_only_places_differ_and_positive_elsewhere(shape, k):
    a, ways = randn(*shape), directions(k, shape[1])
    assert losses.sliced_distance(a, shuffled(a), ways) < 1e-24
    assert losses.sliced_distance(a, randn(*shape, seed=1), ways) > 0


def test_in_one_dimension_it_is_the_mean_squared_difference_of_sorted_values():
    a, b = randn(1, 1, 4, 6), randn(1, 1, 4, 6, seed=1)
    want = (a.flatten().sort().values - b.flatten().sort().values).square().mean()
    torch.testing.assert_close(losses.sliced_distance(a, b, torch.ones(1, 1).double()), want)
    torch.testing.assert_close(losses.sliced_distance(a, b, -torch.ones(1, 1).double()), want)


def test_it_is_at_least_the_squared_wasserstein_distance_of_first_order():
    """Jensen, and another library's transport: W1^2 <= W2^2 for equally many points."""
    a, b = randn(1, 1, 5, 5), 2 * randn(1, 1, 5, 5, seed=1) + 1
    first = wasserstein_distance(a.flatten().numpy(), b.flatten().numpy())
    assert losses.sliced_distance(a, b, torch.ones(1, 1).double()) >= first**2


def test_a_shift_costs_its_square_along_the_direction():
    a, ways = randn(2, 3, 4, 4), directions(50, 3)
    shift = torch.tensor([1.0, -2.0, 0.5]).double()
    want = (ways @ shift).square().mean()
    torch.testing.assert_close(losses.sliced_distance(a + shift[:, None, None], a, ways), want)


@pytest.mark.parametrize("times", [2, 3])
def test_a_picture_written_several_times_is_almost_itself(times):
    """Unequal sizes: only rounding of ranks may remain, and less of it the more positions there are."""
    ways = directions(8, 3)
    for side, most in ((4, 0.05), (16, 0.005)):
        a = randn(1, 3, side, side)
        distance = losses.sliced_distance(a, torch.cat([a] * times, 3), ways)
        assert distance < most
        assert losses.sliced_distance(torch.cat([a] * times, 3), a, ways) < most


def test_one_picture_stands_for_all_and_each_is_sorted_by_itself():
    a, b, ways = randn(3, 2, 4, 5), randn(1, 2, 4, 5, seed=1), directions(6, 2)
    one_by_one = torch.stack([losses.sliced_distance(x[None], b, ways) for x in a]).mean()
    torch.testing.assert_close(losses.sliced_distance(a, b, ways), one_by_one)
    torch.testing.assert_close(losses.sliced_distance(a, b.expand(3, -1, -1, -1), ways), one_by_one)


@pytest.mark.parametrize("b", [(1, 3, 2, 4), (2, 3, 3, 5)])
def test_the_gradient_of_the_distance(b):
    ways, other = directions(3, 3), randn(*b, seed=1)
    assert gradcheck(lambda a: losses.sliced_distance(a, other, ways), randn(2, 3, 2, 4).requires_grad_())


def test_the_gradient_moves_every_value_to_that_of_its_rank():
    a, b = randn(1, 1, 3, 4).requires_grad_(), randn(1, 1, 3, 4, seed=1)
    losses.sliced_distance(a, b, torch.ones(1, 1).double()).backward()
    moved = a.detach() - a.grad * a.numel() / 2  # one step of the length at which it arrives
    torch.testing.assert_close(moved.flatten().sort().values, b.flatten().sort().values)
    torch.testing.assert_close(moved.flatten().argsort(), a.detach().flatten().argsort())


# Moments


@pytest.mark.parametrize("size", [(4, 5), (2, 9)])
@pytest.mark.parametrize("n", [1, 3])
def test_matched_moments_are_the_styles(size, n):
    content, style = 2 * randn(3, 4, 4, 5) + 1, 0.3 * randn(n, 4, *size, seed=1) - 2
    got = ops.match_moments(content, style)
    mean, std = (style.expand(3, -1, -1, -1).mean((2, 3)), style.expand(3, -1, -1, -1).std((2, 3), correction=0))
    torch.testing.assert_close(got.mean((2, 3)), mean)
    torch.testing.assert_close(got.std((2, 3), correction=0), std)
    torch.testing.assert_close(ops.match_moments(got, style), got)  # a second time changes nothing
    assert torch.equal(got.flatten(2).argsort(2), content.flatten(2).argsort(2))  # nor does it change an order


def test_a_constant_channel_becomes_the_styles_mean_and_its_gradient_is_finite():
    content = torch.full((1, 2, 3, 3), 0.7, requires_grad=True)
    style = randn(1, 2, 4, 4).float()
    got = ops.match_moments(content, style)
    torch.testing.assert_close(got, style.mean((2, 3), keepdim=True).expand_as(got), atol=1e-2, rtol=0)
    got.square().sum().backward()
    assert content.grad.isfinite().all()


def test_matching_a_picture_with_itself_changes_nothing():
    x = randn(2, 3, 4, 5)
    torch.testing.assert_close(ops.match_moments(x, x), x)


def test_the_gradient_of_matched_moments():
    assert gradcheck(
        ops.match_moments, (randn(2, 2, 3, 3).requires_grad_(), randn(1, 2, 2, 3, seed=1).requires_grad_())
    )


# Total variation


def test_total_variation_by_hand():
    assert losses.total_variation(torch.tensor([[[[0.0, 1.0], [3.0, 7.0]]]])) == (3 + 6) / 2 + (1 + 4) / 2


def test_total_variation_of_flat_colour_a_ramp_and_its_negative():
    ramp = torch.arange(6.0).view(1, 1, 1, 6).expand(2, 3, 4, 6)
    assert losses.total_variation(torch.full((2, 3, 4, 5), 0.3)) == 0
    assert losses.total_variation(ramp) == losses.total_variation(-ramp) == 1
    assert losses.total_variation(ramp.mT) == losses.total_variation(ramp.flip(3)) == 1


def test_total_variation_grows_with_contrast_and_not_with_size():
    x = randn(2, 3, 40, 50)
    torch.testing.assert_close(losses.total_variation(-3 * x + 5), 3 * losses.total_variation(x))
    noise = losses.total_variation(x)
    # the mean of |difference| of two normal numbers is 2 / sqrt(pi), and there are two kinds of pairs
    assert abs(noise - 4 / math.sqrt(math.pi)) < 0.05
    assert abs(losses.total_variation(x[..., :20, :20]) - noise) < 0.1
    assert gradcheck(losses.total_variation, randn(1, 2, 3, 4).requires_grad_())
