"""A widget that computes in the reader's browser: under a kernel and on a page.

Under a kernel it is an anywidget whose traits Python reads and sets. The page of a book
has no kernel: there the cell's output is a still picture with all that the same script
needs to bring it to life, which model and which settings (book/tools/alive.py).
"""

import base64
import contextlib
import functools
import json
from html import escape
from pathlib import Path

import anywidget
import numpy as np
import traitlets as t

from minigpt import checkpoint, tree
from minigpt.widgets import bundle

VIEW = "application/vnd.jupyter.widget-view+json"
LARGEST = 64 * 2**20  # bytes of weights that are sent to a browser
SHIPPED = ("tales",)  # models that pages carry


class Alive(anywidget.AnyWidget):
    """The base of the widgets: for pages the traits tagged ``page=True``, and what a
    subclass gives as ``still()``, HTML that shows it and needs no script."""

    _css = bundle.style()
    _model = ""  # the name of a model that a page has to bring, None where it cannot

    def html(self):
        """What a page holds: the still picture, and what brings it to life."""
        state = {name: getattr(self, name) for name in sorted(self.traits(page=True))}
        model = "" if self._model is None else f' data-model="{self._model}"'
        return (
            f'<div class="minigpt-widget" data-widget="{type(self).__name__}"{model} '
            f'data-state="{escape(json.dumps(state))}">{self.still()}</div>'
        )

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return data | {"text/plain": repr(self), "text/html": self.html()}, metadata


class AliveModel(Alive):
    """The base of the widgets that ask a model.

    Raises ``ValueError`` for a model that the engine in JavaScript cannot run or a
    browser should not get: another tokenizer than byte pairs, weights over 64 MB.
    """

    def __init__(self, params, cfg, tok, **traits):
        if tok.vocab_size < cfg.vocab_size:
            raise ValueError(
                f"the tokenizer knows {tok.vocab_size} tokens and the model writes "
                f"{cfg.vocab_size}: they do not belong together"
            )
        size = sum(np.size(leaf) for leaf in tree.flatten(params).values()) * 4
        if size > LARGEST:
            raise ValueError(
                f"the model's weights take {size:,} bytes, and at most {LARGEST:,} are "
                "sent to a browser: a smaller model would do"
            )
        self.params, self.cfg, self.tok = params, cfg, tok
        self._packed = bundle.pack(params, cfg, tok)
        super().__init__(**traits)
        self.on_msg(self._answer)

    def _answer(self, _, content, buffers):
        if content.get("kind") == "model":
            packed = {k: v for k, v in self._packed.items() if k != "weights"}
            weights = base64.b64decode(self._packed["weights"])
            self.send({"kind": "model", "packed": packed}, [weights])

    @property
    def _model(self):
        return shipped(self._packed)


@contextlib.contextmanager
def refusing():
    """What a check refuses with ``ValueError``, a trait refuses with ``TraitError``."""
    try:
        yield
    except ValueError as error:
        raise t.TraitError(str(error)) from None


def shipped(packed):
    """The name of the shipped model that this is, weight for weight, or None."""
    return next((name for name in SHIPPED if _packed(name) == packed), None)


@functools.cache
def _packed(name):
    return bundle.pack(*checkpoint.load(Path(checkpoint.find(name))))
