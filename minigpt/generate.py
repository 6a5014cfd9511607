"""Writing: choose the next token, append it, ask again. Chapter: generation."""

import math
import operator

import numpy as np

from minigpt.model import gpt, new_caches


def generate(
    params,
    ids,
    cfg,
    max_new_tokens,
    *,
    temperature=1.0,
    top_k=None,
    top_p=None,
    seed=None,
    stop=(),
    cache=True,
):
    """The prompt and the tokens that follow: (B, T) or (T,) -> the same rank, longer.

    Each logit is divided by ``temperature`` (0 chooses the greatest), then only the
    ``top_k`` most likely tokens are kept, and of these the fewest that together hold
    the probability ``top_p``. ``seed`` is a number or an ``np.random.Generator``.

    A sequence ends with the first token of ``stop``, which is kept; in a batch, ended
    rows are filled with it until all have ended. A window of ``cfg.n_ctx`` tokens
    slides over texts that are longer. ``cache=False`` computes everything anew for each
    token: the same result, slower.

    Raises ``ValueError`` for an empty prompt, ids outside the vocabulary, settings
    without meaning and logits that are not finite.
    """
    ids = check_ids(ids, cfg)
    rows = np.atleast_2d(ids)
    stop = _stop_ids(stop)
    ended = np.zeros(len(rows), bool)
    steps = _steps(
        params, rows, cfg, max_new_tokens, (temperature, top_k, top_p), seed, cache
    )
    columns = [rows]
    for new in steps:
        if ended.any():
            new[ended] = columns[-1][ended, -1]
        columns.append(new[:, None].copy())
        ended |= np.isin(new, stop)
        if ended.all():
            break
    out = np.concatenate(columns, axis=1)
    return out if ids.ndim == 2 else out[0]


def stream(
    params,
    ids,
    cfg,
    max_new_tokens,
    *,
    temperature=1.0,
    top_k=None,
    top_p=None,
    seed=None,
    stop=(),
    cache=True,
):
    """Yield the new ids of one prompt (T,) one at a time: those of `generate`."""
    ids = check_ids(ids, cfg)
    if ids.ndim == 2 and len(ids) != 1:
        raise ValueError(f"stream takes one prompt, and got a batch of {len(ids)}")
    stop = _stop_ids(stop)
    steps = _steps(
        params,
        np.atleast_2d(ids),
        cfg,
        max_new_tokens,
        (temperature, top_k, top_p),
        seed,
        cache,
    )
    return _until(steps, stop)


def _until(steps, stop):
    for new in steps:
        yield int(new[0])
        if new[0] in stop:
            return


def _steps(params, rows, cfg, max_new_tokens, settings, seed, cache):
    """Check the settings now; returns an iterator over new ids (B,)."""
    count = _whole(max_new_tokens, "max_new_tokens", 0)
    check_settings(*settings)
    rng = np.random.default_rng(seed)
    return _decode(params, rows, cfg, count, settings, rng, cache)


def _decode(params, rows, cfg, count, settings, rng, cache):
    caches = None
    window = rows[:, -cfg.n_ctx :]
    for _ in range(count):
        if caches is not None and caches[0].length < cfg.n_ctx:
            fed = window[:, -1:]  # everything before is in the caches
        else:
            fed = window
            caches = new_caches(cfg) if cache else None
        logits = gpt(params, fed, cfg, caches=caches, last=True)[:, -1]
        new = choose(logits, *settings, rng)
        window = np.concatenate([window, new[:, None]], axis=1)[:, -cfg.n_ctx :]
        yield new


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
    cumulative = np.cumsum(p, axis=-1)
    total = cumulative[:, -1:]
    u = np.minimum(rng.random((len(p), 1)) * total, np.nextafter(total, 0.0))
    return (cumulative <= u).sum(axis=-1)


def check_ids(ids, cfg):
    """``ids`` as an integer array of rank 1 or 2 that the model can read."""
    try:
        ids = np.asarray(ids)
    except ValueError:  # lists of different lengths
        raise ValueError(
            "the prompts of a batch must be of one length: generate them one by one"
        ) from None
    if ids.size == 0:
        raise ValueError(
            "the prompt is empty, and a first token must come from somewhere: begin "
            "with the tokenizer's end-of-text token, [tok.eot]"
        )
    if ids.ndim not in (1, 2) or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(
            f"a prompt is token ids of shape (T,) or (B, T), and not {ids.dtype} of "
            f"shape {ids.shape}: encode text with a tokenizer first"
        )
    if ids.min() < 0 or ids.max() >= cfg.vocab_size:
        wrong = ids[(ids < 0) | (ids >= cfg.vocab_size)][0]
        raise ValueError(
            f"the id {wrong} is not in the model's vocabulary of {cfg.vocab_size}: was "
            "the text encoded with another tokenizer?"
        )
    return ids


def check_settings(temperature, top_k, top_p):
    """Raise ``ValueError`` unless the three settings of sampling have a meaning."""
    if not (math.isfinite(temperature) and temperature >= 0):
        raise ValueError(f"temperature must be 0 (greedy) or more, not {temperature!r}")
    if top_k is not None:
        _whole(top_k, "top_k", 1)
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be over 0 and at most 1, not {top_p!r}")


def _whole(value, name, least):
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(f"{name} must be a whole number from {least}, not {value!r}")
    return number


def _stop_ids(stop):
    try:
        if isinstance(stop, int | np.integer):
            return [operator.index(stop)]
        return [operator.index(i) for i in stop]
    except TypeError:
        raise ValueError(f"stop is a token id or several, and not {stop!r}") from None
