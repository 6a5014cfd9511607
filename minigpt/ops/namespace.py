"""Which array library an array belongs to: the one question that every forward asks.

And what NumPy alone can use: work in place, and work in blocks that fit into a cache.
"""

import numpy as np

BLOCK = 2**16  # numbers: with what is made on the way they stay in a core's own cache


def array_namespace(x):
    """The library that ``x`` belongs to: numpy, jax.numpy, array_api_strict, …"""
    return x.__array_namespace__()


def in_place(function, x):
    """``function(x)``, written over ``x`` where the library can: for fresh arrays only.
    NumPy then asks the system for no new memory, which costs more than the function."""
    return function(x, out=x) if isinstance(x, np.ndarray) else function(x)


def rows(x):  # (…, C) -> (N, C)
    """All positions one below the other, in one matrix."""
    return x.reshape(-1, x.shape[-1])


def in_blocks(function, x, *others):
    """``function(x, *others)`` for arrays of one shape, block by block under NumPy.

    Each operation of NumPy reads and writes whole arrays, through the slow memory when
    they are long. A block goes there once, and through all operations in the cache.
    """
    if not isinstance(x, np.ndarray) or x.size <= BLOCK:
        return function(x, *others)
    long = [a.reshape(-1) for a in (x, *others)]
    y = np.empty_like(long[0])
    for start in range(0, x.size, BLOCK):
        part = slice(start, start + BLOCK)
        y[part] = function(*(a[part] for a in long))
    return y.reshape(x.shape)
