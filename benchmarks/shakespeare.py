"""Real work: a small GPT learns Tiny Shakespeare by characters, here and in PyTorch.

    python benchmarks/shakespeare.py [--seeds 3] [--steps 2000]

The setting is nanoGPT's for a machine without a GPU: (B, T, C, L, H) = (12, 64, 128, 4,
4), 2,000 steps, no dropout, learning rate 1e-3 after 100 steps and down a cosine to
1e-4, AdamW with averages 0.9 and 0.99 and decay 0.1; the last tenth of the text is
held out. All begin with the same weights and see the same batches, and they take
turns, 100 steps at a time, so that whoever else uses the machine slows all. The
validation loss is that of all the held-out text, in windows side by side.
"""

import json
import statistics
import time

import numpy as np
import report
import steppers
from rounds import Contender, command, serve
from steppers import EAGER, FUSED

import minigpt as mg
from minigpt import data

TITLE = "Real work: Tiny Shakespeare"
SHAPE, SLICE = (12, 64, 128, 4, 4), 100
NAMES = "minigpt", EAGER, FUSED
AGREE = 1e-3  # of the first loss, before any step
HELD_OUT = 0.1


def contender(name, argument):
    """The side of a process: it trains some steps whenever it is asked."""
    given = json.loads(argument)
    text = data.read("tinyshakespeare.txt")
    tok = mg.CharTokenizer(text)
    train, val = data.split(np.array(tok.encode(text)), HELD_OUT)
    B, T, C, L, H = given["shape"]
    shape = {"n_ctx": T, "n_embd": C, "n_layer": L, "n_head": H}
    cfg = mg.Config(vocab_size=tok.vocab_size, **shape)
    steps, seed = given["steps"], given["seed"]
    fixed = steppers.settings(
        B, steps, seed, min_lr=1e-4, warmup=min(100, steps // 2), betas=(0.9, 0.99)
    )
    try:
        stepper = steppers.make(name, mg.init(cfg, seed), cfg, train, fixed)
    except steppers.Unavailable as error:
        return serve({"missing": str(error)}, None)

    def do(task):
        if task == "validate":
            return stepper.validate(val, B)
        began = time.perf_counter()
        losses = [stepper.step() for _ in range(task)]
        return {"seconds": time.perf_counter() - began, "losses": losses}

    serve(stepper.ready, do)


def measure(rounds=None, quick=False, seeds=3, steps=2000):
    """For each seed and each of the three: losses, seconds, validation loss."""
    if quick:
        seeds, steps = 1, min(steps, 20)
    if seeds < 1 or steps < 2:
        raise ValueError(f"at least one seed and two steps, not {seeds} and {steps}")
    runs = [run(seed, steps, SLICE if steps > SLICE else 10) for seed in range(seeds)]
    return {"shape": SHAPE, "steps": steps, "seeds": seeds, "runs": runs}


def run(seed, steps, length):
    """One seed: ``{name: figures}``; they take turns at going first."""
    argument = json.dumps({"shape": SHAPE, "steps": steps, "seed": seed})
    running = {name: Contender(__file__, name, argument) for name in NAMES}
    found = {name: {"losses": [], "seconds": 0.0} for name in NAMES}
    for name in NAMES:
        if missing := running[name].ready.get("missing"):
            found[name] = {"missing": missing}
            running.pop(name).close()
    order = list(running)
    for first in range(0, steps, length):
        for name in order:
            answer = running[name](min(length, steps - first))
            found[name]["losses"] += answer["losses"]
            found[name]["seconds"] += answer["seconds"]
        order.reverse()
    for name, process in running.items():
        found[name]["validation"] = process("validate")
        process.close()
        found[name] = shortened(found[name], length)
        told = f"{found[name]['validation']:.4f}, {found[name]['seconds']:.1f} s"
        print(f"  seed {seed}, {name}: {told}", flush=True)
    return found


def shortened(figures, length):
    """Figures with the first loss and the mean of each slice in place of every loss."""
    losses = figures.pop("losses")
    means = [
        float(np.mean(losses[i : i + length])) for i in range(0, len(losses), length)
    ]
    return figures | {"first": losses[0], "curve": means, "slice": length}


# ---------------------------------------------------------------- the tables


def mean(found, name, figure):
    """The mean over seeds; None where somebody is missing."""
    values = [one[name].get(figure) for one in found["runs"]]
    return None if None in values else statistics.mean(values)


def tables(found):
    """One table, a line for each seed and each of the three."""
    lines = []
    for seed, one in enumerate(found["runs"]):
        for name, figures in one.items():
            if "missing" in figures:
                missing = report.missing(name, figures["missing"], 4)
                lines.append((str(seed), *missing))
                continue
            off = abs(figures["first"] - one["minigpt"]["first"])
            agree = "yes" if off <= AGREE else f"**off by {off:.1g}**"
            values = f"{figures['validation']:.4f}", f"{figures['seconds']:.1f}"
            lines.append((str(seed), name, *values, agree))
    for name in NAMES:
        if (value := mean(found, name, "validation")) is not None:
            took = f"{mean(found, name, 'seconds'):.1f}"
            lines.append(("mean", name, f"{value:.4f}", took, None))
    heads = "seed", "who", "validation loss", "seconds", "same first loss"
    shape = ", ".join(map(str, found["shape"]))
    title = f"(B, T, C, L, H) = ({shape}), {found['steps']:,} steps"
    note = "Seconds are those of the steps; loading and validation are not in them."
    return [report.table(title, heads, lines, note)]


def reached(found):
    """What is to be reached, see `report.targets`."""
    ours, seconds = (mean(found, NAMES[0], f) for f in ("validation", "seconds"))
    work = f"Tiny Shakespeare, {found['steps']:,} steps, mean of {found['seeds']}"
    lines = [(f"{work}: validation loss", ours, "<= 1.92")]
    for name in (EAGER, FUSED):
        theirs, took = (mean(found, name, f) for f in ("validation", "seconds"))
        far = None if theirs is None else abs(ours - theirs)
        ratio = None if took is None else seconds / took
        lines.append((f"{work}: distance to the loss of {name}", far, "<= 0.02"))
        lines.append((f"{work}: seconds / {name}", ratio, "<= 1"))
    return lines


if __name__ == "__main__":
    command(__doc__, contender, measure, tables, seeds=3, steps=2000)
