"""The safetensors format: named arrays in a file, and nothing in it that could run.

Eight bytes say how long the header is. The header is JSON, and says of every tensor its
dtype, its shape, and where its bytes begin and end. Then come the bytes, without gaps.

It is read here rather than by its library for the sake of memory: a piece at a time,
into arrays that NumPy aligned, in the type and order that are wanted. What the library
refuses is refused too. Source: https://huggingface.co/docs/safetensors. Chapter: gpt2.
"""

import json
import math
import os
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

DTYPES = {  # in the library's order, which is that of the tensors in a file, backwards
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "I16": "<i2",
    "U16": "<u2",
    "F16": "<f2",
    "BF16": "<u2",  # the first half of a float32, for which NumPy has no type
    "I32": "<i4",
    "U32": "<u4",
    "F32": "<f4",
    "C64": "<c8",
    "F64": "<f8",
    "I64": "<i8",
    "U64": "<u8",
}
KINDS = {np.dtype(dtype).name: kind for kind, dtype in DTYPES.items()}
KINDS |= {"uint16": "U16", "bfloat16": "BF16"}  # JAX has a bfloat16
RANKS = {kind: rank for rank, kind in enumerate(DTYPES)}
LONGEST_HEADER = 100_000_000  # bytes, as in the library
PIECE = 1 << 18  # numbers that are read at a time: they stay in the processor's cache


class Foreign(ValueError):
    """The file may be whole, but is none of those that are read here."""


@dataclass(frozen=True)
class Stored:
    """A tensor in an open file, as the header tells of it."""

    file: BinaryIO
    name: str
    kind: str  # a key of DTYPES
    shape: tuple
    start: int  # where its bytes begin, in the file

    @property
    def nbytes(self):
        """What it takes in the file."""
        return math.prod(self.shape) * np.dtype(DTYPES[self.kind]).itemsize

    @property
    def floating(self):
        """Whether these are numbers of the kind that weights are."""
        return self.kind in ("F64", "F32", "F16", "BF16")

    def read(self, widen=False, order="C", finite=False):
        """The array, of the file's type (bfloat16 becomes float32), or with ``widen``
        float64 where the file has that, and float32 elsewhere.

        ``order="F"`` lays a matrix out column by column. No more than the array and one
        piece is held. Raises ``ValueError`` when the file ends too early and, if
        ``finite`` is asked for, when a number is NaN or infinite.
        """
        wide = self.kind == "BF16" or (widen and self.kind != "F64")
        array = np.empty(self.shape, "f4" if wide else DTYPES[self.kind], order)
        rows = array if order == "F" and array.ndim > 1 else array.reshape(-1)
        row = max(1, math.prod(rows.shape[1:]))
        at = 0
        for piece in self.pieces(max(1, PIECE // row) * row):
            if finite and not np.isfinite(piece).all():
                raise ValueError(not_finite(self.name, self.file.name))
            n = piece.size // row
            rows[at : at + n] = piece.reshape(n, *rows.shape[1:])
            at += n
        return array

    def equals(self, array):
        """Whether the file holds what ``array`` does, without holding both."""
        if self.shape != array.shape:
            return False
        flat, at = array.reshape(-1), 0
        for piece in self.pieces(PIECE):
            if not np.array_equal(piece, flat[at : at + piece.size]):
                return False
            at += piece.size
        return True

    def pieces(self, most):
        """The numbers in their order, as flat arrays of at most ``most``."""
        place, left = self.start, math.prod(self.shape)
        while left:
            piece = np.empty(min(most, left), DTYPES[self.kind])
            self.file.seek(place)
            if self.file.readinto(piece) != piece.nbytes:
                raise ValueError(_damaged(self.file, f"it ends within {self.name}"))
            place, left = place + piece.nbytes, left - piece.size
            yield _widen_bfloat16(piece) if self.kind == "BF16" else piece


def read_header(file):
    """``({name: Stored}, metadata)`` of a file opened for reading bytes.

    Raises ``ValueError`` unless the header can be read, and its tensors fill the file
    one after the other with no byte left over or used twice.
    """
    try:
        return _read_header(file)
    except Foreign as error:
        raise ValueError(f"{file.name} {error}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(_damaged(file, error)) from None


def encode(flat, metadata):
    """A file of named arrays and strings, as bytes: its header, then a piece at a time.
    Byte for byte what the library writes; every array starts at a multiple of its
    item's size, since the header is filled up to 8 and the widest types come first.

    Raises ``ValueError`` for a type that the format does not have.
    """
    arrays = {name: np.asarray(array) for name, array in flat.items()}
    for name, array in arrays.items():
        if array.dtype.name not in KINDS:
            raise ValueError(f"{name} is {array.dtype}: safetensors has no such type")
    kinds = {name: KINDS[array.dtype.name] for name, array in arrays.items()}
    names = sorted(arrays, key=lambda name: (-RANKS[kinds[name]], name))
    header, at = {"__metadata__": metadata}, 0
    for name in names:
        place = [at, at := at + arrays[name].nbytes]
        entry = {"dtype": kinds[name], "shape": list(arrays[name].shape)}
        header[name] = entry | {"data_offsets": place}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        little = arrays[name].dtype.newbyteorder("<")
        row = arrays[name].reshape(-1)  # in C order: a copy only of one in another
        for at in range(0, row.size, PIECE):
            yield row[at : at + PIECE].astype(little, copy=False).tobytes()


def not_finite(name, path):
    """The sentence about a tensor that no model could compute with."""
    return (
        f"{name} in {path} holds NaN or infinity: the file is damaged, or the training "
        "that wrote it had failed"
    )


def _widen_bfloat16(piece):
    wide = piece.astype("u4")
    wide <<= 16
    return wide.view("f4")


def _damaged(file, reason):
    return f"{file.name} is damaged or was cut short: {reason}"


def _read_header(file):
    size = os.fstat(file.fileno()).st_size
    first = file.read(8)
    if first == b"version ":
        raise Foreign("is a pointer of Git LFS: `git lfs pull` fetches the file")
    length = int.from_bytes(first, "little")
    if length > min(LONGEST_HEADER, size - 8):
        raise ValueError(f"it has {size:,} bytes, and no header of {length:,}")
    header = _parse(file.read(length))
    metadata = _metadata(header.pop("__metadata__", None))
    end = 8 + length
    tensors = {name: _tensor(file, name, end, entry) for name, entry in header.items()}
    for tensor in sorted(tensors.values(), key=lambda t: (t.start, t.nbytes)):
        if tensor.start != end:
            raise ValueError(
                f"{tensor.name} begins at byte {tensor.start:,}, and what is before it "
                f"ends at {end:,}"
            )
        end += tensor.nbytes
    if end != size:
        raise ValueError(f"it has {size:,} bytes, and its tensors end at {end:,}")
    return tensors, metadata


def _parse(raw):
    def unique(pairs):
        names = dict(pairs)
        if len(names) < len(pairs):
            raise ValueError("its header gives a name twice")
        return names

    header = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
    if not isinstance(header, dict):
        raise ValueError("its header holds no names")
    "".join(header).encode()  # half of a surrogate pair could not be shown to anyone
    return header


def _metadata(metadata):
    if metadata is None:
        return {}
    if not isinstance(metadata, dict) or set(map(type, metadata.values())) - {str}:
        raise ValueError("the metadata in its header are not strings by name")
    return metadata


def _tensor(file, name, data, entry):
    """The tensor of one entry of the header; ``data`` is where the first one begins."""
    try:
        kind, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
        start, stop = place
        told = isinstance(kind, str) and isinstance(shape, list)
        told = told and all(type(n) is int and n >= 0 for n in [*shape, start, stop])
    except (TypeError, KeyError, ValueError):
        told = False
    if not told:
        raise ValueError(f"its header does not say what {name} is, and where")
    if kind not in DTYPES:
        known = ", ".join(DTYPES)
        raise Foreign(f"holds {name} as {kind}, and what is read here is {known}")
    tensor = Stored(file, name, kind, tuple(shape), data + start)
    if math.prod(max(n, 1) for n in shape) * np.dtype(DTYPES[kind]).itemsize >= 2**63:
        raise ValueError(f"{name} has a shape that no memory holds, {shape}")
    if stop - start != tensor.nbytes:
        raise ValueError(
            f"{name}, {kind} of shape {shape}, takes {tensor.nbytes:,} bytes, and its "
            f"header gives it {stop - start:,}"
        )
    return tensor
