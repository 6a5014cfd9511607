"""`minigpt tokenize`: pieces above their ids, and JSON for programs."""

import json
import re

import pytest
from cli_runs import on_terminal, run, save_models, sentence

import minigpt as mg
from minigpt.gpt2_files import byte_alphabet

_, _, TOK = mg.load("tales")


@pytest.fixture
def saved(tmp_path):
    """Folders of models: one that knows a, b and c, and one of single bytes."""
    save_models(tmp_path)
    return tmp_path


def rows(said):
    """Pieces and ids as the table shows them, and its last line."""
    *lines, last = said.splitlines()
    pieces = [piece for line in lines[::2] for piece in line.split()]
    return pieces, [int(i) for line in lines[1::2] for i in line.split()], last


def test_pieces_stand_above_their_ids():
    text = "Once there was a girl called Mia.\nShe had a kite. " * 3
    said = run("tokenize", text).stdout
    pieces, ids, last = rows(said)
    assert ids == TOK.encode(text)
    assert "".join(pieces).replace("␣", " ").replace("⏎", "\n") == text
    assert last == f"{len(ids)} tokens, {len(text)} characters"
    assert max(map(len, said.splitlines())) <= 80 and len(said.splitlines()) > 5
    above, below = said.splitlines()[:2]
    for piece, number in zip(above.split(), below.split(), strict=True):
        assert above.index(piece) == below.index(number) or above.count(piece) > 1


def test_wide_characters_take_two_columns(saved):
    said = run("tokenize", "日本", "--model", saved / "bytes").stdout
    assert rows(said)[0] == [r"\xe6", r"\x97", r"\xa5", r"\xe6", r"\x9c", r"\xac"]
    tok = mg.CharTokenizer("日本x")
    tok.save(saved / "wide.json")
    above, below, _ = run(
        "tokenize", "日本x", "--tokenizer", saved / "wide.json"
    ).stdout.splitlines()
    assert (above, below) == ("日  本  x", "1   2   0")


def test_json_for_programs():
    for text in ("Once é\n", ""):
        said = json.loads(run("tokenize", text, "--json").stdout)
        ids = TOK.encode(text)
        assert said == {"ids": ids, "pieces": TOK.pieces(ids)}
    assert run("tokenize", "").stdout == "0 tokens, 0 characters\n"
    assert run("tokenize", "a").stdout.endswith("\n1 token, 1 character\n")
    piped = run("tokenize", "-", "--json", input="Once\n").stdout
    assert json.loads(piped)["ids"] == TOK.encode("Once")


def test_special_tokens_are_text_unless_asked_for():
    text = "a<|endoftext|>b"
    as_text = json.loads(run("tokenize", text, "--json").stdout)["ids"]
    special = json.loads(run("tokenize", text, "--json", "--special").stdout)["ids"]
    assert as_text == TOK.encode(text) and special == TOK.encode(text, "all")
    assert len(as_text) > len(special)


def test_tokenizers_of_models_folders_and_files(saved):
    ids = {"abc": [0, 1, 2], "bytes": [64, 65, 66]}
    for name, wanted in ids.items():
        folder = saved / name
        for option, path in (
            ("--model", folder),
            ("--model", folder / "model.safetensors"),
            ("--tokenizer", folder / "tokenizer.json"),
            ("--tokenizer", folder),
        ):
            said = json.loads(run("tokenize", "abc", "--json", option, path).stdout)
            assert said["ids"] == wanted, (option, path)
    assert "no model 'nowhere'" in sentence("tokenize", "x", "--model", "nowhere")
    assert "'x'" in sentence("tokenize", "x", "--model", saved / "abc")
    (saved / "empty").mkdir()
    assert "holds neither" in sentence("tokenize", "x", "--model", saved / "empty")


def test_gpt2s_tokenizer_needs_no_weights(tmp_path, monkeypatch):
    spell = byte_alphabet()
    (tmp_path / "bpe").write_text("#version: 0.2\nh i\n", "utf8")
    tokens = [*spell.values(), "hi", "<|endoftext|>"]
    (tmp_path / "json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    files = {"gpt2/vocab.bpe": "bpe", "gpt2/encoder.json": "json"}
    monkeypatch.setattr("minigpt.data.fetch", lambda name: tmp_path / files[name])
    options = ("--model", "gpt2-xl", "--models-dir", tmp_path, "--json")
    assert json.loads(run("tokenize", "hi!", *options).stdout)["ids"] == [256, 0]


def test_colours_are_for_terminals_that_want_them():
    shown, _ = on_terminal("tokenize", "Once upon")
    assert "\x1b[" in shown
    bare = re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r\n", "\n")
    assert bare == run("tokenize", "Once upon").stdout
    shown, _ = on_terminal("tokenize", "Once upon", env={"NO_COLOR": "1"})
    assert "\x1b[" not in shown


def test_a_wide_terminal_is_used():
    text = "Once there was a girl called Mia. " * 4
    narrow = run("tokenize", text, env={"COLUMNS": "40"}).stdout
    wide = run("tokenize", text, env={"COLUMNS": "300"}).stdout
    assert rows(narrow) == rows(wide)
    assert len(wide.splitlines()) < len(narrow.splitlines()) / 4
    assert max(len(line) for line in narrow.splitlines()) <= 40
