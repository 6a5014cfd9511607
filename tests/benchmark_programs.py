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
