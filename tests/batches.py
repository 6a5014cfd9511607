"""What the tests of batching share: a small GPT, requests, and what each gets alone."""

import dataclasses
import threading

import numpy as np
from small_model import CFG, noisy

import minigpt as mg
from minigpt.batching import Batcher
from minigpt.sampling import distribution

SMALL = dataclasses.replace(CFG, n_ctx=24)
PARAMS = noisy(SMALL, scale=0.5)
TIE = 1e-5


class Request:
    """A request, what was told of it, and what `generate` gives for it alone."""

    def __init__(self, ids, count, **settings):
        self.ids, self.count, self.settings = np.asarray(ids), count, settings
        self.told, self.ends, self.job = [], 0, None
        self.done = threading.Event()

    def submit(self, batcher):
        self.job = batcher.submit(self.ids, self.count, **self.settings, tell=self.hear)
        return self

    def hear(self, job, new_id, prob):
        assert job.reason is None if new_id is not None else job.reason is not None
        assert self.ends == 0
        if new_id is None:
            assert prob is None
            self.ends += 1
            self.done.set()
        else:
            self.told.append((new_id, prob))

    @property
    def new(self):
        return [new_id for new_id, _ in self.told]

    def check(self, params=PARAMS, cfg=SMALL):
        """That the end was told once, and that the tokens are those of `generate`."""
        assert self.ends == 1
        assert self.job.ids == [*self.ids.tolist(), *self.new]
        alone = mg.generate(params, self.ids, cfg, self.count, **self.settings)
        alone = alone[len(self.ids) :].tolist()
        if self.job.reason == "cancelled":
            alone = alone[: len(self.new)]
        if self.new != alone:
            same = [a == b for a, b in zip(self.new, alone, strict=False)].index(False)
            assert self.is_tie(params, cfg, alone, same), (self.new, alone)
            return
        if self.job.reason != "cancelled":
            stopped = bool(alone) and alone[-1] in self.settings.get("stop", ())
            assert self.job.reason == ("stop" if stopped else "length")

    def is_tie(self, params, cfg, alone, at):
        """Whether the two tokens there were as good as equally good."""
        window = [*self.ids.tolist(), *alone[:at]][-cfg.n_ctx :]
        logits = mg.gpt(params, np.array([window]), cfg, last=True)[0]
        settings = dict(self.settings)
        if settings.get("temperature", 1.0) == 0:
            return abs(logits[0, alone[at]] - logits[0, self.new[at]]) < TIE
        rng = np.random.default_rng(settings["seed"])
        u = [rng.random() for _ in range(at + 1)][-1]
        names = "temperature", "top_k", "top_p"
        own = [settings.get(name) for name in names]
        p = distribution(logits, own[0] or 1.0, *own[1:])[0]
        return np.abs(np.cumsum(p) - u).min() < TIE


def drive(batcher, most=10_000):
    """Step until nothing is left."""
    for _ in range(most):
        if not batcher.step():
            return
    raise AssertionError("the batcher does not come to an end")


def by_hand(params=PARAMS, cfg=SMALL, **numbers):
    """A batcher without a thread."""
    return Batcher(params, cfg, **numbers, start=False)


class Watched:
    """A model that keeps the shapes of what it was given."""

    def __init__(self, params=PARAMS, before=None):
        self.params, self.before, self.shapes = params, before, []

    def __call__(self, ids, cfg, **rest):
        self.shapes.append(ids.shape)
        if self.before is not None:
            self.before(ids)
        return mg.gpt(self.params, ids, cfg, **rest)


def prompt(length, seed=0, cfg=SMALL):
    return np.random.default_rng(seed).integers(0, cfg.vocab_size, length)
