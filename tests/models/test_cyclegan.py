"""Unpaired translation: the buffer by its odds, the networks, one step by hand, an exact resume, and what is refused."""

import copy
import math

import pytest
import torch
from helpers import rand
from scipy.stats import binom, chisquare
from torch import nn

import aigc_lessons as al
from aigc_lessons.models.cyclegan import ImageBuffer, ResidualBlock, resnet_generator
from aigc_lessons.training import Batch

GENERATORS, DISCRIMINATORS = ("to_a", "to_b"), ("discriminator_a", "discriminator_b")


def build(channels=1, seed=0, **given):
    torch.manual_seed(seed)
    return al.models.CycleGAN(channels, **{"width": 4, "blocks": 1, **given})


def pair(n=4, m=4, size=(16, 24), channels=1):
    return Batch(rand(n, channels, *size, seed=1), None, None), Batch(rand(m, channels, *size, seed=2), None, None)


def same(a, b):
    a, b = ({k: v for k, v in net.state_dict().items() if isinstance(v, torch.Tensor)} for net in (a, b))
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def numbered(first, n):
    """Pictures that say which they are."""
    return torch.arange(first, first + n, dtype=torch.float32).view(n, 1, 1, 1).expand(n, 2, 3, 4).clone()


def numbers(images):
    assert (images == images[:, :1, :1, :1]).all()
    return [int(v) for v in images[:, 0, 0, 0]]


# The image buffer


def test_the_buffer_fills_first():
    buffer = ImageBuffer(5)
    assert numbers(buffer.query(numbered(0, 3))) == [0, 1, 2] and numbers(buffer.images) == [0, 1, 2]
    g = torch.Generator().manual_seed(0)
    before = g.get_state()
    assert numbers(buffer.query(numbered(3, 2), g)) == [3, 4] and numbers(buffer.images) == [0, 1, 2, 3, 4]
    assert torch.equal(g.get_state(), before)  # no dice are thrown before it is full


def test_a_full_buffer_swaps_with_probability_one_half_at_uniform_places():
    capacity, n, g = 8, 20_000, torch.Generator().manual_seed(1)
    buffer = ImageBuffer(capacity)
    buffer.query(numbered(0, capacity), g)
    held, places, swaps = list(range(capacity)), [0] * capacity, 0
    for start in range(capacity, capacity + n, 500):
        for new, given in zip(range(start, start + 500), numbers(buffer.query(numbered(start, 500), g))):
            if given != new:  # swapped: what comes out was stored, and the new one stands in its place
                place = held.index(given)
                held[place], swaps = new, swaps + 1
                places[place] += 1
        assert numbers(buffer.images) == held
    low, high = binom.interval(1 - 1e-4, n, 0.5)
    assert low <= swaps <= high
    assert chisquare(places).pvalue > 1e-4


@pytest.mark.parametrize("capacity", [1, 3, 50])
def test_nothing_is_lost_and_nothing_comes_twice(capacity):
    buffer, out = ImageBuffer(capacity), []
    torch.manual_seed(2)
    for start in range(0, 200, 8):
        out += numbers(buffer.query(numbered(start, 8)))
    kept = numbers(buffer.images)
    assert len(kept) == capacity and len(out) == 200
    # While it fills a picture is given and kept; afterwards it is given or kept. What was given at once and kept may come again.
    first = set(range(capacity))
    assert sorted(set(out) | set(kept)) == list(range(200))
    assert all(out.count(i) + kept.count(i) == (2 if i in first else 1) for i in range(200))


def test_swaps_within_one_query_are_possible_and_those_of_a_generator_repeat():
    runs = []
    for seed in (3, 3, 4):
        buffer, g = ImageBuffer(2), torch.Generator().manual_seed(seed)
        runs.append(numbers(buffer.query(numbered(0, 60), g)))
    assert runs[0] == runs[1] != runs[2]
    # a picture stored in this same query came out
    assert any(earlier > 1 and earlier != i for i, earlier in enumerate(runs[0]))


def test_without_a_generator_torchs_random_state_decides():
    runs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        runs.append(numbers(ImageBuffer(2).query(numbered(0, 60))))
    assert runs[0] == runs[1] != runs[2]


def test_a_buffer_of_nothing_gives_every_picture_back():
    buffer, state = ImageBuffer(0), torch.get_rng_state()
    assert numbers(buffer.query(numbered(0, 9))) == list(range(9)) and buffer.images is None
    assert torch.equal(torch.get_rng_state(), state)
    for capacity in (-1, -50):
        with pytest.raises(ValueError, match=rf"ImageBuffer\({capacity}\): accepted is a capacity of 0 or more"):
            ImageBuffer(capacity)
    with pytest.raises(ValueError, match=r"ImageBuffer\(-1\)"):
        build(buffer=-1)


def test_stored_pictures_have_no_gradient_and_are_copies():
    buffer, images = ImageBuffer(3), numbered(0, 3).requires_grad_()
    passed = images * 1
    given = buffer.query(passed)
    assert given.shape == images.shape and not given.requires_grad and not buffer.images.requires_grad
    given.fill_(99)
    passed.detach().fill_(77)
    assert numbers(buffer.images) == [0, 1, 2]
    full = numbered(10, 40)
    buffer.query(full, torch.Generator().manual_seed(0))
    kept = numbers(buffer.images)
    full.fill_(55)
    assert numbers(buffer.images) == kept != [0, 1, 2]


# Networks


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (12, 20), (32, 16)])
def test_translations_have_their_pictures_size_and_the_datas_range(channels, size):
    net, x = build(channels), rand(3, channels, *size)
    for to in ("A", "B"):
        got = net.translate(x, to=to)
        assert got.shape == x.shape and got.dtype == torch.float32 and not got.requires_grad
    with torch.no_grad():
        for generator in (net.to_a, net.to_b):
            generator[-2].weight.mul_(1e4)
    for to in ("A", "B"):
        got = net.translate(x, to=to)
        al.data.check_images(got, "test")
        assert got.min().item() == pytest.approx(-1, abs=1e-3) and got.max().item() == pytest.approx(1, abs=1e-3)
    assert net.translate(x[:0]).shape == (0, channels, *size)


def test_each_direction_has_its_own_generator_and_b_is_the_usual_one():
    net, x = build(), rand(2, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(net.translate(x), net.to_b(x))
        torch.testing.assert_close(net.translate(x, to="B"), net.to_b(x))
        torch.testing.assert_close(net.translate(x, to="A"), net.to_a(x))
    assert not torch.allclose(net.translate(x, "A"), net.translate(x, "B"))
    torch.testing.assert_close(net.translate(x)[1:], net.translate(x[1:]))  # instance norm: each picture alone


def test_the_generators_layers():
    net = resnet_generator(3, 4, 2)
    shapes, x = [], rand(2, 3, 16, 24)
    for layer in net:
        x = layer(x)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | ResidualBlock):
            shapes.append(tuple(x.shape[1:]))
    assert shapes == [(4, 16, 24), (8, 8, 12), (16, 4, 6), (16, 4, 6), (16, 4, 6), (8, 8, 12), (4, 16, 24), (3, 16, 24)]
    middle = (
        [nn.Conv2d, nn.InstanceNorm2d, nn.ReLU] * 3
        + [ResidualBlock] * 2
        + [nn.ConvTranspose2d, nn.InstanceNorm2d, nn.ReLU] * 2
    )
    assert [type(m) for m in net] == [*middle, nn.Conv2d, nn.Tanh]  # no norm on the picture itself
    assert (
        net[0].kernel_size == net[-2].kernel_size == (7, 7) and net[0].padding_mode == net[-2].padding_mode == "reflect"
    )


def test_a_residual_block_adds_to_what_it_was_given():
    block, x = ResidualBlock(3), rand(2, 3, 5, 6)
    kinds = [nn.Conv2d, nn.InstanceNorm2d, nn.ReLU, nn.Conv2d, nn.InstanceNorm2d]
    assert [type(m) for m in block.layers] == kinds and all(
        m.padding_mode == "reflect" for m in block.layers if isinstance(m, nn.Conv2d)
    )
    want = x
    for layer in block.layers:
        want = layer(want)
    torch.testing.assert_close(block(x), x + want)
    assert not torch.allclose(block(x), want)


def test_four_networks_two_optimizers_and_starting_weights():
    net = build(3, width=8, lr=3e-4, betas=(0.1, 0.95))
    for name, modules in (("generators", GENERATORS), ("discriminators", DISCRIMINATORS)):
        group = net.optimizers()[name].param_groups[0]
        assert [id(p) for p in group["params"]] == [id(p) for m in modules for p in getattr(net, m).parameters()]
        assert group["lr"] == 3e-4 and group["betas"] == (0.1, 0.95)
    weights = [getattr(net, name)[0].weight for name in GENERATORS + DISCRIMINATORS]
    assert all(w.std().item() == pytest.approx(0.02, rel=0.15) for w in weights)
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[2], weights[3])
    assert net.discriminator_a[0].out_channels == 16 and net.discriminator_a[0].in_channels == 3
    assert build().buffer_a.capacity == build().buffer_b.capacity == 50 and build().buffer_a is not build().buffer_b
    deep = build(blocks=5)
    assert all(sum(isinstance(m, ResidualBlock) for m in getattr(deep, name)) == 5 for name in GENERATORS)


# Steps


def hand_step(net, a, b, weights, old=lambda a, b: (a, b), lr=0.05):
    """One step written out again. old: what the discriminators see of the fakes."""
    cycle, identity = weights
    fake_a, fake_b = net.to_a(b), net.to_b(a)
    back_a, back_b = net.to_a(fake_b), net.to_b(fake_a)
    l1 = lambda x, y: (x - y).abs().mean()
    there = l1(back_a, a) + l1(back_b, b)
    g_loss = (net.discriminator_a(fake_a) - 1).square().mean() + (net.discriminator_b(fake_b) - 1).square().mean()
    g_loss = g_loss + cycle * there + identity * (l1(net.to_a(a), a) + l1(net.to_b(b), b))
    parameters = [*net.to_a.parameters(), *net.to_b.parameters()]
    gradients = torch.autograd.grad(g_loss, parameters)
    old_a, old_b = old(fake_a.detach(), fake_b.detach())
    d_loss = sum(
        ((d(real) - 1).square().mean() + d(fake).square().mean()) / 2
        for d, real, fake in ((net.discriminator_a, a, old_a), (net.discriminator_b, b, old_b))
    )
    judges = [*net.discriminator_a.parameters(), *net.discriminator_b.parameters()]
    for p, gradient in zip([*parameters, *judges], [*gradients, *torch.autograd.grad(d_loss, judges)]):
        p.data -= lr * gradient
    return dict(generators=g_loss.item(), discriminators=d_loss.item(), cycle=there.item())


def sgd(net, lr=0.05):
    return {
        name: torch.optim.SGD([p for m in modules for p in getattr(net, m).parameters()], lr=lr)
        for name, modules in (("generators", GENERATORS), ("discriminators", DISCRIMINATORS))
    }


@pytest.mark.parametrize("weights", [(10.0, 5.0), (3.0, 0.5), (2.0, 0.0), (0.0, 4.0)])
@pytest.mark.parametrize("buffer", [0, 50])
def test_one_training_step_by_hand(weights, buffer):
    net = build(cycle_weight=weights[0], identity_weight=weights[1], buffer=buffer)
    hand, (a, b) = copy.deepcopy(net), pair(4, 3)
    got = net.training_step((a, b), sgd(net))
    want = hand_step(hand, a.images, b.images, weights)  # a buffer that is not yet full gives the new fakes too
    assert {k: v.item() for k, v in got.items()} == pytest.approx(want, rel=1e-4)
    assert all(v.shape == () and v.isfinite() and not v.requires_grad for v in got.values())
    for name in GENERATORS + DISCRIMINATORS:
        torch.testing.assert_close(
            getattr(net, name).state_dict(), getattr(hand, name).state_dict(), rtol=1e-4, atol=1e-6
        )


def test_the_discriminators_see_what_each_buffer_gives():
    net, (a, b) = build(buffer=3), pair(8, 8)
    old = [
        numbered(5, 3)[:, :1, :1, :1].expand(3, 1, 16, 24) / 10,
        -numbered(5, 3)[:, :1, :1, :1].expand(3, 1, 16, 24) / 10,
    ]
    net.buffer_a.images, net.buffer_b.images = old[0].clone(), old[1].clone()
    hand = copy.deepcopy(net)
    torch.manual_seed(4)
    got = net.training_step((a, b), sgd(net))
    torch.manual_seed(4)
    from_a, from_b = ImageBuffer(3), ImageBuffer(3)
    from_a.images, from_b.images = old[0].clone(), old[1].clone()
    want = hand_step(
        hand, a.images, b.images, (10.0, 5.0), lambda fake_a, fake_b: (from_a.query(fake_a), from_b.query(fake_b))
    )
    assert {k: v.item() for k, v in got.items()} == pytest.approx(want, rel=1e-4)
    for ours, theirs, before in ((net.buffer_a, from_a, old[0]), (net.buffer_b, from_b, old[1])):
        torch.testing.assert_close(ours.images, theirs.images)
        assert not torch.equal(ours.images, before)


def test_the_usual_weights_are_10_and_5():
    usual, given, batch = build(), build(cycle_weight=10.0, identity_weight=5.0), pair()
    assert usual.training_step(batch, sgd(usual)) == given.training_step(batch, sgd(given))


def test_each_kind_of_network_moves_in_its_own_step_alone():
    net = build()
    optimizers, seen, kept = net.optimizers(), [], {}
    ours = {
        "generators": [p for m in GENERATORS for p in getattr(net, m).parameters()],
        "discriminators": [p for m in DISCRIMINATORS for p in getattr(net, m).parameters()],
    }
    for name, other in (("generators", "discriminators"), ("discriminators", "generators")):
        optimizers[name].register_step_pre_hook(lambda *_, b=ours[other]: seen.append([p.detach().clone() for p in b]))

        def check(*_, name=name, b=ours[other]):
            assert all(torch.equal(p, q) for p, q in zip(b, seen[-1]))
            seen[-1] = name

        optimizers[name].register_step_post_hook(check)
    optimizers["generators"].register_step_pre_hook(
        lambda *_: kept.update(quiet=all(p.grad is None for p in ours["discriminators"]))
    )
    optimizers["generators"].register_step_post_hook(
        lambda *_: kept.update({p: p.grad.clone() for p in ours["generators"]})
    )
    before = {name: [p.detach().clone() for p in ours[name]] for name in ours}
    net.training_step(pair(), optimizers)
    assert seen == ["generators", "discriminators"] and kept.pop("quiet")
    # the discriminators' backward leaves nothing in the generators
    assert all(torch.equal(p.grad, g) for p, g in kept.items())
    for name in ours:
        assert sum(not torch.equal(p, q) for p, q in zip(ours[name], before[name])) > 0.6 * len(ours[name])


def textures(size=16, n=40):
    return al.data.texture_domains(size=size, n=n)


def test_fit_moves_every_weight_and_the_way_back_becomes_shorter():
    net = build(lr=4e-3)
    before = copy.deepcopy(net)
    history = al.fit(net, textures(), steps=30, batch_size=8, seed=0)
    assert history.losses.keys() == {"generators", "discriminators", "cycle"}
    assert sum(history.losses["cycle"][-5:]) < 0.9 * sum(history.losses["cycle"][:5])
    # Instance norm takes a constant away again: the biases before it are free to stay.
    free = {name for name, p in net.named_parameters() if torch.equal(p.cpu(), dict(before.named_parameters())[name])}
    assert all(name.endswith("bias") for name in free)
    assert not free & {
        *(f"{g}.{len(net.to_a) - 2}.bias" for g in GENERATORS),
        *(f"{d}.{i}.bias" for d in DISCRIMINATORS for i in (0, 5)),
    }
    assert len(net.buffer_a.images) == len(net.buffer_b.images) == 50  # 30 steps of 8 fill it


def test_domains_of_different_sizes_are_drawn_from_independently():
    grass, brick = textures(n=40)
    net = build()
    assert not getattr(net, "paired", False)
    history = al.fit(net, (grass, brick[:17]), steps=4, batch_size=8)
    assert history.steps == 4


def test_the_same_seed_trains_to_the_same_weights():
    nets = []
    for seed in (5, 5, 6):
        nets.append(build(buffer=6))
        al.fit(nets[-1], textures(), steps=4, batch_size=8, seed=seed)
    assert same(nets[0], nets[1]) and not same(nets[0], nets[2])


@pytest.mark.parametrize("at", [1, 3])
def test_a_run_goes_on_exactly_from_its_checkpoint_with_its_buffers(tmp_path, at):
    """A buffer of 12 and batches of 8: at step 1 it is being filled, at step 3 in full use."""
    whole, first, second = build(buffer=12), build(buffer=12), build(seed=9, buffer=12)
    full = al.fit(whole, textures(), steps=6, batch_size=8, seed=5)
    al.fit(first, textures(), steps=at, batch_size=8, seed=5, checkpoint=tmp_path / "run.pt")
    assert len(first.buffer_a.images) == min(12, 8 * at)
    history = al.fit(second, textures(), steps=6, batch_size=8, seed=5, checkpoint=tmp_path / "run.pt")
    assert history.steps == 6 and history.losses == full.losses
    assert same(whole, second) and not same(whole, first)
    for ours, theirs in ((whole.buffer_a, second.buffer_a), (whole.buffer_b, second.buffer_b)):
        assert len(ours.images) == 12 and all(torch.equal(x, y) for x, y in zip(ours.images, theirs.images))
    assert not torch.equal(whole.buffer_a.images[0], whole.buffer_b.images[0])


def test_a_resumed_run_needs_the_buffers(tmp_path):
    """The test above can fail: with the buffers emptied the run ends elsewhere."""
    whole, forgetful = build(buffer=12), build(seed=9, buffer=12)
    al.fit(whole, textures(), steps=6, batch_size=8, seed=5)
    al.fit(build(buffer=12), textures(), steps=3, batch_size=8, seed=5, checkpoint=tmp_path / "run.pt")
    forgetful.set_extra_state = lambda state: None
    al.fit(forgetful, textures(), steps=6, batch_size=8, seed=5, checkpoint=tmp_path / "run.pt")
    assert not same(whole, forgetful)


def test_saved_weights_translate_the_same_and_bring_their_buffers(tmp_path):
    net, other, x = build(buffer=4), build(seed=1, buffer=4), rand(3, 1, 16, 16)
    net.training_step(pair(), net.optimizers())
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    for to in ("A", "B"):
        assert torch.equal(net.translate(x, to), other.translate(x, to))
    for name in ("buffer_a", "buffer_b"):
        assert len(getattr(net, name).images) == 4 and torch.equal(
            getattr(net, name).images, getattr(other, name).images
        )
    kept = net.buffer_a.images.clone()
    other.training_step(pair(), other.optimizers())
    # buffers of their own
    assert torch.equal(net.buffer_a.images, kept) and not torch.equal(other.buffer_a.images, kept)


@pytest.mark.parametrize("training", [True, False])
def test_translating_leaves_the_model_as_it_was(training):
    net, x = build().train(training), rand(3, 1, 16, 16)
    before, state = copy.deepcopy(net), torch.get_rng_state()
    assert torch.equal(net.translate(x), net.translate(x))
    assert same(before, net) and net.training is training and torch.equal(state, torch.get_rng_state())


# What it refuses


def test_domains_that_are_refused():
    net, (a, b) = build(), pair()
    before, (colour, _) = copy.deepcopy(net), pair(channels=3)
    for given, says in (
        (a, "A CycleGAN learns from two domains. Give fit a tuple"),
        ((colour, b), "This CycleGAN takes pictures of domain A with 1 channels and got 3"),
        ((a, colour), "This CycleGAN takes pictures of domain B with 1 channels and got 3"),
        ((a, pair(size=(16, 16))[1]), r"A CycleGAN got pictures of \(16, 24\) and \(16, 16\) pixels"),
    ):
        with pytest.raises(ValueError, match=says):
            net.training_step(given, net.optimizers())
    assert same(before, net) and net.buffer_a.images is None
    grass, brick = textures(n=20)
    shapes = al.data.load("shapes", size=16, n=20)
    for sets, says in (
        (grass, "learns from two domains"),
        ((grass,), "learns from two domains"),
        ((grass, brick, grass), "learns from two domains"),
        ((grass, shapes), "domain B with 1 channels and got 3"),
        ((shapes, brick), "domain A with 1 channels and got 3"),
        ((grass, textures(size=20)[1]), r"\(16, 16\) and \(20, 20\) pixels"),
        ((grass, brick[:0]), "empty set .*at least one image of each domain"),
        ((grass[:0], brick), "empty set .*at least one image of each domain"),
    ):
        with pytest.raises(ValueError, match=says):
            al.fit(net, sets, steps=1, batch_size=4)
    for points in (torch.ones(9, 1), torch.ones(9)):
        with pytest.raises(
            ValueError, match=r"This CycleGAN takes pictures of domain A of shape \(N, 1, H, W\) and got \(9,"
        ):
            al.fit(net, (points, points), steps=1, batch_size=4)
    assert same(before, net)  # no domain that was refused left its mean behind


def test_pictures_and_directions_that_are_refused():
    net, x = build(), rand(2, 1, 16, 16)
    for to in ("C", "b", "", None, 1):
        with pytest.raises(ValueError, match=rf"CycleGAN.translate\(to={to!r}\): accepted are 'A' and 'B'"):
            net.translate(x, to=to)
    for given, error, says in (
        (rand(2, 3, 16, 16), ValueError, "This CycleGAN takes pictures with 1 channels and got 3"),
        (3 * torch.ones(2, 1, 16, 16), ValueError, "CycleGAN.translate got images from 3 to 3"),
        (torch.full((2, 1, 16, 16), math.nan), ValueError, "CycleGAN.translate got NaN"),
        (
            rand(2, 1, 16, 18),
            ValueError,
            r"got pictures of \(16, 18\) pixels. Accepted: height and width that are multiples of 4",
        ),
        (rand(2, 1, 29, 32), ValueError, r"\(29, 32\) pixels"),
    ):
        with pytest.raises(error, match=says):
            net.translate(given)


def test_arguments_that_are_refused():
    for weights in ({"cycle_weight": -1.0}, {"identity_weight": -0.5}):
        with pytest.raises(
            ValueError, match=r"CycleGAN\(cycle_weight=.*, identity_weight=.*\): accepted are weights of at least 0"
        ):
            build(**weights)
    for name in ("channels", "width", "blocks"):
        with pytest.raises(ValueError, match=rf"CycleGAN\({name}=0\): accepted is 1 or more"):
            al.models.CycleGAN(**{name: 0})
