"""What a GPT-2's ``config.json`` says, and whether this model computes it.

Every field of Hugging Face's ``GPT2Config`` that changes a logit is honoured, or
refused by its name. What is left aside does not: dropout (``resid_pdrop`` …) and
``initializer_range`` are for training, ``summary_…`` for the heads of other models,
``reorder_and_upcast_attn`` is about rounding in half precision (all is float32 here),
``use_cache``, ids of special tokens and task settings are for writing, and ``dtype`` is
the file's, not the memory's. Chapter: gpt2.
"""

import math
import numbers
import re

from minigpt.checkpoint import FORMAT, read_json
from minigpt.model import Config

SIZES = {  # our name: theirs. OpenAI's hparams.json has n_vocab
    "vocab_size": ("vocab_size", "n_vocab"),
    "n_ctx": ("n_positions", "n_ctx", "max_position_embeddings"),
    "n_embd": ("n_embd", "hidden_size"),
    "n_layer": ("n_layer", "num_hidden_layers"),
    "n_head": ("n_head", "num_attention_heads"),
}
TANH = ("gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast")
TANH += ("gelu_accurate",)  # one curve under five names, which differ in rounding
ONLY = {  # field: what it may be, the first if it is not there
    "model_type": ("gpt2",),
    "activation_function": TANH,
    "add_cross_attention": (False,),
    "is_causal": (True,),
    "pruned_heads": ({}, []),
    "quantization_config": ({},),
}
SWITCHES = {  # field: its default
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "tie_word_embeddings": True,
}


def read_config(path):
    """The fields in a ``config.json``, ``{}`` if there is none. null is no value.

    Raises one ``ValueError`` with every field that asks for another model.
    """
    if not path.exists():
        return {}
    config = {k: v for k, v in read_json(path).items() if v is not None}
    if config.get("format") == FORMAT:
        raise ValueError(f"{path.parent} was written by save(): load() reads it")
    lines = [
        f"  {field}: {config[field]!r}, and what is computed here is {allowed[0]!r}"
        for field, allowed in ONLY.items()
        if config.get(field, allowed[0]) not in allowed
    ]
    lines += [
        f"  {field}: {config[field]!r}, and it must be true or false"
        for field in SWITCHES
        if not isinstance(config.get(field, True), bool)
    ]
    epsilon = config.get("layer_norm_epsilon", 1e-5)
    if not isinstance(epsilon, numbers.Real):
        lines.append(f"  layer_norm_epsilon: {epsilon!r}, and it must be a number")
    if lines:
        raise ValueError(f"{path} asks for another model:\n" + "\n".join(lines))
    return config


def switch(config, field):
    """Whether one of SWITCHES is on."""
    return config.get(field, SWITCHES[field])


def fit(config, shapes):
    """``(cfg, problems)``: the `Config` that the fields ask for, or the tensors where
    there is no field; and a line for every field that the tensors contradict.

    ``shapes`` are those of the tensors by name. Raises ``ValueError`` when there is no
    GPT-2 in them, or a field is no number that a GPT could have.
    """
    stored = _sizes(shapes)
    if not stored:
        raise ValueError("there is no GPT-2 in it: no wte.weight, wpe.weight or h.0.…")
    chosen, problems = dict(stored), []
    for name, fields in SIZES.items():
        for field in (f for f in fields if f in config):
            value = config[field]
            if stored.setdefault(name, value) != value:
                problems.append(f"  {field}: {value!r}, and elsewhere {stored[name]!r}")
            chosen[name] = value
    if "n_head" not in chosen:
        chosen["n_head"] = _heads(config, chosen.get("n_embd", 0))
    cfg = Config(**chosen, layer_norm_eps=config.get("layer_norm_epsilon", 1e-5))
    inner, ours = config.get("n_inner", 4 * cfg.n_embd), 4 * cfg.n_embd
    if inner != ours:
        problems.append(f"  n_inner: {inner!r}, and here it is 4 n_embd = {ours}")
    return cfg, problems


def _sizes(shapes):
    """As far as the tensors tell; `Config` has the same defaults as ``GPT2Config``."""
    sizes = {}
    for table, rows in (("wpe.weight", "n_ctx"), ("wte.weight", "vocab_size")):
        if len(shapes.get(table, ())) == 2:
            sizes[rows], sizes["n_embd"] = shapes[table]
    layers = {match[0] for name in shapes if (match := re.match(r"h\.\d+\.", name))}
    return sizes | ({"n_layer": len(layers)} if layers else {})


def _heads(config, n_embd):
    """Where nothing says it: 12, the default of ``GPT2Config``; without any config.json
    heads of 64 channels, of which all of OpenAI's models are made."""
    heads = 12 if config else n_embd // 64
    if heads * (n_embd // max(heads, 1)) != n_embd or not heads:
        raise ValueError(
            f"nothing says into how many heads its {n_embd} channels are cut: put the "
            "model's config.json there, with n_head"
        )
    return heads


def scores_scale(config, cfg, layer):
    """What a block's attention scores are multiplied by, beyond 1/√D as in GPT-2."""
    factor = 1.0
    if not switch(config, "scale_attn_weights"):
        factor *= math.sqrt(cfg.n_embd // cfg.n_head)
    if switch(config, "scale_attn_by_inverse_layer_idx"):
        factor /= layer + 1
    return factor
