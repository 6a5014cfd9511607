"""Models by name: where they lie, how they are loaded, where they are fetched from.

"tales" comes with the package. OpenAI's GPT-2 in its four sizes is fetched once, from
Hugging Face's hub or a mirror of it, into the folder of models. Chapter: gpt2.
"""

import contextlib
import os
import re
from importlib import resources
from pathlib import Path

import minigpt as mg
from minigpt import checkpoint, vocabulary
from minigpt.tokenizer import BPETokenizer

HUB = "https://huggingface.co"
PUBLISHED = {  # gigabytes and sha256 of model.safetensors, as the hub states them
    "gpt2": (
        0.55,
        "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
    ),
    "gpt2-medium": (
        1.52,
        "fc5a354a19255ad494f3d71549390baca1ccf61d1d822b9408971705c687c9cd",
    ),
    "gpt2-large": (
        3.25,
        "5f47f3e12f91cd33b662ce7e433b6150ad5512b5884a2cee961b50e9c3bbebce",
    ),
    "gpt2-xl": (
        6.43,
        "0f8b28eb05a8075f48b61b6f35332978c74fc7763fa9fb4051a1c30511736a6a",
    ),
}
ALIASES = dict(zip(("124M", "355M", "774M", "1558M"), PUBLISHED, strict=True))
NAMES = ("tales", *PUBLISHED, *ALIASES)
# The hub's names of GPT-2's tokenizer files, which are OpenAI's byte for byte.
TOKENIZER = {"merges.txt": "gpt2/vocab.bpe", "vocab.json": "gpt2/encoder.json"}
BIN = "pytorch_model.bin"
RUNTIMES = ("numpy", "onnx")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "hparams.json")


def folder(models_dir=None):
    """Where models are kept: ``models_dir``, else the environment variable
    MINIGPT_MODELS, else ``models`` in the user's cache."""
    if models_dir := models_dir or os.environ.get("MINIGPT_MODELS"):
        return Path(models_dir)
    from minigpt import data

    return data.cache_folder() / "models"


def find(name, models_dir=None):
    """The folder or file of a model: one of `NAMES`, else a path.

    A name means the same everywhere: a folder here that happens to be called so is
    ``./gpt2``. Raises ``FileNotFoundError`` with the command that fetches the model, or
    with the names.
    """
    preset, path = ALIASES.get(str(name), str(name)), Path(name)
    if preset == "tales":
        return Path(str(resources.files("minigpt"))) / "assets" / "tales"
    if preset in PUBLISHED:
        place = folder(models_dir) / preset
        if not any((place / file).is_file() for file in WEIGHTS):
            raise FileNotFoundError(_how_to_get(preset, place))
        return place
    if not path.exists():
        raise FileNotFoundError(
            f"there is no model {str(name)!r}: give one of {', '.join(NAMES)}, or the "
            "path of a folder or of a .safetensors file"
        )
    return path


def _how_to_get(preset, place):
    begun = (place / "model.safetensors.part").exists()
    here = f" (or give the path ./{preset})" if Path(preset).is_dir() else ""
    return (
        f"{preset} is not {'whole' if begun else 'here'} yet: minigpt download "
        f"{preset} {'goes on with' if begun else 'fetches'} its "
        f"{PUBLISHED[preset][0]} GB{here}. Without a network, put model.safetensors, "
        f"config.json, merges.txt and vocab.json into {place}"
    )


def load(name, models_dir=None):
    """``(params, cfg, tokenizer)`` of a model that `find` finds.

    It may lie there as ``save`` wrote it, in Hugging Face's layout or in OpenAI's. The
    tokenizer is the one beside the weights, else GPT-2's for its 50,257 tokens when the
    data has it (`minigpt.data`), else None; nothing is downloaded. Raises
    ``FileNotFoundError`` or ``ValueError`` with what is missing or wrong.
    """
    path = find(name, models_dir)
    if path.suffix == ".onnx":
        raise ValueError(
            f"{path} is an exported graph, which ONNX Runtime runs and nothing else "
            "reads: give the model that it was made of"
        )
    place = path if path.is_dir() else path.parent
    if path.is_dir() and not any((path / file).exists() for file in (*WEIGHTS, BIN)):
        _refuse_unfinished(path)
    named = path.is_dir() or path.name == "model.safetensors"
    if named and checkpoint.format_of(place / "config.json") == checkpoint.FORMAT:
        params, cfg, tok = mg.load(place)
    else:
        (params, cfg), tok = mg.load_gpt2(path), None
    tok = tok or _tokenizer(place, cfg.vocab_size)
    checkpoint.check_tokenizer(tok, cfg, place)
    return params, cfg, tok


def open_model(name, models_dir=None, runtime=None):
    """``(model, cfg, tokenizer)`` with a ``model`` that `generate` takes.

    With the ``runtime`` "numpy" these are parameters, as of `load`; with "onnx" it is
    an `OnnxModel`, and ``name`` the path of an exported graph. By default the runtime
    is that which can: "onnx" for a path that ends in .onnx. Raises what these raise,
    and ``ValueError`` for a model that is not exported yet, with how to do it.
    """
    exported = Path(name).suffix == ".onnx"
    check_runtime(runtime)
    runtime = runtime or RUNTIMES[exported]
    if runtime == "numpy":
        return load(name, models_dir)
    if not exported:
        graph = f"{Path(name).name}.onnx"
        raise ValueError(
            f"ONNX Runtime runs exported graphs, and {name} is none: `minigpt export "
            f"{name} {graph} --cache` makes one, to be given as the model {graph}"
        )
    from minigpt.onnx_model import OnnxModel

    model = OnnxModel(name)
    return model, model.cfg, model.tok


def check_runtime(runtime):
    """Raise ``ValueError`` unless `open_model` knows it; None leaves the choice."""
    if runtime is not None and runtime not in RUNTIMES:
        raise ValueError(f"runtime must be one of {RUNTIMES}, not {runtime!r}")


def _refuse_unfinished(run):
    if any(run.glob("checkpoint-*.safetensors")):
        raise FileNotFoundError(
            f"{run} is a training run that is not finished: go on with it (--resume), "
            f"or take its best model so far, {run / 'best'}"
        )


def _tokenizer(place, vocab_size):
    """The tokenizer whose files lie beside the weights, else GPT-2's, else None."""
    if checkpoint.format_of(place / "tokenizer.json") == vocabulary.FORMAT:
        return vocabulary.load(place / "tokenizer.json")
    with contextlib.suppress(FileNotFoundError):
        return BPETokenizer.from_gpt2(place)
    return _published_tokenizer() if vocab_size == 50257 else None


def _published_tokenizer():
    """GPT-2's, from its two files where `minigpt.data` has them, else None."""
    from minigpt import data

    places = [os.environ.get("MINIGPT_DATA"), data.cache_folder()]
    for name in TOKENIZER.values():
        if not any(p and (Path(p) / name).is_file() for p in places):
            return None
    return gpt2_tokenizer()


def gpt2_tokenizer():
    """GPT-2's tokenizer; its two files are fetched where they are not here yet."""
    from minigpt import data

    return BPETokenizer.from_gpt2(*map(data.fetch, TOKENIZER.values()))


def download(name, models_dir=None, *, mirror=None, progress=True):
    """The folder of one of GPT-2's four sizes, after what was missing was fetched.

    The files are those at https://huggingface.co/openai-community; a mirror (or else
    the environment variable MINIGPT_MIRROR) is an address that has them under the same
    path: ``<mirror>/openai-community/gpt2/resolve/main/model.safetensors``. Raises
    ``ValueError`` for an unknown name or a wrong sum, ``OSError`` as `download.fetch`.
    """
    from minigpt.download import fetch

    preset = ALIASES.get(name, name)
    if preset not in PUBLISHED:
        raise ValueError(
            f"{name!r} cannot be downloaded: choose of {[*PUBLISHED, *ALIASES]}"
            + (", since tales comes with the package" if name == "tales" else "")
        )
    mirror = mirror or os.environ.get("MINIGPT_MIRROR") or HUB
    if not re.match(r"https?://\w", mirror):
        raise ValueError(
            f"a mirror's address is like https://example.org, and this is {mirror!r}"
        )
    mirror = mirror.rstrip("/")
    place = folder(models_dir) / preset
    for file, sha256 in _sums(preset).items():
        url = f"{mirror}/openai-community/{preset}/resolve/main/{file}"
        fetch(url, place / file, sha256=sha256, progress=progress)
    return place


def _sums(preset):
    """The files of a model, small ones first, and their sha256 where published."""
    from minigpt import data

    sums = {file: data.REGISTRY[name].sha256 for file, name in TOKENIZER.items()}
    if preset == "gpt2-large":  # its small files have no sum that we have seen
        sums = dict.fromkeys(sums)
    weights = {"model.safetensors": PUBLISHED[preset][1]}
    return {"config.json": None} | sums | weights
