"""caption_accuracy: real pictures are read right, each attribute by itself, and what cannot be compared is refused."""

import pytest
import torch

import aigc_lessons as al
from aigc_lessons.data import shapes
from aigc_lessons.metrics import caption_accuracy, shown


@pytest.fixture(scope="module")
def real():
    return al.data.load("shapes", n=500, seed=7)


def test_real_pictures_show_their_captions(real):
    right = caption_accuracy(real.images, real.captions)
    assert list(right) == ["kind", "colour", "place", "all"] and all(m.n == 500 for m in right.values())
    assert right["kind"].value > 0.99 and right["colour"].value > 0.99 and right["place"].value > 0.97
    assert right["all"].value <= min(right[k].value for k in ("kind", "colour", "place"))


@pytest.mark.parametrize("part", ["kind", "colour", "place"])
def test_each_attribute_is_read_by_itself(real, part):
    wrong = []
    for text in real.captions:
        k, c, p = shapes.read_caption(text)
        turned = {"kind": ((k + 1) % 3, c, p), "colour": (k, (c + 1) % 6, p), "place": (k, c, (p + 1) % 9)}[part]
        wrong.append(shapes.caption(*turned))
    right, before = caption_accuracy(real.images, wrong), caption_accuracy(real.images, real.captions)
    assert right[part].value < 0.02 and right["all"].value < 0.02
    for other in {"kind", "colour", "place"} - {part}:
        assert right[other].value == before[other].value


def test_the_nine_places_of_a_shape():
    at = torch.tensor([-0.4, 0.0, 0.4])
    y, x = (v.flatten() for v in torch.meshgrid(at, at, indexing="ij"))
    one = torch.ones(9, dtype=torch.int64)
    images = shapes.draw(one, one, x, y, torch.full((9,), 0.25))
    assert shown(images).tolist() == [[1, 1, p] for p in range(9)]


def test_what_cannot_be_compared_is_refused(real):
    with pytest.raises(ValueError, match="got 3 images and 2 captions"):
        caption_accuracy(real.images[:3], real.captions[:2])
    with pytest.raises(ValueError, match="'a disc' is not the caption of a shape"):
        caption_accuracy(real.images[:1], ["a disc"])
