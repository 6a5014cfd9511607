"""Training: take a batch, find the gradient, make a step; often. Chapter: training."""

import contextlib
import math
import time
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from minigpt import data, optim, parallel, tree
from minigpt.interrupt import HeldBack
from minigpt.loss import next_token_loss
from minigpt.run import Run, Settings, State, checksum

EVAL_BATCHES = 20  # how many batches of the validation data are looked at


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
    frozen=None,
):
    """Train a copy of ``params`` for ``steps`` updates; returns a `Result`.

    ``train`` and ``val`` are ids (N,), of which random windows are read, or lists of
    ids, of which whole texts are, padded and masked; of a `data.Example` only what
    counts is learned. The learning rate rises to ``lr`` over ``warmup`` updates, then
    falls to ``min_lr`` (a tenth of ``lr``) on a cosine.

    The history has about a hundred records: step, loss (nats, mean since the last
    record), val_loss (every ``eval_every`` steps, a tenth of all, and at the end, else
    None), lr, grad_norm (before clipping), seconds, and sample when there is a
    ``sampler(params) -> str``. ``callback(record)`` hands each to any tracker.

    A folder ``out`` gets ``history.jsonl``, the last ``keep`` checkpoints (one every
    ``save_every`` steps, a tenth of all), ``best/`` by validation loss and in the end
    the model, for `minigpt.load`. ``resume=True`` goes on from the newest checkpoint to
    the same bits as an unbroken run. Ctrl-C waits until a step is whole, and leaves a
    checkpoint. ``workers`` are processes that share each batch, see `parallel.team`;
    None chooses by the size of a step, or as the checkpoint did. ``frozen`` are
    parameters that complete the model in ``out`` where only a part is trained, see
    `finetune.tune`.

    Raises ``ValueError`` for data and settings that cannot be, and
    ``FloatingPointError`` when the loss is no longer a number.
    """
    train = data.check(train, cfg)
    val = None if val is None else data.check(val, cfg, "val")
    settings = Settings(
        *(steps, batch_size, lr, lr / 10 if min_lr is None else min_lr, warmup),
        *(weight_decay, betas, clip or 0.0, seed, checksum(train)),
    )
    if workers is not None and (workers != int(workers) or workers < 1):
        raise ValueError(f"workers must be 1 or more, or None, and it is {workers!r}")
    workers_now = workers or _choose_workers(params, train, cfg, batch_size)
    state = State.fresh(params, seed, workers_now)
    run = Run(out, cfg, settings, keep, frozen)
    history = run.open(state, resume, workers)
    tenth = max(1, steps // 10)
    eval_every, save_every = eval_every or tenth, save_every or tenth
    with (
        np.errstate(over="ignore", invalid="ignore"),  # a sentence says more
        at_work(state, loss, settings.batch_size) as team,
        tqdm(total=steps, initial=state.step, disable=not progress) as bar,
        HeldBack() as ctrl_c,
    ):
        while state.step < steps:
            record = update(state, cfg, train, settings, team)
            last = state.step == steps
            evaluating = val is not None and (state.step % eval_every == 0 or last)
            if evaluating:
                value = evaluate(state.params, cfg, val, batch_size, loss=loss)
                record["val_loss"] = _finite(value, record, "validation loss")
                if value < state.best:
                    state.best = value
                    run.save(state.params, "best")
            if sampler is not None and (evaluating or last):
                record["sample"] = sampler(state.params)
            if evaluating or last or state.step % max(1, steps // 100) == 0:
                record["loss"] = float(np.mean(state.losses))
                state.losses = []
                history.append(record)
                run.append(record)
                _show(record, bar)
                if callback is not None:
                    callback(record)
            broken_off = ctrl_c.came  # asked once: it may come at any time
            if last or broken_off or state.step % save_every == 0:
                run.checkpoint(state)
            bar.update()
            if broken_off:
                raise KeyboardInterrupt
    run.save(state.params)
    return Result(state.params, history)


@contextlib.contextmanager
def at_work(state, loss, batch_size):
    """The `parallel.Team` that takes the steps of a run. Meanwhile ``state`` has arrays
    in memory that the workers share, afterwards copies of them in ordinary memory;
    where there is one worker, its own arrays all the time."""
    count = min(state.workers, batch_size)
    with parallel.team(loss, state.params, state.optimizer, count) as team:
        own = team.params is state.params
        state.params, state.optimizer = team.params, team.optimizer
        try:
            yield team
        finally:
            if not own:
                state.params = tree.map(np.array, team.params)
                for name in ("m", "v"):
                    team.optimizer[name] = tree.map(np.array, team.optimizer[name])


def update(state, cfg, train, settings, team):
    """One step of training, ``state`` changed in place; returns its record so far.
    ``team`` is `at_work` on the state."""
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
    seed = [settings.seed, step] if cfg.dropout else None
    value, norm = team.gradient(ids, targets, cfg, mask=mask, seed=seed)
    record = {"step": step, "loss": value, "val_loss": None}
    record |= {"lr": lr, "grad_norm": norm}
    _finite(value, record, "loss")
    _finite(norm, record, "length of the gradient")
    choice = {"betas": settings.betas, "weight_decay": settings.weight_decay}
    team.update(limit=settings.clip, lr=lr, **choice)
    state.step = step
    state.losses.append(record["loss"])
    state.seconds += time.perf_counter() - started
    return record | {"seconds": round(state.seconds, 3)}


def _finite(value, record, name):
    if not math.isfinite(value):
        raise FloatingPointError(
            f"at step {record['step']} the {name} is {value}, with a learning rate of "
            f"{record['lr']:.2g}: try a lower lr, a longer warmup or a smaller clip, "
            "and look at the data and the parameters"
        )
    return value


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


def _show(record, bar):
    if bar.disable:
        return
    names = [n for n in ("loss", "val_loss", "lr") if record[n] is not None]
    bar.set_postfix({name: f"{record[name]:.3g}" for name in names})
    if "sample" in record:
        bar.write(f"step {record['step']}: {record['sample']}")
