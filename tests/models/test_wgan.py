"""GANs with a critic: its three constraints hold, its steps are what the papers say, and it judges each picture alone."""

import copy

import pytest
import torch
from helpers import digits
from torch import nn

import aigc_lessons as al
from aigc_lessons.training import Batch

every_constraint = pytest.mark.parametrize("constraint", ["clip", "penalty", "spectral"])


def build(constraint="penalty", image_shape=(1, 16, 16), seed=0, **given):
    torch.manual_seed(seed)
    return al.models.WGAN(image_shape, constraint, **{"latent_dim": 5, "width": 4, **given})


def batch(n=8):
    return Batch(digits(n).images, None, None)


def sgd(net, lr=0.1):
    return {name: torch.optim.SGD(getattr(net, name).parameters(), lr=lr) for name in ("generator", "critic")}


# Networks


@every_constraint
@pytest.mark.parametrize("image_shape", [(1, 8, 8), (3, 32, 32)])
def test_the_critic_has_one_score_a_picture_and_no_batch_norm(constraint, image_shape):
    net = build(constraint, image_shape)
    assert net.critic(torch.zeros(5, *image_shape)).shape == (5,)
    assert not any(
        isinstance(m, nn.BatchNorm2d | nn.InstanceNorm2d | nn.LayerNorm | nn.Sigmoid) for m in net.critic.modules()
    )
    assert any(isinstance(m, nn.BatchNorm2d) for m in net.generator.modules())


@every_constraint
def test_a_pictures_score_does_not_depend_on_the_rest_of_its_batch(constraint):
    net, x = build(constraint), 2 * torch.rand(6, 1, 16, 16) - 1
    together, alone, others = (copy.deepcopy(net.critic) for _ in range(3))  # spectral norm iterates at every call
    scores = together(x)
    torch.testing.assert_close(alone(x[2:3]), scores[2:3])
    torch.testing.assert_close(others(torch.cat([x[2:3], -x[3:]]))[:1], scores[2:3])


@every_constraint
def test_a_score_has_no_gradient_on_other_pictures(constraint):
    x = (2 * torch.rand(4, 1, 16, 16) - 1).requires_grad_()
    build(constraint).critic(x)[2].backward()
    assert x.grad[2].abs().max() > 0 and not x.grad[[0, 1, 3]].any()


@pytest.mark.parametrize("constraint, normed", [("clip", False), ("penalty", False), ("spectral", True)])
def test_only_the_spectral_critic_is_normed_and_in_every_layer(constraint, normed):
    layers = [m for m in build(constraint, (1, 32, 32)).critic if isinstance(m, nn.Conv2d)]
    assert len(layers) == 4
    assert [nn.utils.parametrize.is_parametrized(layer, "weight") for layer in layers] == [normed] * 4


def test_unknown_constraints_are_refused():
    for given in ("none", "Clip", None):
        with pytest.raises(ValueError, match=f"constraint={given!r}\\): accepted are clip, penalty, spectral"):
            build(given)


def test_learning_rate_and_betas_reach_adam():
    for optimizer in build(lr=3e-4, betas=(0.1, 0.95)).optimizers().values():
        assert optimizer.param_groups[0]["lr"] == 3e-4 and optimizer.param_groups[0]["betas"] == (0.1, 0.95)


# Steps


def objective(constraint, critic, real, fake, t, weight):
    """What the critic minimises, written out again."""
    scores = critic(real), critic(fake)
    if constraint == "spectral":
        return (1 - scores[0]).clamp(min=0).mean() + (1 + scores[1]).clamp(min=0).mean()
    loss = scores[1].mean() - scores[0].mean()
    if constraint == "penalty":
        points = (fake + t[:, None, None, None] * (real - fake)).requires_grad_()
        (slope,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
        loss = loss + weight * ((slope.square().sum((1, 2, 3)).sqrt() - 1) ** 2).mean()
    return loss


@every_constraint
@pytest.mark.parametrize("critic_steps", [1, 3])
def test_one_training_step_by_hand(constraint, critic_steps):
    net = build(constraint, critic_steps=critic_steps, clip=0.05, penalty_weight=3.0)
    hand, real = copy.deepcopy(net), batch().images
    torch.manual_seed(4)
    got = net.training_step(batch(), sgd(net))

    torch.manual_seed(4)
    for _ in range(critic_steps):
        fake = hand.generator(torch.randn(8, 5, 1, 1)).detach()
        t = torch.rand(8) if constraint == "penalty" else None
        critic_loss = objective(constraint, hand.critic, real, fake, t, 3.0)
        for p, gradient in zip(
            hand.critic.parameters(),
            torch.autograd.grad(critic_loss, list(hand.critic.parameters()), allow_unused=True),
        ):
            with torch.no_grad():
                p -= 0.1 * (0 if gradient is None else gradient)
                if constraint == "clip":
                    p.copy_(p.clip(-0.05, 0.05))
    generator_loss = -hand.critic(hand.generator(torch.randn(8, 5, 1, 1))).mean()
    for p, gradient in zip(
        hand.generator.parameters(), torch.autograd.grad(generator_loss, list(hand.generator.parameters()))
    ):
        with torch.no_grad():
            p -= 0.1 * gradient

    assert {k: v.item() for k, v in got.items()} == pytest.approx(
        dict(critic=critic_loss.item(), generator=generator_loss.item()), abs=1e-5
    )
    for name in ("critic", "generator"):
        ours, theirs = getattr(net, name).state_dict(), getattr(hand, name).state_dict()
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@every_constraint
def test_the_critic_steps_as_often_as_asked_and_each_step_moves_its_own_network(constraint):
    net = build(constraint, critic_steps=3)
    optimizers, order = sgd(net), []
    for name, other in (("critic", "generator"), ("generator", "critic")):
        bystander = getattr(net, other)
        optimizers[name].register_step_pre_hook(
            lambda *_, b=bystander: order.append([p.detach().clone() for p in b.parameters()])
        )

        def check(*_, name=name, b=bystander):
            assert all(torch.equal(p, q) for p, q in zip(b.parameters(), order[-1]))
            order[-1] = name

        optimizers[name].register_step_post_hook(check)
    started = copy.deepcopy(net)
    net.training_step(batch(), optimizers)
    assert order == ["critic"] * 3 + ["generator"]
    for name in ("critic", "generator"):
        assert not torch.equal(next(getattr(net, name).parameters()), next(getattr(started, name).parameters()))


@every_constraint
def test_the_critics_step_leaves_no_gradient_in_the_generator(constraint):
    net = build(constraint)
    net.critic_step(batch().images, sgd(net)["critic"])
    assert all(p.grad is None for p in net.generator.parameters())
    assert sum(p.grad.abs().sum() for p in net.critic.parameters()) > 0


# Constraints


@pytest.mark.parametrize("clip", [0.02, 0.003])
def test_clipping_holds_for_every_weight_of_the_critic_and_for_no_other(clip):
    net = build("clip", clip=clip, lr=0.05)
    net.training_step(batch(), net.optimizers())
    sizes = torch.cat([p.detach().abs().flatten() for p in net.critic.parameters()])
    # steps of 0.05: many at the end
    assert sizes.max() <= clip * (1 + 1e-6) and (sizes >= clip * (1 - 1e-6)).float().mean() > 0.3
    assert max(p.abs().max() for p in net.generator.parameters()) > 0.04
    al.fit(net, digits(), steps=5, batch_size=16)
    assert max(p.abs().max() for p in net.critic.parameters()) <= clip * (1 + 1e-6)


def test_without_clipping_weights_go_where_they_like():
    for constraint in ("penalty", "spectral"):
        net = build(constraint, clip=0.003)
        net.training_step(batch(), net.optimizers())
        assert max(p.abs().max() for p in net.critic.parameters()) > 0.1


def slopes(critic, real, fake):
    """The norm of the critic's gradient at points on the segments between real and fake."""
    t = torch.rand(len(real), 1, 1, 1, generator=torch.Generator().manual_seed(6)).to(real.device)
    points = (t * real + (1 - t) * fake).requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(critic(points).sum(), points)
    return gradient.flatten(1).norm(dim=1)


@pytest.mark.parametrize("steepness", [0.3, 4.0])
def test_the_penalty_brings_slopes_that_are_too_small_or_too_large_near_1(steepness):
    # The critic gains the distance W for each unit of slope and pays weight (slope - 1)^2: best at 1 + W / (2 weight), W about 10.
    net, real = build("penalty", width=8, penalty_weight=100.0), digits(48).images
    with torch.no_grad():
        fake = net.generator(net.noise(48))
        net.critic[-2].weight.mul_(steepness / slopes(net.critic, real, fake).mean())  # the last layer is linear
    assert slopes(net.critic, real, fake).mean().item() == pytest.approx(steepness, rel=1e-3)
    optimizer = torch.optim.Adam(net.critic.parameters(), lr=2e-3, betas=(0.0, 0.9))
    torch.manual_seed(3)
    for _ in range(80):
        net.critic_step(real, optimizer)
    after = slopes(net.critic, real, fake)
    assert after.mean().item() == pytest.approx(1, abs=0.25) and (after - 1).abs().mean() < 0.3


def test_without_a_penalty_slopes_grow():
    net, real = build("penalty", width=8, penalty_weight=0.0), digits(48).images
    optimizer = torch.optim.Adam(net.critic.parameters(), lr=2e-3, betas=(0.0, 0.9))
    for _ in range(40):
        net.critic_step(real, optimizer)
    with torch.no_grad():
        fake = net.generator(net.noise(48))
    assert slopes(net.critic, real, fake).mean() > 3


def test_spectral_norm_keeps_every_layers_largest_singular_value_at_1():
    net = build("spectral", (3, 32, 32), width=8, lr=5e-3)
    with torch.no_grad():
        for layer in (m for m in net.critic if isinstance(m, nn.Conv2d)):
            layer.parametrizations.weight.original.mul_(3)
    al.fit(net, al.data.load("shapes", size=32, n=64), steps=12, batch_size=16)
    for layer in net.critic:
        if isinstance(layer, nn.Conv2d):
            raw = torch.linalg.svdvals(layer.parametrizations.weight.original.detach().flatten(1))[0].item()
            effective = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item()
            assert effective == pytest.approx(1, abs=0.05)
            assert raw > 1.5  # it is the norm that does it, not the weights beneath


def test_the_averaged_generator_follows_the_trained_one():
    """By the decay asked for, once its warm-up allows as much: the first two updates keep 1/10 and 2/11 of it."""
    for decay, kept in ((0.7, (1 / 10, 2 / 11)), (0.15, (1 / 10, 0.15)), (0.0, (0.0, 0.0))):
        net, weights = build(ema_decay=decay, lr=0.01), lambda module: module[0].weight.detach().cpu().clone()
        average = weights(net.generator_ema.module)
        assert torch.equal(average, weights(net.generator))
        for n, d in enumerate(kept):
            before = weights(net.generator)
            if n == 0:
                al.fit(net, digits(), steps=1, batch_size=16)
            else:
                net.train().training_step(
                    Batch(digits(8).images.to(net.generator[0].weight.device), None, None), net.optimizers()
                )
                net.generator_ema.update_parameters(net.generator)
            average = d * average + (1 - d) * weights(net.generator)
            torch.testing.assert_close(weights(net.generator_ema.module), average, rtol=1e-5, atol=1e-7)
            assert (before - weights(net.generator)).abs().max() > 1e-3


@every_constraint
def test_samples_are_made_by_the_average_from_standard_normal_noise(constraint):
    net = build(constraint)
    al.fit(net, digits(), steps=2, batch_size=16)
    x = net.sample(7, seed=5)
    z = torch.randn(7, 5, 1, 1, generator=torch.Generator().manual_seed(5)).to(x.device)
    assert torch.equal(net.generator_ema.module.eval()(z), x)
    assert not torch.allclose(net.generator.eval()(z), x)


def test_a_critic_takes_at_least_one_step():
    with pytest.raises(ValueError, match=r"critic_steps=0\): accepted is 1 or more"):
        al.models.WGAN((1, 8, 8), critic_steps=0)
