"""The exercises of lesson 62: guidance, labels that are dropped, where an edit starts, what a hole's edge is told, and a fault to find."""

import math

import torch

from ...editing import repaint_step, sdedit_start
from ...flows import drop_labels, guided, interpolate
from ...ops import composite
from ..engine import Case, Exercise, Mistake, Pair

# guided


def _guided_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, w, *shape):
        return Case(label, (*torch.randn(2, *shape, generator=g), w), gradients=(0, 1))

    return [
        Case("one number, w = 3", (torch.tensor([1.0]), torch.tensor([-2.0]), 3.0), gradients=(0, 1)),
        case("w = 2.5, four points in the plane", 2.5, 4, 2),
        case("w = 0.4, between the two", 0.4, 3, 1, 2, 4),
        case("w = 0", 0.0, 5, 2, 1, 3),
        case("w = 1", 1.0, 2, 1, 4, 3),
        case("w = 7.5, colour pictures", 7.5, 4, 3, 3, 2),
        case("w = -1, away from what is asked", -1.0, 6, 1, 2, 2),
    ]


def _of_each(unconditional, conditional, w):
    return torch.stack([u + w * (c - u) for u, c in zip(unconditional, conditional)])


def _rescaled(unconditional, conditional, w):
    """With each sample's standard deviation brought back to that of the conditional prediction."""
    out, dims = guided(unconditional, conditional, w), tuple(range(1, unconditional.ndim))
    spread = lambda v: v.std(dims, keepdim=True, correction=0) + 1e-6
    return out * spread(conditional) / spread(out)


GUIDED = Exercise(
    name="guided",
    lesson=62,
    points=1,
    minutes=6,
    differentiable=True,
    docstring="""Classifier-free guidance: from the unconditional prediction, w times the way to the conditional one.

unconditional, conditional: predictions of one shape (N, ...). w: number; 0 gives the unconditional prediction, 1 the conditional one, and
above 1 it goes beyond. Returns the same shape.""",
    reference=guided,
    cases=_guided_cases,
    alternatives={
        "as printed": lambda unconditional, conditional, w: unconditional + w * (conditional - unconditional),
        "two weights": lambda unconditional, conditional, w: (1 - w) * unconditional + w * conditional,
        # threestudio #127, #289 and PR #530: other forms of the same were taken for mistakes
        "from the conditional one, w - 1 more": lambda unconditional, conditional, w: (
            conditional + (w - 1) * (conditional - unconditional)
        ),
        "one sample at a time": _of_each,
    },
    mistakes=(
        # diffusers #5882: the paper's w counts from 0, that of the library from 1
        Mistake(
            "w counts from the conditional one",
            "You go w times the way beyond the conditional prediction, as the paper counts; here w = 1 is the conditional one.",
            lambda unconditional, conditional, w: conditional + w * (conditional - unconditional),
        ),
        # labml #177: printed so since 2023
        Mistake(
            "wrong sign",
            "You subtract the way to the conditional prediction, so that guidance leads away from what is asked; add it.",
            lambda unconditional, conditional, w: unconditional - w * (conditional - unconditional),
        ),
        Mistake(
            "predictions exchanged",
            "You exchange the two predictions: w = 0 has to give the unconditional one, and w = 1 the conditional one.",
            lambda unconditional, conditional, w: guided(conditional, unconditional, w),
        ),
        # rohitg00/ai-engineering-from-scratch calls guidance 1.0 "unconditional"
        Mistake(
            "one is unconditional",
            "You go w - 1 times the way, so that w = 1 is unconditional; w = 0 is.",
            lambda unconditional, conditional, w: unconditional + (w - 1) * (conditional - unconditional),
        ),
        # diffusers: pipelines ask once, with the prompt, unless guidance_scale > 1
        Mistake(
            "no guidance up to one",
            "You return the conditional prediction for every w up to 1; between 0 and 1 it is a mixture, and at 0 the unconditional one.",
            lambda unconditional, conditional, w: (
                guided(unconditional, conditional, w) if w > 1 else conditional + 0 * unconditional
            ),
        ),
        Mistake(
            "the way alone",
            "You return w times the difference; add it to the unconditional prediction.",
            lambda unconditional, conditional, w: w * (conditional - unconditional),
        ),
        Mistake(
            "a sum",
            "You add w times the conditional prediction itself; what counts is its difference from the unconditional one.",
            lambda unconditional, conditional, w: unconditional + w * conditional,
        ),
        Mistake(
            "never beyond",
            "You keep w between 0 and 1, but above 1 is where guidance begins.",
            lambda unconditional, conditional, w: guided(unconditional, conditional, min(max(w, 0.0), 1.0)),
        ),
        Mistake(
            "clamped",
            "You clamp the result to [-1, 1], the range of pictures; a prediction of a velocity is none.",
            lambda unconditional, conditional, w: guided(unconditional, conditional, w).clamp(-1, 1),
        ),
        # Lin et al. 2024, Common Diffusion Noise Schedules ..., section 3.4: a cure for w that is too large, and another function
        Mistake(
            "rescaled",
            "You scale the result back to the spread of the conditional prediction, a cure for large w that is no part of the formula.",
            _rescaled,
        ),
        Mistake(
            "one way for all",
            "You take the mean way of the batch; each sample has its own.",
            lambda unconditional, conditional, w: (
                unconditional + w * (conditional - unconditional).mean(0, keepdim=True)
            ),
        ),
        Mistake(
            "length 1",
            "You scale the way of each sample to length 1; its length says how much the condition matters here.",
            lambda unconditional, conditional, w: (
                unconditional
                + w
                * torch.nn.functional.normalize((conditional - unconditional).flatten(1), dim=1).view_as(conditional)
            ),
        ),
        Mistake(
            "root of w",
            "You take the root of w; the way is multiplied by w itself.",
            lambda unconditional, conditional, w: guided(
                unconditional, conditional, math.copysign(math.sqrt(abs(w)), w)
            ),
        ),
    ),
    pairs=(
        Pair(
            "predictions exchanged",
            "clamped",
            lambda unconditional, conditional, w: guided(conditional, unconditional, w).clamp(-1, 1),
        ),
        Pair(
            "w counts from the conditional one",
            "never beyond",
            lambda unconditional, conditional, w: conditional + min(max(w, 0.0), 1.0) * (conditional - unconditional),
        ),
        Pair(
            "w counts from the conditional one",
            "clamped",
            lambda unconditional, conditional, w: (conditional + w * (conditional - unconditional)).clamp(-1, 1),
        ),
    ),
)


# drop_labels


def _drop_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, n, classes, null):
        """At least two labels stay and two go, the first one among those that stay; no label is the null."""
        labels = torch.randint(0, classes, (n,), generator=g)
        labels[1] = (labels[0] + 1) % classes
        keep = torch.zeros(n)
        keep[torch.cat([torch.tensor([0]), 1 + torch.randperm(n - 1, generator=g)[: n // 2 - 1]])] = 1.0
        return Case(label, (labels, keep, null))

    by_hand = torch.tensor([3, 1, 4, 1, 5]), torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0])
    return [
        Case("five labels, two dropped", (*by_hand, 10)),
        Case("the first one dropped", (torch.tensor([2, 0, 1]), torch.tensor([0.0, 1.0, 1.0]), 3)),
        Case("all kept", (torch.tensor([7, 2]), torch.ones(2), 8)),
        Case("all dropped", (torch.tensor([7, 2, 2]), torch.zeros(3), 8)),
        case("ten classes", 12, 10, 10),
        case("18 classes, of which not all are there", 9, 18, 18),
        case("null is a number of its own", 8, 6, 40),
        case("many", 30, 4, 4),
    ]


def _in_place(labels, keep, null):
    labels[keep == 0] = null
    return labels


def _one_by_one(labels, keep, null):
    return torch.tensor([label if kept else null for label, kept in zip(labels.tolist(), keep.tolist())])


def _as_many_in_front(labels, keep, null):
    out = labels.clone()
    out[: int((keep == 0).sum())] = null
    return out


def _as_floats(function, labels, keep, null):
    """Call; what is compared are floats."""
    import torch

    answer = function(labels, keep, null)
    return answer if answer is None else torch.as_tensor(answer).float()


DROP = Exercise(
    name="drop_labels",
    lesson=62,
    points=1,
    minutes=6,
    docstring="""Labels for a training step of a network that is to know both predictions: `null`, which stands for "no class", takes the place of
each label that is not kept.

labels: (N,) int64, not to be changed. keep: (N,) float32 of 1 (keep) and 0 (drop), one for each sample. null: int. Returns (N,) int64.""",
    reference=drop_labels,
    cases=_drop_cases,
    call=_as_floats,
    parts=("the labels, as floats"),
    alternatives={
        "where": lambda labels, keep, null: torch.where(keep == 1, labels, torch.full_like(labels, null)),
        "masked_fill": lambda labels, keep, null: labels.masked_fill(keep == 0, null),
        "arithmetic": lambda labels, keep, null: labels * keep.long() + null * (1 - keep.long()),
        "a copy, then written": lambda labels, keep, null: _in_place(labels.clone(), keep, null),
        "one at a time": _one_by_one,
    },
    # MIT 6.S184, 2025, writes y[xi < eta] = 10.0 into the labels: the self-check names that in every exercise
    mistakes=(
        # dome272/Diffusion-Models-pytorch: if np.random.random() < 0.1: labels = None
        Mistake(
            "one coin for the batch",
            "You let the first entry of `keep` decide for the whole batch; each sample has its own.",
            lambda labels, keep, null: labels.clone() if keep[0] else torch.full_like(labels, null),
        ),
        Mistake(
            "null is class 0",
            "You put 0 where a label is dropped, and 0 is a class; put `null` there.",
            lambda labels, keep, null: labels * keep.long(),
        ),
        Mistake(
            "keep inverted",
            "You drop what is to be kept: 1 in `keep` stands for keeping the label.",
            lambda labels, keep, null: drop_labels(labels, 1 - keep, null),
        ),
        # Sana #188, open-diffusion #6; DALLE2-pytorch #235: "mask was not even used"
        Mistake(
            "never dropped",
            "You return the labels as they are, so the network never learns the prediction without a class; look at `keep`.",
            lambda labels, keep, null: labels.clone(),
        ),
        Mistake(
            "all dropped",
            "You drop all labels, so the network never learns any class; keep those whose entry in `keep` is 1.",
            lambda labels, keep, null: torch.full_like(labels, null),
        ),
        Mistake(
            "left out",
            "You leave dropped samples out of the batch; they stay, with `null` as their label.",
            lambda labels, keep, null: labels[keep == 1],
        ),
        Mistake(
            "minus one",
            "You put -1 where a label is dropped; the network has a row for `null` in its table, and none for -1.",
            lambda labels, keep, null: labels.masked_fill(keep == 0, -1),
        ),
        Mistake(
            "null added",
            "You add `null` to a label that is dropped; it takes the label's place.",
            lambda labels, keep, null: labels + null * (1 - keep.long()),
        ),
        Mistake(
            "null from the batch",
            "You take one more than the largest label of the batch for null; it is given, since a batch need not hold every class.",
            lambda labels, keep, null: drop_labels(labels, keep, int(labels.max()) + 1),
        ),
        # DALLE2-pytorch #184 asks about random vectors in the place of none
        Mistake(
            "another sample's label",
            "You give dropped samples the label of their neighbour, which teaches a wrong class in place of none; put `null` there.",
            lambda labels, keep, null: torch.where(keep.bool(), labels, labels.roll(1)),
        ),
        Mistake(
            "the right number, in front",
            "You drop as many labels as asked, but the first ones of the batch; `keep` says which.",
            _as_many_in_front,
        ),
    ),
    pairs=(
        Pair("keep inverted", "null is class 0", lambda labels, keep, null: labels * (1 - keep.long())),
        Pair(
            "one coin for the batch",
            "null is class 0",
            lambda labels, keep, null: labels.clone() if keep[0] else torch.zeros_like(labels),
        ),
    ),
)


# sdedit_start


def _start_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, t, *shape):
        x, noise = torch.randn(shape, generator=g) - 0.5, torch.randn(shape, generator=g)
        return Case(label, (x, t, noise), gradients=(0, 2))

    hand = [torch.tensor([[[[v]]]]) for v in (4.0, -2.0)]
    return [
        Case("one pixel, t = 0.25", (hand[0], 0.25, hand[1]), gradients=(0, 2)),
        case("the usual middle", 0.5, 2, 1, 3, 4),
        case("near the picture", 0.1, 3, 1, 2, 2),
        case("near the noise", 0.9, 4, 3, 2, 3),
        case("colour pictures, t = 0.35", 0.35, 3, 3, 4, 2),
        case("points in the plane", 0.7, 6, 2),
    ]


def _at(share_of_x, share_of_noise):
    return lambda x, t, noise: share_of_x(t) * x + share_of_noise(t) * noise


_fades, _grows = (lambda t: 1 - t), (lambda t: t)


def _steps_away(x, t, noise):
    """As a loop would: t of the way in one step."""
    way = noise - x
    return x + t * way


START = Exercise(
    name="sdedit_start",
    lesson=62,
    points=1,
    minutes=5,
    differentiable=True,
    docstring="""Where SDEdit starts: a picture, or a drawing, with as much noise as there is at time t on the straight way of a flow.

x: (N, ...), the picture. t: number in [0, 1]; 0 is the picture itself, 1 is noise alone. noise: the shape of x, drawn from N(0, 1).
Returns the shape of x.""",
    reference=sdedit_start,
    cases=_start_cases,
    alternatives={
        "two shares": _at(_fades, _grows),
        "from the picture, t of the way": _steps_away,
        "from the noise, 1 - t of the way": lambda x, t, noise: noise + (1 - t) * (x - noise),
        "the library's lerp": lambda x, t, noise: torch.lerp(x, noise, t),
    },
    mistakes=(
        Mistake(
            "time runs the other way",
            "You keep t of the picture, so that t = 1 is the picture; in this course t = 0 is.",
            _at(_grows, _fades),
        ),
        # CompVis/stable-diffusion PR #533, stablediffusion PR #96, InvokeAI PR #1946, diffusers #7651
        Mistake(
            "start one step off",
            "You start one step of 50 nearer to the picture than t; the sampler will ask for the velocity at t, so the noise has to be that of t.",
            lambda x, t, noise: sdedit_start(x, t - 1 / 50, noise),
        ),
        # Stability-AI/stablediffusion PR #226: an index where a time belongs
        Mistake(
            "index used as time",
            "You divide t by 1,000, as if it counted steps; t is in [0, 1] already.",
            lambda x, t, noise: sdedit_start(x, t / 1_000, noise),
        ),
        Mistake(
            "noise alone",
            "You start from noise of the right strength and forget the picture, so nothing of it can be kept.",
            lambda x, t, noise: t * noise + 0 * x,
        ),
        # Karras et al. 2022 (EDM), and SDEdit's own variance-exploding form: x + sigma noise
        Mistake(
            "the picture keeps its strength",
            "You add noise to the whole picture; on the straight way it fades by 1 - t.",
            _at(lambda t: 1, _grows),
        ),
        Mistake(
            "noise at full strength",
            "You add all of the noise at every t; its share is t.",
            _at(_fades, lambda t: 1),
        ),
        # DDPM and most public SDEdit code: the variances add up to 1
        Mistake(
            "roots of the shares",
            "You take the roots of the shares, which is a diffusion's way; on a flow's straight way they are 1 - t and t.",
            _at(lambda t: math.sqrt(1 - t), math.sqrt),
        ),
        Mistake(
            "a quarter circle",
            "You take the cosine schedule of lesson 61; this flow was trained on straight ways, with the shares 1 - t and t.",
            _at(lambda t: math.cos(math.pi * t / 2), lambda t: math.sin(math.pi * t / 2)),
        ),
        # DeepLearning.AI, How diffusion models work: the variance where its root belongs
        Mistake(
            "squares of the shares",
            "You square the shares; they are 1 - t and t themselves.",
            _at(lambda t: (1 - t) ** 2, lambda t: t**2),
        ),
        Mistake(
            "clamped",
            "You clamp the result to [-1, 1], as if it were a picture; the noise has to stay Gaussian.",
            lambda x, t, noise: sdedit_start(x, t, noise).clamp(-1, 1),
        ),
        Mistake(
            "one noise for all",
            "You give all pictures the first one's noise; each has its own.",
            lambda x, t, noise: sdedit_start(x, t, noise[:1].expand_as(noise)),
        ),
        Mistake(
            "from the mean picture",
            "You start every edit at the mean of the batch; each starts at its own picture.",
            lambda x, t, noise: sdedit_start(x.mean(0, keepdim=True).expand_as(x), t, noise),
        ),
        Mistake(
            "noise subtracted",
            "You subtract the noise; the sampler's velocity belongs to the noise that was added.",
            lambda x, t, noise: (1 - t) * x - t * noise,
        ),
    ),
    pairs=(
        Pair(
            "time runs the other way",
            "roots of the shares",
            _at(math.sqrt, lambda t: math.sqrt(1 - t)),
        ),
        Pair(
            "time runs the other way",
            "clamped",
            lambda x, t, noise: sdedit_start(noise, t, x).clamp(-1, 1),
        ),
        Pair(
            "the picture keeps its strength",
            "noise at full strength",
            lambda x, t, noise: x + noise,
        ),
    ),
)


# repaint_step


def _masks(generator, n, h, w):
    """0 and 1 at random places, not all of one kind, another share for each picture."""
    order = torch.rand(n, h * w, generator=generator).argsort(1).argsort(1)
    least = torch.arange(1, n + 1)[:, None] * (h * w - 1) // (n + 1)
    return (order <= least).float().view(n, 1, h, w)


def _repaint_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, then, n, c, h, w, gradients=(0, 1, 4)):
        x, known, noise = torch.randn(3, n, c, h, w, generator=g)
        return Case(label, (x, known - 0.5, _masks(g, n, h, w), then, noise), gradients=gradients)

    hand = [torch.tensor(v).view(1, 1, 1, 2) for v in ([1.0, 2.0], [4.0, 6.0], [1.0, 0.0], [-8.0, 9.0])]
    return [
        Case("two pixels, then = 0.25, the first one known", (*hand[:3], 0.25, hand[3]), gradients=(0, 1, 4)),
        case("one channel, then = 0.5", 0.5, 2, 1, 3, 4),
        case("three channels share a mask", 0.7, 3, 3, 4, 5),
        case("the last step", 0.0, 4, 2, 3, 3, gradients=(0, 1)),
        case("the last but one of ten", 0.1, 3, 1, 5, 2),
        case("much noise", 0.95, 5, 2, 2, 4),
    ]


def _with_known(change):
    """The hole from x_next, and on the known pixels change(known, then, noise)."""
    return lambda x_next, known, mask, then, noise: composite(change(known, then, noise), x_next, mask)


def _by_pixel(x_next, known, mask, then, noise):
    out = x_next.clone()
    for n, _, i, j in mask.nonzero().tolist():
        out[n, :, i, j] = (1 - then) * known[n, :, i, j] + then * noise[n, :, i, j]
    return out


REPAINT = Exercise(
    name="repaint_step",
    lesson=62,
    points=2,
    minutes=10,
    differentiable=True,
    docstring="""After a step of a sampler that fills a hole: the known pixels take their place again, with as much noise as there is at the time
`then` that the step led to, on the straight way of a flow. The hole stays as the step left it.

x_next: (N, C, H, W), where the step led to, at time `then`. known: (N, C, H, W), the clean picture; what it holds under the hole means
nothing. mask: (N, 1, H, W), 1 = known, 0 = hole; it holds for every channel. then: number in [0, 1). noise: (N, C, H, W).
Returns (N, C, H, W); at then = 0 the known pixels are exactly those of `known`.""",
    reference=repaint_step,
    cases=_repaint_cases,
    alternatives={
        "as printed": lambda x_next, known, mask, then, noise: (
            mask * ((1 - then) * known + then * noise) + (1 - mask) * x_next
        ),
        "where": lambda x_next, known, mask, then, noise: torch.where(
            mask == 1, known + then * (noise - known), x_next
        ),
        "pixel by pixel": _by_pixel,
        "a correction to the step": lambda x_next, known, mask, then, noise: (
            x_next + mask * ((1 - then) * known + then * noise - x_next)
        ),
    },
    mistakes=(
        # diffusers #1581, mended in #1582; diffusers #3749
        Mistake(
            "noise of the time before",
            "You give the known pixels the noise of a time one step earlier on the way, of t; the step led to `then`, so the noise has to be that of `then`.",
            lambda x_next, known, mask, then, noise: repaint_step(x_next, known, mask, min(then + 0.1, 1.0), noise),
        ),
        # lucidrains/imagen-pytorch #322: at the end the known pixels were the sampler's
        Mistake(
            "known pixels not restored",
            "You return what the sampler made of the known pixels, too; put the known ones in their place.",
            lambda x_next, known, mask, then, noise: x_next + 0 * (known + noise),
        ),
        Mistake(
            "mask inverted",
            "You read the mask the wrong way round: 1 stands for known, 0 for the hole.",
            lambda x_next, known, mask, then, noise: repaint_step(x_next, known, 1 - mask, then, noise),
        ),
        Mistake(
            "clean at every step",
            "You put clean pixels in at every step; beside a hole that is still noisy they have to be as noisy.",
            lambda x_next, known, mask, then, noise: composite(known + 0 * noise, x_next, mask),
        ),
        Mistake(
            "noise in the hole, too",
            "You add noise to the hole as well; x_next has the noise of `then` already.",
            lambda x_next, known, mask, then, noise: interpolate(composite(known, x_next, mask), noise, then),
        ),
        # diffusers #9900: line 5 of the paper's algorithm lacks a root
        Mistake(
            "squares of the shares",
            "You give the noise the share then squared, a variance; its share is `then`.",
            _with_known(lambda known, then, noise: (1 - then) * known + then**2 * noise),
        ),
        Mistake(
            "roots of the shares",
            "You take the roots of the shares, which is a diffusion's way; on a flow's straight way they are 1 - then and then.",
            _with_known(lambda known, then, noise: math.sqrt(1 - then) * known + math.sqrt(then) * noise),
        ),
        Mistake(
            "time runs the other way",
            "You keep `then` of the known pixels, so that they are noise at the end; at then = 0 they are clean.",
            _with_known(lambda known, then, noise: then * known + (1 - then) * noise),
        ),
        Mistake(
            "known pixels keep their strength",
            "You add noise to the known pixels without letting them fade by 1 - then.",
            _with_known(lambda known, then, noise: known + then * noise),
        ),
        Mistake(
            "hole left empty",
            "You leave 0 in the hole; what the sampler made belongs there.",
            lambda x_next, known, mask, then, noise: mask * interpolate(known, noise, then) + 0 * x_next,
        ),
        Mistake(
            "step not masked",
            "You add the known pixels to what the step left there; they take its place.",
            lambda x_next, known, mask, then, noise: x_next + mask * interpolate(known, noise, then),
        ),
        Mistake(
            "one mask for all",
            "You use the first picture's mask for the whole batch; each picture has its own.",
            lambda x_next, known, mask, then, noise: repaint_step(x_next, known, mask[:1], then, noise),
        ),
        Mistake(
            "first channel only",
            "You restore the first channel only; the mask has one channel and holds for all of them.",
            lambda x_next, known, mask, then, noise: torch.cat(
                [repaint_step(x_next, known, mask, then, noise)[:, :1], x_next[:, 1:]], 1
            ),
        ),
        Mistake(
            "blended",
            "You take the mean of the known pixels and of what the step left there; known pixels are known.",
            lambda x_next, known, mask, then, noise: composite(
                (interpolate(known, noise, then) + x_next) / 2, x_next, mask
            ),
        ),
    ),
    pairs=(
        Pair(
            "mask inverted",
            "clean at every step",
            lambda x_next, known, mask, then, noise: composite(x_next, known + 0 * noise, mask),
        ),
        Pair(
            "mask inverted",
            "noise of the time before",
            lambda x_next, known, mask, then, noise: repaint_step(x_next, known, 1 - mask, min(then + 0.1, 1.0), noise),
        ),
        Pair(
            "time runs the other way",
            "mask inverted",
            lambda x_next, known, mask, then, noise: composite(x_next, then * known + (1 - then) * noise, mask),
        ),
    ),
)


# faulty_line_repaint

LINE = Exercise(
    name="faulty_line_repaint",
    lesson=62,
    points=2,
    minutes=10,
    docstring="""One line of this filling of a hole has the effect described here. Return its number.

`velocity` is that of a good flow, `picture` is clean where it is known, `mask` is 1 there and 0 in the hole; T = 20. With R = 1, each step taken
once, holes are filled with all the contrast that the data have. With R = 4 they come out pale: pixels in the hole vary less than half as
much as those of the data do. Known pixels come back exactly.

 1  x = noise = torch.randn_like(picture)
 2  for k in range(T, 0, -1):
 3      t, then = k / T, (k - 1) / T
 4      for again in reversed(range(R)):
 5          x = x - (t - then) * velocity(x, t)
 6          x = torch.where(mask == 1, (1 - then) * picture + then * noise, x)
 7          if again and k > 1:
 8              keep = (1 - t) / (1 - then)
 9              x = keep * x + (t - keep * then) * torch.randn_like(x)""",
    reference=lambda: 9,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={"a tensor": lambda: torch.tensor(9), "a float": lambda: 9.0},
    mistakes=(
        Mistake("line 1", "You suspect the start; at t = 1 there is nothing but noise of variance 1.", lambda: 1),
        Mistake(
            "line 2",
            "You suspect the order of the steps; they run from T to 1, and the last one ends at time 0.",
            lambda: 2,
        ),
        Mistake("line 3", "You suspect the two times; the step goes from k / T to (k - 1) / T.", lambda: 3),
        Mistake(
            "line 4",
            "You suspect the rounds; with R = 1 `again` is 0 alone, with R = 4 it is 3, 2, 1, 0, and only the last round is not undone.",
            lambda: 4,
        ),
        Mistake(
            "line 5", "You suspect the step; it goes along the velocity at its beginning, from t to then.", lambda: 5
        ),
        Mistake(
            "line 6",
            "You suspect the known pixels; they get the noise of `then`, where the step ended, and come back exactly, so look elsewhere.",
            lambda: 6,
        ),
        Mistake(
            "line 7",
            "You suspect when noise is added again; before each round but the first, and never after the last step: that is as it should be.",
            lambda: 7,
        ),
        Mistake(
            "line 8",
            "You suspect the share of the data that is kept; (1 - then) times it is 1 - t, as much as there is of the data at time t.",
            lambda: 8,
        ),
    ),
)

EXERCISES = (GUIDED, DROP, START, REPAINT, LINE)
