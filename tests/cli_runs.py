"""What the tests of the command line share: running it inside, and as a program."""

import json
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

from click.testing import CliRunner

import minigpt
from minigpt.cli import main
from minigpt.gpt2_files import byte_alphabet

FOLDER = Path(minigpt.__file__).parents[1]
TINY = ("--n-layer", 1, "--n-embd", 8, "--n-head", 2, "--n-ctx", 16, "--workers", 1)
TINY += ("--steps", 20, "--batch-size", 4, "--lr", 1e-2)  # of a training
TEXT = "the cat sat on the mat\nthe dog sat on the log\n" * 40
BARE = {"NO_COLOR": "", "MINIGPT_DEBUG": "", "COLUMNS": "80", "PYTHONUNBUFFERED": ""}


def text_in(folder, monkeypatch):
    """The folder, to stand in, with a text in it."""
    monkeypatch.chdir(folder)
    (folder / "text.txt").write_text(TEXT)
    return folder


def save_models(folder):
    """Two models whose weights tell nothing: "abc", which knows no more, and "bytes",
    with a tokenizer of single bytes as GPT-2's; returns the configuration of that."""
    shape = {"n_ctx": 16, "n_embd": 8, "n_layer": 1, "n_head": 2}
    toks = {
        "abc": minigpt.CharTokenizer("abc"),
        "bytes": minigpt.BPETokenizer([], ["<|endoftext|>"], byte_alphabet()),
    }
    for name, tok in toks.items():
        cfg = minigpt.Config(vocab_size=tok.vocab_size, **shape)
        minigpt.save(folder / name, minigpt.init(cfg, seed=1), cfg, tok)
    return cfg


def history(folder):
    """The records of a training run, without what a clock said."""
    lines = (folder / "history.jsonl").read_text().splitlines()
    return [{**json.loads(line), "seconds": 0} for line in lines]


def run(*args, code=0, **settings):
    """Run a command inside this program; returns its result, with the exit code that
    was expected. An error that is no sentence is raised."""
    arguments = [str(arg) for arg in args]
    result = CliRunner(env=BARE).invoke(main, arguments, **settings)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def sentence(*args, code=1, **settings):
    """What a command says of a mistake: one sentence, without a traceback."""
    result = run(*args, code=code, **settings)
    said = result.stderr.strip()
    assert "Error: " in said and "Traceback" not in said
    return said.split("Error: ", 1)[1]


def program(*args):
    """The command that runs it as a program of its own."""
    return [sys.executable, "-W", "error", "-m", "minigpt", *map(str, args)]


def start(*args, env=(), **settings):
    """The program, started; standard output and error can be read unless given."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": FOLDER}
    whole = {**os.environ, **BARE, **dict(env)}
    return subprocess.Popen(program(*args), env=whole, **pipes | settings)


def finished(*args, input=None, env=(), timeout=60, **settings):
    """``(exit code, standard output, standard error)`` of the program, as bytes."""
    if input is not None:
        settings["stdin"] = subprocess.PIPE
    with start(*args, env=env, **settings) as process:
        out, err = process.communicate(input, timeout=timeout)
    return process.returncode, out, err


def on_terminal(*args, both=True, env=()):
    """What a program shows on a terminal: standard output, and the other if asked."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    whole = {**os.environ, **BARE, "TERM": "xterm", **dict(env)}
    out = theirs if both else subprocess.PIPE
    settings = {"stdin": theirs, "stdout": out, "stderr": theirs, "cwd": FOLDER}
    shown = b""
    with subprocess.Popen(program(*args), env=whole, **settings) as process:
        os.close(theirs)
        plain = b"" if both else process.stdout.read()
        while True:
            try:
                chunk = os.read(ours, 1 << 16)
            except OSError:  # the other side is closed
                break
            if not chunk:
                break
            shown += chunk
    os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode(), plain.decode()
