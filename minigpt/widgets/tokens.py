"""A text as tokens, and the merges that made each of them. Chapter: tokenizer."""

import json
from html import escape
from itertools import pairwise

import traitlets as t

from minigpt.bpe import apply_merges, split
from minigpt.plots import piece as printed
from minigpt.plots import tokens
from minigpt.sampling import whole
from minigpt.tokenizer import BPETokenizer
from minigpt.widgets import bundle
from minigpt.widgets.alive import Alive, refusing
from minigpt.widgets.still import LIVE

LARGEST = 100_000  # bytes of a tokenizer that a page carries: about 8,000 merges
DRAWN = 60  # tokens in the still picture
STILL = f"{LIVE}the text can be changed, and each token shows the merges that made it."
TOO_LARGE = (
    "This is a still picture: the tokenizer's {:,} merges would take {:,} bytes of the "
    "page. In a notebook the text can be changed, and each token shows its merges."
)


class TokenizerExplorer(Alive):
    """Type a text, see its tokens with their ids, and step through the merges.

    ``text``, ``piece`` (which of the parts that merges never leave is opened, counted
    from 0) and ``step`` (how many of its merges are done, None for all) are traits:
    Python reads, observes, links and sets what the reader does, and the other way
    round. ``ids`` and ``pieces`` are the text's tokens. Under a kernel ``tok`` may have
    any size; a page carries at most 100,000 bytes of it, and shows a still picture of a
    larger one. Raises ``ValueError`` for another tokenizer than byte pairs, and for a
    text that is none.
    """

    _esm = bundle.es_module("tokenizer_explorer.js", default="tokenizerExplorerModule")

    text = t.Unicode().tag(sync=True, page=True)
    piece = t.Int(0).tag(sync=True, page=True)
    step = t.Int(None, allow_none=True).tag(sync=True, page=True)
    tokenizer = t.Dict().tag(page=True)  # of a page; a kernel sends it when asked

    def __init__(self, tok, text="", piece=0, step=None):
        if not isinstance(tok, BPETokenizer):
            raise ValueError(
                f"only byte pairs have merges to show, and this is a {tok!r}: "
                "a BPETokenizer would do"
            )
        for name, value in {"text": text, "piece": piece, "step": step}.items():
            _check(name, value)
        self.tok = tok
        self._packed = bundle.pack_tokenizer(tok)
        self._size = len(json.dumps(self._packed))
        carried = {} if self._model is None else self._packed
        super().__init__(text=text, piece=piece, step=step, tokenizer=carried)
        self.on_msg(self._answer)

    def _answer(self, _, content, buffers):
        if content.get("kind") == "model":  # of which this is the tokenizer alone
            self.send({"kind": "model", "packed": {"tokenizer": self._packed}})

    @t.validate("text", "piece", "step")
    def _fits(self, proposal):
        with refusing():
            _check(proposal["trait"].name, proposal["value"])
        return proposal["value"]

    @property
    def _model(self):  # a page brings no model; None: it cannot bring the tokenizer
        return "" if self._size <= LARGEST else None

    @property
    def ids(self):
        """The text's token ids."""
        return self.tok.encode(self.text)

    @property
    def pieces(self):
        """The text of each token on its own."""
        return self.tok.pieces(self.ids)

    @property
    def opened(self):
        """The part of the text whose merges are shown, or "" of an empty text."""
        parts = split(self.text)
        return parts[min(self.piece, len(parts) - 1)] if parts else ""

    def rows(self):
        """What happens to ``opened``: pairs of a merge's number, as it was learnt, and
        the tokens' ids after it. The first are its bytes, with the number 0."""
        ids = [self.tok._byte_ids[byte] for byte in self.opened.encode()]
        rows, merged = [(0, ids)], self.tok._merged
        while known := [p for p in pairwise(ids) if p in merged]:
            pair = min(known, key=merged.get)
            ids = apply_merges(ids, {pair: merged[pair]})
            rows.append((merged[pair] - 255, ids))
        return rows

    def picture(self):
        """The tokens as a `Picture`, of a long text those at its beginning."""
        ids = self.ids
        shown = ids[:DRAWN]
        words = " ".join(map(printed, self.tok.pieces(shown)))
        more = f" and {len(ids) - DRAWN:,} more" if len(ids) > DRAWN else ""
        alt = f"A text of {len(self.text):,} characters in {len(ids):,} tokens"
        return tokens(self.tok, shown, f"{alt}: {words}{more}" if ids else f"{alt}.")

    def still(self):
        """The tokens, and the merges of the piece that is opened."""
        sentence = STILL
        if self._model is None:
            sentence = TOO_LARGE.format(len(self.tok.merges), self._size)
        done = self.rows()[: None if self.step is None else self.step + 1]
        lines = "".join(f"<li>{self._line(*row)}</li>" for row in done[-DRAWN:])
        return (
            f'<div class="mg-still">{self.picture().html()}<p>How '
            f"<code>{escape(printed(self.opened))[:DRAWN]}</code> is joined:</p>"
            f"<ul>{lines}</ul><p><i>{sentence}</i></p></div>"
        )

    def _line(self, number, ids):
        words = " · ".join(printed(token) for token in self.tok.pieces(ids[:DRAWN]))
        name = f"merge {number:,}" if number else "bytes"
        return f"{name}: <code>{escape(words)}</code>"

    def __repr__(self):
        words = "A field for a text, its tokens, and the merges that made them."
        return f"{words} {self.picture().alt}"


def _check(name, value):
    """Raise ``ValueError`` when a trait's value has no meaning."""
    if name == "text":
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"the text has half a surrogate pair at position {error.start}, which "
                "is no character: leave it out, or write U+FFFD"
            ) from None
        except AttributeError:
            raise ValueError(f"text must be a str, not {value!r:.80}") from None
    elif value is not None:
        whole(value, name, 0)
