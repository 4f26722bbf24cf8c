"""Allocator: addresses that are allocated or assigned, and requests that are refused."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from support.kube.assignment import allocate
from support.kube.objects import pool

from controller.allocator import Allocator
from controller.requests import ServiceRequest, SharingTerms
from metallb_py.addresses import AddressFamily, IPAddress
from metallb_py.config.draining import draining
from metallb_py.errors import AllocationError

V4 = ServiceRequest((AddressFamily.IPV4,))
ALONE = SharingTerms()


def ips(*texts: str) -> tuple[IPAddress, ...]:
    return tuple(map(ip_address, texts))


def allocator(*pools: object) -> Allocator:
    made = Allocator()
    made.set_pools(pools)  # type: ignore[arg-type]
    return made


def shared(key: str, *ports: int) -> SharingTerms:
    return SharingTerms(key, "", frozenset(("TCP", port) for port in ports))


def test_pools_in_order_and_addresses_ascending() -> None:
    made = allocator(pool("b", "192.0.2.8/31"), pool("a", "192.0.2.0/31"))
    given = [allocate(made, f"default/s{n}", V4) for n in range(3)]
    assert [held.addresses for held in given] == [
        ips("192.0.2.8"),
        ips("192.0.2.9"),
        ips("192.0.2.0"),
    ]
    assert [held.pool for held in given] == ["b", "b", "a"]


def test_a_released_address_is_allocated_again() -> None:
    made = allocator(pool("a", "192.0.2.0/30"))
    for n in range(4):
        allocate(made, f"default/s{n}", V4)
    with pytest.raises(AllocationError, match="no available IPs"):
        allocate(made, "default/late", V4)
    assert made.release("default/s1")
    assert allocate(made, "default/late", V4).addresses == ips("192.0.2.1")


def test_avoid_buggy_ips() -> None:
    made = allocator(pool("a", "192.0.2.0/24", "198.51.100.0/31", avoid_buggy_ips=True))
    given = [allocate(made, f"default/s{n}", V4).addresses[0] for n in range(255)]
    assert given[0] == ip_address("192.0.2.1")
    assert given[253] == ip_address("192.0.2.254")
    assert given[254] == ip_address("198.51.100.1")
    with pytest.raises(AllocationError):
        allocate(made, "default/late", V4)
    used = made.usage()["a"][AddressFamily.IPV4]
    assert used.total == used.in_use == 255
    with pytest.raises(AllocationError, match=r'\["192.0.2.0"\] is not allowed in config'):
        made.assign("default/x", ips("192.0.2.0"), ALONE)


def test_a_pool_without_auto_assign_is_used_only_on_request() -> None:
    made = allocator(pool("a", "192.0.2.0/30", auto_assign=False))
    with pytest.raises(AllocationError, match="no available IPs"):
        allocate(made, "default/s", V4)
    held = allocate(made, "default/s", ServiceRequest((AddressFamily.IPV4,), pool="a"))
    assert held.addresses == ips("192.0.2.0")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ServiceRequest((AddressFamily.IPV4,), pool="nope"), 'unknown pool "nope"'),
        (
            ServiceRequest((AddressFamily.IPV6,), pool="a"),
            'no available IPs in pool "a" for ipv6 IPFamily',
        ),
        (
            ServiceRequest((AddressFamily.IPV4, AddressFamily.IPV6), pool="a"),
            'no available IPs in pool "a" for dual IPFamily',
        ),
    ],
)
def test_allocation_errors_have_metallbs_text(request_: ServiceRequest, message: str) -> None:
    with pytest.raises(AllocationError, match=message):
        allocate(allocator(pool("a", "192.0.2.0/30")), "default/s", request_)


def test_dual_stack_takes_both_families_from_one_pool_in_the_services_order() -> None:
    made = allocator(pool("v4", "192.0.2.0/30"), pool("both", "198.51.100.0/30", "2001:db8::/64"))
    held = allocate(made, "default/s", ServiceRequest((AddressFamily.IPV6, AddressFamily.IPV4)))
    assert held.addresses == ips("2001:db8::", "198.51.100.0")
    assert held.pool == "both"


def test_prefer_dual_stack_accepts_one_family() -> None:
    made = allocator(pool("v4", "192.0.2.0/30"))
    request = ServiceRequest((AddressFamily.IPV6, AddressFamily.IPV4), prefers_dual_stack=True)
    assert allocate(made, "default/s", request).addresses == ips("192.0.2.0")
    with pytest.raises(AllocationError):
        allocate(made, "default/t", ServiceRequest((AddressFamily.IPV6, AddressFamily.IPV4)))


def test_sharing_needs_equal_keys_and_different_ports() -> None:
    made = allocator(pool("a", "192.0.2.0/30"))
    address = ips("192.0.2.1")
    made.assign("default/web", address, shared("k", 80))
    made.assign("default/tls", address, shared("k", 443))
    with pytest.raises(AllocationError, match=r'port TCP/80 is already in use on "192\.0\.2\.1"'):
        made.assign("default/other", address, shared("k", 80, 8080))
    with pytest.raises(
        AllocationError,
        match='can\'t change sharing key for "default/x", address also in use by default/tls,def',
    ):
        made.assign("default/x", address, shared("other", 22))
    assert made.usage()["a"][AddressFamily.IPV4].in_use == 1


def test_services_with_one_sharing_key_get_the_lowest_shared_address() -> None:
    made = allocator(pool("a", "192.0.2.0/30"))
    allocate(made, "default/alone", V4)
    first = allocate(
        made, "default/one", ServiceRequest((AddressFamily.IPV4,), terms=shared("k", 80))
    )
    second = allocate(
        made, "default/two", ServiceRequest((AddressFamily.IPV4,), terms=shared("k", 443))
    )
    third = allocate(
        made, "default/three", ServiceRequest((AddressFamily.IPV4,), terms=shared("k", 80))
    )
    assert first.addresses == second.addresses == ips("192.0.2.1")
    assert third.addresses == ips("192.0.2.2")


def test_a_shared_address_is_free_when_its_last_user_releases_it() -> None:
    made = allocator(pool("a", "192.0.2.0/32"))
    allocate(made, "default/one", ServiceRequest((AddressFamily.IPV4,), terms=shared("k", 80)))
    allocate(made, "default/two", ServiceRequest((AddressFamily.IPV4,), terms=shared("k", 443)))
    made.release("default/one")
    with pytest.raises(AllocationError):
        allocate(made, "default/late", V4)
    made.release("default/two")
    assert allocate(made, "default/late", V4).addresses == ips("192.0.2.0")


def test_a_refused_assignment_changes_nothing() -> None:
    made = allocator(pool("a", "192.0.2.0/30"))
    mine = allocate(made, "default/mine", V4)
    allocate(made, "default/theirs", V4)
    with pytest.raises(AllocationError):
        made.assign("default/mine", ips("192.0.2.1"), ALONE)
    assert made.held("default/mine") == mine


def test_set_pools_keeps_holdings_and_misfits_names_the_orphans() -> None:
    made = allocator(pool("old", "192.0.2.0/30"))
    made.assign("default/a", ips("192.0.2.1"), ALONE)
    renamed = (pool("new", "192.0.2.0/24"),)
    assert not made.misfits(renamed)
    made.set_pools(renamed)
    held = made.held("default/a")
    assert held is not None
    assert held.pool == "new"
    assert allocate(made, "default/b", V4).addresses == ips("192.0.2.0")
    assert allocate(made, "default/c", V4).addresses == ips("192.0.2.2")
    elsewhere = (pool("else", "198.51.100.0/24"),)
    assert [key for key, _ in made.misfits(elsewhere)] == ["default/a", "default/b", "default/c"]


def test_a_buggy_address_of_a_draining_pool_is_not_in_the_new_pool() -> None:
    old = pool("a", "192.0.2.0/30")
    made = allocator(pool("a", "192.0.2.0/30", avoid_buggy_ips=True), draining(old))
    assert allocate(made, "default/new", V4).addresses == ips("192.0.2.1")
    made.assign("default/old", ips("192.0.2.0"), shared("k", 80))
    request = ServiceRequest((AddressFamily.IPV4,), terms=shared("k", 443))
    assert allocate(made, "default/other", request).addresses == ips("192.0.2.2")
    made.release("default/old")
    made.assign("default/old", ips("192.0.2.0"), ALONE)


def test_a_refused_change_leaves_the_allocators_state_unchanged() -> None:
    made = allocator(pool("a", "192.0.2.0/30", "2001:db8::/126"))
    made.assign("default/one", ips("192.0.2.0", "2001:db8::"), shared("k", 80))
    made.assign("default/two", ips("192.0.2.0"), shared("k", 443))
    made.assign("default/lone", ips("192.0.2.1"), ALONE)

    def state() -> object:
        holdings = [made.held(f"default/{name}") for name in ("one", "two", "lone", "new")]
        survey = made.survey(
            ServiceRequest((AddressFamily.IPV4, AddressFamily.IPV6), terms=shared("k", 22))
        )
        return holdings, survey, made.usage(), made.pools(), made.owner_of(ips("192.0.2.3"))

    before = state()
    full = ServiceRequest((AddressFamily.IPV4,), pool="none")
    swap = {"default/one": (ips("192.0.2.1"), ALONE), "default/two": (ips("192.0.2.1"), ALONE)}
    foreign = {"default/one": (ips("203.0.113.1"), ALONE)}
    for attempt in (
        lambda: made.set_pools((pool("b", "198.51.100.0/30"),)),
        lambda: made.set_pools((pool("a", "192.0.2.0/31"),)),
        lambda: made.assign("default/new", ips("192.0.2.1"), ALONE),
        lambda: made.assign("default/one", ips("192.0.2.1"), shared("k", 80)),
        lambda: made.assign("default/two", ips("192.0.2.0"), shared("k", 80)),
        lambda: made.assign("default/two", ips("203.0.113.1"), ALONE),
        lambda: made.assign("default/two", ips("192.0.2.2", "203.0.113.1"), ALONE),
        lambda: allocate(made, "default/new", full),
        lambda: made.exchange(swap),
        lambda: made.exchange(foreign),
    ):
        with pytest.raises((AllocationError, KeyError)):
            attempt()
        assert state() == before
