"""Paired translation: lesson 43. Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks."""

import torch
from torch import nn

from ..data import check_images
from ..losses import discriminator_loss, pix2pix_generator_loss
from .adversary import update
from .checks import check_channels, check_counts, check_pair, in_chunks, pair_of, start_from, zero_bias
from .dcgan import initialize
from .unet import UNet


def patch_discriminator(in_channels, width=32, halvings=1, norm=nn.InstanceNorm2d):
    """PatchGAN: (N, in_channels, H, W) -> (N, 1, h, w), one logit for each patch, so that it judges texture, not the whole.

    A patch has 16 x 16 pixels for halvings=1, 34 x 34 for 2, 70 x 70 for 3. Source: Isola et al. 2017, section 3.2.2.
    """
    layers = [nn.Conv2d(in_channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]  # => (width, H/2, W/2)
    for _ in range(1, halvings):
        layers += [nn.Conv2d(width, 2 * width, 4, 2, 1), norm(2 * width), nn.LeakyReLU(0.2)]  # => (2 width, s/2, s/2)
        width *= 2
    layers += [nn.Conv2d(width, 2 * width, 4, 1, 1), norm(2 * width), nn.LeakyReLU(0.2)]  # => (2 width, s - 1, s - 1)
    return nn.Sequential(*layers, nn.Conv2d(2 * width, 1, 4, 1, 1))  # => (1, s - 2, s - 2)


class Pix2Pix(nn.Module):
    """Learns from pairs: a U-Net draws the partner, and a discriminator that sees both halves says whether they are a true pair.

    Args:
        in_channels, out_channels: of the two domains. width: channels of the first layers.
        l1_weight: of the distance to the true partner; 0: adversarial alone.
        adversarial: False: no discriminator, the distance alone.
        halvings: of the discriminator: 1, 2 or 3 for patches of 16, 34 or 70 pixels.
        dropout: the noise: a share of the coarse features of the way up, dropped at random. skips: the U-Net's bridges; None: all.
        lr, betas: of Adam.
    """

    paired = True
    DEPTH = 3  # halvings of the U-Net

    def __init__(
        self,
        in_channels=3,
        out_channels=3,
        width=32,
        l1_weight=100.0,
        adversarial=True,
        lr=5e-4,
        betas=(0.5, 0.999),
        halvings=1,
        dropout=0.0,
        skips=None,
    ):
        super().__init__()
        check_counts("Pix2Pix", in_channels=in_channels, out_channels=out_channels, width=width, halvings=halvings)
        if not 0 <= dropout < 1:
            raise ValueError(
                f"Pix2Pix(dropout={dropout}): accepted is a share from 0 (no noise) to below 1, such as 0.5."
            )
        if skips is not None and (wrong := [level for level in skips if level not in range(self.DEPTH)]):
            raise ValueError(
                f"Pix2Pix(skips={tuple(skips)}): there is no bridge {wrong[0]}. Accepted are some of 0 (the finest), 1 and 2, or None for all."
            )
        if l1_weight < 0 or l1_weight == 0 and not adversarial:
            raise ValueError(
                f"Pix2Pix(l1_weight={l1_weight}, adversarial={adversarial}): accepted is a weight of at least 0, and above 0 "
                "without the adversarial loss."
            )
        self.in_channels, self.out_channels, self.l1_weight, self.lr, self.betas = (
            in_channels,
            out_channels,
            l1_weight,
            lr,
            betas,
        )
        self.generator = UNet(
            in_channels, out_channels, width, self.DEPTH, norm=nn.BatchNorm2d, skips=skips, dropout=dropout
        )
        zero_bias(self.generator.up.head)
        pair = in_channels + out_channels
        self.discriminator = initialize(patch_discriminator(pair, width, halvings)) if adversarial else None

    def forward(self, a, noise=None):
        """(N, in_channels, H, W) -> (N, out_channels, H, W) in [-1, 1]. noise: a torch.Generator, of the dropout outside of training."""
        return self.generator(a, noise).tanh()

    def begin(self, *domains):
        """Start from the mean of the second domain: see `start_from`."""
        _, b = self._check(*check_pair("Pix2Pix", domains))
        start_from(self.generator.up.head, b)

    def _check(self, a, b):
        check_channels("Pix2Pix", a, self.in_channels, "first pictures")
        check_channels("Pix2Pix", b, self.out_channels, "second pictures")
        return a, b

    def optimizers(self):
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        return {
            name: torch.optim.Adam(network.parameters(), lr=self.lr, betas=self.betas, fused=True)
            for name, network in networks.items()
            if network
        }

    def training_step(self, batch, optimizers):
        a, b = self._check(*pair_of(batch, "Pix2Pix"))
        fake = self(a).float()
        if not self.discriminator:
            loss = (fake - b).abs().mean()
            update(loss, optimizers["generator"])
            return {"l1": loss.detach()}
        logits = lambda partner: self.discriminator(torch.cat([a, partner], 1)).float()

        d_loss = discriminator_loss(logits(b), logits(fake.detach()))
        update(d_loss, optimizers["discriminator"])
        g_loss = pix2pix_generator_loss(logits(fake), fake, b, self.l1_weight)
        update(g_loss, optimizers["generator"])
        return {"discriminator": d_loss.detach(), "generator": g_loss.detach(), "l1": (fake - b).abs().mean().detach()}

    def translate(self, x, seed=None):
        """(N, in_channels, H, W) in [-1, 1], any H and W -> (N, out_channels, H, W) in [-1, 1].

        seed: of the dropout, which then acts as it does in training: another seed, another answer. None: no dropout, one answer.
        """
        check_channels("Pix2Pix", check_images(x, "Pix2Pix.translate"), self.in_channels)
        noise = None if seed is None else torch.Generator().manual_seed(seed)
        return in_chunks(self, lambda chunk: self(chunk, noise), x)
