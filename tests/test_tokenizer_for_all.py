"""The tokenizer explorer for all: by keyboard, by ear, by finger, on a phone, light and
dark; its ids on the clipboard."""

import json

import pytest
from engine.runners import too_wide
from tokenizer_page import (
    MIXED,
    cells,
    chapters_tokenizer,
    chosen,
    opened,
    press,
    write,
)
from widget_pages import both_schemes, check_contrast, check_fit, check_targets


@pytest.fixture
def explorer(watched, address):
    return opened(watched, address)


@pytest.fixture(scope="module")
def tok(site):
    return chapters_tokenizer(site)


@pytest.mark.parametrize(
    ("transport", "way"), [("http", "old"), ("file", "old"), ("http", "new")]
)
def test_the_ids_can_be_copied(watched, address, tok, transport, way):
    explorer = opened(watched, address, transport, alone=True)
    page = explorer.page
    if way == "new":
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.evaluate("document.execCommand = undefined")
    else:
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {})")
    ids = tok.encode(f"a fox {transport} {way}")
    write(explorer, f"a fox {transport} {way}")
    explorer.get_by_text(json.dumps(ids)).wait_for()
    press(explorer, "Copy ids")
    explorer.get_by_role("button", name="Copied").wait_for()
    box = explorer.get_by_role("textbox")
    box.fill("")
    box.press("Control+v")
    assert json.loads(box.input_value()) == ids
    explorer.get_by_role("button", name="Copy ids").wait_for()


def test_where_copying_is_refused_the_ids_are_selected(explorer, tok):
    page = explorer.page
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {})")
    page.evaluate("document.execCommand = () => false")
    page.evaluate("void (setTimeout = (act) => act())")  # nothing is late
    press(explorer, "Copy ids")
    explorer.locator(".mgw-message", has_text="The ids are selected").wait_for()
    assert json.loads(page.evaluate("getSelection().toString()")) == tok.encode(
        "Zoë picked 3 🍓"
    )


def test_a_token_is_pressed_before_the_others_are_drawn(explorer):
    drawn = "document.querySelectorAll('.mgw-chip').length > 700"
    write(explorer, "ab " * 400)
    explorer.page.wait_for_function(drawn)
    explorer.locator(".mgw-chip").nth(600).click()
    explorer.evaluate(
        """root => {
          const field = root.querySelector("textarea");
          field.value = "cd ".repeat(400);
          field.dispatchEvent(new Event("change"));
          root.querySelector(".mgw-chip").click(); // only some are drawn by now
        }"""
    )
    explorer.page.wait_for_function(drawn)
    reached = explorer.locator(".mgw-chip[tabindex='0']")
    assert reached.count() == 1
    assert reached.evaluate("chip => chip === document.activeElement")
    assert explorer.locator(".mgw-open").first.evaluate("one => !one.previousSibling")


def test_by_keyboard_alone(explorer):
    page = explorer.page
    write(explorer, "Once a duck")
    explorer.get_by_role("textbox").focus()
    page.keyboard.press("Tab")
    focus = "document.activeElement.ariaLabel"
    assert page.evaluate(focus).startswith("Once, id")
    for key, name in [
        ("ArrowRight", "␣a"),
        ("End", "ck"),
        ("ArrowRight", "ck"),
        ("ArrowLeft", "u"),
        ("Home", "Once"),
        ("End", "ck"),
    ]:
        page.keyboard.press(key)
        assert page.evaluate(focus).startswith(f"{name}, id")
    page.keyboard.press("Enter")
    assert "".join(explorer.locator(".mgw-open bdi").all_text_contents()) == "␣duck"
    assert page.evaluate(focus).startswith("ck, id")
    names = []
    for _ in range(9):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate(
                """() => { const e = document.activeElement, s = getComputedStyle(e);
            if (!e.closest(".mgw")) return "out";
            if (s.outlineStyle === "none") return "unseen";
            return e.ariaLabel || e.innerText; }"""
            )
        )
    assert names[:8] == [
        "Copy ids",
        "The ids",
        "Bytes",
        "Previous",
        "Next",
        "All",
        "merges done",
        "The piece after each merge",
    ]
    page.keyboard.press("Shift+Tab")


def test_what_changed_is_said(explorer):
    said = explorer.locator(".mgw-voice")
    write(explorer, "Once a duck")
    said.get_by_text("5 tokens").wait_for()
    explorer.locator(".mgw-chip", has_text="ck").click()
    said.get_by_text("How ␣duck became 3 tokens").wait_for()
    press(explorer, "Bytes")
    said.get_by_text("Step 0: 5 bytes.").wait_for()


def test_a_new_theme_loses_nothing(explorer):
    chosen(explorer, "a wholeheartedly", " wholeheartedly")
    explorer.get_by_role("slider", name="merges done").fill("2")
    before, seen = cells(explorer), set()
    for _ in range(3):
        explorer.page.locator(".theme-switch-button").first.click()
        chip = explorer.locator(".mgw-chip").first
        seen.add(chip.evaluate("e => getComputedStyle(e).backgroundColor"))
        assert cells(explorer) == before and len(before) == 3
        assert explorer.get_by_role("textbox").input_value() == "a wholeheartedly"
    assert len(seen) == 2


@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_and_is_read(watched, address, width):
    explorer = opened(watched, address, width=width)
    for _ in both_schemes(explorer.page):
        check_contrast(explorer)
    long = "Incomprehensibilities" * 3
    chosen(explorer, f"{MIXED} {long}\n{'—' * 4}", f" {long}")
    for _ in both_schemes(explorer.page):
        assert not too_wide(explorer.page)
        check_fit(explorer)
        check_contrast(explorer)


def test_fingers_get_larger_targets(watched, address):
    touch = {"has_touch": True, "is_mobile": True}
    explorer = opened(watched, address, width=360, **touch)
    check_targets(explorer)
