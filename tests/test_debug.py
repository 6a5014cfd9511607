"""The helpers that look: tables, signals, gradients, memory."""

import math
import tracemalloc

import numpy as np
import pytest

import minigpt as mg
from minigpt import debug, tree

CFG = mg.Config(vocab_size=50, n_ctx=24, n_embd=16, n_layer=3, n_head=2)
IDS = np.random.default_rng(0).integers(50, size=(2, 24))


def model():
    return mg.init(CFG, seed=1)


def test_the_table_says_shape_size_and_what_is_not_finite():
    numbers = np.array([[3.0, -4.0], [np.nan, np.inf]], np.float32)
    head, line = debug.table({"h": [{"weight": numbers}]}).splitlines()
    assert head.split()[:3] == ["name", "shape", "dtype"]
    expected = ["h.0.weight", "2 × 2", "float32", "3.54", "4", "2"]
    assert [part.strip() for part in line.split("  ") if part.strip()] == expected


def test_the_table_has_a_line_for_each_parameter_and_takes_empty_arrays():
    params = model()
    assert len(debug.table(params).splitlines()) == 1 + len(tree.flatten(params))
    assert "0" in debug.table({"nothing": np.zeros((0, 3))})


def test_signals_come_in_the_order_of_the_model_and_end_with_its_logits():
    params = model()
    seen = debug.signals(params, IDS, CFG)
    assert next(iter(seen)) == "embedding" and list(seen)[-2:] == ["ln_f", "logits"]
    assert [n for n in seen if n.count(".") == 1] == ["h.0", "h.1", "h.2"]
    expected = mg.gpt(params, IDS, CFG)
    np.testing.assert_allclose(seen["logits"], expected, rtol=0, atol=1e-5)


def test_the_first_array_that_is_not_finite_is_named():
    assert debug.first_not_finite(model(), IDS, CFG) is None
    params = model()
    params["h"][1]["mlp"]["c_proj"]["weight"][3, 4] = np.nan
    assert debug.first_not_finite(params, IDS, CFG) == "h.1.mlp.c_proj.weight"
    params = model()
    params["h"][1]["mlp"]["c_proj"]["bias"][:] = 3e38  # finite, and too much twice
    params["h"][2]["mlp"]["c_proj"]["bias"][:] = 3e38
    assert debug.first_not_finite(params, IDS, CFG) == "h.2.attn.weights"


def test_gradient_norms_are_lengths_and_relative_ones_are_shares():
    grads = {"a": np.array([3.0, 4.0]), "b": np.zeros(2), "c": np.array([2.0])}
    params = {"a": np.array([0.0, 10.0]), "b": np.zeros(2), "c": np.zeros(1)}
    assert debug.gradient_norms(grads) == {"a": 5.0, "b": 0.0, "c": 2.0}
    shares = debug.gradient_norms(grads, params)
    assert shares == {"a": 0.5, "b": 0.0, "c": math.inf}


def test_an_error_in_the_model_shows_in_the_gradient_norms():
    params = model()
    params["h"][1]["attn"]["c_proj"]["weight"][:] = 0.0  # nothing comes through
    _, grads = mg.value_and_grad(mg.next_token_loss)(params, IDS, IDS, CFG)
    norms = debug.gradient_norms(grads)
    assert norms["h.1.attn.c_attn.weight"] == 0.0 < norms["h.2.attn.c_attn.weight"]
    dead = mg.without_gradient(grads)
    assert dead[:3] == ["h.1.ln_1.weight", "h.1.ln_1.bias", "h.1.attn.c_attn.weight"]


@pytest.mark.parametrize(
    ("V", "T", "C", "L", "H", "B"),
    [(576, 96, 128, 2, 8, 16), (65, 256, 64, 4, 4, 8), (1000, 64, 256, 2, 4, 8)],
)
def test_the_estimate_of_memory_is_near_what_is_taken(V, T, C, L, H, B):
    cfg = mg.Config(vocab_size=V, n_ctx=T, n_embd=C, n_layer=L, n_head=H)
    params, ids = mg.init(cfg), np.random.default_rng(0).integers(V, size=(B, T))
    told = debug.memory(cfg, B)
    assert told["parameters"] == 4 * tree.size(params)
    tracemalloc.start()
    mg.value_and_grad(mg.next_token_loss)(params, ids, ids, cfg)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert told["activations"] == pytest.approx(peak, rel=0.15)


def test_what_memory_is_for():
    told, half = debug.memory(CFG, 4), debug.memory(CFG, 4, bytes_per_number=2)
    assert told["gradients"] == told["parameters"] == told["optimizer"] / 2
    assert half == {name: n // 2 for name, n in told.items()}
    kept = 3 * 16 * 16 + 2 * 16 + 2 * 64
    assert told["activations"] == 4 * 4 * 24 * kept


def test_a_gradient_that_is_no_number_stays_none():
    shares = debug.gradient_norms({"a": np.array([np.nan])}, {"a": np.zeros(1)})
    assert math.isnan(shares["a"])


def test_shorter_texts_take_less_memory():
    short, whole = debug.memory(CFG, 4, 12), debug.memory(CFG, 4)
    assert short["activations"] == whole["activations"] / 2
    assert short["optimizer"] == whole["optimizer"]
