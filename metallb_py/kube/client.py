"""The Kubernetes API over HTTP: bytes out, bytes in.

The Kubernetes client library finds the configuration and the credentials, keeps them fresh and
carries the requests. Its models are left out: the caller decodes what it needs.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config.config_exception import ConfigException
from yaml import YAMLError

from metallb_py.errors import ApiError, ConflictError, GoneError, NotFoundError
from metallb_py.kube.fence import Fence
from metallb_py.kube.objects import Status

MERGE_PATCH = "application/merge-patch+json"
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
# Watches are asked for a minute at a time; longer silence means that nobody is there.
WATCH_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=75)
MAX_LINE = 16 * 1024 * 1024

_ERRORS = {404: NotFoundError, 409: ConflictError, 410: GoneError}


class KubeClient:
    """A connection to one API server. Every method raises ApiError or a subclass of it."""

    def __init__(self, configuration: Configuration, fence: Fence | None = None) -> None:
        self._fence = fence or Fence()
        self._configuration = copy.copy(configuration)
        if fence is not None:
            self._configuration.trace_configs = [_last_look(fence)]
        self._api = ApiClient(self._configuration)
        self._api.user_agent = "metallb-py"

    @classmethod
    async def connect(cls, kubeconfig: str = "") -> Self:
        """Read the credentials: from a file where one is named, else those that a pod has.

        Sends nothing yet.
        """
        configuration = Configuration()
        try:
            if kubeconfig:
                await kube_config.load_kube_config(
                    config_file=kubeconfig, client_configuration=configuration
                )
            else:
                kube_config.load_incluster_config(client_configuration=configuration)
        except (ConfigException, OSError, ValueError, YAMLError) as error:
            where = f"kubeconfig {kubeconfig}" if kubeconfig else "in-cluster configuration"
            raise ApiError(f"{where}: {error}") from error
        return cls(configuration)

    def fenced(self, fence: Fence) -> Self:
        """Return another client, with connections of its own, that writes while a fence is open.

        A write that comes later is never sent, and never ends: who sends it has lost the right to,
        and is about to be cancelled.
        """
        return type(self)(self._configuration, fence)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

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
        """Merge into an object (RFC 7386). With a resourceVersion in it, only onto that version."""
        return await self._write("PATCH", path, body, MERGE_PATCH)

    async def delete(self, path: str, uid: str, version: str) -> bytes:
        """Delete an object, in this version of it and no other."""
        preconditions = {"uid": uid, "resourceVersion": version}
        return await self._write("DELETE", path, {"preconditions": preconditions})

    @asynccontextmanager
    async def watch(
        self, path: str, query: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch; inside, iterate over its lines until the server ends it."""
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
            self._fence.unsure |= error.status == 0 or error.status >= 500
            raise
        except asyncio.CancelledError:
            self._fence.unsure = True
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
            return await response.read()

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
        url = f"{self._configuration.host}{path}"
        if query:
            url += "?" + urlencode(query)
        try:
            headers = {"Accept": "application/json", "Content-Type": content_type}
            headers |= await self._credentials()
            answer = await self._api.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=limits
            )
            response: aiohttp.ClientResponse = answer.response
            async with response:
                await _raise_for_status(method, path, response)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            text = str(error) or type(error).__name__
            raise ApiError(f"{method} {path}: {text}") from error

    async def _credentials(self) -> dict[str, str]:
        token = await self._configuration.get_api_key_with_prefix("BearerToken", "authorization")
        return {"Authorization": token} if token else {}


def _last_look(fence: Fence) -> aiohttp.TraceConfig:
    """Have a fence asked right before a request's body is given to the kernel.

    Before that a request waits for its turn more than once: for a connection, for the event loop.
    A process that stands still there must not send it when it goes on.
    """

    async def look(*_: object) -> None:
        if not fence.is_open():
            await asyncio.get_running_loop().create_future()

    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(look)
    return trace


async def _lines(path: str, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE:
            raise ApiError(f"watch of {path}: a line exceeds {MAX_LINE} bytes")
        for line in lines:
            if line:
                yield line


async def _raise_for_status(method: str, path: str, response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    body = await response.read()
    try:
        message = msgspec.json.decode(body, type=Status).message
    except msgspec.DecodeError:
        message = body[:200].decode(errors="replace")
    kind = _ERRORS.get(response.status, ApiError)
    text = f"{method} {path}: {response.status} {response.reason}: {message}"
    raise kind(text, response.status)
