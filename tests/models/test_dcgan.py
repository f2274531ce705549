"""The convolutional GAN: its layers, one step by hand, and the average that makes the samples."""

import copy
import math

import pytest
import torch
from helpers import digits
from torch import nn

import aigc_lessons as al
from aigc_lessons.models.dcgan import gan_step
from aigc_lessons.training import Batch


def build(image_shape=(1, 16, 16), seed=0, **given):
    torch.manual_seed(seed)
    return al.models.DCGAN(image_shape, **{"latent_dim": 5, "width": 4, **given})


def sgd(module, lr=0.1):
    return torch.optim.SGD(module.parameters(), lr=lr)


# Networks


def wide(image_shape):
    """Radford's plan for a small picture: 256 channels at the top, noise of 100 numbers."""
    return al.models.DCGAN(image_shape, latent_dim=100, width=64)


PLANS = [  # who, z, shapes from the first layer to the picture
    (lambda: wide((3, 32, 32)), 100, [(256, 4, 4), (128, 8, 8), (64, 16, 16), (3, 32, 32)]),
    (lambda: wide((1, 16, 16)), 100, [(256, 4, 4), (128, 8, 8), (1, 16, 16)]),
    (lambda: build((1, 8, 8), width=3), 5, [(12, 4, 4), (1, 8, 8)]),
    (lambda: build((3, 64, 64), width=8), 5, [(32, 4, 4), (16, 8, 8), (8, 16, 16), (4, 32, 32), (3, 64, 64)]),
    (lambda: build((1, 64, 64), width=1), 5, [(4, 4, 4), (2, 8, 8), (1, 16, 16), (1, 32, 32), (1, 64, 64)]),
]


def convolutions(network, x):
    """Each convolution's layer and the shape of one sample after it."""
    seen = []
    for layer in network:
        x = layer(x)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            seen.append((layer, tuple(x.shape[1:])))
    return seen


@pytest.mark.parametrize("make, z, plan", PLANS)
def test_the_generator_layer_by_layer(make, z, plan):
    net = make()
    assert net.latent_dim == z and net.image_shape == plan[-1] and net.noise(2).shape == (2, z, 1, 1)
    layers = convolutions(net.generator, torch.zeros(2, z, 1, 1))
    assert [shape for _, shape in layers] == plan
    kinds = [type(m) for m in net.generator]
    between = [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU] * (len(plan) - 1)
    assert kinds == [*between, nn.ConvTranspose2d, nn.Tanh]  # no batch norm on the picture itself
    assert [(m.kernel_size, m.stride, m.padding) for m, _ in layers] == [((4, 4), (1, 1), (0, 0))] + [
        ((4, 4), (2, 2), (1, 1))
    ] * (len(plan) - 1)


@pytest.mark.parametrize("make, z, plan", PLANS)
def test_the_discriminator_is_its_mirror_and_returns_logits(make, z, plan):
    net = make()
    x = torch.zeros(2, *plan[-1])
    layers = convolutions(net.discriminator, x)
    assert [shape for _, shape in layers] == [*plan[-2::-1], (1, 1, 1)]
    assert net.discriminator(x).shape == (2,)
    kinds = [type(m) for m in net.discriminator]
    between = [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * (len(plan) - 2)
    # no batch norm on the picture, no sigmoid
    assert kinds == [nn.Conv2d, nn.LeakyReLU, *between, nn.Conv2d, nn.Flatten]
    assert {m.negative_slope for m in net.discriminator if isinstance(m, nn.LeakyReLU)} == {0.2}
    with torch.no_grad():
        net.discriminator[-2].weight.mul_(1e4)
    assert net.discriminator(torch.randn(64, *plan[-1])).abs().max() > 2


def test_the_number_of_weights_of_a_wide_network():
    net = wide((3, 32, 32))
    g, d = net.generator, net.discriminator
    kernels = 16 * (256 * 128 + 128 * 64 + 64 * 3)
    # bias, scale and shift; bias
    assert sum(p.numel() for p in g.parameters()) == 16 * 100 * 256 + kernels + (256 + 128 + 64) * 3 + 3
    assert sum(p.numel() for p in d.parameters()) == kernels + 16 * 256 + 64 + (128 + 256) * 3 + 1


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_weights_begin_as_radford_says(network):
    torch.manual_seed(0)
    for layer in getattr(wide((3, 32, 32)), network):
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            n = layer.weight.numel()
            assert layer.weight.std().item() == pytest.approx(0.02, abs=4 * 0.02 / math.sqrt(2 * n))
            assert abs(layer.weight.mean().item()) < 4 * 0.02 / math.sqrt(n)


def test_learning_rate_and_betas_reach_adam():
    for optimizer in build(lr=3e-4, betas=(0.4, 0.95)).optimizers().values():
        assert isinstance(optimizer, torch.optim.Adam)
        assert optimizer.param_groups[0]["lr"] == 3e-4 and optimizer.param_groups[0]["betas"] == (0.4, 0.95)
    assert build().optimizers()["generator"].param_groups[0]["betas"] == (0.5, 0.999)


# One step


def linear_pair():
    torch.manual_seed(1)
    return nn.Linear(2, 3).double(), nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)).double()


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_one_step_of_linear_networks_by_hand(scale):
    """Logits w.x + b, so both gradients are a few matrix products with sigmoids."""
    g, d = linear_pair()
    real, noise = scale * torch.randn(6, 3).double(), scale * torch.randn(4, 2).double()
    a, c, w, b = (p.detach().clone() for p in (g.weight, g.bias, d[0].weight[0], d[0].bias))
    fake = noise @ a.T + c

    on_real, on_fake = -torch.sigmoid(-(real @ w + b)) / 6, torch.sigmoid(fake @ w + b) / 4  # dL/dlogit
    d_loss = (1 + (-(real @ w + b)).exp()).log().mean() + (1 + (fake @ w + b).exp()).log().mean()
    new_w, new_b = w - 0.3 * (on_real @ real + on_fake @ fake), b - 0.3 * (on_real.sum() + on_fake.sum())

    logits = fake @ new_w + new_b  # the same fakes, the new discriminator
    g_loss = (1 + (-logits).exp()).log().mean()
    on_fake = -torch.sigmoid(-logits)[:, None] / 4 * new_w  # (4, 3): dL/dfake
    new_a, new_c = a - 0.2 * on_fake.T @ noise, c - 0.2 * on_fake.sum(0)

    got = gan_step(g, d, sgd(g, 0.2), sgd(d, 0.3), real, noise)
    assert all(isinstance(v, torch.Tensor) and v.shape == () and not v.requires_grad for v in got)
    assert [v.item() for v in got] == pytest.approx([d_loss.item(), g_loss.item()])
    for ours, theirs in zip((d[0].weight[0], d[0].bias, g.weight, g.bias), (new_w, new_b, new_a, new_c)):
        torch.testing.assert_close(ours.detach(), theirs)


def test_the_discriminators_step_leaves_no_gradient_in_the_generator():
    g, d = linear_pair()
    opt_g, opt_d = sgd(g), sgd(d)
    order = []
    opt_d.register_step_pre_hook(lambda *_: order.append(("d", [p.grad for p in g.parameters()])))
    opt_g.register_step_pre_hook(lambda *_: order.append(("g", None)))
    gan_step(g, d, opt_g, opt_d, torch.randn(6, 3).double(), torch.randn(4, 2).double())
    assert order == [("d", [None, None]), ("g", None)]


def stepped(real, noise, lr_g=0.1, lr_d=0.1, old_gradient=None):
    """The two linear networks after one step: [(generator's weights), (discriminator's weights)]."""
    g, d = linear_pair()
    for p in [*g.parameters(), *d.parameters()]:
        p.grad = None if old_gradient is None else torch.full_like(p, old_gradient)
    gan_step(g, d, sgd(g, lr_g), sgd(d, lr_d), real, noise)
    return [[p.detach() for p in net.parameters()] for net in (g, d)]


def test_each_step_moves_its_own_network_only():
    real, noise = torch.randn(6, 3).double(), torch.randn(4, 2).double()
    first = [[p.detach() for p in net.parameters()] for net in linear_pair()]
    both, only_d, only_g = stepped(real, noise), stepped(real, noise, lr_g=0.0), stepped(real, noise, lr_d=0.0)
    torch.testing.assert_close(only_d, [first[0], both[1]])  # what the generator does in this step does not reach D
    torch.testing.assert_close(only_g[1], first[1])
    for start, end in zip(first, both):
        assert all((p != q).any() for p, q in zip(start, end))
    assert not torch.allclose(only_g[0][0], both[0][0], rtol=1e-6)  # the generator plays against the new discriminator


def test_gradients_from_before_do_not_count():
    real, noise = torch.randn(6, 3).double(), torch.randn(4, 2).double()
    torch.testing.assert_close(stepped(real, noise, old_gradient=7.0), stepped(real, noise))


def test_a_sure_discriminator_still_teaches_the_generator():
    g, d = linear_pair()
    with torch.no_grad():
        d[0].bias.fill_(-60)  # every fake is fake beyond all doubt
    before = copy.deepcopy(g)
    gan_step(g, d, sgd(g, 1.0), sgd(d, 0.0), torch.randn(6, 3).double(), torch.randn(4, 2).double())
    torch.testing.assert_close(g.bias - before.bias, d[0].weight[0].detach())  # gradient -1 * w: the full pull


def test_the_models_step_is_gan_step_on_fresh_noise():
    net = build()
    hand, images = copy.deepcopy(net), digits(8).images
    torch.manual_seed(4)
    got = net.training_step(Batch(images, None, None), net.optimizers())
    torch.manual_seed(4)
    opt = hand.optimizers()
    want = gan_step(
        hand.generator, hand.discriminator, opt["generator"], opt["discriminator"], images, torch.randn(8, 5, 1, 1)
    )
    assert (got["discriminator"], got["generator"]) == want
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), hand.state_dict().values()))
    first = copy.deepcopy(net)
    # steps that go nowhere: only the noise is new
    again = net.training_step(Batch(images, None, None), first.optimizers())
    assert again["generator"] != net.training_step(Batch(images, None, None), first.optimizers())["generator"]


# The average that makes the samples


def test_the_average_follows_its_closed_form():
    """After step n, from 0, it keeps d_n = min(decay, (1 + n) / (10 + n)) of itself. So 7 steps leave of the untrained weights the
    product of all d_n, and of those after step j the part 1 - d_j times the product of the later d_n; statistics alike."""
    net, steps = build(ema_decay=0.35), []
    untrained, real_step = (
        {k: v.detach().clone() for k, v in net.generator_ema.module.state_dict().items()},
        net.training_step,
    )

    def watched(batch, optimizers):
        losses = real_step(batch, optimizers)
        steps.append({k: v.detach().clone() for k, v in net.generator.state_dict().items()})
        return losses

    net.training_step = watched
    al.fit(net, digits(), steps=7, batch_size=16, seed=2)
    kept = [1 / 10, 2 / 11, 3 / 12, 4 / 13, 0.35, 0.35, 0.35]  # 5 / 14 is more than was asked for
    share = [(1 - d) * math.prod(kept[j + 1 :]) for j, d in enumerate(kept)]
    assert sum(share) + math.prod(kept) == pytest.approx(1) and len(steps) == 7
    average = net.generator_ema.module.state_dict()
    for name, value in average.items():
        if value.is_floating_point():
            want = math.prod(kept) * untrained[name] + sum(s * step[name] for s, step in zip(share, steps))
            torch.testing.assert_close(value, want, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(average["1.running_mean"], steps[-1]["1.running_mean"], rtol=1e-3)


def test_samples_are_made_by_the_average_from_standard_normal_noise():
    net = build(latent_dim=40)
    al.fit(net, digits(), steps=3, batch_size=16)
    x = net.sample(300, seed=5)
    z = torch.randn(300, 40, 1, 1, generator=torch.Generator().manual_seed(5)).to(x.device)
    assert torch.equal(net.generator_ema.module.eval()(z), x)
    with torch.no_grad():
        for p in net.generator.parameters():
            p.zero_()
    assert torch.equal(net.sample(300, seed=5), x)


def test_a_fresh_model_samples_from_its_first_generator():
    net = build()
    z = net.noise(3, torch.Generator().manual_seed(2))
    torch.testing.assert_close(net.sample(3, seed=2), net.generator.eval()(z).detach())


def test_the_generators_half_adds_nothing_to_the_discriminators_gradients():
    g, d = linear_pair()
    real, noise = torch.randn(6, 3).double(), torch.randn(4, 2).double()
    want = torch.autograd.grad(al.losses.discriminator_loss(d(real), d(g(noise).detach())), list(d.parameters()))
    gan_step(g, d, sgd(g), sgd(d), real, noise)
    for p, w in zip(d.parameters(), want):
        torch.testing.assert_close(p.grad, w)
