"""Text to token ids and back: by characters, words or byte pairs. Chapter: tokenizer.

The classes share `encode`, `decode`, `pieces`, `vocab_size`, `special_tokens`, `eot`,
`save` and `load` (see `minigpt.vocabulary`); they differ in what a token is.
"""

import os
from collections import Counter
from collections.abc import Iterable

import regex

from minigpt.bpe import EXACT_PATTERN, apply_merges, learn_merges, split
from minigpt.gpt2_files import byte_alphabet, find_files, read
from minigpt.vocabulary import (
    END_OF_TEXT,
    Tokenizer,
    check_names,
    check_texts,
    cut_at,
    load,
)

__all__ = [
    "END_OF_TEXT",
    "BPETokenizer",
    "CharTokenizer",
    "Tokenizer",
    "WordTokenizer",
    "load",
]

REMEMBERED = 50_000  # pieces whose ids a BPETokenizer keeps at hand
SHORT = 50  # characters; longer pieces are rare, and not kept


class LookupTokenizer(Tokenizer):
    """A tokenizer whose vocabulary is the pieces of a text, sorted: a table each way.

    `stoi` maps each piece to its id, `itos` lists the pieces in the order of the ids.
    """

    what = "piece"

    def __init__(self, text: str | Iterable[str], special_tokens: Iterable[str] = ()):
        names = check_names(special_tokens)
        parts = [part for one in check_texts(text) for part in cut_at(names, one)]
        seen = [self.split(part) for part in parts if part not in names]
        self.itos = sorted({piece for pieces in seen for piece in pieces})
        self.stoi = {piece: i for i, piece in enumerate(self.itos)}
        super().__init__(self.itos, names)

    def _encode_ordinary(self, text):
        pieces = self.split(text)
        try:
            return [self.stoi[piece] for piece in pieces]
        except KeyError as error:
            piece, place = error.args[0], pieces.index(error.args[0])
            place = sum(map(len, pieces[:place]))
            code = f" (U+{ord(piece):04X})" if len(piece) == 1 else ""
            raise ValueError(
                f"the {self.what} {piece!r}{code} at position {place} is not in the "
                f"vocabulary of {len(self.stoi)}: build the {type(self).__name__} from "
                "a text that has it, or use BPETokenizer, which can spell any text"
            ) from None

    def _state(self):
        return {"tokens": self.itos}

    @classmethod
    def _from_state(cls, state):
        tokens = state["tokens"]
        tokenizer = cls(tokens, state["special_tokens"])
        if tokenizer.itos != tokens:
            raise ValueError('"tokens" must be sorted and each one piece')
        return tokenizer


class CharTokenizer(LookupTokenizer):
    """One token a character: `CharTokenizer(text)` knows the characters of `text` (a
    str or several), and `encode` raises ValueError for any other, naming it.

    Example: CharTokenizer("hello").encode("hole") -> [1, 3, 2, 0]
    """

    kind, what = "characters", "character"
    split = staticmethod(list)


class WordTokenizer(LookupTokenizer):
    """One token a word, a punctuation mark or a white-space character: decoded, the
    text is as it was. `WordTokenizer(text)` knows those of `text` (a str or several).

    A word is letters, digits and underscores, with apostrophes inside ("don't").
    There is no token for unknown words: `encode` raises ValueError and names the word,
    since a text with holes in it cannot be decoded.

    Example: WordTokenizer("so, so it is").pieces([1, 0, 2]) -> [",", " ", "is"]
    """

    kind, what = "words", "word"
    split = staticmethod(regex.compile(r"\w+(?:['\u2019]\w+)*|\s|[^\w\s]").findall)


class BPETokenizer(Tokenizer):
    """Byte-level byte-pair encoding, as GPT-2's: any text has ids, none is unknown.

    `merges`: the pairs of byte strings in the order in which they were learnt.
    `byte_order`: which byte each of the ids 0 to 255 stands for. Then come the merged
    tokens in the order of `merges`, then the special tokens. `tokens` are byte strings.
    Raises ValueError when a merge joins what is no token yet, or makes one again.
    """

    kind = "byte pairs"

    def __init__(
        self,
        merges: Iterable[tuple[bytes, bytes]] = (),
        special_tokens: Iterable[str] = (),
        byte_order: Iterable[int] = range(256),
    ):
        self.merges = [(a, b) for a, b in merges]
        self.byte_order = tuple(byte_order)
        if sorted(self.byte_order) != list(range(256)):
            raise ValueError("byte_order must hold each of the bytes 0 to 255 once")
        self._byte_ids = {byte: i for i, byte in enumerate(self.byte_order)}
        ids = {bytes([byte]): i for byte, i in self._byte_ids.items()}
        self._merged = {}  # (id, id) -> id of the joined token
        for a, b in self.merges:
            if a not in ids or b not in ids or a + b in ids:
                raise ValueError(
                    f"merge {len(self._merged)}, {a!r} and {b!r}, must join two tokens "
                    "that are there already and make one that is not"
                )
            self._merged[ids[a], ids[b]] = ids[a + b] = len(ids)
        super().__init__(ids, special_tokens)
        self._remembered = {}

    @classmethod
    def train(
        cls,
        text: str | Iterable[str],
        vocab_size: int = 512,
        special_tokens: Iterable[str] = (),
    ) -> "BPETokenizer":
        """A tokenizer learnt from a text, or from several.

        `vocab_size` counts the 256 bytes, the merges and the special tokens, which take
        the last ids and are cut out of the text before anything is learnt. The result
        is smaller when the text has no more pairs to join. Raises ValueError when
        `vocab_size` has no room for the bytes and the special tokens.
        """
        names = check_names(special_tokens)
        n_merges = vocab_size - 256 - len(names)
        if n_merges < 0:
            raise ValueError(
                f"vocab_size={vocab_size} is too small: the 256 bytes and "
                f"{len(names)} special tokens need {256 + len(names)}"
            )
        counts = Counter()
        for one in check_texts(text):
            for part in cut_at(names, one):
                if part not in names:
                    counts.update(split(part))
        pieces = Counter({piece.encode(): n for piece, n in counts.items()})
        return cls(learn_merges(pieces, n_merges), names)

    @classmethod
    def from_gpt2(
        cls, vocab_bpe: str | os.PathLike, encoder_json: str | os.PathLike | None = None
    ) -> "BPETokenizer":
        """GPT-2's tokenizer from its two files, or from the folder that holds them,
        as vocab.bpe and encoder.json or as merges.txt and vocab.json; where neither
        couple is, Hugging Face's tokenizer.json will do. Other files may lie beside.

        Raises FileNotFoundError when they are not there, ValueError when a file is
        damaged or the two do not belong together.
        """
        if encoder_json is None:
            vocab_bpe, encoder_json = find_files(vocab_bpe)
        merges, names = read(vocab_bpe, encoder_json)
        return cls(merges, names, byte_alphabet())

    def to_tiktoken(self):
        """The same tokenizer as a `tiktoken.Encoding`, made without a download."""
        import tiktoken

        special = self.special_tokens
        n_ordinary = self.vocab_size - len(special)
        return tiktoken.Encoding(
            f"minigpt-{self.vocab_size}",
            pat_str=EXACT_PATTERN,
            mergeable_ranks={t: i for i, t in enumerate(self.tokens[:n_ordinary])},
            special_tokens=special,
        )

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of some ids, which need not be whole characters."""
        return b"".join([self.tokens[i] for i in self._check_ids(ids)])

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; bytes that are no valid UTF-8 become U+FFFD.

        Raises ValueError for an id outside the vocabulary.
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def _encode_ordinary(self, text):
        ids, remembered = [], self._remembered
        for piece in split(text):
            known = remembered.get(piece)
            ids += self._encode_piece(piece) if known is None else known
        return ids

    def _encode_piece(self, piece):
        ids = apply_merges([self._byte_ids[b] for b in piece.encode()], self._merged)
        if len(piece) <= SHORT:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[piece] = tuple(ids)
        return ids

    def _as_token(self, name):
        return name.encode()

    def _show(self, token):
        return token.decode("utf-8", errors="backslashreplace")

    def _state(self):
        pairs = [list(pair) for pair in self._merged]
        return {"byte_order": list(self.byte_order), "merges": pairs}

    @classmethod
    def _from_state(cls, state):
        tokens = [bytes([byte]) for byte in state["byte_order"]]
        merges = []
        for a, b in state["merges"]:
            if not 0 <= min(a, b) <= max(a, b) < len(tokens):
                raise ValueError(f"merge {len(merges)} joins a token that is not there")
            merges.append((tokens[a], tokens[b]))
            tokens.append(tokens[a] + tokens[b])
        return cls(merges, state["special_tokens"], state["byte_order"])
