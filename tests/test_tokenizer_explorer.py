"""The tokenizer explorer in its chapter, in Chromium: the ids, the pieces and the
merges that Python has, for any text."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_engine_tokenizer import ODD, TEXTS, WORDS
from tokenizer_page import (
    CHIPS,
    MIXED,
    cells,
    chapters_tokenizer,
    chosen,
    figures,
    ladder,
    opened,
    press,
    write,
)

from minigpt.plots import piece
from minigpt.widgets.tokens import TokenizerExplorer


@pytest.fixture
def explorer(watched, address):
    return opened(watched, address)


@pytest.fixture(scope="module")
def tok(site):
    return chapters_tokenizer(site)


READ = """(texts) => {
  const field = document.querySelector(".mgw-tokenizer textarea");
  const all = (selector) => [...document.querySelectorAll(selector)];
  return texts.map((text) => {
    field.value = text;
    field.dispatchEvent(new Event("change"));
    return [all(".mgw-chip").map((chip) => Number(chip.dataset.id)),
      all(".mgw-tokenizer dd").map((one) => one.textContent.replaceAll(",", "")),
      JSON.parse(document.querySelector(".mgw-ids").textContent)];
  });
}"""


def test_ids_and_figures_are_those_of_python(explorer, tok):
    def check(texts):
        # a field for text knows one line break only, and the rest is drawn later
        texts = [re.sub("\r\n?", "\n", text) for text in texts]
        for text, found in zip(texts, explorer.page.evaluate(READ, texts), strict=True):
            ids = tok.encode(text)
            numbers = [str(n) for n in (len(text), len(text.encode()), len(ids))]
            [at_once, [*counts, share], listed] = found
            assert (at_once, counts, listed) == (ids[:250], numbers, ids), text
            wanted = len(text) / len(ids) if ids else None
            assert (
                share == "–" if wanted is None else abs(float(share) - wanted) < 0.006
            )

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(TEXTS | WORDS, min_size=20, max_size=100))
    def holds(texts):
        check(texts)

    check([text for text in ODD if len(text) <= 5000])
    holds()


def test_tokens_are_written_so_that_each_is_seen(explorer, tok):
    write(explorer, MIXED)
    names = explorer.locator(".mgw-chip bdi").all_text_contents()
    assert names == [piece(word) for word in tok.pieces(tok.encode(MIXED))]


def test_choosing_a_token_opens_its_piece(explorer, tok):
    text = "Once a duck called Mia  loved wholeheartedly 猫"
    for part in (" wholeheartedly", " Mia", " ", " 猫", "Once"):
        chosen(explorer, text, part)
        expected = ladder(tok, part)
        assert cells(explorer) == expected
        marked = explorer.locator(".mgw-open bdi").all_text_contents()
        assert marked == expected[-1]
        title = explorer.locator(".mgw-growth > .mgw-name").inner_text()
        assert piece(part) in title and f" {len(expected[-1])} token" in title


def test_step_by_step(explorer, tok):
    part = " wholeheartedly"
    chosen(explorer, "a wholeheartedly", part)
    rows, numbers = (
        ladder(tok, part),
        [n for n, _ in TokenizerExplorer(tok, part).rows()],
    )
    press(explorer, "Bytes")
    assert cells(explorer) == rows[:1]
    for step in range(1, len(rows)):
        # the pair that is marked is the one that is joined next
        last = explorer.locator(".mgw-row").last
        pair = [last.locator(f".mgw-{side}").inner_text() for side in ("left", "right")]
        rule = explorer.locator(".mgw-rule").inner_text()
        assert f"{pair[0]}\u00a0+\u00a0{pair[1]} (merge {numbers[step]})" in rule
        learnt = [int(n) for n in re.findall(r"\(merge (\d+)\)", rule)]
        assert learnt == sorted(learnt) and learnt[0] == numbers[step]
        press(explorer, "Next")
        assert cells(explorer) == rows[: step + 1]
        made = (
            explorer.locator(".mgw-row").last.locator(".mgw-made").all_text_contents()
        )
        assert "".join(pair) in made
        told = explorer.locator(".mgw-ladder p").last.inner_text()
        assert f"merge {numbers[step]}, id {numbers[step] + 255}" in told
    assert "Finished" in explorer.locator(".mgw-rule").inner_text()
    press(explorer, "Next")
    assert cells(explorer) == rows
    press(explorer, "Previous")
    assert cells(explorer) == rows[:-1]
    slider = explorer.get_by_role("slider", name="merges done")
    slider.fill("2")
    assert cells(explorer) == rows[:3]
    slider.press("ArrowLeft")
    assert cells(explorer) == rows[:2]
    assert slider.get_attribute("aria-valuetext") == f"1 of {len(rows) - 1}"
    press(explorer, "All")
    assert cells(explorer) == rows


@pytest.mark.parametrize(
    ("text", "part", "words"),
    [
        ("a 🍓", " 🍓", "It has no merge: none of the 255 merges joins"),
        ("x", "x", "a single byte has no neighbour"),
        ("a called", " called", "nothing is left to be joined"),
        ("y" * 70, "y" * 70, "pieces of up to 64 bytes, and this one has 70"),
    ],
)
def test_a_piece_that_cannot_be_stepped_through_says_why(explorer, text, part, words):
    chosen(explorer, text, part)
    assert words in explorer.locator(".mgw-rule").inner_text()


def test_a_hundred_thousand_characters_are_drawn_in_slices(explorer, tok):
    page = explorer.page
    [[at_once, numbers, _]] = page.evaluate(READ, ["日本語です" * 20_000])
    kept = ("日本語です" * 20_000)[-5000:]
    assert len(at_once) == 250 and numbers[:3] == ["5000", "15000", "15000"]
    page.wait_for_function(f"{CHIPS}.length === 15000")
    assert page.evaluate(CHIPS) == tok.encode(kept)
    message = explorer.locator(".mgw-message").inner_text()
    assert message == "The text had 100,000 characters. Its last 5,000 are kept."
    page.evaluate(READ, ["日本語です" * 1000, "one", "two tokens"])  # while it draws
    page.evaluate("new Promise((done) => setTimeout(() => setTimeout(done)))")
    assert page.evaluate(CHIPS) == tok.encode("two tokens")


def test_odd_texts_get_a_sentence(explorer):
    message = explorer.locator(".mgw-message")
    write(explorer, "")
    assert message.inner_text() == "The text is empty: write a word."
    assert figures(explorer) == ["0", "0", "0", "–"]
    assert not explorer.locator(".mgw-growth").is_visible()
    write(explorer, "a<|endoftext|>")
    assert "is read as text" in message.inner_text()
    halves = """field => { field.value = "half \\ud83d";
      field.dispatchEvent(new Event("change"));
      return field.value === "half \\ufffd"; }"""
    assert explorer.get_by_role("textbox").evaluate(halves)
    assert message.inner_text() == ""
