"""GPT-2's tokenizer files, vocab.bpe and encoder.json: how they spell bytes.

Both write a token's bytes as printable characters, so that a line of merges can be
split at its space: bytes that print stand for themselves, the others are shifted up to
U+0100 and beyond (the space becomes "Ġ"). Hugging Face names the two merges.txt and
vocab.json, and its newer programs write one tokenizer.json for both. Chapter:
tokenizer. Source: Radford et al. 2019, `encoder.py` of the GPT-2 release.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from minigpt.vocabulary import FORMAT

NAMES = (
    ("vocab.bpe", "encoder.json"),
    ("merges.txt", "vocab.json"),
    ("tokenizer.json", "tokenizer.json"),
)
SETTINGS = {  # of a tokenizer.json: what makes it cut and merge as GPT-2 does
    "normalizer": None,
    "pre_tokenizer.type": "ByteLevel",
    "pre_tokenizer.add_prefix_space": False,
    "pre_tokenizer.use_regex": True,
    "model.type": "BPE",
    "model.dropout": None,
    "model.ignore_merges": False,
}


def byte_alphabet() -> dict[int, str]:
    """The character that stands for each byte, in the order of GPT-2's first 256 ids:
    first the 188 bytes that print, then the other 68."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {byte: chr(byte) for byte in printable}
    return alphabet | {byte: chr(256 + n) for n, byte in enumerate(others)}


def find_files(folder: str | os.PathLike) -> tuple[Path, Path]:
    """The two files in a folder, under OpenAI's names or Hugging Face's; or twice its
    tokenizer.json, when that is all.

    Raises FileNotFoundError when the folder has none of them.
    """
    for merges, vocabulary in NAMES:
        if (Path(folder) / merges).exists() and (Path(folder) / vocabulary).exists():
            return Path(folder) / merges, Path(folder) / vocabulary
    raise FileNotFoundError(
        f"{folder} holds neither vocab.bpe and encoder.json nor merges.txt and "
        "vocab.json nor tokenizer.json: give the folder that does, or both files"
    )


def read(
    vocab_bpe: str | os.PathLike, encoder_json: str | os.PathLike
) -> tuple[list[tuple[bytes, bytes]], list[str]]:
    """The merges in their order, as pairs of byte strings, and the special tokens.

    The two files are one when it is a tokenizer.json. Raises ValueError when a file is
    damaged, when the two do not belong together, and for a tokenizer.json with other
    rules than GPT-2's.
    """
    if vocab_bpe == encoder_json:
        lines, ids = _read_tokenizer_json(vocab_bpe)
    else:
        lines = _read_lines(vocab_bpe)
        ids = _read_json(encoder_json)
    merges = _parse_merges(lines, vocab_bpe)
    return merges, _special_tokens(ids, merges, encoder_json)


def _read_lines(path):
    try:
        return Path(path).read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no file of merges: it is not text in UTF-8, as the byte at "
            f"position {error.start} shows"
        ) from None


def _read_json(path):
    try:
        found = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or far too deep
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is no JSON file of tokens and their ids")
    return found


def _read_tokenizer_json(path):
    """Lines as those of vocab.bpe, and ids as those of encoder.json."""
    whole = _read_json(path)
    try:
        pairs, ids = whole["model"]["merges"], whole["model"]["vocab"]
        lines = [pair if isinstance(pair, str) else " ".join(pair) for pair in pairs]
        ids = ids | {token["content"]: token["id"] for token in whole["added_tokens"]}
        found = {name: _setting(whole, name) for name in SETTINGS}
    except (KeyError, TypeError, AttributeError):
        ours = "; minigpt saved it, and minigpt.tokenizer.load reads it"
        raise ValueError(
            f"{path} is no tokenizer of byte pairs as Hugging Face writes them"
            f"{ours if whole.get('format') == FORMAT else ''}"
        ) from None
    for name, expected in SETTINGS.items():
        if found[name] != expected:
            raise ValueError(
                f"{path} is not as GPT-2's: its {name} is {found[name]!r} and should "
                f"be {expected!r}"
            )
    return lines, ids


def _setting(whole, name):
    """A setting by its name with dots; what older files leave out is as it should be,
    but for a whole part that is not there."""
    part, _, key = name.rpartition(".")
    inside = (whole.get(part) or {"type": None}) if part else whole
    return inside.get(key, SETTINGS[name])


def _parse_merges(lines: Iterable[str], path) -> list[tuple[bytes, bytes]]:
    byte_of = {character: byte for byte, character in byte_alphabet().items()}
    merges = []
    for number, line in enumerate(lines, start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        try:
            a, b = (bytes([byte_of[c] for c in token]) for token in line.split(" "))
        except (KeyError, ValueError):
            raise ValueError(
                f"{path}, line {number}: {line[:60]!r} is not two tokens in GPT-2's "
                "spelling with a space between"
            ) from None
        merges.append((a, b))
    return merges


def _special_tokens(ids: dict[str, int], merges, path) -> list[str]:
    """The names of the ids that follow bytes and merges, after checking those."""
    spell = byte_alphabet()
    tokens = [bytes([byte]) for byte in spell] + [a + b for a, b in merges]
    expected = ["".join([spell[byte] for byte in token]) for token in tokens]
    try:
        found = sorted(ids, key=ids.get)
        in_a_row = [ids[token] for token in found] == list(range(len(ids)))
    except TypeError:  # ids that are no numbers
        raise ValueError(f"{path} is no JSON file of tokens and their ids") from None
    if found[: len(expected)] != expected or not in_a_row:
        raise ValueError(
            f"{path} does not belong to these {len(merges):,} merges: its ids must be "
            "the 256 bytes, the merges in their order, then the special tokens"
        )
    names, known = found[len(expected) :], set(expected)
    for name in names[:1]:  # of tokens that have lost their merge, the first shows it
        if any(name[:i] in known and name[i:] in known for i in range(1, len(name))):
            raise ValueError(
                f"{path} has the token {name!r}, which no merge makes: the merges are "
                "cut short, or of another tokenizer"
            )
    return names
