"""Controls to move under a kernel, each with a still picture for the page.

They need ipywidgets, which the rest of the package does not: ``import minigpt`` leaves
this folder alone until ``mg.widgets`` is asked for.
"""

try:
    import ipywidgets  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "minigpt.widgets needs ipywidgets, which is not here: pip install ipywidgets",
        name="ipywidgets",
    ) from error

from minigpt.widgets.sampling import SamplingExplorer

__all__ = ["SamplingExplorer"]
