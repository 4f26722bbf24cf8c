"""Explanation why a service has its addresses, or none."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from support.kube.objects import service
from support.kube.snapshots import snapshot

from controller.explain import ServiceState, explain

POOLS = """\
{name: full, protocol: layer2, addresses: [192.0.2.0/32]},
{name: closed, protocol: layer2, addresses: [192.0.2.1/32], namespaces: [other]},
{name: manual, protocol: layer2, addresses: [192.0.2.2/32], auto-assign: false},
{name: open, protocol: bgp, addresses: [192.0.2.4/30]}
"""
FIRST = service("first", ips=("192.0.2.0",), pool="full")


def test_a_service_that_has_its_address() -> None:
    has = service("web", ips=("192.0.2.4",), pool="open")
    explanation = explain(snapshot(POOLS, FIRST, has), "default/web")
    assert explanation.state is ServiceState.SERVED
    assert explanation.pool is not None
    assert explanation.pool.name == "open"
    assert [(each.pool, each.detail) for each in explanation.survey] == [
        ("closed", 'not for namespace "default"'),
        ("full", "no ipv4 address free"),
        ("manual", "auto-assign is off: it must be asked for by name"),
        ("open", ""),
    ]


def test_a_service_that_every_pool_refuses() -> None:
    requesting = service("web", cluster_ips=("fd00::1",))
    explanation = explain(snapshot(POOLS, requesting), "default/web")
    assert explanation.state is ServiceState.PENDING
    assert explanation.outcome is not None
    refused = {
        check.name: check.detail for check in explanation.outcome.verdict.checks if not check.passed
    }
    assert refused['pool "open"'] == "no ipv6 addresses in it"
    assert refused['pool "closed"'] == 'not for namespace "default"'


def test_services_that_share_the_address_are_named() -> None:
    one, other = (
        service(
            name,
            ips=("192.0.2.4",),
            pool="open",
            annotations={"metallb.universe.tf/allow-shared-ip": "k"},
            ports=(),
        )
        for name in ("one", "other")
    )
    assert explain(snapshot(POOLS, one, other), "default/one").shares_with == ("default/other",)


def test_a_status_that_is_not_written_yet() -> None:
    explanation = explain(snapshot(POOLS, service("web")), "default/web")
    assert explanation.state is ServiceState.IN_FLIGHT
    assert explanation.shown == ()
    assert explanation.outcome is not None
    assert explanation.outcome.addresses == (ip_address("192.0.2.0"),)


def test_an_invalid_request() -> None:
    explanation = explain(snapshot(POOLS, service("web", load_balancer_ip="x")), "default/web")
    assert explanation.state is ServiceState.PENDING
    assert explanation.request is None
    assert explanation.outcome is not None
    assert explanation.outcome.verdict.detail.startswith('invalid spec.loadBalancerIP "x"')


@pytest.mark.parametrize(
    "other", [service("web", kind="ClusterIP"), service("web", load_balancer_class="else")]
)
def test_a_service_of_another_type_or_class_is_not_ours(other: object) -> None:
    explanation = explain(snapshot(POOLS, other), "default/web")  # type: ignore[arg-type]
    assert explanation.state is ServiceState.NOT_OURS


def test_without_a_configuration() -> None:
    assert explain(snapshot(None, FIRST), "default/first").state is ServiceState.NO_CONFIGURATION


def test_an_unknown_service_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        explain(snapshot(POOLS, FIRST), "default/none")
