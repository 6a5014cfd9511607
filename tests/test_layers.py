"""Attention, layer norm, linear and dropout, each against its definition."""

import numpy as np

from minigpt import attention, layers


def test_causal_mask_of_the_last_queries():
    square = [[True, False, False], [True, True, False], [True, True, True]]
    assert attention.causal_mask(3).tolist() == square
    assert attention.causal_mask(2, 3).tolist() == square[1:]


def test_attention_by_hand():
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 2, 3, 4, 5))
    out = attention.attention(q, k, v, attention.causal_mask(4))
    for b, h, t in np.ndindex(2, 3, 4):
        scores = np.exp(k[b, h, : t + 1] @ q[b, h, t] / np.sqrt(5))
        expected = scores @ v[b, h, : t + 1] / scores.sum()
        np.testing.assert_allclose(out[b, h, t], expected)


def test_heads_are_split_and_merged():
    x = np.arange(24.0).reshape(1, 2, 12)
    heads = attention.split_heads(x, 3)
    assert heads.shape == (1, 3, 2, 4)
    np.testing.assert_array_equal(heads[0, 1, 0], x[0, 0, 4:8])
    np.testing.assert_array_equal(attention.merge_heads(heads), x)


def test_linear_adds_lora():
    rng = np.random.default_rng(0)
    x, a, b = (rng.standard_normal(s) for s in ((2, 3, 4), (4, 2), (2, 5)))
    plain = {"weight": rng.standard_normal((4, 5)), "bias": rng.standard_normal(5)}
    lora = plain | {"lora_a": a, "lora_b": b}
    merged = plain | {"weight": plain["weight"] + a @ b}
    np.testing.assert_allclose(layers.linear(x, lora), layers.linear(x, merged))


def test_layer_norm_gives_mean_0_and_variance_1():
    x = 5 + 3 * np.random.default_rng(0).standard_normal((4, 1000))
    y = layers.layer_norm(x, {"weight": np.ones(1000), "bias": np.zeros(1000)})
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(-1), 1, atol=1e-4)


def test_dropout_keeps_the_expected_value():
    x = np.ones((200, 500), np.float32)
    y = layers.drop(x, 0.25, np.random.default_rng(0))
    assert y.dtype == np.float32
    assert set(np.unique(y)) == {0.0, np.float32(1) / np.float32(0.75)}
    assert abs(y.mean() - 1) < 5 * np.sqrt(1 / 3 / x.size)
    assert layers.drop(x, 0.25, None) is x
    assert layers.drop(x, 0.0, np.random.default_rng(0)) is x
