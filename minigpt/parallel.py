"""One step's batch, shared among workers: the same idea as many GPUs.

Each worker has all the parameters and takes a part of the batch. What all of them found
is added in their order, so that the same number of workers gives the same bits. Then
each moves a part of the parameters, with a part of the optimiser's averages: it is what
ZeRO does in its first stage (Rajbhandari et al. 2020). Chapter: training.
"""

import contextlib
import functools
import os

import numpy as np
from threadpoolctl import threadpool_limits

from minigpt import memory, optim, tree
from minigpt.autodiff import value_and_grad
from minigpt.workers import Here, hired

SMALL_STEP = 1e8  # floating-point operations: with fewer, telling takes what is won
quiet = np.errstate(over="ignore", invalid="ignore")  # who trains looks at the result


def choose_workers(parameters, tokens, batch_size):
    """How many workers a step deserves, by its size: about 6 operations a parameter and
    token, one worker for a small step, else one per processor."""
    if 6.0 * parameters * tokens < SMALL_STEP:
        return 1
    return max(1, min(processors(), batch_size))


def processors():
    """How many processors this program may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Share:
    """What worker ``number`` does of a step: the gradient of its rows of the batch,
    then the sum of all gradients and the update of its part of the parameters."""

    def __init__(self, loss, trees, number):
        def weighted(params, ids, targets, cfg, weight, **settings):
            return loss(params, ids, targets, cfg, **settings) * weight

        self.value_and_grad = value_and_grad(weighted)
        self.params, self.number = trees["params"], number
        self.grads = trees["grads"][number]
        workers = len(trees["grads"])
        self.alone = workers == 1
        part = functools.partial(part_of, number=number, workers=workers)
        self.part = part(self.params)
        self.moments = {name: part(trees[name]) for name in ("m", "v")}
        self.total, *self.others = map(part, trees["grads"])

    @quiet
    def gradient(self, ids, targets, cfg, mask, weight, seed):
        """The weighted loss of these rows. Their gradient is left for all to see."""
        if not weight:  # no row, or none that counts
            tree.map(lambda g: g.fill(0.0), self.grads)
            return 0.0
        rng = None if seed is None else np.random.default_rng([*seed, self.number])
        settings = {"mask": mask, "rng": rng}
        value, grads = self.value_and_grad(
            self.params, ids, targets, cfg, weight, **settings
        )
        if self.alone:
            self.grads = self.total = grads
        else:
            tree.map(np.copyto, self.grads, grads)
        return float(value)

    @quiet
    def add(self):
        """Add up this part of all gradients, where the first worker left its own."""
        for other in self.others:
            tree.map(np.add, self.total, other, self.total)

    @quiet
    def update(self, norm, limit, step, settings):
        """Clip this part of the gradient, and take AdamW's step with it."""
        optim.clip(self.total, limit, norm)
        moments = self.moments | {"step": step}
        optim.adamw_update(self.part, self.total, moments, **settings)


def part_of(params, number, workers):
    """Views of the rows that belong to one of ``workers``: the same count of numbers
    for each, as nearly as whole rows allow, ``{name: array}``."""
    if workers == 1:
        return params
    flat = {name: np.atleast_1d(a) for name, a in tree.flatten(params).items()}
    size, end, part = sum(a.size for a in flat.values()), 0, {}
    for name, a in flat.items():
        start, end = end, end + a.size
        cuts = [size * n // workers - start for n in (number, number + 1)]
        row = max(1, a.size // max(1, len(a)))
        first, last = (min(max(0, -(-cut // row)), len(a)) for cut in cuts)
        if first < last:
            part[name] = a[first:last]
    return part


class Team:
    """Workers that take steps together. Where there are several, ``params`` and
    ``optimizer`` are in memory that they share."""

    def __init__(self, workers, params, optimizer):
        self.workers, self.params, self.optimizer = workers, params, optimizer

    def gradient(self, ids, targets, cfg, *, mask=None, seed=None):
        """The loss of a batch, and the length of its gradient; `update` is the rest.

        ``loss`` is a mean over the positions that ``mask`` counts, so each part of the
        batch weighs as many as it has of them. With a ``seed``, a list of numbers, the
        loss gets a generator ``rng``, each worker one of its own.
        """
        rows = [np.array_split(a, len(self.workers)) for a in (ids, targets)]
        masks = [None] * len(self.workers)
        if mask is not None:
            masks = np.array_split(mask, len(self.workers))
        weights = _weights(rows[1], masks)
        parts = zip(*rows, masks, weights, strict=True)
        told = [(i, t, cfg, m, weight, seed) for i, t, m, weight in parts]
        loss = sum(self._all("gradient", told))
        self._all("add")
        self.norm = quiet(optim.global_norm)(self.grads)
        return loss, self.norm

    def update(self, *, limit=0.0, **settings):
        """Clip the gradient to the length ``limit`` and take a step of AdamW."""
        told = self.norm, limit, self.optimizer["step"], settings
        self._all("update", [told] * len(self.workers))
        self.optimizer["step"] += 1

    @property
    def grads(self):
        """The gradient of the whole batch; the next step writes over it."""
        return self.workers[0].worker.grads

    def _all(self, name, told=None):
        """Every worker's answer, in their order. An error waits until all are done."""
        told = told or [()] * len(self.workers)
        answers, errors = [], []
        try:
            for worker, arguments in zip(self.workers, told, strict=True):
                worker.begin(name, *arguments)
            for worker in self.workers:
                try:
                    answers.append(worker.end())
                except Exception as error:
                    errors.append(error)
        except BaseException:  # Ctrl-C: nobody waits for the answers any more
            for worker in self.workers:
                worker.stop()
            raise
        if errors:
            raise errors[0]
        return answers


@contextlib.contextmanager
def team(loss, params, optimizer=None, workers=1):
    """So many workers for `Team`, each with one thread of BLAS.

    One works on ``params`` and ``optimizer`` (of `optim.adamw_init`) themselves.
    Several have copies, and a copy of ``loss``: what it changes outside of itself is
    seen in its own process only. What a module has in memory alone (a function put in
    place of another, say) is not copied: the others import the module anew.
    """
    optimizer = optimizer or {"m": None, "v": None, "step": 0}
    trees = {"params": params, "m": optimizer["m"], "v": optimizer["v"]}
    with memory.kept(), threadpool_limits(1, user_api="blas"):
        if workers == 1:
            share = Share(loss, trees | {"grads": [None]}, 0)
            yield Team([Here(share)], params, optimizer)
            return
        make, trees["grads"] = functools.partial(Share, loss), [params] * workers
        with hired(make, trees, workers) as (them, shared):
            optimizer = optimizer | {name: shared[name] for name in ("m", "v")}
            del params, trees  # whoever called may let them go
            yield Team(them, shared["params"], optimizer)


@contextlib.contextmanager
def step_function(loss, workers):
    """Gives a function like ``value_and_grad(loss)``, ``step(params, ids, targets, cfg,
    mask=mask, seed=seed)``, that shares the batch of each call among a `team`."""
    with contextlib.ExitStack() as stack:
        last, now = None, None

        def step(params, *batch, **settings):
            nonlocal last, now
            kind = [(n, a.shape, a.dtype) for n, a in tree.flatten(params).items()]
            if kind != last:  # at the first call, as a rule
                stack.close()
                own = tree.map(np.copy, params)  # the next call's are written here
                now = stack.enter_context(team(loss, own, workers=workers))
                last = kind
            tree.map(np.copyto, now.params, params)
            value, _ = now.gradient(*batch, **settings)
            return value, tree.map(np.copy, now.grads)

        yield step


def _weights(targets, masks):
    """The share of each part in all the positions that count."""
    counts = [
        t.size if m is None else int(m.sum())
        for t, m in zip(targets, masks, strict=True)
    ]
    if not any(counts):
        raise ValueError("the mask of this batch leaves out every position of it")
    return [count / sum(counts) for count in counts]
