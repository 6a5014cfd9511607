"""Trees of arrays: names as in a checkpoint, and nothing lost on the way."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minigpt import tree

KEYS = st.text("abcdef_", min_size=1, max_size=5)
LEAVES = st.integers(0, 99).map(np.array)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.dictionaries(KEYS, inner, min_size=1, max_size=4)
        | st.lists(inner, min_size=1, max_size=4)
    ),
    max_leaves=12,
)

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@calm
@given(TREES)
def test_unflatten_undoes_flatten(params):
    assert tree.unflatten(tree.flatten(params)) == params


@calm
@given(TREES, st.integers(0, 2**30))
def test_merge_undoes_split(params, bits):
    names = list(tree.flatten(params))
    chosen = {n for i, n in enumerate(names) if bits >> (i % 30) & 1}
    part, rest = tree.split(params, chosen.__contains__)
    assert set(tree.flatten(part)) == chosen
    assert set(tree.flatten(rest)) == set(names) - chosen
    assert tree.merge(part, rest) == tree.merge(rest, part) == params


@calm
@given(TREES)
def test_map_keeps_the_structure(params):
    doubled = tree.map(lambda a, b: a + b, params, params)
    flat = tree.flatten(params)
    assert tree.flatten(doubled) == {name: 2 * leaf for name, leaf in flat.items()}
    assert tree.map_named(lambda name, leaf: flat[name], params) == params


def test_names_are_those_of_a_checkpoint():
    params = {"wte": {"weight": 1}, "h": [{"ln_1": {"bias": i}} for i in range(11)]}
    flat = tree.flatten(params)
    assert list(flat)[:2] == ["wte.weight", "h.0.ln_1.bias"]
    assert tree.unflatten(flat)["h"][10] == {"ln_1": {"bias": 10}}


def test_order_of_names_does_not_matter_for_lists():
    assert tree.unflatten({"h.1": "b", "h.10": "k", "h.0": "a"})["h"] == {
        "1": "b",
        "10": "k",
        "0": "a",
    }
    assert tree.unflatten({"h.1": "b", "h.0": "a"}) == {"h": ["a", "b"]}


def test_merge_joins_what_only_one_has():
    frozen = {"attn": {"weight": 1}}
    lora = {"attn": {"weight": None, "lora_a": 2}, "head": 3}
    merged = {"attn": {"weight": 1, "lora_a": 2}, "head": 3}
    assert tree.merge(frozen, lora) == merged
    assert tree.merge({"a": 1}, {"a": 2}) == {"a": 2}


@pytest.mark.parametrize("flat", [{"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}])
def test_a_name_cannot_be_an_array_and_a_branch(flat):
    with pytest.raises(ValueError, match="both an array and a branch"):
        tree.unflatten(flat)


def test_map_refuses_lists_of_different_lengths():
    with pytest.raises(ValueError, match="shorter"):
        tree.map(lambda a, b: a, [1, 2], [1])


def test_size_counts_scalars():
    assert tree.size({"a": np.ones((2, 3)), "b": [np.ones(4), None]}) == 10
