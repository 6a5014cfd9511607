"""Charts: curves with direct labels, bars, and labelled points."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from minigpt.plots.axis import SMALL, Axis, frame
from minigpt.plots.picture import Picture, picture
from minigpt.plots.scene import Scene, text_width, towards, visible
from minigpt.plots.theme import CYCLE


def _apart(
    heights: Sequence[float], gap: float, low: float, high: float
) -> list[float]:
    """`heights` moved as little as is needed to stand `gap` apart, in their order."""
    order = sorted(range(len(heights)), key=lambda k: heights[k])
    placed = list(heights)
    for before, this in pairwise(order):
        placed[this] = max(placed[this], placed[before] + gap)
    if order and placed[order[-1]] > high:
        placed[order[-1]] = high
        for this, after in zip(order[-2::-1], order[:0:-1], strict=False):
            placed[this] = min(placed[this], placed[after] - gap)
    return [max(low, p) for p in placed]


def _points(values) -> tuple[np.ndarray, np.ndarray]:
    """A curve's x and y: given as a pair, or y alone (then x counts from 0)."""
    pair = isinstance(values, tuple) and len(values) == 2
    x, y = values if pair else (range(len(values)), values)
    return np.asarray(x, float), np.asarray(y, float)


def curves(
    series: Mapping[str, object],
    alt: str,
    *,
    xlabel: str = "",
    ylabel: str = "",
    floor: tuple[str, float] | None = None,
    logx: bool = False,
    logy: bool = False,
    markers: bool = False,
) -> Picture:
    """Lines, each named at its end; `floor=("entropy", 2.1)` draws a dashed one.

    `series` maps each name to y values or to a pair (x, y); a value that is not finite
    breaks its line. Raises `ValueError` for an empty `alt` or no finite value at all.
    """
    lines = {name: _points(values) for name, values in series.items()}
    names = [*lines, *([floor[0]] if floor else [])]
    room = max((text_width(name, SMALL) for name in names), default=0) + 20
    scene = Scene(400, 232 if xlabel else 216)
    x = Axis([p[0] for p in lines.values()], 40, 400 - min(room, 150), logx)
    floors = [[floor[1]]] if floor else []
    y = Axis([*(p[1] for p in lines.values()), *floors], 190, 24, logy, pad=0.04)
    frame(scene, x, y, xlabel, ylabel)
    ends = []
    for (name, points), colour in zip(lines.items(), CYCLE * len(lines), strict=False):
        end, height = _draw(scene, x, y, *points, colour, markers)
        if end < x.end - 24:
            broke = not np.isfinite(points[1][-1])
            _name_inside(scene, end, height, name, colour if broke else "")
        else:
            ends.append((name, height, colour))
    if floor:
        level = y(floor[1])
        scene.line([(x.start, level), (x.end, level)], width=1.4, dash="5 4")
        ends.append((floor[0], level, "ink"))
    _name_ends(scene, x.end, ends, y.start - 2)
    return picture(scene, alt)


def _name_ends(scene: Scene, x: float, ends: Sequence[tuple], lowest: float) -> None:
    """The lines' names beside their ends at `x`, apart enough to be read; a short bar
    shows the colour, since a dot would look like one more point of the curve."""
    heights = _apart([e[1] for e in ends], 14, 20, lowest)
    for (name, _, colour), height in zip(ends, heights, strict=True):
        scene.rect(x + 5, height - 1.5, 8, 3, r=1.5, fill=colour)
        scene.text(x + 16, height, name, SMALL)


def _name_inside(scene: Scene, x, y, name: str, broke: str) -> None:
    """The name of a line that ends early, and a cross where its values failed."""
    if broke:
        scene.text(x, y, "×", 15, anchor="middle", fill=broke, weight="bold")
    scene.text(x + 8, y - 9, name, SMALL)


def _draw(scene, x, y, xs, ys, colour, markers) -> tuple[float, float]:
    """One line, broken where a value is not finite; returns where it ends."""
    commands, last, drawn = [], (x.end, (y.start + y.end) / 2), False
    for a, b in zip(xs, ys, strict=True):
        fits = np.isfinite(a) and np.isfinite(b)
        fits = fits and (a > 0 or not x.log) and (b > 0 or not y.log)
        if fits:
            last = x(a), y(b)
            commands.append(("L" if drawn else "M", *last))
            if markers:
                scene.dot(*last, 3, fill=colour)
        drawn = fits
    if commands:
        scene.path(*commands, stroke=colour, width=2)
    return last


def bars(
    labels: Sequence[str],
    values: Sequence[float],
    alt: str,
    *,
    title: str = "",
    fmt: str = "{:.2f}",
    highlight: int | Sequence[int] = (),
    mono: bool = False,
    upper: float | None = None,
) -> Picture:
    """Horizontal bars from zero, label before and value after; some highlighted.

    `upper` sets the right end of the axis, so that several charts share one scale;
    without it the greatest value fills the width.
    """
    values = [float(v) for v in values]
    marked = {highlight} if isinstance(highlight, int) else set(highlight)
    words = [visible(label) for label in labels]
    numbers = [fmt.format(v).replace("-", "−") for v in values]
    left = min(max((text_width(w, 12, mono) for w in words), default=0) + 8, 170)
    right = max((text_width(n, SMALL) for n in numbers), default=0) + 8
    top, line = 24 if title else 2, 21
    scene = Scene(400, top + line * len(values) + 2)
    ends = [0.0] if upper is None else [0.0, upper]
    x = Axis([values, ends], left, 400 - right)
    if title:
        scene.text(0, 9, title, 12, weight="bold")
    rows = zip(words, values, numbers, strict=True)
    for k, (word, value, number) in enumerate(rows):
        y = top + line * (k + 0.5)
        colour = "orange" if k in marked else "blue"
        start, end = sorted((x(0.0), x(value)))
        scene.text(left - 7, y, word, 12, anchor="end", mono=mono)
        scene.rect(start, y - 7, max(end - start, 0.5), 14, 2, fill=colour)
        weight = "bold" if k in marked else ""
        scene.text(end + 6, y, number, SMALL, weight=weight)
    return picture(scene, alt)


def scatter(
    points,
    labels: Sequence[str],
    alt: str,
    *,
    groups: Sequence[str] | None = None,
    arrows: Sequence[tuple[int, int]] = (),
    size: float = 300,
) -> Picture:
    """Named points of an (N, 2) array; `groups` colours them, `arrows` joins pairs."""
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points has shape {points.shape}; it takes (N, 2)")
    groups_of = groups or [""] * len(points)
    kinds = list(dict.fromkeys(groups_of))
    scene = Scene(400, size + (18 if groups else 0))
    x = Axis([points[:, 0]], 34, 366, pad=0.02)
    y = Axis([points[:, 1]], size - 16, 16, pad=0.02)
    where = [(x(a), y(b)) for a, b in points]
    scene.rect(0.5, 0.5, 399, size - 1, 4, fill="none", stroke="ink", faint=0.25)
    for a, b in arrows:
        short = towards(where[b], where[a], 6)
        scene.arrow([where[a], short], stroke="grey", width=1.3)
    colours = {kind: CYCLE[k % len(CYCLE)] for k, kind in enumerate(kinds)}
    for place, kind in zip(where, groups_of, strict=True):
        scene.dot(*place, 3.6, fill=colours[kind])
    _name(scene, where, [visible(label) for label in labels])
    left = 4.0
    for kind in kinds if groups else ():
        scene.dot(left + 4, size + 11, 4, fill=colours[kind])
        scene.text(left + 12, size + 11, kind, SMALL)
        left += text_width(kind, SMALL) + 28
    return picture(scene, alt)


def _name(scene: Scene, where, labels: Sequence[str]) -> None:
    """Write each label beside its point, on the side where it covers least."""
    taken = [(px - 4, py - 4, px + 4, py + 4) for px, py in where]
    for (px, py), label in zip(where, labels, strict=True):
        w = text_width(label, SMALL)
        sides = [(7, -6), (-7 - w, -6), (-w / 2, -18), (-w / 2, 6), (5, 3), (5, -15)]
        boxes = [(px + a, py + b, px + a + w, py + b + 12) for a, b in sides]
        best = min(boxes, key=lambda box: sum(_overlap(box, t) for t in taken))
        taken.append(best)
        scene.text(best[0], best[1] + 6, label, SMALL)


def _overlap(a, b) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    inside = a[0] >= 2 and a[2] <= 398
    return max(wide, 0) * max(high, 0) + (0 if inside else 40)
