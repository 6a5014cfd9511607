"""Golden numbers: what Hugging Face's GPT-2 computes from weights that anyone can draw.

``python tests/golden/make_golden.py`` writes a JSON file for each case beside itself,
with `torch` and `transformers` (requirements-parity.txt). tests/test_golden.py compares
minigpt with the files, and needs neither; tests/test_parity_gpt2.py makes them anew and
compares, and takes its models from here.

The numbers are float64. Weights are drawn from the bits of PCG64, which NumPy promises
to keep (NEP 19), and not from its distributions, which it may improve; they go through
exact operations and one rounding to float32, so that they are the same bits everywhere.
"""

import hashlib
import json
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

import minigpt as mg

FOLDER = Path(__file__).parent


class Case(NamedTuple):
    cfg: mg.Config
    seed: int
    untied: bool = False  # a matrix of its own for the output, not that of the input
    rows: int = 2  # B
    length: int = 9  # T


CASES = {
    "small": Case(mg.Config(37, n_ctx=24, n_embd=24, n_layer=3, n_head=4), 15),
    "untied": Case(
        mg.Config(31, n_ctx=19, n_embd=35, n_layer=2, n_head=5, layer_norm_eps=1e-3),
        seed=9,
        untied=True,
        rows=3,
        length=5,
    ),
    "124M": Case(mg.Config.preset("124M"), 14, rows=1, length=16),
}
COLUMNS = 40  # of a large vocabulary, so many logits are kept, evenly spread
GREEDY = 12  # how many tokens follow each row


# ---------------------------------------------------------------- what anyone can draw


def bits_to_numbers(bits, shape, deviation, mean=0.0, dtype="float32"):
    """Evenly spread numbers from the next raw bits of a generator."""
    raw = bits.random_raw(math.prod(shape)) >> 11
    even = raw * 2.0**-52 - 1.0  # exact: a multiple of 2**-52 from -1 up to 1
    return (mean + deviation * math.sqrt(3) * even).astype(dtype).reshape(shape)


def weights(cfg, seed, untied=False, dtype="float32"):
    """``{name: array}`` of a GPT-2 in which every term counts.

    At the usual deviation of 0.02 attention is uniform, GELU straight and each logit
    near 0, so that a wrong model looks right. Here the scores of attention spread by
    about 2 and GELU's inputs by about 1.5; embeddings are small, as GPT-2's are, so
    that layer norm's epsilon shows; ``ln_f`` makes logits that spread by about 4.
    """
    bits, C, flat = np.random.PCG64(seed), cfg.n_embd, {}

    def draw(name, *shape, deviation, mean=0.0):
        flat[name] = bits_to_numbers(bits, shape, deviation, mean, dtype)

    def linear(name, n_in, n_out, gain):
        draw(f"{name}.weight", n_in, n_out, deviation=gain / math.sqrt(n_in))
        draw(f"{name}.bias", n_out, deviation=0.1)

    def norm(name, mean=1.0):
        draw(f"{name}.weight", C, deviation=0.2 * mean, mean=mean)
        draw(f"{name}.bias", C, deviation=0.1 * mean)

    draw("wte.weight", cfg.vocab_size, C, deviation=0.1)
    draw("wpe.weight", cfg.n_ctx, C, deviation=0.2)
    for i in range(cfg.n_layer):
        norm(f"h.{i}.ln_1")
        linear(f"h.{i}.attn.c_attn", C, 3 * C, gain=1.5)
        linear(f"h.{i}.attn.c_proj", C, C, gain=1.0)
        norm(f"h.{i}.ln_2")
        linear(f"h.{i}.mlp.c_fc", C, 4 * C, gain=1.5)
        linear(f"h.{i}.mlp.c_proj", 4 * C, C, gain=0.3)
    norm("ln_f", mean=40 / math.sqrt(C))
    if untied:
        draw("lm_head.weight", cfg.vocab_size, C, deviation=0.1)
    return flat


def tokens(cfg, seed, rows, length):  # -> (B, T + 1)
    """Random ids, one more than the model reads: shifted by one they are targets."""
    raw = np.random.PCG64([seed, 1]).random_raw(rows * (length + 1))
    return (raw % np.uint64(cfg.vocab_size)).astype(np.int64).reshape(rows, -1)


def digest(flat):
    """A fingerprint of the weights: when it differs, no number below can agree."""
    whole = hashlib.sha256()
    for name, array in flat.items():
        whole.update(name.encode() + array.astype("<f4").tobytes())
    return whole.hexdigest()


def columns(cfg):
    """The vocabulary's ids whose logits are kept: all of a small one."""
    return np.arange(0, cfg.vocab_size, max(1, cfg.vocab_size // COLUMNS))


# ---------------------------------------------------------------- the reference


def reference(cfg, flat, dtype="float64", **settings):
    """A ``GPT2LMHeadModel`` of these weights, as `transformers` computes it."""
    import torch
    import transformers

    config = transformers.GPT2Config(
        vocab_size=cfg.vocab_size,
        n_positions=cfg.n_ctx,
        n_embd=cfg.n_embd,
        n_layer=cfg.n_layer,
        n_head=cfg.n_head,
        layer_norm_epsilon=cfg.layer_norm_eps,
        tie_word_embeddings="lm_head.weight" not in flat,
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
        **dict.fromkeys(("bos_token_id", "eos_token_id")),
        **settings,
    )
    model = transformers.GPT2LMHeadModel(config).eval().to(getattr(torch, dtype))
    theirs = dict(model.named_parameters())
    with torch.no_grad():
        for name, array in flat.items():
            name = name if name == "lm_head.weight" else f"transformer.{name}"
            tensor = theirs.pop(name)
            assert tuple(tensor.shape) == array.shape, name
            tensor.copy_(torch.from_numpy(array))
    assert not theirs, f"no weights were drawn for {sorted(theirs)}"
    return model


def logits_of(model, ids):  # (B, T) -> (B, T, V)
    import torch

    with torch.no_grad():
        return model(torch.from_numpy(ids)).logits.numpy()


def logits_loss_gradients(model, ids, targets):
    """``(logits, loss, {name: gradient})`` of the reference in its own precision.

    Not from ``labels=``, which computes the loss in float32 whatever the model is."""
    import torch

    logits = model(torch.from_numpy(ids)).logits
    wanted = torch.from_numpy(targets).flatten()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted)
    model.zero_grad()
    loss.backward()
    grads = {
        name.removeprefix("transformer."): p.grad.numpy()
        for name, p in model.named_parameters()
    }
    return logits.detach().numpy(), loss.item(), grads


def greedy(model, ids, count, **settings):
    """``(ids, gaps)``: greedy continuations (B, T + count) by the reference's own
    ``generate``, and by how much each new token's logit beat the next (B, count)."""
    import torch

    ids = torch.from_numpy(ids)
    out = model.generate(
        ids,
        max_new_tokens=count,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
        **({"attention_mask": torch.ones_like(ids), "pad_token_id": 0} | settings),
    )
    best = torch.stack(out.logits, dim=1).topk(2).values.numpy()
    return out.sequences.numpy(), best[..., 0] - best[..., 1]


def numbers(case):
    """Everything that the file of a case holds."""
    import torch
    import transformers

    flat = weights(case.cfg, case.seed, case.untied)
    ids = tokens(case.cfg, case.seed, case.rows, case.length)
    ids, targets = ids[:, :-1].copy(), ids[:, 1:].copy()
    model = reference(case.cfg, flat)
    sequences, gaps = greedy(model, ids, GREEDY)
    logits, loss, grads = logits_loss_gradients(model, ids, targets)
    return {
        "made with": {lib.__name__: lib.__version__ for lib in (torch, transformers)},
        "weights sha256": digest(flat),
        "ids": ids.tolist(),
        "targets": targets.tolist(),
        "logits": rounded(logits[..., columns(case.cfg)]),
        "logsumexp": rounded(torch.from_numpy(logits).logsumexp(-1).numpy()),
        "loss": loss,
        "greedy": sequences.tolist(),
        "least gap": float(gaps.min()),
        # a norm would not see two entries exchanged: the product with the weights does
        "gradients": {
            name: [float(np.linalg.norm(g)), float((g * flat[name]).sum())]
            for name, g in grads.items()
        },
    }


def rounded(array):
    """Nested lists with 12 places, which is a thousandth of the tolerance."""
    return np.round(array.astype(np.float64), 12).tolist()


def main():
    for name in sys.argv[1:] or CASES:
        content = json.dumps(numbers(CASES[name]), indent=0)
        path = FOLDER / f"{name}.json"
        path.write_text(content + "\n", "utf-8")
        print(f"{path}: {len(content):,} characters")


if __name__ == "__main__":
    main()
