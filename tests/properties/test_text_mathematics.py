"""What reads a caption: words as numbers, attention against its definition, means without padding, FiLM."""

import itertools
import math
import re

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from aigc_lessons import ops, sequences
from aigc_lessons.data import shapes

VOCABULARY = ("a", "red", "blue", "disc", "left")


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(n=3, queries=2, words=5, d=4, e=3):
    return randn(n, queries, d), randn(n, words, d, seed=1), randn(n, words, e, seed=2)


# Words as numbers


def test_a_caption_by_hand():
    ids, mask = sequences.tokenize("A red disc, left.", VOCABULARY, 6)
    assert ids.tolist() == [1, 2, 4, 5, 0, 0] and mask.tolist() == [1, 1, 1, 1, 0, 0]
    assert ids.dtype == torch.int64 and mask.dtype == torch.float32
    assert sequences.tokenize("", VOCABULARY, 2)[0].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("caption", "says"),
    [
        ("a mauve disc", "unknown words: mauve. Known are: a, red, blue, disc, left."),
        ("a mauve mauve cone", "unknown words: mauve, cone."),
        ("a red disc left left", "has 5 words. Accepted: at most 4"),
    ],
)
def test_captions_that_cannot_be_read_are_refused(caption, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        sequences.tokenize(caption, VOCABULARY, 4)


def test_every_caption_of_a_shape_is_read_back():
    """Caption, attributes, caption; and all words are known, in an order that does not change from run to run."""
    for k, c, p in itertools.product(range(3), range(6), range(9)):
        text = shapes.caption(k, c, p)
        assert shapes.read_caption(text) == (k, c, p)
        ids, mask = sequences.tokenize(text, shapes.WORDS, 6)
        assert " ".join(shapes.WORDS[i - 1] for i in ids[mask > 0].tolist()) == text.replace(",", "")
    assert list(shapes.WORDS) == sorted(shapes.WORDS)
    ds = shapes.load(n=50)
    for text, kind, colour, x, y in zip(ds.captions, *(ds.attributes[k] for k in ("kind", "colour", "x", "y"))):
        assert shapes.read_caption(text) == (kind, colour, shapes.place(x, y))
    with pytest.raises(ValueError, match="'a COLOUR KIND, PLACE'"):
        shapes.read_caption("a disc, red")


# Attention


def test_attention_by_hand():
    """Scores 0 and log 3 (times sqrt(1)): weights 1/4 and 3/4."""
    q, k = torch.tensor([[[1.0]]]), torch.tensor([[[0.0], [math.log(3)], [50.0]]])
    v = torch.tensor([[[4.0, 0.0], [8.0, 4.0], [1e6, 1e6]]])
    torch.testing.assert_close(
        sequences.attention(q, k, v, torch.tensor([[1.0, 1.0, 0.0]])), torch.tensor([[[7.0, 3.0]]])
    )


def test_attention_is_the_librarys():
    q, k, v = drawn()
    mask = torch.tensor([[1.0, 1, 0, 0, 0], [1, 0, 1, 1, 0], [1, 1, 1, 1, 1]]).double()
    want = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.bool()[:, None].expand(-1, 2, -1))
    torch.testing.assert_close(sequences.attention(q, k, v, mask), want, rtol=1e-6, atol=1e-6)


def test_weights_share_one_among_the_words():
    q, k, _ = drawn()
    mask = torch.tensor([[1.0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    weights = sequences.attention_weights(q, k, mask)
    torch.testing.assert_close(weights.sum(2), torch.tensor([[1.0, 1], [0, 0], [1, 1]]))
    assert (weights >= 0).all() and not weights[0, :, 2:].any()


def test_one_word_gives_its_value_and_no_word_gives_zero():
    q, k, v = drawn()
    mask = torch.zeros(3, 5)
    mask[0, 3] = 1
    out = sequences.attention(q, k, v, mask)
    torch.testing.assert_close(out[0], v[0, 3].expand(2, -1))
    assert not out[1:].any()


def test_without_a_word_all_gradients_are_finite_and_zero():
    tensors = [t.requires_grad_() for t in drawn(1)]
    sequences.attention(*tensors, torch.zeros(1, 5)).sum().backward()
    assert all(t.grad is None or not t.grad.any() for t in tensors)


@pytest.mark.parametrize("seed", range(3))
def test_padding_and_order_of_the_words_change_nothing(seed):
    q, k, v = drawn()
    mask = torch.tensor([[1.0, 1, 0, 0, 0], [1, 0, 1, 1, 0], [1, 1, 1, 1, 1]])
    out = sequences.attention(q, k, v, mask)
    more = lambda x, fill: torch.cat([x, torch.full_like(x[:, :2], fill)], 1)
    torch.testing.assert_close(sequences.attention(q, more(k, 30.0), more(v, 1e4), more(mask, 0.0)), out)
    torch.testing.assert_close(sequences.masked_mean(more(v, 1e4), more(mask, 0.0)), sequences.masked_mean(v, mask))
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(sequences.attention(q, k[:, order], v[:, order], mask[:, order]), out)


def test_gradients_of_all_three():
    mask = torch.tensor([[1.0, 0, 1], [1, 1, 1], [0, 0, 0]]).double()
    q, k, v = (t[:, :3].requires_grad_() for t in drawn())
    assert gradcheck(lambda q, k, v: sequences.attention(q, k, v, mask), (q, k, v), atol=1e-4, eps=1e-3)
    assert gradcheck(lambda v: sequences.masked_mean(v, mask), (v,))
    x, scale, shift = (t.requires_grad_() for t in (randn(2, 3, 2, 2), randn(2, 3, seed=1), randn(2, 3, seed=2)))
    assert gradcheck(ops.film, (x, scale, shift))


# Means and FiLM


def test_a_masked_mean_by_hand():
    h = torch.tensor([[[1.0], [5.0], [float("nan")]], [[7.0], [8.0], [9.0]]])
    assert sequences.masked_mean(h, torch.tensor([[1.0, 1, 0], [0, 0, 0]])).tolist() == [[3.0], [0.0]]


def test_film_by_hand_and_at_zero():
    x = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    out = ops.film(x, torch.tensor([[1.0, -1.0]]), torch.tensor([[0.5, 7.0]]))
    assert out.tolist() == [[[[2.5, 4.5]], [[7.0, 7.0]]]]
    assert torch.equal(ops.film(x, torch.zeros(1, 2), torch.zeros(1, 2)), x)
