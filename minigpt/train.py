"""Training: take a batch, find the gradient, make a step; often. Chapter: training."""

import dataclasses
import math
import time
import zlib
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from minigpt import data, optim, parallel, tree
from minigpt.checkpoint import save
from minigpt.loss import next_token_loss
from minigpt.run import Run

EVAL_BATCHES = 20  # how many batches of the validation data are looked at


@dataclass(frozen=True)
class Settings:
    """What fixes a run besides its data. Raises ``ValueError`` for the impossible."""

    steps: int
    batch_size: int
    lr: float
    min_lr: float
    warmup: int
    weight_decay: float
    betas: tuple
    clip: float  # the longest gradient allowed, 0 for any
    seed: int
    data: int  # a checksum, so that a run is resumed on the same data

    def __post_init__(self):
        def need(condition, name, what):
            if not condition:
                value = getattr(self, name)
                raise ValueError(f"{name} must be {what}, and it is {value!r}")

        need(self.steps >= 1, "steps", "at least 1")
        need(self.batch_size >= 1, "batch_size", "at least 1")
        need(0 < self.lr < math.inf, "lr", "a positive number")
        need(0 <= self.min_lr <= self.lr, "min_lr", "between 0 and lr")
        need(0 <= self.warmup <= self.steps, "warmup", "between 0 and steps")
        need(self.weight_decay >= 0, "weight_decay", "0 or more")
        need(all(0 <= b < 1 for b in self.betas), "betas", "two numbers in [0, 1)")
        need(self.clip >= 0, "clip", "0 (no limit) or more")


@dataclass
class State:
    """What changes during a run, and a checkpoint therefore holds."""

    params: dict
    optimizer: dict
    rng: np.random.Generator  # chooses the batches
    workers: int
    step: int = 0
    best: float = math.inf  # the least validation loss so far
    losses: list = field(default_factory=list)  # since the last record
    seconds: float = 0.0


@dataclass
class Result:
    """What training leaves: the parameters, and one dict per record of history."""

    params: dict
    history: list


def fit(
    params,
    cfg,
    train,
    val=None,
    *,
    steps,
    batch_size,
    lr=1e-3,
    min_lr=None,
    warmup=0,
    weight_decay=0.1,
    betas=(0.9, 0.95),
    clip=1.0,
    seed=0,
    workers=None,
    out=None,
    resume=False,
    callback=None,
    progress=True,
    loss=next_token_loss,
    eval_every=None,
    save_every=None,
    keep=2,
    sampler=None,
):
    """Train a copy of ``params`` for ``steps`` updates; returns a `Result`.

    ``train`` and ``val`` are ids (N,), of which random windows are read, or lists of
    ids, of which whole texts are, padded and masked. The learning rate rises to ``lr``
    over ``warmup`` updates, then falls to ``min_lr`` (a tenth of ``lr``) on a cosine.

    The history has about a hundred records: step, loss (nats, mean since the last
    record), val_loss (every ``eval_every`` steps, a tenth of all, and at the end, else
    None), lr, grad_norm (before clipping), seconds, and sample when there is a
    ``sampler(params) -> str``. ``callback(record)`` hands each to any tracker.

    A folder ``out`` gets ``history.jsonl``, the last ``keep`` checkpoints (one every
    ``save_every`` steps, a tenth of all), ``best/`` by validation loss and in the end
    the model, for `minigpt.load`. ``resume=True`` goes on from the newest checkpoint to
    the same bits as an unbroken run. ``workers`` threads share each batch; None chooses
    by the size of a step, or as the checkpoint did.

    Raises ``ValueError`` for data and settings that cannot be, and
    ``FloatingPointError`` when the loss is no longer a number.
    """
    train = data.check(train, cfg)
    val = None if val is None else data.check(val, cfg, "val")
    min_lr = lr / 10 if min_lr is None else min_lr
    settings = Settings(
        *(steps, batch_size, lr, min_lr, warmup, weight_decay),
        *(tuple(betas), clip or 0.0, seed, _checksum(train)),
    )
    state = State(
        params=tree.map(np.array, params),
        optimizer=optim.adamw_init(params),
        rng=np.random.default_rng(seed),
        workers=workers or _choose_workers(params, train, cfg, batch_size),
    )
    run = Run(out, cfg, settings, keep)
    history = run.open(state, resume, workers)
    eval_every, save_every = (n or max(1, steps // 10) for n in (eval_every, save_every))
    with (
        parallel.step_function(loss, state.workers) as gradient,
        tqdm(total=steps, initial=state.step, disable=not progress) as bar,
    ):
        while state.step < steps:
            record = update(state, cfg, train, settings, gradient)
            last = state.step == steps
            evaluating = val is not None and (state.step % eval_every == 0 or last)
            if evaluating:
                value = evaluate(state.params, cfg, val, batch_size, loss=loss)
                record["val_loss"] = value
                if value < state.best:
                    state.best = value
                    run.save_best(state.params)
            if evaluating or last or state.step % max(1, steps // 100) == 0:
                record["loss"] = float(np.mean(state.losses))
                state.losses = []
                if sampler is not None and (evaluating or last):
                    record["sample"] = sampler(state.params)
                    bar.write(f"step {state.step}: {record['sample']}")
                history.append(record)
                run.append(record)
                bar.set_postfix(_shown(record))
                if callback is not None:
                    callback(record)
            if last or state.step % save_every == 0:
                run.checkpoint(state)
            bar.update()
    if out is not None:
        save(out, state.params, cfg)
    return Result(state.params, history)


def update(state, cfg, train, settings, gradient):
    """One step of training, ``state`` changed in place; returns its record so far."""
    started = time.perf_counter()
    step = state.step + 1
    lr = optim.cosine_schedule(
        step,
        steps=settings.steps,
        lr=settings.lr,
        min_lr=settings.min_lr,
        warmup=settings.warmup,
    )
    ids, targets, mask = draw(train, cfg, settings.batch_size, state.rng)
    rngs = None
    if cfg.dropout:
        rngs = [
            np.random.default_rng([settings.seed, step, worker])
            for worker in range(state.workers)
        ]
    value, grads = gradient(state.params, ids, targets, cfg, mask=mask, rngs=rngs)
    norm = optim.clip(grads, settings.clip)
    if not (math.isfinite(value) and math.isfinite(norm)):
        raise FloatingPointError(
            f"at step {step} the loss is {float(value)} and the gradient's length "
            f"{norm}, with a learning rate of {lr:.2g}: try a lower lr, a longer warmup "
            "or a smaller clip, and look at the data of this step"
        )
    optim.adamw_update(
        state.params,
        grads,
        state.optimizer,
        lr=lr,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )
    state.step = step
    state.losses.append(float(value))
    state.seconds += time.perf_counter() - started
    return {
        "step": step,
        "loss": float(value),
        "val_loss": None,
        "lr": lr,
        "grad_norm": norm,
        "seconds": round(state.seconds, 3),
    }


def draw(train, cfg, batch_size, rng):
    """A batch of ids, targets and mask: windows of one text, or whole texts."""
    if isinstance(train, list):
        return data.random_texts(train, batch_size, rng)
    return data.random_windows(train, cfg.n_ctx, batch_size, rng)


def evaluate(
    params, cfg, texts, batch_size=32, *, batches=EVAL_BATCHES, loss=next_token_loss
):
    """The mean loss in nats a token over the same ``batches`` batches every time:
    the first whole texts, or windows spread evenly over one text."""
    total = count = 0.0
    rows = texts[: batches * batch_size]
    if not isinstance(texts, list):
        rows = list(data.even_windows(texts, cfg.n_ctx, batches * batch_size))
    for first in range(0, len(rows), batch_size):
        ids, targets, mask = data.padded(rows[first : first + batch_size])
        value = loss(params, ids, targets, cfg, mask=mask)
        total += float(value) * mask.sum()
        count += mask.sum()
    return float(total / count)


def _choose_workers(params, train, cfg, batch_size):
    length = cfg.n_ctx
    if isinstance(train, list):
        length = sum(len(text) for text in train) / len(train)
    return parallel.choose_workers(tree.size(params), batch_size * length, batch_size)


def _checksum(train):
    texts = train if isinstance(train, list) else [train]
    checksum = 0
    for text in texts:
        checksum = zlib.crc32(np.ascontiguousarray(text, np.int64), checksum)
    return checksum


def _shown(record):
    names = ("loss", "val_loss", "lr")
    return {name: f"{record[name]:.3g}" for name in names if record[name] is not None}
