"""GPT-2 in files as others publish it, put together byte by byte for the tests."""

import json

import numpy as np
from small_model import noisy

import minigpt as mg
from minigpt import tree

WIDE = mg.Config(vocab_size=17, n_ctx=6, n_embd=128, n_layer=2, n_head=2)
KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I32": "<i4"}


def rounded(array, kind):
    """The numbers that a file of this kind holds."""
    if kind != "BF16":
        return array.astype(KINDS[kind])
    return (array.astype("<f4").view("u4") & 0xFFFF0000).view("f4")


def write_file(path, flat, kind="F32", odd=0):
    """A safetensors file whose data begin ``odd`` bytes after a multiple of eight."""
    header, data = {}, []
    for name, array in flat.items():
        array, at = rounded(np.asarray(array), kind), sum(map(len, data))
        if kind == "BF16":
            array = (array.view("u4") >> 16).astype("<u2")
        data.append(array.tobytes())
        place = [at, at + len(data[-1])]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": place}
    text = json.dumps(header).encode()
    text += b" " * ((odd - len(text)) % 8)
    path.write_bytes(b"".join([len(text).to_bytes(8, "little"), text, *data]))
    return path


def flat_gpt2(cfg=WIDE, seed=5):
    return tree.flatten(noisy(cfg, np.float64, seed))


def gpt2(folder, config=None, without=(), cfg=WIDE, **extra):
    """A folder with ``model.safetensors`` and, unless None, ``config.json``."""
    flat = {n: a for n, a in (flat_gpt2(cfg) | extra).items() if n not in without}
    write_file(folder / "model.safetensors", flat)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def split(folder, flat, **changes):
    """Write three shards and their index; ``changes`` are made to the index."""
    names = list(flat)
    shards = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    index = {name: shards[i % 3] for i, name in enumerate(names)}
    for i, shard in enumerate(shards):
        write_file(folder / shard, {name: flat[name] for name in names[i::3]})
    text = json.dumps({"metadata": {}, "weight_map": index} | changes)
    (folder / "model.safetensors.index.json").write_text(text)
    return index


def says(error, *lines):
    """Whether the message's list is exactly these lines."""
    assert str(error.value).splitlines()[1:] == [f"  {line}" for line in lines]
