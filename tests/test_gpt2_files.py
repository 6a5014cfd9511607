"""GPT-2's tokenizer files under all their names, small ones made here.

The real ones have their tests in test_parity_tokenizers.py.
"""

import copy
import json

import pytest

from minigpt import tokenizer
from minigpt.gpt2_files import byte_alphabet
from minigpt.tokenizer import BPETokenizer

EOT = "<|endoftext|>"
SPELL = byte_alphabet()
MERGES = "#version: 0.2\na b\nĠ ab\n"
IDS = {token: i for i, token in enumerate([*SPELL.values(), "ab", "Ġab", EOT])}
EXPECTED = BPETokenizer([(b"a", b"b"), (b" ", b"ab")], [EOT], SPELL)
COUPLES = {"vocab.bpe": "encoder.json", "merges.txt": "vocab.json"}
WHOLE = {  # what Hugging Face's programs write, without what does not matter here
    "added_tokens": [{"id": 258, "content": EOT, "special": True}],
    "normalizer": None,
    "pre_tokenizer": {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "use_regex": True,
    },
    "model": {"type": "BPE", "vocab": IDS, "merges": [["a", "b"], ["Ġ", "ab"]]},
}


def lay_out(folder, merges="vocab.bpe", text=MERGES, ids=IDS):
    (folder / merges).write_text(text, "utf-8")
    (folder / COUPLES[merges]).write_text(json.dumps(ids))
    return folder


def whole(folder, **changes):
    """A folder with one tokenizer.json: each change is part__key=value."""
    state = copy.deepcopy(WHOLE)
    for name, value in changes.items():
        *parts, key = name.split("__")
        (state[parts[0]] if parts else state)[key] = value
    (folder / "tokenizer.json").write_text(json.dumps(state), "utf-8")
    return folder


def refused(folder, sentence):
    with pytest.raises(ValueError, match=sentence):
        BPETokenizer.from_gpt2(folder)


def test_the_alphabet_spells_each_byte_differently():
    assert SPELL[ord(" ")] == "Ġ" and len(set(SPELL.values())) == 256
    assert all(character.isprintable() for character in SPELL.values())


@pytest.mark.parametrize("name", COUPLES)
def test_two_files_under_either_name(name, tmp_path):
    lay_out(tmp_path, name)
    files = tmp_path / name, tmp_path / COUPLES[name]
    for tok in (BPETokenizer.from_gpt2(tmp_path), BPETokenizer.from_gpt2(*files)):
        assert tok == EXPECTED and tok.eot == 258 and tok.byte_order == tuple(SPELL)
        assert tok.encode(" ab!") == [257, 0]
    tok.save(tmp_path / "tok.json")
    assert BPETokenizer.load(tmp_path / "tok.json") == tok


def test_lines_may_end_as_in_windows_and_ids_stand_in_any_order(tmp_path):
    backwards = dict(reversed(IDS.items()))
    lay_out(tmp_path, text=MERGES, ids=backwards)
    (tmp_path / "vocab.bpe").write_bytes(MERGES.encode().replace(b"\n", b"\r\n"))
    assert BPETokenizer.from_gpt2(tmp_path) == EXPECTED


@pytest.mark.parametrize("name", COUPLES)
def test_other_files_beside_them_do_not_matter(name, tmp_path):
    lay_out(tmp_path, name)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_text("{}")
    whole(tmp_path, pre_tokenizer__type="Whitespace")
    assert BPETokenizer.from_gpt2(tmp_path) == EXPECTED
    EXPECTED.save(tmp_path / "tokenizer.json")
    assert BPETokenizer.from_gpt2(tmp_path) == EXPECTED


def test_one_tokenizer_json_stands_for_both(tmp_path):
    assert BPETokenizer.from_gpt2(whole(tmp_path)) == EXPECTED
    older = whole(tmp_path, model__merges=["a b", "Ġ ab"])
    assert BPETokenizer.from_gpt2(older) == EXPECTED
    file = tmp_path / "tokenizer.json"
    assert BPETokenizer.from_gpt2(file, file) == EXPECTED
    two = [*WHOLE["added_tokens"], {"id": 259, "content": "<|pad|>"}]
    padded = BPETokenizer.from_gpt2(whole(tmp_path, added_tokens=two))
    assert padded.special_tokens == {EOT: 258, "<|pad|>": 259}
    del (shorter := copy.deepcopy(WHOLE))["pre_tokenizer"]["use_regex"]
    file.write_text(json.dumps(shorter))
    assert BPETokenizer.from_gpt2(tmp_path) == EXPECTED


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("normalizer", {"type": "NFC"}, "normalizer is .*NFC.* be None"),
        ("pre_tokenizer", None, "type is None and should be 'ByteLevel'"),
        ("pre_tokenizer__type", "Whitespace", "type is 'Whitespace'"),
        ("pre_tokenizer__add_prefix_space", True, "add_prefix_space is True"),
        ("pre_tokenizer__use_regex", False, "use_regex is False and should be True"),
        ("model__type", "WordPiece", "'WordPiece' and should be 'BPE'"),
        ("model__dropout", 0.1, "dropout is 0.1"),
        ("model__ignore_merges", True, "ignore_merges is True"),
        ("model__merges", [["Ġ", "a"]], "does not belong to these 1 merges"),
        ("model__merges", [["a", "b"]], "'Ġab', which no merge makes: .* cut short"),
        ("model__merges", [["a", "b"], ["c"]], "line 2: 'c' is not two tokens"),
        ("model__merges", [3], "no tokenizer of byte pairs"),
        ("model", {"type": "Unigram", "vocab": []}, "no tokenizer of byte pairs"),
        ("pre_tokenizer", [], "type is None"),
        ("pre_tokenizer", ["ByteLevel"], "no tokenizer of byte pairs"),
        ("added_tokens", [{"id": 300, "content": EOT}], "does not belong"),
    ],
)
def test_a_tokenizer_json_of_another_kind_is_refused(name, value, shown, tmp_path):
    refused(whole(tmp_path, **{name: value}), shown)


def test_a_tokenizer_json_of_our_own_names_what_reads_it(tmp_path):
    EXPECTED.save(tmp_path / "tokenizer.json")
    refused(tmp_path, r"minigpt\.tokenizer\.load reads it")
    assert tokenizer.load(tmp_path / "tokenizer.json") == EXPECTED
    with pytest.raises(ValueError, match="it is Hugging Face's"):
        tokenizer.load(whole(tmp_path) / "tokenizer.json")


@pytest.mark.parametrize(
    ("text", "ids", "sentence"),
    [
        ("#version: 0.2\nĠ a\n", IDS, "does not belong to these 1 merges"),
        ("a b c\n", IDS, "line 1: 'a b c' is not two tokens"),
        (MERGES + "a 猫\n", IDS, "line 4: 'a 猫' is not two tokens"),
        (MERGES, IDS | {EOT: 300}, "does not belong to these 2 merges"),
        (MERGES, IDS | {EOT: "258"}, "no JSON file of tokens and their ids"),
        (MERGES, [1, 2], "no JSON file of tokens and their ids"),
        ("#version: 0.2\na b\n", IDS, "'Ġab', which no merge makes: .* cut short"),
        ("", IDS, "'ab', which no merge makes"),
        (MERGES + "ab a\n", IDS, "does not belong to these 3 merges"),
    ],
)
def test_files_that_do_not_belong_together(text, ids, sentence, tmp_path):
    refused(lay_out(tmp_path, text=text, ids=ids), sentence)


def test_a_file_that_is_damaged_or_missing(tmp_path):
    lay_out(tmp_path)
    (tmp_path / "encoder.json").write_bytes(b'{"a": 1')
    refused(tmp_path, r"encoder\.json is no JSON file")
    (tmp_path / "encoder.json").write_text("[" * 200_000)
    refused(tmp_path, r"encoder\.json is no JSON file")
    lay_out(tmp_path)
    (tmp_path / "vocab.bpe").write_bytes(b"a b\nc\xff d\n")
    refused(tmp_path, r"vocab\.bpe is no file of merges: .* UTF-8.* position 5")
    (tmp_path / "encoder.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"neither vocab\.bpe .* give the f"):
        BPETokenizer.from_gpt2(tmp_path)
    with pytest.raises(FileNotFoundError, match="gone"):
        BPETokenizer.from_gpt2(tmp_path / "gone")
