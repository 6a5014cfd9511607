"""The page of a server: the book's explorers, which ask the model that it serves.

Everything that the page loads and asks comes from the server's own address, and nothing
in it runs or is styled from within the page: `POLICY` forbids the rest. The words of
the page stand in ``page.html`` beside this file.
"""

from html import escape
from pathlib import Path

from minigpt import __version__
from minigpt.widgets import bundle

FOLDER = Path(__file__).parent
# The Content-Security-Policy under which the page works: the sign in the tab is data.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def html(name):
    """The page for the model of this name, to be served with `POLICY`."""
    text = (FOLDER / "page.html").read_text("utf-8")
    for mark, words in (("{name}", name), ("{version}", __version__)):
        text = text.replace(mark, escape(words))
    return text


def script():
    """What the page loads as ``widgets.js``."""
    return bundle.classic_script("server_page.js")


def style():
    """What it loads as ``widgets.css``: the widgets' style, and its own."""
    return f"{bundle.style()}\n{(FOLDER / 'page.css').read_text('utf-8')}"
