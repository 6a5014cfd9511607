"""A few rows times a large weight: what decoding a small batch spends its time on."""

import numpy as np

FEW = 8  # rows that are multiplied one at a time by a large weight: a batch in decoding
PART = 2**19  # numbers of a weight: 2 MB, and enough for a BLAS to share among threads


def product(x, weight):  # (N, I), (I, O) -> (N, O)
    """``x @ weight``, for a few rows in another order.

    A product of matrices first copies the weight into an order of its own, which takes
    longer than a few rows do. Those are multiplied one at a time, with a part of the
    weight that stays in the cache until all rows have been there: it is read once.
    """
    plain = isinstance(x, np.ndarray) and isinstance(weight, np.ndarray)
    parts = weight.size // PART if plain and 1 < len(x) <= FEW else 0
    if parts == 0:
        return x @ weight
    y = np.zeros((len(x), weight.shape[1]), np.result_type(x, weight))
    if weight.flags.f_contiguous:  # as the table of the tokens is, turned around
        step = -(-weight.shape[1] // parts)
        for some in (slice(k, k + step) for k in range(0, weight.shape[1], step)):
            for row, out in zip(x, y, strict=True):
                out[some] = row @ weight[:, some]
        return y
    step = -(-weight.shape[0] // parts)
    for some in (slice(k, k + step) for k in range(0, weight.shape[0], step)):
        for row, out in zip(x, y, strict=True):
            out += row[some] @ weight[some]
    return y
