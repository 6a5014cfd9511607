"""Heat maps: attention weights, scores, and any small matrix."""

from collections.abc import Mapping, Sequence

import numpy as np

from minigpt.plots.picture import Picture, picture, row
from minigpt.plots.scene import Scene, text_width, visible
from minigpt.plots.theme import CELL_MAX

SMALL = 10.5


def heatmap(
    matrix,
    rows: Sequence[str] | None = None,
    cols: Sequence[str] | None = None,
    alt: str = "",
    *,
    title: str = "",
    causal: bool = False,
    annotate: bool | None = None,
    xlabel: str = "",
    ylabel: str = "",
    fmt: str = "{:.2f}",
    vmax: float | None = None,
    words=None,
) -> Picture:
    """An (R, C) matrix as tinted cells: blue above zero, orange below.

    Full colour stands for `vmax` (default: the largest magnitude). `annotate` writes
    the numbers (default: up to 8 columns), or what stands in `words` (R, C); `causal`
    hatches the cells after the diagonal. Raises `ValueError` for another shape or
    labels that do not fit it.
    """
    matrix = np.asarray(matrix, float)
    rows, cols = _labels(matrix, rows, cols)
    if words is not None and [len(row) for row in words] != [len(cols)] * len(rows):
        raise ValueError(
            f"words has other rows than the matrix of shape {matrix.shape}: give one "
            "word a cell"
        )
    annotate = words is not None or annotate
    annotate = matrix.shape[1] <= 8 if annotate is None else annotate
    left = max(map(_label_width, rows), default=0) + (24 if ylabel else 8)
    cell = min(
        52.0 if words is not None else 44.0 if annotate else 30.0,
        (396 - left) / len(cols or [1]),
    )
    steep = any(_label_width(c) > cell + 3 for c in cols)
    above = max(map(_label_width, cols), default=0) * 0.74 + 12 if steep else 18
    top = (20 if title else 0) + (16 if xlabel else 0) + (above if any(cols) else 2)
    tail = max(_label_width(cols[-1]) * 0.7 if steep else 0, 2)
    high = min(cell, 32.0) if annotate else cell
    bottom = top + high * len(rows) + (2 if annotate else 20)
    scene = Scene(left + cell * len(cols) + tail, bottom)
    box = (left, top, cell, high)
    _caption(scene, left, title, xlabel, ylabel, top + high * len(rows) / 2)
    _label(scene, rows, cols, box, steep)
    largest = float(vmax or np.nanmax(np.abs(matrix), initial=0) or 1)
    look = _Look(*box, largest, annotate, fmt, causal, words)
    look.cells(scene, matrix, rows, cols)
    return picture(scene, alt)


def heatmaps(
    matrices: Mapping[str, object],
    labels: Sequence[str],
    alt: str,
    *,
    causal: bool = False,
    vmax: float | None = 1.0,
) -> Picture:
    """Several (T, T) heat maps with their titles; they wrap where a page is narrow."""
    maps = [
        heatmap(
            m,
            labels,
            labels,
            f"{alt} Here: {title}.",
            title=title,
            causal=causal,
            annotate=False,
            vmax=vmax,
        )
        for title, m in matrices.items()
    ]
    return row(*maps, alt=alt)


def _label_width(label: str) -> float:
    return text_width(label, SMALL)


def _labels(matrix, rows, cols) -> tuple[list[str], list[str]]:
    if matrix.ndim != 2:
        raise ValueError(
            f"the matrix has shape {matrix.shape}; a heat map takes (R, C)"
        )
    names = []
    sides = zip(("row", "column"), (rows, cols), matrix.shape, strict=True)
    for side, given, count in sides:
        given = [""] * count if given is None else [visible(g) for g in given]
        if len(given) != count:
            raise ValueError(
                f"{len(given)} {side} labels for a matrix of shape {matrix.shape}: "
                f"give {count}, or None"
            )
        names.append(given)
    return names[0], names[1]


def _caption(scene: Scene, left, title: str, xlabel: str, ylabel: str, middle) -> None:
    if title:
        scene.text(0, 8, title, 12, weight="bold")
    scene.text(left, 28 if title else 8, xlabel, SMALL, opacity=0.85)
    scene.text(8, middle, ylabel, SMALL, -90, anchor="middle")


def _label(scene: Scene, rows, cols, box, steep: bool) -> None:
    left, top, cell, high = box
    for i, name in enumerate(rows):
        scene.text(left - 6, top + high * (i + 0.5), name, SMALL, anchor="end")
    for j, name in enumerate(cols):
        x = left + cell * (j + 0.5)
        if steep:
            scene.text(x, top - 8, name, SMALL, -45)
        else:
            scene.text(x, top - 9, name, SMALL, anchor="middle")


class _Look:
    """How one heat map's cells are placed and coloured."""

    def __init__(
        self, left, top, cell, high, largest, annotate, fmt, causal, words=None
    ):
        self.left, self.top, self.cell, self.high = left, top, cell, high
        self.largest, self.annotate, self.fmt = largest, annotate, fmt
        self.causal, self.words = causal, words
        self.strength = CELL_MAX if annotate else 1.0

    def cells(self, scene, matrix, rows, cols) -> None:
        hatch, texts, inset = [], [], min(1.0, self.cell * 0.05)
        w, h = self.cell - 2 * inset, self.high - 2 * inset
        for (i, j), value in np.ndenumerate(matrix):
            x, y = self.left + self.cell * j, self.top + self.high * i
            if self.causal and j > i:
                continue
            if not np.isfinite(value):
                hatch += _hatch(x, y, self.cell, self.high)
                continue
            words = self.fmt.format(value).replace("-", "−")
            if self.words is not None:
                words = visible(self.words[i][j])
            tip = f"{rows[i]} → {cols[j]}: {words}" if rows[i] or cols[j] else words
            tip = "" if self.annotate else tip
            scene.rect(x + inset, y + inset, w, h, 2, tip, **self.colour(value))
            texts.append((x + self.cell / 2, y + self.high / 2, words))
        longest = max((text_width(words, 1) for *_, words in texts), default=1)
        for x, y, words in texts if self.annotate else ():
            widest = (self.words is None and longest) or text_width(words, 1) or 1
            scene.text(x, y, words, min(SMALL, 0.96 * w / widest), anchor="middle")
        if self.causal:
            hatch += self.future(*matrix.shape)
        if hatch:
            scene.path(*hatch, stroke="ink", width=0.8, opacity=0.28)
        if not self.annotate:
            self.key(scene, bool((matrix < 0).any()))

    def future(self, rows: int, cols: int, gap: float = 6.0) -> list[tuple]:
        """Strokes over all cells whose column comes after their row."""
        strokes, wide, high = [], self.cell * cols, self.high * rows
        for c in np.arange(gap / 2, wide + high, gap):
            walls = {self.cell * k for k in range(cols)}
            walls |= {c - self.high * k for k in range(rows + 1)}
            for x in sorted(x for x in walls if c - high <= x < min(c, wide)):
                i, j = (c - x - 0.01) // self.high, (x + 0.01) // self.cell
                if j > i and x >= 0:
                    ends = (x, c - x), (min(c, wide), c - min(c, wide))
                    (a, b), (d, e) = ((self.left + u, self.top + v) for u, v in ends)
                    strokes += [("M", a, b), ("L", d, e)]
                    break
        return strokes

    def colour(self, value: float) -> dict:
        """Fill of one value: a hue for its sign, a tint for its size."""
        hue = "blue" if value >= 0 else "orange"
        tint = self.strength * min(abs(value) / self.largest, 1.0)
        hue += "!" if self.annotate else ""
        edge = {"stroke": "ink", "width": 0.6, "faint": 0.16}
        return {"fill": hue, "tint": tint} | edge

    def key(self, scene: Scene, signed: bool) -> None:
        """A small scale below the map: what the tints stand for."""
        y, x = scene.height - 10, self.left
        steps = (-1, -0.5, 0, 0.5, 1) if signed else (0, 0.25, 0.5, 0.75, 1)
        low, high = steps[0] * self.largest, self.largest
        scene.text(x, y, f"{low:.3g}", 9)
        x += text_width(f"{low:.3g}", 9) + 5
        for share in steps:
            scene.rect(x, y - 4.5, 9, 9, **self.colour(share * self.largest))
            x += 9
        scene.text(x + 5, y, f"{high:.3g}", 9)


def _hatch(x: float, y: float, w: float, h: float, gap: float = 6.0) -> list[tuple]:
    """Diagonal strokes inside a box: cells that nobody may look at."""
    strokes, start = [], gap / 2
    while start < w + h:
        a, b = max(0.0, start - h), min(start, w)
        strokes += [("M", x + a, y + start - a), ("L", x + b, y + start - b)]
        start += gap
    return strokes
