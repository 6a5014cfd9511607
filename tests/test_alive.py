"""The widgets in the pages of the book, in Chromium: alive, and right."""

import numpy as np
import pytest
import widget_pages
from explorer_page import (
    CHAPTER,
    MODEL,
    finished,
    logits,
    move,
    opened,
    press,
    shown,
    write,
    written,
)
from widget_pages import PAGES

import minigpt as mg
from minigpt.plots import piece
from minigpt.sampling import distribution


@pytest.fixture
def explorer(watched, address):
    return opened(watched, address)[1]


def test_only_pages_with_widgets_load_them(site):
    for path in site.glob("*.html"):
        text = path.read_text("utf-8")
        widgets = PAGES.get(path.name, [])
        asks = any(widget in widget_pages.MODEL for widget in widgets)
        expected = ["model-tales.js"] * asks + ["widgets.js"] * bool(widgets)
        loads = [name for name in ("model-tales.js", "widgets.js") if name in text]
        assert loads == expected, path.name
        files = [path, *(site / "_static" / name for name in loads)]
        assert sum(file.stat().st_size for file in files) < 2_500_000


@pytest.mark.parametrize(("name", "widget"), widget_pages.WIDGETS)
def test_without_a_script_a_picture_and_a_sentence_stay(context, address, name, widget):
    with context(java_script_enabled=False).new_page() as page:
        page.goto(address["file"] + name)
        picture = page.locator(f'.minigpt-widget[data-widget="{widget}"]').first
        assert picture.locator("svg").first.is_visible()
        assert "still picture" in picture.inner_text()


def test_without_its_model_the_picture_stays_and_says_why(browser, address):
    with browser.new_page() as page:
        page.route("**/model-tales.js*", lambda route: route.abort())
        page.goto(address["http"] + CHAPTER)
        picture = page.locator(".minigpt-widget")
        picture.get_by_text("the script with the model").wait_for()
        assert picture.locator("svg").is_visible()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 3, "top_k": 4},
        {"temperature": 2, "top_p": 0.8},
        {"temperature": 1.5, "top_k": 5, "top_p": 0.5},
        {"temperature": 0.05, "top_k": 1, "top_p": 0.01},
    ],
)
def test_the_numbers_are_those_of_the_package(explorer, settings):
    text = explorer.get_by_role("textbox").input_value()
    move(explorer, **settings)
    z = logits(text)
    p = distribution(z, **{"temperature": 1.0, **settings})[0]
    order = np.argsort(-z[0], kind="stable")[:6]
    ranked = settings.get("top_k") or 576
    tok = MODEL[2]
    for place, (id, (name, number)) in enumerate(
        zip(order, shown(explorer), strict=False)
    ):
        assert name == piece(tok.decode([int(id)]))
        why = "cut: top-k" if place >= ranked else "cut: top-p"
        assert number == (f"{p[id]:.3f}" if p[id] > 0 else why)
    entropy = -(p[p > 0] * np.log(p[p > 0])).sum()
    said = explorer.locator(".mgw-entropy").inner_text()
    assert f"Entropy {entropy + 0.0:.3f} nats" in said
    assert f"{(p > 0).sum()} of 576 tokens can be drawn" in said


@pytest.mark.parametrize("setting", [{"temperature": 2}, {"top_k": 2}, {"top_p": 0.3}])
def test_every_slider_changes_what_is_shown(explorer, setting):
    before = shown(explorer)
    move(explorer, **setting)
    assert shown(explorer) != before


def test_temperature_zero_keeps_one(explorer):
    move(explorer, temperature=0)
    assert [number for _, number in shown(explorer)][:2] == [
        "1.000",
        "cut: temperature",
    ]
    assert "every seed" in explorer.locator(".mgw-message").inner_text()


def test_it_writes_what_numpy_does(explorer):
    params, cfg, tok = MODEL
    text = explorer.get_by_role("textbox").input_value()
    ids = [tok.eot, *tok.encode(text)]
    for seed in (12, 13):
        press(explorer, "Write" if seed == 12 else "Write another")
        told = finished(explorer)
        out = mg.generate(params, ids, cfg, 80, seed=seed, stop=tok.eot)
        assert told == tok.decode([i for i in out[len(ids) :] if i != tok.eot])
        assert explorer.get_by_role("spinbutton").input_value() == str(seed)
    press(explorer, "Reset")
    assert written(explorer) == [""]


def test_stop_stops_and_writing_goes_on(explorer):
    press(explorer, "Write")
    explorer.page.wait_for_timeout(200)
    press(explorer, "Stop")
    half = "".join(written(explorer))
    explorer.page.wait_for_timeout(200)
    assert "".join(written(explorer)) == half != ""
    press(explorer, "One token")
    more = "".join(written(explorer))
    assert more.startswith(half) and len(more) > len(half)
    press(explorer, "Write")
    assert finished(explorer).startswith(more)


def test_a_bar_chooses_its_token_by_keyboard(explorer):
    move(explorer, top_k=1)
    bar = explorer.locator(".mgw-bars button").nth(2)
    assert "cut by top-k" in bar.get_attribute("aria-label")
    token = shown(explorer)[2][0].replace("␣", " ")
    bar.focus()
    explorer.page.keyboard.press("Enter")
    assert written(explorer) == [token]
    assert bar.evaluate("bar => bar === document.activeElement")
    text = explorer.get_by_role("textbox").input_value() + token
    best = MODEL[2].decode([int(logits(text).argmax())])
    assert shown(explorer)[0] == (piece(best), "1.000")


BAD = {
    "empty": "",
    "emoji": "🪁 🧑‍🚀 kite",
    "bytes": "\u0000\ufffd\u202eabc",
    "tags": "<b>&amp;",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_odd_texts_are_read(explorer, text):
    write(explorer, text)
    press(explorer, "One token")
    z = logits(text)
    press(explorer, "Reset")
    best = f"{distribution(z, 1.0)[0].max():.3f}"
    assert shown(explorer)[0][1] == best
    assert explorer.locator(".mgw-story").inner_text().startswith(text[:1].strip("\0"))


def test_a_hundred_thousand_characters_are_cut_with_a_sentence(explorer):
    write(explorer, "Mia had a kite. " * 6250)
    message = explorer.locator(".mgw-message").inner_text()
    assert "The text had 100,000 characters. Its last 5,000 are kept" in message
    kept = explorer.get_by_role("textbox").input_value()
    assert kept == ("Mia had a kite. " * 6250)[-5000:]
    assert shown(explorer)[0][1] == f"{distribution(logits(kept), 1.0)[0].max():.3f}"
    write(explorer, "Mia had a")
    assert explorer.locator(".mgw-message").inner_text() == ""


@pytest.mark.parametrize("seed", ["-1", "1.5", "99999999999", ""])
def test_a_seed_that_cannot_be_gets_a_sentence(explorer, seed):
    box = explorer.get_by_role("spinbutton")
    box.fill(seed)
    box.blur()
    assert "whole number" in explorer.locator(".mgw-message").inner_text()
    assert box.input_value() == "12"
