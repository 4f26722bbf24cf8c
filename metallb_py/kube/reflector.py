"""Store of the objects of one kind that follows the API server: list, watch, resume, relist.

The first list fills the store; a watch from its version keeps it current, through bookmarks also
where nothing changes. A watch that ends is resumed where it stopped. A version that has expired on
the server (410) leads to a relist, which is compared with the store, so that no change in between
is missed. While the server is unreachable the store keeps its content.

A failure is retried after a delay that grows until the server has been healthy for a while, and
never before the time that the server requests (Retry-After). A watch that fails repeatedly although
the server answers is abandoned for a relist.

An object that can't be decoded fails neither the list nor the watch: its last good version stays in
the store, or its decodable part where there is none, until a good one arrives or it is deleted.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from metallb_py.backoff import API_RETRY
from metallb_py.errors import ApiError, GoneError, UndecodableError
from metallb_py.kube.client import MESSAGE_LIMIT, KubeClient, bounded_retry_after
from metallb_py.kube.decoding import Damaged, ObjectDecoder, decode_leniently
from metallb_py.kube.listing import decode_object_off_loop, decode_response_off_loop, list_objects
from metallb_py.kube.objects import Bookmark, KubeObject, ObjectMeta, Resource, Status, WatchEvent

# Shorter than the silence after which the client considers the server dead (WATCH_TIMEOUT): where
# nothing has changed since it started, kube-apiserver sends no bookmarks either.
WATCH_SECONDS = 60
GONE = 410
HEALTHY_SECONDS = 60.0
"""Seconds without a failure after which the delays start from the first again."""
WATCH_FAILURES = 3
"""Number of consecutive failed watches that leads to a relist."""
BUSY = (429, 503)
"""Statuses of an overloaded server: no reason for a relist, which costs it more than a watch."""

T = TypeVar("T", bound=KubeObject)


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """An object was added, changed (``new`` differs from ``old``) or deleted (``new`` is None)."""

    key: str
    old: T | None
    new: T | None


@dataclass(frozen=True, slots=True)
class Synced:
    """The first list is complete: a Changed was reported for every object in it."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The API server is unreachable, or refuses; reported once until it answers again."""

    error: ApiError


@dataclass(frozen=True, slots=True)
class Reachable:
    """The API server answers again."""


class InForce(Enum):
    """Part of an object that stays in force although it can't be decoded, worded for a message."""

    LAST_GOOD = "its last good version stays in force"
    REST = "the rest of it is in force"
    NOTHING = "it is left out"


@dataclass(frozen=True, slots=True)
class Undecodable:
    """An object can't be decoded completely; reported once for each version of it."""

    kind: str
    """Kind in Kubernetes' spelling, such as ``Service``."""
    key: str
    """``namespace/name``; empty where it can't be decoded."""
    meta: ObjectMeta | None
    """Metadata; None where they can't be decoded."""
    error: str
    """The fields, what was found in them, and what was wanted."""
    in_force: InForce
    """Part of the object that stays in force."""


ReflectorEvent = Changed[T] | Synced | Unreachable | Reachable | Undecodable


class Reflector(Generic[T]):
    """Maintains ``store``, by ``namespace/name``; passes every change to ``on_event`` in order."""

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
        self._watch_failures = 0
        self._failed_at = 0.0
        self._unreachable = False
        self._received_older = (
            False  # an older version than the stored one arrived: a relist decides
        )
        self._reported: dict[str, tuple[str, str, str]] = {}
        self._decoder = ObjectDecoder(resource.view)

    async def run(self) -> None:
        """Follow the server until cancelled. Failures are reported and retried without end."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except ApiError as error:
                await asyncio.sleep(await self._failed(error))

    async def _failed(self, error: ApiError) -> float:
        """Record a failure; return the seconds until the next attempt."""
        now = asyncio.get_running_loop().time()
        if now - self._failed_at > HEALTHY_SECONDS:
            self._failures = 0
        self._failures += 1
        must_relist = self._received_older or self._watch_failures >= WATCH_FAILURES
        if must_relist or isinstance(error, GoneError):
            self._version, self._watch_failures, self._received_older = "", 0, False
        if not self._unreachable and (
            self._failures >= WATCH_FAILURES or not isinstance(error, GoneError)
        ):
            self._unreachable = True
            await self._on_event(Unreachable(error))
        delay = error.delay(API_RETRY.delay(self._failures, random.random()))
        self._failed_at = now + delay
        return delay

    async def _succeeded(self) -> None:
        if self._unreachable:
            self._unreachable = False
            await self._on_event(Reachable())

    async def _list(self) -> None:
        listing = await list_objects(self._client, self._resource)
        await self._succeeded()
        present = listing.items.keys() | {each.key for each in listing.damaged}
        # An object without a name may be any of the missing ones, so none counts as deleted.
        if "" not in present:
            for key in self.store.keys() - present:
                await self._remove(key)
        for item in listing.items.values():
            await self._put(item)
        for damaged in listing.damaged:
            await self._put_damaged(damaged)
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
        opened = False
        try:
            async with self._client.watch(self._resource.path, query) as lines:
                opened = True
                await self._follow(lines)
        except ApiError as error:
            if error.status not in BUSY and (opened or error.status):
                self._watch_failures += 1
            raise
        self._watch_failures = 0
        await self._succeeded()

    async def _follow(self, lines: AsyncIterator[bytes]) -> None:
        """Process the events of a watch, in order, until it ends.

        Raises ApiError where an older version arrived, or where the watch ended at once.
        """
        now = asyncio.get_running_loop().time
        started, version = now(), self._version
        if not self._watch_failures:
            await self._succeeded()
        async for line in lines:
            await self._receive(line)
            if self._version != version:
                self._watch_failures = 0
        if self._received_older:
            raise ApiError(
                f"watch of {self._resource.path}: found an older version than the stored one"
            )
        if now() - started < 1:
            raise ApiError(f"watch of {self._resource.path}: the server ended it within a second")

    async def _receive(self, line: bytes) -> None:
        event = await decode_response_off_loop(line, WatchEvent)
        if event.type == "ERROR":
            raise self._error(event)
        await self._succeeded()
        match event.type:
            case "BOOKMARK":
                with suppress(UndecodableError):  # it only names the version to resume from
                    bookmark = decode_leniently(event.object, Bookmark)
                    self._advance(bookmark.metadata.resource_version)
            case "ADDED" | "MODIFIED" | "DELETED":
                await self._receive_object(event)
            case _:
                pass  # an event type of a later version of the API

    def _error(self, event: WatchEvent) -> ApiError:
        status = decode_leniently(event.object, Status)
        text = f"watch of {self._resource.path}: {status.code} {status.message[:MESSAGE_LIMIT]}"
        if status.code == GONE:
            return GoneError(text, GONE)
        seconds = status.details.retry_after_seconds if status.details else None
        return ApiError(text, status.code, bounded_retry_after(seconds))

    async def _receive_object(self, event: WatchEvent) -> None:
        item = await decode_object_off_loop(self._decoder, event.object)
        meta = item.meta if isinstance(item, Damaged) else item.metadata
        old = self.store.get(meta.key) if meta is not None else None
        if event.type == "DELETED":
            if meta is None:
                self._version = ""
                raise UndecodableError(
                    f"watch of {self._resource.path}: an object without a name was deleted"
                )
            if old is not None and _is_same(old.metadata, meta):
                await self._remove(meta.key)
        elif meta is not None and old is not None and _is_outdated(meta, old.metadata):
            self._received_older = True
        elif isinstance(item, Damaged):
            await self._put_damaged(item)
        else:
            await self._put(item)
        if meta is not None:
            self._advance(meta.resource_version)

    def _advance(self, version: str) -> None:
        """Resume the watch from this version on, never from an earlier one."""
        if version and not is_older(version, self._version):
            self._version = version

    async def _put(self, item: T) -> None:
        key = item.key
        self._reported.pop(key, None)
        old = self.store.get(key)
        self.store[key] = item
        if old is None or _is_change(old, item):
            await self._on_event(Changed(key, old, item))

    async def _put_damaged(self, damaged: Damaged[T]) -> None:
        """Keep the last good version; without one, store the part that can be decoded."""
        meta, rest = damaged.meta, damaged.item
        old = self.store.get(damaged.key)
        in_force = InForce.NOTHING
        if old is not None and not old.unread and meta is not None and _is_same(old.metadata, meta):
            in_force = InForce.LAST_GOOD
        elif rest is not None:
            in_force = InForce.REST
            self.store[damaged.key] = rest
            if old is None or _is_change(old, rest):
                await self._on_event(Changed(damaged.key, old, rest))
        version = (meta.uid, meta.resource_version) if meta is not None else ("", "")
        report = (*version, damaged.error)
        if self._reported.get(damaged.key) != report:
            self._reported[damaged.key] = report
            kind = self._resource.view.__name__
            await self._on_event(Undecodable(kind, damaged.key, meta, damaged.error, in_force))

    async def _remove(self, key: str) -> None:
        self._reported.pop(key, None)
        old = self.store.pop(key, None)
        if old is not None:
            await self._on_event(Changed(key, old, None))


def is_older(version: str, than: str) -> bool:
    """Whether one resourceVersion is older than another; False unless both are numbers."""
    if not all(text.isascii() and text.isdigit() for text in (version, than)):
        return False
    version, than = version.lstrip("0"), than.lstrip("0")
    return (len(version), version) < (len(than), than)


def _is_same(old: ObjectMeta, new: ObjectMeta) -> bool:
    """Whether two objects of one name are the same object, or may be (no uid)."""
    return old.uid == new.uid or not old.uid or not new.uid


def _is_outdated(new: ObjectMeta, old: ObjectMeta) -> bool:
    return old.uid == new.uid and is_older(new.resource_version, old.resource_version)


def _is_change(old: T, new: T) -> bool:
    version = new.metadata.resource_version
    if version and version == old.metadata.resource_version:
        return bool(old.unread) and old != new
    return bool(version) or old != new
