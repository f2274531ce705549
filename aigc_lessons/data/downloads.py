"""MNIST, Fashion-MNIST, CIFAR-10 and CelebA through torchvision, kept in one folder.

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
from .bundled import from_bytes, resize
from .image_set import ImageSet

SIZES = {"mnist": ("MNIST/raw", "12 MB"), "fashion-mnist": ("FashionMNIST/raw", "31 MB"),
         "cifar10": ("cifar-10-batches-py", "170 MB"), "celeba": ("celeba", "1.4 GB, from Google Drive")}


def status(name):
    """How the named set can be had on this machine, in words."""
    place, size = SIZES[name]
    folder = data_folder() / place
    return "files found" if folder.is_dir() and any(folder.iterdir()) else f"needs a download of {size}"


def _absent(name, files, source, folder, why):
    return FileNotFoundError(
        f"load({name!r}) needs {', '.join(files)}, not in {folder}: {why}. "
        f"Get it from {source} on a machine with a network and put it there as it is; or give root= (or set AIGC_DATA) "
        "to the folder that holds it. Without a network there are: digits, emoji, digits-8x8, shapes, faces, textures, photos.")


@contextmanager
def _fetching(name, files, source, root, folder, download):
    """A temporary folder in `root`; what is put there by the end is moved, file by file, into `folder`."""
    if not download:
        raise _absent(name, files, source, folder, "download=False was given")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=root) as partial:
            print(f"{name}: fetching {', '.join(files)} from {source}", flush=True)
            yield Path(partial)
            shutil.copytree(partial, folder, dirs_exist_ok=True, copy_function=os.replace)
    except (OSError, RuntimeError) as error:                # torchvision reports a bad checksum as RuntimeError
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
            try:                                             # gzip's checksum and the sizes in the header are the test:
                if not path.exists():                        # a repacked archive is as good as the original one
                    path = Path(unpacked) / file[:-3]
                    path.write_bytes(gzip.decompress((folder / file).read_bytes()))
                parts.append(read(str(path)))
            except (OSError, EOFError, zlib.error, AssertionError, ValueError, RuntimeError, IndexError) as error:
                raise ValueError(f"{folder / file} is damaged or cut short ({error or type(error).__name__}). Delete it and load "
                                 f"{name!r} again, or fetch it from {cls.mirrors[0]}.") from error
    images, labels = parts
    small = torch.cat([resize(from_bytes(chunk), size) for chunk in images.split(5_000)])
    return ImageSet(small, labels.long(), classes=classes, name=name, licence=licence)


def mnist(size=32, split=None, root=None, download=True):
    """MNIST, 28x28 grey, 60,000 to train and 10,000 to test. Files: ROOT/MNIST/raw/*.gz or unpacked."""
    from torchvision.datasets import MNIST
    return _mnist_like(MNIST, "mnist", tuple("0123456789"), "CC BY-SA 3.0 (LeCun, Cortes, Burges)", size, split, root, download)


def fashion_mnist(size=32, split=None, root=None, download=True):
    """Fashion-MNIST, 28x28 grey, 60,000 to train and 10,000 to test. Files: ROOT/FashionMNIST/raw/*.gz or unpacked."""
    from torchvision.datasets import FashionMNIST
    return _mnist_like(FashionMNIST, "fashion-mnist", tuple(FashionMNIST.classes), "MIT (Xiao, Rasul, Vollgraf 2017)", size, split, root, download)


def cifar10(size=32, split=None, root=None, download=True):
    """CIFAR-10, 32x32 colour, 50,000 to train and 10,000 to test. Files: ROOT/cifar-10-batches-py/."""
    from torchvision.datasets import CIFAR10, utils
    root = Path(root or data_folder()).expanduser()
    try:
        raw = CIFAR10(root, train=split != "test")
    except RuntimeError:                                   # not there, or a checksum is wrong
        with _fetching("cifar10", [CIFAR10.filename], CIFAR10.url, root, root, download) as partial:
            archive = root / CIFAR10.filename
            if not utils.check_integrity(archive, CIFAR10.tgz_md5):
                utils.download_url(CIFAR10.url, partial, md5=CIFAR10.tgz_md5)
                archive = partial / CIFAR10.filename
            utils.extract_archive(str(archive), str(partial))
        raw = CIFAR10(root, train=split != "test")
    images = torch.cat([resize(from_bytes(chunk), size) for chunk in torch.from_numpy(raw.data).split(5_000)])
    return ImageSet(images, torch.tensor(raw.targets), classes=tuple(raw.classes), name="cifar10", licence="unstated by its authors; research use (Krizhevsky 2009)")


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
        with _fetching("celeba", files, "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html", root, root, download) as partial:
            CelebA(partial, download=True)
        raw = CelebA(root, **options)
    images = torch.cat([resize(raw[i][0][None].float() / 127.5 - 1, size) for i in trange(min(n, len(raw)), desc="celeba", delay=2)])
    return ImageSet(images, name="celeba", licence="non-commercial research (Liu et al. 2015)")
