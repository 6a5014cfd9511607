"""Text from new ids as they come: whole characters, an end at texts that stop it.

A token may hold half a character, and half of a text at which writing is to end:
`TextStream` keeps back what is not certain yet. Chapter: generation.
"""

import codecs

from minigpt.gpt2_files import byte_alphabet
from minigpt.vocabulary import check_text


def first_ids(tok, prompt, begin=None):
    """The ids that a model reads first: those of ``prompt``, after an end token.

    Models that learn from whole texts see each begin with an end token. GPT-2 learned
    from windows of one long row, and reads a prompt as it is. ``begin=None`` decides so
    by the tokenizer, True and False put an end token or none before. An empty prompt
    always is an end token.

    Raises ``ValueError`` for a tokenizer without the end token that is needed, and for
    what its vocabulary lacks.
    """
    if begin is None:
        begin = tok.eot is not None and not is_gpt2(tok)
    ids = tok.encode(prompt)
    if ids and not begin:
        return ids
    if tok.eot is None:
        raise ValueError(
            "this tokenizer has no end token that a text could begin with: give a "
            "prompt, to be read as it is"
        )
    return [tok.eot, *ids]


def is_gpt2(tok):
    """Whether a tokenizer is GPT-2's: only its files number the bytes like this."""
    return getattr(tok, "byte_order", None) == tuple(byte_alphabet())


class TextStream:
    """The text of new ids, as much of it as is certain.

    Text ends before the first of the texts in ``stop`` (one or several) that is whole,
    and at the tokenizer's end token; ``ended`` is True from then on. All that `feed`
    and `finish` give, joined, is the text of all ids up to there. Raises ``ValueError``
    for an empty ``stop``.
    """

    def __init__(self, tok, stop=()):
        self.tok = tok
        self.stop = (stop,) if isinstance(stop, str) else tuple(stop)
        for text in self.stop:
            check_text(text)
            if not text:
                raise ValueError("a text that stops must not be empty: nothing is")
        self.ended = False
        self._held = ""  # could be the beginning of a stop text
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, new_id):
        """The text that is certain now that ``new_id`` has come; often ""."""
        if self.ended:
            return ""
        if new_id == self.tok.eot:
            return self.finish()
        if hasattr(self.tok, "decode_bytes"):
            new = self._utf8.decode(self.tok.decode_bytes([new_id]))
        else:
            new = self.tok.decode([new_id])
        return self._release(new)

    def finish(self):
        """What was held back, when no more ids come."""
        if self.ended:
            return ""
        text = self._release(self._utf8.decode(b"", final=True)) + self._held
        self.ended, self._held = True, ""
        return text

    def _release(self, new):
        text = self._held + new
        found = [(at + len(s), at) for s in self.stop if (at := text.find(s)) >= 0]
        if found:  # of several, the one that was whole first
            self.ended, self._held = True, ""
            return text[: min(found)[1]]
        parts = (s[:n] for s in self.stop for n in range(1, len(s)))
        keep = max((len(part) for part in parts if text.endswith(part)), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def pieces(tok, ids, stop=()):
    """Yield the text of an iterable of ids as it becomes certain, up to its end."""
    stream = TextStream(tok, stop)
    for new_id in ids:
        if text := stream.feed(new_id):
            yield text
        if stream.ended:
            return
    if text := stream.finish():
        yield text
