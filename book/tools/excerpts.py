"""A search that quotes, from disk too, and that looks at words only.

Sphinx's search fetches each page that it found, to quote from it. From disk a browser
refuses that. So the prose of all pages goes into one script beside the search page; it
also spares the quotes what the figures and widgets of a page have in them. For the same
reason these are kept out of the index, where their labels would make one long word.
"""

import json
import os
import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

SCRIPT = "search-texts.js"
DRAWN = ('<figure class="mg"', '<div class="minigpt-widget"')
PROSE = (nodes.paragraph, nodes.term, nodes.title)
TEX = re.compile(r"\\[a-zA-Z]+\*?|[\\{}$]")


class drawing(nodes.General, nodes.Element):
    """HTML of a figure or a widget, which the index of words does not read."""


def hide_from_index(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Put what is drawn where the index does not look."""
    if app.builder.format != "html":
        return
    for node in list(doctree.findall(nodes.raw)):
        if node.astext().startswith(DRAWN):
            node.replace_self(drawing(html=node.astext(), classes=node["classes"]))


def visit_drawing(self: HTML5Translator, node: drawing) -> None:
    self.body += [self.starttag(node, "div", ""), node["html"], "</div>\n"]
    raise nodes.SkipNode


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Keep a page's prose in the environment: [anchor, text] for each section."""
    texts = app.env.__dict__.setdefault("search_texts", {})
    texts[app.env.docname] = [
        [section["ids"][0], prose(section)]
        for section in doctree.findall(nodes.section)
    ]


def prose(section: nodes.section) -> str:
    """Return what a section says, without the sections in it and without code."""
    return " ".join(
        words(node)
        for child in section.children
        if not isinstance(child, nodes.section)
        for node in child.findall(lambda node: isinstance(node, PROSE))
    )


def words(node: nodes.Node) -> str:
    """Return the words of one paragraph, its equations without TeX's signs."""
    if isinstance(node, nodes.math):
        return TEX.sub("", node.astext())
    if isinstance(node, nodes.Text):
        return " ".join(node.astext().split("\n"))
    return "".join(words(child) for child in node.children)


def write_texts(app: Sphinx, error: Exception | None) -> None:
    """Put the prose of all pages beside them."""
    if error or app.builder.format != "html":
        return
    found = getattr(app.env, "search_texts", {})
    texts = {app.builder.get_target_uri(page): found[page] for page in sorted(found)}
    target = Path(app.outdir, "_static", SCRIPT)
    beside = target.with_suffix(".part")
    body = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    beside.write_text(f"const PAGE_TEXTS = {body};\n", "utf-8")
    os.replace(beside, target)


def forget(app: Sphinx, env, page: str) -> None:
    """A page that is read again, or is gone, is collected anew."""
    getattr(env, "search_texts", {}).pop(page, None)


def add_scripts(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Give the search page the texts and what quotes from them."""
    if pagename == "search":
        app.add_js_file(SCRIPT, loading_method="defer", priority=600)
        app.add_js_file("quotes.js", loading_method="defer", priority=700)


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.add_node(drawing, html=(visit_drawing, None))
    app.connect("doctree-read", collect)
    app.connect("env-purge-doc", forget)
    app.connect("doctree-resolved", hide_from_index)
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", write_texts)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
