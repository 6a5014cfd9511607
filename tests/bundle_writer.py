"""A small writer of TensorFlow checkpoints, for the tests of the reader.

It writes, byte for byte, what TensorFlow writes (test_tensorflow_bundle compares).
"""

import json
import struct

import numpy as np

import minigpt as mg
from minigpt import tree
from minigpt.tensorflow_bundle import hugging_face_name

WRITTEN = {  # by TensorFlow 2.21.0 from the same arrays
    "checkpoint": "dd1b025d2e155283f5e300ce95bf6d5b6bc0f7fe010db73daa6975eb896ab9cb",
    "model.ckpt.data-00000-of-00001": (
        "2cc69c09a445a3b4115cc0f974eb0e714f12ea4b86aa7eea2e472362ab5cac1f"
    ),
    "model.ckpt.index": (
        "aab600d0f97b180020ec88a2ac4ae646eced8e7fd7be98ed344974b9f632a8e5"
    ),
}
CFG = mg.Config(vocab_size=11, n_ctx=6, n_embd=8, n_layer=2, n_head=2)
ENDING = {"weight": "w", "bias": "b"}


def checkpoint_arrays(cfg=CFG, dtype=np.float32):
    """OpenAI's names and shapes, with numbers that TensorFlow was given as well."""
    flat = {}
    for name, a in sorted(tree.flatten(mg.init(cfg)).items()):
        *parts, leaf = name.replace("h.", "h", 1).split(".")
        leaf = "g" if "ln_" in name and leaf == "weight" else ENDING[leaf]
        tensorflow = "/".join(["model", *parts] + [leaf] * (a.ndim < 2 or "h." in name))
        shape = (1, *a.shape) if leaf == "w" and "h." in name else a.shape
        numbers = (np.arange(a.size) * 0.37 + len(flat)) % 1.9 - 1
        flat[tensorflow] = numbers.reshape(shape).astype(dtype)
    return flat


def bitwise(crc):
    for _ in range(8):
        crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


TABLE = [bitwise(byte) for byte in range(256)]


def slow_crc32c(data):
    """Byte by byte, as the textbooks have it."""
    crc = 0xFFFFFFFF
    for byte in bytes(data):
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = slow_crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def varint(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def field(number, value):
    """A field of a message; numbers that are zero are left out."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(a, offset, dtype=None, shard=0, **extra):
    number = {"float32": 1, "float64": 2, "float16": 19}.get(a.dtype.name)
    dims = b"".join(field(2, field(1, n)) for n in a.shape)
    message = field(1, dtype or number) + field(2, dims) + field(3, shard)
    message += field(4, offset) + field(5, a.nbytes) + b"\x35" + masked(a.tobytes())
    return message + extra.get("more", b"")


def block(pairs, offset, kind=0):
    """Pairs as a block with its checksum; every 16th key is written out in full."""
    out, restarts, before = b"", [], b""
    for i, (key, value) in enumerate(pairs):
        shared = 0
        if i % 16 == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        sizes = (shared, len(key) - shared, len(value))
        out += b"".join(map(varint, sizes)) + key[shared:] + value
        before = key
    restarts = restarts or [0]
    out += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    sealed = out + bytes([kind])
    return sealed + masked(sealed), varint(offset) + varint(len(out))


def write_index(path, pairs, block_size=1 << 18, kind=0):
    """A sorted table of blocks of about this size, and its footer."""
    raw, handles, waiting = b"", [], []
    for key, value in [*pairs, (None, None)]:
        full = sum(len(k) + len(v) for k, v in waiting) >= block_size
        if waiting and (key is None or full):
            sealed, handle = block(waiting, len(raw), kind)
            last = waiting[-1][0]  # TensorFlow shortens the very last to one byte more
            handles.append((bytes([last[0] + 1]) if key is None else last, handle))
            raw, waiting = raw + sealed, []
        waiting.append((key, value))
    unused, unused_handle = block([], len(raw))
    index, index_handle = block(handles, len(raw) + len(unused))
    footer = (unused_handle + index_handle).ljust(40, b"\0")
    magic = struct.pack("<Q", 0xDB4775248B80FB57)
    path.write_bytes(raw + unused + index + footer + magic)


def write_bundle(folder, flat, prefix="model.ckpt", n_head=2, header=b"", **settings):
    """A checkpoint as TensorFlow's Saver leaves it, and OpenAI's hparams.json."""
    data, entries = b"", {}
    for name, a in sorted(flat.items()):
        entries[name] = entry(a, len(data))
        data += a.tobytes()
    entries |= settings.pop("entries", {})
    head = field(1, 1) + header + field(3, field(1, 1))
    pairs = [(b"", head), *((n.encode(), e) for n, e in sorted(entries.items()))]
    write_index(folder / f"{prefix}.index", pairs, **settings)
    (folder / f"{prefix}.data-00000-of-00001").write_bytes(data)
    (folder / "checkpoint").write_text(
        f'model_checkpoint_path: "{prefix}"\nall_model_checkpoint_paths: "{prefix}"\n'
    )
    hparams = {"n_vocab": 11, "n_ctx": 6, "n_embd": 8, "n_head": n_head, "n_layer": 2}
    (folder / "hparams.json").write_text(json.dumps(hparams))
    return folder


def as_hugging_face(flat):
    squeezed = {n: a[0] if a.ndim == 3 else a for n, a in flat.items()}
    return {hugging_face_name(n): a for n, a in squeezed.items()}


def same(found, flat):
    expected = as_hugging_face(flat)
    assert set(found) == set(expected)
    for name, a in expected.items():
        assert found[name].dtype == a.dtype, name
        np.testing.assert_array_equal(found[name], a)
