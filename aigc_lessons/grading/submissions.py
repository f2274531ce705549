"""Finding and reading what learners handed in. Nothing of it runs here."""

import errno
import functools
import io
import itertools
import json
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from ..exercises.trained import handed_in
from ..settings import COURSE

LARGEST = 10_000_000  # bytes of a file
LONGEST = 1_000_000  # characters of code
DEEPEST = 20  # folders within folders
MOST = 5_000  # files and folders of one learner
LISTED = 5  # names in a sentence
TOOLS = {"__MACOSX", "__pycache__", ".ipynb_checkpoints", ".virtual_documents"}
TOOLS |= {".git", ".github", ".venv", ".vscode", ".idea"}
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
    "loading",
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


# The lessons that have exercises, by the words of their notebooks' names
WORDS = {
    11: "pixels and editing",
    12: "convolution",
    13: "classifier",
    14: "overfitting",
    21: "vae math",
    22: "vae",
    23: "gan math",
    24: "dcgan",
    25: "wgan",
    26: "autoregressive",
    31: "conditional",
    32: "text to image",
    33: "crf",
    41: "restoration",
    42: "inpainting",
    43: "pix2pix",
    44: "cyclegan",
    45: "style transfer",
    51: "fid and is",
    52: "bias and memory",
    61: "diffusion",
    62: "guidance and editing",
    63: "flow matching",
    64: "latent diffusion",
}
MEMBERS = 1_000  # files in a zip
KINDS = {
    ".ipynb": "notebook",
    ".ipynb.json": "notebook",
    ".ipynb.txt": "notebook",
    ".py": "script",
    ".py.txt": "script",
    ".zip": "zip",
}
# How learning platforms wrap a learner's name around a file or a folder
WRAPPERS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"(?P<learner>.+?)_\d+_assignsubmission_(?:file|onlinetext)_?(?P<rest>.*)",  # Moodle
        r"(?P<before>.*)_(?P<learner>[^_]+)_attempt_\d{4}(?:-\d\d){5}_?(?P<rest>.*)",  # Blackboard
        r"\d+-\d+ - (?P<learner>.+?) - [^-]*\d{4}[^-]*?(?:AM|PM)?(?: - (?P<rest>.*))?",  # Brightspace
        r"(?P<learner>[^_]+)(?:_LATE)?_\d{3,}_\d{3,}_(?P<rest>.+)",  # Canvas
    )
)
COPY = re.compile(r"(?: ?\((\d{1,4})\)|-Copy(\d{1,4})| - Copy(?: ?\((\d{1,4})\))?| copy(?: (\d{1,4}))?)$")
COPY_OF = re.compile(r"(?:(?:copy of|copie de|copia de|kopie von|cópia de) )+", re.IGNORECASE)
DATE = re.compile(
    r"\d{4}[-_.]\d\d[-_.]\d\d(?:[-_T ]\d\d[-_.:h]\d\d(?:[-_.:]\d\d)?)?|(?<!\d)\d\d[-_.]\d\d[-_.](?:\d{4}|\d\d)(?!\d)"
)
NUMBER = re.compile(
    r"(?<![A-Za-z0-9])(?P<called>(?:lesson|exercise|assignment|homework|ex|hw|lab|lektion|übung|lección|leçon|课|第)[ _#-]*)?"
    r"(?P<number>[0-9][0-9])(?![0-9])",
    re.IGNORECASE,
)
NO_LESSON = re.compile(
    r"(?:group|grp|gruppe|groupe|grupo|team|section|room|period|class|klasse|week|woche|seat|student|no|nr|part|version|v|组|班)[ _.#-]*$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Submission:
    """A file that was handed in.

    Attributes:
        problem: why it cannot be graded, or None. note: what else to say of it.
        root: the folder below which no link is followed. member: which file of a zip.
        counts: False for one that another file of the same learner stands in for.
    """

    learner: str
    lesson: int | None
    path: Path
    problem: str | None = None
    root: Path | None = None
    member: str = ""
    note: str = ""
    counts: bool = True

    @property
    def file(self):
        """Its name, with the zip's around it."""
        return f"{self.path.name}: {self.member}" if self.member else self.path.name


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


def kind_of(name):
    """(what a file's name says it is: "notebook", "script", "zip" or None, the name without that ending)."""
    ends = [ending for ending in KINDS if name.lower().endswith(ending)]
    longest = max(ends, key=len, default="")
    return KINDS.get(longest), name[: len(name) - len(longest)]


def lesson_in(text, lessons=frozenset(WORDS)):
    """(lesson, how surely, where it stands) that a name says: the last number of two digits that is a lesson and whose words fit.

    How surely: 2, its words stand there too, or it is called a lesson; 1, a number alone; 0, no lesson, and `lesson` is then a
    number that is none, or None.
    """
    text = DATE.sub(lambda date: "~" * len(date[0]), text)
    best, other = (None, 0, len(text)), None
    for match in NUMBER.finditer(text):
        lesson, after = int(match["number"]), text[match.end() :]
        words = [w for w in re.split(r"[\W_]+", after.lower()) if w]
        wanted = WORDS.get(lesson, "").split()
        fits = bool(words and wanted) and len(words[0]) > 2 and wanted[0].startswith(words[0][: len(wanted[0])])
        if lesson not in lessons or (not fits and (after[:1].isascii() and after[:1].isalpha())):
            other = lesson if lesson not in lessons else other
            continue
        if NO_LESSON.search(text[: match.start()]) and not fits:
            continue
        surely = 2 if fits or match["called"] else 1
        if surely >= best[1]:
            best = lesson, surely, match.start()
    return best if best[1] else (other, 0, len(text))


def _unwrapped(name):
    """(learner, rest) of a name that a platform wrote; (None, name) of any other."""
    for wrapper in WRAPPERS:
        match = wrapper.fullmatch(name)
        if match:
            parts = match.groupdict()
            rest = parts["rest"] or parts.get("before") or ""
            return match["learner"].strip(), rest if parts["rest"] is None or lesson_in(rest)[1] else (
                f"{parts.get('before') or ''} {rest}".strip()
            )
    return None, name


def _without_copies(stem):
    """(stem, number) without what browsers and JupyterLab add to a second file of a name: " (1)", "-Copy1"."""
    number = 0
    while match := COPY.search(stem):
        stem, number = stem[: match.start()], max(number, int(next(filter(None, match.groups()), 1)))
    return stem, number


@dataclass(frozen=True)
class _Place:
    """What a path says: whose it is, of which lesson and how surely, and which copy of which name."""

    learner: str
    lesson: int | None
    surely: int
    stem: str
    copy: int


def _place(parts, lessons):
    """The _Place of a path below the submissions, in its parts."""
    *folders, name = [unicodedata.normalize("NFC", part) for part in parts]
    assignment = ""
    if folders and _is_assignment(folders[0], lessons):  # 12_convolution/anna/answers.ipynb, 12_convolution/anna.ipynb
        assignment, *folders = folders
    plain = COPY_OF.sub("", kind_of(name)[1])
    wrapped, rest = _unwrapped(plain)
    stem, copy = _without_copies(rest)
    if wrapped and (resubmitted := re.fullmatch(r"(.*[^\d-])-(\d{1,2})", stem, re.DOTALL)):  # Canvas
        stem, copy = resubmitted[1], int(resubmitted[2])
    lesson, surely, start = lesson_in(stem, lessons)
    if surely < 2:
        for folder in (*reversed(folders), assignment):
            inner, sure, _ = lesson_in(folder, lessons)
            if sure == 2 or (sure and re.fullmatch(r"\d\d", folder)):
                lesson, surely = inner, 2
                break
    if folders:
        learner = _unwrapped(folders[0])[0] or _after_the_assignment(folders[0], lessons)
    elif wrapped:
        learner = wrapped
    else:
        before = stem[:start].strip(" _-~") if lesson_in(stem, lessons)[1] or lesson is not None else ""
        learner = before if before and start < len(stem) else kind_of(name)[1] or name
    return _Place(learner, lesson, surely, "/".join([*folders, stem]), copy)


def _is_assignment(folder, lessons):
    """Whether a folder's name is a lesson's and nobody's: 12_convolution, 12-convolution-submissions."""
    lesson, surely, start = lesson_in(folder, lessons)
    if not surely or start:
        return False
    words = [w for w in re.split(r"[\W_\d]+", folder.lower()) if w]
    return set(words) <= {
        *WORDS.get(lesson, "").split(),
        "lesson",
        "exercise",
        "assignment",
        "submissions",
        "submitted",
    }


def _after_the_assignment(folder, lessons):
    """anna, of GitHub Classroom's 12-convolution-anna; any other folder's name as it is."""
    lesson, surely, start = lesson_in(folder, lessons)
    if surely < 2 or start:
        return folder
    slug = r"[ _-]+".join(map(re.escape, WORDS[lesson].split()))
    match = re.fullmatch(rf"(?:[a-z]+[ _-]*)?\d\d[ _-]+{slug}[ _-]+(.+)", folder, re.IGNORECASE | re.DOTALL)
    return match[1] if match else folder


def files(root, lessons):
    """(path, None) of everything below `root` that may be a submission, in order; (path, why) for what is not looked into any further.

    No recursion, no links followed, nothing opened, and each learner's share is bounded, so that no folder stops the run.
    """
    found, seen, waiting = [], Counter(), [root]
    while waiting:
        folder = waiting.pop()
        parts = folder.relative_to(root).parts
        share = parts[: 2 if parts and _is_assignment(parts[0], lessons) else 1]
        shared = not parts or parts == share[:1] and _is_assignment(parts[0], lessons)
        try:
            with os.scandir(folder) as entries:
                listed = list(entries if shared else itertools.islice(entries, MOST + 1))
        except OSError as error:
            if not parts:
                raise
            found.append((folder, f"The folder cannot be read: {error.strerror}."))
            continue
        seen[share] += 0 if shared else len(listed)
        whose = root.joinpath(*share)
        if seen[share] > MOST:
            found.append((whose, f"It holds more than {MOST:,} files and folders. Hand in the one file alone."))
            waiting = [other for other in waiting if not other.is_relative_to(whose)]
            continue
        for entry in listed:
            if entry.name in TOOLS or entry.name.startswith("._"):
                continue
            path, is_folder = folder / entry.name, entry.is_dir(follow_symlinks=False)
            if is_folder and len(parts) == DEEPEST:
                found.append((whose, f"It holds folders more than {DEEPEST} deep. Hand in the one file alone."))
            elif is_folder:
                waiting.append(path)
            kind = kind_of(entry.name)[0]
            if entry.is_symlink() and (kind or (shared and entry.is_dir())):
                found.append((path, "It is a symbolic link; hand in the file itself."))
            elif kind and not entry.is_file(follow_symlinks=False):
                found += [] if is_folder and kind == "zip" else [(path, "It is no file.")]
            elif kind:
                found.append((path, None))
    return sorted(dict.fromkeys(found), key=lambda pair: pair[0])


def _members(path, root=None):
    """The names of what may be a submission in a zip. Raises ValueError with a sentence, and OSError."""
    try:
        with zipfile.ZipFile(io.BytesIO(content(path, root=root))) as file:
            names = [entry.filename for entry in file.infolist()[: MEMBERS + 1]]
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError):
        raise ValueError("The zip cannot be opened. Hand in the notebook itself.") from None
    if len(names) > MEMBERS:
        raise ValueError(f"The zip holds more than {MEMBERS:,} files. Hand in the notebook itself.")
    fit = [n for n in names if not any(p in TOOLS or p.startswith("._") for p in n.split("/"))]
    fit = [n for n in fit if kind_of(n.split("/")[-1])[0] in ("notebook", "script")]
    if not fit:
        raise ValueError("The zip holds no notebook and no .py file.")
    return sorted(fit)


def only_member(path):
    """Which file of a zip is the submission; "" for what is no zip. Raises ValueError where it holds several."""
    if kind_of(path.name)[0] != "zip":
        return ""
    members = _members(path)
    if len(members) > 1:
        members = [m for m in members if lesson_in(kind_of(m.split("/")[-1])[1])[1] == 2] or members
    if len(members) > 1:
        raise ValueError(f"The zip holds {len(members)} files: {printable(_listed(members))}. Keep one.")
    return members[0]


def find(root, lessons, lesson=None, learner=None):
    """Every notebook, .py file and zip of them below `root`, as Submissions, in the order of their names.

    The learner and the lesson are in a path: LEARNER/12_anything.ipynb, LEARNER_12_anything.ipynb, or what Moodle, Canvas, Blackboard,
    Brightspace, Google Classroom, nbgrader and GitHub Classroom make of it. With `lesson`, only that one; a file that says no lesson
    then counts as of it, unless the learner has one that does. Of copies, "x.ipynb" and "x (1).ipynb", the last one counts. Symbolic
    links are not followed.

    Args: lessons: the numbers that have exercises. learner: whose all of it is, whatever it is called.
    """
    found = []
    for path, problem in files(root, lessons):
        parts = path.relative_to(root).parts
        members = [""]
        if problem is None and kind_of(path.name)[0] == "zip":
            try:
                members = _members(path, root)
            except ValueError as error:
                problem = str(error)
            except OSError as error:
                problem = f"The file cannot be read: {error.strerror}."
        for member in members:
            inner = [p for p in member.split("/") if p not in ("", ".", "..")]
            place = _place(
                (*parts, *inner) if len(parts) > 1 or not inner else _of_a_zip(parts[0], inner, lessons), lessons
            )
            if learner is not None:
                place = _Place(
                    learner, place.lesson if place.lesson == lesson else lesson, place.surely, place.stem, place.copy
                )
            found.append((place, path, member, problem))
    return _settled(root, found, lessons, lesson)


def _of_a_zip(name, inner, lessons):
    """The parts that say whose a zip at the top is: anna_12.zip with x.ipynb in it is anna's."""
    place = _place((name,), lessons)
    named = [place.lesson] if place.surely and not lesson_in(inner[-1], lessons)[1] else []
    return (place.learner, *(f"{n:02} {WORDS.get(n, '')}" for n in named), *inner[:-1], inner[-1])


def _settled(root, found, lessons, lesson):
    """Submissions of (place, path, member, problem): which of several files of a learner and lesson counts."""
    placed = []
    for place, path, member, problem in found:
        named = place.lesson if place.surely or lesson is None else lesson
        if lesson is not None and named != lesson:
            continue
        if problem is None and named is None:
            whose = place.learner
            problem = (
                f"Its name says no lesson. Accepted: {whose}/12_anything.ipynb or {whose}_12.ipynb, or give --lesson."
            )
        elif problem is None and named not in lessons:
            problem = f"There is no lesson {named} with exercises. There are: {', '.join(map(str, sorted(lessons)))}."
        placed.append((place, Submission(place.learner, named, path, problem and printable(problem), root, member)))
    same = {}
    for place, s in placed:
        if s.problem is None:
            same.setdefault((s.learner, s.lesson), []).append((place, s))
    standing = {}
    for group in same.values():
        if len(group) > 1:
            standing.update(_chosen(root, group))
    return [standing.get((s.path, s.member), s) for _, s in placed]


def _chosen(root, group):
    """{(path, member): Submission} for several files of one learner and lesson."""
    best = max(place.surely > 0 for place, _ in group)
    named = [(place, s) for place, s in group if (place.surely > 0) == best]
    if not best:  # a helper.py beside a notebook
        named = [(place, s) for place, s in named if not is_script(s.path, s.member)] or named
    copies = {place.stem for place, _ in named}
    ranks = sorted(place.copy for place, _ in named)
    result = {}
    if len(named) == 1 or len(copies) == 1 and ranks[-1] > ranks[-2]:
        last = max(named, key=lambda pair: pair[0].copy)[1]
        others = [s for _, s in group if s is not last]
        names = _listed([_below(root, s) for s in others])
        note = printable(f"It counts in place of {names}.")
        result[last.path, last.member] = replace(last, note=note)
        for s in others:
            text = printable(f"Not counted: {_below(root, last)} of the same learner counts.")
            result[s.path, s.member] = replace(s, note=text, counts=False)
        return result
    names = _listed([_below(root, s) for _, s in named])
    problem = printable(f"There are {len(named)} files for this learner and lesson: {names}. Keep one.")
    return {(s.path, s.member): replace(s, problem=problem) for _, s in group}


def _below(root, submission):
    path = str(submission.path.relative_to(root))
    return f"{path}: {submission.member}" if submission.member else path


def _listed(names):
    """The first few of them, since every one of thousands of files says the same sentence."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def content(path, member="", root=None):
    """The bytes of a submission, or of one file of a zip. Raises ValueError with a sentence for the learner; OSError where the system refuses.

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
    _of_bearable_size(size)
    return _inside(data, member) if member else data


def _inside(data, member):
    """The bytes of one file of a zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file, file.open(member) as inside:
            content = inside.read(LARGEST + 1)
            size = max(len(content), file.getinfo(member).file_size)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError, zlib.error, EOFError, UnicodeDecodeError):
        raise ValueError("The zip cannot be read. Hand in the notebook itself.") from None
    _of_bearable_size(size)
    return content


def _of_bearable_size(size):
    if size > LARGEST:
        raise ValueError(
            f"The file has {size:,} bytes; accepted are {LARGEST:,}. Clear the outputs of all cells but the checks, and save it again."
        )


def read(path, member="", root=None):
    """The code of a submission: a list of sources, one a cell. Raises ValueError with a sentence for the learner.

    Args: member, root: as in `content`.
    """
    try:
        text = content(path, member, root).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("The file is not text in UTF-8. Save it again from JupyterLab or your editor.") from None
    if is_script(path, member):
        return _of_bearable_length([text.replace("\r\n", "\n").replace("\r", "\n")])
    try:
        notebook = json.loads(text)
        cells = notebook["cells"]
        sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
        language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("The file is not a whole notebook. Save it again from JupyterLab.") from None
    if str(language).lower() not in ("python", "python3"):
        raise ValueError(f"The notebook's language is {str(language)[:40]!r}; the exercises are in Python.")
    return _of_bearable_length([source.replace("\r\n", "\n").replace("\r", "\n") for source in sources])


def trained(path, member="", root=None):
    """{exercise: weights as bytes} that stand in a notebook's outputs; none in a script. Args: as of `read`, which was asked before."""
    if is_script(path, member):
        return {}
    cells = json.loads(content(path, member, root).decode("utf-8-sig"))["cells"]
    markup = []
    for cell in cells:
        outputs = cell.get("outputs")
        for output in outputs if isinstance(outputs, list) else []:
            data = output.get("data") if isinstance(output, dict) else None
            text = data.get("text/html", "") if isinstance(data, dict) else ""
            markup.append("".join(map(str, text)) if isinstance(text, list) else str(text))
    return handed_in("\n".join(markup))


def is_script(path, member=""):
    """Whether it is one text of Python, and no notebook."""
    return kind_of(member.split("/")[-1] if member else path.name)[0] == "script"


def _of_bearable_length(sources):
    if (length := sum(map(len, sources))) > LONGEST:
        raise ValueError(f"The code has {length:,} characters; accepted are {LONGEST:,}.")
    return sources


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
