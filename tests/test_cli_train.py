"""`minigpt train`: a model from a text, its samples, its curve and its folder."""

import re
import shlex

import numpy as np
import pytest
from cli_runs import TEXT, TINY, history, run, sentence, text_in

import minigpt as mg
from minigpt import tales
from minigpt.cli import corpus, training


@pytest.fixture
def text(tmp_path, monkeypatch):
    return text_in(tmp_path, monkeypatch)


def test_a_run_leaves_a_model_that_writes(text):
    said = run("train", "text.txt", *TINY, "--tokenizer", "char").stdout
    folder = text / "runs" / "text"
    params, cfg, _ = mg.load(folder)
    shape = {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_ctx": 16}
    assert cfg == mg.Config(vocab_size=len(set(TEXT)), **shape)
    records = history(folder)
    assert records[-1]["step"] == 20
    assert records[-1]["loss"] < records[0]["loss"] < 1.1 * np.log(cfg.vocab_size)
    assert "1,656 tokens to learn from, 184 tokens held out; 14 different" in said
    assert f"{mg.tree.size(params):,} parameters" in said
    assert len(re.findall(r"^step \d+: loss .*held out", said, re.M)) == 10
    samples = [r["sample"] for r in records if "sample" in r]
    assert len(samples) == 10 and all(sample in said for sample in samples)
    (hint,) = re.findall(r"Let it write:  minigpt (.*)", said)
    words = shlex.split(hint.replace("…", "the "))
    assert run(*words, "--seed", 1, "--max-new-tokens", 5).stdout.startswith("the ")
    assert run("generate", "the", "--model", folder / "best", "--seed", 1).stdout


def test_the_curve_is_drawn(text, monkeypatch):
    seen = []
    curves = mg.plots.curves
    monkeypatch.setattr(
        "minigpt.plots.curves", lambda *a, **k: seen.append((a, k)) or curves(*a, **k)
    )
    run("train", "text.txt", *TINY)
    folder = text / "runs" / "text"
    ((series,), settings) = seen[0]
    records = history(folder)
    assert series["training"][1] == tuple(r["loss"] for r in records)
    assert len(series["held out"][0]) == 10 and settings["floor"] is None
    png = (folder / "loss.png").read_bytes()
    assert png.startswith(b"\x89PNG") and len(png) > 2000


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_every_tokenizer_learns_and_writes(text, kind):
    run("train", "text.txt", *TINY, "--tokenizer", kind, "--vocab-size", 262)
    _, cfg, tok = mg.load("runs/text")
    whole = {
        "char": mg.CharTokenizer(TEXT),
        "word": mg.WordTokenizer(TEXT),
        "bpe": mg.BPETokenizer.train(TEXT, 262),
    }
    assert tok == whole[kind] and cfg.vocab_size == tok.vocab_size
    assert run("generate", "the cat", "--model", "runs/text").stdout.startswith("the")


def test_gpt2s_tokenizer(text, monkeypatch):
    _, _, tok = mg.load("tales")
    monkeypatch.setattr("minigpt.data.fetch", lambda name: name)
    given = []
    monkeypatch.setattr(
        "minigpt.tokenizer.BPETokenizer.from_gpt2", lambda *a: given.append(a) or tok
    )
    run("train", "text.txt", *TINY, "--tokenizer", "gpt2")
    assert given == [("gpt2/vocab.bpe", "gpt2/encoder.json")]
    assert mg.load("runs/text")[2] == tok


def test_documents_begin_and_end_where_the_text_says():
    text = "one<|endoftext|>two"
    tok = corpus.tokenizer("char", text, 0)
    ids = corpus.encode(tok, text)
    assert ids.tolist() == [tok.eot, *tok.encode("one"), tok.eot, *tok.encode("two")]
    plain = corpus.tokenizer("bpe", "one two", 300)
    assert plain.eot is None
    assert corpus.encode(plain, "one two").tolist() == plain.encode("one two")


def test_lines_are_texts_of_their_own(text):
    (text / "names.txt").write_text("ada\r\nbob\n\n \ncleo\n" * 9)
    said = run("train", "names.txt", "--lines", "--tokenizer", "char", *TINY).stdout
    assert "24 texts" in said and "3 texts" in said
    _, _, tok = mg.load("runs/names")
    assert sorted(tok.itos) == sorted(set("adabobcleo")) and tok.eot == 7
    texts = corpus.read("names.txt", True, 0, 1)
    assert sorted(texts) == sorted(["ada", "bob", "cleo"] * 9)
    assert texts != corpus.read("names.txt", True, 0, 2)
    ids = corpus.encode(tok, ["ada"])
    assert ids[0].tolist() == [tok.eot, *tok.encode("ada"), tok.eot]
    assert run("generate", "--model", "runs/names", "--max-new-tokens", 9).stdout


def test_tales_are_told_and_their_floor_is_drawn(text, monkeypatch):
    floors = []
    draw = training.draw
    monkeypatch.setattr(
        training, "draw", lambda out, floor: floors.append(floor) or draw(out, floor)
    )
    context = ("--n-ctx", 128, "--steps", 6)
    said = run("train", "tales", *TINY, *context, "--vocab-size", 400).stdout
    assert "900 texts" in said and "100 texts" in said
    _, _, tok = mg.load("runs/tales")
    assert tok.vocab_size == 400 and tok.eot == 399
    assert floors == [("the world's own", tales.floor(tok))]
    assert all(tales.check(text).ok for text in corpus.read("tales", False, 5, 3)[:20])


def test_a_text_from_standard_input(text):
    run("train", "-", *TINY, "--tokenizer", "char", input=TEXT)
    assert mg.load("runs/text")[2] == mg.CharTokenizer(TEXT)


def test_registered_data_by_name(text, monkeypatch):
    monkeypatch.setattr("minigpt.data.read", lambda name: TEXT + name)
    run("train", "tinyshakespeare.txt", *TINY, "--tokenizer", "char")
    assert mg.load("runs/tinyshakespeare")[2] == mg.CharTokenizer(
        TEXT + "tinyshakespeare.txt"
    )


def test_nothing_need_be_held_out(text):
    said = run("train", "text.txt", *TINY, "--val-share", 0, "--tokenizer", "char")
    assert "1,840 tokens to learn from;" in said.stdout
    assert "held out" not in said.stdout
    assert {r["val_loss"] for r in history(text / "runs/text")} == {None}
    assert len(re.findall(r"^step", said.stdout, re.M)) == 10


def test_mistakes_are_sentences_and_leave_nothing(text):
    (text / "empty.txt").write_text(" \n")
    (text / "bytes.txt").write_bytes(b"ab\xff")
    (text / "short.txt").write_text("abcd" * 4)
    assert "known by name: tales, tinyshakespeare" in sentence("train", "no.txt", *TINY)
    assert "no text" in sentence("train", "empty.txt", *TINY)
    assert "0xff at position 2" in sentence("train", "bytes.txt", *TINY)
    assert "at least 17" in sentence(
        *("train", "short.txt", *TINY, "--tokenizer", "char")
    )
    assert "n_head=3" in sentence("train", "text.txt", *TINY, "--n-head", 3)
    assert "greater n_ctx" in sentence("train", "tales", *TINY)
    assert "held out" in sentence("train", "text.txt", *TINY, "--val-share", 0.001)
    assert not (text / "runs").exists()
    said = sentence("train", "text.txt", *TINY, "--lr", 1e30, "--weight-decay", 10)
    assert "lower lr" in said
