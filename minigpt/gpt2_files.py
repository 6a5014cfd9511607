"""GPT-2's tokenizer files, vocab.bpe and encoder.json: how they spell bytes.

Both write a token's bytes as printable characters, so that a line of merges can be
split at its space: bytes that print stand for themselves, the others are shifted up to
U+0100 and beyond (the space becomes "Ġ"). Chapter: tokenizer.
Source: Radford et al. 2019, `encoder.py` of the GPT-2 release.
"""

import json
import os
from pathlib import Path

NAMES = (("vocab.bpe", "encoder.json"), ("merges.txt", "vocab.json"))


def byte_alphabet() -> dict[int, str]:
    """The character that stands for each byte, in the order of GPT-2's first 256 ids:
    first the 188 bytes that print, then the other 68."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {byte: chr(byte) for byte in printable}
    return alphabet | {byte: chr(256 + n) for n, byte in enumerate(others)}


def find_files(folder: str | os.PathLike) -> tuple[Path, Path]:
    """The two files in a folder, under OpenAI's names or Hugging Face's.

    Raises FileNotFoundError when neither couple is there.
    """
    for merges, vocabulary in NAMES:
        if (Path(folder) / merges).exists() and (Path(folder) / vocabulary).exists():
            return Path(folder) / merges, Path(folder) / vocabulary
    raise FileNotFoundError(
        f"{folder} holds neither vocab.bpe and encoder.json nor merges.txt and "
        "vocab.json: give the folder that does, or both files"
    )


def read_merges(path: str | os.PathLike) -> list[tuple[bytes, bytes]]:
    """The merges in a vocab.bpe file, one pair of tokens a line, in order.

    Raises ValueError for a line that is no such pair.
    """
    byte_of = {character: byte for byte, character in byte_alphabet().items()}
    merges = []
    lines = Path(path).read_text(encoding="utf-8").split("\n")
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


def read_special_tokens(
    path: str | os.PathLike, merges: list[tuple[bytes, bytes]]
) -> list[str]:
    """The special tokens in an encoder.json file: what follows bytes and merges.

    Raises ValueError when the rest of the file is not what the merges make.
    """
    spell = byte_alphabet()
    tokens = [bytes([byte]) for byte in spell] + [a + b for a, b in merges]
    expected = ["".join([spell[byte] for byte in token]) for token in tokens]
    try:
        ids = json.loads(Path(path).read_bytes())
        found = sorted(ids, key=ids.get)
        in_a_row = [ids[token] for token in found] == list(range(len(ids)))
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"{path} is no JSON file of tokens and their ids") from None
    if found[: len(expected)] != expected or not in_a_row:
        raise ValueError(
            f"{path} does not belong to these {len(merges):,} merges: its ids must be "
            "the 256 bytes, the merges in their order, then the special tokens"
        )
    return found[len(expected) :]
