"""Denoising and super-resolution: lesson 41. Zhang et al. 2017, DnCNN: learn the noise, not the picture."""

import torch
from torch import nn

from ..ops import add_noise, downscale, upscale
from .adversary import update
from .checks import check_channels, check_counts, check_floats, in_chunks
from .unet import UNet


def random_flips(images):
    """Each picture mirrored left to right, upside down, and (if square) along the diagonal, each with probability 1/2."""
    coins = torch.rand(3, len(images), 1, 1, 1, device=images.device) < 0.5
    images = torch.where(coins[0], images.flip(-1), images)
    images = torch.where(coins[1], images.flip(-2), images)
    return torch.where(coins[2], images.mT, images) if images.shape[-1] == images.shape[-2] else images


def random_colours(images):
    """Each picture with its channels in another order, and as a negative with probability 1/2.

    A handful of photographs holds few colours; so a network learns noise, not which colours there are.
    """
    order = torch.rand(images.shape[:2], device=images.device).argsort(1)
    images = images.gather(1, order[:, :, None, None].expand_as(images))
    return torch.where(torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5, -images, images)


def eightfold_mean(function, images):
    """The mean of a function over the eight ways to turn and mirror pictures, each undone afterwards: (N, C, H, W) -> (N, C, ...).

    Source: Timofte, Rothe, Van Gool 2016, Seven Ways to Improve Example-Based Single Image Super Resolution, section 3.6.
    """
    total = 0
    for turns in range(4):
        for mirror in ((), (-1,)):
            answer = function(images.rot90(turns, (-2, -1)).flip(mirror))
            total = total + answer.flip(mirror).rot90(-turns, (-2, -1))
    return total / 8


class Denoiser(nn.Module):
    """Takes noise off pictures: a U-Net says what is noise, and that is subtracted.

    Args:
        channels: 1 (grey) or 3 (colour). width: channels of the U-Net's first layer.
        noise: (least, most) standard deviation it learns on, in levels of 255; it is not told which.
        lr: of Adam.
    """

    def __init__(self, channels=3, width=32, noise=(5, 55), lr=1e-3):
        super().__init__()
        check_counts("Denoiser", channels=channels, width=width)
        if not 0 <= noise[0] <= noise[1] or noise[1] == 0:
            raise ValueError(
                f"Denoiser(noise={noise}): accepted are two standard deviations in levels of 255, such as (5, 55)."
            )
        self.channels, self.noise, self.lr = channels, tuple(noise), lr
        self.network = UNet(channels, channels, width, depth=2)

    def forward(self, noisy):
        """(N, C, H, W) -> (N, C, H, W), not clipped."""
        return noisy - self.network(noisy)

    def optimizers(self):
        return {"denoiser": torch.optim.Adam(self.network.parameters(), lr=self.lr, fused=True)}

    def training_step(self, batch, optimizers):
        check_channels("Denoiser", batch.images, self.channels)
        clean = random_colours(random_flips(batch.images))
        sigma = torch.empty(len(clean), 1, 1, 1, device=clean.device).uniform_(*self.noise)
        noisy = add_noise(clean, sigma, torch.randn_like(clean))
        loss = (self(noisy).float() - clean).abs().mean()
        update(loss, optimizers["denoiser"])
        return {"loss": loss.detach()}

    def restore(self, noisy, eightfold=False):
        """(N, C, H, W), any H and W; noisy pictures may leave [-1, 1] -> (N, C, H, W) in [-1, 1].

        eightfold: the mean of eight answers, to the pictures turned and mirrored; better, and eight times the work.
        """
        check_floats("Denoiser.restore", noisy)
        check_channels("Denoiser", noisy, self.channels)
        apply = lambda images: in_chunks(self, self, images)
        return (eightfold_mean(apply, noisy) if eightfold else apply(noisy)).clamp(-1, 1)


class SuperResolver(nn.Module):
    """Doubles height and width: bicubic enlargement, and a U-Net that adds the detail it misses.

    Args: channels, width, lr: as Denoiser.
    """

    def __init__(self, channels=3, width=32, lr=1e-3):
        super().__init__()
        check_counts("SuperResolver", channels=channels, width=width)
        self.channels, self.lr = channels, lr
        self.network = UNet(channels, channels, width, depth=2)

    def forward(self, small):
        """(N, C, H, W) -> (N, C, 2H, 2W), not clipped."""
        enlarged = upscale(small)
        return enlarged + self.network(enlarged)

    def optimizers(self):
        return {"super_resolver": torch.optim.Adam(self.network.parameters(), lr=self.lr, fused=True)}

    def training_step(self, batch, optimizers):
        check_channels("SuperResolver", batch.images, self.channels)
        sharp = random_colours(random_flips(batch.images))
        if sharp.shape[-1] % 2 or sharp.shape[-2] % 2:
            raise ValueError(
                f"A SuperResolver halves pictures to learn from them and got {tuple(sharp.shape[2:])}. Load them at an even size."
            )
        loss = (self(downscale(sharp)).float() - sharp).abs().mean()
        update(loss, optimizers["super_resolver"])
        return {"loss": loss.detach()}

    def restore(self, small, eightfold=False):
        """(N, C, H, W) -> (N, C, 2H, 2W) in [-1, 1]. eightfold: as for a Denoiser."""
        check_floats("SuperResolver.restore", small)
        check_channels("SuperResolver", small, self.channels)
        apply = lambda images: in_chunks(self, self, images)
        return (eightfold_mean(apply, small) if eightfold else apply(small)).clamp(-1, 1)
