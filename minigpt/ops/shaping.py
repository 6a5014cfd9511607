"""The same numbers in another place: rows, slices, shapes, axes. With derivatives."""

import numpy as np

from minigpt.autodiff import Part, Primitive
from minigpt.ops.namespace import array_namespace


@Primitive
def embed(table, ids, /):  # (V, C), (B, T) -> (B, T, C)
    """The rows of ``table`` that ``ids`` name."""
    xp = array_namespace(table)
    rows = xp.take(table, xp.reshape(ids, (-1,)), axis=0)
    return xp.reshape(rows, (*ids.shape, table.shape[-1]))


@embed.vjp
def embed_vjp(_y, _table, ids):
    def d_table(dy):
        order = np.argsort(ids, axis=None, kind="stable")  # equal ids become neighbours
        rows, starts = np.unique(ids.reshape(-1)[order], return_index=True)
        sums = np.add.reduceat(dy.reshape(-1, dy.shape[-1])[order], starts, axis=0)
        return Part(_table.shape, rows, sums)

    return d_table, None


@Primitive
def getitem(x, /, *, key):  # (…) -> (…)
    """``x[key]`` for numbers, slices, None and ellipsis; ids go to `embed`."""
    for part in key if isinstance(key, tuple) else (key,):
        if not isinstance(part, int | np.integer | slice | type(None) | type(...)):
            raise TypeError(
                f"[] of a traced array got a {type(part).__name__}, and takes whole "
                "numbers, slices, None and ...: rows by their ids come from ops.embed"
            )
    return x[key]


@getitem.vjp
def getitem_vjp(_y, _x, *, key):
    return (lambda dy: Part(_x.shape, key, dy),)


@Primitive
def reshape(x, /, *, shape):
    """The same numbers in the same order, in another shape."""
    return array_namespace(x).reshape(x, shape)


@reshape.vjp
def reshape_vjp(_y, _x, *, shape):
    return (lambda dy: dy.reshape(_x.shape),)


@Primitive
def transpose(x, /, *, axes):
    """The axes in the order ``axes``."""
    return array_namespace(x).permute_dims(x, axes)


@transpose.vjp
def transpose_vjp(_y, _x, *, axes):
    return (lambda dy: dy.transpose(np.argsort(axes)),)
