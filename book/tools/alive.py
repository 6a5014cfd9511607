"""Scripts for the widgets of a page, on the pages that have some and on no other.

They are classic scripts beside the pages: from disk a browser loads no module and
fetches nothing. One holds a model's weights, one all widgets.
"""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

from minigpt.widgets import bundle
from minigpt.widgets.alive import SHIPPED

MODEL = re.compile(r'<div class="minigpt-widget"[^>]*? data-model="([\w-]*)"')


def write_assets(app: Sphinx) -> None:
    """Put the widgets' files beside the pages, as their sources are now."""
    if app.builder.format != "html":
        return
    script = bundle.classic_script("page.js")
    files = {"widgets.css": bundle.style(), "widgets.js": script}
    for model in SHIPPED:
        files[f"model-{model}.js"] = bundle.model_script(model)
    folder = Path(app.outdir, "_static")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        beside = folder / f".{name}.part"
        beside.write_text(text, "utf-8")
        os.replace(beside, folder / name)


def add_scripts(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Give a page with widgets their style, their models and their script."""
    models = sorted(set(MODEL.findall(context.get("body") or "")))
    if not models:
        return
    app.add_css_file("widgets.css")
    for model in filter(None, models):
        app.add_js_file(f"model-{model}.js", loading_method="defer", priority=600)
    app.add_js_file("widgets.js", loading_method="defer", priority=700)


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.connect("builder-inited", write_assets)
    app.connect("html-page-context", add_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
