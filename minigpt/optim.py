"""How a gradient becomes a step: AdamW, a schedule, and a limit. Chapter: training."""

import math

import numpy as np

from minigpt import tree
from minigpt.ops.namespace import BLOCK


def adamw_init(params):
    """The optimiser's memory: two averages for every parameter, and a step count."""
    m, v = tree.map(np.zeros_like, params), tree.map(np.zeros_like, params)
    return {"m": m, "v": v, "step": 0}


def adamw_update(
    params, grads, state, *, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1
):
    """One step of AdamW: ``params`` and ``state`` are changed in place.

    ``m`` averages the gradient and ``v`` its square; both start at zero, which the
    corrections undo. Decay shrinks matrices only: biases and norms have no reason to
    be small. Kingma and Ba 2015; Loshchilov and Hutter 2019.
    """
    beta1, beta2 = betas
    state["step"] += 1
    correction1 = 1.0 - beta1 ** state["step"]
    correction2 = math.sqrt(1.0 - beta2 ** state["step"])

    def update(w, g, m, v):
        change = np.empty_like(g)  # the only array that is made
        m *= beta1
        np.multiply(g, 1.0 - beta1, out=change)
        m += change
        v *= beta2
        np.multiply(g, g, out=change)
        change *= 1.0 - beta2
        v += change
        if w.ndim >= 2:
            w *= 1.0 - lr * weight_decay
        np.sqrt(v, out=change)
        change += eps * correction2
        np.divide(m, change, out=change)
        change *= lr * correction2 / correction1
        w -= change

    tree.map(in_rows(update), params, grads, state["m"], state["v"])


def in_rows(update):
    """``update`` for arrays of one shape, some rows at a time: what stands in a core's
    cache goes through all of it there, instead of through the memory again and again.
    """

    def update_rows(*arrays):
        first = arrays[0]
        if first.size <= BLOCK:
            return update(*arrays)
        step = max(1, BLOCK * len(first) // first.size)
        for start in range(0, len(first), step):
            update(*(a[start : start + step] for a in arrays))

    return update_rows


def cosine_schedule(step, *, steps, lr, min_lr, warmup=0):
    """The learning rate of update number ``step`` (1 to ``steps``): up in a straight
    line to ``lr`` over ``warmup`` updates, then down a half cosine to ``min_lr``."""
    if step <= warmup:
        return lr * step / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return min_lr + (lr - min_lr) * 0.5 * (1.0 + math.cos(math.pi * done))


def global_norm(grads):
    """The length of all gradients seen as one long vector."""
    squares = [np.vdot(g, g) for g in tree.flatten(grads).values()]
    return math.sqrt(math.fsum(float(s) for s in squares))


def clip(grads, limit, norm=None):
    """Shorten the gradient to ``limit`` where it is longer, in place, keeping its
    direction; returns its length before. Without a limit (0), or when the length is
    not finite, the gradient stays. ``norm`` is the length where ``grads`` are a part of
    the gradient only. Pascanu, Mikolov and Bengio 2013."""
    norm = global_norm(grads) if norm is None else norm
    if limit and limit < norm < math.inf:

        def shorten(g):
            g *= limit / norm

        tree.map(shorten, grads)
    return norm
