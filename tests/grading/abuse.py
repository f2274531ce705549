"""What a submission can do to the judge and the class instead of to its own grade: folders, names, files that change, frames.

Each entry says what must come of it. Files that need no sandbox to be refused stay unreadable, so that many kinds cost little.
"""

import os
import socket
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bank

UNREADABLE, REFUSED = b"\xff", "not text in UTF-8"
FIELD = bank.answer("receptive_field", bank.RIGHT["receptive_field"])  # the exercise that takes least time
MOST = 300  # of a learner's files and folders, in place of the judge's 5,000: they take long to write
MARKS = "\u0301\u0316"  # of two classes, so that a run of them has to be sorted


@dataclass(frozen=True)
class Abuse:
    """One kind. `files`: (path, content) below the submissions. `make`: function (submissions) for what is no plain file.

    `swap`: function (path, outside), done to the first file after the judge has found it. `says`: words of the reason of a row of
    `learner`; `points`: what that row earns.
    """

    group: str
    what: str
    learner: str
    files: tuple = ()
    says: str = ""
    points: int = 0
    make: Callable | None = None
    swap: Callable | None = None


def honest():
    """The class that must not notice: {path: content}."""
    wrong = bank.as_notebook(["import torch", *(bank.answer(name, "return torch.zeros(1)") for name in bank.LESSON)])
    return {
        "anna/12_answers.ipynb": bank.whole(),
        "bo/12_answers.ipynb": wrong,
        "cem_12.py": FIELD.encode(),
    }


def descend(root, names, last=None):
    """Make folders within folders, as deep as no path could say; `last`: (name, content) of a file in the last one."""
    here = os.open(root, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    if last:
        file = os.open(last[0], os.O_CREAT | os.O_WRONLY, dir_fd=here)
        os.write(file, last[1])
        os.close(file)
    os.close(here)


def _many(learner, name, count):
    def make(root):
        (root / learner).mkdir(exist_ok=True)
        for i in range(count):
            (root / learner / name.format(i)).touch()

    return make


def _links(root):
    """A learner whose folder is another's, and one whose folder holds itself."""
    (root / "a whole folder").symlink_to(root / "anna")
    (root / "round and round").mkdir()
    (root / "round and round" / "again").symlink_to(root / "round and round")


def folders():
    deep, long = ["d"] * 1500, ["e" * 100] * 300
    last = ("12_a.py", FIELD.encode())
    return [
        Abuse("folders", "1,500 deep", "deep", (), "deep", 0, lambda root: descend(root, ["deep", *deep], last)),
        Abuse("folders", "30,000 characters deep", "long", (), "deep", 0, lambda root: descend(root, ["long", *long])),
        Abuse(
            "folders",
            "1,500 deep, beside a right file",
            "beside",
            (("beside/12_a.py", FIELD.encode()),),
            "Correct",
            bank_points("receptive_field"),
            lambda root: descend(root / "beside", deep, last),
        ),
        Abuse("folders", "too many empty files", "wide", (), f"more than {MOST}", 0, _many("wide", "{}.txt", MOST + 1)),
        Abuse("folders", "100 answers", "often", (), "and 95 more", 0, _many("often", "12_a{}.py", 100)),
        Abuse("folders", "a link to a neighbour's folder", "a whole folder", (), "symbolic link", 0, _links),
        Abuse(
            "folders",
            "a folder that holds itself",
            "round and round",
            (("round and round/12_a.py", UNREADABLE),),
            REFUSED,
        ),
    ]


def _to_link(target):
    def swap(path, outside):
        path.unlink()
        path.symlink_to(target if os.path.isabs(target) else outside / target)

    return swap


def _to_pipe(path, outside):
    path.unlink()
    os.mkfifo(path)


def _to_socket(path, outside):
    path.unlink()
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def _to_folder(path, outside):
    path.unlink()
    path.mkdir()


def _grown(path, outside):
    with open(path, "r+b") as file:
        file.truncate(3_000_000_000)


def _folder_to_link(path, outside):
    path.rename(outside / "was.py")
    path.parent.rmdir()
    path.parent.symlink_to(outside / "right")


def swaps():
    """Files that are right when they are found, and something else when they are read."""
    kinds = {
        "a pipe": (_to_pipe, "no file"),
        "a link to another's answers": (_to_link("right/12_a.py"), "symbolic link"),
        "a link to the judge's own file": (_to_link("secret.py"), "symbolic link"),
        "a link to /dev/zero": (_to_link("/dev/zero"), "symbolic link"),
        "a folder that is now a link": (_folder_to_link, "symbolic link"),
        "a socket": (_to_socket, "no file"),
        "a folder": (_to_folder, "no file"),
        "nothing": (lambda path, outside: path.unlink(), "cannot be read"),
        "3 GB": (_grown, "bytes; accepted are"),
    }
    return [
        Abuse(
            "swapped after it was found",
            what,
            f"swap {i}",
            ((f"swap {i}/12_a.py", FIELD.encode()),),
            says,
            0,
            None,
            swap,
        )
        for i, (what, (swap, says)) in enumerate(kinds.items())
    ]


def names():
    """Names that hide, and names that a spreadsheet or a reader takes for something else."""
    points = bank_points("receptive_field")
    right = [
        (".ana", ".ana/12_a.py", "a learner's folder with a dot"),
        (".ben", ".ben_12.py", "a file with a dot"),
        ("cara", "cara/.hidden/12_a.py", "a folder with a dot in between"),
    ]
    left_out = [("dora/12_a.py", FIELD.encode()), ("dora/._12_a.py", b"\0"), ("dora/.ipynb_checkpoints/12_a.py", b"1")]
    refused = {
        "dots alone": "..dots/12_a.py",
        "nothing but a suffix": "nameless/.py",
        "a formula between semicolons": "x;=1+1;/12_a.py",
        "a formula behind a quotation mark": 'x;"=1+1";"/12_a.py',
        "a formula behind a tab": "x\t=1+1/12_a.py",
        "a formula behind a semicolon and a blank": "x; @SUM(A1)/12_a.py",
        "a formula in the file's name": "formula/12_a;=HYPERLINK(1);.py",
        "right to left from here": "eva \u202eyp.21/12_a.py",
        "an isolate that is not closed": "ida \u2067x/12_a.py",
        "a space of no width": "anna\u200b/12_a.py",
        "joiners": "an\u2060n\ufeffa/12_a.py",
        "a soft hyphen": "an\u00adna/12_a.py",
        "tags": "anna\U000e0041\U000e0042/12_a.py",
        "a variation": "anna\ufe0f/12_a.py",
        "a letter that is blank": "anna\u3164/12_a.py",
        "a line's end": "anna\u2028x/12_a.py",
        "marks in a pile": "a" + "\u0301" * 60 + "/12_a.py",
        "private characters": "anna\ue000/12_a.py",
    }
    return [
        *(Abuse("names", what, who, ((path, FIELD.encode()),), "Correct", points) for who, path, what in right),
        Abuse("names", "what systems leave beside", "dora", tuple(left_out), "Correct", points),
        *(
            Abuse(
                "names",
                what,
                unicodedata.normalize("NFC", Path(path).parts[0]),
                ((path, UNREADABLE),),
                "says no lesson" if "less" in path else REFUSED,
            )
            for what, path in refused.items()
        ),
    ]


def _answers(learner, bodies):
    """One file with an answer for each exercise of the lesson, and an entry for each: {what: (its body, word of its reason)}."""
    answers = list(zip(bank.LESSON, bodies.items()))
    cells = [bank.answer(name, body, "import torch") for name, (_, (body, _)) in answers]
    file = (f"{learner}/12_a.ipynb", bank.as_notebook(cells))
    return [Abuse("frames", what, learner, (file,), f"{name}: {says}") for name, (what, (_, says)) in answers]


def frames():
    """Answers that are small where they are sent and large where they are read."""
    many = "return [type(f'{}{{i}}', (), {{}})() for i in range({})]"
    refused, wrong = "What it sent is no answer", "Wrong in"
    return [
        *_answers(
            "types",
            {
                "40,000 types": (many.format("T", 40_000), refused),
                "types, other ones in each call": (many.format("T{id(x)}_", 25_000), refused),
                "types in pairs": ("return tuple([type(f'U{i}', (), {})()] for i in range(20_000))", refused),
                "types of long names": (many.format("x" * 75, 9_000), refused),
            },
        ),
        *_answers(
            "tensors",
            {
                "30,000 empty tensors": ("return [torch.zeros(0) for _ in range(30_000)]", refused),
                "numbers of 8 bits": ("return torch.zeros(3_900_000, dtype=torch.float8_e4m3fn)", wrong),
                "a long text": ("return 'x' * 900_000", wrong),
                "70,000 numbers": ("return [0] * 70_000", wrong),
            },
        ),
    ]


def texts():
    """Code that takes long to search, or says much about itself."""
    pile = "a" + MARKS * 250_000
    flags = "\n".join(f"import os.a{i}" for i in range(30_000)) + "\nimport os." + "b" * 100_000
    points = bank_points("receptive_field")
    quoted = bank.as_notebook([f"text = '{pile}'", FIELD])
    return [
        Abuse(
            "texts", "marks in a comment", "comment", (("comment/12_a.py", f"# {pile}\n{FIELD}".encode()),), "", points
        ),
        Abuse("texts", "marks in a string", "string", (("string/12_a.ipynb", quoted),), "", points),
        Abuse("texts", "marks in a name", "name", (("name/12_a.ipynb", bank.as_notebook([f"{pile[:20_000]} = 1"])),)),
        Abuse("texts", "flags without end", "flags", (("flags/12_a.ipynb", bank.as_notebook([flags])),)),
    ]


def bank_points(name):
    import aigc_lessons as al

    return al.exercises.get(name).points


def kinds():
    return [*folders(), *swaps(), *names(), *frames(), *texts()]
