"""The PNG twin of a drawing, for viewers that show no inline SVG.

matplotlib paints the same marks in a light page's colours on white paper. It is
imported on first use, so that `import minigpt` stays quick and its settings untouched.
"""

import io
import warnings
from collections.abc import Sequence

from minigpt.plots.scene import Mark, Scene
from minigpt.plots.theme import PNG_PAPER, flat

GAP = 16.0  # between the drawings of a row, and round the whole
PIXELS = 1.5  # for one SVG unit
FONTS = {False: "DejaVu Sans", True: "DejaVu Sans Mono"}


def png(scenes: Sequence[Scene]) -> bytes:
    """The scenes side by side as one PNG of 64 colours, the same bytes each time."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = sum(s.width for s in scenes) + GAP * (len(scenes) + 1)
    height = max(s.height for s in scenes) + 2 * GAP
    with rc_context({"font.family": "sans-serif"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Glyph.*missing.*")
        figure = Figure((width / 72, height / 72), dpi=72 * PIXELS, facecolor=PNG_PAPER)
        canvas = FigureCanvasAgg(figure)
        left = GAP
        for scene in scenes:
            wide, high = scene.width / width, scene.height / height
            axes = figure.add_axes([left / width, (1 - high) / 2, wide, high])
            _paint(axes, scene)
            left += scene.width + GAP
        canvas.draw()
        return compact(canvas.buffer_rgba())


def compact(rgba) -> bytes:
    """PNG bytes of an (H, W, 4) image over white paper, with 64 colours at most."""
    from PIL import Image

    image = Image.fromarray(_array(rgba))
    paper = Image.new("RGBA", image.size, PNG_PAPER)
    few = Image.alpha_composite(paper, image).convert("RGB").quantize(64)
    out = io.BytesIO()
    few.save(out, "PNG", optimize=True)
    return out.getvalue()


def _array(rgba):
    import numpy as np

    return np.asarray(rgba)


def _paint(axes, scene: Scene) -> None:
    axes.set(xlim=(0, scene.width), ylim=(scene.height, 0))
    axes.axis("off")
    for order, mark in enumerate(scene.marks):
        if mark.kind == "text":
            _text(axes, mark, order)
        elif mark.kind in ("rect", "path"):
            _shape(axes, mark, order)


def _shape(axes, mark: Mark, order: int) -> None:
    from matplotlib.colors import to_rgba
    from matplotlib.patches import FancyBboxPatch, PathPatch

    style, look = mark.style, {"zorder": order, "clip_on": False}
    alpha = style.get("opacity") or 1.0
    look["facecolor"] = look["edgecolor"] = "none"
    look["linewidth"] = 0.0
    if style.get("fill", "ink") != "none":
        tint = style.get("tint")
        colour = flat(style.get("fill", "ink"))
        look["facecolor"] = to_rgba(colour, alpha * (1.0 if tint is None else tint))
    if style.get("stroke", "none") != "none":
        faint = style.get("faint")
        colour = flat(style["stroke"])
        look["edgecolor"] = to_rgba(colour, alpha * (1.0 if faint is None else faint))
        look["linewidth"] = style.get("width", 1.0)
        if style.get("dash"):
            look["linestyle"] = (
                0,
                [float(v) / look["linewidth"] for v in style["dash"].split()],
            )
    if mark.kind == "path":
        axes.add_patch(PathPatch(_outline(mark.points), **look))
        return
    x, y, w, h, r = mark.points
    shape = f"round,pad=0,rounding_size={r}" if r else "square,pad=0"
    axes.add_patch(FancyBboxPatch((x, y), w, h, boxstyle=shape, **look))


def _outline(commands):
    from matplotlib.path import Path

    codes = {"M": [Path.MOVETO], "L": [Path.LINETO], "Z": [Path.CLOSEPOLY]}
    codes |= {"Q": [Path.CURVE3] * 2, "C": [Path.CURVE4] * 3}
    points, kinds = [], []
    for letter, *where in commands:
        pairs = list(zip(where[::2], where[1::2], strict=True)) or [(0.0, 0.0)]
        points += pairs
        kinds += codes[letter]
    return Path(points, kinds)


def _text(axes, mark: Mark, order: int) -> None:
    from math import cos, radians, sin

    x, y, size, angle = mark.points
    style, drop, turn = mark.style, 0.35 * size, radians(angle)
    axes.text(
        x - sin(turn) * drop,
        y + cos(turn) * drop,
        mark.text,
        parse_math=False,
        fontsize=size,
        rotation=-angle,
        rotation_mode="anchor",
        ha={"start": "left", "middle": "center", "end": "right"}[
            style.get("anchor", "start")
        ],
        va="baseline",
        weight=style.get("weight") or "normal",
        family=FONTS[bool(style.get("mono"))],
        color=flat(style.get("fill", "ink")),
        alpha=style.get("opacity") or 1.0,
        zorder=order,
    )
