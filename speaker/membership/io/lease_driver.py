"""Driver of failure detection by Leases: renews this node's Lease, and watches all of them.

If two processes run as the speaker of one node, each takes the Lease from the other: the node is
alive either way. This is reported once, as it must be a mistake.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never

from metallb_py.errors import ApiError, ConflictError, NotFoundError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.decoding import decode
from metallb_py.kube.objects import Lease
from metallb_py.kube.reflector import (
    Changed,
    Reachable,
    Reflector,
    ReflectorEvent,
    Synced,
    Undecodable,
    Unreachable,
)
from metallb_py.kube.resource import Resource
from speaker.membership import lease_detector
from speaker.membership.lease_detector import (
    LABELS,
    PREFIX,
    LeaseFailureDetector,
    MembersChanged,
    Renew,
    Timing,
    node_of,
)

LEAVE_TIMEOUT = 1.0
"""Seconds allowed for deleting the own Lease. If that fails, it expires."""
SILENT_DURATIONS = 2
"""Durations of a Lease after which a watch without an event is restarted, if one is expected."""
UNANSWERED = 8
"""Writes without an answer that are kept: any of them may be carried out late."""
MAX_WRITES = 3
"""Most writes for one renewal: another client may write, or delete, in between."""

_Failure = (ApiError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Holder:
    """Holder of a node's Lease, in the namespace of the speakers' Leases.

    ``identity`` distinguishes this process from any other speaker of the node.
    """

    namespace: str
    node: str
    identity: str


@dataclass(frozen=True, slots=True)
class Contested:
    """Another process, of this identity, took the Lease of this node. Reported only once."""

    identity: str


@dataclass(frozen=True, slots=True)
class Unrenewed:
    """The own Lease could not be written, or deleted. Reported once until it can be."""

    error: ApiError


LeaseEvent = Contested | Unrenewed | Unreachable | Reachable | Undecodable


@dataclass(frozen=True, slots=True)
class Listener:
    """Callbacks, called on the event loop.

    ``on_members`` receives the nodes that are alive, whenever they change; for the first time when
    the first list is complete, and right before ``on_synced``.
    """

    on_members: Callable[[frozenset[str]], None]
    on_synced: Callable[[], None]
    on_event: Callable[[LeaseEvent], None]


class LeaseMembers:
    """Detects the nodes that are alive while ``run`` runs, and keeps this one alive for others.

    ``rng`` returns a random number in [0, 1). By default all speakers have the same ``timing``.
    """

    def __init__(
        self,
        client: KubeClient,
        holder: Holder,
        listener: Listener,
        rng: Callable[[], float],
        timing: Timing | None = None,
    ) -> None:
        timing = timing or Timing()
        self._listener = listener
        self._rng = rng
        self._node = holder.node
        self._timing = timing
        self._now = asyncio.get_running_loop().time
        self._leases = LeaseFailureDetector(holder.node, timing, self._now())
        self._own = _OwnLease(client, holder, timing.duration, self._on_contested)
        resource = Resource(
            _collection(holder.namespace),
            Lease,
            {"labelSelector": ",".join(f"{name}={value}" for name, value in LABELS.items())},
        )
        self._reflector = Reflector(client, resource, self._on_event)
        self._observed: dict[str, Lease | None] = {}
        self._changed = asyncio.Event()
        self._wake = asyncio.Event()
        self._watch_timeout: asyncio.Timeout | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._left = False
        self._listed = False
        self._synced = False
        self._failing = False

    async def run(self) -> None:
        """Renew, watch and report until cancelled. The Lease then stays, as after a crash."""
        async with asyncio.TaskGroup() as group:
            self._renewing = group.create_task(self._renew(), name="lease")
            group.create_task(self._watch(), name="leases")
            group.create_task(self._process(), name="lease-members")

    async def leave(self) -> None:
        """Delete the own Lease within LEAVE_TIMEOUT seconds, so that other nodes take over.

        After that ``run`` no longer renews, but still reports changes of the members.
        """
        self._left = True
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait({self._renewing})
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT):
                await self._own.delete()
        except _Failure as error:
            self._listener.on_event(Unrenewed(_api_error(error)))

    # The own Lease

    async def _renew(self) -> None:
        while not self._left:
            for effect in self._leases.handle_timeout(self._now(), self._rng()):
                match effect:
                    case Renew(within):
                        answer = await self._write(within)
                        self._perform(self._leases.receive(answer, self._now()))
                    case MembersChanged():
                        self._perform((effect,))
                    case _:
                        assert_never(effect)
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._leases.next_deadline()):
                    await self._wake.wait()

    async def _write(self, within: float) -> lease_detector.Renewed | lease_detector.Failed:
        renew_time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self._leases.renewing(renew_time, self._now())
        try:
            async with asyncio.timeout(within):
                await self._own.write(renew_time)
        except _Failure as error:
            if not self._failing:
                self._failing = True
                self._listener.on_event(Unrenewed(_api_error(error)))
            return lease_detector.Failed()
        self._failing = False
        self._expect_event()
        return lease_detector.Renewed()

    def _on_contested(self, identity: str) -> None:
        self._listener.on_event(Contested(identity))

    # All Leases

    async def _watch(self) -> None:
        """Watch all Leases. A watch that does not report our own write is restarted."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None) as self._watch_timeout:
                    await self._reflector.run()

    def _expect_event(self) -> None:
        """Set the watch's timeout: our own write causes an event."""
        timeout = self._watch_timeout
        if timeout is not None and timeout.when() is None:
            timeout.reschedule(self._now() + SILENT_DURATIONS * self._timing.duration)

    def _on_watch_event(self) -> None:
        """Clear the watch's timeout."""
        if self._watch_timeout is not None and not self._watch_timeout.expired():
            self._watch_timeout.reschedule(None)

    async def _on_event(self, event: ReflectorEvent[Lease]) -> None:
        """Record an event. There is no await, so that a list is recorded as a whole."""
        match event:
            case Changed(_, old, new):
                self._on_watch_event()
                for node in {node_of(lease) for lease in (old, new) if lease is not None} - {""}:
                    self._observed[node] = new if new is not None and node_of(new) == node else None
            case Synced():
                self._listed = True
            case Unreachable():
                self._perform(self._leases.receive(lease_detector.Unreachable(), self._now()))
                self._listener.on_event(event)
            case Reachable() | Undecodable():
                self._listener.on_event(event)
            case _:
                assert_never(event)
        self._changed.set()

    async def _process(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            observed, self._observed = self._observed, {}
            own = observed.get(self._node)
            if own is not None:
                self._own.observe(own)
            event = lease_detector.LeasesObserved(observed)
            self._perform(self._leases.receive(event, self._now()))
            self._wake.set()
            if self._listed and not self._synced:
                self._synced = True
                self._listener.on_members(self._leases.alive)
                self._listener.on_synced()

    def _perform(self, effects: tuple[lease_detector.Effect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, MembersChanged) and self._synced:
                self._listener.on_members(effect.alive)


class _OwnLease:
    """This node's Lease, as last read or written."""

    def __init__(
        self,
        client: KubeClient,
        holder: Holder,
        duration: int,
        on_contested: Callable[[str], None],
    ) -> None:
        self._client = client
        self._holder = holder
        self._duration = duration
        self._on_contested = on_contested
        self._collection = _collection(holder.namespace)
        self._path = f"{self._collection}/{PREFIX}{holder.node}"
        self._stored: Lease | None = None
        self._unanswered: deque[str] = deque(maxlen=UNANSWERED)
        self._held = False
        self._contested = False

    async def write(self, renew_time: str) -> None:
        """Create or renew the Lease, whatever its holder. Raises ApiError."""
        self._unanswered.append(renew_time)
        for _ in range(MAX_WRITES):
            body = self._body(renew_time)
            try:
                if self._stored is None:
                    answer = await self._client.create(self._collection, body)
                else:
                    answer = await self._client.replace(self._path, body)
            except ConflictError:
                await self._read()
                self._check_contested()
            except NotFoundError:
                if self._stored is None:
                    raise  # the namespace does not exist
                self._stored = None
            else:
                self._stored = decode(answer, Lease)
                self._unanswered.clear()
                self._held = True
                return
        raise ConflictError(f"{self._path}: conflict with another client at every write", 409)

    async def delete(self) -> None:
        """Delete the Lease, unless another process took or contests it. Raises ApiError."""
        for _ in range(MAX_WRITES):
            await self._read()
            stored = self._stored
            if stored is None or stored.holder != self._holder.identity or self._contested:
                return
            meta = stored.metadata
            with contextlib.suppress(ConflictError, NotFoundError):
                await self._client.delete(self._path, meta.uid, meta.resource_version)
                return

    def observe(self, lease: Lease) -> None:
        """Take the Lease from the watch if it is a write of ours whose answer was lost."""
        if lease.spec.renew_time in self._unanswered and lease.holder == self._holder.identity:
            self._stored = lease

    async def _read(self) -> None:
        try:
            self._stored = decode(await self._client.get(self._path), Lease)
        except NotFoundError:
            self._stored = None

    def _check_contested(self) -> None:
        """Report another holder after we held the Lease; one before that may have crashed."""
        found = self._stored.holder if self._stored is not None else ""
        if self._held and not self._contested and found not in ("", self._holder.identity):
            self._contested = True
            self._on_contested(found)

    def _body(self, renew_time: str) -> dict[str, object]:
        meta: dict[str, object] = {
            "name": f"{PREFIX}{self._holder.node}",
            "namespace": self._holder.namespace,
            "labels": dict(LABELS),
        }
        if self._stored is not None:  # the uid, so that a deleted Lease stays deleted
            meta["uid"] = self._stored.metadata.uid
            meta["resourceVersion"] = self._stored.metadata.resource_version
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": meta,
            "spec": {
                "holderIdentity": self._holder.identity,
                "leaseDurationSeconds": self._duration,
                "renewTime": renew_time,
            },
        }


def _collection(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


def _api_error(error: BaseException) -> ApiError:
    return error if isinstance(error, ApiError) else ApiError(str(error) or "no answer in time")
