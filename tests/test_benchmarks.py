"""The programs that measure: what they count and compare. Nothing is timed here."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from benchmark_programs import FOLDER, importable
from small_model import CFG, batch, close, import_or_skip, noisy

import minigpt as mg
from minigpt.run import State

import memory  # isort: skip
import operations  # isort: skip
import report  # isort: skip
import rounds  # isort: skip
import scalar_tape  # isort: skip
import shakespeare  # isort: skip
import steppers  # isort: skip
import training  # isort: skip
import unfused  # isort: skip

IDS = np.random.default_rng(0).integers(0, CFG.vocab_size, 500)


def without(monkeypatch, *names):
    """Block some libraries."""
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "torch_gpt", raising=False)


# ---------------------------------------------------------------- what is counted


class Counting(np.ndarray):
    """An array that counts the operations of the matrix products that it is in."""

    operations = 0

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **settings):
        plain = [np.asarray(a) if isinstance(a, Counting) else a for a in inputs]
        if out:
            settings["out"] = tuple(np.asarray(a) for a in out)
        result = getattr(ufunc, method)(*plain, **settings)
        if ufunc is np.matmul:
            Counting.operations += 2 * result.size * plain[0].shape[-1]
        return result.view(Counting) if isinstance(result, np.ndarray) else result


@pytest.mark.parametrize("layers, rows, context", [(1, 3, 8), (2, 2, 5)])
def test_the_formula_is_what_a_step_does(layers, rows, context):
    shape = {"n_ctx": context, "n_embd": 12, "n_layer": layers, "n_head": 3}
    cfg = mg.Config(vocab_size=13, **shape)
    params = mg.tree.map(lambda a: a.view(Counting), noisy(cfg))
    ids, targets, _ = batch(cfg, rows)
    Counting.operations = 0
    mg.value_and_grad(unfused.loss)(params, ids, targets, cfg)
    assert Counting.operations == operations.step_operations(cfg, rows)
    assert mg.tree.size(params) == operations.parameters(cfg)


def test_the_causal_half_is_less_by_what_the_mask_hides():
    full, half = (operations.step_operations(CFG, 1, causal) for causal in (0, 1))
    T, C, L = CFG.n_ctx, CFG.n_embd, CFG.n_layer
    hidden = T * (T - 1) // 2  # pairs, in each of two products, thrice, two operations
    assert full - half == L * hidden * C * 2 * 3 * 2


@pytest.mark.parametrize("name", ["unfused", "scalar_tape"])
def test_the_plainer_models_have_the_packages_gradients(name):
    other = {"unfused": mg.value_and_grad(unfused.loss)}
    other["scalar_tape"] = scalar_tape.gradient
    params, (ids, targets, _) = noisy(), batch(rows=2)
    value, grads = other[name](params, ids, targets, CFG)
    ours, expected = mg.value_and_grad(mg.next_token_loss)(params, ids, targets, CFG)
    assert float(value) == pytest.approx(float(ours), rel=1e-12)
    assert close(grads, expected, 1e-11)


def test_the_unfused_model_stays_in_single_precision():
    params, (ids, targets, _) = noisy(dtype=np.float32), batch(rows=2)
    value, grads = mg.value_and_grad(unfused.loss)(params, ids, targets, CFG)
    assert value.dtype == np.float32
    assert all(g.dtype == np.float32 for g in mg.tree.flatten(grads).values())


# ---------------------------------------------------------------- memory


def test_the_yardstick_sees_what_is_taken_and_given_back():
    rests = np.ones(6_000_000)  # 48 MB that are there before
    seen = memory.peak(lambda: np.ones(50_000_000, np.uint8).sum())
    assert 49e6 < seen["bytes"] < 60e6 and rests[-1] == 1
    assert memory.peak(lambda: None)["bytes"] < 2e6


def test_the_yardstick_sees_the_workers_of_a_step(tmp_path):
    (ids, targets, _), here = batch(rows=2), os.getpid()

    def loss(*batch, **settings):
        size = 10_000_000 if os.getpid() == here else 50_000_000
        (tmp_path / str(size)).write_text(str(np.ones(size, np.uint8).sum()))
        return mg.next_token_loss(*batch, **settings)

    with mg.parallel.step_function(mg.next_token_loss, 2) as gradient:
        gradient(noisy(), ids, targets, CFG)
        seen = memory.peak(lambda: gradient(noisy(), ids, targets, CFG))
        assert seen["bytes"] < 5e6
    with mg.parallel.step_function(loss, 2) as gradient:
        with pytest.raises(ValueError, match="leaves out"):  # they begin, and rest
            gradient(noisy(), ids, targets, CFG, mask=np.zeros_like(ids, bool))
        seen = memory.peak(lambda: gradient(noisy(), ids, targets, CFG))
        assert 59e6 < seen["bytes"] < 70e6
    assert len(list(tmp_path.iterdir())) == 2


def test_a_mark_that_cannot_be_set_back_still_rises():
    code = (
        f"import sys; sys.path.append({str(FOLDER)!r})\n"
        "import numpy as np, memory\nfrom pathlib import Path\n"
        "memory.CLEAR = 'nowhere/at/all'\n"
        "found = memory.peak(lambda: np.ones(50_000_000, np.uint8))\n"
        "print(found['bytes'], found['how'])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True)
    size, _, how = printed.stdout.decode().strip().partition(" ")
    assert 40e6 < int(size) < 60e6 and how == "growth of VmHWM"


def test_without_proc_there_is_another_yardstick(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "PROC", tmp_path)
    calls = []
    assert "ru_maxrss" in memory.peak(lambda: calls.append(1))["how"]
    monkeypatch.setitem(sys.modules, "resource", None)
    assert memory.peak(lambda: calls.append(2))["bytes"] is None
    assert calls == [1, 2]  # what is measured runs once each time


# ---------------------------------------------------------------- who takes part


def losses(name, count=4, **other):
    params, fixed = noisy(dtype=np.float32), steppers.settings(3, 20, seed=4, **other)
    stepper = steppers.make(name, params, CFG, IDS, fixed)
    return [stepper.step() for _ in range(count)]


def test_all_see_the_batches_that_training_draws(monkeypatch):
    seen, fixed = [], steppers.settings(3, 20, seed=4, min_lr=1e-4, warmup=2)
    ours = steppers.Arrays(noisy(dtype=np.float32), CFG, IDS, fixed)
    gradient = ours.team.gradient
    ours.team.gradient = lambda *a, **b: seen.append(a[:2]) or gradient(*a, **b)
    others = steppers.Batches(CFG, IDS, fixed)
    for _ in range(3):
        before = ours.state.step
        ours.step()
        ids, targets, lr = others.next()
        assert others.number == ours.state.step == before + 1
        assert (seen[-1][0] == ids).all() and (seen[-1][1] == targets).all()
    assert lr < 1e-3 and isinstance(ours.state, State)


@pytest.mark.parametrize("name", [steppers.EAGER, steppers.FUSED, steppers.JAX])
def test_the_others_take_the_same_steps(name):
    import_or_skip("jax" if name == steppers.JAX else "torch")
    settings = {"lr": 3e-2, "min_lr": 1e-3, "warmup": 2, "clip": 0.5}
    ours, theirs = losses("minigpt", 8, **settings), losses(name, 8, **settings)
    assert theirs == pytest.approx(ours, rel=2e-4)
    assert abs(ours[-1] - ours[0]) > 0.05  # there was something to agree on


def test_both_validate_alike():
    import_or_skip("torch")
    given = noisy(dtype=np.float32), CFG, IDS, steppers.settings(3, 20)
    both = [steppers.make(n, *given).validate(IDS, 5) for n in shakespeare.NAMES]
    assert both[0] == pytest.approx(both[1], rel=1e-5)


def test_who_is_not_installed_is_named(monkeypatch):
    without(monkeypatch, "torch", "jax")
    given = noisy(), CFG, IDS, steppers.settings(3, 20)
    for name in (steppers.EAGER, steppers.COMPILED):
        with pytest.raises(steppers.Unavailable, match="torch is not installed"):
            steppers.make(name, *given)
    with pytest.raises(steppers.Unavailable, match="jax is not installed"):
        steppers.make(steppers.JAX, *given)


def test_contenders_may_use_every_processor(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setenv("MINIGPT_DATA", "/data")
    left = rounds.all_threads()
    assert "OPENBLAS_NUM_THREADS" not in left and left["MINIGPT_DATA"] == "/data"


def test_rounds_take_turns_there_and_back():
    calls = []

    def contender(task):
        calls.append(task)
        return [9.0, 1.0, 2.0][(len(calls) - 1) // 2]

    pairs = [(name, contender, name) for name in "ab"]
    times = rounds.alternate(pairs, rounds=3)
    assert "".join(calls) == "abbaab"
    assert times["a"] == {"median": 2.0, "least": 1.0, "greatest": 9.0}


def test_a_compiler_that_fails_is_missing_with_its_reason():
    class Broken:
        def step(self):
            raise RuntimeError("no C++ compiler\nand a long tale")

    answer = training.do(Broken(), "losses")
    assert answer == {"missing": "RuntimeError: no C++ compiler"}


def test_a_step_is_measured_beside_others(monkeypatch):
    names = "minigpt", steppers.EAGER
    monkeypatch.setattr(training, "NAMES", names)
    monkeypatch.setattr(training, "PRODUCTS", training.PRODUCTS[:1])
    one = training.measure_shape((2, 8, 8, 1, 2), 1, 1, side=32)
    rows = json.loads(json.dumps(one))["rows"]
    assert set(rows) == {*names, training.PRODUCTS[0], steppers.SCALAR}
    for name in ("minigpt", steppers.SCALAR):
        assert rows[name]["off"] <= training.TOLERANCE
        assert len(rows[name]["losses"]) == 4 and rows[name]["times"]["median"] > 0
    assert ("missing" in rows[steppers.EAGER]) == (not importable("torch"))
    assert importable("torch") or "(missing: torch is not installed)" in page(one)


def page(one):
    return "".join(map(report.markdown, training.tables({"shapes": [one], "side": 32})))
