"""How the cost of a training step grows: with tokens, width, depth and context.

    python benchmarks/growth.py [--rounds 5] [--quick]

From one shape in the middle, one number at a time is made smaller and larger. Beside
each measured point stands a formula's: a time for each operation of the products, one
for each weight of the attention, one for each number that a block makes and keeps, one
for each parameter, and one for the step itself.
The price of an operation is that of a large matrix product, which no step can go below;
the other constants are fitted to all points but the largest of each direction, which
the formula then has to foretell. Memory has a formula of the same kind.
"""

import json

import numpy as np
import operations
import report
from limit import PRODUCTS
from rounds import Contender, alternate, command
from training import __file__ as STEPS
from training import config, contender, peak

import minigpt as mg

TITLE = "How the cost of a step grows"
MIDDLE = {"B": 16, "T": 64, "C": 128, "L": 4}
HEAD = 32  # channels of a head
DIRECTIONS = {
    "tokens": [{"B": B} for B in (4, 8, 16, 32, 64)],
    "width": [{"C": C} for C in (64, 128, 192, 256, 384)],
    "depth": [{"L": L} for L in (1, 2, 4, 8, 12)],
    "context": [{"T": T, "B": 1024 // T} for T in (32, 64, 128, 256, 512)],
}
QUICK = {"tokens": [{"B": 2}, {"B": 4}, {"B": 8}], "depth": [{"L": 1}, {"L": 2}]}
SMALL = {"B": 4, "T": 16, "C": 32, "L": 1}
TIMES = "an operation", "an attention weight", "a number made", "a parameter", "a step"
SIZES = "a number made", "a parameter", "a step"
FORETOLD = {  # shapes of others: B, T, C, L, H and vocabulary
    "GPT-2, 124M": (8, 1024, 768, 12, 12, 50257),
    "GPT-2, 1558M": (8, 1024, 1600, 48, 25, 50257),
    "GPT-3, 175B": (8, 2048, 12288, 96, 96, 50257),
}


def shapes(quick=False):
    """``(direction, shape)`` of every point."""
    middle, directions = (SMALL, QUICK) if quick else (MIDDLE, DIRECTIONS)
    found = []
    for direction, changes in directions.items():
        for change in changes:
            s = middle | change
            heads = max(1, s["C"] // HEAD)
            found.append((direction, (s["B"], s["T"], s["C"], s["L"], heads)))
    return found


def made(cfg, batch_size):
    """How many numbers the blocks and the head make on the way forward, and keep:
    sixteen widths a token and block, and the logits twice."""
    T, C = cfg.n_ctx, cfg.n_embd
    block = 16 * C
    return float(batch_size * T * (cfg.n_layer * block + 2 * C + 2 * cfg.vocab_size))


def features(cfg, batch_size):
    """What the formula multiplies its constants with, in the order of `TIMES`."""
    seen = cfg.n_ctx * (cfg.n_ctx + 1) / 2
    return [
        operations.step_operations(cfg, batch_size),
        batch_size * cfg.n_layer * cfg.n_head * seen,
        made(cfg, batch_size),
        float(operations.parameters(cfg)),
        1.0,
    ]


def fit(rows, values, price=None):
    """Constants of least relative error, none of them below zero: the most negative is
    left out until there is none. The first is ``price``, where that is known."""
    rows, values = np.asarray(rows, float), np.asarray(values, float)
    if price is not None:  # of what is left the others have to make the best
        left = 1.0 - price * rows[:, 0] / values
        return [price, *_fit(rows[:, 1:], values, left)]
    return _fit(rows, values, np.ones(len(values)))


def _fit(rows, values, left):
    scale = rows.max(axis=0)
    weighted = rows / scale / values[:, None]
    use = list(range(rows.shape[1]))
    while True:
        found = np.linalg.lstsq(weighted[:, use], left, rcond=None)[0]
        if found.min() >= 0 or len(use) == 1:
            break
        use.pop(int(found.argmin()))
    constants = np.zeros(rows.shape[1])
    constants[use] = np.maximum(found, 0.0)
    return (constants / scale).tolist()


def measure(rounds=5, quick=False):
    """Points with their measured and calculated figures, and the constants."""
    plan = shapes(quick)
    distinct = list(dict.fromkeys(shape for _, shape in plan))
    running = {s: Contender(STEPS, "minigpt", json.dumps(s)) for s in distinct}
    pairs = [(shape, process, 3) for shape, process in running.items()]
    print(f"  the time of {len(pairs)} shapes", flush=True)
    side = 256 if quick else 2048
    running[PRODUCTS[0]] = Contender(STEPS, PRODUCTS[0], side)
    times = alternate([*pairs, (PRODUCTS[0], running[PRODUCTS[0]], 2)], rounds)
    price = times[PRODUCTS[0]]["least"] / operations.product_operations(side)
    workers = {s: running[s].ready["workers"] for s in distinct}
    for process in running.values():
        process.close()
    print(f"  the memory of {len(pairs)} shapes", flush=True)
    peaks = {shape: peak("minigpt", shape) for shape in distinct}
    points = [
        {"direction": direction, "shape": shape, "times": times[shape],
         "peak": peaks[shape], "workers": workers[shape]}
        for direction, shape in plan
    ]  # fmt: skip
    return calculated(points, price)


def calculated(points, price=None):
    """The points with the formula's figures beside those measured."""
    last = {point["direction"]: point["shape"] for point in points}  # the largest
    held_out = set(map(tuple, last.values()))
    for point in points:
        point["features"] = features(*config(point["shape"]))
        point["held out"] = tuple(point["shape"]) in held_out
    known = [p for p in points if not p["held out"]]
    rows = [p["features"] for p in known]
    seconds = fit(rows, [p["times"]["median"] for p in known], price)
    sizes = None
    if all(p["peak"] for p in points):
        sizes = fit([row[-3:] for row in rows], [p["peak"] for p in known])
    for point in points:
        point["formula"] = {"seconds": float(np.dot(point["features"], seconds))}
        if sizes:
            size = float(np.dot(point["features"][-3:], sizes))
            point["formula"]["peak"] = size
    constants = {"seconds": dict(zip(TIMES, seconds, strict=True))}
    if sizes:
        constants["bytes"] = dict(zip(SIZES, sizes, strict=True))
    return {"points": points, "constants": constants, "foretold": foretell(constants)}


def foretell(constants):
    """What the formulas say of models that nobody trains here."""
    found = {}
    for name, (B, T, C, L, H, V) in FORETOLD.items():
        cfg = mg.Config(vocab_size=V, n_ctx=T, n_embd=C, n_layer=L, n_head=H)
        row, count = features(cfg, B), operations.parameters(cfg)
        seconds = np.dot(row, list(constants["seconds"].values()))
        found[name] = {"shape": [B, T, C, L, H], "parameters": count}
        found[name] |= {"operations": row[0], "seconds": float(seconds)}
        if "bytes" in constants:
            size = np.dot(row[-3:], list(constants["bytes"].values()))
            found[name]["bytes"] = float(size) + 12.0 * count  # and weights, averages
    return found


# ---------------------------------------------------------------- the tables


def tables(found):
    """A table a direction, and what the constants are."""
    directions = dict.fromkeys(point["direction"] for point in found["points"])
    return [*(direction_table(found, d) for d in directions), constants_table(found)]


def direction_table(found, direction):
    lines = []
    for point in found["points"]:
        if point["direction"] != direction:
            continue
        seconds, formula = point["times"]["median"], point["formula"]
        size = formula.get("peak")
        lines.append((
            ", ".join(map(str, point["shape"])) + (" ←" if point["held out"] else ""),
            report.spread(point["times"]),
            report.number(1e3 * formula["seconds"]),
            f"{formula['seconds'] / seconds - 1:+.0%}",
            report.megabytes(point["peak"]),
            report.megabytes(size),
            size and f"{size / point['peak'] - 1:+.0%}",
        ))  # fmt: skip
    heads = "B, T, C, L, H", "ms", "formula", "off", "peak MB", "formula", "off"
    note = "← was not used to find the constants: it is foretold."
    return report.table(f"More {direction}", heads, lines, note)


def constants_table(found):
    seconds, sizes = (found["constants"].get(name, {}) for name in ("seconds", "bytes"))
    lines = [
        (name, report.number(1e9 * seconds[name]), report.number(sizes.get(name)))
        for name in TIMES
    ]
    notes = [
        f"{name} ({told['parameters']:,} parameters) at (B, T) = "
        f"({told['shape'][0]}, {told['shape'][1]}): {told['operations']:.2g} "
        f"operations, {told['seconds']:,.0f} s a step, "
        f"{told.get('bytes', 0) / 1e9:,.0f} GB on this machine, if the formulas held "
        "that far."
        for name, told in found["foretold"].items()
    ]
    return report.table("The constants", ("for", "ns", "bytes"), lines, *notes)


def reached(found):
    """Nothing is promised here."""
    return []


if __name__ == "__main__":
    command(__doc__, contender, measure, tables)
