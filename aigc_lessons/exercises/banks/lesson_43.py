"""The exercises of lesson 43: the generator's loss, a patch's width, a U-Net to build, an error to derive, a fault to find."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from ...losses import generator_loss, least_squares_generator_loss, pix2pix_generator_loss, saturating_generator_loss
from ...ops import receptive_field
from ..engine import Case, Exercise, Mistake, Pair
from .lesson_12 import FIELD

# pix2pix_generator_loss


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
    pairs=(
        Pair(
            "labels of a fake",
            "L2",
            _with(lambda logits: F.softplus(logits).mean(), F.mse_loss),
        ),
        Pair(
            "sum over the patches",
            "sum over the pixels",
            _with(lambda logits: F.softplus(-logits).sum(), lambda fake, target: (fake - target).abs().sum()),
        ),
        Pair(
            "L2",
            "weight ignored",
            lambda logits, fake, target, l1_weight: generator_loss(logits) + F.mse_loss(fake, target),
        ),
    ),
)


# patch_receptive_field: the formula of lesson 12, asked of discriminators


def _patch_cases(seed):
    g = torch.Generator().manual_seed(seed)

    def discriminator(halvings):
        return [(4, 2)] * halvings + [(4, 1), (4, 1)]

    def drawn(depth):
        kernels, strides = (torch.randint(1, high, (depth,), generator=g).tolist() for high in (7, 4))
        return list(zip(kernels, strides))

    return [
        *(Case(f"a discriminator that halves {n} times", (discriminator(n),)) for n in (1, 2, 3, 5)),
        Case("one pixel at a time", ([(1, 1), (1, 1), (1, 1)],)),
        Case("no layers", ([],)),
        Case("one layer with a stride", ([(4, 2)],)),
        Case("a kernel of 1 with a stride", ([(1, 3), (3, 1)],)),
        Case("strides of 3 and 2", ([(5, 3), (4, 2), (3, 1)],)),
        *(Case(f"{depth} layers drawn at random", (drawn(depth),)) for depth in (3, 4, 6)),
    ]


PATCH = replace(
    FIELD,
    name="patch_receptive_field",
    lesson=43,
    docstring="""How wide is the patch that one logit of a PatchGAN judges? Along one side, in pixels of the pair that it is shown.

layers: list of (kernel_size, stride), one for each convolution, from the input to the logits. Returns an int; with no layers a pixel
sees itself. A norm that takes its mean over the whole picture is left out of the count.""",
    reference=receptive_field,
    cases=_patch_cases,
)


# small_unet


class _UNet(nn.Module):
    """The network of the exercise, with one thing changed. Layers and their order of definition do not matter."""

    def __init__(
        self,
        in_channels,
        out_channels,
        width,
        kernel=3,
        padding_mode="zeros",
        bias=True,
        channels=(1, 2, 4),
        head=1,
        pool=F.max_pool2d,
        enlarge=lambda x: F.interpolate(x, scale_factor=2),
        join=lambda x, bridge: torch.cat([x, bridge], 1),
        joined=lambda below, here: below + here,
        activation=torch.relu,
        last=lambda x: x,
        rectified=True,
    ):
        super().__init__()
        a, b, c = (k * width for k in channels)
        conv = lambda i, o: nn.Conv2d(i, o, kernel, padding=kernel // 2, padding_mode=padding_mode, bias=bias)
        self.down = nn.ModuleList([conv(in_channels, a), conv(a, b), conv(b, c)])
        self.up = nn.ModuleList([conv(joined(b, a), a), conv(joined(c, b), b)])
        self.head = nn.Conv2d(a, out_channels, head, padding=head // 2, bias=bias)
        self.pool, self.enlarge, self.join, self.activation, self.last = pool, enlarge, join, activation, last
        self.rectified = rectified

    def forward(self, x):
        fine = self.activation(self.down[0](x))
        middle = self.activation(self.down[1](self.pool(fine, 2)))
        x = self.activation(self.down[2](self.pool(middle, 2)))
        x = self.activation(self.up[1](self.join(self.enlarge(x), middle)))
        x = self.up[0](self.join(self.enlarge(x), fine))
        return self.last(self.head(self.activation(x) if self.rectified else x))


def small_unet(in_channels, out_channels, width):
    """(N, in_channels, H, W) -> (N, out_channels, H, W), H and W multiples of 4."""
    return _UNet(in_channels, out_channels, width)


def _unet(**change):
    return lambda in_channels, out_channels, width: _UNet(in_channels, out_channels, width, **change)


def _unet_cases(seed):
    g = torch.Generator().manual_seed(seed)
    pictures = lambda *shape: 2 * torch.rand(shape, generator=g) - 1
    return [
        Case("one channel to three", (1, 3, 4, pictures(2, 1, 8, 12))),
        Case("three channels to two", (3, 2, 5, pictures(1, 3, 16, 8))),
        Case("a width of 1", (2, 1, 1, pictures(3, 2, 12, 12))),
        Case("the number of parameters", (1, 3, 16, None)),
    ]


def _unet_by_known_weights(function, in_channels, out_channels, width, pictures):
    """What the network answers with weights that depend on their shapes alone, so that the order in which layers are defined does not
    matter; without pictures, the number of parameters."""
    import torch

    network = function(in_channels, out_channels, width)
    if pictures is None:
        return sum(p.numel() for p in network.parameters())
    network = network.to(pictures.dtype)
    with torch.no_grad():
        for p in network.parameters():
            wave = torch.sin(1.3 * torch.arange(p.numel(), dtype=torch.float64) + p.shape[0]).reshape(p.shape)
            p.copy_(0.3 * wave if p.ndim < 2 else 2 * wave / (p.numel() / p.shape[0]) ** 0.5)
        return network(pictures)


class _UNetByName(nn.Module):
    """Written out, the way up defined first."""

    def __init__(self, in_channels, out_channels, width):
        super().__init__()
        self.head = nn.Conv2d(width, out_channels, 1)
        self.up_fine = nn.Conv2d(3 * width, width, 3, padding=1)
        self.up_middle = nn.Conv2d(6 * width, 2 * width, 3, padding=1)
        self.fine = nn.Conv2d(in_channels, width, 3, padding=1)
        self.middle = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.coarse = nn.Conv2d(2 * width, 4 * width, 3, padding=1)

    def forward(self, x):
        fine = F.relu(self.fine(x))
        middle = F.relu(self.middle(F.max_pool2d(fine, 2)))
        coarse = F.relu(self.coarse(F.max_pool2d(middle, 2)))
        double = nn.Upsample(scale_factor=2)
        x = F.relu(self.up_middle(torch.cat((double(coarse), middle), dim=1)))
        return self.head(F.relu(self.up_fine(torch.cat((double(x), fine), dim=1))))


class _Level(nn.Module):
    """Recursively: a level holds all that is coarser than itself."""

    def __init__(self, a, b, deeper):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU())
        self.deeper = deeper and nn.Sequential(nn.MaxPool2d(2), deeper, nn.UpsamplingNearest2d(scale_factor=2))
        self.second = deeper and nn.Sequential(nn.Conv2d(3 * b, b, 3, padding=1), nn.ReLU())

    def forward(self, x):
        x = self.first(x)
        return self.second(torch.cat([self.deeper(x), x], 1)) if self.deeper else x


def _recursive(in_channels, out_channels, width):
    inner = _Level(width, 2 * width, _Level(2 * width, 4 * width, None))
    return nn.Sequential(_Level(in_channels, width, inner), nn.Conv2d(width, out_channels, 1))


class _Repeated(_UNet):
    """The same layers; pixels repeated by hand, and the largest of four by a view."""

    def __init__(self, in_channels, out_channels, width):
        super().__init__(
            in_channels,
            out_channels,
            width,
            pool=lambda x, k: x.unflatten(2, (-1, k)).amax(3).unflatten(3, (-1, k)).amax(4),
            enlarge=lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3),
        )


BUILD = Exercise(
    name="small_unet",
    lesson=43,
    points=4,
    minutes=20,
    docstring="""Build a small U-Net, an nn.Module: (N, in_channels, H, W) -> (N, out_channels, H, W), H and W multiples of 4.

Down: a convolution to `width` channels at full size, then twice: max pooling by 2 and a convolution to twice as many channels (2 width at
half, 4 width at a quarter of the size). Up, twice: enlarge to twice the size by repeating pixels (nearest), concatenate with what the way
down had at that size (the enlarged first, the bridge second), and a convolution to as many channels as the bridge has. A 1x1 convolution at the end
makes `out_channels`, not limited to any range. All other kernels are 3 with padding 1; each convolution has a bias, and each but the
last is followed by ReLU. No norm. With in_channels = 1, out_channels = 3 and width = 16 it has 57,955 parameters.""",
    reference=small_unet,
    cases=_unet_cases,
    call=_unet_by_known_weights,
    alternatives={"a class, the way up first": _UNetByName, "level in level": _recursive, "pixels by hand": _Repeated},
    mistakes=(
        Mistake(
            "no bridges",
            "You leave the bridges out, so that everything has to pass through the quarter of the size; concatenate.",
            _unet(join=lambda x, bridge: x, joined=lambda below, here: below),
        ),
        Mistake(
            "bridge alone",
            "You go on with the bridge alone, so that nothing coarse is ever used; concatenate it with what is enlarged.",
            _unet(join=lambda x, bridge: bridge, joined=lambda below, here: here),
        ),
        Mistake(
            "bridge first",
            "You concatenate the bridge first and what is enlarged second; here it is the other way round.",
            _unet(join=lambda x, bridge: torch.cat([bridge, x], 1)),
        ),
        Mistake(
            "added",
            "You add the bridge to half of the channels that are enlarged, as a residual network would; concatenate.",
            _unet(
                join=lambda x, bridge: x[:, : bridge.shape[1]] + bridge,
                joined=lambda below, here: here,
            ),
        ),
        Mistake(
            "joined with itself",
            "You concatenate what is enlarged with itself, so the bridge never arrives.",
            _unet(join=lambda x, bridge: torch.cat([x, x[:, : bridge.shape[1]]], 1)),
        ),
        Mistake(
            "mean pooling",
            "You pool by the mean; asked is the maximum.",
            _unet(pool=F.avg_pool2d),
        ),
        Mistake(
            "every second pixel",
            "You halve by taking every second pixel; asked is max pooling.",
            _unet(pool=lambda x, k: x[..., ::k, ::k]),
        ),
        Mistake(
            "bilinear",
            "You enlarge by bilinear interpolation; asked is repeating pixels, which is the mode nearest.",
            _unet(enlarge=lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")),
        ),
        Mistake(
            "padded with zeros",
            "You enlarge by putting zeros between the pixels; repeat each pixel instead.",
            _unet(enlarge=lambda x: F.interpolate(x, scale_factor=2) * _first_of_four(x)),
        ),
        Mistake("no bias", "You switch the biases off; every convolution here has one.", _unet(bias=False)),
        Mistake(
            "channels not doubled",
            "You keep `width` channels at every size; they double with each halving.",
            _unet(channels=(1, 1, 1)),
        ),
        Mistake(
            "three times the channels",
            "You give the quarter of the size 3 width channels; they double each time, so it has 4 width.",
            _unet(channels=(1, 2, 3)),
        ),
        Mistake("a 3x3 head", "You end in a 3x3 convolution; the last kernel is 1x1.", _unet(head=3)),
        Mistake("kernel 5", "You take kernels of 5; asked are kernels of 3 with padding 1.", _unet(kernel=5)),
        Mistake(
            "LeakyReLU",
            "You use LeakyReLU, which is the discriminator's here; the U-Net has ReLU.",
            _unet(activation=lambda x: F.leaky_relu(x, 0.2)),
        ),
        Mistake(
            "tanh at the end",
            "You end in tanh; the range is left to whoever uses the network.",
            _unet(last=torch.tanh),
        ),
        Mistake(
            "ReLU at the end",
            "You put ReLU behind the last convolution, so that no pixel could be below 0.",
            _unet(last=torch.relu),
        ),
        Mistake(
            "last block without ReLU",
            "You leave out ReLU before the 1x1 convolution, so that the two are one linear map.",
            _unet(rectified=False),
        ),
        Mistake(
            "border reflected",
            "You reflect the border; padding 1 of a convolution puts zeros there.",
            _unet(padding_mode="reflect"),
        ),
    ),
    pairs=(
        Pair(
            "bridge first",
            "tanh at the end",
            _unet(join=lambda x, bridge: torch.cat([bridge, x], 1), last=torch.tanh),
        ),
        Pair(
            "mean pooling",
            "bilinear",
            _unet(pool=F.avg_pool2d, enlarge=lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")),
        ),
    ),
)


def _first_of_four(x):
    """(2 H, 2 W) of the type of x: 1 at each pixel of even row and column."""
    return F.pad(x.new_ones(1, 1), (0, 1, 0, 1)).repeat(x.shape[2], x.shape[3])


# least_l1_error

COLOURS = {  # colour: (share, red, green, blue)
    "yellow": (0.4, 1.0, 0.8, -0.6),
    "red": (0.3, 0.8, -0.4, -0.6),
    "blue": (0.3, -0.6, 0.2, 1.0),
}


def _l1_of(colour):
    """Expected mean |difference| of the channels, if `colour` is painted always."""
    return sum(share * sum(abs(c - v) for c, v in zip(colour, true)) / 3 for share, *true in COLOURS.values())


def _mean_colour():
    return [sum(share * true[k] for share, *true in COLOURS.values()) for k in range(3)]


LEAST = Exercise(
    name="least_l1_error",
    lesson=43,
    points=2,
    minutes=15,
    docstring="""A line drawing of a shirt: 4 shirts in 10 that look like it are yellow, 3 red, 3 blue. As (red, green, blue) in [-1, 1]:

    yellow ( 1.0,  0.8, -0.6)
    red    ( 0.8, -0.4, -0.6)
    blue   (-0.6,  0.2,  1.0)

A network without noise paints one colour for this drawing, always. Its loss is the mean |difference| over the three channels, averaged over the
shirts. Which colour makes it least? Return that least loss, a number with four correct digits.""",
    reference=lambda: 7 / 15,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={
        "a tensor": lambda: torch.tensor(7 / 15),
        "by the channels": lambda: (0.5 + 0.42 + 0.48) / 3,
        "the median colour": lambda: _l1_of((0.8, 0.2, -0.6)),
    },
    mistakes=(
        Mistake(
            "the commonest colour",
            "You paint yellow always, the commonest colour; look at each channel by itself, for L1 adds them up.",
            lambda: _l1_of(COLOURS["yellow"][1:]),
        ),
        Mistake(
            "the mean colour",
            "You paint the mean colour, which makes the squared error least; for L1 it is a median.",
            lambda: _l1_of(_mean_colour()),
        ),
        Mistake(
            "sum over the channels",
            "You add the three channels up; the loss is their mean.",
            lambda: 1.4,
        ),
        Mistake(
            "equal shares",
            "You count the three colours alike; yellow has a share of 0.4 and the others 0.3.",
            lambda: (1.6 + 1.2 + 1.6) / 9,
        ),
        Mistake(
            "the squared error",
            "You give the least mean squared error; the loss here is absolute.",
            lambda: sum(
                share * sum((c - v) ** 2 for c, v in zip(_mean_colour(), true)) / 3 for share, *true in COLOURS.values()
            ),
        ),
        Mistake(
            "a colour by lot",
            "You let the network draw one of the three by lot, which costs more than one well chosen colour.",
            lambda: sum(share * _l1_of(true) for share, *true in COLOURS.values()),
        ),
    ),
)


# faulty_line_pix2pix

LINE = Exercise(
    name="faulty_line_pix2pix",
    lesson=43,
    points=2,
    minutes=10,
    docstring="""One line of this training of pix2pix is wrong. Return its number.

It runs without complaint, and both losses that it prints are what they should be. The discriminator soon tells every fake. The generator's
pictures are as pale as those of L1 alone, whatever the weight of L1.

 1  for step in range(1000):
 2      i = torch.randint(0, len(drawings), (8,))
 3      a, b = drawings[i], pictures[i]
 4      fake = generator(a)
 5      real_logits = discriminator(torch.cat([a, b], 1))
 6      fake_logits = discriminator(torch.cat([a, fake.detach()], 1))
 7      d_loss = discriminator_loss(real_logits, fake_logits)
 8      opt_d.zero_grad()
 9      d_loss.backward()
10      opt_d.step()
11      fake_logits = discriminator(torch.cat([a, fake.detach()], 1))
12      g_loss = generator_loss(fake_logits) + 10 * (fake - b).abs().mean()
13      opt_g.zero_grad()
14      g_loss.backward()
15      opt_g.step()""",
    reference=lambda: 11,
    cases=lambda seed: [Case("the answer", ())],
    alternatives={"a tensor": lambda: torch.tensor(11), "a float": lambda: 11.0},
    mistakes=(
        Mistake("line 1", "You suspect the number of steps; more of them do not make the pictures bolder.", lambda: 1),
        Mistake("line 2", "You suspect the draw; a random batch is right.", lambda: 2),
        Mistake("line 3", "You suspect the pairs; one index picks the drawing and their own picture.", lambda: 3),
        Mistake("line 4", "You suspect the translation; one fake serves both losses, as it may.", lambda: 4),
        Mistake(
            "line 5",
            "You suspect the true pairs; lines beside their picture is what the discriminator should see.",
            lambda: 5,
        ),
        Mistake(
            "line 6",
            "You suspect this detach; in the discriminator's own step the generator learns nothing, so it is right.",
            lambda: 6,
        ),
        Mistake("line 7", "You suspect the discriminator's loss; it tells every fake, so it learns.", lambda: 7),
        Mistake(
            "line 8", "You suspect zero_grad; it clears what the generator's step left in the discriminator.", lambda: 8
        ),
        Mistake("line 9", "You suspect the discriminator's backward pass, and the discriminator learns.", lambda: 9),
        Mistake("line 10", "You suspect the discriminator's step, and it learns.", lambda: 10),
        Mistake(
            "line 12",
            "You suspect the sum; its value is right, so ask through which of its terms a gradient reaches the generator.",
            lambda: 12,
        ),
        Mistake("line 13", "You suspect zero_grad; it comes before backward, as it should.", lambda: 13),
        Mistake(
            "line 14",
            "You suspect backward; it follows the graph that the loss has, so ask where that ends.",
            lambda: 14,
        ),
        Mistake("line 15", "You suspect the step; it takes the gradients that it finds.", lambda: 15),
    ),
)

EXERCISES = (PIX2PIX, PATCH, BUILD, LEAST, LINE)
