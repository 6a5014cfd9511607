"""How surprised the model is: the number that training makes small.

Chapter: training-loss.
"""

from minigpt import ops
from minigpt.model import gpt


def next_token_loss(params, ids, targets, cfg, *, mask=None, rng=None):
    """Mean cross-entropy in nats of ``targets`` (B, T), the tokens that follow ``ids``.

    The mean is over the positions where the boolean ``mask`` (B, T) is True; all count
    without one. e to its power is the perplexity. ``rng`` turns dropout on.
    """
    logits = gpt(params, ids, cfg, rng=rng)
    return ops.cross_entropy(logits, targets, mask)
