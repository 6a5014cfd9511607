"""Attention: how a position takes in what stands at others.

Vaswani and others 2017. Chapters: attention, causal-mask, multi-head.
"""

import math

import numpy as np

from minigpt import ops
from minigpt.layers import drop, linear


def causal_mask(T, S=None):  # -> (T, S)
    """True where query t may look at key s: at itself and at what came before.

    The queries are the last ``T`` of ``S`` positions (of ``T``, when not given).
    """
    S = T if S is None else S
    return np.tri(T, S, S - T, dtype=bool)


def attention_weights(q, k, mask=None):  # (B, H, T, D), (B, H, S, D) -> (B, H, T, S)
    """How much each query takes from each key: softmax of q·k / √D; each row sums to 1.

    Where ``mask`` is False the weight is exactly zero.
    """
    scores = ops.matmul(q, ops.transpose(k, axes=(0, 1, 3, 2)))
    return ops.softmax(scores, mask, scale=1.0 / math.sqrt(q.shape[-1]))


def attention(q, k, v, mask=None):  # (B, H, T, D), 2 x (B, H, S, D) -> (B, H, T, D)
    """For each query the average of the values, weighted by `attention_weights`."""
    return ops.matmul(attention_weights(q, k, mask), v)


def split_heads(x, n_head):  # (B, T, C) -> (B, H, T, D)
    """Cut the channels into heads that work side by side."""
    B, T, C = x.shape
    x = ops.reshape(x, shape=(B, T, n_head, C // n_head))
    return ops.transpose(x, axes=(0, 2, 1, 3))


def merge_heads(x):  # (B, H, T, D) -> (B, T, C)
    """Lay the heads' results side by side again."""
    B, H, T, D = x.shape
    return ops.reshape(ops.transpose(x, axes=(0, 2, 1, 3)), shape=(B, T, H * D))


def self_attention(x, params, n_head, cache=None, tap=None, rng=None, dropout=0.0):
    """Causal multi-head attention of a sequence to itself: (B, T, C) -> (B, T, C).

    ``params`` has ``c_attn`` (C, 3 C), which makes queries, keys and values in one
    product, and ``c_proj`` (C, C), which mixes the heads' results. With a ``cache`` the
    keys and values of earlier calls are there too. ``tap`` may see, and replace, the
    weights (B, H, T, S) and the heads' results (B, H, T, D).
    """
    T, C = x.shape[1:]
    qkv = linear(x, params["c_attn"])
    q = split_heads(qkv[..., :C], n_head)
    k = split_heads(qkv[..., C : 2 * C], n_head)
    v = split_heads(qkv[..., 2 * C :], n_head)
    if cache is not None:
        k, v = cache.extend(k, v)
    mask = causal_mask(T) if cache is None else cache.mask(T)
    if tap is None and rng is None and (mask is None or mask.ndim == 2):
        heads = ops.attention(q, k, v, mask)  # the same, faster; no weights to see
    else:
        weights = attention_weights(q, k, mask)
        if tap is not None:
            weights = tap("attn.weights", weights)
        heads = ops.matmul(drop(weights, dropout, rng), v)
        if tap is not None:
            heads = tap("attn.heads", heads)
    return drop(linear(merge_heads(heads), params["c_proj"]), dropout, rng)


class Cache:
    """The keys and values of one layer for all positions so far.

    A new token attends to old ones through their keys and values, which do not change
    when tokens follow: so they are kept, and each step computes one position only. The
    arrays are allocated once, for ``capacity`` positions. In a batch of texts of
    different lengths the first ``padding`` (B,) positions of each row are filled with
    anything, and nothing attends to them. Chapter: generation.
    """

    def __init__(self, capacity, padding=None):
        self.capacity = capacity
        self.padding = padding if padding is not None and np.any(padding) else None
        self.length = 0
        self.keys = self.values = None

    def extend(self, k, v):  # 2 x (B, H, T, D) -> 2 x (B, H, S, D)
        """Take in the new positions; returns all so far, as views."""
        B, H, T, D = k.shape
        if self.keys is None:
            self.keys, self.values = np.empty((2, B, H, self.capacity, D), k.dtype)
        start, stop = self.length, self.length + T
        if stop > self.capacity:
            raise ValueError(
                f"the cache holds {self.capacity} positions and cannot take {stop}: "
                "make a new one from the last tokens"
            )
        self.keys[:, :, start:stop] = k
        self.values[:, :, start:stop] = v
        self.length = stop
        return self.keys[:, :, :stop], self.values[:, :, :stop]

    def positions(self, start, stop):  # -> a slice, or (B, T)
        """At which rows of `wpe` the tokens from ``start`` to ``stop`` are found: each
        text is counted from behind its padding."""
        if self.padding is None:
            return slice(start, stop)
        return np.maximum(np.arange(start, stop) - self.padding[:, None], 0)

    def mask(self, T):  # -> (T, S), (B, 1, T, S), or None where everything may be seen
        """Where the last ``T`` positions so far may look."""
        if T == 1 and self.padding is None:
            return None
        mask = causal_mask(T, self.length)
        if self.padding is None:
            return mask
        real = np.arange(self.length) >= self.padding[:, None, None, None]
        itself = np.eye(T, self.length, self.length - T, dtype=bool)
        return mask & (real | itself)  # padding looks at itself: some weight must be 1
