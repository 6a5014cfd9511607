"""Widgets that ask a model in the reader's browser, under a kernel and on a page.

They need anywidget, which the rest of the package does not: it is imported when one of
them is asked for. What pages are made of (`minigpt.widgets.bundle`) does without.
"""

import importlib

HOMES = {
    "AttentionExplorer": "attention",
    "SamplingExplorer": "sampling",
    "ShapeWalk": "shapes",
    "TokenizerExplorer": "tokens",
    "TrainingScrubber": "training",
}

__all__ = list(HOMES)


def __getattr__(name):
    """A widget's class, from its module."""
    if name not in HOMES:
        raise AttributeError(f"module 'minigpt.widgets' has no attribute {name!r}")
    try:
        import anywidget  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "minigpt.widgets needs anywidget, which is not here: pip install anywidget",
            name="anywidget",
        ) from error
    return getattr(importlib.import_module(f"minigpt.widgets.{HOMES[name]}"), name)
