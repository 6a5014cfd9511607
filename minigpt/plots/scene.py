"""A drawing made once and shown twice: as SVG for the page, as PNG for elsewhere.

A `Scene` is a list of rectangles, paths and texts in a coordinate system whose y runs
downwards. `Scene.svg()` writes them as compact, deterministic SVG without a single id,
so that any number of figures share a page; `paint.png` draws the same list with
matplotlib. Lengths are SVG units: about 400 of them fill a page, so that a text of
size 12 is still read on a phone.
"""

import math
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from itertools import groupby

from minigpt.plots.theme import css

NARROW, BROAD = " ijlft.,:;|!'()", "mwMW@%→"
MONO = "var(--pst-font-family-monospace,ui-monospace,monospace)"
CONTROL = {c: chr(0x2400 + c) for c in range(32)}
CONTROL |= {ord("\n"): "⏎", ord("\t"): "⇥", 0x7F: "␡"}
CONTROL |= dict.fromkeys([*range(0x80, 0xA0), 0xFFFE, 0xFFFF], "\ufffd")
CONTROL |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def number(x: float) -> str:
    """`x` to two decimals, as short as it can be written: 1.50 -> "1.5"."""
    return f"{round(float(x), 2) + 0.0:.2f}".rstrip("0").rstrip(".")


def visible(text: str) -> str:
    """`text` with every control character as a sign that can be drawn."""
    return str(text).translate(CONTROL)


def piece(text: str) -> str:
    """A token as the book prints it: a space is ␣, a line break is ⏎."""
    return visible(text).replace(" ", "␣")


def text_width(text: str, size: float, mono: bool = False) -> float:
    """About how wide `text` will be; pages choose their own font, so allow slack."""
    em = 0.0
    for c in text:
        if unicodedata.combining(c) or unicodedata.category(c) == "Cf":
            continue
        if unicodedata.east_asian_width(c) in "WF":
            em += 1.25
        elif mono:
            em += 0.61
        else:
            em += 0.34 if c in NARROW else 0.8 if c in BROAD or c.isupper() else 0.57
    return em * size


@dataclass(frozen=True)
class Mark:
    """One shape: what to draw, and how. `kind` is rect, path, text, open or close."""

    kind: str
    points: tuple = ()  # rect: x y w h r; path: commands; text: x y size angle
    text: str = ""  # a text's words, a link's address
    style: dict = field(default_factory=dict)


def _attributes(style: dict) -> str:
    """SVG attributes for a mark's style, in a fixed order."""
    out = ""
    for name in ("fill", "stroke"):
        if name in style:
            out += f' {name}="{css(style[name])}"'
    for key, name in (
        ("width", "stroke-width"),
        ("dash", "stroke-dasharray"),
        ("faint", "stroke-opacity"),
        ("opacity", "opacity"),
        ("tint", "fill-opacity"),
    ):
        if style.get(key) is not None:
            value = style[key]
            out += f' {name}="{value if isinstance(value, str) else number(value)}"'
    return out


@dataclass
class Scene:
    """A drawing `width` by `height` units; `scale` is its largest enlargement."""

    width: float
    height: float
    marks: list[Mark] = field(default_factory=list)
    scale: float = 1.25
    css_class: str = ""

    def rect(self, x, y, w, h, r=0.0, tip="", **style) -> None:
        """A rectangle with corners of radius `r`; `tip` shows under the pointer."""
        self.marks.append(Mark("rect", (x, y, w, h, min(r, w / 2, h / 2)), tip, style))

    def dot(self, x, y, radius, tip="", **style) -> None:
        """A filled circle round (x, y)."""
        self.rect(x - radius, y - radius, 2 * radius, 2 * radius, radius, tip, **style)

    def path(self, *commands: tuple, **style) -> None:
        """A path of absolute commands: ("M", x, y), ("L", x, y), ("C", ...), ("Z",)."""
        self.marks.append(Mark("path", commands, "", {"fill": "none"} | style))

    def line(self, points: Iterable[tuple[float, float]], r=0.0, **style) -> None:
        """A line through `points`, its corners rounded by `r`."""
        points = list(points)
        commands = [("M", *points[0])]
        for before, corner, after in zip(points, points[1:], points[2:], strict=False):
            if r:
                commands += [("L", *towards(corner, before, r))]
                commands += [("Q", *corner, *towards(corner, after, r))]
            else:
                commands += [("L", *corner)]
        self.path(*commands, ("L", *points[-1]), **({"stroke": "ink"} | style))

    def arrow(self, points, r=5.0, head=5.0, **style) -> None:
        """A line through `points` that ends in an arrowhead at the last of them."""
        points = list(points)
        tip, neck = points[-1], towards(points[-1], points[-2], head)
        self.line([*points[:-1], neck], r, **style)
        dx, dy = (tip[1] - neck[1]) / 2, (neck[0] - tip[0]) / 2
        wings = ("L", neck[0] + dx, neck[1] + dy), ("L", neck[0] - dx, neck[1] - dy)
        colour = {"fill": style.get("stroke", "ink"), "opacity": style.get("opacity")}
        self.path(("M", *tip), *wings, ("Z",), **colour)

    def text(self, x, y, words, size=12.0, angle=0.0, **style) -> None:
        """Words whose middle line is `y`; anchor=, weight=, mono=, fill=, opacity=."""
        if words:
            self.marks.append(Mark("text", (x, y, size, angle), visible(words), style))

    @contextmanager
    def link(self, href: str | None) -> Iterator[None]:
        """Everything drawn inside leads to `href`, unless that is None."""
        if href:
            self.marks.append(Mark("open", (), href))
        yield
        if href:
            self.marks.append(Mark("close"))

    def svg(self, alt: str, role: str = "img", head: str = "") -> str:
        """The drawing as one inline SVG element, described by `alt`."""
        size = f"{number(self.width)} {number(self.height)}"
        name = f' class="{self.css_class}"' if self.css_class else ""
        hidden = ' display="none"' if self.css_class == "mg-narrow" else ""
        label = escape(visible(alt))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg"{name}{hidden} role="{role}" '
            f'aria-label="{label}" viewBox="0 0 {size}" width="100%" '
            f'style="flex:1 1 {number(self.width * 0.72)}px;'
            f'max-width:{number(self.width * self.scale)}px" '
            f'fill="currentColor" font-family="inherit">'
            f"<title>{label}</title>{head}{_svg_all(self.marks)}</svg>"
        )


def towards(start, end, distance):
    """The point `distance` away from `start` in the direction of `end`."""
    length = math.dist(start, end) or 1.0
    share = min(distance / length, 0.5 if distance < length else 1.0)
    return tuple(a + (b - a) * share for a, b in zip(start, end, strict=True))


def _svg_all(marks: list[Mark]) -> str:
    """The marks as SVG; what neighbours have in common is said once, on a <g>."""
    out = ""
    for common, run in groupby(marks, _common):
        run = list(run)
        if common and len(run) > 2:
            inside = "".join(_svg(mark).replace(common, "", 1) for mark in run)
            out += f"<g{common}>{inside}</g>"
        else:
            out += "".join(map(_svg, run))
    return out


def _common(mark: Mark) -> str:
    """The attributes that a rectangle or a text may share with its neighbours."""
    if mark.kind == "text":
        return _font(mark)
    fixed = {k: v for k, v in mark.style.items() if k not in ("tint", "opacity")}
    return _attributes(fixed) if mark.kind == "rect" else ""


def _svg(mark: Mark) -> str:
    if mark.kind == "open":
        return f'<a href="{escape(mark.text)}">'
    if mark.kind == "close":
        return "</a>"
    if mark.kind == "text":
        return _svg_text(mark)
    style = _attributes(mark.style)
    if mark.kind == "path":
        d = "".join(
            letter + " ".join(map(number, where)) for letter, *where in mark.points
        )
        return f'<path d="{d}"{style}/>'
    x, y, w, h, r = map(number, mark.points)
    corner = f' rx="{r}"' if r != "0" else ""
    tip = f"><title>{escape(visible(mark.text))}</title></rect>" if mark.text else "/>"
    return f'<rect x="{x}" y="{y}" width="{w}" height="{h}"{corner}{style}{tip}'


def _svg_text(mark: Mark) -> str:
    x, y, size, angle = mark.points
    out = f'<text x="{number(x)}" y="{number(y + 0.35 * size)}"'
    if angle:
        out += f' transform="rotate({number(angle)} {number(x)} {number(y)})"'
    out += _font(mark) + _attributes(mark.style)
    return f"{out}>{escape(mark.text, quote=False)}</text>"


def _font(mark: Mark) -> str:
    style = mark.style
    out = f' font-size="{number(mark.points[2])}"'
    if style.get("anchor", "start") != "start":
        out += f' text-anchor="{style["anchor"]}"'
    if style.get("weight"):
        out += f' font-weight="{style["weight"]}"'
    if style.get("mono"):
        out += f' font-family="{MONO}"'
    return out
