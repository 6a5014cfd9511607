"""The widgets in the pages of the book, for all: by keyboard, by ear, by finger, on a
phone, light and dark."""

import re

import pytest
from engine.runners import too_wide
from explorer_page import finished, move, opened, press
from widget_pages import both_schemes, check_contrast, check_fit, check_targets


@pytest.fixture
def explorer(watched, address):
    return opened(watched, address)[1]


def test_all_of_it_is_reached_by_keyboard(explorer):
    page = explorer.page
    explorer.get_by_role("textbox").focus()
    names = []
    for _ in range(15):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
            return [e.closest(".mgw") !== null, e.ariaLabel || e.innerText || e.type,
                    s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2]; }"""
        )
        if not found[0]:
            break
        assert found[2], f"{found[1]} does not show its focus"
        names.append(found[1])
    assert names[:5] == ["Write", "One token", "Write another", "Reset", "number"]
    assert names[-3:] == ["temperature", "top-k", "top-p"] and len(names) == 14
    slider = explorer.get_by_role("slider", name="top-p")
    slider.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") == "0.99"


def test_what_changed_is_said(explorer):
    move(explorer, top_k=2)
    said = explorer.get_by_role("status")
    explorer.page.wait_for_function(
        "document.querySelector('.mgw-voice').textContent.includes('2 of 576')"
    )
    assert "Entropy" in said.inner_text()


def test_a_new_theme_loses_nothing(explorer):
    page = explorer.page
    box = explorer.get_by_role("textbox")
    box.fill("A fox called")
    seen = set()
    for _ in range(3):
        page.locator(".theme-switch-button").first.click()
        seen.add(explorer.locator(".mgw").evaluate("e => getComputedStyle(e).color"))
        assert box.input_value() == "A fox called"
    assert len(seen) == 2
    assert explorer.locator(".mgw-story").inner_text() == "A fox called"


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", ["index.html", "07-generation.html"])
def test_it_fits_and_is_read(watched, address, name, width):
    page, widget = opened(watched, address, name, width=width)
    move(widget, temperature=3, top_k=2)
    press(widget, "Write another")
    assert not too_wide(page)
    finished(widget)
    for _ in both_schemes(page):
        assert not too_wide(page)
        check_fit(widget)
        check_contrast(widget)


def test_fingers_get_larger_targets(watched, address):
    _, widget = opened(watched, address, width=360, has_touch=True, is_mobile=True)
    check_targets(widget)


def test_reduced_motion(watched, address):
    _, widget = opened(watched, address, reduced_motion="reduce")
    assert (
        widget.locator(".mgw-track i").first.evaluate(
            "e => parseFloat(getComputedStyle(e).transitionDuration)"
        )
        == 0
    )
    press(widget, "Write")
    told = finished(widget)
    assert re.search(r"\w+ \w+", told)
