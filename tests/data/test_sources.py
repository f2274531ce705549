"""The offline sources: real pictures, true labels, honest splits; shapes against their attributes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import aigc_lessons as al
from aigc_lessons.data import OFFLINE, shapes

COUNTS = {
    "digits": (5000, 1, 10),
    "emoji": (1585, 3, 15),
    "digits-8x8": (1797, 1, 10),
    "faces": (100, 1, 0),
    "textures": (768, 1, 3),
    "photos": (1378, 3, 0),
    "shapes": (6000, 3, 18),
}


@pytest.mark.parametrize("name", OFFLINE)
@pytest.mark.parametrize("size", [32, 20])
def test_every_offline_source_keeps_the_contract(name, size):
    ds = al.data.load(name, size=size)
    n, channels, classes = COUNTS[name]
    assert (len(ds) == n or size != 32) and ds.images.shape[1:] == (channels, size, size)
    assert ds.images.dtype == torch.float32 and ds.images.is_contiguous()
    assert len(ds.classes) == classes and (ds.labels is None) == (classes == 0)
    assert ds.licence and ds.name == name
    assert ds.images.std() > 0.1 and ds.images.flatten(1).std(1).median() > 0.05  # pictures, not blanks
    if classes:
        assert set(ds.labels.tolist()) == set(range(classes))


@pytest.mark.parametrize("name", OFFLINE)
def test_fixed_splits_are_apart_complete_and_the_same_twice(name):
    train, test = (al.data.load(name, split=s) for s in ("train", "test"))
    assert len(train) > len(test) > 0
    assert torch.equal(test.images, al.data.load(name, split="test").images)
    assert len(train) + len(test) == len(al.data.load(name))
    if name in ("digits", "digits-8x8", "faces"):
        rows = {tuple(r) for r in train.images.flatten(1).tolist()}
        assert not any(tuple(r) in rows for r in test.images.flatten(1).tolist())


def test_photos_are_split_by_whole_photo():
    train, test = (al.data.load("photos", split=s) for s in ("train", "test"))
    assert not set(train.groups.tolist()) & set(test.groups.tolist())
    a, b = al.data.load("photos").split(test=0.4, seed=3)
    assert not set(a.groups.tolist()) & set(b.groups.tolist())


def test_photo_tiles_put_together_are_the_photo():
    ds, whole = al.data.load("photos", size=64), al.data.photo("astronaut")
    tiles = ds[ds.groups == 0].images
    assert len(tiles) == 64 and torch.equal(torch.cat(list(tiles[:8]), -1), whole[0, :, :64])
    assert al.data.photo("china", size=48).shape == (1, 3, 48, 48)
    with pytest.raises(ValueError, match="Known: astronaut"):
        al.data.photo("lena")


def test_texture_test_tiles_come_from_the_lowest_quarter():
    from skimage.data import grass

    test = al.data.load("textures", split="test")
    tiles = test[test.labels == 1].images
    assert torch.equal(torch.cat(list(tiles[:16]), -1)[0], torch.tensor(grass()[384:416]).float() / 127.5 - 1)


def test_the_small_digits_are_the_17_levels_of_scikit_learn():
    from sklearn.datasets import load_digits

    ds = al.data.load("digits-8x8", size=8)
    raw = load_digits()
    assert torch.equal((ds.images[:, 0] + 1) * 8, torch.tensor(raw.images, dtype=torch.float32))
    assert ds.labels.tolist() == raw.target.tolist()


@pytest.mark.parametrize("size", [32, 57])
def test_a_shape_covers_the_area_of_its_disc_and_sits_where_it_says(size):
    ds = al.data.load("shapes", n=400, size=size, seed=4)
    a = ds.attributes
    ground = torch.tensor(shapes.GROUND["plain"])[:, None, None] * 2 - 1
    paint = torch.tensor(list(shapes.COLOURS.values()))[a["colour"]][:, :, None, None] * 2 - 1
    cover = ((ds.images - ground) / (paint - ground)).mean(1)
    assert torch.allclose(cover.mean((1, 2)) * 4, torch.pi * a["radius"] ** 2, rtol=0.06)
    axis = (2 * torch.arange(size) + 1) / size - 1
    x, y = ((cover * g).sum((1, 2)) / cover.sum((1, 2)) for g in (axis[None, None], axis[None, :, None]))
    assert torch.allclose(x, a["x"], atol=0.02) and torch.allclose(y, a["y"], atol=0.02)
    edge = torch.cat([cover[:, 0], cover[:, -1], cover[:, :, 0], cover[:, :, -1]], 1)
    assert edge.abs().max() < 0.01  # nothing is cut off
    assert (((cover > 0.02) & (cover < 0.98)).float().mean() > 0.01) and cover.min() > -1e-4 and cover.max() < 1 + 1e-4


def test_shape_kinds_labels_and_captions_agree():
    ds = al.data.load("shapes", n=600, size=48)
    a = ds.attributes
    assert torch.equal(ds.labels, a["kind"] * 6 + a["colour"]) and len(set(ds.labels.tolist())) == 18
    for i in range(60):
        caption, name = ds.captions[i], ds.classes[ds.labels[i]]
        assert caption.startswith(f"a {name}, ")
        assert ("left" in caption) == (a["x"][i] < -0.15) and ("right" in caption) == (a["x"][i] > 0.15)
        assert ("upper" in caption) == (a["y"][i] < -0.15) and ("lower" in caption) == (a["y"][i] > 0.15)
    one = torch.tensor([0])
    lit = [shapes.draw(one + k, one, one * 0.0, one * 0.0, one + 0.4, size=64)[0, 0] for k in range(3)]
    rows = [(p > 0).sum(1) for p in lit]
    assert rows[1].unique().tolist() == [0, rows[1].max()]  # a square is as wide everywhere
    assert (rows[2][rows[2] > 0].diff() >= 0).all()  # a triangle grows downwards
    assert rows[0][31] == rows[0].max()  # a disc is widest in the middle


def test_variants_are_true_pairs():
    sets = {v: al.data.load("shapes", n=50, seed=9, variant=v) for v in shapes.VARIANTS}
    for v, ds in sets.items():
        assert torch.equal(ds.attributes["x"], sets["plain"].attributes["x"]) and ds.captions == sets["plain"].captions
        assert v == "plain" or not torch.allclose(ds.images, sets["plain"].images, atol=0.1)
    assert sets["night"].images.mean() < sets["plain"].images.mean() < sets["day"].images.mean()
    with pytest.raises(ValueError, match="plain, outline"):
        al.data.load("shapes", variant="dotted")


def test_shapes_seed_number_and_prefix():
    a, b, c = (al.data.load("shapes", n=20, seed=s).images for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)
    with pytest.raises(ValueError, match="at least 1"):
        al.data.load("shapes", n=0)


def test_names_says_what_needs_a_download(tmp_path, monkeypatch):
    monkeypatch.setenv("AIGC_DATA", str(tmp_path))
    names = al.data.names()
    assert all("ready" in names[n] for n in OFFLINE)
    assert "170 MB" in names["cifar10"] and "folder:PATH" in names
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "MNIST" / "raw" / "x").touch()
    assert al.data.names()["mnist"] == "files found"


@pytest.mark.parametrize(
    "arguments, error, says",
    [
        (dict(name="diggits"), ValueError, "Did you mean 'digits'"),
        (dict(name="fashion_mnst"), ValueError, "Did you mean 'fashion-mnist'"),
        (dict(name="zzzz"), ValueError, "Known: shapes, digits"),
        (dict(name=3), TypeError, "Give a name"),
        (dict(name="digits", size=4), ValueError, "at least 8"),
        (dict(name="digits", size=32.0), ValueError, "whole number"),
        (dict(name="digits", split="valid"), ValueError, "'train', 'test'"),
        (dict(name="digits", n=7), TypeError, "has no option n. It takes size, split"),
        (dict(name="textures", size=200), ValueError, "8 to 128"),
        (dict(name="photos", size=301), ValueError, "8 to 300"),
    ],
)
def test_bad_requests(arguments, error, says):
    with pytest.raises(error, match=says):
        al.data.load(**arguments)


@pytest.mark.parametrize("name", OFFLINE)
def test_memory_stays_under_one_gigabyte(name):
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("this system does not tell a process's peak memory")
    code = f"import aigc_lessons as al; al.data.load({name!r}); print(open({str(status)!r}).read())"
    report = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    megabytes = int(re.search(r"VmHWM:\s+(\d+) kB", report)[1]) // 1024
    print(f"{name}: {megabytes} MB at its peak, torch and torchvision included")
    assert megabytes < 1000
