"""All benchmarks, or those that are named: what ``make bench`` runs.

    python benchmarks [PART ...] [--quick] [--rounds 5] [--out FOLDER]

Each part is measured and put into ``results.json`` as soon as it is done, beside what
other parts left there, and ``RESULTS.md`` is written anew from the whole. A quick try
goes to runs/benchmarks, unless told otherwise, so that it replaces no real figures.
"""

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

import decoding
import encoding
import growth
import report
import serving
import shakespeare
import spent
import training
from rounds import machine

import book
from minigpt.checkpoint import write

HERE = Path(__file__).resolve().parent
TRIES = HERE.parent / "runs" / "benchmarks"
MODULES = {
    "training": training,
    "decoding": decoding,
    "serving": serving,
    "encoding": encoding,
    "book": book,
    "shakespeare": shakespeare,
    "growth": growth,
    "spent": spent,
}


def measured(name, given):
    """A part for the file: what was found, how, when and where."""
    module, began = MODULES[name], time.perf_counter()
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    rounds = given.rounds or (2 if given.quick else 5)
    found = module.measure(rounds, given.quick)
    typed = ["python", "benchmarks", name, *(["--quick"] if given.quick else [])]
    typed += ["--rounds", str(given.rounds)] if given.rounds else []
    return {
        "title": module.TITLE,
        "command": shlex.join(typed),
        "rounds": None if name in ("book", "shakespeare") else rounds,
        "quick": given.quick,
        "seconds": time.perf_counter() - began,
        "machine": machine() | {"load before": load},
        "found": found,
    }


def run(names, given, folder):
    """Measure parts one after another; returns the names of those that failed."""
    failed = []
    for name in names:
        print(f"\n=== {name}", flush=True)
        try:
            part = measured(name, given)
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            print(f"{name} could not be measured: {error}", file=sys.stderr)
            failed.append(name)
            continue
        print(*map(report.plain, MODULES[name].tables(part["found"])), sep="\n")
        save(folder, {name: part})
    return failed


def save(folder, parts):
    """Merge parts into the folder's two files."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = report.merge(folder / "results.json", parts)
    reasons = (HERE / "reasons.md").read_text("utf8") if folder == HERE else ""
    page = report.document(parts, MODULES, "make bench", reasons)
    write(folder / "RESULTS.md", page.encode())


def arguments(given=None):
    """What was typed."""
    parser = argparse.ArgumentParser("benchmarks", description="Measure, and write it.")
    names = ", ".join(MODULES)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {names}; all")
    parser.add_argument("--quick", action="store_true", help="a try at small sizes")
    parser.add_argument("--rounds", type=int, help="5, or 2 for a quick try")
    parser.add_argument("--out", type=Path, help="the folder of the two files")
    read = parser.parse_args(given)
    for part in read.parts:
        if part not in MODULES:
            parser.error(f"there is no part {part!r}: choose of {names}")
    if read.rounds is not None and read.rounds < 1:
        parser.error(f"--rounds must be at least 1, not {read.rounds}")
    return read


def main(typed=None):
    given = arguments(typed)
    folder = given.out or (TRIES if given.quick else HERE)
    try:
        report.read(folder / "results.json")  # before hours are spent
    except ValueError as error:
        sys.exit(f"Error: {error}")
    failed = run(given.parts or list(MODULES), given, folder)
    if (folder / "RESULTS.md").exists():
        print(f"\nWritten: {folder / 'RESULTS.md'} and results.json")
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
