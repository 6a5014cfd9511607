"""Looking at a model that misbehaves: sizes, signals, gradients. Appendix: debugging.

Everything here reads and returns; nothing is changed.
"""

import math

import numpy as np

from minigpt import tree
from minigpt.model import gpt


def table(arrays):
    """One line for each array of a tree, or of what ``tap`` filled: name, shape, dtype,
    root mean square, greatest magnitude, and how many numbers are not finite.

    Returns text to print.
    """
    rows = [("name", "shape", "dtype", "rms", "largest", "not finite")]
    for name, a in tree.flatten(arrays).items():
        a = np.asarray(a)
        finite = a[np.isfinite(a)].astype(np.float64)
        largest = np.abs(finite).max(initial=0.0)
        bad = str(a.size - finite.size) if finite.size < a.size else ""
        rms = math.sqrt(np.mean(finite**2)) if finite.size else 0.0
        shape = " × ".join(str(n) for n in a.shape)
        rows.append((name, shape, str(a.dtype), f"{rms:.3g}", f"{largest:.3g}", bad))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    padded = [[c.ljust(w) for c, w in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(row).rstrip() for row in padded)


def signals(params, ids, cfg):
    """Every array that `gpt` shows on its way from ids (B, T) to logits, by name and in
    order, the logits last: ``{"embedding": …, "h.0.attn.weights": …, …}``."""
    seen = {}
    logits = gpt(params, ids, cfg, tap=seen)
    return seen | {"logits": logits}


def first_not_finite(params, ids, cfg):
    """The name of the first array that holds a NaN or an infinity, or None.

    The parameters are looked at first, then what the model computes from ids (B, T), in
    order: what is found is a cause and no consequence.
    """
    for name, a in tree.flatten(params).items():
        if not np.isfinite(a).all():
            return name
    with np.errstate(all="ignore"):
        seen = signals(params, ids, cfg)
    for name, a in seen.items():
        if not np.isfinite(a).all():
            return name
    return None


def gradient_norms(grads, params=None):
    """The length of each gradient: ``{name: length}``, in the tree's order.

    With ``params`` each is divided by the length of its parameter, so that arrays of
    any size can be compared; a parameter that is all zeros gives infinity, or 0 where
    its gradient is zero, too.
    """
    lengths = {name: _length(g) for name, g in tree.flatten(grads).items()}
    if params is None:
        return lengths
    own = {name: _length(p) for name, p in tree.flatten(params).items()}
    return {name: _ratio(g, own[name]) for name, g in lengths.items()}


def memory(cfg, batch_size, length=None, *, bytes_per_number=4):
    """About how many bytes training needs at its peak, by what they are for.

    ``length`` is that of the texts in tokens, ``cfg.n_ctx`` when not given. Returns
    ``{"parameters", "gradients", "optimizer", "activations"}``. The tape keeps 16 C
    numbers for each token and block, and two C at the end; the rule at work holds two
    of the largest arrays, the logits or what a block widens to. Dropout comes on top,
    and with it the weights of the attention, H T for each token and block.
    """
    T = cfg.n_ctx if length is None else length
    C, V = cfg.n_embd, cfg.vocab_size
    matrices = 12 * C * C + 13 * C
    parameters = V * C + cfg.n_ctx * C + cfg.n_layer * matrices + 2 * C
    kept = cfg.n_layer * 16 * C + 2 * C
    working = 2 * max(V, 4 * C)
    numbers = {
        "parameters": parameters,
        "gradients": parameters,
        "optimizer": 2 * parameters,
        "activations": batch_size * T * (kept + working),
    }
    return {name: n * bytes_per_number for name, n in numbers.items()}


def _length(a):
    return float(np.linalg.norm(np.asarray(a, np.float64)))


def _ratio(a, b):
    if b == 0.0:
        return math.inf if a > 0.0 else a  # a may be NaN
    return a / b
