"""Latent diffusion: lesson 64. An autoencoder, a flow among its latents, and an autoencoder whose latents are entries of a codebook.

Rombach et al. 2022, High-Resolution Image Synthesis with Latent Diffusion Models; van den Oord et al. 2017, Neural Discrete Representation
Learning. Formulas: aigc_lessons/latents.py.
"""

import copy
import hashlib

import torch
import torch.nn.functional as F
from torch import nn

from ..latents import codebook_perplexity, latent_scale, quantize, vq_loss
from ..losses import kl_to_standard_normal, reparameterize, vae_loss
from .adversary import update
from .checks import check_counts, check_fits, in_chunks, start_from, zero_bias
from .flow import Flow


class ResidualBlock(nn.Module):
    """x plus what two convolutions make of it: (N, width, s, s) => the same."""

    def __init__(self, width):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(1, width), nn.Conv2d(width, width, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(1, width), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


def _sizes(who, image_shape, width, factor):
    """Channels at H / 2, H / 4, ..., H / factor."""
    check_counts(who, width=width)
    if factor not in (2, 4, 8) or any(side % factor for side in image_shape[1:]):
        raise ValueError(
            f"{who}(image_shape={tuple(image_shape)}, factor={factor}): accepted are the factors 2, 4 and 8 that divide height and width."
        )
    return [width * min(2**i, 2) for i in range(factor.bit_length() - 1)]


def encoder_network(image_shape, n_out, width, factor, who):
    """(N, C, H, W) -> (N, n_out, H / factor, W / factor)."""
    widths = _sizes(who, image_shape, width, factor)
    layers = [nn.PixelUnshuffle(2), nn.Conv2d(4 * image_shape[0], width, 3, padding=1)]  # => (width, H / 2, W / 2)
    for a, b in zip(widths, widths[1:]):
        layers += [ResidualBlock(a), nn.Conv2d(a, b, 4, stride=2, padding=1)]  # (a, 2s, 2s) => (b, s, s)
    return nn.Sequential(*layers, *_answer(widths[-1], n_out))


def decoder_network(n_in, image_shape, width, factor, who):
    """(N, n_in, H / factor, W / factor) -> (N, C, H, W) in [-1, 1]."""
    widths = _sizes(who, image_shape, width, factor)[::-1]
    layers = [nn.Conv2d(n_in, widths[0], 3, padding=1)]
    for a, b in zip(widths, widths[1:]):
        layers += [ResidualBlock(a), nn.Upsample(scale_factor=2), nn.Conv2d(a, b, 3, padding=1)]  # => (b, 2s, 2s)
    last = _answer(widths[-1], 4 * image_shape[0])
    zero_bias(last[-1])
    return nn.Sequential(*layers, *last, nn.PixelShuffle(2), nn.Tanh())


def _answer(width, n_out):
    return [ResidualBlock(width), nn.GroupNorm(1, width), nn.SiLU(), nn.Conv2d(width, n_out, 3, padding=1)]


class Autoencoder(nn.Module):
    """A picture as a smaller picture of `latent_channels` channels, and back. As lesson 22's VAE, with a KL that costs next to nothing.

    Args:
        image_shape: (C, H, W). factor: 2, 4 or 8; the latents have H / factor rows. latent_channels: numbers at each place.
        width: channels at the finest size.
        beta: weight of the KL, and the variance of a pixel that the decoder assumes: small, so that codes keep the picture.
        lr: learning rate.
    """

    def __init__(self, image_shape=(3, 64, 64), latent_channels=4, factor=4, width=32, beta=0.01, lr=2e-3):
        super().__init__()
        check_counts("Autoencoder", latent_channels=latent_channels)
        if not 0 <= beta < float("inf"):
            raise ValueError(f"Autoencoder(beta={beta}): accepted is a finite number of at least 0.")
        self.encoder = encoder_network(image_shape, 2 * latent_channels, width, factor, "Autoencoder")
        self.decoder = decoder_network(latent_channels, image_shape, width, factor, "Autoencoder")
        self.image_shape, self.beta, self.lr = tuple(image_shape), beta, lr
        self.latent_shape = (latent_channels, *(side // factor for side in image_shape[1:]))

    def encode(self, images):
        """(N, C, H, W) -> mu, logvar of q(z|x), each (N, latent_channels, H / factor, W / factor)."""
        check_fits(self, images)
        return self.encoder(images).chunk(2, dim=1)

    def decode(self, z):
        """(N, latent_channels, H / factor, W / factor) -> (N, C, H, W) in [-1, 1]."""
        return self.decoder(z)

    def rebuild(self, images):
        """What is left of pictures that go through the latents: (N, C, H, W) -> the same shape, from the means mu."""
        return in_chunks(self, lambda x: self.decode(self.encode(x)[0]), images)

    def begin(self, images):
        check_fits(self, images)
        start_from(self.decoder[-3], F.pixel_unshuffle(images, 2))

    def optimizers(self):
        return {"autoencoder": torch.optim.Adam(self.parameters(), lr=self.lr, fused=True)}

    def training_step(self, batch, optimizers):
        mu, logvar = (v.float() for v in self.encode(batch.images))
        z = reparameterize(mu, logvar, torch.randn_like(mu))
        x, mu, logvar = batch.images, mu.flatten(1), logvar.flatten(1)
        reconstruction = self.decode(z).float()
        loss = vae_loss(x, reconstruction, mu, logvar, self.beta)
        update(loss / x[0].numel(), optimizers["autoencoder"], longest=1.0)
        squared_error = (x - reconstruction).detach().square().mean()
        return {
            "loss": loss.detach(),
            "squared_error": squared_error,
            "kl": kl_to_standard_normal(mu, logvar).mean().detach(),
        }


def fingerprint(autoencoder, scale):
    """A number that says which autoencoder and scale latents are from: of their sha256, in half precision, as shipping rounds them."""
    digest = hashlib.sha256()
    for tensor in (scale, *autoencoder.state_dict().values()):
        digest.update(tensor.detach().half().cpu().contiguous().numpy().tobytes())
    return int.from_bytes(digest.digest()[:7], "big") + 1  # never 0, which stands for none


class LatentFlow(Flow):
    """A flow among the latents of an autoencoder that is trained beforehand and stays as it is.

    Pictures are encoded by the mean mu and multiplied by `scale`, which `begin` measures on the training pictures and the file keeps.

    Args: autoencoder: an `Autoencoder`, of which a frozen copy is kept. The others: as in Flow.
    """

    def __init__(self, autoencoder, n_classes=0, width=32, multipliers=(1, 2, 2), drop=0.1, ema_decay=0.995, lr=2e-3):
        super().__init__(autoencoder.latent_shape, n_classes, width, multipliers, 1, drop, ema_decay, lr)
        self.image_shape, self.flow_shape = autoencoder.image_shape, autoencoder.latent_shape
        self.autoencoder = copy.deepcopy(autoencoder).requires_grad_(False).eval()
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("trained_on", torch.zeros((), dtype=torch.int64))
        self.first_stage = fingerprint(autoencoder, self.scale)  # in checkpoints: another autoencoder is refused there

    def encode(self, images):
        """(N, C, H, W) -> scaled latents, of the autoencoder's latent shape."""
        return self.autoencoder.encode(images)[0].float() * self.scale

    def decode(self, z):
        """Scaled latents -> (N, C, H, W) in [-1, 1]."""
        return self.autoencoder.decode(z / self.scale)

    finish = decode

    def begin(self, images):
        """Measure the scale, once: who goes on training keeps the one that the network knows."""
        check_fits(self, images)
        if not self.trained_on:
            latents = in_chunks(self.autoencoder, lambda x: self.autoencoder.encode(x)[0], images)
            self.scale.copy_(latent_scale(latents))
            self.trained_on.fill_(fingerprint(self.autoencoder, self.scale))
        self.check_autoencoder()

    def check_autoencoder(self):
        """Raises ValueError if the network has learnt latents of another autoencoder, or of another scale, than this model holds."""
        known, here = int(self.trained_on), fingerprint(self.autoencoder, self.scale)
        if known not in (0, here):
            raise ValueError(
                f"This LatentFlow learnt latents of autoencoder and scale {known:014x} and holds {here:014x}: its samples would be decoded "
                "by another one's decoder. Build it with the autoencoder that it was trained with, or train it anew."
            )

    def training_step(self, batch, optimizers):
        check_fits(self, batch.images)
        y = self.asked(batch)
        with torch.no_grad():
            z = self.encode(batch.images)
        return self.learn(z, y, optimizers)

    def draw(self, *given):
        self.check_autoencoder()
        return super().draw(*given)


class VQ(nn.Module):
    """An autoencoder whose latents are entries of a codebook: a picture as a small grid of whole numbers.

    Args:
        image_shape: (C, H, W). factor: 2, 4 or 8; a picture has (H / factor) (W / factor) codes. entries: K, of the codebook.
        code_dim: numbers of an entry. width: channels at the finest size. beta: how strongly vectors are kept near the codebook.
        revive: after so many steps without use an entry is put where some vector of the batch is; 0: never.
        lr: learning rate.
    """

    def __init__(
        self, image_shape=(1, 32, 32), entries=64, code_dim=8, factor=4, width=32, beta=0.25, revive=20, lr=2e-3
    ):
        super().__init__()
        check_counts("VQ", entries=entries, code_dim=code_dim)
        if not (0 <= beta < float("inf") and revive >= 0):
            raise ValueError(f"VQ(beta={beta}, revive={revive}): accepted are numbers of at least 0.")
        self.encoder = encoder_network(image_shape, code_dim, width, factor, "VQ")
        self.decoder = decoder_network(code_dim, image_shape, width, factor, "VQ")
        self.codebook = nn.Parameter(torch.empty(entries, code_dim).uniform_(-1 / entries, 1 / entries))
        self.register_buffer("unused", torch.zeros(entries, dtype=torch.int64))  # steps since an entry was last used
        self.image_shape, self.entries, self.beta, self.revive, self.lr = tuple(image_shape), entries, beta, revive, lr
        self.grid = tuple(side // factor for side in image_shape[1:])

    def vectors(self, images):
        """(N, C, H, W) -> (N h w, D), the encoder's answer at each place, in raster order."""
        check_fits(self, images)
        return self.encoder(images).float().movedim(1, -1).flatten(0, 2)

    def from_vectors(self, z):
        return self.decoder(z.unflatten(0, (-1, *self.grid)).movedim(-1, 1))

    def encode(self, images):
        """(N, C, H, W) -> codes (N, h w) int64, row by row: tokens for lesson 26's models, with levels=entries and shape=grid."""
        codes = lambda x: quantize(self.vectors(x), self.codebook)[0].unflatten(0, (len(x), -1))
        return in_chunks(self, codes, images).long()

    def decode(self, codes):
        """Codes (N, h w) from 0 to K - 1 -> (N, C, H, W) in [-1, 1]."""
        if codes.ndim != 2 or codes.shape[1] != self.grid[0] * self.grid[1]:
            raise ValueError(
                f"This VQ decodes codes of shape (N, {self.grid[0] * self.grid[1]}), a row for each picture, and got {tuple(codes.shape)}."
            )
        if codes.numel() and not (0 <= codes.min() and codes.max() < self.entries):
            raise ValueError(
                f"This VQ got codes from {codes.min()} to {codes.max()}. Accepted: 0 to {self.entries - 1}, rows of its codebook."
            )
        return in_chunks(self, lambda c: self.from_vectors(self.codebook[c.flatten()]), codes)

    def rebuild(self, images):
        """What is left of pictures that go through the codes: (N, C, H, W) -> the same shape."""
        return self.decode(self.encode(images))

    def begin(self, images):
        check_fits(self, images)
        start_from(self.decoder[-3], F.pixel_unshuffle(images, 2))

    def optimizers(self):
        return {"vq": torch.optim.Adam(self.parameters(), lr=self.lr, fused=True)}

    def training_step(self, batch, optimizers):
        z = self.vectors(batch.images)
        codes, z_q = quantize(z, self.codebook)
        squared_error = (batch.images - self.from_vectors(z_q).float()).square().mean()
        loss = squared_error + vq_loss(z, self.codebook[codes], self.beta)
        update(loss, optimizers["vq"], longest=1.0)
        if self.revive:
            self.revive_unused(z.detach(), codes)
        perplexity = codebook_perplexity(codes, self.entries)
        return {"loss": loss.detach(), "squared_error": squared_error.detach(), "perplexity": perplexity}

    @torch.no_grad()
    def revive_unused(self, z, codes):
        """Put entries that no vector was near to for `revive` steps where vectors of this batch are."""
        self.unused += 1
        self.unused[codes] = 0
        dead = self.unused >= self.revive
        somewhere = z[torch.randint(len(z), (self.entries,), device=z.device)]
        self.codebook.copy_(torch.where(dead[:, None], somewhere, self.codebook))
        self.unused.masked_fill_(dead, 0)
