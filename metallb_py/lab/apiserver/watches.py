"""Watches: changes sent as they happen, in one response that stays open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from metallb_py.errors import ApiError, GoneError
from metallb_py.lab.apiserver import tables
from metallb_py.lab.apiserver.resources import Resource
from metallb_py.lab.apiserver.selectors import selection
from metallb_py.lab.apiserver.store import Change, Object, Store, metadata

BOOKMARK_SECONDS = 30
LONGEST_SECONDS = 3600
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class Watch:
    """The objects that a client watches, and the response that their changes are sent in."""

    store: Store
    """The store whose changes are sent."""
    resource: Resource
    """The kind of the objects."""
    namespace: str
    """The namespace to watch; empty for all of them."""
    selects: Callable[[Object], bool]
    """Whether an object is selected by the request's selectors."""
    as_table: bool
    """Whether objects are sent as tables, for kubectl."""
    response: web.StreamResponse
    """The response, whose headers are sent before the first change."""

    async def send_initial(self) -> int:
        """Send the present objects as added ones; return the version of the list."""
        version = self.store.version
        for item in self.store.list(self.resource, self.namespace):
            if self.selects(item):
                await self._send("ADDED", item)
        return version

    async def send_changes(self, version: int) -> None:
        """Send every change after this version, until cancelled. Raises GoneError."""
        while True:
            for change in self.store.since(version):
                version = change.version
                if self._concerns(change):
                    await self._send(change.type, change.item)
            try:
                async with asyncio.timeout(BOOKMARK_SECONDS):
                    await self.store.wait(version)
            except TimeoutError:
                await self.send_bookmark(version, {})

    async def send_bookmark(self, version: int, annotations: Object) -> None:
        """Send the version from which this watch can be resumed."""
        meta: Object = {"resourceVersion": str(version), "annotations": annotations}
        kind, api_version = self.resource.kind, self.resource.api_version
        await self._write("BOOKMARK", {"kind": kind, "apiVersion": api_version, "metadata": meta})

    async def send_error(self, status: Object) -> None:
        """Send the reason for the end of the watch."""
        await self._write("ERROR", status)

    def _concerns(self, change: Change) -> bool:
        where = metadata(change.item).get("namespace", "")
        here = change.resource is self.resource and self.namespace in ("", where)
        return here and self.selects(change.item)

    async def _send(self, kind: str, item: Object) -> None:
        if self.as_table:
            version = int(str(metadata(item)["resourceVersion"]))
            item = tables.table(self.resource, [item], version, tables.now())
        await self._write(kind, item)

    async def _write(self, kind: str, item: Object) -> None:
        await self.response.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")


async def serve_watch(
    store: Store,
    resource: Resource,
    request: web.Request,
    describe: Callable[[ApiError], Object],
) -> web.StreamResponse:
    """Serve a watch request, until its timeout or until the client closes the connection."""
    query = request.query
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    namespace = request.match_info.get("namespace", "")
    as_table = tables.wants_table(request.headers.get("Accept", ""))
    selects = selection(query)
    watch = Watch(store, resource, namespace, selects, as_table, response)
    version = int(query.get("resourceVersion") or 0)
    with_bookmark = query.get("sendInitialEvents") == "true"
    await response.prepare(request)
    try:
        async with asyncio.timeout(float(query.get("timeoutSeconds") or LONGEST_SECONDS)):
            if version == 0 or with_bookmark:
                version = await watch.send_initial()
            if with_bookmark:
                await watch.send_bookmark(version, {INITIAL_EVENTS_END: "true"})
            await watch.send_changes(version)
    except TimeoutError:
        pass
    except GoneError as error:
        await watch.send_error(describe(error))
    except ConnectionResetError:
        pass  # the client closed the connection, as it does for most watches
    return response
