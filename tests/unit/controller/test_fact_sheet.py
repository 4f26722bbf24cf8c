"""MetalLB 0.12's rules of allocation, each as a case, and where this controller differs.

Cases that the tests of single modules contain are not repeated. Names with "where MetalLB" state
an intended difference.
"""

from __future__ import annotations

from ipaddress import ip_address

import msgspec
import pytest
from support.kube.assignment import converge, written
from support.kube.objects import config, pool, service

from controller.allocator import Allocator
from controller.assignment import Memory, Outcome, Reason
from controller.core import Controller
from controller.effects import (
    ConfigApplied,
    ConfigRefused,
    Decided,
    DrainingChanged,
    WriteStatus,
)
from controller.orphaned_addresses import OrphanPolicy
from metallb_py.kube.objects import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    Service,
    ServicePort,
    ServiceStatus,
)

DUAL = ("10.96.0.10", "fd00::10")
SMALL = config(pool("a", "192.0.2.0/31"))
IPS = "metallb.universe.tf/loadBalancerIPs"
POOL = "metallb.universe.tf/address-pool"
SHARED = {"metallb.universe.tf/allow-shared-ip": "k"}


@pytest.fixture
def allocator() -> Allocator:
    made = Allocator()
    made.set_pools(
        (
            pool("a", "192.0.2.0/29", "2001:db8::/64"),
            pool("b", "198.51.100.0/29"),
            pool("asked", "203.0.113.0/30", auto_assign=False),
            pool("careful", "10.0.0.0/30", avoid_buggy_ips=True),
        )
    )
    return made


def started(*services: Service, **options: OrphanPolicy) -> Controller:
    core = Controller(**options)
    for item in services:
        core.service_changed(item.key, item)
    core.config_changed(SMALL)
    core.services_synced()
    return core


def texts(outcome: Outcome) -> list[str]:
    return list(map(str, outcome.addresses))


def reason_and_detail(outcome: Outcome) -> tuple[object, str]:
    return outcome.verdict.reason, outcome.verdict.detail


# 2.1 Inputs and order


def test_the_address_of_a_deleted_service_is_free_for_others() -> None:
    core = started(service())
    core.service_changed("default/web", None)
    assert written(core.service_changed("default/n", service("n"))) == {"n": ["192.0.2.0"]}


def test_a_deletion_without_release_retries_none_where_metallb_queues_all() -> None:
    core = started(service("a"), service("b"), service("c"), service("d"))
    effects = core.service_changed("default/d", None)
    assert not [effect for effect in effects if isinstance(effect, Decided)]


def test_the_status_of_a_service_that_is_no_load_balancer_is_emptied() -> None:
    core = started(service(ips=("192.0.2.0",), pool="a"))
    stopped = service(ips=("192.0.2.0",), pool="a", kind="ClusterIP", version="2")
    assert written(core.service_changed("default/web", stopped)) == {"web": []}


def test_without_cluster_ips_the_address_is_released() -> None:
    core = started(service(ips=("192.0.2.0",), pool="a", cluster_ips=()))
    assert core.pending == {"default/web"}
    assert core.allocator.held("default/web") is None


def test_a_single_cluster_ip_counts_where_metallb_ignores_it(
    allocator: Allocator,
) -> None:
    old = service(cluster_ips=(), cluster_ip="10.96.0.10")
    assert texts(converge(old, allocator)) == ["192.0.2.0"]


def test_ingress_entries_with_a_host_name_are_ignored(allocator: Allocator) -> None:
    entries = (LoadBalancerIngress(hostname="lb.example"), LoadBalancerIngress(ip="192.0.2.4"))
    status = ServiceStatus(LoadBalancerStatus(entries))
    outcome = converge(msgspec.structs.replace(service(), status=status), allocator)
    assert texts(outcome) == ["192.0.2.4"]
    assert outcome.cleared is None


@pytest.mark.parametrize(
    "ips", [("192.0.2.1", "192.0.2.2"), ("192.0.2.1", "192.0.2.2", "2001:db8::1")]
)
def test_a_bad_status_keeps_one_address_per_family_where_metallb_is_stuck(
    allocator: Allocator, ips: tuple[str, ...]
) -> None:
    outcome = converge(service(ips=ips), allocator)
    assert outcome.cleared is not None
    assert outcome.cleared.reason is Reason.LB_IP_FAMILY
    assert texts(outcome) == ["192.0.2.1"]


def test_invalid_cluster_ips_release_and_allocate_nothing(allocator: Allocator) -> None:
    converge(service(), allocator)
    bad = service(ips=("192.0.2.0",), cluster_ips=("10.96.0.1", "10.96.0.2"))
    outcome = converge(bad, allocator)
    assert outcome.verdict.reason == Reason.CLUSTER_IP_FAMILY
    assert texts(outcome) == ["192.0.2.0"]


def test_dual_to_single_stack_keeps_one_where_metallb_releases_both(
    allocator: Allocator,
) -> None:
    outcome = converge(service(ips=("192.0.2.1", "2001:db8::1")), allocator)
    assert outcome.cleared is not None
    assert outcome.cleared.reason is Reason.LB_IP_FAMILY
    assert texts(outcome) == ["192.0.2.1"]


def test_an_address_in_the_status_that_another_service_has_is_replaced(
    allocator: Allocator,
) -> None:
    converge(service("first", ips=("192.0.2.3",)), allocator)
    outcome = converge(service("second", ips=("192.0.2.3",)), allocator)
    assert outcome.cleared is not None
    assert outcome.cleared.reason is Reason.NOT_ALLOWED
    assert texts(outcome) == ["192.0.2.0"]


def test_a_status_address_is_reclaimed_with_the_present_ports(allocator: Allocator) -> None:
    one = service("one", ips=("192.0.2.3",), annotations=SHARED)
    converge(one, allocator)
    tls = (ServicePort(443),)
    converge(service("two", ips=("192.0.2.3",), annotations=SHARED, ports=tls), allocator)
    clash = service("two", ips=("192.0.2.3",), annotations=SHARED, version="2")
    outcome = converge(clash, allocator)
    assert outcome.cleared is not None
    assert outcome.cleared.detail == 'port TCP/80 is already in use on "192.0.2.3" by default/one'
    assert texts(outcome) == ["192.0.2.0"]


def test_a_service_that_loses_its_only_address_has_an_empty_status() -> None:
    core = started(service("a"), service("b"), service("c", ips=("203.0.113.9",), pool="x"))
    moved = service("c", ips=("203.0.113.9",), pool="x", version="2")
    assert written(core.service_changed("default/c", moved)) == {"c": []}
    assert core.pending == {"default/c"}


def test_only_addresses_are_compared_before_a_status_is_written() -> None:
    core = started(service())
    raw = msgspec.json.decode(msgspec.json.encode(service(ips=("192.0.2.0",), pool="a")))
    raw["status"]["loadBalancer"]["ingress"][0] |= {"ipMode": "VIP", "ports": []}
    shown = msgspec.convert(raw, Service)
    assert core.service_changed("default/web", shown) == ()


# 2.2 Preferences


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        ("192.0.2.1,2001:db8::1,192.0.2.2", "invalid ips length 3"),
        ("192.0.2.1,192.0.2.2", "same address family"),
        (" , ", 'invalid metallb.universe.tf/loadBalancerIPs: " , "'),
    ],
)
def test_impossible_requests_are_explained(
    allocator: Allocator, requested: str, message: str
) -> None:
    outcome = converge(service(annotations={IPS: requested}, cluster_ips=DUAL), allocator)
    assert message in outcome.verdict.detail
    assert not outcome.addresses


def test_a_requested_address_needs_no_auto_assign(allocator: Allocator) -> None:
    outcome = converge(service(load_balancer_ip="203.0.113.2"), allocator)
    assert texts(outcome) == ["203.0.113.2"]
    assert outcome.pool == "asked"


def test_a_list_of_addresses_is_trimmed_and_assigned_in_its_order(allocator: Allocator) -> None:
    requesting = service(annotations={IPS: " 2001:db8::5 , 192.0.2.5"}, cluster_ips=DUAL)
    assert texts(converge(requesting, allocator)) == ["2001:db8::5", "192.0.2.5"]


@pytest.mark.parametrize(
    ("wanted", "detail"),
    [
        (
            "172.16.0.1",
            '172.16.0.1 is in no pool: the pools are "a", "b", "asked", "careful"',
        ),
        ("10.0.0.0", 'pool "careful" does not give out 10.0.0.0: avoid-buggy-ips is set'),
    ],
)
def test_an_address_that_no_pool_allocates_is_refused(
    allocator: Allocator, wanted: str, detail: str
) -> None:
    outcome = converge(service(load_balancer_ip=wanted), allocator)
    text = f'["{wanted}"] is not allowed in config: {detail}'
    assert reason_and_detail(outcome) == (Reason.ALLOCATION_FAILED, text)


def test_requested_addresses_must_be_in_one_pool(allocator: Allocator) -> None:
    requested = {IPS: "198.51.100.1,2001:db8::1"}
    outcome = converge(service(annotations=requested, cluster_ips=DUAL), allocator)
    assert reason_and_detail(outcome) == (
        Reason.ALLOCATION_FAILED,
        (
            '["198.51.100.1" "2001:db8::1"] is not allowed in config: 198.51.100.1 is in pool '
            '"b", 2001:db8::1 is in pool "a": want all of them in one pool'
        ),
    )


def test_a_requested_address_of_the_requested_pool_is_assigned(allocator: Allocator) -> None:
    requesting = service(load_balancer_ip="198.51.100.3", annotations={POOL: "b"})
    assert texts(converge(requesting, allocator)) == ["198.51.100.3"]


@pytest.mark.parametrize(
    ("requested", "cluster_ips", "message"),
    [
        ("nope", DUAL[:1], 'unknown pool "nope"'),
        (
            "b",
            DUAL[1:],
            'no available IPs in pool "b" for ipv6 IPFamily: pool "b": no ipv6 addresses in it',
        ),
        (
            "b",
            DUAL,
            'no available IPs in pool "b" for dual IPFamily: pool "b": no ipv6 addresses in it',
        ),
    ],
)
def test_a_requested_pool_that_cannot_serve_is_an_allocation_failure(
    allocator: Allocator, requested: str, cluster_ips: tuple[str, ...], message: str
) -> None:
    outcome = converge(service(annotations={POOL: requested}, cluster_ips=cluster_ips), allocator)
    assert reason_and_detail(outcome) == (Reason.ALLOCATION_FAILED, message)


def test_both_families_come_from_one_pool_or_not_at_all() -> None:
    made = Allocator()
    made.set_pools((pool("v4", "192.0.2.0/30"), pool("v6", "2001:db8::/64")))
    outcome = converge(service(cluster_ips=DUAL, ip_family_policy="RequireDualStack"), made)
    detail = (
        'no available IPs: pool "v4": no ipv6 addresses in it; pool "v6": no ipv4 addresses in it'
    )
    assert reason_and_detail(outcome) == (Reason.ALLOCATION_FAILED, detail)


def test_prefer_dual_stack_takes_one_where_metallb_allocates_nothing() -> None:
    made = Allocator()
    made.set_pools((pool("v4", "192.0.2.0/30"),))
    requesting = service(cluster_ips=DUAL, ip_family_policy="PreferDualStack")
    assert texts(converge(requesting, made)) == ["192.0.2.0"]


def test_families_are_in_the_services_order_where_metallbs_follow_the_pool(
    allocator: Allocator,
) -> None:
    outcome = converge(service(cluster_ips=DUAL[::-1]), allocator)
    assert texts(outcome) == ["2001:db8::", "192.0.2.0"]


# 2.3 Sharing


def local(name: str, selector: dict[str, str] | None, port: int) -> Service:
    return service(
        name,
        ips=("192.0.2.3",),
        annotations=SHARED,
        ports=(ServicePort(port),),
        selector=selector,
        external_traffic_policy="Local",
    )


def test_without_a_sharing_key_nothing_is_shared(allocator: Allocator) -> None:
    converge(service("one", load_balancer_ip="192.0.2.3"), allocator)
    tls = (ServicePort(443),)
    outcome = converge(service("two", load_balancer_ip="192.0.2.3", ports=tls), allocator)
    assert reason_and_detail(outcome) == (
        Reason.ALLOCATION_FAILED,
        (
            'can\'t change sharing key for "default/two", address also in use by default/one: '
            "192.0.2.3: it has no sharing key"
        ),
    )


def test_one_port_in_two_protocols_is_two_ports(allocator: Allocator) -> None:
    for name, protocol in (("tcp", "TCP"), ("udp", "UDP")):
        dns = service(name, annotations=SHARED, ports=(ServicePort(53, protocol),))
        assert texts(converge(dns, allocator)) == ["192.0.2.0"]


@pytest.mark.parametrize(
    ("selector", "shares"),
    [({"app": "web"}, True), ({"app": "other"}, False), (None, False)],
)
def test_local_services_share_if_they_select_the_same(
    allocator: Allocator, selector: dict[str, str] | None, shares: bool
) -> None:
    converge(local("one", {"app": "web"}, 80), allocator)
    outcome = converge(local("two", selector, 443), allocator)
    assert (texts(outcome) == ["192.0.2.3"]) is shares


def test_a_local_service_without_selector_shares_as_a_cluster_service(
    allocator: Allocator,
) -> None:
    converge(service("one", ips=("192.0.2.3",), annotations=SHARED), allocator)
    assert texts(converge(local("two", None, 443), allocator)) == ["192.0.2.3"]


def test_an_only_user_may_change_its_sharing_key_and_ports(allocator: Allocator) -> None:
    converge(service(ips=("192.0.2.3",), annotations=SHARED), allocator)
    changed = service(ips=("192.0.2.3",), ports=(ServicePort(443),), version="2")
    outcome = converge(changed, allocator)
    assert texts(outcome) == ["192.0.2.3"]
    assert outcome.cleared is None


def test_a_sharer_that_must_move_is_reported_where_metallb_is_silent(
    allocator: Allocator,
) -> None:
    tls = (ServicePort(443),)
    converge(service("one", annotations=SHARED), allocator)
    converge(service("two", annotations=SHARED, ports=tls), allocator)
    alone = service("two", ips=("192.0.2.0",), ports=tls, version="2")
    assert texts(converge(alone, allocator)) == ["192.0.2.0"], "the others may follow"
    outcome = converge(alone, allocator, memory=Memory(within_grace=False))
    assert texts(outcome) == ["192.0.2.1"]
    assert outcome.cleared is not None
    assert outcome.cleared.reason is Reason.NOT_ALLOWED


def test_a_sharing_change_retries_pending_where_metallb_does_not() -> None:
    tls = (ServicePort(443),)
    core = started(service("one"), service("two"), service("x", annotations=SHARED, ports=tls))
    assert core.pending == {"default/x"}
    shares = service("one", annotations=SHARED, version="2")
    assert written(core.service_changed("default/one", shares))["x"] == ["192.0.2.0"]


# 2.4 Changes of the configuration


def test_addresses_that_moved_to_another_pool_are_kept() -> None:
    core = started(service(ips=("192.0.2.1",), pool="a"))
    effects = core.config_changed(config(pool("renamed", "192.0.2.0/24")))
    (write,) = (effect for effect in effects if isinstance(effect, WriteStatus))
    assert write.addresses == (ip_address("192.0.2.1"),)
    assert write.pool == "renamed"


CAREFUL = config(pool("a", "192.0.2.0/31", avoid_buggy_ips=True))


def test_avoid_buggy_ips_over_an_address_in_use_is_refused() -> None:
    core = started(service(), policy=OrphanPolicy.REFUSE)
    (refused,) = (e for e in core.config_changed(CAREFUL) if isinstance(e, ConfigRefused))
    assert 'service "default/web" cannot own ["192.0.2.0"]' in refused.problems[0]


def test_avoid_buggy_ips_keeps_addresses_in_use_where_metallb_refuses() -> None:
    core = started(service(ips=("192.0.2.0",), pool="a"))
    effects = core.config_changed(CAREFUL)
    assert ConfigApplied(CAREFUL) in effects
    assert any(isinstance(effect, DrainingChanged) for effect in effects)
    assert not written(effects)
    assert written(core.service_changed("default/n", service("n"))) == {"n": ["192.0.2.1"]}


def test_a_restart_replaces_addresses_outside_the_configuration() -> None:
    core = Controller()
    core.service_changed("default/web", service(ips=("203.0.113.1",), pool="gone"))
    core.config_changed(SMALL)
    assert written(core.services_synced()) == {"web": ["192.0.2.0"]}


def test_a_smaller_configuration_that_orphans_no_address_is_applied() -> None:
    core = started(service(ips=("192.0.2.0",), pool="a"))
    less = config(pool("a", "192.0.2.0/32"))
    assert core.config_changed(less) == (ConfigApplied(less),)
