"""Who takes a training step: minigpt, and all it is compared with, behind one face.

Each begins with the same weights, draws the same batches with the same seed and
follows the same schedule. ``step()`` is forward, backward, clipping and AdamW, and
gives the loss; ``warm()`` takes a step so small that it needs no memory, so that what
a library needs once is there, and compiles what is compiled.
"""

import contextlib
import dataclasses
import math

import numpy as np

from minigpt import data, next_token_loss, optim, parallel, train, tree
from minigpt.run import Settings, State

EAGER, FUSED = "PyTorch eager", "PyTorch eager, fused AdamW"
COMPILED, JAX = "PyTorch compiled, fused AdamW", "JAX jit"
UNFUSED, SCALAR = "elementary primitives", "a number at a time"
SMALL = 2, 8  # texts and tokens of a batch that warms up


class Unavailable(Exception):
    """Why somebody cannot take part."""


def settings(batch_size, steps, seed=0, **other):
    """What a run is fixed by: nanoGPT's choices, unless said otherwise."""
    chosen = {"lr": 1e-3, "min_lr": 1e-3, "warmup": 0, "weight_decay": 0.1}
    chosen |= {"betas": (0.9, 0.95), "clip": 1.0, **other}
    return Settings(steps=steps, batch_size=batch_size, seed=seed, data=0, **chosen)


class Arrays:
    """What runs on minigpt's own tape: the package, or another loss or gradient."""

    def __init__(self, params, cfg, ids, settings, loss=next_token_loss, gradient=None):
        rows = settings.batch_size
        tokens = rows * cfg.n_ctx
        workers = 1
        if not gradient:
            workers = parallel.choose_workers(tree.size(params), tokens, rows)
        self.state = State.fresh(params, settings.seed, workers)
        self.cfg, self.ids, self.settings, self.loss = cfg, ids, settings, loss
        self.open = contextlib.ExitStack()
        self.team = self.open.enter_context(train.at_work(self.state, loss, rows))
        if gradient:
            self.team.workers[0].worker.value_and_grad = whole(gradient)
        self.ready = {"workers": workers}
        one = sum(a.nbytes for a in tree.flatten(params).values())
        self.gradients = workers * one if workers > 1 else 0  # bytes, kept and shared

    def step(self):
        given = self.state, self.cfg, self.ids, self.settings, self.team
        return train.update(*given)["loss"]

    def warm(self):
        small = dataclasses.replace(self.cfg, n_ctx=min(SMALL[1], self.cfg.n_ctx))
        few = dataclasses.replace(self.settings, batch_size=SMALL[0])
        train.update(self.state, small, self.ids, few, self.team)

    def validate(self, ids, batch_size):
        rows = len(ids) // self.cfg.n_ctx
        batches = math.ceil(rows / batch_size)
        given = self.state.params, self.cfg, ids, batch_size
        return train.evaluate(*given, batches=batches)


def whole(gradient):
    """``gradient`` as the one worker asks for it, whose share is the whole batch."""
    return lambda params, ids, targets, cfg, weight, **_: gradient(
        params, ids, targets, cfg
    )


class Batches:
    """The batches and learning rates that `Arrays` has, for the others."""

    def __init__(self, cfg, ids, settings):
        self.cfg, self.ids, self.settings = cfg, ids, settings
        self.rng, self.number = np.random.default_rng(settings.seed), 0

    def next(self, small=False):
        """``(ids, targets, learning rate)``."""
        rows, T = self.settings.batch_size, self.cfg.n_ctx
        if small:
            rows, T = SMALL[0], min(SMALL[1], T)
        self.number += 1
        ids, targets, _ = data.random_windows(self.ids, T, rows, self.rng)
        s = self.settings
        lr = optim.cosine_schedule(
            self.number, steps=s.steps, lr=s.lr, min_lr=s.min_lr, warmup=s.warmup
        )
        return ids, targets, lr


class Torch:
    """The same model in PyTorch."""

    def __init__(self, params, cfg, ids, settings, compiled=False, **adamw):
        import torch
        import torch_gpt

        self.torch, self.torch_gpt, self.cfg = torch, torch_gpt, cfg
        torch.set_num_threads(parallel.processors())
        self.model = torch_gpt.GPT(params, cfg)
        self.optimizer = torch_gpt.adamw(self.model, settings, **adamw)
        self.batches, self.clip = Batches(cfg, ids, settings), settings.clip
        self.loss = torch.compile(self.model) if compiled else self.model
        self.ready = {"threads": torch.get_num_threads()}

    def step(self, small=False):
        ids, targets, lr = self.batches.next(small)
        given = self.loss, self.model, self.optimizer
        return self.torch_gpt.step(*given, *self._tensors(ids, targets), lr, self.clip)

    def warm(self):
        self.step(small=self.loss is self.model)  # another size would compile again

    def validate(self, ids, batch_size):
        rows = data.even_windows(ids, self.cfg.n_ctx, len(ids) // self.cfg.n_ctx)
        total = 0.0
        with self.torch.no_grad():
            for first in range(0, len(rows), batch_size):
                batch = rows[first : first + batch_size]
                two = self._tensors(batch[:, :-1], batch[:, 1:])
                total += len(batch) * self.model(*two).item()
        return total / len(rows)

    def _tensors(self, *arrays):
        return [self.torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]


class Jax:
    """The package's own functions under ``jax.jit``, with a plain AdamW."""

    def __init__(self, params, cfg, ids, settings):
        import jax

        self.jax, self.ready = jax, {}
        self.params = tree.map(jax.numpy.array, params)
        self.m, self.v = (tree.map(jax.numpy.zeros_like, self.params) for _ in range(2))
        self.batches = Batches(cfg, ids, settings)
        self.run = jax.jit(jax_step(jax, cfg, settings), donate_argnums=(0, 1, 2))

    def step(self):
        given = (self.params, self.m, self.v), self._arrays(*self.batches.next())
        self.params, self.m, self.v, loss = self.run(*given[0], *given[1])
        self.jax.block_until_ready(self.params)
        return float(loss)

    def warm(self):
        batch = self._arrays(*self.batches.next())
        self.run = self.run.lower(self.params, self.m, self.v, *batch).compile()

    def _arrays(self, ids, targets, lr):
        number = np.float32(self.batches.number)
        both = ids.astype(np.int32), targets.astype(np.int32)
        return *map(self.jax.numpy.asarray, both), np.float32(lr), number


def jax_step(jax, cfg, settings):
    """One step as a function without side effects, for the compiler."""
    jnp, (beta1, beta2) = jax.numpy, settings.betas

    def step(params, m, v, ids, targets, lr, number):
        loss, grads = jax.value_and_grad(next_token_loss)(params, ids, targets, cfg)
        norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in tree.flatten(grads).values()))
        share = jnp.minimum(1.0, settings.clip / norm) if settings.clip else 1.0
        grads = tree.map(lambda g: g * share, grads)
        m = tree.map(lambda m, g: beta1 * m + (1.0 - beta1) * g, m, grads)
        v = tree.map(lambda v, g: beta2 * v + (1.0 - beta2) * g * g, v, grads)

        def moved(w, m, v):
            decay = lr * settings.weight_decay if w.ndim >= 2 else 0.0
            root = jnp.sqrt(v / (1.0 - beta2**number)) + 1e-8
            return w * (1.0 - decay) - lr * m / (1.0 - beta1**number) / root

        return tree.map(moved, params, m, v), m, v, loss

    return step


def make(name, params, cfg, ids, settings):
    """A stepper by name. Raises `Unavailable` where that cannot be."""
    given = params, cfg, ids, settings
    try:
        if name == "minigpt":
            return Arrays(*given)
        if name == UNFUSED:
            import unfused

            return Arrays(*given, loss=unfused.loss)
        if name == SCALAR:
            import scalar_tape

            return Arrays(*given, gradient=scalar_tape.gradient)
        if name == JAX:
            return Jax(*given)
        if name == COMPILED:
            return Torch(*given, compiled=True, fused=True)
        return Torch(*given, **({"fused": True} if name == FUSED else {}))
    except ModuleNotFoundError as error:
        raise Unavailable(f"{error.name} is not installed") from None
