"""Prometheus metrics of the controller, and of a standby replica of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metallb_py.runtime.metrics import ClientMetrics, Metrics

ALLOCATION_BUCKETS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
"""In seconds; a service may wait for hours where no address is free."""

# The gauge that Kubernetes' own components have, too; without a value until it is set.
_LEADING = (
    "leader_election_master_status",
    "1 while this replica is the leader, 0 while it is a standby, by name of the Lease",
    ["name"],
)
# Family, and the prefix and first words of its gauges; the empty family is both together.
_FAMILIES = (
    ("", "", "Addresses"),
    ("ipv4", "ipv4_", "IPv4 addresses"),
    ("ipv6", "ipv6_", "IPv6 addresses"),
)


class StandbyMetrics(Metrics):
    """Metrics of a standby replica of the controller."""

    def __init__(self) -> None:
        super().__init__()
        self.leading = self.gauge(*_LEADING)


class ControllerMetrics(ClientMetrics):
    """Metrics of the controller; where there are several replicas, of the leader."""

    def __init__(self) -> None:
        super().__init__()
        self.leading = self.gauge(*_LEADING)
        self._pools: set[str] = set()
        self._pool_gauges = {
            family: (
                self.series(
                    f"metallb_allocator_{prefix}addresses_total",
                    f"{words} that can be allocated from a pool",
                    ["pool"],
                    "gauge",
                ),
                self.series(
                    f"metallb_allocator_{prefix}addresses_in_use_total",
                    f"{words} of a pool that are assigned to services; a shared one counts once",
                    ["pool"],
                    "gauge",
                ),
            )
            for family, prefix, words in _FAMILIES
        }
        self.pending = self.gauge(
            "metallb_controller_services_pending", "Services that wait for an address"
        )
        self.service_errors = self.counter(
            "metallb_controller_service_errors",
            "Exceptions in the decision about a service, which keeps its addresses",
        )
        self.draining_services = self.gauge(
            "metallb_controller_services_draining",
            "Services that hold addresses of a draining pool",
        )
        self.draining_pools = self.gauge(
            "metallb_controller_pools_draining",
            "Pools that left the configuration and are still in use",
        )
        self.state_write_failing = self.gauge(
            "metallb_controller_config_state_write_failing_bool",
            "1 while the last good configuration and the draining pools can't be stored",
        )
        self.allocation_seconds = self.histogram(
            "metallb_controller_allocation_seconds",
            "Time from a Service's creationTimestamp, which has whole seconds, until its addresses "
            "were written to its status; only for addresses that this process allocated",
            ALLOCATION_BUCKETS,
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
