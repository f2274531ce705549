"""MNIST, Fashion-MNIST, CIFAR-10, CelebA, Flowers-102 and Oxford-IIIT Pets as torchvision keeps them, in one folder.

Files that are there are read, and only the files that a split needs. What is missing is fetched into a temporary folder
and moved into place when it is complete and its checksum is right, so an interrupted download leaves nothing half-written.
"""

import gzip
import os
import shutil
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path

import torch

from ..settings import data_folder
from .folder import read as read_picture
from .image_set import ImageSet
from .pixels import from_bytes, resize

SIZES = {
    "mnist": ("MNIST/raw", "12 MB"),
    "fashion-mnist": ("FashionMNIST/raw", "31 MB"),
    "cifar10": ("cifar-10-batches-py", "170 MB"),
    "celeba": ("celeba", "1.4 GB, from Google Drive"),
    "flowers102": ("flowers-102", "345 MB"),
    "oxford-pets": ("oxford-iiit-pet", "811 MB"),
}
FLOWERS = (
    "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
    {  # file: its md5
        "102flowers.tgz": "52808999861908f626f3c1f4e79d11fa",
        "imagelabels.mat": "e0620be6f572b9609742df49c70aed4d",
        "setid.mat": "a5357ecc9cb78c4bef273ce3793fc85c",
    },
)
PETS = (
    "https://www.robots.ox.ac.uk/~vgg/data/pets/data/",
    {"images.tar.gz": "5c4f3ee8e5d25df40f4fd59a7f44e54c", "annotations.tar.gz": "95a8c909bbe2e81eed6a22bccdf3f68f"},
)


def status(name):
    """How the named set can be had on this machine, in words."""
    place, size = SIZES[name]
    folder = data_folder() / place
    return "files found" if folder.is_dir() and any(folder.iterdir()) else f"needs a download of {size}"


def _absent(name, files, source, folder, why):
    return FileNotFoundError(
        f"load({name!r}) needs {', '.join(files)}, not in {folder}: {why}. "
        f"Get it from {source} on a machine with a network and put it there as it is; or give root= (or set AIGC_DATA) "
        "to the folder that holds it. Without a network there are: digits, emoji, digits-8x8, shapes, faces, textures, photos."
    )


@contextmanager
def _fetching(name, files, source, root, folder, download):
    """A temporary folder in `root`; what is put there by the end is moved, file by file, into `folder`."""
    if not download:
        raise _absent(name, files, source, folder, "download=False was given")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=root) as partial:
            if files:
                print(f"{name}: fetching {', '.join(files)} from {source}", flush=True)
            yield Path(partial)
            shutil.copytree(partial, folder, dirs_exist_ok=True, copy_function=os.replace)
    except (OSError, RuntimeError) as error:  # torchvision reports a bad checksum as RuntimeError
        raise _absent(name, files, source, folder, f"it could not be fetched ({error})") from error


def _mnist_like(cls, name, classes, licence, size, split, root, download):
    from torchvision.datasets import mnist, utils

    root = Path(root or data_folder()).expanduser()
    folder = root / cls.__name__ / "raw"
    prefix = "t10k" if split == "test" else "train"
    md5 = dict(cls.resources)
    wanted = [f for f in md5 if f.startswith(prefix)]
    missing = [f for f in wanted if not (folder / f).exists() and not (folder / f[:-3]).exists()]
    if missing:
        with _fetching(name, missing, " or ".join(cls.mirrors), root, folder, download) as partial:
            for file in missing:
                for i, mirror in enumerate(cls.mirrors):
                    try:
                        utils.download_url(mirror + file, partial, md5=md5[file])
                        break
                    except (OSError, RuntimeError):
                        if i + 1 == len(cls.mirrors):
                            raise
    parts = []
    with tempfile.TemporaryDirectory() as unpacked:
        for file, read in zip(wanted, (mnist.read_image_file, mnist.read_label_file)):
            path = folder / file[:-3]
            try:  # gzip's checksum and the sizes in the header are the test:
                if not path.exists():  # a repacked archive is as good as the original one
                    path = Path(unpacked) / file[:-3]
                    path.write_bytes(gzip.decompress((folder / file).read_bytes()))
                parts.append(read(str(path)))
            except (OSError, EOFError, zlib.error, AssertionError, ValueError, RuntimeError, IndexError) as error:
                raise ValueError(
                    f"{folder / file} is damaged or cut short ({error or type(error).__name__}). Delete it and load "
                    f"{name!r} again, or fetch it from {cls.mirrors[0]}."
                ) from error
    images, labels = parts
    small = torch.cat([resize(from_bytes(chunk), size) for chunk in images.split(5_000)])
    return ImageSet(small, labels.long(), classes=classes, name=name, licence=licence)


def mnist(size=32, split=None, root=None, download=True):
    """MNIST, 28x28 grey, 60,000 to train and 10,000 to test. Files: ROOT/MNIST/raw/*.gz or unpacked."""
    from torchvision.datasets import MNIST

    return _mnist_like(
        MNIST, "mnist", tuple("0123456789"), "CC BY-SA 3.0 (LeCun, Cortes, Burges)", size, split, root, download
    )


def fashion_mnist(size=32, split=None, root=None, download=True):
    """Fashion-MNIST, 28x28 grey, 60,000 to train and 10,000 to test. Files: ROOT/FashionMNIST/raw/*.gz or unpacked."""
    from torchvision.datasets import FashionMNIST

    return _mnist_like(
        FashionMNIST,
        "fashion-mnist",
        tuple(FashionMNIST.classes),
        "MIT (Xiao, Rasul, Vollgraf 2017)",
        size,
        split,
        root,
        download,
    )


def cifar10(size=32, split=None, root=None, download=True):
    """CIFAR-10, 32x32 colour, 50,000 to train and 10,000 to test. Files: ROOT/cifar-10-batches-py/."""
    from torchvision.datasets import CIFAR10, utils

    root = Path(root or data_folder()).expanduser()
    try:
        raw = CIFAR10(root, train=split != "test")
    except RuntimeError:  # not there, or a checksum is wrong
        with _fetching("cifar10", [CIFAR10.filename], CIFAR10.url, root, root, download) as partial:
            archive = root / CIFAR10.filename
            if not utils.check_integrity(archive, CIFAR10.tgz_md5):
                utils.download_url(CIFAR10.url, partial, md5=CIFAR10.tgz_md5)
                archive = partial / CIFAR10.filename
            utils.extract_archive(str(archive), str(partial))
        raw = CIFAR10(root, train=split != "test")
    images = torch.cat([resize(from_bytes(chunk), size) for chunk in torch.from_numpy(raw.data).split(5_000)])
    return ImageSet(
        images,
        torch.tensor(raw.targets),
        classes=tuple(raw.classes),
        name="cifar10",
        licence="unstated by its authors; research use (Krizhevsky 2009)",
    )


def celeba(size=32, split=None, root=None, download=True, n=10_000):
    """The first n aligned CelebA faces of a split, the middle square of each; no labels. Files: ROOT/celeba/."""
    from torchvision.datasets import CelebA
    from torchvision.transforms import v2
    from tqdm.auto import trange

    root = Path(root or data_folder()).expanduser()
    options = dict(split=split or "train", transform=v2.Compose([v2.PILToTensor(), v2.CenterCrop(178)]))
    try:
        raw = CelebA(root, **options)
    except RuntimeError:
        files = [f for _, _, f in CelebA.file_list]
        with _fetching(
            "celeba", files, "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html", root, root, download
        ) as partial:
            CelebA(partial, download=True)
        raw = CelebA(root, **options)
    images = torch.cat(
        [resize(raw[i][0][None].float() / 127.5 - 1, size) for i in trange(min(n, len(raw)), desc="celeba", delay=2)]
    )
    return ImageSet(images, name="celeba", licence="non-commercial research (Liu et al. 2015)")


def _unpacked(name, origin, folder, root, download):
    """Unpack the archives of `origin` into `folder`; what is not there, or has a wrong checksum, is fetched first."""
    from torchvision.datasets import utils

    source, md5 = origin
    wanted = [file for file in md5 if not utils.check_integrity(folder / file, md5[file])]
    said = [f"{file} (the one that is there is damaged)" if (folder / file).exists() else file for file in wanted]
    with _fetching(name, said, source, root, folder, download or not wanted) as partial:
        for file in md5:
            if file in wanted:
                utils.download_url(source + file, partial, md5=md5[file])
            if not file.endswith(".mat"):
                utils.extract_archive(str((partial if file in wanted else folder) / file), str(partial))
                (partial / file).unlink(missing_ok=True)  # it would take the disk's room twice


def _damaged(name, path, origin, why):
    return ValueError(
        f"{path}: {why}. Delete {path.name} and what was unpacked beside it, and load {name!r} again; or fetch "
        f"{', '.join(origin[1])} from {origin[0]}."
    )


def _photographs(name, files, labels, origin, size, **about):
    """An ImageSet of the files' middle squares, in colour."""
    from tqdm.auto import tqdm

    images = []
    for file in tqdm(files, desc=name, delay=2):
        try:
            images.append(read_picture(file, size).expand(-1, 3, -1, -1))
        except ValueError as why:
            raise _damaged(name, file, origin, why) from None
    return ImageSet(torch.cat(images), torch.tensor(labels), name=name, **about)


def flowers102(size=32, split=None, root=None, download=True):
    """Flowers-102: photographs of 102 kinds of flowers, the middle square of each. Meant for size=64.

    'train' is the authors' train and validation part together (20 pictures a kind, 2,040); 'test' is their test, which is
    larger (6,149). Files: ROOT/flowers-102/jpg/, imagelabels.mat and setid.mat.
    """
    from scipy.io import loadmat
    from torchvision.datasets import Flowers102

    root = Path(root or data_folder()).expanduser()
    folder = root / "flowers-102"
    setid, imagelabels = folder / "setid.mat", folder / "imagelabels.mat"
    if not ((folder / "jpg").is_dir() and setid.is_file() and imagelabels.is_file()):
        _unpacked("flowers102", FLOWERS, folder, root, download)
    content = {}
    for path, names in ((setid, ("trnid", "valid", "tstid")), (imagelabels, ("labels",))):
        try:
            read = loadmat(path)
            content |= {name: read[name].reshape(-1).tolist() for name in names}
        except Exception as error:  # what scipy raises on a damaged file has no common type
            raise _damaged("flowers102", path, FLOWERS, f"damaged ({type(error).__name__}: {error})") from error
    numbers = content["tstid"] if split == "test" else content["trnid"] + content["valid"]
    known = dict(enumerate(content["labels"], 1))
    if unknown := set(numbers) - set(known):
        raise _damaged("flowers102", imagelabels, FLOWERS, f"no label for {len(unknown)} pictures that setid.mat names")
    return _photographs(
        "flowers102",
        [folder / "jpg" / f"image_{i:05d}.jpg" for i in numbers],
        [known[i] - 1 for i in numbers],
        FLOWERS,
        size,
        classes=tuple(Flowers102.classes),
        licence="not stated by its authors; research use (Nilsback and Zisserman 2008)",
    )


def oxford_pets(size=32, split=None, root=None, download=True):
    """Oxford-IIIT Pets: photographs of 12 breeds of cats and 25 of dogs, the middle square of each. Meant for size=64.

    About 100 pictures a breed in 'train' (the authors' trainval, 3,680) and as many in 'test' (3,669).
    Files: ROOT/oxford-iiit-pet/images/ and annotations/.
    """
    root = Path(root or data_folder()).expanduser()
    folder = root / "oxford-iiit-pet"
    lists = folder / "annotations" / ("test.txt" if split == "test" else "trainval.txt")
    if not ((folder / "images").is_dir() and lists.is_file()):
        _unpacked("oxford-pets", PETS, folder, root, download)
    try:
        rows = [line.split() for line in lists.read_text().splitlines()]
        files = [folder / "images" / f"{picture}.jpg" for picture, *_ in rows]  # american_bulldog_100 1 2 1
        breeds = {int(row[1]) - 1: row[0].rpartition("_")[0].replace("_", " ").title() for row in rows}
        labels = [int(row[1]) - 1 for row in rows]
    except (ValueError, IndexError) as error:
        raise _damaged("oxford-pets", lists, PETS, f"damaged ({error})") from error
    if set(breeds) != set(range(37)):
        raise _damaged("oxford-pets", lists, PETS, f"damaged or cut short: it names {len(breeds)} breeds of 37")
    return _photographs(
        "oxford-pets",
        files,
        labels,
        PETS,
        size,
        classes=tuple(breeds[i] for i in range(37)),
        licence="CC BY-SA 4.0 (Parkhi, Vedaldi, Zisserman, Jawahar 2012)",
    )
