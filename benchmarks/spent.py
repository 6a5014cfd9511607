"""Where a step of training spends its time: each primitive there and back, the rest.

    python benchmarks/spent.py [--rounds 5] [--quick]

On one processor, where neither waits for threads, and both are looked at with a clock
in hand: minigpt with one around every primitive, PyTorch with its own profiler. And a
trial: minigpt's step with PyTorch's product of matrices in `ops.linear`, in place of
the one that came with NumPy. What it saves is the libraries' difference, not ours.
"""

import json
import time
from collections import defaultdict

import numpy as np
import report
import steppers
from rounds import Contender, alternate, command, serve
from threadpoolctl import threadpool_limits
from training import EAGER, QUICK, SHAPES, TOKENS, V, config

import minigpt as mg
from minigpt import ops, optim, parallel
from minigpt.autodiff import Primitive
from minigpt.ops.namespace import rows

TITLE = "Where a step spends its time"
STEPS, SHOWN = 5, 16
MIXED = "minigpt with PyTorch's matrix product"
NAMES = "minigpt", MIXED, EAGER


def clocked(spent, name, function, clock=time.thread_time):
    """``function`` that adds the time it takes to ``spent[name]``."""

    def run(*arguments, **settings):
        began = clock()
        result = function(*arguments, **settings)
        spent[name] += clock() - began
        return result

    return run


def clocked_rule(spent, name, rule):
    """A rule whose functions, one an input or one for all, add their time."""
    name = f"{name}, back"

    def run(*arguments, **settings):
        made = rule(*arguments, **settings)
        if callable(made):
            return clocked(spent, name, made)
        return [f and clocked(spent, name, f) for f in made]

    return run


def ours(stepper):
    """``{what: seconds a step}`` of minigpt; what is left is Python, tape and sums."""
    spent = defaultdict(float)
    for name, primitive in vars(ops).items():
        if isinstance(primitive, Primitive):
            primitive.forward = clocked(spent, name, primitive.forward)
            primitive.rule = clocked_rule(spent, name, primitive.rule)
    for name in ("global_norm", "clip", "adamw_update"):
        setattr(optim, name, clocked(spent, name, getattr(optim, name)))
    stepper.step()
    spent.clear()
    whole = clocked(spent, "", stepper.step, time.process_time)
    for _ in range(STEPS):
        whole()
    total = spent.pop("")
    spent["everything else"] = total - sum(spent.values())
    return {name: seconds / STEPS for name, seconds in spent.items()}


def theirs(stepper):
    """The same of PyTorch, by its names of what it does."""
    from torch.profiler import ProfilerActivity, profile

    stepper.step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(STEPS):
            stepper.step()
    found = profiler.key_averages()
    return {row.key: row.self_cpu_time_total / 1e6 / STEPS for row in found}


def borrow_products():
    """Let `ops.linear` multiply with PyTorch, there and back."""
    from torch import from_numpy

    def times(a, b):
        return (from_numpy(a) @ from_numpy(b)).numpy()

    def forward(x, weight, bias=None):
        y = times(rows(x), weight)
        if bias is not None:
            y += bias
        return y.reshape(*x.shape[:-1], weight.shape[-1])

    def rule(_y, x, weight, _bias=None):
        return (
            lambda dy: times(rows(dy), weight.T).reshape(x.shape),
            lambda dy: times(rows(x).T, rows(dy)),
            lambda dy: rows(dy).sum(axis=0),
        )

    ops.linear.forward, ops.linear.rule = forward, rule


def contender(name, argument):
    """The side of a process: its tasks are a number of steps, and "spent"."""
    parallel.processors = lambda: 1  # one worker, whose time is all there is
    cfg, batch_size = config(json.loads(argument))
    ids = np.random.default_rng(1).integers(0, V, TOKENS)
    given = mg.init(cfg), cfg, ids, steppers.settings(batch_size, steps=10**9)
    try:
        if name == MIXED:
            import torch

            torch.set_num_threads(1)
            borrow_products()
        stepper = steppers.make(EAGER if name == EAGER else "minigpt", *given)
    except (steppers.Unavailable, ModuleNotFoundError) as error:
        return serve({"missing": str(error)}, None)

    def do(task):
        if task == "spent":
            return (theirs if name == EAGER else ours)(stepper)
        stepper.step()
        began = time.perf_counter()
        for _ in range(task):
            stepper.step()
        return (time.perf_counter() - began) / task

    with threadpool_limits(1):
        serve({}, do)


def measure(rounds=5, quick=False):
    """Each shape's times in alternation, and then where they go."""
    found = []
    for shape in QUICK if quick else SHAPES:
        print(f"  where a step at {shape} spends its time", flush=True)
        told, running = {}, {}
        for name in NAMES:
            process = Contender(__file__, name, json.dumps(shape))
            told[name] = process.ready
            if process.ready:
                process.close()
            else:
                running[name] = process
        pairs = [(name, process, 2) for name, process in running.items()]
        for name, times in alternate(pairs, rounds).items():
            told[name] = {"times": times}
        for name, process in running.items():
            if name != MIXED:
                told[name]["spent"] = process("spent")
            process.close()
        found.append({"shape": shape, "rows": told})
    return {"shapes": found}


def tables(found):
    """For each shape the times, and what takes most of them."""
    return [t for one in found["shapes"] for t in shape_tables(**one)]


def shape_tables(shape, rows):
    shape, least = ", ".join(map(str, shape)), rows["minigpt"]["times"]["median"]
    lines = []
    for name, row in rows.items():
        if "missing" in row:
            lines.append(report.missing(name, row["missing"], 3))
            continue
        ratio = report.number(row["times"]["median"] / least)
        lines.append((name, report.spread(row["times"]), ratio))
    heads = "on one processor", "ms", "× ours"
    yield report.table(f"(B, T, C, L, H) = ({shape})", heads, lines)
    for name, row in rows.items():
        if spent := row.get("spent"):
            total, lines = sum(spent.values()), []
            most = sorted(spent.items(), key=lambda item: -item[1])[:SHOWN]
            for what, seconds in most:
                lines.append((what, report.number(1e3 * seconds), seconds / total))
            lines = [(*line[:2], f"{line[2]:.1%}") for line in lines]
            heads = f"{name}, ({shape})", "ms", "share"
            yield report.table(f"{name} spends it on", heads, lines)


def reached(found):
    """Nothing is promised here."""
    return []


if __name__ == "__main__":
    command(__doc__, contender, measure, tables)
