"""Paired translation: how far a patch reaches, each step by hand, pairs that stay pairs, and what is refused."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from helpers import rand, same
from torch import nn

import aigc_lessons as al
from aigc_lessons import ops
from aigc_lessons.models.pix2pix import patch_discriminator
from aigc_lessons.training import Batch

MODELS = {"both": {}, "l1": {"adversarial": False}, "adversarial": {"l1_weight": 0.0}}
every_model = pytest.mark.parametrize("kind", MODELS)


def build(kind="both", a=1, b=3, seed=0, **given):
    torch.manual_seed(seed)
    return al.models.Pix2Pix(a, b, **{"width": 4, **MODELS[kind], **given})


def pair(n=4, size=(16, 24), a=1, b=3):
    return Batch(rand(n, a, *size, seed=1), None, None), Batch(rand(n, b, *size, seed=2), None, None)


# PatchGAN


@pytest.mark.parametrize(("halvings", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_a_patch_and_no_more(halvings, patch):
    torch.manual_seed(0)
    net = patch_discriminator(2, 4, halvings, norm=nn.Identity).double()
    layers = [(m.kernel_size[0], m.stride[0]) for m in net if isinstance(m, nn.Conv2d)]
    assert ops.receptive_field(layers) == patch
    side = 96
    x = torch.randn(1, 2, side, side + 16).double().requires_grad_()
    logits = net(x)
    n, m = side // 2**halvings - 2, (side + 16) // 2**halvings - 2
    assert logits.shape == (1, 1, n, m)
    i, j = n // 2, m // 2
    (gradient,) = torch.autograd.grad(logits[0, 0, i, j], x)
    for axis, place in ((3, i), (2, j)):  # rows seen, then columns
        seen = (gradient[0].abs().sum((0, axis - 1)) > 0).nonzero()[:, 0]
        assert len(seen) == patch == seen[-1] - seen[0] + 1
        middle = (seen[0] + seen[-1]).item() / 2
        assert abs(middle - (place + 1.5) * 2**halvings + 0.5) <= 2**halvings  # around the logit's own place


def test_instance_norm_lets_a_logit_see_the_whole_picture():
    torch.manual_seed(0)
    x = torch.randn(1, 2, 64, 64).double().requires_grad_()
    (gradient,) = torch.autograd.grad(patch_discriminator(2, 4).double()(x)[0, 0, 15, 15], x)
    assert (gradient != 0).float().mean() > 0.9
    of_first = torch.randn(2, 2, 32, 32).double().requires_grad_()
    (gradient,) = torch.autograd.grad(patch_discriminator(2, 4).double()(of_first)[0, 0, 5, 5], of_first)
    assert gradient[0].any() and not gradient[1].any()  # but no other picture


@pytest.mark.parametrize(("halvings", "channels"), [(1, [4, 8, 1]), (2, [4, 8, 16, 1]), (3, [4, 8, 16, 32, 1])])
def test_the_discriminators_layers(halvings, channels):
    net = patch_discriminator(5, 4, halvings)
    convs = [m for m in net if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convs] == channels and convs[0].in_channels == 5
    kinds = [type(m) for m in net]
    between = [nn.Conv2d, nn.InstanceNorm2d, nn.LeakyReLU] * halvings
    assert kinds == [nn.Conv2d, nn.LeakyReLU, *between, nn.Conv2d]  # no norm on the picture, no sigmoid on the logits
    assert all(m.negative_slope == 0.2 for m in net if isinstance(m, nn.LeakyReLU))
    assert [m.num_features for m in net if isinstance(m, nn.InstanceNorm2d)] == channels[1:-1]


# What comes back


@every_model
@pytest.mark.parametrize(("a", "b"), [(1, 3), (3, 1)])
@pytest.mark.parametrize("size", [(16, 16), (29, 31), (33, 47)])
def test_translations_have_the_size_of_the_one_and_the_channels_and_range_of_the_other(kind, a, b, size):
    net, x = build(kind, a, b), rand(3, a, *size)
    got = net.translate(x)
    assert got.shape == (3, b, *size) and got.dtype == torch.float32 and not got.requires_grad
    with torch.no_grad():  # as strong as can be, and as often dark as bright
        level = net.eval().generator(x).mean((0, 2, 3))
        net.generator.up.head.bias.sub_(level).mul_(1e7)
        net.generator.up.head.weight.mul_(1e7)
    got = net.translate(x)
    al.data.check_images(got, "test")
    assert got.min().item() == pytest.approx(-1, abs=1e-3) and got.max().item() == pytest.approx(1, abs=1e-3)
    assert net.translate(x[:0]).shape == (0, b, *size)


@pytest.mark.parametrize("training", [True, False])
def test_translating_uses_running_statistics_and_leaves_the_model_as_it_was(training):
    net = build()
    net.training_step(pair(), net.optimizers())
    net.train(training)
    x, before, state = rand(3, 1, 16, 16), copy.deepcopy(net), torch.get_rng_state()
    got = net.translate(x)
    assert torch.equal(net.translate(x), got)
    torch.testing.assert_close(net.translate(x[1:2]), got[1:2])
    assert same(before, net) and net.training is training and torch.equal(state, torch.get_rng_state())
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(x), got)
        assert not torch.allclose(net.train()(x), got)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in net.generator.modules()) == 2 * 7


# Steps


def test_one_training_step_by_hand():
    net = build(l1_weight=7.0)
    hand, (a, b) = copy.deepcopy(net), pair()
    optimizers = {
        name: torch.optim.SGD(getattr(net, name).parameters(), lr=0.05) for name in ("generator", "discriminator")
    }
    got = net.training_step((a, b), optimizers)
    a, b = a.images, b.images
    fake = hand.generator(a).tanh()
    judge = lambda partner: hand.discriminator(torch.cat([a, partner], 1))
    d_loss = F.softplus(-judge(b)).mean() + F.softplus(judge(fake.detach())).mean()
    weights = list(hand.discriminator.parameters())
    for p, gradient in zip(weights, torch.autograd.grad(d_loss, weights)):
        p.data -= 0.05 * gradient
    l1 = (fake - b).abs().mean()
    g_loss = F.softplus(-judge(fake)).mean() + 7 * l1
    weights = list(hand.generator.parameters())
    for p, gradient in zip(weights, torch.autograd.grad(g_loss, weights)):
        p.data -= 0.05 * gradient
    want = dict(discriminator=d_loss.item(), generator=g_loss.item(), l1=l1.item())
    assert {k: v.item() for k, v in got.items()} == pytest.approx(want, rel=1e-4)
    torch.testing.assert_close(net.state_dict(), hand.state_dict(), rtol=1e-4, atol=1e-5)


def test_one_step_with_the_distance_alone_by_hand():
    net = build("l1")
    hand, (a, b) = copy.deepcopy(net), pair()
    got = net.training_step((a, b), {"generator": torch.optim.SGD(net.parameters(), lr=0.05)})
    loss = (hand.generator(a.images).tanh() - b.images).abs().mean()
    loss.backward()
    assert got.keys() == {"l1"} and got["l1"].item() == pytest.approx(loss.item(), rel=1e-5)
    for p, q in zip(net.parameters(), hand.parameters()):
        torch.testing.assert_close(p, q - 0.05 * q.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["both", "adversarial"])
def test_each_network_moves_in_its_own_step_alone(kind):
    net = build(kind)
    optimizers, seen, kept = net.optimizers(), [], {}
    for name, other in (("discriminator", "generator"), ("generator", "discriminator")):
        bystander = list(getattr(net, other).parameters())
        optimizers[name].register_step_pre_hook(lambda *_, b=bystander: seen.append([p.detach().clone() for p in b]))

        def check(*_, name=name, b=bystander):
            assert all(torch.equal(p, q) for p, q in zip(b, seen[-1]))
            seen[-1] = name

        optimizers[name].register_step_post_hook(check)
    optimizers["discriminator"].register_step_post_hook(
        lambda *_: kept.update({p: p.grad.clone() for p in net.discriminator.parameters()})
    )
    quiet = lambda: all(p.grad is None for p in net.generator.parameters())
    optimizers["discriminator"].register_step_pre_hook(lambda *_: kept.update(quiet=quiet()))
    losses = net.training_step(pair(), optimizers)
    assert seen == ["discriminator", "generator"] and kept.pop("quiet")
    assert all(torch.equal(p.grad, g) for p, g in kept.items())
    assert all(v.shape == () and v.isfinite() and not v.requires_grad for v in losses.values())


@every_model
def test_learning_rates_optimizers_and_starting_weights(kind):
    net = build(kind, lr=3e-4, betas=(0.1, 0.95), width=16)
    names = {"generator"} if kind == "l1" else {"generator", "discriminator"}
    assert net.optimizers().keys() == names and (net.discriminator is None) == (kind == "l1")
    for name, optimizer in net.optimizers().items():
        assert optimizer.param_groups[0]["lr"] == 3e-4 and optimizer.param_groups[0]["betas"] == (0.1, 0.95)
        assert {id(p) for p in optimizer.param_groups[0]["params"]} == {id(p) for p in getattr(net, name).parameters()}
    if net.discriminator:
        assert net.discriminator[0].in_channels == 1 + 3 and net.discriminator[0].weight.std().item() == pytest.approx(
            0.02, rel=0.1
        )


@every_model
def test_fit_moves_every_weight_and_comes_nearer_to_the_true_partner(kind):
    outline, plain = al.data.shape_domains("outline", "plain", size=16, n=128)
    net = build(kind, 3, 3, width=8, lr=5e-3)
    before, error = copy.deepcopy(net), lambda: (net.translate(outline.images) - plain.images).abs().mean().item()
    at_first = error()
    history = al.fit(net, (outline, plain), steps=4 if kind == "adversarial" else 40, batch_size=16, seed=0)
    assert kind == "adversarial" or (
        sum(history.losses["l1"][-10:]) < 0.65 * sum(history.losses["l1"][:10]) and error() < 0.75 * at_first
    )
    # Batch and instance norm take a constant away again: the biases before them are free to stay.
    free = {name for name, p in net.named_parameters() if torch.equal(p.cpu(), dict(before.named_parameters())[name])}
    assert all(name.endswith("bias") for name in free) and not free & {"generator.up.head.bias", "discriminator.0.bias"}


def test_pairs_stay_pairs_in_training():
    """Each picture's partner is itself: a net that is given true pairs only can say nothing against the identity."""
    seen = []

    class Watched(al.models.Pix2Pix):
        def training_step(self, batch, optimizers):
            seen.append(torch.equal(batch[0].images, batch[1].images))
            return super().training_step(batch, optimizers)

    ds = al.data.load("shapes", size=16, n=40)
    al.fit(Watched(3, 3, width=2), (ds, ds), steps=6, batch_size=8)
    assert seen == [True] * 6 and al.models.Pix2Pix.paired is True


def test_the_same_seed_trains_to_the_same_weights_and_a_checkpoint_goes_on_exactly(tmp_path):
    sets, nets = al.data.shape_domains("day", "night", size=16, n=48), []
    for seed in (5, 5, 6):
        nets.append(build("both", 3, 3))
        al.fit(nets[-1], sets, steps=4, batch_size=16, seed=seed)
    assert same(nets[0], nets[1]) and not same(nets[0], nets[2])
    first, second = build("both", 3, 3), build("both", 3, 3, seed=1)
    al.fit(first, sets, steps=2, batch_size=16, seed=5, checkpoint=tmp_path / "run.pt")
    al.fit(second, sets, steps=4, batch_size=16, seed=5, checkpoint=tmp_path / "run.pt")
    assert same(nets[0], second)


# Noise, bridges, patches


def noisy(**given):
    net = build(dropout=0.5, **given)
    net.training_step(pair(), net.optimizers())
    return net.eval()


def test_without_a_seed_there_is_no_noise_and_with_one_it_is_that_seed_s():
    net, x = noisy(), rand(3, 1, 16, 24, seed=3)
    state, calm = torch.get_rng_state(), net.translate(x)
    with torch.no_grad():
        assert torch.equal(net(x), calm)
    one, other = net.translate(x, seed=1), net.translate(x, seed=2)
    assert torch.equal(net.translate(x, seed=1), one) and torch.equal(state, torch.get_rng_state())
    assert not torch.allclose(one, other, atol=1e-3) and not torch.allclose(one, calm, atol=1e-3)
    al.data.check_images(one, "test")
    assert torch.equal(build().translate(x, seed=1), build().translate(x, seed=2))  # no dropout, no noise


def test_dropout_keeps_the_mean_and_leaves_the_finest_block_alone():
    up = al.models.unet.Decoder([2, 3, 4], 1, dropout=0.25).eval()
    x, g = torch.ones(1, 5, 40, 50), torch.Generator().manual_seed(0)
    dropped = up._dropped(x, g)
    assert dropped.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    torch.manual_seed(0)
    trained = up.train()._dropped(x, None)
    assert trained.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    calls = []
    up._dropped = lambda x, generator: calls.append(tuple(x.shape)) or x
    up([rand(1, 2, 8, 12), rand(1, 3, 4, 6), rand(1, 4, 2, 3)])
    assert calls == [(1, 3, 4, 6)]


def test_training_draws_its_dropout_and_the_seed_of_fit_repeats_it():
    net, a = build(dropout=0.5), pair()[0].images
    torch.manual_seed(0)
    first, second = net(a), net(a)
    assert not torch.allclose(first, second, atol=1e-3)
    torch.manual_seed(0)
    torch.testing.assert_close(net(a), first)


@pytest.mark.parametrize("skips", [(), (0,), (1, 2), (0, 2)])
def test_a_bridge_that_is_removed_carries_nothing(skips):
    """Neither forwards nor backwards; the others do, and the number of weights stays."""
    net, whole = build(skips=skips), build()
    assert [p.shape for p in net.parameters()] == [p.shape for p in whole.parameters()]
    net.load_state_dict(whole.state_dict())
    unet, given = net.generator.eval(), []
    unet.up.register_forward_hook(lambda part, features, answer: given.append(features[0]))
    unet(rand(2, 1, 16, 24))
    *bridges, deepest = given[0]
    assert [bool(b.any()) for b in bridges] == [level in skips for level in range(3)] and deepest.any()
    whole.generator.skips = skips  # so a bridge can be taken from a trained network
    x = rand(2, 1, 16, 24, seed=5)
    torch.testing.assert_close(whole.eval().translate(x), net.translate(x))
    assert not torch.allclose(build().eval().translate(x), net.translate(x))


def test_without_bridges_everything_passes_through_an_eighth_of_the_size():
    """One pixel of the coarsest features is all that an isolated dot can change, so it comes back as a block."""
    net = build(skips=()).eval().double()
    x = torch.zeros(1, 1, 32, 48, dtype=torch.float64)
    names = []
    for part in (net.generator.down[-1],):
        part.register_forward_hook(lambda m, i, o: names.append(o.detach().clone()))
    net(x)
    assert names[0].shape == (1, 32, 4, 6)
    deep = names[0].requires_grad_()
    features = [torch.zeros(1, 4 * 2**i, 32 >> i, 48 >> i, dtype=torch.float64) for i in range(3)]
    same = net.generator.up([*features, deep]).tanh()
    torch.testing.assert_close(same, net(x))


@pytest.mark.parametrize(("halvings", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_the_patch_that_was_asked_for(halvings, patch):
    net = build(halvings=halvings)
    layers = [(m.kernel_size[0], m.stride[0]) for m in net.discriminator if isinstance(m, nn.Conv2d)]
    assert ops.receptive_field(layers) == patch
    losses = net.training_step(pair(size=(64, 40)), net.optimizers())
    assert all(v.isfinite() for v in losses.values())


# What it refuses


def test_domains_that_are_refused():
    net, (a, b) = build(), pair()
    before = copy.deepcopy(net)
    for given, says in (
        (a, r"A Pix2Pix learns from two domains. Give fit a tuple"),
        ((b, a), "This Pix2Pix takes first pictures with 1 channels and got 3"),
        ((a, a), "This Pix2Pix takes second pictures with 3 channels and got 1"),
        (
            (a, pair(size=(16, 16))[1]),
            r"got pictures of \(16, 24\) and \(16, 16\) pixels. Load both domains at one size",
        ),
    ):
        with pytest.raises(ValueError, match=says):
            net.training_step(given, net.optimizers())
    assert same(before, net)
    shapes, grey = al.data.load("shapes", size=16, n=20), al.data.load("digits-8x8", size=16)[:20]
    for sets, says in (
        (shapes, "learns from two domains"),
        ((shapes,), "learns from two domains"),
        ((shapes, shapes, shapes), "learns from two domains"),
        ((shapes, shapes), "first pictures with 1 channels and got 3"),
        ((grey, grey), "second pictures with 3 channels and got 1"),
        ((grey, shapes[:19]), "20 and 19 images for a model that learns from pairs"),
        ((grey, torch.zeros(0, 3, 16, 16)), "empty set .*at least one image of each domain"),
        ((grey[:0], shapes), "empty set .*at least one image of each domain"),
    ):
        with pytest.raises(ValueError, match=says):
            al.fit(net, sets, steps=1, batch_size=4)
    for points in (torch.ones(9, 1), torch.ones(9)):
        with pytest.raises(ValueError, match=r"This Pix2Pix takes first pictures of shape \(N, 1, H, W\) and got \(9,"):
            al.fit(net, (points, points), steps=1, batch_size=4)
    assert same(before, net)  # no pair that was refused left its mean behind


def test_pictures_that_are_refused():
    net = build(a=3)
    for given, error, says in (
        (rand(2, 1, 8, 8), ValueError, "This Pix2Pix takes pictures with 3 channels and got 1"),
        (2 * torch.ones(2, 3, 8, 8), ValueError, "Pix2Pix.translate got images from 2 to 2"),
        (torch.full((2, 3, 8, 8), math.nan), ValueError, "Pix2Pix.translate got NaN"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), TypeError, "Pix2Pix.translate got images of type torch.uint8"),
    ):
        with pytest.raises(error, match=says):
            net.translate(given)


def test_arguments_that_are_refused():
    for weight, adversarial in ((-1.0, True), (-1.0, False), (0.0, False)):
        with pytest.raises(
            ValueError,
            match=rf"Pix2Pix\(l1_weight={weight}, adversarial={adversarial}\): accepted is a weight of at least 0",
        ):
            al.models.Pix2Pix(l1_weight=weight, adversarial=adversarial)
    for dropout in (-0.1, 1.0):
        with pytest.raises(ValueError, match=rf"Pix2Pix\(dropout={dropout}\): accepted is a share from 0"):
            al.models.Pix2Pix(dropout=dropout)
    with pytest.raises(ValueError, match=r"Pix2Pix\(skips=\(0, 3\)\): there is no bridge 3. Accepted are some of 0"):
        al.models.Pix2Pix(skips=(0, 3))
    for name in ("in_channels", "out_channels", "width", "halvings"):
        with pytest.raises(ValueError, match=rf"Pix2Pix\({name}=0\): accepted is 1 or more"):
            al.models.Pix2Pix(**{name: 0})
