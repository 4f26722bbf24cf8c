"""The command-line tools, run as a user runs them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from aiohttp import web
from support.kube.api import Api


async def command(api: Api, *arguments: str, text: str = "") -> tuple[int, str]:
    """Run a command against an API server; return its exit status and output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "metallb_py.cli",
        *arguments,
        "--kubeconfig",
        str(api.kubeconfig),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(text.encode())
    assert process.returncode is not None
    return process.returncode, output.decode()


def forbidding(*paths: str) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Return a middleware that refuses these paths with 403, as for missing permissions."""

    @web.middleware
    async def refuse(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path in paths:
            return web.json_response({"kind": "Status", "message": "no rights"}, status=403)
        return await handler(request)

    return refuse
