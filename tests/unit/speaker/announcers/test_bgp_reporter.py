"""Log lines and metrics of BGP sessions and of the listener."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, ip_address
from typing import Any

import pytest

from metallb_py.addresses import AddressFamily, IPAddress
from metallb_py.model.peers import DynamicAsn, SessionParameters
from metallb_py.protocols.bgp.codec.update import Update
from metallb_py.protocols.bgp.effects import (
    ConnectFailed,
    NotificationReceived,
    Report,
    SessionDown,
    SessionUp,
    UpdateReceived,
    UpdatesSent,
)
from metallb_py.protocols.bgp.negotiation import NegotiatedSession
from metallb_py.protocols.bgp.rib.adj_rib_out import PrefixCounts
from metallb_py.runtime.log import Logger
from speaker.announcers.bgp_reporter import BgpReporter
from speaker.bgp.events import BgpEvent, PeerAdded, PeerEvent, PeerRemoved, ShutdownBegun
from speaker.bgp.io.listener import (
    ConnectionsRefused,
    ListenerEvent,
    ListenFailed,
    UnknownPeerRejected,
)
from speaker.bgp.peering import ListenAt, RemovalReason
from speaker.metrics import SpeakerMetrics

PEER = SessionParameters(64512, 64513, ip_address("10.0.0.2"), password="s3cret")
UNNUMBERED = SessionParameters(64512, 0, interface="eth0", dynamic_asn=DynamicAsn.EXTERNAL)
PASSIVE = SessionParameters(64512, 64513, ip_address("10.0.0.3"), passive=True)
TERMS = NegotiatedSession(
    64512, 64513, IPv4Address("10.9.9.9"), 90, 30.0, True, frozenset({AddressFamily.IPV4})
)


class Reported:
    """A reporter, the lines that it logged, and its metrics."""

    def __init__(self, *, listens: bool = False) -> None:
        self.metrics = SpeakerMetrics()
        self._lines: list[str] = []
        self.reporter = BgpReporter(Logger(write=self._lines.append), self.metrics, listens=listens)

    def event(self, event: BgpEvent) -> list[dict[str, Any]]:
        """Report an event; return the lines about it, without what every line has."""
        self.reporter.on_event(event)
        return self._taken()

    def effect(
        self, effect: Report, peer: SessionParameters = PEER, router: IPAddress | None = None
    ) -> list[dict[str, Any]]:
        """Report an effect of a session, as ``event``."""
        return self.event(PeerEvent(peer, effect, router))

    def listener(self, event: ListenerEvent) -> list[dict[str, Any]]:
        """Report an event of the listener, as ``event``."""
        self.reporter.on_listener(event)
        return self._taken()

    def metric(self, name: str, peer: str = "10.0.0.2:179") -> float | None:
        return self.metrics.registry.get_sample_value(f"metallb_bgp_{name}", {"peer": peer})

    def _taken(self) -> list[dict[str, Any]]:
        assert not any("s3cret" in line for line in self._lines)
        lines = [json.loads(line) for line in self._lines]
        self._lines.clear()
        return [
            {key: value for key, value in line.items() if key not in ("caller", "ts")}
            for line in lines
        ]


def line(level: str, msg: str, **fields: object) -> dict[str, object]:
    """Return a line about PEER."""
    peer = {"peer": "10.0.0.2:179", "peerASN": 64513, "localASN": 64512}
    return {"level": level, "msg": msg, **peer, **fields}


@pytest.mark.parametrize(
    ("event", "logged"),
    [
        (PeerAdded(PEER), line("info", "peer configured, starting BGP session", event="peerAdded")),
        (
            PeerRemoved(PEER, RemovalReason.FILTERED_BY_NODE_SELECTOR),
            line(
                "info",
                "peer deconfigured, closing BGP session",
                event="peerRemoved",
                reason="filteredByNodeSelector",
            ),
        ),
        (
            ShutdownBegun(PEER, True, "speaker restarts"),
            line(
                "info",
                "peer retains the routes during restart",
                event="peerKeepsRoutes",
                reason="speaker restarts",
            ),
        ),
        (
            ShutdownBegun(PEER, False, "node shuts down"),
            line("info", "draining BGP session", event="sessionDraining", reason="node shuts down"),
        ),
        (
            PeerEvent(PEER, SessionUp(TERMS)),
            line(
                "info",
                "BGP session established",
                event="sessionUp",
                holdTime=90,
                terms="IPv4 unicast, hold time 90 s, 4-byte ASNs",
            ),
        ),
        (
            PeerEvent(PEER, SessionDown("hold timer expired")),
            line("warn", "BGP session down", event="sessionDown", reason="hold timer expired"),
        ),
        (
            PeerEvent(PEER, ConnectFailed("connection refused")),
            line("error", "failed to connect to peer", op="connect", error="connection refused"),
        ),
        (
            PeerEvent(PEER, NotificationReceived("got cease")),
            line(
                "error",
                "peer sent notification, closing session",
                event="peerNotification",
                error="got cease",
            ),
        ),
        (
            PeerEvent(PEER, UpdateReceived(Update(malformed="ORIGIN is missing"))),
            line(
                "warn",
                "peer sent a malformed UPDATE",
                op="receiveUpdate",
                error="ORIGIN is missing",
            ),
        ),
    ],
)
def test_each_event_of_a_session_is_one_line(event: BgpEvent, logged: dict[str, object]) -> None:
    assert Reported().event(event) == [logged]


@pytest.mark.parametrize(
    "effect", [UpdatesSent(2), UpdateReceived(Update()), PrefixCounts(1, 1, 0)]
)
def test_what_happens_often_is_counted_and_not_logged(effect: Report) -> None:
    assert Reported().effect(effect) == []


def test_an_unnumbered_peer_is_logged_with_its_router_and_as_number() -> None:
    (up,) = Reported().effect(SessionUp(TERMS), UNNUMBERED, ip_address("fe80::7"))

    assert (up["peer"], up["peerASN"]) == ("eth0:179", 64513)
    assert up["terms"] == "router at fe80::7, IPv4 unicast, hold time 90 s, 4-byte ASNs"


@pytest.mark.parametrize("listens", [False, True])
def test_a_passive_peer_without_a_listener_is_an_error(listens: bool) -> None:
    lines = Reported(listens=listens).event(PeerAdded(PASSIVE))

    errors = [each["msg"] for each in lines if each["level"] == "error"]
    assert errors == ([] if listens else ["peer is passive: want --bgp-listen"])


def test_metrics_follow_a_session() -> None:
    reported = Reported()
    ups = []
    for event in (
        PeerAdded(PEER),
        PeerEvent(PEER, SessionUp(TERMS)),
        PeerEvent(PEER, SessionDown("lost")),
    ):
        reported.event(event)
        ups.append(reported.metric("session_up"))
    for effect in (UpdatesSent(2), UpdatesSent(3), UpdateReceived(Update()), PrefixCounts(4, 6, 0)):
        reported.effect(effect)

    assert ups == [0, 1, 0]
    assert reported.metric("updates_total") == 5
    assert reported.metric("updates_received_total") == 1
    assert reported.metric("announced_prefixes_total") == 4
    assert reported.metric("pending_prefixes_total") == 6

    reported.event(PeerRemoved(PEER, RemovalReason.REMOVED_FROM_CONFIG))
    names = ("session_up", "updates_total", "announced_prefixes_total", "pending_prefixes_total")
    assert [reported.metric(name) for name in names] == [None] * 4


def test_prefixes_that_a_session_does_not_carry_are_logged_once_until_they_change() -> None:
    reported = Reported()
    lines = [reported.effect(PrefixCounts(0, 3, count)) for count in (2, 2, 0, 1)]
    reported.event(PeerRemoved(PEER, RemovalReason.REMOVED_FROM_CONFIG))
    lines.append(reported.effect(PrefixCounts(0, 3, 1)))

    assert [[each["prefixes"] for each in found] for found in lines] == [[2], [], [], [1], [1]]


@pytest.mark.parametrize(
    ("event", "logged"),
    [
        (
            ListenFailed(ListenAt(), "address in use"),
            {
                "level": "error",
                "msg": "can't listen for BGP peers",
                "op": "listen",
                "at": "*:179",
                "error": "address in use",
            },
        ),
        (
            UnknownPeerRejected("10.0.0.9"),
            {
                "level": "warn",
                "msg": "refused a BGP connection: not from a peer",
                "op": "listen",
                "address": "10.0.0.9",
            },
        ),
        (
            ConnectionsRefused("10.0.0.2", 7),
            {
                "level": "warn",
                "msg": "refused BGP connections: the peer connects too often",
                "op": "listen",
                "address": "10.0.0.2",
                "count": 7,
            },
        ),
    ],
)
def test_events_of_the_listener_are_logged(event: ListenerEvent, logged: dict[str, object]) -> None:
    assert Reported().listener(event) == [logged]


def test_each_host_that_is_refused_is_logged_once_in_ten_minutes() -> None:
    reported = Reported()
    lines = [
        reported.listener(event)
        for address in ("10.0.0.8", "10.0.0.8", "10.0.0.9")
        for event in (UnknownPeerRejected(address), ConnectionsRefused(address, 1))
    ]

    assert [len(found) for found in lines] == [1, 1, 0, 0, 1, 1]
