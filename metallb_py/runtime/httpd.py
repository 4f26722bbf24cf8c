"""The daemons' HTTP page: ``GET /metrics``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

RENDER_SECONDS = 5


class Httpd:
    """Serves the metrics until cancelled."""

    def __init__(self, host: str, port: int, render: Callable[[], tuple[bytes, str]]) -> None:
        self._host = host
        self._port = port
        self._render = render

    async def run(self, on_error: Callable[[OSError], None]) -> None:
        """Listen and serve. Where that fails, say so and stay: the daemon's work goes on."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=RENDER_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host or None, self._port).start()
        except OSError as error:
            on_error(error)
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.Response:
        body, content_type = self._render()
        return web.Response(body=body, headers={"Content-Type": content_type})
