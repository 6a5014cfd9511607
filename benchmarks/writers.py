"""Who writes with 124 million parameters, each in a process of its own: minigpt,
`transformers` on PyTorch, and ONNX Runtime."""

import time
import tracemalloc
from pathlib import Path

import memory
import numpy as np
from rounds import serve

import minigpt as mg

PROMPT, NEW, LONG = 64, 64, 512  # tokens
GRAPH = "model.onnx"  # in the folder of the weights


def prompt(length, vocab_size=50257):
    return np.random.default_rng(0).integers(0, vocab_size, length)


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


def onnx_contender(folder):
    """ONNX Runtime with our graph, keys and values as inputs and outputs."""
    try:
        import onnxruntime

        from minigpt.onnx_model import OnnxModel
    except ModuleNotFoundError as error:
        return serve({"missing": f"{error.name} is not installed"}, None)
    model = OnnxModel(Path(folder) / GRAPH)
    cfg, options = model.cfg, model.session.get_session_options()

    def write(n, length=PROMPT):
        return mg.generate(model, prompt(length), cfg, n, temperature=0)

    def do(task):
        if task == "decode":
            return per_token(write)
        if task == "prefill":
            return timed(lambda: write(1, LONG))
        if task == "peak":
            return memory.peak(lambda: write(NEW, LONG))
        return write(NEW).tolist()

    threads = options.intra_op_num_threads
    serve({"version": onnxruntime.__version__, "threads": threads}, do)


def timed(run):
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def per_token(write):
    """Seconds a token, with the reading of the prompt taken off."""
    short, long = timed(lambda: write(1)), timed(lambda: write(NEW))
    return (long - short) / (NEW - 1)


CONTENDERS = {
    "numpy": numpy_contender,
    "transformers": transformers_contender,
    "onnx": onnx_contender,
}
