"""What lesson 32 says of its numbers: the weights that it shows obey, and the record of held-back pairs is one."""

import importlib.util
import json
from collections import Counter

import pytest

from aigc_lessons import shipped
from aigc_lessons.data.shapes import COLOURS, KINDS
from aigc_lessons.settings import COURSE


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("text_held_out", COURSE / "benchmarks" / "text_held_out.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def runs():
    return json.loads((COURSE / "benchmarks" / "text_held_out.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("seed", range(5))
def test_pairs_are_held_back_evenly(benchmark, seed):
    """Nested sets; every kind and every colour keeps partners in the training set."""
    sets = [benchmark.held_pairs(n, seed) for n in (0, 3, 6, 9)]
    assert [len(s) for s in sets] == [0, 3, 6, 9] and all(a <= b for a, b in zip(sets, sets[1:]))
    for hidden in sets:
        by_kind, by_colour = (Counter(pair[i] for pair in hidden) for i in (0, 1))
        assert max(by_kind.values(), default=0) <= 3 < len(COLOURS)
        assert max(by_colour.values(), default=0) <= 2 < len(KINDS)
    assert benchmark.held_pairs(9, seed) != benchmark.held_pairs(9, seed + 1)


def test_the_record_is_that_of_the_benchmark(benchmark, runs):
    assert sorted((run["held"], run["seed"]) for run in runs) == [(n, s) for n in (0, 3, 6, 9) for s in range(3)]
    colours = tuple(COLOURS)
    for run in runs:
        hidden = benchmark.held_pairs(run["held"], run["seed"])
        assert run["pairs"] == sorted(f"{colours[c]} {KINDS[k]}" for k, c in hidden)
        assert run["steps"] == 3_000 and len(run["learning"]["all"]) == run["steps"] // run["measure_every"]
        for name in ("seen", "never") if hidden else ("seen",):
            shares = run[name]
            parts = [shares[k] for k in ("kind", "colour", "place")]
            assert all(0 <= v <= 1 for v in parts) and shares["all"] <= min(parts) and shares["n"] >= 400


def test_kind_is_learnt_last(runs):
    first = lambda run, part: next(i for i, share in enumerate(run["learning"][part]) if share > 0.9)
    for run in runs:
        assert max(first(run, "colour"), first(run, "place")) < first(run, "kind")


def test_the_shipped_weights_obey_seen_and_never_seen_captions():
    measured = shipped.manifest()["text-shapes"]["metrics"]
    assert measured["seen_all"] >= 0.97 and measured["never_seen_all"] >= 0.9
