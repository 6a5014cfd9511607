"""A batch shared among workers gives what one worker gives."""

import contextlib

import numpy as np
import pytest
from small_model import CFG, batch, close, noisy, same

import minigpt as mg
from minigpt import optim, parallel, tree, workers

PARAMS = noisy()
ADAMW = {"lr": 1e-2, "betas": (0.9, 0.95), "weight_decay": 0.3}


def step(count, mask=None, loss=mg.next_token_loss, seed=None):
    ids, targets, _ = batch(rows=5)
    with parallel.step_function(loss, count) as gradient:
        return gradient(PARAMS, ids, targets, CFG, mask=mask, seed=seed)


def whole(mask=None):
    ids, targets, _ = batch(rows=5)
    return mg.value_and_grad(mg.next_token_loss)(PARAMS, ids, targets, CFG, mask=mask)


def masks():
    uneven = batch(rows=5)[2]
    uneven[0] = True
    empty = uneven.copy()
    empty[3:] = False  # the last of three parts counts nothing
    one = np.zeros_like(uneven)
    one[4, 2] = True
    return {"one": one, "none": None, "uneven": uneven, "an empty part": empty}


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_the_sum_of_the_parts_is_the_whole(count):
    ids, targets, _ = batch(rows=5)
    with parallel.step_function(mg.next_token_loss, count) as gradient:
        for name, mask in masks().items():
            loss, grads = gradient(PARAMS, ids, targets, CFG, mask=mask)
            expected, expected_grads = whole(mask)
            assert loss == pytest.approx(float(expected), rel=1e-13), name
            assert close(grads, expected_grads, 1e-12), name


def test_one_worker_is_the_plain_gradient():
    assert same(step(1)[1], whole()[1])


def test_the_same_number_of_workers_gives_the_same_bits():
    first = step(3)
    for _ in range(2):
        loss, grads = step(3)
        assert loss == first[0] and same(grads, first[1])


def test_a_gradient_that_was_given_stays():
    ids, targets, _ = batch(rows=5)
    with parallel.step_function(mg.next_token_loss, 2) as gradient:
        _, first = gradient(PARAMS, ids, targets, CFG)
        kept = tree.map(np.copy, first)
        gradient(PARAMS, targets, ids, CFG)
    assert same(first, kept)


@pytest.mark.parametrize("count", [1, 2])
def test_parameters_that_were_given_stay(count):
    ids, targets, _ = batch(rows=5)
    first = tree.map(np.copy, PARAMS)
    with parallel.step_function(mg.next_token_loss, count) as gradient:
        gradient(first, ids, targets, CFG)
        gradient(tree.map(lambda a: a + 1, PARAMS), ids, targets, CFG)
    assert same(first, PARAMS)


def test_other_parameters_may_come():
    ids, targets, _ = batch(rows=5)
    single = tree.map(np.float32, PARAMS)
    with parallel.step_function(mg.next_token_loss, 2) as gradient:
        expected = gradient(PARAMS, ids, targets, CFG)[1]
        in_single = gradient(single, ids, targets, CFG)[1]
        assert same(gradient(PARAMS, ids, targets, CFG)[1], expected)
    assert {g.dtype for g in tree.flatten(in_single).values()} == {np.dtype("f4")}
    assert close(in_single, expected, 1e-4)


def three_steps(count, limit=0.5):
    """``(loss, norm)`` of each, and the parameters and averages afterwards."""
    params, told = tree.map(np.copy, PARAMS), []
    with parallel.team(
        mg.next_token_loss, params, optim.adamw_init(params), count
    ) as team:
        for number in range(3):
            ids, targets, mask = batch(rows=5, seed=number)
            told.append(team.gradient(ids, targets, CFG, mask=mask))
            team.update(limit=limit, **ADAMW)
        return told, tree.map(np.copy, [team.params, team.optimizer])


@contextlib.contextmanager
def in_threads(monkeypatch):
    monkeypatch.setattr(workers, "INHERITS", False)
    yield
    monkeypatch.undo()


@contextlib.contextmanager
def one_after_another(monkeypatch):
    monkeypatch.setattr(workers, "Thread", lambda share, pool: workers.Here(share))
    with in_threads(monkeypatch):
        yield


@pytest.mark.parametrize("other", [in_threads, one_after_another])
@pytest.mark.parametrize("count", [2, 3])
def test_processes_threads_and_one_after_another_give_the_same_bits(
    count, other, monkeypatch
):
    told, trees = three_steps(count)
    with other(monkeypatch):
        others_told, others_trees = three_steps(count)
    assert told == others_told and same(trees, others_trees)


@pytest.mark.parametrize("limit", [0.0, 0.5])
def test_steps_are_those_of_the_optimiser(limit):
    params, gradient = tree.map(np.copy, PARAMS), mg.value_and_grad(mg.next_token_loss)
    state, expected = optim.adamw_init(params), []
    for number in range(3):
        ids, targets, mask = batch(rows=5, seed=number)
        loss, grads = gradient(params, ids, targets, CFG, mask=mask)
        expected.append((float(loss), optim.clip(grads, limit)))
        optim.adamw_update(params, grads, state, **ADAMW)
    assert min(norm for _, norm in expected) > 0.5  # the limit is felt
    for count in 1, 2, 4:
        told, trees = three_steps(count, limit)
        assert np.allclose(told, expected, rtol=1e-12, atol=0)
        assert trees[1].pop("step") == 3
        moments = {name: state[name] for name in ("m", "v")}
        assert close(trees, [params, moments], 1e-8)
    assert same(three_steps(1, limit)[1][0], params)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_number_belongs_to_one_worker(count):
    params = tree.map(np.copy, PARAMS)
    params |= {"one": np.array(1.0), "none": np.zeros((0, 3)), "absent": None}
    parts = [
        tree.flatten(parallel.part_of(params, number, count)) for number in range(count)
    ]
    for part in parts:
        for name, a in part.items():
            assert a.ndim == max(1, tree.flatten(params)[name].ndim) or count == 1
            a += 1000
    assert all((a > 990).all() for a in tree.flatten(params).values())
    assert all((a < 1010).all() for a in tree.flatten(params).values())
    sizes = [sum(a.size for a in part.values()) for part in parts]
    row = 4 * CFG.n_embd
    assert sum(sizes) == tree.size(params) and max(sizes) - min(sizes) <= 2 * row


def test_a_batch_that_counts_nothing_gets_a_sentence():
    with pytest.raises(ValueError, match="leaves out every position"):
        step(2, mask=np.zeros((5, 8), bool))


def test_each_worker_has_a_generator_of_its_own(tmp_path):
    def loss(params, ids, targets, cfg, *, mask=None, rng=None):
        (tmp_path / str(len(ids))).write_text(repr(rng.random()))
        return mg.next_token_loss(params, ids, targets, cfg, mask=mask)

    step(2, loss=loss, seed=[3, 7])
    drawn = {path.name: float(path.read_text()) for path in tmp_path.iterdir()}
    first, second = (np.random.default_rng([3, 7, n]).random() for n in (0, 1))
    assert drawn == {"3": first, "2": second}


def test_small_steps_get_one_worker(monkeypatch):
    monkeypatch.setattr(parallel, "processors", lambda: 8)
    assert parallel.choose_workers(1000, 100, 12) == 1
    assert parallel.choose_workers(10**6, 1000, 12) == 8
    assert parallel.choose_workers(10**6, 1000, 3) == 3
    monkeypatch.undo()
    assert parallel.processors() >= 1
