"""Byte pairs in a page: the ids, the pieces and the texts that Python has."""

import os
import sys
import unicodedata

import pytest
import regex
from engine.runners import RUNNERS, model, start
from hypothesis import given, settings
from hypothesis import strategies as st

import minigpt as mg
from minigpt.bpe import apply_merges, split
from minigpt.gpt2_files import byte_alphabet
from minigpt.streaming import first_ids
from minigpt.widgets import bundle

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SIGNS = "the 's 'LL é e\u0301 ß Ⅻ ² ٣ 漢 🇨🇭 ☕ _ ' I'm 12.5 ſ \u088f \U000323af"
SPACES = " \n\t\u00a0\u2028\u0085\ufeff\x00\x1c\u3000"
WORDS = st.lists(st.sampled_from([*SIGNS.split(), *SPACES])).map("".join)
ODD = [
    "",
    " ",
    "\ufeffthe",
    "Once upon a time there was a cat. It's 12:30 – “yes”, I've said.",
    "<|endoftext|><|endoftext|>",
    "the 'S 'LL  \ufeff  \u0085  \u180ex",
    "a\u0000b\u007f\u0080\uffff\U0010ffff",
    " \t\n\r\v\f\u001c\u001d\u001e\u001f\u0085\u00a0\u1680\u180e\u2007\u200b\u3000x",
    "👨‍👩‍👧‍👦 🏳️‍🌈 ❤️ 1️⃣ ا‎ب",
    "the" * 1000,
    "a" * 5000,
    " " * 3000 + "x",
    "'s't're've'm'll'd'S’s",
    "\u0558\u088f\u1c89\ua7cb\ua7ce\U000105c0\U00010940\U000116d0\U0002ebf0\U000323b0",
]


@pytest.fixture(scope="module", params=RUNNERS)
def call(request, tmp_path_factory):
    with start(request.param, tmp_path_factory.mktemp("page")) as call:
        yield call


ENCODE = """({ name, texts }) => {
  const { tok } = globalThis[name] ??= minigpt.load(minigpt.models[name]);
  return texts.map((text) => tok.encode(text));
}"""
DECODE = """({ name, rows }) => {
  const { tok } = globalThis[name] ??= minigpt.load(minigpt.models[name]);
  return rows.map((ids) => [tok.decode(ids), tok.pieces(ids)]);
}"""


@pytest.mark.parametrize("name", ["tales", "small"])
def test_ids_are_those_of_python(call, name):
    tok = model(name)[2]
    ours = call(ENCODE, {"name": name, "texts": ODD})
    for text, ids in zip(ODD, ours, strict=True):
        assert ids == tok.encode(text), text[:40]

    @settings(max_examples=20, deadline=None)
    @given(st.lists(TEXTS | WORDS, min_size=20, max_size=100))
    def holds(texts):
        ids = [tok.encode(text) for text in texts]
        assert call(ENCODE, {"name": name, "texts": texts}) == ids
        back = call(DECODE, {"name": name, "rows": ids})
        assert back == [[t, tok.pieces(row)] for t, row in zip(texts, ids, strict=True)]

    holds()


def test_pieces_are_cut_where_python_cuts(call):
    code = "(texts) => texts.map((text) => minigpt.split(text))"
    assert call(code, ODD) == [split(text) for text in ODD]

    @settings(max_examples=20, deadline=None)
    @given(st.lists(TEXTS | WORDS, min_size=50, max_size=100))
    def holds(texts):
        assert call(code, texts) == [split(text) for text in texts]

    holds()


@pytest.mark.parametrize("name", ["tales", "small"])
def test_any_ids_have_the_text_of_python(call, name):
    tok = model(name)[2]

    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.lists(st.integers(0, tok.vocab_size - 1)), min_size=50))
    def holds(rows):
        expected = [[tok.decode(row), tok.pieces(row)] for row in rows]
        assert call(DECODE, {"name": name, "rows": rows}) == expected

    holds()


def test_tokens_that_end_within_a_character(call):
    """Merges of bytes that are no text, as GPT-2 has: pieces show what is whole."""
    e, smile = "é".encode(), "😀".encode()
    merges = [(e[:1], e[1:]), (e, smile[:1]), (smile[:1], smile[1:2])]
    merges += [(smile[1:2], b"a"), (b"\xff", e[1:])]
    tok = mg.BPETokenizer(merges)
    state = {"byte_order": list(range(256)), "merges": tok._state()["merges"]}
    code = """({ state, ids }) => {
      const tok = new minigpt.Tokenizer(state);
      return [tok.pieces(ids), tok.decode(ids), tok.eot, tok.first("a")];
    }"""
    ids = list(range(tok.vocab_size))
    expected = [tok.pieces(ids), tok.decode(ids), None, tok.encode("a")]
    assert call(code, {"state": state, "ids": ids}) == expected


def test_a_text_begins_with_an_end_token(call):
    tok = model("tales")[2]
    code = """() => {
      const { tok } = minigpt.load(minigpt.models.tales);
      return [tok.first("Once"), tok.first(""), tok.eot];
    }"""
    assert call(code) == [first_ids(tok, "Once"), [tok.eot], tok.eot]


@pytest.mark.parametrize("order", [[*byte_alphabet()], range(256)])
def test_gpt2_reads_a_text_as_it_is(call, order):
    """By the way that its files number the bytes, it is known to have learnt from
    windows of one long row."""
    tok = mg.BPETokenizer([(b"a", b"b")], ["<|endoftext|>"], order)
    state = tok._state() | {"special_tokens": list(tok.special_tokens)}
    code = """(state) => {
      const tok = new minigpt.Tokenizer(state);
      return ["ab.", ""].map((text) => tok.first(text));
    }"""
    assert call(code, state) == [first_ids(tok, "ab."), first_ids(tok, "")]


def test_half_a_surrogate_pair_is_no_character(call):
    code = """() => {
      const { tok } = minigpt.load(minigpt.models.tales);
      return [tok.encode("a\\ud83d b\\udc00"), tok.encode("a\\ufffd b\\ufffd")];
    }"""
    ours = call(code)
    assert ours[0] == ours[1] == model("tales")[2].encode("a\ufffd b\ufffd")


@pytest.mark.slow
def test_every_character_goes_where_python_puts_it(call):
    """Letters with the letter before, digits with the digit after, other signs and
    white space alone: a number for each code point says which."""
    code = """() => {
      let found = "";
      for (let point = 0; point < 0x110000; point++) {
        if (point >= 0xd800 && point < 0xe000) continue;
        const pieces = minigpt.split(`a${String.fromCodePoint(point)}1`);
        found += pieces.length === 3 ? 3 : pieces[0] === "a" ? 1 : 2;
        found += minigpt.split(`${String.fromCodePoint(point)} `).length;
      }
      return found;
    }"""
    expected = []
    for point in range(0x110000):
        if not 0xD800 <= point < 0xE000:
            pieces = split(f"a{chr(point)}1")
            kind = 3 if len(pieces) == 3 else 1 if pieces[0] == "a" else 2
            expected.append(f"{kind}{len(split(chr(point) + ' '))}")
    assert call(code) == "".join(expected)


def test_the_characters_that_older_browsers_do_not_know():
    """With what the source adds and takes away, the letters and digits of any version
    of Unicode from 14 are those of 16; here of the version that this Python knows."""
    text = (bundle.SOURCES / "tokenizer.js").read_text("utf-8")
    points = {}
    for name in ("letters", "numbers", "later"):
        found = regex.search(rf"{name}: `(.*?)`", text, regex.DOTALL)[1].split()
        ranges = [[int(end, 16) for end in one.split("-")] for one in found]
        points[name] = {c for r in ranges for c in range(r[0], r[-1] + 1)}
    for kind, name in (("L", "letters"), ("N", "numbers")):
        known = {c for c in range(sys.maxunicode) if _is(kind, c)} - points["later"]
        newest = regex.compile(rf"\p{{{kind}}}").match
        wanted = {c for c in range(sys.maxunicode) if newest(chr(c))} - points["later"]
        assert known | points[name] == wanted


def _is(kind, point):
    return unicodedata.category(chr(point)).startswith(kind)


MERGE = """({ name, text }) => {
  const { tok } = minigpt.load(minigpt.models[name]), steps = [];
  tok.merge(tok.bytesOf(text), (ids, newId) => steps.push([newId, ids]));
  return [tok.bytesOf(text), steps];
}"""


@pytest.mark.parametrize("text", [" there", "aaaaaaa", " colour", "abcthethethe" * 20])
def test_merges_step_by_step(call, text):
    """Each step is one merge everywhere: what is learnt up to it gives its ids."""
    tok = model("tales")[2]
    start, steps = call(MERGE, {"name": "tales", "text": text})
    assert tok.decode(start) == text and len(start) == len(text)
    assert [new for new, _ in steps] == sorted({new for new, _ in steps})
    for new, ids in steps:
        known = {pair: id for pair, id in tok._merged.items() if id <= new}
        assert ids == apply_merges(start, known)
    assert (steps[-1][1] if steps else start) == tok.encode(text)


def test_a_hundred_thousand_characters(call):
    tok = model("tales")[2]
    for text in ["the cat said hello to the ball " * 3226, "thecatsaidhello" * 6667]:
        ours = call(ENCODE, {"name": "tales", "texts": [text]})[0]
        assert ours == tok.encode(text)


@pytest.mark.slow
def test_gpt2s_own_tokenizer(call):
    folder = os.environ.get("MINIGPT_DATA")
    if not folder:
        pytest.skip("set MINIGPT_DATA to a folder with the real data")
    tok = mg.BPETokenizer.from_gpt2(f"{folder}/gpt2")
    code = """({ state, texts, ids }) => {
      const tok = new minigpt.Tokenizer(state);
      return [texts.map((text) => tok.encode(text)), tok.pieces(ids), tok.eot];
    }"""
    state = {**tok._state(), "special_tokens": ["<|endoftext|>"]}
    ids = list(range(tok.vocab_size))
    expected = [[tok.encode(text) for text in ODD], tok.pieces(ids), tok.eot]
    assert call(code, {"state": state, "texts": ODD, "ids": ids}) == expected
