"""The variational autoencoder's formulas: sampling, the KL, the bound and its gap, gradient estimators."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from aigc_lessons import losses

LOG_2PI = math.log(2 * math.pi)


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def gaussian(mu, logvar):
    return Normal(mu, (logvar / 2).exp())


def close_in_standard_errors(values, want, how_many):
    """values: (n, ...) independent draws. Their mean must be within `how_many` standard errors of `want`."""
    error = values.std(0) / math.sqrt(len(values))
    off = (values.mean(0) - want).abs()
    assert (off <= how_many * error).all(), f"off by {(off / error).max():.1f} standard errors"


# Reparameterisation


def test_reparameterize_is_the_affine_map_of_the_noise():
    mu, logvar = torch.tensor([[1.0, -2.0, 0.5]]), torch.tensor([[0.0, 2 * math.log(3), -2 * math.log(4)]])
    noise = torch.tensor([[2.0, -1.0, 8.0]])
    torch.testing.assert_close(losses.reparameterize(mu, logvar, noise), torch.tensor([[3.0, -5.0, 2.5]]))


@pytest.mark.parametrize("seed", range(5))
def test_reparameterize_turns_quantiles_of_the_noise_into_quantiles_of_q(seed):
    mu, logvar, noise = randn(7, 3, seed=seed), 2 * randn(7, 3, seed=seed + 50), randn(7, 3, seed=seed + 100)
    z = losses.reparameterize(mu, logvar, noise)
    assert z.shape == (7, 3) and z.dtype == torch.float64
    torch.testing.assert_close(gaussian(mu, logvar).cdf(z), Normal(0.0, 1.0).cdf(noise))


def test_samples_have_the_mean_the_variances_and_no_correlation():
    n = 60_000
    mu, logvar = torch.tensor([0.7, -3.0, 0.0, 10.0]).double(), torch.tensor([-3.0, 0.0, 1.5, 0.4]).double()
    z = losses.reparameterize(mu.expand(n, 4), logvar.expand(n, 4), randn(n, 4, seed=3))
    close_in_standard_errors(z, mu, 4)
    close_in_standard_errors((z - mu) ** 2, logvar.exp(), 4)
    correlation = torch.corrcoef(z.T)
    torch.testing.assert_close(correlation, torch.eye(4).double(), atol=4 / math.sqrt(n), rtol=0)


def test_reparameterize_uses_the_noise_of_each_sample_and_each_dimension():
    noise = randn(5, 3)
    z = losses.reparameterize(torch.zeros(5, 3), torch.zeros(5, 3), noise)
    assert torch.equal(z, noise)


def test_gradients_flow_to_mean_and_logvar():
    mu, logvar, noise = randn(4, 6).requires_grad_(), randn(4, 6, seed=1).requires_grad_(), randn(4, 6, seed=2)
    weights = randn(4, 6, seed=3)
    (losses.reparameterize(mu, logvar, noise) * weights).sum().backward()
    torch.testing.assert_close(mu.grad, weights)
    torch.testing.assert_close(logvar.grad, weights * noise * (logvar.detach() / 2).exp() / 2)
    assert gradcheck(losses.reparameterize, (mu, logvar, noise))


# Two estimators of a gradient: d/dmu and d/dlogvar of E[z^2] = mu^2 + exp(logvar)


@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.5, -1.0), (-0.4, 1.2), (3.0, 0.5), (0.2, -4.0)])
def test_reparameterised_gradients_agree_with_score_function_ones_and_vary_less(mean, log_variance):
    n = 200_000
    mu, logvar = (torch.full((n, 1), v, dtype=torch.float64, requires_grad=True) for v in (mean, log_variance))
    z = losses.reparameterize(mu, logvar, randn(n, 1, seed=11))
    through_z = torch.cat(torch.autograd.grad(z.square().sum(), (mu, logvar)), 1)  # (n, 2): each draw's own gradient
    fixed = z.detach()
    surrogate = (gaussian(mu, logvar).log_prob(fixed) * fixed.square()).sum()
    score = torch.cat(torch.autograd.grad(surrogate, (mu, logvar)), 1)

    m, v = mean**2, math.exp(log_variance)
    exact = torch.tensor([2 * mean, v], dtype=torch.float64)
    close_in_standard_errors(through_z, exact, 4)
    close_in_standard_errors(score, exact, 4)
    # Moments of a Gaussian up to the eighth give both variances.
    variance_through_z = torch.tensor([4 * v, m * v + 2 * v**2], dtype=torch.float64)
    variance_score = torch.tensor(
        [m**2 / v + 14 * m + 15 * v, m**2 / 2 + 15 * m * v + 18.5 * v**2], dtype=torch.float64
    )
    close_in_standard_errors((through_z - exact) ** 2, variance_through_z, 4)
    close_in_standard_errors((score - exact) ** 2, variance_score, 4)
    assert (through_z.var(0) < 0.5 * score.var(0)).all()


# Kullback-Leibler divergence to N(0, I)


@pytest.mark.parametrize(("n", "d", "scale"), [(1, 1, 1.0), (7, 3, 1.0), (3, 11, 0.01), (4, 2, 15.0), (5, 4, 1e-6)])
def test_kl_agrees_with_torch_distributions(n, d, scale):
    mu, logvar = scale * randn(n, d), scale * randn(n, d, seed=1)
    got = losses.kl_to_standard_normal(mu, logvar)
    want = kl_divergence(gaussian(mu, logvar), Normal(torch.zeros(n, d).double(), 1.0)).sum(1)
    assert got.shape == (n,) and got.dtype == torch.float64
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-14)


def test_kl_by_hand():
    mu = torch.tensor([[0.0, 0.0], [3.0, 0.0], [1.0, -2.0]])
    logvar = torch.tensor([[0.0, math.log(4)], [0.0, 0.0], [-1.0, 1.0]])
    want = [(4 - 1 - math.log(4)) / 2, 9 / 2, (1 + 4 + math.exp(-1) + math.e - 2) / 2]
    assert losses.kl_to_standard_normal(mu, logvar).tolist() == pytest.approx(want)


@pytest.mark.parametrize(("d", "seed"), [(1, 0), (2, 1), (3, 2), (5, 3), (2, 4), (8, 5)])
def test_kl_agrees_with_monte_carlo(d, seed):
    n = 100_000
    mu, logvar = randn(1, d, seed=seed), 0.8 * randn(1, d, seed=seed + 20)
    z = losses.reparameterize(mu, logvar, randn(n, d, seed=seed + 40))
    log_ratio = (gaussian(mu, logvar).log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(1)
    close_in_standard_errors(log_ratio, losses.kl_to_standard_normal(mu, logvar), 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-12, 1e-7, 1e-4, 1e-2, 1.0, 30.0])
def test_kl_is_never_negative(scale, dtype):
    mu, logvar = scale * randn(5_000, 1, seed=7, dtype=dtype), scale * randn(5_000, 1, seed=8, dtype=dtype)
    assert (losses.kl_to_standard_normal(mu, logvar) >= 0).all()
    assert (losses.kl_to_standard_normal(0 * mu, logvar) >= 0).all()


def test_kl_is_zero_for_the_standard_normal_and_for_nothing_else():
    assert losses.kl_to_standard_normal(torch.zeros(3, 4), torch.zeros(3, 4)).tolist() == [0.0] * 3
    for d in range(4):
        for size in (1e-3, -1e-3, 0.5, -0.5, 4.0, -4.0):
            away = torch.zeros(1, 4)
            away[0, d] = size
            assert losses.kl_to_standard_normal(away, torch.zeros(1, 4)) > 0
            assert losses.kl_to_standard_normal(torch.zeros(1, 4), away) > 0


@pytest.mark.parametrize("logvar", [1e-3, -1e-3, 1e-4, -1e-4])
def test_kl_keeps_its_digits_close_to_the_standard_normal(logvar):
    """0.5 * (exp(logvar) - 1 - logvar) is logvar^2 / 4 + logvar^3 / 12 + ...; in float32 exp() alone would lose all of it."""
    got = losses.kl_to_standard_normal(torch.zeros(1, 1), torch.tensor([[logvar]])).item()
    assert got == pytest.approx(logvar**2 / 4 + logvar**3 / 12, rel=1e-2)


def test_gradients_of_the_kl():
    mu, logvar = randn(4, 3).requires_grad_(), randn(4, 3, seed=1).requires_grad_()
    losses.kl_to_standard_normal(mu, logvar).sum().backward()
    torch.testing.assert_close(mu.grad, mu.detach())
    torch.testing.assert_close(logvar.grad, (logvar.detach().exp() - 1) / 2)
    assert gradcheck(losses.kl_to_standard_normal, (mu, logvar))


# The bound, on a model whose evidence is known: z ~ N(0, I), x|z ~ N(W z + b, s2 I), so x ~ N(b, W W' + s2 I)


class LinearGaussian:
    """p(z) = N(0, I_3), p(x|z) = N(W z + b, s2 I_5). With orthogonal columns of W the posterior is a diagonal Gaussian."""

    def __init__(self, s2, orthogonal, seed=0):
        w = randn(5, 3, seed=seed)
        self.w = torch.linalg.qr(w).Q * torch.tensor([0.3, 1.0, 2.5]).double() if orthogonal else w
        self.b, self.s2 = randn(5, seed=seed + 1), s2

    def evidence(self, x):
        return MultivariateNormal(self.b, self.w @ self.w.T + self.s2 * torch.eye(5).double()).log_prob(x)

    def posterior(self, x):
        covariance = torch.linalg.inv(torch.eye(3).double() + self.w.T @ self.w / self.s2)
        return (x - self.b) @ self.w @ covariance / self.s2, covariance

    def log_likelihood(self, x, z):
        return Normal(z @ self.w.T + self.b, math.sqrt(self.s2)).log_prob(x).sum(1)

    def expected_log_likelihood(self, x, mu, logvar):
        """E[log p(x|z)] for z ~ N(mu, exp(logvar)): the spread of z adds the trace of W diag(exp(logvar)) W'."""
        spread = (logvar.exp() * self.w.square().sum(0)).sum(1)
        return self.log_likelihood(x, mu) - spread / (2 * self.s2)


MODELS = [(0.5, False), (2.0, False), (0.3, True), (1.7, True)]


@pytest.mark.parametrize(("s2", "orthogonal"), MODELS)
def test_the_elbo_is_below_the_evidence_by_exactly_the_kl_to_the_posterior(s2, orthogonal):
    model = LinearGaussian(s2, orthogonal)
    for seed in range(100):
        x, mu, logvar = 2 * randn(1, 5, seed=seed), randn(1, 3, seed=seed + 200), randn(1, 3, seed=seed + 400)
        bound = losses.elbo(model.expected_log_likelihood(x, mu, logvar), mu, logvar)
        mean, covariance = model.posterior(x)
        gap = kl_divergence(
            MultivariateNormal(mu[0], torch.diag(logvar[0].exp())), MultivariateNormal(mean[0], covariance)
        )
        assert bound.shape == () and bound < model.evidence(x).item()
        torch.testing.assert_close(model.evidence(x)[0] - bound, gap)


@pytest.mark.parametrize("s2", [0.3, 1.0, 1.7])
def test_the_elbo_is_the_evidence_at_the_exact_posterior_and_flat_there(s2):
    model = LinearGaussian(s2, orthogonal=True)
    x = 2 * randn(6, 5, seed=9)
    mean, covariance = model.posterior(x)
    mu, logvar = mean.requires_grad_(), covariance.diagonal().log().expand(6, 3).clone().requires_grad_()
    bound = losses.elbo(model.expected_log_likelihood(x, mu, logvar), mu, logvar)
    torch.testing.assert_close(bound, model.evidence(x).mean())
    for gradient in torch.autograd.grad(bound, (mu, logvar)):
        torch.testing.assert_close(gradient, torch.zeros(6, 3).double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("s2", [0.3, 1.7])
def test_at_the_exact_posterior_every_z_gives_the_same_evidence(s2):
    """log p(x, z) - log q(z|x) = log p(x). The density of z comes from that of the noise through the map's own slope."""
    model = LinearGaussian(s2, orthogonal=True)
    x, noise = 2 * randn(40, 5, seed=9), 2 * randn(40, 3, seed=10).requires_grad_()
    mean, covariance = model.posterior(x)
    z = losses.reparameterize(mean, covariance.diagonal().log().expand(40, 3), noise)
    (slope,) = torch.autograd.grad(z.sum(), noise)
    log_q = (Normal(0.0, 1.0).log_prob(noise) - slope.log()).sum(1)
    joint = model.log_likelihood(x, z) + Normal(0.0, 1.0).log_prob(z).sum(1)
    torch.testing.assert_close(joint - log_q, model.evidence(x))


@pytest.mark.parametrize(("factor", "is_equal"), [(1.0, True), (0.25, False), (4.0, False)])
def test_the_sampled_elbo_meets_the_evidence_only_with_the_right_variance(factor, is_equal):
    model, n = LinearGaussian(0.8, orthogonal=True), 50_000
    x = 2 * randn(1, 5, seed=9)
    mean, covariance = model.posterior(x)
    mu, logvar = mean.expand(n, 3), (factor * covariance.diagonal()).log().expand(n, 3)
    log_px = model.log_likelihood(x, losses.reparameterize(mu, logvar, randn(n, 3, seed=12)))
    off = (model.evidence(x) - losses.elbo(log_px, mu, logvar)).item()
    error = log_px.std().item() / math.sqrt(n)
    assert abs(off) < 3 * error if is_equal else off > 20 * error


def test_the_elbo_is_a_mean_over_the_batch():
    log_px, mu, logvar = randn(4), randn(4, 3, seed=1), randn(4, 3, seed=2)
    alone = [losses.elbo(log_px[i : i + 1], mu[i : i + 1], logvar[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(losses.elbo(log_px, mu, logvar), torch.stack(alone).mean())
    assert gradcheck(losses.elbo, tuple(v.requires_grad_() for v in (log_px, mu, logvar)))


# The density of a decoder's Gaussian


@pytest.mark.parametrize("shape", [(3, 2, 4, 5), (4, 6), (5, 1)])
@pytest.mark.parametrize("variance", [1.0, 0.03, 4.0])
def test_gaussian_log_density_agrees_with_torch_distributions(shape, variance):
    x, mean = randn(*shape), randn(*shape, seed=1)
    got = losses.gaussian_log_density(x, mean, variance)
    assert got.shape == shape[:1] and got.dtype == torch.float64
    torch.testing.assert_close(got, Normal(mean, math.sqrt(variance)).log_prob(x).flatten(1).sum(1))
    variances = randn(*shape, seed=2).exp()
    torch.testing.assert_close(
        losses.gaussian_log_density(x, mean, variances), Normal(mean, variances.sqrt()).log_prob(x).flatten(1).sum(1)
    )


def test_gaussian_densities_add_up_to_1():
    grid = torch.linspace(-12, 12, 4_001).double()[:, None]
    density = losses.gaussian_log_density(grid, torch.full_like(grid, 0.7), 1.9).exp()
    assert torch.trapezoid(density, grid[:, 0]).item() == pytest.approx(1)


def test_gradients_of_the_gaussian_log_density():
    given = (
        randn(3, 4).requires_grad_(),
        randn(3, 4, seed=1).requires_grad_(),
        randn(3, 4, seed=2).exp().requires_grad_(),
    )
    assert gradcheck(losses.gaussian_log_density, given)


# The loss of the autoencoder


def example(n=3, shape=(2, 4, 5), d=7, dtype=torch.float64):
    return (
        randn(n, *shape, dtype=dtype),
        randn(n, *shape, seed=1, dtype=dtype),
        randn(n, d, seed=2, dtype=dtype),
        randn(n, d, seed=3, dtype=dtype),
    )


@pytest.mark.parametrize("shape", [(2, 4, 5), (1, 3, 3), (6,)])
@pytest.mark.parametrize("variance", [1.0, 0.1, 2.5])
def test_vae_loss_is_minus_the_elbo_times_the_variance_of_a_pixel(variance, shape):
    x, reconstruction, mu, logvar = example(shape=shape)
    log_px = Normal(reconstruction, math.sqrt(variance)).log_prob(x).flatten(1).sum(1)
    pixels = math.prod(shape)
    constant = -variance * pixels / 2 * (LOG_2PI + math.log(variance))
    got = losses.vae_loss(x, reconstruction, mu, logvar, variance)
    assert got.shape == ()
    torch.testing.assert_close(got, -variance * losses.elbo(log_px, mu, logvar) + constant)


def test_vae_loss_by_hand():
    x, reconstruction = torch.tensor([[[[1.0, -1.0]]], [[[0.5, 0.0]]]]), torch.tensor([[[[0.0, 1.0]]], [[[0.5, 2.0]]]])
    mu, logvar = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), torch.zeros(2, 3)
    # half squared errors 2.5 and 2, KL 2 and 0
    assert losses.vae_loss(x, reconstruction, mu, logvar, 2.5).item() == pytest.approx((2.5 + 2.5 * 2 + 2) / 2)


def test_a_perfect_autoencoder_pays_only_the_kl():
    x, _, mu, logvar = example()
    assert losses.vae_loss(x, x, mu, logvar, 0).item() == 0
    torch.testing.assert_close(
        losses.vae_loss(x, x, mu, logvar, 2.5), 2.5 * losses.kl_to_standard_normal(mu, logvar).mean()
    )


def test_gradients_of_the_vae_loss():
    x, reconstruction, mu, logvar = (v.requires_grad_() for v in example())
    got = torch.autograd.grad(losses.vae_loss(x, reconstruction, mu, logvar, 2.5), (x, reconstruction, mu, logvar))
    want = (x - reconstruction) / 3, (reconstruction - x) / 3, 2.5 * mu / 3, 2.5 * (logvar.exp() - 1) / 6
    torch.testing.assert_close(got, tuple(v.detach() for v in want))
    assert gradcheck(lambda *given: losses.vae_loss(*given, 2.5), (x, reconstruction, mu, logvar))


# Where codes lie, and what to draw there


def codes(n=6, d=1, seed=1):
    return randn(n, d, seed=seed), randn(n, d, seed=seed + 1) - 1


def test_the_aggregate_posterior_is_a_density():
    z = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None]
    assert (losses.aggregate_posterior(z, *codes()).exp().sum() * 0.006).item() == pytest.approx(1, abs=1e-6)


def test_the_aggregate_posterior_of_equal_codes_is_the_code():
    mu, logvar = (v.expand(5, 3) for v in codes(1, 3))
    z = randn(7, 3)
    torch.testing.assert_close(losses.aggregate_posterior(z, mu, logvar), gaussian(mu[0], logvar[0]).log_prob(z).sum(1))


def test_a_code_never_says_more_than_the_name_of_its_picture():
    """The mean of log q(z|x_n) - log q(z) is at most log N, and reaches it where codes do not overlap."""
    for shift, reached in ((-1, False), (-14, True)):
        mu, logvar = randn(20, 2), torch.full((20, 2), float(shift), dtype=torch.float64)
        z = losses.reparameterize(mu, logvar, randn(20, 2, seed=3))
        says = losses.gaussian_log_density(z, mu, logvar.exp()) - losses.aggregate_posterior(z, mu, logvar)
        assert (says <= math.log(20) + 1e-12).all()
        assert (says.mean() > math.log(20) - 1e-3) == reached


def test_no_picture_beats_the_optimal_decoder():
    mu, logvar = codes(8, 2)
    x, z = randn(8, 3, 2, seed=4), randn(5, 2, seed=5)
    log_q = gaussian(mu, logvar).log_prob(z[:, None]).sum(2)
    weights = log_q.exp() / log_q.exp().sum(1, keepdim=True)

    def cost(answer):  # of each z: the expected squared distance to the picture that sent it
        return (weights * (answer[:, None] - x).square().sum((2, 3))).sum(1)

    best = losses.optimal_decoder(z, mu, logvar, x)
    for seed in range(10):
        step = randn(5, 3, 2, seed=10 + seed) / 10
        torch.testing.assert_close(cost(best + step) - cost(best), step.square().sum((1, 2)))


def test_the_optimal_decoder_knows_only_the_nearest_picture_of_narrow_codes():
    mu, x = randn(6, 2), randn(6, 1, 4, 4, seed=2)
    torch.testing.assert_close(losses.optimal_decoder(mu, mu, torch.full_like(mu, -20), x), x)


@pytest.mark.parametrize("far", [40.0, 1000.0])
def test_both_are_finite_where_every_density_underflows(far):
    mu, logvar = (v.float() for v in codes(5, 2))
    z = torch.full((3, 2), far)
    assert losses.aggregate_posterior(z, mu, logvar).isfinite().all()
    assert losses.optimal_decoder(z, mu, logvar, randn(5, 7, dtype=torch.float32)).isfinite().all()


# Far out


@pytest.mark.parametrize("value", [50.0, -50.0])
def test_everything_is_finite_in_value_and_gradient_at_50(value):
    """A network's logvar is as free as a logit."""
    x, mu, logvar = (torch.full((2, 3), v, requires_grad=True) for v in (-value, value, value))
    z = losses.reparameterize(mu, logvar, torch.tensor([[-3.0, 0.0, 3.0]]))
    results = (
        z.sum(),
        losses.kl_to_standard_normal(mu, logvar).sum(),
        losses.elbo(x[:, 0], mu, logvar),
        losses.vae_loss(x, mu, mu, logvar, 0.5),
    )
    for result in results:
        assert result.isfinite()
        for gradient in torch.autograd.grad(result, (x, mu, logvar), allow_unused=True, retain_graph=True):
            assert gradient is None or gradient.isfinite().all()
    want = (2500 + math.expm1(value) - value) / 2
    assert losses.kl_to_standard_normal(mu, logvar)[0].item() == pytest.approx(3 * want, rel=1e-5)
