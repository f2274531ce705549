"""What lesson 31 derives: the best discriminator of pairs, with fakes of full and of half weight, and where a projection is exact."""

import pytest
import torch
import torch.nn.functional as F

from aigc_lessons.losses import hinge_discriminator_loss, vae_loss
from aigc_lessons.ops import projection_logit


def best(p, q, weight, of_wrong=0.0):
    """The answer from a fine grid with the least hinge loss, where fakes count `weight` and mismatched pairs have the density `of_wrong`."""
    d = torch.linspace(-3, 3, 601)
    fakes = weight * q[:, None] + (of_wrong[:, None] if isinstance(of_wrong, torch.Tensor) else of_wrong)
    return d[(p[:, None] * F.relu(1 - d) + fakes * F.relu(1 + d)).argmin(1)]


@pytest.mark.parametrize("seed", range(3))
def test_the_best_hinge_discriminator_is_a_sign(seed):
    p, q, r = torch.rand(3, 40, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(best(p, q, 1.0), (p - q).sign())
    torch.testing.assert_close(best(p, q, 0.5), (2 * p - q).sign())
    torch.testing.assert_close(best(p, q, 1.0, r), (p - q - r).sign())


def test_with_halved_fakes_half_of_the_data_may_vanish_unseen():
    p, q = torch.full((4,), 0.25), torch.tensor([0.49, 0.49, 0.01, 0.01])
    assert best(p, q, 0.5).tolist() == pytest.approx([1, 1, 1, 1])
    assert best(p, q, 1.0).tolist() == pytest.approx([-1, -1, 1, 1])


def test_the_grid_above_is_the_courses_hinge_loss():
    real, fake = torch.tensor([2.0, 0.3, -1.5]), torch.tensor([-2.0, 0.0, 1.5, -0.4])
    by_hand = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    torch.testing.assert_close(hinge_discriminator_loss(real, fake), by_hand)


@pytest.mark.parametrize("seed", range(3))
def test_a_projection_is_the_log_ratio_of_gaussian_classes_of_unequal_shares(seed):
    """K Gaussians of one covariance, in data and generator: f = (x, 1), rows as derived in the lesson, and the logarithm of the shares."""
    g = torch.Generator().manual_seed(seed)
    k, d, variance = 4, 3, 2.5
    m, made = torch.randn(2, k, d, generator=g)
    shares, asked = torch.rand(2, k, generator=g).add(0.1).log_softmax(1)
    x, labels = torch.randn(7, d, generator=g), torch.randint(k, (7,), generator=g)
    density = lambda mean: torch.distributions.Normal(mean[labels], variance**0.5).log_prob(x).sum(1)
    ratio = shares[labels] + density(m) - asked[labels] - density(made)
    bias = (made.square().sum(1) - m.square().sum(1)) / (2 * variance) + shares - asked
    rows = torch.cat([(m - made) / variance, bias[:, None]], 1)
    features, shared = torch.cat([x, torch.ones(7, 1)], 1), rows.mean(0)
    torch.testing.assert_close(projection_logit(features, labels, rows - shared, shared), ratio, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("beta", [0.1, 1.0, 4.0])
def test_beta_is_the_variance_of_the_decoder(beta):
    """vae_loss has the gradient of beta times the negative bound with p(x|z) = N(reconstruction, beta)."""
    g = torch.Generator().manual_seed(0)
    x, made, mu, logvar = (torch.randn(5, d, generator=g) for d in (6, 6, 2, 2))
    leaves = [t.requires_grad_() for t in (made, mu, logvar)]
    likelihood = torch.distributions.Normal(made, beta**0.5).log_prob(x).sum(1)
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(mu, (logvar / 2).exp()), torch.distributions.Normal(0.0, 1.0)
    ).sum(1)
    ours = torch.autograd.grad(vae_loss(x, made, mu, logvar, beta), leaves)
    bound = torch.autograd.grad(beta * (kl - likelihood).mean(), leaves)
    for a, b in zip(ours, bound):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
