"""Prometheus metrics of the speaker: one class for each feature, on one page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metallb_py.runtime.metrics import ClientMetrics

ROUND_TRIP_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2)
"""In seconds."""


class SpeakerMetrics(ClientMetrics):
    """Metrics of the speaker."""

    def __init__(self) -> None:
        super().__init__()
        self.announced = self.series(
            "metallb_speaker_announced",
            "1 for each address that this node announces for a service",
            ["service", "protocol", "node", "ip"],
            "gauge",
        )
        self.object_errors = self.counter(
            "metallb_speaker_object_errors_total",
            "Objects that could not be handled because of a bug in the speaker",
        )
        self.layer2_requests = self.series(
            "metallb_layer2_requests_received",
            "ARP requests and neighbor solicitations received for addresses that this node "
            "announces",
            ["ip"],
        )
        self.layer2_responses = self.series(
            "metallb_layer2_responses_sent",
            "ARP replies and solicited neighbor advertisements sent",
            ["ip"],
        )
        self.layer2_gratuitous = self.series(
            "metallb_layer2_gratuitous_sent",
            "Gratuitous ARP packets and unsolicited neighbor advertisements sent after this node "
            "took over an address",
            ["ip"],
        )
        self.layer2_dropped = self.counter(
            "metallb_layer2_dropped_total",
            "ARP and neighbor discovery frames without a reply, by reason",
            ["reason"],
        )
        self.layer2_conflicts = self.counter(
            "metallb_layer2_conflicts_total",
            "Frames in which a host that runs no speaker claims an announced address (RFC 5227)",
            ["ip"],
        )
        self.bgp_session_up = self.gauge(
            "metallb_bgp_session_up", "1 while the session is established, else 0", ["peer"]
        )
        self.bgp_updates = self.counter(
            "metallb_bgp_updates_total", "UPDATE messages sent", ["peer"]
        )
        self.bgp_updates_received = self.counter(
            "metallb_bgp_updates_received_total",
            "UPDATE messages received; their routes are not used",
            ["peer"],
        )
        self.bgp_announced = self.gauge(
            "metallb_bgp_announced_prefixes_total",
            "Prefixes advertised on the session; 0 while it is down",
            ["peer"],
        )
        self.bgp_pending = self.gauge(
            "metallb_bgp_pending_prefixes_total",
            "Prefixes that should be advertised on the session",
            ["peer"],
        )

    def set_announced(self, service: str, protocol: str, node: str, ips: Iterable[str]) -> None:
        """Add the series of addresses that this node announces for a service."""
        for ip in ips:
            self.announced.set(1, service, protocol, node, ip)

    def clear_announced(self, service: str, protocol: str, node: str, ips: Iterable[str]) -> None:
        """Remove the series of addresses that are no longer announced."""
        for ip in ips:
            self.announced.forget(service, protocol, node, ip)

    def forget_peer(self, peer: str) -> None:
        """Remove the series of a peer that is no longer configured."""
        for metric in (
            self.bgp_session_up,
            self.bgp_updates,
            self.bgp_updates_received,
            self.bgp_announced,
            self.bgp_pending,
        ):
            metric.remove(peer)


class PasswordMetrics:
    """Metrics on BGP passwords in Secrets, on the page of ``speaker``."""

    def __init__(self, speaker: SpeakerMetrics) -> None:
        self._waiting = speaker.gauge(
            "metallb_bgp_password_missing",
            "1 for each peer that waits for its password from a Secret",
            ["peer"],
        )
        self._shown: set[str] = set()

    def show_waiting(self, peers: set[str]) -> None:
        """Set the series of these peers, and remove all others."""
        for peer in self._shown - peers:
            self._waiting.remove(peer)
        for peer in peers:
            self._waiting.labels(peer).set(1)
        self._shown = set(peers)


class BfdMetrics:
    """Metrics on BFD with MetalLB's names, on the page of ``speaker``."""

    def __init__(self, speaker: SpeakerMetrics) -> None:
        self.session_up = speaker.gauge(
            "metallb_bfd_session_up", "1 while the BFD session is up, else 0", ["peer"]
        )
        # By the names of ``Counts``.
        self._counters = {
            name: speaker.series(f"metallb_bfd_{metric}", documentation, ["peer"])
            for name, metric, documentation in (
                ("control_in", "control_packet_input", "BFD control packets received"),
                ("control_out", "control_packet_output", "BFD control packets sent"),
                ("echo_in", "echo_packet_input", "BFD echo packets received"),
                ("echo_out", "echo_packet_output", "BFD echo packets sent"),
                ("ups", "session_up_events", "Transitions of the BFD session to Up"),
                ("downs", "session_down_events", "Transitions of the BFD session from Up"),
            )
        }

    def show_peer(self, peer: str) -> None:
        """Create the series of a peer, with value 0."""
        self.session_up.labels(peer).set(0)
        for series in self._counters.values():
            series.add(0, peer)

    def count(self, peer: str, before: Mapping[str, int], now: Mapping[str, int]) -> None:
        """Add the difference of a session's counts, both by the names of ``Counts``."""
        for name, series in self._counters.items():
            series.add(now[name] - before.get(name, 0), peer)

    def forget_peer(self, peer: str) -> None:
        """Remove the series of a peer that no longer has a BFD session."""
        self.session_up.remove(peer)
        for series in self._counters.values():
            series.forget(peer)


class MemberMetrics:
    """Metrics on memberlist gossip, on the page of ``speaker``."""

    def __init__(self, speaker: SpeakerMetrics) -> None:
        self.members = speaker.gauge(
            "metallb_memberlist_members",
            "Members in the list of this speaker, itself included, by state",
            ["state"],
        )
        self.health = speaker.gauge(
            "metallb_memberlist_health_score",
            "Local health score of this speaker (Lifeguard); 0 is healthy",
        )
        self.suspicions = speaker.counter(
            "metallb_memberlist_suspicions_total",
            "Times that another member was suspected to have failed",
        )
        self.refutations = speaker.counter(
            "metallb_memberlist_accusations_total",
            "Times that this member refuted a suspicion of itself",
        )
        self.round_trip_seconds = speaker.histogram(
            "metallb_memberlist_probe_round_trip_seconds",
            "Time from a probe of another member to its direct ack",
            ROUND_TRIP_BUCKETS,
        )
        self.messages = speaker.counter(
            "metallb_memberlist_messages_total",
            "Messages of the gossip protocol, by direction (in, out) and kind",
            ["direction", "kind"],
        )
        self.dropped = speaker.counter(
            "metallb_memberlist_dropped_total",
            "Packets and messages of the gossip protocol that were discarded, by reason",
            ["reason"],
        )
