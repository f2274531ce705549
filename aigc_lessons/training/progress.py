"""What a learner sees while a model trains: curves and pictures in a notebook, plain lines elsewhere."""

import html
import time

QUIET = 2.0  # seconds before anything is shown: short runs stay silent
EVERY_LINE = 5.0  # seconds between plain lines
EVERY_PICTURE = 0.3  # seconds between pictures, at least
SHARE = 1 / 30  # of the time may go into drawing: slow drawings come less often, training is not slowed
POINTS = 300  # at most so many points a curve


def in_notebook():
    """Is there a front end that shows pictures?"""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class Progress:
    """Shows a run. `update` is called after every step and mostly returns at once.

    Args:
        title: str, the model's name.
        preview: function without arguments that returns images (N, C, H, W) to show, or None.
        wanted: False shows nothing.
    """

    def __init__(self, title, preview=None, wanted=True):
        self.title, self.preview = title, preview
        self.notebook = in_notebook()
        self.handle = None
        self.due = time.monotonic() + QUIET if wanted else float("inf")
        self.shown = False

    def update(self, status, losses):
        """status: function without arguments that gives a line of text. losses: {name: list of float}."""
        if time.monotonic() >= self.due:
            self.show(status(), losses)

    def show(self, status, losses):
        began = time.monotonic()
        self.shown = True
        if self.notebook:
            first = self.handle is None  # the first drawing loads matplotlib: no measure of the next
            self._draw(status, losses)
            cost = time.monotonic() - began
            self.due = began + cost + (EVERY_PICTURE if first else max(EVERY_PICTURE, cost / SHARE))
        else:
            print(f"{self.title}: {status}", flush=True)
            self.due = began + EVERY_LINE

    def close(self, status, losses):
        """The last state, if anything was shown before."""
        if self.shown:
            self.show(status, losses)

    def _draw(self, status, losses):
        from IPython.display import HTML, display

        from .. import show

        stride = max(1, max(map(len, losses.values()), default=1) // POINTS)
        steps = list(range(0, max(map(len, losses.values()), default=0), stride))
        pictures = (
            [
                show.curve(
                    {k: v[::stride] for k, v in losses.items()},
                    x=steps,
                    xlabel="step",
                    ylabel="loss",
                    alt=f"{self.title}: {', '.join(losses)} over the steps so far",
                )
            ]
            if len(steps) > 1
            else []
        )
        if self.preview is not None:
            pictures.append(show.grid(self.preview(), alt=f"{self.title}: pictures at this step"))
        page = HTML(
            f"<div>{html.escape(status)}</div><div style='display:flex;gap:1em;flex-wrap:wrap'>"
            + "".join(p._repr_mimebundle_()["text/html"] for p in pictures)
            + "</div>"
        )
        if self.handle is None:
            self.handle = display(page, display_id=True)
        else:
            self.handle.update(page)
