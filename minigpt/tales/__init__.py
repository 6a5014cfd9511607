"""The book's own small world: short tales, each with its exact probability.

    Once there was a rabbit called Eva. She had a green boat. One day Eva took the boat
    to the market. There she met an owl called Ada. Ada was sad, so Eva gave her the
    boat. Where is the boat now? Ada has it.

Children and animals find things, give them away, lose them and meet; a tale ends on
a line or an answer that follows from what came before. The grammar knows how
probable each text is, so `entropy` and `floor` say how well any model of these tales
can ever do, and `check` says what is wrong with one that a model wrote.

The chapters on training-loss and training draw the floor under the loss curve.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from minigpt.tales.checking import problems
from minigpt.tales.checking import vocabulary as words
from minigpt.tales.grammar import Grammar
from minigpt.tales.lexicon import PEOPLE
from minigpt.tales.reading import parses, sentences

__all__ = ["Report", "Story", "check", "entropy", "facts", "floor", "log_prob"]
__all__ += ["longest", "sentences", "story", "vocabulary", "world"]


@dataclass(frozen=True)
class Story:
    """A tale and the natural logarithm of its probability under the grammar."""

    text: str
    log_prob: float


@dataclass(frozen=True)
class Report:
    """Whether a text is a tale of this world, and if not, what is wrong with it."""

    ok: bool
    problems: tuple[str, ...] = ()


@cache
def world():
    """The grammar that tells the book's tales."""
    return Grammar()


def story(rng):
    """A tale drawn at random: `Story(text, log_prob)`, `log_prob` in nats.

    `rng` is a `numpy.random.Generator`: the same state gives the same tale.
    Raises `ValueError` for anything else.
    """
    if not isinstance(rng, np.random.Generator):
        raise ValueError(
            f"story draws from a numpy.random.Generator, not {type(rng).__name__}: "
            "give np.random.default_rng(seed)."
        )
    return Story(*world().sample(rng))


@cache
def entropy():
    """The entropy of a tale in nats, exactly: the mean of `-log_prob`."""
    return world().entropy()


def floor(tok):
    """The loss, in nats a token, that no model of the tales can go below.

    Tales are scored whole: the first token is predicted from an end token, and the
    end token is predicted last. So a tale of n tokens has n + 1 predictions, and the
    floor is the entropy of a tale over the expected number of predictions, both exact.
    `tok` must not join words across a blank; no tokenizer of this package does.
    """
    return entropy() / (world().expected_tokens(tok) + 1)


def longest(tok):
    """The greatest number of tokens that a tale can have; a model's `n_ctx` must be
    one more, for the end token before it. (A bound that takes the longest filler of
    every slot, so that a tokenizer may never quite reach it.)"""
    return world().longest(tok)


def vocabulary():
    """Every word of the world, as a frozenset."""
    return words(world())


def log_prob(text):
    """The natural logarithm of a text's probability; `-inf` if it is no tale."""
    ways = [way[0] for way in parses(world(), text)]
    if not ways:
        return -math.inf
    top = max(ways)
    return top + math.log(math.fsum(math.exp(way - top) for way in ways))


def facts(text):
    """What is true at the end of a tale, as a dict, read off its text.

    `kinds` says who everybody is, `thing` and `colour` what the tale is about, `where`
    who has it or where it lies, `sad` who has a reason to be sad; `mood` is "sad" when
    somebody has, else "happy", whether the tale says so or not.

    Raises `ValueError` for a text that `check` finds fault with.
    """
    report = check(text)
    if not report.ok:
        raise ValueError(f"Only a sound tale has facts. {report.problems[0]}")
    _, (state, bound), filled = parses(world(), text)[0]
    write = world().write
    kinds = {"K": "{K.child}", "A": "{a}", "G": "grown-up"}
    return {
        "kinds": {
            write(f"{{{who}}}", filled): write(kinds[who], filled)
            for who in PEOPLE
            if who in bound
        },
        "thing": filled["X"],
        "colour": filled["x"],
        "where": write(f"{{{state.where}}}", filled),
        "sad": [write(f"{{{who}}}", filled) for who in state.sad],
        "mood": "sad" if state.sad else "happy",
    }


def check(text):
    """Whether a text is a tale of this world: `Report(ok, problems)`.

    It is sound just when the grammar gives it a probability above zero. Otherwise
    `problems` says in sentences what does not agree: a pronoun, who gives what
    somebody else holds, an answer, a word that the world does not know, a sentence out
    of place.
    """
    if not isinstance(text, str):
        raise ValueError(f"check reads a str, not {type(text).__name__}.")
    if log_prob(text) > -math.inf:
        return Report(True)
    return Report(False, tuple(problems(world(), text)))
