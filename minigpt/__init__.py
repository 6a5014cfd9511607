"""A GPT in NumPy: tokenizer, model, derivatives, training and generation.

>>> import minigpt as mg
>>> params, cfg, tok = mg.load("tales")
>>> ids = tok.encode("Once")
>>> text = tok.decode(mg.generate(params, ids, cfg, 40, seed=1))
"""

import importlib

from minigpt import tree
from minigpt.autodiff import check_grads, value_and_grad, without_gradient
from minigpt.checkpoint import load, save
from minigpt.generate import generate, stream
from minigpt.gpt2_weights import load_gpt2
from minigpt.loss import next_token_loss
from minigpt.model import Config, gpt, init
from minigpt.tokenizer import BPETokenizer, CharTokenizer, WordTokenizer
from minigpt.train import fit

__version__ = "0.1.0"

__all__ = ["BPETokenizer", "CharTokenizer", "Config", "WordTokenizer", "check_grads"]
__all__ += ["fit", "generate", "gpt", "init", "load", "load_gpt2", "next_token_loss"]
__all__ += ["save", "stream", "tree", "value_and_grad", "without_gradient"]


def __getattr__(name):
    """Modules with heavier imports (``mg.plots``, ``mg.data``, …) on first use."""
    try:
        return importlib.import_module(f"minigpt.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"minigpt.{name}":
            raise
        raise AttributeError(f"module 'minigpt' has no attribute {name!r}") from None
