"""``--membership=memberlist``: a speaker is usable while its member is alive, as in MetalLB."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from ipaddress import ip_address
from typing import assert_never

from metallb_py.addresses import IPAddress
from metallb_py.kube.objects import Pod
from metallb_py.protocols.memberlist.codec.envelope import Envelope
from metallb_py.protocols.memberlist.codec.keyring import Keyring
from metallb_py.protocols.memberlist.codec.messages import Endpoint, State
from metallb_py.protocols.memberlist.events import (
    Joined,
    JoinFailed,
    Member,
    MemberChanged,
    MemberDown,
    MemberSuspected,
    MemberTrusted,
    MemberUp,
    NameConflict,
    RoundTrip,
    SelfSuspected,
)
from metallb_py.protocols.memberlist.members import Speakers
from metallb_py.rate_limit import Rate, RateLimiter
from metallb_py.runtime.log import LimitedLog, Logger
from speaker.layer2 import topology
from speaker.layer2.topology import NodeInterface
from speaker.membership.interface import Usable
from speaker.membership.io.gossip_thread import GossipEvent, GossipThread, NotStarted, Started
from speaker.membership.io.gossip_transport import MemberConfig, Traffic
from speaker.membership.join_scheduler import JoinScheduler
from speaker.membership.settings import GossipSettings
from speaker.metrics import MemberMetrics

INTERFACES_TIMEOUT = 2.0
"""Seconds to wait for this node's interfaces, before joining without publishing them."""
# Limits on log lines that members of the gossip cluster can cause.
EVENTS_OF_A_NODE = Rate(burst=10, per_second=0.1)
EVENTS = Rate(burst=200, per_second=5.0)
WARNINGS_OF_A_NODE = Rate(burst=5, per_second=0.1)
WARNINGS = Rate(burst=50, per_second=1.0)


class GossipMembership:
    """A Membership by hashicorp/memberlist's protocol."""

    def __init__(
        self, node: str, settings: GossipSettings, log: Logger, metrics: MemberMetrics
    ) -> None:
        self._node = node
        self._settings = settings
        self._log = log
        self._metrics = metrics
        self._publish: Callable[[Usable], None] = lambda _: None  # before ``run``
        self._gossip = GossipThread(self._on_events)
        self._scheduler = JoinScheduler()
        self._changed = asyncio.Event()  # the addresses to join, or the times
        self._interfaces = asyncio.Event()
        self._meta = b""
        self._others: dict[str, Member] = {}
        self._interfaces_of: dict[str, tuple[NodeInterface, ...] | None] = {}
        self._events_admitted = RateLimiter(each=EVENTS_OF_A_NODE, total=EVENTS)
        self._warnings = LimitedLog(log, WARNINGS_OF_A_NODE, WARNINGS)
        self._suppressed = 0
        self._expected: Speakers | None = None
        self._started = False
        self._published: Usable | None = None

    def pods_changed(self, pods: Collection[Pod]) -> None:
        """Join the speakers' pods that are not members yet."""
        self._expected = _speakers(pods)
        self._gossip.expect(self._expected)
        self._scheduler.pods(self._addresses(pods), time.monotonic())
        self._changed.set()

    def interfaces_changed(self, found: tuple[NodeInterface, ...]) -> None:
        """Publish this node's interfaces to the other members, as metadata."""
        self._meta = topology.pack(found)
        self._interfaces.set()
        self._gossip.update(self._meta)

    async def leave(self) -> None:
        """Announce the departure, so that other nodes take over at once."""
        self._log.info("leaving memberlist cluster", op="shutdown")
        self._gossip.leave()

    async def run(self, publish: Callable[[Usable], None]) -> None:
        """Run a member of the gossip cluster until cancelled."""
        self._publish = publish
        if not self._settings.secret:
            self._log.warn(
                "no ml-secret-key set, memberlist traffic will not be encrypted", op="startup"
            )
        with suppress(TimeoutError):
            async with asyncio.timeout(INTERFACES_TIMEOUT):
                await self._interfaces.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._gossip.run(self._config), name="gossip")
            group.create_task(self._join(), name="gossip-join")

    def _config(self) -> MemberConfig:
        chosen = self._settings
        keyring = Keyring.of(chosen.secret, chosen.key_bytes) if chosen.secret else None
        envelope = Envelope(
            label=chosen.label,
            keyring=keyring,
            compression=chosen.settings.compression,
            verify_incoming=chosen.settings.verify_incoming,
            verify_outgoing=chosen.settings.verify_outgoing,
            nonce=lambda: os.urandom(12),
        )
        # The incarnation is higher than in any earlier run, so messages about that are outdated.
        me = Member(self._node, chosen.bind, int(time.time()), State.ALIVE, self._meta)
        return MemberConfig(me, chosen.settings, envelope, random.Random(), self._expected)

    async def _join(self) -> None:
        """Join the addresses that ``JoinScheduler`` returns, when they are due."""
        while True:
            now = time.monotonic()
            due = self._scheduler.handle_timeout(now) if self._started else ()
            self._publish_usable()
            if due:
                self._log.info("triggering discovery", op="memberDiscovery")
                port = self._settings.bind.port
                self._gossip.join(tuple(Endpoint(address, port) for address in due))
            deadline = self._scheduler.next_deadline() if self._started else None
            with suppress(TimeoutError):
                async with asyncio.timeout(None if deadline is None else max(0.0, deadline - now)):
                    await self._changed.wait()
            self._changed.clear()

    def _on_events(self, events: tuple[GossipEvent, ...]) -> None:
        """Handle a batch of events; recompute what depends on them once for all."""
        for event in events:
            self._on_event(event)
        if any(isinstance(event, MemberUp | MemberChanged | MemberDown) for event in events):
            addresses = {other.endpoint.address for other in self._others.values()}
            self._scheduler.members(addresses, time.monotonic())
            self._changed.set()
            self._publish_usable()

    def _on_event(self, event: GossipEvent) -> None:
        match event:
            case MemberUp() | MemberChanged() | MemberDown():
                self._on_change(event)
            case MemberSuspected() | MemberTrusted() | SelfSuspected() | NameConflict():
                self._on_suspicion(event)
            case Joined(endpoint):
                self._joined(endpoint.address, "")
            case JoinFailed(endpoint, error):
                self._joined(endpoint.address, error or "unknown")
            case RoundTrip(_, seconds):
                self._metrics.round_trip_seconds.observe(seconds)
            case Started() | NotStarted():
                self._on_start(event)
            case Traffic():
                self._count(event)
            case _:
                assert_never(event)

    def _on_change(self, event: MemberUp | MemberChanged | MemberDown) -> None:
        match event:
            case MemberUp(member):
                self._put(member)
                self._log_event(member, "NodeJoin", "")
            case MemberChanged(member):
                self._put(member)
                self._log_event(member, "NodeUpdate", "")
            case MemberDown(member, reporter):
                self._others.pop(member.name, None)
                self._interfaces_of.pop(member.name, None)
                reason = "left" if member.state is State.LEFT else f"failed, reported by {reporter}"
                self._log_event(member, "NodeLeave", reason)
            case _:
                assert_never(event)

    def _put(self, member: Member) -> None:
        self._others[member.name] = member
        self._interfaces_of[member.name] = topology.unpack(member.meta)

    def _on_suspicion(
        self, event: MemberSuspected | MemberTrusted | SelfSuspected | NameConflict
    ) -> None:
        match event:
            case MemberSuspected(member, reporter):
                self._metrics.suspicions.inc()
                self._log.debug("suspected", node=member.name, reporter=reporter)
            case MemberTrusted(member):
                self._log.debug("trusted again", node=member.name)
            case NameConflict():
                self._on_conflict(event)
            case SelfSuspected(reporter):
                self._metrics.refutations.inc()
                message = "another speaker could not reach this one"
                log = self._warnings.of(SelfSuspected, reporter)
                log.warn(message, event="accused", reporter=reporter)
            case _:
                assert_never(event)

    def _on_conflict(self, conflict: NameConflict) -> None:
        self._warnings.of(NameConflict, conflict.name).warn(
            "two members of the gossip cluster claim one name",
            event="memberConflict",
            **{"node name": conflict.name, "node addr": str(conflict.kept.address)},
            refused=str(conflict.refused.address),
        )

    def _on_start(self, event: Started | NotStarted) -> None:
        bind = self._settings.bind
        if isinstance(event, Started):
            self._started = True
            self._log.info("memberlist started", op="startup", addr=str(bind.address))
            self._changed.set()
        else:
            self._log.error(
                "failed to create memberlist",
                op="startup",
                addr=str(bind.address),
                port=bind.port,
                error=event.error,
            )

    def _joined(self, address: IPAddress, error: str) -> None:
        now = time.monotonic()
        random_fraction = random.random()
        to_log = self._scheduler.ended(
            address, now, joined=not error, random_fraction=random_fraction
        )
        self._changed.set()
        if not to_log:
            return
        if error:
            self._log.error(
                "partial join",
                op="memberDiscovery",
                addr=str(address),
                joined=0,
                expected=1,
                error=error,
            )
        else:
            message = "memberlist join succesfully"  # sic: MetalLB's word
            others = {"number of other nodes": len(self._others)}
            self._log.info(message, op="Member detection", addr=str(address), **others)

    def _log_event(self, member: Member, event: str, reason: str) -> None:
        """Log a member's event, rate-limited: a member can report any number of others."""
        if self._events_admitted.admit(member.name, time.monotonic()) is None:
            self._suppressed += 1
            return
        suppressed, self._suppressed = self._suppressed, 0
        self._log.info(
            "node event - forcing sync",
            **{"node addr": str(member.endpoint.address)},
            **{"node name": member.name, "node event": event},
            **({"reason": reason} if reason else {}),
            **({"suppressed": suppressed} if suppressed else {}),
        )

    def _publish_usable(self) -> None:
        """Report a change of the usable nodes, once the initial joins are complete."""
        if not (self._started and self._expected is not None and self._scheduler.complete):
            return
        found = {**self._interfaces_of, self._node: topology.unpack(self._meta)}
        usable = Usable(
            frozenset(found), {name: each for name, each in found.items() if each is not None}
        )
        if usable != self._published:
            self._published = usable
            self._publish(usable)

    def _count(self, traffic: Traffic) -> None:
        for kind, count in traffic.received.items():
            self._metrics.messages.labels("in", kind.name.lower()).inc(count)
        for kind, count in traffic.sent.items():
            self._metrics.messages.labels("out", kind.name.lower()).inc(count)
        for reason, count in traffic.dropped.items():
            self._metrics.dropped.labels(reason).inc(count)
        for state in State:
            self._metrics.members.labels(state.name.lower()).set(traffic.members[state])
        self._metrics.health.set(traffic.health)

    def _addresses(self, pods: Collection[Pod]) -> list[IPAddress]:
        """Return the addresses of the other speakers, in the family of the bind address.

        The order is random, so that speakers that start together do not all join the same one.
        """
        version = self._settings.bind.address.version
        found = {
            address
            for pod in pods
            if pod.spec.node_name != self._node and not pod.metadata.deletion_timestamp
            for address in _addresses_of(pod)
        }
        usable = [address for address in found if address.version == version]
        random.shuffle(usable)
        return usable


def _speakers(pods: Collection[Pod]) -> dict[str, frozenset[IPAddress]]:
    """Return the addresses of each node's speaker pods, as the API server reports them."""
    found: dict[str, frozenset[IPAddress]] = {}
    for pod in pods:
        known = found.get(pod.spec.node_name, frozenset())
        found[pod.spec.node_name] = known.union(_addresses_of(pod))
    return found


def _addresses_of(pod: Pod) -> Iterator[IPAddress]:
    """Yield a pod's valid addresses; its node can write any text there."""
    for text in pod.addresses:
        with suppress(ValueError):
            yield ip_address(text)
