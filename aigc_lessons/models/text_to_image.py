"""Captions to pictures: lesson 32. Words, one layer of a transformer, FiLM, and the flow of flow.py."""

import torch
from torch import nn

from ..sequences import attention, attention_weights, masked_mean, tokenize
from .checks import check_counts, check_fits
from .flow import Flow


class TextEncoder(nn.Module):
    """Captions as ids (N, L), 0 where there is no word => (N, features). No word at all gives the last layer's bias.

    Source: Vaswani et al. 2017, with the norms before the layers (Xiong et al. 2020).

    Args:
        n_words: of the vocabulary. length: L. features: of the answer. width: numbers a word. heads: how many attentions side by side.
    """

    def __init__(self, n_words, length, features, width=64, heads=4):
        super().__init__()
        self.heads = heads
        self.words = nn.Embedding(n_words + 1, width, padding_idx=0)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.norm1, self.qkv, self.join = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.each = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.out = nn.Linear(width, features)

    def _split(self, h):
        """(N, L, D) => (N heads, L, D / heads)."""
        n, length, _ = h.shape
        return h.view(n, length, self.heads, -1).transpose(1, 2).flatten(0, 1)

    def _queries_keys_values(self, h):
        return [self._split(part) for part in self.qkv(self.norm1(h)).chunk(3, 2)]

    def looks(self, ids):
        """How much each word looks at each other one in the attention, mean over the heads: (N, L) => (N, L, L)."""
        mask = (ids > 0).float()
        q, k, _ = self._queries_keys_values(self.words(ids) + self.places)
        weights = attention_weights(q, k, mask.repeat_interleave(self.heads, 0))
        return weights.view(len(ids), self.heads, *weights.shape[1:]).mean(1)

    def forward(self, ids):
        n, length = ids.shape
        mask = (ids > 0).float()
        h = self.words(ids) + self.places  # => (L, D)
        q, k, v = self._queries_keys_values(h)
        seen = attention(q, k, v, mask.repeat_interleave(self.heads, 0))  # => (heads, L, D / heads)
        h = h + self.join(seen.view(n, self.heads, length, -1).transpose(1, 2).flatten(2))
        h = h + self.each(self.norm2(h))
        return self.out(masked_mean(h, mask))


class TextToImage(Flow):
    """A flow that is asked by a caption.

    Args:
        vocabulary: the words it knows, in a fixed order. length: most words of a caption.
        image_shape, width, multipliers, patch, drop, ema_decay, lr: as in Flow.
    """

    def __init__(
        self,
        vocabulary,
        length=6,
        image_shape=(3, 32, 32),
        width=32,
        multipliers=(1, 2, 2),
        patch=2,
        drop=0.1,
        ema_decay=0.995,
        lr=2e-3,
    ):
        nn.Module.__init__(self)
        check_counts("TextToImage", length=length, vocabulary=len(vocabulary))
        condition = TextEncoder(len(vocabulary), length, 4 * width)
        self._build(image_shape, width, multipliers, patch, drop, ema_decay, lr, condition)
        self.vocabulary, self.length, self.null = tuple(vocabulary), length, 0

    def read(self, captions):
        """Captions, a list of str, as ids (N, length). Raises ValueError or TypeError for what `tokenize` cannot read, and for an empty one."""
        if isinstance(captions, str):
            captions = [captions]
        for caption in captions:
            if not isinstance(caption, str):
                raise TypeError(f"A caption is {type(caption).__name__}. Accepted: text, such as 'a red disc, left'.")
            if not caption.strip(" ,.;:!?"):
                raise ValueError(
                    "A caption is empty. Give one such as 'a red disc, left'; for pictures without a caption leave captions= out."
                )
        return torch.stack([tokenize(caption, self.vocabulary, self.length)[0] for caption in captions])

    def asked(self, batch):
        if batch.captions is None:
            raise ValueError(
                "A TextToImage learns from captions and the data has none. Load a set with captions: 'shapes', 'emoji'."
            )
        check_fits(self, batch.images)
        return self.read(batch.captions).to(batch.images.device, non_blocking=True)

    def sample(self, n=None, seed=0, captions=None, guidance_scale=3.0, steps=10, solver="heun"):
        """Pictures (n, C, H, W) in [-1, 1].

        Args:
            n: how many; with several captions one for each if left out. captions: one for all, or a list of n; None: pictures without one.
            guidance_scale, steps, solver: as in Flow.sample.
        Raises ValueError: a caption with unknown words, empty or too long; another number of captions than n.
        """
        if captions is None:
            return self.draw(n or 1, seed, torch.zeros(n or 1, self.length, dtype=torch.int64), 1.0, steps, solver)
        ids = self.read(captions)
        n = len(ids) if n is None else n
        if len(ids) not in (1, n):
            raise ValueError(f"sample(n={n}) got {len(ids)} captions. Accepted: one for all, or {n}.")
        return self.draw(n, seed, ids.expand(n, -1), guidance_scale, steps, solver)
