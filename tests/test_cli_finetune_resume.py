"""`minigpt finetune` that goes on, or may not: with what a run was begun."""

import shutil

import pytest
from cli_runs import run, sentence
from small_model import same

import minigpt as mg
from minigpt import finetune, train

BRIEF = ("--steps", 20, "--batch-size", 4, "--workers", 1, "--out", "o")
CLASSIFY = ("finetune", "classify", "words.tsv", "--model", "base", *BRIEF)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to stand in, with two small models and examples."""
    monkeypatch.chdir(tmp_path)
    tok = mg.CharTokenizer("abcd", "<|endoftext|>")
    shape = {"n_ctx": 8, "n_embd": 8, "n_layer": 2, "n_head": 2}
    cfg = mg.Config(vocab_size=tok.vocab_size, **shape)
    for seed, name in enumerate(("base", "other")):
        mg.save(name, mg.init(cfg, seed=seed), cfg, tok)
    labels = {"a": "x", "b": "y", "c": "x", "d": "y"}
    lines = [f"{labels[b]}\t{a}{b}" for a in labels for b in labels]
    (tmp_path / "words.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(("old", "new"), [("x\t", "X\t"), ("y\ta", "z\ta")])
def test_other_labels_are_refused_and_nothing_is_touched(here, old, new):
    run(*CLASSIFY)
    before = contents(here / "o")
    words = (here / "words.tsv").read_text()
    (here / "words.tsv").write_text(words.replace(old, new) + "z\ta\n")
    said = sentence(*CLASSIFY, "--resume")
    assert "labels.json holds something else" in said and "'z'" in said
    assert contents(here / "o") == before


def test_renamed_labels_are_refused(here):
    run(*CLASSIFY)
    words = (here / "words.tsv").read_text()
    (here / "words.tsv").write_text(words.replace("x\t", "X\t"))
    assert "labels.json" in sentence(*CLASSIFY, "--resume")


@pytest.mark.parametrize("method", ["head", "last"])
def test_another_base_is_refused(here, method):
    args = (*CLASSIFY, "--method", method)
    run(*args)
    run(*args, "--resume")
    before = contents(here / "o")
    said = sentence(*args, "--resume", "--model", "other")
    assert "o was begun from another model" in said
    assert contents(here / "o") == before


class Killed(BaseException):
    """What no part of the program waits for."""


@pytest.mark.parametrize("method", ["head", "last"])
def test_the_best_model_is_whole_from_the_beginning(here, monkeypatch, method):
    update = train.update

    def killed(state, *more):
        if state.step == 5:
            raise Killed
        return update(state, *more)

    monkeypatch.setattr(train, "update", killed)
    with pytest.raises(Killed):
        run(*CLASSIFY, "--method", method)
    params, _, _ = mg.load("o/best")
    base = mg.load("base")[0]
    assert params["head"]["weight"].shape == (2, 8)
    assert same(params["h"][0], base["h"][0]) and same(params["wte"], base["wte"])


@pytest.mark.parametrize("error", [FloatingPointError("nan"), OSError(28, "full")])
def test_what_ends_a_run_leaves_the_best_model_complete(here, monkeypatch, error):
    update = train.update

    def failing(state, *more):
        if state.step == 5:
            raise error
        return update(state, *more)

    monkeypatch.setattr(train, "update", failing)
    with pytest.raises(BaseException, match=str(error.args[-1])):
        run("--debug", *CLASSIFY)
    assert mg.load("o/best")[2] == mg.load("base")[2]
    assert (here / "o/best/labels.json").exists()


def test_the_frozen_part_is_known_by_its_numbers(here):
    params, cfg, tok = mg.load("base")
    params = finetune.add_head(params, 2)
    examples = finetune.labelled(tok, ["ab", "cd"], [0, 1])
    settings = {"steps": 3, "batch_size": 2, "trained": "head", "progress": False}
    settings |= {"loss": finetune.label_loss, "out": here / "o"}
    finetune.tune(params, cfg, examples, **settings)
    params["h"][1]["ln_2"]["bias"][3] += 1e-6
    with pytest.raises(ValueError, match="another model"):
        finetune.tune(params, cfg, examples, **settings, resume=True)
    shutil.rmtree(here / "o")
    finetune.tune(params, cfg, examples, **settings)
    params["head"]["weight"][0, 0] += 1  # trained: the checkpoint has it
    finetune.tune(params, cfg, examples, **settings, resume=True)
