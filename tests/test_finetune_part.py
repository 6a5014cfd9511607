"""Training a part of a model: names, what is frozen, what a folder holds."""

import numpy as np
import pytest
from small_model import CFG, close, noisy, same
from test_finetune import EXAMPLES, QUICK, TOK, with_head

import minigpt as mg
from minigpt import checkpoint, data, finetune, tree


@pytest.mark.parametrize(
    "patterns, count, some",
    [
        ("*", 29, "wte.weight"),
        ("head", 1, "head.weight"),
        ("h.1", 12, "h.1.ln_1.bias"),
        ("h.1.*", 12, "h.1.mlp.c_proj.weight"),
        ("*.attn.*", 8, "h.0.attn.c_attn.weight"),
        ("!*.attn.*", 21, "h.0.mlp.c_fc.bias"),
        (["*", "!wte", "!wpe"], 27, "ln_f.weight"),
        (["h.0", "!*.bias", "head"], 7, "h.0.ln_2.weight"),
        (["!h.0", "h.0.attn"], 21, "h.0.attn.c_proj.bias"),
        ("*.bias", 13, "ln_f.bias"),
    ],
)
def test_patterns(patterns, count, some):
    names = finetune.matching(with_head(), patterns)
    assert len(names) == count and some in names
    assert names == [n for n in tree.flatten(with_head()) if n in names]


def test_a_layer_ten_is_not_layer_one():
    params = {"h": [{"w": np.zeros(1)} for _ in range(12)]}
    assert finetune.matching(params, "h.1") == ["h.1.w"]


def tune(trained, params=None, **settings):
    params = with_head(dtype=np.float32) if params is None else params
    settings = {"loss": finetune.label_loss} | QUICK | settings
    return finetune.tune(params, CFG, EXAMPLES, trained=trained, **settings)


@pytest.mark.parametrize("trained", ["head", "h.0", ["head", "h.1"], "!*.attn.*", "*"])
def test_what_is_frozen_stays_to_the_last_bit(trained):
    start = with_head(dtype=np.float32)
    before = tree.map(np.copy, start)
    after = tune(trained, start, weight_decay=0.5).params
    assert same(start, before)
    flat, old = tree.flatten(after), tree.flatten(start)
    assert list(flat) == list(old)
    chosen = finetune.matching(start, trained)
    for name, array in flat.items():
        assert (name in chosen) != (array.tobytes() == old[name].tobytes()), name
        assert (name in chosen) != (array is old[name]), name


def test_frozen_parameters_are_not_traced():
    seen = []

    def loss(params, *batch, **settings):
        traced = [n for n, a in tree.flatten(params).items() if hasattr(a, "tape")]
        seen.append(traced)
        return finetune.label_loss(params, *batch, **settings)

    start = with_head(dtype=np.float32)
    tune(["h.1", "head"], start, loss=loss, steps=1)
    assert seen == [finetune.matching(start, ["h.1", "head"])]


def test_all_of_it_is_fit():
    start = with_head(dtype=np.float32)
    settings = {"loss": finetune.label_loss} | QUICK
    whole = mg.fit(start, CFG, EXAMPLES, EXAMPLES, **settings)
    part = finetune.tune(start, CFG, EXAMPLES, EXAMPLES, **settings)
    assert same(whole.params, part.params)
    timeless = [{**r, "seconds": 0} for r in whole.history]
    assert timeless == [{**r, "seconds": 0} for r in part.history]
    assert timeless[-1]["val_loss"] > 0


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_each_label_weighs_the_same_however_the_batch_is_shared(workers):
    params = with_head()
    ids, targets, mask = data.padded(EXAMPLES)
    whole = mg.value_and_grad(finetune.label_loss)(params, ids, targets, CFG, mask=mask)
    with mg.parallel.step_function(finetune.label_loss, workers) as gradient:
        loss, grads = gradient(params, ids, targets, CFG, mask=mask)
    assert loss == pytest.approx(float(whole[0]), rel=1e-12)
    assert close(grads, whole[1], 1e-11)


def test_the_sampler_sees_the_whole_model():
    def sampler(params):
        assert list(tree.flatten(params)) == list(tree.flatten(with_head()))
        return "seen"

    assert tune("head", sampler=sampler).history[-1]["sample"] == "seen"


def test_a_part_can_be_resumed(tmp_path):
    def stop(record):
        if record["step"] == 12:
            raise KeyboardInterrupt

    whole = tune(["h.1", "head"])
    with pytest.raises(KeyboardInterrupt):
        tune(["h.1", "head"], out=tmp_path, save_every=5, callback=stop)
    resumed = tune(["h.1", "head"], out=tmp_path, save_every=5, resume=True)
    assert same(resumed.params, whole.params)


def test_a_folder_gets_the_whole_model(tmp_path):
    result = tune(["h.1", "head"], out=tmp_path)
    loaded, cfg, _ = mg.load(tmp_path)
    assert cfg == CFG and same(loaded, result.params)
    (last,) = sorted(tmp_path.glob("checkpoint-*"))[-1:]
    names = {n.removeprefix("params.") for n in checkpoint.read_tensors(last)[0]}
    assert "h.1.ln_1.weight" in names and "h.0.ln_1.weight" not in names


@pytest.mark.parametrize(
    ("params", "labels", "sentence"),
    [
        (with_head(2), [0, 1, 2], "label 2 has no row in a head of 2"),
        (mg.init(CFG), [0, 1, 1], r"label 0 has no row in a head of 0.*add_head"),
    ],
)
def test_labels_without_a_row_get_a_sentence(params, labels, sentence):
    examples = finetune.labelled(TOK, ["ab", "c", "d"], labels)
    with pytest.raises(ValueError, match=sentence):
        finetune.tune(
            params, CFG, examples, loss=finetune.label_loss, steps=1, batch_size=2
        )


# ---------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    "call, sentence",
    [
        (
            lambda: finetune.add_head(noisy(), 1),
            "at least 2 labels to choose from, not 1",
        ),
        (lambda: finetune.labelled(TOK, ["a"], []), "1 texts and 0 labels"),
        (lambda: finetune.labelled(TOK, [], []), "and at least one"),
        (lambda: finetune.labelled(TOK, ["a"], ["x"]), "whole numbers from 0"),
        (lambda: finetune.labelled(TOK, ["a"], [-1]), "whole numbers from 0"),
        (lambda: finetune.answered(TOK, ["a", "b"], ["c"]), "2 prompts and 1 answers"),
        (lambda: finetune.accuracy([0, 1], [0]), "2 predictions and 1 labels"),
        (lambda: finetune.confusion([], [], 2), "at least one"),
        (lambda: finetune.matching(noisy(), "h.7"), "no parameter is named 'h.7'"),
        (lambda: finetune.matching(noisy(), ["h.0", "!atn"]), "named 'atn'"),
        (lambda: finetune.matching(noisy(), ["h.0", "!h"]), "leave no parameter"),
        (lambda: finetune.matching(noisy(), []), "leave no parameter"),
        (lambda: finetune.add_head(noisy(), 14), "more than the 13 tokens"),
        (lambda: finetune.predict(noisy(), CFG, []), "at least one"),
        (
            lambda: finetune.predict(
                with_head(), CFG, finetune.answered(TOK, ["a"], ["bc"])
            ),
            "texts that are labelled",
        ),
        (
            lambda: finetune.labelled(mg.CharTokenizer("ab"), ["a"], [0]),
            "no end token",
        ),
    ],
)
def test_what_cannot_be_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
