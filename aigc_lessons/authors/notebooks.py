"""Keep the notebooks in order: python -m aigc_lessons.authors.notebooks COMMAND

run FILES          execute each in a fresh kernel, from its own folder, and write it back tidied. A notebook
                   in which a cell fails is left as it was. AIGC_PROFILE is laptop unless it is set: the
                   course stores what a laptop gives.
tidy FILES         rewrite each in the one canonical form, without running it
check FILES        say which are not in that form (exit code 1)
setup FILES        write the course's setup cell into each (the cell tagged `setup`, or a new first code cell);
                   where texts/NN_name.toml stands beside it, it ends with al.lesson(NN)
exercises          make every exercises/NN_name.ipynb anew from solutions/NN_name.ipynb
exercises --check  say which of them are out of date (exit code 1)
cover              draw notebooks/cover.png, the picture in the README
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path

import nbformat

from ..exercises.engine import STUB
from ..files import write_atomically
from ..settings import COURSE

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
WIDGET = "application/vnd.jupyter.widget-view+json"

SETUP = """\
# Setup: run this cell first. Where the course is installed it does nothing but the last lines.
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = "https://github.com/OWNER/aigc-lessons"  # a fork changes this line alone


def missing(name):
    return importlib.util.find_spec(name) is None


if missing("aigc_lessons"):
    here = Path.cwd()
    places = (here, *here.parents, here / "aigc-lessons")
    root = next((p for p in places if (p / "aigc_lessons" / "__init__.py").exists()), None)
    hosted = "COLAB_RELEASE_TAG" in os.environ or "KAGGLE_KERNEL_RUN_TYPE" in os.environ
    if hosted and root is None:
        root = here / "aigc-lessons"
        clone = ["git", "clone", "-q", "--depth", "1", REPOSITORY, str(root)]
        subprocess.run(clone, check=True)
    if root is None:
        raise ModuleNotFoundError("Open this notebook in the course's folder, or: pip install -e .")
    sys.path.insert(0, str(root))
    absent = [m for m in "torch_fidelity safetensors anywidget psygnal".split() if missing(m)]
    if hosted and absent:  # --no-deps keeps the host's torch
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
        subprocess.run([*pip, *absent], check=True)

import aigc_lessons as al"""


def read(path):
    """The notebook at `path`. Raises ValueError, naming the file, if it is not a notebook."""
    try:
        nb = nbformat.read(path, as_version=4)
        nbformat.validate(nb)
        return nb
    except (
        nbformat.reader.NotJSONError,
        nbformat.ValidationError,
        UnicodeDecodeError,
        AttributeError,
    ) as error:  # AttributeError: JSON, but not an object
        reason = str(error).strip().splitlines()[0][:200]
        raise ValueError(f"{path} is not a readable notebook: {reason}. Restore it, as with git.") from error


def text(nb):
    """The canonical file content of a tidied notebook."""
    return nbformat.writes(nb).rstrip("\n") + "\n"


def tidy(nb):
    """Bring a notebook, in place, into the one form that is committed. Returns it.

    Kept: sources, tags, outputs, execution counts, cell ids.
    Dropped: editor settings, timings, widget state, weights to be handed in, blanks at the ends of code lines.
    Set by tags: `setup` folds the code away, `answer` the output, so that a question is met before its answer.
    """
    nb.metadata = nbformat.from_dict(METADATA)
    nb.nbformat_minor = 5
    for i, cell in enumerate(nb.cells):
        cell.metadata = nbformat.from_dict(metadata(cell.metadata.get("tags", ())))
        cell.setdefault("id", f"cell-{i:02d}")  # notebooks older than format 4.5 have none
        cell.source = cell.source.rstrip()
        if cell.cell_type == "code":  # in markdown such blanks are a line break
            cell.source = "\n".join(line.rstrip() for line in cell.source.split("\n"))
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if len(data) > 1:
                data.pop(WIDGET, None)  # a random id, of no use without its kernel
            if "data-weights=" in "".join(data.get("text/html", "")):
                data.pop("text/html")  # a megabyte, of use to a learner alone; the words are in text/plain
            if "metadata" in output:
                output.metadata = nbformat.from_dict({})
    return nb


def metadata(tags):
    """A cell's metadata, which follows from its tags alone."""
    kept = {"tags": sorted(tags)} if tags else {}
    if "setup" in tags:
        kept["jupyter"] = {"source_hidden": True}
    if "answer" in tags:  # JupyterLab reads the one, older tools and Colab the other
        kept |= {"collapsed": True, "jupyter": {"outputs_hidden": True}}
    return kept


def run(path):
    """Execute a notebook from its own folder in a fresh kernel. Returns it, tidied; writes nothing.

    Raises RuntimeError that names the file, the cell and the error.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    nb, started = read(path), []
    client = NotebookClient(
        nb,
        timeout=None,
        kernel_name="python3",
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.resolve().parent)}},
        on_cell_start=lambda cell, cell_index: started.append(cell_index),
    )
    try:
        client.execute(env={"AIGC_PROFILE": "laptop", **os.environ})
    except (CellExecutionError, DeadKernelError) as error:
        died = isinstance(error, DeadKernelError)
        what = "the kernel died; was there enough memory?" if died else f"{error.ename}: {error.evalue}"
        cell = nb.cells[started[-1]]
        raise RuntimeError(
            f"{path}, cell {started[-1] + 1} of {len(nb.cells)} (id {cell.id}): {what}\n"
            f"The cell begins: {cell.source[:200]}\nThe file is left as it was."
        ) from error
    return tidy(nb)


def setup(path):
    """The source of the setup cell of the notebook at `path`: SETUP, and whose words are meant, if it has words."""
    texts = path.parent / "texts" / f"{path.stem}.toml"
    return f"{SETUP}\n\nal.lesson({int(path.stem[:2])})" if texts.exists() else SETUP


def set_setup(path):
    """The notebook at `path`, tidied, its setup cell (tagged `setup`, or a new first code cell) written anew."""
    nb = read(path)
    cell = next((c for c in nb.cells if "setup" in c.metadata.get("tags", [])), None)
    if cell is None:
        cell = nbformat.v4.new_code_cell(id="setup", metadata={"tags": ["setup"]})
        first = next((i for i, c in enumerate(nb.cells) if c.cell_type == "code"), len(nb.cells))
        nb.cells.insert(first, cell)
    cell.source = setup(path)
    return tidy(nb)


def blank(source):
    """The source of an exercise cell: what stands between the marks gives way to a NotImplementedError.

    The error names the outermost function or class around the blank.
    Raises ValueError: a mark without its partner, or outside any function.
    """
    lines, name, inside = [], None, False
    for line in source.split("\n"):
        mark = line.strip()
        if found := re.match(r"(?:def|class) (\w+)", line):
            name = found[1]
        if mark == (BEGIN if inside else END):
            raise ValueError(f"{mark!r} without its partner")
        if mark == BEGIN:
            if name is None or line == mark:
                raise ValueError(f"{BEGIN!r} outside a function: a blank is part of a function's body")
            lines.append(line.replace(BEGIN, f'raise NotImplementedError("{STUB.format(name=name)}")'))
        if not inside and mark != BEGIN:
            lines.append(line)
        inside = mark == BEGIN or inside and mark != END
    if inside:
        raise ValueError(f"{BEGIN!r} without its partner")
    return "\n".join(lines)


def exercise(path):
    """The exercise notebook for the solution at `path`: blanks in place of answers, no outputs."""
    nb = read(path)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            try:
                cell.source = blank(cell.source)
            except ValueError as error:
                raise ValueError(f"{path}, cell {cell.id}: {error}.") from None
    return tidy(nb)


def exercises(course=COURSE, check=False):
    """Make exercises/ from solutions/, or with `check` only compare. Returns the exercise files that differ.

    A notebook in exercises/ that has no solution counts as different; it is never removed.
    """
    solutions = sorted(course.glob("solutions/*.ipynb"))
    names = {solution.name for solution in solutions}
    stale = [path for path in sorted(course.glob("exercises/*.ipynb")) if path.name not in names]
    for solution in solutions:
        target, content = course / "exercises" / solution.name, text(exercise(solution))
        if not target.exists() or target.read_text(encoding="utf-8") != content:
            stale.append(target)
            if not check:
                write_atomically(target, content.encode())
    return stale


def cover():
    """The README's picture, a PIL image: one result of each part."""
    import io

    import torch
    from PIL import Image

    from .. import data, flows, metrics, ops, shipped, show

    cat = data.photo("chelsea", 120)
    edges = ops.conv2d(cat.mean(1, keepdim=True), torch.tensor([[[[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]]]), padding=1)
    seen = [cat, ops.warp(cat + 1, ops.rotation_matrix(30)) - 1, edges / 2, ops.max_pool2d(cat, 10, 10)]

    captions = data.load("shapes", n=16, seed=3).captions
    lines, _ = data.emoji_domains(64, "test")
    lines = lines.images[torch.tensor([0, 48, 40, 64, 96, 104, 144, 160])]
    coloured = shipped("pix2pix-emoji").cpu().translate(lines)

    emoji = data.load("emoji", size=32, split="train")
    asked = torch.tensor([emoji.classes.index(group) for group in ("faces", "hearts", "plants", "food")])
    flow = shipped("flow-emoji").cpu()
    made = flow.sample(2, seed=1, labels=asked[:2], guidance_scale=2.0)
    nearest = emoji.images[metrics.nearest(made, emoji.images)[0]]
    velocity, x, film = (
        flow.velocity(asked, 2.0),
        torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(5)),
        [],
    )
    with torch.no_grad():
        for k in range(16, 0, -1):
            x = flows.euler_step(velocity, x, k / 16, 1 / 16)
            film.append(x)

    side_by_side = lambda *columns: torch.stack(columns, 1).flatten(0, 1)
    parts = {
        "1  see": _tiled(seen, 2),
        "2  generate": _tiled(shipped("dcgan-digits").cpu().sample(16, seed=7), 4),
        "3  steer": _tiled(shipped("text-shapes").cpu().sample(16, seed=0, captions=captions), 4),
        "4  mend and translate": _tiled(side_by_side(lines.expand(-1, 3, -1, -1), coloured), 4),
        "5  measure": _tiled(side_by_side(made, nearest), 2),
        "6  diffuse": _tiled(side_by_side(*film[3::4]), 4),
    }
    # Each part has colours of its own: one picture of all six would have to share 64.
    pngs = [show.grid(tile, labels=[name], columns=1, alt=name).png for name, tile in parts.items()]
    images = [Image.open(io.BytesIO(png)).convert("RGB") for png in pngs]
    (width, height), gap = images[0].size, 12
    page = Image.new("RGB", (3 * width + 2 * gap, 2 * height + gap), "white")
    for k, image in enumerate(images):
        page.paste(image, (k % 3 * (width + gap), k // 3 * (height + gap)))
    return page


def _tiled(images, columns, side=240, gap=4):
    """(N, C, h, w), or N pictures (1, C, h, w) of any sizes, as one square (1, 3, side, side): rows of so many, white between them."""
    import torch
    import torch.nn.functional as F

    cell = (side - gap * (columns - 1)) // columns
    square = torch.ones(1, 3, side, side)
    for k, image in enumerate(images):
        top, left = (i * (cell + gap) for i in divmod(k, columns))
        image = F.interpolate(image.view(1, *image.shape[-3:]).clamp(-1, 1), (cell, cell), mode="nearest-exact")
        square[0, :, top : top + cell, left : left + cell] = image
    return square


MAKE = {
    "run": run,
    "tidy": lambda path: tidy(read(path)),
    "check": lambda path: tidy(read(path)),
    "setup": set_setup,
}


def rewrite(command, path):
    """Apply a command of MAKE to one file, with a line of progress. Returns whether all is well."""
    print(f"{path} ...", end=" ", flush=True)
    start = time.monotonic()
    try:
        old, new = path.read_text(encoding="utf-8"), text(MAKE[command](path))
    except (OSError, ValueError, RuntimeError) as error:
        print(f"failed\n{error}")
        return False
    if command == "check" and new != old:
        print(f"not tidy. To make it so: python -m aigc_lessons.authors.notebooks tidy {path}")
        return False
    if new != old:
        write_atomically(path, new.encode())
    print(f"{'unchanged' if new == old else 'written'}, {time.monotonic() - start:.1f} s")
    return True


def main(arguments=None):
    """The command line. Returns the exit code: 0, or 1 if a notebook failed or is not as it should be."""
    parser = argparse.ArgumentParser(
        prog="python -m aigc_lessons.authors.notebooks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in MAKE:
        commands.add_parser(name).add_argument("files", nargs="+", type=Path, metavar="FILE")
    commands.add_parser("exercises").add_argument("--check", action="store_true")
    commands.add_parser("cover")
    given = parser.parse_args(arguments)
    if given.command == "cover":
        cover().save(COURSE / "notebooks" / "cover.png")
        return 0
    if given.command != "exercises":
        return int(not all([rewrite(given.command, path) for path in given.files]))
    try:
        stale = exercises(check=given.check)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for path in stale:
        orphan = not (COURSE / "solutions" / path.name).exists()
        print(
            f"{path}: "
            + (
                "has no solution; remove it or write one"
                if orphan
                else "out of date; run: make exercises"
                if given.check
                else "written"
            )
        )
    return int(given.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
