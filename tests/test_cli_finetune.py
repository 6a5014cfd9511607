"""`minigpt finetune`: what it learns, what moves, what it says of its examples."""

import json
import re
import shlex
import signal

import numpy as np
import pytest
from cli_runs import run, sentence
from small_model import same

import minigpt as mg
from minigpt import finetune as tuning
from minigpt.cli import tasks, training

CFG = {"n_ctx": 40, "n_embd": 16, "n_layer": 2, "n_head": 2}
FAST = ("--model", "base", "--steps", 40, "--batch-size", 8, "--lr", 1e-2)
FAST += ("--workers", 1)
BRIEF = (*FAST, "--steps", 3)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to stand in, with a small model and examples for both tasks."""
    monkeypatch.chdir(tmp_path)
    tok = mg.CharTokenizer("abcdefghijklmnopqrstuvwxyz :?QA.\t", "<|endoftext|>")
    cfg = mg.Config(vocab_size=tok.vocab_size, **CFG)
    mg.save("base", mg.init(cfg, seed=3), cfg, tok)
    rng = np.random.default_rng(0)
    lines, questions = [], []
    for _ in range(150):
        word = "".join(rng.choice(list("abcd"), 6))
        lines.append(f"{'vowel' if word[-1] == 'a' else 'no'}\t{word}")
        questions.append({"instruction": f"last of {word}?", "output": word[-1]})
    (tmp_path / "words.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "ask.json").write_text(json.dumps(questions))
    return tmp_path


def moved(folder):
    """The names of the parameters that are not those of the base."""
    before = mg.tree.flatten(mg.load("base")[0])
    after = mg.tree.flatten(mg.load(folder)[0])
    return {n for n, a in after.items() if n not in before or (a != before[n]).any()}


def test_a_classifier_learns_and_says_how_well(here):
    said = run("finetune", "classify", "words.tsv", *FAST, "--steps", 120).stdout
    rows = tasks.read_labelled("words.tsv")
    params, cfg, tok = mg.load("runs/words")
    names = json.loads((here / "runs/words/labels.json").read_text())
    assert names == ["no", "vowel"] and params["head"]["weight"].shape == (2, 16)
    truth = [names.index(row.wanted) for row in rows]
    examples = tuning.labelled(tok, [row.text for row in rows], truth)
    guessed = tuning.predict(params, cfg, examples)
    assert tuning.accuracy(guessed, truth) > 0.95
    _, held_out = tasks.shuffled_split(examples, 0.1, 0)
    share = tuning.accuracy(
        tuning.predict(params, cfg, held_out), tuning.labels_of(held_out)
    )
    assert f"accuracy on {len(held_out)} held-out texts: {share:.1%}" in said
    cells = [int(n) for n in re.findall(r"^is \w+ +(\d+) +(\d+)", said, re.M)[0]]
    cells += [int(n) for n in re.findall(r"^is vowel +(\d+) +(\d+)", said, re.M)[0]]
    assert sum(cells) == len(held_out)
    assert cells[0] + cells[3] == round(share * len(held_out))
    always = max(cells[0] + cells[1], cells[2] + cells[3]) / len(held_out)
    assert f"(always 'no' would have {always:.1%})" in said


def test_the_best_model_is_whole_too(here):
    run("finetune", "classify", "words.tsv", *FAST, "--method", "head")
    for name in ("runs/words", "runs/words/best"):
        params, _, tok = mg.load(name)
        assert "head" in params and tok == mg.load("base")[2]
        assert (here / name / "labels.json").exists()
    assert (here / "runs/words/loss.png").exists()


@pytest.mark.parametrize("method", ["head", "last", "all"])
def test_what_moves_in_a_classifier(here, method):
    run("finetune", "classify", "words.tsv", *BRIEF, "--method", method)
    names = set(mg.tree.flatten(mg.load("runs/words")[0]))
    last = {n for n in names if n.startswith(("h.1.", "ln_f.", "head."))}
    wanted = {"head": {"head.weight"}, "last": last, "all": names}[method]
    assert moved("runs/words") == wanted


@pytest.mark.parametrize("method", ["head", "last", "all"])
def test_what_moves_in_an_answerer(here, method):
    said = run("finetune", "answer", "ask.json", *BRIEF, "--method", method).stdout
    params = mg.load("runs/ask")[0]
    names = set(mg.tree.flatten(params))
    assert ("lm_head" in params) == (method == "head")
    last = {n for n in names if n.startswith(("h.1.", "ln_f."))}
    wanted = {"head": {"lm_head.weight"}, "last": last, "all": names}[method]
    assert moved("runs/ask") == wanted
    count = sum(a.size for n, a in mg.tree.flatten(params).items() if n in wanted)
    assert f" {count:,} of " in said


def test_an_unread_head_is_left_as_it_is(here):
    params, cfg, tok = mg.load("base")
    both = tuning.add_head(params, 2) | {"lm_head": params["wte"]}
    mg.save("base", both, cfg, tok)
    run("finetune", "answer", "ask.json", *BRIEF)
    assert moved("runs/ask") == set(mg.tree.flatten(both)) - {"head.weight"}
    run("finetune", "classify", "words.tsv", *BRIEF)
    assert moved("runs/words") == set(mg.tree.flatten(both)) - {"lm_head.weight"}


def test_an_answerer_learns_and_says_how_well(here):
    words = [
        line.split("\t")[1]
        for line in (here / "words.tsv").read_text().split("\n")[:-1]
    ]
    pairs = [{"instruction": w, "input": "so", "output": "cab"} for w in words]
    (here / "ask.json").write_text(json.dumps(pairs))
    said = run("finetune", "answer", "ask.json", *FAST).stdout
    ((before, after),) = re.findall(r"answers: ([\d.]+) before, ([\d.]+) after", said)
    params, cfg, tok = mg.load("runs/ask")
    rows = tasks.read_questions("ask.json")
    assert rows[0].text == f"so Q: {words[0]} A:"
    _, held_out = tasks.shuffled_split(rows, 0.1, 0)
    examples = tuning.answered(tok, [r.text for r in held_out], ["cab"] * 15)
    losses = [mg.train.evaluate(p, cfg, examples) for p in (mg.load("base")[0], params)]
    assert [before, after] == [f"{loss:.3f}" for loss in losses]
    assert losses[1] < 0.5 * losses[0]
    told = tuning.reply(params, cfg, tok, [row.text for row in held_out], 5)
    assert f"{told.count('cab')} of 15 answers are the expected text" in said
    assert told.count("cab") > 10
    assert f"  {held_out[0].text} {told[0]}\n    (expected: cab)" in said


def test_copies_tabs_and_blank_lines(here):
    (here / "a.tsv").write_bytes(b"x\ta\tb\r\n\r\nx\ta\tb\r\ny\tc d\n")
    rows = tasks.read_labelled("a.tsv")
    assert [(r.wanted, r.text) for r in rows] == [("x", "a\tb"), ("y", "c d")]
    assert rows[1].place == "a.tsv, line 4"


def test_what_does_not_fit_is_cut_or_left_out_and_counted(here):
    lines = (here / "words.tsv").read_text() + "no\t" + "a" * 39 + "\nno\t" + "b" * 40
    (here / "words.tsv").write_text(lines)
    said = run("finetune", "classify", "words.tsv", *BRIEF).stdout
    assert "1 of 149 texts do not fit into the context of 40, and are cut" in said
    questions = json.loads((here / "ask.json").read_text())
    exact = {"instruction": "x", "input": "", "output": "a" * 31}
    longer = {"instruction": "x", "output": "a" * 32}
    (here / "ask.json").write_text(json.dumps([*questions, exact, longer]))
    said = run("finetune", "answer", "ask.json", *BRIEF).stdout
    assert "1 of 152 examples do not fit" in said and "136 examples to learn" in said


def test_standard_input_and_names(here, monkeypatch):
    lines, questions = (here / "words.tsv").read_text(), (here / "ask.json").read_text()
    run("finetune", "classify", "-", *BRIEF, input=lines)
    assert (here / "runs/text/labels.json").exists()
    known = {"sms-spam.tsv": lines, "instructions.json": questions}
    monkeypatch.setattr("minigpt.data.read", known.get)
    run("finetune", "classify", "sms-spam.tsv", *BRIEF)
    run("finetune", "answer", "instructions.json", *BRIEF)
    assert {p.name for p in (here / "runs").iterdir()} == {
        *("text", "sms-spam", "instructions")
    }


def test_mistakes_are_sentences(here):
    def classify(content, *args):
        (here / "a.tsv").write_text(content)
        return sentence("finetune", "classify", "a.tsv", *BRIEF, *args)

    def answer(content):
        (here / "a.json").write_text(content)
        return sentence("finetune", "answer", "a.json", *BRIEF)

    assert "a.tsv, line 2: 'no tab' is not a label" in classify("x\ty\nno tab\n")
    assert "a.tsv, line 1" in classify("\ttext\n")
    assert "at least 2 labels" in classify("x\ta\nx\tb\n")
    assert "at least 2 labels" in classify("")
    assert "a.tsv, line 2: the character 'é'" in classify("x\ta\ny\té\n")
    assert "leave none" in classify("x\ta\ny\tb\n", "--val-share", 0.9)
    assert "a.json is not JSON" in answer("{")
    assert "a.json is not JSON" in answer("[" * 200_000)
    assert "must hold a list" in answer('{"instruction": "x"}')
    assert 'example 2 has no text under "output"' in answer(
        '[{"instruction": "x", "output": "y"}, {"instruction": "x"}]'
    )
    assert "example 1 has no text" in answer('["x"]')
    assert "leave none" in answer("[]")
    assert "example 1: the character" in answer('[{"instruction":"é","output":""}]')
    assert "known by name: sms-spam.tsv" in sentence("finetune", "classify", "no.tsv")
    params, cfg, _ = mg.load("base")
    mg.save("mute", params, cfg)
    mute = ("--model", "mute")
    assert "no tokenizer" in sentence("finetune", "answer", "ask.json", *mute)
    mg.save("endless", params, cfg, mg.CharTokenizer("abcd lastof?QA:"))
    endless = ("--model", "endless")
    said = sentence("finetune", "classify", "words.tsv", *endless)
    assert "no end token" in said and "--lines" in said
    assert not (here / "runs").exists()


def test_ctrl_c_keeps_what_was_learned(here, monkeypatch):
    args = ("finetune", "classify", "words.tsv", *FAST, "--method", "last", "--out")
    run(*args, "whole")
    lines = training.lines

    def broken(steps):
        def callback(record):
            if record["step"] == 13:
                signal.raise_signal(signal.SIGINT)

        return callback

    monkeypatch.setattr(training, "lines", broken)
    said = run(*args, "broken", code=130).stderr
    assert (here / "broken/checkpoint-00000013.safetensors").exists()
    assert set(mg.load("broken/best")[0]) == set(mg.load("whole")[0])
    monkeypatch.setattr(training, "lines", lines)
    run(*shlex.split(said.strip().splitlines()[-1])[1:])
    for name in ("", "/best"):
        assert same(mg.load(f"broken{name}")[0], mg.load(f"whole{name}")[0])
        assert mg.load(f"broken{name}")[2] == mg.load("base")[2]


def test_nothing_held_out(here):
    said = run("finetune", "classify", "words.tsv", *BRIEF, "--val-share", 0).stdout
    assert "accuracy" not in said and "0 held out" in said
    said = run("finetune", "answer", "ask.json", *BRIEF, "--val-share", 0).stdout
    assert "before" not in said and "150 examples to learn from" in said
