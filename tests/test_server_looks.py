"""Tokens, logits and attention by HTTP, beside what Python computes."""

import dataclasses

import numpy as np
import pytest
from server_runs import ask, babbler, client, start

import minigpt as mg
from minigpt.streaming import first_ids
from minigpt.tokenizer import BPETokenizer

ONCE = "Once there was a"


def test_tokenize(server, tales):
    tok = tales[2]
    answer = ask(server, "/api/tokenize", {"text": ONCE + " é"}).json()
    ids = tok.encode(ONCE + " é")
    assert answer == {"ids": ids, "tokens": tok.pieces(ids)}
    assert answer["tokens"][-2:] == ["\\xc3", "\\xa9"]
    assert ask(server, "/api/tokenize", {"text": ""}).json() == {
        "ids": [],
        "tokens": [],
    }


def seen(model, ids):
    """(n_layer, H, T, T): where the tokens look, in Python."""
    params, cfg, _ = model
    found = {}
    mg.gpt(params, np.array([ids]), cfg, tap=found)
    return np.stack([found[f"h.{i}.attn.weights"][0] for i in range(cfg.n_layer)])


@pytest.mark.parametrize("layer", [None, 0, 1])
@pytest.mark.parametrize("head", [None, 0, 7])
def test_attention_of_what_is_asked_for(server, tales, layer, head):
    ids = first_ids(tales[2], ONCE)
    body = {"text": ONCE, "layer": layer, "head": head}
    answer = ask(server, "/api/attention", body).json()
    layers = [0, 1] if layer is None else [layer]
    heads = list(range(8)) if head is None else [head]
    assert (answer["layers"], answer["heads"]) == (layers, heads)
    assert answer["ids"] == ids and answer["tokens"] == tales[2].pieces(ids)
    expected = seen(tales, ids)[layers][:, heads]
    weights = np.array(answer["weights"])
    assert weights.shape == expected.shape
    assert np.abs(weights - expected).max() < 1e-6


def test_attention_as_numbers_and_of_ids(server, tales):
    ids = [5, 6, 7, 300]
    bare = {"accept": "application/octet-stream"}
    answer = ask(server, "/api/attention", {"ids": ids, "layer": 1}, **bare)
    assert answer.headers["content-type"] == "application/octet-stream"
    weights = np.frombuffer(answer.content, "<f4").reshape(1, 8, 4, 4)
    assert np.abs(weights - seen(tales, ids)[1:]).max() < 1e-6


def test_logits_of_texts_that_grow_change_and_come_back(server, tales):
    params, cfg, tok = tales
    ids = first_ids(tok, "Once there was a girl called Mia. She loved her stone.")
    other = first_ids(tok, "One day a boy went to the lake.")
    texts = [ids[:4], ids[:5], ids, ids[:5], other, ids, other[:3], [ids[0]], ids[:1]]
    with client(server) as c:
        for text in [*texts, (ids * 9)[: cfg.n_ctx]]:
            answer = c.post("/api/logits", json={"ids": text})
            got = np.frombuffer(answer.content, "<f4")
            expected = mg.gpt(params, np.array([text]), cfg, last=True)[0, -1]
            assert got.shape == (cfg.vocab_size,)
            assert np.abs(got - expected).max() < 1e-4


def test_a_text_that_grows_is_not_read_again(tales):
    params, cfg, _ = tales
    widths = []

    def model(ids, cfg, **settings):
        widths.append(ids.shape[1])
        return mg.gpt(params, ids, cfg, **settings)

    from minigpt.server.looking import Reader

    reader = Reader(model, cfg)
    for count in (10, 11, 12, 8):
        reader.logits(list(range(count)))
    assert widths == [10, 1, 1, 1]


@pytest.mark.parametrize("name", ["tales", "bytes"])
def test_model_tells_what_a_page_needs(name, server, bytes_server, tales):
    params, cfg, tok = tales if name == "tales" else babbler()
    with client(server if name == "tales" else bytes_server) as c:
        about = c.get("/api/model").json()
    assert about["config"] == dataclasses.asdict(cfg)
    assert about["parameters"] == mg.tree.size(params)
    state = about["tokenizer"]
    assert state.pop("kind") == "byte pairs"
    assert BPETokenizer._from_state(state) == tok


def test_model_tells_characters_too():
    tok = mg.CharTokenizer("abc")
    cfg = mg.Config(vocab_size=3, n_ctx=8, n_embd=4, n_layer=1, n_head=1)
    with start((mg.init(cfg), cfg, tok)) as server, client(server) as c:
        state = c.get("/api/model").json()["tokenizer"]
        answer = c.post("/api/generate", json={"prompt": "ab", "max_tokens": 4}).json()
    assert state["kind"] == tok.kind and state["tokens"] == ["a", "b", "c"]
    assert len(answer["generated_text"]) == 6
