"""Models on disk: what is saved is loaded, and what is wrong is named."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from small_model import CFG, batch, import_or_skip, noisy, same

import minigpt as mg
from minigpt import checkpoint, tree
from minigpt.checkpoint import read_tensors, write, write_tensors

WIDE = mg.Config(vocab_size=17, n_ctx=6, n_embd=128, n_layer=2, n_head=2)


def gpt2_file(folder, prefix="", dtype=np.float32, without=(), **extra):
    """A file in Hugging Face's layout, with the mask buffers of old checkpoints."""
    flat = {n: a.astype(dtype) for n, a in tree.flatten(mg.init(WIDE, 5)).items()}
    for layer in range(2):
        flat[f"h.{layer}.attn.bias"] = np.tri(6, dtype=np.float32)[None, None]
        flat[f"h.{layer}.attn.masked_bias"] = np.float32([-1e4])
    flat = {prefix + n: a for n, a in (flat | extra).items() if n not in without}
    save_file(flat, folder / "model.safetensors")
    return folder / "model.safetensors"


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


def test_no_pickle_is_opened(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match=r"is no \.safetensors file, and no other"):
        mg.load_gpt2(tmp_path / "pytorch_model.bin")


# ---------------------------------------------------------------- GPT-2


@pytest.mark.parametrize("prefix", ["", "transformer."])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_load_gpt2(tmp_path, prefix, dtype):
    path = gpt2_file(tmp_path, prefix, dtype)
    for given in (path, str(tmp_path)):
        params, cfg = mg.load_gpt2(given)
        assert cfg == WIDE
        expected = tree.map(lambda a: a.astype(dtype).astype("f4"), mg.init(WIDE, 5))
        assert same(params, expected)


def test_load_gpt2_reads_the_configuration_beside_it(tmp_path):
    gpt2_file(tmp_path)
    config = {"n_head": 8, "layer_norm_epsilon": 1e-6}
    (tmp_path / "config.json").write_text(json.dumps(config))
    expected = dataclasses.replace(WIDE, n_head=8, layer_norm_eps=1e-6)
    assert mg.load_gpt2(tmp_path)[1] == expected
    (tmp_path / "config.json").write_text('{"activation_function": "relu"}')
    with pytest.raises(ValueError, match="asks for the activation 'relu'"):
        mg.load_gpt2(tmp_path)
    (tmp_path / "config.json").write_text("no json")
    with pytest.raises(ValueError, match="is not a configuration"):
        mg.load_gpt2(tmp_path)


def test_load_gpt2_with_a_head_of_its_own(tmp_path):
    head = np.ones((17, 128), np.float32)
    params, _ = mg.load_gpt2(gpt2_file(tmp_path, **{"lm_head.weight": head}))
    assert (params["lm_head"]["weight"] == 1).all()


def test_load_gpt2_lists_what_is_wrong(tmp_path):
    extra = {"h.0.ln_1.scale": np.ones(1, np.float32)}
    path = gpt2_file(tmp_path, without=["ln_f.bias"], **extra)
    with pytest.raises(ValueError) as error:
        mg.load_gpt2(path)
    assert str(error.value).splitlines()[1:] == [
        "  ln_f.bias: expected (128,), found nothing",
        "  h.0.ln_1.scale: expected nothing, found (1,)",
    ]
    with pytest.raises(ValueError, match=r"holds no GPT-2: it has no wte\.weight"):
        mg.load_gpt2(gpt2_file(tmp_path, without=["wte.weight"]))


def test_heads_that_cannot_be_guessed(tmp_path):
    flat = tree.flatten(mg.init(CFG))
    save_file(flat, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"put the model's config\.json there"):
        mg.load_gpt2(tmp_path)


def test_a_file_that_transformers_saved(tmp_path):
    torch, transformers = import_or_skip("torch"), import_or_skip("transformers")
    shape = {"vocab_size": 13, "n_positions": 8, "n_embd": 12, "n_layer": 2}
    config = transformers.GPT2Config(n_head=3, bos_token_id=0, eos_token_id=0, **shape)
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config).eval()
    model.save_pretrained(tmp_path)
    params, cfg = mg.load_gpt2(tmp_path)
    assert cfg == CFG
    ids = batch()[0]
    with torch.no_grad():
        expected = model(torch.as_tensor(ids)).logits.numpy()
    np.testing.assert_allclose(mg.gpt(params, ids, cfg), expected, atol=1e-6)
