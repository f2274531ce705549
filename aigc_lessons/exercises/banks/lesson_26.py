"""The exercises of lesson 26: a picture as a row of pixels, what a network may see of it, its memory, bits, and a blind spot."""

import math

import torch
import torch.nn.functional as F

from ...losses import bits_per_pixel
from ...sequences import causal_mask, gru_cell, raster, shift_right
from ..engine import Case, Exercise, Mistake

# raster


def _raster_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, *shape):
        return Case(label, (torch.randn(shape, generator=g),), gradients=(0,))

    return [
        Case("one picture of 2 x 2", (torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]),), gradients=(0,)),
        Case("one row", (torch.tensor([[[[0.5, -1.0, 0.25]]]]),), gradients=(0,)),
        case("two pictures, wider than high", 2, 1, 3, 5),
        case("three pictures, higher than wide", 3, 1, 4, 2),
        case("squares", 4, 1, 4, 4),
        case("one column", 2, 1, 5, 1),
    ]


def _raster_row_by_row(images):
    return torch.cat([images[:, 0, r] for r in range(images.shape[2])], dim=1)


def _raster_pixel_by_pixel(images):
    n, _, h, w = images.shape
    out = images.new_zeros(n, h * w)
    for r in range(h):
        for c in range(w):
            out[:, r * w + c] = images[:, 0, r, c]
    return out


def _snake(images):
    rows = images[:, 0].clone()
    rows[:, 1::2] = rows[:, 1::2].flip(2)
    return rows.flatten(1)


RASTER = Exercise(
    name="raster",
    lesson=26,
    points=1,
    minutes=5,
    docstring="""The pixels of grey pictures in a row each, in the order in which one reads.

images: (N, 1, H, W). Returns (N, H W): row by row from the top, each row from the left.""",
    reference=raster,
    cases=_raster_cases,
    alternatives={
        "reshape": lambda images: images.reshape(len(images), -1),
        "row by row": _raster_row_by_row,
        "pixel by pixel": _raster_pixel_by_pixel,
        "NumPy": lambda images: images.numpy().reshape(len(images), -1).copy(),
    },
    mistakes=(
        Mistake(
            "column by column",
            "You go down the columns; read row by row.",
            lambda images: images.transpose(2, 3).flatten(1),
        ),
        Mistake(
            "all pictures in one row",
            "You put all pictures into one row; the first axis, N, stays.",
            lambda images: images.flatten(),
        ),
        Mistake(
            "the axis of the channel stays",
            "You keep the axis of the channel; the result has two axes, pictures and pixels.",
            lambda images: images.flatten(2),
        ),
        Mistake(
            "the height stays",
            "You take the channel out and leave height and width as they are; they become one axis.",
            lambda images: images.squeeze(1),
        ),
        Mistake(
            "as an ox ploughs",
            "You read every second row backward; each row begins at the left.",
            _snake,
        ),
        Mistake(
            "from below", "You begin with the lowest row; begin at the top.", lambda images: images.flip(2).flatten(1)
        ),
        Mistake("from the right", "You read each row from the right.", lambda images: images.flip(3).flatten(1)),
        Mistake(
            "backward", "You begin with the last pixel; begin with the first.", lambda images: images.flatten(1).flip(1)
        ),
        Mistake(
            "pixels first",
            "You have pixels in rows and pictures in columns; it is the other way round.",
            lambda images: images.flatten(1).T,
        ),
        Mistake(
            "pictures mixed",
            "You reshape to (H W, N) and turn that round, which mixes the pictures; reshape to (N, H W).",
            lambda images: images.reshape(-1, len(images)).T,
        ),
    ),
)


# shift_right


def _shift_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, tokens, start):
        return Case(label, (torch.as_tensor(tokens), start), gradients=(0,))

    return [
        case("three tokens", [[5.0, 3.0, 8.0]], 17),
        case("two sequences", [[0.25, 0.5, 0.75, 1.0], [-1.0, -0.5, 2.0, 4.0]], -3),
        case("one token", [[4.0], [6.0]], 9),
        case("start is 0", torch.randn(3, 5, generator=g), 0),
        case("many", torch.randn(4, 9, generator=g), 2.5),
    ]


def _by_loop(tokens, start):
    out = torch.empty_like(tokens)
    for i in range(tokens.shape[1]):
        out[:, i] = tokens[:, i - 1] if i else start
    return out


def _by_roll(tokens, start):
    out = tokens.roll(1, dims=1)
    out[:, 0] = start
    return out


def _joined(tokens, start):
    return torch.cat([torch.full_like(tokens[:, :1], start), tokens[:, :-1]], dim=1)


def _replaced(tokens, start):
    return torch.cat([torch.full_like(tokens[:, :1], start), tokens[:, 1:]], dim=1)


def _on_in_the_next(tokens, start):
    flat = tokens.reshape(-1)
    return torch.cat([flat.new_full((1,), start), flat[:-1]]).view_as(tokens)


SHIFT = Exercise(
    name="shift_right",
    lesson=26,
    points=1,
    minutes=5,
    docstring="""What a model is shown at each place of a sequence: the token before it, and `start` at the first place.

tokens: (N, L), N sequences; any numbers, whole or not. start: number. Returns (N, L); the last token of each sequence is not in it.""",
    reference=shift_right,
    cases=_shift_cases,
    alternatives={
        "cat": _joined,
        "place by place": _by_loop,
        "roll, then write the first": _by_roll,
        "pad, then cut": lambda tokens, start: F.pad(tokens, (1, 0), value=start)[:, :-1],
    },
    mistakes=(
        # Project-MONAI/GenerativeModels issue 314: the transformer was trained to say the token that it was shown
        Mistake(
            "not shifted",
            "You show the model the very token that it is to predict; show it the one before.",
            lambda tokens, start: tokens.clone(),
        ),
        Mistake(
            "shifted left",
            "You shift to the left, so that each place sees the token after it.",
            lambda tokens, start: F.pad(tokens[:, 1:], (0, 1), value=start),
        ),
        Mistake(
            "the last token comes round",
            "You roll, and the first place sees the last token; put start there.",
            lambda tokens, start: tokens.roll(1, dims=1),
        ),
        Mistake(
            "one token more",
            "You put start in front and keep the last token, so there are L + 1.",
            lambda tokens, start: F.pad(tokens, (1, 0), value=start),
        ),
        Mistake(
            "one token less", "You drop the last token and put nothing in front.", lambda tokens, start: tokens[:, :-1]
        ),
        Mistake(
            "the first replaced", "You write start over the first token and move nothing; all tokens move.", _replaced
        ),
        Mistake(
            "start at the end",
            "You drop the last token and put start behind; it belongs in front.",
            lambda tokens, start: F.pad(tokens[:, :-1], (0, 1), value=start),
        ),
        Mistake(
            "0 for start",
            "You put 0 in front; 0 is a token like any other (black), start is not.",
            lambda tokens, start: F.pad(tokens[:, :-1], (1, 0)),
        ),
        Mistake(
            "two places",
            "You shift by two places; one is enough.",
            lambda tokens, start: F.pad(tokens, (2, 0), value=start)[:, :-2],
        ),
        Mistake(
            "on from the sequence before",
            "You shift all sequences as one row, so that each begins with the last token of the one before.",
            _on_in_the_next,
        ),
        Mistake(
            "along the batch",
            "You shift along the first axis, from one sequence to the next; shift along the second.",
            lambda tokens, start: F.pad(tokens[:-1], (0, 0, 1, 0), value=start),
        ),
    ),
)


# causal_mask


def _mask_cases(seed):
    g = torch.Generator().manual_seed(seed)
    drawn = 2 * torch.randint(4, 16, (3,), generator=g) + 1
    some = [(3, "A"), (3, "B"), (1, "A"), (1, "B"), (5, "A"), (7, "B"), *zip(drawn.tolist(), "ABA")]
    return [Case(f'{k} x {k}, kind "{kind}"', (k, kind)) for k, kind in some]


def _mask_of(before):
    """A mask by a rule: (rows (k, 1), columns (1, k), middle, kind) -> which weights are kept."""

    def mask(kernel_size, kind):
        row, column = torch.arange(kernel_size)[:, None], torch.arange(kernel_size)[None]
        return (before(row, column, kernel_size // 2, kind) & (row == row) & (column == column)).float()

    return mask


def _mask_by_slices(kernel_size, kind):
    m, mask = kernel_size // 2, torch.zeros(kernel_size, kernel_size)
    mask[:m] = 1
    mask[m, : m + 1 if kind == "B" else m] = 1
    return mask


def _mask_weight_by_weight(kernel_size, kind):
    m = kernel_size // 2
    kept = lambda r, c: r < m or (r == m and c < m) or (r == m and c == m and kind == "B")
    return torch.tensor([[float(kept(r, c)) for c in range(kernel_size)] for r in range(kernel_size)])


def _mask_from_ones(kernel_size, kind):
    flat = torch.ones(kernel_size**2)
    flat[(kernel_size**2 - 1) // 2 + (1 if kind == "B" else 0) :] = 0
    return flat.reshape(kernel_size, kernel_size)


def _left(row, column, m, kind):
    return (row == m) & ((column < m) | ((column == m) & (kind == "B")))


MASK = Exercise(
    name="causal_mask",
    lesson=26,
    points=2,
    minutes=15,
    docstring="""Which weights of a convolution a pixel may use so that it sees only pixels before it in raster order.

kernel_size: odd, at least 1. kind: "A" hides the pixel itself, "B" shows it. Returns (kernel_size, kernel_size), float: 1 for each
weight above the middle row, and to the left of the middle in its row; 0 below and to the right; the middle itself as `kind` says.
The weights are those of nn.Conv2d, which does not flip them.""",
    reference=causal_mask,
    cases=_mask_cases,
    alternatives={
        "slices": _mask_by_slices,
        "weight by weight": _mask_weight_by_weight,
        "ones, cut off in raster order": _mask_from_ones,
        "by comparison": _mask_of(lambda r, c, m, kind: (r < m) | _left(r, c, m, kind)),
    },
    mistakes=(
        # j-min/PixelCNN issues 3 and 4: the first layer had kind B, and the network copied its input
        Mistake(
            "B for A",
            'You show the pixel itself in both kinds; with "A" the middle is 0, or the network copies its input.',
            lambda kernel_size, kind: causal_mask(kernel_size, "B"),
        ),
        # anantzoid/Conditional-PixelCNN-decoder issue 9: 1x1 layers lost their only weight
        Mistake(
            "A for B",
            'You hide the middle in both kinds; with "B" it is 1, and a 1x1 convolution keeps its only weight.',
            lambda kernel_size, kind: causal_mask(kernel_size, "A"),
        ),
        Mistake(
            "the kinds exchanged",
            "You exchange the two kinds: A is the one that hides the pixel itself.",
            lambda kernel_size, kind: causal_mask(kernel_size, "AB"[kind == "A"]),
        ),
        # pclucas14/iaf-vae issue 4: the mask was reversed against the order of drawing
        Mistake(
            "what comes after",
            "You show the pixels that come after and hide those before.",
            lambda kernel_size, kind: causal_mask(kernel_size, kind).flip(0, 1),
        ),
        Mistake(
            "transposed",
            "You exchange rows and columns: raster order goes row by row.",
            lambda kernel_size, kind: causal_mask(kernel_size, kind).T,
        ),
        Mistake(
            "rows above only",
            "You leave out the pixels to the left in the same row; they come before, too.",
            _mask_of(lambda r, c, m, kind: (r < m) | ((r == m) & (c == m) & (kind == "B"))),
        ),
        Mistake("this row only", "You leave out the rows above; they come before, too.", _mask_of(_left)),
        Mistake(
            "above and to the left only",
            "You cut the rows above at the middle; their right half comes before, too.",
            _mask_of(lambda r, c, m, kind: ((r < m) & (c <= m)) | _left(r, c, m, kind)),
        ),
        Mistake(
            "the whole row",
            "You show the whole middle row; what is to the right comes later.",
            _mask_of(lambda r, c, m, kind: (r < m) | ((r == m) & ((c != m) | (kind == "B")))),
        ),
        Mistake(
            "rows below not hidden",
            "You cut the middle row only; the rows below come later and are 0, too.",
            _mask_of(lambda r, c, m, kind: (r != m) | _left(r, c, m, kind)),
        ),
        Mistake(
            "left in all rows",
            "You show the left half of every row; the rows below come later, and those above are seen whole.",
            _mask_of(lambda r, c, m, kind: (c < m) | ((r == m) & (c == m) & (kind == "B"))),
        ),
        Mistake(
            "mirrored",
            "You show what is to the right in the middle row: nn.Conv2d does not flip its weights.",
            lambda kernel_size, kind: causal_mask(kernel_size, kind).flip(1),
        ),
    ),
)


# gru_cell


def _gru_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, n, i, h, scale=1.0):
        draw = lambda *shape: scale * torch.randn(shape, generator=g)
        given = (draw(n, i), draw(n, h), draw(3 * h, i), draw(3 * h, h), draw(3 * h), draw(3 * h))
        return Case(label, given, gradients=tuple(range(6)))

    hand = [[[1.0]], [[0.5]], [[0.5], [-1.0], [1.5]], [[-0.5], [1.0], [2.0]], [0.25, 0.5, -0.75], [0.5, -0.25, 1.0]]
    return [
        Case("one input, one number remembered", tuple(map(torch.tensor, hand)), gradients=tuple(range(6))),
        case("two rows", 2, 3, 2),
        case("as many inputs as numbers remembered", 3, 3, 3),
        case("one row, wider memory", 1, 2, 5, scale=0.5),
        case("five rows", 5, 4, 3, scale=0.7),
    ]


def _gru(change=lambda r, z, n_x, n_h, b, h: None, gates=None, candidate=torch.tanh, squash=torch.sigmoid):
    """The cell with one thing changed. gates: order of the three blocks of rows. change: (r, z, n_x, n_h, b_hh of n, h) -> new h."""

    def cell(x, h, w_ih, w_hh, b_ih, b_hh):
        parts = [t.chunk(3) for t in (w_ih, w_hh, b_ih, b_hh)]
        row = dict(zip(gates or "rzn", range(3)))
        of_x = {k: x @ parts[0][i].T + parts[2][i] for k, i in row.items()}
        of_h = {k: h @ parts[1][i].T + parts[3][i] for k, i in row.items()}
        r, z = squash(of_x["r"] + of_h["r"]), squash(of_x["z"] + of_h["z"])
        new = change(r, z, of_x["n"], of_h["n"], parts[3][row["n"]], h)
        n = candidate(of_x["n"] + r * of_h["n"])
        return (1 - z) * n + z * h if new is None else new

    return cell


def _gru_reset_before(x, h, w_ih, w_hh, b_ih, b_hh):
    (_, _, w), (_, _, u), (_, _, b), (_, _, c) = (t.chunk(3) for t in (w_ih, w_hh, b_ih, b_hh))
    r, z, _ = torch.sigmoid(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh).chunk(3, dim=1)
    n = torch.tanh(x @ w.T + b + (r * h) @ u.T + c)
    return (1 - z) * n + z * h


def _gru_by_library(x, h, w_ih, w_hh, b_ih, b_hh):
    return torch.gru_cell(x, h, w_ih, w_hh, b_ih, b_hh)


def _gru_by_einsum(x, h, w_ih, w_hh, b_ih, b_hh):
    a = torch.einsum("ni,ghi->ngh", x, w_ih.unflatten(0, (3, -1))) + b_ih.view(3, -1)
    b = torch.einsum("nj,ghj->ngh", h, w_hh.unflatten(0, (3, -1))) + b_hh.view(3, -1)
    r, z = (a + b)[:, 0].sigmoid(), (a + b)[:, 1].sigmoid()
    n = (a[:, 2] + r * b[:, 2]).tanh()
    return n + z * (h - n)


def _gru_row_by_row(x, h, w_ih, w_hh, b_ih, b_hh):
    size, rows = h.shape[1], []
    for xi, hi in zip(x.double(), h.double()):
        a, b = w_ih.double() @ xi + b_ih, w_hh.double() @ hi + b_hh
        r = 1 / (1 + (-(a[:size] + b[:size])).exp())
        z = 1 / (1 + (-(a[size : 2 * size] + b[size : 2 * size])).exp())
        rows.append(z * hi + (1 - z) * (a[2 * size :] + r * b[2 * size :]).tanh())
    return torch.stack(rows)


GRU = Exercise(
    name="gru_cell",
    lesson=26,
    points=3,
    minutes=20,
    differentiable=True,
    docstring="""One step of a gated recurrent unit, as torch.nn.GRUCell does it.

x: (N, I), the input. h: (N, H), the memory. w_ih: (3 H, I), w_hh: (3 H, H), b_ih, b_hh: (3 H,), the rows for r, z and n in this order.
r and z are sigmoids of x's part plus h's part; n = tanh(x's part + r times h's part), the bias b_hh belonging to h's part. Returns
(N, H): (1 - z) n + z h.""",
    reference=gru_cell,
    cases=_gru_cases,
    from_scratch=("gru_cell",),
    alternatives={
        "the library": _gru_by_library,
        "gates by name": _gru(),
        "einsum": _gru_by_einsum,
        "row by row, float64": _gru_row_by_row,
    },
    mistakes=(
        Mistake(
            "z before r",
            "You take the first block of rows for z; the order is r, z, n.",
            _gru(gates="zrn"),
        ),
        Mistake("n first", "You take the first block of rows for n; the order is r, z, n.", _gru(gates="nrz")),
        # Cho et al. 2014 have r inside the product, torch and cuDNN outside: weights of the one do not fit the other
        Mistake(
            "r inside the product",
            "You multiply h by r before the weights, as the first paper has it; torch multiplies what the weights made of h.",
            _gru_reset_before,
        ),
        # Cho et al. 2014, eq. 7, has z and 1 - z the other way round
        Mistake(
            "z the other way round",
            "You keep 1 - z of the memory; here z is the share of it that stays.",
            _gru(lambda r, z, n_x, n_h, b, h: z * (n_x + r * n_h).tanh() + (1 - z) * h),
        ),
        Mistake(
            "the bias outside of r",
            "You add the last block of b_hh after multiplying by r; it is part of what r multiplies.",
            _gru(lambda r, z, n_x, n_h, b, h: (1 - z) * (n_x + r * (n_h - b) + b).tanh() + z * h),
        ),
        Mistake(
            "nothing is reset",
            "You leave r out of n, which makes the reset gate useless.",
            _gru(lambda r, z, n_x, n_h, b, h: (1 - z) * (n_x + n_h).tanh() + z * h),
        ),
        Mistake(
            "r on the input",
            "You multiply the input's part by r; it is the memory's part that is reset.",
            _gru(lambda r, z, n_x, n_h, b, h: (1 - z) * (r * n_x + n_h).tanh() + z * h),
        ),
        Mistake(
            "nothing is kept",
            "You return n, as a plain recurrent network does; z of the memory stays.",
            _gru(lambda r, z, n_x, n_h, b, h: (n_x + r * n_h).tanh()),
        ),
        Mistake(
            "added to the memory",
            "You add to the whole memory; it is a mean of n and h with the weights 1 - z and z.",
            _gru(lambda r, z, n_x, n_h, b, h: (1 - z) * (n_x + r * n_h).tanh() + h),
        ),
        Mistake(
            "sigmoid for n",
            "You use a sigmoid for n, so that the memory can never go below 0; take tanh.",
            _gru(candidate=torch.sigmoid),
        ),
        Mistake(
            "tanh for the gates",
            "You use tanh for the gates; a gate is a share, from 0 to 1, so take the sigmoid.",
            _gru(squash=torch.tanh),
        ),
        Mistake(
            "no tanh",
            "You forgot tanh around n.",
            _gru(candidate=lambda t: t),
        ),
    ),
)


# bits_per_pixel


def _bits_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, n, length, levels, scale=1.0):
        target = torch.randint(levels, (n, length), generator=g)
        return Case(label, (scale * torch.randn(n, length, levels, generator=g), target), gradients=(0,))

    return [
        Case("one pixel, two levels", (torch.tensor([[[0.0, 3.0]]]), torch.tensor([[1]])), gradients=(0,)),
        Case("all levels alike", (torch.zeros(2, 3, 4), torch.tensor([[0, 1, 2], [3, 3, 0]])), gradients=(0,)),
        case("two pictures of five pixels", 2, 5, 3),
        case("as many levels as pixels", 3, 4, 4),
        case("17 levels", 4, 6, 17),
        case("large logits", 3, 5, 4, scale=60.0),
    ]


def _log_p(logits, target):
    """(N, L): log-probability, in nats, of the level that is there."""
    return logits.log_softmax(2).gather(2, target[..., None])[..., 0]


def _bits_with(change):
    return lambda logits, target: change(_log_p(logits, target))


def _bits_pixel_by_pixel(logits, target):
    total = 0
    for picture, levels in zip(logits.double(), target):
        for scores, level in zip(picture, levels):
            total = total + (torch.logsumexp(scores, 0) - scores[level]) / math.log(2)
    return total / target.numel()


BITS = Exercise(
    name="bits_per_pixel",
    lesson=26,
    points=2,
    minutes=15,
    differentiable=True,
    docstring="""How many bits a model needs for a pixel: the mean of -log2 of the probability that it gave to the level that is there.

logits: (N, L, K), scores of K levels at each of L places, before any softmax; they may be as large as 200. target: (N, L) int64, the
levels. Returns a scalar, in bits: the mean over all pixels of all pictures.""",
    reference=bits_per_pixel,
    cases=_bits_cases,
    alternatives={
        "the library": lambda logits, target: F.cross_entropy(logits.transpose(1, 2), target) / math.log(2),
        "log_softmax and gather": lambda logits, target: -(_log_p(logits, target) / math.log(2)).mean(),
        "pixel by pixel, float64": _bits_pixel_by_pixel,
        "one-hot": lambda logits, target: (
            -(F.one_hot(target, logits.shape[2]) * logits.log_softmax(2)).sum() / target.numel() * math.log2(math.e)
        ),
    },
    mistakes=(
        Mistake(
            "nats for bits",
            "You give nats; divide by log 2.",
            lambda logits, target: bits_per_pixel(logits, target) * math.log(2),
        ),
        Mistake(
            "times log 2",
            "You multiply by log 2; a nat is more than a bit, so divide.",
            lambda logits, target: bits_per_pixel(logits, target) * math.log(2) ** 2,
        ),
        Mistake(
            "softmax over the pixels",
            "You let the probabilities add up to 1 over the pixels; for each pixel they add up to 1 over its levels.",
            lambda logits, target: -logits.log_softmax(1).gather(2, target[..., None]).mean() / math.log(2),
        ),
        Mistake(
            "bits a picture",
            "You add up the pixels of a picture; take their mean.",
            _bits_with(lambda log_p: -log_p.sum(1).mean() / math.log(2)),
        ),
        Mistake(
            "one value a picture",
            "You return one value for each picture; take their mean.",
            _bits_with(lambda log_p: -log_p.mean(1) / math.log(2)),
        ),
        Mistake(
            "the logarithm of the mean",
            "You average the probabilities and take the logarithm of that; average the logarithms.",
            _bits_with(lambda log_p: -log_p.exp().mean().log2()),
        ),
        Mistake(
            "no minus",
            "You forgot the minus: the logarithm of a probability is below 0.",
            _bits_with(lambda log_p: log_p.mean() / math.log(2)),
        ),
        Mistake(
            "no softmax",
            "You take the logit of the right level as if it were a log-probability; apply log_softmax first.",
            lambda logits, target: -logits.gather(2, target[..., None]).mean() / math.log(2),
        ),
        Mistake(
            "softmax twice",
            "You give probabilities to a function that takes logits, so that softmax comes twice.",
            lambda logits, target: bits_per_pixel(logits.softmax(2), target),
        ),
        Mistake(
            "the entropy of the model",
            "You weigh by the model's own probabilities, which is how unsure it is; ask for the level that is there.",
            lambda logits, target: -(logits.softmax(2) * logits.log_softmax(2)).sum(2).mean() / math.log(2),
        ),
        # Project-MONAI/GenerativeModels issue 314, the other way round: input and target were shifted against each other once too often
        Mistake(
            "the next pixel's level",
            "You compare each place with the level of the next one; logits and target are in step already.",
            lambda logits, target: bits_per_pixel(logits, target.roll(-1, dims=1)),
        ),
        Mistake(
            "divided by the levels, too",
            "You average over the levels, too; divide by the number of pixels alone.",
            lambda logits, target: bits_per_pixel(logits, target) / logits.shape[2],
        ),
        Mistake(
            "in units of log K",
            "You divide by log K, so that a uniform guess costs 1; a bit is a logarithm to the base 2.",
            lambda logits, target: bits_per_pixel(logits, target) * math.log(2) / math.log(logits.shape[2]),
        ),
    ),
)


# blind_pixels: 8 x 8, the pixel in row 5 and column 1, masks of 3 x 3


def _cone(slope, row=5, column=1, side=8):
    """Pixels above (row, column) further right than `slope` places for each row."""
    return sum(max(0, side - 1 - (column + slope * k)) for k in range(1, row + 1))


def blind_pixels():
    """Each row up, a path comes one column further to the right, and not more."""
    return _cone(1)


def _blind_by_walking():
    """Follows each pixel's sources layer by layer until nothing is added."""
    seen, row, column = set(), 5, 1
    frontier = {(row, column - 1), *((row - 1, column + d) for d in (-1, 0, 1))}
    while frontier:
        seen |= frontier
        steps = [(r, c - 1) for r, c in frontier] + [(r - 1, c + d) for r, c in frontier for d in (-1, 0, 1)]
        frontier = {(r, c) for r, c in steps if 0 <= r and 0 <= c < 8} - seen
    return row * 8 + column - len(seen)


def _blind_by_matrix():
    """Powers of the matrix that says which place reads which."""
    eye = torch.eye(64, dtype=torch.float64).view(64, 1, 8, 8)
    seen = F.conv2d(eye, causal_mask(3, "A").double()[None, None], padding=1)  # [j, 0, place of i]: i reads j
    for _ in range(20):
        seen = (F.conv2d(seen, causal_mask(3, "B").double()[None, None], padding=1) > 0).double()
    return int(41 - seen[:, 0, 5, 1].sum())


BLIND = Exercise(
    name="blind_pixels",
    lesson=26,
    points=2,
    minutes=15,
    docstring="""How many pixels that come before cannot be seen: one number, worked out by hand.

A PixelCNN has a first layer with a 3x3 mask of kind A and then so many layers with 3x3 masks of kind B that more would change nothing.
Zeros are padded, so the size stays. The picture is 8 x 8; rows and columns are counted from 0. Look at the pixel in row 5 and column 1.
41 pixels come before it in raster order. Return how many of these have no influence on its logits.""",
    reference=blind_pixels,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={
        "walking from pixel to pixel": _blind_by_walking,
        "by convolution": _blind_by_matrix,
        "a float": lambda: 15.0,
    },
    mistakes=(
        Mistake(
            "nothing to the right",
            "You take all pixels above and to the right for hidden; each row up, one column further to the right is seen.",
            lambda: _cone(0),
        ),
        Mistake(
            "two columns for each row",
            "You let a path go two columns to the right for each row, as masks of 5x5 allow; 3x3 allows one.",
            lambda: _cone(2),
        ),
        Mistake(
            "the edge of the cone",
            "You count the pixels on the diagonal as hidden; a path that goes up and right in each layer ends there.",
            lambda: sum(max(0, 8 - (1 + k)) for k in range(1, 6)),
        ),
        Mistake(
            "those that are seen",
            "You count the pixels that are seen; asked are those that are not.",
            lambda: 41 - _cone(1),
        ),
        Mistake(
            "those that come later, too",
            "You count the pixels that come later, too; asked are hidden ones among the 41 before.",
            lambda: 64 - 41 + _cone(1),
        ),
        Mistake(
            "none",
            "You say that every pixel before is seen, which is what the masks were made for; follow the paths up and to the right.",
            lambda: 0,
        ),
    ),
)

EXERCISES = (RASTER, SHIFT, MASK, GRU, BITS, BLIND)
