"""Class-conditional generators: lesson 31. A GAN whose two networks are told the class by one way or another, and a conditional VAE."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ..losses import (
    critic_generator_loss,
    discriminator_loss,
    generator_loss,
    hinge_discriminator_loss,
    kl_to_standard_normal,
    reparameterize,
    vae_loss,
)
from ..ops import condition, projection_logit, scale_and_shift
from .adversary import averaged, latents, update
from .checks import check_batch, check_counts, check_fits, check_labels, in_chunks, start_from, zero_bias
from .dcgan import channel_plan, discriminator_network, generator_network, initialize
from .vae import decoder_network, encoder_network

# ---------------------------------------------------------------- two generators: (N, latent_dim), (N,) -> (N, C, H, W)


class ConcatenationGenerator(nn.Sequential):
    """DCGAN's generator with a one-hot label behind the noise. Mirza and Osindero 2014."""

    def __init__(self, image_shape, n_classes, latent_dim, width):
        super().__init__(*generator_network(image_shape, latent_dim + n_classes, width))
        self.n_classes = n_classes

    @property
    def last(self):
        return self[len(self) - 2]

    def forward(self, noise, labels):
        return super().forward(condition(noise, labels, self.n_classes)[:, :, None, None])


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm whose scale and shift depend on the picture's class: ops.conditional_batch_norm while it trains."""

    def __init__(self, channels, n_classes):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gamma = nn.Parameter(torch.ones(n_classes, channels))
        self.beta = nn.Parameter(torch.zeros(n_classes, channels))

    def forward(self, x, labels):
        return scale_and_shift(self.norm(x), labels, self.gamma, self.beta)


class ConditionalGenerator(nn.Module):
    """DCGAN's generator with every batch norm conditioned on the class. Dumoulin et al. 2017; de Vries et al. 2017."""

    def __init__(self, image_shape, n_classes, latent_dim, width):
        super().__init__()
        channels = channel_plan(image_shape, width)
        self.convs = nn.ModuleList(
            [
                nn.ConvTranspose2d(latent_dim, channels[0], 4),  # => (4 width, 4, 4)
                # => (b, 2s, 2s)
                *(nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in zip(channels, channels[1:])),
            ]
        )
        self.norms = nn.ModuleList(ConditionalBatchNorm2d(c, n_classes) for c in channels)
        self.last = zero_bias(nn.ConvTranspose2d(channels[-1], image_shape[0], 4, 2, 1))  # => (C, H, W)

    def forward(self, noise, labels):
        x = noise[:, :, None, None]
        for conv, norm in zip(self.convs, self.norms):
            x = norm(conv(x), labels).relu()
        return self.last(x).tanh()


# ---------------------------------------------------------------- two discriminators: (N, C, H, W), (N,) -> (N,) logits


class ConcatenationDiscriminator(nn.Sequential):
    """DCGAN's discriminator with a constant channel for each class behind the picture. Mirza and Osindero 2014.

    Spectral norm (Miyato et al. 2018) stands in place of batch norm: with batch norm it collapsed on flat colours, where a batch
    of fakes is known by its mean.
    """

    def __init__(self, image_shape, n_classes, width):
        layers = discriminator_network(
            image_shape, width, norm=nn.Identity, wrap=spectral_norm, extra_channels=n_classes
        )
        super().__init__(*layers)
        self.n_classes = n_classes

    def forward(self, images, labels):
        return super().forward(condition(images, labels, self.n_classes))


class ProjectionDiscriminator(nn.Module):
    """DCGAN's discriminator up to its last features, and the logit from their projection on the class. Miyato and Koyama 2018."""

    def __init__(self, image_shape, n_classes, width):
        super().__init__()
        layers = discriminator_network(image_shape, width, norm=nn.Identity, wrap=spectral_norm)
        self.features = nn.Sequential(*layers[:-2])
        n_features = channel_plan(image_shape, width)[0]
        self.embedding = spectral_norm(nn.Embedding(n_classes, n_features))
        self.linear = spectral_norm(nn.Linear(n_features, 1))

    def logit(self, features, labels):
        return projection_logit(features, labels, self.embedding.weight, self.linear.weight[0]) + self.linear.bias

    def forward(self, images, labels):
        return self.logit(self.features(images).sum((2, 3)), labels)

    def every_label(self, images):
        """(N, C, H, W) -> (N, n_classes): the logit that each label would get."""
        n, k = len(images), self.embedding.num_embeddings
        features = self.features(images).sum((2, 3)).repeat_interleave(k, 0)
        return self.logit(features, torch.arange(k, device=images.device).repeat(n)).view(n, k)


# ---------------------------------------------------------------- the game between them

GENERATORS = {"concatenation": ConcatenationGenerator, "batch norm": ConditionalGenerator}
DISCRIMINATORS = {"concatenation": ConcatenationDiscriminator, "projection": ProjectionDiscriminator}
LOSSES = {  # of the discriminator; of the generator; of the discriminator on more pairs that are to be called fake
    "log": (discriminator_loss, generator_loss, lambda logits: F.softplus(logits).mean()),
    "hinge": (hinge_discriminator_loss, critic_generator_loss, lambda logits: F.relu(1 + logits).mean()),
}


def _chosen(who, name, given, accepted):
    """Raises ValueError unless `given` is one of the names in `accepted`."""
    if given not in accepted:
        raise ValueError(f"{who}({name}={given!r}): accepted are {', '.join(map(repr, accepted))}.")
    return accepted[given]


class ConditionalGAN(nn.Module):
    """A GAN whose networks are both told the class; each of them by one of two ways.

    With `mismatched`, the discriminator also learns to say fake to a real picture with a wrong label: the wrong one that it finds
    most credible. Such pairs come beside the fakes, in a term of their own: in their place they would halve the weight of the fakes,
    and a discriminator whose fakes count half does not notice when half of the data is never drawn.

    Source of mismatched pairs: Reed et al. 2016, Generative Adversarial Text to Image Synthesis, section 4.2, there drawn at random.

    Args:
        image_shape: (C, H, W), C 1 or 3, H = W one of 8, 16, 32, 64. n_classes: K, at least 1.
        latent_dim, width, ema_decay, lr, betas: as in DCGAN.
        generator: "concatenation" or "batch norm". discriminator: "concatenation" or "projection". loss: "hinge" or "log".
        mismatched: see above; for a projection only, which gives the logits of all labels in one pass.
    """

    def __init__(
        self,
        image_shape=(1, 32, 32),
        n_classes=10,
        latent_dim=64,
        width=32,
        ema_decay=0.995,
        lr=2e-3,
        betas=(0.0, 0.9),
        generator="batch norm",
        discriminator="projection",
        loss="hinge",
        mismatched=False,
    ):
        super().__init__()
        who = type(self).__name__
        check_counts(who, latent_dim=latent_dim, width=width, n_classes=n_classes)
        _chosen(who, "loss", loss, LOSSES)
        if mismatched and discriminator != "projection":
            raise ValueError(
                f"{who}(discriminator={discriminator!r}, mismatched=True): mismatched pairs need the logits of all labels, "
                'which only discriminator="projection" gives in one pass. Choose it, or mismatched=False.'
            )
        self.image_shape, self.n_classes, self.latent_dim = tuple(image_shape), n_classes, latent_dim
        self.lr, self.betas, self.loss, self.mismatched = lr, betas, loss, mismatched
        make_generator = _chosen(who, "generator", generator, GENERATORS)
        make_discriminator = _chosen(who, "discriminator", discriminator, DISCRIMINATORS)
        self.generator = initialize(make_generator(image_shape, n_classes, latent_dim, width))
        self.discriminator = make_discriminator(image_shape, n_classes, width)
        self.ema_decay, self.generator_ema = ema_decay, averaged(self.generator, ema_decay)

    def begin(self, images):
        """Start from the mean of the data: see `start_from`."""
        check_fits(self, images)
        start_from(self.generator.last, images)

    def optimizers(self):
        adam = lambda network: torch.optim.Adam(network.parameters(), lr=self.lr, betas=self.betas, fused=True)
        return {"generator": adam(self.generator), "discriminator": adam(self.discriminator)}

    def training_step(self, batch, optimizers):
        real, labels = check_batch(self, batch)
        fake = self.generator(latents(len(real), self.latent_dim, device=real.device), labels)

        d_loss = self.discriminator_loss(real, fake.detach(), labels)
        update(d_loss, optimizers["discriminator"])
        g_loss = LOSSES[self.loss][1](
            self.discriminator(fake, labels).float()
        )  # the same labels as the fakes were made for
        update(g_loss, optimizers["generator"])
        return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}

    def discriminator_loss(self, real, fake, labels):
        """Real pairs against generated ones; and, with `mismatched`, against real pictures with their most credible wrong label."""
        of_pairs, _, of_more_fakes = LOSSES[self.loss]
        if not self.mismatched:
            return of_pairs(self.discriminator(real, labels).float(), self.discriminator(fake, labels).float())
        every = self.discriminator.every_label(real).float()  # (N, K)
        right = every.gather(1, labels[:, None])[:, 0]
        wrong = every.scatter(1, labels[:, None], -torch.inf).max(1).values
        return of_pairs(right, self.discriminator(fake, labels).float()) + of_more_fakes(wrong)

    def sample(self, n, seed=0, labels=None):
        """n pictures (n, C, H, W) in [-1, 1]. labels: (n,) int64, or one number for all; None: each class in turn."""
        where = next(self.parameters()).device
        labels = check_labels(type(self).__name__, labels, n, self.n_classes).to(where)
        noise = latents(n, self.latent_dim, torch.Generator().manual_seed(seed), where)
        return in_chunks(self.generator_ema, self.generator_ema, noise, labels)


class CGAN(ConditionalGAN):
    """Both networks are told by concatenation, and trained with the log loss.

    Source: Mirza and Osindero 2014, Conditional Generative Adversarial Nets. Args: as ConditionalGAN.
    """

    def __init__(
        self,
        image_shape=(1, 32, 32),
        n_classes=10,
        latent_dim=64,
        width=32,
        ema_decay=0.995,
        lr=2e-3,
        betas=(0.0, 0.9),
    ):
        sizes = (image_shape, n_classes, latent_dim, width, ema_decay, lr, betas)
        super().__init__(*sizes, generator="concatenation", discriminator="concatenation", loss="log")


class ProjectionGAN(ConditionalGAN):
    """Conditional batch norm in the generator, projection in the discriminator, the hinge loss.

    Source: Miyato and Koyama 2018, cGANs with Projection Discriminator. Args: as ConditionalGAN.
    """

    def __init__(
        self,
        image_shape=(1, 32, 32),
        n_classes=10,
        latent_dim=64,
        width=32,
        mismatched=True,
        ema_decay=0.995,
        lr=2e-3,
        betas=(0.0, 0.9),
    ):
        sizes = (image_shape, n_classes, latent_dim, width, ema_decay, lr, betas)
        super().__init__(*sizes, mismatched=mismatched)


# ---------------------------------------------------------------- and a VAE


class CVAE(nn.Module):
    """A VAE conditioned on the class: the encoder by constant channels behind the picture, the decoder by a one-hot vector behind z.

    z then need not say the class, so that any z gives a picture of the class asked for.

    Source: Sohn et al. 2015, Learning Structured Output Representation using Deep Conditional Generative Models.

    Args: image_shape, n_classes: as CGAN. latent_dim, width, beta, lr: as VAE.
    """

    def __init__(self, image_shape=(1, 32, 32), n_classes=10, latent_dim=16, width=32, beta=1.0, lr=2e-3):
        super().__init__()
        check_counts("CVAE", latent_dim=latent_dim, width=width, n_classes=n_classes)
        self.image_shape, self.n_classes, self.latent_dim, self.beta, self.lr = (
            tuple(image_shape),
            n_classes,
            latent_dim,
            beta,
            lr,
        )
        self.encoder = encoder_network(image_shape, 2 * latent_dim, width, extra_channels=n_classes)
        self.decoder = decoder_network(latent_dim + n_classes, image_shape, width)

    def encode(self, images, labels):
        """(N, C, H, W), (N,) -> mu, logvar of q(z|x, label), each (N, latent_dim)."""
        return self.encoder(condition(images, labels, self.n_classes)).chunk(2, dim=1)

    def decode(self, z, labels):
        """(N, latent_dim), (N,) -> (N, C, H, W) in [-1, 1]."""
        return self.decoder(condition(z, labels, self.n_classes))

    def begin(self, images):
        """Start from the mean of the data: see `start_from`."""
        check_fits(self, images)
        start_from(self.decoder[-2], images)

    def optimizers(self):
        return {"cvae": torch.optim.Adam(self.parameters(), lr=self.lr, fused=True)}

    def training_step(self, batch, optimizers):
        images, labels = check_batch(self, batch)
        mu, logvar = (v.float() for v in self.encode(images, labels))
        z = reparameterize(mu, logvar, torch.randn_like(mu))
        loss = vae_loss(images, self.decode(z, labels).float(), mu, logvar, self.beta)
        update(loss, optimizers["cvae"])
        return {"loss": loss.detach(), "kl": kl_to_standard_normal(mu, logvar).mean().detach()}

    def sample(self, n, seed=0, labels=None):
        """n pictures (n, C, H, W) in [-1, 1] from z ~ N(0, I). labels: (n,) int64, or one number for all; None: each class in turn."""
        where = next(self.parameters()).device
        labels = check_labels("CVAE", labels, n, self.n_classes).to(where)
        z = latents(n, self.latent_dim, torch.Generator().manual_seed(seed), where)
        return in_chunks(self, self.decode, z, labels)
