"""The exercises of lesson 32: words as numbers, words that look at words, a caption as one row of numbers, and how it reaches a picture."""

import math

import torch
import torch.nn.functional as F

from ...ops import film
from ...sequences import attention, masked_mean, tokenize
from ..engine import Case, Exercise, Mistake

# tokenize

_WORDS = ("a", "big", "blue", "disc", "left", "lower", "red", "right", "small", "square", "upper")


def _tokenize_cases(seed):
    g = torch.Generator().manual_seed(seed)
    shuffled = [_WORDS[i] for i in torch.randperm(len(_WORDS), generator=g).tolist()]
    drawn = [_WORDS[i] for i in torch.randint(len(_WORDS), (4,), generator=g).tolist()]
    return [
        Case("three words, room for five", ("a red disc", list(_WORDS), 5)),
        Case("a comma and a full stop", ("a blue square, upper left.", list(_WORDS), 7)),
        Case("capital letters", ("A Red DISC, left", list(_WORDS), 6)),
        Case("no room to spare", ("a small disc, right", list(_WORDS), 4)),
        Case("a vocabulary that is not in the order of the alphabet", ("a small red square", shuffled, 6)),
        Case("words that come twice", ("a red disc, a red square", list(_WORDS), 8)),
        Case("four words, drawn", (" ".join(drawn), shuffled, 5)),
        Case("one word, the last of the vocabulary", (shuffled[-1], shuffled, 3)),
        Case("an unknown word", ("a purple disc", list(_WORDS), 5)),
        Case("more words than there is room", ("a red disc, upper left", list(_WORDS), 4)),
        Case("no word", ("", list(_WORDS), 3)),
    ]


def _ids_and_mask(function, caption, vocabulary, length):
    """Ids and mask as floats, to be compared; -1 and 0 everywhere where a caption that cannot be read is refused by ValueError."""
    import torch

    words = caption.lower().replace(",", " ").replace(".", " ").split()
    refused = len(words) > length or any(word not in vocabulary for word in words)
    try:
        ids, mask = function(caption, vocabulary, length)
    except ValueError:
        if not refused:
            raise
        return torch.full((length,), -1.0), torch.zeros(length)
    ids, mask = torch.as_tensor(ids), torch.as_tensor(mask)
    if ids.is_floating_point():
        raise TypeError("The ids are floats. Give whole numbers: torch.tensor(ids) of a list of ints.")
    return ids.float(), mask


def _split(caption):
    return caption.lower().replace(",", " ").replace(".", " ").split()


def _checked(words, vocabulary, length):
    if len(words) > length or set(words) - set(vocabulary):
        raise ValueError(f"cannot read {words}")
    return words


def _numbers(caption, vocabulary, length, start=1):
    return [vocabulary.index(word) + start for word in _checked(_split(caption), vocabulary, length)]


def _padded(ids, length, fill=0):
    return torch.tensor(ids + [fill] * (length - len(ids)), dtype=torch.int64)


def _tokenize_by_dictionary(caption, vocabulary, length):
    number = {word: i for i, word in enumerate(vocabulary, 1)}
    ids, mask = torch.zeros(length, dtype=torch.int64), torch.zeros(length)
    words = "".join(c if c.isalpha() else " " for c in caption.lower()).split()
    if len(words) > length:
        raise ValueError("too long")
    for i, word in enumerate(words):
        if word not in number:
            raise ValueError(f"unknown: {word}")
        ids[i], mask[i] = number[word], 1.0
    return ids, mask


def _tokenize_by_padding(caption, vocabulary, length):
    ids = torch.tensor(_numbers(caption, vocabulary, length), dtype=torch.int64)
    return F.pad(ids, (0, length - len(ids))), F.pad(torch.ones(len(ids)), (0, length - len(ids)))


def _tokenize_with_whole_mask(caption, vocabulary, length):
    ids = _padded(_numbers(caption, vocabulary, length), length)
    return ids, torch.where(torch.arange(length) < len(_split(caption)), 1.0, 0.0).double()


def _wrong_mask(mask):
    """The right ids with mask(ids, mask)."""

    def function(caption, vocabulary, length):
        ids, right = tokenize(caption, vocabulary, length)
        return ids, mask(ids, right)

    return function


def _wrong_ids(ids):
    """ids(words, vocabulary, length) -> list, padded with 0 behind; unknown and too long captions are refused."""

    def function(caption, vocabulary, length):
        words = _checked(_split(caption), vocabulary, length)
        numbers = _padded(ids(words, vocabulary, length), length)
        return numbers, (torch.arange(length) < len(words)).float()

    return function


def _tokenize_in_front(caption, vocabulary, length):
    ids, mask = tokenize(caption, vocabulary, length)
    n = int(mask.sum())
    return ids.roll(length - n), mask.roll(length - n)


def _tokenize_known(caption, vocabulary, length):
    kept = [word for word in _split(caption) if word in vocabulary]
    return tokenize(" ".join(kept), vocabulary, length)


def _tokenize_unknown_as(number, marked):
    def function(caption, vocabulary, length):
        words = _split(caption)
        if len(words) > length:
            raise ValueError("too long")
        ids = _padded([vocabulary.index(w) + 1 if w in vocabulary else number for w in words], length)
        return ids, ((ids > 0) | (torch.arange(length) < len(words) * marked)).float()

    return function


def _tokenize_cut(caption, vocabulary, length):
    return tokenize(" ".join(_split(caption)[:length]), vocabulary, length)


def _tokenize_as_written(caption, vocabulary, length):
    words = caption.replace(",", " ").replace(".", " ").split()
    return tokenize(" ".join(_checked(words, vocabulary, length)), vocabulary, length)


def _tokenize_with_signs(caption, vocabulary, length):
    words = caption.lower().split()
    return tokenize(" ".join(_checked(words, vocabulary, length)), vocabulary, length)


def _tokenize_short(caption, vocabulary, length):
    ids = torch.tensor(_numbers(caption, vocabulary, length), dtype=torch.int64)
    return ids, torch.ones(len(ids))


def _tokenize_from_0(caption, vocabulary, length):
    ids = _padded(_numbers(caption, vocabulary, length, start=0), length)
    return ids, (torch.arange(length) < len(_split(caption))).float()


TOKENIZE = Exercise(
    name="tokenize",
    lesson=32,
    points=2,
    minutes=12,
    docstring="""A caption as numbers: what an embedding can look up.

caption: text. Capital letters count as small ones; commas and full stops are no part of a word; words are separated by spaces.
vocabulary: list of the known words, all small. length: L, for how many words there is room.
Returns (ids, mask): ids (L,) int64, each word's place in the vocabulary counted from 1, in the order of the caption, then 0 where
there is no word; mask (L,) floats, 1 where there is a word and 0 where there is none. A caption with a word that the vocabulary
lacks, or with more than L words, raises a ValueError. The empty caption has no word and is allowed.""",
    reference=tokenize,
    cases=_tokenize_cases,
    call=_ids_and_mask,
    parts=("the ids", "the mask"),
    alternatives={
        "a dictionary, filled in": _tokenize_by_dictionary,
        "padded by the library": _tokenize_by_padding,
        "a mask by comparison, float64": _tokenize_with_whole_mask,
    },
    mistakes=(
        Mistake(
            "counted from 0",
            "You count the vocabulary from 0, but 0 stands for no word; count from 1.",
            _tokenize_from_0,
        ),
        Mistake(
            "mask inverted",  # DALLE2-pytorch issue 235, diffusers issue 1890
            "Your mask is 1 where there is no word; it is 1 where there is one.",
            _wrong_mask(lambda ids, mask: 1 - mask),
        ),
        Mistake(
            "mask of ones",  # diffusers issue 8673: padding is looked at like words
            "Your mask is 1 everywhere, so you let padding count as words.",
            _wrong_mask(lambda ids, mask: torch.ones_like(mask)),
        ),
        Mistake(
            "one place too many",
            "You mark one place more than there are words.",
            _wrong_mask(lambda ids, mask: torch.cat([torch.ones(1), mask[:-1]])),
        ),
        Mistake("padded in front", "You put the zeros in front; they come behind the words.", _tokenize_in_front),
        Mistake(
            "not padded",
            "You return as many numbers as there are words; fill up to length, or captions cannot be stacked.",
            _tokenize_short,
        ),
        Mistake(
            "padded with the last word",
            "You repeat the last word where there is none; write 0.",
            _wrong_ids(
                lambda words, vocabulary, length: (
                    [vocabulary.index(w) + 1 for w in words] + [vocabulary.index(w) + 1 for w in words[-1:]] * length
                )[:length]
            ),
        ),
        Mistake(
            "unknown words left out",
            "You leave out a word that you do not know, and another picture than the one asked for is drawn; raise a ValueError.",
            _tokenize_known,
        ),
        Mistake(
            "unknown words as padding",
            "You write 0 for a word that you do not know, which means that there is none; raise a ValueError.",
            _tokenize_unknown_as(0, False),
        ),
        Mistake(
            "unknown words as a number of their own",
            "You have one number for all unknown words; here each of them is an error, a ValueError.",
            _tokenize_unknown_as(len(_WORDS) + 1, True),
        ),
        Mistake(
            "cut off",
            "You cut a long caption off, and nobody hears of it; raise a ValueError.",
            _tokenize_cut,
        ),
        Mistake(
            "capital letters kept", "You look for words with their capital letters; use .lower().", _tokenize_as_written
        ),
        Mistake(
            "signs kept", "You leave the comma on its word; take commas and full stops away.", _tokenize_with_signs
        ),
        Mistake(
            "sorted",
            "You sort the words of the caption; their order is part of what it says.",
            _wrong_ids(lambda words, vocabulary, length: sorted(vocabulary.index(w) + 1 for w in words)),
        ),
        Mistake(
            "each word once",
            "You drop a word that comes a second time, as a set does.",
            _wrong_ids(lambda words, vocabulary, length: [vocabulary.index(w) + 1 for w in dict.fromkeys(words)]),
        ),
        Mistake(
            "vocabulary sorted",  # field: numbers that depend on the order of a set differ from run to run
            "You number the words in an order of your own; the order of the vocabulary is what the network was trained with.",
            lambda caption, vocabulary, length: tokenize(caption, sorted(vocabulary), length),
        ),
    ),
)


# attention


def _attention_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, n, queries, words, d, e, mask, scale=1.0):
        q, k = (scale * torch.randn(n, count, d, generator=g) for count in (queries, words))
        v = torch.randn(n, words, e, generator=g)
        return Case(label, (q, k, v, torch.tensor(mask, dtype=torch.float32)), gradients=(0, 1, 2))

    hand = (
        torch.tensor([[[1.0, 0.0]]]),
        torch.tensor([[[0.0, 1.0], [2.0, 0.0]]]),
        torch.tensor([[[1.0, 2.0, -1.0], [4.0, 0.0, 0.5]]]),
        torch.ones(1, 2),
    )
    return [
        Case("one query, two words", hand, gradients=(0, 1, 2)),
        case("all words there", 2, 3, 4, 3, 2, [[1] * 4] * 2),
        case("padding behind the words", 3, 2, 5, 4, 3, [[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]]),
        case("a hole among the words", 2, 4, 3, 2, 5, [[1, 0, 1], [0, 1, 1]]),
        case("one caption without any word", 3, 2, 4, 3, 2, [[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]),
        case("as many queries as words", 2, 4, 4, 5, 5, [[1, 1, 1, 0], [1, 1, 0, 0]]),
        case("long keys", 2, 2, 3, 16, 2, [[1, 1, 1], [1, 1, 0]], scale=0.7),
        case("many words", 1, 3, 9, 4, 4, [[1] * 7 + [0] * 2]),
    ]


def _scores(q, k):
    return q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])


def _softmax_by_hand(q, k, v, mask):
    scores = _scores(q, k)
    e = (scores - scores.amax(2, keepdim=True).detach()).exp() * mask[:, None]
    total = e.sum(2, keepdim=True)
    return (e / torch.where(total > 0, total, torch.ones_like(total))) @ v


def _row_by_row(q, k, v, mask):
    rows = []
    for n in range(len(q)):
        there = mask[n].nonzero()[:, 0]
        for i in range(q.shape[1]):
            if len(there) == 0:
                rows.append(0 * (q[n].sum() + k[n].sum()) + 0 * v[n].sum(0))
                continue
            weights = (k[n, there] @ q[n, i] / q.shape[-1] ** 0.5).softmax(0)
            rows.append((weights[:, None] * v[n, there]).sum(0))
    return torch.stack(rows).view(q.shape[0], q.shape[1], v.shape[2])


def _library_attention(q, k, v, mask):
    some = mask.bool().any(1)
    allowed = mask.bool() | ~some[:, None]
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed[:, None].expand(-1, q.shape[1], -1))
    return out * some[:, None, None]


def _by_einsum(q, k, v, mask):
    scores = torch.einsum("nqd,nld->nql", q, k) * q.shape[-1] ** -0.5
    scores = torch.where(mask[:, None] > 0, scores, torch.full_like(scores, -1e30))
    return torch.einsum("nql,nle->nqe", scores.softmax(-1) * mask[:, None], v)


def _masked(q, k, v, mask, scores=_scores, fill=-1e30, axis=2, kept=True):
    weights = scores(q, k).masked_fill(mask[:, None] == 0, fill).softmax(axis)
    return (weights * mask[:, None] if kept else weights) @ v


def _nan_replaced(q, k, v, mask):
    weights = _scores(q, k).masked_fill(mask[:, None] == 0, -torch.inf).softmax(2)
    return weights.nan_to_num(0.0) @ v


def _added_mask(q, k, v, mask):
    return ((_scores(q, k) + mask[:, None]).softmax(2) * mask[:, None].amax(2, keepdim=True)) @ v


def _hardest(q, k, v, mask):
    scores = _scores(q, k).masked_fill(mask[:, None] == 0, -1e30)
    return (F.one_hot(scores.argmax(2), k.shape[1]).to(v) * mask[:, None]) @ v


def _on_keys(q, k, v, mask):
    """The values are the keys where they have as many numbers, else the first of them."""
    wide = F.pad(k, (0, max(0, v.shape[2] - k.shape[2])))[:, :, : v.shape[2]]
    return _masked(q, k, wide, mask) + 0 * v.sum()


ATTENTION = Exercise(
    name="attention",
    lesson=32,
    points=3,
    minutes=20,
    differentiable=True,
    docstring="""Each query asks all words of its caption, and gets the mean of their values, weighted by how well their keys answer.

q: (N, Q, D), the queries. k: (N, L, D), a key for each of L words. v: (N, L, E), a value for each word. mask: (N, L), 1 where there
is a word and 0 where there is none.
Returns (N, Q, E): for each query the sum over the words of weight times value. The weights of one query are the softmax over the
words that are there of q . k / sqrt(D); a word that is not there has weight 0. Where a caption has no word at all the result is 0, and
so are all gradients.""",
    reference=attention,
    cases=_attention_cases,
    alternatives={
        "softmax by hand": _softmax_by_hand,
        "row by row": _row_by_row,
        "the library's attention": _library_attention,
        "einsum": _by_einsum,
        "-inf, and 0 for the NaN it leaves": _nan_replaced,
    },
    mistakes=(
        Mistake(
            "mask ignored",  # DALLE2-pytorch issue 235, diffusers issue 1890
            "You let each query look at padding too; what the mask marks with 0 has no weight.",
            lambda q, k, v, mask: _scores(q, k).softmax(2) @ v,
        ),
        Mistake(
            "mask inverted",  # torch's key_padding_mask is True where there is no word
            "You look only where there is no word; the mask is 1 where there is one.",
            lambda q, k, v, mask: attention(q, k, v, 1 - mask),
        ),
        Mistake(
            "softmax over the queries",
            "You take the softmax over the queries; the weights of one query over all words have the sum 1.",
            lambda q, k, v, mask: _masked(q, k, v, mask, axis=1),
        ),
        Mistake(
            "no root of D",
            "You do not divide by the root of D, and long keys make the softmax choose a single word.",
            lambda q, k, v, mask: _masked(q, k, v, mask, scores=lambda q, k: q @ k.transpose(1, 2)),
        ),
        Mistake(
            "divided by D",
            "You divide by D; divide by its root.",
            lambda q, k, v, mask: _masked(q, k, v, mask, scores=lambda q, k: q @ k.transpose(1, 2) / q.shape[-1]),
        ),
        Mistake(
            "root of the number of words",
            "You divide by the root of L, the number of words; divide by that of D, the length of a key.",
            lambda q, k, v, mask: _masked(q, k, v, mask, scores=lambda q, k: q @ k.transpose(1, 2) / k.shape[1] ** 0.5),
        ),
        Mistake(
            "masked after the softmax",
            "You set weights to 0 after the softmax, so those that are left no longer have the sum 1; mask the scores before it.",
            lambda q, k, v, mask: (_scores(q, k).softmax(2) * mask[:, None]) @ v,
        ),
        Mistake(
            "score 0 for no word",
            "You give padding the score 0, which the softmax turns into a weight like any other; give it a very negative one.",
            lambda q, k, v, mask: _masked(q, k, v, mask, fill=0.0, kept=False) * mask.amax(1)[:, None, None],
        ),
        Mistake(
            "mask added to the scores",
            "You add the mask to the scores, which makes words only e times as heavy as padding.",
            _added_mask,
        ),
        Mistake(
            "a mean where there is no word",
            "Where a caption has no word your scores are all alike, and you return the mean of the padding; the result is 0.",
            lambda q, k, v, mask: _masked(q, k, v, mask, kept=False),
        ),
        Mistake(
            "NaN where there is no word",  # field: a null caption of padding alone
            "Where a caption has no word you divide 0 by 0; the result is 0.",
            lambda q, k, v, mask: _masked(q, k, v, mask, fill=-torch.inf),
        ),
        Mistake(
            "mask on the queries",
            "You use the mask for the queries; it belongs to the words that are looked at.",
            lambda q, k, v, mask: (
                (_scores(q, k).softmax(2) @ v)
                * F.pad(mask, (0, max(0, q.shape[1] - mask.shape[1])))[:, : q.shape[1], None]
            ),
        ),
        Mistake(
            "sigmoid for softmax",
            "You weigh each word by itself with a sigmoid; a softmax makes the weights share 1 among them.",
            lambda q, k, v, mask: (_scores(q, k).sigmoid() * mask[:, None]) @ v,
        ),
        Mistake(
            "the best word alone",
            "You take the word with the highest score alone; no gradient flows through such a choice, so weigh all of them.",
            _hardest,
        ),
        Mistake(
            "keys for values",
            "You return the mean of the keys; the weights belong on the values.",
            _on_keys,
        ),
    ),
)


# masked_mean


def _mean_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, n, words, d, mask):
        h = torch.randn(n, words, d, generator=g)
        return Case(label, (h, torch.tensor(mask, dtype=torch.float32)), gradients=(0,))

    hand = torch.tensor([[[1.0, 2.0], [3.0, -4.0], [100.0, 100.0]]])
    return [
        Case("two words and one that is not there", (hand, torch.tensor([[1.0, 1.0, 0.0]])), gradients=(0,)),
        case("all words there", 2, 3, 4, [[1] * 3] * 2),
        case("captions of different lengths", 3, 5, 2, [[1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [1, 0, 0, 0, 0]]),
        case("a hole among the words", 2, 4, 3, [[0, 1, 0, 1], [1, 0, 1, 1]]),
        case("one caption without any word", 3, 3, 2, [[1, 1, 0], [0, 0, 0], [1, 1, 1]]),
        case("no word at all", 1, 4, 3, [[0] * 4]),
        case("as many captions as words", 4, 4, 4, [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]]),
    ]


def _mean_row_by_row(h, mask):
    rows = []
    for words, kept in zip(h.double(), mask.bool()):
        rows.append(words[kept].mean(0) if kept.any() else 0 * words.sum(0))
    return torch.stack(rows)


def _divided(h, mask, by):
    return (h * mask[:, :, None]).sum(1) / by


MASKED_MEAN = Exercise(
    name="masked_mean",
    lesson=32,
    points=1,
    minutes=8,
    differentiable=True,
    docstring="""The mean over the words of a caption that are there: one row of numbers, however long the caption is.

h: (N, L, D), a row for each of L words. mask: (N, L), 1 where there is a word and 0 where there is none.
Returns (N, D). Where a caption has no word at all the result is 0, and so are all gradients. More padding changes nothing.""",
    reference=masked_mean,
    cases=_mean_cases,
    alternatives={
        "row by row, float64": _mean_row_by_row,
        "einsum": lambda h, mask: (
            torch.einsum("nld,nl->nd", h, mask.to(h.dtype)) / mask.sum(1, keepdim=True).clamp(min=1)
        ),
        "weights first": lambda h, mask: ((mask / mask.sum(1, keepdim=True).clamp(min=0.5)).to(h.dtype)[:, None] @ h)[
            :, 0
        ],
    },
    mistakes=(
        Mistake(
            "mask ignored",  # transformers issue 48693: pooled over the padding
            "You average over padding too; sum over the words and divide by their number.",
            lambda h, mask: h.mean(1),
        ),
        Mistake(
            "divided by the length",
            "You leave padding out of the sum but divide by L, so short captions get small numbers; divide by the number of words.",
            lambda h, mask: _divided(h, mask, h.shape[1]),
        ),
        Mistake("a sum", "You return the sum; divide it by the number of words.", lambda h, mask: _divided(h, mask, 1)),
        Mistake(
            "mask inverted",
            "You average over what is not there; the mask is 1 where there is a word.",
            lambda h, mask: masked_mean(h, 1 - mask),
        ),
        Mistake(
            "NaN where there is no word",
            "Where a caption has no word you divide 0 by 0; the result is 0.",
            lambda h, mask: _divided(h, mask, mask.sum(1, keepdim=True)),
        ),
        Mistake(
            "divided by all words of the batch",
            "You divide by the number of words of the whole batch; each caption has its own.",
            lambda h, mask: _divided(h, mask, mask.sum().clamp(min=1)),
        ),
        Mistake(
            "one added",
            "You add 1 to the number of words to be safe, which shrinks each mean; use clamp(min=1).",
            lambda h, mask: _divided(h, mask, mask.sum(1, keepdim=True) + 1),
        ),
        Mistake(
            "the first word",
            "You return the first word alone; the others say something too.",
            lambda h, mask: h[:, 0] * mask[:, :1],
        ),
        Mistake(
            "the largest",
            "You take the largest value of each column; asked is the mean.",
            lambda h, mask: h.masked_fill(mask[:, :, None] == 0, -torch.inf).amax(1).nan_to_num(neginf=0.0),
        ),
        Mistake(
            "mean over the captions",
            "You average over the captions of the batch; each caption is averaged over its own words.",
            lambda h, mask: F.pad((h * mask[:, :, None]).sum(0) / mask.sum(0)[:, None].clamp(min=1), (0, 0, 0, len(h)))[
                : len(h)
            ],
        ),
    ),
)


# film


def _film_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, n, c, h, w):
        x = torch.randn(n, c, h, w, generator=g)
        return Case(label, (x, *torch.randn(2, n, c, generator=g)), gradients=(0, 1, 2))

    x = torch.tensor([[[[1.0, -2.0]], [[3.0, 0.5]]]])
    return [
        Case(
            "two channels of two pixels",
            (x, torch.tensor([[1.0, -0.5]]), torch.tensor([[10.0, 0.0]])),
            gradients=(0, 1, 2),
        ),
        Case("zeros change nothing", (x, torch.zeros(1, 2), torch.zeros(1, 2)), gradients=(0, 1, 2)),
        case("three pictures, two channels", 3, 2, 4, 5),
        case("as many channels as columns", 2, 3, 2, 3),
        case("as many pictures as channels", 4, 4, 4, 4),
        case("one picture", 1, 5, 3, 2),
        case("one pixel", 3, 4, 1, 1),
    ]


def _channels(values):
    return values[:, :, None, None]


FILM = Exercise(
    name="film",
    lesson=32,
    points=1,
    minutes=6,
    differentiable=True,
    docstring="""How a caption reaches a picture: every channel of every picture is scaled and shifted by numbers of its own.

x: (N, C, H, W). scale, shift: (N, C), computed from the caption.
Returns (N, C, H, W): x times (1 + scale), plus shift; so scale 0 and shift 0, where a network begins, change nothing.""",
    reference=film,
    cases=_film_cases,
    alternatives={
        "einsum": lambda x, scale, shift: torch.einsum("nchw,nc->nchw", x, 1 + scale) + shift[..., None, None],
        "x and what is added": lambda x, scale, shift: x + x * _channels(scale) + _channels(shift),
        "picture by picture, float64": lambda x, scale, shift: torch.stack(
            [p * (1 + a.view(-1, 1, 1)) + b.view(-1, 1, 1) for p, a, b in zip(x.double(), scale, shift)]
        ),
    },
    mistakes=(
        Mistake(
            "scale without 1",
            "You multiply by scale instead of 1 + scale; a network whose scales begin near 0 would then see nothing.",
            lambda x, scale, shift: x * _channels(scale) + _channels(shift),
        ),
        Mistake(
            "the two exchanged",
            "You scale by shift and shift by scale.",
            lambda x, scale, shift: film(x, shift, scale),
        ),
        Mistake(
            "shift scaled too",
            "You add the shift before you scale, so it is scaled as well; scale first.",
            lambda x, scale, shift: (x + _channels(shift)) * (1 + _channels(scale)),
        ),
        Mistake(
            "no shift", "You leave out the shift.", lambda x, scale, shift: x * (1 + _channels(scale)) + 0 * shift.sum()
        ),
        Mistake("no scale", "You leave out the scale.", lambda x, scale, shift: x + _channels(shift) + 0 * scale.sum()),
        Mistake(
            "shift subtracted",
            "You subtract the shift; add it.",
            lambda x, scale, shift: film(x, scale, -shift),
        ),
        Mistake(
            "1 minus scale",
            "You multiply by 1 - scale; it is 1 + scale.",
            lambda x, scale, shift: film(x, -scale, shift),
        ),
        Mistake(
            "exponential",
            "You multiply by exp(scale), as flows with a known density do; here it is 1 + scale.",
            lambda x, scale, shift: x * _channels(scale).exp() + _channels(shift),
        ),
        Mistake(
            "numbers of the first picture",
            "You use the first picture's numbers for all; each picture has its own caption.",
            lambda x, scale, shift: film(x, scale[:1], shift[:1]),
        ),
        Mistake(
            "normalised first",  # conditional batch norm, lesson 31
            "You normalise x first, as conditional batch norm does; here x is taken as it is.",
            lambda x, scale, shift: film(
                (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True, correction=0) + 1e-5).sqrt(),
                scale,
                shift,
            ),
        ),
        Mistake(
            "one number a picture",
            "You use one number for a whole picture; each channel has its own.",
            lambda x, scale, shift: film(
                x, scale.mean(1, keepdim=True).expand_as(scale), shift.mean(1, keepdim=True).expand_as(shift)
            ),
        ),
    ),
)


# faulty_line_text

LINE = Exercise(
    name="faulty_line_text",
    lesson=32,
    points=2,
    minutes=10,
    docstring="""One line of this training of a text-to-image flow is wrong. Return its number.

It runs without complaint, and samples without guidance follow their captions. Samples with guidance become worse than without. The
network was never once shown a caption of nothing but 0, which is what guidance asks it about. ids: (N, L), the captions of all
pictures; 0 stands for no word.

 1  for step in range(2000):
 2      i = torch.randint(0, len(images), (32,))
 3      x, y = images[i], ids[i]
 4      keep = (torch.rand(32) >= 0.1).long()
 5      y = y * keep[:, None]
 6      t = torch.rand(32)
 7      noise = torch.randn_like(x)
 8      x_t = interpolate(x, noise, t)
 9      velocity = net(x_t, t, ids[i])
10      loss = (velocity - (noise - x)).square().mean()
11      optimizer.zero_grad()
12      loss.backward()
13      optimizer.step()""",
    reference=lambda: 9,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={"a tensor": lambda: torch.tensor(9), "a float": lambda: 9.0},
    mistakes=(
        Mistake(
            "line 3",
            "You suspect the batch; pictures and captions are taken by the same i, so they belong together.",
            lambda: 3,
        ),
        Mistake(
            "line 4",
            "You suspect the coins; each caption has its own, and one in ten is dropped, so follow what becomes of it.",
            lambda: 4,
        ),
        Mistake(
            "line 5",
            "You suspect the dropping; y is 0 wherever keep is 0, so look for who reads y.",
            lambda: 5,
        ),
        Mistake(
            "line 6", "You suspect the times; they are spread over all of [0, 1], a time for each picture.", lambda: 6
        ),
        Mistake("line 8", "You suspect the point on the way; it is the lesson's own line from x to noise.", lambda: 8),
        Mistake(
            "line 10",
            "You suspect the loss; the velocity of the way is noise - x, as in the lesson.",
            lambda: 10,
        ),
        Mistake("line 11", "You suspect zero_grad; it comes before backward in each step, as it should.", lambda: 11),
    ),
)

EXERCISES = (TOKENIZE, ATTENTION, MASKED_MEAN, FILM, LINE)
