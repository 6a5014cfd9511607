"""A page with a training scrubber in Chromium: what tests do and read there."""

import json

import widget_pages

from minigpt.assets import retrain

LOSS, TRAINING = "08-training-loss.html", "10-training.html"
RECORD = json.loads((retrain.FOLDER / "history.json").read_text("utf-8"))
MOMENTS, TOKENS = RECORD["moments"], RECORD["tokens"]
ASK, REX = 44, 30  # the question mark, and the name that is the answer


def opened(watched, address, name=TRAINING, **options):
    page, found = widget_pages.opened(
        watched, address, name, "TrainingScrubber", **options
    )
    found.scroll_into_view_if_needed()
    found.locator(".mgw-curve-cursor").wait_for(state="attached")
    return page, found


def go(scrubber, moment):
    scrubber.get_by_role("slider", name="moment").fill(str(moment))


def at(scrubber):
    return int(scrubber.get_by_role("slider", name="moment").input_value())


def figures(scrubber):
    """What is read out: name and value."""
    names = scrubber.locator("dt").all_inner_texts()
    return dict(zip(names, scrubber.locator("dd").all_inner_texts(), strict=True))


def percent(loss, least):
    above = 100 * (loss / least - 1)
    return f"{above:,.0f} %" if above >= 100 else f"{above:.1f} %"


def tokens(scrubber):
    return scrubber.get_by_role("listbox").get_by_role("option")


def cursor(scrubber):
    return scrubber.locator(".mgw-curve-cursor").evaluate(
        "g => new DOMMatrix(g.style.transform).m41"
    )
