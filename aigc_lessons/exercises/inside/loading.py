"""Running the cells of what was handed in, as the grader does it in its sandbox and `aigc-lessons check` in the learner's process.

Only Python, torch and the neighbours of this file are imported here.
"""

import __future__

import ast
import asyncio
import builtins
import contextlib
import inspect
import linecache
import re
import signal
import sys
import threading
import time
import types
import warnings
from dataclasses import dataclass

import torch

ANNOTATIONS = __future__.annotations.compiler_flag
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
LEAST = 0.5  # seconds that a statement gets when its cell has used up its time
DEFINES = 5.0  # seconds that a definition or an import gets at least: some libraries take long to load
SHARE = 3  # all cells together get this many times what one gets
MERGED = 12  # blocks that may belong together where a text as a whole cannot be read
BLOCKS = 5_000  # of them; more are not tried one by one
CONTINUED = re.compile(r"(else|elif|except|finally)\b|[)\]}]")


# What went wrong: a code decides, and a few checked words; sentences are made of them elsewhere (engine.py). In a sandbox they are
# claims: `read` believes no more of them than a code that is known, numbers, and a name.


NAME = re.compile(r"[^\W\d]\w{0,60}(\.[^\W\d]\w{0,60}){0,5}", re.ASCII)  # of a module, a variable, an exception
PARSERS = re.compile(r"(?:[^\d\n]|U\+[0-9A-F]{4,6}){0,120}")  # a parser's own words: no number that could be an input
CODES = (
    "syntax",  # says: the parser's words
    "missing_module",
    "unknown_name",
    "unknown_annotation",
    "no_attribute",
    "course",  # it uses aigc_lessons, which is not there in a grade
    "library_call",  # name: of the ATen operator
    "signature",  # name: of the argument that it does not take, or ""
    "exit",
    "time",
    "ended",  # its process did
    "empty",
    "raises",  # name: of the exception's class
)


class NotInAGrade(AttributeError):
    """Something of the course was asked for, which is not there where answers are graded."""


@dataclass(frozen=True)
class Trouble:
    """One thing that went wrong: a code of CODES, the cell and line of the learner's own (0: unknown), a name, a parser's words."""

    code: str
    cell: int = 0
    line: int = 0
    name: str = ""
    says: str = ""


def of(error, cell=0, line=0):
    """The Trouble that an exception is. Its own text is not looked at."""
    code, name, says = "raises", type(error).__name__, ""
    if isinstance(
        getattr(error, "operator", None), str
    ):  # scratch.LibraryCall, by whatever name that file was imported
        code, name = "library_call", error.operator
    elif isinstance(error, NotInAGrade) or (isinstance(error, ImportError) and _of_the_course(error.name)):
        code, name = "course", ""
    elif isinstance(error, SystemExit):
        code = "exit"
    elif isinstance(error, SyntaxError):
        code, says = "syntax", re.sub(r" ?\(.*?line \d+\)", "", str(error.msg)).splitlines()[0][:120]
        line = line or error.lineno or 0
    elif isinstance(error, ModuleNotFoundError) and error.name:
        code, name = "missing_module", error.name
    elif isinstance(error, NameError) and getattr(error, "name", None) and not isinstance(error, UnboundLocalError):
        code, name = "unknown_name", error.name
    elif isinstance(error, AttributeError) and getattr(error, "name", None):
        code, name = "no_attribute", error.name
    return Trouble(code, cell, line, str(name), says)


def _of_the_course(name):
    return str(name).split(".")[0] == "aigc_lessons"


def misfit(function, args, kwargs):
    """What of a call a function's parameters do not fit: the name of an argument, or "" for their number; None where they fit."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # built-in functions have none
        return None
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        taken = signature.parameters.values()
        any_name = any(p.kind is p.VAR_KEYWORD for p in taken)
        names = {p.name for p in taken if p.kind is not p.POSITIONAL_ONLY}
        return "" if any_name else next((name for name in kwargs if name not in names), "")
    return None


def place(error):
    """(cell, line) of the learner's own code that was running last: frames of files named "cell 3". (0, 0): none."""
    found, trace = (0, 0), error.__traceback__
    while trace is not None:
        match = re.fullmatch(r"cell (\d{1,6})", trace.tb_frame.f_code.co_filename)
        if match:
            found = int(match[1]), trace.tb_lineno or 0
        trace = trace.tb_next
    return found


def read(record):
    """The Trouble that a record of a frame claims to be; None where it is none."""
    if not isinstance(record, dict) or record.get("code") not in CODES:
        return None
    cell, line, name, says = (record.get(key) for key in ("cell", "line", "name", "says"))
    numbers = [n if type(n) is int and 0 <= n < 1_000_000 else 0 for n in (cell, line)]
    name = name if isinstance(name, str) and NAME.fullmatch(name) else ""
    says = says if isinstance(says, str) and PARSERS.fullmatch(says) else ""
    return Trouble(record["code"], *numbers, name, says)


# Cells


class Late(BaseException):
    """A statement took longer than it may. No Exception, so that `except Exception` does not swallow it."""


class Course:
    """What `import aigc_lessons as al` leaves in a submission, in place of the course: the little that a cell of settings needs."""

    def __getattr__(self, name):
        raise NotInAGrade(f"aigc_lessons.{name} is not there where answers are graded.")

    @staticmethod
    def settings(**choices):
        chosen = {name: values[1] for name, values in choices.items()}
        return types.SimpleNamespace(profile="laptop", device=torch.device("cpu"), **chosen)

    @staticmethod
    def seed_everything(seed=0):
        torch.manual_seed(seed)


class Notebook:
    """What get_ipython() is here: whatever is asked of it does nothing."""

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


@contextlib.contextmanager
def uncompiled():
    """While it is entered, torch.compile gives back what it is given: compiling takes a C compiler and a minute."""

    def compile(model=None, **options):
        return model if model is not None else lambda function: function

    before, torch.compile = torch.compile, compile
    try:
        yield
    finally:
        torch.compile = before


@contextlib.contextmanager
def _defaults():
    """What cells change for the whole process is as it was afterwards: the default device, and warnings."""
    before = torch.get_default_device()
    with warnings.catch_warnings():
        try:
            yield
        finally:
            if torch.get_default_device() != before:
                torch.set_default_device(None if before.type == "cpu" else before)


@contextlib.contextmanager
def _at_most(seconds):
    """Raises Late in the block after so many seconds, and again each second. Where there is no such alarm, nothing."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_):
        raise Late

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def without_magics(source):
    """A cell's code with `pass` for each line that only Jupyter understands: !ls, files = !ls, name?; `%time f()` is f()."""

    def plain(line):
        text = line.strip()
        timed = re.match(r"(\s*)%time\s+(.*\S)", line)
        if timed:
            return timed[1] + timed[2]
        magic = re.match(r"%%?\w|[!?]|\w+\s*=\s*[%!]", text) or (text.endswith("?") and "#" not in text)
        return line[: len(line) - len(line.lstrip())] + "pass" if magic else line

    return "\n".join(map(plain, source.split("\n")))


def parse(source):
    """(statements, troubles without a cell): whatever of a cell's code can be read. One broken function costs itself alone."""
    first = source.lstrip()
    if re.match(r"%%(?!time\b|timeit\b|capture\b|prun\b)\w", first):  # %%bash, %%html ...: another language
        return [], []
    error = None
    for reading in (source, without_magics(source)):
        try:
            return ast.parse(reading).body, []
        except (SyntaxError, ValueError, RecursionError, MemoryError) as why:
            error = error if isinstance(error, SyntaxError) and not isinstance(why, SyntaxError) else why
    if not isinstance(error, SyntaxError):
        return [], [Trouble("syntax", says=type(error).__name__)]
    return _in_blocks(without_magics(source))


def _in_blocks(source):
    """As `parse`, for code that cannot be read as a whole: from line to line that begins at the margin."""
    lines = source.split("\n")
    starts = [i for i, line in enumerate(lines) if line[:1].strip() and not CONTINUED.match(line)]
    starts = [i for i in starts if i == 0 or not lines[i - 1].startswith("@")]
    if len(starts) > BLOCKS:
        return [], [Trouble("syntax")]
    edges = [*starts, len(lines)]
    statements, troubles, k = [], [], 0
    while k < len(starts):
        wrong = None
        for end in range(k + 1, min(k + MERGED, len(starts)) + 1):
            block = "\n" * edges[k] + "\n".join(lines[edges[k] : edges[end]])  # so that lines keep their numbers
            try:
                statements += ast.parse(block).body
                wrong = None
                k = end
                break
            except (SyntaxError, ValueError, RecursionError, MemoryError) as why:
                wrong = wrong or why
        if wrong is not None:
            troubles.append(of(wrong) if isinstance(wrong, SyntaxError) else Trouble("syntax"))
            k += 1
    return statements, troubles


def define(cells, seconds, began=lambda cell: None, hung=(), alone=False):
    """Run cells statement by statement in a new module: (namespace, list of Trouble).

    A statement that fails is left out, so that a cell that needs the course, which is not here, spoils nothing.

    Args:
        cells: the code of each. seconds: for a cell; then its other statements get LEAST each, but definitions and imports.
        began: called with a cell's number, from 1, before it runs. hung: pairs (number of a cell, how often it hung); of one that did, only
            definitions run; of one that did twice, nothing. alone: the course cannot be imported, though it is here.
    """
    module = types.ModuleType("submission")
    sys.modules["submission"] = module
    run = _Run(module, seconds, alone)
    with _defaults():
        for number, source in enumerate(cells, 1):
            began(number)
            times = dict(hung).get(number, 0)
            if times < 2:
                run.cell(number, source, only_definitions=times == 1)
    return module.__dict__, run.troubles


class _Run:
    """The state of a run over cells: what failed, what is missing because of it, and the time that is left."""

    def __init__(self, module, seconds, alone):
        self.module, self.seconds = module, seconds
        self.left = SHARE * seconds
        self.flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self.troubles, self.unbound = [], set()
        if alone:
            module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _without_the_course}
        stands = {"display": lambda *args, **kwargs: None, "get_ipython": Notebook, "input": _no_input}
        module.__dict__.update(stands)

    def cell(self, number, source, only_definitions):
        name = f"cell {number}"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        statements, troubles = parse(source)
        self.troubles += [Trouble(t.code, number, t.line, t.name, t.says) for t in troubles]
        left, late = min(self.seconds, self.left), False
        for statement in filter(None, map(_plain, statements)):
            for part in _one_by_one(statement):
                defines = isinstance(part, DEFINITIONS)
                if only_definitions and not defines:
                    continue
                started = time.monotonic()
                try:
                    with _at_most(max(left, DEFINES if defines else LEAST)):
                        self.statement(part, name)
                except Late:
                    if not late:
                        self.troubles.append(Trouble("time", number, part.lineno))
                    late = True
                    self.unbound |= _targets(part)
                except (Exception, SystemExit, KeyboardInterrupt) as error:
                    self.failed(error, part, number)
                spent = time.monotonic() - started
                left, self.left = left - spent, self.left - spent

    def statement(self, part, name):
        if isinstance(part, ast.ImportFrom) and part.module == "__future__":
            known = [getattr(__future__, alias.name, None) for alias in part.names]
            self.flags |= sum({feature.compiler_flag for feature in known if feature is not None})
        try:
            self.run(part, name, self.flags)
        except NameError as error:
            if not isinstance(part, (ast.FunctionDef, ast.ClassDef, ast.AnnAssign)) or self.flags & ANNOTATIONS:
                raise
            self.run(part, name, self.flags | ANNOTATIONS)  # if an annotation was all that it was about
            unknown = getattr(error, "name", None) or ""
            if unknown not in self.unbound:
                number = int(name.split()[1])
                self.troubles.append(Trouble("unknown_annotation", number, part.lineno, unknown))

    def run(self, part, name, flags):
        code = compile(ast.Module([part], []), name, "exec", flags, dont_inherit=True)
        if code.co_flags & inspect.CO_COROUTINE:
            _awaited(eval(code, self.module.__dict__))
        else:
            exec(code, self.module.__dict__)

    def failed(self, error, part, number):
        """Note what failed, but nothing that only follows from what failed before, or from the course not being here."""
        cell, line = place(error)
        trouble = of(error, number, line if cell == number else part.lineno)
        missing = _targets(part)
        if trouble.code == "course" or _asks_for_the_course(part):
            missing -= _stand_in(part, self.module.__dict__)
        elif not (trouble.code == "unknown_name" and trouble.name in self.unbound):
            self.troubles.append(trouble)
        self.unbound |= missing


def _plain(statement):
    """None for a docstring and its like, which do nothing."""
    return None if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) else statement


def _one_by_one(statement):
    """`import torch, aigc_lessons as al` as two statements: one may fail without the other."""
    if not isinstance(statement, ast.Import):
        return [statement]
    return [ast.copy_location(ast.Import([alias]), statement) for alias in statement.names]


def _targets(statement):
    """The names that a statement would have bound at the top level."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    stored = [n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return set(stored)


def _stand_in(statement, space):
    """Bind what a failed import of the course asked for, as far as Course has it: the names that are bound now."""
    found, course = {}, Course()
    if isinstance(statement, ast.Import):
        found = {a.asname or a.name: course for a in statement.names if a.name == "aigc_lessons"}
    elif isinstance(statement, ast.ImportFrom) and statement.module == "aigc_lessons":
        names = {a.asname or a.name: a.name for a in statement.names}
        found = {name: getattr(course, what) for name, what in names.items() if what in vars(Course)}
    space.update(found)
    return set(found)


def _asks_for_the_course(statement):
    """Whether a statement looks for the course by its name, as the exercises' own first cell does."""
    return any(isinstance(n, ast.Constant) and n.value == "aigc_lessons" for n in ast.walk(statement))


def _without_the_course(name, globals=None, locals=None, fromlist=(), level=0):
    """__import__ for a submission: an answer stands on its own, wherever it is checked."""
    if level == 0 and name.split(".")[0] == "aigc_lessons":
        raise ModuleNotFoundError("aigc_lessons is not there where answers are graded.", name=name)
    return builtins.__import__(name, globals, locals, fromlist, level)


def _no_input(prompt=""):
    raise EOFError("Nobody answers here.")


def _awaited(coroutine):
    """Run a cell's `await` to its end."""
    try:
        loop = asyncio.new_event_loop()
    except OSError:  # a sandbox may refuse the sockets that a loop is made of; what waits for nothing needs none
        with contextlib.suppress(StopIteration):
            while True:
                coroutine.send(None)
        return
    try:
        loop.run_until_complete(coroutine)
    finally:
        loop.close()
