"""Arcs from a token to those it looks at."""

from collections.abc import Sequence

import numpy as np

from minigpt.plots.picture import Picture, picture
from minigpt.plots.scene import Scene, text_width, visible


def arcs(tokens: Sequence[str], weights, alt: str, *, query: int = -1) -> Picture:
    """Arcs from one token to those it looks at, as thick as the weight is large.

    `weights` is (T,), or (T, T) of which row `query` is drawn. Short texts run across,
    long ones down the page. Raises `ValueError` when there is not one weight a token.
    """
    weights = np.asarray(weights, float)
    weights = weights[query] if weights.ndim == 2 else weights
    words = [visible(token) for token in tokens]
    if weights.shape != (len(words),):
        raise ValueError(
            f"{len(words)} tokens and weights of shape {weights.shape}: "
            f"give ({len(words)},) or ({len(words)}, {len(words)})"
        )
    query = query % len(words)
    widths = [text_width(word, 12) + 14 for word in words]
    if sum(widths) <= 400:
        scene = _across(words, weights, query, widths)
    else:
        scene = _down(words, weights, query)
    return picture(scene, alt)


def _across(words, weights, query: int, widths) -> Scene:
    spare = min((400 - sum(widths)) / len(words), 26.0)
    ends = np.cumsum([w + spare for w in widths])
    middles = ends - (np.asarray(widths) + spare) / 2
    reach = np.abs(middles - middles[query]).max()
    base = 24 + min(0.42 * reach, 96)
    scene = Scene(float(ends[-1]), base + 44)
    for j in _order(weights):
        share = abs(middles[j] - middles[query]) / (reach or 1.0)
        top = base - 14 - (base - 20) * share * 4 / 3
        start, end = (middles[query], base), (middles[j], base)
        _arc(
            scene, (start, (start[0], top), (end[0], top), end), weights[j], query == j
        )
    for j, word in enumerate(words):
        _token(scene, middles[j], base + 14, word, widths[j] - 4, j == query)
        scene.text(
            middles[j],
            base + 35,
            f"{weights[j]:.2f}",
            9.5,
            anchor="middle",
            opacity=0.85,
        )
    return scene


def _down(words, weights, query: int) -> Scene:
    line, wide = 21, max(text_width(word, 12) for word in words) + 14
    left = min(150.0, 36 + 7.0 * len(words))
    scene = Scene(left + wide + 84, line * len(words) + 4)
    heights = [line * (j + 0.5) + 2 for j in range(len(words))]
    reach = max(abs(h - heights[query]) for h in heights) or 1.0
    for j in _order(weights):
        depth = (
            left - 12 - (left - 16) * abs(heights[j] - heights[query]) / reach * 4 / 3
        )
        start, end = (left - 2, heights[query]), (left - 2, heights[j])
        bend = (depth, start[1]), (depth, end[1])
        _arc(scene, (start, *bend, end), weights[j], query == j)
    largest = weights.max() or 1.0
    for j, word in enumerate(words):
        _token(scene, left + wide / 2, heights[j], word, wide, j == query)
        x = left + wide + 8
        scene.rect(
            x, heights[j] - 5, 44 * max(weights[j], 0) / largest, 10, 2, fill="blue"
        )
        end = x + 44 * max(weights[j], 0) / largest + 5
        scene.text(end, heights[j], f"{weights[j]:.2f}", 9.5)
    return scene


def _order(weights):
    return [int(j) for j in np.argsort(weights, kind="stable") if weights[j] >= 0.005]


def _arc(scene: Scene, curve, weight: float, itself: bool) -> None:
    if itself:
        return
    start, *rest = curve
    commands = ("M", *start), ("C", *(c for point in rest for c in point))
    look = {"width": 0.8 + 7 * min(weight, 1.0), "opacity": 0.5 + 0.45 * min(weight, 1)}
    scene.path(*commands, stroke="blue", **look)


def _token(scene: Scene, x, y, word: str, width: float, chosen: bool) -> None:
    colour, tint = ("orange", 0.2) if chosen else ("ink", 0.06)
    edge = {"stroke": "orange", "width": 1.6} if chosen else {}
    scene.rect(x - width / 2, y - 9.5, width, 19, 4, fill=colour, tint=tint, **edge)
    scene.text(x, y, word, 12, anchor="middle", weight="bold" if chosen else "")
