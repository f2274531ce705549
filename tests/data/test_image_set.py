"""ImageSet: cutting, splitting, and the check of images."""

import pytest
import torch

from aigc_lessons.data import ImageSet, check_images, warn_if_half_range


def numbered(n=53, classes=3, groups=None):
    images = (torch.arange(n) / n)[:, None, None, None].expand(n, 1, 4, 5).clone()
    labels = (torch.arange(n) ** 2) % classes if classes else None
    return ImageSet(
        images,
        labels,
        tuple(f"picture {i}" for i in range(n)),
        tuple("abc"[:classes]),
        "numbered",
        groups=groups,
        attributes={"number": torch.arange(n)},
    )


@pytest.mark.parametrize("index", [slice(3, 20, 4), [5, 1, 5], torch.arange(53) % 7 == 2, torch.tensor([9, 0])])
def test_every_part_is_cut_alike(index):
    ds = numbered()
    part = ds[index]
    which = torch.arange(53)[index]
    assert torch.equal(part.attributes["number"], which) and torch.equal(part.images, ds.images[which])
    assert torch.equal(part.labels, ds.labels[which]) and part.captions == tuple(f"picture {i}" for i in which.tolist())
    assert part.classes == ds.classes


@pytest.mark.parametrize("test", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_split_is_disjoint_complete_and_stratified(test, seed):
    ds = numbered()
    a, b = ds.split(test=test, seed=seed)
    numbers = torch.cat([a.attributes["number"], b.attributes["number"]])
    assert torch.equal(numbers.sort().values, torch.arange(53))
    for k in range(3):
        total = (ds.labels == k).sum().item()
        assert (b.labels == k).sum().item() == round(test * total)
    again = ds.split(test=test, seed=seed)[1]
    assert torch.equal(b.images, again.images)


def test_split_depends_on_the_seed_and_keeps_groups_whole():
    assert not torch.equal(numbered().split(seed=0)[1].images, numbered().split(seed=1)[1].images)
    ds = numbered(groups=torch.arange(53) // 6)
    a, b = ds.split(test=0.3, seed=2)
    assert len(a) + len(b) == 53 and not set(a.groups.tolist()) & set(b.groups.tolist())


@pytest.mark.parametrize("test", [0, 1, 1.5, -0.1, 0.001])
def test_split_refuses_an_empty_side(test):
    with pytest.raises(ValueError, match="fraction"):
        numbered().split(test=test)


def test_parts_that_do_not_match():
    x = torch.zeros(4, 1, 3, 3)
    with pytest.raises(ValueError, match="4 images and 3 captions"):
        ImageSet(x, captions=("a",) * 3)
    with pytest.raises(ValueError, match="4 images and 5 groups"):
        ImageSet(x, groups=torch.zeros(5))
    with pytest.raises(TypeError, match=r"ds.images\[2\]"):
        numbered()[2]


@pytest.mark.parametrize(
    "images, error, says",
    [
        ([[1.0]], TypeError, "got list"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), TypeError, "127.5"),
        (torch.zeros(3, 4, 4), ValueError, r"image\[None\]"),
        (torch.full((2, 1, 4, 4), 1.01), ValueError, r"from 1.01 to 1.01. Accepted: \[-1, 1\]"),
        (torch.full((2, 1, 4, 4), -2.0), ValueError, "tanh"),
        (
            torch.tensor([0.0, float("nan")])[:, None, None, None].expand(2, 1, 4, 4),
            ValueError,
            "1 of 2 images, the first at index 1",
        ),
        (torch.tensor([float("inf"), 0.0])[:, None, None, None].expand(2, 1, 4, 4), ValueError, "NaN or infinity"),
        (torch.full((1, 1, 2, 2), -float("inf")), ValueError, "NaN or infinity"),
    ],
)
def test_check_images_refuses(images, error, says):
    with pytest.raises(error, match=says):
        check_images(images, "grid")


def test_check_images_accepts_the_ends_and_returns_the_same_tensor():
    x = torch.tensor([-1.0, 1.0])[:, None, None, None].expand(2, 3, 4, 5)
    assert check_images(x, "grid") is x
    assert check_images(torch.zeros(0, 1, 4, 4), "grid").shape == (0, 1, 4, 4)
    assert check_images(x.double().requires_grad_(), "grid").requires_grad


def flat(*values):
    return torch.tensor(values)[:, None, None, None].expand(-1, 1, 4, 4)


@pytest.mark.parametrize(
    "images, warns",
    [
        (torch.linspace(0, 1, 32).view(2, 1, 4, 4), True),
        # one that is not flat is enough
        (torch.cat([flat(1.0, 0.0), torch.linspace(0.3, 0.4, 16).view(1, 1, 4, 4)]), True),
        (torch.linspace(-0.01, 1, 32).view(2, 1, 4, 4), False),
        (flat(1.0), False),  # all white
        (flat(0.0, 0.5, 1.0), False),  # flat colours say nothing about the range
        (torch.zeros(0, 1, 4, 4), False),
        (torch.linspace(0, 9, 32).view(2, 1, 4, 4), False),  # neither range
    ],
)
def test_a_set_with_nothing_below_0_is_warned_about(images, warns, recwarn):
    warn_if_half_range(images, "grid")
    assert len(recwarn) == warns
    if warns:
        assert str(recwarn[0].message).startswith(
            "grid got images from "
        ) and "they look like pictures in [0, 1]" in str(recwarn[0].message)
