"""A training run on disk: its history and its checkpoints. Chapter: training.

A checkpoint is one safetensors file with the parameters, the optimiser's averages and,
as JSON in its metadata, everything else that the next step depends on.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np

from minigpt import tree
from minigpt.checkpoint import read_tensors, save, write, write_tensors


class Run:
    """The folder of a run, or nothing when ``folder`` is None."""

    def __init__(self, folder, cfg, settings, keep):
        self.folder = None if folder is None else Path(folder)
        self.cfg = cfg
        self.keep = keep
        self.fixed = {
            "config": dataclasses.asdict(cfg),
            "settings": json.loads(json.dumps(dataclasses.asdict(settings))),
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
        checkpoints = self._checkpoints()
        if checkpoints and not resume:
            raise ValueError(
                f"{self.folder} holds a run already: pass resume=True to go on with "
                "it, or choose another folder"
            )
        if checkpoints:
            self._restore(state, checkpoints[-1], workers)
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
        moments = {name: state.optimizer[name] for name in ("m", "v")}
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
            tree.flatten({"params": state.params, **moments}),
            {"state": json.dumps(rest), "fixed": json.dumps(self.fixed)},
        )
        for path in self._checkpoints()[: -max(1, self.keep)]:
            path.unlink()

    def save_best(self, params):
        """Write the model with the least validation loss so far into ``best/``."""
        if self.folder is not None:
            save(self.folder / "best", params, self.cfg)

    def _checkpoints(self):
        return sorted(self.folder.glob("checkpoint-*.safetensors"))

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
        trees = tree.unflatten(flat)
        state.params = trees["params"]
        state.optimizer = {**trees, "step": rest["updates"]}
        del state.optimizer["params"]
        state.rng = np.random.default_rng()
        state.rng.bit_generator.state = rest["rng"]
        state.workers = workers or rest["workers"]
        for name in ("step", "best", "losses", "seconds"):
            setattr(state, name, rest[name])

    def _compare(self, saved):
        for kind, now in self.fixed.items():
            for name, value in now.items():
                if saved[kind][name] != value:
                    raise ValueError(
                        f"{self.folder} was trained with {name}={saved[kind][name]!r}, "
                        f"and now it is {value!r}: resume with the same, or begin in "
                        "another folder"
                    )
