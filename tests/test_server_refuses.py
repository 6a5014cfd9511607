"""What the server does not take: a sentence for everything, and never a 500."""

import json

import pytest
from server_runs import ask, babbler, client, post, raw, read_until, send, sentence
from server_runs import start as start_server

import minigpt as mg

WRITERS = ("/api/generate", "/api/stream")


@pytest.fixture(scope="module")
def server():
    with start_server("tales") as server:
        yield server


BODIES = {
    '{"max_tokens": 5}': "the field prompt is missing",
    '{"prompt": null}': "prompt must be text, and is null",
    '{"prompt": 7}': "prompt must be text, and is 7",
    '{"prompt": ["a"]}': 'prompt must be text, and is ["a"]',
    '{"prompt": "a", "max_tokens": 0}': "max_tokens must be at least 1, and is 0",
    '{"prompt": "a", "max_tokens": -5}': "max_tokens must be at least 1, and is -5",
    '{"prompt": "a", "max_tokens": 1000000000}': "max_tokens must be at most 10000",
    '{"prompt": "a", "max_tokens": "5"}': "max_tokens must be a whole number",
    '{"prompt": "a", "max_tokens": 5.5}': "max_tokens must be a whole number",
    '{"prompt": "a", "max_tokens": true}': "max_tokens must be a whole number",
    '{"prompt": "a", "max_tokens": 1e999}': "max_tokens must be a whole number",
    '{"prompt": "a", "strategy": "beam"}': "must be 'greedy', 'top-k', 'top-p' or",
    '{"prompt": "a", "k": 0}': "k must be at least 1, and is 0",
    '{"prompt": "a", "k": -1}': "k must be at least 1, and is -1",
    '{"prompt": "a", "p": 0}': "p must be more than 0, and is 0",
    '{"prompt": "a", "p": 1.01}': "p must be at most 1, and is 1.01",
    '{"prompt": "a", "p": NaN}': "p must be a finite number, and is NaN",
    '{"prompt": "a", "temperature": NaN}': "temperature must be a finite number",
    '{"prompt": "a", "temperature": Infinity}': "temperature must be a finite number",
    '{"prompt": "a", "temperature": -0.5}': "temperature must be at least 0",
    '{"prompt": "a", "temperature": "hot"}': 'must be a number, and is "hot"',
    '{"prompt": "a", "temperature": 1e999}': "temperature must be a finite number",
    f'{{"prompt": "a", "temperature": 1{"0" * 400}}}': "temperature must be a number",
    '{"prompt": "a", "seed": -1}': "seed must be at least 0, and is -1",
    '{"prompt": "a", "seed": 1.5}': "seed must be a whole number, and is 1.5",
    f'{{"prompt": "a", "seed": {2**53}}}': "seed must be at most 9007199254740991",
    '{"prompt": "a", "temprature": 1}': "there is no field temprature",
    '{"prompt": "\\ud800"}': "the text has a lone surrogate, U+D800, at",
    '{"prompt": "a", "\\ud800": 1}': "the name of a field has half of a surrogate pair",
    '{"prompt": "a", "strategy": "\\ud800"}': "strategy has half of",
    "[]": "the body must be a JSON object, and is []",
    "null": "the body ",  # must be an object; older FastAPI takes it for none
    '"Once"': 'the body must be a JSON object, and is "Once"',
    "{": "the body is no JSON",
    '{"prompt": "a",}': "the body is no JSON",
    "Once": "the body is no JSON",
    " ": "the body is no JSON",
    "": "the body is missing",
    "[" * 200_000: "the body cannot be read as JSON",
    f'{{"prompt": "a", "k": {"9" * 5000}}}': "the body cannot be read as JSON",
}


@pytest.mark.parametrize("path", WRITERS)
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_bad_body_gets_a_sentence(server, path, body):
    said = sentence(send(server, path, body.encode()), 422)
    assert BODIES[body] in said
    assert len(said) < 600  # not the whole mistake again


@pytest.mark.parametrize("path", [*WRITERS, "/api/tokenize"])
def test_broken_utf_8(server, path):
    said = sentence(send(server, path, b'{"prompt": "\xff\xfe"}'), 422)
    assert "not text in UTF-8: the byte 0xff at position 12 begins no" in said
    sentence(send(server, path, '{"prompt": "a"}'.encode("utf-16")), 422)


@pytest.mark.parametrize("path", WRITERS)
def test_a_prompt_longer_than_the_context(server, path):
    said = sentence(ask(server, path, {"prompt": "Once " * 96}), 422)
    assert "the prompt has 193 tokens, and the model reads 96" in said


def test_a_prompt_that_the_vocabulary_lacks():
    tok = mg.CharTokenizer("abc")
    cfg = mg.Config(vocab_size=3, n_ctx=8, n_embd=4, n_layer=1, n_head=1)
    with start_server((mg.init(cfg), cfg, tok)) as server:
        for path in WRITERS:
            assert "'x'" in sentence(ask(server, path, {"prompt": "abx"}), 422)
            said = sentence(ask(server, path, {"prompt": ""}), 422)
            assert "no end token" in said
        assert "'x'" in sentence(ask(server, "/api/tokenize", {"text": "x"}), 422)


EXTREME = [
    {"strategy": "top-k", "k": 10**9},
    {"strategy": "top-k", "k": 2**53 - 1},
    {"strategy": "top-p", "p": 5e-324},
    {"strategy": "sample", "temperature": 1e308},
    {"strategy": "sample", "temperature": 5e-324},
    {"strategy": "sample", "temperature": 0},
    {"strategy": "sample", "seed": 2**53 - 1},
    {"prompt": "\0\u2028\U0010ffff<|endoftext|>"},
]


@pytest.mark.parametrize("more", EXTREME)
@pytest.mark.parametrize("path", WRITERS)
def test_what_is_extreme_and_has_a_meaning_is_answered(server, path, more):
    answer = ask(server, path, {"prompt": "Once", "max_tokens": 4} | more)
    assert answer.status_code == 200, answer.text


ABOUT_TEXTS = [
    ("/api/attention", {"text": "a", "layer": 2}, "layer must be under 2"),
    ("/api/attention", {"text": "a", "head": 8}, "head must be under 8"),
    ("/api/attention", {"text": "a", "head": -1}, "head must be at least 0"),
    ("/api/attention", {"text": "a", "layer": "0"}, "layer must be a whole number"),
    ("/api/attention", {"layer": 0}, "the body needs a text or ids, and not both"),
    ("/api/attention", {"text": "a", "ids": [1]}, "needs a text or ids, and not both"),
    ("/api/attention", {"ids": [576]}, "the id 576 is not in the model's vocabulary"),
    ("/api/attention", {"ids": [1] * 97}, "there are 97 ids, and the model reads 96"),
    ("/api/attention", {"text": "a " * 96}, "98 tokens, and the model reads 96"),
    ("/api/logits", {"ids": []}, "ids"),
    ("/api/logits", {"ids": [1, -1]}, "ids[1] must be at least 0, and is -1"),
    ("/api/logits", {"ids": [1.5]}, "ids[0] must be a whole number, and is 1.5"),
    ("/api/logits", {"ids": [576]}, "the id 576 is not in the model's vocabulary"),
    ("/api/logits", {"ids": [10**15]}, "the id 1000000000000000 is not in the model's"),
    ("/api/logits", {"ids": [1] * 97}, "there are 97 ids, and the model reads 96"),
    ("/api/logits", {"ids": "12"}, "ids must be a list"),
    ("/api/tokenize", {"text": 5}, "text must be text, and is 5"),
    ("/api/tokenize", {"prompt": "a"}, "the field text is missing"),
]


@pytest.mark.parametrize("path, body, expected", ABOUT_TEXTS)
def test_a_question_about_a_text_that_has_no_answer(server, path, body, expected):
    assert expected in sentence(ask(server, path, body), 422)


def test_more_attention_than_can_be_sent():
    _, _, tok = babbler()
    shape = {"n_ctx": 1200, "n_embd": 8, "n_layer": 2, "n_head": 2}
    cfg = mg.Config(vocab_size=tok.vocab_size, **shape)
    with start_server((mg.init(cfg), cfg, tok)) as server:
        said = sentence(ask(server, "/api/attention", {"text": "a" * 600}), 422)
        assert "600 tokens in 2 layers of 2 heads have 1,440,000 weights" in said
        one = {"text": "a" * 600, "layer": 1, "head": 0}
        bare = {"accept": "application/octet-stream"}
        answer = ask(server, "/api/attention", one, **bare)
        assert len(answer.content) == 4 * 600 * 600


def test_an_exported_model_shows_no_attention():
    params, cfg, tok = babbler()

    def model(ids, cfg, **settings):
        return mg.gpt(params, ids, cfg, **settings)

    with start_server((model, cfg, tok)) as server:
        said = sentence(ask(server, "/api/attention", {"text": "a"}), 422)
        assert "shows no attention" in said
        with client(server) as c:
            assert c.get("/api/model").json()["parameters"] is None


TYPES = ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("path", [*WRITERS, "/api/attention", "/api/logits"])
def test_what_is_not_called_json_is_not_read(server, path, kind):
    headers = {"content-type": kind} if kind else {}
    with client(server) as c:
        answer = c.post(path, content=b'{"prompt": "a"}', headers=headers)
    assert "application/json" in sentence(answer, 415)


def test_json_may_say_its_encoding(server):
    kind = {"content-type": "application/json; charset=utf-8"}
    with client(server) as c:
        body = json.dumps({"text": "a"})
        answer = c.post("/api/tokenize", content=body, headers=kind)
    assert answer.status_code == 200


def test_addresses_and_methods_that_are_not_there(server):
    with client(server) as c:
        assert "there is nothing at /nowhere" in sentence(c.get("/nowhere"), 404)
        answer = c.get("/api/generate")
        assert "does not take GET" in sentence(answer, 405)
        assert answer.headers["allow"] == "POST"
        assert "does not take DELETE" in sentence(c.delete("/health"), 405)


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
def test_no_page_of_fastapi_is_left(server, path):
    with client(server) as c:
        assert "cdn." not in c.get(path).text


RUBBISH = [
    b"\x00\x01\x02\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"POST /api/generate HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_is_refused_and_the_server_lives(server, rubbish):
    with raw(server) as connection:
        connection.sendall(rubbish)
        assert read_until(connection, b"\r\n").startswith(b"HTTP/1.1 4")
    with client(server) as c:
        assert c.get("/health").json()["status"] == "ok"


def test_two_requests_by_one_connection(server):
    with raw(server) as connection:
        for text in ("a", "b"):
            connection.sendall(post("/api/tokenize", {"text": text}))
            assert read_until(connection, b"}").startswith(b"HTTP/1.1 200 OK\r\n")
