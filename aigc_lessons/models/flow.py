"""Flows: lessons 32 and 61 to 64. Liu et al. 2023, rectified flow; Lipman et al. 2023, flow matching; a small U-Net says the velocity."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from ..flows import drop_labels, flow_loss, flow_sample, guided, interpolate
from ..ops import film
from .adversary import averaged, update
from .checks import check_batch, check_counts, check_fits, check_labels, in_chunks

TIME_FEATURES = 64


def time_features(t, n=TIME_FEATURES):
    """Times in [0, 1] as waves of n / 2 frequencies, from slow to fast: (N,) -> (N, n) in [-1, 1].

    The frequencies are made for 1,000 steps, so t counts a thousandfold: without that all times would look alike.
    Source: Vaswani et al. 2017, section 3.5; Ho et al. 2020, Denoising Diffusion Probabilistic Models, appendix B.
    """
    frequency = torch.exp(-math.log(10_000) * torch.arange(n // 2, device=t.device) / (n // 2))
    angle = 1_000 * t.float()[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], 1)


def even_times(n, device):
    """n times in [0, 1) at equal distances, from a random place on: (n,). They are in order, and it is the pictures that are shuffled."""
    return (torch.rand(1, device=device) + torch.arange(n, device=device) / n) % 1


def _zeroed(layer):
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class FlowBlock(nn.Module):
    """Two convolutions and a bridge around them; between the two, FiLM says what time it is and what is asked for.

    GroupNorm of one group: with several it takes ten times as long in channels_last and bfloat16.
    """

    def __init__(self, a, b, features):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(1, a), nn.Conv2d(a, b, 3, padding=1)
        self.film = nn.Linear(features, 2 * b)
        self.norm2, self.conv2 = nn.GroupNorm(1, b), _zeroed(nn.Conv2d(b, b, 3, padding=1))
        self.bridge = nn.Conv2d(a, b, 1) if a != b else nn.Identity()

    def forward(self, x, e):
        h = self.conv1(F.silu(self.norm1(x)))  # (a, s, s) => (b, s, s)
        h = film(self.norm2(h), *self.film(e).chunk(2, 1))
        return self.bridge(x) + self.conv2(F.silu(h))


class VelocityNet(nn.Module):
    """A U-Net: pictures (N, C, H, W), times (N,) and what is asked for => velocities (N, C, H, W), of any range.

    Args:
        channels: C. width: channels at the finest size. multipliers: of the width, one a size; each size is half the one before.
        patch: so many rows and columns of pixels become channels first, which makes everything after that cheaper.
        condition: network from what is asked for (N, ...) int64 to (N, 4 width), or None.
    """

    def __init__(self, channels, width, multipliers, patch, condition=None):
        super().__init__()
        features, widths = 4 * width, [width * m for m in multipliers]
        self.patch, self.condition = patch, condition
        self.time = nn.Sequential(nn.Linear(TIME_FEATURES, features), nn.SiLU(), nn.Linear(features, features))
        self.stem = nn.Conv2d(channels * patch**2, width, 3, padding=1)
        self.down = nn.ModuleList(FlowBlock(a, b, features) for a, b in zip([width, *widths], widths))
        self.shrink = nn.ModuleList(nn.Conv2d(w, w, 3, stride=2, padding=1) for w in widths[:-1])
        self.middle = FlowBlock(widths[-1], widths[-1], features)
        self.up = nn.ModuleList(
            FlowBlock(a + b, b, features) for a, b in zip([widths[-1], *widths[::-1]], widths[::-1])
        )
        self.grow = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in widths[:0:-1])
        self.norm, self.out = (
            nn.GroupNorm(1, widths[0]),
            _zeroed(nn.Conv2d(widths[0], channels * patch**2, 3, padding=1)),
        )

    def forward(self, x, t, y=None):
        e = self.time(time_features(t))
        if self.condition is not None:
            e = e + self.condition(y)
        e = F.silu(e)
        h = F.pixel_unshuffle(x, self.patch).contiguous(memory_format=torch.channels_last)  # => (C p p, H / p, W / p)
        h, seen = self.stem(h), []
        for i, block in enumerate(self.down):
            h = block(h if i == 0 else self.shrink[i - 1](h), e)  # (a, 2s, 2s) => (b, s, s); the first keeps the size
            seen.append(h)
        h = self.middle(h, e)
        for i, block in enumerate(self.up):
            bridge = seen.pop()
            if i:  # (b, s, s) => (b, 2s, 2s)
                h = self.grow[i - 1](F.interpolate(h, size=bridge.shape[-2:]))
            h = block(torch.cat([h, bridge], 1), e)
        return F.pixel_shuffle(self.out(F.silu(self.norm(h))), self.patch)  # => (C, H, W)


class Flow(nn.Module):
    """A network that says, for a picture between data and noise, which way the noise lies; followed backwards it makes pictures.

    Sources: Liu et al. 2023, rectified flow; Ho and Salimans 2022, classifier-free guidance.

    Args:
        image_shape: (C, H, W), H and W multiples of 4. n_classes: K, 0 for a flow that is told nothing.
        width, multipliers, patch: as in VelocityNet; for 64 pixels (1, 2, 2, 2).
        drop: share of the samples that learn without their class, so that guidance knows the way without it.
        ema_decay, lr: as in DCGAN.
    """

    def __init__(
        self,
        image_shape=(3, 32, 32),
        n_classes=0,
        width=32,
        multipliers=(1, 2, 2),
        patch=2,
        drop=0.1,
        ema_decay=0.995,
        lr=2e-3,
    ):
        super().__init__()
        condition = nn.Embedding(n_classes + 1, 4 * width) if n_classes > 0 else None  # the last row: no class
        self._build(image_shape, width, multipliers, patch, drop, ema_decay, lr, condition)
        self.n_classes, self.null = n_classes, n_classes

    def _build(self, image_shape, width, multipliers, patch, drop, ema_decay, lr, condition):
        who = type(self).__name__
        check_counts(who, width=width, patch=patch, **{f"multipliers[{i}]": m for i, m in enumerate(multipliers)})
        _, h, w = image_shape
        if h % 4 or w % 4 or h % patch or w % patch:
            raise ValueError(
                f"{who}(image_shape={tuple(image_shape)}, patch={patch}): accepted are heights and widths that are multiples of 4 and of "
                "patch. Load the data at such a size: al.data.load(name, size=32)."
            )
        if not 0 <= drop < 1:
            raise ValueError(f"{who}(drop={drop}): accepted is a share from 0 to below 1, such as 0.1.")
        self.image_shape = self.flow_shape = tuple(image_shape)
        self.multipliers, self.patch = tuple(multipliers), patch
        self.drop, self.ema_decay, self.lr = drop, ema_decay, lr
        self.net = VelocityNet(image_shape[0], width, multipliers, patch, condition)
        self.net_ema = averaged(self.net, ema_decay)

    def optimizers(self):
        return {"net": torch.optim.Adam(self.net.parameters(), lr=self.lr, betas=(0.9, 0.99), fused=True)}

    def asked(self, batch):
        """What each picture of a batch is said to show: (N, ...) int64 on the device, or None."""
        return check_batch(self, batch)[1] if self.n_classes else None

    def training_step(self, batch, optimizers):
        y = self.asked(batch)
        check_fits(self, batch.images)
        return self.learn(batch.images, y, optimizers)

    def learn(self, x, y, optimizers):
        """One step on x (N, ...), what the flow makes, and on what it is told of it, (N, ...) int64 or None."""
        n, device = len(x), x.device
        if y is not None:
            y = drop_labels(y, torch.rand(n, device=device) >= self.drop, self.null)
        t = even_times(n, device)
        noise = torch.randn_like(x)
        loss = flow_loss(self.net(interpolate(x, noise, t), t, y).float(), x, noise)
        update(loss, optimizers["net"], longest=1.0)
        return {"loss": loss.detach()}

    def velocity(self, y=None, guidance_scale=1.0):
        """The function (x, t) -> velocity that a sampler follows: x (N, C, H, W), t a number, y (N, ...) what is asked for.

        With a guidance scale other than 0 and 1 the network is asked twice, with y and without.
        Raises ValueError: y or guidance for a flow that is told nothing, no y for one that is.
        """
        network, told = self.net_ema, self.net.condition is not None
        if not told and (y is not None or guidance_scale != 1):
            raise ValueError(self._unconditional("velocity()", "y"))
        if told and y is None:
            raise ValueError(
                f"This {type(self).__name__} is told what to make: give velocity(y), y (N, ...) int64. For no class: "
                "torch.full((n,), model.null)."
            )

        def said(x, t):
            times = torch.full((len(x),), t, device=x.device)
            ask = lambda y: network(x.contiguous(memory_format=torch.channels_last), times, y).float()
            if y is None or guidance_scale == 1:
                return ask(y)
            nothing = torch.full_like(y, self.null)
            return guided(ask(nothing), ask(y), guidance_scale) if guidance_scale else ask(nothing)

        return said

    def sample(self, n, seed=0, labels=None, guidance_scale=1.0, steps=10, solver="heun"):
        """n pictures (n, C, H, W) in [-1, 1].

        Args:
            labels: (n,) int64, or one number for all; None: each class in turn. Of a flow without classes: None.
            guidance_scale: 1: as learnt; above 1: nearer to what is asked, less varied; 0: without the class.
            steps, solver: as in flows.flow_sample.
        Raises ValueError: labels or guidance that this flow cannot follow, no steps.
        """
        if not self.n_classes:
            if labels is not None or guidance_scale != 1:
                raise ValueError(self._unconditional("sample(n)", "labels"))
            return self.draw(n, seed, None, 1.0, steps, solver)
        return self.draw(
            n, seed, check_labels(type(self).__name__, labels, n, self.n_classes), guidance_scale, steps, solver
        )

    def _unconditional(self, call, labels):
        return (
            f"This {type(self).__name__} is unconditional: it takes no {labels} and no guidance_scale. Call {call} without "
            "them, or build it with n_classes=len(ds.classes)."
        )

    def finish(self, x):
        """The pictures that the ends of the ways stand for."""
        return x.clamp(-1, 1)

    def draw(self, n, seed, y, guidance_scale, steps, solver):
        """Follow the flow from noise that is drawn on the CPU from `seed`; y: (n, ...) int64 or None."""
        if not math.isfinite(guidance_scale):
            raise ValueError(f"sample(guidance_scale={guidance_scale}): accepted is a finite number, such as 2.")
        noise = torch.randn(n, *self.flow_shape, generator=torch.Generator().manual_seed(seed))
        follow = lambda z, *y: self.finish(
            flow_sample(self.velocity(*(y or (None,)), guidance_scale), z, steps, solver)
        )
        where = next(self.parameters()).device
        return in_chunks(self.net_ema, follow, *(v.to(where) for v in ([noise] if y is None else [noise, y])))
