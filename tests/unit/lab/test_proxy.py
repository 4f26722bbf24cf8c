"""Frontends (addresses and ports of services), the pods behind them, and the nftables rules."""

from __future__ import annotations

import msgspec

from metallb_py.kube.objects import Service
from metallb_py.lab.proxy import Frontend, SliceWithPorts, frontends, ruleset


def service(name: str, *addresses: str, ports: tuple[int, ...] = (80,)) -> Service:
    item = {
        "metadata": {"namespace": "default", "name": name},
        "spec": {"ports": [{"port": port} for port in ports]},
        "status": {"loadBalancer": {"ingress": [{"ip": a} for a in addresses]}},
    }
    return msgspec.convert(item, Service)


def members(name: str, *pods: tuple[str, bool | None], ports: tuple[int, ...] = (8080,)) -> dict:
    item = {
        "metadata": {
            "namespace": "default",
            "name": f"{name}-1",
            "labels": {"kubernetes.io/service-name": name},
        },
        "ports": [{"port": port} for port in ports],
        "endpoints": [
            {"addresses": [address], "conditions": {"ready": ready}} for address, ready in pods
        ],
    }
    return {f"default/{name}-1": msgspec.convert(item, SliceWithPorts)}


def test_backends_are_the_pods_that_are_ready_or_of_unknown_readiness() -> None:
    slices = members("web", ("10.244.1.2", True), ("10.244.2.2", False), ("10.244.3.2", None))
    backends = (("10.244.1.2", 8080), ("10.244.3.2", 8080))
    assert frontends({"default/web": service("web", "192.0.2.1")}, slices) == [
        Frontend("192.0.2.1", 80, backends)
    ]


def test_each_address_and_port_is_a_frontend() -> None:
    slices = members("web", ("10.244.1.2", True), ports=(8080, 8443))
    web = service("web", "192.0.2.1", "192.0.2.2", ports=(80, 443))
    found = frontends({"default/web": web}, slices)
    assert {(f.address, f.port): f.backends for f in found} == {
        ("192.0.2.1", 80): (("10.244.1.2", 8080),),
        ("192.0.2.1", 443): (("10.244.1.2", 8443),),
        ("192.0.2.2", 80): (("10.244.1.2", 8080),),
        ("192.0.2.2", 443): (("10.244.1.2", 8443),),
    }


def test_endpoint_slices_of_other_services_are_ignored() -> None:
    slices = members("web", ("10.244.1.2", True)) | members("db", ("10.244.2.2", True))
    (found,) = frontends({"default/db": service("db", "192.0.2.1")}, slices)
    assert found.backends == (("10.244.2.2", 8080),)


def test_no_rule_without_an_address_or_without_pods() -> None:
    assert frontends({"default/web": service("web")}, {}) == []
    text = ruleset([Frontend("192.0.2.1", 80, ())])
    assert "192.0.2.1" not in text


def test_dnat_rule_chooses_among_the_pods_at_random() -> None:
    text = ruleset([Frontend("192.0.2.1", 80, (("10.244.1.2", 8080), ("10.244.2.2", 8080)))])
    assert (
        "ip daddr 192.0.2.1 tcp dport 80 dnat ip to numgen random mod 2 "
        "map { 0 : 10.244.1.2 . 8080, 1 : 10.244.2.2 . 8080 }"
    ) in text
