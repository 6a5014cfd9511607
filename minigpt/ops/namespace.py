"""Which array library an array belongs to: the one question that every forward asks."""

import numpy as np


def array_namespace(x):
    """The library that ``x`` belongs to: numpy, jax.numpy, array_api_strict, …"""
    return x.__array_namespace__()


def in_place(function, x):
    """``function(x)``, written over ``x`` where the library can: for fresh arrays only.
    NumPy then asks the system for no new memory, which costs more than the function."""
    return function(x, out=x) if isinstance(x, np.ndarray) else function(x)
