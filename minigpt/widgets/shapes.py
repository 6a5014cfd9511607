"""A text's way through the whole model, array by array. Chapter: blocks."""

from html import escape
from typing import NamedTuple

import numpy as np
import traitlets as t

from minigpt import layers, ops, tree
from minigpt.model import gpt
from minigpt.plots import piece, shapes
from minigpt.streaming import first_ids
from minigpt.widgets import bundle
from minigpt.widgets.alive import AliveModel, refusing
from minigpt.widgets.still import LIVE

WALKED = 24  # tokens at most: a row of a map stays wide enough to be seen
STILL = f"{LIVE}each array shows its numbers, and another text changes them."


# Name, axes and chapter of each array: before the blocks, in each, and after them.
BEGIN = [
    ("ids", "T", "01-tokenizer"),
    ("wte", "T C", "02-embeddings"),
    ("wpe", "T C", "02-embeddings"),
    ("embedding", "T C", "06-blocks"),
]
BLOCK = [
    ("ln_1", "T C", "06-blocks"),
    ("attn.q", "T H D", "03-attention"),
    ("attn.k", "T H D", "03-attention"),
    ("attn.v", "T H D", "03-attention"),
    ("attn.weights", "H T T", "04-causal-mask"),
    ("attn.heads", "T H D", "05-multi-head"),
    ("attn", "T C", "05-multi-head"),
    ("halfway", "T C", "06-blocks"),
    ("ln_2", "T C", "06-blocks"),
    ("mlp.hidden", "T 4C", "06-blocks"),
    ("mlp", "T C", "06-blocks"),
    ("", "T C", "06-blocks"),
]
END = [
    ("ln_f", "T C", "06-blocks"),
    ("logits", "T V", "06-blocks"),
    ("softmax", "V", "07-generation"),
]
THEN = {  # what a still picture says of the way to the next array
    "ids": ["rows of wte and wpe, added"],
    "attn": ["added to the residual stream"],
    "mlp": ["added to the residual stream"],
    "h.0": ["in the same way through all blocks"],
}


class Step(NamedTuple):
    """One array of the forward pass."""

    name: str  # in `ShapeWalk.arrays`, such as "h.0.attn.weights"
    letters: str  # its axes, such as "H T T"
    shape: tuple
    parameters: int  # how many learned numbers are used there for the first time
    chapter: str  # of the book, that explains it


class ShapeWalk(AliveModel):
    """What a text becomes on its way to the next token: every array, its shape and its
    numbers.

    ``text`` and ``opened`` (the name of the step that is shown large, or "") are
    traits: Python reads, observes, links and sets what the reader does, and the other
    way round. At most 24 tokens walk, the last ones. Raises ``ValueError`` for a step
    that is not there, and for a model that the page cannot run (see `AliveModel`).
    """

    _esm = bundle.es_module("shape_walk.js", default="shapeWalkModule")

    text = t.Unicode().tag(sync=True, page=True)
    opened = t.Unicode().tag(sync=True, page=True)

    def __init__(self, params, cfg, tok, text="", opened=""):
        _check(opened, cfg)
        super().__init__(params, cfg, tok, text=text, opened=opened)

    @t.validate("opened")
    def _is_there(self, proposal):
        with refusing():
            _check(proposal["value"], self.cfg)
        return proposal["value"]

    @property
    def ids(self):  # -> (T,)
        """The tokens that walk: an end token and the text, or the last 24 of them."""
        most = min(WALKED, self.cfg.n_ctx)
        return np.array(first_ids(self.tok, self.text)[-most:])

    @property
    def arrays(self):
        """All that the model computes of the text, as a dict by the names of `steps`.

        A row is a token; where there are heads, the shape is ``(T, H, D)``. Attention
        weights are a map for each head, ``(H, T, T)``.
        """
        ids, params, cfg = self.ids, self.params, self.cfg
        tap = {}
        logits = gpt(params, ids[None], cfg, tap=tap)[0]
        tap = {name: array[0] for name, array in tap.items()}
        x = tap["embedding"]
        tap |= {"ids": ids, "wte": params["wte"]["weight"][ids]}
        tap |= {"wpe": params["wpe"]["weight"][: len(ids)]}
        for i, block in enumerate(params["h"]):
            inner = _inside(x, block, cfg, tap.pop(f"h.{i}.attn.heads"))
            tap |= {f"h.{i}.{name}": array for name, array in inner.items()}
            x = tap[f"h.{i}"]
        tap |= {"logits": logits, "softmax": ops.softmax(logits[-1])}
        return {name: tap[name] for name, _, _ in _table(cfg)}

    @property
    def steps(self):
        """The arrays in order, as `Step`: name, letters, shape, parameters, chapter."""
        arrays, learned = self.arrays, _learned(self.params)
        return [
            Step(name, letters, arrays[name].shape, learned.get(name, 0), chapter)
            for name, letters, chapter in _table(self.cfg)
        ]

    def shown(self):
        """The five likeliest next tokens: pairs of a token and its probability."""
        p = self.arrays["softmax"]
        order = np.argsort(-p, kind="stable")[:5]
        return [(piece(self.tok.decode([int(i)])), float(p[i])) for i in order]

    def picture(self):
        """The way through the first block, and what comes after, as a `Picture`."""
        last = f"h.{self.cfg.n_layer - 1}"
        drawn = []
        for name, letters, shape, *_ in self.steps:
            inner = name.removeprefix("h.0.")
            if name.startswith("h.") and inner == name and name not in ("h.0", last):
                continue  # the other blocks are like the first
            if inner not in ("wte", "wpe", "attn.k", "attn.v"):
                also = ", and k and v alike" if inner == "attn.q" else ""
                then = THEN.get(inner, ()) if name != last else ()
                drawn.append((name + also, shape, letters, *then))
        return shapes(drawn, repr(self))

    def still(self):
        """The shapes of the arrays, one below the other."""
        return (
            f'<div class="mg-still"><p>{escape(self.text)}</p>{self.picture().html()}'
            f'<p style="margin:.4em 0"><i>{STILL}</i></p></div>'
        )

    def __repr__(self):
        steps, [(name, p), *_] = self.steps, self.shown()
        learned = sum(step.parameters for step in steps)
        return (
            f"The {len(steps)} arrays of a forward pass of {len(self.ids)} tokens "
            f"through {learned:,} parameters. Likeliest next: {name} {p:.3f}."
        )


def _table(cfg):
    blocks = [
        (f"h.{i}.{name}".removesuffix("."), letters, chapter)
        for i in range(cfg.n_layer)
        for name, letters, chapter in BLOCK
    ]
    return [*BEGIN, *blocks, *END]


def _check(opened, cfg):
    """Raise ``ValueError`` for the name of a step that is not there."""
    names = [name for name, _, _ in _table(cfg)]
    if opened and opened not in names:
        raise ValueError(
            f"there is no step {opened!r} to open: it can be one of {', '.join(names)}"
        )


def _inside(x, params, cfg, heads):  # (T, C), …, (H, T, D) -> arrays by name
    """What `minigpt.model.block` computes and no tap sees, of one text."""
    T, C = x.shape
    by_head = (T, cfg.n_head, C // cfg.n_head)
    seen = layers.layer_norm(x, params["ln_1"], cfg.layer_norm_eps)
    qkv = np.split(layers.linear(seen, params["attn"]["c_attn"]), 3, axis=-1)
    heads = heads.swapaxes(0, 1)  # (H, T, D) -> (T, H, D)
    looked = layers.linear(heads.reshape(T, C), params["attn"]["c_proj"])
    found = {
        f"attn.{name}": part.reshape(by_head)
        for name, part in zip("qkv", qkv, strict=True)
    }
    found |= {"ln_1": seen, "attn.heads": heads, "attn": looked, "halfway": x + looked}
    alone = layers.layer_norm(x + looked, params["ln_2"], cfg.layer_norm_eps)
    hidden = ops.gelu(layers.linear(alone, params["mlp"]["c_fc"]))
    written = layers.linear(hidden, params["mlp"]["c_proj"])
    return found | {"ln_2": alone, "mlp.hidden": hidden, "mlp": written}


def _learned(params):
    """How many parameters each step uses that none before it has, by name."""
    used = {name: params[name] for name in ("wte", "wpe", "ln_f")}
    if "lm_head" in params:
        used["logits"] = params["lm_head"]
    thirds = {}  # one matrix makes queries, keys and values
    for i, block in enumerate(params["h"]):
        third = tree.size(block["attn"]["c_attn"]) // 3
        thirds |= {f"h.{i}.attn.{name}": third for name in "qkv"}
        used |= {f"h.{i}.{name}": block[name] for name in ("ln_1", "ln_2")}
        used[f"h.{i}.attn"] = block["attn"]["c_proj"]
        used[f"h.{i}.mlp.hidden"] = block["mlp"]["c_fc"]
        used[f"h.{i}.mlp"] = block["mlp"]["c_proj"]
    return thirds | {name: tree.size(leaves) for name, leaves in used.items()}
