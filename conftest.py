"""Settings that every test and every notebook under test shares."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
for library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM", "NUMEXPR"):
    os.environ[f"{library}_NUM_THREADS"] = "1"  # kernels inherit it: the same bits


def pytest_configure(config: pytest.Config) -> None:
    """Tell nbval what not to compare, wherever pytest was started."""
    if hasattr(config.option, "nbval_sanitize_with"):
        rules = ROOT / "book" / "tools" / "sanitize.cfg"
        config.option.nbval_sanitize_with = str(rules)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the book's pages, built from nothing with warnings as errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    options = ["-W", "-n", "--keep-going", "--path-output", str(folder)]
    built = subprocess.run(
        [*command, "build", str(ROOT / "book"), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "_build" / "html"
