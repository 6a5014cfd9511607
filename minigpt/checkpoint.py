"""Models on disk: safetensors for the weights, JSON for the rest, no pickle.

A file is written beside its place and then renamed, so that what is there is whole.
Chapter: gpt2.
"""

import dataclasses
import json
import os
from importlib import resources
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from minigpt import tokenizer as tokenizers
from minigpt import tree
from minigpt.model import Config, init

FORMAT = "minigpt"
MASKS = (".attn.bias", ".attn.masked_bias")  # buffers of old checkpoints


def save(folder, params, cfg, tokenizer=None):
    """Write ``model.safetensors``, ``config.json`` and, with a tokenizer,
    ``tokenizer.json`` into ``folder``, which is made when it is not there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {"format": FORMAT, **dataclasses.asdict(cfg)}
    write(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    if tokenizer is not None:
        tokenizer.save(folder / "tokenizer.json")
    write_tensors(folder / "model.safetensors", tree.flatten(params))


def load(folder):
    """``(params, cfg, tokenizer)`` as `save` wrote them, or of a model that the package
    ships: ``load("tales")``. The weights come as float32 unless saved as float64;
    ``tokenizer`` is None where none was saved.

    Raises ``FileNotFoundError`` or ``ValueError`` with what is missing or wrong.
    """
    folder = find(folder)
    cfg = read_config(folder / "config.json")
    params = assemble(read_tensors(folder / "model.safetensors")[0], cfg)
    path = folder / "tokenizer.json"
    return params, cfg, tokenizers.load(path) if path.exists() else None


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
    config = _read_json(path)
    if config.pop("format", None) != FORMAT:
        raise ValueError(
            f"{path} is not a configuration that save() wrote: for GPT-2 in Hugging "
            "Face's layout there is load_gpt2"
        )
    try:
        return Config(**config)
    except TypeError as error:
        raise ValueError(f"{path} is not a configuration: {error}") from None


def _read_json(path):
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:  # no JSON, or no UTF-8
        raise ValueError(f"{path} is not a configuration: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{path} is not a configuration: it holds no names")
    return config


def load_gpt2(path):
    """``(params, cfg)`` from GPT-2's weights in Hugging Face's layout.

    ``path`` is ``model.safetensors`` or the folder that holds it. Names with or without
    the ``transformer.`` prefix; mask buffers are left out; float32. The shape comes
    from ``config.json`` beside the file, else from the tensors (heads of 64 channels).
    Raises ``ValueError`` that lists every tensor that is wrong, missing or too many.
    """
    path = Path(path)
    path = path / "model.safetensors" if path.is_dir() else path
    flat = {
        name.removeprefix("transformer."): array
        for name, array in read_tensors(path)[0].items()
        if not name.endswith(MASKS)
    }
    return assemble(flat, cfg := _gpt2_config(path.parent / "config.json", flat)), cfg


def _gpt2_config(path, flat):
    shape = {name: array.shape for name, array in flat.items()}
    if not {"wte.weight", "wpe.weight"} <= set(shape):
        raise ValueError("this file holds no GPT-2: it has no wte.weight or wpe.weight")
    if not len(shape["wte.weight"]) == len(shape["wpe.weight"]) == 2:
        raise ValueError("this file holds no GPT-2: its embeddings are no matrices")
    vocab_size, n_embd = shape["wte.weight"]
    layers = {name.split(".")[1] for name in shape if name.startswith("h.")}
    config = _read_json(path) if path.exists() else {}
    curve = config.get("activation_function", "gelu_new")
    if curve not in ("gelu_new", "gelu_pytorch_tanh"):
        raise ValueError(
            f"{path} asks for the activation {curve!r}, and GPT-2's is 'gelu_new'"
        )
    if "n_head" not in config and n_embd % 64:
        raise ValueError(
            f"heads of 64 channels do not fit into {n_embd}, and there is no n_head in "
            f"{path}: put the model's config.json there"
        )
    return Config(
        vocab_size=vocab_size,
        n_ctx=shape["wpe.weight"][0],
        n_embd=n_embd,
        n_layer=len(layers),
        n_head=config.get("n_head", n_embd // 64),
        layer_norm_eps=config.get("layer_norm_epsilon", 1e-5),
    )


def assemble(flat, cfg):
    """The tree of parameters from named arrays, after checking each name and shape."""
    expected = {name: a.shape for name, a in tree.flatten(_outline(cfg)).items()}
    if "lm_head.weight" in flat:
        expected["lm_head.weight"] = (cfg.vocab_size, cfg.n_embd)
    if "head.weight" in flat:  # a classifier's, with a row for each of its labels
        expected["head.weight"] = (*flat["head.weight"].shape[:1], cfg.n_embd)
    problems = report(expected, {name: a.shape for name, a in flat.items()})
    if problems:
        raise ValueError("the weights do not fit the model:\n" + "\n".join(problems))
    return tree.unflatten({name: widen(flat[name]) for name in expected})


def report(expected, found):
    """A line for every name whose shape differs, is missing or is too many."""
    lines = []
    for name in [*expected, *(n for n in found if n not in expected)]:
        want, have = expected.get(name, "nothing"), found.get(name, "nothing")
        if want != have:
            lines.append(f"  {name}: expected {want}, found {have}")
    return lines


def _outline(cfg):
    """A tree like that of `init`, without its memory."""
    small = dataclasses.replace(cfg, vocab_size=1, n_ctx=1, n_layer=1)
    params = tree.map(lambda a: np.broadcast_to(np.float32(0), a.shape), init(small))
    rows = {"wte": cfg.vocab_size, "wpe": cfg.n_ctx}
    for name, n in rows.items():
        params[name] = {"weight": np.broadcast_to(np.float32(0), (n, cfg.n_embd))}
    return params | {"h": params["h"] * cfg.n_layer}


def widen(array):
    """float64 stays; every other floating type becomes float32."""
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)


def write_tensors(path, flat, metadata=None):
    """Write named arrays, and strings by name, as one safetensors file."""
    arrays = {name: np.asarray(a, order="C") for name, a in flat.items()}
    write(path, to_bytes(arrays, metadata={"format": FORMAT, **(metadata or {})}))


def read_tensors(path):
    """``(named arrays, metadata)`` of a safetensors file."""
    if Path(path).suffix != ".safetensors":
        raise ValueError(f"{path} is no .safetensors file, and no other kind is opened")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, metadata
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or was cut short: {error}") from None


def write(path, content):
    """Write bytes beside ``path``, make sure that they are on disk, then rename."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
