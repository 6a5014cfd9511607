"""`minigpt export` writes a graph, and `minigpt generate` runs it."""

import sys

import numpy as np
import pytest
from cli_runs import finished, on_terminal, run, save_models, sentence
from onnx_runs import onnx

import minigpt as mg
from minigpt import models
from minigpt.onnx_model import OnnxModel


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_shipped_model_writes_the_same_under_onnx_runtime(folder):
    said = run("export", "tales", "tales.onnx", "--cache").stdout
    assert "Wrote tales.onnx (1.96 MB), opset 20, with a cache." in said
    assert said.endswith("minigpt generate TEXT --model tales.onnx\n")
    onnx.checker.check_model(folder / "tales.onnx", full_check=True)
    for strategy in (
        ("--temperature", 0),
        ("--seed", 4),
        ("--top-k", 20, "--top-p", 0.9, "--temperature", 0.8, "--seed", 3),
    ):
        expected = run("generate", "Once", *strategy).stdout
        under = run("generate", "Once", "--model", "tales.onnx", *strategy)
        assert under.stdout == expected and under.stderr == ""
    told = ("--model", "tales.onnx", "--runtime", "onnx", "--temperature", 0)
    greedy = run("generate", "Once", "--runtime", "numpy", "--temperature", 0).stdout
    assert run("generate", "Once", *told).stdout == greedy


def test_a_plain_graph_works_and_says_that_it_is_slower(folder):
    assert "without a cache" in run("export", "tales", "plain.onnx").stdout
    under = run("generate", "Once", "--model", "plain.onnx", "--seed", 4)
    assert under.stdout == run("generate", "Once", "--seed", 4).stdout
    assert "has no cache" in under.stderr


def test_models_by_path_and_weights_beside(folder):
    save_models(folder)
    said = run("export", folder / "abc", "abc.onnx", "--external-data").stdout
    assert "Wrote abc.onnx" in said and "and abc.onnx.data" in said
    assert {f.name for f in folder.glob("abc.onnx*")} == {"abc.onnx", "abc.onnx.data"}
    model = OnnxModel("abc.onnx")
    assert model.name == "abc" and model.tok == mg.CharTokenizer("abc")
    same = ("--seed", 1, "--max-new-tokens", 30)
    under = run("generate", "abca", "--model", "abc.onnx", *same).stdout
    assert under == run("generate", "abca", "--model", folder / "abc", *same).stdout
    run("export", folder / "abc", "abc.onnx", "--external-data")  # once more


def test_another_file_is_not_overwritten(folder):
    (folder / "notes.txt").write_text("mine")
    (folder / "mine.onnx").write_text("mine")
    (folder / "new.onnx.data").write_text("mine")
    (folder / "folder.onnx").mkdir()
    for out, said in (
        ("notes.txt", "does not end in .onnx"),
        ("mine.onnx", "minigpt did not write it"),
        ("new.onnx", "new.onnx.data is there without its graph"),
        ("folder.onnx", "minigpt did not write it"),
        ("no/where.onnx", "no folder no"),
    ):
        assert said in sentence("export", "tales", out)
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "mine.onnx").read_text() == "mine"
    assert (folder / "new.onnx.data").read_text() == "mine"
    run("export", "tales", "tales.onnx")
    run("export", "tales", "tales.onnx", "--cache")  # ours is
    assert OnnxModel("tales.onnx").cached


def test_mistakes_are_sentences(folder, monkeypatch):
    run("export", "tales", "tales.onnx")
    said = sentence("generate", "x", "--runtime", "onnx")
    assert "minigpt export tales tales.onnx --cache" in said
    said = sentence("generate", "x", "--runtime", "onnx", "--model", "gpt2")
    assert "minigpt export gpt2 gpt2.onnx" in said
    for args in (
        ("generate", "x", "--model", "tales.onnx", "--runtime", "numpy"),
        ("info", "tales.onnx"),
        ("export", "tales.onnx", "other.onnx"),
    ):
        assert "give the model that it was made of" in sentence(*args)
    assert "no file no.onnx" in sentence("generate", "x", "--model", "no.onnx")
    assert "no model 'nowhere'" in sentence("export", "nowhere", "a.onnx")
    cfg = mg.Config(vocab_size=3, n_ctx=4, n_embd=4, n_layer=1, n_head=1)
    mg.save(folder / "mute", mg.init(cfg), cfg)
    run("export", "mute", "mute.onnx")
    assert "exported without one" in sentence("generate", "x", "--model", "mute.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert '".[onnx]"' in sentence("export", "nowhere", "a.onnx")  # before all else
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert '".[onnx]"' in sentence("generate", "x", "--model", "tales.onnx")


def test_both_are_opened_in_one_place(folder):
    run("export", "tales", "tales.onnx", "--cache")
    params, cfg, tok = models.open_model("tales")
    model, cfg2, tok2 = models.open_model("tales.onnx")
    assert isinstance(model, OnnxModel) and (cfg, tok) == (cfg2, tok2)
    ids = np.array([[tok.eot, 5, 9]])
    off = np.abs(model(ids, cfg) - mg.gpt(params, ids, cfg)).max()
    assert 0 <= off < 1e-4
    assert models.open_model("tales", None, "numpy")[1] == cfg
    with pytest.raises(ValueError, match="runtime must be one of"):
        models.open_model("tales", runtime="jax")


def test_it_is_a_program_and_shows_its_progress(folder):
    out = folder / "a.onnx"
    code, said, err = finished("export", "tales", out)
    assert (code, err) == (0, b"") and b"Wrote" in said
    shown, _ = on_terminal("export", "tales", out)
    assert "a.onnx: " in shown and "1.93M" in shown
    code, said, err = finished("generate", "Once", "--model", out, "--seed", 4)
    assert code == 0 and said.startswith(b"Once")
