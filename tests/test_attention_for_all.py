"""The attention explorer for all: odd and long texts, by keyboard, by ear, by finger,
on a phone, light and dark."""

import pytest
from attention_page import (
    HEADS,
    MASK,
    MODEL,
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
from engine.runners import too_wide
from widget_pages import both_schemes, check_contrast, check_fit, check_targets


@pytest.fixture
def explorer(watched, address):
    return opened(watched, address)


def test_odd_texts_are_read(explorer):
    for text in (
        "🪁 kite",
        "\u0000\ufffd\u202eabc",
        "<b>&amp;",
        "<|endoftext|>",
        " \n\t",
    ):
        write(explorer, text)
        wanted, found = expected(text, 0, 1), labels(explorer)
        gets = [label.rsplit(": ", 1)[1] for label in wanted]
        assert [label.rsplit(": ", 1)[1] for label in found] == gets, text
    assert found == wanted


def test_an_empty_text_is_the_end_token_alone(explorer):
    write(explorer, "")
    assert labels(explorer) == ["the end token: gets 1.00"]
    assert sentence(explorer) == "end of text looks 1.00 at itself."
    write(explorer, "Mia")
    assert labels(explorer) == expected("Mia", 0, 1)


def test_of_a_long_text_the_end_is_kept_with_a_sentence(explorer):
    text = "Mia had a kite. " * 6250
    write(explorer, text)
    kept = text[-5000:]
    assert text_of(explorer) == kept and len(labels(explorer)) == 96
    assert labels(explorer) == expected(kept, 0, 1)
    lost = 1 + len(MODEL[2].encode(kept)) - 96
    said = explorer.locator(".mgw-message").inner_text()
    assert "The text had 100,000 characters. Its last 5,000 are kept." in said
    assert f"the last 96 are shown, {lost:,} before them are left out." in said
    assert pressed(explorer, ".mgw-looker").evaluate(
        """chip => { const strip = chip.closest(".mgw-strip");
        const [a, b] = [chip, strip].map((e) => e.getBoundingClientRect());
        return strip.scrollTop > 0 && a.top >= b.top && a.bottom <= b.bottom; }"""
    )  # the last is scrolled into view
    write(explorer, "Mia had")
    assert explorer.locator(".mgw-message").inner_text() == ""


def test_what_is_said_of_a_text_stays_when_its_field_is_left(explorer):
    box, message = explorer.get_by_role("textbox"), explorer.locator(".mgw-message")
    words = {"Once a boy": "The rows of the first 3", "Mia. " * 9999: "Its last 5,000"}
    for text, said in words.items():
        box.fill(text)
        message.get_by_text(said).wait_for()  # while the reader is still in the field
        box.blur()
        assert said in message.inner_text()


def test_all_of_it_is_reached_by_keyboard(explorer):
    page, names = explorer.page, []
    explorer.get_by_role("textbox").focus()
    for _ in range(4):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
            return [e.closest(".mgw") !== null, e.ariaLabel,
                    s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2]; }"""
        )
        if not found[0]:
            break
        assert found[2], f"{found[1]} does not show its focus"
        names.append(found[1])
    assert names == ["?: gets 0.00", "layer 0, head 1"]  # one stop for each part


def test_what_changed_is_said(explorer):
    def said(words):
        script = "words => document.querySelector('.mgw-voice').textContent === words"
        explorer.page.wait_for_function(script, arg=words)

    choose(explorer, 1, 5)
    explorer.page.mouse.move(2, 2)  # what scrolls below it would be previewed
    said(f"Layer 1, head 5. {sentence(explorer)} ")
    explorer.locator(".mgw-looker").nth(4).press("ArrowLeft")
    assert sentence(explorer).startswith("␣girl looks")
    said(f"Layer 1, head 5. {sentence(explorer)} ")


def test_a_new_theme_loses_nothing(explorer):
    page = explorer.page
    choose(explorer, 0, 6)
    explorer.locator(".mgw-looker").nth(12).click()
    explorer.get_by_role("textbox").fill(
        "Once a girl called Mia had a red kite. One day"
    )
    explorer.get_by_role("textbox").blur()
    before, seen = labels(explorer), set()
    pixel = """canvas => { const copy = new OffscreenCanvas(1, 1).getContext("2d");
      copy.drawImage(canvas, 0, 0);
      return copy.getImageData(0, 0, 1, 1).data.join(); }"""
    for _ in range(3):
        page.locator(".theme-switch-button").first.click()
        page.wait_for_function("() => new Promise(requestAnimationFrame)")
        seen.add(explorer.locator("canvas").last.evaluate(pixel))
        assert labels(explorer) == before == expected(text_of(explorer), 0, 6, 12)
    assert len(seen) == 2  # the heat map takes the theme's colours


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", [TALE, MASK, HEADS])
def test_it_fits_and_is_read(watched, address, name, width):
    widget = opened(watched, address, name, width=width)
    choose(widget, 0, 5)  # many small weights, many numbers
    for _ in both_schemes(widget.page):
        assert not too_wide(widget.page)
        check_fit(widget)
        check_contrast(widget)
    if name == MASK:
        assert widget.locator(".mgw-weight").count() == 21
        write(widget, text_of(widget) * 30)
        assert not too_wide(widget.page)


def test_fingers_get_larger_targets_and_choose(watched, address):
    options = {"width": 360, "has_touch": True, "is_mobile": True}
    widget = opened(watched, address, **options)
    check_targets(widget)
    text = text_of(widget)
    widget.locator(".mgw-looker").nth(4).tap()
    assert labels(widget) == expected(text, 0, 1, 4)
    square = widget.locator(".mgw-square")
    cell = square.bounding_box()["width"] / 41
    square.tap(position={"x": 3.5 * cell, "y": 25.5 * cell})
    assert labels(widget) == expected(text, 0, 1, 25)
    assert f"{look(text)[1][0, 1, 25, 3]:.2f} at ␣girl" in sentence(widget)
