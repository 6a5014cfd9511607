"""A grammar of tales: samples texts, and sums over all of them exactly.

A node of the grammar is a state of the plot and the slots that are filled. Which word
fills a slot changes no probability that comes after it; so the nodes are few (some
hundreds), and sums over all the tales, of which there are about 10^11, are sums over
nodes.
"""

import math
import re
from bisect import bisect
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from minigpt.tales.lexicon import POOLS, Lexicon, fillers
from minigpt.tales.plot import steps
from minigpt.tales.state import State

SLOT = re.compile(r"\{(\w)(?:\.(\w+))?\}")


class Move(NamedTuple):
    """One step out of a node, with its probability worked out."""

    prob: float
    log_prob: float  # of the step and of the fillers that it draws
    sentence: str
    draws: tuple[str, ...]  # the slots that this sentence fills for the first time
    next: tuple[State, str]
    why: str


class Grammar:
    """The tales of a lexicon; the book's world is `Grammar()`.

    A lexicon may be smaller than the book's: the test that sums over all tales uses
    one. Raises `ValueError` if a kind of word is missing from it.
    """

    start = (State(), "")

    def __init__(self, lexicon=None):
        self.pools = fillers(lexicon or Lexicon())
        for pool, words in self.pools.items():
            if not words:
                raise ValueError(
                    f"The lexicon has no {pool}: give at least one word of each kind."
                )
        self._moves, self._walks, self._forms = {}, {}, {}
        for slot, pool in POOLS.items():
            for filler, forms in self.pools[pool].items():
                self._forms[slot, filler] = {
                    f"{slot}.{form}" if form else slot: text
                    for form, text in forms.items()
                }

    def moves(self, node):
        """The moves out of a node `(state, filled slots)`; none at the end."""
        if node not in self._moves:
            self._moves[node] = self._work_out(node)
        return self._moves[node]

    def _work_out(self, node):
        state, bound = node
        moves, possible = [], steps(state)
        total = sum(step.weight for step in possible)
        for step in possible:
            slots = dict.fromkeys(slot for slot, _ in SLOT.findall(step.sentence))
            draws = tuple(slot for slot in slots if slot not in bound)
            ways = math.prod(len(self.pools[POOLS[slot]]) for slot in draws)
            prob = step.weight / total
            log_prob = math.log(prob) - math.log(ways)
            after = step.next._replace(told=state.told + 1)
            filled = "".join(sorted(bound + "".join(draws)))
            moves.append(
                Move(prob, log_prob, step.sentence, draws, (after, filled), step.why)
            )
        return tuple(moves)

    @cached_property
    def nodes(self):
        """Every node that a tale can reach, each before those that follow it."""
        found, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for move in self.moves(node):
                    visit(move.next)
                found.append(node)

        visit(self.start)
        return found[::-1]

    def expect(self, value):
        """The expectation over tales of the sum of `value(node, move)`, exactly."""
        ahead = {}
        for node in reversed(self.nodes):
            ahead[node] = math.fsum(
                move.prob * (value(node, move) + ahead[move.next])
                for move in self.moves(node)
            )
        return ahead[self.start]

    def entropy(self):
        """The entropy of a tale in nats, exactly."""
        return self.expect(lambda node, move: -move.log_prob)

    def expected_tokens(self, tok):
        """The expected number of tokens of a tale, exactly.

        For a tokenizer that never joins two words across a blank, so that a text's
        tokens are those of its words, each with the blank before it; all of
        `minigpt.tokenizer` are. A slot's filler is uniform over its pool, wherever
        the plot goes.
        """
        count = self._counter(tok, lambda counts: sum(counts) / len(counts))
        return self.expect(count)

    def longest(self, tok):
        """The tokens of the longest tale, if every slot had its longest filler."""
        count, ahead = self._counter(tok, max), {}
        for node in reversed(self.nodes):
            ahead[node] = max(
                (count(node, move) + ahead[move.next] for move in self.moves(node)),
                default=0,
            )
        return ahead[self.start]

    def _counter(self, tok, over):
        """`count(node, move)`: a sentence's tokens, `over` the fillers of its slots."""
        cache = {}

        def of_word(word):
            slots = SLOT.findall(word)
            if not slots:
                return len(tok.encode(word))
            ((slot, form),) = slots
            texts = [forms[form] for forms in self.pools[POOLS[slot]].values()]
            return over([len(tok.encode(SLOT.sub(text, word))) for text in texts])

        def count(node, move):
            key = first, sentence = node == self.start, move.sentence
            if key not in cache:
                words = re.findall(r" \S+", " " + sentence)
                words[0] = words[0].lstrip() if first else words[0]
                cache[key] = sum(of_word(word) for word in words)
            return cache[key]

        return count

    def sample(self, rng):
        """One tale and its log-probability, `(text, log_prob)`."""
        random, node, forms = rng.random, self.start, {}
        told, log_prob = [], 0.0
        while True:
            if node not in self._walks:
                self._walks[node] = self._prepare(node)
            cumulative, walks = self._walks[node]
            if not walks:
                return " ".join(told), log_prob
            each, draws, sentence, node = walks[bisect(cumulative, random())]
            log_prob += each
            for words in draws:
                forms |= words[int(random() * len(words))]
            told.append(sentence % forms)

    def _prepare(self, node):
        """A node's moves in the form that sampling reads quickest."""
        moves = self.moves(node)
        cumulative = list(accumulate(move.prob for move in moves))[:-1]
        walks = []
        for move in moves:
            draws = tuple(
                [self._forms[slot, word] for word in self.pools[POOLS[slot]]]
                for slot in move.draws
            )
            sentence = SLOT.sub(lambda m: f"%({m.group()[1:-1]})s", move.sentence)
            walks.append((move.log_prob, draws, sentence, move.next))
        return cumulative, walks

    def write(self, sentence, filled):
        """A sentence or a fact with its slots written out."""
        forms = {}
        for slot, filler in filled.items():
            forms |= self._forms[slot, filler]
        return SLOT.sub(lambda m: forms[m.group()[1:-1]], sentence)
