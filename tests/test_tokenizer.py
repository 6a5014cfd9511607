"""The tokenizers from outside: round trips, special tokens, files, what they refuse."""

import copy
import json
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt import tokenizer
from minigpt.tokenizer import BPETokenizer, CharTokenizer, WordTokenizer

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
TEXT = "The cat's mat, and a snow-white dog: don't go!\n\tÉtude no. 42 — 猫"
KINDS = [CharTokenizer, WordTokenizer, BPETokenizer.train]
EOT = "<|endoftext|>"
every_kind = pytest.mark.parametrize("make", KINDS, ids=["char", "word", "bpe"])


@given(TEXTS)
def test_every_kind_gives_back_the_text_it_was_made_from(text):
    for make in KINDS:
        tok = make(text)
        ids = tok.encode(text)
        assert tok.decode(ids) == text
        assert all(type(i) is int and 0 <= i < tok.vocab_size for i in ids)


def test_characters_are_numbered_in_sorted_order():
    tok = CharTokenizer("hello")
    assert tok.itos == ["e", "h", "l", "o"]
    assert tok.stoi == {"e": 0, "h": 1, "l": 2, "o": 3}
    assert tok.encode("hole") == [1, 3, 2, 0] and tok.vocab_size == 4
    assert CharTokenizer("").encode("") == []


def test_words_keep_apostrophes_and_give_up_spaces_and_marks_one_by_one():
    tok = WordTokenizer(TEXT)
    expected = ["snow", "-", "white", " ", "dog", ":", " ", "don't", " ", "go", "!"]
    assert tok.pieces(tok.encode("snow-white dog: don't go!")) == expected
    example = WordTokenizer("so, so it is")
    assert example.pieces([1, 0, 2]) == [",", " ", "is"]


@every_kind
def test_several_texts_train_as_one_text_does(make):
    tok = make(["one two", "two three"])
    assert tok == make(iter(["one two", "two three"]))
    assert tok.decode(tok.encode("three one")) == "three one"


def test_an_unseen_character_is_named_with_its_place_and_what_would_do():
    with pytest.raises(ValueError) as caught:
        CharTokenizer("hello").encode("helé")
    message = str(caught.value)
    for part in ("'é'", "U+00E9", "position 3", "vocabulary of 4", "BPETokenizer"):
        assert part in message


def test_an_unknown_word_is_named_with_its_place():
    with pytest.raises(ValueError, match=r"'zebra' at position 4 is not in the voc"):
        WordTokenizer("the cat").encode("the zebra")


@every_kind
def test_a_lone_surrogate_is_refused_with_its_place(make):
    sentence = r"lone surrogate, U\+D83D, at position 2"
    with pytest.raises(ValueError, match=sentence):
        make("ab").encode("ab\ud83d")
    with pytest.raises(ValueError, match=sentence):
        make("ab\ud83d")
    with pytest.raises(TypeError, match="must be a str, not bytes"):
        make("ab").encode(b"ab")


@every_kind
def test_special_tokens_take_the_last_ids_and_must_be_allowed_by_name(make):
    plain, tok = make(TEXT + EOT), make(TEXT + EOT, special_tokens=["<|pad|>", EOT])
    assert tok.special_tokens == {
        "<|pad|>": tok.vocab_size - 2,
        EOT: tok.vocab_size - 1,
    }
    assert tok.eot == tok.vocab_size - 1 and plain.eot is None
    for allowed in ("all", EOT, {EOT}, [EOT, "<|pad|>"], (n for n in [EOT])):
        ids = tok.encode(f"The{EOT}a", allowed_special=allowed)
        assert ids == [*tok.encode("The"), tok.eot, *tok.encode("a")]
        assert tok.decode(ids) == f"The{EOT}a"
    assert plain.pieces(plain.encode(EOT)) != [EOT]
    with pytest.raises(ValueError, match=r"'<s>' is no special token.*has: <\|pad"):
        tok.encode("a", allowed_special={"<s>"})
    for names in (["<e>", "<e>"], [""]):
        with pytest.raises(ValueError, match="names that differ"):
            make("a", special_tokens=names)


def test_special_text_is_plain_to_bpe_unless_allowed_and_never_learnt():
    text = f"{EOT}ab" * 100
    tok = BPETokenizer.train(text, 300, [EOT])
    assert tok.merges == [(b"a", b"b")] and tok.vocab_size == 258
    assert tok.encode(EOT) == list(EOT.encode())
    assert tok.encode(EOT, "all") == [tok.eot] == [257]


def test_of_special_tokens_that_overlap_the_longest_wins():
    tok = BPETokenizer((), ["<e", "<e>"])
    assert tok.encode("a<e>b<eb", "all") == [97, 257, 98, 256, 98]
    assert tok.encode("<e>", {"<e"}) == [256, *b">"]


def test_bpe_vocabulary_sizes():
    assert BPETokenizer.train(TEXT * 3, 280).vocab_size == 280
    assert BPETokenizer.train(TEXT * 3, 280, [EOT]).vocab_size == 280
    assert len(BPETokenizer.train(TEXT * 3, 280, [EOT]).merges) == 23
    assert BPETokenizer.train("aaaa", 300).vocab_size == 258  # no pair is left
    assert BPETokenizer.train("", 257, [EOT]).tokens[:256] == BPETokenizer().tokens
    with pytest.raises(ValueError, match=r"vocab_size=256 is too small.* need 257"):
        BPETokenizer.train(TEXT, 256, [EOT])


@every_kind
def test_decode_takes_any_row_of_integers_and_only_ids_of_the_vocabulary(make):
    tok = make(TEXT)
    ids = tok.encode(TEXT)
    for row in (tuple(ids), iter(ids), np.array(ids), np.array(ids, np.uint16)):
        assert tok.decode(row) == TEXT
    assert tok.decode([np.int64(i) for i in ids]) == TEXT
    assert tok.decode([]) == tok.decode(np.array([], int)) == ""
    for wrong in (tok.vocab_size, -1):
        with pytest.raises(ValueError, match=f"id {wrong} is not in the vocabulary"):
            tok.decode([0, wrong])
    for row in ([1.0], np.array([[1, 2]]), 3, "12", None):
        with pytest.raises(ValueError, match="one row of integers"):
            tok.decode(row)


def test_broken_utf8_decodes_to_the_replacement_character():
    tok = BPETokenizer()
    assert tok.decode([*"é".encode()[:1], *b"ab"]) == "\ufffdab"
    assert tok.decode_bytes([0xE2, 0x80]) == b"\xe2\x80"
    assert tok.pieces([0xE2, 97]) == ["\\xe2", "a"]


@every_kind
def test_a_saved_tokenizer_comes_back_equal(make, tmp_path):
    tok = make(TEXT, special_tokens=[EOT])
    path = tmp_path / "tokenizer.json"
    path.write_text("an old file")
    tok.save(path)
    for again in (tokenizer.load(path), type(tok).load(str(path))):
        assert type(again) is type(tok) and again == tok and hash(again) == hash(tok)
        assert again.encode(TEXT + EOT[:0], "all") == tok.encode(TEXT)
        assert (again.eot, again.tokens) == (tok.eot, tok.tokens)
        assert repr(again) == repr(tok)
    assert json.loads(path.read_bytes())["version"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["tokenizer.json"]
    assert pickle.loads(pickle.dumps(tok)) == copy.deepcopy(tok) == tok
    assert tok != make(TEXT) and tok != make(TEXT + "Q" * 50, special_tokens=[EOT])


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "tokenizer.json"
    CharTokenizer("ab").save(path)
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        CharTokenizer("cd").save(path)
    assert tokenizer.load(path) == CharTokenizer("ab")
    assert [p.name for p in tmp_path.iterdir()] == ["tokenizer.json"]


def test_loading_another_kind_says_which_it_is(tmp_path):
    WordTokenizer(TEXT).save(tmp_path / "words.json")
    with pytest.raises(ValueError, match="holds a WordTokenizer, not a CharTokenizer"):
        CharTokenizer.load(tmp_path / "words.json")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        tokenizer.load(tmp_path / "nowhere.json")


GOOD = {"format": "minigpt tokenizer", "version": 1, "special_tokens": []}
BYTES = GOOD | {"kind": "byte pairs", "byte_order": list(range(256))}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is no tokenizer file"),
        ("[1]", 'lacks the line "format"'),
        ('{"added_tokens": []}', r"Hugging Face's; BPETokenizer\.from_gpt2 takes"),
        (GOOD | {"version": 2, "kind": "words"}, "version 2 .* a newer minigpt"),
        (GOOD | {"kind": "sentences"}, "\"kind\" is 'sentences'"),
        (BYTES, "lacks 'merges'"),
        (BYTES | {"merges": [[97, 256]]}, "merge 0 joins a token that is not there"),
        (BYTES | {"merges": [[97, 98], [97, 98]]}, "merge 1, .*make one that is not"),
        (BYTES | {"merges": [["a", "b"]]}, "is no tokenizer file"),
        (BYTES | {"merges": [], "byte_order": [0, 1]}, "bytes 0 to 255 once"),
        (GOOD | {"kind": "characters", "tokens": ["b", "a"]}, "must be sorted"),
    ],
)
def test_a_broken_file_gets_a_sentence(content, sentence, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=sentence) as caught:
        tokenizer.load(path)
    assert "broken.json" in str(caught.value)


def test_threads_share_a_tokenizer(monkeypatch):
    monkeypatch.setattr("minigpt.tokenizer.REMEMBERED", 5)
    tok = BPETokenizer.train(TEXT * 2, 320)
    expected, wrong = tok.encode(TEXT), []

    def work():
        wrong.extend(1 for _ in range(100) if tok.encode(TEXT) != expected)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class Emptied(dict):
    """A cache that other threads empty whenever this one has touched it."""

    def __contains__(self, key):
        return [super().__contains__(key), self.clear()][0]

    def get(self, key, default=None):
        return [super().get(key, default), self.clear()][0]

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        self.clear()


def test_another_thread_may_empty_the_cache_at_any_moment():
    tok = BPETokenizer.train(TEXT * 2, 320)
    expected = tok.encode(TEXT)
    tok._remembered = Emptied(tok._remembered)
    assert tok._remembered and tok.encode(TEXT) == expected
    assert not tok._remembered and tok.encode(TEXT + TEXT) == tok.encode(TEXT + TEXT)
