"""Byte-pair encoding: training against a naive trainer, ids against tiktoken.

GPT-2's own vocabulary has its tests in test_parity_tokenizers.py.
"""

import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import regex
import tiktoken
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minigpt import bpe
from minigpt.tokenizer import BPETokenizer

CORPUS = (
    "The cat sat on the mat; the dog, the cat's friend, sat too.\n\n"
    "Ein Bär wohnt über dem Fluß. 12345 + 678!  \t 猫は好き 🐈🐈‍⬛ don't we'll\n"
) * 3
TOK = BPETokenizer.train(CORPUS, 400, ["<|endoftext|>", "<|pad|>"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
MIXED = st.lists(
    st.sampled_from(
        [*"aab '.1é猫🐈\t\n\r\0\x1c\x85\xa0\u2028\u200d", "  ", "'ll", " the"]
    )
    | TEXTS
).map("".join)
FEW_LETTERS = st.text("ab ", max_size=60)  # many repeats and overlaps


def naive_train(pieces: Counter, n_merges: int) -> list[tuple[bytes, bytes]]:
    """The definition: count everything again in each round."""
    words = {piece: [bytes([byte]) for byte in piece] for piece in pieces}
    merges = []
    for _ in range(n_merges):
        counts = Counter()
        for piece, tokens in words.items():
            for pair in pairwise(tokens):
                counts[pair] += pieces[piece]
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        for piece, tokens in words.items():
            merged = []
            for token in tokens:
                if token == best[1] and merged and merged[-1] == best[0]:
                    merged[-1] = None  # joined: it takes no further part
                    merged.append(best[0] + best[1])
                else:
                    merged.append(token)
            words[piece] = [token for token in merged if token is not None]
    return merges


def pieces_of(text: str) -> Counter:
    found = regex.findall(bpe.EXACT_PATTERN, text)
    return Counter({piece.encode(): n for piece, n in Counter(found).items()})


@given(st.lists(FEW_LETTERS | MIXED, max_size=6), st.integers(0, 60))
@example(["aaaa", "aaa aaaaaaa"], 9)
def test_training_is_the_naive_trainers(texts, n_merges):
    pieces = sum(map(pieces_of, texts), Counter())
    expected = naive_train(pieces, n_merges)
    assert BPETokenizer.train(texts, 256 + n_merges).merges == expected
    BPETokenizer(expected)  # no token is made twice: the class would refuse it


def test_training_agrees_on_a_page_of_text():
    text = Path(bpe.__file__).read_text("utf-8")
    assert BPETokenizer.train(text, 500).merges == naive_train(pieces_of(text), 244)


def test_hand_computed_merges():
    # (o, w) and (l, o) 7 times: the greater wins; (l, ow) 7; then (" ", low) 6;
    # (e, s) and (s, t) 4
    text = "low low low low low lower lower newest newest newest widest"
    tok = BPETokenizer.train(text, 260)
    assert tok.merges == [(b"o", b"w"), (b"l", b"ow"), (b" ", b"low"), (b"s", b"t")]
    assert tok.encode("lowest low") == [257, *b"e", 259, 258]
    assert tok.pieces(tok.encode("slow")) == ["s", "low"]


@pytest.mark.parametrize(
    ("text", "winner"),
    [("ab cd", (b"c", b"d")), ("ab ac", (b"a", b"c")), ("xya xyb", (b"x", b"y"))],
)
def test_ties_go_to_the_greater_pair_of_byte_strings(text, winner):
    assert BPETokenizer.train(text, 257).merges == [winner]


def test_of_equals_the_longer_byte_string_is_the_greater():
    # after "ab", (ab, c) and (a, x) occur twice each, and b"ab" > b"a"
    assert BPETokenizer.train("abc,abc,ab,ax,ax", 258).merges[1] == (b"ab", b"c")


def test_the_small_functions():
    assert bpe.apply_merges([1, 2, 1, 2, 3], {(1, 2): 4}) == [4, 4, 3]
    assert bpe.apply_merges([1, 1, 1], {(1, 1): 2, (2, 1): 3}) == [3]
    assert bpe.split("He's 20 now.") == ["He", "'s", " 20", " now", "."]
    newer = "a\u0558 1\U00011de0"  # a letter and a digit since Unicode 17
    assert bpe.split(newer) == ["a", "\u0558", " 1", "\U00011de0"]


def test_merges_stay_inside_pieces():
    tok = BPETokenizer.train("a b " * 50 + "x. " * 50, 300)
    for token in tok.tokens:
        assert len(bpe.split(token.decode(errors="replace"))) == 1


@given(st.text("abcd ", max_size=300), FEW_LETTERS)
@example("a" * 63, "a" * 60)  # the longest piece of the list, of one letter
@example("abcd" * 16, "abcd" * 20)  # the shortest of the heap
def test_the_list_and_the_heap_give_what_one_pass_for_each_merge_gives(text, training):
    tok = BPETokenizer.train(training + " abcabdabc ddcc", 300)
    ids = list(text.encode())
    expected = ids
    for pair, new_id in tok._merged.items():
        expected = merge_everywhere(expected, pair, new_id)
    assert bpe._apply_merges_to_long(ids, tok._merged) == expected
    assert bpe.apply_merges(ids, tok._merged) == expected
    few = tuple(ids[: bpe.LONG_PIECE - 1])
    heaped = bpe._apply_merges_to_long(few, tok._merged)
    assert bpe.apply_merges(few, tok._merged) == heaped


def merge_everywhere(ids, pair, new_id):
    """The definition: every `pair` joined, from left to right."""
    merged = []
    for token in ids:
        if merged and (merged[-1], token) == pair:
            merged[-1] = new_id
        else:
            merged.append(token)
    return merged


@settings(max_examples=300)
@given(MIXED)
@example("")
@example(" " * 200 + "x" + "\n" * 150)
@example("\u0558\U0001e6c0 \U00011de0" * 3)  # newer than Unicode 16
@example("<|endoftext|>")
def test_ids_are_tiktokens_and_decode_to_the_text(text):
    for tok, reference in ((TOK, TIKTOKEN), (BYTES, BYTES.to_tiktoken())):
        ids = tok.encode(text)
        assert ids == reference.encode_ordinary(text)
        assert tok.decode(ids) == text == reference.decode(ids)
        specials = tok.encode(text, allowed_special="all")
        assert specials == reference.encode(text, allowed_special="all")


TIKTOKEN = TOK.to_tiktoken()
BYTES = BPETokenizer()


@given(st.lists(st.integers(0, TOK.vocab_size - 1)))
def test_decode_survives_any_ids(ids):
    assert TOK.decode(ids) == TIKTOKEN.decode(ids)
    assert TOK.decode_bytes(ids) == TIKTOKEN.decode_bytes(ids)
    assert len(TOK.pieces(ids)) == len(ids)


@pytest.mark.slow
def test_letters_and_digits_are_tiktokens_for_every_code_point():
    """Where this fails, `regex` or tiktoken knows a newer Unicode: bring
    AFTER_UNICODE_16 up to date."""
    # each character before a letter, a digit and a sign: one piece, or two
    ends = b"a1!"
    ranks = {bytes([byte]): byte for byte in range(256)}
    joined = [bytes([byte, end]) for end in ends for byte in range(256)]
    stock = tiktoken.Encoding(
        "stock",
        pat_str=bpe.PATTERN,  # as OpenAI has it, with tiktoken's own idea of letters
        mergeable_ranks=ranks | {token: 256 + i for i, token in enumerate(joined)},
        special_tokens={},
    )
    points = [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]
    for start in range(0, len(points), 50_000):
        some = map(chr, points[start : start + 50_000])
        text = "".join([f"{c}a\n{c}1\n{c}!\n" for c in some])
        ids = []
        for piece in map(str.encode, bpe.split(text)):
            if len(piece) > 1 and piece[-1] in ends:
                ids.extend(piece[:-2])
                ids.append(256 + 256 * ends.index(piece[-1]) + piece[-2])
            else:
                ids.extend(piece)
        assert ids == stock.encode_ordinary(text)


@pytest.mark.parametrize("n", [1_000, 100_000])
def test_a_long_piece_takes_no_quadratic_time(n, monkeypatch):
    steps = []
    pop = bpe.heappop
    monkeypatch.setattr(bpe, "heappop", lambda heap: steps.append(1) or pop(heap))
    tok = BPETokenizer.train("a" * 64, 262)
    steps.clear()
    ids = tok.encode("a" * n)
    assert n - len(ids) <= len(steps) < 3 * n  # each join is one, the rest are stale
    assert tok.decode(ids) == "a" * n and len(ids) <= n // 64 + 6


def test_the_cache_of_pieces_is_bounded(monkeypatch):
    monkeypatch.setattr("minigpt.tokenizer.REMEMBERED", 100)
    tok = BPETokenizer(TOK.merges)
    text = " ".join(map(str, range(1000))) + " " + "long" * 1000
    assert tok.decode(tok.encode(text)) == text
    assert len(tok._remembered) <= 100 and max(map(len, tok._remembered)) < 60
