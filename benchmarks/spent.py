"""Where a step of training spends its time: each primitive there and back, the rest.

    python benchmarks/spent.py [B T C L H]

One thread, in processor time, which neighbours on the machine do not lengthen. Beside
it, where PyTorch is installed, what its own profiler says of the same step (by a clock
on the wall, which they do). For looking at where a target is missed: nothing of this
goes into the results.
"""

import argparse
import time
from collections import defaultdict

import numpy as np
import report
import steppers
from threadpoolctl import threadpool_limits
from training import EAGER, TOKENS, V, config

import minigpt as mg
from minigpt import ops, optim, parallel
from minigpt.autodiff import Primitive

STEPS = 5


def clocked(spent, name, function, clock=time.thread_time):
    """``function`` that adds the time it takes to ``spent[name]``."""

    def run(*arguments, **settings):
        began = clock()
        result = function(*arguments, **settings)
        spent[name] += clock() - began
        return result

    return run


def clocked_rule(spent, name, rule):
    """A rule whose functions, one an input, add their time."""

    def run(*arguments, **settings):
        made = rule(*arguments, **settings)
        return [f and clocked(spent, f"{name}, back", f) for f in made]

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

    stepper.torch.set_num_threads(1)
    stepper.step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(STEPS):
            stepper.step()
    rows = profiler.key_averages()
    return {row.key: row.self_cpu_time_total / 1e6 / STEPS for row in rows}


def tables(shape):
    """One table for each of the two."""
    cfg, rows = config(shape)
    ids = np.random.default_rng(1).integers(0, V, TOKENS)
    given = mg.init(cfg), cfg, ids, steppers.settings(rows, steps=10**9)
    for name, measure in (("minigpt", ours), (EAGER, theirs)):
        try:
            stepper = steppers.make(name, *given)
        except steppers.Unavailable as error:
            print(f"{name}: {error}")
            continue
        spent = measure(stepper)
        total, lines = sum(spent.values()), []
        for what, seconds in sorted(spent.items(), key=lambda item: -item[1])[:20]:
            lines.append((what, report.number(1e3 * seconds), f"{seconds / total:.1%}"))
        lines.append(("together", report.number(1e3 * total), None))
        yield report.table(f"{name}, one thread", ("where", "ms", "share"), lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("shape", nargs="*", type=int, default=[12, 64, 128, 4, 4])
    shape = parser.parse_args().shape
    if len(shape) != 5 or min(shape) < 1:
        parser.error("a shape is five numbers from 1: B T C L H")
    parallel.processors = lambda: 1  # one worker, whose time is all there is
    with threadpool_limits(1):
        print(*map(report.plain, tables(shape)), sep="\n")


if __name__ == "__main__":
    main()
