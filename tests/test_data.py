"""Data: the registry and its downloads, windows, padded texts, and checks."""

import dataclasses
import functools
import hashlib
import http.server
import os
import socket
import threading
import zipfile
from pathlib import Path

import pytest

from minigpt import data

PUBLISHED = {  # sha256 of every file that the book reads
    "tinyshakespeare.txt": (
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
    ),
    "gpt2/vocab.bpe": (
        "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
    ),
    "gpt2/encoder.json": (
        "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
    ),
    "sms-spam.tsv": (
        "7d039a24a6083ed9ef0f806ebad56bbb976e3aeb8de05669173bfdc4996c239d"
    ),
    "instructions.json": (
        "7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944"
    ),
    "tang300.json": (
        "d77a145f7470da2ed2f79515944563c062ffc43fceda07f195a36ead66b7e5c7"
    ),
}


# ---------------------------------------------------------------- real data


def test_the_registry_is_the_published_one():
    assert {n: s.sha256 for n, s in data.REGISTRY.items()} == PUBLISHED
    for source in data.REGISTRY.values():
        assert source.url.startswith("https://")
        assert source.licence and source.citation
    members = {n: s.member for n, s in data.REGISTRY.items() if s.member}
    assert members == {"sms-spam.tsv": "SMSSpamCollection"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_real_files_are_used_where_they_lie(name):
    folder = os.environ.get("MINIGPT_DATA")
    if not folder or not (Path(folder) / name).exists():
        pytest.skip("set MINIGPT_DATA to a folder with the real data")
    assert data.fetch(name) == Path(folder) / name
    assert len(data.read(name)) > 100_000


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, no MINIGPT_DATA, and no proxy between us and ourselves."""
    monkeypatch.delenv("MINIGPT_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(data, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path):
    """``(folder, address)`` of a web server on this machine, and what it was asked."""
    folder = tmp_path / "served"
    folder.mkdir()
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def register(monkeypatch, name, url, content, **changes):
    sha256 = hashlib.sha256(content).hexdigest()
    old = data.REGISTRY[name]
    source = dataclasses.replace(old, url=url, sha256=sha256, **changes)
    monkeypatch.setitem(data.REGISTRY, name, source)


def test_a_download(cache, server, monkeypatch):
    folder, address, asked = server
    (folder / "encoder.json").write_bytes(b"{}")
    register(monkeypatch, "gpt2/encoder.json", f"{address}/encoder.json", b"{}")
    path = data.fetch("gpt2/encoder.json")
    assert path == cache / "gpt2" / "encoder.json" and path.read_bytes() == b"{}"
    assert data.read("gpt2/encoder.json") == "{}"
    assert len(asked) == 1  # the second time it lies in the cache
    assert [p.name for p in cache.rglob("*") if p.is_file()] == ["encoder.json"]


def test_a_member_of_an_archive(cache, server, monkeypatch):
    folder, address, _ = server
    with zipfile.ZipFile(folder / "sms.zip", "w") as archive:
        archive.writestr("readme", "no")
        archive.writestr("SMSSpamCollection", "ham\tHello")
    register(monkeypatch, "sms-spam.tsv", f"{address}/sms.zip", b"ham\tHello")
    assert data.read("sms-spam.tsv") == "ham\tHello"
    assert [p.name for p in cache.rglob("*") if p.is_file()] == ["sms-spam.tsv"]


def test_a_wrong_download_says_both_sums_and_is_not_kept(cache, server, monkeypatch):
    folder, address, _ = server
    (folder / "tang.json").write_bytes(b"changed")
    register(monkeypatch, "tang300.json", f"{address}/tang.json", b"right")
    sums = [hashlib.sha256(c).hexdigest() for c in (b"changed", b"right")]
    with pytest.raises(ValueError, match=f"is {sums[0]} and should be {sums[1]}"):
        data.fetch("tang300.json")
    (folder / "tang.json").write_bytes(b"right")  # the next attempt begins anew
    assert data.fetch("tang300.json").read_bytes() == b"right"


@pytest.mark.parametrize("name", ["tinyshakespeare.txt", "sms-spam.tsv"])
def test_offline_says_what_to_get_and_where_to_put_it(cache, monkeypatch, name):
    with socket.socket() as closed:  # a port that nobody listens at
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/here"
    register(monkeypatch, name, url, b"")
    with pytest.raises(OSError, match=r"downloaded \(ConnectionError\)") as error:
        data.fetch(name)
    wanted = (name, url, str(cache / name), "MINIGPT_DATA", data.REGISTRY[name].member)
    assert [part for part in wanted if part not in str(error.value)] == []


def test_the_folder_in_the_environment_comes_first(cache, tmp_path, monkeypatch):
    register(monkeypatch, "tang300.json", "http://127.0.0.1:9/none", b"poems")
    for folder in (cache, tmp_path / "mine"):
        folder.mkdir()
        (folder / "tang300.json").write_bytes(b"poems")
    assert data.fetch("tang300.json") == cache / "tang300.json"
    monkeypatch.setenv("MINIGPT_DATA", str(tmp_path / "mine"))
    assert data.fetch("tang300.json") == tmp_path / "mine" / "tang300.json"
    (tmp_path / "mine" / "tang300.json").write_bytes(b"prose")
    sums = [hashlib.sha256(c).hexdigest() for c in (b"prose", b"poems")]
    with pytest.raises(ValueError, match=f"{sums[0]} and should be {sums[1]}"):
        data.fetch("tang300.json")


def test_unknown_names_get_a_sentence():
    with pytest.raises(ValueError, match=r"no data named 'bible': choose of .*tang300"):
        data.fetch("bible")
    assert data.cache_folder().name == "minigpt"
