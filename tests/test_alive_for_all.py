"""The widgets in the pages of the book, for all: by keyboard, by ear, by finger, on a
phone, light and dark."""

import re

import pytest
from engine.runners import too_wide
from explorer_page import PAGES, finished, move, opened, press


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


CONTRAST = """root => {
  const canvas = document.createElement("canvas").getContext("2d",
    { willReadFrequently: true });
  const rgb = (...colours) => {
    for (const colour of colours) {
      canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= 0.04045
    ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return .2126*r + .7152*g + .0722*b; };
  const found = [];
  for (const e of root.querySelectorAll("*")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const behind = [];
    for (let up = e; up; up = up.parentElement)
      behind.unshift(getComputedStyle(up).backgroundColor);
    const [a, b] = [light(rgb("white", ...behind)),
      light(rgb("white", ...behind, getComputedStyle(e).color))];
    found.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.textContent]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_it_fits_and_is_read(watched, address, name, width, scheme):
    page, widget = opened(watched, address, name, width=width, scheme=scheme)
    move(widget, temperature=3, top_k=2)
    press(widget, "Write another")
    assert not too_wide(page)
    finished(widget)
    assert not too_wide(page)
    box = widget.bounding_box()
    for part in widget.locator("button, input, textarea").all():
        found = part.bounding_box()
        assert found["x"] >= box["x"] and found["width"] >= 24 and found["height"] >= 24
        assert found["x"] + found["width"] <= box["x"] + box["width"]
    found = widget.evaluate(CONTRAST)
    assert len(found) > 20 and min(found)[0] >= 4.5, min(found)


def test_fingers_get_larger_targets(watched, address):
    _, widget = opened(watched, address, width=360, has_touch=True, is_mobile=True)
    for part in widget.locator("button, input, textarea").all():
        assert part.bounding_box()["height"] >= 44


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
