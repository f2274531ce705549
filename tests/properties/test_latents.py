"""Latents and codes against what is known exactly: a linear autoencoder of Gaussian data, Jacobians, every entry by brute force."""

import math

import pytest
import torch
import torch.nn.functional as F

from aigc_lessons import flows, latents
from aigc_lessons.models.latent import fingerprint


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# The scale


@pytest.mark.parametrize(("spread", "shift"), [(1.0, 0.0), (7.0, 3.0), (0.01, -5.0)])
def test_scaled_latents_have_standard_deviation_1(spread, shift):
    z = shift + spread * randn(50, 4, 3, 5)
    assert (z * latents.latent_scale(z)).std().item() == pytest.approx(1, abs=1e-6)


def test_the_scale_follows_the_latents_and_not_where_they_lie():
    z = randn(40, 6)
    scale = latents.latent_scale(z)
    torch.testing.assert_close(latents.latent_scale(5 * z), scale / 5)
    torch.testing.assert_close(latents.latent_scale(z + 9), scale)
    torch.testing.assert_close(latents.latent_scale(z[torch.randperm(40)]), scale)


@pytest.mark.parametrize("z", [torch.full((5, 3), 2.0), torch.ones(1)])
def test_latents_that_are_all_the_same_have_no_scale(z):
    with pytest.raises(ValueError, match="all the same"):
        latents.latent_scale(z)


def principal_axes(x, k):
    """(D, k): orthonormal, the directions in which x varies most."""
    return torch.linalg.eigh(x.T.cov()).eigenvectors[:, -k:]


def of_a_gaussian(covariance):
    """The velocity of data from N(0, covariance): in each of its directions by itself, as for one number."""
    values, axes = torch.linalg.eigh(covariance)

    def velocity(x, t):
        slope = (t - (1 - t) * values) / ((1 - t) ** 2 * values + t**2)
        return (x @ axes * slope) @ axes.T

    return velocity


def test_the_linear_case_has_the_projected_covariance():
    """PCA is the encoder, its transpose the decoder: a flow in the latent then makes N(0, P C P), P the projection on the axes."""
    mix = randn(6, 6, seed=1)
    x = randn(4_000, 6, seed=2) @ mix
    x = x - x.mean(0)
    axes, covariance = principal_axes(x, 3), x.T.cov()
    scale = latents.latent_scale(x @ axes)
    z = scale * x @ axes  # encoded
    noise = randn(4_000, 3, seed=3)
    noise = noise - noise.mean(0)
    noise = noise @ torch.linalg.inv(torch.linalg.cholesky(noise.T.cov())).T  # covariance 1, exactly
    made = flows.flow_sample(of_a_gaussian(z.T.cov()), noise, 400, "heun") / scale @ axes.T
    projection = axes @ axes.T
    wanted = projection @ covariance @ projection
    assert (made.T.cov() - wanted).abs().max() < 0.01 * wanted.abs().max()
    # what the first stage loses no flow brings back: the variance along the axes that were left out
    lost = covariance.trace() - made.T.cov().trace()
    assert lost.item() == pytest.approx(torch.linalg.eigvalsh(covariance)[:3].sum().item(), rel=0.02)


@pytest.mark.parametrize("forgotten", ["on the way in", "on the way out"])
def test_a_scale_that_is_forgotten_on_one_side_is_seen(forgotten):
    x = 5 * randn(500, 4)
    scale = latents.latent_scale(x)
    there = x if forgotten == "on the way in" else x * scale
    back = there if forgotten == "on the way out" else there / scale
    ratio = 1 / scale if forgotten == "on the way in" else scale
    torch.testing.assert_close(back, x * ratio)
    assert not torch.allclose(back, x, rtol=0.5)


# The codebook


@pytest.mark.parametrize(("n", "k", "d"), [(1, 1, 1), (40, 7, 3), (9, 30, 5), (64, 64, 8)])
def test_the_nearest_entry_is_that_of_brute_force(n, k, d):
    z, codebook = randn(n, d), randn(k, d, seed=1)
    codes, z_q = latents.quantize(z, codebook)
    for vector, code, entry in zip(z.tolist(), codes.tolist(), z_q):
        distances = [math.dist(vector, e) for e in codebook.tolist()]
        assert code == distances.index(min(distances))
        torch.testing.assert_close(entry, codebook[code])


def test_of_equally_near_entries_the_first_is_taken():
    codebook = torch.tensor([[9.0, 9.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    codes, _ = latents.quantize(torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 1.0]]), codebook)
    assert codes.tolist() == [1, 1, 2]
    order = [4, 3, 2, 1, 0]
    assert latents.quantize(torch.zeros(1, 2), codebook[order])[0].tolist() == [0]


def test_quantizing_twice_is_quantizing_once():
    z, codebook = randn(30, 4, dtype=torch.float32), randn(9, 4, seed=1, dtype=torch.float32)
    codes, _ = latents.quantize(z, codebook)
    again, _ = latents.quantize(codebook[codes], codebook)
    assert torch.equal(codes, again)


def test_small_distances_far_from_0_decide():
    """Where the square multiplied out, |z|^2 - 2 z e + |e|^2, loses them in float32."""
    codebook = 1_000 + torch.tensor([[0.0], [0.02], [0.04]])
    assert latents.quantize(1_000 + torch.tensor([[0.021], [0.039]]), codebook)[0].tolist() == [1, 2]


def test_the_straight_way_has_the_identity_as_jacobian():
    z, codebook = randn(3, 2), randn(5, 2, seed=1)
    through = lambda z, codebook: latents.quantize(z, codebook)[1]
    to_z = torch.autograd.functional.jacobian(lambda v: through(v, codebook), z)
    to_codebook = torch.autograd.functional.jacobian(lambda v: through(z, v), codebook)
    assert torch.equal(to_z.reshape(6, 6), torch.eye(6, dtype=torch.float64)) and not to_codebook.any()


@pytest.mark.parametrize("beta", [0.0, 0.25, 3.0])
def test_each_term_of_the_loss_moves_one_side(beta):
    """In closed form: -2 (z - e) / n for the entries, beta times 2 (z - e) / n for the vectors."""
    z, rows = randn(5, 3).requires_grad_(), randn(5, 3, seed=1).requires_grad_()
    loss = latents.vq_loss(z, rows, beta)
    to_z, to_rows = torch.autograd.grad(loss, (z, rows))
    off = (z - rows).detach()
    torch.testing.assert_close(loss.detach(), (1 + beta) * off.square().mean())
    torch.testing.assert_close(to_rows, -2 * off / 15)
    torch.testing.assert_close(to_z, beta * 2 * off / 15)


def test_the_whole_loss_sends_each_gradient_where_it_belongs():
    """Encoder: reconstruction and commitment; codebook: its own term alone; unused entries: nothing."""
    x, weight = randn(8, 3), randn(3, 3, seed=1).requires_grad_()
    codebook, decoder = randn(6, 3, seed=2).requires_grad_(), randn(3, 3, seed=3).requires_grad_()
    z = x @ weight
    codes, z_q = latents.quantize(z, codebook)
    error = (z_q @ decoder - x).square().mean()
    assert torch.autograd.grad(error, codebook, retain_graph=True, allow_unused=True)[0] is None
    assert all(g.abs().max() > 0 for g in torch.autograd.grad(error, (weight, decoder), retain_graph=True))
    (moved,) = torch.autograd.grad(latents.vq_loss(z, codebook[codes], 0.25), codebook)
    used = F.one_hot(codes, 6).sum(0) > 0
    assert moved[used].abs().amax(1).min() > 0 and not moved[~used].any() and not used.all()


def test_the_straight_way_instead_of_the_entries_leaves_the_codebook_alone():
    """The fault that lesson 64 lets its readers find."""
    z, codebook = randn(8, 3).requires_grad_(), randn(6, 3, seed=1).requires_grad_()
    codes, z_q = latents.quantize(z, codebook)
    assert torch.autograd.grad(latents.vq_loss(z, z_q, 0.25), codebook, allow_unused=True)[0] is None


@pytest.mark.parametrize("k", [1, 2, 7, 64])
def test_perplexity_of_known_shares(k):
    assert latents.codebook_perplexity(torch.zeros(5, 3, dtype=torch.int64), k).item() == pytest.approx(1)
    everyone = torch.arange(k).repeat(4, 3)
    assert latents.codebook_perplexity(everyone, k).item() == pytest.approx(k, rel=1e-5)
    assert latents.codebook_perplexity(everyone, k + 50).item() == pytest.approx(k, rel=1e-5)


def test_perplexity_counts_shares_and_not_names():
    codes = torch.randint(0, 9, (200,), generator=torch.Generator().manual_seed(0)).clamp(max=5)
    names = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    assert latents.codebook_perplexity(names[codes], 9).item() == pytest.approx(
        latents.codebook_perplexity(codes, 9).item()
    )
    p = torch.bincount(codes) / 200
    assert latents.codebook_perplexity(codes, 9).item() == pytest.approx(
        math.exp(-sum(v * math.log(v) for v in p.tolist()))
    )
    assert 1 / p.max() <= latents.codebook_perplexity(codes, 9) <= (p > 0).sum()


def test_a_fingerprint_knows_every_weight_and_the_scale_and_no_rounding():
    net = torch.nn.Linear(5, 4)
    scale = torch.tensor(1.234567)
    known = fingerprint(net, scale)
    assert known == fingerprint(net.half().float(), scale.half().float())
    assert known != fingerprint(net, scale + 0.01)
    for weight in net.parameters():
        with torch.no_grad():
            weight.view(-1)[-1] += 0.1
        assert known != fingerprint(net, scale)
