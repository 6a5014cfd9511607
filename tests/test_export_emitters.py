"""Every primitive in ONNX: the same numbers under ONNX Runtime as in NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_runs import narrow, run_graph
from test_ops import NAMES, PRIMITIVES, TABLE

from minigpt import ops
from minigpt.autodiff import Primitive
from minigpt.export.emitters import EMITTERS
from minigpt.export.graph import Dim, Graph

every_row = pytest.mark.parametrize("name, arrays, settings", TABLE, ids=NAMES)


def agree(name, arrays, settings, given=None):
    expected = PRIMITIVES[name](*map(narrow, arrays), **settings)
    y = run_graph(PRIMITIVES[name], arrays, settings, given)
    assert y.dtype == np.float32 and y.shape == np.shape(expected)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=2e-6)


def test_every_primitive_has_an_emitter():
    assert set(EMITTERS) == set(PRIMITIVES.values())


@every_row
def test_onnx_runtime_computes_what_numpy_computes(name, arrays, settings):
    agree(name, arrays, settings)


@every_row
def test_all_but_the_first_may_be_constants(name, arrays, settings):
    agree(name, arrays, settings, given=[0])


def test_a_primitive_without_an_emitter_is_named():
    @Primitive
    def square(x, /):
        """``x * x``."""
        return x * x

    x = Graph().input("x", (2,), "float32", "")
    with pytest.raises(ValueError, match=r"square cannot be exported.*emitters\.py"):
        square(x)
    with pytest.raises(AssertionError):  # and the test above would name it, too
        assert set(EMITTERS) == {*PRIMITIVES.values(), square}


def test_a_mask_that_hides_whole_rows_but_one():
    scores, mask = np.float32([[3, 1e4, -1e4]]), np.array([[False, False, True]])
    p = run_graph(ops.softmax, (scores, mask), {})
    assert p.tolist() == [[0, 0, 1]]
    many = np.random.default_rng(0).random((2, 1, 4, 5)) < 0.5  # one for each row
    many[..., 0] = True
    scores = np.random.default_rng(1).standard_normal((2, 3, 4, 5))
    expected = ops.softmax(narrow(scores), many, scale=0.7)
    p = run_graph(ops.softmax, (scores, many), {"scale": 0.7})
    np.testing.assert_allclose(p, expected, atol=1e-6)
    assert (p[~np.broadcast_to(many, p.shape)] == 0).all()


X = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)
places = st.integers(-6, 6) | st.none()
steps = st.sampled_from([None, 1, 2, -1, -2])


@st.composite
def keys(draw):
    """What may stand in [] behind an array of four axes."""
    parts = []
    for n in X.shape[: draw(st.integers(0, 4))]:
        one = st.integers(-n, n - 1)
        parts.append(draw(one | st.builds(slice, places, places, steps)))
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), ...)
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), None)
    return parts[0] if len(parts) == 1 and draw(st.booleans()) else tuple(parts)


@given(keys())
def test_any_key_cuts_as_numpy_does(key):
    y = run_graph(lambda x: x[key] + np.float32(0), (X,), {})
    np.testing.assert_array_equal(y, X[key])


def test_sizes_that_are_known_later_keep_their_names():
    g = Graph()
    B, T = Dim("batch", 2), Dim("sequence", 3)
    x = g.input("x", (B, T, 4), "float32", "")
    assert [str(n) for n in (x + x[:1]).shape] == ["batch", "sequence", "4"]
    y = ops.reshape(x, shape=(B, T, 2, 2))
    assert [str(n) for n in y.shape] == ["batch", "sequence", "2", "2"]
    assert g.constants[g.nodes[-1].inputs[1].name].tolist() == [0, 0, 2, 2]
    flat = ops.reshape(x, shape=(B * T, 4))
    assert g.constants[g.nodes[-1].inputs[1].name].tolist() == [-1, 4]
    assert str(flat.shape[0]) == "(batch) * sequence" and flat.shape[0] == 6
    assert x[:, -1:].shape == (B, 1, 4) and str(T + 0) == "sequence"
    with pytest.raises(ValueError, match="only one size"):
        ops.reshape(x, shape=(T, B, 4))
    with pytest.raises(ValueError, match="sequence is known at run time"):
        x[:, :T]


def test_what_is_no_primitive_is_refused():
    x = Graph().input("x", (2,), "float32", "")
    for use in (np.exp, float, lambda x: x > 0, lambda x: x**2):
        with pytest.raises(TypeError, match=r"minigpt\.ops"):
            use(x)
