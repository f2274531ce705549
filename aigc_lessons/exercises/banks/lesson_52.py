"""The exercises of lesson 52: a test for copies, a model that is fed with its own samples, weights against a bias, and a rate to derive."""

import itertools
import math

import numpy as np
import torch

from ...data import reweight
from ...metrics import copy_test
from ...ops import self_train_variance
from ..engine import Case, Exercise, Mistake

# copy_test

_ENUMERATED = 7  # pictures a side up to which every draw is gone through


def _copy_cases(seed):
    g = torch.Generator().manual_seed(seed)
    seeds = torch.randint(2**31, (4,), generator=g).tolist()

    def near(pool, which, spread=0.05):
        """Pictures whose nearest one in the pool is beyond doubt."""
        return pool[which] + spread * (2 * torch.rand(len(which), *pool.shape[1:], generator=g) - 1)

    def pictures(n, *shape):
        return 2 * torch.rand(n, *shape, generator=g) - 1

    def case(label, generated, train, held_out, permutations, seeds):
        return Case(label, (generated, train, held_out, permutations, seeds))

    few, hubs, many = pictures(6, 1, 4, 4), pictures(14, 3, 4, 5), pictures(60, 1, 6, 6)
    three = torch.randperm(3, generator=g).repeat(3)
    crowd = torch.tensor([0] * 9 + [7] * 4 + [1, 2, 3, 8])
    one = torch.tensor([[[[0.0, 0.0], [0.0, 0.0]]]])
    return [
        case("three pictures of each, 20 possible draws", near(few, three), few[:3], few[3:], 400, seeds),
        case("many samples end at one picture", near(hubs, crowd), hubs[:7], hubs[7:], 400, seeds),
        case("only copies", many[:30].clone(), many[:30], many[30:], 19, seeds[:2]),
        case("nothing near a training picture", near(many, torch.arange(30, 60)), many[:30], many[30:], 19, seeds[:2]),
        case(
            "every picture is the nearest one once", near(many, torch.arange(60)), many[:30], many[30:], 39, seeds[:2]
        ),
        case(
            "one picture of each, a little everywhere against much in one place",
            one,
            one + 0.4,
            one + torch.tensor([[0.95, 0.0], [0.0, 0.0]]),
            9,
            seeds[:1],
        ),
        case("one picture of each, a darker and a lighter one", one, one - 0.3, one + 0.5, 9, seeds[:1]),
        case(
            "more training pictures: a ValueError",
            near(many, torch.arange(8, 16)),
            many[:20],
            many[20:30],
            19,
            seeds[:1],
        ),
        case(
            "more held-out pictures: a ValueError",
            near(many, torch.arange(16, 24)),
            many[:9],
            many[9:30],
            19,
            seeds[:1],
        ),
    ]


def _copy_call(function, generated, train, held_out, permutations, seeds):
    """(S + 1, 2): rate and p for each seed, then for the first one again; -1 and -1 where the sets are refused by a ValueError."""
    import torch

    answers = []
    for number, seed in enumerate([*seeds, seeds[0]]):
        torch.manual_seed(number)
        try:
            answer = function(generated, train, held_out, permutations, torch.Generator().manual_seed(seed))
        except ValueError:
            answer = (-1.0, -1.0)
        if not isinstance(answer, (tuple, list)) or len(answer) != 2 or any(torch.as_tensor(a).ndim for a in answer):
            raise TypeError("Return two numbers, (rate, p).")
        answers.append([float(item) for item in answer])
    return torch.tensor(answers, dtype=torch.float64)


def _copy_read(record, generated, train, held_out, permutations, seeds):
    """(rate, p, 1 if a seed that is used again gives the same p).

    Where all draws can be gone through, the share of them that reach the rate stands for p, if the p's of all seeds together are within
    five standard deviations of it: a right answer may draw in whatever order it likes.
    """
    record = torch.as_tensor(record, dtype=torch.float64)
    if tuple(record.shape) != (len(seeds) + 1, 2):
        raise ValueError("a record of another form")
    rates, p = record[:, 0], record[:-1, 1].mean().item()
    rate = rates[0].item() if (rates == rates[0]).all() else float("nan")
    again = float(record[0, 1] == record[-1, 1])
    if len(train) == len(held_out) <= _ENUMERATED and p >= 0:
        share = _share_of_draws(generated.double(), train.double(), held_out.double())
        drawn = ((1 + permutations) * p - 1) / permutations
        deviation = (share * (1 - share) / (permutations * len(seeds))) ** 0.5
        p = share if abs(drawn - share) <= 5 * deviation + 1e-9 else p
    return rate, p, again


def _share_of_draws(generated, train, held_out):
    """Of all ways to say which half of the pictures were trained on: the share with at least as many samples near them."""
    n = len(train)
    counts = torch.bincount(_ends(generated, train, held_out), minlength=2 * n).tolist()
    reached = [sum(counts[i] for i in half) >= sum(counts[:n]) for half in itertools.combinations(range(2 * n), n)]
    return sum(reached) / len(reached)


def _ends(generated, train, held_out):
    """Where each generated picture ends: (N,), the place of its nearest one among the training pictures, then the held-out ones."""
    return torch.cdist(generated.flatten(1), torch.cat([train, held_out]).flatten(1)).argmin(1)


def _refuse(train, held_out):
    if len(train) != len(held_out):
        raise ValueError(f"{len(train)} training and {len(held_out)} held-out pictures: give as many of both.")


def _copying(
    ends=_ends,
    draw=torch.randperm,
    reached=lambda drawn, seen: drawn >= seen,
    added=1,
    sets=None,
    p_of=None,
    rate_of=None,
):
    """The test, with one part of it changed."""

    def test(generated, train, held_out, permutations, generator):
        if sets is None:
            _refuse(train, held_out)
        else:
            train, held_out = sets(train, held_out)
        n, m = len(train), len(train) + len(held_out)
        end = ends(generated, train, held_out)
        seen = (end < n).sum().item()
        rate = rate_of(generated, train, held_out) if rate_of else seen / len(generated)
        if p_of:
            return rate, p_of(seen, len(generated), permutations, generator)
        counts = torch.bincount(end, minlength=m)
        drawn = [counts[draw(m, generator=generator)[:n]].sum().item() for _ in range(permutations)]
        return rate, (added + sum(reached(d, seen) for d in drawn)) / (added + permutations)

    return test


def _two_distances(generated, train, held_out, permutations, generator):
    """Nearest of each set by itself; the labels of the pool are shuffled."""
    if train.shape[0] != held_out.shape[0]:
        raise ValueError("The two sets have to be of one size.")
    g, t, h = (x.flatten(1).double() for x in (generated, train, held_out))
    to_train, to_held_out = torch.cdist(g, t).min(1), torch.cdist(g, h).min(1)
    copies = to_train.values < to_held_out.values
    ends = torch.where(copies, to_train.indices, to_held_out.indices + len(t))
    label = torch.cat([torch.ones(len(t)), torch.zeros(len(h))])
    at_least = 1
    for _ in range(permutations):
        shuffled = label[torch.randperm(len(label), generator=generator)]
        at_least += int(shuffled[ends].sum() >= copies.sum())
    return copies.double().mean(), at_least / (permutations + 1)


def _all_draws_at_once(generated, train, held_out, permutations, generator):
    _refuse(train, held_out)
    n = len(train)
    squares = (generated[:, None] - torch.cat([train, held_out])[None]).square().flatten(2).sum(2)
    counts = torch.nn.functional.one_hot(squares.argmin(1), 2 * n).sum(0)
    half = torch.rand(permutations, 2 * n, generator=generator).argsort(1) < n  # as many True in each row
    null = (half * counts).sum(1)
    return counts[:n].sum() / len(generated), (1 + (null >= counts[:n].sum()).sum()) / (1 + permutations)


def _numpy_copy_test(generated, train, held_out, permutations, generator):
    """NumPy's own generator, which one number of torch's seeds."""
    _refuse(train, held_out)
    chance = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
    pool = np.concatenate([train.numpy(), held_out.numpy()]).reshape(2 * len(train), -1)
    ends = np.array([((pool - x.numpy().ravel()) ** 2).sum(1).argmin() for x in generated])
    trained_on = np.arange(len(pool)) < len(train)
    seen = trained_on[ends].mean()
    null = np.array([chance.permutation(trained_on)[ends].mean() for _ in range(permutations)])
    return seen, (1 + (null >= seen - 1e-12).sum()) / (1 + permutations)


def _binomial_tail(seen, total, permutations, generator):
    return sum(math.comb(total, k) for k in range(seen, total + 1)) / 2**total


def _coins(seen, total, permutations, generator):
    heads = (torch.rand(permutations, total, generator=generator) < 0.5).sum(1)
    return (1 + (heads >= seen).sum().item()) / (1 + permutations)


def _bootstrap(seen, total, permutations, generator):
    drawn = (torch.rand(permutations, total, generator=generator) < seen / total).double().mean(1)
    return (1 + (drawn <= 0.5).sum().item()) / (1 + permutations)


def _bytes(x):
    return ((x.flatten(1).clamp(-1, 1) + 1) * 127.5).to(torch.uint8)


def _ends_in_bytes(generated, train, held_out):
    a, b = _bytes(generated), _bytes(torch.cat([train, held_out]))
    return (a[:, None] - b[None]).pow(2).long().sum(2).argmin(1)  # 3 - 5 is 254, and 20 * 20 is 144


def _ends_by_mean_distance(generated, train, held_out):
    """0 for a generated picture that is nearer to the training pictures on average, else a place among the others."""
    mean = lambda x: torch.cdist(generated.flatten(1), x.flatten(1)).mean(1)
    return torch.where(mean(train) < mean(held_out), 0, len(train))


def _share_of_pictures_found(generated, train, held_out):
    """Seen from the other side: of all pairs of a training and a held-out picture, in how many a sample lies nearer to the first."""
    nearest = lambda x: torch.cdist(x.flatten(1), generated.flatten(1)).amin(1)
    return (nearest(train) < nearest(held_out)).double().mean().item()


def _within_a_threshold(generated, train, held_out):
    return (torch.cdist(generated.flatten(1), train.flatten(1)).amin(1) < 0.1).double().mean().item()


def _same_draw_again(m, generator):
    return torch.randperm(m, generator=torch.Generator().manual_seed(generator.initial_seed()))


def _as_large_as_the_smaller(train, held_out):
    n = min(len(train), len(held_out))
    return train[:n], held_out[:n]


COPY_TEST = Exercise(
    name="copy_test",
    lesson=52,
    points=4,
    minutes=30,
    docstring="""Do generated pictures lie nearer to training pictures than to held-out ones? Returns (rate, p), two numbers.

generated: (N, C, H, W). train, held_out: (M, C, H, W) each; sets of unequal size are refused by a ValueError. Distance: Euclidean, over
all channels and pixels. rate: the share of generated pictures whose nearest one, among both sets together, is a training picture (no
two are equally near here). p: draw `permutations` times, with `generator` (a torch.Generator), which M of the 2 M pictures "were trained
on"; p is the share of draws, the true one counted as one of them, whose rate is at least as large. So p is at least 1 / (1 + permutations),
and the same seed gives the same p. Where few pictures allow it, the check compares with all possible draws. A ValueError is shown
as rate -1 and p -1.""",
    reference=copy_test,
    cases=_copy_cases,
    call=_copy_call,
    read=_copy_read,
    parts=("the rate", "p", "the same p for the same seed, 1 for yes"),
    alternatives={
        "draw by draw": _copying(),
        "two distances, labels shuffled": _two_distances,
        "all draws at once": _all_draws_at_once,
        "NumPy": _numpy_copy_test,
    },
    mistakes=(
        # Made while this course was written: a perfect copier then scored 0.62, its sources being outside of the sample.
        Mistake(
            "a part of the larger set",
            "You cut the larger set to the size of the smaller one without a word, and copies of what you cut away are missed; refuse it.",
            _copying(sets=_as_large_as_the_smaller),
        ),
        Mistake(
            "unequal sizes accepted",
            "You accept sets of unequal size, and among more pictures a nearer one is found by chance; raise a ValueError.",
            _copying(sets=lambda train, held_out: (train, held_out)),
        ),
        # Measured on null splits of 600 digits: 6.5 % rejections at the level of 5 %.
        Mistake(
            "binomial p",
            "You use a binomial p, as if the samples were independent, but many of them end at the same picture; permute who was trained on.",
            _copying(p_of=_binomial_tail),
        ),
        Mistake(
            "a coin for each sample",
            "You toss a coin for each sample; samples that end at the same picture must go together, so draw which pictures were trained on.",
            _copying(p_of=_coins),
        ),
        Mistake(
            "bootstrap of the samples",
            "You draw the samples anew and ask how often the rate falls to 1/2; that is an interval of the rate, not a test of the null.",
            _copying(p_of=_bootstrap),
        ),
        # Phipson and Smyth 2010, Permutation P-values Should Never Be Zero.
        Mistake(
            "the true draw not counted",
            "You leave out the true draw, so your p can be 0; it is one of the draws: add 1 above and below.",
            _copying(added=0),
        ),
        Mistake(
            "only draws that are larger",
            "You count the draws whose rate is larger; those with the same rate belong to them.",
            _copying(reached=lambda drawn, seen: drawn > seen),
        ),
        Mistake(
            "the lower tail",
            "You count the draws whose rate is at most as large, which tests whether the model avoids its training pictures.",
            _copying(reached=lambda drawn, seen: drawn <= seen),
        ),
        Mistake(
            "the share of held-out pictures",
            "You return the share that ends at a held-out picture; copies end at training pictures.",
            _copying(rate_of=lambda g, t, h: (_ends(g, t, h) >= len(t)).double().mean().item()),
        ),
        Mistake(
            "from the other side",
            "You ask which pictures have a sample near them; a model that repeats one training picture for ever would pass, so start at the samples.",
            _copying(rate_of=_share_of_pictures_found),
        ),
        # YuxinWenRick/diffusion_memorization issue 5: a fixed threshold of similarity does not carry over.
        Mistake(
            "a fixed threshold",
            "You count the samples that are nearer than a fixed distance; what is near differs between data sets, so compare with held-out pictures.",
            _copying(rate_of=_within_a_threshold),
        ),
        Mistake(
            "mean distance",
            "You compare mean distances to the two sets, in which one copied picture disappears; take the nearest one.",
            _copying(ends=_ends_by_mean_distance),
        ),
        Mistake(
            "bytes",
            "You subtract bytes, and 3 - 5 is 254 there; convert to floats before you subtract.",
            _copying(ends=_ends_in_bytes),
        ),
        Mistake(
            "sum of absolute differences",
            "You add up absolute differences; asked is the Euclidean distance, the root of the sum of squares.",
            _copying(ends=lambda g, t, h: torch.cdist(g.flatten(1), torch.cat([t, h]).flatten(1), p=1).argmin(1)),
        ),
        Mistake(
            "drawn with replacement",
            "You draw the pictures with replacement, so that one can count twice; a draw says of each picture whether it was trained on.",
            _copying(draw=lambda m, generator: torch.randint(m, (m,), generator=generator)),
        ),
        Mistake(
            "the same draw again and again",
            "You start the generator anew for each draw, so that all draws are one.",
            _copying(draw=_same_draw_again),
        ),
        Mistake(
            "the global random state",
            "You draw from torch's global random state; use the generator that you are given, so that the same seed gives the same p.",
            _copying(draw=lambda m, generator: torch.randperm(m)),
        ),
    ),
)


# self_train_variance


def _variance_cases(seed):
    g = torch.Generator().manual_seed(seed)
    drawn = lambda low, high: int(torch.randint(low, high, (), generator=g))
    cases = [
        ("the real data", 7, 0, 0),
        ("the real data, kept", 7, 0, 1),
        ("one generation", 4, 1, 0),
        ("one generation, kept", 4, 1, 1),
        ("two generations", 5, 2, 0),
        ("two generations, kept", 5, 2, 1),
        ("one number a generation", 1, 3, 0),
        ("replaced", drawn(3, 30), drawn(4, 12), 0),
        ("kept", drawn(3, 8), drawn(4, 12), 1),
        ("replaced, many generations", drawn(40, 80), drawn(60, 100), 0),
        ("kept, many generations", drawn(3, 6), drawn(60, 100), 1),
    ]
    return [Case(label, (n, generations, keep)) for label, n, generations, keep in cases]


def _variance_step_by_step(n, generations, keep):
    variance = 1.0
    for g in range(generations):
        of_the_mean = variance / n / ((g + 1) ** 2 if keep else 1)
        variance -= of_the_mean
    return variance


def _variance_by_powers(n, generations, keep):
    g = torch.arange(1, generations + 1, dtype=torch.float64)
    return (1 - g ** (-2 * int(keep)) / n).prod()


def _variance_by_gamma(n, generations, keep):
    """With keep, the product of (1 - a^2 / g^2) as a quotient of gamma functions; a = 1 / sqrt(n)."""
    if not keep:
        return ((n - 1) / n) ** generations
    if n == 1:
        return 0.0 if generations else 1.0
    a, g = n**-0.5, generations
    lg = math.lgamma
    return math.exp(lg(g + 1 - a) + lg(g + 1 + a) - 2 * lg(g + 1) - lg(1 - a) - lg(1 + a))


def _variance(kept, replaced=lambda n, g: 1 - 1 / n, total=math.prod):
    """The product over the generations g from 1 of a factor each."""
    return lambda n, generations, keep: float(
        total((kept if keep else replaced)(n, g) for g in range(1, generations + 1))
    )


_KEPT = lambda n, g: 1 - 1 / (n * g * g)

VARIANCE = Exercise(
    name="self_train_variance",
    lesson=52,
    points=3,
    minutes=25,
    docstring="""The variance to be expected of a Gaussian that is fitted again and again to samples of its own.

The real data have variance 1. n: the first Gaussian is fitted to n real numbers: their mean, and the maximum-likelihood variance (mean
squared deviation, divided by n). keep: 0, each later one is fitted in the same way to n samples of the one before; 1, to
all there ever were: the n real numbers and n samples of each earlier Gaussian. generations: how many Gaussians are fitted one after
the other; 0 means the real data. Returns a number, the expected variance of the last Gaussian, exactly.""",
    reference=self_train_variance,
    cases=_variance_cases,
    alternatives={
        "step by step": _variance_step_by_step,
        "a power of g": _variance_by_powers,
        "gamma functions": _variance_by_gamma,
    },
    mistakes=(
        # The unbiased variance, torch's own default: it has no shrinkage to show.
        Mistake(
            "unbiased variance",
            "You divide by n - 1, with which nothing shrinks on average; the maximum-likelihood variance divides by n.",
            lambda n, generations, keep: 1.0,
        ),
        Mistake(
            "kept makes no difference",
            "You let the variance shrink as if the earlier data had been thrown away.",
            _variance(kept=lambda n, g: 1 - 1 / n),
        ),
        Mistake(
            "kept means no loss",
            "You return the first generation's variance for kept data; each later mean still moves a little, and that variance is lost.",
            _variance(kept=lambda n, g: 1 - 1 / n if g == 1 else 1.0),
        ),
        Mistake(
            "all data as if they were real",
            "You take all n g numbers for independent real ones; those that come from models share the error of their models.",
            lambda n, generations, keep: (
                self_train_variance(n, generations, keep) if not keep or generations == 0 else 1 - 1 / (n * generations)
            ),
        ),
        Mistake(
            "n g in place of n g^2",
            "You divide by n g in generation g; the new numbers are one part of g, and a variance takes the square of that part.",
            _variance(kept=lambda n, g: 1 - 1 / (n * g)),
        ),
        Mistake(
            "one generation too few",
            "You start with a Gaussian that knows the real variance; the first one, too, is fitted to n numbers.",
            lambda n, generations, keep: self_train_variance(n, max(0, generations - 1), keep),
        ),
        Mistake(
            "one generation too many",
            "You count one generation too many: 0 generations are the real data, and their variance is 1.",
            lambda n, generations, keep: self_train_variance(n, generations + 1, keep),
        ),
        Mistake(
            "standard deviation",
            "You return the standard deviation; asked is the variance.",
            lambda n, generations, keep: self_train_variance(n, generations, keep) ** 0.5,
        ),
        Mistake(
            "losses added up",
            "You add up the losses as if each were a share of the variance at the start; each is a share of what is left.",
            lambda n, generations, keep: (
                1 - sum(1 - f for f in ((_KEPT(n, g) if keep else 1 - 1 / n) for g in range(1, generations + 1)))
            ),
        ),
        Mistake(
            "exponential",
            "You replace 1 - 1/n by exp(-1/n), which is right for large n only.",
            lambda n, generations, keep: math.exp(
                -sum(1 / (n * (g * g if keep else 1)) for g in range(1, generations + 1))
            ),
        ),
        Mistake(
            "keep turned round",
            "You treat keep the other way round: 1 means that the earlier data stay.",
            lambda n, generations, keep: self_train_variance(n, generations, not keep),
        ),
        Mistake(
            "divided by n - 1",
            "You lose 1 / (n - 1) of the variance each time; the mean of n numbers has the variance 1 / n.",
            lambda n, generations, keep: float(
                math.prod(1 - 1 / (max(n - 1, 0.5) * (g * g if keep else 1)) for g in range(1, generations + 1))
            ),
        ),
    ),
)


# reweight


def _reweight_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def drawn(counts):
        labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        return labels[torch.randperm(len(labels), generator=g)]

    shares = torch.rand(4, generator=g) + 0.2
    return [
        Case("nine of one and one of the other, to equal shares", (drawn([9, 1]), torch.tensor([0.5, 0.5]))),
        Case("three classes", (drawn([5, 3, 2]), torch.tensor([0.2, 0.3, 0.5]))),
        Case("already as wished: all weights equal", (drawn([6, 2, 4]), torch.tensor([0.5, 1 / 6, 1 / 3]))),
        Case("a class that is not wanted", (drawn([4, 4, 2]), torch.tensor([0.75, 0.0, 0.25]))),
        Case("a class without a sample, and none wished for", (drawn([3, 0, 7]), torch.tensor([0.6, 0.0, 0.4]))),
        Case(
            "drawn classes and shares",
            (
                torch.cat([torch.arange(4), torch.randint(4, (20,), generator=g)]),
                shares / shares.sum(),
            ),
        ),
        Case("one sample", (torch.tensor([1]), torch.tensor([0.0, 1.0]))),
    ]


def _weights(of):
    """Weights from counts (K,) and target (K,), for each label."""
    return lambda labels, target: of(torch.bincount(labels, minlength=len(target)).to(target.dtype), target)[labels]


def _summing_to_one(weights):
    return lambda labels, target: (w := weights(labels, target)) / w.sum()


def _reweight_by_one_hot(labels, target):
    one_hot = torch.nn.functional.one_hot(labels, len(target)).to(target.dtype)  # (N, K)
    return one_hot @ torch.where(target > 0, target / one_hot.sum(0), 0.0)


def _reweight_class_by_class(labels, target):
    weights = torch.zeros(len(labels))
    for k, share in enumerate(target):
        here = labels == k
        weights[here] = share / max(1, int(here.sum()))
    return weights


REWEIGHT = Exercise(
    name="reweight",
    lesson=52,
    points=2,
    minutes=12,
    docstring="""A weight for each sample, such that each class has the share of the whole weight that is wished for.

labels: (N,) int64. target: (K,) floats of at least 0 that sum to 1, the wished share of each of the K classes. A class without a sample
has the target 0. Returns (N,): weights that sum to 1; samples of one class weigh the same, and those of class k weigh target[k] together.""",
    reference=reweight,
    cases=_reweight_cases,
    alternatives={
        "one-hot": _reweight_by_one_hot,
        "class by class": _reweight_class_by_class,
        "target over frequency, then divided by the sum": _summing_to_one(
            _weights(lambda counts, target: target / (counts / counts.sum()).clamp(min=1e-9))
        ),
    },
    mistakes=(
        # What scikit-learn's class_weight="balanced" does, without its factor.
        Mistake(
            "always to equal shares",
            "You weigh by 1 / count whatever the target says, which makes all classes equally frequent.",
            _summing_to_one(_weights(lambda counts, target: 1 / counts.clamp(min=1))),
        ),
        Mistake(
            "not divided by the count",
            "You give each sample its class's share; divide it among the samples of the class.",
            lambda labels, target: target[labels],
        ),
        Mistake(
            "not divided by the count, normalized",
            "You weigh by the target alone, so a frequent class stays frequent; divide by how many samples the class has.",
            _summing_to_one(lambda labels, target: target[labels]),
        ),
        Mistake(
            "the quotient turned round",
            "You divide what is there by what is wished for, which makes the bias worse.",
            _summing_to_one(_weights(lambda counts, target: counts / target.clamp(min=1e-6))),
        ),
        Mistake(
            "mean 1",
            "Your weights have the mean 1; asked is that they sum to 1.",
            lambda labels, target: reweight(labels, target) * len(labels),
        ),
        Mistake(
            "a weight for each class",
            "You return a weight for each class; asked is one for each sample, so index by the labels.",
            lambda labels, target: target / torch.bincount(labels, minlength=len(target)).clamp(min=1),
        ),
        Mistake(
            "only classes that are there",
            "You count the classes that occur, so a class without a sample moves the counts of those behind it.",
            lambda labels, target: (
                target[labels]
                / torch.cat([torch.unique(labels, return_counts=True)[1], torch.ones(len(target))])[labels]
            ),
        ),
        Mistake(
            "square root",
            "You take the square root of the quotient, a compromise that leaves part of the bias.",
            _summing_to_one(_weights(lambda counts, target: (target / counts.clamp(min=1)).sqrt())),
        ),
        Mistake(
            "counts plus one",
            "You add 1 to the counts, which makes rare classes too light.",
            _summing_to_one(_weights(lambda counts, target: target / (counts + 1))),
        ),
        Mistake(
            "softmax of the target",
            "You apply softmax to the target, which are shares already.",
            lambda labels, target: reweight(
                labels, target.softmax(0) * (target > 0) / (target.softmax(0) * (target > 0)).sum()
            ),
        ),
        Mistake(
            "all weights equal",
            "You weigh all samples alike, which leaves the shares as they are.",
            lambda labels, target: torch.full((len(labels),), 1 / len(labels)),
        ),
    ),
)


# diluted_rate

DILUTED = Exercise(
    name="diluted_rate",
    lesson=52,
    points=2,
    minutes=10,
    docstring="""Which rate is to be expected of this copy test? Return the number.

A model was trained on 3,000 pictures. 40 % of its samples are exact copies of one of them, each of the 3,000 equally often. The other samples are
innocent: they end at a training picture as often as at a held-out one. Only 600 pictures were held back, so 600 of the 3,000 training pictures
are drawn at random, and the test compares with these. A copy whose source was not drawn is as good as innocent: it ends on either
side equally often.""",
    reference=lambda: 0.54,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={"calculated": lambda: 0.5 + 0.4 * (600 / 3000) / 2, "a tensor": lambda: torch.tensor(0.54)},
    mistakes=(
        Mistake(
            "nothing lost",
            "You count every copy as found; four of five have their source outside of the sample.",
            lambda: 0.7,
        ),
        Mistake(
            "copies without a source never count",
            "You let a copy whose source was not drawn always end at a held-out picture; it ends there half of the time.",
            lambda: 0.38,
        ),
        Mistake("only copies", "You take all samples for copies; 60 % of them are not.", lambda: 0.6),
        Mistake(
            "the excess not halved",
            "You add the share of copies that are found to 1/2, but half of these samples would have ended there anyway.",
            lambda: 0.58,
        ),
        Mistake("innocent", "You expect what an innocent model scores, yet some of the copies are found.", lambda: 0.5),
    ),
)

EXERCISES = (COPY_TEST, VARIANCE, REWEIGHT, DILUTED)
