"""Facts about the metrics: the kernel distance, the Inception Score, precision and recall, and the bootstrap."""

import math

import pytest
import torch

from aigc_lessons import metrics
from aigc_lessons.metrics.kernel import cubic_kernel, unbiased_mmd


def generator(seed):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def rotation(d, seed=0):
    return torch.linalg.qr(randn(d, d, seed=seed))[0]


def standard_errors_from(values, truth):
    """How many standard errors the mean of independent draws lies from what it should be. Beyond 4: once in 16,000 by chance."""
    values = torch.as_tensor(values, dtype=torch.float64)
    return abs(values.mean().item() - truth) / (values.std().item() / math.sqrt(len(values)))


# The kernel distance


def test_kernel_distance_is_the_double_sum_of_its_definition():
    signs = set()
    for seed, (n, m, d) in enumerate([(2, 2, 1), (2, 5, 3), (7, 4, 6), (6, 3, 2), (5, 5, 4), (4, 7, 9)]):
        x, y = randn(n, d, seed=seed), randn(m, d, seed=100 + seed) + 0.2 * (seed % 3)
        k = lambda a, b: (sum(float(p) * float(q) for p, q in zip(a, b)) / len(a) + 1) ** 3
        within_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
        within_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
        want = within_x + within_y - 2 * sum(k(a, b) for a in x for b in y) / (n * m)
        got = metrics.kernel_distance(x, y)
        assert got.item() == pytest.approx(want, rel=1e-10) and got.dtype == torch.float64 and got.shape == ()
        signs.add(want > 0)
    assert signs == {True, False}, "a case of each sign: an unbiased estimate of zero falls below it too"


@pytest.mark.parametrize("n, m, d", [(5, 7, 3), (12, 4, 8)])
def test_kernel_distance_of_one_distribution_is_zero_on_average_and_the_biased_one_is_not(n, m, d):
    unbiased, biased = [], []
    for seed in range(400):
        g = generator(seed)
        x, y = (torch.empty(size, d, dtype=torch.float64).exponential_(generator=g) for size in (n, m))
        unbiased.append(metrics.kernel_distance(x, y).item())
        biased.append((cubic_kernel(x, x).mean() + cubic_kernel(y, y).mean() - 2 * cubic_kernel(x, y).mean()).item())
    assert standard_errors_from(unbiased, 0) < 4 < standard_errors_from(biased, 0)
    assert 0.3 < sum(v < 0 for v in unbiased) / 400 < 0.8


@pytest.mark.parametrize("n, m", [(4, 9), (8, 3)])
def test_kernel_distance_estimates_the_differences_of_three_moments(n, m):
    """In one dimension (xy + 1)^3 = sum of C(3, j) x^j y^j: the distance is 3 d1^2 + 3 d2^2 + d3^2, d_j = E x^j - E y^j."""
    draws = []
    for seed in range(2_000):
        g = generator(seed)
        x = torch.randn(n, 1, generator=g, dtype=torch.float64) * 0.5 + 0.3  # E x = 0.3, x^2 = 0.34, x^3 = 0.027 + 3 * 0.3 * 0.25
        y = torch.rand(m, 1, generator=g, dtype=torch.float64)  # E y = 1/2, y^2 = 1/3, y^3 = 1/4
        draws.append(metrics.kernel_distance(x, y).item())
    want = 3 * (0.3 - 1 / 2) ** 2 + 3 * (0.34 - 1 / 3) ** 2 + (0.252 - 1 / 4) ** 2
    assert standard_errors_from(draws, want) < 4 < standard_errors_from(draws, 0)


def test_kernel_distance_of_two_constants_by_hand():
    x, y = torch.tensor([[1.0, 3.0]]).expand(3, 2), torch.tensor([[-1.0, 2.0]]).expand(5, 2)
    assert metrics.kernel_distance(x, y).item() == pytest.approx((10 / 2 + 1) ** 3 + (5 / 2 + 1) ** 3 - 2 * (5 / 2 + 1) ** 3)


def test_kernel_distance_ignores_order_and_rotation_but_not_place_or_size():
    x, y, turn = randn(6, 4, seed=1), randn(9, 4, seed=2) + 0.5, rotation(4)
    value = metrics.kernel_distance(x, y).item()
    assert metrics.kernel_distance(y, x).item() == pytest.approx(value)
    assert metrics.kernel_distance(x.flip(0), y[torch.randperm(9, generator=generator(3))]).item() == pytest.approx(value)
    assert metrics.kernel_distance(x @ turn, y @ turn).item() == pytest.approx(value)
    assert metrics.kernel_distance(x + 1, y + 1).item() != pytest.approx(value, rel=0.1)
    assert metrics.kernel_distance(3 * x, 3 * y).item() != pytest.approx(9 * value, rel=0.1)


def test_counted_rows_weigh_as_much_as_repeated_ones():
    x, y = randn(6, 3, seed=4), randn(4, 3, seed=5) * 2
    i, j = torch.tensor([0, 0, 0, 2, 5, 4]), torch.tensor([3, 3, 1, 1])
    u, v = torch.bincount(i, minlength=6).double(), torch.bincount(j, minlength=4).double()
    counted = unbiased_mmd(cubic_kernel(x, x), cubic_kernel(y, y), cubic_kernel(x, y), u, v)
    assert counted.item() == pytest.approx(metrics.kernel_distance(x[i], y[j]).item())


@pytest.mark.parametrize("x, y", [((1, 3), (5, 3)), ((5, 3), (1, 3)), ((5, 3), (5, 4)), ((5,), (5, 3)), ((0, 3), (5, 3))])
def test_kernel_distance_says_which_shapes_it_takes(x, y):
    with pytest.raises(ValueError, match=rf"kernel_distance got .*\({x[0]},.* and \({y[0]},.* Accepted: \(N, D\) and \(M, D\), at least 2 rows"):
        metrics.kernel_distance(torch.zeros(x), torch.zeros(y))


# The Inception Score


def probabilities(n, k, sharpness, seed):
    return (sharpness * randn(n, k, seed=seed)).softmax(1)


@pytest.mark.parametrize("n, k", [(1, 5), (3, 7), (40, 4), (200, 18), (9, 2)])
def test_inception_score_lies_between_1_and_the_number_of_classes(n, k):
    for seed, sharpness in enumerate([0.01, 0.3, 1, 3, 10, 100, 1_000]):
        p = probabilities(n, k, sharpness, seed)
        score = metrics.inception_score(p)
        assert 1 - 1e-12 <= score.item() <= min(n, k) + 1e-9 and score.dtype == torch.float64
        # entropy of the mean less the mean entropy: a second way to write it
        h = lambda q: -torch.xlogy(q, q).sum(-1)
        assert score.item() == pytest.approx((h(p.mean(0)) - h(p).mean()).exp().item(), rel=1e-9)


def test_inception_score_by_hand():
    p = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])  # mean (3/4, 1/4, 0)
    first = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert metrics.inception_score(p).item() == pytest.approx(math.exp((first + math.log(1 / 0.75)) / 2))


@pytest.mark.parametrize("k", [1, 2, 10, 37])
def test_inception_score_at_its_ends(k):
    sure = torch.eye(k).repeat(3, 1)
    assert metrics.inception_score(sure).item() == pytest.approx(k)
    alike = probabilities(1, k, 2.0, seed=k).expand(11, k)
    assert metrics.inception_score(alike).item() == pytest.approx(1)


def test_inception_score_of_sure_pictures_counts_their_modes():
    counts = torch.tensor([7, 0, 2, 1, 0])
    sure = torch.eye(5).repeat_interleave(counts, 0)
    assert metrics.inception_score(sure).item() == pytest.approx(metrics.effective_modes(counts))


def test_inception_score_ignores_the_order_of_pictures_and_of_classes():
    p = probabilities(31, 6, 2.0, seed=1)
    value = metrics.inception_score(p).item()
    assert metrics.inception_score(p[torch.randperm(31, generator=generator(2))]).item() == pytest.approx(value)
    assert metrics.inception_score(p[:, [3, 5, 0, 1, 4, 2]]).item() == pytest.approx(value)
    assert metrics.inception_score(p.repeat(4, 1)).item() == pytest.approx(value)
    assert metrics.inception_score(torch.cat([p, torch.zeros(31, 2)], 1)).item() == pytest.approx(value)  # classes that never come


def test_inception_score_has_the_gradient_of_its_formula():
    p = probabilities(5, 3, 1.0, seed=3).requires_grad_()
    score = metrics.inception_score(p)
    score.backward()
    torch.testing.assert_close(p.grad, score.detach() * (p / p.mean(0)).log().detach() / 5)


def test_inception_score_has_a_finite_gradient_at_logits_of_50():
    logits = (50 * (2 * torch.eye(4, dtype=torch.float64) - 1)).repeat(2, 1).requires_grad_()
    score = metrics.inception_score(logits.softmax(1))
    score.backward()
    assert score.item() == pytest.approx(4) and logits.grad.isfinite().all()


@pytest.mark.parametrize("bad, says", [
    (torch.zeros(0, 4), r"shape \(0, 4\). Accepted: \(N, K\), at least 1 row"),
    (torch.full((4,), 0.25), r"shape \(4,\). Accepted: \(N, K\)"),
    (torch.tensor([[2.0, -1.0]]), "at least 0 that sum to 1"),
    (torch.tensor([[0.6, 0.6]]), r"For logits: logits.softmax\(1\)"),
    (torch.tensor([[0.5, 0.5], [float("nan"), 1.0]]), "not probabilities"),
])
def test_inception_score_refuses_what_is_no_probability(bad, says):
    with pytest.raises(ValueError, match=says):
        metrics.inception_score(bad)


# Precision and recall


def line(*numbers):
    return torch.tensor(numbers, dtype=torch.float32)[:, None]


def test_balls_on_a_line():
    real = line(0, 1, 2, 3, 4)
    points = line(-2.5, -2, -1.5, -1, 0.5, 2, 5, 5.5, 6, 6.5)
    # the nearest neighbour is 1 away everywhere; the second is 2 away at both ends, 1 between them. A surface belongs to its ball
    assert metrics.covered(points, real, 1).tolist() == [False, False, False, True, True, True, True, False, False, False]
    assert metrics.covered(points, real, 2).tolist() == [False, True, True, True, True, True, True, True, True, False]
    assert metrics.precision_recall(real, points, 1)[0] == 0.4 and metrics.precision_recall(real, points, 2)[0] == 0.8


@pytest.mark.parametrize("k, real, generated, precision, recall", [
    (1, range(11), (4, 5, 6), 1, 5 / 11),  # inside: 3 to 7 lie within 1 of it
    (2, range(11), (4, 5, 6), 1, 7 / 11),  # its ends now reach 2 far: 2 to 8
    (1, (4, 5, 6), range(11), 5 / 11, 1),  # the other way round
    (1, range(5), range(100, 107), 0, 0),  # disjoint
    (2, range(7), range(7), 1, 1),  # the same
    (1, (0, 1, 50, 51), (0, 1, 2), 1, 1 / 2),  # one of two clusters: 2 lies on the surface of 1's ball
    (1, (0, 1, 2), (0, 1, 50, 51, 52), 2 / 5, 1),  # a cluster that is not real
])
def test_precision_and_recall_of_hand_made_sets(k, real, generated, precision, recall):
    assert metrics.precision_recall(line(*real), line(*generated), k) == pytest.approx((precision, recall))


@pytest.mark.parametrize("k, n, m, d", [(1, 2, 3, 1), (2, 9, 5, 3), (3, 40, 25, 2), (4, 23, 61, 7)])
def test_precision_and_recall_by_their_definition(k, n, m, d):
    real, generated = randn(n, d, seed=k), randn(m, d, seed=10 + k) * 1.5 + 0.3

    def share(points, balls):
        radii = [sorted(math.dist(a, b) for j, b in enumerate(balls.tolist()) if j != i)[k - 1] for i, a in enumerate(balls.tolist())]
        return sum(any(math.dist(p, c) <= r for c, r in zip(balls.tolist(), radii)) for p in points.tolist()) / len(points)

    got = metrics.precision_recall(real, generated, k)
    assert got == pytest.approx((share(generated, real), share(real, generated)))
    assert metrics.precision_recall(generated, real, k) == got[::-1]


def test_precision_and_recall_do_not_depend_on_the_frame():
    real, generated, turn = randn(50, 4, seed=1), randn(31, 4, seed=2) * 1.3 + 0.4, rotation(4)
    value = metrics.precision_recall(real, generated, 2)
    assert 0 < value[0] < 1 and 0 < value[1] < 1
    for moved in (lambda x: x @ turn, lambda x: 1e-3 * x, lambda x: 40 * x, lambda x: x + 7, lambda x: x.flip(0)):
        assert metrics.precision_recall(moved(real), moved(generated), 2) == value


def test_a_larger_k_never_loses_a_point():
    real, points = randn(30, 5, seed=3), randn(200, 5, seed=4) * 1.5
    sets = [metrics.covered(points, real, k) for k in (1, 2, 4, 8, 29)]
    assert all((small <= large).all() for small, large in zip(sets, sets[1:])) and sets[0].sum() < sets[-1].sum()


def test_balls_far_from_the_origin_cover_the_same_points():
    """|x|^2 - 2 x.y + |y|^2 would lose small distances there. On a grid of 1/1024, moving by 2^20 rounds nothing in 64 bits."""
    g = generator(5)
    real, points = (torch.randint(-40, 41, (n, 6), generator=g).double() / 1024 for n in (70, 90))
    for k in (1, 3):
        near = metrics.covered(points, real, k)
        assert 0 < near.sum() < 90 and torch.equal(metrics.covered(points + 2**20, real + 2**20, k), near)


def test_repeated_pictures_cover_their_own_place_alone():
    centres = randn(40, 6, seed=5).float()
    real = centres.repeat(3, 1)  # with k = 2, each radius is 0
    assert metrics.covered(centres, real, 2).all() and not metrics.covered(centres + 1e-3, real, 2).any()


def test_many_points_are_covered_as_single_ones_are():
    balls, points = randn(60, 3, seed=6), randn(2_345, 3, seed=7) * 2
    together = metrics.covered(points, balls, 3)
    assert together.shape == (2_345,) and 0 < together.sum() < 2_345
    some = torch.arange(0, 2_345, 67)
    assert together[some].tolist() == [metrics.covered(points[i : i + 1], balls, 3).item() for i in some]


@pytest.mark.parametrize("real, generated, k, says", [
    ((5, 2), (5, 3), 1, r"\(5, 2\) and \(5, 3\). Accepted: \(N, D\) and \(M, D\)"),
    ((5,), (5, 2), 1, r"\(5,\) and \(5, 2\). Accepted: \(N, D\) and \(M, D\)"),
    ((3, 2), (9, 2), 3, "k=3.* got 3 real and 9 generated rows. Accepted: k of at least 1, and more rows than k"),
    ((9, 2), (2, 2), 2, "k=2.* got 9 real and 2 generated rows"),
    ((9, 2), (9, 2), 0, "k=0.* Accepted: k of at least 1"),
])
def test_precision_recall_refuses(real, generated, k, says):
    with pytest.raises(ValueError, match=says):
        metrics.precision_recall(torch.zeros(real), torch.zeros(generated), k)


# The bootstrap


def mean(x):
    return x.mean()


def test_the_bootstrap_covers_the_mean_about_95_times_in_100():
    """300 sets of 200 from an exponential distribution of mean 2. At a true 95 %, fewer than 270 or more than 297 come less than once in 1,000."""
    sets = torch.empty(300, 200, dtype=torch.float64).exponential_(0.5, generator=generator(0))
    covered = sum(m.low <= 2 <= m.high for m in (metrics.bootstrap_interval(mean, x, seed=i) for i, x in enumerate(sets)))
    assert 270 <= covered <= 297


@pytest.mark.parametrize("n", [20, 500])
def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error_says(n):
    x = randn(n, seed=n) * 3 + 7
    m = metrics.bootstrap_interval(mean, x, repeats=4_000)
    # 2.5 and 97.5 % points of 4,000 draws scatter by 2 % of half the width
    assert m.high - m.low == pytest.approx(2 * 1.959964 * x.std(correction=0).item() / math.sqrt(n), rel=0.06)
    assert m.value == pytest.approx(x.mean().item()) and m.n == n and m.low < m.value < m.high


def test_the_bootstrap_draws_whole_rows_of_each_set_with_replacement_and_apart():
    x, y = torch.arange(12).reshape(6, 2), torch.arange(100, 109)
    pairs = []

    def look(a, b):
        pairs.append((a, b))
        return 0.0

    assert metrics.bootstrap_interval(look, x, y, repeats=50).n == 6
    assert len(pairs) == 51 and torch.equal(pairs[0][0], x) and torch.equal(pairs[0][1], y)  # the value itself, then the draws
    for a, b in pairs[1:]:
        assert a.shape == x.shape and b.shape == y.shape and (a[:, 1] == a[:, 0] + 1).all() and set(a[:, 0].tolist()) <= set(range(0, 12, 2))
    assert any(len(set(a[:, 0].tolist())) < 6 for a, _ in pairs[1:])
    assert len({tuple(a.flatten().tolist()) for a, _ in pairs[1:]}) > 40
    one = randn(400, seed=1)
    apart = metrics.bootstrap_interval(lambda a, b: a.mean() - b.mean(), one, one, repeats=2_000)  # drawn in step, it would be 0
    alone = metrics.bootstrap_interval(mean, one, repeats=2_000)
    assert apart.high - apart.low == pytest.approx(math.sqrt(2) * (alone.high - alone.low), rel=0.1)


def test_the_bootstrap_is_about_the_value_and_keeps_to_its_bounds():
    x = randn(60, seed=2)
    m = metrics.bootstrap_interval(mean, x)
    given = metrics.bootstrap_interval(mean, x, value=10)
    assert given.value == 10 and given.high - given.low == pytest.approx(m.high - m.low) and 10 - given.low == pytest.approx(m.value - m.low)
    near = metrics.bootstrap_interval(mean, x, least=m.value - 1e-3, most=m.value + 1e-3)
    assert near.low == pytest.approx(m.value - 1e-3) and near.high == pytest.approx(m.value + 1e-3)
    # a statistic that every draw lifts, as FID is: still about the value
    lifted = metrics.bootstrap_interval(lambda a: a.mean() + 5.0 * (len(a.unique()) < 60), x)
    assert lifted.value == pytest.approx(m.value) and lifted.low == pytest.approx(m.low) and lifted.high == pytest.approx(m.high)
    # the value lies inside, even one that the bounds forbid
    assert all(b.low <= b.value <= b.high for b in (metrics.bootstrap_interval(mean, x, value=-3, least=0), given, near, lifted))


def test_the_bootstrap_is_drawn_from_its_seed_alone():
    x = randn(30, seed=3)
    state = torch.get_rng_state()
    first = metrics.bootstrap_interval(mean, x, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(123)
    assert metrics.bootstrap_interval(mean, x, seed=5) == first != metrics.bootstrap_interval(mean, x, seed=6)


@pytest.mark.parametrize("sets, sizes", [((), r"\[\]"), ((torch.zeros(0),), r"\[0\]"), ((torch.zeros(3, 2), torch.zeros(0, 2)), r"\[3, 0\]")])
def test_the_bootstrap_refuses_empty_sets(sets, sizes):
    with pytest.raises(ValueError, match=f"got sets of {sizes} samples. Accepted: at least one set, none of them empty"):
        metrics.bootstrap_interval(mean, *sets)
