"""Text from ids as they come is the text of all ids, up to where it ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigpt as mg
from minigpt.gpt2_files import byte_alphabet
from minigpt.streaming import TextStream, first_ids, is_gpt2, pieces

_, _, TALES = mg.load("tales")
GPT2 = mg.BPETokenizer([], ["<|endoftext|>"], byte_alphabet())  # as its files number
CHARS = mg.CharTokenizer("abc")
ORDINARY = [i for i in range(TALES.vocab_size) if i != TALES.eot]
TEXTS = st.text(st.characters(exclude_categories=("Cs",)))


@given(st.lists(st.sampled_from(ORDINARY)))
def test_joined_it_is_what_decode_gives_for_any_ids(ids):
    assert "".join(pieces(TALES, ids)) == TALES.decode(ids)


@given(TEXTS)
def test_no_piece_holds_a_part_of_a_character(text):
    for tok in (TALES, GPT2):
        parts = list(pieces(tok, tok.encode(text)))
        assert "".join(parts) == text
        assert "" not in parts
        assert text.count("\ufffd") == sum(part.count("\ufffd") for part in parts)


def test_half_a_character_waits_for_the_other_half():
    stream = TextStream(GPT2)
    ids = GPT2.encode("aé🙂")
    assert [stream.feed(i) for i in ids] == ["a", "", "é", "", "", "", "🙂"]
    half = TextStream(GPT2)
    assert [half.feed(i) for i in ids[:5]] == ["a", "", "é", "", ""]
    assert half.finish() == GPT2.decode(ids[:5])[2:] == "\ufffd"


def cut(text, stops):
    """The text before the stop that is whole first; of several that end there, before
    the longest."""
    for end in range(len(text) + 1):
        found = [s for s in stops if text[:end].endswith(s)]
        if found:
            return text[: end - max(map(len, found))]
    return text


ALIKE = st.text("ab ", max_size=12)  # texts that begin like each other
STOPS = st.lists(st.text("ab ", min_size=1, max_size=4), max_size=3)


@given(ALIKE, STOPS)
def test_writing_ends_before_the_first_stop_that_is_whole(text, stops):
    one = mg.CharTokenizer("ab ")
    for tok in (TALES, one):  # whether tokens are long or short
        assert "".join(pieces(tok, tok.encode(text), stops)) == cut(text, stops)


@given(ALIKE, STOPS)
def test_no_more_is_held_back_than_could_be_the_beginning_of_a_stop(text, stops):
    tok, told = mg.CharTokenizer("ab "), ""
    stream = TextStream(tok, stops)
    for count, new_id in enumerate(tok.encode(text), start=1):
        told += stream.feed(new_id)
        if stream.ended:
            break
        held = text[:count].removeprefix(told)
        assert told + held == text[:count]
        assert not held or any(s.startswith(held) and s != held for s in stops)


def test_the_end_token_ends_and_is_not_seen():
    ids = [*TALES.encode("Once"), TALES.eot, *TALES.encode("Mia")]
    assert "".join(pieces(TALES, ids)) == "Once"
    stream = TextStream(TALES, "never")
    assert [stream.feed(i) for i in ids[-3:]][-1] == ""
    assert stream.ended and stream.finish() == ""


def test_what_was_held_back_comes_at_the_end_token_too():
    ids = [*TALES.encode("Q"), TALES.eot]
    assert list(pieces(TALES, ids, "Q:")) == ["Q"]
    assert list(pieces(TALES, ids[:-1], "Q:")) == ["Q"]


def test_no_id_is_asked_for_after_the_end():
    def ids():
        yield from TALES.encode("ab")
        raise AssertionError("asked for one more")

    assert "".join(pieces(TALES, ids(), stop="b")) == "a"


def test_a_stop_that_is_nothing_gets_a_sentence():
    for wrong in ("", ["x", ""]):
        with pytest.raises(ValueError, match="must not be empty"):
            TextStream(TALES, wrong)
    with pytest.raises(ValueError, match="lone surrogate"):
        TextStream(TALES, "\ud800")


def test_who_begins_with_an_end_token():
    assert is_gpt2(GPT2) and not is_gpt2(TALES) and not is_gpt2(CHARS)
    hi = TALES.encode("hi")
    assert first_ids(TALES, "hi") == [TALES.eot, *hi] == first_ids(TALES, "hi", True)
    assert first_ids(TALES, "hi", begin=False) == hi
    assert first_ids(GPT2, "hi") == GPT2.encode("hi")
    assert first_ids(GPT2, "hi", begin=True) == [GPT2.eot, *GPT2.encode("hi")]
    assert first_ids(CHARS, "ab") == [0, 1]
    for begin in (None, True, False):
        assert first_ids(TALES, "", begin) == [TALES.eot]
        assert first_ids(GPT2, "", begin) == [GPT2.eot]
        with pytest.raises(ValueError, match="no end token"):
            first_ids(CHARS, "", begin)
    with pytest.raises(ValueError, match="no end token"):
        first_ids(CHARS, "ab", begin=True)
