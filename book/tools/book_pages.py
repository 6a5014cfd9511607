"""What the pages need beside the theme: buttons from one address, no remote script."""

import re
from html import escape

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

LAUNCHERS = {
    "notebook_interface": "jupyterlab",
    "binderhub_url": "https://mybinder.org",
    "colab_url": "https://colab.research.google.com",
}
# MyST-NB's label would be read instead of the words that stand there.
FOLD = '<summary aria-label="Toggle hidden content">'


def set_theme_options(app: Sphinx, config: Config) -> None:
    """Name the book under its logo; show buttons when an address is set, else none."""
    options = config.html_theme_options
    options.setdefault("logo", {"text": config.html_title})
    options.setdefault("pygments_light_style", "github-light")
    options.setdefault("pygments_dark_style", "github-dark")
    address = (options.get("repository_url") or "").strip().rstrip("/")
    if not address:
        for key in ("repository_url", "launch_buttons"):
            options.pop(key, None)
        return
    options["repository_url"] = address
    options["launch_buttons"] = {**options.get("launch_buttons", {}), **LAUNCHERS}
    options["use_repository_button"] = True
    options["use_issues_button"] = True


def describe(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Say in a page's head what it is, for search machines and for links to it."""
    if pagename == app.config.root_doc:
        context["docstitle"] = ""  # it is the title already
    context["body"] = (context.get("body") or "").replace(FOLD, "<summary>")
    description = summary(doctree) if doctree else ""
    kind = "website" if pagename == app.config.root_doc else "article"
    said = {
        'name="description"': description,
        'property="og:title"': re.sub("<[^>]+>", "", context.get("title") or ""),
        'property="og:description"': description,
        'property="og:site_name"': app.config.html_title,
        'property="og:type"': kind,
        'name="theme-color" media="(prefers-color-scheme: light)"': "#ffffff",
        'name="theme-color" media="(prefers-color-scheme: dark)"': "#121212",
    }
    context["metatags"] = (context.get("metatags") or "") + "".join(
        f'\n    <meta {key} content="{escape(text)}" />'
        for key, text in said.items()
        if text
    )


def summary(doctree: nodes.document) -> str:
    """Return the first sentences of a page's running text, 200 characters at most."""
    for node in doctree.findall(nodes.paragraph):
        if isinstance(node.parent, nodes.section):
            text = " ".join(node.astext().split())
            if len(text) <= 200:
                return text
            sentences = re.match(r".{40,}(?<=[.!?:])(?= )", text[:200])
            return sentences[0] if sentences else text[:199].rsplit(" ", 1)[0] + "…"
    return ""


def silence_thebe(app: Sphinx) -> None:
    """Undo sphinx-thebe, which Jupyter Book always loads: it names a remote script."""
    for event, listeners in app.events.listeners.items():
        app.events.listeners[event] = [
            listener
            for listener in listeners
            if not listener.handler.__module__.startswith("sphinx_thebe")
        ]
    style = [file for file in app.registry.css_files if "thebe" not in file[0]]
    app.registry.css_files[:] = style


def setup(app: Sphinx) -> dict:
    """Register all of it with Sphinx."""
    silence_thebe(app)
    app.connect("config-inited", set_theme_options, priority=100)
    app.connect("html-page-context", describe)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
