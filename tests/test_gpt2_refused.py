"""Files that are no GPT-2, or no whole one: sentences, and nothing opened that runs."""

import builtins
import dataclasses
import io

import numpy as np
import pytest
from published_gpt2 import WIDE, flat_gpt2, gpt2, says, split, write_file

import minigpt as mg

# ---------------------------------------------------------------- wrong tensors


def test_every_wrong_tensor_is_listed_at_once(tmp_path):
    extra = {"h.0.ln_1.scale": np.ones(1), "wpe.weight": np.ones((6, 64))}
    extra |= {"h.1.mlp.c_proj.weight": np.ones((128, 512)), "score.weight": np.eye(2)}
    with pytest.raises(ValueError, match=r"gpt2\S* do not fit the model") as error:
        (tmp_path / "gpt2").mkdir()
        mg.load_gpt2(gpt2(tmp_path / "gpt2", without=["ln_f.bias"], **extra))
    says(
        error,
        "wpe.weight: expected (6, 128), found (6, 64)",
        "h.1.mlp.c_proj.weight: expected (512, 128), found (128, 512)",
        "ln_f.bias: expected (128,), found nothing",
        "h.0.ln_1.scale: expected nothing, found (1,)",
        "score.weight: expected nothing, found (2, 2)",
    )


@pytest.mark.parametrize("missing", ["wte.weight", "wpe.weight", "h.1.ln_2.weight"])
def test_a_missing_tensor_is_listed_by_what_the_fields_say(tmp_path, missing):
    config = {"n_head": 2, "vocab_size": 17, "n_positions": 6}
    with pytest.raises(ValueError, match="do not fit the model") as error:
        mg.load_gpt2(gpt2(tmp_path, config, without=[missing]))
    says(error, f"{missing}: expected {flat_gpt2()[missing].shape}, found nothing")


def test_layers_that_are_not_all_there(tmp_path):
    flat = flat_gpt2(dataclasses.replace(WIDE, n_layer=3))
    flat = {n: a for n, a in flat.items() if not n.startswith("h.1.")}
    write_file(tmp_path / "model.safetensors", flat)
    with pytest.raises(ValueError) as error:
        mg.load_gpt2(tmp_path)
    assert "  h.1.ln_1.weight: expected (128,), found nothing" in str(error.value)
    assert "  h.2.ln_1.weight: expected nothing, found (128,)" in str(error.value)


@pytest.mark.parametrize("flat", [{}, {"bert.pooler.weight": np.eye(3)}], ids=len)
def test_files_of_something_else(tmp_path, flat):
    write_file(tmp_path / "model.safetensors", flat)
    with pytest.raises(ValueError, match=r"no GPT-2 in it: no wte\.weight"):
        mg.load_gpt2(tmp_path)


def test_whole_numbers_are_refused(tmp_path):
    flat = {n: a.astype("i4") for n, a in flat_gpt2().items()}
    write_file(tmp_path / "model.safetensors", flat, "I32")
    with pytest.raises(ValueError, match="do not fit") as error:
        mg.load_gpt2(tmp_path)
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == len(flat)
    assert lines[-1] == (
        "  ln_f.bias: expected (128,), found (128,) of I32, which is no floating-point "
        "type"
    )


@pytest.mark.parametrize("name", ["wte.weight", "h.1.attn.c_proj.weight", "ln_f.bias"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_tensor_that_is_not_finite_is_named(tmp_path, name, number):
    array = flat_gpt2()[name]
    array.flat[-1] = number
    with pytest.raises(ValueError, match=rf"{name} in .*model\.safetensors holds NaN"):
        mg.load_gpt2(gpt2(tmp_path, **{name: array}))


@pytest.mark.parametrize("keep", [0, 7, 300, 5000, -1])
def test_a_truncated_file_is_named(tmp_path, keep):
    path = gpt2(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged or was cut"):
        mg.load_gpt2(tmp_path)


def test_two_tensors_of_one_name(tmp_path):
    with pytest.raises(ValueError, match=r"two tensors with the name wte\.weight"):
        mg.load_gpt2(gpt2(tmp_path, **{"transformer.wte.weight": np.ones((17, 128))}))


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"weight_map": None}, "has no weight_map that tells a file for each tensor"),
        ({"weight_map": {"wte.weight": 3}}, "has no weight_map that tells"),
        ({"weight_map": {"wte.weight": "../a.safetensors"}}, "has no weight_map"),
        ({"weight_map": {"wte.weight": "/etc/passwd"}}, "has no weight_map"),
        ({"weight_map": {"wte.weight": "pytorch_model.bin"}}, "not there: .*pytorch_m"),
    ],
    ids=str,
)
def test_an_index_that_is_wrong(tmp_path, changes, sentence):
    split(tmp_path, flat_gpt2(), **changes)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        mg.load_gpt2(tmp_path)


def test_an_index_that_promises_more_than_the_shards_hold(tmp_path):
    index = split(tmp_path, flat_gpt2())
    index["lm_head.weight"] = index["wte.weight"]
    split(tmp_path, flat_gpt2(), weight_map=index)
    with pytest.raises(ValueError, match=r"no shard holds: \['lm_head\.weight'\]"):
        mg.load_gpt2(tmp_path)


# ---------------------------------------------------------------- other files


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".pkl", ".ckpt"])
@pytest.mark.parametrize("as_folder", [True, False])
def test_a_pickle_is_never_opened(tmp_path, monkeypatch, suffix, as_folder):
    path = tmp_path / f"pytorch_model{suffix}"
    path.write_bytes(b"\x80\x04.")
    (tmp_path / "training_args.bin").write_bytes(b"\x80\x04.")
    touched = []

    def spy(file, *args, **kwargs):
        touched.append(file)
        return real(file, *args, **kwargs)

    real = io.open
    for module in (builtins, io):
        monkeypatch.setattr(module, "open", spy)
    with pytest.raises(ValueError, match="is never opened here") as error:
        mg.load_gpt2(tmp_path if as_folder else path)
    assert touched == []
    target = "model.safetensors" if as_folder else "pytorch_model.safetensors"
    assert str(tmp_path / target) in str(error.value)
    code = str(error.value).splitlines()[-5:]
    compile("\n".join(code), "the five lines", "exec")
    assert str(path) in code[2] and "training_args" not in code[2]


def test_places_where_nothing_is(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*nowhere"):
        mg.load_gpt2(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*nowhere.safet"):
        mg.load_gpt2(tmp_path / "nowhere.safetensors")
    with pytest.raises(FileNotFoundError, match=r"holds no GPT-2: neither model\.saf"):
        mg.load_gpt2(tmp_path)
    (tmp_path / "weights.gguf").write_bytes(b"GGUF")
    with pytest.raises(ValueError, match=r"is no \.safetensors file, and no other"):
        mg.load_gpt2(tmp_path / "weights.gguf")
