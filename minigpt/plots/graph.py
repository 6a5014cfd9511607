"""A picture of an ONNX graph: one block of a GPT, node by node, drawn from its file."""

from minigpt.plots.graph_column import EDGE, HEAD, LOOKS, PITCH, SMALL, Column
from minigpt.plots.graph_items import LETTERS, File, items
from minigpt.plots.graph_lanes import Layout
from minigpt.plots.paint import png
from minigpt.plots.picture import Picture, described
from minigpt.plots.scene import Mark, Scene

COUNTS = {  # what the letters count
    "batch": "texts",
    "sequence": "tokens",
    "past_sequence": "earlier tokens",
    "wanted": "wanted positions",
}


def onnx_graph(path, block=0, *, alt="", caption=""):
    """The graph in an ONNX file that `minigpt.export` wrote, with one of its blocks.

    Every node of ``block`` is a box, with the shape of what it makes below, and the
    weights that it reads beside it as squares. The other blocks are folded into one
    box, which says whether they have the same nodes; so is what prepares the mask.
    ``alt`` may replace the description that is made from the nodes.

    Raises ``ValueError`` where the file has no such block, and ``ModuleNotFoundError``
    where the package onnx is missing.
    """
    file = File(path)
    layout = Layout(items(file, block))
    words = described(alt or _alt(file, layout.items, block))
    wide = _columns(file, layout, layout.half())
    narrow = _columns(file, layout, None)
    wide.css_class, narrow.css_class = "mg-wide", "mg-narrow"
    drawings = ((wide, words), (narrow, words))
    return Picture(drawings, words, caption, render=lambda: png([wide]))


def _alt(file, made, block):
    """The picture in words, from top to bottom."""
    told = []
    for item in made:
        words = " ".join(item.words)
        if item.kind in ("fold", "block"):
            words = "{} ({})".format(*item.words)
        elif item.kind == "node":
            name = next((n for n in item.makes if n != item.name), None)
            words = item.op + (f" to {name} {file.shapes[name]}" if name else "")
        told.append(words)
    size = sum(item.inside for item in made)
    return f"Graph of {file.name} with {size} nodes of h.{block}: {', '.join(told)}."


def _columns(file, layout, cut):
    """A drawing in one column, or in two where the graph is cut after a row."""
    parts = [layout.items]
    if cut is not None:
        parts = [[i for i in layout.items if (i.row > cut[0]) == low] for low in (0, 1)]
    columns = [Column(file, layout, part) for part in parts]
    x, placed = EDGE, []
    for column in columns:
        left, right = column.bounds()
        placed.append(x - left)
        x += right - left + 3 * EDGE
    legend = _legend(file)
    low = columns[-1].height + EDGE
    high = max(columns[0].height + EDGE, low + 14 * len(legend))
    scene = Scene(x - 2 * EDGE, high + EDGE, scale=1.25)
    for column, dx in zip(columns, placed, strict=True):
        scene.marks += [moved(mark, dx, EDGE) for mark in column.scene.marks]
    if cut is not None:
        _onwards(scene, columns, placed, cut[1])
    for k, (look, words) in enumerate(legend):
        left, y = placed[-1] - 72, low + 14 * k + 7
        if look == "weight":
            scene.rect(left + 5, y - 3.5, 7, 7, fill="green")
        elif look:
            scene.rect(left, y - 5, 17, 10, 2.5, **LOOKS[look])
        scene.text(left + 24 * bool(look), y, words, SMALL)
    return scene


def _legend(file):
    """What colours and letters mean: a look and words, line by line."""
    dims = {word for shape in file.dims.values() for d in shape for word in d.split()}
    letters = [f"{LETTERS[d]} {words}" for d, words in COUNTS.items() if d in dims]
    return [
        ("product", "matrix product"),
        ("other", "arithmetic, each number with few others"),
        ("move", "numbers are picked or put elsewhere"),
        ("weight", "weights in the file"),
        ("", ", ".join(letters)),
    ]


def _onwards(scene, columns, placed, item):
    """The line from the foot of one column to the head of the next."""
    x, y = placed[0] + item.lane * PITCH, columns[0].foot(item) + EDGE
    to = placed[1] + item.lane * PITCH
    gutter = placed[1] + columns[1].bounds()[0] - 1.5 * EDGE
    points = [(x, y), (x, y + 17), (gutter, y + 17), (gutter, EDGE), (to, EDGE)]
    scene.line([*points, (to, EDGE + HEAD)], 6, width=1.1, opacity=0.75)


def moved(mark, dx, dy):
    """A mark elsewhere."""
    if mark.kind == "path":
        points = tuple(
            (letter, *(v + (dy if k % 2 else dx) for k, v in enumerate(where)))
            for letter, *where in mark.points
        )
    else:
        x, y, *rest = mark.points
        points = (x + dx, y + dy, *rest)
    return Mark(mark.kind, points, mark.text, mark.style)
