"""The exercises of lesson 44: the cycle, what CycleGAN's generators minimise, the buffer of earlier fakes."""

import random

import torch
import torch.nn.functional as F

from ...losses import cycle_loss, cyclegan_generator_loss, generator_loss
from ...models.cyclegan import ImageBuffer
from ..engine import Case, Exercise, Mistake

# cycle_loss


def _pictures(generator, shape, spread):
    """(pictures in [-1, 1], the same changed by about `spread`)."""
    x = 2 * torch.rand(shape, generator=generator) - 1
    return x, torch.tanh(x + spread * torch.randn(shape, generator=generator))


def _cycle_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, x, there_and_back):
        return Case(label, (torch.as_tensor(x), torch.as_tensor(there_and_back)), gradients=(0, 1))

    x, _ = _pictures(g, (3, 2, 4, 5), 0)
    return [
        case("one pixel", [[[[0.5]]]], [[[[-0.75]]]]),
        case("three pixels, one too bright, two too dark", [[[[0.5, -0.25, 1.0]]]], [[[[0.75, -0.5, 0.5]]]]),
        Case("an inverse: nothing is lost", (x, x.clone())),
        case("grey pictures", *_pictures(g, (4, 1, 3, 5), 0.8)),
        case("pictures in colour", *_pictures(g, (2, 3, 5, 4), 0.5)),
        case("good cycles", *_pictures(g, (5, 3, 2, 7), 0.01)),
    ]


def _cycle_one_by_one(x, there_and_back):
    """float64, value by value."""
    distances = [abs(a - b) for a, b in zip(x.double().flatten(), there_and_back.double().flatten())]
    return sum(distances) / len(distances)


CYCLE = Exercise(
    name="cycle_loss",
    lesson=44,
    points=1,
    minutes=4,
    differentiable=True,
    docstring="""How far pictures are from what comes back after a translation and the way back, as a mean absolute difference.

x: (N, C, H, W), the pictures. there_and_back: (N, C, H, W), the same after both translations.
Returns a scalar, at least 0: the mean over all elements.""",
    reference=cycle_loss,
    cases=_cycle_cases,
    alternatives={
        "the library": lambda x, there_and_back: F.l1_loss(there_and_back, x),
        "sum over count": lambda x, there_and_back: (x - there_and_back).abs().sum() / x.numel(),
        "norm over count": lambda x, there_and_back: torch.linalg.vector_norm(x - there_and_back, 1) / x.numel(),
        "larger minus smaller": lambda x, there_and_back: (
            torch.maximum(x, there_and_back) - torch.minimum(x, there_and_back)
        ).mean(),
        "one by one, float64": _cycle_one_by_one,
    },
    mistakes=(
        Mistake(
            "squared",
            "You square the differences; the cycle loss takes their absolute value.",
            lambda x, there_and_back: F.mse_loss(there_and_back, x),
        ),
        Mistake(
            "root of the squares",
            "You return the root of the mean square; the cycle loss is the mean of absolute values.",
            lambda x, there_and_back: (F.mse_loss(there_and_back, x) + 1e-12).sqrt(),
        ),
        Mistake(
            "signs kept",
            "You take no absolute value, so differences up and down cancel.",
            lambda x, there_and_back: (there_and_back - x).mean(),
        ),
        Mistake(
            "absolute value last",
            "You take the absolute value of the mean difference; take it of each, before the mean.",
            lambda x, there_and_back: (there_and_back - x).mean().abs(),
        ),
        Mistake(
            "absolute values first",
            "You take the absolute values of the pictures before you subtract, so black equals white; take "
            "that of the difference.",
            lambda x, there_and_back: (there_and_back.abs() - x.abs()).mean(),
        ),
        Mistake(
            "sum",
            "You add up the absolute differences; take their mean.",
            lambda x, there_and_back: (there_and_back - x).abs().sum(),
        ),
        Mistake(
            "sum over each picture",
            "You add up each picture's elements and take the mean over the batch only; the mean runs over all "
            "elements.",
            lambda x, there_and_back: (there_and_back - x).abs().flatten(1).sum(1).mean(),
        ),
        Mistake(
            "one value a picture",
            "You return one value for each picture; take their mean.",
            lambda x, there_and_back: (there_and_back - x).abs().flatten(1).mean(1),
        ),
        Mistake(
            "half",
            "You take half of the mean; it is the mean itself.",
            lambda x, there_and_back: cycle_loss(x, there_and_back) / 2,
        ),
        Mistake(
            "weighted already",
            "You multiply by the weight of 10 already; the weight comes where the terms are added.",
            lambda x, there_and_back: 10 * cycle_loss(x, there_and_back),
        ),
        Mistake(
            "negative",
            "You return minus the distance, so training would drive the pictures apart; a loss is minimised.",
            lambda x, there_and_back: -cycle_loss(x, there_and_back),
        ),
        Mistake(
            "smooth near 0",
            "You use the smooth (Huber) loss, which is squared near 0; take absolute values everywhere.",
            lambda x, there_and_back: F.smooth_l1_loss(there_and_back, x),
        ),
        Mistake(
            "largest difference",
            "You return the largest difference; take the mean of all.",
            lambda x, there_and_back: (there_and_back - x).abs().max(),
        ),
        Mistake(
            "first picture only",
            "You compare the first picture only; the mean runs over the whole batch.",
            lambda x, there_and_back: cycle_loss(x[:1], there_and_back[:1]),
        ),
    ),
)


# cyclegan_generator_loss


def _generator_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, *values, **weights):
        """Gradients of all that was made; a term of weight 0 may be left out."""
        followed = [
            (0, 1),
            (3, 5) if weights.get("cycle_weight", 10) else (),
            (6, 7) if weights.get("identity_weight", 5) else (),
        ]
        return Case(label, tuple(map(torch.as_tensor, values)), weights, gradients=sum(followed, ()))

    def drawn(label, patches_a, patches_b, shape_a, shape_b, **weights):
        logits = [2 * torch.randn(patches, generator=g) for patches in (patches_a, patches_b)]
        (a, cycled_a), (b, cycled_b) = _pictures(g, shape_a, 0.4), _pictures(g, shape_b, 0.9)
        same_a, same_b = (
            torch.tanh(x + spread * torch.randn(x.shape, generator=g)) for x, spread in ((a, 0.7), (b, 0.2))
        )
        return case(label, *logits, a, cycled_a, b, cycled_b, same_a, same_b, **weights)

    pixel = lambda value: [[[[value]]]]
    return [
        case(
            "one pixel, all weights 1",
            [3.0],
            [-1.0],
            *map(pixel, (0.5, 0.25, -0.5, 0.25, 0.625, 1.0)),
            cycle_weight=1.0,
            identity_weight=1.0,
        ),
        drawn(
            "the adversarial terms alone",
            (3, 1, 2, 4),
            (3, 1, 2, 4),
            (3, 2, 4, 5),
            (3, 2, 4, 5),
            cycle_weight=0,
            identity_weight=0,
        ),
        drawn(
            "no identity term",
            (2, 1, 3, 2),
            (2, 1, 3, 2),
            (2, 3, 5, 4),
            (2, 3, 5, 4),
            cycle_weight=2.5,
            identity_weight=0.0,
        ),
        drawn(
            "no cycle term",
            (2, 1, 4, 3),
            (2, 1, 4, 3),
            (2, 1, 6, 5),
            (2, 1, 6, 5),
            cycle_weight=0.0,
            identity_weight=3.0,
        ),
        drawn("the weights that are not given", (4, 1, 2, 3), (4, 1, 2, 3), (4, 3, 4, 3), (4, 3, 4, 3)),
        drawn(
            "everything at once",
            (3, 1, 5, 2),
            (3, 1, 5, 2),
            (3, 2, 3, 6),
            (3, 2, 3, 6),
            cycle_weight=4.0,
            identity_weight=7.0,
        ),
        drawn(
            "more pictures of A than of B, of another size",
            (5, 1, 2, 3),
            (2, 1, 4, 3),
            (5, 3, 3, 4),
            (2, 3, 6, 5),
            cycle_weight=1.5,
            identity_weight=0.5,
        ),
    ]


def _all_added(adversarial, cycle, identity, cycle_weight, identity_weight):
    return sum(adversarial) + cycle_weight * sum(cycle) + identity_weight * sum(identity)


def _cyclegan_with(
    adversarial=lambda logits: (logits - 1).square().mean(),
    distance=F.l1_loss,
    together=_all_added,
    identity_default=5.0,
):
    """The loss with another term for one direction, another distance, or terms put together in another way."""

    def loss(
        fake_logits_a,
        fake_logits_b,
        a,
        cycled_a,
        b,
        cycled_b,
        same_a,
        same_b,
        cycle_weight=10.0,
        identity_weight=identity_default,
    ):
        return together(
            [adversarial(fake_logits_a), adversarial(fake_logits_b)],
            [distance(cycled_a, a), distance(cycled_b, b)],
            [distance(same_a, a), distance(same_b, b)],
            cycle_weight,
            identity_weight,
        )

    return loss


def _put(together):
    return _cyclegan_with(together=together)


def _cyclegan_one_by_one(
    fake_logits_a, fake_logits_b, a, cycled_a, b, cycled_b, same_a, same_b, cycle_weight=10.0, identity_weight=5.0
):
    """float64, one direction after the other."""
    total = 0
    for logits, real, cycled, same in ((fake_logits_a, a, cycled_a, same_a), (fake_logits_b, b, cycled_b, same_b)):
        total = total + sum((1 - x) ** 2 for x in logits.double().flatten()) / logits.numel()
        total = total + cycle_weight * _cycle_one_by_one(real, cycled) + identity_weight * _cycle_one_by_one(real, same)
    return total


def _cyclegan_in_a_row(
    fake_logits_a, fake_logits_b, a, cycled_a, b, cycled_b, same_a, same_b, cycle_weight=10.0, identity_weight=5.0
):
    """Every element in one dot product with its weight."""
    parts = [((logits - 1) ** 2, 1) for logits in (fake_logits_a, fake_logits_b)]
    parts += [((cycled - real).abs(), cycle_weight) for real, cycled in ((a, cycled_a), (b, cycled_b))]
    parts += [((same - real).abs(), identity_weight) for real, same in ((a, same_a), (b, same_b))]
    weights = torch.cat([torch.full((part.numel(),), weight / part.numel()) for part, weight in parts])
    return weights @ torch.cat([part.flatten() for part, _ in parts])


def _cyclegan_crossed(which):
    """Pictures of one domain compared with those of the other, in the cycle or in the identity term."""

    def loss(
        fake_logits_a, fake_logits_b, a, cycled_a, b, cycled_b, same_a, same_b, cycle_weight=10.0, identity_weight=5.0
    ):
        if which == "cycle":
            cycled_a, cycled_b = cycled_b, cycled_a
        else:
            same_a, same_b = same_b, same_a
        return cyclegan_generator_loss(
            fake_logits_a, fake_logits_b, a, cycled_a, b, cycled_b, same_a, same_b, cycle_weight, identity_weight
        )

    return loss


GENERATOR = Exercise(
    name="cyclegan_generator_loss",
    lesson=44,
    points=3,
    minutes=12,
    differentiable=True,
    docstring="""What CycleGAN's two generators minimise together: six terms, three for each direction, all of them added up.

fake_logits_a, fake_logits_b: the discriminators' logits for pictures translated to A, and to B; any shapes. The adversarial term is
least squares: the mean of (logit - 1)^2.
a, b: real pictures (N, C, H, W) of each domain. cycled_a, cycled_b: the same after both translations. same_a: what the generator
that makes A makes of a; same_b: what the one that makes B makes of b. Both are compared by the mean absolute difference.
cycle_weight, identity_weight: what the two cycle terms and the two identity terms are multiplied by. Returns a scalar.""",
    reference=cyclegan_generator_loss,
    cases=_generator_cases,
    alternatives={
        "the library": _cyclegan_with(lambda logits: F.mse_loss(logits, torch.ones_like(logits))),
        "one by one, float64": _cyclegan_one_by_one,
        "a dot product": _cyclegan_in_a_row,
        "squares multiplied out": _cyclegan_with(lambda logits: logits.square().mean() - 2 * logits.mean() + 1),
        "direction by direction": _put(
            lambda adversarial, cycle, identity, cycle_weight, identity_weight: sum(
                g + cycle_weight * c + identity_weight * i for g, c, i in zip(adversarial, cycle, identity)
            )
        ),
    },
    mistakes=(
        Mistake(
            "cross-entropy",
            "You use the cross-entropy of a plain GAN; here the adversarial term is the mean of (logit - 1)^2.",
            _cyclegan_with(generator_loss),
        ),
        Mistake(
            "labels of a fake",
            "You pull the logits to 0, so your generators would help the discriminators; they want 1.",
            _cyclegan_with(lambda logits: logits.square().mean()),
        ),
        Mistake(
            "sigmoid first",
            "You send the logits through a sigmoid; least squares takes them as they are.",
            _cyclegan_with(lambda logits: (logits.sigmoid() - 1).square().mean()),
        ),
        Mistake(
            "half the squares",
            "You take half of the squares, as some write it; the adversarial term here is their mean.",
            _cyclegan_with(lambda logits: (logits - 1).square().mean() / 2),
        ),
        Mistake(
            "absolute distance to 1",
            "You take absolute distances to 1; the adversarial term is least squares.",
            _cyclegan_with(lambda logits: (logits - 1).abs().mean()),
        ),
        Mistake(
            "mean logit first",
            "You take the mean of the logits and then the square; the square comes first, patch by patch.",
            _cyclegan_with(lambda logits: (logits.mean() - 1).square()),
        ),
        Mistake(
            "sum over the patches",
            "You add up the patches; take their mean.",
            _cyclegan_with(lambda logits: (logits - 1).square().sum()),
        ),
        Mistake(
            "squared distances",
            "You compare pictures by squares; cycle and identity take the mean absolute difference.",
            _cyclegan_with(distance=F.mse_loss),
        ),
        Mistake(
            "sum over the pixels",
            "You add up the absolute differences of the pictures; take their mean.",
            _cyclegan_with(distance=lambda x, y: (x - y).abs().sum()),
        ),
        Mistake(
            "mean of both directions",
            "You take the mean of the two directions; they are added.",
            _put(
                lambda adversarial, cycle, identity, cycle_weight, identity_weight: (
                    (sum(adversarial) + cycle_weight * sum(cycle) + identity_weight * sum(identity)) / 2
                )
            ),
        ),
        Mistake(
            "mean of both cycles",
            "You take the mean of the two cycle terms and of the two identity terms; they are added.",
            _put(
                lambda adversarial, cycle, identity, cycle_weight, identity_weight: (
                    sum(adversarial) + cycle_weight * sum(cycle) / 2 + identity_weight * sum(identity) / 2
                )
            ),
        ),
        Mistake(
            "cycle weight ignored",
            "You never use cycle_weight.",
            _put(
                lambda adversarial, cycle, identity, cycle_weight, identity_weight: (
                    sum(adversarial) + sum(cycle) + identity_weight * sum(identity)
                )
            ),
        ),
        Mistake(
            "identity weight ignored",
            "You never use identity_weight.",
            _put(
                lambda adversarial, cycle, identity, cycle_weight, identity_weight: (
                    sum(adversarial) + cycle_weight * sum(cycle) + sum(identity)
                )
            ),
        ),
        Mistake(
            "weights exchanged",
            "You exchanged the weights: cycle_weight belongs to the way there and back, identity_weight to "
            "same_a and same_b.",
            _put(
                lambda adversarial, cycle, identity, cycle_weight, identity_weight: (
                    sum(adversarial) + identity_weight * sum(cycle) + cycle_weight * sum(identity)
                )
            ),
        ),
        Mistake(
            "identity weight within the cycle's",
            "You multiply the identity term by both weights, as the paper's own program does; here each has its own.",
            _put(
                lambda adversarial, cycle, identity, cycle_weight, identity_weight: (
                    sum(adversarial) + cycle_weight * (sum(cycle) + identity_weight * sum(identity))
                )
            ),
        ),
        Mistake(
            "other default weights",
            "Your signature has other default weights; they are cycle_weight=10.0 and identity_weight=5.0, as "
            "you see in the task.",
            _cyclegan_with(identity_default=0.5),
        ),
        Mistake(
            "no identity",
            "You leave out the identity terms.",
            _put(
                lambda adversarial, cycle, identity, cycle_weight, identity_weight: (
                    sum(adversarial) + cycle_weight * sum(cycle) + 0 * sum(identity)
                )
            ),
        ),
        Mistake(
            "no cycle",
            "You leave out the cycle terms, the only ones that tie a translation to its picture.",
            _put(
                lambda adversarial, cycle, identity, cycle_weight, identity_weight: (
                    sum(adversarial) + 0 * sum(cycle) + identity_weight * sum(identity)
                )
            ),
        ),
        Mistake(
            "no discriminators",
            "You leave out the adversarial terms, so leaving every picture as it is would be perfect.",
            _put(
                lambda adversarial, cycle, identity, cycle_weight, identity_weight: (
                    0 * sum(adversarial) + cycle_weight * sum(cycle) + identity_weight * sum(identity)
                )
            ),
        ),
        Mistake(
            "one discriminator",
            "You ask the discriminator of A only; both generators have one to fool.",
            _put(
                lambda adversarial, cycle, identity, cycle_weight, identity_weight: (
                    adversarial[0] + 0 * adversarial[1] + cycle_weight * sum(cycle) + identity_weight * sum(identity)
                )
            ),
        ),
        Mistake(
            "forward cycle only",
            "You leave out the cycle that begins in B; both directions count.",
            _put(
                lambda adversarial, cycle, identity, cycle_weight, identity_weight: (
                    sum(adversarial) + cycle_weight * (cycle[0] + 0 * cycle[1]) + identity_weight * sum(identity)
                )
            ),
        ),
        Mistake(
            "one identity only",
            "You leave out the identity term of B; both domains count.",
            _put(
                lambda adversarial, cycle, identity, cycle_weight, identity_weight: (
                    sum(adversarial) + cycle_weight * sum(cycle) + identity_weight * (identity[0] + 0 * identity[1])
                )
            ),
        ),
        Mistake(
            "cycles crossed",
            "You compare a with cycled_b and b with cycled_a; what began in a domain is compared with that domain.",
            _cyclegan_crossed("cycle"),
        ),
        Mistake(
            "identities crossed",
            "You compare a with same_b and b with same_a; each is compared with its own domain's picture.",
            _cyclegan_crossed("identity"),
        ),
    ),
)


# ImageBuffer


def _buffer_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, capacity, sizes, total, seeds, shape):
        """total: pictures that one buffer is given, in batches of `sizes` in turn. seeds: of one generator for each buffer."""
        return Case(label + _MEANING, (torch.rand(total, *shape, generator=g) * 2 - 1, capacity, sizes, seeds))

    def drawn(n):
        return torch.randint(2**31, (n,), generator=g).tolist()

    first = drawn(1)
    return [
        case("six pictures, room for six", 6, [2, 1], 6, drawn(2), (1, 2, 3)),
        case("the same random numbers twice, then others", 5, [3, 1], 45, [*first, *first, *drawn(1)], (2, 3, 2)),
        case("room for two, three pictures; 30 buffers", 2, [1], 3, drawn(30), (3, 1, 2)),
        case("room for three, a batch of five; 80 buffers", 3, [5], 5, drawn(80), (1, 3, 2)),
        case("room for one", 1, [2, 1], 150, drawn(1), (3, 2, 1)),
        case("room for six, 500 pictures", 6, [3, 1, 4, 2], 500, drawn(1), (2, 1, 3)),
    ]


_MEANING = """. The result has a 1 for what is right and a 0 for what is not:
    0 a tensor comes back, 1 of the shape given; 2 the given tensor is left as it is; 3 each picture that comes back was given before;
    4 until the buffer is full each comes back as it is; 5 none that came straight back comes again; 6 nor one that left the buffer;
    7 swaps are frequent enough, 8 not too frequent, 9 decided picture by picture; 10 with more than one place, 11 with each place
    equally often, 12 with old and new ones equally often; 13 pictures stored later come out too;
    14 equal random numbers give equal answers, 15 others do not.
  This case"""


def _record(function, pictures, capacity, sizes, seeds):
    """Give the pictures, in batches of `sizes` in turn, to a new buffer for each seed: for each, the pictures as they are
    afterwards, and what came back for each batch."""
    import torch

    pictures, batches, records = pictures.detach().clone(), [], []
    while sum(batches) < len(pictures):
        batches.append(min(sizes[len(batches) % len(sizes)], len(pictures) - sum(batches)))
    pictures[:, 0, 0, 0] = torch.linspace(-1, 1, len(pictures))  # the first value says which picture it is
    for seed in seeds:
        buffer, generator = function(capacity), torch.Generator().manual_seed(seed)
        given, answers = [], []
        for batch in pictures.split(batches):
            given.append(batch.clone())
            answer = buffer.query(given[-1], generator)
            if isinstance(answer, (list, tuple)):
                answer = [item.detach().clone() if isinstance(item, torch.Tensor) else item for item in answer]
            answers.append(answer.detach().clone() if isinstance(answer, torch.Tensor) else answer)
        records.append((torch.cat(given), answers))
    return records


def _read(records, pictures, capacity, sizes, seeds):
    """Look at what came back from the buffers of _record.

    Returns 16 numbers, 1 for what is right and 0 for what is not. What is random is compared with five standard deviations, so that
    a right buffer passes whatever it draws, and in whatever order. The buffers' insides are not looked at.
    """
    pictures, batches = pictures.detach().clone(), []
    while sum(batches) < len(pictures):
        batches.append(min(sizes[len(batches) % len(sizes)], len(pictures) - sum(batches)))
    tags = torch.linspace(-1, 1, len(pictures)).to(pictures)
    pictures[:, 0, 0, 0] = tags
    right = [1.0] * 16
    offered = swaps = pairs = alike = late = 0  # counts over all buffers, once they are full
    places, ages, lives = [0] * capacity, [0] * capacity, []

    def near(count, n, share):
        return abs(count - n * share) <= 5 * (n * share * (1 - share)) ** 0.5

    for seed, (given, returned) in zip(seeds, records, strict=True):
        answers = []
        for batch, answer in zip(pictures.split(batches), returned, strict=True):
            if isinstance(answer, (list, tuple)) and answer and all(isinstance(x, torch.Tensor) for x in answer):
                right[0], answer = 0.0, torch.stack(list(answer))
            if not isinstance(answer, torch.Tensor) or not answer.is_floating_point():
                return torch.zeros(16)
            if answer.shape != batch.shape:
                right[1] = 0.0
                if answer.numel() != batch.numel():
                    return torch.tensor(right[:2] + [0.0] * 14)
            answers.append(answer.reshape(batch.shape))
        if not torch.equal(given.to(pictures), pictures):
            right[2] = 0.0
        answers = torch.cat(answers)
        which = (answers[:, 0, 0, 0, None] - tags).abs().nan_to_num(nan=9.0).argmin(1)
        came = which.tolist()
        if any(it > now for now, it in enumerate(came)) or not torch.equal(answers.to(pictures), pictures[which]):
            right[3] = 0.0
            return torch.tensor(right[:4] + [0.0] * 12)
        lives.append(came)
        if seed in seeds[: len(lives) - 1]:
            continue  # the same chances again
        stored, slots, straight, now = list(range(capacity)), list(range(capacity)), set(), 0
        for size in batches:
            last = None  # whether the picture before, of the same batch, was swapped
            for _ in range(size):
                it = came[now]
                if now < capacity:
                    right[4] *= it == now
                else:
                    swap, offered = it != now, offered + 1
                    swaps, late = swaps + swap, late + (swap and it >= capacity)
                    if last is not None:
                        pairs, alike = pairs + 1, alike + (swap == last)
                    last = swap
                    if not swap:
                        straight.add(now)
                    elif it in stored:  # oldest first; slots: where each lies
                        ages[stored.index(it)] += 1
                        place = slots.index(it)
                        places[place] += 1
                        stored.remove(it)
                        stored.append(now)
                        slots[place] = now
                    else:
                        right[5 if it in straight else 6] = 0.0
                now += 1

    distinct = len({tuple(came) for came in lives})
    right[14] = float(all(came == lives[seeds.index(seed)] for came, seed in zip(lives, seeds)))
    if offered and len(set(seeds)) > 1 and distinct == 1:
        right[15] = 0.0
    elif right[4] and len(seeds) == 1 and swaps > 20 * capacity:
        right[13] = float(late > 0)
    if 0.0 in right[4:7] or not right[15]:  # chances mean nothing then
        return torch.tensor(right)
    if offered > 100:  # with fewer, a wrong share would not show for sure
        right[7] = float(swaps >= offered / 2 or near(swaps, offered, 0.5))
        right[8] = float(swaps <= offered / 2 or near(swaps, offered, 0.5))
        share = swaps / offered
        right[9] = float(abs(alike - pairs * (share**2 + (1 - share) ** 2)) <= 5 * pairs**0.5 / 2)
    if swaps > 60 and capacity > 1:
        right[10] = float(max(places) < swaps)
        right[11] = float(all(near(count, swaps, 1 / capacity) for count in places))
        right[12] = float(all(near(count, swaps, 1 / capacity) for count in ages))
    return torch.tensor(right)


class _Buffer:
    """A buffer with a method for each decision, so that a mistake is one method."""

    def __init__(self, capacity):
        self.capacity, self.images = capacity, []

    def query(self, images, generator):
        return torch.stack(
            [self.full(image, generator) if len(self.images) >= self.capacity else self.fill(image) for image in images]
        )

    def fill(self, image):
        self.images.append(image.clone())
        return image

    def full(self, image, generator):
        return self.swap(image, self.place(generator)) if self.coin(generator) else image

    def coin(self, generator):
        return torch.rand((), generator=generator).item() < 0.5

    def place(self, generator):
        return int(torch.randint(self.capacity, (), generator=generator))

    def swap(self, image, place):
        old, self.images[place] = self.images[place], image.clone()
        return old


def _but(**methods):
    """_Buffer with other methods."""
    return type("Buffer", (_Buffer,), methods)


class _AllCoinsAtOnce:
    def __init__(self, capacity):
        self.capacity, self.images = capacity, []

    def query(self, images, generator):
        coins = torch.rand(len(images), generator=generator) > 0.5
        places = torch.randint(self.capacity, (len(images),), generator=generator)
        answer = images.clone()
        for i, image in enumerate(images.clone()):
            if len(self.images) < self.capacity:
                self.images.append(image)
            elif coins[i]:
                answer[i] = self.images[places[i]]
                self.images[places[i]] = image
        return answer


class _OneTensor:
    """The pictures stored in one tensor; one draw says both whether and where."""

    def __init__(self, capacity):
        self.capacity, self.count, self.store = capacity, 0, None

    def query(self, images, generator):
        if self.store is None:
            self.store = images.new_zeros(self.capacity, *images.shape[1:])
        answer = []
        for image in images:
            if self.count < self.capacity:
                self.store[self.count] = image
                self.count += 1
                answer.append(image)
            else:
                place = torch.randint(2 * self.capacity, (1,), generator=generator).item()
                answer.append(image if place >= self.capacity else self.store[place].clone())
                if place < self.capacity:
                    self.store[place] = image
        return torch.stack(answer)


class _TakeOutAndAppend:
    def __init__(self, capacity):
        self.room, self.pool = capacity, []

    def query(self, images, generator):
        answer = []
        for image in images.split(1):
            if self.room > 0:
                self.room -= 1
                self.pool.append(image)
            elif torch.randint(2, (), generator=generator) == 0:
                self.pool.append(image)
                image = self.pool.pop(int(torch.randint(len(self.pool) - 1, (), generator=generator)))
            answer.append(image)
        return torch.cat(answer)


class _PythonsRandom:
    """One number from the generator seeds Python's own for the batch; a dictionary holds the pictures."""

    def __init__(self, capacity):
        self.capacity, self.images = capacity, {}

    def query(self, images, generator):
        chance, answer = random.Random(int(torch.randint(2**31, (), generator=generator))), torch.empty_like(images)
        for i in range(len(images)):
            place = len(self.images)
            if place == self.capacity:
                place = chance.randrange(self.capacity) if chance.random() < 0.5 else None
            answer[i] = self.images.get(place, images[i])
            if place is not None:
                self.images[place] = images[i].detach().clone()
        return answer


def _whole_batches(self, images, generator):
    if len(self.images) < self.capacity:
        self.images.append(images.clone())
        return images
    return self.full(images, generator)


def _overfull(self, images, generator):
    if len(self.images) < self.capacity:
        self.images.extend(images.clone())
        return images
    return torch.stack(
        [
            self.swap(image, int(torch.randint(len(self.images), (), generator=generator)))
            if self.coin(generator)
            else image
            for image in images
        ]
    )


def _rest_not_swapped(self, images, generator):
    if len(self.images) < self.capacity:
        self.images.extend(images[: self.capacity - len(self.images)].clone())
        return images
    return torch.stack([self.full(image, generator) for image in images])


def _from_the_start(self, images, generator):
    """Swaps with what is stored already, and fills only with what is not swapped."""
    answer = []
    for image in images:
        if self.images and self.coin(generator):
            image = self.swap(image, int(torch.randint(len(self.images), (), generator=generator)))
        elif len(self.images) < self.capacity:
            self.images.append(image.clone())
        answer.append(image)
    return torch.stack(answer)


def _one_too_many(self, images, generator):
    answer = []
    for image in images:
        if len(self.images) <= self.capacity:
            answer.append(self.fill(image))
        else:
            place = int(torch.randint(len(self.images), (), generator=generator))
            answer.append(self.swap(image, place) if self.coin(generator) else image)
    return torch.stack(answer)


def _one_coin(self, images, generator):
    coin = self.coin(generator)
    return torch.stack(
        [
            self.fill(image)
            if len(self.images) < self.capacity
            else self.swap(image, self.place(generator))
            if coin
            else image
            for image in images
        ]
    )


def _one_place(self, images, generator):
    place = self.place(generator)
    return torch.stack(
        [
            self.fill(image)
            if len(self.images) < self.capacity
            else self.swap(image, place)
            if self.coin(generator)
            else image
            for image in images
        ]
    )


def _in_place(self, images, generator):
    images[:] = _Buffer.query(self, images.clone(), generator)
    return images


def _stored_anyway(self, image, generator):
    old = self.swap(image, self.place(generator))
    return old if self.coin(generator) else image


def _two_places(self, image, generator):
    old = self.images[self.place(generator)].clone()
    if not self.coin(generator):
        return image
    self.images[self.place(generator)] = image.clone()
    return old


def _oldest_first(self, image, place):
    self.images.append(image.clone())
    return self.images.pop(0)


def _seeded_inside(self, capacity):
    _Buffer.__init__(self, capacity)
    self.own = torch.Generator().manual_seed(0)


def _only_swapped(self, images, generator):
    """Nothing comes back for a picture that is stored while there is room."""
    answer = []
    for image in images:
        if len(self.images) < self.capacity:
            self.fill(image)
        else:
            answer.append(self.full(image, generator))
    return torch.stack(answer) if answer else images[:0]


BUFFER = Exercise(
    name="ImageBuffer",
    lesson=44,
    points=4,
    minutes=20,
    docstring="""A class that keeps earlier fakes: ImageBuffer(capacity), with the method query(images, generator).

capacity: how many pictures are kept, at least 1. A new buffer is empty. images: (N, C, H, W), left as they are; N may change from call
to call. generator: a torch.Generator, from which all randomness is drawn.
query goes through the pictures one after another. While there is room, a picture is stored and also comes back as it is. Once the
buffer is full, also in the middle of a batch, each picture is swapped with probability 1/2: it takes the place of a stored one,
all places alike, and that one comes back instead. Otherwise it comes back as it is and is not stored.
query returns what came back, (N, C, H, W), in order.""",
    reference=ImageBuffer,
    cases=_buffer_cases,
    call=_record,
    read=_read,
    parts=(
        "whether query returns one tensor and no list",
        "whether what comes back has the shape of what was given",
        "whether the pictures given are left as they are",
        "whether each picture that comes back was given before, unchanged",
        "whether each picture comes back as it is until the buffer is full",
        "whether a picture that came straight back is not stored",
        "whether a picture that was swapped out is stored no longer",
        "whether a full buffer swaps often enough, with probability 1/2",
        "whether a full buffer does not swap too often, with probability 1/2",
        "whether each picture of a batch has a coin of its own",
        "whether more than one place is swapped",
        "whether all places are swapped equally often",
        "whether old and new pictures are swapped equally often",
        "whether pictures that were swapped in come back later",
        "whether the same generator gives the same answers again",
        "whether another generator gives other answers",
    ),
    alternatives={
        "all coins at once": _AllCoinsAtOnce,
        "one tensor, one draw": _OneTensor,
        "take out and append": _TakeOutAndAppend,
        "Python's random numbers": _PythonsRandom,
        "a method for each decision": _Buffer,
    },
    mistakes=(
        Mistake(
            "swaps too early",
            "You swap while there is still room; until the buffer is full you store each picture and give it back "
            "as it is.",
            _but(query=_from_the_start),
        ),
        Mistake(
            "nothing back while filling",
            "You give nothing back for a picture that you store while there is room; it comes back as well.",
            _but(query=_only_swapped),
        ),
        Mistake("one too many", "You store capacity + 1 pictures: compare with <, not <=.", _but(query=_one_too_many)),
        Mistake(
            "overfull after a batch",
            "You look at the room once a batch and store all of it; look before each picture.",
            _but(query=_overfull),
        ),
        Mistake(
            "the rest of the batch not swapped",
            "You give a batch back as it is if it finds any room; what comes after the last free "
            "place may be swapped, so decide picture by picture.",
            _but(query=_rest_not_swapped),
        ),
        Mistake(
            "whole batches",
            "You store and swap whole batches; the capacity counts pictures, and each is decided on its own.",
            _but(query=_whole_batches),
        ),
        Mistake(
            "always swapped",
            "You swap every picture; do it with probability 1/2.",
            _but(coin=lambda self, generator: True),
        ),
        Mistake(
            "never a stored one",
            "You give every picture back as it came, and no stored one ever comes out: return it, and if you "
            "keep all in one tensor clone it before you write over its place.",
            _but(swap=lambda self, image, place: image),
        ),
        Mistake(
            "chance of the capacity",
            "You draw from capacity + 1 places and swap unless it is the last, as in reservoir sampling; the "
            "probability is 1/2 whatever the capacity.",
            _but(
                coin=lambda self, generator: (
                    int(torch.randint(self.capacity + 1, (), generator=generator)) < self.capacity
                )
            ),
        ),
        Mistake(
            "one coin for a batch",
            "You toss one coin for a whole batch; toss one for each picture.",
            _but(query=_one_coin),
        ),
        Mistake(
            "one place for a batch",
            "You draw one place for a whole batch; draw one for each picture that is swapped.",
            _but(query=_one_place),
        ),
        Mistake(
            "always the same place",
            "You always swap with the same place, the first or the last, so the others grow old; draw the place.",
            _but(place=lambda self, generator: 0),
        ),
        Mistake(
            "oldest first",
            "You give back the oldest picture, as a queue does; draw the place, all alike.",
            _but(swap=_oldest_first),
        ),
        Mistake(
            "one place never drawn",
            "You never draw the last place: torch.randint leaves its upper end out, so give it the capacity.",
            _but(place=lambda self, generator: int(torch.randint(self.capacity - 1, (), generator=generator))),
        ),
        Mistake(
            "not replaced",
            "You give a stored picture back and keep it, too: the new one takes its place.",
            _but(swap=lambda self, image, place: self.images[place]),
        ),
        Mistake(
            "stored anyway",
            "You store a picture that is not swapped, so it comes back twice and a stored one is lost: if you do not "
            "swap, leave the buffer alone.",
            _but(full=_stored_anyway),
        ),
        Mistake(
            "two places", "You read from one place and write to another: draw the place once.", _but(full=_two_places)
        ),
        Mistake(
            "changes the given pictures",
            "You write into `images`; collect the answers in a new tensor.",
            _but(query=_in_place),
        ),
        Mistake(
            "a list",
            "You return a list; make a tensor of it with torch.stack.",
            _but(query=lambda self, images, generator: list(_Buffer.query(self, images, generator))),
        ),
        Mistake(
            "cat instead of stack",
            "You join pictures (C, H, W) with torch.cat, which makes one picture of many channels; torch.stack "
            "makes a batch.",
            _but(query=lambda self, images, generator: torch.cat(list(_Buffer.query(self, images, generator)))),
        ),
        Mistake(
            "own randomness",
            "You draw without the generator that is given; with it the caller can repeat a run.",
            _but(query=lambda self, images, generator: _Buffer.query(self, images, None)),
        ),
        Mistake(
            "a seed of your own",
            "You draw from a generator that you seed yourself, so every run is the same; use the one that is given.",
            _but(__init__=_seeded_inside, query=lambda self, images, generator: _Buffer.query(self, images, self.own)),
        ),
        Mistake(
            "mixed with the stored one",
            "You return a mixture of the picture and a stored one; one of the two comes back, unchanged.",
            _but(swap=lambda self, image, place: (_Buffer.swap(self, image, place) + image) / 2),
        ),
    ),
)

EXERCISES = (CYCLE, GENERATOR, BUFFER)
