"""Kubernetes Events (core/v1): what an operator sees in ``kubectl describe``.

A repeated event bumps the count of the first one. An object that makes many is slowed down as
client-go does it: 25 at once, then one in five minutes. What waits is bounded; losing an Event
never matters more than the work that it tells of.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

from metallb_py.errors import ApiError, NotFoundError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.objects import KubeObject
from metallb_py.printable import printable

BURST = 25
REFILL_SECONDS = 300.0
WORKERS = 4
WAITING = 2500  # for each worker
REMEMBERED = 4096
MESSAGE_LIMIT = 1024


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


@dataclass(slots=True)
class _Budget:
    tokens: float
    refilled: float

    def take(self, now: float) -> bool:
        self.tokens = min(BURST, self.tokens + (now - self.refilled) / REFILL_SECONDS)
        self.refilled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


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
        self._told: OrderedDict[tuple[str, ...], _Told] = OrderedDict()
        self._budgets: OrderedDict[str, _Budget] = OrderedDict()
        self.dropped = 0

    def record(self, event: Event) -> None:
        """Have an Event written. Returns at once; drops it where too many wait."""
        # All of one object go through one worker, so that they stay in order and add up.
        queue = self._queues[hash(event.about.uid or event.about.name) % WORKERS]
        try:
            queue.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Write what was recorded, until cancelled. A failure loses that one Event."""
        async with asyncio.TaskGroup() as group:
            for number, queue in enumerate(self._queues):
                group.create_task(self._work(queue), name=f"event writer {number}")

    async def _work(self, queue: asyncio.Queue[Event]) -> None:
        while True:
            event = await queue.get()
            if not self._budget(event.about).take(time.monotonic()):
                self.dropped += 1
                continue
            try:
                await self._write(event)
            except ApiError:
                self.dropped += 1

    async def _write(self, event: Event) -> None:
        about = event.about
        namespace = about.namespace or "default"
        path = f"/api/v1/namespaces/{namespace}/events"
        who = (about.kind, about.namespace, about.name, about.uid)
        identity = (*who, event.type, event.reason, event.message)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        told = self._told.get(identity)
        if told is not None:
            self._told.move_to_end(identity)
            try:
                bump = {"count": told.count + 1, "lastTimestamp": now}
                await self._client.patch(f"{path}/{told.name}", bump)
            except NotFoundError:  # Events expire after an hour
                del self._told[identity]
            else:
                told.count += 1
                return
        name = f"{about.name}.{time.time_ns():x}"
        await self._client.create(path, self._body(event, name, namespace, now))
        self._told[identity] = _Told(name, 1)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    def _body(self, event: Event, name: str, namespace: str, now: str) -> dict[str, object]:
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
            "message": _shortened(event.message),
            "source": {"component": self._component},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }

    def _budget(self, about: ObjectReference) -> _Budget:
        key = f"{about.kind}/{about.namespace}/{about.name}/{about.uid}"
        budget = self._budgets.setdefault(key, _Budget(BURST, time.monotonic()))
        self._budgets.move_to_end(key)
        if len(self._budgets) > REMEMBERED:
            self._budgets.popitem(last=False)
        return budget


def _shortened(message: str) -> str:
    """Return it as printable text, cut to what the API server accepts, in bytes of UTF-8."""
    text = printable(message)
    data = text.encode()
    if len(data) <= MESSAGE_LIMIT:
        return text
    return data[: MESSAGE_LIMIT - 4].decode(errors="ignore") + " ..."
