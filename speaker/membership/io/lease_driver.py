"""``--membership=lease``: a speaker is usable while it renews its Lease.

For clusters that block the gossip port. Driver of ``lease_detector``: renews this node's Lease, and
watches all of them.

If two processes run as the speaker of one node, each takes the Lease from the other: the node is
alive either way. This is reported once, as it must be a mistake.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from metallb_py.errors import ApiError, ConflictError, NotFoundError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.lease_client import LeaseClient, leases, micro_time
from metallb_py.kube.objects import Lease, LeaseSpec
from metallb_py.kube.reflector import (
    Changed,
    Reachable,
    Reflector,
    ReflectorEvent,
    Synced,
    Undecodable,
    Unreachable,
)
from metallb_py.runtime.log import Logger
from metallb_py.runtime.object_reports import ObjectReporter
from speaker.membership import lease_detector
from speaker.membership.interface import Usable
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
    """Holder of a node's Lease."""

    namespace: str
    """Namespace of the speakers' Leases."""
    node: str
    """The node; the Lease's name ends with it."""
    identity: str
    """``holderIdentity``, which distinguishes this process from another speaker of the node."""


@dataclass(frozen=True, slots=True)
class Contested:
    """Another process, of this identity, took the Lease of this node. Reported only once."""

    identity: str


@dataclass(frozen=True, slots=True)
class Unrenewed:
    """The own Lease could not be written, or deleted. Reported once until it can be."""

    error: ApiError


LeaseEvent = Contested | Unrenewed | Unreachable | Reachable | Undecodable


def log_event(log: Logger, objects: ObjectReporter, event: LeaseEvent) -> None:
    """Log an event; report a Lease that can't be decoded."""
    match event:
        case Contested(identity):
            message = "another process has this node's lease: are there two speakers?"
            log.error(message, event="leaseContested", identity=identity)
        case Unrenewed(error):
            log.error("failed to write own lease", op="renewLease", error=str(error))
        case Unreachable(error):
            message = "API server does not answer, keeping the members that are known"
            log.error(message, op="watch", resource="leases", error=str(error))
        case Reachable():
            log.info("API server answers again", op="watch", resource="leases")
        case Undecodable():
            objects.undecodable(event)
        case _:
            assert_never(event)


class LeaseMembership:
    """A Membership by Leases. Construct it on the event loop that runs it.

    ``report`` receives the events. ``rng`` returns a random number in [0, 1). By default all
    speakers have the same ``timing``.
    """

    def __init__(
        self,
        client: KubeClient,
        holder: Holder,
        report: Callable[[LeaseEvent], None],
        rng: Callable[[], float],
        timing: Timing | None = None,
    ) -> None:
        timing = timing or Timing()
        self._publish: Callable[[Usable], None] = lambda _: None  # before ``run``
        self._report = report
        self._rng = rng
        self._node = holder.node
        self._timing = timing
        self._now = asyncio.get_running_loop().time
        self._detector = LeaseFailureDetector(holder.node, timing, self._now())
        self._own = _OwnLease(client, holder, timing.duration, self._on_contested)
        self._reflector = Reflector(client, leases(holder.namespace, LABELS), self._on_event)
        self._observed: dict[str, Lease | None] = {}
        self._changed = asyncio.Event()
        self._wake = asyncio.Event()
        self._watch_timeout: asyncio.Timeout | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._left = False
        self._listed = False
        self._synced = False
        self._failing = False

    async def run(self, publish: Callable[[Usable], None]) -> None:
        """Renew, watch and publish until cancelled. The Lease then stays, as after a crash.

        ``publish`` is called for the first time when the first list is complete.
        """
        self._publish = publish
        async with asyncio.TaskGroup() as group:
            self._renewing = group.create_task(self._renew(), name="lease")
            group.create_task(self._watch(), name="leases")
            group.create_task(self._process(), name="lease-members")

    async def leave(self) -> None:
        """Delete the own Lease within LEAVE_TIMEOUT seconds, so that other nodes take over.

        After that ``run`` no longer renews, but still publishes changes of the members.
        """
        self._left = True
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait({self._renewing})
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT):
                await self._own.delete()
        except _Failure as error:
            self._report(Unrenewed(_api_error(error)))

    # The own Lease

    async def _renew(self) -> None:
        while not self._left:
            for effect in self._detector.handle_timeout(self._now(), self._rng()):
                match effect:
                    case Renew(within):
                        answer = await self._write(within)
                        self._perform(self._detector.receive(answer, self._now()))
                    case MembersChanged():
                        self._perform((effect,))
                    case _:
                        assert_never(effect)
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._detector.next_deadline()):
                    await self._wake.wait()

    async def _write(self, within: float) -> lease_detector.Renewed | lease_detector.Failed:
        renew_time = micro_time()
        self._detector.renewing(renew_time, self._now())
        try:
            async with asyncio.timeout(within):
                await self._own.write(renew_time)
        except _Failure as error:
            if not self._failing:
                self._failing = True
                self._report(Unrenewed(_api_error(error)))
            return lease_detector.Failed()
        self._failing = False
        self._expect_event()
        return lease_detector.Renewed()

    def _on_contested(self, identity: str) -> None:
        self._report(Contested(identity))

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
                self._perform(self._detector.receive(lease_detector.Unreachable(), self._now()))
                self._report(event)
            case Reachable() | Undecodable():
                self._report(event)
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
            self._perform(self._detector.receive(event, self._now()))
            self._wake.set()
            if self._listed and not self._synced:
                self._synced = True
                self._publish(Usable(self._detector.alive))

    def _perform(self, effects: tuple[lease_detector.Effect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, MembersChanged) and self._synced:
                self._publish(Usable(effect.alive))


class _OwnLease:
    """This node's Lease, as last read or written."""

    def __init__(
        self,
        client: KubeClient,
        holder: Holder,
        duration: int,
        on_contested: Callable[[str], None],
    ) -> None:
        name = f"{PREFIX}{holder.node}"
        self._client = LeaseClient(client, holder.namespace, name, LABELS)
        self._identity = holder.identity
        self._duration = duration
        self._on_contested = on_contested
        self._stored: Lease | None = None
        self._unanswered: deque[str] = deque(maxlen=UNANSWERED)
        self._held = False
        self._contested = False

    async def write(self, renew_time: str) -> None:
        """Create or renew the Lease, whatever its holder. Raises ApiError."""
        self._unanswered.append(renew_time)
        spec = LeaseSpec(
            holder_identity=self._identity,
            lease_duration_seconds=self._duration,
            renew_time=renew_time,
        )
        for _ in range(MAX_WRITES):
            stored = self._stored
            try:
                if stored is None:
                    self._stored = await self._client.create(spec)
                else:  # with the uid, so that a deleted Lease stays deleted
                    meta = stored.metadata
                    self._stored = await self._client.replace(spec, meta.resource_version, meta.uid)
            except ConflictError:
                self._stored = await self._client.read()
                self._check_contested()
            except NotFoundError:
                if stored is None:
                    raise  # the namespace does not exist
                self._stored = None
            else:
                self._unanswered.clear()
                self._held = True
                return
        path = self._client.path
        raise ConflictError(f"{path}: conflict with another client at every write", 409)

    async def delete(self) -> None:
        """Delete the Lease, unless another process took or contests it. Raises ApiError."""
        for _ in range(MAX_WRITES):
            stored = self._stored = await self._client.read()
            if stored is None or stored.holder != self._identity or self._contested:
                return
            with contextlib.suppress(ConflictError, NotFoundError):
                await self._client.delete(stored)
                return

    def observe(self, lease: Lease) -> None:
        """Take the Lease from the watch if it is a write of ours whose answer was lost."""
        if lease.spec.renew_time in self._unanswered and lease.holder == self._identity:
            self._stored = lease

    def _check_contested(self) -> None:
        """Report another holder after we held the Lease; one before that may have crashed."""
        found = self._stored.holder if self._stored is not None else ""
        if self._held and not self._contested and found not in ("", self._identity):
            self._contested = True
            self._on_contested(found)


def _api_error(error: BaseException) -> ApiError:
    return error if isinstance(error, ApiError) else ApiError(str(error) or "no answer in time")
