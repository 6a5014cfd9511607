"""Derivatives of a program: a tape listens while it runs, then is read backwards.

A `Primitive` is a function with its derivative rule written under it. Called on plain
arrays it computes and nothing more. Called on a `Traced` array it also leaves a record
on that array's tape. `value_and_grad` reads the tape backwards, asks each record's rule
for the derivatives by its inputs, and throws the record away.

This is reverse-mode automatic differentiation (Linnainmaa 1970; surveyed by Baydin,
Pearlmutter, Radul and Siskind 2018), of first order. Chapter: backpropagation.
"""

import functools
import inspect

import numpy as np

from minigpt import tree
from minigpt.tape import Part, Tape, Traced

__all__ = ["Part", "Primitive", "Traced", "check_grads", "value_and_grad"]
__all__ += ["without_gradient"]


class Primitive:
    """A function that knows its derivative.

    Arrays come by position, settings by keyword. The rule takes the result, the inputs
    and the settings, and returns for each input a function ``dy -> d_input``, or None
    where there is no derivative; or one function that gives all of these at once. Where
    an argument of the rule begins with an underscore, the rule reads its shape and
    dtype only, and the tape keeps no data.
    """

    def __init__(self, forward):
        functools.update_wrapper(self, forward)
        self.forward = forward
        self.rule = None
        self.keeps = ()

    def vjp(self, rule):
        """Declare the derivative rule (vector-Jacobian products) of this primitive."""
        self.rule = rule
        arguments = inspect.signature(rule).parameters.values()
        self.keeps = tuple(
            not a.name.startswith("_") for a in arguments if a.kind != a.KEYWORD_ONLY
        )
        return rule

    def __call__(self, *arrays, **settings):
        for a in arrays:
            if isinstance(a, Traced):
                return a.apply(self, arrays, settings)
        return self.forward(*arrays, **settings)


def value_and_grad(loss):
    """A function that gives ``loss(params, *rest, **settings)`` and its gradient.

    ``params`` is a tree of floating-point arrays, or one array; the gradient is a tree
    of the same structure, with zeros where the loss does not depend on a parameter
    (`without_gradient` names those). Whatever is not in ``params`` costs nothing: to
    train a part of a model, pass that part and merge in the rest inside ``loss``.

    Raises ``TypeError`` for parameters that are not floating point and for functions
    that cannot be traced, ``ValueError`` for a loss that is not one traced number, for
    nested and for mixed tapes.
    """

    @functools.wraps(loss)
    def with_gradient(params, *rest, **settings):
        tape = Tape()
        traced = tree.map_named(tape.watch, params)
        result = loss(traced, *rest, **settings)
        _check_loss(result, tape)
        gradients = tape.backward(result)

        given = set()

        def gradient(leaf):
            d = gradients.pop(leaf.index)
            if d is None:
                return np.zeros_like(leaf.value)
            d = np.asarray(d, leaf.dtype)
            if id(d) in given or not d.flags.owndata:
                d = d.copy()  # a view, or another parameter's too: not safe to change
            given.add(id(d))
            return d

        return result.value, tree.map(gradient, traced)

    return with_gradient


def _check_loss(result, tape):
    if not isinstance(result, Traced):
        raise ValueError(
            "the loss does not depend on the parameters: it is a plain "
            f"{type(result).__name__}, so there is nothing to differentiate"
        )
    if result.tape is not tape:
        raise ValueError("the loss was recorded on another tape than this one")
    if result.shape != ():
        raise ValueError(
            f"the loss must be one number, and it has shape {result.shape}: take its "
            "mean or its sum"
        )


def without_gradient(grads):
    """The names of all parameters whose gradient is zero everywhere: a part that the
    loss does not reach, a frozen one, or one that has died."""
    return [name for name, g in tree.flatten(grads).items() if not np.any(g)]


def check_grads(loss, params, *rest, tolerance=1e-6, per_array=8, seed=0, **settings):
    """Compare the tape's gradient with finite differences, in float64.

    In every parameter up to ``per_array`` entries, chosen by ``seed``, are moved up and
    down by a small step. Returns ``{name: difference}``, each relative to the largest
    gradient in that parameter (or to 1e-3 of the largest of all, if greater). Raises
    ``ValueError`` that names the worst parameter when it differs by over ``tolerance``.
    """
    params = tree.map(lambda leaf: np.array(leaf, np.float64), params)
    grads = tree.flatten(value_and_grad(loss)(params, *rest, **settings)[1])
    largest = max(np.abs(g).max(initial=0.0) for g in grads.values())
    rng = np.random.default_rng(seed)
    differences = {}
    for name, leaf in tree.flatten(params).items():
        flat = leaf.reshape(-1)  # a view: moving it moves the parameter
        chosen = rng.permutation(flat.size)[:per_array]
        scale = max(np.abs(grads[name]).max(initial=0.0), 1e-3 * largest) or 1.0
        value = functools.partial(loss, params, *rest, **settings)
        slopes = np.array([_slope(flat, i, value) for i in chosen])
        off = np.abs(slopes - grads[name].reshape(-1)[chosen])
        differences[name] = float(off.max(initial=0.0) / scale)  # NaN stays NaN
    name = max(differences, key=lambda n: np.nan_to_num(differences[n], nan=np.inf))
    if not differences[name] <= tolerance:
        raise ValueError(
            f"the gradient of {name!r} is off by {differences[name]:.1e} of its size "
            f"(allowed: {tolerance:.1e}): look at the rules of what computes with it"
        )
    return differences


def _slope(flat, i, loss):
    """Five-point central difference of ``loss()`` by ``flat[i]``, which is restored."""
    x, step = flat[i], 1e-4 * max(1.0, abs(flat[i]))
    values = []
    for k in (1, -1, 2, -2):
        flat[i] = x + k * step
        values.append(float(loss()))
    flat[i] = x
    near, far = values[0] - values[1], values[2] - values[3]
    return (8 * near - far) / (12 * step)
