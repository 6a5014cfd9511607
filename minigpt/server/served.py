"""The model that a server answers with: loaded in a thread, asked by many."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from starlette.exceptions import HTTPException

from minigpt import models
from minigpt.batching import Batcher
from minigpt.server.errors import CLOSING, busy
from minigpt.server.looking import Reader


class Served:
    """A model and what computes with it.

    ``model`` is a name, a path, or ``(params, cfg, tokenizer)``. `begin` loads it in a
    thread; until ``ended`` is set it is under way, and then ``loaded`` says whether it
    is here: as ``params``, ``cfg``, ``tok`` and a ``batcher`` that writes. Where it is
    not, ``error`` is the reason.
    """

    def __init__(self, model="tales", *, runtime=None, models_dir=None, queue=256):
        models.check_runtime(runtime)
        self.model, self.runtime, self.models_dir = model, runtime, models_dir
        given = isinstance(model, tuple | list)
        self.name = "a model from Python" if given else Path(model).resolve().name
        self.queue = queue
        self.loaded = self.closing = False
        self.ended = threading.Event()
        self.params = self.cfg = self.tok = self.batcher = None
        self.reader = self.error = None
        self.looking = 0  # requests that wait for `aside`, or are computed there
        self._pool = ThreadPoolExecutor(1, "minigpt-aside")
        self._lock = threading.Lock()

    def begin(self):
        """Load the model, in a thread."""
        threading.Thread(target=self._load, name="minigpt-load", daemon=True).start()

    def _load(self):
        try:
            params, cfg, tok = load(self.model, self.runtime, self.models_dir)
            with self._lock:
                if not self.closing:
                    self.params, self.cfg, self.tok = params, cfg, tok
                    self.batcher = Batcher(params, cfg, waiting=self.queue)
                    self.reader = Reader(params, cfg)
                    self.loaded = True
        except Exception as error:  # whatever it is, /health tells it
            self.error = error
        finally:
            self.ended.set()

    def check(self):
        """Raise a 503 with the reason while there is nothing that could answer."""
        if self.closing:
            raise busy(CLOSING)
        if self.error is not None:
            raise HTTPException(503, self.problem)
        if not self.loaded:
            raise busy(f"the model {self.name} is being loaded: ask again in a moment")

    @property
    def problem(self):
        """Why the model could not be loaded, in words, or None."""
        if self.error is None:
            return None
        return f"the model {self.name} could not be loaded: {self.error}"

    def aside(self, function, *args):
        """A future for what a function gives that computes for long: off the event
        loop, one at a time, with as many waiting as may wait to write."""
        if self.looking > self.queue:
            raise busy(f"{self.queue} requests wait already: ask again in a moment")
        loop = asyncio.get_running_loop()
        try:
            future = loop.run_in_executor(self._pool, function, *args)
        except RuntimeError as error:  # `close` has been here since `check`
            raise busy(CLOSING) from error
        self.looking += 1
        future.add_done_callback(self._looked)
        return future

    def _looked(self, future):
        self.looking -= 1

    def close(self, grace=0.0):
        """Take nothing new, give what is being written ``grace`` seconds to end, and
        tell the rest."""
        with self._lock:
            self.closing = True
        if self.batcher is not None:
            self.batcher.close(grace)
        with contextlib.suppress(RuntimeError):
            self._pool.shutdown(wait=False, cancel_futures=True)


def load(model, runtime=None, models_dir=None):
    """``(params, cfg, tokenizer)``; ``params`` may be a callable (see `mg.generate`).

    Raises ``FileNotFoundError`` and ``ValueError`` with what is missing or wrong.
    """
    if isinstance(model, tuple | list):
        params, cfg, tok = model
    else:
        params, cfg, tok = models.open_model(model, models_dir, runtime)
    if tok is None:
        raise ValueError(
            "there is no tokenizer beside the weights: put its tokenizer.json, or "
            "vocab.json and merges.txt, into their folder"
        )
    return params, cfg, tok
