"""GPT-2's own tokenizer: its ids against tiktoken's, and against Hugging Face's.

All three are made from the same two files. tiktoken comes with the tests; tokenizers
comes with transformers, in requirements-parity.txt.
"""

import os
import shutil
from pathlib import Path

import pytest
import tiktoken
import tiktoken.load
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_model import import_or_skip
from tiktoken_ext.openai_public import r50k_pat_str

from minigpt.bpe import apply_merges
from minigpt.tokenizer import BPETokenizer

GPT2 = Path(os.environ.get("MINIGPT_DATA", "no data")) / "gpt2"
FILES = GPT2 / "vocab.bpe", GPT2 / "encoder.json"
pytestmark = pytest.mark.skipif(
    not all(file.exists() for file in FILES),
    reason="needs GPT-2's vocab.bpe and encoder.json in MINIGPT_DATA's folder gpt2",
)
EOT = "<|endoftext|>"


@pytest.fixture(scope="module")
def tok():
    return BPETokenizer.from_gpt2(*FILES)


@pytest.fixture(scope="module")
def reference():
    ranks = tiktoken.load.data_gym_to_mergeable_bpe_ranks(*map(str, FILES))
    return tiktoken.Encoding(
        "gpt2",
        pat_str=r50k_pat_str,
        mergeable_ranks=ranks,
        special_tokens={EOT: 50256},
        explicit_n_vocab=50257,
    )


@pytest.fixture(scope="module")
def hugging_face():
    tokenizers = import_or_skip("tokenizers")
    merges, vocabulary = map(str, FILES)
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok = tokenizers.Tokenizer(tokenizers.models.BPE.from_file(vocabulary, merges))
    tok.pre_tokenizer, tok.decoder = byte_level, tokenizers.decoders.ByteLevel()
    return tok


# ---------------------------------------------------------------- texts


def pieces(alphabet, **settings):
    return st.lists(alphabet, **settings).map("".join)


def block(first, last):
    return st.text(st.characters(min_codepoint=first, max_codepoint=last), max_size=8)


SCRIPTS = st.one_of(
    block(0x41, 0x17F),  # Latin with its accents
    block(0x300, 0x36F),  # accents on their own
    block(0x391, 0x3C9),  # Greek
    block(0x410, 0x44F),  # Cyrillic
    block(0x590, 0x6FF),  # Hebrew and Arabic, written from the right
    block(0x900, 0x97F),  # Devanagari
    block(0xE00, 0xE5B),  # Thai, which puts no spaces between words
    block(0x3041, 0x30FF),  # kana
    block(0x4E00, 0x4EFF),  # Chinese
    block(0xAC00, 0xACFF),  # Korean
    block(0x1D400, 0x1D4FF),  # letters of mathematics, four bytes each
)
BLANK = [*" \t\n\r\v\f\x1c\x1f\x85\xa0\u1680\u2003\u2028\u2029\u3000\u200b\ufeff"]
ENGLISH = "don't DON'T I'll we've he'd 's 'T ''s it’s 2nd 1,000.50 x_1 a-b e-mail!?"
TEXTS = {
    "any Unicode": st.text(st.characters(exclude_categories=["Cs"])),
    "control characters": st.text(st.characters(max_codepoint=0xA0)),
    "mixed scripts": pieces(st.one_of(SCRIPTS, st.sampled_from(BLANK))),
    "emoji": pieces(st.sampled_from([*"🍓👩👨🐈⬛🏽❤\ufe0f\u200d🇩🇪1\u20e3 a"])),
    "runs of blanks": pieces(
        st.tuples(st.sampled_from([*BLANK, "x"]), st.integers(1, 200)).map(
            lambda run: run[0] * run[1]
        ),
        max_size=5,
    ),
    "English": pieces(st.sampled_from([*ENGLISH.split(), " ", "  ", "\n", "a", "."])),
    "digits": st.text("0123456789 .,½²٣", max_size=60),
    "special": pieces(st.sampled_from([EOT, "<|endof", "text|>", "<|", "|>", " a"])),
    "its own tokens": st.lists(st.integers(0, 50256), max_size=12),  # decoded below
}
each_kind = pytest.mark.parametrize("kind", TEXTS)
ANY_TEXT = st.one_of([texts for kind, texts in TEXTS.items() if kind[:3] != "its"])


# ---------------------------------------------------------------- tiktoken


@each_kind
@settings(max_examples=150)
@given(st.data())
def test_ids_are_tiktokens_on_every_kind_of_text(tok, reference, kind, data):
    text = data.draw(TEXTS[kind])
    text = text if isinstance(text, str) else tok.decode(text)
    ids = tok.encode(text)
    assert ids == reference.encode_ordinary(text)
    assert tok.decode(ids) == text
    special = tok.encode(text, allowed_special={EOT})
    assert special == reference.encode(text, allowed_special={EOT})
    assert special == tok.encode(text, "all") and tok.decode(special) == text
    assert special.count(50256) == text.count(EOT) and 50256 not in ids


@settings(max_examples=150)
@given(a=ANY_TEXT, b=ANY_TEXT, surrogate=st.integers(0xD800, 0xDFFF).map(chr))
@example("", "", "\udfff")
def test_a_lone_surrogate_anywhere_is_refused_with_a_sentence(tok, a, b, surrogate):
    sentence = f"lone surrogate, U\\+{ord(surrogate):04X}, at position {len(a)}"
    with pytest.raises(ValueError, match=sentence):
        tok.encode(a + surrogate + b)


def test_all_50257_tokens_are_tiktokens_and_encode_to_themselves(tok, reference):
    assert tok.vocab_size == len(tok.tokens) == reference.n_vocab == 50257
    for i, token in enumerate(tok.tokens):
        assert token == reference.decode_single_token_bytes(i)
        if i < 50256:
            start = [tok.byte_order.index(byte) for byte in token]
            assert apply_merges(start, tok._merged) == [i]
    assert tok.special_tokens == {EOT: 50256} and tok.eot == 50256
    assert tok.encode("") == [] and tok.decode([]) == ""


@settings(max_examples=300)
@given(st.lists(st.integers(0, 50256)))
def test_any_ids_decode_as_tiktoken_decodes_them(tok, reference, ids):
    assert tok.decode(ids) == reference.decode(ids)
    assert tok.decode_bytes(ids) == reference.decode_bytes(ids)


RUNS = ["a", "ab", "the", " ", "\n", " \n", "0", "7429", ".", "!?", "'", "🍓", "é"]


@pytest.mark.parametrize("run", [*RUNS, "\0"])
def test_long_pieces_have_tiktokens_ids(tok, reference, run):
    for length in (63, 64, 65, 20_000):  # around LONG_PIECE, where the way changes
        for text in (run * (length // len(run)), f" {run * length}x"):
            assert tok.encode(text) == reference.encode_ordinary(text)


def test_tiny_shakespeare(tok, reference, tmp_path):
    path = GPT2.parent / "tinyshakespeare.txt"
    if not path.exists():
        pytest.skip("needs tinyshakespeare.txt in the folder MINIGPT_DATA")
    text = path.read_text("utf-8")
    ids = tok.encode(text)
    assert len(ids) == 338_025 and tok.decode(ids) == text
    assert ids == reference.encode_ordinary(text) == tok.to_tiktoken().encode(text)
    tok.save(tmp_path / "gpt2.json")
    assert BPETokenizer.load(tmp_path / "gpt2.json") == tok


@pytest.mark.parametrize(
    "names", [("vocab.bpe", "encoder.json"), ("merges.txt", "vocab.json")]
)
def test_files_of_either_name_are_found_beside_weights(tok, tmp_path, names):
    for file, name in zip(FILES, names, strict=True):
        shutil.copy(file, tmp_path / name)
    (tmp_path / "model.safetensors").write_bytes(b"no matter what")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "Unigram"}}')
    assert BPETokenizer.from_gpt2(tmp_path) == tok
    assert BPETokenizer.from_gpt2(str(tmp_path)) == tok


# ---------------------------------------------------------------- Hugging Face


@each_kind
@settings(max_examples=100)
@given(st.data())
def test_ids_are_hugging_faces_on_every_kind_of_text(tok, hugging_face, kind, data):
    text = data.draw(TEXTS[kind])
    text = text if isinstance(text, str) else tok.decode(text)
    assert tok.encode(text) == hugging_face.encode(text).ids


@settings(max_examples=200)
@given(st.lists(st.integers(0, 50256)))
def test_any_ids_decode_as_hugging_face_decodes_them(tok, hugging_face, ids):
    assert tok.decode(ids) == hugging_face.decode(ids, skip_special_tokens=False)


@pytest.fixture
def saved(tmp_path):
    """A folder as `transformers` leaves it, with what it reads there itself."""
    transformers = import_or_skip("transformers")
    (tmp_path / "theirs").mkdir()
    for file, name in zip(FILES, ("merges.txt", "vocab.json"), strict=True):
        shutil.copy(file, tmp_path / "theirs" / name)
    theirs = transformers.GPT2TokenizerFast.from_pretrained(tmp_path / "theirs")
    theirs.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved", theirs


def test_a_folder_that_transformers_saved(tok, saved):
    folder, theirs = saved
    assert (folder / "tokenizer.json").exists()
    assert BPETokenizer.from_gpt2(folder) == tok
    theirs.add_tokens(["<|pad|>"])
    theirs.save_pretrained(folder)
    for name in ("vocab.json", "merges.txt"):  # left by older releases
        (folder / name).unlink(missing_ok=True)
    special = BPETokenizer.from_gpt2(folder).special_tokens
    assert special == {EOT: 50256, "<|pad|>": 50257}


def test_transformers_takes_special_text_for_a_command(tok, saved):
    """A real difference, by their default; so is what they leave out of the text."""
    theirs = saved[1]
    text = f"one{EOT}two"
    assert theirs.encode(text) == tok.encode(text, {EOT}) != tok.encode(text)
    assert theirs.decode(tok.encode(text, {EOT}), skip_special_tokens=True) == "onetwo"
