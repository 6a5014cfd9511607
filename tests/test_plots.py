"""The book's figures: the same bytes twice, valid, described, readable."""

import base64
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from small_model import CFG, noisy

from minigpt import plots
from minigpt.plots import model, theme

NASTY = ["the", " cat", "🐱", "\n", "<b>", "&", '"', "東京", "\x00", "\ud800"]
N = len(NASTY)
WEIGHTS = np.tril(np.ones((N, N))) / np.arange(1, N + 1)[:, None]
ALT = 'Weights of "<b>" & friends.'


class Letters:
    """A tokenizer whose tokens are characters."""

    def encode(self, text):
        return [ord(c) for c in text]

    def pieces(self, ids):
        return [chr(i) for i in ids]


def _matplotlib(alt):
    from matplotlib.figure import Figure

    with plots.style():
        figure = Figure()
        axes = figure.subplots()
        axes.plot([1, 2, 4], label="a & <b>")
        axes.fill_between([0, 1], [1, 2])
        axes.set_title("0.12345678")
        axes.legend()
    return plots.show(figure, alt)


MAKERS = {
    "model_map": lambda alt: plots.model_map("attention", alt=alt),
    "heatmap": lambda alt: plots.heatmap(WEIGHTS, NASTY, NASTY, alt, causal=True),
    "annotated": lambda alt: plots.heatmap([[1, -2], [np.nan, 0]], "ab", "cd", alt),
    "heatmaps": lambda alt: plots.heatmaps({"a": WEIGHTS, "b": WEIGHTS}, NASTY, alt),
    "row": lambda alt: plots.row(
        plots.heatmap([[1.0]], alt="q"), "×", plots.heatmap([[2.0]], alt="k"), alt=alt
    ),
    "arcs": lambda alt: plots.arcs(NASTY, WEIGHTS, alt),
    "arcs, long": lambda alt: plots.arcs(NASTY * 3, np.full(3 * N, 1 / 3 / N), alt),
    "curves": lambda alt: plots.curves(
        {"a": [3, 2, np.nan, 1], "b": ([1, 2], [5, 6])}, alt, floor=("floor", 0.5)
    ),
    "log curves": lambda alt: plots.curves(
        {"a": ([1, 10, 1000], [3, 0, 1])}, alt, logx=True, logy=True, markers=True
    ),
    "bars": lambda alt: plots.bars(NASTY, np.linspace(-1, 2, N), alt, highlight=2),
    "tokens": lambda alt: plots.tokens(Letters(), "a 🐱\n<&>\t\x00", alt),
    "pieces": lambda alt: plots.tokens(NASTY, None, alt),
    "shapes": lambda alt: plots.shapes(
        [("ids", np.zeros((2, 5)), "B T", "look up"), ("x", (2, 5, 8), "B T C")], alt
    ),
    "scatter": lambda alt: plots.scatter(
        WEIGHTS[:, :2], NASTY, alt, groups=["x", "y"] * (N // 2), arrows=[(0, 1)]
    ),
    "anatomy": lambda alt: plots.anatomy(noisy(), CFG, alt),
    "every_head": lambda alt: plots.every_head(np.tile(WEIGHTS, (2, 3, 1, 1)), alt),
    "effects": lambda alt: plots.effects(NASTY, np.linspace(-1, 1, N), [0.1] * N, alt),
    "words": lambda alt: plots.heatmap(np.eye(N), NASTY, NASTY, alt, words=[NASTY] * N),
    "show": _matplotlib,
}
each_maker = pytest.mark.parametrize("name", MAKERS)


def elements(html):
    return list(ET.fromstring(html).iter())


def svgs(html):
    return [e for e in elements(html) if e.tag.endswith("}svg")]


@each_maker
def test_a_figure_is_the_same_bytes_twice(name):
    one, two = (MAKERS[name](ALT)._repr_mimebundle_() for _ in range(2))
    assert one == two
    assert set(one) == {"text/plain", "text/html", "image/png"}


@each_maker
def test_every_drawing_is_valid_described_and_scales(name):
    html = MAKERS[name](ALT).html()
    for svg in svgs(html):  # parsing it has shown that it is well-formed XML
        title = next(e for e in svg if e.tag.endswith("}title"))
        assert svg.get("role") in ("img", "group")
        assert svg.get("aria-label") == title.text != ""
        assert (
            svg.get("viewBox") and svg.get("width") == "100%" and not svg.get("height")
        )
    assert ALT in [e.get("aria-label") for e in elements(html)]


@each_maker
def test_the_description_is_required(name):
    for nothing in (None, "", " \n") if name != "model_map" else ():
        with pytest.raises(ValueError, match="describes nothing: say in a sentence"):
            MAKERS[name](nothing)
    assert MAKERS[name](ALT)._repr_mimebundle_()["text/plain"] == ALT


@each_maker
def test_ink_follows_the_page(name):
    html = MAKERS[name](ALT).html()
    style, drawn = html[: html.index("</style>")], html[html.index("</style>") :]
    assert "currentColor" in html
    for property in ("fill", "stroke"):
        plain = re.findall(rf'{property}(?:="|: ?)([^";]+)', drawn)
        allowed = {"none", "currentColor", "white"}  # white: the dot in a map's pin
        own = {colour for pair in theme.COLOURS.values() for colour in pair}
        strangers = {c for c in plain if not c.startswith("var(--mg-")} - allowed - own
        assert not strangers
    assert "data-theme=dark" in style


@each_maker
def test_the_png_is_small_and_opaque(name):
    import io

    from PIL import Image

    raw = base64.b64decode(MAKERS[name](ALT)._repr_mimebundle_()["image/png"])
    image = Image.open(io.BytesIO(raw))
    assert len(raw) < 50_000
    assert image.convert("RGBA").getextrema()[3] == (255, 255)
    assert image.convert("L").getextrema()[0] < 160  # something is drawn on the paper


def test_figures_on_one_page_share_no_id():
    other = {"again": plots.curves({"a": [1, 2]}, "Another.")}
    pictures = [make(ALT) for make in MAKERS.values()] + list(other.values())
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([3, 1])
    pictures.append(plots.show(figure, "Another matplotlib figure."))
    ids = [e.get("id") for p in pictures for e in elements(p.html()) if e.get("id")]
    assert len(ids) == len(set(ids)) > 0
    for p in pictures:  # and every reference finds its own
        html = p.html()
        for target in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', html):
            assert f'id="{"".join(target)}"' in html


def luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def blend(top, bottom, share):
    pairs = [(int(top[k : k + 2], 16), int(bottom[k : k + 2], 16)) for k in (1, 3, 5)]
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in pairs)


@pytest.mark.parametrize("name", theme.COLOURS)
def test_colours_stand_out_from_white_and_from_near_black(name):
    everywhere, dark = theme.COLOURS[name]
    assert contrast(everywhere, "#ffffff") >= 3
    assert contrast(everywhere, "#121212") >= 3
    assert contrast(everywhere, "#14181e") >= 3
    assert contrast(dark, "#14181e") >= 4.5


@pytest.mark.parametrize(
    ("ink", "paper"), [("#222832", "#ffffff"), ("#ced6dd", "#14181e")]
)
def test_numbers_read_on_every_tint_of_a_cell(ink, paper):
    for hue in ("blue", "orange"):
        for share in np.linspace(0, theme.CELL_MAX, 30):
            cell = blend(theme.COLOURS[hue][0], paper, share)
            assert contrast(ink, cell) >= 4.5


# Viénot, Brettel and Mollon (1999): linear RGB as a protanope and a deuteranope see it
BLIND = (
    [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
)


def lab(linear):
    white = [0.9505, 1.0, 1.089]
    m = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.clip(np.asarray(m) @ linear / white, 1e-4, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", BLIND)
@pytest.mark.parametrize("theme_index", [0, 1])
def test_neighbouring_colours_differ_for_colour_blind_readers(kind, theme_index):
    seen = []
    for name in theme.CYCLE:
        colour = theme.COLOURS[name][theme_index]
        rgb = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
        seen.append(lab(np.asarray(kind) @ ((rgb + 0.055) / 1.055) ** 2.4))
    for k, a in enumerate(seen):
        for b in seen[k + 1 :]:
            assert np.linalg.norm(a - b) > 12


@pytest.mark.parametrize("here", model.PARTS)
def test_the_map_marks_one_part_and_names_all(here):
    for svg in svgs(plots.model_map(here).html()):
        rects = [e for e in svg.iter() if e.tag.endswith("}rect")]
        assert sum("--mg-orange" in e.get("stroke", "") for e in rects) == 1
        words = {e.text for e in svg.iter() if e.tag.endswith("}text")}
        for label, small in model.PARTS.values():
            assert label in words and (small in words or not small)
        inside = [float(v) for v in svg.get("viewBox").split()]
        for e in rects:
            x, y, w, h = (float(e.get(k)) for k in ("x", "y", "width", "height"))
            assert 0 <= x and x + w <= inside[2] and 0 <= y and y + h <= inside[3]


def test_the_map_links_the_chapters_that_exist_and_no_others():
    html = plots.model_map().html()
    assert "--mg-orange" not in html[html.index("</style>") :]
    assert set(re.findall(r'href="([^"]+)"', html)) == set(model.CHAPTERS.values())
    contents = (Path(__file__).parents[1] / "_toc.yml").read_text(encoding="utf-8")
    chapters = dict(re.findall(r"file: (?:book/)?((?:\d\d)-([\w-]+))", contents))
    pages = {name: f"{file}.html" for file, name in chapters.items()}
    assert {p: pages[p] for p in model.PARTS if p in pages} == model.CHAPTERS


def test_an_unknown_place_on_the_map_lists_the_names():
    with pytest.raises(
        ValueError, match=r"'soup' is no part of the map.*tokenizer.*gpt2"
    ):
        plots.model_map("soup")
