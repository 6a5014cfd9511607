"""Writing that takes its time: streams as they come, limits, clients that go away."""

import concurrent.futures
import dataclasses
import json
import threading

import pytest
from server_runs import (
    ask,
    babbler,
    client,
    events,
    held,
    load,
    paced,
    post,
    raw,
    read_until,
    sentence,
    start,
    streamed,
    text_after,
    until,
)

import minigpt as mg

LONG = {"prompt": "a", "strategy": "sample", "max_tokens": 10_000}
WRITERS = ("/api/generate", "/api/stream")


class Stepwise:
    """A model that computes as often as it is let."""

    def __init__(self):
        self.params, self.cfg, self.tok = babbler()
        self.steps = threading.Semaphore(0)

    def __call__(self, ids, cfg, **settings):
        assert self.steps.acquire(timeout=60)
        return mg.gpt(self.params, ids, cfg, **settings)


def test_a_token_is_sent_when_it_is_written_and_not_later():
    model = Stepwise()
    body = {"prompt": "日", "strategy": "sample", "seed": 1, "max_tokens": 3}
    with start((model, model.cfg, model.tok)) as server, raw(server) as connection:
        connection.sendall(post("/api/stream", body))
        got = read_until(connection, b"\r\n\r\n")
        for count in (1, 2, 3):
            model.steps.release()
            while got.count(b'data: {"id"') < count:
                got += connection.recv(1 << 16)
            assert got.count(b'data: {"id"') == count
        if b"event: done" not in got:
            read_until(connection, b"event: done")


def test_a_token_that_the_tokenizer_lacks_is_shown_as_such():
    _, cfg, tok = babbler()
    cfg = dataclasses.replace(cfg, vocab_size=2 * tok.vocab_size)  # rounded up
    body = {"prompt": "a", "strategy": "sample", "seed": 1, "max_tokens": 40}
    with start((mg.init(cfg), cfg, tok)) as server:
        tokens, done = streamed(server, body)
        text = ask(server, "/api/generate", body).json()["generated_text"]
    assert done == {"reason": "length"} and len(tokens) == 40
    lacks = [token["token"] for token in tokens if token["id"] >= tok.vocab_size]
    assert len(lacks) > 5 and all("\ufffd" in shown for shown in lacks)
    assert text == "a" + "".join(token["token"] for token in tokens)


@pytest.fixture
def waiting():
    """A server of one row at most, whose model waits until it is freed."""
    model, given = held()
    with start(given, queue=1, timeout=30, heartbeat=0.05) as server:
        yield server, model
        model.free.set()


def test_comments_keep_a_stream_alive_while_nothing_comes(waiting):
    server, model = waiting
    with raw(server) as connection:
        connection.sendall(post("/api/stream", LONG | {"max_tokens": 2}))
        got = read_until(connection, b": still here\n\n")
        assert b"data" not in got
        model.free.set()
        read_until(connection, b'"reason": "length"}\n\n')


def test_who_comes_when_too_many_wait_is_told_to_come_again(waiting):
    server, model = waiting
    with concurrent.futures.ThreadPoolExecutor(70) as pool:
        first = pool.submit(ask, server, "/api/generate", LONG | {"max_tokens": 2})
        assert model.asked.wait(30)  # it is in the batcher's hands
        second = pool.submit(ask, server, "/api/generate", LONG | {"max_tokens": 2})
        until(lambda: load(server) == (1, 1))
        for path in WRITERS:
            answer = ask(server, path, LONG)
            assert "already, and no more may" in sentence(answer, 503)
            assert int(answer.headers["retry-after"]) >= 1
        model.free.set()
        assert first.result().status_code == second.result().status_code == 200


def test_the_time_is_over_before_a_token_is_there():
    model, given = held()
    with start(given, timeout=0.1, grace=0) as server:
        said = sentence(ask(server, "/api/generate", LONG), 503)
        assert said == "no token was written in the 0.1 s that a request may take"
        assert streamed(server, LONG) == ([], {"reason": "time"})
        model.free.set()
        until(lambda: load(server) == (0, 0))


def test_what_the_time_suffices_for_is_given():
    with start(babbler(), timeout=0.5) as server:
        body = LONG | {"seed": 5}
        answer = ask(server, "/api/generate", body)
        assert answer.headers["finish-reason"] == "time"
        text = answer.json()["generated_text"]
        expected = "a" + text_after(babbler(), "a", 10_000 if not text else 400, seed=5)
        assert len(text) > 2
        assert expected[:300].startswith(text[:300])
        tokens, done = streamed(server, body)
        assert done == {"reason": "time"} and 2 < len(tokens) < 10_000
        until(lambda: load(server) == (0, 0))


@pytest.mark.parametrize("path", WRITERS)
def test_a_client_that_goes_away_frees_its_place(path):
    with start(paced()) as server:
        with raw(server) as connection:
            connection.sendall(post(path, LONG))
            if path == "/api/stream":
                read_until(connection, b"data: ")
            until(lambda: load(server) == (1, 0))
        until(lambda: load(server) == (0, 0))  # it would take a hundred seconds


@pytest.mark.parametrize("path", WRITERS)
def test_a_client_that_goes_away_while_it_waits(path, waiting):
    server, model = waiting
    with raw(server) as first, raw(server) as second:
        first.sendall(post("/api/stream", LONG))
        assert model.asked.wait(30)
        second.sendall(post(path, LONG))
        until(lambda: load(server) == (1, 1))
        second.close()
        model.free.set()
        until(lambda: load(server) == (1, 0))
    until(lambda: load(server) == (0, 0))


def test_a_client_that_is_killed_in_mid_stream_does_not_trouble_the_others():
    body = {"prompt": "a", "strategy": "sample", "seed": 9, "max_tokens": 100}
    with start(paced()) as server, raw(server) as killed:
        killed.sendall(post("/api/stream", LONG))
        read_until(killed, b"data: ")
        with client(server) as c, c.stream("POST", "/api/stream", json=body) as answer:
            parts = answer.iter_text()
            text = next(parts)
            assert load(server) == (2, 0)
            killed.close()
            until(lambda: load(server) == (1, 0))
            text += "".join(parts)
    tokens, done = events(text)
    assert done == {"reason": "length"}
    joined = "".join(token["token"] for token in tokens)
    assert joined == text_after(babbler(), "a", 100, seed=9)


def test_a_client_that_reads_slowly_holds_nobody_up():
    with start(babbler(), grace=0) as server, raw(server) as slow:
        slow.sendall(post("/api/stream", LONG))  # and never reads
        body = {"prompt": "a", "max_tokens": 50}
        assert ask(server, "/api/generate", body).status_code == 200


def test_a_model_that_fails_is_told_and_the_server_lives():
    params, cfg, tok = babbler()
    broken = mg.tree.map(lambda a: a * float("nan"), params)
    with start((broken, cfg, tok)) as server:
        said = sentence(ask(server, "/api/generate", LONG), 500)
        assert "not finite" in said
        tokens, done = streamed(server, LONG)
        assert tokens == [] and done["reason"] == "error"
        assert "not finite" in done["detail"]
        assert load(server) == (0, 0)


def test_a_stream_is_plain_lines(waiting):
    server, model = waiting
    model.free.set()
    with client(server) as c:
        body = {"prompt": "a", "max_tokens": 2}
        answer = c.post("/api/stream", json=body)
    assert answer.headers["cache-control"] == "no-store"
    first = answer.text.split("\n")[0]
    assert first.startswith("data: {") and json.loads(first[6:])["token"] is not None
    assert answer.text.endswith('event: done\ndata: {"reason": "length"}\n\n')
