"""A text in its pieces, and the arrays that it becomes."""

from collections.abc import Sequence

import numpy as np

from minigpt.plots.picture import Picture, picture
from minigpt.plots.scene import Scene, piece, text_width
from minigpt.plots.theme import CYCLE

WIDTH = 400


def tokens(tok, text, alt: str, *, ids: bool = True) -> Picture:
    """A text cut into its tokens, each on its own tint, with its id below.

    `tok` is a tokenizer and `text` a string or ids; or `tok` is a list of pieces and
    `text` their ids or None. Spaces show as ␣, line breaks as ⏎; a piece that holds
    only some bytes of a character shows those as \\xe2.
    """
    if hasattr(tok, "encode"):
        numbers = tok.encode(text) if isinstance(text, str) else [int(i) for i in text]
        pieces = tok.pieces(numbers)
    else:
        pieces, numbers = list(tok), text
    below = [
        "" if numbers is None or not ids else str(int(i)) for i in numbers or pieces
    ]
    if len(below) != len(pieces):
        raise ValueError(
            f"{len(pieces)} pieces and {len(below)} ids: give one id a piece"
        )
    x, y, step = 0.0, 0.0, 42 if any(below) else 27
    scene = Scene(WIDTH, step)
    for k, (word, number) in enumerate(zip(map(piece, pieces), below, strict=True)):
        wide = text_width(word, 13, mono=True) + 9
        room = max(wide, text_width(number, 9.5) + 6)
        if x and x + room > WIDTH:
            x, y = 0.0, y + step
        colour = CYCLE[k % len(CYCLE)]
        scene.rect(x, y + 2, room, 22, 4, fill=colour, tint=0.22)
        scene.rect(x, y + 21.5, room, 2.5, fill=colour)
        scene.text(x + room / 2, y + 12, word, 13, anchor="middle", mono=True)
        scene.text(x + room / 2, y + 31, number, 9.5, anchor="middle", opacity=0.9)
        x += room + 3
        if pieces[k].endswith("\n"):
            x, y = 0.0, y + step
    scene.height = y + step if x else max(y, step)
    return picture(scene, alt)


def shapes(steps: Sequence[tuple], alt: str) -> Picture:
    """The arrays of a computation from top to bottom, drawn in proportion.

    Each step is (name, array or shape, axes) with axes like "B T C"; a fourth entry
    says what leads to the next array. Sides grow with the logarithm of their lengths.
    """
    line = 62
    scene = Scene(WIDTH, line * len(steps))
    for k, (name, array, axes, *then) in enumerate(steps):
        shape = tuple(array) if isinstance(array, tuple) else np.shape(array)
        letters = axes.split()
        if len(letters) != len(shape):
            raise ValueError(
                f"{name}: the shape {shape} has {len(shape)} axes, but {axes!r} "
                f"names {len(letters)}"
            )
        middle = line * k + 24
        _box(scene, 66, middle, shape)
        scene.text(150, middle - 8, name, 12.5, weight="bold")
        sizes = ", ".join(f"{a} {n}" for a, n in zip(letters, shape, strict=True))
        scene.text(150, middle + 9, f"({sizes})", 12, mono=True)
        if k + 1 < len(steps):
            scene.arrow([(66, middle + 25), (66, middle + 37)], head=5, opacity=0.8)
            if then:
                scene.text(78, middle + 31, then[0], 10, opacity=0.85)
    return picture(scene, alt)


def _box(scene: Scene, x: float, y: float, shape: Sequence[int]) -> None:
    """One array: its last two axes as a sheet, an axis before them as a stack."""
    *stack, high, wide = (1, 1, *shape) if len(shape) < 2 else (1, *shape)
    w, h = (
        min(10 + 14 * np.log2(max(n, 1)), limit)
        for n, limit in ((wide, 96), (high, 40))
    )
    h = max(min(h * 0.6, 34), 7)
    sheets = min(int(np.prod(stack)), 4)
    for k in reversed(range(sheets)):
        shift = 4.0 * (k - (sheets - 1) / 2)
        left, top = x - w / 2 + shift, y - h / 2 - shift
        scene.rect(left, top, w, h, 2, fill="grey", tint=0.16)
        scene.rect(left, top, w, h, 2, fill="none", stroke="blue", width=1.4)
