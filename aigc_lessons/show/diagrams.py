"""Drawings of networks, and of training steps with the way of their gradients."""

import base64

import torch
from torch import nn

from .picture import figure
from .steps import FROZEN, LEARNS, networks_of, plan_of, steps_of
from .svg import FAINT, GRADIENT, Drawing, between, size_of, width
from .texts import words
from .tracing import guess_input, trace

WIDE = 780  # CSS pixels that a row of boxes may take
GAP = 24  # between boxes of a row
NETWORKS = (LEARNS, FROZEN)
SIGNS = {">": "→", "<>": "→", "|": "→ (cut)"}


class Diagram:
    """An SVG with the words that stand for it. Attributes: svg, alt, caption, size (width, height) in CSS pixels."""

    def __init__(self, svg, size, alt, caption=""):
        self.svg, self.size, self.alt, self.caption = svg, size, alt, caption

    @property
    def html(self):
        """A <figure>. The SVG is an image: a notebook that is not trusted shows no other."""
        source = "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()
        return figure(source, self.size, self.alt, self.caption, "max-width:100%;height:auto")

    def __repr__(self):
        return f"Diagram: {self.alt}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/plain": repr(self), "text/html": self.html}


def diagram(model, *example, step=None, alt="", key=None):
    """A network as boxes, one for each layer with the activation behind it and the shape it gives; or one training step.

    The network is run once, and what each layer reads is taken from autograd's graph: bridges and sums between layers are drawn.

    Args:
        model: a network, or one of the course's models, of which all networks are drawn.
        example: the network's inputs, tensors (N, ...) or shapes without N such as (1, 32, 32). The course's models need
            none, nor does a network that begins with Linear or ConvTranspose2d.
        step: the name of one of model.optimizers(), for the course's models: what goes forward in that step, in colour the
            way of its gradient, what learns and what does not. "guided", for flows that are told something: a step of their sampler.
        alt: alternative text. None: one that lists the boxes. key: in a lesson, the words of its text file instead.
    Returns:
        a Diagram.
    Raises:
        TypeError: not a module. ValueError: an unknown step; no example where one is needed.

    >>> diagram(nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1)), alt="A network of two layers")
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"diagram got {type(model).__name__}. Accepted: a torch.nn.Module, such as nn.Sequential(...).")
    drawing = Drawing()
    if step is None:
        plain = _draw_networks(drawing, model, example)
    else:
        plain = f"Step {step} of {type(model).__name__}. " + _draw_step(drawing, *_step(model, step))
    texts = words("diagram", alt or (plain if key is None else ""), key, plain)
    return Diagram(*drawing.svg(texts.alt), *texts)


def _step(model, step):
    steps = steps_of(model)
    known = (
        [name for name in steps if name in model.optimizers() or name == "guided" and model.net.condition is not None]
        if steps
        else []
    )
    if step not in known:
        has = f"It has {', '.join(map(repr, known))}." if known else "Steps are drawn for the models of al.models."
        raise ValueError(f"diagram(step={step!r}): {type(model).__name__} has no such step to draw. {has}")
    return steps[step](model)


def _draw_step(drawing, boxes, ways):
    """Boxes on their lattice, the ways between them, and a legend. Returns the same in words."""
    bottom = _draw_lattice(drawing, boxes, ways, 10)
    if any(" > " not in way for way in ways):
        _legend(drawing, bottom + 26, any(" | " in way for way in ways))
    return _step_in_words(boxes, ways)


def _draw_lattice(drawing, boxes, ways, top, least_gap=26):
    """Boxes on their lattice from `top` down, and the ways between them. Returns where they end."""
    lines = {name: text.split("\n") for name, (_, text, _, _) in boxes.items()}
    sizes = {name: size_of(text, pad=10) for name, text in lines.items()}
    columns, rows = (sorted({box[i] for box in boxes.values()}) for i in (2, 3))
    wide = {c: max(sizes[n][0] for n, box in boxes.items() if box[2] == c) for c in columns}
    high = {r: max(sizes[n][1] for n, box in boxes.items() if box[3] == r) for r in rows}
    gap = max(least_gap, min(44, (WIDE - sum(wide.values())) / max(1, len(columns) - 1)))
    places = {}
    for name, (look, _, column, row) in boxes.items():
        w, h = sizes[name]
        x = 10 + sum(wide[c] + gap for c in columns if c < column) + (wide[column] - w) / 2
        y = top + sum(high[r] + 30 for r in rows if r < row) + (high[row] - h) / 2
        places[name] = (x, y, w, h)
        drawing.box(places[name], lines[name], look, strong=(0,) if look == LEARNS else (), dashed=look == FROZEN)
    for way in ways:
        a, sign, b = way.split()
        back = sign == "<>"
        drawing.arrow(between(places[a], places[b], 4 if back else 0))
        if back:
            drawing.arrow(between(places[b], places[a], 4), GRADIENT)
        if sign == "|":
            _cut(drawing, *between(places[a], places[b]))
    return max(y + h for _, y, _, h in places.values())


def _cut(drawing, start, end):
    """Two strokes across a way, at its middle: no gradient comes back here."""
    (x0, y0), (x1, y1) = start, end
    long = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    ux, uy = (x1 - x0) / long, (y1 - y0) / long
    for shift in (-5, -1):
        x, y = (x0 + x1) / 2 + shift * ux, (y0 + y1) / 2 + shift * uy
        drawing.arrow([(x - 8 * uy, y + 8 * ux), (x + 8 * uy, y - 8 * ux)], GRADIENT, head=False)


def _legend(drawing, y, cut):
    x = 14
    for colour, text in ((None, "forward"), (GRADIENT, "the gradient's way back")):
        drawing.arrow([(x, y), (x + 26, y)], **({"colour": colour} if colour else {}))
        drawing.words(x + 34, y, text, "start", FAINT)
        x += 34 + width(text) + 22
    if cut:
        _cut(drawing, (x, y), (x + 16, y))
        drawing.words(x + 20, y, "no gradient passes (detach)", "start", FAINT)


def _in_words(boxes):
    """{key: what stands in the box, in one line}."""
    return {
        k: text.split("\n")[0] if look in NETWORKS else text.replace("\n", " ")
        for k, (look, text, _, _) in boxes.items()
    }


def _forward_in_words(boxes, ways):
    name = _in_words(boxes)
    return ", ".join(f"{name[a]} {SIGNS[sign]} {name[b]}" for a, sign, b in map(str.split, ways))


def _step_in_words(boxes, ways):
    name = _in_words(boxes)
    learn = list(dict.fromkeys(name[key] for key, box in boxes.items() if box[0] == LEARNS))
    forward = _forward_in_words(boxes, ways)
    back = ", ".join(f"{name[b]} → {name[a]}" for a, sign, b in map(str.split, ways) if sign == "<>")
    if not learn:
        return f"Nothing learns. Forward: {forward}."
    return f"Learns: {', '.join(learn)}. Forward: {forward}. Gradient: {back}."


def _draw_networks(drawing, model, example):
    """Each network of a model below the other. Returns them in words."""
    if not example and (plan := plan_of(model)):
        title, boxes, ways = plan
        drawing.words(12, 16, title, "start", style=' font-weight="bold"', px=13)
        _draw_lattice(drawing, boxes, ways, 36, least_gap=12)
        return f"{title}. {_forward_in_words(boxes, ways)}."
    networks = networks_of(model) if not example else []
    if not networks:
        inputs = [_input(shape) for shape in example or _guess(model)]
        names = ["input"] if len(inputs) == 1 else [f"input {i + 1}" for i in range(len(inputs))]
        networks, titled = [(type(model).__name__, model, inputs, names)], False
    else:
        networks, titled = (
            [(name, net, [_input(s) for s in shapes], names) for name, net, shapes, names in networks],
            True,
        )
    top, said = 10, []
    for name, network, inputs, names in networks:
        nodes = trace(network, inputs, names)
        if titled:
            count = sum(p.numel() for p in network.parameters())
            drawing.words(12, top + 6, f"{name}: {count:,} parameters", "start", style=' font-weight="bold"', px=13)
            top += 26
        top = _draw_network(drawing, nodes, top) + 22
        steps = " → ".join(f"{', '.join(node.text)} ({_shape(node)})" for node in nodes)
        said.append(f"{name}: {steps}.")
    return " ".join(said)


def _input(given):
    """A batch for a tensor or a shape; () stands for one whole number, a class."""
    if isinstance(given, torch.Tensor):
        return given[:2]
    if given == ():
        return torch.zeros(2, dtype=torch.long)
    return torch.zeros(2, *given)


def _guess(model):
    shape = guess_input(model)
    if shape is None:
        raise ValueError(
            f"diagram needs an example of what this {type(model).__name__} takes: a tensor (N, C, H, W), or a shape such as "
            "diagram(net, (1, 32, 32))."
        )
    return [shape]


def _shape(node):
    return "×".join(map(str, node.shape)) or "1 number"


def _look(node):
    text = " ".join(node.text)
    if not node.reads:
        return "data"
    for part, look in (("Transpose", "transposed"), ("Conv", "conv"), ("Linear", "linear"), ("Pool", "pool")):
        if part in text:
            return look
    return "other"


def _draw_network(drawing, nodes, top):
    """The boxes of one network and its arrows, from `top` down. Returns where they end."""
    lines = [[*node.text, _shape(node)] if node.reads or node.shape else node.text for node in nodes]
    sizes = [size_of(text) for text in lines]
    bridges = any(j != i - 1 and nodes[j].reads for i, node in enumerate(nodes) for j in node.reads)
    skips = bridges or nodes[-1].reads and 0 in nodes[-1].reads and len(nodes) > 2
    places = (_valley if skips else _rows)(nodes, sizes, top)
    for node, place, text in zip(nodes, places, lines):
        drawing.box(place, text, _look(node), strong=(len(text) - 1,) if len(text) > 1 else ())
    for i, node in enumerate(nodes):
        for j in node.reads:
            _connect(drawing, places, j, i, further=j > 0 and not nodes[j].reads)
    return max(y + h for _, y, _, h in places)


def _rows(nodes, sizes, top):
    """Boxes from left to right, in as many rows as they need; further inputs below the first."""
    inputs = [i for i, node in enumerate(nodes) if not node.reads]
    chain = [0, *(i for i in range(len(nodes)) if i not in inputs)]
    count = -(-sum(sizes[i][0] + GAP for i in chain) // WIDE)
    per_row = int(-(-len(chain) // count))
    places = [None] * len(nodes)
    for start in range(0, len(chain), per_row):
        row = chain[start : start + per_row]
        high, x = max(sizes[i][1] for i in row), 10
        for i in row:
            w, h = sizes[i]
            places[i] = (x, top + (high - h) / 2, w, h)
            x += w + GAP
        top += high + 34
    for i in inputs[1:]:
        places[i] = (10, top, *sizes[i])
        top += sizes[i][1] + 10
    return places


def _valley(nodes, sizes, top):
    """The smaller the pictures, the lower the box: a U-Net looks like its name."""
    sides = [node.shape[-1] if len(node.shape) == 3 else None for node in nodes]
    levels = sorted({side for side in sides if side}, reverse=True)
    level = [levels.index(side) if side else 0 for side in sides]
    high = [max(size[1] for size, here in zip(sizes, level) if here == n) for n in range(len(levels))]
    chain = [i for i, node in enumerate(nodes) if node.reads or i == 0]
    arc = 20 if 0 in nodes[-1].reads else 0  # room for an arrow over the top
    places, x = [None] * len(nodes), 10
    for before, i in zip([None, *chain], chain):
        w, h = sizes[i]
        if before is not None:
            same = level[i] == level[before]
            x = places[before][0] + (
                sizes[before][0] + GAP if same else max(0.62 * sizes[before][0], sizes[before][0] - 0.5 * w)
            )
        y = top + arc + sum(high[: level[i]]) + 14 * level[i]
        places[i] = (x, y + (high[level[i]] - h) / 2, w, h)
    below = places[0][1] + places[0][3] + 10
    for i, node in enumerate(nodes):
        if not node.reads and i:
            places[i] = (10, below, *sizes[i])
            below += sizes[i][1] + 10
    return places


def _connect(drawing, places, a, b, further):
    """The arrow from box a to box b, around what stands between. further: a is an input that stands below the first."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = places[a], places[b]
    middle_a, middle_b = ay + ah / 2, by + bh / 2
    among = [p for i, p in enumerate(places) if i not in (a, b) and ax < p[0] < bx]
    blocked = any(y < (middle_a + middle_b) / 2 < y + h for _, y, _, h in among)
    if bx < ax:  # the next row
        turn = ay + ah + 17
        drawing.arrow([(ax + aw / 2, ay + ah), (ax + aw / 2, turn), (bx + bw / 2, turn), (bx + bw / 2, by - 2)])
    elif further:  # along below the row, and up
        drawing.arrow([(ax + aw, middle_a), (bx + bw / 2, middle_a), (bx + bw / 2, by + bh + 2)])
    elif blocked:  # over the top
        y = min(p[1] for p in (*among, places[a], places[b]) if p[1] < max(ay + ah, by + bh)) - 14
        drawing.arrow([(ax + aw / 2, ay), (ax + aw / 2, y), (bx + bw / 2, y), (bx + bw / 2, by - 2)])
    elif abs(middle_a - middle_b) < max(ah, bh) / 2:
        y = middle_b if by < middle_b < by + bh and ay < middle_b < ay + ah else middle_a
        drawing.arrow([(ax + aw, y), (bx - 2, y)])
    else:
        drawing.arrow(between(places[a], places[b]))
