"""The command line as a program: text as it comes, pipes, signals, terminals."""

import os
import re
import signal
import string

import pytest
from cli_runs import finished, on_terminal, run, start

import minigpt as mg


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A model that takes its time, and has no end token to end it."""
    folder = tmp_path_factory.mktemp("slow")
    tok = mg.CharTokenizer(string.ascii_letters)
    shape = {"n_ctx": 4000, "n_embd": 384, "n_layer": 8, "n_head": 6}
    cfg = mg.Config(vocab_size=tok.vocab_size, **shape)
    mg.save(folder, mg.init(cfg), cfg, tok)
    return folder


def test_text_comes_piece_by_piece(slow):
    count = ("--max-new-tokens", 60, "--seed", 1, "--model", slow)
    with start("generate", "Once", *count) as process:
        chunks = []
        while chunk := os.read(process.stdout.fileno(), 1 << 16):
            chunks.append(chunk)
    assert process.returncode == 0 and chunks[0].startswith(b"Once")
    assert len(chunks) > 5
    assert b"".join(chunks) == finished("generate", "Once", *count)[1]


def test_a_reader_who_has_enough_is_left_in_peace(slow):
    long = ("--max-new-tokens", 100_000, "--model", slow)
    with start("generate", "Once", *long) as process:
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_ctrl_c_ends_with_130_and_what_was_written(slow):
    long = ("--max-new-tokens", 100_000, "--model", slow)
    with start("generate", "Once", *long) as process:
        first = process.stdout.read(30)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert first.startswith(b"Once") and err.strip() == b""


@pytest.mark.parametrize(
    "args",
    [
        ("generate", "é", "--seed", "1"),
        ("tokenize", "é ␣日"),
        ("info", "gpt2"),
        ("tokenize", "--help"),
        ("generate", "日", "--model", "nowhere ü"),
    ],
)
def test_a_terminal_that_knows_only_ascii_is_no_reason_to_die(args):
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    code, out, err = finished(*args, env=ascii_only)
    assert code == (1 if "nowhere ü" in args else 0), err
    assert b"Traceback" not in err and (out or err)
    if args[0] == "generate" and code == 0:
        assert out.startswith(rb"\xe9")


def test_on_a_terminal_the_text_itself_is_seen_to_grow():
    args = ("generate", "Once", "--seed", 1)
    shown, _ = on_terminal(*args)
    assert shown.replace("\r\n", "\n") == run(*args).stdout


def test_a_progress_bar_moves_where_the_text_goes_into_a_file(slow):
    args = ("generate", "Once", "--seed", 1, "--model", slow, "--max-new-tokens", 150)
    shown, plain = on_terminal(*args, both=False)
    assert plain == run(*args).stdout
    assert re.search(r" [1-9]\d*/150 .*\d tokens/s", shown)
    code, out, err = finished(*args)
    assert (code, out.decode(), err) == (0, plain, b"")  # no terminal, no bar


def test_a_terminal_is_not_handed_control_characters(tmp_path):
    tok = mg.CharTokenizer("\x1b\x07\n")
    cfg = mg.Config(vocab_size=3, n_ctx=40, n_embd=4, n_layer=1, n_head=1)
    mg.save(tmp_path, mg.init(cfg), cfg, tok)
    args = ("generate", "\x1b", "--seed", 1, "--model", tmp_path)
    plain = run(*args).stdout
    assert {"\x1b", "\x07", "\n"} <= set(plain)
    shown, _ = on_terminal(*args)
    assert "\x1b" not in shown and "\x07" not in shown
    spelt = plain.replace("\x1b", r"\x1b").replace("\x07", r"\x07")
    assert shown.replace("\r\n", "\n") == spelt
