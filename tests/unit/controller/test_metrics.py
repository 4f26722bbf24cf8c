"""Metrics page of the controller."""

from __future__ import annotations

from support.net.metrics_page import samples

from controller.metrics import ControllerMetrics, StandbyMetrics


def test_pool_series_are_set_and_dropped() -> None:
    metrics = ControllerMetrics()
    metrics.show_pool("blue", {"ipv4": (10, 3), "ipv6": (2**64, 1)})
    metrics.show_pool("green", {"ipv4": (5, 0), "ipv6": (0, 0)})
    metrics.forget_pools_but(["blue"])
    found = samples(metrics)
    assert found["metallb_allocator_addresses_total", ("blue",)] == 2.0**64 + 10
    assert found["metallb_allocator_addresses_in_use_total", ("blue",)] == 4
    assert found["metallb_allocator_ipv4_addresses_total", ("blue",)] == 10
    assert found["metallb_allocator_ipv6_addresses_total", ("blue",)] == 2.0**64
    assert found["metallb_allocator_ipv6_addresses_in_use_total", ("blue",)] == 1
    assert ("metallb_allocator_addresses_total", ("green",)) not in found


def test_standby_reports_its_leader_election_status_and_no_other_metric() -> None:
    standby, leader, alone = StandbyMetrics(), ControllerMetrics(), ControllerMetrics()
    standby.leading.labels("metallb-controller").set(0)
    leader.leading.labels("metallb-controller").set(1)
    key = ("leader_election_master_status", ("metallb-controller",))
    assert samples(standby)[key] == 0
    assert samples(leader)[key] == 1
    assert key not in samples(alone)
    assert not any(name.startswith("metallb_") for name, _ in samples(standby))
