"""Reading tales back: which walks of the grammar tell a text, and what does not fit.

A sentence is read as a move of the grammar in two steps: it must have the move's shape,
and then what stands in its slots is compared with what the tale so far puts there.
"""

import re
from functools import cache
from typing import NamedTuple

from minigpt.tales.grammar import SLOT
from minigpt.tales.lexicon import POOLS, pattern


class Fault(NamedTuple):
    """Something that does not agree; `wanted` is "" where many words would do."""

    slot: str
    form: str
    found: str
    wanted: str


class Reading(NamedTuple):
    """A sentence read as a move: what fills the slots after it, and its faults."""

    filled: dict[str, str]
    faults: list[Fault]


def sentences(text):
    """The sentences of a text, cut at the blank after a full stop or question mark."""
    return re.split(r"(?<=[.?]) ", text)


def parses(grammar, text):
    """Every way to read a text as a tale: a list of `(log_prob, node, filled)`."""
    ways = [(0.0, grammar.start, {})]
    for sentence in sentences(text):
        ways = [
            (log_prob + move.log_prob, move.next, reading.filled)
            for log_prob, node, filled in ways
            for move in grammar.moves(node)
            if (reading := read(grammar, move, sentence, filled)) and not reading.faults
        ]
    return [way for way in ways if way[1][0].stage == "end"]


def read(grammar, move, sentence, filled):
    """The sentence read as this move, or None if it has another shape."""
    match = shape(move.sentence).fullmatch(sentence)
    if match is None:
        return None
    filled, faults, found = dict(filled), [], {}
    slots = SLOT.findall(move.sentence)
    for (slot, form), text in zip(slots, match.groups(), strict=True):
        found.setdefault(slot, []).append((form, text))
    for slot, texts in found.items():
        words = grammar.pools[POOLS[slot]]
        if slot in move.draws:
            filled[slot] = _guess(words, texts)
            if filled[slot] is None:
                faults.append(Fault(slot, *texts[-1], ""))
                filled[slot] = next(iter(words))  # one is as good as another
                continue
        forms = words[filled[slot]]
        wanted = (Fault(slot, form, text, forms[form]) for form, text in texts)
        faults += [fault for fault in wanted if fault.found != fault.wanted]
    return Reading(filled, faults)


@cache
def shape(sentence):
    """The regular expression of a sentence with slots; `fullmatch` gives the slots."""
    parts, at = [], 0
    for slot in SLOT.finditer(sentence):
        parts.append(re.escape(sentence[at : slot.start()]))
        parts.append(f"({pattern(slot[1], slot[2] or '')})")
        at = slot.end()
    return re.compile("".join(parts) + re.escape(sentence[at:]))


def _guess(words, texts):
    """The filler that the texts of a new slot name, or None."""

    def agreement(filler):
        last = words[filler][""].split()[-1]
        named = 2 * sum(text.split()[-1] == last for _, text in texts)
        return named + sum(words[filler][form] == text for form, text in texts)

    best = max(words, key=agreement)
    return best if agreement(best) > 1 else None
