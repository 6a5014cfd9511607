"""The application: addresses, what guards them, the document that describes them."""

import contextlib
import re

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware

from minigpt import __version__
from minigpt.server import errors, guard, pages, routes
from minigpt.server.served import Served

SECONDS = 60.0  # that a request may take
HEARTBEAT = 15.0  # seconds between comments in a stream
ORIGIN = re.compile(r"\*|https?://[^/\s]+")
ABOUT = """A GPT that writes, shows where its tokens look, and cuts texts into tokens.

Bodies are JSON in UTF-8. Every error is `{"detail": "a sentence"}`, which says what
came and what would do."""


def create_app(
    model="tales",
    *,
    runtime=None,
    models_dir=None,
    host="127.0.0.1",
    allow_hosts=(),
    cors=(),
    queue=256,
    timeout=SECONDS,
    heartbeat=HEARTBEAT,
):
    """The ASGI application, which loads its model when it starts up.

    ``model`` is a name, a path, or ``(params, cfg, tokenizer)``, and ``runtime`` what
    computes (see `minigpt.models.open_model`). ``host`` is the address that it will
    listen at: it answers to this name, and to ``allow_hosts``. Pages from the origins
    in ``cors`` may ask it. ``queue`` requests may wait, each request may take
    ``timeout`` seconds, and a stream says every ``heartbeat`` seconds that it is alive.
    Raises ``ValueError`` for settings without a meaning.
    """
    _check(cors, queue, timeout, heartbeat)
    served = Served(model, runtime=runtime, models_dir=models_dir, queue=queue)

    @contextlib.asynccontextmanager
    async def lifespan(app):
        served.begin()
        yield
        served.close()

    # FastAPI's own /docs would load its scripts from elsewhere
    app = FastAPI(title="minigpt", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.served = served
    app.state.timeout, app.state.heartbeat = timeout, heartbeat
    app.openapi = lambda: describe(app)
    errors.install(app)
    app.include_router(routes.router)
    app.include_router(pages.router)
    _guard(app, cors, host, allow_hosts)
    return app


def _guard(app, cors, host, allow_hosts):
    """Put in front what turns requests away, the first of them last."""
    app.add_middleware(guard.Bodies)
    if cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors),
            allow_methods=["GET", "POST"],
            allow_headers=["content-type"],
            expose_headers=[routes.REASON, "Retry-After"],
        )
    app.add_middleware(guard.Hosts, host=host, allowed=tuple(allow_hosts))


def _check(cors, queue, timeout, heartbeat):
    """Raise ``ValueError`` for settings without a meaning."""
    if isinstance(cors, str):
        raise ValueError(f"cors is a list of origins, such as [{cors!r}]")
    for origin in cors:
        if not ORIGIN.fullmatch(origin):
            raise ValueError(
                "an origin is like https://example.org, without a path, or * for "
                f"every one, and this is {origin!r}"
            )
    if not queue >= 1:
        raise ValueError(f"queue must be 1 or more requests, not {queue!r}")
    for name, seconds in (("timeout", timeout), ("heartbeat", heartbeat)):
        if not seconds > 0:
            raise ValueError(f"{name} must be more than 0 seconds, not {seconds!r}")


def describe(app):
    """The OpenAPI document; with the bounds of the model, as soon as it is loaded."""
    document = get_openapi(
        title=app.title,
        version=__version__,
        summary="A model behind HTTP",
        description=ABOUT,
        routes=app.routes,
    )
    if app.state.served.loaded:
        cfg, tok = app.state.served.cfg, app.state.served.tok
        schemas = document["components"]["schemas"]
        if tok.eot is None:  # a text must begin with something
            schemas["GenerateRequest"]["properties"]["prompt"]["minLength"] = 1
            schemas["AttentionRequest"]["properties"]["text"]["minLength"] = 1
        asked = schemas["AttentionRequest"]["properties"]
        asked["layer"]["anyOf"][0]["maximum"] = cfg.n_layer - 1
        asked["head"]["anyOf"][0]["maximum"] = cfg.n_head - 1
        for name in ("AttentionRequest", "LogitsRequest"):
            ids = schemas[name]["properties"]["ids"]
            ids["items"]["maximum"], ids["maxItems"] = cfg.vocab_size - 1, cfg.n_ctx
    return document
