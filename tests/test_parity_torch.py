"""The whole model's logits, loss, gradient and updates against PyTorch.

The reference is written here on its own, with PyTorch's own layer norm, GELU, attention
and cross-entropy; `transformers` gives a second one.
"""

import numpy as np
import pytest
from small_model import batch, close, import_or_skip, noisy

import minigpt as mg
from minigpt import optim, tree

torch = import_or_skip("torch")
F = torch.nn.functional

WIDE = mg.Config(vocab_size=61, n_ctx=24, n_embd=48, n_layer=3, n_head=4)
PRECISION = [(np.float64, 1e-9), (np.float32, 1e-4)]
each_precision = pytest.mark.parametrize("dtype, tolerance", PRECISION)


def torch_gpt(p, ids, cfg):
    """GPT-2 in PyTorch, from flat names to tensors."""
    x = p["wte.weight"][ids] + p["wpe.weight"][: ids.shape[1]]
    for i in range(cfg.n_layer):
        x = torch_block(x, lambda name, i=i: p[f"h.{i}.{name}"], cfg)
    x = torch_norm(x, lambda name: p[name], "ln_f")
    return x @ p.get("lm_head.weight", p["wte.weight"]).T


def torch_block(x, p, cfg):
    B, T, C = x.shape
    qkv = torch_linear(torch_norm(x, p, "ln_1"), p, "attn.c_attn").split(C, dim=2)
    q, k, v = (a.view(B, T, cfg.n_head, -1).transpose(1, 2) for a in qkv)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + torch_linear(y.transpose(1, 2).reshape(B, T, C), p, "attn.c_proj")
    hidden = torch_linear(torch_norm(x, p, "ln_2"), p, "mlp.c_fc")
    return x + torch_linear(F.gelu(hidden, approximate="tanh"), p, "mlp.c_proj")


def torch_linear(x, p, name):
    return F.linear(x, p(f"{name}.weight").T, p(f"{name}.bias"))


def torch_norm(x, p, name):
    return F.layer_norm(x, x.shape[-1:], p(f"{name}.weight"), p(f"{name}.bias"))


def torch_loss(params, ids, targets, cfg, mask):
    """``(logits, loss, gradients)`` of the reference."""
    p = {n: torch.tensor(a) for n, a in tree.flatten(params).items()}
    for tensor in p.values():
        tensor.requires_grad = True
    logits = torch_gpt(p, torch.as_tensor(ids), cfg)
    wanted = np.where(mask, targets, -100)  # what PyTorch leaves out
    loss = F.cross_entropy(logits.flatten(0, 1), torch.as_tensor(wanted).flatten())
    loss.backward()
    grads = {n: t.grad.numpy() for n, t in p.items()}
    return logits.detach().numpy(), loss.item(), grads


@each_precision
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("untied", [False, True])
def test_the_whole_gpt(dtype, tolerance, masked, untied):
    params = noisy(WIDE, dtype)
    if untied:
        params["lm_head"] = {"weight": noisy(WIDE, dtype, seed=9)["wte"]["weight"]}
    ids, targets, mask = batch(WIDE, rows=4)
    mask = mask if masked else np.ones_like(mask)
    logits, loss, expected = torch_loss(params, ids, targets, WIDE, mask)
    value, grads = mg.value_and_grad(mg.next_token_loss)(
        params, ids, targets, WIDE, mask=mask if masked else None
    )
    grads = tree.flatten(grads)
    assert set(grads) == set(expected) and len(grads) == 40 + untied
    assert all(np.isfinite(g).all() and g.dtype == dtype for g in grads.values())
    assert close(grads, expected, tolerance)
    assert close({"": mg.gpt(params, ids, WIDE)}, {"": logits}, tolerance)
    assert float(value) == pytest.approx(loss, rel=tolerance)


@each_precision
def test_adamw(dtype, tolerance):
    params = noisy(dtype=dtype)
    state = optim.adamw_init(params)
    theirs = {n: torch.tensor(a) for n, a in tree.flatten(params).items()}
    matrices = [t for t in theirs.values() if t.ndim >= 2]
    vectors = [t for t in theirs.values() if t.ndim < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": 0.3},
            {"params": vectors, "weight_decay": 0.0},
        ],
        betas=(0.8, 0.9),
    )
    rng = np.random.default_rng(0)
    for step in range(1, 21):
        lr = optim.cosine_schedule(step, steps=20, lr=1e-2, min_lr=1e-3, warmup=4)
        grads = tree.map(lambda a: rng.standard_normal(a.shape).astype(dtype), params)
        for name, g in tree.flatten(grads).items():
            theirs[name].grad = torch.tensor(g)
        norm = torch.nn.utils.clip_grad_norm_(theirs.values(), 5.0)
        assert optim.clip(grads, 5.0) == pytest.approx(norm.item(), rel=tolerance)
        for name, g in tree.flatten(grads).items():  # PyTorch divides by norm + 1e-6
            np.testing.assert_allclose(g, theirs[name].grad, rtol=1e-6)
            theirs[name].grad = torch.tensor(g)
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        settings = {"lr": lr, "betas": (0.8, 0.9), "weight_decay": 0.3}
        optim.adamw_update(params, grads, state, **settings)
    expected = {n: t.numpy() for n, t in theirs.items()}
    assert close(params, expected, 1e-12 if dtype == np.float64 else 1e-6)
