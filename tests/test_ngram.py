"""The n-gram table: its distributions sum to one, and agree with counting by hand."""

import numpy as np
import pytest

from minigpt.ngram import NGram

END = 4


def texts(count=60, seed=0):
    """Random walks over the ids 0 to 3, between end tokens; 5 never occurs."""
    rng = np.random.default_rng(seed)
    walks = (rng.integers(0, 4, rng.integers(1, 9)).cumsum() % 4 for _ in range(count))
    return [np.array([END, *walk, END]) for walk in walks]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_every_distribution_sums_to_one_and_is_positive(order):
    table = NGram(order, 6).fit(texts())
    rng = np.random.default_rng(1)
    for length in range(order):
        for _ in range(20):
            p = table.probs(rng.integers(0, 6, length))
            assert p.shape == (6,)
            assert p.sum() == pytest.approx(1, abs=1e-12)
            assert p.min() > 0


@pytest.mark.parametrize("order", [1, 2, 4])
def test_scores_of_texts_are_those_of_the_distributions(order):
    table = NGram(order, 6).fit(texts())
    held_out = texts(10, seed=5)
    by_hand = []
    for text in held_out:
        contexts = [text[max(0, i - order + 1) : i] for i in range(1, len(text))]
        seen = zip(contexts, text[1:], strict=True)
        by_hand.append([np.log(table.probs(context)[token]) for context, token in seen])
        assert table.log_probs(text) == pytest.approx(by_hand[-1], abs=1e-12)
    assert table.loss(held_out) == pytest.approx(-np.mean(np.concatenate(by_hand)))


def test_a_bigram_by_hand():
    table = NGram(2, 3).fit(np.array([0, 1, 0, 1, 0, 2]))
    # after 0: 1 twice, 2 once. Counts of counts: singles have 1 once (2) and 2 twice,
    # pairs 01 twice, 10 twice, 02 once.
    d0, d1 = (1 + 1) / (1 + 2 * 2 + 2), (1 + 1) / (1 + 2 * 2 + 2)
    singles = np.array([2 - d0, 2 - d0, 1 - d0]) / 5 + d0 * 3 / 5 / 3
    expected = np.array([0, 2 - d1, 1 - d1]) / 3 + d1 * 2 / 3 * singles
    assert table.probs([]) == pytest.approx(singles)
    assert table.probs([0]) == pytest.approx(expected)
    assert table.table()[0] == pytest.approx(expected)
    assert table.probs([2]) == pytest.approx(singles)  # nothing ever followed 2


def test_longer_contexts_predict_a_regular_text_better():
    text = np.tile([0, 1, 2, 0, 2, 1], 50)
    losses = [NGram(order, 3).fit(text).loss(text) for order in (1, 2, 3)]
    assert losses[0] > 1.05 > losses[1] > 0.6 > 0.1 > losses[2]


def test_counts_do_not_cross_from_one_text_into_the_next():
    table = NGram(2, 6).fit([np.array([4, 0, 4]), np.array([1, 4])])
    assert table.probs([4])[0] > table.probs([4])[1]
    assert table.levels[1].counts.sum() == 3


def test_samples_follow_the_table():
    table = NGram(2, 6).fit(texts())
    rng = np.random.default_rng(2)
    first = [int(table.sample(rng, [END], 1)[0]) for _ in range(4000)]
    share = np.bincount(first, minlength=6) / len(first)
    assert share == pytest.approx(table.probs([END]), abs=0.03)
    text = table.sample(rng, END, 50, stop=END)
    assert text[-1] == END and END not in text[:-1]
    again = [table.sample(np.random.default_rng(9), END, 20) for _ in range(2)]
    assert np.array_equal(*again)


@pytest.mark.parametrize(
    "action, said",
    [
        (lambda: NGram(0, 5), "at least 1"),
        (lambda: NGram(8, 512), "up to 6"),
        (lambda: NGram(2, 5).probs([1]), "call fit"),
        (lambda: NGram(2, 5).fit([np.array([1, 5])]), "0 to 4"),
        (lambda: NGram(2, 5).fit([np.array([1])]), "at least two ids"),
        (lambda: NGram(3, 5).fit(np.arange(5)).table(), "order=2"),
    ],
)
def test_misuse_is_answered_in_sentences(action, said):
    with pytest.raises(ValueError, match=said):
        action()
