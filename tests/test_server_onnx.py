"""A server whose model runs under ONNX Runtime: the texts are NumPy's."""

import concurrent.futures

import pytest
import requests
from small_model import import_or_skip

import minigpt as mg
from minigpt.export import export

PROMPTS = ["", "Once", "Once there was", "One day Mia", "A fox called Pip"]
STRATEGIES = [
    {"strategy": "greedy"},
    {"strategy": "top-k", "k": 5},
    {"strategy": "top-p", "p": 0.8, "temperature": 1.2},
    {"strategy": "sample", "temperature": 0.7},
]


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """The shipped model as a graph with a cache, and as one without."""
    import_or_skip("onnx")
    import_or_skip("onnxruntime")
    folder = tmp_path_factory.mktemp("graphs")
    params, cfg, tok = mg.load("tales")
    return [
        export(params, cfg, folder / name, tok=tok, cache=cache)[0]
        for name, cache in (("tales.onnx", True), ("plain.onnx", False))
    ]


def test_many_at_once_get_what_the_model_itself_writes(graphs):
    from minigpt import server

    asked = [
        {"prompt": prompt, "seed": seed, "max_tokens": 20, **strategy}
        for seed, prompt in enumerate(PROMPTS)
        for strategy in STRATEGIES
    ]
    written = []
    for model in ("tales", *graphs):
        with (
            server.start(model) as running,
            concurrent.futures.ThreadPoolExecutor(len(asked)) as pool,
        ):
            url = f"{running.url}/api/generate"
            answers = pool.map(
                lambda body, url=url: requests.post(url, json=body), asked
            )
            written.append([answer.json() for answer in answers])
    assert written[0] == written[1] == written[2]
    assert len({answer["generated_text"] for answer in written[0]}) > 10


def test_what_a_graph_cannot_do_is_said(graphs):
    from minigpt import server

    with server.start(graphs[0], runtime="onnx") as running:
        body = {"text": "a girl"}
        answer = requests.post(f"{running.url}/api/attention", json=body)
        assert answer.status_code == 422 and "no attention" in answer.json()["detail"]
        health = requests.get(f"{running.url}/health").json()
        assert health["model"] == "tales.onnx" and health["model_loaded"]
    with pytest.raises(ValueError, match="minigpt export tales"):
        server.start("tales", runtime="onnx")
