"""Generators that are told the class: what they are told, each step by hand, labels that matter, and labels that are refused."""

import copy
import math
import re

import pytest
import torch
from helpers import digits, same, trains_exactly
from torch import nn

import aigc_lessons as al
from aigc_lessons import ops
from aigc_lessons.models.conditional import ConditionalBatchNorm2d, ProjectionDiscriminator
from aigc_lessons.training import Batch

MODELS = {
    "CGAN": al.models.CGAN,
    "ProjectionGAN": al.models.ProjectionGAN,
    "ConditionalGAN": al.models.ConditionalGAN,
    "CVAE": al.models.CVAE,
}
LOSSES = {"CVAE": {"loss", "kl"}}
GANS = ("CGAN", "ProjectionGAN")
K = 10

every_model = pytest.mark.parametrize("kind", ("CGAN", "ProjectionGAN", "CVAE"))
every_gan = pytest.mark.parametrize("kind", GANS)


def build(kind, image_shape=(1, 16, 16), seed=0, **given):
    torch.manual_seed(seed)
    return MODELS[kind](image_shape, **{"n_classes": K, "latent_dim": 5, "width": 4, **given})


def batch(n=8):
    ds = digits(n)
    return Batch(ds.images, ds.labels, None)


def sgd(net, lr=0.1):
    return {name: torch.optim.SGD(getattr(net, name).parameters(), lr=lr) for name in ("generator", "discriminator")}


def loud(net, factor=1e4):
    """A fresh network's pictures are nearly grey: make their differences visible."""
    with torch.no_grad():
        (net.decoder[-2] if isinstance(net, al.models.CVAE) else net.generator_ema.module.last).weight.mul_(factor)
    return net


def follow(net, train):
    """[the average at first, then (the generator, the average) after each update] while train() runs."""
    state = lambda module: {k: v.detach().clone() for k, v in module.state_dict().items()}
    seen, real = [], net.generator_ema.update_parameters

    def update(module):
        if not seen:
            seen.append(state(net.generator_ema.module))
        real(module)
        seen.append((state(net.generator), state(net.generator_ema.module)))

    net.generator_ema.update_parameters = update
    train()
    return seen


# Samples


@every_model
@pytest.mark.parametrize("image_shape", [(1, 8, 8), (3, 16, 16), (1, 32, 32), (3, 64, 64)])
def test_samples_have_the_shape_and_range_of_the_data(kind, image_shape):
    net = build(kind, image_shape)
    x = net.sample(3, seed=1)
    assert x.shape == (3, *image_shape) and x.dtype == torch.float32 and not x.requires_grad
    al.data.check_images(loud(net).sample(40), "test")
    x = net.sample(40)
    assert x.min().item() == pytest.approx(-1, abs=1e-3) and x.max().item() == pytest.approx(1, abs=1e-3)
    for labels in (None, 1, torch.zeros(0, dtype=torch.int64)):
        assert net.sample(0, labels=labels).shape == (0, *image_shape)


@every_model
def test_a_seed_repeats_and_seeds_and_labels_matter(kind):
    net = loud(build(kind))
    first, state = net.sample(6, seed=3, labels=4), torch.get_rng_state()
    torch.manual_seed(99)
    assert torch.equal(net.sample(6, seed=3, labels=torch.full((6,), 4)), first)
    torch.manual_seed(0)
    assert torch.equal(net.sample(2), net.sample(2, seed=0))
    torch.set_rng_state(state)
    net.sample(3)
    assert torch.equal(torch.get_rng_state(), state)
    other_seed = net.sample(6, seed=4, labels=4)
    assert torch.pdist(torch.cat([first, other_seed]).flatten(1)).min() > 0.1


@every_model
def test_labels_belong_to_their_own_picture_and_change_it(kind):
    # which begins alike for all classes
    net = build(kind, **({"lr": 0.02, "ema_decay": 0.1} if kind == "ProjectionGAN" else {}))
    al.fit(net, digits(), steps=4, batch_size=32)
    loud(net, 1e3)
    labels = torch.tensor([0, 0, 7, 3, 9])
    x = net.sample(5, seed=1, labels=labels)
    for i, label in enumerate(labels.tolist()):
        alone = net.sample(5, seed=1, labels=label)
        torch.testing.assert_close(x[i], alone[i], rtol=1e-3, atol=1e-3)
    of_class = torch.stack([net.sample(1, seed=1, labels=k)[0] for k in range(K)])
    assert torch.pdist(of_class.flatten(1)).min() > 0.1
    # each class in turn
    torch.testing.assert_close(net.sample(12), net.sample(12, labels=torch.arange(12) % K), rtol=0, atol=0)


@every_model
@pytest.mark.parametrize("training", [True, False])
def test_sampling_changes_neither_weights_nor_statistics_nor_the_mode(kind, training):
    net = build(kind).train(training)
    before, modes = copy.deepcopy(net), {name: m.training for name, m in net.named_modules()}
    net.sample(5)
    assert same(before, net) and all(m.training == modes[name] for name, m in net.named_modules())


@every_gan
def test_samples_are_made_by_the_average_with_running_statistics(kind):
    net = build(kind)
    al.fit(net, digits(), steps=3, batch_size=16)
    x, labels = net.sample(7, seed=5, labels=3), torch.full((7,), 3)
    z = torch.randn(7, 5, generator=torch.Generator().manual_seed(5))
    where = next(net.parameters()).device
    told = z.to(where), labels.to(where)
    with torch.no_grad():
        torch.testing.assert_close(net.generator_ema.module.eval()(*told), x.to(where))
        assert not torch.allclose(net.generator.eval()(*told), x.to(where))


def test_a_cvae_decodes_standard_normal_noise():
    net = build("CVAE")
    z, labels = torch.randn(4, 5, generator=torch.Generator().manual_seed(2)), torch.tensor([3, 1, 4, 1])
    torch.testing.assert_close(
        net.sample(4, seed=2, labels=labels), net.decoder(torch.cat([z, torch.eye(K)[labels]], 1)).detach()
    )
    mu, logvar = net.encode(batch(4).images, labels)
    assert mu.shape == logvar.shape == (4, 5) and not torch.equal(mu, net.encode(batch(4).images, labels + 1)[0])


# Steps


def drawn(net, z, labels):
    """What the generator draws, with a label by concatenation put there by hand."""
    if isinstance(net.generator, nn.Sequential):
        return nn.Sequential(*net.generator)(torch.cat([z, torch.eye(K)[labels]], 1)[:, :, None, None])
    return net.generator(z, labels)


def judged(net, real, fake, labels):
    """Logits of real and of generated pictures, and of real ones with their most credible wrong label, written out again."""
    d = net.discriminator
    if isinstance(d, nn.Sequential):
        planes = torch.eye(K)[labels][:, :, None, None].expand(-1, -1, 16, 16)
        return *(nn.Sequential(*d)(torch.cat([x, planes], 1)) for x in (real, fake)), None
    features = d.features(real).sum((2, 3))
    # read once: each reading iterates spectral norm
    rows, bias = d.embedding.weight + d.linear.weight, d.linear.bias[0]
    r = torch.stack([x @ rows[label] + bias for x, label in zip(features, labels)])
    wrong = [max(x @ rows[k] + bias for k in range(K) if k != label) for x, label in zip(features, labels)]
    return r, d(fake, labels), torch.stack(wrong)


def critical(net, real, fake, labels):
    """The discriminator's loss. Both losses treat fakes as real pictures with logits of the other sign."""
    r, f, wrong = judged(net, real, fake, labels)
    called_real = lambda x: (1 - x).clamp(min=0).mean() if net.loss == "hinge" else -torch.sigmoid(x).log().mean()
    loss = called_real(r) + called_real(-f)
    if net.mismatched:  # a term of its own, where a wrong label is most credible
        assert net.loss == "log" or (wrong > -1).all()  # or the hinge would hide it
        loss = loss + called_real(-wrong)
    return loss


def descend(module, loss, lr=0.1):
    weights = list(module.parameters())
    for p, gradient in zip(weights, torch.autograd.grad(loss, weights)):
        with torch.no_grad():
            p -= lr * gradient


GAMES = [
    ("CGAN", {}),
    ("ProjectionGAN", {}),
    ("ProjectionGAN", {"mismatched": False}),
    *(
        ("ConditionalGAN", dict(generator=generator, discriminator=discriminator, loss=loss, mismatched=mismatched))
        for generator in ("concatenation", "batch norm")
        for discriminator, mismatched in (("concatenation", False), ("projection", False), ("projection", True))
        for loss in ("hinge", "log")
    ),
]


@pytest.mark.parametrize("kind, more", GAMES)
def test_one_training_step_by_hand(kind, more):
    net = build(kind, **more)
    hand, b = copy.deepcopy(net), batch()
    b = b._replace(images=0.3 * b.images)  # faint, so that no logit is beyond the hinge
    torch.manual_seed(4)
    got = net.training_step(b, sgd(net))

    torch.manual_seed(4)
    fake = drawn(hand, torch.randn(8, 5), b.labels)
    d_loss = critical(hand, b.images, fake.detach(), b.labels)
    descend(hand.discriminator, d_loss)
    logits = hand.discriminator(fake, b.labels)
    g_loss = -logits.mean() if net.loss == "hinge" else -torch.sigmoid(logits).log().mean()
    descend(hand.generator, g_loss)
    assert {k: v.item() for k, v in got.items()} == pytest.approx(
        dict(discriminator=d_loss.item(), generator=g_loss.item()), abs=1e-5
    )
    for name in ("generator", "discriminator"):
        torch.testing.assert_close(
            getattr(net, name).state_dict(), getattr(hand, name).state_dict(), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize(
    "kind, choices",
    [
        ("CGAN", dict(generator="concatenation", discriminator="concatenation", loss="log")),
        ("ProjectionGAN", dict(generator="batch norm", discriminator="projection", loss="hinge", mismatched=True)),
    ],
)
def test_the_two_named_models_are_choices_of_the_one(kind, choices):
    ours, free = build(kind, seed=3), build("ConditionalGAN", seed=3, **choices)
    for net in (ours, free):
        al.fit(net, digits(), steps=2, batch_size=16, seed=1, progress=False)
    assert same(ours, free)


@pytest.mark.parametrize(
    "given, says",
    [
        (dict(generator="film"), r"ConditionalGAN\(generator='film'\): accepted are 'concatenation', 'batch norm'"),
        (dict(discriminator="batch norm"), "accepted are 'concatenation', 'projection'"),
        (dict(loss="wasserstein"), "accepted are 'log', 'hinge'"),
        (dict(discriminator="concatenation", mismatched=True), "only discriminator=.projection. gives in one pass"),
    ],
)
def test_what_is_no_way_of_telling_a_class_is_refused(given, says):
    with pytest.raises(ValueError, match=says):
        build("ConditionalGAN", **given)


def test_one_step_of_the_cvae_by_hand():
    net = build("CVAE", beta=0.3)
    hand, b = copy.deepcopy(net), batch()
    torch.manual_seed(4)
    got = net.training_step(b, {"cvae": torch.optim.SGD(net.parameters(), lr=0.01)})
    torch.manual_seed(4)
    one_hot = torch.eye(K)[b.labels]
    mu, logvar = hand.encoder(torch.cat([b.images, one_hot[:, :, None, None].expand(-1, -1, 16, 16)], 1)).chunk(2, 1)
    z = mu + (0.5 * logvar).exp() * torch.randn(8, 5)
    reconstruction = hand.decoder(torch.cat([z, one_hot], 1))
    kl = (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean() / 2
    loss = (b.images - reconstruction).square().sum((1, 2, 3)).mean() / 2 + 0.3 * kl
    descend(hand, loss, 0.01)
    assert got["loss"].item() == pytest.approx(loss.item(), rel=1e-5) and got["kl"].item() == pytest.approx(
        kl.item(), rel=1e-4
    )
    torch.testing.assert_close(net.state_dict(), hand.state_dict(), rtol=1e-4, atol=1e-5)


@every_gan
def test_each_network_moves_in_its_own_step_alone(kind):
    net = build(kind)
    optimizers, seen = sgd(net), []
    for name, other in (("discriminator", "generator"), ("generator", "discriminator")):
        bystander = list(getattr(net, other).parameters())
        optimizers[name].register_step_pre_hook(lambda *_, b=bystander: seen.append([p.detach().clone() for p in b]))

        def check(*_, name=name, b=bystander):
            assert all(torch.equal(p, q) for p, q in zip(b, seen[-1]))
            seen[-1] = name

        optimizers[name].register_step_post_hook(check)
    kept = {}
    optimizers["discriminator"].register_step_post_hook(
        lambda *_: kept.update({p: p.grad.clone() for p in net.discriminator.parameters()})
    )
    net.training_step(batch(), optimizers)
    assert seen == ["discriminator", "generator"]
    # the generator's backward leaves nothing in the discriminator
    assert all(torch.equal(p.grad, g) for p, g in kept.items())


@every_model
@pytest.mark.parametrize("channels", [1, 3])
def test_fit_moves_every_weight_on_grey_and_on_colour(kind, channels):
    ds = digits() if channels == 1 else al.data.load("shapes", size=16, n=64)
    net = build(kind, (channels, 16, 16), n_classes=len(ds.classes))
    before = copy.deepcopy(net)
    history = al.fit(net, ds, steps=4, batch_size=32, seed=5)
    assert history.losses.keys() == LOSSES.get(kind, {"discriminator", "generator"})
    still = {name for name, p in net.named_parameters() if torch.equal(p.cpu(), dict(before.named_parameters())[name])}
    assert still == set()
    al.data.check_images(net.sample(4), "test")


@every_model
def test_every_trained_weight_has_one_optimizer_and_losses_carry_no_graph(kind):
    net = build(kind, lr=3e-4)
    optimizers = net.optimizers()
    groups = [group for optimizer in optimizers.values() for group in optimizer.param_groups]
    held = [id(p) for group in groups for p in group["params"]]
    trained = {id(p) for name, p in net.named_parameters() if not name.startswith("generator_ema")}
    assert len(held) == len(set(held)) and set(held) == trained and all(group["lr"] == 3e-4 for group in groups)
    losses = net.training_step(batch(), optimizers)
    assert all(v.shape == () and v.isfinite() and not v.requires_grad for v in losses.values())


@every_gan
@pytest.mark.parametrize("decay", [0.15, 0.7])
def test_betas_reach_adam_and_the_average_decays_as_asked(kind, decay):
    """In its n-th update, counted from 0, by the decay asked for, but by (1 + n) / (10 + n) while that is less."""
    net = build(kind, betas=(0.1, 0.95), ema_decay=decay, lr=0.05)
    assert all(o.param_groups[0]["betas"] == (0.1, 0.95) for o in net.optimizers().values())
    averages = follow(net, lambda: al.fit(net, digits(), steps=4, batch_size=16))
    want = averages[0]
    for n, (weights, average) in enumerate(averages[1:]):
        d = min(decay, (1 + n) / (10 + n))
        want = {k: d * v + (1 - d) * weights[k] if v.is_floating_point() else weights[k] for k, v in want.items()}
        torch.testing.assert_close(average, want, rtol=1e-4, atol=1e-6)
    moved = {k for k, v in averages[1][0].items() if not torch.equal(v, averages[-1][0][k])}
    assert len(averages) == 5 and moved >= {k for k, _ in net.generator.named_parameters()}


@every_model
def test_the_same_seed_trains_to_the_same_weights_and_a_checkpoint_goes_on_exactly(kind, tmp_path):
    trains_exactly(lambda **more: build(kind, **more), digits(), tmp_path / "run.pt")


def test_a_cvae_learns_and_draws_the_class_it_is_asked_for():
    ds = digits(400)
    net = build("CVAE", width=8, lr=3e-3, beta=0.3)
    history = al.fit(net, ds, steps=150, batch_size=50, seed=0)
    assert sum(history.losses["loss"][-10:]) < 0.5 * sum(history.losses["loss"][:10])
    means = torch.stack([ds.images[ds.labels == k].mean(0) for k in range(K)])
    drawn = torch.stack([net.sample(40, seed=k, labels=k).mean(0).cpu() for k in range(K)])
    distance = torch.cdist(drawn.flatten(1), means.flatten(1))
    assert (distance.argmin(1) == torch.arange(K)).sum() >= 9  # nearest to the mean of its own class


# Networks


def statistics_of(norm):
    return norm.norm.running_mean.clone(), norm.norm.running_var.clone()


def conditional_norm(seed=0):
    torch.manual_seed(seed)
    norm = ConditionalBatchNorm2d(4, 3)
    with torch.no_grad():
        norm.gamma += torch.randn(3, 4)
        norm.beta += torch.randn(3, 4)
    return norm


def test_the_module_is_the_op_while_it_trains_and_uses_running_statistics_afterwards():
    norm, labels = conditional_norm().train(), torch.tensor([2, 0, 1, 1, 0])
    x = 2 + 3 * torch.randn(5, 4, 3, 6)
    torch.testing.assert_close(
        norm(x, labels), ops.conditional_batch_norm(x, labels, norm.gamma, norm.beta, norm.norm.eps)
    )
    for _ in range(3):
        norm(x, labels)
    mean, var = statistics_of(norm)
    norm.eval()
    y = torch.randn(2, 4, 3, 6)
    by_hand = (y - mean[:, None, None]) / (var[:, None, None] + norm.norm.eps).sqrt()
    want = norm.gamma[[1, 2]][:, :, None, None] * by_hand + norm.beta[[1, 2]][:, :, None, None]
    torch.testing.assert_close(norm(y, torch.tensor([1, 2])), want)
    assert all(torch.equal(a, b) for a, b in zip(statistics_of(norm), (mean, var))) and (mean - 2).abs().max() > 0.01
    assert not torch.allclose(norm(y, torch.tensor([1, 2])), norm.train()(y, torch.tensor([1, 2])))


def test_the_module_begins_as_plain_batch_norm_with_the_same_statistics():
    fresh, plain, x = ConditionalBatchNorm2d(4, 3), nn.BatchNorm2d(4), 1 + 2 * torch.randn(6, 4, 3, 5)
    torch.testing.assert_close(fresh(x, torch.tensor([0, 1, 2, 0, 1, 2])), plain(x))
    for ours, theirs in zip(statistics_of(fresh), (plain.running_mean, plain.running_var)):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("image_shape", [(1, 8, 8), (3, 32, 32)])
def test_every_norm_of_the_projection_generator_is_told_the_class(image_shape):
    net = build("ProjectionGAN", image_shape)
    norms = [m for m in net.generator.modules() if isinstance(m, ConditionalBatchNorm2d)]
    assert len(norms) == len(net.generator.convs) == sum(isinstance(m, nn.BatchNorm2d) for m in net.generator.modules())
    assert all(m.gamma.shape == m.beta.shape == (K, m.norm.num_features) for m in norms)
    al.fit(net, al.data.load("digits-8x8", size=image_shape[-1])[:32], steps=1, batch_size=16) if image_shape[
        0
    ] == 1 else None
    z, labels = torch.randn(2, 5), torch.tensor([1, 1])
    net = net.cpu().eval()
    before = net.generator(z, labels)
    for norm in norms:  # each of them is used, with the row of the class, and with no other
        for row, felt in ((1, True), (2, False)):
            with torch.no_grad():
                norm.beta[row] += 3
            assert torch.equal(net.generator(z, labels), before) != felt
            with torch.no_grad():
                norm.beta[row] -= 3
        before = net.generator(z, labels)


def test_the_projection_discriminators_logit_by_hand():
    torch.manual_seed(0)
    net = ProjectionDiscriminator((3, 16, 16), K, 4).eval()  # in eval mode spectral norm no longer iterates
    with torch.no_grad():
        net.linear.bias += 0.7
    x, labels = 2 * torch.rand(5, 3, 16, 16) - 1, torch.tensor([3, 0, 9, 3, 1])
    logits, features = net(x, labels), net.features(x)
    assert logits.shape == (5,) and features.shape == (5, 16, 4, 4) and features.min() < 0
    pooled = features.sum((2, 3))
    for i, label in enumerate(labels):
        want = pooled[i] @ net.linear.weight[0] + pooled[i] @ net.embedding.weight[label] + net.linear.bias[0]
        torch.testing.assert_close(logits[i], want)
    assert (net(x, labels) - net(x, (labels + 1) % K)).abs().min() > 1e-5


def test_the_logits_of_every_label_are_those_of_each():
    torch.manual_seed(1)
    net = ProjectionDiscriminator((3, 16, 16), 7, 4).eval()
    x = 2 * torch.rand(5, 3, 16, 16) - 1
    every = net.every_label(x)
    assert every.shape == (5, 7)
    for label in range(7):
        torch.testing.assert_close(every[:, label], net(x, torch.full((5,), label)))


def test_one_class_has_no_wrong_label():
    ds = al.data.ImageSet(2 * torch.rand(16, 1, 16, 16) - 1, torch.zeros(16, dtype=torch.int64), classes=("only",))
    net = build("ProjectionGAN", n_classes=1)
    assert all(
        math.isfinite(v)
        for losses in al.fit(net, ds, steps=2, batch_size=8, progress=False).losses.values()
        for v in losses
    )


@pytest.mark.parametrize("name, count", [("CGAN", 4), ("ProjectionGAN", 3 + 2)])
def test_every_layer_of_a_discriminator_has_spectral_norm_and_none_has_batch_norm(name, count):
    net = build(name, (3, 32, 32), n_classes=K).discriminator
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert len(layers) == count and all(nn.utils.parametrize.is_parametrized(m, "weight") for m in layers)
    assert not any(isinstance(m, nn.BatchNorm2d | nn.InstanceNorm2d | nn.Sigmoid) for m in net.modules())
    for m in layers:
        assert torch.linalg.svdvals(m.weight.detach().flatten(1))[0].item() == pytest.approx(1, abs=0.05)


def test_concatenation_adds_a_channel_for_each_class():
    net, vae = build("CGAN", (3, 16, 16), n_classes=7), build("CVAE", (3, 16, 16), n_classes=7)
    assert net.generator[0].in_channels == 5 + 7 and net.discriminator[0].in_channels == 3 + 7
    assert vae.encoder[0].in_channels == 3 + 7 and vae.decoder[0].in_features == 5 + 7
    assert net.generator[0].weight.std().item() == pytest.approx(0.02, rel=0.1)  # Radford et al. 2016
    convs = build("ProjectionGAN").generator.convs
    assert all(c.weight.std().item() == pytest.approx(0.02, rel=0.1) for c in convs)


# What they refuse


@every_model
@pytest.mark.parametrize(
    ("labels", "error", "says"),
    [
        (torch.tensor([0.0, 1.0]), TypeError, "labels of type torch.float32. Accepted: whole numbers"),
        (torch.tensor([True, False]), TypeError, "labels of type torch.bool"),
        (torch.tensor([0, K]), ValueError, f"from 0 to {K}. It knows {K} classes: accepted are 0 to {K - 1}"),
        (-1, ValueError, "from -1 to -1"),
        (torch.tensor([0, 1, 2]), ValueError, r"shape \(3,\) for 2 pictures"),
    ],
)
def test_bad_labels_are_refused_by_name(kind, labels, error, says):
    with pytest.raises(
        error, match=f"{kind} got {says}" if says.startswith("labels") else f"{kind} got labels.*{says}"
    ):
        build(kind).sample(2, labels=labels)


@every_model
def test_bad_batches_are_refused_and_nothing_is_learnt(kind):
    net, images, labels = build(kind), digits(4).images, torch.tensor([0, 1, 2, 3])
    before, optimizers = copy.deepcopy(net), net.optimizers()
    for given, error, says in (
        ((images, None), ValueError, f"A {kind} learns from labels and the data has none. Load a set with classes"),
        ((images, labels + K - 3), ValueError, f"{kind} got labels from {K - 3} to {K}. It knows {K} classes"),
        ((images, labels - 1), ValueError, "from -1 to 2"),
        ((images, labels.float()), TypeError, "type torch.float32"),
        (
            (torch.zeros(4, 1, 8, 8), labels),
            ValueError,
            rf"This {kind} takes images of shape \(1, 16, 16\) and got \(1, 8, 8\)",
        ),
        ((torch.zeros(4, 3, 16, 16), labels), ValueError, r"got \(3, 16, 16\)"),
    ):
        with pytest.raises(error, match=says):
            net.training_step(Batch(*given, None), optimizers)
    with pytest.raises(
        ValueError,
        match=rf"A label is {K} and this {kind} has {K} classes: accepted are 0 to {K - 1}. Build it with n_classes=len",
    ):
        # the whole set has one kind more, which this batch lacks
        net.training_step(Batch(images, labels, None, K + 1), optimizers)
    net.training_step(
        Batch(images, labels, None, 4),
        {k: torch.optim.SGD(o.param_groups[0]["params"], lr=0.0) for k, o in optimizers.items()},
    )
    for name, weights in before.named_parameters():
        assert torch.equal(weights, dict(net.named_parameters())[name])
    with pytest.raises(ValueError, match="the data has none"):
        al.fit(net, al.data.load("faces", size=16), steps=1)
    with pytest.raises(ValueError, match=rf"A label is 9 and this {kind} has 3 classes: accepted are 0 to 2"):
        al.fit(build(kind, n_classes=3), digits(), steps=1)


@every_model
def test_data_that_is_refused_leaves_no_mark_and_says_the_shape(kind):
    """`fit` begins from the mean of the data: not from that of data which it then refuses."""
    net = build(kind)
    before = copy.deepcopy(net)
    sizes = {
        "(3, 16, 16)": torch.ones(8, 3, 16, 16),
        "(1, 8, 8)": torch.ones(8, 1, 8, 8),
        "(2,)": torch.ones(8, 2),
        "()": torch.ones(8),
    }
    for shape, data in sizes.items():
        with pytest.raises(
            ValueError, match=re.escape(f"This {kind} takes images of shape (1, 16, 16) and got {shape}.")
        ):
            al.fit(net, data, steps=1, batch_size=4)
    assert same(before, net)


@every_model
@pytest.mark.parametrize("name", ["n_classes", "latent_dim", "width"])
def test_counts_below_1_are_refused(kind, name):
    with pytest.raises(ValueError, match=rf"{kind}\({name}=0\): accepted is 1 or more"):
        build(kind, **{name: 0})


@every_model
@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 16, 32), (2, 16, 16)])
def test_picture_shapes_that_cannot_be_made(kind, image_shape):
    with pytest.raises(ValueError, match="squares of side 8, 16, 32, 64|1 channel"):
        build(kind, image_shape)
