"""What the tests in a browser share: the book's pages, served and from disk."""

import functools
import http.server
import threading
from urllib.parse import urlsplit

import pytest
from engine.runners import chromium


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
    with chromium() as browser:
        yield browser


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

    def note_failure(request):
        if request.failure != "net::ERR_ABORTED":  # by leaving the page too early
            noted.append(f"not loaded, {request.failure}: {request.url}")

    def open_page(width=1280, scheme="light", **options):
        size = {"width": width, "height": 900}
        page = browser.new_page(viewport=size, color_scheme=scheme, **options)
        page.on("request", note_request)
        page.on("console", note_message)
        page.on("pageerror", lambda error: noted.append(f"an error: {error}"))
        page.on("requestfailed", note_failure)
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert not noted
