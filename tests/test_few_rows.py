"""Products of a few rows and a large weight, which are computed in another order."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minigpt import ops
from minigpt.ops.few_rows import FEW, PART

RNG = np.random.default_rng(0)
SHAPES = [(1024, 2 * PART // 1024), (1031, 1033), (PART // 7 + 1, 9)]


def order_of(x, weight):
    """`ops.linear`, and how many products of single rows it made."""

    class Watched(np.ndarray):
        products = 0

        def __matmul__(self, other):
            Watched.products += self.ndim == 1
            return np.asarray(self) @ np.asarray(other)

    y = ops.linear(x.view(Watched), weight)
    return np.asarray(y), Watched.products


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_product_is_the_same(shape, turned, dtype):
    weight = RNG.standard_normal(shape).astype(dtype)
    weight = np.asfortranarray(weight) if turned else weight
    bias = RNG.standard_normal(shape[1]).astype(dtype)
    for rows in (1, 2, FEW, FEW + 1):
        x = RNG.standard_normal((rows, 1, shape[0])).astype(dtype)
        y = ops.linear(x, weight, bias)
        exact = x.astype(float) @ weight.astype(float) + bias
        assert y.dtype == dtype and y.shape == exact.shape
        assert_allclose(y, exact, atol=200 * np.finfo(dtype).eps * shape[0] ** 0.5)


def test_only_few_rows_of_a_large_weight_are_taken_singly():
    large, small = np.ones((1024, PART // 512)), np.ones((1024, PART // 1024 - 1))
    for rows, weight, singly in ((1, large, 0), (2, large, 4), (FEW, large, 2 * FEW),
                                 (FEW + 1, large, 0), (2, small, 0)):  # fmt: skip
        x = RNG.standard_normal((rows, 1024))
        y, products = order_of(x, weight)
        assert products == singly, (rows, weight.shape)
        assert_allclose(y, x @ weight)


def test_rows_do_not_know_of_each_other():
    weight = RNG.standard_normal((1024, PART // 512), np.float32)
    x = RNG.standard_normal((4, 1024), np.float32)
    assert_array_equal(ops.linear(x, weight)[:2], ops.linear(x[:2], weight))
