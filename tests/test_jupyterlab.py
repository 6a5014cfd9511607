"""The widgets in a real JupyterLab: the page moves Python, and Python the page."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from engine.runners import chromium
from small_model import import_or_skip

import minigpt as mg

pytestmark = pytest.mark.slow
import_or_skip("jupyterlab")

MAKE = "import minigpt as mg\nfrom minigpt import widgets\nmodel = mg.load('tales')\n"
EXPLORER = (
    "e = widgets.SamplingExplorer(*model, 'Once a girl called Mia had', seed=8)\ne",
    "print('state', e.temperature, e.top_k, e.top_p, len(e.new_ids), e.text)",
    "e.temperature, e.top_k, e.text = 0.25, 3, 'One day'",
    "print('told', e.seed, e.new_ids)",
)


def notebook(sources):
    cells = [
        {"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "outputs": []}
        | {"execution_count": None, "source": source}
        for i, source in enumerate(sources)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {"metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps({"cells": cells} | about)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The folder and the address of a JupyterLab."""
    folder = tmp_path_factory.mktemp("lab")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.root_dir": folder,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": "",
        "LabApp.news_url": None,
    }
    command = [sys.executable, "-m", "jupyterlab"]
    command += [f"--{name}={value}" for name, value in settings.items()]
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR")
    own = {name: str(folder / name) for name in (*places, "JUPYTERLAB_WORKSPACES_DIR")}
    log = folder / "log.txt"
    with (
        open(log, "w") as file,
        subprocess.Popen(
            command, env=os.environ | own, stdout=file, stderr=subprocess.STDOUT
        ) as server,
    ):
        try:
            wait_for(f"http://127.0.0.1:{port}/api", log)
            yield folder, f"http://127.0.0.1:{port}/lab"
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(lab, browser):
    """Open a notebook of these cells, all by itself, when its kernel is ready."""
    (folder, address), pages, errors = lab, [], []

    def open_notebook(name, sources):
        (folder / f"{name}.ipynb").write_text(notebook(sources), "utf-8")
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.on("pageerror", lambda error: errors.append(error))
        pages.append(page)
        page.goto(f"{address}/workspaces/{name}/tree/{name}.ipynb")
        page.locator(".jp-CodeCell").nth(len(sources) - 1).wait_for(timeout=180_000)
        page.get_by_text(re.compile(r"Python 3.*\| Idle")).wait_for(timeout=180_000)
        return page

    yield open_notebook
    for page in pages:
        page.close()
    assert not errors


def wait_for(address, log):
    for _ in range(120):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"JupyterLab does not answer:\n{log.read_text()}")


def run(page, cell):
    page.locator(".jp-CodeCell").nth(cell).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")


def printed(page, cell, word):
    run(page, cell)
    output = page.locator(".jp-CodeCell").nth(cell).get_by_text(re.compile(f"^{word} "))
    output.wait_for(timeout=30_000)
    return output.inner_text().split(" ", 1)[1].strip()


def test_page_and_python_move_each_other(opened):
    page = opened("sampling", (MAKE + EXPLORER[0], *EXPLORER[1:]))
    run(page, 0)
    explorer = page.locator(".mgw")
    explorer.locator(".mgw-bars li").first.wait_for(timeout=180_000)
    explorer.get_by_role("slider", name="temperature").fill("1.8")
    explorer.get_by_role("slider", name="top-k").fill("7")
    explorer.get_by_role("slider", name="top-p").fill("0.9")
    explorer.get_by_role("button", name="One token").click()
    state = printed(page, 1, "state")
    assert state == "1.8 7 0.9 1 Once a girl called Mia had"
    run(page, 2)
    page.wait_for_function(
        "document.querySelector('.mgw textarea').value === 'One day'"
    )
    slider = explorer.get_by_role("slider", name="temperature")
    assert slider.input_value() == "0.25"
    explorer.get_by_role("button", name="One token").click()  # to be taken back
    page.wait_for_timeout(500)
    explorer.get_by_role("button", name="Write another").click()
    explorer.get_by_role("button", name="Write", exact=True).wait_for()
    seed, ids = printed(page, 3, "told").split(" ", 1)
    params, cfg, tok = mg.load("tales")
    start = [tok.eot, *tok.encode("One day")]
    ways = {"temperature": 0.25, "top_k": 3, "top_p": 0.9}
    out = mg.generate(params, start, cfg, 80, seed=9, stop=tok.eot, **ways)
    assert seed == "9" and json.loads(ids) == out[len(start) :].tolist()


def press(name):
    return lambda widget: widget.get_by_role("button", name=name, exact=True).click()


def slide(name, value):
    return lambda widget: widget.get_by_role("slider", name=name).fill(value)


# a widget; what the reader does; the trait that hears of it, and its value; another
# value that Python gives it; the element that then shows it
WIDGETS = {
    "attention": (
        "widgets.AttentionExplorer(*model, 'Once a girl called Mia had')",
        *(press("layer 1, head 5"), "head", 5, 2),
        ".mgw-head[aria-pressed=true] >> text=1.2",
    ),
    "tokenizer": (
        "widgets.TokenizerExplorer(model[2], 'Mia picked a kite', piece=1)",
        *(slide("merges done", "1"), "step", 1, 0),
        ".mgw-steps >> text=/0 of /",
    ),
    "scrubber": (
        "widgets.TrainingScrubber()",
        *(slide("moment", "4"), "moment", 4, 11),
        "text=step 14,000",
    ),
    "walk": (
        "widgets.ShapeWalk(*model, 'Once a girl', opened='h.0')",
        *(press("Next"), "opened", "h.1.ln_1", "ln_f"),
        ".mgw-sw-panel >> text=ln_f",
    ),
}


@pytest.mark.parametrize("name", WIDGETS)
def test_every_widget_and_python_hear_each_other(opened, name):
    made, act, trait, heard, told, shown = WIDGETS[name]
    cells = (
        f"{MAKE}w = {made}\nw",
        f"print('state', w.{trait})",
        f"w.{trait} = {told!r}",
    )
    page = opened(name, cells)
    run(page, 0)
    widget = page.locator(".mgw")
    widget.wait_for(timeout=180_000)
    act(widget)
    page.wait_for_timeout(500)  # what is held down is saved once
    assert printed(page, 1, "state") == str(heard)
    assert not widget.locator(shown).count()
    run(page, 2)
    widget.locator(shown).first.wait_for()
