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
    assert torch.equal(((ds.images[:, 0] + 1) * 127.5).round().byte(), pictures) and torch.equal(
        ds.labels, labels.long()
    )
    assert ds.classes == tuple("0123456789")
    monkeypatch.setenv("AIGC_DATA", str(tmp_path))
    assert al.data.load("mnist", split="test").images.shape == (30, 1, 32, 32)
    before = sorted(folder.iterdir())
    with pytest.raises(
        FileNotFoundError, match="train-images-idx3-ubyte.gz, train-labels.*ossci-datasets.*MNIST/raw|train-images"
    ):
        al.data.load("mnist", root=tmp_path)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    "name, file, source",
    [
        ("mnist", "train-images-idx3-ubyte.gz", "ossci-datasets"),
        ("fashion-mnist", "train-labels-idx1-ubyte.gz", "fashion-mnist.s3"),
        ("cifar10", "cifar-10-python.tar.gz", "cs.toronto.edu"),
        ("celeba", "img_align_celeba.zip", "mmlab.ie.cuhk.edu.hk"),
        ("flowers102", "102flowers.tgz, imagelabels.mat, setid.mat", "robots.ox.ac.uk/~vgg/data/flowers/102"),
        ("oxford-pets", "images.tar.gz, annotations.tar.gz", "robots.ox.ac.uk/~vgg/data/pets/data"),
    ],
)
def test_a_download_without_a_network_says_which_file_from_where_and_to_put_where(
    name, file, source, tmp_path, monkeypatch
):
    root = tmp_path / "data sets 数据"
    monkeypatch.setattr("torchvision.datasets.CelebA._check_integrity", lambda self: False)
    monkeypatch.setattr(
        "torchvision.datasets.CelebA.download", lambda self: (_ for _ in ()).throw(RuntimeError("no network"))
    )
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
    monkeypatch.setattr(
        utils, "_urlretrieve", lambda url, filename, *a, **k: open(filename, "wb").write(b"a login page")
    )
    with pytest.raises(FileNotFoundError, match="corrupted"):
        al.data.load("mnist", root=tmp_path)
    assert not any(p.is_file() for p in tmp_path.rglob("*"))


def test_a_good_download_is_moved_into_place_and_read(raw, tmp_path, monkeypatch):
    import hashlib

    from torchvision.datasets import MNIST

    folder, pictures, labels = raw
    content = {
        "images": (folder / "t10k-images-idx3-ubyte.gz").read_bytes(),
        "labels": (folder / "t10k-labels-idx1-ubyte.gz").read_bytes(),
    }
    monkeypatch.setattr(
        MNIST, "resources", [(f"train-{k}-x.gz", hashlib.md5(v).hexdigest()) for k, v in content.items()]
    )
    monkeypatch.setattr(
        utils, "_urlretrieve", lambda url, filename, *a, **k: open(filename, "wb").write(content[url.split("-")[-2]])
    )
    ds = al.data.load("mnist", root=tmp_path / "new")
    assert len(ds) == 30 and torch.equal(ds.labels, labels.long())
    assert sorted(p.name for p in (tmp_path / "new" / "MNIST" / "raw").iterdir()) == [
        "train-images-x.gz",
        "train-labels-x.gz",
    ]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda b: b[:-30],
        lambda b: b[:40],
        lambda b: b"",
        lambda b: b"nothing like it",
        lambda b: gzip.compress(gzip.decompress(b)[:-5]),
    ],
)
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
    files = {
        "data_batch_1": {"data": rows, "labels": [3, 1, 4, 1, 5, 9, 2]},
        "test_batch": {"data": rows[:2], "labels": [0, 1]},
        "batches.meta": {"label_names": [f"class {i}" for i in range(10)]},
    }
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
    for file, columns in (
        ("list_bbox_celeba.txt", 4),
        ("list_landmarks_align_celeba.txt", 10),
        ("list_attr_celeba.txt", 40),
    ):
        head = " ".join(f"c{i}" for i in range(columns))
        (folder / file).write_text(f"6\n{head}\n" + "".join(f"{n} {' '.join(['1'] * columns)}\n" for n in names))
    monkeypatch.setattr(CelebA, "_check_integrity", lambda self: True)
    ds = al.data.load("celeba", root=tmp_path, n=3, size=16)
    assert ds.images.shape == (3, 3, 16, 16) and ds.labels is None
    assert torch.allclose(ds.images[:, 0].mean((1, 2)), torch.tensor([0.0, 40, 80]) / 127.5 - 1, atol=0.02)
    assert len(al.data.load("celeba", root=tmp_path, split="test")) == 2


# ---------------------------------------------------------------- Flowers-102 and Oxford-IIIT Pets


def photograph(path, colour=(0, 0, 0)):
    """A grey-blue file with a white middle square; `colour` is laid over the right half of it."""
    from PIL import Image

    picture = Image.new("RGB", (100, 40), (90, 100, 120))
    picture.paste((255, 255, 255), (30, 0, 70, 40))
    picture.paste(colour, (50, 0, 70, 40))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=95)


def make_flowers(folder):
    """Ten photographs of kinds 1 to 102, unordered: 2 to train, 2 to validate, 6 to test."""
    from scipy.io import savemat

    for i in range(1, 11):
        photograph(folder / "jpg" / f"image_{i:05d}.jpg", (25 * i, 0, 0))
    savemat(folder / "imagelabels.mat", {"labels": [[102, 1, 5, 1, 2, 3, 102, 50, 60, 4]]})
    savemat(folder / "setid.mat", {"trnid": [[7, 2]], "valid": [[5, 10]], "tstid": [[1, 3, 4, 6, 8, 9]]})


BREEDS = [f"{'Cat' if i % 3 else 'dog'}_of_kind_{i:02d}" for i in range(37)]


def make_pets(folder):
    """One photograph of each of 37 breeds to train, one to test."""
    (folder / "annotations").mkdir(parents=True)
    for k, part in enumerate(("trainval", "test")):
        lines = [f"{breed}_{100 + k} {i + 1} 1 1\n" for i, breed in enumerate(BREEDS)]
        (folder / "annotations" / f"{part}.txt").write_text("".join(lines))
        for i, breed in enumerate(BREEDS):
            photograph(folder / "images" / f"{breed}_{100 + k}.jpg", (6 * i, 200 * k, 0))


SETS = {"flowers102": ("flowers-102", make_flowers), "oxford-pets": ("oxford-iiit-pet", make_pets)}


def reds(ds):
    """The red of the right half of each picture, 0 to 255; the left half is checked to be white."""
    assert ds.images.shape[1:] == (3, 16, 16) and ds.images[..., :6].min() > 0.9
    return ((ds.images[:, 0, 4:12, 10:14].mean((1, 2)) + 1) * 127.5).round()


def test_flowers_are_read_as_torchvision_reads_them(tmp_path, monkeypatch):
    import hashlib

    from torchvision.datasets import Flowers102

    folder = tmp_path / "flowers-102"
    make_flowers(folder)
    train, test = (al.data.load("flowers102", size=16, split=split, root=tmp_path) for split in ("train", "test"))
    assert train.labels.tolist() == [101, 0, 1, 3] and torch.allclose(
        reds(train), 25.0 * torch.tensor([7, 2, 5, 10]), atol=6
    )
    assert test.labels.tolist() == [101, 4, 0, 2, 49, 59] and torch.allclose(
        reds(test), 25.0 * torch.tensor([1, 3, 4, 6, 8, 9]), atol=6
    )
    assert len(train.classes) == 102 and train.classes[0] == "pink primrose" and train.classes[101] == "blackberry lily"
    md5 = {
        kind: (file, hashlib.md5((folder / file).read_bytes()).hexdigest())
        for kind, file in (("label", "imagelabels.mat"), ("setid", "setid.mat"))
    }
    monkeypatch.setattr(Flowers102, "_file_dict", md5)
    theirs = [Flowers102(tmp_path, split=split) for split in ("train", "val", "test")]
    assert [label for part in theirs for _, label in part] == train.labels.tolist() + test.labels.tolist()
    assert len(al.data.load("flowers102", size=16, root=tmp_path)) == 4


def test_pets_are_read_as_torchvision_reads_them(tmp_path):
    from torchvision.datasets import OxfordIIITPet

    make_pets(tmp_path / "oxford-iiit-pet")
    train, test = (al.data.load("oxford-pets", size=16, split=split, root=tmp_path) for split in (None, "test"))
    assert train.labels.tolist() == test.labels.tolist() == list(range(37))
    assert (
        torch.allclose(reds(train), 6.0 * torch.arange(37), atol=6)
        and train.images[:, 1, 8, 12].max() < -0.9 < test.images[:, 1, 8, 12].min()
    )
    assert list(train.classes) == OxfordIIITPet(tmp_path).classes and train.classes[1] == "Cat Of Kind 01"


def test_grey_and_cmyk_photographs_become_colour(tmp_path):
    from PIL import Image

    make_flowers(tmp_path / "flowers-102")
    for number, mode in ((7, "L"), (2, "CMYK")):
        file = tmp_path / "flowers-102" / "jpg" / f"image_{number:05d}.jpg"
        Image.open(file).convert(mode).save(file, quality=95)
    assert al.data.load("flowers102", size=16, root=tmp_path).images.shape == (4, 3, 16, 16)


def test_what_is_fetched_is_what_torchvision_fetches():
    from torchvision.datasets import Flowers102, OxfordIIITPet

    from aigc_lessons.data import downloads

    source, md5 = downloads.FLOWERS
    assert source == Flowers102._download_url_prefix and md5 == dict(Flowers102._file_dict.values())
    source, md5 = downloads.PETS
    assert {source + file: value for file, value in md5.items()} == dict(OxfordIIITPet._RESOURCES)


@pytest.mark.parametrize("placed", [True, False])
@pytest.mark.parametrize("name", SETS)
def test_archives_are_unpacked_wherever_they_come_from(name, placed, tmp_path, monkeypatch):
    """Put there by hand, or fetched: the same set, and no second copy of what was fetched."""
    import hashlib
    import tarfile

    from aigc_lessons.data import downloads

    place, make = SETS[name]
    made, root = tmp_path / "made", tmp_path / "root"
    make(made)
    served = tmp_path / "served"
    served.mkdir()
    source, md5 = downloads.FLOWERS if name == "flowers102" else downloads.PETS
    for file in md5:
        if file.endswith(".mat"):
            (served / file).write_bytes((made / file).read_bytes())
        else:
            with tarfile.open(served / file, "w:gz") as archive:
                inside = "jpg" if name == "flowers102" else file.split(".")[0]
                archive.add(made / inside, inside)
    sums = {file: hashlib.md5((served / file).read_bytes()).hexdigest() for file in md5}
    monkeypatch.setattr(downloads, "FLOWERS" if name == "flowers102" else "PETS", (source, sums))
    if placed:
        root.mkdir()
        served.rename(root / place)
    else:
        fetch = lambda url, filename, *a, **k: open(filename, "wb").write(
            (served / url.removeprefix(source)).read_bytes()
        )
        monkeypatch.setattr(utils, "_urlretrieve", fetch)
    assert len(al.data.load(name, size=16, root=root, download=not placed)) == (4 if name == "flowers102" else 37)
    assert any((root / place).glob("*gz")) == placed and not list(root.glob(".partial*"))


@pytest.mark.parametrize(
    "name, file",
    [
        ("flowers102", "setid.mat"),
        ("flowers102", "imagelabels.mat"),
        ("flowers102", "jpg/image_00005.jpg"),
        ("oxford-pets", "annotations/trainval.txt"),
        ("oxford-pets", "images/dog_of_kind_36_100.jpg"),
    ],
)
@pytest.mark.parametrize(
    "spoil", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"a login page"], ids=["half", "empty", "page"]
)
def test_damaged_files_of_photographs_are_named(name, file, spoil, tmp_path):
    place, make = SETS[name]
    make(tmp_path / place)
    path = tmp_path / place / file
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(
        ValueError, match=f"{path.name}: .*(damaged|not a picture).*Delete {path.name}.*robots.ox.ac.uk"
    ):
        al.data.load(name, size=16, root=tmp_path)


@pytest.mark.parametrize("name, file", [("flowers102", "102flowers.tgz"), ("oxford-pets", "images.tar.gz")])
def test_a_damaged_archive_is_named_and_not_unpacked(name, file, tmp_path):
    folder = tmp_path / SETS[name][0]
    folder.mkdir()
    (folder / file).write_bytes(b"half of it")
    with pytest.raises(FileNotFoundError, match=f"{file} .the one that is there is damaged.*no network"):
        al.data.load(name, root=tmp_path)
    assert [p.name for p in folder.iterdir()] == [file]


def test_a_photograph_that_is_missing_is_named(tmp_path):
    make_flowers(tmp_path / "flowers-102")
    (tmp_path / "flowers-102" / "jpg" / "image_00005.jpg").unlink()
    with pytest.raises(ValueError, match="image_00005.jpg: .*No such file"):
        al.data.load("flowers102", size=16, root=tmp_path)


def test_names_say_what_is_here(tmp_path, monkeypatch):
    monkeypatch.setenv("AIGC_DATA", str(tmp_path))
    assert (
        al.data.names()["flowers102"] == "needs a download of 345 MB"
        and al.data.names()["oxford-pets"] == "needs a download of 811 MB"
    )
    make_pets(tmp_path / "oxford-iiit-pet")
    assert al.data.names()["oxford-pets"] == "files found"
