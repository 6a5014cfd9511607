"""Settings that every test and every notebook under test shares."""

import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

ROOT = Path(__file__).parent
for library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM", "NUMEXPR"):
    os.environ[f"{library}_NUM_THREADS"] = "1"  # kernels inherit it: the same bits

hypothesis.settings.register_profile("book", deadline=None)  # others use the machine
hypothesis.settings.load_profile("book")


def pytest_configure(config: pytest.Config) -> None:
    """Tell nbval what not to compare, wherever pytest was started."""
    if hasattr(config.option, "nbval_sanitize_with"):
        rules = ROOT / "book" / "tools" / "sanitize.cfg"
        config.option.nbval_sanitize_with = str(rules)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the book's pages, built from nothing with warnings as errors; once,
    for all processes among which pytest-xdist shares the tests."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    pages = folder / "site" / "_build" / "html"
    with FileLock(folder / "site.lock"):
        if not (pages / "index.html").exists():
            build(folder / "site")
    return pages


def build(folder: Path) -> None:
    """Write the book's pages into a folder, as "make book" does into its own."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    options = ["-W", "-n", "--keep-going", "--path-output", str(folder)]
    built = subprocess.run(
        [*command, "build", str(ROOT / "book"), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert built.returncode == 0, built.stdout + built.stderr
