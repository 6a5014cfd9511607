"""The small world: its probabilities are exact, and its checker misses nothing."""

import itertools
import math
import re

import numpy as np
import pytest

from minigpt import tales
from minigpt.tales.grammar import Grammar
from minigpt.tales.lexicon import POOLS, Lexicon
from minigpt.tales.reading import parses
from minigpt.tokenizer import BPETokenizer, CharTokenizer, WordTokenizer

SAMPLES = 100_000
FUNCTION_WORDS = set(
    "a an the and but so then there later once one next it he she him her his they "
    "them what where who is was did does had has have not by at in on under to of for "
    "that with nothing everyone both".split()
)
TALE = (
    "Once there was a girl called Mia. She had a red kite. One day she took it to the "
    "hill. There she met a fox called Rex. Rex was sad, so Mia gave him the kite. "
    "Later Rex lost the kite in the garden. Where is the kite now? It is in the garden."
)
BACK = (
    "One day an owl called Max found an orange ball. Then Max took the ball to the "
    "river. There he met a girl called Ada. Ada liked the ball, so Max gave it to her. "
    "Later Ada gave the ball back. The next day Max met the farmer and gave her the "
    "ball. Who has the ball now? The farmer has it."
)


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(7)
    return [tales.story(rng) for _ in range(SAMPLES)]


def small_lexicon(**changes):
    words = {
        "girls": ("Mia",),
        "boys": ("Tom",),
        "species": ("owl",),
        "she_animals": ("Dot",),
        "he_animals": (),
        "she_adults": ("queen",),
        "he_adults": (),
        "things": ("kite",),
        "colours": ("red", "orange"),
        "places": ("on the hill", "by the lake"),
    }
    return Lexicon(**(words | changes))


def every_tale(grammar):
    """All texts of a small grammar, each with its log-probability, one by one."""

    def fillings(slots, filled):
        pools = [grammar.pools[POOLS[slot]] for slot in slots]
        for words in itertools.product(*pools):
            yield filled | dict(zip(slots, words, strict=True))

    def walk(node, told, filled, log_prob):
        moves = grammar.moves(node)
        if not moves:
            yield " ".join(told), log_prob
        for move in moves:
            for full in fillings(move.draws, filled):
                line = grammar.write(move.sentence, full)
                yield from walk(
                    move.next, [*told, line], full, log_prob + move.log_prob
                )

    return walk(grammar.start, [], {}, 0.0)


def test_the_same_seed_tells_the_same_tales():
    first, again = (tales.story(np.random.default_rng(3)) for _ in range(2))
    assert first == again
    assert first != tales.story(np.random.default_rng(4))
    assert first.text[0].isupper() and first.text[-1] in ".?"


def test_entropy_agrees_with_the_mean_of_sampled_log_probabilities(sample):
    surprises = -np.array([story.log_prob for story in sample])
    error = surprises.std() / math.sqrt(len(surprises))
    assert abs(surprises.mean() - tales.entropy()) < 4 * error


def test_a_storys_log_probability_is_that_of_its_text(sample):
    for story in sample[:2000]:
        assert tales.log_prob(story.text) == pytest.approx(story.log_prob, abs=1e-9)
        assert len(parses(tales.world(), story.text)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"he_adults": ("king",), "species": ("fox", "owl"), "boys": ()},
        {"places": ("on the hill", "by the river", "in the park"), "colours": ("red",)},
    ],
)
def test_the_probabilities_of_a_small_world_sum_to_one(changes):
    grammar = Grammar(small_lexicon(**changes))
    texts, total, entropy = set(), [], []
    for text, log_prob in every_tale(grammar):
        assert text not in texts, f"told in two ways: {text}"
        texts.add(text)
        total.append(math.exp(log_prob))
        entropy.append(-log_prob * math.exp(log_prob))
    assert len(texts) > 1000
    assert math.fsum(total) == pytest.approx(1, abs=1e-12)
    assert math.fsum(entropy) == pytest.approx(grammar.entropy(), abs=1e-9)


def test_a_wrong_probability_would_be_noticed():
    grammar = Grammar(small_lexicon())
    first, *rest = grammar.moves(grammar.start)
    wrong = first._replace(log_prob=first.log_prob + 0.01)
    grammar._moves[grammar.start] = (wrong, *rest)
    total = math.fsum(math.exp(log_prob) for _, log_prob in every_tale(grammar))
    assert abs(total - 1) > 1e-4


def test_a_lexicon_without_enough_words_is_refused():
    with pytest.raises(ValueError, match="no things"):
        Grammar(small_lexicon(things=()))


@pytest.mark.parametrize("kind", ["characters", "words", "bpe"])
def test_the_expected_number_of_tokens_is_exact(sample, kind):
    texts = [story.text for story in sample[:20_000]]
    corpus = "\n".join(texts[:2000])
    tok = {
        "characters": CharTokenizer,
        "words": WordTokenizer,
        "bpe": lambda text: BPETokenizer.train(text, vocab_size=400),
    }[kind](corpus)
    counts = np.array([len(tok.encode(text)) for text in texts])
    expected = tales.world().expected_tokens(tok)
    assert abs(counts.mean() - expected) < 4 * counts.std() / math.sqrt(len(counts))
    assert tales.floor(tok) == tales.entropy() / (expected + 1)
    assert counts.max() <= tales.longest(tok) < 1.5 * counts.max()


def test_the_world_is_large_enough():
    content = {word.lower() for word in tales.vocabulary()} - FUNCTION_WORDS
    assert len(content) >= 60
    grammar, ahead = tales.world(), {}
    for node in reversed(grammar.nodes):
        moves = grammar.moves(node)
        ways = [move.prob / math.exp(move.log_prob) for move in moves]
        ahead[node] = (
            sum(way * ahead[move.next] for way, move in zip(ways, moves, strict=True))
            or 1
        )
    assert ahead[grammar.start] > 1e9


def test_every_sampled_tale_passes_and_has_three_to_eight_sentences(sample):
    for story in sample[-3000:]:
        assert tales.check(story.text) == tales.Report(True)
    lengths = {len(tales.sentences(story.text)) for story in sample}
    assert lengths <= set(range(3, 9)) and len(lengths) > 3


def test_facts_say_who_has_what_and_who_is_sad():
    assert tales.facts(TALE) == {
        "kinds": {"Mia": "girl", "Rex": "fox"},
        "thing": "kite",
        "colour": "red",
        "where": "in the garden",
        "sad": ["Rex"],
        "mood": "sad",
    }
    passed_on = tales.facts(BACK)
    assert passed_on["kinds"]["the farmer"] == "grown-up"
    assert (passed_on["where"], passed_on["mood"]) == ("the farmer", "happy")
    with pytest.raises(ValueError, match="'Ada'"):
        tales.facts(TALE.replace("so Mia", "so Ada"))


BROKEN = [  # a tale, what is replaced, what stands there then, what is to be said
    (TALE, "She had", "He had", "'He' of Mia"),
    (TALE, "gave him", "gave her", "'her' of Rex"),
    (TALE, "girl called", "boy called", "'boy' of Mia"),
    (TALE, "called Rex", "called Mia", "'Mia', and this world has no such animal"),
    (TALE, "so Mia", "so Ada", "should say 'Mia'"),
    (TALE, "him the kite", "him the ball", "should say 'kite'"),
    (TALE, "Later Rex", "Later Mia", "Rex has the kite"),
    (TALE, "It is in the garden", "It is on the hill", "the kite is in the garden"),
    (TALE, "It is in the garden.", "Rex has it.", "'It is in the garden.'"),
    (TALE, "a red kite", "a orange kite", "'an orange'"),
    (TALE, "a fox", "a dragon", "does not know: 'dragon'"),
    (TALE, " There she met a fox called Rex.", "", "does not follow"),
    (TALE, " It is in the garden.", "", "stops before"),
    (TALE, "It is in the garden.", "It is in the garden", "no full stop"),
    (TALE, "garden.", "garden. So everyone went home happy.", "has 9"),
    (TALE, "She had", " She  had", "blanks"),
    (TALE, TALE, "", "empty"),
    (TALE, TALE, "Once there was a girl called Mia.", "4 to 8 sentences"),
    (BACK, "so Max", "so Ada", "Max has the ball"),
    (BACK, "Later Ada", "Later Max", "Ada has the ball"),
    (BACK, "Later Ada gave the ball back", "Later Ada found the ball again", "follow"),
    (BACK, "and gave her", "and gave him", "'him' of the farmer"),
    (BACK, "The farmer has it", "Max has it", "farmer has the ball"),
    (BACK, "The farmer has it", "Nobody has it", "farmer has the ball"),
    (BACK, "Who has the ball", "Who has the kite", "'kite'"),
]


@pytest.mark.parametrize("tale, old, new, said", BROKEN)
def test_broken_tales_are_caught_and_named(tale, old, new, said):
    assert tales.check(tale).ok and old in tale
    report = tales.check(tale.replace(old, new, 1))
    assert not report.ok
    assert any(said in problem for problem in report.problems), report.problems
    assert all(re.match(r"[A-Z].*\.$", problem) for problem in report.problems)


def test_every_fault_of_a_text_is_named():
    text = TALE.replace("She had", "He had").replace("Later Rex", "Later Mia")
    text = text.replace("It is in the garden", "Ada has it")
    problems = tales.check(text).problems
    for number in (2, 6, 8):
        assert any(problem.startswith(f"Sentence {number}") for problem in problems)
    assert not any(problem.startswith("Sentence 4") for problem in problems)


def test_damaged_tales_never_pass_without_a_reason(sample):
    rng = np.random.default_rng(11)
    words = sorted(tales.vocabulary())
    for story in sample[:300]:
        parts = story.text.split(" ")
        at = int(rng.integers(len(parts)))
        parts[at] = words[int(rng.integers(len(words)))]
        report = tales.check(text := " ".join(parts))
        assert report.ok == (tales.log_prob(text) > -math.inf)
        assert report.ok == (not report.problems)


def test_what_is_no_text_is_refused():
    with pytest.raises(ValueError, match="list"):
        tales.check(["Once"])
    with pytest.raises(ValueError, match="default_rng"):
        tales.story(3)
