"""Taking off noise and enlarging: what the networks are trained on, what they give back, and what they refuse."""

import copy
import math
from itertools import permutations, product

import pytest
import torch
from helpers import digits, rand, same
from scipy.stats import chisquare

import aigc_lessons as al
from aigc_lessons import ops
from aigc_lessons.models.restoration import eightfold_mean, plain_cnn, random_colours, random_flips
from aigc_lessons.training import Batch

MODELS = {"Denoiser": al.models.Denoiser, "SuperResolver": al.models.SuperResolver}
SCALE = {"Denoiser": 1, "SuperResolver": 2}

every_model = pytest.mark.parametrize("kind", MODELS)


def build(kind, channels=1, seed=0, **given):
    torch.manual_seed(seed)
    return MODELS[kind](channels, **{"width": 4, **given})


def set_head(net, change):
    """Change the last layer's weight and bias."""
    with torch.no_grad():
        change(net.network.up.head)


# What comes back


@every_model
@pytest.mark.parametrize("shape", [(3, 1, 16, 16), (2, 3, 29, 31), (1, 3, 33, 47), (2, 1, 5, 8), (0, 3, 8, 8)])
def test_restored_pictures_have_their_size_and_the_datas_range(kind, shape):
    net, x = build(kind, shape[1]), rand(*shape)
    n, c, h, w = shape
    got = net.restore(x)
    assert (
        got.shape == (n, c, SCALE[kind] * h, SCALE[kind] * w) and got.dtype == torch.float32 and not got.requires_grad
    )
    al.data.check_images(got, "test")
    set_head(net, lambda head: head.bias.add_(torch.tensor([9.0, -9.0, 0.0])[:c]))
    got = net.restore(x)
    assert (
        n == 0
        or c == 1
        and got.unique().numel() == 1
        or c == 3
        and sorted(got.mean((0, 2, 3)).abs().tolist())[1:] == [1, 1]
    )
    assert n == 0 or net(x).abs().max() > 5  # forward does not clip


def test_what_the_network_says_is_subtracted_from_noise_and_added_to_an_enlargement():
    x = rand(2, 1, 6, 10)
    larger = ops.upscale(x)
    for kind, want in (
        ("Denoiser", lambda net: x - net.network(x)),
        ("SuperResolver", lambda net: larger + net.network(larger)),
    ):
        net = build(kind)
        torch.testing.assert_close(net(x), want(net))
        set_head(net, lambda head: (head.weight.zero_(), head.bias.zero_()))
        torch.testing.assert_close(net.restore(x), x if kind == "Denoiser" else ops.upscale(x).clamp(-1, 1))


def test_noisy_pictures_may_leave_the_range():
    net, noisy = build("Denoiser"), ops.add_noise(rand(2, 1, 9, 8), 50, torch.randn(2, 1, 9, 8))
    assert noisy.abs().max() > 1.2
    with torch.no_grad():
        torch.testing.assert_close(net.restore(noisy), net.eval()(noisy).clamp(-1, 1))


@every_model
@pytest.mark.parametrize("training", [True, False])
def test_restoring_is_deterministic_and_leaves_the_network_as_it_was(kind, training):
    net, x = build(kind).train(training), rand(3, 1, 9, 8)
    before, kept, state = copy.deepcopy(net), x.clone(), torch.get_rng_state()
    assert torch.equal(net.restore(x), net.restore(x))
    torch.testing.assert_close(net.restore(x)[1:2], net.restore(x[1:2]))
    assert (
        same(before, net)
        and net.training is training
        and torch.equal(x, kept)
        and torch.equal(state, torch.get_rng_state())
    )


# Training


def turned(x, i, j, k):
    x = x.flip([-1] * i + [-2] * j)
    return x.mT if k else x


def which(got, candidates):
    """(N,): of which of the candidates, each (N, ...), is each of `got` a copy? Exactly one must be it."""
    equal = torch.stack(
        [
            (got == c).flatten(1).all(1) if c.shape == got.shape else torch.zeros(len(got), dtype=torch.bool)
            for c in candidates
        ]
    )
    assert (equal.sum(0) == 1).all()
    return equal.int().argmax(0)


def uniform_and_independent(outcomes, kinds):
    """Each outcome is as likely as any other, and knows nothing of the one before: both tests refuse once in 10,000 fair draws."""
    assert chisquare(torch.bincount(outcomes, minlength=kinds)).pvalue > 1e-4
    for shift in (1, 2):
        pairs = outcomes[: len(outcomes) // (2 * shift) * 2 * shift].view(-1, 2, shift)
        assert (
            chisquare(torch.bincount((kinds * pairs[:, 0] + pairs[:, 1]).flatten(), minlength=kinds**2)).pvalue > 1e-4
        )


def test_each_picture_is_flipped_for_itself_and_each_way_as_often():
    torch.manual_seed(3)
    square = rand(1, 3, 6, 6).expand(6400, -1, -1, -1)
    found = which(random_flips(square), [turned(square, *ijk) for ijk in product((0, 1), repeat=3)])
    uniform_and_independent(found, 8)
    wide = rand(1, 1, 4, 6).expand(3200, -1, -1, -1)  # has no diagonal
    got = random_flips(wide)
    assert got.shape == wide.shape
    uniform_and_independent(which(got, [turned(wide, i, j, 0) for i, j in product((0, 1), repeat=2)]), 4)
    many, kept = rand(40, 3, 6, 6), rand(40, 3, 6, 6)
    # each is a copy of itself, not of a neighbour
    which(random_flips(many), [turned(many, *ijk) for ijk in product((0, 1), repeat=3)])
    assert torch.equal(many, kept) and random_flips(many[:0]).shape == (0, 3, 6, 6)


def test_each_picture_has_its_channels_in_an_order_of_its_own_and_is_a_negative_half_of_the_time():
    torch.manual_seed(0)
    images = rand(1, 3, 2, 5).expand(12_800, -1, -1, -1)
    orders = [sign * images[:, list(order)] for sign in (1, -1) for order in permutations(range(3))]
    uniform_and_independent(which(random_colours(images), orders), 12)
    many, kept = rand(40, 3, 4, 5), rand(40, 3, 4, 5)
    which(random_colours(many), [sign * many[:, list(order)] for sign in (1, -1) for order in permutations(range(3))])
    grey = rand(1, 1, 4, 5).expand(3200, -1, -1, -1)
    uniform_and_independent(which(random_colours(grey), [grey, -grey]), 2)
    assert torch.equal(many, kept) and random_colours(many[:0]).shape == (0, 3, 4, 5)


@pytest.mark.parametrize("draw", [random_flips, random_colours])
def test_turns_and_colours_follow_torchs_random_state(draw):
    images, runs = rand(50, 3, 6, 6), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(draw(images))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def by_hand(images):
    """Wide pictures turned and coloured one by one, from the numbers that torch's random state gives next."""
    # left to right, upside down, and the diagonal that they do not have
    coins = torch.rand(3, len(images), 1, 1, 1) < 0.5
    images = [turned(x, coins[0, i].item(), coins[1, i].item(), 0) for i, x in enumerate(images)]
    orders = torch.rand(len(images), images[0].shape[0])
    images = [x[sorted(range(len(x)), key=order.tolist().__getitem__)] for x, order in zip(images, orders)]
    negative = torch.rand(len(images), 1, 1, 1) < 0.5
    return torch.stack([-x if n else x for x, n in zip(images, negative)])


def test_one_step_of_the_denoiser_by_hand():
    net, images = build("Denoiser", 3, noise=(10, 40)), rand(5, 3, 8, 12)
    hand = copy.deepcopy(net)
    torch.manual_seed(4)
    got = net.training_step(Batch(images, None, None), {"denoiser": torch.optim.SGD(net.parameters(), lr=0.1)})
    torch.manual_seed(4)
    clean = by_hand(images)
    sigma = 10 + 30 * torch.rand(5, 1, 1, 1)  # one for each picture
    noisy = clean + sigma * 2 / 255 * torch.randn(clean.shape)
    loss = (noisy - hand.network(noisy) - clean).abs().mean()
    assert got["loss"].item() == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    for p, q in zip(net.network.parameters(), hand.network.parameters()):
        torch.testing.assert_close(p, q - 0.1 * q.grad, rtol=1e-4, atol=1e-6)


def test_one_step_of_the_super_resolver_by_hand():
    net, images = build("SuperResolver", 3), rand(5, 3, 8, 12)
    hand = copy.deepcopy(net)
    torch.manual_seed(4)
    got = net.training_step(Batch(images, None, None), {"super_resolver": torch.optim.SGD(net.parameters(), lr=0.1)})
    torch.manual_seed(4)
    sharp = by_hand(images)
    loss = (hand(ops.downscale(sharp)) - sharp).abs().mean()
    assert got["loss"].item() == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    for p, q in zip(net.network.parameters(), hand.network.parameters()):
        torch.testing.assert_close(p, q - 0.1 * q.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("noise", [(5, 55), (25, 25), (0, 10)])
def test_the_denoiser_sees_noise_of_the_strengths_asked_for(noise):
    net, flat, seen = build("Denoiser", noise=noise), torch.zeros(40, 1, 16, 16), []
    net.network.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach()))
    torch.manual_seed(1)
    net.training_step(Batch(flat, None, None), net.optimizers())
    sigma = seen[0].flatten(1).std(1) * 255 / 2
    least, most = noise
    assert sigma.min() > 0.8 * least and sigma.max() < 1.25 * most
    assert most == least or sigma.max() - sigma.min() > 0.6 * (most - least)


@every_model
def test_every_weight_learns_with_adam_and_the_loss_falls(kind):
    denoises = kind == "Denoiser"
    ds = digits(300) if denoises else al.data.load("photos", size=32, split="train")[:120:2]
    net = build(kind, ds.images.shape[1], width=8, lr=5e-3, **({"noise": (60, 60)} if denoises else {}))
    (optimizer,) = net.optimizers().values()
    assert optimizer.param_groups[0]["lr"] == 5e-3
    assert {id(p) for p in optimizer.param_groups[0]["params"]} == {id(p) for p in net.network.parameters()}
    before = copy.deepcopy(net)
    history = al.fit(net, ds, steps=60, batch_size=16 if denoises else 8, seed=0)
    losses = history.losses["loss"]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert all(not torch.equal(p.cpu(), q) for p, q in zip(net.parameters(), before.parameters()))
    if denoises:  # and held-out pictures become better by it
        test = digits(430).images[400:]
        noisy = ops.add_noise(test, 60, torch.randn(test.shape, generator=torch.Generator().manual_seed(2)))
        clean = net.restore(noisy.to(next(net.parameters()).device)).cpu()
        assert (clean - test).square().mean() < 0.6 * (noisy.clamp(-1, 1) - test).square().mean()
    fresh = net.training_step(Batch(ds.images[:4].to(next(net.parameters()).device), None, None), net.optimizers())[
        "loss"
    ]
    assert fresh.shape == () and not fresh.requires_grad


@every_model
def test_the_same_seed_trains_to_the_same_weights(kind):
    nets = []
    for seed in (5, 5, 6):
        nets.append(build(kind))
        al.fit(nets[-1], digits(), steps=3, batch_size=16, seed=seed)
    assert same(nets[0], nets[1]) and not same(nets[0], nets[2])


# What they refuse


@every_model
def test_pictures_that_are_refused(kind):
    net = build(kind, 3)
    for given, error, says in (
        (rand(2, 1, 8, 8), ValueError, f"This {kind} takes pictures with 3 channels and got 1"),
        (rand(3, 8, 8), ValueError, rf"{kind}.restore got images of shape \(3, 8, 8\).*image\[None\]"),
        (torch.full((1, 3, 8, 8), math.nan), ValueError, f"{kind}.restore got NaN"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, f"{kind}.restore got images of type torch.uint8"),
        ("a photo", TypeError, f"{kind}.restore got str"),
    ):
        with pytest.raises(error, match=says):
            net.restore(given)
    with pytest.raises(ValueError, match=f"This {kind} takes pictures with 3 channels and got 1"):
        al.fit(net, digits(), steps=1)
    with pytest.raises(ValueError, match="empty set"):
        al.fit(net, torch.zeros(0, 3, 8, 8), steps=1)
    for name in ("channels", "width"):
        with pytest.raises(ValueError, match=rf"{kind}\({name}=0\): accepted is 1 or more"):
            MODELS[kind](**{name: 0})


@pytest.mark.parametrize("noise", [(-1, 5), (20, 10), (0, 0), (-5, -1)])
def test_noise_that_is_refused(noise):
    with pytest.raises(
        ValueError, match=r"Denoiser\(noise=.*two standard deviations in levels of 255, such as \(5, 55\)"
    ):
        build("Denoiser", noise=noise)


@pytest.mark.parametrize("size", [(9, 8), (8, 9), (7, 7)])
def test_a_super_resolver_learns_from_even_sizes(size):
    net = build("SuperResolver")
    with pytest.raises(
        ValueError,
        match=r"shrinks pictures 2 times to learn from them and got \(\d, \d\). Load them at a size that 2 divides",
    ):
        net.training_step(Batch(rand(2, 1, *size), None, None), net.optimizers())


def test_the_eightfold_mean_of_what_knows_no_direction_is_that_itself():
    x = rand(2, 3, 6, 9)
    for function in (lambda t: t**3 - 0.2, lambda t: t.mean((2, 3), keepdim=True) * t, ops.upscale):
        torch.testing.assert_close(eightfold_mean(function, x), function(x), atol=1e-5, rtol=1e-5)


def test_the_eightfold_mean_turns_with_its_pictures():
    weight = torch.randn(3, 3, 3, 3)
    lopsided = lambda t: torch.nn.functional.conv2d(t, weight, padding=1).relu()
    x = rand(2, 3, 7, 4)
    assert not torch.allclose(lopsided(x.rot90(1, (2, 3))), lopsided(x).rot90(1, (2, 3)), atol=1e-2)
    whole = eightfold_mean(lopsided, x)
    for turned in (
        lambda t: t.rot90(1, (2, 3)),
        lambda t: t.flip(-1),
        lambda t: t.mT,
        lambda t: t.rot90(2, (2, 3)).flip(-2),
    ):
        torch.testing.assert_close(eightfold_mean(lopsided, turned(x)), turned(whole))
    by_hand = [
        lopsided(x),
        lopsided(x.flip(-1)).flip(-1),
        lopsided(x.flip(-2)).flip(-2),
        lopsided(x.flip(-1, -2)).flip(-1, -2),
    ]
    by_hand += [lopsided(y.mT).mT for y in (x,)] + [
        lopsided(x.mT.flip(-1)).flip(-1).mT,
        lopsided(x.mT.flip(-2)).flip(-2).mT,
    ]
    by_hand += [lopsided(x.mT.flip(-1, -2)).flip(-1, -2).mT]
    torch.testing.assert_close(whole, torch.stack(by_hand).mean(0))


@every_model
def test_restoring_eightfold(kind):
    net, x = build(kind), rand(3, 1, 6, 8)
    base = (lambda t: t) if kind == "Denoiser" else ops.upscale
    with torch.no_grad():
        want = eightfold_mean(net.eval(), x).clamp(-1, 1)
    torch.testing.assert_close(net.restore(x, eightfold=True), want)
    assert want.shape == base(x).shape and not torch.allclose(want, net.restore(x), atol=1e-4)


# A plain CNN, and another way to learn


def test_a_plain_cnn_keeps_the_size_and_sees_two_pixels_more_a_layer():
    for channels, width, layers, size in ((1, 5, 2, (7, 4)), (3, 6, 4, (12, 21))):
        net = plain_cnn(channels, width, layers).eval()
        x = torch.zeros(2, channels, *size, requires_grad=True)
        assert net(x).shape == x.shape
        weights = 9 * channels * width * 2 + 9 * width * width * (layers - 2)
        assert sum(p.numel() for p in net.parameters()) == weights + width + channels + 2 * width * (layers - 2)
    wide = torch.zeros(1, 3, 31, 31, requires_grad=True)
    for module in net:  # so that nothing is cut off on the way
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 0.01)
    net(wide)[0, :, 15, 15].sum().backward()
    rows = wide.grad[0].abs().sum((0, 2)).nonzero()[:, 0]
    assert (rows.min(), rows.max()) == (15 - 4, 15 + 4)  # 4 layers: 9 pixels


@pytest.mark.parametrize("factor", [2, 4])
def test_enlarging_by_two_and_four_with_and_without_texture(factor):
    x, sharp = rand(2, 3, 6, 5), rand(3, 3, 16, 24)
    for weight in (0.0, 0.5):
        net = build("SuperResolver", 3, factor=factor, texture_weight=weight)
        assert net.restore(x).shape == (2, 3, factor * 6, factor * 5)
        before = copy.deepcopy(net)
        losses = net.training_step(Batch(sharp, None, None), net.optimizers())
        assert set(losses) == ({"loss", "texture"} if weight else {"loss"})
        assert all(not torch.equal(p, q) for p, q in zip(net.network.parameters(), before.network.parameters()))
        assert weight == 0 or same(net.features, before.features)


def test_the_texture_loss_is_added_with_its_weight():
    """Steps of plain gradient descent: their difference grows in proportion to the weight."""
    sharp, moved = rand(3, 3, 16, 16), []
    for weight in (0.0, 0.1, 0.2):
        net = build("SuperResolver", 3, texture_weight=weight)
        torch.manual_seed(6)
        net.training_step(
            Batch(sharp, None, None), {"super_resolver": torch.optim.SGD(net.network.parameters(), lr=1.0)}
        )
        moved.append(torch.cat([p.detach().flatten() for p in net.network.parameters()]))
    torch.testing.assert_close(moved[2] - moved[0], 2 * (moved[1] - moved[0]), rtol=1e-2, atol=1e-5)
    assert (moved[1] - moved[0]).abs().max() > 1e-4


@pytest.mark.parametrize(
    "kind, given, says",
    [
        ("Denoiser", dict(layers=1), r"layers=1\): accepted are 2 or more, or None"),
        ("SuperResolver", dict(factor=3), r"factor=3\): accepted are 2 and 4"),
        ("SuperResolver", dict(texture_weight=-1), "accepted is a weight of at least 0"),
    ],
)
def test_other_ways_to_learn_that_are_refused(kind, given, says):
    with pytest.raises(ValueError, match=says):
        build(kind, **given)
