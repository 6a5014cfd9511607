"""The pages: the explorers, the description of the addresses, and what they load."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from minigpt.server import docs
from minigpt.server.routes import problems

# No answer is taken for another kind than it is, nor from a cache without asking.
HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
# The description takes nothing from anywhere else, and stands in nobody's frame.
DOCS = {
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' data: blob:; "
    "frame-ancestors 'none'"
}

router = APIRouter(include_in_schema=False, responses=problems(421))


@router.get("/")
async def explorers(request: Request):
    """The page with the explorers."""
    from minigpt.server import page

    headers = HEADERS | {"Content-Security-Policy": page.POLICY}
    return HTMLResponse(page.html(request.app.state.served.name), headers=headers)


@router.get("/docs")
async def description(request: Request):
    """The page that describes all addresses."""
    return HTMLResponse(docs.html(request.app.openapi()), headers=HEADERS | DOCS)


@router.get("/widgets.js")
def script():
    """The script of the page with the explorers."""
    from minigpt.server import page

    return Response(page.script(), media_type="text/javascript", headers=HEADERS)


@router.get("/widgets.css")
def style():
    """Its style sheet."""
    from minigpt.server import page

    return Response(page.style(), media_type="text/css", headers=HEADERS)
