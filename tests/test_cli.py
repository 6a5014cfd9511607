"""The command line as a whole: help, exit codes, sentences, completion."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from cli_runs import finished, run, sentence
from click.testing import CliRunner

import minigpt as mg
from minigpt.cli import main, mistakes

README = (Path(mg.__file__).parents[1] / "README.md").read_text("utf8")


def commands(group=main, path=()):
    """Every command with the words that lead to it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        yield (*path, name), command


ALL = dict(commands())


def test_the_commands_are_those_of_the_book():
    first = {path[0] for path in ALL}
    assert first == {
        *("generate", "train", "tokenize", "finetune", "download", "info"),
        *("serve", "export", "show", "remove", "bench", "completion"),
    }
    assert {path[1] for path in ALL if len(path) == 2} == {"classify", "answer"}


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_and_every_option_has_help(path):
    command, said = ALL[path], run(*path, "--help").stdout
    assert len(command.help.split("\n")[0]) <= 45, "it is cut short in the list"
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help and param.help.endswith((".", "]")), param.name
            assert max(param.opts, key=len) in said
        else:
            assert param.human_readable_name in command.help, "explain the argument"
    assert run("--help").stdout.count(f"\n  {path[0]} ") == 1


def test_help_of_the_whole_names_exit_codes_and_the_way_to_more():
    said = run("--help").stdout
    for word in ("130", "Ctrl-C", "--help", "MINIGPT_DEBUG", "--version"):
        assert word in said
    listed = said.split("Commands:")[1].split("Exit codes")[0].strip().splitlines()
    assert len(listed) == 12 and all(line.endswith(".") for line in listed)
    assert "..." not in "".join(listed), "a line of the list is cut short"
    assert run("--version").stdout == f"minigpt {mg.__version__}\n"


def examples():
    """Command lines that the help and README show."""
    texts = [command.help for command in [main, *ALL.values()]]
    texts += re.findall(r"^```sh\n(.*?)^```", README, re.S | re.M)
    for text in texts:
        for line in text.splitlines():
            if match := re.search(r"(?:^|[|:]) *minigpt (.*)", line):
                words = shlex.split(match[1], comments=True)
                yield words[: words.index(">")] if ">" in words else words


def test_the_examples_that_are_shown_can_be_typed():
    shown = list(examples())
    assert len(shown) >= 18
    for words in shown:
        command, context = main, main.make_context("minigpt", words)
        while isinstance(command, click.Group):
            command, words = command.commands[words[0]], words[1:]
        command.make_context(command.name, words, parent=context)


def test_a_mistake_on_the_line_is_two():
    for args in (
        ("generate", "x", "--temperature", "-1"),
        ("generate", "x", "--top-p", "0"),
        ("generate", "x", "--no-such-option"),
        ("train",),
        ("train", "tales", "--tokenizer", "letters"),
        ("no-such-command",),
        ("completion", "cmd"),
    ):
        assert "--help" in run(*args, code=2).stderr
    assert "Commands:" in run(code=2).stderr + run(code=2).stdout


def test_a_bug_keeps_its_traceback(monkeypatch):
    def broken(*_):
        return np.zeros(2) + np.zeros(3)

    monkeypatch.setattr("minigpt.models.load", broken)
    result = CliRunner().invoke(main, ["generate", "x"])
    assert type(result.exception) is ValueError and "broadcast" in str(result.exception)


def test_debug_shows_where_a_mistake_arose():
    args = ["generate", "x", "--model", "no/such/place"]
    assert "no/such/place" in sentence(*args)
    for env, more in (({}, ["--debug"]), ({"MINIGPT_DEBUG": "1"}, [])):
        result = CliRunner(env=env).invoke(main, [*more, *args])
        assert type(result.exception) is FileNotFoundError
    code, _, err = finished("--debug", *args)
    assert code == 1 and b"Traceback" in err and b"FileNotFoundError" in err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "x.png"), "x.png: No space left"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (MemoryError("Unable to allocate 9 GiB"), "memory of this machine.*9 GiB"),
        (MemoryError(), "memory of this machine.*full"),
    ],
)
def test_the_systems_errors_are_sentences(monkeypatch, error, said):
    def fail(*_):
        raise error

    monkeypatch.setattr("minigpt.models.load", fail)
    assert re.search(said, sentence("generate", "x"))


def test_ctrl_c_is_130_and_an_error_of_ours_is_ours(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("minigpt.models.load", interrupted)
    assert "Aborted" not in run("generate", "x", code=130).output
    try:
        mg.Config(n_head=5)
    except ValueError as error:
        assert mistakes.is_mistake(error)
    try:
        json.loads("")  # whose module says raise, too
    except ValueError as error:
        assert not mistakes.is_mistake(error)


def test_a_raise_is_known_without_its_source():
    lines = 'def ours(text):\n    if not text: raise ValueError("a sentence")\n'
    lines += "    return int(text)\n"
    for module, text, mistake in (
        *(("minigpt.gone", "", True), ("minigpt.gone", "x", False)),
        ("minigpts", "", False),
    ):
        names = {"__name__": module}
        exec(compile(lines, "gone.py", "exec"), names)
        with pytest.raises(ValueError) as caught:
            names["ours"](text)
        assert mistakes.is_mistake(caught.value) == mistake


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell):
    said = run("completion", shell).stdout
    assert "_MINIGPT_COMPLETE" in said and f"{shell}_complete" in said


def completed(*words, last=""):
    """What the TAB key offers after some words."""
    line = ["minigpt", *words, last]
    env = {"_MINIGPT_COMPLETE": "bash_complete", "COMP_WORDS": shlex.join(line)}
    env["COMP_CWORD"] = str(len(line) - 1)
    result = CliRunner(env=env).invoke(main, [], prog_name="minigpt")
    return [tuple(line.split(",", 1)) for line in result.stdout.splitlines()]


def test_the_tab_key_completes_commands_options_and_names():
    assert ("plain", "tokenize") in completed(last="to")
    assert ("plain", "--temperature") in completed("generate", last="--te")
    names = completed("generate", "--model", last="gpt2-")
    assert {name for _, name in names} == {"gpt2-medium", "gpt2-large", "gpt2-xl"}
    assert completed("generate", "--model", last="./ru") == [("file", "./ru")]
    assert ("plain", "tinyshakespeare.txt") in completed("train", last="ti")
    assert ("plain", "sms-spam.tsv") in completed("finetune", "classify", last="s")
    assert ("plain", "instructions.json") in completed("finetune", "answer", last="")
    assert ("plain", "1558M") in completed("info", last="1")
    assert ("plain", "sms-spam.tsv") in completed("download", last="sms")


def test_it_is_a_program_under_both_of_its_names():
    code, out, err = finished("--version")
    assert (code, out, err) == (0, f"minigpt {mg.__version__}\n".encode(), b"")
    code, _, err = finished("generate", "x", "--model", "no/such/place")
    assert code == 1 and b"Traceback" not in err and err.startswith(b"Error: ")
    code, _, err = finished("generate", "--nonsense")
    assert code == 2 and b"Traceback" not in err


def test_help_imports_nothing_heavy():
    text = (
        "import sys\nfrom minigpt.cli import main\n"
        "try: main(['train', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'matplotlib', 'PIL', 'requests', 'pooch', 'minigpt.plots'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", text], check=True, capture_output=True)
