"""How fast a GPT-2 of 124 million parameters writes, beside other ways to run it.

    python benchmarks/decoding.py [--rounds 5]

The weights are random (speed does not depend on them) and the same for all: one file in
Hugging Face's layout, in a temporary folder. Measured: seconds for each new token after
a prompt of 64, greedily; reading a prompt of 512; the limit that memory sets; memory.
"""

import json
import tempfile
from pathlib import Path

import report
from rounds import Contender, alternate, command
from writers import CONTENDERS, GRAPH

import minigpt as mg
from minigpt.checkpoint import write_tensors

TITLE = "(b, d, e) Writing with 124 million parameters"
QUICK = {"n_layer": 1, "n_embd": 64, "n_head": 2, "n_ctx": 1024}
UNMEASURED = "not measured"  # of results that are older than a contender


# ---------------------------------------------------------------- the table


def save_random(folder, cfg):
    """A GPT-2 of random numbers, 124 million unless it is a try, as Hugging Face lays
    it out."""
    write_tensors(Path(folder) / "model.safetensors", mg.tree.flatten(mg.init(cfg)))
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}
    names = "vocab_size", "n_embd", "n_layer", "n_head"
    config |= {name: getattr(cfg, name) for name in names}
    config |= {"n_positions": cfg.n_ctx, "n_ctx": cfg.n_ctx}
    config |= {"bos_token_id": 50256, "eos_token_id": 50256}
    (Path(folder) / "config.json").write_text(json.dumps(config))


def export_graph(folder):
    """Write the graph of the model in a folder; why there is none, or None."""
    from minigpt.export import export

    try:
        export(*mg.load_gpt2(folder), Path(folder) / GRAPH, cache=True)
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed"
    return None


def peak(name, folder):
    """The memory of reading 512 tokens and writing 64, in a process of its own that
    has written a little before: bytes, or None."""
    process = Contender(__file__, name, folder)
    process("text")
    answer = process("peak")
    process.close()
    return answer["bytes"]


def measure(rounds=5, quick=False):
    """Every figure, as ``{name: value}``; times are in seconds."""
    cfg = mg.Config(**QUICK) if quick else mg.Config.preset("gpt2")
    with tempfile.TemporaryDirectory() as folder:
        save_random(folder, cfg)
        ours = Contender(__file__, "numpy", folder)
        theirs = Contender(__file__, "transformers", folder)
        tasks = ["bandwidth", "decode", "uncached", "prefill"]
        pairs = [(f"numpy {task}", ours, task) for task in tasks]
        found = {"bytes": ours.ready["bytes"], "peak": {}}
        if missing := theirs.ready.get("missing"):
            found |= {"missing": missing, "same text": None}
        else:
            tasks = ["decode", "forward", "forward, last"]
            pairs += [(f"transformers {task}", theirs, task) for task in tasks]
            found["same text"] = ours("text") == theirs("text")
        away = export_graph(folder)
        graph = None if away else Contender(__file__, "onnx", folder)
        found["onnx"] = {"missing": away} if away else dict(graph.ready)
        if "missing" not in found["onnx"]:
            pairs += [(f"onnx {task}", graph, task) for task in ("decode", "prefill")]
            found["onnx"]["same text"] = ours("text") == graph("text")
        alternate(pairs, rounds=1)  # warm up
        found["times"] = alternate(pairs, rounds)
        found["memory"] = ours("memory")
        for contender in filter(None, (ours, theirs, graph)):
            contender.close()
        for name in dict.fromkeys(label.split()[0] for label, _, _ in pairs):
            found["peak"][name] = peak(name, folder)
    return found


SAME = {True: "yes", False: "**no**", None: "not compared"}
LABELS = {
    "numpy decode": "minigpt, a token",
    "transformers decode": "transformers, a token",
    "numpy uncached": "an uncached loop, a token after 512",
    "numpy prefill": "minigpt, reading 512 tokens",
    "transformers forward": "transformers, reading 512 tokens",
    "transformers forward, last": "transformers, the same with the last logits only",
    "onnx decode": "ONNX Runtime, a token",
    "onnx prefill": "ONNX Runtime, reading 512 tokens",
}


def tables(found):
    """Times, and what follows from them."""
    times = found["times"]
    ours = {"a token": "numpy decode", "reading": "numpy prefill"}
    onnx = found.get("onnx", {"missing": UNMEASURED})
    why = {"transformers": found.get("missing"), "onnx": onnx.get("missing")}
    lines = []
    for name, label in LABELS.items():
        if name not in times:
            lines.append(report.missing(label, why[name.split()[0]], 4))
            continue
        beside = times[ours["reading" if "reading" in label or "same" in label
                            else "a token"]]  # fmt: skip
        ratio = times[name]["median"] / beside["median"]
        size = found["peak"].get(name.split()[0]) if "decode" in name else None
        told = report.number(ratio), report.megabytes(size)
        lines.append((label, report.spread(times[name]), *told))
    heads = "", "ms", "× minigpt", "peak MB"
    limit = times["numpy bandwidth"]["median"] * found["bytes"]
    decode = times["numpy decode"]["median"]
    beside = found["memory"]["peak"] - found["memory"]["cache"]
    return [report.table(
        "Greedy writing after a prompt of 64 tokens", heads, lines,
        f"{1 / decode:,.1f} tokens a second, {limit / decode:.0%} of what memory "
        f"allows: each token reads {found['bytes'] / 1e6:,.0f} MB, at "
        f"{1e-9 / times['numpy bandwidth']['median']:.1f} GB a second.",
        "The same greedy text as transformers: "
        f"{SAME[found['same text']]}; under ONNX Runtime: "
        f"{SAME[onnx.get('same text')]}{runtime(onnx)}.",
        "*Peak*: above the resting size, while 512 tokens are read and 64 written. "
        f"NumPy's own arrays beside weights and cache: {beside / 1e6:.1f} MB, writing "
        "up to the last position.",
    )]  # fmt: skip


def runtime(onnx):
    """Which ONNX Runtime it was, in brackets."""
    if "missing" in onnx:
        return ""
    return " (version {version}, {threads} threads)".format(**onnx)


def reached(found):
    """What is to be reached, see `report.targets`."""
    times = {name: t["median"] for name, t in found["times"].items()}
    share = times["numpy bandwidth"] * found["bytes"] / times["numpy decode"]
    uncached = times["numpy uncached"] / times["numpy decode"]
    theirs, forward = None, None
    if "transformers decode" in times:
        theirs = times["transformers decode"] / times["numpy decode"]
        forward = times["numpy prefill"] / times["transformers forward"]
    beside = (found["memory"]["peak"] - found["memory"]["cache"]) / 1e6
    return [
        ("a token: share of what memory allows", share, ">= 0.8"),
        ("a token: seconds of transformers / ours", theirs, ">= 2.2"),
        ("an uncached step at 512 tokens / a cached one", uncached, ">= 25"),
        ("reading 512 tokens: seconds / torch's forward", forward, "<= 1.2"),
        ("MB beside weights and cache", beside, "<= 100"),
    ]


def contender(name, folder):
    CONTENDERS[name](folder)


if __name__ == "__main__":
    command(__doc__, contender, measure, tables)
