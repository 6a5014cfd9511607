"""How long a step of training takes, and how much memory, beside other libraries.

    python benchmarks/training.py [--rounds 5] [--quick]

A step is forward, backward, clipping and AdamW. All begin with the same weights and see
the same batches, and before the clock starts the loss after three steps is compared. In
the same rounds a large product of matrices shows what the processor can do at most.
"""

import functools
import json
import time

import limit
import memory
import numpy as np
import operations
import report
import steppers
from limit import PRODUCTS
from rounds import Contender, alternate, command, serve
from steppers import COMPILED, EAGER, FUSED, JAX, SCALAR, UNFUSED

import minigpt as mg

TITLE = "(a, d, e) A step of training"
SHAPES = (32, 64, 128, 4, 4), (16, 128, 192, 6, 6), (8, 256, 384, 6, 6)
SHAPES += ((12, 64, 128, 4, 4),)
QUICK = ((4, 16, 32, 2, 2),)
TINY = 2, 4, 8, 1, 2  # of the tape that takes a number at a time
ROUND = 6e10  # operations of a round
V, TOKENS, CHECKED, TOLERANCE = 65, 100_000, 3, 1e-3
NAMES = "minigpt", EAGER, FUSED, COMPILED, JAX, UNFUSED


def config(shape):
    """``(Config, batch size)`` of a shape (B, T, C, L, H)."""
    B, T, C, L, H = shape
    return mg.Config(vocab_size=V, n_ctx=T, n_embd=C, n_layer=L, n_head=H), B


# ---------------------------------------------------------------- contenders


def contender(name, argument):
    """The side of a process: one who steps at one shape, or a matrix product."""
    given = json.loads(argument)
    try:
        if name in PRODUCTS:
            return serve(
                {}, functools.partial(limit.seconds, limit.product(name, given))
            )
        cfg, rows = config(given)
        ids = np.random.default_rng(1).integers(0, V, TOKENS)
        fixed = steppers.settings(rows, steps=10**9)
        stepper = steppers.make(name, mg.init(cfg), cfg, ids, fixed)
    except (steppers.Unavailable, ModuleNotFoundError) as error:
        missing = getattr(error, "name", None)
        told = f"{missing} is not installed" if missing else str(error)
        return serve({"missing": told}, None)
    serve(stepper.ready, functools.partial(do, stepper))


def do(stepper, task):
    """Answers the tasks "losses", "peak" and a number of steps to be timed."""
    try:
        if task == "losses":
            return [stepper.step() for _ in range(CHECKED + 1)]
        if task == "peak":
            stepper.warm()
            found = memory.peak(lambda: [stepper.step() for _ in range(2)])
            if found["bytes"] is not None:  # what rests, and is needed for steps only
                found["bytes"] += getattr(stepper, "gradients", 0)
            return found
        stepper.step()  # after others' turns caches are cold and threads asleep
        began = time.perf_counter()
        for _ in range(task):
            stepper.step()
        return (time.perf_counter() - began) / task
    except Exception as error:  # a compiler may fail in any way: the table says how
        return {"missing": f"{type(error).__name__}: {error}".split("\n")[0][:100]}


# ---------------------------------------------------------------- measuring


def start(name, shape):
    """``(contender, its losses)``, or ``(None, why it is missing)``."""
    process = Contender(__file__, name, json.dumps(shape))
    losses = process.ready.get("missing") or process("losses")
    if isinstance(losses, list):
        return process, losses
    process.close()
    return None, losses["missing"] if isinstance(losses, dict) else losses


def peak(name, shape):
    """The memory of a step in a process of its own: bytes, or None."""
    process = Contender(__file__, name, json.dumps(shape))
    answer = process("peak")
    process.close()
    return answer.get("bytes")


def measure_shape(shape, rounds, steps, side=2048):
    """One shape's figures: for each name losses, times, peak, or why it is missing."""
    rows, running = {}, {}
    for name in NAMES:
        process, told = start(name, shape)
        rows[name] = {"losses": told} if process else {"missing": told}
        if process:
            running[name] = process
    pairs = [(name, process, steps) for name, process in running.items()]
    for name in PRODUCTS:
        process = Contender(__file__, name, side)
        if missing := process.ready.get("missing"):
            rows[name] = {"missing": missing}
            process.close()
        else:
            running[name] = process
            pairs.append((name, process, 2))
            rows[name] = {}
    running[SCALAR], told = start(SCALAR, TINY)
    pairs.append((SCALAR, running[SCALAR], 1))
    rows[SCALAR] = {"losses": told}
    for name, times in alternate(pairs, rounds).items():
        rows[name]["times"] = times
    for process in running.values():
        process.close()
    for name in NAMES:
        if "missing" not in rows[name]:
            rows[name]["peak"] = peak(name, shape)
    return {"shape": shape, "rows": judged(shape, rows, side)}


def judged(shape, rows, side):
    """The rows with what follows from them: who agrees, speeds, and scaled times."""
    (cfg, B), (tiny, b) = config(shape), config(TINY)
    scale = operations.step_operations(cfg, B, causal=True)
    scale /= operations.step_operations(tiny, b, causal=True)
    rows[SCALAR]["times"] = {k: t * scale for k, t in rows[SCALAR]["times"].items()}
    process, expected = start("minigpt", TINY)
    process.close()
    rows[SCALAR]["off"] = off(rows[SCALAR]["losses"], expected)
    for name in NAMES:
        if "losses" in rows[name]:
            rows[name]["off"] = off(rows[name]["losses"], rows["minigpt"]["losses"])
    done = dict.fromkeys(NAMES, operations.step_operations(cfg, B))
    done |= dict.fromkeys(PRODUCTS, operations.product_operations(side))
    for name, count in done.items():
        if "times" in rows[name]:
            rows[name]["speed"] = count / rows[name]["times"]["median"]
    return rows


def steps_of(shape):
    """How many steps of a shape are timed at once: about a second of them."""
    return max(3, round(ROUND / operations.step_operations(*config(shape))))


def off(losses, expected):
    """How far the losses of the first steps are from those expected, at most."""
    return float(np.abs(np.subtract(losses, expected)).max())


def measure(rounds=5, quick=False):
    """Every figure, as JSON takes it."""
    side = 256 if quick else 2048
    found = []
    for shape in QUICK if quick else SHAPES:
        steps = 2 if quick else steps_of(shape)
        print(f"  training at (B, T, C, L, H) = {shape}", flush=True)
        found.append(measure_shape(shape, rounds, steps, side))
    return {"shapes": found, "side": side}


# ---------------------------------------------------------------- the tables


def tables(found):
    """One table a shape."""
    return [shape_table(one, found["side"]) for one in found["shapes"]]


def shape_table(one, side):
    rows, ours = one["rows"], one["rows"]["minigpt"]
    most = rows[PRODUCTS[0]]["speed"]
    lines = []
    for name, row in rows.items():
        if "missing" in row:
            lines.append(report.missing(name, row["missing"], 7))
            continue
        speed = row.get("speed")
        ratio = row["times"]["median"] / ours["times"]["median"]
        lines.append((
            name + (", scaled" if name == SCALAR else ""),
            report.spread(row["times"]),
            None if name in PRODUCTS else report.number(ratio),
            speed and f"{speed / 1e9:.0f}",
            speed and f"{speed / most:.0%}",
            report.megabytes(row.get("peak")),
            agreement(row),
        ))  # fmt: skip
    heads = "", "ms", "× ours", "GFLOP/s", "of the limit", "peak MB", "same loss"
    (cfg, B), shape = config(one["shape"]), ", ".join(map(str, one["shape"]))
    half = operations.step_operations(cfg, B, causal=True)
    half /= operations.step_operations(cfg, B)
    return report.table(
        f"(B, T, C, L, H) = ({shape}), V = {V}, "
        f"{operations.parameters(cfg):,} parameters", heads, lines,
        f"Operations: {operations.step_operations(cfg, B):.3g} in matrix products, "
        "with attention's whole square; counting only the half that the causal mask "
        f"leaves, every share is {half:.1%} of what is shown. The limit: NumPy's "
        f"product of {side} × {side} matrices.",
        f"*{SCALAR}* was timed at {TINY} and is scaled by the number of operations; "
        "its AdamW is the package's. *Peak*: of two steps above the resting size, in a "
        "process of its own, after a step of 16 tokens (a whole one where a compiler "
        "needs it).",
    )  # fmt: skip


def agreement(row):
    if "off" not in row:
        return None
    return "yes" if row["off"] <= TOLERANCE else f"**off by {row['off']:.1g}**"


def reached(found):
    """What is to be reached, see `report.targets`."""
    lines = []
    for one in found["shapes"]:
        rows, ours = one["rows"], one["rows"]["minigpt"]
        shape = ", ".join(map(str, one["shape"]))
        for name in (EAGER, FUSED):
            row = rows[name]
            told = (
                ours["times"]["median"] / row["times"]["median"]
                if "times" in row
                else None
            )
            lines.append((f"a step at ({shape}): seconds / {name}", told, "<= 1"))
        if one["shape"][2] > 128:
            share = ours["speed"] / rows[PRODUCTS[0]]["speed"]
            lines.append((f"a step at ({shape}): share of the limit", share, ">= 0.8"))
        both = ours.get("peak"), rows[EAGER].get("peak")
        told = both[0] / both[1] if all(both) else None
        lines.append((f"a step at ({shape}): peak memory / {EAGER}", told, "<= 1"))
    return lines


if __name__ == "__main__":
    command(__doc__, contender, measure, tables)
