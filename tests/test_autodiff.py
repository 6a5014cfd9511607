"""Derivatives: right gradients, and a sentence for every misuse."""

import numpy as np
import pytest
from small_model import CFG, batch, noisy

import minigpt as mg
from minigpt import ops, tree
from minigpt.autodiff import Primitive, value_and_grad

PARAMS = {"a": np.array([1.0, -2.0, 3.0]), "b": np.array([0.5, 4.0, -1.0])}


def gradient(loss, params=PARAMS):
    return value_and_grad(loss)(params)[1]


# ---------------------------------------------------------------- right


def test_a_whole_gpt_by_finite_differences():
    ids, targets, mask = batch()
    off = mg.check_grads(mg.next_token_loss, noisy(), ids, targets, CFG, mask=mask)
    assert set(off) == set(tree.flatten(noisy())) and max(off.values()) < 1e-8


def test_value_is_that_of_the_plain_run():
    ids, targets, _ = batch()
    value, grads = value_and_grad(mg.next_token_loss)(noisy(), ids, targets, CFG)
    assert value == mg.next_token_loss(noisy(), ids, targets, CFG)
    shapes = {n: a.shape for n, a in tree.flatten(noisy()).items()}
    assert {n: g.shape for n, g in tree.flatten(grads).items()} == shapes


def test_operators_on_either_side_of_plain_arrays():
    c, m = np.array([2.0, 3.0, 5.0]), np.arange(9.0).reshape(3, 3)

    def loss(p):
        a, b = p["a"], p["b"]
        y = (c + a) * b - a / 2 + (1.0 - b) * c + (c - a) + (c * b) + a / c
        return ops.sum((y + c)[1:]) + ops.sum(m @ (a[:, None] @ b[None, :]) @ m)

    assert max(mg.check_grads(loss, PARAMS).values()) < 1e-9


def test_an_array_used_twice_gets_both_gradients():
    grads = gradient(lambda p: ops.sum(p["a"] * p["a"] + p["a"] * p["b"]))
    np.testing.assert_allclose(grads["a"], 2 * PARAMS["a"] + PARAMS["b"])
    grads = gradient(lambda p: ops.sum(p["a"]) + ops.sum(p["a"][1:]) + p["a"][0])
    np.testing.assert_array_equal(grads["a"], [2, 2, 2])
    np.testing.assert_array_equal(grads["b"], [0, 0, 0])


def test_a_gradient_shared_by_two_is_not_added_to_in_place():
    w, v = np.array([2.0, 3.0, 5.0]), np.array([7.0, 11.0, 13.0])

    def both(p):  # backwards: a and b get one and the same array here
        return ops.sum((p["a"] + p["b"]) * w)

    grads = gradient(lambda p: ops.sum(p["a"] * v) + both(p))
    np.testing.assert_array_equal(grads["a"], v + w)
    np.testing.assert_array_equal(grads["b"], w)
    grads = gradient(lambda p: ops.sum(p["a"][1:] * v[1:]) + both(p))
    np.testing.assert_array_equal(grads["a"], w + v * [0, 1, 1])
    np.testing.assert_array_equal(grads["b"], w)


def test_what_the_loss_does_not_use_is_skipped():
    def loss(p):
        unused = ops.softmax(p["a"] * p["b"])
        assert unused.shape == (3,)
        return ops.sum(p["b"])

    grads = gradient(loss)
    assert grads["a"].tolist() == [0, 0, 0] and grads["b"].tolist() == [1, 1, 1]


def test_one_array_is_a_tree_and_a_loss_may_be_a_parameter():
    value, d = value_and_grad(lambda x: x)(np.array(3.0))
    assert value == 3 and d == 1 and d.shape == ()
    value, d = value_and_grad(lambda x: ops.sum(x * x))(np.array([3.0]))
    assert value == 9 and d == [6]


def test_gradients_are_the_callers_own_to_change():
    grads = gradient(lambda p: ops.sum(p["a"] + p["b"]))
    grads["a"] *= 5
    np.testing.assert_array_equal(grads["b"], [1, 1, 1])
    for loss in (lambda p: ops.sum(p["a"]), lambda p: ops.sum(p["a"][None])):
        grads = gradient(loss)
        grads["a"] += 1
        np.testing.assert_array_equal(grads["a"], [2, 2, 2])


def test_a_gradient_has_the_dtype_of_its_parameter():
    wide = np.ones(3)
    value, d = value_and_grad(lambda x: ops.sum(x * wide))(np.ones(3, np.float32))
    assert value.dtype == np.float64 and d.dtype == np.float32


@pytest.mark.parametrize("part", ["wte", "wpe", "h", "ln_f"])
def test_any_part_can_be_trained_alone(part):
    ids, targets, _ = batch()
    params = noisy()

    def loss(trained):
        return mg.next_token_loss(params | trained, ids, targets, CFG)

    whole = value_and_grad(mg.next_token_loss)(params, ids, targets, CFG)[1]
    alone = value_and_grad(loss)({part: params[part]})[1]
    for name, g in tree.flatten(alone).items():
        np.testing.assert_allclose(g, tree.flatten(whole)[name], atol=1e-15)


def test_without_gradient_names_what_the_loss_does_not_reach():
    ids, targets, _ = batch()
    params = noisy() | {"spare": {"weight": np.ones(2)}}
    grads = value_and_grad(mg.next_token_loss)(params, ids, targets, CFG)[1]
    assert mg.without_gradient(grads) == ["spare.weight"]


# ---------------------------------------------------------------- wrong rules


def square_with_rule(rule):
    square = Primitive(lambda x: x * x)
    square.__name__ = "square"
    square.vjp(rule)
    return lambda p: ops.sum(square(p["a"])) + ops.sum(p["b"])


def test_a_planted_wrong_rule_is_caught():
    right = square_with_rule(lambda _y, x: (lambda dy: 2 * x * dy,))
    assert mg.check_grads(right, PARAMS)["a"] < 1e-9
    wrong = square_with_rule(lambda _y, x: (lambda dy: 2.001 * x * dy,))
    with pytest.raises(ValueError, match=r"gradient of 'a' is off by 5\.0e-04"):
        mg.check_grads(wrong, PARAMS)


def test_a_gradient_of_nan_is_caught():
    nan = square_with_rule(lambda _y, x: (lambda dy: np.nan * x,))
    with pytest.raises(ValueError, match="gradient of 'a' is off by nan"):
        mg.check_grads(nan, PARAMS)


def test_a_primitive_without_a_rule_says_so():
    cube = Primitive(lambda x: x * x * x)
    cube.__name__ = "cube"
    with pytest.raises(ValueError, match="cube has no derivative rule"):
        gradient(lambda p: ops.sum(cube(p["a"])))
    p = np.array([True, True, False])
    with pytest.raises(ValueError, match="softmax has no derivative by argument 1"):
        value_and_grad(lambda x: ops.sum(ops.softmax(PARAMS["a"], x)))(p * 1.0)


# ---------------------------------------------------------------- misuse

MISUSES = {
    "not a number": (lambda p: p["a"] * 2.0, ValueError, "one number.*shape"),
    "untraced": (lambda p: 3.0, ValueError, "does not depend on the parameters"),
    "nested": (
        lambda p: value_and_grad(lambda q: ops.sum(q["a"]))(p)[0],
        ValueError,
        "cannot be nested",
    ),
    "mixed": (
        lambda p: value_and_grad(lambda x: ops.sum(x * p["a"]))(np.ones(3))[0],
        ValueError,
        "arrays of two tapes",
    ),
    "another's loss": (
        lambda p: value_and_grad(lambda x: ops.sum(p["a"]))(np.ones(3))[0],
        ValueError,
        "another tape",
    ),
    "np.exp": (lambda p: np.exp(p["a"]), TypeError, r"np\.exp.*minigpt\.ops"),
    "np.mean": (lambda p: np.mean(p["a"]), TypeError, r"np\.mean.*minigpt\.ops"),
    "np.asarray": (lambda p: np.asarray(p["a"]), TypeError, r"minigpt\.ops"),
    "in place": (lambda p: np.ones(3).__iadd__(p["a"]), TypeError, r"minigpt\.ops"),
    "reduce": (lambda p: np.add.reduce(p["a"]), TypeError, r"minigpt\.ops"),
    "method": (lambda p: p["a"].mean(), AttributeError, r"'mean'.*minigpt\.ops"),
    "power": (lambda p: p["a"] ** 2, TypeError, r"minigpt\.ops"),
    "divide by": (lambda p: 1.0 / p["a"], TypeError, r"minigpt\.ops"),
    "branch": (lambda p: 1 if ops.sum(p["a"]) > 0 else 2, TypeError, "a branch"),
    "equality": (lambda p: ops.sum(p["a"]) == 0, TypeError, "a branch"),
    "truth": (lambda p: 1 if ops.sum(p["a"]) else 2, TypeError, "a branch"),
    "float": (lambda p: float(ops.sum(p["a"])), TypeError, "conversion to a number"),
    "loop": (lambda p: list(p["a"]), TypeError, "loop"),
    "ids in []": (lambda p: p["a"][np.array([0, 0])], TypeError, r"ops\.embed"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_gets_a_sentence(name):
    loss, error, sentence = MISUSES[name]
    with pytest.raises(error, match=sentence):
        gradient(loss)


@pytest.mark.parametrize("leaf", [np.arange(3), np.ones(3, bool), [1, 2], 2.0, 1j])
def test_parameters_are_floating_point_arrays(leaf):
    with pytest.raises(TypeError, match=r"the parameter 'w"):
        gradient(lambda p: ops.sum(p["w"]), {"w": leaf})


def test_a_traced_array_does_not_outlive_its_tape():
    kept = []

    def loss(p):
        kept.append(p["a"])
        return ops.sum(p["a"])

    gradient(loss)
    with pytest.raises(ValueError, match="outlived its tape"):
        ops.sum(kept[0])


def test_an_independent_gradient_inside_a_loss_is_fine():
    def loss(p):
        inner = gradient(lambda q: ops.sum(q["a"] * q["a"]))["a"]
        return ops.sum(p["a"] * inner)

    np.testing.assert_array_equal(gradient(loss)["a"], 2 * PARAMS["a"])
