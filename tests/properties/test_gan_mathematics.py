"""The formulas of adversarial training: the best discriminator, divergences, losses on logits, and what keeps a critic from being steep."""

import math

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import wasserstein_distance
from torch import nn
from torch.autograd import gradcheck
from torch.distributions import Normal

from aigc_lessons import losses, ops


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def counts(seed, k=6):
    """How often each of k outcomes was drawn from the data and from a model: two sizes that differ, some outcomes in one only."""
    g = torch.Generator().manual_seed(seed)
    real, fake = torch.randint(0, 9, (k,), generator=g), torch.randint(0, 5, (k,), generator=g)
    real[0], fake[0], real[1], fake[1] = 0, 3, 4, 0
    return real, fake


def value(logits, real, fake):
    """The discriminator's objective E_data[log D] + E_model[log(1 - D)] where outcome i has the logit logits[i]."""
    return -losses.discriminator_loss(logits.repeat_interleave(real), logits.repeat_interleave(fake))


# The best discriminator


def test_the_optimal_discriminator_by_hand():
    p, q = torch.tensor([[0.5, 0.0, 0.3, 0.0]]), torch.tensor([[0.5, 0.2, 0.1, 0.0]])
    torch.testing.assert_close(losses.optimal_discriminator(p, q), torch.tensor([[0.5, 0.0, 0.75, 0.5]]))
    torch.testing.assert_close(losses.optimal_discriminator(q, p), torch.tensor([[0.5, 1.0, 0.25, 0.5]]))


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (3.0, 0.5), (-1.0, 2.0)])
def test_the_logit_of_the_optimal_discriminator_is_the_log_ratio_of_the_densities(mean, deviation):
    x = torch.linspace(-6, 6, 240).double().view(8, 30)
    data, model = Normal(0.5, 1.2), Normal(mean, deviation)
    best = losses.optimal_discriminator(data.log_prob(x).exp(), model.log_prob(x).exp())
    assert best.shape == x.shape and 0 <= best.min() and best.max() <= 1
    torch.testing.assert_close(best, torch.sigmoid(data.log_prob(x) - model.log_prob(x)))


@pytest.mark.parametrize("seed", range(5))
def test_no_discriminator_beats_the_optimal_one(seed):
    real, fake = counts(seed)
    both = (real > 0) & (fake > 0)  # elsewhere the best logit is infinite
    real, fake = real * both, fake * both
    best = losses.optimal_discriminator(real / real.sum().double(), fake / fake.sum().double()).logit().requires_grad_()
    top = value(best, real, fake)
    torch.testing.assert_close(torch.autograd.grad(top, best)[0], torch.zeros(6).double(), rtol=0, atol=1e-14)
    for other in range(100):
        for size in (0.01, 0.3, 3.0):
            assert value(best.detach() + size * randn(6, seed=other), real, fake) < top


@pytest.mark.parametrize("seed", range(3))
def test_training_a_discriminator_finds_the_optimal_one(seed):
    real, fake = counts(seed)
    logits = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=300, tolerance_grad=1e-9, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = -value(logits, real, fake)
        loss.backward()
        return loss

    optimizer.step(closure)
    want = losses.optimal_discriminator(real / real.sum().double(), fake / fake.sum().double())
    torch.testing.assert_close(logits.detach().sigmoid(), want, rtol=0, atol=1e-4)


# Jensen-Shannon


def distributions(seed, k=7):
    """Two distributions on k outcomes, from nearly even to nearly certain, with zeros."""
    scale = (0.1, 1.0, 5.0, 40.0)[seed % 4]
    p, q = (scale * randn(k, seed=2 * seed + i) for i in (0, 1))
    p[seed % k] = q[(seed + 3) % k] = -math.inf
    return p.softmax(0), q.softmax(0)


def test_jensen_shannon_by_hand():
    p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
    # against the middle [3/4, 1/4]: KL log(4/3) from p, (log(2/3) + log(2)) / 2 = log(4/3) / 2 from q
    assert losses.jensen_shannon(p, q).item() == pytest.approx(0.75 * math.log(4 / 3))


@pytest.mark.parametrize("seed", range(40))
def test_jensen_shannon_is_a_bounded_symmetric_distance(seed):
    p, q = distributions(seed)
    js = losses.jensen_shannon(p, q)
    variation = (p - q).abs().sum() / 2
    assert js.shape == () and variation > 0
    assert variation**2 / 2 <= js <= variation * math.log(2) + 1e-12  # Pinsker; Lin 1991, theorem 3
    torch.testing.assert_close(losses.jensen_shannon(q, p), js)
    # the order of the outcomes is no matter
    torch.testing.assert_close(losses.jensen_shannon(p.flip(0), q.flip(0)), js)
    m = (p + q) / 2
    kls = [F.kl_div(m.log(), r, reduction="sum") for r in (p, q)]
    torch.testing.assert_close(js, sum(kls) / 2)
    r, _ = distributions(seed + 100)
    root = lambda a, b: losses.jensen_shannon(a, b).clamp(min=0).sqrt()
    assert root(p, r) <= root(p, q) + root(q, r) + 1e-12  # Endres and Schindelin 2003: its root is a metric


def test_jensen_shannon_is_zero_for_equal_and_log_2_for_disjoint_distributions():
    p, q = distributions(1)
    assert losses.jensen_shannon(p, p).item() == 0
    for step in (1e-3, 1e-1):
        assert losses.jensen_shannon(p, (1 - step) * p + step * q) > 0
    apart = torch.tensor([0.3, 0.7, 0.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 0.1, 0.5, 0.4])
    assert losses.jensen_shannon(*apart).item() == pytest.approx(math.log(2), rel=1e-6)
    assert losses.jensen_shannon(torch.eye(4)[1], torch.eye(4)[2]).item() == pytest.approx(math.log(2), rel=1e-6)


def test_gradients_of_jensen_shannon():
    p, q = (randn(5, seed=i).requires_grad_() for i in (0, 1))
    assert gradcheck(lambda a, b: losses.jensen_shannon(a.softmax(0), b.softmax(0)), (p, q))


@pytest.mark.parametrize("seed", range(8))
def test_at_the_optimal_discriminator_the_value_is_minus_log_4_plus_twice_jensen_shannon(seed):
    real, fake = counts(seed)
    p, q = real / real.sum().double(), fake / fake.sum().double()
    # where only one of them lives the logit is infinite
    logits = losses.optimal_discriminator(p, q).logit().clamp(-80, 80)
    torch.testing.assert_close(value(logits, real, fake), -math.log(4) + 2 * losses.jensen_shannon(p, q))


def test_the_same_identity_for_densities_by_sampling():
    data, model, n = Normal(-1.0, 1.0), Normal(1.0, 1.5), 100_000
    logit = lambda x: data.log_prob(x) - model.log_prob(x)
    x, y = -1 + randn(n, seed=1), 1 + 1.5 * randn(n, seed=2)
    grid = torch.linspace(-14, 14, 20_001).double()
    p, q = (d.log_prob(grid).exp() * (grid[1] - grid[0]) for d in (data, model))
    want = -math.log(4) + 2 * losses.jensen_shannon(p, q)
    error = math.sqrt((F.softplus(-logit(x)).var() + F.softplus(logit(y)).var()) / n)
    assert abs(-losses.discriminator_loss(logit(x), logit(y)) - want) < 3 * error


# Losses on logits and scores

ONE_SIDED = (losses.generator_loss, losses.saturating_generator_loss, losses.critic_generator_loss)
TWO_SIDED = (losses.discriminator_loss, losses.critic_loss, losses.hinge_discriminator_loss)


@pytest.mark.parametrize("loss", ONE_SIDED + TWO_SIDED)
@pytest.mark.parametrize("logit", [50.0, -50.0, 150.0, -150.0])
def test_losses_are_finite_with_finite_gradients_far_out(loss, logit):
    fake = torch.full((3,), logit, requires_grad=True)
    real = torch.full((5,), -logit, requires_grad=True)
    scores = (fake,) if loss in ONE_SIDED else (real, fake)
    result = loss(*scores)
    assert result.isfinite() and result.shape == () and result.abs() <= 302
    for scored, gradient in zip(scores, torch.autograd.grad(result, scores)):
        assert gradient.isfinite().all() and gradient.abs().max() <= 1.001 / len(scored)


LOGITS = torch.cat([torch.linspace(-150, 150, 11), torch.linspace(-3, 3, 10)]).double()


def value_and_gradient(loss, *scores):
    scores = [s.clone().requires_grad_() for s in scores]
    result = loss(*scores)
    return result.detach(), *torch.autograd.grad(result, scores)


def bce(logits, target):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_on_logits_are_binary_cross_entropies(dtype):
    real, fake = LOGITS.to(dtype), (1 - LOGITS[:18] / 2).view(3, 6).to(dtype)
    pairs = [
        (losses.discriminator_loss, lambda r, f: bce(r, 1.0) + bce(f, 0.0), (real, fake)),
        (losses.generator_loss, lambda f: bce(f, 1.0), (fake,)),
        (losses.saturating_generator_loss, lambda f: -bce(f, 0.0), (fake,)),
    ]
    for ours, theirs, scores in pairs:
        torch.testing.assert_close(value_and_gradient(ours, *scores), value_and_gradient(theirs, *scores))


def test_gradients_of_the_losses_on_logits_are_sigmoids():
    real, fake = LOGITS, (LOGITS[:18] + 0.7).view(3, 6)
    _, to_real, to_fake = value_and_gradient(losses.discriminator_loss, real, fake)
    torch.testing.assert_close(to_real, -torch.sigmoid(-real) / 21)
    torch.testing.assert_close(to_fake, torch.sigmoid(fake) / 18)
    torch.testing.assert_close(value_and_gradient(losses.generator_loss, fake)[1], -torch.sigmoid(-fake) / 18)
    torch.testing.assert_close(value_and_gradient(losses.saturating_generator_loss, fake)[1], -torch.sigmoid(fake) / 18)


@pytest.mark.parametrize("loss", ONE_SIDED + TWO_SIDED)
def test_losses_pass_gradcheck_and_are_means(loss):
    scores = [1.7 * randn(5, seed=i).requires_grad_() for i in range(1 if loss in ONE_SIDED else 2)]
    assert gradcheck(loss, scores)
    twice = [torch.cat([s, s]).view(2, 5) for s in scores]
    torch.testing.assert_close(loss(*twice), loss(*scores))


def test_a_blind_discriminator_pays_2_log_2():
    assert losses.discriminator_loss(torch.zeros(3), torch.zeros(5)).item() == pytest.approx(2 * math.log(2))
    assert losses.generator_loss(torch.zeros(5)).item() == pytest.approx(math.log(2))
    assert losses.saturating_generator_loss(torch.zeros(5)).item() == pytest.approx(-math.log(2))


@pytest.mark.parametrize("loss", ONE_SIDED)
def test_every_generator_loss_falls_as_the_fakes_look_more_real(loss):
    at = torch.stack([loss(logit[None]) for logit in torch.linspace(-30, 30, 61).double()])
    assert (at.diff() < 0).all()


def test_where_the_discriminator_wins_only_the_saturating_gradient_vanishes():
    for logit in (-5.0, -20.0, -50.0, -150.0):
        fake = torch.tensor([logit], dtype=torch.float64)
        _, strong = value_and_gradient(losses.generator_loss, fake)
        _, weak = value_and_gradient(losses.saturating_generator_loss, fake)
        assert strong.item() == pytest.approx(-1, abs=0.01) and abs(weak.item()) < 1.01 * math.exp(logit)
        assert weak.item() / strong.item() == pytest.approx(math.exp(logit))
        assert losses.generator_loss(fake).item() == pytest.approx(-logit, abs=0.01)
        assert losses.saturating_generator_loss(fake).item() <= 0


# Wasserstein critics


def test_critic_losses_by_hand():
    real, fake = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([[-10.0, 4.0]])
    assert losses.critic_loss(real, fake).item() == -6 and losses.critic_generator_loss(fake).item() == 3


def test_critic_loss_is_antisymmetric_linear_and_blind_to_a_shift():
    real, fake = randn(5), randn(3, 2, seed=1)
    loss = losses.critic_loss(real, fake)
    assert abs(loss) > 0.1
    torch.testing.assert_close(losses.critic_loss(fake, real), -loss)
    torch.testing.assert_close(losses.critic_loss(real + 7, fake + 7), loss)
    torch.testing.assert_close(losses.critic_loss(-3 * real, -3 * fake), -3 * loss)
    torch.testing.assert_close(loss, losses.critic_generator_loss(real) - losses.critic_generator_loss(fake))


@pytest.mark.parametrize("seed", range(4))
def test_the_best_critic_of_slope_1_measures_the_wasserstein_distance(seed):
    real, fake = randn(30, seed=seed), 0.5 + 1.8 * randn(20, seed=seed + 10)
    distance = wasserstein_distance(real, fake)
    for other in range(100):  # any function put together from |x - c| by minima and maxima has slopes of at most 1
        c = 2 * randn(3, seed=other + 50)
        critic = lambda x, c=c: torch.minimum((x - c[0]).abs(), torch.maximum(c[2] - x, -(x - c[1]).abs()))
        assert -losses.critic_loss(critic(real), critic(fake)) <= distance + 1e-12
    # In one dimension the best slope is the sign of the difference between the two distribution functions.
    knots = torch.cat([real, fake]).sort().values
    below = lambda points: (points[None] <= knots[:-1, None]).double().mean(1)
    heights = torch.cat([torch.zeros(1).double(), ((below(fake) - below(real)).sign() * knots.diff()).cumsum(0)])
    best = lambda x: heights[torch.searchsorted(knots, x)]
    assert -losses.critic_loss(best(real), best(fake)).item() == pytest.approx(distance)


# Gradient penalty


def pair(*shape):
    return (
        randn(*shape, seed=1),
        3 + 2 * randn(*shape, seed=2),
        torch.rand(shape[0], generator=torch.Generator().manual_seed(3), dtype=torch.float64),
    )


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (6, 2), (3, 1)])
def test_the_penalty_looks_at_points_on_the_segment_between_real_and_fake(shape):
    real, fake, t = pair(*shape)
    seen = []
    losses.gradient_penalty(lambda x: (seen.append(x.detach()), x.square().flatten(1).sum(1))[1], real, fake, t)
    (points,) = seen
    length = lambda v: v.flatten(1).norm(dim=1)
    assert points.shape == shape
    torch.testing.assert_close(length(points - real) + length(points - fake), length(fake - real))  # on the segment
    torch.testing.assert_close(length(points - fake), t * length(fake - real))  # t = 1 is the real end
    assert (torch.minimum(real, fake) <= points).all() and (points <= torch.maximum(real, fake)).all()


@pytest.mark.parametrize(("t", "end"), [(0.0, "fake"), (1.0, "real")])
def test_the_ends_of_the_segment(t, end):
    real, fake, _ = pair(4, 3, 2, 5)
    seen = []
    losses.gradient_penalty(lambda x: (seen.append(x.detach()), x.sum((1, 2, 3)))[1], real, fake, torch.full((4,), t))
    torch.testing.assert_close(seen[0], dict(real=real, fake=fake)[end])


@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (6, 2), (3, 1)])
def test_the_penalty_of_a_linear_critic_is_its_slope_minus_1_squared(shape, column):
    real, fake, t = pair(*shape)
    direction = F.normalize(randn(math.prod(shape[1:]), seed=4), dim=0)
    for slope in (0.0, 0.3, 1.0, 2.0, 7.5):
        critic = lambda x, slope=slope: (x.flatten(1) @ (slope * direction) + 40).view((-1, 1) if column else -1)
        got = losses.gradient_penalty(critic, real, fake, t)
        assert got.shape == () and got.item() == pytest.approx((slope - 1) ** 2, abs=1e-12)


def test_the_penalty_of_any_critic_of_slope_1_is_0():
    real, fake, t = pair(4, 3, 2, 5)
    far = 50 * randn(3, 2, 5, seed=5)
    distance_to = lambda x: (x - far).flatten(1).norm(dim=1)
    assert losses.gradient_penalty(distance_to, real, fake, t).item() == pytest.approx(0, abs=1e-12)
    assert losses.gradient_penalty(lambda x: 3 * distance_to(x), real, fake, t).item() == pytest.approx(4)


def test_each_sample_has_its_own_gradient_norm():
    """For the critic a |x|^2 / 2 the gradient at x is a x: norms below and above 1 that must not be mixed."""
    real, fake, t = pair(5, 3, 2, 2)
    points = t.view(-1, 1, 1, 1) * real + (1 - t.view(-1, 1, 1, 1)) * fake
    norms = 0.12 * points.flatten(1).norm(dim=1)
    assert norms.min() < 0.9 and norms.max() > 1.1
    got = losses.gradient_penalty(lambda x: 0.12 * x.square().flatten(1).sum(1) / 2, real, fake, t)
    torch.testing.assert_close(got, (norms - 1).square().mean())


def test_second_order_gradients_of_the_penalty():
    real, fake, t = pair(4, 3)
    w = randn(3, seed=6).requires_grad_()
    losses.gradient_penalty(lambda x: x @ w, real, fake, t).backward()
    length = w.detach().norm()
    torch.testing.assert_close(w.grad, 2 * (length - 1) * w.detach() / length)

    weights = randn(6, 3, seed=7).requires_grad_(), randn(6, seed=8).requires_grad_(), randn(6, seed=9).requires_grad_()
    penalty = lambda first, bias, last: losses.gradient_penalty(
        lambda x: torch.tanh(x @ first.T + bias) @ last, real, fake, t
    )
    assert gradcheck(penalty, weights)


def test_the_penalty_teaches_the_critic_and_not_the_generator():
    real, fake, t = pair(4, 3)
    fake.requires_grad_()
    w = randn(3, seed=6).requires_grad_()
    losses.gradient_penalty(lambda x: x.square() @ w, real, fake, t).backward()
    assert fake.grad is None and w.grad.abs().min() > 0


@pytest.mark.parametrize("scale", [0.0, 1.0, 50.0])
def test_the_penalty_is_finite_for_dead_and_for_steep_critics(scale):
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(30, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1)).double()
    for p in critic.parameters():
        p.data.mul_(scale)
    real, fake, t = pair(4, 3, 2, 5)
    penalty = losses.gradient_penalty(critic, 50 * real, -50 * fake, t)
    penalty.backward()
    assert penalty.isfinite() and all(p.grad.isfinite().all() for p in critic.parameters() if p.grad is not None)
    assert scale or penalty.item() == 1  # a critic without slope is as wrong as one of slope 2


# Hinge


def test_hinge_by_hand():
    real, fake = torch.tensor([3.0, 0.5, -10.0]), torch.tensor([[-4.0, 0.0], [10.0, -0.75]])
    # real: 0, 0.5, 11; fake: 0, 1, 11, 0.25
    assert losses.hinge_discriminator_loss(real, fake).item() == pytest.approx(11.5 / 3 + 12.25 / 4)


def test_beyond_its_margin_a_score_neither_costs_nor_pulls():
    real = torch.tensor([1.001, 2.0, 50.0, 0.999, -3.0]).requires_grad_()
    fake = torch.tensor([-1.001, -50.0, -0.999, 3.0]).requires_grad_()
    loss = losses.hinge_discriminator_loss(real, fake)
    loss.backward()
    assert real.grad.tolist() == pytest.approx([0, 0, 0, -1 / 5, -1 / 5]) and fake.grad.tolist() == pytest.approx(
        [0, 0, 1 / 4, 1 / 4]
    )
    assert losses.hinge_discriminator_loss(torch.tensor([1.0, 9.0]), torch.tensor([-1.0])).item() == 0


@pytest.mark.parametrize("scale", [0.3, 1.0, 10.0])
def test_hinge_is_the_critic_loss_inside_the_margins_and_never_less(scale):
    real, fake = scale * randn(5), scale * randn(3, 2, seed=1)
    hinge, critic = losses.hinge_discriminator_loss(real, fake), losses.critic_loss(real, fake)
    assert hinge >= 0 and hinge >= 2 + critic - 1e-12
    torch.testing.assert_close(losses.hinge_discriminator_loss(-fake, -real), hinge)  # what real is to 1, fake is to -1
    real, fake = real.clamp(-1, 1), fake.clamp(-1, 1)
    torch.testing.assert_close(losses.hinge_discriminator_loss(real, fake), 2 + losses.critic_loss(real, fake))


# Spectral norm


def sigma(weight, iterations=3_000, seed=9):
    return ops.spectral_norm(weight, randn(weight.shape[0], seed=seed, dtype=weight.dtype), iterations)[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(5, 3), (3, 7), (4, 4), (1, 6), (6, 1), (20, 12)])
def test_power_iteration_converges_to_the_largest_singular_value(shape, dtype):
    for seed in range(3):
        weight = randn(*shape, seed=seed, dtype=dtype)
        got = sigma(weight, 500)
        assert got.shape == () and got.dtype == dtype
        torch.testing.assert_close(got, torch.linalg.svdvals(weight)[0], rtol=1e-5, atol=0)


def test_it_rises_to_the_true_value_as_fast_as_the_singular_values_are_apart():
    left, right = torch.linalg.qr(randn(6, 4)).Q, torch.linalg.qr(randn(5, 4, seed=1)).Q
    weight = left @ torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.5]).double()) @ right.T
    start = left.sum(1)  # as much of every singular vector
    estimates = torch.stack([ops.spectral_norm(weight, start, k)[0] for k in range(1, 15)])
    assert (estimates.diff() > 0).all() and (estimates < 3).all()
    # After k rounds v holds s_i^(2k-1) of the i-th right vector, so sigma^2 = sum of s^(4k) / sum of s^(4k-2).
    s = torch.tensor([3.0, 2.0, 1.0, 0.5]).double()
    want = torch.stack([(s ** (4 * k)).sum() / (s ** (4 * k - 2)).sum() for k in range(1, 15)]).sqrt()
    torch.testing.assert_close(estimates, want)


def test_u_has_length_1_is_a_place_to_go_on_from_and_the_start_stays_as_it_was():
    weight, start = randn(5, 3), 7 * randn(5, seed=1)
    kept = start.clone()
    value_3, u = ops.spectral_norm(weight, start, 3)
    assert torch.equal(start, kept) and u.shape == (5,) and u.norm().item() == pytest.approx(1)
    for got, want in zip(ops.spectral_norm(weight, u, 4), ops.spectral_norm(weight, start, 7)):
        torch.testing.assert_close(got, want)
    assert not torch.allclose(value_3, ops.spectral_norm(weight, start, 7)[0], rtol=1e-6)


def test_scaling_transposing_and_turning():
    weight = randn(5, 3)
    largest = sigma(weight)
    for factor in (2.5, -4.0, 1e-3):
        torch.testing.assert_close(sigma(factor * weight), abs(factor) * largest)
    torch.testing.assert_close(sigma(weight.T), largest)
    turn, other = torch.linalg.qr(randn(5, 5, seed=1)).Q, torch.linalg.qr(randn(3, 3, seed=2)).Q
    torch.testing.assert_close(sigma(turn @ weight @ other), largest)
    torch.testing.assert_close(torch.linalg.svdvals(weight / largest)[0], torch.ones(()).double())


@pytest.mark.parametrize("shape", [(5, 3), (3, 7)])
def test_the_gradient_of_sigma_is_the_outer_product_of_the_singular_vectors(shape):
    weight, start = randn(*shape).requires_grad_(), randn(shape[0], seed=1)
    early, u = ops.spectral_norm(weight, start, 1)
    v = F.normalize(weight.detach().T @ start, dim=0)
    torch.testing.assert_close(torch.autograd.grad(early, weight)[0], torch.outer(u, v))

    late, _ = ops.spectral_norm(weight, start, 500)
    (got,) = torch.autograd.grad(late, weight)
    left, _, right = torch.linalg.svd(weight.detach())
    torch.testing.assert_close(got, torch.outer(left[:, 0], right[0]))
    torch.testing.assert_close(got, torch.autograd.grad(torch.linalg.svdvals(weight)[0], weight)[0])


@pytest.mark.parametrize("rounds", [1, 4, 200])
def test_spectral_norm_agrees_with_torchs_parametrization(rounds):
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(7, 4).double(), n_power_iterations=rounds)
    parametrization, raw = layer.parametrizations.weight[0], layer.parametrizations.weight.original.detach()
    start = F.normalize(randn(4, seed=3), dim=0)
    parametrization._u.copy_(start)
    parametrization._v.copy_(F.normalize(raw.T @ start, dim=0))
    effective = layer.train().weight.detach()
    ours, u = ops.spectral_norm(raw, start, rounds)
    torch.testing.assert_close(parametrization._u, u)
    theirs = raw.norm() / effective.norm()
    torch.testing.assert_close(theirs, (raw.T @ u).norm())  # torch updates v once more: half a round ahead of ours
    assert ours <= theirs + 1e-12
    if rounds == 200:
        torch.testing.assert_close(ours, theirs)


def test_jensen_shannon_has_finite_gradients_where_there_is_no_mass():
    p = torch.tensor([0.5, 0.5, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
    q = torch.tensor([0.0, 0.25, 0.75, 0.0], dtype=torch.float64, requires_grad=True)
    losses.jensen_shannon(p, q).backward()
    for gradient, r, other in ((p.grad, p, q), (q.grad, q, p)):
        mass = r.detach() > 0
        want = (2 * r / (r + other)).detach().log() / 2  # d JS / d p = log(p / m) / 2, where there is mass
        assert gradient.isfinite().all() and torch.allclose(gradient[mass], want[mass])
    logits = torch.tensor([300.0, -300.0, 0.0], requires_grad=True)
    losses.jensen_shannon(logits.softmax(0), torch.tensor([0.2, 0.3, 0.5])).backward()
    assert logits.grad.isfinite().all()


# Steps of a game


def turning(point):
    """Two players around a balance at 0: the gradients turn, and pull nowhere."""
    return torch.stack([-point[1], point[0]])


@pytest.mark.parametrize("lr", [0.1, 0.5, 0.9])
def test_an_extragradient_step_comes_closer_where_a_plain_one_moves_away(lr):
    """Eigenvalues of the turning field are ±i: a plain step multiplies the distance by |1 - i lr|, an extragradient one by
    |1 - i lr - lr²|."""
    point = randn(2)
    plain, new = point - lr * turning(point), ops.extragradient_step(turning, point, lr)
    torch.testing.assert_close(plain.norm(), point.norm() * abs(1 - 1j * lr))
    torch.testing.assert_close(new.norm(), point.norm() * abs(1 - 1j * lr - lr**2))
    assert new.norm() < point.norm() < plain.norm()


def test_an_extragradient_step_of_a_linear_game_by_hand():
    matrix, point = randn(4, 4), randn(4, seed=1)
    want = point - 0.3 * matrix @ point + 0.09 * matrix @ matrix @ point
    torch.testing.assert_close(ops.extragradient_step(lambda p: matrix @ p, point, 0.3), want)
    torch.testing.assert_close(ops.extragradient_step(torch.zeros_like, point, 0.3), point)
