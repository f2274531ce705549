"""Finding and reading what learners handed in. Nothing of it runs here."""

import functools
import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from ..settings import COURSE

LARGEST = 10_000_000  # bytes of a file
LONGEST = 1_000_000  # characters of code
ODD_MODULES = {
    "os",
    "sys",
    "subprocess",
    "socket",
    "ctypes",
    "inspect",
    "gc",
    "signal",
    "multiprocessing",
    "threading",
    "pickle",
    "marshal",
    "importlib",
    "builtins",
    "shutil",
    "pathlib",
    "requests",
    "urllib",
    "resource",
    "pty",
    "mmap",
    "aigc_lessons",
    "worker",
    "frames",
    "observing",
    "scratch",
    "__main__",
}
ODD_NAMES = {
    "eval",
    "exec",
    "__import__",
    "compile",
    "globals",
    "open",
    "setattr",
    "getattr",
    "_getframe",
    "currentframe",
    "__torch_function__",
    "__torch_dispatch__",
    "__subclasses__",
    "TorchDispatchMode",
    "TorchFunctionMode",
    "__builtins__",
    "_convolution",
    "mkldnn_convolution",
    "to_mkldnn",
    "_C",
    "_decomp",
    "_refs",
    "_ops",
    "__code__",
    "__closure__",
    "get_kernel",
    "redispatch",
    "call_boxed",
    "vars",
}
FROM = r"\bfrom[\s\\]+([\w.]+)[\s\\]+import\b"


@dataclass(frozen=True)
class Submission:
    """A file that was handed in. `problem`: why it cannot be graded, or None."""

    learner: str
    lesson: int | None
    path: Path
    problem: str | None = None


def printable(text):
    """Text that any file and terminal can hold: control characters, and bytes of a file name that are no UTF-8, become question marks."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", str(text).encode("utf-8", "replace").decode())


def find(root, lessons, lesson=None):
    """Every notebook and .py file below `root`, as Submissions, in the order of their names.

    LEARNER/12_anything.ipynb (the folder names the learner) or LEARNER_12_anything.ipynb (the file does). With `lesson`, only
    that one; a file that says no lesson then counts as of it. Symbolic links are not followed.

    Args: lessons: the numbers that have exercises.
    """
    found = []
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in (".ipynb", ".py")):
        below = path.relative_to(root)
        if any(part.startswith(".") for part in below.parts):  # .ipynb_checkpoints and their like
            continue
        match = (
            re.fullmatch(r"(?:(.*?)[ _-]+)?(\d\d)(?:[ _.-].*)?", path.stem)
            if len(below.parts) == 1
            else re.match(r"()(\d\d)(?!\d)", path.stem)
        )
        named = int(match[2]) if match else lesson
        learner = below.parts[0] if len(below.parts) > 1 else match[1] if match and match[1] else path.stem
        if lesson is not None and named != lesson:
            continue
        problem = None
        if path.is_symlink() or any(
            parent.is_symlink() for parent in path.parents if parent.is_relative_to(root) and parent != root
        ):
            problem = "It is a symbolic link; hand in the file itself."
        elif not path.is_file():
            problem = "It is no file."
        elif named is None:
            problem = f"Its name says no lesson. Accepted: {learner}/12_anything.ipynb or {learner}_12.ipynb, or give --lesson."
        elif named not in lessons:
            problem = f"There is no lesson {named} with exercises. There are: {', '.join(map(str, sorted(lessons)))}."
        found.append(Submission(learner, named, path, problem and printable(problem)))
    twice = {}
    for s in found:
        twice.setdefault((s.learner, s.lesson), []).append(s)
    return [
        Submission(
            s.learner,
            s.lesson,
            s.path,
            printable(
                f"There are {len(same)} files for this learner and lesson: "
                f"{', '.join(str(other.path.relative_to(root)) for other in same)}. Keep one."
            ),
        )
        if s.problem is None and len(same := twice[s.learner, s.lesson]) > 1
        else s
        for s in found
    ]


def read(path):
    """The code of a submission: a list of sources, one a cell. Raises ValueError with a sentence for the learner."""
    if path.stat().st_size > LARGEST:
        raise ValueError(
            f"The file has {path.stat().st_size:,} bytes; accepted are {LARGEST:,}. Clear the outputs and save it again."
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("The file is not text in UTF-8. Save it again from JupyterLab or your editor.") from None
    if path.suffix.lower() == ".py":
        return _of_bearable_length([text])
    try:
        notebook = json.loads(text)
        cells = notebook["cells"]
        sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
        language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("The file is not a whole notebook. Save it again from JupyterLab.") from None
    if str(language).lower() != "python":
        raise ValueError(f"The notebook's language is {str(language)[:40]!r}; the exercises are in Python.")
    return _of_bearable_length(sources)


def _of_bearable_length(sources):
    if (length := sum(map(len, sources))) > LONGEST:
        raise ValueError(f"The code has {length:,} characters; accepted are {LONGEST:,}.")
    return sources


def without_magics(source):
    """A cell's code with `pass` for each line that only Jupyter understands: %time f(), !ls, files = !ls, name?."""

    def plain(line):
        text = line.strip()
        magic = re.match(r"%%?\w|[!?]|\w+\s*=\s*[%!]", text) or (text.endswith("?") and "#" not in text)
        return line[: len(line) - len(line.lstrip())] + "pass" if magic else line

    return "\n".join(map(plain, source.splitlines()))


def flags(sources):
    """What a person may want to look at: odd imports and names in the code, as sorted text. They decide nothing.

    The text is searched, not parsed: long code takes gigabytes to parse, and deep code ends older Pythons.
    """
    seen = set()
    for source in sources:
        if source.strip() in _handed_out():
            continue
        text = unicodedata.normalize("NFKC", source)  # as Python reads names
        for names in re.findall(r"\bimport[\s\\]+([^\n;#(]+)", re.sub(FROM, "", text)):
            modules = {name.split()[0] for name in names.split(",") if name.strip()}
            seen |= {f"imports {name}" for name in modules if name.split(".")[0] in ODD_MODULES - {"aigc_lessons"}}
        seen |= {f"imports from {name}" for name in re.findall(FROM, text) if name.split(".")[0] in ODD_MODULES}
        seen |= {f"uses {name}" for name in set(re.findall(r"\w+", text)) & ODD_NAMES}
        seen |= {"uses torch.library"} if "torch.library" in text else set()
    return sorted(seen)


@functools.cache
def _handed_out():
    """The code that the course itself puts into its exercise notebooks, cell by cell."""
    return {source.strip() for path in (COURSE / "exercises").glob("*.ipynb") for source in read(path)}
