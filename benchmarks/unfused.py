"""The same model out of elementary steps: what fusing and recomputing gain.

Here softmax is an exponential, a sum and a quotient; layer norm is means, a square and
a root; GELU is written out; cross-entropy is a logarithm of a sum. Each of them is a
primitive with the derivative that a textbook lists, and the tape keeps every result.
Matrix products, reshapes and the embedding are the package's.
"""

import math

import numpy as np

from minigpt import ops
from minigpt.attention import causal_mask, merge_heads, split_heads
from minigpt.autodiff import Primitive
from minigpt.ops.arithmetic import unbroadcast


@Primitive
def exp(x, /):
    return np.exp(x)


@exp.vjp
def exp_vjp(y, _x):
    return (lambda dy: dy * y,)


@Primitive
def log(x, /):
    return np.log(x)


@log.vjp
def log_vjp(_y, x):
    return (lambda dy: dy / x,)


@Primitive
def sqrt(x, /):
    return np.sqrt(x)


@sqrt.vjp
def sqrt_vjp(y, _x):
    return (lambda dy: dy / (2.0 * y),)


@Primitive
def tanh(x, /):
    return np.tanh(x)


@tanh.vjp
def tanh_vjp(y, _x):
    return (lambda dy: dy * (1.0 - y * y),)


@Primitive
def divide(a, b, /):  # (…), (…) -> (…), broadcast
    return a / b


@divide.vjp
def divide_vjp(y, _a, b):
    return (
        lambda dy: unbroadcast(dy / b, _a.shape),
        lambda dy: unbroadcast(-dy * y / b, b.shape),
    )


@Primitive
def total(x, /):  # (…, S) -> (…, 1)
    return x.sum(axis=-1, keepdims=True)


@total.vjp
def total_vjp(_y, _x):
    return (lambda dy: np.broadcast_to(dy, _x.shape),)


@Primitive
def greatest(x, /):  # (…, S) -> (…, 1)
    return x.max(axis=-1, keepdims=True)


@greatest.vjp
def greatest_vjp(y, x):
    return (lambda dy: dy * (x == y),)


@Primitive
def pick(x, ids, /):  # (N, V), (N,) -> (N,)
    return x[np.arange(len(x)), ids]


@pick.vjp
def pick_vjp(_y, _x, ids):
    def d_x(dy):
        d = np.zeros(_x.shape, dy.dtype)
        d[np.arange(len(d)), ids] = dy
        return d

    return d_x, None


# ---------------------------------------------------------------- the model


def layer_norm(x, p, eps):  # (…, C) -> (…, C)
    C = x.shape[-1]
    centred = x - total(x) / C
    variance = total(centred * centred) / C
    return divide(centred, sqrt(variance + eps)) * p["weight"] + p["bias"]


def gelu(x):
    cubic = x * x * x * 0.044715
    inner = (x + cubic) * math.sqrt(2.0 / math.pi)
    return x * 0.5 * (tanh(inner) + 1.0)


def softmax(scores):
    e = exp(scores - greatest(scores))
    return divide(e, total(e))


def linear(x, p):  # (B, T, I) -> (B, T, O)
    rows = ops.reshape(x, shape=(-1, x.shape[-1]))
    y = ops.matmul(rows, p["weight"]) + p["bias"]
    return ops.reshape(y, shape=(*x.shape[:-1], y.shape[-1]))


def self_attention(x, p, n_head, mask):
    C = x.shape[-1]
    qkv = linear(x, p["c_attn"])
    parts = qkv[..., :C], qkv[..., C : 2 * C], qkv[..., 2 * C :]
    q, k, v = (split_heads(part, n_head) for part in parts)
    scores = ops.matmul(q, ops.transpose(k, axes=(0, 1, 3, 2)))
    weights = softmax(scores * (1.0 / math.sqrt(C // n_head)) + mask)
    return linear(merge_heads(ops.matmul(weights, v)), p["c_proj"])


def loss(params, ids, targets, cfg, *, mask=None, rng=None):
    """`minigpt.next_token_loss` of a whole batch, without mask and dropout."""
    B, T = ids.shape
    hidden = np.where(causal_mask(T), 0.0, -np.inf).astype(
        params["wte"]["weight"].dtype
    )
    x = ops.embed(params["wte"]["weight"], ids) + params["wpe"]["weight"][:T]
    for p in params["h"]:
        seen = layer_norm(x, p["ln_1"], cfg.layer_norm_eps)
        x = x + self_attention(seen, p["attn"], cfg.n_head, hidden)
        seen = layer_norm(x, p["ln_2"], cfg.layer_norm_eps)
        x = x + linear(gelu(linear(seen, p["mlp"]["c_fc"])), p["mlp"]["c_proj"])
    x = layer_norm(x, params["ln_f"], cfg.layer_norm_eps)
    rows = ops.reshape(x, shape=(B * T, cfg.n_embd))
    logits = ops.matmul(rows, ops.transpose(params["wte"]["weight"], axes=(1, 0)))
    shifted = logits - greatest(logits)
    nats = log(total(exp(shifted)))[:, 0] - pick(shifted, targets.reshape(-1))
    return ops.sum(nats) / (B * T)
