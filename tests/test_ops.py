"""Every primitive four ways: finite differences, array-api-strict, JAX, float32."""

import numpy as np
import pytest
from small_model import import_or_skip

from minigpt import check_grads, ops, value_and_grad
from minigpt.autodiff import Primitive

PRIMITIVES = {n: p for n, p in vars(ops).items() if isinstance(p, Primitive)}
RNG = np.random.default_rng(0)
IDS = np.array([[3, 0, 3, 5], [1, 3, 0, 0]])
CAUSAL = np.tri(4, 5, 1, dtype=bool)
MASK = np.array([[True, False, True, True], [False, False, True, False]])


def normal(*shape):
    return RNG.standard_normal(shape)


# name, arrays (floating-point ones are differentiated), settings
TABLE = [
    ("add", (normal(2, 3, 4), normal(2, 3, 4)), {}),
    ("add", (normal(2, 1, 4), normal(3, 1)), {}),
    ("multiply", (normal(2, 3, 4), normal(2, 3, 4)), {}),
    ("multiply", (normal(4), normal(2, 3, 1)), {}),
    ("sum", (normal(2, 3, 4),), {}),
    ("sum", (normal(2, 3, 4),), {"axis": 1}),
    ("sum", (normal(2, 3, 4),), {"axis": (0, -1)}),
    ("matmul", (normal(2, 3, 4, 5), normal(2, 3, 5, 6)), {}),
    ("matmul", (normal(2, 3, 4), normal(4, 5)), {}),
    ("linear", (normal(2, 3, 4), normal(4, 5), normal(5)), {}),
    ("linear", (normal(3, 4), normal(4, 5)), {}),
    ("relu", (normal(3, 4),), {}),
    ("gelu", (3 * normal(3, 4),), {}),
    ("softmax", (normal(2, 4, 5),), {}),
    ("softmax", (5 * normal(2, 3, 4, 5), CAUSAL), {"scale": 0.3}),
    ("attention", (normal(2, 3, 4, 6), normal(2, 3, 5, 6), normal(2, 3, 5, 6)), {}),
    ("attention", (*(2 * normal(3, 2, 2, 70, 4)), np.tri(70, dtype=bool)), {}),
    ("layer_norm", (1 + 2 * normal(2, 3, 6), normal(6), normal(6)), {}),
    ("layer_norm", (normal(2, 6), normal(6), normal(6)), {"eps": 0.1}),
    ("cross_entropy", (3 * normal(2, 4, 6), IDS), {}),
    ("cross_entropy", (3 * normal(2, 4, 6), IDS, MASK), {}),
    ("embed", (normal(6, 3), IDS), {}),
    ("getitem", (normal(2, 3, 4),), {"key": (slice(None), -1, slice(0, 4, 2))}),
    ("getitem", (normal(2, 3, 4),), {"key": (..., slice(1, 3))}),
    ("reshape", (normal(2, 6),), {"shape": (3, 4)}),
    ("transpose", (normal(2, 3, 4, 5),), {"axes": (0, 3, 1, 2)}),
]
NAMES = [f"{row[0]}-{i}" for i, row in enumerate(TABLE)]
every_way = pytest.mark.parametrize("name, arrays, settings", TABLE, ids=NAMES)


def floating(arrays):
    """The arrays that have derivatives, by position."""
    return {str(i): a for i, a in enumerate(arrays) if a.dtype.kind == "f"}


def weighted(primitive, arrays, settings, weights):
    """A loss: the primitive's result, every entry with a weight of its own."""

    def loss(params):
        full = [params.get(str(i), a) for i, a in enumerate(arrays)]
        return ops.sum(ops.multiply(primitive(*full, **settings), weights))

    return loss


def weights_for(primitive, arrays, settings):
    shape = np.shape(primitive(*arrays, **settings))
    return np.random.default_rng(1).standard_normal(shape)


def test_the_table_has_every_primitive():
    assert set(PRIMITIVES) == {row[0] for row in TABLE}
    assert set(PRIMITIVES) == set(ops.__all__) - {"array_namespace"}
    assert all(p.rule is not None and p.__doc__ for p in PRIMITIVES.values())


@every_way
def test_finite_differences(name, arrays, settings):
    primitive = PRIMITIVES[name]
    weights = weights_for(primitive, arrays, settings)
    loss = weighted(primitive, arrays, settings, weights)
    off = check_grads(loss, floating(arrays), tolerance=1e-8, per_array=1000)
    assert len(off) == len(floating(arrays))


@every_way
def test_array_api_strict(name, arrays, settings):
    xp = import_or_skip("array_api_strict")
    result = PRIMITIVES[name](*(xp.asarray(a) for a in arrays), **settings)
    assert type(result).__module__.startswith("array_api_strict")
    expected = PRIMITIVES[name](*arrays, **settings)
    np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-13, atol=1e-14)


@pytest.fixture
def jax():
    jax = import_or_skip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


@every_way
def test_value_and_gradient_against_jax(name, arrays, settings, jax):
    primitive = PRIMITIVES[name]
    weights = weights_for(primitive, arrays, settings)
    params = floating(arrays)

    def forward(params):
        full = [params.get(str(i), jax.numpy.asarray(a)) for i, a in enumerate(arrays)]
        return primitive(*full, **settings)

    ours = {n: jax.numpy.asarray(a) for n, a in params.items()}
    y, pull = jax.vjp(jax.jit(forward), ours)
    plain = primitive(*arrays, **settings)
    np.testing.assert_allclose(y, plain, rtol=1e-12, atol=1e-13)
    (expected,) = pull(jax.numpy.asarray(weights))
    grads = value_and_grad(weighted(primitive, arrays, settings, weights))(params)[1]
    for position, g in grads.items():
        atol = 1e-12 * np.abs(g).max()
        np.testing.assert_allclose(g, expected[position], rtol=0, atol=atol)


@every_way
def test_float32_stays(name, arrays, settings):
    primitive = PRIMITIVES[name]
    weights = weights_for(primitive, arrays, settings)
    narrow = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
    assert primitive(*narrow, **settings).dtype == np.float32
    loss = weighted(primitive, narrow, settings, weights.astype(np.float32))
    value, grads = value_and_grad(loss)(floating(narrow))
    assert value.dtype == np.float32
    wide = value_and_grad(weighted(primitive, arrays, settings, weights))
    for position, g in wide(floating(arrays))[1].items():
        assert grads[position].dtype == np.float32
        np.testing.assert_allclose(grads[position], g, atol=1e-5 * np.abs(g).max())


@every_way
def test_inputs_are_never_changed(name, arrays, settings):
    frozen = [a.copy() for a in arrays]
    for a in frozen:
        a.flags.writeable = False
    primitive = PRIMITIVES[name]
    weights = weights_for(primitive, arrays, settings)
    value_and_grad(weighted(primitive, frozen, settings, weights))(floating(frozen))


def test_a_rule_does_not_change_the_gradient_that_it_is_given():
    for name, arrays, settings in TABLE:
        y = PRIMITIVES[name](*arrays, **settings)
        dy = np.ones_like(y)
        dy.flags.writeable = False
        rules = PRIMITIVES[name].rule(y, *arrays, **settings)
        if callable(rules):
            rules(dy)
            continue
        for rule, a in zip(rules, arrays, strict=False):
            if a.dtype.kind == "f":
                rule(dy)


def test_extremes_stay_finite():
    big = np.array([[1e4, -1e4, 0.0]], np.float32)
    np.testing.assert_array_equal(ops.softmax(big), [[1, 0, 0]])
    assert ops.cross_entropy(big, np.array([1])) == 2e4
    np.testing.assert_array_equal(ops.gelu(big), [[1e4, 0, 0]])
    np.testing.assert_array_equal(ops.relu(np.array([-np.inf, np.inf])), [0, np.inf])
    assert np.isfinite(ops.layer_norm(big * 0, np.ones(3), np.zeros(3))).all()


def test_softmax_gives_exact_zeros_where_masked():
    p = ops.softmax(normal(4, 5), CAUSAL)
    assert (p[~CAUSAL] == 0).all() and (p[CAUSAL] > 0).all()
    np.testing.assert_allclose(p.sum(-1), 1)
