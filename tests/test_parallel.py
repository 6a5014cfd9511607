"""A batch shared among threads gives what one thread gives."""

import numpy as np
import pytest
from small_model import CFG, batch, close, noisy, same

import minigpt as mg
from minigpt import parallel

PARAMS = noisy()


def step(workers, rows=5, mask=None, loss=mg.next_token_loss, rngs=None):
    ids, targets, _ = batch(rows=rows)
    with parallel.step_function(loss, workers) as gradient:
        return gradient(PARAMS, ids, targets, CFG, mask=mask, rngs=rngs)


def whole(rows=5, mask=None):
    ids, targets, _ = batch(rows=rows)
    return mg.value_and_grad(mg.next_token_loss)(PARAMS, ids, targets, CFG, mask=mask)


def masks():
    uneven = batch(rows=5)[2]
    uneven[0] = True
    empty = uneven.copy()
    empty[3:] = False  # the last of three parts counts nothing
    one = np.zeros_like(uneven)
    one[4, 2] = True
    return {"none": None, "uneven": uneven, "an empty part": empty, "one": one}


@pytest.mark.parametrize("name", masks())
@pytest.mark.parametrize("workers", [1, 2, 3, 5, 9])
def test_the_sum_of_the_parts_is_the_whole(name, workers):
    mask = masks()[name]
    loss, grads = step(workers, mask=mask)
    expected, expected_grads = whole(mask=mask)
    assert loss == pytest.approx(float(expected), rel=1e-13)
    assert close(grads, expected_grads, 1e-12)


def test_one_worker_is_the_plain_gradient():
    assert same(step(1)[1], whole()[1])


def test_the_same_number_of_workers_gives_the_same_bits():
    first = step(3)
    for _ in range(5):
        loss, grads = step(3)
        assert loss == first[0] and same(grads, first[1])


def test_a_batch_that_counts_nothing_gets_a_sentence():
    with pytest.raises(ValueError, match="leaves out every position"):
        step(2, mask=np.zeros((5, 8), bool))


def test_each_worker_has_a_generator_of_its_own():
    seen = []

    def loss(params, ids, targets, cfg, *, mask=None, rng=None):
        seen.append((len(ids), rng))
        return mg.next_token_loss(params, ids, targets, cfg, mask=mask)

    step(2, loss=loss, rngs=["first", "second"])
    assert sorted(seen) == [(2, "second"), (3, "first")]


def test_an_error_in_a_worker_is_raised():
    def loss(params, ids, targets, cfg, *, mask=None, rng=None):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        step(2, loss=loss)


def test_small_steps_get_one_worker(monkeypatch):
    monkeypatch.setattr(parallel, "processors", lambda: 8)
    assert parallel.choose_workers(1000, 100, 12) == 1
    assert parallel.choose_workers(10**6, 1000, 12) == 8
    assert parallel.choose_workers(10**6, 1000, 3) == 3
    monkeypatch.undo()
    assert parallel.processors() >= 1
