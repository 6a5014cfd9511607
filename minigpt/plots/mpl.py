"""Any matplotlib figure in the book's dress: `with style(): ...`, `show(fig, alt)`.

`style()` is a context, so nothing global changes. `show` turns the figure's ink into
`currentColor` and the palette into CSS variables, so that it follows the page's theme.
"""

import hashlib
import io
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import escape

from minigpt.plots.paint import compact
from minigpt.plots.picture import Picture, described
from minigpt.plots.scene import number
from minigpt.plots.theme import COLOURS, CYCLE, PNG_PAPER, css

INK = "#010203"  # stands for the page's ink until `show` replaces it
DPI = 108


def style() -> AbstractContextManager:
    """A context in which matplotlib draws as the book's own figures do.

    >>> with plots.style():
    ...     fig, ax = plt.subplots()
    ...     ax.plot(losses)
    >>> plots.show(fig, alt="The loss falls from 4.2 to 1.9 in 2,000 steps.")
    """
    from cycler import cycler
    from matplotlib import rc_context

    inks = "text.color axes.edgecolor axes.labelcolor xtick.color ytick.color".split()
    settings = dict.fromkeys(inks, INK) | {
        "axes.prop_cycle": cycler(color=[COLOURS[name][0] for name in CYCLE]),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.titlesize": 10,
        "figure.figsize": (5.0, 3.0),
        "figure.constrained_layout.use": True,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "font.size": 10,
        "grid.color": INK,
        "grid.alpha": 0.18,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "lines.linewidth": 2.0,
        "patch.edgecolor": INK,
    }
    return rc_context(settings)


@dataclass(frozen=True)
class Drawn:
    """A matplotlib figure's SVG, in the place of a `Scene`."""

    width: float
    height: float
    body: str

    def svg(self, alt: str, role: str = "img", head: str = "") -> str:
        """The drawing as one inline SVG element, described by `alt`."""
        label = escape(alt)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" '
            f'xmlns:xlink="http://www.w3.org/1999/xlink" role="{role}" '
            f'aria-label="{label}" viewBox="0 0 {number(self.width)} '
            f'{number(self.height)}" width="100%" '
            f'style="max-width:{number(self.width * 1.35)}px" '
            f'fill="currentColor" font-family="inherit">'
            f"<title>{label}</title>{head}{self.body}</svg>"
        )


def show(figure, alt: str) -> Picture:
    """A matplotlib figure as a `Picture`; pyplot forgets it, so it shows only once."""
    from matplotlib import pyplot, rc_context

    words = described(alt)
    svg, width, height = io.StringIO(), *(72 * figure.get_size_inches())
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "minigpt"}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(svg, format="svg", transparent=True, metadata=nothing)
    image = _on_paper(figure)
    pyplot.close(figure)
    drawn = Drawn(width, height, _inline(svg.getvalue()))
    return Picture(((drawn, words),), words, render=lambda: image)


def _on_paper(figure) -> bytes:
    """The figure's PNG: at a screen's size, opaque, in few colours."""
    import numpy as np

    out = io.BytesIO()
    figure.savefig(out, format="rgba", dpi=DPI, facecolor=PNG_PAPER)
    width = int(figure.get_size_inches()[0] * DPI)
    return compact(np.frombuffer(out.getvalue(), np.uint8).reshape(-1, width, 4))


def _inline(svg: str) -> str:
    """matplotlib's SVG document as the inside of a page's own <svg> element."""
    body = re.search(r"<svg[^>]*>(.*)</svg>", svg, re.S).group(1)
    body = re.sub(r"<(metadata|style).*?</\1>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r"<[^>]+>", lambda tag: _tidy(tag.group()), body)
    body = re.sub(r">\s+<", "><", body).replace("<defs></defs>", "").strip()
    mark = hashlib.sha256(body.encode()).hexdigest()[:8]
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>g{mark}-", body)


def _tidy(tag: str) -> str:
    """One tag with the page's ink, the palette's variables and short numbers."""
    if tag.startswith("<g "):
        tag = re.sub(r' id="[^"]*"', "", tag)
    tag = re.sub(rf"(fill|stroke): ({INK}|#000000|black)\b", r"\1: currentColor", tag)
    for name, (colour, _) in COLOURS.items():
        tag = tag.replace(f": {colour}", f": {css(name)}")
    tag = re.sub(r"font-family: '[^;\"]*", "font-family: inherit", tag)
    tag = re.sub(r" transform=\"rotate\(-?0 [^)]*\)\"", "", tag)
    tag = re.sub(r"-?\d+\.\d{3,}", lambda m: number(float(m.group())), tag)
    return re.sub(r"\s+", " ", tag)
