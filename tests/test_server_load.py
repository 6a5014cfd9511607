"""Many clients at once, inputs that a machine thinks up, and ten thousand requests."""

import asyncio
import collections
import concurrent.futures
import http.client
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from server_runs import JSON, babbler, events, httpx, import_or_skip, start
from test_cli_serve import Program

import minigpt as mg
from minigpt.sampling import distribution
from minigpt.streaming import first_ids

CLIENTS, REQUESTS = 200, 10_000
STATUS = Path("/proc/self/status")
TIE = 1e-5


def bodies():
    """What each of the clients asks for: all strategies, many seeds and lengths."""
    rng = random.Random(1)
    starts = ["", "Once", "Once there was a boy called", "One day a girl", "The king"]
    for seed in range(CLIENTS):
        yield {
            "prompt": rng.choice(starts),
            "max_tokens": rng.randint(1, 60),
            "strategy": rng.choice(["greedy", "top-k", "top-p", "sample"]),
            "k": rng.randint(1, 50),
            "p": rng.uniform(0.1, 1.0),
            "temperature": rng.uniform(0.5, 2.0),
            "seed": seed,
        }


def settings_of(body):
    """What `mg.generate` is told."""
    strategy, greedy = body["strategy"], body["strategy"] == "greedy"
    return {
        "temperature": 0 if greedy else body["temperature"],
        "top_k": body["k"] if strategy == "top-k" else None,
        "top_p": body["p"] if strategy == "top-p" else None,
    }


def expected_ids(model, body):
    """The new ids that a single run with the seed gives."""
    params, cfg, tok = model
    ids, count = first_ids(tok, body["prompt"]), body["max_tokens"]
    settings = settings_of(body) | {"seed": body["seed"], "stop": tok.eot}
    return mg.generate(params, ids, cfg, count, **settings)[len(ids) :].tolist()


def tied(model, body, common):
    """Whether the token after the ``common`` ones hung on less than `TIE`."""
    params, cfg, tok = model
    ids = [*first_ids(tok, body["prompt"]), *common][-cfg.n_ctx :]
    logits = mg.gpt(params, np.array([ids]), cfg, last=True)[:, -1]
    settings = settings_of(body)
    if settings["temperature"] == 0:
        last, best = np.sort(logits[0])[-2:]
        return best - last < TIE
    u = np.random.default_rng(body["seed"]).random(len(common) + 1)[-1]
    bounds = np.cumsum(distribution(logits, *settings.values())[0])
    return np.abs(bounds - u).min() < TIE


async def all_at_once(url):
    """The ids that each client got by a stream, and the text that it got whole."""
    limits = httpx.Limits(max_connections=2 * CLIENTS)
    about = {"base_url": url, "limits": limits, "timeout": 120, "trust_env": False}
    async with httpx.AsyncClient(**about) as client:
        asked = [
            client.post(path, json=body)
            for body in bodies()
            for path in ("/api/stream", "/api/generate")
        ]
        answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    return [events(a.text) for a in answers[::2]], [a.json() for a in answers[1::2]]


@pytest.mark.slow
def test_200_clients_get_what_each_would_get_alone():
    model = mg.load("tales")
    with start("tales", queue=2 * CLIENTS) as server:
        streams, texts = asyncio.run(all_at_once(server.url))
    ties = 0
    for body, (tokens, _), text in zip(bodies(), streams, texts, strict=True):
        ids, expected = [token["id"] for token in tokens], expected_ids(model, body)
        joined = body["prompt"] + "".join(token["token"] for token in tokens)
        if ids != expected:
            pairs = list(zip(ids, expected, strict=False))
            first = next(i for i, (a, b) in enumerate(pairs) if a != b)
            assert tied(model, body, ids[:first]), (body, ids, expected)
            ties += 1
        elif joined != text["generated_text"]:
            ties += 1  # the other of the two requests; at most as many as below
    assert ties <= 2


def test_a_tie_is_told_from_a_difference():
    model, body = mg.load("tales"), next(bodies())
    body |= {"prompt": "Once", "strategy": "greedy"}
    ids = expected_ids(model, body)
    assert not any(tied(model, body, ids[:n]) for n in range(5))


@pytest.mark.slow
@pytest.mark.parametrize("which", ["tales", "babbler"])
def test_schemathesis_finds_no_failure(which, tmp_path):
    import_or_skip("schemathesis")
    if which == "tales":
        model = which
    else:  # with room for any prompt: how many tokens a text has, no schema can say
        _, _, tok = babbler()
        shape = {"n_ctx": 512, "n_embd": 8, "n_layer": 1, "n_head": 2}
        cfg = mg.Config(vocab_size=tok.vocab_size, **shape)
        model = mg.init(cfg), cfg, tok
    with start(model, timeout=2) as server:
        command = [sys.executable, "-m", "schemathesis.cli", "run", "--checks", "all"]
        command += ["--max-examples", "50", "--seed", "1", "--no-color"]
        ended = subprocess.run(
            [*command, server.url + "/openapi.json"],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=tmp_path,  # it keeps notes of what it found
        )
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    assert "No issues found" in ended.stdout and "Tested: 7" in ended.stdout


QUESTIONS = [  # path, body, the status that is expected
    ("/api/generate", {"prompt": "a", "max_tokens": 2}, 200),
    ("/api/generate", {"prompt": "ab", "strategy": "sample", "max_tokens": 3}, 200),
    ("/api/stream", {"prompt": "a", "max_tokens": 2}, 200),
    ("/api/tokenize", {"text": "a text"}, 200),
    ("/api/logits", {"ids": [1, 2, 3]}, 200),
    ("/api/attention", {"text": "ab"}, 200),
    ("/api/generate", {"prompt": "a", "k": 0}, 422),
    ("/api/nowhere", {}, 404),
]


def asked(port, count):
    """The statuses of many answers, by one connection that lasts."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    statuses = collections.Counter()
    for i in range(count):
        path, body, status = QUESTIONS[i % len(QUESTIONS)]
        connection.request("POST", path, json.dumps(body), JSON)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status, (path, answer.status)
        statuses[status] += 1
    connection.close()
    return statuses


def resident(process):
    """The memory of a process, in kilobytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="memory is read from /proc")
def test_memory_is_level_after_10_000_requests(tmp_path):
    params, cfg, tok = babbler()
    mg.save(tmp_path / "babbler", params, cfg, tok)
    with Program("--model", tmp_path / "babbler") as program:
        program.process.stdout.readline()
        port = int(program.url.rpartition(":")[2])
        with concurrent.futures.ThreadPoolExecutor(8) as pool:

            def ask(count):
                list(pool.map(asked, [port] * 8, [count // 8] * 8))
                return resident(program.process)

            warm = ask(2_000)
            grown = ask(REQUESTS) - warm
    print(f"{warm / 1024:.0f} MB; {grown:,} kB more after {REQUESTS:,} requests")
    assert grown < 4_000  # a leak of 1 kB a request would be 10,000
