"""A diffusion model: lesson 61. Ho et al. 2020, DDPM; Salimans and Ho 2022, v-prediction. Its formulas and samplers: aigc_lessons/diffusion.py."""

import torch
from torch import nn

from ..diffusion import check_times, clean_from_noise, clean_from_v, ddim, noised, schedule, v_target
from .adversary import averaged, update
from .checks import check_counts, check_fits, check_unconditional, in_chunks
from .flow import VelocityNet, even_times

# what the network says: what it learns to say, and the data that follow from it
SAYS = {
    "v": (v_target, clean_from_v),
    "noise": (lambda x, noise, a, s: noise, clean_from_noise),
    "clean": (lambda x, noise, a, s: x, lambda x_t, clean, a, s: clean),
}
LATEST = {"noise": 0.99}  # where sampling starts: at 1 nothing of the data follows from the noise, since a is 0


class Diffusion(nn.Module):
    """A network that takes noise out of pictures; asked again and again, from pure noise on, it makes pictures.

    Args:
        image_shape: (C, H, W), H and W multiples of 4.
        says: what the network answers with: "v", "noise" or "clean" (the data).
        width, multipliers, patch: as in VelocityNet.
        ema_decay: how slowly the averaged network, which makes the samples, follows the trained one, once it has warmed up.
        lr: of Adam.
    """

    def __init__(
        self, image_shape=(1, 32, 32), says="v", width=32, multipliers=(1, 2, 2), patch=2, ema_decay=0.995, lr=2e-3
    ):
        super().__init__()
        if says not in SAYS:
            raise ValueError(f"Diffusion(says={says!r}): accepted are {', '.join(map(repr, SAYS))}.")
        check_counts("Diffusion", width=width, patch=patch)
        _, h, w = image_shape
        if h % 4 or w % 4 or h % patch or w % patch:
            raise ValueError(
                f"Diffusion(image_shape={tuple(image_shape)}, patch={patch}): accepted are heights and widths that are multiples of 4 "
                "and of patch. Load the data at such a size: al.data.load(name, size=32)."
            )
        self.image_shape, self.says, self.multipliers, self.patch = tuple(image_shape), says, tuple(multipliers), patch
        self.ema_decay, self.lr = ema_decay, lr
        self.net = VelocityNet(image_shape[0], width, multipliers, patch)
        self.net_ema = averaged(self.net, ema_decay)

    def optimizers(self):
        return {"net": torch.optim.Adam(self.net.parameters(), lr=self.lr, betas=(0.9, 0.99), fused=True)}

    def training_step(self, batch, optimizers):
        x = batch.images
        check_fits(self, x)
        n, device = len(x), x.device
        t = even_times(n, device)
        (a, s), noise = schedule(t), torch.randn_like(x)
        answer = self.net(noised(x, noise, a, s), t).float()
        loss = (answer - SAYS[self.says][0](x, noise, a, s)).square().mean()
        update(loss, optimizers["net"])
        return {"loss": loss.detach()}

    def denoiser(self, network=None, clip=True):
        """The function (x_t, t) -> data that samplers take: x_t (N, C, H, W), t a number in [0, 1].

        Args: network: whose answer; None: the averaged one's. clip: into [-1, 1], where all data lie, so their mean too.
        """
        network, clean = network or self.net_ema, SAYS[self.says][1]

        def denoise(x_t, t):
            check_times("denoiser", t)
            times = torch.full((len(x_t),), float(t), device=x_t.device)
            guess = clean(x_t, network(x_t, times).float(), *map(float, schedule(t)))
            return guess.clamp(-1, 1) if clip else guess

        return denoise

    def sample(self, n, seed=0, labels=None, steps=20, eta=0.0):
        """n pictures (n, C, H, W) in [-1, 1].

        Args: steps: how often the network is asked. eta: fresh noise of a step, 0 to 1: see diffusion.ddim.
        Raises ValueError: labels, no steps, another eta.
        """
        check_unconditional("Diffusion", labels)
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(n, *self.image_shape, generator=generator)
        start = LATEST.get(self.says, 1.0)
        make = lambda z: ddim(self.denoiser(), z, steps, eta, start, generator=generator).clamp(-1, 1)
        return in_chunks(self.net_ema, make, noise.to(next(self.parameters()).device))
