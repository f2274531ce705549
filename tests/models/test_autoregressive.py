"""Models that draw pixel by pixel: probabilities that sum to 1, nothing seen of what comes later, and drawing as they were taught."""

import copy
import itertools
import math

import pytest
import torch
from helpers import same

import aigc_lessons as al
from aigc_lessons.training import Batch

KINDS = {"PixelGRU": al.models.PixelGRU, "PixelCNN": al.models.PixelCNN}
each_kind = pytest.mark.parametrize("kind", KINDS)


def build(kind, levels=5, shape=(4, 3), seed=0, **given):
    torch.manual_seed(seed)
    net = KINDS[kind](levels, shape, **{"width": 8, **given})
    with torch.no_grad():  # a fresh network hardly tells one picture from another
        for p in net.parameters():
            p.mul_(3)
    return net.eval()


def tokens(net, n=6, seed=1):
    return torch.randint(net.levels, (n, net.shape[0] * net.shape[1]), generator=torch.Generator().manual_seed(seed))


def jacobian(net, x):
    """(L, L) bool: whether the logits of place i (row) move when the token of place j (column) is another one, for any level."""
    length, moved = x.shape[1], torch.zeros(x.shape[1], x.shape[1], dtype=torch.bool)
    with torch.no_grad():
        before = net(x)
        for j in range(length):
            for step in range(1, net.levels):
                other = x.clone()
                other[:, j] = (x[:, j] + step) % net.levels
                moved[:, j] |= ((net(other) - before).abs().amax((0, 2)) > 0).cpu()
    return moved


@each_kind
@pytest.mark.parametrize(("levels", "shape"), [(4, (2, 2)), (2, (2, 3)), (3, (1, 5)), (3, (3, 2))])
@pytest.mark.parametrize("seed", range(3))
def test_the_probabilities_of_all_tiny_pictures_sum_to_1(kind, levels, shape, seed):
    net = build(kind, levels, shape, seed)
    every = torch.tensor(list(itertools.product(range(levels), repeat=shape[0] * shape[1])))
    p = net.double().log_prob(every).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-5) and p.max() > 1.5 * p.min()


def test_a_model_that_sees_the_pixel_itself_fails_that_sum():
    net = build("PixelCNN", 4, (2, 2))
    net.network[0].mask = al.sequences.causal_mask(5, "B")
    every = torch.tensor(list(itertools.product(range(4), repeat=4)))
    assert abs(net.log_prob(every).exp().sum().item() - 1) > 0.01


@each_kind
@pytest.mark.parametrize("shape", [(4, 3), (5, 6)])
def test_nothing_that_comes_later_has_influence_and_all_that_comes_before_has_but_for_the_blind_spot(kind, shape):
    net = build(kind, 3, shape, width=8, **({"depth": 2} if kind == "PixelCNN" else {}))
    moved, (h, w) = jacobian(net, tokens(net, 20)), shape
    i, j = torch.meshgrid(torch.arange(h * w), torch.arange(h * w), indexing="ij")
    assert not moved[j >= i].any()
    assert torch.equal(moved, (j < i) & ~blind(kind, shape, depth=2))
    if kind == "PixelGRU":
        assert moved.sum() == h * w * (h * w - 1) // 2


def blind(kind, shape, depth):
    """Which places of those before are out of sight: beyond what a 5x5 mask and then `depth` steps of at most one place reach."""
    h, w = shape
    unseen = torch.ones(h * w, h * w, dtype=torch.bool)
    for i in range(h * w):
        places = {(i // w + dy, i % w + dx) for dy in range(-2, 1) for dx in range(-2, 3) if (dy, dx) < (0, 0)}
        for _ in range(depth):
            places |= {(r + dy, c + dx) for r, c in places for dy, dx in [(0, -1), (-1, -1), (-1, 0), (-1, 1)]}
        for r, c in places:
            if 0 <= r and 0 <= c < w:
                unseen[i, r * w + c] = False
    return unseen if kind == "PixelCNN" else torch.zeros_like(unseen)


def test_with_the_kinds_of_the_lesson_the_blind_spot_is_there():
    assert blind("PixelCNN", (8, 8), 4).tril(-1).sum() == jacobian_of_the_default().logical_not().tril(-1).sum() > 0


def jacobian_of_the_default():
    net = build("PixelCNN", 2, (8, 8), width=8, depth=4)
    return jacobian(net, tokens(net, 30))


@each_kind
def test_logits_one_by_one_are_those_of_the_whole_picture(kind):
    net, memory = build(kind), None
    x = tokens(net)
    with torch.no_grad():
        whole = net(x)
        for i in range(x.shape[1]):
            shown = x.clone()
            shown[:, i:] = 0  # not drawn yet
            logits, memory = net.next_logits(shown, i, memory)
            torch.testing.assert_close(logits, whole[:, i], rtol=1e-4, atol=1e-4)
        for i in (0, 5, 11):  # without a memory it is made anew
            torch.testing.assert_close(net.next_logits(x, i)[0], whole[:, i], rtol=1e-4, atol=1e-4)


@each_kind
def test_log_prob_is_the_sum_of_what_each_pixel_says(kind):
    net = build(kind)
    x = tokens(net, 300)  # more than a chunk
    with torch.no_grad():
        bits = al.losses.bits_per_pixel(net(x), x)
    got = net.log_prob(x)
    assert got.shape == (300,) and not got.requires_grad
    assert -got.mean().item() / 12 / math.log(2) == pytest.approx(bits.item(), rel=1e-5)


@each_kind
def test_samples_have_the_models_own_frequencies(kind):
    net = build(kind, 2, (1, 3))
    drawn = al.sequences.raster(al.data.to_levels(net.sample(20_000, seed=4), 2))
    every = torch.tensor(list(itertools.product(range(2), repeat=3)))
    p = net.log_prob(every).exp()
    share = torch.stack([(drawn == picture).all(1).double().mean() for picture in every])
    assert ((share - p).abs() < 4.5 * (p * (1 - p) / 20_000).sqrt() + 1e-9).all()


@each_kind
def test_what_is_known_is_kept_and_the_rest_does_not_matter(kind):
    net = build(kind)
    x = tokens(net)
    for known in (0, 1, 7, 12):
        done = net.complete(x, known, seed=3)
        other = x.clone()
        other[:, known:] = (other[:, known:] + 2) % net.levels
        assert torch.equal(done[:, :known], x[:, :known]) and torch.equal(net.complete(other, known, seed=3), done)
    assert torch.equal(net.complete(x, 12), x)
    assert torch.equal(net.complete(done, 4, seed=8), net.complete(x, 4, seed=8))


@each_kind
def test_near_temperature_0_the_likeliest_level_is_drawn(kind):
    net = build(kind)
    x = net.complete(tokens(net), 0, seed=1, temperature=1e-4)
    with torch.no_grad():
        assert torch.equal(x, net(x).argmax(2))
    assert torch.equal(x, net.complete(tokens(net), 0, seed=2, temperature=1e-4))
    hot = net.complete(tokens(net, 400), 0, seed=1, temperature=1e4)
    counts = torch.bincount(hot.flatten(), minlength=5) / hot.numel()
    assert (counts - 0.2).abs().max() < 0.03


@each_kind
def test_samples_are_pictures_in_the_range_of_the_data_and_repeat(kind):
    net = build(kind)
    x = net.sample(300, seed=1)
    assert x.shape == (300, 1, 4, 3) and x.dtype == torch.float32 and not x.requires_grad
    al.data.check_images(x, "test")
    assert sorted(set(x.flatten().tolist())) == [-1, -0.5, 0, 0.5, 1]
    state = torch.get_rng_state()
    assert torch.equal(net.train().sample(300, seed=1), x) and net.training
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(net.sample(300, seed=2), x) and net.sample(0).shape == (0, 1, 4, 3)


@each_kind
def test_fit_learns_a_pattern_from_tokens(kind):
    """Stripes of two levels, of which the first is drawn at random: one bit for all twelve pixels."""
    first = torch.arange(64)[:, None] % 2
    x = (first + torch.arange(12)[None]) % 2
    net = build(kind, 2, width=16, lr=1e-2)
    before = copy.deepcopy(net)
    history = al.fit(net, x, steps=120, batch_size=32, progress=False)
    assert history.losses.keys() == {"loss", "bits"} and not same(before, net)
    assert history.losses["bits"][-1] == pytest.approx(1 / 12, abs=0.05)
    drawn = al.sequences.raster(al.data.to_levels(net.sample(50, seed=5).cpu(), 2))
    assert (drawn == (drawn[:, :1] + torch.arange(12)) % 2).all(1).float().mean() > 0.8
    assert 10 < drawn[:, 0].sum() < 40


@each_kind
def test_a_training_step_is_next_pixel_cross_entropy(kind):
    net = build(kind)
    x = tokens(net)
    want = al.losses.bits_per_pixel(net(x), x).item()
    losses = net.training_step(Batch(x, None, None), net.optimizers())
    assert all(v.shape == () and not v.requires_grad for v in losses.values())
    assert losses["bits"].item() == pytest.approx(want, rel=1e-5)
    assert losses["loss"].item() == pytest.approx(want * math.log(2), rel=1e-5)


def test_masked_weights_may_drift_and_still_count_for_nothing():
    net = build("PixelCNN")
    x = tokens(net)
    al.fit(net, x, steps=5, batch_size=6, progress=False)
    net.cpu()
    with torch.no_grad():
        before = net(x)
        for layer in net.modules():
            if hasattr(layer, "mask"):
                layer.weight += 7 * (1 - layer.mask)
        assert torch.equal(net(x), before)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda kind: kind(levels=1), r"levels=1\): accepted are 2"),
        (lambda kind: kind(shape=(8,)), r"shape=\(8,\)\): accepted is \(height, width\)"),
        (lambda kind: kind(shape=(0, 8)), "height=0"),
        (lambda kind: kind(width=0), "width=0"),
        (lambda kind: kind().sample(2, labels=1), "unconditional"),
        (lambda kind: kind().sample(2, temperature=0), "temperature=0: accepted is a number above 0"),
        (lambda kind: kind().sample(2, temperature=float("nan")), "temperature=nan"),
        (lambda kind: kind().complete(torch.zeros(2, 64).long(), 65), r"known=65\): accepted are 0 \(draw all\) to 64"),
        (lambda kind: kind().complete(torch.zeros(2, 64).long(), -1), "known=-1"),
        (lambda kind: kind().log_prob(torch.zeros(2, 63).long()), r"shape \(N, 64\).*got \(2, 63\).*shape="),
        (lambda kind: kind().log_prob(torch.zeros(2, 1, 8, 8).long()), r"got \(2, 1, 8, 8\)"),
        (lambda kind: kind().log_prob(torch.full((2, 64), 17)), "from 17 to 17 and knows 17 levels.*levels=18"),
        (lambda kind: kind().log_prob(torch.full((2, 64), -1)), "from -1 to -1"),
        (lambda kind: al.fit(kind(), torch.full((4, 64), 99), steps=1, batch_size=2), "from 99 to 99"),
    ],
)
@each_kind
def test_what_is_refused_says_why(kind, make, says):
    with pytest.raises(ValueError, match=says):
        make(KINDS[kind])


@each_kind
def test_pictures_are_refused_where_tokens_are_wanted(kind):
    pictures = al.data.load("digits-8x8", size=8)[:8]
    with pytest.raises(
        TypeError, match=r"takes tokens, int64 from 0 to 16, and got torch.float32.*to_levels\(images, 17\)"
    ):
        al.fit(KINDS[kind](), pictures, steps=1, batch_size=4)
    with pytest.raises(TypeError, match="got list"):
        KINDS[kind]().log_prob([[0] * 64])


def test_levels_there_and_back():
    images = al.data.load("digits-8x8", size=8).images[:50]
    x = al.data.to_levels(images, 17)
    assert x.dtype == torch.int64 and x.min() == 0 and x.max() == 16
    assert torch.equal(al.data.from_levels(x, 17), images)
    for levels in (2, 3, 17, 256):
        every = torch.arange(levels)
        assert torch.equal(al.data.to_levels(al.data.from_levels(every, levels), levels), every)
    assert al.data.to_levels(torch.tensor([-1, -0.51, -0.49, 0.1, 1.0]), 3).tolist() == [0, 0, 1, 1, 2]
    with pytest.raises(ValueError, match=r"to_levels\(levels=1\): accepted are 2"):
        al.data.to_levels(images, 1)
    with pytest.raises(ValueError, match=r"from_levels\(levels=0\)"):
        al.data.from_levels(x, 0)
    with pytest.raises(TypeError, match="to_levels got torch.int64"):
        al.data.to_levels(x, 17)
