"""`minigpt show`: what it takes, and that Netron answers, opens a browser and ends."""

import signal
import socket
import sys
from contextlib import contextmanager
from urllib.request import urlopen

import pytest
from cli_runs import run, save_models, sentence, start
from small_model import CFG, import_or_skip, noisy

from minigpt.cli.show import is_onnx

# ir_version 9, a graph of two bytes (its field 2, an empty name), metadata: "format"
SMALLEST = bytes((8, 9, 0x3A, 2, 18, 0, 0x72, 8, 10, 6)) + b"format"


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "small.onnx"
    path.write_bytes(SMALLEST)
    return path


@contextmanager
def shown(*args):
    """What the program says when Netron answers; ended by Ctrl-C, quietly."""
    import_or_skip("netron")
    with start("show", *args, "--port", 0) as process:
        yield process.stdout.readline().decode()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"\n")


def test_a_whole_model_is_told_from_what_is_none(graph, tmp_path):
    assert is_onnx(graph)
    path = tmp_path / "other"
    for size in range(len(SMALLEST)):
        path.write_bytes(SMALLEST[:size])
        whole = size == 6  # metadata may be missing
        assert is_onnx(path) == whole, size
    for content in (
        b"",
        b"a text of some words\n",
        SMALLEST + b"\n",
        b"\xff" * 40,
        SMALLEST + b"\x72" + b"\xff" * 8 + b"\1",
    ):
        path.write_bytes(content)
        assert not is_onnx(path), content
    path.write_bytes(SMALLEST[:2] + SMALLEST[6:])  # no graph
    assert not is_onnx(path)


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("external", [False, True])
def test_exported_files_are_models(tmp_path, cache, external):
    import_or_skip("onnx")
    from minigpt.export import export

    path = tmp_path / "out.onnx"
    export(noisy(), CFG, path, cache=cache, external_data=external)
    assert is_onnx(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert not is_onnx(path)


def test_what_is_no_onnx_file_gets_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_models(tmp_path)
    (tmp_path / "story.txt").write_text("Once there was a girl.")
    assert "story.txt is no ONNX file" in sentence("show", "story.txt")
    said = sentence("show", "away.onnx")
    assert said == (
        "there is no file away.onnx: `minigpt export MODEL away.onnx` writes one"
    )
    for name in ("tales", "gpt2-xl", "abc"):
        said = sentence("show", name)
        assert said.startswith(f"{name} is a model, and show takes an ONNX file: ")
        assert f"`minigpt export {name} {name}.onnx`" in said
        assert f"`minigpt info {name}`" in said


def test_without_netron_the_sentence_says_what_installs_it(graph, monkeypatch):
    monkeypatch.setitem(sys.modules, "netron", None)
    assert sentence("show", graph).endswith("not installed: pip install netron")


def test_ports_that_cannot_be_had_get_a_sentence(graph):
    import_or_skip("netron")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = sentence("show", graph, "--port", port, "--no-browser")
    assert said == (
        f"the port {port} is taken: choose another --port, or 0 for a free one"
    )
    assert "65535" in sentence("show", graph, "--port", 65536, code=2)


def test_netron_shows_the_file_until_ctrl_c(graph):
    with shown(graph, "--no-browser") as line:
        url = line.split()[0]
        assert line == f"{url} shows small.onnx; Ctrl-C ends it\n"
        with urlopen(url) as page:
            assert "<title>Netron</title>" in page.read().decode()
        with urlopen(f"{url}/data/small.onnx") as file:
            assert file.read() == SMALLEST
    port = int(url.rpartition(":")[2])
    socket.create_server(("127.0.0.1", port)).close()  # it is free again


def test_a_browser_is_opened_unless_it_is_not_wanted(graph, monkeypatch):
    netron, opened = import_or_skip("netron"), []

    def browse(url):
        with urlopen(url) as page:  # it answers already
            opened.append((url, page.status))

    monkeypatch.setattr("webbrowser.open", browse)
    monkeypatch.setattr(netron, "status", lambda address: False)  # as if it had ended
    url = run("show", graph, "--port", 0).stdout.split()[0]
    assert opened == [(url, 200)]
    with pytest.raises(OSError):
        urlopen(url)
    run("show", graph, "--port", 0, "--no-browser")
    assert len(opened) == 1
