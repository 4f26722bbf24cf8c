"""What a service asks for, in MetalLB's words where it asks for what can't be."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from support.objects import service

from controller.requests import SharingTerms, read_request, sharing_terms
from metallb_py.addresses import Family
from metallb_py.errors import AllocationError
from metallb_py.kube.objects import ServicePort

DUAL = ("10.96.0.10", "fd00::10")


def test_asks_for_nothing_special() -> None:
    request = read_request(service())
    assert request.families == (Family.IPV4,)
    assert not request.addresses
    assert not request.pool


@pytest.mark.parametrize("prefix", ["metallb.universe.tf/", "metallb.io/"])
def test_annotations_count_under_either_prefix(prefix: str) -> None:
    wishes = {
        prefix + "loadBalancerIPs": "192.0.2.7",
        prefix + "address-pool": "blue",
        prefix + "allow-shared-ip": "key",
    }
    request = read_request(service(annotations=wishes))
    assert request.addresses == (ip_address("192.0.2.7"),)
    assert request.pool == "blue"
    assert request.terms.key == "key"


def test_families_are_in_the_order_of_the_cluster_addresses() -> None:
    request = read_request(service(cluster_ips=DUAL[::-1]))
    assert request.families == (Family.IPV6, Family.IPV4)


@pytest.mark.parametrize(
    ("annotation", "in_spec", "cluster_ips", "message"),
    [
        ("192.0.2.1", "192.0.2.1", DUAL[:1], "can not have both metallb.universe.tf/loadBal"),
        ("", "nonsense", DUAL[:1], 'invalid spec.loadBalancerIP "nonsense"'),
        ("192.0.2.1,x", "", DUAL, 'invalid metallb.universe.tf/loadBalancerIPs: "192.0.2.1,x"'),
        ("192.0.2.1,192.0.2.2", "", DUAL, "same address family"),
        ("fd00::1", "", DUAL[:1], "does not match the ipFamily of the service"),
        ("192.0.2.1", "", DUAL, "does not match the ipFamily of the service"),
    ],
)
def test_what_can_not_be(
    annotation: str, in_spec: str, cluster_ips: tuple[str, ...], message: str
) -> None:
    wishes = {"metallb.universe.tf/loadBalancerIPs": annotation}
    asking = service(annotations=wishes, load_balancer_ip=in_spec, cluster_ips=cluster_ips)
    with pytest.raises(AllocationError, match=message):
        read_request(asking)


def test_two_cluster_addresses_of_one_family_are_refused() -> None:
    with pytest.raises(AllocationError, match="Failed to retrieve ClusterIPs IPFamily"):
        read_request(service(cluster_ips=("10.96.0.1", "10.96.0.2")))


def test_prefer_dual_stack_may_ask_for_one_address_of_two_families() -> None:
    asking = service(
        cluster_ips=DUAL, load_balancer_ip="192.0.2.1", ip_family_policy="PreferDualStack"
    )
    assert read_request(asking).fewer_families_do


def test_the_backend_key_counts_for_local_services_alone() -> None:
    ports = (ServicePort(53, "UDP"), ServicePort(80))
    shared = {"metallb.universe.tf/allow-shared-ip": "k"}
    cluster = service(annotations=shared, selector={"b": "2", "a": "1"}, ports=ports)
    local = service(
        annotations=shared,
        selector={"b": "2", "a": "1"},
        ports=ports,
        external_traffic_policy="Local",
    )
    expected = frozenset({("UDP", 53), ("TCP", 80)})
    assert sharing_terms(cluster) == SharingTerms("k", "", expected)
    assert sharing_terms(local) == SharingTerms("k", "a=1,b=2", expected)
