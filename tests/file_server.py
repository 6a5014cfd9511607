"""A web server on this machine that misbehaves on demand, to test downloads."""

import contextlib
import functools
import http.server
import itertools
import re
import threading
import time
from dataclasses import dataclass, field

import pytest

from minigpt.download import ATTEMPTS, fetch

CONTENT = bytes(range(256)) * 1200  # 307,200 bytes, 37.5 times what is read at once


@dataclass
class Site:
    """One file, under any path, and how to answer the next requests for it.

    ``moods`` are taken one a request, then the server behaves: "cut N" (after N bytes),
    "stall N", an HTTP status, or names of the settings below, which are switched over.
    """

    content: bytes = b""
    tag: str | None = '"one"'
    date: str | None = None
    linked: str | None = None  # X-Linked-Etag, on the way to another path
    kind: str = "application/octet-stream"
    encoding: str | None = None
    ranges: bool = True  # answers with parts
    conditions: bool = True  # looks at If-Range
    shifted: bool = False  # answers with the part one byte earlier
    chunked: bool = False  # does not tell the size
    moods: list = field(default_factory=list)
    asked: list = field(default_factory=list)  # (path, Range, If-Range) of each request
    stalled: int = 0  # how many answers stand still
    address: str = ""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.close_connection = True
        site = self.server.site
        span, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if site.linked and not self.path.startswith("/elsewhere"):
            return self.head(302, Location=f"/elsewhere{self.path}", length=0)
        site.asked.append((self.path, span, condition))
        mood = str(site.moods.pop(0)) if site.moods else ""
        if mood.isdecimal():
            return self.head(int(mood), length=0)
        changes = {n: not getattr(site, n) for n in mood.split() if hasattr(site, n)}
        was = {name: getattr(site, name) for name in changes}
        vars(site).update(changes)
        with contextlib.suppress(ConnectionError):
            self.answer(site, mood, self.first_byte(site, span, condition))
        vars(site).update(was)

    def first_byte(self, site, span, condition):
        """Where the part that is asked for begins, or None for the whole."""
        if not span or not site.ranges:
            return None
        if site.conditions and condition and condition not in (site.tag, site.date):
            return None
        return int(re.fullmatch(r"bytes=(\d+)-", span)[1])

    def answer(self, site, mood, first):
        body = site.content[first or 0 :]
        size = len(site.content)
        if first is None:
            self.head(200, length=len(body))
        elif first >= size:
            return self.head(416, length=0, **{"Content-Range": f"bytes */{size}"})
        else:
            begin = first - site.shifted
            body = site.content[begin:]
            span = f"bytes {begin}-{size - 1}/{size}"
            self.head(206, length=len(body), **{"Content-Range": span})
        words = mood.split()
        for word, n in itertools.pairwise(words):
            if word in ("cut", "stall"):
                body = body[: int(n)]
        if site.chunked:
            for piece in (body[: len(body) // 2], body[len(body) // 2 :]):
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            if "cut" not in words:
                self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(body)
        self.wfile.flush()
        if "stall" in words:
            site.stalled += 1
            if not self.server.calm.wait(20):
                site.stalled -= 1

    def head(self, status, length, **headers):
        site = self.server.site
        headers |= {"ETag": site.tag, "Last-Modified": site.date, "Connection": "close"}
        headers |= {"Content-Type": site.kind, "Content-Encoding": site.encoding}
        headers |= {"X-Linked-Etag": site.linked} if status == 302 else {}
        if site.chunked and status < 300:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(length)
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()


@contextlib.contextmanager
def serve(**settings):
    """A `Site` that is served while the block runs."""
    site = Site(**settings)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.site, server.calm = site, threading.Event()
        site.address = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield site
        finally:
            server.calm.set()
            server.shutdown()


@contextlib.contextmanager
def serve_folder(folder):
    """``(address, asked)`` of a well-behaved server of a folder, and the paths."""
    asked = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()


def wait_for(condition, seconds=20):
    """Give another program or thread the time to do something."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def get(site, folder, **settings):
    """The content of the file after a download, which must leave nothing beside it."""
    settings = {"progress": False, "wait": 0, "timeout": 5, **settings}
    path = fetch(f"{site.address}/file", folder / "model" / "file", **settings)
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    return path.read_bytes()


def part(folder):
    path = folder / "model" / "file.part"
    return path.read_bytes() if path.exists() else None


def begin(site, folder, *moods):
    """A download that is given up with a part on the disk."""
    site.moods[:] = [*moods, *[503] * ATTEMPTS]
    with pytest.raises(OSError, match="are kept: try again to go on") as error:
        get(site, folder)
    site.moods.clear()
    site.asked.clear()
    return str(error.value)
