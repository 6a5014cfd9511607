"""The figures of the book: each takes data and a description, and returns a `Picture`.

The last expression of a cell is shown, so a cell ends with the call:

>>> from minigpt import plots
>>> plots.bars(["cat", "dog"], [0.7, 0.3], alt="cat is likelier than dog, 0.7 to 0.3")
cat is likelier than dog, 0.7 to 0.3

Figures follow a page's light or dark theme, read for colour-blind readers and on a
phone, and are the same bytes each time. `alt` is required: it is what a reader who
cannot see the figure gets, and what the tests of a notebook compare.
"""

from minigpt.plots.anatomy import anatomy
from minigpt.plots.attention import arcs
from minigpt.plots.charts import bars, curves, scatter
from minigpt.plots.effects import effects
from minigpt.plots.graph import onnx_graph
from minigpt.plots.heads import every_head
from minigpt.plots.matrices import heatmap, heatmaps
from minigpt.plots.model import model_map
from minigpt.plots.mpl import show, style
from minigpt.plots.order import chapter_map
from minigpt.plots.picture import Picture, row
from minigpt.plots.pieces import shapes, tokens
from minigpt.plots.scene import piece
from minigpt.plots.source import show_script, show_source

__all__ = [
    "Picture",
    "anatomy",
    "arcs",
    "bars",
    "chapter_map",
    "curves",
    "effects",
    "every_head",
    "heatmap",
    "heatmaps",
    "model_map",
    "onnx_graph",
    "piece",
    "row",
    "scatter",
    "shapes",
    "show",
    "show_script",
    "show_source",
    "style",
    "tokens",
]
