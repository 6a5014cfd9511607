"""The benchmark of a server: who asks what, and that what comes back is compared."""

import json
import sys
import threading

import pytest
from benchmark_programs import FOLDER
from small_model import import_or_skip

import clients  # isort: skip
import crowd  # isort: skip
import decoding  # isort: skip
import report  # isort: skip
import writers  # isort: skip


@pytest.fixture
def server():
    """A small server, the requests that it is sent, and the right answers."""
    for name in ("fastapi", "uvicorn", "sse_starlette"):
        import_or_skip(name)
    from minigpt.server import start

    with start(clients.model("gpt2", True)) as running:
        yield running.url, clients.bodies("gpt2", True), clients.answers("gpt2", True)


def asked(monkeypatch, *task):
    """What the clients answer to a task, in this process."""
    done = []
    monkeypatch.setattr(clients, "serve", lambda ready, do: done.append(do(task)))
    clients.clients("clients", "")
    return json.loads(json.dumps(done[0]))


@pytest.mark.parametrize("way", clients.WAYS)
def test_all_clients_ask_and_get_the_right_answers(monkeypatch, server, way):
    url, bodies, right = server
    answer = asked(monkeypatch, url, 3, 4, bodies, way)
    log = answer["answers"]
    which = sorted(one["body"] for one in log)
    assert which == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]  # 12 requests, of 4 kinds
    for one in log:
        assert one["text"] == right[one["body"]]["text"]
        assert (
            0 < one.get("first", one["seconds"]) <= one["seconds"] < answer["seconds"]
        )
        assert right[one["body"]]["tokens"] == len(one["text"]) - 16 == 8
    assert len({one["text"] for one in log}) == 4


def test_an_answer_that_does_not_come_is_no_figure(monkeypatch, server):
    url, bodies, _ = server
    broken = [bodies[0], bodies[1] | {"max_tokens": 0}]
    with pytest.raises(
        RuntimeError, match=r"2 requests got no answer: 422 .*max_tokens"
    ):
        asked(monkeypatch, url, 2, 2, broken, "generate")


def test_a_wrong_answer_shows_in_the_table():
    one = {"seconds": 0.2, "first": 0.1, "body": 0, "text": "abc"}
    log = {"generate": [one, one | {"seconds": 0.4}], "stream": [one, one]}
    log["stream"][1] = one | {"text": "abd", "first": 0.3}
    figure = {"engine": "numpy", "clients": 2, "requests": 1, "log": log}
    times = {"median": 0.5, "least": 0.5, "greatest": 0.5}
    right = [{"text": "abc", "tokens": 3}]
    told = crowd.told(figure | {"generate": times, "stream": times}, right)
    (table,) = crowd.tables({"tales": [told]})
    cells = dict(zip(crowd.HEADS[:5], table["rows"][0], strict=False))
    assert cells["requests/s"] == "4" and cells["tokens/s"] == "12"
    assert cells["answer, ms"] == "300" and table["rows"][0][-1] == "75.0%"
    assert table["rows"][0][6:8] == ["200", "290"]


def test_who_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    ready = []
    for module in (crowd, writers):
        monkeypatch.setattr(module, "serve", lambda told, do: ready.append(told))
    writers.onnx_contender(FOLDER)
    crowd.server("tales/onnx", FOLDER)
    assert ready == 2 * [{"missing": "onnxruntime is not installed"}]
    figures = [{"engine": "onnx"} | ready[0]]
    page = report.plain(crowd.model_table("tales", figures))
    assert "ONNX Runtime, in batches (missing: onnxruntime is not installed)" in page


def test_one_after_another_is_one_row_at_a_time(monkeypatch):
    for name in ("fastapi", "uvicorn", "sse_starlette"):
        import_or_skip(name)
    from minigpt import batching
    from minigpt.server import served

    monkeypatch.setattr(served, "Batcher", batching.Batcher)
    most, running = [], threading.Event()

    def busy(ready, do):
        running.set()
        bodies = clients.bodies("gpt2", True)
        asked(monkeypatch, ready["url"], 4, 3, bodies, "generate")

    step = batching.Batcher.step

    def counted(self):
        most.append(self.running)
        return step(self)

    monkeypatch.setattr(batching.Batcher, "step", counted)
    monkeypatch.setattr(crowd, "serve", busy)
    crowd.server("gpt2/singly/quick", FOLDER)
    assert running.is_set() and max(most) == 1
    monkeypatch.setattr(served, "Batcher", batching.Batcher)
    most.clear()
    crowd.server("gpt2/numpy/quick", FOLDER)
    assert max(most) > 1


@pytest.mark.parametrize("name", clients.LOADS)
def test_requests_are_different_and_many(name):
    tokens, many, each = clients.LOADS[name]
    asked = clients.bodies(name, False)
    assert len({json.dumps(body) for body in asked}) == len(asked) == many
    assert len({body["seed"] for body in asked}) == many and len(each) == 3
    assert all(body["max_tokens"] == tokens for body in asked)


@pytest.mark.slow
def test_a_quick_try_measures_every_engine():
    for name in ("fastapi", "uvicorn", "sse_starlette", "onnx", "onnxruntime"):
        import_or_skip(name)
    found = json.loads(json.dumps(crowd.measure(1, quick=True)))
    for name in clients.LOADS:
        figures = found[name]
        assert [(f["engine"], f["clients"]) for f in figures] == [
            (engine, count) for engine in crowd.ENGINES for count in (1, 8)
        ]
        for figure in figures:
            assert figure["same"] == 1.0
            assert figure["answers"] == 2 * figure["clients"] * figure["requests"]
            for seconds in (figure["first"], figure["latency"]):
                assert 0 < seconds["50"] <= seconds["95"]
    assert len(crowd.tables(found)) == 2


@pytest.mark.slow
def test_onnx_runtime_writes_the_same_text_as_minigpt():
    for name in ("onnx", "onnxruntime"):
        import_or_skip(name)
    found = json.loads(json.dumps(decoding.measure(1, quick=True)))
    assert found["onnx"]["same text"] is True
    for label in ("onnx decode", "onnx prefill"):
        assert found["times"][label]["median"] > 0
    assert found["peak"]["onnx"] > 0
    page = "".join(map(report.markdown, decoding.tables(found)))
    assert f"version {found['onnx']['version']}" in page
