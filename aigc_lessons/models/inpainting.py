"""Inpainting: lesson 42. A U-Net that gets the mask as a channel, one with partial convolutions (Liu et al. 2018), and an adversarial one."""

import torch
import torch.nn.functional as F
from torch import nn

from ..data import check_images, draw_masks
from ..losses import discriminator_loss, generator_loss, masked_l1
from ..ops import composite, partial_conv2d
from .adversary import update
from .checks import check_channels, check_counts, check_mask, in_chunks, leaky_tanh, start_from, zero_bias
from .dcgan import initialize
from .pix2pix import patch_discriminator
from .restoration import random_flips
from .unet import Decoder, UNet, pad_to_multiple


class MaskedUNet(UNet):
    """A U-Net that sees the picture with an empty hole, and the mask as one more channel."""

    def __init__(self, channels, width):
        super().__init__(channels + 1, channels, width, depth=3)

    def forward(self, images, mask):
        return super().forward(torch.cat([torch.where(mask.bool(), images, 0), mask], 1))


class PartialConv2d(nn.Module):
    """ops.partial_conv2d with weights to learn, a bias where anything is known, and ReLU."""

    def __init__(self, a, b):
        super().__init__()
        self.weight, self.bias = nn.Parameter(nn.Conv2d(a, b, 3).weight.detach()), nn.Parameter(torch.zeros(b, 1, 1))

    def forward(self, x, mask):
        x, mask = partial_conv2d(x, mask, self.weight)
        return (x + self.bias * mask).relu(), mask


class PartialUNet(nn.Module):
    """A U-Net whose way down looks at known pixels only. The hole shrinks with each layer; on the way up it is mostly gone."""

    def __init__(self, channels, width, depth=3):
        super().__init__()
        widths = [width * 2**i for i in range(depth + 1)]
        self.down = nn.ModuleList(
            nn.ModuleList([PartialConv2d(a, b), PartialConv2d(b, b)]) for a, b in zip([channels, *widths], widths)
        )
        self.up = Decoder(widths, channels)

    def forward(self, images, mask):
        h, w = images.shape[-2:]
        x, mask = (pad_to_multiple(t, 2 ** (len(self.down) - 1)) for t in (images, mask))
        features = []
        for layers in self.down:
            if features:  # features are at least 0, and 0 in the hole: the maximum is a known one
                x, mask = F.max_pool2d(x, 2), F.max_pool2d(mask, 2)
            for layer in layers:
                x, mask = layer(x, mask)  # (a, 2s, 2s) => (b, s, s); the first level keeps the size
            features.append(x)
        return self.up(features)[..., :h, :w]


KINDS = ("box", "strokes", "random")
POOL = 400  # masks of each kind, drawn once: drawing a batch of them takes longer than a training step


class Inpainter(nn.Module):
    """Fills holes in pictures; the known pixels stay as they are, bit for bit.

    Args:
        channels: 1 (grey) or 3 (colour). width: channels of the first layers.
        partial: partial convolutions instead of a U-Net that gets the mask as a channel.
        adversarial_weight: above 0 a PatchGAN looks at the filled picture too.
        hole: (least, most) share of missing pixels to learn on. lr: of Adam.
    """

    def __init__(self, channels=3, width=32, partial=False, adversarial_weight=0.0, hole=(0.05, 0.65), lr=1e-3):
        super().__init__()
        check_counts("Inpainter", channels=channels, width=width)
        if adversarial_weight < 0:
            raise ValueError(f"Inpainter(adversarial_weight={adversarial_weight}): accepted is a weight of at least 0.")
        self.channels, self.adversarial_weight, self.hole, self.lr = channels, adversarial_weight, tuple(hole), lr
        self.generator = (PartialUNet if partial else MaskedUNet)(channels, width)
        self.discriminator = initialize(patch_discriminator(channels + 1, width)) if adversarial_weight else None
        zero_bias(self.generator.up.head)
        self._pool = None

    def forward(self, images, mask):
        """(N, C, H, W), (N, 1, H, W) -> what the whole picture might be, (N, C, H, W) in [-1, 1]."""
        return leaky_tanh(self.generator(images, mask))

    def begin(self, images):
        """Start from the mean of the data: see `start_from`."""
        check_channels("Inpainter", images, self.channels)
        start_from(self.generator.up.head, images)

    def masks(self, images):
        """A mask (N, 1, H, W) for each picture, on its device: drawn from a pool that a fixed seed fills, and mirrored."""
        size = tuple(images.shape[2:])
        if self._pool is None or self._pool.shape[2:] != size:
            self._pool = torch.cat([draw_masks(kind, POOL, size, self.hole, seed=i) for i, kind in enumerate(KINDS)])
        self._pool = self._pool.to(images.device)
        return random_flips(self._pool[torch.randint(len(self._pool), (len(images),), device=images.device)])

    def optimizers(self):
        optimizers = {"generator": torch.optim.Adam(self.generator.parameters(), lr=self.lr, fused=True)}
        if self.discriminator:
            optimizers["discriminator"] = torch.optim.Adam(
                self.discriminator.parameters(), lr=self.lr / 2, betas=(0.5, 0.999), fused=True
            )
        return optimizers

    def training_step(self, batch, optimizers):
        check_channels("Inpainter", batch.images, self.channels)
        images = random_flips(batch.images)
        mask = self.masks(images)
        filled = composite(images, self(images, mask).float(), mask)
        l1 = masked_l1(filled, images, 1 - mask)
        losses = {"l1": l1.detach()}
        g_loss = l1
        if self.discriminator:
            logits = lambda picture: self.discriminator(torch.cat([picture, mask], 1)).float()
            d_loss = discriminator_loss(logits(images), logits(filled.detach()))
            update(d_loss, optimizers["discriminator"])
            g_loss = l1 + self.adversarial_weight * generator_loss(logits(filled))
            losses["discriminator"] = d_loss.detach()
        update(g_loss, optimizers["generator"])
        return losses

    def restore(self, x, mask):
        """The pictures with their holes filled.

        Args: x: (N, C, H, W) in [-1, 1], any H and W; what lies in the hole is not looked at. mask: (N, 1, H, W), 1 where
            pixels are known. Returns: (N, C, H, W) in [-1, 1], known pixels bit for bit.
        Raises ValueError for masks of another shape, with other values, or without any known pixel.
        """
        check_channels("Inpainter", check_images(x, "Inpainter.restore"), self.channels)
        check_mask("Inpainter.restore", mask, x)
        if mask.all():
            return x.clone()  # nothing is missing
        mask = mask.to(x)
        return composite(x, in_chunks(self, self, x, mask), mask)
