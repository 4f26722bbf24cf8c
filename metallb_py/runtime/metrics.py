"""Prometheus metrics with MetalLB's names, labels and meanings.

Dashboards and alerts made for MetalLB keep working. Some of its counters, such as
``..._requests_received`` and ``..._responses_sent``, lack the suffix that the Prometheus library
forces onto counters; they are exported as untyped series, which queries treat alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from metallb_py.runtime.series import Family, Series

prometheus_client.disable_created_metrics()

# Seconds; a service may wait for hours where no address is free.
ALLOCATION_BUCKETS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)

# Seconds.
ROUND_TRIP_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2)


class _SingleFamily(Collector):
    """Collector of one family, so that the library formats that one."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> tuple[Metric, ...]:
        """Return the family."""
        return (self._metric,)


class ClientMetrics:
    """Metrics of both daemons, on their use of Kubernetes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.updates = Counter(
            "metallb_k8s_client_updates_total",
            "Changes of Kubernetes objects that were handled",
            registry=self.registry,
        )
        self.update_errors = Counter(
            "metallb_k8s_client_update_errors_total",
            "Changes of Kubernetes objects whose handling failed and is retried",
            registry=self.registry,
        )
        self.undecodable = Counter(
            "metallb_k8s_client_undecodable_total",
            "Versions of Kubernetes objects that could not be decoded completely, by kind; the "
            "last good version, or the decodable part, stays in force",
            ["kind"],
            registry=self.registry,
        )
        self.config_loaded = Gauge(
            "metallb_k8s_client_config_loaded_bool",
            "1 once a configuration was loaded",
            registry=self.registry,
        )
        self.config_stale = Gauge(
            "metallb_k8s_client_config_stale_bool",
            "1 while the latest configuration is refused and an earlier one is in force",
            registry=self.registry,
        )

        self.state_unusable = Counter(
            "metallb_k8s_client_config_state_unusable_total",
            "Times that the stored state of the configuration was damaged, or was another "
            "ConfigMap's",
            registry=self.registry,
        )

    def render(self) -> tuple[bytes, str]:
        """Return the page and its content type."""
        return _render(self.registry)


def leading_gauge(registry: CollectorRegistry) -> Gauge:
    """Return the gauge that Kubernetes' own components have, without a value yet."""
    return Gauge(
        "leader_election_master_status",
        "1 while this replica is the leader, 0 while it is a standby, by name of the Lease",
        ["name"],
        registry=registry,
    )


class StandbyMetrics:
    """Metrics of a standby replica of the controller."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.leading = leading_gauge(self.registry)

    def render(self) -> tuple[bytes, str]:
        """Return the page and its content type."""
        return _render(self.registry)


class ControllerMetrics(ClientMetrics):
    """Metrics of the controller; where there are several replicas, of the leader."""

    def __init__(self) -> None:
        super().__init__()
        self.leading = leading_gauge(self.registry)
        self._pools: set[str] = set()
        self._pool_gauges = {
            family: (
                self._pool_gauge(
                    f"{prefix}addresses_total", f"{words} that can be allocated from a pool"
                ),
                self._pool_gauge(
                    f"{prefix}addresses_in_use_total",
                    f"{words} of a pool that are assigned to services; a shared one counts once",
                ),
            )
            for family, prefix, words in (
                ("", "", "Addresses"),
                ("ipv4", "ipv4_", "IPv4 addresses"),
                ("ipv6", "ipv6_", "IPv6 addresses"),
            )
        }
        self.pending = self._gauge("services_pending", "Services that wait for an address")
        self.service_errors = Counter(
            "metallb_controller_service_errors",
            "Exceptions in the decision about a service, which keeps its addresses",
            registry=self.registry,
        )
        self.draining_services = self._gauge(
            "services_draining", "Services that hold addresses of a draining pool"
        )
        self.draining_pools = self._gauge(
            "pools_draining", "Pools that left the configuration and are still in use"
        )
        self.state_write_failing = self._gauge(
            "config_state_write_failing_bool",
            "1 while the last good configuration and the draining pools can't be stored",
        )
        self.allocation_seconds = Histogram(
            "metallb_controller_allocation_seconds",
            "Time from a Service's creationTimestamp, which has whole seconds, until its addresses "
            "were written to its status; only for addresses that this process allocated",
            buckets=ALLOCATION_BUCKETS,
            registry=self.registry,
        )

    def show_pool(self, pool: str, counts: Mapping[str, tuple[int, int]]) -> None:
        """Set a pool's gauges: the numbers of its addresses, and of those in use, by family.

        A draining pool has a name different from that of a configured pool.
        """
        whole = tuple(map(sum, zip(*counts.values(), strict=True)))
        for family, values in {**counts, "": whole}.items():
            for gauge, value in zip(self._pool_gauges[family], values, strict=True):
                gauge.set(value, pool)
        self._pools.add(pool)

    def forget_pools_but(self, pools: Iterable[str]) -> None:
        """Remove the series of all other pools, which are no longer configured."""
        for pool in self._pools - set(pools):
            for gauges in self._pool_gauges.values():
                for gauge in gauges:
                    gauge.forget(pool)
            self._pools.discard(pool)

    def _pool_gauge(self, name: str, documentation: str) -> Series:
        gauge = Series(f"metallb_allocator_{name}", documentation, ("pool",), "gauge")
        self.registry.register(gauge)
        return gauge

    def _gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(f"metallb_controller_{name}", documentation, registry=self.registry)


class SpeakerMetrics(ClientMetrics):
    """Metrics of the speaker."""

    def __init__(self) -> None:
        super().__init__()
        self.announced = Series(
            "metallb_speaker_announced",
            "1 for each address that this node announces for a service",
            ("service", "protocol", "node", "ip"),
            "gauge",
        )
        self.registry.register(self.announced)
        self.object_errors = Counter(
            "metallb_speaker_object_errors_total",
            "Objects that could not be handled because of a bug in the speaker",
            registry=self.registry,
        )
        self.layer2_requests = self._series(
            "metallb_layer2_requests_received",
            "ARP requests and neighbor solicitations received for addresses that this node "
            "announces",
        )
        self.layer2_responses = self._series(
            "metallb_layer2_responses_sent",
            "ARP replies and solicited neighbor advertisements sent",
        )
        self.layer2_gratuitous = self._series(
            "metallb_layer2_gratuitous_sent",
            "Gratuitous ARP packets and unsolicited neighbor advertisements sent after this node "
            "took over an address",
        )
        self.layer2_dropped = Counter(
            "metallb_layer2_dropped_total",
            "ARP and neighbor discovery frames without a reply, by reason",
            ["reason"],
            registry=self.registry,
        )
        self.layer2_conflicts = Counter(
            "metallb_layer2_conflicts_total",
            "Frames in which a host that runs no speaker claims an announced address (RFC 5227)",
            ["ip"],
            registry=self.registry,
        )
        self.bgp_session_up = self._peer_gauge(
            "metallb_bgp_session_up", "1 while the session is established, else 0"
        )
        self.bgp_updates = Counter(
            "metallb_bgp_updates_total",
            "UPDATE messages sent",
            ["peer"],
            registry=self.registry,
        )
        self.bgp_updates_received = Counter(
            "metallb_bgp_updates_received_total",
            "UPDATE messages received; their routes are not used",
            ["peer"],
            registry=self.registry,
        )
        self.bgp_announced = self._peer_gauge(
            "metallb_bgp_announced_prefixes_total",
            "Prefixes advertised on the session; 0 while it is down",
        )
        self.bgp_pending = self._peer_gauge(
            "metallb_bgp_pending_prefixes_total",
            "Prefixes that should be advertised on the session",
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

    def _series(self, name: str, documentation: str) -> Series:
        series = Series(name, documentation, ("ip",), "unknown")
        self.registry.register(series)
        return series

    def _peer_gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(name, documentation, ["peer"], registry=self.registry)


class PasswordMetrics:
    """Metrics on BGP passwords in Secrets, on the page of ``speaker``."""

    def __init__(self, speaker: SpeakerMetrics) -> None:
        self._waiting = Gauge(
            "metallb_bgp_password_missing",
            "1 for each peer that waits for its password from a Secret",
            ["peer"],
            registry=speaker.registry,
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
        self._registry = speaker.registry
        self.session_up = Gauge(
            "metallb_bfd_session_up",
            "1 while the BFD session is up, else 0",
            ["peer"],
            registry=self._registry,
        )
        self._counters = {
            "control_in": self._series("control_packet_input", "BFD control packets received"),
            "control_out": self._series("control_packet_output", "BFD control packets sent"),
            "echo_in": self._series("echo_packet_input", "BFD echo packets received"),
            "echo_out": self._series("echo_packet_output", "BFD echo packets sent"),
            "ups": self._series("session_up_events", "Transitions of the BFD session to Up"),
            "downs": self._series("session_down_events", "Transitions of the BFD session from Up"),
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

    def _series(self, name: str, documentation: str) -> Series:
        series = Series(f"metallb_bfd_{name}", documentation, ("peer",), "unknown")
        self._registry.register(series)
        return series


class MemberMetrics:
    """Metrics on memberlist gossip, on the page of ``speaker``."""

    def __init__(self, speaker: SpeakerMetrics) -> None:
        registry = speaker.registry
        self.members = Gauge(
            "metallb_memberlist_members",
            "Members in the list of this speaker, itself included, by state",
            ["state"],
            registry=registry,
        )
        self.health = Gauge(
            "metallb_memberlist_health_score",
            "Local health score of this speaker (Lifeguard); 0 is healthy",
            registry=registry,
        )
        self.suspicions = Counter(
            "metallb_memberlist_suspicions_total",
            "Times that another member was suspected to have failed",
            registry=registry,
        )
        self.refutations = Counter(
            "metallb_memberlist_accusations_total",
            "Times that this member refuted a suspicion of itself",
            registry=registry,
        )
        self.round_trip_seconds = Histogram(
            "metallb_memberlist_probe_round_trip_seconds",
            "Time from a probe of another member to its direct ack",
            buckets=ROUND_TRIP_BUCKETS,
            registry=registry,
        )
        self.messages = Counter(
            "metallb_memberlist_messages_total",
            "Messages of the gossip protocol, by direction (in, out) and kind",
            ["direction", "kind"],
            registry=registry,
        )
        self.dropped = Counter(
            "metallb_memberlist_dropped_total",
            "Packets and messages of the gossip protocol that were discarded, by reason",
            ["reason"],
            registry=registry,
        )


def _render(registry: CollectorRegistry) -> tuple[bytes, str]:
    """Format every family; may run in another thread than the one that updates the metrics."""
    page = [
        metric.text().encode()
        if isinstance(metric, Family)
        else prometheus_client.generate_latest(_SingleFamily(metric))
        for metric in registry.collect()
    ]
    return b"".join(page), prometheus_client.CONTENT_TYPE_PLAIN_0_0_4
