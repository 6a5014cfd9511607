"""The book in Chromium, over http and from disk: no request to another host, no error
in the console, all widgets alive, nothing wider than the screen or the paper. Pictures
of all pages: book/_build/screenshots."""

import json
from pathlib import Path

import pytest
from engine.runners import too_wide
from widget_pages import ALL_ALIVE, PAGES, take

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "book" / "_build" / "screenshots"


def names(site: Path) -> list[str]:
    return sorted(path.name for path in site.glob("*.html"))


def loaded(page, address, scheme):
    """Go to a page, which takes the scheme of the system at once."""
    page.goto(address)
    page.evaluate("document.fonts.ready")
    assert page.evaluate("document.documentElement.dataset.theme") == scheme


def check_alive(page, name):
    page.wait_for_function(ALL_ALIVE)
    widgets = page.locator(".minigpt-widget")
    named = widgets.evaluate_all("all => all.map((one) => one.dataset.widget)")
    assert named == PAGES.get(name, []), name
    assert not widgets.locator(".mg-still").count()  # the picture gave way


UNFOLD = "document.querySelectorAll('details').forEach((part) => part.open = true)"
LOOKS = [(1280, "light"), (1280, "dark"), (360, "dark"), (360, "light")]
WALKS = {"file": LOOKS, "http": LOOKS[2:] + LOOKS[:2]}  # opened in the first of these


@pytest.mark.parametrize(("transport", "walk"), WALKS.items())
def test_pages_load_alone_and_fit(watched, site, address, transport, walk):
    first_width, first_scheme = walk[0]
    page = watched(first_width, first_scheme)

    def check_width(name, width):
        page.set_viewport_size({"width": width, "height": 900})
        assert not too_wide(page), f"{name} is wider than {width} pixels"

    for name in names(site):
        page.emulate_media(color_scheme=first_scheme)
        loaded(page, address[transport] + name, first_scheme)
        check_alive(page, name)
        for width, scheme in walk:
            take(page, scheme)
            check_width(name, width)
        page.evaluate(UNFOLD)
        for width in (walk[-1][0], first_width):
            check_width(f"{name}, all unfolded,", width)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_page_has_its_picture(watched, site, address, width, scheme):
    page = watched(width, scheme)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in names(site):
        loaded(page, address["file"] + name, scheme)
        path = PICTURES / f"{name.removesuffix('.html')}-{width}-{scheme}.png"
        drawn = page.screenshot(path=path, full_page=True)
        assert int.from_bytes(drawn[16:20]) == width, f"{name} is wider, and cut"


SEARCHES = {
    "softmax": ("03-attention.html", "softmax"),
    "causal mask": ("04-causal-mask.html", "mask"),
    "perplexity": ("08-training-loss.html", "perplexity"),
}


@pytest.mark.parametrize("transport", ["http", "file"])
def test_search_finds_words_and_quotes_them(watched, address, transport):
    page = watched()
    for words, (chapter, quoted) in SEARCHES.items():
        page.goto(f"{address[transport]}search.html?q={words}")
        found = page.locator(f'#search-results li:has(a[href^="{chapter}"])')
        found.locator(".context").first.wait_for()
        quotes = found.locator(".context").all_inner_texts()
        assert any(quoted in quote.lower() for quote in quotes), quotes
        assert not any("\n" in quote or "\\" in quote for quote in quotes), quotes


def test_figures_and_widgets_are_not_in_the_index(site):
    text = (site / "searchindex.js").read_text("utf8").strip()
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    terms = {term for term, pages in index["terms"].items() if pages != []}
    assert "softmax" in terms
    labels = "learningnormnormmlpunembedding"  # of the map, without what parts them
    assert not [term for term in terms if labels in term]


PAPER = 680  # the pixels that margins of 15 mm leave of A4's width
ASIDE = (
    ".bd-header, .bd-sidebar-primary, .bd-sidebar-secondary, .bd-header-article, "
    ".prev-next-footer, .bd-footer-content, .headerlink, .copybtn, #pst-back-to-top"
)
SHOWN = """aside => [...document.querySelectorAll(aside)]
  .filter((part) => part.checkVisibility()).map((part) => part.className)"""
CUT = """() => [...document.querySelectorAll(".bd-article *")].filter((part) =>
  part.getBoundingClientRect().right > innerWidth + 1 && part.checkVisibility())
  .map((part) => `${part.className}: ${part.textContent}`.slice(0, 80))"""


def test_paper_has_the_text_alone_in_black_on_white(watched, site, address):
    page = watched(PAPER, "dark")
    for name in names(site):
        page.emulate_media(media="screen", color_scheme="dark")
        loaded(page, address["file"] + name, "dark")
        page.emulate_media(media="print")
        page.wait_for_function("document.documentElement.dataset.theme === 'light'")
        shown = page.evaluate(SHOWN, ASIDE)
        assert not shown, f"{name} prints {shown}"
        assert page.locator("h1:visible").count() <= 1
        assert not too_wide(page), f"{name} is wider than the paper"
        cut = page.evaluate(CUT)
        assert not cut, f"{name}: not all on the paper: {cut}"
    page.emulate_media(media="screen")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")


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
