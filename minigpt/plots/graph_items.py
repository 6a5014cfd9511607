"""What an ONNX file holds, as the items of a picture: one block node by node.

What repeats it, and what belongs together elsewhere, is folded into one item each.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

FEW = 4  # nodes of one name: from here on they are folded
LETTERS = {"batch": "B", "sequence": "T", "past_sequence": "P", "wanted": "W"}
FAR = 2**62  # an end of a slice beyond this is the end of the axis


@dataclass(eq=False)
class Item:
    """A box of the picture, with the names of the values that it reads and makes."""

    kind: str  # node, fold, block (a folded one), input or output
    words: tuple[str, ...]  # lines in the box
    reads: list[str] = field(default_factory=list)
    makes: list[str] = field(default_factory=list)
    weights: list[tuple[str, str]] = field(default_factory=list)  # name, shape
    op: str = ""
    name: str = ""
    tip: str = ""
    front: bool = False  # does it run before the blocks?
    inside: bool = False  # is it a node of the block that is shown?
    row: int = 0
    lane: float = 0.0


class File:
    """A graph in a file: its nodes, and shapes and numbers by name."""

    def __init__(self, path):
        from minigpt.export.messages import import_onnx

        onnx = import_onnx()
        self.name, self._onnx = Path(path).name, onnx
        self.graph = graph = onnx.load(str(path), load_external_data=False).graph
        self.nodes = list(graph.node)
        self.inputs = [value.name for value in graph.input]
        self.outputs = [value.name for value in graph.output]
        self.stored = {tensor.name: tensor for tensor in graph.initializer}
        self.dims = {n: [str(d) for d in t.dims] for n, t in self.stored.items()}
        for value in (*graph.value_info, *graph.input, *graph.output):
            dims = value.type.tensor_type.shape.dim
            self.dims[value.name] = [str(d.dim_param or d.dim_value) for d in dims]
        self.shapes = {name: shape(dims) for name, dims in self.dims.items()}

    def is_weight(self, name):
        """Whether a value is an array of the model's, and no number of the graph's."""
        tensor = self.stored.get(name)
        return tensor is not None and len(tensor.dims) and tensor.data_type == 1

    def constant(self, name):
        """The numbers of a small constant, as a list; None for anything else."""
        tensor = self.stored.get(name)
        if tensor is None or self.is_weight(name) or name in self.inputs:
            return None
        return self._onnx.numpy_helper.to_array(tensor).reshape(-1).tolist()


def shape(dims):
    """(batch, past_sequence + sequence, 128) as "(B, P+T, 128)"."""
    words = [re.sub(r"\w+", lambda m: LETTERS.get(m[0], m[0]), d) for d in dims]
    return "({})".format(", ".join(words).replace(" + ", "+"))


def items(file, block):
    """The items of a picture, in the order in which they run. Raises ``ValueError``
    where the file has no such block."""
    owners = [owner(node) for node in file.nodes]
    blocks = sorted({o for o in owners if isinstance(o, int)})
    if block not in blocks:
        raise ValueError(
            f"block={block!r} is none of the blocks of {file.name}: "
            + (f"0 to {blocks[-1]}" if blocks else "it has no nodes h.0.…, and needs")
            + ("" if blocks else " to be a GPT that minigpt exported")
        )
    sizes = Counter(owners)
    begun = owners.index(blocks[0])
    runs = {}  # what is folded together: a name of the fold -> its nodes
    order = []
    for at, (node, who) in enumerate(zip(file.nodes, owners, strict=True)):
        if isinstance(who, int) and who != block:
            key = ("earlier" if who < block else "later",)
        elif who is not None and who != block and sizes[who] >= FEW and at < begun:
            key = ("front",)
        else:
            key = (node.name or node.output[0], at)
        if key not in runs:
            order.append(key)
        runs.setdefault(key, []).append((node, who, at < begun))
    made = [box(file, key, runs[key], (block, sizes[block])) for key in order]
    return [*given(file, made), *made, *told(file, made)]


def owner(node):
    """A block's number, or the first word of a name of several; None for others."""
    first, _, rest = node.name.partition(".")
    number = rest.partition(".")[0]
    if first == "h" and number.isdigit():
        return int(number)
    return first if rest else None


def box(file, key, run, block):
    """The item of a node, or of several that are folded."""
    nodes, front = [node for node, _, _ in run], run[0][2]
    if len(key) == 2:
        return single(file, nodes[0], front, run[0][1] == block[0])
    inside = dict.fromkeys(name for node in nodes for name in node.output)
    read = dict.fromkeys(name for node in nodes for name in node.input if name)
    reads = [n for n in read if n not in inside and n not in file.stored]
    outside = {n for node in file.nodes if node not in nodes for n in node.input}
    outside |= set(file.outputs)
    makes = [name for name in inside if name in outside]
    if key == ("front",):
        words = (", ".join(dict.fromkeys(who for _, who, _ in run)),)
        words += (f"{len(nodes)} nodes",)
        return Item("fold", words, reads, makes, front=True)
    return Item("block", folded(file, run, block), reads, makes)


def folded(file, run, block):
    """What the box of folded blocks says: which, and whether they are as the other."""
    number, size = block
    groups = {}
    for node, who, _ in run:
        groups.setdefault(who, []).append(node)
    shown = [node for node in file.nodes if owner(node) == number]
    first, last = min(groups), max(groups)
    name = f"h.{first}" if first == last else f"h.{first} … h.{last}"
    if all(alike(file, nodes, shown) for nodes in groups.values()):
        return name, f"the same {size} nodes" + (" each" if first != last else "")
    return name, f"{len(run)} nodes"


def alike(file, some, others):
    """Whether blocks do the same: operators, settings and shapes."""

    def what(nodes):
        return [
            (
                n.op_type,
                [a.SerializeToString() for a in n.attribute],
                [file.shapes.get(name) for name in (*n.input, *n.output)],
            )
            for n in nodes
        ]

    return what(some) == what(others)


def single(file, node, front, inside):
    """The item of one node."""
    names = [name for name in node.input if name]
    weights = [(name, file.shapes[name]) for name in names if file.is_weight(name)]
    numbers = [file.constant(name) for name in names]
    words = " ".join(filter(None, (node.op_type, settings(node.op_type, numbers))))
    inputs = set(file.inputs)
    reads = [n for n in names if n not in file.stored or n in inputs]
    tip = node.name + (f": {node.doc_string}" if node.doc_string else "")
    return Item(
        "node", (words,), reads, list(node.output), weights, node.op_type,
        node.name, " ".join(tip.split()), front, inside,
    )  # fmt: skip


def settings(op, numbers):
    """The numbers that a node computes with, short: "0:128" of a slice, or a scale."""
    if op == "Slice" and all(numbers[1:3]):
        start, end = numbers[1][0], numbers[2][0]
        return f"{start}:" + (str(end) if end < FAR else "")
    if op in ("Add", "Sub", "Mul", "Div", "Where"):
        known = [n[0] for n in numbers if n and len(n) == 1]
        return " ".join(f"{n:.3g}".replace("-", "−").replace("inf", "∞") for n in known)
    return ""


def given(file, made):
    """The items of what is given: the inputs that are read before the blocks."""
    read = {name for item in made if item.front for name in item.reads}
    return [
        Item("input", (name, file.shapes[name]), [], [name], front=True)
        for name in file.inputs
        if name in read
    ]


def told(file, made):
    """The items of the results of nodes that nothing reads again."""
    read = {name for item in made for name in item.reads}
    nodes = [name for item in made if item.kind == "node" for name in item.makes]
    return [
        Item("output", (name, file.shapes[name]), [name], [])
        for name in file.outputs
        if name in nodes and name not in read
    ]
