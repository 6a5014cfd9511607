"""config.json: every field that changes a result is honoured, or refused by name."""

import dataclasses

import numpy as np
import pytest
from published_gpt2 import WIDE, gpt2
from small_model import CFG, same

import minigpt as mg


@pytest.mark.parametrize(
    "config, changed",
    [
        ({"n_head": 8}, {"n_head": 8}),
        ({"num_attention_heads": 4, "n_layer": 2}, {"n_head": 4}),
        ({"n_head": 2, "layer_norm_epsilon": 0.1}, {"layer_norm_eps": 0.1}),
        ({"n_head": 2, "n_inner": None, "n_ctx": 6, "n_positions": 6}, {}),
        ({"n_head": 2, "n_inner": 512, "vocab_size": 17, "hidden_size": 128}, {}),
        ({"n_head": 2, "attn_pdrop": 0.3, "use_cache": False, "dtype": "float16"}, {}),
        ({"n_head": 2, "reorder_and_upcast_attn": True, "pruned_heads": {}}, {}),
        ({"n_head": 2, "activation_function": "gelu_pytorch_tanh"}, {}),
    ],
    ids=str,
)
def test_fields_that_are_honoured(tmp_path, config, changed):
    params, cfg = mg.load_gpt2(gpt2(tmp_path, config))
    assert cfg == dataclasses.replace(WIDE, **changed)
    plain = mg.load_gpt2(gpt2(tmp_path, {"n_head": 2}))[0]
    assert same(params, plain)


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("layers", [True, False])
def test_scores_that_are_scaled_otherwise(tmp_path, weights, layers):
    """The queries bring the factor; keys and values are as they were."""
    plain, _ = mg.load_gpt2(gpt2(tmp_path, {"n_head": 3}, cfg=CFG))
    scaled = {"scale_attn_weights": weights, "scale_attn_by_inverse_layer_idx": layers}
    params, _ = mg.load_gpt2(gpt2(tmp_path, {"n_head": 3, **scaled}, cfg=CFG))
    x = np.random.default_rng(0).standard_normal((5, 12)).astype("f4")
    for layer in range(2):
        factor = (1 if weights else 2.0) / (layer + 1 if layers else 1)  # D = 4
        before, after = (
            x @ p["h"][layer]["attn"]["c_attn"]["weight"]
            + p["h"][layer]["attn"]["c_attn"]["bias"]
            for p in (plain, params)
        )
        before[:, :12] *= factor
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "field, value",
    [
        ("activation_function", "relu"),
        ("activation_function", "gelu"),
        ("add_cross_attention", True),
        ("is_causal", False),
        ("layer_norm_epsilon", "1e-5"),
        ("model_type", "gpt_neo"),
        ("pruned_heads", {"0": [1]}),
        ("quantization_config", {"bits": 4}),
        ("scale_attn_by_inverse_layer_idx", "false"),
        ("scale_attn_weights", 1),
        ("tie_word_embeddings", "true"),
    ],
)
def test_fields_that_are_refused_by_name(tmp_path, field, value):
    config = {"n_head": 2, "activation_function": "gelu_new", field: value}
    with pytest.raises(ValueError, match=r"config\.json asks for another") as error:
        mg.load_gpt2(gpt2(tmp_path, config))
    (line,) = str(error.value).splitlines()[1:]
    assert line.startswith(f"  {field}: {value!r}, and ")


def test_all_refused_fields_come_in_one_error(tmp_path):
    config = {"model_type": "bert", "is_causal": False, "layer_norm_epsilon": []}
    with pytest.raises(ValueError) as error:
        mg.load_gpt2(gpt2(tmp_path, config))
    fields = [line.split(":")[0].strip() for line in str(error.value).splitlines()[1:]]
    assert fields == list(config)


@pytest.mark.parametrize(
    "config, line",
    [
        ({"n_layer": 3}, "n_layer: 3, and elsewhere 2"),
        ({"vocab_size": 50257}, "vocab_size: 50257, and elsewhere 17"),
        ({"n_positions": 6, "n_ctx": 1024}, "n_ctx: 1024, and elsewhere 6"),
        ({"n_embd": 64}, "n_embd: 64, and elsewhere 128"),
        ({"num_attention_heads": 4}, "num_attention_heads: 4, and elsewhere 2"),
        ({"n_inner": 256}, "n_inner: 256, and here it is 4 n_embd = 512"),
    ],
    ids=str,
)
def test_fields_that_the_tensors_contradict(tmp_path, config, line):
    with pytest.raises(ValueError, match="do not fit the model") as error:
        mg.load_gpt2(gpt2(tmp_path, {"n_head": 2, **config}))
    assert str(error.value).splitlines()[1] == f"  {line}"


@pytest.mark.parametrize(
    "config, sentence",
    [
        ("no json", "is not a configuration"),
        ("[1]", "it holds no names"),
        ('{"n_head": "2"}', "n_head must be a whole number from 1, not '2'"),
        ('{"n_head": 3}', "n_embd=128 channels cannot be cut into n_head=3"),
        ('{"n_head": 2, "layer_norm_epsilon": 0}', "must be between 0 and 1, not 0"),
        ('{"n_layer": 2}', r"into how many heads its 128 .* with n_head"),
    ],
)
def test_configurations_that_are_none(tmp_path, config, sentence):
    gpt2(tmp_path)
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ValueError, match=sentence) as error:
        mg.load_gpt2(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_heads_that_cannot_be_guessed(tmp_path):
    with pytest.raises(ValueError, match=r"12 channels .* put .* config\.json"):
        mg.load_gpt2(gpt2(tmp_path, cfg=CFG))


@pytest.mark.parametrize(
    "field, value", [("n_layer", 10**9), ("n_embd", 10**30), ("vocab_size", 10**18)]
)
def test_sizes_that_no_computer_has(tmp_path, field, value):
    with pytest.raises(ValueError, match=rf"{field} can be at most"):
        mg.load_gpt2(gpt2(tmp_path, {"n_head": 2, field: value}))


def test_an_error_has_an_end(tmp_path):
    with pytest.raises(ValueError, match="do not fit the model") as error:
        mg.load_gpt2(gpt2(tmp_path, {"n_head": 2, "n_layer": 1000}))
    lines = str(error.value).splitlines()
    assert len(lines) < 1100 and "10,976 more" in lines[-1]
