"""The state of a tale, and the small tools with which its sentences are written.

`minigpt.tales.plot` tells how a tale goes on from a state, `minigpt.tales.ending` how
it ends; both write their sentences with the slots of `minigpt.tales.lexicon`.
"""

from typing import NamedTuple

from minigpt.tales.lexicon import PEOPLE

SHORTEST, LONGEST = 4, 8  # sentences in a tale


class State(NamedTuple):
    """What the plot must remember; people and places by their slots."""

    stage: str = "opening"
    hero: str = ""  # whom the tale begins with: the kid K or the animal A
    where: str = ""  # who holds the thing, or the place where it lies
    lost: str = ""  # who has lost it, while it is lost
    sad: str = ""  # who has a reason to be sad
    turns: int = 0  # turns of fortune told so far
    told: int = 0  # sentences told so far


class Step(NamedTuple):
    """A sentence that may come next; `why` is the fact that it rests on."""

    weight: float
    sentence: str
    next: State
    why: str = ""


def fill(sentence, **roles):
    """The sentence with slots for roles: `{who.his}`, who="A" gives `{A.his}`."""
    for role, slot in roles.items():
        for end in "}.":
            sentence = sentence.replace(f"{{{role}{end}", f"{{{slot}{end}")
    return sentence


def introduce(who):
    """ "a girl called Mia", or "an owl called Pip"."""
    return "{a.a} called {A}" if who == "A" else "a {K.child} called {K}"


def share(weight, steps):
    """The steps with their weights scaled to the sum `weight`."""
    total = sum(step.weight for step in steps)
    return [step._replace(weight=step.weight * weight / total) for step in steps]


def whereabouts(state):
    """Where the thing is, as a clause: "Mia has the kite"."""
    if state.where in PEOPLE:
        return f"{{{state.where}}} has the {{X}}"
    return f"the {{X}} is {{{state.where}}}"
