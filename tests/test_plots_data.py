"""The book's figures show the data they are given, and refuse what they cannot show."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from minigpt import plots
from minigpt.plots.axis import Axis, ticks
from minigpt.plots.scene import Scene, number, piece


def drawn(picture, tag):
    """The elements of one kind in a picture's SVG."""
    return [
        e for e in ET.fromstring(picture.html()).iter() if e.tag.endswith("}" + tag)
    ]


def words(picture):
    return [e.text for e in drawn(picture, "text")]


@pytest.mark.parametrize(
    ("x", "short"), [(1.5, "1.5"), (-0.001, "0"), (100, "100"), (2 / 3, "0.67")]
)
def test_numbers_are_short(x, short):
    assert number(x) == short


def test_ticks_are_round_and_lie_inside():
    np.testing.assert_allclose(ticks(1.05, 4.3), [2, 3, 4])
    np.testing.assert_allclose(ticks(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1])
    np.testing.assert_allclose(ticks(-0.003, 0.0031), [-0.002, 0, 0.002])
    assert Axis([[1, 5000]], 0, 300, log=True).ticks() == [1, 10, 100, 1000]


def test_a_heat_map_tints_each_cell_by_its_value():
    weights = np.array([[0.25, 1.0], [0.5, -0.5]])
    cells = drawn(plots.heatmap(weights, alt="a", annotate=False), "rect")[:4]
    assert [float(c.get("fill-opacity")) for c in cells] == [0.25, 1, 0.5, 0.5]
    tips = [next(iter(c)).text for c in cells]
    assert tips == ["0.25", "1.00", "0.50", "−0.50"]
    annotated = plots.heatmap(weights, ["p", "q"], None, "a")
    assert words(annotated) == ["p", "q", "0.25", "1.00", "0.50", "−0.50"]


@pytest.mark.parametrize("annotate", [True, False])
def test_the_future_is_hatched_and_nothing_else(annotate):
    size = 5
    picture = plots.heatmap(
        np.tril(np.ones((size, size))), alt="a", causal=True, annotate=annotate
    )
    cells = drawn(picture, "rect")[: size * (size + 1) // 2]
    boxes = [[float(c.get(k)) for k in ("x", "y", "width", "height")] for c in cells]
    strokes = re.findall(r"M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)", picture.html())
    assert len(strokes) > 10
    covered = set()
    for stroke in np.array(strokes, float):
        for x, y in (
            stroke[:2] + t * (stroke[2:] - stroke[:2]) for t in np.linspace(0, 1)
        ):
            assert not any(
                a + 0.1 < x < a + w - 0.1 and b + 0.1 < y < b + h - 0.1
                for a, b, w, h in boxes
            )
            pitch = boxes[2][0] - boxes[1][0], boxes[1][1] - boxes[0][1]
            covered.add(
                (int((y - boxes[0][1]) // pitch[1]), int((x - boxes[0][0]) // pitch[0]))
            )
    future = {(i, j) for i in range(size) for j in range(i + 1, size)}
    assert future <= covered


def test_bars_are_as_long_as_their_values():
    picture = plots.bars(["a", "b", "c"], [4, 1, -2], "a", highlight=1)
    long, short, below = drawn(picture, "rect")
    assert float(long.get("width")) == pytest.approx(
        4 * float(short.get("width")), 0.01
    )
    assert float(below.get("x")) + float(below.get("width")) == pytest.approx(
        float(long.get("x")), abs=0.02
    )
    assert "orange" in short.get("fill") and "blue" in long.get("fill")
    assert {"4.00", "1.00", "−2.00"} <= set(words(picture))


def test_bars_with_an_upper_end_share_one_scale():
    def widths(values, **settings):
        labels = ["a", "b"]
        picture = plots.bars(labels, values, "a", fmt="{:.3f}", **settings)
        return [float(r.get("width")) for r in drawn(picture, "rect")]

    half, quarter = widths([0.5, 0.25], upper=1)
    assert half == pytest.approx(2 * quarter, rel=0.01)
    (tenth, whole) = widths([0.1, 1.0], upper=1)
    assert half == pytest.approx(whole / 2, rel=0.01)
    assert tenth == pytest.approx(whole / 10, rel=0.01)
    assert max(widths([0.5, 0.25])) > 1.9 * half  # without: the longest fills it
    assert max(widths([2.0, 1.0], upper=1)) <= 400  # no bar leaves the drawing


def test_a_curve_passes_through_its_points_and_breaks_at_nan():
    picture = plots.curves({"loss": [4, 2, np.nan, 0, 1]}, "a", floor=("floor", 0.0))
    path = next(p.get("d") for p in drawn(picture, "path") if "blue" in p.get("stroke"))
    places = re.findall(r"([ML])([\d.]+) ([\d.]+)", path)
    assert [letter for letter, *_ in places] == ["M", "L", "M", "L"]
    x, y = np.array([p[1:] for p in places], float).T
    np.testing.assert_allclose((x - x[0]) / (x[-1] - x[0]) * 4, [0, 1, 3, 4], atol=1e-3)
    np.testing.assert_allclose((y - y[2]) / (y[0] - y[2]) * 4, [4, 2, 0, 1], atol=1e-3)
    dashed = next(
        p.get("d") for p in drawn(picture, "path") if p.get("stroke-dasharray")
    )
    assert float(dashed.split()[-1]) == pytest.approx(y[2], abs=0.01)


def test_names_at_the_ends_of_curves_stand_apart():
    picture = plots.curves({str(k): [1, 1 + k / 1000] for k in range(5)}, "a")
    ends = [float(t.get("y")) for t in drawn(picture, "text") if t.text in "01234"][-5:]
    assert min(np.diff(np.sort(ends))) >= 13.9


def test_a_bar_in_the_curves_colour_stands_beside_its_name():
    picture = plots.curves({"up": [1, 2], "down": [2, 1]}, "a", markers=True)
    rects = drawn(picture, "rect")
    dots = [r for r in rects if r.get("width") == r.get("height")]
    bars = {float(r.get("y")): r.get("fill") for r in rects if r not in dots}
    names = {t.text: float(t.get("y")) for t in drawn(picture, "text")}
    colours = [p.get("stroke") for p in drawn(picture, "path")][-2:]
    for name, colour in zip(("up", "down"), colours, strict=True):
        assert bars[min(bars, key=lambda y: abs(y - names[name]))] == colour
    assert len(dots) == 4  # the data, and not one point more


def test_a_curve_that_breaks_off_is_named_where_it_ends():
    picture = plots.curves({"whole": [1] * 9, "broken": [3, 2] + [np.nan] * 7}, "a")
    x = {t.text: float(t.get("x")) for t in drawn(picture, "text")}
    assert x["broken"] < x["whole"] / 2


def test_arcs_are_as_thick_as_weights():
    weights = np.array([0.6, 0.1, 0.3, 0.0])
    arcs = drawn(plots.arcs("abcd", weights, "a"), "path")
    widths = sorted(float(a.get("stroke-width")) for a in arcs)
    assert len(widths) == 3
    np.testing.assert_allclose(np.diff(widths), [1.4, 2.1], atol=0.01)
    square = plots.arcs("abcd", np.stack([weights] * 4), "a", query=1)
    assert len(drawn(square, "path")) == 2  # not the arc from b to b itself


def test_tokens_show_every_piece_with_its_id():
    class Tokenizer:
        def encode(self, text):
            return [7, 8, 9]

        def pieces(self, ids):
            return [{7: "the", 8: " cat", 9: "\n"}[i] for i in ids]

    shown = ["the", "7", "␣cat", "8", "⏎", "9"]
    assert words(plots.tokens(Tokenizer(), "the cat\n", "a")) == shown
    assert words(plots.tokens(Tokenizer(), np.array([7, 8, 9]), "a")) == shown
    assert piece(" a\tb\x00") == "␣a⇥b␀"


def test_shapes_are_written_with_their_axes():
    picture = plots.shapes([("x", np.zeros((2, 5, 8)), "B T C")], "a")
    assert words(picture) == ["x", "(B 2, T 5, C 8)"]


def test_points_are_placed_in_proportion():
    places = [(0, 0), (4, 1), (2, 2)]
    dots = drawn(plots.scatter(places, "abc", "a"), "rect")[-3:]
    x, y = (np.array([float(d.get(k)) for d in dots]) for k in "xy")
    np.testing.assert_allclose((x - x[0]) / (x[1] - x[0]), [0, 1, 0.5], atol=1e-3)
    np.testing.assert_allclose((y - y[0]) / (y[2] - y[0]), [0, 0.5, 1], atol=1e-3)


def test_everything_inside_a_link_is_inside_it():
    scene = Scene(10, 10)
    with scene.link('a"b.html'):
        scene.dot(5, 5, 1)
    with scene.link(None):
        scene.dot(5, 5, 2)
    html = plots.picture.picture(scene, "a").html()
    assert re.search(r'<a href="a&quot;b.html"><rect[^>]+/></a><rect', html)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: plots.heatmap(np.zeros(3), alt="a"),
            r"shape \(3,\); a heat map takes",
        ),
        (lambda: plots.heatmap(np.eye(2), ["a"], None, "a"), "1 row labels .* give 2"),
        (lambda: plots.heatmap(np.eye(2), None, "abc", "a"), "3 column labels"),
        (lambda: plots.arcs("ab", [1.0], "a"), r"2 tokens and weights .* \(2,\) or"),
        (lambda: plots.curves({"a": [np.nan]}, "a"), "no value is a finite number"),
        (lambda: plots.tokens(["a", "b"], [1], "a"), "2 pieces and 1 ids"),
        (lambda: plots.shapes([("x", (2, 3), "B")], "a"), "2 axes, but 'B' names 1"),
        (lambda: plots.scatter(np.zeros((2, 3)), "ab", "a"), r"takes \(N, 2\)"),
        (lambda: plots.row(plots.model_map(), alt="a"), "own figures and signs"),
    ],
)
def test_what_cannot_be_shown_raises_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_importing_and_drawing_leave_matplotlib_alone():
    code = """
import sys
from minigpt import plots
assert "matplotlib" not in sys.modules
import matplotlib
before = dict(matplotlib.rcParams)
plots.bars(["a"], [1], "a").png()
figure = matplotlib.figure.Figure() if hasattr(matplotlib, "figure") else None
with plots.style():
    pass
from matplotlib.figure import Figure
plots.show(Figure(), "Nothing yet.").png()
after = dict(matplotlib.rcParams)
assert {k: v for k, v in after.items() if k != "backend"} == {
    k: v for k, v in before.items() if k != "backend"}
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
