"""Guidance and editing against data whose velocity is known exactly: Gaussians, a mixture, one point. No network, nothing learns."""

import itertools
import math

import pytest
import torch
from torch.autograd import gradcheck

from aigc_lessons import editing, flows

EDGES = (-2, -1)  # height and width


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def of_a_gaussian(mean, std):
    """E[noise - x | x_t] for data from N(mean, std^2), each number by itself."""

    def velocity(x, t):
        variance = (1 - t) ** 2 * std**2 + t**2
        return (t - (1 - t) * std**2) / variance * (x - (1 - t) * mean) - mean

    return velocity


MEANS, STD = torch.tensor([-1.0, 1.5], dtype=torch.float64), 0.6


def log_shares(x, t):
    """log p(k | x_t) of the two classes N(MEANS[k], STD^2), equally frequent: x (N, 1) -> (N, 2)."""
    variance = (1 - t) ** 2 * STD**2 + t**2
    return (-((x - (1 - t) * MEANS) ** 2) / (2 * variance)).log_softmax(1)


def of_the_mixture(x, t):
    each = torch.cat([of_a_gaussian(m, STD)(x, t) for m in MEANS], 1)
    return (log_shares(x, t).exp() * each).sum(1, keepdim=True)


# Guidance


@pytest.mark.parametrize(("w", "inside"), [(0, True), (1, True), (0.5, True), (2, False), (4, False), (-1, False)])
def test_guidance_of_two_gaussians_of_one_width(w, inside):
    """N(m_u, 1) and N(m_c, 1), velocities from flows of different means: samples are N(m_u + w (m_c - m_u), 1), point by point."""
    z, m_u, m_c = randn(200), -0.4, 1.1
    velocity = lambda x, t: flows.guided(of_a_gaussian(m_u, 1.0)(x, t), of_a_gaussian(m_c, 1.0)(x, t), w)
    made = flows.flow_sample(velocity, z, 200)
    mean = m_u + w * (m_c - m_u)
    torch.testing.assert_close(made, mean + z, atol=2e-4 * max(1, abs(w)), rtol=0)
    assert (m_u <= mean <= m_c) == inside


@pytest.mark.parametrize("w", [0.0, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("std", [0.5, 0.7])
def test_guided_samples_of_a_narrow_class_are_too_narrow_for_the_weighted_density(w, std):
    """All data N(0, 1), the class N(0, std^2). Guided samples have the standard deviation std^w; p(x) p(y | x)^w, which is
    p(x)^(1 - w) p(x | y)^w, has precision w / std^2 + 1 - w."""
    velocity = lambda x, t: flows.guided(of_a_gaussian(0.0, 1.0)(x, t), of_a_gaussian(0.0, std)(x, t), w)
    one = flows.flow_sample(velocity, torch.ones(1, dtype=torch.float64), 1_000).item()  # linear in the noise
    assert one == pytest.approx(std**w, rel=1e-3)
    weighted = (w / std**2 + 1 - w) ** -0.5
    if w in (0, 1):
        assert one == pytest.approx(weighted, rel=1e-3)
    else:
        assert one < 0.95 * weighted


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5, -0.5])
@pytest.mark.parametrize("t", [0.05, 0.5, 0.95, 1.0])
def test_guidance_by_an_exact_classifier_is_guidance_without_one(scale, t):
    x = randn(50, 1, seed=3) * 2
    for k, mean in enumerate(MEANS):
        log_p = lambda x, t, k=k: log_shares(x, t)[:, k]
        got = editing.classifier_guided(of_the_mixture, log_p, scale)(x, t)
        want = flows.guided(of_the_mixture(x, t), of_a_gaussian(mean, STD)(x, t), scale)
        torch.testing.assert_close(got, want if t < 1 else of_the_mixture(x, 1.0))


def test_a_classifier_is_asked_where_gradients_are_switched_off():
    with torch.no_grad():
        guided = editing.classifier_guided(of_the_mixture, lambda x, t: log_shares(x, t)[:, 0], 1.0)
        made = flows.flow_sample(guided, randn(400, 1), 100)
    assert not made.requires_grad
    assert made.mean().item() == pytest.approx(MEANS[0].item(), abs=0.1) and made.max() < MEANS.mean() + 2


# SDEdit


@pytest.mark.parametrize("shape", [(3, 1, 4, 5), (2, 3, 6, 6), (4, 2), (5,)])
def test_start_of_sdedit_has_its_ends_its_mean_and_its_noise(shape):
    x, noise = randn(*shape), randn(*shape, seed=1)
    assert torch.equal(editing.sdedit_start(x, 0.0, noise), x) and torch.equal(
        editing.sdedit_start(x, 1.0, noise), noise
    )
    for t in (0.2, 0.5, 0.9):
        torch.testing.assert_close(editing.sdedit_start(x, t, noise), (1 - t) * x + t * noise)
    assert gradcheck(lambda x, n: editing.sdedit_start(x, 0.3, n), [x.requires_grad_(), noise.requires_grad_()])


@pytest.mark.parametrize("t", [0.1, 0.35, 0.8, 1.0])
def test_sdedit_of_one_point_and_of_a_gaussian(t):
    """From time t on the flow of N(m, s^2) maps (1 - t) x + t noise to m + s ((1 - t) (x - m) + t noise) / root of V(t)."""
    x, noise, m, s = 5 * randn(40), randn(40, seed=1), 0.3, 0.5
    point = editing.sdedit(lambda x, t: (x - 0.7) / t, x, t, noise, 7)
    torch.testing.assert_close(point, torch.full_like(x, 0.7))
    want = m + s * ((1 - t) * (x - m) + t * noise) / math.sqrt((1 - t) ** 2 * s**2 + t**2)
    errors = [(editing.sdedit(of_a_gaussian(m, s), x, t, noise, n, "euler") - want).abs().max() for n in (200, 400)]
    assert errors[1] < 0.02 and 1.8 < errors[0] / errors[1] < 2.2


def test_sdedit_keeps_all_at_time_zero_and_nothing_at_time_one():
    x, noise, velocity = randn(3, 2, 4, 4), randn(3, 2, 4, 4, seed=1), of_a_gaussian(0.2, 0.4)
    kept = editing.sdedit(velocity, x, 0, noise, 5)
    assert torch.equal(kept, x) and kept.data_ptr() != x.data_ptr()
    assert torch.equal(editing.sdedit(velocity, x, 1.0, noise, 5), flows.flow_sample(velocity, noise, 5))


def test_sdedit_asks_from_its_start_down_to_its_last_step():
    asked = []

    def velocity(x, t):
        asked.append(t)
        return torch.zeros_like(x)

    editing.sdedit(velocity, torch.zeros(1, 1), 0.4, torch.zeros(1, 1), 4, "euler")
    assert asked == pytest.approx([0.4, 0.3, 0.2, 0.1])


# Inversion


def round_trip(velocity, x, steps, solver="euler"):
    back = flows.flow_sample(velocity, editing.invert(velocity, x, steps, solver), steps, solver)
    return (back - x).abs().max().item()


@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.5), (0.4, 0.3), (-1.0, 2.0)])
@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_there_and_back_on_a_gaussian(mean, std, solver):
    """x = m + s z: inversion finds z. Twice the steps: half the error by Euler, of the noise found and of the round trip."""
    z = randn(100)
    x, velocity = mean + std * z, of_a_gaussian(mean, std)
    steps = (80, 160, 320, 640)
    found = [(editing.invert(velocity, x, n, solver) - z).abs().max().item() for n in steps]
    trips = [round_trip(velocity, x, n, solver) for n in steps]
    low, high = (1.8, 2.2) if solver == "euler" else (3.2, 4.8)
    for errors in (found, trips):
        assert all(low < a / b < high for a, b in itertools.pairwise(errors)), errors


def test_inversion_of_straight_ways_is_exact_in_one_step():
    x, c = randn(5, 3), randn(3, seed=1)
    assert torch.allclose(editing.invert(lambda x, t: c.expand_as(x), x, 1), x + c)
    assert round_trip(lambda x, t: c.expand_as(x), x, 3) < 1e-12


def test_inversion_by_hand():
    """v = x + 10 t from t = 0, two steps: 2 + (2 + 0) / 2 = 3, then 3 + (3 + 5) / 2 = 7."""
    assert editing.invert(lambda x, t: x + 10 * t, torch.tensor([2.0]), 2).item() == 7


def test_editing_by_inversion_moves_a_gaussian_to_the_other_one():
    """Noise found with one class, pictures made with another: the place within the class is kept, as an edit should."""
    x = 1.0 + 0.5 * randn(50)
    z = editing.invert(of_a_gaussian(1.0, 0.5), x, 400, "heun")
    edited = flows.flow_sample(of_a_gaussian(-2.0, 0.25), z, 400)
    torch.testing.assert_close(edited, -2 + (x - 1) / 2, atol=1e-3, rtol=0)


# RePaint


def a_hole(n=3, c=2, h=6, w=5, seed=0):
    known, noise = randn(n, c, h, w, seed=seed), randn(n, c, h, w, seed=seed + 1)
    mask = (randn(n, 1, h, w, seed=seed + 2) > 0).double()
    return known, mask, noise


def smoothed(x, t):
    """A velocity in which pixels depend on their neighbours, so that a known pixel has something to say to a hole."""
    return torch.nn.functional.avg_pool2d(x, 3, 1, 1) * (1 + t) - 0.3


def test_step_of_repaint_by_hand():
    x, known, mask, noise = (
        torch.tensor(v).view(1, 1, 1, 2) for v in ([1.0, 2.0], [4.0, 6.0], [1.0, 0.0], [-8.0, 9.0])
    )
    assert editing.repaint_step(x, known, mask, 0.25, noise).flatten().tolist() == [0.75 * 4 - 0.25 * 8, 2.0]
    assert editing.repaint_step(x, known, mask, 0.0, noise).flatten().tolist() == [4.0, 2.0]


def test_what_lies_in_the_hole_does_not_count():
    known, mask, noise = a_hole()
    nothing = torch.where(mask.bool(), known, float("nan"))
    clean, odd = (editing.repaint(smoothed, k, mask, noise, 4) for k in (known, nothing))
    assert torch.equal(clean, odd) and clean.isfinite().all()


@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_known_pixels_come_back_bit_for_bit(rounds, dtype):
    known, mask, noise = (v.to(dtype) for v in a_hole())
    g = torch.Generator().manual_seed(0)
    made = editing.repaint(smoothed, known, mask, noise, 5, rounds, g)
    where = mask.bool().expand_as(known)
    assert torch.equal(made[where], known[where]) and (made[~where] != known[~where]).all()


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_all_known_is_the_picture_and_nothing_known_is_plain_sampling(steps):
    known, mask, noise = a_hole()
    assert torch.equal(editing.repaint(smoothed, known, torch.ones_like(mask), noise, steps), known)
    plain = flows.flow_sample(smoothed, noise, steps, "euler")
    assert torch.equal(editing.repaint(smoothed, known, torch.zeros_like(mask), noise, steps), plain)


def test_repaint_turns_and_mirrors_with_the_picture_and_keeps_the_order_of_a_batch():
    known, mask, noise = a_hole(4, 1, 6, 6)
    made = editing.repaint(smoothed, known, mask, noise, 5)
    order = torch.tensor([2, 0, 3, 1])
    for change in (lambda v: v.flip(3), lambda v: v.rot90(1, EDGES), lambda v: v[order]):
        torch.testing.assert_close(
            editing.repaint(smoothed, change(known), change(mask), change(noise), 5), change(made)
        )


def test_a_hole_in_one_point_is_filled_exactly():
    point = randn(1, 1, 3, 3, seed=7)
    known, mask, noise = point.expand(2, 1, 3, 3), torch.zeros(2, 1, 3, 3), randn(2, 1, 3, 3)
    mask[..., 0, :] = 1
    torch.testing.assert_close(editing.repaint(lambda x, t: (x - point) / t, known, mask, noise, 6), known)


def of_twins(x, t, correlation=0.9):
    """Two neighbouring pixels, each N(0, 1): their mean and their difference are independent Gaussians."""
    mean = x.mean(3, keepdim=True).expand_as(x)
    along, across = (of_a_gaussian(0.0, math.sqrt(1 + sign * correlation)) for sign in (1, -1))
    return along(mean, t) + across(x - mean, t)


def test_rounds_let_a_hole_fit_its_neighbour():
    """One pixel k is known: its neighbour should be N(0.9 k, 0.19). Replacing alone gives less than half of the slope."""
    k = randn(1_500, 1, 1, 1, seed=8)
    known, noise = k.expand(-1, 1, 1, 2), randn(1_500, 1, 1, 2, seed=9)
    mask = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2).expand(1_500, -1, -1, -1)

    def slope_and_rest(steps, rounds):
        made = editing.repaint(of_twins, known, mask, noise, steps, rounds, torch.Generator().manual_seed(0))
        a, b = k.flatten(), made[..., 1].flatten()
        slope = ((a * b).mean() / a.square().mean()).item()
        return slope, (b - slope * a).var().item()

    slopes = [slope_and_rest(100, rounds)[0] for rounds in (1, 2, 4)]
    assert slopes[0] < 0.5 and slopes[0] + 0.05 < slopes[1] < slopes[2] - 0.05 < 0.9
    slope, rest = slope_and_rest(400, 16)
    assert slope == pytest.approx(0.9, abs=0.06) and rest == pytest.approx(0.19, abs=0.04)


@pytest.mark.parametrize(("t", "later"), [(0.0, 0.5), (0.2, 0.3), (0.4, 1.0), (0.6, 0.6)])
def test_back_in_time_has_the_shares_of_the_later_time(t, later):
    x, one, two = randn(1, seed=1), randn(100_000, seed=2), randn(100_000, seed=3)
    went = editing.back_in_time(flows.interpolate(x, one, t), t, later, two)
    assert went.mean().item() == pytest.approx((1 - later) * x.item(), abs=0.02)
    assert went.std().item() == pytest.approx(later, abs=0.02)
    assert t != later or torch.equal(went, flows.interpolate(x, one, t))


# Anagrams


half_turn = lambda x: x.rot90(2, EDGES)
same = lambda x: x


def test_an_anagram_of_one_view_is_plain():
    z = randn(2, 1, 4, 4)
    for part in ((smoothed, same, same), (lambda x, t: half_turn(smoothed(half_turn(x), t)), half_turn, half_turn)):
        torch.testing.assert_close(flows.flow_sample(editing.anagram([part]), z, 6), flows.flow_sample(smoothed, z, 6))


def test_an_anagram_turns_with_its_views():
    """Exchange what is asked of the two views: the same picture from turned noise, turned."""
    z, a, b = randn(3, 1, 4, 4), of_a_gaussian(randn(4, 4, seed=1), 0.4), of_a_gaussian(randn(4, 4, seed=2), 0.4)
    made = flows.flow_sample(editing.anagram([(a, same, same), (b, half_turn, half_turn)]), z, 8)
    other = flows.flow_sample(editing.anagram([(b, same, same), (a, half_turn, half_turn)]), half_turn(z), 8)
    torch.testing.assert_close(half_turn(other), made)
    assert not torch.allclose(half_turn(made), made)


def test_an_anagram_of_two_gaussians_is_the_mean_of_both_as_they_are_seen():
    one, two, z = randn(4, 4, seed=1), randn(4, 4, seed=2), randn(5, 1, 4, 4)
    turned = lambda x: x.rot90(1, EDGES)
    back = lambda x: x.rot90(-1, EDGES)
    velocity = editing.anagram([(of_a_gaussian(one, 1.0), same, same), (of_a_gaussian(two, 1.0), turned, back)])
    made = flows.flow_sample(velocity, z, 300)
    torch.testing.assert_close(made, z + (one + back(two)) / 2, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("view", "undo", "says"),
    [
        (lambda x: x.rot90(1, EDGES), lambda x: x.rot90(1, EDGES), "does not lead back"),
        (lambda x: x[..., :2, :], lambda x: x, "does not lead back"),
        (lambda x: 2 * x, lambda x: x / 2, "changes lengths"),
        (lambda x: x.cumsum(3), lambda x: torch.cat([x[..., :1], x.diff(dim=3)], 3), "changes lengths"),
    ],
)
def test_views_that_cannot_be_used(view, undo, says):
    velocity = editing.anagram([(smoothed, same, same), (smoothed, view, undo)])
    with pytest.raises(ValueError, match=rf"part 1.*{says}|{says}.*part 1|part 1 {says}") as error:
        velocity(randn(2, 1, 4, 4), 0.5)
    assert "Accepted" in str(error.value)


def test_an_anagram_needs_a_part():
    with pytest.raises(ValueError, match="no parts"):
        editing.anagram([])


# What is refused


@pytest.mark.parametrize("steps", [0, -2, 2.5, True, None])
def test_no_steps(steps):
    x = randn(2, 1, 3, 3)
    calls = [
        lambda: editing.sdedit(smoothed, x, 0.5, x, steps),
        lambda: editing.invert(smoothed, x, steps),
        lambda: editing.repaint(smoothed, x, torch.ones(2, 1, 3, 3), x, steps),
        lambda: editing.repaint(smoothed, x, torch.ones(2, 1, 3, 3), x, 3, rounds=steps),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="accepted is a whole number of (steps|rounds)"):
            call()


@pytest.mark.parametrize("t", [-0.1, 1.2, 350, float("nan")])
def test_times_outside_of_zero_to_one(t):
    x = randn(2, 1, 3, 3)
    with pytest.raises(ValueError, match=r"accepted is a time from 0 .* to 1"):
        editing.sdedit(smoothed, x, t, x, 5)
    with pytest.raises(ValueError, match="accepted is a time above 0"):
        flows.flow_sample(smoothed, x, 5, start=t)
    with pytest.raises(ValueError, match="accepted is a time above 0"):
        flows.flow_sample(smoothed, x, 5, start=0)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 1, 4, 5), (2, 1, 5, 4), (2, 4, 5), (4, 5)])
def test_masks_of_the_wrong_shape(shape):
    x = randn(2, 3, 4, 5)
    with pytest.raises(ValueError, match=r"Accepted: \(2, 1, 4, 5\)"):
        editing.repaint(smoothed, x, torch.ones(shape), x, 3)


def test_masks_of_grey_and_noise_of_another_shape_and_unknown_solvers():
    x = randn(2, 3, 4, 5)
    with pytest.raises(ValueError, match="other than 0 and 1"):
        editing.repaint(smoothed, x, torch.full((2, 1, 4, 5), 0.5), x, 3)
    for call in (
        lambda: editing.repaint(smoothed, x, torch.ones(2, 1, 4, 5), x[:1], 3),
        lambda: editing.sdedit(smoothed, x, 0.5, x[:, :1], 3),
    ):
        with pytest.raises(ValueError, match="Accepted: one shape"):
            call()
    with pytest.raises(ValueError, match="'euler' and 'heun'"):
        editing.invert(smoothed, x, 3, "midpoint")
