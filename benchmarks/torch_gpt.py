"""The same GPT in PyTorch, as one writes it there: modules, its own fused attention.

It begins with a minigpt model's weights and takes the same steps: clipping, AdamW with
decay on matrices only. Imported by contenders only, since PyTorch may not be installed.
"""

import torch
from torch import nn
from torch.nn import functional as F

from minigpt import tree


class Block(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        C, eps = cfg.n_embd, cfg.layer_norm_eps
        self.n_head = cfg.n_head
        self.ln_1, self.ln_2 = nn.LayerNorm(C, eps), nn.LayerNorm(C, eps)
        self.c_attn, self.attn_proj = nn.Linear(C, 3 * C), nn.Linear(C, C)
        self.c_fc, self.mlp_proj = nn.Linear(C, 4 * C), nn.Linear(4 * C, C)

    def forward(self, x):  # (B, T, C) -> (B, T, C)
        B, T, C = x.shape
        qkv = self.c_attn(self.ln_1(x)).split(C, dim=2)
        q, k, v = (a.view(B, T, self.n_head, -1).transpose(1, 2) for a in qkv)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_proj(y.transpose(1, 2).reshape(B, T, C))
        hidden = F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh")
        return x + self.mlp_proj(hidden)


class GPT(nn.Module):
    def __init__(self, params, cfg):
        super().__init__()
        self.wte = nn.Embedding(cfg.vocab_size, cfg.n_embd)
        self.wpe = nn.Embedding(cfg.n_ctx, cfg.n_embd)
        self.h = nn.ModuleList([Block(cfg) for _ in range(cfg.n_layer)])
        self.ln_f = nn.LayerNorm(cfg.n_embd, cfg.layer_norm_eps)
        arrays = tree.flatten(params)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(torch.tensor(self.here(name, arrays[self.ours(name)])))

    def forward(self, ids, targets):  # 2 x (B, T) -> ()
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.h:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.wte.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    @staticmethod
    def ours(name):
        """The name that minigpt (and GPT-2) has for a parameter."""
        for part in ("c_attn", "c_fc"):
            name = name.replace(part, ("attn." if part == "c_attn" else "mlp.") + part)
        return name.replace("attn_proj", "attn.c_proj").replace(
            "mlp_proj", "mlp.c_proj"
        )

    @staticmethod
    def here(name, array):
        """An array as PyTorch lays it out: weights of linear layers are (out, in)."""
        linear = array.ndim == 2 and name.startswith("h.")
        return array.T if linear else array


def adamw(model, settings, **choice):
    """PyTorch's AdamW for a model, with decay on matrices only."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, **choice)


def step(loss, model, optimizer, ids, targets, lr, clip):
    """One step of training; ``loss`` is the model or what was compiled of it."""
    value = loss(ids, targets)
    value.backward()
    if clip:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return value.item()
