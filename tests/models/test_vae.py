"""The variational autoencoder: layers, one step by hand, what beta does, and that it learns to draw what it saw."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal, kl_divergence

import aigc_lessons as al
from aigc_lessons.training import Batch


def build(image_shape=(1, 8, 8), seed=0, **given):
    torch.manual_seed(seed)
    return al.models.VAE(image_shape, **{"latent_dim": 3, "width": 4, **given})


def digits(n=64, size=8):
    return al.data.load("digits-8x8", size=size)[:n]


def shapes_inside(network, x):
    """The shape of one sample after each layer that has weights."""
    seen = []
    for layer in network:
        x = layer(x)
        if list(layer.parameters()):
            seen.append(tuple(x.shape[1:]))
    return seen


@pytest.mark.parametrize(
    "image_shape, width, halved",
    [
        ((1, 8, 8), 5, [(5, 4, 4)]),
        ((3, 16, 16), 4, [(4, 8, 8), (8, 4, 4)]),
        ((1, 32, 32), 32, [(32, 16, 16), (64, 8, 8), (128, 4, 4)]),
        ((3, 64, 64), 2, [(2, 32, 32), (4, 16, 16), (8, 8, 8), (16, 4, 4)]),
    ],
)
def test_the_picture_is_halved_down_to_4x4_and_doubled_back(image_shape, width, halved):
    net = build(image_shape, width=width, latent_dim=7)
    assert shapes_inside(net.encoder, torch.zeros(2, *image_shape)) == [*halved, (14,)]
    top = math.prod(halved[-1])
    assert shapes_inside(net.decoder, torch.zeros(2, 7)) == [(top,), *halved[-2::-1], image_shape]
    channels = [image_shape[0], *(c for c, _, _ in halved)]
    convolutions = sum(2 * 16 * a * b + a + b for a, b in zip(channels, channels[1:]))
    assert sum(p.numel() for p in net.parameters()) == convolutions + (top + 1) * 14 + (7 + 1) * top


def test_encode_gives_a_gaussian_a_picture_and_decode_a_picture_a_point():
    net = build((3, 16, 16), latent_dim=5)
    mu, logvar = net.encode(torch.zeros(4, 3, 16, 16))
    assert mu.shape == logvar.shape == (4, 5)
    # Both come from one layer: its first half is the mean, its second the logarithm of the variance.
    with torch.no_grad():
        net.encoder[-1].weight.zero_()
        net.encoder[-1].bias.copy_(torch.arange(10.0))
    mu, logvar = net.encode(torch.zeros(1, 3, 16, 16))
    assert mu.tolist() == [[0, 1, 2, 3, 4]] and logvar.tolist() == [[5, 6, 7, 8, 9]]
    x = net.decode(50 * torch.randn(6, 5))
    assert x.shape == (6, 3, 16, 16) and -1 <= x.min() and x.max() <= 1


@pytest.mark.parametrize("beta", [0.0, 0.1, 2.5])
def test_one_step_by_hand(beta):
    net = build(beta=beta)
    with torch.no_grad():
        net.encoder[-1].bias.copy_(torch.tensor([1.0, -2, 0.5, 0.3, -0.7, 0.1]))  # a KL that counts
    hand, images = copy.deepcopy(net), digits(6).images

    torch.manual_seed(4)
    noise = torch.randn(6, 3)
    mu, logvar = hand.encoder(images)[:, :3], hand.encoder(images)[:, 3:]
    reconstruction = hand.decoder(mu + noise * (logvar / 2).exp())
    error = ((images - reconstruction) ** 2).sum() / 2 / 6
    kl = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(torch.zeros(6, 3), 1.0)).sum() / 6
    (error + beta * kl).backward()

    torch.manual_seed(4)
    got = net.training_step(Batch(images, None, None), {"vae": torch.optim.SGD(net.parameters(), lr=0.01)})
    assert {k: v.item() for k, v in got.items()} == pytest.approx(
        dict(loss=(error + beta * kl).item(), reconstruction=error.item(), kl=kl.item()), rel=1e-4
    )
    for ours, theirs in zip(net.parameters(), hand.parameters()):
        torch.testing.assert_close(ours.detach(), theirs.detach() - 0.01 * theirs.grad, rtol=1e-4, atol=1e-6)
    assert error.item() > 1 and kl.item() > 1


def test_each_sample_and_each_latent_dimension_has_noise_of_its_own():
    net = build(latent_dim=6)
    for p in net.encoder[-1].parameters():
        p.data.zero_()  # q(z|x) = N(0, I): what the decoder is given is the noise itself
    given = []
    net.decoder.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0].detach()))
    torch.manual_seed(0)
    for _ in range(2):
        net.training_step(Batch(digits(500).images, None, None), {"vae": torch.optim.SGD(net.parameters(), lr=0.0)})
    z = torch.cat(given, 1)  # (500, 2 * 6): two steps side by side
    torch.testing.assert_close(torch.corrcoef(z.T), torch.eye(12), atol=4 / math.sqrt(500), rtol=0)
    assert torch.pdist(z).min() > 0.1  # no two samples alike
    assert z.std().item() == pytest.approx(1, abs=4 / math.sqrt(2 * 6_000))


def test_it_learns_to_draw_again_what_it_saw():
    net = build((1, 16, 16), latent_dim=8, width=8, lr=3e-3, beta=0.1)
    ds = digits(size=16)
    history = al.fit(net, ds, steps=250, batch_size=32, seed=0)
    losses = history.losses["loss"]
    assert sum(losses[-10:]) < 0.35 * sum(losses[:10])
    where = next(net.parameters()).device
    with torch.no_grad():
        again = net.decode(net.encode(ds.images.to(where))[0]).cpu()
    error = F.mse_loss(again, ds.images)
    # better than the mean picture for all
    assert error < 0.6 * F.mse_loss(ds.images.mean(0).expand_as(ds.images), ds.images)
    assert error < 0.6 * F.mse_loss(again.roll(1, 0), ds.images)  # and of this picture, not of its neighbour


def test_a_larger_beta_leaves_less_in_the_latents():
    kl = {}
    for beta in (0.01, 0.3, 30.0):
        history = al.fit(build(beta=beta, latent_dim=8, lr=3e-3), digits(), steps=120, batch_size=32, seed=0)
        kl[beta] = history.losses["kl"][-1]
    assert kl[0.01] > 2 * kl[0.3] and kl[0.3] > 5 * kl[30.0] and kl[30.0] >= 0


def test_without_the_kl_the_variances_shrink():
    """beta = 0 is a plain autoencoder: noise only disturbs it, so it learns to have none."""
    nets = {beta: build(beta=beta, lr=3e-3) for beta in (0.0, 1.0)}
    mean_logvar = {}
    for beta, net in nets.items():
        al.fit(net, digits(), steps=120, batch_size=32, seed=0)
        mean_logvar[beta] = net.encode(digits().images.to(al.settings().device))[1].mean().item()
    assert mean_logvar[0.0] < mean_logvar[1.0] - 1


def test_one_picture_is_batch_enough():
    net = build()
    losses = net.training_step(Batch(digits(1).images, None, None), net.optimizers())
    assert losses["loss"].isfinite()


def test_samples_are_decoded_standard_normal_draws():
    net = build(latent_dim=40)
    given = []
    net.decoder.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0]))
    x = net.sample(300, seed=5)
    z = torch.cat(given)  # in pieces
    assert z.shape == (300, 40) and len(z.unique()) > 11_000
    torch.testing.assert_close(net.decode(z).detach(), x)
    assert abs(z.mean()) < 4 / math.sqrt(12_000) and z.var().item() == pytest.approx(1, abs=4 * math.sqrt(2 / 12_000))


@pytest.mark.parametrize("beta", [0.1, 2.5])
def test_the_parts_of_the_bound_give_back_the_loss(beta):
    """Their difference is the ELBO for pixels of variance beta; times -beta it is the training loss, up to a constant."""
    net, images = build(beta=beta), digits(6).images
    before = torch.get_rng_state()
    log_px, kl = net.bound(images, seed=3)
    assert torch.equal(before, torch.get_rng_state())
    assert log_px.shape == kl.shape == (6,) and not log_px.requires_grad and (kl >= 0).all()
    torch.testing.assert_close(net.bound(images, seed=3)[0], log_px)
    assert not torch.allclose(net.bound(images, seed=4)[0], log_px)
    mu, logvar = net.encode(images)
    torch.testing.assert_close(kl, al.losses.kl_to_standard_normal(mu, logvar).detach())
    noise = torch.randn(mu.shape, generator=torch.Generator().manual_seed(3))
    loss = al.losses.vae_loss(images, net.decode(al.losses.reparameterize(mu, logvar, noise)), mu, logvar, beta)
    constant = beta * 64 / 2 * math.log(2 * math.pi * beta)
    torch.testing.assert_close(loss.detach() + constant, -beta * (log_px - kl).mean())


@pytest.mark.parametrize("beta", [-0.1, -5, float("nan"), float("inf")])
def test_a_negative_beta_is_refused(beta):
    with pytest.raises(ValueError, match=rf"beta={beta}\): accepted is a finite number of at least 0"):
        build(beta=beta)
    assert build(beta=0).beta == 0


def test_a_plain_autoencoder_has_no_bound():
    with pytest.raises(ValueError, match="beta=0: a plain autoencoder gives no picture a density"):
        al.models.VAE((1, 8, 8), width=2, beta=0).bound(torch.zeros(2, 1, 8, 8))
