"""Assignment of addresses to one Service: keep, release, assign or allocate."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from support.kube.assignment import converge
from support.kube.objects import pool, service

from controller.allocator import Allocator
from controller.assignment import Reason, reclaim, reclaim_in_order

DUAL = ("10.96.0.10", "fd00::10")
POOL = pool("a", "192.0.2.0/29", "2001:db8::/64")


@pytest.fixture
def allocator() -> Allocator:
    made = Allocator()
    made.set_pools((POOL, pool("b", "198.51.100.0/29")))
    return made


def test_a_new_service_gets_the_first_address(allocator: Allocator) -> None:
    outcome = converge(service(), allocator)
    assert outcome.addresses == (ip_address("192.0.2.0"),)
    assert outcome.allocated
    assert outcome.pool == "a"
    assert outcome.verdict.positive


def test_an_address_in_the_status_is_kept(allocator: Allocator) -> None:
    outcome = converge(service(ips=("198.51.100.3",)), allocator)
    assert outcome.addresses == (ip_address("198.51.100.3"),)
    assert not outcome.allocated
    assert outcome.cleared is None


def test_a_holding_is_kept_while_the_status_does_not_show_it_yet(
    allocator: Allocator,
) -> None:
    first = converge(service(), allocator)
    again = converge(service(version="2"), allocator)
    assert again.addresses == first.addresses
    assert not again.allocated


def test_addresses_are_reclaimed_before_others_are_allocated(allocator: Allocator) -> None:
    holder = service("holder", ips=("192.0.2.0",))
    reclaim(holder, allocator)
    assert converge(service("new"), allocator).addresses == (ip_address("192.0.2.1"),)
    assert converge(holder, allocator).addresses == (ip_address("192.0.2.0"),)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"kind": "ClusterIP"}, Reason.NOT_LOAD_BALANCER),
        ({"cluster_ips": ()}, Reason.NO_CLUSTER_IPS),
        ({"cluster_ips": ("None",)}, Reason.NO_CLUSTER_IPS),
    ],
)
def test_a_service_that_is_no_load_balancer_loses_its_address(
    allocator: Allocator, changed: dict[str, object], reason: Reason
) -> None:
    converge(service(), allocator)
    outcome = converge(service(ips=("192.0.2.0",), **changed), allocator)  # type: ignore[arg-type]
    assert outcome.addresses == ()
    assert outcome.cleared is not None
    assert outcome.cleared.reason is reason
    assert allocator.held("default/web") is None


@pytest.mark.parametrize(
    ("held", "changed", "reason", "given"),
    [
        ("192.0.2.1", {"load_balancer_ip": "192.0.2.5"}, Reason.DIFFERENT_IP, "192.0.2.5"),
        (
            "192.0.2.1",
            {"annotations": {"metallb.universe.tf/address-pool": "b"}},
            Reason.DIFFERENT_POOL,
            "198.51.100.0",
        ),
        ("203.0.113.1", {}, Reason.NOT_ALLOWED, "192.0.2.0"),
        ("2001:db8::1", {}, Reason.LB_IP_FAMILY, "192.0.2.0"),
        ("nonsense", {}, Reason.LB_IP_FAMILY, "192.0.2.0"),
    ],
)
def test_an_address_that_no_longer_fits_is_cleared_and_replaced(
    allocator: Allocator, held: str, changed: dict[str, object], reason: Reason, given: str
) -> None:
    outcome = converge(service(ips=(held,), **changed), allocator)  # type: ignore[arg-type]
    assert outcome.cleared is not None
    assert outcome.cleared.reason is reason
    assert outcome.addresses == (ip_address(given),)
    assert outcome.allocated


def test_a_malformed_request_releases_nothing(allocator: Allocator) -> None:
    outcome = converge(service(ips=("192.0.2.3",), load_balancer_ip="x"), allocator)
    assert outcome.addresses == (ip_address("192.0.2.3"),)
    assert outcome.verdict.reason == Reason.INVALID_REQUEST
    assert outcome.verdict.detail == (
        'invalid spec.loadBalancerIP "x": "x": want an IPv4 or IPv6 address'
    )


def test_allocation_failure_names_every_exhausted_pool(allocator: Allocator) -> None:
    for n in range(16):
        converge(service(f"s{n}"), allocator)
    outcome = converge(service("late"), allocator)
    assert outcome.addresses == ()
    assert outcome.verdict.reason == Reason.ALLOCATION_FAILED
    full = "no ipv4 address free"
    assert outcome.verdict.detail == f'no available IPs: pool "a": {full}; pool "b": {full}'
    refused = [(check.name, check.detail) for check in outcome.verdict.checks if not check.passed]
    assert refused[:-1] == [('pool "a"', full), ('pool "b"', full)]


def test_an_address_outside_the_requested_pool_is_an_error_not_a_flap(
    allocator: Allocator,
) -> None:
    annotations = {"metallb.universe.tf/address-pool": "b"}
    requesting = service(load_balancer_ip="192.0.2.1", annotations=annotations)
    outcome = converge(requesting, allocator)
    assert outcome.verdict.reason == Reason.ALLOCATION_FAILED
    assert 'not in the requested pool "b"' in outcome.verdict.detail


def test_a_single_stack_service_that_becomes_dual_stack_gets_both(allocator: Allocator) -> None:
    outcome = converge(service(ips=("192.0.2.1",), cluster_ips=DUAL), allocator)
    assert {address.version for address in outcome.addresses} == {4, 6}


@pytest.mark.parametrize("policy", ["PreferDualStack", "RequireDualStack"])
@pytest.mark.parametrize("cluster_ips", [DUAL, DUAL[::-1]])
def test_a_second_family_is_added_to_the_address_that_stays(
    allocator: Allocator, policy: str, cluster_ips: tuple[str, ...]
) -> None:
    requesting = service(ips=("192.0.2.1",), cluster_ips=cluster_ips, ip_family_policy=policy)
    outcome = converge(requesting, allocator)
    assert outcome.addresses == (ip_address("192.0.2.1"), ip_address("2001:db8::"))
    assert outcome.allocated
    assert outcome.cleared is None


@pytest.mark.parametrize("policy", ["PreferDualStack", "RequireDualStack"])
def test_without_a_second_family_in_its_pool_the_address_stays(
    allocator: Allocator, policy: str
) -> None:
    requesting = service(ips=("198.51.100.1",), cluster_ips=DUAL, ip_family_policy=policy)
    outcome = converge(requesting, allocator)
    assert outcome.addresses == (ip_address("198.51.100.1"),)
    assert outcome.verdict.positive == (policy == "PreferDualStack")
    if not outcome.verdict.positive:
        assert outcome.verdict.detail == (
            'no available IPs in pool "b" for dual IPFamily: no ipv6 addresses in it'
        )


@pytest.mark.parametrize(
    ("cluster_ip", "stays"), [(DUAL[0], "192.0.2.1"), (DUAL[1], "2001:db8::5")]
)
def test_a_family_no_longer_requested_is_released_and_the_other_is_kept(
    allocator: Allocator, cluster_ip: str, stays: str
) -> None:
    converge(service(ips=("192.0.2.1", "2001:db8::5"), cluster_ips=DUAL), allocator)
    outcome = converge(service(cluster_ips=(cluster_ip,), version="2"), allocator)
    assert outcome.addresses == (ip_address(stays),)
    assert outcome.cleared is not None
    assert outcome.cleared.reason is Reason.LB_IP_FAMILY


def test_a_dual_stack_status_keeps_its_order(allocator: Allocator) -> None:
    both = ("2001:db8::7", "192.0.2.1")
    requesting = service(
        ips=both,
        cluster_ips=DUAL,
        annotations={"metallb.universe.tf/loadBalancerIPs": ",".join(reversed(both))},
    )
    assert [str(a) for a in converge(requesting, allocator).addresses] == list(both)


def test_a_request_for_an_unknown_pool_keeps_the_held_address(
    allocator: Allocator,
) -> None:
    requesting = service(
        ips=("192.0.2.3",), annotations={"metallb.universe.tf/address-pool": "gone"}
    )
    outcome = converge(requesting, allocator)
    assert outcome.addresses == (ip_address("192.0.2.3"),)
    assert outcome.cleared is None
    assert outcome.verdict.detail == 'unknown pool "gone"'
    nothing_yet = service("new", annotations={"metallb.universe.tf/address-pool": "gone"})
    assert converge(nothing_yet, allocator).addresses == ()


def test_a_status_address_that_is_no_longer_requested_is_reclaimed_last(
    allocator: Allocator,
) -> None:
    moved = service("moved", ips=("192.0.2.0",), load_balancer_ip="192.0.2.5")
    successor = service("successor", ips=("192.0.2.0",))
    waits = service("waits", ips=("192.0.2.1",), load_balancer_ip="192.0.2.6")
    reclaim_in_order((moved, waits, successor), allocator)
    held = {key: allocator.held(f"default/{key}") for key in ("moved", "waits", "successor")}
    assert {key: each and each.addresses for key, each in held.items()} == {
        "moved": None,
        "waits": (ip_address("192.0.2.1"),),
        "successor": (ip_address("192.0.2.0"),),
    }


def test_a_malformed_request_does_not_prevent_reclaiming(allocator: Allocator) -> None:
    reclaim(service(ips=("192.0.2.0",), load_balancer_ip="x"), allocator)
    held = allocator.held("default/web")
    assert held is not None
    assert held.addresses == (ip_address("192.0.2.0"),)
