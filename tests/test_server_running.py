"""Servers that start, load, run side by side, and stop."""

import asyncio
import socket
import subprocess
import sys
import threading

import pytest
from server_runs import (
    LONG,
    ask,
    babbler,
    client,
    health,
    httpx,
    start,
    until,
)

import minigpt as mg
from minigpt.server import create_app


def test_it_starts_answers_and_stops():
    before = set(threading.enumerate())
    server = start()
    assert server.url.startswith("http://127.0.0.1:") and server.url in repr(server)
    assert health(server)["model_loaded"]
    server.stop()
    assert "stopped" in repr(server) and server.wait(0)
    with pytest.raises(httpx.ConnectError):
        health(server)
    server.stop()  # a second time does nothing
    until(lambda: set(threading.enumerate()) <= before)


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


def test_start_raises_what_loading_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no model 'nowhere'"):
        start("nowhere")
    cfg = mg.Config(vocab_size=5, n_ctx=8, n_embd=4, n_layer=1, n_head=1)
    mg.save(tmp_path, mg.init(cfg), cfg)
    with pytest.raises(ValueError, match="there is no tokenizer beside the weights"):
        start(tmp_path)


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
    assert app.state.served.closing


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
