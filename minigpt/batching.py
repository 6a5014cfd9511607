"""Many requests at once: one thread decodes them as one batch. Chapter: serving.

A request joins the batch as soon as its prompt has been read, and leaves it with its
last token, so that nobody waits for the others' ends. Yu and others 2022, "Orca".
"""

import collections
import contextlib
import functools
import math
import threading
import time

from threadpoolctl import threadpool_limits

from minigpt import tree
from minigpt.generate import check_ids, stop_ids
from minigpt.model import gpt
from minigpt.sampling import check_settings, whole
from minigpt.scheduler import Job, Scheduler, sentence

GRACE = 10.0  # seconds beyond its timeout that `close` waits for the step under way
SMALL = 2**23  # parameters, 32 MB: fewer are near enough to a core to need no other


class Busy(RuntimeError):
    """As many requests wait as may: ask again later."""


class Closed(RuntimeError):
    """The batcher takes no more requests."""


class OneThread:
    """While anybody is within, BLAS computes with one thread in this whole process.

    Two share a product of matrices in halves, and wait for each other at its end: where
    a neighbour has taken one's processor away, a small product takes thirty times as
    long as one thread needs for it.
    """

    def __init__(self):
        self._lock, self._within, self._limits = threading.Lock(), 0, None

    def __enter__(self):
        with self._lock:
            if self._within == 0:
                self._limits = threadpool_limits(1, user_api="blas")
            self._within += 1

    def __exit__(self, *error):
        with self._lock:
            self._within -= 1
            if self._within == 0:
                self._limits.restore_original_limits()


ONE_THREAD = OneThread()


class Batcher:
    """Decodes many requests as one batch, in a thread of its own.

    ``params`` are a model's parameters, or a callable that computes as `gpt` does:
    ``model(ids, cfg, caches=caches, last=True)``. At most ``rows`` requests are decoded
    at a time, and ``waiting`` may wait. With ``start=False`` there is no thread, and
    `step` has to be called.
    """

    def __init__(self, params, cfg, *, rows=64, waiting=256, start=True):
        self.rows, self.waiting = whole(rows, "rows", 1), whole(waiting, "waiting", 1)
        model = params if callable(params) else functools.partial(gpt, params)
        self._cfg, self._scheduler = cfg, Scheduler(model, cfg)
        self._small = not callable(params) and tree.size(params) < SMALL
        self._changed, self._queue = threading.Condition(), collections.deque()
        self._deadline = self._thread = None
        if start:
            name = "minigpt batcher"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()

    @property
    def running(self):
        """How many requests are read or decoded."""
        return len(self._scheduler.running)

    @property
    def queued(self):
        """How many requests wait to begin."""
        return len(self._queue)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

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
                n = self.queued
                wait = "1 request waits" if n == 1 else f"{n} requests wait"
                raise Busy(f"{wait} already, and no more may: ask again in a moment")
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
        return not self._left()

    def step(self):
        """One round: take in who waits, read a piece of prompts, give each row a token.
        Returns whether there is more to do."""
        self._admit()
        self._scheduler.step()
        return self._left()

    def _run(self):
        with ONE_THREAD if self._small else contextlib.nullcontext():
            while self._has_work():
                try:
                    self.step()
                except Exception as error:  # the thread must outlive it
                    self._scheduler.end_all("error", sentence(error))

    def _has_work(self):
        """Wait until there is; False when the batcher is closed and all is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._left() or self._deadline is not None)
            return self._left()

    def _left(self):
        return bool(self._queue or self._scheduler.running)

    def _admit(self):
        """Let in as many as there are rows for, and end who need no row."""
        closing = self._deadline is not None
        if closing and time.monotonic() >= self._deadline:
            self._scheduler.end_all("closed")
        ended, wait = [], collections.deque()
        with self._changed:
            for job in self._queue:
                reason = "cancelled" if job.cancelled else "closed" if closing else None
                if reason or not job.left:
                    ended.append((job, reason or "length"))
                elif self.running < self.rows:
                    self._scheduler.begin(job)
                else:
                    wait.append(job)
            self._queue = wait
        for job, reason in ended:
            job.end(reason)
