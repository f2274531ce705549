"""Facts about the metrics: the kernel distance, the Inception Score, precision and recall, and the bootstrap."""

import math

import pytest
import torch

from aigc_lessons import metrics
from aigc_lessons.metrics import frechet, kernel, neighbours
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
        # E x = 0.3, x^2 = 0.34, x^3 = 0.027 + 3 * 0.3 * 0.25
        x = torch.randn(n, 1, generator=g, dtype=torch.float64) * 0.5 + 0.3
        y = torch.rand(m, 1, generator=g, dtype=torch.float64)  # E y = 1/2, y^2 = 1/3, y^3 = 1/4
        draws.append(metrics.kernel_distance(x, y).item())
    want = 3 * (0.3 - 1 / 2) ** 2 + 3 * (0.34 - 1 / 3) ** 2 + (0.252 - 1 / 4) ** 2
    assert standard_errors_from(draws, want) < 4 < standard_errors_from(draws, 0)


def test_kernel_distance_of_two_constants_by_hand():
    x, y = torch.tensor([[1.0, 3.0]]).expand(3, 2), torch.tensor([[-1.0, 2.0]]).expand(5, 2)
    assert metrics.kernel_distance(x, y).item() == pytest.approx(
        (10 / 2 + 1) ** 3 + (5 / 2 + 1) ** 3 - 2 * (5 / 2 + 1) ** 3
    )


def test_kernel_distance_ignores_order_and_rotation_but_not_place_or_size():
    x, y, turn = randn(6, 4, seed=1), randn(9, 4, seed=2) + 0.5, rotation(4)
    value = metrics.kernel_distance(x, y).item()
    assert metrics.kernel_distance(y, x).item() == pytest.approx(value)
    assert metrics.kernel_distance(x.flip(0), y[torch.randperm(9, generator=generator(3))]).item() == pytest.approx(
        value
    )
    assert metrics.kernel_distance(x @ turn, y @ turn).item() == pytest.approx(value)
    assert metrics.kernel_distance(x + 1, y + 1).item() != pytest.approx(value, rel=0.1)
    assert metrics.kernel_distance(3 * x, 3 * y).item() != pytest.approx(9 * value, rel=0.1)


def test_counted_rows_weigh_as_much_as_repeated_ones():
    x, y = randn(6, 3, seed=4), randn(4, 3, seed=5) * 2
    i, j = torch.tensor([0, 0, 0, 2, 5, 4]), torch.tensor([3, 3, 1, 1])
    u, v = torch.bincount(i, minlength=6).double(), torch.bincount(j, minlength=4).double()
    counted = unbiased_mmd(cubic_kernel(x, x), cubic_kernel(y, y), cubic_kernel(x, y), u, v)
    assert counted.item() == pytest.approx(metrics.kernel_distance(x[i], y[j]).item())


@pytest.mark.parametrize(
    "x, y", [((1, 3), (5, 3)), ((5, 3), (1, 3)), ((5, 3), (5, 4)), ((5,), (5, 3)), ((0, 3), (5, 3))]
)
def test_kernel_distance_says_which_shapes_it_takes(x, y):
    with pytest.raises(
        ValueError,
        match=rf"kernel_distance got .*\({x[0]},.* and \({y[0]},.* Accepted: \(N, D\) and \(M, D\), at least 2 rows",
    ):
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
    # classes that never come
    assert metrics.inception_score(torch.cat([p, torch.zeros(31, 2)], 1)).item() == pytest.approx(value)


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


@pytest.mark.parametrize(
    "bad, says",
    [
        (torch.zeros(0, 4), r"shape \(0, 4\). Accepted: \(N, K\), at least 1 row"),
        (torch.full((4,), 0.25), r"shape \(4,\). Accepted: \(N, K\)"),
        (torch.tensor([[2.0, -1.0]]), "at least 0 that sum to 1"),
        (torch.tensor([[0.6, 0.6]]), r"For logits: logits.softmax\(1\)"),
        (
            torch.tensor([[0.5, 0.5], [float("nan"), 1.0]]),
            "NaN or infinity in 1 of 2 rows of the probabilities, the first at row 1",
        ),
    ],
)
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
    assert metrics.covered(points, real, 1).tolist() == [
        False,
        False,
        False,
        True,
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert metrics.covered(points, real, 2).tolist() == [False, True, True, True, True, True, True, True, True, False]
    assert metrics.precision_recall(real, points, 1)[0] == 0.4 and metrics.precision_recall(real, points, 2)[0] == 0.8


@pytest.mark.parametrize(
    "k, real, generated, precision, recall",
    [
        (1, range(11), (4, 5, 6), 1, 5 / 11),  # inside: 3 to 7 lie within 1 of it
        (2, range(11), (4, 5, 6), 1, 7 / 11),  # its ends now reach 2 far: 2 to 8
        (1, (4, 5, 6), range(11), 5 / 11, 1),  # the other way round
        (1, range(5), range(100, 107), 0, 0),  # disjoint
        (2, range(7), range(7), 1, 1),  # the same
        (1, (0, 1, 50, 51), (0, 1, 2), 1, 1 / 2),  # one of two clusters: 2 lies on the surface of 1's ball
        (1, (0, 1, 2), (0, 1, 50, 51, 52), 2 / 5, 1),  # a cluster that is not real
    ],
)
def test_precision_and_recall_of_hand_made_sets(k, real, generated, precision, recall):
    assert metrics.precision_recall(line(*real), line(*generated), k) == pytest.approx((precision, recall))


@pytest.mark.parametrize("k, n, m, d", [(1, 2, 3, 1), (2, 9, 5, 3), (3, 40, 25, 2), (4, 23, 61, 7)])
def test_precision_and_recall_by_their_definition(k, n, m, d):
    real, generated = randn(n, d, seed=k), randn(m, d, seed=10 + k) * 1.5 + 0.3

    def share(points, balls):
        radii = [
            sorted(math.dist(a, b) for j, b in enumerate(balls.tolist()) if j != i)[k - 1]
            for i, a in enumerate(balls.tolist())
        ]
        return sum(any(math.dist(p, c) <= r for c, r in zip(balls.tolist(), radii)) for p in points.tolist()) / len(
            points
        )

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


@pytest.mark.parametrize(
    "real, generated, k, says",
    [
        ((5, 2), (5, 3), 1, r"\(5, 2\) and \(5, 3\). Accepted: \(N, D\) and \(M, D\)"),
        ((5,), (5, 2), 1, r"\(5,\) and \(5, 2\). Accepted: \(N, D\) and \(M, D\)"),
        ((3, 2), (9, 2), 3, "k=3.* got 3 real and 9 generated rows. Accepted: k of at least 1, and more rows than k"),
        ((9, 2), (2, 2), 2, "k=2.* got 9 real and 2 generated rows"),
        ((9, 2), (9, 2), 0, "k=0.* Accepted: k of at least 1"),
    ],
)
def test_precision_recall_refuses(real, generated, k, says):
    with pytest.raises(ValueError, match=says):
        metrics.precision_recall(torch.zeros(real), torch.zeros(generated), k)


# Density and coverage


@pytest.mark.parametrize(
    "k, real, generated, density, coverage",
    [
        (1, range(5), (2,), 3, 3 / 5),  # radius 1: 2 lies in the balls of 1, 2 and 3, on the surface of two
        (1, range(5), (2, 2, 2), 3, 3 / 5),  # copies add nothing to coverage, and are as dense
        (1, range(5), range(100, 107), 0, 0),  # disjoint
        (1, range(5), range(5), 13 / 5, 1),  # the same: inner ones lie in three balls, those at the ends in two
        (
            2,
            (0, 1, 2, 50),
            (49.5, 49.5),
            1 / 2,
            1 / 4,
        ),  # an outlier's ball, of radius 49, is one of k: precision says 1
        (1, (0, 1, 50, 51), (0.5,), 2, 1 / 2),  # one of two clusters
    ],
)
def test_density_and_coverage_of_hand_made_sets(k, real, generated, density, coverage):
    assert metrics.density_coverage(line(*real), line(*generated), k) == pytest.approx((density, coverage))


def test_coverage_is_not_bought_by_an_outlier_as_recall_is():
    real, generated = randn(50, 2, seed=1), randn(50, 2, seed=2) * 0.01 + 10
    generated[0] = -40.0  # one ball that holds every real point
    assert (
        metrics.precision_recall(real, generated, 3)[1] == 1 and metrics.density_coverage(real, generated, 3)[1] < 0.1
    )


@pytest.mark.parametrize("k, n, m, d", [(1, 2, 1, 1), (2, 9, 5, 3), (3, 40, 25, 2), (5, 23, 61, 7)])
def test_density_and_coverage_by_their_definition(k, n, m, d):
    real, generated = randn(n, d, seed=k).tolist(), (randn(m, d, seed=10 + k) * 1.5 + 0.3).tolist()
    radii = [sorted(math.dist(a, b) for j, b in enumerate(real) if j != i)[k - 1] for i, a in enumerate(real)]
    inside = [[math.dist(p, c) <= r for c, r in zip(real, radii)] for p in generated]
    want = sum(map(sum, inside)) / (k * m), sum(map(any, zip(*inside))) / n
    assert metrics.density_coverage(torch.tensor(real), torch.tensor(generated), k) == pytest.approx(want, rel=1e-6)


def test_density_and_coverage_do_not_depend_on_the_frame_or_the_order():
    real, generated, turn = randn(50, 4, seed=1), randn(31, 4, seed=2) * 1.3 + 0.4, rotation(4)
    value = metrics.density_coverage(real, generated, 4)
    assert 0 < value[0] < 1 and 0 < value[1] < 1
    for moved in (lambda x: x @ turn, lambda x: 1e-3 * x, lambda x: 40 * x, lambda x: x + 7, lambda x: x.flip(0)):
        assert metrics.density_coverage(moved(real), moved(generated), 4) == pytest.approx(value)
    assert metrics.density_coverage(real, generated.repeat(3, 1), 4) == pytest.approx(value)


def test_two_sets_of_one_distribution_have_the_density_and_coverage_of_their_authors():
    """Naeem et al., lemmas 1 and 2: density 1 on average, coverage 1 - (N - 1)...(N - k) / ((2N - 1)...(2N - k)) for N = M."""
    n, k = 12, 3
    draws = torch.tensor(
        [metrics.density_coverage(randn(n, 3, seed=2 * i), randn(n, 3, seed=2 * i + 1), k) for i in range(300)]
    )
    coverage = 1 - math.prod((n - j) / (2 * n - j) for j in range(1, k + 1))
    assert standard_errors_from(draws[:, 0], 1) < 4 and standard_errors_from(draws[:, 1], coverage) < 4
    assert standard_errors_from(draws[:, 1], 1 - 2**-k) > 4  # what it tends to as N grows


@pytest.mark.parametrize(
    "real, generated, k, says",
    [
        ((5, 2), (5, 3), 1, r"density_coverage got .*\(5, 2\) and \(5, 3\). Accepted: \(N, D\) and \(M, D\)"),
        (
            (3, 2),
            (9, 2),
            3,
            "density_coverage.k=3. got 3 real and 9 generated rows. Accepted: k of at least 1, and more real rows than k",
        ),
        ((3, 2), (0, 2), 1, "3 real and 0 generated rows. .* at least 1 generated"),
        ((9, 2), (9, 2), 0, "k=0.* Accepted: k of at least 1"),
    ],
)
def test_density_coverage_refuses(real, generated, k, says):
    with pytest.raises(ValueError, match=says):
        metrics.density_coverage(torch.zeros(real), torch.zeros(generated), k)


# Intervals of what depends on neighbours


@pytest.mark.parametrize("n, m", [(40, 61), (13, 12), (90, 30)])
def test_half_samples_are_the_measures_of_half_of_the_rows(n, m):
    real, generated = randn(n, 3, seed=n), randn(m, 3, seed=m) * 1.2
    real[:4], generated[:3] = real[4:8].clone(), real[:3]  # equal rows, within a set and across
    of_all, drawn = neighbours._half_samples(real, generated, 3, 5, 20, generator(0))
    assert of_all == pytest.approx(
        [*metrics.precision_recall(real, generated, 3), *metrics.density_coverage(real, generated, 5)]
    )
    g = generator(0)
    for row in drawn:
        r, f = (torch.randperm(size, generator=g)[: size // 2] for size in (n, m))
        want = [
            *metrics.precision_recall(real[r], generated[f], 3),
            *metrics.density_coverage(real[r], generated[f], 5),
        ]
        assert row.tolist() == pytest.approx(want)
    assert drawn[:, :3].std(0).min() > 0


def test_neighbour_intervals_are_wilsons_at_least_and_as_wide_as_possible_for_few():
    real, generated = randn(40, 2, seed=1), randn(40, 2, seed=2)
    far = neighbours.neighbour_measures(real, generated + 1_000, 3, 5)
    nothing = metrics.wilson_interval(0, 40)
    assert all((m.value, m.low, m.high) == (0, 0, pytest.approx(nothing.high)) for m in far.values())
    few = neighbours.neighbour_measures(real[:9], generated[:7], 3, 5)
    assert [(m.low, m.high, m.n) for m in few.values()] == [(0, 1, 7), (0, 1, 9), (0, 9 / 5, 7), (0, 1, 9)]


def test_more_rows_than_are_redrawn_give_narrower_intervals_about_the_value_of_all(monkeypatch):
    real, generated = randn(400, 3, seed=1), randn(400, 3, seed=2) + 0.5
    everything = neighbours.neighbour_measures(real, generated, 3, 5)
    monkeypatch.setattr(neighbours, "RESAMPLED", 200)
    part = neighbours.neighbour_measures(real, generated, 3, 5)
    for name, m in everything.items():
        assert part[name].value == pytest.approx(m.value) and part[name].n == m.n
        assert part[name].high - part[name].low == pytest.approx(m.high - m.low, rel=0.35), name


# Many rows: subsets, groups, pieces


@pytest.mark.parametrize(
    "n, m, count, size",
    [
        (900, 900, 1, 900),
        (1_000, 1_000, 1, 1_000),
        (2_000, 2_000, 20, 1_000),
        (9, 6, 20, 6),
        (50_000, 50_000, 100, 1_000),
        (50_000, 20, 100, 20),
    ],
)
def test_kid_subsets(n, m, count, size):
    assert kernel.subsets(n, m) == (count, size)


def test_groups_of_rows_have_the_moments_of_their_rows():
    x = randn(731, 5, seed=1).float() * 3 + 2
    for got, want in zip(frechet._moments_of_groups(frechet._sums_of_groups(x.double())), metrics.moments(x)):
        torch.testing.assert_close(got, want)


def test_moments_do_not_depend_on_the_pieces(monkeypatch):
    x = randn(731, 5, seed=1) * 3 + 1e4  # far from 0, where sums of squares alone would lose digits
    monkeypatch.setattr(frechet, "ROWS", 100)
    mean, cov = metrics.moments(x)
    torch.testing.assert_close(mean, x.mean(0))
    torch.testing.assert_close(cov, x.T.cov(), rtol=1e-10, atol=0)


def test_the_frechet_interval_of_groups_is_that_of_rows(monkeypatch):
    x, y = randn(2_000, 4, seed=1), randn(2_000, 4, seed=2) * 1.2 + 0.2
    value = metrics.fid(x, y)
    rows = frechet.frechet_interval(x, y, value, repeats=600)
    monkeypatch.setattr(frechet, "MANY", 1_999)
    groups = frechet.frechet_interval(x, y, value, repeats=600)
    assert rows != groups and groups.n == rows.n == 2_000
    assert groups.high - groups.low == pytest.approx(rows.high - rows.low, rel=0.2)


# Numbers that are not finite


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(
    "measure, says",
    [
        (lambda bad, x: metrics.fid(bad, x), "fid got .* generated features"),
        (lambda bad, x: metrics.fid(x, bad), "fid got .* real features"),
        (lambda bad, x: metrics.moments(bad), "moments got .* features"),
        (lambda bad, x: metrics.kernel_distance(bad, x), "kernel_distance got .* first features"),
        (lambda bad, x: metrics.kernel_distance(x, bad), "kernel_distance got .* second features"),
        (lambda bad, x: metrics.precision_recall(x, bad, k=3), "precision_recall got .* generated features"),
        (lambda bad, x: metrics.density_coverage(bad, x, k=3), "density_coverage got .* real features"),
        (lambda bad, x: metrics.inception_score(bad), "inception_score got .* probabilities"),
        (lambda bad, x: metrics.mode_counts(bad), "mode_counts got .* logits"),
        (
            lambda bad, x: metrics.accuracy(lambda images: bad, torch.zeros(20, 1, 8, 8), torch.zeros(20).long()),
            "accuracy got .* logits",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_row_that_is_not_finite_is_named(measure, says, bad):
    x = randn(20, 8).softmax(1)
    broken = x.clone()
    broken[3, 2] = broken[17, 0] = bad
    with pytest.raises(
        ValueError,
        match=says.replace("got .*", "got NaN or infinity in 2 of 20 rows of the") + ", the first at row 3. ",
    ):
        measure(broken, x)


# The bootstrap


def mean(x):
    return x.mean()


def test_the_bootstrap_covers_the_mean_about_95_times_in_100():
    """300 sets of 200 from an exponential distribution of mean 2. At a true 95 %, fewer than 270 or more than 297 come less than once in 1,000."""
    sets = torch.empty(300, 200, dtype=torch.float64).exponential_(0.5, generator=generator(0))
    covered = sum(
        m.low <= 2 <= m.high for m in (metrics.bootstrap_interval(mean, x, seed=i) for i, x in enumerate(sets))
    )
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
    # the value itself, then the draws
    assert len(pairs) == 51 and torch.equal(pairs[0][0], x) and torch.equal(pairs[0][1], y)
    for a, b in pairs[1:]:
        assert (
            a.shape == x.shape
            and b.shape == y.shape
            and (a[:, 1] == a[:, 0] + 1).all()
            and set(a[:, 0].tolist()) <= set(range(0, 12, 2))
        )
    assert any(len(set(a[:, 0].tolist())) < 6 for a, _ in pairs[1:])
    assert len({tuple(a.flatten().tolist()) for a, _ in pairs[1:]}) > 40
    one = randn(400, seed=1)
    # drawn in step, it would be 0
    apart = metrics.bootstrap_interval(lambda a, b: a.mean() - b.mean(), one, one, repeats=2_000)
    alone = metrics.bootstrap_interval(mean, one, repeats=2_000)
    assert apart.high - apart.low == pytest.approx(math.sqrt(2) * (alone.high - alone.low), rel=0.1)


def test_the_bootstrap_is_about_the_value_and_keeps_to_its_bounds():
    x = randn(60, seed=2)
    m = metrics.bootstrap_interval(mean, x)
    given = metrics.bootstrap_interval(mean, x, value=10)
    assert (
        given.value == 10
        and given.high - given.low == pytest.approx(m.high - m.low)
        and 10 - given.low == pytest.approx(m.value - m.low)
    )
    near = metrics.bootstrap_interval(mean, x, least=m.value - 1e-3, most=m.value + 1e-3)
    assert near.low == pytest.approx(m.value - 1e-3) and near.high == pytest.approx(m.value + 1e-3)
    # a statistic that every draw lifts, as FID is: still about the value
    lifted = metrics.bootstrap_interval(lambda a: a.mean() + 5.0 * (len(a.unique()) < 60), x)
    assert (
        lifted.value == pytest.approx(m.value)
        and lifted.low == pytest.approx(m.low)
        and lifted.high == pytest.approx(m.high)
    )
    # the value lies inside, even one that the bounds forbid
    assert all(
        b.low <= b.value <= b.high
        for b in (metrics.bootstrap_interval(mean, x, value=-3, least=0), given, near, lifted)
    )


def test_the_bootstrap_is_drawn_from_its_seed_alone():
    x = randn(30, seed=3)
    state = torch.get_rng_state()
    first = metrics.bootstrap_interval(mean, x, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(123)
    assert metrics.bootstrap_interval(mean, x, seed=5) == first != metrics.bootstrap_interval(mean, x, seed=6)


@pytest.mark.parametrize(
    "sets, sizes", [((), r"\[\]"), ((torch.zeros(0),), r"\[0\]"), ((torch.zeros(3, 2), torch.zeros(0, 2)), r"\[3, 0\]")]
)
def test_the_bootstrap_refuses_empty_sets(sets, sizes):
    with pytest.raises(
        ValueError, match=f"got sets of {sizes} samples. Accepted: at least one set, none of them empty"
    ):
        metrics.bootstrap_interval(mean, *sets)
