"""The random fields of lesson 33 against enumeration, closed forms, invariances and gradients; and what they refuse."""

import itertools
import math

import pytest
import torch
from torch.autograd import gradcheck

import aigc_lessons as al
from aigc_lessons import fields


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def all_labellings(n_labels, h, w):
    """Every labelling of an h x w grid: (n_labels^(h w), h, w)."""
    return torch.tensor(list(itertools.product(range(n_labels), repeat=h * w))).view(-1, h, w)


def exactly(unary, weight):
    """(log Z, marginals (L, H, W)) of one field, by summing over all labellings."""
    n_labels, h, w = unary.shape[1:]
    states = all_labellings(n_labels, h, w)
    energy = fields.potts_energy(states, unary.expand(len(states), -1, -1, -1), weight)
    p = (-energy).softmax(0)
    one_hot = torch.nn.functional.one_hot(states, n_labels).permute(0, 3, 1, 2).to(p)
    return torch.logsumexp(-energy, 0), (p[:, None, None, None] * one_hot).sum(0)


def one_by_one(q, unary, weight, sweeps):
    """Mean field that updates a pixel at a time: the free energies along the way."""
    q, energies = q.clone(), []
    for _ in range(sweeps):
        for i, j in itertools.product(*map(range, q.shape[2:])):
            q[:, :, i, j] = (weight * fields.neighbour_sum(q)[:, :, i, j] - unary[:, :, i, j]).softmax(1)
            energies.append(fields.free_energy(q, unary, weight).item())
    return q, energies


# Unaries


def test_unary_by_hand():
    image = torch.tensor([0.5, -1.0]).view(1, 1, 1, 2)
    cost = fields.unary(image, torch.tensor([[-1.0], [1.0]]), scale=0.5)
    assert cost.view(2, 2).tolist() == [[4.5, 0.0], [0.5, 8.0]]


@pytest.mark.parametrize("shape", [(1, 1, 3, 4), (3, 3, 5, 2), (0, 3, 4, 4)])
def test_unary_is_minus_the_log_of_a_gaussian_up_to_a_constant(shape):
    image, palette = randn(*shape), randn(5, shape[1], seed=1)
    cost = fields.unary(image, palette, 0.7)
    assert cost.shape == (shape[0], 5, *shape[2:])
    density = torch.distributions.Normal(palette[None, :, :, None, None], 0.7).log_prob(image[:, None]).sum(2)
    constant = shape[1] * (math.log(0.7) + math.log(2 * math.pi) / 2)
    torch.testing.assert_close(cost, -density - constant)


def test_unary_follows_the_palette():
    image, palette, order = randn(2, 3, 4, 5), randn(6, 3, seed=1), torch.tensor([3, 0, 5, 1, 4, 2])
    assert torch.equal(fields.unary(image, palette[order], 0.4), fields.unary(image, palette, 0.4)[:, order])
    assert gradcheck(lambda x, p: fields.unary(x, p, 0.4), (image.requires_grad_(), palette.requires_grad_()))


def test_a_label_map_as_costs():
    labels = torch.tensor([[[2, -1], [0, 1]]])
    p = fields.label_unary(labels, 3, right=0.8).neg().exp()
    torch.testing.assert_close(p[0, :, 0, 0], torch.tensor([0.1, 0.1, 0.8]))
    assert p[0, :, 0, 1].tolist() == [1, 1, 1]  # nothing said, nothing paid
    said = (labels >= 0)[:, None].expand_as(p)
    torch.testing.assert_close(p.sum(1)[labels >= 0], torch.ones(3))
    assert fields.label_unary(labels, 3, 1 / 3)[said].std() < 1e-6  # as good as chance: no label is preferred


# The energy and its minimum


def test_energy_by_hand():
    labels = torch.tensor([[[0, 0, 1], [0, 1, 1]]])
    unary = torch.arange(12.0).view(1, 2, 2, 3)
    assert fields.potts_energy(labels, unary, 0.0).tolist() == [0 + 1 + 8 + 3 + 10 + 11]
    assert fields.potts_energy(labels, unary, 0.5).tolist() == [33 + 0.5 * 3]


def test_energy_is_the_free_energy_of_a_sure_field():
    unary, states = randn(1, 3, 2, 3), all_labellings(3, 2, 3)
    one_hot = torch.nn.functional.one_hot(states, 3).permute(0, 3, 1, 2).double()
    unary = unary.expand(len(states), -1, -1, -1)
    torch.testing.assert_close(fields.free_energy(one_hot, unary, 0.8), fields.potts_energy(states, unary, 0.8))


# Mean field


@pytest.mark.parametrize("n_labels", [2, 3, 7])
def test_without_weight_mean_field_is_the_softmax_of_the_unary(n_labels):
    unary = randn(2, n_labels, 5, 4)
    q = fields.mean_field(torch.full_like(unary, 1 / n_labels), unary, 0.0, 1)
    torch.testing.assert_close(q, unary.neg().softmax(1))
    _, exact = exactly(randn(1, n_labels, 2, 2), 0.0)
    torch.testing.assert_close(exact, randn(1, n_labels, 2, 2).neg().softmax(1)[0])


@pytest.mark.parametrize(("weight", "rounds"), [(0.3, 1), (1.5, 4), (0.7, 0)])
def test_mean_field_keeps_probabilities_and_follows_labels_and_mirrors(weight, rounds):
    unary, q = 2 * randn(3, 4, 6, 5), randn(3, 4, 6, 5, seed=1).softmax(1)
    after = fields.mean_field(q, unary, weight, rounds)
    assert (after >= 0).all()
    torch.testing.assert_close(after.sum(1), torch.ones(3, 6, 5, dtype=torch.float64))
    order = [2, 0, 3, 1]
    torch.testing.assert_close(fields.mean_field(q[:, order], unary[:, order], weight, rounds), after[:, order])
    for axis in (2, 3):
        mirrored = fields.mean_field(q.flip(axis), unary.flip(axis), weight, rounds)
        torch.testing.assert_close(mirrored, after.flip(axis))
    torch.testing.assert_close(fields.mean_field(q, unary + randn(3, 1, 6, 5, seed=2), weight, rounds), after)
    assert torch.equal(q, randn(3, 4, 6, 5, seed=1).softmax(1))  # its input is untouched


def test_one_round_reaches_the_four_neighbours_and_no_further():
    unary, q = randn(1, 3, 5, 6), randn(1, 3, 5, 6, seed=1).softmax(1).requires_grad_()
    for i, j, near in ((2, 3, {(1, 3), (3, 3), (2, 2), (2, 4)}), (0, 5, {(1, 5), (0, 4)})):
        (gradient,) = torch.autograd.grad(fields.mean_field(q, unary, 0.9, 1)[0, 0, i, j], q)
        assert set(map(tuple, gradient.abs().sum((0, 1)).nonzero().tolist())) == near


def test_mean_field_has_the_right_gradients():
    unary, q = randn(1, 3, 3, 2), randn(1, 3, 3, 2, seed=1).softmax(1)
    assert gradcheck(lambda q, u: fields.mean_field(q, u, 0.8, 3), (q.requires_grad_(), unary.requires_grad_()))


@pytest.mark.parametrize(("shape", "weight"), [((2, 3, 3), 0.6), ((3, 2, 3), 0.4), ((2, 2, 4), 1.2), ((2, 1, 5), 0.5)])
def test_the_free_energy_never_falls_below_minus_log_z_and_one_by_one_never_rises(shape, weight):
    for seed in range(4):
        unary = randn(1, *shape, seed=seed)
        log_z, exact = exactly(unary, weight)
        q, energies = one_by_one(randn(1, *shape, seed=seed + 9).softmax(1), unary, weight, sweeps=30)
        assert all(b <= a + 1e-12 for a, b in itertools.pairwise(energies))
        assert energies[-1] >= -log_z - 1e-12
        assert (q[0] - exact).abs().max() < 0.25  # an approximation, and one that knows which label is likelier
        torch.testing.assert_close(
            fields.mean_field(q, unary, weight, 1), q, rtol=0, atol=1e-4
        )  # both share their fixed points


def test_the_gap_to_log_z_is_the_divergence():
    unary, q = randn(1, 2, 2, 3), randn(1, 2, 2, 3, seed=1).softmax(1)
    states = all_labellings(2, 2, 3)
    energy = fields.potts_energy(states, unary.expand(len(states), -1, -1, -1), 0.7)
    log_p, log_z = (-energy).log_softmax(0), torch.logsumexp(-energy, 0)
    log_q = torch.stack([q[0].log().gather(0, s[None]).sum() for s in states])
    divergence = (log_q.exp() * (log_q - log_p)).sum()
    torch.testing.assert_close(fields.free_energy(q, unary, 0.7)[0] + log_z, divergence)


def test_all_at_once_may_raise_the_free_energy_and_blink_for_ever():
    checks = (torch.arange(6)[:, None] + torch.arange(6)) % 2
    unary = 0.1 * torch.nn.functional.one_hot(1 - checks, 2).permute(2, 0, 1)[None].double()
    start = torch.where(unary > 0, 0.1, 0.9).double()
    q = [fields.mean_field(start, unary, 2.0, rounds) for rounds in (20, 21, 22)]
    assert (q[0] - q[1]).abs().max() > 0.9 and (q[0] - q[2]).abs().max() < 1e-6
    settled, energies = one_by_one(start, unary, 2.0, sweeps=20)
    assert energies[-1] < fields.free_energy(q[0], unary, 2.0) - 1
    torch.testing.assert_close(fields.mean_field(settled, unary, 2.0, 1), settled, rtol=0, atol=1e-6)


def test_a_constant_field_stays_constant():
    unary = torch.tensor([0.0, 1.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    labels = fields.mean_field(unary.neg().softmax(1), unary, 1.3, 12).argmax(1)
    assert (labels == 0).all()


@pytest.mark.parametrize(("labels", "share"), [(7, 0.2), (3, 0.5)])
def test_the_weight_from_which_one_wrong_pixel_is_outvoted(labels, share):
    """Four unlike pairs against the difference of the unaries: 4 w = log(1 + L (1 - share) / share)."""
    least = math.log(1 + labels * (1 - share) / share) / 4
    field = torch.zeros(1, 5, 5, dtype=torch.int64)
    wrong = field.clone()
    wrong[0, 2, 2] = 1
    unary = fields.label_unary(wrong, labels, 1 - share + share / labels)
    for weight, pays in ((0.99 * least, False), (1.01 * least, True)):
        saved = fields.potts_energy(wrong, unary, weight) - fields.potts_energy(field, unary, weight)
        assert (saved > 0).item() is pays


# Gaussian fields


def some_weights(n, seed=0):
    w = randn(n, n, seed=seed).abs()
    return (w + w.T) * (1 - torch.eye(n))


def test_two_values_by_hand():
    weights = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    torch.testing.assert_close(fields.gaussian_crf(torch.tensor([0.0, 3.0]), weights, 1.0), torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize("n", [1, 2, 9])
def test_gaussian_field_is_the_minimum(n):
    u, weights = randn(n), some_weights(n, 1)

    def energy(x):
        return (x - u).square().sum() + 0.8 * (weights * (x[:, None] - x).square()).sum() / 2

    x = fields.gaussian_crf(u, weights, 0.8).requires_grad_()
    (gradient,) = torch.autograd.grad(energy(x), x)
    torch.testing.assert_close(gradient, torch.zeros(n, dtype=torch.float64), rtol=0, atol=1e-10)
    for seed in range(5):
        assert energy(x + 0.1 * randn(n, seed=seed + 5)) > energy(x)
    assert gradcheck(lambda u: fields.gaussian_crf(u, weights, 0.8), (u.requires_grad_(),))


def test_gaussian_field_keeps_means_constants_order_and_columns():
    u, weights = randn(8, 3), some_weights(8, 1)
    x = fields.gaussian_crf(u, weights, 1.7)
    torch.testing.assert_close(x.mean(0), u.mean(0))
    assert (x.amin(0) >= u.amin(0)).all() and (x.amax(0) <= u.amax(0)).all()
    torch.testing.assert_close(
        fields.gaussian_crf(torch.full((8,), 0.3).double(), weights, 1.7), torch.full((8,), 0.3).double()
    )
    torch.testing.assert_close(fields.gaussian_crf(u, weights, 0.0), u)
    torch.testing.assert_close(fields.gaussian_crf(u, weights, 1e8), u.mean(0).expand(8, 3), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(fields.gaussian_crf(u[:, 1], weights, 1.7), x[:, 1])
    order = torch.tensor([3, 7, 0, 5, 1, 2, 6, 4])
    torch.testing.assert_close(fields.gaussian_crf(u[order], weights[order][:, order], 1.7), x[order])


# The model


@pytest.fixture
def crf():
    return al.models.PottsCRF(torch.tensor([[-0.9, -0.9, -0.8], [0.8, -0.6, -0.6], [-0.5, -0.2, 0.9]]))


def test_the_model_is_the_functions(crf):
    images = randn(2, 3, 6, 5).float().tanh()
    cost = fields.unary(images, crf.palette, crf.scale)
    q = fields.mean_field(cost.neg().softmax(1), cost, crf.weight, crf.rounds)
    assert torch.equal(crf.marginals(images), q)
    mended = crf.restore(images)
    torch.testing.assert_close(mended, (q[:, :, None] * crf.palette[None, :, :, None, None]).sum(1))
    assert mended.shape == images.shape and mended.abs().max() <= 1
    labels = torch.randint(-1, 3, (2, 6, 5), generator=torch.Generator().manual_seed(0))
    assert torch.equal(crf.unary(images, labels, 0.7), cost + fields.label_unary(labels, 3, 0.7))


def test_what_a_user_says_is_drawn_and_spreads(crf):
    grey = torch.zeros(1, 3, 9, 9)
    said = torch.full((1, 9, 9), -1)
    said[0, 4, 4] = 2
    plain, told = (crf.marginals(grey, labels, right=0.999)[0, 2] for labels in (None, said))
    assert told[4, 4] > 0.9 and told[4, 5] > plain[4, 5]
    nothing = torch.full((1, 9, 9), -1)
    assert torch.equal(crf.marginals(grey, nothing), crf.marginals(grey))


def test_independent_noise_is_removed_and_a_clean_map_is_left(crf):
    truth = torch.zeros(4, 16, 16, dtype=torch.int64)
    truth[:, 4:12, 4:12] = 1
    g = torch.Generator().manual_seed(0)
    clean = crf.palette[truth].permute(0, 3, 1, 2)
    noisy = clean + 0.8 * torch.randn(clean.shape, generator=g)
    alone = fields.unary(noisy, crf.palette, 0.8).argmin(1)
    field = al.models.PottsCRF(crf.palette, weight=1.2, scale=0.8)
    wrong = [(labels != truth).float().mean() for labels in (alone, field.marginals(noisy).argmax(1))]
    assert wrong[1] < wrong[0] / 3
    assert torch.equal(crf.marginals(clean).argmax(1), truth)


# What is refused


def refused(function, *words):
    with pytest.raises(ValueError) as caught:
        function()
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_palette_of_one_colour_is_refused():
    images = torch.zeros(1, 3, 4, 4)
    refused(lambda: fields.unary(images, torch.zeros(1, 3), 0.3), "(1, 3)", "at least 2", "Add")
    refused(lambda: fields.unary(images, torch.zeros(4, 1), 0.3), "(4, 1)", "(L, 3)")
    refused(lambda: fields.unary(images, torch.zeros(3), 0.3), "(3,)")
    refused(lambda: al.models.PottsCRF(torch.zeros(1, 3)), "(1, 3)", "at least 2")
    refused(lambda: fields.label_unary(torch.zeros(1, 4, 4).long(), 1, 0.9), "n_labels=1")


@pytest.mark.parametrize("scale", [0, -0.5, float("nan")])
def test_a_scale_that_is_not_above_0_is_refused(scale):
    refused(lambda: fields.unary(torch.zeros(1, 3, 4, 4), torch.eye(3), scale), f"scale={scale}", "above 0")


@pytest.mark.parametrize("weight", [-0.1, float("nan")])
def test_weights_below_0_are_refused(weight):
    u = randn(1, 2, 3, 3)
    for function in (fields.mean_field, fields.free_energy):
        args = (u.softmax(1), u, weight) + ((3,) if function is fields.mean_field else ())
        refused(lambda function=function, args=args: function(*args), f"weight={weight}", "from 0 on")
    refused(lambda: fields.potts_energy(torch.zeros(1, 3, 3).long(), u, weight), f"weight={weight}")
    refused(lambda: al.models.PottsCRF(torch.eye(3), weight=weight), f"weight={weight}")
    refused(lambda: fields.gaussian_crf(randn(4), some_weights(4), weight), f"lam={weight}", "from 0 on")
    refused(lambda: fields.gaussian_crf(randn(4), some_weights(4) - 0.5, 1.0), "weights down to -0.5")
    refused(lambda: fields.gaussian_crf(randn(4), some_weights(3), 1.0), "(3, 3)", "(4, 4)")


def test_label_maps_of_another_size_are_refused(crf):
    u = randn(1, 2, 4, 4)
    refused(lambda: fields.potts_energy(torch.zeros(1, 2, 2).long(), u, 1.0), "(1, 2, 2, 2)", "(1, 2, 4, 4)", "nearest")
    refused(lambda: fields.mean_field(u[..., :2].softmax(1), u, 1.0, 2), "(1, 2, 4, 2)", "nearest")
    images = torch.zeros(2, 3, 8, 8)
    for shape in ((2, 4, 4), (1, 8, 8), (2, 1, 8, 8), (8, 8)):
        refused(
            lambda shape=shape: crf.restore(images, torch.zeros(shape).long()),
            str(tuple(shape)),
            "(2, 8, 8)",
            "enlarge",
        )
    coarse = torch.zeros(2, 4, 4).long()
    same = torch.nn.functional.interpolate(coarse[:, None].float(), size=(8, 8), mode="nearest")[:, 0].long()
    assert crf.restore(images, same).shape == images.shape  # the cure that the message names


def test_label_maps_of_other_values_are_refused():
    for labels in (torch.full((1, 3, 3), 4), torch.full((1, 3, 3), -2), torch.zeros(1, 3, 3), torch.zeros(3, 3).long()):
        refused(lambda labels=labels: fields.label_unary(labels, 4, 0.9), "from 0 to 3", "-1")
    for right in (0, 1, 1.5):
        refused(
            lambda right=right: fields.label_unary(torch.zeros(1, 3, 3).long(), 4, right), f"right={right}", "Try 0.9"
        )


def test_the_model_refuses_what_is_no_picture(crf):
    refused(lambda: crf.restore(torch.zeros(1, 1, 8, 8)), "3 channels")
    with pytest.raises((ValueError, TypeError)):
        crf.restore(torch.full((1, 3, 8, 8), float("nan")))
    refused(lambda: al.models.PottsCRF(torch.eye(3), rounds=0), "rounds=0")
