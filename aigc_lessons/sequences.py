"""Pictures and captions as sequences: lesson 26's raster order, causal masks and recurrent cell, lesson 32's words and attention.

Short versions to read and to take apart, as in ops.py; each agrees with torch where torch has it.
"""

import math

import torch
import torch.nn.functional as F


def tokenize(caption, vocabulary, length):
    """A caption as numbers: each word's place in the vocabulary, counted from 1; the rest is filled with 0.

    Capital letters and the signs , . ; : ! ? make no difference.

    Args:
        caption: str. vocabulary: the known words in a fixed order, a list or tuple. length: L, how many words there is room for.
    Returns:
        (ids, mask): (L,) int64, and (L,) float32, 1 where there is a word and 0 where there is none.
    Raises:
        ValueError: words that the vocabulary lacks (it names them), or more than L words.
    """
    words = "".join(" " if sign in ",.;:!?" else sign for sign in caption.lower()).split()
    if unknown := [word for word in words if word not in vocabulary]:
        raise ValueError(
            f"The caption {caption!r} has unknown words: {', '.join(dict.fromkeys(unknown))}. Known are: {', '.join(vocabulary)}."
        )
    if len(words) > length:
        raise ValueError(f"The caption {caption!r} has {len(words)} words. Accepted: at most {length}. Say it shorter.")
    ids = [vocabulary.index(word) + 1 for word in words] + [0] * (length - len(words))
    ids = torch.tensor(ids, dtype=torch.int64)
    return ids, (ids > 0).float()


def attention_weights(q, k, mask):
    """How much each query looks at each word: the softmax over the words of q . k / sqrt(D); nothing where there is no word.

    Args: q: (N, Q, D). k: (N, L, D). mask: (N, L), 1 where there is a word.
    Returns: (N, Q, L), at least 0; each row has the sum 1, or 0 where the mask is 0 everywhere.
    """
    scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
    kept = mask[:, None] > 0
    # the least number and not -inf: a row without a word would be 0 / 0
    return scores.float().masked_fill(~kept, torch.finfo(torch.float32).min).softmax(-1) * kept


def attention(q, k, v, mask):
    """Each query's weighted mean of the words' values; the weights are large where query and key point the same way.

        out[n, i] = sum over words j of softmax_j(q[n, i] . k[n, j] / sqrt(D)) v[n, j]

    Args: q: (N, Q, D). k: (N, L, D). v: (N, L, E). mask: (N, L), 1 where there is a word; words with 0 are not looked at.
    Returns: (N, Q, E); zeros where the mask is 0 everywhere.
    Source: Vaswani et al. 2017, Attention Is All You Need, eq. 1.
    """
    return attention_weights(q, k, mask).to(v.dtype) @ v


def masked_mean(h, mask):
    """The mean over the words that are there.

    Args: h: (N, L, D). mask: (N, L), 1 where there is a word. Returns: (N, D); zeros where there is none.
    """
    kept = mask[:, :, None] > 0
    return torch.where(kept, h, 0).sum(1) / kept.sum(1).clamp(min=1)


def raster(images):
    """The pixels of grey pictures in the order in which one reads: row by row from the top, each row from the left.

    Args: images: (N, 1, H, W), of any type. Returns: (N, H W); pixel (r, c) stands at place r W + c.
    Raises ValueError for another number of channels: colours would need an order, too.
    Source: van den Oord et al. 2016, Pixel Recurrent Neural Networks, section 2.1.
    """
    if images.ndim != 4 or images.shape[1] != 1:
        raise ValueError(
            f"raster got images of shape {tuple(images.shape)}. Accepted: (N, 1, H, W), grey. For one picture: image[None]; "
            "for colour: al.data.pixels.to_grey(images)."
        )
    return images.flatten(1)


def shift_right(tokens, start):
    """What a model is shown when it answers for each place of a sequence: the token before it, and `start` where there is none.

    Args: tokens: (N, L), L at least 1. start: number. Returns: (N, L), of the tokens' type; the last token is shown to nobody.
    """
    return F.pad(tokens[:, :-1], (1, 0), value=start)


def causal_mask(kernel_size, kind):
    """Which weights of a convolution a pixel may use so that it sees only what comes before it in raster order.

    Args:
        kernel_size: odd, at least 1. kind: "A" also hides the pixel itself, for the first layer, whose input is the picture; "B"
            shows it, for all later layers, where that place holds what was made of earlier pixels.
    Returns:
        (kernel_size, kernel_size) float32: 1 in the rows above the middle and to the left of it, 0 to the right and below; the
        middle is 0 for "A" and 1 for "B". The weights are those of cross-correlation (lesson 12), to be multiplied in each use.
    Raises ValueError for an even size or another kind.
    Source: van den Oord et al. 2016, Pixel Recurrent Neural Networks, section 3.4.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(
            f"causal_mask(kernel_size={kernel_size}): accepted are 1, 3, 5 ..., so that a weight is in the middle."
        )
    if kind not in ("A", "B"):
        raise ValueError(
            f'causal_mask(kind={kind!r}): accepted are "A" (the first layer: not the pixel itself) and "B" (later layers).'
        )
    place = torch.arange(kernel_size**2).view(kernel_size, kernel_size)  # in raster order
    middle = kernel_size**2 // 2
    return (place < middle + (kind == "B")).float()


def gru_cell(x, h, w_ih, w_hh, b_ih, b_hh):
    """One step of a gated recurrent unit: what is remembered after one more input.

    r = sigmoid(x part + h part), z likewise, n = tanh(x part + r * h part), and the new h is (1 - z) n + z h.

    Args:
        x: (N, I), the input. h: (N, H), the memory. w_ih: (3 H, I), w_hh: (3 H, H), b_ih and b_hh: (3 H,): the rows for r, z
            and n, in this order, as in torch.nn.GRUCell.
    Returns:
        (N, H).
    Source: Cho et al. 2014, Learning Phrase Representations using RNN Encoder-Decoder, eqs. 5 to 8, with z and 1 - z exchanged and r
    behind the product, as torch has it.
    """
    r_x, z_x, n_x = F.linear(x, w_ih, b_ih).chunk(3, dim=1)
    r_h, z_h, n_h = F.linear(h, w_hh, b_hh).chunk(3, dim=1)
    r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return (1 - z) * n + z * h
