"""The same functions, compiled and differentiated by JAX, give the same numbers."""

import numpy as np
import pytest
from small_model import CFG, batch, close, import_or_skip, noisy

import minigpt as mg
from minigpt import tree

jax = import_or_skip("jax")


@pytest.fixture(autouse=True)
def wide():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-4)])
@pytest.mark.parametrize("masked", [False, True])
def test_loss_and_gradient_of_the_whole_gpt(dtype, tolerance, masked):
    params = noisy(dtype=dtype)
    ids, targets, mask = batch()
    mask = mask if masked else None

    def loss(params, ids, targets):
        return mg.next_token_loss(params, ids, targets, CFG, mask=mask)

    theirs = tree.map(jax.numpy.asarray, params)
    ids_there, targets_there = jax.numpy.asarray(ids), jax.numpy.asarray(targets)
    compiled = jax.jit(jax.value_and_grad(loss))
    value, expected = compiled(theirs, ids_there, targets_there)
    ours, grads = mg.value_and_grad(loss)(params, ids, targets)
    assert float(ours) == pytest.approx(float(value), rel=tolerance)
    assert value.dtype == dtype
    assert close(grads, tree.map(np.asarray, expected), tolerance)


def test_logits_compiled():
    ids = batch()[0]
    theirs = tree.map(jax.numpy.asarray, noisy())
    logits = jax.jit(lambda p, ids: mg.gpt(p, ids, CFG))(theirs, jax.numpy.asarray(ids))
    assert close({"": np.asarray(logits)}, {"": mg.gpt(noisy(), ids, CFG)}, 1e-12)


def test_the_tape_refuses_arrays_of_jax():
    with pytest.raises(TypeError, match=r"there is jax\.value_and_grad"):
        mg.value_and_grad(lambda p: p)(jax.numpy.ones(()))
