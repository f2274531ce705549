"""Translation without pairs: lesson 44. Zhu et al. 2017, Unpaired Image-to-Image Translation using Cycle-Consistent GANs."""

import torch
from torch import nn

from ..data import check_images
from ..losses import cycle_loss, cyclegan_generator_loss, least_squares_discriminator_loss
from .adversary import update
from .checks import check_channels, check_counts, check_pair, check_quarters, in_chunks, pair_of, start_from, zero_bias
from .dcgan import initialize
from .pix2pix import patch_discriminator


class ResidualBlock(nn.Module):
    """x plus what two convolutions make of it: (N, C, s, s) => (N, C, s, s)."""

    def __init__(self, channels):
        super().__init__()
        conv = lambda: nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        self.layers = nn.Sequential(conv(), nn.InstanceNorm2d(channels), nn.ReLU(), conv(), nn.InstanceNorm2d(channels))

    def forward(self, x):
        return x + self.layers(x)


def resnet_generator(channels, width, blocks):
    """(N, C, H, W) -> (N, C, H, W) in [-1, 1], H and W multiples of 4. Source: Johnson et al. 2016; Zhu et al. 2017, section 4."""

    def layer(conv, out):
        return [conv, nn.InstanceNorm2d(out), nn.ReLU()]

    return nn.Sequential(
        *layer(nn.Conv2d(channels, width, 7, padding=3, padding_mode="reflect"), width),  # => (width, H, W)
        *layer(nn.Conv2d(width, 2 * width, 3, 2, 1), 2 * width),  # => (2 width, H/2, W/2)
        *layer(nn.Conv2d(2 * width, 4 * width, 3, 2, 1), 4 * width),  # => (4 width, H/4, W/4)
        *(ResidualBlock(4 * width) for _ in range(blocks)),
        *layer(nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1), 2 * width),  # => (2 width, H/2, W/2)
        *layer(nn.ConvTranspose2d(2 * width, width, 4, 2, 1), width),  # => (width, H, W)
        zero_bias(nn.Conv2d(width, channels, 7, padding=3, padding_mode="reflect")),
        nn.Tanh(),
    )  # => (C, H, W)


class ImageBuffer:
    """Earlier fakes for the discriminator, so that it does not forget them: Shrivastava et al. 2017, section 2.3.

    Args: capacity: how many are kept; 0 keeps none and gives every picture back.
    """

    def __init__(self, capacity):
        if capacity < 0:
            raise ValueError(f"ImageBuffer({capacity}): accepted is a capacity of 0 or more.")
        self.capacity, self.images = capacity, None  # (stored so far, C, H, W)

    def query(self, images, generator=None):
        """Give each picture (C, H, W) of `images` or, once the buffer is full, with probability 1/2 a random stored one,
        whose place it takes. Returns a tensor shaped as `images`.

        generator: torch.Generator of the CPU; None draws where the images are. Nothing is read back from there: a coin decides by
        torch.where, so that an accelerator never waits.
        """
        images = images.detach()
        room = self.capacity - (0 if self.images is None else len(self.images))
        if room > 0:
            stored = images[:room].clone()
            self.images = stored if self.images is None else torch.cat([self.images.to(images), stored])
        if self.capacity == 0 or len(images) <= room:
            return images.clone()
        given = [images[: max(room, 0)]]
        self.images = self.images.to(images)  # a checkpoint brings them back on the CPU
        where = images.device if generator is None else torch.device("cpu")
        later = images[max(room, 0) :]
        swaps = (torch.rand(len(later), generator=generator, device=where) < 0.5).to(images.device)
        places = torch.randint(self.capacity, (len(later),), generator=generator, device=where).to(images.device)
        for image, swap, place in zip(later.split(1), swaps, places.split(1)):
            old = self.images[place]
            given.append(torch.where(swap, old, image))
            self.images[place] = torch.where(swap, image, old)
        return torch.cat(given)


class CycleGAN(nn.Module):
    """Two generators, A to B and B to A, each against a discriminator of its own, tied by the way there and back.

    Args:
        channels: of both domains. width: channels of the first layers. blocks: residual blocks.
        cycle_weight, identity_weight: of the two L1 terms; 0 removes one. buffer: capacity of each ImageBuffer; 0: none.
        lr, betas: of Adam.
    """

    def __init__(
        self,
        channels=3,
        width=24,
        blocks=3,
        cycle_weight=10.0,
        identity_weight=5.0,
        buffer=50,
        lr=5e-4,
        betas=(0.5, 0.999),
    ):
        super().__init__()
        check_counts("CycleGAN", channels=channels, width=width, blocks=blocks)
        if cycle_weight < 0 or identity_weight < 0:
            raise ValueError(
                f"CycleGAN(cycle_weight={cycle_weight}, identity_weight={identity_weight}): accepted are weights of at least 0."
            )
        self.channels, self.cycle_weight, self.identity_weight, self.lr, self.betas = (
            channels,
            cycle_weight,
            identity_weight,
            lr,
            betas,
        )
        self.to_a, self.to_b = (initialize(resnet_generator(channels, width, blocks)) for _ in range(2))
        self.discriminator_a, self.discriminator_b = (
            initialize(patch_discriminator(channels, 2 * width)) for _ in range(2)
        )
        self.buffer_a, self.buffer_b = ImageBuffer(buffer), ImageBuffer(buffer)

    def begin(self, *domains):
        """Start from the mean of each domain: see `start_from`."""
        a, b = self._check(*check_pair("CycleGAN", domains))
        start_from(self.to_a[-2], a)
        start_from(self.to_b[-2], b)

    def _check(self, a, b):
        for name, images in (("A", a), ("B", b)):
            check_channels("CycleGAN", images, self.channels, f"pictures of domain {name}")
        return a, b

    def optimizers(self):
        groups = {
            "generators": [*self.to_a.parameters(), *self.to_b.parameters()],
            "discriminators": [*self.discriminator_a.parameters(), *self.discriminator_b.parameters()],
        }
        return {
            name: torch.optim.Adam(weights, lr=self.lr, betas=self.betas, fused=True)
            for name, weights in groups.items()
        }

    def training_step(self, batch, optimizers):
        a, b = self._check(*pair_of(batch, "CycleGAN"))
        fake_a, fake_b = self.to_a(b), self.to_b(a)
        if fake_b.shape != a.shape:  # two halvings and two doublings came out elsewhere
            check_quarters("CycleGAN", a)
        cycled_a, cycled_b = self.to_a(fake_b).float(), self.to_b(fake_a).float()
        same_a, same_b = (self.to_a(a).float(), self.to_b(b).float()) if self.identity_weight else (a, b)
        g_loss = cyclegan_generator_loss(
            self.discriminator_a(fake_a).float(),
            self.discriminator_b(fake_b).float(),
            a,
            cycled_a,
            b,
            cycled_b,
            same_a,
            same_b,
            self.cycle_weight,
            self.identity_weight,
        )
        update(g_loss, optimizers["generators"])

        old_a, old_b = self.buffer_a.query(fake_a), self.buffer_b.query(fake_b)
        d_loss = least_squares_discriminator_loss(
            self.discriminator_a(a).float(), self.discriminator_a(old_a).float()
        ) + least_squares_discriminator_loss(self.discriminator_b(b).float(), self.discriminator_b(old_b).float())
        update(d_loss, optimizers["discriminators"])
        cycle = cycle_loss(a, cycled_a) + cycle_loss(b, cycled_b)
        return {"generators": g_loss.detach(), "discriminators": d_loss.detach(), "cycle": cycle.detach()}

    def translate(self, x, to="B"):
        """(N, C, H, W) in [-1, 1], H and W multiples of 4 -> the same shape, in [-1, 1]. to: 'A' or 'B'."""
        if to not in ("A", "B"):
            raise ValueError(f"CycleGAN.translate(to={to!r}): accepted are 'A' and 'B'.")
        check_channels("CycleGAN", check_images(x, "CycleGAN.translate"), self.channels)
        check_quarters("CycleGAN.translate", x)
        return in_chunks(self, self.to_a if to == "A" else self.to_b, x)

    def get_extra_state(self):
        """The buffers' pictures, so that a checkpoint continues exactly."""
        return {"a": self.buffer_a.images, "b": self.buffer_b.images}

    def set_extra_state(self, state):
        self.buffer_a.images, self.buffer_b.images = state["a"], state["b"]
