"""HTTP port of the daemons: ``/metrics``, and ``/healthz`` and ``/readyz`` for probes.

The probes' text has the form of Kubernetes' own ``/readyz?verbose``. A detail never contains data
of the configuration or of an object, as the endpoints answer every client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from metallb_py.runtime.http_server import HttpServer, Request, Response, listen
from metallb_py.runtime.log import Logger


@dataclass(frozen=True, slots=True)
class Check:
    """One condition. ``detail`` names what is missing where it fails, and quotes no input."""

    name: str
    ok: bool
    detail: str = ""


def render(endpoint: str, checks: Sequence[Check]) -> str:
    """Return the checks, one per line, and the overall result."""
    lines = [
        f"[+]{check.name} ok" if check.ok else f"[-]{check.name} failed: {check.detail}"
        for check in checks
    ]
    passed = all(check.ok for check in checks)
    return "\n".join([*lines, f"{endpoint} check {'passed' if passed else 'failed'}"]) + "\n"


# Share of one CPU that rendering the page takes at most, for any number and size of scrapes.
RENDER_SHARE: Final = 0.1
# Seconds between attempts to listen.
LISTEN_RETRY: Final = 2.0
PATHS: Final = ("/metrics", "/healthz", "/readyz")

# The page and its content type.
Text = tuple[bytes, str]
Render = Callable[[], Text]


@dataclass(frozen=True, slots=True)
class Sources:
    """Sources of the page's content; each is called on the event loop and must be cheap.

    ``collect`` copies the state that the metrics need and returns the function that renders it,
    which runs in a thread. ``live`` and ``ready`` return the checks of the probes.
    """

    collect: Callable[[], Render]
    live: Callable[[], Sequence[Check]]
    ready: Callable[[], Sequence[Check]]


class Page:
    """The metrics as text, rendered once for all requests at about the same time."""

    def __init__(self, collect: Callable[[], Render]) -> None:
        self._collect = collect
        self._text: Text = (b"", "")
        self._fresh_until = 0.0
        self._rendering: asyncio.Task[Text] | None = None

    async def text(self) -> Text:
        """Return the page: the last one while it is fresh, or the next, which requests share."""
        if asyncio.get_running_loop().time() < self._fresh_until:
            return self._text
        if self._rendering is None:
            self._rendering = asyncio.create_task(self._render(), name="metrics page")
        # The first client may disconnect while the others still wait.
        return await asyncio.shield(self._rendering)

    async def _render(self) -> Text:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            # Formatting the series of 10,000 addresses takes long and must not block the loop.
            self._text = await asyncio.to_thread(self._collect())
        finally:
            self._rendering = None
        now = loop.time()
        self._fresh_until = now + (now - started) * (1 / RENDER_SHARE - 1)
        return self._text


class Httpd:
    """Server of the metrics page and the probes."""

    def __init__(self, host: str, port: int, sources: Sources, log: Logger) -> None:
        self._host = host
        self._port = port
        self._sources = sources
        self._page = Page(sources.collect)
        self._server = HttpServer(self._answer, log)

    async def run(self, on_error: Callable[[OSError], None]) -> None:
        """Listen and serve until cancelled. A failure to listen is reported once, and retried."""
        reported = False
        while True:
            try:
                listeners = await listen(self._host, self._port)
            except OSError as error:
                if not reported:
                    on_error(error)
                reported = True
                await asyncio.sleep(LISTEN_RETRY)
            else:
                await self._server.run(listeners)

    async def _answer(self, request: Request) -> Response:
        head = request.head
        if head.path not in PATHS:
            wanted = f"not found: want {' or '.join(PATHS)}\n"
            return Response(wanted.encode(), HTTPStatus.NOT_FOUND)
        if head.method not in ("GET", "HEAD"):
            fields = {"Allow": "GET, HEAD"}
            return Response(b"want GET or HEAD\n", HTTPStatus.METHOD_NOT_ALLOWED, fields=fields)
        if head.path == "/metrics":
            text, content_type = await self._page.text()
            return Response(text, content_type=content_type)
        name = head.path.removeprefix("/")
        checks = self._sources.live() if name == "healthz" else self._sources.ready()
        passed = all(check.ok for check in checks)
        status = HTTPStatus.OK if passed else HTTPStatus.SERVICE_UNAVAILABLE
        return Response(render(name, checks).encode(), status)
