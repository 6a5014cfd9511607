"""Widgets that ask a model in the reader's browser, under a kernel and on a page.

They need anywidget, which the rest of the package does not: ``import minigpt`` leaves
this folder alone until ``mg.widgets`` is asked for.
"""

try:
    import anywidget  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "minigpt.widgets needs anywidget, which is not here: pip install anywidget",
        name="anywidget",
    ) from error

from minigpt.widgets.attention import AttentionExplorer
from minigpt.widgets.sampling import SamplingExplorer
from minigpt.widgets.shapes import ShapeWalk
from minigpt.widgets.tokens import TokenizerExplorer
from minigpt.widgets.training import TrainingScrubber

__all__ = [
    "AttentionExplorer",
    "SamplingExplorer",
    "ShapeWalk",
    "TokenizerExplorer",
    "TrainingScrubber",
]
