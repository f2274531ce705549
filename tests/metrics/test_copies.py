"""The copy test: what it is certain to say, that it is calibrated, and what it refuses."""

import itertools

import pytest
import torch

import aigc_lessons as al
from aigc_lessons.metrics import copy_test, nearest


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n, seed, shape=(1, 5, 6)):
    return 2 * torch.rand(n, *shape, generator=gen(seed)) - 1


@pytest.mark.parametrize("n, m, shape", [(1, 3, (1, 4, 4)), (9, 20, (3, 4, 5)), (150, 90, (1, 8, 8))])
def test_a_copier_scores_1_and_the_least_p_that_there_is(n, m, shape):
    train, held_out = pictures(n, 1, shape), pictures(n, 2, shape)
    copies = train[torch.arange(m) % n]
    rate, p = copy_test(copies, train, held_out, 49, gen())
    assert rate == 1 and (p == 1 / 50 if n > 8 else 1 / 50 <= p <= 1)
    assert copy_test(copies, held_out, train, 49, gen()) == (0, 1)


@pytest.mark.parametrize("seed", range(5))
def test_exchanged_sets_have_the_other_rate(seed):
    generated, train, held_out = pictures(31, seed), pictures(17, seed + 50), pictures(17, seed + 90)
    held_out[:4] = train[:4]  # equally near
    generated[:5] = train[:5]
    one, other = (copy_test(generated, *sets, 9, gen())[0] for sets in ((train, held_out), (held_out, train)))
    assert one == pytest.approx(1 - other, abs=1e-12)
    assert copy_test(generated.flip(0), train.flip(0), held_out, 9, gen())[0] == pytest.approx(one, abs=1e-12)


def test_who_is_equally_near_is_shared():
    same = pictures(6, 3)
    assert copy_test(same, same, same.clone(), 19, gen()) == (0.5, 1.0)
    x = torch.tensor([[0.0]])
    train, held_out = torch.tensor([[0.5], [-0.5]]), torch.tensor([[0.5], [2.0]])
    assert copy_test(x, train, held_out, 9, gen())[0] == pytest.approx(2 / 3)


def test_p_is_the_share_of_all_draws():
    generated, train, held_out = pictures(15, 4), pictures(3, 5), pictures(3, 6)
    generated[:6] = train[0]
    ends = torch.cdist(generated.flatten(1), torch.cat([train, held_out]).flatten(1)).argmin(1)
    counts = torch.bincount(ends, minlength=6)
    reached = [counts[list(half)].sum() >= counts[:3].sum() for half in itertools.combinations(range(6), 3)]
    share = torch.stack(reached).double().mean().item()
    rate, p = copy_test(generated, train, held_out, 40_000, gen())
    assert rate == pytest.approx(counts[:3].sum().item() / 15) and 0.05 <= share < 1
    assert abs(p - share) < 5 * (share * (1 - share) / 40_000) ** 0.5 + 1e-4


def test_null_splits_are_rejected_no_more_often_than_the_level_says():
    """Samples that end at shared pictures: permutation keeps its level, the binomial test does not."""
    scattered = pictures(400, 7, (1, 2, 2))
    generated = pictures(200, 8, (1, 2, 2))[
        torch.randint(0, 12, (200,), generator=gen(9))
    ]  # twelve pictures, over and over
    p, binomial = [], []
    for split in range(200):
        order = torch.randperm(400, generator=gen(split))
        rate, value = copy_test(generated, scattered[order[:200]], scattered[order[200:]], 99, gen(split))
        p.append(value)
        binomial.append(0.5 * torch.erfc(torch.tensor((rate - 0.5) * (2 * 200) ** 0.5)).item())
    rejected = [sum(v <= 0.05 for v in values) for values in (p, binomial)]
    assert rejected[0] <= 10 + 3 * (200 * 0.05 * 0.95) ** 0.5 and rejected[1] > 40


def test_the_same_seed_gives_the_same_p_and_global_state_is_left_alone():
    sets = pictures(40, 1), pictures(20, 2), pictures(20, 3)
    before = torch.get_rng_state()
    assert copy_test(*sets, 99, gen(4)) == copy_test(*sets, 99, gen(4))
    assert torch.equal(before, torch.get_rng_state())


def test_parts_make_no_difference(monkeypatch):
    sets = pictures(40, 1), pictures(20, 2), pictures(20, 3)
    whole = copy_test(*sets, 300, gen())[0], nearest(sets[0], sets[1])
    monkeypatch.setattr("aigc_lessons.metrics.copies.CELLS", 100)
    parts = copy_test(*sets, 300, gen())[0], nearest(sets[0], sets[1])
    assert whole[0] == pytest.approx(parts[0], abs=1e-12) and torch.equal(whole[1][0], parts[1][0])
    distances = torch.cdist(sets[0].flatten(1), sets[1].flatten(1))
    assert torch.equal(whole[1][0], distances.argmin(1))
    assert torch.allclose(whole[1][1].float(), distances.amin(1), atol=1e-5)


def test_fid_cannot_tell_a_copier_from_an_honest_model():
    """Training pictures themselves have a FID like held-out ones; only the copy test sees them."""
    train, test = (al.data.load("digits", split=s).images for s in ("train", "test"))
    train, held_out, honest = train[:500], test[:500], test[500:]
    judge = al.metrics.Judge("digits")
    fid = {
        name: al.metrics.fid(judge(x)[0], judge(held_out)[0]) for name, x in {"copies": train, "honest": honest}.items()
    }
    assert fid["copies"] < 1.5 * fid["honest"]
    assert copy_test(train, train, held_out, 199, gen()) == (1, 1 / 200)
    assert copy_test(honest, train, held_out, 199, gen())[1] > 0.05


@pytest.mark.parametrize(
    "change, words",
    [
        (
            dict(held_out=pictures(9, 1)),
            ["12 training and 9 held-out", "as many of both", "take 9 of the larger", "missed"],
        ),
        (dict(train=pictures(30, 1)), ["30 training and 12 held-out", "Hold as many back"]),
        (dict(generated=pictures(5, 1, (3, 5, 6))), ["(5, 3, 5, 6) generated", "one shape"]),
        (dict(generated=pictures(0, 1)), ["0 generated", "at least one"]),
        (dict(permutations=0), ["0 permutations", "999"]),
        (dict(generated=pictures(5, 1) * float("nan")), ["NaN", "5 of 5", "generated pictures"]),
    ],
)
def test_what_it_refuses(change, words):
    given = dict(generated=pictures(5, 1), train=pictures(12, 2), held_out=pictures(12, 3), permutations=9) | change
    with pytest.raises(ValueError, match="copy_test") as error:
        copy_test(**given, generator=gen())
    assert all(word in str(error.value) for word in words)
