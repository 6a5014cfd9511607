"""How fast the engine of the book's pages writes, in Chromium and Node, beside NumPy.

    python benchmarks/engine.py [--rounds 5]

Milliseconds for a token of the shipped model: with the cache, and once its window
slides and all 96 positions are read anew for each. Then what a page pays once, to
unpack the weights; and the longest time in which a page does not answer while it reads
a window in slices, as its widgets do. Chromium also six times slowed down, as a phone.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from rounds import Contender, alternate, command, machine, serve

import minigpt as mg

CHROMIUM = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
CONTENDERS = "NumPy", "Node", "Chromium", "Chromium, slowed 6 times"
TASKS = "cached", "sliding", "unpack", "slice"
TOKENS = 40
ASK = """(task) => {
  const { tales } = minigpt.models, begun = performance.now();
  if (task === "unpack") {
    minigpt.load(tales);
    return performance.now() - begun;
  }
  globalThis.engine ??= minigpt.load(tales);
  const ids = Array.from({ length: task === "cached" ? 20 : 97 }, (_, i) => 40 + i);
  const text = engine.start(ids, 0);
  let longest = 0;
  if (task === "slice")
    for (let read = false; !read;) {
      const before = performance.now();
      read = text.read(20);
      longest = Math.max(longest, performance.now() - before);
    }
  if (task === "slice") return longest;
  text.step();
  const before = performance.now();
  for (let i = 0; i < TOKENS; i++) text.step();
  return (performance.now() - before) / TOKENS;
}""".replace("TOKENS", str(TOKENS))


# ---------------------------------------------------------------- contenders


def numpy_contender():
    params, cfg, _ = mg.load("tales")
    ids = np.arange(40, 136)

    def do(task):
        if task == "unpack":
            return timed(lambda: mg.load("tales"))
        start = ids[:20] if task == "cached" else ids
        settings = {"seed": 0, "cache": task == "cached"}
        one = timed(lambda: mg.generate(params, start, cfg, 1, **settings))
        many = timed(lambda: mg.generate(params, start, cfg, TOKENS + 1, **settings))
        return (many - one) / TOKENS

    serve({}, do)


def timed(run):
    began = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - began)


@contextlib.contextmanager
def scripts():
    """A page with the engine and the model."""
    from minigpt.widgets import bundle

    with tempfile.TemporaryDirectory() as folder:
        code = bundle.classic_script() + bundle.model_script("tales")
        Path(folder, "engine.js").write_text(code, "utf-8")
        page = Path(folder, "page.html")
        page.write_text('<!doctype html><script src="engine.js"></script>', "utf-8")
        yield page


def chromium_contender(slowed):
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        return serve({"missing": "playwright is not installed"}, None)
    paths = [os.environ.get("CHROMIUM"), *map(shutil.which, CHROMIUM)]
    if not any(paths):
        return serve({"missing": "Chromium is not installed"}, None)
    path, flags = next(filter(None, paths)), ["--no-sandbox", "--disable-gpu"]
    with sync_playwright() as playwright, scripts() as file:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        page = browser.new_page()
        slow = page.context.new_cdp_session(page)
        slow.send("Emulation.setCPUThrottlingRate", {"rate": 6 if slowed else 1})
        page.goto(file.as_uri())
        serve({}, lambda task: page.evaluate(ASK, task))
        browser.close()


def node_contender():
    if not shutil.which("node"):
        return serve({"missing": "Node is not installed"}, None)
    with scripts() as file:
        read = (
            f"(0, eval)(require('fs').readFileSync({json.dumps(str(file.parent))} + "
            f"'/engine.js', 'utf8')); const ask = {ASK};"
            "require('readline').createInterface({ input: process.stdin }).on('line', "
            "(line) => console.log(JSON.stringify(ask(JSON.parse(line)))));"
        )
        pipe = subprocess.PIPE
        with subprocess.Popen(
            ["node", "-e", read], stdin=pipe, stdout=pipe, encoding="utf-8"
        ) as node:

            def do(task):
                node.stdin.write(json.dumps(task) + "\n")
                node.stdin.flush()
                return json.loads(node.stdout.readline())

            serve({}, do)
            node.stdin.close()


def contender(name, _):
    if name == "NumPy":
        numpy_contender()
    elif name == "Node":
        node_contender()
    else:
        chromium_contender(slowed=name != "Chromium")


# ---------------------------------------------------------------- the table


def report(rounds):
    every = [Contender(__file__, name, "") for name in CONTENDERS]
    here = [one for one in every if "missing" not in one.ready]
    pairs = [((one.name, task), one, task) for one in here for task in TASKS]
    pairs = [pair for pair in pairs if pair[0] != ("NumPy", "slice")]
    alternate(pairs, rounds=2)  # warm up: engines compile what runs often
    times = alternate(pairs, rounds)
    for name, value in machine().items():
        print(f"{name:10} {value}")
    print(f"\nmilliseconds: medians of {rounds} rounds that took turns (and spreads)\n")
    print(f"{'':26}" + "".join(f"{task:>24}" for task in TASKS))
    for one in every:
        print(f"{one.name:26}" + one.ready.get("missing", cells(one.name, times)))
        one.close()


def cells(name, times):
    return "".join(f"{cell(times.get((name, task))):>24}" for task in TASKS)


def cell(t):
    if t is None:
        return "-"
    return f"{t['median']:.1f} ({t['least']:.1f} to {t['greatest']:.1f})"


if __name__ == "__main__":
    command(__doc__, contender, report)
