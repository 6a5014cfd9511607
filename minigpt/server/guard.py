"""What is turned away before anything is computed: foreign hosts, bodies too large.

Plain ASGI, a function around the next one: a stream passes through untouched.
"""

import ipaddress
from email.message import Message

from minigpt.server.errors import problem

LOOPBACK = ("localhost", "127.0.0.1", "::1")
LARGEST = 2**18  # bytes of a request: many times the longest context
DRAINED = 64  # times as much is read and thrown away, so that the answer is heard


class Hosts:
    """Answers only requests that are meant for this server.

    A page from elsewhere can make its own name lead to 127.0.0.1 (DNS rebinding), and
    then the browser thinks that we are that page's server. But it tells us the name, in
    the header ``Host``. ``host`` is the address that the server listens at, ``allowed``
    are names that it is known by. Bound to more than this machine it may be asked for
    by any address of numbers, too: behind those stands no name that could lead astray.
    """

    def __init__(self, app, host, allowed=()):
        self.app = app
        self.names = {*LOOPBACK, *(name.lower().rstrip(".") for name in allowed)}
        self.open = not is_loopback(host)
        if not (self.open and is_address(host)):  # 127.0.0.2 is a name, too
            self.names.add(host.lower().rstrip("."))

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            named = [v for k, v in scope["headers"] if k == b"host"]
            host = name_of(named[0].decode("latin-1")) if len(named) == 1 else ""
            if not (host in self.names or (self.open and is_address(host))):
                return await self._refuse(host)(scope, receive, send)
        await self.app(scope, receive, send)

    def _refuse(self, host):
        known = ", ".join(sorted(self.names))
        return problem(
            421,
            f"this server is known as {known}, and the request is for "
            f"{host or 'no host'}: where that is right, start it with --allow-host "
            f"{host or 'NAME'}",
        )


def name_of(host):
    """The name or address in a ``Host`` header, without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0] if "]" in host else ""
    return host.partition(":")[0].lower().rstrip(".")


def is_address(host):
    """Whether a host is given in numbers."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host):
    """Whether only this machine can reach a server that listens at ``host``."""
    return host == "localhost" or (
        is_address(host) and ipaddress.ip_address(host).is_loopback
    )


class Bodies:
    """Passes on requests whose body is JSON in UTF-8, and not too large.

    The body is read here, whole: one that comes in chunks does not say its size before.
    A page from elsewhere may send plain text without asking, but not JSON: so nothing
    else is read.
    """

    def __init__(self, app, largest=LARGEST):
        self.app, self.largest = app, largest

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        headers = dict(scope["headers"])
        body = await self._read(receive, headers)
        if body is None:
            return None  # the client is gone
        if refused := self._check(body, headers.get(b"content-type", b"")):
            return await refused(scope, receive, send)
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay():
            return messages.pop() if messages else await receive()

        return await self.app(scope, replay, send)

    async def _read(self, receive, headers):
        """The body, or as much as shows that it is too large; None if broken off."""
        if b"expect" in headers and _length(headers) > self.largest:
            return bytes(self.largest + 1)  # who asks before sending is told at once
        body, size, more = bytearray(), 0, True
        while more and size <= DRAINED * self.largest:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk, more = message.get("body", b""), message.get("more_body", False)
            size += len(chunk)
            if len(body) <= self.largest:
                body += chunk
        return bytes(body)

    def _check(self, body, content_type):
        if len(body) > self.largest:
            return problem(
                413,
                f"the request is larger than {self.largest:,} bytes: shorten its text",
                {"Connection": "close"},
            )
        kind = Message()
        kind["content-type"] = content_type.decode("latin-1")
        if body and kind.get_content_type() != "application/json":
            return problem(
                415,
                "the body must be JSON, under the header content-type: "
                "application/json (curl's is -H 'content-type: application/json')",
            )
        try:
            body.decode("utf-8")
        except UnicodeDecodeError as error:
            return problem(
                422,
                f"the body is not text in UTF-8: the byte 0x{body[error.start]:02x} at "
                f"position {error.start} begins no character",
            )
        return None


def _length(headers):
    number = headers.get(b"content-length", b"0")
    return int(number) if number.isdigit() else 0
