"""Fair timing: every contender in a process of its own, and rounds that take turns.

Two libraries in one process would fight over its threads; on a machine that others use
too, whoever ran last would be the slowest. So each contender is a program that loads
what it needs, and then does a round whenever it is asked; the rounds alternate, and
medians are compared. Whoever has no contender to run says so in the table.

A contender may use every processor: what the shell says about threads
(OMP_NUM_THREADS and its like) is not handed on. ``taskset`` gives all of them fewer.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from datetime import date

import numpy as np
import report
from threadpoolctl import threadpool_info

from minigpt.parallel import processors

LIBRARIES = "torch", "jax", "transformers", "onnxruntime", "tiktoken", "tokenizers"


class Contender:
    """A script that was started as ``SCRIPT --contender NAME ...`` and waits."""

    def __init__(self, script, name, *arguments):
        command = [sys.executable, script, "--contender", name, *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.name = name
        self.process = subprocess.Popen(command, env=all_threads(), **pipes)
        self.ready = self._answer()  # facts about the contender, or {"missing": why}

    def __call__(self, task):
        """What the contender answers to a task: a number, or several by name."""
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self.process.wait()}")
        return json.loads(line)


def all_threads():
    """The environment without limits on the threads of a library."""
    return {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}


def serve(ready, do):
    """The contender's side: say ``ready``, then answer each task with ``do(task)``."""
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        print(json.dumps(do(json.loads(line))), flush=True)


def alternate(pairs, rounds=5):
    """Each ``(label, contender, task)`` once in every round, there and back again, so
    that nobody always follows the same one; medians and spreads."""
    seen = {label: [] for label, _, _ in pairs}
    for number in range(rounds):
        for label, contender, task in pairs[:: -1 if number % 2 else 1]:
            seen[label].append(contender(task))
    return {
        label: {
            "median": statistics.median(times),
            "least": min(times),
            "greatest": max(times),
        }
        for label, times in seen.items()
    }


def command(doc, contender, measure, tables, **numbers):
    """A benchmark as a program: the ``tables`` of what ``measure(rounds, quick)``
    finds, with further ``numbers`` to choose, or, when it was started by `Contender`,
    ``contender(name, argument)``."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a try at small sizes")
    parser.add_argument("--contender", nargs=2, help=argparse.SUPPRESS)
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    if given.contender:
        return contender(*given.contender)
    if given.rounds < 1:
        parser.error(f"--rounds must be at least 1, not {given.rounds}")
    chosen = {name: getattr(given, name) for name in numbers}
    found = measure(given.rounds, given.quick, **chosen)
    for name, value in machine().items():
        print(f"{name:14} {value}")
    print(f"\nmedians of {given.rounds} rounds, and from where to where they went\n")
    print(*map(report.plain, tables(found)), sep="\n")


def machine():
    """What the figures were measured on, for the head of a table."""
    blas = [i for i in threadpool_info() if i["user_api"] == "blas"]
    facts = {
        "processor": _processor(),
        "cores": processors(),
        "system": f"{platform.system()} {platform.machine()}",
        "BLAS": ", ".join(f"{b['internal_api']} {b['version']}" for b in blas),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    for name in LIBRARIES:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            facts[name] = "not installed"
    return facts | {"date": date.today().isoformat()}


def _processor():
    try:
        with open("/proc/cpuinfo") as file:
            names = [line for line in file if line.startswith("model name")]
        return names[0].split(":")[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
