"""The programs that measure: what they count, compare and write. Nothing is timed."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_runs import run, sentence
from small_model import CFG, batch, close, import_or_skip, noisy

import minigpt as mg
from minigpt.run import State

FOLDER = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(FOLDER))

import decoding  # noqa: E402
import encoding  # noqa: E402
import growth  # noqa: E402
import memory  # noqa: E402
import operations  # noqa: E402
import report  # noqa: E402
import rounds  # noqa: E402
import scalar_tape  # noqa: E402
import shakespeare  # noqa: E402
import steppers  # noqa: E402
import training  # noqa: E402
import unfused  # noqa: E402

import book  # noqa: E402

TIMES = {"median": 0.02, "least": 0.01, "greatest": 0.04}
FACTS = {"title": "A part", "command": "python benchmarks part", "seconds": 3.2}
FACTS |= {"rounds": 5, "quick": False, "machine": {"cores": 2, "torch": "2.13"}}
IDS = np.random.default_rng(0).integers(0, CFG.vocab_size, 500)


def program():
    """benchmarks/__main__.py as a module."""
    path = FOLDER / "__main__.py"
    spec = importlib.util.spec_from_file_location("benchmarks_program", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_a_mark_that_cannot_be_set_back_still_rises():
    code = (
        f"import sys; sys.path.append({str(FOLDER)!r})\n"
        "import numpy as np, memory\nfrom pathlib import Path\n"
        "memory.CLEAR = Path('/nowhere/at/all')\n"
        "found = memory.peak(lambda: np.ones(50_000_000, np.uint8))\n"
        "print(found['bytes'], found['how'])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True)
    size, _, how = printed.stdout.decode().strip().partition(" ")
    assert 40e6 < int(size) < 60e6 and how == "growth of VmHWM"


def test_without_proc_there_is_another_yardstick(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "none" / "either")
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
    gradient = ours.gradient
    ours.gradient = lambda *a, **b: seen.append(a[1:3]) or gradient(*a, **b)
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


def importable(name):
    return importlib.util.find_spec(name) is not None


def page(one):
    return "".join(map(report.markdown, training.tables({"shapes": [one], "side": 32})))


# ---------------------------------------------------------------- what is written


def one_shape():
    """The figures of a step, as measuring gives them."""
    row = {"times": TIMES, "off": 0.0, "speed": 9e9, "peak": 5e6}
    rows = {name: dict(row) for name in (*training.NAMES, *training.PRODUCTS)}
    rows[steppers.EAGER] |= {"times": {**TIMES, "median": 0.04}, "off": 0.3}
    rows[steppers.JAX] = {"missing": "jax is not installed"}
    rows[steppers.SCALAR] = {"times": TIMES, "off": 0.0}
    rows[training.PRODUCTS[0]] = {"times": TIMES, "speed": 1e10}
    return {"shape": [8, 256, 384, 6, 6], "rows": rows}


def points():
    """Points of a cost that the formula can tell exactly."""
    found = []
    for direction, shape in growth.shapes(quick=False):
        cfg, rows = training.config(shape)
        made, size = growth.features(cfg, rows)[:3:2]
        times = dict.fromkeys(TIMES, 2e-11 * made + 3e-08 * size + 0.001)
        peak = 4.0 * growth.made(cfg, rows) + 12.0 * size
        found.append({"direction": direction, "shape": shape, "workers": 2,
                      "times": times, "peak": peak})  # fmt: skip
    return found


def all_parts():
    """Small figures of every part."""
    times = dict.fromkeys(decoding.LABELS, TIMES) | {
        "numpy bandwidth": dict.fromkeys(TIMES, 1e-10)
    }
    rows = [{"figure": f, "who": "minigpt", **TIMES, "ratio": 1.0, "same": 1.0,
             "peak": 1e6} for f in encoding.HEADS]  # fmt: skip
    missing = {"figure": "cold", "who": "tiktoken", "missing": "it is not installed"}
    figures = {"first": 4.2, "curve": [3.0], "validation": 1.9, "seconds": 60.0}
    run = {"minigpt": figures, shakespeare.FUSED: {"missing": "torch is away"}}
    done = {"seconds": 60.0, "code": 0, "last": "12 passed"}
    failed = {"seconds": 1.0, "code": 2, "last": "1 error"}
    memory = {"peak": 9e7, "cache": 7e7}
    found = {
        "training": {"shapes": [one_shape()], "side": 2048},
        "decoding": {"times": times, "bytes": 4e8, "memory": memory,
                     "peak": {"numpy": 9e7}, "same text": True},
        "encoding": {"rows": [*rows, missing], "characters": 1_000},
        "book": {"commit": "abc", "other files": True,
                 "commands": {"all notebooks": done, "tests": failed}},
        "shakespeare": {"shape": [12, 64, 128, 4, 4], "steps": 2000, "seeds": 1,
                        "runs": [run]},
        "growth": growth.calculated(points()),
    }  # fmt: skip
    return {name: FACTS | {"found": figures} for name, figures in found.items()}


def test_the_page_is_made_of_the_file(tmp_path):
    parts = json.loads(json.dumps(all_parts()))
    module = program()
    assert list(parts) == list(module.MODULES)
    for name, part in parts.items():
        module.save(tmp_path, {name: part})
    assert report.read(tmp_path / "results.json") == parts
    text = (tmp_path / "RESULTS.md").read_text("utf8")
    for told in (
        "JAX jit (missing: jax is not installed)",
        "tiktoken (missing: it is not installed)",
        "PyTorch eager, fused AdamW (missing: torch is away)",
        "ONNX Runtime (missing: minigpt writes no ONNX yet)",
        "**off by 0.3**",
        "| tests | 1.0 | **failed**: 1 error |",
        "cores 2, torch 2.13",
        "256, 384, 6, 6): share of the limit | 0.9 | at least 0.8 | yes |",
        "256, 384, 6, 6): seconds / PyTorch eager | 0.5 | at most 1 | yes |",
        "| tests: seconds | – | at most 360 | not measured |",
    ):
        assert told in text, told
    assert not list(tmp_path.glob("*.tmp"))


def test_a_part_replaces_itself_and_leaves_the_others(tmp_path):
    module, parts = program(), all_parts()
    module.save(tmp_path, {"book": parts["book"]})
    assert "Not measured yet: training, " in (tmp_path / "RESULTS.md").read_text("utf8")
    newer = json.loads(json.dumps(parts["book"])) | {"quick": True}
    module.save(tmp_path, {"growth": parts["growth"]})
    module.save(tmp_path, {"book": newer})
    kept = report.read(tmp_path / "results.json")
    assert set(kept) == {"book", "growth"} and kept["book"]["quick"]
    assert "A quick try of book: not for" in (tmp_path / "RESULTS.md").read_text("utf8")


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_damaged_file_is_not_overwritten(tmp_path, text, capsys):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(SystemExit, match="remove it"):
        program().main(["book", "--out", str(tmp_path)])
    assert (tmp_path / "results.json").read_text() == text


def test_a_part_that_fails_is_named_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    module, parts = program(), all_parts()

    def broken(rounds, quick):
        raise OSError("there is no text")

    monkeypatch.setattr(encoding, "measure", broken)
    monkeypatch.setattr(book, "measure", lambda rounds, quick: parts["book"]["found"])
    with pytest.raises(SystemExit, match="not measured: encoding"):
        module.main(["encoding", "book", "--out", str(tmp_path)])
    assert set(report.read(tmp_path / "results.json")) == {"book"}
    assert "there is no text" in capsys.readouterr().err


def test_targets_are_judged_both_ways():
    rows = [("a", 0.9, "<= 1"), ("b", 1.1, "<= 1"), ("c", 0.7, ">= 0.8")]
    table = report.targets([*rows, ("d", None, ">= 25")])
    verdicts = [row[3] for row in table["rows"]]
    assert verdicts == ["yes", "**no**", "**no**", "not measured"]
    assert table["rows"][3][1:3] == ["–", "at least 25"]


def test_a_table_for_the_terminal_lines_up():
    rows = [("a", "1"), ("bb", None)]
    told = report.plain(report.table("Heads", ("who", "ms"), rows))
    assert told.splitlines()[2:5] == ["who  ms", "a     1", "bb    –"]


# ---------------------------------------------------------------- how it grows


def test_the_formula_foretells_what_it_was_not_fitted_to():
    found = growth.calculated(points())
    held_out = [p for p in found["points"] if p["held out"]]
    assert {p["direction"] for p in held_out} == set(growth.DIRECTIONS)
    assert len(held_out) == 4
    for p in found["points"]:
        assert p["formula"]["seconds"] == pytest.approx(p["times"]["median"], rel=1e-6)
        assert p["formula"]["peak"] == pytest.approx(p["peak"], rel=1e-6)
    constants = found["constants"]["seconds"]
    assert constants["an operation"] == pytest.approx(2e-11, rel=1e-4)
    told = found["foretold"]["GPT-2, 124M"]
    assert told["parameters"] == 124_439_808
    expected = 2e-11 * told["operations"] + 3e-8 * told["parameters"] + 0.001
    assert told["seconds"] == pytest.approx(expected, rel=1e-4)


def test_a_constant_is_never_below_zero():
    rows = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    assert growth.fit(rows, rows @ [2.0, -0.5])[1] == 0.0
    assert growth.fit(rows, rows @ [2.0, 0.5]) == pytest.approx([2.0, 0.5])


# ---------------------------------------------------------------- the book


def test_the_book_is_measured_in_a_clone_of_its_own(monkeypatch):
    where = "-P", "-c", "import minigpt; print(minigpt.__file__)"  # not by the folder
    failing = "-c", "print('1 failed'); raise SystemExit(3)"
    plan = {"cold build": where, "tests": failing}
    monkeypatch.setattr(book, "COMMANDS", plan)
    monkeypatch.setattr(book, "git", cloned)
    found = book.measure()
    assert found["commands"]["cold build"]["last"].endswith("clone/minigpt/__init__.py")
    assert str(book.ROOT) not in found["commands"]["cold build"]["last"]
    assert found["commands"]["tests"]["code"] == 3
    told = {row[0]: row[1] for row in book.reached(found)}
    assert told == {"all notebooks: seconds": None, "tests: seconds": None}


def cloned(what, *arguments, cwd=None):
    """A clone whose package is empty, without git (which a release has not)."""
    if what == "clone":
        package = arguments[-1] / "minigpt"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
    return "abc"


# ---------------------------------------------------------------- the command


def test_the_command_explains_itself():
    told = " ".join(run("bench", "--help").stdout.split())
    assert all(f"{name} " in told for name in program().MODULES)
    assert "requirements-parity.txt" in told and "RESULTS.md" in told


def test_the_command_hands_over_to_the_programs(monkeypatch, tmp_path):
    bench, calls = sys.modules["minigpt.cli.bench"], []

    def noted(command, env):
        calls.append((command, env))
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(bench.subprocess, "run", noted)
    run("bench", "growth", "--quick", "--rounds", 4, "--out", tmp_path, code=3)
    ((command, env),) = calls
    assert command[:2] == [sys.executable, str(FOLDER)]
    given = program().arguments(command[2:])
    assert (given.parts, given.quick, given.rounds) == (["growth"], True, 4)
    assert given.out == tmp_path
    assert env["PYTHONPATH"].split(":")[0] == str(FOLDER.parent)
    assert tuple(program().MODULES) == bench.PARTS


def test_the_command_says_what_it_needs(monkeypatch, tmp_path):
    monkeypatch.setattr(sys.modules["minigpt.cli.bench"], "ROOT", tmp_path)
    assert "Run this from a checkout" in sentence("bench")
    assert "'hardware'" in sentence("bench", "hardware", code=2)
    assert "--rounds" in sentence("bench", "--rounds", 0, code=2)


def test_what_was_typed_wrongly_is_said(capsys):
    for typed, said in ((["hardware"], "there is no part 'hardware'"),
                        (["book", "--rounds", "0"], "at least 1")):  # fmt: skip
        with pytest.raises(SystemExit) as stopped:
            program().arguments(typed)
        assert stopped.value.code == 2 and said in capsys.readouterr().err
