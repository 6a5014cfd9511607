"""The layers that treat every position on its own. Chapter: blocks.

Each takes its parameters as a dict with GPT-2's names: ``{"weight", "bias"}``.
"""

import numpy as np

from minigpt import ops


def linear(x, params):  # (..., I) -> (..., O)
    """``x @ weight + bias``, and the low-rank correction where there is one.

    LoRA (Hu and others 2021) adds ``lora_a`` (I, R) and ``lora_b`` (R, O) to
    ``params``, already scaled; see `minigpt.lora`.
    """
    y = ops.linear(x, params["weight"], params.get("bias"))
    if "lora_a" in params:
        y = y + ops.linear(ops.linear(x, params["lora_a"]), params["lora_b"])
    return y


def layer_norm(x, params, eps=1e-5):  # (..., C) -> (..., C)
    """Mean 0 and variance 1 over the channels, then scaled and shifted as learned."""
    return ops.layer_norm(x, params["weight"], params["bias"], eps=eps)


def mlp(x, params, rng=None, dropout=0.0):  # (..., C) -> (..., C)
    """Widen to 4 C, apply GELU, narrow to C: where a token is thought about alone."""
    hidden = ops.gelu(linear(x, params["c_fc"]))
    return drop(linear(hidden, params["c_proj"]), dropout, rng)


def drop(x, rate, rng):  # (...) -> (...)
    """Dropout: zero each number with probability ``rate`` and scale up the rest.

    Only when there is a generator ``rng``, that is in training (Srivastava and others
    2014); the expected value stays the same, so that nothing changes afterwards.
    """
    if rng is None or rate == 0.0:
        return x
    keep = rng.random(x.shape, dtype=np.float32) >= rate
    return ops.multiply(x, keep.astype(x.dtype) / (1.0 - rate))
