"""The exercise of lesson 43: what a pix2pix generator minimises."""

import torch
import torch.nn.functional as F

from ...losses import generator_loss, least_squares_generator_loss, pix2pix_generator_loss, saturating_generator_loss
from ..engine import Case, Exercise, Mistake


def _pix2pix_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, fake_logits, fake, target, l1_weight):
        return Case(
            label,
            (*map(torch.as_tensor, (fake_logits, fake, target)), l1_weight),
            gradients=(0, 1) if l1_weight else (0,),
        )  # a term of weight 0 may be left out

    def drawn(label, logits, shape, l1_weight, spread=1.0, far=()):
        """far: logits put in place of the first ones."""
        target = 2 * torch.rand(shape, generator=g) - 1
        fake = torch.tanh(target + spread * torch.randn(shape, generator=g))
        scores = 2 * torch.randn(logits, generator=g) - 0.5
        scores.view(-1)[: len(far)] = torch.tensor(far)
        return case(label, scores, fake, target, l1_weight)

    return [
        case("one logit, one pixel, weight 1", [0.5], [[[[0.75]]]], [[[[0.25]]]], 1),
        case("one logit, two pixels, weight 10", [-1.0], [[[[0.5, -0.5]]]], [[[[-0.25, 0.5]]]], 10.0),
        drawn("weight 0: the discriminator alone", (2, 1, 3, 4), (2, 3, 5, 7), 0),
        drawn("a logit for each patch, weight 2.5", (3, 1, 2, 4), (3, 2, 6, 5), 2.5),
        drawn("a logit for each picture, weight 100", (4,), (4, 3, 3, 5), 100.0, spread=0.1),
        drawn("seen through, logits down to -150", (2, 1, 2, 3), (2, 1, 4, 6), 3.0, far=(-150.0, -90.0, -20.0)),
        drawn("taken for real, logits up to 150", (2, 1, 3, 2), (2, 3, 4, 3), 0.5, far=(150.0, 30.0)),
        drawn("more channels in than pictures", (2, 1, 5, 3), (2, 6, 3, 4), 20.0),
    ]


def _bce(logits, label):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def _one_by_one(fake_logits, fake, target, l1_weight):
    """float64: the larger exponential taken out of each logarithm."""
    zero = torch.zeros((), dtype=torch.float64)
    adversarial = [torch.logaddexp(zero, -x) for x in fake_logits.double().flatten()]
    distances = [abs(a - b) for a, b in zip(fake.double().flatten(), target.double().flatten())]
    return sum(adversarial) / len(adversarial) + l1_weight * sum(distances) / len(distances)


def _by_picture(fake_logits, fake, target, l1_weight):
    """Mean of the pictures' own losses, each a mean over its patches and one over its pixels."""
    adversarial = -F.logsigmoid(fake_logits).reshape(len(fake), -1).mean(1)
    return (adversarial + l1_weight * (target - fake).abs().flatten(1).mean(1)).mean()


def _with(adversarial=generator_loss, distance=F.l1_loss):
    """The loss with another first or another second term."""
    return lambda fake_logits, fake, target, l1_weight: adversarial(fake_logits) + l1_weight * distance(fake, target)


PIX2PIX = Exercise(
    name="pix2pix_generator_loss",
    lesson=43,
    points=2,
    minutes=8,
    differentiable=True,
    docstring="""What a pix2pix generator minimises: fool the discriminator, and stay near the true partner.

fake_logits: any shape, the discriminator's logits for the fakes, one for each patch, before any sigmoid.
fake, target: (N, C, H, W), what was made and what should have been. l1_weight: a number, at least 0.
Returns a scalar: the mean of -log D (D = sigmoid(logit), in nats) plus l1_weight times the mean of |fake - target| over all elements.
Finite, with finite gradients, at logits of 150 and -150 too.""",
    reference=pix2pix_generator_loss,
    cases=_pix2pix_cases,
    alternatives={
        "the library": lambda fake_logits, fake, target, l1_weight: (
            _bce(fake_logits, 1.0) + l1_weight * F.l1_loss(fake, target)
        ),
        "logsigmoid": lambda fake_logits, fake, target, l1_weight: (
            l1_weight * (target - fake).abs().mean() - F.logsigmoid(fake_logits).mean()
        ),
        "one by one, float64": _one_by_one,
        "picture by picture": _by_picture,
        "norm over count": _with(
            distance=lambda fake, target: torch.linalg.vector_norm(fake - target, 1) / fake.numel()
        ),
    },
    mistakes=(
        Mistake(
            "the saturating loss",
            "You minimise log(1 - D), which hardly moves where the fakes are seen through; minimise -log D.",
            _with(saturating_generator_loss),
        ),
        Mistake(
            "labels of a fake",
            "You label the fakes 0, so your generator would help the discriminator; its fakes want label 1.",
            _with(lambda logits: F.softplus(logits).mean()),
        ),
        Mistake(
            "weight on the wrong term",
            "You multiply the discriminator's term by the weight; it belongs to the L1 term.",
            lambda fake_logits, fake, target, l1_weight: (
                l1_weight * generator_loss(fake_logits) + F.l1_loss(fake, target)
            ),
        ),
        Mistake(
            "weight on both",
            "You multiply the whole sum by the weight; it belongs to the L1 term alone.",
            lambda fake_logits, fake, target, l1_weight: (
                l1_weight * (generator_loss(fake_logits) + F.l1_loss(fake, target))
            ),
        ),
        Mistake(
            "weight ignored",
            "You never use l1_weight.",
            lambda fake_logits, fake, target, l1_weight: generator_loss(fake_logits) + F.l1_loss(fake, target),
        ),
        Mistake(
            "weight always 100",
            "You use the paper's weight of 100 whatever is given; use l1_weight.",
            lambda fake_logits, fake, target, l1_weight: pix2pix_generator_loss(fake_logits, fake, target, 100.0),
        ),
        Mistake(
            "a weighted mean",
            "You give the first term the weight 1 - l1_weight; it keeps the weight 1.",
            lambda fake_logits, fake, target, l1_weight: (
                (1 - l1_weight) * generator_loss(fake_logits) + l1_weight * F.l1_loss(fake, target)
            ),
        ),
        Mistake(
            "L2",
            "You square the differences, which blurs more; L1 takes their absolute value.",
            _with(distance=F.mse_loss),
        ),
        Mistake(
            "sum over the pixels",
            "You add up the absolute differences; take their mean over all elements.",
            _with(distance=lambda fake, target: (fake - target).abs().sum()),
        ),
        Mistake(
            "sum over each picture",
            "You add up each picture's pixels and take the mean over the batch only; the mean runs over all elements.",
            _with(distance=lambda fake, target: (fake - target).abs().flatten(1).sum(1).mean()),
        ),
        Mistake(
            "signs kept",
            "You take no absolute value, so differences up and down cancel.",
            _with(distance=lambda fake, target: (fake - target).mean()),
        ),
        Mistake(
            "absolute value last",
            "You take the absolute value of the mean difference; take it of each, before the mean.",
            _with(distance=lambda fake, target: (fake - target).mean().abs()),
        ),
        Mistake(
            "smooth near 0",
            "You use the smooth (Huber) loss, which is squared near 0; take absolute values everywhere.",
            _with(distance=F.smooth_l1_loss),
        ),
        Mistake(
            "L1 subtracted",
            "You subtract the L1 term, which pushes the fake away from its partner; it is added.",
            lambda fake_logits, fake, target, l1_weight: pix2pix_generator_loss(fake_logits, fake, target, -l1_weight),
        ),
        Mistake(
            "L1 alone",
            "You leave out the discriminator's term.",
            lambda fake_logits, fake, target, l1_weight: l1_weight * F.l1_loss(fake, target) + 0 * fake_logits.sum(),
        ),
        Mistake(
            "the discriminator's term alone",
            "You leave out the L1 term.",
            lambda fake_logits, fake, target, l1_weight: generator_loss(fake_logits) + 0 * fake.sum(),
        ),
        Mistake(
            "sum over the patches",
            "You add up the patches; take their mean.",
            _with(lambda logits: F.softplus(-logits).sum()),
        ),
        Mistake(
            "sigmoid, then log",
            "Your sigmoid is rounded to 0 at large negative logits, and its log is infinite: use logsigmoid or "
            "softplus.",
            _with(lambda logits: -logits.sigmoid().log().mean()),
        ),
        Mistake(
            "an epsilon inside the log",
            "You add a small number inside the log, which caps the loss and stops its gradient where the "
            "generator needs it most.",
            _with(lambda logits: -(logits.sigmoid() + 1e-8).log().mean()),
        ),
        Mistake(
            "the library's loss of probabilities",
            "You give probabilities to binary_cross_entropy, which cuts each log off at -100; "
            "binary_cross_entropy_with_logits takes the logits.",
            _with(lambda logits: F.binary_cross_entropy(logits.sigmoid(), torch.ones_like(logits))),
        ),
        Mistake(
            "sigmoid twice",
            "You apply a sigmoid before a loss that applies one itself; give it the logits.",
            _with(lambda logits: generator_loss(logits.sigmoid())),
        ),
        Mistake(
            "no logarithm",
            "You use the logits as they are, as against a Wasserstein critic; here the log-probabilities count.",
            _with(lambda logits: -logits.mean()),
        ),
        Mistake(
            "least squares",
            "You compare the logits with 1 by squares, as CycleGAN does; here the log-probabilities count.",
            _with(least_squares_generator_loss),
        ),
        Mistake(
            "half",
            "You take half of the discriminator's term; it is the mean itself.",
            _with(lambda logits: generator_loss(logits) / 2),
        ),
    ),
)

EXERCISES = (PIX2PIX,)
