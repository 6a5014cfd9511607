"""GPT-2's weights, from the files that Hugging Face and OpenAI publish. Chapter: gpt2.

Nothing is opened that could run a program, which pickles (``pytorch_model.bin``) could.
"""

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from minigpt import gpt2_config, tree
from minigpt.checkpoint import found, open_tensors, read_json, report, shapes
from minigpt.safetensors_file import not_finite, read_header

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
HPARAMS = "hparams.json"  # what OpenAI's own folders have
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
MASKS = (".attn.bias", ".attn.masked_bias")  # buffers of old files, no parameters
BY_COLUMNS = ".c_proj.weight"


def load_gpt2(path):
    """``(params, cfg)`` of a GPT-2 that somebody published.

    ``path`` is a ``.safetensors`` file, with its ``config.json`` beside it unless the
    heads have 64 channels; a folder with ``model.safetensors``, or with shards and
    their index; or a folder with OpenAI's ``hparams.json`` and ``model.ckpt.*``. Names
    come with or without ``transformer.``. float16 and bfloat16 become float32, float64
    stays. ``c_proj`` weights lie in memory column by column, which makes writing
    faster. A ``lm_head`` is kept where it differs from ``wte``.

    Raises ``FileNotFoundError``, or ``ValueError`` that lists every field of the
    configuration and every tensor that is wrong, missing or too many.
    """
    path = Path(path)
    if (path / HPARAMS).exists() and not (path / WHOLE).exists():
        return _load_tensorflow(path)
    with ExitStack() as files:
        tensors = _open(path, files)
        folder = path if path.is_dir() else path.parent
        config = gpt2_config.read_config(folder / "config.json")
        return _load(path, tensors, config)


def _load(path, tensors, config):
    tied = gpt2_config.switch(config, "tie_word_embeddings")
    if tied and "wte.weight" not in tensors and "lm_head.weight" in tensors:
        tensors["wte.weight"] = tensors.pop("lm_head.weight")  # one array, either name
    sizes = {name: tensor.shape for name, tensor in tensors.items()}
    cfg, problems = _fit(path, config, sizes)
    expected = shapes(cfg)
    if "lm_head.weight" in tensors or not tied:
        expected["lm_head.weight"] = expected["wte.weight"]
    if not tied and "lm_head.weight" not in tensors:
        problems.append("  tie_word_embeddings: False, and there is no lm_head.weight")
    _compare(path, expected, {n: found(t) for n, t in tensors.items()}, problems)
    flat = {}
    for name in expected:
        tensor = tensors[name]
        if name == "lm_head.weight" and tied and tensor.equals(flat["wte.weight"]):
            continue  # the same numbers, stored twice
        order = "F" if name.endswith(BY_COLUMNS) else "C"
        flat[name] = tensor.read(widen=True, order=order, finite=True)
    params = tree.unflatten(flat)
    _scale_queries(params, cfg, config)
    return params, cfg


def _fit(path, config, sizes):
    try:
        return gpt2_config.fit(config, sizes)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _compare(path, expected, tensors, problems=()):
    lines = [*problems, *report(expected, tensors)]
    if lines:
        raise ValueError(
            f"the weights in {path} do not fit the model:\n" + "\n".join(lines)
        )


def _scale_queries(params, cfg, config):
    """Where attention scales its scores otherwise, let the queries bring the factor."""
    for layer, block in enumerate(params["h"]):
        factor = gpt2_config.scores_scale(config, cfg, layer)
        if factor != 1.0:
            for array in block["attn"]["c_attn"].values():
                array[..., : cfg.n_embd] *= factor


# ---------------------------------------------------------------- files


def _open(path, files):
    """``{name: Stored}`` of all tensors, without prefix and masks; ``files`` closes."""
    paths, index = _find(path)
    tensors = {}
    for file in [files.enter_context(open_tensors(p)) for p in paths]:
        for name, tensor in read_header(file)[0].items():
            name = name.removeprefix("transformer.")
            if name in tensors:
                raise ValueError(f"{path} holds two tensors with the name {name}")
            if not name.endswith(MASKS):
                tensors[name] = tensor
    lost = [n for n in index if n.removeprefix("transformer.") not in tensors]
    lost = [name for name in lost if not name.endswith(MASKS)]
    if lost:
        raise ValueError(f"{path / INDEX} names tensors that no shard holds: {lost}")
    return tensors


def _find(path):
    """``(paths, names)``: the safetensors files, and what an index says they hold."""
    if not path.is_dir():
        if path.suffix != ".safetensors" and (path.parent / HPARAMS).exists():
            raise ValueError(f"{path} is a part of a checkpoint: give {path.parent}")
        if path.suffix in PICKLES:
            raise ValueError(_convert(path, [path], path.with_suffix(".safetensors")))
        if not path.exists():
            raise FileNotFoundError(f"there is no file or folder {path}")
        return [path], ()
    if (path / WHOLE).exists():
        return [path / WHOLE], ()
    if (path / INDEX).exists():
        return _shards(path / INDEX)
    pickles = sorted(p for p in path.iterdir() if p.suffix in PICKLES)
    pickles = [p for p in pickles if p.name.startswith("pytorch_model")] or pickles
    if pickles:
        raise ValueError(_convert(path, pickles, path / WHOLE))
    raise FileNotFoundError(
        f"{path} holds no GPT-2: neither {WHOLE} nor {INDEX} is in it, nor OpenAI's "
        f"{HPARAMS}"
    )


def _shards(index):
    named = read_json(index).get("weight_map")
    if not isinstance(named, dict) or not all(
        isinstance(name, str) and Path(name).name == name for name in named.values()
    ):
        raise ValueError(f"{index} has no weight_map that tells a file for each tensor")
    paths = [index.parent / name for name in sorted(set(named.values()))]
    if missing := [path.name for path in paths if not path.exists()]:
        raise FileNotFoundError(f"{index} names files that are not there: {missing}")
    return paths, list(named)


def _convert(path, pickles, target):
    files = [str(p) for p in pickles]
    return f"""\
{path} holds its weights as a pickle, which can run any program when it is opened: so it
is never opened here. Where torch and safetensors are installed, these five lines write
{target}, which is:

import torch
from safetensors.torch import save_file
parts = [torch.load(file, map_location="cpu", weights_only=True) for file in {files}]
tensors = {{name: t.contiguous().clone() for part in parts for name, t in part.items()}}
save_file(tensors, {str(target)!r}, metadata={{"format": "pt"}})"""


# ---------------------------------------------------------------- OpenAI's own


def _load_tensorflow(folder):
    from minigpt.tensorflow_bundle import read_bundle  # here: few have such a folder

    flat, _ = read_bundle(folder)
    sizes = {name: array.shape for name, array in flat.items()}
    config = gpt2_config.read_config(folder / HPARAMS)
    cfg, problems = _fit(folder, config, sizes)
    if not gpt2_config.switch(config, "tie_word_embeddings"):
        problems.append("  tie_word_embeddings: False, and there is no head in it")
    expected = shapes(cfg)
    _compare(folder, expected, sizes, problems)
    for name in expected:
        if not all(np.isfinite(row).all() for row in flat[name]):  # small masks
            raise ValueError(not_finite(name, folder))
        order = "F" if name.endswith(BY_COLUMNS) else "C"
        dtype = np.float64 if flat[name].dtype == np.float64 else np.float32
        flat[name] = np.asarray(flat[name], dtype, order=order)
    params = tree.unflatten({name: flat[name] for name in expected})
    _scale_queries(params, cfg, config)
    return params, cfg
