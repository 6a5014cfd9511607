"""One step's batch, split over threads: the same idea as many GPUs.

NumPy lets go of Python's lock while it computes, so threads run side by side. Each
takes a part of the batch and one thread of BLAS; the gradients are added in the order
of the parts, so that the same number of workers gives the same bits. Chapter: training.
"""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from minigpt import memory, tree
from minigpt.autodiff import value_and_grad

SMALL_STEP = 2e8  # floating-point operations under which threads gain nothing


def choose_workers(parameters, tokens, batch_size):
    """How many threads a step deserves, by its size: about 6 operations a parameter and
    token, one thread for a small step, else one per processor."""
    if 6.0 * parameters * tokens < SMALL_STEP:
        return 1
    return max(1, min(processors(), batch_size))


def processors():
    """How many processors this program may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def step_function(loss, workers):
    """Gives a function like ``value_and_grad(loss)`` that shares the batch of its calls
    among ``workers`` threads, each with one thread of BLAS.

    It is called ``step(params, ids, targets, cfg, mask=mask, rngs=rngs)`` with one
    generator for each worker, or None, in ``rngs``. ``loss`` is a mean over the
    positions that ``mask`` counts, so each part weighs as many as it has of them.
    """

    def weighted(params, ids, targets, cfg, weight, **settings):
        return loss(params, ids, targets, cfg, **settings) * weight

    both = value_and_grad(weighted)
    with (
        memory.kept(),
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(workers) as pool,
    ):

        def step(params, ids, targets, cfg, *, mask=None, rngs=None):
            parts = [slice(p[0], p[-1] + 1) for p in _parts(len(ids), workers)]
            weights = _weights(targets, mask, parts)

            def run(number):
                part, weight = parts[number], weights[number]
                settings = {
                    "mask": None if mask is None else mask[part],
                    "rng": rngs[number] if rngs else None,
                }
                with np.errstate(over="ignore", invalid="ignore"):  # fit looks itself
                    return both(
                        params, ids[part], targets[part], cfg, weight, **settings
                    )

            numbers = [n for n in range(len(parts)) if weights[n]]
            return _sum(list(pool.map(run, numbers)))

        yield step


def _parts(rows, workers):
    return [p for p in np.array_split(np.arange(rows), workers) if len(p)]


def _weights(targets, mask, parts):
    counts = [targets[p].size if mask is None else int(mask[p].sum()) for p in parts]
    if not any(counts):
        raise ValueError("the mask of this batch leaves out every position of it")
    return [count / sum(counts) for count in counts]


def _sum(results):
    """The sum of the losses, and of the gradients, in the order given."""
    loss = sum(float(value) for value, _ in results)
    (_, total), *others = results

    def add(total, *grads):
        for g in grads:
            total += g
        return total

    return loss, tree.map(add, total, *(grads for _, grads in others))
