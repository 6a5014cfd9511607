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

CELLS = (
    "import minigpt as mg\n"
    "from minigpt.widgets import SamplingExplorer\n"
    "e = SamplingExplorer(*mg.load('tales'), 'Once a girl called Mia had', seed=8)\n"
    "e",
    "print('state', e.temperature, e.top_k, e.top_p, len(e.new_ids), e.text)",
    "e.temperature, e.top_k, e.text = 0.25, 3, 'One day'",
    "print('told', e.seed, e.new_ids)",
)


def notebook():
    cells = [
        {"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "outputs": []}
        | {"execution_count": None, "source": source}
        for i, source in enumerate(CELLS)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {"metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps({"cells": cells} | about)


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab with the notebook."""
    (tmp_path / "explorer.ipynb").write_text(notebook(), "utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.root_dir": tmp_path,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": "",
        "LabApp.news_url": None,
    }
    command = [sys.executable, "-m", "jupyterlab"]
    command += [f"--{name}={value}" for name, value in settings.items()]
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR")
    own = {
        name: str(tmp_path / name) for name in (*places, "JUPYTERLAB_WORKSPACES_DIR")
    }
    log = tmp_path / "log.txt"
    with (
        open(log, "w") as file,
        subprocess.Popen(
            command, env=os.environ | own, stdout=file, stderr=subprocess.STDOUT
        ) as server,
    ):
        try:
            wait_for(f"http://127.0.0.1:{port}/api", log)
            yield f"http://127.0.0.1:{port}/lab/tree/explorer.ipynb"
        finally:
            server.terminate()


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


def test_page_and_python_move_each_other(lab):
    with chromium() as browser:
        page, errors = browser.new_page(viewport={"width": 1280, "height": 1000}), []
        page.on("pageerror", lambda error: errors.append(error))
        page.goto(lab)
        page.locator(".jp-CodeCell").nth(3).wait_for(timeout=60_000)
        page.get_by_text(re.compile(r"Python 3.*\| Idle")).wait_for(timeout=60_000)
        run(page, 0)
        explorer = page.locator(".mgw")
        explorer.locator(".mgw-bars li").first.wait_for(timeout=60_000)
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
        assert not errors
