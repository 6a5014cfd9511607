"""Who may ask, and how much: hosts, origins, sizes."""

import sys

import pytest
from server_runs import JSON, client, post, raw, read_until, send, sentence, start

from minigpt.server.guard import LARGEST, name_of


@pytest.fixture(scope="module")
def server():
    with start(
        "tales", cors=["https://one.example", "http://two.example:81"]
    ) as server:
        yield server


def health(server, host):
    with client(server) as c:
        return c.get("/health", headers={"host": host})


OURS = ["localhost", "LOCALHOST:3000", "127.0.0.1:80", "[::1]:3000", "localhost."]
FOREIGN = ["evil.example", "localhost.evil.example", "evil.example:3000", "10.0.0.7"]
FOREIGN += ["[2001:db8::1]", "127.0.0.1.evil.example", "", "[", "[::1", "é.example"]


@pytest.mark.parametrize("host", OURS)
def test_our_own_names(server, host):
    assert health(server, host).status_code == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_a_page_from_elsewhere_is_not_answered(server, host):
    said = sentence(health(server, host.encode()), 421)
    assert "this server is known as 127.0.0.1, ::1, localhost" in said
    assert "--allow-host" in said
    for path in ("/", "/api/model", "/docs", "/nowhere", "/widgets.js"):
        with client(server) as c:
            sentence(c.get(path, headers={"host": host.encode()}), 421)


def test_http_1_0_without_a_host(server):
    with raw(server) as connection:
        connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert read_until(connection, b"\r\n").startswith(b"HTTP/1.1 421 ")


def test_a_name_that_is_allowed():
    with start("tales", allow_hosts=["gpt.example"]) as server:
        assert health(server, "GPT.example:3000").status_code == 200
        sentence(health(server, "evil.example"), 421)
        sentence(health(server, "10.0.0.7"), 421)


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is nobody's here")
def test_another_address_of_this_machine():
    with start("tales", host="127.0.0.2") as server:
        for host in ("127.0.0.2:3000", "127.0.0.1", "localhost"):
            assert health(server, host).status_code == 200, host
        for host in ("127.0.0.3", "10.0.0.7", "evil.example"):
            sentence(health(server, host), 421)


def test_at_all_addresses_any_number_will_do_and_no_name():
    with start("tales", host="0.0.0.0", allow_hosts=["gpt.example"]) as server:
        for host in ("10.0.0.7:3000", "[2001:db8::1]", "localhost", "gpt.example"):
            assert health(server, host).status_code == 200, host
        sentence(health(server, "evil.example"), 421)


@pytest.mark.parametrize(
    "host, name",
    [("A.b:80", "a.b"), ("[::1]:80", "::1"), ("a.", "a"), ("", ""), ("a.:80", "a")],
)
def test_name_of(host, name):
    assert name_of(host) == name


def preflight(server, origin):
    asked = {"origin": origin, "access-control-request-method": "POST"}
    asked["access-control-request-headers"] = "content-type"
    with client(server) as c:
        return c.options("/api/generate", headers=asked)


@pytest.mark.parametrize("origin", ["https://one.example", "http://two.example:81"])
def test_an_origin_that_may_ask(server, origin):
    answer = preflight(server, origin)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert "POST" in answer.headers["access-control-allow-methods"]
    body = b'{"prompt": "a", "max_tokens": 1}'
    for content, status in ((body, 200), (b"{}", 422), (b"x" * (LARGEST + 1), 413)):
        answer = send(server, "/api/generate", content, origin=origin)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == origin
        exposed = answer.headers["access-control-expose-headers"].lower()
        assert "finish-reason" in exposed and "retry-after" in exposed


@pytest.mark.parametrize("origin", ["https://evil.example", "http://one.example"])
def test_an_origin_that_may_not(server, origin):
    answer = preflight(server, origin)
    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers
    answer = send(server, "/api/tokenize", b'{"text": "a"}', origin=origin)
    assert "access-control-allow-origin" not in answer.headers


def test_nobody_may_unless_asked():
    with start("tales") as server:
        answer = preflight(server, "https://one.example")
        sentence(answer, 405)
        assert not [h for h in answer.headers if h.startswith("access-control")]


@pytest.mark.parametrize(
    "cors", ["https://a.example", ["a.example"], ["https://a.b/c"]]
)
def test_what_is_no_origin_gets_a_sentence(cors):
    with pytest.raises(ValueError, match="origin"):
        start("tales", cors=cors)


def body_of(size):
    return b'{"text": "' + b"a" * (size - 12) + b'"}'


def test_the_largest_body_and_one_more(server):
    assert send(server, "/api/tokenize", body_of(LARGEST)).status_code == 200
    said = sentence(send(server, "/api/tokenize", body_of(LARGEST + 1)), 413)
    assert "larger than 262,144 bytes" in said


@pytest.mark.parametrize("path", ["/api/generate", "/api/stream", "/nowhere"])
def test_a_body_in_chunks_does_not_say_its_size(server, path):
    def chunks():
        for _ in range(100):
            yield b"x" * 10_000

    with client(server) as c:
        sentence(c.post(path, content=chunks(), headers=JSON), 413)


def test_a_body_in_chunks_that_is_small_enough(server):
    with client(server) as c:
        parts = iter([b'{"te', b'xt": ', b'"a"}'])
        answer = c.post("/api/tokenize", content=parts, headers=JSON)
    assert answer.json()["tokens"] == ["a"]


def test_who_asks_before_sending_is_told_at_once(server):
    head = post("/api/generate", {}).partition(b"\r\n\r\n")[0]
    head = head.replace(b"Content-Length: 2", b"Content-Length: 9000000000")
    with raw(server) as connection:
        connection.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert read_until(connection, b"\r\n").startswith(b"HTTP/1.1 413 ")


def test_who_never_ends_is_cut_off(server):
    head = post("/api/generate", {}).partition(b"\r\n\r\n")[0]
    head = head.replace(b"Content-Length: 2", b"Content-Length: 9000000000")
    got = b""
    with raw(server) as connection:
        connection.sendall(head + b"\r\n\r\n")
        try:
            for _ in range(400):  # 26 MB; it listens to 16.8
                connection.sendall(b"x" * 65536)
            got = connection.recv(100)
            cut = not got or not connection.recv(1)
        except ConnectionError:
            cut = True
    assert cut
    assert health(server, "localhost").status_code == 200
