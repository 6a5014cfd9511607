"""Many requests as one batch: each gets what it would get alone."""

import numpy as np
import pytest
from batches import PARAMS, SMALL, Request, Watched, by_hand, drive, prompt
from hypothesis import given, settings
from hypothesis import strategies as st

import minigpt as mg
from minigpt.batching import Batcher, Busy
from minigpt.generate import PIECE
from minigpt.sampling import distribution

requests = st.fixed_dictionaries({
    "length": st.integers(1, 2 * SMALL.n_ctx),
    "count": st.integers(0, SMALL.n_ctx + 8),
    "temperature": st.sampled_from([0, 0.7, 1.0, 3.0]),
    "top_k": st.sampled_from([None, 1, 4]),
    "top_p": st.sampled_from([None, 0.8]),
    "seed": st.integers(0, 2**32),
    "stop": st.lists(st.integers(0, SMALL.vocab_size), max_size=2),
    "arrives": st.integers(0, 30),
    "leaves": st.one_of(st.none(), st.integers(0, 60)),
})  # fmt: skip


def run_staggered(batcher, plans, cfg=SMALL):
    """Submit and cancel at the steps that the plans name; returns the requests."""
    running, step = [], 0
    while len(running) < len(plans) or batcher.running or batcher.queued:
        for plan in plans:
            if plan["arrives"] == step:
                own = {k: plan[k] for k in ("temperature", "top_k", "top_p", "seed")}
                own["stop"] = plan["stop"]
                ids = prompt(plan["length"], plan["seed"], cfg)
                running.append(Request(ids, plan["count"], **own).submit(batcher))
                running[-1].leaves = plan["leaves"]
        for request in running:
            if request.leaves == step:
                request.job.cancel()
        batcher.step()
        step += 1
        assert step < 10_000 and batcher.running <= batcher.rows
    return running


@given(st.lists(requests, min_size=1, max_size=9), st.integers(1, 6))
def test_everyone_gets_what_it_gets_alone(plans, rows):
    for request in run_staggered(by_hand(rows=rows), plans):
        request.check()
        assert request.leaves is not None or request.job.reason != "cancelled"


@settings(max_examples=40)
@given(st.lists(requests, min_size=2, max_size=12))
def test_groups_that_are_cheap_to_split_give_the_same(plans):
    batcher = by_hand(rows=8)
    batcher._scheduler._call = 10  # positions: rows move between groups all the time
    for request in run_staggered(batcher, plans):
        request.check()


def test_the_shipped_model_with_a_thread_and_all_at_once():
    params, cfg, tok = mg.load("tales")
    rng = np.random.default_rng(0)
    told = []
    with Batcher(params, cfg, rows=16) as batcher:
        for seed in range(60):
            ids = prompt(int(rng.integers(1, cfg.n_ctx + 20)), seed, cfg)
            own = {"temperature": [0, 1.0, 0.6][seed % 3], "seed": seed}
            own |= {"top_k": [None, 20][seed % 2], "stop": [tok.eot]}
            told.append(Request(ids, int(rng.integers(0, 50)), **own).submit(batcher))
        assert all(request.done.wait(60) for request in told)
    for request in told:
        request.check(params, cfg)
    assert {request.job.reason for request in told} == {"stop", "length"}


# ---------------------------------------------------------------- what is told


@pytest.mark.parametrize(
    "temperature, top_k, top_p", [(0.7, 5, 0.9), (2.0, None, None)]
)
def test_the_probability_is_that_which_was_drawn_from(temperature, top_k, top_p):
    batcher, own = by_hand(), (temperature, top_k, top_p)
    names = "temperature", "top_k", "top_p"
    request = Request(prompt(5), 30, seed=1, **dict(zip(names, own, strict=True)))
    request.submit(batcher)
    drive(batcher)
    for at, (new_id, prob) in enumerate(request.told):
        window = np.array([request.job.ids[: 5 + at][-SMALL.n_ctx :]])
        p = distribution(mg.gpt(PARAMS, window, SMALL, last=True)[0], *own)
        assert prob == pytest.approx(p[0, new_id], rel=1e-9)


def test_greedy_tells_what_the_model_gives_at_a_temperature_of_one():
    batcher = by_hand()
    request = Request(prompt(5), 10, temperature=0, top_k=1).submit(batcher)
    drive(batcher)
    for at, (new_id, prob) in enumerate(request.told):
        logits = mg.gpt(PARAMS, np.array([request.job.ids[: 5 + at]]), SMALL)[0, -1]
        p = np.exp(logits) / np.exp(logits).sum()
        assert prob == pytest.approx(p[new_id], rel=1e-9) and 0 < prob < 1


def test_nothing_asked_nothing_computed():
    model = Watched()
    batcher = by_hand(model)
    request = Request(prompt(5), 0).submit(batcher)
    assert request.ends == 0  # it is told from the thread, as all is
    drive(batcher)
    request.check()
    assert model.shapes == [] and request.job.reason == "length"


def test_a_generator_as_seed_and_one_stop_id():
    batcher = by_hand()
    rng = np.random.default_rng(3)
    job = batcher.submit(prompt(4), 9, seed=rng, stop=99, tell=lambda *_: None)
    drive(batcher)
    assert job.ids == mg.generate(PARAMS, prompt(4), SMALL, 9, seed=3).tolist()


# ---------------------------------------------------------------- who computes when


def test_those_that_arrive_together_are_read_and_decoded_together():
    model = Watched()
    batcher = by_hand(model)
    several = [Request(prompt(5, k), 6, seed=k).submit(batcher) for k in range(8)]
    drive(batcher)
    assert model.shapes == [(8, 5), *[(8, 1)] * 5]
    for request in several:
        request.check()


def test_one_joins_at_the_next_step_and_leaves_at_its_end():
    model = Watched()
    batcher = by_hand(model)
    Request(prompt(5), 12, seed=0).submit(batcher)
    batcher.step()
    Request(prompt(3), 3, seed=0).submit(batcher)
    drive(batcher)
    shapes = [(1, 5), (1, 1), (1, 3), (2, 1), (2, 1), *[(1, 1)] * 8]
    assert model.shapes == shapes


def test_a_long_prompt_is_read_in_pieces_between_the_others_steps():
    cfg = mg.Config(vocab_size=13, n_ctx=4 * PIECE, n_embd=12, n_layer=2, n_head=3)
    model = Watched(mg.init(cfg))
    batcher = by_hand(model, cfg)
    short = Request(prompt(5), 9, seed=1).submit(batcher)
    batcher.step()
    long = Request(prompt(3 * PIECE + 2), 3, seed=1).submit(batcher)
    other = Request(prompt(4), 3, seed=2).submit(batcher)
    before = len(short.told)
    for step in range(4):
        batcher.step()
        assert len(short.told) == before + step + 1  # never stopped
        assert (len(other.told) > 0) == (step > 0) and not long.told
    drive(batcher)
    assert [s for s in model.shapes if s[1] > 5] == [(1, PIECE)] * 3
    for request in (short, long, other):
        request.check(model.params, cfg)


def test_prompts_of_very_different_lengths_are_not_padded_to_the_longest():
    model = Watched()
    batcher = by_hand(model)
    for length in (2, 20, 3, 20):
        Request(prompt(length), 2, seed=0).submit(batcher)
    drive(batcher)
    assert {s for s in model.shapes if s[1] > 1} == {(2, 3), (2, 20)}


def test_a_window_that_slides_does_not_stop_the_others():
    model = Watched()
    batcher = by_hand(model)
    slides = Request(prompt(SMALL.n_ctx), 20, seed=0).submit(batcher)
    short = Request(prompt(2), 10, seed=0).submit(batcher)
    batcher.step()
    batcher.step()
    assert len(slides.told) == 1 and len(short.told) == 2
    for step in range(8):
        batcher.step()
        assert len(slides.told) == 2 + step and len(short.told) == 3 + step
    drive(batcher)
    slides.check()
    short.check()
    assert model.shapes.count((1, SMALL.n_ctx)) == 20  # as `generate`: all anew


def test_a_few_long_texts_do_not_widen_many_short_ones():
    cfg = mg.Config(vocab_size=13, n_ctx=512, n_embd=12, n_layer=2, n_head=3)
    model = Watched(mg.init(cfg))
    batcher = by_hand(model, cfg)
    Request(prompt(200), 12, seed=0).submit(batcher)
    for k in range(20):
        Request(prompt(4), 10, seed=k).submit(batcher)
    drive(batcher)
    assert (20, 1) in model.shapes and (21, 1) not in model.shapes


# ---------------------------------------------------------------- bounds


def test_rows_and_the_queue_are_bounded():
    batcher = by_hand(rows=2, waiting=3)
    first = [Request(prompt(3), 3, seed=k).submit(batcher) for k in range(3)]
    assert (batcher.running, batcher.queued) == (0, 3)
    with pytest.raises(Busy, match="3 requests wait already"):
        Request(prompt(3), 3).submit(batcher)
    batcher.step()
    assert (batcher.running, batcher.queued) == (2, 1)
    later = [Request(prompt(3), 3, seed=k).submit(batcher) for k in range(2)]
    drive(batcher)
    for request in first + later:
        request.check()
    assert (batcher.running, batcher.queued) == (0, 0)


@pytest.mark.parametrize("ids, count, settings, told", [
    ([], 3, {}, "the prompt is empty"),
    ([[1, 2]], 3, {}, "shape"),
    ([99], 3, {}, "the id 99"),
    ([1], -1, {}, "max_new_tokens"),
    ([1], 3, {"temperature": float("nan")}, "temperature"),
    ([1], 3, {"top_k": 0}, "top_k"),
    ([1], 3, {"top_p": 2}, "top_p"),
    ([1], 3, {"stop": "x"}, "stop"),
    ([1], 3, {"seed": -1}, "non-negative"),
])  # fmt: skip
def test_bad_requests_are_refused_as_generate_refuses_them(ids, count, settings, told):
    batcher = by_hand()
    with pytest.raises(ValueError, match=told):
        batcher.submit(ids, count, **settings, tell=print)
    with pytest.raises(ValueError, match=told):
        mg.generate(
            PARAMS, ids if ids != [[1, 2]] else [[[1]]], SMALL, count, **settings
        )
    assert batcher.queued == 0


@pytest.mark.parametrize("name, number", [("rows", 0), ("waiting", 0), ("rows", 1.5)])
def test_bad_bounds(name, number):
    with pytest.raises(ValueError, match=f"{name} must be a whole number from 1"):
        by_hand(**{name: number})
