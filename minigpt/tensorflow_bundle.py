"""OpenAI's own GPT-2 files, a TensorFlow checkpoint, read with NumPy alone.

The folder holds hparams.json, checkpoint, model.ckpt.data-00000-of-00001 (the numbers
of every tensor, one after the other) and model.ckpt.index, a sorted table from names to
protocol-buffer messages: type, shape, offset, size, checksum. Chapter: gpt2.
Sources: TensorFlow's tensor_bundle.proto, LevelDB's doc/table_format.md.
"""

import json
import math
import re
from pathlib import Path

import numpy as np

from minigpt.crc32c import masked_crc32c

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")  # the last bytes of an index
DTYPES = {1: np.dtype("<f4"), 2: np.dtype("<f8"), 19: np.dtype("<f2")}


def read_bundle(folder):
    """``(named arrays, n_head)`` of a checkpoint folder as OpenAI published them.

    The names are Hugging Face's, and matrices are (in, out). Raises ``ValueError`` or
    ``FileNotFoundError`` with what is damaged or missing; every checksum is verified.
    """
    folder = Path(folder)
    prefix = _newest(folder)
    _need(folder, "hparams.json", f"{prefix}.index")
    try:
        n_head = json.loads((folder / "hparams.json").read_bytes())["n_head"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(f"{folder / 'hparams.json'} names no n_head") from None
    table = read_index(folder / f"{prefix}.index")
    header = dict(_fields(table.pop(b"", b"")))
    if header.get(2):
        raise ValueError(f"{folder} comes from a big-endian machine: not read here")
    n = header.get(1, 0)
    _need(folder, *(shards := [f"{prefix}.data-{i:05d}-of-{n:05d}" for i in range(n)]))
    flat = {}
    for key, value in table.items():
        if key.startswith(b"model/") and b"/Adam" not in key:  # no optimizer's moments
            name, entry = hugging_face_name(key.decode()), dict(_fields(value))
            if (shard := entry.get(3, 0)) >= n:
                raise ValueError(f"{folder} has {n} shards, and {name} is in another")
            flat[name] = _read_tensor(folder / shards[shard], name, entry)
    return flat, n_head


def hugging_face_name(name):
    """Example: "model/h0/attn/c_attn/w" -> "h.0.attn.c_attn.weight"."""
    *parts, leaf = re.sub(r"^model/(h(?=\d))?", r"\1/", name).strip("/").split("/")
    leaf = {"w": "weight", "g": "weight", "b": "bias"}.get(leaf, leaf)
    return ".".join([*parts, leaf] + ["weight"] * (leaf in ("wte", "wpe")))


def _newest(folder):
    path = folder / "checkpoint"  # it points to one of the states in the folder
    text = path.read_text("utf-8", "replace") if path.is_file() else ""
    found = re.search(r'^model_checkpoint_path: "(?:.*[/\\])?(.+)"', text, re.MULTILINE)
    return found[1] if found else "model.ckpt"  # without where the folder once was


def _need(folder, *names):
    if missing := [name for name in names if not (folder / name).is_file()]:
        missing = " and ".join(missing)
        raise FileNotFoundError(f"{folder} lacks {missing}, a part of the checkpoint")


def _read_tensor(path, name, entry):
    """The array that an entry of the index describes."""
    dtype, offset, size = DTYPES.get(entry.get(1)), entry.get(4, 0), entry.get(5, 0)
    dims = [value for number, value in _fields(entry.get(2, b"")) if number == 2]
    shape = [dict(_fields(dim)).get(1, 0) for dim in dims]
    if dtype is None or 7 in entry or size != math.prod(shape) * dtype.itemsize:
        raise ValueError(
            f"{name}, of TensorFlow's type {entry.get(1)} and shape {shape}, is not "
            "stored as one block of floating-point numbers, as GPT-2's tensors are"
        )
    if (found := path.stat().st_size) < offset + size:
        end = f"{name} ends at byte {offset + size:,}"
        raise ValueError(f"{path} was cut short: {end}, and it has {found:,}")
    array = np.fromfile(path, dtype, math.prod(shape), offset=offset)
    if masked_crc32c(array) != entry.get(6):
        raise ValueError(f"{path} is damaged: the checksum of {name} is wrong")
    if len(shape) == 3:  # (1, in, out): TensorFlow saw a convolution of width 1
        shape[:2] = [shape[0] * shape[1]]
    return array.reshape(shape)


def read_index(path):
    """The values of an index file by their keys; that of the header is empty."""
    raw = path.read_bytes()
    try:
        if raw[-8:] != MAGIC:
            raise ValueError("it does not end as an index does")
        at = _varint(raw, _varint(raw, len(raw) - 48)[1])[1]  # past an unused block's
        blocks = [handle for _, handle in _pairs(_block(raw, raw[at:]))]
        return dict(pair for handle in blocks for pair in _pairs(_block(raw, handle)))
    except ValueError as error:
        raise ValueError(f"{path} is damaged or was cut short: {error}") from None


def _block(raw, handle):
    """The bytes of a block, of which the handle holds offset and size."""
    offset, at = _varint(handle, 0)
    size, _ = _varint(handle, at)
    content = raw[offset : offset + size + 1]
    if masked_crc32c(content) != raw[offset + size + 1 :][:4]:
        raise ValueError(f"the checksum of its block at byte {offset:,} is wrong")
    if content[-1]:
        raise ValueError("it is compressed, which TensorFlow does not do with these")
    return content[:-1]


def _pairs(block):
    """Keys and values in a block; a key begins with so many bytes of the one before."""
    n_restarts = int.from_bytes(block[-4:], "little")  # places to start a search at
    key, at = b"", 0
    while at < len(block) - 4 * (n_restarts + 1):
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        size, at = _varint(block, at)
        key, at = key[:shared] + block[at : at + fresh], at + fresh
        yield key, block[at : at + size]
        at += size


def _fields(message):
    """Number and value of each field in a protocol buffer message."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7  # 0: a number, 1: 8 bytes, 5: 4 bytes, 2: their count, bytes
        value, at = {1: (8, at), 5: (4, at)}.get(kind) or _varint(message, at)
        if kind:
            value, at = message[at : at + value], at + value
        yield tag >> 3, value


def _varint(raw, at):
    """The whole number at a place, seven bits a byte, and the place after it."""
    value = 0
    for i, byte in enumerate(raw[at : at + 10]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, at + i + 1
    raise ValueError("a number in it has no end")
