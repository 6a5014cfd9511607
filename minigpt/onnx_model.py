"""An exported model under ONNX Runtime, called as `gpt` is. Chapter: serving."""

import json
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from minigpt import vocabulary
from minigpt.checkpoint import FORMAT
from minigpt.model import Config


class OnnxModel:
    """A model from a file that `minigpt.export` wrote.

    ``model(ids, cfg, caches=…, last=…)`` gives what `gpt` gives with the parameters
    that were exported, so that it can stand for them in `generate` and `stream`.
    ``cfg``, ``tok`` (or None) and ``name`` come with the file; ``cached`` tells whether
    the graph takes keys and values. One that does not reads all tokens again each time:
    a `Cache` then holds the tokens themselves.

    ``threads`` are as many as NumPy multiplies matrices with, unless given. Several
    threads may call one model. Raises ``FileNotFoundError``, or ``ValueError`` for
    another file than ours, and ``ModuleNotFoundError`` without onnxruntime.
    """

    def __init__(self, path, threads=None):
        self.session = open_session(Path(path), threads or blas_threads())
        told = self.session.get_modelmeta().custom_metadata_map
        if told.get("format") != FORMAT:
            raise ValueError(
                f"{path} is an ONNX graph that minigpt did not write: only one that "
                "`minigpt export` wrote tells how it is to be called"
            )
        self.name, self.cached = told["name"], json.loads(told["cache"])
        self.cfg = Config(**json.loads(told["config"]))
        tok = told.get("tokenizer")
        self.tok = None if tok is None else vocabulary.from_json(tok, path)

    def __call__(self, ids, cfg=None, *, caches=None, last=False):
        """Logits (B, T, V), or (B, 1, V) where only the ``last`` are wanted, as `gpt`.

        ``caches`` are extended. Raises ``ValueError`` for ids of another rank or out
        of the vocabulary, and where they run past ``n_ctx`` or what a cache can hold.
        """
        ids = np.asarray(ids)
        start = caches[0].length if caches else 0
        self._check(ids, start, caches)
        if self.cached:
            logits = self._extend(ids, start, caches, last)
        else:
            logits = self._read_again(ids, caches)
        return logits[:, -1:] if last else logits

    def _extend(self, ids, start, caches, last):  # (B, T) -> (B, T or 1, V)
        """Run with the keys and values so far, and keep those of all."""
        cfg, B = self.cfg, len(ids)
        feed = {"logits_from": np.array([-1])} if last else {}
        nothing = np.empty((B, cfg.n_head, 0, cfg.n_embd // cfg.n_head), np.float32)
        for i in range(cfg.n_layer):
            both = nothing, nothing
            if start:
                cache = caches[i]
                both = cache.keys[:, :, :start], cache.values[:, :, :start]
            for kind, array in zip(("key", "value"), both, strict=True):
                feed[f"past_key_values.{i}.{kind}"] = np.ascontiguousarray(array)
        padding = caches[0].padding if caches else None
        logits, *present = self._run(ids, start, padding, feed, bool(caches))
        for i, cache in enumerate(caches or ()):
            cache.keys, cache.values = present[2 * i : 2 * i + 2]
            cache.length = start + ids.shape[1]
        return logits

    def _read_again(self, ids, caches):  # (B, T) -> (B, T, V)
        """Run over all tokens so far, which the caches keep in the place of keys."""
        T, padding = ids.shape[1], None
        if caches:
            kept = ids[:, None, :, None]
            for cache in caches:
                kept, _ = cache.extend(ids[:, None, :, None], ids[:, None, :, None])
            ids, padding = kept[:, 0, :, 0], caches[0].padding
        return self._run(ids, 0, padding, {}, False)[0][:, -T:]

    def _run(self, ids, start, padding, feed, present):
        """The graph's outputs: logits and, where asked, all keys and values."""
        B, S = len(ids), start + ids.shape[1]
        mask = np.ones((B, S), np.int64)
        if padding is not None:
            mask[:] = np.arange(S) >= padding[:, None]
        ids = np.ascontiguousarray(ids, np.int64)
        feed = {"input_ids": ids, "attention_mask": mask, **feed}
        return self.session.run(None if present else ["logits"], feed)

    def _check(self, ids, start, caches):
        cfg = self.cfg
        if ids.ndim != 2 or 0 in ids.shape or ids.dtype.kind not in "iu":
            raise ValueError(
                "the model reads whole numbers of shape (B, T), at least one, and "
                f"these are {ids.dtype} of shape {ids.shape}: put one text into a "
                "list, [ids]"
            )
        if ids.min() < 0 or ids.max() >= cfg.vocab_size:
            raise ValueError(
                f"ids run from 0 to {cfg.vocab_size - 1}, and these from {ids.min()} "
                f"to {ids.max()}: was the text encoded with another tokenizer?"
            )
        stop = start + ids.shape[1]
        if stop > cfg.n_ctx:
            raise ValueError(
                f"the model has {cfg.n_ctx} positions (n_ctx) and cannot read {stop} "
                f"tokens: keep the last {cfg.n_ctx}"
            )
        if caches and stop > caches[0].capacity:
            raise ValueError(
                f"the cache holds {caches[0].capacity} positions and cannot take "
                f"{stop}: make a new one from the last tokens"
            )

    def __repr__(self):
        with_cache = "with" if self.cached else "without"
        return f"<OnnxModel {self.name}, {with_cache} a cache>"


def open_session(path, threads):
    """An ``InferenceSession`` of ONNX Runtime on the processor.

    Its threads sleep while they wait: others need the processor, too.
    """
    onnxruntime = import_onnxruntime()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors, which are raised, too
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's have no common class
        data = path.with_name(f"{path.name}.data")
        if data.name in str(error) and not data.exists():
            raise FileNotFoundError(
                f"{path} keeps its weights in {data.name}, which is not beside it: "
                "copy both files"
            ) from None
        raise ValueError(
            f"{path} is no ONNX graph that ONNX Runtime {onnxruntime.__version__} can "
            f"open, or is damaged: {error}"
        ) from None


def import_onnxruntime():
    """The library; raises ``ModuleNotFoundError`` with how to install it."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise
        raise ModuleNotFoundError(
            "an exported model runs under onnxruntime, which is not installed: "
            'pip install -e ".[onnx]"',
            name="onnxruntime",
        ) from None
    return onnxruntime


def blas_threads():
    """How many threads NumPy's matrix products use."""
    found = [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]
    return max(found, default=0)  # 0: as many as there are cores
