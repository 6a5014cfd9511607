"""What the tests of the server share: models, servers, and clients that misbehave."""

import functools
import json
import socket
import threading
import time

from small_model import import_or_skip

import minigpt as mg
from minigpt.gpt2_files import byte_alphabet
from minigpt.streaming import first_ids, pieces

fastapi = import_or_skip("fastapi")
import_or_skip("uvicorn")
import_or_skip("sse_starlette")
httpx = import_or_skip("httpx")

JSON = {"content-type": "application/json"}
LONG = {"prompt": "a", "strategy": "sample", "max_tokens": 10_000}
SHAPE = {"n_ctx": 64, "n_embd": 16, "n_layer": 2, "n_head": 4}


@functools.cache
def babbler():
    """A model of bytes that writes anything, parts of characters among it, for ever."""
    tok = mg.BPETokenizer([], (), byte_alphabet())
    cfg = mg.Config(vocab_size=tok.vocab_size, **SHAPE)
    return mg.init(cfg, seed=1), cfg, tok


class Held:
    """A model that computes only while it is ``free``."""

    def __init__(self, params):
        self.params = params
        self.free, self.asked = threading.Event(), threading.Event()

    def __call__(self, ids, cfg, **settings):
        self.asked.set()
        assert self.free.wait(60), "the test has forgotten its model"
        return mg.gpt(self.params, ids, cfg, **settings)


def paced():
    """What start takes: a babbler that writes a hundred tokens a second at most."""
    params, cfg, tok = babbler()

    def model(ids, cfg, **settings):
        time.sleep(0.01)
        return mg.gpt(params, ids, cfg, **settings)

    return model, cfg, tok


def held():
    """``(model, what start takes)`` of a babbler that waits until it is freed."""
    params, cfg, tok = babbler()
    model = Held(params)
    return model, (model, cfg, tok)


def text_after(model, prompt, count, **settings):
    """What `mg.generate` writes after a prompt, as text."""
    params, cfg, tok = model
    ids = first_ids(tok, prompt)
    stop = () if tok.eot is None else tok.eot
    out = mg.generate(params, ids, cfg, count, stop=stop, **settings)
    return "".join(pieces(tok, out[len(ids) :].tolist()))


def start(*args, **settings):
    """`minigpt.server.start`."""
    return mg.server.start(*args, **settings)


def client(server, **settings):
    """An httpx client of a server."""
    return httpx.Client(base_url=server.url, timeout=60, trust_env=False, **settings)


def ask(server, path, body, **headers):
    """The answer to a request, by a connection of its own."""
    with client(server) as c:
        return c.post(path, json=body, headers=headers)


def send(server, path, content, **headers):
    """The answer to a body of any bytes, which says that it is JSON."""
    with client(server) as c:
        return c.post(path, content=content, headers=JSON | headers)


def sentence(response, status):
    """What a refusal says: one sentence, under `detail` and nothing beside it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["detail"]
    detail = response.json()["detail"]
    assert isinstance(detail, str) and len(detail.split()) > 3, detail
    return detail


def events(text):
    """``([token events], reason event)`` of a stream that was read to its end."""
    parts = [part for part in text.split("\n\n") if part and part[0] != ":"]
    kinds = [part.startswith("event: done\n") for part in parts]
    assert kinds == [False] * (len(parts) - 1) + [True], text
    found = [json.loads(part.partition("data: ")[2]) for part in parts]
    return found[:-1], found[-1]


def streamed(server, body):
    """`events` of one answer of `/api/stream`."""
    response = ask(server, "/api/stream", body)
    assert response.status_code == 200, response.text
    kind = response.headers["content-type"]
    assert kind.partition(";")[0] == "text/event-stream"
    return events(response.text)


def raw(server):
    """A bare connection."""
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def post(path, body):
    """The bytes of a request."""
    body = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n".encode() + body


def read_until(connection, end):
    """What comes by a connection, up to and with some bytes."""
    got = b""
    while end not in got:
        more = connection.recv(1 << 16)
        assert more, got[-300:]
        got += more
    return got


def until(condition, seconds=30):
    """Wait until something holds that no event tells."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.005)


def health(server):
    """What /health tells."""
    with client(server) as c:
        return c.get("/health").json()


def load(server):
    """``(running, queued)`` as /health tells it."""
    told = health(server)
    return told["running"], told["queued"]
