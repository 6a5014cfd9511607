"""What a text is to the model: its tokens, its logits, where its tokens look."""

import dataclasses
import functools
import itertools
import json

import numpy as np

from minigpt import tree
from minigpt.generate import PIECE, check_ids
from minigpt.model import gpt, new_caches
from minigpt.server.bodies import WEIGHTS
from minigpt.server.writing import prompt_ids

DIGITS = 8  # after the point: weights are at most 1, in float32
KEPT = 2  # texts whose keys and values are kept
MORE = 64  # positions that a text which is read for the first time may grow by


def about(served):
    """The JSON of ``{"name", "config", "parameters", "tokenizer"}``, as bytes; the last
    is what the page's ``Tokenizer`` is made from."""
    from minigpt.widgets.bundle import pack_tokenizer

    counted = not callable(served.params)
    content = {
        "name": served.name,
        "config": dataclasses.asdict(served.cfg),
        "parameters": tree.size(served.params) if counted else None,
        "tokenizer": {"kind": served.tok.kind, **pack_tokenizer(served.tok)},
    }
    return json.dumps(content).encode()


def tokenize(served, text):
    """``{"ids", "tokens"}`` of a text, as it stands."""
    ids = served.tok.encode(text)
    return {"ids": ids, "tokens": served.tok.pieces(ids)}


class Reader:
    """Logits after a text. A text that begins as one of the last did, since it has
    grown by a token, is read from there on.

    ``model`` is parameters or a callable (see `mg.generate`). One thread at a time.
    """

    def __init__(self, model, cfg):
        self.model = model if callable(model) else functools.partial(gpt, model)
        self.cfg = cfg
        self.texts = []  # (ids, caches), the last asked for at the end

    def logits(self, ids):  # T ids -> (V,)
        """The logits after the last id. Raises ``ValueError`` for ids that the model
        cannot read."""
        ids = check_window(ids, self.cfg)
        caches, known = self._begun(ids)
        for cache in caches:
            cache.length = known
        for first in range(known, len(ids), PIECE):
            piece = np.array([ids[first : first + PIECE]])
            found = self.model(piece, self.cfg, caches=caches, last=True)
        self.texts = [*self.texts, (ids, caches)][-KEPT:]
        return np.asarray(found)[0, -1]

    def _begun(self, ids):
        """Caches for a text, and how many of its ids they hold already."""

        def held(text):
            same = itertools.takewhile(
                lambda pair: pair[0] == pair[1], zip(text[0], ids, strict=False)
            )
            return min(sum(1 for _ in same), len(ids) - 1)

        if self.texts and held(best := max(self.texts, key=held)) > 0:
            if best[1][0].capacity >= len(ids):
                self.texts.remove(best)
                return best[1], held(best)
        return new_caches(self.cfg, min(self.cfg.n_ctx, 2 * len(ids) + MORE)), 0


def check_window(ids, cfg):
    """A list of ids that the model can read at once; else raises ``ValueError``."""
    if len(ids) > cfg.n_ctx:
        raise ValueError(
            f"there are {len(ids):,} ids, and the model reads {cfg.n_ctx:,}: send the "
            "last of them"
        )
    return check_ids(ids, cfg, ranks=(1,)).tolist()


def weights(served, body):
    """``(ids, layers, heads, [(H, T, T) of each layer])`` for an `AttentionRequest`.

    Only the heads that are asked for are kept. Raises ``ValueError`` for those that the
    model does not have, for a text that it cannot read, and for too much at once.
    """
    cfg = served.cfg
    layers = _chosen(body.layer, cfg.n_layer, "layer")
    heads = _chosen(body.head, cfg.n_head, "head")
    given = "ids" in body.model_fields_set
    ids = check_window(body.ids, cfg) if given else prompt_ids(served, body.text)
    count = len(layers) * len(heads) * len(ids) ** 2
    if count > WEIGHTS:
        raise ValueError(
            f"{len(ids)} tokens in {len(layers)} layers of {len(heads)} heads have "
            f"{count:,} weights, and {WEIGHTS:,} can be sent: ask for one layer or "
            "one head at a time, or shorten the text"
        )
    kept = {}

    def tap(name, array):
        kept.update(
            (i, array[0, heads]) for i in layers if name == f"h.{i}.attn.weights"
        )

    gpt(served.params, np.array([ids]), cfg, tap=tap)
    return ids, layers, heads, [kept[i] for i in layers]


def attention(served, body):
    """The JSON of an `AttentionAnswer`, as bytes."""
    ids, layers, heads, found = weights(served, body)
    told = {"tokens": served.tok.pieces(ids), "ids": ids}
    told |= {"layers": layers, "heads": heads}
    shown = ", ".join(f"[{', '.join(map(_matrix, layer))}]" for layer in found)
    return f'{json.dumps(told)[:-1]}, "weights": [{shown}]}}'.encode()


def attention_numbers(served, body):
    """The weights alone, (L, H, T, T): float32, little-endian, row after row."""
    return b"".join(
        layer.astype("<f4").tobytes() for layer in weights(served, body)[-1]
    )


def _chosen(index, count, name):
    if index is None:
        return list(range(count))
    if index >= count:
        raise ValueError(f"{name} must be under {count} in this model, not {index}")
    return [index]


def _matrix(one):  # (T, T) -> JSON
    """One head at a time: other threads come to their turn in between."""
    return json.dumps(one.astype(np.float64).round(DIGITS).tolist())
