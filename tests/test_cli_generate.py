"""`minigpt generate` writes what the package writes, and stops where it is told to."""

import os

import pytest
from cli_runs import finished, run, save_models, sentence

import minigpt as mg

PARAMS, CFG, TOK = mg.load("tales")


def written(prompt, count=60, **settings):
    """What the package writes after a prompt, by itself."""
    ids = [TOK.eot, *TOK.encode(prompt)]
    out = mg.generate(PARAMS, ids, CFG, count, stop=TOK.eot, **settings)
    return TOK.decode([i for i in out if i != TOK.eot])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders of models: one that knows only a, b and c, and one as GPT-2's, with a
    tokenizer of single bytes, both with weights that tell nothing."""
    folder = tmp_path_factory.mktemp("models")
    cfg = save_models(folder)
    mg.save(folder / "mute", mg.init(cfg), cfg)
    return folder


def test_the_shipped_model_writes_what_the_package_writes():
    for seed in (1, 2):
        said = run("generate", "Once upon a time", "--seed", seed).stdout
        assert said == written("Once upon a time", 91, seed=seed) + "\n"
    settings = ("--temperature", 0.8, "--top-k", 20, "--top-p", 0.9, "--seed", 3)
    wanted = {"temperature": 0.8, "top_k": 20, "top_p": 0.9, "seed": 3}
    limit = ("--max-new-tokens", 40)
    said = run("generate", "Once", "--model", "tales", *settings, *limit).stdout
    assert said == written("Once", 40, **wanted) + "\n"
    greedy = run("generate", "Once", "--temperature", 0).stdout
    assert greedy == written("Once", 95, temperature=0) + "\n"


def test_chance_is_new_each_time_without_a_seed():
    assert len({run("generate", "Once").stdout for _ in range(4)}) > 1


def test_a_tale_of_its_own_begins_at_its_beginning():
    said = [run("generate", "--seed", seed).stdout for seed in range(10)]
    assert said[5] == written("", 96, seed=5) + "\n"
    assert sum(mg.tales.check(text.strip()).ok for text in said) >= 8


def test_the_end_token_before_the_prompt_can_be_left_out():
    ids = TOK.encode("Once")
    out = mg.generate(PARAMS, ids, CFG, 20, stop=TOK.eot, seed=1)
    options = ("--no-eot", "--seed", 1, "--max-new-tokens", 20)
    assert run("generate", "Once", *options).stdout == TOK.decode(out) + "\n"


def test_gpt2_reads_a_prompt_as_it_is(saved):
    params, cfg, tok = mg.load(saved / "bytes")
    options = ("--model", saved / "bytes", "--temperature", 0, "--max-new-tokens", 9)
    for ids, more in (
        (tok.encode("hi"), ()),
        ([tok.eot, *tok.encode("hi")], ["--eot"]),
    ):
        out = mg.generate(params, ids, cfg, 9, temperature=0, stop=tok.eot)
        said = run("generate", "hi", *options, *more).stdout
        assert said == tok.decode([i for i in out if i != tok.eot]) + "\n"


def test_as_much_is_written_as_the_context_holds_unless_more_is_wanted(saved):
    abc = ("--model", saved / "abc", "--seed", 1)
    assert len(run("generate", "abca", *abc).stdout) == 4 + 13 + 1
    assert len(run("generate", "a" * 16, *abc).stdout) == 16 + 1 + 1
    assert len(run("generate", "abca", *abc, "--max-new-tokens", 50).stdout) == 55
    assert run("generate", "abca", *abc, "--max-new-tokens", 0).stdout == "abca\n"
    alone = run("generate", "abca", *abc, "--no-echo").stdout
    assert "abca" + alone == run("generate", "abca", *abc).stdout


def test_writing_stops_before_a_text():
    whole = run("generate", "Once", "--seed", 1).stdout.strip()
    first = whole.index(".")
    said = run("generate", "Once", "--seed", 1, "--stop", ".").stdout
    assert said == whole[:first] + "\n"
    words = whole[4:].split()
    two = ("--stop", f"{words[5]} {words[6]}", "--stop", f"{words[3]} {words[4]}")
    said = run("generate", "Once", "--seed", 1, *two).stdout
    assert said == whole[: whole.index(f"{words[3]} {words[4]}", 4)] + "\n"
    never = run("generate", "Once", "--seed", 1, "--stop", "Mephisto").stdout
    assert never.strip() == whole


def test_the_prompt_comes_from_standard_input():
    options = ("--seed", 1, "--max-new-tokens", 5)
    said = run("generate", "Once upon\na time", *options).stdout
    assert said == run("generate", "-", *options, input="Once upon\na time\n").stdout
    assert said == run("generate", "-", *options, input="Once upon\r\na time").stdout
    assert finished("generate", "-", *options, input=b"Once upon\na time\n")[1] == (
        said.encode()
    )


def test_mistakes_are_sentences(saved):
    abc = ("--model", saved / "abc")
    assert "'x' (U+0078) at position 1" in sentence("generate", "ax", *abc)
    assert "16" in (said := sentence("generate", "a" * 17, *abc)) and "17" in said
    assert "no end token" in sentence("generate", *abc)
    assert "no end token" in sentence("generate", "a", "--eot", *abc)
    assert "no tokenizer" in sentence("generate", "a", "--model", saved / "mute")
    assert "minigpt download gpt2" in sentence(
        *("generate", "x", "--model", "124M", "--models-dir", saved)
    )
    assert "no model 'nowhere'" in sentence("generate", "x", "--model", "nowhere")
    assert "nan" in sentence("generate", "x", "--temperature", "nan")
    assert "must not be empty" in sentence(
        *("generate", "x", "--stop", "", "--model", "nowhere")  # before all else
    )
    assert "0xff at position 2" in sentence("generate", "-", input=b"ab\xff")
    code, out, err = finished("generate", os.fsdecode(b"\xff"))
    assert (code, out) == (1, b"") and b"lone surrogate" in err


def test_models_dir_and_its_variable(saved, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "minigpt.models.load", lambda *args: seen.append(args) or mg.load("tales")
    )
    run("generate", "a", "--max-new-tokens", 0, "--models-dir", saved)
    monkeypatch.setenv("MINIGPT_MODELS", "elsewhere")
    run("generate", "a", "--max-new-tokens", 0, "--model", "gpt2-xl")
    assert seen == [("tales", str(saved)), ("gpt2-xl", "elsewhere")]
