"""Questions that wait: the reader answers, by keyboard or mouse, and only then sees."""

import math

import ipywidgets

from .texts import as_html, missing, question

# Codes decide; these are the words for them.
WORDS = {
    "right": "Right.",
    "wrong": "Not this one.",
    "too_small": "Too small.",
    "too_large": "Too large.",
    "unreadable": "That is not a number. Write it with digits, such as 0.25 or 1e-3.",
    "none": "Write a number first.",
}
LETTERS = "ABCDEFGHIJ"
FRAME = 'style="border-left:4px solid #0072B2;padding:2px 0 2px 12px;max-width:46em"'


def ask(key):
    """Ask a question of the lesson's text file; see CONTRIBUTING.md, "Writing a lesson".

    A choice has a button for each option, a number has a box. An answer is judged at once, and can be given again. GitHub and
    stored notebooks show the question, and the answer in a fold-out.

    Args: key: of [questions.KEY] in texts/NN_name.toml. A key that is not there leaves a line that says so, never an error.
    Returns: a Question, a widget.
    """
    return Question(key, question(key))


class Question(ipywidgets.VBox):
    """What `ask` returns.

    Attributes:
        outcome: None before an answer, then a code: right, wrong, too_small, too_large, unreadable or none.
        choices: {code: button}, empty for a number. box: for a number, else None.
        reveal: the button that shows the answer, once one was wrong. verdict: what is said, as HTML.
    """

    def __init__(self, key, entry):
        self.entry, self.outcome, self.choices, self.box = entry, None, {}, None
        if entry is None:
            self.text = f"<em>{missing(key)}</em>"
            super().__init__([ipywidgets.HTML(self.text)])
            return
        self.text = f"<strong>Question.</strong> {as_html(entry['text'])}"
        self.verdict = ipywidgets.HTMLMath()
        self.reveal = ipywidgets.Button(description="Show the answer", layout={"width": "10em", "display": "none"})
        self.reveal.on_click(lambda _: self._say(solution(entry)))
        answers = self._choices() if "options" in entry else [self._box()]
        super().__init__([ipywidgets.HTMLMath(self.text), *answers, self.verdict, self.reveal])

    def _choices(self):
        """A row for each option: a lettered button, and the words, in which formulas are set.

        Radio buttons would do, but for JupyterLab: there, an arrow key on one leaves the cell.
        """
        rows = []
        for letter, (code, text) in zip(LETTERS, self.entry["options"].items()):
            button = ipywidgets.Button(description=letter, tooltip=plain(text), layout={"width": "3em"})
            button.on_click(lambda _, code=code: self.give(code))
            self.choices[code] = button
            rows.append(ipywidgets.HBox([button, ipywidgets.HTMLMath(as_html(text))]))
        return rows

    def _box(self):
        self.box = ipywidgets.Text(placeholder="a number", continuous_update=False, layout={"width": "10em"})
        self.box.observe(lambda change: self.give(change.new), "value")  # Enter, or leaving the box
        check = ipywidgets.Button(description="Check", layout={"width": "6em"})
        check.on_click(lambda _: self.give(self.box.value))
        return ipywidgets.HBox([self.box, check])

    def give(self, answer):
        """Answer with the code of an option, or with the text of a number."""
        self.outcome = judge(self.entry, answer)
        said = [WORDS[self.outcome]]
        if self.outcome == "right":
            said.append(as_html(self.entry["reason"]))
        elif hint := self.entry.get("hints", {}).get(answer):
            said.append(as_html(hint))
        for code, button in self.choices.items():
            button.button_style = "primary" if code == answer else ""
        letter = f"{LETTERS[list(self.choices).index(answer)]}: " if self.choices else ""
        self._say(letter + " ".join(said))
        self.reveal.layout.display = None if self.outcome in ("wrong", "too_small", "too_large") else "none"

    def _say(self, words):
        self.verdict.value = f'<div role="alert" {FRAME}>{words}</div>'

    def __repr__(self):
        return "Question: " + (plain(self.entry["text"]) if self.entry else "no words for it")

    def _repr_mimebundle_(self, **kwargs):
        return {**super()._repr_mimebundle_(**kwargs), "text/plain": repr(self), "text/html": self._stored()}

    def _stored(self):
        """The question where no widget can run; its answer is folded in."""
        if self.entry is None:
            return self.text
        options = "".join(f"<li>{as_html(text)}</li>" for text in self.entry.get("options", {}).values())
        listed = f'<ol type="A" style="list-style-type:upper-alpha">{options}</ol>' if options else ""
        return (
            f"<div {FRAME}><p>{self.text}</p>{listed}"
            f"<details><summary>The answer</summary><p>{solution(self.entry)}</p></details></div>"
        )


def judge(entry, given):
    """The code of an answer: an option's code, or the text of a number, to an entry of [questions]."""
    if "options" in entry:
        return "right" if given == entry["answer"] else "wrong"
    if not given.strip():
        return "none"
    try:
        number = float(given.strip().replace("−", "-").replace(",", "."))
    except ValueError:
        return "unreadable"
    if math.isnan(number):
        return "unreadable"
    if abs(number - entry["number"]) <= entry["tolerance"] * (1 + 1e-9):
        return "right"
    return "too_small" if number < entry["number"] else "too_large"


def solution(entry):
    """The right answer and its reason, as HTML."""
    if "options" in entry:
        codes = list(entry["options"])
        right = f"{LETTERS[codes.index(entry['answer'])]}: {as_html(entry['options'][entry['answer']])}"
    else:
        right = f"{entry['number']:g}" + (f", give or take {entry['tolerance']:g}" if entry["tolerance"] else "")
    return f"<strong>{right}</strong>. {as_html(entry['reason'])}"


def plain(text):
    """For places that take no HTML."""
    return " ".join(text.split()).replace("`", "").replace("**", "")
