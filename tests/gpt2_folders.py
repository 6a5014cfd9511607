"""Small models and tokenizers in the layouts of GPT-2's publishers."""

import dataclasses
import json

import numpy as np
from small_model import noisy

import minigpt as mg
from minigpt import checkpoint, tree
from minigpt.gpt2_files import byte_alphabet

SMALL = mg.Config(vocab_size=258, n_ctx=4, n_embd=4, n_layer=1, n_head=2)
WHOLE = dataclasses.replace(SMALL, vocab_size=50257)


def write_tokenizer(folder, merge="a b", names=("merges.txt", "vocab.json")):
    """GPT-2's two files, for 256 bytes, one merge and the end of a text: 258 tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = [*byte_alphabet().values(), merge.replace(" ", ""), "<|endoftext|>"]
    (folder / names[0]).write_text(f"#version: 0.2\n{merge}\n", encoding="utf-8")
    (folder / names[1]).write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    return folder


def write_gpt2(folder, cfg=SMALL):
    """A folder in Hugging Face's layout, with the tokenizer.json that is theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    params = noisy(cfg, np.float32)
    checkpoint.write_tensors(folder / "model.safetensors", tree.flatten(params))
    config = {"n_head": cfg.n_head, "model_type": "gpt2"}
    (folder / "config.json").write_text(json.dumps(config))
    theirs = {"version": "1.0", "added_tokens": [], "model": {"type": "WordPiece"}}
    (folder / "tokenizer.json").write_text(json.dumps(theirs))
    return params


def merged(tok):
    """The one token of two letters, which tells the tokenizers of the tests apart."""
    return tok.decode([256])
