"""The data sets that the package carries: what is in them, honest splits, and what a damaged file says."""

import shutil

import numpy as np
import pytest
import torch

import aigc_lessons as al
from aigc_lessons.authors import datasets as authors
from aigc_lessons.data import carried
from aigc_lessons.data.pixels import resize, to_bytes

MOST = {"digits.npz": 1_000_000}


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
