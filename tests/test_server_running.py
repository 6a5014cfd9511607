"""Servers that start, load, run side by side, and stop."""

import asyncio
import concurrent.futures
import socket
import subprocess
import sys
import threading

import pytest
from server_runs import (
    ask,
    babbler,
    client,
    events,
    held,
    httpx,
    load,
    post,
    raw,
    read_until,
    sentence,
    start,
    until,
)

import minigpt as mg
from minigpt.server import create_app

LONG = {"prompt": "a", "strategy": "sample", "max_tokens": 10_000}


def health(server):
    with client(server) as c:
        return c.get("/health").json()


def test_it_starts_answers_and_stops():
    threads = threading.active_count()
    server = start()
    assert server.url.startswith("http://127.0.0.1:") and server.url in repr(server)
    assert health(server)["model_loaded"]
    server.stop()
    assert "stopped" in repr(server) and server.wait(0)
    with pytest.raises(httpx.ConnectError):
        health(server)
    server.stop()  # a second time does nothing
    until(lambda: threading.active_count() == threads)


def test_two_side_by_side():
    with start("tales") as one, start(babbler()) as two:
        assert one.url != two.url
        assert health(one)["model"] == "tales"
        assert health(two)["model"] == "a model from Python"
        one.stop()
        assert ask(two, "/api/generate", {"prompt": "a"}).status_code == 200
        with client(two) as c, c.stream("POST", "/api/stream", json=LONG) as answer:
            assert next(answer.iter_lines()).startswith("data: ")
    with start("tales") as three:  # streams, too, after others have ended
        body = {"prompt": "a", "max_tokens": 3}
        assert '"length"' in ask(three, "/api/stream", body).text


def test_it_starts_where_an_event_loop_runs_as_in_a_notebook():
    async def cell():
        with start("tales") as server:
            async with httpx.AsyncClient(trust_env=False) as c:
                return (await c.get(server.url + "/health")).json()

    assert asyncio.run(cell())["model_loaded"]


def test_a_port_that_is_taken_gets_a_sentence():
    with start("tales") as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 is taken"):
            start("tales", port=port)
        assert health(server)["status"] == "ok"
    with start("tales", port=port) as server:  # free again, at once
        assert server.url.endswith(f":{port}")


def test_an_address_that_is_not_there_gets_a_sentence():
    with pytest.raises(OSError, match=r"there is no address 'nowhere\.invalid'"):
        start("tales", host="nowhere.invalid")
    with pytest.raises(OSError, match=r"nothing can listen at 192\.0\.2\.1, port 0"):
        start("tales", host="192.0.2.1")
    with pytest.raises(ValueError, match="a port is from 0 to 65535"):
        start("tales", port=70_000)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_ipv6():
    with start("tales", host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert health(server)["status"] == "ok"


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"queue": 0}, "queue"),
        ({"timeout": 0}, "timeout"),
        ({"heartbeat": -1}, "heartbeat"),
        ({"runtime": "abacus"}, "runtime"),
    ],
)
def test_settings_without_a_meaning_get_a_sentence(settings, said):
    with pytest.raises(ValueError, match=f"{said} must be"):
        start("tales", **settings)


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


def test_start_raises_what_loading_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no model 'nowhere'"):
        start("nowhere")
    cfg = mg.Config(vocab_size=5, n_ctx=8, n_embd=4, n_layer=1, n_head=1)
    mg.save(tmp_path, mg.init(cfg), cfg)
    with pytest.raises(ValueError, match="there is no tokenizer beside the weights"):
        start(tmp_path)


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


def test_a_client_that_never_reads_does_not_keep_it_from_ending():
    server = start(babbler(), grace=0)
    with raw(server) as silent:
        silent.sendall(post("/api/stream", LONG))
        read_until(silent, b"data: ")
        server.stop()
        assert server.wait(0)


def test_the_application_runs_under_any_server():
    app = create_app(babbler())

    async def run():
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app):
            address = "http://localhost"
            async with httpx.AsyncClient(transport=transport, base_url=address) as c:
                while not (told := (await c.get("/health")).json())["model_loaded"]:
                    await asyncio.sleep(0.01)
        return told

    assert asyncio.run(run())["status"] == "ok"


PROGRAM = """
import sys
sys.modules["fastapi"] = None
import minigpt as mg
from minigpt.cli import main
try:
    mg.server.start()
except ModuleNotFoundError as error:
    print(error)
main(["serve"])
"""


def test_a_missing_library_gets_a_sentence():
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    for said in (ended.stdout, ended.stderr):
        assert "minigpt.server needs fastapi" in said and '".[serve]"' in said


def test_the_package_does_without():
    program = "import sys, minigpt, minigpt.cli; print({'fastapi', 'uvicorn', "
    program += "'sse_starlette', 'starlette', 'pydantic'} & set(sys.modules))"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert ended.stdout == "set()\n"
