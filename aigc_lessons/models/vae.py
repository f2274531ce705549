"""Variational autoencoder: lesson 22. Kingma and Welling 2014, Auto-Encoding Variational Bayes."""

import torch
from torch import nn

from ..losses import gaussian_log_density, kl_to_standard_normal, reparameterize, vae_loss
from .adversary import latents
from .checks import check_counts, check_fits, check_unconditional, halvings, in_chunks, start_from, zero_bias


def encoder_network(image_shape, n_out, width, extra_channels=0):
    """(N, C + extra_channels, H, W) -> (N, n_out). extra_channels: what the encoder is conditioned on."""
    channels = [width * 2**i for i in range(halvings("VAE", image_shape, smallest=4))]  # 32 => 16 => 8 => 4: three
    layers = []
    for a, b in zip([image_shape[0] + extra_channels, *channels], channels):
        layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.ReLU()]  # (a, 2s, 2s) => (b, s, s)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * 16, n_out))


def decoder_network(n_in, image_shape, width):
    """(N, n_in) -> (N, C, H, W) in [-1, 1]."""
    channels = [width * 2**i for i in range(halvings("VAE", image_shape, smallest=4))][::-1]
    layers = [nn.Linear(n_in, channels[0] * 16), nn.Unflatten(1, (channels[0], 4, 4))]
    for a, b in zip(channels, [*channels[1:], image_shape[0]]):
        layers += [nn.ReLU(), nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)]  # (a, s, s) => (b, 2s, 2s)
    zero_bias(layers[-1])
    return nn.Sequential(*layers, nn.Tanh())


class VAE(nn.Module):
    """Encode a picture as a Gaussian in latent space, decode a sample of it, and keep all Gaussians near N(0, I).

    Args:
        image_shape: (C, H, W), C 1 or 3, H = W one of 8, 16, 32, 64.
        latent_dim: numbers that describe a picture.
        width: channels of the first layer.
        beta: weight of the KL; also the variance of a pixel that the decoder assumes.
        lr: learning rate.
    """

    def __init__(self, image_shape=(1, 32, 32), latent_dim=16, width=32, beta=1.0, lr=2e-3):
        super().__init__()
        check_counts("VAE", latent_dim=latent_dim, width=width)
        if not 0 <= beta < float("inf"):
            raise ValueError(f"VAE(beta={beta}): accepted is a finite number of at least 0. 0: a plain autoencoder.")
        self.image_shape, self.latent_dim, self.beta, self.lr = tuple(image_shape), latent_dim, beta, lr
        self.encoder = encoder_network(image_shape, 2 * latent_dim, width)
        self.decoder = decoder_network(latent_dim, image_shape, width)

    def encode(self, images):
        """(N, C, H, W) -> mu, logvar of q(z|x), each (N, latent_dim)."""
        check_fits(self, images)
        return self.encoder(images).chunk(2, dim=1)

    def decode(self, z):
        """(N, latent_dim) -> (N, C, H, W) in [-1, 1]."""
        return self.decoder(z)

    def begin(self, images):
        """Start from the mean of the data: see `start_from`."""
        check_fits(self, images)
        start_from(self.decoder[-2], images)

    def optimizers(self):
        return {"vae": torch.optim.Adam(self.parameters(), lr=self.lr, fused=True)}

    def training_step(self, batch, optimizers):
        mu, logvar = (v.float() for v in self.encode(batch.images))
        z = reparameterize(mu, logvar, torch.randn_like(mu))
        reconstruction = self.decode(z).float()
        loss = vae_loss(batch.images, reconstruction, mu, logvar, self.beta)
        optimizers["vae"].zero_grad()
        loss.backward()
        optimizers["vae"].step()
        kl = kl_to_standard_normal(mu, logvar).mean().detach()
        return {"loss": loss.detach(), "reconstruction": loss.detach() - self.beta * kl, "kl": kl}

    @torch.no_grad()
    def bound(self, images, seed=0):
        """The two parts of each picture's evidence bound, in nats: log p(x|z) at one z from q(z|x), and KL(q(z|x) || p(z)).

        The decoder is read as N(reconstruction, beta) in each pixel, the likelihood that training with `beta` stands for.

        Args: images: (N, C, H, W) in [-1, 1]. Returns: two tensors (N,); their difference is the ELBO, a log density.
        Raises ValueError for beta = 0: a plain autoencoder gives no picture a density.
        """
        if self.beta == 0:
            raise ValueError(
                "bound() of a VAE with beta=0: a plain autoencoder gives no picture a density. Build one with beta above 0."
            )
        mu, logvar = self.encode(images.to(next(self.parameters()).device))
        noise = torch.randn(mu.shape, generator=torch.Generator().manual_seed(seed)).to(mu.device)
        reconstruction = self.decode(reparameterize(mu, logvar, noise))
        log_px = gaussian_log_density(images.to(mu.device), reconstruction, self.beta)
        return log_px.cpu(), kl_to_standard_normal(mu, logvar).cpu()

    def sample(self, n, seed=0, labels=None):
        """n pictures (n, C, H, W) in [-1, 1], decoded from z ~ N(0, I)."""
        check_unconditional("VAE", labels)
        z = latents(n, self.latent_dim, torch.Generator().manual_seed(seed), next(self.parameters()).device)
        return in_chunks(self, self.decode, z)
