"""The text that `minigpt train` learns from: read, cut into tokens, split."""

from pathlib import Path

from minigpt.cli import files
from minigpt.cli.options import SHIPPED

STORIES = 1_000, 100_000  # tales that are told for a run, at least and at most


def read(file, lines, wanted, seed):
    """One long text, or a list of whole texts: tales (about as many as are ``wanted``)
    or with ``lines`` those of the file that are not blank, shuffled.

    Raises ``FileNotFoundError`` and ``ValueError`` with what would do.
    """
    import numpy as np

    from minigpt import tales

    if file == SHIPPED and not Path(file).exists():
        rng = np.random.default_rng([seed, 0])
        least, most = STORIES
        return [tales.story(rng).text for _ in range(min(max(wanted, least), most))]
    text = files.read(file, ".txt", SHIPPED)
    if not text.strip():
        raise ValueError(f"{file} holds no text to learn from")
    if not lines:
        return text
    texts = [line for line in text.split("\n") if line.strip()]
    return [texts[i] for i in np.random.default_rng(seed).permutation(len(texts))]


def tokenizer(kind, text, vocab_size):
    """A tokenizer for one long text or for whole ones. These need an end token; the
    one long text has it where it holds ``<|endoftext|>``."""
    from minigpt import models
    from minigpt import tokenizer as kinds

    if kind == "gpt2":
        return models.gpt2_tokenizer()
    ends = isinstance(text, list) or kinds.END_OF_TEXT in text
    special = (kinds.END_OF_TEXT,) if ends else ()
    if kind == "bpe":
        return kinds.BPETokenizer.train(text, vocab_size, special)
    one = {"char": kinds.CharTokenizer, "word": kinds.WordTokenizer}[kind]
    return one(text, special)


def encode(tok, text):
    """Ids (N,) of one long text, which begins with an end token where the tokenizer
    has one; of a list of whole texts, ids of each between two end tokens."""
    import numpy as np

    from minigpt import data
    from minigpt.vocabulary import END_OF_TEXT

    if isinstance(text, list):
        return data.wrap(tok, text)
    if tok.eot is None:
        return np.array(tok.encode(text))
    ids = tok.encode(text, allowed_special=END_OF_TEXT)
    return np.array(ids if ids[0] == tok.eot else [tok.eot, *ids])
