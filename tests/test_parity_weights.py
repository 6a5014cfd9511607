"""GPT-2's files as `transformers` and `safetensors` write them, and their settings.

Whatever a config.json says, `load_gpt2` computes what `transformers` does, or refuses.
"""

import json
import subprocess
import sys

import numpy as np
import pytest
from small_model import CFG, batch, import_or_skip

import minigpt as mg
from minigpt import tree

torch = import_or_skip("torch")
transformers = import_or_skip("transformers")
safetensors_torch = import_or_skip("safetensors.torch")

IDS = batch(CFG, rows=4)[0]
SHAPE = {"vocab_size": 13, "n_positions": 8, "n_embd": 12, "n_layer": 2, "n_head": 3}
SHAPE |= {"bos_token_id": 0, "eos_token_id": 0}


def random_model(kind="GPT2LMHeadModel", dtype=torch.float32, **fields):
    """A model of `transformers` in which no weight is zero or one."""
    config = transformers.GPT2Config(**SHAPE | fields)
    model = getattr(transformers, kind)(config).eval().to(dtype)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.4 * torch.randn(p.shape, generator=generator)
    return model


def logits(model):
    with torch.no_grad():
        return model(torch.as_tensor(IDS)).logits.float().numpy()


def agrees(folder, model):
    params, cfg = mg.load_gpt2(folder)
    ours = mg.gpt(params, IDS, cfg)
    np.testing.assert_allclose(ours, logits(model), rtol=0, atol=1e-4)
    return params


def edit(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["GPT2Model", "GPT2LMHeadModel"])
@pytest.mark.parametrize("shard", ["50GB", "4KB"])
def test_what_transformers_saves(tmp_path, dtype, kind, shard):
    model = random_model(kind, getattr(torch, dtype))
    model.save_pretrained(tmp_path, max_shard_size=shard)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 2) == (shard == "4KB")
    flat = tree.flatten(mg.load_gpt2(tmp_path)[0])
    body = model if kind == "GPT2Model" else model.transformer
    theirs = dict(body.named_parameters())
    assert set(flat) == set(theirs)
    for name, tensor in theirs.items():
        wide = tensor.detach() if dtype == "float64" else tensor.detach().float()
        assert flat[name].dtype == ("f8" if dtype == "float64" else "f4")
        np.testing.assert_array_equal(flat[name], wide.numpy())


# ---------------------------------------------------------------- heads, tied or not


@pytest.mark.parametrize("tied", [True, False, None])
@pytest.mark.parametrize("head", ["the embedding", "another", "none"])
@pytest.mark.parametrize("embedding", [True, False])
def test_heads(tmp_path, tied, head, embedding):
    """Stored or not, and tied or not by config.json, as `from_pretrained` takes it."""
    model = random_model(tie_word_embeddings=False)
    if head == "the embedding":
        model.lm_head.weight.data = model.transformer.wte.weight.detach().clone()
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    flat = safetensors_torch.load_file(path)
    if head == "none":
        del flat["lm_head.weight"]
    if not embedding:
        del flat["transformer.wte.weight"]
    safetensors_torch.save_file(flat, path, metadata={"format": "pt"})
    edit(tmp_path, tie_word_embeddings=tied)
    if tied is None:  # as if the field were not there, which is what it means to us
        config = json.loads((tmp_path / "config.json").read_text())
        del config["tie_word_embeddings"]
        (tmp_path / "config.json").write_text(json.dumps(config))
    theirs, told = transformers.GPT2LMHeadModel.from_pretrained(
        tmp_path, output_loading_info=True
    )
    if told["missing_keys"]:  # they draw random numbers in this case
        with pytest.raises(ValueError, match="found nothing"):
            mg.load_gpt2(tmp_path)
        return
    params = agrees(tmp_path, theirs)
    assert tree.size(params) == sum(p.numel() for p in theirs.parameters())


def test_what_the_library_of_safetensors_saves(tmp_path):
    """It stores shared tensors once, under the first name of the alphabet."""
    model = random_model()
    model.config.save_pretrained(tmp_path)
    safetensors_torch.save_model(model, str(tmp_path / "model.safetensors"))
    assert "lm_head" not in agrees(tmp_path, model)


# ---------------------------------------------------------------- every field

VALUES = {  # field: values that are not the default
    "_name_or_path": ["gpt2"],
    "activation_function": transformers.activations.ACT2FN,
    "add_cross_attention": [True],
    "architectures": [["GPT2Model"]],
    "attn_pdrop": [0.5],
    "bos_token_id": [3],
    "chunk_size_feed_forward": [2],
    "dtype": ["float16", "bfloat16"],
    "embd_pdrop": [0.5],
    "eos_token_id": [[3, 4]],
    "id2label": [{"0": "a", "1": "b", "2": "c"}],
    "initializer_range": [0.5],
    "is_causal": [False],
    "is_encoder_decoder": [True],
    "label2id": [{"a": 0, "b": 1, "c": 2}],
    "layer_norm_epsilon": [0.3, 1e-12],
    "model_type": ["gpt_neo"],
    "n_ctx": [8, 4],
    "n_embd": [12, 24],
    "n_head": [1, 2, 4, 12],
    "n_inner": [48, 24],
    "n_layer": [1, 2, 3],
    "n_positions": [8, 4, 16],
    "num_attention_heads": [1, 4],
    "output_attentions": [True],
    "output_hidden_states": [True],
    "pad_token_id": [3],
    "problem_type": ["regression"],
    "pruned_heads": [{"0": [1]}],
    "reorder_and_upcast_attn": [True],
    "resid_pdrop": [0.5],
    "return_dict": [True],
    "scale_attn_by_inverse_layer_idx": [True],
    "scale_attn_weights": [False],
    "summary_activation": ["tanh"],
    "summary_first_dropout": [0.5],
    "summary_proj_to_labels": [False],
    "summary_type": ["last"],
    "summary_use_proj": [False],
    "tie_word_embeddings": [False],
    "transformers_version": ["4.0.0"],
    "use_cache": [False],
    "vocab_size": [13, 12, 14],
}


def test_no_field_of_theirs_is_forgotten():
    assert set(transformers.GPT2Config().to_dict()) <= set(VALUES)


@pytest.mark.parametrize("field, value", [(f, v) for f in VALUES for v in VALUES[f]])
def test_every_field_is_honoured_or_refused_by_name(tmp_path, field, value):
    random_model().save_pretrained(tmp_path)
    if field == "num_attention_heads":
        edit(tmp_path, n_head=value)
    edit(tmp_path, **{field: value})
    try:
        params, cfg = mg.load_gpt2(tmp_path)
    except ValueError as refusal:
        assert f"\n  {field}: {value!r}, and " in str(refusal)
        assert field not in HONOURED or value not in HONOURED[field]
        return
    theirs = transformers.GPT2LMHeadModel.from_pretrained(
        tmp_path, dtype=torch.float32, attn_implementation="eager"
    )
    expected = logits(theirs.eval())
    np.testing.assert_allclose(
        mg.gpt(params, IDS, cfg), expected, rtol=0, atol=1e-4, err_msg=field
    )


TANH = ["gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast"]
HONOURED = VALUES | {
    "activation_function": [*TANH, "gelu_accurate"],
    "add_cross_attention": [],
    "is_causal": [],
    "model_type": [],
    "n_ctx": [8],
    "n_embd": [12],
    "n_head": [1, 2, 4, 12],
    "n_inner": [48],
    "n_layer": [2],
    "n_positions": [8],
    "pruned_heads": [],
    "tie_word_embeddings": [],
    "vocab_size": [13],
}

# ---------------------------------------------------------------- pickles


@pytest.mark.parametrize("names", [["pytorch_model.bin"], ["a.pth", "b.pth"]])
@pytest.mark.parametrize("as_folder", [True, False])
def test_the_five_lines_convert_a_pickle(tmp_path, names, as_folder):
    model = random_model()
    model.config.save_pretrained(tmp_path)
    flat = model.state_dict()  # lm_head shares its memory with wte
    name = "transformer.h.0.mlp.c_fc.weight"
    flat[name] = flat[name].t().contiguous().t()  # the same numbers by columns
    for i, file in enumerate(names):
        part = {n: flat[n] for n in list(flat)[i :: len(names)]}
        torch.save(part, tmp_path / file)
    given = tmp_path if as_folder else tmp_path / names[0]
    with pytest.raises(ValueError, match="these five lines") as error:
        mg.load_gpt2(given)
    lines = str(error.value).splitlines()[-5:]
    command = [sys.executable, "-c", "\n".join(lines)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    if as_folder or len(names) == 1:
        written = tmp_path if as_folder else given.with_suffix(".safetensors")
        assert "lm_head" not in agrees(written, model)
    if as_folder:
        again = transformers.GPT2LMHeadModel.from_pretrained(tmp_path)
        np.testing.assert_array_equal(logits(again), logits(model))


def test_masks_of_old_files_are_ignored(tmp_path):
    model = random_model()
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    flat = safetensors_torch.load_file(path)
    for i in range(2):
        mask = torch.ones(8, 8).tril()[None, None]
        flat[f"transformer.h.{i}.attn.bias"] = mask.bool() if i else mask.byte()
        flat[f"transformer.h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    safetensors_torch.save_file(flat, path, metadata={"format": "pt"})
    agrees(tmp_path, model)
