"""Our models on disk: safetensors for the weights, JSON for the rest, no pickle.

A file is written beside its place and then renamed, so that what is there is whole.
Chapter: gpt2.
"""

import dataclasses
import json
import os
from importlib import resources
from pathlib import Path

import numpy as np

from minigpt import tokenizer as tokenizers
from minigpt import tree
from minigpt.model import Config, init
from minigpt.safetensors_file import encode, read_header

FORMAT = "minigpt"
MANY = 1000  # lines that an error has at most; no GPT-2 has more tensors


def save(folder, params, cfg, tokenizer=None):
    """Write ``model.safetensors``, ``config.json`` and, with a tokenizer,
    ``tokenizer.json`` into ``folder``, which is made when it is not there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {"format": FORMAT, **dataclasses.asdict(cfg)}
    write(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    if tokenizer is not None:
        tokenizer.save(folder / "tokenizer.json")
    made_for = {"config": json.dumps(dataclasses.asdict(cfg))}
    write_tensors(folder / "model.safetensors", tree.flatten(params), made_for)


def load(folder):
    """``(params, cfg, tokenizer)`` as `save` wrote them, or of a model that the package
    ships: ``load("tales")``. The weights come as float32 unless saved as float64;
    ``tokenizer`` is None where none was saved.

    Raises ``FileNotFoundError`` or ``ValueError`` with what is missing or wrong.
    """
    folder = find(folder)
    cfg = read_config(folder / "config.json")
    with open_tensors(folder / "model.safetensors") as file:
        tensors, metadata = read_header(file)
        _check_one_save(folder, cfg, metadata)
        params = assemble(tensors, cfg)
    path = folder / "tokenizer.json"
    tokenizer = tokenizers.load(path) if path.exists() else None
    check_tokenizer(tokenizer, cfg, folder)
    return params, cfg, tokenizer


def _check_one_save(folder, cfg, metadata):
    """Two files cannot be renamed at once: after a power cut they may be of two saves,
    which shapes alone do not show."""
    made_for = metadata.get("config")  # older files have none
    if made_for is not None and made_for != json.dumps(dataclasses.asdict(cfg)):
        raise ValueError(
            f"the weights in {folder} were saved with another config.json, {made_for}: "
            "save() was broken off there; save again, or write that configuration back"
        )


def check_tokenizer(tokenizer, cfg, place):
    """Raise ``ValueError`` for a tokenizer with more tokens than the model knows."""
    if tokenizer and tokenizer.vocab_size > cfg.vocab_size:
        raise ValueError(
            f"the tokenizer in {place} has {tokenizer.vocab_size:,} tokens, and the "
            f"model knows {cfg.vocab_size:,}: they do not belong together"
        )


def find(folder):
    """The folder of a model: as given, or one that the package ships."""
    folder = Path(folder)
    shipped = Path(str(resources.files("minigpt") / "assets"))
    if not folder.is_dir() and (shipped / folder / "config.json").exists():
        return shipped / folder
    if not folder.is_dir():
        names = sorted(p.parent.name for p in shipped.glob("*/config.json"))
        raise FileNotFoundError(
            f"there is no folder {str(folder)!r}, and the models that come with the "
            f"package are {names}"
        )
    return folder


def read_config(path):
    """The `Config` in a file that `save` wrote."""
    if not path.exists():
        raise FileNotFoundError(
            f"{path.parent} holds no {path.name}: it is not a folder that save() wrote"
        )
    config = read_json(path)
    if config.pop("format", None) != FORMAT:
        raise ValueError(
            f"{path} is not a configuration that save() wrote: for GPT-2 in Hugging "
            "Face's layout there is load_gpt2"
        )
    try:
        return Config(**config)
    except TypeError as error:
        raise ValueError(f"{path} is not a configuration: {error}") from None


def read_json(path):
    """The names and values in a file of JSON; ``ValueError`` when it holds none."""
    try:
        config = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:  # no JSON, or no UTF-8
        raise ValueError(f"{path} is not a configuration: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{path} is not a configuration: it holds no names")
    return config


def format_of(path):
    """The format that a safetensors file or a JSON file says it has, `FORMAT` if it is
    ours; None if it says none. Others call their files config.json and tokenizer.json,
    too."""
    try:
        if path.suffix == ".safetensors":
            with open(path, "rb") as file:
                return read_header(file)[1].get("format")
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):  # RecursionError: far too deep
        return None
    return content.get("format") if isinstance(content, dict) else None


def assemble(tensors, cfg):
    """The tree of parameters from a file's tensors, after checking each name and shape;
    float64 stays, and every other floating type becomes float32."""
    expected = shapes(cfg)
    if "lm_head.weight" in tensors:
        expected["lm_head.weight"] = (cfg.vocab_size, cfg.n_embd)
    if "head.weight" in tensors:  # a classifier's, with a row for each of its labels
        expected["head.weight"] = (*tensors["head.weight"].shape[:1], cfg.n_embd)
    problems = report(expected, {name: found(t) for name, t in tensors.items()})
    if problems:
        raise ValueError("the weights do not fit the model:\n" + "\n".join(problems))
    return tree.unflatten({name: tensors[name].read(widen=True) for name in expected})


def shapes(cfg):
    """The shape of each of a model's tensors, by name, in the order of `init`."""
    return {name: a.shape for name, a in tree.flatten(outline(cfg)).items()}


def found(tensor):
    """What to compare with the shape that is expected of a tensor in a file."""
    if tensor.floating:
        return tensor.shape
    return f"{tensor.shape} of {tensor.kind}, which is no floating-point type"


def report(expected, found):
    """A line for every name whose shape differs, is missing or is too many."""
    lines = []
    for name in [*expected, *(n for n in found if n not in expected)]:
        want, have = expected.get(name, "nothing"), found.get(name, "nothing")
        if want != have:
            lines.append(f"  {name}: expected {want}, found {have}")
    if len(lines) > MANY:
        lines[MANY:] = [f"  … and {len(lines) - MANY:,} more"]
    return lines


def outline(cfg):
    """A tree like that of `init`, without its memory."""
    one = {"vocab_size": 1, "n_ctx": 1, "n_embd": 1, "n_layer": 1, "n_head": 1}
    params = init(dataclasses.replace(cfg, **one))
    C = cfg.n_embd  # every side of the other arrays is a multiple of it

    def zeros(*shape):
        return np.broadcast_to(np.float32(0), shape)

    params = tree.map(lambda a: zeros(*(C * side for side in a.shape)), params)
    rows = {"wte": cfg.vocab_size, "wpe": cfg.n_ctx}
    params |= {name: {"weight": zeros(n, C)} for name, n in rows.items()}
    return params | {"h": params["h"] * cfg.n_layer}


def write_tensors(path, flat, metadata=None):
    """Write named arrays, and strings by name, as one safetensors file."""
    write(path, encode(flat, {"format": FORMAT, **(metadata or {})}))


def read_tensors(path):
    """``(named arrays, metadata)`` of a safetensors file."""
    with open_tensors(path) as file:
        tensors, metadata = read_header(file)
        return {name: tensor.read() for name, tensor in tensors.items()}, metadata


def open_tensors(path):
    """A safetensors file, open for reading bytes."""
    if Path(path).suffix != ".safetensors":
        raise ValueError(f"{path} is no .safetensors file, and no other kind is opened")
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None


def write(path, content):
    """Write bytes beside ``path``, make sure that they are on disk, then rename.
    ``content`` may also come in parts, one after the other."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
