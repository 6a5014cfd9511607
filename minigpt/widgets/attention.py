"""Where the tokens of a text look, in every head. Chapters: attention, causal mask,
multi-head attention."""

from html import escape

import numpy as np
import traitlets as t

from minigpt.model import gpt
from minigpt.plots import arcs, piece
from minigpt.sampling import whole
from minigpt.streaming import first_ids
from minigpt.widgets import bundle
from minigpt.widgets.alive import AliveModel, refusing
from minigpt.widgets.still import LIVE

NAMED = 8  # tokens that the still picture shows beside the one that looks
STILL = (
    f"{LIVE}you write the text and choose the head and the token, and each change asks "
    "the model again."
)


class AttentionExplorer(AliveModel):
    """What each token of a text looks at, in every attention head of a model.

    ``text``, ``layer``, ``head`` and ``query`` (the position of the token whose look is
    shown; None is the last) are traits: Python reads, observes, links and sets what the
    reader chooses, and the other way round. Raises ``ValueError`` for a layer, a head
    or a position that the model does not have, and for a model that the page cannot run
    (see `AliveModel`).
    """

    _esm = bundle.es_module("attention_explorer.js", default="attentionExplorerModule")

    text = t.Unicode().tag(sync=True, page=True)
    layer = t.Int(0).tag(sync=True, page=True)
    head = t.Int(0).tag(sync=True, page=True)
    query = t.Int(None, allow_none=True).tag(sync=True, page=True)

    def __init__(self, params, cfg, tok, text="", layer=0, head=0, query=None):
        self.cfg = cfg
        where = {"layer": layer, "head": head, "query": query}
        for name, value in where.items():
            self._check(name, value)
        super().__init__(params, cfg, tok, text=text, **where)

    @t.validate("layer", "head", "query")
    def _fits(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        with refusing():
            self._check(name, value)
        return value

    def _check(self, name, value):
        """Raise ``ValueError`` when the model has no such layer, head or position."""
        cfg = self.cfg
        has = {"layer": cfg.n_layer, "head": cfg.n_head, "query": cfg.n_ctx}[name]
        if (name, value) != ("query", None) and whole(value, name, 0) >= has:
            raise ValueError(f"{name} must be under {has} in this model, not {value!r}")

    @property
    def ids(self):
        """What the model reads: an end token and the text, at most their last n_ctx."""
        return np.array(first_ids(self.tok, self.text)[-self.cfg.n_ctx :])

    @property
    def tokens(self):
        """The texts of ``ids``, one string for each."""
        return [self.tok.decode([int(i)]) for i in self.ids]

    @property
    def weights(self):  # -> (n_layer, H, T, T)
        """How much each token (a row) takes from each other, in every head."""
        seen = {}
        gpt(self.params, self.ids[None], self.cfg, tap=seen)
        layers = range(self.cfg.n_layer)
        return np.concatenate([seen[f"h.{i}.attn.weights"] for i in layers])

    def shown(self):
        """The token that looks, its position, and the tokens that it looks at: triples
        of a position, a text and a weight, the largest first, then what the others get
        together."""
        names = self._names()
        query = len(names) - 1 if self.query is None else self.query
        query = min(query, len(names) - 1)
        row = self.weights[self.layer, self.head, query, : query + 1]
        order = np.argsort(-row, kind="stable")[:NAMED]
        most = [(int(j), names[j], float(row[j])) for j in order if row[j] >= 0.01]
        return names[query], query, most, max(0.0, 1 - sum(w for *_, w in most))

    def _names(self):
        signs = {self.tok.eot: "end of text"}
        ids = (int(i) for i in self.ids)
        return [signs.get(i) or piece(self.tok.decode([i])) for i in ids]

    def picture(self):
        """Arcs from the token that looks to those it looks at, as a `Picture`."""
        name, query, most, rest = self.shown()
        kept = dict(sorted((j, (label, w)) for j, label, w in most))
        kept.setdefault(query, (name, 0.0))
        said = ", ".join(
            f"{w:.2f} at {'itself' if j == query else label}" for j, label, w in most
        )
        others = query + 1 - len(most)
        said += f", {rest:.2f} at {others} others" * (others > 0)
        alt = f"In layer {self.layer}, head {self.head}, {name} looks {said}."
        labels, weights = zip(*kept.values(), strict=True)
        return arcs(labels, weights, alt, query=list(kept).index(query))

    def still(self):
        """The text, and where its last token, or the one that was chosen, looks."""
        picture = self.picture()
        return (
            '<div class="mg-still"><p style="line-height:1.6;max-width:40em;'
            f'white-space:pre-wrap">{escape(self.text)}</p>{picture.html()}'
            f'<p style="margin:.4em 0">{escape(picture.alt)}</p>'
            f'<p style="margin:.4em 0"><i>{STILL}</i></p></div>'
        )

    def __repr__(self):
        return f"All heads, one to be chosen. {self.picture().alt}"
