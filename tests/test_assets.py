"""The model that the book ships does what the book says of it."""

import json

import numpy as np
import pytest
from safetensors import safe_open

import minigpt as mg
from minigpt import data, tales
from minigpt.assets import retrain

FRESH = 987_654_321  # a seed that training has not seen


@pytest.fixture(scope="module")
def shipped():
    return mg.load("tales")


@pytest.fixture(scope="module")
def history():
    return json.loads((retrain.FOLDER / "history.json").read_text("utf-8"))


def test_fresh_stories_cost_the_model_hardly_more_than_their_teller(shipped):
    params, cfg, tok = shipped
    texts = data.wrap(tok, retrain.stories(800, FRESH))
    own = retrain.cost(tok, texts)  # the floor, but for the luck of the draw
    assert own == pytest.approx(tales.floor(tok), rel=0.01)
    assert 1.0 < retrain.loss(params, cfg, texts) / own < 1.01


def test_nine_of_ten_stories_that_it_writes_are_consistent(shipped):
    params, cfg, tok = shipped
    written = retrain.write_stories(params, cfg, tok, 300, FRESH)
    assert len(set(written)) > 295
    assert retrain.consistency(written) > 0.87  # 0.9, less 1.7 standard errors


def test_the_files_are_small_and_the_weights_in_half_precision(shipped):
    _, cfg, tok = shipped
    sizes = {path.name: path.stat().st_size for path in retrain.FOLDER.iterdir()}
    assert set(sizes) == {
        *("model.safetensors", "config.json", "tokenizer.json", "history.json")
    }
    assert sizes["model.safetensors"] <= 1_200_000
    assert sizes["history.json"] < 200_000
    with safe_open(retrain.FOLDER / "model.safetensors", framework="numpy") as file:
        names = list(file.keys())
        assert {file.get_slice(name).get_dtype() for name in names} == {"F16"}
    assert cfg.n_ctx > tales.longest(tok)
    assert cfg.vocab_size == tok.vocab_size


def test_the_history_tells_of_twelve_moments(history):
    moments = history["moments"]
    assert [moment["step"] for moment in moments] == list(retrain.MOMENTS)
    assert len(moments) == 12
    for moment in moments:
        assert len(moment["samples"]) == 3
        assert len(moment["attention"]) == len(history["tokens"])
        for t, row in enumerate(moment["attention"], 1):
            assert len(row) == t
            assert sum(row) == pytest.approx(1, abs=0.03)  # three decimals each
    first, last = moments[0], moments[-1]
    assert first["val_loss"] > 6 > 1.05 * history["floor"] > last["val_loss"]
    assert not any(tales.check(text).ok for text in first["samples"])
    assert any(tales.check(text).ok for text in last["samples"])
    assert len(history["loss"]) == retrain.SETTINGS.steps // history["loss_every"]


def test_the_last_moment_is_the_shipped_model(shipped, history):
    params, cfg, tok = shipped
    ids = np.array([tok.eot, *tok.encode(retrain.SHOWN)])
    assert [tok.decode([i]) for i in ids] == history["tokens"]
    weights = retrain.attention(params, cfg, ids)[history["layer"], history["head"]]
    recorded = np.zeros_like(weights)
    for t, row in enumerate(history["moments"][-1]["attention"]):
        recorded[t, : t + 1] = row
    assert np.abs(weights - recorded).max() < 0.02
    assert tales.check(retrain.SHOWN).ok


def test_the_recorded_head_looks_back_at_the_answer(history):
    tokens, moments = history["tokens"], history["moments"]
    ask = len(tokens) - 1 - tokens[::-1].index("?")
    there = [i for i, token in enumerate(tokens[:ask]) if token == tokens[ask + 1]]
    looks = [sum(moment["attention"][ask][i] for i in there) for moment in moments]
    assert looks[-1] > 0.5 > 0.1 > looks[0]


@pytest.mark.slow
def test_the_first_steps_of_retraining_follow_the_recorded_history(history):
    tok, texts, held_out = retrain.material()
    saved = mg.load("tales")[2]
    assert tok.encode(retrain.SHOWN) == saved.encode(retrain.SHOWN)
    params, cfg = retrain.start(tok)
    again = retrain.History(cfg, tok, held_out)
    retrain.learn(params, cfg, texts, until=20, moment=again, progress=False)
    for recorded, repeated in zip(history["moments"], again.moments, strict=False):
        assert repeated["step"] == recorded["step"]
        assert repeated["val_loss"] == pytest.approx(recorded["val_loss"], rel=0.01)
    assert len(again.moments) == 2
