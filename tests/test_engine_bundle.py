"""What a page loads: one script, one global, a model that is not too large."""

import base64
import json
import re

import numpy as np
import pytest
from engine.runners import model

import minigpt as mg
from minigpt import checkpoint
from minigpt.widgets import bundle


@pytest.mark.parametrize("order", [("engine", "model"), ("model", "engine")])
def test_one_global_and_nothing_fetched(tmp_path, context, order):
    (tmp_path / "engine.js").write_text(bundle.classic_script(), "utf-8")
    (tmp_path / "model.js").write_text(bundle.model_script("tales", "a </script>"))
    tags = "".join(f'<script src="{name}.js"></script>' for name in order)
    head = '<!doctype html><link rel="icon" href="data:,">'
    (tmp_path / "before.html").write_text(head)
    (tmp_path / "after.html").write_text(head + tags)
    page, asked, errors = context().new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(error))
    names = {}
    for name in ("before", "after"):
        page.goto((tmp_path / f"{name}.html").as_uri())
        names[name] = page.evaluate("Object.getOwnPropertyNames(globalThis)")
    assert set(names["after"]) - set(names["before"]) == {"minigpt"}
    files = {url.rsplit("/", 1)[-1] for url in asked if not url.startswith("data:")}
    assert files == {"before.html", "after.html", "engine.js", "model.js"}
    code = "minigpt.load(minigpt.models['a </script>']).tok.vocab_size"
    assert page.evaluate(code) == 576 and not errors
    page.close()


def test_scripts_may_stand_within_a_page():
    script = bundle.model_script("tales", "</script><!--")
    assert "<" not in script and len(script) < bundle.LARGEST
    assert "</script" not in bundle.classic_script()


def packed(script):
    return json.loads(re.search(r"^minigpt.models\[.*?\] = (.*);$", script, re.M)[1])


def test_a_packed_model_is_what_its_files_say(tmp_path):
    params, cfg, tok = model("small")
    mg.save(tmp_path / "small", params, cfg, tok)
    there = packed(bundle.model_script(tmp_path / "small"))
    config = json.loads((tmp_path / "small/config.json").read_text("utf-8"))
    assert {"format": "minigpt", **there["config"]} == config
    saved = json.loads((tmp_path / "small/tokenizer.json").read_text("utf-8"))
    assert there["tokenizer"].items() <= saved.items()
    assert there == bundle.pack(params, cfg, tok)


def weights(there, folder):
    path = folder / "weights.safetensors"
    path.write_bytes(base64.b64decode(there["weights"]))
    return checkpoint.read_tensors(path)[0]


@pytest.mark.parametrize(("name", "kind"), [("tales", "f2"), ("small", "f4")])
def test_weights_lose_nothing(tmp_path, name, kind):
    params, cfg, tok = model(name)
    there = weights(bundle.pack(params, cfg, tok), tmp_path)
    flat = mg.tree.flatten(params)
    assert there.keys() == flat.keys()
    for tensor, array in flat.items():
        assert np.array_equal(there[tensor], array)
    assert there["h.0.attn.c_attn.weight"].dtype == np.dtype(kind)


def test_what_a_page_cannot_run_is_refused(tmp_path):
    params, cfg, _ = model("small")
    with pytest.raises(ValueError, match="the page reads byte pairs"):
        bundle.pack(params, cfg, mg.CharTokenizer("abc"))
    attn = params["h"][0]["attn"]["c_attn"] | {"lora_a": np.ones((30, 2), "f4")}
    blocks = [params["h"][0] | {"attn": params["h"][0]["attn"] | {"c_attn": attn}}]
    with pytest.raises(
        ValueError, match=r"h\.0\.attn\.c_attn\.lora_a: expected nothing"
    ):
        bundle.pack(params | {"h": blocks + params["h"][1:]}, cfg)
    large = mg.Config(vocab_size=300, n_ctx=16, n_embd=192, n_layer=2, n_head=2)
    mg.save(tmp_path / "large", mg.init(large), large)
    with pytest.raises(ValueError, match="1,500,000 are allowed"):
        bundle.model_script(tmp_path / "large")


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A folder of sources in the place of ours, to be written into."""
    monkeypatch.setattr(bundle, "SOURCES", tmp_path)

    def write(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.js").write_text(text, "utf-8")

    return write


def test_sources_come_once_and_after_what_they_import(sources):
    sources(
        a='import {\n  b,\n} from "./b.js";\nimport { c } from "./c.js";\n'
        "export const a = b + c;\n",
        b='import { c } from "./c.js";\nexport const b = c + 1;\nfunction own() {}\n',
        c="export const c = 1;\n",
    )
    code = bundle.es_module("a.js", "b.js")
    kinds = ["const c = 1", "const b = c + 1", "const a = b + c"]
    places = [code.index(kind) for kind in kinds]
    assert places == sorted(places) and code.count("const c") == 1
    assert "import" not in code and code.count("export") == 1
    assert code.endswith("export default { c, b, a };\n")
    assert bundle.es_module("a.js", default="a").endswith("export default a;\n")
    assert "own" not in bundle.classic_script("a.js").splitlines()[-2]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a": "const same = 1;\n", "b": "function same() {}\n"}, "same"),
        ({"a": 'import x from "react";\n', "b": ""}, "react"),
        ({"a": "export default 1;\n", "b": ""}, "export default 1"),
    ],
)
def test_sources_that_cannot_be_joined(sources, files, words):
    sources(**files)
    with pytest.raises(ValueError, match=words):
        bundle.classic_script("a.js", "b.js")


def test_names_that_are_not_there(sources):
    sources(a='import { b } from "./b.js";\n', c="export const c = 1;\n")
    with pytest.raises(FileNotFoundError, match=r"b\.js"):
        bundle.es_module("a.js")
    with pytest.raises(ValueError, match="'d' is not exported; what is: c"):
        bundle.es_module("c.js", default="d")


def test_sources_fit_the_screen_of_the_book():
    for path in bundle.SOURCES.glob("*.js"):
        assert max(map(len, path.read_text("utf-8").split("\n"))) <= 88, path.name


def test_no_style_sheet_reaches_into_another_widget():
    """Beside what all share, each class is one sheet's, and each rule names one."""
    shared = set(re.findall(r"\.(mgw[\w-]*)", sheet("widgets.css")))
    owner = {}
    for path in sorted(bundle.SOURCES.glob("*.css")):
        if path.name == "widgets.css":
            continue
        text = re.sub(r"\{[^{}]*\}", "{}", sheet(path.name))
        for selector in re.findall(r"([^{}]+)\{\}", text):
            own = set(re.findall(r"\.(mgw[\w-]*)", selector)) - shared
            assert own or "mgw" not in selector, f"{path.name}: {selector.strip()}"
            for name in own:
                assert owner.setdefault(name, path.name) == path.name, name
    assert len(set(owner.values())) == 4


def sheet(name):
    text = (bundle.SOURCES / name).read_text("utf-8")
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
