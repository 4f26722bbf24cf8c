"""Kubernetes Events (core/v1), as shown by ``kubectl describe``.

A repeated Event increments the count of the first one. An object with many Events is rate limited
as in client-go: 25 at once, then one in five minutes; the count includes those that were not
written. All objects together are limited, too, as a user with the permission can create new ones
without limit. The queues are bounded: losing an Event never matters more than the work it reports.

They are no ``workqueue.WorkQueue``: an Event does not replace an earlier one of its object, and is
not retried.
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
WAITING = 2500  # queued Events of each worker
REMEMBERED = 4096  # Events that can be incremented, as in client-go
MESSAGE_LIMIT = 1024
NAME_LIMIT = 230  # of 253 characters, which leaves room for the time


class EventType(StrEnum):
    """Type of an Event."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """Object that an Event is about (``involvedObject``)."""

    kind: str
    """Kind in Kubernetes' spelling, such as ``Service``."""
    namespace: str
    """Namespace; empty for a cluster-scoped object."""
    name: str
    """Name of the object."""
    uid: str = ""
    """Uid of the object; empty if unknown."""
    resource_version: str = ""
    """Version of the object that was read; empty if unknown."""

    @classmethod
    def to(cls, kind: str, item: KubeObject) -> ObjectReference:
        """Return a reference to an object, in the version that was read."""
        meta = item.metadata
        return cls(kind, meta.namespace, meta.name, meta.uid, meta.resource_version)


@dataclass(frozen=True, slots=True)
class Event:
    """One occurrence to record."""

    about: ObjectReference
    type: EventType
    reason: str
    message: str


_Identity = tuple[str, ...]


@dataclass(slots=True)
class _Written:
    """An Event on the API server: its name and its current count."""

    name: str
    count: int


class EventRecorder:
    """Writes Events in the background, with one component as their source."""

    def __init__(self, client: KubeClient, component: str) -> None:
        self._client = client
        self._component = component
        self._queues = [asyncio.Queue[Event](WAITING) for _ in range(WORKERS)]
        self._written: OrderedDict[_Identity, _Written] = OrderedDict()
        self._limiter = RateLimiter(OF_AN_OBJECT, OF_ALL, REMEMBERED)
        self._suppressed: OrderedDict[_Identity, int] = OrderedDict()
        self.dropped = 0

    def record(self, event: Event) -> None:
        """Queue an Event. Returns at once; drops the Event where there are too many."""
        event = replace(event, message=_fit(event.message))
        # Before the queue, so that Events that are never written take no room of other objects.
        if self._limiter.admit(_object(event.about), time.monotonic()) is None:
            self._suppress(event)
            return
        # All Events of an object go through one worker, which keeps their order and their count.
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
        """Write recorded Events until cancelled. A failed request loses an Event, not its count."""
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
        written = self._written.get(identity)
        if written is not None:
            self._written.move_to_end(identity)
            try:
                increment = {"count": written.count + count, "lastTimestamp": now}
                await self._client.patch(f"{path}/{written.name}", increment)
            except NotFoundError:  # Events expire after an hour
                self._written.pop(identity, None)  # may have been evicted meanwhile
            else:
                written.count += count
                return
        name = f"{about.name[:NAME_LIMIT]}.{time.time_ns():x}"
        await self._client.create(path, self._body(event, name, namespace, now, count))
        self._written[identity] = _Written(name, count)
        if len(self._written) > REMEMBERED:
            self._written.popitem(last=False)

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
    """Return a message as printable text, truncated to MESSAGE_LIMIT bytes of UTF-8.

    The API server accepts no longer ones.
    """
    data = printable(message[: MESSAGE_LIMIT + 1]).encode()  # no character takes less than a byte
    if len(data) <= MESSAGE_LIMIT:
        return data.decode()
    return data[: MESSAGE_LIMIT - 4].decode(errors="ignore") + " ..."
