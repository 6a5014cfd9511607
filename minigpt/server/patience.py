"""HTTP with an end to patience: who stops half-way does not keep a connection for ever.

uvicorn waits without a limit for the rest of a request, and for a client to read what
it is sent. A few hundred idle clients would then use up all connections.
"""

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 30.0  # seconds for a whole request, and for a client that does not read


class Patient(H11Protocol):
    """uvicorn's protocol, of which each connection has two clocks: one runs while a
    request is awaited or on its way, the other while what was written is not read."""

    patience = PATIENCE
    asking = reading = None  # the clocks

    def connection_made(self, transport):
        super().connection_made(transport)
        self._watch()

    def data_received(self, data):
        super().data_received(data)
        self._watch()

    def on_response_complete(self):
        super().on_response_complete()  # begins with what was sent meanwhile
        self._watch()

    def connection_lost(self, exc):
        stop(self.asking)
        stop(self.reading)
        super().connection_lost(exc)

    def pause_writing(self):
        super().pause_writing()
        stop(self.reading)
        self.reading = self.loop.call_later(self.patience, self.transport.abort)

    def resume_writing(self):
        super().resume_writing()
        stop(self.reading)

    def shutdown(self):
        """Half a request is nothing that a server which ends would wait for."""
        super().shutdown()
        if self._is_half():
            self.transport.close()

    def _watch(self):
        """Let the clock run until the last byte of a request has come."""
        if not self._is_half():
            stop(self.asking)
            self.asking = None
        elif self.asking is None:
            self.asking = self.loop.call_later(self.patience, self._cut)

    def _cut(self):
        if self._is_half():
            self.transport.close()

    def _is_half(self):
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)


def stop(clock):
    if clock is not None:
        clock.cancel()
