"""The data sets that the package carries: what is in them, honest splits, and what a damaged file says."""

import re
import shutil
import time

import numpy as np
import pytest
import torch

import aigc_lessons as al
from aigc_lessons.authors import datasets as authors
from aigc_lessons.data import carried
from aigc_lessons.data.pixels import resize, to_bytes

MOST = {"digits.npz": 1_000_000, "emoji.npz": 4_000_000, "emoji-tones.npz": 3_000_000}
COUNTS = {
    **{
        "faces": 117,
        "hearts": 25,
        "people": 282,
        "hands": 61,
        "animals": 131,
        "plants": 29,
        "food": 131,
        "vehicles": 72,
    },
    **{"buildings": 33, "sky": 47, "clothing": 47, "activities": 85, "objects": 219, "symbols": 212, "other": 94},
}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the carried files, to be damaged."""
    folder = tmp_path / "carried"
    shutil.copytree(carried.FOLDER, folder)
    monkeypatch.setattr(carried, "FOLDER", folder)
    return folder


def test_the_files_are_those_of_the_manifest_and_small():
    records = carried.manifest()
    assert {path.name for path in carried.FOLDER.glob("*.npz")} == set(records) == set(MOST)
    for file, record in records.items():
        assert len(carried.checked_bytes(file)) == record["bytes"] < MOST[file]
        assert authors.content_hash(carried.read(file)) == record["content_sha256"]
        assert record["licence"] and record["packages"] and authors.COMMAND in record["command"]


# ---------------------------------------------------------------- digits


def test_digits_are_bytes_of_28_by_28_in_a_black_frame():
    raw, framed = al.data.load("digits", size=28), al.data.load("digits")
    assert raw.images.shape == (5000, 1, 28, 28) and framed.images.shape == (5000, 1, 32, 32)
    assert torch.equal(framed.images[..., 2:30, 2:30], raw.images)
    frame = framed.images.clone()
    frame[..., 2:30, 2:30] = -1
    assert frame.unique().tolist() == [-1]
    assert torch.equal(to_bytes(raw.images)[:, 0], torch.tensor(carried.read("digits.npz")["images"]))
    assert raw.images.min() == -1 and raw.images.max() == 1
    assert torch.equal(al.data.load("digits", size=16).images, resize(framed.images, 16))


def test_digits_are_balanced_on_both_sides():
    train, test = (al.data.load("digits", split=side) for side in ("train", "test"))
    assert torch.bincount(train.labels).tolist() == [400] * 10 and torch.bincount(test.labels).tolist() == [100] * 10
    assert al.data.load("digits").labels[:12].tolist() == [*range(10), 0, 1]


def test_digits_carry_their_labels():
    """A nearest mean, which knows nothing of the order of the file, reads most of the test digits."""
    train, test = (al.data.load("digits", split=side) for side in ("train", "test"))
    means = torch.stack([train.images[train.labels == k].mean(0) for k in range(10)]).flatten(1)
    read = torch.cdist(test.images.flatten(1), means).argmin(1)
    assert 0.75 < (read == test.labels).float().mean() < 0.95


# ---------------------------------------------------------------- emoji


@pytest.fixture(scope="module")
def color():
    return al.data.load("emoji", size=64)


@pytest.fixture(scope="module")
def line():
    return al.data.load("emoji", size=64, layer="line")


@pytest.fixture(scope="module")
def tones():
    return al.data.load("emoji", variant="tones")


def parted(ds, sides):
    """Pairs of pictures that are nearly alike and yet on different sides; ideas that are on both."""
    test = torch.isin(ds.groups, sides[1].groups)
    x = torch.nn.functional.avg_pool2d(ds.images, 64 // 16).flatten(1)
    pairs = (torch.cdist(x[~test], x[test], p=1) / x.shape[1] < 0.01).sum().item()
    ideas = [{idea(caption) for caption in side.captions} for side in sides]
    return pairs, ideas[0] & ideas[1]


def idea(caption):
    """A caption without gender: 'woman farmer', 'man farmer' and 'farmer' are one idea."""
    return re.sub(r"^(wo)?(man|men) |^people |^person ", "", caption)


def test_emoji_have_the_counted_classes_and_names(color):
    assert len(color) == 1585 and color.images.shape[1:] == (3, 64, 64)
    counted = torch.bincount(color.labels, minlength=len(color.classes)).tolist()
    assert dict(zip(color.classes, counted)) == COUNTS
    assert color.images.min() == -1 and color.images.max() == 1
    assert len(set(color.captions)) == 1585 and color.captions[0] == "grinning face"
    for caption, kind in (("red heart", "hearts"), ("pizza", "food"), ("dog", "animals"), ("rocket", "vehicles")):
        assert color.classes[color.labels[color.captions.index(caption)]] == kind
    subgroups = carried.read("emoji.npz")["subgroups"]
    assert subgroups[color.attributes["subgroup"][color.captions.index("pizza")]] == "food-prepared"


def test_emoji_show_what_they_are_called(color):
    middle = color.images[:, :, 28:36, 28:36].mean((2, 3))
    fills = {
        "red heart": (210, 47, 39),
        "green square": (177, 204, 51),
        "blue circle": (146, 211, 245),
    }  # OpenMoji's own
    for caption, rgb in fills.items():
        seen = (middle[color.captions.index(caption)] + 1) * 127.5
        assert (seen - torch.tensor(rgb)).abs().max() < 0.01, (caption, seen)
    corners = torch.stack([color.images[:, :, y, x] for y in (0, -1) for x in (0, -1)])
    assert (corners == 1).float().mean() > 0.95  # on white


def test_the_line_is_part_of_the_picture(color, line):
    """True pairs: where a line is drawn, the whole picture is drawn; of another picture that does not hold."""
    assert line.captions == color.captions and torch.equal(line.labels, color.labels)
    assert torch.equal(line.images[:, 0], line.images[:, 1]) and torch.equal(line.images[:, 0], line.images[:, 2])
    raw = carried.read("emoji.npz")
    assert (raw["color"][..., 3] >= raw["line"]).all()
    assert not (raw["color"][..., 3] >= np.roll(raw["line"], 1, 0)).all()
    ink = line.images.mean(1) < 0
    dark = (color.images.mean(1) < 0)[ink].float().mean()
    shifted = (color.images.roll(1, 0).mean(1) < 0)[ink].float().mean()
    assert dark > 0.9 > 0.5 > shifted
    blank = [line.captions[i] for i in (line.images == 1).flatten(1).all(1).nonzero()[:, 0]]
    assert blank == ["NEW button"]


@pytest.mark.parametrize("size", [32, 16, 8])
@pytest.mark.parametrize("layer", ["color", "line"])
def test_smaller_emoji_are_exact_means(size, layer, color, line):
    whole = (color if layer == "color" else line).images.double()
    k = 64 // size
    blocks = whole.reshape(-1, 3, size, k, size, k).mean((3, 5))
    small = al.data.load("emoji", size=size, layer=layer).images
    assert small.is_contiguous() and (small.double() - blocks).abs().max() < 1e-6


def test_other_sizes_are_resized(color):
    assert torch.equal(al.data.load("emoji", size=48, group="sky").images, resize(color[color.labels == 9].images, 48))


def test_the_split_keeps_what_is_alike_on_one_side(color):
    sides = color.split(test=0.2, seed=0)
    assert not set(sides[0].groups.tolist()) & set(sides[1].groups.tolist())
    assert parted(color, sides) == (0, set())
    assert 0.15 < len(sides[1]) / len(color) < 0.25
    assert set(sides[1].labels.tolist()) == set(range(len(COUNTS)))
    loaded = [al.data.load("emoji", size=64, split=side) for side in ("train", "test")]
    for ours, theirs in zip(loaded, sides):
        assert ours.captions == theirs.captions and torch.equal(ours.images, theirs.images)


def test_a_split_by_other_groups_would_part_them(color):
    from dataclasses import replace

    shuffled = replace(color, groups=color.groups[torch.randperm(1585, generator=torch.Generator().manual_seed(0))])
    pairs, ideas = parted(shuffled, shuffled.split(test=0.2, seed=0))
    assert pairs > 10 and len(ideas) > 10


def test_a_group_is_on_the_side_where_the_whole_set_has_it(color):
    side = dict.fromkeys(al.data.load("emoji", split="test").captions, "test")
    for group in ("faces", "people"):
        alone = al.data.load("emoji", size=64, group=group)
        kept = color[color.labels == color.classes.index(group)]
        assert alone.captions == kept.captions and torch.equal(alone.images, kept.images)
        assert alone.classes == color.classes
        for name in ("train", "test"):
            part = al.data.load("emoji", group=group, split=name)
            assert part.captions == tuple(c for c in alone.captions if side.get(c, "train") == name)


def test_tones_are_five_of_each_and_nothing_else_changes(tones):
    assert len(tones) == 1650 and tones.attributes["tone"].tolist() == [*range(5)] * 330
    assert torch.equal(tones.groups, tones.groups[::5].repeat_interleave(5))
    bare = [re.sub(r"(: |, )?(medium-|)(light|medium|dark) skin tone", "", caption) for caption in tones.captions]
    bare = [re.sub(r"medium-(light|dark)", "", b) for b in bare]
    assert all(len(set(bare[i : i + 5])) == 1 for i in range(0, 1650, 5)) and len(set(bare)) == 330
    assert [c.split(": ")[1] for c in tones.captions[:5]] == [
        f"{shade} skin tone" for shade in ("light", "medium-light", "medium", "medium-dark", "dark")
    ]
    lightness = tones.images.mean((1, 2, 3)).reshape(330, 5)
    assert (lightness[:, 0] > lightness[:, 4]).all()
    line = al.data.load("emoji", variant="tones", layer="line").images.reshape(330, 5, -1)
    assert (
        (line - line[:, :1]).abs().mean((1, 2)).median()
        < 0.01
        < tones.images.reshape(330, 5, -1).diff(dim=1).abs().mean()
    )


def test_tones_are_on_the_side_of_the_plain_picture(tones):
    plain = {split: set(al.data.load("emoji", split=split).groups.tolist()) for split in ("train", "test")}
    sizes = {}
    for split, groups in plain.items():
        part = al.data.load("emoji", variant="tones", split=split)
        assert set(part.groups.tolist()) <= groups
        sizes[split] = len(part)
    assert sizes["train"] + sizes["test"] == 1650 and sizes["test"] > 0.1 * 1650
    assert len(al.data.load("emoji", variant="tones", group="hands")) % 5 == 0


def test_the_tones_are_read_only_when_they_are_asked_for(copy):
    (copy / "emoji-tones.npz").unlink()
    assert len(al.data.load("emoji", group="hearts")) == 25
    with pytest.raises(FileNotFoundError, match="emoji-tones.npz is missing"):
        al.data.load("emoji", variant="tones")


def test_emoji_are_loaded_in_a_second():
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        al.data.load("emoji")
        seconds.append(time.perf_counter() - start)
    print(f"emoji: {min(seconds):.2f} s")
    assert min(seconds) < 2  # half a second on an idle core


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"layer": "colour"}, "layer='colour'.*accepted are 'color', 'line'"),
        ({"group": "cars"}, "group='cars'.*accepted are None, 'faces', 'hearts'"),
        ({"variant": "tone"}, "variant='tone'.*accepted are 'plain', 'tones'"),
        ({"variant": "tones", "group": "food"}, "no such picture. There are: people, hands."),
        ({"size": 7}, "at least 8"),
    ],
)
def test_emoji_refuse(options, says):
    with pytest.raises(ValueError, match=says):
        al.data.load("emoji", **options)


def test_the_licence_names_its_designers():
    wanted = "All emojis designed by OpenMoji – the open-source emoji and icon project. License: CC BY-SA 4.0"
    assert wanted in al.data.load("emoji", group="hearts").licence


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize(
    ("damage", "error", "says"),
    [
        (lambda folder: (folder / "digits.npz").write_bytes(b"x"), ValueError, "digits.npz is damaged or altered"),
        (lambda folder: (folder / "digits.npz").unlink(), FileNotFoundError, "digits.npz is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), FileNotFoundError, "manifest.json, and is missing"),
        (lambda folder: (folder / "manifest.json").write_text("{"), ValueError, "manifest.json, is damaged"),
    ],
)
def test_a_damaged_file_says_how_to_restore_it(copy, damage, error, says):
    damage(copy)
    with pytest.raises(error, match=says) as raised:
        al.data.load("digits")
    assert "git checkout -- aigc_lessons/data/carried" in str(raised.value) and "--force-reinstall" in str(raised.value)


def test_one_changed_byte_is_noticed(copy):
    data = bytearray((copy / "digits.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "digits.npz").write_bytes(data)
    with pytest.raises(ValueError, match="its sha256 is not the manifest's"):
        al.data.load("digits")


# ---------------------------------------------------------------- making them anew


def test_without_the_packages_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(authors, "PACKAGES", {"no-such-package": "1.2", "numpy": "0.0"})
    assert authors.main([]) == 1
    said = capsys.readouterr().err
    assert "no-such-package 1.2 is needed (not installed)" in said
    assert said.strip().endswith("-m pip install --no-deps no-such-package==1.2 numpy==0.0")


def test_packing_depends_on_the_arrays_alone(tmp_path):
    arrays = {"a": np.arange(12, dtype=np.uint8).reshape(3, 4), "b": np.array(["x", "yz"])}
    assert authors.packed(arrays) == authors.packed({k: v.copy() for k, v in arrays.items()})
    (tmp_path / "a.npz").write_bytes(authors.packed(arrays))
    with np.load(tmp_path / "a.npz") as back:
        assert all(np.array_equal(back[k], arrays[k]) for k in arrays) and back.files == ["a", "b"]
    other = {**arrays, "a": arrays["a"] + 1}
    assert authors.content_hash(other) != authors.content_hash(arrays) == authors.content_hash(dict(arrays))


@pytest.mark.skipif(
    bool(authors.lacking()), reason="the packages that the carried sets are made from are not installed"
)
def test_made_anew_they_are_the_same(tmp_path):
    for file, record in authors.make(tmp_path).items():
        assert record["content_sha256"] == carried.manifest()[file]["content_sha256"]
