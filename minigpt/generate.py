"""Writing: choose the next token, append it, ask again. Chapter: generation."""

import functools
import operator

import numpy as np

from minigpt.model import gpt, new_caches
from minigpt.sampling import check_settings, choose, whole

PIECE = 256  # positions of a prompt that are computed at a time


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
    Prompts of different lengths come as a list, and so do their texts. In the place of
    ``params`` may stand a model that computes as `gpt` does with them,
    ``model(ids, cfg, caches=…, last=True)``: an `OnnxModel`, for example.

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
    prompts = _check_prompts(ids, cfg)
    rows = np.atleast_2d(prompts) if isinstance(prompts, np.ndarray) else prompts
    stop = stop_ids(stop)
    settings = (temperature, top_k, top_p)
    columns, ended = [], np.zeros(len(rows), bool)
    for new in _steps(params, rows, cfg, max_new_tokens, settings, seed, cache):
        if ended.any():
            new = np.where(ended, columns[-1], new)
        columns.append(new)
        ended |= np.isin(new, stop)
        if ended.all():
            break
    added = np.array(columns, np.int64).reshape(-1, len(rows)).T
    out = [np.concatenate(pair) for pair in zip(rows, added, strict=True)]
    if isinstance(prompts, list):
        return out
    return np.stack(out) if prompts.ndim == 2 else out[0]


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
    rows, settings = np.atleast_2d(ids), (temperature, top_k, top_p)
    steps = _steps(params, rows, cfg, max_new_tokens, settings, seed, cache)
    return _until(steps, stop_ids(stop))


def _until(steps, stop):
    for new in steps:
        yield int(new[0])
        if new[0] in stop:
            return


def _steps(params, rows, cfg, max_new_tokens, settings, seed, cache):
    """Check the settings now; returns an iterator over new ids (B,)."""
    count = whole(max_new_tokens, "max_new_tokens", 0)
    check_settings(*settings)
    rng = np.random.default_rng(seed)
    return _decode(params, rows, cfg, count, settings, rng, cache)


def _decode(params, rows, cfg, count, settings, rng, cache):
    window, padding = align([row[-cfg.n_ctx :] for row in rows])
    capacity = min(cfg.n_ctx, window.shape[1] + count - 1)
    caches = None
    for _ in range(count):
        if cache and caches and caches[0].length < capacity:
            fed = window[:, -1:]  # everything before is in the caches
        else:
            fed, caches = window, new_caches(cfg, capacity, padding)
        logits = _read(params, fed, cfg, caches)
        new = choose(logits, *settings, rng)
        window = np.concatenate([window, new[:, None]], axis=1)
        if window.shape[1] > cfg.n_ctx:  # it slides: over padding, where there is some
            window, padding = window[:, 1:], np.maximum(padding - 1, 0)
        yield new


def _read(params, ids, cfg, caches):  # (B, T) -> (B, V)
    """Logits for the token after ``ids``, which are read a piece at a time: a long
    prompt then needs little memory, and what it needs stays close to the processor."""
    model = params if callable(params) else functools.partial(gpt, params)
    for first in range(0, ids.shape[1], PIECE):
        piece = ids[:, first : first + PIECE]
        logits = model(piece, cfg, caches=caches, last=True)
    return logits[:, -1]


def align(rows):  # B of (T,) -> (B, T), (B,)
    """Rows of different lengths with their ends side by side, and the number of zeros
    that fill each at its beginning."""
    width = max(len(row) for row in rows)
    window = np.zeros((len(rows), width), np.int64)
    for filled, row in zip(window, rows, strict=True):
        filled[width - len(row) :] = row
    return window, np.array([width - len(row) for row in rows])


def _check_prompts(ids, cfg):
    """`check_ids` of one prompt, a batch, or a list of prompts of any lengths."""
    try:
        np.asarray(ids)
    except ValueError:  # lists of different lengths
        return [check_ids(row, cfg, ranks=(1,)) for row in ids]
    return check_ids(ids, cfg)


def check_ids(ids, cfg, ranks=(1, 2)):
    """``ids`` as an integer array that the model can read, (T,) or (B, T)."""
    try:
        ids = np.asarray(ids)
    except ValueError:  # lists of different lengths
        raise ValueError("one prompt is needed, or several of one length") from None
    if ids.size == 0:
        raise ValueError(
            "the prompt is empty, and a first token must come from somewhere: begin "
            "with the tokenizer's end-of-text token, [tok.eot]"
        )
    if ids.ndim not in ranks or not np.issubdtype(ids.dtype, np.integer):
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
    return ids.astype(np.int64, copy=False)


def stop_ids(stop):
    try:
        if isinstance(stop, int | np.integer):
            return [operator.index(stop)]
        return [operator.index(i) for i in stop]
    except TypeError:
        raise ValueError(f"stop is a token id or several, and not {stop!r}") from None
