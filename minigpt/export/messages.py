"""The protobuf messages of a graph, all but its weights. Chapter: serving."""

import dataclasses
import json

import numpy as np

import minigpt
from minigpt import checkpoint
from minigpt.export.graph import Dim

OPSET = 20  # the first with Gelu; read by ONNX Runtime from 1.17 (January 2024) on
IR_VERSION = 9  # that of opset 20
PRODUCER = "minigpt"
# A file begins with the fields 1, the version, and 2, a text of 7 bytes: who made it.
FIRST_BYTES = bytes((1 << 3, IR_VERSION, 2 << 3 | 2, 7)) + PRODUCER.encode()
ABOUT = (
    "A GPT: n_layer {0.n_layer}, n_head {0.n_head}, n_embd {0.n_embd}, "
    "n_ctx {0.n_ctx}, vocab_size {0.vocab_size}. Exported by minigpt; "
    "the names are those of its code and of GPT-2's checkpoint."
)


def import_onnx():
    """The library onnx; raises ``ModuleNotFoundError`` with how to install it."""
    try:
        import onnx
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise ModuleNotFoundError(
            "an export needs the package onnx, which is not installed: "
            'pip install -e ".[onnx]"',
            name="onnx",
        ) from None
    return onnx


def is_ours(path):
    """Whether a file begins as one that was exported here."""
    with open(path, "rb") as file:
        return file.read(len(FIRST_BYTES)) == FIRST_BYTES


def metadata(cfg, tok, name, cache):
    """What the file tells of itself, so that it can be run without any other."""
    told = {
        "format": checkpoint.FORMAT,
        "version": minigpt.__version__,
        "name": name,
        "cache": json.dumps(cache),
        "config": json.dumps(dataclasses.asdict(cfg)),
    }
    return told if tok is None else told | {"tokenizer": tok.to_json()}


def model_message(told, about):
    """A ModelProto without its graph, as bytes."""
    onnx = import_onnx()
    model = onnx.ModelProto(
        ir_version=IR_VERSION,
        producer_name=PRODUCER,
        producer_version=told["version"],
        doc_string=about,
    )
    model.opset_import.add(domain="", version=OPSET)
    for key, value in told.items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString(deterministic=True)


def graph_message(graph, name, about):
    """A GraphProto without the model's weights, as bytes."""
    helper = import_onnx().helper
    given = {s.name for s in graph.outputs}
    between = [n.output for n in graph.nodes if n.output.name not in given]
    message = helper.make_graph(
        [node_message(node) for node in graph.nodes],
        name,
        [value_message(s, graph.docs[s.name]) for s in graph.inputs],
        [value_message(s, graph.docs[s.name]) for s in graph.outputs],
        doc_string=about,
        value_info=[value_message(s) for s in between],
    )
    numpy_helper = import_onnx().numpy_helper
    for key, array in graph.constants.items():
        message.initializer.append(numpy_helper.from_array(array, key))
    return message.SerializeToString(deterministic=True)


def node_message(node):
    """A NodeProto."""
    attributes = {
        key: element_type(value) if key == "to" else value
        for key, value in node.attributes.items()
    }
    names = ["" if s is None else s.name for s in node.inputs]
    return import_onnx().helper.make_node(
        node.op,
        names,
        [node.output.name],
        name=node.name,
        doc_string=node.doc,
        **attributes,
    )


def value_message(symbol, doc=""):
    """A ValueInfoProto: a symbol's name, type and shape; a size may be a name."""
    shape = [str(n) if isinstance(n, Dim) else int(n) for n in symbol.shape]
    kind = element_type(symbol.dtype)
    return import_onnx().helper.make_tensor_value_info(symbol.name, kind, shape, doc)


def element_type(dtype):
    """ONNX's number of a dtype."""
    return import_onnx().helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
