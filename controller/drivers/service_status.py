"""Writes ``status.loadBalancer`` of services, several at a time, the latest wish for each.

A write names the version of the service that it was decided on. If somebody else wrote since, the
server refuses it, and the core decides again on what is there then.
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
    """A status was written."""

    key: str


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """A status could not be written; decide again."""

    key: str
    error: ApiError


StatusEvent = Written | WriteFailed


class StatusWriter:
    """Writes statuses. Failures are told after the delay that is due before the next attempt."""

    def __init__(
        self, client: KubeClient, on_event: Callable[[StatusEvent], Awaitable[None]]
    ) -> None:
        self._client = client
        self._on_event = on_event
        self._wishes: dict[str, WriteStatus] = {}
        self._ready: asyncio.Queue[str] = asyncio.Queue()  # as long as there are wishes
        self._busy: set[str] = set()
        self._failures: dict[str, int] = {}

    def write(self, wish: WriteStatus) -> None:
        """Have a status written. Returns at once; replaces an earlier wish for the service."""
        key = wish.service.key
        if key not in self._wishes and key not in self._busy:
            self._ready.put_nowait(key)
        self._wishes[key] = wish

    def forget(self, key: str) -> None:
        """Drop what is still to be written for a service that is gone."""
        self._failures.pop(key, None)
        if key in self._busy:
            self._wishes.pop(key, None)

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._work(group), name=f"status writer {number}")

    async def _work(self, group: asyncio.TaskGroup) -> None:
        while True:
            key = await self._ready.get()
            wish = self._wishes.pop(key)
            self._busy.add(key)
            try:
                await self._write(wish)
            except NotFoundError:
                self._failures.pop(key, None)  # deleted meanwhile: the watch will tell
            except ApiError as error:
                failures = self._failures[key] = self._failures.get(key, 0) + 1
                failed = WriteFailed(key, error)
                group.create_task(self._tell_later(failed, error.delay(ITEM_RETRY.delay(failures))))
            else:
                self._failures.pop(key, None)
                await self._on_event(Written(key))
            finally:
                self._busy.discard(key)
                if key in self._wishes:
                    self._ready.put_nowait(key)

    async def _write(self, wish: WriteStatus) -> None:
        meta = wish.service.metadata
        path = f"/api/v1/namespaces/{meta.namespace}/services/{meta.name}/status"
        ingress = [{"ip": str(address)} for address in wish.addresses] or None
        # An update of the status may change annotations, too; a merge patch removes what is null.
        annotations = {POOL_ANNOTATION: wish.pool or None}
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

    async def _tell_later(self, event: WriteFailed, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._on_event(event)
