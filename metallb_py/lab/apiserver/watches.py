"""A watch: changes told as they happen, on one response that stays open."""

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
    """What a client watches, and where it hears of it."""

    store: Store
    resource: Resource
    namespace: str
    selects: Callable[[Object], bool]
    as_table: bool
    response: web.StreamResponse

    async def tell_initial(self) -> int:
        """Tell what there is, as if it were added now; return its version."""
        version = self.store.version
        for item in self.store.list(self.resource, self.namespace):
            if self.selects(item):
                await self._tell("ADDED", item)
        return version

    async def tell_changes(self, version: int) -> None:
        """Tell every change after this version, for ever. Raises GoneError."""
        while True:
            for change in self.store.since(version):
                version = change.version
                if self._concerns(change):
                    await self._tell(change.type, change.item)
            try:
                async with asyncio.timeout(BOOKMARK_SECONDS):
                    await self.store.wait(version)
            except TimeoutError:
                await self.tell_bookmark(version, {})

    async def tell_bookmark(self, version: int, annotations: Object) -> None:
        """Tell from which version this watch can be resumed."""
        meta: Object = {"resourceVersion": str(version), "annotations": annotations}
        kind, api_version = self.resource.kind, self.resource.api_version
        await self._write("BOOKMARK", {"kind": kind, "apiVersion": api_version, "metadata": meta})

    async def tell_error(self, status: Object) -> None:
        """Tell why the watch ends."""
        await self._write("ERROR", status)

    def _concerns(self, change: Change) -> bool:
        where = metadata(change.item).get("namespace", "")
        here = change.resource is self.resource and self.namespace in ("", where)
        return here and self.selects(change.item)

    async def _tell(self, kind: str, item: Object) -> None:
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
    """Answer a watch request, until the client has heard enough."""
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
                version = await watch.tell_initial()
            if with_bookmark:
                await watch.tell_bookmark(version, {INITIAL_EVENTS_END: "true"})
            await watch.tell_changes(version)
    except TimeoutError:
        pass
    except GoneError as error:
        await watch.tell_error(describe(error))
    except ConnectionResetError:
        pass  # the client left; that is how most watches end
    return response
