"""The exercises of lesson 24: the two losses of a GAN, one step of its training, a generator to build, a fault to find."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from ...losses import critic_generator_loss, critic_loss, discriminator_loss, generator_loss, saturating_generator_loss
from ...models.dcgan import gan_step, generator_network
from ..engine import Case, Exercise, Mistake, Pair

# discriminator_loss


def _discriminator_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, real, fake):
        return Case(label, (torch.as_tensor(real), torch.as_tensor(fake)), gradients=(0, 1))

    def drawn(n, scale=2.0):
        return torch.randn(n, generator=g) * scale

    return [
        case("one real, one fake", [2.0], [-1.0]),
        case("one real, two fakes", [1.0], [-2.0, 3.0]),
        case("all right, logits of 150 and -150", [150.0, 30.0, 2.0], [-150.0, -1.0]),
        case("all wrong, logits of -150 and 150", [-150.0, -20.0], [150.0, 90.0, 18.0]),
        case("five real, three fakes", drawn(5), drawn(3)),
        case("four real, seven fakes", drawn(4) + 1, drawn(7) - 1),
        case(
            "large logits",
            torch.cat([drawn(6, 40.0), torch.tensor([-150.0])]),
            torch.cat([torch.tensor([150.0]), drawn(4, 40.0)]),
        ),
    ]


def _bce(logits, label):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def _discriminator_one_by_one(real_logits, fake_logits):
    """Each logit in float64, as log(1 + exp(-x)) with the larger exponential taken out."""
    zero = torch.zeros((), dtype=torch.float64)
    real = [torch.logaddexp(zero, -x) for x in real_logits.double()]
    fake = [torch.logaddexp(zero, x) for x in fake_logits.double()]
    return sum(real) / len(real) + sum(fake) / len(fake)


def _discriminator_by_two_classes(real_logits, fake_logits):
    """A classifier of two classes whose logits are (0, x)."""
    logits = torch.cat([real_logits, fake_logits])
    target = torch.cat([torch.ones(len(real_logits)), torch.zeros(len(fake_logits))]).long()
    each = F.cross_entropy(torch.stack([0 * logits, logits], 1), target, reduction="none")
    return each[: len(real_logits)].mean() + each[len(real_logits) :].mean()


def _discriminator_by_max(real_logits, fake_logits):
    def each(x):  # log(1 + exp(x))
        return x.clamp(min=0) + (-x.abs()).exp().log1p()

    return torch.einsum("n->", each(-real_logits)) / len(real_logits) + torch.einsum("m->", each(fake_logits)) / len(
        fake_logits
    )


def _discriminator_without_logits(real_logits, fake_logits, log):
    """From probabilities, with a logarithm of one's own."""
    return -log(real_logits.sigmoid()).mean() - log(1 - fake_logits.sigmoid()).mean()


DISCRIMINATOR = Exercise(
    name="discriminator_loss",
    lesson=24,
    points=2,
    minutes=8,
    differentiable=True,
    docstring="""What a GAN's discriminator minimises: binary cross-entropy with real = 1 and fake = 0.

real_logits: (N,), fake_logits: (M,), logits before any sigmoid; N and M may differ.
Returns a scalar, in nats: the mean of -log D(x) over the real ones plus the mean of -log(1 - D(G(z))) over the fakes, with
D = sigmoid(logit). Finite, with finite gradients, at logits of 150 and -150 too.""",
    reference=discriminator_loss,
    cases=_discriminator_cases,
    alternatives={
        "the library": lambda real_logits, fake_logits: _bce(real_logits, 1.0) + _bce(fake_logits, 0.0),
        "logsigmoid": lambda real_logits, fake_logits: (
            -F.logsigmoid(real_logits).mean() - F.logsigmoid(-fake_logits).mean()
        ),
        "one by one, float64": _discriminator_one_by_one,
        "a classifier of two classes": _discriminator_by_two_classes,
        "the larger term taken out": _discriminator_by_max,
    },
    mistakes=(
        Mistake(
            "labels exchanged",
            "You label the fakes as real: the real logits want label 1, the fakes 0.",
            lambda real_logits, fake_logits: discriminator_loss(fake_logits, real_logits),
        ),
        Mistake(
            "half",
            "You take half of the sum, which is the mean of the two means; the loss here is their sum.",
            lambda real_logits, fake_logits: discriminator_loss(real_logits, fake_logits) / 2,
        ),
        Mistake(
            "one mean over everything",
            "You take one mean over real and fake together; each has a mean of its own, and the two are added.",
            lambda real_logits, fake_logits: torch.cat([F.softplus(-real_logits), F.softplus(fake_logits)]).mean(),
        ),
        Mistake(
            "sum over the batch",
            "You add up the batch; take the mean over the real ones plus the mean over the fakes.",
            lambda real_logits, fake_logits: F.softplus(-real_logits).sum() + F.softplus(fake_logits).sum(),
        ),
        Mistake(
            "sigmoid, then log",
            "Your sigmoid is rounded to 0 or 1 at large logits, and its log is infinite: use logsigmoid or softplus.",
            lambda real_logits, fake_logits: _discriminator_without_logits(real_logits, fake_logits, torch.log),
        ),
        Mistake(
            "an epsilon inside the log",
            "You add a small number inside the log, which caps the loss and stops its gradient where the "
            "discriminator is most wrong.",
            lambda real_logits, fake_logits: _discriminator_without_logits(
                real_logits, fake_logits, lambda p: (p + 1e-8).log()
            ),
        ),
        Mistake(
            "the library's loss of probabilities",
            "You give probabilities to binary_cross_entropy, which cuts each log off at -100; "
            "binary_cross_entropy_with_logits takes the logits.",
            lambda real_logits, fake_logits: _discriminator_without_logits(
                real_logits, fake_logits, lambda p: -F.binary_cross_entropy(p, torch.ones_like(p), reduction="none")
            ),
        ),
        Mistake(
            "sigmoid twice",
            "You apply a sigmoid before a loss that applies one itself; give it the logits.",
            lambda real_logits, fake_logits: discriminator_loss(real_logits.sigmoid(), fake_logits.sigmoid()),
        ),
        Mistake(
            "to be maximised",
            "Your sign is that of the value D maximises; a loss is minimised, so take minus the logs.",
            lambda real_logits, fake_logits: -discriminator_loss(real_logits, fake_logits),
        ),
        Mistake(
            "real ones only",
            "You leave out the fakes, so calling everything real would be perfect.",
            lambda real_logits, fake_logits: F.softplus(-real_logits).mean() + 0 * fake_logits.sum(),
        ),
        Mistake(
            "fakes only",
            "You leave out the real ones, so calling everything fake would be perfect.",
            lambda real_logits, fake_logits: F.softplus(fake_logits).mean() + 0 * real_logits.sum(),
        ),
        Mistake(
            "everything is real",
            "You label the fakes 1 as well; that is what the generator wants, and the discriminator wants 0.",
            lambda real_logits, fake_logits: F.softplus(-real_logits).mean() + F.softplus(-fake_logits).mean(),
        ),
        Mistake(
            "no logarithm",
            "You use the logits as they are, as a Wasserstein critic does; here the log-probabilities count.",
            critic_loss,
        ),
        Mistake(
            "bits",
            "You use the logarithm to base 2, which gives bits; nats use the natural logarithm.",
            lambda real_logits, fake_logits: discriminator_loss(real_logits, fake_logits) / math.log(2),
        ),
        Mistake(
            "smoothed labels",
            "You label the real ones 0.9, a trick known as label smoothing; the exercise wants 1.",
            lambda real_logits, fake_logits: _bce(real_logits, 0.9) + _bce(fake_logits, 0.0),
        ),
    ),
    pairs=(
        Pair(
            "labels exchanged",
            "sum over the batch",
            lambda real_logits, fake_logits: F.softplus(real_logits).sum() + F.softplus(-fake_logits).sum(),
        ),
        Pair(
            "labels exchanged",
            "half",
            lambda real_logits, fake_logits: discriminator_loss(fake_logits, real_logits) / 2,
        ),
        Pair(
            "labels exchanged",
            "one mean over everything",
            lambda real_logits, fake_logits: torch.cat([F.softplus(real_logits), F.softplus(-fake_logits)]).mean(),
        ),
        Pair(
            "labels exchanged",
            "sigmoid, then log",
            lambda real_logits, fake_logits: _discriminator_without_logits(fake_logits, real_logits, torch.log),
        ),
        Pair(
            "sigmoid, then log",
            "half",
            lambda real_logits, fake_logits: _discriminator_without_logits(real_logits, fake_logits, torch.log) / 2,
        ),
        Pair(
            "to be maximised",
            "sigmoid, then log",
            lambda real_logits, fake_logits: -_discriminator_without_logits(real_logits, fake_logits, torch.log),
        ),
    ),
)


# generator_loss


def _generator_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, logits):
        return Case(label, (torch.as_tensor(logits),), gradients=(0,))

    return [
        case("one fake", [1.0]),
        case("two fakes", [-2.0, 3.0]),
        case("seen through, logits down to -150", [-150.0, -90.0, -20.0]),
        case("all taken for real, logits up to 150", [150.0, 20.0, 2.0, 30.0]),
        case("five fakes", torch.randn(5, generator=g) * 2),
        case("nine fakes, most of them seen through", torch.randn(9, generator=g) * 3 - 4),
        case("large logits", torch.cat([torch.randn(6, generator=g) * 40, torch.tensor([-150.0])])),
    ]


def _generator_one_by_one(fake_logits):
    zero = torch.zeros((), dtype=torch.float64)
    return sum(torch.logaddexp(zero, -x) for x in fake_logits.double()) / len(fake_logits)


GENERATOR = Exercise(
    name="generator_loss",
    lesson=24,
    points=1,
    minutes=5,
    differentiable=True,
    docstring="""What a GAN's generator minimises, in its non-saturating form: the mean of -log D(G(z)).

fake_logits: (N,), the discriminator's logits for the fakes, before any sigmoid; D = sigmoid(logit).
Returns a scalar, in nats. Finite, with finite gradients, at logits of 150 and -150 too.""",
    reference=generator_loss,
    cases=_generator_cases,
    alternatives={
        "the library": lambda fake_logits: _bce(fake_logits, 1.0),
        "logsigmoid": lambda fake_logits: -F.logsigmoid(fake_logits).mean(),
        "one by one, float64": _generator_one_by_one,
        "the larger term taken out": lambda fake_logits: (
            (-fake_logits).clamp(min=0) + (-fake_logits.abs()).exp().log1p()
        ).mean(),
        "a classifier of two classes": lambda fake_logits: F.cross_entropy(
            torch.stack([0 * fake_logits, fake_logits], 1), torch.ones_like(fake_logits).long()
        ),
    },
    mistakes=(
        Mistake(
            "the saturating loss",
            "You minimise log(1 - D(G(z))), whose gradient vanishes where the fakes are seen through; minimise "
            "-log D(G(z)).",
            saturating_generator_loss,
        ),
        Mistake(
            "labels of a fake",
            "You label the fakes 0, so your generator would help the discriminator; its fakes want label 1.",
            lambda fake_logits: F.softplus(fake_logits).mean(),
        ),
        Mistake(
            "to be maximised",
            "Your sign is that of a value to maximise; a loss is minimised, so take minus the log.",
            lambda fake_logits: -generator_loss(fake_logits),
        ),
        Mistake(
            "sum over the batch",
            "You add up the batch; take its mean.",
            lambda fake_logits: F.softplus(-fake_logits).sum(),
        ),
        Mistake(
            "sigmoid, then log",
            "Your sigmoid is rounded to 0 at large negative logits, and its log is infinite: use logsigmoid or "
            "softplus.",
            lambda fake_logits: -fake_logits.sigmoid().log().mean(),
        ),
        Mistake(
            "an epsilon inside the log",
            "You add a small number inside the log, which caps the loss and stops its gradient where the "
            "generator needs it most.",
            lambda fake_logits: -(fake_logits.sigmoid() + 1e-8).log().mean(),
        ),
        Mistake(
            "the library's loss of probabilities",
            "You give probabilities to binary_cross_entropy, which cuts each log off at -100; "
            "binary_cross_entropy_with_logits takes the logits.",
            lambda fake_logits: F.binary_cross_entropy(fake_logits.sigmoid(), torch.ones_like(fake_logits)),
        ),
        Mistake(
            "sigmoid twice",
            "You apply a sigmoid before a loss that applies one itself; give it the logits.",
            lambda fake_logits: generator_loss(fake_logits.sigmoid()),
        ),
        Mistake(
            "no logarithm",
            "You use the logits as they are, as against a Wasserstein critic; here the log-probabilities count.",
            critic_generator_loss,
        ),
        Mistake(
            "mean probability first",
            "You take the mean of the probabilities and then the log; the log comes first, fake by fake.",
            lambda fake_logits: -fake_logits.sigmoid().mean().log(),
        ),
        Mistake(
            "least squares",
            "You compare with 1 by squares, as a least-squares GAN does; here the log-probabilities count.",
            lambda fake_logits: (fake_logits - 1).square().mean(),
        ),
        Mistake(
            "no log of the probability",
            "You minimise 1 - D(G(z)) itself, whose gradient vanishes on either side; take minus the log of D(G(z)).",
            lambda fake_logits: (-fake_logits).sigmoid().mean(),
        ),
        Mistake(
            "bits",
            "You use the logarithm to base 2, which gives bits; nats use the natural logarithm.",
            lambda fake_logits: generator_loss(fake_logits) / math.log(2),
        ),
        Mistake(
            "half",
            "You take half of the loss; it is the mean itself.",
            lambda fake_logits: generator_loss(fake_logits) / 2,
        ),
    ),
    pairs=(
        Pair("labels of a fake", "sum over the batch", lambda fake_logits: F.softplus(fake_logits).sum()),
        Pair("sum over the batch", "sigmoid, then log", lambda fake_logits: -fake_logits.sigmoid().log().sum()),
        Pair("to be maximised", "sigmoid, then log", lambda fake_logits: fake_logits.sigmoid().log().mean()),
        Pair("the saturating loss", "sum over the batch", lambda fake_logits: -F.softplus(fake_logits).sum()),
    ),
)


# gan_step


def _step_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def case(label, n, size, latent_dim, hidden, lr_g, lr_d):
        def drawn(*shape):
            return torch.randn(*shape, generator=g) * 0.5

        return Case(
            label,
            (
                drawn(size, latent_dim),
                drawn(size),
                drawn(hidden, size),
                drawn(hidden),
                drawn(1, hidden),
                drawn(n, size) * 2 + 1,
                drawn(n, latent_dim) * 2,
                lr_g,
                lr_d,
            ),
        )

    one = [torch.tensor(v) for v in ([[0.5]], [0.0], [[1.0]], [0.5], [[2.0]], [[1.0]], [[-1.0]])]
    return [
        Case(
            "one number; the result is d_loss, g_loss, both of a second call, how many hang on a graph, all weights",
            (*one, 1.0, 0.5),
        ),
        case("three pictures of two numbers", 3, 2, 1, 4, 1.0, 0.5),
        case("a slow generator", 4, 3, 2, 5, 0.1, 0.8),
        case("a slow discriminator, noise longer than a picture", 2, 3, 6, 5, 1.5, 0.1),
        case("seven pictures of five numbers", 7, 5, 4, 6, 0.7, 0.3),
    ]


def _two_steps(
    function, generator_weight, generator_bias, hidden_weight, hidden_bias, last_weight, real, noise, lr_g, lr_d
):
    """Two calls in a row on small networks made from the weights: what both return, how many of these values still hang on
    a graph, and all weights afterwards. The second call is what shows gradients left over from the first."""
    import torch
    from torch import nn

    def linear(weight, bias=None):
        layer = nn.Linear(*weight.T.shape, bias=bias is not None)
        layer.weight = nn.Parameter(weight.detach().clone())
        if bias is not None:
            layer.bias = nn.Parameter(bias.detach().clone())
        return layer

    generator = nn.Sequential(linear(generator_weight, generator_bias), nn.Tanh())
    discriminator = nn.Sequential(linear(hidden_weight, hidden_bias), nn.Tanh(), linear(last_weight), nn.Flatten(0))
    opt_g, opt_d = torch.optim.SGD(generator.parameters(), lr_g), torch.optim.SGD(discriminator.parameters(), lr_d)
    first, second = (function(generator, discriminator, opt_g, opt_d, real, noise) for _ in range(2))
    returned = [v for pair in (first, second) if isinstance(pair, (tuple, list)) for v in pair]
    hanging = float(sum(isinstance(v, torch.Tensor) and v.requires_grad for v in returned))
    weights = tuple(p.detach().clone() for network in (generator, discriminator) for p in network.parameters())
    return first, second, hanging, weights


def _update(loss, *optimizers):
    """Zero the gradients, go backward, step."""
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()


def _step_by_the_library(generator, discriminator, opt_g, opt_d, real, noise):
    fake = generator(noise)
    d_real, d_fake = discriminator(real), discriminator(fake.detach())
    loss_d = _bce(d_real, 1.0) + _bce(d_fake, 0.0)
    _update(loss_d, opt_d)
    loss_g = _bce(discriminator(fake), 1.0)
    _update(loss_g, opt_g)
    return loss_d.item(), loss_g.item()


def _step_zeroed_at_the_start(generator, discriminator, opt_g, opt_d, real, noise):
    """The generator's backward leaves gradients in the discriminator; the next call clears them before they count."""
    opt_g.zero_grad(), opt_d.zero_grad()
    with torch.no_grad():
        fake = generator(noise)
    loss_d = discriminator_loss(discriminator(real), discriminator(fake))
    loss_d.backward(), opt_d.step()
    loss_g = generator_loss(discriminator(generator(noise)))
    loss_g.backward(), opt_g.step()
    return loss_d.item(), loss_g.item()


def _step_zeroed_at_the_end(generator, discriminator, opt_g, opt_d, real, noise):
    loss_d = discriminator_loss(discriminator(real), discriminator(generator(noise).detach()))
    loss_d.backward(), opt_d.step()
    loss_g = generator_loss(discriminator(generator(noise)))
    loss_g.backward(), opt_g.step()
    generator.zero_grad(), discriminator.zero_grad()
    return loss_d.item(), loss_g.item()


def _step_detached_by_zeroing(generator, discriminator, opt_g, opt_d, real, noise):
    """What the discriminator's backward leaves in the generator is thrown away before it counts."""
    fake = generator(noise)
    loss_d = discriminator_loss(discriminator(real), discriminator(fake))
    opt_d.zero_grad()
    loss_d.backward(retain_graph=True)
    opt_d.step()
    loss_g = generator_loss(discriminator(fake))
    _update(loss_g, opt_g)
    return loss_d.item(), loss_g.item()


def _step_by_gradients(generator, discriminator, opt_g, opt_d, real, noise):
    """Gradients asked for by name, for one network at a time."""
    losses = []
    for network, optimizer in ((discriminator, opt_d), (generator, opt_g)):
        d_real, d_fake = discriminator(real), discriminator(generator(noise))
        loss = discriminator_loss(d_real, d_fake) if network is discriminator else generator_loss(d_fake)
        weights = list(network.parameters())
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights)):
            weight.grad = gradient
        optimizer.step()
        losses.append(loss.item())
    return tuple(losses)


def _step_frozen(generator, discriminator, opt_g, opt_d, real, noise):
    """Real and fake in one batch; the discriminator frozen while the generator learns."""
    fake = generator(noise)
    d_real, d_fake = discriminator(torch.cat([real, fake.detach()])).split([len(real), len(fake)])
    loss_d = discriminator_loss(d_real, d_fake)
    _update(loss_d, opt_d)
    discriminator.requires_grad_(False)
    loss_g = generator_loss(discriminator(fake))
    _update(loss_g, opt_g)
    discriminator.requires_grad_(True)
    return loss_d.detach(), loss_g.detach()


def _step_with(d_loss=discriminator_loss, g_loss=generator_loss, zero=("d", "g"), after_d=("d",), after_g=("g",)):
    """gan_step with other losses, other gradients zeroed, or other optimizers stepped after the two backward passes."""

    def step(generator, discriminator, opt_g, opt_d, real, noise):
        optimizers, fake = {"g": opt_g, "d": opt_d}, generator(noise)
        loss_d = d_loss(discriminator(real), discriminator(fake.detach()))
        if "d" in zero:
            opt_d.zero_grad()
        loss_d.backward()
        for name in after_d:
            optimizers[name].step()
        loss_g = g_loss(discriminator(fake))
        if "g" in zero:
            opt_g.zero_grad()
        loss_g.backward()
        for name in after_g:
            optimizers[name].step()
        return loss_d.item(), loss_g.item()

    return step


def _step_generator_first(generator, discriminator, opt_g, opt_d, real, noise):
    loss_g = generator_loss(discriminator(generator(noise)))
    _update(loss_g, opt_g)
    loss_d = discriminator_loss(discriminator(real), discriminator(generator(noise).detach()))
    _update(loss_d, opt_d)
    return loss_d.item(), loss_g.item()


def _step_against_the_old(generator, discriminator, opt_g, opt_d, real, noise):
    fake = generator(noise)
    loss_d = discriminator_loss(discriminator(real), discriminator(fake.detach()))
    loss_g = generator_loss(discriminator(fake))
    _update(loss_g, opt_g)
    _update(loss_d, opt_d)
    return loss_d.item(), loss_g.item()


def _step_one_backward(generator, discriminator, opt_g, opt_d, real, noise):
    fake = generator(noise)
    loss_d = discriminator_loss(discriminator(real), discriminator(fake.detach()))
    loss_g = generator_loss(discriminator(fake))
    _update(loss_d + loss_g, opt_d, opt_g)
    return loss_d.item(), loss_g.item()


def _step_no_detach(generator, discriminator, opt_g, opt_d, real, noise):
    opt_g.zero_grad(), opt_d.zero_grad()
    fake = generator(noise)
    loss_d = discriminator_loss(discriminator(real), discriminator(fake))
    loss_d.backward(retain_graph=True), opt_d.step()
    loss_g = generator_loss(discriminator(fake))
    loss_g.backward(), opt_g.step()
    return loss_d.item(), loss_g.item()


def _step_new_noise(generator, discriminator, opt_g, opt_d, real, noise):
    loss_d = discriminator_loss(discriminator(real), discriminator(generator(noise).detach()))
    _update(loss_d, opt_d)
    loss_g = generator_loss(discriminator(generator(torch.randn_like(noise))))
    _update(loss_g, opt_g)
    return loss_d.item(), loss_g.item()


def _step_own_noise(generator, discriminator, opt_g, opt_d, real, noise):
    return gan_step(generator, discriminator, opt_g, opt_d, real, torch.randn_like(noise))


def _step_losses_exchanged(generator, discriminator, opt_g, opt_d, real, noise):
    return gan_step(generator, discriminator, opt_g, opt_d, real, noise)[::-1]


def _step_losses_afterwards(generator, discriminator, opt_g, opt_d, real, noise):
    gan_step(generator, discriminator, opt_g, opt_d, real, noise)
    d_real, d_fake = discriminator(real), discriminator(generator(noise))
    return discriminator_loss(d_real, d_fake).item(), generator_loss(d_fake).item()


def _step_losses_on_the_graph(generator, discriminator, opt_g, opt_d, real, noise):
    fake = generator(noise)
    loss_d = discriminator_loss(discriminator(real), discriminator(fake.detach()))
    _update(loss_d, opt_d)
    loss_g = generator_loss(discriminator(fake))
    _update(loss_g, opt_g)
    return loss_d, loss_g


def _step_zeroed_too_late(generator, discriminator, opt_g, opt_d, real, noise):
    fake = generator(noise)
    loss_d = discriminator_loss(discriminator(real), discriminator(fake.detach()))
    loss_d.backward(), opt_d.zero_grad(), opt_d.step()
    loss_g = generator_loss(discriminator(fake))
    loss_g.backward(), opt_g.zero_grad(), opt_g.step()
    return loss_d.item(), loss_g.item()


STEP = Exercise(
    name="gan_step",
    lesson=24,
    points=4,
    minutes=20,
    docstring="""One training step of a GAN: the discriminator first, then the generator against the discriminator as it now is.

generator: network (N, Z) -> (N, D). discriminator: network (N, D) -> (N,) logits. opt_g, opt_d: their optimizers.
real: (N, D). noise: (N, Z), from which the fakes of both halves are made. The discriminator minimises
mean(-log D(real)) + mean(-log(1 - D(fake))) and leaves the generator as it is; the generator minimises mean(-log D(fake))
and leaves the discriminator as it is. Nothing may be left over from the step before.
Returns (d_loss, g_loss): two floats, the values that were minimised, in nats.""",
    reference=gan_step,
    cases=_step_cases,
    call=_two_steps,
    parts=(
        ("the discriminator's loss of the first step", "the generator's loss of the first step"),
        ("the discriminator's loss of the second step", "the generator's loss of the second step"),
        "the number of returned losses that still hang on a graph",
        (
            "the generator's weight after both steps",
            "the generator's bias after both steps",
            "the discriminator's first weight after both steps",
            "the discriminator's first bias after both steps",
            "the discriminator's last weight after both steps",
        ),
    ),
    alternatives={
        "the library's losses": _step_by_the_library,
        "gradients zeroed at the start": _step_zeroed_at_the_start,
        "gradients zeroed at the end": _step_zeroed_at_the_end,
        "no detach, but zeroed in time": _step_detached_by_zeroing,
        "gradients asked for by name": _step_by_gradients,
        "one batch, and a frozen discriminator": _step_frozen,
    },
    mistakes=(
        Mistake(
            "no detach",
            "You let the discriminator's backward pass fill the generator's gradients, and then step with them: detach "
            "the fakes.",
            _step_no_detach,
        ),
        Mistake(
            "the generator's gradients never zeroed",
            "You never zero the generator's gradients, so each step adds those of all steps before it.",
            _step_with(zero=("d",)),
        ),
        Mistake(
            "the discriminator's gradients never zeroed",
            "You never zero the discriminator's gradients, so it also follows those that "
            "the generator's backward pass left in it.",
            _step_with(zero=("g",)),
        ),
        Mistake(
            "gradients zeroed before the step",
            "You zero the gradients between backward and step, so neither network moves: zero, "
            "backward, step is the order.",
            _step_zeroed_too_late,
        ),
        Mistake(
            "generator first",
            "You train the generator before the discriminator; the discriminator comes first.",
            _step_generator_first,
        ),
        Mistake(
            "against the old discriminator",
            "Your generator learns from the discriminator as it was before its step: judge the fakes "
            "anew after opt_d.step().",
            _step_against_the_old,
        ),
        Mistake(
            "one backward for both",
            "You go backward through both losses before the steps, so the discriminator also follows the "
            "generator's loss, which wants it fooled.",
            _step_one_backward,
        ),
        Mistake(
            "discriminator stepped twice",
            "You step opt_d after the generator's backward pass as well, which teaches the discriminator to be fooled.",
            _step_with(after_g=("g", "d")),
        ),
        Mistake(
            "optimizers exchanged",
            "You step opt_g after the discriminator's loss and opt_d after the generator's; each loss moves its "
            "own network.",
            _step_with(after_d=("g",), after_g=("d",)),
        ),
        Mistake(
            "the generator stays",
            "Your generator never moves: call opt_g.step(), and do not detach the fakes in its own half.",
            _step_with(after_g=()),
        ),
        Mistake(
            "the discriminator stays",
            "Your discriminator never moves: call opt_d.step() after its backward pass.",
            _step_with(after_d=()),
        ),
        Mistake(
            "new noise for the generator",
            "You draw new noise for the generator's half; both halves use the noise that is given.",
            _step_new_noise,
        ),
        Mistake(
            "own noise",
            "You draw your own noise; use the one that is given, so that the randomness is the caller's.",
            _step_own_noise,
        ),
        Mistake(
            "the saturating loss",
            "Your generator minimises log(1 - D(fake)), which saturates; minimise -log D(fake).",
            _step_with(g_loss=saturating_generator_loss),
        ),
        Mistake(
            "the generator helps",
            "You label the fakes 0 in the generator's half, so it helps the discriminator; there they want label 1.",
            _step_with(g_loss=lambda logits: F.softplus(logits).mean()),
        ),
        Mistake(
            "labels exchanged",
            "You label the real ones 0 and the fakes 1 in the discriminator's half; it is the other way round.",
            _step_with(d_loss=lambda real, fake: discriminator_loss(fake, real)),
        ),
        Mistake(
            "half the discriminator's loss",
            "You take half of the discriminator's loss; it is the sum of the two means.",
            _step_with(d_loss=lambda real, fake: discriminator_loss(real, fake) / 2),
        ),
        Mistake(
            "losses exchanged",
            "You return (g_loss, d_loss); the discriminator's loss comes first.",
            _step_losses_exchanged,
        ),
        Mistake(
            "losses of afterwards",
            "You return losses computed anew after the steps; return the values that were minimised.",
            _step_losses_afterwards,
        ),
        Mistake(
            "losses on the graph",
            "You return tensors that still hang on the graph, which keeps it in memory for as long as the "
            "history: return loss.item().",
            _step_losses_on_the_graph,
        ),
    ),
    pairs=(
        Pair(
            "the generator's gradients never zeroed", "the discriminator's gradients never zeroed", _step_with(zero=())
        ),
        Pair(
            "discriminator stepped twice",
            "the saturating loss",
            _step_with(g_loss=saturating_generator_loss, after_g=("g", "d")),
        ),
        Pair(
            "labels exchanged",
            "half the discriminator's loss",
            _step_with(d_loss=lambda real, fake: discriminator_loss(fake, real) / 2),
        ),
    ),
)


# dcgan_generator


def dcgan_generator(latent_dim, width):
    """The course's own generator, for pictures of 3x16x16."""
    return generator_network((3, 16, 16), latent_dim, width)


def _pictures_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def noise(n, d):
        return torch.randn(n, d, 1, 1, generator=g)

    return [
        Case("in eval mode, which normalises by what is remembered", (5, 4, noise(2, 5), 0)),
        Case("in train mode, which normalises by the batch", (5, 4, noise(3, 5), 1)),
        Case("more numbers than channels, in train mode", (11, 2, noise(4, 11), 1)),
        Case("the number of parameters", (10, 8, None, 0)),
    ]


def _pictures_by_known_weights(function, latent_dim, width, noise, training):
    """Pictures made from noise with weights that depend on their shapes alone, so that the order in which layers are defined does not
    matter; without noise, the number of parameters."""
    import torch

    network = function(latent_dim, width)
    if noise is None:
        return sum(p.numel() for p in network.parameters())
    network = network.to(noise.dtype).train(bool(training))
    with torch.no_grad():
        for p in network.parameters():
            wave = torch.sin(1.7 * torch.arange(p.numel(), dtype=torch.float64) + p.shape[0]).reshape(p.shape)
            p.copy_(0.5 + 0.3 * wave if p.ndim < 2 else 2 * wave / (p.numel() / p.shape[0]) ** 0.5)
        return network(noise)


class _Subclassed(nn.Module):
    """The generator with layers by name, the last one defined first."""

    def __init__(self, latent_dim, width):
        super().__init__()
        self.last = nn.ConvTranspose2d(2 * width, 3, 4, stride=2, padding=1)
        self.norms = nn.ModuleDict({"8x8": nn.BatchNorm2d(2 * width), "4x4": nn.BatchNorm2d(4 * width)})
        self.up = nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1)
        self.stamp = nn.ConvTranspose2d(latent_dim, 4 * width, 4)

    def forward(self, z):
        x = self.norms["4x4"](self.stamp(z)).relu()
        return self.last(self.norms["8x8"](self.up(x)).relu()).tanh()


class _Functional(nn.Module):
    """The generator with bare parameters, and functions in the place of layers."""

    def __init__(self, latent_dim, width):
        super().__init__()
        shapes = [(latent_dim, 4 * width, 4, 4), (4 * width, 2 * width, 4, 4), (2 * width, 3, 4, 4)]
        self.kernels = nn.ParameterList(torch.zeros(s) for s in shapes)
        self.biases, self.scales, self.shifts = (
            nn.ParameterList(torch.zeros(s[1]) for s in kept) for kept in (shapes, shapes[:2], shapes[:2])
        )
        for k, s in enumerate(shapes[:2]):
            self.register_buffer(f"mean{k}", torch.zeros(s[1]))
            self.register_buffer(f"var{k}", torch.ones(s[1]))

    def forward(self, z):
        for k, (kernel, bias) in enumerate(zip(self.kernels, self.biases)):
            z = F.conv_transpose2d(z, kernel, bias, **({"stride": 2, "padding": 1} if k else {}))
            if k < 2:
                kept = getattr(self, f"mean{k}"), getattr(self, f"var{k}")
                z = F.relu(F.batch_norm(z, *kept, self.scales[k], self.shifts[k], training=self.training))
        return torch.tanh(z)


class _Doubled(nn.Module):
    """Doubles by repeating pixels, then a convolution."""

    def __init__(self, a, b):
        super().__init__()
        self.conv = nn.Conv2d(a, b, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2))


def _generator(
    kernel=4,
    padding=1,
    bias=True,
    last_bias=True,
    norm=nn.BatchNorm2d,
    norm_first=True,
    norm_last=False,
    norm_after=False,
    rectify=nn.ReLU,
    end=nn.Tanh,
    channels=(4, 2),
    colours=3,
    first=None,
    double=None,
):
    """The generator as a function of latent_dim and width, with one thing changed."""

    def up(a, b, bias=bias):
        extra = {"output_padding": 1} if kernel % 2 else {}
        return double(a, b) if double else nn.ConvTranspose2d(a, b, kernel, 2, padding, bias=bias, **extra)

    def block(layer, n, normed=True):
        after = [norm(n)] if normed and norm else []
        return [layer, rectify(), *after] if norm_after else [layer, *after, rectify()]

    def make(latent_dim, width):
        c = [k * width for k in channels]
        stamp = first(latent_dim, c[0]) if first else nn.ConvTranspose2d(latent_dim, c[0], 4, bias=bias)
        layers = block(stamp, c[0], norm_first)
        for a, b in zip(c, c[1:]):
            layers += block(up(a, b), b)
        layers.append(up(c[-1], colours, bias=last_bias))
        return nn.Sequential(*layers, *([norm(colours)] if norm_last else []), end())

    return make


def _linear_first(latent_dim, channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(latent_dim, 16 * channels), nn.Unflatten(1, (channels, 4, 4)))


BUILD = Exercise(
    name="dcgan_generator",
    lesson=24,
    points=3,
    minutes=15,
    docstring="""Build the generator of a DCGAN for colour pictures of 16x16, an nn.Module: (N, latent_dim, 1, 1) -> (N, 3, 16, 16) in [-1, 1].

latent_dim: how many random numbers make a picture. width: the channels are 4 width at 4x4 and 2 width at 8x8. A transposed
convolution stamps the 4x4 from the noise, two more with stride 2 and padding 1 double the side; all have kernel 4 and a bias. Batch
norm and then ReLU follow the first two, tanh the last. With latent_dim = 100 and width = 64 it has 941,187 parameters.""",
    reference=dcgan_generator,
    cases=_pictures_cases,
    call=_pictures_by_known_weights,
    alternatives={
        "a class, last layer first": _Subclassed,
        "functional": _Functional,
        "Sequential, piece by piece": _generator(),
    },
    mistakes=(
        Mistake(
            "no norm",
            "You leave batch norm out; without it the signals change their scale from layer to layer.",
            _generator(norm=None),
        ),
        Mistake(
            "no norm on the first layer",
            "You leave the first layer without batch norm; that is the discriminator's rule.",
            _generator(norm_first=False),
        ),
        Mistake(
            "norm on the last layer",
            "You normalise the last layer too, which fixes the brightness and contrast of each batch.",
            _generator(norm_last=True),
        ),
        Mistake(
            "norm after ReLU",
            "You normalise after ReLU; batch norm comes between the convolution and ReLU.",
            _generator(norm_after=True),
        ),
        Mistake(
            "kernel 3",
            "You double with kernels of 3, which stamp unevenly and leave a checkerboard; take 4.",
            _generator(kernel=3),
        ),
        Mistake(
            "kernel 5",
            "You double with kernels of 5 and padding 2, which stamp unevenly; take 4 and 1.",
            _generator(kernel=5, padding=2),
        ),
        Mistake(
            "no bias", "You switch all biases off; every layer here has one.", _generator(bias=False, last_bias=False)
        ),
        Mistake(
            "no bias before the norm",
            "You switch the bias off before batch norm, which takes it out while training; here every layer has one.",
            _generator(bias=False),
        ),
        Mistake(
            "LeakyReLU",
            "You use LeakyReLU, which is the discriminator's; the generator has ReLU.",
            _generator(rectify=lambda: nn.LeakyReLU(0.2)),
        ),
        Mistake(
            "sigmoid at the end",
            "You end in a sigmoid, which cannot draw below 0; the data lie in [-1, 1], which is tanh.",
            _generator(end=nn.Sigmoid),
        ),
        Mistake(
            "no tanh",
            "You end in a convolution, so the pixels are not kept in [-1, 1]; put tanh behind it.",
            _generator(end=nn.Identity),
        ),
        Mistake(
            "channels not halved",
            "You keep 4 width channels at 8x8; they halve when the side doubles.",
            _generator(channels=(4, 4)),
        ),
        Mistake(
            "channels of 32x32",
            "You begin with 8 width channels; that is one doubling more than asked for.",
            _generator(channels=(8, 4)),
        ),
        Mistake(
            "one doubling too many",
            "You double three times, which gives 32x32; from 4x4 to 16x16 it is twice.",
            _generator(channels=(4, 2, 1)),
        ),
        Mistake("grey pictures", "Your pictures have one channel; asked are three.", _generator(colours=1)),
        Mistake(
            "a linear layer first",
            "You begin with a linear layer, which has a bias for each place of the 4x4; asked is a transposed convolution.",
            _generator(first=_linear_first),
        ),
        Mistake(
            "pixels repeated",
            "You double by repeating pixels before a convolution; asked are transposed convolutions.",
            _generator(double=_Doubled),
        ),
        Mistake(
            "nothing remembered",
            "Your norm remembers no mean and variance, so that in eval mode a picture still depends on its batch.",
            _generator(norm=lambda n: nn.BatchNorm2d(n, track_running_stats=False)),
        ),
        Mistake(
            "each picture by itself",
            "You use instance norm, which normalises each picture by itself; batch norm takes the whole batch.",
            _generator(norm=lambda n: nn.InstanceNorm2d(n, affine=True)),
        ),
    ),
)


# faulty_line_gan

LINE = Exercise(
    name="faulty_line_gan",
    lesson=24,
    points=2,
    minutes=10,
    docstring="""One line of this training of a GAN is wrong. Return its number.

It runs without complaint. After its first step all weights of both networks are right. In each later step the discriminator still
moves as its own loss asks; what stands in the generator's .grad when it moves is not the gradient of its loss.

 1  for step in range(1000):
 2      real = images[torch.randint(0, len(images), (64,))]
 3      noise = torch.randn(64, 64, 1, 1)
 4      fake = generator(noise)
 5      d_loss = discriminator_loss(discriminator(real), discriminator(fake.detach()))
 6      opt_d.zero_grad()
 7      d_loss.backward()
 8      opt_d.step()
 9      g_loss = generator_loss(discriminator(fake))
10      opt_d.zero_grad()
11      g_loss.backward()
12      opt_g.step()""",
    reference=lambda: 10,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={"a tensor": lambda: torch.tensor(10), "a float": lambda: 10.0},
    mistakes=(
        Mistake("line 1", "You suspect the number of steps; the second one is wrong already.", lambda: 1),
        Mistake(
            "line 2",
            "You suspect the real pictures; the discriminator moves as its loss asks, so they are in order.",
            lambda: 2,
        ),
        Mistake("line 3", "You suspect the noise; new noise in each step is what a GAN trains on.", lambda: 3),
        Mistake(
            "line 4",
            "You suspect that the fakes are made once; both halves may share them, as the lesson's step does.",
            lambda: 4,
        ),
        Mistake(
            "line 5",
            "You suspect the discriminator's loss; the fakes are detached, so nothing of it reaches the generator.",
            lambda: 5,
        ),
        Mistake(
            "line 6",
            "You suspect the first zero_grad; it clears what line 11 left in the discriminator, as it must.",
            lambda: 6,
        ),
        Mistake("line 7", "You suspect the discriminator's backward pass; it stops at the detached fakes.", lambda: 7),
        Mistake(
            "line 8",
            "You suspect the discriminator's step; it moves as its own loss asks, and before the generator.",
            lambda: 8,
        ),
        Mistake(
            "line 9",
            "You suspect the generator's loss; it asks the new discriminator about fakes that are not detached, which is right.",
            lambda: 9,
        ),
        Mistake(
            "line 11",
            "You suspect the generator's backward pass; it is right, and adds to whatever .grad holds already.",
            lambda: 11,
        ),
        Mistake(
            "line 12", "You suspect the generator's step; it takes what .grad holds, so ask what that is.", lambda: 12
        ),
    ),
)

EXERCISES = (DISCRIMINATOR, GENERATOR, STEP, BUILD, LINE)
