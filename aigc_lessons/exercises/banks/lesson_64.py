"""The exercises of lesson 64: the scale of latents, the nearest entry of a codebook, its loss and its use, and a fault to find."""

import math

import torch
import torch.nn.functional as F

from ...latents import codebook_perplexity, latent_scale, quantize, vq_loss
from ..engine import Case, Exercise, Mistake, Pair

# latent_scale


def _scale_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, *shape, spread=1.0, shift=0.0):
        """The channels differ in spread and in mean, and so do the pictures a little."""
        sizes = torch.linspace(0.4, 1.6, shape[1]).view(-1, *[1] * (len(shape) - 2))
        pictures = 0.5 + torch.rand(shape[0], *[1] * (len(shape) - 1), generator=g)
        return Case(label, (shift + spread * pictures * (sizes * torch.randn(shape, generator=g) + sizes - 1),))

    return [
        Case("two numbers, -1 and 3", (torch.tensor([[-1.0], [3.0]]),)),
        Case(
            "a first picture that is all dark",
            (torch.tensor([[[[-2.0, -2.5]]], [[[1.0, 2.0]]], [[[0.5, 3.0]]]]),),
        ),
        case("six pictures", 6, 4, 3, 3),
        case("large latents", 5, 4, 2, 3, spread=6.0),
        case("small ones, far from 0", 7, 3, 2, 2, spread=0.1, shift=2.0),
        case("codes without places", 9, 5),
    ]


def _of_each(dims):
    return lambda latents: latents.transpose(0, 1).flatten(1) if dims == "channel" else latents.flatten(1)


SCALE = Exercise(
    name="latent_scale",
    lesson=64,
    points=1,
    minutes=5,
    docstring="""The number that all latents are multiplied by, so that their standard deviation is 1, as that of noise.

latents: (N, C, h, w) or (N, D), the latents of all training pictures. Returns a scalar tensor: 1 divided by the standard deviation of
all their numbers together, which is that of torch.std (squares summed around the mean, divided by their number less 1).""",
    reference=latent_scale,
    cases=_scale_cases,
    alternatives={
        "the root of a mean of squares": lambda latents: (
            (latents.numel() - 1) / (latents - latents.mean()).square().sum()
        ).sqrt(),
        "the variance": lambda latents: latents.var().rsqrt(),
        "as one vector": lambda latents: latents.flatten().std().reciprocal(),
        "a Python number": lambda latents: 1 / latents.std().item(),
        "over named axes": lambda latents: torch.std(latents, dim=tuple(range(latents.ndim))) ** -1,
    },
    mistakes=(
        # Open-Sora #493 and #494: "we made a mistake"; mmagic #2062; asked about in diffusers #437, stable-dreamfusion #14, Endora #6
        Mistake(
            "another autoencoder's number",
            "You return 0.18215, the scale of Stable Diffusion's autoencoder; each autoencoder has its own, so measure it.",
            lambda latents: torch.tensor(0.18215),
        ),
        Mistake(
            "not inverted",
            "You return the standard deviation; latents are multiplied by 1 / std.",
            lambda latents: latents.std(),
        ),
        Mistake(
            "inverse of the variance",
            "You divide by the variance; a scale is 1 over its root.",
            lambda latents: 1 / latents.var(),
        ),
        Mistake(
            "a scale for each channel",
            "You return a scale for each channel; asked is one number over all of them.",
            lambda latents: 1 / _of_each("channel")(latents).std(1),
        ),
        Mistake(
            "mean of the channels' spreads",
            "You average the standard deviations of the channels, which leaves out that their means differ; take all numbers together.",
            lambda latents: 1 / _of_each("channel")(latents).std(1).mean(),
        ),
        # "per batch instead of stored": a scale that each picture, or each batch, brings along cannot be undone by the decoder
        Mistake(
            "mean of the pictures' scales",
            "You give each picture a scale of its own and average these; take all numbers together.",
            lambda latents: (
                latents.flatten(1).std(1).clamp(min=1e-6).reciprocal().mean()
                if latents[0].numel() > 1
                else latents.std()
            ),
        ),
        Mistake(
            "of the first picture",
            "You measure the first picture alone; measure all.",
            lambda latents: 1 / (latents[0].std() if latents[0].numel() > 1 else latents[0].abs().mean()),
        ),
        Mistake(
            "around 0",
            "You take the root of the mean square, which counts the mean as spread; subtract it first.",
            lambda latents: latents.square().mean().rsqrt(),
        ),
        Mistake(
            "divided by their number",
            "You divide the sum of squares by n, and the docstring asks for n - 1, as torch.std does.",
            lambda latents: 1 / latents.std(correction=0),
        ),
        Mistake(
            "largest value",
            "You divide by the largest value, which one strange picture decides; divide by the standard deviation.",
            lambda latents: 1 / latents.abs().max(),
        ),
        Mistake(
            "mean absolute value",
            "You divide by the mean absolute value; noise has standard deviation 1, so divide by the standard deviation.",
            lambda latents: 1 / latents.abs().mean(),
        ),
        Mistake(
            "range",
            "You divide by the range from the least to the largest; divide by the standard deviation.",
            lambda latents: 1 / (latents.max() - latents.min()),
        ),
    ),
    pairs=(
        Pair("not inverted", "divided by their number", lambda latents: latents.std(correction=0)),
        Pair("not inverted", "around 0", lambda latents: latents.square().mean().sqrt()),
        Pair("not inverted", "a scale for each channel", lambda latents: _of_each("channel")(latents).std(1)),
        Pair("inverse of the variance", "around 0", lambda latents: 1 / latents.square().mean()),
    ),
)


# quantize


def _quantize_cases(seed):
    g = torch.Generator().manual_seed(seed)
    points = lambda *rows: torch.tensor(rows)

    def case(label, n, k, d, spread=1.0):
        """Entries of very different lengths, so that the nearest is often neither the longest nor the best aligned."""
        codebook = spread * torch.randn(k, d, generator=g) * (0.3 + torch.rand(k, 1, generator=g))
        return Case(label, (torch.randn(n, d, generator=g), codebook))

    return [
        Case("numbers on a line", (points([0.2], [2.6], [-7.0]), points([3.0], [0.0], [1.0], [-4.0]))),
        # 2 and 2 away from (0, 0): to the first of the two; and twice the same entry
        Case(
            "equally near",
            (points([0.0, 0.0], [1.0, 1.0], [5.0, 5.0]), points([2.0, 0.0], [-2.0, 0.0], [4.0, 4.0], [4.0, 4.0])),
        ),
        # sums of absolute differences 3 and 2.8, squares 4.5 and 7.84; largest differences 1.5 and 2.8
        Case("near in one number, far in the other", (points([0.0, 0.0]), points([2.8, 0.0], [1.5, 1.5]))),
        # largest differences 2 and 1.9, squares 4.01 and 7.22
        Case("far in one number alone", (points([0.0, 0.0]), points([1.9, 1.9], [2.0, 0.1]))),
        Case("one entry", (torch.randn(3, 2, generator=g), torch.randn(1, 2, generator=g))),
        Case("the entries themselves", (points([1.0, 2.0], [-3.0, 0.5]), points([-3.0, 0.5], [1.0, 2.0]))),
        case("nine vectors, five entries", 9, 5, 3),
        case("as many vectors as entries", 6, 6, 2),
        case("few vectors, many entries", 4, 16, 4),
        case("wide entries", 12, 8, 2, spread=3.0),
    ]


def _codes_and_vectors(function, z, codebook):
    """The codes as floats, to be compared; the vectors; and what of the gradient of a weighted sum of these reaches z and the codebook."""
    import torch

    codes, z_q = function(z, codebook)
    codes = torch.as_tensor(codes)
    if codes.is_floating_point() and codes.ndim == 1:
        raise TypeError("The codes are floats. Give whole numbers, int64: they say which row of the codebook.")
    watched = [v.detach().clone().requires_grad_() for v in (z, codebook)]
    again = torch.as_tensor(function(*watched)[1])
    reached = (None, None)
    if again.requires_grad:
        weights = torch.linspace(1, 2, again.numel()).to(again).view_as(again)
        reached = torch.autograd.grad((weights * again).sum(), watched, allow_unused=True)
    gradients = (torch.zeros_like(v) if g is None else g for v, g in zip(watched, reached))
    return codes.to(z.dtype), torch.as_tensor(z_q).detach(), *gradients


def _chosen(score):
    """Straight-through to the entries for which `score(z, codebook)`, (N, K), is least."""

    def function(z, codebook):
        codes = score(z.detach(), codebook.detach()).argmin(1)
        return codes, z + (codebook[codes] - z).detach()

    return function


def _squares(z, codebook):
    return (z[:, None] - codebook).square().sum(2)


class _Straight(torch.autograd.Function):
    """An entry forwards, the identity backwards."""

    @staticmethod
    def forward(ctx, z, rows):
        return rows.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


def _one_at_a_time(z, codebook):
    codes = []
    for vector in z.detach():
        best, least = 0, math.inf
        for k, entry in enumerate(codebook.detach()):
            distance = (vector - entry).square().sum().item()
            if distance < least:
                best, least = k, distance
        codes.append(best)
    codes = torch.tensor(codes)
    return codes, z - z.detach() + codebook.detach()[codes]


def _each_number(z, codebook):
    codes = (z[:, None] - codebook).abs().argmin(1)  # (N, D)
    z_q = codebook.gather(0, codes)
    return codes[:, 0], z + (z_q - z).detach()


def _last_of_ties(z, codebook):
    codes = len(codebook) - 1 - _squares(z.detach(), codebook).flip(1).argmin(1)
    return codes, z + (codebook[codes] - z).detach()


QUANTIZE = Exercise(
    name="quantize",
    lesson=64,
    points=3,
    minutes=15,
    docstring="""Each vector replaced by the nearest entry of a codebook, by squared distance; of equally near entries by the first.

z: (N, D). codebook: (K, D). Returns (codes, z_q): (N,) int64, the number of the entry from 0; and (N, D), those entries. For gradients
z_q is z itself (straight-through): what arrives at z_q goes on to z unchanged, and nothing of it to the codebook.""",
    reference=quantize,
    cases=_quantize_cases,
    call=_codes_and_vectors,
    parts=("the codes", "the vectors", "the gradient that reaches z", "the gradient that reaches the codebook"),
    alternatives={
        "differences, squared and summed": _chosen(_squares),
        "the square multiplied out": _chosen(lambda z, e: e.square().sum(1) - 2 * z @ e.T),
        "one vector at a time": _one_at_a_time,
        "a function with its own backward": lambda z, codebook: (
            (codes := torch.cdist(z.detach(), codebook).argmin(1)),
            _Straight.apply(z, codebook[codes].detach()),
        ),
        "a product with one-hot rows": lambda z, codebook: (
            (codes := _squares(z.detach(), codebook).argmin(1)),
            z + (F.one_hot(codes, len(codebook)).to(codebook) @ codebook - z).detach(),
        ),
    },
    mistakes=(
        # "argmax for argmin"
        Mistake(
            "the farthest",
            "You take the farthest entry; take the nearest, argmin.",
            _chosen(lambda z, e: -_squares(z, e)),
        ),
        Mistake(
            "no gradient",
            "You return entries of the codebook as they are, through which no gradient reaches z; write z + (z_q - z).detach().",
            lambda z, codebook: ((codes := _squares(z, codebook).argmin(1)), codebook[codes]),
        ),
        Mistake(
            "the vector itself",
            "You return z with the entries' gradient, so nothing is quantised; it is the other way round: the entry's value, and the gradient of z.",
            lambda z, codebook: (
                (codes := _squares(z, codebook).argmin(1)),
                codebook[codes] + (z - codebook[codes]).detach(),
            ),
        ),
        Mistake(
            "everything detached",
            "You detach the whole sum, z included; only the difference z_q - z is detached.",
            lambda z, codebook: ((codes := _squares(z, codebook).argmin(1)), (z + (codebook[codes] - z)).detach()),
        ),
        Mistake(
            "to the codebook, too",
            "You detach z alone, so the gradient goes to the codebook as well; detach the whole difference, (z_q - z).detach().",
            lambda z, codebook: ((codes := _squares(z, codebook).argmin(1)), z + codebook[codes] - z.detach()),
        ),
        Mistake(
            "half the gradient",
            "You return the mean of z and its entry; the value is the entry's alone.",
            lambda z, codebook: ((codes := _squares(z, codebook).argmin(1)), (z + codebook[codes].detach()) / 2),
        ),
        Mistake(
            "largest product",
            "You take the entry with the largest product, which favours long entries; take the least squared distance.",
            _chosen(lambda z, e: -z @ e.T),
        ),
        Mistake(
            "best direction",
            "You compare directions, each vector scaled to length 1; lengths count in a distance.",
            _chosen(lambda z, e: -F.normalize(z, dim=1) @ F.normalize(e, dim=1).T),
        ),
        Mistake(
            "last of equals",
            "You take the last of equally near entries; take the first, as argmin does.",
            _last_of_ties,
        ),
        Mistake(
            "absolute differences",
            "You add up absolute differences; add up their squares.",
            _chosen(lambda z, e: (z[:, None] - e).abs().sum(2)),
        ),
        Mistake(
            "largest difference",
            "You compare the largest difference of any number; add up the squares of all.",
            _chosen(lambda z, e: (z[:, None] - e).abs().amax(2)),
        ),
        Mistake(
            "over the wrong axis",
            "You look for the nearest vector of each entry; look for the nearest entry of each vector, along K.",
            lambda z, codebook: (
                (codes := _squares(z, codebook).argmin(0) % len(codebook)),
                (lambda rows: rows + 0 * z.sum())(codebook[codes].detach()),
            ),
        ),
        Mistake(
            "each number by itself",
            "You look for the nearest entry number by number; a vector gets one entry as a whole.",
            _each_number,
        ),
        Mistake(
            "one for all",
            "You choose one entry, for the mean of all vectors; each vector has its own.",
            lambda z, codebook: (
                (codes := _squares(z.detach().mean(0, keepdim=True), codebook).argmin(1).expand(len(z)).clone()),
                z + (codebook[codes] - z).detach(),
            ),
        ),
        Mistake(
            "results exchanged",
            "You return the entries first; the codes come first.",
            lambda z, codebook: quantize(z, codebook)[::-1],
        ),
        Mistake(
            "counted from 1",
            "You count entries from 1; the first one is 0.",
            lambda z, codebook: (lambda codes, z_q: (codes + 1, z_q))(*quantize(z, codebook)),
        ),
    ),
    pairs=(
        Pair(
            "the farthest",
            "no gradient",
            lambda z, codebook: ((codes := _squares(z, codebook).argmax(1)), codebook[codes]),
        ),
        Pair(
            "largest product",
            "no gradient",
            lambda z, codebook: ((codes := (z @ codebook.T).argmax(1)), codebook[codes]),
        ),
        Pair(
            "absolute differences",
            "no gradient",
            lambda z, codebook: ((codes := (z[:, None] - codebook).abs().sum(2).argmin(1)), codebook[codes]),
        ),
        Pair("the farthest", "absolute differences", _chosen(lambda z, e: -(z[:, None] - e).abs().sum(2))),
    ),
)


# vq_loss


def _loss_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, n, d, beta, apart=1.0):
        z = torch.randn(n, d, generator=g)
        return Case(label, (z, z + apart * (0.5 + torch.rand(n, d, generator=g)), beta), gradients=(0, 1))

    hand = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, -1.0]])
    return [
        Case("by hand, beta 0.25", (*hand, 0.25), gradients=(0, 1)),
        Case("by hand, beta 2", (*hand, 2.0), gradients=(0, 1)),
        Case("1 apart, beta 0.0003", (torch.zeros(1, 1), torch.ones(1, 1), 0.0003), gradients=(0, 1)),
        case("three vectors", 3, 4, 0.25),
        case("far apart", 5, 2, 0.5, apart=4.0),
        case("beta 1.5", 4, 3, 1.5),
        case("close together", 6, 5, 0.1, apart=0.2),
    ]


def _terms(z, z_q):
    """The two terms: what moves the codebook, and what moves the vectors."""
    return (z.detach() - z_q).square(), (z - z_q.detach()).square()


VQ_LOSS = Exercise(
    name="vq_loss",
    lesson=64,
    points=2,
    minutes=10,
    differentiable=True,
    docstring="""The two terms that bring a codebook and the vectors together, beside the error of the reconstruction.

    mean (sg(z) - z_q)^2 + beta mean (z - sg(z_q))^2        sg: no gradient goes through

z: (N, D), what the encoder says. z_q: (N, D), the nearest entries, codebook[codes], through which gradients reach the codebook.
beta: number, at least 0. The means are over all N D numbers. Returns a scalar. Its gradients count: the first term moves the
codebook alone, the second one the encoder alone.""",
    reference=vq_loss,
    cases=_loss_cases,
    alternatives={
        "the library's mean squared error": lambda z, z_q, beta: (
            F.mse_loss(z_q, z.detach()) + beta * F.mse_loss(z, z_q.detach())
        ),
        "sums, divided": lambda z, z_q, beta: (_terms(z, z_q)[0].sum() + beta * _terms(z, z_q)[1].sum()) / z.numel(),
        "one vector at a time": lambda z, z_q, beta: torch.stack(
            [(a.detach() - b).square().mean() + beta * (a - b.detach()).square().mean() for a, b in zip(z, z_q)]
        ).mean(),
        "with a weighted difference": lambda z, z_q, beta: (
            torch.lerp(*(t.mean() for t in _terms(z, z_q)), beta / (1 + beta)) * (1 + beta)
        ),
    },
    mistakes=(
        # taming-transformers #46 and #57, kept there as legacy=True; karpathy/deep-vector-quantization #2; CodeFormer #427; 1d-tokenizer #95
        Mistake(
            "beta on the wrong term",
            "You weigh the term that moves the codebook by beta; beta belongs to the one that keeps the encoder near it, mean (z - sg(z_q))^2.",
            lambda z, z_q, beta: vq_loss(z_q, z, beta),
        ),
        # jax-vqvae-gpt #2, #3
        Mistake(
            "not stopped",
            "You detach nothing, so that both terms move both sides; detach z in the first term and z_q in the second.",
            lambda z, z_q, beta: (1 + beta) * (z - z_q).square().mean(),
        ),
        Mistake(
            "stopped on both sides",
            "You let no gradient through on either side, so nothing moves; in each term only one of the two is detached.",
            lambda z, z_q, beta: (1 + beta) * (z.detach() - z_q.detach()).square().mean(),
        ),
        Mistake(
            "without the second term",
            "You leave out what keeps the encoder near the codebook, so its vectors may run away; add beta times it.",
            lambda z, z_q, beta: _terms(z, z_q)[0].mean(),
        ),
        Mistake(
            "without the first term",
            "You leave out what moves the codebook; add mean (sg(z) - z_q)^2.",
            lambda z, z_q, beta: beta * _terms(z, z_q)[1].mean(),
        ),
        Mistake(
            "beta on both",
            "You multiply both terms by beta; the first has the weight 1.",
            lambda z, z_q, beta: beta * sum(t.mean() for t in _terms(z, z_q)),
        ),
        Mistake(
            "beta left out",
            "You add both terms with the weight 1; the second is multiplied by beta.",
            lambda z, z_q, beta: sum(t.mean() for t in _terms(z, z_q)),
        ),
        Mistake(
            "weights that sum to 1",
            "You weigh the first term by 1 - beta; its weight is 1.",
            lambda z, z_q, beta: (lambda a, b: (1 - beta) * a.mean() + beta * b.mean())(*_terms(z, z_q)),
        ),
        Mistake(
            "a sum",
            "You add up all squares; take the mean over all N D numbers.",
            lambda z, z_q, beta: vq_loss(z, z_q, beta) * z.numel(),
        ),
        Mistake(
            "summed over the numbers of a vector",
            "You take the mean over the vectors alone, and a sum over their numbers; take the mean over all N D numbers.",
            lambda z, z_q, beta: vq_loss(z, z_q, beta) * z.shape[1],
        ),
        Mistake(
            "absolute differences",
            "You take absolute differences; take squares.",
            lambda z, z_q, beta: (z.detach() - z_q).abs().mean() + beta * (z - z_q.detach()).abs().mean(),
        ),
        Mistake(
            "lengths not squared",
            "You take the lengths of the differences; take their squares, as means over all numbers.",
            lambda z, z_q, beta: (z.detach() - z_q).norm(dim=1).mean() + beta * (z - z_q.detach()).norm(dim=1).mean(),
        ),
        Mistake(
            "subtracted",
            "You subtract the second term; both are added.",
            lambda z, z_q, beta: (lambda a, b: a.mean() - beta * b.mean())(*_terms(z, z_q)),
        ),
        Mistake(
            "half of it",
            "You halve the squares; the formula has no half.",
            lambda z, z_q, beta: vq_loss(z, z_q, beta) / 2,
        ),
    ),
    pairs=(
        Pair("beta on the wrong term", "a sum", lambda z, z_q, beta: vq_loss(z_q, z, beta) * z.numel()),
        Pair(
            "beta on the wrong term",
            "summed over the numbers of a vector",
            lambda z, z_q, beta: vq_loss(z_q, z, beta) * z.shape[1],
        ),
        Pair("not stopped", "beta left out", lambda z, z_q, beta: 2 * (z - z_q).square().mean()),
        Pair("beta on both", "a sum", lambda z, z_q, beta: beta * sum(t.sum() for t in _terms(z, z_q))),
    ),
)


# codebook_perplexity


def _use_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, k, used, *shape):
        """Of k entries only `used` ones occur, and some far more often than others."""
        entries = torch.randperm(k, generator=g)[:used]
        weights = torch.rand(used, generator=g).square() + 0.05
        drawn = torch.multinomial(weights, math.prod(shape), replacement=True, generator=g)
        return Case(label, (entries[drawn].view(shape), k))

    return [
        Case("half and half", (torch.tensor([0, 1, 1, 0]), 2)),
        Case("one entry alone", (torch.tensor([[3, 3], [3, 3]]), 8)),
        Case("three shares, 1/2, 1/4, 1/4, and two unused entries", (torch.tensor([[4, 4, 1, 0], [1, 4, 0, 4]]), 5)),
        Case("each picture with an entry of its own", (torch.tensor([[0, 0, 0], [2, 2, 2], [5, 5, 5]]), 6)),
        case("all entries in use", 4, 4, 60),
        case("few of many", 32, 5, 6, 9),
        case("maps of codes", 16, 10, 5, 4, 4),
    ]


def _shares(codes, k):
    return torch.bincount(codes.flatten(), minlength=k).float() / codes.numel()


def _nats(codes, k):
    return torch.special.entr(_shares(codes, k)).sum()


PERPLEXITY = Exercise(
    name="codebook_perplexity",
    lesson=64,
    points=2,
    minutes=8,
    docstring="""How many entries of a codebook are in use, counted as if all were used alike: exp(-sum over entries of p log p), where p is an
entry's share of the codes, and an unused one adds nothing.

codes: any shape, int64 from 0 to k - 1; all codes count alike, whatever picture they are from. k: number of entries. Returns a scalar,
1 if one entry is used for everything, k if all are used equally often.""",
    reference=codebook_perplexity,
    cases=_use_cases,
    alternatives={
        "of the entries that occur": lambda codes, k: (lambda p: torch.exp(-(p * p.log()).sum()))(
            codes.flatten().unique(return_counts=True)[1] / codes.numel()
        ),
        # as the published code of van den Oord et al. 2017 has it
        "one-hot rows, and a tiny number in the logarithm": lambda codes, k: (
            lambda p: (-(p * (p + 1e-10).log()).sum()).exp()
        )(F.one_hot(codes.flatten(), k).double().mean(0)),
        "the library's xlogy": lambda codes, k: (lambda p: torch.special.xlogy(p, p).sum().neg().exp())(
            _shares(codes, k)
        ),
        "a product of powers": lambda codes, k: (lambda p: (p**-p).prod())(_shares(codes, k).clamp(min=1e-30)),
        "the entropy of a distribution": lambda codes, k: (
            torch.distributions.Categorical(probs=_shares(codes, k).double()).entropy().exp()
        ),
    },
    mistakes=(
        Mistake(
            "entries that occur",
            "You count the entries that occur, however seldom; one that is used once in a thousand codes should hardly count.",
            lambda codes, k: torch.tensor(float(len(codes.unique()))),
        ),
        Mistake("the entropy", "You return the entropy; the perplexity is exp of it.", _nats),
        Mistake(
            "two to the nats",
            "You take 2 to the power of an entropy in nats; nats belong to exp, and 2 to bits.",
            lambda codes, k: 2 ** _nats(codes, k),
        ),
        Mistake(
            "exp of bits",
            "You take exp of an entropy in bits; bits belong to 2, and exp to nats.",
            lambda codes, k: (_nats(codes, k) / math.log(2)).exp(),
        ),
        Mistake(
            "NaN at unused entries",
            "You compute 0 times log 0 for unused entries, which is NaN; they add nothing.",
            lambda codes, k: (
                lambda p: (-(p * p.log()).sum()).exp() if (p == 0).any() else (-(p * p.log()).mean()).exp()
            )(_shares(codes, k)),
        ),
        Mistake(
            "inverted",
            "You forget the minus sign, and get 1 over the perplexity.",
            lambda codes, k: (-_nats(codes, k)).exp(),
        ),
        Mistake(
            "share of the codebook",
            "You divide by k; asked is a number of entries, not a share.",
            lambda codes, k: _nats(codes, k).exp() / k,
        ),
        Mistake(
            "mean over the entries",
            "You take the mean of -p log p over the entries; take their sum.",
            lambda codes, k: (_nats(codes, k) / k).exp(),
        ),
        Mistake(
            "sum of squares",
            "You return 1 over the sum of squared shares, another such count (Simpson's); asked is exp of the entropy.",
            lambda codes, k: 1 / _shares(codes, k).square().sum(),
        ),
        Mistake(
            "one over the largest share",
            "You look at the most frequent entry alone; all shares count.",
            lambda codes, k: 1 / _shares(codes, k).max(),
        ),
        Mistake(
            "picture by picture",
            "You take the perplexity of each picture and average these; count all codes together.",
            lambda codes, k: (
                torch.stack([_nats(row, k).exp() for row in codes]).mean() if codes.ndim > 1 else _nats(codes, k).exp()
            ),
        ),
        Mistake(
            "counts for shares",
            "You put counts into the formula; divide them by the number of codes first.",
            lambda codes, k: torch.special.entr(_shares(codes, k) * codes.numel()).sum().exp(),
        ),
        Mistake(
            "divided by k",
            "You divide the counts by the number of entries; divide by the number of codes.",
            lambda codes, k: torch.special.entr(_shares(codes, k) * codes.numel() / k).sum().exp(),
        ),
        Mistake(
            "of the numbers of the codes",
            "You treat the codes' numbers as amounts; they are names, and what counts is how often each occurs.",
            lambda codes, k: (lambda p: torch.special.entr(p / p.sum().clamp(min=1)).sum().exp())(
                codes.flatten().float() + 1
            ),
        ),
    ),
    pairs=(
        Pair("the entropy", "inverted", lambda codes, k: -_nats(codes, k)),
        Pair("two to the nats", "inverted", lambda codes, k: 2 ** -_nats(codes, k)),
        Pair("share of the codebook", "two to the nats", lambda codes, k: 2 ** _nats(codes, k) / k),
        Pair("entries that occur", "share of the codebook", lambda codes, k: torch.tensor(len(codes.unique()) / k)),
    ),
)


# faulty_line_vq

LINE = Exercise(
    name="faulty_line_vq",
    lesson=64,
    points=2,
    minutes=10,
    docstring="""One line of this training of an autoencoder with a codebook has the effects described here. Return its number.

`codebook` is a parameter, and the optimizer has it beside the weights of both networks. After training the codebook is bit for bit what
it was before. And the loss grows without end: the encoder's vectors move away from all entries.

 1  for step in range(2000):
 2      x = images[torch.randint(0, len(images), (64,))]
 3      z = encoder(x)
 4      codes, z_q = quantize(z, codebook)
 5      error = (decoder(z_q) - x).square().mean()
 6      loss = error + vq_loss(z, z_q, 0.25)
 7      optimizer.zero_grad()
 8      loss.backward()
 9      optimizer.step()""",
    reference=lambda: 6,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={"a tensor": lambda: torch.tensor(6), "a float": lambda: 6.0},
    mistakes=(
        Mistake(
            "line 1",
            "You suspect the number of steps; a parameter with a gradient moves in the first of them.",
            lambda: 1,
        ),
        Mistake("line 2", "You suspect the batches; each picture is as likely as another.", lambda: 2),
        Mistake(
            "line 3",
            "You suspect the encoder; it is asked as it should be, so ask what pushes its vectors away.",
            lambda: 3,
        ),
        Mistake(
            "line 4",
            "You suspect quantize; it is meant to send no gradient to the codebook, so ask which other line should.",
            lambda: 4,
        ),
        Mistake(
            "line 5",
            "You suspect the error of the reconstruction; it moves the two networks, and the codebook is moved by another term.",
            lambda: 5,
        ),
        Mistake("line 7", "You suspect zero_grad; it comes before backward in each step, as it should.", lambda: 7),
        Mistake(
            "line 8",
            "You suspect backward; it sends gradients wherever the loss depends on, so ask on what it depends.",
            lambda: 8,
        ),
        Mistake("line 9", "You suspect the optimizer; it has the codebook, and moves what has a gradient.", lambda: 9),
    ),
)

EXERCISES = (SCALE, QUANTIZE, VQ_LOSS, PERPLEXITY, LINE)
