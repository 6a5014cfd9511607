"""The pages: the explorers, the description of the addresses, and what they load."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from minigpt.server import docs
from minigpt.server.routes import problems

# A page of ours takes nothing from anywhere else, and stands in nobody's frame.
HEADERS = {
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' data: blob:; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False, responses=problems(421))


@router.get("/")
async def explorers(request: Request):
    """The page with the explorers."""
    from minigpt.server import page

    return HTMLResponse(page.html(request.app.state.served.name), headers=HEADERS)


@router.get("/docs")
async def description(request: Request):
    """The page that describes all addresses."""
    return HTMLResponse(docs.html(request.app.openapi()), headers=HEADERS)


@router.get("/widgets.js")
def script():
    """The script of the page with the explorers."""
    from minigpt.widgets import bundle

    code = bundle.classic_script("server_page.js")
    return Response(code, media_type="text/javascript", headers=HEADERS)


@router.get("/widgets.css")
def style():
    """Its style sheet."""
    from minigpt.widgets import bundle

    return Response(bundle.style(), media_type="text/css", headers=HEADERS)
