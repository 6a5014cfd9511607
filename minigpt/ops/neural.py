"""The curves of the network and its loss, each with its derivative under it."""

import math

import numpy as np

from minigpt.autodiff import Primitive
from minigpt.ops.namespace import array_namespace, in_blocks, in_place, rows

SLOPE = math.sqrt(2.0 / math.pi)
TINY, HUGE = 1e-30, 1e30  # between these a sum has neither vanished nor overflowed


@Primitive
def relu(x, /):
    """``max(x, 0)``."""
    return array_namespace(x).maximum(x, 0.0)


@relu.vjp
def relu_vjp(y, _x):
    return (lambda dy: dy * (y > 0),)


@Primitive
def gelu(x, /):
    """``x * P(a standard normal number < x)``, by GPT-2's tanh formula.

    Hendrycks and Gimpel 2016. The exact form needs the error function; this one is
    within 0.0005 of it and is what GPT-2 was trained with.
    """
    return in_blocks(_gelu, x)


def _gelu(x):
    u = x * x
    u *= 0.044715 * SLOPE
    u += SLOPE
    u *= x
    u = in_place(array_namespace(x).tanh, u)
    u += 1.0
    u *= x
    u *= 0.5
    return u


@gelu.vjp
def gelu_vjp(y, x):
    return (lambda dy: in_blocks(_d_gelu, y, x, dy),)


def _d_gelu(y, x, dy):
    """y = x p with p = (1 + tanh u) / 2, so y' = p + 2 y (1 - p) u'."""
    with np.errstate(invalid="ignore"):
        p = y / x  # spares a tanh
    p[x == 0] = 0.5
    d = x * x
    d *= 6 * 0.044715 * SLOPE
    d += 2 * SLOPE
    d *= y
    d *= 1.0 - p
    d += p
    d *= dy
    return d


@Primitive
def softmax(scores, mask=None, /, *, scale=1.0):  # (…, S), (S) or more -> (…, S)
    """Weights that are positive and sum to one along the last axis.

    ``scores`` are multiplied by ``scale``; where the boolean ``mask`` is False the
    weight is exactly zero.
    """
    xp = array_namespace(scores)
    if xp is np:
        p, total = exp_and_sum(lambda: scores * scale, mask)
    else:
        p = scores * scale
        if mask is not None:
            p = xp.where(mask, p, -xp.inf)
        p = xp.exp(p - xp.max(p, axis=-1, keepdims=True))
        total = row_sums(xp, p)
    p /= total
    return p


def exp_and_sum(fresh, mask=None):
    """``exp`` of the scores that ``fresh()`` makes, 0 where ``mask`` is False, and the
    sum of each row, (…, 1).

    To look for each row's greatest takes longer than ``exp``. So that is done only when
    a sum shows that ``exp`` has overflowed, or vanished: subtracting the greatest from
    its row changes no ratio.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        p = fresh()
        np.exp(p, out=p)
        if mask is not None:
            p *= mask_as(p, mask)
        total = row_sums(np, p)
    if not (TINY < total.min(initial=1.0) and total.max(initial=1.0) < HUGE):
        p = fresh()
        if mask is not None:
            p = np.where(mask, p, -np.inf)
        p -= p.max(axis=-1, keepdims=True)
        np.exp(p, out=p)
        total = row_sums(np, p)
    return p, total


@softmax.vjp
def softmax_vjp(p, _scores, _mask=None, *, scale=1.0):
    def d_scores(dp):
        d = dp - np.vecdot(p, dp)[..., None]
        d *= p
        d *= scale
        return d

    return d_scores, None


@Primitive
def layer_norm(x, weight, bias, /, *, eps=1e-5):  # (…, C), (C), (C) -> (…, C)
    """Every position shifted to mean 0 and scaled to variance 1 over its channels,
    then times ``weight`` plus ``bias``. Ba, Kiros and Hinton 2016."""
    y = _standardise(array_namespace(x), x, eps)[0]
    y *= weight
    y += bias
    return y


@layer_norm.vjp
def layer_norm_vjp(_y, x, weight, _bias, *, eps=1e-5):
    def together(dy):
        C = x.shape[-1]
        x_hat, deviation = _standardise(np, x, eps)  # recomputed rather than stored
        d_weight = np.einsum("nc,nc->c", rows(dy), rows(x_hat))
        d = dy * weight
        x_hat *= np.vecdot(d, x_hat)[..., None] / C
        d -= x_hat
        d -= (dy @ weight)[..., None] / C
        d /= deviation
        return d, d_weight, np.ones(len(rows(dy)), dy.dtype) @ rows(dy)

    return together


def _standardise(xp, x, eps):
    C = x.shape[-1]
    x_hat = x - row_sums(xp, x) / C
    variance = xp.vecdot(x_hat, x_hat)[..., None] / C
    deviation = xp.sqrt(variance + eps)
    x_hat /= deviation
    return x_hat, deviation


@Primitive
def cross_entropy(logits, targets, mask=None, /):  # (…, V), (…), (…) -> ()
    """The mean of -log softmax(logits)[target], in nats, over the positions at which
    ``mask`` is True (all, without a mask)."""
    xp = array_namespace(logits)
    right = xp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    top = xp.max(logits, axis=-1, keepdims=True)
    total = xp.sum(in_place(xp.exp, logits - top), axis=-1)
    nats = xp.log(total) + top[..., 0] - right
    if mask is None:
        return xp.mean(nats)
    return xp.sum(nats * mask_as(nats, mask)) / xp.sum(mask_as(nats, mask))


@cross_entropy.vjp
def cross_entropy_vjp(_loss, logits, targets, mask=None):
    def d_logits(dy):
        d = logits - logits.max(axis=-1, keepdims=True)
        np.exp(d, out=d)
        d /= d.sum(axis=-1, keepdims=True)
        flat = d.reshape(-1, d.shape[-1])
        flat[np.arange(flat.shape[0]), targets.reshape(-1)] -= 1.0
        share = dy / targets.size
        if mask is not None:
            counts = mask_as(d, mask)
            share = (dy * counts / counts.sum())[..., None]
        d *= share
        return d

    return d_logits, None, None


def row_sums(xp, x):  # (…, C) -> (…, 1)
    """A sum is a product with ones, which takes a third of the time."""
    return xp.vecdot(x, xp.ones(x.shape[-1], dtype=x.dtype))[..., None]


def mask_as(x, mask):
    """A mask as zeros and ones of the dtype of ``x``."""
    return array_namespace(x).astype(mask, x.dtype)
