"""Finding and reading what learners handed in. Nothing of it runs here."""

import errno
import functools
import itertools
import json
import os
import re
import stat
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..settings import COURSE

LARGEST = 10_000_000  # bytes of a file
LONGEST = 1_000_000  # characters of code
DEEPEST = 20  # folders within folders
MOST = 5_000  # files and folders of one learner
LISTED = 5  # names in a sentence
TOOLS = {"__MACOSX", "__pycache__", ".ipynb_checkpoints", ".virtual_documents", ".git", ".venv", ".vscode", ".idea"}
BLANK = set(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
)  # show nothing; no format characters
MARKS = 4  # on one letter; the writing of no language needs more
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
    """A file that was handed in. `problem`: why it cannot be graded, or None. `root`: the folder below which no link is followed."""

    learner: str
    lesson: int | None
    path: Path
    problem: str | None = None
    root: Path | None = None


def visible(text):
    """Text without what a reader cannot see: characters of no width, and those that turn the direction of reading, become their
    numbers (\\u202e), and so do marks that pile up on one letter."""
    if text.isascii():
        return text
    shown, marks = [], 0
    for character in text:
        kind = unicodedata.category(character)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        selects = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
        hidden = kind in ("Cf", "Cn", "Co", "Zl", "Zp") or character in BLANK or selects or marks > MARKS
        shown.append(character.encode("unicode_escape").decode() if hidden else character)
    return "".join(shown)


def printable(text):
    """Text that any file, page and terminal can hold: control characters, and bytes of a file name that are no UTF-8, become
    question marks; what cannot be seen is shown by its number."""
    return visible(re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", str(text).encode("utf-8", "replace").decode()))


def files(root):
    """(path, None) for every notebook and .py file below `root`; (path, why) for what is not looked into any further.

    No recursion, no links followed, and each learner's share is bounded, so that no folder stops the run.
    """
    found, seen, waiting = [], Counter(), [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        learner = folder.relative_to(root).parts[:1]
        try:
            with os.scandir(folder) as entries:
                listed = list(itertools.islice(entries, MOST + 1) if depth else entries)
        except OSError as error:
            if not depth:
                raise
            found.append((folder, f"The folder cannot be read: {error.strerror}."))
            continue
        seen[learner] += len(listed) if depth else 0
        if seen[learner] > MOST:
            found.append(
                (root / learner[0], f"It holds more than {MOST:,} files and folders. Hand in the one file alone.")
            )
            waiting = [(other, d) for other, d in waiting if other.relative_to(root).parts[:1] != learner]
            continue
        for entry in listed:
            path = folder / entry.name
            if entry.name in TOOLS or entry.name.startswith("._"):
                continue
            if entry.is_dir(follow_symlinks=False) and depth == DEEPEST:
                found.append(
                    (root / learner[0], f"It holds folders more than {DEEPEST} deep. Hand in the one file alone.")
                )
            elif entry.is_dir(follow_symlinks=False):
                waiting.append((path, depth + 1))
            if entry.name.lower().endswith((".ipynb", ".py")):
                found.append((path, None))
            elif not depth and entry.is_symlink() and entry.is_dir():
                found.append((path, "It is a symbolic link; hand in the file itself."))
    return sorted(dict.fromkeys(found), key=lambda pair: pair[0])


def find(root, lessons, lesson=None):
    """Every notebook and .py file below `root`, as Submissions, in the order of their names.

    LEARNER/12_anything.ipynb (the folder names the learner) or LEARNER_12_anything.ipynb (the file does). With `lesson`, only
    that one; a file that says no lesson then counts as of it. Symbolic links are not followed.

    Args: lessons: the numbers that have exercises.
    """
    found = []
    for path, trouble in files(root):
        below = path.relative_to(root)
        if trouble:
            found.append(Submission(below.parts[0], lesson, path, printable(trouble)))
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
        found.append(Submission(learner, named, path, problem and printable(problem), root))
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
                f"{_listed([other.path for other in same], root)}. Keep one."
            ),
        )
        if s.problem is None and len(same := twice[s.learner, s.lesson]) > 1
        else s
        for s in found
    ]


def _listed(paths, root):
    """The first few of them, since every one of thousands of files says the same sentence."""
    more = f" and {len(paths) - LISTED} more" if len(paths) > LISTED else ""
    return ", ".join(str(path.relative_to(root)) for path in paths[:LISTED]) + more


def content(path, root=None):
    """The bytes of a submission. Raises ValueError with a sentence for the learner; OSError where the system refuses.

    It may be another thing than it was when it was found: a pipe is not waited for, and below `root` no link is followed.
    """
    opened, flags = [], os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if root is None:
            opened.append(os.open(path, flags))
        else:
            opened.append(os.open(root, os.O_RDONLY | os.O_DIRECTORY))
            *folders, name = path.relative_to(root).parts
            for folder in folders:
                opened.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened[-1]))
            opened.append(os.open(name, flags | os.O_NOFOLLOW, dir_fd=opened[-1]))
        if not stat.S_ISREG(os.fstat(opened[-1]).st_mode):
            raise ValueError("It is no file.")
        with open(opened[-1], "rb", closefd=False) as file:
            data = file.read(LARGEST + 1)
        size = max(len(data), os.fstat(opened[-1]).st_size)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):  # a link; a link for a folder; a socket
            raise ValueError("It is a symbolic link or no file; hand in the file itself.") from None
        raise
    finally:
        for descriptor in opened:
            os.close(descriptor)
    if size > LARGEST:
        raise ValueError(f"The file has {size:,} bytes; accepted are {LARGEST:,}. Clear the outputs and save it again.")
    return data


def read(path, root=None):
    """The code of a submission: a list of sources, one a cell. Raises ValueError with a sentence for the learner.

    Args: root: as in `content`.
    """
    try:
        text = content(path, root).decode("utf-8-sig")
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
        text = _as_names(source)
        for names in re.findall(r"\bimport[\s\\]+([^\n;#(]+)", re.sub(FROM, "", text)):
            modules = {name.split()[0] for name in names.split(",") if name.strip()}
            seen |= {f"imports {name}" for name in modules if name.split(".")[0] in ODD_MODULES - {"aigc_lessons"}}
        seen |= {f"imports from {name}" for name in re.findall(FROM, text) if name.split(".")[0] in ODD_MODULES}
        seen |= {f"uses {name}" for name in set(re.findall(r"\w+", text)) & ODD_NAMES}
        seen |= {"uses torch.library"} if "torch.library" in text else set()
    return sorted(seen)


def _as_names(source):
    """Code with its letters as Python reads them in names. A hundred at a time: the time that this takes grows with the square of
    the marks on one letter."""
    return re.sub(r"[^\x00-\x7f]{1,100}", lambda run: unicodedata.normalize("NFKC", run[0]), source)


@functools.cache
def _handed_out():
    """The code that the course itself puts into its exercise notebooks, cell by cell."""
    return {source.strip() for path in (COURSE / "exercises").glob("*.ipynb") for source in read(path)}
