"""uvicorn in a thread: a server that starts and stops, from a script or a notebook."""

import asyncio
import errno
import socket
import threading

import uvicorn

from minigpt.server.app import create_app
from minigpt.server.patience import Patient

GRACE = 5.0  # seconds that texts which are being written get when a server stops
SLOW = 2.0  # seconds more for clients that read slowly


class Server:
    """A running server. ``url`` is where it answers, and `stop` ends it: so does
    leaving ``with``, and the end of the program. With ``wait`` it begins when its model
    is loaded; raises what loading raises."""

    def __init__(self, app, listening, grace=GRACE, wait=False):
        self.served = app.state.served
        self.url = address(listening)
        self._uvicorn = _Uvicorn(app, grace)
        self._thread = threading.Thread(
            target=self._uvicorn.run,
            kwargs={"sockets": [listening]},
            name="minigpt-server",
            daemon=True,
        )
        try:
            self._thread.start()
            self._uvicorn.answers.wait()
            if wait:
                self._wait_for_model()
        except BaseException:  # Ctrl-C, too: nobody else has the server yet
            self.stop()
            raise

    def _wait_for_model(self):
        self.served.ended.wait()
        if self.served.error is not None:
            raise self.served.error

    def stop(self):
        """Answer no more: what is being written gets a few seconds to end, and every
        stream is told. Returns when all of it is over; a second time does nothing."""
        self._uvicorn.should_exit = True
        if self._thread.ident is None:  # it has not begun
            return
        self._uvicorn.ended.wait()
        self._thread.join()

    def wait(self, seconds=None):
        """Return when the server has ended, or after ``seconds``; says which it was."""
        return self._uvicorn.ended.wait(seconds)  # Ctrl-C breaks join, before 3.13

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def __repr__(self):
        ended = ", stopped" if self._uvicorn.ended.is_set() else ""
        return f"<minigpt server of {self.served.name} at {self.url}{ended}>"


class _Uvicorn(uvicorn.Server):
    """uvicorn that says when it answers, and lets texts end before it does."""

    def __init__(self, app, grace):
        config = uvicorn.Config(
            app,
            http=Patient,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SLOW,
        )
        super().__init__(config)
        self.served, self.grace = app.state.served, grace
        self.answers, self.ended = threading.Event(), threading.Event()

    def run(self, sockets=None):
        try:
            super().run(sockets)
        finally:  # older ones leave without `shutdown` when stopped as they start
            self.served.close()
            for listening in sockets or ():
                listening.close()
            self.ended.set()
            self.answers.set()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.answers.set()

    async def shutdown(self, sockets=None):
        await asyncio.to_thread(self.served.close, self.grace)
        await super().shutdown(sockets)


def start(
    model="tales", *, host="127.0.0.1", port=0, wait=True, grace=GRACE, **settings
):
    """A running `Server`, which answers at its ``url``.

    ``model`` is a name, a path, or ``(params, cfg, tokenizer)``; ``port=0`` takes a
    free one; ``settings`` are those of `create_app`. With ``wait`` the model is loaded
    when this returns; without, `/health` tells when it is. ``grace`` is how many
    seconds `stop` gives to what is being written.

    Raises ``OSError`` with a sentence where the address cannot be had, and what loading
    the model raises.
    """
    app = create_app(model, host=host, **settings)
    return Server(app, listen(host, port), grace, wait)


def listen(host, port):
    """A socket that listens at an address. Raises ``OSError`` with what would do."""
    if not 0 <= port < 2**16:
        raise ValueError(f"a port is from 0 to 65535, and this is {port}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(f"there is no address {host!r} to listen at") from error
    family, kind, proto, _, place = found[0]
    listening = socket.socket(family, kind, proto)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise OSError(_unavailable(host, port, error)) from error
    return listening


def _unavailable(host, port, error):
    if error.errno == errno.EADDRINUSE:
        return (
            f"the port {port} of {host} is taken, perhaps by a server that still runs: "
            "choose another port, or 0 for a free one"
        )
    if error.errno == errno.EACCES:
        return f"the port {port} needs rights that you lack: choose one from 1024"
    return f"nothing can listen at {host}, port {port}: {error.strerror}"


def address(listening):
    """The URL of a socket that listens."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # all addresses: this machine's own is one of them
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
