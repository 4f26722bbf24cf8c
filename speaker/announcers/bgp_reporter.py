"""Log and metrics of BGP sessions, and of connections that the listener refuses."""

from __future__ import annotations

from typing import assert_never

from metallb_py.model.peers import SessionParameters
from metallb_py.protocols.bgp.effects import (
    ConnectFailed,
    NotificationReceived,
    SessionDown,
    SessionUp,
    UpdateReceived,
    UpdatesSent,
)
from metallb_py.protocols.bgp.negotiation import describe
from metallb_py.protocols.bgp.rib.adj_rib_out import PrefixCounts
from metallb_py.rate_limit import Rate
from metallb_py.runtime.log import LimitedLog, Logger
from speaker.bgp.events import BgpEvent, PeerAdded, PeerEvent, PeerRemoved, ShutdownBegun
from speaker.bgp.io.listener import (
    ConnectionsRefused,
    ListenerEvent,
    ListenFailed,
    UnknownPeerRejected,
)
from speaker.metrics import SpeakerMetrics

REJECTED = Rate(burst=1, per_second=1 / 600)
"""Limit of log lines about rejected connections of one host: no peer, or one with too many."""
REJECTED_OVERALL = Rate(burst=100, per_second=1 / 10)
"""Limit of these lines for all hosts together."""


class BgpReporter:
    """Logs and counts the events of sessions and of the listener.

    ``listens`` is whether there is a listener, without which passive peers get no session.
    """

    def __init__(self, log: Logger, metrics: SpeakerMetrics, *, listens: bool) -> None:
        self._log = log
        self._unknown = LimitedLog(log, REJECTED, REJECTED_OVERALL)  # hosts that are no peers
        self._busy = LimitedLog(log, REJECTED, REJECTED_OVERALL)  # peers that connect too often
        self._metrics = metrics
        self._listens = listens
        self._not_carried: dict[SessionParameters, int] = {}

    def on_event(self, event: BgpEvent) -> None:
        """Report an event of a session."""
        peer = str(event.peer)
        log = self._log.bind(peer=peer, peerASN=event.peer.peer_asn)
        log = log.bind(localASN=event.peer.local_asn)
        match event:
            case PeerAdded():
                self._metrics.bgp_session_up.labels(peer).set(0)
                log.info("peer configured, starting BGP session", event="peerAdded")
                if event.peer.passive and not self._listens:
                    log.error("peer is passive: want --bgp-listen", op="listen")
            case ShutdownBegun(_, graceful_restart, why):
                _log_shutdown(log, graceful_restart, why)
            case PeerRemoved(_, reason):
                self._metrics.forget_peer(peer)
                self._not_carried.pop(event.peer, None)
                log.info(
                    "peer deconfigured, closing BGP session", event="peerRemoved", reason=reason
                )
            case PeerEvent():
                self._report(event, log)
            case _:
                assert_never(event)

    def on_listener(self, event: ListenerEvent) -> None:
        """Report an event of the listener."""
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

    def _report(self, event: PeerEvent, log: Logger) -> None:
        metrics, peer = self._metrics, str(event.peer)
        match event.effect:
            case SessionUp(terms):
                metrics.bgp_session_up.labels(peer).set(1)
                found = "" if event.router is None else f"router at {event.router}, "
                log.bind(peerASN=terms.peer_asn).info(
                    "BGP session established",
                    event="sessionUp",
                    holdTime=terms.hold_time,
                    terms=found + describe(terms),
                )
            case SessionDown(reason):
                metrics.bgp_session_up.labels(peer).set(0)
                log.warn("BGP session down", event="sessionDown", reason=reason)
            case ConnectFailed(error):
                log.error("failed to connect to peer", op="connect", error=error)
            case NotificationReceived(text):
                log.error(
                    "peer sent notification, closing session", event="peerNotification", error=text
                )
            case UpdatesSent(count):
                metrics.bgp_updates.labels(peer).inc(count)
            case UpdateReceived(update):
                metrics.bgp_updates_received.labels(peer).inc()
                if update.malformed:
                    log.warn(
                        "peer sent a malformed UPDATE", op="receiveUpdate", error=update.malformed
                    )
            case PrefixCounts() as counts:
                self._report_counts(event.peer, counts, log)
            case _:
                assert_never(event.effect)

    def _report_counts(self, peer: SessionParameters, counts: PrefixCounts, log: Logger) -> None:
        self._metrics.bgp_announced.labels(str(peer)).set(counts.announced)
        self._metrics.bgp_pending.labels(str(peer)).set(counts.desired)
        if self._not_carried.get(peer, 0) != counts.not_carried:
            self._not_carried[peer] = counts.not_carried
            if counts.not_carried:
                log.warn(
                    "the session can't carry some prefixes: family not negotiated, or no next hop",
                    op="sendUpdate",
                    prefixes=counts.not_carried,
                )


def _log_shutdown(log: Logger, graceful_restart: bool, why: str) -> None:
    if graceful_restart:
        log.info("peer retains the routes during restart", event="peerKeepsRoutes", reason=why)
    else:
        log.info("draining BGP session", event="sessionDraining", reason=why)
