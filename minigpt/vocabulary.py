"""What all tokenizers share: numbered and special tokens, a file. Chapter: tokenizer.

`Tokenizer` is the common part of the classes in `minigpt.tokenizer`. It knows the
vocabulary, special tokens, the checks at the border and the JSON file; what an ordinary
token is, its subclasses say.
"""

import json
import os
import re
import threading
from collections.abc import Iterable
from operator import index
from pathlib import Path
from typing import ClassVar

END_OF_TEXT = "<|endoftext|>"
FORMAT, VERSION = "minigpt tokenizer", 1


class Tokenizer:
    """The common part of all tokenizers.

    `tokens`: the vocabulary, a tuple in the order of the ids. `special_tokens`: name ->
    id; they have the last ids. `eot`: the id of "<|endoftext|>", or None where the
    tokenizer has no such token. Nothing changes once a tokenizer is made, so threads
    may share one; two are equal when they are of one class and give the same ids.

    A subclass has a `kind` (its name in a saved file), `_encode_ordinary`, `_state`
    and `_from_state`, and, where tokens are not str, `_as_token`, `_show` and `decode`.
    """

    kind = ""
    kinds: ClassVar[dict[str, type]] = {}

    def __init_subclass__(cls):
        if cls.kind:
            Tokenizer.kinds[cls.kind] = cls

    def __init__(self, ordinary: Iterable, special_tokens: Iterable[str] = ()):
        ordinary, names = tuple(ordinary), check_names(special_tokens)
        self.special_tokens = {name: len(ordinary) + i for i, name in enumerate(names)}
        self.tokens = ordinary + tuple(self._as_token(name) for name in names)
        self.eot = self.special_tokens.get(END_OF_TEXT)

    @property
    def vocab_size(self) -> int:
        """How many tokens there are; ids run from 0 to vocab_size - 1."""
        return len(self.tokens)

    def encode(self, text: str, allowed_special: Iterable[str] = ()) -> list[int]:
        """The ids of a text.

        What looks like a special token is plain text unless `allowed_special` names it
        ("all" allows every one). Raises ValueError for a lone surrogate and for what
        the vocabulary lacks, TypeError for what is no str.
        """
        check_text(text)
        names = self._allowed(allowed_special)
        ids = []
        for part in cut_at(names, text):
            if part in names:
                ids.append(self.special_tokens[part])
            else:
                ids.extend(self._encode_ordinary(part))
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids: a list, a NumPy row or any other row of integers.

        Raises ValueError for an id outside the vocabulary.
        """
        return "".join([self.tokens[i] for i in self._check_ids(ids)])

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """The text of every token on its own, for display. A byte that is only part of
        a character shows as \\xe2."""
        return [self._show(self.tokens[i]) for i in self._check_ids(ids)]

    def to_json(self) -> str:
        """The tokenizer as JSON, from which `from_json` makes the same one again."""
        state = {"format": FORMAT, "version": VERSION, "kind": self.kind}
        state |= self._state() | {"special_tokens": list(self.special_tokens)}
        return json.dumps(state)

    def save(self, path: str | os.PathLike) -> None:
        """Write the tokenizer as JSON: beside `path` first, then renamed into place."""
        path = Path(path)
        mark = f"{os.getpid()}-{threading.get_ident()}"
        beside = path.with_name(f".{path.name}.{mark}.tmp")
        try:
            beside.write_text(self.to_json(), encoding="utf-8")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Tokenizer":
        """The tokenizer in a file that `save` wrote.

        Raises ValueError for a file that is broken or holds another class.
        """
        tokenizer = load(path)
        if not isinstance(tokenizer, cls):
            found = type(tokenizer).__name__
            raise ValueError(
                f"{path} holds a {found}, not a {cls.__name__}: use {found}.load, "
                "or minigpt.tokenizer.load, which takes every kind"
            )
        return tokenizer

    def _allowed(self, allowed_special):
        if allowed_special == "all":
            return set(self.special_tokens)
        one = isinstance(allowed_special, str)
        names = {allowed_special} if one else set(allowed_special)
        for name in names - set(self.special_tokens):
            known = ", ".join(self.special_tokens) or "none"
            raise ValueError(
                f"{name!r} is no special token of this tokenizer; it has: {known}"
            )
        return names

    def _check_ids(self, ids):
        try:
            row = [index(i) for i in (ids.tolist() if hasattr(ids, "tolist") else ids)]
        except TypeError:
            raise ValueError(
                f"ids must be one row of integers, not {ids!r:.200}"
            ) from None
        if row and not 0 <= min(row) <= max(row) < self.vocab_size:
            wrong = next(i for i in row if not 0 <= i < self.vocab_size)
            raise ValueError(
                f"id {wrong} is not in the vocabulary: "
                f"ids run from 0 to {self.vocab_size - 1}"
            )
        return row

    _as_token = _show = staticmethod(str)

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        mine, theirs = (self.tokens, self._state()), (other.tokens, other._state())
        return mine == theirs and self.special_tokens == other.special_tokens

    def __hash__(self):
        return hash((self.kind, self.tokens))

    def __repr__(self):
        names = list(self.special_tokens)
        special = f", special_tokens={names}" if names else ""
        return f"<{type(self).__name__} vocab_size={self.vocab_size}{special}>"


def load(path: str | os.PathLike) -> Tokenizer:
    """The tokenizer in a file that `save` wrote, of whichever class it is.

    Raises ValueError when the file is no tokenizer, is damaged, or is of a later
    version.
    """
    return from_json(Path(path).read_bytes(), path)


def from_json(content: str | bytes, path: str | os.PathLike) -> Tokenizer:
    """The tokenizer that `Tokenizer.to_json` wrote down, found in the file `path`.

    Raises as `load` does.
    """
    try:
        state = json.loads(content)
        if isinstance(state, dict) and "added_tokens" in state:
            raise ValueError(
                "it is Hugging Face's; BPETokenizer.from_gpt2 takes the folder that "
                "holds it when it is GPT-2's"
            )
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise ValueError(f'it lacks the line "format": "{FORMAT}"')
        if state["version"] != VERSION:
            raise ValueError(
                f"it has version {state['version']!r} and this program reads version "
                f"{VERSION}: a newer minigpt will do"
            )
        if state["kind"] not in Tokenizer.kinds:
            raise ValueError(f'its "kind" is {state["kind"]!r}')
        return Tokenizer.kinds[state["kind"]]._from_state(state)
    except KeyError as error:
        raise ValueError(f"{path} is no tokenizer file: it lacks {error}") from None
    except (ValueError, TypeError, RecursionError) as error:  # JSON, UTF-8
        raise ValueError(f"{path} is no tokenizer file: {error}") from None


def check_text(text: str) -> None:
    """Raise unless `text` is a str that can be written as UTF-8."""
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, not {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        place, code = error.start, ord(text[error.start])
        raise ValueError(
            f"the text has a lone surrogate, U+{code:04X}, at position {place}, which "
            "is no character: repair it where the text was read, for example with "
            'text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")'
        ) from None


def check_names(special_tokens: Iterable[str]) -> list[str]:
    """The special tokens as a list (one str is one name); raises ValueError unless
    they are different and not empty."""
    one = isinstance(special_tokens, str)
    names = [special_tokens] if one else list(special_tokens)
    for name in names:
        check_text(name)
    if "" in names or len(set(names)) < len(names):
        raise ValueError(f"special tokens need names that differ, not {names}")
    return names


def check_texts(text: str | Iterable[str]) -> list[str]:
    """One text or several, as a list; raises as `check_text` does."""
    texts = [text] if isinstance(text, str) else list(text)
    for part in texts:
        check_text(part)
    return texts


def cut_at(names: Iterable[str], text: str) -> list[str]:
    """The text cut before and after every name; of names that overlap, the longest.

    Example: {"<e>"}, "one<e>two" -> ["one", "<e>", "two"]
    """
    if not names:
        return [text]
    longest_first = sorted(names, key=len, reverse=True)
    parts = re.split(f"({'|'.join(map(re.escape, longest_first))})", text)
    return [part for part in parts if part]
