"""An API server of one collection that sends scripted bytes, which need not be valid objects."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from support.net.waiting import TIMEOUT

from metallb_py.kube.client import KubeClient
from metallb_py.kube.credentials import Access, TokenFile

HOST = "127.0.0.1"
DEEP = "[" * 3000 + "]" * 3000
"""Deeply nested JSON that no encoder produces; it replaces ``"DEEP"`` in a text."""


def text_of(item: Any) -> bytes:
    """Return an object as JSON, with each string ``DEEP`` in it replaced by deep nesting."""
    return json.dumps(item).replace('"DEEP"', DEEP).encode()


def service(name: str, version: int = 1, uid: str = "u", **more: Any) -> dict[str, Any]:
    meta = {"namespace": "default", "name": name, "uid": uid, "resourceVersion": str(version)}
    return {
        "metadata": {**meta, **more.pop("metadata", {})},
        "spec": {"type": "LoadBalancer"},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
        **more,
    }


def event(kind: str, item: bytes) -> bytes:
    return b'{"type": "%s", "object": %s}\n' % (kind.encode(), item)


class ScriptedApi:
    """A scripted API server.

    ``answers`` are sent first, one for each request of any kind; then ``items`` are listed. The
    latest watch sends the lines given to ``send``, and ends at None or after an ERROR event.
    """

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.version = "10"
        self.answers: list[web.Response] = []
        self._lines: deque[bytes | None] = deque()
        self.lists: list[float] = []
        self.watches: list[str] = []
        self.tokens: list[str] = []
        self.accepts: str | None = None
        self._changed = asyncio.Event()
        self._closing = False

    def send(self, *lines: bytes | None) -> None:
        self._lines.extend(lines)
        self._wake()

    def _wake(self) -> None:
        """Wake the present waiters for a change; later ones wait for the next change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until_requested(self, lists: int, watches: int = 0) -> None:
        async with asyncio.timeout(TIMEOUT):
            while len(self.lists) < lists or len(self.watches) < watches:
                await self._changed.wait()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        watching = "watch" in request.query
        now = asyncio.get_running_loop().time()
        if watching:
            self.watches.append(request.query["resourceVersion"])
        else:
            self.lists.append(now)
        self.tokens.append(request.headers.get("Authorization", ""))
        self._wake()
        if self.accepts is not None and self.tokens[-1] != self.accepts:
            return web.Response(status=401, text='{"message": "Unauthorized", "code": 401}')
        if self.answers:
            return self.answers.pop(0)
        if not watching:
            first = int(request.query.get("continue", "0"))
            last = first + int(request.query.get("limit", "1000"))
            more = str(last) if last < len(self.items) else ""
            meta = json.dumps({"resourceVersion": self.version, "continue": more}).encode()
            page = b",".join(self.items[first:last])
            body = b'{"metadata": %s, "items": [%s]}' % (meta, page)
            return web.Response(body=body, content_type="application/json")
        response = web.StreamResponse()
        await response.prepare(request)
        number = len(self.watches)
        while number == len(self.watches) and not self._closing:
            if not self._lines:
                await self._changed.wait()
            elif (line := self._lines.popleft()) is None:
                break
            else:
                await response.write(line)
                if b'"ERROR"' in line:
                    break
        return response

    @asynccontextmanager
    async def running(self, token: TokenFile | None = None) -> AsyncIterator[KubeClient]:
        """Run the server for the length of a block; provide a client of it."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        port = runner.addresses[0][1]
        client = KubeClient(Access(f"http://{HOST}:{port}", token=token))
        try:
            yield client
        finally:
            await client.close()
            self._closing = True
            self._wake()
            await runner.cleanup()
