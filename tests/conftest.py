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
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def context(browser):
    """Contexts of the browser by their options: made once, as each costs as much as a
    page."""
    made = {}

    def context_of(**options):
        key = repr(sorted(options.items()))
        made[key] = made.get(key) or browser.new_context(**options)
        return made[key]

    yield context_of
    for one in made.values():
        one.close()


@pytest.fixture
def watched(browser, context):
    """Open pages that note every request abroad and every error, and must be clean. A
    page ``alone`` may change its context: the clock, or what is permitted."""
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

    def open_page(width=1280, scheme="light", alone=False, **options):
        options |= {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
        page = browser.new_page(**options) if alone else context(**options).new_page()
        page.on("request", note_request)
        page.on("console", note_message)
        page.on("pageerror", lambda error: noted.append(f"an error: {error}"))
        page.on("requestfailed", note_failure)
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.evaluate("localStorage.clear()")  # the context is another test's
        page.close()
    assert not noted


@pytest.fixture
def nothing_left():
    """After the test no process of a worker, no shared memory, no open file is left."""
    from worker_runs import nothing_left_after

    with nothing_left_after() as begun:
        yield begun


@pytest.fixture(scope="module")
def tales():
    """The shipped model."""
    import minigpt

    return minigpt.load("tales")


@pytest.fixture(scope="module")
def server():
    """A server of the shipped model."""
    from server_runs import start

    with start("tales") as server:
        yield server


@pytest.fixture(scope="module")
def bytes_server():
    """A server whose model writes bytes, whole characters or not."""
    from server_runs import babbler, start

    with start(babbler()) as server:
        yield server
