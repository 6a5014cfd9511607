"""A graph that grows while the model runs: symbols, and the nodes that make them.

A `Symbol` stands where an array would. It has a shape and a name, and no numbers; what
`minigpt.ops` does with it becomes nodes of a `Graph`. Chapter: serving.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from minigpt.export.emitters import EMITTERS
from minigpt.tape import Outline, Traced


class Dim(int):
    """A size that differs from run to run: an example to compute with, and a name.

    Sums and products of it are named after what they are made of; 0 adds nothing.
    """

    def __new__(cls, name, example):
        dim = super().__new__(cls, example)
        dim.name = name
        return dim

    def __add__(self, other):
        if not isinstance(other, Dim) and other == 0:
            return self
        return Dim(f"{self} + {other}", int(self) + int(other))

    def __mul__(self, other):
        return Dim(f"({self}) * {other}", int(self) * int(other))

    __radd__, __rmul__ = __add__, __mul__

    def __sub__(self, other):
        return Dim(f"{self} - {other}", int(self) - int(other))

    def __repr__(self):
        return self.name

    __str__ = __repr__


class Symbol(Traced):
    """What an array will be when the graph runs."""

    def __init__(self, graph, name, shape, dtype):
        self.graph, self.name = graph, name
        self.value = Outline(tuple(shape), np.dtype(dtype))

    ndim = property(lambda self: len(self.shape))

    def apply(self, primitive, arrays, settings):
        return self.graph.apply(primitive, arrays, settings)

    def __repr__(self):
        return f"Symbol({self.name}: {self.dtype} {self.shape})"


@dataclass(eq=False)
class Node:
    """One operator of ONNX: the symbols that it reads, and the one that it makes."""

    op: str
    name: str
    inputs: list
    output: Symbol
    attributes: dict
    doc: str


@dataclass(eq=False)
class Graph:
    """Nodes in the order in which they run, and the arrays that are given with them."""

    inputs: list = field(default_factory=list)
    outputs: list = field(default_factory=list)
    nodes: list = field(default_factory=list)
    weights: dict = field(default_factory=dict)  # a symbol's name -> the model's array
    constants: dict = field(default_factory=dict)  # a symbol's name -> a small array
    docs: dict = field(
        default_factory=dict
    )  # an input's or output's name -> a sentence
    part: str = ""  # of the model, at work now: "h.0.attn"
    used: Counter = field(default_factory=Counter)  # names
    known: dict = field(default_factory=dict)  # arrays that have a symbol already

    def input(self, name, shape, dtype, doc):
        """A symbol for what is given each time that the graph runs."""
        self.inputs.append(Symbol(self, self.unique(name), shape, dtype))
        self.docs[name] = doc
        return self.inputs[-1]

    def default(self, name, array, doc):
        """A symbol for what may be given, and is ``array`` where it is not."""
        self.constants[name] = array
        return self.input(name, array.shape, array.dtype, doc)

    def output(self, symbol, name, doc):
        """Give a symbol's numbers out, under this name."""
        symbol.name = self.unique(name)
        self.outputs.append(symbol)
        self.docs[name] = doc

    def weight(self, name, array):
        """A symbol for a parameter; where it is an earlier one's array, that one's."""
        place = array.__array_interface__["data"][0], array.shape, array.strides
        if place not in self.known:
            self.known[place] = Symbol(self, self.unique(name), array.shape, "float32")
            self.weights[name] = array
        return self.known[place]

    def constant(self, value, dtype=None):
        """A symbol for numbers that never change: floats become float32."""
        array = np.asarray(value, dtype)
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        key = array.dtype.name, array.shape, array.tobytes()
        if key not in self.known:
            shown = array.tolist() if array.size < 9 else "constant"
            name = self.unique(f"{array.dtype}:{shown}".replace(" ", ""))
            self.known[key] = Symbol(self, name, array.shape, array.dtype)
            self.constants[name] = array
        return self.known[key]

    def node(self, op, *inputs, shape, dtype=None, **attributes):
        """The symbol that the operator ``op`` makes; its dtype is that of the first
        input, unless another is given."""
        read = [a if a is None else self.symbol(a) for a in inputs]
        name = self.unique(f"{self.part}.{op}".lstrip("."))
        made = Symbol(self, name, shape, dtype or read[0].dtype)
        self.nodes.append(Node(op, name, read, made, attributes, ""))
        return made

    def symbol(self, a):
        """``a``, or where it is an array or a number a constant."""
        return a if isinstance(a, Symbol) else self.constant(a)

    def apply(self, primitive, arrays, settings):
        """Write down what a primitive does. The last of its nodes bears the name of the
        layer whose weights it reads, or of the primitive."""
        if primitive not in EMITTERS:
            raise ValueError(
                f"{primitive.__name__} cannot be exported: no emitter says what it is "
                "in ONNX. Write one in minigpt/export/emitters.py"
            )
        first = len(self.nodes)
        symbols = [a if a is None else self.symbol(a) for a in arrays]
        name = self._enter(primitive, symbols)
        made = EMITTERS[primitive](self, *symbols, **settings)
        for node in self.nodes[first:]:
            node.doc = (primitive.__doc__ or "").split("\n\n")[0]
        if len(self.nodes) > first:
            self.nodes[-1].name = self.nodes[-1].output.name = self.unique(name)
        return made

    def _enter(self, primitive, symbols):
        """The name for what is made next; the part of the model goes along."""
        weights = [a.name for a in symbols if a is not None and a.name in self.weights]
        layer = weights[0].rpartition(".")[0] if weights else self.part
        if weights and not self.used[layer]:
            self.part = layer.rpartition(".")[0]
            return layer
        return f"{layer}.{primitive.__name__}".lstrip(".")

    def rename(self, symbol, name):
        """Call a symbol what the model calls it."""
        if symbol.name != name:
            symbol.name = self.unique(name)

    def unique(self, name):
        """``name``, with a number where it is taken."""
        self.used[name] += 1
        return name if self.used[name] == 1 else f"{name}_{self.used[name]}"
