"""The folder of the benchmarks, whose programs import each other as scripts do."""

import importlib.util
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(FOLDER))


def program():
    """benchmarks/__main__.py as a module."""
    path = FOLDER / "__main__.py"
    spec = importlib.util.spec_from_file_location("benchmarks_program", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def importable(name):
    """Whether a library is installed."""
    return importlib.util.find_spec(name) is not None


def points(times):
    """Points of a cost that the formula can tell exactly."""
    import growth
    import training

    found = []
    for direction, shape in growth.shapes(quick=False):
        cfg, rows = training.config(shape)
        made, size = growth.features(cfg, rows)[:4:3]
        times = dict.fromkeys(times, 2e-11 * made + 3e-08 * size + 0.001)
        peak = 4.0 * growth.made(cfg, rows) + 12.0 * size
        found.append({"direction": direction, "shape": shape, "workers": 2,
                      "times": times, "peak": peak})  # fmt: skip
    return found
