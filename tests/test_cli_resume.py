"""`minigpt train` broken off by Ctrl-C, and going on to the very bits."""

import shlex
import signal
import time

import pytest
from cli_runs import TINY, finished, history, run, sentence, start, text_in
from small_model import same

import minigpt as mg
from minigpt.cli import training


@pytest.fixture
def text(tmp_path, monkeypatch):
    return text_in(tmp_path, monkeypatch)


def test_a_folder_that_is_taken_is_not_touched(text):
    run("train", "text.txt", *TINY)
    folder = text / "runs" / "text"
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    said = sentence("train", "text.txt", *TINY)
    assert "--resume" in said and "--out" in said
    other = ("--tokenizer", "char", "--resume")
    assert "begun with another tokenizer" in sentence(
        "train", "text.txt", *TINY, *other
    )
    assert "n_embd" in sentence("train", "text.txt", *TINY, "--n-embd", 4, "--resume")
    after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert before == after
    params = mg.load(folder)[0]
    (folder / "checkpoint-last.safetensors").touch()  # of another program
    run("train", "text.txt", *TINY, "--resume")  # it is done: nothing is to do
    assert same(mg.load(folder)[0], params)
    (folder / "history.jsonl").unlink()
    run("train", "text.txt", *TINY, "--resume")
    run("train", "text.txt", *TINY, "--out", text / "elsewhere")
    assert same(mg.load(folder)[0], mg.load(text / "elsewhere")[0])


@pytest.fixture
def break_at(monkeypatch):
    """Ctrl-C at a step: a function that sets it, or takes it back with None."""
    whole = training.lines

    def set_step(step):
        def lines(steps):
            callback = whole(steps)

            def tell(record):
                callback(record)
                if record["step"] == step:
                    signal.raise_signal(signal.SIGINT)

            return tell

        monkeypatch.setattr(training, "lines", lines)

    return set_step


def test_ctrl_c_keeps_the_step_and_says_how_to_go_on(text, break_at):
    args = ("train", "text.txt", *TINY, "--out")
    run(*args, text / "whole dir")
    break_at(7)
    said = run(*args, text / "broken dir", code=130)
    assert "7 steps" in said.stderr and "Traceback" not in said.output
    folder = text / "broken dir"
    assert (folder / "checkpoint-00000007.safetensors").exists()
    assert (folder / "loss.png").exists() and (folder / "tokenizer.json").exists()
    assert mg.load(folder / "best")[2] is not None
    assert not (folder / "model.safetensors").exists()
    again = shlex.split(said.stderr.strip().splitlines()[-1])
    assert again == ["minigpt", *map(str, args), str(folder), "--resume"]
    break_at(12)
    said = run(*again[1:], code=130)
    assert shlex.split(said.stderr.strip().splitlines()[-1]) == again
    break_at(None)
    run(*again[1:])
    assert same(mg.load(folder)[0], mg.load(text / "whole dir")[0])
    assert history(folder) == history(text / "whole dir")


def test_ctrl_c_before_the_first_step(text, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("minigpt.fit", interrupted)
    assert "nothing was learned" in run("train", "text.txt", *TINY, code=130).stderr


def test_ctrl_c_to_a_running_program(text):
    long = ("--steps", 3000, "--n-ctx", 64, "--batch-size", 16, "--out", text / "run")
    args = ("train", text / "text.txt", *TINY, "--tokenizer", "char", *long)
    told, steps = text / "run" / "history.jsonl", []
    for more in ((), ("--resume",)):
        before = told.stat().st_size if told.exists() else 0
        with start(*args, *more) as process:
            while process.poll() is None:
                if told.exists() and told.stat().st_size > before:
                    break
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert b"--resume" in err and b"Traceback" not in err
        steps.append(training.newest_step(text / "run"))
    assert 30 <= steps[0] < steps[1] < 3000
    assert any(step % 300 for step in steps)  # not where fit would have saved anyway


def test_as_a_program_it_is_quiet_on_standard_error(text):
    out = ("--out", text / "run")
    code, out, err = finished("train", text / "text.txt", *TINY, *out)
    assert code == 0 and err == b"" and out.count(b"step ") == 10
