"""Why a service has its addresses, or none."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from support.objects import service
from support.snapshots import snapshot

from controller.explain import Stand, explain

POOLS = """\
{name: full, protocol: layer2, addresses: [192.0.2.0/32]},
{name: closed, protocol: layer2, addresses: [192.0.2.1/32], namespaces: [other]},
{name: manual, protocol: layer2, addresses: [192.0.2.2/32], auto-assign: false},
{name: open, protocol: bgp, addresses: [192.0.2.4/30]}
"""
FIRST = service("first", ips=("192.0.2.0",), pool="full")


def test_a_service_that_has_its_address() -> None:
    has = service("web", ips=("192.0.2.4",), pool="open")
    told = explain(snapshot(POOLS, FIRST, has), "default/web")
    assert told.stand is Stand.SERVED
    assert told.pool is not None
    assert told.pool.name == "open"
    assert [(each.pool, each.detail) for each in told.survey] == [
        ("closed", 'not for namespace "default"'),
        ("full", "no ipv4 address free"),
        ("manual", "auto-assign is off: it must be asked for by name"),
        ("open", ""),
    ]


def test_a_service_that_every_pool_refuses() -> None:
    asks = service("web", cluster_ips=("fd00::1",))
    told = explain(snapshot(POOLS, asks), "default/web")
    assert told.stand is Stand.PENDING
    assert told.outcome is not None
    refused = {
        check.name: check.detail for check in told.outcome.verdict.checks if not check.passed
    }
    assert refused['pool "open"'] == "no ipv6 addresses in it"
    assert refused['pool "closed"'] == 'not for namespace "default"'


def test_who_shares() -> None:
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
    told = explain(snapshot(POOLS, service("web")), "default/web")
    assert told.stand is Stand.IN_FLIGHT
    assert told.shown == ()
    assert told.outcome is not None
    assert told.outcome.addresses == (ip_address("192.0.2.0"),)


def test_a_request_that_can_not_be_read() -> None:
    told = explain(snapshot(POOLS, service("web", load_balancer_ip="x")), "default/web")
    assert told.stand is Stand.PENDING
    assert told.request is None
    assert told.outcome is not None
    assert told.outcome.verdict.detail.startswith('invalid spec.loadBalancerIP "x"')


@pytest.mark.parametrize(
    "other", [service("web", kind="ClusterIP"), service("web", load_balancer_class="else")]
)
def test_a_service_of_others(other: object) -> None:
    told = explain(snapshot(POOLS, other), "default/web")  # type: ignore[arg-type]
    assert told.stand is Stand.NOT_OURS


def test_without_a_configuration() -> None:
    assert explain(snapshot(None, FIRST), "default/first").stand is Stand.NO_CONFIGURATION


def test_a_service_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        explain(snapshot(POOLS, FIRST), "default/none")
