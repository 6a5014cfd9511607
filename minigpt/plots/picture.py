"""What a cell shows: inline SVG for the page, a PNG beside it, and its description."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape

from minigpt.plots.paint import png
from minigpt.plots.scene import Scene
from minigpt.plots.theme import STYLE


def described(alt: str) -> str:
    """`alt` on one line; raises `ValueError` when there are no words in it."""
    words = " ".join(alt.split()) if isinstance(alt, str) else ""
    if not words:
        raise ValueError(
            f"alt={alt!r} describes nothing: say in a sentence what the figure shows, "
            "for readers who cannot see it"
        )
    return words


@dataclass(frozen=True)
class Picture:
    """A figure with its description; as the last expression of a cell it is shown.

    Pages receive `text/html` (a figure with inline SVG, whose ink follows the page's
    theme), viewers without SVG `image/png`, and tests `text/plain`: the description.
    `drawings` are pairs of a drawing and its own description; `render` makes the PNG.
    """

    drawings: tuple[tuple[Scene, str], ...]
    alt: str
    caption: str = ""
    role: str = "img"  # "group" where the drawing holds links
    render: Callable[[], bytes] | None = None  # default: the drawings, side by side

    def html(self) -> str:
        """The figure as HTML, the same text each time."""
        heads = [f"<style>{STYLE}</style>"] + [""] * len(self.drawings)
        label = f' aria-label="{escape(self.alt)}"' if len(self.drawings) > 1 else ""
        svgs = "".join(
            drawing.svg(alt, self.role, head)
            for (drawing, alt), head in zip(self.drawings, heads, strict=False)
        )
        words = escape(self.caption, quote=False)
        caption = f"<figcaption>{words}</figcaption>" if words else ""
        return f'<figure class="mg"{label}>{svgs}{caption}</figure>'

    def png(self) -> bytes:
        """The figure as a PNG on white paper, the same bytes each time."""
        return self.render() if self.render else png([d for d, _ in self.drawings])

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {
            "text/plain": self.alt,
            "text/html": self.html(),
            "image/png": base64.b64encode(self.png()).decode(),
        }

    def __repr__(self) -> str:
        return self.alt


def picture(scene: Scene, alt: str) -> Picture:
    """One scene as a `Picture`; raises `ValueError` when `alt` says nothing."""
    words = described(alt)
    return Picture(((scene, words),), words)


def row(*pictures: Picture | str, alt: str) -> Picture:
    """Pictures side by side, one below the other where the page is narrow.

    A string between two of them is drawn as a sign: `row(q, "×", k, "=", s, alt=...)`.
    """
    drawings = []
    for item in pictures:
        if isinstance(item, str):
            sign = Scene(26, 30, scale=1.0)
            sign.text(13, 15, item, 20, anchor="middle")
            drawings.append((sign, item))
        elif item.render:
            raise ValueError(
                "row() takes the book's own figures and signs, not the model's map or "
                "a matplotlib figure: put several axes into that figure instead"
            )
        else:
            drawings += [(replace(d, scale=1.0), words) for d, words in item.drawings]
    return Picture(tuple(drawings), described(alt))
