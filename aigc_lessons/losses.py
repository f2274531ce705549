"""Every objective that the course prints, as a pure function. Means over the batch, in nats."""

import math

import torch
import torch.nn.functional as F


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


def cross_entropy_to_uniform(logits):
    """Mean cross-entropy between the uniform distribution over the classes and softmax(logits): least, log K, where no class is
    believed more than another.

    Args: logits: (N, K). Returns: scalar, in nats.
    Source: Hendrycks et al. 2019, Deep Anomaly Detection with Outlier Exposure, section 4.2.
    """
    return -logits.log_softmax(1).mean()


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
    one_hot = F.one_hot(target, logits.shape[1]).to(probabilities)
    return (probabilities - one_hot).square().mean()


# ---------------------------------------------------------------- the variational autoencoder (lessons 21 and 22)


def reparameterize(mu, logvar, noise):
    """A sample of N(mu, exp(logvar)) through which gradients flow: mu + exp(logvar / 2) * noise.

    Args:
        mu, logvar: (N, d), mean and logarithm of the variance. noise: (N, d) drawn from N(0, 1); the randomness is the caller's.
    Returns:
        (N, d).
    Source: Kingma and Welling 2014, Auto-Encoding Variational Bayes, section 2.4.
    """
    return mu + (logvar / 2).exp() * noise


def kl_to_standard_normal(mu, logvar):
    """KL(N(mu, exp(logvar)) || N(0, I)) of each sample, in nats, summed over the latent dimensions.

    Args: mu, logvar: (N, d). Returns: (N,), at least 0.
    Source: Kingma and Welling 2014, appendix B.
    """
    return 0.5 * (mu.square() + logvar.expm1() - logvar).sum(1)  # expm1: exact for variances close to 1


def gaussian_log_density(x, mean, variance):
    """log N(x; mean, variance) of each sample, in nats, summed over its elements.

    Args: x, mean: (N, ...) of one shape. variance: number or tensor that broadcasts to x, above 0. Returns: (N,).
    Source: Bishop 2006, Pattern Recognition and Machine Learning, eq. 1.46.
    """
    variance = torch.as_tensor(variance, dtype=x.dtype, device=x.device)
    return -0.5 * ((x - mean).square() / variance + (2 * torch.pi * variance).log()).flatten(1).sum(1)


def elbo(log_px, mu, logvar):
    """The evidence lower bound, mean over the batch, in nats: E[log p(x|z)] - KL(q(z|x) || p(z)).

    Args:
        log_px: (N,), log p(x|z) at a z drawn from q(z|x) = N(mu, exp(logvar)). mu, logvar: (N, d).
    Returns:
        scalar; its expectation is at most the mean of log p(x).
    Source: Kingma and Welling 2014, eq. 3.
    """
    return (log_px - kl_to_standard_normal(mu, logvar)).mean()


def vae_loss(x, reconstruction, mu, logvar, beta):
    """Half the squared error summed over the pixels, plus beta times the KL; mean over the batch.

    With beta = 1 this is minus the ELBO for p(x|z) = N(reconstruction, 1), up to the constant (log 2 pi) / 2 a pixel.
    With another beta it is beta times minus the ELBO for a variance of beta a pixel, up to a constant.

    Args:
        x, reconstruction: (N, ...) of one shape. mu, logvar: (N, d). beta: number, at least 0.
    Returns:
        scalar.
    Source: Kingma and Welling 2014, eq. 10; Higgins et al. 2017, beta-VAE, eq. 4.
    """
    squared_error = (x - reconstruction).square().flatten(1).sum(1)
    return (squared_error / 2 + beta * kl_to_standard_normal(mu, logvar)).mean()


def _log_q(z, mu, logvar):
    """log q(z_m | x_n) of each latent number z under each picture's Gaussian: (M, d), (N, d), (N, d) -> (M, N)."""
    squares = (z[:, None] - mu).square() / logvar.exp() + logvar + math.log(2 * math.pi)
    return -0.5 * squares.sum(2)


def aggregate_posterior(z, mu, logvar):
    """log q(z), where q(z) is the mean of q(z|x_n) = N(mu_n, exp(logvar_n)) over N pictures: where their codes lie.

    Args: z: (M, d), where to look. mu, logvar: (N, d), one Gaussian a picture. Returns: (M,), in nats.
    Source: Makhzani et al. 2015, Adversarial Autoencoders, section 2.
    """
    return _log_q(z, mu, logvar).logsumexp(1) - math.log(len(mu))


def optimal_decoder(z, mu, logvar, x):
    """The picture that no other beats in squared error, given z: the mean of the pictures, each weighted by q(z|x_n).

    Args: z: (M, d). mu, logvar: (N, d), what the encoder says of the pictures x: (N, ...). Returns: (M, ...).
    Source: Bishop 2006, Pattern Recognition and Machine Learning, eq. 1.89, with q(z|x) p(x) as the joint density.
    """
    weights = _log_q(z, mu, logvar).softmax(1)  # the density of each picture, given z
    return torch.einsum("mn,n...->m...", weights, x)


# ---------------------------------------------------------------- generative adversarial networks (lessons 23 to 25)


def optimal_discriminator(p_data, p_model):
    """The discriminator that no other beats, p_data / (p_data + p_model); 0.5 where both densities are 0.

    Args: p_data, p_model: densities of one shape, at least 0. Returns: the same shape, in [0, 1].
    Source: Goodfellow et al. 2014, Generative Adversarial Nets, proposition 1.
    """
    total = p_data + p_model
    nowhere = total == 0
    return torch.where(nowhere, 0.5, p_data / torch.where(nowhere, 1, total))


def jensen_shannon(p, q):
    """Jensen-Shannon divergence of two discrete distributions, in nats: 0 if they are equal, log 2 if they never overlap.

    Args: p, q: (K,), at least 0, each with sum 1. Returns: scalar in [0, log 2].
    Source: Goodfellow et al. 2014, theorem 1.
    """
    m = (p + q) / 2
    # KL(r || m). Where r is 0 its term is 0 and so is its gradient; xlogy's would be NaN.
    from_middle = lambda r: (r * torch.where(r > 0, r / torch.where(m > 0, m, 1), 1).log()).sum()
    return (from_middle(p) + from_middle(q)) / 2


def discriminator_loss(real_logits, fake_logits):
    """Binary cross-entropy with real = 1 and fake = 0: the sum of the two means, -log D(x) and -log(1 - D(G(z))).

    Args: real_logits, fake_logits: any shapes, logits before any sigmoid. Returns: scalar; 2 log 2 for a blind discriminator.
    Source: Goodfellow et al. 2014, eq. 1. Written with softplus, so that no logit makes it infinite.
    """
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def generator_loss(fake_logits):
    """The non-saturating loss -log D(G(z)), mean: strong gradients where the discriminator is sure that the fake is fake.

    Args: fake_logits: any shape. Returns: scalar. Source: Goodfellow et al. 2014, section 3.
    """
    return F.softplus(-fake_logits).mean()


def saturating_generator_loss(fake_logits):
    """The minimax loss log(1 - D(G(z))), mean. Its gradient vanishes where the discriminator wins: lesson 23 measures it.

    Args: fake_logits: any shape. Returns: scalar, at most 0. Source: Goodfellow et al. 2014, eq. 1.
    """
    return -F.softplus(fake_logits).mean()


def critic_loss(real_scores, fake_scores):
    """What a Wasserstein critic minimises: mean score of the fakes minus mean score of the real ones.

    Minus this, at its best over all 1-Lipschitz critics, is the Wasserstein-1 distance.

    Args: real_scores, fake_scores: any shapes. Returns: scalar. Source: Arjovsky et al. 2017, Wasserstein GAN, eq. 2.
    """
    return fake_scores.mean() - real_scores.mean()


def critic_generator_loss(fake_scores):
    """What the generator minimises against a critic, Wasserstein or hinge: minus the mean score of its fakes.

    Args: fake_scores: any shape. Returns: scalar. Source: Arjovsky et al. 2017, algorithm 1; Miyato et al. 2018, eq. 17.
    """
    return -fake_scores.mean()


def gradient_penalty(critic, real, fake, t):
    """Mean of (|gradient of the critic| - 1)^2 at points between real and fake; differentiable in the critic's weights.

    Args:
        critic: function (N, ...) -> (N,) or (N, 1).
        real, fake: (N, ...) of one shape.
        t: (N,) in [0, 1], drawn uniformly by the caller; the points are t * real + (1 - t) * fake.
    Returns:
        scalar, at least 0; 0 for a critic of slope 1.
    Source: Gulrajani et al. 2017, Improved Training of Wasserstein GANs, eq. 3.
    """
    t = t.view(-1, *[1] * (real.ndim - 1))
    points = (t * real + (1 - t) * fake).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def hinge_discriminator_loss(real_scores, fake_scores):
    """Push real scores above 1 and fake ones below -1; what is beyond its margin pulls no more. The sum of the two means.

    Args: real_scores, fake_scores: any shapes. Returns: scalar, at least 0.
    Source: Miyato et al. 2018, Spectral Normalization for GANs, eq. 16.
    """
    return F.relu(1 - real_scores).mean() + F.relu(1 + fake_scores).mean()


# ---------------------------------------------------------------- mending and translating pictures (lessons 42 to 44)


def masked_l1(prediction, target, mask):
    """Mean absolute error over the elements where the mask is 1; 0, with zero gradients, if there are none.

    Args: prediction, target: (N, C, H, W). mask: (N, 1, H, W), 0 or 1; it holds for every channel. Returns: scalar.
    Source: Liu et al. 2018, Image Inpainting for Irregular Holes Using Partial Convolutions, section 3.3, with the mean
        taken over the counted elements instead of all.
    """
    counted = mask.bool().expand_as(prediction)
    difference = torch.where(counted, prediction - target, 0).abs()
    return difference.sum() / counted.sum().clamp(min=1)


def pix2pix_generator_loss(fake_logits, fake, target, l1_weight):
    """Fool the discriminator, and stay near the true partner: the non-saturating loss plus l1_weight times the mean |difference|.

    Args: fake_logits: any shape, one logit a patch. fake, target: (N, C, H, W). l1_weight: number, at least 0. Returns: scalar.
    Source: Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks, eq. 4.
    """
    return generator_loss(fake_logits) + l1_weight * (fake - target).abs().mean()


def least_squares_discriminator_loss(real_logits, fake_logits):
    """Least squares, real ones towards 1 and fake ones towards 0: half the sum of the two mean squared distances.

    Args: real_logits, fake_logits: any shapes. Returns: scalar, at least 0. Source: Mao et al. 2017, LSGAN, eq. 9.
    """
    return ((real_logits - 1).square().mean() + fake_logits.square().mean()) / 2


def least_squares_generator_loss(fake_logits):
    """Least squares, fake ones towards 1: the mean squared distance. Args: fake_logits: any shape. Returns: scalar, at least 0.

    Source: Zhu et al. 2017, CycleGAN, section 4 (Mao et al. 2017, eq. 9, without its factor 1/2).
    """
    return (fake_logits - 1).square().mean()


def cycle_loss(x, there_and_back):
    """Mean absolute difference between pictures and what comes back after a translation and the way back.

    Args: x, there_and_back: (N, C, H, W). Returns: scalar, at least 0. Source: Zhu et al. 2017, eq. 2, one direction.
    """
    return (there_and_back - x).abs().mean()


def cyclegan_generator_loss(
    fake_logits_a, fake_logits_b, a, cycled_a, b, cycled_b, same_a, same_b, cycle_weight=10.0, identity_weight=5.0
):
    """What CycleGAN's two generators minimise: fool both discriminators, come back, leave alone what needs no translation.

    Args:
        fake_logits_a, fake_logits_b: the discriminators' answers to pictures translated to A, and to B; any shapes.
        a, b: real pictures (N, C, H, W) of each domain. cycled_a, cycled_b: they after both translations.
        same_a, same_b: a given to the generator that makes A; b given to the one that makes B.
    Returns:
        scalar: the least-squares terms, plus cycle_weight times the two cycle losses, plus identity_weight times the mean
        |same - picture| of both domains.
    Source: Zhu et al. 2017, Unpaired Image-to-Image Translation, eq. 3 and section 5.2 (identity).
    """
    adversarial = least_squares_generator_loss(fake_logits_a) + least_squares_generator_loss(fake_logits_b)
    cycle = cycle_loss(a, cycled_a) + cycle_loss(b, cycled_b)
    identity = (same_a - a).abs().mean() + (same_b - b).abs().mean()
    return adversarial + cycle_weight * cycle + identity_weight * identity


# ---------------------------------------------------------------- models that draw pixel by pixel (lesson 26)


def bits_per_pixel(logits, target):
    """How many bits a model needs for a pixel, on average over all pixels of all pictures: mean -log2 softmax(logits)[target].

    Args: logits: (N, L, K), scores of the K levels at each of L places. target: (N, L) int64, the levels that are there.
    Returns: scalar, in bits; log2 K where all levels are believed alike.
    Source: van den Oord et al. 2016, Pixel Recurrent Neural Networks, section 5.1.
    """
    return cross_entropy(logits.flatten(0, 1), target.flatten()) / math.log(2)


# ---------------------------------------------------------------- the style of a picture (lesson 45)


def gram(features):
    """How strongly each two features of a picture occur together: the mean over the positions of their product.

    Args: features: (N, C, H, W). Returns: (N, C, C), symmetric, for each picture of the batch its own.
    Source: Gatys, Ecker, Bethge 2016, Image Style Transfer Using Convolutional Neural Networks, eq. 3, divided by the positions.
    """
    flat = features.flatten(2)  # (N, C, P)
    return flat @ flat.mT / flat.shape[2]


def sliced_distance(a, b, directions):
    """How differently two pictures' features are distributed, wherever in the picture they stand: along each direction the features
    are projected and sorted, and the mean squared difference is taken.

    Args:
        a: (N, C, H, W). b: (N, C, h, w), or (1, C, h, w) for all of a. directions: (K, C), each of length 1; the randomness is the
            caller's. Where b has another number of positions, its sorted values are read at those of a: F.interpolate, linear.
    Returns:
        scalar: the mean over pictures, directions and positions. 0 where both hold the same features in another order.
    Source: Heitz et al. 2021, A Sliced Wasserstein Loss for Neural Texture Synthesis, eq. 4 and 5.
    """
    a, b = ((directions @ features.flatten(2)).sort(2).values for features in (a, b))  # (N, K, P)
    if a.shape[2] != b.shape[2]:
        b = F.interpolate(b, a.shape[2], mode="linear")
    return (a - b).square().mean()


def total_variation(x):
    """How rough pictures are: the mean absolute difference between a pixel and the one below, plus that to the one on its right.

    Args: x: (N, C, H, W), H and W at least 2. Returns: scalar, 0 for flat colour.
    Source: Rudin, Osher, Fatemi 1992, Nonlinear total variation based noise removal algorithms, in its form without a root.
    """
    down, right = x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]
    return down.abs().mean() + right.abs().mean()
