"""Equations as MathML, drawn by the browser itself: no script, no network.

latex2mathml translates; what it writes for browsers of ten years ago is put right here
(today's browsers follow MathML Core). The font, STIX Two Math, comes out of the
installed package ziamath and is cut to the characters that mathematics uses, so that
brackets stretch and equations look alike on every machine.
"""

import re
from html import escape
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import latex2mathml.converter
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

LOG = logging.getLogger(__name__)
FONT = "stix-two-math.woff"
# ASCII and Latin-1, Greek, punctuation, letterlike, arrows, operators, technical,
# shapes, brackets, supplemental operators, the mathematical alphabets
RANGES = (
    (0x20, 0x7F), (0xA0, 0x100), (0x2C0, 0x370), (0x370, 0x400), (0x2000, 0x2070),
    (0x20D0, 0x2100), (0x2100, 0x2150), (0x2190, 0x2400), (0x25A0, 0x2600),
    (0x27C0, 0x2800), (0x2980, 0x2B00), (0x1D400, 0x1D800),
)  # fmt: skip
XMLNS = ' xmlns="http://www.w3.org/1998/Math/MathML"'
# from "A" and from "a" to the same letter in a mathematical alphabet
BOLD = {
    "bold": (0x1D400 - ord("A"), 0x1D41A - ord("a")),
    "bold-italic": (0x1D468 - ord("A"), 0x1D482 - ord("a")),
}
NAME = "[A-Za-z][A-Za-z\u2009]+"
LIMITED = ("max", "min", "sup", "inf", "lim", "arg\u2009max", "arg\u2009min")
LOW = {"msqrt", "mrow", "mi", "mn", "mo", "msub", "mspace"}
STOPS = re.compile("[.,;:!?)\u2019\u201d]*")
DOUBLE_STRUCK = 0x1D7D8 - ord("0")


def to_mathml(latex: str, display: str) -> str:
    """Return `latex` as one ``<math>`` element; `display` is "inline" or "block".

    Raises ValueError for what latex2mathml or MathML Core does not know.
    """
    latex = re.sub(r"\\(begin|end)\{(aligned|align\*?)\}", r"\\\1{split}", latex)
    latex = latex.replace(r"\operatorname*", r"\operatorname")
    mathml = latex2mathml.converter.convert(latex, display=display)
    math = ElementTree.fromstring(mathml.replace(XMLNS, "").replace("&<", "&amp;<"))
    for element in list(math.iter()):
        mend(element, display)
        space_functions(element)
    math.set("xmlns", "http://www.w3.org/1998/Math/MathML")
    return ElementTree.tostring(math, encoding="unicode")


def mend(element: ElementTree.Element, display: str) -> None:
    """Write what MathML Core dropped in the way that it kept."""
    text = element.text or ""
    if text.startswith("\\") or text == "&" or element.tag == "menclose":
        raise ValueError(
            f"{text or element.tag} is not known, or not drawn by browsers"
        )
    if element.tag == "mo" and re.fullmatch(NAME, text):
        element.tag = "mi"  # a name such as softmax is no infix operator
    if element.tag == "mo" and text == "/":
        element.attrib.update(lspace="0", rspace="0")  # C/H, as TeX sets it
    if element.tag == "mo" and text == "∞":
        element.tag = "mi"  # a number, so that the sign before it stands close
    if element.get("width") == "negativethinmathspace":
        element.set("width", "-0.167em")
    if element.tag == "msub" and display == "block" and element[0].text in LIMITED:
        element.tag = "munder"
    if element.tag == "mrow" and len(element) > 1 and all(map(is_upright, element)):
        element.text = "".join(letter.text for letter in element)
        element.tag, element[:] = "mi", []
    if element.tag == "msqrt" and LOW >= {inner.tag for inner in element.iter()}:
        element.set("class", "low")  # for book.css
    variant = element.attrib.get("mathvariant", "normal")
    if variant != "normal":
        del element.attrib["mathvariant"]
        element.text = styled(text, variant)


def is_upright(element: ElementTree.Element) -> bool:
    """Return whether an element is one letter of a name set upright."""
    return element.tag == "mi" and element.get("mathvariant") == "normal"


def styled(text: str, variant: str) -> str:
    """Return letters or digits as the characters that have this style themselves."""
    if variant in BOLD and text.isascii() and text.isalpha():
        upper, lower = BOLD[variant]
        return "".join(chr(ord(c) + (upper if c < "a" else lower)) for c in text)
    if variant == "double-struck" and text.isdecimal():
        return "".join(chr(ord(c) + DOUBLE_STRUCK) for c in text)
    raise ValueError(f"MathML has no {variant} form of {text!r}")


def space_functions(row: ElementTree.Element) -> None:
    """Put a thin space between a function's name and a letter or number beside it."""
    if row.tag not in ("mrow", "mtd", "mstyle", "math"):
        return
    near = ("mo", "mspace", "mtext")
    for here, there in list(pairwise(row)):
        named = is_name(here) or is_name(there)
        if named and here.tag not in near and there.tag not in near:
            space = ElementTree.Element("mspace", width="0.167em")
            row.insert(list(row).index(there), space)


def is_name(element: ElementTree.Element) -> bool:
    """Return whether an element is a name of several letters, limits and all."""
    if element.tag in ("msub", "msup", "msubsup", "munder"):
        element = element[0]
    return element.tag == "mi" and len(element.text or "") > 1


def drawn(node: nodes.Node, display: str) -> str:
    """Return the equation of `node`; warn and show its source when it has an error."""
    latex = node.astext()
    try:
        return to_mathml(latex, display)
    except Exception as error:
        LOG.warning(
            "the equation %r cannot be drawn as MathML: %s",
            latex,
            error or type(error).__name__,
            location=node,
        )
        return f"<code>{escape(latex)}</code>"


def keep_together(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Let an equation in a sentence hold the bracket before and the stop after it, from
    which browsers would else part it at the end of a line."""
    if app.builder.format != "html":
        return  # only `visit_math` puts back what is taken here
    for node in list(doctree.findall(nodes.math)):
        place = node.parent.index(node)
        before, after = node.parent[:place], node.parent[place + 1 :]
        if before and isinstance(before[-1], nodes.Text) and before[-1][-1:] == "(":
            node["before"] = "("
            node.parent.replace(before[-1], nodes.Text(before[-1][:-1]))
        if after and isinstance(after[0], nodes.Text):
            stops = STOPS.match(after[0]).group()
            node["after"] = node.get("after", "") + stops
            node.parent.replace(after[0], nodes.Text(after[0][len(stops) :]))


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    """Write an equation inside a sentence, with what `keep_together` gave it."""
    equation = f'<span class="math">{drawn(node, "inline")}</span>'
    before, after = escape(node.get("before", "")), escape(node.get("after", ""))
    if before or after:
        equation = f'<span class="together">{before}{equation}{after}</span>'
    self.body.append(equation)
    raise nodes.SkipNode


def visit_math_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write an equation on its own line, with its number when it has one."""
    self.body.append(self.starttag(node, "div", CLASS="math-block"))
    self.body.append(f'<div class="math-line">{drawn(node, "block")}</div>')
    if node["number"]:
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def write_font(app: Sphinx, error: Exception | None) -> None:
    """Put the mathematical font beside the pages, once."""
    target = Path(app.outdir, "_static", FONT)
    if error or app.builder.format != "html" or target.exists():
        return
    from fontTools import subset

    options = subset.Options(flavor="woff", layout_features=["*"], notdef_outline=True)
    source = files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf"
    font = subset.load_font(str(source), options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=[c for start, end in RANGES for c in range(start, end)])
    cutter.subset(font)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_suffix(".part")
    subset.save_font(font, str(beside), options)
    beside.replace(target)


def setup(app: Sphinx) -> dict:
    """Register the renderer that ``html_math_renderer: mathml`` names."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.connect("doctree-resolved", keep_together)
    app.connect("build-finished", write_font)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
