"""How a batcher closes, and that nothing of a request is kept."""

import gc
import threading
import weakref

import pytest
from batches import PARAMS, SMALL, Request, by_hand, drive, prompt

from minigpt.batching import Batcher, Closed

SECONDS = 60  # nothing here takes one
ENDLESS = 5000  # tokens: seconds, if nobody ends it


def test_closing_finishes_what_runs_and_tells_the_rest():
    batcher = by_hand(rows=1)
    first, second = (Request(prompt(5), 4, seed=k).submit(batcher) for k in range(2))
    batcher.step()
    assert batcher.close(SECONDS)
    first.check()
    assert (second.job.reason, second.ends, second.told) == ("closed", 1, [])
    with pytest.raises(Closed, match="takes no more requests"):
        Request(prompt(5), 4).submit(batcher)
    assert batcher.close() and first.ends == second.ends == 1


def test_closing_ends_what_takes_too_long():
    batcher = by_hand()
    request = Request(prompt(5), ENDLESS, seed=0).submit(batcher)
    batcher.step()
    assert batcher.close(0)
    assert request.job.reason == "closed" and request.ends == 1 and request.told
    assert (batcher.running, batcher.queued) == (0, 0)


def test_closing_a_thread_from_several_at_once():
    batcher = Batcher(PARAMS, SMALL)
    thread = batcher._thread
    assert thread.daemon and thread.name == "minigpt batcher"
    began = threading.Event()
    endless = Request(prompt(5), ENDLESS, seed=0)
    endless.hear = lambda *told: (began.set(), Request.hear(endless, *told))
    endless.submit(batcher)
    assert began.wait(SECONDS)
    closed = []
    closers = [
        threading.Thread(target=lambda: closed.append(batcher.close(0)))
        for _ in range(3)
    ]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join(SECONDS)
    assert closed == [True] * 3 and not thread.is_alive()
    assert endless.job.reason == "closed" and endless.ends == 1


def test_a_later_closer_can_be_less_patient_but_not_more():
    batcher = by_hand()
    Request(prompt(5), ENDLESS, seed=0).submit(batcher)
    batcher.step()
    assert batcher.close(0) and batcher.close(float("inf"))


def test_closing_from_the_thread_itself():
    batcher, ended = Batcher(PARAMS, SMALL), threading.Event()

    def tell(job, new_id, prob):
        batcher.close(0)
        if new_id is None:
            ended.set()

    job = batcher.submit(prompt(5), ENDLESS, seed=0, tell=tell)
    assert ended.wait(SECONDS) and job.reason == "closed"
    batcher._thread.join(SECONDS)
    assert not batcher._thread.is_alive()


def test_an_idle_thread_waits_and_is_closed():
    batcher = Batcher(PARAMS, SMALL)
    request = Request(prompt(5), 3, seed=0).submit(batcher)
    assert request.done.wait(SECONDS)
    steps, step = [], batcher.step
    batcher.step = lambda: steps.append(1) or step()
    assert batcher.close() and not batcher._thread.is_alive()
    assert len(steps) <= 1  # it had slept, not turned in a circle


# ---------------------------------------------------------------- what is kept


@pytest.mark.parametrize("ends", ["length", "cancelled", "error"])
def test_nothing_of_a_request_is_kept(ends):
    batcher, heard = Batcher(PARAMS, SMALL), threading.Event()

    class Listener:
        def tell(self, job, new_id, prob):
            if new_id is None:
                heard.set()
            elif ends == "cancelled":
                job.cancel()
            elif ends == "error":
                raise OSError("away")

    listener = Listener()
    job = batcher.submit(prompt(30), 9, seed=0, tell=listener.tell)
    kept = [weakref.ref(listener), weakref.ref(job)]
    assert heard.wait(SECONDS) and job.reason == ends
    after = Request(prompt(2), 1, seed=0).submit(batcher)
    assert after.done.wait(SECONDS)  # the step in which it ended is over
    del listener
    gc.collect()
    assert kept[0]() is None  # though somebody holds the job
    del job
    gc.collect()
    assert kept[1]() is None
    assert batcher.close()


def test_the_arrays_go_with_the_last_row():
    batcher = by_hand()
    several = [Request(prompt(5, k), 3 + k, seed=k).submit(batcher) for k in range(9)]
    drive(batcher)
    assert batcher._scheduler._groups == [] and not batcher._scheduler._reading
    for request in several:
        request.check()
