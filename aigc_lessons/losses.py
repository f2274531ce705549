"""Every objective that the course prints, as a pure function. Means over the batch, in nats."""
import torch


def cross_entropy(logits, target):
    """Mean negative log-probability of the right class: -log softmax(logits)[target].

    Args:
        logits: (N, K) scores before any softmax. Finite, with finite gradients, at ±200 and beyond: the largest logit is
            taken out before exponentials are.
        target: (N,) int64, the right class of each row.
    Returns:
        scalar, in nats.
    Source: Goodfellow et al. 2016, Deep Learning, section 6.2.2.3.
    """
    log_z = torch.logsumexp(logits, dim=1)
    return (log_z - logits.gather(1, target[:, None])[:, 0]).mean()


def mse_to_one_hot(logits, target):
    """Mean squared error between the softmax probabilities and the one-hot target, averaged over batch and classes.

    The other loss that lesson 13 tries. Known in forecasting as the Brier score (divided by the number of classes).

    Args:
        logits: (N, K) scores before the softmax.
        target: (N,) int64.
    Returns:
        scalar in [0, 2 / K].
    Source: Brier 1950, Verification of forecasts expressed in terms of probability.
    """
    probabilities = logits.softmax(1)
    one_hot = torch.nn.functional.one_hot(target, logits.shape[1]).to(probabilities)
    return (probabilities - one_hot).square().mean()
