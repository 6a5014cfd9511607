"""Scripts for the widgets of a page, on the pages that have some and on no other.

They are classic scripts beside the pages: from disk a browser loads no module and
fetches nothing. One holds a model's weights, one all widgets.
"""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

from minigpt.widgets import bundle

MODEL = re.compile(r'<div class="minigpt-widget"[^>]*? data-model="([\w-]+)"')


def write_asset(app: Sphinx, name: str, make) -> None:
    """Put what `make()` gives into the folder of static files, once a build."""
    target = Path(app.outdir, "_static", name)
    if name in app.alive_assets and target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{name}.{os.getpid()}.part")
    beside.write_text(make(), "utf-8")
    os.replace(beside, target)
    app.alive_assets.add(name)


def add_scripts(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Give a page with widgets their style, their models and their script."""
    models = sorted(set(MODEL.findall(context.get("body") or "")))
    if not models:
        return
    style = bundle.SOURCES / "widgets.css"
    write_asset(app, "widgets.css", lambda: style.read_text("utf-8"))
    app.add_css_file("widgets.css")
    for model in models:
        name = f"model-{model}.js"
        write_asset(app, name, lambda model=model: bundle.model_script(model))
        app.add_js_file(name, loading_method="defer", priority=600)
    write_asset(app, "widgets.js", lambda: bundle.classic_script("page.js"))
    app.add_js_file("widgets.js", loading_method="defer", priority=700)


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.alive_assets = set()
    app.connect("html-page-context", add_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
