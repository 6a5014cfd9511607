"""The book in Chromium, over http and from disk: no request to another host, no error
in the console, nothing wider than the screen. Pictures: book/_build/screenshots."""

from pathlib import Path

import pytest
from engine.runners import too_wide

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "book" / "_build" / "screenshots"


def names(site: Path) -> list[str]:
    return sorted(path.name for path in site.glob("*.html"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("transport", ["http", "file"])
def test_pages_load_alone_and_fit(watched, site, address, transport, width, scheme):
    page = watched(width, scheme)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in names(site):
        page.goto(address[transport] + name, wait_until="load")
        page.evaluate("document.fonts.ready")
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        assert not too_wide(page), f"{name} is wider than {width} pixels"
        if transport == "file":
            picture = f"{name.removesuffix('.html')}-{width}-{scheme}"
            page.screenshot(path=PICTURES / f"{picture}.png", full_page=True)
        page.evaluate(
            "document.querySelectorAll('details').forEach(d => d.open = true)"
        )
        assert not too_wide(page), f"{name}, all unfolded, is wider than {width} pixels"


@pytest.mark.parametrize("transport", ["http", "file"])
def test_search_finds_a_word(watched, address, transport):
    page = watched()
    page.goto(address[transport] + "search.html?q=softmax")
    results = page.locator("#search-results li")
    results.first.wait_for()
    assert results.count() >= 1


def test_the_mathematical_font_is_used(watched, address):
    page = watched()
    page.goto(address["file"] + "03-attention.html")
    assert page.locator("math").count() >= 1
    page.evaluate("document.fonts.ready")
    assert page.evaluate("document.fonts.check('16px \"STIX Two Math\"')")


def test_a_solution_opens_by_keyboard(watched, address):
    page = watched()
    page.goto(address["http"] + "03-attention.html")
    solution = page.locator("details.solution").first
    assert not solution.locator(".cell_input").first.is_visible()
    solution.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert solution.locator(".cell_input").first.is_visible()


def test_light_and_dark_can_be_switched(watched, address):
    page = watched(scheme="light")
    page.goto(address["http"] + "index.html")
    seen = set()
    for _ in range(3):
        page.locator(".theme-switch-button").first.click()
        seen.add(page.evaluate("document.documentElement.dataset.theme"))
    assert seen == {"light", "dark"}


def test_a_tick_in_the_study_plan_is_remembered(watched, address):
    page = watched()
    page.goto(address["http"] + "roadmap.html")
    boxes = page.locator("li.task-list-item input[type=checkbox]")
    assert boxes.count() >= 24 and not boxes.nth(2).is_checked()
    assert "tokenizer" in boxes.nth(2).get_attribute("aria-label")
    boxes.nth(2).check()
    page.reload()
    assert boxes.nth(2).is_checked() and not boxes.nth(3).is_checked()
    boxes.nth(2).uncheck()
    page.reload()
    assert not boxes.nth(2).is_checked()
