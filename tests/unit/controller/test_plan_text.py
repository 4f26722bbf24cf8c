"""Text of a plan: lines, warnings, routes."""

from __future__ import annotations

from ipaddress import ip_network

from support.kube.objects import config, pool, service
from support.kube.snapshots import snapshot

from controller.orphaned_addresses import OrphanPolicy
from controller.plan import make_plan
from controller.plan_text import MAX_WARNINGS, describe, describe_route, warnings
from metallb_py.model.config import Protocol
from metallb_py.model.route_attributes import Community, RouteAttributes

NOW = "{name: a, protocol: bgp, addresses: [192.0.2.0/24]}"
WEB = service("web", ips=("192.0.2.7",), pool="a")


def test_every_line_names_the_object_and_its_change() -> None:
    elsewhere = config(pool("b", "198.51.100.0/31", protocol=Protocol.BGP))
    plan = make_plan(snapshot(NOW, WEB), elsewhere, OrphanPolicy.RENUMBER)
    assert list(describe(plan)) == [
        'pool "a" goes',
        'pool "b" appears',
        "route 198.51.100.0/32 appears",
        "route 192.0.2.7/32 goes",
        'default/web loses 192.0.2.7: gets 198.51.100.0 of pool "b"',
        "1 services: 1 with other addresses or none",
    ]


def test_a_refusal_names_the_services_with_orphaned_addresses() -> None:
    plan = make_plan(snapshot(NOW, WEB), config(), OrphanPolicy.REFUSE)
    first, *_ = warnings(plan)
    assert 'refused: new config not compatible with assigned IPs: service "default/web"' in first


def test_a_plan_without_effect_has_no_warnings() -> None:
    same = config(pool("a", "192.0.2.0/24", protocol=Protocol.BGP), pool("new", "198.51.100.0/24"))
    assert warnings(make_plan(snapshot(NOW, WEB), same, OrphanPolicy.DRAIN)) == ()


def test_warnings_are_few_and_short() -> None:
    many = [service(f"s{n}", ips=(f"192.0.2.{n}",), pool="a") for n in range(100)]
    plan = make_plan(snapshot(NOW, *many), config(), OrphanPolicy.RENUMBER)
    lines = warnings(plan)
    assert len(lines) == MAX_WARNINGS
    assert lines[-1].endswith("more: metallb-py plan shows all")
    assert sum(map(len, lines)) < 4096


def test_a_route_is_described_with_its_attributes() -> None:
    prefix = ip_network("192.0.2.0/24")
    assert describe_route(prefix, RouteAttributes()) == "192.0.2.0/24"
    rich = RouteAttributes(
        100,
        frozenset({Community(0xFFFFFF01), Community(64512 << 16 | 1), Community(64512 << 16 | 2)}),
        frozenset({(64512, 1, 2), (64512, 0, 9), (7, 8, 9)}),
        med=0,
        as_path_prepend=2,
    )
    assert describe_route(prefix, rich) == (
        "192.0.2.0/24 localpref 100 communities 64512:1 64512:2 65535:65281 "
        "large communities 7:8:9 64512:0:9 64512:1:2 med 0 as-path-prepend 2"
    )
