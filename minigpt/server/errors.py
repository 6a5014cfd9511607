"""Every error is ``{"detail": "a sentence"}``: what came, and what would do."""

import json

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

LONGEST = 500  # characters of a sentence: a mistake is not sent back whole
AGAIN = {"Retry-After": "1"}  # seconds
CLOSING = "the server is being closed: ask again when it is back"
EXAMPLE = '{"prompt": "Once there was"}'
WORDS = {  # pydantic's, and ours
    "Input should be": "must be",
    "a valid dictionary or object to extract fields from": "a JSON object",
    "a valid string": "text",
    "a valid integer": "a whole number",
    "a valid ": "a ",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "more than",
}


def problem(status, sentence, headers=None):
    """The answer to a request that cannot be met."""
    sentence = sentence.encode("utf-8", "backslashreplace").decode()  # lone surrogates
    if len(sentence) > LONGEST:
        sentence = sentence[:LONGEST] + " …"
    return JSONResponse({"detail": sentence}, status, headers)


def refuse(sentence):
    """The exception for a field whose value does not fit."""
    return HTTPException(422, sentence)


def busy(sentence):
    """The exception for what may well go a little later."""
    return HTTPException(503, sentence, AGAIN)


def install(app):
    """Make an app answer all errors like this."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _broken)


async def _invalid(request, error):
    return problem(422, "; ".join(dict.fromkeys(map(_sentence, error.errors()[:3]))))


async def _refused(request, error):
    if error.status_code == 400 and error.__cause__ is not None:  # FastAPI's reading
        return problem(422, f"the body cannot be read as JSON: {error.__cause__}")
    sentences = {
        404: f"there is nothing at {request.url.path}: see /docs",
        405: f"{request.url.path} does not take {request.method}: see /docs",
    }
    sentence = sentences.get(error.status_code, error.detail)
    return problem(error.status_code, sentence, error.headers)


async def _broken(request, error):
    return problem(500, "something broke in the server; its log says what")


def _sentence(error):
    """One of pydantic's errors, in words."""
    place, value = error["loc"][1:], error.get("input")
    name = "".join(f"[{p}]" if isinstance(p, int) else str(p) for p in place)
    match error["type"]:
        case "json_invalid":
            return f"the body is no JSON: {error['ctx']['error']}, at {place[0]}"
        case "missing" if not name:
            return f"the body is missing: send JSON, such as {EXAMPLE}"
        case "missing":
            return f"the field {name} is missing"
        case "extra_forbidden":
            return f"there is no field {name}: see /docs"
        case "string_unicode":
            where = name or "the name of a field"
            return f"{where} has half of a surrogate pair, which is no character"
    if error["type"] == "value_error":
        return f"{name or 'the body'} {error['ctx']['error']}"
    wanted = error["msg"]
    for theirs, ours in WORDS.items():
        wanted = wanted.replace(theirs, ours)
    return f"{name or 'the body'} {wanted}, and is {json.dumps(value):.60}"
