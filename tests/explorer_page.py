"""A page with a sampling explorer, opened in Chromium: what tests do and read there."""

import numpy as np
import widget_pages

import minigpt as mg

CHAPTER = "07-generation.html"
MODEL = mg.load("tales")


def opened(watched, address, name=CHAPTER, transport="file", **options):
    """A page whose explorer is alive, and its explorer."""
    widget = "SamplingExplorer"
    page, found = widget_pages.opened(
        watched, address, name, widget, transport, **options
    )
    found.locator(".mgw-bars li").first.wait_for()
    return page, found


def press(explorer, name):
    explorer.get_by_role("button", name=name, exact=True).click()


def move(explorer, **settings):
    for name, value in settings.items():
        slider = explorer.get_by_role("slider", name=name.replace("_", "-"))
        slider.fill(str(value))


def write(explorer, text):
    box = explorer.get_by_role("textbox", name="Your text")
    box.fill(text)
    box.blur()


def written(explorer):
    return explorer.locator(".mgw-story b").all_inner_texts()


def finished(explorer):
    explorer.get_by_role("button", name="Write", exact=True).wait_for(timeout=30_000)
    return "".join(written(explorer))


def logits(text):
    params, cfg, tok = MODEL
    ids = np.array([[tok.eot, *tok.encode(text)]])[:, -cfg.n_ctx :]
    return mg.gpt(params, ids, cfg, last=True)[:, -1]


def shown(explorer):
    """The rows, once the text is read: what stands in each, from left to right."""
    explorer.locator(".mgw-bars[aria-busy=false]").wait_for()
    rows = explorer.locator(".mgw-bars li").all()
    return [
        tuple(row.locator(".mgw-token, .mgw-share").all_inner_texts()) for row in rows
    ]
