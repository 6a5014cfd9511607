"""Attention in one piece is attention in three steps, also at the ends of float32."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt import ops, value_and_grad
from minigpt.attention import attention, attention_weights, causal_mask

SHAPE = 2, 3, 130, 5  # three blocks of queries, the last one short


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def both_gradients(q, k, v, mask):
    """Values and gradients of the fused attention and of the plain one."""
    weights = normal(*q.shape, seed=9).astype(q.dtype)

    def loss(params, attend):
        y = attend(params["q"], params["k"], params["v"], mask)
        return ops.sum(ops.multiply(y, weights))

    params = {"q": q, "k": k, "v": v}
    return [value_and_grad(loss)(params, way) for way in (ops.attention, attention)]


@settings(deadline=None, max_examples=25)
@given(
    st.tuples(*(st.integers(1, n) for n in (3, 3, 140, 9))),
    st.integers(0, 40),
    st.booleans(),
)
def test_it_is_softmax_and_two_products(shape, earlier, masked):
    B, H, T, D = shape
    q, k, v = 3 * normal(*shape), *normal(2, B, H, T + earlier, D)
    mask = causal_mask(T, T + earlier) if masked else None
    y = ops.attention(q, k, v, mask)
    np.testing.assert_allclose(y, attention(q, k, v, mask), rtol=0, atol=1e-13)
    (value, grads), (expected, others) = both_gradients(q, k, v, mask)
    assert value == pytest.approx(expected, rel=1e-11, abs=1e-11)
    for name in grads:
        np.testing.assert_allclose(grads[name], others[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 130), (130,), (130, 1)])
def test_a_mask_is_broadcast(shape):
    q, k, v = normal(3, *SHAPE)
    mask = np.ones(shape, bool)
    if shape[-1] > 1:
        mask[..., 100:] = False
    y = ops.attention(q, k, v, mask)
    np.testing.assert_allclose(y, attention(q, k, v, mask), rtol=0, atol=1e-13)


def test_a_text_of_no_tokens():
    nothing = np.zeros((1, 2, 0, 4))
    assert ops.attention(nothing, nothing, nothing).shape == nothing.shape


def test_a_mask_with_gaps():
    q, k, v = normal(3, *SHAPE)
    mask = np.random.default_rng(1).random((130, 130)) < 0.1
    mask[:, 7] = True
    y = ops.attention(q, k, v, mask)
    np.testing.assert_allclose(y, attention(q, k, v, mask), rtol=0, atol=1e-13)


@pytest.mark.parametrize("shift", [300.0, -300.0])
def test_scores_beyond_what_exp_can_take(shift):
    """All scores moved by ``shift``: each softmax stays the same."""
    q, k, v = normal(3, *SHAPE).astype(np.float32)
    mask = causal_mask(130)
    expected = ops.attention(q, k, v, mask)
    q = np.concatenate([q, np.ones_like(q[..., :1])], axis=-1) * math.sqrt(6 / 5)
    k = np.concatenate([k, np.full_like(k[..., :1], shift)], axis=-1)
    v = np.concatenate([v, v[..., :1]], axis=-1)
    y = ops.attention(q.astype(np.float32), k, v, mask)[..., :5]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-3)
    grads = both_gradients(q.astype(np.float32), k, v, mask)[0][1]
    assert all(np.isfinite(g).all() for g in grads.values())


def test_what_is_masked_may_be_anything():
    q, k, v = normal(3, *SHAPE).astype(np.float32)
    expected = ops.attention(q[:, :, :100], k[:, :, :100], v[:, :, :100])
    k[:, :, 100:] = 1e30
    mask = np.arange(130) < np.full((130, 1), 100)
    y = ops.attention(q, k, v, mask)[:, :, :100]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)


def test_softmax_of_scores_that_differ_by_more_than_exp_can_tell():
    scores = np.array([[-500.0, -500.0], [500.0, 0.0], [0.0, 1.0]], np.float32)
    p = ops.softmax(scores)
    np.testing.assert_allclose(p[:2], [[0.5, 0.5], [1, 0]])
    np.testing.assert_allclose(p[2], ops.softmax(scores[2:])[0], rtol=1e-6)


def test_not_a_number_stays_one():
    q, k, v = normal(3, *SHAPE)
    q[0, 0, 3] = np.nan
    y = ops.attention(q, k, v, causal_mask(130))
    assert np.isnan(y[0, 0, 3]).all() and np.isfinite(y[1]).all()
    assert np.isnan(attention_weights(q, k)[0, 0, 3]).all()


def test_a_query_that_may_see_nothing_has_no_average():
    q, k, v = normal(3, *SHAPE)
    mask = causal_mask(130)
    mask[70:] = False
    with np.errstate(invalid="ignore"):
        y, expected = ops.attention(q, k, v, mask), attention(q, k, v, mask)
    assert np.isnan(y[:, :, 70:]).all()
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-13)


def test_a_batch_of_none():
    nothing = np.zeros((0, 2, 4, 3))
    assert ops.attention(nothing, nothing, nothing, causal_mask(4)).shape == (
        0,
        2,
        4,
        3,
    )
    assert ops.softmax(np.zeros((0, 4))).shape == (0, 4)
