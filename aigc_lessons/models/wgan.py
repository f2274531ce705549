"""GANs whose critic may not be too steep: lesson 25.

Arjovsky et al. 2017 (clipping), Gulrajani et al. 2017 (gradient penalty), Miyato et al. 2018 (spectral norm with hinge).
"""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ..losses import critic_generator_loss, critic_loss, gradient_penalty, hinge_discriminator_loss
from .adversary import averaged, latents, update
from .checks import check_counts, check_fits, check_unconditional, in_chunks, start_from
from .dcgan import discriminator_network, generator_network, initialize

CONSTRAINTS = ("clip", "penalty", "spectral")


class WGAN(nn.Module):
    """A generator against a critic that scores instead of judging, and is kept Lipschitz.

    Args:
        image_shape: (C, H, W), C 1 or 3, H = W one of 8, 16, 32, 64.
        constraint: 'clip' (weights in [-clip, clip]), 'penalty' (gradient norm near 1) or 'spectral' (every layer divided
            by the largest singular value of its weights, laid out as a matrix; with the hinge loss).
        latent_dim, width, ema_decay: as in DCGAN.
        critic_steps: steps of the critic for each of the generator.
        clip, penalty_weight: strength of the constraint.
    """

    def __init__(
        self,
        image_shape=(1, 32, 32),
        constraint="penalty",
        latent_dim=64,
        width=32,
        critic_steps=2,
        clip=0.02,
        penalty_weight=10.0,
        ema_decay=0.995,
        lr=1e-3,
        betas=(0.0, 0.9),
    ):
        super().__init__()
        if constraint not in CONSTRAINTS:
            raise ValueError(f"WGAN(constraint={constraint!r}): accepted are {', '.join(CONSTRAINTS)}.")
        check_counts("WGAN", latent_dim=latent_dim, width=width, critic_steps=critic_steps)
        self.image_shape, self.constraint, self.latent_dim = tuple(image_shape), constraint, latent_dim
        self.critic_steps, self.clip, self.penalty_weight, self.lr, self.betas = (
            critic_steps,
            clip,
            penalty_weight,
            lr,
            betas,
        )
        self.generator = initialize(generator_network(image_shape, latent_dim, width))
        wrap = spectral_norm if constraint == "spectral" else lambda layer: layer
        # No batch norm: each picture's score must depend on that picture alone, or its gradient means nothing.
        self.critic = discriminator_network(image_shape, width, norm=nn.Identity, wrap=wrap)
        self.ema_decay, self.generator_ema = ema_decay, averaged(self.generator, ema_decay)

    def optimizers(self):
        return {
            "generator": torch.optim.Adam(self.generator.parameters(), lr=self.lr, betas=self.betas, fused=True),
            "critic": torch.optim.Adam(self.critic.parameters(), lr=self.lr, betas=self.betas, fused=True),
        }

    def begin(self, images):
        """Start from the mean of the data: see `start_from`."""
        check_fits(self, images)
        start_from(self.generator[-2], images)

    def noise(self, n, generator=None, device=None):
        """(n, latent_dim, 1, 1), as `latents`."""
        return latents(n, self.latent_dim, generator, device)[:, :, None, None]

    def critic_step(self, real, optimizer):
        with torch.no_grad():
            fake = self.generator(self.noise(len(real), device=real.device)).float()
        objective = hinge_discriminator_loss if self.constraint == "spectral" else critic_loss
        loss = objective(self.critic(real).float(), self.critic(fake).float())
        if self.constraint == "penalty":
            t = torch.rand(len(real), device=real.device)
            loss = loss + self.penalty_weight * gradient_penalty(lambda x: self.critic(x).float(), real, fake, t)
        update(loss, optimizer)
        if self.constraint == "clip":
            with torch.no_grad():
                for weight in self.critic.parameters():
                    weight.clamp_(-self.clip, self.clip)
        return loss.detach()

    def training_step(self, batch, optimizers):
        real = batch.images
        check_fits(self, real)
        if len(real) < 2:
            raise ValueError(
                "A WGAN's generator uses batch norm, which needs more than one picture. Give batch_size=2 or more."
            )
        for _ in range(self.critic_steps):
            loss = self.critic_step(real, optimizers["critic"])
        g_loss = critic_generator_loss(self.critic(self.generator(self.noise(len(real), device=real.device))).float())
        update(g_loss, optimizers["generator"])
        return {"critic": loss, "generator": g_loss.detach()}

    def sample(self, n, seed=0, labels=None):
        """n pictures (n, C, H, W) in [-1, 1] from the averaged generator."""
        check_unconditional("WGAN", labels)
        z = self.noise(n, torch.Generator().manual_seed(seed), next(self.parameters()).device)
        return in_chunks(self.generator_ema, self.generator_ema, z)
