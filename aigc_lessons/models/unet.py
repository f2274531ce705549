"""U-Net: lessons 41 to 43. Ronneberger et al. 2015: down, up again, and at each size a bridge across."""

import torch
import torch.nn.functional as F
from torch import nn


def conv_block(a, b, norm=nn.Identity):
    """Twice convolution, normalisation, ReLU: (N, a, s, s) => (N, b, s, s)."""
    return nn.Sequential(
        nn.Conv2d(a, b, 3, padding=1), norm(b), nn.ReLU(), nn.Conv2d(b, b, 3, padding=1), norm(b), nn.ReLU()
    )


def pad_to_multiple(x, factor):
    """Repeat the last row and column until H and W are multiples of `factor`. Crop the result back with [..., :h, :w]."""
    h, w = x.shape[-2:]
    return F.pad(x, (0, -w % factor, 0, -h % factor), mode="replicate")


class Decoder(nn.Module):
    """The way up. widths: channels at each size, the finest first. dropout: the share that is dropped after each block but the finest."""

    def __init__(self, widths, out_channels, norm=nn.Identity, dropout=0.0):
        super().__init__()
        self.dropout = dropout
        self.blocks = nn.ModuleList(conv_block(below + here, here, norm) for here, below in zip(widths, widths[1:]))
        self.head = nn.Conv2d(widths[0], out_channels, 1)

    def forward(self, features, generator=None):
        """features: one tensor a size, the finest first => (N, out_channels, H, W). generator: of the dropout outside of training."""
        *bridges, x = features
        for level in reversed(range(len(bridges))):
            # (below + here, 2s, 2s) => (here, 2s, 2s)
            x = self.blocks[level](torch.cat([F.interpolate(x, scale_factor=2), bridges[level]], 1))
            if level and self.dropout:
                x = self._dropped(x, generator)
        return self.head(x)

    def _dropped(self, x, generator):
        """Dropout in training; afterwards too if a generator is given, as the only noise that the network has."""
        if self.training:
            return F.dropout(x, self.dropout)
        if generator is None:
            return x
        keep = (
            torch.rand(x.shape, generator=generator) >= self.dropout
        )  # on the CPU: one seed, the same noise everywhere
        return x * keep.to(x.device) / (1 - self.dropout)


class UNet(nn.Module):
    """(N, in_channels, H, W) => (N, out_channels, H, W), any H and W; the answer is not limited to any range.

    Args:
        width: channels at full size; doubled with each halving. depth: how many halvings. norm: each layer's normalisation.
        skips: the sizes at which a bridge leads across, 0 the finest; None: all. The others carry zeros.
        dropout: see `Decoder`.
    """

    def __init__(self, in_channels, out_channels, width=32, depth=3, norm=nn.Identity, skips=None, dropout=0.0):
        super().__init__()
        self.skips = tuple(range(depth)) if skips is None else tuple(skips)
        widths = [width * 2**i for i in range(depth + 1)]
        self.down = nn.ModuleList(conv_block(a, b, norm) for a, b in zip([in_channels, *widths], widths))
        self.up = Decoder(widths, out_channels, norm, dropout)

    def forward(self, x, generator=None):
        h, w = x.shape[-2:]
        x = pad_to_multiple(x, 2 ** (len(self.down) - 1))
        features = []
        for block in self.down:
            x = block(F.max_pool2d(x, 2) if features else x)  # (a, 2s, 2s) => (b, s, s); the first keeps the size
            features.append(x)
        *bridges, deepest = features
        bridges = [b if level in self.skips else torch.zeros_like(b) for level, b in enumerate(bridges)]
        return self.up([*bridges, deepest], generator)[..., :h, :w]
