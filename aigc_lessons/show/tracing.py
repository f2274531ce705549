"""What a network is made of, found by running it once: its layers in the order of the computation, and what each one reads."""

from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

# Layers that belong to the one before them: they follow it in the same box.
FOLLOWERS = ("Norm", "ReLU", "Tanh", "Sigmoid", "SiLU", "GELU", "ELU", "Softplus", "Dropout", "Identity", "latten")
# Functions called between layers, by the names of their nodes in autograd's graph.
FUNCTIONS = {
    "CatBackward": "concatenate",
    "AddBackward": "+",
    "SubBackward": "−",
    "MulBackward": "×",
    "MaxPool2DWithIndicesBackward": "max pool",
    "AvgPool2DBackward": "average pool",
    "UpsampleNearest2DBackward": "enlarge",
    "UpsampleBicubic2DBackward": "enlarge, bicubic",
    "SumBackward": "sum",
    "MeanBackward": "mean",
}
ACTIVATIONS = {
    "ReluBackward": "ReLU",
    "LeakyReluBackward": "LeakyReLU",
    "TanhBackward": "Tanh",
    "SigmoidBackward": "Sigmoid",
}


@dataclass
class Node:
    """A box: its lines, the shape (without N) of what it gives, and the indices of the nodes that it reads.

    before: functions that join or resize what it reads. times: how many equal ones in a row it stands for.
    """

    lines: list
    shape: tuple
    reads: list = field(default_factory=list)
    before: list = field(default_factory=list)
    times: int = 1

    @property
    def text(self):
        """All its lines."""
        if self.times == 1:
            return self.before + self.lines
        return [*self.before, f"{self.times} × {self.lines[0]}", *self.lines[1:]]


def trace(network, inputs, names):
    """The Nodes of a network, its inputs first, in the order of the computation.

    The network is run once in eval mode, and is afterwards as it was. What a layer reads is found by walking autograd's graph
    back from its input to the layers before, so functions between layers (a sum, a concatenation) are seen too.

    Args: inputs: tensors (N, ...). names: of the inputs.
    """
    inputs = [x.detach().clone().requires_grad_(x.is_floating_point()) for x in inputs]
    calls = []  # (module, what it was given, what it gave), kept alive so that the graph is
    with _watched(network, calls), torch.enable_grad():
        output = _first(network(*inputs))
    nodes = [Node([name], tuple(x.shape[1:])) for name, x in zip(names, inputs)]
    known = {_end(x): i for i, x in enumerate(inputs) if x.requires_grad}
    for module, given, gave in calls:
        reads, before, activation = _sources(given, known)
        if activation and len(reads) == 1:
            nodes[reads[0]].lines.append(activation)
        conditions = [i for i, x in enumerate(inputs) if any(x is g for g in given) and i not in reads]
        end = _end(gave)
        if end in known and not isinstance(module, nn.Flatten):  # an Identity, or a Dropout that is off in eval mode
            nodes[known[end]].lines += _lines(module)
        elif _follows(module) and len(reads) == 1 and not before:
            node, known[end] = nodes[reads[0]], reads[0]
            node.lines += _lines(module)
            node.reads += [i for i in conditions if i not in node.reads]
            node.shape = node.shape if isinstance(module, nn.Flatten) else tuple(gave.shape[1:])
        else:
            known[end] = len(nodes)
            nodes.append(Node(_lines(module), tuple(gave.shape[1:]), reads + conditions, before))
    # what no layer has read is read by the functions at the end, such as a label by a projection
    unread = [
        i for i in range(len(inputs)) if not any(i in node.reads for node in nodes) and not inputs[i].requires_grad
    ]
    reads, after, activation = _sources([output], known, len(unread))
    if activation and len(reads) == 1:
        nodes[reads[0]].lines.append(activation)
    if after:
        nodes.append(Node([], tuple(output.shape[1:]), reads + unread, after))
    return _merged(nodes)


def guess_input(network):
    """The shape (without N) that a network's first layer takes, or None where that layer takes any size."""
    first = next((m for m in network.modules() if list(m.parameters(recurse=False))), None)
    if isinstance(first, nn.Linear):
        return (first.in_features,)
    if isinstance(first, nn.ConvTranspose2d):
        return (first.in_channels, 1, 1)
    return None


@contextmanager
def _watched(network, calls):
    """Eval mode, and each call of a unit noted; afterwards every part is as it was."""
    modes = [(part, part.training) for part in network.modules()]

    def note(module, given, gave):
        calls.append((module, [x for x in given if isinstance(x, torch.Tensor)], _first(gave)))

    handles = [unit.register_forward_hook(note) for unit in _units(network)]
    network.eval()
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for part, training in modes:
            part.training = training


def _units(module, top=True):
    """The modules that become boxes: layers, and blocks made of nothing but layers."""
    children = [child for name, child in module.named_children() if name != "parametrizations"]
    if not children:
        return [module]
    if not top and not _has_list(module):
        return [module]
    units = []
    for child in children:
        if isinstance(child, nn.ModuleList):
            units += [unit for part in child for unit in (_units(part) if isinstance(part, nn.ModuleList) else [part])]
        else:
            units += _units(child, top=isinstance(child, nn.Sequential) or _has_list(child))
    return units


def _has_list(module):
    return any(isinstance(part, nn.ModuleList) for part in module.modules())


def _first(gave):
    return next(x for x in gave if isinstance(x, torch.Tensor)) if isinstance(gave, tuple) else gave


def _end(x):
    """The node of autograd's graph that stands for a tensor."""
    return x.grad_fn or torch.autograd.graph.get_gradient_edge(x).node


def _sources(given, known, others=0):
    """(indices of the nodes that `given` was computed from, functions on the way that join or resize, the activation on the way).

    others: how many more, which autograd does not see, are joined.
    """
    waiting, seen, reads, words, activation = [_end(x) for x in given if x.requires_grad], set(), [], [], None
    while waiting:
        here = waiting.pop(0)
        if here is None or here in seen:
            continue
        seen.add(here)
        if here in known:
            reads.append(known[here])
            continue
        name = here.name().rstrip("0123456789")
        activation = ACTIVATIONS.get(name, activation)
        if name in FUNCTIONS and FUNCTIONS[name] not in words:
            words.append(FUNCTIONS[name])
        waiting += [node for node, _ in here.next_functions]
    joins = {"+", "−", "×", "concatenate"}
    return reads, [w for w in reversed(words) if w not in joins or len(reads) + others > 1], activation


def _follows(module):
    return any(part in type(module).__name__ for part in FOLLOWERS)


def _lines(module):
    """A layer in words; of a block, its layers, and how often they come."""
    if isinstance(module, nn.Sequential):
        lines = [line for part in module for line in _short(_lines(part))]
        for times in range(len(lines), 1, -1):
            part = lines[: len(lines) // times]
            if part * times == lines:
                return [f"{times} × {part[0]}", *part[1:]]
        return lines
    name = type(module).__name__.removeprefix("Parametrized")
    if name == "Identity":
        return []
    if isinstance(module, nn.Flatten):
        return ["Flatten"]
    if name == "Unflatten":
        return ["Unflatten"]
    if isinstance(module, nn.Dropout):
        return [f"Dropout {module.p:g}"] if module.p else []
    if name.startswith("Conditional"):
        return ["Conditional", name.removeprefix("Conditional")]
    kernel = getattr(module, "kernel_size", None)
    if kernel is None:
        return [name]
    sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    stride = getattr(module, "stride", 1)
    stride = stride[0] if isinstance(stride, tuple) else stride
    size = "×".join(map(str, sides))
    return [name, size if stride == 1 or "Pool" in name else f"{size}, stride {stride}"]


def _short(lines):
    """A layer of a block, its size behind its name."""
    return [" ".join(lines)] if lines and lines[0].startswith("Conv") else lines


def _merged(nodes):
    """Runs of equal boxes as one that says how many."""
    kept, place = [], {}
    readers = [sum(i in node.reads for node in nodes) for i in range(len(nodes))]
    for i, node in enumerate(nodes):
        before = kept[-1] if kept else None
        chained = node.reads == [i - 1] and readers[i - 1] == 1
        if (
            chained
            and before
            and before.reads
            and not node.before
            and (before.lines, before.shape) == (node.lines, node.shape)
        ):
            before.times += 1
        else:
            node.reads = [place[j] for j in node.reads]
            kept.append(node)
        place[i] = len(kept) - 1
    return kept
