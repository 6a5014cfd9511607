"""From ids to vectors, and from vectors back to a score for every id.

Chapter: embeddings.
"""

import numpy as np

from minigpt import ops


def embed(wte, wpe, ids, start=0, padding=None):  # (B, T) -> (B, T, C)
    """What each token is plus where it stands.

    ``wte["weight"]`` (V, C) has a row for every token, ``wpe["weight"]`` (n_ctx, C) one
    for every position; the first id stands at position ``start``, or ``padding`` (B,)
    before it, where the rows of a batch begin with padding.
    """
    tokens = ops.embed(wte["weight"], ids)
    if padding is None:
        return tokens + wpe["weight"][start : start + ids.shape[1]]
    positions = start - padding[:, None] + np.arange(ids.shape[1])
    return tokens + ops.embed(wpe["weight"], np.maximum(positions, 0))


def unembed(table, x):  # (B, T, C) -> (B, T, V)
    """Logits: the scalar product of each vector with each token's row of ``table``.

    GPT-2 uses the rows that it embeds with (weight tying; Press and Wolf 2017).
    """
    return ops.linear(x, ops.transpose(table, axes=(1, 0)))
