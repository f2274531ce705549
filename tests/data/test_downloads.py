"""torchvision's sets, offline: what is there is read, what is missing is named, nothing is left half-written."""

import gzip
import struct

import pytest
import torch
from torchvision.datasets import utils

import aigc_lessons as al


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.numpy().tobytes()


@pytest.fixture
def raw(tmp_path):
    """Test files of 30 made-up pictures, packed, and no training files."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    g = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (30, 28, 28), dtype=torch.uint8, generator=g)
    labels = torch.arange(30, dtype=torch.uint8) % 10
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pictures)))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return folder, pictures, labels


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(url, *args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(utils, "_urlretrieve", refuse)
    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, max_hops: url)


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_reads_the_test_files_though_the_training_files_are_absent(raw, tmp_path, packed, monkeypatch):
    folder, pictures, labels = raw
    if not packed:
        for file in list(folder.iterdir()):
            file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
            file.unlink()
    ds = al.data.load("mnist", size=28, split="test", root=tmp_path)
    assert torch.equal(((ds.images[:, 0] + 1) * 127.5).round().byte(), pictures) and torch.equal(ds.labels, labels.long())
    assert ds.classes == tuple("0123456789")
    monkeypatch.setenv("AIGC_DATA", str(tmp_path))
    assert al.data.load("mnist", split="test").images.shape == (30, 1, 32, 32)
    before = sorted(folder.iterdir())
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte.gz, train-labels.*ossci-datasets.*MNIST/raw|train-images"):
        al.data.load("mnist", root=tmp_path)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("name, file, source", [
    ("mnist", "train-images-idx3-ubyte.gz", "ossci-datasets"), ("fashion-mnist", "train-labels-idx1-ubyte.gz", "fashion-mnist.s3"),
    ("cifar10", "cifar-10-python.tar.gz", "cs.toronto.edu"), ("celeba", "img_align_celeba.zip", "mmlab.ie.cuhk.edu.hk")])
def test_a_download_without_a_network_says_which_file_from_where_and_to_put_where(name, file, source, tmp_path, monkeypatch):
    root = tmp_path / "data sets 数据"
    monkeypatch.setattr("torchvision.datasets.CelebA._check_integrity", lambda self: False)
    monkeypatch.setattr("torchvision.datasets.CelebA.download", lambda self: (_ for _ in ()).throw(RuntimeError("no network")))
    with pytest.raises(FileNotFoundError) as caught:
        al.data.load(name, root=root)
    text = str(caught.value)
    assert file in text and source in text and str(root) in text and "no network" in text and "root=" in text
    assert not any(p.is_file() for p in root.rglob("*")) and not list(root.glob(".partial*"))
    with pytest.raises(FileNotFoundError, match="download=False was given"):
        al.data.load(name, root=root, download=False)


def test_an_interrupted_download_leaves_nothing(tmp_path, monkeypatch):
    def half(url, filename, *args, **kwargs):
        open(filename, "wb").write(b"half of it")
        raise OSError("connection lost")

    monkeypatch.setattr(utils, "_urlretrieve", half)
    with pytest.raises(FileNotFoundError, match="connection lost"):
        al.data.load("mnist", root=tmp_path)
    assert not any(p.is_file() for p in tmp_path.rglob("*"))


def test_a_download_with_the_wrong_content_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(utils, "_urlretrieve", lambda url, filename, *a, **k: open(filename, "wb").write(b"a login page"))
    with pytest.raises(FileNotFoundError, match="corrupted"):
        al.data.load("mnist", root=tmp_path)
    assert not any(p.is_file() for p in tmp_path.rglob("*"))


def test_a_good_download_is_moved_into_place_and_read(raw, tmp_path, monkeypatch):
    import hashlib

    from torchvision.datasets import MNIST

    folder, pictures, labels = raw
    content = {"images": (folder / "t10k-images-idx3-ubyte.gz").read_bytes(), "labels": (folder / "t10k-labels-idx1-ubyte.gz").read_bytes()}
    monkeypatch.setattr(MNIST, "resources", [(f"train-{k}-x.gz", hashlib.md5(v).hexdigest()) for k, v in content.items()])
    monkeypatch.setattr(utils, "_urlretrieve", lambda url, filename, *a, **k: open(filename, "wb").write(content[url.split("-")[-2]]))
    ds = al.data.load("mnist", root=tmp_path / "new")
    assert len(ds) == 30 and torch.equal(ds.labels, labels.long())
    assert sorted(p.name for p in (tmp_path / "new" / "MNIST" / "raw").iterdir()) == ["train-images-x.gz", "train-labels-x.gz"]


@pytest.mark.parametrize("spoil", [lambda b: b[:-30], lambda b: b[:40], lambda b: b"", lambda b: b"nothing like it", lambda b: gzip.compress(gzip.decompress(b)[:-5])])
def test_a_damaged_file_is_named(raw, tmp_path, spoil):
    file = raw[0] / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(ValueError, match="t10k-images-idx3-ubyte.gz is damaged"):
        al.data.load("mnist", split="test", root=tmp_path)


def test_cifar10_reads_what_torchvision_reads(tmp_path, monkeypatch):
    import hashlib
    import pickle

    import numpy as np
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rows = np.random.default_rng(0).integers(0, 256, (7, 3072), dtype=np.uint8)
    files = {"data_batch_1": {"data": rows, "labels": [3, 1, 4, 1, 5, 9, 2]}, "test_batch": {"data": rows[:2], "labels": [0, 1]},
             "batches.meta": {"label_names": [f"class {i}" for i in range(10)]}}
    md5 = {}
    for name, content in files.items():
        (folder / name).write_bytes(pickle.dumps(content))
        md5[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", md5["data_batch_1"]]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": md5["batches.meta"]})
    ds = al.data.load("cifar10", root=tmp_path)
    assert len(ds) == 7 and ds.labels.tolist() == [3, 1, 4, 1, 5, 9, 2] and ds.classes[9] == "class 9"
    assert torch.equal(((ds.images + 1) * 127.5).round().byte(), torch.tensor(rows.reshape(7, 3, 32, 32)))
    assert len(al.data.load("cifar10", root=tmp_path, split="test")) == 2


def test_celeba_reads_the_first_n_of_a_split(tmp_path, monkeypatch):
    from PIL import Image
    from torchvision.datasets import CelebA

    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{i:06d}.jpg" for i in range(1, 7)]
    for i, name in enumerate(names):
        Image.new("RGB", (178, 218), (40 * i, 0, 0)).save(folder / "img_align_celeba" / name, quality=95)
    (folder / "list_eval_partition.txt").write_text("".join(f"{n} {2 * (i > 3)}\n" for i, n in enumerate(names)))
    (folder / "identity_CelebA.txt").write_text("".join(f"{n} {i}\n" for i, n in enumerate(names)))
    for file, columns in (("list_bbox_celeba.txt", 4), ("list_landmarks_align_celeba.txt", 10), ("list_attr_celeba.txt", 40)):
        head = " ".join(f"c{i}" for i in range(columns))
        (folder / file).write_text(f"6\n{head}\n" + "".join(f"{n} {' '.join(['1'] * columns)}\n" for n in names))
    monkeypatch.setattr(CelebA, "_check_integrity", lambda self: True)
    ds = al.data.load("celeba", root=tmp_path, n=3, size=16)
    assert ds.images.shape == (3, 3, 16, 16) and ds.labels is None
    assert torch.allclose(ds.images[:, 0].mean((1, 2)), torch.tensor([0.0, 40, 80]) / 127.5 - 1, atol=0.02)
    assert len(al.data.load("celeba", root=tmp_path, split="test")) == 2
