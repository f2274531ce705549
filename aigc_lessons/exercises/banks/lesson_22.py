"""The exercise of lesson 22: the loss of a variational autoencoder."""

import torch
import torch.nn.functional as F
from torch.distributions import Independent, Normal, kl_divergence

from ...losses import kl_to_standard_normal, vae_loss
from ..engine import Case, Exercise, Mistake


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

x: (N, ...), pictures. reconstruction: the same shape, in the same range. mu: (N, D), means of q(z|x).
logvar: (N, D), natural logarithms of its variances. beta: number, at least 0.
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
)

EXERCISES = (VAE_LOSS,)
