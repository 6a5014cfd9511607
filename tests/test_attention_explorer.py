"""The attention explorer in the pages of the book, in Chromium: what it shows is what
NumPy computes, and what the reader does changes it."""

import numpy as np
import pytest
from attention_page import (
    HEADS,
    MASK,
    TALE,
    choose,
    expected,
    labels,
    look,
    opened,
    pressed,
    sentence,
    text_of,
    write,
)


@pytest.fixture
def explorer(watched, address):
    return opened(watched, address)


@pytest.fixture
def short(watched, address):
    return opened(watched, address, MASK)


def alphas(explorer, where):
    """How strong the colour of each cell is, of every heat map in a place."""
    return explorer.locator(f"{where} canvas").evaluate_all(
        """all => all.map((canvas) => {
          const copy = new OffscreenCanvas(canvas.width, canvas.height);
          const pixels = copy.getContext("2d", { willReadFrequently: true });
          pixels.drawImage(canvas, 0, 0);
          const { data } = pixels.getImageData(0, 0, canvas.width, canvas.height);
          return [...data].filter((_, i) => i % 4 === 3); })"""
    )


@pytest.mark.parametrize("name", [TALE, HEADS])
def test_every_weight_is_that_of_numpy(watched, address, name):
    explorer = opened(watched, address, name)
    text = text_of(explorer)
    for layer, head, query in [(0, 1, -1), (1, 0, -1), (0, 6, 12), (1, 7, 0)]:
        choose(explorer, layer, head)
        explorer.locator(".mgw-looker").nth(query).click()
        assert labels(explorer) == expected(text, layer, head, query)


def test_the_sentence_names_the_largest(explorer):
    names, weights = look(text_of(explorer))
    row = weights[0, 1, -1]
    most = [int(j) for j in np.argsort(-row)[:4] if row[j] >= 0.01]
    said = ", ".join(f"{row[j]:.2f} at {names[j]}" for j in most)
    rest = f"{row.sum() - row[most].sum():.2f} at {len(names) - len(most)} others"
    assert sentence(explorer) == f"? looks {said}, {rest}; 1.00 in all."
    assert " 0.88 at ␣fox" in sentence(explorer)


@pytest.mark.parametrize("name", [TALE, MASK])
def test_the_colours_are_the_weights(watched, address, name):
    explorer = opened(watched, address, name)
    _, weights = look(text_of(explorer))
    strong = np.round(255 * np.sqrt(weights)).reshape(16, -1)
    assert np.abs(np.array(alphas(explorer, ".mgw-glance")) - strong).max() <= 1
    [large] = alphas(explorer, ".mgw-square")
    assert np.abs(np.array(large) - strong[1]).max() <= 1
    choose(explorer, 1, 3)
    [large] = alphas(explorer, ".mgw-square")
    assert np.abs(np.array(large) - strong[11]).max() <= 1


def test_a_short_text_shows_every_number(short):
    _, weights = look(text_of(short))
    for layer, head in [(0, 1), (1, 4)]:
        choose(short, layer, head)
        T = weights.shape[-1]
        numbers = short.locator(".mgw-weights > *").all_inner_texts()
        rows = np.array(numbers).reshape(T, T)
        below = np.tri(T, dtype=bool)
        assert set(rows[~below]) == {""}  # the mask: nothing stands there
        wanted = [f"{w:.2f}" for w in weights[layer, head][below]]
        assert rows[below].tolist() == wanted


def test_no_row_changes_when_a_word_is_added(short):
    text, message = text_of(short), short.locator(".mgw-message")
    assert message.inner_text() == ""
    short.locator(".mgw-looker").nth(4).click()
    before = labels(short)
    write(short, f"{text} had")
    assert labels(short) == [*before, "␣had: is hidden"]
    said = "The rows of the first {} tokens are what they were, in every head."
    assert message.inner_text() == said.format(6)
    write(short, f"{text} had".replace("girl", "boy"))
    assert message.inner_text() == said.format(3)
    assert labels(short) == expected(f"{text} had".replace("girl", "boy"), 0, 1, 4)
    write(short, "Twice a boy")
    one = "The row of the first token is what it was, in every head."
    assert message.inner_text() == one


def test_heads_are_chosen_by_keyboard(explorer):
    page, text = explorer.page, text_of(explorer)
    pressed(explorer, ".mgw-head").focus()
    moves = {"ArrowRight": "0.2", "ArrowDown": "0.6", "End": "1.7", "ArrowUp": "1.3"}
    for key, name in (moves | {"ArrowLeft": "1.2"}).items():
        page.keyboard.press(key)
        assert pressed(explorer, ".mgw-head").inner_text() == name
        assert page.evaluate("document.activeElement.innerText") == name
        layer, head = map(int, name.split("."))
        assert labels(explorer) == expected(text, layer, head)
        title = f"Layer {layer}, head {head}"
        assert explorer.get_by_text(title, exact=True).is_visible()


def test_tokens_are_chosen_by_keyboard(explorer):
    page, text = explorer.page, text_of(explorer)
    page.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    explorer.locator(".mgw-look").scroll_into_view_if_needed()
    explorer.locator(".mgw-looker").nth(40).focus()
    scrolled = page.evaluate("scrollY")
    for key, query in {
        "Home": 0,
        "ArrowRight": 1,
        "ArrowDown": None,
        "End": 40,
    }.items():
        page.keyboard.press(key)
        if query is None:  # in the line below, and just as far to the right
            query = pressed(explorer, ".mgw-looker").evaluate(
                "one => [...one.parentElement.children].indexOf(one)"
            )
            assert 5 < query < 30
        assert labels(explorer) == expected(text, 0, 1, query)
    assert page.evaluate("scrollY") == scrolled  # the page stays


def test_a_mouse_previews_and_leaves(explorer):
    text, before = text_of(explorer), labels(explorer)
    explorer.locator(".mgw-looker").nth(25).hover()
    assert labels(explorer) == expected(text, 0, 1, 25)
    assert "␣called looks 1.00 at ␣fox" in sentence(explorer)
    assert pressed(explorer, ".mgw-looker").inner_text() == "?"  # still the chosen one
    explorer.get_by_role("textbox").hover()
    assert labels(explorer) == before


def test_the_map_and_the_arcs_are_linked(explorer):
    text, square = text_of(explorer), explorer.locator(".mgw-square")
    cell = square.bounding_box()["width"] / 41
    at = {"x": 24.5 * cell, "y": 30.5 * cell}  # row 30, column 24
    square.hover(position=at)
    assert labels(explorer) == expected(text, 0, 1, 30)
    assert explorer.locator(".mgw-looker.mgw-pointed .mgw-piece").inner_text() == "␣fox"
    assert explorer.locator(".mgw-arc.mgw-pointed").count() == 1
    assert f"{look(text)[1][0, 1, 30, 24]:.2f} at ␣fox" in sentence(explorer)
    assert explorer.locator(".mgw-down .mgw-asks").inner_text() == "␣him"
    assert explorer.locator(".mgw-across span").inner_text() == "␣fox"
    square.click(position=at)
    explorer.get_by_role("textbox").hover()
    asking = pressed(explorer, ".mgw-looker").get_attribute("aria-label")
    assert asking.startswith("␣him")


def test_arcs_are_as_thick_as_weights(explorer):
    row = look(text_of(explorer))[1][0, 1, -1]
    widths = explorer.locator(".mgw-arc").evaluate_all(
        "all => all.map((arc) => arc.getAttribute('stroke-width'))"
    )
    assert widths == [f"{1 + 7 * w:.2f}" for w in row if w >= 0.02] and len(widths) == 2
