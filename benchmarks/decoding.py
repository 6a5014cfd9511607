"""How fast a GPT-2 of 124 million parameters writes, beside other ways to run it.

    python benchmarks/decoding.py [--rounds 5]

The weights are random (speed does not depend on them) and the same for all: one file in
Hugging Face's layout, in a temporary folder. Measured: seconds for each new token after
a prompt of 64, greedily; reading a prompt of 512; the limit that memory sets; memory.
"""

import json
import tempfile
import time
import tracemalloc
from pathlib import Path

import memory
import numpy as np
import report
from rounds import Contender, alternate, command, serve

import minigpt as mg
from minigpt.checkpoint import write_tensors

TITLE = "(b, d, e) Writing with 124 million parameters"
PROMPT, NEW, LONG = 64, 64, 512
QUICK = {"n_layer": 1, "n_embd": 64, "n_head": 2, "n_ctx": 1024}
NO_ONNX = "minigpt writes no ONNX yet"


def prompt(length, vocab_size=50257):
    return np.random.default_rng(0).integers(0, vocab_size, length)


# ---------------------------------------------------------------- contenders


def numpy_contender(folder):
    """minigpt: the package as it is, and two loops that are plainer than it."""
    params, cfg = mg.load_gpt2(folder)
    matrix = np.ones((16384, 8192), np.float32)  # 537 MB, as the weights are 498 MB
    vector = np.ones((1, 16384), np.float32)

    def do(task):
        if task == "bandwidth":
            return timed(lambda: vector @ matrix) / matrix.nbytes
        if task == "decode":
            return per_token(lambda n: mg.generate(
                params, prompt(PROMPT), cfg, n, temperature=0))  # fmt: skip
        if task == "uncached":  # one step of the plainest loop, at 512 tokens
            ids = prompt(LONG)[None]
            return timed(lambda: mg.gpt(params, ids, cfg)[0, -1].argmax())
        if task == "prefill":
            settings = {"temperature": 0}
            return timed(lambda: mg.generate(params, prompt(LONG), cfg, 1, **settings))
        if task == "memory":
            return arrays_at_peak(params, cfg)
        if task == "peak":
            return memory.peak(lambda: mg.generate(
                params, prompt(LONG), cfg, NEW, temperature=0))  # fmt: skip
        return mg.generate(params, prompt(PROMPT), cfg, NEW, temperature=0).tolist()

    read = mg.tree.size(params) - (cfg.n_ctx - 1) * cfg.n_embd  # one row of positions
    serve({"bytes": 4 * read}, do)


def arrays_at_peak(params, cfg):
    """Bytes beside the weights at the peak of writing up to the last position."""
    tracemalloc.start()
    mg.generate(params, prompt(LONG), cfg, cfg.n_ctx - LONG, temperature=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"peak": peak, "cache": 2 * cfg.n_layer * cfg.n_ctx * cfg.n_embd * 4}


def transformers_contender(folder):
    """Hugging Face's GPT-2 on PyTorch, with its own cache."""
    try:
        import torch
        from transformers import GPT2LMHeadModel
    except ModuleNotFoundError as error:
        return serve({"missing": f"{error.name} is not installed"}, None)
    model = GPT2LMHeadModel.from_pretrained(folder).eval()

    def write(n, length=PROMPT):
        ids = torch.tensor(prompt(length))[None]
        with torch.no_grad():
            return model.generate(
                ids, max_new_tokens=n, min_new_tokens=n, do_sample=False,
                pad_token_id=0, attention_mask=torch.ones_like(ids))  # fmt: skip

    @torch.no_grad()
    def do(task):
        ids = torch.tensor(prompt(LONG))[None]
        if task == "decode":
            return per_token(write)
        if task == "peak":
            return memory.peak(lambda: write(NEW, LONG))
        if task == "forward":
            return timed(lambda: model(ids))
        if task == "forward, last":
            return timed(lambda: model(ids, logits_to_keep=1))
        return write(NEW)[0].tolist()

    serve({"version": torch.__version__, "threads": torch.get_num_threads()}, do)


def timed(run):
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def per_token(write):
    """Seconds a token, with the reading of the prompt taken off."""
    short, long = timed(lambda: write(1)), timed(lambda: write(NEW))
    return (long - short) / (NEW - 1)


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
        alternate(pairs, rounds=1)  # warm up
        found["times"] = alternate(pairs, rounds)
        found["memory"] = ours("memory")
        for contender in (ours, theirs):
            contender.close()
        for name in ("numpy", "transformers"):
            if name == "numpy" or not missing:
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
}


def tables(found):
    """Times, and what follows from them."""
    times = found["times"]
    ours = {"a token": "numpy decode", "reading": "numpy prefill"}
    lines = []
    for name, label in LABELS.items():
        if name not in times:
            lines.append(report.missing(label, found["missing"], 4))
            continue
        beside = times[ours["reading" if "reading" in label or "same" in label
                            else "a token"]]  # fmt: skip
        ratio = times[name]["median"] / beside["median"]
        size = found["peak"].get(name.split()[0]) if "decode" in name else None
        told = report.number(ratio), report.megabytes(size)
        lines.append((label, report.spread(times[name]), *told))
    lines.append(report.missing("ONNX Runtime", NO_ONNX, 4))
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
        f"{SAME[found['same text']]}.",
        "*Peak*: above the resting size, while 512 tokens are read and 64 written. "
        f"NumPy's own arrays beside weights and cache: {beside / 1e6:.1f} MB, writing "
        "up to the last position.",
    )]  # fmt: skip


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
    {"numpy": numpy_contender, "transformers": transformers_contender}[name](folder)


if __name__ == "__main__":
    command(__doc__, contender, measure, tables)
