"""HTTP client of the Kubernetes API: sends and returns bytes; the caller decodes what it needs."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self
from urllib.parse import urlencode

import aiohttp
import msgspec

from metallb_py.errors import (
    ApiError,
    ConflictError,
    GoneError,
    NotFoundError,
    OversizedError,
    UndecodableError,
)
from metallb_py.kube.credentials import Access, in_cluster
from metallb_py.kube.decoding import decode_leniently
from metallb_py.kube.fence import Fence
from metallb_py.kube.kubeconfig import load
from metallb_py.kube.objects import Status

MERGE_PATCH = "application/merge-patch+json"
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
# A watch is requested for a minute at a time; longer silence means that the server is gone.
WATCH_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=75)
USER_AGENT = "metallb-py"
CONNECTIONS = 100
READ_BUFFER = 2 << 20
"""Bytes that are buffered for the reader of a watch before the server is slowed down (TCP)."""
MAX_LINE = 16 << 20
MAX_BODY = 32 << 20
"""Bytes of a response. A list that is longer is read in smaller pages."""
MAX_ERROR_BODY = 64 << 10
MESSAGE_LIMIT = 1024
RETRY_AFTER_LIMIT = 60.0
"""Longest Retry-After that is respected, in seconds."""
UNAUTHORIZED = 401

_ERRORS = {404: NotFoundError, 409: ConflictError, 410: GoneError}


class KubeClient:
    """Client of one API server. Every method raises ApiError or a subclass of it."""

    def __init__(self, access: Access, fence: Fence | None = None) -> None:
        self._fence = fence or Fence()
        self._access = access
        self._traces = [] if fence is None else [_check_fence_before_send(fence)]
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    async def connect(
        cls, kubeconfig: str = "", on_problem: Callable[[str], None] = lambda _: None
    ) -> Self:
        """Return a client with the credentials of a file, or of the pod if no file is named.

        Sends nothing. ``on_problem`` is called when a token file becomes unreadable, once until it
        is readable again; the last token stays in use.
        """
        try:
            if kubeconfig:
                return cls(await load(kubeconfig, on_problem))
            pod = in_cluster(on_problem)
            tls = ssl.create_default_context(cafile=pod.authority)
            return cls(Access(pod.host, tls, token=pod.token))
        except (OSError, ValueError) as error:
            where = f"kubeconfig {kubeconfig}" if kubeconfig else "in-cluster configuration"
            raise ApiError(f"{where}: {error}") from error

    def fenced(self, fence: Fence) -> Self:
        """Return another client, with its own connections, that writes only while a fence is open.

        Writes after the fence closes are not sent and block until cancelled: their sender is no
        longer permitted to write, and is about to be cancelled.
        """
        return type(self)(self._access, fence)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """Read one object or one page of a list."""
        return await self._read("GET", path, query=query)

    async def create(self, path: str, body: Mapping[str, object]) -> bytes:
        """Create an object in a collection."""
        return await self._write("POST", path, body)

    async def replace(self, path: str, body: Mapping[str, object]) -> bytes:
        """Replace an object."""
        return await self._write("PUT", path, body)

    async def patch(self, path: str, body: Mapping[str, object]) -> bytes:
        """Apply a merge patch (RFC 7386); with a resourceVersion, only to that version."""
        return await self._write("PATCH", path, body, MERGE_PATCH)

    async def delete(self, path: str, uid: str, version: str) -> bytes:
        """Delete an object, provided that it has this uid and this resourceVersion."""
        preconditions = {"uid": uid, "resourceVersion": version}
        return await self._write("DELETE", path, {"preconditions": preconditions})

    @asynccontextmanager
    async def watch(
        self, path: str, query: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch; the context's value iterates over its lines until the server ends it."""
        async with self._request("GET", path, query=query, limits=WATCH_TIMEOUT) as response:
            yield _lines(path, response)

    async def _write(
        self,
        method: str,
        path: str,
        body: Mapping[str, object],
        content_type: str = "application/json",
    ) -> bytes:
        try:
            return await self._read(method, path, body=body, content_type=content_type)
        except ApiError as error:
            self._fence.has_unconfirmed_write |= error.status == 0 or error.status >= 500
            raise
        except asyncio.CancelledError:
            self._fence.has_unconfirmed_write = True
            raise

    async def _read(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        async with self._request(
            method, path, query=query, body=body, content_type=content_type
        ) as response:
            return await _read_all(f"{method} {path}", response, MAX_BODY)

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        content_type: str = "application/json",
        limits: aiohttp.ClientTimeout = REQUEST_TIMEOUT,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = f"{self._access.server}{path}"
        if query:
            url += "?" + urlencode(query)
        try:
            response = await self._send(method, url, body, content_type, limits)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _unreachable(method, path, error) from error
        try:
            async with response:
                await _raise_for_status(method, path, response)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(method, path, error) from error

    async def _send(
        self,
        method: str,
        url: str,
        body: Mapping[str, object] | None,
        content_type: str,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Send a request; if the server rejects the token (401), repeat it with a newer one."""
        headers = {
            "Accept": "application/json",
            "Content-Type": content_type,
            "User-Agent": USER_AGENT,
        }
        while True:
            token = await self._authorization()
            with_token = {**headers, "Authorization": token} if token else headers
            response = await self._connections.request(
                method,
                url,
                headers=with_token,
                data=None if body is None else msgspec.json.encode(body),
                timeout=limits,
                proxy=self._access.proxy,
                server_hostname=self._access.server_name,
            )
            if response.status != UNAUTHORIZED or self._access.token is None:
                return response
            if not self._access.token.refused(token, time.monotonic()):
                return response
            response.close()

    async def _authorization(self) -> str:
        if self._access.token is not None:
            return self._access.token.header(time.monotonic())
        return await self._access.authorization()

    @property
    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS, ssl=True if self._access.tls is None else self._access.tls
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                trust_env=True,
                read_bufsize=READ_BUFFER,
                trace_configs=self._traces,
            )
        return self._session


def bounded_retry_after(seconds: float | None) -> float | None:
    """Limit the seconds of a Retry-After to 0 ... RETRY_AFTER_LIMIT; None stays None."""
    return None if seconds is None else min(max(0.0, seconds), RETRY_AFTER_LIMIT)


def _check_fence_before_send(fence: Fence) -> aiohttp.TraceConfig:
    """Return a trace that checks the fence right before a request's body goes to the kernel.

    Before that a request waits more than once: for a connection, for the event loop. A process
    that is suspended there must not send the request when it resumes.
    """

    async def check(*_: object) -> None:
        if not fence.is_open():
            await asyncio.get_running_loop().create_future()

    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(check)
    return trace


def _unreachable(method: str, path: str, error: Exception) -> ApiError:
    return ApiError(f"{method} {path}: {str(error) or type(error).__name__}")


async def _lines(path: str, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = bytearray()
    async for chunk in response.content.iter_any():
        end = chunk.rfind(b"\n")
        if end >= 0:
            rest += chunk[:end]
            whole, rest = bytes(rest), bytearray(chunk[end + 1 :])
            for line in whole.split(b"\n"):
                if line:
                    yield line
        else:
            rest += chunk
        if len(rest) > MAX_LINE:
            raise ApiError(f"watch of {path}: a line exceeds {MAX_LINE} bytes")


async def _read_all(what: str, response: aiohttp.ClientResponse, limit: int) -> bytes:
    found = bytearray()
    async for chunk in response.content.iter_any():
        found += chunk
        if len(found) > limit:
            raise OversizedError(f"{what}: found more than {limit} bytes", response.status)
    return bytes(found)


async def _raise_for_status(method: str, path: str, response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    body = b""
    try:
        body = await _read_all(f"{method} {path}", response, MAX_ERROR_BODY)
        message = decode_leniently(body, Status).message[:MESSAGE_LIMIT]
    except OversizedError:
        message = f"a response of more than {MAX_ERROR_BODY} bytes"
    except UndecodableError:
        message = body[:200].decode(errors="replace")
    kind = _ERRORS.get(response.status, ApiError)
    text = f"{method} {path}: {response.status} {response.reason}: {message}"
    raise kind(text, response.status, _retry_after(response))


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110 section 10.2.3), None without one.

    A date is compared with the server's own clock where the response has a Date.
    """
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return bounded_retry_after(float(text[:9]))
    then = _date(text)
    if then is None:
        return None
    now = _date(response.headers.get("Date", "")) or datetime.now(UTC)
    return bounded_retry_after((then - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
