"""Models on disk: what is saved is loaded, and what is wrong is named."""

import dataclasses
import json
import tracemalloc

import numpy as np
import pytest
from small_model import CFG, noisy, same

import minigpt as mg
from minigpt import checkpoint, tree
from minigpt.checkpoint import read_tensors, shapes, write, write_tensors

# ---------------------------------------------------------------- save and load


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saved_is_loaded(tmp_path, dtype):
    params = noisy(dtype=dtype) | {"lm_head": {"weight": np.ones((13, 12), dtype)}}
    tok = mg.CharTokenizer("abcdefghijklm")
    mg.save(tmp_path / "deep" / "er", params, CFG, tok)
    loaded, cfg, tokenizer = mg.load(tmp_path / "deep" / "er")
    assert same(loaded, params) and cfg == CFG
    assert tokenizer.encode("cab") == tok.encode("cab")
    loaded["wte"]["weight"] += 1  # the caller's own


def test_files_of_two_saves_are_not_taken_for_one(tmp_path):
    mg.save(tmp_path, noisy(), CFG)
    config = tmp_path / "config.json"
    other = dataclasses.replace(CFG, n_head=CFG.n_head * 2)  # of the same shapes
    config.write_text(json.dumps({"format": "minigpt", **dataclasses.asdict(other)}))
    with pytest.raises(ValueError, match="were saved with another config"):
        mg.load(tmp_path)


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    mg.save(tmp_path, noisy(), CFG, mg.CharTokenizer("abcdefghijklmnopqrst"))
    with pytest.raises(ValueError, match="20 tokens, and the model knows 13"):
        mg.load(tmp_path)


def test_a_configuration_nested_without_end(tmp_path):
    (tmp_path / "config.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match="is not a configuration"):
        mg.load(tmp_path)


def test_half_precision_loads_as_float32(tmp_path):
    params = noisy(dtype=np.float16)
    mg.save(tmp_path, params, CFG)
    stored = read_tensors(tmp_path / "model.safetensors")[0]
    assert {a.dtype for a in stored.values()} == {np.dtype("f2")}
    loaded = mg.load(tmp_path)[0]
    assert same(loaded, tree.map(lambda a: a.astype(np.float32), params))


def test_views_scalars_and_other_orders_are_stored_as_they_are(tmp_path):
    table = np.arange(12.0).reshape(3, 4)
    flat = {"view": table[:, ::2], "turned": table.T, "one": np.array(3.0)}
    write_tensors(tmp_path / "a.safetensors", flat, {"note": "é"})
    back, metadata = read_tensors(tmp_path / "a.safetensors")
    assert metadata == {"format": "minigpt", "note": "é"}
    for name, a in flat.items():
        np.testing.assert_array_equal(back[name], a)
        assert back[name].shape == a.shape


def test_a_broken_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    write(path, b"old")

    def fail(*_):
        raise OSError("the disk is full")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint.os, name, fail)
            with pytest.raises(OSError, match="disk is full"):
                write(path, b"new")
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]
    write(path, b"new")
    assert path.read_bytes() == b"new"
    write(path, (part for part in (b"in ", b"parts")))
    assert path.read_bytes() == b"in parts"


# ---------------------------------------------------------------- sentences


def test_folders_that_hold_no_model(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder 'nowhere', and the models"):
        mg.load("nowhere")
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
        mg.load(tmp_path)
    mg.save(tmp_path, noisy(), CFG)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"no file .*model\.safetensors"):
        mg.load(tmp_path)


@pytest.mark.parametrize(
    "content, sentence",
    [
        ("{", "is not a configuration"),
        ("[1]", "is not a configuration: it holds no names"),
        ('{"n_embd": 768}', "for GPT-2 in Hugging Face's layout there is load_gpt2"),
        ('{"format": "minigpt", "n_embed": 3}', "n_embed"),
        ('{"format": "minigpt", "n_embd": 7}', "n_embd=7 channels cannot be cut"),
        (b"\xff\xfe", "is not a configuration"),
    ],
)
def test_configurations_that_are_none(tmp_path, content, sentence):
    mg.save(tmp_path, noisy(), CFG)
    raw = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "config.json").write_bytes(raw)
    with pytest.raises(ValueError, match=sentence):
        mg.load(tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_damaged_weights(tmp_path, keep):
    mg.save(tmp_path, noisy(), CFG)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"safetensors is damaged or was cut short"):
        mg.load(tmp_path)


def test_every_wrong_tensor_is_listed(tmp_path):
    params = noisy()
    params["h"][1]["ln_2"].pop("bias")
    params["wte"]["weight"] = params["wte"]["weight"][:5]
    params["spare"] = {"weight": np.ones(3)}
    mg.save(tmp_path, params, CFG)
    with pytest.raises(ValueError, match="do not fit the model") as error:
        mg.load(tmp_path)
    assert str(error.value).splitlines()[1:] == [
        "  wte.weight: expected (13, 12), found (5, 12)",
        "  h.1.ln_2.bias: expected (12,), found nothing",
        "  spare.weight: expected nothing, found (3,)",
    ]


def test_whole_numbers_are_no_weights(tmp_path):
    params = noisy()
    params["ln_f"]["bias"] = np.zeros(12, np.int32)
    mg.save(tmp_path, params, CFG)
    with pytest.raises(ValueError, match=r"ln_f\.bias: expected \(12,\), found .*I32"):
        mg.load(tmp_path)


def test_no_other_kind_of_file_is_opened(tmp_path):
    (tmp_path / "tensors.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"is no \.safetensors file, and no other"):
        read_tensors(tmp_path / "tensors.npz")


# ---------------------------------------------------------------- memory


def test_shapes_are_those_of_init():
    for cfg in (CFG, mg.Config(7, n_ctx=5, n_embd=6, n_layer=3, n_head=2)):
        flat = tree.flatten(mg.init(cfg))
        assert shapes(cfg) == {name: a.shape for name, a in flat.items()}
        assert list(shapes(cfg)) == list(flat)


def test_saving_and_loading_hold_little_beside_the_model(tmp_path):
    cfg = mg.Config(vocab_size=500, n_ctx=64, n_embd=192, n_layer=12, n_head=4)
    params = mg.init(cfg)
    size = 4 * tree.size(params)
    mg.save(tmp_path / "half", tree.map(lambda a: a.astype("f2"), params), cfg)
    tracemalloc.start()
    mg.save(tmp_path / "whole", params, cfg)
    saving = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    mg.load(tmp_path / "half")
    loading = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert saving < 0.15 * size and loading < 1.15 * size
