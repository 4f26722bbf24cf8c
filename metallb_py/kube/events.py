"""Kubernetes Events (core/v1): what an operator sees in ``kubectl describe``.

A repeated event bumps the count of the first one. An object that makes many is slowed down as
client-go does it: 25 at once, then one in five minutes; the count has those that were not written.
All objects together are limited, too, for new ones cost who may create them nothing. What waits is
bounded; losing an Event never matters more than the work that it tells of.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import StrEnum

from metallb_py.errors import ApiError, NotFoundError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.objects import KubeObject
from metallb_py.printable import printable
from metallb_py.rate_limit import Rate, RateLimiter

BURST = 25
OF_AN_OBJECT = Rate(BURST, 1 / 300)
OF_ALL = Rate(20_000, 20)
WORKERS = 4
WAITING = 2500  # for each worker
REMEMBERED = 4096  # as client-go
MESSAGE_LIMIT = 1024
NAME_LIMIT = 230  # of 253, so that there is room for the time


class EventType(StrEnum):
    """Whether all is well."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """The object that an Event is about."""

    kind: str
    namespace: str
    name: str
    uid: str = ""
    resource_version: str = ""

    @classmethod
    def to(cls, kind: str, item: KubeObject) -> ObjectReference:
        """Refer to an object as it was when it was read."""
        meta = item.metadata
        return cls(kind, meta.namespace, meta.name, meta.uid, meta.resource_version)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to tell."""

    about: ObjectReference
    type: EventType
    reason: str
    message: str


_Identity = tuple[str, ...]


@dataclass(slots=True)
class _Told:
    name: str
    count: int


class EventRecorder:
    """Writes Events in the background, under the name of one component."""

    def __init__(self, client: KubeClient, component: str) -> None:
        self._client = client
        self._component = component
        self._queues = [asyncio.Queue[Event](WAITING) for _ in range(WORKERS)]
        self._told: OrderedDict[_Identity, _Told] = OrderedDict()
        self._limiter = RateLimiter(OF_AN_OBJECT, OF_ALL, REMEMBERED)
        self._suppressed: OrderedDict[_Identity, int] = OrderedDict()
        self.dropped = 0

    def record(self, event: Event) -> None:
        """Have an Event written. Returns at once; drops it where there are too many."""
        event = replace(event, message=_fit(event.message))
        # Here, so that what will never be written takes no other object's place in the queue.
        if self._limiter.admit(_object(event.about), time.monotonic()) is None:
            self._suppress(event)
            return
        # All of one object go through one worker, so that they stay in order and add up.
        queue = self._queues[hash(event.about.uid or event.about.name) % WORKERS]
        try:
            queue.put_nowait(event)
        except asyncio.QueueFull:
            self._suppress(event)

    def _suppress(self, event: Event, count: int = 1) -> None:
        """Leave an Event out; the count of the next one of its kind includes it."""
        self.dropped += 1
        identity = _identity(event)
        self._suppressed[identity] = self._suppressed.pop(identity, 0) + count
        if len(self._suppressed) > REMEMBERED:
            self._suppressed.popitem(last=False)

    async def run(self) -> None:
        """Write what was recorded, until cancelled. A failure loses an Event, but not its count."""
        async with asyncio.TaskGroup() as group:
            for number, queue in enumerate(self._queues):
                group.create_task(self._work(queue), name=f"event writer {number}")

    async def _work(self, queue: asyncio.Queue[Event]) -> None:
        while True:
            event = await queue.get()
            count = 1 + self._suppressed.pop(_identity(event), 0)
            try:
                await self._write(event, count)
            except ApiError as error:
                self._suppress(event, count)
                await asyncio.sleep(error.retry_after or 0.0)

    async def _write(self, event: Event, count: int) -> None:
        about = event.about
        namespace = about.namespace or "default"
        path = f"/api/v1/namespaces/{namespace}/events"
        identity = _identity(event)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        told = self._told.get(identity)
        if told is not None:
            self._told.move_to_end(identity)
            try:
                bump = {"count": told.count + count, "lastTimestamp": now}
                await self._client.patch(f"{path}/{told.name}", bump)
            except NotFoundError:  # Events expire after an hour
                self._told.pop(identity, None)  # others may have taken its place meanwhile
            else:
                told.count += count
                return
        name = f"{about.name[:NAME_LIMIT]}.{time.time_ns():x}"
        await self._client.create(path, self._body(event, name, namespace, now, count))
        self._told[identity] = _Told(name, count)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    def _body(
        self, event: Event, name: str, namespace: str, now: str, count: int
    ) -> dict[str, object]:
        about = event.about
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": about.kind,
                "namespace": about.namespace,
                "name": about.name,
                "uid": about.uid,
                "resourceVersion": about.resource_version,
            },
            "type": event.type.value,
            "reason": event.reason,
            "message": event.message,
            "source": {"component": self._component},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": count,
        }


def _object(about: ObjectReference) -> _Identity:
    return about.kind, about.namespace, about.name, about.uid


def _identity(event: Event) -> _Identity:
    return (*_object(event.about), event.type, event.reason, event.message)


def _fit(message: str) -> str:
    """Return it as printable text, cut to what the API server accepts, in bytes of UTF-8."""
    data = printable(message[: MESSAGE_LIMIT + 1]).encode()  # no character takes less than a byte
    if len(data) <= MESSAGE_LIMIT:
        return data.decode()
    return data[: MESSAGE_LIMIT - 4].decode(errors="ignore") + " ..."
