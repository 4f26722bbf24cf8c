"""MetalLB's documented usage of Services, case by case: the addresses, or the refusal."""

from __future__ import annotations

import pytest
from support.kube.objects import config, pool, service

from controller.core import Controller
from metallb_py.kube.objects import Service, ServicePort

POOL = "metallb.universe.tf/address-pool"
ADDRESSES = "metallb.universe.tf/loadBalancerIPs"
SHARE = "metallb.universe.tf/allow-shared-ip"
DNS = {"tcp": (ServicePort(53),), "udp": (ServicePort(53, "UDP"),)}


@pytest.fixture
def core() -> Controller:
    made = Controller()
    made.config_changed(
        config(
            pool("cheap", "10.80.0.0/29", "2001:db8:80::/125"),
            pool("dear", "203.0.113.8/30", auto_assign=False),
        )
    )
    made.services_synced()
    return made


def given(core: Controller, requesting: Service) -> list[str]:
    core.service_changed(requesting.key, requesting)
    held = core.allocator.held(requesting.key)
    return [str(address) for address in held.addresses] if held else []


def refusal(core: Controller, requesting: Service) -> str:
    assert not given(core, requesting)
    outcome = core.outcome(requesting.key)
    assert outcome is not None
    return outcome.verdict.detail


def test_a_service_without_a_request_gets_any_address(core: Controller) -> None:
    assert given(core, service("web")) == ["10.80.0.0"]


def test_a_requested_address_is_assigned(core: Controller) -> None:
    assert given(core, service("web", load_balancer_ip="10.80.0.5")) == ["10.80.0.5"]
    assert given(core, service("dear", annotations={ADDRESSES: "203.0.113.9"})) == ["203.0.113.9"]


def test_a_requested_address_in_use_is_refused(core: Controller) -> None:
    assert given(core, service("first", load_balancer_ip="10.80.0.5"))
    requesting = service("second", load_balancer_ip="10.80.0.5")
    assert "address also in use by default/first" in refusal(core, requesting)


def test_a_requested_address_of_no_pool_is_refused(core: Controller) -> None:
    requesting = service("web", load_balancer_ip="10.99.0.1")
    assert '["10.99.0.1"] is not allowed in config' in refusal(core, requesting)


def test_a_requested_pool_is_used(core: Controller) -> None:
    assert given(core, service("web", annotations={POOL: "dear"})) == ["203.0.113.8"]


def test_a_pool_without_auto_assign_is_used_only_on_request(core: Controller) -> None:
    names = [given(core, service(f"s{number}")) for number in range(8)]
    assert all(names)
    assert "auto-assign is off" in refusal(core, service("late"))


def test_one_address_for_dns_over_tcp_and_udp(core: Controller) -> None:
    requesting = [
        service(name, ports=ports, annotations={SHARE: "dns"}, load_balancer_ip="10.80.0.3")
        for name, ports in DNS.items()
    ]
    assert [given(core, each) for each in requesting] == [["10.80.0.3"], ["10.80.0.3"]]


def test_services_with_one_sharing_key_share_without_naming_the_address(core: Controller) -> None:
    requesting = [service(n, ports=p, annotations={SHARE: "dns"}) for n, p in DNS.items()]
    assert [given(core, each) for each in requesting] == [["10.80.0.0"], ["10.80.0.0"]]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"annotations": {SHARE: "else"}, "ports": DNS["udp"]}, "can't change sharing key"),
        ({"annotations": {SHARE: "dns"}, "ports": DNS["tcp"]}, "port TCP/53 is already in use"),
        ({"annotations": None, "ports": DNS["udp"]}, "can't change sharing key"),
    ],
)
def test_sharing_with_another_key_or_the_same_port_is_refused(
    core: Controller, other: dict[str, object], reason: str
) -> None:
    first = service(
        "tcp", ports=DNS["tcp"], annotations={SHARE: "dns"}, load_balancer_ip="10.80.0.3"
    )
    assert given(core, first) == ["10.80.0.3"]
    second = service("udp", load_balancer_ip="10.80.0.3", **other)  # type: ignore[arg-type]
    assert reason in refusal(core, second)


@pytest.mark.parametrize(
    ("selectors", "shared"), [(({"app": "dns"}, {"app": "dns"}), True), (({"app": "a"}, {}), False)]
)
def test_local_traffic_policy_shares_only_with_equal_selectors(
    core: Controller, selectors: tuple[dict[str, str], dict[str, str]], shared: bool
) -> None:
    first, second = (
        service(
            name,
            ports=DNS[name],
            annotations={SHARE: "dns"},
            load_balancer_ip="10.80.0.3",
            external_traffic_policy="Local",
            selector=selector,
        )
        for name, selector in zip(("tcp", "udp"), selectors, strict=True)
    )
    assert given(core, first) == ["10.80.0.3"]
    assert given(core, second) == (["10.80.0.3"] if shared else [])


def test_a_dual_stack_service_gets_both_families(core: Controller) -> None:
    both = {"cluster_ips": ("10.96.0.1", "fd00::1"), "ip_family_policy": "RequireDualStack"}
    assert given(core, service("web", **both)) == ["10.80.0.0", "2001:db8:80::"]  # type: ignore[arg-type]
    named = service("named", annotations={ADDRESSES: "10.80.0.7,2001:db8:80::7"}, **both)  # type: ignore[arg-type]
    assert given(core, named) == ["10.80.0.7", "2001:db8:80::7"]


def test_a_requested_address_of_another_family_is_refused(core: Controller) -> None:
    requesting = service("web", load_balancer_ip="2001:db8:80::3")
    assert "does not match the ipFamily of the service" in refusal(core, requesting)


def test_services_of_another_load_balancer_class_are_ignored(core: Controller) -> None:
    assert given(core, service("web", load_balancer_class="example.com/other")) == []
    assert core.outcome("default/web") is None
