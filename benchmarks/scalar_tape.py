"""The same model a Python number at a time: what arrays are good for.

Each `Value` is one float, the values that it was made from, and how steeply it rises
with each (as in Karpathy's micrograd, 2020). A tape keeps them in the order in which
they were made, so that the way back is that list, reversed.
"""

import math

import numpy as np

from minigpt import tree

TAPE = []


class Value:
    """A number that remembers where it comes from."""

    __slots__ = ("data", "grad", "parents", "slopes")

    def __init__(self, data, parents=(), slopes=()):
        self.data, self.grad, self.parents, self.slopes = data, 0.0, parents, slopes
        TAPE.append(self)

    def __add__(self, other):
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __sub__(self, other):
        return Value(self.data - other.data, (self, other), (1.0, -1.0))

    def __mul__(self, other):
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def scaled(self, number, shift=0.0):
        return Value(self.data * number + shift, (self,), (number,))

    def exp(self):
        y = math.exp(self.data)
        return Value(y, (self,), (y,))

    def log(self):
        return Value(math.log(self.data), (self,), (1.0 / self.data,))

    def power(self, exponent):
        y = self.data**exponent
        return Value(y, (self,), (exponent * y / self.data,))

    def tanh(self):
        y = math.tanh(self.data)
        return Value(y, (self,), (1.0 - y * y,))


def backward(loss):
    """Fill in ``grad`` of everything that the loss was made from; empties the tape."""
    loss.grad = 1.0
    while TAPE:
        value = TAPE.pop()
        for parent, slope in zip(value.parents, value.slopes, strict=True):
            parent.grad += slope * value.grad


# ---------------------------------------------------------------- the model


def total(values):
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result


def dot(xs, ys):
    return total([x * y for x, y in zip(xs, ys, strict=True)])


def linear(x, p):  # I values -> O values
    return [dot(x, w) + b for w, b in zip(p["weight"].T, p["bias"], strict=True)]


def add(x, y):
    return [a + b for a, b in zip(x, y, strict=True)]


def layer_norm(x, p, eps):
    mean = total(x).scaled(1.0 / len(x))
    centred = [value - mean for value in x]
    variance = dot(centred, centred).scaled(1.0 / len(x), eps)
    scale = variance.power(-0.5)
    together = zip(centred, p["weight"], p["bias"], strict=True)
    return [value * scale * w + b for value, w, b in together]


def gelu(x):
    inner = (x + (x * x * x).scaled(0.044715)).scaled(math.sqrt(2.0 / math.pi))
    return x.scaled(0.5) * inner.tanh().scaled(1.0, 1.0)


def softmax(scores):
    top = max(score.data for score in scores)
    e = [score.scaled(1.0, -top).exp() for score in scores]
    share = total(e).power(-1.0)
    return [value * share for value in e]


def self_attention(xs, p, n_head):  # T x C values -> T x C values
    C = len(xs[0])
    qkv = [linear(x, p["c_attn"]) for x in xs]
    rows, D = [[] for _ in xs], C // n_head
    for first in range(0, C, D):
        q, k, v = (
            [row[a : a + D] for row in qkv] for a in (first, C + first, 2 * C + first)
        )
        for t in range(len(xs)):
            scores = [dot(q[t], k[s]).scaled(1.0 / math.sqrt(D)) for s in range(t + 1)]
            weights = softmax(scores)
            for d in range(D):
                rows[t].append(dot(weights, [v[s][d] for s in range(t + 1)]))
    return [linear(row, p["c_proj"]) for row in rows]


def text_loss(p, ids, targets, cfg):
    """The nats of one text, added up."""
    eps, wte = cfg.layer_norm_eps, p["wte"]["weight"]
    xs = [add(wte[i], p["wpe"]["weight"][t]) for t, i in enumerate(ids)]
    for b in p["h"]:
        seen = [layer_norm(x, b["ln_1"], eps) for x in xs]
        xs = [
            add(*two)
            for two in zip(xs, self_attention(seen, b["attn"], cfg.n_head), strict=True)
        ]
        for t, x in enumerate(xs):
            hidden = [
                gelu(u) for u in linear(layer_norm(x, b["ln_2"], eps), b["mlp"]["c_fc"])
            ]
            xs[t] = add(x, linear(hidden, b["mlp"]["c_proj"]))
    nats = []
    for x, target in zip(xs, targets, strict=True):
        x = layer_norm(x, p["ln_f"], eps)
        logits = [dot(x, row) for row in wte]
        nats.append(softmax(logits)[target].log().scaled(-1.0))
    return total(nats)


def gradient(params, ids, targets, cfg):
    """Like ``value_and_grad(next_token_loss)``, for a whole batch without mask."""
    TAPE.clear()
    values = tree.map(lambda a: _values(a), params)
    texts = zip(ids.tolist(), targets.tolist(), strict=True)
    loss = total([text_loss(values, *text, cfg) for text in texts])
    loss = loss.scaled(1.0 / targets.size)
    backward(loss)

    def grads(leaf, array):
        found = [value.grad for value in leaf.ravel()]
        return np.array(found, array.dtype).reshape(array.shape)

    return loss.data, tree.map(grads, values, params)


def _values(array):
    made = np.empty(array.size, object)
    made[:] = [Value(number) for number in array.ravel().tolist()]
    return made.reshape(array.shape)
