"""Writer of ``status.loadBalancer``: several services at a time, the latest status of each.

A write contains the resource version of the service on which it was decided. If the object was
changed since, the server refuses the write, and the core decides again on the new version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from controller.effects import POOL_ANNOTATION, WriteStatus
from metallb_py.backoff import ITEM_RETRY
from metallb_py.errors import ApiError, NotFoundError
from metallb_py.kube.client import KubeClient

WORKERS = 16


@dataclass(frozen=True, slots=True)
class Written:
    """Success of a status write."""

    key: str


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """Failure of a status write; the core has to decide again."""

    key: str
    error: ApiError


StatusEvent = Written | WriteFailed


class StatusWriter:
    """Writes statuses. A failure is reported after the delay before the next attempt."""

    def __init__(
        self, client: KubeClient, on_event: Callable[[StatusEvent], Awaitable[None]]
    ) -> None:
        self._client = client
        self._on_event = on_event
        self._pending: dict[str, WriteStatus] = {}
        self._ready: asyncio.Queue[str] = asyncio.Queue()  # keys in _pending that are not in _busy
        self._busy: set[str] = set()
        self._failures: dict[str, int] = {}

    def write(self, request: WriteStatus) -> None:
        """Request a write, replacing an earlier request for the service. Return without waiting."""
        key = request.service.key
        if key not in self._pending and key not in self._busy:
            self._ready.put_nowait(key)
        self._pending[key] = request

    def forget(self, key: str) -> None:
        """Drop the pending write and the failures of a deleted service."""
        self._failures.pop(key, None)
        if key in self._busy:  # otherwise the key is queued, and its worker expects a request
            self._pending.pop(key, None)

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._work(group), name=f"status writer {number}")

    async def _work(self, group: asyncio.TaskGroup) -> None:
        while True:
            key = await self._ready.get()
            request = self._pending.pop(key)
            self._busy.add(key)
            try:
                await self._write(request)
            except NotFoundError:
                self._failures.pop(key, None)  # deleted meanwhile: the watch will report it
            except ApiError as error:
                failures = self._failures[key] = self._failures.get(key, 0) + 1
                failed = WriteFailed(key, error)
                group.create_task(
                    self._report_later(failed, error.delay(ITEM_RETRY.delay(failures)))
                )
            else:
                self._failures.pop(key, None)
                await self._on_event(Written(key))
            finally:
                self._busy.discard(key)
                if key in self._pending:
                    self._ready.put_nowait(key)

    async def _write(self, request: WriteStatus) -> None:
        meta = request.service.metadata
        path = f"/api/v1/namespaces/{meta.namespace}/services/{meta.name}/status"
        ingress = [{"ip": str(address)} for address in request.addresses] or None
        # An update of the status may change annotations, too; a merge patch removes what is null.
        annotations = {POOL_ANNOTATION: request.pool or None}
        await self._client.patch(
            path,
            {
                "metadata": {
                    "uid": meta.uid,
                    "resourceVersion": meta.resource_version,
                    "annotations": annotations,
                },
                "status": {"loadBalancer": {"ingress": ingress}},
            },
        )

    async def _report_later(self, event: WriteFailed, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._on_event(event)
