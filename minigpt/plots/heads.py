"""Every head of a model on one text, as small pictures of its attention."""

import numpy as np

from minigpt.plots.picture import Picture, picture
from minigpt.plots.scene import Scene

WIDTH, GAP, TITLE = 400, 10, 17
TINTS = (0.12, 0.3, 0.6, 1.0)  # a weight is drawn in the first of these that covers it
LEAST = 0.04  # what is below is not drawn


def every_head(weights, alt: str, *, mark=(), per_row: int = 4) -> Picture:
    """The attention of all heads on one text: `weights` is (L, H, T, T).

    Each small square is a head, named layer.head: a row is a position that looks, a
    column one that is looked at, the last row the last token. `mark` names heads, as
    (layer, head), whose frames are drawn in orange.
    """
    weights = np.asarray(weights, float)
    if weights.ndim != 4 or weights.shape[2] != weights.shape[3]:
        raise ValueError(
            f"the weights have shape {weights.shape}: give (L, H, T, T), one text"
        )
    L, H = weights.shape[:2]
    side = (WIDTH - GAP * (per_row - 1)) / per_row
    down = -(-H // per_row)  # rows of squares that a layer takes
    step = side + TITLE + 4
    scene = Scene(WIDTH, L * (down * step + 6) - 8, scale=1.5)
    for layer, head in np.ndindex(L, H):
        row, column = divmod(head, per_row)
        x = column * (side + GAP)
        y = layer * (down * step + 6) + row * step
        chosen = (layer, head) in set(mark)
        weight = "bold" if chosen else ""
        scene.text(x + 1, y + 8, f"{layer}.{head}", 11, weight=weight)
        _square(scene, weights[layer, head], x, y + TITLE, side, chosen)
    return picture(scene, alt)


def _square(scene: Scene, w, x: float, y: float, side: float, chosen: bool) -> None:
    T = len(w)
    cell = side / T
    edge = {"stroke": "orange", "width": 2.2} if chosen else {}
    edge = edge or {"stroke": "ink", "width": 0.8, "faint": 0.35}
    scene.rect(x, y, side, side, 2, fill="none", **edge)
    level = np.searchsorted(TINTS, np.clip(w, 0, 1))
    for k, tint in enumerate(TINTS):
        strokes = []
        for i, j, length in _runs((level == k) & (w >= LEAST)):
            middle = y + cell * (i + 0.5)
            ends = x + cell * j, x + cell * (j + length)
            strokes += [("M", ends[0], middle), ("L", ends[1], middle)]
        if strokes:
            scene.path(*strokes, stroke="blue", width=cell, faint=tint)


def _runs(cells):
    """Neighbouring marked cells of a row as one: (row, first column, how many)."""
    for i, row in enumerate(cells):
        edges = np.flatnonzero(np.diff(row, prepend=False, append=False))
        for first, end in zip(edges[::2], edges[1::2], strict=True):
            yield i, int(first), int(end - first)
