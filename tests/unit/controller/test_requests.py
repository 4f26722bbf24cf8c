"""Requests of a Service; those that are invalid have MetalLB's text."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from support.kube.objects import service

from controller.requests import (
    Fault,
    InvalidRequest,
    ServiceRequest,
    SharingTerms,
    parse,
    sharing_terms,
)
from metallb_py.addresses import AddressFamily
from metallb_py.kube.objects import Service, ServicePort

DUAL = ("10.96.0.10", "fd00::10")


def valid(item: Service) -> ServiceRequest:
    request = parse(item)
    assert isinstance(request, ServiceRequest)
    return request


def invalid(item: Service) -> InvalidRequest:
    request = parse(item)
    assert isinstance(request, InvalidRequest)
    return request


def test_a_plain_service_requests_nothing_special() -> None:
    request = valid(service())
    assert request.families == (AddressFamily.IPV4,)
    assert not request.addresses
    assert not request.pool


@pytest.mark.parametrize("prefix", ["metallb.universe.tf/", "metallb.io/"])
def test_annotations_count_under_either_prefix(prefix: str) -> None:
    annotations = {
        prefix + "loadBalancerIPs": "192.0.2.7",
        prefix + "address-pool": "blue",
        prefix + "allow-shared-ip": "key",
    }
    request = valid(service(annotations=annotations))
    assert request.addresses == (ip_address("192.0.2.7"),)
    assert request.pool == "blue"
    assert request.terms.key == "key"


def test_families_are_in_the_order_of_the_cluster_ips() -> None:
    request = valid(service(cluster_ips=DUAL[::-1]))
    assert request.families == (AddressFamily.IPV6, AddressFamily.IPV4)


@pytest.mark.parametrize(
    ("annotation", "in_spec", "cluster_ips", "message"),
    [
        ("192.0.2.1", "192.0.2.2", DUAL[:1], "can not have both metallb.universe.tf/loadBal"),
        ("", "nonsense", DUAL[:1], 'invalid spec.loadBalancerIP "nonsense"'),
        ("192.0.2.1,x", "", DUAL, 'invalid metallb.universe.tf/loadBalancerIPs: "192.0.2.1,x"'),
        ("192.0.2.1,192.0.2.2", "", DUAL, "same address family"),
        ("fd00::1", "", DUAL[:1], "does not match the ipFamily of the service"),
        ("192.0.2.1", "", DUAL, "does not match the ipFamily of the service"),
    ],
)
def test_contradictory_requests_are_invalid(
    annotation: str, in_spec: str, cluster_ips: tuple[str, ...], message: str
) -> None:
    annotations = {"metallb.universe.tf/loadBalancerIPs": annotation}
    requesting = service(annotations=annotations, load_balancer_ip=in_spec, cluster_ips=cluster_ips)
    assert message in invalid(requesting).detail


def test_two_cluster_ips_of_one_family_are_refused() -> None:
    detail = invalid(service(cluster_ips=("10.96.0.1", "10.96.0.2"))).detail
    assert "Failed to retrieve ClusterIPs IPFamily" in detail


def test_prefer_dual_stack_may_request_an_address_of_one_family() -> None:
    requesting = service(
        cluster_ips=DUAL, load_balancer_ip="192.0.2.1", ip_family_policy="PreferDualStack"
    )
    assert valid(requesting).prefers_dual_stack


def test_the_backend_key_is_set_for_local_services_only() -> None:
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


@pytest.mark.parametrize(
    ("annotation", "in_spec", "expected"),
    [
        (" 192.0.2.1", "", ["192.0.2.1"]),
        ("192.0.2.1,", "", ["192.0.2.1"]),
        (",192.0.2.1 ,, ", "", ["192.0.2.1"]),
        ("192.0.2.1,192.0.2.1", "", ["192.0.2.1"]),
        ("", " 192.0.2.1 ", ["192.0.2.1"]),
        ("", "192.0.2.1,", ["192.0.2.1"]),
        ("192.0.2.1", "192.0.2.1", ["192.0.2.1"]),
        (" 192.0.2.1,", "192.0.2.001", ["192.0.2.1"]),
    ],
)
def test_stray_blanks_and_commas_and_equal_requests_are_accepted(
    annotation: str, in_spec: str, expected: list[str]
) -> None:
    annotations = {"metallb.universe.tf/loadBalancerIPs": annotation}
    request = valid(service(annotations=annotations, load_balancer_ip=in_spec))
    assert list(map(str, request.addresses)) == expected


def test_load_balancer_ip_may_repeat_one_address_of_the_annotation() -> None:
    annotations = {"metallb.io/loadBalancerIPs": "2001:db8::1, 192.0.2.1"}
    request = valid(
        service(annotations=annotations, load_balancer_ip="192.0.2.1", cluster_ips=DUAL)
    )
    assert list(map(str, request.addresses)) == ["2001:db8::1", "192.0.2.1"]


def test_a_cluster_ip_with_leading_zeros_is_accepted() -> None:
    assert valid(service(cluster_ips=("10.96.077.7",))).families == (AddressFamily.IPV4,)


@pytest.mark.parametrize(
    "cluster_ips",
    [
        ("garbage",),
        ("10.96.0.300",),
        ("10.96.0.1", "garbage"),
        ("fe80::1%eth0",),
        ("9" * 100_000,),
        ("10.96.0.1", "10.96.0.2"),
        ("10.96.0.1", "fd00::1", "fd00::2"),
    ],
)
def test_invalid_cluster_ips_are_an_invalid_request(cluster_ips: tuple[str, ...]) -> None:
    request = invalid(service(cluster_ips=cluster_ips))
    assert request.fault is Fault.CLUSTER_ADDRESSES
    assert request.detail.startswith("Failed to retrieve ClusterIPs IPFamily for [")
    assert len(request.detail) < 500


@pytest.mark.parametrize(
    ("requested", "cluster_ips", "explained"),
    [
        ("fd00::1", DUAL[:1], "ipv6 requested, spec.clusterIPs has ipv4: want one ipv4 address"),
        (
            "192.0.2.1",
            DUAL,
            (
                "ipv4 requested, spec.clusterIPs has ipv4 and ipv6: want one of each, or "
                "ipFamilyPolicy PreferDualStack"
            ),
        ),
        (
            "192.0.2.1,fd00::1",
            DUAL[1:],
            "ipv4 and ipv6 requested, spec.clusterIPs has ipv6: want one ipv6 address",
        ),
    ],
)
def test_families_that_do_not_match_are_named(
    requested: str, cluster_ips: tuple[str, ...], explained: str
) -> None:
    annotations = {"metallb.universe.tf/loadBalancerIPs": requested}
    request = invalid(service(annotations=annotations, cluster_ips=cluster_ips))
    assert request.detail.endswith(f"does not match the ipFamily of the service: {explained}")
