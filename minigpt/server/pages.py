"""The pages: the explorers, the description of the addresses, and what they load."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from minigpt.server import docs, page
from minigpt.server.routes import problems

HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
POLICY = "Content-Security-Policy"

router = APIRouter(include_in_schema=False, responses=problems(421))


@router.get("/")
def explorers(request: Request):
    """The page with the explorers."""
    content = page.html(request.app.state.served.name)
    return HTMLResponse(content, headers=HEADERS | {POLICY: page.POLICY})


@router.get("/docs")
def description(request: Request):
    """The page that describes all addresses."""
    content = docs.html(request.app.openapi())
    return HTMLResponse(content, headers=HEADERS | {POLICY: docs.POLICY})


@router.get("/widgets.js")
def script():
    """The script of the page with the explorers."""
    return Response(page.script(), media_type="text/javascript", headers=HEADERS)


@router.get("/widgets.css")
def style():
    """Its style sheet."""
    return Response(page.style(), media_type="text/css", headers=HEADERS)
