"""How a tale ends: a word on the mood, then a last line, or a question and its answer.

Everything here is forced by what came before: who is sad, where the kite is now, what
colour it was. It is what a model gets right only by looking back.
"""

from minigpt.tales.lexicon import PEOPLE
from minigpt.tales.state import Step, fill, share, whereabouts


def mood(state):
    done = state._replace(stage="ending")
    if not state.sad:
        return [Step(1, "So everyone went home happy.", done, "nobody is sad")]
    names = " and ".join(f"{{{who}}}" for who in state.sad)
    why = f"{names} {'has' if len(state.sad) == 1 else 'have'} a reason to be sad"
    return [Step(1, f"So {names} went home sad.", done, why)]


def ending(state):
    """A last line, or a question whose answer stands earlier."""
    line = "The {X} is still {where} today."
    if state.where in PEOPLE:
        line = "That night {where} slept with the {X} by {where.his} side."
    line, end = fill(line, where=state.where), state._replace(stage="end")
    questions = [
        Step(2, "Where is the {X} now?", state._replace(stage="where")),
        Step(2, "Who has the {X} now?", state._replace(stage="who")),
        Step(1, "Who had the {X} first?", state._replace(stage="first")),
        Step(1, "What colour is the {X}?", state._replace(stage="colour")),
    ]
    return [Step(1, line, end, whereabouts(state)), *share(3, questions)]


def answer(state, line, why):
    """The only sentence that can stand after the question."""
    line = fill(line, where=state.where, hero=state.hero)
    return [Step(1, line, state._replace(stage="end"), fill(why, hero=state.hero))]


def where(state):
    line = "{where.The} has it." if state.where in PEOPLE else "It is {where}."
    return answer(state, line, whereabouts(state))


def who(state):
    line = "{where.The} has it." if state.where in PEOPLE else "Nobody has it."
    return answer(state, line, whereabouts(state))


def first(state):
    return answer(state, "{hero.The} had it first.", "{hero} had the {X} first")


def colour(state):
    return answer(state, "It is {x}.", "the {X} is {x}")


ENDINGS = {stage.__name__: stage for stage in (ending, where, who, first, colour)}
