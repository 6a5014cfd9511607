"""A server that many ask at once: requests and tokens a second, and who waits how long.

    python benchmarks/crowd.py [--rounds 5] [--quick]

A server and its clients are processes of their own (`clients.py`). The servers differ
in one thing: minigpt decodes what comes together as batches; or one row at a time; or
ONNX Runtime does, in batches. Every answer is compared with what `minigpt.generate`
writes alone with its seed.
"""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import report
from clients import LOADS, WAYS, answers, bodies, clients, load, model
from rounds import Contender, alternate, command, serve

CLIENTS = 1, 8, 64
ENGINES = {
    "numpy": "minigpt, in batches",
    "singly": "minigpt, one after another",
    "onnx": "ONNX Runtime, in batches",
}


# ---------------------------------------------------------------- contenders


def server(name, folder):
    """A server in a process of its own; ``name`` is "model/engine", or that and
    "/quick"."""
    name, engine, *quick = name.split("/")
    try:
        from minigpt.server import served, start

        if engine == "onnx":
            from minigpt.onnx_model import OnnxModel

            params = OnnxModel(Path(folder) / f"{name}.onnx")
            whole = params, params.cfg, params.tok
        else:
            whole = model(name, quick)
    except ModuleNotFoundError as error:
        return serve({"missing": f"{error.name} is not installed"}, None)
    if engine == "singly":
        served.Batcher = partial(served.Batcher, rows=1)
    with start(whole, timeout=3600.0) as running:
        serve({"url": running.url}, None)


# ---------------------------------------------------------------- the rounds


def measure(rounds=5, quick=False):
    """For each model a list of figures, one for an engine and a number of clients."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        asking = Contender(__file__, "clients", folder)
        for name in LOADS:
            away = export(name, quick, folder)
            found[name] = measure_model(name, rounds, quick, folder, asking, away)
        asking.close()
    return found


def export(name, quick, folder):
    """Write a model's graph; why there is none, or None."""
    from minigpt.export import export

    params, cfg, tok = model(name, quick)
    try:
        export(params, cfg, Path(folder) / f"{name}.onnx", tok=tok, cache=True)
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed"
    return None


def measure_model(name, rounds, quick, folder, asking, away):
    _, _, each = load(name, quick)
    right, asked = answers(name, quick), bodies(name, quick)
    figures, pairs, servers = [], [], []
    for engine in ENGINES:
        contender = f"{name}/{engine}" + "/quick" * quick
        process = Contender(__file__, contender, folder)
        servers.append(process)
        missing = away if engine == "onnx" and away else process.ready.get("missing")
        if missing:
            figures.append({"engine": engine, "missing": missing})
            continue
        for count, requests in zip(CLIENTS, each, strict=False):
            figure = {"engine": engine, "clients": count, "requests": requests}
            figure |= {"log": {way: [] for way in WAYS}}
            for way in WAYS:
                task = [process.ready["url"], count, requests, asked, way]
                pairs.append(((len(figures), way), Kept(asking, figure["log"]), task))
            figures.append(figure)
    print(f"  {name}: {len(pairs)} figures", flush=True)
    for (number, way), times in alternate(pairs, rounds).items():
        figures[number][way] = times
    for process in servers:
        process.close()
    return [
        figure if "missing" in figure else told(figure, right) for figure in figures
    ]


class Kept:
    """A contender whose answers are kept; to be timed, it gives the seconds."""

    def __init__(self, contender, log):
        self.contender, self.log = contender, log

    def __call__(self, task):
        answer = self.contender(task)
        self.log[task[-1]] += answer["answers"]
        return answer["seconds"]


def told(figure, right):
    """A figure with what follows from its log, which is long, in place of that."""
    log = figure.pop("log")
    whole, streamed = log["generate"], log["stream"]
    same = [a["text"] == right[a["body"]]["text"] for a in whole + streamed]
    tokens = [right[a["body"]]["tokens"] for a in whole]
    return figure | {
        "tokens": float(np.mean(tokens)),
        "latency": percentiles([a["seconds"] for a in whole]),
        "first": percentiles([a["first"] for a in streamed]),
        "same": float(np.mean(same)),
        "answers": len(same),
    }


def percentiles(seconds):
    return {str(p): float(np.percentile(seconds, p)) for p in (50, 95)}


# ---------------------------------------------------------------- the tables


def tables(found):
    """One for each model."""
    return [model_table(name, figures) for name, figures in found.items()]


HEADS = ("", "clients", "requests/s", "tokens/s", "answer, ms", "95%",
         "first token, ms", "95%", "the same")  # fmt: skip


def model_table(name, figures):
    lines = []
    for figure in figures:
        label = ENGINES[figure["engine"]]
        if missing := figure.get("missing"):
            lines.append(report.missing(label, missing, len(HEADS)))
            continue
        a_second = figure["clients"] * figure["requests"] / figure["generate"]["median"]
        waits = [figure[what][p] for what in ("latency", "first") for p in ("50", "95")]
        lines.append((
            label, figure["clients"], report.number(a_second),
            report.number(a_second * figure["tokens"]),
            *(report.number(1e3 * seconds) for seconds in waits),
            f"{figure['same']:.1%}",
        ))  # fmt: skip
    have = [figure for figure in figures if "missing" not in figure]
    size = sum(figure["answers"] for figure in have)
    long = max((figure["tokens"] for figure in have), default=0)
    return report.table(
        f"Clients that post at once, {name}", HEADS, lines,
        f"About {long:.0f} tokens an answer, drawn from the 50 likeliest. *95%*: what "
        "19 of 20 wait at most. *The same*: the share of answers, whole ones and "
        f"streams, that are what `minigpt.generate` writes alone; {size:,} in all.",
    )  # fmt: skip


def contender(name, folder):
    (clients if name == "clients" else server)(name, folder)


if __name__ == "__main__":
    command(__doc__, contender, measure, tables)
