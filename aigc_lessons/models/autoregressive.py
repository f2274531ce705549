"""Pictures written pixel by pixel, each pixel given those before it: lesson 26. A recurrent network, and a masked convolutional one.

Both take tokens: whole numbers from 0 to levels - 1 on an h x w grid, in raster order. Grey levels are tokens, and so are codes.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from ..data.pixels import from_levels
from ..losses import cross_entropy
from ..sequences import causal_mask, shift_right
from .adversary import update
from .checks import check_counts, check_unconditional, evaluating, in_chunks


class PixelGRU(nn.Module):
    """A gated recurrent network that reads a picture as a row of pixels and, at each place, says what comes next.

    It is shown the pixel before and the one above; what lies further back it has to remember.

    Args:
        levels: K, the values that a pixel can have. shape: (H, W) of the grid. width: numbers that it remembers. lr: learning rate.
    """

    def __init__(self, levels=17, shape=(8, 8), width=128, lr=3e-3):
        super().__init__()
        _check_arguments("PixelGRU", levels, shape, width)
        self.levels, self.shape, self.lr = levels, tuple(shape), lr
        self.embedding = nn.Embedding(levels + 1, 32)  # one row a level, and one for "no pixel there"
        self.position = nn.Parameter(0.1 * torch.randn(shape[0] * shape[1], 32))
        self.gru = nn.GRU(64, width, batch_first=True)
        self.head = nn.Linear(width, levels)

    def inputs(self, tokens):
        """What is shown at each place: (N, L) tokens => (N, L, 64)."""
        w = self.shape[1]
        before = self.embedding(shift_right(tokens, self.levels)) + self.position
        above = self.embedding(F.pad(tokens, (w, 0), value=self.levels)[:, :-w])  # w places earlier
        return torch.cat([before, above], dim=2)

    def forward(self, tokens):
        """(N, L) tokens -> (N, L, K) logits; those of place i depend on tokens before i alone."""
        return self.head(self.gru(self.inputs(tokens))[0])

    def next_logits(self, tokens, i, memory=None):
        """Logits (N, K) of place i and the new memory: one step from the memory of place i - 1, or all steps where none is given."""
        start = 0 if memory is None else i
        h, memory = self.gru(self.inputs(tokens)[:, start : i + 1], memory)
        return self.head(h[:, -1]), memory

    def begin(self, tokens):
        _check_tokens(self, tokens)

    def optimizers(self):
        return {"gru": torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=0.05, fused=True)}

    def training_step(self, batch, optimizers):
        return _learn(self, batch.images, optimizers["gru"])

    def log_prob(self, tokens):
        """(N, L) tokens -> (N,), the exact log-probability of each picture, in nats."""
        return _log_prob(self, tokens)

    def sample(self, n, seed=0, labels=None, temperature=1.0):
        """n grey pictures (n, 1, H, W) in [-1, 1]."""
        return _pictures(self, n, seed, labels, temperature)

    def complete(self, tokens, known, seed=0, temperature=1.0):
        """Tokens (N, L) whose first `known` places are those given and whose others are drawn, one after the other."""
        return _complete(self, tokens, known, seed, temperature)


class MaskedConv2d(nn.Conv2d):
    """A convolution that keeps the size, whose pixels see only what comes before them in raster order. kind: see `causal_mask`."""

    def __init__(self, kind, in_channels, out_channels, kernel_size):
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.register_buffer("mask", causal_mask(kernel_size, kind), persistent=False)

    def forward(self, x):
        return F.conv2d(
            x, self.weight * self.mask, self.bias, padding=self.padding
        )  # in each use: optimizers move all weights


class MaskedBlock(nn.Module):
    """x plus what a masked 3x3 convolution at half the width makes of it: (N, width, H, W) => the same."""

    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, width // 2, 1),  # 1x1 sees the pixel's own place: kind B needs no mask
            nn.ReLU(),
            MaskedConv2d("B", width // 2, width // 2, 3),
            nn.ReLU(),
            nn.Conv2d(width // 2, width, 1),
        )

    def forward(self, x):
        return x + self.body(x)


class PixelCNN(nn.Module):
    """Masked convolutions: the logits of all pixels in one pass while it learns, one pass for each pixel while it draws.

    Args:
        levels: K, the values that a pixel can have. shape: (H, W) of the grid. width: channels, at least 2. depth: blocks; with each
            of them a pixel sees one row further. lr: learning rate.
    """

    def __init__(self, levels=17, shape=(8, 8), width=32, depth=4, lr=3e-3):
        super().__init__()
        _check_arguments("PixelCNN", levels, shape, width // 2)
        self.levels, self.shape, self.lr = levels, tuple(shape), lr
        rows, columns = (torch.linspace(-1, 1, n) for n in shape)
        self.register_buffer("place", torch.stack(torch.meshgrid(rows, columns, indexing="ij")), persistent=False)
        self.network = nn.Sequential(
            MaskedConv2d("A", levels + 2, width, 5),  # (K + 2, H, W) => (width, H, W)
            *[MaskedBlock(width) for _ in range(depth)],
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
            nn.ReLU(),
            nn.Conv2d(width, levels, 1),  # => (K, H, W)
        )

    def planes(self, tokens):
        """A plane of 0 and 1 for each level, and two that say where a pixel is: (N, L) tokens => (N, K + 2, H, W)."""
        h = tokens.shape[1] // self.shape[1]  # rows that are there: the upper ones will do
        level = torch.arange(self.levels, device=tokens.device)[:, None]
        one_hot = (tokens[:, None] == level).unflatten(
            2, (h, self.shape[1])
        )  # F.one_hot would read the largest token back
        return torch.cat([one_hot.to(self.place), self.place[:, :h].expand(len(tokens), -1, -1, -1)], dim=1)

    def forward(self, tokens):
        """(N, L) tokens -> (N, L, K) logits; those of place i depend on tokens before i alone."""
        return self.network(self.planes(tokens)).flatten(2).transpose(1, 2)

    def next_logits(self, tokens, i, memory=None):
        """Logits (N, K) of place i, and None: nothing is remembered, so all rows above are looked at again."""
        end = (i // self.shape[1] + 1) * self.shape[1]
        return self(tokens[:, :end])[:, i], None

    def begin(self, tokens):
        _check_tokens(self, tokens)

    def optimizers(self):
        return {"cnn": torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=0.05, fused=True)}

    def training_step(self, batch, optimizers):
        return _learn(self, batch.images, optimizers["cnn"])

    def log_prob(self, tokens):
        """(N, L) tokens -> (N,), the exact log-probability of each picture, in nats."""
        return _log_prob(self, tokens)

    def sample(self, n, seed=0, labels=None, temperature=1.0):
        """n grey pictures (n, 1, H, W) in [-1, 1]."""
        return _pictures(self, n, seed, labels, temperature)

    def complete(self, tokens, known, seed=0, temperature=1.0):
        """Tokens (N, L) whose first `known` places are those given and whose others are drawn, one after the other."""
        return _complete(self, tokens, known, seed, temperature)


# What both do


def _learn(model, tokens, optimizer):
    """Teacher forcing: at each place the model is shown the true pixels before it, not its own."""
    loss = cross_entropy(model(tokens).float().flatten(0, 1), tokens.flatten())
    update(loss, optimizer)
    return {"loss": loss.detach(), "bits": loss.detach() / math.log(2)}


def _log_prob(model, tokens):
    _check_tokens(model, tokens)

    def of_a_part(tokens):
        log_p = model(tokens).float().log_softmax(2)  # (N, L, K)
        return log_p.gather(2, tokens[..., None]).sum((1, 2))

    return in_chunks(model, of_a_part, tokens)


@torch.no_grad()
def _complete(model, tokens, known, seed, temperature):
    _check_tokens(model, tokens)
    if not 0 <= known <= tokens.shape[1]:
        raise ValueError(f"complete(known={known}): accepted are 0 (draw all) to {tokens.shape[1]} (draw nothing).")
    if not 0 < temperature < math.inf:
        raise ValueError(
            f"temperature={temperature}: accepted is a number above 0. 1: the model's own probabilities; 0.01: nearly always the "
            "likeliest level."
        )
    where = next(model.parameters()).device
    chance = torch.rand(tokens.shape, generator=torch.Generator().manual_seed(seed))  # one number for each pixel
    drawn = []
    with evaluating(model):
        for part, luck in zip(tokens.split(250), chance.split(250)):
            part, luck = part.to(where, copy=True), luck.to(where)
            part[:, known:], memory = 0, None  # what is not known yet must not matter
            for i in range(known, tokens.shape[1]):
                logits, memory = model.next_logits(part, i, memory)
                rising = (logits.float() / temperature).softmax(1).cumsum(1)
                part[:, i] = (rising <= luck[:, i : i + 1]).sum(1).clamp(max=model.levels - 1)
            drawn.append(part.to(tokens.device))
    return torch.cat(drawn)


def _pictures(model, n, seed, labels, temperature):
    check_unconditional(type(model).__name__, labels)
    h, w = model.shape
    tokens = _complete(model, torch.zeros(n, h * w, dtype=torch.long), 0, seed, temperature)
    return from_levels(tokens, model.levels).unflatten(1, (1, h, w)).to(next(model.parameters()).device)


def _check_arguments(who, levels, shape, width):
    if levels < 2:
        raise ValueError(f"{who}(levels={levels}): accepted are 2 (black and white) or more.")
    if len(shape) != 2:
        raise ValueError(f"{who}(shape={tuple(shape)}): accepted is (height, width) of the grid, such as (8, 8).")
    check_counts(who, height=shape[0], width_of_the_grid=shape[1], width=width)


def _check_tokens(model, tokens):
    """Raises unless `tokens` is (N, H W), whole numbers from 0 to levels - 1."""
    who, length = type(model).__name__, model.shape[0] * model.shape[1]
    if not isinstance(tokens, torch.Tensor) or tokens.dtype != torch.int64:
        given = tokens.dtype if isinstance(tokens, torch.Tensor) else type(tokens).__name__
        raise TypeError(
            f"This {who} takes tokens, int64 from 0 to {model.levels - 1}, and got {given}. For pictures: "
            f"al.sequences.raster(al.data.to_levels(images, {model.levels}))."
        )
    if tokens.ndim != 2 or tokens.shape[1] != length:
        raise ValueError(
            f"This {who} takes tokens of shape (N, {length}), a row for each grid of {model.shape[0]} x {model.shape[1]}, and got "
            f"{tuple(tokens.shape)}. Load the data at that size, or build the {who} with shape=(height, width)."
        )
    if tokens.numel() and not (0 <= tokens.min() and tokens.max() < model.levels):
        raise ValueError(
            f"This {who} got tokens from {tokens.min()} to {tokens.max()} and knows {model.levels} levels: accepted are 0 to "
            f"{model.levels - 1}. Build it with levels={tokens.max() + 1}, or make fewer levels."
        )
