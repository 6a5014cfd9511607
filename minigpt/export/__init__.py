"""A model as an ONNX graph, which other programs run and show: by tracing `mg.gpt`.

The functions of the model are called with symbols instead of arrays. What they do with
these is written down, operator by operator. Chapter: serving.
"""

from pathlib import Path

from minigpt.export.messages import ABOUT, graph_message, metadata, model_message
from minigpt.export.onnx_file import write
from minigpt.export.trace import trace


def export(
    params,
    cfg,
    path,
    *,
    tok=None,
    cache=False,
    name=None,
    external_data=None,
    progress=None,
):
    """Write a model as an ONNX graph; returns the files, ``path`` the first of them.

    The graph reads ``input_ids`` and ``attention_mask``, both (B, T) int64, and gives
    ``logits`` (B, T, V) float32; B and T may be any. The mask is 1 for a token and 0
    for padding, on either side. With ``cache`` it also reads ``past_key_values.0.key``
    and so on, (B, H, P, D), and gives ``present.0.key`` …, (B, H, P + T, D); the mask
    is (B, P + T) then, and P is 0 at first. One more input may be given: from which
    position on logits are wanted, ``logits_from`` (0, or [-1] for the last alone).

    Weights are stored as float32, tied ones once: in the file, or with
    ``external_data`` (and, unless that is False, where they are past 2 GB) in one
    beside it, ``path`` and ".data". Configuration and tokenizer travel along, as a
    ``name`` does: `minigpt.onnx_model.OnnxModel` runs the file as it is. ``progress``
    is called with each number of bytes that is written.

    Raises ``ValueError`` for parameters that do not fit ``cfg``, and
    ``ModuleNotFoundError`` where the package onnx is missing.
    """
    graph = trace(params, cfg, cache)
    used = {s.name for node in graph.nodes for s in node.inputs if s is not None}
    weights = {key: a for key, a in graph.weights.items() if key in used}
    name, about = name or Path(path).stem, ABOUT.format(cfg)
    model = model_message(metadata(cfg, tok, name, cache), about)
    body = graph_message(graph, name, about)
    return write(path, model, body, weights, external_data, progress)
