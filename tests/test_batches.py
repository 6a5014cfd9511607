"""Batches: windows, whole texts padded and masked, splits, and checks."""

import numpy as np
import pytest
from small_model import CFG

import minigpt as mg
from minigpt import data

TEXTS = [np.array([1, 2, 3]), np.array([4, 5]), np.array([6, 7, 8, 9, 10])]


def test_random_windows_are_the_ids_and_the_same_one_further():
    ids = np.arange(20) * 10
    inputs, targets, mask = data.random_windows(ids, 5, 400, np.random.default_rng(0))
    assert inputs.shape == targets.shape == (400, 5) and mask is None
    np.testing.assert_array_equal(targets, inputs + 10)
    np.testing.assert_array_equal(np.diff(inputs, axis=1), 10)
    assert set(inputs[:, 0]) == set(ids[:15])  # every start, to the very last


def test_the_only_window():
    inputs, targets, _ = data.random_windows(
        np.arange(6), 5, 2, np.random.default_rng(0)
    )
    assert inputs.tolist() == [[0, 1, 2, 3, 4]] * 2 and targets[0, -1] == 5


@pytest.mark.parametrize(
    "length, count, starts",
    [
        (101, 5, [0, 22, 45, 67, 90]),
        (31, 5, [0, 10, 20]),  # side by side, each position a target once
        (11, 5, [0]),
        (20, 5, [0]),
    ],
)
def test_even_windows(length, count, starts):
    windows = data.even_windows(np.arange(length), 10, count)
    assert windows.shape == (len(starts), 11) and windows[:, 0].tolist() == starts


def test_padded_texts():
    inputs, targets, mask = data.padded(TEXTS)
    assert inputs.tolist() == [[1, 2, 3, 0], [4, 5, 0, 0], [6, 7, 8, 9]]
    assert targets.tolist() == [[2, 3, 0, 0], [5, 0, 0, 0], [7, 8, 9, 10]]
    assert mask.tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]


def test_padding_does_not_change_the_loss():
    params = mg.init(CFG, 1)
    ids, targets, mask = data.padded(TEXTS)
    together = mg.next_token_loss(params, ids, targets, CFG, mask=mask)
    alone = [
        float(mg.next_token_loss(params, t[None, :-1], t[None, 1:], CFG)) for t in TEXTS
    ]
    assert float(together) == pytest.approx(
        np.average(alone, weights=[2, 1, 4]), rel=1e-6
    )


def test_of_an_example_only_what_counts():
    example = data.Example(TEXTS[2], np.array([False, False, True, False]))
    assert len(example) == 5 and np.asarray(example).tolist() == TEXTS[2].tolist()
    inputs, targets, mask = data.padded([TEXTS[0], example])
    assert inputs.tolist() == [[1, 2, 3, 0], [6, 7, 8, 9]]
    assert targets.tolist() == [[2, 3, 0, 0], [7, 8, 9, 10]]
    assert mask.tolist() == [[1, 1, 0, 0], [0, 0, 1, 0]]
    plain, same = data.check([TEXTS[0].tolist(), example], CFG)
    assert same is example and plain.tolist() == [1, 2, 3]


def test_a_run_knows_what_counted():
    ids, counts = TEXTS[0], np.array([[True, False], [False, True], [True, True]])
    sums = {mg.run.checksum([data.Example(ids, row)]) for row in counts}
    assert len(sums | {mg.run.checksum([ids])}) == 4


def test_an_example_outside_of_a_list_is_no_text_to_cut():
    example = data.Example(TEXTS[2], np.array([False, False, True, False]))
    assert data.check(example, CFG)[0] is example


@pytest.mark.parametrize("counts", [[True], [True] * 3, [False] * 2, []])
def test_counts_that_do_not_fit_get_a_sentence(counts):
    with pytest.raises(ValueError, match="3 ids make 2 predictions"):
        data.Example(TEXTS[0], np.array(counts, bool))


def test_random_texts_draw_all_of_them():
    ids, _, mask = data.random_texts(TEXTS, 300, np.random.default_rng(0))
    assert ids.shape == mask.shape == (300, 4)
    assert {1, 4, 6} == set(ids[:, 0])
    counts = np.bincount(ids[:, 0])[[1, 4, 6]]
    assert counts.min() > 70


def test_wrap_puts_an_end_before_and_after():
    class Tok:
        eot = 9

        def encode(self, text):
            return [ord(c) - ord("a") for c in text]

    assert [t.tolist() for t in data.wrap(Tok(), ["ab", ""])] == [[9, 0, 1, 9], [9, 9]]


def test_split_holds_out_the_end():
    train, val = data.split(np.arange(100), 0.2)
    assert train.tolist() == list(range(80)) and val.tolist() == list(range(80, 100))
    train, val = data.split(TEXTS)
    assert len(train) == 2 and val[0] is TEXTS[2]
    for share in (0, 1, -0.5, float("nan")):
        with pytest.raises(ValueError, match="held out must be between 0 and 1"):
            data.split(TEXTS, share)


def test_check_gives_arrays():
    assert data.check([1, 2, 3] * 4, CFG).tolist() == [1, 2, 3] * 4
    texts = data.check([[1, 2], (3, 4, 5)], CFG)
    assert [t.tolist() for t in texts] == [[1, 2], [3, 4, 5]]
    assert data.check(np.zeros(9, np.uint16), CFG).dtype == np.uint16
    assert len(data.check([np.zeros(9, int)], CFG)) == 1  # n_ctx + 1 just fits


@pytest.mark.parametrize(
    "ids, sentence",
    [
        ([], "val is empty"),
        (
            np.zeros(8, int),
            "val has 8 tokens in a row, and at least 9 are needed to fill",
        ),
        ([[1, 2], [3]], "val has 1 tokens in a row, and at least 2 are needed"),
        (
            [np.zeros(10, int)],
            r"a text of val has 10 tokens, .* at most n_ctx \+ 1 = 9",
        ),
        (np.arange(14), "val holds the id 13, outside of the model's vocabulary of 13"),
        ([[1, -1]], "val holds the id -1"),
        (np.ones(20), r"val must be token ids \(N,\)"),
        (np.ones((3, 9), int), r"val must be token ids \(N,\)"),
        (["Once", "upon"], r"val must be token ids \(N,\)"),
        ("Once upon a time", r"val must be token ids \(N,\)"),
    ],
)
def test_check_refuses_what_no_model_learns_from(ids, sentence):
    with pytest.raises(ValueError, match=sentence):
        data.check(ids, CFG, "val")
