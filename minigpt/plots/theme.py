"""Colours that read on white and on near-black, and for colour-blind readers.

Ink is always `currentColor`, so it follows the page. Every other colour is a CSS
variable with a fallback; each fallback keeps a contrast of 3:1 on white and on
near-black alike, so a figure reads even where the style sheet below is stripped. The
hues start from Okabe and Ito's palette ("Color universal design", 2008), with the
bright ones darkened until they pass.
"""

# name -> (colour that reads everywhere, brighter twin for a dark page)
COLOURS = {
    "blue": ("#0072b2", "#3d9fe0"),
    "orange": ("#d55e00", "#ec7a1c"),
    "green": ("#009e73", "#1fbf93"),
    "purple": ("#c9739f", "#ea8fbd"),
    "violet": ("#6a4fe0", "#9a86ff"),
    "grey": ("#7b8288", "#8f979e"),
}
CYCLE = ("blue", "orange", "green", "purple", "violet")

# Where matplotlib paints the fallback PNG there is no page to follow.
PNG_INK, PNG_PAPER = "#222832", "#ffffff"

# A cell that carries a number is never filled beyond this, so that text in the page's
# own ink keeps a contrast of 4.5 on it, in a light page and in a dark one.
CELL_MAX = 0.62

_DARK = (
    ":is(html[data-theme=dark],html[theme=dark],[data-jp-theme-light=false],"
    ".vscode-dark) .mg"
)
STYLE = (
    ".mg{display:flex;flex-wrap:wrap;justify-content:center;align-items:center;"
    "gap:.6em 1.2em;margin:1em auto;padding:0;container-type:inline-size}"
    ".mg svg{height:auto;min-width:0}"
    ".mg figcaption{flex-basis:100%;text-align:center}"
    ".mg a{text-decoration:none}"
    ".mg a:is(:hover,:focus-visible) rect{stroke-width:2.5}"
    "@container (max-width:36em){.mg .mg-wide{display:none}"
    ".mg .mg-narrow{display:block}}"
    + _DARK
    + "{"
    + "".join(f"--mg-{name}:{dark};" for name, (_, dark) in COLOURS.items())
    + "}"
)


def css(colour: str) -> str:
    """The CSS for a colour of the palette, for "ink", "none", or a plain CSS colour.

    >>> css("ink"), css("blue")
    ('currentColor', 'var(--mg-blue,#0072b2)')
    """
    if colour == "ink":
        return "currentColor"
    if colour.endswith("!"):  # the same in every theme
        return COLOURS[colour[:-1]][0]
    return f"var(--mg-{colour},{COLOURS[colour][0]})" if colour in COLOURS else colour


def flat(colour: str) -> str:
    """The one opaque colour that stands for `colour` in a PNG on white paper."""
    if colour == "ink":
        return PNG_INK
    name = colour.rstrip("!")
    return COLOURS[name][0] if name in COLOURS else colour
