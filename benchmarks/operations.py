"""How many floating-point operations a step takes, by formula.

Only matrix products are counted, an addition and a multiplication as two. A weight is
used once forward and twice on the way back (for the gradient of its input and for its
own), hence 6 a weight and token: the count of Kaplan and others 2020. Attention adds
two products of every position with every position. `causal` counts the half that the
mask leaves; without it the whole square, which is what the usual figures count
(Chowdhery and others 2022, appendix B).
"""


def step_operations(cfg, batch_size, causal=False):
    """Operations of forward and backward of one batch of full length."""
    T, C, L = cfg.n_ctx, cfg.n_embd, cfg.n_layer
    weights = 12 * L * C * C + cfg.vocab_size * C  # a token's multiplications
    seen = (T + 1) / 2 if causal else T  # positions that a query looks at
    attention = 2 * L * seen * C  # with the keys, then with the values
    return 6.0 * batch_size * T * (weights + attention)


def product_operations(n):
    """Operations of a product of two matrices (n, n)."""
    return 2.0 * n * n * n


def parameters(cfg):
    """How many numbers the model has, the position table included."""
    C, L = cfg.n_embd, cfg.n_layer
    return (cfg.vocab_size + cfg.n_ctx + 2) * C + L * (12 * C * C + 13 * C)
