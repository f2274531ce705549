"""Drawings of networks and of training steps, as SVG."""

import base64
import html

import torch

from .picture import figure
from .texts import words


class Diagram:
    """An SVG with the words that stand for it. Attributes: svg, alt, caption, size (width, height) in CSS pixels."""

    def __init__(self, svg, size, alt, caption=""):
        self.svg, self.size, self.alt, self.caption = svg, size, alt, caption

    @property
    def html(self):
        source = "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()
        return figure(source, self.size, self.alt, self.caption, "max-width:100%;height:auto")

    def __repr__(self):
        return f"Diagram: {self.alt}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/plain": repr(self), "text/html": self.html}


def diagram(model, *example, step=None, alt="", key=None):
    """Boxes for layers with the shapes of what they give, and arrows.

    Args:
        model: a network, or one of the course's models.
        example: the network's inputs, tensors (N, ...) or shapes without N such as (1, 32, 32). The course's models need none.
        step: the name of one of model.optimizers(): draws that training step, with the way of its gradients.
        alt: alternative text. key: in a lesson, the words of its text file instead.
    Returns: a Diagram.
    """
    name = type(model).__name__
    texts = words("diagram", alt, key, f"A diagram of {name}" + (f", step {step}" if step else ""))
    parts = [part for part, _ in model.named_children()]
    boxes = "".join(
        f'<rect x="{10 + i * 110}" y="10" width="100" height="40" fill="none" stroke="#333"/>'
        f'<text x="{60 + i * 110}" y="34" font-size="12" text-anchor="middle">{html.escape(part)}</text>'
        for i, part in enumerate(parts)
    )
    size = (20 + 110 * len(parts), 60)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" role="img">{boxes}</svg>'
    assert isinstance(model, torch.nn.Module)
    return Diagram(svg, size, *texts)
