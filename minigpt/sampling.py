"""From logits to a token: temperature, top-k, top-p, a draw. Chapter: generation."""

import math
import numbers
import operator

import numpy as np


def choose(logits, temperature, top_k, top_p, rng):  # (B, V) -> (B,)
    """The next token of every row: the greatest logit, or one drawn at random."""
    if not np.isfinite(logits).all():
        raise ValueError(
            "the model's logits are not finite: its weights hold NaN or infinity, or "
            "numbers so large that they overflow"
        )
    if temperature == 0:
        return logits.argmax(axis=-1)
    return sample(distribution(logits, temperature, top_k, top_p), rng)


def distribution(logits, temperature, top_k=None, top_p=None):  # (B, V) -> (B, V)
    """The probabilities that are drawn from: temperature, then top-k, then top-p."""
    logits = scale(logits, temperature)
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    return probabilities(logits)


def scale(logits, temperature):  # (B, V) -> (B, V)
    """Logits over temperature, with the greatest of each row at 0, in float64.

    Under 1 the likely becomes likelier; over 1 the choice becomes more even.
    """
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)  # first: no temperature overflows
    with np.errstate(over="ignore"):  # -inf is a fine logit for the hopeless
        return logits / temperature


def keep_top_k(logits, k):  # (B, V) -> (B, V)
    """The ``k`` greatest logits (and those equal to the last of them), -inf elsewhere.
    Fan, Lewis and Dauphin 2018."""
    if k >= logits.shape[-1]:
        return logits
    kth = np.partition(logits, -k, axis=-1)[..., -k, None]
    return np.where(logits >= kth, logits, -np.inf)


def keep_top_p(logits, p):  # (B, V) -> (B, V)
    """The fewest greatest logits whose probabilities reach ``p``, -inf elsewhere.
    Holtzman and others 2020, "nucleus sampling"; at least one token is kept."""
    if p >= 1:  # only rounding could drop something
        return logits
    order = np.argsort(-logits, axis=-1, kind="stable")
    sorted_p = np.take_along_axis(probabilities(logits), order, axis=-1)
    before = np.cumsum(sorted_p, axis=-1) - sorted_p  # what better tokens hold
    dropped = np.empty(logits.shape, bool)
    np.put_along_axis(dropped, order, (before >= p) & (before > 0), axis=-1)
    return np.where(dropped, -np.inf, logits)


def probabilities(logits):  # (B, V) -> (B, V)
    """Softmax along the last axis."""
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return p


def sample(p, rng):  # (B, V) -> (B,)
    """One index a row, drawn with the probabilities ``p``, one uniform number each."""
    return pick(p, rng.random((len(p), 1)))


def pick(p, uniform):  # (B, V), (B, 1) -> (B,)
    """The index of each row at which its probabilities add up to more than a number
    between 0 and 1."""
    cumulative = np.cumsum(p, axis=-1)
    total = cumulative[:, -1:]
    u = np.minimum(uniform * total, np.nextafter(total, 0.0))
    return (cumulative <= u).sum(axis=-1)


def choose_each(logits, settings, rngs):  # (B, V), B, B -> (B,), (B,)
    """The next token of every row, chosen as `choose` would with that row's settings
    ``(temperature, top_k, top_p)`` and its own generator, and the probability that it
    was drawn with; where the temperature is 0 that which it has at a temperature of 1.

    Rows of equal settings are computed together.
    """
    ids, probs = np.empty(len(logits), np.int64), np.empty(len(logits))
    for own in dict.fromkeys(settings):
        rows = [row for row, other in enumerate(settings) if other == own]
        p = distribution(logits[rows], own[0] or 1.0, *own[1:] if own[0] else ())
        if own[0] == 0:
            ids[rows] = logits[rows].argmax(axis=-1)
        else:
            ids[rows] = pick(p, np.array([[rngs[row].random()] for row in rows]))
        probs[rows] = p[np.arange(len(rows)), ids[rows]]
    return ids, probs


def check_settings(temperature, top_k, top_p):
    """Raise ``ValueError`` unless the three settings of sampling have a meaning."""
    real = isinstance(temperature, numbers.Real)
    if not (real and math.isfinite(temperature) and temperature >= 0):
        raise ValueError(f"temperature must be 0 (greedy) or more, not {temperature!r}")
    if top_k is not None:
        whole(top_k, "top_k", 1)
    real = isinstance(top_p, numbers.Real)
    if top_p is not None and not (real and 0 < top_p <= 1):
        raise ValueError(f"top_p must be over 0 and at most 1, not {top_p!r}")


def whole(value, name, least):
    """``value`` as an int from ``least``; raises ``ValueError`` with its ``name``."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(f"{name} must be a whole number from {least}, not {value!r}")
    return number
