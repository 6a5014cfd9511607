"""The figures that are drawn from a model: what they say is what the arrays say."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from small_model import CFG, noisy

import minigpt as mg
from minigpt import plots


def texts(picture):
    svg = ET.fromstring(picture.html())
    return [e.text for e in svg.iter() if e.tag.endswith("}text")]


def shapes(picture, kind):
    svg = ET.fromstring(picture.html())
    return [e for e in svg.iter() if e.tag.endswith("}" + kind)]


def test_the_anatomy_names_every_matrix_with_its_shape():
    params, cfg, _ = mg.load("tales")
    words = texts(plots.anatomy(params, cfg, "A."))
    for word in ("wte", "576 × 128", "attn.c_attn", "128 × 384", "512 × 128", "ln_f"):
        assert word in words
    assert "482,816 numbers" in words and "8 heads of 16" in words
    assert "h.0 to h.1, 2 alike: 198,272 numbers each" in words
    assert any("tied" in word for word in words) and "lm_head" not in words
    shares = [float(w[:-1]) for w in words if re.fullmatch(r"\d+%", w)]
    assert 98 <= sum(shares) <= 102


def test_the_anatomy_of_another_model_is_another_picture():
    params = noisy() | {"lm_head": {"weight": np.ones((13, 12))}}
    params["h"] = [*params["h"], dict(params["h"][0])]
    proj = params["h"][2]["mlp"] = dict(params["h"][2]["mlp"])
    proj["c_fc"] = {"weight": np.ones((12, 96)), "bias": np.ones(96)}
    picture = plots.anatomy(params, CFG, "A.")
    words = texts(picture)
    assert "lm_head" in words and "12 × 96" in words and "3 heads of 4" in words
    assert "h.2" in words and not any("tied" in word for word in words)
    assert f"{mg.tree.size(params):,} numbers" in words
    assert words.count("attn.c_attn") == 2  # blocks 0 and 1 once, block 2 by itself
    inside = [float(v) for v in shapes(picture, "svg")[0].get("viewBox").split()]
    for rect in shapes(picture, "rect"):
        x, y, w, h = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
        assert 0 <= x and x + w <= inside[2] and 0 <= y and y + h <= inside[3]


def test_every_head_has_a_square_and_marked_ones_a_frame():
    weights = np.tile(np.tri(6) / np.arange(1, 7)[:, None], (3, 5, 1, 1))
    picture = plots.every_head(weights, "E.", mark=[(2, 4)])
    names = [f"{layer}.{head}" for layer in range(3) for head in range(5)]
    assert texts(picture) == names
    frames = [rect.get("stroke", "") for rect in shapes(picture, "rect")]
    assert len(frames) == 15 and ["orange" in f for f in frames].index(True) == 14
    for wrong in (weights[0], np.ones((1, 1, 2, 3))):
        with pytest.raises(ValueError, match=r"give \(L, H, T, T\)"):
            plots.every_head(wrong, "E.")


def test_a_heads_square_shows_where_it_looks():
    weights = np.zeros((1, 1, 4, 4))
    weights[0, 0, 3] = [0.5, 0.5, 0.0, 0.03]  # two alike side by side; one too small
    weights[0, 0, 1, 0] = 1.0
    paths = shapes(plots.every_head(weights, "E.", per_row=1), "path")
    assert [path.get("stroke-opacity") for path in paths] == ["0.6", "1"]
    runs = [re.findall(r"M([\d.]+) ([\d.]+)L([\d.]+)", path.get("d")) for path in paths]
    (((x0, y0, x1),), ((u0, v0, u1),)) = [
        [tuple(map(float, run)) for run in found] for found in runs
    ]
    assert (x0, x1, u0, u1) == (0, 200, 0, 100) and y0 - v0 == 200


def test_an_effect_is_a_dot_and_its_whisker_is_two_errors_each_way():
    labels, means, errors = ["a", "b", "c"], [-0.4, 0.0, 0.1], [0.05, 0.0, 0.2]
    picture = plots.effects(labels, means, errors, "F.", highlight=[0])
    dots = [r for r in shapes(picture, "rect") if float(r.get("width")) == 8]
    middles = [float(dot.get("x")) + 4 for dot in dots]
    assert np.isclose((middles[1] - middles[0]) / (middles[2] - middles[1]), 4, 0.01)
    lines = [
        p.get("d") for p in shapes(picture, "path") if p.get("stroke-width") == "2.4"
    ]
    ends = [sorted(map(float, re.findall(r"[ML]([\d.]+)", d))) for d in lines]
    scale = (middles[2] - middles[1]) / 0.1
    for (low, high), middle, error in zip(ends, middles, errors, strict=True):
        assert np.isclose(middle - low, 2 * error * scale, atol=0.05)
        assert np.isclose(high - middle, 2 * error * scale, atol=0.05)
    assert "orange" in dots[0].get("fill") and "blue" in dots[1].get("fill")
    assert dots[0][0].text == "a: -0.4 ± 0.05"
    with pytest.raises(ValueError, match="3 labels, 2 means and 3 errors"):
        plots.effects(labels, means[:2], errors, "F.")


def test_the_cells_of_a_heat_map_can_hold_words():
    words = [["a", "everyone"], ["<b>", ""]]
    picture = plots.heatmap(
        [[0.1, 0.9], [1, 0]], ["x", "y"], ["p", "q"], "H.", words=words
    )
    found = texts(picture)
    assert {"a", "everyone", "<b>"} <= set(found) and "0.90" not in found
    sizes = {e.text: float(e.get("font-size", 0)) for e in shapes(picture, "text")}
    assert sizes["everyone"] < sizes["a"] or sizes["a"] == 0  # each as large as it fits
    with pytest.raises(ValueError, match="give one word a cell"):
        plots.heatmap([[1.0, 2.0]], alt="H.", words=[["one"]])
