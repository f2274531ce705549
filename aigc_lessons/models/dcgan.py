"""Deep convolutional GAN: lesson 24. Goodfellow et al. 2014; Radford et al. 2016, DCGAN."""

import torch
from torch import nn

from ..losses import discriminator_loss, generator_loss
from .adversary import averaged, latents
from .checks import check_counts, check_fits, check_unconditional, halvings, in_chunks, start_from, zero_bias


def channel_plan(image_shape, width):
    """Channels from the 4x4 top down to the picture: 32x32 and width 64 give [256, 128, 64], 16x16 gives [256, 128]."""
    return [max(1, 4 * width >> i) for i in range(halvings("DCGAN", image_shape, smallest=4))]


def generator_network(image_shape, latent_dim, width):
    """(N, latent_dim, 1, 1) -> (N, C, H, W) in [-1, 1]."""
    channels = channel_plan(image_shape, width)
    # => (4 width, 4, 4)
    layers = [nn.ConvTranspose2d(latent_dim, channels[0], 4), nn.BatchNorm2d(channels[0]), nn.ReLU()]
    for a, b in zip(channels, channels[1:]):
        layers += [nn.ConvTranspose2d(a, b, 4, 2, 1), nn.BatchNorm2d(b), nn.ReLU()]  # => (b, 2s, 2s)
    last = zero_bias(nn.ConvTranspose2d(channels[-1], image_shape[0], 4, 2, 1))  # => (C, H, W)
    return nn.Sequential(*layers, last, nn.Tanh())


def discriminator_network(image_shape, width, norm=nn.BatchNorm2d, wrap=lambda layer: layer, extra_channels=0):
    """(N, C + extra_channels, H, W) -> (N,) logits. norm: a layer's normalisation; wrap: what is done to each layer's weights."""
    channels = channel_plan(image_shape, width)[::-1]
    # => (width, H/2, W/2)
    layers = [wrap(nn.Conv2d(image_shape[0] + extra_channels, channels[0], 4, 2, 1)), nn.LeakyReLU(0.2)]
    for a, b in zip(channels, channels[1:]):
        layers += [wrap(nn.Conv2d(a, b, 4, 2, 1)), norm(b), nn.LeakyReLU(0.2)]  # => (b, s/2, s/2)
    return nn.Sequential(*layers, wrap(nn.Conv2d(channels[-1], 1, 4)), nn.Flatten(0))  # => (N,)


def initialize(network):
    """Weights from N(0, 0.02), as Radford et al. 2016, section 4, found to train well."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
    return network


def gan_step(generator, discriminator, opt_g, opt_d, real, noise):
    """One step of each network on the same noise: the discriminator first, then the generator against the new discriminator.

    Returns:
        (d_loss, g_loss): detached scalars. Reading them here would make an accelerator wait in every step.
    """
    fake = generator(noise)
    # detach: G learns nothing here
    d_loss = discriminator_loss(discriminator(real).float(), discriminator(fake.detach()).float())
    opt_d.zero_grad()
    d_loss.backward()
    opt_d.step()

    g_loss = generator_loss(discriminator(fake).float())
    opt_g.zero_grad()
    g_loss.backward(inputs=list(generator.parameters()))  # and D learns nothing here
    opt_g.step()
    return d_loss.detach(), g_loss.detach()


class DCGAN(nn.Module):
    """A generator that turns noise into pictures, and a discriminator that tells them from real ones.

    Args:
        image_shape: (C, H, W), C 1 or 3, H = W one of 8, 16, 32, 64.
        latent_dim: random numbers a picture is made from.
        width: channels of the layer next to the picture, at 32x32; doubled with every halving.
        ema_decay: how slowly the averaged generator, which makes the samples, follows the trained one, once it has warmed up.
        lr, betas: of Adam.
    """

    def __init__(self, image_shape=(1, 32, 32), latent_dim=64, width=32, ema_decay=0.995, lr=2e-3, betas=(0.5, 0.999)):
        super().__init__()
        check_counts("DCGAN", latent_dim=latent_dim, width=width)
        self.image_shape, self.latent_dim, self.ema_decay, self.lr, self.betas = (
            tuple(image_shape),
            latent_dim,
            ema_decay,
            lr,
            betas,
        )
        self.generator = initialize(generator_network(image_shape, latent_dim, width))
        self.discriminator = initialize(discriminator_network(image_shape, width))
        self.generator_ema = averaged(self.generator, ema_decay)

    def optimizers(self):
        return {
            "generator": torch.optim.Adam(self.generator.parameters(), lr=self.lr, betas=self.betas, fused=True),
            "discriminator": torch.optim.Adam(
                self.discriminator.parameters(), lr=self.lr, betas=self.betas, fused=True
            ),
        }

    def begin(self, images):
        """Start from the mean of the data: see `start_from`."""
        check_fits(self, images)
        start_from(self.generator[-2], images)

    def noise(self, n, generator=None, device=None):
        """(n, latent_dim, 1, 1), as `latents`."""
        return latents(n, self.latent_dim, generator, device)[:, :, None, None]

    def training_step(self, batch, optimizers):
        real = batch.images
        check_fits(self, real)
        if len(real) < 2:
            raise ValueError("A DCGAN uses batch norm, which needs more than one picture. Give batch_size=2 or more.")
        noise = self.noise(len(real), device=real.device)
        d_loss, g_loss = gan_step(
            self.generator, self.discriminator, optimizers["generator"], optimizers["discriminator"], real, noise
        )
        return {"discriminator": d_loss, "generator": g_loss}

    def sample(self, n, seed=0, labels=None):
        """n pictures (n, C, H, W) in [-1, 1] from the averaged generator."""
        check_unconditional("DCGAN", labels)
        z = self.noise(n, torch.Generator().manual_seed(seed), next(self.parameters()).device)
        return in_chunks(self.generator_ema, self.generator_ema, z)
