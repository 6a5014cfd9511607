"""The tokenizer explorer under Python, and under a stand-in for anywidget."""

import html
import json
import os
import re

import pytest
import traitlets
from stand_in import in_page

import minigpt as mg
from minigpt.bpe import apply_merges

pytest.importorskip("anywidget", reason="anywidget is missing")
widgets = pytest.importorskip("minigpt.widgets")
TEXT = "Once a cat strolled wholeheartedly"


@pytest.fixture(scope="module")
def tok():
    return mg.load("tales")[2]


@pytest.fixture
def explorer(tok):
    return widgets.TokenizerExplorer(tok, TEXT, piece=4)


def test_what_python_reads(tok, explorer):
    assert explorer.ids == tok.encode(TEXT)
    assert explorer.pieces == tok.pieces(explorer.ids)
    assert explorer.opened == " wholeheartedly"
    explorer.piece = 99
    assert explorer.opened == " wholeheartedly"  # the last, as in the page
    explorer.text = ""
    assert (explorer.ids, explorer.opened, explorer.rows()) == ([], "", [(0, [])])


def test_each_row_is_what_the_merges_up_to_it_give(tok, explorer):
    start = list(b" wholeheartedly")
    rows = explorer.rows()
    assert rows[0] == (0, start) and len(rows) > 4
    assert rows[-1][1] == tok.encode(" wholeheartedly")
    for number, ids in rows:
        known = {pair: new for pair, new in tok._merged.items() if new <= 255 + number}
        assert ids == apply_merges(start, known)


@pytest.mark.parametrize("other", [mg.CharTokenizer("abc"), mg.WordTokenizer("a b")])
def test_other_tokenizers_are_refused_with_a_sentence(other):
    with pytest.raises(ValueError, match="only byte pairs have merges to show"):
        widgets.TokenizerExplorer(other, "a")


IMPOSSIBLE = [
    ({"text": "half \ud83d"}, "half a surrogate pair at position 5"),
    ({"piece": -1}, "piece must be a whole number from 0"),
    ({"step": -1}, "step must be a whole number from 0"),
]


@pytest.mark.parametrize(("settings", "words"), IMPOSSIBLE)
def test_what_has_no_meaning_is_refused(tok, explorer, settings, words):
    with pytest.raises(ValueError, match=words):
        widgets.TokenizerExplorer(tok, **settings)
    [(name, value)] = settings.items()
    before = getattr(explorer, name)
    with pytest.raises(traitlets.TraitError, match=words):
        setattr(explorer, name, value)
    assert getattr(explorer, name) == before
    with pytest.raises(ValueError, match="text must be a str, not 5"):
        widgets.TokenizerExplorer(tok, 5)


def test_what_the_reader_does_python_can_observe(explorer):
    seen = []
    for name in ("text", "piece", "step"):
        explorer.observe(lambda change: seen.append((change.name, change.new)), name)
    explorer.set_state({"text": "a fox", "piece": 1, "step": 0})
    assert seen == [("text", "a fox"), ("piece", 1), ("step", 0)]


def attribute(text, name):
    return html.unescape(re.search(rf' data-{name}="(.*?)"', text)[1])


def test_a_page_gets_a_still_picture_and_the_tokenizer(tok, explorer):
    explorer.step = 1
    text = explorer.html()
    state = json.loads(attribute(text, "state"))
    packed = state.pop("tokenizer")
    assert state == {"text": TEXT, "piece": 4, "step": 1}
    again = mg.BPETokenizer._from_state(packed)
    assert again == tok and len(text) < 40_000
    assert attribute(text, "model") == "" and "still picture" in text
    assert text.count("<li>") == 2 and "<svg" in text and "<script" not in text
    assert "<code>␣wholeheartedly</code>" in text
    words = "34 characters in 15 tokens"
    assert words in repr(explorer) and words in text
    odd = widgets.TokenizerExplorer(tok, "<b>&" * 2000).html()
    assert "<b>" not in odd and "8,000 characters" in odd and "more" in odd


def test_a_large_tokenizer_is_no_part_of_a_page_or_of_a_notebook(tok, monkeypatch):
    monkeypatch.setattr("minigpt.widgets.tokens.LARGEST", 2_000)
    explorer = widgets.TokenizerExplorer(tok, TEXT)
    text = explorer.html()
    assert "data-model" not in text  # so that no script comes to it
    assert json.loads(attribute(text, "state"))["tokenizer"] == {}
    assert "the tokenizer's 319 merges would take" in text and "<svg" in text
    assert "merges" not in json.dumps(
        {k: v for k, v in explorer.get_state().items() if k not in ("_esm", "_css")}
    )


def test_the_tokenizer_comes_as_one_message(tok, explorer, monkeypatch):
    sent = []
    monkeypatch.setattr(explorer, "send", lambda *message: sent.append(message))
    explorer._handle_custom_msg({"kind": "other"}, [])
    assert not sent
    explorer._handle_custom_msg({"kind": "model"}, [])
    [[message]] = sent
    assert message["kind"] == "model"
    assert mg.BPETokenizer._from_state(message["packed"]["tokenizer"]) == tok


IDS = "(view) => JSON.parse(document.querySelector(view + ' .mgw-ids').textContent)"


def test_under_a_kernel_traits_go_both_ways(context, tok, explorer):
    page, errors = in_page(context, explorer)
    assert page.evaluate(IDS, "#one") == explorer.ids
    page.locator("#one .mgw-chip").first.click()
    assert page.evaluate("saved.at(-1)") == {"text": TEXT, "piece": 0, "step": None}
    page.locator("#two").get_by_role("slider").fill("1")
    assert page.evaluate("saved.at(-1).step") == 1
    assert page.locator("#one .mgw-row").count() == 2
    page.evaluate("python.set('text', 'the fox  ran'); python.set('piece', 2)")
    for view in ("#one", "#two"):
        assert page.evaluate(IDS, view) == tok.encode("the fox  ran")
        assert page.locator(f"{view} .mgw-open").all_text_contents() == ["␣"]
    page.evaluate("python.set('text', 'x'.repeat(6000))")  # Python may set too much
    assert page.evaluate("saved.at(-1).text.length") == 5000
    before = page.evaluate("heard()")
    page.evaluate("close_two()")
    assert page.evaluate("heard()") == before - 3
    page.close()
    assert not errors


def test_tokens_that_hide_are_written_out(context):
    pairs = [(b"\xe2", b"\x80"), (b"\xe2\x80", b"\xae"), (b"\xcc", b"\x81")]
    pairs += [(b"\xc2", b"\xa0"), (b"\xe2\x80", b"\x8b")]
    tok = mg.BPETokenizer(pairs)
    text = "\u0301\u202e\u200b\u00a0\x07"
    page, errors = in_page(context, widgets.TokenizerExplorer(tok, text))
    names = page.locator("#one .mgw-chip bdi").all_text_contents()
    assert names == ["◌\u0301", "U+202E", "U+200B", "U+00A0", "␇"]
    page.close()
    assert not errors


@pytest.mark.slow
def test_gpt2s_own_tokenizer(context):
    folder = os.environ.get("MINIGPT_DATA")
    if not folder:
        pytest.skip("set MINIGPT_DATA to a folder with the real data")
    tok = mg.BPETokenizer.from_gpt2(f"{folder}/gpt2")
    explorer = widgets.TokenizerExplorer(tok, "A strawberry, unbelievably 🍓", piece=3)
    page, errors = in_page(context, explorer)
    assert page.evaluate(IDS, "#one") == explorer.ids
    assert page.locator("#one .mgw-row").count() == len(explorer.rows())
    assert len(explorer.html()) < 20_000 and "50,000 merges" in explorer.html()
    page.close()
    assert not errors
