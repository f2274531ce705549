"""Finding and reading what learners handed in. Nothing of it runs here."""
import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path

LARGEST = 10_000_000                           # bytes of a file
ODD_MODULES = {"os", "sys", "subprocess", "socket", "ctypes", "inspect", "gc", "signal", "multiprocessing", "threading", "pickle", "marshal",
               "importlib", "builtins", "shutil", "pathlib", "requests", "urllib", "resource", "pty", "mmap", "aigc_lessons"}
ODD_NAMES = {"eval", "exec", "__import__", "compile", "globals", "open", "setattr", "_getframe", "currentframe", "__torch_function__",
             "__torch_dispatch__", "__subclasses__", "TorchDispatchMode", "TorchFunctionMode"}


@dataclass(frozen=True)
class Submission:
    """A file that was handed in. `problem`: why it cannot be graded, or None."""
    learner: str
    lesson: int | None
    path: Path
    problem: str | None = None


def find(root, lessons, lesson=None):
    """Every notebook and .py file below `root`, as Submissions, in the order of their names.

    LEARNER/12_anything.ipynb (the folder names the learner) or LEARNER_12_anything.ipynb (the file does). With `lesson`, only
    that one; a file that says no lesson then counts as of it. Symbolic links are not followed.

    Args: lessons: the numbers that have exercises.
    """
    found = []
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in (".ipynb", ".py")):
        below = path.relative_to(root)
        if any(part.startswith(".") for part in below.parts):                       # .ipynb_checkpoints and their like
            continue
        match = re.fullmatch(r"(?:(.*?)[ _-]+)?(\d\d)(?:[ _.-].*)?", path.stem) if len(below.parts) == 1 else re.match(r"()(\d\d)(?!\d)", path.stem)
        named = int(match[2]) if match else lesson
        learner = below.parts[0] if len(below.parts) > 1 else match[1] if match and match[1] else path.stem
        if lesson is not None and named != lesson:
            continue
        problem = None
        if path.is_symlink() or any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(root) and parent != root):
            problem = "It is a symbolic link; hand in the file itself."
        elif not path.is_file():
            problem = "It is no file."
        elif named is None:
            problem = f"Its name says no lesson. Accepted: {learner}/12_anything.ipynb or {learner}_12.ipynb, or give --lesson."
        elif named not in lessons:
            problem = f"There is no lesson {named} with exercises. There are: {', '.join(map(str, sorted(lessons)))}."
        found.append(Submission(learner, named, path, problem))
    twice = {}
    for s in found:
        twice.setdefault((s.learner, s.lesson), []).append(s)
    return [Submission(s.learner, s.lesson, s.path, f"There are {len(same)} files for this learner and lesson: "
                       f"{', '.join(str(other.path.relative_to(root)) for other in same)}. Keep one.")
            if s.problem is None and len(same := twice[s.learner, s.lesson]) > 1 else s for s in found]


def read(path):
    """The code of a submission: a list of sources, one a cell. Raises ValueError with a sentence for the learner."""
    if path.stat().st_size > LARGEST:
        raise ValueError(f"The file has {path.stat().st_size:,} bytes; accepted are {LARGEST:,}. Clear the outputs and save it again.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("The file is not text in UTF-8. Save it again from JupyterLab or your editor.") from None
    if path.suffix.lower() == ".py":
        return [text]
    try:
        notebook = json.loads(text)
        cells = notebook["cells"]
        sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
        language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("The file is not a whole notebook. Save it again from JupyterLab.") from None
    if str(language).lower() != "python":
        raise ValueError(f"The notebook's language is {str(language)[:40]!r}; the exercises are in Python.")
    return sources


def flags(sources):
    """What a person may want to look at: odd imports and names in the code, as sorted text. They decide nothing."""
    seen = set()
    for source in sources:
        lines = ["pass" if line.lstrip().startswith(("%", "!", "?")) else line for line in source.splitlines()]
        try:
            tree = ast.parse("\n".join(lines))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if "importlib.util, os, subprocess, sys" in source and "missing(" in source:     # the course's own first cell
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                seen |= {f"imports {a.name}" for a in node.names if a.name.split(".")[0] in ODD_MODULES - {"aigc_lessons"}}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ODD_MODULES:
                seen.add(f"imports from {node.module}")
            elif isinstance(node, ast.Name) and node.id in ODD_NAMES or isinstance(node, ast.Attribute) and node.attr in ODD_NAMES:
                seen.add(f"uses {node.id if isinstance(node, ast.Name) else node.attr}")
    return sorted(seen)
