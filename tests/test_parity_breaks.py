"""Can the comparisons with Hugging Face's GPT-2 fail? Wrong models must be far off.

The usual mistakes, made on purpose: each moves some logit by ten times the tolerance of
the tests in test_parity_gpt2.py, which have the same models.
"""

import dataclasses

import numpy as np
import pytest
from golden.make_golden import CASES, logits_of, reference, tokens, weights
from small_model import import_or_skip

import minigpt as mg

torch = import_or_skip("torch")
import_or_skip("transformers")

FAR = 10 * 1e-4
CFG, SEED = CASES["small"].cfg, CASES["small"].seed
IDS = tokens(CFG, SEED, 3, CFG.n_ctx)[:, :-1].copy()


@pytest.mark.parametrize("case", [CASES["small"], CASES["untied"]], ids=str)
def test_the_models_are_no_easy_ones(case):
    """Attention is far from uniform, GELU in its curve, the logits far apart."""
    cfg = case.cfg
    model = reference(cfg, weights(*case[:3]), attn_implementation="eager")
    inputs = []
    for block in model.transformer.h:
        block.mlp.c_fc.register_forward_hook(lambda *call: inputs.append(call[2]))
    ids = torch.from_numpy(tokens(cfg, 0, 4, cfg.n_ctx - 1))
    with torch.no_grad():
        out = model(ids, output_attentions=True)
    uniform = torch.arange(1, cfg.n_ctx + 1).log()
    for p in out.attentions:
        nats = torch.special.entr(p).sum(-1)
        assert (nats[..., 1:] / uniform[1:]).mean() < 0.8
    for x in inputs:
        assert 1.0 < x.std() < 3.0 and (x.abs() < 3).double().mean() > 0.9
    assert out.logits.std() > 3


def exchange_q_and_k(flat, cfg):
    for name in [n for n in flat if ".c_attn." in n]:
        q, k, v = np.split(flat[name], 3, axis=-1)
        flat[name] = np.concatenate([k, q, v], axis=-1)


def q_k_v_by_head(flat, cfg):
    for name in [n for n in flat if ".c_attn." in n]:
        cut = flat[name].reshape(*flat[name].shape[:-1], 3, cfg.n_head, -1)
        flat[name] = np.swapaxes(cut, -3, -2).reshape(flat[name].shape)


def no_scaling(flat, cfg):
    for name in [n for n in flat if ".c_attn." in n]:
        flat[name][..., : cfg.n_embd] *= np.sqrt(cfg.n_embd / cfg.n_head)


def positions_off_by_one(flat, cfg):
    flat["wpe.weight"] = np.roll(flat["wpe.weight"], 1, axis=0)


def transpose_c_proj(flat, cfg):
    for name in [n for n in flat if n.endswith("attn.c_proj.weight")]:
        flat[name] = flat[name].T


def forget_a_bias(flat, cfg):
    flat["h.1.attn.c_proj.bias"][:] = 0


def exchange_two_layers(flat, cfg):
    for name in [n for n in flat if n.startswith("h.1.")]:
        other = name.replace("h.1.", "h.2.")
        flat[name], flat[other] = flat[other], flat[name]


def tie_what_is_untied(flat, cfg):
    del flat["lm_head.weight"]


BREAKS = [exchange_q_and_k, q_k_v_by_head, no_scaling, positions_off_by_one]
BREAKS += [transpose_c_proj, forget_a_bias, exchange_two_layers, tie_what_is_untied]


@pytest.mark.parametrize("wrong", BREAKS, ids=lambda f: f.__name__)
def test_a_wrong_model_differs_by_ten_tolerances(wrong):
    flat = weights(CFG, SEED, untied=True)
    right = logits_of(reference(CFG, flat, "float32"), IDS)
    wrong(flat, CFG)
    ours = mg.gpt(mg.tree.unflatten(flat), IDS, CFG)
    assert np.abs(ours - right).max() > FAR


def test_a_wrong_curve_or_epsilon_differs_by_ten_tolerances():
    flat = weights(CFG, SEED)
    params = mg.tree.unflatten(flat)
    exact = logits_of(reference(CFG, flat, activation_function="gelu"), IDS)
    assert np.abs(mg.gpt(params, IDS, CFG) - exact).max() > FAR
    right = logits_of(reference(CFG, flat), IDS)
    other = dataclasses.replace(CFG, layer_norm_eps=1e-6)
    assert np.abs(mg.gpt(params, IDS, other) - right).max() > FAR
