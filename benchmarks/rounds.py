"""Fair timing: every contender in a process of its own, and rounds that take turns.

Two libraries in one process would fight over its threads; on a machine that others use
too, whoever ran last would be the slowest. So each contender is a program that loads
what it needs, and then does a round whenever it is asked; the rounds alternate, and
medians are compared. Whoever has no contender to run says so in the table.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys

import numpy as np
from threadpoolctl import threadpool_info


class Contender:
    """A script that was started as ``SCRIPT --contender NAME ...`` and waits."""

    def __init__(self, script, name, *arguments):
        command = [sys.executable, script, "--contender", name, *map(str, arguments)]
        self.name, pipe = name, subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.ready = self._answer()  # facts about the contender, or {"missing": why}

    def __call__(self, task):
        """What the contender answers to a task: a number, or several by name."""
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self.process.wait()}")
        return json.loads(line)


def serve(ready, do):
    """The contender's side: say ``ready``, then answer each task with ``do(task)``."""
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        print(json.dumps(do(json.loads(line))), flush=True)


def alternate(pairs, rounds=5):
    """Each ``(label, contender, task)`` once in every round; medians and spreads."""
    seen = {label: [] for label, _, _ in pairs}
    for _ in range(rounds):
        for label, contender, task in pairs:
            seen[label].append(contender(task))
    return {
        label: {
            "median": statistics.median(times),
            "least": min(times),
            "greatest": max(times),
        }
        for label, times in seen.items()
    }


def command(doc, contender, report):
    """A benchmark as a program: ``report(rounds)``, or, when it was started by
    `Contender`, ``contender(name, argument)``."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contender", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        contender(*given.contender)
    else:
        report(given.rounds)


def machine():
    """What the figures were measured on, for the head of a table."""
    blas = [i for i in threadpool_info() if i["user_api"] == "blas"]
    return {
        "processor": _processor(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "BLAS": ", ".join(f"{b['internal_api']} {b['version']}" for b in blas),
        "threads": max((b["num_threads"] for b in blas), default=1),
    }


def _processor():
    try:
        with open("/proc/cpuinfo") as file:
            names = [line for line in file if line.startswith("model name")]
        return names[0].split(":")[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
