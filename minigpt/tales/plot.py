"""What may happen in a tale: the plot, as steps from one state to the next.

A tale is a walk. Each step tells one sentence, chosen among those that the state of
the world allows: only somebody who holds the kite can give it away, lose it or hide
it. `minigpt.tales.grammar` samples these walks, sums over them and reads texts by them.
"""

from minigpt.tales.ending import ENDINGS, ending, mood
from minigpt.tales.lexicon import PEOPLE
from minigpt.tales.state import LONGEST, Step, fill, introduce, share, whereabouts

PLACES = "PQR"  # the slots of the places, in the order in which a tale needs them
FRIEND = {"K": "A", "A": "K"}  # a child meets an animal, and an animal a child


def steps(state):
    """The steps that a state allows; none at the end."""
    return STAGES[state.stage](state) if state.stage != "end" else []


def opening(state):
    starts = []
    for hero in FRIEND:
        wish = state._replace(stage="wish", hero=hero)
        road, outing = (
            wish._replace(stage=stage, where=hero) for stage in ("road", "outing")
        )
        who = introduce(hero)
        starts += [
            Step(2, f"Once there was {who}.", wish),
            Step(1, f"Once {who} had {{x.a}} {{X}}.", road),
            Step(1, f"One day {who} found {{x.a}} {{X}}.", outing),
        ]
    return starts


def tell(state, sentence):
    """The sentence about the hero and the friend, in their slots."""
    return fill(sentence, hero=state.hero, friend=FRIEND[state.hero])


def wish(state):
    road, outing = (
        state._replace(stage=stage, where=state.hero) for stage in ("road", "outing")
    )
    return [
        Step(1, tell(state, "{hero.He} had {x.a} {X}."), road),
        Step(1, tell(state, "{hero.He} loved {hero.his} {x} {X}."), road),
        Step(1, tell(state, "One day {hero.he} found {x.a} {X}."), outing),
    ]


def road(state):
    return outing(state, "One day {hero.he}", "One day {hero}")


def outing(state, she="{hero.He}", mia="Then {hero}"):
    there = state._replace(stage="meeting")
    lost = state._replace(stage="search", where="P", lost=state.hero, sad=state.hero)
    return [
        Step(3, tell(state, she + " took it {P.to}."), there),
        Step(3, tell(state, mia + " took the {X} {P.to}."), there),
        Step(1, tell(state, she + " lost it {P}."), lost),
    ]


def meeting(state):
    friend = introduce(FRIEND[state.hero])
    line = tell(state, f"There {{hero.he}} met {friend}.")
    return [Step(1, line, state._replace(stage="gift"))]


def search(state):
    after, friend = state._replace(stage="after"), FRIEND[state.hero]
    back = after._replace(where=state.hero, lost="", sad="")
    kept = after._replace(where=friend, lost="")
    found = f"Then {introduce(friend)} found it and"
    vain = "{hero.He} looked for it all day, but {hero.he} did not find it."
    return [
        Step(1, f"{found} gave it back.", back),
        Step(1, f"{found} kept it.", kept),
        Step(1, tell(state, vain), after),
    ]


def gift(state):
    after, friend = state._replace(stage="after"), FRIEND[state.hero]
    given, refused = after._replace(where=friend), after._replace(sad=friend)
    return [
        Step(weight, tell(state, line), next, whereabouts(state))
        for weight, line, next in (
            (2, "{hero} gave {friend.him} the {x} {X}.", given),
            (2, "{friend} liked the {X}, so {hero} gave it to {friend.him}.", given),
            (2, "{friend} was sad, so {hero} gave {friend.him} the {X}.", given),
            (1, "They played with the {X} all day.", after),
            (1, "{friend} wanted the {X}, but {hero} kept it.", refused),
        )
    ]


def after(state):
    """Another turn of fortune, or a word on the mood, or the end."""
    tail = share(4, ending(state))
    if state.told + 2 >= LONGEST:  # a question and its answer are two sentences
        return tail
    tail += share(2, mood(state))
    turns = turn(state) if state.turns < 2 else []
    return tail + share(6, turns) if turns else tail


def turn(state):
    when = ("Later", "The next day")[state.turns]
    state = state._replace(turns=state.turns + 1)
    if state.where in PEOPLE:
        return fortunes(state, when)
    if not state.lost:
        return []  # what is hidden stays hidden
    who = state.lost
    again = state._replace(where=who, lost="", sad=state.sad.replace(who, ""))
    return [
        Step(1, f"{when} {{{who}}} found the {{X}} again.", again, whereabouts(state))
    ]


def fortunes(state, when):
    """What may befall the thing that somebody holds."""
    who, place, why = state.where, PLACES[state.turns], whereabouts(state)
    hidden = state._replace(where=place)
    sad = "".join(each for each in PEOPLE if each in state.sad + who)
    lost = hidden._replace(lost=who, sad=sad)
    begin = f"{when} {{{who}}}"
    fates = [
        Step(2, f"{begin} lost the {{X}} {{{place}}}.", lost, why),
        Step(2, f"{begin} hid the {{X}} {{{place}}}.", hidden, why),
    ]
    if who == FRIEND[state.hero]:
        back = state._replace(where=state.hero, sad=state.sad.replace(state.hero, ""))
        fates.append(Step(3, f"{begin} gave the {{X}} back.", back, why))
    if who != "G":
        line = f"{begin} met {{G}} and gave {{G.him}} the {{X}}."
        fates.append(Step(3, line, state._replace(where="G"), why))
    return fates


STAGES = ENDINGS | {
    stage.__name__: stage
    for stage in (opening, wish, road, outing, meeting, search, gift, after)
}
