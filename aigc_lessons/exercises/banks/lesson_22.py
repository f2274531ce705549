"""The exercises of lesson 22: the loss of a variational autoencoder, where its codes lie, the best that its decoder can draw, its two
networks, and a fault to find."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from ...losses import aggregate_posterior, kl_to_standard_normal, optimal_decoder, vae_loss
from ...models.vae import decoder_network, encoder_network
from ..engine import Case, Exercise, Mistake, Pair


def _vae_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, x, reconstruction, mu, logvar, beta):
        return Case(label, (*map(torch.as_tensor, (x, reconstruction, mu, logvar)), beta), gradients=(1, 2, 3))

    def drawn(label, shape, dimensions, beta, spread=1.0):
        """Pictures and reconstructions in [-1, 1], not binary; their distance grows with `spread`."""
        x = 2 * torch.rand(shape, generator=g) - 1
        reconstruction = torch.tanh(x + spread * torch.randn(shape, generator=g))
        mu, logvar = torch.randn(2, shape[0], dimensions, generator=g)
        return case(label, x, reconstruction, mu, logvar, beta)

    one = [[1.0]], [[1.0]]  # mu and logvar
    return [
        case("one pixel, beta 0: a plain autoencoder", [[0.5]], [[-0.8]], *one, 0),
        case("one pixel, beta 2.5", [[0.5]], [[-0.8]], *one, 2.5),
        case("a perfect reconstruction", [[0.5, -1.0]], [[0.5, -1.0]], *one, 2.5),
        case(
            "two samples of three pixels",
            [[0.1, -0.4, 0.9], [1.0, 0.0, -1.0]],
            [[0.3, 0.2, 0.5], [0.4, 0.1, -0.7]],
            [[1.0], [-0.5]],
            [[-1.0], [0.3]],
            2.5,
        ),
        drawn("rows of pixels, beta 1", (4, 7), 3, 1.0),
        drawn("grey pictures, beta 2.5", (3, 1, 4, 5), 2, 2.5),
        drawn("pictures in colour, beta 0.1", (2, 3, 5, 4), 6, 0.1),
        drawn("good reconstructions, beta 4", (5, 3, 2, 4), 8, 4.0, spread=0.1),
    ]


def _squared_error(x, reconstruction):
    """(N,): summed over the pixels."""
    return (x - reconstruction).square().flatten(1).sum(1)


def _vae_by_library(x, reconstruction, mu, logvar, beta):
    q, prior = Normal(mu, (logvar / 2).exp()), Normal(torch.zeros_like(mu), torch.ones_like(mu))
    kl = kl_divergence(Independent(q, 1), Independent(prior, 1)).mean()
    return F.mse_loss(reconstruction, x, reduction="sum") / (2 * len(x)) + beta * kl


def _vae_by_likelihood(x, reconstruction, mu, logvar, beta):
    """Minus log N(x; reconstruction, 1), without the constant that the loss leaves out."""
    log_px = (Normal(reconstruction, 1.0).log_prob(x) - Normal(0.0, 1.0).log_prob(torch.zeros(()))).flatten(1).sum(1)
    return (-log_px - beta / 2 * (1 + logvar - mu**2 - logvar.exp()).sum(1)).mean()


def _vae_sample_by_sample(x, reconstruction, mu, logvar, beta):
    total = 0
    for a, b, m, v in zip(x.double(), reconstruction.double(), mu.double(), logvar.double()):
        total = total + 0.5 * sum((a - b).flatten() ** 2) + beta * 0.5 * sum(m**2 + v.exp() - 1 - v)
    return total / len(x)


def _vae_by_einsum(x, reconstruction, mu, logvar, beta):
    d = (reconstruction - x).reshape(len(x), -1)
    kl = torch.einsum("nd,nd->n", mu, mu) + torch.einsum("nd->n", logvar.exp() - logvar - 1)
    return 0.5 * (torch.einsum("np,np->n", d, d) + beta * kl).mean()


def _vae_with_error(error):
    """The loss with another function (x, reconstruction) -> (N,) in place of half the squared error."""
    return lambda x, reconstruction, mu, logvar, beta: (
        error(x, reconstruction) + beta * kl_to_standard_normal(mu, logvar)
    ).mean()


def _vae_with_kl(kl):
    """The loss with another function (mu, logvar) -> (N,) in place of the KL."""
    return lambda x, reconstruction, mu, logvar, beta: (
        _squared_error(x, reconstruction) / 2 + beta * kl(mu, logvar)
    ).mean()


def _vae_with_beta(change):
    """The loss with `change(beta)` in place of beta."""
    return lambda x, reconstruction, mu, logvar, beta: vae_loss(x, reconstruction, mu, logvar, change(beta))


def _vae_beta_on_the_error(x, reconstruction, mu, logvar, beta):
    return (beta * _squared_error(x, reconstruction) / 2 + kl_to_standard_normal(mu, logvar)).mean()


def _vae_kl_of_the_batch(x, reconstruction, mu, logvar, beta):
    return (_squared_error(x, reconstruction) / 2).mean() + beta * kl_to_standard_normal(mu, logvar).sum()


def _vae_kl_a_pixel(x, reconstruction, mu, logvar, beta):
    return vae_loss(x, reconstruction, mu, logvar, beta / x[0].numel())


VAE_LOSS = Exercise(
    name="vae_loss",
    lesson=22,
    points=3,
    minutes=15,
    differentiable=True,
    docstring="""Half the squared error summed over the pixels, plus beta times the KL to the standard normal; mean over the batch.

x: (N, ...), pictures. reconstruction: the same shape, in the same range. mu: (N, d), means of q(z|x).
logvar: (N, d), natural logarithms of its variances. beta: number, at least 0.
Returns a scalar: pixels and latent dimensions are summed, then the mean over the N samples is taken.""",
    reference=vae_loss,
    cases=_vae_cases,
    alternatives={
        "the library": _vae_by_library,
        "minus the log-likelihood": _vae_by_likelihood,
        "sample by sample, float64": _vae_sample_by_sample,
        "einsum": _vae_by_einsum,
        "everything summed, then divided by N": lambda x, reconstruction, mu, logvar, beta: (
            ((x - reconstruction).pow(2).sum() + beta * (mu.pow(2) + logvar.exp() - 1 - logvar).sum()) / 2 / x.shape[0]
        ),
    },
    mistakes=(
        Mistake(
            "mean over pixels",
            "You take the mean over the pixels, which makes the KL weigh far more than beta says; sum over them.",
            _vae_with_error(lambda x, reconstruction: (x - reconstruction).square().flatten(1).mean(1) / 2),
        ),
        Mistake(
            "mse_loss as it comes",
            "You use F.mse_loss, which averages over the pixels and has no half; sum over a sample's "
            "pixels and divide by 2.",
            _vae_with_error(lambda x, reconstruction: F.mse_loss(reconstruction, x)),
        ),
        Mistake(
            "no half",
            "You left out the half of the squared error, which stands for a variance of 1.",
            _vae_with_error(_squared_error),
        ),
        Mistake(
            "root of the squared error",
            "You take the square root of the squared error; a Gaussian has the square in its exponent.",
            _vae_with_error(lambda x, reconstruction: (_squared_error(x, reconstruction) + 1e-12).sqrt() / 2),
        ),
        Mistake(
            "absolute error",
            "You use the absolute error; square it.",
            _vae_with_error(lambda x, reconstruction: (x - reconstruction).abs().flatten(1).sum(1) / 2),
        ),
        Mistake(
            "cross-entropy of the pixels",
            "You use binary cross-entropy, which is for pixels that are 0 or 1; here the error is squared.",
            _vae_with_error(
                lambda x, reconstruction: (
                    F.binary_cross_entropy_with_logits(reconstruction, x, reduction="none").flatten(1).sum(1)
                )
            ),
        ),
        Mistake(
            "sum, then square",
            "You square the sum of the differences, so that errors of opposite signs cancel; square each one.",
            _vae_with_error(lambda x, reconstruction: (x - reconstruction).flatten(1).sum(1).square() / 2),
        ),
        Mistake(
            "beta on the wrong term",
            "You multiply the squared error by beta; beta weighs the KL.",
            _vae_beta_on_the_error,
        ),
        Mistake(
            "beta on both terms",
            "You multiply both terms by beta; only the KL has that weight.",
            lambda x, reconstruction, mu, logvar, beta: beta * vae_loss(x, reconstruction, mu, logvar, 1),
        ),
        Mistake("beta ignored", "You never use beta; multiply the KL by it.", _vae_with_beta(lambda beta: 1)),
        Mistake("beta squared", "You multiply by beta twice; once is enough.", _vae_with_beta(lambda beta: beta**2)),
        Mistake("KL forgotten", "You left out the KL: this is a plain autoencoder.", _vae_with_beta(lambda beta: 0)),
        Mistake("KL subtracted", "You subtract the KL; in a loss it is added.", _vae_with_beta(lambda beta: -beta)),
        Mistake(
            "KL averaged over dimensions",
            "You average the KL over the latent dimensions; sum over them.",
            _vae_with_kl(lambda mu, logvar: kl_to_standard_normal(mu, logvar) / mu.shape[1]),
        ),
        Mistake(
            "KL divided by the pixels",
            "You divide the KL by the number of pixels; the squared error is summed over them, "
            "so beta alone weighs the KL.",
            _vae_kl_a_pixel,
        ),
        Mistake(
            "KL summed over the batch",
            "You add up the KL over the batch, so that it grows with the batch; take its mean.",
            _vae_kl_of_the_batch,
        ),
        Mistake(
            "KL halved twice",
            "You halve the KL once more; it has its own half inside, and the other belongs to the squared error alone.",
            _vae_with_beta(lambda beta: beta / 2),
        ),
        Mistake(
            "half missing in the KL", "You left out the half inside the KL.", _vae_with_beta(lambda beta: 2 * beta)
        ),
        Mistake(
            "sign of logvar in the KL",
            "You add logvar in the KL; it is subtracted there.",
            _vae_with_kl(lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - 1 + logvar).sum(1)),
        ),
        Mistake(
            "sum over the batch",
            "You add up the samples; take their mean, so that the loss does not grow with the batch.",
            lambda x, reconstruction, mu, logvar, beta: vae_loss(x, reconstruction, mu, logvar, beta) * len(x),
        ),
        Mistake(
            "one value a sample",
            "You return one value for each sample; take their mean.",
            lambda x, reconstruction, mu, logvar, beta: (
                _squared_error(x, reconstruction) / 2 + beta * kl_to_standard_normal(mu, logvar)
            ),
        ),
    ),
    pairs=(
        Pair(
            "mean over pixels",
            "half missing in the KL",
            lambda x, reconstruction, mu, logvar, beta: (
                (x - reconstruction).square().flatten(1).mean(1) / 2 + 2 * beta * kl_to_standard_normal(mu, logvar)
            ).mean(),
        ),
        Pair(
            "mse_loss as it comes",
            "KL averaged over dimensions",
            lambda x, reconstruction, mu, logvar, beta: (
                F.mse_loss(reconstruction, x) + beta * kl_to_standard_normal(mu, logvar).mean() / mu.shape[1]
            ),
        ),
        Pair(
            "mean over pixels",
            "KL averaged over dimensions",
            lambda x, reconstruction, mu, logvar, beta: (
                (x - reconstruction).square().mean() / 2 + beta * kl_to_standard_normal(mu, logvar).mean() / mu.shape[1]
            ),
        ),
        Pair(
            "no half",
            "half missing in the KL",
            lambda x, reconstruction, mu, logvar, beta: 2 * vae_loss(x, reconstruction, mu, logvar, beta),
        ),
        Pair(
            "no half",
            "sum over the batch",
            lambda x, reconstruction, mu, logvar, beta: (
                _squared_error(x, reconstruction) + beta * kl_to_standard_normal(mu, logvar)
            ).sum(),
        ),
        Pair(
            "no half",
            "KL summed over the batch",
            lambda x, reconstruction, mu, logvar, beta: (
                _squared_error(x, reconstruction).mean() + beta * kl_to_standard_normal(mu, logvar).sum()
            ),
        ),
    ),
)


# aggregate_posterior


def _codes(g, m, n, d, shift=-1.0):
    """z (m, d), near the codes of n pictures, and their mu and logvar (n, d), the latter around `shift`."""
    mu, logvar = torch.randn(n, d, generator=g), torch.randn(n, d, generator=g) / 2 + shift
    nearest = mu[torch.randint(0, n, (m,), generator=g)]
    return nearest + torch.randn(m, d, generator=g) / 2, mu, logvar


def _far_codes(g, m, n, d):
    """The same, z so far from all codes that each density is 0 in float32."""
    _, mu, logvar = _codes(g, m, n, d, shift=0.0)
    return 18 + torch.randn(m, d, generator=g) / 4, mu, logvar / 4


def _aggregate_cases(seed):
    g = torch.Generator().manual_seed(seed)
    one = [[0.5]], [[0.0]], [[math.log(4.0)]]

    def case(label, z, mu, logvar):
        return Case(label, tuple(map(torch.as_tensor, (z, mu, logvar))), gradients=(0, 1, 2))

    return [
        case("one place, one picture, one latent number", *one),
        case("two pictures, z halfway", [[0.0]], [[-1.0], [1.0]], [[0.0], [0.7]]),
        case(
            "two places, three pictures",
            [[0.0, 1.0], [2.0, -1.0]],
            [[0.0, 0.0], [1.0, 1.0], [2.0, -1.5]],
            [[0.0, -1.0], [0.5, 0.3], [-2.0, 1.0]],
        ),
        case("more places than pictures", *_codes(g, 7, 4, 3)),
        case("more pictures than places", *_codes(g, 2, 9, 5)),
        case("narrow codes", *_codes(g, 5, 6, 2, shift=-2.0)),
        case("far from all codes: every density underflows", *_far_codes(g, 3, 5, 2)),
    ]


def _by_mixture(z, mu, logvar):
    pictures = Independent(Normal(mu, (logvar / 2).exp()), 1)
    return MixtureSameFamily(Categorical(logits=torch.zeros(len(mu), dtype=mu.dtype)), pictures).log_prob(z)


def _log_densities(z, mu, logvar):
    """(M, N)"""
    return Normal(mu, (logvar / 2).exp()).log_prob(z[:, None]).sum(2)


def _place_by_place(z, mu, logvar):
    rows = []
    for place in z:
        each = -0.5 * ((place - mu) ** 2 / torch.exp(logvar) + logvar + math.log(2 * math.pi)).sum(1)
        top = each.max()
        rows.append(top + (each - top).exp().mean().log())
    return torch.stack(rows)


def _aggregate_with(log_q):
    """The mean over the pictures, with another function (z, mu, logvar) -> (M, N) in place of log q."""
    return lambda z, mu, logvar: log_q(z, mu, logvar).logsumexp(1) - math.log(len(mu))


def _terms(z, mu, logvar):
    return (z[:, None] - mu) ** 2 / logvar.exp(), logvar + 0 * z[:, None]


AGGREGATE = Exercise(
    name="aggregate_posterior",
    lesson=22,
    points=3,
    minutes=20,
    differentiable=True,
    docstring="""log q(z), where q(z) is the mean over N pictures of q(z|x_n) = N(mu_n, exp(logvar_n)): the density of all codes together.

z: (M, d), the places to look at. mu, logvar: (N, d), means and natural logarithms of the variances, one row a picture.
Returns (M,), in nats. It must be finite far from all codes, where every single density is 0 in float32.""",
    reference=aggregate_posterior,
    cases=_aggregate_cases,
    alternatives={
        "the library's mixture": _by_mixture,
        "log-densities of the library": lambda z, mu, logvar: torch.logsumexp(
            _log_densities(z, mu, logvar) - math.log(mu.shape[0]), dim=1
        ),
        "place by place, the largest taken out": _place_by_place,
        "float64 throughout": lambda z, mu, logvar: _place_by_place(z.double(), mu.double(), logvar.double()),
    },
    mistakes=(
        Mistake(
            "sum for the mean",
            "You add up the N densities; divide by N, or subtract log N, so that q(z) has integral 1.",
            lambda z, mu, logvar: _log_densities(z, mu, logvar).logsumexp(1),
        ),
        Mistake(
            "mean of the logs",
            "You average the log densities; average the densities, and take the logarithm after that.",
            lambda z, mu, logvar: _log_densities(z, mu, logvar).mean(1),
        ),
        Mistake(
            "exponential of tiny numbers",
            "You take the exponential, the mean and then the logarithm: far from all codes each density is 0 in "
            "float32, and the logarithm is -inf; torch.logsumexp takes the largest out first.",
            lambda z, mu, logvar: _log_densities(z, mu, logvar).exp().mean(1).log(),
        ),
        Mistake(
            "divided by the number of places",
            "You divide by the number of places, M; the mean is over the N pictures.",
            lambda z, mu, logvar: _log_densities(z, mu, logvar).logsumexp(1) - math.log(len(z)),
        ),
        Mistake(
            "summed over the places",
            "You take the mean over the places z; return one value for each of them, and average over the pictures.",
            lambda z, mu, logvar: _log_densities(z, mu, logvar).logsumexp(0) - math.log(len(mu)),
        ),
        Mistake(
            "variance for the deviation",
            "You give the variance where the standard deviation is asked for; that is exp(logvar / 2).",
            _aggregate_with(lambda z, mu, logvar: Normal(mu, logvar.exp()).log_prob(z[:, None]).sum(2)),
        ),
        Mistake(
            "not divided by the variance",
            "You do not divide the squared distance by the variance exp(logvar).",
            _aggregate_with(
                lambda z, mu, logvar: -0.5 * ((z[:, None] - mu) ** 2 + logvar + math.log(2 * math.pi)).sum(2)
            ),
        ),
        Mistake(
            "logvar left out",
            "You left out the logarithm of the variance, without which a wide density has too much weight.",
            _aggregate_with(lambda z, mu, logvar: -0.5 * (_terms(z, mu, logvar)[0] + math.log(2 * math.pi)).sum(2)),
        ),
        Mistake(
            "constant left out",
            "You left out log(2 pi), once for each latent dimension.",
            _aggregate_with(lambda z, mu, logvar: -0.5 * sum(_terms(z, mu, logvar)).sum(2)),
        ),
        Mistake(
            "constant once a picture",
            "You count log(2 pi) once; it belongs to every latent dimension.",
            _aggregate_with(lambda z, mu, logvar: -0.5 * (sum(_terms(z, mu, logvar)).sum(2) + math.log(2 * math.pi))),
        ),
        Mistake(
            "no half",
            "You left out the half in the exponent of the Gaussian.",
            _aggregate_with(lambda z, mu, logvar: 2 * _log_densities(z, mu, logvar)),
        ),
        Mistake(
            "mean over dimensions",
            "You average the log densities over the latent dimensions; they are independent, so their logs add up.",
            _aggregate_with(lambda z, mu, logvar: _log_densities(z, mu, logvar) / mu.shape[1]),
        ),
        Mistake(
            "one Gaussian for all",
            "You fit one Gaussian to all codes; q(z) is a mixture of N Gaussians, one for each picture.",
            lambda z, mu, logvar: (
                Normal(mu.mean(0), (logvar.exp().mean(0) + mu.var(0, unbiased=False)).sqrt()).log_prob(z).sum(1)
            ),
        ),
        Mistake(
            "largest alone",
            "You take the largest density in place of the mean of all.",
            lambda z, mu, logvar: _log_densities(z, mu, logvar).amax(1) - math.log(len(mu)),
        ),
        Mistake(
            "not the logarithm",
            "You return the density; its logarithm is asked for.",
            lambda z, mu, logvar: aggregate_posterior(z, mu, logvar).exp(),
        ),
    ),
    pairs=(
        Pair(
            "sum for the mean",
            "constant left out",
            lambda z, mu, logvar: (-0.5 * sum(_terms(z, mu, logvar)).sum(2)).logsumexp(1),
        ),
        Pair(
            "sum for the mean",
            "exponential of tiny numbers",
            lambda z, mu, logvar: _log_densities(z, mu, logvar).exp().sum(1).log(),
        ),
    ),
)


# optimal_decoder


def _decoder_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, codes, shape, gradients=(0, 1, 2, 3)):
        x = 2 * torch.rand(len(codes[1]), *shape, generator=g) - 1
        return Case(label, (*map(torch.as_tensor, codes), x), gradients=gradients)

    return [
        case("one picture of one pixel", ([[0.5]], [[0.0]], [[0.0]]), (1,)),
        case("two pictures, z nearer to one", ([[0.2]], [[-1.0], [1.0]], [[0.0], [0.7]]), (2,)),
        case("grey pictures", _codes(g, 3, 6, 2, shift=0.5), (1, 4, 5)),
        case("pictures in colour", _codes(g, 6, 4, 3, shift=0.5), (3, 2, 4)),
        case("narrow codes", _codes(g, 4, 7, 2, shift=-2.0), (5,)),
        # Out there one picture has nearly all the weight: gradients are rounding errors of what is left to the others.
        case("far from all codes: every density underflows", _far_codes(g, 2, 5, 2), (3, 2), gradients=()),
    ]


def _weighted(weights, x):
    """(M, N), (N, ...) -> (M, ...)"""
    return (weights @ x.flatten(1)).reshape(len(weights), *x.shape[1:])


def _decoder_place_by_place(z, mu, logvar, x):
    pictures = []
    for place in z:
        log_w = -((place - mu) ** 2 / logvar.exp() + logvar).sum(1) / 2
        w = (log_w - log_w.max()).exp()
        pictures.append((w.reshape(-1, *[1] * (x.ndim - 1)) * x).sum(0) / w.sum())
    return torch.stack(pictures)


def _decoder_by_density(z, mu, logvar, x):
    log_q = _log_densities(z, mu, logvar)
    return _weighted((log_q - log_q.logsumexp(1, keepdim=True)).exp(), x)


DECODER = Exercise(
    name="optimal_decoder",
    lesson=22,
    points=3,
    minutes=15,
    differentiable=True,
    docstring="""The best that any decoder can answer to z under squared error: the mean of the pictures x_n, weighted by q(z|x_n).

z: (M, d). mu, logvar: (N, d), means and natural logarithms of the variances of q(z|x_n), one row a picture. x: (N, ...), the pictures.
Returns (M, ...): one picture for each z. The N weights of one z are q(z|x_n), divided by their sum.""",
    reference=optimal_decoder,
    cases=_decoder_cases,
    alternatives={
        "softmax of the library's log densities": lambda z, mu, logvar, x: _weighted(
            torch.softmax(_log_densities(z, mu, logvar), dim=1), x
        ),
        "densities divided by their sum, in logarithms": _decoder_by_density,
        "place by place": _decoder_place_by_place,
        "tensordot, without the constant": lambda z, mu, logvar, x: torch.tensordot(
            (-0.5 * sum(_terms(z, mu, logvar)).sum(2)).softmax(-1), x, dims=1
        ),
    },
    mistakes=(
        Mistake(
            "nearest picture alone",
            "You return the one picture with the largest weight; squared error asks for the mean of all, weighted.",
            lambda z, mu, logvar, x: x[_log_densities(z, mu, logvar).argmax(1)],
        ),
        Mistake(
            "plain mean",
            "You average all pictures alike; each counts by its q(z|x_n).",
            lambda z, mu, logvar, x: x.mean(0).expand(len(z), *x.shape[1:]),
        ),
        Mistake(
            "weights not divided by their sum",
            "Your weights do not add up to 1; divide the densities by their sum over the pictures.",
            lambda z, mu, logvar, x: _weighted(_log_densities(z, mu, logvar).exp(), x),
        ),
        Mistake(
            "exponential of tiny numbers",
            "You divide densities by their sum, and far from all codes that is 0 / 0; softmax of the log densities "
            "takes the largest out first.",
            lambda z, mu, logvar, x: _weighted(
                _log_densities(z, mu, logvar).exp() / _log_densities(z, mu, logvar).exp().sum(1, keepdim=True), x
            ),
        ),
        Mistake(
            "softmax over the places",
            "You divide by the sum over the places z; the weights of one z are divided by their sum over the pictures.",
            lambda z, mu, logvar, x: _weighted(_log_densities(z, mu, logvar).softmax(0), x),
        ),
        Mistake(
            "log densities as weights",
            "You weigh by the logarithms of the densities; weigh by the densities.",
            lambda z, mu, logvar, x: _weighted(
                _log_densities(z, mu, logvar) / _log_densities(z, mu, logvar).sum(1, keepdim=True), x
            ),
        ),
        Mistake(
            "logvar left out",
            "You left out logvar from the log density: it no longer cancels, since each picture has its own variance.",
            lambda z, mu, logvar, x: _weighted((-0.5 * _terms(z, mu, logvar)[0].sum(2)).softmax(1), x),
        ),
        Mistake(
            "not divided by the variance",
            "You do not divide the squared distance by the variance exp(logvar).",
            lambda z, mu, logvar, x: _weighted((-0.5 * ((z[:, None] - mu) ** 2 + logvar).sum(2)).softmax(1), x),
        ),
        Mistake(
            "variance for the deviation",
            "You give the variance where the standard deviation is asked for; that is exp(logvar / 2).",
            lambda z, mu, logvar, x: _weighted(Normal(mu, logvar.exp()).log_prob(z[:, None]).sum(2).softmax(1), x),
        ),
        Mistake(
            "no half",
            "You left out the half in the exponent, which makes the weights too unequal.",
            lambda z, mu, logvar, x: _weighted((2 * _log_densities(z, mu, logvar)).softmax(1), x),
        ),
        Mistake(
            "mean over dimensions",
            "You average over the latent dimensions, which makes the weights too equal; sum over them.",
            lambda z, mu, logvar, x: _weighted((_log_densities(z, mu, logvar) / mu.shape[1]).softmax(1), x),
        ),
        Mistake(
            "sign",
            "Your weights grow with the distance: the square has a minus in a Gaussian's exponent.",
            lambda z, mu, logvar, x: _weighted((-_log_densities(z, mu, logvar)).softmax(1), x),
        ),
        Mistake(
            "distance not squared",
            "You use softmax of minus the distance, not squared; a Gaussian has the square.",
            lambda z, mu, logvar, x: _weighted((-torch.cdist(z, mu)).softmax(1), x),
        ),
    ),
    pairs=(
        Pair(
            "no half",
            "logvar left out",
            lambda z, mu, logvar, x: _weighted((-_terms(z, mu, logvar)[0].sum(2)).softmax(1), x),
        ),
        Pair(
            "logvar left out",
            "not divided by the variance",
            lambda z, mu, logvar, x: _weighted((-0.5 * torch.cdist(z, mu).square()).softmax(1), x),
        ),
    ),
)


# vae_networks


def vae_networks(latent_dim, width):
    """The course's own encoder and decoder, for pictures of 3x16x16."""
    shape = (3, 16, 16)
    return encoder_network(shape, 2 * latent_dim, width), decoder_network(latent_dim, shape, width)


def _networks_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def pictures(n):
        return 2 * torch.rand(n, 3, 16, 16, generator=g) - 1

    def codes(n, d):
        return 2 * torch.randn(n, d, generator=g)

    return [
        Case("the encoder, in eval mode", (3, 5, 0, pictures(2), 0)),
        Case("the encoder, in train mode", (3, 5, 0, pictures(3), 1)),
        Case("the decoder, in eval mode", (3, 5, 1, codes(2, 3), 0)),
        Case("the decoder, in train mode", (3, 5, 1, codes(3, 3), 1)),
        Case("the decoder of d = 4", (4, 16, 1, codes(2, 4), 0)),
        Case("the encoder's number of parameters", (4, 16, 0, None, 0)),
        Case("the decoder's number of parameters", (4, 16, 1, None, 0)),
    ]


def _with_known_weights(function, latent_dim, width, which, inputs, training):
    """What one of the two networks (which: 0 or 1) makes of inputs, with weights that depend on their shapes alone, so that the order in
    which layers are defined does not matter; without inputs, its number of parameters."""
    import torch

    networks = function(latent_dim, width)
    if not isinstance(networks, (tuple, list)) or len(networks) != 2:
        raise TypeError("Return two networks, (encoder, decoder).")
    network = networks[which]
    if inputs is None:
        return sum(p.numel() for p in network.parameters())
    network = network.to(inputs.dtype).train(bool(training))
    with torch.no_grad():
        for p in network.parameters():
            wave = torch.sin(1.7 * torch.arange(p.numel(), dtype=torch.float64) + p.shape[0]).reshape(p.shape)
            p.copy_(0.3 * wave if p.ndim < 2 else 3 * wave / (p.numel() / p.shape[0]) ** 0.5)
        return network(inputs)


class _Subclassed(nn.Module):
    """Encoder or decoder with layers by name, the last one defined first."""

    def __init__(self, latent_dim, width, decodes):
        super().__init__()
        self.decodes, self.width = decodes, width
        make = nn.ConvTranspose2d if decodes else nn.Conv2d
        self.dense = nn.Linear(latent_dim, 32 * width) if decodes else nn.Linear(32 * width, 2 * latent_dim)
        self.outer = make(width, 3, 4, 2, 1) if decodes else make(3, width, 4, 2, 1)
        self.inner = make(2 * width, width, 4, 2, 1) if decodes else make(width, 2 * width, 4, 2, 1)

    def forward(self, x):
        if self.decodes:
            x = self.inner(self.dense(x).view(len(x), 2 * self.width, 4, 4).relu())
            return self.outer(x.relu()).tanh()
        return self.dense(self.inner(self.outer(x).relu()).relu().flatten(1))


class _Functional(nn.Module):
    """A network with bare parameters, in a function of torch.nn.functional each."""

    def __init__(self, shapes, run):
        super().__init__()
        self.weights = nn.ParameterList(torch.zeros(s) for s in shapes)
        self.run = run

    def forward(self, x):
        return self.run(x, *self.weights)


def _functional_networks(latent_dim, width):
    def encode(x, a, a0, b, b0, c, c0):
        x = F.relu(F.conv2d(F.relu(F.conv2d(x, a, a0, 2, 1)), b, b0, 2, 1))
        return F.linear(x.flatten(1), c, c0)

    def decode(z, c, c0, b, b0, a, a0):
        x = F.relu(F.linear(z, c, c0)).unflatten(1, (-1, 4, 4))
        x = F.relu(F.conv_transpose2d(x, b, b0, stride=2, padding=1))
        return torch.tanh(F.conv_transpose2d(x, a, a0, stride=2, padding=1))

    outer, inner = [(width, 3, 4, 4), (width,)], [(2 * width, width, 4, 4), (2 * width,)]
    encoder = _Functional([*outer, *inner, (2 * latent_dim, 32 * width), (2 * latent_dim,)], encode)
    back = [(2 * width, width, 4, 4), (width,), (width, 3, 4, 4), (3,)]
    return encoder, _Functional([(32 * width, latent_dim), (32 * width,), *back], decode)


def _networks(
    kernel=4,
    padding=1,
    bias=True,
    norm=False,
    rectify=nn.ReLU,
    end=nn.Tanh,
    outputs=2,
    deep=2,
    colours=3,
    first_rectified=True,
    drop=0.0,
    pool=False,
):
    """Encoder and decoder as a function of latent_dim and width, with one thing changed."""

    def conv(a, b):
        if pool:
            return [nn.Conv2d(a, b, 3, padding=1, bias=bias), nn.MaxPool2d(2)]
        return [nn.Conv2d(a, b, kernel, 2, padding, bias=bias)]

    def up(a, b):
        extra = {"output_padding": 1} if kernel % 2 else {}
        return nn.ConvTranspose2d(a, b, kernel, 2, padding, bias=bias, **extra)

    def normed(channels):
        return [nn.BatchNorm2d(channels)] if norm else []

    def make(latent_dim, width):
        wide = deep * width
        encoder = nn.Sequential(
            *(*conv(colours, width), *normed(width), rectify(), *conv(width, wide), *normed(wide), rectify()),
            nn.Flatten(),
            *([nn.Dropout(drop)] if drop else []),
            nn.Linear(16 * wide, outputs * latent_dim),
        )
        decoder = nn.Sequential(
            nn.Linear(latent_dim, 16 * wide),
            nn.Unflatten(1, (wide, 4, 4)),
            *([rectify()] if first_rectified else []),
            *(up(wide, width), *normed(width), rectify(), up(width, colours), end()),
        )
        return encoder, decoder

    return make


class _TwoHeads(nn.Module):
    def __init__(self, body, n, latent_dim):
        super().__init__()
        self.body, self.mu, self.logvar = body, nn.Linear(n, latent_dim), nn.Linear(n, latent_dim)

    def forward(self, x):
        x = self.body(x)
        return torch.cat([self.mu(x), self.logvar(x)], 1)


def _two_heads(latent_dim, width):
    encoder, decoder = vae_networks(latent_dim, width)
    return _TwoHeads(encoder[:-1], 32 * width, latent_dim), decoder


NETWORKS = Exercise(
    name="vae_networks",
    lesson=22,
    points=3,
    minutes=20,
    docstring="""Build the encoder and the decoder of a VAE for colour pictures of 16x16: (encoder, decoder), two nn.Modules.

latent_dim: d. width: channels next to the picture. Encoder, (N, 3, 16, 16) -> (N, 2 d): a convolution to width channels of 8x8 and
one to 2 width channels of 4x4, ReLU after each, then one linear layer, whose first d outputs will be mu. Decoder, (N, d) -> (N, 3,
16, 16): a linear layer to 2 width channels of 4x4, two transposed convolutions back, to width and to 3 channels, ReLU before each,
and tanh at the end. All four have kernel 4, stride 2 and padding 1; every layer has a bias; nothing else has parameters.
With d = 4 and width = 16 the encoder has 13,112 parameters and the decoder 11,539.""",
    reference=vae_networks,
    cases=_networks_cases,
    call=_with_known_weights,
    alternatives={
        "a class each, last layer first": lambda latent_dim, width: (
            _Subclassed(latent_dim, width, False),
            _Subclassed(latent_dim, width, True),
        ),
        "functional": _functional_networks,
        "Sequential, piece by piece": _networks(),
    },
    mistakes=(
        Mistake(
            "d outputs",
            "Your encoder ends in latent_dim outputs; mu and logvar need latent_dim each.",
            _networks(outputs=1),
        ),
        Mistake(
            "two heads",
            "You give mu and logvar a layer each; asked is one layer, whose first latent_dim outputs are mu.",
            _two_heads,
        ),
        Mistake(
            "kernel 3",
            "You use kernels of 3; with stride 2 a transposed convolution of 3 leaves a checkerboard, so take 4.",
            _networks(kernel=3),
        ),
        Mistake("kernel 5", "You use kernels of 5 and padding 2; asked are 4 and 1.", _networks(kernel=5, padding=2)),
        Mistake(
            "no bias", "You switch the bias of the convolutions off; every layer here has one.", _networks(bias=False)
        ),
        Mistake("batch norm", "You add batch norm, as a DCGAN has it; this VAE has none.", _networks(norm=True)),
        Mistake(
            "sigmoid at the end",
            "Your decoder ends in a sigmoid, so it cannot draw below 0; the data lie in [-1, 1], which is tanh.",
            _networks(end=nn.Sigmoid),
        ),
        Mistake(
            "no tanh",
            "Your decoder ends in a convolution, so its pixels are not kept in [-1, 1]; put tanh behind it.",
            _networks(end=nn.Identity),
        ),
        Mistake("grey pictures", "Your networks are for one channel; these pictures have three.", _networks(colours=1)),
        Mistake(
            "channels not doubled",
            "You keep width channels at 4x4; they double when the side is halved.",
            _networks(deep=1),
        ),
        Mistake(
            "channels times four",
            "You have four times width channels at 4x4; each halving doubles them, and there are two layers.",
            _networks(deep=4),
        ),
        Mistake(
            "LeakyReLU",
            "You use LeakyReLU, as discriminators do; asked is ReLU.",
            _networks(rectify=lambda: nn.LeakyReLU(0.2)),
        ),
        Mistake(
            "no ReLU after the linear layer",
            "Your decoder goes from the linear layer straight into a convolution; put ReLU between them.",
            _networks(first_rectified=False),
        ),
        Mistake(
            "dropout",
            "You drop features while training; this VAE draws its noise in the code alone.",
            _networks(drop=0.5),
        ),
        Mistake(
            "pooling",
            "You halve by max pooling; asked are convolutions of stride 2, which learn how to halve.",
            _networks(pool=True),
        ),
        Mistake(
            "the two exchanged",
            "You return the decoder first; the order is (encoder, decoder).",
            lambda latent_dim, width: vae_networks(latent_dim, width)[::-1],
        ),
    ),
)


# faulty_line_vae

LINE = Exercise(
    name="faulty_line_vae",
    lesson=22,
    points=2,
    minutes=10,
    docstring="""One line of this training of a VAE is wrong. Return its number.

It runs without complaint. The KL falls to 0.000, and the decoder draws the same grey picture for every code. The gradient of `error`
alone, by each weight of the encoder, is exactly 0; that of `kl` is not.

 1  for step in range(1000):
 2      x = images[torch.randint(0, len(images), (64,))]
 3      mu, logvar = encoder(x).chunk(2, dim=1)
 4      z = torch.normal(mu, (logvar / 2).exp())
 5      error = (x - decoder(z)).square().sum((1, 2, 3)).mean() / 2
 6      kl = (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean() / 2
 7      loss = error + kl
 8      optimizer.zero_grad()
 9      loss.backward()
10      optimizer.step()""",
    reference=lambda: 4,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={"a tensor": lambda: torch.tensor(4), "a float": lambda: 4.0},
    mistakes=(
        Mistake(
            "line 1", "You suspect the number of steps; more of them change nothing where the gradient is 0.", lambda: 1
        ),
        Mistake("line 2", "You suspect the batches; the KL learns from them, so they reach the encoder.", lambda: 2),
        Mistake(
            "line 3",
            "You suspect the encoder or the halves of its output; the KL's gradient passes through this line.",
            lambda: 3,
        ),
        Mistake(
            "line 5",
            "You suspect the error; it sums over the pixels as it should, so ask how the encoder enters it.",
            lambda: 5,
        ),
        Mistake(
            "line 6", "You suspect the KL; it is the formula of lesson 21, summed over the latent numbers.", lambda: 6
        ),
        Mistake(
            "line 7",
            "You suspect the balance of the two terms; no weight helps a gradient that is exactly 0.",
            lambda: 7,
        ),
        Mistake("line 8", "You suspect zero_grad; it comes before backward in each step, as it should.", lambda: 8),
        Mistake(
            "line 9", "You suspect backward; it goes wherever the graph leads, so ask where the graph ends.", lambda: 9
        ),
        Mistake("line 10", "You suspect the step; the encoder moves, but by the gradient of the KL alone.", lambda: 10),
    ),
)

EXERCISES = (VAE_LOSS, AGGREGATE, DECODER, NETWORKS, LINE)
