"""Two domains: true pairs, sets without partners, and textures whose test patches were never trained on."""

from functools import lru_cache

import pytest
import torch

import aigc_lessons as al
from aigc_lessons.data import check_images, shape_domains, texture_domains
from aigc_lessons.data.pixels import from_bytes, resize
from aigc_lessons.data.shapes import VARIANTS


def scenes(ds):
    return {
        tuple(round(v, 5) for v in row) for row in torch.stack([a.double() for a in ds.attributes.values()], 1).tolist()
    }


@pytest.mark.parametrize(("a", "b"), [("outline", "plain"), ("day", "night"), ("striped", "outline")])
def test_pairs_are_the_same_scenes_drawn_twice(a, b):
    first, second = shape_domains(a, b, size=24, n=60, seed=3)
    assert len(first) == len(second) == 60 and first.images.shape == second.images.shape == (60, 3, 24, 24)
    assert first.attributes.keys() == second.attributes.keys() == {"kind", "colour", "x", "y", "radius"}
    assert all(torch.equal(first.attributes[k], second.attributes[k]) for k in first.attributes)
    assert torch.equal(first.labels, second.labels) and first.captions == second.captions
    assert (first.images - second.images).abs().flatten(1).mean(1).min() > 0.02  # but not alike
    assert (first.name, second.name) == tuple("shapes" if v == "plain" else f"shapes-{v}" for v in (a, b))


@pytest.mark.parametrize("seed", [0, 7])
def test_sets_without_partners_share_no_scene(seed):
    first, second = shape_domains("day", "night", size=16, n=200, seed=seed, paired=False)
    assert len(first) == len(second) == 200 == len(scenes(first)) == len(scenes(second))
    assert not scenes(first) & scenes(second)
    assert not torch.equal(first.labels, second.labels)
    day, night = shape_domains("day", "night", size=16, n=400, seed=seed)
    # the truth is known
    assert torch.equal(first.images, day.images[:200]) and torch.equal(second.images, night.images[200:])


def test_seed_size_number_and_usual_values():
    a, again, other = (shape_domains("plain", "night", size=16, n=20, seed=s) for s in (1, 1, 2))
    assert all(torch.equal(x.images, y.images) for x, y in zip(a, again)) and not scenes(a[0]) & scenes(other[0])
    assert scenes(shape_domains("plain", "night", size=16, n=20)[0]) == scenes(
        shape_domains("day", "night", size=16, n=20, seed=0)[1]
    )
    usual = shape_domains("plain", "plain")
    assert usual[0].images.shape == (3000, 3, 32, 32) and torch.equal(usual[0].images, usual[1].images)


@pytest.mark.parametrize("paired", [True, False])
def test_variants_and_numbers_that_are_refused(paired):
    for a, b in (("dotted", "plain"), ("plain", "dotted")):
        with pytest.raises(ValueError, match=f"variant='dotted'.*accepted are {', '.join(VARIANTS)}"):
            shape_domains(a, b, n=4, paired=paired)
    with pytest.raises(ValueError, match="give at least 1"):
        shape_domains("day", "night", n=0, paired=paired)


@lru_cache
def photograph(name):
    """A texture at half its size, (256, 256), as the patches are cut from it."""
    from skimage import data

    return resize(from_bytes(getattr(data, name)())[None], 256)[0, 0]


def place_of(patch, picture):
    """The only (row, column) at which a patch lies in the picture."""
    size = patch.shape[-1]
    windows = picture.unfold(0, size, 1).unfold(1, size, 1)
    candidates = (windows[..., 0, 0] == patch[0, 0, 0]) & (windows[..., -1, -1] == patch[0, -1, -1])
    found = [place for place in candidates.nonzero().tolist() if torch.equal(windows[tuple(place)], patch[0])]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    ("names", "size"), [(("grass", "brick"), 32), (("gravel", "grass"), 20), (("brick", "gravel"), 64)]
)
def test_every_patch_lies_in_its_own_part_of_its_own_photograph(names, size, split):
    domains = texture_domains(*names, size=size, n=150, seed=2, split=split)
    for name, ds in zip(names, domains):
        assert ds.images.shape == (150, 1, size, size) and ds.images.dtype == torch.float32
        check_images(ds.images, "test")
        places = torch.tensor([place_of(patch, photograph(name)) for patch in ds.images])
        top, bottom = places[:, 0], places[:, 0] + size  # of 256 rows the lowest quarter begins at 192
        assert (
            (top.min() >= 192 and bottom.max() <= 256) if split == "test" else (top.min() >= 0 and bottom.max() <= 192)
        )
        rows = 256 - 192 - size if split == "test" else 192 - size
        for places_of_axis, least, most in ((top, 192 if split == "test" else 0, rows), (places[:, 1], 0, 256 - size)):
            shares = (places_of_axis - least) / max(1, most)
            # anywhere in it
            assert most == 0 or shares.min() < 0.1 and shares.max() > 0.9 and 0.4 < shares.mean() < 0.6
        assert ds.classes == (name,) and ds.name == f"textures-{name}" and not ds.labels.any() and "CC0" in ds.licence


def test_the_first_and_last_places_are_used():
    for split, rows in (("train", {0, 192 - 64}), ("test", {192})):
        patches = texture_domains(size=64, n=600, split=split)[0].images
        tops = {place_of(p, photograph("grass"))[0] for p in patches[:: 1 if split == "train" else 20]}
        assert rows <= tops


def test_textures_repeat_with_their_seed_and_are_not_aligned():
    first, again, other = (texture_domains("grass", "grass", size=16, n=30, seed=s) for s in (1, 1, 2))
    assert all(torch.equal(x.images, y.images) for x, y in zip(first, again))
    assert not torch.equal(first[0].images, other[0].images)
    assert not any(torch.equal(x, y) for x, y in zip(*(d.images for d in first)))  # the i-th of A and of B are no pair
    grass, brick = texture_domains()
    assert grass.images.shape == brick.images.shape == (2000, 1, 32, 32) and (grass.classes, brick.classes) == (
        ("grass",),
        ("brick",),
    )
    assert place_of(grass.images[0], photograph("grass"))[0] <= 160


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (dict(a="water"), "texture_domains got 'water'. Accepted: brick, grass, gravel"),
        (dict(b="Brick"), "texture_domains got 'Brick'"),
        (dict(size=7), r"texture_domains\(size=7, n=2000, split='train'\): accepted are size 8 to 64, n of 1 or more"),
        (dict(size=65), "size=65"),
        (dict(n=0), "n=0"),
        (dict(split="valid"), "split='valid'"),
        (dict(split=None), "split=None"),
    ],
)
def test_textures_that_are_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        texture_domains(**arguments)
    for size in (8, 64):
        assert texture_domains(size=size, n=1, split="test")[0].images.shape == (1, 1, size, size)


def test_emoji_and_their_lines_are_pairs_and_mirror_images_follow():
    lines, colour = al.data.emoji_domains(16, "train", group="faces")
    whole = al.data.load("emoji", size=16, split="train", group="faces")
    assert lines.images.shape == (len(whole), 1, 16, 16) and torch.equal(colour.images, whole.images)
    assert lines.captions == colour.captions == whole.captions and lines.name != colour.name
    dark = lambda x: (x.images.mean(1) < 0).flatten(1)
    drawn = dark(lines)  # a line is dark in the picture too
    assert (drawn & dark(colour)).sum() > 0.9 * drawn.sum() > 0
    both = al.data.emoji_domains(16, "train", group="faces", mirrored=True)
    for once, twice in zip((lines, colour), both):
        n = len(once)
        assert len(twice) == 2 * n and torch.equal(twice.images[n:], once.images.flip(-1))
        assert torch.equal(twice.groups[n:], once.groups) and twice.captions[n:] == once.captions
    held_out = al.data.emoji_domains(16, "test", group="faces")[0]
    assert not torch.isin(held_out.groups, lines.groups).any()


def test_a_drawing_is_taken_in_each_shape_that_it_may_have():
    drawing = torch.ones(1, 1, 16, 16)
    drawing[..., 3:5, 2:14] = -1
    for given in (drawing, drawing[0], drawing.expand(1, 3, 16, 16), drawing.expand(1, 3, 16, 16)[0]):
        assert torch.equal(al.data.check_drawing(given, 16), drawing)


def test_drawings_that_are_refused():
    drawing = torch.ones(1, 1, 64, 64)
    drawing[..., 3:5, 2:14] = -1
    red = drawing.repeat(1, 3, 1, 1)
    red[0, 1:, 40, 7] = -1
    for given, error, says in (
        (torch.ones(1, 1, 64, 64), ValueError, "got an empty drawing: .*Draw at least one stroke"),
        (torch.zeros(1, 64, 64), ValueError, "got an empty drawing"),
        (
            drawing[..., :32, :48],
            ValueError,
            r"a drawing of 32 x 48 pixels. Accepted: 64 x 64.*canvas\(size=\(64, 64\)\)",
        ),
        (red, ValueError, r"a drawing with colour, at row 40, column 7.*drawing.amax\(1, keepdim=True\)"),
        (drawing.expand(2, 1, 64, 64), ValueError, r"pictures of shape \(2, 1, 64, 64\). Accepted: one"),
        (drawing.expand(1, 4, 64, 64), ValueError, "Accepted: one, of 1 or 3 channels"),
        (3 * drawing, ValueError, "check_drawing got images from -3 to 3"),
        (drawing.to(torch.uint8), TypeError, "check_drawing got images of type torch.uint8"),
        ("a face", TypeError, "check_drawing got str, not a tensor"),
    ):
        with pytest.raises(error, match=says):
            al.data.check_drawing(given)
    assert torch.equal(al.data.check_drawing(red.amax(1, keepdim=True)), drawing)
