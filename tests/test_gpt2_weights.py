"""GPT-2 from the files that others publish: what is in them is what comes out.

The files are put together here, byte by byte; those of Hugging Face's own programs are
in test_parity_weights.py, those of TensorFlow's in test_tensorflow_bundle.py. What is
refused, and how, is in test_gpt2_config.py and test_gpt2_refused.py.
"""

import dataclasses
import json
import subprocess
import sys
import tracemalloc
import types

import numpy as np
import pytest
from published_gpt2 import WIDE, flat_gpt2, gpt2, rounded, says, split, write_file
from small_model import CFG, batch, noisy, same

import minigpt as mg
from minigpt import gpt2_config, tree
from minigpt.checkpoint import shapes

# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("kind", ["F64", "F32", "F16", "BF16"])
@pytest.mark.parametrize("prefix", ["", "transformer."])
@pytest.mark.parametrize("odd", range(0, 8, 3))
def test_every_kind_of_file(tmp_path, kind, prefix, odd):
    flat = flat_gpt2()
    masks = {f"h.{i}.attn.bias": np.tri(6)[None, None] for i in range(2)}
    masks |= {f"h.{i}.attn.masked_bias": np.array(-1e4) for i in range(2)}
    named = {prefix + n: a for n, a in (flat | masks).items()}
    path = write_file(tmp_path / "model.safetensors", named, kind, odd)
    wide = "f8" if kind == "F64" else "f4"
    expected = {n: rounded(a, kind).astype(wide) for n, a in flat.items()}
    for given in (path, str(tmp_path)):
        params, cfg = mg.load_gpt2(given)
        assert cfg == WIDE
        assert same(params, tree.unflatten(expected))
    for name, array in tree.flatten(params).items():
        assert array.flags.aligned and array.flags.writeable
        columns = name.endswith("c_proj.weight")
        assert array.flags.f_contiguous if columns else array.flags.c_contiguous


def test_what_was_loaded_is_saved_and_loaded_again(tmp_path):
    params, cfg = mg.load_gpt2(gpt2(tmp_path))
    mg.save(tmp_path / "ours", params, cfg)
    assert same(mg.load(tmp_path / "ours")[0], params)
    with pytest.raises(ValueError, match=r"written by save\(\): load\(\) reads it"):
        mg.load_gpt2(tmp_path / "ours")


def test_it_computes(tmp_path):
    """Column order changes nothing but the last digits."""
    params, cfg = mg.load_gpt2(gpt2(tmp_path, {"n_head": 3}, cfg=CFG))
    ids = batch()[0]
    expected = mg.gpt(noisy(CFG, np.float64, 5), ids, CFG)
    np.testing.assert_allclose(mg.gpt(params, ids, cfg), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"])
def test_the_four_sizes_are_recognised_from_their_tensors(name):
    cfg = mg.Config.preset(name)
    assert gpt2_config.fit({}, shapes(cfg)) == (cfg, [])


def test_shards(tmp_path):
    flat = flat_gpt2()
    index = split(tmp_path, flat)
    params, cfg = mg.load_gpt2(tmp_path)
    assert cfg == WIDE
    expected = {n: a.astype("f4") for n, a in flat.items()}
    assert same(params, tree.unflatten(expected))
    (tmp_path / index["ln_f.bias"]).unlink()
    with pytest.raises(FileNotFoundError, match=f"not there.*{index['ln_f.bias']}"):
        mg.load_gpt2(tmp_path)


def test_a_head_of_its_own_is_kept(tmp_path):
    head = np.ones((17, 128))
    params, _ = mg.load_gpt2(gpt2(tmp_path, **{"lm_head.weight": head}))
    assert list(params) == ["wte", "wpe", "h", "ln_f", "lm_head"]
    assert (params["lm_head"]["weight"] == 1).all()


TIED = {"n_head": 2, "tie_word_embeddings": True}


@pytest.mark.parametrize("config", [None, {"n_head": 2}, TIED])
def test_a_head_that_is_the_embedding_is_not_counted_twice(tmp_path, config):
    wte = flat_gpt2()["wte.weight"]
    params, _ = mg.load_gpt2(gpt2(tmp_path, config, **{"lm_head.weight": wte}))
    assert "lm_head" not in params
    assert tree.size(params) == sum(a.size for a in flat_gpt2().values())
    one_less = gpt2(tmp_path, config, ["wte.weight"], **{"lm_head.weight": wte})
    assert same(mg.load_gpt2(one_less)[0], params)  # the same array under either name


def test_a_head_that_must_not_be_tied(tmp_path):
    untied = {"tie_word_embeddings": False, "n_head": 2}
    wte = flat_gpt2()["wte.weight"]
    params, _ = mg.load_gpt2(gpt2(tmp_path, untied, **{"lm_head.weight": wte}))
    np.testing.assert_array_equal(params["lm_head"]["weight"], wte.astype("f4"))
    with pytest.raises(ValueError, match="do not fit the model") as error:
        mg.load_gpt2(gpt2(tmp_path, untied))
    says(
        error,
        "tie_word_embeddings: False, and there is no lm_head.weight",
        "lm_head.weight: expected (17, 128), found nothing",
    )
    untied["vocab_size"] = 17
    with pytest.raises(ValueError, match="do not fit the model") as error:
        mg.load_gpt2(gpt2(tmp_path, untied, ["wte.weight"], **{"lm_head.weight": wte}))
    says(error, "wte.weight: expected (17, 128), found nothing")


# ---------------------------------------------------------------- OpenAI's own


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """A folder for which ``read_bundle`` gives what the tests put into a dict."""
    flat = {n: a.astype("f4") for n, a in flat_gpt2().items()}
    module = types.ModuleType("minigpt.tensorflow_bundle")
    module.read_bundle = lambda folder: (dict(flat), 8)
    monkeypatch.setitem(sys.modules, "minigpt.tensorflow_bundle", module)
    sizes = {"n_vocab": 17, "n_ctx": 6, "n_embd": 128, "n_head": 8, "n_layer": 2}
    (tmp_path / "hparams.json").write_text(json.dumps(sizes))
    return tmp_path, flat


def test_a_tensorflow_checkpoint(bundle):
    folder, flat = bundle
    params, cfg = mg.load_gpt2(folder)
    assert cfg == dataclasses.replace(WIDE, n_head=8)
    assert same(params, tree.unflatten(flat))
    assert params["h"][1]["mlp"]["c_proj"]["weight"].flags.f_contiguous


def test_a_part_of_a_tensorflow_checkpoint(bundle):
    folder, _ = bundle
    for name in ("model.ckpt", "model.ckpt.index", "hparams.json"):
        with pytest.raises(ValueError, match=rf"{name} is a part .* give {folder}$"):
            mg.load_gpt2(folder / name)
    gpt2(folder)  # what is quicker to read, and has no checksums, goes first
    assert mg.load_gpt2(folder)[1] == WIDE


def test_a_tensorflow_checkpoint_that_does_not_fit(bundle):
    folder, flat = bundle
    del flat["h.1.ln_1.bias"]
    (folder / "hparams.json").write_text('{"n_vocab": 18, "n_head": 8}')
    with pytest.raises(ValueError, match="do not fit the model") as error:
        mg.load_gpt2(folder)
    says(
        error,
        "n_vocab: 18, and elsewhere 17",
        "wte.weight: expected (18, 128), found (17, 128)",
        "h.1.ln_1.bias: expected (128,), found nothing",
    )


def test_hparams_are_as_strict_as_a_config(bundle):
    folder, flat = bundle
    path = folder / "hparams.json"
    sizes = json.loads(path.read_text())
    plain = flat["h.1.attn.c_attn.weight"][:, :128].copy()
    path.write_text(json.dumps(sizes | {"scale_attn_by_inverse_layer_idx": True}))
    params, _ = mg.load_gpt2(folder)
    wide = params["h"][1]["attn"]["c_attn"]["weight"][:, :128]
    np.testing.assert_array_equal(2 * wide, plain)
    for field, value in (
        ("activation_function", "relu"),
        ("tie_word_embeddings", False),
        ("layer_norm_epsilon", "x"),
    ):
        path.write_text(json.dumps(sizes | {field: value}))
        with pytest.raises(ValueError, match=field):
            mg.load_gpt2(folder)


def test_a_tensorflow_checkpoint_that_is_not_finite(bundle):
    folder, flat = bundle
    flat["wpe.weight"][2, 3] = np.nan
    with pytest.raises(ValueError, match=r"wpe\.weight in .* holds NaN or infinity"):
        mg.load_gpt2(folder)


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_the_peak_is_the_model_and_little_more(tmp_path, kind):
    cfg = mg.Config(vocab_size=4000, n_ctx=64, n_embd=320, n_layer=7, n_head=5)
    flat = tree.flatten(mg.init(cfg))
    flat["lm_head.weight"] = flat["wte.weight"]  # the same: compared, but not held
    write_file(tmp_path / "model.safetensors", flat, kind, odd=3)
    del flat
    tracemalloc.start()
    params, _ = mg.load_gpt2(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.15 * 4 * tree.size(params)


PROGRAM = """
import re, sys
import minigpt as mg

def peak():
    with open("/proc/self/status") as file:
        return 1024 * int(re.search(r"VmHWM:\\s*(\\d+) kB", file.read())[1])

before = peak()
params, cfg = mg.load_gpt2(sys.argv[1])
assert cfg == mg.Config.preset("gpt2")
print((peak() - before) / (4 * mg.tree.size(params)))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc to ask")
@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_the_peak_of_a_process_that_loads_124_million_parameters(tmp_path, kind):
    flat = tree.flatten(mg.init(mg.Config.preset("gpt2")))
    write_file(tmp_path / "model.safetensors", flat, kind, odd=3)
    del flat
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert 0.9 < float(run.stdout) < 1.15
