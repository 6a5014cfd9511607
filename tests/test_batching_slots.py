"""Groups of rows that come and go, and which lengths are kept together."""

import functools
import itertools

import numpy as np
import pytest
from batches import PARAMS, SMALL, prompt
from hypothesis import given, settings
from hypothesis import strategies as st

import minigpt as mg
from minigpt import slots
from minigpt.slots import Reading, call_cost, partition, regroup

MODEL = functools.partial(mg.gpt, PARAMS)


class Owner:
    """Somebody with a text."""

    def __init__(self, length, seed):
        self.ids = prompt(length, seed).tolist()


def group_of(*lengths, seed=0):
    """A group of texts that have been read, but for the last token of each."""
    reading = Reading(SMALL, [Owner(n, seed + k) for k, n in enumerate(lengths)])
    assert reading.read(MODEL) is not None
    for owner in reading.group.rows:
        owner.ids.append(owner.ids[0])
    return reading.group


def check(group):
    """That another token gives what the whole text alone gives, and is added."""
    assert group.lengths.tolist() == [len(owner.ids) - 1 for owner in group.rows]
    assert group.padding.min() == 0
    logits = group.decode(MODEL, [owner.ids[-1] for owner in group.rows])
    for owner, row in zip(group.rows, logits, strict=True):
        alone = mg.gpt(PARAMS, np.array([owner.ids]), SMALL, last=True)[0, 0]
        np.testing.assert_allclose(row, alone, rtol=1e-9, atol=1e-9)
        owner.ids.append(owner.ids[1 % len(owner.ids)])


@pytest.fixture(autouse=True)
def memory_is_full_of_nothing(monkeypatch):
    """What is not written is not read: new arrays hold no numbers."""
    empty = np.empty

    def full(*given, **rest):
        array = empty(*given, **rest)
        if array.dtype.kind == "f":
            array.fill(np.nan)
        return array

    monkeypatch.setattr(slots.np, "empty", full)


actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.integers(1, 12), min_size=1, max_size=3)),
        st.tuples(st.just("keep"), st.integers(0, 2**20)),
        st.tuples(st.just("some"), st.integers(0, 2**20)),
        st.tuples(st.just("check"), st.none()),
    ),
    max_size=10,
)


def chosen(group, bits):
    """Some numbers of rows, one at least, none whose row is near its end."""
    return [k for k in range(len(group.rows)) if bits >> k & 1] or [0]


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), actions)
def test_rows_come_and_go(lengths, actions):
    group = group_of(*lengths)
    for seed, (action, what) in enumerate(actions):
        if action == "add":
            group.add(group_of(*what, seed=100 * seed))
        elif action == "keep":
            group.keep(chosen(group, what))
        elif action == "some":
            group = group.some(chosen(group, what))
        check(group) if group.width < SMALL.n_ctx else None
    if group.width < SMALL.n_ctx:
        check(group)


def test_a_copy_of_some_rows_is_its_own():
    group = group_of(3, 9, 5)
    copied = group.some([0, 2])
    assert copied.lengths.tolist() == [3, 5] and copied.width == 5
    before = [cache.keys[:, :, :9].copy() for cache in group.caches]
    check(copied)
    for cache, keys in zip(group.caches, before, strict=True):
        np.testing.assert_array_equal(cache.keys[:, :, :9], keys)


def test_room_is_made_seldom_and_given_back(monkeypatch):
    group, made, empty = group_of(2), [], slots.np.empty

    def watched(shape, *rest):
        made.append(np.atleast_1d(shape)[1:2].tolist())  # the rows, of five axes
        return empty(shape, *rest)

    monkeypatch.setattr(slots.np, "empty", watched)
    for k in range(31):
        group.add(group_of(2, seed=k))
    grown = [rows for rows in made if rows > [1]]
    assert grown == [[n] for n in (2, 4, 8, 16, 32) for _ in range(SMALL.n_layer)]
    group.keep([0])
    assert group.caches[0].keys.base.shape[1] < 4
    check(group)


def test_a_model_that_replaces_the_arrays():
    """As one does that runs elsewhere: they are then as long as is needed."""

    def elsewhere(ids, cfg, *, caches, last):
        logits = mg.gpt(PARAMS, ids, cfg, caches=caches, last=last)
        for cache in caches:
            cache.keys = cache.keys[:, :, : cache.length].copy()
            cache.values = cache.values[:, :, : cache.length].copy()
            cache.capacity = cache.length
        return logits

    group = group_of(4, 7)
    for step in range(8):
        logits = group.decode(elsewhere, [owner.ids[-1] for owner in group.rows])
        for owner, row in zip(group.rows, logits, strict=True):
            alone = mg.gpt(PARAMS, np.array([owner.ids]), SMALL, last=True)[0, 0]
            np.testing.assert_allclose(row, alone, rtol=1e-9, atol=1e-9)
            owner.ids.append(1)
        if step == 2:
            group.add(group_of(2, seed=9))
        if step == 5:
            group.keep([0, 2])


# ---------------------------------------------------------------- who with whom


def cost(parts, lengths, call):
    return sum(call + len(part) * max(lengths[k] for k in part) for part in parts)


def divisions(items):
    """Every way to divide a list into parts."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for size in range(len(rest) + 1):
        for mates in itertools.combinations(rest, size):
            left = [k for k in rest if k not in mates]
            for others in divisions(left):
                yield [[first, *mates], *others]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(1, 100))
def test_no_division_costs_less(lengths, call):
    parts = partition(lengths, call)
    assert sorted(itertools.chain(*parts)) == list(range(len(lengths)))
    least = min(cost(p, lengths, call) for p in divisions(list(range(len(lengths)))))
    assert cost(parts, lengths, call) == least


def test_which_lengths_of_gpt2_are_decoded_together():
    call = call_cost(mg.Config.preset("gpt2"))
    assert 12_000 < call < 15_000
    assert len(partition([900] + [30] * 10, call)) == 1
    assert partition([30] * 30 + [900], call) == [[30], list(range(30))]
    assert len(partition([700, 800, 900, 1000] * 16, call)) == 1
    assert len(partition([1000] * 32 + [20] * 32, call)) == 2


@given(st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=4), max_size=4),
       st.sampled_from([1, 5, 30, 1000]))  # fmt: skip
def test_regrouping_loses_nobody(lengths, call):
    groups = [group_of(*own, seed=10 * k) for k, own in enumerate(lengths)]
    owners = [owner for group in groups for owner in group.rows]
    before = sum(call + len(g.rows) * g.width for g in groups)
    found = regroup(groups, call)
    after = sum(call + len(g.rows) * g.width for g in found)
    assert after <= before
    if before - after == 0:
        assert found == groups
    rows = [owner for group in found for owner in group.rows]
    assert len(rows) == len(owners) and set(rows) == set(owners)
    for group in found:
        check(group)


def test_moving_must_pay():
    few, many = group_of(10, 9), group_of(10, seed=7)
    assert regroup([few, many], call=0.5) == [few, many]
    (one,) = regroup([few, many], call=1000)
    assert one is few and one.lengths.tolist() == [10, 9, 10]
