"""Attention in one piece, and its derivative under it.

The weights of all heads, (B, H, T, S), are the largest arrays of a step. Here they
never exist: a block of queries at a time is scored, weighted and averaged while its
weights stand in the cache, and the derivative computes them again. What no query of a
block may see is not computed at all: of causal attention that is nearly half.

Milakov and Gimelshein 2018; Dao, Fu, Ermon, Rudra and Ré 2022, "FlashAttention".
"""

import math

import numpy as np

from minigpt.autodiff import Primitive
from minigpt.ops.namespace import BLOCK
from minigpt.ops.neural import exp_and_sum, softmax

QUERIES = 64  # in a block: fewer save more of what is masked, more are faster each


@Primitive
def attention(q, k, v, mask=None, /):  # (B, H, T, D), 2 x (B, H, S, D) -> (B, H, T, D)
    """``softmax(q kᵀ / √D) v``; the weight is zero where ``mask`` (T, S) is False."""
    if not isinstance(q, np.ndarray) or q.shape[2] == 1:  # a cache makes one query
        scores = q @ k.mT
        return softmax(scores, mask, scale=1.0 / math.sqrt(q.shape[-1])) @ v
    y = np.empty_like(q)
    for block, past, seen in _blocks(q, k, mask):
        p, total = _weights(_scaled(q[block]), k[past], seen)
        np.divide(p @ v[past], total, out=y[block])
    return y


@attention.vjp
def attention_vjp(y, q, k, v, mask=None):
    """With p = exp(scores) / total and d scores = p (dy vᵀ - y·dy), as in softmax."""

    def together(dy):
        dq, dk, dv = np.empty_like(q), np.zeros_like(k), np.zeros_like(v)
        for block, past, seen in _blocks(q, k, mask):
            queries = _scaled(q[block])
            p, total = _weights(queries, k[past], seen)
            d = dy[block] / total
            dv[past] += p.mT @ d
            d_scores = d @ v[past].mT
            d_scores -= np.vecdot(d, y[block])[..., None]
            d_scores *= p
            dq[block] = _scaled(d_scores @ k[past])
            dk[past] += d_scores.mT @ queries
        return dq, dk, dv, None

    return together


def _weights(queries, keys, seen):
    """``exp(scores)`` of a block, not yet divided, and each query's total."""
    return exp_and_sum(lambda: queries @ keys.mT, seen)


def _scaled(q):
    return q * (1.0 / math.sqrt(q.shape[-1]))


def _blocks(q, k, mask):
    """Keys of the arrays: some rows of the batch, all heads, some queries; the keys
    that any of these may see; and the mask between them, where it hides any."""
    (B, H, T, _), S = q.shape, k.shape[2]
    rows = max(1, BLOCK // max(1, H * min(T, QUERIES) * S))
    if mask is not None:
        mask = np.broadcast_to(mask, (T, S))
    for start in range(0, T, QUERIES):
        queries, stop, seen = slice(start, start + QUERIES), S, None
        if mask is not None:
            stop = S - int(mask[queries].any(axis=0)[::-1].argmax())
            seen = mask[queries, :stop]
            seen = None if seen.all() else seen.astype(q.dtype)
        for row in range(0, B, rows):
            some = slice(row, row + rows)
            yield (some, slice(None), queries), (some, slice(None), slice(stop)), seen
