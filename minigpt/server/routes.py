"""What the server answers: text whole and in pieces, tokens, attention, its health."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from minigpt import __version__
from minigpt.server import bodies, looking, writing
from minigpt.server.errors import CLOSING, busy, refuse
from minigpt.server.served import Served

REASON = "Finish-Reason"
BYTES = "application/octet-stream"
NUMBERS = {"type": "string", "format": "binary"}
EVENT = {
    "type": "object",
    "description": "One of the events.",
    "properties": {
        "event": {"type": "string", "enum": ["message", "done"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["data"],
}
RETRY = {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds."}}
PROBLEMS = {
    413: "The body is too large.",
    415: "The body is no JSON.",
    421: "The request is meant for another host.",
    422: "Something does not fit: the sentence says what, and what would do.",
    503: "The model is being loaded, too many requests wait, or the server is being "
    "closed.",
}


def problems(*statuses):
    """The errors that an endpoint may answer with, for its description."""
    return {
        status: {"model": bodies.Problem, "description": PROBLEMS[status]}
        | ({"headers": RETRY} if status == 503 else {})
        for status in statuses
    }


def ready(request: Request):
    """The model, loaded; raises a 503 while it is not."""
    served = request.app.state.served
    served.check()
    return served


router = APIRouter(responses=problems(421))
Model = Annotated[Served, Depends(ready)]
ASKED = problems(413, 415, 422, 503)


def sends(kind, schema, **more):
    """The description of an answer of a kind that FastAPI does not see by itself."""
    return {200: {"content": {kind: {"schema": schema}}, **more}}


@router.post(
    "/api/generate",
    response_model=bodies.GenerateAnswer,
    summary="Continue a text",
    response_description="The whole text.",
    tags=["writing"],
    responses={
        200: {
            "headers": {
                REASON: {
                    "schema": {"enum": ["end", "length", "time"], "type": "string"},
                    "description": "Why the text ends: at the model's end token, at "
                    "max_tokens, or because the time was over.",
                }
            }
        },
        **ASKED,
    },
)
async def generate(body: bodies.GenerateRequest, request: Request, served: Model):
    """The prompt with what follows it, when all of it is written. What is written when
    the time is over is sent, too."""
    text, params, reason = await writing.whole(
        served, request, body, request.app.state.timeout
    )
    answer = {"generated_text": body.prompt + text, "prompt": body.prompt}
    return JSONResponse(answer | {"params": params}, headers={REASON: reason})


@router.post(
    "/api/stream",
    response_class=Response,
    summary="Continue a text, token by token",
    response_description="The events.",
    tags=["writing"],
    responses={**sends("text/event-stream", EVENT), **ASKED},
)
async def stream(body: bodies.GenerateRequest, request: Request, served: Model):
    """Server-sent events: `data: {"id", "token", "prob"}` for each token, and a last
    `event: done` with `data: {"reason"}`.

    `token` is the text that became certain with it, which may be empty where it is a
    part of a character; joined, they are what follows the prompt. `prob` is the
    probability that it was drawn with. `reason` is "end" (the model's end token),
    "length" (max_tokens), "time" (that a request may take), "closed" (the server is
    being closed), "cancelled" or "error", with a sentence in `detail`.
    """
    state = request.app.state
    begun, _ = await writing.begin(served, body, each=True)
    text = writing.Text(served.tok, body.max_tokens)
    return writing.TokenEvents(begun, text, state.timeout, state.heartbeat)


@router.post(
    "/api/tokenize",
    response_model=bodies.TokenizeAnswer,
    summary="Cut a text into tokens",
    response_description="The tokens.",
    tags=["looking"],
    responses=ASKED,
)
async def tokenize(body: bodies.TextRequest, request: Request, served: Model):
    """The ids of a text as it stands, and the text of each."""
    args = looking.tokenize, served, body.text
    return JSONResponse(await computed(request, served, *args))


@router.post(
    "/api/attention",
    response_model=bodies.AttentionAnswer,
    summary="Where the tokens of a text look",
    response_description="The weights.",
    tags=["looking"],
    responses={**sends(BYTES, NUMBERS), **ASKED},
)
async def attention(body: bodies.AttentionRequest, request: Request, served: Model):
    """The weights of one head, of a layer's heads, of one head in each layer, or of all
    of them: at most 1,048,576 numbers. An exported model has none to show.

    A client that accepts `application/octet-stream` gets the weights alone: float32,
    little-endian, (L, H, T, T).
    """
    if callable(served.params):
        raise refuse(
            "an exported model gives logits and shows no attention: serve the model "
            "that it was made from"
        )
    raw = BYTES in request.headers.get("accept", "")
    function = looking.attention_numbers if raw else looking.attention
    content = await computed(request, served, function, served, body)
    return Response(content, media_type=BYTES if raw else "application/json")


@router.post(
    "/api/logits",
    response_class=Response,
    summary="Logits for the token after some ids",
    response_description="The logits.",
    tags=["looking"],
    responses={
        **sends(BYTES, NUMBERS),
        **ASKED,
    },
)
async def logits(body: bodies.LogitsRequest, request: Request, served: Model):
    """One float32, little-endian, for each token of the vocabulary."""
    found = await computed(request, served, served.reader.logits, body.ids)
    return Response(found.astype("<f4").tobytes(), media_type=BYTES)


@router.get(
    "/api/model",
    summary="The model's numbers",
    response_description="The model.",
    responses=problems(503),
)
async def model(request: Request, served: Model):
    """Its name, its configuration, its number of parameters, and its tokenizer."""
    content = await computed(request, served, looking.about, served)
    return Response(content, media_type="application/json")


@router.get(
    "/health",
    response_model=bodies.Health,
    response_model_exclude_none=True,
    response_description="It answers.",
)
async def health(request: Request):
    """Whether the server is well, and whether its model is loaded."""
    served = request.app.state.served
    batcher = served.batcher
    return {
        "status": "ok" if served.error is None else "failed",
        "model_loaded": served.loaded,
        "model": served.name,
        "version": __version__,
        "running": batcher.running if batcher else 0,
        "queued": batcher.queued if batcher else 0,
        "detail": served.problem,
    }


async def computed(request, served, function, *args):
    """What a function of the model gives; a 422 with what it does not take. Nothing is
    computed for a client that went away before its turn, or after the server's end."""
    future = served.aside(function, *args)
    try:
        await writing.first_of(future, request)
        if not future.done():
            raise HTTPException(503, "the client is gone")  # to be read by nobody
        if future.cancelled():  # by the end of the server, which it waited to see
            raise busy(CLOSING)
        return future.result()
    except ValueError as error:
        raise refuse(str(error)) from error
    finally:
        future.cancel()
