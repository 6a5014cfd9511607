"""From ids to vectors, and from vectors back to a score for every id.

Chapter: embeddings.
"""

from minigpt import ops


def embed(wte, wpe, ids, positions=None):  # (B, T) -> (B, T, C)
    """What each token is plus where it stands.

    ``wte["weight"]`` (V, C) has a row for every token, ``wpe["weight"]`` (n_ctx, C) one
    for every position. ``positions`` is a slice of these rows, by default the first T,
    or (B, T), where the texts of a batch do not stand at the same ones.
    """
    tokens = ops.embed(wte["weight"], ids)
    if positions is None:
        positions = slice(ids.shape[1])
    if isinstance(positions, slice):
        return tokens + wpe["weight"][positions]
    return tokens + ops.embed(wpe["weight"], positions)


def unembed(table, x):  # (B, T, C) -> (B, T, V)
    """Logits: the scalar product of each vector with each token's row of ``table``.

    GPT-2 uses the rows that it embeds with (weight tying; Press and Wolf 2017).
    """
    return ops.linear(x, ops.transpose(table, axes=(1, 0)))
