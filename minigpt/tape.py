"""The tape: what was computed with traced arrays, in order, read once backwards.

Every traced array has a number on its tape. A record says which primitive made it from
which numbers, and keeps the arrays that the derivative rule will read, and no others.
Chapter: backpropagation.
"""

from typing import Any, NamedTuple

import numpy as np


class Traced:
    """An array whose history is being written down.

    `minigpt.ops` computes with it, and so do + - * / @ and [], which ops attaches.
    """

    ufuncs = {}  # what NumPy calls for ``array + traced``, and what stands in for it

    def __init__(self, value, tape, index):
        self.value, self.tape, self.index = value, tape, index

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)

    def apply(self, primitive, arrays, settings):
        return self.tape.record(primitive, arrays, settings)

    def __repr__(self):
        return f"Traced(shape={self.shape}, dtype={self.dtype})"

    def __array_ufunc__(self, ufunc, method, *inputs, **settings):
        if ufunc in self.ufuncs and method == "__call__" and not settings:
            return self.ufuncs[ufunc](*inputs)
        _refuse(f"np.{ufunc.__name__}")

    def __array_function__(self, function, types, args, settings):
        _refuse(f"np.{function.__name__}")

    def __array__(self, dtype=None, copy=None):
        _refuse("a conversion to a NumPy array")

    def _needs_value(self, *_):
        _refuse("a branch, loop, comparison or conversion to a number")

    __bool__ = __float__ = __int__ = __index__ = __len__ = __iter__ = _needs_value
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _needs_value
    __hash__ = None

    def _no_operator(self, *_):
        _refuse("an operator other than + - * @ [] and division by a plain number")

    __pow__ = __rpow__ = __rtruediv__ = __abs__ = _no_operator

    def __getattr__(self, name):
        raise AttributeError(
            f"a traced array has no {name!r}: look in minigpt.ops for the function"
        )


def _refuse(what):
    raise TypeError(
        f"{what} got a traced array, which only minigpt.ops can compute with: use the "
        "function of that name in minigpt.ops, or move this out of value_and_grad"
    )


class Outline(NamedTuple):
    """What remains of an array whose data no rule will read."""

    shape: tuple
    dtype: Any


class Part(NamedTuple):
    """A gradient of ``shape`` that is zero but for ``values`` at ``key``."""

    shape: tuple
    key: Any
    values: np.ndarray


class Record(NamedTuple):
    primitive: Any  # a Primitive
    kept: list  # the result, then the inputs: arrays, or their outlines
    settings: dict
    parents: list  # each input's number on the tape, None when it was not traced
    index: int  # the result's number


class Tape:
    """What was computed, in order. Every traced array has a number on it."""

    def __init__(self):
        self.records = []
        self.length = 0
        self.closed = False

    def watch(self, name, leaf):
        """The parameter ``leaf`` as a traced array."""
        if isinstance(leaf, Traced):
            raise ValueError(
                f"the parameter {name!r} is traced already: value_and_grad cannot be "
                "nested (first derivatives only)"
            )
        if not isinstance(leaf, np.ndarray | np.floating):
            raise TypeError(
                f"the parameter {name!r} is a {type(leaf).__name__}: the tape takes "
                "NumPy arrays (for JAX arrays there is jax.value_and_grad)"
            )
        if not np.issubdtype(leaf.dtype, np.floating):
            raise TypeError(
                f"the parameter {name!r} holds {leaf.dtype}, and only floating-point "
                "numbers have derivatives: convert it, or keep it out of the parameters"
            )
        return self._traced(leaf)

    def _traced(self, value):
        self.length += 1
        return Traced(value, self, self.length - 1)

    def record(self, primitive, arrays, settings):
        """Compute, and write down how; returns the traced result."""
        if self.closed:
            raise ValueError(
                "this traced array outlived its tape: keep its .value instead"
            )
        values, parents = [], []
        for a in arrays:
            traced = isinstance(a, Traced)
            if traced and a.tape is not self:
                raise ValueError(
                    f"{primitive.__name__} got arrays of two tapes: a value_and_grad "
                    "inside another cannot use the outer one's traced arrays"
                )
            values.append(a.value if traced else a)
            parents.append(a.index if traced else None)
        y = self._traced(primitive.forward(*values, **settings))
        kept = [
            a if keep or a is None else Outline(np.shape(a), getattr(a, "dtype", None))
            for a, keep in zip([y.value, *values], primitive.keeps, strict=False)
        ]
        self.records.append(Record(primitive, kept, settings, parents, y.index))
        return y

    def backward(self, loss):
        """Gradients of ``loss`` by number; the tape is popped as it is read."""
        self.closed = True
        gradients = Gradients()
        gradients.add(loss.index, np.ones((), loss.dtype))
        while self.records:
            primitive, kept, settings, parents, index = self.records.pop()
            dy = gradients.pop(index)
            if dy is None:  # the loss does not depend on this result
                continue
            if primitive.rule is None:
                raise ValueError(
                    f"{primitive.__name__} has no derivative rule: write one under it "
                    f"with @{primitive.__name__}.vjp"
                )
            rules = primitive.rule(*kept, **settings)
            together = rules(dy) if callable(rules) else None
            for position, parent in enumerate(parents):
                if parent is None:
                    continue
                rule = rules[position] if together is None else together[position]
                if rule is None:
                    raise ValueError(
                        f"{primitive.__name__} has no derivative by argument {position}"
                    )
                gradients.add(parent, rule(dy) if together is None else rule)
        return gradients


class Gradients:
    """Sums of gradients by number; added in place where the array is our own."""

    def __init__(self):
        self.sums = {}
        self.own = set()

    def add(self, index, d):
        have = self.sums.get(index)
        if isinstance(d, Part):
            if index not in self.own:
                have = (
                    np.zeros(d.shape, d.values.dtype) if have is None else have.copy()
                )
            have[d.key] += d.values
        elif have is None:
            self.sums[index] = d  # perhaps shared with another sum: not ours
            return
        elif index in self.own:
            have += d
        else:
            have = have + d
        self.sums[index] = have
        self.own.add(index)

    def pop(self, index):
        return self.sums.pop(index, None)
