"""AdamW by hand, its schedule, and clipping."""

import itertools
import math

import numpy as np
import pytest

from minigpt import optim, tree


def params():
    rng = np.random.default_rng(0)
    linear = {"weight": rng.standard_normal((3, 4)), "bias": np.ones(4)}
    return {"w": linear, "g": [5.0]}


def arrays(p):
    return tree.map(np.array, p)


def test_one_step_by_hand():
    p = {"weight": np.array([[2.0]]), "bias": np.array([2.0])}
    state = optim.adamw_init(p)
    grads = {"weight": np.array([[0.5]]), "bias": np.array([-0.5])}
    optim.adamw_update(p, grads, state, lr=0.1, betas=(0.9, 0.99), weight_decay=0.2)
    # the first corrected averages are the gradient and its square: a step of ± lr
    step = 0.1 * 0.5 / (0.5 + 1e-8)
    assert p["weight"][0, 0] == pytest.approx(2 * (1 - 0.1 * 0.2) - step, rel=1e-14)
    assert p["bias"][0] == pytest.approx(2 + step, rel=1e-14)
    assert state["step"] == 1
    np.testing.assert_allclose(state["m"]["weight"], 0.05)
    np.testing.assert_allclose(state["v"]["bias"], 0.0025)


def test_two_steps_by_the_paper():
    w, lr, b1, b2, eps = 3.0, 0.01, 0.8, 0.9, 1e-3
    p = {"bias": np.array([w])}
    state = optim.adamw_init(p)
    m = v = 0.0
    for t, g in enumerate([0.3, -2.0, 0.7], 1):
        settings = {"lr": lr, "betas": (b1, b2), "eps": eps}
        optim.adamw_update(p, {"bias": np.array([g])}, state, **settings)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w -= lr * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + eps)
        assert p["bias"][0] == pytest.approx(w, rel=1e-13)


def test_decay_is_on_matrices_only():
    p = arrays(params())
    zero = tree.map(np.zeros_like, p)
    optim.adamw_update(p, zero, optim.adamw_init(p), lr=0.5, weight_decay=0.1)
    np.testing.assert_allclose(p["w"]["weight"], 0.95 * params()["w"]["weight"])
    np.testing.assert_array_equal(p["w"]["bias"], np.ones(4))
    assert p["g"][0] == 5.0


def test_float32_stays():
    p = tree.map(lambda a: np.asarray(a, np.float32), params())
    state = optim.adamw_init(p)
    optim.adamw_update(p, tree.map(np.ones_like, p), state, lr=1e-3)
    for part in (p, state["m"], state["v"]):
        assert {a.dtype for a in tree.flatten(part).values()} == {np.dtype("f4")}


def test_the_schedule():
    settings = {"steps": 110, "lr": 1.0, "min_lr": 0.1, "warmup": 10}
    lrs = [optim.cosine_schedule(s, **settings) for s in range(1, 111)]
    np.testing.assert_allclose(lrs[:10], np.arange(1, 11) / 10)
    assert lrs[59] == pytest.approx(0.55) and lrs[109] == pytest.approx(0.1)
    assert lrs[34] == pytest.approx(0.1 + 0.9 * (0.5 + math.sqrt(0.5) / 2))
    assert all(a > b for a, b in itertools.pairwise(lrs[9:]))


@pytest.mark.parametrize("warmup, expected", [(0, 0.1), (1, 1.0)])
def test_the_shortest_schedule(warmup, expected):
    settings = {"steps": 1, "lr": 1.0, "min_lr": 0.1, "warmup": warmup}
    assert optim.cosine_schedule(1, **settings) == pytest.approx(expected)


def test_clip_shortens_and_keeps_the_direction():
    grads = {"a": np.array([3.0]), "b": [np.array([[0.0, 4.0]])]}
    assert optim.global_norm(grads) == 5
    assert optim.clip(grads, 10) == 5 and grads["a"] == 3
    assert optim.clip(grads, 1.0) == 5
    assert optim.global_norm(grads) == pytest.approx(1)
    assert grads["a"][0] / grads["b"][0][0, 1] == pytest.approx(0.75)
    assert optim.clip(grads, 0) == pytest.approx(1)  # no limit


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clip_leaves_what_is_not_finite(bad):
    grads = {"a": np.array([bad, 1.0])}
    assert not math.isfinite(optim.clip(grads, 1.0))
    assert grads["a"][1] == 1.0
