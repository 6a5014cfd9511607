"""What the server answers, over a real socket, beside what Python computes."""

import json

import numpy as np
import pytest
from server_runs import ask, babbler, client, streamed, text_after

import minigpt as mg
from minigpt.streaming import first_ids

ONCE = "Once there was a"
STRATEGIES = {  # what a request says, and what mg.generate is told
    "greedy": ({"seed": 1}, {"temperature": 0}),
    "top-k": (
        {"k": 3, "temperature": 1.5, "seed": 2},
        {"top_k": 3, "temperature": 1.5},
    ),
    "top-p": ({"p": 0.6, "temperature": 2.0, "seed": 3}, {"top_p": 0.6}),
    "sample": ({"temperature": 0.7, "seed": 4}, {"temperature": 0.7}),
}
STRATEGIES["top-p"][1]["temperature"] = 2.0


def test_a_prompt_is_all_it_takes(server, tales):
    answer = ask(server, "/api/generate", {"prompt": ONCE})
    assert answer.status_code == 200
    assert answer.json() == {
        "generated_text": ONCE + text_after(tales, ONCE, 50, temperature=0),
        "prompt": ONCE,
        "params": {
            "max_tokens": 50,
            "strategy": "greedy",
            "k": 50,
            "p": 0.9,
            "temperature": 1.0,
            "seed": None,
        },
    }
    assert answer.headers["finish-reason"] == "length"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_writes_what_generate_writes(server, tales, strategy):
    asked, told = STRATEGIES[strategy]
    body = {"prompt": ONCE, "strategy": strategy, "max_tokens": 90} | asked
    answer = ask(server, "/api/generate", body).json()
    expected = text_after(tales, ONCE, 90, seed=asked["seed"], **told)
    assert answer["generated_text"] == ONCE + expected
    params = {"k": 50, "p": 0.9, "temperature": 1.0} | body
    del params["prompt"]
    assert answer["params"] == params
    tokens, done = streamed(server, body)
    assert "".join(token["token"] for token in tokens) == expected
    assert done == {"reason": "end"}  # 90 tokens are more than a story


def test_the_answer_tells_the_seed_that_writes_it_again(server):
    body = {"prompt": ONCE, "strategy": "sample", "temperature": 2.0}
    first, second = (ask(server, "/api/generate", body).json() for _ in range(2))
    assert first["generated_text"] != second["generated_text"]
    again = {"prompt": ONCE} | first["params"]
    assert ask(server, "/api/generate", again).json() == first


def test_an_empty_prompt_begins_with_the_end_token(server, tales):
    body = {"prompt": "", "max_tokens": 5}
    text = ask(server, "/api/generate", body).json()["generated_text"]
    assert text == text_after(tales, "", 5, temperature=0) != ""


def test_a_prompt_as_long_as_the_context_is_read(server, tales):
    _, cfg, tok = tales
    prompt = tok.decode([tok.encode(" a")[0]] * (cfg.n_ctx - 1))
    assert len(first_ids(tok, prompt)) == cfg.n_ctx
    body = {"prompt": prompt, "max_tokens": 3}
    text = ask(server, "/api/generate", body).json()["generated_text"]
    assert text == prompt + text_after(tales, prompt, 3, temperature=0)


def test_whole_numbers_may_be_written_as_5_0(server):
    body = {"prompt": ONCE, "max_tokens": 5.0, "temperature": 2}
    assert ask(server, "/api/generate", body).json()["params"]["max_tokens"] == 5


def test_a_stream_tells_each_token_and_what_it_was_drawn_with(server, tales):
    params, cfg, tok = tales
    body = {"prompt": ONCE, "strategy": "sample", "seed": 3, "max_tokens": 12}
    tokens, done = streamed(server, body)
    assert done == {"reason": "length"}
    ids = [tok.eot, *tok.encode(ONCE)]
    for token in tokens:
        assert list(token) == ["id", "token", "prob"]
        logits = mg.gpt(params, np.array([ids]), cfg, last=True)[0, -1]
        p = np.exp(logits - logits.max())
        assert token["prob"] == pytest.approx(p[token["id"]] / p.sum(), rel=1e-3)
        ids.append(token["id"])
    assert ids == mg.generate(params, ids[:-12], cfg, 12, seed=3).tolist()


def test_the_end_token_is_told_and_has_no_text(server, tales):
    body = {"prompt": ONCE, "strategy": "sample", "seed": 4, "max_tokens": 500}
    tokens, done = streamed(server, body)
    assert done == {"reason": "end"}
    assert tokens[-1]["id"] == tales[2].eot and tokens[-1]["token"] == ""


@pytest.mark.parametrize("seed", range(5))
def test_joined_tokens_are_the_text_also_where_characters_have_several(
    bytes_server, seed
):
    body = {"prompt": "日", "strategy": "sample", "seed": seed, "max_tokens": 200}
    tokens, done = streamed(bytes_server, body)
    text = ask(bytes_server, "/api/generate", body).json()["generated_text"]
    assert len(tokens) == 200 and done == {"reason": "length"}
    assert "日" + "".join(token["token"] for token in tokens) == text
    assert text == "日" + text_after(babbler(), "日", 200, seed=seed)
    assert "" in [token["token"] for token in tokens]  # a part of a character
    assert max(ord(c) for c in text[1:]) > 127


def test_health(server):
    with client(server) as c:
        health = c.get("/health")
    assert health.status_code == 200
    assert health.json() == {
        "status": "ok",
        "model_loaded": True,
        "model": "tales",
        "version": mg.__version__,
        "running": 0,
        "queued": 0,
    }


def test_the_document_knows_the_model(server, tales):
    cfg = tales[1]
    with client(server) as c:
        document = c.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    asked = schemas["GenerateRequest"]
    assert asked["required"] == ["prompt"]
    defaults = {n: f.get("default") for n, f in asked["properties"].items()}
    assert defaults.pop("prompt") is None
    assert defaults == {
        "max_tokens": 50,
        "strategy": "greedy",
        "k": 50,
        "p": 0.9,
        "temperature": 1.0,
        "seed": None,
    }
    layer = schemas["AttentionRequest"]["properties"]["layer"]
    assert layer["anyOf"][0]["maximum"] == cfg.n_layer - 1
    ids = schemas["LogitsRequest"]["properties"]["ids"]
    assert (ids["maxItems"], ids["items"]["maximum"]) == (cfg.n_ctx, cfg.vocab_size - 1)
    assert "HTTPValidationError" not in json.dumps(document)


def test_the_document_knows_whether_a_prompt_may_be_empty(server, bytes_server):
    for one, least in ((server, None), (bytes_server, 1)):
        with client(one) as c:
            schemas = c.get("/openapi.json").json()["components"]["schemas"]
        for name, field in (
            ("GenerateRequest", "prompt"),
            ("AttentionRequest", "text"),
        ):
            assert schemas[name]["properties"][field].get("minLength") == least
