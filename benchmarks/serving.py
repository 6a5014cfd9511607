"""Many requests at once: what a token costs each of them when they share a step.

    python benchmarks/serving.py [--rounds 5] [--quick]

A step of B rows beside B steps of one row, for the model that the book ships and for a
random GPT-2 of 124 million parameters, at short and at long contexts. Then rows of very
different lengths: as one batch, with padding; divided as `minigpt.slots.partition`
divides them; and singly. Then what clients see of it over HTTP (`crowd.py`).
"""

import time

import crowd
import numpy as np
import report
from rounds import Contender, alternate, command, serve

import minigpt as mg
from minigpt.model import new_caches
from minigpt.slots import Group, call_cost, partition

TITLE = "(g) Many requests at once"
ROWS = 1, 2, 4, 8, 16, 32, 64
CONTEXTS = {"tales": (16, 80), "gpt2": (64, 512)}
QUICK = {"n_layer": 2, "n_embd": 64, "n_head": 2, "n_ctx": 64, "vocab_size": 300}
MIXED = {  # what share of the long context each row has reached
    "one long, the others short": lambda rows: [1.0] + [0.05] * (rows - 1),
    "half long, half short": lambda rows: [1.0, 0.05] * (rows // 2),
    "evenly from short to long": lambda rows: np.linspace(0.05, 1.0, rows).tolist(),
}
TOGETHER, DIVIDED, SINGLY = "one batch", "divided", "singly"
SECONDS = 0.25  # that a figure of a round is measured for, where a step is shorter


# ---------------------------------------------------------------- a model


def model(name, quick):
    """``(params, cfg)``; how fast it is does not depend on what it has learnt."""
    if quick:
        cfg = mg.Config(**QUICK)
        return mg.init(cfg), cfg
    if name == "tales":
        return mg.load("tales")[:2]
    cfg = mg.Config.preset(name)
    return mg.init(cfg), cfg


def filled(cfg, lengths):
    """A group of rows of which so many positions are in the caches."""
    B, H, D = len(lengths), cfg.n_head, cfg.n_embd // cfg.n_head
    width = max(lengths)
    caches = new_caches(cfg, width + 1, width - np.array(lengths))
    for cache in caches:
        shape = (2, B, H, width + 1, D)
        cache.keys, cache.values = np.full(shape, 0.01, np.float32)
        cache.length = width
    return Group(cfg, range(B), caches)


def groups_of(cfg, lengths, how):
    """The groups in which rows of such lengths are decoded."""
    parts = {
        TOGETHER: [list(range(len(lengths)))],
        SINGLY: [[row] for row in range(len(lengths))],
        DIVIDED: partition(lengths, call_cost(cfg)),
    }[how]
    return [filled(cfg, [lengths[row] for row in part]) for part in parts]


def step(params, groups):
    """Seconds in which every row of all groups gets its logits."""
    ids = [np.arange(len(group.rows)) for group in groups]
    began = time.perf_counter()
    for group, own in zip(groups, ids, strict=True):
        group.decode(lambda *given, **rest: mg.gpt(params, *given, **rest), own)
    seconds = time.perf_counter() - began
    for group in groups:
        for cache in group.caches:
            cache.length -= 1  # the next step is at the same place
    return seconds


def contender(name, quick):
    """A model in a process of its own; a task is ``[lengths, how]``."""
    params, cfg = model(name, quick == "quick")

    def do(task):
        lengths, how = task
        groups = groups_of(cfg, lengths, how)
        first = step(params, groups)
        times = [step(params, groups) for _ in range(max(1, int(SECONDS / first)))]
        return float(np.median(times))

    serve({"n_ctx": cfg.n_ctx, "call": call_cost(cfg)}, do)


# ---------------------------------------------------------------- the rounds


def plan(name, quick):
    """``(kind, context, rows, lengths, ways)`` of each figure of a model."""
    rows = (1, 2, 4) if quick else ROWS
    short, long = (4, 48) if quick else CONTEXTS[name]
    found = [(None, S, B, [S] * B, (TOGETHER, SINGLY)) for S in (short, long)
             for B in rows]  # fmt: skip
    for kind, shares in MIXED.items():
        for B in (rows[-2], rows[-1]):
            lengths = [max(1, round(share * long)) for share in shares(B)]
            found.append((kind, long, B, lengths, (TOGETHER, DIVIDED, SINGLY)))
    return found


def measure(rounds=5, quick=False):
    """Every figure with its times, by model."""
    found = {}
    for name in CONTEXTS:
        process = Contender(__file__, name, "quick" if quick else "whole")
        figures, pairs = [], []
        for kind, S, B, lengths, ways in plan(name, quick):
            calls = len(partition(lengths, process.ready["call"]))
            figure = {"kind": kind, "context": S, "rows": B, "calls": calls}
            pairs += [((len(figures), how), process, [lengths, how]) for how in ways]
            figures.append(figure | {"times": {}})
        print(f"  {name}: {len(pairs)} figures", flush=True)
        for (number, how), times in alternate(pairs, rounds).items():
            figures[number]["times"][how] = times
        process.close()
        found[name] = figures
    return {"steps": found, "requests": crowd.measure(rounds, quick)}


# ---------------------------------------------------------------- the tables


def tables(found):
    """For each model: rows of equal lengths, rows of different ones; then clients."""
    made = []
    for name, figures in found["steps"].items():
        equal = [f for f in figures if f["kind"] is None]
        mixed = [f for f in figures if f["kind"] is not None]
        made += [equal_table(name, equal), mixed_table(name, mixed)]
    return made + crowd.tables(found.get("requests", {}))


def median(figure, how):
    return figure["times"][how]["median"]


def equal_table(name, figures):
    lines = []
    for figure in figures:
        together, singly = median(figure, TOGETHER), median(figure, SINGLY)
        lines.append((
            f"{figure['rows']} at {figure['context']}",
            report.spread(figure["times"][TOGETHER]),
            report.spread(figure["times"][SINGLY]),
            report.number(singly / together),
            report.number(figure["rows"] / together),
        ))  # fmt: skip
    heads = "rows", "one step, ms", "so many steps of one row, ms", "gain", "tokens/s"
    return report.table(f"Rows of one length, {name}", heads, lines)


def mixed_table(name, figures):
    lines = []
    for figure in figures:
        best = min(figure["times"].values(), key=lambda times: times["median"])
        lines.append((
            f"{figure['rows']}, {figure['kind']}",
            *(report.spread(figure["times"][how])
              for how in (TOGETHER, DIVIDED, SINGLY)),
            figure["calls"],
            report.number(median(figure, DIVIDED) / best["median"]),
        ))  # fmt: skip
    heads = ("rows", "one batch, ms", "divided, ms", "singly, ms", "calls when divided",
             "divided / best")  # fmt: skip
    note = (
        f"Up to {figures[0]['context']} positions. *Divided* is what the server does: "
        "as many calls of the model as cost least when padding is counted."
    )
    return report.table(f"Rows of different lengths, {name}", heads, lines, note)


def reached(found):
    """What is to be reached, see `report.targets`."""
    rows = []
    for name, figures in found["steps"].items():
        equal = [f for f in figures if f["kind"] is None and f["rows"] > 1]
        gains = [median(f, SINGLY) / median(f, TOGETHER) for f in equal]
        rows.append((f"{name}, 2 rows and more: least gain of a batch", min(gains),
                     ">= 1"))  # fmt: skip
        mixed = [f for f in figures if f["kind"] is not None]
        gains = [median(f, SINGLY) / median(f, DIVIDED) for f in mixed]
        rows.append((f"{name}, different lengths: least gain", min(gains), ">= 1"))
    return rows


if __name__ == "__main__":
    command(__doc__, contender, measure, tables)
