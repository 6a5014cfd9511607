"""Tokens on their way from the batcher's thread to the client: whole, or as events."""

import asyncio
import collections
import contextlib
import json
import secrets

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException

from minigpt.batching import Busy, Closed
from minigpt.server.errors import CLOSING, busy, refuse
from minigpt.streaming import TextStream, first_ids

COMMENT = "still here"
UNKNOWN = "\ufffd"
REASONS = {"stop": "end"}  # what the batcher calls otherwise


class Writing:
    """One text that is being written, as the event loop sees it.

    ``told`` is set when there is news: with ``each`` at every token, else at the end.
    ``reason`` is then why it ended, in the words of `/api/stream`.
    """

    def __init__(self, each):
        self.each = each
        self.loop = asyncio.get_running_loop()
        self.told = asyncio.Event()
        self.news = collections.deque()
        self.job = self.reason = None

    def tell(self, job, new_id, prob):
        """Take in a token, from the batcher's thread."""
        if new_id is None:
            self._ends(REASONS.get(job.reason, job.reason))
        else:
            self.news.append((int(new_id), float(prob)))
        if self.each or new_id is None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                self.loop.call_soon_threadsafe(self.told.set)

    def end(self, reason):
        """End it for a reason of the server's own."""
        self.job.cancel()
        self._ends(reason)

    def _ends(self, reason):
        self.reason = self.reason or reason  # the first one holds

    def take(self):
        """The tokens that have come, each (id, prob), and are not taken yet."""
        while self.news:
            yield self.news.popleft()


class Text:
    """The text of new tokens, with what is certain only at the last of them.

    A model may have room for more tokens than its tokenizer knows: such a one is shown
    as U+FFFD.
    """

    def __init__(self, tok, most):
        self.stream, self.left, self.known = TextStream(tok), most, tok.vocab_size

    def feed(self, new_id):
        """The text that became certain."""
        self.left -= 1
        text = self.stream.feed(new_id) if new_id < self.known else UNKNOWN
        return text if self.left else text + self.stream.finish()


async def begin(served, body, each):
    """``(Writing, params)``: a request in the batcher's hands, and what it is written
    with. Raises a 422 for what the model cannot read, and a 503 when too many wait."""
    params = body.model_dump(exclude={"prompt"})
    if body.sampling()["temperature"] > 0 and params["seed"] is None:
        params["seed"] = secrets.randbits(32)
    writing = Writing(each)
    try:
        ids = await asyncio.to_thread(prompt_ids, served, body.prompt)
        writing.job = served.batcher.submit(
            *(ids, body.max_tokens),
            **body.sampling(),
            seed=params["seed"],
            stop=() if served.tok.eot is None else served.tok.eot,
            tell=writing.tell,
        )
    except ValueError as error:
        raise refuse(str(error)) from error
    except (Busy, Closed) as error:
        raise busy(str(error)) from error
    return writing, params


def prompt_ids(served, prompt):
    """The ids of a prompt. Raises ``ValueError`` where the model cannot read them."""
    ids = first_ids(served.tok, prompt)
    if len(ids) > served.cfg.n_ctx:
        raise ValueError(
            f"the prompt has {len(ids):,} tokens, and the model reads "
            f"{served.cfg.n_ctx:,}: shorten it from its beginning"
        )
    return ids


async def whole(served, request, body, seconds):
    """``(text, params, reason)``: what follows a prompt, when all of it is there.

    What the time suffices for is given, too; nothing is, when the client goes away.
    """
    writing, params = await begin(served, body, each=False)
    told = asyncio.ensure_future(writing.told.wait())
    try:
        gone = await first_of(told, request, seconds)
        if not told.done():
            writing.end("cancelled" if gone else "time")
    finally:
        writing.job.cancel()
        told.cancel()
    text = Text(served.tok, body.max_tokens)
    pieces = [text.feed(new_id) for new_id, _ in writing.take()]
    if writing.reason == "error":
        raise HTTPException(500, writing.job.error)
    if writing.reason == "closed" or (writing.reason == "time" and not pieces):
        raise busy(unfinished(writing.reason, seconds))
    return "".join(pieces), params, writing.reason


def unfinished(reason, seconds):
    """A sentence for a request that got nothing."""
    if reason == "closed":
        return CLOSING
    return f"no token was written in the {seconds:g} s that a request may take"


async def first_of(future, request, seconds=None):
    """Wait for a future, for the client to go away, or for ``seconds``; returns whether
    the client is gone."""
    gone = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait(
            {future, gone}, timeout=seconds, return_when="FIRST_COMPLETED"
        )
        return gone.done()
    finally:
        gone.cancel()


async def _left(request):
    while (await request.receive())["type"] != "http.disconnect":
        pass


class TokenEvents(EventSourceResponse):
    """Server-sent events for the tokens of a text: `data: {"id", "token", "prob"}`
    each, and a last `event: done` with `{"reason"}`. Comments in between, every
    ``heartbeat`` seconds, keep the connection from looking dead."""

    def __init__(self, writing, text, seconds, heartbeat):
        self.writing = writing
        deadline = writing.loop.time() + seconds
        super().__init__(
            events(writing, text, deadline),
            ping=heartbeat,
            ping_message_factory=lambda: ServerSentEvent(comment=COMMENT, sep="\n"),
            sep="\n",
        )

    async def __call__(self, scope, receive, send):
        """Send them; however that ends, nobody writes on for nobody."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.writing.job.cancel()


async def events(writing, text, deadline):
    """Bytes of one event or of several, as their tokens come."""
    while writing.reason is None:
        left = deadline - writing.loop.time()
        try:
            await asyncio.wait_for(writing.told.wait(), left)
        except TimeoutError:
            writing.end("time")
        writing.told.clear()
        if news := b"".join(_event(text, *token) for token in writing.take()):
            yield news
    # the end may have been told between the tokens that were taken and now
    yield b"".join(_event(text, *token) for token in writing.take()) + _done(writing)


def _event(text, new_id, prob):
    data = {"id": new_id, "token": text.feed(new_id), "prob": prob}
    return f"data: {json.dumps(data)}\n\n".encode()


def _done(writing):
    data = {"reason": writing.reason}
    if writing.reason == "error":
        data["detail"] = writing.job.error
    return f"event: done\ndata: {json.dumps(data)}\n\n".encode()
