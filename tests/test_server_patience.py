"""Clients that stop half-way: they are cut off, and others are not."""

import socket
import threading

import pytest
from server_runs import babbler, client, load, post, raw, read_until, start, until

import minigpt as mg
from minigpt.server.patience import Patient

WHOLE = post("/api/tokenize", {"text": "abc"})
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
HALVES = [b"", b"GET /hea", GET, WHOLE[:-1], WHOLE + b"POST /api", WHOLE + WHOLE[:-4]]


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(Patient, "patience", 0.2)
    with start(babbler()) as server:
        yield server


def rest(connection):
    """All that comes before the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@pytest.mark.parametrize("half", HALVES)
def test_half_a_request_is_cut_off(impatient, half):
    with raw(impatient) as connection:
        connection.sendall(half)
        assert rest(connection).count(b" 200 OK") == half.count(WHOLE)


def test_a_byte_now_and_then_does_not_help(impatient):
    with raw(impatient) as connection:
        connection.settimeout(0.02)
        with pytest.raises(ConnectionError):
            for _ in range(1500):
                connection.sendall(b"G")
                try:
                    assert not connection.recv(1)
                except TimeoutError:
                    continue
        assert load(impatient) == (0, 0)


def test_who_takes_long_to_be_answered_is_not_cut_off(impatient):
    params, cfg, tok = babbler()
    timer = threading.Event()

    def model(ids, cfg, **settings):
        timer.wait(0.3)  # longer than its patience
        return mg.gpt(params, ids, cfg, **settings)

    with start((model, cfg, tok)) as server, client(server) as c:
        for _ in range(2):  # by the same connection
            answer = c.post("/api/generate", json={"prompt": "a", "max_tokens": 2})
            assert answer.status_code == 200


def test_who_does_not_read_is_cut_off(impatient):
    def connections():
        return len(impatient._uvicorn.server_state.connections)

    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = impatient.url.removeprefix("http://").split(":")
        deaf.connect((host, int(port)))
        for _ in range(60):  # answers of half a megabyte each, pipelined
            deaf.sendall(post("/api/attention", {"text": "a" * 64}))
        until(lambda: connections() == 0)


def test_half_a_request_does_not_keep_a_server_from_ending(caplog):
    server = start(babbler())
    with raw(server) as half, raw(server) as silent:
        half.sendall(WHOLE[:-1])
        until(lambda: len(server._uvicorn.server_state.tasks) == 1)
        server.stop()
        assert rest(half) == rest(silent) == b""
    assert not caplog.records  # nor does it leave a traceback


def test_a_connection_is_kept_for_the_next_request():
    with start(babbler()) as server, raw(server) as connection:
        for _ in range(3):
            connection.sendall(WHOLE)
            assert b" 200 OK" in read_until(connection, b"}")
