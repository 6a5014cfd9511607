"""Which requests' tokens are computed next, a piece of reading and a token at a time.

Everything here happens in one thread; `minigpt.batching` is the door to it for others.
"""

import collections
import contextlib

import numpy as np

from minigpt.generate import PIECE
from minigpt.sampling import choose_each
from minigpt.slots import Reading, call_cost, regroup

PADDING = 16  # positions that take about as long as one more call of the model
NOT_FINITE = (
    "the model's logits are not finite: its weights hold NaN or infinity, or numbers "
    "so large that they overflow"
)


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
        """Ask for the end, from any thread: it comes instead of the next token."""
        self.cancelled = True

    def end(self, reason, error=None):
        """Say that it is over: the batcher's last word."""
        tell, self.tell = self.tell, None  # who listens is not kept alive
        self.reason, self.error = reason, error
        with contextlib.suppress(BaseException):  # the thread must outlive it
            tell(self, None, None)


class Scheduler:
    """Takes requests through their prompts and, together, from token to token.

    ``running`` are those that have begun and not ended. A long prompt is read in pieces
    between the steps of the others, so that these go on meanwhile.
    """

    def __init__(self, model, cfg):
        self.running = {}
        self._model, self._cfg, self._call = model, cfg, call_cost(cfg)
        self._reading, self._groups = collections.deque(), []

    def begin(self, job):
        """Give a request its place."""
        self.running[job] = True
        self._reading.append(job)

    def step(self):
        """Let go of who cancelled, read a piece of prompts, give each row a token."""
        for job in [job for job in self.running if job.cancelled]:
            self.end(job, "cancelled")
        self._drop_ended()
        self._read()
        self._drop_ended()
        self._decode()
        self._drop_ended()

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
        make a piece together, unless that means much padding."""
        first = self._reading.popleft()
        if isinstance(first, Reading):
            return first
        jobs, rest, most = [first], collections.deque(), self._cfg.n_ctx
        width = min(len(first.ids), most)
        for other in self._reading:
            if isinstance(other, Job):
                length = min(len(other.ids), most)
                wider = max(width, length)
                area = wider * (len(jobs) + 1)
                padding = area - width * len(jobs) - length
                if area <= PIECE and padding <= PADDING:
                    jobs.append(other)
                    width = wider
                    continue
            rest.append(other)
        self._reading = rest
        return Reading(self._cfg, jobs)

    def _decode(self):
        """A token for every row."""
        self._groups = regroup(self._groups, self._call)
        for group in list(self._groups):
            with self._errors_end(group.rows):
                ids = [job.ids[-1] for job in group.rows]
                self._give(group, group.decode(self._model, ids))

    def _give(self, group, logits):  # logits: (B, V)
        """Choose every row's token and tell it. A row that has filled the context has
        its window slide: it is read anew for every token, as `generate` does."""
        finite = np.isfinite(logits).all(axis=-1)
        for row in np.flatnonzero(~finite):
            self.end(group.rows[row], "error", NOT_FINITE)
        jobs = [group.rows[row] for row in np.flatnonzero(finite)]
        settings, rngs = [job.settings for job in jobs], [job.rng for job in jobs]
        ids, probs = choose_each(logits[finite], settings, rngs)
        for job, new_id, prob in zip(jobs, ids.tolist(), probs.tolist(), strict=True):
            self._tell(job, new_id, prob)

    def _tell(self, job, new_id, prob):
        if job.cancelled:
            return self.end(job, "cancelled")
        job.ids.append(new_id)
        job.left -= 1
        try:
            job.tell(job, new_id, prob)
        except BaseException as error:  # asyncio's CancelledError is no Exception
            return self.end(job, "error", f"telling a token failed: {sentence(error)}")
        if new_id in job.stop or not job.left:
            self.end(job, "stop" if new_id in job.stop else "length")

    def _drop_ended(self):
        """Free the rows of those that have ended, and of those that have to be read
        anew, since their window slides."""
        groups, self._groups = self._groups, []
        for group in groups:
            full = group.lengths == self._cfg.n_ctx
            alive = [job in self.running for job in group.rows]
            kept = [row for row in range(len(full)) if alive[row] and not full[row]]
            slides = [row for row in range(len(full)) if alive[row] and full[row]]
            self._reading.extend(group.rows[row] for row in slides)
            if kept:
                if len(kept) < len(full):
                    group.keep(kept)
                self._groups.append(group)
        self._reading = collections.deque(
            one for one in self._reading if self.running.keys() & owners(one)
        )

    @contextlib.contextmanager
    def _errors_end(self, jobs):
        """What is raised here ends these requests, and nothing else."""
        try:
            yield
        except Exception as error:
            for job in jobs:
                self.end(job, "error", f"the model failed: {sentence(error)}")

    def end_all(self, reason, error=None):
        """End every request that runs."""
        for job in list(self.running):
            self.end(job, reason, error)
        self._groups.clear()
        self._reading.clear()

    def end(self, job, reason, error=None):
        """End a request that runs; one that has ended stays as it is."""
        if self.running.pop(job, False):
            job.end(reason, error)


def owners(one):
    """The requests of a `Reading`, or the one that has not begun."""
    return set(one.group.rows) if isinstance(one, Reading) else {one}


def sentence(error):
    """An exception in a line, its kind included."""
    return f"{type(error).__name__}: {error}".rstrip(": ")
