"""A graph as an ONNX file: a protobuf, with the weights inside of it or beside it.

The weights are written from where they lie in memory, a piece at a time. A message of
protobuf is a row of fields, each a tag, a length and its bytes; so all but the weights
is made by onnx, and they are put behind it. Chapter: serving.
"""

import os
from pathlib import Path

from minigpt import checkpoint
from minigpt.export.messages import import_onnx

LARGEST = 2**31 - 1  # bytes of a protobuf
PAGE = 2**16  # where a large array begins in the file beside: systems map it so
LARGE = 2**20  # bytes
PIECE = 2**18  # numbers that are converted at a time
FLOAT = 1  # TensorProto.FLOAT: float32
# Tags of the fields that are put in here: a number, and 2 for "bytes with a length".
MODEL_GRAPH, GRAPH_INITIALIZER, TENSOR_RAW_DATA = (n << 3 | 2 for n in (7, 5, 9))


def write(path, model, body, weights, external=None, progress=None):
    """Write a model's message, its graph's, and named weights.

    These go into ``path`` or, where ``external`` or where they are too many for a
    protobuf, into a file of that name and ``.data`` beside it. Returns the files.
    ``progress`` is called with each number of bytes that is written.
    """
    path = Path(path)
    size, parts = whole(model, body, weights)
    if external or (external is None and size > LARGEST):
        return write_beside(path, model, body, weights, progress)
    checkpoint.write(path, counted(parts, progress))
    return [path]


def write_beside(path, model, body, weights, progress):
    """Write the weights to a file of their own, and then what refers to it."""
    data = path.with_name(f"{path.name}.data")
    staged = data.with_name(f".{data.name}.{os.getpid()}.tmp")
    tensors, at = [], 0
    for name, array in weights.items():
        at += -at % alignment(array)
        place = {"location": data.name, "offset": at, "length": 4 * array.size}
        tensors.append(tensor(name, array, place))
        at += 4 * array.size
    try:
        checkpoint.write(staged, counted(aligned(weights), progress))
        path.unlink(missing_ok=True)  # an older graph must not meet these weights
        os.replace(staged, data)
    finally:
        staged.unlink(missing_ok=True)
    body += b"".join(field(GRAPH_INITIALIZER, len(t)) + t for t in tensors)
    checkpoint.write(path, model + field(MODEL_GRAPH, len(body)) + body)
    return [path, data]


def whole(model, body, weights):
    """``(size, parts)`` of a file that holds the weights, too."""
    heads = []
    for name, array in weights.items():
        head = tensor(name, array) + field(TENSOR_RAW_DATA, 4 * array.size)
        heads.append(field(GRAPH_INITIALIZER, len(head) + 4 * array.size) + head)
    size = len(body) + sum(map(len, heads)) + sum(4 * a.size for a in weights.values())
    start = model + field(MODEL_GRAPH, size) + body

    def parts():
        yield start
        for head, array in zip(heads, weights.values(), strict=True):
            yield head
            yield from pieces(array)

    return len(start) - len(body) + size, parts()


def aligned(weights):
    """The bytes of arrays, one after the other, each where a system can map it."""
    at = 0
    for array in weights.values():
        gap = -at % alignment(array)
        yield bytes(gap)
        yield from pieces(array)
        at += gap + 4 * array.size


def alignment(array):
    """What the place of an array is a multiple of, in bytes."""
    return PAGE if 4 * array.size >= LARGE else 64


def pieces(array):
    """The numbers of an array as bytes of float32, a piece at a time."""
    row = array.reshape(-1)  # a copy only where it does not lie row by row
    for at in range(0, row.size, PIECE):
        yield row[at : at + PIECE].astype("<f4", copy=False).tobytes()


def counted(parts, progress):
    """The same parts, told of to ``progress`` where there is one."""
    for part in parts:
        yield part
        if progress is not None:
            progress(len(part))


def field(tag, size):
    """What precedes the ``size`` bytes of a field: its tag, and how many they are,
    seven bits in a byte."""
    row = [tag]
    while size >= 128:
        row.append(size % 128 + 128)
        size //= 128
    return bytes((*row, size))


def tensor(name, array, place=None):
    """A TensorProto without its numbers, or with the place where they are."""
    proto = import_onnx().TensorProto(name=name, dims=array.shape, data_type=FLOAT)
    if place is not None:
        proto.data_location = proto.EXTERNAL
        for key, value in place.items():
            proto.external_data.add(key=key, value=str(value))
    return proto.SerializeToString()
