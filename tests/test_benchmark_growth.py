"""The formula of how the cost of a step grows."""

import numpy as np
import pytest
from benchmark_programs import points

import growth  # isort: skip

TIMES = {"median": 0.02, "least": 0.01, "greatest": 0.04}


def test_the_formula_foretells_what_it_was_not_fitted_to():
    found = growth.calculated(points(TIMES))
    held_out = [p for p in found["points"] if p["held out"]]
    assert {p["direction"] for p in held_out} == set(growth.DIRECTIONS)
    assert len(held_out) == 4
    for p in found["points"]:
        assert p["formula"]["seconds"] == pytest.approx(p["times"]["median"], rel=1e-6)
        assert p["formula"]["peak"] == pytest.approx(p["peak"], rel=1e-6)
    constants = found["constants"]["seconds"]
    assert constants["an operation"] == pytest.approx(2e-11, rel=1e-4)
    told = found["foretold"]["GPT-2, 124M"]
    assert told["parameters"] == 124_439_808
    expected = 2e-11 * told["operations"] + 3e-8 * told["parameters"] + 0.001
    assert told["seconds"] == pytest.approx(expected, rel=1e-4)


def test_a_constant_is_never_below_zero():
    rows = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    assert growth.fit(rows, rows @ [2.0, -0.5])[1] == 0.0
    assert growth.fit(rows, rows @ [2.0, 0.5]) == pytest.approx([2.0, 0.5])


def test_a_price_that_is_known_stays():
    rows = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    values = rows @ [2.0, 0.5]
    assert growth.fit(rows, values, 2.0) == pytest.approx([2.0, 0.5])
    assert growth.fit(rows, values, 2.1)[1] < 0.5
    assert growth.fit(rows, values, 3.0)[:2] == [3.0, 0.0]
