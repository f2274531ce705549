"""Finding and reading what learners handed in. Nothing of it runs here."""

import functools
import json
import os
import re
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from ..exercises.inside.loading import without_magics as without_magics
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
}
FROM = r"\bfrom[\s\\]+([\w.]+)[\s\\]+import\b"


# The lessons that have exercises, by the words of their notebooks' names
WORDS = {
    11: "pixels and editing",
    12: "convolution",
    13: "classifier",
    21: "vae math",
    22: "vae",
    23: "gan math",
    24: "dcgan",
    25: "wgan",
    31: "conditional",
    41: "restoration",
    42: "inpainting",
    43: "pix2pix",
    44: "cyclegan",
    51: "fid and is",
}
DEEPEST = 30  # folders within folders
MEMBERS = 1_000  # files in a zip
LEFT_OUT = {".git", ".github", ".ipynb_checkpoints", "__MACOSX", "__pycache__"}
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
        member: which file of a zip. counts: False for one that another file of the same learner stands in for.
    """

    learner: str
    lesson: int | None
    path: Path
    problem: str | None = None
    member: str = ""
    note: str = ""
    counts: bool = True

    @property
    def file(self):
        """Its name, with the zip's around it."""
        return f"{self.path.name}: {self.member}" if self.member else self.path.name


def printable(text):
    """Text that any file and terminal can hold: control characters, and bytes of a file name that are no UTF-8, become question marks."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", str(text).encode("utf-8", "replace").decode())


def kind_of(name):
    """(what a file's name says it is: "notebook", "script", "zip" or None, the name without that ending)."""
    ends = [ending for ending in KINDS if name.lower().endswith(ending) and len(name) > len(ending)]
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
        learner = before if before and start < len(stem) else kind_of(name)[1]
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


def _walk(root):
    """(path, problem) of everything below `root` that may be a submission, in order. No link is followed, and nothing is opened."""
    found, folders = [], [root]
    while folders:
        folder = folders.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            found.append((folder, f"The folder cannot be read: {error.strerror}."))
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.name in LEFT_OUT or entry.name.startswith("._"):
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and len(path.relative_to(root).parts) >= DEEPEST:
                found.append((path, f"There are more than {DEEPEST} folders within folders."))
            elif is_folder:
                folders.append(path)
            if kind_of(entry.name)[0] is None:
                continue
            if entry.is_symlink():
                found.append((path, "It is a symbolic link; hand in the file itself."))
            elif not entry.is_file(follow_symlinks=False):
                if not (is_folder and kind_of(entry.name)[0] == "zip"):
                    found.append((path, "It is no file."))
            else:
                found.append((path, None))
    return sorted(found)


def _members(path):
    """The names of what may be a submission in a zip. Raises ValueError with a sentence."""
    try:
        with zipfile.ZipFile(path) as file:
            names = [entry.filename for entry in file.infolist()[: MEMBERS + 1]]
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        raise ValueError("The zip cannot be opened. Hand in the notebook itself.") from None
    if len(names) > MEMBERS:
        raise ValueError(f"The zip holds more than {MEMBERS:,} files. Hand in the notebook itself.")
    fit = [n for n in names if not any(p in LEFT_OUT or p.startswith("._") for p in n.split("/"))]
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
        raise ValueError(f"The zip holds {len(members)} files: {printable(', '.join(members[:5]))}. Keep one.")
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
    for path, problem in _walk(root):
        parts = path.relative_to(root).parts
        members = [""]
        if problem is None and kind_of(path.name)[0] == "zip":
            try:
                members = _members(path)
            except ValueError as error:
                problem = str(error)
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
        placed.append((place, Submission(place.learner, named, path, problem and printable(problem), member)))
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
        names = ", ".join(_below(root, s) for s in others)
        note = printable(f"It counts in place of {names}.")
        result[last.path, last.member] = replace(last, note=note)
        for s in others:
            text = printable(f"Not counted: {_below(root, last)} of the same learner counts.")
            result[s.path, s.member] = replace(s, note=text, counts=False)
        return result
    names = ", ".join(_below(root, s) for _, s in named)
    problem = printable(f"There are {len(named)} files for this learner and lesson: {names}. Keep one.")
    return {(s.path, s.member): replace(s, problem=problem) for _, s in group}


def _below(root, submission):
    path = str(submission.path.relative_to(root))
    return f"{path}: {submission.member}" if submission.member else path


def content(path, member=""):
    """A submission's bytes. Raises ValueError with a sentence for the learner, and OSError."""
    try:
        if not member:
            size = path.stat().st_size
            data = path.read_bytes() if size <= LARGEST else b""
        else:
            with zipfile.ZipFile(path) as file, file.open(member) as inside:
                data = inside.read(LARGEST + 1)
                size = max(len(data), file.getinfo(member).file_size)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError, zlib.error, EOFError):
        raise ValueError("The zip cannot be read. Hand in the notebook itself.") from None
    if size > LARGEST:
        raise ValueError(f"The file has {size:,} bytes; accepted are {LARGEST:,}. Clear the outputs and save it again.")
    return data


def read(path, member=""):
    """The code of a submission: a list of sources, one a cell. Raises ValueError with a sentence for the learner."""
    try:
        text = content(path, member).decode("utf-8-sig")
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
        text = _as_python_reads_names(source)
        for names in re.findall(r"\bimport[\s\\]+([^\n;#(]+)", re.sub(FROM, "", text)):
            modules = {name.split()[0] for name in names.split(",") if name.strip()}
            seen |= {f"imports {name}" for name in modules if name.split(".")[0] in ODD_MODULES - {"aigc_lessons"}}
        seen |= {f"imports from {name}" for name in re.findall(FROM, text) if name.split(".")[0] in ODD_MODULES}
        seen |= {f"uses {name}" for name in set(re.findall(r"\w+", text)) & ODD_NAMES}
        seen |= {"uses torch.library"} if "torch.library" in text else set()
    return sorted(seen)


def _as_python_reads_names(text):
    """Each word in NFKC, at most a name's length of it: normalising all of a text with half a million marks takes minutes."""
    if text.isascii():
        return text
    return re.sub(r"\w+", lambda w: w[0] if w[0].isascii() else unicodedata.normalize("NFKC", w[0][:100]), text)


@functools.cache
def _handed_out():
    """The code that the course itself puts into its exercise notebooks, cell by cell."""
    return {source.strip() for path in (COURSE / "exercises").glob("*.ipynb") for source in read(path)}
