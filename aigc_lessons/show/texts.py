"""A lesson's words, which stand beside its notebook in texts/NN_name.toml: what a picture shows, what to conclude, and questions.

Code cells name a key, so no cell gives an answer away, and another language is another file.
"""

import html
import re
from pathlib import Path
from typing import NamedTuple

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

from ..settings import COURSE


class Words(NamedTuple):
    """What stands for a picture (alt), and what to conclude from it (caption, may be empty)."""

    alt: str
    caption: str = ""


class Texts(NamedTuple):
    """The words of one lesson."""

    where: str  # for the line that says what is missing
    pictures: dict
    questions: dict


_texts = Texts("no lesson is chosen: call al.lesson(number) first", {}, {})


def lesson(number):
    """Choose whose words `key=` and `al.show.ask` mean. The setup cell of a lesson ends with it.

    Looked for are texts/NN_*.toml beside the notebook, notebooks/texts/NN_*.toml in its folder or any above it, and in the
    checkout that the package runs from. Where there is none, pictures say so in a line and are drawn all the same.

    Args: number: of the lesson, such as 24. Returns None.
    Raises ValueError for a file that is there and cannot be read.
    """
    global _texts
    path = find(number)
    _texts = read(path) if path else Texts(f"texts/{int(number):02d}_*.toml is not beside this notebook", {}, {})


def find(number, start=None):
    """The text file of a lesson, or None."""
    here = Path.cwd() if start is None else Path(start)
    folders = [here / "texts", *(folder / "notebooks" / "texts" for folder in (here, *here.parents, COURSE))]
    name = re.compile(rf"{int(number):02d}_[a-z0-9_]+\.toml")  # a translation has one more dot in its name
    found = (path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()))
    return next((path for path in found if name.fullmatch(path.name)), None)


def read(path):
    """The Texts in a file. Raises ValueError that names the file, the key and what is missing."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not readable as TOML: {error}.") from error
    texts = Texts(f"{path.name} has no such key", table.get("pictures", {}), table.get("questions", {}))
    for key, entry in texts.pictures.items():
        if not isinstance(entry, dict) or not str(entry.get("alt", "")).strip():
            raise ValueError(f"{path.name}, [pictures.{key}]: give alt, and a caption that says what to conclude.")
    for key, entry in texts.questions.items():
        if fault := _fault(entry):
            raise ValueError(f"{path.name}, [questions.{key}]: {fault}.")
    return texts


def _fault(question):
    """What is wrong with an entry of [questions], or None."""
    if not question.get("text") or not question.get("reason"):
        return "give text and reason"
    options, hints = question.get("options"), question.get("hints", {})
    if (options is None) == ("number" not in question):
        return "give either options and answer, or number and tolerance"
    if options is None:
        return None if question.get("tolerance", -1) >= 0 else "give tolerance, 0 for an exact number"
    if not isinstance(options, dict) or len(options) < 2:
        return (
            'give options as a table of at least two, such as options = {fewer = "Fewer digits", more = "More digits"}'
        )
    if question.get("answer") not in options:
        return f"answer is {question.get('answer')!r}; accepted is one of {', '.join(options)}"
    return None if set(hints) <= set(options) else f"hints for {', '.join(set(hints) - set(options))}: no such option"


def words(who, alt, key, plain):
    """The Words of a picture that `who` draws, from a learner's alt= or a lesson's key=.

    Args: plain: an alternative text made from the data, for a key whose words are not at hand.
    Raises ValueError: neither of the two, or both.
    """
    if key is None:
        return Words(check_alt(alt, who))
    if alt:
        raise ValueError(f"{who} got alt= and key={key!r}. Give alt= for a picture of your own, key= in a lesson.")
    entry = _texts.pictures.get(key)
    if entry is None:
        return Words(plain, missing(key))
    return Words(one_line(entry["alt"]), one_line(entry.get("caption", "")))


def question(key):
    """The entry of [questions] for a key, or None."""
    return _texts.questions.get(key)


def missing(key):
    """The line that stands in for words which are not at hand."""
    return f"(No words for {key!r}: {_texts.where}.)"


def one_line(text):
    return " ".join(text.split())


def as_html(text):
    """A text of the file as HTML: `code`, **strong**, and $formulas$, which the notebook sets."""
    parts = re.split(r"(\$[^$]+\$|`[^`]+`)", html.escape(one_line(text), quote=False))
    for i, part in enumerate(parts):
        if part.startswith("`"):
            parts[i] = f"<code>{part[1:-1]}</code>"
        elif not part.startswith("$"):
            parts[i] = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", part)
    return "".join(parts)


def check_alt(alt, who):
    """Raise ValueError unless `alt` is text. Returns it without surrounding blanks."""
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(
            f"{who} got alt={alt!r}. Every picture needs alternative text: whoever cannot see it "
            "reads or hears this instead. Say in one sentence what is to be seen, "
            'such as alt="64 digits sampled from a DCGAN after 1200 steps".'
        )
    return alt.strip()
