"""The walk through the whole model, for all: what another text changes, folding, by
keyboard, step by step, by ear, by finger, on a phone, light and dark, with a kernel."""

import re

import pytest
from engine.runners import too_wide
from shape_walk_page import (
    LONG,
    OPENED,
    TALES,
    box,
    facts,
    near,
    opened,
    press,
    walk,
    write,
)
from stand_in import in_page
from widget_pages import both_schemes, check_contrast, check_fit, check_targets

END = "<|endoftext|>"
FOCUS = "document.activeElement.textContent"
PAINTED = """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width,
  canvas.height).data.some((value) => value)"""


@pytest.fixture
def alive(watched, address):
    return opened(watched, address)


def message(widget):
    return widget.locator(".mgw-message").inner_text()


def likeliest(widget):
    rows = widget.locator(".mgw-sw-bar").all()
    return [
        tuple(row.locator(".mgw-token, .mgw-share").all_inner_texts()) for row in rows
    ]


def titles(widget):
    return widget.locator(".mgw-sw-title").all_inner_texts()


def test_another_text_changes_shapes_and_numbers(alive):
    for text, words in [
        ("Once a girl called Mia had a red kite", "T was 9 and is 10: 30 of 31 arrays"),
        ("Once a girl called Mia had a red boat", "T is 10 as before: other numbers"),
        (LONG, "The text has 55 tokens. The last 24 walk, as if it began with them."),
        ("", "T was 24 and is 1"),
    ]:
        write(alive, text)
        assert words in message(alive)
        for (name, p), (words, share) in zip(
            walk(text).shown(), likeliest(alive), strict=True
        ):
            assert (words, share) == (name.replace(END, "end"), f"{p:.3f}")
    assert alive.locator(".mgw-sw-chip").all_inner_texts() == ["end\n575"]


def test_a_hundred_thousand_characters_are_cut_with_a_sentence(alive):
    write(alive, "Mia had a kite. " * 6250)
    assert "had 100,000 characters. Its last 5,000 are kept." in message(alive)
    kept = alive.get_by_role("textbox").input_value()
    assert len(kept) == 5000
    ids = alive.locator(".mgw-sw-chip small").all_inner_texts()
    assert [int(i) for i in ids] == TALES[2].encode(kept)[-24:]


PIXELS = """canvas => { const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  return [width, height, [...data]]; }"""


def test_the_maps_are_drawn_of_the_numbers(alive):
    arrays = walk().arrays
    box(alive, "values").scroll_into_view_if_needed()
    alive.page.wait_for_function(
        "document.querySelector('.mgw-sw-is-v canvas').width === 128"
    )
    width, height, data = box(alive, "values").locator("canvas").evaluate(PIXELS)
    values = arrays["h.0.attn.v"].reshape(9, 128)
    assert (height, width) == values.shape
    pixels = [data[i : i + 4] for i in range(0, len(data), 4)]
    for pixel, value in zip(pixels, values.flat, strict=True):
        if abs(value) > 0.1:
            red, _, blue, _ = pixel
            assert blue > red if value > 0 else red > blue
    weights = arrays[OPENED]
    head = box(alive, "attention weights").locator("canvas").nth(2).evaluate(PIXELS)
    for i, weight in enumerate(weights[2].flat):
        assert abs(head[2][4 * i + 3] - 255 * weight**0.5) <= 2


def test_blocks_fold(alive):
    fold = alive.get_by_role("button", name=re.compile("^Block 0"))
    assert fold.get_attribute("aria-expanded") == "true" and len(titles(alive)) == 20
    fold.focus()
    alive.page.keyboard.press("Enter")
    fold = alive.get_by_role("button", name=re.compile("^Block 0"))
    assert fold.get_attribute("aria-expanded") == "false"
    assert fold.evaluate("e => e === document.activeElement")
    assert len(titles(alive)) == 9 and not alive.locator(".mgw-sw-panel").count()
    press(alive, "Unfold all blocks")
    assert len(titles(alive)) == 31
    press(alive, "Fold all blocks")
    assert titles(alive)[3:6] == ["residual stream"] * 3


def test_by_keyboard(alive):
    keys = alive.page.keyboard
    box(alive, "token ids").focus()
    keys.press("ArrowDown")
    assert alive.evaluate(f"() => {FOCUS}").startswith("token embedding")
    keys.press("End")
    keys.press("ArrowLeft")
    assert alive.evaluate(f"() => {FOCUS}").startswith("logits")
    keys.press("Enter")
    assert facts(alive)[0] == "logits"
    assert box(alive, "logits").get_attribute("aria-expanded") == "true"
    assert alive.locator(".mgw-sw-box[tabindex='0']").count() == 1
    keys.press("Tab")
    keys.press("Tab")
    assert alive.evaluate(f"() => {FOCUS}") == "Next"
    keys.press("Enter")  # the last step: Next has nowhere to go, the focus stays inside
    assert facts(alive)[0] == "softmax"
    assert alive.evaluate(f"() => {FOCUS}") == "Previous"
    keys.press("Escape")
    assert alive.evaluate(f"() => {FOCUS}").startswith("next token")
    assert not alive.locator(".mgw-sw-panel").count()


def test_the_panel_stays_where_it_is_on_the_screen(alive):
    box(alive, "queries").click()
    nav = alive.locator(".mgw-sw-nav")
    nav.scroll_into_view_if_needed()
    before = nav.bounding_box()["y"]
    for _ in range(12):  # into the folded block, which unfolds
        press(alive, "Next")
    assert facts(alive)[0] == "h.1.attn.q"
    assert abs(nav.bounding_box()["y"] - before) < 4


def test_walk_goes_from_box_to_box(watched, address):
    page = watched(alone=True)
    page.clock.install()
    page.goto(address["file"] + "06-blocks.html")
    page.clock.run_for(100)
    alive = page.locator(".minigpt-widget[data-alive]")
    press(alive, "Walk through")
    names = [step.name for step in walk().steps]
    for name in names[:8]:
        assert facts(alive)[0] == name
        page.clock.run_for(3000)
    alive.locator(".mgw-sw-nav").get_by_role("button", name="Stop").click()
    page.clock.run_for(9000)
    assert facts(alive)[0] == OPENED
    press(alive, "Walk on")
    page.clock.run_for(3000 * 31)
    assert facts(alive)[0] == "softmax"
    assert not alive.get_by_role("button", name="Stop").count()
    press(alive, "Walk through")
    assert facts(alive)[0] == "ids"
    box(alive, "token ids").click()  # who closes the box wants no more
    page.clock.run_for(9000)
    assert not alive.locator(".mgw-sw-panel").count()


def test_what_changed_is_said(alive):
    def heard(words):
        alive.get_by_role("status").filter(has_text=words).wait_for(state="attached")

    write(alive, "The fox")
    [(name, p), *_] = walk("The fox").shown()
    heard(f"T was 9 and is 4: 30 of 31 arrays have another shape. No parameter has "
          f"changed. Likeliest next: “{name}”, {p:.3f}.")  # fmt: skip
    press(alive, "Next")
    heard("heads, h.0.attn.heads.")
    alive.locator(".mgw-sw-large").press("ArrowRight")
    heard("the end token (position 0), head 0, channel 0")


def test_nothing_moves_for_who_wants_no_motion(watched, address):
    for motion, count in [("no-preference", 30), ("reduce", 0)]:
        alive = opened(watched, address, reduced_motion=motion)
        press(alive, "Unfold all blocks")
        write(alive, "The fox")
        moving = (
            "() => document.querySelector('.mgw-sw').getAnimations({subtree: true})"
        )
        marks = f"({moving})().filter((one) => !(one instanceof CSSTransition)).length"
        assert alive.evaluate(f"() => {marks}") == count


def test_a_new_theme_loses_nothing(alive):
    write(alive, "A fox called")
    box(alive, "hidden layer").click()
    seen = set()
    for _ in range(3):
        alive.page.locator(".theme-switch-button").first.click()
        canvas = alive.locator(".mgw-sw-large canvas")
        seen.add(canvas.evaluate("canvas => canvas.toDataURL()"))
        assert alive.get_by_role("textbox").input_value() == "A fox called"
        assert facts(alive)[0] == "h.0.mlp.hidden"
    assert len(seen) == 2


@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_and_is_read(watched, address, width):
    touch = {"has_touch": True, "is_mobile": True} if width == 360 else {}
    alive = opened(watched, address, width=width, **touch)
    press(alive, "Unfold all blocks")
    for title, text in (("attention weights", "Once a girl"), ("hidden layer", LONG)):
        box(alive, title).click()
        write(alive, text)
        for _ in both_schemes(alive.page):
            assert not too_wide(alive.page)
            check_fit(alive)
            check_contrast(alive)
    if touch:
        check_targets(alive)


def test_under_a_kernel_traits_go_both_ways(context):
    found = walk(opened="h.1.attn.weights")  # in a block that is folded at first
    page, errors = in_page(context, found)
    with page:
        one, two = page.locator("#one"), page.locator("#two")
        assert page.evaluate("asked") == [{"kind": "model"}]  # once for both
        for view in (one, two):
            name, figures, _ = facts(view)
            assert name == page.evaluate("python.values.opened") == found.opened
            mean = found.arrays[name].mean()
            assert near(figures["mean"], mean)
            assert view.locator(".mgw-sw-panel canvas").first.evaluate(PAINTED)
        box(one, "queries").click()
        assert page.evaluate("saved.at(-1).opened") == "h.0.attn.q"
        name, _, href = facts(two)
        assert (name, href) == ("h.0.attn.q", None)  # no page of the book is near
        assert (
            "Chapter 3: attention." in two.locator(".mgw-sw-says").nth(1).inner_text()
        )
        write(one, "The fox")
        assert page.evaluate("python.values.text") == "The fox"
        page.evaluate("python.set('opened', 'h.1.mlp')")
        page.evaluate("python.set('text', 'A fox')")
        assert facts(one)[0] == facts(two)[0] == "h.1.mlp"
        assert two.get_by_role("textbox").input_value() == "A fox"
        before = page.evaluate("heard()")
        page.evaluate("close_two()")
        assert page.evaluate("heard()") == before - 2
        page.evaluate("python.set('opened', '')")
        assert not one.locator(".mgw-sw-panel").count()
    assert not errors
