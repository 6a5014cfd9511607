"""Looking inside a trained model: its parts, its stream, its heads, its neurons.

Every function takes any model that `mg.gpt` computes, the small teller of tales as well
as GPT-2, and changes nothing: what takes a part away gives a tap, or a new tree that
shares all other arrays. Chapter: looking-inside.
"""

import math

import numpy as np

from minigpt import ops, tree
from minigpt.attention import merge_heads
from minigpt.embedding import unembed
from minigpt.layers import layer_norm, linear
from minigpt.model import gpt

KINDS = {  # what a parameter's name contains -> the part that it belongs to
    "wte.": "token table",
    "wpe.": "position table",
    ".attn.": "attention",
    ".mlp.": "MLP",
    "ln_": "layer norms",
    "lm_head.": "output table",
}


def parts(params):
    """How many parameters each kind of part has: ``{"token table": V C, …}``. What
    fits none of the names of a GPT is counted as "other"."""
    counts = {}
    for name, a in tree.flatten(params).items():
        kind = next((kind for key, kind in KINDS.items() if key in name), "other")
        counts[kind] = counts.get(kind, 0) + a.size
    return counts


def batch(tok, texts):
    """``(ids, last)``: the texts as one array (B, T), each after an end token where the
    tokenizer has one, filled up at the right; and where each text's last token stands.

    Nothing looks ahead, so the filling changes nothing before it.
    """
    start = [] if tok.eot is None else [tok.eot]
    rows = [[*start, *tok.encode(text)] for text in texts]
    if not rows or not all(rows):
        raise ValueError("there is nothing to read: give at least one text, none empty")
    ids = np.full((len(rows), max(map(len, rows))), tok.eot or 0)
    for row, read in zip(ids, rows, strict=True):
        row[: len(read)] = read
    return ids, np.array([len(row) - 1 for row in rows])


# ---------------------------------------------------------------- the stream


def stream(params, ids, cfg, tap=None):
    """The residual stream after the embedding and after each half block, in order:
    ``{"embedding": (B, T, C), "attention 0": …, "MLP 0": …, "attention 1": …}``.

    ``tap`` may replace arrays on the way, as in `mg.gpt`.
    """
    seen = watched(params, ids, cfg, tap, last=True)
    found = {"embedding": seen["embedding"]}
    x = seen["embedding"]
    for i, block in enumerate(params["h"]):
        heads = merge_heads(seen[f"h.{i}.attn.heads"])
        found[f"attention {i}"] = x + linear(heads, block["attn"]["c_proj"])
        found[f"MLP {i}"] = x = seen[f"h.{i}"]
    return found


def watched(params, ids, cfg, tap=None, *, last=False):
    """What `mg.gpt` computes on its way, by the tap's names, the logits last; after
    ``tap`` has replaced what it likes. ``last=True``: logits of the last position."""
    seen = {}

    def both(name, array):
        other = tap(name, array) if tap is not None else None
        seen[name] = array if other is None else other
        return seen[name]

    logits = gpt(params, ids, cfg, tap=both, last=last)
    return seen | {"logits": logits}


def lens(params, cfg, x):  # (..., C) -> (..., V)
    """Logits that the model would give if the stream ended as ``x``: the logit lens
    (nostalgebraist 2020), which is the last layer norm and the output table."""
    head = params["lm_head"] if "lm_head" in params else params["wte"]
    return unembed(head["weight"], layer_norm(x, params["ln_f"], cfg.layer_norm_eps))


# ---------------------------------------------------------------- heads


def head_matrix(params, cfg, layer, head):  # -> (C, C)
    """What one head does with a position that it looks at, as one matrix: its values'
    columns of ``c_attn`` times its rows of ``c_proj``. Its rank is at most D.

    The "OV circuit" of Elhage and others (2021), without layer norm and biases.
    """
    attn, C, D = params["h"][layer]["attn"], cfg.n_embd, cfg.n_embd // cfg.n_head
    rows = slice(head * D, (head + 1) * D)
    values = attn["c_attn"]["weight"][:, 2 * C :][:, rows]
    return values @ attn["c_proj"]["weight"][rows]


def average(found, cfg, where):
    """The mean of what each head found, over the positions that ``where`` (B, T) marks:
    ``{(layer, head): (D,)}``. ``found`` is what `watched` or a tap collected."""
    heads = [found[f"h.{i}.attn.heads"] for i in range(cfg.n_layer)]
    return {
        (layer, head): heads[layer][:, head][where].mean(axis=0)
        for layer in range(cfg.n_layer)
        for head in range(cfg.n_head)
    }


def replace_heads(values, where=None):
    """A tap that puts something else in the place of what heads have found.

    ``values`` is ``{(layer, head): array}``, each broadcast to (B, T, D): zero, an
    average (D,), or what the head found elsewhere. ``where`` (B, T) marks the positions
    at which; everywhere, when not given.
    """

    def tap(name, found):
        for (layer, head), value in values.items():
            if name == f"h.{layer}.attn.heads":
                found = found.copy()
                old = found[:, head]
                mask = True if where is None else where[..., None]
                found[:, head] = np.where(mask, value, old)
        return found

    return tap


def chances(params, cfg, tok, text, answers):
    """The probability of each answer after a text: ``{answer: probability}``. An answer
    of several tokens has the product of theirs."""
    found = {}
    start, _ = batch(tok, [text])
    for answer in answers:
        new = tok.encode(answer)
        ids = np.concatenate([start[0], new])[None]
        logits = gpt(params, ids[:, :-1], cfg)[0, start.shape[1] - 1 :]
        p = ops.softmax(logits.astype(np.float64))
        found[answer] = float(np.prod(p[np.arange(len(new)), new]))
    return found


def effect(before, after):
    """``(mean, error)`` of ``after - before``, case by case: how much a change did, and
    the standard error of that mean. Both (N,), with N at least 2."""
    change = np.asarray(after, float) - np.asarray(before, float)
    if change.ndim != 1 or len(change) < 2:
        raise ValueError(
            f"the cases are {change.shape}: give one number a case, and at least two, "
            "since one says nothing about its spread"
        )
    return float(change.mean()), float(change.std(ddof=1) / math.sqrt(len(change)))


# ---------------------------------------------------------------- neurons


def neurons(params, cfg, x, layer):  # (..., C) -> (..., 4 C)
    """How strongly each neuron of a layer's MLP fires, the hidden numbers after GELU,
    where the stream before that MLP, ``stream(…)[f"attention {layer}"]``, is ``x``."""
    block = params["h"][layer]
    seen = layer_norm(x, block["ln_2"], cfg.layer_norm_eps)
    return ops.gelu(linear(seen, block["mlp"]["c_fc"]))


def without_neuron(params, layer, neuron, mean=0.0):
    """The same model, in which one neuron always fires as strongly as ``mean``. All
    arrays but its layer's ``mlp.c_proj`` are shared with ``params``."""
    flat = tree.flatten(params)
    name = f"h.{layer}.mlp.c_proj"
    weight, bias = flat[f"{name}.weight"].copy(), flat[f"{name}.bias"]
    flat[f"{name}.bias"] = bias + weight.dtype.type(mean) * weight[neuron]
    weight[neuron] = 0.0
    return tree.unflatten(flat | {f"{name}.weight": weight})
