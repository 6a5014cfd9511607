"""How many threads BLAS has while a batcher works."""

import threading

import pytest
from batches import CFG, PARAMS
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from minigpt import batching
from minigpt.batching import Batcher


def threads():
    return {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}


def give(count):
    """Give BLAS so many threads: in a thread that ends, for who sets them owns them."""
    setter = threading.Thread(target=threadpool_limits, args=(count, "blas"))
    setter.start()
    setter.join()


def free():
    """Let anybody set the number, whoever of an earlier test still owns it."""
    for library in ThreadpoolController().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


@pytest.fixture(autouse=True)
def two():
    free()
    (before,) = threads()
    give(2)
    if threads() != {2}:
        pytest.skip("this BLAS cannot have two threads")
    yield
    assert threads() == {2}, "what it changed it has not set back"
    give(before)


def threads_of(params):
    """The number of threads that BLAS has when a token is told, and afterwards."""
    seen = []
    with Batcher(params, CFG) as batcher:
        batcher.submit([1], 1, tell=lambda *told: seen.append(threads()))
    return seen[0]


def test_a_small_model_takes_one_thread(monkeypatch):
    assert threads_of(PARAMS) == {1} and threads() == {2}
    monkeypatch.setattr(batching, "SMALL", 1)
    assert threads_of(PARAMS) == {2}


def test_two_batchers_may_end_in_any_order():
    begun = threading.Semaphore(0)
    batchers = [Batcher(PARAMS, CFG), Batcher(PARAMS, CFG)]
    for batcher in batchers:
        batcher.submit([1], 1, tell=lambda *told: begun.release())
    for _ in range(4):  # a token and an end of each
        assert begun.acquire(timeout=60)
    for batcher in batchers:
        assert threads() == {1}
        batcher.close()
