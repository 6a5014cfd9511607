"""The widgets' JavaScript as pages want it, and a model packed for it.

The sources in ``minigpt/widgets/js`` are ES modules. A page that is opened from disk
may load none, nor fetch anything: for it they become one classic script, and a model
another. anywidget wants one module without imports. Both are made here, of one source.
"""

import base64
import dataclasses
import json
import re
from importlib import resources
from pathlib import Path

import numpy as np

from minigpt import checkpoint, tree
from minigpt.safetensors_file import encode
from minigpt.tokenizer import BPETokenizer

SOURCES = Path(str(resources.files("minigpt") / "widgets" / "js"))
LARGEST = 1_500_000  # bytes of a model's script
IMPORT = re.compile(r"^import\s[^;]*?\"\./([\w.-]+)\";\n", re.MULTILINE)
KINDS = r"(?:async )?(?:function\b\*?|class\b|const\b|let\b)"
NAME = re.compile(rf"^(export )?{KINDS} *(\w+)", re.MULTILINE)


def classic_script(*files):
    """One script that sets one global, ``minigpt``, with every name that ``files`` in
    the folder of sources export, and the files that they import; by default those of
    the engine. `model_script` may be loaded before it or after."""
    code, names = _join(files)
    return (
        '(() => {\n"use strict";\n'
        f"{code}\nglobalThis.minigpt = Object.assign(globalThis.minigpt ?? {{}}, "
        f"{{ {', '.join(names)} }});\n}})();\n"
    )


def es_module(*files, default=None):
    """The same as one ES module. Its default export is the one that is named, as
    anywidget wants a widget, or else an object of them all.

    Raises ``ValueError`` when no file exports that name.
    """
    code, names = _join(files)
    if default is not None and default not in names:
        raise ValueError(f"{default!r} is not exported; what is: {', '.join(names)}")
    exported = default or f"{{ {', '.join(names)} }}"
    return f"{code}\nexport default {exported};\n"


def style():
    """The style sheet of all widgets: what they share, then each one's own."""
    shared = SOURCES / "widgets.css"
    own = sorted(path for path in SOURCES.glob("*.css") if path != shared)
    return "\n".join(path.read_text("utf-8") for path in [shared, *own])


def model_script(folder, name=None):
    """A script that puts the model in ``folder`` (or shipped, as "tales") into
    ``minigpt.models[name]``, for ``minigpt.load``. The name is by default the folder's.

    Raises ``ValueError`` for a model that a page should not carry, over 1.5 MB.
    """
    folder = checkpoint.find(folder)
    packed = pack(*checkpoint.load(folder))
    # a "<" could end a script that stands within a page
    content = json.dumps(packed, separators=(",", ":")).replace("<", "\\u003c")
    name = json.dumps(folder.name if name is None else name).replace("<", "\\u003c")
    script = (
        "globalThis.minigpt = globalThis.minigpt ?? {};\n"
        "minigpt.models = minigpt.models ?? {};\n"
        f"minigpt.models[{name}] = {content};\n"
    )
    if len(script) > LARGEST:
        raise ValueError(
            f"the model takes {len(script):,} bytes of a page, and {LARGEST:,} are "
            "allowed: a smaller one, or weights in float16, would do"
        )
    return script


def pack(params, cfg, tok=None):
    """What ``minigpt.load`` takes in JavaScript, as a dict that JSON can hold: config,
    tokenizer, and weights as safetensors in base64: in float16 where that loses
    nothing, and in float32 elsewhere.

    Raises ``ValueError`` for another tokenizer than byte pairs, and for parameters that
    are no plain GPT's, such as adapters that were not merged.
    """
    if tok is not None and not isinstance(tok, BPETokenizer):
        raise ValueError(f"the page reads byte pairs, and this is a {tok!r}")
    flat = tree.flatten(params)
    expected = checkpoint.shapes(cfg)
    if "lm_head.weight" in flat:
        expected["lm_head.weight"] = (cfg.vocab_size, cfg.n_embd)
    problems = checkpoint.report(expected, {n: np.shape(a) for n, a in flat.items()})
    if problems:
        raise ValueError("the page cannot run the model:\n" + "\n".join(problems))
    weights = b"".join(encode({n: _smallest(a) for n, a in flat.items()}, {}))
    return {
        "config": dataclasses.asdict(cfg),
        "tokenizer": None if tok is None else pack_tokenizer(tok),
        "weights": base64.b64encode(weights).decode(),
    }


def pack_tokenizer(tok):
    """What ``new Tokenizer`` takes in JavaScript, of byte pairs, as a dict."""
    return {**tok._state(), "special_tokens": list(tok.special_tokens)}


def _smallest(array):
    array = np.asarray(array, np.float32)
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.array_equal(half, array) else array


def _join(files):
    """The sources in an order in which nothing is used before it is there, without
    their imports; the names that they export."""
    sources = {}
    for file in files or ("engine.js",):
        _gather(file, sources)
    found = [pair for text in sources.values() for pair in NAME.findall(text)]
    names = [name for _, name in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"names that two sources give to something: {twice}")
    code = "\n".join(sources.values())
    code = re.sub(f"^export (?={KINDS})", "", code, flags=re.MULTILINE)
    if left := re.search(r"^(?:import|export)\b.*", code, re.MULTILINE):
        raise ValueError(f"this line only works in a module on its own: {left[0]}")
    return code, [name for exported, name in found if exported]


def _gather(file, sources):
    if file in sources:
        return
    path = SOURCES / file
    if not path.exists():
        raise FileNotFoundError(f"there is no source {path}")
    text = path.read_text("utf-8")
    for imported in IMPORT.findall(text):
        _gather(imported, sources)
    sources[file] = f"// {file}\n\n{IMPORT.sub('', text).strip()}\n"
