"""What models share: the same refusals in the same words, and a network applied to many pictures."""

import math

import pytest
import torch
from torch import nn

import aigc_lessons as al
from aigc_lessons.models import adversary, checks
from aigc_lessons.training import Batch

# Labels


def test_labels_given_and_not_given():
    assert checks.check_labels("X", None, 7, 3).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert checks.check_labels("X", 2, 4, 3).tolist() == [2, 2, 2, 2]
    assert checks.check_labels("X", [2, 0], 2, 3).tolist() == [2, 0]
    for dtype in (torch.uint8, torch.int32, torch.int64):
        labels = checks.check_labels("X", torch.tensor([0, 2, 1], dtype=dtype), 3, 3)
        assert labels.tolist() == [0, 2, 1] and labels.dtype == torch.int64
    for none in (None, 1, torch.zeros(0, dtype=torch.int64)):
        assert checks.check_labels("X", none, 0, 3).shape == (0,)
    assert checks.check_labels("X", None, 3, 3).dtype == torch.int64


@pytest.mark.parametrize(
    ("labels", "error", "says"),
    [
        (torch.tensor([0.0, 1.0]), TypeError, r"X got labels of type torch.float32. Accepted: whole numbers \(int64\)"),
        ([0.0, 1.0], TypeError, "type torch.float32"),
        (1.0, TypeError, "type torch.float32"),
        (torch.tensor([True, False]), TypeError, "type torch.bool"),
        (True, TypeError, "type torch.bool"),
        (torch.tensor([1j, 0j]), TypeError, "type torch.complex64"),
        (torch.tensor([0, 1, 2]), ValueError, r"shape \(3,\) for 2 pictures. Accepted: \(2,\), or one number for all"),
        (torch.tensor([[0], [1]]), ValueError, r"shape \(2, 1\) for 2 pictures"),
        (torch.tensor([1]), ValueError, r"shape \(1,\) for 2 pictures"),
        (torch.tensor([0, 4]), ValueError, "from 0 to 4. It knows 4 classes: accepted are 0 to 3"),
        (torch.tensor([-1, 2]), ValueError, "from -1 to 2. It knows 4 classes"),
        (4, ValueError, "from 4 to 4"),
        (-1, ValueError, "from -1 to -1"),
    ],
)
def test_labels_that_are_refused(labels, error, says):
    with pytest.raises(error, match=says):
        checks.check_labels("X", labels, 2, 4)
    assert checks.check_labels("X", torch.tensor([0, 3]), 2, 4).tolist() == [0, 3]


# Masks


def mask_of(n=3, h=5, w=4):
    mask = torch.ones(n, 1, h, w)
    mask[:, :, 1:3, 2] = 0
    return mask


def spoilt(place, value):
    mask = mask_of()
    mask[place] = value
    return mask


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (
            mask_of()[:2],
            r"X got a mask of shape \(2, 1, 5, 4\) for images of shape \(3, 2, 5, 4\). Accepted: \(3, 1, 5, 4\), 1 where",
        ),
        (mask_of(1), r"shape \(1, 1, 5, 4\).*mask.expand"),
        (mask_of()[:, 0], r"shape \(3, 5, 4\)"),
        (mask_of().expand(-1, 2, -1, -1), r"shape \(3, 2, 5, 4\) for"),
        (mask_of(h=4, w=5), r"shape \(3, 1, 4, 5\)"),
        (mask_of().numpy(), "shape ndarray"),
        (None, "shape NoneType"),
        (spoilt((1, 0, 2, 2), 0.5), r"values other than 0 and 1. Accepted: 1 where pixels are known.*mask > 0.5"),
        (spoilt((2, 0, 0, 0), 2.0), "values other than 0 and 1"),
        (spoilt((2, 0, 0, 0), -1.0), "values other than 0 and 1"),
        (spoilt((2, 0, 0, 0), 255.0), "values other than 0 and 1"),
        (spoilt((2, 0, 0, 0), math.nan), "values other than 0 and 1"),
        (spoilt(1, 0.0), r"mask 1 leaves no pixel known.*at least one 1.*sample\(\)"),
        (torch.zeros(3, 1, 5, 4), "mask 0 leaves no pixel known"),
    ],
)
def test_masks_that_are_refused(mask, says):
    with pytest.raises(ValueError, match=says):
        checks.check_mask("X", mask, torch.zeros(3, 2, 5, 4))


def test_masks_that_are_accepted():
    images = torch.zeros(3, 2, 5, 4)
    one = torch.zeros(3, 1, 5, 4)
    one[:, :, 4, 3] = 1  # a single known pixel is enough
    for mask in (mask_of(), torch.ones(3, 1, 5, 4), one, mask_of(1).expand(3, -1, -1, -1)):
        assert checks.check_mask("X", mask, images) is None


# Counts, channels, pictures


def test_counts_channels_and_pictures_that_are_refused():
    checks.check_counts("X", width=1, depth=3)
    for value in (0, -2):
        with pytest.raises(ValueError, match=rf"X\(depth={value}\): accepted is 1 or more"):
            checks.check_counts("X", width=1, depth=value)
    checks.check_channels("X", torch.zeros(2, 3, 4, 4), 3)
    with pytest.raises(ValueError, match="This X takes first pictures with 3 channels and got 1. Give grey"):
        checks.check_channels("X", torch.zeros(2, 1, 4, 4), 3, "first pictures")
    checks.check_floats("X", torch.full((2, 1, 4, 4), 1.7))  # noise may leave the range
    checks.check_floats("X", torch.full((2, 1, 4, 4), -9.0))
    for given, error, says in (
        (torch.full((1, 1, 2, 2), math.nan), ValueError, "X got NaN"),
        (torch.zeros(1, 2, 2), ValueError, r"shape \(1, 2, 2\)"),
        (torch.zeros(1, 1, 2, 2, dtype=torch.uint8), TypeError, "type torch.uint8"),
        ([[0.0]], TypeError, "X got list"),
    ):
        with pytest.raises(error, match=says):
            checks.check_floats("X", given)


def test_two_domains_of_a_batch():
    a, b = (Batch(torch.zeros(n, c, 8, 6), None, None) for n, c in ((2, 1), (4, 3)))
    first, second = checks.pair_of((a, b), "X")
    assert first is a.images and second is b.images
    for given in (a, (a,), (a, b, a), [a, b], (a.images, b.images), a.images):
        with pytest.raises(
            ValueError, match=r"A X learns from two domains. Give fit a tuple: al.fit\(model, \(domain_a, domain_b\)"
        ):
            checks.pair_of(given, "X")
    for size in ((6, 8), (8, 8), (4, 6)):
        with pytest.raises(
            ValueError, match=rf"A X got pictures of \(8, 6\) and \({size[0]}, {size[1]}\) pixels. Load both"
        ):
            checks.pair_of((a, Batch(torch.zeros(4, 3, *size), None, None)), "X")


# Many pictures


class Counted(nn.Module):
    """Notes what it was given, and in which mode."""

    def __init__(self):
        super().__init__()
        self.scale, self.seen = nn.Parameter(torch.tensor(3.0)), []

    def forward(self, x, y):
        self.seen.append((tuple(x.shape), tuple(y.shape), self.training, torch.is_grad_enabled()))
        return (self.scale * x + y[:, None]).to(torch.bfloat16)


@pytest.mark.parametrize("training", [True, False])
def test_many_pictures_go_through_in_pieces_and_come_back_in_order(training):
    net, x, y = Counted().train(training).to(al.settings().device), torch.arange(14.0).view(7, 2), torch.arange(7.0) / 2
    got = checks.in_chunks(net, net, x, y, size=3)
    assert torch.equal(got, 3 * x + y[:, None])  # small numbers, exact in bfloat16
    assert got.dtype == torch.float32 and got.device == x.device and not got.requires_grad
    assert net.seen == [((n, 2), (n,), False, False) for n in (3, 3, 1)]
    assert net.training is training
    assert checks.in_chunks(net, net, x[:0], y[:0]).shape == (0, 2)
    net.seen.clear()
    checks.in_chunks(net, net, torch.zeros(501, 2), torch.zeros(501))
    assert [shape[0] for shape, *_ in net.seen] == [250, 250, 1]


@pytest.mark.parametrize("training", [True, False])
def test_a_network_that_fails_is_left_in_its_mode(training):
    net = Counted().train(training).to(al.settings().device)
    with pytest.raises(RuntimeError):
        checks.in_chunks(net, net, torch.zeros(4, 2), torch.zeros(4, 3))
    assert net.training is training


def test_infinity_is_refused_by_a_denoiser_and_a_wide_range_is_not():
    net = al.models.Denoiser(channels=1, width=2)
    for bad in (float("inf"), float("-inf"), float("nan")):
        x = torch.zeros(2, 1, 6, 7)
        x[1, 0, 3, 4] = bad
        with pytest.raises(ValueError, match="NaN or infinity in 1 of 2 images, the first at index 1"):
            net.restore(x)
    assert net.restore(torch.full((2, 1, 6, 7), 3.0)).shape == (2, 1, 6, 7)


@pytest.mark.parametrize("partial", (False, True))
def test_a_mask_may_be_of_any_type(partial):
    net, x = al.models.Inpainter(channels=1, width=2, partial=partial), torch.rand(2, 1, 9, 11) * 2 - 1
    mask = al.data.draw_masks("box", 2, (9, 11), 0.3, seed=0)
    for kind in (torch.bool, torch.float64, torch.int64):
        assert torch.equal(net.restore(x, mask.to(kind)), net.restore(x, mask))


def test_a_cyclegan_says_which_sizes_it_takes_when_it_trains_too():
    sets = tuple(al.data.ImageSet(torch.zeros(4, 1, 30, 32)) for _ in range(2))
    with pytest.raises(
        ValueError, match=r"got pictures of \(30, 32\) pixels. Accepted: height and width that are multiples of 4"
    ):
        al.fit(al.models.CycleGAN(channels=1, width=2, blocks=1), sets, steps=1, batch_size=2)


@pytest.mark.parametrize("sides", ((4, 5), (3, 6)))
def test_nl_means_wants_odd_sides(sides):
    with pytest.raises(ValueError, match="accepted are odd sides"):
        al.ops.nl_means(torch.rand(12, 13), *sides, 0.5)


# Where training begins

IMAGE = (3, 16, 16)
SMALL = dict(latent_dim=3, width=2)
BEGINNERS = {  # a model, and each of its layers before a tanh with the set that it is to begin from
    "VAE": (lambda: al.models.VAE(IMAGE, **SMALL), lambda net: [(net.decoder[-2], 0)]),
    "CVAE": (lambda: al.models.CVAE(IMAGE, 4, **SMALL), lambda net: [(net.decoder[-2], 0)]),
    "DCGAN": (lambda: al.models.DCGAN(IMAGE, **SMALL), lambda net: [(net.generator[-2], 0)]),
    "WGAN": (lambda: al.models.WGAN(IMAGE, **SMALL), lambda net: [(net.generator[-2], 0)]),
    "CGAN": (lambda: al.models.CGAN(IMAGE, 4, **SMALL), lambda net: [(net.generator[-2], 0)]),
    "ProjectionGAN": (lambda: al.models.ProjectionGAN(IMAGE, 4, **SMALL), lambda net: [(net.generator.last, 0)]),
    "Pix2Pix": (lambda: al.models.Pix2Pix(3, 3, width=2), lambda net: [(net.generator.up.head, 1)]),
    "CycleGAN": (lambda: al.models.CycleGAN(3, width=2, blocks=1), lambda net: [(net.to_a[-2], 0), (net.to_b[-2], 1)]),
    "Inpainter": (lambda: al.models.Inpainter(3, width=2), lambda net: [(net.generator.up.head, 0)]),
    "partial Inpainter": (
        lambda: al.models.Inpainter(3, width=2, partial=True),
        lambda net: [(net.generator.up.head, 0)],
    ),
}


def shades(*means):
    """Pictures whose channels have these means, though no picture has them."""
    noise = torch.rand(10, 3, 16, 16, generator=torch.Generator().manual_seed(1)) - 0.5
    return noise - noise.mean((0, 2, 3), keepdim=True) + torch.tensor(means).view(3, 1, 1)


@pytest.mark.parametrize("kind", BEGINNERS)
def test_an_untrained_network_answers_with_the_mean_of_each_channel(kind):
    make, layers = BEGINNERS[kind]
    net, sets = make(), (shades(0.3, -0.4, 0.0), shades(-0.2, 0.1, 0.45))[: 1 + (kind in ("Pix2Pix", "CycleGAN"))]
    before = {k: v.clone() for k, v in net.state_dict().items() if isinstance(v, torch.Tensor)}
    assert all(not layer.bias.any() for layer, _ in layers(net))  # tanh begins in the middle of its range
    net.begin(*sets)
    for layer, of in layers(net):
        torch.testing.assert_close(layer.bias.detach().tanh(), sets[of].mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    changed = {k for k, v in net.state_dict().items() if isinstance(v, torch.Tensor) and not torch.equal(v, before[k])}
    assert len(changed) == len(layers(net)) and all(k.endswith("bias") for k in changed)
    net.begin(*(-s for s in sets))  # once: what has a bias has begun
    for layer, of in layers(net):
        torch.testing.assert_close(layer.bias.detach().tanh(), sets[of].mean((0, 2, 3)), rtol=1e-4, atol=1e-6)


def test_fit_begins_a_new_run_and_no_resumed_one(tmp_path):
    class Once(al.models.VAE):
        def begin(self, *given):
            begun.append(given)
            super().begin(*given)

    begun, images = [], shades(0.3, -0.4, 0.0)
    for steps in (1, 2):
        al.fit(Once(IMAGE, **SMALL), images, steps=steps, batch_size=4, checkpoint=tmp_path / "run.pt")
    assert len(begun) == 1 and len(begun[0]) == 1 and torch.equal(begun[0][0], images)


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_a_set_of_one_colour_asks_for_no_infinity(value):
    layer = checks.zero_bias(nn.Conv2d(2, 3, 1))
    checks.start_from(layer, torch.full((5, 3, 4, 4), value))
    assert (
        layer.bias.isfinite().all()
        and torch.allclose(layer.bias.tanh(), torch.tensor(0.95 * value))
        and layer.bias.requires_grad
    )


# Networks against each other


def test_latents_are_standard_normal_and_a_generator_decides_alone():
    draw = lambda seed: adversary.latents(400, 30, torch.Generator().manual_seed(seed))
    z, state = draw(1), torch.get_rng_state()
    assert (
        z.shape == (400, 30)
        and torch.equal(z, draw(1))
        and not torch.equal(z, draw(2))
        and torch.equal(state, torch.get_rng_state())
    )
    assert abs(z.mean()) < 4 / math.sqrt(12_000) and z.var().item() == pytest.approx(1, abs=4 * math.sqrt(2 / 12_000))
    torch.manual_seed(1)
    first = adversary.latents(400, 30)
    assert torch.equal(z, first) and not torch.equal(first, adversary.latents(400, 30))
    assert adversary.latents(3, 5, torch.Generator().manual_seed(1), "meta").device.type == "meta"


def test_an_update_is_one_step_of_its_own_weights_and_leaves_no_gradient_elsewhere():
    torch.manual_seed(0)
    ours, theirs, frozen, x = nn.Linear(3, 2), nn.Linear(2, 1), nn.Linear(3, 3).requires_grad_(False), torch.randn(5, 3)
    optimizer = torch.optim.SGD([*ours.parameters(), *frozen.parameters()], lr=0.1)
    theirs.weight.grad = torch.full_like(theirs.weight, 7.0)
    ours.weight.grad = torch.full_like(ours.weight, 7.0)  # from before: it does not count
    loss = lambda: theirs(ours(frozen(x))).square().mean()
    before = [p.detach().clone() for p in ours.parameters()]
    gradients = torch.autograd.grad(loss(), list(ours.parameters()))
    adversary.update(loss(), optimizer)
    for p, was, gradient in zip(ours.parameters(), before, gradients):
        torch.testing.assert_close(p.detach(), was - 0.1 * gradient)
    assert (theirs.weight.grad == 7).all() and theirs.bias.grad is None and frozen.weight.grad is None
