"""What lesson 32 says of its numbers: the weights that it shows obey, and pairs are held back evenly."""

import importlib.util
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


def test_the_shipped_weights_obey_seen_and_never_seen_captions():
    measured = shipped.manifest()["text-shapes"]["metrics"]
    assert measured["seen_all"] >= 0.97 and measured["never_seen_all"] >= 0.9
