"""A store of objects of one kind that follows the API server: list, watch, resume, relist.

The first list fills the store; a watch from its version keeps it current, through bookmarks also
where nothing changes. A watch that ends is resumed where it stopped; a version that the server
has forgotten (410) leads to a new list, which is compared with the store, so that nothing that
happened in between is missed. While the server is away the store keeps what it had.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from metallb_py.backoff import API_RETRY
from metallb_py.errors import ApiError, GoneError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.listing import list_objects
from metallb_py.kube.objects import Bookmark, KubeObject, Status, WatchEvent
from metallb_py.kube.resource import Resource

# Shorter than the silence that a client takes for a dead server: where nothing has changed since
# it started, kube-apiserver sends no bookmarks either.
WATCH_SECONDS = 60
GONE = 410

T = TypeVar("T", bound=KubeObject)


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """An object appeared, changed (``new`` differs from ``old``) or is gone (``new`` is None)."""

    key: str
    old: T | None
    new: T | None


@dataclass(frozen=True, slots=True)
class Synced:
    """The first list is complete: everything in it was told."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The API server could not be reached, or refused; told once until it answers again."""

    error: ApiError


@dataclass(frozen=True, slots=True)
class Reachable:
    """The API server answers again."""


ReflectorEvent = Changed[T] | Synced | Unreachable | Reachable


class Reflector(Generic[T]):
    """Keeps ``store`` (by ``namespace/name``) and tells ``on_event`` of every change, in order."""

    def __init__(
        self,
        client: KubeClient,
        resource: Resource[T],
        on_event: Callable[[ReflectorEvent[T]], Awaitable[None]],
    ) -> None:
        self.store: dict[str, T] = {}
        self.synced = False
        self._client = client
        self._resource = resource
        self._on_event = on_event
        self._version = ""
        self._failures = 0
        self._object = msgspec.json.Decoder(resource.view)
        self._watch_event = msgspec.json.Decoder(WatchEvent)

    async def run(self) -> None:
        """Follow the server until cancelled. Failures are told and tried again, for ever."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except GoneError:
                self._version = ""
            except (ApiError, msgspec.MsgspecError) as error:
                await self._failed(error if isinstance(error, ApiError) else ApiError(str(error)))
                await asyncio.sleep(API_RETRY.delay(self._failures, random.random()))

    async def _failed(self, error: ApiError) -> None:
        self._failures += 1
        if self._failures == 1:
            await self._on_event(Unreachable(error))

    async def _succeeded(self) -> None:
        if self._failures:
            self._failures = 0
            await self._on_event(Reachable())

    async def _list(self) -> None:
        listing = await list_objects(self._client, self._resource)
        found = listing.items
        await self._succeeded()
        for key in self.store.keys() - found.keys():
            await self._remove(key)
        for key, item in found.items():
            await self._put(key, item)
        self._version = listing.version
        if not self.synced:
            self.synced = True
            await self._on_event(Synced())

    async def _watch(self) -> None:
        query = {
            **self._resource.selectors,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        started = asyncio.get_running_loop().time()
        async with self._client.watch(self._resource.path, query) as lines:
            await self._succeeded()
            async for line in lines:
                await self._receive(self._watch_event.decode(line))
        if asyncio.get_running_loop().time() - started < 1:
            raise ApiError(f"watch of {self._resource.path}: the server ends it at once")

    async def _receive(self, event: WatchEvent) -> None:
        if event.type == "ERROR":
            status = msgspec.json.decode(event.object, type=Status)
            kind = GoneError if status.code == GONE else ApiError
            raise kind(f"watch of {self._resource.path}: {status.message}", status.code)
        if event.type == "BOOKMARK":
            self._version = msgspec.json.decode(
                event.object, type=Bookmark
            ).metadata.resource_version
            return
        item = self._object.decode(event.object)
        self._version = item.metadata.resource_version
        if event.type == "DELETED":
            await self._remove(item.key)
        else:
            await self._put(item.key, item)

    async def _put(self, key: str, item: T) -> None:
        old = self.store.get(key)
        self.store[key] = item
        if old is None or old.metadata.resource_version != item.metadata.resource_version:
            await self._on_event(Changed(key, old, item))

    async def _remove(self, key: str) -> None:
        old = self.store.pop(key, None)
        if old is not None:
            await self._on_event(Changed(key, old, None))
