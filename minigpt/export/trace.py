"""`mg.gpt` run with symbols: the graph of a whole model. Chapter: serving."""

import numpy as np

from minigpt import checkpoint, tree
from minigpt.export.emitters import FAR
from minigpt.export.graph import Dim, Graph
from minigpt.model import gpt

INPUT_IDS = "The tokens to read, a text in each row."
ATTENTION_MASK = (
    "1 for a token and 0 for padding, for earlier tokens and then these. No token "
    "looks at padding, and positions count the ones."
)
LOGITS_FROM = "The first position whose logits are wanted: 0, or -1 for the last alone."
LOGITS = "A score for each token of the vocabulary: does it follow this position?"
PAST = "The {} of earlier tokens in layer {}, as an earlier run gave them."
PRESENT = "The {} of all tokens so far in layer {}: what the next run is given."


def trace(params, cfg, cache=False):
    """The `Graph` of a model. Its weights have a checkpoint's names, and what it makes
    on the way has the names that `gpt` tells a ``tap``.

    Raises ``ValueError`` for parameters that are not those of a ``cfg``.
    """
    check(params, cfg)
    g = Graph()
    B, T = Dim("batch", 2), Dim("sequence", 1)
    P = Dim("past_sequence", cfg.n_ctx - 1) if cache else 0
    ids = g.input("input_ids", (B, T), "int64", INPUT_IDS)
    mask = g.input("attention_mask", (B, P + T), "int64", ATTENTION_MASK)
    view = View(g, ids, mask, P)
    caches = [
        Kept(g, view, cfg, i) if cache else Past(view) for i in range(cfg.n_layer)
    ]
    zero = np.zeros(1, np.int64)
    logits_from = g.default("logits_from", zero, LOGITS_FROM) if cache else None

    def tap(name, symbol):
        g.rename(symbol, name)
        if cache and name == f"h.{cfg.n_layer - 1}":
            g.part = ""
            return from_position(g, symbol, logits_from)
        g.part = "unembed" if name == "ln_f" else g.part
        return symbol

    symbols = tree.map_named(lambda name, a: g.weight(name, np.asarray(a)), params)
    g.output(gpt(symbols, ids, cfg, caches=caches, tap=tap), "logits", LOGITS)
    for past in caches:
        past.give_out(g)
    return g


def check(params, cfg):
    """Raise ``ValueError`` unless every array of a GPT is there, in its shape."""
    flat = {name: np.asarray(a) for name, a in tree.flatten(params).items()}
    shapes = checkpoint.shapes(cfg)
    found = {name: flat[name].shape for name in shapes if name in flat}
    problems = checkpoint.report(shapes, found)
    if len(params.get("h", ())) > cfg.n_layer:
        problems.append(f"  h: expected {cfg.n_layer} blocks, found {len(params['h'])}")
    for name, a in flat.items():
        if a.dtype.kind != "f" and a.dtype.name != "bfloat16":
            problems.append(f"  {name}: {a.dtype} is no floating-point type")
    if problems:
        raise ValueError("the weights do not fit the model:\n" + "\n".join(problems))


class View:
    """Where the new tokens stand, and what they look at, by the attention mask."""

    def __init__(self, g, ids, mask, past):
        (B, T), S = ids.shape, mask.shape[1]
        self.past = past
        g.part = "positions"
        count = g.node("CumSum", mask, np.array(1), shape=(B, S))
        place = g.node("Sub", count, np.array(1), shape=(B, S))
        place = g.node("Max", place, np.array(0), shape=(B, S))
        new = g.node("Shape", ids, shape=(1,), start=1, end=2)
        new = g.node("Neg", new, shape=(1,))  # so many, counted from the end
        self.positions = from_position(g, place, new, T)
        g.rename(self.positions, "positions")
        g.part = "visible"
        total = g.node("Shape", mask, shape=(1,), start=1, end=2)
        total = g.node("Squeeze", total, np.array([0]), shape=())
        keys = g.node("Range", np.array(0), total, np.array(1), shape=(S,))
        keys = g.node("Unsqueeze", keys, np.array([0]), shape=(1, S))
        queries = from_position(g, keys, new, T)
        queries = g.node("Transpose", queries, shape=(T, 1), perm=[1, 0])
        square = {"shape": (T, S), "dtype": bool}
        earlier = g.node("LessOrEqual", keys, queries, **square)
        itself = g.node("Equal", keys, queries, **square)
        real = g.node("Cast", mask, shape=(B, S), dtype=bool, to=bool)
        real = g.node("Unsqueeze", real, np.array([1, 2]), shape=(B, 1, 1, S))
        seen = g.node("Or", real, itself, shape=(B, 1, T, S))
        self.visible = g.node("And", earlier, seen, shape=(B, 1, T, S))
        g.rename(self.visible, "visible")


class Past:
    """Stands where a `Cache` does when `gpt` is traced, and keeps nothing."""

    def __init__(self, view):
        self.view, self.length = view, view.past

    def positions(self, start, stop):
        return self.view.positions

    def mask(self, T):
        return self.view.visible

    def extend(self, k, v):
        return k, v

    def give_out(self, g):
        """Declare the outputs, of which there are none."""


class Kept(Past):
    """A cache whose keys and values come from inputs, and go to outputs."""

    def __init__(self, g, view, cfg, layer):
        super().__init__(view)
        self.layer = layer
        B, D = view.positions.shape[0], cfg.n_embd // cfg.n_head
        shape = (B, cfg.n_head, view.past, D)
        self.past = [
            g.input(f"past_key_values.{layer}.{kind}", shape, "float32", doc)
            for kind, doc in self.told(PAST)
        ]

    def told(self, sentence):
        return [(kind, sentence.format(f"{kind}s", self.layer)) for kind in KINDS]

    def extend(self, *new):
        self.present = []
        for old, x in zip(self.past, new, strict=True):
            B, H, T, D = x.shape
            shape = (B, H, self.length + T, D)
            self.present.append(x.graph.node("Concat", old, x, shape=shape, axis=2))
        return self.present

    def give_out(self, g):
        """Declare the outputs."""
        for symbol, (kind, doc) in zip(self.present, self.told(PRESENT), strict=True):
            g.output(symbol, f"present.{self.layer}.{kind}", doc)


KINDS = "key", "value"


def from_position(g, x, first, length=None):  # (B, T, …), (1,) -> (B, length, …)
    """What stands at the position ``first`` and behind it, along the second axis."""
    length = Dim("wanted", 1) if length is None else length
    shape = (x.shape[0], length, *x.shape[2:])
    return g.node("Slice", x, first, np.array([FAR]), np.array([1]), shape=shape)
