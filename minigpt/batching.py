"""Many requests at once: one thread decodes them as one batch. Chapter: serving.

A request joins the batch as soon as its prompt has been read, and leaves it with its
last token; the others never wait for it to end. Yu and others 2022, "Orca".
"""

import collections
import contextlib
import functools
import math
import threading
import time

import numpy as np

from minigpt.generate import PIECE, align, check_ids, stop_ids
from minigpt.model import gpt, new_caches
from minigpt.sampling import check_settings, choose_each, whole
from minigpt.slots import Group, regroup

GRACE = 10.0  # seconds beyond its timeout that `close` waits for the step under way
NOT_FINITE = (
    "the model's logits are not finite: its weights hold NaN or infinity, or numbers "
    "so large that they overflow"
)


class Busy(RuntimeError):
    """As many requests wait as may: ask again later."""


class Closed(RuntimeError):
    """The batcher takes no more requests."""


class Job:
    """One request: its settings, its tokens so far, and how it ended.

    ``ids`` are the prompt's and those that followed. ``reason`` is None until the end,
    and then "stop", "length", "cancelled", "closed" or "error"; ``error`` is then a
    sentence.
    """

    def __init__(self, ids, count, settings, seed, stop, tell):
        self.ids, self.left, self.settings, self.stop = ids, count, settings, stop
        self.rng, self.tell = np.random.default_rng(seed), tell
        self.reason = self.error = None
        self.cancelled = False

    def cancel(self):
        """Ask for the end, from any thread: it comes before the next token."""
        self.cancelled = True

    def end(self, reason, error=None):
        """Say that it is over: the batcher's last word."""
        tell, self.tell = self.tell, None  # who listens is not kept alive
        self.reason, self.error = reason, error
        with contextlib.suppress(Exception):
            tell(self, None, None)


class Reading:
    """Texts of which the model has still to read: one in pieces, or short ones at once,
    their ends side by side."""

    def __init__(self, cfg, jobs):
        self.window, padding = align([job.ids[-cfg.n_ctx :] for job in jobs])
        width = self.window.shape[1]
        caches = new_caches(cfg, min(cfg.n_ctx, width + 1), padding)
        self.group = Group(cfg, jobs, caches)

    def read(self, model):  # -> (B, V), or None when there is more to read
        """Read a piece."""
        caches, cfg = self.group.caches, self.group.cfg
        first = caches[0].length
        piece = self.window[:, first : first + PIECE]
        logits = model(piece, cfg, caches=caches, last=True)
        return logits[:, -1] if caches[0].length == self.window.shape[1] else None


class Batcher:
    """Decodes many requests as one batch, in a thread of its own.

    ``params`` are a model's parameters, or a callable that computes as `gpt` does:
    ``model(ids, cfg, caches=caches, last=True)``. At most ``rows`` requests are decoded
    at a time, and ``waiting`` may wait. With ``start=False`` there is no thread, and
    `step` has to be called.
    """

    def __init__(self, params, cfg, *, rows=64, waiting=256, start=True):
        self.rows, self.waiting = whole(rows, "rows", 1), whole(waiting, "waiting", 1)
        self._model = params if callable(params) else functools.partial(gpt, params)
        self._cfg, self._call = cfg, 1e9
        self._changed = threading.Condition()
        self._queue, self._running, self._deadline = collections.deque(), {}, None
        self._reading, self._groups = collections.deque(), []
        self._thread = None
        if start:
            name = "minigpt batcher"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()

    @property
    def running(self):
        """How many requests are read or decoded."""
        return len(self._running)

    @property
    def queued(self):
        """How many requests wait to begin."""
        return len(self._queue)

    def submit(
        self,
        ids,
        max_new_tokens,
        *,
        temperature=1.0,
        top_k=None,
        top_p=None,
        seed=None,
        stop=(),
        tell,
    ):
        """Queue a prompt (T,); returns its `Job`. The settings are those of `generate`.

        ``tell(job, id, prob)`` is called from the batcher's thread for each new token,
        with the probability that it was drawn with (where the temperature is 0: what
        it has at a temperature of 1), and ``tell(job, None, None)`` once at the end.
        What ``tell`` raises ends this request, and no other.

        Raises ``ValueError`` as `generate` does, `Busy` when too many requests wait,
        and `Closed` after `close`.
        """
        ids = check_ids(ids, self._cfg, ranks=(1,)).tolist()
        count = whole(max_new_tokens, "max_new_tokens", 0)
        settings = (temperature, top_k, top_p)
        check_settings(*settings)
        job = Job(ids, count, settings, seed, frozenset(stop_ids(stop)), tell)
        with self._changed:
            if self._deadline is not None:
                raise Closed("the batcher is closed, and takes no more requests")
            if len(self._queue) >= self.waiting:
                raise Busy(
                    f"{len(self._queue)} requests wait already, and no more may: try "
                    "again in a little while"
                )
            self._queue.append(job)
            self._changed.notify()
        return job

    def close(self, timeout=10.0):
        """Take no more requests, finish those that run, for up to ``timeout`` seconds,
        and tell the rest "closed". Returns whether that is done."""
        with self._changed:
            deadline = time.monotonic() + timeout
            self._deadline = min(deadline, self._deadline or math.inf)
            self._changed.notify()
        if self._thread is None:
            self._run()
        elif self._thread is not threading.current_thread():
            self._thread.join(min(timeout + GRACE, threading.TIMEOUT_MAX))
        return not self._running and not self._queue

    def step(self):
        """One round: take in what waits, read a piece of prompts, decode a token of
        every row. Returns whether there is more to do."""
        self._admit()
        self._read()
        self._decode()
        return bool(self._queue or self._running)

    # ------------------------------------------------------------ the parts of a step

    def _run(self):
        while self._has_work():
            try:
                self.step()
            except Exception as error:  # the thread must outlive it
                self._end_all("error", sentence(error))

    def _has_work(self):
        """Wait until there is; False when all is done and the batcher closed."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._queue or self._running or self._deadline is not None
            )
            return bool(self._queue or self._running)

    def _admit(self):
        """End what is cancelled or closed, and let in as many as there are rows for."""
        closing = self._deadline is not None
        if closing and time.monotonic() >= self._deadline:
            self._end_all("closed")
        cancelled = [job for job in self._running if job.cancelled]
        for job in cancelled:
            self._end(job, "cancelled")
        if cancelled or closing:
            self._drop_ended()
        ended, wait = [], collections.deque()
        with self._changed:
            for job in self._queue:
                reason = "cancelled" if job.cancelled else "closed" if closing else None
                if reason or not job.left:
                    ended.append((job, reason or "length"))
                elif len(self._running) < self.rows:
                    self._running[job] = True
                    self._reading.append(job)
                else:
                    wait.append(job)
            self._queue = wait
        for job, reason in ended:
            job.end(reason)

    def _read(self):
        """Read a piece of what has waited longest, and then lets others have a turn."""
        if not self._reading:
            return
        reading = self._next_reading()
        with self._errors_end(reading.group.rows):
            logits = reading.read(self._model)
            if logits is None:
                self._reading.append(reading)
            else:
                self._groups.append(reading.group)
                self._give(reading.group, logits)

    def _next_reading(self):
        """The first in the queue; short prompts behind it are read with it, as many as
        make a piece together."""
        first = self._reading.popleft()
        if isinstance(first, Reading):
            return first
        jobs, rest, most = [first], collections.deque(), self._cfg.n_ctx
        width = min(len(first.ids), most)
        for other in self._reading:
            if isinstance(other, Job):
                wider = max(width, min(len(other.ids), most))
                if wider * (len(jobs) + 1) <= PIECE:
                    jobs.append(other)
                    width = wider
                    continue
            rest.append(other)
        self._reading = rest
        return Reading(self._cfg, jobs)

    def _decode(self):
        """A token for every row."""
        self._drop_ended()
        self._groups = regroup(self._groups, self._call)
        for group in list(self._groups):
            with self._errors_end(group.rows):
                ids = [job.ids[-1] for job in group.rows]
                self._give(group, group.decode(self._model, ids))
        self._drop_ended()

    def _give(self, group, logits):  # logits: (B, V)
        """Choose every row's token and tell it. A row that has filled the context has
        its window slide: it is read anew for every token, as `generate` does."""
        finite = np.isfinite(logits).all(axis=-1)
        for row in np.flatnonzero(~finite):
            self._end(group.rows[row], "error", NOT_FINITE)
        jobs = [group.rows[row] for row in np.flatnonzero(finite)]
        settings, rngs = [job.settings for job in jobs], [job.rng for job in jobs]
        chosen = choose_each(logits[finite], settings, rngs)
        for job, new_id, prob in zip(
            jobs, *map(np.ndarray.tolist, chosen), strict=True
        ):
            job.ids.append(new_id)
            job.left -= 1
            try:
                job.tell(job, new_id, prob)
            except Exception as error:
                self._end(job, "error", f"telling a token failed: {sentence(error)}")
                continue
            if new_id in job.stop or not job.left:
                self._end(job, "stop" if new_id in job.stop else "length")

    def _drop_ended(self):
        """Free the rows of those that have ended, and of those that have to be read
        anew, since their window slides."""
        groups, self._groups = self._groups, []
        for group in groups:
            full = group.lengths == self._cfg.n_ctx
            alive = [job in self._running for job in group.rows]
            kept = [row for row in range(len(full)) if alive[row] and not full[row]]
            slides = [row for row in range(len(full)) if alive[row] and full[row]]
            self._reading.extend(group.rows[row] for row in slides)
            if kept:
                if len(kept) < len(full):
                    group.keep(kept)
                self._groups.append(group)
        self._reading = collections.deque(
            one for one in self._reading if self._running.keys() & owners(one)
        )

    @contextlib.contextmanager
    def _errors_end(self, jobs):
        """What is raised here ends these requests, and nothing else."""
        try:
            yield
        except Exception as error:
            for job in jobs:
                self._end(job, "error", f"the model failed: {sentence(error)}")

    def _end_all(self, reason, error=None):
        for job in list(self._running):
            self._end(job, reason, error)
        self._groups.clear()
        self._reading.clear()

    def _end(self, job, reason, error=None):
        if self._running.pop(job, False):
            job.end(reason, error)


def owners(one):
    """The requests of a `Reading`, or the one that has not begun."""
    return set(one.group.rows) if isinstance(one, Reading) else {one}


def sentence(error):
    """An exception in a line, its kind included."""
    return f"{type(error).__name__}: {error}".rstrip(": ")
