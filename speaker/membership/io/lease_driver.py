"""Renews this node's Lease, watches those of all, and tells who is alive.

Of two processes that think they speak for the same node, each takes the Lease from the other: the
node is alive either way. It is told, once, as it can't be meant.
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
    Leases,
    Members,
    Renew,
    Timing,
    node_of,
)

LEAVE = 1.0
"""Seconds for the own Lease to be deleted; later it expires by itself."""
SILENCE = 2
"""Durations of a Lease after which a watch that tells nothing is no watch."""
UNANSWERED = 8
"""Writes without an answer to remember: any may be carried out late."""
TRIES = 3
"""Writes at most for one renewal: somebody else may write, or delete, in between."""

_Failure = (ApiError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose Lease it is: that of a node, in the namespace of the speakers' Leases.

    ``identity`` tells this process from any other that speaks for the node.
    """

    namespace: str
    node: str
    identity: str


@dataclass(frozen=True, slots=True)
class Contested:
    """Another process, of this identity, took the Lease of this node; told once and no more."""

    identity: str


@dataclass(frozen=True, slots=True)
class Unrenewed:
    """The own Lease could not be written, or deleted; told once until it can be."""

    error: ApiError


LeaseEvent = Contested | Unrenewed | Unreachable | Reachable | Undecodable


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told, on the event loop.

    ``on_members``: of the nodes that are alive, whenever they are others than before; for the
    first time when the first list is complete, and right before ``on_synced``.
    """

    on_members: Callable[[frozenset[str]], None]
    on_synced: Callable[[], None]
    on_event: Callable[[LeaseEvent], None]


class LeaseMembers:
    """This node among the others, for as long as ``run`` runs.

    ``chance`` draws a number in [0, 1). Where nothing is chosen, all have the same ``timing``.
    """

    def __init__(
        self,
        client: KubeClient,
        holder: Holder,
        listener: Listener,
        chance: Callable[[], float],
        timing: Timing | None = None,
    ) -> None:
        timing = timing or Timing()
        self._listener = listener
        self._chance = chance
        self._node = holder.node
        self._timing = timing
        self._now = asyncio.get_running_loop().time
        self._leases = Leases(holder.node, timing, self._now())
        self._own = _OwnLease(client, holder, timing.duration, self._on_contested)
        resource = Resource(
            _collection(holder.namespace),
            Lease,
            {"labelSelector": ",".join(f"{name}={value}" for name, value in LABELS.items())},
        )
        self._reflector = Reflector(client, resource, self._on_event)
        self._heard: dict[str, Lease | None] = {}
        self._news = asyncio.Event()
        self._early = asyncio.Event()
        self._silence: asyncio.Timeout | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._left = False
        self._listed = False
        self._synced = False
        self._failing = False

    async def run(self) -> None:
        """Renew, watch and tell, until cancelled. The Lease stays, as after a crash."""
        async with asyncio.TaskGroup() as group:
            self._renewing = group.create_task(self._renew(), name="lease")
            group.create_task(self._watch(), name="leases")
            group.create_task(self._tell(), name="lease-members")

    async def leave(self) -> None:
        """Delete the own Lease, within LEAVE seconds, so that the others follow at once.

        From then on ``run`` no longer renews, but it still tells who leaves and who comes.
        """
        self._left = True
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait({self._renewing})
        try:
            async with asyncio.timeout(LEAVE):
                await self._own.delete()
        except _Failure as error:
            self._listener.on_event(Unrenewed(_api_error(error)))

    # The own Lease

    async def _renew(self) -> None:
        while not self._left:
            for effect in self._leases.handle_timeout(self._now(), self._chance()):
                match effect:
                    case Renew(within):
                        answer = await self._write(within)
                        self._perform(self._leases.receive(answer, self._now()))
                    case Members():
                        self._perform((effect,))
                    case _:
                        assert_never(effect)
            self._early.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._leases.next_deadline()):
                    await self._early.wait()

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
        self._expect()
        return lease_detector.Renewed()

    def _on_contested(self, identity: str) -> None:
        self._listener.on_event(Contested(identity))

    # The others'

    async def _watch(self) -> None:
        """Follow all Leases. A watch that does not tell what we wrote is cut, and resumed."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None) as self._silence:
                    await self._reflector.run()

    def _expect(self) -> None:
        """Have the watch tell something soon: there is something to be told."""
        silence = self._silence
        if silence is not None and silence.when() is None:
            silence.reschedule(self._now() + SILENCE * self._timing.duration)

    def _hear(self) -> None:
        if self._silence is not None and not self._silence.expired():
            self._silence.reschedule(None)

    async def _on_event(self, event: ReflectorEvent[Lease]) -> None:
        """Note it. This never lets go of the loop, so that a list is noted in one go."""
        match event:
            case Changed(_, old, new):
                self._hear()
                for node in {node_of(lease) for lease in (old, new) if lease is not None} - {""}:
                    self._heard[node] = new if new is not None and node_of(new) == node else None
            case Synced():
                self._listed = True
            case Unreachable():
                self._perform(self._leases.receive(lease_detector.Unreachable(), self._now()))
                self._listener.on_event(event)
            case Reachable() | Undecodable():
                self._listener.on_event(event)
            case _:
                assert_never(event)
        self._news.set()

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            heard, self._heard = self._heard, {}
            own = heard.get(self._node)
            if own is not None:
                self._own.see(own)
            self._perform(self._leases.receive(lease_detector.Seen(heard), self._now()))
            self._early.set()
            if self._listed and not self._synced:
                self._synced = True
                self._listener.on_members(self._leases.alive)
                self._listener.on_synced()

    def _perform(self, effects: tuple[lease_detector.Effect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, Members) and self._synced:
                self._listener.on_members(effect.alive)


class _OwnLease:
    """The Lease of this node, as it was last read or written."""

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
        """Create or renew it, whoever holds it. Raises ApiError."""
        self._unanswered.append(renew_time)
        for _ in range(TRIES):
            body = self._body(renew_time)
            try:
                if self._stored is None:
                    answer = await self._client.create(self._collection, body)
                else:
                    answer = await self._client.replace(self._path, body)
            except ConflictError:
                await self._read()
                self._look_for_rival()
            except NotFoundError:
                if self._stored is None:
                    raise  # there is not even the namespace
                self._stored = None
            else:
                self._stored = decode(answer, Lease)
                self._unanswered.clear()
                self._held = True
                return
        raise ConflictError(f"{self._path}: somebody else writes it all the time", 409)

    async def delete(self) -> None:
        """Delete it, unless another wants it. Raises ApiError."""
        for _ in range(TRIES):
            await self._read()
            stored = self._stored
            if stored is None or stored.holder != self._holder.identity or self._contested:
                return
            meta = stored.metadata
            with contextlib.suppress(ConflictError, NotFoundError):
                await self._client.delete(self._path, meta.uid, meta.resource_version)
                return

    def see(self, lease: Lease) -> None:
        """Note how the watch tells it: so a write whose answer was lost is known to be done."""
        if lease.spec.renew_time in self._unanswered and lease.holder == self._holder.identity:
            self._stored = lease

    async def _read(self) -> None:
        try:
            self._stored = decode(await self._client.get(self._path), Lease)
        except NotFoundError:
            self._stored = None

    def _look_for_rival(self) -> None:
        """Tell who took it from us; one that had it before may have crashed."""
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
        if self._stored is not None:  # with the uid, what was deleted meanwhile stays deleted
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
