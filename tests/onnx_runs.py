"""What the tests of the export share: graphs of one primitive, and models on disk."""

import numpy as np
from small_model import import_or_skip

from minigpt.export.graph import Graph
from minigpt.export.messages import graph_message, model_message

onnx = import_or_skip("onnx")
onnxruntime = import_or_skip("onnxruntime")


def narrow(a):
    """Floats as float32, as everywhere in a graph."""
    return a.astype(np.float32) if a.dtype.kind == "f" else a


def run_graph(primitive, arrays, settings, given=None):
    """What ONNX Runtime computes for a primitive. The arrays at the places ``given``
    (by default all) are the graph's inputs, the others constants in it."""
    g = Graph()
    arrays = [narrow(np.asarray(a)) for a in arrays]
    given = range(len(arrays)) if given is None else given
    symbols = [
        g.input(f"x{i}", a.shape, a.dtype, "") if i in given else a
        for i, a in enumerate(arrays)
    ]
    result = primitive(*symbols, **settings)
    shape = result.shape
    g.output(result, "y", "")
    session = run_messages(g)
    (y,) = session.run(None, {f"x{i}": arrays[i] for i in given})
    assert y.shape == tuple(shape), "the emitter told another shape"
    return y


def run_messages(g):
    """A session for a graph without weights, checked first."""
    told = {"version": "0"}
    whole = onnx.ModelProto.FromString(model_message(told, "a test"))
    whole.graph.ParseFromString(graph_message(g, "test", "a test"))
    onnx.checker.check_model(whole, full_check=True)
    return session(whole.SerializeToString())


def session(model):
    """ONNX Runtime, with one thread and no warnings."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model, options, providers=providers)
