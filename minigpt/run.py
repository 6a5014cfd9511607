"""A training run: what fixes it, what changes, and its folder. Chapter: training.

A checkpoint is one safetensors file with the parameters, the optimiser's averages and,
as JSON in its metadata, everything else that the next step depends on.
"""

import dataclasses
import json
import math
import operator
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from minigpt import optim, tree
from minigpt.checkpoint import read_tensors, report, save, write, write_tensors
from minigpt.data import Example


@dataclass(frozen=True)
class Settings:
    """What fixes a run besides its data. Raises ``ValueError`` for the impossible."""

    steps: int
    batch_size: int
    lr: float
    min_lr: float
    warmup: int
    weight_decay: float
    betas: tuple  # how slowly AdamW's two averages forget
    clip: float  # the longest gradient allowed, 0 for any
    seed: int
    data: int  # a checksum, so that a run is resumed on the same data

    def __post_init__(self):
        for f in dataclasses.fields(self):  # NumPy's numbers do not go into JSON
            convert = {int: operator.index, float: float}.get(f.type, tuple)
            try:
                object.__setattr__(self, f.name, convert(getattr(self, f.name)))
            except (TypeError, ValueError):
                self._need(False, f.name, f"of the kind {f.type.__name__}")
        self._need(self.steps >= 1, "steps", "at least 1")
        self._need(self.batch_size >= 1, "batch_size", "at least 1")
        self._need(0 < self.lr < math.inf, "lr", "a positive number")
        self._need(0 <= self.min_lr <= self.lr, "min_lr", "between 0 and lr")
        self._need(0 <= self.warmup <= self.steps, "warmup", "between 0 and steps")
        self._need(0 <= self.weight_decay < math.inf, "weight_decay", "0 or more")
        two = len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas)
        self._need(two, "betas", "two numbers in [0, 1)")
        self._need(self.clip >= 0, "clip", "0 (no limit) or more")
        self._need(self.seed >= 0, "seed", "a whole number from 0")

    def _need(self, condition, name, what):
        if not condition:
            value = getattr(self, name)
            raise ValueError(f"{name} must be {what}, and it is {value!r}")


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

    @classmethod
    def fresh(cls, params, seed, workers):
        """The state before the first step, with a copy of ``params``."""
        params = tree.map(np.array, params)
        rng = np.random.default_rng(seed)
        return cls(params, optim.adamw_init(params), rng, workers)


def checksum(data):
    """A number that differs for other ids, for ids cut into other texts, and where
    other predictions count."""
    texts = data if isinstance(data, list) else [data]
    total = zlib.crc32(np.array([len(text) for text in texts], np.int64))
    for text in texts:
        total = zlib.crc32(np.ascontiguousarray(text, np.int64), total)
        if isinstance(text, Example):
            total = zlib.crc32(np.ascontiguousarray(text.counts, bool), total)
    return total


def checksum_of_tree(params):
    """A number that differs for other arrays, or arrays of other names."""
    total = 0
    for name, array in tree.flatten(params).items():
        total = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), total)
        total = zlib.crc32(np.ascontiguousarray(array), total)
    return total


def checkpoints(folder):
    """The checkpoints in a folder, the newest last."""
    found = sorted(Path(folder).glob("checkpoint-[0-9]*.safetensors"))
    return [path for path in found if step_of(path) is not None]


def step_of(path):
    """The step in the name of a checkpoint; None where there is no number."""
    number = path.stem.removeprefix("checkpoint-")
    return int(number) if number.isdecimal() else None


class Run:
    """The folder of a run, or nothing when ``folder`` is None. Where only a part of a
    model is trained, the rest is ``frozen``: it is saved with it, and not resumed with
    another."""

    def __init__(self, folder, cfg, settings, keep, frozen=None):
        self.folder = None if folder is None else Path(folder)
        self.cfg = cfg
        self.keep = max(1, keep)
        self.frozen = frozen
        self.fixed = {
            "config": dataclasses.asdict(cfg),
            "settings": json.loads(json.dumps(dataclasses.asdict(settings))),
            "base": checksum_of_tree(frozen),
        }

    def open(self, state, resume, workers=None):
        """Begin, or with ``resume`` bring ``state`` to the newest checkpoint; returns
        the history so far. ``workers`` is what the caller asked for, if anything.

        Raises ``ValueError`` when the folder holds a run that should not be resumed, or
        one of another model, other settings or other data.
        """
        if self.folder is None:
            if resume:
                raise ValueError("resume=True needs out=, the folder of the run")
            return []
        self.folder.mkdir(parents=True, exist_ok=True)
        found = checkpoints(self.folder)
        occupied = found or (self.folder / "model.safetensors").exists()
        if occupied and not (resume and found):
            raise ValueError(
                f"{self.folder} holds a run or a model already: choose another folder, "
                "or go on with a run that left a checkpoint by resume=True"
            )
        for unfinished in self.folder.glob(".checkpoint-*.tmp"):  # of a killed run
            unfinished.unlink()
        if found:
            self._restore(state, found[-1], workers)
        history = [r for r in self._history() if r["step"] <= state.step]
        lines = "".join(json.dumps(record) + "\n" for record in history)
        write(self.folder / "history.jsonl", lines.encode())
        return history

    def append(self, record):
        """Add a record to ``history.jsonl``."""
        if self.folder is not None:
            with open(self.folder / "history.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    def checkpoint(self, state):
        """Write all of ``state``, then remove the checkpoints that are too old."""
        if self.folder is None:
            return
        rest = {
            "step": state.step,
            "updates": state.optimizer["step"],
            "rng": state.rng.bit_generator.state,
            "workers": state.workers,
            "best": state.best,
            "losses": state.losses,
            "seconds": state.seconds,
        }
        write_tensors(
            self.folder / f"checkpoint-{state.step:08d}.safetensors",
            tree.flatten(_trees(state)),
            {"state": json.dumps(rest), "fixed": json.dumps(self.fixed)},
        )
        for path in checkpoints(self.folder)[: -self.keep]:
            path.unlink()

    def save(self, params, name=""):
        """Write the whole model, by default into the folder itself."""
        if self.folder is not None:
            save(self.folder / name, tree.merge(self.frozen, params), self.cfg)

    def _history(self):
        path = self.folder / "history.jsonl"
        if not path.exists():
            return
        for line in path.read_text("utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:  # the line that a killed run was writing
                return

    def _restore(self, state, path, workers):
        flat, metadata = read_tensors(path)
        self._compare(json.loads(metadata["fixed"]))
        rest = json.loads(metadata["state"])
        like = _trees(state)
        expected = {name: a.shape for name, a in tree.flatten(like).items()}
        problems = report(expected, {name: a.shape for name, a in flat.items()})
        if problems:
            raise ValueError(f"{path} is of other parameters:\n" + "\n".join(problems))
        trees = tree.map_named(lambda name, _: flat[name], like)
        state.params = trees.pop("params")
        state.optimizer = {**trees, "step": rest["updates"]}
        state.rng.bit_generator.state = rest["rng"]
        state.workers = workers or rest["workers"]
        for name in ("step", "best", "losses", "seconds"):
            setattr(state, name, rest[name])

    def _compare(self, saved):
        if saved.get("base", self.fixed["base"]) != self.fixed["base"]:
            raise ValueError(
                f"{self.folder} was begun from another model: resume with the same, or "
                "begin in another folder"
            )
        for kind in ("config", "settings"):
            for name, value in self.fixed[kind].items():
                if saved[kind].get(name) != value:
                    raise ValueError(
                        f"{self.folder} was trained with "
                        f"{name}={saved[kind].get(name)!r}, and now it is {value!r}: "
                        "resume with the same, or begin in another folder"
                    )


def _trees(state):
    """The trees of arrays that a checkpoint holds."""
    moments = {name: state.optimizer[name] for name in ("m", "v")}
    return {"params": state.params, **moments}
