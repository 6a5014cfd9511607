"""Byte-pair encoding by its definition, as one writes it first: what minigpt.bpe beats.

Nothing is remembered from one piece to the next, nor from one merge to the next.
"""

import math
from itertools import pairwise

from minigpt import bpe


def encode(text, merges, byte_ids):
    """The ids of a text: in each piece the earliest learnt merge is searched for and
    made, again and again."""
    ids, never = [], math.inf
    for piece in bpe.split(text):
        word = [byte_ids[byte] for byte in piece.encode()]
        while len(word) > 1:
            pair = min(pairwise(word), key=lambda pair: merges.get(pair, never))
            if pair not in merges:
                break
            word = join(word, pair, merges[pair])
        ids += word
    return ids


def join(word, pair, new_id):
    """The tokens with every `pair` replaced by `new_id`, from left to right."""
    joined, i = [], 0
    while i < len(word):
        if i + 1 < len(word) and word[i] == pair[0] and word[i + 1] == pair[1]:
            joined.append(new_id)
            i += 2
        else:
            joined.append(word[i])
            i += 1
    return joined


def learn(words, tokens, n_merges):
    """The new tokens: for each merge, all pairs of the text are counted again.

    `words`: lists of ids, and how often each stands in the text. `tokens`: those known
    so far, as byte strings; of pairs with the same count, the greater one wins.
    """
    tokens, known = list(tokens), len(tokens)
    while len(tokens) < known + n_merges:
        counts = {}
        for word, times in words:
            for pair in pairwise(word):
                counts[pair] = counts.get(pair, 0) + times
        best = max(counts, key=lambda p: (counts[p], tokens[p[0]], tokens[p[1]]))
        words = [(join(word, best, len(tokens)), times) for word, times in words]
        tokens.append(tokens[best[0]] + tokens[best[1]])
    return tokens[known:]


def merge_table(tok):
    """(id, id) -> id of the joined token, of a minigpt.BPETokenizer."""
    ids = {token: i for i, token in enumerate(tok.tokens)}
    return {(ids[a], ids[b]): ids[a + b] for a, b in tok.merges}
