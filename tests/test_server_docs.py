"""The page /docs: readable without a script, and without a network."""

import re
from html import unescape
from urllib.parse import urlsplit

import pytest
from engine.runners import chromium
from server_runs import client, start


@pytest.fixture(scope="module")
def server():
    with start("tales") as server:
        yield server


@pytest.fixture(scope="module")
def page(server):
    with client(server) as c:
        answer = c.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return answer.text


def test_it_has_every_address_and_every_field(server, page):
    with client(server) as c:
        document = c.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"<h2><span>{method.upper()}</span>{path}</h2>" in page
    for name, schema in document["components"]["schemas"].items():
        for field in schema["properties"]:
            assert f"<code>{field}</code>" in page, (name, field)
    assert "whole number from 1 to 10,000" in page
    assert "default <code>50</code>" in unescape(page)


def test_it_names_no_other_machine(page):
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", page.replace("://json", ""))


def test_it_works_in_a_browser_that_reaches_nothing_else(server, page):
    asked, noted = [], []
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": 390, "height": 800})
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: noted.append(message.text))
        tab.on("pageerror", lambda error: noted.append(str(error)))
        tab.goto(server.url + "/docs")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        for path, said in (
            ("/api/generate", '"generated_text"'),
            ("/api/stream", "event: done"),
            ("/api/logits", f"{4 * 576} bytes"),
            ("/health", '"model_loaded":true'),
        ):
            form = tab.locator(f'form[data-path="{path[1:]}"]')
            form.get_by_role("button").click()
            form.locator("output", has_text=said).wait_for()
        form = tab.locator('form[data-path="api/tokenize"]')
        form.get_by_role("textbox").fill("{")
        form.get_by_role("button").click()
        form.locator("output", has_text="the body is no JSON").wait_for()
        bad = [text for text in noted if "422" not in text]  # the browser logs that
    assert not bad
    assert {urlsplit(url).netloc for url in asked} == {
        server.url.removeprefix("http://")
    }
