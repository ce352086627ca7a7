"""A stranger's web server on loopback that answers as a test says, over real sockets."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Answer = Callable[[Request], Awaitable[Response]]


@asynccontextmanager
async def far_server(
    answer: Answer, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncGenerator[str]:
    """Serve every path with `answer`; the value is the server's URL.

    Args:
        address: where it listens.
        tls: to be served by https.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind((address, 0))

    async def endpoint(request: Request) -> Response:
        return await answer(request)

    app = Starlette(routes=[Route("/{path:path}", endpoint)])
    config = uvicorn.Config(
        app, access_log=False, log_config=None, lifespan="off", timeout_graceful_shutdown=1
    )
    config.load()
    config.ssl = tls
    server = uvicorn.Server(config)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            try:
                host = f"[{address}]" if ":" in address else address
                scheme = "http" if tls is None else "https"
                yield f"{scheme}://{host}:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True
    finally:
        listener.close()
