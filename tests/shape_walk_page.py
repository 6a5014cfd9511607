"""A page with the walk through the model, opened in Chromium: what tests do and read
there."""

import re

import widget_pages

import minigpt as mg
from minigpt.widgets import ShapeWalk

TALES = mg.load("tales")
PAGE = "06-blocks.html"
TEXT = "Once a girl called Mia had a red"
LONG = "Once a boy called Tim had a new boat. One day he took it to the old barn. " * 2
OPENED = "h.0.attn.weights"


def walk(text=TEXT, **traits):
    return ShapeWalk(*TALES, text, **traits)


def opened(watched, address, transport="file", **options):
    where = watched, address, PAGE, "ShapeWalk", transport
    return widget_pages.opened(*where, **options)[1]


def press(widget, name):
    widget.get_by_role("button", name=name, exact=True).click()


def write(widget, text):
    box = widget.get_by_role("textbox", name="Your text")
    box.fill(text)
    box.blur()


def box(widget, title, nth=0):
    named = widget.locator(".mgw-sw-box").filter(has_text=re.compile(f"^{title}"))
    return named.nth(nth)


FACTS = """panel => [panel.querySelector("code").textContent, Object.fromEntries(
  [...panel.querySelectorAll("dl > div")].map((one) =>
    [...one.children].map((part) => part.textContent))),
  panel.querySelector(".mgw-sw-says a")?.getAttribute("href") ?? null]"""


def facts(widget):
    """What the panel says of the opened step: its name in code, figures by their names,
    and where its chapter is."""
    return widget.locator(".mgw-sw-panel").evaluate(FACTS)


def number(words):
    return float(words.replace("−", "-").replace(",", ""))


def near(shown, expected):
    """Whether a number with three decimals is NumPy's, up to float32's rounding."""
    return abs(number(shown) - expected) <= 0.001 + 1e-4 * abs(expected)


def shape_words(step):
    letters = ", ".join(step.letters.split())
    return f"({letters})= ({', '.join(map(str, step.shape))})"


def learned(step):
    if step.name == "logits":
        return "parameters: wte's again"
    return f"{step.parameters:,} parameters" if step.parameters else "no parameters"
