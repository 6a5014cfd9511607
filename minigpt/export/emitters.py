"""What each primitive is in ONNX: the nodes that compute it, and the result's shape.

An emitter gets the graph, then what the primitive gets: symbols by position (None for
what may be left out), settings by keyword. https://onnx.ai/onnx/operators says what the
operators do. Chapter: serving.
"""

import math

import numpy as np

from minigpt import ops

EMITTERS = {}  # a primitive -> its emitter
FAR = np.iinfo(np.int64).max  # in Slice: to the end


def emitter(primitive):
    """Declare the emitter of a primitive."""

    def declare(emit):
        EMITTERS[primitive] = emit
        return emit

    return declare


@emitter(ops.add)
def add(g, a, b):
    return g.node("Add", a, b, shape=broadcast(a.shape, b.shape))


@emitter(ops.multiply)
def multiply(g, a, b):
    return g.node("Mul", a, b, shape=broadcast(a.shape, b.shape))


@emitter(ops.sum)
def sum_(g, x, *, axis=None):
    if axis is None:
        return g.node("ReduceSum", x, shape=(), keepdims=0)
    gone = [a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))]
    shape = [n for i, n in enumerate(x.shape) if i not in gone]
    return g.node("ReduceSum", x, np.array(gone), shape=shape, keepdims=0)


@emitter(ops.matmul)
def matmul(g, a, b):
    shape = (*broadcast(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    return g.node("MatMul", a, b, shape=shape)


@emitter(ops.linear)
def linear(g, x, weight, bias=None):
    y = g.node("MatMul", x, weight, shape=(*x.shape[:-1], weight.shape[-1]))
    return y if bias is None else add(g, y, bias)


@emitter(ops.relu)
def relu(g, x):
    return g.node("Relu", x, shape=x.shape)


@emitter(ops.gelu)
def gelu(g, x):
    return g.node("Gelu", x, shape=x.shape, approximate="tanh")


@emitter(ops.softmax)
def softmax(g, scores, mask=None, *, scale=1.0):
    shape = scores.shape
    if scale != 1.0:
        scores = multiply(g, scores, g.constant(np.float32(scale)))
    if mask is not None:
        hidden = g.constant(np.float32(-np.inf))
        scores = g.node("Where", mask, scores, hidden, shape=shape, dtype=scores.dtype)
    return g.node("Softmax", scores, shape=shape, axis=-1)


@emitter(ops.attention)
def attention(g, q, k, v, mask=None):
    scores = matmul(g, q, transpose(g, k, axes=(0, 1, 3, 2)))
    p = softmax(g, scores, mask, scale=1.0 / math.sqrt(q.shape[-1]))
    return matmul(g, p, v)


@emitter(ops.layer_norm)
def layer_norm(g, x, weight, bias, *, eps=1e-5):
    settings = {"axis": -1, "epsilon": eps}
    return g.node("LayerNormalization", x, weight, bias, shape=x.shape, **settings)


@emitter(ops.cross_entropy)
def cross_entropy(g, logits, targets, mask=None):
    log_p = g.node("LogSoftmax", logits, shape=logits.shape, axis=-1)
    index = g.node("Unsqueeze", targets, np.array([-1]), shape=(*targets.shape, 1))
    shape = {"shape": index.shape}
    right = g.node("GatherElements", log_p, index, axis=-1, **shape)
    right = g.node("Squeeze", right, np.array([-1]), shape=targets.shape)
    nats = g.node("Neg", right, shape=targets.shape)
    if mask is None:
        return g.node("ReduceMean", nats, shape=(), keepdims=0)
    counts = g.node("Cast", mask, shape=mask.shape, dtype=nats.dtype, to=nats.dtype)
    total = sum_(g, multiply(g, nats, counts))
    return g.node("Div", total, sum_(g, counts), shape=())


@emitter(ops.embed)
def embed(g, table, ids):
    shape = (*ids.shape, *table.shape[1:])
    return g.node("Gather", table, ids, shape=shape, axis=0)


@emitter(ops.transpose)
def transpose(g, x, *, axes):
    shape = [x.shape[i] for i in axes]
    return g.node("Transpose", x, shape=shape, perm=[i % x.ndim for i in axes])


@emitter(ops.reshape)
def reshape(g, x, *, shape):
    """ONNX's Reshape copies a size where 0 stands, and works out the one that is -1."""
    shape = (shape,) if isinstance(shape, int) else shape
    sizes = []
    for i, n in enumerate(shape):
        kept = is_dynamic(n) and i < x.ndim and str(x.shape[i]) == str(n)
        sizes.append(0 if kept else -1 if is_dynamic(n) else int(n))
    if sizes.count(-1) > 1:
        raise ValueError(
            f"{x} cannot be exported as {shape}: only one size of a reshape may be "
            "worked out when the graph runs"
        )
    if -1 in shape:
        known = math.prod(n for n in shape if n != -1)
        rest = math.prod(x.shape) // known if known else 0
        shape = [rest if n == -1 else n for n in shape]
    return g.node("Reshape", x, np.array(sizes), shape=shape)


@emitter(ops.getitem)
def getitem(g, x, *, key):
    """Slices first, then single positions from the last axis on, then new axes."""
    key = whole_key(key, x.ndim)
    axes = [part for part in key if part is not None]
    cuts = [(i, s) for i, s in enumerate(axes) if s != slice(None)]
    slices = [(i, s) for i, s in cuts if isinstance(s, slice)]
    if slices:
        shape = list(x.shape)
        for i, s in slices:
            shape[i] = length(s, x.shape[i])
        table = np.array([(*bounds(s, x.shape[i]), i) for i, s in slices])
        starts, stops, steps, along = table.T
        x = g.node("Slice", x, starts, stops, along, steps, shape=shape)
    for i, at in reversed([cut for cut in cuts if not isinstance(cut[1], slice)]):
        shape = x.shape[:i] + x.shape[i + 1 :]
        x = g.node("Gather", x, np.array(int(at)), shape=shape, axis=i)
    left = [part for part in key if part is None or isinstance(part, slice)]
    new = [i for i, part in enumerate(left) if part is None]
    if new:
        old = iter(x.shape)
        shape = [1 if part is None else next(old) for part in left]
        x = g.node("Unsqueeze", x, np.array(new), shape=shape)
    return x


def whole_key(key, ndim):
    """What stands in [] as a list with a place for every axis: no ellipsis."""
    key = list(key) if isinstance(key, tuple) else [key]
    missing = ndim - sum(part is not None and part is not ... for part in key)
    at = key.index(...) if ... in key else len(key)
    return key[:at] + [slice(None)] * missing + key[at + 1 :]


def bounds(s, n):
    """Start, stop and step of a slice of ``n`` positions, as ONNX's Slice is told."""
    if not is_dynamic(n):
        start, stop, step = s.indices(n)
        if not range(start, stop, step):
            return 0, 0, 1
        return start, stop if stop >= 0 else -FAR, step
    for place in (s.start, s.stop):
        if is_dynamic(place):
            raise ValueError(f"{s} cannot be exported: {place} is known at run time")
    if s.step is not None and s.step < 0:
        raise ValueError(f"{s} cannot be exported: it goes backwards from {n}")
    return s.start or 0, FAR if s.stop is None else s.stop, s.step or 1


def length(s, n):
    """How many of ``n`` positions a slice takes."""
    if not is_dynamic(n):
        return len(range(*s.indices(n)))
    if (s.start, s.stop, s.step) == (-1, None, None):
        return 1
    return type(n)(f"{n} from {s.start} to {s.stop}", len(range(*s.indices(n))))


def is_dynamic(n):
    """Whether a size is only known when the graph runs: then it has a name."""
    return hasattr(n, "name")


def broadcast(a, b):
    """The shape that two shapes are stretched to."""
    rank = max(len(a), len(b))
    whole = [(1,) * (rank - len(s)) + tuple(s) for s in (a, b)]
    pairs = zip(*whole, strict=True)
    return tuple(n if m == 1 and not is_dynamic(m) else m for m, n in pairs)
