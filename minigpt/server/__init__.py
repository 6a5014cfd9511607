"""A model that writes for many at once, by HTTP. Chapter: serving.

>>> import requests
>>> with mg.server.start("tales") as server:
...     body = {"prompt": "Once there was", "strategy": "top-k", "seed": 1}
...     text = requests.post(server.url + "/api/generate", json=body).json()

FastAPI describes and checks what comes in, uvicorn speaks HTTP, sse-starlette sends
events. They are the extra ``serve``, and ``import minigpt`` leaves them alone.
"""

try:
    import fastapi  # noqa: F401
    import sse_starlette  # noqa: F401
    import uvicorn  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"minigpt.server needs {error.name}, which is not here: "
        'pip install "minigpt[serve]", or pip install -e ".[serve]" in a checkout',
        name=error.name,
    ) from error

from minigpt.server.app import create_app
from minigpt.server.running import Server, start

__all__ = ["Server", "create_app", "start"]
