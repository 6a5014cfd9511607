"""A page with an attention explorer, opened in Chromium: what tests do and read there,
and what NumPy says to it."""

import numpy as np
import widget_pages
from widget_pages import PAGES

import minigpt as mg
from minigpt.plots import piece

WIDGET = "AttentionExplorer"
TALE, MASK, HEADS = (name for name in PAGES if WIDGET in PAGES[name])
MODEL = mg.load("tales")


def opened(watched, address, name=TALE, **options):
    """A page's explorer, when it shows how a token looks."""
    _, widget = widget_pages.opened(watched, address, name, WIDGET, **options)
    widget.locator(".mgw-looker[aria-label]").first.wait_for()
    return widget


def look(text):
    """The tokens' texts, and all weights, (layers, heads, T, T)."""
    params, cfg, tok = MODEL
    ids, seen = np.array([[tok.eot, *tok.encode(text)]])[:, -cfg.n_ctx :], {}
    mg.gpt(params, ids, cfg, tap=seen)
    weights = [seen[f"h.{i}.attn.weights"][0] for i in range(cfg.n_layer)]
    return [piece(tok.decode([i])) for i in ids[0]], np.stack(weights)


def text_of(explorer):
    return explorer.get_by_role("textbox").input_value()


def write(explorer, text):
    explorer.get_by_role("textbox").fill(text)
    explorer.get_by_role("textbox").blur()


def labels(explorer):
    """What each token is called, and what it gets."""
    return explorer.locator(".mgw-looker").evaluate_all(
        "all => all.map((one) => one.ariaLabel)"
    )


def expected(text, layer, head, query=-1):
    names, weights = look(text)
    query = query % len(names)
    row = weights[layer, head, query]
    gets = [f"gets {w:.2f}" for w in row[: query + 1]]
    gets += ["is hidden"] * (len(names) - query - 1)
    names = ["the end token" if n == "<|endoftext|>" else n for n in names]
    return [f"{name}: {words}" for name, words in zip(names, gets, strict=True)]


def choose(explorer, layer, head):
    explorer.get_by_role("button", name=f"layer {layer}, head {head}").click()


def sentence(explorer):
    return explorer.locator(".mgw-look").inner_text()


def pressed(explorer, kind):
    return explorer.locator(f"{kind}[aria-pressed=true]")
