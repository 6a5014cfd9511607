"""Byte-pair encoding itself: split a text, learn merges, apply merges.

Pure functions over lists of token ids; `minigpt.tokenizer.BPETokenizer` is the class
that holds their result. A *piece* is a word-like part of the text that merges never
leave; a *merge* joins two neighbouring tokens into a new one. Chapter: tokenizer.

Sources: Gage 1994 (the compression scheme), Sennrich, Haddow and Birch 2016 (its use
for text, https://arxiv.org/abs/1508.07909), Radford et al. 2019 (bytes; GPT-2).
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

import regex

# GPT-2's pattern: endings like 's, then letters, digits or other signs, each with the
# one space before it, then white space; the last space goes with the word after it.
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# What counts as a letter grows with every version of Unicode. Ids must not change with
# the version of a library, so letters and digits are those of Unicode 16, which is
# what tiktoken knows; these came later and are split as other signs are.
AFTER_UNICODE_16 = (
    r"\u0558\u058B-\u058C\u088F\u0C5C\u0CDC\u208F\u209D-\u209F\uA7CE-\uA7CF\uA7D2"
    r"\uA7D4\uA7DD-\uA7F1\uAB6C-\uAB6D\U000107BB-\U000107BF\U00010940-\U00010959"
    r"\U00010EC5-\U00010EEE\U00011B0A\U00011DB0-\U00011DF1\U0001246F-\U0001247F"
    r"\U00012550-\U00012686\U00016EA0-\U00016ED3\U00016FF2-\U00016FF6"
    r"\U000187F8-\U000187FF\U00018CD6-\U00018CDA\U00018D09-\U000191D2"
    r"\U0001B123-\U0001B128\U0001B168\U0001D6A6\U0001DF1F-\U0001DF24"
    r"\U0001DF2B-\U0001DFFF\U0001E6C0-\U0001E6FF\U0002B73A-\U0002B73F\U0002B81E"
    r"\U0002CEA2-\U0002CEAD\U000323B0-\U0003FC3F"
)
EXACT_PATTERN = (
    rf"'(?:[sdmt]|ll|ve|re)| ?[^\P{{L}}{AFTER_UNICODE_16}]+"
    rf"| ?[^\P{{N}}{AFTER_UNICODE_16}]+"
    rf"| ?(?:[^\s\p{{L}}\p{{N}}]|[{AFTER_UNICODE_16}])+|\s+(?!\S)|\s+"
)

_find_pieces = regex.compile(PATTERN).findall
_find_pieces_exactly = regex.compile(EXACT_PATTERN).findall
_find_newer = re.compile(f"[{AFTER_UNICODE_16}]").search  # twice as fast as regex here

LONG_PIECE = 64  # bytes; from about here on the heap beats the search in a list


def split(text: str) -> list[str]:
    """The pieces of a text, by GPT-2's pattern; joined, they are the text again.

    Example: "He's 20 now." -> ["He", "'s", " 20", " now", "."]
    """
    if text.isascii() or not _find_newer(text):
        return _find_pieces(text)
    return _find_pieces_exactly(text)  # the same split, twice as slow


def apply_merges(ids: Sequence[int], merges: dict[tuple[int, int], int]) -> list[int]:
    """The tokens of one piece after all merges, the earliest learnt merge first.

    `merges` maps a pair of ids to the id of the joined token; ids grow in the order
    in which the merges were learnt, so the smallest new id is the earliest merge.
    """
    if len(ids) >= LONG_PIECE:
        return _apply_merges_to_long(ids, merges)
    ids, never = list(ids), math.inf
    joined = [merges.get(pair, never) for pair in pairwise(ids)]  # what i, i + 1 become
    while joined and (new_id := min(joined)) < never:
        i = joined.index(new_id)
        ids[i : i + 2] = [new_id]
        del joined[i]
        if i < len(joined):
            joined[i] = merges.get((new_id, ids[i + 1]), never)
        if i > 0:
            joined[i - 1] = merges.get((ids[i - 1], new_id), never)
    return ids


class Chain:
    """Tokens in a row, in which joining two neighbours takes constant time.

    A doubly linked list in three arrays: `ids[i]`, and the places `left[i]` and
    `right[i]` of its neighbours. Place -1 and id -1 stand for "nothing here".
    """

    def __init__(self, ids: list[int]):
        self.ids = [*ids, -1]  # ids[-1], the end, is what place -1 points to
        self.left = list(range(-1, len(ids)))
        self.right = [*range(1, len(ids)), -1, -1]

    def pair(self, i: int) -> tuple[int, int] | None:
        """The token at place i and its right neighbour, or None if one is missing."""
        a, b = self.ids[i], self.ids[self.right[i]]
        return (a, b) if a >= 0 and b >= 0 else None

    def join(self, i: int, new_id: int) -> None:
        """Put `new_id` in the place of token i and of its right neighbour."""
        gone = self.right[i]
        after = self.right[gone]
        self.ids[i], self.ids[gone] = new_id, -1
        self.right[i], self.left[after] = after, i


def _apply_merges_to_long(ids, merges):
    """What `apply_merges` gives, in n log n steps: the next merge is on a heap."""
    chain = Chain(ids)
    heap = [(merges[p], i) for i, p in enumerate(pairwise(ids)) if p in merges]
    heapify(heap)
    while heap:
        new_id, i = heappop(heap)
        if merges.get(chain.pair(i)) != new_id:
            continue  # a neighbour was joined to something else in the meantime
        chain.join(i, new_id)
        for place in (chain.left[i], i):
            if (later := merges.get(chain.pair(place))) is not None:
                heappush(heap, (later, place))
    return [token for token in chain.ids if token >= 0]


def learn_merges(pieces: Counter, n_merges: int) -> list[tuple[bytes, bytes]]:
    """The `n_merges` merges that byte-pair encoding learns, in order.

    `pieces` counts how often each piece (bytes) occurs. Each round joins the pair that
    occurs most often; of equals, the greater pair of byte strings. Fewer merges come
    back when every piece has become a single token. Rather than count all pairs again
    in each round, the counts are corrected around each place where something joined.
    """
    vocab = [bytes([byte]) for byte in range(256)]
    chain, weight, places = _lay_out(pieces)
    counts = Counter()
    for pair, where in places.items():
        counts[pair] = sum([weight[i] for i in where])
    heap = [_heap_entry(pair, n, vocab) for pair, n in counts.items()]
    heapify(heap)
    merges = []
    while len(merges) < n_merges and (pair := _most_frequent(heap, counts, vocab)):
        new_id = len(vocab)
        merges.append((vocab[pair[0]], vocab[pair[1]]))
        vocab.append(vocab[pair[0]] + vocab[pair[1]])
        new_pairs = _join_everywhere(pair, new_id, chain, weight, places, counts)
        for new_pair in new_pairs:
            heappush(heap, _heap_entry(new_pair, counts[new_pair], vocab))
    return merges


def _lay_out(pieces):
    """All pieces in one chain with a gap after each, the weight of every place (how
    often its piece occurs), and the places of every pair."""
    ids, weight = [], []
    for piece, n in pieces.items():
        ids.extend(piece)
        ids.append(-1)
        weight.extend([n] * (len(piece) + 1))
    places = defaultdict(set)
    for i, (a, b) in enumerate(pairwise(ids)):
        if a >= 0 and b >= 0:
            places[a, b].add(i)
    return Chain(ids), weight, places


def _join_everywhere(pair, new_id, chain, weight, places, counts):
    """Join `pair` wherever it stands, left to right, and keep `counts` and `places`
    true; gives the pairs that came into being."""
    new_pairs = set()
    for i in sorted(places.pop(pair)):
        if chain.pair(i) != pair:
            continue  # as in "aaa": the first two joined, and the middle one is gone
        before = chain.left[i]
        for place in (before, i, chain.right[i]):
            counts[chain.pair(place)] -= weight[i]
        chain.join(i, new_id)
        for place in (before, i):
            if new_pair := chain.pair(place):
                counts[new_pair] += weight[i]
                places[new_pair].add(place)
                new_pairs.add(new_pair)
    return new_pairs


def _most_frequent(heap, counts, vocab):
    """The most frequent pair, or None. A count only falls once its pair is on the
    heap, so an entry that is out of date is put back where it now belongs."""
    while heap:
        n, *_, pair = heappop(heap)
        if counts[pair] == -n > 0:
            return pair
        if counts[pair] > 0:
            heappush(heap, _heap_entry(pair, counts[pair], vocab))
    return None


def _heap_entry(pair, n, vocab):
    """Sorts first what is most frequent, then what has the greater byte strings."""
    return -n, _descending(vocab[pair[0]]), _descending(vocab[pair[1]]), pair


def _descending(token: bytes) -> str:
    """A key that sorts byte strings from greatest to smallest ("ab" before "a")."""
    return "".join([chr(255 - byte) for byte in token]) + chr(256)
