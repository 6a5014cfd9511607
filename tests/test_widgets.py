"""The sampling explorer: what it shows is what the package computes."""

import dataclasses
import json
import re
import subprocess
import sys
from html import escape

import numpy as np
import pytest
from small_model import CFG, noisy

import minigpt as mg
from minigpt.sampling import keep_top_k, probabilities, scale

widgets = pytest.importorskip("minigpt.widgets", reason="ipywidgets is missing")
PROMPT = "Once a girl called Mia had a red kite. One day"
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def tales():
    return mg.load("tales")


@pytest.fixture
def explorer(tales):
    return widgets.SamplingExplorer(*tales, PROMPT, seed=3)


def expected(tales, temperature, k, prompt=PROMPT):
    """The next token's probabilities, without the explorer."""
    params, cfg, tok = tales
    z = mg.gpt(params, [[tok.eot, *tok.encode(prompt)]], cfg)[:, -1]
    if temperature == 0:
        return np.eye(cfg.vocab_size)[z[0].argmax()]
    z = scale(z, temperature)
    return probabilities(z if k is None else keep_top_k(z, k))[0]


def test_the_sliders_change_what_is_shown(tales, explorer):
    assert np.allclose(explorer.probabilities(), expected(tales, 1.0, None))
    for temperature in (0.0, 0.05, 0.7, 1.0, 2.0):
        for k in (1, 2, 7, 50):
            explorer.temperature.value, explorer.top_k.value = temperature, k
            assert explorer.settings == {"temperature": temperature, "top_k": k}
            p = expected(tales, temperature, k)
            assert np.allclose(explorer.probabilities(), p, atol=1e-6)
            shown = explorer.shown()
            assert np.isclose(sum(share for _, share in shown), 1)
            assert np.allclose(
                [s for _, s in shown[:-1]], np.sort(p)[::-1][:8], atol=1e-6
            )
            for _, share in shown:
                assert f">{share:.3f}<" in explorer.picture.value
    explorer.keep_all.value = True
    assert np.allclose(explorer.probabilities(), expected(tales, 2.0, None), atol=1e-6)


def test_the_text_is_the_packages(tales, explorer):
    params, cfg, tok = tales
    ids = [tok.eot, *tok.encode(PROMPT)]
    for seed, temperature, k in ((3, 1.0, None), (4, 1.5, 5), (4, 0.0, 5)):
        explorer.seed.value, explorer.temperature.value = seed, temperature
        if k:
            explorer.top_k.value = k
        out = mg.generate(
            params, ids, cfg, 80, **explorer.settings, seed=seed, stop=tok.eot
        )
        told = tok.decode([i for i in out[len(ids) :] if i != tok.eot])
        assert told in explorer.text.value and PROMPT in explorer.text.value


def test_the_button_draws_anew(explorer):
    before = explorer.text.value
    explorer.write.click()
    assert explorer.seed.value == 4 and explorer.text.value != before


def test_a_prompt_is_read_when_it_changes(tales, explorer):
    explorer.prompt.value = "Once there was"
    p = expected(tales, 1.0, None, "Once there was")
    assert np.allclose(explorer.probabilities(), p, atol=1e-6)
    explorer.prompt.value = ""  # the end-of-text token alone is a fine beginning
    assert np.allclose(explorer.probabilities(), expected(tales, 1.0, None, ""))
    assert explorer.message.value == ""


def test_a_long_prompt_says_what_is_lost(explorer):
    explorer.prompt.value = "Mia " * 120
    assert "the last 96 tokens" in explorer.message.value


def test_a_text_longer_than_the_model_goes_on_and_says_so(tales, explorer):
    params, cfg, tok = tales
    for prompt in ("Mia " * 120 + "had", PROMPT):
        explorer.prompt.value, explorer.temperature.value = prompt, 2.0
        ids = [tok.eot, *tok.encode(prompt)]
        explorer.max_new_tokens = 120
        for explorer.seed.value in range(10):
            out = mg.generate(
                params,
                ids,
                cfg,
                120,
                temperature=2.0,
                seed=explorer.seed.value,
                stop=tok.eot,
            )
            told = tok.decode([i for i in out[len(ids) :] if i != tok.eot])
            assert escape(told) in explorer.text.value
            stopped = "(stopped after 120 tokens)" in explorer.text.value
            assert stopped == (out[-1] != tok.eot)
            slid = len(out) - 1 > cfg.n_ctx  # what was read for the last token
            assert slid == ("96" in explorer.message.value)


def test_one_token_is_no_tokens():
    tok = mg.CharTokenizer("ab")
    cfg = dataclasses.replace(CFG, vocab_size=tok.vocab_size)
    explorer = widgets.SamplingExplorer(noisy(cfg), cfg, tok, "a", max_new_tokens=1)
    assert "(stopped after 1 token)" in explorer.text.value


def test_temperature_zero_says_that_the_seed_is_idle(explorer):
    explorer.temperature.value = 0
    first = explorer.text.value
    explorer.write.click()
    assert explorer.text.value == first
    assert "every seed writes the same" in explorer.message.value


def test_a_prompt_that_cannot_be_read_is_a_message():
    tok = mg.CharTokenizer("abc kite.")
    cfg = dataclasses.replace(CFG, vocab_size=tok.vocab_size)
    explorer = widgets.SamplingExplorer(noisy(cfg), cfg, tok, "a kite")
    before = explorer.probabilities()
    explorer.prompt.value = "a <kite> Z"
    assert 'role="alert"' in explorer.message.value
    assert "<kite>" not in explorer.message.value
    assert np.array_equal(explorer.probabilities(), before)
    explorer.temperature.value = 0.5  # and it goes on
    explorer.prompt.value = "a"
    assert "alert" not in explorer.message.value


def test_moving_a_slider_keeps_the_alarm_and_the_prompt_that_was_read():
    tok = mg.CharTokenizer("abc kite.")
    cfg = dataclasses.replace(CFG, vocab_size=tok.vocab_size)
    explorer = widgets.SamplingExplorer(noisy(cfg), cfg, tok, "a kite")
    explorer.prompt.value = "XYZ"
    alarm = explorer.message.value
    assert 'role="alert"' in alarm and "a kite" in alarm  # what is shown still
    for control, value in ((explorer.temperature, 0.5), (explorer.top_k, 2)):
        control.value = value
        assert explorer.message.value == alarm
        assert "a kite<b>" in explorer.text.value and "XYZ" not in explorer.text.value
    explorer.write.click()
    assert explorer.message.value == alarm
    explorer.prompt.value = "bite"
    assert "alert" not in explorer.message.value
    assert "bite<b>" in explorer.text.value


def test_bars_keep_one_scale_while_a_slider_moves(explorer):
    def widths():
        drawn = re.findall(r"<rect [^>]*?width=\"([\d.]+)\"", explorer.picture.value)
        return [float(w) for w in drawn]

    explorer.temperature.value = 0
    whole = max(widths())  # probability 1
    for explorer.temperature.value in (0.5, 1.0, 2.0):
        share = max(s for _, s in explorer.shown())
        assert max(widths()) == pytest.approx(whole * share, rel=0.02)


def test_a_first_prompt_that_cannot_be_read_can_be_mended():
    tok = mg.CharTokenizer("abc kite.")
    cfg = dataclasses.replace(CFG, vocab_size=tok.vocab_size)
    explorer = widgets.SamplingExplorer(noisy(cfg), cfg, tok, "Z")
    explorer.temperature.value = 0.5
    assert 'role="alert"' in explorer._repr_mimebundle_()["text/html"]
    explorer.prompt.value = "a"
    assert "alert" not in explorer.message.value and explorer.shown()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temperature": -1.0}, "temperature must be 0"),
        ({"temperature": 4.0}, "ends at 3"),
        ({"top_k": 0}, "top_k must be a whole number"),
    ],
)
def test_settings_without_meaning_are_refused(tales, settings, words):
    with pytest.raises(ValueError, match=words):
        widgets.SamplingExplorer(*tales, PROMPT, **settings)


def test_a_large_top_k_and_a_small_vocabulary_fit(tales):
    explorer = widgets.SamplingExplorer(*tales, PROMPT, top_k=400)
    assert explorer.top_k.value == 400 and explorer.settings["top_k"] == 400
    tok = mg.CharTokenizer("abc")
    cfg = dataclasses.replace(CFG, vocab_size=tok.vocab_size)
    small = widgets.SamplingExplorer(noisy(cfg), cfg, tok, "a")
    assert small.top_k.max == tok.vocab_size
    assert np.isclose(sum(share for _, share in small.shown()), 1)


def test_every_control_has_a_name(explorer):
    for control in (explorer.temperature, explorer.top_k, explorer.prompt):
        assert control.description
    assert explorer.keep_all.description == "keep all 576 tokens"
    assert explorer.seed.description and explorer.write.description
    assert 'role="img"' in explorer.picture.value
    assert 'aria-label="Probabilities of the next token: ' in explorer.picture.value


def test_a_page_gets_a_still_picture_and_a_kernel_the_sliders(tales, explorer):
    bundle = explorer._repr_mimebundle_()
    assert bundle[VIEW]["model_id"] == explorer.box.model_id
    html = bundle["text/html"]
    assert html.count('<input type="range" disabled') == 2
    assert "temperature" in html and "all 576" in html and "still picture" in html
    assert "<script" not in html and "http" not in html.replace("http://www.w3.org", "")
    assert explorer.box.model_id not in html + bundle["text/plain"]
    again = widgets.SamplingExplorer(*tales, PROMPT, seed=3)
    assert again._repr_mimebundle_()["text/html"] == html
    json.dumps(bundle)


def test_the_package_does_not_import_ipywidgets_until_asked():
    program = (
        "import sys, minigpt as mg; assert 'ipywidgets' not in sys.modules\n"
        "mg.widgets.SamplingExplorer; assert 'ipywidgets' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_without_ipywidgets_a_sentence_says_so():
    program = (
        "import sys; sys.modules['ipywidgets'] = None\n"
        "import minigpt as mg\n"
        "try: mg.widgets\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "pip install ipywidgets" in run.stdout, run.stderr


def letters():
    tok = mg.CharTokenizer("ab<>i\n")
    cfg = dataclasses.replace(CFG, vocab_size=tok.vocab_size)
    return noisy(cfg), cfg, tok


def test_a_prompt_is_text_and_no_html():
    shown = widgets.SamplingExplorer(*letters(), "<i>a").text.value
    assert "&lt;i&gt;a<b>" in shown and "<i>a" not in shown


def test_weights_that_are_no_numbers_get_a_sentence():
    params, cfg, tok = letters()
    params["ln_f"]["bias"][:] = np.nan
    explorer = widgets.SamplingExplorer(params, cfg, tok, "a")
    assert "not finite" in explorer.message.value


@pytest.mark.parametrize("seed", [-1, 1.5, 2**40, None])
def test_a_seed_that_cannot_be_gets_a_sentence(seed):
    with pytest.raises(ValueError, match="seed must be a whole number"):
        widgets.SamplingExplorer(*letters(), "a", seed=seed)


def test_a_tokenizer_of_another_model_gets_a_sentence():
    params, cfg, _ = letters()
    with pytest.raises(ValueError, match="they do not belong together"):
        widgets.SamplingExplorer(params, cfg, mg.CharTokenizer("ab"), "a")
    small = dataclasses.replace(cfg, vocab_size=2)
    explorer = widgets.SamplingExplorer(noisy(small), small, letters()[2], "b")
    assert "vocabulary" in explorer.message.value
