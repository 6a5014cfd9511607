"""What the benchmarks write: tables, targets, the file of results, the command."""

import json
import subprocess
import sys

import pytest
from benchmark_programs import FOLDER, points, program
from cli_runs import run, sentence

import book  # isort: skip
import decoding  # isort: skip
import encoding  # isort: skip
import growth  # isort: skip
import report  # isort: skip
import serving  # isort: skip
import shakespeare  # isort: skip
import spent  # isort: skip
import steppers  # isort: skip
import training  # isort: skip

TIMES = {"median": 0.02, "least": 0.01, "greatest": 0.04}
FACTS = {"title": "A part", "command": "python benchmarks part", "seconds": 3.2}
FACTS |= {"rounds": 5, "quick": False, "machine": {"cores": 2, "torch": "2.13"}}


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


def crowds():
    """The figures of serving, as measuring gives them."""
    ways = serving.TOGETHER, serving.DIVIDED, serving.SINGLY
    step = {"context": 16, "rows": 4, "calls": 2, "times": dict.fromkeys(ways, TIMES)}
    engine = {"engine": "numpy", "clients": 8, "requests": 2, "tokens": 50.0,
              "generate": TIMES, "stream": TIMES, "latency": {"50": 0.03, "95": 0.05},
              "first": {"50": 0.007, "95": 0.009}, "same": 0.995,
              "answers": 200}  # fmt: skip
    away = {"engine": "onnx", "missing": "onnx is not installed"}
    kinds = [step | {"kind": kind} for kind in (None, *serving.MIXED)]
    return {"steps": {"tales": kinds}, "requests": {"tales": [engine, away]}}


def all_parts():
    """Small figures of every part."""
    times = dict.fromkeys(decoding.LABELS, TIMES) | {
        "numpy bandwidth": dict.fromkeys(TIMES, 1e-10)
    }
    rows = [{"figure": f, "who": "minigpt", **TIMES, "ratio": 1.0, "same": 1.0,
             "peak": 1e6} for f in encoding.HEADS]  # fmt: skip
    missing = {"figure": "cold", "who": "tiktoken", "missing": "it is not installed"}
    figures = {"first": 4.2, "curve": [3.0], "validation": 1.9, "seconds": 60.0}
    away = {"missing": "torch is away"}
    run = {"minigpt": figures, shakespeare.EAGER: away, shakespeare.FUSED: away}
    step = {"times": TIMES, "spent": {"linear": 0.02, "softmax, back": 0.005}}
    done = {"seconds": 60.0, "code": 0, "last": "12 passed"}
    failed = {"seconds": 1.0, "code": 2, "last": "1 error"}
    memory = {"peak": 9e7, "cache": 7e7}
    found = {
        "training": {"shapes": [one_shape()], "side": 2048},
        "decoding": {"times": times, "bytes": 4e8, "memory": memory,
                     "peak": {"numpy": 9e7}, "same text": True,
                     "onnx": {"version": "1.31", "threads": 2, "same text": False}},
        "serving": crowds(),
        "encoding": {"rows": [*rows, missing], "characters": 1_000},
        "book": {"commit": "abc", "other files": True,
                 "commands": {"all notebooks": done, "tests": failed}},
        "shakespeare": {"shape": [12, 64, 128, 4, 4], "steps": 2000, "seeds": 1,
                        "runs": [run]},
        "growth": growth.calculated(points(TIMES)),
        "spent": {"shapes": [{"shape": [8, 256, 384, 6, 6], "rows": {
            "minigpt": step, spent.MIXED: away, spent.EAGER: away}}]},
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
        "under ONNX Runtime: **no** (version 1.31, 2 threads).",
        "| ONNX Runtime, a token | 20 (10 to 40) | 1 | – |",
        "| 4 at 16 | 20 (10 to 40) | 20 (10 to 40) | 1 | 200 |",
        "| minigpt, in batches | 8 | 800 | 40,000 | 30 | 50 | 7 | 9 | 99.5% |",
        "ONNX Runtime, in batches (missing: onnx is not installed)",
        "**off by 0.3**",
        "| tests | 1.0 | **failed**: 1 error |",
        "| linear | 20 | 80.0% |",
        "minigpt with PyTorch's matrix product (missing: torch is away)",
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
    text = (tmp_path / "RESULTS.md").read_text("utf8")
    assert "A quick try of book: no figures to quote" in text
    assert "tests: seconds" not in text  # a try is not judged


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
