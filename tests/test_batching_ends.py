"""How requests end before their time: by errors, and cancelled."""

import asyncio

import numpy as np
import pytest
from batches import PARAMS, SMALL, Request, Watched, by_hand, drive, prompt

import minigpt as mg
from minigpt.batching import Batcher
from minigpt.generate import PIECE

SECONDS = 60  # nothing here takes one


def poisoned(token):
    """Parameters of which one token's row is no number."""
    params = mg.tree.map(np.copy, PARAMS)
    params["lm_head"] = {"weight": params["wte"]["weight"].copy()}
    params["wte"]["weight"][token] = np.nan
    return params


def failing(when, error):
    """A model that raises ``error`` once, at the call with number ``when``."""

    def before(_ids):
        if len(model.shapes) - 1 == when:
            raise error

    model = Watched(before=before)
    return model


# ---------------------------------------------------------------- errors


def test_logits_that_are_not_finite_end_the_rows_they_belong_to():
    params = poisoned(7)
    batcher = by_hand(params)
    well = [Request([1, 2, k], 8, seed=0, temperature=0) for k in range(1, 4)]
    ill = Request([1, 7, 2], 8, seed=0)
    for request in (well[0], ill, *well[1:]):
        request.submit(batcher)
    drive(batcher)
    assert (ill.job.reason, ill.told, ill.ends) == ("error", [], 1)
    assert "logits are not finite" in ill.job.error
    healthy = [request for request in well if 7 not in request.new]
    for request in healthy:
        request.check(params)
    assert healthy


def test_what_was_not_finite_is_not_left_to_the_next():
    params = poisoned(7)
    batcher = by_hand(params)
    long = Request([1, 2, 3, 4, 5, 6, 8, 9], 5, seed=4, temperature=0).submit(batcher)
    Request([7] * 8, 5).submit(batcher)
    batcher.step()
    short = Request([3], 6, seed=5).submit(batcher)  # takes the row, and is padded
    drive(batcher)
    assert long.job.reason == short.job.reason == "length"
    short.check(params)


@pytest.mark.parametrize("when, reading", [(0, True), (2, False)])
@pytest.mark.parametrize("error", [MemoryError("no 5 GB"), RuntimeError("a bug")])
def test_a_model_that_fails_ends_those_it_worked_for(when, reading, error):
    batcher = by_hand(failing(when, error))
    pair = [Request(prompt(5, k), 6, seed=k).submit(batcher) for k in range(2)]
    drive(batcher)
    for request in pair:
        assert request.job.reason == "error" and request.ends == 1
        assert str(error) in request.job.error
        assert type(error).__name__ in request.job.error
        assert bool(request.told) != reading
    after = Request(prompt(5), 6, seed=1).submit(batcher)
    drive(batcher)
    after.check()


GONE = "the client went away"


@pytest.mark.parametrize("error", [OSError(GONE), asyncio.CancelledError(GONE)])
def test_who_fails_to_listen_ends_alone(error):
    batcher, heard = by_hand(), []

    def deaf(job, new_id, prob):
        heard.append(new_id)
        raise error

    other = Request(prompt(5), 6, seed=0).submit(batcher)
    job = batcher.submit(prompt(5), 6, seed=1, tell=deaf)
    drive(batcher)
    assert job.reason == "error" and GONE in job.error
    assert len(heard) == 2 and heard[1] is None  # the end is told, once
    other.check()


def test_a_fault_of_the_batcher_itself_leaves_a_thread_that_works(monkeypatch):
    batcher = Batcher(PARAMS, SMALL)
    with monkeypatch.context() as patched:
        patched.setattr(batcher._scheduler, "_decode", lambda: 1 / 0)
        request = Request(prompt(5), 6, seed=0).submit(batcher)
        assert request.done.wait(SECONDS)
    assert request.job.reason == "error" and "ZeroDivision" in request.job.error
    after = Request(prompt(5), 6, seed=0).submit(batcher)
    assert after.done.wait(SECONDS)
    after.check()
    assert batcher.close()


# ---------------------------------------------------------------- cancelling


def test_cancelled_while_it_waits():
    batcher = by_hand(rows=1)
    first, second = (Request(prompt(5), 4, seed=k).submit(batcher) for k in range(2))
    batcher.step()
    second.job.cancel()
    batcher.step()
    assert (second.job.reason, second.ends, batcher.queued) == ("cancelled", 1, 0)
    drive(batcher)
    first.check()


def test_cancelled_while_its_prompt_is_read():
    cfg = mg.Config(vocab_size=13, n_ctx=4 * PIECE, n_embd=12, n_layer=2, n_head=3)
    model = Watched(mg.init(cfg))
    batcher = by_hand(model, cfg)
    request = Request(prompt(3 * PIECE), 4).submit(batcher)
    batcher.step()
    assert batcher.running == 1
    request.job.cancel()
    assert not batcher.step()
    assert (request.job.reason, request.told, request.ends) == ("cancelled", [], 1)
    assert model.shapes == [(1, PIECE)]


def test_cancelled_while_it_is_decoded_it_frees_its_row():
    model = Watched()
    batcher = by_hand(model)
    several = [Request(prompt(5, k), 9, seed=k).submit(batcher) for k in range(3)]
    batcher.step()
    several[1].job.cancel()
    told = len(several[1].told)
    batcher.step()
    assert model.shapes[-2:] == [(3, 1), (2, 1)] and batcher.running == 2
    drive(batcher)
    for request in several:
        request.check()
    assert several[1].job.reason == "cancelled" and len(several[1].told) == told
    several[0].job.cancel()  # too late, and no matter
    assert several[0].job.reason == "length"


def test_cancelled_while_a_step_is_under_way_it_hears_no_more():
    model = Watched(before=lambda ids: ids.shape[1] == 1 and request.job.cancel())
    batcher = by_hand(model)
    request = Request(prompt(5), 9, seed=0)
    request.submit(batcher)
    drive(batcher)
    assert request.job.reason == "cancelled" and len(request.told) == 1


def test_cancelled_by_who_listens():
    batcher, heard = by_hand(), []

    def tell(job, new_id, prob):
        heard.append(new_id)
        job.cancel()

    job = batcher.submit(prompt(5), 9, seed=0, tell=tell)
    drive(batcher)
    assert job.reason == "cancelled" and len(heard) == 2
