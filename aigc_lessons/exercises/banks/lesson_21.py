"""The exercises of lesson 21: a sample that lets gradients through, the KL to a standard normal, the evidence lower bound."""

import math

import torch
import torch.nn.functional as F
from torch.distributions import AffineTransform, Normal, kl_divergence

from ...losses import elbo, kl_to_standard_normal, reparameterize
from ..engine import Case, Exercise, Mistake, Pair

# reparameterize


def _sample_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=g)

    def case(label, mu, logvar, noise):
        return Case(label, (mu, logvar, noise), gradients=(0, 1))

    return [
        case("one sample, one dimension", torch.tensor([[3.0]]), torch.tensor([[1.0]]), torch.tensor([[2.0]])),
        case(
            "two samples, three dimensions",
            torch.tensor([[1.0, -2.0, 0.0], [0.5, 4.0, -1.0]]),
            torch.tensor([[0.0, 1.0, -1.0], [2.0, -3.0, 0.5]]),
            torch.tensor([[1.0, -1.0, 0.5], [2.0, 0.0, -0.5]]),
        ),
        case("four samples, five dimensions", randn(4, 5), randn(4, 5), randn(4, 5)),
        case("small variances", randn(5, 3) / 10, randn(5, 3) - 5, randn(5, 3)),
        case("large variances", randn(3, 7), randn(3, 7) + 5, randn(3, 7)),
        case("means far from 0", 20 * randn(2, 6), 2 * randn(2, 6), randn(2, 6)),
    ]


def _sample_by_matrix(mu, logvar, noise):
    """Each sample's covariance has the square root diag(std)."""
    root = torch.diag_embed((logvar / 2).exp())  # (N, d, d)
    return mu + torch.einsum("nij,nj->ni", root, noise)


def _sample_by_element(mu, logvar, noise):
    rows = [
        torch.stack([m + math.e ** (0.5 * v) * e for m, v, e in zip(*row)])
        for row in zip(mu.double(), logvar.double(), noise.double())
    ]
    return torch.stack(rows)


SAMPLE = Exercise(
    name="reparameterize",
    lesson=21,
    points=1,
    minutes=5,
    differentiable=True,
    docstring="""A sample of N(mu, exp(logvar)) through which gradients flow to mu and logvar.

mu: (N, d), means. logvar: (N, d), natural logarithms of the variances.
noise: (N, d), already drawn from N(0, 1): nothing is drawn here. Returns (N, d), one sample for each row.""",
    reference=reparameterize,
    cases=_sample_cases,
    alternatives={
        "the library's affine transform": lambda mu, logvar, noise: AffineTransform(mu, (logvar / 2).exp())(noise),
        "square root of the variance": lambda mu, logvar, noise: mu + logvar.exp().sqrt() * noise,
        "addcmul": lambda mu, logvar, noise: torch.addcmul(mu, torch.exp(0.5 * logvar), noise),
        "a diagonal matrix for each sample": _sample_by_matrix,
        "element by element, float64": _sample_by_element,
        "a power of 2": lambda mu, logvar, noise: torch.exp2(logvar / (2 * math.log(2))) * noise + mu,
    },
    mistakes=(
        Mistake(
            "logvar taken for the deviation",
            "You multiply the noise by logvar itself; the standard deviation is exp(logvar / 2).",
            lambda mu, logvar, noise: mu + logvar * noise,
        ),
        Mistake(
            "logvar taken for the variance",
            "You take the square root of logvar, which is NaN where logvar is negative; "
            "logvar is the logarithm of the variance.",
            lambda mu, logvar, noise: mu + logvar.sqrt() * noise,
        ),
        Mistake(
            "variance for the deviation",
            "You multiply the noise by the variance exp(logvar); you need its square root, exp(logvar / 2).",
            lambda mu, logvar, noise: mu + logvar.exp() * noise,
        ),
        Mistake(
            "halved outside",
            "You halve exp(logvar); the half belongs inside, exp(logvar / 2), because it stands for a square root.",
            lambda mu, logvar, noise: mu + logvar.exp() / 2 * noise,
        ),
        Mistake(
            "sign of logvar",
            "You use exp(-logvar / 2), which is one over the standard deviation.",
            lambda mu, logvar, noise: mu + (-logvar / 2).exp() * noise,
        ),
        Mistake(
            "softplus",
            "You use softplus(logvar) as the deviation: that is another way to name a positive number; for a "
            "logvar it is exp(logvar / 2).",
            lambda mu, logvar, noise: mu + F.softplus(logvar) * noise,
        ),
        Mistake(
            "noise not scaled",
            "You add the noise as it is; it must first be multiplied by the standard deviation.",
            lambda mu, logvar, noise: mu + noise,
        ),
        Mistake(
            "noise subtracted",
            "You subtract the noise: that has the same distribution, but the formula adds it, and the "
            "check compares numbers.",
            lambda mu, logvar, noise: mu - (logvar / 2).exp() * noise,
        ),
        Mistake(
            "draws its own noise",
            "You draw new noise; use the one you are given, so that the randomness is the caller's.",
            lambda mu, logvar, noise: mu + (logvar / 2).exp() * torch.randn_like(mu),
        ),
        Mistake(
            "mean forgotten",
            "You never add mu, so every sample is centred at 0.",
            lambda mu, logvar, noise: (logvar / 2).exp() * noise,
        ),
        Mistake(
            "mean alone",
            "You return mu, which is the most likely z and not a sample: add the noise times the standard deviation.",
            lambda mu, logvar, noise: mu.clone(),
        ),
        Mistake(
            "mean scaled too",
            "You multiply mu by the standard deviation as well; only the noise is scaled.",
            lambda mu, logvar, noise: (mu + noise) * (logvar / 2).exp(),
        ),
        Mistake(
            "mean and deviation exchanged",
            "You exchanged the two: mu is added, and the standard deviation multiplies the noise.",
            lambda mu, logvar, noise: (logvar / 2).exp() + mu * noise,
        ),
        Mistake(
            "one noise for the batch",
            "You use the first row's noise for every sample; each has its own.",
            lambda mu, logvar, noise: mu + (logvar / 2).exp() * noise[:1],
        ),
        Mistake(
            "one noise for all dimensions",
            "You use one number of noise for all dimensions of a sample, which ties them together; each has its own.",
            lambda mu, logvar, noise: mu + (logvar / 2).exp() * noise[:, :1],
        ),
    ),
    pairs=(
        Pair("variance for the deviation", "sign of logvar", lambda mu, logvar, noise: mu + (-logvar).exp() * noise),
        Pair("variance for the deviation", "mean forgotten", lambda mu, logvar, noise: logvar.exp() * noise),
        Pair(
            "variance for the deviation",
            "one noise for the batch",
            lambda mu, logvar, noise: mu + logvar.exp() * noise[:1],
        ),
    ),
)


# kl_to_standard_normal


def _kl_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, mu, logvar):
        return Case(label, (torch.as_tensor(mu), torch.as_tensor(logvar)), gradients=(0, 1))

    def randn(*shape):
        return torch.randn(*shape, generator=g)

    return [
        case("a mean of 3", [[3.0]], [[0.0]]),
        Case("the standard normal itself", (torch.zeros(1, 1), torch.zeros(1, 1))),
        case("a logvar of 1", [[0.0]], [[1.0]]),
        case(
            "two samples, three dimensions", [[1.0, -2.0, 0.0], [0.5, 3.0, -1.0]], [[0.0, 1.0, -1.0], [2.0, -3.0, 0.5]]
        ),
        case("four samples, five dimensions", randn(4, 5), randn(4, 5)),
        case("more dimensions than samples", randn(3, 8) / 2, randn(3, 8) / 2),
        case("tiny variances", randn(5, 2) / 10, -12 - 4 * torch.rand(5, 2, generator=g)),
        case("large variances", randn(2, 6), 12 + randn(2, 6) / 4),
        case("means far from 0", 30 * randn(6, 4), randn(6, 4)),
    ]


def _kl_terms(mu, logvar):
    """(N, d): each dimension's share."""
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)


def _kl_by_covariance(mu, logvar):
    """The formula for any two normal distributions: half of trace + |mu|^2 - d - log det."""
    covariance = torch.diag_embed(logvar.double().exp())
    trace, squared = covariance.diagonal(dim1=1, dim2=2).sum(1), torch.einsum("nd,nd->n", mu.double(), mu.double())
    return (trace + squared - mu.shape[1] - torch.logdet(covariance)) / 2


def _kl_by_entropy(mu, logvar):
    """Cross-entropy to the standard normal minus entropy."""
    cross = 0.5 * (math.log(2 * math.pi) + mu**2 + logvar.exp())
    entropy = 0.5 * (math.log(2 * math.pi) + 1 + logvar)
    return torch.sum(cross - entropy, dim=1)


def _kl_dimension_by_dimension(mu, logvar):
    total = 0
    for m, v in zip(mu.T, logvar.T):
        std = torch.exp(v / 2)
        total = total + (std**2 + m**2) / 2 - 0.5 - torch.log(std)
    return total


def _kl_reversed(mu, logvar):
    return 0.5 * (logvar + (1 + mu**2) / logvar.exp() - 1).sum(1)


KL = Exercise(
    name="kl_to_standard_normal",
    lesson=21,
    points=2,
    minutes=10,
    differentiable=True,
    docstring="""Kullback-Leibler divergence of N(mu, exp(logvar)) from N(0, I), KL(N(mu, exp(logvar)) || N(0, I)), in nats.

mu: (N, d), means. logvar: (N, d), natural logarithms of the variances; the dimensions are independent.
Returns (N,): one value for each sample, summed over its d dimensions, at least 0.""",
    reference=kl_to_standard_normal,
    cases=_kl_cases,
    alternatives={
        "the library": lambda mu, logvar: kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(1),
        "the formula as papers print it": lambda mu, logvar: (
            -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)
        ),
        "covariance matrices, float64": _kl_by_covariance,
        "cross-entropy minus entropy": _kl_by_entropy,
        "dimension by dimension": _kl_dimension_by_dimension,
    },
    mistakes=(
        Mistake(
            "mean over dimensions",
            "You take the mean over the latent dimensions; the KL of independent dimensions adds up.",
            lambda mu, logvar: _kl_terms(mu, logvar).mean(1),
        ),
        Mistake(
            "sum over the batch",
            "You add up the samples as well; return one value for each, (N,).",
            lambda mu, logvar: _kl_terms(mu, logvar).sum(),
        ),
        Mistake(
            "mean over the batch",
            "You take the mean over the samples already; return one value for each, (N,).",
            lambda mu, logvar: _kl_terms(mu, logvar).sum(1).mean(),
        ),
        Mistake(
            "one value a dimension", "You return one value for each dimension; sum them for each sample.", _kl_terms
        ),
        Mistake(
            "summed over the wrong axis",
            "You sum over axis 0, the samples; sum over axis 1, the latent dimensions.",
            lambda mu, logvar: _kl_terms(mu, logvar).sum(0),
        ),
        Mistake(
            "sign of logvar",
            "You add logvar; it is subtracted, so that a small variance costs something.",
            lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - 1 + logvar).sum(1),
        ),
        Mistake(
            "no -1",
            "You left out the -1, so your KL of the standard normal from itself is d / 2 and not 0.",
            lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - logvar).sum(1),
        ),
        Mistake(
            "-1 once a sample",
            "You subtract 1 once for each sample; it belongs to every dimension, inside the sum.",
            lambda mu, logvar: 0.5 * ((mu**2 + logvar.exp() - logvar).sum(1) - 1),
        ),
        Mistake("no half", "You left out the factor one half.", lambda mu, logvar: 2 * _kl_terms(mu, logvar).sum(1)),
        Mistake(
            "wrong sign",
            "Your KL is negative, and a KL never is: turn all four signs round, or put a minus in front.",
            lambda mu, logvar: -_kl_terms(mu, logvar).sum(1),
        ),
        Mistake(
            "mu not squared",
            "You use mu where its square belongs.",
            lambda mu, logvar: 0.5 * (mu + logvar.exp() - 1 - logvar).sum(1),
        ),
        Mistake(
            "logvar taken for the deviation",
            "You treat logvar as the standard deviation; the variance is exp(logvar).",
            lambda mu, logvar: 0.5 * (mu**2 + logvar**2 - 1 - (logvar**2).log()).sum(1),
        ),
        Mistake(
            "logvar taken for the variance",
            "You treat logvar as the variance and take its logarithm, which is NaN where "
            "logvar is negative; logvar is a logarithm already.",
            lambda mu, logvar: 0.5 * (mu**2 + logvar - 1 - logvar.log()).sum(1),
        ),
        Mistake(
            "logvar taken for the log of the deviation",
            "You treat logvar as the logarithm of the standard deviation; it is that of the variance, twice as large.",
            lambda mu, logvar: _kl_terms(mu, 2 * logvar).sum(1),
        ),
        Mistake(
            "deviation for the variance",
            "You use exp(logvar / 2), the standard deviation, where the variance exp(logvar) belongs.",
            lambda mu, logvar: 0.5 * (mu**2 + (logvar / 2).exp() - 1 - logvar).sum(1),
        ),
        Mistake(
            "reversed",
            "You computed KL(N(0, I) || N(mu, exp(logvar))); the KL is not symmetric, and the standard normal "
            "comes second.",
            _kl_reversed,
        ),
        Mistake(
            "clamped logvar",
            "You clamp logvar to [-10, 10], which changes the value and stops the gradient outside.",
            lambda mu, logvar: _kl_terms(mu, logvar.clamp(-10, 10)).sum(1),
        ),
    ),
    pairs=(
        Pair("wrong sign", "no half", lambda mu, logvar: -2 * _kl_terms(mu, logvar).sum(1)),
        Pair("wrong sign", "mean over dimensions", lambda mu, logvar: -_kl_terms(mu, logvar).mean(1)),
        Pair("no half", "mean over dimensions", lambda mu, logvar: 2 * _kl_terms(mu, logvar).mean(1)),
        Pair("no half", "sum over the batch", lambda mu, logvar: 2 * _kl_terms(mu, logvar).sum()),
        Pair("no half", "no -1", lambda mu, logvar: (mu**2 + logvar.exp() - logvar).sum(1)),
        Pair("no half", "sign of logvar", lambda mu, logvar: (mu**2 + logvar.exp() - 1 + logvar).sum(1)),
    ),
)


# elbo


def _elbo_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, log_px, mu, logvar):
        return Case(label, tuple(map(torch.as_tensor, (log_px, mu, logvar))), gradients=(0, 1, 2))

    def randn(*shape):
        return torch.randn(*shape, generator=g)

    return [
        case("one sample, one dimension", [-2.0], [[1.0]], [[1.0]]),
        Case("one sample, a KL of 0", (torch.tensor([-2.3]), torch.zeros(1, 1), torch.zeros(1, 1))),
        case(
            "two samples, three dimensions",
            [-1.0, -3.5],
            [[1.0, -2.0, 0.0], [0.5, 3.0, -1.0]],
            [[0.0, 1.0, -1.0], [2.0, -3.0, 0.5]],
        ),
        case("four samples, six dimensions", randn(4) - 5, randn(4, 6), randn(4, 6)),
        case("more samples than dimensions", 3 * randn(7) - 20, randn(7, 2), randn(7, 2)),
        case("densities above 1: log_px positive", 8 + randn(5), randn(5, 3) / 2, randn(5, 3)),
        case("samples that differ much", 25 * randn(3) - 60, 3 * randn(3, 8), 2 * randn(3, 8) - 1),
    ]


def _elbo_by_library(log_px, mu, logvar):
    q, p = Normal(mu, (0.5 * logvar).exp()), Normal(torch.zeros_like(mu), torch.ones_like(mu))
    return torch.mean(log_px - kl_divergence(q, p).sum(-1))


def _elbo_by_three_terms(log_px, mu, logvar):
    """log p(x|z), plus E_q of log p(z), plus the entropy of q."""
    log_prior = -0.5 * (math.log(2 * math.pi) + mu**2 + logvar.exp()).sum(1)
    entropy = 0.5 * (math.log(2 * math.pi) + 1 + logvar).sum(1)
    return (log_px + log_prior + entropy).mean()


def _elbo_sample_by_sample(log_px, mu, logvar):
    total = 0
    for reconstruction, m, v in zip(log_px.double(), mu.double(), logvar.double()):
        total = total + reconstruction + 0.5 * (1 + v - m.square() - v.exp()).sum()
    return total / len(log_px)


def _elbo_by_einsum(log_px, mu, logvar):
    kl = (torch.einsum("nd,nd->", mu, mu) + torch.einsum("nd->", logvar.exp() - logvar - 1)) / 2  # of the whole batch
    return (log_px.sum() - kl) / len(log_px)


def _elbo_with_kl(kl):
    """The ELBO with another function (mu, logvar) -> (N,) in place of the KL."""
    return lambda log_px, mu, logvar: (log_px - kl(mu, logvar)).mean()


def _elbo_log_of_mean(log_px, mu, logvar):
    return (log_px - kl_to_standard_normal(mu, logvar)).logsumexp(0) - math.log(len(log_px))


ELBO = Exercise(
    name="elbo",
    lesson=21,
    points=2,
    minutes=5,
    differentiable=True,
    docstring="""The evidence lower bound, a lower bound of log p(x): log p(x|z) - KL(q(z|x) || N(0, I)), mean over the batch.

log_px: (N,), log p(x|z) in nats, at one z drawn from q(z|x) for each sample.
mu: (N, d), means of q(z|x). logvar: (N, d), natural logarithms of its variances.
Returns a scalar, in nats: the KL is summed over the d dimensions, then the mean over the N samples is taken.""",
    reference=elbo,
    cases=_elbo_cases,
    alternatives={
        "the library's KL": _elbo_by_library,
        "prior and entropy instead of the KL": _elbo_by_three_terms,
        "sample by sample, float64": _elbo_sample_by_sample,
        "two means": lambda log_px, mu, logvar: (
            log_px.mean() - (mu**2 + logvar.exp() - 1 - logvar).sum() / (2 * len(mu))
        ),
        "einsum": _elbo_by_einsum,
    },
    mistakes=(
        Mistake(
            "KL added",
            "You add the KL; it is what the bound loses, so subtract it.",
            lambda log_px, mu, logvar: (log_px + kl_to_standard_normal(mu, logvar)).mean(),
        ),
        Mistake(
            "negative",
            "You return minus the ELBO: that is the loss to minimise, and here the bound itself is asked for.",
            lambda log_px, mu, logvar: -elbo(log_px, mu, logvar),
        ),
        Mistake(
            "KL forgotten",
            "You left out the KL; without it nothing keeps q(z|x) near the prior.",
            lambda log_px, mu, logvar: log_px.mean(),
        ),
        Mistake(
            "KL alone",
            "You left out log_px; the bound is log_px minus the KL.",
            lambda log_px, mu, logvar: -kl_to_standard_normal(mu, logvar).mean(),
        ),
        Mistake(
            "KL averaged over everything",
            "You average the KL over the latent dimensions too, which makes it d times too small; sum over them.",
            _elbo_with_kl(lambda mu, logvar: _kl_terms(mu, logvar).mean(1)),
        ),
        Mistake(
            "sum over the batch",
            "You add up the samples; take their mean.",
            lambda log_px, mu, logvar: elbo(log_px, mu, logvar) * len(log_px),
        ),
        Mistake(
            "KL summed over the batch",
            "You subtract the KL of the whole batch from a mean of log_px; take the mean over the samples of both.",
            lambda log_px, mu, logvar: log_px.mean() - kl_to_standard_normal(mu, logvar).sum(),
        ),
        Mistake(
            "log_px summed over the batch",
            "You sum log_px over the batch, but not the KL; take the mean over the samples of both.",
            lambda log_px, mu, logvar: log_px.sum() - kl_to_standard_normal(mu, logvar).mean(),
        ),
        Mistake(
            "one value a sample",
            "You return one value for each sample; take their mean.",
            lambda log_px, mu, logvar: log_px - kl_to_standard_normal(mu, logvar),
        ),
        Mistake(
            "log_px exponentiated",
            "You exponentiate log_px; the bound is made of logarithms of probabilities.",
            lambda log_px, mu, logvar: (log_px.exp() - kl_to_standard_normal(mu, logvar)).mean(),
        ),
        Mistake(
            "log of the mean",
            "You average probabilities and then take the logarithm; the ELBO is a mean of logarithms.",
            _elbo_log_of_mean,
        ),
        Mistake(
            "half missing in the KL",
            "You left out the factor one half of the KL.",
            lambda log_px, mu, logvar: (log_px - 2 * kl_to_standard_normal(mu, logvar)).mean(),
        ),
        Mistake(
            "-1 missing in the KL",
            "You left out the -1 in the KL, which then is not 0 where q(z|x) equals the prior.",
            _elbo_with_kl(lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - logvar).sum(1)),
        ),
        Mistake(
            "sign of logvar in the KL",
            "You add logvar in the KL; it is subtracted there.",
            _elbo_with_kl(lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - 1 + logvar).sum(1)),
        ),
        Mistake(
            "logvar taken for the log of the deviation",
            "You treat logvar as the logarithm of the standard deviation; it is that of the variance, twice as large.",
            _elbo_with_kl(lambda mu, logvar: _kl_terms(mu, 2 * logvar).sum(1)),
        ),
        Mistake(
            "KL reversed",
            "You computed KL(N(0, I) || q(z|x)); in the bound q(z|x) comes first.",
            _elbo_with_kl(_kl_reversed),
        ),
    ),
    pairs=(
        Pair(
            "negative",
            "KL averaged over everything",
            lambda log_px, mu, logvar: -(log_px - _kl_terms(mu, logvar).mean(1)).mean(),
        ),
        Pair("negative", "sum over the batch", lambda log_px, mu, logvar: -elbo(log_px, mu, logvar) * len(log_px)),
        Pair(
            "KL added",
            "half missing in the KL",
            lambda log_px, mu, logvar: (log_px + 2 * kl_to_standard_normal(mu, logvar)).mean(),
        ),
        Pair(
            "half missing in the KL",
            "KL averaged over everything",
            _elbo_with_kl(lambda mu, logvar: 2 * _kl_terms(mu, logvar).mean(1)),
        ),
    ),
)

EXERCISES = (SAMPLE, KL, ELBO)
