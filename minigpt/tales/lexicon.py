"""The words of the small world, and the forms that each one takes in a sentence.

A sentence of `minigpt.tales.plot` is written with slots: `{K}` is the kid's name,
`{K.his}` "his" or "her" as the name requires, `{x.a}` the thing's colour with its
article. This module says which words may fill a slot, and how they look there.
"""

from dataclasses import dataclass


def _words(line):
    return tuple(line.split())


@dataclass(frozen=True)
class Lexicon:
    """The words that fill the slots; within a kind each one is equally likely."""

    girls: tuple[str, ...] = _words("Ada Anna Eva Lily Mei Mia Nora Zoe")
    boys: tuple[str, ...] = _words("Ben Finn Jack Leo Omar Ravi Sam Tom")
    species: tuple[str, ...] = _words(
        "bear cat dog duck fox frog goat hen mole mouse owl rabbit"
    )
    she_animals: tuple[str, ...] = _words("Daisy Dot Ivy Pearl Ruby")  # their names
    he_animals: tuple[str, ...] = _words("Gus Max Ned Pip Rex")
    she_adults: tuple[str, ...] = _words("doctor farmer pilot queen")
    he_adults: tuple[str, ...] = _words("baker cook king miller")
    things: tuple[str, ...] = _words(
        "bag ball bell boat book box cup doll drum flag hat kite lamp ring shell stone"
    )
    colours: tuple[str, ...] = _words("black blue green orange pink red white yellow")
    places: tuple[str, ...] = (  # with the preposition that each one takes
        "at the market",
        "behind the barn",
        "beside the tree",
        "by the river",
        "in the garden",
        "near the lake",
        "on the hill",
        "under the bridge",
    )


POOLS = {  # the kind of word that fills each slot
    "K": "children",  # the kid's name
    "A": "animals",  # the animal's name
    "a": "species",  # what animal it is
    "G": "adults",  # the grown-up
    "X": "things",
    "x": "colours",  # the colour of the thing
    "P": "places",
    "Q": "places",
    "R": "places",
}
PEOPLE = ("K", "A", "G")
FORMS = ("he", "He", "him", "his", "His", "child")  # `{K.him}` is "him" or "her"
SHE = ("she", "She", "her", "her", "Her", "girl")
HE = ("he", "He", "him", "his", "His", "boy")
PATTERNS = {  # how the text of a form looks, whatever word it comes from
    **{form: f"{she}|{he}" for form, she, he in zip(FORMS, SHE, HE, strict=True)},
    "": r"\w+",
    "The": r"\w+",
    "a": r"an? \w+",
    "to": r"to the \w+",
}
LONGER = {  # and where a slot has longer words
    ("G", ""): r"the \w+",
    ("G", "The"): r"The \w+",
    **dict.fromkeys([("P", ""), ("Q", ""), ("R", "")], r"(?!to )[a-z]+ the \w+"),
}


def fillers(lexicon):
    """Every filler and its forms: `{pool: {filler: {form: text}}}`.

    The form `""` is how the filler stands inside a sentence, `"The"` at its start.
    """
    pools = {pool: {} for pool in POOLS.values()}
    for pool, names, pronouns in (
        ("children", lexicon.girls, SHE),
        ("children", lexicon.boys, HE),
        ("animals", lexicon.she_animals, SHE),
        ("animals", lexicon.he_animals, HE),
        ("adults", lexicon.she_adults, SHE),
        ("adults", lexicon.he_adults, HE),
    ):
        forms = dict(zip(FORMS, pronouns, strict=True))
        for name in names:
            inside, start = name, name
            if pool == "adults":
                inside, start = f"the {name}", f"The {name}"
            pools[pool][name] = {"": inside, "The": start, **forms}
    for pool, words in (("species", lexicon.species), ("colours", lexicon.colours)):
        for word in words:
            article = "an" if word[0] in "aeiou" else "a"
            pools[pool][word] = {"": word, "a": f"{article} {word}"}
    for word in lexicon.things:
        pools["things"][word] = {"": word}
    for phrase in lexicon.places:
        pools["places"][phrase] = {"": phrase, "to": "to " + phrase.split(" ", 1)[1]}
    return pools


def pattern(slot, form):
    """The regular expression that a slot's text matches, right or wrong."""
    return LONGER.get((slot, form), PATTERNS[form])
