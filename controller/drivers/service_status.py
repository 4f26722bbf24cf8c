"""Writes ``status.loadBalancer`` of services, several at a time, the latest wish for each.

A write names the version of the service that it was decided on. If somebody else wrote since, the
server refuses it, and the core decides again on what is there then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from metallb_py.addresses import IPAddress
from metallb_py.backoff import ITEM_RETRY
from metallb_py.errors import ApiError, NotFoundError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.objects import Service

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
        self._wishes: dict[str, tuple[Service, tuple[IPAddress, ...]]] = {}
        self._ready: asyncio.Queue[str] = asyncio.Queue()  # as long as there are wishes
        self._busy: set[str] = set()
        self._failures: dict[str, int] = {}

    def write(self, service: Service, addresses: tuple[IPAddress, ...]) -> None:
        """Have a status written. Returns at once; replaces an earlier wish for the service."""
        key = service.key
        if key not in self._wishes and key not in self._busy:
            self._ready.put_nowait(key)
        self._wishes[key] = (service, addresses)

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
            service, addresses = self._wishes.pop(key)
            self._busy.add(key)
            try:
                await self._write(service, addresses)
            except NotFoundError:
                self._failures.pop(key, None)  # deleted meanwhile: the watch will tell
            except ApiError as error:
                failures = self._failures[key] = self._failures.get(key, 0) + 1
                failed = WriteFailed(key, error)
                group.create_task(self._tell_later(failed, ITEM_RETRY.delay(failures)))
            else:
                self._failures.pop(key, None)
                await self._on_event(Written(key))
            finally:
                self._busy.discard(key)
                if key in self._wishes:
                    self._ready.put_nowait(key)

    async def _write(self, service: Service, addresses: tuple[IPAddress, ...]) -> None:
        meta = service.metadata
        path = f"/api/v1/namespaces/{meta.namespace}/services/{meta.name}/status"
        ingress = [{"ip": str(address)} for address in addresses] or None
        await self._client.patch(
            path,
            {
                "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
                "status": {"loadBalancer": {"ingress": ingress}},
            },
        )

    async def _tell_later(self, event: WriteFailed, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._on_event(event)
