"""Workers in processes of their own: what reaches them, and what comes back."""

import dataclasses
import os
import sys
import threading
import weakref

import numpy as np
import pytest
from small_model import CFG, same
from worker_runs import (
    IDS,
    IDS_,
    PARAMS,
    TARGETS,
    Mine,
    fit,
    left_in_memory,
    plain,
    there,
)

import minigpt as mg
from minigpt import parallel, tree, workers
from minigpt.ops import cross_entropy

# ---------------------------------------------------------------- what reaches them


def test_a_run_leaves_ordinary_memory(nothing_left):
    seen = []

    def sampler(params):
        seen.append(len(left_in_memory()))
        return "sample"

    result = fit(sampler=sampler)
    if sys.platform == "linux":
        assert max(seen) > 0  # so that the fixture would see it
    for array in tree.flatten(result.params).values():
        assert array.flags.owndata and array.flags.writeable
    assert len(nothing_left) == 1


def test_what_is_shared_is_not_kept_twice(nothing_left):
    state = mg.run.State.fresh(PARAMS, 0, 2)
    flat = tree.flatten(arrays(state))
    before = [weakref.ref(flat.pop(name)) for name in list(flat)]
    with mg.train.at_work(state, plain, 4):
        assert all(array() is None for array in before)


def test_no_more_processes_than_rows(nothing_left):
    fit(workers=9, batch_size=3)
    assert len(nothing_left) == 2


def test_one_worker_is_no_process(monkeypatch):
    monkeypatch.delattr(workers.subprocess, "Popen")
    params = fit(workers=1).params
    monkeypatch.undo()
    assert same(params, fit(workers=1).params)


def closures(tmp_path):
    rest = tree.map(np.copy, PARAMS)
    part = {"ln_f": PARAMS["ln_f"]}

    def on_a_part(part, *batch, **settings):
        (tmp_path / str(os.getpid())).touch()
        where = rest["wte"]["weight"]
        while isinstance(where.base, np.ndarray):
            where = where.base
        (tmp_path / f"base of {os.getpid()}").write_text(type(where.base).__name__)
        return plain(tree.merge(rest, part), *batch, **settings)

    def on_primitives(params, ids, targets, cfg, **settings):
        (tmp_path / str(os.getpid())).touch()
        return cross_entropy(mg.gpt(params, ids, cfg), targets)

    return {"on a part": (part, on_a_part), "on primitives": (PARAMS, on_primitives)}


@pytest.mark.parametrize("name", ["on a part", "on primitives"])
def test_a_closure_is_a_loss(name, tmp_path, nothing_left):
    params, loss = closures(tmp_path)[name]
    with parallel.step_function(loss, 2) as gradient:
        value, grads = gradient(params, IDS_, TARGETS, CFG)
    assert len(nothing_left) == 1
    assert (tmp_path / str(nothing_left[0].pid)).exists()
    expected, _ = mg.value_and_grad(loss)(params, IDS_, TARGETS, CFG)
    assert value == pytest.approx(float(expected), rel=1e-6)
    assert list(tree.flatten(grads)) == list(tree.flatten(params))
    if name == "on a part":  # frozen weights are shared: a memoryview of the mmap
        base = tmp_path / f"base of {nothing_left[0].pid}"
        assert base.read_text() in ("mmap", "memoryview", "PickleBuffer")


def test_a_lambda_is_a_loss(nothing_left):
    loss = lambda params, ids, targets, cfg, mask, rng: plain(params, ids, targets, cfg)  # noqa: E731
    assert same(fit(loss=loss).params, fit().params)


@pytest.mark.skipif(sys.platform == "win32", reason="processes need POSIX")
@pytest.mark.parametrize("why", ["the loss", "the system"])
def test_without_processes_there_are_threads(why, monkeypatch):
    lock = threading.Lock()  # cannot be sent

    def loss(*batch, **settings):
        with lock:
            return plain(*batch, **settings)

    expected = fit().params
    if why == "the system":
        monkeypatch.setattr(workers.subprocess, "Popen", _refused)
    sentence = (
        "are threads.*" + {"the loss": "pickle", "the system": "OSError: no more"}[why]
    )
    with pytest.warns(RuntimeWarning, match=sentence):
        params = fit(loss=loss if why == "the loss" else plain).params
    assert same(params, expected)


def _refused(*_, **__):
    raise OSError("no more processes")


def test_a_process_that_cannot_begin_gives_threads(monkeypatch, nothing_left):
    monkeypatch.setattr(workers.sys, "path", ["/"])  # finds no test, or no minigpt
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    why = "ended with code 1|No module named 'worker_runs'"
    with pytest.warns(RuntimeWarning, match=why):
        params = parallel.team(plain, PARAMS, workers=2)
        with params:
            pass


# ---------------------------------------------------------------- what comes back


def test_an_error_comes_back_as_itself(nothing_left):
    class Local(Mine):
        pass

    def does():
        raise Local("told")

    with pytest.raises(Local, match="told") as caught:
        fit(loss=there(does))
    assert caught.value.args == ("told",)
    assert "in does" in caught.value.__notes__[0]


def test_an_error_that_cannot_be_sent_is_told(nothing_left):
    class Odd(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} and {two}")

    def does():
        raise Odd("this", "that")

    with pytest.raises(RuntimeError, match="Odd: this and that"):
        fit(loss=there(does))


def test_after_an_error_the_others_go_on(nothing_left):
    def loss(params, ids, targets, cfg, **settings):
        if ids[0, 0] == 12:
            raise Mine
        return plain(params, ids, targets, cfg, **settings)

    bad = {"here": IDS_.copy(), "there": IDS_.copy()}
    bad["here"][0, 0] = bad["there"][2, 0] = 12
    good = np.minimum(IDS_, 11)
    with parallel.step_function(loss, 2) as gradient:
        expected = gradient(PARAMS, good, TARGETS, CFG)
        for ids in bad.values():
            with pytest.raises(Mine):
                gradient(PARAMS, np.where(ids == 12, 12, good), TARGETS, CFG)
            value, grads = gradient(PARAMS, good, TARGETS, CFG)
            assert value == expected[0] and same(grads, expected[1])
        assert len(nothing_left) == 1


def arrays(state):
    return [state.params, state.optimizer["m"], state.optimizer["v"]]


@pytest.mark.parametrize(
    "factor, what", [(np.inf, "loss"), (1e30, "length of the gradient")]
)
def test_a_loss_that_is_no_number_leaves_the_parameters(factor, what, nothing_left):
    state = mg.run.State.fresh(PARAMS, 0, 2)
    settings = mg.run.Settings(
        steps=9, batch_size=4, lr=1e-3, min_lr=0, warmup=0, weight_decay=0.1,
        betas=(0.9, 0.95), clip=1.0, seed=0, data=0)  # fmt: skip

    def loss(params, ids, targets, cfg, **given):
        big = np.float32(factor if ids[0, 0] > 20 else 1)
        return plain(params, ids % 13, targets % 13, cfg) * big

    with mg.train.at_work(state, loss, 4) as team:
        mg.train.update(state, CFG, IDS, settings, team)
        before = tree.map(np.copy, arrays(state))
        with pytest.raises(FloatingPointError, match=f"at step 2 the {what} is inf"):
            mg.train.update(state, CFG, IDS + 26, settings, team)
        assert same(arrays(state), before)
    assert same(arrays(state), before)


def test_dropout_is_resumed_to_the_same_bits_in_threads(tmp_path, monkeypatch):
    cfg = dataclasses.replace(CFG, dropout=0.2)
    given = {"steps": 6, "batch_size": 4, "workers": 2, "progress": False}
    whole = mg.fit(PARAMS, cfg, IDS, **given).params
    monkeypatch.setattr(workers, "INHERITS", False)
    assert same(mg.fit(PARAMS, cfg, IDS, **given).params, whole)
