"""A page with a tokenizer explorer in Chromium: what tests do and read there."""

import html
import json
import re

import widget_pages

import minigpt as mg
from minigpt.bpe import split
from minigpt.plots import piece
from minigpt.widgets.tokens import TokenizerExplorer

CHAPTER = "01-tokenizer.html"
CHIPS = "[...document.querySelectorAll('.mgw-chip')].map((chip) => +chip.dataset.id)"
MIXED = "é e\u0301 مرحبا 日本語 👩‍🚀 a\u200bb\u202e!\tx\x07\n\n  wholeheartedly"


def chapters_tokenizer(site):
    """The tokenizer that the page brings along."""
    text = (site / CHAPTER).read_text("utf-8")
    state = re.search(r'data-widget="TokenizerExplorer"[^>]*? data-state="(.*?)"', text)
    packed = json.loads(html.unescape(state[1]))["tokenizer"]
    return mg.BPETokenizer._from_state(packed)


def opened(watched, address, transport="file", **options):
    widget = "TokenizerExplorer"
    return widget_pages.opened(watched, address, CHAPTER, widget, transport, **options)[
        1
    ]


def write(explorer, text):
    box = explorer.get_by_role("textbox", name="Your text")
    box.fill(text)
    box.blur()


def chosen(explorer, text, part):
    """The text is written, and the first token of one of its pieces is chosen."""
    write(explorer, text)
    place = split(text).index(part)
    explorer.locator(".mgw-chip.mgw-first").nth(place).click()


def press(explorer, name):
    """By the keyboard: a page that is still being drawn moves what a mouse aims at."""
    explorer.get_by_role("button", name=name, exact=True).press("Enter")


def cells(explorer):
    rows = explorer.locator(".mgw-row").all()
    return [row.locator(".mgw-cell").all_text_contents() for row in rows]


def ladder(tok, part):
    rows = TokenizerExplorer(tok, part).rows()
    return [[piece(word) for word in tok.pieces(ids)] for _, ids in rows]


def figures(explorer):
    return [
        word.replace(",", "") for word in explorer.locator("dd").all_text_contents()
    ]
