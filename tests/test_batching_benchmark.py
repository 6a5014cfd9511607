"""The benchmark of many requests at once: what it compares, and its tables."""

import pytest
from benchmark_programs import FOLDER

import minigpt as mg

import report  # isort: skip
import serving  # isort: skip

assert FOLDER.exists()
TIMES = {"median": 0.02, "least": 0.01, "greatest": 0.04}


def figure(kind, rows, **ways):
    times = {how: {**TIMES, "median": value} for how, value in ways.items()}
    named = {"one_batch": "one batch"}
    times = {named.get(how, how): t for how, t in times.items()}
    return {"kind": kind, "context": 16, "rows": rows, "calls": 2, "times": times}


def test_what_is_told_of_the_figures():
    equal = [figure(None, 1, one_batch=0.01, singly=0.01),
             figure(None, 4, one_batch=0.02, singly=0.06)]  # fmt: skip
    mixed = figure("half long", 4, one_batch=0.05, divided=0.03, singly=0.06)
    found = {"steps": {"tales": [*equal, mixed]}}
    text = "\n".join(map(report.markdown, serving.tables(found)))
    assert "| 4 at 16 | 20 (10 to 40) | 60 (10 to 40) | 3 | 200 |" in text
    assert "| 4, half long | 50 (10 to 40) | 30 (10 to 40) |" in text
    assert [value for _, value, _ in serving.reached(found)] == pytest.approx([3, 2])


def test_the_same_rows_are_computed_in_every_way():
    params, cfg = serving.model("gpt2", quick=True)
    assert serving.call_cost(cfg) < 63 * 44  # so that there is something to divide
    for kind, _, rows, lengths, ways in serving.plan("gpt2", quick=False):
        assert len(lengths) == rows and max(lengths) <= 512 and min(lengths) >= 1
        assert (kind is None) == (len(ways) == 2)
    lengths = [48] + [4] * 63
    for how, calls in (("one batch", 1), ("divided", 2), ("singly", 64)):
        groups = serving.groups_of(cfg, lengths, how)
        assert len(groups) == calls
        told = [n for group in groups for n in group.lengths.tolist()]
        assert sorted(told) == sorted(lengths)
        assert serving.step(params, groups) > 0
        assert [n for g in groups for n in g.lengths.tolist()] == told


@pytest.mark.slow
def test_a_quick_try_runs():
    found = serving.measure(1, quick=True)
    assert set(found["steps"]) == {"tales", "gpt2"}
    assert all(f["times"] for figures in found["steps"].values() for f in figures)
    assert len(serving.tables(found)) == 6 and mg.Config(**serving.QUICK)
