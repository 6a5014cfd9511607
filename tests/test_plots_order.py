"""The map of the chapters: all of them, in order, inside the picture."""

import re
from pathlib import Path

from minigpt import plots
from minigpt.plots import order


def test_the_map_of_chapters_has_them_all_and_none_needs_a_later_one():
    contents = (Path(__file__).parents[1] / "_toc.yml").read_text(encoding="utf-8")
    assert sorted(order.PLACES) == re.findall(r"file: (\d\d-[\w-]+)", contents)
    html = plots.chapter_map("The chapters.").html()
    assert set(re.findall(r'href="([^"]+)\.html"', html)) == set(order.PLACES)
    for chapter, needs in order.NEEDS.items():
        assert needs and all(need < chapter for need in needs)
        rows = [order.PLACES[need][1] for need in needs]
        assert max(rows) < order.PLACES[chapter][1]  # arrows run downwards


def test_arrows_lead_from_what_is_needed_and_boxes_lie_inside():
    html = plots.chapter_map("The chapters.").html()
    _, _, width, height = map(float, re.search(r'viewBox="([^"]+)"', html)[1].split())
    boxes = re.findall(r"<rect [^>]+>", html)
    assert len(boxes) == len(order.PLACES)
    for box in boxes:
        x, y, w, h = (
            float(re.search(rf' {name}="([\d.]+)"', box)[1])
            for name in ("x", "y", "width", "height")
        )
        assert x + w <= width and y + h <= height
    foot, *_, head = order._way("06-blocks", "09-backpropagation")
    assert foot[1] < head[1] and foot[0] < head[0]
