"""The book in Chromium, over http and from disk: no request to another host, no error
in the console, nothing wider than the screen. Pictures: book/_build/screenshots."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing")

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "book" / "_build" / "screenshots"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, NAMES)), ""
)
pytestmark = pytest.mark.skipif(
    not CHROMIUM,
    reason="no Chromium here: install it (Debian: apt-get install chromium), or name "
    "one with CHROMIUM=/path/to/it",
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address(site):
    """Where the pages are served, by transport."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield {
            "http": f"http://localhost:{server.server_port}/",
            "file": site.as_uri() + "/",
        }
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(site):
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def watched(browser):
    """Open pages that note every request abroad and every error, and must be clean."""
    opened, noted = [], []

    def note_request(request):
        host = urlsplit(request.url).hostname
        if host not in (None, "localhost") and not request.url.startswith("data:"):
            noted.append(f"a request to {request.url}")

    def note_message(message):
        if message.type in ("error", "warning"):
            noted.append(f"the console says: {message.text}")

    def open_page(width=1280, scheme="light"):
        size = {"width": width, "height": 900}
        page = browser.new_page(viewport=size, color_scheme=scheme)
        page.on("request", note_request)
        page.on("console", note_message)
        page.on("pageerror", lambda error: noted.append(f"an error: {error}"))
        page.on("requestfailed", lambda r: noted.append(f"not loaded: {r.url}"))
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert not noted


def names(site: Path) -> list[str]:
    return sorted(path.name for path in site.glob("*.html"))


def too_wide(page) -> bool:
    return page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )


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
