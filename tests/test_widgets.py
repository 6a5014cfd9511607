"""The sampling explorer under Python: traits, their checks, and what a page gets."""

import base64
import dataclasses
import html
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import traitlets
from engine.runners import model
from small_model import CFG, noisy

import minigpt as mg
from minigpt.sampling import distribution
from minigpt.widgets import bundle

pytest.importorskip("anywidget", reason="anywidget is missing")
widgets = pytest.importorskip("minigpt.widgets")
PROMPT = "Once a girl called Mia had a red kite. One day"
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def tales():
    return mg.load("tales")


@pytest.fixture
def explorer(tales):
    return widgets.SamplingExplorer(*tales, PROMPT, seed=3)


def expected(tales, text=PROMPT, **settings):
    """The next token's probabilities, without the explorer."""
    params, cfg, tok = tales
    logits = mg.gpt(params, [[tok.eot, *tok.encode(text)]], cfg)[:, -1]
    if settings.get("temperature") == 0:
        return np.eye(cfg.vocab_size)[logits[0].argmax()]
    return distribution(logits, **{"temperature": 1.0, **settings})[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.0},
        {"temperature": 0.05, "top_k": 7},
        {"temperature": 2.0, "top_p": 0.6},
        {"temperature": 3.0, "top_k": 50, "top_p": 0.9},
    ],
)
def test_what_is_shown_is_what_the_package_computes(tales, explorer, settings):
    for name, value in settings.items():
        setattr(explorer, name, value)
    p = expected(tales, **settings)
    assert np.allclose(explorer.probabilities(), p, atol=1e-6)
    shares = [share for _, share in explorer.shown()]
    assert np.isclose(sum(shares), 1) and len(shares) == 9
    assert np.allclose(shares[:-1], np.sort(p)[::-1][:8], atol=1e-6)


def test_python_writes_what_generate_does(tales, explorer):
    params, cfg, tok = tales
    ids = [tok.eot, *tok.encode(PROMPT)]
    out = mg.generate(params, ids, cfg, 80, seed=3, stop=tok.eot)
    told = explorer.write()
    assert explorer.new_ids == out[len(ids) :].tolist()
    assert told == tok.decode([i for i in explorer.new_ids if i != tok.eot])
    explorer.seed = 4
    assert explorer.new_ids == []


def test_what_the_reader_does_python_can_observe(explorer):
    seen = []
    explorer.observe(lambda change: seen.append(change["name"]))
    explorer.set_state({"text": "Mia", "new_ids": [1, 2]})  # as a page sends it
    assert (explorer.text, explorer.new_ids) == ("Mia", [1, 2])
    explorer.set_state({"seed": 9})  # the page begins anew, and says so itself
    assert explorer.new_ids == [1, 2] and {"text", "seed"} <= set(seen)
    explorer.text = "Tim"
    assert explorer.new_ids == []


def test_traits_can_be_linked(tales, explorer):
    other = widgets.SamplingExplorer(*tales, "Mia")
    traitlets.link((explorer, "temperature"), (other, "temperature"))
    explorer.temperature = 0.3
    assert other.temperature == 0.3


def test_the_weights_come_as_one_message(tales, explorer, monkeypatch):
    sent = []
    monkeypatch.setattr(explorer, "send", lambda *message: sent.append(message))
    explorer._handle_custom_msg({"kind": "other"}, [])
    assert not sent
    explorer._handle_custom_msg({"kind": "model"}, [])
    [(content, [weights])] = sent
    packed = bundle.pack(*tales)
    assert base64.b64decode(packed.pop("weights")) == weights
    assert content == {"kind": "model", "packed": packed}
    assert "weights" not in str(explorer.get_state().keys())
    assert len(json.dumps(explorer.get_state())) < 100_000


IMPOSSIBLE = [
    ({"temperature": -1.0}, "temperature must be 0"),
    ({"temperature": float("nan")}, "temperature must be 0"),
    ({"temperature": 4.0}, "ends at 3"),
    ({"top_k": 0}, "top_k must be a whole number"),
    ({"top_p": 0.0}, "top_p must be over 0"),
    ({"seed": -1}, "seed must be a whole number"),
    ({"seed": 2**40}, "seed must be a whole number"),
    ({"rows": 0}, "rows must be a whole number"),
]


@pytest.mark.parametrize(("settings", "words"), IMPOSSIBLE)
def test_settings_without_meaning_are_refused(tales, explorer, settings, words):
    with pytest.raises(ValueError, match=words):
        widgets.SamplingExplorer(*tales, PROMPT, **settings)
    [(name, value)] = settings.items()
    before = getattr(explorer, name)
    with pytest.raises(traitlets.TraitError, match=words):
        setattr(explorer, name, value)
    assert getattr(explorer, name) == before


def test_ids_that_are_not_there_are_refused(explorer):
    with pytest.raises(traitlets.TraitError, match="the id 576 is not in the vocab"):
        explorer.new_ids = [1, 576]


def test_models_that_a_page_cannot_run_are_refused(tales, monkeypatch):
    tok = mg.CharTokenizer("abc")
    cfg = dataclasses.replace(CFG, vocab_size=tok.vocab_size)
    with pytest.raises(ValueError, match="the page reads byte pairs"):
        widgets.SamplingExplorer(noisy(cfg), cfg, tok, "a")
    with pytest.raises(ValueError, match="they do not belong together"):
        widgets.SamplingExplorer(*tales[:2], tok, "a")
    monkeypatch.setattr("minigpt.widgets.alive.LARGEST", 1_000_000)
    with pytest.raises(ValueError, match="1,931,264 bytes, and at most 1,000,000"):
        widgets.SamplingExplorer(*tales, "a")


def attribute(text, name):
    return html.unescape(re.search(rf' data-{name}="(.*?)"', text)[1])


def test_a_page_gets_a_still_picture_and_the_settings(tales, explorer):
    data, _ = explorer._repr_mimebundle_()
    assert data[VIEW]["model_id"] == explorer.model_id
    text = data["text/html"]
    assert attribute(text, "widget") == "SamplingExplorer"
    assert attribute(text, "model") == "tales"
    state = json.loads(attribute(text, "state"))
    assert state == {name: getattr(explorer, name) for name in state}
    assert {"text", "temperature", "top_k", "top_p", "seed", "new_ids"} <= state.keys()
    assert text.count('<input type="range" disabled') == 3
    assert "still picture" in text and "<script" not in text
    assert explorer.model_id not in text + data["text/plain"]
    params, cfg, tok = tales
    ids = mg.generate(params, explorer.ids, cfg, 80, seed=3, stop=tok.eot)
    told = tok.decode([i for i in ids[len(explorer.ids) :] if i != tok.eot])
    assert f"{PROMPT}<b>{told}</b>" in text and explorer.new_ids == []
    again = widgets.SamplingExplorer(*tales, PROMPT, seed=3)
    assert again._repr_mimebundle_()[0]["text/html"] == text


def test_another_model_stays_a_picture():
    text = widgets.SamplingExplorer(*model("tied"), "the <i>cat</i>").html()
    assert "data-model" not in text and "the &lt;i&gt;cat&lt;/i&gt;<b>" in text


def test_the_package_does_not_import_anywidget_until_asked():
    program = (
        "import sys, minigpt as mg; assert 'anywidget' not in sys.modules\n"
        "mg.widgets.SamplingExplorer; assert 'anywidget' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_without_anywidget_a_sentence_says_so():
    program = (
        "import sys; sys.modules['anywidget'] = None\n"
        "import minigpt as mg\n"
        "try: mg.widgets.SamplingExplorer\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "pip install anywidget" in run.stdout, run.stderr
