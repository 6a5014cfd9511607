"""Sums and products, each with its derivative under it."""

import numpy as np

from minigpt.autodiff import Primitive
from minigpt.ops.few_rows import product
from minigpt.ops.namespace import array_namespace, rows


def unbroadcast(d, shape):
    """Sum ``d`` over the axes along which an input of ``shape`` was stretched."""
    if d.shape == shape:
        return d
    d = d.sum(axis=tuple(range(d.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and d.shape[i] != 1)
    return d.sum(axis=stretched, keepdims=True) if stretched else d


@Primitive
def add(a, b, /):  # (…), (…) -> (…), broadcast
    """``a + b``."""
    return a + b


@add.vjp
def add_vjp(_y, _a, _b):
    return lambda dy: unbroadcast(dy, _a.shape), lambda dy: unbroadcast(dy, _b.shape)


@Primitive
def multiply(a, b, /):  # (…), (…) -> (…), broadcast
    """``a * b``, element by element."""
    return a * b


@multiply.vjp
def multiply_vjp(_y, a, b):
    return (
        lambda dy: unbroadcast(dy * b, np.shape(a)),
        lambda dy: unbroadcast(dy * a, np.shape(b)),
    )


@Primitive
def sum(x, /, *, axis=None):  # (…) -> () or (…) without the axis
    """The sum of all elements, or along ``axis`` (an int or several)."""
    return array_namespace(x).sum(x, axis=axis)


@sum.vjp
def sum_vjp(_y, _x, *, axis=None):
    def d_x(dy):
        if axis is not None:
            dy = np.expand_dims(dy, axis)
        return np.broadcast_to(dy, _x.shape)

    return (d_x,)


@Primitive
def matmul(a, b, /):  # (…, T, D), (…, D, S) -> (…, T, S)
    """Matrix products; leading axes are broadcast."""
    return a @ b


@matmul.vjp
def matmul_vjp(_y, a, b):
    return (
        lambda dy: unbroadcast(dy @ np.swapaxes(b, -1, -2), a.shape),
        lambda dy: unbroadcast(np.swapaxes(a, -1, -2) @ dy, b.shape),
    )


@Primitive
def linear(x, weight, bias=None, /):  # (…, I), (I, O), (O) -> (…, O)
    """``x @ weight + bias``, every position on its own; weights are stored (in, out).

    The positions are laid out in one long matrix: one large product is faster than
    many small ones.
    """
    xp = array_namespace(x)
    y = product(xp.reshape(x, (-1, x.shape[-1])), weight)
    if bias is not None:
        y += bias
    return xp.reshape(y, (*x.shape[:-1], weight.shape[-1]))


@linear.vjp
def linear_vjp(_y, x, weight, _bias=None):
    return (
        lambda dy: (rows(dy) @ weight.T).reshape(x.shape),
        lambda dy: rows(x).T @ rows(dy),
        lambda dy: rows(dy).sum(axis=0),
    )
