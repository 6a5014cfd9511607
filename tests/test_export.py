"""The exported file: what stands in it, how it is written, and what is refused."""

import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from onnx_runs import onnx, session
from small_model import CFG, noisy

import minigpt as mg
from minigpt import checkpoint, vocabulary
from minigpt.export import export, messages, onnx_file
from minigpt.onnx_model import OnnxModel

PARAMS = noisy(CFG, np.float32)
IDS = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
both = pytest.mark.parametrize("cache", [False, True])


def exported(folder, params=PARAMS, cfg=CFG, **settings):
    """``(path, what onnx reads of it)``."""
    path = folder / "a.onnx"
    files = export(params, cfg, path, **settings)
    assert files[0] == path and all(f.is_file() for f in files)
    assert sorted(folder.iterdir()) == sorted(files), "something was left beside"
    return path, onnx.load(path)


def stored(model):
    """The arrays in the file, by name, without the small constants."""
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    return {n: a for n, a in arrays.items() if ":" not in n and n != "logits_from"}


@both
def test_it_is_valid_onnx(tmp_path, cache):
    for external in (False, True):
        folder = tmp_path / str(external)
        folder.mkdir()
        path, model = exported(folder, cache=cache, external_data=external)
        onnx.checker.check_model(path, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(model, True, True, True)
        assert len(inferred.graph.value_info) >= len(model.graph.node) - 5
        assert (model.ir_version, model.opset_import[0].version) == (9, 20)
        assert len(model.opset_import) == 1 and not model.functions


@both
def test_inputs_and_outputs_are_as_agreed(tmp_path, cache):
    _, model = exported(tmp_path, cache=cache)

    def told(values):
        return {v.name: sizes(v.type.tensor_type) for v in values if v.doc_string}

    def sizes(t):
        kind = onnx.helper.tensor_dtype_to_np_dtype(t.elem_type).name
        return kind, [d.dim_param or d.dim_value for d in t.shape.dim]

    B, T, P = "batch", "sequence", "past_sequence"
    inputs, outputs = told(model.graph.input), told(model.graph.output)
    assert len(inputs) == len(model.graph.input)
    assert inputs.pop("input_ids") == ("int64", [B, T])
    whole = f"{P} + {T}" if cache else T
    assert inputs.pop("attention_mask") == ("int64", [B, whole])
    assert outputs.pop("logits")[1][::2] == [B, 13]
    if not cache:
        assert inputs == outputs == {}
        return
    assert inputs.pop("logits_from") == ("int64", [1])  # which need not be given
    order = [f"{i}.{kind}" for i in range(2) for kind in ("key", "value")]
    assert inputs == {f"past_key_values.{n}": ("float32", [B, 3, P, 4]) for n in order}
    assert outputs == {f"present.{n}": ("float32", [B, 3, whole, 4]) for n in order}
    required = [i.name for i in session(model.SerializeToString()).get_inputs()]
    assert "logits_from" not in required and len(required) == 6


def test_names_are_those_of_the_checkpoint_and_of_taps(tmp_path):
    _, model = exported(tmp_path)
    flat = mg.tree.flatten(PARAMS)
    arrays = stored(model)
    assert set(arrays) == set(flat)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, flat[name])
    nodes = {node.name: node for node in model.graph.node}
    assert len(nodes) == len(model.graph.node)
    layers = {name.rpartition(".")[0] for name in flat}
    assert layers <= set(nodes)
    assert nodes["h.1.mlp.c_fc"].input[1] == "h.1.mlp.c_fc.bias"
    assert nodes["h.0.ln_1"].op_type == "LayerNormalization"
    assert "weight + bias" in nodes["h.0.attn.c_attn"].doc_string
    seen = {}
    mg.gpt(PARAMS, IDS, CFG, tap=seen)
    made = {out for node in model.graph.node for out in node.output}
    assert set(seen) <= made


def test_what_a_tap_sees_is_what_the_graph_makes(tmp_path):
    _, model = exported(tmp_path)
    seen = {}
    mg.gpt(PARAMS, IDS, CFG, tap=seen)
    for name in seen:
        model.graph.output.add(name=name)
    found = session(model.SerializeToString()).run(
        list(seen), {"input_ids": IDS, "attention_mask": np.ones_like(IDS)}
    )
    for (name, array), other in zip(seen.items(), found, strict=True):
        np.testing.assert_allclose(other, array, atol=2e-5, err_msg=name)


def test_the_metadata_makes_the_file_whole(tmp_path):
    params, cfg, tok = mg.load("tales")
    _, model = exported(tmp_path, params, cfg, tok=tok, name="tales", cache=True)
    told = {p.key: p.value for p in model.metadata_props}
    assert mg.Config(**json.loads(told["config"])) == cfg
    assert vocabulary.from_json(told["tokenizer"], "it") == tok
    assert told["version"] == model.producer_version == mg.__version__
    assert (told["name"], told["cache"]) == ("tales", "true")
    assert model.graph.name == "tales" and "n_layer 2" in model.doc_string
    _, bare = exported(tmp_path)
    assert "tokenizer" not in {p.key for p in bare.metadata_props}
    assert bare.graph.name == "a"


def test_the_same_model_gives_the_same_bytes(tmp_path):
    path, _ = exported(tmp_path)
    first = path.read_bytes()
    assert first.startswith(messages.FIRST_BYTES) and messages.is_ours(path)
    assert exported(tmp_path)[0].read_bytes() == first


def test_tied_weights_are_stored_once(tmp_path):
    tied = PARAMS | {"lm_head": PARAMS["wte"]}
    assert "lm_head.weight" not in stored(exported(tmp_path, tied)[1])
    copied = PARAMS | {"lm_head": {"weight": PARAMS["wte"]["weight"].copy()}}
    assert "lm_head.weight" in stored(exported(tmp_path, copied)[1])
    with_head = PARAMS | {"head": {"weight": np.ones((2, 12), np.float32)}}
    assert "head.weight" not in stored(exported(tmp_path, with_head)[1])


def test_adapters_are_traced_as_anything_else(tmp_path):
    rng = np.random.default_rng(0)
    params = mg.tree.map(np.array, PARAMS)
    for block in params["h"]:
        a, b = rng.standard_normal((12, 2)), rng.standard_normal((2, 36))
        block["attn"]["c_attn"] |= {"lora_a": a * 0.1, "lora_b": b * 0.1}
    path, model = exported(tmp_path, params)
    assert stored(model)["h.1.attn.c_attn.lora_b"].dtype == np.float32
    logits = OnnxModel(path)(IDS)
    np.testing.assert_allclose(logits, mg.gpt(params, IDS, CFG), atol=1e-4)
    assert np.abs(logits - mg.gpt(PARAMS, IDS, CFG)).max() > 1e-2


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4"])
def test_other_floats_become_float32(tmp_path, dtype):
    params = mg.tree.map(lambda a: np.asfortranarray(a.astype(dtype)), PARAMS)
    path, model = exported(tmp_path, params, external_data=True)
    assert {a.dtype for a in stored(model).values()} == {np.dtype("float32")}
    wide = mg.tree.map(lambda a: a.astype("f4"), params)
    np.testing.assert_allclose(OnnxModel(path)(IDS), mg.gpt(wide, IDS, CFG), atol=1e-4)


def test_weights_beside(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "LARGE", 1000)
    monkeypatch.setattr(onnx_file, "PIECE", 100)
    path, _ = exported(tmp_path, external_data=True)
    bare = onnx.load(path, load_external_data=False)
    places = {}
    for t in bare.graph.initializer:
        if t.external_data:
            place = {p.key: p.value for p in t.external_data}
            assert place["location"] == "a.onnx.data"
            places[t.name] = int(place["offset"]), int(place["length"])
    assert set(places) == set(mg.tree.flatten(PARAMS))
    assert all(at % (2**16 if n >= 1000 else 64) == 0 for at, n in places.values())
    inside = session_logits(path)
    data = tmp_path / "a.onnx.data"
    assert data.stat().st_size == max(at + n for at, n in places.values())
    data.unlink()
    path, _ = exported(tmp_path)
    np.testing.assert_array_equal(session_logits(path), inside)


def session_logits(path):
    feed = {"input_ids": IDS, "attention_mask": np.ones_like(IDS)}
    return session(str(path)).run(["logits"], feed)[0]


def test_what_is_too_large_for_a_protobuf_goes_beside(tmp_path, monkeypatch):
    path, _ = exported(tmp_path)
    size = path.stat().st_size
    monkeypatch.setattr(onnx_file, "LARGEST", size)
    assert exported(tmp_path)[0].stat().st_size == size
    monkeypatch.setattr(onnx_file, "LARGEST", size - 1)
    path, _ = exported(tmp_path)  # now with a.onnx.data
    assert path.stat().st_size < size
    np.testing.assert_allclose(
        session_logits(path), mg.gpt(PARAMS, IDS, CFG), atol=1e-4
    )


@pytest.mark.parametrize("external", [False, True])
def test_a_full_disk_leaves_no_half_of_a_file(tmp_path, monkeypatch, external):
    path, _ = exported(tmp_path)
    before, left = path.read_bytes(), [3]

    def full(array, pieces=onnx_file.pieces):
        left[0] -= 1
        if not left[0]:
            raise OSError(28, "No space left on device")
        return pieces(array)

    monkeypatch.setattr(onnx_file, "pieces", full)
    with pytest.raises(OSError, match="No space"):
        export(PARAMS, CFG, path, external_data=external)
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before


def test_an_older_graph_never_meets_new_weights(tmp_path, monkeypatch):
    path, _ = exported(tmp_path, external_data=True)
    write = checkpoint.write

    def fails_at_the_graph(place, content):
        if place == path:
            raise OSError(28, "No space left on device")
        write(place, content)

    monkeypatch.setattr(checkpoint, "write", fails_at_the_graph)
    with pytest.raises(OSError, match="No space"):
        export(noisy(CFG, np.float32, seed=1), CFG, path, external_data=True)
    assert not path.exists()


@pytest.mark.parametrize("external", [False, True])
def test_the_weights_are_not_copied(tmp_path, external):
    cfg = mg.Config(vocab_size=20_000, n_ctx=8, n_embd=256, n_layer=1, n_head=1)
    params = mg.init(cfg)  # 24 MB
    export(PARAMS, CFG, tmp_path / "imports.onnx")
    written = []
    tracemalloc.start()
    options = {"external_data": external, "progress": written.append}
    export(params, cfg, tmp_path / "a.onnx", **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6 and sum(written) >= 4 * mg.tree.size(params)
    logits = OnnxModel(tmp_path / "a.onnx")(IDS)
    np.testing.assert_allclose(logits, mg.gpt(params, IDS, cfg), atol=1e-4)


def test_weights_that_do_not_fit_get_a_sentence(tmp_path):
    path = tmp_path / "a.onnx"
    for other, said in (
        ({"n_embd": 24}, r"wte.weight: expected \(13, 24\), found \(13, 12\)"),
        ({"n_layer": 3}, r"h\.2\.ln_1\.weight: expected \(12,\), found nothing"),
        ({"n_layer": 1}, "expected 1 blocks, found 2"),
    ):
        cfg = mg.Config(**{**vars(CFG), **other})
        with pytest.raises(ValueError, match=said):
            export(PARAMS, cfg, path)
    whole = PARAMS | {"wte": {"weight": np.ones((13, 12), int)}}
    with pytest.raises(ValueError, match=r"wte\.weight: int64 is no floating-point"):
        export(whole, CFG, path)
    assert not path.exists()


def test_without_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r"package onnx.*\.\[onnx\]"):
        export(PARAMS, CFG, tmp_path / "a.onnx")


def test_neither_library_is_imported_before_it_is_needed():
    program = (
        "import sys, minigpt, minigpt.models, minigpt.onnx_model, minigpt.export\n"
        "assert not {'onnx', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@both
@pytest.mark.parametrize("B, T", [(0, 3), (2, 0), (0, 0)])
def test_no_text_and_no_token_have_no_logits(tmp_path, cache, B, T):
    _, model = exported(tmp_path, cache=cache)
    row = np.zeros((B, T), np.int64)
    feed = {"input_ids": row, "attention_mask": row}
    if cache:
        nothing = np.empty((B, 3, 0, 4), np.float32)
        for i in range(2):
            for kind in ("key", "value"):
                feed[f"past_key_values.{i}.{kind}"] = nothing
    (logits,) = session(model.SerializeToString()).run(["logits"], feed)
    assert logits.shape == (B, T, 13)
