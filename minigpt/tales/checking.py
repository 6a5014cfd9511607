"""What is wrong with a text: the faults that `minigpt.tales.check` names.

The text is read along the grammar, sentence by sentence, with a beam of readings: a
word that does not agree costs 1, a sentence out of place a little more. The cheapest
reading is the one that assumes the fewest mistakes, and it tells what they are.
"""

import re
from functools import lru_cache

from minigpt.tales.lexicon import FORMS, POOLS
from minigpt.tales.reading import read, sentences, shape
from minigpt.tales.state import LONGEST, SHORTEST, whereabouts

BEAM = 20  # readings that are followed side by side
MISPLACED = 2.5  # what a sentence out of place costs, in wrong words
WRONG_ANSWER = 1.5  # the same, where only one sentence can stand
KINDS = {  # the pools, as a sentence calls one of their words
    "children": "child",
    "animals": "animal",
    "species": "animal",
    "adults": "grown-up",
    "things": "thing",
    "colours": "colour",
    "places": "place",
}


def problems(grammar, text):
    """Every fault of a text that is no tale, each as a sentence."""
    told = [part for part in sentences(" ".join(text.split())) if part]
    if not told:
        return ["The text is empty."]
    faults = _form(text, told) + _strange_words(grammar, told)
    faults += _misreadings(grammar, told)
    return faults or ["The text is no tale of this world."]


@lru_cache(maxsize=4)
def vocabulary(grammar):
    """Every word of the grammar's tales, those of its sentences and its fillers."""
    texts = [re.sub(r"\{.*?\}", " ", line) for line in _lines(grammar)]
    for words in grammar.pools.values():
        texts += [text for forms in words.values() for text in forms.values()]
    return frozenset(re.findall(r"\w+", " ".join(texts)))


@lru_cache(maxsize=4)
def _lines(grammar):
    """Every sentence of the grammar, with its slots."""
    return {move.sentence for node in grammar.nodes for move in grammar.moves(node)}


def _form(text, told):
    """Faults of the text as a whole."""
    problems = []
    if text != " ".join(text.split()):
        problems.append("The text has blanks or line breaks where none should be.")
    if text.rstrip()[-1] not in ".?":
        problems.append(f"The text breaks off: {told[-1]!r} has no full stop.")
    if not SHORTEST <= len(told) <= LONGEST:
        problems.append(
            f"A tale has {SHORTEST} to {LONGEST} sentences; this text has {len(told)}."
        )
    return problems


def _strange_words(grammar, told):
    return [
        f"Sentence {number} has a word that this world does not know: {word!r}."
        for number, sentence in enumerate(told, 1)
        for word in re.findall(r"\w+", sentence)
        if word not in vocabulary(grammar)
    ]


def _misreadings(grammar, told):
    """The faults of the reading that needs the fewest corrections."""
    beam = [(0.0, grammar.start, {}, ())]
    for number, sentence in enumerate(told, 1):
        ways = {}
        for way in beam:
            for further in _continuations(grammar, way, number, sentence):
                cost, node, filled, _ = further
                key = node, tuple(sorted(filled.items()))
                if key not in ways or cost < ways[key][0]:
                    ways[key] = further
        beam = sorted(ways.values(), key=lambda way: way[0])[:BEAM]
    ended = (
        (cost + MISPLACED * (node[0].stage != "end"), node, faults)
        for cost, node, _, faults in beam
    )
    _, node, faults = min(ended, key=lambda way: way[0])
    if node[0].stage != "end":
        faults += ("The text stops before the tale is told to its end.",)
    return list(faults)


def _continuations(grammar, way, number, sentence):
    """The ways to go on from a reading: read as a move, or taken as out of place."""
    cost, node, filled, faults = way
    moves = grammar.moves(node)
    for move in moves:
        if reading := read(grammar, move, sentence, filled):
            wrong = tuple(
                _explain(grammar, number, fault, move, reading.filled)
                for fault in reading.faults
            )
            each = 2 if sentence.endswith("?") else 1  # sooner a wrong answer
            yield cost + each * len(wrong), move.next, reading.filled, faults + wrong
    odd = cost + (WRONG_ANSWER if len(moves) == 1 else MISPLACED)
    wrong = faults + _misplaced(grammar, number, sentence, node, filled)
    yield odd, node, filled, wrong
    for move in moves:
        if not move.draws:
            yield odd, move.next, filled, wrong


def _explain(grammar, number, fault, move, filled):
    """A word that does not agree, as a sentence."""
    slot, form, found, wanted = fault
    says = f"Sentence {number} says {found!r}"
    if not wanted:
        return f"{says}, and this world has no such {KINDS[POOLS[slot]]}."
    if form in FORMS:
        who = grammar.write(f"{{{slot}}}", filled)
        return f"{says} of {who}; it should be {wanted!r}."
    if slot in move.draws:
        return f"{says}; it should be {wanted!r}."
    why = f": {grammar.write(move.why, filled)}" if move.why else ""
    return f"{says} where it should say {wanted!r}{why}."


def _misplaced(grammar, number, sentence, node, filled):
    """A sentence that cannot stand where it stands, as at most one problem."""
    state, _ = node
    if set(re.findall(r"\w+", sentence)) - vocabulary(grammar):
        return ()  # the strange word is reported already
    here = f"Sentence {number}, {sentence!r},"
    if state.stage == "end":
        return (f"{here} comes after the end of the tale.",)
    if not any(shape(line).fullmatch(sentence) for line in _lines(grammar)):
        return (f"{here} is no sentence of this world.",)
    moves = grammar.moves(node)
    if len(moves) == 1 and not moves[0].draws:
        line = grammar.write(moves[0].sentence, filled)
        why = grammar.write(moves[0].why, filled)
        return (f"{here} should be {line!r}: {why}.",)
    so_far = grammar.write(whereabouts(state), filled) if state.where else ""
    return (f"{here} does not follow from what came before{so_far and ': ' + so_far}.",)
