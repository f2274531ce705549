"""Pictures of nothing: each kind is there, one seed gives one batch, and nothing is read back to the host."""

import time

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from aigc_lessons.data import mixtures, nonsense
from aigc_lessons.data.nonsense import BLOBS, PATCHES

# what waits for a device: numbers, and sizes that depend on numbers
READS = {
    "aten._local_scalar_dense.default",
    "aten.nonzero.default",
    "aten.masked_select.default",
    "aten.is_nonzero.default",
}


class Watch(TorchDispatchMode):
    """Remembers the operations that were run."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.add(str(function))
        return function(*args, **(kwargs or {}))


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "n, shape", [(1, (1, 8, 8)), (5, (3, 32, 32)), (64, (1, 28, 28)), (200, (3, 16, 24)), (9, (2, 5, 3))]
)
def test_nonsense_is_in_range_and_of_the_shape_asked(n, shape):
    x = nonsense(n, shape, seed=0)
    assert x.shape == (n, *shape) and x.dtype == torch.float32 and x.isfinite().all()
    assert x.min() >= -1 and x.max() <= 1


def kinds(images):
    """What each picture is, told from its pixels alone."""
    flat = images.flatten(2).std(2).amax(1) < 1e-6
    binary = (images.abs() == 1).flatten(1).all(1)
    step = (images[..., 1:] - images[..., :-1]).abs().mean((1, 2, 3)) / images.flatten(2).std(2).mean(1).clamp(min=1e-6)
    smooth = ~flat & (step < 0.7)  # independent pixels differ by 1.1 deviations
    even = ~binary & ~flat & ~smooth & (images.flatten(1).std(1) > 0.5) & (images.flatten(1).mean(1).abs() < 0.1)
    return {
        "flat": flat,
        "binary": binary & ~flat,
        "smooth": smooth,
        "uniform": even,
        "normal": ~(flat | binary | smooth | even),
    }


@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_is_there_in_its_share(channels):
    found = {
        kind: which.float().mean().item() for kind, which in kinds(nonsense(700, (channels, 32, 32), seed=1)).items()
    }
    all_kinds = 4 + len(BLOBS)
    wanted = {"flat": 1, "binary": 1, "uniform": 1, "normal": 1, "smooth": len(BLOBS)}
    assert {kind: round(share * all_kinds) for kind, share in found.items()} == wanted, found


def test_kinds_come_in_random_order_so_that_few_pictures_differ_too():
    ones = torch.cat([nonsense(1, (1, 16, 16), seed=i) for i in range(60)])
    assert all(which.any() for which in kinds(ones).values())
    assert (kinds(nonsense(70, (1, 16, 16), seed=0))["flat"]).nonzero().diff(dim=0).unique().numel() > 1


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: nonsense(20, (3, 16, 16), seed),
        lambda seed: mixtures(torch.linspace(-1, 1, 20).view(20, 1, 1, 1).expand(20, 1, 8, 8), seed=seed),
    ],
)
def test_one_seed_one_batch(make):
    state = torch.get_rng_state()
    first = make(5)
    assert torch.equal(make(5), first) and torch.equal(make(generator(5)), first) and not torch.equal(make(6), first)
    assert torch.equal(torch.get_rng_state(), state), "a seed of its own leaves torch's random numbers alone"
    torch.manual_seed(3)
    drawn = make(None)
    torch.manual_seed(3)
    assert torch.equal(make(None), drawn) and not torch.equal(make(None), drawn)


def test_a_generator_goes_on():
    g = generator(0)
    assert not torch.equal(nonsense(4, (1, 8, 8), g), nonsense(4, (1, 8, 8), g))


@pytest.mark.parametrize("seed", [None, 0])
def test_nothing_is_read_back_to_the_host(seed):
    images = nonsense(16, (3, 16, 16), seed=1)
    with Watch() as watch:
        mixtures(nonsense(16, (3, 16, 16), seed), seed=seed)
        mixtures(images, seed=seed)
    assert len(watch.seen) > 10 and not watch.seen & READS


def test_the_watch_sees_reads():
    with Watch() as watch:
        x = torch.rand(5)
        x.sum().item(), x[x > 0.5]
    assert watch.seen & READS


def test_it_is_drawn_on_the_device_that_was_asked():
    assert nonsense(3, (1, 8, 8), device="meta").device.type == "meta"
    assert mixtures(torch.zeros(4, 1, 8, 8, device="meta")).device.type == "meta"


def test_mixtures_are_averages_or_halves_of_two_pictures():
    n = 40
    images = torch.arange(float(n)).view(n, 1, 1, 1).expand(n, 1, 16, 16) / n  # each picture has a number of its own
    mixed = mixtures(images, seed=0)
    assert mixed.shape == images.shape
    averaged, patched = mixed[: n // 2], mixed[n // 2 :]
    assert (averaged.flatten(1).std(1) == 0).all()
    for picture in patched:
        numbers, counts = picture.unique(return_counts=True)
        assert counts.tolist() == [128, 128], "half of the patches each"
        cells = picture.view(PATCHES, 16 // PATCHES, PATCHES, 16 // PATCHES)
        assert (cells == cells[:, :1, :, :1]).all(), "whole patches"
    assert (2 * averaged.mean((1, 2, 3)) * n).round().unique().numel() > 5


def test_a_mixture_is_never_of_a_picture_with_itself():
    for n in (2, 3, 7):
        images = (2.0 ** torch.arange(n)).view(n, 1, 1, 1).expand(n, 1, 8, 8)
        for seed in range(10):
            assert not torch.isin(mixtures(images, seed=seed).mean((1, 2, 3)), images[:, 0, 0, 0]).any()


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: nonsense(0, (1, 8, 8)), r"nonsense\(n=0, shape=\(1, 8, 8\)\): accepted are 1 or more"),
        (lambda: nonsense(4, (8, 8)), r"shape=\(8, 8\)\): accepted are 1 or more pictures of shape \(C, H, W\)"),
        (
            lambda: mixtures(torch.zeros(1, 1, 8, 8)),
            r"mixtures got images of shape \(1, 1, 8, 8\). Accepted: \(N, C, H, W\), at least 2",
        ),
        (lambda: mixtures(torch.zeros(4, 8, 8)), r"mixtures got images of shape \(4, 8, 8\)"),
    ],
)
def test_it_says_what_it_takes(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_it_is_fast_enough_for_every_training_step():
    nonsense(64, (1, 32, 32))
    start = time.process_time()
    for _ in range(10):
        nonsense(64, (1, 32, 32))
    assert (time.process_time() - start) / 10 < 0.03  # 1.4 ms on a quiet core


def test_with_labels_two_classes_are_mixed():
    """Classes of one value each, none more than half: an average of two of one class would be that value."""
    labels = torch.tensor([0] * 9 + [1] * 6 + [2] * 5)
    images = torch.tensor([-1.0, 0.2, 1.0])[labels].view(20, 1, 1, 1).expand(20, 1, 8, 8)
    for seed in range(20):
        order = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
        means = mixtures(images[order], labels[order], seed=seed).mean((1, 2, 3))
        assert (means[:, None] - torch.tensor([-1.0, 0.2, 1.0])).abs().min() > 0.05
