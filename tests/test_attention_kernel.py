"""The attention explorer under Python, and its module under a stand-in for a kernel."""

import html
import json
import re

import numpy as np
import pytest
import traitlets
from engine.runners import model
from stand_in import in_page

import minigpt as mg

pytest.importorskip("anywidget", reason="anywidget is missing")
widgets = pytest.importorskip("minigpt.widgets")
TEXT = "Once a girl called Mia had a red kite."


@pytest.fixture
def explorer():
    return widgets.AttentionExplorer(*mg.load("tales"), TEXT, layer=1, head=2)


def test_python_reads_tokens_and_weights(explorer):
    params, cfg, tok = mg.load("tales")
    seen, ids = {}, [tok.eot, *tok.encode(TEXT)]
    mg.gpt(params, [ids], cfg, tap=seen)
    assert explorer.weights.shape == (2, 8, len(ids), len(ids))
    for layer in range(2):
        assert np.array_equal(
            explorer.weights[layer], seen[f"h.{layer}.attn.weights"][0]
        )
    assert "".join(explorer.tokens) == "<|endoftext|>" + TEXT
    explorer.text = TEXT * 20
    assert len(explorer.tokens) == 96 and TEXT.endswith("".join(explorer.tokens[-3:]))
    explorer.text = ""
    assert explorer.tokens == ["<|endoftext|>"]
    assert np.all(explorer.weights == 1)


IMPOSSIBLE = [
    ({"layer": 2}, "layer must be under 2 in this model, not 2"),
    ({"layer": -1}, "layer must be a whole number from 0, not -1"),
    ({"head": 8}, "head must be under 8 in this model, not 8"),
    ({"query": -1}, "query must be a whole number from 0, not -1"),
    ({"query": 96}, "query must be under 96 in this model, not 96"),
]


@pytest.mark.parametrize(("settings", "words"), IMPOSSIBLE)
def test_what_the_model_lacks_is_refused(explorer, settings, words):
    with pytest.raises(ValueError, match=words):
        widgets.AttentionExplorer(*mg.load("tales"), TEXT, **settings)
    [(name, value)] = settings.items()
    before = getattr(explorer, name)
    with pytest.raises(traitlets.TraitError, match=words):
        setattr(explorer, name, value)
    assert getattr(explorer, name) == before


def test_a_page_gets_a_still_picture_and_what_was_chosen(explorer):
    explorer.query = 5
    text = explorer._repr_mimebundle_()[0]["text/html"]
    state = json.loads(html.unescape(re.search(r' data-state="(.*?)"', text)[1]))
    assert state == {"text": TEXT, "layer": 1, "head": 2, "query": 5}
    assert 'data-model="tales"' in text and "still picture" in text
    row = explorer.weights[1, 2, 5, :6]
    best = int(row.argmax())
    name = (
        explorer.tokens[best].replace(" ", "␣").replace("<|endoftext|>", "end of text")
    )
    assert f"␣Mia looks {row[best]:.2f} at {name}" in repr(explorer)
    assert repr(explorer).split(". ", 1)[1] in html.unescape(text)
    assert len(text) < 6000


def test_a_query_beyond_the_text_is_its_last(explorer):
    explorer.query = 90
    assert ". In layer 1, head 2, . looks" in repr(explorer)


def test_another_model_stays_a_picture():
    text = widgets.AttentionExplorer(*model("tied"), "the <i>cat</i>", 0, 0).html()
    assert "data-model" not in text and "the &lt;i&gt;cat&lt;/i&gt;" in text


@pytest.fixture
def page(context, explorer):
    page, errors = in_page(context, explorer)
    yield page
    page.close()
    assert not errors


def looks(page):
    return page.locator(".mgw-look").all_inner_texts()


def test_what_the_reader_chooses_reaches_python_once(page):
    page.locator("#one .mgw-looker").nth(4).click()
    page.wait_for_function("saved.length === 1")
    assert page.evaluate("saved[0].query") == 4
    page.evaluate(  # a key that is held down is one message
        """for (const key of Array(3).fill("ArrowRight")) document.activeElement
          .dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }))"""
    )
    page.wait_for_function("saved.length > 1 && saved.at(-1).query === 7")
    assert page.evaluate("saved.length") == 2
    page.locator("#one .mgw-head").nth(6).click()
    page.wait_for_function("saved.at(-1).head === 6 && saved.at(-1).layer === 0")
    page.locator("#one .mgw-looker").last.click()  # the last one goes with the text
    page.wait_for_function("saved.at(-1).query === null")
    page.locator("#one textarea").fill("Once a boy")
    page.wait_for_function("saved.at(-1).text === 'Once a boy'")
    assert page.locator("#two .mgw-looker").count() == 4


def test_a_mouse_that_moves_tells_nobody(page):
    before = looks(page)
    for i in range(6):
        page.locator("#one .mgw-looker").nth(i).hover()
    page.locator("#one .mgw-square").hover(position={"x": 60, "y": 90})
    assert looks(page)[0] != before[0] and looks(page)[1] == before[1]
    page.locator("#one .mgw-looker").nth(2).click()
    page.wait_for_function("saved.length > 0")
    assert page.evaluate("saved.length") == 1


def test_what_python_sets_is_shown(page, explorer):
    page.evaluate("python.set('query', 3)")
    page.evaluate("python.set('layer', 0)")
    page.evaluate("python.set('text', 'The fox met Mia')")
    explorer.query, explorer.layer, explorer.text = 3, 0, "The fox met Mia"
    said = repr(explorer).split("head 2, ")[1].split(", 0.02")[0]
    assert said == "␣fox looks 0.66 at itself, 0.18 at T, 0.14 at he"
    assert [words.startswith(said) for words in looks(page)] == [True, True]
    assert page.locator("#two textarea").input_value() == "The fox met Mia"
    page.evaluate("python.set('text', 'Mia. '.repeat(20000))")
    assert page.locator("#one .mgw-looker").count() == 96
    assert page.evaluate("saved.at(-1).text.length") == 5000


def test_a_view_that_is_closed_tells_first_what_it_had_not_told(page):
    assert page.evaluate("saved") == []
    click = "document.querySelectorAll('#two .mgw-looker')[2].click()"
    page.evaluate(f"{{ {click}; close_two(); }}")
    assert page.evaluate("saved.map((state) => state.query)") == [2]


def test_a_view_that_is_closed_hears_no_more(page):
    before, heard = looks(page), page.evaluate("heard()")
    page.evaluate("close_two()")
    assert page.evaluate("heard()") == heard - 4
    page.evaluate("python.set('head', 5)")
    assert looks(page)[0] != before[0] and looks(page)[1] == before[1]
