"""What the tests of the core share: one small GPT, its data, and parity imports."""

import numpy as np
import pytest

import minigpt as mg

CFG = mg.Config(vocab_size=13, n_ctx=8, n_embd=12, n_layer=2, n_head=3)


def import_or_skip(module):
    """An optional library to compare with; its tests say why they are skipped."""
    reason = f"{module} is missing: pip install -r requirements-parity.txt"
    return pytest.importorskip(module, reason=reason)


def noisy(cfg=CFG, dtype=np.float64, seed=0, scale=0.2):
    """Parameters of which none is zero or one, so that every term of a rule shows."""
    rng = np.random.default_rng(seed)

    def shake(leaf):
        return (leaf + scale * rng.standard_normal(leaf.shape)).astype(dtype)

    return mg.tree.map(shake, mg.init(cfg, seed))


def batch(cfg=CFG, rows=3, seed=0):
    """``(ids, targets, mask)`` of random tokens, each (B, T)."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, cfg.vocab_size, (rows, cfg.n_ctx + 1))
    mask = rng.random((rows, cfg.n_ctx)) < 0.6
    return ids[:, :-1], ids[:, 1:], mask


def same(a, b):
    """Whether two trees hold the same names and the same bits."""
    a, b = mg.tree.flatten(a), mg.tree.flatten(b)
    return list(a) == list(b) and all(
        x.dtype == b[n].dtype and x.tobytes() == b[n].tobytes() for n, x in a.items()
    )


def close(a, b, tolerance):
    """Whether every array is as near as ``tolerance`` of its largest entry."""
    a, b = mg.tree.flatten(a), mg.tree.flatten(b)
    return set(a) == set(b) and all(
        np.abs(a[n] - b[n]).max() <= tolerance * np.abs(b[n]).max() for n in a
    )
