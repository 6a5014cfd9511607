"""How long the book takes: built from nothing and again, its notebooks, the tests.

    python benchmarks/book.py [--quick]

In a fresh clone of what is committed, in a temporary folder, with the environment's own
interpreter: making the environment and cloning are not counted, starting Python is. The
notebooks are executed and their outputs compared; the tests are those without the slow
ones and without the notebooks; both are shared among the processors as ``make test``
does it. ``--quick`` builds twice and executes one chapter.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import report
from rounds import command

TITLE = "(f) The book"
ROOT = Path(__file__).resolve().parents[1]
BUILDER = "from jupyter_book.cli.main import main; main()"
BUILD = "-c", BUILDER, "build", "book", "-W", "-n", "--keep-going"
PYTEST = "-m", "pytest", "-q", "-p", "no:cacheprovider"
SHARED = "-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"
SHARED += ("--no-loadscope-reorder",)
COMMANDS = {
    "cold build": BUILD,
    "warm build": BUILD,
    "all notebooks": (*PYTEST, *SHARED, "--nbval", "book"),
    "tests": (*PYTEST, *SHARED, "tests"),
}
ONE = (*PYTEST, "--nbval", "book/01-tokenizer.ipynb")
QUICK = {"cold build": BUILD, "warm build": BUILD, "one notebook": ONE}
LIMITS = {"all notebooks": 240, "tests": 360}  # seconds, on two cores


def measure(rounds=None, quick=False):
    """Seconds and outcome of each command, and the commit."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "clone")
        git("clone", "-q", ROOT, clone)
        found = {"commit": git("rev-parse", "--short", "HEAD", cwd=clone)}
        found["other files"] = bool(git("status", "--porcelain", cwd=ROOT))
        found["commands"] = {}
        for name, arguments in (QUICK if quick else COMMANDS).items():
            print(f"  {name}", flush=True)
            found["commands"][name] = timed(arguments, clone)
    return found


def git(*arguments, cwd=None):
    """What git prints. Raises ``OSError`` with what it complained of."""
    given = ["git", *map(str, arguments)]
    result = subprocess.run(given, cwd=cwd, capture_output=True, text=True)
    if result.returncode:
        raise OSError(f"git {arguments[0]} failed: {result.stderr.strip()}")
    return result.stdout.strip()


def timed(arguments, folder):
    """``{"seconds", "code", "last"}`` of a Python program in the clone."""
    env = os.environ | {"PYTHONPATH": str(folder)}  # the clone's package, not another
    began = time.perf_counter()
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seconds = time.perf_counter() - began
    lines = [line.strip(" =") for line in result.stdout.splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    return {"seconds": seconds, "code": result.returncode, "last": last[:100]}


def tables(found):
    """One table, a line for each command."""
    lines = []
    for name, one in found["commands"].items():
        outcome = "done" if one["code"] == 0 else f"**failed**: {one['last']}"
        lines.append((name, f"{one['seconds']:.1f}", outcome))
    note = f"Commit {found['commit']} in a fresh clone."
    if found["other files"]:
        note += " The working tree has changes that are not in it."
    return [report.table("Seconds", ("command", "seconds", "outcome"), lines, note)]


def reached(found):
    """What is to be reached, see `report.targets`; a failed command reached nothing."""
    lines = []
    for name, limit in LIMITS.items():
        one = found["commands"].get(name, {"code": 1})
        seconds = one["seconds"] if one["code"] == 0 else None
        lines.append((f"{name}: seconds", seconds, f"<= {limit}"))
    return lines


if __name__ == "__main__":
    command(__doc__, None, measure, tables)
