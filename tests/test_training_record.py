"""The training scrubber and its record under Python, and under a stand-in kernel."""

import copy
import html
import json
import math
import re

import numpy as np
import pytest
import traitlets
from scrubber_page import (
    ASK,
    MOMENTS,
    RECORD,
    at,
    figures,
    go,
    tokens,
)
from stand_in import in_page

import minigpt as mg
from minigpt.assets import retrain

pytest.importorskip("anywidget", reason="anywidget is missing")
widgets = pytest.importorskip("minigpt.widgets")


def attribute(text, name):
    return html.unescape(re.search(rf' data-{name}="(.*?)"', text)[1])


def test_a_page_gets_a_still_picture_and_the_record():
    scrubber = widgets.TrainingScrubber(moment=5, sample=1)
    text = scrubber.html()
    assert attribute(text, "widget") == "TrainingScrubber"
    assert attribute(text, "model") == ""
    state = json.loads(attribute(text, "state"))
    assert (state["moment"], state["sample"], state["query"]) == (5, 1, ASK)
    shown = state["shown"]
    assert shown["loss"] == RECORD["loss"] and shown["floor"] == RECORD["floor"]
    for small, moment in zip(shown["moments"], MOMENTS, strict=True):
        assert small["val_loss"] == moment["val_loss"]
        flat = np.concatenate(moment["attention"])
        assert np.allclose(np.array(small["attention"]) / 1000, flat, atol=1e-9)
    assert "still picture" in text and "<svg" in text and len(text) < 120_000
    assert html.escape(MOMENTS[5]["samples"][1]) in text
    words = "Step 500, moment 6 of 12: loss 0.4971 nats, perplexity 1.64, 25.3 % above"
    assert words in repr(scrubber) and "“?” looks 0.92 at “Rex”" in repr(scrubber)
    scrubber.moment = 11
    assert "Step 14,000" in repr(scrubber) and "0.9 % above the floor" in repr(scrubber)


def test_the_record_knows_the_perfect_loss_on_its_own_texts():
    tok = mg.load("tales")[2]
    asked = mg.data.wrap(tok, retrain.stories(retrain.HELD_OUT, [retrain.SEED, 1]))
    assert RECORD["perfect"] == pytest.approx(retrain.cost(tok, asked), abs=1e-5)


def test_a_training_of_ones_own():
    params, cfg, tok = mg.load("tales")
    texts = mg.data.wrap(tok, retrain.stories(8, 5))
    history = retrain.History(cfg, tok, texts)
    for step, share in ((0, 0.1), (100, 1.0)):
        history(step, mg.tree.map(lambda a, share=share: a * np.float32(share), params))
    record = history.as_dict([3.0] * 50 + [1.0] * 50)
    scrubber = widgets.TrainingScrubber(record, 1)
    assert scrubber.shown["loss"] == [3.0, 1.0] and len(scrubber.shown["moments"]) == 2
    losses = [moment["val_loss"] for moment in record["moments"]]
    assert losses[1] < 0.5 < losses[0] and f"{losses[1]:.4f} nats" in repr(scrubber)
    assert record["perfect"] == pytest.approx(retrain.cost(tok, texts), abs=1e-5)


def test_the_least_record_and_a_long_one():
    moments = [{"step": 7, "val_loss": 2.5, "samples": ["tó be"]}]
    scrubber = widgets.TrainingScrubber({"moments": moments}, check=False)
    assert "attention" not in str(scrubber.shown) and "verdicts" not in str(
        scrubber.shown
    )
    assert repr(scrubber).endswith("loss 2.5000 nats, perplexity 12.18.")
    assert "tó be" in scrubber.html()
    long = {"moments": moments, "loss": [3.0, 1.0] * 1000, "loss_every": 2}
    shown = widgets.TrainingScrubber(long).shown
    assert len(shown["loss"]) == 400 and shown["loss_every"] == 10
    assert shown["loss"][:2] == [2.2, 1.8]


def broken(change):
    record = copy.deepcopy(RECORD)
    change(record)
    return record


BAD = [
    (lambda r: r.pop("moments"), "1 to 40 `moments`"),
    (lambda r: r["moments"].clear(), "1 to 40 `moments`"),
    (lambda r: r["moments"][2].pop("val_loss"), "moment 2 has no `val_loss`"),
    (lambda r: r["moments"][2].update(step=7), "steps must rise"),
    (lambda r: r["moments"][2].update(step=20), "steps must rise"),
    (lambda r: r["moments"][2].update(step=-1), "`step` is a number of steps, not -1"),
    (lambda r: r["moments"][1].update(val_loss=math.nan), "positive number of nats"),
    (lambda r: r["moments"][0].update(val_loss=1000.0), "up to 700, not 1000.0"),
    (lambda r: r["moments"][1].update(samples=[]), "one text or more"),
    (lambda r: r["moments"][1].update(samples=["a"]), "as many samples"),
    (lambda r: r["moments"][1].update(samples=["a" * 5000] * 3), "5,000 characters"),
    (
        lambda r: r.update(floor=-1),
        "nats up to 700, not -1",
    ),
    (lambda r: r["loss"].__setitem__(3, math.inf), r"`loss\[3\]` is a positive"),
    (lambda r: r.update(loss_every=0), "`loss_every` is a whole number"),
    (lambda r: r.update(tokens=[]), "1 to 128 `tokens`"),
    (lambda r: r["moments"][4].pop("attention"), "moment 4: `attention` has a row"),
    (lambda r: r["moments"][4]["attention"][3].pop(), "moment 4: `attention` has a"),
    (lambda r: r["moments"][4]["attention"][3].__setitem__(0, 7.0), "shares from 0"),
]


@pytest.mark.parametrize(("change", "words"), BAD)
def test_what_is_no_record_gets_a_sentence(change, words):
    with pytest.raises(ValueError, match=words):
        widgets.TrainingScrubber(broken(change))


def test_numbers_of_numpy_are_carried_by_a_page():
    moments = [{"step": np.int64(0), "val_loss": np.float32(2.5), "samples": ("a",)}]
    record = {"moments": moments, "floor": np.float32(1.25), "loss": np.ones(3)}
    record |= {"loss_every": np.int64(2)}
    scrubber = widgets.TrainingScrubber(record, check=False)
    assert json.loads(json.dumps(scrubber.shown)) == {
        "moments": [{"step": 0, "val_loss": 2.5, "samples": ["a"]}],
        "floor": 1.25,
        "loss": [1, 1, 1],
        "loss_every": 2,
    }
    assert "step 0" in scrubber.html()


def test_too_much_attention_and_no_dict_get_a_sentence():
    T = 128
    rows = [[0.5] * (t + 1) for t in range(T)]
    moments = [
        {"step": s, "val_loss": 1.0, "samples": ["a"], "attention": rows}
        for s in range(13)
    ]
    with pytest.raises(ValueError, match="13 moments over 128 tokens"):
        widgets.TrainingScrubber({"moments": moments, "tokens": ["a"] * T})
    with pytest.raises(ValueError, match="a record is a dict, not list"):
        widgets.TrainingScrubber([])


@pytest.mark.parametrize(
    ("trait", "value", "words"),
    [
        ("moment", 12, "moment is a whole number from 0 to 11, not 12"),
        ("sample", -1, "sample is a whole number from 0 to 2, not -1"),
        ("query", 49, "query is a whole number from 0 to 48, not 49"),
    ],
)
def test_places_that_are_not_there_are_refused(trait, value, words):
    with pytest.raises(ValueError, match=words):
        widgets.TrainingScrubber(**{trait: value})
    scrubber = widgets.TrainingScrubber()
    before = getattr(scrubber, trait)
    with pytest.raises(traitlets.TraitError, match=words):
        setattr(scrubber, trait, value)
    assert getattr(scrubber, trait) == before
    with pytest.raises(traitlets.TraitError, match="read-only"):
        scrubber.shown = {}


# Under a kernel.


@pytest.fixture
def views(context):
    page, errors = in_page(context, widgets.TrainingScrubber(moment=3))
    yield page
    page.close()
    assert not errors


def test_python_and_the_page_set_each_other(views):
    one, two = views.locator("#one"), views.locator("#two")
    go(one, 8)
    one.get_by_role("button", name="sample 2").click()
    tokens(one).nth(20).click()
    saved = views.evaluate("saved.at(-1)")
    assert (saved["moment"], saved["sample"], saved["query"]) == (8, 1, 20)
    assert at(two) == 8
    views.evaluate("python.set('moment', 2)")
    for view in (one, two):
        assert figures(view)["loss on held-out texts"] == "1.7861 nats"
    painted = "c => c.getContext('2d').getImageData(0, 0, 49, 49).data.some((v) => v)"
    assert one.locator("canvas").evaluate(painted)
    before = views.evaluate("heard()")
    two.get_by_role("button", name="Play").click()
    views.evaluate("close_two()")
    assert views.evaluate("heard()") == before - 3
    assert views.evaluate("python.values.moment") == 2


def test_a_record_without_attention_floor_and_verdicts_is_shown(context):
    moments = [{"step": 0, "val_loss": 4.0, "samples": ["<b>&\u0007"]}]
    moments.append({"step": 9, "val_loss": 3.0, "samples": ["fine"]})
    widget = widgets.TrainingScrubber({"moments": moments}, check=False)
    page, errors = in_page(context, widget)
    one = page.locator("#one")
    assert one.locator(".mgw-written").inner_text() == "<b>&␇"
    go(one, 1)
    assert figures(one) == {
        "loss on held-out texts": "3.0000 nats",
        "perplexity": "20.09",
    }
    assert (
        not one.locator("canvas").count() and one.locator(".mgw-curve-dot").count() == 2
    )
    page.close()
    assert not errors
