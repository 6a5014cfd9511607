"""The engine where a reader has it: in Chromium from disk, as a classic script and as a
module, and under Node.

Each runner is a function ``call(code, argument)`` that calls the JavaScript function in
``code`` and gives what it returns. The models are "tales", "small" and "tied".
"""

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import minigpt as mg
from minigpt.widgets import bundle

RUNNERS = (
    "chromium script",
    pytest.param("chromium module", marks=pytest.mark.slow),  # the same source again
    "node",
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
SHAPES = {  # channels that no four divide, one head, an own head for the output
    "small": mg.Config(vocab_size=300, n_ctx=12, n_embd=30, n_layer=3, n_head=5),
    "tied": mg.Config(vocab_size=259, n_ctx=7, n_embd=16, n_layer=1, n_head=1),
}


def model(name):
    """``(params, cfg, tok)``: shipped, or random and far from where training starts."""
    if name == "tales":
        return mg.load("tales")
    cfg = SHAPES[name]
    rng = np.random.default_rng(cfg.n_embd)

    def shake(leaf):
        return leaf + rng.normal(0, 0.3, leaf.shape).astype(leaf.dtype)

    params = mg.tree.map(shake, mg.init(cfg))
    if name == "small":
        head = rng.normal(0, 0.5, (cfg.vocab_size, cfg.n_embd))
        params["lm_head"] = {"weight": head.astype(np.float32)}
    text = "the cat and the dog are the best of all cats and dogs; " * 3
    tok = mg.BPETokenizer.train(text, cfg.vocab_size, ["<|endoftext|>"])
    order = rng.permutation(256).tolist()
    return params, cfg, mg.BPETokenizer(tok.merges, ["<|endoftext|>"], order)


@contextlib.contextmanager
def start(runner, folder):
    """A runner, with its files in ``folder``; skips where it is not installed."""
    (folder / "minigpt.js").write_text(bundle.classic_script(), "utf-8")
    (folder / "minigpt.mjs").write_text(bundle.es_module(), "utf-8")
    scripts = []
    for name in ("tales", *SHAPES):
        if name != "tales":
            mg.save(folder / name, *model(name))
        source = name if name == "tales" else folder / name
        scripts.append(folder / f"{name}-model.js")
        scripts[-1].write_text(bundle.model_script(source), "utf-8")
    if runner == "node":
        with _node(folder / "minigpt.mjs", scripts) as call:
            yield call
    else:
        with chromium() as browser:
            page = browser.new_page()
            page.goto(_page(folder, scripts, runner).as_uri())
            page.wait_for_function("globalThis.minigpt?.load !== undefined")

            def call(code, argument=None):  # JSON: Playwright's own way is slow
                text = f"(argument) => JSON.stringify(({code})(argument) ?? null)"
                return json.loads(page.evaluate(text, argument))

            yield call


@contextlib.contextmanager
def chromium():
    """Chromium, started by Playwright; skips without the one or the other."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is missing: pip install playwright"
    )
    paths = [os.environ.get("CHROMIUM"), *map(shutil.which, NAMES)]
    path = next(filter(None, paths), None)
    if path is None:
        pytest.skip(
            "no Chromium here: install it (Debian: apt-get install chromium), or name "
            "one with CHROMIUM=/path/to/it"
        )
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


def too_wide(page):
    """Whether a page is wider than its window."""
    return page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )


def _page(folder, scripts, runner):
    """A page that has the engine and the models, opened from disk: nothing is fetched.
    A module cannot be loaded from there, so it stands in the page, as anywidget's
    comes as text."""
    tags = [f'<script src="{script.name}"></script>' for script in scripts]
    if runner == "chromium script":
        tags.append('<script src="minigpt.js"></script>')
    else:
        code = (folder / "minigpt.mjs").read_text("utf-8")
        tags.append(
            '<script type="module">const text = '
            f"{json.dumps(code).replace('<', chr(92) + 'u003c')};"
            'const blob = new Blob([text], { type: "text/javascript" });'
            "const module = await import(URL.createObjectURL(blob));"
            "Object.assign(globalThis.minigpt, module.default);</script>"
        )
    path = folder / "index.html"
    head = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">'
    path.write_text(head + "\n".join(tags), "utf-8")
    return path


@contextlib.contextmanager
def _node(module, scripts):
    node = shutil.which("node")
    if not node:
        pytest.skip("no Node here: install it (Debian: apt-get install nodejs)")
    driver = Path(__file__).with_name("driver.mjs")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
    with subprocess.Popen([node, driver, module, *scripts], **pipes) as process:

        def call(code, argument=None):
            line = json.dumps({"code": code, "argument": argument})
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return answer["value"]

        yield call
        process.stdin.close()  # the driver ends
