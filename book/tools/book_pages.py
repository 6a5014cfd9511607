"""What the pages need beside the theme: buttons from one address, no remote script."""

from sphinx.application import Sphinx
from sphinx.config import Config

LAUNCHERS = {
    "notebook_interface": "jupyterlab",
    "binderhub_url": "https://mybinder.org",
    "colab_url": "https://colab.research.google.com",
}
# From disk a browser refuses to fetch the pages that the search would quote from.
SEARCH_FROM_DISK = (
    'if (location.protocol === "file:") '
    "DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;"
)


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
    app.add_js_file(None, body=SEARCH_FROM_DISK, priority=210)
    app.connect("config-inited", set_theme_options, priority=100)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
