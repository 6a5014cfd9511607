"""The picture of an ONNX graph: all that is in the file, and nothing is covered."""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import pairwise

import pytest
from small_model import CFG, import_or_skip, noisy

import minigpt as mg
from minigpt import plots
from minigpt.plots.graph_column import Column, height, width
from minigpt.plots.graph_items import File, items
from minigpt.plots.graph_lanes import Layout
from minigpt.plots.scene import text_width

DEEP = mg.Config(vocab_size=13, n_ctx=8, n_embd=12, n_layer=4, n_head=3)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Exported files by name."""
    import_or_skip("onnx")
    from minigpt.export import export

    folder, wide = tmp_path_factory.mktemp("onnx"), mg.Config(50257, 64, 96, 2, 12)
    made = {
        "plain": (noisy(), CFG, {}),
        "cached": (noisy(), CFG, {"cache": True}),
        "wide": (noisy(wide), wide, {"cache": True}),
        "deep": (noisy(DEEP), DEEP, {}),
        "beside": (noisy(), CFG, {"external_data": True}),
    }
    for name, (params, cfg, settings) in made.items():
        export(params, cfg, folder / f"{name}.onnx", **settings)
    return {name: folder / f"{name}.onnx" for name in made}


CASES = [("plain", 0), ("cached", 1), ("deep", 2), ("beside", 1), ("wide", 0)]
each_case = pytest.mark.parametrize("name, block", CASES)


def layout(files, name, block):
    file = File(files[name])
    return file, Layout(items(file, block))


@each_case
def test_every_node_of_the_file_is_drawn_or_counted(files, name, block):
    file, found = layout(files, name, block)
    size = sum(node.name.startswith(f"h.{block}.") for node in file.nodes)
    inside = [item for item in found.items if item.inside]
    assert len(inside) == size > 25
    drawn = sum(item.kind == "node" for item in found.items)
    for item in found.items:
        if item.kind == "fold":
            drawn += int(item.words[1].removesuffix(" nodes"))
        if item.kind == "block":
            blocks = [int(n) for n in re.findall(r"h\.(\d+)", item.words[0])]
            many = blocks[-1] - blocks[0] + 1
            each = " each" if many > 1 else ""
            assert item.words[1] == f"the same {size} nodes{each}"
            drawn += many * size
    assert drawn == len(file.nodes)
    weights = [name for item in inside for name, _ in item.weights]
    flat = mg.tree.flatten(noisy(DEEP))
    assert sorted(weights) == sorted(n for n in flat if n.startswith(f"h.{block}."))


@each_case
def test_rows_follow_what_is_read_and_nothing_covers_anything(files, name, block):
    file, found = layout(files, name, block)
    for item in found.items:
        for source in found.before[item]:
            assert source.row < item.row
    last, _ = found.half()
    for part in ([i for i in found.items if i.row > last], found.items):
        check_column(Column(file, found, part))


def check_column(column):
    boxes, words = [], []
    for item in column.part:
        x, y = column.middle(item)
        w, h = width(item) / 2, height(item) / 2
        boxes.append((x - w, x + w, y - h, y + h))
    for mark in column.scene.marks:
        anchor = mark.style.get("anchor", "start")
        if mark.kind == "text" and anchor != "middle":  # that is beside boxes
            x, y, size, _ = mark.points
            wide = 0.9 * text_width(mark.text, size)
            left = x - wide if anchor == "end" else x
            words.append((left, left + wide, y - 3.5, y + 3.5))
    for k, one in enumerate(boxes + words):
        for other in (boxes + words)[:k]:
            assert apart(one, other), (one, other)
    lines = [line for mark in column.scene.marks for line in segments(mark)]
    assert len(lines) > len(boxes)
    for line in lines:
        for one in words:
            assert apart(line, one), (line, one)


def apart(one, other):
    """Whether two boxes, each (left, right, top, bottom), have nothing in common."""
    (a, b, c, d), (e, f, g, h) = one, other
    return a >= f or b <= e or c >= h or d <= g


def segments(mark):
    """The straight parts of a line, as boxes."""
    if mark.kind == "path" and mark.style["fill"] == "none":
        points = [where[-2:] for _, *where in mark.points]
        for (x, y), (v, w) in pairwise(points):
            yield min(x, v), max(x, v), min(y, w), max(y, w)


def test_queries_keys_and_values_stand_side_by_side_and_meet_again(files):
    _, found = layout(files, "plain", 0)
    lanes = {}
    for item in found.items:
        if item.inside:
            lanes.setdefault(item.op, []).append(item.lane)
    assert lanes["Slice"] == lanes["Reshape"][:3] == [-1, 0, 1]
    assert set(lanes["MatMul"]) == set(lanes["Softmax"]) == {0}
    assert [words for item in found.items for words in item.words if "Slice " in words
            ] == ["Slice 0:12", "Slice 12:24", "Slice 24:36"]  # fmt: skip


@each_case
def test_both_drawings_say_shapes_weights_and_letters(files, name, block):
    picture = plots.onnx_graph(files[name], block)
    file = File(files[name])
    nodes = [node for node in file.nodes if node.name.startswith(f"h.{block}.")]
    for scene, _ in picture.drawings:
        said = Counter(mark.text for mark in scene.marks if mark.kind == "text")
        for node in nodes:
            shape = file.shapes[node.output[0]]
            assert any(text.endswith(shape) for text in said), shape
        assert said["MatMul"] >= 6 and said["Softmax"] == 1 and said["Gelu"] == 1
        assert any(text.startswith("B texts, T tokens") for text in said)
        assert ("past key" in said) == (name in ("cached", "wide"))
        top, bottom, left, right = 0, scene.height, 0, scene.width
        for mark in scene.marks:
            if mark.kind == "rect":
                x, y, w, h, _ = mark.points
                assert left <= x and x + w <= right and top <= y and y + h <= bottom
    wide, narrow = (scene for scene, _ in picture.drawings)
    assert narrow.width < 400 < wide.width < 740 and narrow.height > wide.height


def test_the_shapes_are_those_that_the_graph_has_when_it_runs(files):
    ort, onnx = import_or_skip("onnxruntime"), import_or_skip("onnx")
    import numpy as np

    model = onnx.load(files["plain"])
    names = [node.output[0] for node in model.graph.node if node.name[:4] == "h.0."]
    have = {value.name for value in model.graph.output}
    known = {value.name: value for value in model.graph.value_info}
    model.graph.output.extend(known[name] for name in names if name not in have)
    session = ort.InferenceSession(model.SerializeToString())
    ids = np.ones((2, 5), np.int64)
    given = {"input_ids": ids, "attention_mask": ids}
    made = dict(zip(names, session.run(names, given), strict=True))
    file = File(files["plain"])
    for name, array in made.items():
        sizes = {"B": 2, "T": 5}
        words = file.shapes[name].strip("()").split(", ")
        assert array.shape == tuple(int(sizes.get(w, w)) for w in words), name


def test_it_is_the_same_bytes_twice_described_and_well_formed(files):
    one, two = (plots.onnx_graph(files["plain"])._repr_mimebundle_() for _ in range(2))
    assert one == two
    ET.fromstring(one["text/html"])
    said = one["text/plain"]
    assert said.startswith(
        "Graph of plain.onnx with 30 nodes of h.0: input_ids (B, T),"
    )
    assert "h.1 (the same 30 nodes)" in said and said.endswith("logits (B, T, 13).")
    assert "Softmax to h.0.attn.weights (B, 3, T, T)" in said
    assert repr(plots.onnx_graph(files["plain"], alt="A graph.")) == "A graph."


def test_a_block_that_is_other_is_not_called_the_same(files, tmp_path):
    onnx = import_or_skip("onnx")
    model = onnx.load(files["plain"])
    gelu = [node for node in model.graph.node if node.op_type == "Gelu"]
    gelu[1].attribute[0].s = b"none"
    onnx.save(model, tmp_path / "other.onnx")
    said = repr(plots.onnx_graph(tmp_path / "other.onnx"))
    assert "h.1 (30 nodes)" in said


def test_what_cannot_be_drawn_gets_a_sentence(files, tmp_path):
    with pytest.raises(ValueError, match=r"block=4 is none of .*deep\.onnx: 0 to 3"):
        plots.onnx_graph(files["deep"], 4)
    onnx = import_or_skip("onnx")
    made = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["a"], ["b"])], "g", [], []
    )
    onnx.save(onnx.helper.make_model(made), tmp_path / "relu.onnx")
    with pytest.raises(ValueError, match="to be a GPT that minigpt exported"):
        plots.onnx_graph(tmp_path / "relu.onnx")
    with pytest.raises(FileNotFoundError):
        plots.onnx_graph(tmp_path / "away.onnx")
