"""The model: a GPT of the second generation, whole. Chapter: blocks.

Radford, Wu and others 2019, "Language models are unsupervised multitask learners".
The parameters are a tree with the names of OpenAI's published checkpoint.
"""

import math
from dataclasses import dataclass

import numpy as np

from minigpt.attention import Cache, self_attention
from minigpt.embedding import embed, unembed
from minigpt.layers import drop, layer_norm, mlp

MOST = dict.fromkeys(("vocab_size", "n_ctx", "n_embd", "n_head"), 10_000_000)
MOST["n_layer"] = 10_000  # what a damaged file asks for must not fill the memory


@dataclass(frozen=True)
class Config:
    """The numbers that fix a GPT's shape. Raises ``ValueError`` for impossible ones."""

    vocab_size: int = 50257  # V, how many different tokens there are
    n_ctx: int = 1024  # how many positions the model can look at
    n_embd: int = 768  # C, channels of the vector at each position
    n_layer: int = 12  # blocks
    n_head: int = 12  # H, attention heads in a block; D = C / H
    dropout: float = 0.0  # share of numbers zeroed in training
    layer_norm_eps: float = 1e-5  # keeps layer norm from dividing by zero

    def __post_init__(self):
        for name, most in MOST.items():
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not whole or value < 1:
                raise ValueError(f"{name} must be a whole number from 1, not {value!r}")
            if value > most:
                raise ValueError(f"{name} can be at most {most:,}, and is {value:,}")
            object.__setattr__(self, name, int(value))  # NumPy's do not go into JSON
        if self.n_embd % self.n_head:
            raise ValueError(
                f"n_embd={self.n_embd} channels cannot be cut into "
                f"n_head={self.n_head} equal heads: choose a multiple"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1), not {self.dropout!r}")
        if not 0.0 < self.layer_norm_eps < 1.0:
            raise ValueError(
                f"layer_norm_eps must be between 0 and 1, not {self.layer_norm_eps!r}"
            )

    @classmethod
    def preset(cls, name):
        """The shape of one of OpenAI's four models: "gpt2", "gpt2-medium",
        "gpt2-large", "gpt2-xl", or by size "124M", "355M", "774M", "1558M"."""
        if name not in PRESETS:
            raise ValueError(f"there is no preset {name!r}: choose of {list(PRESETS)}")
        n_layer, n_head, n_embd = PRESETS[name]
        return cls(n_layer=n_layer, n_head=n_head, n_embd=n_embd)


PRESETS = {  # n_layer, n_head, n_embd
    "gpt2": (12, 12, 768),
    "gpt2-medium": (24, 16, 1024),
    "gpt2-large": (36, 20, 1280),
    "gpt2-xl": (48, 25, 1600),
}
PRESETS |= dict(
    zip(("124M", "355M", "774M", "1558M"), list(PRESETS.values()), strict=True)
)


def init(cfg, seed=0, dtype=np.float32):
    """Fresh parameters as GPT-2 starts: weights normal with deviation 0.02, biases 0.

    The two projections that add to the residual stream in each block start smaller, by
    1/√(2 n_layer), so that the stream's variance does not grow with depth.
    """
    rng = np.random.default_rng(seed)
    C = cfg.n_embd

    def normal(*shape, deviation=0.02):
        w = rng.standard_normal(shape, dtype=np.float32)
        return (w * np.float32(deviation)).astype(dtype)

    def linear(n_in, n_out, deviation=0.02):
        weight = normal(n_in, n_out, deviation=deviation)
        return {"weight": weight, "bias": np.zeros(n_out, dtype)}

    def norm():
        return {"weight": np.ones(C, dtype), "bias": np.zeros(C, dtype)}

    residual = 0.02 / math.sqrt(2 * cfg.n_layer)

    def block_params():
        return {
            "ln_1": norm(),
            "attn": {"c_attn": linear(C, 3 * C), "c_proj": linear(C, C, residual)},
            "ln_2": norm(),
            "mlp": {"c_fc": linear(C, 4 * C), "c_proj": linear(4 * C, C, residual)},
        }

    return {
        "wte": {"weight": normal(cfg.vocab_size, C)},
        "wpe": {"weight": normal(cfg.n_ctx, C)},
        "h": [block_params() for _ in range(cfg.n_layer)],
        "ln_f": norm(),
    }


def block(x, params, cfg, cache=None, tap=None, rng=None):  # (B, T, C) -> (B, T, C)
    """One block: tokens look at each other, then each thinks alone; both only add to
    the residual stream ``x``. Each reads it through a layer norm (pre-norm)."""
    eps, dropout = cfg.layer_norm_eps, cfg.dropout
    seen = layer_norm(x, params["ln_1"], eps)
    x = x + self_attention(seen, params["attn"], cfg.n_head, cache, tap, rng, dropout)
    seen = layer_norm(x, params["ln_2"], eps)
    return x + mlp(seen, params["mlp"], rng, dropout)


def gpt(
    params, ids, cfg, *, caches=None, start=None, tap=None, last=False, rng=None
):  # (B, T) -> (B, T, V)
    """Logits for the token that follows each position.

    ``ids`` (B, T) are whole numbers below V. ``caches`` (see `new_caches`) hold earlier
    positions, and are extended; ``start`` is then the position of the first id (by
    default the number of positions in the cache). ``last=True`` gives the last
    position only, (B, 1, V). ``tap(name, array)`` is shown "embedding",
    "h.0.attn.weights", "h.0.attn.heads", "h.0", …, "ln_f"; what it returns, unless
    None, replaces the array; a dict is filled instead. ``rng`` turns dropout on.

    Raises ``ValueError`` for ids of another rank, and when the positions run past
    ``cfg.n_ctx``.
    """
    ids = ids if hasattr(ids, "shape") else np.asarray(ids)
    if len(ids.shape) != 2:
        raise ValueError(
            f"the model reads ids of shape (B, T), and these have {tuple(ids.shape)}: "
            "put one text into a list, [ids]"
        )
    if start is None:
        start = caches[0].length if caches else 0
    stop = start + ids.shape[1]
    if stop > cfg.n_ctx:
        raise ValueError(
            f"the model has {cfg.n_ctx} positions (n_ctx) and cannot read "
            f"{stop} tokens: keep the last {cfg.n_ctx}"
        )
    see = _tap(tap)
    positions = caches[0].positions(start, stop) if caches else slice(start, stop)
    x = embed(params["wte"], params["wpe"], ids, positions)
    x = see("embedding", drop(x, cfg.dropout, rng))
    for i, block_params in enumerate(params["h"]):
        cache = caches[i] if caches else None
        inner = _tap(tap, f"h.{i}.") if tap is not None else None
        x = block(x, block_params, cfg, cache, inner, rng)
        x = see(f"h.{i}", x)
    if last:
        x = x[:, -1:]
    x = see("ln_f", layer_norm(x, params["ln_f"], cfg.layer_norm_eps))
    head = params["lm_head"] if "lm_head" in params else params["wte"]
    return unembed(head["weight"], x)


def new_caches(cfg, capacity=None, padding=None):
    """An empty `Cache` for each block, of ``capacity`` (or ``cfg.n_ctx``) positions,
    for a batch whose rows begin with ``padding`` (B,) positions of filling."""
    return [Cache(capacity or cfg.n_ctx, padding) for _ in range(cfg.n_layer)]


def _tap(tap, prefix=""):
    """``tap`` as a function that always returns the array to go on with."""

    def see(name, array):
        if tap is None:
            return array
        if isinstance(tap, dict):
            tap[prefix + name] = array
            return array
        replacement = tap(prefix + name, array)
        return array if replacement is None else replacement

    return see
