"""What a text is to the model: its tokens, its logits, where its tokens look."""

import dataclasses
import json

import numpy as np

from minigpt.generate import check_ids
from minigpt.model import gpt
from minigpt.server.bodies import WEIGHTS
from minigpt.server.writing import prompt_ids
from minigpt.tokenizer import BPETokenizer

DIGITS = 8  # after the point: weights are at most 1, in float32


def tokenize(served, text):
    """``{"ids", "tokens"}`` of a text, as it stands."""
    ids = served.tok.encode(text)
    return {"ids": ids, "tokens": served.tok.pieces(ids)}


def about(served):
    """The JSON of ``{"name", "config", "tokenizer"}``, as bytes: what ``Tokenizer``
    takes in JavaScript, or null where that knows only other kinds."""
    from minigpt.widgets import bundle

    tok = served.tok
    known = isinstance(tok, BPETokenizer)
    content = {"name": served.name, "config": dataclasses.asdict(served.cfg)}
    content["tokenizer"] = bundle.pack_tokenizer(tok) if known else None
    return json.dumps(content).encode()


def logits(served, ids):  # T ids -> bytes of (V,)
    """The logits after the last id: float32, little-endian.

    Raises ``ValueError`` for ids that the model cannot read.
    """
    ids, cfg = check_ids(ids, served.cfg), served.cfg
    if len(ids) > cfg.n_ctx:
        raise ValueError(
            f"there are {len(ids):,} ids, and the model reads {cfg.n_ctx:,}: send the "
            "last of them"
        )
    model = served.params
    if callable(model):
        found = model(ids[None], cfg, last=True)
    else:
        found = gpt(model, ids[None], cfg, last=True)
    return np.asarray(found)[0, -1].astype("<f4").tobytes()


def attention(served, text, layer, head):
    """The JSON of an `AttentionAnswer`, as bytes.

    Only the heads that are asked for are kept. Raises ``ValueError`` for those that the
    model does not have, for a text that it cannot read, and for too much at once.
    """
    cfg = served.cfg
    layers = _chosen(layer, cfg.n_layer, "layer")
    heads = _chosen(head, cfg.n_head, "head")
    ids = prompt_ids(served, text)
    count = len(layers) * len(heads) * len(ids) ** 2
    if count > WEIGHTS:
        raise ValueError(
            f"{len(ids)} tokens in {len(layers)} layers of {len(heads)} heads have "
            f"{count:,} weights, and {WEIGHTS:,} can be sent: ask for one layer or "
            "one head at a time, or shorten the text"
        )
    kept = {}

    def tap(name, array):
        for i in layers:
            if name == f"h.{i}.attn.weights":
                kept[i] = array[0, heads]

    gpt(served.params, np.array([ids]), cfg, tap=tap)
    about = {"tokens": served.tok.pieces(ids), "ids": ids}
    about |= {"layers": layers, "heads": heads}
    shown = ", ".join(f"[{', '.join(map(_matrix, kept[i]))}]" for i in layers)
    return f'{json.dumps(about)[:-1]}, "weights": [{shown}]}}'.encode()


def _chosen(index, count, name):
    if index is None:
        return list(range(count))
    if index >= count:
        raise ValueError(f"{name} must be under {count} in this model, not {index}")
    return [index]


def _matrix(weights):  # (T, T) -> JSON
    """One head at a time: other threads come to their turn in between."""
    return json.dumps(weights.astype(np.float64).round(DIGITS).tolist())
