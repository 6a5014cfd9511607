"""Temperature, top-k and top-p over a model's next token. Chapter: generation."""

from html import escape

import numpy as np
import traitlets as t

from minigpt.generate import generate
from minigpt.model import gpt
from minigpt.plots import bars, piece
from minigpt.sampling import check_settings, distribution, whole
from minigpt.streaming import first_ids
from minigpt.widgets import bundle
from minigpt.widgets.alive import AliveModel, refusing
from minigpt.widgets.still import still

HOTTEST = 3.0  # the right end of the temperature's slider
SEEDS = 2**31


class SamplingExplorer(AliveModel):
    """What the settings do to the next token, and to what a model writes.

    ``text``, ``temperature``, ``top_k`` and ``top_p`` (None keeps all), ``seed``,
    ``rows`` (how many bars) and ``new_ids`` (what was written after the text) are
    traits: Python reads, observes, links and sets what the reader moves, and the other
    way round. Raises ``ValueError`` for impossible settings, and for a model that the
    page cannot run (see `AliveModel`).
    """

    _esm = bundle.es_module("sampling_explorer.js", default="samplingExplorerModule")

    _moved = False  # whether a page is setting the traits
    text = t.Unicode().tag(sync=True, page=True)
    temperature = t.Float(1.0).tag(sync=True, page=True)
    top_k = t.Int(None, allow_none=True).tag(sync=True, page=True)
    top_p = t.Float(None, allow_none=True).tag(sync=True, page=True)
    seed = t.Int(0).tag(sync=True, page=True)
    rows = t.Int(8).tag(sync=True, page=True)
    max_new_tokens = t.Int(80).tag(sync=True, page=True)
    new_ids = t.List(t.Int()).tag(sync=True, page=True)

    def __init__(
        self,
        params,
        cfg,
        tok,
        text="",
        temperature=1.0,
        top_k=None,
        seed=0,
        *,
        top_p=None,
        rows=8,
        max_new_tokens=80,
    ):
        settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        numbers = {"seed": seed, "rows": rows, "max_new_tokens": max_new_tokens}
        for name, value in (settings | numbers).items():
            _check(name, value)
        super().__init__(params, cfg, tok, text=text, **settings, **numbers)

    @t.validate(
        "temperature", "top_k", "top_p", "seed", "rows", "max_new_tokens", "new_ids"
    )
    def _fits(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        if name == "new_ids" and (odd := [i for i in value if not self._knows(i)]):
            raise t.TraitError(
                f"the id {odd[0]} is not in the vocabulary of {self.cfg.vocab_size}"
            )
        with refusing():
            _check(name, value)
        return value

    def _knows(self, token):
        return 0 <= token < self.cfg.vocab_size

    @property
    def settings(self):
        """``temperature``, ``top_k`` and ``top_p`` as `minigpt.generate` takes them."""
        return {name: getattr(self, name) for name in ("temperature", "top_k", "top_p")}

    @property
    def ids(self):
        """What the model reads: an end token, the text, and what was written."""
        return np.array([*first_ids(self.tok, self.text), *self.new_ids])

    def probabilities(self):  # -> (V,)
        """What is shown: the next token's probabilities at these settings."""
        return self._probabilities(self._logits())

    def shown(self):
        """The bars: pairs of a token and its probability, all others as the last."""
        logits = self._logits()
        order = np.argsort(-logits, kind="stable")[: self.rows]
        p = self._probabilities(logits)
        named = [(piece(self.tok.decode([int(i)])), float(p[i])) for i in order]
        rest = max(0.0, 1.0 - sum(share for _, share in named))
        others = len(p) - len(order)
        return [*named, (f"{others:,} others", rest)] if others else named

    def write(self, max_new_tokens=None):
        """What the model writes next, at most ``max_new_tokens`` or to the text's end.
        A page of this widget, and ``new_ids``, show it; returned is its text."""
        new = self._continuation(max_new_tokens or self.max_new_tokens)
        self.new_ids = [*self.new_ids, *new]
        return self._told(new)

    def _continuation(self, count):
        ids, eot = self.ids, self.tok.eot
        stop = () if eot is None else (eot,)
        ways = {"seed": self.seed, "stop": stop, **self.settings}
        out = generate(self.params, ids, self.cfg, count, **ways)
        return [int(i) for i in out[len(ids) :]]

    def _told(self, ids):
        return self.tok.decode([i for i in ids if i != self.tok.eot])

    @t.observe("text", "seed")
    def _begin(self, _):
        if not self._moved:  # who moves it in a page has begun anew there
            self.new_ids = []

    def set_state(self, sync_data):
        """What the reader did: called by ipywidgets."""
        self._moved = True
        try:
            super().set_state(sync_data)
        finally:
            self._moved = False

    def _logits(self):
        window = self.ids[None, -self.cfg.n_ctx :]
        return gpt(self.params, window, self.cfg, last=True)[0, -1]

    def _probabilities(self, logits):
        if self.temperature == 0:
            return np.eye(len(logits))[logits.argmax()]
        return distribution(logits[None], **self.settings)[0]

    def picture(self):
        """The bars as a `Picture`."""
        shown = self.shown()
        labels, values = zip(*shown, strict=True)
        said = ", ".join(f"{a} {p:.3f}" for a, p in shown)
        alt = f"Probabilities of the next token: {said}."
        return bars(labels, values, alt, fmt="{:.3f}", mono=True, upper=1.0)

    def still(self):
        """The sliders, the bars, and what the model would write."""
        told = self._told([*self.new_ids, *self._continuation(self.max_new_tokens)])
        story = f"{escape(self.text)}<b>{escape(told)}</b>"
        sliders = [
            ("temperature", self.temperature / HOTTEST, f"{self.temperature:.2f}"),
            _slider("top-k", self.top_k, self.cfg.vocab_size),
            _slider("top-p", self.top_p, 1),
        ]
        return still(story, sliders, self.picture().html())

    def __repr__(self):
        words = "Sliders for temperature, top-k and top-p."
        return f"{words} {self.picture().alt}"


def _slider(name, value, most):
    return (name, 1, "all") if value is None else (name, value / most, f"{value:g}")


def _check(name, value):
    """Raise ``ValueError`` when a trait's value has no meaning."""
    if name == "temperature":
        check_settings(value, None, None)
        if value > HOTTEST:
            raise ValueError(
                f"the temperature's slider ends at {HOTTEST:g}, before {value!r}"
            )
    elif name == "top_k":
        check_settings(1, value, None)
    elif name == "top_p":
        check_settings(1, None, value)
    elif name == "seed":
        if whole(value, name, 0) >= SEEDS:
            raise ValueError(f"seed must be a whole number under 2**31, not {value!r}")
    elif name in ("rows", "max_new_tokens"):
        whole(value, name, 1)
