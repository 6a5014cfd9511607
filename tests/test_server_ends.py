"""A server at its beginning and at its end: while it loads, and while it stops."""

import concurrent.futures
import signal
import threading

import pytest
from server_runs import (
    LONG,
    ask,
    babbler,
    client,
    events,
    health,
    held,
    load,
    post,
    raw,
    read_until,
    sentence,
    start,
    until,
)


@pytest.fixture
def loading(monkeypatch):
    """A server whose model is being loaded until ``go`` is set, and then is there, or
    is what ``found`` raises."""
    go, found = threading.Event(), {}

    def slowly(*args):
        assert go.wait(60)
        if "error" in found:
            raise found["error"]
        return babbler()

    monkeypatch.setattr("minigpt.server.served.load", slowly)
    with start("tales", wait=False) as server:
        yield server, go, found
        go.set()


QUESTIONS = {
    "/api/generate": {"prompt": "a"},
    "/api/stream": {"prompt": "a"},
    "/api/tokenize": {"text": "a"},
    "/api/attention": {"text": "a"},
    "/api/logits": {"ids": [1]},
}


def test_while_the_model_is_loaded(loading):
    server, go, _ = loading
    told = health(server)
    assert (told["status"], told["model_loaded"]) == ("ok", False)
    for path, body in QUESTIONS.items():
        answer = ask(server, path, body)
        assert "is being loaded" in sentence(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1
    with client(server) as c:
        sentence(c.get("/api/model"), 503)
        document = c.get("/openapi.json").json()  # it does not know the model yet
        ids = document["components"]["schemas"]["LogitsRequest"]["properties"]["ids"]
        assert "maxItems" not in ids
        assert c.get("/docs").status_code == 200
    go.set()
    until(lambda: health(server)["model_loaded"])
    for path, body in QUESTIONS.items():
        assert ask(server, path, body).status_code == 200


def test_when_loading_fails(loading):
    server, go, found = loading
    found["error"] = ValueError("its weights are a cake")
    go.set()
    until(lambda: health(server)["status"] == "failed")
    told = health(server)
    assert told["model_loaded"] is False
    assert (
        told["detail"] == "the model tales could not be loaded: its weights are a cake"
    )
    for path, body in QUESTIONS.items():
        answer = ask(server, path, body)
        assert "its weights are a cake" in sentence(answer, 503)
        assert "retry-after" not in answer.headers


def test_stopping_while_the_model_is_loaded(loading):
    server, go, _ = loading
    server.stop()
    go.set()
    assert server.served.ended.wait(30) and server.served.batcher is None


def test_what_is_being_written_ends_before_the_server_does():
    model, given = held()
    server = start(given, grace=30)
    body = {"prompt": "a", "max_tokens": 5}
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        text = pool.submit(ask, server, "/api/generate", body)
        assert model.asked.wait(30)
        stream = pool.submit(ask, server, "/api/stream", body)
        until(lambda: load(server) == (1, 1))
        end = pool.submit(server.stop)
        until(lambda: server.served.closing)
        answer = ask(server, "/api/generate", body)  # it takes nothing new
        assert "being closed" in sentence(answer, 503)
        assert not end.done()
        model.free.set()
        assert text.result().headers["finish-reason"] == "length"
        assert events(stream.result().text) == ([], {"reason": "closed"})  # it waited
        end.result()


def test_what_would_take_too_long_is_told():
    server = start(babbler(), grace=0.2, timeout=60)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        text = pool.submit(ask, server, "/api/generate", LONG)
        stream = pool.submit(ask, server, "/api/stream", LONG)
        until(lambda: load(server) == (2, 0))
        server.stop()
        assert "being closed" in sentence(text.result(), 503)
        tokens, done = events(stream.result().text)
    assert done == {"reason": "closed"} and tokens


def test_who_waits_to_look_is_told(monkeypatch):
    go, asked = threading.Event(), threading.Event()

    def slowly(served, text):
        asked.set()
        assert go.wait(60)
        return {"ids": [], "tokens": []}

    monkeypatch.setattr("minigpt.server.looking.tokenize", slowly)
    server = start(babbler())
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        question = ask, server, "/api/tokenize", {"text": "a"}
        first = pool.submit(*question)
        assert asked.wait(30)
        others = [pool.submit(*question) for _ in range(2)]
        until(lambda: server.served.looking == 3)
        end = pool.submit(server.stop)
        for other in others:
            assert "being closed" in sentence(other.result(), 503)
        go.set()
        assert first.result().status_code == 200
        end.result()


def test_who_begins_to_look_at_the_very_end_is_told(monkeypatch):
    with start(babbler()) as server:
        monkeypatch.setattr(server.served, "check", server.served.close)
        answer = ask(server, "/api/tokenize", {"text": "a"})
        assert "being closed" in sentence(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1
        assert server.served.looking == 0


def test_a_client_that_never_reads_does_not_keep_it_from_ending():
    server = start(babbler(), grace=0)
    with raw(server) as silent:
        silent.sendall(post("/api/stream", LONG))
        read_until(silent, b"data: ")
        server.stop()
        assert server.wait(0)


def test_ctrl_c_while_start_waits_for_the_model(monkeypatch):
    before, go = set(threading.enumerate()), threading.Event()

    def slowly(*args):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        assert go.wait(60)
        return babbler()

    monkeypatch.setattr("minigpt.server.served.load", slowly)
    with pytest.raises(KeyboardInterrupt):
        start("tales")
    go.set()
    until(lambda: set(threading.enumerate()) <= before)
