"""BGP announcer: advertises the routes of announced services to every peer that selects this node.

Also the log and metrics of BGP sessions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import assert_never

from metallb_py.model.config import Config
from metallb_py.model.peers import SessionParameters
from metallb_py.model.routes import AdvertisedService, names_in
from metallb_py.rate_limit import Rate
from metallb_py.runtime.log import LimitedLog, Logger
from speaker.announcers.bfd import BfdWatcher
from speaker.bgp.events import (
    BgpEvent,
    ConnectFailed,
    NotificationReceived,
    PeerAdded,
    PeerRemoved,
    PrefixCounts,
    SessionDown,
    SessionUp,
    ShutdownBegun,
    UpdateReceived,
    UpdatesSent,
)
from speaker.bgp.io.listener import (
    BgpListener,
    ConnectionsRefused,
    ListenerEvent,
    ListenFailed,
    UnknownPeerRejected,
)
from speaker.bgp.io.sessions import BgpSpeaker
from speaker.bgp.peering import peering_for
from speaker.bgp.route_table import RouteTable
from speaker.bgp.settings import ListenAt
from speaker.bgp.shutdown import DRAIN_TIME, ShutdownMode
from speaker.decision import Announcement
from speaker.metrics import SpeakerMetrics

REJECTED = Rate(burst=1, per_second=1 / 600)
"""Limit of log lines about rejected connections of one host: no peer, or one with too many."""
REJECTED_OVERALL = Rate(burst=100, per_second=1 / 10)
"""Limit of these lines for all hosts together."""


class BgpAnnouncer:
    """Announces by advertising routes over BGP sessions."""

    def __init__(
        self,
        node_name: str,
        log: Logger,
        metrics: SpeakerMetrics,
        *,
        drain_time: float = DRAIN_TIME,
        listen: ListenAt | None = None,
    ) -> None:
        self._log = log
        self._unknown = LimitedLog(log, REJECTED, REJECTED_OVERALL)  # hosts that are no peers
        self._busy = LimitedLog(log, REJECTED, REJECTED_OVERALL)  # peers that connect too often
        self._metrics = metrics
        self._table = RouteTable()
        self._not_carried: dict[SessionParameters, int] = {}
        self._advertising = False
        self._drain_time = drain_time
        self._drained = 0.0  # when every session may end, on the loop's clock
        self._synced = False
        self._retains_routes = False
        self._listens = listen is not None
        listener = BgpListener(listen, self._on_listener) if listen is not None else None
        self._speaker = BgpSpeaker(node_name, self._on_event, listener)
        self._bfd = BfdWatcher(log, metrics, self._speaker.bfd_down)

    def configure(self, config: Config, labels: Mapping[str, str]) -> None:
        """Run a session with each peer that selects a node with these labels."""
        named = names_in(ad for pool in config.pools for ad in pool.bgp_advertisements)
        peering = peering_for(config.peers, labels, named)
        self._speaker.set_peers(peering)
        self._table.configure(labels, peering.peer_groups.values())
        self._advertise()
        self._bfd.configure(config, labels)

    def announce(self, key: str, announcement: Announcement) -> None:
        """Advertise a service's addresses; replaces its earlier ones."""
        offer = AdvertisedService(
            announcement.addresses,
            announcement.pool.bgp_advertisements,
            announcement.local_endpoints,
        )
        self._table.announce(key, offer)
        self._advertise()

    def withdraw(self, key: str) -> None:
        """Stop advertising a service's addresses, except prefixes that other services need."""
        self._table.withdraw(key)
        self._advertise()

    def hand_over(self, key: str) -> None:
        """No-op: routes are handed over at the end of the speaker alone, by ``begin_shutdown``."""

    def initial_sync_done(self) -> None:
        """Send End-of-RIB, so that helpers flush stale routes (RFC 4724 section 4.1)."""
        if not self._synced:
            self._synced = True
            asyncio.get_running_loop().call_soon(
                self._speaker.initial_sync_done
            )  # after the routes

    def begin_shutdown(self, mode: ShutdownMode) -> None:
        """Begin to shut down every session in the given mode."""
        self._retains_routes = not self._speaker.begin_shutdown(mode)
        if not self._retains_routes:
            self._drained = asyncio.get_running_loop().time() + self._drain_time

    @property
    def retains_routes(self) -> bool:
        """Whether every peer retains the routes while the speaker restarts (graceful restart)."""
        return self._retains_routes

    async def wait_drained(self) -> None:
        """Wait out the drain time, in which routers select other paths."""
        await asyncio.sleep(self._drained - asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Run the sessions until cancelled; then end each of them."""
        async with asyncio.TaskGroup() as group:
            bfd = group.create_task(self._bfd.run(), name="bfd")
            await self._speaker.run()
            bfd.cancel()

    def _advertise(self) -> None:
        """Schedule an update of the routes, once for all changes of this iteration of the loop."""
        if not self._advertising:
            self._advertising = True
            asyncio.get_running_loop().call_soon(self._advertise_now)

    def _advertise_now(self) -> None:
        self._advertising = False
        for audience, changes in self._table.changes().items():
            self._speaker.change_routes(changes, audience)

    def _on_event(self, event: BgpEvent) -> None:
        log = self._log.bind(peer=str(event.peer), peerASN=event.peer.peer_asn)
        log = log.bind(localASN=event.peer.local_asn)
        metrics, peer = self._metrics, str(event.peer)
        match event:
            case PeerAdded():
                metrics.bgp_session_up.labels(peer).set(0)
                log.info("peer configured, starting BGP session", event="peerAdded")
                if event.peer.passive and not self._listens:
                    log.error("peer is passive: want --bgp-listen", op="listen")
            case ShutdownBegun(_, graceful_restart, why):
                _record_shutdown(log, graceful_restart, why)
            case PeerRemoved(_, reason):
                metrics.forget_peer(peer)
                self._not_carried.pop(event.peer, None)
                log.info(
                    "peer deconfigured, closing BGP session", event="peerRemoved", reason=reason
                )
            case SessionUp(_, _, peer_asn, hold_time, terms):
                metrics.bgp_session_up.labels(peer).set(1)
                log.bind(peerASN=peer_asn).info(
                    "BGP session established", event="sessionUp", holdTime=hold_time, terms=terms
                )
            case SessionDown(_, reason):
                metrics.bgp_session_up.labels(peer).set(0)
                log.warn("BGP session down", event="sessionDown", reason=reason)
            case ConnectFailed(_, error):
                log.error("failed to connect to peer", op="connect", error=error)
            case NotificationReceived(_, text):
                log.error(
                    "peer sent notification, closing session", event="peerNotification", error=text
                )
            case UpdatesSent() | PrefixCounts() | UpdateReceived():
                self._count(event, log)
            case _:
                assert_never(event)

    def _on_listener(self, event: ListenerEvent) -> None:
        match event:
            case ListenFailed(at, error):
                self._log.error("can't listen for BGP peers", op="listen", at=str(at), error=error)
            case UnknownPeerRejected(address):
                self._unknown.of(address).warn(
                    "refused a BGP connection: not from a peer", op="listen", address=address
                )
            case ConnectionsRefused(address, count):
                self._busy.of(address).warn(
                    "refused BGP connections: the peer connects too often",
                    op="listen",
                    address=address,
                    count=count,
                )
            case _:
                assert_never(event)

    def _count(self, event: UpdatesSent | PrefixCounts | UpdateReceived, log: Logger) -> None:
        match event:
            case UpdatesSent(peer, count):
                self._metrics.bgp_updates.labels(str(peer)).inc(count)
            case PrefixCounts():
                self._count_prefixes(event, log)
            case UpdateReceived():
                self._count_update(event, log)

    def _count_update(self, update: UpdateReceived, log: Logger) -> None:
        self._metrics.bgp_updates_received.labels(str(update.peer)).inc()
        if update.problem:
            log.warn("peer sent a malformed UPDATE", op="receiveUpdate", error=update.problem)

    def _count_prefixes(self, counts: PrefixCounts, log: Logger) -> None:
        peer = str(counts.peer)
        self._metrics.bgp_announced.labels(peer).set(counts.announced)
        self._metrics.bgp_pending.labels(peer).set(counts.pending)
        if self._not_carried.get(counts.peer, 0) != counts.not_carried:
            self._not_carried[counts.peer] = counts.not_carried
            if counts.not_carried:
                log.warn(
                    "the session can't carry some prefixes: family not negotiated, or no next hop",
                    op="sendUpdate",
                    prefixes=counts.not_carried,
                )


def _record_shutdown(log: Logger, graceful_restart: bool, why: str) -> None:
    if graceful_restart:
        log.info("peer retains the routes during restart", event="peerKeepsRoutes", reason=why)
    else:
        log.info("draining BGP session", event="sessionDraining", reason=why)
