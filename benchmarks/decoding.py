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

import numpy as np
from rounds import Contender, alternate, command, machine, serve

import minigpt as mg
from minigpt.checkpoint import write_tensors

PROMPT, NEW, LONG = 64, 64, 512


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
            return memory(params, cfg)
        return mg.generate(params, prompt(PROMPT), cfg, NEW, temperature=0).tolist()

    serve({"parameters": sum(a.size for a in mg.tree.flatten(params).values())}, do)


def memory(params, cfg):
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

    def write(n):
        ids = torch.tensor(prompt(PROMPT))[None]
        with torch.no_grad():
            return model.generate(
                ids, max_new_tokens=n, min_new_tokens=n, do_sample=False,
                pad_token_id=0, attention_mask=torch.ones_like(ids))  # fmt: skip

    @torch.no_grad()
    def do(task):
        ids = torch.tensor(prompt(LONG))[None]
        if task == "decode":
            return per_token(write)
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


def save_random(folder):
    """A GPT-2 of 124 million random numbers, as Hugging Face lays it out."""
    cfg = mg.Config.preset("gpt2")
    write_tensors(Path(folder) / "model.safetensors", mg.tree.flatten(mg.init(cfg)))
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}
    config |= {"bos_token_id": 50256, "eos_token_id": 50256}
    (Path(folder) / "config.json").write_text(json.dumps(config))


def measure(rounds=5):
    """Every figure, as ``{name: value}``; times are medians, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        save_random(folder)
        ours = Contender(__file__, "numpy", folder)
        theirs = Contender(__file__, "transformers", folder)
        tasks = ["bandwidth", "decode", "uncached", "prefill"]
        pairs = [(f"numpy {task}", ours, task) for task in tasks]
        if missing := theirs.ready.get("missing"):
            same = missing
        else:
            tasks = ["decode", "forward", "forward, last"]
            pairs += [(f"transformers {task}", theirs, task) for task in tasks]
            same = ours("text") == theirs("text")
        alternate(pairs, rounds=1)  # warm up
        times = alternate(pairs, rounds)
        held = ours("memory")
        for contender in (ours, theirs):
            contender.close()
    positions = 1024 * 768  # of the position table, one row is read
    read = 4 * (ours.ready["parameters"] - positions)
    return {"times": times, "bytes": read, "memory": held, "same text": same,
            "machine": machine(), "rounds": rounds}  # fmt: skip


def show(found):
    times = {name: t["median"] for name, t in found["times"].items()}
    decode, limit = times["numpy decode"], times["numpy bandwidth"] * found["bytes"]
    for name, value in found["machine"].items():
        print(f"{name:10} {value}")
    print(f"\nmedians of {found['rounds']} rounds that took turns\n")
    for name, t in found["times"].items():
        if name == "numpy bandwidth":
            print(f"{'memory, GB a second':30} {1e-9 / t['median']:9.1f}")
            continue
        spread = f"({1e3 * t['least']:.1f} to {1e3 * t['greatest']:.1f})"
        print(f"{name + ', ms':30} {1e3 * t['median']:9.1f}  {spread}")
    print(f"\n{'tokens a second':44} {1 / decode:8.1f}")
    print(f"{'share of what memory allows':44} {limit / decode:8.1%}")
    print(f"{'an uncached step at 512 / a cached':44} "
          f"{times['numpy uncached'] / decode:8.1f}")  # fmt: skip
    if "transformers decode" in times:
        for name, a, b in (
            ("transformers / ours, a token", "transformers decode", "numpy decode"),
            ("reading 512 / torch's forward", "numpy prefill", "transformers forward"),
            ("… / its forward with the last logits only", "numpy prefill",
             "transformers forward, last"),
        ):  # fmt: skip
            print(f"{name:44} {times[a] / times[b]:8.2f}")
    print(f"{'the same greedy text as transformers':44} {found['same text']!s:>8}")
    beside = found["memory"]["peak"] - found["memory"]["cache"]
    print(f"{'MB beside weights and cache, at the peak':44} {beside / 1e6:8.1f}")


def contender(name, folder):
    {"numpy": numpy_contender, "transformers": transformers_contender}[name](folder)


if __name__ == "__main__":
    command(__doc__, contender, lambda rounds: show(measure(rounds)))
